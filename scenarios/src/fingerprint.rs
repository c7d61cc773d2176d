//! What a failure is, whatever seed found it: the check, the shape of what it found, and the phase of the ensemble.
//!
//! Two runs with the same fingerprint failed in the same way, as far as their reports can tell: a campaign counts them as one
//! failure, and a shrunk scenario must still show it. What varies from run to run must therefore not be in it: no number,
//! zxid, path, file, time or datum, no name of a server or a client, and not how many of them a message lists. A
//! fingerprint is a function of the report alone, and the same on every machine.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use zabsim_types::run::{RunReport, TimelineEntry, Topic, Verdict, Violation};

/// What a failure is, whatever seed found it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The check that failed, as the report names it; `liveness` where a run is stuck, `panic` where it crashed.
    pub check: String,
    /// What it found, without anything that varies from run to run.
    pub shape: String,
    /// How far the ensemble was.
    pub phase: EnsemblePhase,
}

/// How far the ensemble was when a check failed, by its foremost server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnsemblePhase {
    /// Nobody leads.
    Election,
    /// A leader is elected and not established: discovery and synchronization.
    Synchronization,
    /// A leader is established.
    Broadcast,
}

impl EnsemblePhase {
    /// Its word, as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            EnsemblePhase::Election => "election",
            EnsemblePhase::Synchronization => "synchronization",
            EnsemblePhase::Broadcast => "broadcast",
        }
    }
}

impl Fingerprint {
    /// The fingerprint of a run that failed; `None` where nothing was violated and nothing was stuck.
    pub fn of(report: &RunReport) -> Option<Fingerprint> {
        let violation = match report.verdict {
            Verdict::Pass => return None,
            _ => report.violation.as_ref()?,
        };
        Some(Fingerprint {
            check: violation.check.clone(),
            shape: shape(violation),
            phase: phase_at(&report.timeline, violation.at_ms),
        })
    }

    /// A name for it: 16 hexadecimal digits (FNV-1a of its parts), for files and keys.
    pub fn id(&self) -> String {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for part in [&self.check, &self.shape, self.phase.word()] {
            for byte in part.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        format!("{hash:016x}")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.check, self.phase.word(), self.shape)
    }
}

/// The foremost server's phase after the lines of the timeline up to that millisecond.
fn phase_at(timeline: &[TimelineEntry], at_ms: u64) -> EnsemblePhase {
    let mut leading: BTreeMap<&str, EnsemblePhase> = BTreeMap::new();
    for line in timeline.iter().take_while(|line| line.at.as_ms() <= at_ms) {
        let who = line.who.as_str();
        match line.topic {
            Topic::Leader => {
                leading.insert(who, EnsemblePhase::Broadcast);
            }
            Topic::Role if line.what == ELECTED => {
                leading.insert(who, EnsemblePhase::Synchronization);
            }
            // Any other role, and the end of the process, is the end of its lead.
            Topic::Role | Topic::Death => {
                leading.remove(who);
            }
            _ => {}
        }
    }
    let foremost = leading.values().max().copied();
    foremost.unwrap_or(EnsemblePhase::Election)
}

/// How the timeline says that a server begins to lead.
const ELECTED: &str = "is elected";

/// The first clause of what was found, without what varies. What a stuck run waits for goes on behind a colon, server by
/// server: no two runs have that alike.
fn shape(violation: &Violation) -> String {
    let words = generalized(&violation.message);
    let end = match violation.check.as_str() {
        "liveness" => words.find([':', ';']),
        _ => words.find(';'),
    };
    compared(words[..end.unwrap_or(words.len())].trim_end())
}

/// An answer that is not the model's, without which fields differ: those depend on what was written last.
fn compared(words: &str) -> String {
    let (model, found) = ("the model says ", ", but it was ");
    let parts = words
        .split_once(model)
        .and_then(|(head, rest)| Some((head, rest.split_once(found)?)));
    match parts {
        Some((head, (expected, observed))) => {
            let (expected, observed) = (sort_of(expected), sort_of(observed));
            format!("{head}{model}{expected}{found}{observed}")
        }
        None => words.to_string(),
    }
}

