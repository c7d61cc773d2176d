//! Brings what the replay is about to read into the processor's cache.
//!
//! The strings of a history lie where the run put them, all over the memory, and a replay that takes one call after the other
//! waits for each. Here the same places are touched for many calls at once, which do not wait for each other: so the
//! processor fetches them side by side. Nothing depends on it but time.

use super::history::{Call, Outcome};
use crate::witness::TxnKind;
use std::hint::black_box;
use std::mem::discriminant;
use zabsim_types::{Data, Op, Reply};

/// How many transactions, or reads, are fetched at once: few enough to be still there when their turn comes.
pub(super) const AT_ONCE: usize = 96;

/// Touches what the calls ask and were answered.
pub(super) fn calls<'h>(calls: impl Iterator<Item = &'h Call<'h>> + Clone) {
    // First the events, without a look at what they are: to guess that wrong is to wait for one after the other again.
    for call in calls.clone() {
        black_box(discriminant(call.op()));
        if let Outcome::Ok(reply) = call.outcome() {
            black_box(discriminant(reply));
        }
    }
    let sum = calls.fold(0, |sum, call| {
        let answered = match call.outcome() {
            Outcome::Ok(reply) => of_reply(reply),
            _ => 0,
        };
        sum ^ of_op(call.op()) ^ answered
    });
    black_box(sum);
}

/// Touches what the calls ask.
pub(super) fn requests<'h, 'a: 'h>(calls: impl Iterator<Item = &'h Call<'a>>) {
    black_box(calls.fold(0, |sum, call| sum ^ of_op(call.op())));
}

/// Touches what transactions name.
pub(super) fn txns<'h>(txns: impl Iterator<Item = &'h TxnKind>) {
    let sum = txns.fold(0, |sum, what| {
        let path = match what {
            TxnKind::Create { path, .. } => first(path),
            _ => 0,
        };
        sum ^ path
    });
    black_box(sum);
}

fn of_op(op: &Op) -> u8 {
    match op {
        Op::Create { path, data, .. } | Op::SetData { path, data, .. } => {
            first(path) ^ of_data(data)
        }
        Op::Delete { path, .. }
        | Op::GetData { path, .. }
        | Op::Exists { path, .. }
        | Op::GetChildren { path, .. } => first(path),
        _ => 0,
    }
}

fn of_reply(reply: &Reply) -> u8 {
    match reply {
        Reply::Created { path, .. } => first(path),
        Reply::Data { data, .. } => of_data(data),
        Reply::Children { names, .. } => names.iter().fold(0, |sum, name| sum ^ first(name)),
        _ => 0,
    }
}

fn of_data(data: &Data) -> u8 {
    let first = data.as_deref().and_then(<[u8]>::first);
    first.copied().unwrap_or_default()
}

fn first(text: &str) -> u8 {
    text.as_bytes().first().copied().unwrap_or_default()
}
