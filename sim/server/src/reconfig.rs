//! The ensemble's members as clients write and read them, and the quorums that follow from what they write: a line for each
//! member, `server.N=host:port:port[:role][;client's address]`, one for each group and weight where a hierarchy is to rule,
//! and one with the version, the zxid of the reconfiguration in hexadecimal.
//!
//! Addresses mean nothing to this server: a member is who has its number. They are read as ZooKeeper reads them, all the same,
//! for clients see what becomes of them. Its default settings hold: two voters at least (`standaloneEnabled`), one address a
//! member.
//!
//! A request is refused with `BadArguments` where ZooKeeper looks for what is wrong with it, and with `MarshallingError` where
//! its parser throws something that the request processor does not expect. Members that join must have a client's port, and no
//! address of another member; a whole configuration is not asked for either.
//!
//! **BASE**: where ZooKeeper 3.9.5 takes what can only be a mistake, it is `BadArguments`: numbers of members outside 1 to 127,
//! weights outside 32 bits, the same member, group or weight under two spellings, a group that is empty or in which somebody
//! weighs and does not vote, a member without any address, a host's name that none can have, a backslash anywhere. Lines of a
//! whole configuration are gone through by key, and the first mistake is told; ZooKeeper's order is its hash table's.
//!
//! Source: ZooKeeper 3.9.5 `PrepRequestProcessor` (reconfig), `QuorumPeerConfig.parseDynamicConfig`,
//! `QuorumPeer.QuorumServer`, `QuorumMaj`, `QuorumHierarchical`, `ConfigUtils.getHostAndPort`; `java.util.Properties`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::net::IpAddr;
use zab::{PeerId, PeerSet, QuorumConfig, QuorumRule};
use zabsim_types::{ErrorCode, Zxid};

/// The ensemble that a configuration's lines describe.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Members {
    servers: BTreeMap<u8, Server>,
    /// Those who vote together, by the groups' numbers; without any, each counts as any other.
    groups: BTreeMap<i64, BTreeSet<u8>>,
    /// Of each voter, where there are groups; of others it says nothing.
    weights: BTreeMap<u8, u32>,
}

/// A member.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Server {
    peers: Address,
    election_port: u16,
    observer: bool,
    clients: Option<Address>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Address {
    host: String,
    port: u16,
}

/// What a request asks for.
pub struct Change<'a> {
    /// Members that come, or get another address.
    pub joining: Option<&'a str>,
    /// Members that go.
    pub leaving: Option<&'a str>,
    /// All of them anew; then the others count for nothing.
    pub new_members: Option<&'a str>,
    /// The version that is to be changed; −1: whichever it is.
    pub from_config: i64,
}

impl Change<'_> {
    /// What becomes of the configuration that a node holds, under a new version; and the quorums of it.
    pub fn make(&self, node: &str, version: Zxid) -> Result<(String, QuorumConfig), ErrorCode> {
        let (mut members, present) = Members::read(node);
        if self.from_config != -1 && self.from_config != present {
            return Err(ErrorCode::BadVersion);
        }
        match self.new_members {
            Some(all) => members = Members::all(all)?,
            None => members.exchange(self.leaving, self.joining)?,
        }
        let quorum = members.quorum()?;
        Ok((members.write(version), quorum))
    }
}

/// One of the two ways to be refused.
type Parsed<T> = Result<T, ErrorCode>;

fn refuse<T>() -> Parsed<T> {
    Err(ErrorCode::BadArguments)
}

fn break_off<T>() -> Parsed<T> {
    Err(ErrorCode::MarshallingError)
}

impl Members {
    /// What the configuration's node holds, and its version. Nobody, in version 0, where somebody wrote something else there.
    fn read(text: &str) -> (Members, i64) {
        Lines::read(text)
            .and_then(|lines| Ok((lines.members()?, lines.version()?)))
            .unwrap_or_default()
    }

