//! The encoding of operations, which requests and transactions share: one numbering of kinds, one form of what both carry.
//! A request's operation says what is asked for (which version is expected, which mode), a transaction's what was decided
//! (which version results, which owner); only these fields are written where they belong.

use crate::codec::{DecodeError, Reader, Writer};
use std::sync::Arc;
use zabsim_types::{Acl, AclEntry, Data, Id, Perms, ZPath};

/// The kinds. A number is for ever.
pub(crate) mod kind {
    pub(crate) const CREATE_SESSION: u8 = 1;
    pub(crate) const CLOSE_SESSION: u8 = 2;
    pub(crate) const CREATE: u8 = 3;
    pub(crate) const DELETE: u8 = 4;
    pub(crate) const SET_DATA: u8 = 5;
    pub(crate) const CHECK: u8 = 6;
    /// Of a transaction: the request failed.
    pub(crate) const ERROR: u8 = 7;
    pub(crate) const MULTI: u8 = 8;
    /// Of a request: something that is no update inside a multi; the leader refuses it, whatever it was.
    pub(crate) const ALIEN: u8 = 9;
    pub(crate) const SET_ACL: u8 = 10;
    /// Of a request: what it leads to is a `DELETE`.
    pub(crate) const DELETE_CONTAINER: u8 = 11;
    pub(crate) const RECONFIG: u8 = 12;
}

impl Writer {
    /// An operation of this kind on a node; what else it carries follows.
    pub(crate) fn on_node(&mut self, kind: u8, path: &str) {
        self.u8(kind);
        self.str(path);
    }

    pub(crate) fn create(&mut self, path: &str, data: &Data, acl: &Acl) {
        self.on_node(kind::CREATE, path);
        self.data(data);
        self.acl(acl);
    }

    pub(crate) fn set_data(&mut self, path: &str, data: &Data, version: i32) {
        self.on_node(kind::SET_DATA, path);
        self.data(data);
        self.i32(version);
    }

    pub(crate) fn set_acl(&mut self, path: &str, acl: &Acl, version: i32) {
        self.on_node(kind::SET_ACL, path);
        self.acl(acl);
        self.i32(version);
    }

    /// The open list, which nearly every node has, is one byte.
    pub(crate) fn acl(&mut self, acl: &Acl) {
        self.u8(u8::from(!acl.is_open()));
        if !acl.is_open() {
            self.list(acl.entries().iter(), |w, entry| {
                w.i32(entry.perms.0);
                w.id(&entry.id);
            });
        }
    }

    pub(crate) fn id(&mut self, id: &Id) {
        self.str(&id.scheme);
        self.str(&id.id);
    }

    /// A text that need not be there.
    pub(crate) fn text(&mut self, text: Option<&str>) {
        self.u8(u8::from(text.is_some()));
        text.into_iter().for_each(|text| self.str(text));
    }

    pub(crate) fn multi<T>(&mut self, parts: &[T], write: impl Fn(&mut Writer, &T)) {
        self.u8(kind::MULTI);
        self.list(parts.iter(), write);
    }
}

/// Where an operation stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Whole,
    /// In a multi, which has no multi in it.
    Part,
}

impl<'a> Reader<'a> {
    pub(crate) fn path_and_data(&mut self) -> Result<(ZPath, Data), DecodeError> {
        Ok((self.path()?, self.data()?))
    }

    pub(crate) fn acl(&mut self) -> Result<Acl, DecodeError> {
        if !self.flag()? {
            return Ok(Acl::OPEN);
        }
        let entries = self.list(12, |r| {
            let (perms, id) = (Perms(r.i32()?), r.id()?);
            Ok(AclEntry { perms, id })
        })?;
        // One form for one list.
        match Acl::new(entries) {
            acl if acl.is_open() => Err(self.error("the open list, spelled out".to_owned())),
            acl => Ok(acl),
        }
    }

    pub(crate) fn id(&mut self) -> Result<Id, DecodeError> {
        let (scheme, id) = (self.str()?, self.str()?);
        Ok(Id::new(scheme, id))
    }

    pub(crate) fn text(&mut self) -> Result<Option<Arc<str>>, DecodeError> {
        Ok(match self.flag()? {
            true => Some(self.str()?.into()),
            false => None,
        })
    }

    pub(crate) fn parts<T>(
        &mut self,
        read: impl Fn(&mut Reader<'a>, Place) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.list(1, |r| read(r, Place::Part))
    }

    pub(crate) fn no_such_kind(&self, kind: u8, place: Place, whole: &str) -> DecodeError {
        let what = match place {
            Place::Whole => whole,
            Place::Part => "part of a multi",
        };
        self.error(format!("{kind} is no kind of {what}"))
    }
}
