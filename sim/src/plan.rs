//! A run as a plain script: the ensemble, the clients, the faults. Everything random is drawn *before* a run into this
//! form, so that every run can be explained, saved and shrunk as a script. `zabsim-scenarios` reads it from TOML.
//!
//! Times are the world's, in microseconds from its start, unless a name says otherwise.

use std::collections::BTreeMap;
use zabsim_server::Rules;
use zabsim_types::{CallId, Op, ServerId, Time};

/// What to run.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The scenario's name.
    pub name: String,
    /// One sentence on it.
    pub about: String,
    /// The servers.
    pub ensemble: Ensemble,
    /// The links, disks and stages without faults.
    pub climate: Climate,
    /// Number of client processes.
    pub clients: u32,
    /// The session timeout that clients ask for, in milliseconds.
    pub session_timeout_ms: u32,
    /// Length of the safety phase: workload under faults. Afterwards the world heals.
    pub safety_us: u64,
    /// The faults, in the order in which they are tried where two fall together.
    pub faults: Vec<Fault>,
    /// Explicit operations, beside the programs.
    pub ops: Vec<ScriptedOp>,
    /// Whether faults may damage more disks than any protocol survives (`[expect] data_loss = true`).
    pub data_loss_allowed: bool,
    /// Servers that stay as broken as they are when the world heals (at most voters − quorum).
    pub leave_broken: bool,
    /// Clients that are content with a server that only reads, counted from 1; empty: all, where the ensemble has such a mode.
    pub read_only_clients: Vec<u32>,
    /// What is wrong with the servers and clients on purpose: nothing, outside of the museum.
    pub bugs: zab::Planted,
}

/// The servers, counted from 1: voters first, then observers, then joiners.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ensemble {
    /// Number of voters.
    pub voters: u8,
    /// Number of observers.
    pub observers: u8,
    /// Number of servers with blank disks that are no members yet: they follow without a vote until a reconfiguration names
    /// them.
    pub joiners: u8,
    /// Groups of a hierarchical quorum; empty: majority.
    pub groups: Vec<Vec<ServerId>>,
    /// Weights, where not 1 (with groups, or alone as one weighted group).
    pub weights: BTreeMap<ServerId, u32>,
    /// A tick, in milliseconds.
    pub tick_ms: u32,
    /// Ticks to connect and synchronize.
    pub init_limit: u32,
    /// Ticks of silence.
    pub sync_limit: u32,
    /// Transactions between two snapshots; each server draws its own from (n/2, n].
    pub snap_count: u32,
    /// Committed transactions kept in memory.
    pub commit_log_count: u32,
    /// Bytes of log that a DIFF may read from disk.
    pub disk_diff_bytes_max: u64,
    /// Transactions that an epoch may have.
    pub counter_max: u32,
    /// Nodes in one piece of a snapshot.
    pub snapshot_chunk_nodes: u32,
    /// How often the leader looks for containers and TTL nodes to remove, in milliseconds.
    pub sweep_interval_ms: u32,
    /// What the answers to clients depend on.
    pub rules: Rules,
    /// Whether new sessions are known to their server alone.
    pub local_sessions: bool,
    /// Whether a local session that makes an ephemeral becomes a global one; else it is refused.
    pub upgrade_local_sessions: bool,
    /// Whether a server without a quorum serves reads.
    pub read_only_mode: bool,
}

impl Ensemble {
    /// How many servers there are, members or not.
    pub fn servers(&self) -> u32 {
        u32::from(self.voters) + u32::from(self.observers) + u32::from(self.joiners)
    }

    /// So many voters of one vote each. The limits are ZooKeeper's own where it has them, at a tick of 500 ms.
    pub fn of(voters: u8) -> Ensemble {
        Ensemble {
            voters,
            observers: 0,
            joiners: 0,
            groups: Vec::new(),
            weights: BTreeMap::new(),
            tick_ms: 500,
            init_limit: 10,
            sync_limit: 5,
            snap_count: 100_000,
            commit_log_count: 500,
            disk_diff_bytes_max: 1 << 20,
            counter_max: u32::MAX,
            snapshot_chunk_nodes: 64,
            sweep_interval_ms: 60_000,
            rules: Rules::default(),
            local_sessions: false,
            upgrade_local_sessions: true,
            read_only_mode: false,
        }
    }
}

