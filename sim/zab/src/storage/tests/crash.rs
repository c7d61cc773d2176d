//! Lives of a server, with a crash after every single disk operation and every way of losing what was not synced.
//!
//! After each operation, whatever the crash takes, recovery must find **a prefix of the history that was written, with
//! everything in it that was reported durable**: no refusal, nothing lost, nothing invented, nothing back from the dead.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};

/// A snapshot of these tests holds the whole history up to its zxid.
fn encode(history: &[Payload]) -> Payload {
    let mut bytes = Vec::new();
    for record in history {
        bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        bytes.extend_from_slice(record);
    }
    bytes.into()
}

fn decode(chunks: &[Payload]) -> History {
    let bytes = chunks.concat();
    let mut history = History::new();
    let mut at = 0;
    while at < bytes.len() {
        let len = log::u32_at(&bytes, at) as usize;
        history.push(bytes[at + 4..at + 4 + len].into());
        at += 4 + len;
    }
    history
}

fn whole(chunks: &[Payload], txns: &[Arc<Txn>]) -> History {
    let mut history = decode(chunks);
    history.extend(txns.iter().map(|txn| Arc::clone(&txn.record)));
    history
}

fn zxid_of(record: &[u8]) -> Zxid {
    Zxid(log::u64_at(record, 8))
}

/// What a crash may leave: a prefix of `history` of at least `told` transactions.
#[derive(Clone, Debug)]
struct Allowed {
    history: History,
    told: usize,
}

#[derive(Clone, Debug)]
enum Act {
    /// Transactions, of the epoch under way or of a new one.
    Append {
        count: u8,
        payload: u8,
        new_epoch: bool,
    },
    Sync,
    /// So many disk operations.
    Run(u8),
    BeginSnapshot,
    Piece {
        last: bool,
    },
    Abandon,
    /// To this share of the history that can be cut to.
    Truncate(u8),
    /// A leader's history: this share of the own one, and so many transactions that were never here.
    Install {
        share: u8,
        more: u8,
    },
    ReadLog(u8),
    /// Of the newest of the files.
    ShortRead(u8),
    Crash(Loss),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let loss = prop_oneof![
        Just(Loss::All),
        Just(Loss::Nothing),
        (0usize..90).prop_map(Loss::TornAt),
        any::<u64>().prop_map(Loss::Sectors),
    ];
    let act = prop_oneof![
        8 => (1u8..4, 0u8..60, prop::bool::weighted(0.1))
            .prop_map(|(count, payload, new_epoch)| Act::Append { count, payload, new_epoch }),
        6 => Just(Act::Sync),
        8 => (1u8..6).prop_map(Act::Run),
        4 => Just(Act::BeginSnapshot),
        7 => prop::bool::weighted(0.7).prop_map(|last| Act::Piece { last }),
        1 => Just(Act::Abandon),
        1 => any::<u8>().prop_map(Act::Truncate),
        1 => (any::<u8>(), 0u8..3).prop_map(|(share, more)| Act::Install { share, more }),
        2 => any::<u8>().prop_map(Act::ReadLog),
        1 => (1u8..90).prop_map(Act::ShortRead),
        2 => loss.prop_map(Act::Crash),
    ];
    prop::collection::vec(act, 1..60)
}

struct Life {
    machine: Machine,
    allowed: Vec<Allowed>,
    /// The epoch of the transactions to come.
    epoch: u32,
    /// What the snapshot being taken will hold, and whether a piece of it was handed over.
    taking: Option<History>,
    crashes: usize,
}

impl Life {
    fn new() -> Life {
        let mut machine = Machine::new();
        machine.accept(40);
        let nothing = Allowed {
            history: History::new(),
            told: 0,
        };
        Life {
            machine,
            allowed: vec![nothing],
            epoch: 1,
            taking: None,
            crashes: 0,
        }
    }

    fn now(&mut self) -> &mut Allowed {
        assert_eq!(self.allowed.len(), 1, "between two histories");
        &mut self.allowed[0]
    }

    fn run(&mut self, count: usize) {
        for _ in 0..count.min(self.machine.queue.len()) {
            let events = self.machine.step();
            for event in events {
                self.hear(event);
            }
            self.crash_in_every_way();
        }
    }

