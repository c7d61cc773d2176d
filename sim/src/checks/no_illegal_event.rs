//! **No illegal event**: nothing happens that the phase does not allow: no state, acknowledgement, proposal or commit out of
//! its place; no server stops itself without a cause outside; none goes on after a failed write.
//!
//! Can an illegal message be provoked legitimately? No. Links are FIFO and loss-free until they break, every connection is
//! a link of its own with its own handshake, and what arrives by a link whose role has ended is not looked at. So a message
//! that the phase does not allow was *sent* wrongly, whatever the network, the clocks and the disks did; a damaged disk
//! makes a server refuse to start or to vote, not talk nonsense. Election notifications are datagrams and never illegal.
//!
//! So both ends are looked at: what the receiver reports, and whether the sender's own role and phase allow what it sends, to
//! whom it sends it. A learner acknowledges NEWLEADER only where one was sent, and proposals only after that.
//!
//! Likewise a server may stop itself (`Fatal`) only where a disk operation failed, or bits of its disk are flipped, or reads
//! lie; a blank disk is no reason. After a failed operation it does nothing more to its disk, and says nothing more.
//!
//! Source: ZooKeeper TLA+ specification, the `Violated` flags for illegal states, acks, proposals and commits; Remix
//! (EuroSys'25) I-12 to I-14; ZOOKEEPER-4685, 4394, 2247, 2307.

use super::CheckId::NoIllegalEvent as ID;
use super::docket::Docket;
use super::mirror::{Mirror, Server};
use zab::{DiskOp, Message, PeerState, Phase, Role};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "no-illegal-event";
pub(super) const ABOUT: &str =
    "no message, stop or acknowledgement comes where the phase forbids it.";

/// `server` got a message that its phase does not allow.
pub(super) fn on_illegal(d: &mut Docket, server: ServerId, message: &str, phase: Phase, why: &str) {
    d.breach(ID, || {
        format!("{server} got {message} in phase {phase:?}: {why}")
    });
}

/// `from` sends `message`.
#[inline]
pub(super) fn on_sent(m: &Mirror, d: &mut Docket, from: ServerId, to: ServerId, message: &Message) {
    let server = m.server(from);
    d.require(ID, server.up && !server.disk_failed, || {
        let why = if server.up {
            "after a disk operation has failed; it must stop"
        } else {
            "while it is down"
        };
        format!("{from} sends {} to {to} {why}", message.name())
    });
    let in_place = server.role.is_some_and(|role| allows(&role, to, message));
    if !in_place {
        d.breach(ID, || {
            format!(
                "{from} sends {} to {to}, which its place does not allow: {}",
                message.name(),
                place(server)
            )
        });
    }
    match message {
        // An ACK of a proposal that overtakes ACK(NEWLEADER) makes the leader drop the learner, again and again.
        Message::Ack { .. } if server.acked_epoch.is_none() => d.breach(ID, || {
            format!("{from} sends ACK to {to} before it has acknowledged NEWLEADER")
        }),
        Message::AckNewLeader { epoch } => {
            let sent = m.server(to).stream(from).new_leader;
            if sent != Some(*epoch) {
                d.breach(ID, || {
                    format!("{from} acknowledges NEWLEADER({epoch}), which {to} has not sent")
                });
            }
        }
        _ => {}
    }
}

/// Whether a server in this role may send this.
#[inline]
fn allows(role: &Role, to: ServerId, message: &Message) -> bool {
    use Phase::{Broadcast, Discovery, Synchronization};
    let leads = role.state == PeerState::Leading;
    let learns = matches!(role.state, PeerState::Following | PeerState::Observing)
        && role.leader.is_some_and(|leader| leader.0 == to.0);
    let phase = role.phase;
    match message {
        Message::LearnerInfo { .. } => learns && phase == Discovery,
        Message::LeaderInfo { .. } => {
            leads && matches!(phase, Discovery | Synchronization | Broadcast)
        }
        Message::AckEpoch { .. } | Message::AckNewLeader { .. } => {
            learns && phase == Synchronization
        }
        Message::Diff { .. }
        | Message::Trunc { .. }
        | Message::Snap { .. }
        | Message::SnapChunk { .. }
        | Message::Proposal(_)
        | Message::Commit { .. }
        | Message::NewLeader { .. } => leads && matches!(phase, Synchronization | Broadcast),
        Message::Inform(_)
        | Message::CommitAndActivate { .. }
        | Message::InformAndActivate { .. }
        | Message::UpToDate
        | Message::Ping { .. }
        | Message::Synced { .. } => leads && phase == Broadcast,
        Message::Ack { .. } => {
            role.state == PeerState::Following
                && learns
                && matches!(phase, Synchronization | Broadcast)
        }
        Message::Pong { .. } => learns && matches!(phase, Synchronization | Broadcast),
        Message::Request(_) | Message::Sync { .. } => learns && phase == Broadcast,
        Message::App(_) => (leads || learns) && phase == Broadcast,
    }
}

fn place(server: &Server) -> String {
    match server.role {
        None => "it has no role".to_owned(),
        Some(role) => match role.leader {
            Some(leader) => format!("{:?} {leader}, in {:?}", role.state, role.phase),
            None => format!("{:?}, in {:?}", role.state, role.phase),
        },
    }
}

/// `server` does something to its disk.
#[inline]
pub(super) fn on_disk(m: &Mirror, d: &mut Docket, server: ServerId, op: &DiskOp) {
    if m.server(server).disk_failed {
        d.breach(ID, || {
            format!("{server} goes on to {op:.60?} after a disk operation has failed; it must stop")
        });
    }
}

/// `server` stops itself.
pub(super) fn on_fatal(m: &Mirror, d: &mut Docket, server: ServerId, reason: &str) {
    let s = m.server(server);
    d.require(ID, s.disk_failed || s.may_misread(), || {
        format!("{server} stops itself though nothing is wrong with its disk: {reason}")
    });
}
