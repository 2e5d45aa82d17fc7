//! A number of permits that tasks take, wait for in line, and give back.
//!
//! Go counterpart: `golang.org/x/sync/semaphore` (`Weighted`).
//!
//! Length: one type, whose every method is documented with an example.
//!
//! ```text
//!   acquire, try_acquire ──▶ line.rs ──▶ permit.rs ──drop──▶ line.rs        error.rs: why not
//! ```
//!
//! Absent: the protocol (`line.rs`).

mod error;
mod line;
mod permit;

pub use error::{AcquireError, TryAcquireError};
pub use permit::{OwnedSemaphorePermit, SemaphorePermit};

use super::preempt::{must_yield, or_waits};
use super::wait_queue::{OwnedWaiter, WaitQueue, Waiter};
use super::wake_batch::WakeBatch;
use crate::reason::Reason;
use crate::sys::primitive::{
    AtomicOrdering::{Acquire, Relaxed, Release},
    AtomicUsize,
};
use line::{CLOSED, SHIFT, WAITERS, free};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Limits how many do something at once: each [`acquire`](Self::acquire)s a permit first, and waits while there is none.
///
/// A permit is given back when it is dropped, by whatever thread.
///
/// Only the `acquire` methods block, and they block the task (G).
///
/// It is strictly fair. Permits go to those who wait in the order in which they began to (at their first poll),
/// and neither a new `acquire` nor a `try_acquire` overtakes them. One that waits for many permits holds back all
/// behind it, although there may be enough for them: else a stream of small requests would starve it. To ask for
/// more than will ever be there is to wait for ever, and to make everyone behind wait too.
///
/// Cancel safety: an `acquire` that is dropped loses its place in line, and nothing else. Permits that it had been
/// given and not returned yet go to the next in line.
///
/// # Examples
///
/// ```
/// use gmprt::sync::Semaphore;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
///
/// # fn main() -> std::io::Result<()> {
/// gmprt::run(async {
///     let semaphore = Arc::new(Semaphore::new(3));
///     let busy = Arc::new(AtomicUsize::new(0));
///     let tasks: Vec<_> = (0..20)
///         .map(|_| {
///             let (semaphore, busy) = (Arc::clone(&semaphore), Arc::clone(&busy));
///             gmprt::spawn(async move {
///                 let _permit = semaphore.acquire().await.unwrap();
///                 assert!(busy.fetch_add(1, SeqCst) < 3);
///                 gmprt::yield_now().await;
///                 busy.fetch_sub(1, SeqCst);
///             })
///         })
///         .collect();
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(semaphore.available_permits(), 3);
/// })
/// # }
/// ```
///
/// # Differences from Go
///
/// The names and the rules are tokio's. Go's `Weighted` has a fixed size, and an `Acquire` of more than that waits
/// without holding anyone back, until its context ends; here permits can be added, so no request is too large for ever.
/// Go's `Release` takes a number; here a permit is a value, and knows its own. Go has no `close`. An acquire of
/// zero permits never waits here; in Go it queues up.
#[doc(alias = "semaphore.Weighted")]
pub struct Semaphore {
    state: AtomicUsize,
    queue: WaitQueue<(), u32>,
}

pin_project! {
    /// Waits for permits. Made by [`Semaphore::acquire`] and [`Semaphore::acquire_many`], which say what becomes of it
    /// if it is dropped.
    #[must_use = "futures do nothing unless polled or awaited"]
    pub struct AcquireFuture<'a> {
        semaphore: &'a Semaphore,
        permits: u32,
        done: bool,
        #[pin]
        waiter: Option<Waiter<'a, (), u32>>, // from when it has to wait
    }

    impl PinnedDrop for AcquireFuture<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(waiter) = this.waiter.as_pin_mut() {
                this.semaphore.give_up(waiter);
            }
        }
    }
}

