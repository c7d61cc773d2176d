//! Whom a target means at this moment.
//!
//! Targets of one fault are resolved with that fault's own stream, so that taking another fault out changes no draw here.
//! `Majority` and `Minority` are drawn anew from the same name each time, so that the two always fit together.

use super::pattern::Ends;
use crate::plan::{Action, Fault, Target};
use crate::stream::Stream;
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;
use zabsim_types::ServerId;

/// What the nemesis sees of the world.
pub(crate) trait View {
    /// The voters, by number.
    fn voters(&self) -> &[ServerId];
    /// The observers, by number.
    fn observers(&self) -> &[ServerId];
    /// The established leader of the highest epoch that is up; else the prospective one.
    fn leader(&self) -> Option<ServerId>;
    /// Whether a server leads, or tries to: a deposed leader that does not know it yet leads too.
    fn is_leading(&self, server: ServerId) -> bool {
        self.leader() == Some(server)
    }
    /// Whether its process runs.
    fn is_up(&self, server: ServerId) -> bool;
    /// Learners that are being synchronized now.
    fn synchronizing(&self) -> Vec<ServerId>;
    /// Whether these voters are a quorum.
    fn is_quorum(&self, servers: &BTreeSet<ServerId>) -> bool;
}

/// Resolves the targets of one fault.
#[derive(Debug)]
pub(super) struct Resolver {
    seed: u64,
    /// The fault's label, hashed: where it stands in the list means nothing.
    name: u64,
    stream: Stream,
    /// Whether it wants servers that are down.
    wants_down: bool,
}

impl Resolver {
    pub(super) fn new(seed: u64, fault: &Fault) -> Resolver {
        let name = xxh3_64(fault.label.as_bytes());
        Resolver {
            seed,
            name,
            stream: Stream::new(seed, "nemesis targets", name),
            wants_down: matches!(fault.action, Action::Restart { .. }),
        }
    }

