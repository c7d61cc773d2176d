//! Znode paths and the rule for what is one (`org.apache.zookeeper.common.PathUtils`).

use std::sync::Arc;

/// A path as a request carries it: shared, and *not* necessarily valid; a server must answer bad ones too.
pub type ZPath = Arc<str>;

/// The node that holds the ensemble's configuration: "getConfig" is `getData` of it.
pub const CONFIG_NODE: &str = "/zookeeper/config";

/// Why a string is no path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathError {
    /// The empty string.
    Empty,
    /// It does not begin with `/`.
    NotAbsolute,
    /// It ends with `/` and is not the root.
    TrailingSlash,
    /// It has an empty part: `//`.
    EmptyPart,
    /// It has a part `.` or `..`.
    Relative,
    /// It has a character that paths must not have.
    BadCharacter(char),
}

impl std::fmt::Display for PathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PathError::Empty => write!(f, "a path must not be empty"),
            PathError::NotAbsolute => write!(f, "a path must begin with '/'"),
            PathError::TrailingSlash => write!(f, "a path must not end with '/'"),
            PathError::EmptyPart => write!(f, "a path must not have an empty part ('//')"),
            PathError::Relative => write!(f, "a path must not have a part '.' or '..'"),
            PathError::BadCharacter(c) => {
                write!(f, "a path must not have the character U+{:04X}", *c as u32)
            }
        }
    }
}

impl std::error::Error for PathError {}

/// Whether `path` is one that a node can have.
///
/// ZooKeeper looks at UTF-16 units and refuses surrogates and the private-use range behind them (U+D800–F8FF): so no
/// character beyond U+FFFF is allowed.
pub fn validate(path: &str) -> Result<(), PathError> {
    if is_plain(path) {
        return Ok(());
    }
    look_closely(path)
}

fn look_closely(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if path == "/" {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    for part in path[1..].split('/') {
        match part {
            "" => return Err(PathError::EmptyPart),
            "." | ".." => return Err(PathError::Relative),
            _ => {}
        }
    }
    match path.chars().find(|c| forbidden(*c)) {
        Some(c) => Err(PathError::BadCharacter(c)),
        None => Ok(()),
    }
}

/// Whether a path is one, seen at a single glance: of ASCII, no part of it empty or begun with a dot. Most are.
fn is_plain(path: &str) -> bool {
    // Without a way out before the end: so the compiler takes many bytes at a time.
    let bytes = path.as_bytes();
    let is_printable = |all, byte: &u8| all & matches!(byte, b' '..=b'~');
    let begins_badly = |(before, byte): (&u8, &u8)| *before == b'/' && matches!(byte, b'/' | b'.');
    bytes.first() == Some(&b'/')
        && bytes.last() != Some(&b'/')
        && bytes.iter().fold(true, is_printable)
        && !bytes
            .iter()
            .zip(&bytes[1..])
            .fold(false, |any, pair| any | begins_badly(pair))
}

fn forbidden(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

/// The path of the node above, `/` for a child of the root; `None` for the root and for a string without a slash.
pub fn parent_of(path: &str) -> Option<&str> {
    match path.rfind('/') {
        Some(0) if path.len() > 1 => Some("/"),
        Some(0) | None => None,
        Some(at) => Some(&path[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken for a path at a glance is one, and only the root, dots and what is not ASCII needs a closer look.
    #[test]
    fn a_glance_is_right() {
        let letters = ['/', '.', 'a', ' ', '\u{0}', '\u{7f}', 'é'];
        let mut paths = vec![String::new()];
        for _ in 0..5 {
            let longer = paths
                .iter()
                .flat_map(|path| letters.map(|c| format!("{path}{c}")));
            paths.extend(longer.collect::<Vec<String>>());
        }
        let mut plain = 0;
        for path in &paths {
            assert!(!is_plain(path) || look_closely(path).is_ok(), "{path:?}");
            plain += u64::from(is_plain(path));
        }
        assert!(plain > 100 && is_plain("/a/b.c") && !is_plain("/"));
    }

    #[test]
    fn paths_are_what_zookeeper_takes() {
        for good in ["/", "/a", "/a/b.c", "/a/...", "/zookeeper", "/ü"] {
            assert_eq!(validate(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", PathError::Empty),
            ("a", PathError::NotAbsolute),
            ("/a/", PathError::TrailingSlash),
            ("/a//b", PathError::EmptyPart),
            ("/a/./b", PathError::Relative),
            ("/..", PathError::Relative),
            ("/a\u{1}", PathError::BadCharacter('\u{1}')),
            ("/\u{e000}", PathError::BadCharacter('\u{e000}')),
            ("/\u{1f600}", PathError::BadCharacter('\u{1f600}')),
        ] {
            assert_eq!(validate(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn a_parent_is_the_path_up_to_the_last_slash() {
        assert_eq!(parent_of("/a/b"), Some("/a"));
        assert_eq!(parent_of("/a"), Some("/"));
        assert_eq!(parent_of("/"), None);
        assert_eq!(parent_of("a"), None);
    }
}
