//! Fast leader election (`FastLeaderElection`): who leads next.
//!
//! Each looking voter proposes itself, then whoever is better ([`Vote`]'s order: epoch, zxid, id; a candidate of weight 0
//! never wins), and has elected a leader once a quorum proposes the same one in the same round and [`finalize
//! wait`](Config::finalize_wait_us) brings no better one. A voter that finds an established leader, told by a quorum of
//! those who follow it and by the leader itself, joins it whatever the round.
//!
//! **Nothing depends on the outcome but liveness**: notifications may be lost, repeated or overtaken, two peers may elect
//! different leaders, and discovery and synchronization stay safe. What keeps it live is that silence is broken by sending
//! again, with a wait that doubles, and that whoever is behind is answered.
//!
//! ZooKeeper sends a peer's last message again whenever a connection comes up, and its queues are FIFO. A datagram has no
//! such moment, hence two rules of our own: a looking sender *of the same round* with a worse vote is answered too, and
//! the doubling wait starts over whenever a ballot brings something new.
//!
//! **Reconfiguration.** While a configuration is pending, votes are counted in both. Every notification tells which ones its
//! sender goes by; a looking peer that hears of a newer one starts over with it, and who knows a newer one answers. To join an
//! established leader a quorum of either is enough: a reconfiguration that never was committed may be pending here.
//!
//! **Listeners** are observers, servers in no configuration, and voters whose disk is blank: their data proves nothing, so no vote of theirs may count
//! (ZOOKEEPER-2325). They follow what the others elect, and their notifications name [`NOBODY`]; that is ZooKeeper's −1 zxid.

use crate::marks::mark;
use crate::membership::{Configuration, Membership};
use crate::{
    Bug, Config, Effect, Epoch, Note, Notification, PeerId, PeerSet, PeerState, Planted, Time,
    Timer, Vote, Zxid,
};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whom a listener's vote names.
pub(crate) const NOBODY: PeerId = PeerId(0);

const NO_VOTE: Vote = Vote {
    leader: NOBODY,
    zxid: Zxid::ZERO,
    peer_epoch: Epoch(0),
};

/// The end of an election.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Elected {
    /// Whom to follow; or this very peer, to lead.
    pub leader: PeerId,
    /// The vote that won.
    pub vote: Vote,
}

/// By which configurations votes are counted, and whose.
#[derive(Clone, Debug)]
pub(crate) struct Configurations {
    /// A quorum of each is needed.
    pub membership: Arc<Membership>,
    /// One that others have in their logs. It may be about to be committed with this peer's vote, or may never be: so it adds
    /// voters and no condition, and nobody stands for election by it.
    pub rumour: Option<Arc<Configuration>>,
}

impl Configurations {
    fn is_voter(&self, id: PeerId) -> bool {
        let rumoured = |config: &Arc<Configuration>| config.quorum().is_voter(id);
        self.membership.is_voter(id) || self.rumour.as_ref().is_some_and(rumoured)
    }

    fn has_weight(&self, id: PeerId) -> bool {
        let rumoured = |config: &Arc<Configuration>| config.quorum().weight(id) > 0;
        self.membership.has_weight(id) || self.rumour.as_ref().is_some_and(rumoured)
    }

    fn voters(&self) -> BTreeSet<PeerId> {
        let rumoured = self
            .rumour
            .iter()
            .flat_map(|config| &config.quorum().voters);
        let mut voters = self.membership.voters();
        voters.extend(rumoured);
        voters
    }
}

/// A vote as it was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ballot {
    vote: Vote,
    round: u64,
    state: PeerState,
}

impl Ballot {
    fn of(n: &Notification) -> Ballot {
        Ballot {
            vote: n.vote,
            round: n.round,
            state: n.state,
        }
    }

    /// Whether two ballots stand for the same choice (`Vote.equals`). The votes of an established ensemble were cast in
    /// different rounds and at different zxids (ZOOKEEPER-1732, 1805): between those only leader and epoch count.
    fn agrees(&self, other: &Ballot, bugs: Planted) -> bool {
        let (a, b) = (&self.vote, &other.vote);
        let same = a.leader == b.leader && a.peer_epoch == b.peer_epoch;
        let looking = self.state == PeerState::Looking
            || other.state == PeerState::Looking
            || bugs.has(Bug::CompareAllOfEstablishedVotes);
        same && (!looking || (a.zxid == b.zxid && self.round == other.round))
    }
}

