//! What an object does, as the search needs to know it.

use super::history::{Call, Position};
use std::hash::Hash;

/// A value that can be told from others by looking at the object: a number given to it by the reader of the history.
pub type Value = u32;

/// No value.
pub const NONE: Value = Value::MAX;

/// What the answers of others tell of an operation of unknown outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Became {
    /// It is of no consequence: whatever order there is, there is one in which it did not happen.
    Nothing,
    /// It happened, and a known call saw it: in every order it comes before that.
    Seen {
        /// Who saw it.
        by: u32,
        /// If there is an order, there is one in which it comes after this event; 0: nothing is known.
        from: Position,
    },
}

/// A sequential specification.
///
/// An action is an operation together with what was observed of its result. A few answers beyond [`step`](Spec::step) let the
/// search look ahead; each has a default that claims nothing, which is always right and sometimes slow.
///
/// The hooks [`needs`](Spec::needs), [`makes`](Spec::makes) and [`sight`](Spec::sight) describe objects in which a single value
/// is in sight at any time (a register, one key of a store, the holder of a mutex). They must agree with `step`: an action
/// that needs `v` is legal only where `v` is in sight; one that makes `v` leaves `v` in sight wherever it is legal; and one that
/// is not pure and makes nothing leaves what was in sight unless the object shows nothing at all. The value in sight is all there is to
/// the state, and two values that nobody needs or shuns are as good as each other.
pub trait Spec {
    /// The object's state: small and cheap to copy (a specification with big states numbers them).
    type State: Copy + Eq + Hash;
    /// An operation and what was observed of its result.
    type Action: Clone + PartialEq;

    /// Before the first operation.
    fn initial(&mut self) -> Self::State;

    /// The state after the action, if it is legal in this state. Of an action whose outcome is not known, `None` where it would
    /// change nothing: the search may as well leave it out.
    fn step(
        &mut self,
        state: Self::State,
        action: &Self::Action,
        known: bool,
    ) -> Option<Self::State>;

    /// Whether the action, with the result that was observed if it is known, changes nothing in any state in which it is legal.
    fn is_pure(&self, action: &Self::Action, known: bool) -> bool;

    /// How many bytes the specification takes to tell the states apart that were met.
    fn bytes(&self) -> usize {
        0
    }

    /// What the answers of others tell of operations of unknown outcome, for a history of these calls.
    fn settle(&self, _calls: &[Call<Self::Action>]) -> Vec<(u32, Became)> {
        Vec::new()
    }

    /// Looks at the calls of a history before it is searched, for what [`opens`](Spec::opens), [`comes_before`](Spec::comes_before),
    /// [`is_futile`](Spec::is_futile) and [`rank`](Spec::rank) say of it until the next one.
    ///
    /// # Errors
    /// A call for which there is no order.
    fn foresee(&mut self, _calls: &[Call<Self::Action>]) -> Result<(), u32> {
        Ok(())
    }

    /// The event before which an action has its turn in no order.
    fn opens(&self, _action: &Self::Action) -> Position {
        0
    }

    /// Whether one known action has its turn before another in every order.
    fn comes_before(&self, _first: &Self::Action, _then: &Self::Action) -> bool {
        false
    }

    /// Whether an action of unknown outcome that is legal in this state would leave a known one without a turn.
    fn is_futile(&self, _state: Self::State, _action: &Self::Action) -> bool {
        false
    }

    /// What had best be tried first: the least. Only a guess.
    fn rank(&self, _action: &Self::Action) -> Option<(u8, Position)> {
        None
    }

    /// How many values there are: those of actions are below it. 0: the object has none in sight.
    fn values(&self) -> usize {
        0
    }

    /// The value in sight in a state.
    fn sight(&self, _state: Self::State) -> Value {
        NONE
    }

    /// The value that must be in sight for the action to be legal, or [`NONE`].
    fn needs(&self, _action: &Self::Action) -> Value {
        NONE
    }

    /// The value that must *not* be in sight, or [`NONE`]; only pure actions may have one.
    fn shuns(&self, _action: &Self::Action) -> Value {
        NONE
    }

    /// The value in sight after the action, or [`NONE`].
    fn makes(&self, _action: &Self::Action) -> Value {
        NONE
    }
}
