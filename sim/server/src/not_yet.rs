//! The one place that knows what the words can say and this server does not do yet: it answers `Unimplemented` in the
//! request's turn, without a transaction. Whoever teaches the server an operation takes it out of here.

use zabsim_types::Op;

/// Whether the server has yet to learn this request.
pub fn not_yet(op: &Op) -> bool {
    matches!(op, Op::Reconfig { .. })
}
