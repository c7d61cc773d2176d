//! Reading a TOML table key by key, so that every complaint can say where it is, what stands there and what was allowed.
//!
//! A [`Table`] remembers which keys were asked for; [`Table::finish`] then complains of those that nobody knows.

use crate::hint::did_you_mean;
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zabsim_types::spell::{UNITS, duration as duration_text};

/// What is wrong with a scenario file, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct FormatError {
    /// The file's name as the user gave it.
    pub file: String,
    /// The line, from 1; 0 where no line is to blame.
    pub line: usize,
    /// What was found and what was allowed.
    pub message: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// A file's text, for turning byte offsets into lines.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    pub(crate) fn error(&self, at: Range<usize>, message: impl Into<String>) -> FormatError {
        let start = at.start.min(self.text.len());
        let line = self.text.as_bytes()[..start]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        FormatError {
            file: self.file.into(),
            line,
            message: message.into(),
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    source: &'a Source<'a>,
    value: &'a Spanned<DeValue<'a>>,
    /// The key it stands under, for messages.
    key: &'a str,
}

/// A table and where it stands.
pub(crate) struct Table<'a> {
    source: &'a Source<'a>,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    what: &'static str,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// `what` names the table in messages: `[[fault]]`.
    pub(crate) fn new(
        source: &'a Source<'a>,
        table: &'a DeTable<'a>,
        span: Range<usize>,
        what: &'static str,
    ) -> Self {
        Table {
            source,
            table,
            span,
            what,
            asked: RefCell::new(Vec::new()),
        }
    }

    pub(crate) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(key);
        #[cfg(test)]
        tests::asked(self.what, key);
        let (found, value) = self.table.iter().find(|(k, _)| k.get_ref() == key)?;
        Some(Value {
            source: self.source,
            value,
            key: found.get_ref(),
        })
    }

    pub(crate) fn need(&self, key: &'static str) -> Result<Value<'a>, FormatError> {
        self.get(key)
            .ok_or_else(|| self.error(format!("{} lacks the key `{key}`", self.what)))
    }

    /// Complains of a key that nobody asked for.
    pub(crate) fn finish(self) -> Result<(), FormatError> {
        let asked = self.asked.borrow();
        match self
            .table
            .keys()
            .find(|k| !asked.contains(&k.get_ref().as_ref()))
        {
            None => Ok(()),
            Some(key) => {
                let mut allowed: Vec<_> = asked.clone();
                allowed.sort_unstable();
                allowed.dedup();
                let message = format!(
                    "unknown key `{}` in {}{}; allowed: {}",
                    key.get_ref(),
                    self.what,
                    did_you_mean(key.get_ref(), allowed.iter().copied()),
                    allowed.join(", ")
                );
                Err(self.source.error(key.span(), message))
            }
        }
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> FormatError {
        self.source.error(self.span.clone(), message)
    }

    /// Where exactly one key had to say what the table is about: those of them that were given, or else all that stands there.
    pub(crate) fn not_one(&self, given: &[&str], what: &str, allowed: &[&str]) -> FormatError {
        let keys = self.table.keys().map(|key| format!("`{}`", key.get_ref()));
        let found: Vec<String> = match given {
            [] => keys.collect(),
            _ => given.iter().map(|name| format!("`{name}`")).collect(),
        };
        let found = match found.as_slice() {
            [] => "nothing".to_string(),
            found => found.join(" and "),
        };
        let mut keys = self.table.keys();
        let hint = keys
            .find_map(|key| {
                let hint = did_you_mean(key.get_ref(), allowed.iter().copied());
                (given.is_empty() && !hint.is_empty()).then_some(hint)
            })
            .unwrap_or_default();
        self.error(format!(
            "`do` must name exactly one {what}, found {found}{hint}; allowed: {}",
            allowed.join(", ")
        ))
    }

    pub(crate) fn what(&self) -> &'static str {
        self.what
    }

    /// The keys that are there, in the file's order of keys.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(k, _)| k.get_ref() == key)
    }
}

impl<'a> Value<'a> {
    pub(crate) fn error(&self, message: impl Into<String>) -> FormatError {
        self.source.error(self.value.span(), message)
    }

    fn expected(&self, what: &str) -> FormatError {
        self.error(format!(
            "`{}` must be {what}, not {}",
            self.key,
            self.value.get_ref().type_str()
        ))
    }

