//! The judge of survivable damage: says, before a disk is damaged, whether a correct ensemble still owes its clients anything
//! afterwards. Beyond that line no protocol can promise anything, and a failure found there would prove nothing.
//!
//! **Words.** *Damage* is harm to what was durable: a wiped disk, a flipped bit, a read that lies. A damaged voter is
//! *known-bad* where it can see it itself (an empty disk, a checksum in the middle of the log, an epoch file): it then neither
//! votes nor acknowledges. Otherwise the damage is *silent*: a log whose end is gone looks like one whose end was torn by an
//! honest crash, and is cut. So a silently damaged voter may have lost any tail of its history, and still votes. A voter counts
//! as damaged until a leader has resynchronized it, no flipped bit is left on its disk, and a disk that was blank is durably
//! marked as fit to vote: until then that server has no vote, however much it has copied. *Owed* is everything committed, and
//! everything that the damaged voter has logged in the newest established epoch: its ACK may be on its way, and commit it yet.
//!
//! **Damage is survivable if**, with it,
//! 1. the undamaged voters are a quorum: at most (voters − quorum) are damaged at once, in the words of a majority;
//! 2. no voter that may lack something owed can gather a quorum of voters that are not known-bad, none of which has a better
//!    (currentEpoch, last zxid) than it has itself.
//!
//! **Why 2 is the line.** A leader completes discovery only with a quorum whose every (currentEpoch, last zxid) is at most its
//! own (ZooKeeper 3.9 `Leader.waitForEpochAck`), so whoever satisfies 2's negation can be elected and will truncate the rest.
//! The simpler rule, that every quorum that could elect holds one intact voter with everything owed, is what 2 amounts to as
//! long as that voter's currentEpoch is not lower than the damaged one's: its log is the longer one, so it has the better vote.
//! It does not suffice otherwise. s1 followed the leader of epoch 3, which has not proposed anything yet, and then silently
//! lost the end of its log; s2, intact and with everything, was away and is still at epoch 2. ⟨3, short⟩ beats ⟨2, long⟩: of an
//! undamaged server the higher currentEpoch would prove that it has all that was committed before, and here it lies.
//!
//! Whether a server is up does not matter: one that is down comes back when the nemesis likes, and an election may need it.
//!
//! **When.** Silent damage strikes only a server that is down. Under a running one, what its process acknowledges afterwards
//! rests on a disk that has lost its end already, and no state of the ensemble makes that safe. So a bit that is to rot under
//! a running server rots when that server next goes down ([`Ruling::AtNextCrash`]), and is judged then.
//!
//! Observers have no say in any of it: what happens to their disks is always survivable.
//!
//! **Reconfiguration.** Both conditions are asked of the configuration in force, of the one that is pending, and of the last one
//! before: that it has ended may be known on no disk but in memory, and then a quorum of it is needed once more. The second is
//! asked of all the earlier ones, too. A joiner counts as damaged until its blank disk is marked.

use crate::electorate::{Electorate, peers};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use zab::QuorumConfig;
use zabsim_types::{ServerId, Zxid};

/// What the judge must know of a voter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Standing {
    /// currentEpoch on its disk.
    pub(crate) epoch: u32,
    /// The end of the log on its disk; of a damaged disk, before the damage.
    pub(crate) tail: Zxid,
    /// What the nemesis has made of its disk.
    pub(crate) health: Health,
}

/// What a voter's disk still holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Health {
    /// Everything that it ever held durably.
    Intact,
    /// Perhaps only a beginning of it, and the server cannot tell.
    Silent,
    /// Not everything, and the server sees that: blank, or refused by a checksum. It has no vote.
    KnownBad,
}

/// Why damage is not allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// In words.
    pub(crate) why: String,
}

/// `would exceed what a quorum survives: …`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "would exceed what a quorum survives: {}", self.why)
    }
}

