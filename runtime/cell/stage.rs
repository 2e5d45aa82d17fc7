//! The typed half of a task: its future and its output, reached through a vtable by those who know no type.
//!
//! Go counterpart: the goroutine's stack and its entry function.
//!
//! ```text
//!   TaskCell: [ Header ][ body ]      Inline: Stage, a union ◀── fits a size class
//!                                     Boxed:  a Box of it   ◀── larger, or of a high alignment
//!   Stage: future ──(completes, panics, is cancelled: dropped)──▶ output ──▶ taken or dropped
//! ```
//!
//! W3. The stage belongs to whoever made the task RUNNING; from COMPLETE on to the handle (state.rs).
//!     It holds the future until `poll` or `cancel` says Ready, then the output if that was `stored`.
//! W5. The future is never moved after its first poll: the slot does not move, nor does the box.
//! W6. Every vtable function is called with a task whose body is of the vtable's own type (raw.rs, W2).
//!
//! Absent: states, references and queues; a panic that gets out, whoever's it is.

use super::Ended;
use super::raw::{Header, TaskRef};
use super::slab::{CLASS_BYTES, SLOT_ALIGN, class_of};
use crate::error::JoinError;
use std::alloc::Layout;
use std::any::Any;
use std::cell::UnsafeCell;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

/// What a poll or a cancellation left behind.
pub(super) enum Left {
    Pending,
    /// The future is dropped; its output is in its place if `stored`.
    Ready {
        stored: bool,
        ended: Ended,
    },
}

/// What only the task's own types know.
pub(super) struct VTable {
    pub(super) poll: unsafe fn(TaskRef, &mut Context<'_>) -> Left,
    pub(super) cancel: unsafe fn(TaskRef) -> Left,
    pub(super) drop_output: unsafe fn(TaskRef),
    pub(super) take_output: unsafe fn(TaskRef, *mut ()),
    pub(super) free_body: unsafe fn(TaskRef),
}

impl VTable {
    pub(super) const EMPTY: Self = Self {
        poll: |_, _| unreachable!("an empty slot was polled"),
        cancel: |_| unreachable!("an empty slot was cancelled"),
        drop_output: |_| unreachable!("an empty slot has no output"),
        take_output: |_, _| unreachable!("an empty slot has no output"),
        free_body: |_| unreachable!("an empty slot was freed"),
    };
}

/// A future, later its output. A pointer to the union is a pointer to either.
#[repr(C)]
union Stage<F: Future> {
    future: ManuallyDrop<F>,
    /// Only through a pointer.
    _output: ManuallyDrop<Result<F::Output, JoinError>>,
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
    /// The task's body is a `B` (W6).
    #[inline(always)]
    unsafe fn stage(task: TaskRef) -> *mut Stage<F> {
        let cell = task.header_ptr().cast::<TaskCell<B>>();
        // SAFETY: W6: a live slot of this type.
        let cell = unsafe { cell.as_ref() };
        cell.body.stage()
    }

    unsafe fn poll(task: TaskRef, cx: &mut Context<'_>) -> Left {
        // SAFETY: as this function demands, which is what `stage` does.
        let stage = unsafe { Self::stage(task) };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: W3; RUNNING and not Ready yet, so the stage holds the future and is ours.
            let future = unsafe { &mut *stage.cast::<F>() };
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
            unsafe { stage.cast::<F>().drop_in_place() }
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
            unsafe { stage.cast::<Result<F::Output, JoinError>>().write(output) };
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
            unsafe { stage.cast::<Result<F::Output, JoinError>>().drop_in_place() }
        }));
    }

    unsafe fn take_output(task: TaskRef, to: *mut ()) {
        // SAFETY: as this function demands, which is what `stage` does.
        let stage = unsafe { Self::stage(task) };
        // SAFETY: W3; the output was stored and is the caller's, who will not take or drop it again.
        let output = unsafe { stage.cast::<Result<F::Output, JoinError>>().read() };
        // SAFETY: `to` is `JoinHandle::<F::Output>`'s own `MaybeUninit` of this type.
        unsafe { to.cast::<Result<F::Output, JoinError>>().write(output) };
    }

    unsafe fn free_body(task: TaskRef) {
        let cell = task.header_ptr().cast::<TaskCell<B>>().as_ptr();
        // SAFETY: W6; a place inside the slot.
        let body = unsafe { &raw mut (*cell).body };
        // SAFETY: W6, and the last reference is gone; the stage is a union and drops nothing.
        unsafe { body.drop_in_place() };
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

/// Moves `future` into the body of an empty slot of class [`class_for::<F>`].
///
/// # Safety
///
/// The slot is of that class, empty, and the caller's.
#[inline(always)]
pub(super) unsafe fn fill<F: Future>(slot: NonNull<Header>, future: F) -> &'static VTable {
    const { assert!(size_of::<TaskCell<Boxed<F>>>() <= CLASS_BYTES[0]) };
    const { assert!(align_of::<TaskCell<Boxed<F>>>() <= SLOT_ALIGN) };
    if const { placement::<F>().1 } {
        // SAFETY: `placement` found that the cell fits; the slot is of that class.
        unsafe { fill_as::<F, Inline<F>>(slot, future) }
    } else {
        // SAFETY: the assertions above; class 0 holds a boxed body.
        unsafe { fill_as::<F, Boxed<F>>(slot, future) }
    }
}

/// # Safety
///
/// The slot's class holds a `TaskCell<B>`; the slot is empty and the caller's.
#[inline(always)]
unsafe fn fill_as<F: Future, B: Body<F>>(slot: NonNull<Header>, future: F) -> &'static VTable {
    let body = B::new(future);
    let cell = slot.cast::<TaskCell<B>>().as_ptr();
    // SAFETY: as this function demands: a place inside the slot.
    let place = unsafe { &raw mut (*cell).body };
    // SAFETY: as this function demands; what was there has been dropped.
    unsafe { place.write(body) };
    &Typed::<F, B>::VTABLE
}
