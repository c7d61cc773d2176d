//! Rebuilds a server's state from what its disk holds, for checks that ask "what would this server know after a restart?".

use crate::database::{Database, Outcome};
use crate::snapshot::restore;
use crate::txn::Txn;
use zab::{Payload, Zxid};

/// The digest of the state that a snapshot (its pieces; none: the initial state, with `config` as [`Rules::first_configuration`](crate::Rules) tells it) and the transactions behind it lead to,
/// and the last transaction in it. Comparable with `Note::Applied`'s digest of the same zxid.
///
/// Fails, saying why, where bytes cannot be read, or where the log ends before a fuzzy snapshot is whole again.
pub fn digest_of<'a>(
    config: Option<&str>,
    snapshot: &[Payload],
    txns: impl IntoIterator<Item = (Zxid, &'a [u8])>,
) -> Result<(Zxid, u64), String> {
    let mut db = match snapshot {
        [] => Database::initial(config),
        pieces => restore(pieces).map_err(|error| error.to_string())?,
    };
    let mut outcome = Outcome::default();
    for (zxid, payload) in txns {
        let txn = Txn::decode(payload).map_err(|error| format!("{zxid}: {error}"))?;
        let zxid = zabsim_types::Zxid(zxid.0);
        if zxid <= db.applied() {
            return Err(format!("{zxid} comes after {}", db.applied()));
        }
        db.apply(zxid, &txn, &mut outcome);
    }
    match db.digest() {
        Some(digest) => Ok((Zxid(db.applied().0), digest)),
        None => Err(format!(
            "the snapshot was written until {} was applied, but the log ends at {}",
            db.exact_from(),
            db.applied()
        )),
    }
}
