//! What is read: a file, a pipe, or the standard input, and a look at how it begins that takes nothing away.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

/// The standard input's name, as on other command lines.
pub(super) const STDIN: &str = "-";

/// Something to read, with its beginning in hand.
pub(super) struct Input {
    file: PathBuf,
    head: Vec<u8>,
    rest: Box<dyn Read>,
}

/// No first line of a history is longer.
const HEAD_BYTES: u64 = 4 << 20;
/// How much is read at once to see how it begins.
const STEP_BYTES: usize = 64 << 10;
const GZIP: [u8; 2] = [0x1f, 0x8b];

impl Input {
    /// Opens it, and reads its first line; of what is packed, somewhat more.
    pub fn open(file: &Path) -> Result<Input, String> {
        let fault = |what: String| format!("{}: {what}", name(file));
        let unreadable = |error: io::Error| fault(format!("cannot be read: {error}"));
        let mut rest: Box<dyn Read> = if file == Path::new(STDIN) {
            Box::new(io::stdin())
        } else if file.is_dir() {
            return Err(fault("is a directory; a file was expected".to_owned()));
        } else {
            Box::new(File::open(file).map_err(unreadable)?)
        };
        let mut head = Vec::new();
        loop {
            let before = head.len();
            let mut step = (&mut rest).take(STEP_BYTES as u64);
            step.read_to_end(&mut head).map_err(unreadable)?;
            let is_all = head.len() - before < STEP_BYTES;
            let text = head.iter().position(|byte| !byte.is_ascii_whitespace());
            let has_line = text.is_some_and(|from| head[from..].contains(&b'\n'));
            // What is packed shows its first line in the first of its blocks.
            if is_all
                || head.len() as u64 >= HEAD_BYTES
                || has_line && !head.starts_with(&GZIP)
                || head.starts_with(&GZIP) && head.len() >= 16 * STEP_BYTES
            {
                break;
            }
        }
        Ok(Input {
            file: file.to_owned(),
            head,
            rest,
        })
    }

    /// As the user named it.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// For messages.
    pub fn name(&self) -> String {
        name(&self.file)
    }

    /// How it begins.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// All of it.
    pub fn into_read(self) -> impl Read {
        Cursor::new(self.head).chain(self.rest)
    }
}

fn name(file: &Path) -> String {
    match file == Path::new(STDIN) {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    }
}
