//! A task in memory: the header that everybody knows, and the body that only the vtable knows.
//!
//! Go counterpart: `type g` (`runtime2.go`).
//!
//! ```text
//!   slot: [ Header: state, vtable, slab, id, spawn site, join waker, link, class ][ body          ]
//!                                                                                   │
//!                    Inline: Stage (a union) ◀──── fits a class ────────────────────┤
//!                    Boxed:  a Box of the Stage ◀─ larger, or of a high alignment ──┘
//!   Stage: future ──(completes, panics, is cancelled: dropped)──▶ output ──▶ taken or dropped
//! ```
//!
//! W1. A [`TaskRef`] points to a slot's header, which is valid memory as long as the slab (slab.rs, L1).
//!     Whoever uses more than its atomics holds a reference (state.rs, S1) or the [`Queued`].
//! W2. `vtable`, `id` and `spawned_at` are written between `Slab::get` and `State::spawn`, while the slot
//!     is empty and the writer's alone, and are constant until it is empty again.
//! W3. The stage belongs to whoever made the task RUNNING; from COMPLETE on to the handle (state.rs).
//!     It holds the future until `poll` or `cancel` says Ready, then the output if that was `stored`.
//! W4. The join waker cell obeys state.rs, S3.
//! W5. The future is never moved after its first poll: the slot does not move, nor does the box.
//!
//! Absent: a reference count of the slab in each task (L3 counts at the end only), a linked list of
//! live tasks.

use super::slab::{Slab, Slot, SLOT_ALIGN, class_of};
use super::state::{BeginPoll, Completed, EndPoll, State, WakeAction};
use super::{After, Ended, TaskId, waker};
use crate::error::JoinError;
use crate::sys::primitive::{AtomicOrdering::Relaxed, AtomicU64};
use std::alloc::Layout;
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::mem::{self, ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

/// What everybody knows of a task.
#[repr(C)]
pub(crate) struct Header {
    state: State,
    vtable: Cell<&'static VTable>,
    slab: *const Slab,
    id: AtomicU64,
    spawned_at: Cell<&'static Location<'static>>,
    join_waker: UnsafeCell<Option<Waker>>,
    /// The next empty slot of the chain, while this one is empty.
    link: Cell<Option<NonNull<Header>>>,
    class: usize,
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
            spawned_at: Cell::new(Location::caller()),
            join_waker: UnsafeCell::new(None),
            link: Cell::new(None),
            class,
        };
        // SAFETY: as this function demands.
        unsafe { slot.write(header) };
    }

    /// The chain link of an empty slot.
    ///
    /// # Safety
    ///
    /// The header is initialised, and the slot is empty and the caller's (slab.rs, L2).
    pub(super) unsafe fn link<'a>(slot: NonNull<Self>) -> &'a Cell<Option<NonNull<Self>>> {
        // SAFETY: as this function demands.
        unsafe { &slot.as_ref().link }
    }

    /// The slot's size class.
    ///
    /// # Safety
    ///
    /// The header is initialised.
    pub(super) unsafe fn class(slot: NonNull<Self>) -> usize {
        // SAFETY: as this function demands; the class never changes.
        unsafe { slot.as_ref().class }
    }
}

/// What a poll or a cancellation left behind.
enum Left {
    Pending,
    /// The future is dropped; its output is in its place if `stored`.
    Ready { stored: bool, ended: Ended },
}

/// What only the task's own types know.
struct VTable {
    poll: unsafe fn(TaskRef, &mut Context<'_>) -> Left,
    cancel: unsafe fn(TaskRef) -> Left,
    drop_output: unsafe fn(TaskRef),
    take_output: unsafe fn(TaskRef, *mut ()),
    free_body: unsafe fn(TaskRef),
}

impl VTable {
    const EMPTY: Self = Self {
        poll: |_, _| unreachable!("an empty slot was polled"),
        cancel: |_| unreachable!("an empty slot was cancelled"),
        drop_output: |_| unreachable!("an empty slot has no output"),
        take_output: |_, _| unreachable!("an empty slot has no output"),
        free_body: |_| unreachable!("an empty slot was freed"),
    };
}

/// A future, later its output.
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    output: ManuallyDrop<Result<F::Output, JoinError>>,
}