    fn rest(&mut self) {
        while !self.machine.queue.is_empty() {
            self.run(1);
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Logged { zxid } => {
                let now = self.now();
                let at = now
                    .history
                    .iter()
                    .position(|record| zxid_of(record) == zxid);
                now.told = at.expect("only what was appended is logged") + 1;
            }
            Event::Truncated { to } => {
                let now = self.now();
                now.history.retain(|record| zxid_of(record) <= to);
                assert_eq!(now.told, now.history.len());
                self.machine.call(|storage, out| storage.recover(out));
            }
            Event::SnapshotInstalled { .. } => {
                self.allowed.remove(0);
            }
            Event::Recovered { chunks, replay, .. } => {
                let now = self.now();
                assert_eq!(whole(&chunks, &replay), now.history);
            }
            Event::SnapshotTaken { .. } | Event::LogRead { txns: None, .. } => {}
            Event::LogRead {
                start,
                txns: Some(txns),
                ..
            } => {
                let now = self.now();
                let history = now
                    .history
                    .iter()
                    .skip_while(|record| zxid_of(record) <= start);
                let read: History = txns.iter().map(|txn| Arc::clone(&txn.record)).collect();
                let here: History = history.take(read.len()).cloned().collect();
                assert_eq!(read, here);
            }
            other => panic!("{other:?}"),
        }
    }

    fn crash_in_every_way(&mut self) {
        let torn = (self.crashes % 7..100).step_by(7).map(Loss::TornAt);
        let sectors = (0..6).map(|coin: u64| Loss::Sectors((self.crashes as u64) << 8 | coin));
        for loss in [Loss::All, Loss::Nothing]
            .into_iter()
            .chain(torn)
            .chain(sectors)
        {
            self.check(&self.machine.disk.crashed(loss), loss);
        }
        self.crashes += 1;
    }

    fn check(&self, disk: &Disk, loss: Loss) -> History {
        let files = disk.durable();
        let found = recover_offline(&files)
            .unwrap_or_else(|reason| panic!("{loss:?}: {reason}\n{:?}", disk.names()));
        assert!(!found.blank);
        let history = whole(&found.chunks, &found.txns);
        let told = |allowed: &Allowed| {
            allowed.history.starts_with(&history) && history.len() >= allowed.told
        };
        assert!(
            self.allowed.iter().any(told),
            "{loss:?}: found {:?}, allowed {:?}",
            history
                .iter()
                .map(|record| zxid_of(record))
                .collect::<Vec<_>>(),
            self.allowed
        );
        history
    }

    /// Dies, and comes back; its recovery may be cut short, too.
    fn crash(&mut self, loss: Loss) {
        let disk = self.machine.disk.crashed(loss);
        let history = self.check(&disk, loss);
        let told = history.len();
        self.allowed = vec![Allowed { history, told }];
        self.taking = None;
        self.machine = Machine::on(disk);
        self.machine.call(|storage, out| storage.recover(out));
        self.rest();
    }

