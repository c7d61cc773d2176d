//! A number for a state: for telling states apart that were reached in different ways.

use super::model::Model;
use super::tree::{Fnv, Node};
use std::hash::{Hash, Hasher};
use zabsim_types::ZPath;

impl Model {
    /// Of the nodes and the sessions, whatever the order in which they lie. The last zxid is not part of it.
    pub(crate) fn digest(&self) -> u64 {
        let one = |(path, node): (&ZPath, &Node)| {
            let mut hasher = Fnv::default();
            path.hash(&mut hasher);
            node.hash(&mut hasher);
            hasher.finish()
        };
        let sessions = self.sessions.keys().map(|session| session.0 as u64);
        let nodes = self.nodes.iter().map(one);
        nodes.chain(sessions).fold(0, u64::wrapping_add)
    }
}

impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.data, &self.children, self.owner, &self.acl).hash(state);
        (self.czxid, self.mzxid, self.pzxid, self.ctime, self.mtime).hash(state);
        (self.version, self.aversion, self.creates, self.life).hash(state);
        for (replaced, list) in &self.former_acls {
            (replaced, list).hash(state);
        }
    }
}
