//! The end of a running server's snapshot, and what it makes superfluous.

use super::*;

impl Storage {
    /// Puts the snapshot in its place once it is durable and the log is, as far as its content may reach: it is fuzzy, and a
    /// server that lost the end of its log must not find traces of it in its snapshot.
    pub(super) fn rename_snapshot(&mut self, out: &mut Vec<Effect>) {
        let durable = self.durable();
        let early = self.bugs.has(Bug::SnapshotBeforeLog);
        let ready = |taking: &mut Taking| taking.synced && (early || durable >= taking.reach);
        let Some(taking) = self.taking.take_if(ready) else {
            return;
        };
        let (generation, zxid) = (self.generation, taking.zxid);
        let ticket = self.tickets.next();
        out.push(Effect::Disk(DiskOp::Rename {
            from: FileName::SnapshotPart { generation, zxid },
            to: FileName::Snapshot { generation, zxid },
            ticket,
        }));
        self.waiting.insert(ticket, Waiter::SnapshotRenamed(zxid));
    }

    pub(super) fn on_snapshot_taken(&mut self, zxid: Zxid, out: &mut Vec<Effect>) {
        self.snapshots.insert(zxid);
        self.writer.roll();
        self.purge(out);
    }

    /// Deletes all but the newest snapshots, the oldest first, then the segments that not even the oldest one kept needs:
    /// at no moment stands a snapshot without its log. The segment that holds the snapshot's own transaction stays, as proof
    /// that the log leads on from it.
    fn purge(&mut self, out: &mut Vec<Effect>) {
        let busy = !self.chores.is_empty() || self.chore_under_way();
        let generation = self.generation;
        while self.snapshots.len() > self.snap_retain {
            let zxid = self.snapshots.pop_first().expect("there are some");
            let file = FileName::Snapshot { generation, zxid };
            self.chores.push_back(Action::Delete(file));
        }
        let oldest = match self.bugs.has(Bug::PurgeTooMuch) {
            true => self.snapshots.last().copied().unwrap_or(Zxid::ZERO),
            false => self.floor(),
        };
        while self
            .writer
            .segments
            .iter()
            .nth(1)
            .is_some_and(|next| *next <= oldest)
        {
            let first = self.writer.segments.pop_first().expect("there are two");
            let file = FileName::Log { generation, first };
            self.chores.push_back(Action::Delete(file));
        }
        if !busy {
            self.do_chore(out);
        }
    }

    pub(super) fn do_chore(&mut self, out: &mut Vec<Effect>) {
        let ticket = script::advance(&mut self.chores, &mut self.tickets, out);
        self.wait(ticket, Waiter::Chore);
    }

    pub(super) fn chore_under_way(&self) -> bool {
        self.waiting
            .values()
            .any(|waiter| matches!(waiter, Waiter::Chore))
    }
}