/// What sort of an answer it is: an error by its name, children, or what a node holds.
fn sort_of(answer: &str) -> &str {
    let first = answer.split([' ', ',']).next().unwrap_or(answer);
    match first {
        "children" => first,
        _ if first.starts_with(char::is_uppercase) => first,
        _ => "a node",
    }
}

/// The message with a common name for each thing that varies.
fn generalized(message: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut rest = message;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '"' => quoted(rest, &mut word),
            '(' | '[' | '{' | '⟨' => bracketed(rest, c, &mut word),
            '/' if word.chars().all(|c| !c.is_alphanumeric()) => {
                word.push_str("/…");
                rest.find(|c: char| c.is_whitespace() || ",;:'\")]}".contains(c))
                    .unwrap_or(rest.len())
            }
            c if c.is_whitespace() => {
                finish(&mut words, &mut word);
                c.len_utf8()
            }
            c if c.is_alphanumeric() => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && !"._-".contains(c));
                let name = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', '-']);
                word.push_str(&common_name(name));
                name.len()
            }
            c => {
                word.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    finish(&mut words, &mut word);
    words.join(" ")
}

/// Ends a word. A list of servers is one, however long; a number before a unit is a time.
fn finish(words: &mut Vec<String>, word: &mut String) {
    if word.is_empty() {
        return;
    }
    let bare = |word: &str| word.trim_end_matches([',', ':', ';']).to_string();
    let unit = ["us", "µs", "ms", "s", "min", "h"].contains(&bare(word).as_str());
    match words.last_mut() {
        Some(number) if unit && number == NUMBER => *number = word.replacen(&bare(word), TIME, 1),
        Some(last) if is_common(&bare(word)) && bare(last) == bare(word) => last.clone_from(word),
        _ => words.push(word.clone()),
    }
    word.clear();
}

const NUMBER: &str = "#";
const TIME: &str = "TIME";
const ZXID: &str = "ZXID";
const SERVER: &str = "SERVER";
const CLIENT: &str = "CLIENT";

fn is_common(word: &str) -> bool {
    [NUMBER, TIME, ZXID, SERVER, CLIENT, "/…", "\"…\""].contains(&word)
}

/// Takes a quoted text, and says how long it is.
fn quoted(rest: &str, word: &mut String) -> usize {
    word.push_str("\"…\"");
    rest[1..].find('"').map_or(rest.len(), |end| end + 2)
}

/// Takes what stands in brackets, others within included, and says how long it is. A single word is kept, `Err(BadVersion)`,
/// and so is a place in the code: it is all that tells one panic from another.
fn bracketed(rest: &str, open: char, word: &mut String) -> usize {
    let close = match open {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        _ => '⟩',
    };
    let mut depth = 0;
    let mut length = rest.len();
    for (at, c) in rest.char_indices() {
        depth += i32::from(c == open);
        depth -= i32::from(c == close);
        if depth == 0 {
            length = at + c.len_utf8();
            break;
        }
    }
    let inside = &rest[..length];
    match open {
        '⟨' => word.push_str(ZXID),
        '(' if inside.contains(".rs:") || is_word(inside) => word.push_str(inside),
        _ => word.extend([open, '…', close]),
    }
    length
}

