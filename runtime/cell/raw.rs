//! A task in memory: the header that everybody knows; what only the vtable knows stands in stage.rs.
//!
//! Go counterpart: `type g` (`runtime2.go`).
//!
//! ```text
//!   slot: [ Header: state, vtable, slab, id, spawn site, join waker, link, class ][ body (stage.rs) ]
//!            ▲          ▲            ▲
//!         TaskRef    Queued        Joined<T>       who points there: anybody · the queue · the handle
//! ```
//!
//! W1. A [`TaskRef`] points to a slot's header, which is valid memory as long as the slab (slab.rs, L1).
//!     Whoever uses more than its atomics holds a reference (state.rs, S1) or the [`Queued`].
//! W2. `vtable`, `id` and `spawned_at` are written between `Slab::get` and `State::spawn`, while the slot
//!     is empty and the writer's alone, and are constant until it is empty again.
//! W8. `spawned_at` always is the address of a `Location` that lives for ever.
//! W4. The join waker cell obeys state.rs, S3.
//! W7. A [`Joined`] is made with the task, holds one reference and the JOIN_INTEREST, knows the type of the
//!     output, and is used up by taking or discarding it.
//!
//! Length: whoever touches a slot does it here, so that the rules above can be checked in one file.
//!
//! Absent: a reference count of the slab in each task (L3 counts at the end only), a linked list of
//! live tasks.

use super::slab::{Slab, Slot};
use super::stage::{Left, VTable, fill};
use super::state::{BeginPoll, Completed, EndPoll, HandleDropped, Standing, State, WakeAction};
use super::{After, Ended, TaskId, waker};
use crate::error::JoinError;
use crate::reason::Reason;
use crate::sys::primitive::{
    AtomicOrdering::{Acquire, Relaxed, Release},
    AtomicPtr, AtomicU64, fence,
};
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::sync::atomic::{self, AtomicU8, AtomicU32};
use std::task::{Context, Waker};

fn address_of(site: &'static Location<'static>) -> *mut Location<'static> {
    std::ptr::from_ref(site).cast_mut()
}

/// What everybody knows of a task.
#[repr(C)]
pub(crate) struct Header {
    state: State,
    vtable: Cell<&'static VTable>,
    slab: *const Slab,
    id: AtomicU64,
    /// A `&'static Location`, as an atomic: [`TaskRef::peek`] reads it without a reference.
    spawned_at: AtomicPtr<Location<'static>>,
    join_waker: UnsafeCell<Option<Waker>>,
    /// The next empty slot of the chain, while this one is empty; else the id of the task that spawned it, as an address.
    link: atomic::AtomicPtr<Header>,
    class: u8,
    /// The number of the task's last transition that was traced (trace/record.rs, B2).
    seq: AtomicU8,
    /// What it waits for, or [`SAMPLED`]; and since when, in the unit of whoever wrote it.
    reason: AtomicU8,
    since: AtomicU32,
}

/// In place of a reason: it is in a queue, and `since` says since when.
const SAMPLED: u8 = u8::MAX;

/// What is seen of a task without a reference.
pub(crate) struct Peek {
    pub(crate) id: TaskId,
    pub(crate) site: &'static Location<'static>,
    pub(crate) standing: Standing,
    /// The task that spawned it; 0: none did.
    pub(crate) parent: u64,
    /// If it waits: what for, and since when; nothing, if it has just come to it.
    pub(crate) reason: Reason,
    pub(crate) since: Option<u32>,
}

impl Header {
    /// Initialises the header of a slot of a new page.
    ///
    /// # Safety
    ///
    /// `slot` is valid for writes of a header and nobody else's.
    pub(super) unsafe fn write_empty(slot: NonNull<Self>, slab: *const Slab, class: usize) {
        let header = Self {
            state: State::free(),
            vtable: Cell::new(&VTable::EMPTY),
            slab,
            id: AtomicU64::new(0),
            spawned_at: AtomicPtr::new(address_of(Location::caller())),
            join_waker: UnsafeCell::new(None),
            link: atomic::AtomicPtr::new(ptr::null_mut()),
            class: class as u8,
            seq: AtomicU8::new(0),
            reason: AtomicU8::new(0),
            since: AtomicU32::new(0),
        };
        // SAFETY: as this function demands.
        unsafe { slot.write(header) };
    }

