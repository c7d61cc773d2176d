//! Clients in the world: sessions are stepped, programs run, and what they see becomes the history.

use super::World;
use crate::executor::Outcome;
use crate::host::Waiting;
use crate::net::{Arrival, Death, Item, LinkKind, Node};
use crate::plan::{SCRIPTED, scripted_call};
use crate::queue::Event;
use crate::trace::{Entry, Place};
use zabsim_client::{Command, Effect, Input, Outcome as Answered};
use zabsim_types::{
    CallId, ClientFrame, ErrorCode, HistoryEvent, HistoryKind, Op, ServerId, SessionChange,
    SessionId,
};

use crate::clock::Clock;

/// Clients' clocks run with the world's.
fn client_clock() -> Clock {
    Clock::new(0, 0)
}

impl World {
    fn client_place(&self, client: usize) -> Place {
        Place::Client(self.clients[client].id.0)
    }

    /// Puts an input into a session: now, or once its process is no longer paused.
    pub(crate) fn client_input(&mut self, client: usize, link: Option<u32>, input: Input) {
        let process = &mut self.clients[client];
        if !process.alive {
            return;
        }
        if process.paused > 0 {
            process.inbox.push_back(Waiting::Input { link, input });
            return;
        }
        if link.is_some() && link == process.trial {
            let input = match input {
                Input::Connected => Input::TrialConnected,
                Input::Frame(frame) => Input::TrialFrame(frame),
                _ => {
                    process.trial = None;
                    Input::TrialDisconnected
                }
            };
            self.step_client(client, input);
            return;
        }
        if link.is_some() && link != process.link {
            return; // A connection that the session has left.
        }
        if matches!(input, Input::Disconnected) {
            process.link = None;
        }
        self.step_client(client, input);
    }

    pub(super) fn client_timer(&mut self, client: usize, generation: u32) {
        let process = &mut self.clients[client];
        if process.paused > 0 {
            process.inbox.push_back(Waiting::Timer { generation });
            return;
        }
        let event = |generation| Event::ClientTimer {
            client: client as u32,
            generation,
        };
        let fires = process.timer.fires(
            &mut self.queue,
            &client_clock(),
            self.now,
            generation,
            event,
        );
        if fires {
            self.client_input(client, None, Input::Timer);
        }
    }

    fn step_client(&mut self, client: usize, input: Input) {
        self.record(self.client_place(client), &Entry::ClientInput(&input));
        let mut effects = std::mem::take(&mut self.client_effects);
        let process = &mut self.clients[client];
        process.port.set_now(self.now);
        process.session_before = process.session.id();
        process.session.step(self.now, input, &mut effects);
        for effect in effects.drain(..) {
            self.carry_out_client(client, effect);
        }
        self.client_effects = effects;
        self.awake = true;
    }

    fn carry_out_client(&mut self, client: usize, effect: Effect) {
        self.record(self.client_place(client), &Entry::ClientEffect(&effect));
        let node = self.client_node(client);
        match effect {
            Effect::Connect { server } => {
                self.clients[client].link = Some(self.connect_client(node, server));
            }
            Effect::Try { server } => {
                self.clients[client].trial = Some(self.connect_client(node, server));
            }
            Effect::Disconnect => {
                let link = self.clients[client].link.take();
                self.close_client_link(node, link);
            }
            Effect::TrialEnd => {
                let trial = self.clients[client].trial.take();
                self.close_client_link(node, trial);
            }
            Effect::TrialTake => {
                let process = &mut self.clients[client];
                let former = std::mem::replace(&mut process.link, process.trial.take());
                self.close_client_link(node, former);
                self.reached("read-only-left");
            }
            Effect::Send(frame) => self.client_sends(node, self.clients[client].link, frame),
            Effect::TrialSend(frame) => {
                self.client_sends(node, self.clients[client].trial, frame);
            }
            Effect::SetTimer { at } => {
                self.clients[client].timer.set(
                    &mut self.queue,
                    &client_clock(),
                    self.now,
                    at.0,
                    |generation| Event::ClientTimer {
                        client: client as u32,
                        generation,
                    },
                );
            }
            Effect::Complete { call, outcome } => self.complete(client, call, outcome),
            Effect::Event { zxid, conn, event } => {
                if !event.kind.is_local() {
                    let kind = HistoryKind::Watch {
                        zxid,
                        conn,
                        event: event.clone(),
                    };
                    self.happened(client, kind);
                }
                self.clients[client].port.event(zxid, conn, event);
            }
            Effect::Changed { session, change } => self.session_changed(client, session, change),
        }
    }

