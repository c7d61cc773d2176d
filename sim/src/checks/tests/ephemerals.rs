//! Ephemerals and their sessions.

use super::*;

fn write(bed: &mut Bed, zxid: Zxid, session: i64, body: TxnBody) {
    let txn = Arc::new(Txn::new(zxid, bed.tail(S1), &encoded(session, body)));
    bed.propose(S1, &txn);
    bed.sync(S1);
    bed.log(S1, S2, &txn);
    bed.commit(S1, S2, zxid);
}

fn create(path: &str, session: i64) -> TxnBody {
    TxnBody::Create {
        path: path.into(),
        data: None,
        acl: zabsim_types::Acl::OPEN,
        owner: zabsim_server::Owner::Session(SessionId(session)),
        parent_creates: 1,
    }
}

/// D1: the create was prepared after the closeSession.
#[test]
fn an_ephemeral_of_a_session_that_has_ended() {
    let mut bed = Bed::serving();
    write(
        &mut bed,
        z(1, 3),
        7,
        TxnBody::CreateSession { timeout_ms: 1 },
    );
    write(&mut bed, z(1, 4), 7, create("/e", 7));
    let ephemerals = vec!["/e".into()];
    write(&mut bed, z(1, 5), 7, TxnBody::CloseSession { ephemerals });
    bed.holds();
    write(
        &mut bed,
        z(1, 6),
        7,
        TxnBody::Multi(vec![create("/late", 7)]),
    );
    bed.breaks(
        "ephemeral-owners",
        "⟨1,6⟩ creates the ephemeral /late of session 0x7",
    );
}

#[test]
fn a_session_ends_without_one_of_its_ephemerals() {
    let mut bed = Bed::serving();
    write(
        &mut bed,
        z(1, 3),
        7,
        TxnBody::CreateSession { timeout_ms: 1 },
    );
    write(&mut bed, z(1, 4), 7, create("/e", 7));
    write(
        &mut bed,
        z(1, 5),
        7,
        TxnBody::CloseSession { ephemerals: vec![] },
    );
    bed.breaks(
        "ephemeral-owners",
        "⟨1,5⟩ ends session 0x7 and leaves its ephemerals /e",
    );
}

#[test]
fn a_session_takes_another_ones_ephemeral_with_it() {
    let mut bed = Bed::serving();
    for (counter, session) in [(3, 7), (4, 8)] {
        let begins = TxnBody::CreateSession { timeout_ms: 1 };
        write(&mut bed, z(1, counter), session, begins);
    }
    write(&mut bed, z(1, 5), 8, create("/e", 8));
    bed.holds();
    let ephemerals = vec!["/e".into()];
    write(&mut bed, z(1, 6), 7, TxnBody::CloseSession { ephemerals });
    bed.breaks(
        "ephemeral-owners",
        "⟨1,6⟩ ends session 0x7 and deletes /e with it, which is 0x8's",
    );
}
