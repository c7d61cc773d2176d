//! Messages and effects as a reader of a transcript wants them.

use std::sync::Arc;
use zab::{Delivery, Effect, LinkId, Message, Note, PeerId, Txn};

fn txn(txn: &Arc<Txn>) -> String {
    txn.zxid.to_string()
}

/// `FOLLOWERINFO, accepted 3`.
pub fn describe(message: &Message) -> String {
    let name = message.name();
    match message {
        Message::LearnerInfo {
            accepted, blank, ..
        } => {
            let blank = if *blank { ", blank disk" } else { "" };
            format!("{name}, accepted {accepted}{blank}")
        }
        Message::LeaderInfo { epoch }
        | Message::NewLeader { epoch }
        | Message::AckNewLeader { epoch } => format!("{name}, epoch {epoch}"),
        Message::AckEpoch {
            last,
            current: Some(current),
            ..
        } => format!("{name}, current {current}, log to {last}"),
        Message::AckEpoch { last, .. } => format!("{name}, −1, log to {last}"),
        Message::Diff { to } | Message::Trunc { to } => format!("{name} to {to}"),
        Message::Snap { zxid, .. } => format!("{name} of {zxid}"),
        Message::SnapChunk { last, .. } => {
            format!("{name}{}", if *last { ", the last" } else { "" })
        }
        Message::Proposal(t) | Message::Inform(t) => format!("{name} {}", txn(t)),
        Message::CommitAndActivate { zxid, leader } => format!("{name} {zxid}, {leader} leads"),
        Message::InformAndActivate { txn: t, leader } => {
            format!("{name} {}, {leader} leads", txn(t))
        }
        Message::Commit { zxid } | Message::Ack { zxid } => format!("{name} {zxid}"),
        Message::Sync { quorum, .. } => {
            format!("{name}{}", if *quorum { ", by quorum" } else { "" })
        }
        Message::Ping { round } | Message::Pong { round } => format!("{name} {round}"),
        _ => name.to_string(),
    }
}

/// A line of the transcript, if the effect is worth one. Pings, election messages and the disk's single operations are not.
pub fn describe_effect(
    id: PeerId,
    effect: &Effect,
    peer_of: impl Fn(LinkId) -> Option<PeerId>,
) -> Option<String> {
    match effect {
        Effect::Send {
            message: Message::Ping { .. } | Message::Pong { .. },
            ..
        } => None,
        Effect::Send { link, message } => {
            let to = peer_of(*link)?;
            Some(format!("{id} → {to}  {}", describe(message)))
        }
        Effect::Deliver { txn, delivery } => Some(format!(
            "{id}       {} {}",
            match delivery {
                Delivery::Committed => "delivers",
                Delivery::Replayed => "replays",
            },
            txn.zxid
        )),
        Effect::Restore { zxid, .. } => Some(format!("{id}       restores {zxid}")),
        Effect::RoleChanged(role) => Some(format!(
            "{id}       is {:?}, {:?}, epoch {}",
            role.state, role.phase, role.epoch
        )),
        Effect::SyncDone { .. } => Some(format!("{id}       passes the barrier")),
        Effect::SyncLost { .. } => Some(format!("{id}       loses the barrier")),
        Effect::BeginSnapshot { zxid, .. } => {
            Some(format!("{id}       begins a snapshot at {zxid}"))
        }
        Effect::AbandonSnapshot { .. } => Some(format!("{id}       abandons a snapshot")),
        Effect::Fatal { reason } => Some(format!("{id}       stops: {reason}")),
        Effect::Note(note) => Some(format!("{id}       {}", describe_note(note)?)),
        _ => None,
    }
}

fn describe_note(note: &Note) -> Option<String> {
    Some(match note {
        Note::AcceptedEpoch(epoch) => format!("has acceptedEpoch {epoch} on disk"),
        Note::CurrentEpoch(epoch) => format!("has currentEpoch {epoch} on disk"),
        Note::Logged { zxid } => format!("has its log to {zxid} on disk"),
        Note::Truncated { to } => format!("has cut its log to {to}"),
        Note::SnapshotInstalled { zxid } => format!("has the snapshot of {zxid} on disk"),
        Note::SyncChosen {
            learner,
            last,
            kind,
            source,
        } => format!("chooses {kind:?} ({source:?}) for {learner} at {last}"),
        Note::Established { epoch, history } => {
            format!("has established epoch {epoch} with history to {history}")
        }
        Note::SteppedDown { reason } => format!("steps down: {reason}"),
        Note::IllegalMessage { message, why, .. } => format!("refuses {message}: {why}"),
        Note::Mark(name) => format!("* {name}"),
        _ => return None,
    })
}
