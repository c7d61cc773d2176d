//! The ensemble's configuration as a node holds it: a line a member, sorted by number, and a line with the version.
//!
//! Source: ZooKeeper 3.9 `PrepRequestProcessor` (reconfig), `QuorumMaj.toString`; `server.N=host:port:port[:role][;client]`.

use std::collections::BTreeMap;
use std::sync::Arc;
use zabsim_types::{Data, ErrorCode, Zxid};

/// The members by number, each with what stands behind its equals sign.
pub(super) type Members = BTreeMap<u64, String>;

/// The members and the version; of a node without a configuration, none and 0.
pub(super) fn read(data: &Data) -> (Members, i64) {
    let text = String::from_utf8_lossy(data.as_deref().unwrap_or_default()).into_owned();
    let mut members = Members::new();
    let mut version = 0;
    for line in text.lines() {
        if let Some(hex) = line.strip_prefix("version=") {
            version = i64::from_str_radix(hex, 16).unwrap_or(0);
        } else if let Ok((number, address)) = member(line) {
            members.insert(number, address);
        }
    }
    (members, version)
}

/// Carries out a request; it must leave somebody who votes.
pub(super) fn change(
    members: &mut Members,
    joining: Option<&str>,
    leaving: Option<&str>,
    new_members: Option<&str>,
) -> Result<(), ErrorCode> {
    let lines = |text: &str| -> Result<Members, ErrorCode> {
        let lines = text.split([',', '\n']).map(str::trim);
        lines.filter(|line| !line.is_empty()).map(member).collect()
    };
    if let Some(all) = new_members {
        *members = lines(all)?;
    } else {
        for number in leaving.iter().flat_map(|text| text.split(',')) {
            let number = number.trim().parse().map_err(|_| ErrorCode::BadArguments)?;
            members.remove(&number);
        }
        for (number, address) in lines(joining.unwrap_or_default())? {
            // A member has one address: whoever had it before is gone.
            members.retain(|_, other| !same_address(other, &address));
            members.insert(number, address);
        }
    }
    if members.values().any(|address| !is_observer(address)) {
        Ok(())
    } else {
        Err(ErrorCode::BadArguments)
    }
}

/// As the node holds it.
pub(super) fn write(members: &Members, version: Zxid) -> Arc<[u8]> {
    let mut text = String::new();
    for (number, address) in members {
        text.push_str(&format!("server.{number}={address}\n"));
    }
    text.push_str(&format!("version={:x}", version.0));
    text.into_bytes().into()
}

/// `server.N=host:port:port…`.
fn member(line: &str) -> Result<(u64, String), ErrorCode> {
    let parsed = line.strip_prefix("server.").and_then(|rest| {
        let (number, address) = rest.split_once('=')?;
        let number = number.parse().ok()?;
        let servers = address.split(';').next().unwrap_or_default();
        let mut words = servers.split(':').skip(1);
        let port = |word: Option<&str>| word.is_some_and(|word| word.parse::<u16>().is_ok());
        (port(words.next()) && port(words.next())).then(|| (number, address.to_owned()))
    });
    parsed.ok_or(ErrorCode::BadArguments)
}

fn is_observer(address: &str) -> bool {
    let servers = address.split(';').next().unwrap_or_default();
    servers.split(':').nth(3) == Some("observer")
}

fn same_address(one: &str, other: &str) -> bool {
    let host_and_port = |address: &str| {
        let mut words = address.split(':');
        (
            words.next().map(str::to_owned),
            words.next().map(str::to_owned),
        )
    };
    host_and_port(one) == host_and_port(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Members {
        let mut members = Members::new();
        change(&mut members, None, None, Some(text)).expect("a configuration");
        members
    }

    #[test]
    fn members_join_and_leave() {
        let mut m = members("server.1=a:1:2,server.2=b:1:2:participant;3");
        change(&mut m, Some("server.3=c:1:2"), Some("1"), None).expect("it is fine");
        assert_eq!(m.keys().copied().collect::<Vec<_>>(), [2, 3]);
        let text = write(&m, Zxid::new(1, 2));
        let text_is = "server.2=b:1:2:participant;3\nserver.3=c:1:2\nversion=100000002";
        assert_eq!(&*text, text_is.as_bytes());
        assert_eq!(read(&Some(text)), (m, 0x1_0000_0002));
    }

    #[test]
    fn somebody_must_vote_and_every_line_must_be_one() {
        let m = members("server.1=a:1:2");
        for (joining, leaving, all) in [
            (None, Some("1"), None),
            (None, Some("one"), None),
            (Some("server.2=x"), None, None),
            (Some("2=x:1:2"), None, None),
            (None, None, Some("server.2=b:1:2:observer")),
        ] {
            let changed = change(&mut m.clone(), joining, leaving, all);
            assert_eq!(changed, Err(ErrorCode::BadArguments));
        }
    }

    #[test]
    fn a_new_number_takes_an_address_over() {
        let mut m = members("server.1=a:1:2,server.2=b:1:2");
        change(&mut m, Some("server.5=a:1:2"), None, None).expect("it is fine");
        assert_eq!(m.keys().copied().collect::<Vec<_>>(), [2, 5]);
    }
}