pin_project! {
    /// Waits for permits. Made by [`Semaphore::acquire_owned`] and [`Semaphore::acquire_many_owned`], which say what
    /// becomes of it if it is dropped.
    #[must_use = "futures do nothing unless polled or awaited"]
    pub struct AcquireOwnedFuture {
        semaphore: Option<Arc<Semaphore>>, // until it is ready
        permits: u32,
        #[pin]
        waiter: Option<OwnedWaiter<Semaphore, (), u32>>, // from when it has to wait
    }

    impl PinnedDrop for AcquireOwnedFuture {
        fn drop(this: Pin<&mut Self>) {
            if let Some(waiter) = this.project().waiter.as_pin_mut() {
                let (semaphore, waiter) = waiter.parts();
                semaphore.give_up(waiter);
            }
        }
    }
}

impl Semaphore {
    /// The most permits that a semaphore can have: an eighth of what a `usize` can count, as in tokio.
    pub const MAX_PERMITS: usize = usize::MAX >> 3;

    /// Returns a semaphore with this many free permits.
    ///
    /// It never blocks.
    ///
    /// # Panics
    ///
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(3);
    /// assert_eq!(semaphore.available_permits(), 3);
    /// ```
    #[doc(alias = "NewWeighted")]
    #[must_use]
    #[track_caller]
    #[cfg(not(gmprt_loom))]
    pub const fn new(permits: usize) -> Self {
        assert!(permits <= Self::MAX_PERMITS, "a semaphore may not have more than MAX_PERMITS permits");
        Self { state: AtomicUsize::new(permits << SHIFT), queue: WaitQueue::new(()) }
    }

    /// As above: loom's cells are not made at compile time.
    #[cfg(gmprt_loom)]
    pub fn new(permits: usize) -> Self {
        assert!(permits <= Self::MAX_PERMITS, "a semaphore may not have more than MAX_PERMITS permits");
        Self { state: AtomicUsize::new(permits << SHIFT), queue: WaitQueue::new(()) }
    }

