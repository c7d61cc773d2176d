//! The lines of a kept trace: an arrow into (`←`) or out of (`→`) a process, then what it carries, payloads as their
//! length and a checksum.

use super::Entry;
use std::fmt::Write;
use xxhash_rust::xxh3::xxh3_64;
use zab::Message;
use zabsim_types::{ClientFrame, ServerFrame};

/// An entry in words.
pub(super) fn words(entry: &Entry<'_>) -> String {
    match entry {
        Entry::ServerInput(input) => server_input(input),
        Entry::ServerEffect(effect) => server_effect(effect),
        Entry::ClientInput(input) => client_input(input),
        Entry::ClientEffect(effect) => client_effect(effect),
        Entry::Command(command) => format!("program: {command:?}"),
        Entry::Woken(sleeper) => format!("program: sleeper {sleeper} wakes"),
        Entry::Process(what) => (*what).to_string(),
        Entry::Fault(label, what) => format!("fault {label}: {what}"),
    }
}

fn server_input(input: &zabsim_server::Input) -> String {
    use zabsim_server::Input;
    match input {
        Input::Zab(input) => zab_input(input),
        Input::Timer(timer) => format!("timer {timer:?}"),
        Input::Run(stage) => format!("run {stage:?}"),
        Input::ClientOpened { conn } => format!("← l{} client opened", conn.0),
        Input::ClientFrame { conn, frame } => format!("← l{} {}", conn.0, client_frame(frame)),
        Input::ClientClosed { conn } => format!("← l{} client closed", conn.0),
    }
}

fn server_effect(effect: &zabsim_server::Effect) -> String {
    use zabsim_server::Effect;
    match effect {
        Effect::Zab(effect) => zab_effect(effect),
        Effect::SetTimer { timer, at } => format!("set {timer:?} at {}", at.0),
        Effect::Schedule(stage) => format!("schedule {stage:?}"),
        Effect::Frame { conn, frame } => format!("→ l{} {}", conn.0, server_frame(frame)),
        Effect::CloseClient { conn } => format!("→ l{} close", conn.0),
        Effect::Note(note) => format!("note {note:?}"),
    }
}

fn zab_input(input: &zab::Input) -> String {
    use zab::Input;
    match input {
        Input::Message { link, message } => format!("← l{} {}", link.0, self::message(message)),
        Input::Notification { from, notification } => {
            format!("← {from} {}", self::notification(notification))
        }
        Input::LinkOpened {
            link,
            peer,
            outgoing,
        } => format!(
            "← l{} opened {} {peer}",
            link.0,
            if *outgoing { "to" } else { "by" }
        ),
        Input::LinkBroken { link } => format!("← l{} broken", link.0),
        Input::ReadDone { ticket, data } => match data {
            zab::DiskData::Files(files) => {
                let names: Vec<String> = files.iter().map(|file| file.to_string()).collect();
                format!("disk {}: files {}", ticket.0, names.join(" "))
            }
            zab::DiskData::Bytes(None) => format!("disk {}: no such file", ticket.0),
            zab::DiskData::Bytes(Some(read)) => format!("disk {}: {}", ticket.0, bytes(read)),
        },
        Input::DiskDone { ticket } => format!("disk {}: done", ticket.0),
        other => format!("{other:?}"),
    }
}

fn zab_effect(effect: &zab::Effect) -> String {
    use zab::Effect;
    match effect {
        Effect::Send { link, message } => format!("→ l{} {}", link.0, self::message(message)),
        Effect::Notify { to, notification } => {
            format!("→ {to} {}", self::notification(notification))
        }
        Effect::Connect { peer } => format!("→ {peer} connect"),
        Effect::CloseLink { link } => format!("→ l{} close", link.0),
        Effect::Disk(op) => disk(op),
        Effect::Note(zab::Note::ConfigurationPending(config)) => {
            format!("note ConfigurationPending {config}")
        }
        Effect::Note(zab::Note::ConfigurationActive(config)) => {
            format!("note ConfigurationActive {config}")
        }
        Effect::Note(zab::Note::Proposed { txn }) => format!("note Proposed {}", txn.zxid),
        Effect::Note(note) => format!("note {note:?}"),
        Effect::RoleChanged(role) => {
            let mut words = format!("{:?} in {:?}, epoch {}", role.state, role.phase, role.epoch);
            if let Some(leader) = role.leader {
                let _ = write!(words, ", leader {leader}");
            }
            words
        }
        Effect::Fatal { reason } => format!("fatal: {reason}"),
        other => format!("{other:?}"),
    }
}