    fn connect_client(&mut self, node: Node, server: ServerId) -> u32 {
        let to = u32::from(server.0) - 1;
        let kind = LinkKind::Client;
        self.net.connect(&mut self.queue, self.now, kind, node, to)
    }

    fn close_client_link(&mut self, node: Node, link: Option<u32>) {
        if let Some(link) = link {
            self.net.close(&mut self.queue, self.now, link, node);
        }
    }

    fn client_sends(&mut self, node: Node, link: Option<u32>, frame: ClientFrame) {
        if let Some(link) = link {
            let item = Item::ToServer(Box::new(frame));
            self.net.send(&mut self.queue, self.now, link, node, item);
        }
    }

    fn complete(&mut self, client: usize, call: CallId, outcome: Answered) {
        let process = &mut self.clients[client];
        let id = process.history_id(call);
        process.open_calls.retain(|open| *open != id);
        let kind = match &outcome {
            Answered::Replied {
                xid,
                conn,
                zxid,
                result,
            } => {
                process.answered += 1;
                let (xid, conn, zxid) = (*xid, *conn, *zxid);
                match result {
                    Ok(result) => {
                        self.records.ops.ok += 1;
                        HistoryKind::Ok {
                            id,
                            zxid,
                            xid,
                            conn,
                            result: result.clone(),
                        }
                    }
                    Err(error) => {
                        self.records.ops.failed += 1;
                        HistoryKind::Fail {
                            id,
                            zxid,
                            xid,
                            conn,
                            error: *error,
                        }
                    }
                }
            }
            Answered::Lost { error, sent, xid } => {
                self.records.ops.unknown += 1;
                HistoryKind::Info {
                    id,
                    error: *error,
                    sent: *sent,
                    xid: *xid,
                }
            }
        };
        let process = &self.clients[client];
        let session = match process.session.id() {
            SessionId::NONE => process.session_before,
            session => session,
        };
        self.happened_in(client, session, kind);
        let replied = matches!(outcome, Answered::Replied { .. });
        if call.0 < SCRIPTED {
            self.clients[client].port.complete(call, outcome);
        }
        if replied && let Some(server) = self.clients[client].session.attached_to() {
            self.triggered_by_reply(client, server);
        }
    }

    fn session_changed(&mut self, client: usize, session: SessionId, change: SessionChange) {
        match &change {
            SessionChange::Expired | SessionChange::AuthFailed if session != SessionId::NONE => {
                self.given_up.push(session);
            }
            SessionChange::Connected { .. } => self.clients[client].opened = true,
            _ => {}
        }
        self.happened_in(
            client,
            session,
            HistoryKind::Session {
                change: change.clone(),
            },
        );
        self.clients[client].port.changed(session, &change);
        let over = matches!(change, SessionChange::Expired | SessionChange::AuthFailed);
        // A client without a program, or whose program has returned, goes on with a new session by itself: scripted
        // operations may follow.
        if over && !self.clients[client].runs_program() && !self.clients[client].directed {
            self.queue.push(
                self.now,
                Event::Wake {
                    client: client as u32,
                    incarnation: 0,
                    sleeper: REOPEN,
                },
            );
        }
    }

