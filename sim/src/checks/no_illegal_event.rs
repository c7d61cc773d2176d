//! **No illegal event**: nothing happens that the phase does not allow: no state, acknowledgement, proposal or commit out of
//! its place; no server stops itself without a cause outside; none goes on after a failed write.
//!
//! Can an illegal message be provoked legitimately? No. Links are FIFO and loss-free until they break, every connection is
//! a link of its own with its own handshake, and what arrives by a link whose role has ended is not looked at. So a message
//! that the phase does not allow was *sent* wrongly, whatever the network, the clocks and the disks did; a damaged disk
//! makes a server refuse to start or to vote, not talk nonsense. Election notifications are datagrams and never illegal.
//!
//! Likewise a server may stop itself (`Fatal`) only where a disk operation failed, a read was bad, or its disk is damaged.
//!
//! Source: ZooKeeper TLA+ specification, the `Violated` flags for illegal states, acks, proposals and commits; Remix
//! (EuroSys'25) I-12 to I-14; ZOOKEEPER-4685, 4394, 2247, 2307.

use super::CheckId::NoIllegalEvent as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use zab::{Message, Phase};
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
    // An ACK of a proposal that overtakes ACK(NEWLEADER) makes the leader drop the learner, again and again.
    if matches!(message, Message::Ack { .. }) && server.acked_epoch.is_none() {
        d.breach(ID, || {
            format!("{from} sends ACK to {to} before it has acknowledged NEWLEADER")
        });
    }
}

/// `server` stops itself.
pub(super) fn on_fatal(m: &Mirror, d: &mut Docket, server: ServerId, reason: &str) {
    let s = m.server(server);
    d.require(
        ID,
        s.disk_failed || s.disk_suspect || s.is_damaged(),
        || format!("{server} stops itself though nothing is wrong with its disk: {reason}"),
    );
}