    fn append(&mut self, payload: u8) {
        let prev = self.machine.storage.last();
        let same = prev.epoch() == Epoch(self.epoch);
        let zxid = zxid(self.epoch, if same { prev.counter() + 1 } else { 1 });
        // Never the same bytes under one zxid, so that nothing wrong is taken for right.
        let mut content = self.crashes.to_le_bytes().to_vec();
        content.resize(8 + usize::from(payload), payload);
        let txn = Arc::new(Txn::new(zxid, prev, &content));
        self.now().history.push(Arc::clone(&txn.record));
        self.machine.call(|storage, out| storage.append(txn, out));
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Append {
                count,
                payload,
                new_epoch,
            } => {
                self.epoch += u32::from(new_epoch && self.epoch < 30);
                for _ in 0..count {
                    self.append(payload);
                }
            }
            Act::Sync => self.machine.call(|storage, out| storage.sync(out)),
            Act::Run(count) => self.run(usize::from(count)),
            Act::BeginSnapshot if self.machine.storage.taking.is_none() => {
                self.taking = Some(self.now().history.clone());
                let last = self.machine.storage.last();
                self.machine
                    .call(|storage, out| storage.begin_snapshot(last, &first(), out));
            }
            Act::BeginSnapshot => {}
            Act::Piece { last } => {
                let pieces: Payload = match &mut self.taking {
                    Some(history) if last => encode(&std::mem::take(history)),
                    Some(history) if !history.is_empty() => encode(&[history.remove(0)]),
                    _ => return,
                };
                if last {
                    self.taking = None;
                }
                self.machine
                    .call(|storage, out| storage.snapshot_chunk(pieces, last, out));
            }
            Act::Abandon => {
                self.taking = None;
                self.machine.call(Storage::abandon_snapshot);
            }
            Act::Truncate(share) => self.truncate(share),
            Act::Install { share, more } => self.install(share, more),
            Act::ReadLog(share) => {
                let history = &self.now().history;
                let at = usize::from(share) * history.len() / 256;
                let after = history.get(at).map_or(Zxid::ZERO, |record| zxid_of(record));
                self.machine
                    .call(|storage, out| storage.read_log_from(after, 1, out));
            }
            Act::ShortRead(short) => {
                let newest = self.machine.disk.newest_segment();
                self.machine.disk.misread = newest.map(|file| (file, usize::from(short)));
            }
            Act::Crash(loss) => self.crash(loss),
        }
    }

    /// Everything waiting is first made durable, as a peer does before it leaves a role.
    fn settle(&mut self) {
        self.taking = None;
        self.machine.call(Storage::abandon_snapshot);
        self.machine.call(|storage, out| storage.sync(out));
        self.rest();
        assert!(self.machine.storage.idle());
    }

    fn truncate(&mut self, share: u8) {
        self.settle();
        let floor = self.machine.storage.floor();
        let history = self.now().history.clone();
        let fixed = history
            .iter()
            .filter(|record| zxid_of(record) <= floor)
            .count();
        let told = fixed + usize::from(share) * (history.len() - fixed + 1) / 256;
        let to = told
            .checked_sub(1)
            .map_or(Zxid::ZERO, |last| zxid_of(&history[last]));
        self.now().told = told;
        self.machine.call(|storage, out| storage.truncate(to, out));
        self.rest();
        self.epoch += 1;
    }

    fn install(&mut self, share: u8, more: u8) {
        self.settle();
        let own = self.now().history.clone();
        let mut history = own[..usize::from(share) * (own.len() + 1) / 256].to_vec();
        self.epoch += 1;
        for counter in 1..=u32::from(more) {
            let prev = history.last().map_or(Zxid::ZERO, |record| zxid_of(record));
            let txn = Txn::new(zxid(self.epoch, counter), prev, b"the leader's");
            history.push(txn.record);
        }
        self.epoch += 1;
        let zxid = history.last().map_or(Zxid::ZERO, |record| zxid_of(record));
        let chunks = history
            .iter()
            .map(|record| encode(std::slice::from_ref(record)))
            .collect();
        let told = history.len();
        self.allowed.push(Allowed { history, told });
        self.machine
            .call(|storage, out| storage.install_snapshot(zxid, chunks, first(), out));
        self.rest();
    }
}

fn live(acts: &[Act]) -> Life {
    let mut life = Life::new();
    for act in acts {
        if life.epoch < 36 {
            life.act(act);
        }
    }
    life.settle();
    life.crash(Loss::All);
    life
}

#[test]
fn whatever_crashes_what_was_told_stays() {
    let cases = Cases {
        cases: 250,
        failure_persistence: None,
        ..Cases::default()
    };
    let rng = proptest::test_runner::TestRng::deterministic_rng(cases.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(cases, rng);
    let mut crashes = 0;
    runner
        .run(&acts(), |acts| {
            live(&acts);
            Ok(())
        })
        .unwrap();
    // One life by hand, so that the test shows what it does, and that it does something.
    let append = Act::Append {
        count: 2,
        payload: 20,
        new_epoch: false,
    };
    let by_hand = [
        append.clone(),
        Act::Sync,
        append.clone(),
        Act::BeginSnapshot,
        Act::Piece { last: true },
        Act::Run(9),
        append,
        Act::Truncate(200),
        Act::Install {
            share: 128,
            more: 2,
        },
        Act::Crash(Loss::Sectors(5)),
    ];
    crashes += live(&by_hand).crashes;
    assert!(crashes > 25, "{crashes}");
}

/// The same lives on a disk that breaks a promise: the check bites.
#[test]
#[should_panic(expected = "allowed")]
fn a_disk_that_forgets_what_it_synced_is_caught() {
    let mut life = Life::new();
    life.act(&Act::Append {
        count: 1,
        payload: 9,
        new_epoch: false,
    });
    life.act(&Act::Sync);
    life.rest();
    let file = segment(0, 0, 1);
    life.machine.disk.bytes(file).truncate(30);
    life.crash_in_every_way();
}
