//! The handle of a spawned task: waits for its output, aborts it, or lets it run.
//!
//! Go counterpart: none; a goroutine has no handle, and its result travels by a channel.
//!
//! J1. `joined` is the right to the output (raw.rs, W7), until the handle has returned Ready.
//! J2. `registered` is the waker that the join waker cell holds, as long as JOIN_WAKER is set; comparing
//!     with it needs no look at the cell.
//!
//! Absent: the `Future` itself, which says what it waits for, and so stands above (`sched/join.rs`). A result that waits
//! for a late handle beyond the slot: the output stays where the future was.

use super::raw::{Joined, TaskRef};
use super::{TaskId, waker};
use crate::error::JoinError;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::{RawWakerVTable, Waker};

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
    joined: Option<Joined<T>>,
    id: TaskId,
    registered: Option<(usize, &'static RawWakerVTable)>,
}

impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}
impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// The handle of a task just created.
    #[inline]
    pub(crate) fn new(joined: Joined<T>, id: TaskId) -> Self {
        Self { joined: Some(joined), id, registered: None }
    }

    /// Asks that the task's future be dropped instead of polled again.
    ///
    /// Returns at once: the future is dropped later, by an M of the runtime or by whoever shuts it down, and after
    /// a poll in progress has returned. The handle then resolves to an error for which
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
        if let Some(joined) = &self.joined {
            let task = joined.task();
            task.act(task.state().abort());
        }
    }

    /// Whether the task has ended: the next poll of the handle would be `Ready`.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let task = gmprt::spawn(std::future::pending::<()>());
    ///     assert!(!task.is_finished());
    /// })
    /// .unwrap();
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.joined.as_ref().is_none_or(|joined| joined.task().state().is_complete())
    }

    /// The task's id.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let task = gmprt::spawn(async { gmprt::task::id() });
    ///     let id = task.id();
    ///     assert_eq!(task.await.unwrap(), Some(id));
    /// })
    /// .unwrap();
    /// ```
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Whether the task has yet to end; its end wakes `waker` then.
    ///
    /// # Panics
    ///
    /// If its end was taken.
    #[inline]
    pub(crate) fn must_wait(&mut self, waker: &Waker) -> bool {
        let joined = self.joined.as_ref().expect("a JoinHandle was polled after it had returned Ready");
        if joined.task().state().is_complete() {
            return false;
        }
        let known = |(data, vtable)| data == waker.data().addr() && vtable == waker.vtable();
        self.registered.is_some_and(known) || self.register(waker)
    }

    /// The output of a task that has ended: it was asked just now whether it [must wait](Self::must_wait).
    #[inline]
    pub(crate) fn take_end(&mut self) -> Result<T, JoinError> {
        self.joined.take().expect("looked at by the caller").take()
    }

    /// Stores `waker` where the task's end will find it. False: the task has ended.
    #[inline(always)]
    fn register(&mut self, waker: &Waker) -> bool {
        let joined = self.joined.as_mut().expect("asked by the caller");
        let task = joined.task();
        if self.registered.is_some() {
            if !task.state().unset_join_waker() {
                return false; // the cell is the completing thread's
            }
            self.registered = None;
            drop(joined.put_waker(None));
        }
        let old = joined.put_waker(Some(waker.clone()));
        debug_assert!(old.is_none());
        if task.state().set_join_waker() {
            self.registered = Some((waker.data().addr(), waker.vtable()));
            return true;
        }
        drop(joined.put_waker(None));
        false
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(joined) = self.joined.take() {
            joined.discard(self.registered.is_some());
        }
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
