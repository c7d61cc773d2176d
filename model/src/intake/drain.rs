//! Drains of queues, told as what they took: one call of a history that is as many calls of the queue.

use super::Fault;
use super::bind::{Part, Placed, Told, wrong};
use super::calls::{Fate, RawCall};
use super::keys::{Asked, Group};
use crate::linear::models::{DrainAction, Drained, QueueAction};
use crate::linear::{Call, History, NEVER, Position};
use serde_json::Value;

/// What a call comes to in the queue's words.
type Acts<'a> = (u32, Asked<'a>, Vec<Told<DrainAction>>);

/// The history of the queue of a key. `others`: what became of the calls that are no drains. `enqueued`: how many elements were put in, perhaps.
pub(super) fn all_drained<'a>(
    key: String,
    group: &Group<'a>,
    others: Vec<Placed<'a, QueueAction>>,
    enqueued: usize,
    mut element: impl FnMut(&Value) -> u32,
) -> Result<Part<Drained>, Fault> {
    let mut all: Vec<Acts<'a>> = (others.into_iter())
        .map(|(place, call, (action, known))| {
            (place, call, vec![(DrainAction::Queue(action), known)])
        })
        .collect();
    let mut drains = 0;
    for (at, call) in group {
        let taken = match (call.f.as_str(), call.fate) {
            ("drain", Fate::Ok) => {
                let Some(list) = call.result.as_array() else {
                    return wrong(call, "returns the list of what it took", call.result);
                };
                let drain = drains;
                drains += 1;
                let taken = (0u32..).zip(list).map(|(place, value)| {
                    let element = element(value);
                    let action = DrainAction::Taken {
                        drain,
                        place,
                        element,
                    };
                    (action, true)
                });
                taken.collect()
            }
            // It may have taken anything, or nothing.
            ("drain", Fate::Unknown) => {
                let some = DrainAction::Queue(QueueAction::Dequeue(u32::MAX));
                vec![(some, false); enqueued]
            }
            _ => continue,
        };
        all.push((*at, *call, taken));
    }
    all.sort_by_key(|(place, ..)| *place);
    Ok(Part {
        name: key,
        spec: Drained::new(enqueued, drains as usize),
        places: (all.iter())
            .flat_map(|(place, _, acts)| vec![*place; acts.len()])
            .collect(),
        history: history(all)?,
    })
}

/// No two calls begin or end at one position: where a drain does, there is room for all that it took.
fn history(all: Vec<Acts<'_>>) -> Result<History<DrainAction>, Fault> {
    let ends = |call: &RawCall| [call.call, call.ret];
    let mut widths: Vec<(Position, usize)> = (all.iter())
        .flat_map(|(_, call, acts)| ends(call).map(|end| (end, acts.len())))
        .collect();
    widths.sort_unstable();
    let mut starts = Vec::with_capacity(widths.len());
    let mut next: usize = 0;
    for (position, width) in widths.into_iter().filter(|(end, _)| *end != NEVER) {
        starts.push((position, next));
        next += width;
    }
    if next >= NEVER as usize {
        let what = "drains took more elements than can be checked at once";
        return Err(Fault::new(0, what));
    }
    let moved = |end: Position, at: usize| match starts.binary_search_by_key(&end, |start| start.0)
    {
        Ok(found) => (starts[found].1 + at) as Position,
        Err(_) => NEVER,
    };
    let acts = all.into_iter().flat_map(|(_, call, acts)| {
        let acts = acts.into_iter().enumerate();
        acts.map(move |(at, told)| (call, at, told))
    });
    let calls = acts.map(|(call, at, (action, known))| Call {
        call: moved(call.call, at),
        ret: if known { moved(call.ret, at) } else { NEVER },
        known,
        action,
    });
    Ok(History::new(calls.collect()))
}