/// One peer's part in the elections.
#[derive(Debug)]
pub(crate) struct Election {
    id: PeerId,
    configs: Configurations,
    /// What others are told of it: what this peer knows from its own disk.
    told: Arc<Membership>,
    finalize_wait_us: u64,
    notify_us: (u64, u64),
    /// ZooKeeper's logicalclock: volatile, and no epoch.
    round: u64,
    /// Whether an election is under way. While it is not and the state is `Looking`, the peer is between two roles.
    running: bool,
    state: PeerState,
    may_vote: bool,
    /// What this peer started with.
    own: Vote,
    /// What it proposes; once it has settled, what won.
    vote: Vote,
    /// Ballots of this round, the own one among them.
    received: BTreeMap<PeerId, Ballot>,
    /// Ballots of those who follow or lead, of any round.
    established: BTreeMap<PeerId, Ballot>,
    /// When the vote becomes final, once a quorum agrees on it.
    finalize_at: Option<Time>,
    /// When every voter was last told the vote.
    told_at: Time,
    notify_at: Time,
    interval_us: u64,
    /// What the timer is set to.
    armed: Option<Time>,
    bugs: Planted,
}

impl Election {
    /// No election yet: nothing is counted or answered before [`start`](Election::start).
    pub(crate) fn new(config: &Config) -> Election {
        let membership = Arc::new(Membership::initial(config.quorum.clone()));
        Election {
            id: config.id,
            told: membership.clone(),
            configs: Configurations {
                membership,
                rumour: None,
            },
            finalize_wait_us: config.finalize_wait_us,
            notify_us: config.notify_us,
            round: 0,
            running: false,
            state: PeerState::Looking,
            may_vote: false,
            own: NO_VOTE,
            vote: NO_VOTE,
            received: BTreeMap::new(),
            established: BTreeMap::new(),
            finalize_at: None,
            told_at: Time(0),
            notify_at: Time(0),
            interval_us: config.notify_us.0,
            armed: None,
            bugs: config.bugs,
        }
    }

    /// Begins to look for a leader, in a new round. `may_vote` is false for blank disks: they only listen, as
    /// those who are no voters do.
    pub(crate) fn start(
        &mut self,
        now: Time,
        candidate: Vote,
        may_vote: bool,
        configs: Configurations,
        out: &mut Vec<Effect>,
    ) {
        assert_eq!(candidate.leader, self.id, "a peer stands for itself");
        self.configs = configs;
        self.running = true;
        self.state = PeerState::Looking;
        self.may_vote = may_vote && self.configs.is_voter(self.id);
        self.own = candidate;
        self.round += 1;
        self.armed = None;
        self.established.clear();
        self.enter_round(self.own_vote(), now, out);
        self.count(now);
        self.arm(out);
    }

    /// Takes a notification, whatever this peer is doing: counts it while looking, answers it where the sender looks.
    pub(crate) fn on_notification(
        &mut self,
        now: Time,
        from: PeerId,
        n: &Notification,
        out: &mut Vec<Effect>,
    ) -> Option<Elected> {
        if self.running {
            self.answer_while_looking(now, from, n, out);
            let elected = self.weigh(now, from, n, out);
            if elected.is_none() {
                self.arm(out);
            }
            return elected;
        }
        if self.state != PeerState::Looking && n.state == PeerState::Looking {
            self.send(from, out);
        }
        None
    }

    /// The timer went off: the vote is final, or it is time to break the silence.
    pub(crate) fn on_timer(&mut self, now: Time, out: &mut Vec<Effect>) -> Option<Elected> {
        if !self.running {
            return None;
        }
        self.armed = None;
        if self.finalize_at.is_some_and(|at| at <= now) {
            return Some(self.conclude(self.vote));
        }
        if self.notify_at <= now {
            self.interval_us = (self.interval_us * 2).min(self.notify_us.1);
            if self.bugs.has(Bug::NotifyOnce) {
                self.notify_at = Time(u64::MAX);
                return None;
            }
            self.broadcast(now, out);
        }
        self.arm(out);
        None
    }

    /// The peer enters a role (or, with `Looking`, leaves one and is not yet ready to look: then it says nothing).
    pub(crate) fn settle(&mut self, state: PeerState) {
        self.running = false;
        self.state = state;
    }

    /// What others are told from now on.
    pub(crate) fn tell(&mut self, membership: Arc<Membership>) {
        self.told = membership;
    }

    /// The present leader named the next one: no election is needed. `may_vote` as for [`start`](Election::start).
    pub(crate) fn appoint(
        &mut self,
        vote: Vote,
        may_vote: bool,
        membership: Arc<Membership>,
    ) -> Option<Elected> {
        self.configs = Configurations {
            membership,
            rumour: None,
        };
        self.may_vote = may_vote && self.configs.is_voter(self.id);
        let may_lead = vote.leader != self.id || self.may_lead();
        may_lead.then(|| self.conclude(vote))
    }

    /// After synchronization the vote carries the new epoch, so that a joiner sees equal votes (ZOOKEEPER-1732).
    pub(crate) fn set_vote_epoch(&mut self, epoch: Epoch) {
        if !self.bugs.has(Bug::NoVoteEpochUpdate) {
            self.vote.peer_epoch = epoch;
        }
    }