    /// The next in the chain of an empty slot.
    ///
    /// # Safety
    ///
    /// The header is initialised, and the slot is empty and the caller's (slab.rs, L2).
    #[inline(always)]
    pub(super) unsafe fn next(slot: NonNull<Self>) -> Option<NonNull<Self>> {
        // SAFETY: as this function demands.
        let link = unsafe { &slot.as_ref().link };
        // Ordering: Relaxed; the caller's own.
        NonNull::new(link.load(Relaxed))
    }

    /// Sets what [`next`](Self::next) returns.
    ///
    /// # Safety
    ///
    /// As `next`.
    #[inline(always)]
    pub(super) unsafe fn set_next(slot: NonNull<Self>, next: Option<NonNull<Self>>) {
        // SAFETY: as this function demands.
        let link = unsafe { &slot.as_ref().link };
        // Ordering: Release; pairs with the Acquire fence in `peek`: who sees a link sees that the slot was emptied.
        link.store(next.map_or(ptr::null_mut(), NonNull::as_ptr), Release);
    }

    #[cold]
    fn end_sample(&self) -> u32 {
        // Ordering: Release; as in `TaskRef::sample`.
        self.reason.store(0, Release);
        self.since.load(Relaxed) // Ordering: Relaxed; as above
    }

    /// The slot's size class.
    ///
    /// # Safety
    ///
    /// The header is initialised.
    pub(super) unsafe fn class(slot: NonNull<Self>) -> usize {
        // SAFETY: as this function demands; the class never changes.
        unsafe { slot.as_ref().class as usize }
    }
}

/// A pointer to a task's header. Copied freely; see W1 for what may be done with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TaskRef(NonNull<Header>);

/// The one right to run a task (mod.rs, T1).
#[derive(Debug)]
#[must_use]
pub(crate) struct Queued(TaskRef);

// SAFETY: T1 and `spawn`'s bounds: the future is Send, and one thread at a time holds the right.
unsafe impl Send for Queued {}

/// A handle's right to a task's output (W7).
#[must_use]
pub(crate) struct Joined<T> {
    task: TaskRef,
    /// Every T here was the output of a spawned future, and so is Send.
    output: PhantomData<fn() -> T>,
}

// SAFETY: W7; the right moves with the handle, and what it reaches by `&` are atomics.
unsafe impl<T> Send for Joined<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Joined<T> {}

/// Moves `future` into an empty slot of its class: a task with one handle, QUEUED.
#[inline]
pub(crate) fn create<F>(
    slot: Slot,
    id: TaskId,
    site: &'static Location<'static>,
    parent: u64,
    future: F,
) -> (Joined<F::Output>, Queued)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let task = TaskRef(slot.0);
    // SAFETY: slab.rs, L2: a `Slot` is the one right to an empty slot; callers asked for `class_for::<F>`.
    let vtable = unsafe { fill(slot.0, future) };
    let header = task.header();
    header.vtable.set(vtable);
    // Ordering: Release, all; pairs with the Acquire fence in `peek`: who sees one of them sees that the slot was emptied
    // before. To all others the rest is published by `State::spawn`.
    header.link.store(ptr::without_provenance_mut(parent as usize), Release);
    header.reason.store(0, Release); // Ordering: Release; as above
    header.spawned_at.store(address_of(site), Release); // Ordering: Release; as above
    header.id.store(id.0, Release); // Ordering: Release; as above
    header.state.spawn();
    (Joined { task, output: PhantomData }, Queued(task))
}

impl TaskRef {
    /// A reference from a waker's data pointer, or from a slot that is enumerated.
    pub(crate) fn from_header(header: NonNull<Header>) -> Self {
        Self(header)
    }

    /// The waker's data pointer.
    pub(crate) fn as_ptr(self) -> *const () {
        self.0.as_ptr().cast_const().cast()
    }

    /// The slot, for the typed half.
    #[inline(always)]
    pub(super) fn header_ptr(self) -> NonNull<Header> {
        self.0
    }

