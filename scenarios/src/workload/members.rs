//! The ensemble's own members, as an operator changes them under load: one server more, one less, one in another's place, a vote
//! given or taken, the whole ensemble anew. Nobody asks first whether the server that goes is the leader.
//!
//! Two voters stay at least, more often three: fewer would refuse everything as soon as one of them is down.

use super::{Actor, SessionOver};
use zabsim_client::Reconfig;
use zabsim_types::Data;

/// Who may write the configuration's node: the name and password of ZooKeeper's super user here.
pub(super) const OPERATOR: &str = "super:test";

pub(super) async fn members(actor: &mut Actor) -> Result<(), SessionOver> {
    let outcome = actor.client.add_auth("digest", OPERATOR).await;
    actor.go_on(outcome)?;
    while !actor.stopping.is_set() {
        actor.think().await;
        let outcome = actor.client.get_config().await;
        if let Some((data, stat)) = actor.go_on(outcome)? {
            let mut change = match actor.stream.per_mille(200) || !Present::read(&data).by_majority
            {
                true => anew(actor),
                false => stepwise(actor, &Present::read(&data)),
            };
            if actor.stream.per_mille(300) {
                change = change.from_config(stat.mzxid.0 as i64);
            }
            let outcome = actor.client.reconfig(change).await;
            actor.go_on(outcome)?;
        }
    }
    Ok(())
}

/// The configuration as it was read.
struct Present {
    voters: Vec<u32>,
    observers: Vec<u32>,
    by_majority: bool,
}

impl Present {
    fn read(data: &Data) -> Present {
        let text = String::from_utf8_lossy(data.as_deref().unwrap_or_default());
        let mut present = Present {
            voters: Vec::new(),
            observers: Vec::new(),
            by_majority: !text.contains("group."),
        };
        for line in text.lines() {
            let member = line.strip_prefix("server.");
            if let Some((id, address)) = member.and_then(|member| member.split_once('='))
                && let Ok(id) = id.parse()
            {
                match address.contains(":observer") {
                    true => present.observers.push(id),
                    false => present.voters.push(id),
                }
            }
        }
        present
    }
}

fn line(id: u32, votes: bool) -> String {
    let role = if votes { "participant" } else { "observer" };
    format!("server.{id}=s{id}:2888:3888:{role};2181")
}

/// One step from what is there.
fn stepwise(actor: &mut Actor, present: &Present) -> Reconfig {
    let members = || present.voters.iter().chain(&present.observers);
    let strangers: Vec<u32> = (1..=actor.servers)
        .filter(|id| !members().any(|member| member == id))
        .collect();
    let members: Vec<u32> = members().copied().collect();
    let stream = &mut actor.stream;
    let votes = stream.per_mille(750);
    let change = Reconfig::new();
    // A voter may go or only observe.
    let spare = present.voters.len() > 3 || present.voters.len() == 3 && stream.per_mille(200);
    let some =
        |stream: &mut zabsim::Stream, ids: &[u32]| (!ids.is_empty()).then(|| *stream.pick(ids));
    let (voter, observer) = (
        some(stream, &present.voters),
        some(stream, &present.observers),
    );
    let (stranger, member) = (some(stream, &strangers), some(stream, &members));
    match (stream.below(6), stranger, voter, observer) {
        (0 | 1, Some(stranger), _, _) => change.join(&line(stranger, votes)),
        (2, Some(stranger), Some(voter), _) => {
            change.leave(&voter.to_string()).join(&line(stranger, true))
        }
        (3, _, _, Some(observer)) => change.join(&line(observer, true)),
        (4, _, Some(voter), _) if spare => change.join(&line(voter, false)),
        (_, _, Some(voter), _) if spare => change.leave(&voter.to_string()),
        (5, _, _, Some(observer)) => change.leave(&observer.to_string()),
        // The same ensemble under a new version; or a stranger who leaves.
        _ => match member {
            Some(member) if stream.per_mille(500) && observer != Some(member) => {
                change.join(&line(member, true))
            }
            _ => change.leave("127"),
        },
    }
}

/// Some of the servers, without regard to who is a member; in groups now and then.
fn anew(actor: &mut Actor) -> Reconfig {
    let mut servers: Vec<u32> = (1..=actor.servers).collect();
    let stream = &mut actor.stream;
    stream.shuffle(&mut servers);
    let most = servers.len() as u64;
    let voters = stream.range((most.min(3), most)) as usize;
    let (voters, rest) = servers.split_at(voters);
    let mut change = Reconfig::new();
    for id in voters {
        change = change.member(&line(*id, true));
    }
    for id in rest {
        if stream.per_mille(300) {
            change = change.member(&line(*id, false));
        }
    }
    if voters.len() > 2 && stream.per_mille(300) {
        let size = 1 + stream.below(3) as usize;
        for (number, group) in (1..).zip(voters.chunks(size)) {
            let ids: Vec<String> = group.iter().map(u32::to_string).collect();
            change = change.member(&format!("group.{number}={}", ids.join(":")));
        }
        for id in voters {
            if stream.per_mille(200) {
                change = change.member(&format!("weight.{id}={}", stream.below(3)));
            }
        }
    }
    change
}