    /// The round that this peer is in.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// Whether its vote counts, and not only by hearsay.
    fn may_lead(&self) -> bool {
        self.may_vote && self.configs.membership.is_voter(self.id)
    }

    fn own_vote(&self) -> Vote {
        if self.may_lead() { self.own } else { NO_VOTE }
    }

    /// `totalOrderPredicate`, with one repair: a peer of weight 0 clings to its own vote in ZooKeeper where that is the
    /// highest, and is told the outcome only once the others lead and follow.
    fn better(&self, new: &Vote, old: &Vote) -> bool {
        let weighty = |vote: &Vote| {
            self.configs.has_weight(vote.leader) || self.bugs.has(Bug::ZeroWeightLeader)
        };
        let (by_id, blind) = (Bug::VoteById, Bug::VoteIgnoresZxid);
        let first = |vote: &Vote| self.bugs.has(by_id).then_some(vote.leader);
        let zxid = |vote: &Vote| (!self.bugs.has(blind)).then_some(vote.zxid);
        let key = |vote: &Vote| {
            let history = (vote.peer_epoch, zxid(vote));
            (weighty(vote), first(vote), history, vote.leader)
        };
        weighty(new) && key(new) > key(old)
    }

    fn answer_while_looking(
        &self,
        now: Time,
        from: PeerId,
        n: &Notification,
        out: &mut Vec<Effect>,
    ) {
        if n.state != PeerState::Looking {
            return;
        }
        let version = |membership: &Membership| membership.active().version();
        if version(&self.told) > version(&n.membership) {
            return self.send(from, out);
        }
        // A listener has nothing else to tell; answering, it would be answered in turn, for ever.
        if !self.may_vote {
            return;
        }
        let listens = n.vote.leader == NOBODY;
        // Soon after a broadcast the two votes have merely crossed.
        let crossed = now.0 < self.told_at.0 + self.notify_us.0;
        let worse = !crossed && n.round == self.round && self.better(&self.vote, &n.vote);
        if listens || worse || n.round < self.round {
            self.send(from, out);
        }
    }

    fn weigh(
        &mut self,
        now: Time,
        from: PeerId,
        n: &Notification,
        out: &mut Vec<Effect>,
    ) -> Option<Elected> {
        if !self.configs.is_voter(from) || !self.configs.is_voter(n.vote.leader) {
            return None;
        }
        match n.state {
            PeerState::Looking => {
                self.weigh_looking(now, from, n, out);
                None
            }
            PeerState::Following | PeerState::Leading => self.weigh_established(now, from, n, out),
            PeerState::Observing => None,
        }
    }

    fn weigh_looking(&mut self, now: Time, from: PeerId, n: &Notification, out: &mut Vec<Effect>) {
        let better = self.better(&n.vote, &self.vote);
        // While the vote becomes final only a better one matters. A late riser of a higher round must not tear up what a
        // quorum agrees on; it is answered and joins afterwards.
        if self.finalize_at.is_some() && !better && n.round != self.round {
            mark("election-late-riser-ignored", out);
            return;
        }
        if self.finalize_at.is_some() && better && n.round >= self.round {
            mark("election-reconsidered", out);
        }
        // Who has no candidate has no stake in its round: a voter by hearsay comes down to that of the others.
        let undecided = self.may_vote && self.vote.leader == NOBODY;
        match n.round.cmp(&self.round) {
            Ordering::Less if !undecided => {
                mark("election-old-round-ignored", out);
                return;
            }
            Ordering::Less | Ordering::Greater => {
                mark("election-round-taken-over", out);
                self.round = n.round;
                let own = self.own_vote();
                let vote = if self.better(&n.vote, &own) {
                    n.vote
                } else {
                    own
                };
                self.enter_round(vote, now, out);
            }
            Ordering::Equal if better => {
                mark("election-better-vote", out);
                self.propose(n.vote, now, out);
            }
            Ordering::Equal => {}
        }
        let ballot = Ballot::of(n);
        if self.received.insert(from, ballot) != Some(ballot) {
            self.interval_us = self.notify_us.0;
            self.notify_at = self.notify_at.min(Time(now.0 + self.interval_us));
        }
        self.count(now);
    }

    fn weigh_established(
        &mut self,
        now: Time,
        from: PeerId,
        n: &Notification,
        out: &mut Vec<Effect>,
    ) -> Option<Elected> {
        let ballot = Ballot::of(n);
        if n.round == self.round {
            self.received.insert(from, ballot);
            if self.is_established(&self.received, &ballot) {
                mark("election-outcome-heard", out);
                return Some(self.conclude(n.vote));
            }
            self.count(now);
        }
        self.established.insert(from, ballot);
        if self.is_established(&self.established, &ballot) {
            if self.round != n.round {
                self.round = n.round;
                out.push(Effect::Note(Note::ElectionRound { round: n.round }));
            }
            out.push(Effect::Note(Note::Mark("election-joined-established")));
            return Some(self.conclude(n.vote));
        }
        None
    }

