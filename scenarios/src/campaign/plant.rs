//! Failures that a test plants into a campaign, to see that the night goes on. Reached by a hidden option of the command
//! alone; what is planted stands in the command line of every worker.

use crate::format::Scenario;
use crate::runner::{Finished, How, run_as};
use std::str::FromStr;
use std::time::Duration;
use zabsim::{Program, ProgramContext};

/// What goes wrong with one seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plant {
    kind: Kind,
    /// With which seed.
    pub(super) seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A client program that waits for no time at all, for ever.
    ZeroDelay,
    /// A client program that panics.
    Panic,
    /// A loop that nothing inside can end.
    Spin,
    /// Lines on the standard output without end.
    Chatter,
    /// The process ends itself.
    Abort,
    /// A recursion without end.
    Overflow,
    /// Memory without end.
    Eat,
    /// The repetition has another trace hash.
    Diverge,
}

const KINDS: &[(&str, Kind)] = &[
    ("zero-delay", Kind::ZeroDelay),
    ("panic", Kind::Panic),
    ("spin", Kind::Spin),
    ("chatter", Kind::Chatter),
    ("abort", Kind::Abort),
    ("overflow", Kind::Overflow),
    ("eat", Kind::Eat),
    ("diverge", Kind::Diverge),
];

impl FromStr for Plant {
    type Err = String;

    fn from_str(text: &str) -> Result<Plant, String> {
        let (kind, seed) = text.split_once('@').ok_or("KIND@SEED")?;
        let known = KINDS.iter().find(|(name, _)| *name == kind);
        let (_, kind) = known.ok_or_else(|| format!("`{kind}` cannot be planted"))?;
        let seed = zabsim::parse_seed(seed)?;
        Ok(Plant { kind: *kind, seed })
    }
}

/// As the option takes it.
impl std::fmt::Display for Plant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = KINDS.iter().find(|(_, kind)| *kind == self.kind);
        let (name, _) = named.expect("every kind has a name");
        write!(f, "{name}@{}", self.seed)
    }
}

impl Plant {
    /// Whether that seed's repetition is to be taken for another run.
    pub(super) fn diverges(&self, seed: u64) -> bool {
        self.kind == Kind::Diverge && self.seed == seed
    }

    /// Makes the run in which it goes wrong.
    pub(super) fn run(
        &self,
        scenario: &Scenario,
        named: &str,
        seed: u64,
        how: How<'_>,
    ) -> Finished {
        let instead = |program| How {
            instead: vec![program],
            ..How::default()
        };
        let on_its_own_thread = |act: fn()| {
            let thread = std::thread::spawn(act);
            let _ = thread.join();
        };
        match self.kind {
            Kind::ZeroDelay => return run_as(scenario, named, seed, instead(endless())),
            Kind::Panic => return run_as(scenario, named, seed, instead(panics())),
            Kind::Spin => on_its_own_thread(spin),
            Kind::Chatter => chatter(),
            Kind::Abort => std::process::abort(),
            Kind::Overflow => on_its_own_thread(|| {
                std::hint::black_box(overflow(0));
            }),
            Kind::Eat => on_its_own_thread(eat),
            Kind::Diverge => {}
        }
        run_as(scenario, named, seed, how)
    }
}

fn endless() -> Program {
    Box::new(|context: ProgramContext| {
        Box::pin(async move {
            loop {
                context.client.sleep(Duration::ZERO).await;
            }
        })
    })
}

fn panics() -> Program {
    Box::new(|_| Box::pin(async { panic!("planted by a test") }))
}

fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

fn chatter() {
    loop {
        println!("this is no answer");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[expect(unconditional_recursion, reason = "that is what is planted")]
fn overflow(depth: u64) -> u64 {
    std::hint::black_box([depth; 64])[0] + overflow(depth + 1)
}

fn eat() {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1_u8; 64 << 20]));
    }
}
