//! A contender: an ephemeral sequential node that stands in line with others under one parent. The first in line holds; each
//! of the others watches the one before it, and nobody else's end wakes it (no herd).
//!
//! Source: the ZooKeeper recipes for locks and leader election, with what went wrong with them elsewhere:
//!
//! - **A create whose reply is lost may have happened.** The name carries a GUID; before creating again the contender
//!   looks for it. A found node counts only if it belongs to the present session: one of a dead session is about to
//!   vanish, and whoever adopts it holds nothing (CURATOR-498).
//! - **A list can lag.** The search goes behind a quorum `sync`. Should it miss the node all the same, the listing behind
//!   the second create shows both, for a session sees its own writes: the other is deleted.
//! - **Order is by sequence number, not by name** (ZOOKEEPER-2931), and across the wrap of the 32-bit counter
//!   (kazoo #730): numbers are compared by their distance. After 2147483647 comes -2147483648.
//! - **The predecessor is watched through `getData`**: an `exists` watch on a node that has gone would stay for good
//!   (kazoo 4a2dce8). If it has gone already, the line is looked at again.
//! - **A watch that fires proves nothing**: the one before may have given up without ever holding. The line is looked at again.
//! - **Who leaves takes the node along**, also if it leaves by being dropped, also if the connection breaks meanwhile: see the
//!   port's janitor.

use crate::client::Discarded;
use crate::port::{Contest, HoldRefused, Litter};
use crate::{Client, ClientError, SessionState, Watched};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use zabsim_bugs::Bug;
use zabsim_types::{
    Acl, CreateMode, Data, ErrorCode, Op, OpKind, RecipeEvent, Reply, SessionId, SyncMode, ZPath,
    Zxid,
};

/// One who stands in line. Dropped, it leaves.
pub(super) struct Contender {
    client: Client,
    object: ZPath,
    contest: Contest,
    guid: Arc<str>,
    node: Node,
    /// It was first once.
    held: bool,
}

/// What the contender knows of its node.
enum Node {
    /// There is none, or a [`Call`](crate::Call) under way looks after it.
    None,
    /// A create was lost on its way: there may be one.
    Unknown,
    /// There is one.
    Known(Standing),
}

#[derive(Clone)]
struct Standing {
    path: ZPath,
    sequence: i32,
    /// The transaction that created it: the fencing token, the term.
    czxid: Zxid,
    owner: SessionId,
}

/// A place in the line.
enum Place {
    First,
    Behind(ZPath),
}

impl Contender {
    /// Says that it wants to hold `object`, and enters the line.
    pub(super) async fn enter(
        client: &Client,
        object: &ZPath,
        contest: Contest,
        data: Data,
    ) -> Result<Contender, ClientError> {
        let guid = client.port().lock().guid();
        client.record(RecipeEvent {
            object: object.clone(),
            step: contest.wanted(),
        });
        let mut contender = Contender {
            client: client.clone(),
            object: object.clone(),
            contest,
            guid,
            node: Node::None,
            held: false,
        };
        while !contender.create(&data).await? {}
        Ok(contender)
    }

