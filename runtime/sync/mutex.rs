//! A lock round a value, to be held across an `.await` if need be.
//!
//! Go counterpart: `sync.Mutex` (`internal/sync/mutex.go`), with its starving mode.
//!
//! Length: half of this file is documentation.
//!
//! D1. `value` is reached by who has `raw`: through a guard, which has it from its making to its drop; or by `&mut`.
//!
//! ```text
//!   lock().await ──▶ MutexGuard ──drop──▶ unlocked        try_lock ──▶ Option<MutexGuard>
//!   lock_owned(arc).await ──▶ OwnedMutexGuard              lock_blocking: for a thread that is no task
//! ```
//!
//! Absent: poisoning. A panic under the lock unlocks it; what the value is like then is the user's matter, as in Go.

use super::raw_mutex::{Locking, RawMutex};
use crate::sys::primitive::cell::UnsafeCell;
use pin_project_lite::pin_project;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A lock round a value.
///
/// It may be held across an `.await`. Where that is not needed, and what is done under the lock is short, std's
/// `Mutex` serves as well.
///
/// [`lock`](Self::lock) blocks the task (G) while another has the lock.
///
/// Fairness is Go's. Who unlocks wakes the one that has waited longest, which then competes with those that are running:
/// they have the lock sooner, and in most cases that is the quickest for all. If it has waited for more than 1 ms and loses again
/// the lock *starves*: from then on it is handed from one to the next in the order in which they came, until
/// nobody waits or one that gets it has waited for less than 1 ms.
///
/// A panic while the lock is held unlocks it; there is no poisoning.
///
/// # Examples
///
/// ```
/// use gmprt::sync::{Mutex, WaitGroup};
/// use std::sync::Arc;
///
/// gmprt::run(async {
///     let (sum, group) = (Arc::new(Mutex::new(0)), WaitGroup::new());
///     for n in 1..=10 {
///         let sum = Arc::clone(&sum);
///         group.spawn(async move { *sum.lock().await += n });
///     }
///     group.wait().await;
///     assert_eq!(*sum.lock().await, 55);
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// The value is inside, and the guard unlocks: nothing can be unlocked that is not locked, nor by somebody else. Go's
/// `Unlock` in starving mode lets the next one run at once; here the task that unlocked does so at its next wait.
#[doc(alias = "sync.Mutex")]
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: D1: one thread at a time reaches the value, and it may be another than the last, so `T` must be `Send`.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// Has a [`Mutex`] locked; unlocks it when dropped. Made by [`Mutex::lock`] and [`Mutex::try_lock`].
///
/// It may go to another thread if the value may.
#[must_use = "a guard that is dropped at once unlocks at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// Sent and shared as what it gives access to.
    _value: PhantomData<&'a mut T>,
}

/// As [`MutexGuard`], with a share in the mutex. Made by [`Mutex::lock_owned`] and [`Mutex::try_lock_owned`].
#[must_use = "a guard that is dropped at once unlocks at once"]
pub struct OwnedMutexGuard<T: ?Sized> {
    mutex: Arc<Mutex<T>>,
    _value: PhantomData<NonNull<T>>,
}

// SAFETY: who has the guard has `&mut T` (D1), and a share of a mutex whose value may be dropped with it.
unsafe impl<T: ?Sized + Send> Send for OwnedMutexGuard<T> {}
// SAFETY: who shares the guard has `&T`; the share of the mutex needs `T: Send`.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedMutexGuard<T> {}

pin_project! {
    /// Waits for a [`Mutex`]. Made by [`Mutex::lock`], which says what becomes of it if dropped.
    #[must_use = "futures do nothing unless polled or awaited"]
    pub struct LockFuture<'a, T: ?Sized> {
        mutex: &'a Mutex<T>,
        #[pin]
        acquire: Locking<'a>,
    }
}

