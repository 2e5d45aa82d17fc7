//! Spawn and wake: a task becomes QUEUED, goes into a queue, and an M is woken if one should be.
//!
//! Go counterpart: `newproc`, `goready`, `ready`, `runqput` (`proc.go`).
//!
//! ```text
//!   the thread holds a P of this runtime ── yes ─▶ runnext; who was there ─▶ ring ─▶ (full) half to the injector
//!                                        └─ no ──▶ injector
//!   then FENCE-SUBMIT: a P idle and nobody spinning? wake an M; but for a lone task in `runnext`, or if no P is idle,
//!   at most rouse sysmon (idle.rs, N4)
//! ```
//!
//! D1. A task that is QUEUED and in nobody's queue keeps its scheduler alive: shutdown waits for it
//!     (shutdown.rs, E3). A foreign thread takes a reference of its own on the scheduler before it
//!     lets the task go, since the task may end, and the runtime with it, while the thread is still
//!     looking whom to wake.
//! D2. A spawn that finds the runtime closing cancels the task itself, and with it what else waits on the same
//!     P: the handle resolves to `is_cancelled`, and nothing is leaked.
//!
//! Absent: a wake for a task that only moved (`yield_now`): its M goes on working and sees it again.

use super::current::{self, Context, with_p};
use super::idle::{Call, Census};
use super::lists::Lists;
use super::looking::centiseconds;
use super::machine::{LEAVE, Machines};
use super::permits::Permits;
use super::processor::{Processor, fresh_ids};
use super::revoker::Revoker;
use super::seat::Seat;
use super::sysmon::Sysmon;
use super::tally::{Tally, sample_foreign};
use super::tracing::note_mark;
use super::watch::Watchman;
use super::{Config, Retakes, Shared};
use crate::cell::join::JoinHandle;
use crate::cell::raw::create;
use crate::cell::slab::{Slab, Slot, Upcalls};
use crate::cell::stage::class_for;
use crate::cell::waker::tell_of_marks;
use crate::cell::{After, Queued, TaskId};
use crate::poller::ParkPoller;
use crate::queue::injector::Injector;
use crate::queue::victims::Victims;
use crate::sys::clock;
use crate::sys::counter::Counter;
use crate::trace::recorder::Recorder;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex};

/// A scheduler whose slab knows the way up to it.
pub(super) fn assemble(config: Config, procs: Vec<Processor>) -> Arc<Shared> {
    let revoker = Revoker::from_environment();
    tell_of_marks(note_mark);
    Arc::new_cyclic(|weak: &std::sync::Weak<Shared>| {
        let idle = procs
            .iter()
            .rev() // P0 is taken first
            .map(|p| {
                // SAFETY: processor.rs, P1: the first and only right to each P.
                unsafe { p.mint() }
            })
            .collect();
        let upcalls = Upcalls { ready: upcall_ready, release: upcall_release };
        Shared {
            injector: Injector::new(),
            census: Census::new(procs.len()),
            victims: Victims::new(procs.len() as u32),
            slab: Slab::new(upcalls, weak.as_ptr().cast()),
            poller: ParkPoller::default(),
            seat: Seat::new(),
            sysmon: Sysmon::new(),
            watchman: Watchman::new(&config),
            machines: Machines::default(),
            permits: Arc::new(Permits::new(config.max_blocking)),
            lists: Mutex::new(Lists::new(idle)),
            line_len: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            m_ended: Condvar::new(),
            revoker,
            retakes: Retakes::default(),
            failed_starts: Counter::default(),
            recorder: Recorder::new(),
            foreign: Tally::default(),
            built: clock::now(),
            coarse: AtomicU32::new(centiseconds(clock::now())),
            refuse_threads: AtomicBool::new(config.refuse_threads),
            config,
            procs,
        }
    })
}

/// A waker's way up.
///
/// # Safety
///
/// `sched` is the scheduler of `task`'s slab, which is alive: the task is in no queue yet (D1).
unsafe fn upcall_ready(sched: *const (), task: Queued) {
    let sched = sched.cast::<Shared>();
    let mut task = Some(task);
    current::with(|cx| {
        if !ptr::eq(Arc::as_ptr(&cx.shared), sched) {
            return;
        }
        let here = cx.with_p(|p| {
            let task = task.take().expect("put once");
            cx.note_wake(task.task(), p.queue());
            p.sample(task.task());
            p.put_next(task, &cx.shared.injector)
        });
        if let Some(next) = here {
            cx.shared.submitted_by(cx, next); // the task may have ended by now, but the context is this thread's
        }
    });
    let Some(task) = task else { return };
    // SAFETY: D1; the task is still in our hand.
    let shared = unsafe { another_reference(sched) };
    shared.note_foreign_wake(task.task());
    sample_foreign(task.task());
    shared.inject(task);
}

/// A reference on the scheduler, from the pointer in its slab.
///
/// # Safety
///
/// The scheduler is alive (D1).
unsafe fn another_reference(sched: *const Shared) -> Arc<Shared> {
    // SAFETY: as this function demands; the pointer came from the Arc's own Weak.
    unsafe { Arc::increment_strong_count(sched) };
    // SAFETY: the count just added is this Arc's.
    unsafe { Arc::from_raw(sched) }
}

