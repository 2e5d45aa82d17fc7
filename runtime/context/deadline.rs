//! Derives a context that is done at a time.
//!
//! Go counterpart: `WithDeadline`, `WithTimeout`, `timerCtx` (`context.go`).
//!
//! D1. A context refers to its timer by a weak reference to the heap, and the timer to it by a weak reference to its
//!     core: neither keeps the other.
//! D2. A timer that fires before its time fires because its runtime ends. Then the context is cancelled, and does not
//!     say that the deadline is over: nobody is left waiting for ever, nor told a lie.
//!
//! ```text
//!   with_deadline ─▶ parent's is earlier? ─ yes ─▶ with_cancel
//!                        └─ no ─▶ over? ─ yes ─▶ done at once
//!                                   └─ no ─▶ armed ──fire──▶ DeadlineExceeded        cancel, drop: disarmed
//! ```
//!
//! Absent: a task for each deadline; the timer's waker ends the core itself.

use super::cancel::{CancelFunc, with_cancel};
use super::tree::{Cause, Core, Ended};
use super::{Context, ContextError, Kind};
use crate::sched::current;
use crate::sched::timing::{Armed, arm_on};
use crate::sys::clock::{self, NEVER, Nanos};
use crate::timers::{Key, Timers};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

/// Returns a context that is done at `t`, with [`ContextError::DeadlineExceeded`], or before: when it is cancelled by
/// the function returned, or when `ctx` is done.
///
/// It never blocks. If `ctx` has an earlier deadline, that is kept. If `t` is over, the context is done at once. It is
/// never done early; [`Context::err`] tells once the timer has fired, which may be a little later.
///
/// Cancel it as soon as nobody needs it: that frees the timer.
///
/// # Panics
///
/// If a timer has to be set, outside of a task and of a `block_on`.
///
/// # Examples
///
/// ```
/// use gmprt::context::{self, ContextError};
/// use std::time::{Duration, Instant};
///
/// gmprt::run(async {
///     let t = Instant::now() + Duration::from_millis(2);
///     let (ctx, _cancel) = context::with_deadline(&context::background(), t);
///     assert_eq!(ctx.deadline(), Some(t));
///     ctx.done().await;
///     assert!(Instant::now() >= t);
///     assert_eq!(ctx.err(), Some(ContextError::DeadlineExceeded));
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// The timer is the runtime's. If that ends before, the context is cancelled; the cause says so.
#[doc(alias = "WithDeadline")]
#[track_caller]
pub fn with_deadline(ctx: &Context, t: Instant) -> (Context, CancelFunc) {
    derive(ctx, t, None)
}

/// As [`with_deadline`]; when the time has come, [`Context::cause`] is `cause`.
///
/// It never blocks.
///
/// # Panics
///
/// As [`with_deadline`].
///
/// # Examples
///
/// ```
/// use gmprt::context;
/// use std::time::Instant;
///
/// let (ctx, _) = context::with_deadline_cause(&context::background(), Instant::now(), "too slow");
/// assert_eq!(ctx.cause().unwrap().to_string(), "too slow");
/// ```
#[doc(alias = "WithDeadlineCause")]
#[track_caller]
pub fn with_deadline_cause(
    ctx: &Context,
    t: Instant,
    cause: impl Into<Box<dyn Error + Send + Sync>>,
) -> (Context, CancelFunc) {
    derive(ctx, t, Some(Arc::from(cause.into())))
}

/// As [`with_deadline`], at `d` from now. With a `d` for which there is no `Instant`, such as [`Duration::MAX`], it
/// is [`with_cancel`].
///
/// It never blocks.
///
/// # Panics
///
/// As [`with_deadline`].
///
/// # Examples
///
/// ```
/// use gmprt::context::{self, ContextError};
/// use std::time::Duration;
///
/// let (ctx, _cancel) = context::with_timeout(&context::background(), Duration::ZERO);
/// assert_eq!(ctx.err(), Some(ContextError::DeadlineExceeded));
/// ```
#[doc(alias = "WithTimeout")]
#[track_caller]
pub fn with_timeout(ctx: &Context, d: Duration) -> (Context, CancelFunc) {
    match Instant::now().checked_add(d) {
        Some(t) => derive(ctx, t, None),
        None => with_cancel(ctx),
    }
}

/// As [`with_timeout`]; when the time has come, [`Context::cause`] is `cause`.
///
/// It never blocks.
///
/// # Panics
///
/// As [`with_deadline`].
///
/// # Examples
///
/// ```
/// use gmprt::context;
/// use std::time::Duration;
///
/// let (ctx, _) = context::with_timeout_cause(&context::background(), Duration::ZERO, "too slow");
/// assert_eq!(ctx.cause().unwrap().to_string(), "too slow");
/// ```
#[doc(alias = "WithTimeoutCause")]
#[track_caller]
pub fn with_timeout_cause(
    ctx: &Context,
    d: Duration,
    cause: impl Into<Box<dyn Error + Send + Sync>>,
) -> (Context, CancelFunc) {
    match Instant::now().checked_add(d) {
        Some(t) => derive(ctx, t, Some(Arc::from(cause.into()))),
        None => with_cancel(ctx),
    }
}

#[track_caller]
fn derive(ctx: &Context, t: Instant, cause: Option<Cause>) -> (Context, CancelFunc) {
    if ctx.deadline().is_some_and(|earlier| earlier < t) {
        return with_cancel(ctx);
    }
    let core = Core::below(ctx.core());
    let when = clock::nanos_of(t);
    if core.ended().is_none() {
        if when <= clock::now() {
            core.end(Ended { err: ContextError::DeadlineExceeded, cause });
        } else if when != NEVER {
            arm(&core, when, cause);
        }
    }
    (ctx.derive(Some(Arc::clone(&core)), Some(t), Kind::Deadline(t)), CancelFunc { core })
}

/// Whether something other than a cancel will end a context that has this deadline.
pub(super) fn is_bounded(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|t| clock::nanos_of(t) != NEVER)
}

#[track_caller]
fn arm(core: &Arc<Core>, when: Nanos, cause: Option<Cause>) {
    let shared = current::with(|cx| Arc::clone(&cx.shared))
        .expect("with_deadline: there is no gmprt runtime here: not in a task, and not in a block_on");
    let alarm = Arc::new(Alarm { core: Arc::downgrade(core), when, cause });
    match arm_on(&shared, when, Waker::from(alarm)) {
        Ok(Armed { home, key }) => core.keep_timer(Timer { home: Arc::downgrade(&home), key }),
        Err(_) => end_early(core),
    }
}

/// D2.
#[cold]
fn end_early(core: &Arc<Core>) {
    core.end(Ended { err: ContextError::Canceled, cause: Some(Arc::new(RuntimeEnded)) });
}

/// A timer in some heap, which ends the core that keeps this.
pub(super) struct Timer {
    home: Weak<Timers>,
    key: Key,
}

impl Timer {
    pub(super) fn disarm(self) {
        if let Some(home) = self.home.upgrade() {
            home.cancel(self.key);
        }
    }
}

/// The waker in the heap.
struct Alarm {
    core: Weak<Core>,
    when: Nanos,
    cause: Option<Cause>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        let Some(core) = self.core.upgrade() else { return };
        if clock::now() >= self.when {
            core.end(Ended { err: ContextError::DeadlineExceeded, cause: self.cause.clone() });
        } else {
            end_early(&core);
        }
    }
}

/// The cause of D2.
#[derive(Debug)]
struct RuntimeEnded;

impl fmt::Display for RuntimeEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime that kept the context's deadline has ended")
    }
}

impl Error for RuntimeEnded {}