    /// All of them anew.
    fn all(text: &str) -> Parsed<Members> {
        let members = Lines::read(&text.replace(',', "\n"))?.members()?;
        let observers = members.servers.values().filter(|server| server.observer);
        match (observers.count(), members.servers.len()) {
            // Observers without an ensemble to observe.
            (observers @ 1.., all) if all - observers < 2 => break_off(),
            _ => Ok(members),
        }
    }

    /// Some go and some come, in that order. Single lines cannot say in which group a member would be.
    fn exchange(&mut self, leaving: Option<&str>, joining: Option<&str>) -> Parsed<()> {
        if !self.groups.is_empty() || !self.weights.is_empty() {
            return refuse();
        }
        if let Some(text) = leaving {
            each_between(text, ',', |id| {
                let id = long(id)?;
                self.servers.retain(|other, _| i64::from(*other) != id);
                Ok(())
            })?;
        }
        if let Some(text) = joining {
            each_between(text, ',', |member| self.join(member))?;
        }
        Ok(())
    }

    fn join(&mut self, member: &str) -> Parsed<()> {
        let mut sides = Vec::new();
        each_between(member, '=', |side| {
            sides.push(side);
            Ok(())
        })?;
        if sides.len() != 2 {
            return refuse();
        }
        // Whatever stands before the last dot.
        let id = match sides[0].rfind('.') {
            Some(dot) => long(&sides[0][dot + 1..])?,
            None => long(sides[0])?,
        };
        let server = Server::read(sides[1])?;
        let id = member_id(id)?;
        if server.clients.is_none() {
            return refuse();
        }
        for (other, theirs) in &self.servers {
            if *other != id && server.shares_an_address_with(theirs) {
                return refuse();
            }
        }
        self.servers.insert(id, server);
        Ok(())
    }

    /// Who votes and who observes, and what is a quorum.
    fn quorum(&self) -> Parsed<QuorumConfig> {
        let mut voters = BTreeSet::new();
        let mut observers = BTreeSet::new();
        for (id, server) in &self.servers {
            match server.observer {
                true => observers.insert(PeerId(*id)),
                false => voters.insert(PeerId(*id)),
            };
        }
        if voters.len() < 2 {
            return refuse();
        }
        let rule = match self.groups.is_empty() {
            true => QuorumRule::Majority,
            false => {
                let weights = self
                    .weights
                    .iter()
                    .map(|(id, weight)| (PeerId(*id), *weight));
                let weights: BTreeMap<_, _> =
                    weights.filter(|(id, _)| voters.contains(id)).collect();
                if weights.values().all(|weight| *weight == 0) {
                    return Err(ErrorCode::NewConfigNoQuorum);
                }
                let group = |ids: &BTreeSet<u8>| ids.iter().copied().map(PeerId).collect();
                let groups = self.groups.values().map(group).collect();
                QuorumRule::Hierarchical { groups, weights }
            }
        };
        let quorum = QuorumConfig {
            voters,
            observers,
            rule,
        };
        quorum.validate().or_else(|_| refuse())?;
        Ok(quorum)
    }

    /// As the configuration's node holds it.
    fn write(&self, version: Zxid) -> String {
        let mut text = String::new();
        let write = |text: &mut String| -> fmt::Result {
            for (id, server) in &self.servers {
                writeln!(text, "server.{id}={server}")?;
            }
            for (group, ids) in &self.groups {
                write!(text, "group.{group}")?;
                for (at, id) in ids.iter().enumerate() {
                    write!(text, "{}{id}", if at == 0 { '=' } else { ':' })?;
                }
                writeln!(text)?;
            }
            for (id, weight) in &self.weights {
                writeln!(text, "weight.{id}={weight}")?;
            }
            write!(text, "version={:x}", version.0)
        };
        write(&mut text).expect("a string takes everything");
        text
    }
}