/// The weather without faults. Ranges are inclusive, in microseconds; each link, disk and stage draws from its own stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Climate {
    /// One way between two servers.
    pub link_us: (u64, u64),
    /// One way between a client and a server; at least 1,000.
    pub client_link_us: (u64, u64),
    /// An fsync.
    pub fsync_us: (u64, u64),
    /// Reading a file at boot or for a DIFF.
    pub read_us: (u64, u64),
    /// From a stage's `Schedule` to its turn.
    pub stage_us: (u64, u64),
    /// Restart of a crashed process by its supervisor, where a fault names no time.
    pub restart_us: (u64, u64),
    /// Each server's clock starts this much ahead at most.
    pub clock_offset_us_max: u64,
    /// Each server's clock drifts by at most so many parts per million, either way.
    pub clock_drift_ppm_max: u32,
}

/// Links, disks and stages of one rack.
impl Default for Climate {
    fn default() -> Climate {
        Climate {
            link_us: (200, 1_000),
            client_link_us: (1_000, 3_000),
            fsync_us: (500, 3_000),
            read_us: (200, 2_000),
            stage_us: (0, 200),
            restart_us: (500_000, 3_000_000),
            clock_offset_us_max: 500_000,
            clock_drift_ppm_max: 200,
        }
    }
}

/// One thing that goes wrong.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// As reports name it: the scenario's own words or `random-17`.
    pub label: String,
    /// When.
    pub trigger: Trigger,
    /// What.
    pub action: Action,
    /// For how long, in microseconds; then it is undone. `None`: until the end of the safety phase, or for good where nothing
    /// can undo it; a crash without it is restarted by the supervisor.
    pub lasts_us: Option<u64>,
}

/// When a fault strikes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// At a time.
    At(Time),
    /// At the nth matching protocol event, counted from 1, not before `not_before`.
    On {
        /// What to wait for.
        event: EventPattern,
        /// Which one.
        nth: u32,
        /// Events before this do not count.
        not_before: Time,
        /// Counting starts when the fault of this label has struck, if one is named: scripts of several steps.
        after: Option<String>,
    },
    /// So many microseconds after the fault of that label struck.
    After {
        /// Whose.
        label: String,
        /// How much later.
        delay_us: u64,
    },
}

/// A protocol event to wait for. `from`, `to`, `at` narrow it down; `None` matches anyone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventPattern {
    /// A server emits a message to another: names are ZooKeeper's packet types (`zab::Message::name`).
    Send {
        /// The packet type.
        message: String,
        /// The sender.
        from: Option<Target>,
        /// The receiver.
        to: Option<Target>,
    },
    /// A server is about to take in a message.
    Receive {
        /// The packet type.
        message: String,
        /// The sender.
        from: Option<Target>,
        /// The receiver.
        to: Option<Target>,
    },
    /// A server emits a disk operation: `append`, `sync`, `replace`, `rename`, `truncate`, `delete`; `file` is the beginning of
    /// the file's name.
    Disk {
        /// The operation.
        op: String,
        /// The file.
        file: Option<String>,
        /// Whose.
        at: Option<Target>,
    },
    /// A note of a server, by the name of `zab::Note`'s or `zabsim_server::Note`'s variant in kebab-case (`established`,
    /// `sync-chosen`, `snapshot-installed`), or a mark's own name.
    Note {
        /// The name.
        note: String,
        /// Whose.
        at: Option<Target>,
    },
    /// A client's request is answered.
    Reply {
        /// The client, from 1.
        client: Option<u32>,
    },
}

/// Whom a fault strikes. Resolved at the moment when it strikes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// That server.
    Server(ServerId),
    /// The established leader of the highest epoch; else the prospective one.
    Leader,
    /// One follower of it: the n-th by id, from 1.
    Follower(u8),
    /// Any server that is not the leader.
    AnyFollower,
    /// An observer: the n-th, from 1.
    Observer(u8),
    /// A learner that is being synchronized.
    Learner,
    /// The triggering event's sender (or the server where it happened).
    Sender,
    /// The triggering event's receiver.
    Receiver,
    /// Voters that are a quorum, the leader among them.
    Majority,
    /// The voters that `Majority` leaves.
    Minority,
    /// All servers.
    All,
    /// All that the other groups of a partition do not name.
    Rest,
    /// So many servers, drawn from the fault's own stream.
    Random(u8),
    /// Several targets together.
    Several(Vec<Target>),
}

