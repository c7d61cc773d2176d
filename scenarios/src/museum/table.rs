//! The museum as a table: for a terminal, and in Markdown, as the README has it between two marks.

use super::results::{Found, Results};
use std::fmt::Write;
use zab::Bug;
use zabsim_bugs::Kind;

/// The line above the table in a Markdown file.
pub(crate) const BEGIN: &str = "<!-- From here to the end mark: `zabsim bugs --into README.md` -->";
/// The line below it.
pub(crate) const END: &str = "<!-- End of what `zabsim bugs` wrote -->";

/// Seeds within which most bugs are to be caught.
const SOON: u64 = 1_000;

const KINDS: [(Kind, &str); 2] = [
    (Kind::Documented, "documented bugs"),
    (Kind::Feared, "bugs that nobody has reported"),
];

/// The bugs of one kind, with what is known of them.
fn of_kind(results: &Results, kind: Kind) -> Vec<(Bug, Found)> {
    let bugs = Bug::ALL.iter().filter(|bug| bug.entry().kind == kind);
    bugs.map(|bug| (*bug, results.of(*bug))).collect()
}

/// How many of them are caught, in a sentence.
fn sum(kind: &str, bugs: &[(Bug, Found)]) -> String {
    let caught = bugs.iter().filter(|(_, found)| found.caught).count();
    let soon = |found: &Found| found.seeds_median.is_some_and(|median| median <= SOON);
    let soon = bugs.iter().filter(|(_, found)| soon(found)).count();
    let hunted = bugs.iter().filter(|(_, found)| found.seeds > 0).count();
    let scripts = bugs.iter().filter(|(_, found)| found.scenario.is_some());
    let unhunted = match bugs.len() - hunted {
        0 => String::new(),
        n => format!(", {n} not hunted"),
    };
    format!(
        "{caught} of {} {kind} are caught{unhunted}; {soon} within {SOON} seeds. {} have a script.",
        bugs.len(),
        scripts.count()
    )
}

/// The median, or how far it was looked for.
fn seeds(found: &Found) -> String {
    match (found.seeds_median, found.seeds) {
        (Some(median), _) => median.to_string(),
        (None, 0) => "not hunted".to_string(),
        (None, seeds) => format!("not in {seeds}"),
    }
}

/// For a terminal.
pub(crate) fn text(results: &Results) -> String {
    let mut out = String::new();
    for (kind, named) in KINDS {
        let bugs = of_kind(results, kind);
        put(&mut out, &sum(named, &bugs));
        for (bug, found) in &bugs {
            let entry = bug.entry();
            put(
                &mut out,
                &format!("\n{}  {}: {}", entry.id, entry.alias, entry.title),
            );
            if !entry.affected.is_empty() {
                put(&mut out, &format!("  affected  {}", entry.affected));
            }
            put(&mut out, &format!("  breaks    {}", entry.breaks));
            let check = match &found.check {
                Some(check) => format!("  check {check}"),
                None => String::new(),
            };
            put(&mut out, &format!("  seeds     {}{check}", seeds(found)));
            if let Some(scenario) = &found.scenario {
                put(&mut out, &format!("  script    {scenario}"));
            }
        }
        out.push('\n');
    }
    out
}

/// In Markdown.
pub(crate) fn markdown(results: &Results) -> String {
    let mut out = String::new();
    for (kind, named) in KINDS {
        let bugs = of_kind(results, kind);
        put(&mut out, &format!("{}\n", sum(named, &bugs)));
        let reported = kind == Kind::Documented;
        let (head, line) = match reported {
            true => ("affected | ", " --- |"),
            false => ("", ""),
        };
        put(
            &mut out,
            &format!("| bug | what it does | {head}breaks | seeds | caught by |"),
        );
        put(&mut out, &format!("| --- | --- |{line} --- | --- | --- |"));
        for (bug, found) in &bugs {
            let entry = bug.entry();
            let name = match &found.scenario {
                Some(scenario) => format!("[{}]({scenario})", entry.id),
                None => entry.id.to_string(),
            };
            let affected = match reported {
                true => format!("{} | ", entry.affected),
                false => String::new(),
            };
            let check = found.check.as_deref().unwrap_or("");
            put(
                &mut out,
                &format!(
                    "| {name} | {} | {affected}{} | {} | {check} |",
                    entry.title,
                    entry.breaks,
                    seeds(found)
                ),
            );
        }
        out.push('\n');
    }
    out
}

fn put(out: &mut String, line: &str) {
    writeln!(out, "{line}").expect("a string takes everything");
}

/// A Markdown file with the table put between its marks.
pub(crate) fn put_into(page: &str, results: &Results) -> Result<String, String> {
    let missing = |mark: &str| format!("it has no line `{mark}`");
    let begin = page.find(BEGIN).ok_or_else(|| missing(BEGIN))?;
    let (before, rest) = page.split_at(begin + BEGIN.len());
    let end = rest.find(END).ok_or_else(|| missing(END))?;
    Ok(format!("{before}\n\n{}{}", markdown(results), &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_is_known() {
        let mut results = Results::default();
        let found = Found {
            caught: true,
            seeds_median: Some(7),
            check: Some("total-order".to_string()),
            scenario: Some("scenarios/bugs/zab-commit-order.toml".to_string()),
            seeds: 900,
            ..Found::nothing(Bug::CommitWithoutPredecessor)
        };
        results.put(Bug::CommitWithoutPredecessor, found);
        let found = Found {
            seeds: 900,
            ..Found::nothing(Bug::VoteById)
        };
        results.put(Bug::VoteById, found);
        let page = markdown(&results);
        assert!(
            page.contains("| [zab#commit-order](scenarios/bugs/zab-commit-order.toml) | a transaction is announced as committed without the one before it | none: a rule of the code | total order, legal messages | 7 | total-order |"),
            "{page}"
        );
        assert!(
            page.contains("| fear#1 | the vote order looks at ids before histories | liveness | not in 900 |  |"),
            "{page}"
        );
        assert!(page.contains(
            "| fear#2 | the vote order does not look at zxids | liveness | not hunted |  |"
        ));
        assert!(page.contains("1 of 52 documented bugs are caught, 51 not hunted; 1 within 1000 seeds. 1 have a script."), "{page}");
        for bug in Bug::ALL {
            assert!(text(&results).contains(&format!(
                "\n{}  {}",
                bug.entry().id,
                bug.entry().alias
            )));
        }
    }

    #[test]
    fn the_table_goes_between_the_marks_and_nowhere_else() {
        let results = Results::default();
        let page = format!("a\n{BEGIN}\nobsolete\n{END}\nb\n");
        let once = put_into(&page, &results).expect("it has the marks");
        assert!(once.starts_with(&format!("a\n{BEGIN}\n\n0 of ")), "{once}");
        assert!(once.ends_with(&format!("|\n\n{END}\nb\n")), "{once}");
        assert!(!once.contains("obsolete"));
        assert_eq!(put_into(&once, &results), Ok(once.clone()));
        let error = put_into("no marks", &results).expect_err("there are none");
        assert!(error.contains("<!-- From here"), "{error}");
    }
}
