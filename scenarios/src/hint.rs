//! "Did you mean": the names that are nearest to one that nobody knows.

/// A shorter piece of a name is in too many of them to be a hint.
const PART_MIN: usize = 3;
/// More names than this are no hint any more.
const HINTS_MAX: usize = 4;

/// The known names that `found` may have been meant to be, the nearest first: the same but for case and for `_`, `-` and
/// blanks, one a piece of the other, or few letters apart.
pub(crate) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let found = plain(found);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| rank(&found, &plain(name)).map(|rank| (rank, name)))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter()
        .map(|(_, name)| name)
        .take(HINTS_MAX)
        .collect()
}

/// `; did you mean a or b?`, or nothing where nothing is near.
pub(crate) fn did_you_mean<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(found, known).as_slice() {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(" or ")),
    }
}

fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    letters.flat_map(char::to_lowercase).collect()
}

/// Lower is nearer; `None`: too far.
fn rank(found: &str, name: &str) -> Option<usize> {
    let length = found.chars().count().min(name.chars().count());
    let apart = distance(found, name);
    // A third of the letters may be wrong, but not all of a short name.
    let allowed = (length / 3).clamp(1, 3);
    if apart <= allowed && apart < length {
        return Some(apart);
    }
    // One is a piece of the other: the less is over, the nearer; nearer still where it is the beginning.
    let enough = |part: &str| part.chars().count() >= PART_MIN;
    let over = found.chars().count().abs_diff(name.chars().count());
    let is_in =
        |part: &str, whole: &str, of: fn(&str, &str) -> bool| enough(part) && of(whole, part);
    let begins = |whole: &str, part: &str| whole.starts_with(part);
    let holds = |whole: &str, part: &str| whole.contains(part);
    if is_in(found, name, begins) || is_in(name, found, begins) {
        Some(10 + over)
    } else if is_in(found, name, holds) || is_in(name, found, holds) {
        Some(100 + over)
    } else {
        None
    }
}

/// Levenshtein's distance, in which two letters that changed places count once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut cost = replaced.min(row[j - 1] + 1).min(rows[i - 1][j] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(rows[i - 2][j - 2] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 6] = [
        "leader",
        "leader-crash",
        "leader-pause",
        "all",
        "s1",
        "zookeeper-2832",
    ];

    #[test]
    fn case_typing_errors_and_pieces_lead_to_a_name() {
        for (found, first) in [
            ("LEADER", "leader"),
            ("leadr", "leader"),
            ("Leader_Crash", "leader-crash"),
            ("leader-crahs", "leader-crash"),
            ("2832", "zookeeper-2832"),
            ("ZOOKEEPER-2832", "zookeeper-2832"),
            ("leader-crash.toml", "leader-crash"),
            ("S1", "s1"),
        ] {
            assert_eq!(nearest(found, KNOWN).first(), Some(&first), "{found}");
        }
    }

    #[test]
    fn what_is_far_from_everything_gets_no_hint() {
        for found in ["", "xyzzy", "q", "boss"] {
            assert_eq!(nearest(found, KNOWN), Vec::<&str>::new(), "{found}");
        }
        assert_eq!(did_you_mean("xyzzy", KNOWN), "");
        assert_eq!(did_you_mean("al", KNOWN), "; did you mean all?");
    }
}
