//! Waits until a time.
//!
//! Go counterpart: `time.Sleep` (`time.go: timeSleep`), and `time.NewTimer` where it is kept and reset.
//!
//! S1. `when` is `deadline` as the timers know it, and `NEVER` where there is none.
//!
//! ```text
//!   sleep(d) ──poll──▶ over? ─ yes ─▶ Ready, the alarm is cleared
//!                        └──── no ──▶ the alarm is set to `when` ─▶ Pending        drop: cleared
//! ```
//!
//! Absent: a timer for a sleep that nobody has polled.

use super::Alarm;
use crate::reason::Reason;
use crate::sched::preempt::{must_yield, waits};
use crate::sys::clock::{self, NEVER, Nanos};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Waits for `d`, counted from this call.
///
/// The task (G) blocks. With no time at all it is ready at the first poll; with [`Duration::MAX`] never.
///
/// Cancel safe: a dropped sleep leaves nothing behind, and its waker is dropped with it.
///
/// # Panics
///
/// When it is polled before its time outside of a task and of a `block_on`; when it is polled before its time and the
/// runtime in which it began to wait has shut down. (Not in that runtime's own tasks, which the shutdown cancels.)
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let begun = Instant::now();
/// gmprt::run(gmprt::time::sleep(Duration::from_millis(5))).unwrap();
/// assert!(begun.elapsed() >= Duration::from_millis(5));
/// ```
///
/// # Differences from Go
///
/// The time is counted from the call, not from when it is awaited. Go's `Sleep` can't be reset.
#[doc(alias = "timeSleep")]
pub fn sleep(d: Duration) -> Sleep {
    Sleep::until(Instant::now().checked_add(d))
}

/// Waits until `t`.
///
/// As [`sleep`]; if `t` is over, it is ready at the first poll.
///
/// Cancel safe, as [`sleep`].
///
/// # Panics
///
/// As [`sleep`].
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let t = Instant::now() + Duration::from_millis(5);
/// gmprt::run(gmprt::time::sleep_until(t)).unwrap();
/// assert!(Instant::now() >= t);
/// ```
pub fn sleep_until(t: Instant) -> Sleep {
    Sleep::until(Some(t))
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It may be kept, polled by one task and then by another, and [`reset`](Sleep::reset).
///
/// # Examples
///
/// ```
/// use gmprt::time::sleep;
/// use std::time::{Duration, Instant};
///
/// gmprt::run(async {
///     let mut idle = sleep(Duration::MAX);
///     idle.reset(Instant::now() + Duration::from_millis(1));
///     (&mut idle).await;
///     assert!(idle.is_elapsed());
/// })
/// .unwrap();
/// ```
#[must_use = "a future does nothing unless awaited"]
pub struct Sleep {
    deadline: Option<Instant>,
    when: Nanos,
    alarm: Alarm,
}

impl Sleep {
    fn until(deadline: Option<Instant>) -> Self {
        let when = deadline.map_or(NEVER, clock::nanos_of); // S1
        Self { deadline, when, alarm: Alarm::new() }
    }

    /// When it is over; `None` if no `Instant` is so late.
    ///
    /// Blocks nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::time::{sleep, sleep_until};
    /// use std::time::{Duration, Instant};
    ///
    /// let t = Instant::now();
    /// assert_eq!(sleep_until(t).deadline(), Some(t));
    /// assert_eq!(sleep(Duration::MAX).deadline(), None);
    /// ```
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether its time has come, polled or not.
    ///
    /// Blocks nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::time::sleep;
    /// use std::time::Duration;
    ///
    /// assert!(sleep(Duration::ZERO).is_elapsed());
    /// assert!(!sleep(Duration::MAX).is_elapsed());
    /// ```
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        clock::now() >= self.when
    }

    /// Waits until `t` instead, also if it was over already.
    ///
    /// Blocks nothing. A task that awaits it, elsewhere than where it is reset, waits until `t`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// let mut sleep = gmprt::time::sleep(Duration::ZERO);
    /// let later = Instant::now() + Duration::from_secs(3600);
    /// sleep.reset(later);
    /// assert_eq!((sleep.deadline(), sleep.is_elapsed()), (Some(later), false));
    /// ```
    ///
    /// # Differences from Go
    ///
    /// `Timer.Reset` says whether the timer was active; ask [`is_elapsed`](Self::is_elapsed) before.
    pub fn reset(&mut self, t: Instant) {
        self.deadline = Some(t);
        self.when = clock::nanos_of(t);
        self.alarm.bring_forward(self.when);
    }

    /// Makes sure that the task is polled again, when the time has come or, if it has, at once.
    pub(super) fn see_to_a_wake(&mut self, cx: &mut Context<'_>) {
        if self.is_elapsed() {
            cx.waker().wake_by_ref();
        } else {
            self.alarm.set(self.when, cx.waker(), "timeout");
        }
    }

    /// Polls it in the name of `who`, which waits for `reason`; none: for what it has said already.
    pub(super) fn poll_as(&mut self, cx: &mut Context<'_>, who: &str, reason: Option<Reason>) -> Poll<()> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        if self.is_elapsed() {
            self.alarm.clear();
            return Poll::Ready(());
        }
        self.alarm.set(self.when, cx.waker(), who);
        if let Some(reason) = reason {
            waits(reason);
        }
        Poll::Pending
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_as(cx, "sleep", Some(Reason::Sleep))
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .field("elapsed", &self.is_elapsed())
            .finish_non_exhaustive()
    }
}
