//! The entries of a history, whatever the format.

use super::Fault;
use super::edn::Reader;
use super::source::Source;
use serde_json::Value;

/// What an entry says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An operation is called.
    Invoke,
    /// It returned.
    Ok,
    /// It returned without having happened.
    Fail,
    /// Nobody knows what became of it; or this is a note.
    Info,
}

/// An entry of a history.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Its line.
    pub line: u64,
    /// Who: a number mostly.
    pub process: Value,
    /// What it says.
    pub kind: Kind,
    /// The operation.
    pub f: String,
    /// The key that it is about, where the format has one.
    pub key: Option<Value>,
    /// Its argument, or its result.
    pub value: Value,
    /// Whether it names an error.
    pub error: Option<Value>,
    /// Its number in the history, where there are numbers.
    pub index: Option<i64>,
    /// Its time, where there is one.
    pub time: Option<i64>,
}

/// How a history is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Maps of EDN.
    Edn,
    /// Objects of JSON.
    Json,
    /// Log lines of `jepsen.util`.
    Log,
}

impl Format {
    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Edn => "EDN",
            Format::Json => "JSON",
            Format::Log => "log lines of jepsen.util",
        }
    }
}

/// Reads one entry after the other.
pub struct Entries<'s, 'a> {
    source: &'s mut Source<'a>,
    format: Format,
    /// Whether all entries lie in one vector, which was begun.
    in_vector: bool,
    /// Whether the history shows where it ends.
    marks_end: bool,
    /// Whether a log has had an entry in it.
    found: bool,
}

/// How long a log may speak of other things before its first entry.
const FOREIGN_LINES_MAX: u64 = 100_000;

impl<'s, 'a> Entries<'s, 'a> {
    /// Finds out how the history is written.
    pub fn new(source: &'s mut Source<'a>) -> Result<Entries<'s, 'a>, Fault> {
        let first = Reader::new(source, false).skip()?;
        let Some(first) = first else {
            return Err(Fault::new(0, "the file is empty"));
        };
        let in_vector = matches!(first, b'[' | b'(');
        if in_vector {
            source.take()?;
        }
        let format = match (first, in_vector) {
            (_, true) | (b'{' | b'#', _) => match source.looks_like_json()? {
                true => Format::Json,
                false => Format::Edn,
            },
            _ => Format::Log,
        };
        Ok(Entries {
            source,
            format,
            in_vector,
            marks_end: in_vector,
            found: false,
        })
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it shows where it ends: a vector is closed. One map after another may have been cut off between two.
    pub fn marks_end(&self) -> bool {
        self.marks_end
    }

    /// How many bytes were read.
    pub fn read(&self) -> u64 {
        self.source.read()
    }

    /// The next entry; `None` at the end.
    pub fn read_next(&mut self) -> Result<Option<Entry>, Fault> {
        if self.format == Format::Log {
            return self.next_log_line();
        }
        let mut reader = Reader::new(self.source, self.format == Format::Json);
        let next = reader.skip()?;
        let line = reader.line();
        match next {
            Some(b']' | b')') if self.in_vector => {
                self.in_vector = false;
                self.source.take()?;
                match Reader::new(self.source, false).skip()? {
                    None => Ok(None),
                    Some(_) => Err(Fault::new(
                        self.source.line(),
                        "something follows the history",
                    )),
                }
            }
            None if self.in_vector => Err(Fault::new(
                line,
                "the file ends before the history's closing `]`",
            )),
            None => Ok(None),
            Some(_) => {
                let value = reader.value()?;
                value.map(|value| entry(value, line)).transpose()
            }
        }
    }

    fn next_log_line(&mut self) -> Result<Option<Entry>, Fault> {
        loop {
            let line = self.source.line();
            let Some(text) = self.source.take_line()? else {
                return Ok(None);
            };
            if let Some(entry) = log_entry(&text, line)? {
                self.found = true;
                return Ok(Some(entry));
            }
            if !self.found && line > FOREIGN_LINES_MAX {
                let what = format!("no entry of a history in the first {FOREIGN_LINES_MAX} lines");
                return Err(Fault::new(line, what));
            }
        }
    }
}

/// A map as an entry.
fn entry(value: Value, line: u64) -> Result<Entry, Fault> {
    let Value::Object(mut map) = value else {
        return Err(Fault::new(
            line,
            format!("an entry is a map, not `{}`", brief(&value)),
        ));
    };
    let mut take = |name: &str| map.remove(name).filter(|value| !value.is_null());
    let Some(process) = take("process") else {
        let found = brief(&Value::Object(map));
        let what =
            format!("an entry has a `process`, a `type` and an operation `f`; found {found}");
        return Err(Fault::new(line, what));
    };
    // A nemesis says what it likes: only calls of clients must be in the words that are known.
    let is_note = process.as_i64().is_none_or(|number| number < 0);
    let kind = match take("type").as_ref().and_then(Value::as_str) {
        Some("invoke") => Kind::Invoke,
        Some("ok") => Kind::Ok,
        Some("fail") => Kind::Fail,
        Some("info") => Kind::Info,
        _ if is_note => Kind::Info,
        other => {
            let other = other.map_or("nothing".to_owned(), |other| format!("`{other}`"));
            return Err(Fault::new(
                line,
                format!("an entry's `type` is invoke, ok, fail or info; found {other}"),
            ));
        }
    };
    let f = match take("f") {
        Some(Value::String(f)) => f,
        Some(other) => brief(&other),
        None if is_note || kind == Kind::Info => String::new(),
        None => {
            return Err(Fault::new(
                line,
                "an entry has an operation `f`; this one has none",
            ));
        }
    };
    Ok(Entry {
        line,
        process,
        kind,
        f,
        key: take("key"),
        error: take("error"),
        index: take("index").as_ref().and_then(Value::as_i64),
        time: take("time").as_ref().and_then(Value::as_i64),
        value: take("value").unwrap_or(Value::Null),
    })
}

/// A line such as `INFO  jepsen.util - 4 :invoke :cas [1 3]`, with tabs or blanks. Lines of other parts of a log are passed over; one of this part that
/// is cut or garbled is not.
fn log_entry(text: &str, line: u64) -> Result<Option<Entry>, Fault> {
    let Some((_, body)) = text.split_once("jepsen.util - ") else {
        return match text.trim().is_empty()
            || text.starts_with(char::is_alphanumeric) && text.is_ascii()
        {
            true => Ok(None),
            false => Err(Fault::new(
                line,
                "this is no log line, and no format that is known here",
            )),
        };
    };
    // A value may have spaces in it; what comes before it has none.
    let mut rest = body;
    let [process, kind, f] = [(); 3].map(|()| {
        rest = rest.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        word
    });
    if f.is_empty() {
        return Err(Fault::new(
            line,
            "an entry has process, type, operation and value; this one is cut",
        ));
    }
    let read = |text: &str| {
        let mut source = Source::new(text.as_bytes())?;
        let value = Reader::new(&mut source, false).value();
        let value = value.map_err(|fault| Fault::new(line, fault.what))?;
        Ok(value.unwrap_or(Value::Null))
    };
    let mut map = serde_json::Map::new();
    map.insert("process".to_owned(), read(process)?);
    map.insert("type".to_owned(), read(kind)?);
    map.insert("f".to_owned(), read(f)?);
    map.insert("value".to_owned(), read(rest)?);
    entry(Value::Object(map), line).map(Some)
}

/// The beginning of a value, for messages.
pub(crate) fn brief(value: &Value) -> String {
    const LETTERS: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LETTERS) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