    #[inline(always)]
    fn header<'a>(self) -> &'a Header {
        // SAFETY: W1; the memory is valid while the slab is, and so is this short use of it.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn state<'a>(self) -> &'a State {
        &self.header().state
    }

    /// The task's id.
    #[inline]
    pub(crate) fn id(self) -> TaskId {
        // Ordering: Relaxed; written before the state that the caller's reference came from (W2).
        TaskId(self.header().id.load(Relaxed))
    }

    /// Where the task was spawned.
    pub(crate) fn spawned_at(self) -> &'static Location<'static> {
        // Ordering: Relaxed; as in `id`.
        let site = self.header().spawned_at.load(Relaxed);
        // SAFETY: W8.
        unsafe { &*site }
    }

    /// The number of a transition of the task, for the trace. Who makes the transition owns the number.
    #[inline]
    pub(crate) fn next_seq(self) -> u8 {
        let seq = &self.header().seq;
        // Ordering: Relaxed, both; the task's state hands it from owner to owner.
        let next = seq.load(Relaxed).wrapping_add(1);
        seq.store(next, Relaxed); // Ordering: Relaxed; as above
        next
    }

    /// The task is new: its transitions are numbered from 0, the spawn's number.
    #[inline]
    pub(crate) fn reset_seq(self) {
        // Ordering: Relaxed; as in `next_seq`.
        self.header().seq.store(0, Relaxed);
    }

    /// Looks at a slot that may be in use, without a reference: the task's id, its spawn site, and what it is at. `None`: it is
    /// empty, or its task complete, or it was emptied meanwhile.
    pub(crate) fn peek(self) -> Option<Peek> {
        let header = self.header();
        let before = header.state.standing()?;
        // Ordering: Acquire; pairs with the Release store in `create`: who sees the next task's id sees its site.
        let id = TaskId(header.id.load(Acquire));
        let site = self.spawned_at();
        // Ordering: Relaxed, all; the fence follows.
        let parent = header.link.load(Relaxed).addr() as u64;
        let (reason, since) = (header.reason.load(Relaxed), header.since.load(Relaxed)); // Ordering: Relaxed; as above
        fence(Acquire); // pairs with the Release stores in `create`: who saw the next task's site sees that the slot was emptied
        let standing = header.state.standing()?; // of this task, and not of one that was there before
        // Read before it came to wait, they are what was left there by another wait, or by `sample`.
        let waits = before == Standing::Waiting && standing == Standing::Waiting && reason != SAMPLED;
        let (reason, since) =
            if waits { (Reason::from_number(reason), Some(since)) } else { (Reason::Unsaid, None) };
        (self.id() == id).then_some(Peek { id, site, standing, parent, reason, since })
    }

    /// The poll in progress, the caller's, is about to wait: for this, since then.
    #[inline(always)]
    pub(crate) fn waits(self, reason: Reason, since: u32) {
        let header = self.header();
        // Ordering: Release, both; as in `create`: pairs with the Acquire fence in `peek`.
        header.since.store(since, Release);
        header.reason.store(reason as u8, Release); // Ordering: Release; as above
    }

    /// The task, which is the caller's to queue, is one of those whose way to a P is measured, from `since` on.
    pub(crate) fn sample(self, since: u32) {
        let header = self.header();
        // Ordering: Release, both; as in `waits`. The queue hands them over.
        header.since.store(since, Release);
        header.reason.store(SAMPLED, Release); // Ordering: Release; as above
    }

    /// The task, which is the caller's to poll, has come to a P: since when it was on its way, if that is measured.
    #[inline(always)]
    pub(crate) fn sampled(self) -> Option<u32> {
        let header = self.header();
        // Ordering: Relaxed; as in `sample`.
        if header.reason.load(Relaxed) == SAMPLED { Some(header.end_sample()) } else { None }
    }

    /// The slab that the task's slot belongs to.
    #[inline(always)]
    pub(crate) fn slab<'a>(self) -> &'a Slab {
        // SAFETY: slab.rs, L3: the slab lives while one of its slots is in use.
        unsafe { &*self.header().slab }
    }