/// What the configuration's node holds in an ensemble that was never reconfigured: `sN` is the host of server N.
pub fn first_configuration(quorum: &QuorumConfig) -> String {
    let mut members = Members::default();
    for id in quorum.members() {
        let host = format!("s{}", id.0);
        let server = Server {
            peers: Address { host, port: 2888 },
            election_port: 3888,
            observer: quorum.is_observer(id),
            clients: None,
        };
        members.servers.insert(id.0, server);
    }
    if let QuorumRule::Hierarchical { groups, .. } = &quorum.rule {
        for (number, group) in (1..).zip(groups) {
            let ids = group.iter().map(|id| id.0).collect();
            members.groups.insert(number, ids);
        }
        let weights = quorum.voters.iter().map(|id| (id.0, quorum.weight(*id)));
        members.weights = weights.collect();
    }
    members.write(Zxid::ZERO)
}

/// The lines of a whole configuration by key; of a key's lines the last counts.
struct Lines<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Lines<'a> {
    fn read(text: &'a str) -> Parsed<Lines<'a>> {
        let mut lines = BTreeMap::new();
        for line in text.split(['\n', '\r']) {
            let line = behind_blanks(line);
            if matches!(line.bytes().next(), None | Some(b'#' | b'!')) {
                continue;
            }
            if line.bytes().any(|byte| byte == b'\\') {
                return refuse();
            }
            let between = |byte: &u8| matches!(byte, b'=' | b':' | b' ' | b'\t' | 0x0c);
            let end = line.bytes().position(|byte| between(&byte));
            let end = end.unwrap_or(line.len());
            let mut value = behind_blanks(&line[end..]);
            if matches!(value.bytes().next(), Some(b'=' | b':')) {
                value = behind_blanks(&value[1..]);
            }
            lines.insert(&line[..end], value);
        }
        Ok(Lines(lines))
    }

    fn version(&self) -> Parsed<i64> {
        match self.0.get("version") {
            None => Ok(0),
            Some(hex) => i64::from_str_radix(hex, 16).or_else(|_| break_off()),
        }
    }

    fn members(&self) -> Parsed<Members> {
        let is_of_groups = |key: &&str| key.starts_with("group") || key.starts_with("weight");
        for key in self.0.keys() {
            if !(is_of_groups(key) || key.starts_with("server.") || *key == "version") {
                return refuse();
            }
        }
        let mut members = Members::default();
        let mut grouped = BTreeSet::new();
        for (key, value) in &self.0 {
            if *key == "version" {
                self.version()?;
                continue;
            }
            let behind_dot = key.find('.').map_or(0, |dot| dot + 1);
            let number = long(&key[behind_dot..])?;
            let known = match key.as_bytes()[0] {
                b'g' => {
                    let mut group = BTreeSet::new();
                    for id in fields(value, ':') {
                        let id = member_id(long(id)?)?;
                        group.insert(id);
                        if !grouped.insert(id) {
                            return refuse();
                        }
                    }
                    group.is_empty() || members.groups.insert(number, group).is_some()
                }
                b'w' => {
                    let Ok(weight) = u32::try_from(long(value)?) else {
                        return refuse();
                    };
                    let id = member_id(number)?;
                    members.weights.insert(id, weight).is_some()
                }
                _ => {
                    let server = Server::read(value)?;
                    let id = member_id(number)?;
                    members.servers.insert(id, server).is_some()
                }
            };
            if known {
                return refuse();
            }
        }
        if self.0.keys().any(is_of_groups) {
            members.weigh(&grouped)?;
        }
        Ok(members)
    }
}

impl Members {
    /// Every voter is in a group; one without a weight weighs 1.
    fn weigh(&mut self, grouped: &BTreeSet<u8>) -> Parsed<()> {
        let mut strangers = grouped.clone();
        for (id, _) in self.servers.iter().filter(|(_, server)| !server.observer) {
            if !strangers.remove(id) {
                return refuse();
            }
            self.weights.entry(*id).or_insert(1);
        }
        if strangers.is_empty() {
            return Ok(());
        }
        // ZooKeeper sums up the weights of a group, and one of them is null.
        match strangers.iter().all(|id| self.weights.contains_key(id)) {
            true => refuse(),
            false => break_off(),
        }
    }
}

