//! Short proofs that a history is illegal, found without a search.
//!
//! *Formulation.* A history is refuted if a few of its operations contradict each other in every order, whatever all others did: the
//! exact half of a verdict (G0). What is not refuted may be legal or not. For objects that show one value at a time
//! ([`Spec::sight`]). A *cluster* is what makes a value and what needs it; where one call
//! alone makes it, its cluster is contiguous in any order. Four kinds of contradiction are looked for, each in O(n log n) at
//! most:
//!
//! * a value was observed that nothing ever made;
//! * a value was observed before anything that makes it was called;
//! * a *stale* observation: everything that makes the value had returned before some definite change to another value was called,
//!   and that change had returned before the observer was called;
//! * two clusters *interleave*: a call of each returned before a call of the other began, so that neither can go before the other
//!   (the zones of Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 1997, section 4, with compare-and-set in both
//!   of its clusters).
//!
//! The second and third are G5 and G3 for objects without zxids: no read of the future, and none of the past. An operation of unknown
//! outcome counts as one that may have made its value, and never as one that has observed or changed anything.

use super::history::{History, NEVER, Position};
use super::spec::{NONE, Spec, Value};

/// A few calls, by their index in the history, that contradict each other whatever the other calls did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Certificate {
    /// The observer saw a value that no call makes and that was not there at first.
    NeverMade {
        /// Who saw it.
        observer: u32,
    },
    /// The observer had returned before the first call that makes the value.
    FromTheFuture {
        /// Who saw it.
        observer: u32,
        /// The first that makes it.
        maker: u32,
    },
    /// The value was gone for good before the observer was called.
    Stale {
        /// The last to return that makes the value; `None`: it was there at first.
        maker: Option<u32>,
        /// What put another value in its place, after that and before the observer.
        change: u32,
        /// Who saw it nevertheless.
        observer: u32,
    },
    /// The observer saw the value that was there at first and that nothing makes again, after another one had been seen or put
    /// there.
    Overtaken {
        /// Who had seen or made another value, and returned before the observer was called.
        other: u32,
        /// Who saw the first value.
        observer: u32,
    },
    /// Two values, each made once, each of which must have been in sight both before and after the other.
    Interleaved {
        /// A call about the first value that returned before `after_one` was called, and one about the second that was called
        /// after that.
        before_one: u32,
        /// See `before_one`.
        after_one: u32,
        /// A call about the second value that returned before a call about the first began.
        before_two: u32,
        /// See `before_two`.
        after_two: u32,
    },
}

impl Certificate {
    /// The same of other calls.
    pub fn map(self, place: impl Fn(u32) -> u32) -> Certificate {
        match self {
            Certificate::NeverMade { observer } => Certificate::NeverMade {
                observer: place(observer),
            },
            Certificate::FromTheFuture { observer, maker } => Certificate::FromTheFuture {
                observer: place(observer),
                maker: place(maker),
            },
            Certificate::Stale {
                maker,
                change,
                observer,
            } => Certificate::Stale {
                maker: maker.map(&place),
                change: place(change),
                observer: place(observer),
            },
            Certificate::Overtaken { other, observer } => Certificate::Overtaken {
                other: place(other),
                observer: place(observer),
            },
            Certificate::Interleaved {
                before_one,
                after_one,
                before_two,
                after_two,
            } => Certificate::Interleaved {
                before_one: place(before_one),
                after_one: place(after_one),
                before_two: place(before_two),
                after_two: place(after_two),
            },
        }
    }

    /// The calls of known outcome whose answers and returns it rests on, each once: what all others did is of no consequence. That is
    /// those that it names, and of a stale value all that make it, because any of them might have made it again.
    pub fn support<S: Spec>(&self, spec: &S, history: &History<S::Action>) -> Vec<u32> {
        let calls = history.calls();
        let mut support = self.calls();
        if let Certificate::Stale { observer, .. } = *self {
            let value = spec.needs(&calls[observer as usize].action);
            let makes = |at: &u32| spec.makes(&calls[*at as usize].action) == value;
            support.extend((0..calls.len() as u32).filter(makes));
        }
        support.retain(|at| calls[*at as usize].known);
        support.sort_unstable();
        support.dedup();
        support
    }

