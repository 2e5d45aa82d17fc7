//! Sets a timer: picks the heap, and wakes whoever would sleep past it.
//!
//! Go counterpart: `newtimer`, `timer.maybeAdd`, `wakeNetPoller` (`time.go`, `proc.go`).
//!
//! Absent: what a timer is for, which is the waker's business, and the heap (`timers.rs`).

use super::Shared;
use super::bedtime;
use super::current::{self, Context, with_p};
use crate::sys::clock::Nanos;
use crate::timers::{Key, Timers};
use std::sync::Arc;
use std::task::Waker;

/// A timer that is set: which heap it is in, and where.
pub(crate) struct Armed {
    pub(crate) home: Arc<Timers>,
    pub(crate) key: Key,
}

/// Why no timer could be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArmError {
    /// The caller is in no runtime.
    NoRuntime,
    /// The runtime shuts down.
    Closed,
}

/// Sets a timer on the current runtime: on the P that the caller holds, if it holds one.
pub(crate) fn arm(when: Nanos, waker: Waker) -> Result<Armed, ArmError> {
    current::with(|cx| cx.shared.arm_at(home_of(cx), when, waker)).unwrap_or(Err(ArmError::NoRuntime))
}

/// Sets a timer on the runtime `shared`, from any thread.
pub(crate) fn arm_on(shared: &Arc<Shared>, when: Nanos, waker: Waker) -> Result<Armed, ArmError> {
    let home = current::with(|cx| Arc::ptr_eq(&cx.shared, shared).then(|| home_of(cx))).flatten();
    shared.arm_at(home.unwrap_or(0), when, waker)
}

fn home_of(cx: &Context) -> usize {
    let own = with_p(Arc::as_ptr(&cx.shared), |p| p.id.index());
    own.unwrap_or(cx.m.id.as_u32() as usize % cx.shared.procs.len())
}

impl Shared {
    fn arm_at(&self, p: usize, when: Nanos, waker: Waker) -> Result<Armed, ArmError> {
        let home = &self.procs[p].timers;
        let key = home.insert(when, waker).ok_or(ArmError::Closed)?;
        bedtime::timer_is_set();
        self.tell(when);
        Ok(Armed { home: Arc::clone(home), key })
    }
}