impl Server {
    fn read(text: &str) -> Parsed<Server> {
        let parts = fields(text, ';');
        let clients = match parts.len() {
            0 => return break_off(),
            2 => Some(Address::of_clients(parts[1])?),
            _ => None,
        };
        let places = fields(parts[0], '|');
        if places.len() != 1 || parts.len() > 2 {
            return refuse();
        }
        let (host, ports) = apart(places[0])?;
        if !(2..=3).contains(&ports.len()) {
            return refuse();
        }
        let host = host_of(host.unwrap_or_default())?;
        let (port, election_port) = (port_of(ports[0])?, port_of(ports[1])?);
        if port == election_port {
            return refuse();
        }
        let role = ports.get(2).map(|role| without_blanks(role));
        let is = |name: &str| role.is_some_and(|role| role.eq_ignore_ascii_case(name));
        if role.is_some() && !is("observer") && !is("participant") {
            return refuse();
        }
        Ok(Server {
            peers: Address { host, port },
            election_port,
            observer: is("observer"),
            clients,
        })
    }

    /// Everywhere this member can be reached.
    fn addresses(&self) -> impl Iterator<Item = Address> {
        let election = Address {
            host: self.peers.host.clone(),
            port: self.election_port,
        };
        [self.peers.clone(), election]
            .into_iter()
            .chain(self.clients.clone())
    }

    fn shares_an_address_with(&self, other: &Server) -> bool {
        self.addresses()
            .filter(|address| !address.is_this_machine())
            .any(|mine| {
                other.addresses().any(|theirs| {
                    mine.port == theirs.port && mine.host.eq_ignore_ascii_case(&theirs.host)
                })
            })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.observer {
            true => "observer",
            false => "participant",
        };
        write!(f, "{}:{}:{role}", self.peers, self.election_port)?;
        if let Some(clients) = &self.clients {
            write!(f, ";{clients}")?;
        }
        Ok(())
    }
}

impl Address {
    /// A port on any interface, or on the one before the colon.
    fn of_clients(text: &str) -> Parsed<Address> {
        let (host, ports) = apart(text)?;
        let (host, port) = match (host, ports.as_slice()) {
            (None, _) => return break_off(),
            (Some(port), []) => ("0.0.0.0".to_owned(), port_of(port)?),
            (Some(host), [port]) => (host_of(host)?, port_of(port)?),
            _ => return refuse(),
        };
        Ok(Address { host, port })
    }

