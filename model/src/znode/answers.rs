//! What the answers contradict among themselves, whatever the log is.
//!
//! Each reply to an update names its transaction, and transactions happen one after the other, in the order of their zxids. So
//! without any log it is certain that
//!
//! - no transaction is two updates' ([`Scene::twice`]);
//! - an update that was answered before another was called has the smaller zxid ([`Scene::backwards`]: Herlihy and Wing's
//!   real-time order, c) of the check `linearizable-writes`);
//! - on one connection, which is first in, first out, the event of a change comes before every reply that names its
//!   transaction or a later one, no event comes behind that of a later change, and none comes twice to a client that asks for no
//!   watches that stay ([`Scene::overtaken`]: W2, W3 and W1 of the check `watches`).
//!
//! These are special cases of what the checks say of a log. What is found here rests on no guess and needs no search.

use super::conflict::{Conflict, Scene};
use crate::checks::history::Step;
use zabsim_types::{HistoryKind, Op, SessionChange, WatchEvent, Zxid};

impl Scene<'_, '_> {
    /// The first of these contradictions.
    pub fn alone(self) -> Option<Conflict> {
        let updates = self.updates();
        self.twice(&updates)
            .or_else(|| self.backwards(&updates))
            .or_else(|| self.overtaken())
    }

    /// The answered updates in the order of their transactions.
    fn updates(self) -> Vec<(Zxid, u32)> {
        let answered = self.history.answered.iter();
        let updates = answered.filter(|at| self.history.calls[**at as usize].is_update());
        let mut zxids: Vec<(Zxid, u32)> = updates
            .map(|at| (self.history.calls[*at as usize].zxid, *at))
            .collect();
        zxids.sort_unstable();
        zxids
    }

    fn twice(self, updates: &[(Zxid, u32)]) -> Option<Conflict> {
        let pair = updates.windows(2).find(|pair| pair[0].0 == pair[1].0)?;
        let zxid = pair[0].0;
        let sentence = format!("two updates were both answered with transaction {zxid}");
        Some(self.of_updates([pair[0].1, pair[1].1], sentence, zxid))
    }

    fn backwards(self, updates: &[(Zxid, u32)]) -> Option<Conflict> {
        let calls = &self.history.calls;
        // Of the transactions so far the one whose call came last.
        let mut latest: Option<(Zxid, u32)> = None;
        for (zxid, at) in updates.iter().copied() {
            let call = &calls[at as usize];
            match latest {
                Some((before, other)) if call.done < calls[other as usize].invoked => {
                    let sentence = format!(
                        "an update was answered before another was called, yet its transaction {zxid} comes after {before}"
                    );
                    return Some(self.of_updates([at, other], sentence, before));
                }
                Some((_, other)) if call.invoked <= calls[other as usize].invoked => {}
                _ => latest = Some((zxid, at)),
            }
        }
        None
    }

    fn of_updates(self, pair: [u32; 2], sentence: String, zxid: Zxid) -> Conflict {
        Conflict {
            check: "linearizable-writes".to_owned(),
            sentence,
            parts: self.in_order(pair.map(|at| self.call(at)).into()),
            culprit: None,
            differences: Vec::new(),
            prefix: self.answered_before(zxid),
        }
    }

    fn overtaken(self) -> Option<Conflict> {
        let history = self.history;
        let mut clients = vec![Shown::default(); history.clients().len()];
        for call in &history.calls {
            clients[call.client as usize].stays |= matches!(call.op(), Op::AddWatch { .. });
        }
        for (now, step) in history.steps() {
            let event = match step {
                Step::Done(at) => {
                    let call = &history.calls[at as usize];
                    let shown = &mut clients[call.client as usize];
                    if call.is_definite() && call.names_state() && call.zxid > shown.reply.0 {
                        shown.reply = (call.zxid, now);
                    }
                    continue;
                }
                Step::Told(event) => event,
            };
            let shown = &mut clients[history.client(event.process)];
            let (zxid, told) = match &event.kind {
                HistoryKind::Session {
                    change: SessionChange::Connected { .. },
                } => {
                    shown.begin();
                    continue;
                }
                HistoryKind::Watch {
                    zxid: Some(zxid),
                    event,
                    ..
                } => (*zxid, event),
                _ => continue,
            };
            let Some((place, what)) = shown.is_wrong(zxid, told) else {
                shown.told(zxid, told, now);
                continue;
            };
            let parts = [place, now].into_iter().filter_map(|at| self.event(at));
            return Some(Conflict {
                check: "watches".to_owned(),
                sentence: format!(
                    "a watch told client {} {} at {} of {zxid} {what}, on one connection",
                    event.process.0, told.kind, told.path
                ),
                parts: self.in_order(parts.collect()),
                culprit: None,
                differences: Vec::new(),
                prefix: self.answered_before(zxid),
            });
        }
        None
    }
}

