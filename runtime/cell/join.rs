//! The handle of a spawned task: waits for its output, aborts it, or lets it run.
//!
//! Go counterpart: none; a goroutine has no handle, and its result travels by a channel.
//!
//! J1. A handle with `task` set holds one reference and the JOIN_INTEREST (state.rs).
//! J2. `registered` is the waker that the join waker cell holds, as long as JOIN_WAKER is set; comparing
//!     with it needs no look at the cell.
//!
//! Absent: a result that waits for a late handle beyond the slot: the output stays where the future was.

use super::raw::TaskRef;
use super::state::HandleDropped;
use super::{TaskId, waker};
use crate::error::JoinError;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, RawWakerVTable, Waker};

/// Waits for a task and yields what its future returned.
///
/// Blocks only the task that awaits it (its G). Dropping the handle detaches the task, which runs on.
///
/// # Cancel safety
///
/// Awaiting `&mut handle` in a select or a timeout loses nothing: the output stays with the task.
///
/// # Errors
///
/// [`JoinError`], if the task was aborted, panicked, or the runtime shut down before it ended. The future
/// has been dropped by the time the handle resolves, in every case.
///
/// # Panics
///
/// If polled after it has returned `Ready`.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let answer = gmprt::run(async {
///     let handle = gmprt::spawn(async { 6 * 7 });
///     handle.await
/// })?;
/// assert_eq!(answer.unwrap(), 42);
/// # Ok(())
/// # }
/// ```
///
/// # Differences from Go
///
/// A goroutine that panics ends the process. Here the panic is caught and handed to the handle.
pub struct JoinHandle<T> {
    task: Option<TaskRef>,
    id: TaskId,
    registered: Option<(*const (), &'static RawWakerVTable)>,
    output: PhantomData<T>,
}

// SAFETY: J1; the handle is a reference to the task's atomics, and passes a T on by value only.
#[expect(unsafe_code, reason = "the header pointer is what keeps a handle from being Send by itself")]
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: `&JoinHandle` offers `abort`, `is_finished` and `id`, which act on atomics.
#[expect(unsafe_code, reason = "as above")]
unsafe impl<T: Send> Sync for JoinHandle<T> {}
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}
impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// The handle of a task just created; J1: `create` has set JOIN_INTEREST and counted it.
    #[inline]
    pub(crate) fn new(task: TaskRef, id: TaskId) -> Self {
        Self { task: Some(task), id, registered: None, output: PhantomData }
    }

    /// Asks that the task's future be dropped instead of polled again.
    ///
    /// Returns at once: the future is dropped by an M of the runtime, never by the caller, and after a
    /// poll in progress has returned. The handle then resolves to an error for which
    /// [`JoinError::is_cancelled`] holds, unless that poll completed the task. Aborting a task that has
    /// ended does nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// gmprt::run(async {
    ///     let handle = gmprt::spawn(std::future::pending::<()>());
    ///     handle.abort();
    ///     assert!(handle.await.unwrap_err().is_cancelled());
    /// })
    /// # }
    /// ```
    pub fn abort(&self) {
        if let Some(task) = self.task {
            task.act(task.state().abort());
        }
    }

    /// Whether the task has ended: the next poll of the handle would be `Ready`.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_none_or(|task| task.state().is_complete())
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Takes the output of the complete task and gives the reference up.
    fn take(&mut self, task: TaskRef) -> Result<T, JoinError> {
        self.task = None;
        // SAFETY: J1 and `self.task` was set: the output is of type T, COMPLETE, and not taken yet.
        #[expect(unsafe_code, reason = "the output is type-erased in the slot")]
        let output = unsafe { task.take_output::<T>() };
        task.drop_ref();
        output
    }

    /// Exchanges the waker in the join waker cell, which is ours: JOIN_WAKER is clear.
    fn put_waker(task: TaskRef, waker: Option<Waker>) -> Option<Waker> {
        // SAFETY: state.rs, S3; the callers have cleared JOIN_WAKER, or never set it.
        #[expect(unsafe_code, reason = "the cell is shared with the thread that completes the task")]
        unsafe {
            task.put_join_waker(waker)
        }
    }

    /// Stores `waker` where the task's end will find it. False: the task has ended.
    fn register(&mut self, task: TaskRef, waker: &Waker) -> bool {
        if self.registered.is_some() {
            if !task.state().unset_join_waker() {
                return false; // the cell is the completing thread's
            }
            self.registered = None;
            drop(Self::put_waker(task, None));
        }
        let old = Self::put_waker(task, Some(waker.clone()));
        debug_assert!(old.is_none());
        if task.state().set_join_waker() {
            self.registered = Some((waker.data(), waker.vtable()));
            return true;
        }
        drop(Self::put_waker(task, None));
        false
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let task = this.task.expect("a JoinHandle was polled after it had returned Ready");
        if task.state().is_complete() {
            return Poll::Ready(this.take(task));
        }
        let waker = cx.waker();
        let known = this.registered.is_some_and(|(data, vtable)| data == waker.data() && vtable == waker.vtable());
        if known || this.register(task, waker) {
            return Poll::Pending;
        }
        Poll::Ready(this.take(task))
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        let Some(task) = self.task else { return };
        match task.state().drop_handle(self.registered.is_some()) {
            HandleDropped::Released => {}
            HandleDropped::Free => task.free(),
            HandleDropped::DropWaker => {
                let waker = Self::put_waker(task, None);
                let end = DropRef(task); // on unwind too: dropping the waker is user code
                drop(waker);
                drop(end);
            }
            HandleDropped::DropOutput => {
                // SAFETY: J1, COMPLETE, and not taken, for `self.task` is set.
                #[expect(unsafe_code, reason = "the output is type-erased in the slot")]
                unsafe {
                    task.drop_output();
                }
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

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id).field("finished", &self.is_finished()).finish()
    }
}

/// Whether `waker` is the own waker of the task `task`.
#[inline]
pub(crate) fn is_own_waker(waker: &Waker, task: TaskRef) -> bool {
    waker::task_of(waker) == Some(task)
}
