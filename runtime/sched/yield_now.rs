//! A task gives way to others.
//!
//! Go counterpart: `runtime.Gosched` (`proc.go: goschedImpl`).
//!
//! Absent: the waker, where there is no need of one: the scheduler is told, and queues the task itself.

use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets other tasks run, and goes on later.
///
/// Blocks nothing: the task goes to the tail of its P's queue, or of the injector if tasks from elsewhere wait
/// there, and is polled again in its turn. In a `block_on`, or under a combinator with a waker of its own, it
/// wakes that waker.
///
/// # Cancel safety
///
/// Dropping it before it is ready leaves nothing behind.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// gmprt::run(async {
///     for _ in 0..3 {
///         gmprt::yield_now().await;
///     }
/// })
/// # }
/// ```
///
/// # Differences from Go
///
/// `Gosched` always goes to the global queue. Where nothing else waits there the order is the same.
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "a future does nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        if !crate::sched::current::note_yield(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
