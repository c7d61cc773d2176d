//! The report of one run, as `run.json` and `--json` carry it. Versioned: a reader refuses what it does not know.

use crate::Time;
use serde::{Deserialize, Serialize};

/// The version of `RunReport`'s shape that this build writes and reads.
pub const RUN_SCHEMA: u32 = 3;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every check held and everything finished.
    Pass,
    /// A safety or consistency check failed.
    Fail,
    /// It did not finish: liveness.
    Stuck,
    /// Same scenario, same seed, another trace hash.
    Diverged,
    /// The system under test panicked.
    Crashed,
    /// A check met its effort limit.
    Undecided,
}

impl Verdict {
    /// The process's exit code for it.
    pub const fn exit_code(self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Stuck => 3,
            Verdict::Diverged => 4,
            Verdict::Crashed => 5,
            Verdict::Undecided => 6,
        }
    }

    /// The word for it, as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Stuck => "stuck",
            Verdict::Diverged => "diverged",
            Verdict::Crashed => "crashed",
            Verdict::Undecided => "undecided",
        }
    }
}

/// Everything that a run says of itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunReport {
    /// `RUN_SCHEMA` of the writer.
    pub schema: u32,
    /// The writer's crate version.
    pub version: String,
    /// The scenario's name.
    pub scenario: String,
    /// One sentence on it.
    pub about: String,
    /// `0x` and 16 hexadecimal digits.
    pub seed: String,
    /// The bugs that were planted, by their ids; not there where none were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planted: Vec<String>,
    /// Of those, the ones whose switch the run came by: what nobody asked for did no harm either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consulted: Vec<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// Whether that is what the scenario expects.
    pub as_expected: bool,
    /// What the scenario expects and the run did not do, in words; empty where it is as expected.
    #[serde(default)]
    pub unmet: Vec<String>,
    /// The trace hash: 16 hexadecimal digits.
    pub trace_hash: String,
    /// Events in the trace.
    pub events: u64,
    /// Virtual time simulated, in milliseconds.
    pub virtual_ms: u64,
    /// Wall time from the start to the verdict, in milliseconds.
    pub wall_ms: f64,
    /// Of it, share spent in checks: 0 to 1.
    pub checks_share: f64,
    /// Of it, share spent in judging the clients' history at the end, which is part of the share of all checks.
    #[serde(default)]
    pub history_share: f64,
    /// Number of servers: voters and observers.
    pub servers: u32,
    /// Number of clients.
    pub clients: u32,
    /// What came of the clients' operations.
    pub client_ops: ClientOps,
    /// Leaders established.
    pub elections: u32,
    /// Faults applied, in order.
    pub faults: Vec<FaultRecord>,
    /// Damage that was not done, because nothing could have survived it, or there was nothing to damage.
    pub refused: Vec<RefusalRecord>,
    /// Scripted triggers that never fired, as the scenario names them.
    pub untriggered: Vec<String>,
    /// Synchronization cases and other marks reached, with how often.
    pub reached: Vec<Reached>,
    /// What happened, for a timeline.
    pub timeline: Vec<TimelineEntry>,
    /// Each check's verdict.
    pub checks: Vec<CheckReport>,
    /// The first violation, or why the run is stuck.
    pub violation: Option<Violation>,
    /// The command that repeats this run.
    pub reproduce: String,
    /// The scenario that was run, as TOML, before anything was drawn from the seed: a report can be replayed from itself.
    pub scenario_toml: String,
}

/// What came of the clients' operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClientOps {
    /// Succeeded.
    pub ok: u64,
    /// Definite errors.
    pub failed: u64,
    /// Outcome unknown.
    pub unknown: u64,
}

/// A fault that was applied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FaultRecord {
    /// When, in milliseconds of virtual time.
    pub at_ms: u64,
    /// The fault kind: `crash`, `partition`.
    pub kind: String,
    /// What was done to whom, in words.
    pub what: String,
}

/// Damage that was not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusalRecord {
    /// When it was to be done, in milliseconds of virtual time.
    pub at_ms: u64,
    /// The fault's label.
    pub fault: String,
    /// The fault kind: `wipe`, `bit-rot`, `bad-read`.
    pub kind: String,
    /// Why not, in words.
    pub reason: String,
}

/// A mark that the run reached: a synchronization case, an election branch, a recovery path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reached {
    /// Its name: `sync-trunc-diff`.
    pub mark: String,
    /// How often.
    pub count: u64,
}

/// A line of the timeline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When.
    #[serde(rename = "at_us")]
    pub at: Time,
    /// Who: `s1`, `c2`, or empty for the world.
    pub who: String,
    /// What the line is about.
    pub topic: Topic,
    /// What, in words.
    pub what: String,
}

/// What a line of the timeline is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// The run's own course: the world heals.
    Phase,
    /// A fault strikes, or should have.
    Fault,
    /// The script reaches a point that it named.
    Mark,
    /// Damage is not done.
    Refused,
    /// A fault that lasted is over.
    FaultOver,
    /// A leader is established.
    Leader,
    /// A server begins or ends a role.
    Role,
    /// A server process stops by its own decision, or gets a new disk.
    Process,
    /// A process dies, and what its disk lost.
    Death,
    /// A client learns that its session is over.
    Expiry,
    /// A server reads its disk, or is brought up to date.
    Recovery,
    /// A session begins, or is over.
    Session,
    /// A client loses its connection, or has one again.
    Connection,
    /// An explicit operation of the script is answered.
    Operation,
    /// A recipe notices that it has lost a lock or a term, or acts too late.
    RecipeLoss,
    /// A lock is held, a term lasts: the ordinary course.
    Turn,
}

/// A check's verdict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckReport {
    /// The check's name.
    pub name: String,
    /// Whether it held.
    pub ok: bool,
    /// How many things it examined; 0 proves nothing.
    pub examined: u64,
    /// What it found, or what it counts.
    pub detail: String,
}

/// What was violated, when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// The check's name.
    pub check: String,
    /// When it was seen, in milliseconds of virtual time.
    pub at_ms: u64,
    /// What was found and what was allowed.
    pub message: String,
}
