//! Who am I: the M, the task and the lent P of the calling thread.
//!
//! Go counterpart: `getg()`, `acquirem` (`runtime1.go`).
//!
//! ```text
//!   thread-local pointer ─▶ Context (on the M's stack) ─▶ Shared, Machine (lease), lent P, task
//!                             └─ outer: the context of the task in whose poll a block_on is nested
//! ```
//!
//! H1. The thread-local points to a context on this thread's stack, which outlives its stay there: it is
//!     set and restored by [`Entered`] only.
//! H2. `lent` is written by [`Context::lend`] and [`Context::take_lent`], while the M is inside, and read
//!     by [`with_p`], which is inside too and has seen the lease hold. Only this thread does either.
//! H3. [`with_p`] runs no user code and does not block: no waker is cloned, woken or dropped in it, no
//!     future, and no lock is held across a system call.
//!
//! Absent: a destructor of the thread-local, so that a waker woken from another thread-local's destructor
//! still finds it (null by then).

use super::Shared;
use super::machine::Machine;
use super::processor::{LocalP, OwnedP};
use super::tracing::Run;
use crate::cell::TaskRef;
use crate::cell::join::is_own_waker;
use crate::reason::Reason;
use crate::trace::record::{Event, Give};
use crate::trace::recorder::Tap;
use std::cell::{Cell, UnsafeCell};
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

thread_local! {
    static CURRENT: Cell<*const Context> = const { Cell::new(ptr::null()) };
}

/// The task asked to be queued again without a wake (`yield_now`).
const YIELDED: u8 = 1;

/// The poll was made to yield, its slice being over (`preempt.rs`).
const SLICE_OVER: u8 = 2;

/// What a thread that runs tasks, or a `block_on`, knows of itself.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) m: Arc<Machine>,
    /// The thread is one of the runtime's own, whose end the runtime's end waits for.
    pub(crate) is_m: bool,
    lent: UnsafeCell<Option<OwnedP>>,
    task: Cell<Option<TaskRef>>,
    /// What the poll in progress, or the one that just ended, has said: [`YIELDED`], [`SLICE_OVER`].
    said: Cell<u8>,
    /// What that poll waits for, if it has said so (`preempt.rs`, L4).
    waits_for: Cell<Reason>,
    /// How often polls were made to yield here.
    yields: Cell<u32>,
    /// No user code runs, but wakers of tasks, which are ours: the scheduler fires timers.
    brief: Cell<bool>,
    /// Where it records what it does.
    pub(super) tap: Tap,
    /// Its last run that was recorded.
    pub(super) run: Cell<Run>,
    outer: Cell<*const Context>,
}

/// The calling thread is in this context until this is dropped (H1).
#[must_use]
pub(crate) struct Entered<'a>(&'a Context);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.0.outer.get());
    }
}

impl Context {
    pub(crate) fn new(shared: Arc<Shared>, m: Arc<Machine>, is_m: bool) -> Self {
        Self {
            shared,
            m,
            is_m,
            lent: UnsafeCell::new(None),
            task: Cell::new(None),
            said: Cell::new(0),
            waits_for: Cell::new(Reason::Unsaid),
            yields: Cell::new(0),
            brief: Cell::new(false),
            tap: Tap::default(),
            run: Cell::default(),
            outer: Cell::new(ptr::null()),
        }
    }

