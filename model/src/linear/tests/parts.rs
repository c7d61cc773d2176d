//! Parts against the definition of each.

use super::*;

/// What is said of several objects must be so of each, whatever effort there was; and with enough of it, something is said.
fn agree_on_parts(
    histories: Vec<History<RegisterAction>>,
    effort: Option<u64>,
) -> Result<(), TestCaseError> {
    let mut parts: Vec<_> = (histories.into_iter())
        .map(|history| (Register { values: 3 }, history))
        .collect();
    let legal: Vec<bool> = parts
        .iter_mut()
        .map(|(spec, history)| brute_force(spec, history))
        .collect();
    let all_legal = legal.iter().all(|legal| *legal);
    match check_parts(&mut parts, effort.map_or_else(Effort::default, Effort)) {
        None => prop_assert!(all_legal, "accepted: {legal:?}"),
        Some((at, Outcome::Illegal(why))) => {
            prop_assert!(!legal[at], "part {at} was refused: {why:?}");
        }
        Some((_, Outcome::Legal(_))) => prop_assert!(false, "what is legal is not named"),
        Some((_, Outcome::Unknown { .. })) => prop_assert!(effort.is_some(), "no answer"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn several_registers(
        all in proptest::collection::vec((drawn(register_action(3)), 2usize..5), 1..4),
        effort in proptest::option::of(0u64..20),
    ) {
        let histories = all.into_iter().map(|(actions, clients)| lay_out(actions, clients));
        agree_on_parts(histories.collect(), effort)?;
    }
}