/// Whether an ensemble in this state can still keep every promise: the two conditions of the header.
pub(crate) fn survivable(
    voters: &BTreeMap<ServerId, Standing>,
    owed: Zxid,
    is_quorum: &dyn Fn(&BTreeSet<ServerId>) -> bool,
) -> Result<(), Refusal> {
    undamaged_are_a_quorum(voters, is_quorum)?;
    no_forgetful_leader(voters, owed, is_quorum)
}

fn undamaged_are_a_quorum(
    voters: &BTreeMap<ServerId, Standing>,
    is_quorum: &dyn Fn(&BTreeSet<ServerId>) -> bool,
) -> Result<(), Refusal> {
    let ids = |intact: bool| -> BTreeSet<ServerId> {
        let chosen = voters
            .iter()
            .filter(|(_, s)| (s.health == Health::Intact) == intact);
        chosen.map(|(&id, _)| id).collect()
    };
    let (undamaged, damaged) = (ids(true), ids(false));
    if damaged.is_empty() || is_quorum(&undamaged) {
        return Ok(());
    }
    Err(Refusal {
        why: format!(
            "{} would be damaged at once, and {} no quorum",
            names(&damaged),
            match undamaged.len() {
                0 => "nobody is".to_string(),
                1 => format!("{} alone is", names(&undamaged)),
                _ => format!("{} are", names(&undamaged)),
            }
        ),
    })
}

/// A vote as elections and discovery compare it, without the server's number: a tie may go either way.
type Vote = (u32, Zxid);

fn no_forgetful_leader(
    voters: &BTreeMap<ServerId, Standing>,
    owed: Zxid,
    is_quorum: &dyn Fn(&BTreeSet<ServerId>) -> bool,
) -> Result<(), Refusal> {
    for (&candidate, standing) in voters {
        let Some(vote) = best_vote_without(owed, standing) else {
            continue;
        };
        // The more followers, the more of a quorum: so it is enough to look at all that would follow it at worst.
        let mut followers: BTreeSet<ServerId> = voters
            .iter()
            .filter(|(_, other)| worst_vote(other).is_some_and(|worst| worst <= vote))
            .map(|(&id, _)| id)
            .collect();
        followers.insert(candidate);
        if is_quorum(&followers) {
            return Err(Refusal {
                why: format!(
                    "{candidate} could lead {} in an epoch after {} with a log that ends before {owed}",
                    names(&followers),
                    standing.epoch,
                ),
            });
        }
    }
    Ok(())
}

/// The best vote that a voter could cast while it lacks something owed.
fn best_vote_without(owed: Zxid, standing: &Standing) -> Option<Vote> {
    let tail = match standing.health {
        Health::KnownBad => return None,
        Health::Intact => standing.tail,
        Health::Silent => standing.tail.min(Zxid(owed.0.saturating_sub(1))),
    };
    (tail < owed).then_some((standing.epoch, tail))
}

/// The worst vote that a voter could cast.
fn worst_vote(standing: &Standing) -> Option<Vote> {
    match standing.health {
        Health::KnownBad => None,
        Health::Intact => Some((standing.epoch, standing.tail)),
        Health::Silent => Some((standing.epoch, Zxid::ZERO)),
    }
}

fn names(servers: &BTreeSet<ServerId>) -> String {
    let names: Vec<String> = servers.iter().map(ServerId::to_string).collect();
    names.join(", ")
}

fn votes_in(config: &zab::Configuration, server: ServerId) -> bool {
    config.quorum().is_voter(zab::PeerId(server.0))
}

/// A kind of damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Harm {
    /// The disk is empty. It implies a crash, and the server sees it.
    Wipe,
    /// A flipped bit.
    Rot,
    /// A read at the next start lies, and the server may act on the lie.
    BadRead,
}

/// What the judge says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ruling {
    /// It may strike now, and the judge has noted it.
    Strike,
    /// It strikes when that server next goes down: `Judge::crashed` hands it back, to be judged then.
    AtNextCrash,
    /// It may not.
    Refused(Refusal),
}

