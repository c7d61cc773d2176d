//! Waiting for several futures at once, on any executor and always in the same order: the first named is polled first.
//! (The macros of the usual runtimes draw the order, which no deterministic program can have.)

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Which of two futures was done first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Either<A, B> {
    /// The one named first, also if both were ready.
    First(A),
    /// The other.
    Second(B),
}

/// Waits for whichever is done first and drops the other. If both are ready, it is the first.
pub async fn select<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if let Poll::Ready(value) = first.as_mut().poll(cx) {
            return Poll::Ready(Either::First(value));
        }
        second.as_mut().poll(cx).map(Either::Second)
    })
    .await
}

/// Waits for both.
pub async fn join<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut a, mut b) = (None, None);
    poll_fn(|cx| {
        poll_once(&mut a, first.as_mut(), cx);
        poll_once(&mut b, second.as_mut(), cx);
        match (a.take(), b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (not_yet_a, not_yet_b) => {
                (a, b) = (not_yet_a, not_yet_b);
                Poll::Pending
            }
        }
    })
    .await
}

/// Waits for all; the results are in the order of the futures.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut values: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (value, future) in values.iter_mut().zip(&mut all) {
            poll_once(value, future.as_mut(), cx);
        }
        if values.iter().any(Option::is_none) {
            return Poll::Pending;
        }
        Poll::Ready(values.iter_mut().filter_map(Option::take).collect())
    })
    .await
}

/// Polls a future that has no value yet.
fn poll_once<F: Future>(
    value: &mut Option<F::Output>,
    future: Pin<&mut F>,
    cx: &mut std::task::Context<'_>,
) {
    if value.is_none()
        && let Poll::Ready(ready) = future.poll(cx)
    {
        *value = Some(ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::task::{Context, Waker};

    fn now<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_first_named_wins_a_tie() {
        assert_eq!(now(select(ready(1), ready(2))), Some(Either::First(1)));
        assert_eq!(
            now(select(pending::<u8>(), ready(2))),
            Some(Either::Second(2))
        );
    }

    #[test]
    fn a_join_waits_for_all_and_keeps_the_order() {
        assert_eq!(now(join(ready(1), ready(2))), Some((1, 2)));
        assert_eq!(now(join(ready(1), pending::<u8>())), None);
        assert_eq!(now(join_all([ready(3), ready(1)])), Some(vec![3, 1]));
    }
}
