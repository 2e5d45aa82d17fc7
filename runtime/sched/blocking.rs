//! A P changes hands: its M is about to block, or has come back.
//!
//! Go counterpart: `entersyscall`, `entersyscallblock`, `handoffp`, `exitsyscall` (`proc.go`).
//!
//! ```text
//!   for long:  declare ─▶ lease given up ─▶ handoff_p: work for it? ── yes ─▶ start_m
//!                                                        └─ no ──▶ idle, FENCE-PARK, one more look
//!   perhaps:   block_in_place ─▶ m.declared odd; the P stays lent, and sysmon takes it after 20 µs if work waits
//!   …blocks…
//!   back:      still lent? ── yes ─▶ on
//!              old P idle? any idle? ── yes ─▶ lent again
//!                                └─ no ─▶ an M waits in line (served before a P goes idle, and at each 61st tick)
//! ```
//!
//! Z1. Between `declare` and its end the M touches no P of that context: `with_p` finds nothing lent.
//! Z2. An M that closing finds in line goes on without a P, as one whose P was revoked.
//! Z3. A declared block that may be short costs no system call and no lock while nobody needs the P.
//! Z4. `m.declared` is odd in either kind of block, with a P or without: who looks from outside knows that the poll said so.
//!
//! Absent: the decision to take a P from a declared block, which is `policy/retake.rs`.

use super::Shared;
use super::current::{self, Context};
use super::idle::Call;
use super::ids::ProcessorId;
use super::processor::OwnedP;
use super::sysmon;
use crate::trace::record::{Event, Give};
use std::sync::Arc;

/// A task's M has declared that it blocks; dropped when it has ceased to.
#[must_use]
pub(crate) struct Declared {
    /// The context, and the P that it gave up, if it had one.
    context: Option<(*const Context, Option<ProcessorId>)>,
    /// What the M had counted before.
    before: u64,
}

/// Declares that the calling thread will block, if it is in a poll with a P. Go: `entersyscallblock`.
#[doc(alias = "entersyscallblock")]
pub(crate) fn declare() -> Declared {
    current::with(|cx| {
        let before = cx.m.declared();
        cx.m.set_declared(before | 1);
        let lost = cx.take_lent(Give::Declared).map(|p| {
            let id = p.id;
            cx.note(Event::BlockBegin);
            cx.m.unpin();
            cx.shared.retakes.handed_off.add_shared(1);
            cx.shared.handoff_p(p);
            id
        });
        Declared { context: Some((std::ptr::from_ref(cx), lost)), before }
    })
    .unwrap_or(Declared { context: None, before: 0 })
}

impl Declared {
    /// The poll ends when the thread has ceased to block, and needs no P for what remains: it counts as blocked to its end.
    pub(crate) fn without_return(mut self) {
        self.context = None;
    }
}

impl Drop for Declared {
    fn drop(&mut self) {
        let Some((declared, lost)) = self.context else { return };
        current::with(|cx| {
            debug_assert!(std::ptr::eq(declared, cx), "contexts are left in the order they were entered");
            cx.m.end_declared(self.before);
            let Some(lost) = lost else { return };
            cx.note(Event::BlockEnd);
            cx.shared.exit_block(cx, lost);
        });
    }
}

/// Runs `f`, which may block the thread, without holding up the tasks behind this one.
///
/// Blocks the calling M, and not its P: if other tasks wait, and `f` is still at it after some 20 µs, another M takes
/// the P. When `f` returns, the M takes its old P back if that is free, else any that is, else it waits in line for one;
/// then the task goes on. A call that does not last costs a few nanoseconds. Outside of a runtime it just runs `f`.
///
/// The other futures of the same task wait as long as `f` does: a `join!` of two futures is one task.
///
/// # Cancel safety
///
/// There is nothing to cancel: `f` runs to its end. A panic of `f` passes through.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// gmprt::run(async {
///     let text = gmprt::block_in_place(|| std::fs::read_to_string("/proc/self/comm")).unwrap();
///     assert!(!text.is_empty());
/// })
/// # }
/// ```
///
/// # Differences from Go
///
/// Go does this by itself round each system call (`proc.go: entersyscall`, `exitsyscall`). Here whoever knows that it
/// will block says so; who does not is found out by sysmon, a little later.
#[inline]
pub fn block_in_place<R>(f: impl FnOnce() -> R) -> R {
    let _short = Short::enter();
    f()
}

