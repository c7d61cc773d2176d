//! The ensemble's configuration as its node holds it: a line for each member, for each group and each weight where a hierarchy
//! rules, and one for the version. What a request makes of it is decided here in full but for one thing: whether a quorum of
//! the new members is at hand.
//!
//! A request's own lines are those of Java's properties. ZooKeeper tells two kinds of mistakes apart: those that it looks for
//! (`BadArguments`), and those upon which its reading breaks off with an exception that nobody expected
//! (`MarshallingError`): what should be a number and is none, a port that there is not, observers without voters.
//!
//! **BASE**, all of it `BadArguments`, where ZooKeeper 3.9.5 goes on with something that means nothing: a member's number
//! outside 1 to 127; a member, group or weight named twice in two spellings; a group of nobody; somebody in a group who has a
//! weight and no vote; a weight below 0 or above 2³²−1; no address at all; a host's name of other characters than ASCII letters,
//! digits and `.-_:`; a backslash. Of several mistakes among a whole configuration's lines ZooKeeper tells the one at which
//! its hash table begins; here it is the first by the line's key.
//!
//! Source: ZooKeeper 3.9.5 `PrepRequestProcessor` (reconfig), `QuorumPeerConfig.parseDynamicConfig`,
//! `QuorumPeer.QuorumServer`, `QuorumMaj`, `QuorumHierarchical`, with its defaults (`standaloneEnabled`, one address a
//! member).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use zabsim_types::{Data, ErrorCode, ServerId, Zxid};

/// What ZooKeeper looks for and refuses.
const WRONG: ErrorCode = ErrorCode::BadArguments;
/// What it stumbles over.
const BROKEN: ErrorCode = ErrorCode::MarshallingError;

/// Who the members are, and in which groups they vote.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Configuration {
    members: BTreeMap<u8, Member>,
    /// None of them: the majority rules.
    groups: BTreeMap<i64, BTreeSet<u8>>,
    weights: BTreeMap<u8, u32>,
    version: i64,
}

/// What stands behind a member's equals sign.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Member {
    host: String,
    /// For the others, and for elections.
    ports: (u16, u16),
    votes: bool,
    client: Option<(String, u16)>,
}

/// What a request asks for.
pub(super) struct Change<'a> {
    pub(super) joining: Option<&'a str>,
    pub(super) leaving: Option<&'a str>,
    pub(super) new_members: Option<&'a str>,
}

impl Configuration {
    /// What a node holds; of one that holds no configuration, nobody and version 0.
    pub(super) fn of_node(data: &Data) -> Configuration {
        let text = String::from_utf8_lossy(data.as_deref().unwrap_or_default());
        properties(&text).and_then(of_lines).unwrap_or_default()
    }

    /// The zxid of the reconfiguration that made it.
    pub(super) fn version(&self) -> i64 {
        self.version
    }

    /// What the request makes of it.
    pub(super) fn changed(self, change: &Change<'_>) -> Result<Configuration, ErrorCode> {
        let next = match change.new_members {
            Some(all) => of_lines(properties(&all.replace(',', "\n"))?)?,
            None => self.stepwise(change)?,
        };
        let voters = next.voters().count();
        if change.new_members.is_some() && voters < 2 && voters < next.members.len() {
            return Err(BROKEN);
        }
        if voters < 2 {
            return Err(WRONG);
        }
        // Groups of no weight at all have no quorum; nor does anybody find one.
        if !next.groups.is_empty() && next.voters().all(|id| next.weights[&id] == 0) {
            return Err(ErrorCode::NewConfigNoQuorum);
        }
        Ok(next)
    }

    /// First all that leave, then all that join; not where groups rule, to which single lines say nothing.
    fn stepwise(mut self, change: &Change<'_>) -> Result<Configuration, ErrorCode> {
        if !(self.groups.is_empty() && self.weights.is_empty()) {
            return Err(WRONG);
        }
        for id in listed(change.leaving, ',') {
            let id = number(id)?;
            self.members.retain(|member, _| i64::from(*member) != id);
        }
        for joiner in listed(change.joining, ',') {
            let halves: Vec<&str> = listed(Some(joiner), '=').collect();
            let [name, address] = halves[..] else {
                return Err(WRONG);
            };
            let id = number(name.rsplit('.').next().unwrap_or(name))?;
            let member = Member::read(address)?;
            let others = self
                .members
                .iter()
                .filter(|(other, _)| i64::from(**other) != id);
            let taken: BTreeSet<_> = others.flat_map(|(_, other)| other.places()).collect();
            if member.client.is_none() || member.places().any(|place| taken.contains(&place)) {
                return Err(WRONG);
            }
            self.members.insert(of_member(id)?, member);
        }
        Ok(self)
    }