/// Where the stage is: in the slot, or in a box.
trait Body<F: Future> {
    fn new(future: F) -> Self;
    fn stage(&self) -> *mut Stage<F>;
}

struct Inline<F: Future>(UnsafeCell<Stage<F>>);
struct Boxed<F: Future>(Box<UnsafeCell<Stage<F>>>);

impl<F: Future> Body<F> for Inline<F> {
    #[inline(always)]
    fn new(future: F) -> Self {
        Self(UnsafeCell::new(Stage { future: ManuallyDrop::new(future) }))
    }

    #[inline(always)]
    fn stage(&self) -> *mut Stage<F> {
        self.0.get()
    }
}

impl<F: Future> Body<F> for Boxed<F> {
    fn new(future: F) -> Self {
        Self(Box::new(UnsafeCell::new(Stage { future: ManuallyDrop::new(future) })))
    }

    fn stage(&self) -> *mut Stage<F> {
        self.0.get()
    }
}

/// The whole slot, as the vtable sees it.
#[repr(C)]
struct TaskCell<B> {
    header: Header,
    body: B,
}

/// The functions behind a vtable for a future `F` in a body `B`.
struct Typed<F, B>(F, B);

impl<F: Future, B: Body<F>> Typed<F, B> {
    const VTABLE: VTable = VTable {
        poll: Self::poll,
        cancel: Self::cancel,
        drop_output: Self::drop_output,
        take_output: Self::take_output,
        free_body: Self::free_body,
    };

    /// # Safety
    ///
    /// The task's body is a `B` (W2), and the caller owns the stage (W3).
    #[inline(always)]
    unsafe fn stage(task: TaskRef) -> *mut Stage<F> {
        let cell = task.0.cast::<TaskCell<B>>();
        // SAFETY: W1 and W2: a live slot of this type.
        let body = unsafe { &cell.as_ref().body };
        body.stage()
    }

