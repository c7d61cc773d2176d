//! What needs the disk for itself: recovery, truncation, the installation of a leader's snapshot. One at a time, each begun
//! only when the log is durable to its end and no snapshot is being put in its place.

use super::*;

impl Storage {
    pub(super) fn request(&mut self, job: Job, out: &mut Vec<Effect>) {
        // A whole one is finished: who takes it waits to be told. It holds nothing but what is committed.
        if self
            .taking
            .as_ref()
            .is_some_and(|taking| taking.ticket.is_none())
        {
            self.abandon_snapshot(out);
        }
        if self.no_job() {
            self.sync(out);
        }
        self.jobs.push_back(job);
        let mut events = Vec::new();
        self.begin_job(out, &mut events);
        assert!(events.is_empty(), "a job's outcome comes from the disk");
    }

    /// Whether the disk is at rest, but for small files and readers.
    fn at_rest(&self) -> bool {
        let renaming = |waiter: &Waiter| matches!(waiter, Waiter::SnapshotRenamed(_));
        self.writer.idle()
            && self.taking.is_none()
            && self.chores.is_empty()
            && !self.chore_under_way()
            && !self.waiting.values().any(renaming)
    }

    pub(super) fn begin_job(&mut self, out: &mut Vec<Effect>, events: &mut Vec<Event>) {
        if self.work.is_some() || self.jobs.is_empty() || self.stopped || !self.at_rest() {
            return;
        }
        match self.jobs.pop_front().expect("there is one") {
            Job::Recover => {
                self.work = Some(Work::Listing);
                self.list(Waiter::Job, out);
            }
            Job::Truncate { to } => self.begin_truncation(to, out, events),
            Job::Install {
                zxid,
                chunks,
                membership,
            } => {
                let script = self.installation(zxid, chunks, &membership);
                let then = Then::Installed { zxid };
                self.work = Some(Work::Acting { script, then });
                self.act(out, events);
            }
        }
    }

    /// Goes on with the script of the job under way.
    pub(super) fn act(&mut self, out: &mut Vec<Effect>, events: &mut Vec<Event>) {
        let Some(Work::Acting { script, .. }) = &mut self.work else {
            panic!("no script is under way: {:?}", self.work);
        };
        if let Some(ticket) = script::advance(script, &mut self.tickets, out) {
            self.waiting.insert(ticket, Waiter::Job);
            return;
        }
        match self.work.take() {
            Some(Work::Acting { then, .. }) => events.push(self.finish(then, out)),
            other => unreachable!("{other:?}"),
        }
    }

    fn finish(&mut self, then: Then, out: &mut Vec<Effect>) -> Event {
        match then {
            Then::Recovered(found) => self.take_over(*found, out),
            Then::Truncated { to } => Event::Truncated { to },
            Then::Installed { zxid } => {
                if !self.bugs.has(Bug::SnapKeepsLogTail) {
                    self.generation += 1;
                    self.snapshots.clear();
                }
                self.snapshots.insert(zxid);
                self.writer = Writer::new(self.generation, BTreeSet::new(), zxid);
                Event::SnapshotInstalled { zxid }
            }
        }
    }

    fn take_over(&mut self, found: Found, out: &mut Vec<Effect>) -> Event {
        let marks = found.marks.iter().map(|mark| Note::Mark(mark));
        out.extend(marks.map(Effect::Note));
        self.accepted = found.accepted;
        self.current = found.current;
        self.blank = found.blank;
        self.generation = found.generation;
        self.snapshots = found.snapshots;
        self.writer = Writer::new(found.generation, found.segments, found.last);
        if let Some((file, len)) = self.stale_handle.take() {
            self.writer.go_on_with(file, len);
        }
        Event::Recovered {
            last: found.last,
            floor: self.floor(),
            accepted: found.accepted,
            current: found.current,
            blank: found.blank,
            torn_bytes: found.torn_bytes,
            snapshot: found.snapshot,
            chunks: found.chunks,
            configs: found.configs,
            replay: found.txns,
        }
    }

    /// A read for the job under way is done.
    pub(super) fn on_job_read(
        &mut self,
        data: DiskData,
        out: &mut Vec<Effect>,
        events: &mut Vec<Event>,
    ) {
        match (self.work.take(), data) {
            (Some(Work::Listing), DiskData::Files(files)) => {
                let recovery = Recovery::new(files, false, self.bugs);
                self.walk(Box::new(recovery), out, events);
            }
            (Some(Work::Recovering { mut recovery, file }), DiskData::Bytes(bytes)) => {
                recovery.feed(file, bytes.as_deref());
                self.walk(recovery, out, events);
            }
            (Some(work @ Work::Acting { .. }), DiskData::Files(_)) => {
                self.work = Some(work);
                self.act(out, events);
            }
            (
                Some(Work::FindingCut {
                    to,
                    expect,
                    read_again,
                }),
                DiskData::Bytes(bytes),
            ) => {
                let cut = log::end_of(bytes.as_deref().unwrap_or_default(), &expect, to);
                match cut {
                    Ok(len) => self.cut(to, Some((expect.file(), len)), out, events),
                    Err(_) if !read_again => self.find_cut(to, expect, true, out),
                    Err(reason) => {
                        let reason = format!("TRUNC to {to} cannot be done: {reason}");
                        events.push(self.fatal(reason));
                    }
                }
            }
            (work, data) => panic!("{work:?} did not ask for {data:?}"),
        }
    }

