//! Things done to the disk one after the other: the next only begins once the one before it is durable, so that a crash leaves
//! a prefix of the script and nothing else.

use crate::{DiskOp, Effect, FileName, Payload, Ticket};
use std::collections::VecDeque;

/// One thing to do, without its ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Append(FileName, Payload),
    Sync(FileName),
    Rename(FileName, FileName),
    Delete(FileName),
    /// Leaves so many bytes.
    Cut(FileName, u64),
    /// Replaces the file.
    Write(FileName, Payload),
}

/// Gives out tickets, none of them twice.
#[derive(Debug, Default)]
pub(super) struct Tickets(u64);

impl Tickets {
    pub(super) fn next(&mut self) -> Ticket {
        self.0 += 1;
        Ticket(self.0)
    }
}

/// Begins the script's next actions, up to one that is answered; `None` where nothing is left.
pub(super) fn advance(
    script: &mut VecDeque<Action>,
    tickets: &mut Tickets,
    out: &mut Vec<Effect>,
) -> Option<Ticket> {
    loop {
        let action = script.pop_front()?;
        if let Action::Append(file, bytes) = action {
            out.push(Effect::Disk(DiskOp::Append { file, bytes }));
            continue;
        }
        let ticket = tickets.next();
        out.push(Effect::Disk(answered(action, ticket)));
        return Some(ticket);
    }
}

fn answered(action: Action, ticket: Ticket) -> DiskOp {
    match action {
        Action::Append(..) => unreachable!("an append is not answered"),
        Action::Sync(file) => DiskOp::Sync { file, ticket },
        Action::Rename(from, to) => DiskOp::Rename { from, to, ticket },
        Action::Delete(file) => DiskOp::Delete { file, ticket },
        Action::Cut(file, len) => DiskOp::Truncate { file, len, ticket },
        Action::Write(file, bytes) => DiskOp::Replace {
            file,
            bytes,
            ticket,
        },
    }
}