    /// The calls that it names.
    fn calls(&self) -> Vec<u32> {
        match *self {
            Certificate::NeverMade { observer } => vec![observer],
            Certificate::FromTheFuture { observer, maker } => vec![observer, maker],
            Certificate::Stale {
                maker,
                change,
                observer,
            } => maker.into_iter().chain([change, observer]).collect(),
            Certificate::Overtaken { other, observer } => vec![other, observer],
            Certificate::Interleaved {
                before_one,
                after_one,
                before_two,
                after_two,
            } => vec![before_one, after_one, before_two, after_two],
        }
    }
}

const NOBODY: u32 = u32::MAX;

/// What is known of one value.
#[derive(Clone)]
struct Cluster {
    makers: u32,
    /// Of what makes it: the first call, and the last return (`NEVER` if one may come at any time).
    first_maker: u32,
    last_maker: u32,
    made_until: Position,
    /// Of what observes it: the last to be called, and the first to return.
    last_observer: u32,
    first_observer: u32,
    /// Of both: the first known to return, and the last to be called.
    returned: u32,
    returned_at: Position,
    called: u32,
    called_at: Position,
}

/// Looks for a contradiction. `None`: none of these kinds; the history may be legal or not.
pub fn refute<S: Spec>(spec: &mut S, history: &History<S::Action>) -> Option<Certificate> {
    if spec.values() == 0 || history.is_empty() {
        return None;
    }
    let start = spec.initial();
    let start = spec.sight(start);
    let clusters = clusters(spec, history, start);
    stale_or_future(spec, history, &clusters, start)
        .or_else(|| overtaken(spec, history, &clusters, start))
        .or_else(|| interleaved(&clusters, start))
}

fn clusters<S: Spec>(spec: &S, history: &History<S::Action>, start: Value) -> Vec<Cluster> {
    let nothing = Cluster {
        makers: 0,
        first_maker: NOBODY,
        last_maker: NOBODY,
        made_until: 0,
        last_observer: NOBODY,
        first_observer: NOBODY,
        returned: NOBODY,
        returned_at: NEVER,
        called: NOBODY,
        called_at: 0,
    };
    let calls = history.calls();
    let mut clusters = vec![nothing; spec.values()];
    if start != NONE {
        clusters[start as usize].makers = 1;
    }
    for (at, call) in calls.iter().enumerate() {
        let at = at as u32;
        let (needs, makes) = (spec.needs(&call.action), spec.makes(&call.action));
        if makes != NONE {
            let cluster = &mut clusters[makes as usize];
            cluster.makers += 1;
            if cluster.first_maker == NOBODY {
                cluster.first_maker = at;
            }
            if call.ret > cluster.made_until {
                (cluster.made_until, cluster.last_maker) = (call.ret, at);
            }
            cluster.meet(at, call.call, call.ret, call.known);
        }
        if needs != NONE && call.known {
            let cluster = &mut clusters[needs as usize];
            cluster.last_observer = at;
            if cluster.first_observer == NOBODY
                || call.ret < calls[cluster.first_observer as usize].ret
            {
                cluster.first_observer = at;
            }
            cluster.meet(at, call.call, call.ret, true);
        }
    }
    clusters
}

impl Cluster {
    fn meet(&mut self, at: u32, call: Position, ret: Position, known: bool) {
        if known && ret < self.returned_at {
            (self.returned_at, self.returned) = (ret, at);
        }
        // Calls come in order.
        (self.called_at, self.called) = (call, at);
    }

    /// Whether its calls are contiguous in every order: one maker, and somebody who is known to have been there.
    fn is_contiguous(&self) -> bool {
        self.makers == 1 && self.returned != NOBODY
    }
}