/// What a client was shown on its connection.
#[derive(Clone, Default)]
struct Shown<'a> {
    /// The newest state that a reply named, and where in the history.
    reply: (Zxid, u32),
    /// The latest transaction that it was told of by events, and these.
    latest: Zxid,
    events: Vec<(&'a WatchEvent, u32)>,
    /// It asks for watches that stay, which are told of every change that one transaction makes.
    stays: bool,
}

impl<'a> Shown<'a> {
    /// A new connection.
    fn begin(&mut self) {
        let stays = self.stays;
        *self = Shown {
            stays,
            ..Shown::default()
        };
    }

    fn told(&mut self, zxid: Zxid, event: &'a WatchEvent, now: u32) {
        if zxid > self.latest {
            self.latest = zxid;
            self.events.clear();
        }
        self.events.push((event, now));
    }

    /// What was shown before and may not have been, and where.
    fn is_wrong(&self, zxid: Zxid, event: &WatchEvent) -> Option<(u32, String)> {
        let (state, place) = self.reply;
        if state >= zxid {
            return Some((place, format!("behind a reply that names {state}")));
        }
        let (last, place) = self.events.last()?;
        if self.latest > zxid {
            let (kind, path, latest) = (last.kind, &last.path, self.latest);
            let what = format!("behind {kind} at {path} of {latest}");
            return Some((*place, what));
        }
        let same = |(other, _): &&(&WatchEvent, u32)| *other == event;
        let again = self.events.iter().find(same)?;
        (self.latest == zxid && !self.stays).then(|| (again.1, "twice".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use crate::znode::{Judged, Settings, check};
    use zabsim_types::run::Verdict;

    /// Two clients, each connected once.
    const BEGIN: &str = r#"{"time_us":1,"process":1,"session":7,"type":"session","change":{"change":"connected","server":1,"conn":1,"timeout_ms":6000,"reattached":false}}
{"time_us":1,"process":2,"session":8,"type":"session","change":{"change":"connected","server":1,"conn":1,"timeout_ms":6000,"reattached":false}}
"#;

    fn judged(lines: &[&str]) -> Judged {
        let mut text = BEGIN.to_owned();
        for (at, line) in lines.iter().enumerate() {
            text += &line.replacen('{', &format!("{{\"time_us\":{},", at + 2), 1);
            text.push('\n');
        }
        let events = lines.len() + 2;
        text += &format!("{{\"time_us\":99,\"type\":\"end\",\"events\":{events}}}\n");
        check(text.as_bytes(), &Settings::default(), &mut |_| {}).expect("a history")
    }

    /// In this order, and with the marked one at another place.
    fn says(lines: &[&str], moved: (usize, usize)) -> String {
        let right = judged(lines);
        assert_eq!(right.verdict(), Verdict::Pass, "{:?}", right.conflict);
        let mut lines = lines.to_vec();
        let line = lines.remove(moved.0);
        lines.insert(moved.1, line);
        said(&lines)
    }

    fn said(lines: &[&str]) -> String {
        let wrong = judged(lines);
        assert_eq!(wrong.verdict(), Verdict::Fail);
        // Nothing was searched for a proof.
        let conflict = wrong.conflict.expect("a conflict");
        assert_eq!(conflict.parts.len(), 2, "{conflict:?}");
        conflict.sentence
    }

    const ASK_A: &str = r#"{"process":1,"session":7,"type":"invoke","id":1,"request":{"op":"create","path":"/a","data":[],"mode":"persistent","with_stat":false}}"#;
    const GOT_A: &str = r#"{"process":1,"session":7,"type":"ok","id":1,"zxid":4,"xid":1,"conn":1,"result":{"reply":"created","path":"/a","stat":null}}"#;
    const ASK_B: &str = r#"{"process":2,"session":8,"type":"invoke","id":2,"request":{"op":"create","path":"/b","data":[],"mode":"persistent","with_stat":false}}"#;
    const GOT_B: &str = r#"{"process":2,"session":8,"type":"ok","id":2,"zxid":3,"xid":1,"conn":1,"result":{"reply":"created","path":"/b","stat":null}}"#;

    #[test]
    fn an_update_answered_before_another_was_called_is_before_it() {
        let sentence = says(&[ASK_A, ASK_B, GOT_A, GOT_B], (1, 2));
        assert!(
            sentence.contains("answered before another was called"),
            "{sentence}"
        );
    }

    #[test]
    fn two_updates_are_two_transactions() {
        let again = GOT_B.replace("\"zxid\":3", "\"zxid\":4");
        let sentence = said(&[ASK_A, ASK_B, GOT_A, &again]);
        assert!(
            sentence.contains("both answered with transaction"),
            "{sentence}"
        );
    }

    const LOOK: [&str; 2] = [
        r#"{"process":2,"session":8,"type":"invoke","id":1,"request":{"op":"exists","path":"/a","watch":true}}"#,
        r#"{"process":2,"session":8,"type":"fail","id":1,"zxid":2,"xid":1,"conn":1,"error":"NoNode"}"#,
    ];
    const LOOK_AT_B: [&str; 2] = [
        r#"{"process":2,"session":8,"type":"invoke","id":2,"request":{"op":"exists","path":"/b","watch":true}}"#,
        r#"{"process":2,"session":8,"type":"fail","id":2,"zxid":2,"xid":2,"conn":1,"error":"NoNode"}"#,
    ];
    const MAKE: [&str; 4] = [
        r#"{"process":1,"session":7,"type":"invoke","id":3,"request":{"op":"create","path":"/a","data":[],"mode":"persistent","with_stat":false}}"#,
        r#"{"process":1,"session":7,"type":"ok","id":3,"zxid":3,"xid":1,"conn":1,"result":{"reply":"created","path":"/a","stat":null}}"#,
        r#"{"process":1,"session":7,"type":"invoke","id":4,"request":{"op":"create","path":"/b","data":[],"mode":"persistent","with_stat":false}}"#,
        r#"{"process":1,"session":7,"type":"ok","id":4,"zxid":4,"xid":2,"conn":1,"result":{"reply":"created","path":"/b","stat":null}}"#,
    ];
    const TOLD_A: &str = r#"{"process":2,"session":8,"type":"watch","zxid":3,"conn":1,"event":{"kind":"NodeCreated","path":"/a"}}"#;
    const TOLD_B: &str = r#"{"process":2,"session":8,"type":"watch","zxid":4,"conn":1,"event":{"kind":"NodeCreated","path":"/b"}}"#;
    const SYNC: [&str; 2] = [
        r#"{"process":2,"session":8,"type":"invoke","id":5,"request":{"op":"sync","path":"/","mode":"leader"}}"#,
        r#"{"process":2,"session":8,"type":"ok","id":5,"zxid":3,"xid":3,"conn":1,"result":{"reply":"synced","path":"/"}}"#,
    ];

    #[test]
    fn an_event_comes_before_what_shows_its_transaction() {
        let lines = [&LOOK[..], &MAKE[..2], &[TOLD_A], &SYNC].concat();
        let sentence = says(&lines, (4, 6));
        assert!(
            sentence.contains("behind a reply that names ⟨0,3⟩"),
            "{sentence}"
        );
    }

    #[test]
    fn events_come_in_the_order_of_their_transactions() {
        let lines = [&LOOK[..], &LOOK_AT_B, &MAKE, &[TOLD_A, TOLD_B]].concat();
        let sentence = says(&lines, (8, 9));
        assert!(
            sentence.contains("behind NodeCreated at /b of ⟨0,4⟩"),
            "{sentence}"
        );
    }

    #[test]
    fn an_event_comes_once() {
        let lines = [&LOOK[..], &MAKE[..2], &[TOLD_A, TOLD_A]].concat();
        let sentence = said(&lines);
        assert!(sentence.ends_with("twice, on one connection"), "{sentence}");
    }

    /// Of two changes in one transaction a watch that stays is told twice.
    #[test]
    fn an_event_may_come_twice_to_a_watch_that_stays() {
        let watch = [
            r#"{"process":2,"session":8,"type":"invoke","id":1,"request":{"op":"addWatch","path":"/a","mode":"persistent"}}"#,
            r#"{"process":2,"session":8,"type":"ok","id":1,"zxid":3,"xid":1,"conn":1,"result":{"reply":"watchAdded"}}"#,
        ];
        let set = [
            r#"{"process":1,"session":7,"type":"invoke","id":4,"request":{"op":"multi","ops":[{"op":"setData","path":"/a","data":[1],"version":-1},{"op":"setData","path":"/a","data":[2],"version":-1}]}}"#,
            r#"{"process":1,"session":7,"type":"info","id":4,"error":"ConnectionLoss","sent":true,"xid":2}"#,
        ];
        let told = TOLD_A.replace("Created", "DataChanged").replace(":3", ":4");
        let lines = [&MAKE[..2], &watch, &set, &[&told, &told]].concat();
        let judged = judged(&lines);
        assert_eq!(judged.verdict(), Verdict::Pass, "{:?}", judged.conflict);
    }
}