    /// The number of permits that a [`try_acquire_many`](Self::try_acquire_many) could get now.
    ///
    /// It never blocks. While somebody waits it is zero: what is free is set aside for the first in line.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(3);
    /// let permit = semaphore.try_acquire().unwrap();
    /// assert_eq!(semaphore.available_permits(), 2);
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 3);
    /// ```
    #[must_use]
    pub fn available_permits(&self) -> usize {
        // Ordering: Acquire; pairs with the Release of `release`: who sees the permits back sees what their holders did.
        let state = self.state.load(Acquire);
        if state & WAITERS == 0 { free(state) } else { 0 }
    }

    /// Adds permits; those who wait get them first.
    ///
    /// It never blocks. Tasks that are served are woken in order, before it returns. A closed semaphore takes them
    /// too, though nobody can acquire them.
    ///
    /// # Panics
    ///
    /// If more than [`MAX_PERMITS`](Self::MAX_PERMITS) would be free, those set aside for the first in line included;
    /// nothing has changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(0);
    /// semaphore.add_permits(2);
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    #[doc(alias = "Release")]
    #[inline]
    pub fn add_permits(&self, n: usize) {
        self.release(n);
    }

    /// Takes up to `n` free permits away for good, and returns how many it took.
    ///
    /// It never blocks. It takes none while somebody waits: what is free is set aside for the first in line.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(3);
    /// assert_eq!(semaphore.forget_permits(2), 2);
    /// assert_eq!(semaphore.forget_permits(2), 1);
    /// assert_eq!(semaphore.available_permits(), 0);
    /// ```
    pub fn forget_permits(&self, n: usize) -> usize {
        let less = |state: usize| (state & WAITERS == 0).then(|| state - (n.min(free(state)) << SHIFT));
        // Ordering: Acquire; as for one who takes them to use them: who reduces the permits to none may take that as
        // proof that their holders are done. Relaxed if it takes none.
        self.state.fetch_update(Acquire, Relaxed, less).map_or(0, |state| n.min(free(state)))
    }

    /// Waits for one permit.
    ///
    /// Blocks the task (G) while none is free or others wait before it. With a free permit it returns at once.
    ///
    /// Fair: it stands in line from its first poll.
    ///
    /// Cancel safe: if dropped it loses its place in line, and a permit that it had been given goes to the next.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is closed, or is while it waits. One that had been given its permits before
    /// the semaphore was closed succeeds.
    ///
    /// # Panics
    ///
    /// The future panics if it is polled after it has completed.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// gmprt::run(async {
    ///     let semaphore = gmprt::sync::Semaphore::new(1);
    ///     let permit = semaphore.acquire().await.unwrap();
    ///     assert!(semaphore.try_acquire().is_err());
    ///     drop(permit);
    ///     assert!(semaphore.try_acquire().is_ok());
    /// })
    /// # }
    /// ```
    #[doc(alias = "semacquire")]
    #[inline]
    pub fn acquire(&self) -> AcquireFuture<'_> {
        self.acquire_many(1)
    }

    /// Waits for `n` permits at once.
    ///
    /// As [`acquire`](Self::acquire). It is served once `n` are free together, and holds back all behind it until then.
    /// With zero it never waits.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// gmprt::run(async {
    ///     let semaphore = gmprt::sync::Semaphore::new(5);
    ///     let permit = semaphore.acquire_many(3).await.unwrap();
    ///     assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 2));
    /// })
    /// # }
    /// ```
    #[inline]
    pub fn acquire_many(&self, n: u32) -> AcquireFuture<'_> {
        AcquireFuture { semaphore: self, permits: n, done: false, waiter: None }
    }

    /// Takes one permit if that needs no waiting.
    ///
    /// It never blocks, and overtakes nobody.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::Closed`] if the semaphore is closed; else [`TryAcquireError::NoPermits`] if none is free, or
    /// somebody waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::{Semaphore, TryAcquireError};
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.try_acquire().unwrap();
    /// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    /// # drop(permit);
    /// ```
    #[doc(alias = "TryAcquire")]
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if that needs no waiting. As [`try_acquire`](Self::try_acquire).
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire); with zero permits only if the semaphore is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(3);
    /// assert!(semaphore.try_acquire_many(4).is_err());
    /// assert_eq!(semaphore.try_acquire_many(3).unwrap().num_permits(), 3);
    /// ```
    #[inline]
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.take(n)?;
        Ok(SemaphorePermit { semaphore: self, permits: n as usize })
    }

    /// As [`acquire`](Self::acquire), for a permit that keeps the semaphore alive: for `'static` tasks.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// gmprt::run(async {
    ///     let semaphore = Arc::new(Semaphore::new(1));
    ///     let permit = Arc::clone(&semaphore).acquire_owned().await.unwrap();
    ///     gmprt::spawn(async move { drop(permit) }).await.unwrap();
    ///     assert_eq!(semaphore.available_permits(), 1);
    /// })
    /// # }
    /// ```
    #[inline]
    pub fn acquire_owned(self: Arc<Self>) -> AcquireOwnedFuture {
        self.acquire_many_owned(1)
    }

    /// As [`acquire_many`](Self::acquire_many), for a permit that keeps the semaphore alive: for `'static` tasks.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// gmprt::run(async {
    ///     let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(5));
    ///     let permit = semaphore.clone().acquire_many_owned(3).await.unwrap();
    ///     assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 2));
    /// })
    /// # }
    /// ```
    #[inline]
    pub fn acquire_many_owned(self: Arc<Self>, n: u32) -> AcquireOwnedFuture {
        AcquireOwnedFuture { semaphore: Some(self), permits: n, waiter: None }
    }

    /// As [`try_acquire`](Self::try_acquire), for a permit that keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(1));
    /// let permit = semaphore.clone().try_acquire_owned().unwrap();
    /// std::thread::spawn(move || drop(permit)).join().unwrap();
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    #[inline]
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), for a permit that keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_many`](Self::try_acquire_many).
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(3));
    /// assert_eq!(semaphore.clone().try_acquire_many_owned(2).unwrap().num_permits(), 2);
    /// ```
    #[inline]
    pub fn try_acquire_many_owned(self: Arc<Self>, n: u32) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.take(n)?;
        Ok(OwnedSemaphorePermit { semaphore: self, permits: n as usize })
    }

    /// Closes the semaphore: all who wait fail, and so does every later acquire.
    ///
    /// It never blocks. Those who wait are woken in order, before it returns. Permits that are out stay valid, and
    /// come back as before. To close twice is to close once.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::{Semaphore, TryAcquireError};
    ///
    /// let semaphore = Semaphore::new(1);
    /// semaphore.close();
    /// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    /// ```
    pub fn close(&self) {
        let mut batch = WakeBatch::<1>::new();
        let rest = self.queue.with(|(), mut waiting| {
            // Ordering: Release; pairs with the Acquire loads of `take` and `is_closed`: who finds it closed sees what
            // came before. Under the lock, so that S1 holds.
            self.state.fetch_or(CLOSED, Release);
            self.settle(0, &mut waiting, &mut batch)
        });
        self.wake(rest, batch);
    }

    /// Whether [`close`](Self::close) was called.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(1);
    /// assert!(!semaphore.is_closed());
    /// semaphore.close();
    /// assert!(semaphore.is_closed());
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        // Ordering: Acquire; pairs with the Release in `close`.
        self.state.load(Acquire) & CLOSED != 0
    }
}

