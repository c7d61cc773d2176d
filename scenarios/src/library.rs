//! The scenario files that come with the program, and those that a user names by path.

use crate::format::{BYTES_MAX, FormatError, Scenario};
use crate::hint::did_you_mean;
use std::fs::File;
use std::io::Read;
use std::path::Path;

include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// The scenario in which everything is drawn: what a campaign fuzzes where none is named, and what bugs are hunted with.
pub(crate) const GENERATOR: &str = "swarm";

/// A scenario of the library and its text.
pub struct Entry {
    /// Its name: the file's, without `.toml`.
    pub name: &'static str,
    /// The file's text.
    pub text: &'static str,
}

impl Entry {
    /// Reads it. The library's own files are tested to be right.
    pub fn scenario(&self) -> Result<Scenario, FormatError> {
        Scenario::parse(&format!("scenarios/library/{}.toml", self.name), self.text)
    }
}

/// The scenario that `name` means: one of the library, or a file.
pub fn find(name: &str) -> Result<Scenario, FormatError> {
    if let Some(entry) = LIBRARY.iter().find(|entry| entry.name == name) {
        return entry.scenario();
    }
    let path = Path::new(name);
    let looks_like_a_file =
        path.extension().is_some() || path.components().count() > 1 || path.exists();
    if !looks_like_a_file {
        return Err(unknown(name));
    }
    let text = read_bounded(path, BYTES_MAX, "scenario").map_err(|message| FormatError {
        file: name.into(),
        line: 0,
        message,
    })?;
    Scenario::parse(name, &text)
}

fn unknown(name: &str) -> FormatError {
    let hint = match did_you_mean(name, LIBRARY.iter().map(|entry| entry.name)) {
        hint if hint.is_empty() => "; `zabsim list scenarios` names them all".into(),
        hint => hint,
    };
    let (file, what) = match name {
        "" => ("run", "the scenario's name is empty"),
        name => (name, "no scenario of that name, and no such file"),
    };
    FormatError {
        file: file.into(),
        line: 0,
        message: format!("{what}{hint}"),
    }
}

/// Reads a text file without ever taking more of it into memory than a thing of that kind can have.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64, what: &str) -> Result<String, String> {
    let cannot = |error| format!("cannot read it: {error}");
    let too_large = || format!("larger than {} MiB; no {what} is", bytes_max >> 20);
    let file = File::open(path).map_err(cannot)?;
    // What says of itself that it is too large need not be read; what does not say so, such as a pipe, is read so far.
    if file.metadata().map_err(cannot)?.len() > bytes_max {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        format!(
            "not a text file: byte {} is not UTF-8",
            error.utf8_error().valid_up_to()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_library_is_right_and_named_as_its_file() {
        assert!(
            LIBRARY.len() >= 31,
            "20 scenarios and 11 schedules of real bugs, found {}",
            LIBRARY.len()
        );
        for entry in LIBRARY {
            let scenario = entry.scenario().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.plan.name, entry.name);
            assert!(
                scenario.plan.about.ends_with('.'),
                "{}: `about` is a sentence",
                entry.name
            );
        }
    }

    #[test]
    fn a_scenario_written_out_reads_the_same() {
        for entry in LIBRARY {
            let scenario = entry.scenario().unwrap_or_else(|error| panic!("{error}"));
            let drawn = scenario.draw(7);
            for scenario in [scenario, drawn] {
                let text = scenario.to_toml();
                let again = Scenario::parse("again", &text)
                    .unwrap_or_else(|error| panic!("{error}\n{text}"));
                assert_eq!(again, scenario, "{text}");
            }
        }
    }

    #[test]
    fn an_unknown_name_gets_a_hint() {
        let error = find("leader-crahs")
            .expect_err("no such scenario")
            .to_string();
        assert!(
            error.contains("did you mean") && error.contains("leader-crash"),
            "{error}"
        );
        let error = find("no/such/file.toml")
            .expect_err("no such file")
            .to_string();
        assert!(error.contains("cannot read it"), "{error}");
    }
}
