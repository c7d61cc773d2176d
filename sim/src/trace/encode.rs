//! The stable binary encoding of everything that enters the trace hash: each variant has its number, integers are
//! little-endian, sequences carry their length. A number, once given, stays: changing one changes every trace hash.
//! `Debug` text is never hashed, since derive may print it another way tomorrow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zabsim_types::{
    Acl, AclEntry, AddWatchMode, CallId, ClientFrame, ConnectReply, ConnectRequest, CreateMode,
    ErrorCode, Id, Op, Perms, RecipeEvent, RecipeStep, Reply, ServerFrame, ServerId, SessionChange,
    SessionId, Stat, SyncMode, WatchEvent, WatchKind, WatcherType, Xid, Zxid,
};

/// Has a stable encoding.
pub(crate) trait Encode {
    /// Appends it.
    fn encode(&self, out: &mut Vec<u8>);
}

macro_rules! integers {
    ($($t:ty),*) => {
        $(impl Encode for $t {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        })*
    };
}
integers!(u8, u32, i32, u64, i64);

impl Encode for bool {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Encode for usize {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        (*self as u64).encode(out);
    }
}

impl Encode for [u8] {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u32).encode(out);
        out.extend_from_slice(self);
    }
}

impl Encode for [u8; 16] {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Encode for str {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode(out);
    }
}

impl Encode for &str {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode(out);
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode(out);
    }
}

macro_rules! pointers {
    ($($pointer:ident),*) => {
        $(impl<T: Encode + ?Sized> Encode for $pointer<T> {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                (**self).encode(out);
            }
        })*
    };
}
pointers!(Arc, Box);

impl<T: Encode> Encode for Option<T> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u32).encode(out);
        for item in self {
            item.encode(out);
        }
    }
}

impl<T: Encode> Encode for BTreeSet<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u32).encode(out);
        for item in self {
            item.encode(out);
        }
    }
}

impl<K: Encode, V: Encode> Encode for BTreeMap<K, V> {
    fn encode(&self, out: &mut Vec<u8>) {
        (self.len() as u32).encode(out);
        for (key, value) in self {
            key.encode(out);
            value.encode(out);
        }
    }
}

impl<T: Encode, E: Encode> Encode for Result<T, E> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Ok(value) => {
                out.push(0);
                value.encode(out);
            }
            Err(error) => {
                out.push(1);
                error.encode(out);
            }
        }
    }
}

macro_rules! structs {
    ($($t:ty { $($field:tt),* })*) => {
        $(impl Encode for $t {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$field.encode(out);)*
            }
        })*
    };
}

macro_rules! enums {
    ($($t:ty { $($tag:literal $variant:ident $({ $($field:ident),* })? $(( $($part:ident),* ))?),* $(,)? })*) => {
        $(impl Encode for $t {
            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field),* })? $(( $($part),* ))? => {
                        out.push($tag);
                        $($($field.encode(out);)*)?
                        $($($part.encode(out);)*)?
                    })*
                }
            }
        })*
    };
}

structs! {
    CallId { 0 }
    ServerId { 0 }
    SessionId { 0 }
    Xid { 0 }
    Zxid { 0 }
    zabsim_types::Time { 0 }
    Stat { czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeral_owner, data_length, num_children, pzxid }
    WatchEvent { kind, path }
    ConnectRequest { last_zxid_seen, timeout_ms, session, password, read_only }
    ConnectReply { timeout_ms, session, password, server, read_only }
    Perms { 0 }
    Id { scheme, id }
    AclEntry { perms, id }
    RecipeEvent { object, step }

    zab::PeerId { 0 }
    zab::Epoch { 0 }
    zab::Zxid { 0 }
    zab::Time { 0 }
    zab::LinkId { 0 }
    zab::Ticket { 0 }
    zab::SnapshotId { 0 }
    zab::SyncId { 0 }
    zab::Vote { leader, zxid, peer_epoch }
    zab::Notification { vote, round, state, membership }
    zab::Txn { zxid, prev, record }
    zab::Role { state, phase, epoch, leader }
    zab::QuorumConfig { voters, observers, rule }

    zabsim_server::ConnId { 0 }
}

