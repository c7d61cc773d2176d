//! The timeline of a run, to be read aloud. In full it is one line for each thing that happened. In short it tells the story on
//! about one screen: what several do alike within a moment is one line, what a server says of its routine and the turns at
//! locks and terms are counted, and of a long run only as much is shown as fits, the turning points last to go.

use crate::text::{Detail, counted};
use std::collections::BTreeMap;
use zabsim_types::Time;
use zabsim_types::run::{TimelineEntry, Topic};

/// Lines that the short form has at most.
const LINES_MAX: usize = 40;

/// What several do alike within so many microseconds is one line.
const ALIKE_US: u64 = 500_000;

/// The lines of a timeline, without the title.
pub(crate) fn lines(entries: &[TimelineEntry], detail: Detail) -> Vec<String> {
    if detail == Detail::Full {
        return aligned(entries.iter().map(Line::of).collect());
    }
    let mut story = Story::default();
    for (rank, turns) in [(3, true), (2, true), (2, false), (1, false), (0, false)] {
        story = Story::told(entries, rank, turns);
        if story.lines.len() <= LINES_MAX {
            break;
        }
    }
    story.into_lines()
}

/// How much a topic says about the course of the run: 0 the most.
fn rank(topic: Topic) -> u8 {
    match topic {
        Topic::Phase
        | Topic::Fault
        | Topic::Mark
        | Topic::Leader
        | Topic::Process
        | Topic::Operation
        | Topic::Expiry
        | Topic::RecipeLoss => 0,
        Topic::Death | Topic::Role | Topic::Connection => 1,
        Topic::Session | Topic::Refused => 2,
        Topic::FaultOver | Topic::Recovery => 3,
        Topic::Turn => 4,
    }
}

/// What is not shown, by its topic.
fn of_kind(topic: Topic) -> &'static str {
    match topic {
        Topic::Phase => "turn of the run",
        Topic::Fault => "fault",
        Topic::Mark => "point of the script",
        Topic::Refused => "fault not done",
        Topic::FaultOver => "end of a fault",
        Topic::Leader => "leader",
        Topic::Role => "change of role",
        Topic::Process => "stop of a server",
        Topic::Death => "death of a process",
        Topic::Expiry => "expiry of a session",
        Topic::Recovery => "step of recovery",
        Topic::Session => "session",
        Topic::Connection => "connection",
        Topic::Operation => "operation",
        Topic::RecipeLoss => "lost lock or term",
        Topic::Turn => "turn at locks and terms",
    }
}

/// A line, perhaps of several who did the same.
struct Line {
    at: Time,
    topic: Topic,
    who: Vec<String>,
    /// What each of them did.
    what: String,
    /// What is particular about it, behind a `;` in the entry.
    more: Vec<String>,
    /// Turns that are only counted.
    turns: usize,
}

impl Line {
    fn of(entry: &TimelineEntry) -> Line {
        let (what, more) = match entry.what.split_once("; ") {
            Some((what, more)) if is_of_many(entry.topic) => (what, Some(more)),
            _ => (entry.what.as_str(), None),
        };
        Line {
            at: entry.at,
            topic: entry.topic,
            who: vec![entry.who.clone()],
            what: what.to_string(),
            more: more.into_iter().map(String::from).collect(),
            turns: 0,
        }
    }

    fn turn(entry: &TimelineEntry) -> Line {
        Line {
            turns: 1,
            ..Line::of(entry)
        }
    }

    fn is_like(&self, entry: &TimelineEntry) -> bool {
        let what = entry.what.split("; ").next().unwrap_or_default();
        is_of_many(entry.topic)
            && self.topic == entry.topic
            && self.what == what
            && entry.at.since(self.at) <= ALIKE_US
            && !self.who.contains(&entry.who)
    }

    fn add(&mut self, entry: &TimelineEntry) {
        self.who.push(entry.who.clone());
        let more = entry.what.split_once("; ").map(|(_, more)| more);
        self.more.extend(more.map(String::from));
    }

    fn words(&self) -> String {
        if self.turns > 1 {
            return format!("… {}", counted(self.turns as u64, of_kind(Topic::Turn)));
        }
        let mut words = match self.who.len() {
            1 => self.what.clone(),
            _ => plural(&self.what),
        };
        if let Some(more) = together(&self.more) {
            words.push_str("; ");
            words.push_str(&more);
        }
        words
    }

    fn subject(&self) -> String {
        match self.topic {
            _ if self.turns > 1 => String::new(),
            Topic::Fault | Topic::FaultOver | Topic::Refused => "fault".to_string(),
            Topic::Mark => "script".to_string(),
            _ => self.who.join(" "),
        }
    }
}

