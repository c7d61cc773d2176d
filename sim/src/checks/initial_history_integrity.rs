//! **Initial history integrity** (leader log completeness): when a leader is established, its history holds everything that
//! was ever committed in earlier epochs, and nothing of earlier epochs is committed afterwards that is not in it.
//!
//! Source: ZAB, DSN'11 §IV; ZooKeeper TLA+ specification, `LeaderLogCompleteness`; Remix (EuroSys'25) I-8; ZOOKEEPER-3911,
//! 4643, 4646, 1282, 2325.

use super::CheckId::InitialHistoryIntegrity as ID;
use super::docket::Docket;
use super::mirror::Mirror;
use zab::{Epoch, Zxid};
use zabsim_types::ServerId;

pub(super) const NAME: &str = "initial-history-integrity";
pub(super) const ABOUT: &str =
    "an established leader's history holds everything committed in earlier epochs.";

#[derive(Default)]
pub(super) struct InitialHistoryIntegrity {
    /// The newest epoch established, its leader and the end of its initial history.
    newest: Option<(Epoch, ServerId, Zxid)>,
}

impl InitialHistoryIntegrity {
    /// `leader` has established `epoch` on the history that ends with `end`. Its own commits are not counted in yet.
    pub(super) fn on_established(
        &mut self,
        m: &Mirror,
        d: &mut Docket,
        leader: ServerId,
        epoch: Epoch,
        end: Zxid,
    ) {
        // Acknowledgements may have been under way for long: meanwhile a later epoch may have been established, and have
        // committed (standard, seed 1085). What was committed before this epoch is what this leader owes.
        let log = m.ledger.committed();
        let earlier = log.partition_point(|zxid| zxid.epoch() < epoch);
        let committed = match earlier {
            0 => Zxid::ZERO,
            count => log[count - 1],
        };
        let history = &m.server(leader).disk.history;
        let complete = (m.ledger.fact(committed))
            .is_none_or(|f| committed <= end && m.holds(history, committed, f.sum));
        d.require(ID, complete, || {
            format!(
                "{leader} has established epoch {epoch} on a history that ends with {end} and lacks {committed}, which is committed"
            )
        });
        if self.newest.is_none_or(|(newest, ..)| newest < epoch) {
            self.newest = Some((epoch, leader, end));
        }
    }

    /// `by` adds `zxid` to the committed sequence. Of earlier epochs only the newest leader does, and only its initial history:
    /// another's late commit is one too many, wherever its number lies.
    #[inline]
    pub(super) fn on_commit(&self, d: &mut Docket, by: ServerId, zxid: Zxid) {
        if let Some((epoch, leader, end)) = self.newest
            && zxid.epoch() < epoch
            && (zxid > end || by != leader)
        {
            d.breach(ID, || {
                format!(
                    "{by} commits {zxid} though {leader} has established epoch {epoch} on a history that ends with {end}"
                )
            });
        }
    }
}
