//! The few primitives of our stable binary encodings: big-endian numbers, length-prefixed strings, and data that tells
//! null from empty. Transactions, forwarded requests and snapshots are written with them; a decoder that meets bytes it
//! does not understand says what it was reading, where, and what it found.

use std::fmt;
use zabsim_types::{Data, SessionId, ZPath, Zxid};

/// Bytes that are not what they should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodeError {
    /// What was being read: `transaction`, `snapshot`.
    pub reading: &'static str,
    /// The offset at which it failed.
    pub at: usize,
    /// What was found there, and what was allowed.
    pub problem: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.reading, self.at, self.problem)
    }
}

impl std::error::Error for DecodeError {}

/// Appends to a buffer.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Writer {
        Writer {
            bytes: Vec::with_capacity(bytes),
        }
    }

    pub(crate) fn u8(&mut self, v: u8) {
        self.bytes.push(v);
    }

    pub(crate) fn u32(&mut self, v: u32) {
        self.bytes.extend_from_slice(&v.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, v: i32) {
        self.bytes.extend_from_slice(&v.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, v: u64) {
        self.bytes.extend_from_slice(&v.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, v: i64) {
        self.bytes.extend_from_slice(&v.to_be_bytes());
    }

    pub(crate) fn session(&mut self, v: SessionId) {
        self.i64(v.0);
    }

    pub(crate) fn zxid(&mut self, v: Zxid) {
        self.u64(v.0);
    }

    /// # Panics
    /// Beyond 4 GiB, which no request can carry.
    pub(crate) fn count(&mut self, n: usize) {
        self.u32(u32::try_from(n).expect("a length fits in 32 bits"));
    }

    /// How many, and each of them.
    pub(crate) fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Writer, T),
    ) {
        self.count(items.len());
        items.for_each(|item| write(self, item));
    }

    pub(crate) fn str(&mut self, v: &str) {
        self.count(v.len());
        self.bytes.extend_from_slice(v.as_bytes());
    }

    /// As jute does it: length −1 is null.
    pub(crate) fn data(&mut self, v: &Data) {
        match v {
            None => self.i32(-1),
            Some(bytes) => {
                self.i32(i32::try_from(bytes.len()).expect("data is shorter than 2 GiB"));
                self.bytes.extend_from_slice(bytes);
            }
        }
    }
}

/// Takes from a buffer.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    reading: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], reading: &'static str) -> Reader<'a> {
        Reader {
            bytes,
            at: 0,
            reading,
        }
    }

    pub(crate) fn error(&self, problem: String) -> DecodeError {
        DecodeError {
            reading: self.reading,
            at: self.at,
            problem,
        }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let rest = &self.bytes[self.at..];
        if rest.len() < n {
            return Err(self.error(format!("{n} bytes expected, {} left", rest.len())));
        }
        self.at += n;
        Ok(&rest[..n])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// One of two values: anything else is damage.
    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.error(format!("{other}; 0 or 1 is allowed"))),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn session(&mut self) -> Result<SessionId, DecodeError> {
        Ok(SessionId(self.i64()?))
    }

    pub(crate) fn zxid(&mut self) -> Result<Zxid, DecodeError> {
        Ok(Zxid(self.u64()?))
    }

    /// A number of elements, each at least `each` bytes long: a wrong count must not make us reserve gigabytes.
    pub(crate) fn count(&mut self, each: usize) -> Result<usize, DecodeError> {
        let n = self.u32()? as usize;
        let left = self.bytes.len() - self.at;
        if n.saturating_mul(each) > left {
            return Err(self.error(format!("{n} elements announced, {left} bytes left")));
        }
        Ok(n)
    }

    /// What [`Writer::list`] wrote; each element is at least `each` bytes long.
    pub(crate) fn list<T, C: FromIterator<T>>(
        &mut self,
        each: usize,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<C, DecodeError> {
        let n = self.count(each)?;
        (0..n).map(|_| read(self)).collect()
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, DecodeError> {
        let n = self.count(1)?;
        let bytes = self.take(n)?;
        std::str::from_utf8(bytes).map_err(|e| self.error(format!("not UTF-8: {e}")))
    }

    pub(crate) fn path(&mut self) -> Result<ZPath, DecodeError> {
        Ok(self.str()?.into())
    }

    pub(crate) fn data(&mut self) -> Result<Data, DecodeError> {
        match self.i32()? {
            -1 => Ok(None),
            n => {
                let n = usize::try_from(n)
                    .map_err(|_| self.error(format!("length {n}; −1 or more is allowed")))?;
                Ok(Some(self.take(n)?.into()))
            }
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            n => Err(self.error(format!("{n} bytes follow the end"))),
        }
    }
}