/// What a fault does. Those that last are undone after `Fault::lasts_us`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Kills processes after so many further effects of the step that triggers it (0: before the next one).
    Crash {
        /// Whose.
        target: Target,
        /// Effects that still happen.
        after_effects: u32,
        /// Which unsynced writes survive.
        unsynced: Unsynced,
    },
    /// Starts processes that are down.
    Restart {
        /// Whose.
        target: Target,
    },
    /// Stops processes without killing them: a long GC. Lasts.
    Pause {
        /// Whose.
        target: Target,
    },
    /// Kills and restarts all servers one after the other.
    RollingRestart {
        /// From one to the next, in microseconds.
        gap_us: u64,
    },
    /// Cuts the links between groups. Lasts.
    Partition {
        /// The groups; a server in two of them is a bridge.
        groups: Vec<Vec<Target>>,
    },
    /// Cuts links in one direction: nothing from `from` reaches `to`. Lasts.
    OneWay {
        /// The senders.
        from: Target,
        /// The receivers.
        to: Target,
    },
    /// A link goes down and up again. Lasts.
    Flap {
        /// One end.
        between: Target,
        /// The other.
        and: Target,
        /// Down, in microseconds.
        down_us: u64,
        /// Up, in microseconds.
        up_us: u64,
    },
    /// Connections between two ends break; they may be opened again at once. With `half_open` only one end learns it,
    /// the other when it times out.
    Reset {
        /// One end.
        between: Target,
        /// The other.
        and: Target,
        /// Whether the second end is left in the dark.
        half_open: bool,
    },
    /// Additional delay on links. Lasts.
    Delay {
        /// One end.
        between: Target,
        /// The other.
        and: Target,
        /// Least and most, in microseconds; drawn for each message.
        extra_us: (u64, u64),
    },
    /// Links hold everything back; it arrives afterwards. Lasts.
    Stall {
        /// One end.
        between: Target,
        /// The other.
        and: Target,
    },
    /// Links carry so many bytes per second at most. Lasts.
    Bandwidth {
        /// One end.
        between: Target,
        /// The other.
        and: Target,
        /// The most.
        bytes_per_s: u64,
    },
    /// Election messages are lost and repeated, each with that chance in 1,000. Lasts.
    ElectionLoss {
        /// Lost.
        lost_per_mille: u32,
        /// Repeated.
        repeated_per_mille: u32,
    },
    /// fsyncs take longer. Lasts.
    SlowDisk {
        /// Whose.
        target: Target,
        /// Least and most in addition, in microseconds.
        extra_us: (u64, u64),
    },
    /// The next fsync fails.
    FsyncError {
        /// Whose.
        target: Target,
    },
    /// The disk takes no more. Lasts.
    DiskFull {
        /// Whose.
        target: Target,
    },
    /// Damage: everything on the disk is gone. Implies a crash.
    Wipe {
        /// Whose.
        target: Target,
    },
    /// Damage: a bit of durable data flips. Seen at the next start.
    BitRot {
        /// Whose.
        target: Target,
        /// Beginning of the file's name; `None`: any.
        file: Option<String>,
    },
    /// A read at the next start is short or of the wrong place; a second try is right. Found by checksum.
    BadRead {
        /// Whose.
        target: Target,
    },
    /// The clock jumps ahead.
    ClockJump {
        /// Whose.
        target: Target,
        /// How far, in microseconds.
        by_us: u64,
    },
    /// The clock runs fast or slow. Lasts.
    ClockDrift {
        /// Whose.
        target: Target,
        /// Parts per million, either way.
        ppm: i32,
    },
    /// Stages of the pipeline get their turns late. Lasts.
    SlowStage {
        /// Whose.
        target: Target,
        /// `prepare`, `apply`, `snapshot`.
        stage: String,
        /// Least and most in addition, in microseconds.
        extra_us: (u64, u64),
    },
    /// Client processes die.
    ClientCrash {
        /// Which, from 1; empty: one, drawn.
        clients: Vec<u32>,
    },
    /// Client processes stop, connection and all. Lasts.
    ClientPause {
        /// Which, from 1; empty: one, drawn.
        clients: Vec<u32>,
    },
    /// Clients go on at another server.
    ClientMove {
        /// Which, from 1; empty: all.
        clients: Vec<u32>,
        /// Where to; `None`: the next of their list.
        to: Option<Target>,
    },
    /// Clients are cut off from all servers. Lasts. Longer than the session timeout it expires their sessions.
    ClientCut {
        /// Which, from 1; empty: all.
        clients: Vec<u32>,
    },
    /// A client's session is taken up by a second connection at another server while the first is still open.
    ClientDuplicate {
        /// Which, from 1; empty: one, drawn.
        clients: Vec<u32>,
    },
    /// Nothing: a named step that others wait for.
    Mark,
    /// Undoes everything that lasts.
    Heal,
}

