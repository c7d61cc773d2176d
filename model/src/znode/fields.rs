//! The fields of one line: looked up by name, each with an error that says what was found and what was allowed.

use crate::intake::Fault;
use serde_json::{Map, Value};
use zabsim_types::{ErrorCode, SessionId, ZPath, Zxid};

/// One JSON object of a line.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    line: u64,
}

impl<'a> Fields<'a> {
    pub fn new(value: &'a Value, line: u64) -> Result<Fields<'a>, Fault> {
        match value {
            Value::Object(map) => Ok(Fields { map, line }),
            other => Err(Fault::new(
                line,
                format!("found {}, where an object {{…}} was expected", brief(other)),
            )),
        }
    }

    /// An error about this line.
    pub fn fault<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::new(self.line, what))
    }

    /// The field, `None` where it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn wanted<T>(&self, name: &str, allowed: &str) -> Result<T, Fault> {
        let found = match self.map.get(name) {
            None => "is missing".to_owned(),
            Some(value) => format!("is {}", brief(value)),
        };
        self.fault(format!("`{name}` {found}; {allowed} was expected"))
    }

    pub fn text(&self, name: &str) -> Result<&'a str, Fault> {
        match self.map.get(name) {
            Some(Value::String(text)) => Ok(text),
            _ => self.wanted(name, "a string"),
        }
    }

    pub fn u64(&self, name: &str) -> Result<u64, Fault> {
        match self.map.get(name).and_then(Value::as_u64) {
            Some(number) => Ok(number),
            None => self.wanted(name, "a number, 0 or greater,"),
        }
    }

    pub fn i64(&self, name: &str) -> Result<i64, Fault> {
        match self.map.get(name).and_then(Value::as_i64) {
            Some(number) => Ok(number),
            None => self.wanted(name, "a whole number"),
        }
    }

    pub fn u32(&self, name: &str) -> Result<u32, Fault> {
        match u32::try_from(self.u64(name)?) {
            Ok(number) => Ok(number),
            Err(_) => self.wanted(name, "a number of 32 bits"),
        }
    }

    pub fn i32(&self, name: &str) -> Result<i32, Fault> {
        match i32::try_from(self.i64(name)?) {
            Ok(number) => Ok(number),
            Err(_) => self.wanted(name, "a number of 32 bits"),
        }
    }

    /// A flag; absent means no.
    pub fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => self.wanted(name, "true or false"),
        }
    }

    pub fn list(&self, name: &str) -> Result<&'a [Value], Fault> {
        match self.map.get(name) {
            Some(Value::Array(list)) => Ok(list),
            _ => self.wanted(name, "a list […]"),
        }
    }

    pub fn object(&self, name: &str) -> Result<Fields<'a>, Fault> {
        match self.map.get(name) {
            Some(Value::Object(map)) => Ok(Fields {
                map,
                line: self.line,
            }),
            _ => self.wanted(name, "an object {…}"),
        }
    }

    /// An element of a list of this object.
    pub fn element(&self, value: &'a Value) -> Result<Fields<'a>, Fault> {
        Fields::new(value, self.line)
    }

    pub fn path(&self, name: &str) -> Result<ZPath, Fault> {
        Ok(self.text(name)?.into())
    }

    pub fn zxid(&self, name: &str) -> Result<Zxid, Fault> {
        Ok(Zxid(self.u64(name)?))
    }

    /// A session, in hexadecimal.
    pub fn session(&self) -> Result<SessionId, Fault> {
        let text = self.text("session")?;
        let number = text
            .strip_prefix("0x")
            .map(|hex| u64::from_str_radix(hex, 16));
        match number {
            Some(Ok(number)) => Ok(SessionId(number as i64)),
            _ => self.wanted("session", "a number in hexadecimal, as \"0x1000a\","),
        }
    }

    /// An error by its name; where its number (`code`) is there too, it must be that of the same.
    pub fn error(&self, name: &str) -> Result<ErrorCode, Fault> {
        let text = self.text(name)?;
        let named = (-200..=0).find_map(|number| {
            let code = ErrorCode::from_code(number)?;
            (code.name() == text).then_some((code, number))
        });
        let Some((code, number)) = named else {
            return self.wanted(name, "the name of one of ZooKeeper's errors");
        };
        match self.get("code") {
            Some(other) if other.as_i64() != Some(number.into()) => {
                let allowed = format!("{number}, the number of {text},");
                self.wanted("code", &allowed)
            }
            _ => Ok(code),
        }
    }
}

/// A value, cut short for a message.
pub(super) fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