impl Encode for zab::Configuration {
    fn encode(&self, out: &mut Vec<u8>) {
        self.version().encode(out);
        self.quorum().encode(out);
    }
}

/// The ensemble's first configuration, which most runs never leave, costs one byte.
impl Encode for zab::Membership {
    fn encode(&self, out: &mut Vec<u8>) {
        let active = self.active();
        let changed = (active.version() != zab::Zxid::ZERO).then(|| active.clone());
        changed.encode(out);
        self.pending().cloned().encode(out);
    }
}

/// The open list, which nearly every node has, costs one byte.
impl Encode for Acl {
    fn encode(&self, out: &mut Vec<u8>) {
        let entries = (!self.is_open()).then(|| self.entries().to_vec());
        entries.encode(out);
    }
}

impl Encode for ErrorCode {
    fn encode(&self, out: &mut Vec<u8>) {
        self.code().encode(out);
    }
}

enums! {
    CreateMode {
        0 Persistent,
        1 Ephemeral,
        2 PersistentSequential,
        3 EphemeralSequential,
        4 Container,
        5 PersistentWithTtl { ttl_ms },
        6 PersistentSequentialWithTtl { ttl_ms },
        7 Invalid { flags, ttl_ms },
    }
    SyncMode { 0 Leader, 1 Quorum }
    WatchKind {
        1 NodeCreated,
        2 NodeDeleted,
        3 NodeDataChanged,
        4 NodeChildrenChanged,
        5 DataWatchRemoved,
        6 ChildWatchRemoved,
        7 PersistentWatchRemoved,
    }
    AddWatchMode { 0 Persistent, 1 PersistentRecursive }
    WatcherType { 1 Children, 2 Data, 3 Any, 4 Persistent, 5 PersistentRecursive }
    Op {
        1 Create { path, data, mode, with_stat, acl },
        2 Delete { path, version },
        3 Exists { path, watch },
        4 GetData { path, watch },
        5 SetData { path, data, version },
        8 GetChildren { path, watch, with_stat },
        9 Sync { path, mode },
        13 Check { path, version },
        14 Multi { ops },
        11 CloseSession,
        6 GetAcl { path },
        7 SetAcl { path, acl, version },
        100 AddAuth { scheme, auth },
        107 WhoAmI,
        20 DeleteContainer { path },
        106 AddWatch { path, mode },
        18 RemoveWatches { path, kind },
        17 CheckWatches { path, kind },
        22 MultiRead { ops },
        103 GetEphemerals { prefix },
        104 GetAllChildrenNumber { path },
        16 Reconfig { joining, leaving, new_members, from_config },
    }
    Reply {
        1 Created { path, stat },
        2 Deleted,
        3 Exists { stat },
        4 Data { data, stat },
        5 Set { stat },
        8 Children { names, stat },
        9 Synced { path },
        13 Checked,
        14 Multi { results },
        15 MultiFailed { errors },
        11 Closed,
        6 Acl { acl, stat },
        7 AclSet { stat },
        100 AuthAdded,
        107 Identities { ids },
        106 WatchAdded,
        18 WatchesRemoved,
        17 WatchesChecked,
        22 MultiRead { results },
        103 Ephemerals { paths },
        104 ChildrenNumber { number },
        16 Reconfigured { data, stat },
    }
    ClientFrame {
        0 Connect(request),
        1 Request { xid, op },
        2 Ping,
        3 SetWatches { relative, data, exists, child, persistent, recursive },
    }
    ServerFrame {
        0 Connected(reply),
        1 Reply { xid, zxid, result },
        2 Event { zxid, event },
        3 Pong { zxid },
        4 WatchesSet { zxid },
    }
    SessionChange {
        0 Connected { server, conn, timeout_ms, reattached, read_only },
        1 WatchesSet { relative, zxid, conn },
        2 Disconnected,
        3 Expired,
        4 Closed,
        5 AuthFailed,
    }
    RecipeStep {
        0 LockWanted,
        1 LockAcquired { token },
        2 LockReleased { token },
        3 LockLost { token },
        4 FencedWrite { token, accepted },
        5 ElectionEntered,
        6 LeaderElected { term },
        7 LeaderResigned { term },
    }

    zab::PeerState { 0 Looking, 1 Following, 2 Leading, 3 Observing }
    zab::Phase {
        0 Recovery, 1 Draining, 2 Election, 3 Discovery, 4 Synchronization, 5 Broadcast, 6 Stopped,
    }
    zab::FileName {
        0 AcceptedEpoch,
        1 CurrentEpoch,
        2 Initialized,
        3 Log { generation, first },
        4 Snapshot { generation, zxid },
        5 SnapshotPart { generation, zxid },
        6 Configuration,
    }
    zab::DiskOp {
        0 Append { file, bytes },
        1 Sync { file, ticket },
        2 Replace { file, bytes, ticket },
        3 Rename { from, to, ticket },
        4 Truncate { file, len, ticket },
        5 Delete { file, ticket },
        6 List { ticket },
        7 Read { file, ticket },
    }
    zab::DiskData { 0 Files(files), 1 Bytes(bytes) }
    zab::DiskError { 0 Io, 1 Full }
    zab::Message {
        11 LearnerInfo { accepted, observer, blank, config },
        17 LeaderInfo { epoch },
        18 AckEpoch { last, current, floor },
        13 Diff { to },
        14 Trunc { to },
        15 Snap { zxid, membership },
        20 SnapChunk { bytes, last },
        2 Proposal(txn),
        4 Commit { zxid },
        8 Inform(txn),
        9 CommitAndActivate { zxid, leader },
        19 InformAndActivate { txn, leader },
        10 NewLeader { epoch },
        21 AckNewLeader { epoch },
        12 UpToDate,
        3 Ack { zxid },
        5 Ping { round },
        22 Pong { round },
        1 Request(payload),
        7 Sync { id, quorum },
        23 Synced { id },
        24 App(payload),
    }
    zab::Timer { 0 Election, 1 Tick, 2 Deadline }
    zab::Delivery { 0 Committed, 1 Replayed }
    zab::Input {
        0 Boot,
        1 DiskDone { ticket },
        2 DiskFailed { file, error },
        3 ReadDone { ticket, data },
        4 Timer(timer),
        5 Notification { from, notification },
        6 LinkOpened { link, peer, outgoing },
        7 ConnectFailed { peer },
        8 LinkBroken { link },
        9 Message { link, message },
        10 Propose { zxid, payload },
        11 Request { payload },
        12 ToLeader { payload },
        13 ToLearner { peer, payload },
        14 Sync { id, quorum },
        15 Applied { zxid },
        16 SnapshotChunk { snapshot, bytes, last },
        17 RestoreFailed,
        18 Reconfigure { zxid, quorum, payload },
    }
    zab::QuorumRule { 0 Majority, 1 Hierarchical { groups, weights } }
    zab::Effect {
        0 Notify { to, notification },
        1 Connect { peer },
        2 Send { link, message },
        3 CloseLink { link },
        4 Disk(op),
        5 SetTimer { timer, at },
        6 Deliver { txn, delivery },
        7 SyncDone { id },
        8 SyncLost { id },
        9 Restore { zxid, chunks },
        10 BeginSnapshot { snapshot, zxid },
        11 AbandonSnapshot { snapshot },
        12 RequestReceived { from, payload },
        13 FromLearner { from, payload },
        14 FromLeader { payload },
        15 RoleChanged(role),
        16 Fatal { reason },
        17 Note(note),
    }
    zab::SyncKind { 0 EmptyDiff, 1 Diff, 2 Trunc, 3 TruncDiff, 4 Snap }
    zab::SyncSource { 0 CommittedLog, 1 DiskLog }
    zab::Note {
        0 Recovered { last, accepted, current, torn_bytes, blank },
        1 ElectionRound { round },
        2 AcceptedEpoch(epoch),
        3 CurrentEpoch(epoch),
        4 SyncChosen { learner, last, kind, source },
        5 LearnerUpToDate { learner },
        6 Established { epoch, history },
        7 Proposed { txn },
        8 Logged { zxid },
        9 Committed { zxid },
        10 Truncated { to },
        11 SnapshotInstalled { zxid },
        12 SnapshotTaken { zxid },
        13 SteppedDown { reason },
        14 IllegalMessage { message, phase, why },
        15 Mark(name),
        16 ConfigurationPending(config),
        17 ConfigurationActive(config),
    }

    zabsim_server::Stage { 0 Prepare, 1 Apply, 2 Snapshot }
    zabsim_server::Timer { 0 Zab(timer), 1 Sessions, 2 ReadOnly }
    zabsim_server::Input {
        0 Zab(input),
        1 Timer(timer),
        2 Run(stage),
        3 ClientOpened { conn },
        4 ClientFrame { conn, frame },
        5 ClientClosed { conn },
    }
    zabsim_server::Effect {
        0 Zab(effect),
        1 SetTimer { timer, at },
        2 Schedule(stage),
        3 Frame { conn, frame },
        4 CloseClient { conn },
        5 Note(note),
    }
    zabsim_server::Note {
        0 Applied { zxid, digest, committed },
        1 Restored { zxid },
        2 SessionExpiring { session },
        3 RefusedFromFuture { seen, applied },
        4 SessionMoved { session },
        5 Mark(name),
    }

    zabsim_client::Input {
        0 Open,
        1 Connected,
        2 Disconnected,
        3 Frame(frame),
        4 Timer,
        5 Submit { call, op },
        6 Move { to },
        7 TrialConnected,
        8 TrialDisconnected,
        9 TrialFrame(frame),
    }
    zabsim_client::Outcome {
        0 Replied { xid, conn, zxid, result },
        1 Lost { error, sent, xid },
    }
    zabsim_client::Effect {
        0 Connect { server },
        1 Disconnect,
        2 Send(frame),
        3 SetTimer { at },
        4 Complete { call, outcome },
        5 Event { zxid, conn, event },
        6 Changed { session, change },
        7 Try { server },
        8 TrialSend(frame),
        9 TrialEnd,
        10 TrialTake,
    }
    zabsim_client::Command {
        0 Open,
        1 Submit { call, op },
        2 Sleep { sleeper, micros },
        3 CancelSleep { sleeper },
        4 Move { to },
        5 Record(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: &impl Encode) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    }

    #[test]
    fn the_encoding_is_fixed() {
        let message = zab::Input::Message {
            link: zab::LinkId(0x0102),
            message: zab::Message::Ack {
                zxid: zab::Zxid::new(zab::Epoch(1), 7),
            },
        };
        assert_eq!(
            encoded(&message),
            [9, 2, 1, 0, 0, 0, 0, 0, 0, 3, 7, 0, 0, 0, 1, 0, 0, 0]
        );
    }

    /// Without their lengths, two neighbouring strings could trade letters unseen.
    #[test]
    fn sequences_carry_their_length() {
        let create = |path: &str, data: &[u8]| Op::Create {
            path: path.into(),
            data: Some(data.into()),
            mode: CreateMode::Persistent,
            with_stat: false,
            acl: Acl::OPEN,
        };
        assert_ne!(encoded(&create("/a", b"bc")), encoded(&create("/ab", b"c")));
        assert_ne!(encoded(&Some(0u8)), encoded(&Option::<u8>::None));
        assert_ne!(encoded(&Ok::<u8, u8>(1)), encoded(&Err::<u8, u8>(1)));
    }
}