    /// Every machine calls itself so: that two members do says nothing.
    fn is_this_machine(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || ip.is_unspecified(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A host and what follows it, by colons; the host may stand in brackets, with a character behind them that nobody looks at.
fn apart(text: &str) -> Parsed<(Option<&str>, Vec<&str>)> {
    let Some(bracketed) = text.strip_prefix('[') else {
        let mut words = fields(text, ':').into_iter();
        return Ok((words.next(), words.collect()));
    };
    let Some((host, behind)) = bracketed.split_once(']') else {
        return refuse();
    };
    let mut chars = behind.chars();
    let ports = match chars.next() {
        None => Vec::new(),
        Some(_) if chars.as_str().is_empty() => return refuse(),
        Some(_) => fields(chars.as_str(), ':'),
    };
    Ok((Some(host), ports))
}

/// Java takes a host without a name for this one.
fn host_of(name: &str) -> Parsed<String> {
    for byte in name.bytes() {
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':')) {
            return refuse();
        }
    }
    Ok(match name {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    })
}

/// What no integer is, is refused; an integer out of bounds is an exception of the socket's address.
fn port_of(text: &str) -> Parsed<u16> {
    match text.parse::<i32>() {
        Err(_) => refuse(),
        Ok(port) => port.try_into().or_else(|_| break_off()),
    }
}

fn long(text: &str) -> Parsed<i64> {
    text.parse().or_else(|_| break_off())
}

fn member_id(number: i64) -> Parsed<u8> {
    match number {
        1.. if number <= i64::from(PeerSet::ID_MAX) => Ok(number as u8),
        _ => refuse(),
    }
}

/// What stands between separators, those at the end left out; nothing at all is one empty field.
fn fields(text: &str, separator: char) -> Vec<&str> {
    match (text, text.trim_end_matches(separator)) {
        ("", _) => vec![""],
        (_, "") => Vec::new(),
        (_, kept) => kept.split(separator).collect(),
    }
}

/// Calls `visit` with each part that is not blank, stripped of blanks, until it fails.
fn each_between<'a>(
    text: &'a str,
    separator: char,
    mut visit: impl FnMut(&'a str) -> Parsed<()>,
) -> Parsed<()> {
    for part in text.split(separator) {
        match without_blanks(part) {
            "" => {}
            part => visit(part)?,
        }
    }
    Ok(())
}

/// A blank is here whatever Java's `trim` takes for one.
fn without_blanks(text: &str) -> &str {
    text.trim_matches(|c: char| c <= '\u{20}')
}

fn behind_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\u{0c}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "server.1=a:1:2,server.2=b:1:2:observer;3,server.3=c:1:2";

    fn of(text: &str) -> Members {
        Members::all(text).expect("a configuration")
    }

    #[test]
    fn members_come_and_go_and_are_written_by_number() {
        let mut members = of("server.2=b:1:2:participant;9,server.1=a:1:2");
        members
            .exchange(
                Some("1, 7"),
                Some(" server.4=d:1:2;3 ,x.3=c:1:2:observer;h:4"),
            )
            .unwrap();
        let text = "server.2=b:1:2:participant;0.0.0.0:9\nserver.3=c:1:2:observer;h:4\n\
            server.4=d:1:2:participant;0.0.0.0:3\nversion=100000002";
        assert_eq!(members.write(Zxid::new(1, 2)), text);
        assert_eq!(Members::read(text), (members.clone(), 0x1_0000_0002));
        let quorum = members.quorum().unwrap();
        assert_eq!(quorum.voters, [2, 4].map(PeerId).into());
        assert_eq!(quorum.observers, [PeerId(3)].into());
    }

    #[test]
    fn groups_and_weights_make_a_hierarchy_which_only_a_whole_configuration_ends() {
        let mut members =
            of("server.1=a:1:2,server.2=b:1:2,server.3=c:1:2,group.7=1:2,group.9=3,weight.1=5");
        let text = "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\n\
            group.7=1:2\ngroup.9=3\nweight.1=5\nweight.2=1\nweight.3=1\nversion=5";
        assert_eq!(members.write(Zxid::new(0, 5)), text);
        assert_eq!(Members::read(text), (members.clone(), 5));
        let quorum = members.quorum().unwrap();
        let set = |ids: &[u8]| ids.iter().map(|id| PeerId(*id)).collect::<PeerSet>();
        assert!(quorum.is_quorum(set(&[1, 3])) && !quorum.is_quorum(set(&[2, 3])));
        assert_eq!(
            first_configuration(&quorum).lines().nth(3),
            Some("group.1=1:2")
        );
        let alone = members.exchange(Some("3"), None);
        assert_eq!(alone, Err(ErrorCode::BadArguments));
    }

