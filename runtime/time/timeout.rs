//! A future with a deadline.
//!
//! Go counterpart: none as such; `select` of a channel and `time.After`, or `context.WithTimeout`.
//!
//! O1. The future is asked before the clock: what is ready in time's last moment is not thrown away.
//! O2. If the future is pending because the scheduler made it yield, the clock is not asked: the future gets its
//!     poll first. One that was made to yield before, beside this one, says nothing about this one: under a
//!     combinator with wakers of its own only that one would be polled again, so the deadline must be armed.
//!
//! ```text
//!   poll: future ─ ready ─▶ Ok(output)
//!            └─ pending ─ made to yield by that? ─ yes ─▶ Pending
//!                              └─────────────────── no ──▶ deadline ─ over ─▶ Err(Elapsed)   else Pending
//! ```
//!
//! Absent: a way to stop the future. It is dropped with the timeout, and has no say in it.

use super::sleep::{Sleep, sleep, sleep_until};
use crate::reason::Reason;
use crate::sched::preempt::{waits, yields};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Runs `future` for `d` at most, counted from this call.
///
/// The task (G) blocks as `future` makes it block. The future is polled first, even at zero: what is ready by
/// then is not thrown away.
///
/// Cancel safe if `future` is. The deadline does not tell the future: it is dropped, as the rest of an `async`
/// block is by any other cancellation.
///
/// # Errors
///
/// [`Elapsed`], if the time is up and the future is not ready. The future is dropped with the timeout, so at the
/// end of its `await`.
///
/// # Panics
///
/// As [`sleep`](super::sleep()), and as `future`.
///
/// # Examples
///
/// ```
/// use gmprt::time::{sleep, timeout};
/// use std::time::Duration;
///
/// gmprt::run(async {
///     assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7));
///     let long = sleep(Duration::from_secs(3600));
///     assert!(timeout(Duration::from_millis(1), long).await.is_err());
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// A goroutine can't be abandoned from outside; there the work has to watch a context.
pub fn timeout<F: Future>(d: Duration, future: F) -> Timeout<F> {
    Timeout { delay: sleep(d), future }
}

/// Runs `future` until `t` at most.
///
/// As [`timeout`].
///
/// Blocks, and is cancel safe, as [`timeout`].
///
/// # Errors
///
/// As [`timeout`].
///
/// # Panics
///
/// As [`timeout`].
///
/// # Examples
///
/// ```
/// use gmprt::time::timeout_at;
/// use std::time::Instant;
///
/// let late = gmprt::run(timeout_at(Instant::now(), std::future::pending::<()>()));
/// assert_eq!(late.unwrap().unwrap_err().to_string(), "the deadline has elapsed");
/// ```
pub fn timeout_at<F: Future>(t: Instant, future: F) -> Timeout<F> {
    Timeout { delay: sleep_until(t), future }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "a future does nothing unless awaited"]
    pub struct Timeout<F> {
        delay: Sleep,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let yields_before = yields();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output)); // O1
        }
        if yields() != yields_before {
            this.delay.see_to_a_wake(cx);
            return Poll::Pending; // O2
        }
        // While it waits, then for what the future has said.
        this.delay.poll_as(cx, "timeout", None).map(|()| {
            waits(Reason::Unsaid);
            Err(Elapsed(()))
        })
    }
}

/// The deadline was over before the future was ready.
///
/// # Examples
///
/// ```
/// use gmprt::time::timeout;
/// use std::time::Duration;
///
/// let late = gmprt::run(timeout(Duration::ZERO, std::future::pending::<()>())).unwrap();
/// assert_eq!(late.unwrap_err().to_string(), "the deadline has elapsed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}