impl<T> Mutex<T> {
    /// Returns an unlocked mutex.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// static TOTAL: gmprt::sync::Mutex<u64> = gmprt::sync::Mutex::new(0);
    /// *TOTAL.try_lock().unwrap() += 1;
    /// assert_eq!(*TOTAL.try_lock().unwrap(), 1);
    /// ```
    #[cfg(not(gmprt_loom))]
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { raw: RawMutex::new(), value: UnsafeCell::new(value) }
    }

    /// As above: loom's cells are not made at compile time.
    #[cfg(gmprt_loom)]
    pub fn new(value: T) -> Self {
        Self { raw: RawMutex::new(), value: UnsafeCell::new(value) }
    }

    /// Returns the value; nobody can have it locked.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(gmprt::sync::Mutex::new(7).into_inner(), 7);
    /// ```
    #[cfg(not(gmprt_loom))]
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks the mutex, and waits while another has it.
    ///
    /// The task (G) blocks while it is locked. Who waits is served as [`Mutex`] says.
    ///
    /// Cancel safe: a wait that is dropped gives its place up, and passes on what it got.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::Mutex;
    ///
    /// let list = Mutex::new(vec![1]);
    /// gmprt::run(async {
    ///     let mut guard = list.lock().await;
    ///     gmprt::yield_now().await; // it may be held across a wait
    ///     guard.push(2);
    /// })
    /// .unwrap();
    /// assert_eq!(list.into_inner(), [1, 2]);
    /// ```
    ///
    /// # Differences from Go
    ///
    /// As [`Mutex`]'s.
    #[doc(alias = "Lock")]
    #[inline]
    pub fn lock(&self) -> LockFuture<'_, T> {
        LockFuture { mutex: self, acquire: self.raw.acquire() }
    }

    /// Locks the mutex if nobody has it.
    ///
    /// It never blocks. It may overtake those who wait, unless the lock starves.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = gmprt::sync::Mutex::new(1);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_none());
    /// drop(guard);
    /// assert!(mutex.try_lock().is_some());
    /// ```
    #[doc(alias = "TryLock")]
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.try_lock().then(|| self.guard())
    }

    /// Locks the mutex as [`lock`](Self::lock) does, from a thread that is no task.
    ///
    /// It blocks the thread (M). In a task it declares that it does, as `block_in_place`.
    ///
    /// It waits in the same line as the tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::Mutex;
    ///
    /// let mutex = Mutex::new(0);
    /// std::thread::scope(|scope| {
    ///     for _ in 0..2 {
    ///         scope.spawn(|| *mutex.lock_blocking() += 1);
    ///     }
    /// });
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    #[cfg(not(gmprt_loom))]
    #[doc(alias = "blocking_lock")]
    pub fn lock_blocking(&self) -> MutexGuard<'_, T> {
        match self.try_lock() {
            Some(guard) => guard,
            None => super::blocking::block_thread(self.lock()),
        }
    }

    /// Locks the mutex as [`lock`](Self::lock) does, and has a share in it: such a guard can go into a task.
    ///
    /// The task (G) blocks while it is locked.
    ///
    /// Cancel safe, as [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::Mutex;
    /// use std::sync::Arc;
    ///
    /// let mutex = Arc::new(Mutex::new(1));
    /// gmprt::run(async move {
    ///     let mut guard = Arc::clone(&mutex).lock_owned().await;
    ///     gmprt::spawn(async move { *guard += 1 }).await.unwrap();
    ///     assert_eq!(*mutex.lock().await, 2);
    /// })
    /// .unwrap();
    /// ```
    pub async fn lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        let guard = ManuallyDrop::new(self.lock().await);
        let _ = &guard; // its lock is the owned guard's from here on
        OwnedMutexGuard { mutex: self, _value: PhantomData }
    }

    /// Locks the mutex if nobody has it; see [`lock_owned`](Self::lock_owned).
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = std::sync::Arc::new(gmprt::sync::Mutex::new(1));
    /// let guard = mutex.clone().try_lock_owned();
    /// assert!(guard.is_some() && mutex.try_lock().is_none());
    /// ```
    pub fn try_lock_owned(self: Arc<Self>) -> Option<OwnedMutexGuard<T>> {
        self.raw.try_lock().then(|| OwnedMutexGuard { mutex: self, _value: PhantomData })
    }

    /// Lends the value to who has the mutex to itself; nothing needs to be locked.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut mutex = gmprt::sync::Mutex::new(1);
    /// *mutex.get_mut() += 1;
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: D1: `&mut self`.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// Nobody has the lock, waits for it, or has left a trace of that.
    #[cfg(all(test, gmprt_loom))]
    pub(super) fn is_at_rest(&self) -> bool {
        self.raw.is_at_rest()
    }

    /// The caller has locked `raw`.
    #[inline]
    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, _value: PhantomData }
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Returns the mutex that the guard has locked.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::{Mutex, MutexGuard};
    ///
    /// let mutex = Mutex::new(1);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(std::ptr::eq(MutexGuard::mutex(&guard), &mutex));
    /// ```
    #[must_use]
    pub fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.mutex
    }
}

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// Returns the mutex that the guard has locked.
    #[must_use]
    pub fn mutex(guard: &Self) -> &Arc<Mutex<T>> {
        &guard.mutex
    }
}

impl<'a, T: ?Sized> Future for LockFuture<'a, T> {
    type Output = MutexGuard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<'a, T>> {
        let this = self.project();
        let mutex = *this.mutex;
        this.acquire.poll(cx).map(|()| mutex.guard())
    }
}

macro_rules! guards {
    ($([$($params:tt)*] $guard:ty;)*) => {$(
        impl<$($params)*> Deref for $guard {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                // SAFETY: D1: the guard has the lock, and is borrowed for as long as the value.
                self.mutex.value.with(|value| unsafe { &*value })
            }
        }

        impl<$($params)*> DerefMut for $guard {
            #[inline]
            fn deref_mut(&mut self) -> &mut T {
                // SAFETY: D1: the guard has the lock, and is borrowed mutably for as long as the value.
                self.mutex.value.with_mut(|value| unsafe { &mut *value })
            }
        }

        impl<$($params)*> Drop for $guard {
            #[inline]
            fn drop(&mut self) {
                self.mutex.raw.unlock();
            }
        }

        impl<$($params)* + fmt::Debug> fmt::Debug for $guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&**self, f)
            }
        }

        impl<$($params)* + fmt::Display> fmt::Display for $guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&**self, f)
            }
        }
    )*};
}

guards! {
    ['a, T: ?Sized] MutexGuard<'a, T>;
    [T: ?Sized] OwnedMutexGuard<T>;
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Mutex");
        match self.try_lock() {
            Some(guard) => out.field("value", &&*guard),
            None => out.field("value", &format_args!("<locked>")),
        };
        out.finish()
    }
}

impl<T: ?Sized> fmt::Debug for LockFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockFuture").field("locked", &self.mutex.raw.is_locked()).finish_non_exhaustive()
    }
}