    /// Adds an event to the history.
    pub(crate) fn happened(&mut self, client: usize, kind: HistoryKind) {
        let session = self.clients[client].session.id();
        self.happened_in(client, session, kind);
    }

    fn happened_in(&mut self, client: usize, session: SessionId, kind: HistoryKind) {
        self.records.history.push(HistoryEvent {
            time: self.now,
            process: self.clients[client].id,
            session,
            kind,
        });
    }

    pub(super) fn arrive_at_client(&mut self, arrival: Arrival) {
        let client = arrival.to as usize - self.servers.len();
        if arrival.kind == LinkKind::Ghost {
            self.arrive_at_ghost(client, arrival);
            return;
        }
        let link = arrival.link;
        let kind = arrival.kind;
        let input = match arrival.item {
            Item::Accepted => Input::Connected,
            Item::Refused | Item::Broken => Input::Disconnected,
            Item::ToClient(frame) => Input::Frame(*frame),
            item => unreachable!("{item:?} at a client"),
        };
        match kind {
            LinkKind::Wire => self.arrive_by_wire(client, link, input),
            _ => self.client_input(client, Some(link), input),
        }
    }

    /// Runs the programs that are awake, and carries out what they want, until all of them wait.
    pub(super) fn run_programs(&mut self) {
        let mut turns = 0;
        while std::mem::take(&mut self.awake) {
            turns += 1;
            if turns > TURNS_MAX {
                self.endless.get_or_insert(format!(
                    "time stands still at {}: client programs took {TURNS_MAX} turns without waiting for anything; one of them \
                     tries again at once, for ever",
                    self.now
                ));
                return;
            }
            self.executor.run_until_idle();
            for client in 0..self.clients.len() {
                self.take_commands(client);
                self.look_for_end(client);
            }
            self.take_wishes();
        }
    }

    fn look_for_end(&mut self, client: usize) {
        let process = &self.clients[client];
        let panic = process
            .program
            .as_ref()
            .and_then(|program| program.take_panic());
        if let Some(message) = panic {
            let id = process.id.0;
            self.panicked
                .get_or_insert(format!("the program of c{id} panicked: {message}"));
        }
        let process = &self.clients[client];
        if process.program.as_ref().is_some_and(Outcome::is_endless) {
            self.endless.get_or_insert(format!(
                "time stands still at {}: the program of c{} wakes itself over and over and never waits",
                self.now, process.id.0
            ));
        }
    }

    fn take_commands(&mut self, client: usize) {
        let process = &self.clients[client];
        if !process.alive || process.paused > 0 {
            return;
        }
        let mut commands = std::mem::take(&mut self.commands);
        process.port.take_commands(&mut commands);
        for command in commands.drain(..) {
            self.command(client, command);
        }
        self.commands = commands;
    }

    fn command(&mut self, client: usize, command: Command) {
        match command {
            Command::Submit { call, op } => self.submit(client, call, op),
            Command::Open => self.client_input(client, None, Input::Open),
            Command::Move { to } => self.client_input(client, None, Input::Move { to }),
            Command::Sleep { sleeper, micros } => {
                self.record(
                    self.client_place(client),
                    &Entry::Command(&Command::Sleep { sleeper, micros }),
                );
                let event = Event::Wake {
                    client: client as u32,
                    incarnation: 0,
                    sleeper: u32::try_from(sleeper).expect("fewer than 2³² sleeps"),
                };
                self.queue.push(self.now.plus(micros), event);
            }
            // The port ignores the waking of a sleeper that is gone.
            Command::CancelSleep { .. } => {}
            Command::Record(event) => {
                self.record(
                    self.client_place(client),
                    &Entry::Command(&Command::Record(event.clone())),
                );
                self.happened(client, HistoryKind::Recipe(event));
            }
        }
    }

    /// Hands a request to a session.
    fn submit(&mut self, client: usize, call: CallId, op: Op) {
        let process = &mut self.clients[client];
        let id = process.history_id(call);
        process.open_calls.push(id);
        let request = op.clone();
        self.happened(client, HistoryKind::Invoke { id, request });
        self.client_input(client, None, Input::Submit { call, op });
    }