fn disk(op: &zab::DiskOp) -> String {
    use zab::DiskOp;
    match op {
        DiskOp::Append { file, bytes } => format!("disk append {file} {}", self::bytes(bytes)),
        DiskOp::Sync { file, ticket } => format!("disk {} sync {file}", ticket.0),
        DiskOp::Replace {
            file,
            bytes,
            ticket,
        } => format!("disk {} replace {file} {}", ticket.0, self::bytes(bytes)),
        DiskOp::Rename { from, to, ticket } => {
            format!("disk {} rename {from} to {to}", ticket.0)
        }
        DiskOp::Truncate { file, len, ticket } => {
            format!("disk {} truncate {file} to {len}", ticket.0)
        }
        DiskOp::Delete { file, ticket } => format!("disk {} delete {file}", ticket.0),
        DiskOp::List { ticket } => format!("disk {} list", ticket.0),
        DiskOp::Read { file, ticket } => format!("disk {} read {file}", ticket.0),
    }
}

fn notification(notification: &zab::Notification) -> String {
    let vote = &notification.vote;
    format!(
        "vote ({} {} e{}) round {} {:?}",
        vote.leader, vote.zxid, vote.peer_epoch, notification.round, notification.state
    )
}

fn message(message: &Message) -> String {
    let name = message.name();
    match message {
        Message::LearnerInfo {
            accepted, blank, ..
        } => format!("{name} {accepted:?}{}", if *blank { " blank" } else { "" }),
        Message::LeaderInfo { epoch }
        | Message::NewLeader { epoch }
        | Message::AckNewLeader { epoch } => format!("{name} {epoch:?}"),
        Message::AckEpoch {
            last,
            current,
            floor,
        } => format!("{name} {last} current {current:?} floor {floor}"),
        Message::Diff { to } | Message::Trunc { to } => format!("{name} {to}"),
        Message::Snap { zxid, membership } => format!("{name} {zxid} under {membership}"),
        Message::CommitAndActivate { zxid, leader } => format!("{name} {zxid} leader {leader}"),
        Message::InformAndActivate { txn, leader } => {
            format!("{name} {} leader {leader}", txn.zxid)
        }
        Message::Commit { zxid } | Message::Ack { zxid } => {
            format!("{name} {zxid}")
        }
        Message::SnapChunk { bytes, last } => {
            format!(
                "{name} {}{}",
                self::bytes(bytes),
                if *last { " last" } else { "" }
            )
        }
        Message::Proposal(txn) | Message::Inform(txn) => {
            format!(
                "{name} {} after {} {}",
                txn.zxid,
                txn.prev,
                bytes(&txn.record)
            )
        }
        Message::UpToDate => name.to_string(),
        Message::Ping { round } | Message::Pong { round } => format!("{name} {round}"),
        Message::Request(payload) | Message::App(payload) => format!("{name} {}", bytes(payload)),
        Message::Sync { id, quorum } => {
            format!("{name} {}{}", id.0, if *quorum { " quorum" } else { "" })
        }
        Message::Synced { id } => format!("{name} {}", id.0),
    }
}

fn client_frame(frame: &ClientFrame) -> String {
    match frame {
        ClientFrame::Connect(request) => format!(
            "connect session {} seen {} timeout {} ms",
            request.session, request.last_zxid_seen, request.timeout_ms
        ),
        ClientFrame::Request { xid, op } => format!("request {} {op:?}", xid.0),
        ClientFrame::Ping => "ping".to_string(),
        ClientFrame::SetWatches { .. } => format!("{frame:?}"),
    }
}

fn server_frame(frame: &ServerFrame) -> String {
    match frame {
        ServerFrame::Connected(reply) => format!(
            "connected session {} timeout {} ms",
            reply.session, reply.timeout_ms
        ),
        ServerFrame::Reply { xid, zxid, result } => {
            format!("reply {} at {zxid}: {result:?}", xid.0)
        }
        ServerFrame::Event { zxid, event } => {
            format!("event {zxid:?} {:?} {}", event.kind, event.path)
        }
        ServerFrame::Pong { zxid } => format!("pong {zxid}"),
        ServerFrame::WatchesSet { zxid } => format!("watches set at {zxid}"),
    }
}

fn client_input(input: &zabsim_client::Input) -> String {
    match input {
        zabsim_client::Input::Frame(frame) => format!("← {}", server_frame(frame)),
        zabsim_client::Input::TrialFrame(frame) => format!("← trial: {}", server_frame(frame)),
        zabsim_client::Input::Submit { call, op } => format!("submit #{} {op:?}", call.0),
        other => format!("{other:?}"),
    }
}

fn client_effect(effect: &zabsim_client::Effect) -> String {
    match effect {
        zabsim_client::Effect::Connect { server } => format!("→ {server} connect"),
        zabsim_client::Effect::Send(frame) => format!("→ {}", client_frame(frame)),
        zabsim_client::Effect::Try { server } => format!("→ {server} trial"),
        zabsim_client::Effect::TrialSend(frame) => format!("→ trial: {}", client_frame(frame)),
        zabsim_client::Effect::Complete { call, outcome } => {
            format!("complete #{} {outcome:?}", call.0)
        }
        other => format!("{other:?}"),
    }
}

fn bytes(bytes: &[u8]) -> String {
    format!("[{} bytes #{:08x}]", bytes.len(), xxh3_64(bytes) as u32)
}