    /// One number below `n`, from the fault's stream.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.stream.below(n)
    }

    /// The servers that a target means now, each once, none of `taken`. Empty where there is nobody: no leader, no learner.
    pub(super) fn resolve(
        &mut self,
        target: &Target,
        view: &dyn View,
        ends: Ends,
        taken: &BTreeSet<ServerId>,
    ) -> Vec<ServerId> {
        let mut servers = self.resolve_any(target, view, ends, taken);
        let mut seen = taken.clone();
        servers.retain(|&server| seen.insert(server));
        servers
    }

    fn resolve_any(
        &mut self,
        target: &Target,
        view: &dyn View,
        ends: Ends,
        taken: &BTreeSet<ServerId>,
    ) -> Vec<ServerId> {
        let one = |server: Option<ServerId>| server.into_iter().collect();
        let free = |server: &ServerId| !taken.contains(server);
        match target {
            Target::Server(id) => vec![*id],
            Target::Leader => one(view.leader()),
            Target::Follower(n) => one(follower(*n, view)),
            Target::AnyFollower => {
                let learners = all(view).into_iter().filter(|&s| view.leader() != Some(s));
                self.draw(1, learners.filter(free).collect(), view)
            }
            Target::Observer(n) => one(nth(view.observers(), *n)),
            Target::Learner => {
                let learners = view.synchronizing().into_iter().filter(free).collect();
                self.draw(1, learners, view)
            }
            Target::Sender => one(ends.sender),
            Target::Receiver => one(ends.receiver),
            Target::Majority => self.majority(view).into_iter().collect(),
            Target::Minority => {
                let majority = self.majority(view);
                let voters = view.voters().iter().copied();
                voters.filter(|voter| !majority.contains(voter)).collect()
            }
            Target::All | Target::Rest => all(view),
            Target::Random(n) => self.draw(*n, all(view).into_iter().filter(free).collect(), view),
            Target::Several(targets) => {
                let mut taken = taken.clone();
                let mut servers = Vec::new();
                for target in targets {
                    let more = self.resolve(target, view, ends, &taken);
                    taken.extend(&more);
                    servers.extend(more);
                }
                servers
            }
        }
    }

    /// Draws so many of them, in order of number; first from those whom the fault can do something to.
    fn draw(&mut self, count: u8, mut from: Vec<ServerId>, view: &dyn View) -> Vec<ServerId> {
        self.stream.shuffle(&mut from);
        from.sort_by_key(|&server| view.is_up(server) == self.wants_down);
        from.truncate(usize::from(count));
        from.sort_unstable();
        from
    }

    /// The fewest voters that are a quorum, in an order drawn from the fault's name: the leader first, then those that are up.
    fn majority(&self, view: &dyn View) -> BTreeSet<ServerId> {
        let mut voters = view.voters().to_vec();
        Stream::new(self.seed, "nemesis majority", self.name).shuffle(&mut voters);
        voters.sort_by_key(|&voter| (view.leader() != Some(voter), !view.is_up(voter)));
        let mut majority = BTreeSet::new();
        for voter in voters {
            if view.is_quorum(&majority) {
                break;
            }
            majority.insert(voter);
        }
        majority
    }

    /// The groups of a partition. A server that is named in several groups is in several; `Rest` is whoever is in none.
    pub(super) fn resolve_groups(
        &mut self,
        groups: &[Vec<Target>],
        view: &dyn View,
        ends: Ends,
    ) -> Vec<Vec<ServerId>> {
        let mut named = BTreeSet::new();
        let mut resolved = vec![Vec::new(); groups.len()];
        // First those that are who they are, then those that are drawn from the others: else a draw that falls on somebody
        // whom another group names would make a bridge that nobody asked for.
        for drawn in [false, true] {
            for (group, servers) in groups.iter().zip(&mut resolved) {
                let targets = group.iter().filter(|target| **target != Target::Rest);
                for target in targets.filter(|target| is_drawn(target) == drawn) {
                    let taken = match drawn {
                        true => named.clone(),
                        false => servers.iter().copied().collect(),
                    };
                    let more = self.resolve(target, view, ends, &taken);
                    named.extend(more.iter().copied());
                    servers.extend(more);
                }
            }
        }
        for (group, servers) in groups.iter().zip(&mut resolved) {
            if group.contains(&Target::Rest) {
                servers.extend(all(view).into_iter().filter(|s| !named.contains(s)));
            }
        }
        resolved
    }

    /// The two ends of links, the second without the first: from the leader to all means to all others. Of a drawn end and one
    /// that is not, the latter comes first, so that the draw does not fall on it.
    pub(super) fn resolve_ends(
        &mut self,
        between: &Target,
        and: &Target,
        view: &dyn View,
        ends: Ends,
    ) -> (Vec<ServerId>, Vec<ServerId>) {
        let nobody = BTreeSet::new();
        let everyone = matches!(and, Target::All | Target::Rest);
        if is_drawn(between) && !is_drawn(and) && !everyone {
            let second = self.resolve(and, view, ends, &nobody);
            let first = self.resolve(between, view, ends, &second.iter().copied().collect());
            return (first, second);
        }
        let first = self.resolve(between, view, ends, &nobody);
        let second = self.resolve(and, view, ends, &first.iter().copied().collect());
        (first, second)
    }

    /// Whether a server is among those that a pattern's target means. `Random` means the same ones throughout a run.
    pub(super) fn includes(&self, target: &Target, server: ServerId, view: &dyn View) -> bool {
        match target {
            Target::Server(id) => *id == server,
            // Whoever leads, not the one established leader: NEWLEADER comes from one that is not established yet.
            Target::Leader => view.is_leading(server),
            Target::Follower(n) => follower(*n, view) == Some(server),
            Target::AnyFollower => !view.is_leading(server),
            Target::Observer(n) => nth(view.observers(), *n) == Some(server),
            Target::Learner => view.synchronizing().contains(&server),
            Target::Majority => self.majority(view).contains(&server),
            Target::Minority => {
                view.voters().contains(&server) && !self.majority(view).contains(&server)
            }
            Target::All => true,
            Target::Random(n) => {
                let mut servers = all(view);
                Stream::new(self.seed, "nemesis pattern", self.name).shuffle(&mut servers);
                servers.iter().take(usize::from(*n)).any(|&s| s == server)
            }
            Target::Several(targets) => targets.iter().any(|t| self.includes(t, server, view)),
            // The validator refuses them in a pattern: they mean what the pattern has yet to find.
            Target::Sender | Target::Receiver | Target::Rest => false,
        }
    }
}

fn is_drawn(target: &Target) -> bool {
    match target {
        Target::Random(_) | Target::AnyFollower | Target::Learner => true,
        Target::Several(targets) => targets.iter().any(is_drawn),
        _ => false,
    }
}

fn all(view: &dyn View) -> Vec<ServerId> {
    [view.voters(), view.observers()].concat()
}

fn nth(servers: &[ServerId], n: u8) -> Option<ServerId> {
    servers.get(usize::from(n).checked_sub(1)?).copied()
}

/// The n-th voter that is not the leader.
fn follower(n: u8, view: &dyn View) -> Option<ServerId> {
    let followers = view.voters().iter().copied();
    followers
        .filter(|&voter| view.leader() != Some(voter))
        .nth(usize::from(n).checked_sub(1)?)
}
