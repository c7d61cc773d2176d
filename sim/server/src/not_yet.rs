//! The one place that knows what the words can say and this server does not do yet: it answers `Unimplemented` in the
//! request's turn, without a transaction. Whoever teaches the server an operation takes it out of here.

use zabsim_types::{CreateMode, Op};

/// Whether the server has yet to learn this request.
pub fn not_yet(op: &Op) -> bool {
    match op {
        Op::Create {
            path, mode, acl, ..
        } => {
            let plain = matches!(
                mode,
                CreateMode::Persistent
                    | CreateMode::Ephemeral
                    | CreateMode::PersistentSequential
                    | CreateMode::EphemeralSequential
            );
            // The counts under a quota are the server's to keep.
            !plain || !acl.is_open() || path.starts_with("/zookeeper/quota/")
        }
        // What must not stand in a multi at all is refused by the leader.
        Op::Multi { ops } => ops
            .iter()
            .any(|part| matches!(part, Op::Create { .. }) && not_yet(part)),
        Op::Delete { .. }
        | Op::SetData { .. }
        | Op::Check { .. }
        | Op::GetData { .. }
        | Op::Exists { .. }
        | Op::GetChildren { .. }
        | Op::Sync { .. }
        | Op::AddWatch { .. }
        | Op::RemoveWatches { .. }
        | Op::CheckWatches { .. }
        | Op::CloseSession => false,
        Op::GetAcl { .. }
        | Op::SetAcl { .. }
        | Op::AddAuth { .. }
        | Op::WhoAmI
        | Op::DeleteContainer { .. }
        | Op::MultiRead { .. }
        | Op::GetEphemerals { .. }
        | Op::GetAllChildrenNumber { .. }
        | Op::Reconfig { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::{Acl, Perms};

    #[test]
    fn a_create_is_done_only_in_the_four_plain_modes_and_open_to_all() {
        let create = |mode, acl| Op::Create {
            path: "/a".into(),
            data: None,
            mode,
            with_stat: false,
            acl,
        };
        let plain = create(CreateMode::EphemeralSequential, Acl::OPEN);
        let closed = create(
            CreateMode::Persistent,
            Acl::one(Perms::READ, "world", "anyone"),
        );
        let container = create(CreateMode::Container, Acl::OPEN);
        assert!(!not_yet(&plain));
        assert!(not_yet(&closed) && not_yet(&container));
        let multi = |ops| Op::Multi { ops };
        assert!(!not_yet(&multi(vec![plain.clone()])));
        assert!(not_yet(&multi(vec![plain, container])));
        // The leader refuses it: no part of any multi.
        assert!(!not_yet(&multi(vec![Op::WhoAmI])));
    }
}
