//! The judge against corrupted recordings of real servers: what is certainly illegal is refused, and what is accepted is legal
//! by the definitions.

use super::{Corruption, Mutator};
use crate::checks::definitions::broken;
use crate::znode::recorded::{NAMES, recording};
use crate::znode::{Settings, judge, options_for};
use std::collections::BTreeMap;
use zabsim_types::run::Verdict;

/// What became of the corruptions of one kind.
#[derive(Clone, Copy, Default)]
struct Fate {
    /// Certainly illegal, and refused.
    refused: u64,
    /// Perhaps legal, and refused.
    refused_perhaps: u64,
    /// Accepted, with an order of all updates that the definitions confirm.
    shown_legal: u64,
    /// Not decided: the effort was spent.
    undecided: u64,
}

/// Corrupts the recorded histories: so many draws for each history and kind. Prints what became of them. What is certainly illegal must be refused; what is accepted is explained by an order
/// of all updates, and that order must be legal by the definitions, which the judge knows nothing of.
fn corrupted(draws: u64) -> BTreeMap<Corruption, Fate> {
    let mut fates: BTreeMap<Corruption, Fate> = BTreeMap::new();
    let mut wrong = Vec::new();
    for name in NAMES {
        let recording = recording(name);
        let mutator = Mutator::new(&recording.events).expect("a history");
        for draw in 0..draws {
            for kind in Corruption::ALL {
                let Some(corrupted) = mutator.corrupt(kind, draw) else {
                    continue;
                };
                let mut changed = recording.clone();
                changed.events = corrupted.events;
                let verdict = judge(&changed, &Settings::default());
                let fate = fates.entry(kind).or_default();
                let what = match (&verdict, corrupted.may_be_legal) {
                    (Ok(judged), None) if judged.verdict() != Verdict::Fail => "not refused",
                    (Ok(judged), Some(_)) if judged.verdict() == Verdict::Pass => {
                        let witness = &judged.filled.witness;
                        let broken = broken(&changed.events, witness, &options_for(&changed));
                        if broken.is_empty() {
                            fate.shown_legal += 1;
                            continue;
                        }
                        broken[0]
                    }
                    (Ok(judged), Some(_)) if judged.verdict() == Verdict::Undecided => {
                        fate.undecided += 1;
                        continue;
                    }
                    (_, Some(_)) => {
                        fate.refused_perhaps += 1;
                        continue;
                    }
                    (_, None) => {
                        fate.refused += 1;
                        continue;
                    }
                };
                wrong.push(format!(
                    "{name}, {kind:?}, draw {draw}, {what}: {}",
                    corrupted.what
                ));
            }
        }
    }
    println!(
        "{:22} {:>8} {:>8} {:>8} {:>8}",
        "", "illegal", "perhaps", "accepted", "not"
    );
    println!(
        "{:22} {:>8} {:>8} {:>8} {:>8}",
        "", "refused", "refused", "legal", "decided"
    );
    for (kind, fate) in &fates {
        let Fate {
            refused,
            refused_perhaps,
            shown_legal,
            undecided,
        } = fate;
        let kind = format!("{kind:?}");
        println!("{kind:22} {refused:8} {refused_perhaps:8} {shown_legal:8} {undecided:8}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    fates
}

/// The kinds that a judge must know at least: each was refused so many times. (Of an update that was never asked for it is
/// never certain that nobody else did: a container may have been removed there, or a session made.)
fn each_kind_is_refused(fates: &BTreeMap<Corruption, Fate>, refused_min: u64) {
    for kind in [
        Corruption::StaleRead,
        Corruption::LostWrite,
        Corruption::SwappedOrder,
        Corruption::DuplicateSequence,
        Corruption::WrongVersion,
        Corruption::WatchMissing,
        Corruption::WatchLate,
        Corruption::FutureRead,
        Corruption::ResurrectedEphemeral,
        Corruption::HalfMulti,
    ] {
        let refused = fates
            .get(&kind)
            .map_or(0, |fate| fate.refused + fate.refused_perhaps);
        assert!(refused >= refused_min, "{kind:?}: {refused}");
    }
}

#[test]
fn corrupted_histories_are_refused() {
    let fates = corrupted(1);
    each_kind_is_refused(&fates, 1);
    assert!(fates.values().map(|fate| fate.refused).sum::<u64>() >= 80);
}

/// `cargo test --release -p zabsim-model -- --ignored two_thousand --nocapture`: 120 histories a draw.
#[test]
#[ignore = "minutes"]
fn two_thousand_corrupted_histories_are_refused() {
    let fates = corrupted(20);
    let all = |fate: &Fate| fate.refused + fate.refused_perhaps + fate.shown_legal + fate.undecided;
    let sampled: u64 = fates.values().map(all).sum();
    let undecided: u64 = fates.values().map(|fate| fate.undecided).sum();
    println!("{sampled} sampled");
    assert!(sampled >= 2_000);
    assert!(undecided * 100 <= sampled, "{undecided} of {sampled}");
    each_kind_is_refused(&fates, 20);
}