    pub(crate) fn str(&self) -> Result<&'a str, FormatError> {
        self.value
            .get_ref()
            .as_str()
            .ok_or_else(|| self.expected("a string"))
    }

    pub(crate) fn bool(&self) -> Result<bool, FormatError> {
        self.value
            .get_ref()
            .as_bool()
            .ok_or_else(|| self.expected("true or false"))
    }

    /// A whole number within bounds.
    pub(crate) fn int<T: TryFrom<i64>>(&self, min: i64, max: i64) -> Result<T, FormatError> {
        let integer = self
            .value
            .get_ref()
            .as_integer()
            .ok_or_else(|| self.expected("a whole number"))?;
        let out_of_range = || {
            self.error(format!(
                "`{}` is {integer}; allowed: {min} to {max}",
                self.key
            ))
        };
        let number =
            i64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| out_of_range())?;
        if !(min..=max).contains(&number) {
            return Err(out_of_range());
        }
        T::try_from(number).map_err(|_| out_of_range())
    }

    pub(crate) fn list(&self) -> Result<Vec<Value<'a>>, FormatError> {
        let array = self
            .value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.expected("a list"))?;
        Ok(array
            .iter()
            .map(|value| Value {
                source: self.source,
                value,
                key: self.key,
            })
            .collect())
    }

    pub(crate) fn table(&self, what: &'static str) -> Result<Table<'a>, FormatError> {
        let table = self
            .value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.expected("a table"))?;
        Ok(Table::new(self.source, table, self.value.span(), what))
    }

    pub(crate) fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    pub(crate) fn is_str(&self) -> bool {
        self.value.get_ref().is_str()
    }

    /// A time span with its unit: `250us`, `40ms`, `5s`, `2m`, `1h`; in microseconds, up to a year.
    pub(crate) fn duration_us(&self) -> Result<u64, FormatError> {
        let (text, us) = self.time()?;
        match us {
            0..=YEAR_US => Ok(us),
            _ => Err(self.error(format!(
                "`{}` is \"{text}\"; at most a year is allowed, \"{}\"",
                self.key,
                duration_text(YEAR_US)
            ))),
        }
    }

    /// Any time span, as it is written and in microseconds.
    fn time(&self) -> Result<(&'a str, u64), FormatError> {
        let text = self
            .str()
            .map_err(|_| self.expected("a time with its unit, such as \"5s\""))?;
        let us = parse_time_us(text).ok_or_else(|| {
            self.error(format!(
                "`{}` is \"{text}\"; a time is a whole number and a unit, one of us, ms, s, m, h: \"250ms\"",
                self.key
            ))
        })?;
        Ok((text, us))
    }

    /// A time span of whole milliseconds up to an hour, for what servers are configured with.
    pub(crate) fn duration_ms(&self) -> Result<u32, FormatError> {
        let (text, us) = self.time()?;
        let (ms, rest) = (us / 1_000, us % 1_000);
        if rest > 0 || !(1..=HOUR_MS).contains(&ms) {
            return Err(self.error(format!(
                "`{}` is \"{text}\"; it must be whole milliseconds, from 1ms to 1h",
                self.key
            )));
        }
        Ok(ms as u32)
    }

    /// `["1ms", "5ms"]`, or one time for both ends.
    pub(crate) fn range_us(&self) -> Result<(u64, u64), FormatError> {
        if self.is_str() {
            return self.duration_us().map(|d| (d, d));
        }
        match self.list()?.as_slice() {
            [low, high] => {
                let (low, high) = (low.duration_us()?, high.duration_us()?);
                if low > high {
                    return Err(self.error(format!(
                        "`{}` runs backwards: its first time is the larger one",
                        self.key
                    )));
                }
                Ok((low, high))
            }
            other => Err(self.error(format!(
                "`{}` has {} times; it must be one time or two: [\"1ms\", \"5ms\"]",
                self.key,
                other.len()
            ))),
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Result<T, FormatError> {
        let found = self.str()?;
        match words.iter().find(|(word, _)| *word == found) {
            Some((_, value)) => Ok(*value),
            None => {
                let allowed: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Err(self.error(format!(
                    "`{}` is \"{found}\"{}; allowed: {}",
                    self.key,
                    did_you_mean(found, allowed.iter().copied()),
                    allowed.join(", ")
                )))
            }
        }
    }
}

const HOUR_MS: u64 = 3_600_000;
const YEAR_US: u64 = 365 * 24 * 3_600_000_000;

/// Microseconds of `250ms`, or the most that there are; `None` where it is no time.
pub(crate) fn parse_time_us(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    // Only digits: what is wrong with a number then is that there is none, or that it is too large.
    let number = match number {
        "" => return None,
        number => number.parse().unwrap_or(u64::MAX),
    };
    Some(number.saturating_mul(*factor))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeSet;

    thread_local! {
        /// Every key that this thread's readers asked for, and of which table.
        static ASKED: RefCell<BTreeSet<(&'static str, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn asked(what: &'static str, key: &'static str) {
        ASKED.with_borrow_mut(|asked| asked.insert((what, key)));
    }

    /// What the readers of this thread have asked for so far.
    pub(crate) fn keys_asked() -> BTreeSet<(&'static str, &'static str)> {
        ASKED.with_borrow(BTreeSet::clone)
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(parse_time_us("250ms"), Some(250_000));
        assert_eq!(parse_time_us("7us"), Some(7));
        assert_eq!(parse_time_us("2m"), Some(120_000_000));
        assert_eq!(parse_time_us("8760h"), Some(YEAR_US));
        assert_eq!(parse_time_us("99999999999999999999s"), Some(u64::MAX));
        for bad in ["", "5", "s", "5 s", "-5s", "1.5s", "5sec", "9000h0"] {
            assert_eq!(parse_time_us(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for us in [
            0,
            1,
            999,
            1_000,
            1_500,
            30_000_000,
            60_000_000,
            90_000_000,
            3_600_000_000,
        ] {
            assert_eq!(parse_time_us(&duration_text(us)), Some(us), "{us}");
        }
        assert_eq!(duration_text(90_000_000), "90s");
        assert_eq!(duration_text(1_500), "1500us");
    }
}
