//! A test directs the world: its wishes are carried out as they come.

use super::World;
use crate::desk::{Answer, Desk, Wish};
use crate::executor::{BoxFuture, Outcome, contained};
use crate::nemesis::Ends;
use crate::net::{Item, LinkKind, Node};
use crate::plan::{Action, Fault, Trigger};
use crate::queue::Event;
use crate::run::Ending;
use crate::testing::overdue;
use crate::trace::{Entry, Place};
use crate::wire::Mailbox;
use zabsim_client::Input;
use zabsim_types::{ClientFrame, ServerId};

/// A test, as the world knows it.
pub(super) struct Director {
    desk: Desk,
    tasks: Vec<Outcome>,
    /// Wishes that wait for an established leader.
    leader_wanted: Vec<u32>,
    faults: u32,
}

/// The process in which the test runs.
pub(super) const DIRECTOR: u32 = 0;

/// The client number of events that are for the test.
pub(super) const DIRECTOR_EVENT: u32 = u32::MAX;

impl World {
    /// Lets a test direct the world until it is over.
    pub(crate) fn direct(
        &mut self,
        desk: Desk,
        body: BoxFuture,
        us_max: u64,
    ) -> Result<(), Ending> {
        let (future, outcome) = contained(body, &self.moment);
        self.director = Some(Director {
            desk,
            tasks: vec![outcome.clone()],
            leader_wanted: Vec::new(),
            faults: 0,
        });
        self.executor.spawn(DIRECTOR, future);
        self.awake = true;
        self.run_programs();
        let end = self.now.plus(us_max);
        while !outcome.ended() && !self.halted() {
            let Some(next) = self.queue.next_at().filter(|next| *next <= end) else {
                return Err(overdue(self));
            };
            self.handle_next(next);
        }
        Ok(())
    }

    /// Carries out what the test wishes; a wish for a leader waits until one is established.
    pub(super) fn take_wishes(&mut self) {
        let Some(director) = &mut self.director else {
            return;
        };
        for task in &director.tasks {
            if let Some(message) = task.take_panic() {
                self.panicked
                    .get_or_insert(format!("the test panicked: {message}"));
            }
            if task.is_endless() {
                self.endless.get_or_insert(format!(
                    "time stands still at {}: the test wakes itself over and over and never waits",
                    self.now
                ));
            }
        }
        let desk = director.desk.clone();
        for (name, wish) in desk.take(self.now) {
            self.grant(&desk, name, wish);
        }
    }

    /// Tells those who wait for a leader.
    pub(super) fn tell_of_leader(&mut self) {
        if self
            .director
            .as_ref()
            .is_none_or(|director| director.leader_wanted.is_empty())
        {
            return;
        }
        let leader = self.established_leader();
        if let (Some(leader), Some(director)) = (leader, &mut self.director) {
            let desk = director.desk.clone();
            for name in std::mem::take(&mut director.leader_wanted) {
                desk.answer(self.now, name, Answer::Leader(leader));
                self.awake = true;
            }
        }
    }

    fn grant(&mut self, desk: &Desk, name: u32, wish: Wish) {
        let answer = match wish {
            Wish::Client => {
                let client = self.new_client();
                self.clients[client].port.set_now(self.now);
                self.clients[client].directed = true;
                Answer::Client(self.clients[client].port.client())
            }
            Wish::Sleep(micros) => {
                let event = Event::Wake {
                    client: DIRECTOR_EVENT,
                    incarnation: 0,
                    sleeper: name,
                };
                self.queue.push(self.now.plus(micros), event);
                return;
            }
            Wish::Leader => {
                if let Some(director) = &mut self.director {
                    director.leader_wanted.push(name);
                }
                self.tell_of_leader();
                return;
            }
            Wish::Fault(action, lasts_us) => {
                Answer::Struck(self.strike_for_test(*action, lasts_us))
            }
            Wish::CutClient(client, lasts_us) => {
                let session = client.session();
                let clients = (1..).zip(&self.clients);
                let clients = clients
                    .filter(|(_, process)| process.session.id() == session)
                    .map(|(number, _)| number)
                    .collect();
                let action = Action::ClientCut { clients };
                Answer::Struck(self.strike_for_test(action, Some(lasts_us)))
            }
            Wish::Wire(server) => Answer::Wire(self.open_wire(server)),
            Wish::Say(link, frame) => {
                self.say_by_wire(link, frame);
                Answer::Done
            }
            Wish::HangUp(link) => {
                self.hang_up(link);
                Answer::Done
            }
            Wish::Spawn(future) => {
                let (future, outcome) = contained(future, &self.moment);
                if let Some(director) = &mut self.director {
                    director.tasks.push(outcome);
                }
                self.executor.spawn(DIRECTOR, future);
                Answer::Done
            }
        };
        desk.answer(self.now, name, answer);
        self.awake = true;
    }

    pub(super) fn wake_director(&mut self, name: u32) {
        if let Some(director) = &self.director {
            director.desk.answer(self.now, name, Answer::Done);
            self.awake = true;
        }
    }

    fn strike_for_test(&mut self, action: Action, lasts_us: Option<u64>) -> Option<String> {
        let director = self.director.as_mut()?;
        director.faults += 1;
        let fault = Fault {
            label: format!("test-{}", director.faults),
            trigger: Trigger::At(self.now),
            action,
            lasts_us,
        };
        let index = self.nemesis.add(fault.clone(), self.seed);
        self.plan.faults.push(fault);
        self.strike_once(index, Ends::default())
    }
}

/// Connections by hand: each has a client process of its own, which does nothing else.
impl World {
    fn open_wire(&mut self, server: ServerId) -> Mailbox {
        let client = self.new_client();
        self.clients[client].directed = true;
        let (node, to) = (self.client_node(client), Node::from(server.0) - 1);
        let kind = LinkKind::Wire;
        let link = self.net.connect(&mut self.queue, self.now, kind, node, to);
        let mailbox = Mailbox::new(link);
        self.wires.insert(link, mailbox.clone());
        mailbox
    }

    fn say_by_wire(&mut self, link: u32, frame: ClientFrame) {
        let node = self.net.initiator(link);
        let item = Item::ToServer(Box::new(frame));
        self.net.send(&mut self.queue, self.now, link, node, item);
    }

    fn hang_up(&mut self, link: u32) {
        let node = self.net.initiator(link);
        self.net.close(&mut self.queue, self.now, link, node);
    }

    pub(super) fn arrive_by_wire(&mut self, client: usize, link: u32, input: Input) {
        let place = Place::Client(self.clients[client].id.0);
        self.record(place, &Entry::ClientInput(&input));
        self.wires[&link].put(input);
        self.awake = true;
    }
}
