//! The `Waker` of a task: a pointer to its header, and one reference.
//!
//! Go counterpart: the `*g` that a channel's `sudog` keeps, and `goready` (`proc.go`).
//!
//! V1. A waker's data pointer is a task's header; the waker holds one reference (state.rs, S1), except
//!     the [`borrowed`] one, which lives inside a poll and is never dropped.
//!
//! Absent: an allocation. A task's wakers are its slot.

use super::TaskId;
use super::raw::{Header, TaskRef};
use super::stage::forget_payload;
use super::state::WakeAction;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::task::{RawWaker, RawWakerVTable, Waker};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// The task behind a data pointer of [`VTABLE`].
///
/// # Safety
///
/// `data` came from [`TaskRef::as_ptr`] (V1).
#[inline(always)]
unsafe fn task(data: *const ()) -> TaskRef {
    let header = data.cast_mut().cast::<Header>();
    // SAFETY: V1; a header is not at address zero.
    TaskRef::from_header(unsafe { NonNull::new_unchecked(header) })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: V1.
    let task = unsafe { task(data) };
    task.state().add_ref();
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: V1.
    let task = unsafe { task(data) };
    let id = task.id(); // with the reference the task may go
    act(task, id, task.state().wake_by_val());
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: V1.
    let task = unsafe { task(data) };
    act(task, task.id(), task.state().wake_by_ref());
}

#[inline]
fn act(task: TaskRef, id: TaskId, action: WakeAction) {
    if action == WakeAction::Marked
        && let Some(marked) = MARKED.get()
    {
        marked(id);
    }
    task.act(action);
}

/// Who is told that a task was woken while it ran: the trace, which has no other way to learn of it.
static MARKED: OnceLock<fn(TaskId)> = OnceLock::new();

/// From the first runtime on `marked` is told of each wake of a running task.
pub(crate) fn tell_of_marks(marked: fn(TaskId)) {
    MARKED.get_or_init(|| marked);
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: V1.
    unsafe { task(data) }.drop_ref();
}

/// The waker of a task that is being polled, without a reference of its own.
#[inline]
pub(super) fn borrowed(task: TaskRef) -> ManuallyDrop<Waker> {
    // SAFETY: V1; RUNNING holds the runtime's reference (state.rs, S1) for as long as the poll lasts,
    // and ManuallyDrop keeps the waker from giving one up.
    ManuallyDrop::new(unsafe { Waker::new(task.as_ptr(), &VTABLE) })
}

/// The task whose own waker this is, if it is a task's: not a combinator's, not another runtime's.
#[inline]
pub(crate) fn task_of(waker: &Waker) -> Option<TaskRef> {
    // SAFETY: V1; the vtable is ours.
    (*waker.vtable() == VTABLE).then(|| unsafe { task(waker.data()) })
}

/// Wakes; a waker of the user's that panics has told the panic hook, and ends here.
pub(crate) fn wake_quietly(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        forget_payload(payload);
    }
}