    unsafe fn poll(task: TaskRef, cx: &mut Context<'_>) -> Left {
        // SAFETY: as this function demands, which is what `stage` does.
        let stage = unsafe { Self::stage(task) };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: W3; RUNNING and not Ready yet, so the stage holds the future and is ours.
            let future: &mut F = unsafe { &mut (*stage).future };
            // SAFETY: W5.
            unsafe { Pin::new_unchecked(future) }.poll(cx)
        }));
        match polled {
            Ok(Poll::Pending) => Left::Pending,
            // SAFETY: W3, as above.
            Ok(Poll::Ready(value)) => unsafe { Self::leave(task, stage, Ok(value)) },
            Err(payload) => {
                let error = JoinError::panicked(task.id(), payload);
                // SAFETY: W3, as above.
                unsafe { Self::leave(task, stage, Err(error)) }
            }
        }
    }

    unsafe fn cancel(task: TaskRef) -> Left {
        // SAFETY: as this function demands, which is what `stage` does.
        let stage = unsafe { Self::stage(task) };
        // SAFETY: W3; RUNNING and not Ready yet.
        unsafe { Self::leave(task, stage, Err(JoinError::cancelled(task.id()))) }
    }

    /// Drops the future and puts the output in its place, or drops that too if nobody wants it.
    ///
    /// # Safety
    ///
    /// The stage is the caller's and holds the future (W3).
    unsafe fn leave(task: TaskRef, stage: *mut Stage<F>, output: Result<F::Output, JoinError>) -> Left {
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: as this function demands; it is not touched again as a future, even on unwind.
            unsafe { ManuallyDrop::drop(&mut (*stage).future) }
        }));
        let output = match dropped {
            Ok(()) => output,
            // The drop's panic is the task's; what it had to say before is dropped, a panic there too.
            Err(payload) => {
                drop_quietly(output);
                Err(JoinError::panicked(task.id(), payload))
            }
        };
        let ended = match &output {
            Ok(_) => Ended::Finished,
            Err(error) if error.is_panic() => Ended::Panicked,
            Err(_) => Ended::Cancelled,
        };
        let stored = task.state().wants_output();
        if stored {
            // SAFETY: as this function demands; the future is gone, so nothing is overwritten.
            unsafe { (*stage).output = ManuallyDrop::new(output) };
        } else {
            drop_quietly(output);
        }
        Left::Ready { stored, ended }
    }

    unsafe fn drop_output(task: TaskRef) {
        // SAFETY: as this function demands, which is what `stage` does.
        let stage = unsafe { Self::stage(task) };
        drop_quietly(AssertUnwindSafe(|| {
            // SAFETY: W3; the output was stored, is the caller's, and is not touched again.
            unsafe { ManuallyDrop::drop(&mut (*stage).output) }
        }));
    }

    unsafe fn take_output(task: TaskRef, to: *mut ()) {
        // SAFETY: as this function demands, which is what `stage` does.
        let stage = unsafe { Self::stage(task) };
        // SAFETY: W3; the output was stored and is the caller's, who will not take or drop it again.
        let output = unsafe { ManuallyDrop::take(&mut (*stage).output) };
        // SAFETY: `to` is `JoinHandle::<F::Output>`'s own `MaybeUninit` of this type.
        unsafe { to.cast::<Result<F::Output, JoinError>>().write(output) };
    }

    unsafe fn free_body(task: TaskRef) {
        let mut cell = task.0.cast::<TaskCell<B>>();
        // SAFETY: W2, and the last reference is gone; the stage is a union and drops nothing.
        unsafe { std::ptr::drop_in_place(&mut cell.as_mut().body) };
    }
}

/// Drops `value`; a panic in its drop has been printed by the hook and ends here.
fn drop_quietly<T: QuietDrop>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| value.run())) {
        forget_payload(payload);
    }
}

/// Drops a panic payload; one whose own drop panics is leaked.
pub(crate) fn forget_payload(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(again);
    }
}

trait QuietDrop {
    fn run(self);
}

impl<T, E> QuietDrop for Result<T, E> {
    fn run(self) {
        drop(self);
    }
}

impl<F: FnOnce()> QuietDrop for AssertUnwindSafe<F> {
    fn run(self) {
        self.0();
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

/// The class of a future's slot, and whether the future is inside it.
const fn placement<F: Future>() -> (usize, bool) {
    match class_of(Layout::new::<TaskCell<Inline<F>>>()) {
        Some(class) => (class, true),
        None => (0, false),
    }
}

/// The class of slot that a future `F` needs.
pub(crate) const fn class_for<F: Future>() -> usize {
    placement::<F>().0
}

/// Moves `future` into an empty slot of class [`class_for::<F>`]: a task with one handle, QUEUED.
#[inline]
pub(crate) fn create<F>(slot: Slot, id: TaskId, site: &'static Location<'static>, future: F) -> (TaskRef, Queued)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    const { assert!(size_of::<TaskCell<Boxed<F>>>() <= super::slab::CLASS_BYTES[0]) };
    const { assert!(align_of::<TaskCell<Boxed<F>>>() <= SLOT_ALIGN) };
    if const { placement::<F>().1 } {
        // SAFETY: `placement` found that the cell fits; the slot is of that class.
        unsafe { create_in::<F, Inline<F>>(slot, id, site, future) }
    } else {
        // SAFETY: the assertions above; class 0 holds a boxed body.
        unsafe { create_in::<F, Boxed<F>>(slot, id, site, future) }
    }
}

/// # Safety
///
/// The slot's class holds a `TaskCell<B>`.
#[inline(always)]
unsafe fn create_in<F: Future, B: Body<F>>(
    slot: Slot,
    id: TaskId,
    site: &'static Location<'static>,
    future: F,
) -> (TaskRef, Queued) {
    let task = TaskRef(slot.0);
    let body = B::new(future);
    let cell = slot.0.cast::<TaskCell<B>>().as_ptr();
    // SAFETY: W2; the slot is empty and ours, and large enough, as the caller says.
    unsafe { (&raw mut (*cell).body).write(body) };
    let header = task.header();
    header.vtable.set(&Typed::<F, B>::VTABLE);
    header.spawned_at.set(site);
    // Ordering: Relaxed; published with the rest by `State::spawn`.
    header.id.store(id.0, Relaxed);
    header.state.spawn();
    (task, Queued(task))
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
        self.header().spawned_at.get()
    }

