//! What it costs to judge histories of znodes.
//!
//! First those that were recorded from real servers: reading, then the reconstruction of the log and all checks. Then generated
//! ones, of up to a million operations on 50 nodes by 10 clients: with the committed log as the witness, as a run of ours is
//! judged, and without it, as `zabsim check` judges what others bring.
//!
//! `cargo bench -p zabsim-model --bench znode`. The least of a few repetitions, the processor's time, of one core.

use cpu_time::ProcessTime;
use peak_alloc::PeakAlloc;
use std::path::Path;
use std::time::Duration;
use zabsim_model::linear::generate::{Generated, Shape, generate};
use zabsim_model::linear::models::RegisterAction;
use zabsim_model::znode::{Recording, Settings, judge, read, write};
use zabsim_model::{CommittedTxn, Life, Options, TxnKind, Witness, check_all};
use zabsim_types::{
    Acl, CallId, CreateMode, Data, HistoryEvent, HistoryKind, Op, ProcessId, Reply, ServerId,
    SessionChange, SessionId, Stat, Time, Xid, ZPath, Zxid,
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    print_recorded();
    print_generated();
}

fn print_recorded() {
    println!(
        "{:<28} {:>10} {:>9} {:>10} {:>16}",
        "history", "operations", "read, ms", "judged, ms", "ns per operation"
    );
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/histories");
    for name in [
        "r01-seq-1c-1n",
        "r02-calm-5c-1n",
        "r04-calm-10c-5n-pipelined",
        "r05-killleader-10c-3n",
        "r08-followers-10c-3n",
        "r12-restart-5c-1n",
    ] {
        let bytes = std::fs::read(Path::new(data).join(format!("{name}.jsonl.gz")));
        let bytes = bytes.expect("it is part of the sources");
        let (reading, recording) = least(|| read(&bytes[..], &mut |_| {}).expect("a history"));
        let (judging, operations) = least(|| operations(&recording));
        println!(
            "{name:<28} {operations:>10} {:>9.1} {:>10.1} {:>16}",
            reading.as_secs_f64() * 1e3,
            judging.as_secs_f64() * 1e3,
            judging.as_nanos() / u128::from(operations)
        );
    }
}

fn operations(recording: &Recording) -> u64 {
    let judged = judge(recording, &Settings::default()).expect("completions fit");
    assert!(judged.is_legal());
    judged.understood.operations
}

fn print_generated() {
    println!(
        "\n{:<28} {:>10} {:>22} {:>9} {:>20} {:>9}",
        "history", "operations", "with its log, ns each", "bytes", "without it, ns each", "bytes"
    );
    for operations in [10_000, 100_000, 1_000_000] {
        let (events, log) = store(operations);
        let options = Options::default();
        let (with, bytes_with) = measured(|| {
            let reports = check_all(&events, Some(&log), &options);
            assert!(reports.iter().all(|report| report.ok()));
            let examined = |name| {
                let mut of_name = reports.iter().filter(|report| report.name == name);
                of_name.next().map_or(0, |report| report.examined)
            };
            let compared = examined("linearizable-writes") + examined("snapshot-reads");
            assert!(compared >= operations as u64);
        });
        let mut lines = Vec::new();
        write(&mut lines, &options, &events, None).expect("there is room");
        drop((events, log));
        let recording = read(&lines[..], &mut |_| {}).expect("a history");
        drop(lines);
        let (without, bytes_without) = measured(|| {
            let judged = judge(&recording, &Settings::default()).expect("completions fit");
            assert!(judged.is_legal());
        });
        let each = |time: Duration| time.as_nanos() as usize / operations;
        println!(
            "{:<28} {operations:>10} {:>22} {:>9} {:>20} {:>9}",
            "50 nodes, 10 clients",
            each(with),
            bytes_with / operations,
            each(without),
            bytes_without / operations
        );
    }
}

/// How many nodes.
const NODES: u64 = 50;
/// How many clients, each with a session and one operation at a time.
const CLIENTS: u64 = 10;

/// The history of a store, as the nodes of a tree: writes are `setData`, everything else is `getData`. And its log.
fn store(operations: usize) -> (Vec<HistoryEvent>, Witness) {
    let (history, _) = generate(&Shape {
        operations,
        clients: CLIENTS as usize,
        keys: NODES as u32,
        unknown_ppm: 0,
        domain: None,
        seed: 1,
    });
    let mut told = Told::new();
    // Which operation begins or ends at each position, and who asked for it.
    let mut at = vec![0; 2 * operations];
    for (id, done) in history.iter().enumerate() {
        (at[done.call.call as usize], at[done.call.ret as usize]) = (id, id);
    }
    let begins = |position: usize, id: usize| history[id].call.call as usize == position;
    let mut free: Vec<u32> = (1..=CLIENTS as u32).collect();
    let mut who = vec![(0, Xid(0)); operations];
    for (position, id) in at.iter().copied().enumerate() {
        if begins(position, id) {
            let client = free.pop().expect("a client has one operation at a time");
            who[id] = (client, told.next_xid(client));
        } else {
            free.push(who[id].0);
        }
    }
    // What each was answered, in the order in which they took effect: a change before those who saw it.
    let mut order: Vec<usize> = (0..operations).collect();
    order.sort_by_key(|id| (history[*id].turn, written(&history[*id]).is_none()));
    let mut answers: Vec<Option<(Zxid, Reply)>> = vec![None; operations];
    for id in order {
        let done = &history[id];
        let zxid = Zxid(CLIENTS + NODES + done.turn.expect("all of them took effect"));
        let reply = match written(done) {
            None => told.get(done.key as usize),
            Some(value) => told.set(done.key as usize, value, zxid, who[id]),
        };
        answers[id] = Some((zxid, reply));
    }
    for (position, id) in at.into_iter().enumerate() {
        let (done, (client, xid)) = (&history[id], who[id]);
        let call = CallId(NODES + id as u64 + 1);
        if begins(position, id) {
            let path = told.paths[done.key as usize].clone();
            let request = match written(done) {
                None => Op::GetData { path, watch: false },
                Some(value) => Op::SetData {
                    path,
                    data: data(value),
                    version: -1,
                },
            };
            told.invoke(client, call, request);
        } else {
            let (zxid, result) = answers[id].take().expect("all of them were answered");
            told.answer(client, call, xid, zxid, result);
        }
    }
    (told.events, told.log)
}

