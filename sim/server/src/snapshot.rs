//! Fuzzy snapshots: the state written in pieces while transactions go on changing it.
//!
//! A snapshot is named by the last transaction applied when its writing began: everything up to there is in it, and of
//! later transactions perhaps something. Replaying the log from there gives the exact state, because every transaction
//! tolerates having been applied in part ([`Tree`]). The last piece says up to which transaction pieces may
//! have been touched, so that a reader knows from where on the state is exact.
//!
//! Form: the pieces joined are `"ZSNP"`, version, begin zxid, session table, then nodes in path order, then the end mark
//! with the zxid at the end and the number of nodes. Source: ZooKeeper 3.9 `FileSnap`, `DataTree.serialize`.

use crate::codec::{DecodeError, Reader, Writer};
use crate::database::Database;
use crate::node::Node;
use crate::tree::Tree;
use crate::txn::Owner;
use zab::{Bug, Payload, SnapshotId};
use zabsim_types::{Acl, ZPath, Zxid};

const MAGIC: u32 = u32::from_be_bytes(*b"ZSNP");
const VERSION: u8 = 2;
const NODE: u8 = 1;
const END: u8 = 2;

/// One snapshot being written.
pub(crate) struct SnapshotWriter {
    pub(crate) id: SnapshotId,
    /// The name. The first piece may be written when more has been applied already: fuzzy from the start.
    begun: Zxid,
    header_written: bool,
    last: Option<ZPath>,
    nodes: u32,
    /// The lists that there were when the header was written, where a bug keeps them in a table of their own.
    lists: Option<Vec<Acl>>,
}

impl SnapshotWriter {
    pub(crate) fn new(id: SnapshotId, begun: Zxid) -> SnapshotWriter {
        SnapshotWriter {
            id,
            begun,
            header_written: false,
            last: None,
            nodes: 0,
            lists: None,
        }
    }

    /// Serializes the next `nodes_max` nodes, the first time behind the session table. Returns the piece and whether it is
    /// the last.
    pub(crate) fn next_chunk(&mut self, db: &Database, nodes_max: usize) -> (Payload, bool) {
        let mut w = Writer::default();
        if !self.header_written {
            self.header_written = true;
            write_header(&mut w, self.begun, db);
            if db.tree.bugs.has(Bug::AclTableBeforeNodes) {
                self.lists = Some(db.tree.lists());
            }
        }
        for _ in 0..nodes_max.max(1) {
            let Some((path, node)) = db.tree.after(self.last.as_deref()) else {
                w.u8(END);
                w.zxid(db.applied().max(db.exact_from()));
                w.u32(self.nodes);
                return (w.bytes.into(), true);
            };
            match &self.lists {
                Some(lists) if !lists.contains(&node.acl) => {
                    let mut node = node.clone();
                    node.acl = Acl::OPEN;
                    write_node(&mut w, &path, &node);
                }
                _ => write_node(&mut w, &path, node),
            }
            self.nodes += 1;
            self.last = Some(path);
        }
        (w.bytes.into(), false)
    }
}

fn write_header(w: &mut Writer, begun: Zxid, db: &Database) {
    assert!(
        begun <= db.applied(),
        "named {begun}, applied {}",
        db.applied()
    );
    w.u32(MAGIC);
    w.u8(VERSION);
    w.zxid(begun);
    let none = db.tree.bugs.has(Bug::SnapshotWithoutSessions);
    let sessions = db.sessions().iter().filter(|_| !none);
    w.list(
        sessions.collect::<Vec<_>>().into_iter(),
        |w, (session, timeout_ms)| {
            w.session(*session);
            w.u32(*timeout_ms);
        },
    );
}

fn write_node(w: &mut Writer, path: &str, node: &Node) {
    w.u8(NODE);
    w.str(path);
    w.data(&node.data);
    w.zxid(node.czxid);
    w.zxid(node.mzxid);
    w.zxid(node.pzxid);
    w.i64(node.ctime);
    w.i64(node.mtime);
    w.i32(node.version);
    w.i32(node.creates);
    w.i32(node.aversion);
    w.acl(&node.acl);
    w.owner(node.owner);
}

fn read_node(r: &mut Reader<'_>) -> Result<(ZPath, Node), DecodeError> {
    let path = r.path()?;
    let data = r.data()?;
    let mut node = Node::new(&path, data, Acl::OPEN, Owner::Nobody, r.zxid()?, 0);
    node.mzxid = r.zxid()?;
    node.pzxid = r.zxid()?;
    node.ctime = r.i64()?;
    node.mtime = r.i64()?;
    node.version = r.i32()?;
    node.creates = r.i32()?;
    node.aversion = r.i32()?;
    node.acl = r.acl()?;
    node.owner = r.owner()?;
    node.rehash();
    Ok((path, node))
}

/// Reads a snapshot's pieces; none at all is the initial state.
pub(crate) fn restore(chunks: &[Payload]) -> Result<Database, DecodeError> {
    match chunks {
        [] => Ok(Database::new()),
        [one] => restore_bytes(one),
        many => restore_bytes(&many.concat()),
    }
}

fn restore_bytes(bytes: &[u8]) -> Result<Database, DecodeError> {
    let mut r = Reader::new(bytes, "snapshot");
    let magic = r.u32()?;
    if magic != MAGIC {
        return Err(r.error(format!(
            "a snapshot begins with {MAGIC:#x}, this with {magic:#x}"
        )));
    }
    let version = r.u8()?;
    if version != VERSION {
        return Err(r.error(format!("version {version}; {VERSION} is understood")));
    }
    let begun = r.zxid()?;
    let sessions = r.list(12, |r| Ok((r.session()?, r.u32()?)))?;
    let mut tree = Tree::empty();
    loop {
        match r.u8()? {
            NODE => {
                let (path, node) = read_node(&mut r)?;
                let shown = path.clone();
                tree.insert_loaded(path, node)
                    .map_err(|why| r.error(format!("{shown}: {why}")))?;
            }
            END => break,
            other => return Err(r.error(format!("{other} is neither a node nor the end"))),
        }
    }
    let finished = r.zxid()?;
    let nodes = r.u32()? as usize;
    r.end()?;
    if nodes != tree.len() {
        return Err(r.error(format!("{} nodes found, {nodes} were written", tree.len())));
    }
    if finished < begun {
        return Err(r.error(format!("begun at {begun} but finished at {finished}")));
    }
    Ok(Database::restored(tree, sessions, begun, finished))
}
