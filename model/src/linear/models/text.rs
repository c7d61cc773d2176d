//! A string that is appended to, replaced and read: one key of a key-value store with `append`.
//!
//! *Formulation.* The state is a string, empty at first. `Put(s)` makes it `s`; `Append(s)` puts `s` behind it; `Get(s)` is right if it
//! is exactly `s`. What only ever grows is the beginning of whatever is read last: a content that is not leads nowhere and is
//! no state. (An append after the longest read is free to be anything.) Source: the key-value model of Porcupine's tests
//! (Athalye, 2017), whose logs come from the key-value service of MIT's course 6.824.

use crate::linear::Spec;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// The string; empty at first.
#[derive(Clone, Debug)]
pub struct Text {
    /// Every piece and every observed content, by number.
    strings: Vec<Box<str>>,
    /// The contents that were met: a piece behind another content.
    nodes: Vec<Node>,
    names: HashMap<(u32, u32), u32, FxBuildHasher>,
    /// Where nothing ever replaces the content: the longest that was observed. Every content is its beginning, or longer.
    longest: Option<u32>,
}

/// What was done to a string, and what was observed; strings by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextAction {
    /// It was this.
    Get(u32),
    /// It was made this.
    Put(u32),
    /// This was put behind it.
    Append(u32),
}

#[derive(Clone, Debug)]
struct Node {
    before: u32,
    piece: u32,
    length: usize,
}

/// The content before anything was appended or put.
const START: u32 = u32::MAX;

impl Text {
    /// A text over such strings. `actions` are the actions of the history to come: what they observed tells which contents lead
    /// nowhere.
    pub fn new<'a>(
        strings: Vec<Box<str>>,
        actions: impl IntoIterator<Item = &'a TextAction>,
    ) -> Text {
        let mut longest: Option<u32> = None;
        let mut replaced = false;
        for action in actions {
            match *action {
                TextAction::Put(_) => replaced = true,
                TextAction::Append(_) => {}
                TextAction::Get(got) => {
                    let length = |at: u32| strings[at as usize].len();
                    if longest.is_none_or(|so_far| length(got) > length(so_far)) {
                        longest = Some(got);
                    }
                }
            }
        }
        Text {
            longest: longest.filter(|_| !replaced),
            strings,
            nodes: Vec::new(),
            names: HashMap::with_hasher(FxBuildHasher),
        }
    }

    /// How many strings there are.
    pub fn strings(&self) -> u32 {
        self.strings.len() as u32
    }

    fn length(&self, state: u32) -> usize {
        match state {
            START => 0,
            state => self.nodes[state as usize].length,
        }
    }

    /// Whether a content is exactly this string.
    fn is(&self, mut state: u32, text: &str) -> bool {
        if self.length(state) != text.len() {
            return false;
        }
        let mut text = text.as_bytes();
        while state != START {
            let node = &self.nodes[state as usize];
            match text.strip_suffix(self.strings[node.piece as usize].as_bytes()) {
                Some(rest) => text = rest,
                None => return false,
            }
            state = node.before;
        }
        true
    }

    fn with(&mut self, before: u32, piece: u32) -> Option<u32> {
        let added = &self.strings[piece as usize];
        let from = self.length(before);
        if let Some(longest) = self.longest {
            // What stood there before was a beginning of it, or went beyond it already.
            let longest = self.strings[longest as usize].as_bytes();
            let fits = (longest.iter().skip(from))
                .zip(added.bytes())
                .all(|(a, b)| *a == b);
            if !fits {
                return None;
            }
        }
        let length = from + added.len();
        Some(*self.names.entry((before, piece)).or_insert_with(|| {
            self.nodes.push(Node {
                before,
                piece,
                length,
            });
            self.nodes.len() as u32 - 1
        }))
    }
}

impl Spec for Text {
    type State = u32;
    type Action = TextAction;

    fn initial(&mut self) -> u32 {
        START
    }

    fn step(&mut self, state: u32, action: &TextAction, known: bool) -> Option<u32> {
        match *action {
            TextAction::Get(got) => {
                (known && self.is(state, &self.strings[got as usize])).then_some(state)
            }
            TextAction::Put(piece) => self.with(START, piece),
            TextAction::Append(piece) => self.with(state, piece),
        }
    }

    fn is_pure(&self, action: &TextAction, _known: bool) -> bool {
        matches!(action, TextAction::Get(_))
    }

    fn bytes(&self) -> usize {
        // A table of this kind has a byte of its own for each place, and an eighth more places than its capacity.
        self.nodes.capacity() * size_of::<Node>()
            + self.names.capacity() / 7 * 8 * (size_of::<((u32, u32), u32)>() + 1)
    }
}