    /// Tries to create the node. False: it certainly is not there, and the next try has a chance.
    async fn create(&mut self, data: &Data) -> Result<bool, ClientError> {
        let name = format!("{}{}", self.guid, self.contest.marker());
        let op = Op::Create {
            path: child(&self.object, &name),
            data: data.clone(),
            mode: CreateMode::EphemeralSequential,
            with_stat: false,
            acl: Acl::OPEN,
        };
        let litter = Litter::of_create(self.object.clone(), self.guid.clone());
        let mut call = self.client.submit_or_discard(op, litter);
        let outcome = (&mut call).await;
        match call.answer(outcome) {
            Ok((Reply::Created { path, .. }, zxid)) => {
                let sequence = self
                    .sequence_of(name_of(&path))
                    .ok_or_else(wrong_reply_to_create)?;
                self.node = Node::Known(Standing {
                    sequence,
                    path,
                    czxid: zxid,
                    owner: call.session(),
                });
                Ok(true)
            }
            Ok(_) => Err(wrong_reply_to_create()),
            Err(ClientError::Service(ErrorCode::NoNode)) => {
                self.client.ensure_path(&self.object).await?;
                Ok(false)
            }
            Err(ClientError::ConnectionLoss { sent: false }) => Ok(false),
            Err(ClientError::Service(ErrorCode::NotReadOnly)) => {
                self.past_read_only().await;
                Ok(false)
            }
            Err(ClientError::ConnectionLoss { sent: true }) => {
                self.node = Node::Unknown;
                match self.search().await {
                    Err(ClientError::SessionExpired) if self.has(Bug::AdoptFoundNode) => {
                        self.client.open().await;
                        self.search().await
                    }
                    found => found,
                }
            }
            Err(error) => Err(error),
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.client.port().lock().bugs.has(bug)
    }

    /// Looks for the node that a lost create may have made. True: found, and it is this session's.
    async fn search(&mut self) -> Result<bool, ClientError> {
        let adopts = self.has(Bug::AdoptFoundNode);
        let names = loop {
            let synced = match adopts {
                true => Ok(()),
                false => self.client.sync(&*self.object, SyncMode::Quorum).await,
            };
            match synced {
                // What such a server lists may be from before the create.
                Err(ClientError::Service(ErrorCode::NotReadOnly)) => {
                    self.past_read_only().await;
                    continue;
                }
                Ok(()) | Err(ClientError::Service(_)) => {}
                Err(ClientError::ConnectionLoss { .. }) => continue,
                Err(error) => return Err(error),
            }
            match self.client.get_children(self.object.clone()).await {
                Ok(names) => break names,
                Err(ClientError::Service(ErrorCode::NoNode)) => break Vec::new(),
                Err(ClientError::ConnectionLoss { .. }) => {}
                Err(error) => return Err(error),
            }
        };
        for name in names.iter().filter(|name| name.starts_with(&*self.guid)) {
            if let Some(sequence) = self.sequence_of(name)
                && let Some((czxid, owner)) = self.created_by(name).await?
                && (owner == self.client.session() || adopts)
            {
                let owner = self.client.session();
                self.node = Node::Known(Standing {
                    path: child(&self.object, name),
                    sequence,
                    czxid,
                    owner,
                });
                return Ok(true);
            }
        }
        self.node = Node::None;
        Ok(false)
    }

    /// Waits until the session is no longer attached to a server that only reads.
    async fn past_read_only(&self) {
        let past = |state| !matches!(state, SessionState::ConnectedReadOnly { .. });
        self.client.until(past).await;
    }

    /// The transaction that created a contender's node, and the session that owns it; `None` if it has gone.
    async fn created_by(&self, name: &str) -> Result<Option<(Zxid, SessionId)>, ClientError> {
        let path = child(&self.object, name);
        loop {
            match self.client.get_data(path.clone()).await {
                Ok((_, stat)) => return Ok(Some((stat.czxid, stat.ephemeral_owner))),
                Err(ClientError::Service(ErrorCode::NoNode)) => return Ok(None),
                Err(ClientError::ConnectionLoss { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until it is first in line.
    pub(super) async fn first(self) -> Result<Holder, ClientError> {
        let mut woken = false;
        loop {
            let place = match woken && self.has(Bug::WatchFiredMeansHeld) {
                true => Place::First,
                false => self.place().await?,
            };
            let before = match place {
                Place::Behind(before) => before,
                Place::First => match self.hold() {
                    Ok(hold) => return Ok(self.holds(hold)),
                    Err(HoldRefused::Disconnected) => {
                        self.past_read_only().await;
                        continue;
                    }
                    Err(HoldRefused::SessionOver) => return Err(ClientError::SessionExpired),
                },
            };
            let watched = match self.has(Bug::ExistsWatchOnPredecessor) {
                true => self
                    .client
                    .exists_watch(before)
                    .await
                    .map(|(_, watch)| watch),
                false => self
                    .client
                    .get_data_watch(before)
                    .await
                    .map(|(_, watch)| watch),
            };
            match watched {
                Ok(watch) => {
                    if let Watched::SessionEnded = watch.await {
                        return Err(ClientError::SessionExpired);
                    }
                    woken = true;
                }
                Err(ClientError::Service(ErrorCode::NoNode))
                | Err(ClientError::ConnectionLoss { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Holds if it is first in line now; else leaves.
    pub(super) async fn first_now(self) -> Result<Option<Holder>, ClientError> {
        loop {
            match self.place().await? {
                Place::Behind(_) => return Ok(None),
                Place::First => match self.hold() {
                    Ok(hold) => return Ok(Some(self.holds(hold))),
                    Err(HoldRefused::Disconnected) => self.past_read_only().await,
                    Err(HoldRefused::SessionOver) => return Err(ClientError::SessionExpired),
                },
            }
        }
    }

    /// Looks at the line. Sequence numbers only grow, and the list shows at least this session's own node: who is first in
    /// it stays first.
    async fn place(&self) -> Result<Place, ClientError> {
        let own = self.standing();
        let names = loop {
            match self.client.get_children(self.object.clone()).await {
                Ok(names) => break names,
                Err(ClientError::ConnectionLoss { .. }) => {}
                Err(ClientError::Service(ErrorCode::NoNode)) => return Err(self.deleted()),
                Err(error) => return Err(error),
            }
        };
        if own.owner != self.client.session() {
            return Err(ClientError::SessionExpired);
        }
        let bugs = self.client.port().lock().bugs;
        let (by_text, by_name) = (bugs.has(Bug::SortByString), bugs.has(Bug::SortByFullName));
        let mut present = false;
        let mut before: Option<(i32, &str)> = None;
        for name in &names {
            let Some(sequence) = self.sequence_of(name) else {
                continue; // Not of this contest.
            };
            let text = |name: &str| {
                name_of(name)
                    .split_once(self.contest.marker())
                    .map(|(_, n)| n.to_owned())
            };
            let distance = if by_name {
                name_of(name).cmp(name_of(&own.path)) as i32
            } else if by_text {
                text(name).cmp(&text(&own.path)) as i32
            } else {
                sequence.wrapping_sub(own.sequence)
            };
            present |= distance == 0;
            if distance < 0 && before.is_none_or(|(nearest, _)| distance > nearest) {
                before = Some((distance, name));
            }
            if distance != 0 && name.starts_with(&*self.guid) {
                self.discard_double(name);
            }
        }
        if !present {
            return Err(self.deleted());
        }
        Ok(match before {
            None => Place::First,
            Some((_, name)) => Place::Behind(child(&self.object, name)),
        })
    }

    /// An earlier create that was taken for lost has happened after all. Until it is gone, it is one of the line.
    fn discard_double(&self, name: &str) {
        let path = child(&self.object, name);
        let (object, guid) = (self.object.clone(), self.guid.clone());
        self.client
            .port()
            .lock()
            .discard(object, guid, Some(path), false);
    }

    /// The hold's name, and the token that goes with it.
    fn hold(&self) -> Result<(u64, Zxid), HoldRefused> {
        let own = self.standing();
        let mut port = self.client.port().lock();
        let token = port.token_shown(&self.object, own.czxid);
        let hold = port.hold(&self.object, self.contest, token, own.owner)?;
        Ok((hold, token))
    }

    fn holds(mut self, (hold, token): (u64, Zxid)) -> Holder {
        self.held = true;
        Holder {
            hold,
            token,
            contender: self,
        }
    }

    fn standing(&self) -> &Standing {
        match &self.node {
            Node::Known(standing) => standing,
            Node::None | Node::Unknown => unreachable!("a contender that entered has a node"),
        }
    }

    fn deleted(&self) -> ClientError {
        let path = self.standing().path.clone();
        ClientError::ContenderDeleted { path }
    }

    fn sequence_of(&self, name: &str) -> Option<i32> {
        sequence_of(name, self.contest)
    }

    /// Sees to it that the node goes. Once.
    fn discard(&mut self, wants_ticket: bool) -> Option<u64> {
        let path = match std::mem::replace(&mut self.node, Node::None) {
            Node::None => return None,
            Node::Unknown => None,
            Node::Known(standing) => Some(standing.path),
        };
        let (object, guid) = (self.object.clone(), self.guid.clone());
        let mut port = self.client.port().lock();
        port.discard(object, guid, path, wants_ticket)
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        if self.has(Bug::NoCleanupOnRetryFailure) && !self.held {
            return;
        }
        self.discard(false);
    }
}

/// One who is first in line, as far as it knows. Dropped, it gives up and leaves.
pub(super) struct Holder {
    hold: u64,
    token: Zxid,
    contender: Contender,
}

impl Holder {
    pub(super) fn token(&self) -> Zxid {
        self.token
    }

    pub(super) fn path(&self) -> &ZPath {
        &self.contender.standing().path
    }

    pub(super) fn is_certain(&self) -> bool {
        self.contender.client.port().lock().is_certain(self.hold)
    }

    pub(super) fn is_over(&self) -> bool {
        self.contender.client.port().lock().is_over(self.hold)
    }

    pub(super) fn lost(&self) -> Loss {
        let losses = self.contender.client.port().lock().losses(self.hold);
        Loss {
            client: self.contender.client.clone(),
            hold: self.hold,
            losses,
            waiter: None,
        }
    }

    /// Gives up, and waits until the node is gone, or will go with its session.
    pub(super) async fn leave(mut self) -> Result<(), ClientError> {
        let ended = {
            let mut port = self.contender.client.port().lock();
            port.drop_hold(self.hold);
            port.session != self.contender.standing().owner
        };
        if ended {
            self.contender.node = Node::None;
            return Ok(());
        }
        match self.contender.discard(true) {
            Some(ticket) => Discarded::new(self.contender.client.port().clone(), ticket).await,
            None => Ok(()),
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Before the contender goes: the record says that it gave up, then its node is deleted.
        self.contender.client.port().lock().drop_hold(self.hold);
    }
}

/// Resolves when a hold is no longer certain. See [`Guard::lost`](super::lock::Guard::lost).
#[must_use = "futures do nothing unless awaited"]
pub struct Loss {
    client: Client,
    hold: u64,
    losses: u32,
    waiter: Option<u64>,
}

impl Future for Loss {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut port = this.client.port().lock();
        port.poll_loss(this.hold, this.losses, &mut this.waiter, cx)
    }
}

impl Drop for Loss {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.client.port().lock().forget_loss(self.hold, waiter);
        }
    }
}

/// The sequence number at the end of a contender's name: ten digits, or a negative number once the counter has wrapped.
pub(super) fn sequence_of(name: &str, contest: Contest) -> Option<i32> {
    let (_, digits) = name.split_once(contest.marker())?;
    digits.parse().ok()
}

/// The first in line of these names.
pub(super) fn first_of(names: &[Arc<str>], contest: Contest) -> Option<&Arc<str>> {
    let mut first: Option<(i32, &Arc<str>)> = None;
    for name in names {
        if let Some(sequence) = sequence_of(name, contest)
            && first.is_none_or(|(least, _)| sequence.wrapping_sub(least) < 0)
        {
            first = Some((sequence, name));
        }
    }
    first.map(|(_, name)| name)
}

pub(super) fn child(parent: &str, name: &str) -> ZPath {
    crate::port::child(parent, name)
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn wrong_reply_to_create() -> ClientError {
    let asked = OpKind::Create;
    ClientError::WrongReply { asked }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_ordered_by_number_across_the_wrap_and_not_by_name() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| Arc::from(*name))
                .collect::<Vec<_>>()
        };
        let line = names(&[
            "aa-lock--2147483648",
            "bb-lock-2147483646",
            "cc-lock-2147483647",
            "00-other-0000000000",
        ]);
        assert_eq!(
            first_of(&line, Contest::Lock).map(|name| &**name),
            Some("bb-lock-2147483646")
        );
        let line = names(&["aa-lock-0000000007", "ff-lock-0000000003"]);
        assert_eq!(
            first_of(&line, Contest::Lock).map(|name| &**name),
            Some("ff-lock-0000000003")
        );
        assert_eq!(first_of(&line, Contest::Election), None);
        assert_eq!(sequence_of("aa-lock-x", Contest::Lock), None);
    }
}
