//! Many readers or one writer: the lock as programs use it, with the data inside.
//!
//! Go counterpart: `sync.RWMutex` (`rwmutex.go`). What decides who is next is in `rwlock/raw.rs`.
//!
//! D1. Whoever reaches `data` by `&` has a read lock or the write lock on `raw`; by `&mut`, the write lock, or `&mut` of
//!     the whole.
//! D2. A guard is one such lock: it is made after its lock was taken, and its drop, which runs once, gives it back.
//! D3. `data` is not pinned and not moved while a guard lives: a guard borrows the lock.
//!
//! ```text
//!   read  ──▶ RwLockReadGuard ───────────────────────────────drop──▶ unlock_read
//!                    ▲
//!                    └────────downgrade────────┐
//!   write ──▶ RwLockWriteGuard ────────────────┴─────────────drop──▶ unlock_write
//! ```
//!
//! Absent: poisoning (a guard dropped by a panic unlocks, as in Go and tokio), an upgrade from read to write (two readers
//! who try would wait for each other), guards that own the lock or show a part of the data.

mod raw;

use self::raw::Raw;
use super::preempt::must_yield;
use std::cell::UnsafeCell;
use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::task::Poll;

/// Protects a value that many may read, or one may write.
///
/// [`read`](Self::read) and [`write`](Self::write) block the task (G), never its thread.
///
/// Fairness: a writer that waits blocks new readers. When a writer unlocks, all readers that wait by then are let in, in
/// the order in which they came; when the last of these unlocks, the first writer in line has the lock. Writers are
/// served in the order in which they came, but whoever runs, to read or to write, may get past a writer that has been
/// woken and does not run yet; a writer to which that happens after more than 1 ms of waiting is handed the lock at the
/// next unlock, and until such waiters are gone nobody gets past the line.
///
/// Cancel safety: a `read()` or `write()` that is dropped loses its place and nothing else. If it had the lock already,
/// the lock goes to the next in line; if it was the last writer to wait, the readers that it held back are let in.
///
/// There is no poisoning: a panic unlocks.
///
/// # Examples
///
/// ```
/// use gmprt::sync::RwLock;
///
/// let lock = RwLock::new(5);
/// gmprt::run(async move {
///     {
///         let (one, two) = (lock.read().await, lock.read().await);
///         assert_eq!(*one + *two, 10);
///     }
///     *lock.write().await += 1;
///     assert_eq!(*lock.read().await, 6);
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// The data is inside, and unlocking is the guard's drop, so an unlock of an unlocked lock can't be written. A writer that
/// comes while a woken one does not run yet gets past it only if the lock is free; in Go it may also take its place to wait
/// for readers. A writer has a [`downgrade`](RwLockWriteGuard::downgrade).
#[doc(alias = "sync.RWMutex")]
#[doc(alias = "RWMutex")]
pub struct RwLock<T: ?Sized> {
    raw: Raw,
    data: UnsafeCell<T>,
}

/// The right to read; dropping it unlocks.
///
/// To drop it never blocks; the last reader's drop wakes the writer that is next.
///
/// # Examples
///
/// ```
/// let lock = gmprt::sync::RwLock::new("read");
/// let guard = lock.try_read().unwrap();
/// assert_eq!(*guard, "read");
/// assert!(lock.try_write().is_none());
/// drop(guard);
/// assert!(lock.try_write().is_some());
/// ```
#[must_use = "dropping the guard unlocks"]
#[clippy::has_significant_drop]
pub struct RwLockReadGuard<'l, T: ?Sized> {
    lock: &'l RwLock<T>,
}

/// The right to read and write; dropping it unlocks.
///
/// To drop it never blocks; it lets in the readers that wait, or wakes the next writer.
///
/// # Examples
///
/// ```
/// let lock = gmprt::sync::RwLock::new(1);
/// let mut guard = lock.try_write().unwrap();
/// *guard = 2;
/// assert!(lock.try_read().is_none());
/// drop(guard);
/// assert_eq!(lock.into_inner(), 2);
/// ```
#[must_use = "dropping the guard unlocks"]
#[clippy::has_significant_drop]
pub struct RwLockWriteGuard<'l, T: ?Sized> {
    lock: &'l RwLock<T>,
}

// SAFETY: a lock that is sent takes its value along, and nobody else has it; as std's and tokio's.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: D1: readers on several threads share the value (`Sync`), and a writer may take it out and leave another one
// (`Send`). The raw lock orders their accesses.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// SAFETY: D2: what a read guard gives is `&T`, which may be sent if `T: Sync`; and it is unlocked on whatever thread. As
// tokio's. `RwLockWriteGuard` gives `&mut T`: what the compiler derives from its `&RwLock`, `Send + Sync`, is right.
unsafe impl<T: ?Sized + Sync> Send for RwLockReadGuard<'_, T> {}
// SAFETY: D2: what can be done with `&RwLockReadGuard` is to get `&T`.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