/// A declared block that may be short; dropped when it is over.
#[must_use]
struct Short {
    /// In a context; there with this P, or without.
    lent: Option<Option<ProcessorId>>,
    /// What the M had counted before.
    before: u64,
}

impl Short {
    #[doc(alias = "entersyscall")]
    #[inline]
    fn enter() -> Self {
        current::with(|cx| {
            let before = cx.m.declared();
            let Some((lent, work)) = cx.with_p(|p| (p.id, p.has_work())) else {
                cx.m.set_declared(before | 1); // Z4
                return Self { lent: Some(None), before };
            };
            cx.m.set_declared(before | 1); // odd already, if this one is nested in another
            cx.note(Event::BlockBegin);
            if work {
                cx.shared.work_is_left();
            }
            Self { lent: Some(Some(lent)), before }
        })
        .unwrap_or(Self { lent: None, before: 0 })
    }
}

impl Drop for Short {
    #[doc(alias = "exitsyscall")]
    #[inline]
    fn drop(&mut self) {
        let Some(lent) = self.lent else { return };
        current::with(|cx| {
            cx.m.end_declared(self.before);
            let Some(lent) = lent else { return };
            cx.note(Event::BlockEnd);
            if cx.with_p(|_| ()).is_none() {
                cx.shared.exit_block(cx, lent);
            }
        });
    }
}

impl Shared {
    /// A declared block begins on a P in whose queues something waits: as if that had been put into `runnext` now.
    #[inline]
    fn work_is_left(&self) {
        if self.census.submitted(true) == Call::Sysmon {
            self.rouse_sysmon();
        }
    }

    /// The thread has blocked, and its P, which was `lost`, is gone: gets it another, and lends it again.
    #[cold]
    fn exit_block(&self, cx: &Context, lost: ProcessorId) {
        cx.m.poll_is_over();
        let idle = self.lists().take_idle_p_like(self, lost);
        // A caller of block_on waits for no P: it can go on without one, and is never pinned.
        let p = if cx.is_m { idle.or_else(|| self.wait_in_line(&cx.m)) } else { idle };
        if let Some(p) = p {
            self.rouse_for(&p);
            if cx.is_m {
                self.pin_always(&cx.m, &p);
            }
            cx.lend_again(p);
        }
    }

    /// The poll in progress was asked to leave its P to others, and does (`policy/retake.rs`, J6).
    #[cold]
    pub(super) fn leave_p(self: &Arc<Self>, cx: &Context) {
        cx.m.forget_asked();
        if self.is_closing() {
            return; // the P's tasks are cancelled when the poll ends, and not in the midst of a wake
        }
        if let Some(p) = cx.take_lent(Give::Hog) {
            cx.m.unpin();
            cx.m.set_hog(true);
            self.retakes.hogs.add_shared(1);
            self.handoff_p(p);
        }
    }

    /// Finds something to do for a P whose M will not use it: an M, if there is work. Go: `handoffp`.
    #[doc(alias = "handoffp")]
    pub(crate) fn handoff_p(self: &Arc<Self>, p: OwnedP) {
        if self.is_closing() {
            return if sysmon::is_here() { self.retire_p_quietly(p) } else { self.retire_p(p) };
        }
        if p.has_work() || self.injector.len() > 0 || self.timer_is_due() {
            return self.start_m(p, None);
        }
        let in_line = self.lists().release_p(self, p);
        if let Some(m) = in_line {
            m.wake(self);
        }
        if self.last_look(false) {
            self.wake_p();
        }
    }

    /// A P was listed idle: whether anything is left to do for it (idle.rs, N3). The timers are watched from here on, by
    /// the caller itself if it `will_sit`.
    pub(super) fn last_look(&self, will_sit: bool) -> bool {
        self.census.before_last_look();
        self.tell(will_sit);
        self.work_anywhere()
    }

    /// While the runtime closes: empties the P's queues and lists it idle (shutdown.rs, E4).
    pub(crate) fn retire_p(self: &Arc<Self>, p: OwnedP) {
        self.cancel_all_of(&p);
        self.list_retired(p);
    }

    /// As [`Shared::retire_p`] for sysmon, which runs no user code: the sweep finds the tasks in the injector.
    pub(super) fn retire_p_quietly(self: &Arc<Self>, p: OwnedP) {
        p.plunder(|task| self.injector.push(task.into_raw()));
        self.list_retired(p);
    }

    fn list_retired(self: &Arc<Self>, p: OwnedP) {
        let in_line = self.lists().release_p(self, p);
        if let Some(m) = in_line {
            m.wake(self);
        }
    }
}
