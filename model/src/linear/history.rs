//! A history as the search sees it: calls with an interval of real time each.

/// A place in the order of all calls and returns of a history.
pub type Position = u32;

/// The return of a call that was never heard of again.
pub const NEVER: Position = Position::MAX;

/// One operation of a client.
#[derive(Clone, PartialEq, Debug)]
pub struct Call<A> {
    /// When it was called.
    pub call: Position,
    /// When it returned. Of an operation of unknown outcome: before when it took effect, if it did; mostly [`NEVER`].
    pub ret: Position,
    /// Whether its result is known. If not, it may have taken effect in its interval, or not at all.
    pub known: bool,
    /// What it did, and what was observed.
    pub action: A,
}

impl<A> Call<A> {
    /// The same call of another action.
    pub fn map<B>(self, action: impl FnOnce(A) -> B) -> Call<B> {
        Call {
            call: self.call,
            ret: self.ret,
            known: self.known,
            action: action(self.action),
        }
    }
}

/// Calls in the order in which they were called, and the order of all events.
#[derive(Clone, Debug, Default)]
pub struct History<A> {
    calls: Vec<Call<A>>,
    /// The calls and the returns in order: the index of the call, doubled, and one more for its return.
    events: Vec<u32>,
}

impl<A> History<A> {
    /// Takes calls with any positions, of which no two are the same (but for [`NEVER`]), and numbers the events from 0.
    ///
    /// # Panics
    /// If a call returns before it was called, or if a known one never returns.
    pub fn new(mut calls: Vec<Call<A>>) -> History<A> {
        for call in &calls {
            assert!(call.call < call.ret, "a call returns after it was called");
            assert!(
                !call.known || call.ret != NEVER,
                "what never returned is not known"
            );
        }
        if !calls.is_sorted_by_key(|call| call.call) {
            calls.sort_unstable_by_key(|call| call.call);
        }
        let events = in_order(&calls);
        for (position, event) in events.iter().enumerate() {
            let call = &mut calls[(event >> 1) as usize];
            match event & 1 {
                0 => call.call = position as Position,
                _ => call.ret = position as Position,
            }
        }
        History { calls, events }
    }

    /// The calls, in the order in which they were called.
    pub fn calls(&self) -> &[Call<A>] {
        &self.calls
    }

    /// How many calls there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether nothing was called.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many events there are: calls, and returns other than [`NEVER`].
    pub fn span(&self) -> Position {
        self.events.len() as Position
    }

    /// The same history of other actions.
    pub fn map<B>(self, mut action: impl FnMut(A) -> B) -> History<B> {
        let calls = self.calls.into_iter().map(|call| call.map(&mut action));
        History {
            calls: calls.collect(),
            events: self.events,
        }
    }

    pub(crate) fn events(&self) -> &[u32] {
        &self.events
    }
}

/// The events in order of their positions. Positions are mostly dense, so that counting beats sorting.
fn in_order<A>(calls: &[Call<A>]) -> Vec<u32> {
    const EMPTY: u32 = u32::MAX;
    let last = calls.iter().flat_map(|call| [call.call, call.ret]);
    let last = last.filter(|position| *position != NEVER).max();
    let Some(last) = last else { return Vec::new() };
    if last as usize <= 8 * calls.len() {
        let mut places = vec![EMPTY; last as usize + 1];
        for (at, call) in calls.iter().enumerate() {
            let mut put = |position: Position, event: u32| {
                if position != NEVER {
                    let place = &mut places[position as usize];
                    assert!(*place == EMPTY, "two events at position {position}");
                    *place = event;
                }
            };
            put(call.call, (at as u32) << 1);
            put(call.ret, (at as u32) << 1 | 1);
        }
        places.retain(|event| *event != EMPTY);
        return places;
    }
    let mut events: Vec<(Position, u32)> = Vec::with_capacity(2 * calls.len());
    for (at, call) in calls.iter().enumerate() {
        events.push((call.call, (at as u32) << 1));
        if call.ret != NEVER {
            events.push((call.ret, (at as u32) << 1 | 1));
        }
    }
    events.sort_unstable();
    let distinct = events.windows(2).all(|pair| pair[0].0 != pair[1].0);
    assert!(distinct, "no two events are at the same position");
    events.into_iter().map(|(_, event)| event).collect()
}