    fn voters(&self) -> impl Iterator<Item = u8> {
        let voting = self.members.iter().filter(|(_, member)| member.votes);
        voting.map(|(id, _)| *id)
    }

    /// As the node holds it under a version.
    pub(super) fn to_node(&self, version: Zxid) -> Arc<[u8]> {
        let mut text = String::new();
        for (id, member) in &self.members {
            text.push_str(&format!("server.{id}={member}\n"));
        }
        for (group, ids) in &self.groups {
            let ids: Vec<String> = ids.iter().map(u8::to_string).collect();
            text.push_str(&format!("group.{group}={}\n", ids.join(":")));
        }
        for (id, weight) in &self.weights {
            text.push_str(&format!("weight.{id}={weight}\n"));
        }
        text.push_str(&format!("version={:x}", version.0));
        text.into_bytes().into()
    }
}

/// A whole configuration.
fn of_lines(lines: BTreeMap<&str, &str>) -> Result<Configuration, ErrorCode> {
    let of_groups = |key: &str| key.starts_with("group") || key.starts_with("weight");
    let known = |key: &str| of_groups(key) || key.starts_with("server.") || key == "version";
    if !lines.keys().all(|key| known(key)) {
        return Err(WRONG);
    }
    let hierarchy = lines.keys().any(|key| of_groups(key));
    let mut made = Configuration::default();
    for (key, value) in lines {
        let named = || number(key.split_once('.').map_or(key, |(_, behind)| behind));
        let first = if key == "version" {
            made.version = i64::from_str_radix(value, 16).or(Err(BROKEN))?;
            true
        } else if key.starts_with("group") {
            let id = named()?;
            let members = made.group(value)?;
            made.groups.insert(id, members).is_none()
        } else if key.starts_with("weight") {
            let id = named()?;
            let weight = u32::try_from(number(value)?).or(Err(WRONG))?;
            made.weights.insert(of_member(id)?, weight).is_none()
        } else {
            let id = named()?;
            let member = Member::read(value)?;
            made.members.insert(of_member(id)?, member).is_none()
        };
        if !first {
            return Err(WRONG);
        }
    }
    if hierarchy {
        made.settle_groups()?;
    }
    Ok(made)
}

impl Configuration {
    /// Whoever votes is in a group and has a weight; nobody else is in one.
    fn settle_groups(&mut self) -> Result<(), ErrorCode> {
        let grouped: BTreeSet<u8> = self.groups.values().flatten().copied().collect();
        let voters: BTreeSet<u8> = self.voters().collect();
        if !voters.is_subset(&grouped) {
            return Err(WRONG);
        }
        for id in &voters {
            self.weights.entry(*id).or_insert(1);
        }
        if grouped.iter().any(|id| !self.weights.contains_key(id)) {
            return Err(BROKEN);
        }
        if grouped != voters {
            return Err(WRONG);
        }
        Ok(())
    }

    /// A further group; nobody is in two.
    fn group(&self, value: &str) -> Result<BTreeSet<u8>, ErrorCode> {
        let mut members = BTreeSet::new();
        for id in split(value, ':') {
            let id = of_member(number(id)?)?;
            let elsewhere = self.groups.values().any(|other| other.contains(&id));
            if elsewhere || !members.insert(id) {
                return Err(WRONG);
            }
        }
        match members.is_empty() {
            true => Err(WRONG),
            false => Ok(members),
        }
    }
}

impl Member {
    /// `host:port:port[:role][;[client's host:]client's port]`.
    fn read(address: &str) -> Result<Member, ErrorCode> {
        let sections = split(address, ';');
        let Some(servers) = sections.first() else {
            return Err(BROKEN);
        };
        let client = match sections[..] {
            [_, client] => Some(client_address(client)?),
            _ => None,
        };
        let addresses = split(servers, '|');
        let [server] = addresses[..] else {
            return Err(WRONG);
        };
        let words = host_and_ports(server)?;
        if sections.len() > 2 {
            return Err(WRONG);
        }
        let (host, one, two, role) = match words[..] {
            [host, one, two] => (host, one, two, None),
            [host, one, two, role] => (host, one, two, Some(role)),
            _ => return Err(WRONG),
        };
        let host = host_name(host)?;
        let ports = (port(one)?, port(two)?);
        if ports.0 == ports.1 {
            return Err(WRONG);
        }
        let votes = match role
            .map(|role| trimmed(role).to_ascii_lowercase())
            .as_deref()
        {
            None | Some("participant") => true,
            Some("observer") => false,
            Some(_) => return Err(WRONG),
        };
        Ok(Member {
            host,
            ports,
            votes,
            client,
        })
    }

