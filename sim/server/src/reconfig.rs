//! The ensemble's members as clients write and read them: a line for each, `server.N=host:port:port[:role][;client]`, and one
//! with the version, the zxid of the reconfiguration in hexadecimal.
//!
//! Addresses mean nothing to this server but that no two members have the same; what counts is who is a member and who
//! votes. A configuration made so is ruled by majority: lines of groups and weights are not read.
//!
//! Source: ZooKeeper 3.9 `PrepRequestProcessor` (reconfig), `QuorumPeer.QuorumServer`, `QuorumMaj`.

use std::collections::BTreeMap;
use std::fmt::Write;
use zab::{PeerId, PeerSet, QuorumConfig};
use zabsim_types::{ErrorCode, Zxid};

/// The members by number, each with what stands behind its equals sign.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Members(BTreeMap<u8, String>);

impl Members {
    /// What the configuration's node holds, and its version.
    pub(crate) fn read(text: &str) -> (Members, i64) {
        let mut members = Members::default();
        let mut version = 0;
        for line in text.lines() {
            match line.strip_prefix("version=") {
                Some(hex) => version = i64::from_str_radix(hex, 16).unwrap_or(0),
                None => drop(members.join(line)),
            }
        }
        (members, version)
    }

    /// All of them anew.
    pub(crate) fn all(text: &str) -> Result<Members, ErrorCode> {
        let mut members = Members::default();
        members.join_all(text)?;
        Ok(members)
    }

    /// Members whose lines are separated by commas or line ends; a number that is one already gets another line.
    pub(crate) fn join_all(&mut self, text: &str) -> Result<(), ErrorCode> {
        let lines = text.split([',', '\n']).map(str::trim);
        lines
            .filter(|line| !line.is_empty())
            .try_for_each(|line| self.join(line))
    }

    /// Numbers, separated by commas; those that are no members are no error.
    pub(crate) fn leave_all(&mut self, text: &str) -> Result<(), ErrorCode> {
        for number in text.split(',') {
            let number: u64 = number.trim().parse().or(Err(ErrorCode::BadArguments))?;
            self.0.retain(|id, _| u64::from(*id) != number);
        }
        Ok(())
    }

    fn join(&mut self, line: &str) -> Result<(), ErrorCode> {
        let (id, address) = member(line).ok_or(ErrorCode::BadArguments)?;
        let place = ends(address);
        self.0
            .retain(|other, taken| *other == id || ends(taken) != place);
        self.0.insert(id, address.to_owned());
        Ok(())
    }

    /// Who votes and who observes; there must be somebody who votes.
    pub(crate) fn quorum(&self) -> Result<QuorumConfig, ErrorCode> {
        let (observers, voters) = self
            .0
            .iter()
            .map(|(id, address)| (PeerId(*id), observes(address)))
            .partition::<Vec<_>, _>(|(_, observes)| *observes);
        let ids = |members: Vec<(PeerId, bool)>| members.into_iter().map(|(id, _)| id);
        let mut quorum = QuorumConfig::majority(ids(voters));
        quorum.observers = ids(observers).collect();
        match quorum.validate() {
            Ok(()) => Ok(quorum),
            Err(_) => Err(ErrorCode::BadArguments),
        }
    }

    /// As the configuration's node holds it.
    pub(crate) fn write(&self, version: Zxid) -> String {
        let mut text = String::new();
        for (id, address) in &self.0 {
            writeln!(text, "server.{id}={address}").expect("a string takes everything");
        }
        write!(text, "version={:x}", version.0).expect("a string takes everything");
        text
    }
}

/// What the configuration's node holds in an ensemble that was never reconfigured: `sN` is the host of server N.
pub fn first_configuration(quorum: &QuorumConfig) -> String {
    let member = |id: &PeerId, role| (id.0, format!("s{}:2888:3888:{role}", id.0));
    let voters = quorum.voters.iter().map(|id| member(id, "participant"));
    let observers = quorum.observers.iter().map(|id| member(id, "observer"));
    Members(voters.chain(observers).collect()).write(Zxid::ZERO)
}

/// `server.N=host:port:port…`: the number and what stands behind the equals sign.
fn member(line: &str) -> Option<(u8, &str)> {
    let (number, address) = line.strip_prefix("server.")?.split_once('=')?;
    let id: u8 = number.parse().ok()?;
    let mut words = address.split(';').next()?.split(':');
    let host = words.next()?;
    let port = |word: Option<&str>| word.is_some_and(|word| word.parse::<u16>().is_ok());
    let good = (1..=PeerSet::ID_MAX).contains(&id)
        && !host.is_empty()
        && port(words.next())
        && port(words.next());
    good.then_some((id, address))
}

fn observes(address: &str) -> bool {
    let servers = address.split(';').next().unwrap_or_default();
    servers.split(':').nth(3) == Some("observer")
}

/// Host and first port: where the others reach it.
fn ends(address: &str) -> String {
    address
        .split([':', ';'])
        .take(2)
        .collect::<Vec<_>>()
        .join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_and_go_and_are_written_by_number() {
        let mut members = Members::all("server.2=b:1:2:participant;9,server.1=a:1:2").unwrap();
        members.leave_all("1, 7").unwrap();
        members
            .join_all("server.4=d:1:2\nserver.3=c:1:2:observer")
            .unwrap();
        let text = "server.2=b:1:2:participant;9\nserver.3=c:1:2:observer\nserver.4=d:1:2\nversion=100000002";
        assert_eq!(members.write(Zxid::new(1, 2)), text);
        assert_eq!(Members::read(text), (members.clone(), 0x1_0000_0002));
        let quorum = members.quorum().unwrap();
        assert_eq!(quorum.voters, [2, 4].map(PeerId).into());
        assert_eq!(quorum.observers, [PeerId(3)].into());
    }

    #[test]
    fn what_is_no_member_is_refused() {
        for line in [
            "server.1=a",
            "server.1=a:1",
            "server.1=a:1:x",
            "server.0=a:1:2",
            "server.128=a:1:2",
            "server.one=a:1:2",
            "server.1=:1:2",
            "1=a:1:2",
            "group.1=1:2",
        ] {
            assert_eq!(Members::all(line), Err(ErrorCode::BadArguments), "{line}");
        }
        let mut members = Members::all("server.1=a:1:2").unwrap();
        assert_eq!(members.leave_all("one"), Err(ErrorCode::BadArguments));
        members.leave_all("1").unwrap();
        assert_eq!(
            members.quorum(),
            Err(ErrorCode::BadArguments),
            "nobody votes"
        );
        let observer = Members::all("server.1=a:1:2:observer").unwrap();
        assert_eq!(observer.quorum(), Err(ErrorCode::BadArguments));
    }

    #[test]
    fn an_address_is_one_member_s() {
        let mut members = Members::all("server.1=a:1:2,server.2=b:1:2").unwrap();
        members.join_all("server.5=a:1:2").unwrap();
        assert_eq!(members.quorum().unwrap().voters, [2, 5].map(PeerId).into());
    }

    #[test]
    fn the_first_configuration_reads_as_the_ensemble_that_it_tells_of() {
        let mut quorum = QuorumConfig::majority([1, 2].map(PeerId));
        quorum.observers.insert(PeerId(3));
        let text = first_configuration(&quorum);
        assert!(
            text.starts_with("server.1=s1:2888:3888:participant\n"),
            "{text}"
        );
        let (members, version) = Members::read(&text);
        assert_eq!((members.quorum(), version), (Ok(quorum), 0));
    }
}