impl<T> RwLock<T> {
    /// Returns an unlocked lock round `value`.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// static SETTINGS: gmprt::sync::RwLock<u32> = gmprt::sync::RwLock::new(3);
    /// assert_eq!(*SETTINGS.try_read().unwrap(), 3);
    /// ```
    #[cfg(not(gmprt_loom))]
    pub const fn new(value: T) -> Self {
        Self { raw: Raw::new(), data: UnsafeCell::new(value) }
    }

    /// Returns an unlocked lock round `value`.
    #[cfg(gmprt_loom)]
    pub fn new(value: T) -> Self {
        Self { raw: Raw::new(), data: UnsafeCell::new(value) }
    }

    /// Gives the value back.
    ///
    /// It never blocks: who has the whole lock is alone with it.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(gmprt::sync::RwLock::new(4).into_inner(), 4);
    /// ```
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading: waits until no writer has the lock or waits for it.
    ///
    /// Blocks the task (G). Readers that wait are let in together when a writer unlocks, and woken in the order in which
    /// they came.
    ///
    /// Cancel safe: a wait that is dropped has lost its place in the line and nothing else.
    ///
    /// One task that reads twice at once waits for ever if a writer came between, as in Go.
    ///
    /// # Examples
    ///
    /// ```
    /// # gmprt::run(async {
    /// let lock = gmprt::sync::RwLock::new(1);
    /// assert_eq!(*lock.read().await, 1);
    /// # }).unwrap();
    /// ```
    #[doc(alias = "RLock")]
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        poll_fn(|cx| if must_yield(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
        if !self.raw.try_read() {
            let mut reading = pin!(self.raw.reading());
            poll_fn(|cx| reading.as_mut().poll(cx)).await;
        }
        RwLockReadGuard { lock: self }
    }

    /// Locks for writing: waits until nobody has the lock, and it is this writer's turn.
    ///
    /// Blocks the task (G). Once it waits, new readers wait behind it, unless a writer before it has been woken and does
    /// not run yet.
    ///
    /// Cancel safe: a wait that is dropped has lost its place in the line and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// # gmprt::run(async {
    /// let lock = gmprt::sync::RwLock::new(String::from("a"));
    /// lock.write().await.push('b');
    /// assert_eq!(lock.into_inner(), "ab");
    /// # }).unwrap();
    /// ```
    #[doc(alias = "Lock")]
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        poll_fn(|cx| if must_yield(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
        if !self.raw.try_write() {
            let mut writing = pin!(self.raw.writing());
            poll_fn(|cx| writing.as_mut().poll(cx)).await;
        }
        RwLockWriteGuard { lock: self }
    }

    /// Locks for reading, if no writer has the lock or waits for it (one that has been woken and does not run yet does not
    /// count).
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = gmprt::sync::RwLock::new(1);
    /// let reader = lock.try_read().unwrap();
    /// assert!(lock.try_read().is_some() && lock.try_write().is_none());
    /// ```
    #[doc(alias = "TryRLock")]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.raw.try_read().then(|| RwLockReadGuard { lock: self })
    }

    /// Locks for writing, if nobody has the lock or waits for it (a writer that has been woken and does not run yet does not
    /// count).
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let lock = gmprt::sync::RwLock::new(1);
    /// *lock.try_write().unwrap() = 2;
    /// assert_eq!(lock.into_inner(), 2);
    /// ```
    #[doc(alias = "TryLock")]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.try_write().then(|| RwLockWriteGuard { lock: self })
    }

    /// The value, which nobody else can reach.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut lock = gmprt::sync::RwLock::new(1);
    /// *lock.get_mut() += 1;
    /// assert_eq!(lock.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }
}

impl<'l, T: ?Sized> RwLockWriteGuard<'l, T> {
    /// From a writer to a reader, without a moment in which another writer may come between.
    ///
    /// It never blocks. Readers that wait are let in too.
    ///
    /// It takes `this` by name, so that it hides no method of the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut writer = lock.try_write().unwrap();
    /// *writer = 2;
    /// let reader = RwLockWriteGuard::downgrade(writer);
    /// assert_eq!((*reader, *lock.try_read().unwrap()), (2, 2));
    /// ```
    ///
    /// # Differences from Go
    ///
    /// Go has none.
    pub fn downgrade(this: Self) -> RwLockReadGuard<'l, T> {
        let lock = this.lock;
        std::mem::forget(this);
        // The new guard is made first: if a waker panics, it unlocks.
        let reader = RwLockReadGuard { lock };
        lock.raw.downgrade();
        reader
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: D1 and D2: this guard is a read lock.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: D1 and D2: this guard is the write lock.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: D1 and D2: this guard is the write lock, and it is borrowed by `&mut`.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock_read();
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.unlock_write();
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RwLock");
        match self.try_read() {
            Some(value) => shown.field("data", &&*value),
            None => shown.field("data", &format_args!("<locked>")),
        };
        shown.finish()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "models/rwlock.rs"]
mod models;
