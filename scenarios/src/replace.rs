//! Putting a file in another's place, so that whoever looks, also after a crash, finds one of the two whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Puts a text in a file's place, all of it or nothing. An error names the file.
pub(crate) fn replace(file: &Path, text: &str) -> Result<(), String> {
    let cannot = |error| format!("cannot write {}: {error}", file.display());
    let name = file.file_name().map(|name| name.to_string_lossy());
    let name = name.ok_or_else(|| format!("{} is no file's name", file.display()))?;
    let part = file.with_file_name(format!(".{name}.part"));
    let written = File::create(&part).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&part, file)
    });
    written.map_err(|error| {
        // What there is of it is of no use, and may be what filled the disk.
        let _ = fs::remove_file(&part);
        cannot(error)
    })
}
