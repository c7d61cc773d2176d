//! Faults of clients: they die, stop, go elsewhere, are cut off, or are at two places at once.

use super::super::World;
use super::{Blow, Undo};
use crate::net::{Item, LinkKind, Node};
use crate::plan::Target;
use crate::queue::Event;
use crate::stream::Stream;
use xxhash_rust::xxh3::xxh3_64;
use zabsim_client::Input;
use zabsim_types::{ClientFrame, ConnectRequest, ServerId, SessionId};

impl World {
    pub(super) fn kill_clients(&mut self, blow: Blow) -> Option<String> {
        let clients = self.pick_clients(blow);
        self.each_client(&clients, "kills", World::crash_client)
    }

    pub(super) fn pause_clients(&mut self, blow: Blow) -> Option<String> {
        let clients = self.pick_clients(blow);
        self.each_client(&clients, "pauses", |world, client| {
            world.pause_client(client);
            world.undo_later(blow, Undo::ResumeClient(client));
        })
    }

    pub(super) fn move_clients(&mut self, blow: Blow, to: Option<&Target>) -> Option<String> {
        let clients = self.pick_clients(blow);
        let to = match to {
            None => None,
            Some(target) => Some(*self.resolve(blow, target).first()?),
        };
        let to = to.map(|server| self.servers[server].id);
        let moved = self.each_client(&clients, "moves", |world, client| {
            world.client_input(client, None, Input::Move { to });
        });
        moved.map(|moved| match to {
            Some(id) => format!("{moved} to {id}"),
            None => format!("{moved} to the next server"),
        })
    }

    pub(super) fn cut_clients(&mut self, blow: Blow) -> Option<String> {
        let clients = self.pick_clients(blow);
        self.each_client(&clients, "cuts off", |world, client| {
            let client = world.client_node(client);
            let ways: Vec<(Node, Node)> = (0..world.servers.len() as Node)
                .flat_map(|server| [(client, server), (server, client)])
                .collect();
            world.block_all(blow, &ways);
        })
    }

    pub(super) fn duplicate_clients(&mut self, blow: Blow) -> Option<String> {
        let clients = self.pick_clients(blow);
        self.each_client(&clients, "duplicates the connection of", |world, client| {
            world.open_ghost(blow, client);
        })
    }

    /// Opens a second connection for a client's session, at another server.
    fn open_ghost(&mut self, blow: Blow, client: usize) {
        let attached = self.clients[client].session.attached_to();
        let others: Vec<ServerId> = self
            .servers
            .iter()
            .map(|server| server.id)
            .filter(|id| Some(*id) != attached)
            .collect();
        let (Some(_), false) = (attached, others.is_empty()) else {
            return;
        };
        let name = xxh3_64(self.plan.faults[blow.fault].label.as_bytes());
        let mut stream = Stream::new(self.seed, "ghost", name);
        let to = Node::from(stream.pick(&others).0) - 1;
        let node = self.client_node(client);
        let link = self
            .net
            .connect(&mut self.queue, self.now, LinkKind::Ghost, node, to);
        let lasts = stream.range((50_000, 2_000_000));
        self.queue
            .push(self.now.plus(lasts), Event::GhostEnd { link });
        self.undo_later(blow, Undo::Ghost(link));
    }

    /// The second connection is up: it takes the session over, as a client does whose first connection it believes dead.
    pub(in crate::world) fn attach_ghost(&mut self, client: usize, link: u32) {
        let session = &self.clients[client].session;
        let request = ConnectRequest {
            last_zxid_seen: session.last_zxid_seen(),
            timeout_ms: session.timeout_ms(),
            session: session.id(),
            password: session.password(),
            read_only: false,
        };
        if request.session == SessionId::NONE {
            return;
        }
        let item = Item::ToServer(Box::new(ClientFrame::Connect(request)));
        let node = self.client_node(client);
        self.net.send(&mut self.queue, self.now, link, node, item);
    }

    pub(in crate::world) fn end_ghost(&mut self, link: u32) {
        let node = self.net.initiator(link);
        self.net.close(&mut self.queue, self.now, link, node);
    }
}