fn stale_or_future<S: Spec>(
    spec: &S,
    history: &History<S::Action>,
    clusters: &[Cluster],
    start: Value,
) -> Option<Certificate> {
    let calls = history.calls();
    let first_return = first_return_after(spec, history);
    for (value, cluster) in clusters.iter().enumerate() {
        if cluster.last_observer == NOBODY {
            continue;
        }
        let observer = &calls[cluster.last_observer as usize];
        if cluster.makers == 0 {
            return Some(Certificate::NeverMade {
                observer: cluster.first_observer,
            });
        }
        let initially = value as Value == start;
        if !initially
            && calls[cluster.first_observer as usize].ret < calls[cluster.first_maker as usize].call
        {
            return Some(Certificate::FromTheFuture {
                observer: cluster.first_observer,
                maker: cluster.first_maker,
            });
        }
        if cluster.made_until == NEVER {
            continue;
        }
        let change = first_return[cluster.made_until as usize];
        if change != NOBODY && calls[change as usize].ret < observer.call {
            return Some(Certificate::Stale {
                maker: (cluster.last_maker != NOBODY).then_some(cluster.last_maker),
                change,
                observer: cluster.last_observer,
            });
        }
    }
    None
}

/// For each position, the first to return of the definite changes that are called there or later.
fn first_return_after<S: Spec>(spec: &S, history: &History<S::Action>) -> Vec<u32> {
    let calls = history.calls();
    let mut first = vec![NOBODY; history.span() as usize];
    let (mut best, mut best_ret) = (NOBODY, NEVER);
    for (position, event) in history.events().iter().enumerate().rev() {
        let at = event >> 1;
        let call = &calls[at as usize];
        if event & 1 == 0 && call.known && call.ret < best_ret && spec.makes(&call.action) != NONE {
            (best, best_ret) = (at, call.ret);
        }
        first[position] = best;
    }
    first
}

fn overtaken<S: Spec>(
    spec: &S,
    history: &History<S::Action>,
    clusters: &[Cluster],
    start: Value,
) -> Option<Certificate> {
    let cluster = clusters.get(start as usize)?;
    if cluster.makers != 1 || cluster.last_observer == NOBODY {
        return None;
    }
    let calls = history.calls();
    let observer = &calls[cluster.last_observer as usize];
    let elsewhere = |action: &S::Action| {
        let needs = spec.needs(action);
        (needs != NONE && needs != start) || spec.makes(action) != NONE
    };
    let other = (calls.iter().take_while(|call| call.call < observer.call))
        .position(|call| call.known && call.ret < observer.call && elsewhere(&call.action))?;
    Some(Certificate::Overtaken {
        other: other as u32,
        observer: cluster.last_observer,
    })
}

fn interleaved(clusters: &[Cluster], start: Value) -> Option<Certificate> {
    // A cluster whose first return is before its last call is in sight for sure between the two: its zone.
    let made =
        |(value, cluster): &(usize, &Cluster)| *value as Value != start && cluster.is_contiguous();
    let contiguous = || {
        clusters
            .iter()
            .enumerate()
            .filter(made)
            .map(|(_, cluster)| cluster)
    };
    let is_zone = |cluster: &&Cluster| cluster.returned_at < cluster.called_at;
    let mut zones: Vec<&Cluster> = contiguous().filter(is_zone).collect();
    if !zones.is_sorted_by_key(|zone| zone.returned_at) {
        zones.sort_unstable_by_key(|zone| zone.returned_at);
    }
    for pair in zones.windows(2) {
        if pair[1].returned_at < pair[0].called_at {
            return Some(contradiction(pair[0], pair[1]));
        }
    }
    for cluster in contiguous().filter(|cluster| !is_zone(cluster)) {
        let before = zones.partition_point(|zone| zone.returned_at < cluster.called_at);
        if let Some(zone) = before.checked_sub(1).map(|last| zones[last])
            && cluster.returned_at < zone.called_at
        {
            return Some(contradiction(zone, cluster));
        }
    }
    None
}

fn contradiction(one: &Cluster, two: &Cluster) -> Certificate {
    Certificate::Interleaved {
        before_one: one.returned,
        after_one: two.called,
        before_two: two.returned,
        after_two: one.called,
    }
}
