//! Sets a timer: picks the heap, and wakes whoever would sleep past it.
//!
//! Go counterpart: `newtimer`, `timer.maybeAdd`, `wakeNetPoller` (`time.go`, `proc.go`).
//!
//! Absent: what a timer is for, which is the waker's business, and the heap (`timers.rs`).

use super::Shared;
use super::bedtime;
use super::current::{self, Context};
use super::machine::LEAVE;
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
    current::with(|cx| cx.shared.arm_by(cx, when, waker)).unwrap_or(Err(ArmError::NoRuntime))
}

/// Sets a timer on the runtime `shared`, from any thread.
pub(crate) fn arm_on(shared: &Arc<Shared>, when: Nanos, waker: Waker) -> Result<Armed, ArmError> {
    let in_it = current::with(|cx| Arc::ptr_eq(&cx.shared, shared)).unwrap_or(false);
    if in_it { arm(when, waker) } else { shared.arm_at(0, when, waker, false) }
}

impl Shared {
    fn arm_by(&self, cx: &Context, when: Nanos, waker: Waker) -> Result<Armed, ArmError> {
        if cx.m.is_asked_to(LEAVE) {
            cx.shared.leave_p(cx);
        }
        match cx.with_p(|p| p.id.index()) {
            Some(own) => self.arm_at(own, when, waker, cx.is_m),
            None => self.arm_at(cx.m.id.as_u32() as usize % self.procs.len(), when, waker, false),
        }
    }

    /// `served`: the P's own M sets the timer. It looks at its heap when its poll is over, so that sysmon need be roused
    /// only if it then begins another poll (schedule.rs): it goes idle more often than not, and watches the timer itself.
    fn arm_at(&self, p: usize, when: Nanos, waker: Waker, served: bool) -> Result<Armed, ArmError> {
        let home = &self.procs[p].timers;
        let key = home.insert(when, waker).ok_or(ArmError::Closed)?;
        bedtime::timer_is_set();
        self.procs[p].notice.raise(bedtime::TIMERS);
        self.tell_of_timer(when, served);
        Ok(Armed { home: Arc::clone(home), key })
    }
}
