//! Cores and prefixes against the definition: what is shown to a person must be so.

use super::*;

/// The history with only these calls kept, all others relaxed: by the definition, one call after the other.
pub(super) fn keep<S: Spec>(
    spec: &S,
    history: &History<S::Action>,
    kept: &[u32],
    others: Others,
) -> History<S::Action> {
    let calls = history.calls().iter().enumerate();
    let relaxed = calls.filter_map(|(at, call)| {
        if kept.contains(&(at as u32)) {
            return Some(call.clone());
        }
        let changed_something = !spec.is_pure(&call.action, call.known);
        changed_something.then(|| Call {
            known: false,
            ret: match others {
                Others::AtAnyTime if call.known => NEVER,
                _ => call.ret,
            },
            ..call.clone()
        })
    });
    History::new(relaxed.collect())
}

/// Holds everything that a core claims against the definition.
pub(super) fn is_right<S: Spec>(
    spec: &mut S,
    history: &History<S::Action>,
    refutation: &Refutation,
) -> Result<(), TestCaseError>
where
    S::Action: std::fmt::Debug,
{
    let found = core(spec, history, refutation, Effort(1_000_000));
    let is_legal = |spec: &mut S, kept: &[u32], others| {
        let history = keep(spec, history, kept, others);
        brute_force(spec, &history)
    };
    prop_assert!(
        !is_legal(spec, &found.calls, found.others),
        "no core: {found:?}"
    );
    prop_assert!(found.is_minimal, "so small a core is always minimal");
    for without in &found.calls {
        let others = found.calls.iter().filter(|at| *at != without);
        let others: Vec<u32> = others.copied().collect();
        prop_assert!(
            is_legal(spec, &others, found.others),
            "without {without}: {found:?}"
        );
    }

    let mut returned: Vec<u32> = (0..history.len() as u32)
        .filter(|at| history.calls()[*at as usize].known)
        .collect();
    returned.sort_by_key(|at| history.calls()[*at as usize].ret);
    let Prefix {
        returned: count,
        last,
        next,
        is_longest,
        order,
    } = &found.prefix;
    prop_assert!(*is_longest);
    prop_assert_eq!(count.checked_sub(1).map(|last| returned[last]), *last);
    prop_assert_eq!(returned[*count], *next);
    prop_assert!(is_legal(spec, &returned[..*count], Others::AtAnyTime));
    prop_assert!(!is_legal(spec, &returned[..=*count], Others::AtAnyTime));
    prop_assert!(found.calls.contains(next), "of another place: {found:?}");
    // What is not kept has no answer that could be wrong, and may be in the order or not.
    let calls = history.calls().iter().enumerate();
    let calls = calls.map(|(at, call)| {
        let is_kept = returned[..*count].contains(&(at as u32));
        Call {
            known: is_kept,
            ret: if is_kept || !call.known {
                call.ret
            } else {
                NEVER
            },
            ..call.clone()
        }
    });
    let open = History::new(calls.collect());
    // The events are the same but for the returns of what is open; the calls stand where they stood.
    prop_assert_eq!(order::replay_order(spec, &open, order), Ok(()));
    Ok(())
}

/// The value that is read last was written, and overwritten, and perhaps written by somebody else once more: only that nobody did makes
/// the read stale.
#[test]
fn a_stale_read_is_shown_with_every_writer_of_its_value() {
    use RegisterAction::{Read, Write};
    let calls = vec![
        call(0, 3, Write(1)),
        call(1, 2, Write(1)),
        call(4, 5, Write(2)),
        call(6, 7, Read(1)),
    ];
    let history = History::new(calls);
    let register = &mut Register { values: 3 };
    let Outcome::Illegal(refutation) = check(register, &history, Effort::default()) else {
        panic!("it is stale");
    };
    let found = core(register, &history, &refutation, Effort::default());
    assert_eq!(found.calls, [0, 1, 2, 3]);
    assert!(found.is_minimal);
    assert_eq!((found.prefix.returned, found.prefix.next), (3, 3));
}

/// The search gives up where a look ahead tells it that there is no order, long before the contradiction is complete. The
/// core has what comes after.
#[test]
fn a_core_reaches_beyond_the_place_where_the_search_gave_up() {
    use RegisterAction::{Read, Swap, Write};
    let calls = vec![
        call(0, 1, Write(1)),
        call(2, 3, Swap(1, 2)),
        call(4, 5, Read(2)),
        // Needs 1 once more, which nothing is left to make.
        call(6, 7, Swap(1, 3)),
        call(8, 9, Read(3)),
    ];
    let history = History::new(calls);
    let register = &mut Register { values: 4 };
    let Outcome::Illegal(refutation @ Refutation::Exhausted { reached, .. }) =
        search::search(register, &history, &mut Budget::new(Effort::default()))
    else {
        panic!("it has no order");
    };
    let found = core(register, &history, &refutation, Effort::default());
    assert!(reached < history.calls()[found.prefix.next as usize].ret);
    assert_eq!((found.prefix.returned, found.prefix.next), (3, 3));
    assert!(found.prefix.is_longest && found.is_minimal);
    assert_eq!(found.calls, [1, 3]);
}

/// With no effort left, what is shown is still a contradiction, and nothing is claimed that was not found out.
#[test]
fn what_the_effort_does_not_reach_is_not_claimed() {
    let (mut generated, values) = generate::generate(&generate::Shape {
        operations: 200,
        clients: 5,
        keys: 1,
        unknown_ppm: 0,
        domain: None,
        seed: 1,
    });
    generate::make_stale(&mut generated);
    let calls = generated.into_iter().map(|done| done.call).collect();
    let history = History::new(calls);
    let register = &mut Register { values };
    let Outcome::Illegal(refutation) =
        search::search(register, &history, &mut Budget::new(Effort::default()))
    else {
        panic!("it is stale");
    };
    let whole = core(register, &history, &refutation, Effort::default());
    assert!(whole.is_minimal && whole.prefix.is_longest);
    assert!(whole.calls.len() <= 4, "{:?}", whole.calls);
    let none = core(register, &history, &refutation, Effort(0));
    assert!(!none.is_minimal && !none.prefix.is_longest);
    assert!(none.prefix.returned <= whole.prefix.returned);
    let kept = keep(register, &history, &none.calls, none.others);
    assert!(matches!(
        check(register, &kept, Effort::default()),
        Outcome::Illegal(_)
    ));
}
