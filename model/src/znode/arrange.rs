//! The order of what one client was given.
//!
//! A recorder writes a line when it learns of something, and notifications reach it by another way than replies: the file may
//! have them the other way round. What the client was given carries its own number (`rseq`). So each notification is moved
//! to its place among its client's replies, and nothing else is moved but a reply that stands before an earlier one: it
//! goes back behind that. A completion that is taken for later than it was makes checks of real time weaker, never wrong; a
//! notification that is moved forward was received before the reply that it now stands before.

use crate::intake::Fault;
use crate::reference::Lookup;
use zabsim_types::{HistoryEvent, HistoryKind, ProcessId, SessionChange};

/// Brings the events into order, and their lines with them. `numbers` has each event's `rseq`, 0 where it has none; a client has each
/// once.
pub(super) fn arrange(
    events: Vec<HistoryEvent>,
    lines: Vec<u64>,
    numbers: &[u64],
) -> Result<(Vec<HistoryEvent>, Vec<u64>), Fault> {
    let mut of_process: Lookup<u32, Vec<u32>> = Lookup::default();
    let mut processes = Vec::new();
    for (at, event) in events.iter().enumerate() {
        if numbers[at] > 0 {
            let list = of_process.entry(event.process.0).or_insert_with(|| {
                processes.push(event.process);
                Vec::new()
            });
            list.push(at as u32);
        }
    }
    // Each event's place: where it stands, before or behind what stands there.
    let mut places: Vec<(u32, i8, u64)> = (0..events.len() as u32).map(|at| (at, 0, 0)).collect();
    let mut moved = false;
    for process in processes {
        let list = of_process.get_mut(&process.0).expect("it was put there");
        let moved_here = !list.is_sorted_by_key(|at| numbers[*at as usize]);
        if moved_here {
            moved = true;
            list.sort_by_key(|at| numbers[*at as usize]);
        }
        let twice = |pair: &&[u32]| numbers[pair[0] as usize] == numbers[pair[1] as usize];
        if let Some(pair) = list.windows(2).find(twice) {
            let [first, second] = [pair[0], pair[1]].map(|at| at as usize);
            let what = format!(
                "process {} was given number {} (`rseq`) twice; the first is on line {}",
                process.0, numbers[second], lines[first]
            );
            return Err(Fault::new(lines[second], what));
        }
        if moved_here {
            place(&events, numbers, list, &mut places);
        }
    }
    moved |= closes(&events, &mut places);
    if !moved {
        return Ok((events, lines));
    }
    let things = events.into_iter().zip(lines);
    let mut placed: Vec<_> = places.into_iter().zip(things).collect();
    placed.sort_by_key(|(place, _)| *place);
    let mut last = Default::default();
    let in_time = placed.into_iter().map(|(_, (mut event, line))| {
        event.time = event.time.max(last);
        last = event.time;
        (event, line)
    });
    Ok(in_time.unzip())
}

/// Places the events of one client, which come in the order of their numbers.
fn place(events: &[HistoryEvent], numbers: &[u64], list: &[u32], places: &mut [(u32, i8, u64)]) {
    let is_watch = |at: u32| matches!(events[at as usize].kind, HistoryKind::Watch { .. });
    // Replies stay where they are, or go back behind the ones before them.
    let mut last = 0;
    for at in list.iter().filter(|at| !is_watch(**at)) {
        let side = i8::from(*at < last);
        last = last.max(*at);
        places[*at as usize] = (
            last,
            side,
            if side == 0 { 0 } else { numbers[*at as usize] },
        );
    }
    let mut next = u32::MAX;
    let mut upper = vec![u32::MAX; list.len()];
    for (upper, at) in upper.iter_mut().zip(list).rev() {
        *upper = next;
        if !is_watch(*at) {
            next = places[*at as usize].0;
        }
    }
    let mut lower = None;
    for (upper, at) in upper.into_iter().zip(list) {
        if !is_watch(*at) {
            lower = Some(places[*at as usize].0);
            continue;
        }
        let number = numbers[*at as usize];
        let place = &mut places[*at as usize];
        *place = match lower {
            Some(lower) if *at < lower => (lower, 1, number),
            _ if *at > upper => (upper, -1, number),
            _ => (*at, 0, 0),
        };
    }
}

/// A client that closes its session may be written down as closed before the reply to its request: it goes behind that.
fn closes(events: &[HistoryEvent], places: &mut [(u32, i8, u64)]) -> bool {
    let mut waiting: Vec<(ProcessId, usize)> = Vec::new();
    let mut moved = false;
    for (at, event) in events.iter().enumerate() {
        match &event.kind {
            HistoryKind::Session {
                change: SessionChange::Closed,
            } => waiting.push((event.process, at)),
            HistoryKind::Ok { .. } | HistoryKind::Fail { .. } | HistoryKind::Info { .. } => {
                for (_, closed) in waiting
                    .iter()
                    .filter(|(process, _)| *process == event.process)
                {
                    places[*closed] = (places[at].0, 1, u64::MAX);
                    moved = true;
                }
            }
            HistoryKind::Session { .. } => waiting.retain(|(process, _)| *process != event.process),
            _ => {}
        }
    }
    moved
}
