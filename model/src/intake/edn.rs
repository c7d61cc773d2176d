//! EDN, as far as histories need it (the format is described at github.com/edn-format/edn), and JSON, which differs in few ways.
//!
//! Values come as JSON values: a keyword or symbol is its name, a list is an array, a set is one too and sorted, a map's keys are
//! their text, and so is an integer of more than 64 bits. So whoever reads a history need not know in which of the two it was written.

use super::Fault;
use super::source::{ENTRY_BYTES_MAX, Source, too_long};
use serde_json::{Map, Number, Value};

/// How deep values may lie in each other.
const DEPTH_MAX: u32 = 64;

/// A reader of one value after the other.
pub struct Reader<'s, 'a> {
    source: &'s mut Source<'a>,
    /// Where the value began that is being read.
    began: u64,
    /// Whether it is JSON: keys end with a colon, and nothing is called `null`.
    json: bool,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | 0x0c)
}

impl<'s, 'a> Reader<'s, 'a> {
    /// Reads on from where the source is.
    pub fn new(source: &'s mut Source<'a>, json: bool) -> Reader<'s, 'a> {
        let began = source.read();
        Reader {
            source,
            began,
            json,
        }
    }

    /// The line that was read last.
    pub fn line(&self) -> u64 {
        self.source.line()
    }

    /// Skips what has no meaning. The first byte of what has, left in place.
    pub fn skip(&mut self) -> Result<Option<u8>, Fault> {
        loop {
            match self.source.peek()? {
                Some(byte) if is_blank(byte) => self.source.skip_while(is_blank)?,
                Some(b':') if self.json => {
                    self.source.take()?;
                }
                Some(b';') if !self.json => self.source.skip_while(|byte| byte != b'\n')?,
                other => return Ok(other),
            }
        }
    }

    /// The next value; `None` at the end.
    pub fn value(&mut self) -> Result<Option<Value>, Fault> {
        self.began = self.source.read();
        match self.skip()? {
            None => Ok(None),
            Some(_) => self.any(0).map(Some),
        }
    }

