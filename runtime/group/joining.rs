//! Waits until a task of a group has ended, or all have.
//!
//! Go counterpart: `sync.WaitGroup.Wait` in `errgroup.Group.Wait`, which waits for all only.
//!
//! ```text
//!   poll ─▶ lock ─ anything to take? ─ yes ─▶ Ready        drop: takes its waker away again
//!                        └─ no ─▶ `joiner` ─▶ Pending
//! ```
//!
//! Absent: a line of joiners, for a join has `&mut` of its group; and the results, which are taken afterwards and at
//! once, so that a join that is dropped has taken nothing.

use super::member::{Joiner, Shared, State};
use crate::reason::Reason;
use crate::sync::preempt::{must_yield, waits};
use std::pin::Pin;
use std::task::{self, Poll};

/// Waits until a task has ended, or all have.
pub(super) struct Joining<'g, T> {
    pub(super) shared: &'g Shared<T>,
    pub(super) for_all: bool,
}

impl<T> Joining<'_, T> {
    fn is_over(&self, state: &State<T>) -> bool {
        state.live.is_empty() || !self.for_all && !state.ended.is_empty()
    }
}

impl<T> Future for Joining<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        if self.is_over(&self.shared.locked()) {
            return Poll::Ready(());
        }
        let joiner = Joiner { waker: cx.waker().clone(), for_all: self.for_all };
        let mut state = self.shared.locked();
        if self.is_over(&state) {
            drop(state); // before the waker
            return Poll::Ready(());
        }
        let old = state.joiner.replace(joiner);
        drop(state);
        drop(old);
        waits(Reason::Group);
        Poll::Pending
    }
}

impl<T> Drop for Joining<'_, T> {
    fn drop(&mut self) {
        let joiner = self.shared.locked().joiner.take();
        drop(joiner); // with the lock released
    }
}
