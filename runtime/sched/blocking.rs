//! A P changes hands: its M is about to block, or has come back.
//!
//! Go counterpart: `handoffp`, `entersyscallblock`, `exitsyscall` (`proc.go`).
//!
//! ```text
//!   declare ─▶ lease given up ─▶ handoff_p: work for it? ── yes ─▶ start_m
//!                                                  └─ no ──▶ idle, FENCE-PARK, one more look
//!   …blocks…
//!   resume ─▶ old P idle? any idle? ── yes ─▶ lent again
//!                     └─ no ─▶ an M waits in line (served before a P goes idle, and at each 61st tick)
//! ```
//!
//! Z1. Between `declare` and its end the M touches no P of that context: `with_p` finds nothing lent.
//! Z2. An M that closing finds in line goes on without a P, as one whose P was revoked.
//!
//! Absent: the retake of a P after 20 µs of a short call (Go's `entersyscall`), which needs sysmon.

use super::Shared;
use super::current::{self, Context};
use super::ids::ProcessorId;
use super::processor::OwnedP;
use std::sync::Arc;

/// A task's M has declared that it blocks; dropped when it has ceased to.
#[must_use]
pub(crate) struct Declared {
    context: Option<(*const Context, ProcessorId)>,
}

/// Declares that the calling thread will block, if it is in a poll with a P. Go: `entersyscallblock`.
#[doc(alias = "entersyscallblock")]
pub(crate) fn declare() -> Declared {
    let context = current::with(|cx| {
        let p = cx.take_lent()?;
        let id = p.id;
        cx.m.unpin();
        cx.shared.retakes.handed_off.add_shared(1);
        cx.shared.handoff_p(p);
        Some((std::ptr::from_ref(cx), id))
    });
    Declared { context: context.flatten() }
}

impl Drop for Declared {
    #[doc(alias = "exitsyscall")]
    fn drop(&mut self) {
        let Some((declared, lost)) = self.context else { return };
        current::with(|cx| {
            debug_assert!(std::ptr::eq(declared, cx), "contexts are left in the order they were entered");
            let idle = cx.shared.lists().take_idle_p_like(&cx.shared, lost);
            // A caller of block_on waits for no P: it can go on without one, and is never pinned.
            let p = if cx.is_m { idle.or_else(|| cx.shared.wait_in_line(&cx.m)) } else { idle };
            if let Some(p) = p {
                if cx.is_m {
                    cx.shared.pin_always(&cx.m, &p);
                }
                cx.lend_again(p);
            }
        });
    }
}

impl Shared {
    /// Finds something to do for a P whose M will not use it: an M, if there is work. Go: `handoffp`.
    #[doc(alias = "handoffp")]
    pub(crate) fn handoff_p(self: &Arc<Self>, p: OwnedP) {
        if self.is_closing() {
            return self.retire_p(p);
        }
        if p.has_work() || self.injector.len() > 0 {
            return self.start_m(p, None);
        }
        let in_line = self.lists().release_p(self, p);
        if let Some(m) = in_line {
            m.wake(self);
        }
        self.census.before_last_look();
        if self.work_anywhere() {
            self.wake_p();
        }
    }

    /// While the runtime closes: empties the P's queues and lists it idle (shutdown.rs, E4).
    pub(crate) fn retire_p(self: &Arc<Self>, p: OwnedP) {
        self.cancel_all_of(&p);
        let in_line = self.lists().release_p(self, p);
        if let Some(m) = in_line {
            m.wake(self);
        }
    }
}