/// Follows a run by its notes, so that it can judge at any moment.
#[derive(Debug)]
pub(crate) struct Judge {
    electorate: Electorate,
    /// Of every server: whoever does not vote today may do so tomorrow.
    servers: BTreeMap<ServerId, Standing>,
    committed: Zxid,
    /// The newest epoch that a quorum has acknowledged.
    established: u32,
    /// The most that a damaged voter had logged when it was damaged.
    acknowledged: Zxid,
    /// Damaged voters that a leader has brought up to date since.
    resynchronized: BTreeSet<ServerId>,
    /// Voters whose disk was blank and is not known to be marked as fit to vote yet.
    unmarked: BTreeSet<ServerId>,
    /// Harm that waits for its server to go down, by the fault's index.
    waiting: BTreeMap<ServerId, Vec<usize>>,
    /// `[expect] data_loss = true`.
    data_loss_allowed: bool,
}

impl Judge {
    /// For an ensemble that begins so; the disks of the joiners are blank.
    pub(crate) fn new(
        first: QuorumConfig,
        joiners: impl IntoIterator<Item = ServerId>,
        data_loss_allowed: bool,
    ) -> Judge {
        let standing = |health| Standing {
            epoch: 0,
            tail: Zxid::ZERO,
            health,
        };
        let joiners: BTreeSet<ServerId> = joiners.into_iter().collect();
        let members = first.members().map(|id| ServerId(id.0));
        let mut servers: BTreeMap<ServerId, Standing> =
            members.map(|id| (id, standing(Health::Intact))).collect();
        servers.extend(joiners.iter().map(|&id| (id, standing(Health::KnownBad))));
        Judge {
            servers,
            electorate: Electorate::new(first),
            committed: Zxid::ZERO,
            established: 0,
            acknowledged: Zxid::ZERO,
            resynchronized: BTreeSet::new(),
            unmarked: joiners,
            waiting: BTreeMap::new(),
            data_loss_allowed,
        }
    }

    /// A server's peer says something.
    pub(crate) fn observe(&mut self, server: ServerId, note: &zab::Note) {
        self.electorate.observe(note);
        match *note {
            zab::Note::Committed { zxid } => self.committed = self.committed.max(Zxid(zxid.0)),
            zab::Note::Established { epoch, .. } => {
                self.established = self.established.max(epoch.0);
                // Its history is the ensemble's now, whatever had become of its disk before.
                self.brought_up_to_date(server);
            }
            zab::Note::Mark("blank-ready") => {
                self.unmarked.remove(&server);
            }
            zab::Note::LearnerUpToDate { learner } => self.brought_up_to_date(ServerId(learner.0)),
            zab::Note::Recovered {
                last,
                current,
                blank,
                ..
            } => {
                match blank {
                    true => self.unmarked.insert(server),
                    false => self.unmarked.remove(&server),
                };
                if let Some(standing) = self.servers.get_mut(&server) {
                    standing.tail = Zxid(last.0);
                    standing.epoch = current.0;
                    // It has read its disk and has no complaints: what it may lack, it does not know of.
                    if standing.health == Health::KnownBad && !blank {
                        standing.health = Health::Silent;
                    }
                }
            }
            zab::Note::Logged { zxid }
            | zab::Note::Truncated { to: zxid }
            | zab::Note::SnapshotInstalled { zxid } => {
                if let Some(standing) = self.servers.get_mut(&server) {
                    standing.tail = Zxid(zxid.0);
                }
            }
            zab::Note::CurrentEpoch(epoch) => {
                if let Some(standing) = self.servers.get_mut(&server) {
                    standing.epoch = epoch.0;
                }
            }
            _ => {}
        }
    }

    fn brought_up_to_date(&mut self, server: ServerId) {
        if self.is_damaged(server) {
            self.resynchronized.insert(server);
        }
    }

    /// A server stopped by its own decision: if its disk is damaged, it has seen that.
    pub(crate) fn fatal(&mut self, server: ServerId) {
        if let Some(standing) = self.servers.get_mut(&server)
            && standing.health == Health::Silent
        {
            standing.health = Health::KnownBad;
        }
    }

