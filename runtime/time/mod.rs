//! Time: waits, deadlines, ticks, and calls that come later.
//!
//! Go counterpart: package `time` (`sleep.go`, `tick.go`), over the runtime's `time.go`.
//!
//! A wait blocks the task (G) and nothing else: its waker lies in the heap of timers of some P, and whoever looks for
//! work, or sleeps for want of it, looks at the heaps too. Nothing here is ever early; how late it is depends on how
//! busy the Ps are. All deadlines are of the monotonic clock.
//!
//! Z1. A time that the clock has not reached is never taken for over: each future here asks the clock, and takes a
//!     wake for no more than a reason to ask.
//! Z2. An alarm that is set is armed at its future's deadline or before it, has fired, or was closed with its
//!     runtime; in each of these cases its waker has been woken or will be. It may be missing only in the last poll
//!     of a task that a shutdown cancels.
//! Z3. It disarms its timer when it is dropped.
//!
//! ```text
//!   Sleep ◀── Timeout          Tick ◀── Ticker           Timer ──▶ its function, as a waker
//!     └──────────▶ Alarm ◀──────┘                          │       after() ──▶ its channel, likewise
//!                    └── set ──▶ sched/timing.rs ◀─────────┘──▶ some P's timers.rs
//! ```
//!
//! Absent: wall time, time zones, and Go's `time.Tick`.

mod after;
mod after_func;
mod sleep;
mod ticker;
mod timeout;

pub use after::after;
pub use after_func::{Timer, after_func};
pub use sleep::{Sleep, sleep, sleep_until};
pub use ticker::{Tick, Ticker, interval};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};

use crate::sched::current;
use crate::sched::timing::{self, ArmError, Armed};
use crate::sys::clock::Nanos;
use crate::timers::Updated;
use std::task::Waker;

/// A timer of some P that wakes a future, if one is armed.
struct Alarm {
    set: Option<(Armed, Nanos)>,
}

impl Alarm {
    const fn new() -> Self {
        Self { set: None }
    }

    /// Wakes `waker` at `when`, or before it: an earlier time that is armed already does (Z2).
    ///
    /// Panics, in the name of `who`, if there is no runtime to do it. In a task that a shutdown is about to cancel
    /// it does nothing.
    fn set(&mut self, when: Nanos, waker: &Waker, who: &str) {
        if let Some((armed, at)) = &self.set
            && *at <= when
        {
            match armed.home.update(armed.key, waker) {
                Updated::Armed => return,
                Updated::Fired => {}
                Updated::Closed if is_doomed() => return,
                Updated::Closed => panic!("{who}: the runtime whose timer this is has shut down"),
            }
        }
        self.clear();
        match timing::arm(when, waker.clone()) {
            Ok(armed) => self.set = Some((armed, when)),
            Err(ArmError::NoRuntime) => {
                panic!("{who}: there is no gmprt runtime here: not in a task, and not in a block_on")
            }
            Err(ArmError::Closed) if is_doomed() => {}
            Err(ArmError::Closed) => panic!("{who}: the runtime here has shut down"),
        }
    }

    /// The deadline has become `when`, and the future may not be polled before it: if the alarm is set for later,
    /// its future is woken now, and sets it anew.
    fn bring_forward(&mut self, when: Nanos) {
        if let Some((armed, at)) = &self.set
            && when < *at
        {
            let waker = armed.home.disarm(armed.key);
            self.set = None;
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn clear(&mut self) {
        if let Some((armed, _)) = self.set.take() {
            armed.home.cancel(armed.key);
        }
    }
}

/// Whether the poll in progress is the last one of its task: the runtime shuts down, and cancels the task when the
/// poll returns.
fn is_doomed() -> bool {
    current::with(|cx| cx.task().is_some() && cx.shared.is_closing()).unwrap_or(false)
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear(); // Z3
    }
}