    /// Where it can be reached by others: what no second member that joins may have. An address that means "here" says nothing.
    fn places(&self) -> impl Iterator<Item = (String, u16)> {
        let own = [self.ports.0, self.ports.1].map(|port| (self.host.clone(), port));
        let all = own.into_iter().chain(self.client.clone());
        all.map(|(host, port)| (host.to_ascii_lowercase(), port))
            .filter(|(host, _)| {
                let here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
                host != "localhost" && !host.parse().is_ok_and(here)
            })
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = |host: &str| match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        let (one, two) = self.ports;
        let role = if self.votes {
            "participant"
        } else {
            "observer"
        };
        write!(f, "{}:{one}:{two}:{role}", bracketed(&self.host))?;
        match &self.client {
            Some((host, port)) => write!(f, ";{}:{port}", bracketed(host)),
            None => Ok(()),
        }
    }
}

/// A port, with or without a host before it.
fn client_address(text: &str) -> Result<(String, u16), ErrorCode> {
    match host_and_ports(text)?[..] {
        [] => Err(BROKEN),
        [alone] => Ok(("0.0.0.0".to_owned(), port(alone)?)),
        [host, behind] => Ok((host_name(host)?, port(behind)?)),
        _ => Err(WRONG),
    }
}

/// The words between colons; the first may be an address with colons of its own, in brackets.
fn host_and_ports(text: &str) -> Result<Vec<&str>, ErrorCode> {
    if !text.starts_with('[') {
        return Ok(split(text, ':'));
    }
    let end = text.find(']').ok_or(WRONG)?;
    let mut behind = text[end + 1..].chars();
    // One character, whichever it is, stands between the bracket and the ports.
    match (behind.next(), behind.as_str()) {
        (None, _) => Ok(vec![&text[1..end]]),
        (Some(_), "") => Err(WRONG),
        (Some(_), ports) => {
            let mut words = vec![&text[1..end]];
            words.extend(split(ports, ':'));
            Ok(words)
        }
    }
}

/// Java resolves no name to itself.
fn host_name(host: &str) -> Result<String, ErrorCode> {
    let usual = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    match host {
        "" => Ok("localhost".to_owned()),
        host if host.chars().all(usual) => Ok(host.to_owned()),
        _ => Err(WRONG),
    }
}

/// What is no number is looked for; a number that is no port is not.
fn port(text: &str) -> Result<u16, ErrorCode> {
    let number: i32 = text.parse().or(Err(WRONG))?;
    u16::try_from(number).or(Err(BROKEN))
}

/// What should be a number.
fn number(text: &str) -> Result<i64, ErrorCode> {
    text.parse().or(Err(BROKEN))
}

fn of_member(id: i64) -> Result<u8, ErrorCode> {
    let id = u8::try_from(id).or(Err(WRONG))?;
    match (1..=ServerId::MAX).contains(&id) {
        true => Ok(id),
        false => Err(WRONG),
    }
}

/// Java's `split`: empty parts at the end are none, but of the empty text there is one.
fn split(text: &str, by: char) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(by).collect();
    while !text.is_empty() && parts.last() == Some(&"") {
        parts.pop();
    }
    parts
}

/// The parts that are not empty, without the blanks around them.
fn listed(text: Option<&str>, by: char) -> impl Iterator<Item = &str> {
    let parts = text.into_iter().flat_map(move |text| text.split(by));
    parts.map(trimmed).filter(|part| !part.is_empty())
}

/// Java's `trim`.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// Java's properties, but for what it does with a backslash. Of a key's lines the last counts.
fn properties(text: &str) -> Result<BTreeMap<&str, &str>, ErrorCode> {
    let blank = [' ', '\t', '\u{c}'];
    let mut found = BTreeMap::new();
    for line in text.split(['\n', '\r']) {
        let line = line.trim_start_matches(blank);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        if line.contains('\\') {
            return Err(WRONG);
        }
        let ends_key = |c: char| c == '=' || c == ':' || blank.contains(&c);
        let (key, rest) = line.split_at(line.find(ends_key).unwrap_or(line.len()));
        let rest = rest.trim_start_matches(blank);
        let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
        found.insert(key, value.trim_start_matches(blank));
    }
    Ok(found)
}
