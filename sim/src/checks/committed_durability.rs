//! **Committed durability**: whatever is committed is on the durable disks of a quorum of voters, always.
//!
//! A log has no holes (history consistency), so whoever holds the last committed transaction holds all before it: the last
//! one is looked for, at every commit and whenever a disk loses something. A disk that the nemesis damaged counts with what
//! it held before, until its server is resynchronized: a loss beyond that budget is not the protocol's.
//!
//! A quorum is one of the configuration in force at that transaction; a reconfiguration itself must be on a quorum of both,
//! the one that it ends and the one that it begins.
//!
//! Source: ZAB, DSN'11 §IV-A (quorum intersection); Shraer et al., ATC'12 §3; ZooKeeper TLA+ specification, `CommittedLogDurability`; ZOOKEEPER-3911,
//! 4643, 2325.

use super::CheckId::CommittedDurability as ID;
use super::docket::Docket;
use super::mirror::{Joint, Mirror, Server};
use zab::Zxid;
use zabsim_types::ServerId;

pub(super) const NAME: &str = "committed-durability";
pub(super) const ABOUT: &str = "what is committed is on the durable disks of a quorum.";

/// The committed sequence has grown.
#[inline]
pub(super) fn on_commit(m: &Mirror, d: &mut Docket, leader: ServerId) {
    look(m, d, || format!("{leader} has committed it"));
}

/// `server`'s disk holds less than before, or something else.
pub(super) fn on_loss(m: &Mirror, d: &mut Docket, server: ServerId) {
    look(m, d, || {
        format!("{server}'s disk has lost it or something before it")
    });
}

#[inline]
fn look(m: &Mirror, d: &mut Docket, after: impl Fn() -> String) {
    let last = m.ledger.last_committed();
    if last == Zxid::ZERO {
        return; // nothing is committed yet
    }
    let sum = m.ledger.fact(last).map(|fact| fact.sum);
    let holds = |s: &Server| sum.is_some_and(|sum| m.holds_durably(s, last, sum));
    d.require(ID, m.is_quorum_for(last, Joint::AtItself, holds), || {
        format!(
            "{last} is committed and durable only at {}, which is no quorum; {}",
            m.names(holds),
            after()
        )
    });
}