    fn walk(
        &mut self,
        mut recovery: Box<Recovery>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Event>,
    ) {
        match recovery.next() {
            Ok(Step::Read(file)) => {
                self.work = Some(Work::Recovering { recovery, file });
                self.read(file, Waiter::Job, out);
            }
            Ok(Step::Done(mut found)) => {
                let script = std::mem::take(&mut found.tidy).into();
                let then = Then::Recovered(found);
                self.work = Some(Work::Acting { script, then });
                self.act(out, events);
            }
            Err(reason) => events.push(self.fatal(reason)),
        }
    }

    /// Whether `to` can be cut to is asked before anything is deleted.
    fn begin_truncation(&mut self, to: Zxid, out: &mut Vec<Effect>, events: &mut Vec<Event>) {
        let (floor, last) = (self.floor(), self.last());
        if to < floor || to > last {
            let reason = format!(
                "TRUNC to {to} cannot be done: found a history from {floor} to {last}, expected one that holds {to}"
            );
            return self.answer(Event::Fatal { reason }, out);
        }
        match self.writer.segments.range(..=to).next_back() {
            Some(first) => {
                let expect = Expect {
                    generation: self.generation,
                    first: *first,
                    after: to,
                    successor: None,
                };
                self.find_cut(to, expect, false, out);
            }
            None if self.snapshots.contains(&to) => self.cut(to, None, out, events),
            None => {
                let reason = format!(
                    "TRUNC to {to} cannot be done: found neither a segment nor a snapshot that holds it"
                );
                self.answer(Event::Fatal { reason }, out);
            }
        }
    }

    fn find_cut(&mut self, to: Zxid, expect: Expect, read_again: bool, out: &mut Vec<Effect>) {
        self.work = Some(Work::FindingCut {
            to,
            expect,
            read_again,
        });
        self.read(expect.file(), Waiter::Job, out);
    }

    fn cut(
        &mut self,
        to: Zxid,
        at: Option<(FileName, u64)>,
        out: &mut Vec<Effect>,
        events: &mut Vec<Event>,
    ) {
        let generation = self.generation;
        let mut script = VecDeque::new();
        let above = if snapshots_survive_cuts(self.bugs) {
            BTreeSet::new()
        } else {
            self.snapshots.split_off(&log::first_after(to))
        };
        for zxid in above.into_iter().rev() {
            script.push_back(Action::Delete(FileName::Snapshot { generation, zxid }));
        }
        let mut segments = std::mem::take(&mut self.writer.segments);
        let later = segments.split_off(&log::first_after(to));
        for first in later.into_iter().rev() {
            script.push_back(Action::Delete(FileName::Log { generation, first }));
        }
        if self.bugs.has(Bug::KeepLogHandleOverTruncate) {
            self.stale_handle = at.and_then(|(file, len)| self.writer.stale_handle(file, len));
        }
        if !self.bugs.has(Bug::TruncInMemoryAlone) {
            script.extend(at.map(|(file, len)| Action::Cut(file, len)));
        }
        self.writer = Writer::new(generation, segments, to);
        let then = Then::Truncated { to };
        let nothing_to_do = script.is_empty();
        self.work = Some(Work::Acting { script, then });
        if nothing_to_do {
            // The outcome still comes from the disk: nobody listens to events in this call.
            self.list(Waiter::Job, out);
        } else {
            self.act(out, events);
        }
    }

    /// The steps of a SNAP. Everything before the rename is invisible to a recovery, everything after it is tidying.
    fn installation(
        &self,
        zxid: Zxid,
        chunks: Vec<Payload>,
        membership: &Membership,
    ) -> VecDeque<Action> {
        let keeps = self.bugs.has(Bug::SnapKeepsLogTail);
        let generation = self.generation + u32::from(!keeps);
        let part = FileName::SnapshotPart { generation, zxid };
        let mut script = VecDeque::from([Action::Append(
            part,
            format::snapshot_header(generation, zxid, Some(membership)),
        )]);
        let pieces = u32::try_from(chunks.len()).expect("a snapshot has less than 2³² pieces");
        for chunk in chunks {
            script.push_back(Action::Append(part, format::piece_header(&chunk)));
            script.push_back(Action::Append(part, chunk));
        }
        let trailer = format::snapshot_trailer(pieces, false);
        script.push_back(Action::Append(part, trailer));
        if !self.bugs.has(Bug::InstallWithoutFsync) {
            script.push_back(Action::Sync(part));
        }
        let installed = FileName::Snapshot { generation, zxid };
        script.push_back(Action::Rename(part, installed));
        if keeps {
            return script;
        }
        let generation = self.generation;
        for first in self.writer.segments.iter().rev() {
            let first = *first;
            script.push_back(Action::Delete(FileName::Log { generation, first }));
        }
        for zxid in self.snapshots.iter().rev() {
            let zxid = *zxid;
            script.push_back(Action::Delete(FileName::Snapshot { generation, zxid }));
        }
        script
    }

    /// A segment for a DIFF was read.
    pub(super) fn on_log_read(
        &mut self,
        number: u64,
        data: &DiskData,
        out: &mut Vec<Effect>,
        events: &mut Vec<Event>,
    ) {
        let DiskData::Bytes(bytes) = data else {
            panic!("a segment was asked for, not {data:?}");
        };
        let reader = self.readers.get_mut(&number).expect("a reader waits");
        match reader.feed(bytes.as_deref()) {
            Next::Read(file) => self.read(file, Waiter::Reader(number), out),
            Next::Done(found) => {
                let token = reader.token;
                self.readers.remove(&number);
                let (start, txns) = found.map_or((Zxid::ZERO, None), |(s, txns)| (s, Some(txns)));
                events.push(Event::LogRead { token, start, txns });
            }
        }
    }
}