    /// Makes this the calling thread's context.
    pub(crate) fn enter(&self) -> Entered<'_> {
        self.outer.set(CURRENT.replace(self));
        Entered(self)
    }

    /// Lends `p` to user code while `user` runs, and takes it back: `None` if it was revoked meanwhile.
    ///
    /// `user` does not unwind.
    #[inline]
    pub(crate) fn lend<R>(&self, p: OwnedP, user: impl FnOnce() -> R) -> (R, Option<OwnedP>) {
        // SAFETY: H2; inside, and nothing is lent.
        let lent = unsafe { &mut *self.lent.get() };
        debug_assert!(lent.is_none(), "a P is lent twice");
        *lent = Some(p);
        self.m.lease.leave();
        let outcome = user();
        std::mem::forget(self.m.lease.enter()); // inside from here on: the M is in the scheduler
        (outcome, self.reclaim())
    }

    /// Inside, after user code: the lent P, if the lease still holds. Without one: `None`.
    fn reclaim(&self) -> Option<OwnedP> {
        // SAFETY: H2; inside.
        let lent = unsafe { &mut *self.lent.get() }.take()?;
        if self.m.lease.holds() {
            return Some(lent);
        }
        lent.forget(); // processor.rs, P1: the revoker has minted it anew
        None
    }

    /// User code declares that it will block: takes the lent P away from it for good, if it is still ours.
    ///
    /// The lease is given up before the M is outside again: a P in our hand must not look lent.
    pub(crate) fn take_lent(&self, why: Give) -> Option<OwnedP> {
        let _inside = self.m.lease.enter();
        let p = self.reclaim()?;
        self.note(Event::GiveP { p: p.id.0, turn: p.turn(), why });
        self.m.unwire(&p);
        Some(p)
    }

    /// Calls `f` with the lent P, if there is one and it still is ours. One that was taken is forgotten. See H3.
    #[inline(always)]
    pub(crate) fn with_p<R>(&self, f: impl FnOnce(&LocalP) -> R) -> Option<R> {
        let _inside = self.m.lease.enter();
        // SAFETY: H2; inside. A shared borrow, so that nested calls are fine: they find the lease held, as we did.
        let lent = unsafe { &*self.lent.get() }.as_ref()?;
        if self.m.lease.holds() {
            return Some(f(lent));
        }
        self.forget_lent();
        None
    }

    #[cold]
    fn forget_lent(&self) {
        let none = self.reclaim();
        debug_assert!(none.is_none(), "what the lease has lost it does not find again");
    }

    /// User code has ceased to block: lends it a P again.
    pub(crate) fn lend_again(&self, p: OwnedP) {
        let _inside = self.m.lease.enter();
        // SAFETY: H2; inside.
        let lent = unsafe { &mut *self.lent.get() };
        debug_assert!(lent.is_none(), "a P is lent twice");
        self.m.wire(&p);
        self.note(Event::TakeP { p: p.id.0, turn: p.turn() });
        *lent = Some(p);
    }

    /// The M begins a task's poll.
    #[inline]
    pub(crate) fn begin_task(&self, task: TaskRef) {
        self.task.set(Some(task));
        self.said.set(0); // a yield that the last poll asked for and did not need is forgotten
        self.waits_for.set(Reason::Unsaid);
    }

    /// The M ends it.
    #[inline]
    pub(crate) fn end_task(&self) {
        self.task.set(None);
    }

    /// A poll begins that is no task's.
    pub(crate) fn begin_caller(&self) {
        self.said.set(0);
        self.waits_for.set(Reason::Unsaid);
    }

    /// What runs next is over in a moment, and the M looks at its queues then.
    pub(crate) fn set_brief(&self, brief: bool) {
        self.brief.set(brief);
    }

    /// Whether the M looks at its queues in a moment.
    #[inline]
    pub(crate) fn is_brief(&self) -> bool {
        self.brief.get()
    }

    /// The poll in progress is made to yield, because its slice is over or for another reason.
    pub(crate) fn set_yielding(&self, slice_over: bool) {
        self.yields.set(self.yields.get().wrapping_add(1));
        if slice_over {
            self.said.set(self.said.get() | SLICE_OVER);
        }
    }

    /// How often polls were made to yield here.
    pub(crate) fn yields(&self) -> u32 {
        self.yields.get()
    }

    /// Whether the poll in progress, or the one that just ended, was made to yield because its slice was over.
    #[inline]
    pub(crate) fn is_yielding(&self) -> bool {
        self.said.get() & SLICE_OVER != 0
    }

    /// The poll in progress waits for this.
    #[inline]
    pub(crate) fn set_reason(&self, reason: Reason) {
        self.waits_for.set(reason);
    }

    /// What the poll in progress, or the one that just ended, waits for. It means something if that poll ended with
    /// `Pending`, and did not yield.
    #[inline]
    pub(crate) fn reason(&self) -> Reason {
        self.waits_for.get()
    }

    /// The task in whose poll the thread is.
    pub(crate) fn task(&self) -> Option<TaskRef> {
        self.task.get()
    }

    /// Whether the poll that just ended asked to yield.
    #[inline]
    pub(crate) fn has_yielded(&self) -> bool {
        self.said.get() & YIELDED != 0
    }
}

/// Calls `f` with the calling thread's context, if it has one.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&Context) -> R) -> Option<R> {
    let context = CURRENT.get();
    // SAFETY: H1; the context outlives this call, which is on its thread.
    unsafe { context.as_ref() }.map(f)
}

/// Calls `f` with each context of the calling thread, the innermost first.
pub(crate) fn for_each(mut f: impl FnMut(&Context)) {
    let mut context = CURRENT.get();
    // SAFETY: H1; contexts are left in the order they were entered, so the outer ones are alive too.
    while let Some(cx) = unsafe { context.as_ref() } {
        f(cx);
        context = cx.outer.get();
    }
}

/// Calls `f` with the P that the calling thread holds of the runtime at `shared`, if it still does.
///
/// `None`: a foreign thread, another runtime's, or an M whose P was taken during this poll. See H3.
#[inline(always)]
pub(crate) fn with_p<R>(shared: *const Shared, f: impl FnOnce(&LocalP) -> R) -> Option<R> {
    with(|cx| if ptr::eq(Arc::as_ptr(&cx.shared), shared) { cx.with_p(f) } else { None }).flatten()
}

/// Notes that the task whose own waker this is yields; the scheduler then needs no wake. False: it is
/// some combinator's waker, or not a task's, and must be woken.
#[inline]
pub(crate) fn note_yield(waker: &Waker) -> bool {
    with(|cx| match cx.task.get() {
        Some(task) if is_own_waker(waker, task) => {
            cx.said.set(cx.said.get() | YIELDED);
            true
        }
        _ => false,
    })
    .unwrap_or(false)
}