impl<'a> Future for AcquireFuture<'a> {
    type Output = Result<SemaphorePermit<'a>, AcquireError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        assert!(!*this.done, "`AcquireFuture` polled after it has completed");
        if must_yield(cx) {
            return Poll::Pending;
        }
        let semaphore = *this.semaphore;
        let permits = *this.permits;
        let permit = |()| SemaphorePermit { semaphore, permits: permits as usize };
        if this.waiter.is_none() {
            match semaphore.take(permits) {
                Err(TryAcquireError::NoPermits) => {
                    this.waiter.set(Some(Waiter::new(&semaphore.queue, permits)));
                }
                taken => {
                    *this.done = true;
                    return Poll::Ready(taken.map(permit).map_err(|_| AcquireError));
                }
            }
        }
        let waiter = this.waiter.as_pin_mut().expect("it was made above");
        let acquired = ready!(or_waits(semaphore.poll_acquire(waiter, permits, cx), Reason::Semaphore));
        *this.done = true;
        Poll::Ready(acquired.map(permit))
    }
}

impl Future for AcquireOwnedFuture {
    type Output = Result<OwnedSemaphorePermit, AcquireError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let semaphore = this.semaphore.as_ref().expect("`AcquireOwnedFuture` polled after it has completed");
        if must_yield(cx) {
            return Poll::Pending;
        }
        let permits = *this.permits;
        if this.waiter.is_none() {
            match semaphore.take(permits) {
                Err(TryAcquireError::NoPermits) => {
                    let waiter =
                        OwnedWaiter::new(Arc::clone(semaphore), |semaphore| &semaphore.queue, permits);
                    this.waiter.set(Some(waiter));
                }
                taken => {
                    let semaphore = this.semaphore.take().expect("it was there above");
                    let permit = |()| OwnedSemaphorePermit { semaphore, permits: permits as usize };
                    return Poll::Ready(taken.map(permit).map_err(|_| AcquireError));
                }
            }
        }
        let (_, waiter) = this.waiter.as_mut().as_pin_mut().expect("it was made above").parts();
        let acquired = ready!(or_waits(semaphore.poll_acquire(waiter, permits, cx), Reason::Semaphore));
        this.waiter.set(None);
        let semaphore = this.semaphore.take().expect("it was there above");
        Poll::Ready(acquired.map(|()| OwnedSemaphorePermit { semaphore, permits: permits as usize }))
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("permits", &self.available_permits())
            .field("waiters", &self.queue.with(|(), waiting| waiting.len()))
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl fmt::Debug for AcquireFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireFuture").field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl fmt::Debug for AcquireOwnedFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireOwnedFuture").field("permits", &self.permits).finish_non_exhaustive()
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "models/semaphore.rs"]
mod models;
