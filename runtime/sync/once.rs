//! A value that is made once, by the first who needs it.
//!
//! Go counterpart: `sync.Once`, `OnceFunc`, `OnceValue` (`once.go`, `oncefunc.go`).
//!
//! O1. `value` is written once between two `&mut`, by whoever has the turn, before it sets `ready`; while `ready` is set it is
//!     `Some`, and only read.
//! O2. There is one turn: `busy`, under the queue's lock, says that somebody has it. It is kept for ever by the one who
//!     sets `ready`.
//! O3. Somebody is in line only while `busy`. Who gives the turn up hands it to the first in line (SERVED); who sets
//!     `ready` sends the whole line away (CLOSED).
//!
//! ```text
//!              ┌──────────turn: busy─────────▶ f().await ──ok──▶ value, ready ──▶ all in line: CLOSED ──▶ &value
//!   get_or_init┤                                  │ err, panic, dropped
//!              └──in line──SERVED──▶ turn         └──▶ the next in line: SERVED, or not busy
//! ```
//!
//! Absent: a lock in `get`, a task that runs the initialiser (the caller's does, so it may borrow), and detection of an
//! initialiser that waits for its own cell.
//!
//! Length: half of it is public documentation, with an example for each method.

use super::preempt::{must_yield, or_waits};
use super::wait_list::{Outcome, Phase};
use super::wait_queue::{Enter, WaitQueue, Waiter, Waiters};
use super::wake_batch::{FirstPanic, WakeBatch, wake_one};
use crate::reason::Reason;
use crate::sys::primitive::{
    AtomicBool,
    AtomicOrdering::{Acquire, Release},
    weaken,
};
use pin_project_lite::pin_project;
use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, Waker};

/// How many waiters are sent away under one hold of the lock: bounds both the time others wait for it and the stack that
/// the wakers take (16 bytes each).
const BATCH: usize = 32;

/// A cell that is empty until somebody sets it, and then never changes.
///
/// [`get_or_init`](Self::get_or_init) and [`get_or_try_init`](Self::get_or_try_init) block the task (G) while another
/// initialises the cell; nothing else blocks.
///
/// Fairness: one initialiser runs at a time. If it fails, panics or is dropped, the one that has waited longest runs its
/// own.
///
/// Cancel safety: a call that is dropped while it waits has lost its place and nothing else; one that is dropped while
/// its initialiser runs drops that, and the next in line begins anew.
///
/// # Examples
///
/// ```
/// use gmprt::sync::OnceCell;
///
/// static CONFIG: OnceCell<String> = OnceCell::new();
///
/// gmprt::run(async {
///     assert_eq!(CONFIG.get_or_init(|| async { "loaded".to_owned() }).await, "loaded");
///     assert_eq!(CONFIG.get_or_init(|| async { unreachable!() }).await, "loaded");
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// In Go a function that panics counts as done: `Once.Do` never calls another, and `OnceValue` panics again for each
/// caller. Here the next caller tries with its own. As with Go's `Once`, an initialiser that waits for its own cell waits
/// for ever.
#[doc(alias = "sync.Once")]
#[doc(alias = "OnceFunc")]
#[doc(alias = "OnceValue")]
pub struct OnceCell<T> {
    ready: AtomicBool,
    /// The lock guards `busy`.
    queue: WaitQueue<bool, ()>,
    value: UnsafeCell<Option<T>>,
}

/// Why [`OnceCell::set`] did not set; it holds the value that was to be set.
///
/// # Examples
///
/// ```
/// use gmprt::sync::{OnceCell, SetError};
///
/// let cell = OnceCell::from(1);
/// assert_eq!(cell.set(2), Err(SetError::AlreadyInitializedError(2)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError<T> {
    /// The cell has a value.
    AlreadyInitializedError(T),
    /// Somebody is initialising the cell.
    InitializingError(T),
}

/// The right to write the value; to drop it gives it to the next in line.
struct Turn<'c, T>(&'c OnceCell<T>);

pin_project! {
    /// A wait for the turn, or for the value.
    struct Waiting<'c> {
        #[pin]
        waiter: Waiter<'c, bool, ()>,
    }

    impl PinnedDrop for Waiting<'_> {
        fn drop(this: Pin<&mut Self>) {
            let mut next = None;
            let left = this.project().waiter.leave(|busy, mut waiting, (), was| {
                if was == Phase::Settled(Outcome::Served) {
                    next = pass_on(busy, &mut waiting);
                }
            });
            next.into_iter().for_each(wake_one);
            drop(left);
        }
    }
}

/// Under the lock: gives the turn to the first in line, or puts it back.
fn pass_on(busy: &mut bool, waiting: &mut Waiters<'_, ()>) -> Option<Waker> {
    let next = waiting.pop_front(Outcome::Served);
    *busy = next.is_some();
    next
}

