//! Waits until a context is done.
//!
//! Go counterpart: `Context.Done`, a channel that is closed (`context.go`).
//!
//! ```text
//!   done ──poll──▶ ended? ─ yes ─▶ Ready, now and for ever
//!                    └──── no ──▶ in the queue of the core ─▶ Pending        drop: off the queue
//! ```
//!
//! Absent: an owned kind. Who has to keep one moves the context into an `async` block.

use super::Context;
use super::tree::{Core, State};
use crate::reason::Reason;
use crate::sync::preempt::{must_yield, or_waits, waits};
use crate::sync::wait_queue::{Enter, Waiter};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{self, Poll};

pin_project! {
    /// The future of [`Context::done`].
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context;
    ///
    /// let (ctx, cancel) = context::with_cancel(&context::background());
    /// cancel.cancel();
    /// gmprt::run(async move { ctx.done().await }).unwrap();
    /// ```
    #[must_use = "a future does nothing unless awaited"]
    pub struct Done<'c> {
        #[pin]
        waiting: Option<Waiting<'c>>,
    }
}

pin_project! {
    struct Waiting<'c> {
        core: &'c Core,
        #[pin]
        waiter: Waiter<'c, State, ()>,
    }
}

impl Context {
    /// Waits until the context is done: cancelled, or its deadline is over. On one that can't be cancelled it
    /// waits for ever.
    ///
    /// The task (G) blocks. Several may wait; they are woken latest first, so that on one P the one that has waited
    /// longest runs first (Go: `closechan`).
    ///
    /// Cancel safe: a dropped wait leaves nothing behind. Once ready it stays ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context::{self, ContextError};
    /// use std::time::Duration;
    ///
    /// gmprt::run(async {
    ///     let (ctx, _cancel) = context::with_timeout(&context::background(), Duration::from_millis(1));
    ///     ctx.done().await;
    ///     assert_eq!(ctx.err(), Some(ContextError::DeadlineExceeded));
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Differences from Go
    ///
    /// A future instead of a channel. Go's background context has a nil channel, which blocks for ever too.
    #[doc(alias = "cancelled")]
    #[doc(alias = "Done")]
    pub fn done(&self) -> Done<'_> {
        let waiting = self.core().map(|core| Waiting { core, waiter: Waiter::new(core.queue(), ()) });
        Done { waiting }
    }
}

impl Future for Done<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        let Some(waiting) = self.project().waiting.as_pin_mut() else {
            waits(Reason::ContextDone);
            return Poll::Pending;
        };
        let waiting = waiting.project();
        let core = *waiting.core;
        if core.ended().is_some() {
            return Poll::Ready(());
        }
        let outcome = waiting.waiter.poll(cx, |_, _, _| match core.ended() {
            Some(_) => Enter::Pass,
            None => Enter::AtBack,
        });
        or_waits(outcome.map(|_| ()), Reason::ContextDone)
    }
}

impl fmt::Debug for Done<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.waiting.as_ref().is_some_and(|waiting| waiting.core.ended().is_some());
        f.debug_struct("Done").field("done", &done).finish_non_exhaustive()
    }
}