fn written(done: &Generated) -> Option<u32> {
    match done.call.action {
        RegisterAction::Write(value) | RegisterAction::Swap(_, value) => Some(value),
        RegisterAction::Read(_) | RegisterAction::Refuse(_) => None,
    }
}

fn data(value: u32) -> Data {
    Some(value.to_string().into_bytes().into())
}

/// What the clients are told and the log holds, as it grows.
struct Told {
    events: Vec<HistoryEvent>,
    log: Witness,
    paths: Vec<ZPath>,
    nodes: Vec<(Data, Stat)>,
    xids: Vec<i32>,
}

impl Told {
    /// The sessions and the nodes are made.
    fn new() -> Told {
        let mut told = Told {
            events: Vec::new(),
            log: Witness::default(),
            paths: Vec::new(),
            nodes: Vec::new(),
            xids: vec![0; CLIENTS as usize + 1],
        };
        let timeout_ms = 4_000;
        for client in 1..=CLIENTS as u32 {
            let change = SessionChange::Connected {
                server: ServerId(1),
                conn: 1,
                timeout_ms,
                reattached: false,
                read_only: false,
            };
            told.event(client, HistoryKind::Session { change });
            let what = TxnKind::CreateSession { timeout_ms };
            told.commit(Zxid(u64::from(client)), (client, Xid(0)), what);
        }
        for node in 1..=NODES {
            told.make(format!("/node-{node}").into(), CallId(node));
        }
        told
    }

    fn event(&mut self, client: u32, kind: HistoryKind) {
        self.events.push(HistoryEvent {
            time: Time(self.events.len() as u64),
            process: ProcessId(client),
            session: SessionId(i64::from(client)),
            kind,
        });
    }

    fn commit(&mut self, zxid: Zxid, (client, cxid): (u32, Xid), what: TxnKind) {
        self.log.txns.push(CommittedTxn {
            zxid,
            session: SessionId(i64::from(client)),
            cxid,
            time_ms: zxid.0 as i64,
            what,
        });
    }

    fn next_xid(&mut self, client: u32) -> Xid {
        let xid = &mut self.xids[client as usize];
        *xid += 1;
        Xid(*xid)
    }

    fn invoke(&mut self, client: u32, id: CallId, request: Op) {
        self.event(client, HistoryKind::Invoke { id, request });
    }

    fn answer(&mut self, client: u32, id: CallId, xid: Xid, zxid: Zxid, result: Reply) {
        let conn = 1;
        let answer = HistoryKind::Ok {
            id,
            zxid,
            xid,
            conn,
            result,
        };
        self.event(client, answer);
    }

    /// The first client makes a node.
    fn make(&mut self, path: ZPath, id: CallId) {
        let (client, zxid) = (1, Zxid(CLIENTS + id.0));
        let xid = self.next_xid(client);
        let request = Op::Create {
            path: path.clone(),
            data: data(0),
            mode: CreateMode::Persistent,
            with_stat: false,
            acl: Acl::OPEN,
        };
        self.invoke(client, id, request);
        let created = Reply::Created {
            path: path.clone(),
            stat: None,
        };
        self.answer(client, id, xid, zxid, created);
        let what = TxnKind::Create {
            path: path.clone(),
            data: data(0),
            ephemeral: false,
            life: Life::Unbound,
        };
        self.commit(zxid, (client, xid), what);
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: zxid.0 as i64,
            mtime: zxid.0 as i64,
            data_length: 1,
            ..Stat::default()
        };
        self.nodes.push((data(0), stat));
        self.paths.push(path);
    }

    fn get(&self, node: usize) -> Reply {
        let (data, stat) = self.nodes[node].clone();
        Reply::Data { data, stat }
    }

    fn set(&mut self, node: usize, value: u32, zxid: Zxid, who: (u32, Xid)) -> Reply {
        let (held, stat) = &mut self.nodes[node];
        *held = data(value);
        stat.version += 1;
        (stat.mzxid, stat.mtime) = (zxid, zxid.0 as i64);
        stat.data_length = held.as_ref().map_or(0, |bytes| bytes.len() as i32);
        let (held, stat) = (held.clone(), *stat);
        let path = self.paths[node].clone();
        self.commit(zxid, who, TxnKind::SetData { path, data: held });
        Reply::Set { stat }
    }
}

/// The least time of a few repetitions, and the most memory at once besides what was there before.
fn measured(what: impl FnMut()) -> (Duration, usize) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let (time, ()) = least(what);
    (time, ALLOCATOR.peak_usage() - before)
}

fn least<T>(mut what: impl FnMut() -> T) -> (Duration, T) {
    let mut best = Duration::MAX;
    let mut last = None;
    for _ in 0..3 {
        let start = ProcessTime::now();
        last = Some(what());
        best = best.min(start.elapsed());
    }
    (best, last.expect("it ran"))
}