// SAFETY: threads that share a cell share its value (`Sync`), and one may set what another takes out (`Send`); O1 and
// O2 order the one write before all reads. `Send` is what the compiler derives.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

impl<T> OnceCell<T> {
    /// Returns an empty cell.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// static CELL: gmprt::sync::OnceCell<u32> = gmprt::sync::OnceCell::new();
    /// assert_eq!(CELL.get(), None);
    /// ```
    #[cfg(not(gmprt_loom))]
    pub const fn new() -> Self {
        Self::new_with(None)
    }

    /// Returns an empty cell.
    #[cfg(gmprt_loom)]
    pub fn new() -> Self {
        Self::new_with(None)
    }

    /// Returns a cell with that value, or an empty one.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// static CELL: gmprt::sync::OnceCell<u32> = gmprt::sync::OnceCell::new_with(Some(3));
    /// assert_eq!(CELL.get(), Some(&3));
    /// ```
    #[cfg(not(gmprt_loom))]
    pub const fn new_with(value: Option<T>) -> Self {
        let ready = value.is_some();
        Self { ready: AtomicBool::new(ready), queue: WaitQueue::new(ready), value: UnsafeCell::new(value) }
    }

    /// Returns a cell with that value, or an empty one.
    #[cfg(gmprt_loom)]
    pub fn new_with(value: Option<T>) -> Self {
        let ready = value.is_some();
        Self { ready: AtomicBool::new(ready), queue: WaitQueue::new(ready), value: UnsafeCell::new(value) }
    }

    /// Whether the cell has a value.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = gmprt::sync::OnceCell::new();
    /// assert!(!cell.initialized());
    /// cell.set(1).unwrap();
    /// assert!(cell.initialized());
    /// ```
    #[inline]
    pub fn initialized(&self) -> bool {
        // Ordering: Acquire; pairs with the Release store in `Turn::fill`. Without it a reader could see `ready` and not yet
        // the value.
        self.ready.load(weaken::or_relaxed(Acquire, "OnceCell::initialized"))
    }

    /// The value, if there is one.
    ///
    /// It never blocks, and takes no lock.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = gmprt::sync::OnceCell::from("value");
    /// assert_eq!(cell.get(), Some(&"value"));
    /// ```
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.initialized() {
            return None;
        }
        // SAFETY: O1: with `ready` set the value is only read, until somebody has `&mut` of the cell.
        unsafe { &*self.value.get() }.as_ref()
    }

    /// The value, if there is one, to change it.
    ///
    /// It never blocks: nobody else can reach the cell.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut cell = gmprt::sync::OnceCell::from(1);
    /// *cell.get_mut().unwrap() += 1;
    /// assert_eq!(cell.get(), Some(&2));
    /// ```
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut().as_mut()
    }

    /// Sets the value, if the cell is empty and nobody initialises it.
    ///
    /// It never blocks.
    ///
    /// # Errors
    ///
    /// [`SetError::AlreadyInitializedError`] if there is a value, [`SetError::InitializingError`] if somebody is making one;
    /// both give `value` back.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = gmprt::sync::OnceCell::new();
    /// assert_eq!(cell.set(1), Ok(()));
    /// assert!(cell.set(2).unwrap_err().is_already_init_err());
    /// ```
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        if self.initialized() {
            return Err(SetError::AlreadyInitializedError(value));
        }
        if self.queue.with(|busy, _| std::mem::replace(busy, true)) {
            // Who was busy may have set the value since we looked; the lock shows us that it has.
            let ready = self.initialized();
            let error = if ready { SetError::AlreadyInitializedError } else { SetError::InitializingError };
            return Err(error(value));
        }
        Turn(self).fill(value);
        Ok(())
    }

    /// The value; if there is none, that which `f` makes.
    ///
    /// Blocks the task (G) while another initialises the cell, and for as long as `f` does.
    ///
    /// If `f` or its future panics, or this is dropped, the next in line tries with its own function.
    ///
    /// Cancel safe: nothing is lost but the work that `f` has done.
    ///
    /// # Panics
    ///
    /// If `f` or its future does.
    ///
    /// # Examples
    ///
    /// ```
    /// # gmprt::run(async {
    /// let cell = gmprt::sync::OnceCell::new();
    /// assert_eq!(*cell.get_or_init(|| async { 1 }).await, 1);
    /// assert_eq!(*cell.get_or_init(|| async { 2 }).await, 1);
    /// # }).unwrap();
    /// ```
    ///
    /// # Differences from Go
    ///
    /// See [`OnceCell`]: a panic does not count as done.
    #[doc(alias = "Do")]
    pub async fn get_or_init<F, Fut>(&self, f: F) -> &T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        let made = self.get_or_try_init(|| async { Ok::<T, Infallible>(f().await) }).await;
        made.unwrap_or_else(|never| match never {})
    }

    /// The value; if there is none, that which `f` makes, or its error.
    ///
    /// Blocks the task (G) while another initialises the cell, and for as long as `f` does.
    ///
    /// If `f` fails or panics, or this is dropped, the next in line tries with its own function.
    ///
    /// Cancel safe: nothing is lost but the work that `f` has done.
    ///
    /// # Errors
    ///
    /// That of `f`; the cell is empty then, as before.
    ///
    /// # Panics
    ///
    /// If `f` or its future does.
    ///
    /// # Examples
    ///
    /// ```
    /// # gmprt::run(async {
    /// let cell = gmprt::sync::OnceCell::new();
    /// assert_eq!(cell.get_or_try_init(|| async { Err("not yet") }).await, Err("not yet"));
    /// assert_eq!(cell.get_or_try_init(|| async { Ok::<_, &str>(2) }).await, Ok(&2));
    /// # }).unwrap();
    /// ```
    pub async fn get_or_try_init<E, F, Fut>(&self, f: F) -> Result<&T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        poll_fn(|cx| if must_yield(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let Some(turn) = self.turn().await else {
            return Ok(self.get().expect("O3: the line is sent away once the value is there"));
        };
        Ok(turn.fill(f().await?))
    }

    /// Waits for the turn; `None` if there is a value.
    async fn turn(&self) -> Option<Turn<'_, T>> {
        let mut waiting = pin!(Waiting { waiter: Waiter::new(&self.queue, ()) });
        // Made where it is got: it is passed on if the waker's clone, which was not needed, panics when dropped.
        let mut turn = None;
        let mut passed = false;
        let outcome = poll_fn(|cx| {
            let enter = |busy: &mut bool, _: Waiters<'_, ()>, (): &mut ()| {
                passed = self.initialized() || !std::mem::replace(busy, true);
                if passed && !self.initialized() {
                    turn = Some(Turn(self));
                }
                if passed { Enter::Pass } else { Enter::AtBack }
            };
            or_waits(waiting.as_mut().project().waiter.poll(cx, enter), Reason::Once)
        })
        .await;
        // Not `then_some`: a `Turn` that is made and not had would be passed on.
        turn.or_else(|| (!passed && outcome == Outcome::Served).then(|| Turn(self)))
    }

    /// Takes the value out of a cell that is given up.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(gmprt::sync::OnceCell::from(1).into_inner(), Some(1));
    /// ```
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out; the cell is empty then, and can be set again.
    ///
    /// It never blocks: nobody else can reach the cell.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut cell = gmprt::sync::OnceCell::from(1);
    /// assert_eq!((cell.take(), cell.get()), (Some(1), None));
    /// cell.set(2).unwrap();
    /// ```
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }
}

