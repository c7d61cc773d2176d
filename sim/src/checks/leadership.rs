//! **Leadership** (primary uniqueness): an epoch has at most one leader, in one term of office, and that one has its quorums.
//!
//! A leader claims its epoch by sending NEWLEADER, for which it needs a quorum of ACKEPOCH, and again when it is
//! established, for which it needs a quorum of ACK(NEWLEADER). Counted are voters, the leader itself among them, that are fit to
//! vote: what a server says whose disk is blank counts for nobody, nor does an ACKEPOCH without an epoch (−1). A server
//! that loses its office and comes back needs a new epoch like anybody else. A quorum is one of the configuration that stands last
//! in the leader's own history, and of the one before it too, as long as it is not committed. To later learners an established
//! leader sends NEWLEADER as it stands: configurations that it has made since change nothing about who promised. A leader without
//! a vote in the configuration that it knows to be in force proposes nothing; and who has no weight in any configuration that there
//! ever was is not elected (ZOOKEEPER-498).
//!
//! Source: ZAB, DSN'11 §III (primary order needs unique epochs); ZooKeeper TLA+ specification, `Leadership1` and
//! `Leadership2`; ZOOKEEPER-335 (accepted epoch not persisted), rule "the −1 answer does not count".

use super::CheckId::Leadership as ID;
use super::decode::Record;
use super::docket::Docket;
use super::mirror::{Joint, Mirror, Server};
use std::collections::BTreeMap;
use zab::{Epoch, Message, PeerId, PeerSet};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "leadership";
pub(super) const ABOUT: &str =
    "an epoch has at most one leader, in one term of office, by a quorum.";

#[derive(Default)]
pub(super) struct Leadership {
    claims: BTreeMap<Epoch, (ServerId, u32)>,
    /// By leader: who has answered it, in its last term of office.
    answers: BTreeMap<ServerId, Answers>,
}

#[derive(Default)]
struct Answers {
    term: u32,
    epoch: Epoch,
    /// Who sent an ACKEPOCH that counts.
    promised: PeerSet,
    /// Who sent an ACK(NEWLEADER) that counts.
    acknowledged: PeerSet,
}

impl Leadership {
    /// `from` sends `message` to `to`.
    pub(super) fn on_sent(
        &mut self,
        m: &Mirror,
        d: &mut Docket,
        from: ServerId,
        to: ServerId,
        message: &Message,
    ) {
        match message {
            Message::AckEpoch {
                current: Some(_), ..
            } if m.server(from).disk.marked => {
                let offered = m.server(to).stream(from).offered;
                if let Some(answers) = offered.and_then(|epoch| self.answered(m, from, to, epoch)) {
                    answers.promised.insert(PeerId(from.0));
                }
            }
            Message::AckNewLeader { epoch } if m.server(from).disk.marked => {
                if let Some(answers) = self.answered(m, from, to, *epoch) {
                    answers.acknowledged.insert(PeerId(from.0));
                }
            }
            Message::NewLeader { epoch } => {
                self.on_claim(m, d, from, *epoch);
                // One that joins an epoch that is established. Whoever votes by now, the promises were of those who did then.
                if m.server(from).established == Some(*epoch) {
                    return;
                }
                let promised = self.answers(m, from, *epoch).promised;
                with_quorum(m, d, from, promised, || {
                    format!("{from} sends NEWLEADER({epoch}) to {to}, with ACKEPOCH of")
                });
            }
            _ => {}
        }
    }

    /// `leader` has established `epoch`.
    pub(super) fn on_established(
        &mut self,
        m: &Mirror,
        d: &mut Docket,
        leader: ServerId,
        epoch: Epoch,
    ) {
        self.on_claim(m, d, leader, epoch);
        let acknowledged = self.answers(m, leader, epoch).acknowledged;
        with_quorum(m, d, leader, acknowledged, || {
            format!("{leader} has established epoch {epoch}, with ACK(NEWLEADER) of")
        });
        d.require(ID, m.weighs_somewhere(leader), || {
            format!("{leader} has established epoch {epoch}, and its vote weighs nothing in any configuration")
        });
    }

    /// Where an answer of `from` to `leader` counts: not at all if it is to a term of office that is over. Such an answer can be
    /// long on its way: LEADERINFO may have been held back, and the learner has not heard that the link is dead.
    fn answered(
        &mut self,
        m: &Mirror,
        from: ServerId,
        leader: ServerId,
        epoch: Epoch,
    ) -> Option<&mut Answers> {
        let in_time = m.server(leader).stream(from).term == m.server(leader).term;
        in_time.then(|| self.answers(m, leader, epoch))
    }

    fn answers(&mut self, m: &Mirror, leader: ServerId, epoch: Epoch) -> &mut Answers {
        let term = m.server(leader).term;
        let answers = self.answers.entry(leader).or_default();
        if (answers.term, answers.epoch) != (term, epoch) {
            *answers = Answers {
                term,
                epoch,
                ..Answers::default()
            };
        }
        answers
    }

    /// `leader` sends NEWLEADER of `epoch`, or has established it.
    fn on_claim(&mut self, m: &Mirror, d: &mut Docket, leader: ServerId, epoch: Epoch) {
        let claim = (leader, m.server(leader).term);
        let first = *self.claims.entry(epoch).or_insert(claim);
        d.require(ID, first == claim, || {
            if first.0 == leader {
                format!("{leader} leads epoch {epoch} in a second term of office; a new term needs a new epoch")
            } else {
                format!(
                    "{leader} leads epoch {epoch}, which {} has led before; an epoch has one leader",
                    first.0
                )
            }
        });
    }
}

/// A leader proposes a transaction. One that knows the configuration to be in force in which it has no vote leads no more: the
/// configuration named another one.
#[inline]
pub(super) fn on_proposed(m: &Mirror, d: &mut Docket, leader: ServerId, record: &Record) {
    let (Some(config), _) = m.ledger.configs_at(record.prev) else {
        return;
    };
    let in_force = m.server(leader).committed >= config.version();
    let votes = config.quorum().is_voter(PeerId(leader.0));
    d.require(ID, votes || !in_force, || {
        format!(
            "{leader} proposes {}, and has no vote in the configuration in force, {config}",
            record.zxid
        )
    });
}

fn with_quorum(
    m: &Mirror,
    d: &mut Docket,
    leader: ServerId,
    answers: PeerSet,
    what: impl Fn() -> String,
) {
    let counts = |s: &Server| s.id == leader || answers.contains(PeerId(s.id.0));
    let tail = m.server(leader).disk.history.durable_tail();
    d.require(
        ID,
        m.is_quorum_for(tail, Joint::WhileUncommitted, counts),
        || format!("{} {}, which is no quorum", what(), m.names(counts)),
    );
}
