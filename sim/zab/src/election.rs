//! Fast leader election.
use crate::{Config, Effect, Epoch, Notification, PeerId, PeerState, Time, Vote};

/// The end of an election.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Elected {
    /// Whom to follow; or this very peer, to lead.
    pub leader: PeerId,
    /// The vote that won.
    pub vote: Vote,
}

/// One peer's part in the elections.
#[derive(Debug)]
pub(crate) struct Election;

#[allow(unused_variables)]
impl Election {
    pub(crate) fn new(config: &Config) -> Election {
        Election
    }
    pub(crate) fn start(
        &mut self,
        now: Time,
        candidate: Vote,
        may_vote: bool,
        out: &mut Vec<Effect>,
    ) {
        todo!()
    }
    pub(crate) fn on_notification(
        &mut self,
        now: Time,
        from: PeerId,
        n: Notification,
        out: &mut Vec<Effect>,
    ) -> Option<Elected> {
        todo!()
    }
    pub(crate) fn on_timer(&mut self, now: Time, out: &mut Vec<Effect>) -> Option<Elected> {
        todo!()
    }
    pub(crate) fn settle(&mut self, state: PeerState) {
        todo!()
    }
    pub(crate) fn set_vote_epoch(&mut self, epoch: Epoch) {
        todo!()
    }
    pub(crate) fn round(&self) -> u64 {
        todo!()
    }
}