/// What becomes of writes that were not yet synced when a process with its machine dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unsynced {
    /// Each is kept, lost or torn at a sector, drawn from the disk's stream.
    #[default]
    Drawn,
    /// All are lost.
    Lost,
    /// All are kept (the process died, its machine did not).
    Kept,
    /// The last one is torn at a sector, those before it are kept.
    Torn,
}

/// An explicit operation.
#[derive(Clone, PartialEq, Debug)]
pub struct ScriptedOp {
    /// The client, from 1.
    pub client: u32,
    /// When it is handed to the client: at a time, or `After` a fault of that label struck.
    pub at: Trigger,
    /// What.
    pub op: Op,
}

/// Calls of scripted operations: far above those that a program's port names.
pub(crate) const SCRIPTED: u64 = 1 << 32;

/// The call of the operation that stands at this place in [`Plan::ops`], counted from 0, at its client.
pub(crate) fn scripted_call(op: usize) -> CallId {
    CallId(SCRIPTED + op as u64)
}

/// The name in the history of a client's call, unique among all clients.
pub(crate) fn history_id(client: u32, call: CallId) -> CallId {
    CallId(u64::from(client) << 40 | call.0)
}

impl Plan {
    /// The name in the history of the explicit operation at this place in `ops`, counted from 0: whoever wants to know what
    /// came of it looks for that.
    ///
    /// # Panics
    /// Where there is no such operation.
    pub fn op_call(&self, op: usize) -> CallId {
        history_id(self.ops[op].client, scripted_call(op))
    }

    /// A plain plan: so many voters and clients, 30 s, no faults. Whatever is not said elsewhere is as here.
    pub fn of(voters: u8, clients: u32) -> Plan {
        Plan {
            name: "plain".to_string(),
            about: String::new(),
            ensemble: Ensemble::of(voters),
            climate: Climate::default(),
            clients,
            session_timeout_ms: 6_000,
            safety_us: 30_000_000,
            faults: Vec::new(),
            ops: Vec::new(),
            data_loss_allowed: false,
            leave_broken: false,
            read_only_clients: Vec::new(),
            bugs: zab::Planted::NONE,
        }
    }

    /// Whether that client, counted from 1, is content with a server that only reads.
    pub(crate) fn is_read_only(&self, client: u32) -> bool {
        let named = &self.read_only_clients;
        self.ensemble.read_only_mode && (named.is_empty() || named.contains(&client))
    }

    /// The same plan, in which the ensemble may be reconfigured if servers may join or an operation asks for it.
    pub(crate) fn with_first_configuration(self) -> Plan {
        let asked = self
            .ops
            .iter()
            .any(|op| matches!(op.op, Op::Reconfig { .. }));
        match asked || self.ensemble.joiners > 0 {
            true => self.reconfigurable(),
            false => self,
        }
    }

    /// The same plan, in which clients that may write the configuration's node may reconfigure the ensemble.
    pub fn reconfigurable(mut self) -> Plan {
        if self.ensemble.rules.first_configuration.is_none() {
            let quorum = crate::world::quorum_config(&self);
            let text = zabsim_server::first_configuration(&quorum);
            self.ensemble.rules.first_configuration = Some(text.into());
        }
        self
    }

    /// The same plan, with each operation that waits for an event waiting for a mark instead, which waits for that event: so
    /// that it counts, and is reported if it never comes, as any trigger of a script.
    pub(crate) fn with_ops_marked(mut self) -> Plan {
        for (index, op) in self.ops.iter_mut().enumerate() {
            if let Trigger::On { .. } = op.at {
                let label = format!("op-{}", index + 1);
                let after = Trigger::After {
                    label: label.clone(),
                    delay_us: 0,
                };
                self.faults.push(Fault {
                    label,
                    trigger: std::mem::replace(&mut op.at, after),
                    action: Action::Mark,
                    lasts_us: None,
                });
            }
        }
        self
    }
}