/// Whether several may do it in one line.
fn is_of_many(topic: Topic) -> bool {
    matches!(
        topic,
        Topic::Role
            | Topic::Death
            | Topic::Expiry
            | Topic::Recovery
            | Topic::Session
            | Topic::Connection
            | Topic::RecipeLoss
            | Topic::Turn
    )
}

/// The story so far.
#[derive(Default)]
struct Story {
    lines: Vec<Line>,
    hidden: BTreeMap<Topic, usize>,
}

impl Story {
    /// Everything up to a rank; beyond it, turns are counted where they happen, or with all else at the end.
    fn told(entries: &[TimelineEntry], rank_max: u8, turns: bool) -> Story {
        let mut story = Story::default();
        for entry in entries {
            if rank(entry.topic) <= rank_max {
                story.tell(entry);
            } else if turns && entry.topic == Topic::Turn {
                story.count_turn(entry);
            } else {
                *story.hidden.entry(entry.topic).or_default() += 1;
            }
        }
        story
    }

    fn tell(&mut self, entry: &TimelineEntry) {
        // Nothing moves across what it may be the effect of.
        let recent = self.lines.iter_mut().rev();
        let mut recent = recent.take_while(|line| {
            !matches!(line.topic, Topic::Fault | Topic::Phase | Topic::Leader)
                && entry.at.since(line.at) <= ALIKE_US
        });
        match recent.find(|line| line.is_like(entry)) {
            Some(line) => line.add(entry),
            None => self.lines.push(Line::of(entry)),
        }
    }

    fn count_turn(&mut self, entry: &TimelineEntry) {
        match self.lines.last_mut() {
            Some(line) if line.topic == Topic::Turn => line.turns += 1,
            _ => self.lines.push(Line::turn(entry)),
        }
    }

    fn into_lines(mut self) -> Vec<String> {
        if self.lines.len() > LINES_MAX {
            let middle = LINES_MAX / 2..self.lines.len() - LINES_MAX / 2;
            for line in self.lines.drain(middle) {
                *self.hidden.entry(line.topic).or_default() += line.who.len().max(line.turns);
            }
        }
        let told = self.lines.iter().any(|line| line.turns > 1);
        let hidden: Vec<String> = self
            .hidden
            .iter()
            .map(|(&topic, &count)| counted(count as u64, of_kind(topic)))
            .collect();
        let mut lines = aligned(self.lines);
        if !hidden.is_empty() {
            lines.push(format!("  not shown: {}; -v shows all", hidden.join(", ")));
        } else if told {
            lines.push("  -v shows every turn".to_string());
        }
        lines
    }
}

fn aligned(lines: Vec<Line>) -> Vec<String> {
    let width = lines.iter().map(|line| line.subject().chars().count());
    let width = width.max().unwrap_or(0).min(SUBJECT_MAX);
    lines
        .iter()
        .map(|line| {
            let (at, subject) = (line.at.to_string(), line.subject());
            format!("  {at:>10}  {subject:<width$}  {}", line.words())
        })
        .collect()
}

/// Longer lists of servers or clients stand out of the column.
const SUBJECT_MAX: usize = 14;

/// What several are told to do: `follows s5` becomes `follow s5`. The first word of a line is its verb.
fn plural(what: &str) -> String {
    let (verb, rest) = what.split_at(what.find(' ').unwrap_or(what.len()));
    let verb = match verb {
        "is" => "are",
        "has" => "have",
        "can" => "can",
        verb => verb.strip_suffix('s').unwrap_or(verb),
    };
    let rest = rest
        .replace(" its disk", " their disks")
        .replace(" its connection ", " their connections ")
        .replace(" its session", " their sessions")
        .replace(" that it holds", " that they hold")
        .replace(" that it leads", " that they lead")
        .replace(", and stops", ", and stop");
    format!("{verb}{rest}")
}

/// The particulars of several: numbers of the same thing are added up, the same words stand once, others are left to `-v`.
fn together(more: &[String]) -> Option<String> {
    let first = more.first()?;
    if more.iter().all(|other| other == first) && !first.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(first.clone());
    }
    if more.len() == 1 {
        return Some(first.clone());
    }
    let numbers: Option<Vec<(u64, &str)>> = more.iter().map(|part| number_of(part)).collect();
    let numbers = numbers?;
    let what = numbers.first()?.1;
    let same = numbers.iter().all(|(_, other)| *other == what);
    let sum: u64 = numbers.iter().map(|(number, _)| number).sum();
    same.then(|| match what.split_once(' ') {
        Some((thing, rest)) => format!("{} {rest}", counted(sum, thing)),
        None => counted(sum, what),
    })
}

