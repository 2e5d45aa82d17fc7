//! The handle of a task as a future: waits for the task's end, and says so.
//!
//! Go counterpart: none; see `cell/join.rs`, which does the work and knows nothing of the thread that polls.
//!
//! Absent: a question whether the time slice is over. A handle is ready once.

use super::preempt::waits;
use crate::cell::join::JoinHandle;
use crate::error::JoinError;
use crate::reason::Reason;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.must_wait(cx.waker()) {
            waits(Reason::Join);
            return Poll::Pending;
        }
        Poll::Ready(self.take_end())
    }
}