/// A slot's way up: to the cache of the P that the thread holds, else to the foreign threads' cache.
///
/// # Safety
///
/// The slot is one of the slab at `slab`.
unsafe fn upcall_release(slab: *const Slab, slot: Slot) {
    let mut slot = Some(slot);
    current::with(|cx| {
        // By the slab, which is alive, and not by its `sched`, where another runtime may live by now.
        if ptr::eq(Arc::as_ptr(&cx.shared.slab), slab) {
            cx.with_p(|p| p.put_slot(slot.take().expect("put once"), &cx.shared.slab));
        }
    });
    if let Some(slot) = slot {
        // SAFETY: as this function demands.
        unsafe { Slab::put_foreign(slab, slot) };
    }
}

impl Shared {
    /// Puts a task from a thread without a P into the injector.
    pub(crate) fn inject(self: &Arc<Self>, task: Queued) {
        self.injector.push(task.into_raw());
        match self.census.submitted(false) {
            Call::Nobody => {}
            Call::Machine => self.wake_p(),
            Call::Sysmon => self.rouse_sysmon(),
        }
    }

    /// Work was published by the thread in the context `cx`, which holds a P. `next`: it is alone in `runnext`.
    #[inline]
    fn submitted_by(self: &Arc<Self>, cx: &Context, next: bool) {
        // A caller of block_on will not run what is in its `runnext`.
        match self.census.submitted(next && cx.is_m) {
            Call::Nobody => {}
            Call::Machine => self.wake_p(),
            Call::Sysmon if next && cx.is_brief() => {} // this M looks there in a moment
            Call::Sysmon => self.rouse_sysmon(),
        }
        if cx.m.is_asked_to(LEAVE) {
            self.leave_p(cx);
        }
    }

    /// Spawns on this runtime, from any thread. Go: `newproc`.
    #[doc(alias = "newproc")]
    #[inline]
    pub(crate) fn spawn<F>(
        self: &Arc<Self>,
        site: &'static Location<'static>,
        future: F,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_as(None, site, future)
    }

    /// As [`spawn`](Self::spawn); the task's id is `id`, which was fresh, if it had to be known before.
    #[inline(always)]
    pub(crate) fn spawn_as<F>(
        self: &Arc<Self>,
        id: Option<TaskId>,
        site: &'static Location<'static>,
        future: F,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut future = Some(future);
        let here = current::with(|cx| {
            if !ptr::eq(Arc::as_ptr(&cx.shared), Arc::as_ptr(self)) {
                return None;
            }
            let (handle, next) = cx.with_p(|p| {
                let id = id.unwrap_or_else(|| p.next_id());
                let slot = p.get_slot(class_for::<F>(), &self.slab);
                let parent = cx.task().map_or(0, |task| task.id().0);
                let (joined, queued) = create(slot, id, site, parent, future.take().expect("moved once"));
                p.tally.spawned.add(1);
                cx.note_spawn(queued.task(), p.queue());
                p.sample(queued.task());
                let next = p.put_next(queued, &self.injector);
                (JoinHandle::new(joined, id), next)
            })?;
            self.submitted_by(cx, next);
            Some(handle)
        });
        if let Some(handle) = here.flatten() {
            if self.is_closing() {
                self.cancel_own(); // D2; FENCE-SUBMIT has done what FENCE-CLOSE does (shutdown.rs, E2)
            }
            return handle;
        }
        let id = id.unwrap_or_else(|| TaskId(fresh_ids(1)));
        let slot = self.slab.get_foreign(class_for::<F>());
        let parent = current::with(|cx| cx.task().map_or(0, |task| task.id().0)).unwrap_or(0);
        let (joined, queued) = create(slot, id, site, parent, future.take().expect("not moved"));
        let handle = JoinHandle::new(joined, id);
        self.foreign.spawned.add_shared(1);
        self.submit_foreign(queued);
        handle
    }

    /// Cancels what is in the queues of the P that the calling thread holds.
    #[cold]
    fn cancel_own(self: &Arc<Self>) {
        if let Some(id) = with_p(Arc::as_ptr(self), |p| p.id) {
            self.cancel_all_of(&self.procs[id.index()]);
        }
    }

    fn submit_foreign(self: &Arc<Self>, task: Queued) {
        if self.closing_after_fence() {
            self.as_current(false, || self.settle(task.cancel())); // D2
        } else {
            self.note_foreign_spawn(task.task());
            sample_foreign(task.task());
            self.inject(task);
        }
    }

    /// Does, without a P, what remains to be done for a task that was run or cancelled.
    pub(crate) fn settle(self: &Arc<Self>, after: After) {
        match after {
            After::Idle => {}
            After::Requeue(task) => self.inject(task),
            After::Done(ended) => self.count_foreign_end(ended),
            After::Free(ended, slot) => {
                self.count_foreign_end(ended);
                // SAFETY: only this runtime's tasks are settled here.
                unsafe { upcall_release(Arc::as_ptr(&self.slab), slot) };
            }
        }
    }
}

/// Spawns a task on the current runtime; see [`Handle::spawn`](crate::Handle::spawn).
///
/// # Panics
///
/// Outside of a task and of a `block_on`: there is no current runtime.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// gmprt::run(async {
///     let square = gmprt::spawn(async { 12 * 12 });
///     assert_eq!(square.await.unwrap(), 144);
/// })
/// # }
/// ```
#[track_caller]
#[inline]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let site = Location::caller();
    current::with(|cx| cx.shared.spawn(site, future))
        .expect("spawn: there is no gmprt runtime here: not in a task, and not in a block_on")
}