/// `3 operations unknown` as 3 and `operation unknown`.
fn number_of(part: &str) -> Option<(u64, &str)> {
    let (number, what) = part.split_once(' ')?;
    let what = match what {
        "operation unknown" | "operations unknown" => "operation unknown",
        _ => return None,
    };
    Some((number.parse().ok()?, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ms: u64, who: &str, topic: Topic, what: &str) -> TimelineEntry {
        TimelineEntry {
            at: Time::from_ms(ms),
            who: who.into(),
            topic,
            what: what.into(),
        }
    }

    fn story() -> Vec<TimelineEntry> {
        let mut entries = vec![
            entry(0, "s1", Topic::Recovery, "has read its disk"),
            entry(1, "s2", Topic::Recovery, "has read its disk"),
            entry(400, "s2", Topic::Role, "follows s1"),
            entry(401, "s1", Topic::Role, "is elected"),
            entry(402, "s3", Topic::Role, "follows s1"),
            entry(410, "s1", Topic::Leader, "leads epoch 1"),
        ];
        for n in 0..30 {
            let what = "holds /locks/ledger; for 3 ms";
            entries.push(entry(500 + n, "c1", Topic::Turn, what));
        }
        let lost = |count: &str| format!("loses its connection to s1; {count} unknown");
        entries.extend([
            entry(900, "", Topic::Fault, "first: crashes s1"),
            entry(900, "s1", Topic::Death, "dies; nothing was unsynced"),
            entry(900, "c1", Topic::Connection, &lost("1 operation")),
            entry(900, "c2", Topic::Connection, &lost("2 operations")),
            entry(950, "s2", Topic::Role, "follows s3"),
        ]);
        entries
    }

    #[test]
    fn what_several_do_alike_is_one_line_and_turns_are_counted() {
        assert_eq!(
            lines(&story(), Detail::Short),
            [
                "      0.000s  s1 s2  have read their disks",
                "      0.400s  s2 s3  follow s1",
                "      0.401s  s1     is elected",
                "      0.410s  s1     leads epoch 1",
                "      0.500s         … 30 turns at locks and terms",
                "      0.900s  fault  first: crashes s1",
                "      0.900s  s1     dies; nothing was unsynced",
                "      0.900s  c1 c2  lose their connections to s1; 3 operations unknown",
                "      0.950s  s2     follows s3",
                "  -v shows every turn",
            ]
        );
    }

    /// A verb that stands alone gets no space behind it.
    #[test]
    fn several_that_die_die() {
        let died = |n, who| entry(n, who, Topic::Death, "dies; nothing was unsynced");
        assert_eq!(
            lines(&[died(1, "s1"), died(2, "s2")], Detail::Short),
            ["      0.001s  s1 s2  die; nothing was unsynced"]
        );
        assert_eq!(plural("dies"), "die");
        assert_eq!(plural("has read its disk"), "have read their disks");
    }

    #[test]
    fn the_full_form_has_every_line() {
        let entries = story();
        let full = lines(&entries, Detail::Full);
        assert_eq!(full.len(), entries.len());
        for (line, entry) in full.iter().zip(&entries) {
            assert!(line.contains(&entry.at.to_string()), "{line}");
            assert!(line.ends_with(&entry.what), "{line}");
        }
    }

    /// A long run: routine is counted first, then roles; faults are there to the last.
    #[test]
    fn a_long_run_fits_and_keeps_its_turning_points() {
        let mut entries = Vec::new();
        for n in 0..30 {
            let at = n * 2_000;
            entries.push(entry(
                at,
                "",
                Topic::Fault,
                &format!("fault-{n}: crashes s1"),
            ));
            entries.push(entry(at, "s1", Topic::Role, &format!("follows s{n}")));
            entries.push(entry(at + 9, "s1", Topic::Recovery, "has read its disk"));
            entries.push(entry(at + 10, "c1", Topic::Turn, "holds /locks/ledger"));
        }
        let short = lines(&entries, Detail::Short);
        assert_eq!(short.len(), 31);
        assert!(
            short
                .iter()
                .take(30)
                .all(|line| line.contains("crashes s1"))
        );
        assert_eq!(
            short[30],
            "  not shown: 30 changes of role, 30 steps of recovery, 30 turns at locks and terms; -v shows all"
        );
        for n in 30..60 {
            let fault = format!("fault-{n}: crashes s1");
            entries.push(entry(n * 2_000, "", Topic::Fault, &fault));
        }
        let short = lines(&entries, Detail::Short);
        assert_eq!(short.len(), 41);
        assert!(short[40].contains("20 faults"), "{}", short[40]);
    }
}
