//! What a leaf future says beside `Pending`: that its poll's time slice was over, or what it waits for.
//!
//! Go counterpart: `preemptone`, `gopreempt_m`, and the `waitReason` that `gopark` is given (`proc.go`). Go interrupts; here
//! the next leaf future of ours that is polled says `Pending` once.
//!
//! ```text
//!   sysmon: one schedtick for 10 ms ─▶ m.ask(YIELD) ─▶ a leaf's poll: must_yield ─▶ Pending, and the task, which is
//!                                                     queued at once, goes to the injector's tail
//! ```
//!
//! L1. A leaf asks before it looks whether it is ready, so that nothing is taken and then left.
//! L2. A future that was made to yield has not been refused anything: who decides on a refusal (a timeout that has
//!     elapsed, the `default` of a select) asks [`yields`] before it polls the future and after.
//! L3. The wake is the waker's with which the leaf was polled. That may be nobody's: who returns `Pending` on account of L2
//!     sees to its own wake.
//! L4. A leaf that returns `Pending` because it waits says for what ([`waits`]). The last to say so in a poll has the word. Who
//!     polls a future for another reason than to wait for it does not let it speak: it would be believed.
//!
//! Absent: a budget of operations, such as tokio's 128: a slice is time.

use super::current::{self, note_yield};
use super::machine::{HAND_OFF, YIELD};
use crate::reason::Reason;
use std::task::{Context, Poll};

/// Whether the poll in progress is to end: the leaf returns `Pending`. It is polled again without its doing.
#[inline]
pub(crate) fn must_yield(polling: &Context<'_>) -> bool {
    current::with(|cx| cx.m.is_asked_to(YIELD | HAND_OFF)).unwrap_or(false) && yield_now(polling)
}

#[cold]
fn yield_now(polling: &Context<'_>) -> bool {
    current::with(|cx| {
        cx.set_yielding(cx.m.is_asked_to(YIELD));
        cx.m.forget_asked();
    });
    if !note_yield(polling.waker()) {
        polling.waker().wake_by_ref();
    }
    true
}

/// The poll in progress has handed something over: its next leaf yields, to its P's tail, so that the task which got
/// it, and is in `runnext`, runs at once. Go: the `goyield` of `sema.go: semrelease1`.
///
/// In a `block_on` that is no task's, and on a foreign thread, nothing has to be done: it runs beside the Ps.
pub(crate) fn hand_off() {
    current::with(|cx| {
        if cx.task().is_some() {
            cx.m.ask(HAND_OFF);
        }
    });
}

/// The poll in progress waits for this (L4). On a thread that is none of ours it says so to nobody.
#[inline]
pub(crate) fn waits(reason: Reason) {
    current::with(|cx| cx.set_reason(reason));
}

/// `polled`; if it is `Pending`, then because it waits for this.
#[inline]
pub(crate) fn or_waits<T>(polled: Poll<T>, reason: Reason) -> Poll<T> {
    if polled.is_pending() {
        waits(reason);
    }
    polled
}

/// How often polls on this thread were made to yield: more than before a future was polled, and it is this that said
/// `Pending`, or something within.
pub fn yields() -> u32 {
    current::with(|cx| cx.yields()).unwrap_or(0)
}
