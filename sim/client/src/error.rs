//! What a program's request can come to besides an answer.

use zabsim_types::{ErrorCode, OpKind, ZPath};

/// Why a request brought no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// The service refused: a definite answer, nothing was changed.
    #[error("the service answered {0}")]
    Service(ErrorCode),
    /// A multi changed nothing: 0 before the part at fault, its error, −2 behind it.
    #[error("the multi was refused: {errors:?}")]
    MultiFailed {
        /// One for each part.
        errors: Vec<ErrorCode>,
    },
    /// The connection broke. The session may live on.
    #[error("the connection was lost {}", if *.sent { "with the request under way" } else { "before the request left" })]
    ConnectionLoss {
        /// Whether the request had left: then it may have happened, may yet, or never. If not, it certainly never does.
        sent: bool,
    },
    /// The session is over; its ephemeral nodes and watches are or will be gone. Go on with `Client::open`.
    #[error("the session has expired")]
    SessionExpired,
    /// The session is over because an identity was refused. The servers keep its ephemeral nodes until its timeout. Go on
    /// with `Client::open`.
    #[error("the session was given up: an identity was refused")]
    AuthFailed,
    /// No session was ever opened, or the program closed it.
    #[error("no session is open")]
    NotOpen,
    /// The answer was of another kind than the request: a fault of the server.
    #[error("the service answered a {asked:?} with something else")]
    WrongReply {
        /// What was asked.
        asked: OpKind,
    },
    /// Somebody else deleted the node that stands for this contender of a lock or an election.
    #[error("the contender's node {path} was deleted by somebody else")]
    ContenderDeleted {
        /// Which.
        path: ZPath,
    },
}

impl ClientError {
    /// Whether the request may have changed something although no answer came.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, ClientError::ConnectionLoss { sent: true })
    }

    /// Whether the session is over, so that only a new one helps.
    pub fn ends_session(&self) -> bool {
        matches!(
            self,
            ClientError::SessionExpired | ClientError::AuthFailed | ClientError::NotOpen
        )
    }
}
