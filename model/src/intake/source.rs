//! Bytes with line numbers, from files plain or packed.

use super::Fault;
use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, BufReader, Read};

/// The longest entry that is read: a single operation has no more to say.
pub const ENTRY_BYTES_MAX: usize = 16 << 20;

/// A stream of bytes that knows its line.
pub struct Source<'a> {
    input: Box<dyn BufRead + 'a>,
    line: u64,
    read: u64,
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

impl<'a> Source<'a> {
    /// Reads from a file or whatever else gives bytes; unpacks gzip, which it knows by its first bytes.
    pub fn new(input: impl Read + 'a) -> Result<Source<'a>, Fault> {
        let mut input = BufReader::with_capacity(1 << 16, input);
        let start = input
            .fill_buf()
            .map_err(|error| Fault::new(0, format!("cannot be read: {error}")))?;
        let input: Box<dyn BufRead> = if start.starts_with(&GZIP) {
            Box::new(BufReader::with_capacity(
                1 << 16,
                MultiGzDecoder::new(input),
            ))
        } else {
            Box::new(input)
        };
        Ok(Source {
            input,
            line: 1,
            read: 0,
        })
    }

    /// The present line, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// How many bytes were read, after unpacking.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// The next byte, left in place.
    pub fn peek(&mut self) -> Result<Option<u8>, Fault> {
        let line = self.line;
        match self.input.fill_buf() {
            Ok(bytes) => Ok(bytes.first().copied()),
            Err(error) => Err(ends_badly(line, &error)),
        }
    }

    /// Takes the next byte.
    pub fn take(&mut self) -> Result<Option<u8>, Fault> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.input.consume(1);
            self.read += 1;
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }

    /// Skips bytes as long as they are such. More than an entry has is no gap between two, and refused: a file of blanks, however
    /// large, is not read to its end.
    pub fn skip_while(&mut self, is_such: impl Fn(u8) -> bool) -> Result<(), Fault> {
        let began = self.read;
        loop {
            let line = self.line;
            let bytes = self.input.fill_buf();
            let bytes = bytes.map_err(|error| ends_badly(line, &error))?;
            let all = bytes.len();
            let count = (bytes.iter().position(|byte| !is_such(*byte))).unwrap_or(all);
            let lines = bytes[..count].iter().filter(|byte| **byte == b'\n').count();
            self.input.consume(count);
            self.read += count as u64;
            self.line += lines as u64;
            if self.read - began > ENTRY_BYTES_MAX as u64 {
                return Err(Fault::new(
                    self.line,
                    format!(
                        "more than {} MiB without an entry; this is no history",
                        ENTRY_BYTES_MAX >> 20
                    ),
                ));
            }
            if count < all || all == 0 {
                return Ok(());
            }
        }
    }

    /// Whether what follows begins with a key as JSON writes it, in quotes.
    pub fn looks_like_json(&mut self) -> Result<bool, Fault> {
        let line = self.line;
        let bytes = self.input.fill_buf();
        let bytes = bytes.map_err(|error| ends_badly(line, &error))?;
        let mut rest =
            (bytes.iter()).skip_while(|byte| byte.is_ascii_whitespace() || b"{[".contains(byte));
        Ok(rest.next() == Some(&b'"'))
    }

    /// Takes the rest of the line, without its end. `None`: there is no more.
    pub fn take_line(&mut self) -> Result<Option<String>, Fault> {
        let line = self.line;
        let mut bytes = Vec::new();
        let limit = ENTRY_BYTES_MAX as u64 + 1;
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut bytes);
        let read = read.map_err(|error| ends_badly(line, &error))?;
        if read == 0 {
            return Ok(None);
        }
        self.read += read as u64;
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(too_long(line));
        }
        self.line += 1;
        while bytes
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            bytes.pop();
        }
        let text = String::from_utf8(bytes);
        text.map(Some)
            .map_err(|_| Fault::new(line, "this is no text (not UTF-8)"))
    }
}

fn ends_badly(line: u64, error: &std::io::Error) -> Fault {
    let what = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it was cut off".to_owned(),
        _ => error.to_string(),
    };
    Fault::new(line, format!("the file ends badly here: {what}"))
}

pub(crate) fn too_long(line: u64) -> Fault {
    Fault::new(
        line,
        format!(
            "an entry of more than {} MiB; this is no history",
            ENTRY_BYTES_MAX >> 20
        ),
    )
}