    /// The slab that the task's slot belongs to.
    #[inline(always)]
    pub(crate) fn slab<'a>(self) -> &'a Slab {
        // SAFETY: slab.rs, L3: the slab lives while one of its slots is in use.
        unsafe { &*self.header().slab }
    }

    /// Hands the task, which a wake or an abort made QUEUED, to its scheduler.
    pub(crate) fn enqueue(self) {
        let slab = self.slab();
        // SAFETY: the task is not COMPLETE and the only entry is in our hand, so its scheduler is there
        // and waits for it to be run or drained (shutdown.rs).
        unsafe { (slab.upcalls.ready)(slab.sched, Queued(self)) };
    }

    /// Does what a wake or an abort asks for.
    #[inline]
    pub(crate) fn act(self, action: WakeAction) {
        match action {
            WakeAction::Enqueue => self.enqueue(),
            WakeAction::Nothing => {}
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
        let slab = self.slab();
        let slot = self.retire();
        (slab.upcalls.release)(slab, slot);
    }

    /// Empties the slot, whose last reference is gone.
    fn retire(self) -> Slot {
        // SAFETY: W2; the last reference is gone, so the body is ours, and is freed once.
        unsafe { (self.header().vtable.get().free_body)(self) };
        self.state().retire();
        Slot(self.0)
    }

    /// Stores the handle's waker.
    ///
    /// # Safety
    ///
    /// The caller owns the join waker cell (W4).
    pub(super) unsafe fn put_join_waker(self, waker: Option<Waker>) -> Option<Waker> {
        // SAFETY: as this function demands.
        let cell = unsafe { &mut *self.header().join_waker.get() };
        mem::replace(cell, waker)
    }

    /// Takes the output of a complete task.
    ///
    /// # Safety
    ///
    /// The task's future has the output type `T`, is COMPLETE, and the caller is its handle, which has
    /// not taken the output yet.
    pub(super) unsafe fn take_output<T>(self) -> Result<T, JoinError> {
        let mut output = MaybeUninit::<Result<T, JoinError>>::uninit();
        // SAFETY: W3, as this function demands; `output` is of the type that the vtable writes.
        unsafe { (self.header().vtable.get().take_output)(self, output.as_mut_ptr().cast()) };
        // SAFETY: written just now.
        unsafe { output.assume_init() }
    }

    /// Drops the output of a complete task.
    ///
    /// # Safety
    ///
    /// As [`TaskRef::take_output`], of which it takes the place.
    pub(super) unsafe fn drop_output(self) {
        // SAFETY: W3, as this function demands.
        unsafe { (self.header().vtable.get().drop_output)(self) };
    }

    /// Drops the future of a task that shutdown has claimed, and completes it.
    pub(crate) fn cancel_claimed(self) -> After {
        // SAFETY: W3; `State::claim` made it RUNNING for us.
        let left = unsafe { (self.header().vtable.get().cancel)(self) };
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
                    // SAFETY: W3; still RUNNING, the output was stored, and nobody else wants it.
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
                // SAFETY: W3; we made it RUNNING.
                unsafe { (vtable.poll)(task, &mut Context::from_waker(&waker)) }
            }
            // SAFETY: W3; we made it RUNNING.
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
