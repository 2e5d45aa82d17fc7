//! What loom sees of the tree: cancels against derivations, waits, and each other.

use super::super::{ContextError, background, with_cancel};
use super::*;
use crate::models::frame::Count;
use loom::thread;
use std::pin::Pin;
use std::task::{Context, Waker};

/// A wait that begins while the context is cancelled: it is ready, or it is woken.
#[test]
fn a_wait_is_not_missed_by_a_cancel() {
    loom::model(|| {
        let (ctx, cancel) = with_cancel(&background());
        let other = thread::spawn(move || cancel.cancel());
        let woken = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut dropped = Box::pin(ctx.done());
        let _ = dropped.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut done: Pin<Box<_>> = Box::pin(ctx.done());
        let first = done.as_mut().poll(&mut Context::from_waker(&waker));
        drop(dropped);
        other.join().unwrap();
        if first.is_pending() {
            assert_eq!(woken.get(), 1);
            assert!(done.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        }
        assert_eq!(ctx.err(), Some(ContextError::Canceled));
    });
}

/// One is derived while the one above is cancelled, and one while it is dropped.
fn derive_against_cancel() {
    loom::model(|| {
        let (above, cancel) = with_cancel(&background());
        let ctx = above.clone();
        let other = thread::spawn(move || {
            let (below, _) = with_cancel(&ctx);
            let (gone, _) = with_cancel(&ctx);
            drop(gone);
            below
        });
        cancel.cancel_cause("why");
        let below = other.join().unwrap();
        assert_eq!(below.err(), Some(ContextError::Canceled));
        assert_eq!(below.cause().unwrap().to_string(), "why");
        assert_eq!(above.core().unwrap().queue.with(|state, _| state.children.len()), 0);
    });
}

#[test]
fn what_is_derived_from_a_context_that_is_being_cancelled_is_cancelled() {
    derive_against_cancel();
}

#[test]
fn canary_a_child_must_not_be_hung_on_a_context_that_has_ended() {
    weaken::without("Core::hang", derive_against_cancel);
}

/// Whether it has ended, looked at under its lock: loom does not see a look at `ended` alone.
fn has_ended(ctx: &super::super::Context) -> bool {
    ctx.core().unwrap().queue.with(|_, _| ctx.err().is_some())
}

/// Two cancel the same tree: whoever returns, all below is done, and with one error for all.
fn two_cancels() {
    loom::model(|| {
        let (above, cancel) = with_cancel(&background());
        let (middle, cancel_middle) = with_cancel(&above);
        let (below, _) = with_cancel(&middle);
        let seen = below.clone();
        let other = thread::spawn(move || {
            cancel_middle.cancel_cause("middle");
            assert!(has_ended(&seen));
        });
        cancel.cancel_cause("above");
        assert!(has_ended(&below) && has_ended(&middle));
        other.join().unwrap();
        assert_eq!(above.cause().unwrap().to_string(), "above");
        assert_eq!(middle.cause().unwrap().to_string(), below.cause().unwrap().to_string());
    });
}

#[test]
fn all_below_is_done_when_either_of_two_cancels_returns() {
    two_cancels();
}

#[test]
fn canary_who_finds_a_context_cancelled_must_walk_down_all_the_same() {
    weaken::without("Core::mark", two_cancels);
}