/// Whether there is one word in the brackets, which may be a message or an error.
fn is_word(bracketed: &str) -> bool {
    let inside = bracketed
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    inside.is_some_and(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// A name without its numbers: that of a server or a client, a number, a time, a file, or anything that is numbered.
fn common_name(name: &str) -> String {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if name.strip_prefix('s').is_some_and(digits) {
        return SERVER.into();
    }
    if name.strip_prefix('c').is_some_and(digits) {
        return CLIENT.into();
    }
    if is_hexadecimal(name) {
        return NUMBER.into();
    }
    if number(name) {
        let figures = name.trim_end_matches(['m', 'µ', 'u', 's', 'h', 'i', 'n']);
        let is_time = figures.len() < name.len() && !name.starts_with("0x");
        return if is_time { TIME } else { NUMBER }.into();
    }
    if let Some((first, rest)) = name.split_once('.')
        && rest.contains(|c: char| c.is_ascii_digit())
    {
        return format!("{first}.{NUMBER}");
    }
    let mut common = String::new();
    for c in name.chars() {
        match c.is_ascii_digit() {
            true if common.ends_with(NUMBER) => {}
            true => common.push_str(NUMBER),
            false => common.push(c),
        }
    }
    common
}

/// A digest, whatever digit it begins with: no word is so long and has no letter behind f.
fn is_hexadecimal(name: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    name.len() >= 8 && name.bytes().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;
    use crate::runner::run_scenario;

    fn shape_of(check: &str, message: &str) -> String {
        shape(&Violation {
            check: check.into(),
            at_ms: 0,
            message: message.into(),
        })
    }

    #[test]
    fn what_varies_from_run_to_run_is_not_in_it() {
        for (one, other, common) in [
            (
                "s2 acknowledges ⟨1,4⟩ while its log is durable up to ⟨1,3⟩ only",
                "s5 acknowledges ⟨12,407⟩ while its log is durable up to ⟨11,1⟩ only",
                "SERVER acknowledges ZXID while its log is durable up to ZXID only",
            ),
            (
                "s1 has established epoch 3, with ACK(NEWLEADER) of s1, s2, which is no quorum",
                "s3 has established epoch 4, with ACK(NEWLEADER) of s3, which is no quorum",
                "SERVER has established epoch #, with ACK(NEWLEADER) of SERVER, which is no quorum",
            ),
            (
                "s1's log.0.1000000cf holds ⟨1,2⟩ in other bytes than were appended, or cut off before",
                "s4's log.2.300000001 holds ⟨3,9⟩ in other bytes than were appended, or cut off before",
                "SERVER's log.# holds ZXID in other bytes than were appended, or cut off before",
            ),
            (
                "client 4 read /mixed/k1 = \"3.12\" at 12.345s, 900 ms after [1, 2]",
                "client 11 read /a = \"\" at 0.345s, 1.5 s after [1]",
                "client # read /… = \"…\" at TIME, TIME after […]",
            ),
            (
                "session 0x100000000000001 reads Some(Stat { czxid: ⟨1,2⟩, version: 3 }); it had seen s1",
                "session 0x200000000000004 reads Some(Stat { czxid: ⟨2,2⟩ }); nothing",
                "session # reads Some(…)",
            ),
            (
                "s2's state at ⟨1,2⟩ has the digest bb3b14cc51e20b7d, s1's had 03ab14cc51e20b7d",
                "s3's state at ⟨4,7⟩ has the digest 11e5a4cc51e20b7d, s2's had deadbeefdeadbeef",
                "SERVER's state at ZXID has the digest #, SERVER's had #",
            ),
            (
                "call 7 of client 1 ({ get = \"/a\" }) at ⟨1,2⟩: the model says data 0x73, mzxid ⟨1,2⟩, mtime 7, but it was data 0x74, mzxid ⟨1,1⟩, mtime 6",
                "call 9 of client 4 ({ get = \"/b\" }) at ⟨1,5⟩: the model says data \"2.16\", version 26, but it was data \"2.15\", version 25",
                "call # of client # (…) at ZXID: the model says a node, but it was a node",
            ),
        ] {
            assert_eq!(shape_of("a-check", one), common);
            assert_eq!(shape_of("a-check", other), common);
        }
    }

    #[test]
    fn what_was_violated_is_in_it() {
        let one = shape_of("a-check", "s2 acknowledges ⟨1,4⟩, which is not in its log");
        let other = shape_of(
            "a-check",
            "s2 acknowledges ⟨1,4⟩ while its log is durable up to ⟨1,3⟩ only",
        );
        assert_ne!(one, other);
        let (one, other) = ("is Err(NoNode), not Ok(…)", "is Err(BadVersion), not Ok(…)");
        assert_ne!(shape_of("a-check", one), shape_of("a-check", other));
        let compared = |answers| shape_of("a-check", &format!("call 7: the model says {answers}"));
        let gone = compared("NoNode, but it was \"x\", version 0");
        assert_eq!(gone, "call #: the model says NoNode, but it was a node");
        let children = compared("children [\"a\"], but it was children []");
        assert_ne!(
            children,
            compared("\"x\", version 1, but it was \"y\", version 0")
        );
        let here = shape_of("panic", "index 3 of 3 (sim/zab/src/log.rs:71)");
        let there = shape_of("panic", "index 4 of 4 (sim/zab/src/log.rs:90)");
        assert_eq!(here, "index # of # (sim/zab/src/log.rs:71)");
        assert_ne!(here, there);
    }

    #[test]
    fn a_stuck_run_is_told_without_who_waits_for_what() {
        let stuck = |rest: &str| {
            let said = "no leader is established, 33.0 s after the world healed, although a quorum of the voters is up";
            shape_of("liveness", &format!("{said} {rest}"))
        };
        let one = stuck("(3 of 3: s1 s2 s3); s1 waits for votes; s2 waits for votes");
        let other = stuck("(2 of 3: s1 s2); s3 is down");
        assert_eq!(one, other);
        assert!(one.ends_with("of the voters is up (…)"), "{one}");
    }

    #[test]
    fn messages_that_end_in_the_middle_are_shapes_too() {
        for message in [
            "", "\"open", "(open", "⟨1,", "/", "s", "[(]", "é 5", "a – b",
        ] {
            let _ = shape_of("a-check", message);
        }
    }

    #[test]
    fn the_phase_is_that_of_the_foremost_server() {
        let scenario = library::find("leader-crash").expect("in the library");
        let report = run_scenario(&scenario, "leader-crash", 1, false).report;
        let first = |topic: Topic, what: &str| {
            let line = |line: &&TimelineEntry| line.topic == topic && line.what.contains(what);
            let found = report.timeline.iter().find(line);
            found.expect("it happens in every run").at.as_ms()
        };
        let (elected, leads) = (first(Topic::Role, ELECTED), first(Topic::Leader, "leads"));
        let dies = first(Topic::Death, "dies");
        let phase = |at_ms| phase_at(&report.timeline, at_ms);
        assert_eq!(phase(elected - 1), EnsemblePhase::Election);
        assert_eq!(phase(elected), EnsemblePhase::Synchronization);
        assert_eq!(phase(leads), EnsemblePhase::Broadcast);
        assert_eq!(phase(dies - 1), EnsemblePhase::Broadcast);
        assert_eq!(phase(dies), EnsemblePhase::Election);
        assert_eq!(phase(report.virtual_ms), EnsemblePhase::Broadcast);
        assert_eq!(Fingerprint::of(&report), None, "it passes");
    }

    #[test]
    fn its_name_depends_on_each_part() {
        let one = Fingerprint {
            check: "agreement".into(),
            shape: "SERVER".into(),
            phase: EnsemblePhase::Broadcast,
        };
        assert_eq!(one.id(), one.clone().id());
        assert_eq!(one.id().len(), 16);
        for other in [
            Fingerprint {
                check: "integrity".into(),
                ..one.clone()
            },
            Fingerprint {
                shape: "CLIENT".into(),
                ..one.clone()
            },
            Fingerprint {
                phase: EnsemblePhase::Election,
                ..one.clone()
            },
        ] {
            assert_ne!(one.id(), other.id());
        }
    }
}
