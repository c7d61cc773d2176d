//! How many bytes a request is on ZooKeeper's wire: a server reads no frame that is longer than `jute.maxbuffer`.
//!
//! Source: `zookeeper.jute`: every request behind its `RequestHeader`, strings and buffers behind four bytes of length.

use zabsim_types::{Acl, Data, Op};

/// Of xid and type.
const HEADER: usize = 8;
/// Of the `MultiHeader` before each part and at the end: type, done, error.
const PART_HEADER: usize = 9;

/// Whether the request fits into a frame of `max` bytes.
pub(crate) fn fits(op: &Op, max: usize) -> bool {
    // No text grows by more than half on its way to the wire, so that hardly ever every character must be looked at.
    let rough = |text: &str| 4 + text.len() + text.len() / 2;
    HEADER + body(op, &rough) <= max || HEADER + body(op, &exact) <= max
}

/// Java's modified UTF-8 takes six bytes where ours takes four: two surrogates of three each.
fn exact(text: &str) -> usize {
    let pairs = text.bytes().filter(|byte| *byte >= 0xf0).count();
    4 + text.len() + 2 * pairs
}

fn body(op: &Op, text: &impl Fn(&str) -> usize) -> usize {
    match op {
        Op::Create {
            path,
            data,
            mode,
            acl,
            ..
        } => {
            let flags = 4;
            let ttl = mode.ttl_ms().map_or(0, |_| 8);
            text(path) + buffer(data) + list(acl, text) + flags + ttl
        }
        Op::SetData { path, data, .. } => text(path) + buffer(data) + 4,
        Op::SetAcl { path, acl, .. } => text(path) + list(acl, text) + 4,
        Op::Delete { path, .. }
        | Op::Check { path, .. }
        | Op::AddWatch { path, .. }
        | Op::RemoveWatches { path, .. }
        | Op::CheckWatches { path, .. } => text(path) + 4,
        Op::GetData { path, .. } | Op::Exists { path, .. } | Op::GetChildren { path, .. } => {
            text(path) + 1
        }
        Op::Sync { path, .. }
        | Op::GetAcl { path }
        | Op::DeleteContainer { path }
        | Op::GetEphemerals { prefix: path }
        | Op::GetAllChildrenNumber { path } => text(path),
        Op::AddAuth { scheme, auth } => 4 + text(scheme) + text(auth),
        Op::Multi { ops } | Op::MultiRead { ops } => {
            let parts = ops.iter().map(|op| PART_HEADER + body(op, text));
            parts.sum::<usize>() + PART_HEADER
        }
        Op::Reconfig {
            joining,
            leaving,
            new_members,
            ..
        } => {
            let texts = [joining, leaving, new_members].into_iter();
            texts
                .map(|it| text(it.as_deref().unwrap_or("")))
                .sum::<usize>()
                + 8
        }
        Op::CloseSession | Op::WhoAmI => 0,
    }
}

fn buffer(data: &Data) -> usize {
    4 + data.as_ref().map_or(0, |bytes| bytes.len())
}

fn list(acl: &Acl, text: &impl Fn(&str) -> usize) -> usize {
    let entries = acl.entries().iter();
    4 + entries
        .map(|entry| 4 + text(&entry.id.scheme) + text(&entry.id.id))
        .sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabsim_types::CreateMode;

    /// The largest data in a create at `/a` was found on a real server.
    #[test]
    fn the_whole_frame_counts() {
        let create = |bytes: usize| Op::Create {
            path: "/a".into(),
            data: Some(vec![0; bytes].into()),
            mode: CreateMode::Persistent,
            with_stat: false,
            acl: Acl::OPEN,
        };
        assert!(fits(&create(1_048_526), 0xf_ffff));
        assert!(!fits(&create(1_048_527), 0xf_ffff));
    }

    #[test]
    fn characters_beyond_the_first_plane_count_six_bytes() {
        let exists = |path: &str| Op::Exists {
            path: path.into(),
            watch: false,
        };
        let len = |path: &str| (0..).find(|max| fits(&exists(path), *max));
        assert_eq!(len("/aa"), Some(8 + 4 + 3 + 1));
        assert_eq!(len("/日"), Some(8 + 4 + 4 + 1));
        assert_eq!(len("/😀"), Some(8 + 4 + 7 + 1));
    }
}