    /// A quorum of these ballots agrees with this one, and its leader leads (`checkLeader`): peers may go on voting for a
    /// leader that died just after it was elected (ZOOKEEPER-480). Where the leader is said to be this very peer, it must be
    /// by ballots of its own round, not from a former life.
    fn is_established(&self, ballots: &BTreeMap<PeerId, Ballot>, ballot: &Ballot) -> bool {
        let leader = ballot.vote.leader;
        let leads = if leader == self.id {
            self.may_lead() && self.round == ballot.round
        } else {
            let said = ballots.get(&leader);
            said.is_some_and(|b| b.state == PeerState::Leading && b.vote.leader == leader)
                || self.bugs.has(Bug::SkipCheckLeader)
        };
        let followers = supporters(ballots, ballot, self.bugs);
        let mut configs = self.configs.membership.configurations();
        leads && configs.any(|config| config.is_quorum(followers))
    }

    /// Starts, keeps or stops the finalize wait, as the ballots now stand.
    fn count(&mut self, now: Time) {
        let choice = Ballot {
            vote: self.vote,
            round: self.round,
            state: PeerState::Looking,
        };
        // Votes for this very peer may be from before its disk was lost: it must not lead, and hears of the next leader.
        let may_lead = self.vote.leader != self.id || self.may_lead();
        let decided = may_lead
            && self.configs.is_voter(self.vote.leader)
            && self
                .configs
                .membership
                .is_quorum(supporters(&self.received, &choice, self.bugs));
        self.finalize_at = match (decided, self.finalize_at) {
            (false, _) => None,
            (true, Some(at)) => Some(at),
            (true, None) => Some(Time(now.0 + self.finalize_wait_us)),
        };
    }

    fn conclude(&mut self, vote: Vote) -> Elected {
        let leader = vote.leader;
        assert!(
            leader != self.id || self.may_lead(),
            "a peer whose data proves nothing was elected"
        );
        let state = match leader {
            _ if leader == self.id => PeerState::Leading,
            _ if self.configs.membership.is_observer(self.id) => PeerState::Observing,
            _ => PeerState::Following,
        };
        self.vote = vote;
        self.finalize_at = None;
        self.settle(state);
        Elected { leader, vote }
    }

    fn enter_round(&mut self, vote: Vote, now: Time, out: &mut Vec<Effect>) {
        out.push(Effect::Note(Note::ElectionRound { round: self.round }));
        self.received.clear();
        self.propose(vote, now, out);
    }

    /// Takes up a vote. Whatever was about to become final is not what this peer proposes any more.
    fn propose(&mut self, vote: Vote, now: Time, out: &mut Vec<Effect>) {
        self.vote = vote;
        self.finalize_at = None;
        self.interval_us = self.notify_us.0;
        self.broadcast(now, out);
    }

    /// Casts the own ballot and tells every voter.
    fn broadcast(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.may_vote {
            let ballot = Ballot::of(&self.notification());
            self.received.insert(self.id, ballot);
        }
        for to in self.configs.voters() {
            if to != self.id {
                self.send(to, out);
            }
        }
        self.told_at = now;
        self.notify_at = Time(now.0 + self.interval_us);
    }

    fn send(&self, to: PeerId, out: &mut Vec<Effect>) {
        out.push(Effect::Notify {
            to,
            notification: self.notification(),
        });
    }

    /// What this peer says. A looking listener tells nobody's votes on; one that follows tells whom, which is no vote for
    /// its own data.
    fn notification(&self) -> Notification {
        let listens = self.state == PeerState::Looking && !self.may_vote;
        Notification {
            vote: if listens { self.own_vote() } else { self.vote },
            round: self.round,
            state: self.state,
            membership: self.told.clone(),
        }
    }

    fn arm(&mut self, out: &mut Vec<Effect>) {
        let at = self
            .finalize_at
            .map_or(self.notify_at, |at| at.min(self.notify_at));
        if self.armed.replace(at) == Some(at) {
            return;
        }
        out.push(Effect::SetTimer {
            timer: Timer::Election,
            at,
        });
    }
}

fn supporters(ballots: &BTreeMap<PeerId, Ballot>, choice: &Ballot, bugs: Planted) -> PeerSet {
    let agreeing = ballots
        .iter()
        .filter(|(_, ballot)| ballot.agrees(choice, bugs));
    agreeing.map(|(from, _)| *from).collect()
}

#[cfg(test)]
mod tests;