    /// A server went down. Returns the faults that waited for it: each is to be ruled on again, now.
    pub(crate) fn crashed(&mut self, server: ServerId) -> Vec<usize> {
        self.waiting.remove(&server).unwrap_or_default()
    }

    /// Harm that still waits for its server to go down: whose, and the fault's index.
    pub(crate) fn waiting(&self) -> Vec<(ServerId, usize)> {
        let waiting = self.waiting.iter();
        waiting
            .flat_map(|(&server, faults)| faults.iter().map(move |&fault| (server, fault)))
            .collect()
    }

    /// Whether a voter counts as damaged.
    pub(crate) fn is_damaged(&self, server: ServerId) -> bool {
        let standing = self.servers.get(&server);
        standing.is_some_and(|standing| standing.health != Health::Intact)
    }

    /// Rules on a fault that would harm a server. `rotten`: whether a flipped bit still lies on that server's disk.
    pub(crate) fn rule(
        &mut self,
        fault: usize,
        server: ServerId,
        harm: Harm,
        up: bool,
        rotten: &dyn Fn(ServerId) -> bool,
    ) -> Ruling {
        self.acquit(rotten);
        if up && harm != Harm::Wipe && !self.data_loss_allowed {
            self.waiting.entry(server).or_default().push(fault);
            return Ruling::AtNextCrash;
        }
        let mut after = self.servers.clone();
        let Some(standing) = after.get_mut(&server) else {
            return Ruling::Strike;
        };
        standing.health = match harm {
            Harm::Wipe => Health::KnownBad,
            // A blank server does not vote because another bit is flipped.
            Harm::Rot | Harm::BadRead => standing.health.max(Health::Silent),
        };
        let mut configs = self.electorate.all();
        let acknowledged = match configs.any(|(config, _)| votes_in(config, server)) {
            true => self.acknowledged.max(standing.tail),
            false => self.acknowledged,
        };
        if !self.data_loss_allowed
            && let Err(refusal) = self.survivable(&after, self.owed(acknowledged))
        {
            return Ruling::Refused(refusal);
        }
        self.servers = after;
        self.acknowledged = acknowledged;
        self.resynchronized.remove(&server);
        if harm == Harm::Wipe {
            self.unmarked.insert(server);
        }
        Ruling::Strike
    }

    /// The two conditions, by each configuration of which some server may still believe that it counts: a leader that was left
    /// behind by a reconfiguration must not find followers, however long ago that was.
    fn survivable(&self, after: &BTreeMap<ServerId, Standing>, owed: Zxid) -> Result<(), Refusal> {
        for (config, needed) in self.electorate.all() {
            let voters = after.iter().filter(|(id, _)| votes_in(config, **id));
            let voters = voters.map(|(&id, &standing)| (id, standing)).collect();
            let is_quorum = |set: &BTreeSet<ServerId>| config.is_quorum(peers(set.iter().copied()));
            match needed {
                true => survivable(&voters, owed, &is_quorum)?,
                false => no_forgetful_leader(&voters, owed, &is_quorum)?,
            }
        }
        Ok(())
    }

    /// What was logged in an epoch that another one has followed is in that one's history, or will never be committed.
    fn owed(&self, acknowledged: Zxid) -> Zxid {
        match acknowledged.epoch() >= self.established {
            true => self.committed.max(acknowledged),
            false => self.committed,
        }
    }

    /// Those that were resynchronized, may vote, and whose disks hold no flipped bit any more are as good as any other.
    pub(crate) fn acquit(&mut self, rotten: &dyn Fn(ServerId) -> bool) {
        let (servers, unmarked) = (&mut self.servers, &self.unmarked);
        self.resynchronized.retain(|&server| {
            let still_damaged = unmarked.contains(&server) || rotten(server);
            if let (false, Some(standing)) = (still_damaged, servers.get_mut(&server)) {
                standing.health = Health::Intact;
            }
            still_damaged
        });
    }
}

#[cfg(test)]
mod tests;
