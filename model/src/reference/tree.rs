//! The nodes of the tree and how a client sees each.

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::hash::Hasher;
use std::sync::Arc;
use zabsim_types::{Acl, Data, SessionId, Stat, ZPath, Zxid};

/// What the servers' sweep does with a node without children.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Life {
    /// Nothing.
    #[default]
    Unbound,
    /// Removes it, once it has had a child.
    Container,
    /// Removes it when it was not set for so many milliseconds.
    Ttl(i64),
}

/// One znode. `creates` counts the children ever made: it is the sequence counter, and `Stat::cversion` derives from it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Node {
    pub data: Data,
    pub children: BTreeSet<Arc<str>>,
    pub owner: SessionId,
    pub czxid: Zxid,
    pub mzxid: Zxid,
    pub pzxid: Zxid,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    pub aversion: i32,
    pub creates: i32,
    pub life: Life,
    pub acl: Acl,
    /// The lists that it had before, each with the transaction that replaced it. A write in the leader's pipeline may be
    /// judged by one of them.
    pub former_acls: Vec<(Zxid, Acl)>,
}

impl Node {
    pub fn new(data: Data, owner: SessionId, zxid: Zxid, time_ms: i64) -> Node {
        Node {
            data,
            children: BTreeSet::new(),
            owner,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time_ms,
            mtime: time_ms,
            version: 0,
            aversion: 0,
            creates: 0,
            life: Life::Unbound,
            acl: Acl::OPEN,
            former_acls: Vec::new(),
        }
    }

    /// The list in force at that state; the present one for `None`.
    pub fn acl_at(&self, state: Option<Zxid>) -> &Acl {
        let Some(state) = state else {
            return &self.acl;
        };
        let former = self.former_acls.iter();
        let mut replaced_later = former.filter(|(replaced, _)| *replaced > state);
        replaced_later.next().map_or(&self.acl, |(_, acl)| acl)
    }

    pub fn stat(&self) -> Stat {
        let num_children = self.children.len() as i32;
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            // Creations plus deletions, said as ZooKeeper computes it: the nodes of an empty database have children
            // that were never counted, and so begin below zero.
            cversion: self.creates.wrapping_mul(2).wrapping_sub(num_children),
            aversion: self.aversion,
            ephemeral_owner: self.owner,
            data_length: self.data.as_ref().map_or(0, |bytes| bytes.len() as i32),
            num_children,
            pzxid: self.pzxid,
        }
    }
}

/// For lookup only, never iterated; the same in every process. Its hasher takes sixteen bytes of a path at once: the replay
/// does little else than look paths up.
pub(crate) type Lookup<K, V> = hashbrown::HashMap<K, V, FxBuildHasher>;

/// The nodes by path.
pub(crate) type Nodes = Lookup<ZPath, Node>;

/// FNV-1a, eight bytes at a time where it can: a fixed hash, so that nothing depends on the process. For the numbers of states,
/// which are sums: a quicker hash that is linear in the fields would not tell two nodes that swapped theirs.
#[derive(Clone)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let mut last = [0; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
