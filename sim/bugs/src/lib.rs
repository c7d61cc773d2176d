//! The museum: documented bugs of ZooKeeper, Curator and kazoo, and mutations that an engineer would fear, each as a switch.
//!
//! A harness that has never caught anything is a hope. Each [`Bug`] is one named policy point in the rooms that it haunts: the
//! code asks [`Planted::has`] there, and does what the real code did. Nothing else knows of it: no check, no generator, no
//! fault looks at what is planted.
//!
//! **It compiles out.** Without the feature `planted` a [`Planted`] holds nothing, [`Planted::has`] is the constant `false`, and
//! nothing can be planted. The harness enables the feature; who uses the protocol's crate by itself does not have it.
//!
//! Sources: the issue trackers of ZooKeeper, Curator and kazoo, by the id that each entry carries.

mod table;

pub use table::{Bug, Entry, Kind, Room};

#[cfg(feature = "planted")]
use std::cell::Cell;
use std::fmt;

/// The bugs that are planted in one run.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Planted {
    #[cfg(feature = "planted")]
    set: u128,
}

impl Planted {
    /// A sound system.
    pub const NONE: Planted = Planted {
        #[cfg(feature = "planted")]
        set: 0,
    };

    /// These bugs; without the feature, none. In a constant it costs nothing to ask for many.
    #[inline]
    pub const fn of(bugs: &[Bug]) -> Planted {
        #[cfg(feature = "planted")]
        {
            let (mut set, mut at) = (0, 0);
            while at < bugs.len() {
                set |= 1 << bugs[at] as u32;
                at += 1;
            }
            Planted { set }
        }
        #[cfg(not(feature = "planted"))]
        {
            _ = bugs;
            Planted::NONE
        }
    }

    /// This one too.
    #[cfg(feature = "planted")]
    #[must_use]
    pub const fn and(self, bug: Bug) -> Planted {
        Planted {
            set: self.set | Planted::of(&[bug]).set,
        }
    }

    /// Whether nothing is planted.
    pub fn is_empty(self) -> bool {
        self == Planted::NONE
    }

    /// Whether this bug is planted. Its switch asks this; that it was asked is remembered ([`consulted`]).
    #[inline]
    pub fn has(self, bug: Bug) -> bool {
        let has = self.holds(bug);
        #[cfg(feature = "planted")]
        if has {
            CONSULTED.with(|seen| seen.set(seen.get().and(bug)));
        }
        has
    }

    /// The same, of whoever is no switch.
    #[inline]
    pub const fn holds(self, bug: Bug) -> bool {
        self.has_any(Planted::of(&[bug]))
    }

    /// Whether one of these bugs is planted.
    #[inline]
    pub const fn has_any(self, bugs: Planted) -> bool {
        #[cfg(feature = "planted")]
        {
            self.set & bugs.set != 0
        }
        #[cfg(not(feature = "planted"))]
        {
            _ = bugs;
            false
        }
    }

    /// What is planted, in the table's order.
    pub fn iter(self) -> impl Iterator<Item = Bug> {
        Bug::ALL.iter().copied().filter(move |bug| self.holds(*bug))
    }
}

#[cfg(feature = "planted")]
thread_local! {
    static CONSULTED: Cell<Planted> = const { Cell::new(Planted::NONE) };
}

/// Of the bugs that were planted, those whose switch was asked in this thread, and therefore was on. A bug whose switch nobody
/// asks is not there, whatever is planted. For reports alone: nothing that is tested may look at it.
pub fn consulted() -> Planted {
    #[cfg(feature = "planted")]
    {
        CONSULTED.with(Cell::get)
    }
    #[cfg(not(feature = "planted"))]
    {
        Planted::NONE
    }
}

/// The ids, with a comma between.
impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, bug) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{bug}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Planted({self})")
    }
}

/// The id.
impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry().id)
    }
}

impl Bug {
    /// The bug of this id or alias.
    pub fn by_name(name: &str) -> Option<Bug> {
        Bug::ALL.iter().copied().find(|bug| {
            let Entry { id, alias, .. } = bug.entry();
            id.eq_ignore_ascii_case(name) || *alias == name
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_tell_them_apart() {
        let names: BTreeSet<&str> = Bug::ALL
            .iter()
            .flat_map(|bug| [bug.entry().id, bug.entry().alias])
            .collect();
        assert_eq!(names.len(), 2 * Bug::ALL.len());
        assert!(Bug::ALL.len() <= 128, "one word holds them");
    }

    #[test]
    fn a_bug_is_found_by_its_id_and_by_its_alias() {
        for bug in Bug::ALL {
            let entry = bug.entry();
            assert_eq!(Bug::by_name(entry.id), Some(*bug));
            assert_eq!(Bug::by_name(&entry.id.to_lowercase()), Some(*bug));
            assert_eq!(Bug::by_name(entry.alias), Some(*bug));
        }
        assert_eq!(Bug::by_name("ZOOKEEPER-1"), None);
    }

    #[test]
    #[cfg(feature = "planted")]
    fn what_is_planted_is_there_and_nothing_else() {
        for bug in Bug::ALL {
            let planted = Planted::of(&[*bug]);
            assert_eq!(planted.iter().collect::<Vec<_>>(), [*bug]);
            assert_eq!(planted.to_string(), bug.entry().id);
        }
        assert_eq!(Planted::NONE.iter().count(), 0);
    }

    #[test]
    #[cfg(feature = "planted")]
    fn only_a_switch_that_is_on_and_asked_was_consulted() {
        std::thread::spawn(|| {
            let planted = Planted::of(&[Bug::VoteById, Bug::NotifyOnce]);
            assert!(!planted.has(Bug::VoteIgnoresZxid));
            assert!(
                planted.holds(Bug::NotifyOnce),
                "who only looks asks nothing"
            );
            assert!(planted.has_any(planted));
            assert_eq!(consulted(), Planted::NONE);
            assert!(planted.has(Bug::VoteById));
            assert_eq!(consulted(), Planted::of(&[Bug::VoteById]));
        })
        .join()
        .expect("it says what it was asked");
        assert_eq!(consulted(), Planted::NONE, "another thread, another run");
    }

    #[test]
    #[cfg(not(feature = "planted"))]
    fn nothing_can_be_planted() {
        assert_eq!(size_of::<Planted>(), 0);
        assert!(Bug::ALL.iter().all(|bug| !Planted::NONE.has(*bug)));
        assert!(consulted().is_empty());
    }
}