    /// Hands the task, which a wake or an abort made QUEUED, to its scheduler.
    fn enqueue(self) {
        let slab = self.slab();
        let ready = slab.upcalls.ready;
        // SAFETY: the task is not COMPLETE and the only entry is in our hand, so its scheduler is there
        // and waits for it to be run or drained (shutdown.rs).
        unsafe { ready(slab.sched, Queued(self)) };
    }

    /// Does what a wake or an abort asks for.
    #[inline]
    pub(crate) fn act(self, action: WakeAction) {
        match action {
            WakeAction::Enqueue => self.enqueue(),
            WakeAction::Nothing | WakeAction::Marked => {}
            WakeAction::Free => self.free(),
        }
    }

    /// Gives one reference up.
    #[inline]
    pub(crate) fn drop_ref(self) {
        if self.state().drop_ref() {
            self.free();
        }
    }

    /// Gives an empty slot, whose last reference is gone, back to the slab.
    pub(crate) fn free(self) {
        let slab = self.header().slab;
        let release = self.slab().upcalls.release;
        let slot = self.retire();
        // SAFETY: the slot is one of that slab.
        unsafe { release(slab, slot) };
    }

    /// Empties the slot, whose last reference is gone.
    fn retire(self) -> Slot {
        let free_body = self.header().vtable.get().free_body;
        // SAFETY: W2; the last reference is gone, so the body is ours, and is freed once.
        unsafe { free_body(self) };
        self.state().retire();
        Slot(self.0)
    }

    /// Exchanges the waker in the join waker cell.
    ///
    /// # Safety
    ///
    /// The caller owns the cell (W4).
    unsafe fn put_join_waker(self, waker: Option<Waker>) -> Option<Waker> {
        // SAFETY: as this function demands.
        let cell = unsafe { &mut *self.header().join_waker.get() };
        mem::replace(cell, waker)
    }

    /// Drops the output that was stored.
    ///
    /// # Safety
    ///
    /// The output was stored, is the caller's (stage.rs, W3), and is neither taken nor dropped again.
    unsafe fn drop_output(self) {
        let drop_output = self.header().vtable.get().drop_output;
        // SAFETY: as this function demands.
        unsafe { drop_output(self) };
    }

    /// Drops the future of a task that shutdown has claimed, and completes it.
    pub(crate) fn cancel_claimed(self) -> After {
        let cancel = self.header().vtable.get().cancel;
        // SAFETY: stage.rs, W3; `State::claim` or the end of a poll left it RUNNING, and ours.
        let left = unsafe { cancel(self) };
        self.finish(left).expect("a cancelled task is complete")
    }

    /// Completes a task whose poll or cancellation said Ready; gives it back if it said Pending.
    fn finish(self, left: Left) -> Option<After> {
        let Left::Ready { mut stored, mut ended } = left else { return None };
        let (id, site) = (self.id(), self.spawned_at());
        let completed = loop {
            match self.state().complete(stored) {
                Ok(completed) => break completed,
                Err(()) => {
                    // SAFETY: stage.rs, W3; still RUNNING, the output was stored, and nobody else wants it.
                    unsafe { self.drop_output() };
                    stored = false;
                }
            }
        };
        if ended == Ended::Panicked && !stored {
            ended = Ended::PanickedUnseen(id, site);
        }
        Some(match completed {
            Completed::Released => After::Done(ended),
            Completed::Free => After::Free(ended, self.retire()),
            Completed::WakeJoin => {
                // SAFETY: W4; JOIN_WAKER is set and the task COMPLETE, so the cell is ours.
                let waker = unsafe { self.put_join_waker(None) };
                waker::wake_quietly(waker.expect("JOIN_WAKER was set"));
                if self.state().drop_ref() { After::Free(ended, self.retire()) } else { After::Done(ended) }
            }
        })
    }
}

impl<T> Joined<T> {
    /// The task.
    #[inline]
    pub(crate) fn task(&self) -> TaskRef {
        self.task
    }

