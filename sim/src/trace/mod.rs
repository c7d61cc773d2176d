//! What the world did, event by event: always as a hash, on request as lines to read.
//!
//! The hash covers every input that a process takes in and every effect that is carried out (time, place, kind, payload)
//! in the encoding of `encode.rs`. Encodings are gathered in a buffer; full, it is hashed behind the hash so far. Two runs
//! with the same hash did the same. The lines are for people: which event differs first, what led to a violation.

mod encode;
mod render;

use encode::Encode;
use xxhash_rust::xxh3::xxh3_64;
use zabsim_types::Time;

/// Where something happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Place {
    /// In the world itself: a fault, a phase.
    World,
    /// At that server.
    Server(u8),
    /// At that client.
    Client(u32),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::World => write!(f, "--"),
            Place::Server(id) => write!(f, "s{id}"),
            Place::Client(id) => write!(f, "c{id}"),
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Entry<'a> {
    /// A server takes in an input.
    ServerInput(&'a zabsim_server::Input),
    /// A server's effect is carried out.
    ServerEffect(&'a zabsim_server::Effect),
    /// A client's session takes in an input.
    ClientInput(&'a zabsim_client::Input),
    /// A session's effect is carried out.
    ClientEffect(&'a zabsim_client::Effect),
    /// A program wants something that is not for its session.
    Command(&'a zabsim_client::Command),
    /// A program is woken from a sleep.
    Woken(u64),
    /// A process starts, stops or dies.
    Process(&'static str),
    /// A fault strikes, is undone or is refused: its label and what it does, in words.
    Fault(&'a str, &'a str),
}

impl Entry<'_> {
    /// Its number in the encoding.
    #[inline]
    fn tag(&self) -> u8 {
        match self {
            Entry::ServerInput(_) => 0,
            Entry::ServerEffect(_) => 1,
            Entry::ClientInput(_) => 2,
            Entry::ClientEffect(_) => 3,
            Entry::Command(_) => 4,
            Entry::Woken(_) => 5,
            Entry::Process(_) => 6,
            Entry::Fault(..) => 7,
        }
    }
}

/// A line of a kept trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceLine {
    /// When, by the world's clock.
    pub at: Time,
    /// Who: `s1`, `c2`, `--` for the world.
    pub who: String,
    /// What, in words.
    pub what: String,
}

impl std::fmt::Display for TraceLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>4}.{:06} {:<3} {}",
            self.at.0 / 1_000_000,
            self.at.0 % 1_000_000,
            self.who,
            self.what
        )
    }
}

/// The trace of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    /// The hash of everything before `buffer`, in its first eight bytes, then encodings that are not hashed yet.
    buffer: Vec<u8>,
    events: u64,
    lines: Option<Vec<TraceLine>>,
}

/// Encodings are hashed when so many bytes of them have come together.
const BUFFER_BYTES: usize = 8 * 1024;

impl Trace {
    /// An empty trace; `keep` says whether its lines are kept.
    pub(crate) fn new(keep: bool) -> Trace {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES * 2);
        0u64.encode(&mut buffer);
        Trace {
            buffer,
            events: 0,
            lines: keep.then(Vec::new),
        }
    }

    /// Adds an event.
    #[inline]
    pub(crate) fn record(&mut self, at: Time, place: Place, entry: &Entry<'_>) {
        self.events += 1;
        let out = &mut self.buffer;
        out.extend_from_slice(&head(at, place, entry.tag()));
        match entry {
            Entry::ServerInput(input) => input.encode(out),
            Entry::ServerEffect(effect) => effect.encode(out),
            Entry::ClientInput(input) => input.encode(out),
            Entry::ClientEffect(effect) => effect.encode(out),
            Entry::Command(command) => command.encode(out),
            Entry::Woken(sleeper) => sleeper.encode(out),
            Entry::Process(what) => what.encode(out),
            Entry::Fault(label, what) => {
                label.encode(out);
                what.encode(out);
            }
        }
        if out.len() >= BUFFER_BYTES {
            self.digest();
        }
        if let Some(lines) = &mut self.lines {
            lines.push(TraceLine {
                at,
                who: place.to_string(),
                what: render::words(entry),
            });
        }
    }

    fn digest(&mut self) {
        let hash = xxh3_64(&self.buffer);
        self.buffer.clear();
        hash.encode(&mut self.buffer);
    }

    /// Events so far.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The hash of the whole trace, and its lines where they were kept.
    pub(crate) fn finish(mut self) -> (u64, Option<Vec<TraceLine>>) {
        self.events.encode(&mut self.buffer);
        (xxh3_64(&self.buffer), self.lines)
    }
}

/// When, where and what kind, at once: every event has it.
#[inline]
fn head(at: Time, place: Place, tag: u8) -> [u8; 14] {
    let (kind, number) = match place {
        Place::World => (0, 0),
        Place::Server(id) => (1, u32::from(id)),
        Place::Client(id) => (2, id),
    };
    let mut head = [0; 14];
    head[..8].copy_from_slice(&at.0.to_le_bytes());
    head[8] = kind;
    head[9..13].copy_from_slice(&number.to_le_bytes());
    head[13] = tag;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(events: &[(u64, Place, &'static str)]) -> u64 {
        let mut trace = Trace::new(false);
        for (at, place, what) in events {
            trace.record(Time(*at), *place, &Entry::Process(what));
        }
        assert_eq!(trace.events(), events.len() as u64);
        trace.finish().0
    }

    #[test]
    fn time_place_kind_payload_and_order_all_count() {
        let (s1, s2, c1) = (Place::Server(1), Place::Server(2), Place::Client(1));
        let base = hash_of(&[(1, s1, "boot"), (2, s2, "boot")]);
        assert_eq!(base, hash_of(&[(1, s1, "boot"), (2, s2, "boot")]));
        for other in [
            &[(2, s1, "boot"), (2, s2, "boot")][..],
            &[(1, c1, "boot"), (2, s2, "boot")],
            &[(1, s1, "boot"), (2, s2, "crash")],
            &[(2, s2, "boot"), (1, s1, "boot")],
            &[(1, s1, "boot")],
        ] {
            assert_ne!(base, hash_of(other), "{other:?}");
        }
    }

    #[test]
    fn a_long_trace_hashes_its_first_event_too() {
        let long = |first| {
            let mut events = vec![(first, Place::World, "boot")];
            events.extend((0..10_000).map(|at| (at, Place::Server(1), "boot")));
            hash_of(&events)
        };
        assert_eq!(long(0), long(0));
        assert_ne!(long(0), long(1));
    }

    #[test]
    fn lines_are_kept_on_request() {
        let mut trace = Trace::new(true);
        let sent = zabsim_server::Effect::Zab(zab::Effect::Send {
            link: zab::LinkId(4),
            message: zab::Message::Commit {
                zxid: zab::Zxid::new(zab::Epoch(1), 7),
            },
        });
        trace.record(
            Time(1_500_000),
            Place::Server(2),
            &Entry::ServerEffect(&sent),
        );
        trace.record(
            Time(2_000_001),
            Place::World,
            &Entry::Fault("split", "cuts s1 | s2"),
        );
        let lines = trace.finish().1.unwrap_or_default();
        let text: Vec<String> = lines.iter().map(TraceLine::to_string).collect();
        assert_eq!(
            text,
            [
                "   1.500000 s2  → l4 COMMIT ⟨1,7⟩",
                "   2.000001 --  fault split: cuts s1 | s2",
            ]
        );
    }
}