impl<'c, T> Turn<'c, T> {
    /// Writes the value, and sends the line away.
    fn fill(self, value: T) -> &'c T {
        let cell = self.0;
        std::mem::forget(self); // O2: the turn is kept
        // SAFETY: O1 and O2: we have the turn, and `ready` is not set: nobody reads. What is replaced is `None`.
        unsafe { *cell.value.get() = Some(value) };
        // Ordering: Release; pairs with the Acquire load in `initialized`, and publishes the value.
        cell.ready.store(true, weaken::or_relaxed(Release, "Turn::fill"));
        let mut first = FirstPanic::default();
        loop {
            let mut batch = WakeBatch::<BATCH>::new();
            let more = cell.queue.with(|_, mut waiting| {
                while !batch.is_full() {
                    let Some(waker) = waiting.pop_front(Outcome::Closed) else { return false };
                    batch.push(waker);
                }
                true
            });
            batch.wake_into(&mut first);
            if !more {
                break;
            }
        }
        first.resume();
        cell.get().expect("O1: it has just been set")
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let next = self.0.queue.with(|busy, mut waiting| pass_on(busy, &mut waiting));
        next.into_iter().for_each(wake_one);
    }
}

impl<T> SetError<T> {
    /// Whether the cell has a value.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = gmprt::sync::OnceCell::from(1);
    /// assert!(cell.set(2).unwrap_err().is_already_init_err());
    /// ```
    pub fn is_already_init_err(&self) -> bool {
        matches!(self, Self::AlreadyInitializedError(_))
    }

    /// Whether somebody is initialising the cell.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = gmprt::sync::OnceCell::new();
    /// gmprt::run(async {
    ///     let init = async || assert!(cell.set(()).unwrap_err().is_initializing_err());
    ///     cell.get_or_init(init).await;
    /// })
    /// .unwrap();
    /// ```
    pub fn is_initializing_err(&self) -> bool {
        matches!(self, Self::InitializingError(_))
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyInitializedError(_) => "the cell has a value already",
            Self::InitializingError(_) => "the cell is being initialised",
        })
    }
}

impl<T: fmt::Debug> std::error::Error for SetError<T> {}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        Self::new_with(Some(value))
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        Self::new_with(self.get().cloned())
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceCell").field("value", &self.get()).finish()
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "models/once.rs"]
mod models;