    /// Exchanges the waker in the join waker cell.
    ///
    /// # Panics
    ///
    /// If JOIN_WAKER is set: the cell is not the handle's then (W4).
    pub(super) fn put_waker(&mut self, waker: Option<Waker>) -> Option<Waker> {
        assert!(!self.task.state().has_join_waker(), "the join waker cell is not the handle's");
        // SAFETY: W4; JOIN_WAKER is clear, and only the handle, which is `&mut self`, sets it.
        unsafe { self.task.put_join_waker(waker) }
    }

    /// Takes the output of the complete task.
    ///
    /// # Panics
    ///
    /// If the task is not complete.
    pub(super) fn take(self) -> Result<T, JoinError> {
        assert!(self.task.state().is_complete(), "{} is not complete", self.task.id());
        let take_output = self.task.header().vtable.get().take_output;
        let mut output = MaybeUninit::<Result<T, JoinError>>::uninit();
        // SAFETY: W7 and stage.rs, W3: COMPLETE with JOIN_INTEREST, so the output was stored and is ours, and
        // it is of type T; `self` is used up.
        unsafe { take_output(self.task, output.as_mut_ptr().cast()) };
        self.task.drop_ref();
        // SAFETY: written by `take_output`.
        unsafe { output.assume_init() }
    }

    /// The handle is dropped. `waker_set`: whether it has set JOIN_WAKER.
    #[inline]
    pub(super) fn discard(self, waker_set: bool) {
        let task = self.task;
        match task.state().drop_handle(waker_set) {
            HandleDropped::Released => {}
            HandleDropped::Free => task.free(),
            HandleDropped::DropWaker => {
                // SAFETY: W4; JOIN_WAKER was set by the handle and is clear again, and the handle is gone.
                let waker = unsafe { task.put_join_waker(None) };
                let _end = DropRef(task); // on unwind too: dropping the waker is user code
                drop(waker);
            }
            HandleDropped::DropOutput => {
                // SAFETY: W7 and stage.rs, W3: COMPLETE with JOIN_INTEREST; `self` is used up.
                unsafe { task.drop_output() };
                task.drop_ref();
            }
        }
    }
}

struct DropRef(TaskRef);

impl Drop for DropRef {
    fn drop(&mut self) {
        self.0.drop_ref();
    }
}

impl Queued {
    /// The task, which stays in the caller's hand.
    #[inline(always)]
    pub(crate) fn task(&self) -> TaskRef {
        self.0
    }

    /// For a queue: the entry as a pointer.
    #[inline(always)]
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        self.0.0
    }

    /// From a queue.
    ///
    /// # Safety
    ///
    /// `raw` came from [`Queued::into_raw`] and is turned back once (T1).
    #[inline(always)]
    pub(crate) unsafe fn from_raw(raw: NonNull<Header>) -> Self {
        Self(TaskRef(raw))
    }

    /// Polls the task, or cancels it if it was aborted. `yielded` tells, after `Pending`, whether the
    /// poll asked to yield.
    ///
    /// Runs user code: the caller has lent its P (T2).
    #[inline]
    pub(crate) fn run(self, yielded: impl FnOnce() -> bool) -> After {
        let task = self.0;
        let vtable = task.header().vtable.get();
        let left = match task.state().begin_poll() {
            BeginPoll::Poll => {
                let waker = waker::borrowed(task);
                // SAFETY: stage.rs, W3; we made it RUNNING.
                unsafe { (vtable.poll)(task, &mut Context::from_waker(&waker)) }
            }
            // SAFETY: stage.rs, W3; we made it RUNNING.
            BeginPoll::Cancel => unsafe { (vtable.cancel)(task) },
        };
        if let Some(after) = task.finish(left) {
            return after;
        }
        let state = task.state();
        match if yielded() { state.end_poll_yield() } else { state.end_poll() } {
            EndPoll::Idle => After::Idle,
            EndPoll::Requeue => After::Requeue(Queued(task)),
            EndPoll::Cancel => task.cancel_claimed(),
        }
    }

    /// Drops the future of a task that will not be run any more: the runtime shuts down.
    pub(crate) fn cancel(self) -> After {
        // Both outcomes mean that it is RUNNING now, for us.
        let (BeginPoll::Poll | BeginPoll::Cancel) = self.0.state().begin_poll();
        self.0.cancel_claimed()
    }
}