    /// What a whole configuration's mistakes are answered with.
    #[test]
    fn mistakes_are_of_two_kinds() {
        use ErrorCode::{BadArguments, MarshallingError};
        for (line, error) in [
            ("server.1=a", BadArguments),
            ("server.1=a:1", BadArguments),
            ("server.1=a:1:x", BadArguments),
            ("server.1=a:1:1", BadArguments),
            ("server.1=a:1:2:leader", BadArguments),
            ("server.1=a:1:2:observer:3", BadArguments),
            ("server.1=a:1:70000", MarshallingError),
            ("server.1=a:1:2;-3", MarshallingError),
            ("server.1=a:1:2;:", MarshallingError),
            ("server.1=;", MarshallingError),
            ("server.1=|", BadArguments),
            ("server.1=a:1:2|b:1:2", BadArguments),
            ("server.1=a:1:2;3;4", BadArguments),
            ("server.1=[::1:1:2", BadArguments),
            ("server.1=a b:1:2", BadArguments),
            ("server.0=a:1:2", BadArguments),
            ("server.128=a:1:2", BadArguments),
            ("server.one=a:1:2", MarshallingError),
            ("server.1=a:1:2,server.01=b:1:2", BadArguments),
            ("1=a:1:2", BadArguments),
            ("version=g", MarshallingError),
            ("group.1=9", MarshallingError),
            ("group.1=9,weight.9=1", BadArguments),
            ("group.1=", MarshallingError),
            ("group.1=:", BadArguments),
            ("group=1", MarshallingError),
            ("weight.1=-1", BadArguments),
            ("weight.1=much", MarshallingError),
            ("server.9=a:1:2:observer", MarshallingError),
            ("server.8=a:1:2,server.9=a:1:2:observer", MarshallingError),
            ("a\\=b", BadArguments),
        ] {
            assert_eq!(Members::all(line), Err(error), "{line}");
        }
        for (line, written) in [
            ("server.1=:1:2", "server.1=localhost:1:2:participant"),
            (
                "server.1=[::1]:1:2;[::]:3",
                "server.1=[::1]:1:2:participant;[::]:3",
            ),
            (
                "# none\n server.1 : a:+1:2: Participant ;",
                "server.1=a:1:2:participant",
            ),
            (
                "server.1=b:1:2\nserver.1=a:1:2",
                "server.1=a:1:2:participant",
            ),
        ] {
            let members = Members::all(line).unwrap_or_else(|code| panic!("{line}: {code:?}"));
            assert_eq!(members.write(Zxid::ZERO), format!("{written}\nversion=0"));
            assert_eq!(members.quorum(), Err(BadArguments), "one alone");
        }
        let weightless = of("server.1=a:1:2,server.2=b:1:2,group.1=1:2,weight.1=0,weight.2=0");
        assert_eq!(weightless.quorum(), Err(ErrorCode::NewConfigNoQuorum));
    }

    #[test]
    fn who_joins_has_a_client_s_port_and_an_address_of_its_own() {
        use ErrorCode::{BadArguments, MarshallingError};
        for (leaving, joining, expected) in [
            ("3", "", Err(BadArguments)),
            ("9,-1", "", Ok(())),
            ("one", "", Err(MarshallingError)),
            ("", "server.4=d:1:2", Err(BadArguments)),
            ("", "server.4=d:1:2;3=4", Err(BadArguments)),
            ("", "server.4=d:1:2;3\nserver.5=e:1:2;3", Err(BadArguments)),
            ("", "server.four=d:1:2;3", Err(MarshallingError)),
            ("", "server.4=b:4:1;5", Err(BadArguments)),
            ("", "server.4=d:1:2;B:1", Err(BadArguments)),
            ("", "server.2=b:1:2;3", Ok(())),
            ("2", "server.4=b:1:2;3", Ok(())),
            ("2", "server.2=b:1:2;3", Ok(())),
            ("", "4=localhost:1:2;3,5=localhost:1:2;3", Ok(())),
        ] {
            let mut members = of(TWO);
            let exchanged = members.exchange(Some(leaving), Some(joining));
            let made = exchanged.and_then(|()| members.quorum()).map(drop);
            assert_eq!(made, expected, "- {leaving} + {joining}");
        }
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
        let garbage = Members::read("server.1=a:1:2\nx");
        assert_eq!(garbage, (Members::default(), 0), "all of it or nothing");
    }
}