    pub(super) fn wake_sleeper(&mut self, client: usize, sleeper: u32) {
        let process = &mut self.clients[client];
        if !process.alive {
            return;
        }
        if process.paused > 0 {
            process.inbox.push_back(Waiting::Wake { sleeper });
            return;
        }
        if sleeper == REOPEN {
            self.client_input(client, None, Input::Open);
            return;
        }
        process.port.set_now(self.now);
        process.port.fire(u64::from(sleeper));
        self.record(self.client_place(client), &Entry::Woken(u64::from(sleeper)));
        self.awake = true;
    }

    pub(super) fn scripted_op(&mut self, op: usize) {
        let scripted = &self.plan.ops[op];
        let call = scripted_call(op);
        let client = scripted.client as usize - 1;
        let request = scripted.op.clone();
        let process = &mut self.clients[client];
        if !process.alive {
            return;
        }
        if process.paused > 0 {
            process.inbox.push_back(Waiting::Op { op });
            return;
        }
        if process.program.is_none() && !process.opened {
            process.opened = true;
            self.client_input(client, None, Input::Open);
        }
        self.submit(client, call, request);
    }

    /// Kills a client process.
    pub(crate) fn crash_client(&mut self, client: usize) {
        let node = self.client_node(client);
        let process = &mut self.clients[client];
        if !process.alive {
            return;
        }
        process.alive = false;
        process.inbox.clear();
        process.timer.clear();
        process.link = None;
        process.trial = None;
        process.port.kill();
        let id = process.id;
        self.record(Place::Client(id.0), &Entry::Process("dies"));
        self.executor.kill(id.0);
        self.net
            .die(&mut self.queue, self.now, node, Death::Process);
        for call in std::mem::take(&mut self.clients[client].open_calls) {
            self.records.ops.unknown += 1;
            let kind = HistoryKind::Info {
                id: call,
                error: ErrorCode::ConnectionLoss,
                sent: true,
                xid: None,
            };
            self.happened(client, kind);
        }
        self.happened(
            client,
            HistoryKind::Session {
                change: SessionChange::Disconnected,
            },
        );
    }

    /// Stops a client process without killing it: its connection stays open and silent.
    pub(crate) fn pause_client(&mut self, client: usize) {
        self.clients[client].paused += 1;
        self.record(self.client_place(client), &Entry::Process("pauses"));
    }

    /// Lets a client process go on with what came in meanwhile.
    pub(crate) fn resume_client(&mut self, client: usize) {
        let process = &mut self.clients[client];
        assert!(process.paused > 0, "c{} is not paused", process.id.0);
        process.paused -= 1;
        self.record(self.client_place(client), &Entry::Process("resumes"));
        while self.clients[client].paused == 0 {
            match self.clients[client].inbox.pop_front() {
                Some(Waiting::Input { link, input }) => self.client_input(client, link, input),
                Some(Waiting::Timer { generation }) => self.client_timer(client, generation),
                Some(Waiting::Wake { sleeper }) => self.wake_sleeper(client, sleeper),
                Some(Waiting::Op { op }) => self.scripted_op(op),
                None => break,
            }
            self.run_programs();
        }
        self.awake = true;
    }

    /// A second connection listens to nothing; once it is up, it takes the session over.
    fn arrive_at_ghost(&mut self, client: usize, arrival: Arrival) {
        if let (Item::Accepted, true) = (arrival.item, self.clients[client].alive) {
            self.attach_ghost(client, arrival.link);
        }
    }
}

/// Turns that programs may take at one point of time. A program that answers each refusal with the same request, without
/// waiting for anything, would stop the world's clock.
const TURNS_MAX: u32 = 10_000;

/// A sleeper that no port names: the world itself wants a new session opened.
const REOPEN: u32 = u32::MAX;
