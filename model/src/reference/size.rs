//! How long a request is on the wire: a server reads no frame beyond `jute.maxbuffer`, and counts all of it.
//!
//! Source: `zookeeper.jute`. Integers of 4 and 8 bytes, one for a truth value, strings, buffers and lists behind their length;
//! the frame's own length is not counted.

use zabsim_types::{Acl, Data, Op, ZPath};

/// The bytes of the request's frame.
pub fn frame_len(op: &Op) -> usize {
    let header = match op {
        // Xid, opcode.
        Op::AddAuth { .. } => 8 + 4,
        _ => 8,
    };
    header + body(op)
}

fn body(op: &Op) -> usize {
    match op {
        Op::Create {
            path,
            data: with,
            mode,
            acl,
            ..
        } => {
            let ttl = if mode.ttl_ms().is_some() { 8 } else { 0 };
            string(path) + data(with) + list(acl) + 4 + ttl
        }
        Op::Delete { path, .. } | Op::Check { path, .. } => string(path) + 4,
        Op::SetData {
            path, data: with, ..
        } => string(path) + data(with) + 4,
        Op::GetData { path, .. } | Op::Exists { path, .. } | Op::GetChildren { path, .. } => {
            string(path) + 1
        }
        Op::Sync { path, .. }
        | Op::GetAcl { path }
        | Op::GetAllChildrenNumber { path }
        | Op::GetEphemerals { prefix: path } => string(path),
        // The sweep's request carries the bare bytes.
        Op::DeleteContainer { path } => path.len(),
        Op::SetAcl { path, acl, .. } => string(path) + list(acl) + 4,
        Op::AddAuth { scheme, auth } => string(scheme) + string(auth),
        Op::AddWatch { path, .. }
        | Op::RemoveWatches { path, .. }
        | Op::CheckWatches { path, .. } => string(path) + 4,
        Op::Multi { ops } | Op::MultiRead { ops } => {
            // Each part and the end have a header: type, whether it is the end, error.
            ops.iter().map(|op| 9 + body(op)).sum::<usize>() + 9
        }
        Op::Reconfig {
            joining,
            leaving,
            new_members,
            ..
        } => {
            let texts = [joining, leaving, new_members].into_iter();
            texts
                .map(|text| 4 + text.as_ref().map_or(0, |text| text.len()))
                .sum::<usize>()
                + 8
        }
        Op::WhoAmI | Op::CloseSession => 0,
    }
}

/// A character beyond U+FFFF is written as its two UTF-16 units, each in three bytes.
fn string(text: &ZPath) -> usize {
    4 + text.len() + 2 * text.chars().filter(|c| *c > '\u{ffff}').count()
}

fn data(data: &Data) -> usize {
    4 + data.as_ref().map_or(0, |bytes| bytes.len())
}

fn list(acl: &Acl) -> usize {
    let entries = acl.entries().iter();
    4 + entries
        .map(|entry| 4 + string(&entry.id.scheme) + string(&entry.id.id))
        .sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Settings;
    use zabsim_types::CreateMode;

    /// The largest data that a real server took in a create at `/a`.
    #[test]
    fn the_largest_create_is_as_large_as_recorded() {
        let create = |n: usize| Op::Create {
            path: "/a".into(),
            data: Some(vec![0; n].into()),
            mode: CreateMode::Persistent,
            with_stat: false,
            acl: Acl::OPEN,
        };
        assert_eq!(frame_len(&create(1_048_526)), Settings::MAX_FRAME);
        assert!(frame_len(&create(1_048_527)) > Settings::MAX_FRAME);
    }

    #[test]
    fn a_multi_counts_its_parts_and_their_headers() {
        let delete = Op::Delete {
            path: "/a".into(),
            version: -1,
        };
        assert_eq!(frame_len(&delete), 8 + 6 + 4);
        let multi = Op::Multi {
            ops: vec![delete.clone(), delete],
        };
        assert_eq!(frame_len(&multi), 8 + 2 * (9 + 10) + 9);
    }
}