    fn fault<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::new(self.source.line(), what))
    }

    fn check_size(&self) -> Result<(), Fault> {
        match self.source.read() - self.began > ENTRY_BYTES_MAX as u64 {
            true => Err(too_long(self.source.line())),
            false => Ok(()),
        }
    }

    fn any(&mut self, depth: u32) -> Result<Value, Fault> {
        if depth > DEPTH_MAX {
            return self.fault(format!(
                "values lie more than {DEPTH_MAX} deep in each other"
            ));
        }
        let Some(first) = self.skip()? else {
            return self.fault("the file ends in the middle of a value");
        };
        match first {
            b'{' => {
                self.source.take()?;
                self.map(depth)
            }
            b'[' | b'(' => {
                self.source.take()?;
                let end = if first == b'[' { b']' } else { b')' };
                self.items(end, depth).map(Value::Array)
            }
            b'"' => {
                self.source.take()?;
                self.text().map(Value::String)
            }
            b'\\' => {
                self.source.take()?;
                self.token().map(Value::String)
            }
            b'#' => {
                self.source.take()?;
                self.dispatch(depth)
            }
            b':' => {
                self.source.take()?;
                self.token().map(Value::String)
            }
            b'}' | b']' | b')' => self.fault(format!("`{}` closes nothing", char::from(first))),
            _ => {
                let token = self.token()?;
                self.atom(token)
            }
        }
    }

    /// After a `#`: a set, something to leave out, or a tag, which is dropped (`#inst "…"`, `#jepsen.history.Op{…}`).
    fn dispatch(&mut self, depth: u32) -> Result<Value, Fault> {
        match self.source.peek()? {
            Some(b'{') => {
                self.source.take()?;
                let mut items = self.items(b'}', depth)?;
                // Its elements have no order: however they were written, it is the same set.
                items.sort_by_cached_key(Value::to_string);
                Ok(Value::Array(items))
            }
            Some(b'_') => {
                self.source.take()?;
                self.any(depth + 1)?;
                self.any(depth + 1)
            }
            _ => {
                self.token()?;
                self.any(depth + 1)
            }
        }
    }

    fn items(&mut self, end: u8, depth: u32) -> Result<Vec<Value>, Fault> {
        let mut items = Vec::new();
        loop {
            self.check_size()?;
            match self.skip()? {
                None => {
                    return self.fault(format!("the file ends before the `{}`", char::from(end)));
                }
                Some(byte) if byte == end => {
                    self.source.take()?;
                    return Ok(items);
                }
                Some(_) => items.push(self.any(depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: u32) -> Result<Value, Fault> {
        let items = self.items(b'}', depth)?;
        if items.len() % 2 == 1 {
            return self.fault("a map has a key without a value");
        }
        let mut map = Map::new();
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let key = match key {
                Value::String(key) => key,
                other => other.to_string(),
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn text(&mut self) -> Result<String, Fault> {
        let mut bytes = Vec::new();
        loop {
            self.check_size()?;
            match self.source.take()? {
                None => return self.fault("the file ends in the middle of a text"),
                Some(b'"') => break,
                Some(b'\\') => match self.source.take()? {
                    Some(b'n') => bytes.push(b'\n'),
                    Some(b't') => bytes.push(b'\t'),
                    Some(b'r') => bytes.push(b'\r'),
                    Some(b'b') => bytes.push(8),
                    Some(b'f') => bytes.push(12),
                    Some(b'u') => {
                        let letter = self.letter()?;
                        bytes.extend(letter.to_string().as_bytes());
                    }
                    Some(other) => bytes.push(other),
                    None => return self.fault("the file ends in the middle of a text"),
                },
                Some(byte) => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).or_else(|_| self.fault("this is no text (not UTF-8)"))
    }

    /// The character of a `\u` with four digits; beyond the first plane it takes two of them.
    fn letter(&mut self) -> Result<char, Fault> {
        let mut units = vec![self.unit()?];
        if (0xd800..0xdc00).contains(&units[0]) && self.source.peek()? == Some(b'\\') {
            self.source.take()?;
            if self.source.take()? != Some(b'u') {
                return self.fault("half a character");
            }
            units.push(self.unit()?);
        }
        match char::decode_utf16(units).next() {
            Some(Ok(letter)) => Ok(letter),
            _ => self.fault("half a character"),
        }
    }

    fn unit(&mut self) -> Result<u16, Fault> {
        let mut digits = String::new();
        for _ in 0..4 {
            digits.extend(self.source.take()?.map(char::from));
        }
        match u16::from_str_radix(&digits, 16) {
            Ok(unit) => Ok(unit),
            Err(_) => self.fault(format!("`\\u{digits}` is no character")),
        }
    }

    /// Everything up to what ends a word.
    fn token(&mut self) -> Result<String, Fault> {
        let mut bytes = Vec::new();
        while let Some(byte) = self.source.peek()? {
            if byte.is_ascii_whitespace()
                || b",;\"{}[]()".contains(&byte)
                || (self.json && byte == b':')
            {
                break;
            }
            bytes.push(byte);
            self.source.take()?;
            self.check_size()?;
        }
        if bytes.is_empty() {
            return self.fault("a word was to follow");
        }
        String::from_utf8(bytes).or_else(|_| self.fault("this is no text (not UTF-8)"))
    }

    fn atom(&self, token: String) -> Result<Value, Fault> {
        match token.as_str() {
            "nil" if !self.json => return Ok(Value::Null),
            "null" if self.json => return Ok(Value::Null),
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            _ => {}
        }
        let first = token.trim_start_matches(['+', '-']);
        if !first.starts_with(|letter: char| letter.is_ascii_digit()) {
            return match self.json {
                true => self.fault(format!("`{token}` is no value of JSON")),
                false => Ok(Value::String(token)),
            };
        }
        let digits = token.trim_start_matches('+').trim_end_matches(['N', 'M']);
        if let Ok(number) = digits.parse::<i64>() {
            return Ok(number.into());
        }
        if let Ok(number) = digits.parse::<u64>() {
            return Ok(number.into());
        }
        // Rounded, two of these might be one.
        if digits.bytes().skip(1).all(|byte| byte.is_ascii_digit()) {
            return Ok(Value::String(digits.to_owned()));
        }
        let number = digits.parse::<f64>().ok().and_then(Number::from_f64);
        match number {
            Some(number) => Ok(Value::Number(number)),
            None => self.fault(format!("`{token}` is no number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn all(text: &str, json: bool) -> Result<Vec<Value>, Fault> {
        let mut source = Source::new(text.as_bytes()).expect("bytes in memory");
        let mut reader = Reader::new(&mut source, json);
        let mut values = Vec::new();
        while let Some(value) = reader.value()? {
            values.push(value);
        }
        Ok(values)
    }

    #[test]
    fn everything_that_a_history_has_in_it_is_read() {
        let text = r#"{:process 3, :type :ok, :f :cas, :value [1 nil], :time 12N, :error "a \"b\" \u00e9"} ; a note
            #jepsen.history.Op{:process :nemesis, :f :start #_ignored, :value #{1 2}, :time -1.5, :final? true}
            (a b/c) \x"#;
        let values = all(text, false).expect("it is right");
        assert_eq!(
            values,
            [
                json!({"process": 3, "type": "ok", "f": "cas", "value": [1, null], "time": 12, "error": "a \"b\" é"}),
                json!({"process": "nemesis", "f": "start", "value": [1, 2], "time": -1.5, "final?": true}),
                json!(["a", "b/c"]),
                json!("x"),
            ]
        );
    }

    #[test]
    fn values_that_differ_stay_different_and_equal_ones_equal() {
        let text = "18446744073709551614 18446744073709551615 -9223372036854775808 \
            123456789012345678901234567890 123456789012345678901234567891N -123456789012345678901";
        let mut values = all(text, false).expect("they are numbers");
        assert_eq!(values[0], json!(18_446_744_073_709_551_614_u64));
        assert_eq!(values[2], json!(i64::MIN));
        values.dedup();
        assert_eq!(values.len(), 6, "{values:?}");
        let sets = all("#{1 2 10} #{10 2 1}", false).expect("they are sets");
        assert_eq!(sets[0], sets[1]);
    }

    #[test]
    fn json_is_read_too() {
        let text = "[{\"process\":1,\"value\" : null, \"f\":\"\\ud83d\\ude00\"},\n{}]";
        let values = all(text, true).expect("it is right");
        assert_eq!(
            values,
            [json!([{"process": 1, "value": null, "f": "😀"}, {}])]
        );
        assert!(all("[nope]", true).is_err());
        assert!(all(r#""\ud83d""#, true).is_err());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let cases = [
            ("{:a 1}\n{:b", 2, "ends before the `}`"),
            ("{:a}", 1, "key without a value"),
            ("\n\n]", 3, "`]` closes nothing"),
            ("\"abc", 1, "middle of a text"),
            ("1x", 1, "no number"),
            ("#", 1, "a word was to follow"),
        ];
        for (text, line, what) in cases {
            let fault = all(text, false).expect_err(text);
            assert_eq!(fault.line, line, "{text}");
            assert!(fault.what.contains(what), "{text}: {fault}");
        }
        let deep = "[".repeat(1_000);
        assert!(
            all(&deep, false)
                .expect_err("too deep")
                .what
                .contains("deep")
        );
    }
}
