//! A znode: its data, what `Stat` says of it, its children's names, and its share of the tree's digest.
//!
//! `Stat` follows ZooKeeper (`StatPersisted`, `DataNode.copyStat`): internally `creates` counts the children ever created
//! here; clients are shown `cversion = 2 × creates − numChildren`, which is creations plus deletions. `/zookeeper` and what
//! lies in it were never counted, hence the −1 of a fresh root.

use crate::txn::Owner;
use std::collections::BTreeSet;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};
use zabsim_types::{Acl, Data, Stat, Zxid};

/// A znode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Node {
    pub(crate) data: Data,
    pub(crate) czxid: Zxid,
    pub(crate) mzxid: Zxid,
    pub(crate) pzxid: Zxid,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) version: i32,
    /// Children ever created here; wraps. The next sequential name.
    pub(crate) creates: i32,
    pub(crate) aversion: i32,
    /// Each node has its own list: none is named by a number that a table has to explain, so none can be taken for another.
    pub(crate) acl: Acl,
    pub(crate) owner: Owner,
    /// Names, not paths, shared with the lists that clients get.
    pub(crate) children: BTreeSet<Arc<str>>,
    /// Hash of path and data, kept because a parent's other fields change with each child, its data hardly ever.
    content: u64,
    /// What this node has added to the tree's digest.
    pub(crate) digest: u64,
}

impl Node {
    pub(crate) fn new(
        path: &str,
        data: Data,
        acl: Acl,
        owner: Owner,
        zxid: Zxid,
        time_ms: i64,
    ) -> Node {
        let mut node = Node {
            content: content_hash(path, &data),
            data,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time_ms,
            mtime: time_ms,
            version: 0,
            creates: 0,
            aversion: 0,
            acl,
            owner,
            children: BTreeSet::new(),
            digest: 0,
        };
        node.rehash();
        node
    }

    /// As clients see it.
    pub(crate) fn stat(&self) -> Stat {
        let num_children = self.children.len() as i32;
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.creates.wrapping_mul(2).wrapping_sub(num_children),
            aversion: self.aversion,
            ephemeral_owner: self.owner.session(),
            data_length: self.data.as_ref().map_or(0, |d| d.len() as i32),
            num_children,
            pzxid: self.pzxid,
        }
    }

    pub(crate) fn set_data(&mut self, path: &str, data: Data) {
        self.content = content_hash(path, &data);
        self.data = data;
    }

    /// A child came or went under `zxid`; replay never sets these back (ZOOKEEPER-3125, 3249). The counter wraps, so
    /// "higher" is by distance.
    pub(crate) fn raise(&mut self, creates: i32, zxid: Zxid) {
        if creates.wrapping_sub(self.creates) > 0 {
            self.creates = creates;
        }
        self.pzxid = self.pzxid.max(zxid);
    }

    /// Recomputes `digest` from everything that is replicated.
    pub(crate) fn rehash(&mut self) {
        // The low bits of the list's word are the owner's kind.
        let (owner_kind, owner_word) = match self.owner {
            Owner::Nobody => (0, 0),
            Owner::Session(session) => (1, session.0 as u64),
            Owner::Container => (2, 0),
            Owner::Ttl { ttl_ms } => (3, ttl_ms as u64),
        };
        let words = [
            self.content,
            self.czxid.0,
            self.mzxid.0,
            self.pzxid.0,
            self.ctime as u64,
            self.mtime as u64,
            (self.version as u32 as u64) << 32 | self.creates as u32 as u64,
            self.aversion as u32 as u64,
            owner_kind | acl_hash(&self.acl),
            owner_word,
        ];
        let mut bytes = [0; 80];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        self.digest = xxh3_64(&bytes);
    }
}

/// Zero for the open list, whose low two bits are free as all others' are.
fn acl_hash(acl: &Acl) -> u64 {
    if acl.is_open() {
        return 0;
    }
    let hash = acl.entries().iter().fold(1, |seed, entry| {
        let seed = xxh3_64_with_seed(&entry.perms.0.to_le_bytes(), seed);
        let seed = xxh3_64_with_seed(entry.id.scheme.as_bytes(), seed);
        xxh3_64_with_seed(entry.id.id.as_bytes(), seed)
    });
    hash << 2
}

fn content_hash(path: &str, data: &Data) -> u64 {
    let path = xxh3_64(path.as_bytes());
    match data {
        None => path,
        Some(data) => xxh3_64_with_seed(data, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::{Perms, SessionId};

    #[test]
    fn shown_cversion_counts_creations_and_deletions() {
        let mut node = Node::new("/a", None, Acl::OPEN, Owner::Nobody, Zxid(1), 0);
        node.creates = 3;
        node.children.insert("x".into());
        assert_eq!(node.stat().cversion, 5, "three came, two went");
    }

    #[test]
    fn raise_never_lowers_and_follows_the_wrap() {
        let mut node = Node::new("/a", None, Acl::OPEN, Owner::Nobody, Zxid(9), 0);
        node.raise(5, Zxid(12));
        node.raise(4, Zxid(11));
        assert_eq!((node.creates, node.pzxid), (5, Zxid(12)));
        node.creates = i32::MAX;
        node.raise(i32::MIN, Zxid(13));
        assert_eq!(node.creates, i32::MIN);
    }

    #[test]
    fn every_replicated_field_is_in_the_digest() {
        let base = Node::new(
            "/a",
            Some(b"x".as_slice().into()),
            Acl::OPEN,
            Owner::Nobody,
            Zxid(1),
            5,
        );
        let changes: [fn(&mut Node); 17] = [
            |n| n.czxid = Zxid(2),
            |n| n.mzxid = Zxid(2),
            |n| n.pzxid = Zxid(2),
            |n| n.ctime = 6,
            |n| n.mtime = 6,
            |n| n.version = 1,
            |n| n.creates = 1,
            |n| n.aversion = 1,
            |n| n.owner = Owner::Session(SessionId(1)),
            |n| n.owner = Owner::Container,
            |n| n.owner = Owner::Ttl { ttl_ms: 0 },
            |n| n.owner = Owner::Ttl { ttl_ms: 1 },
            |n| n.acl = Acl::new(vec![]),
            |n| n.acl = Acl::one(Perms::READ, "world", "anyone"),
            |n| n.acl = Acl::one(Perms::ALL, "ip", "anyone"),
            |n| n.acl = Acl::one(Perms::ALL, "world", "nobody"),
            |n| n.set_data("/a", Some(b"y".as_slice().into())),
        ];
        let mut seen = vec![base.digest];
        for (i, change) in changes.iter().enumerate() {
            let mut node = base.clone();
            change(&mut node);
            node.rehash();
            assert!(!seen.contains(&node.digest), "change {i}");
            seen.push(node.digest);
        }
        let null = Node::new("/a", None, Acl::OPEN, Owner::Nobody, Zxid(1), 5);
        let empty = Node::new(
            "/a",
            Some([].as_slice().into()),
            Acl::OPEN,
            Owner::Nobody,
            Zxid(1),
            5,
        );
        assert_ne!(null.digest, empty.digest);
        let elsewhere = Node::new("/b", None, Acl::OPEN, Owner::Nobody, Zxid(1), 5);
        assert_ne!(null.digest, elsewhere.digest);
    }
}
