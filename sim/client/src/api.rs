//! The words between a session and its driver.

use zabsim_bugs::Planted;
use zabsim_types::{
    CallId, ClientFrame, ErrorCode, Op, OpResult, RecipeEvent, ServerFrame, ServerId,
    SessionChange, SessionId, Time, WatchEvent, Xid, Zxid,
};

/// What goes into a [`Session`](crate::Session). Times are the client's own clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Open a new session (also after an expiry or a close). Connects to the first server of the list, then round robin.
    Open,
    /// The connection asked for is up.
    Connected,
    /// The connection asked for was refused or timed out, or the one that was up broke.
    Disconnected,
    /// A frame arrived.
    Frame(ServerFrame),
    /// The trial connection asked for is up.
    TrialConnected,
    /// The trial connection was refused or timed out, or broke.
    TrialDisconnected,
    /// A frame arrived by the trial connection.
    TrialFrame(ServerFrame),
    /// The session's timer went off.
    Timer,
    /// The program hands over a request.
    Submit {
        /// Its name in the history.
        call: CallId,
        /// It.
        op: Op,
    },
    /// Leave this server and go on at that one (the nemesis' client move, a program's wish). `None`: the next in the list.
    Move {
        /// Where to.
        to: Option<ServerId>,
    },
}

/// What comes out of a session, to be carried out in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Open a connection to this server; answered by `Connected` or `Disconnected`.
    Connect {
        /// Which.
        server: ServerId,
    },
    /// Close the connection; no `Disconnected` follows.
    Disconnect,
    /// Send a frame.
    Send(ClientFrame),
    /// Open a second connection, to this server, and keep the one that is up: a trial. Answered by `TrialConnected` or
    /// `TrialDisconnected`.
    Try {
        /// Which.
        server: ServerId,
    },
    /// Send a frame by the trial connection.
    TrialSend(ClientFrame),
    /// Close the trial connection; no `TrialDisconnected` follows.
    TrialEnd,
    /// Close the connection, and let the trial connection be it from now on.
    TrialTake,
    /// Set the session's one timer, replacing it.
    SetTimer {
        /// When, by the client's clock.
        at: Time,
    },
    /// A request is over: tell the program.
    Complete {
        /// Which.
        call: CallId,
        /// What came of it.
        outcome: Outcome,
    },
    /// A watch fired, or was removed (its kind [is local](zabsim_types::WatchKind::is_local)): tell the program. In order
    /// with `Complete`.
    Event {
        /// The transaction of the change; `None` for a catch-up event and for a removal.
        zxid: Option<Zxid>,
        /// The connection it came by.
        conn: u32,
        /// What changed.
        event: WatchEvent,
    },
    /// The session's state changed: tell the program. In order with `Complete`.
    Changed {
        /// The session.
        session: SessionId,
        /// How.
        change: SessionChange,
    },
}

/// What came of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Its reply arrived.
    Replied {
        /// Its number on its connection.
        xid: Xid,
        /// The connection: counts this session core's connections from 1, across sessions.
        conn: u32,
        /// The reply header's zxid.
        zxid: Zxid,
        /// The reply.
        result: OpResult,
    },
    /// No reply will come.
    Lost {
        /// `ConnectionLoss` (the session may live on), `SessionExpired` or `AuthFailed`.
        error: ErrorCode,
        /// Whether it had left the client: if not, it certainly never happens.
        sent: bool,
        /// Its number in the session, if it had left.
        xid: Option<Xid>,
    },
}

/// What a program wants of its driver: the driver's side of a [`Port`](crate::Port) takes them in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Open a new session.
    Open,
    /// A request for the session.
    Submit {
        /// Its name; unique in the port. The driver makes it unique in the history.
        call: CallId,
        /// It.
        op: Op,
    },
    /// Wake that sleeper after so many microseconds of the client's clock.
    Sleep {
        /// Names the sleeper; unique in the port.
        sleeper: u64,
        /// How long.
        micros: u64,
    },
    /// Forget that sleeper: its future was dropped.
    CancelSleep {
        /// Which.
        sleeper: u64,
    },
    /// Leave the server: see `Input::Move`.
    Move {
        /// Where to.
        to: Option<ServerId>,
    },
    /// Put a recipe's step into the history, at this very point of the program.
    Record(RecipeEvent),
}

/// How a session is set up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The servers to try, in order. The driver shuffles or pins as the scenario says.
    pub servers: Vec<ServerId>,
    /// The session timeout to ask for, in milliseconds.
    pub timeout_ms: u32,
    /// Wait between two attempts to connect, in microseconds.
    pub reconnect_us: u64,
    /// Seeds the GUIDs of protected creates; different for every client of a run.
    pub guid_seed: u64,
    /// Whether a server without a quorum, which only reads, will do until a full one is found (`canBeReadOnly`).
    pub read_only: bool,
    /// What is wrong with this client on purpose: nothing, outside of the museum.
    pub bugs: Planted,
}
