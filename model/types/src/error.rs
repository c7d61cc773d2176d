//! The service's error codes, with ZooKeeper's numbers (`KeeperException.Code`).

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// An error code of the service. `Ok` exists only as an entry of a failed multi's result vector.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[repr(i32)]
        pub enum ErrorCode { $($(#[$doc])* $name = $number,)* }

        impl ErrorCode {
            /// Every code, in the order of the source.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The code for ZooKeeper's number, if it has one.
            pub const fn from_code(code: i32) -> Option<ErrorCode> {
                match code { $($number => Some(ErrorCode::$name),)* _ => None }
            }

            /// ZooKeeper's name for it: `NoNode`.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$name => stringify!($name),)* }
            }
        }
    };
}

codes! {
    /// No error.
    Ok = 0,
    /// A system error that the server could not name.
    SystemError = -1,
    /// In a failed multi: this part was not at fault, a part before it was.
    RuntimeInconsistency = -2,
    /// Data is inconsistent.
    DataInconsistency = -3,
    /// The connection broke with the request under way: the outcome is unknown.
    ConnectionLoss = -4,
    /// A message could not be decoded.
    MarshallingError = -5,
    /// The server does not do this operation (or it is switched off).
    Unimplemented = -6,
    /// The operation took too long.
    OperationTimeout = -7,
    /// Arguments are invalid: a malformed path, for one.
    BadArguments = -8,
    /// No such session.
    UnknownSession = -12,
    /// No quorum of the new configuration is connected and synced.
    NewConfigNoQuorum = -13,
    /// Another reconfiguration is under way.
    ReconfigInProgress = -14,
    /// Where the errors of the API begin; no server sends it.
    ApiError = -100,
    /// The node does not exist.
    NoNode = -101,
    /// The ACL does not allow it.
    NoAuth = -102,
    /// The version named is not the node's.
    BadVersion = -103,
    /// An ephemeral node cannot have children.
    NoChildrenForEphemerals = -108,
    /// The node exists already.
    NodeExists = -110,
    /// The node has children.
    NotEmpty = -111,
    /// The session has expired.
    SessionExpired = -112,
    /// The callback is invalid.
    InvalidCallback = -113,
    /// The ACL is invalid.
    InvalidACL = -114,
    /// Authentication failed.
    AuthFailed = -115,
    /// The session has moved to another server; this request came by the old one.
    SessionMoved = -118,
    /// A read-only server was asked to write.
    NotReadOnly = -119,
    /// A local session cannot own ephemerals.
    EphemeralOnLocalSession = -120,
    /// No such watch.
    NoWatcher = -121,
    /// The request timed out in the server.
    RequestTimeout = -122,
    /// Reconfiguration is switched off.
    ReconfigDisabled = -123,
    /// The server demands SASL.
    SessionClosedRequireSaslAuth = -124,
    /// A quota is exceeded.
    QuotaExceeded = -125,
    /// The server is overloaded.
    ThrottledOp = -127,
}

impl ErrorCode {
    /// ZooKeeper's number: 0 or negative.
    pub const fn code(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

impl std::error::Error for ErrorCode {}
