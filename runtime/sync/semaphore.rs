//! A number of permits that tasks take, wait for in line, and give back.
//!
//! Go counterpart: `golang.org/x/sync/semaphore` (`Weighted`); the direct hand-off is `sema.go: semrelease1`.
//!
//! Length: half of this file is documentation; the permits and the futures share the words of the protocol.
//!
//! S1. `state` holds the free permits and two bits, CLOSED and WAITERS. While WAITERS is unset anybody changes it, by
//!     compare-and-swap. Once it is set the permits and the bits change only under the queue's lock.
//! S2. While the lock is free, WAITERS is set exactly while somebody is in line.
//! S3. While WAITERS is set the free permits are set aside for the first in line, and fewer than it needs; unless
//!     the semaphore is closed, or somebody is serving the line: it has put the lock down to wake, and will look again.
//! S4. A waiter that was served has taken its permits out of `state`. Until it is polled, its drop gives them back.
//! S5. Every change of `state` is a read-modify-write, so that a taker's Acquire reaches back to all
//!     releases before it, whoever else was between.
//!
//! ```text
//!    63 ........... 2    1         0
//!   ┌────────────────┬─────────┬────────┐    take:    permits -= n, unless CLOSED, WAITERS or too few ─▶ line up
//!   │  free permits  │ WAITERS │ CLOSED │    release: permits += n, unless WAITERS ─▶ settle
//!   └────────────────┴─────────┴────────┘
//!
//!   IDLE ──line_up──▶ QUEUED ──settle──▶ SERVED ──poll──▶ a permit
//!    ▲                  │  └───settle──▶ CLOSED ──poll──▶ AcquireError
//!    └────── give_up ───┴─────────────────┘ (permits of a SERVED one go to the next in line)
//! ```
//!
//! Absent: a waiter that holds a part of its permits (they stay in `state`, S3, so a cancel has nothing to count
//! up), and a size: permits can be added and forgotten, so no request is known to be too large for ever.

use super::preempt::must_yield;
use super::wait_list::{Outcome, Phase};
use super::wait_queue::{Enter, OwnedWaiter, WaitQueue, Waiter, Waiters};
use super::wake_batch::{FirstPanic, WakeBatch};
use crate::sys::primitive::{
    AtomicOrdering::{AcqRel, Acquire, Relaxed, Release},
    AtomicUsize,
    weaken::or_relaxed,
};
use pin_project_lite::pin_project;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

const CLOSED: usize = 1;
const WAITERS: usize = 2;
const SHIFT: u32 = 2;

/// How many waiters are served under one hold of the lock: bounds both the time others wait for it and the stack that
/// the wakers take (16 bytes each).
const BATCH: usize = 32;

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

/// Permits of a [`Semaphore`], given back when dropped. Made by [`Semaphore::acquire`] and its like.
///
/// # Examples
///
/// ```
/// let semaphore = gmprt::sync::Semaphore::new(1);
/// let permit = semaphore.try_acquire().unwrap();
/// assert_eq!(semaphore.available_permits(), 0);
/// drop(permit);
/// assert_eq!(semaphore.available_permits(), 1);
/// ```
#[must_use = "a permit that is dropped is given back"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

/// As [`SemaphorePermit`], with a share in the semaphore: it may outlive all others. Made by
/// [`Semaphore::acquire_owned`] and its like.
#[must_use = "a permit that is dropped is given back"]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    permits: usize,
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
        waiter: Waiter<'a, (), u32>,
    }

    impl PinnedDrop for AcquireFuture<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.semaphore.give_up(this.waiter);
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

/// The semaphore was closed, so no permit was acquired.
///
/// # Examples
///
/// ```
/// use gmprt::sync::{AcquireError, Semaphore};
///
/// let semaphore = Semaphore::new(1);
/// semaphore.close();
/// assert_eq!(gmprt::run(async { semaphore.acquire().await.err() }).unwrap(), Some(AcquireError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireError;

/// No permit could be acquired without waiting.
///
/// # Examples
///
/// ```
/// use gmprt::sync::{Semaphore, TryAcquireError};
///
/// let semaphore = Semaphore::new(0);
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
/// semaphore.close();
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore was closed.
    Closed,
    /// Fewer permits than that are free, or others wait for them.
    NoPermits,
}

/// What is left to do for the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing.
    Nothing,
    /// The batch is full, and there may be more to serve.
    More,
    /// Nothing was done: the permits would be too many.
    TooMany,
}

fn free(state: usize) -> usize {
    state >> SHIFT
}

/// The state with `n` permits more, unless they are too many.
fn plus(state: usize, n: usize) -> Option<usize> {
    (n <= Semaphore::MAX_PERMITS - free(state)).then(|| state + (n << SHIFT))
}

#[cold]
fn too_many() {
    // A permit may be dropped because of another panic, and to panic twice would abort the process.
    if !std::thread::panicking() {
        panic!("a semaphore may not have more than MAX_PERMITS permits ({})", Semaphore::MAX_PERMITS);
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
        AcquireFuture { semaphore: self, permits: n, done: false, waiter: Waiter::new(&self.queue, n) }
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

    /// Takes `n` permits, if they are free and nobody waits for them.
    #[inline]
    fn take(&self, n: u32) -> Result<(), TryAcquireError> {
        // Ordering: Acquire; who finds it closed sees what came before the Release in `close`.
        let mut state = self.state.load(Acquire);
        loop {
            if state & CLOSED != 0 {
                return Err(TryAcquireError::Closed);
            }
            if free(state) < n as usize || (state & WAITERS != 0 && n > 0) {
                return Err(TryAcquireError::NoPermits);
            }
            let less = state - ((n as usize) << SHIFT);
            // Ordering: Acquire; pairs with the Release in `release`, so that what the last holders did is visible
            // (S5). On failure as the load above.
            let acquire = or_relaxed(Acquire, "Semaphore::take");
            match self.state.compare_exchange_weak(state, less, acquire, Acquire) {
                Ok(_) => return Ok(()),
                Err(now) => state = now,
            }
        }
    }

    /// Gives `n` permits back, or adds them.
    #[inline]
    fn release(&self, n: usize) {
        // Ordering: Relaxed; the compare-and-swap checks what is read here.
        let mut state = self.state.load(Relaxed);
        loop {
            let Some(more) = plus(state, n).filter(|_| state & WAITERS == 0) else {
                return self.release_slow(n);
            };
            // Ordering: Release; pairs with the Acquire in `take`, and in `settle` for who is served there: what was
            // done with the permits is visible to their next holder. Relaxed on failure, as above.
            let release = or_relaxed(Release, "Semaphore::release");
            match self.state.compare_exchange_weak(state, more, release, Relaxed) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        }
    }

    #[cold]
    fn release_slow(&self, n: usize) {
        let mut batch = WakeBatch::<1>::new();
        let rest = self.queue.with(|(), mut waiting| self.settle(n, &mut waiting, &mut batch));
        self.wake(rest, batch);
    }

    /// Adds `n` permits and looks at the line from its head: takes off those who can be served, or all if the
    /// semaphore is closed, until the batch is full. Under the lock.
    fn settle<const N: usize>(
        &self,
        n: usize,
        waiting: &mut Waiters<'_, u32>,
        batch: &mut WakeBatch<N>,
    ) -> Rest {
        // Ordering: AcqRel; Release as in `release`. Acquire pairs with that too: we collect for those who are served
        // here what former holders did; the list hands it on. Relaxed on failure: nothing is done.
        let both = or_relaxed(AcqRel, "Semaphore::settle");
        let Ok(before) = self.state.fetch_update(both, Relaxed, |state| plus(state, n)) else {
            return Rest::TooMany;
        };
        let given = free(before) + n;
        let mut left = given;
        let closed = before & CLOSED != 0;
        while !batch.is_full() {
            let waker = waiting.pop_front_if(|&mut need| {
                if closed {
                    return Some(Outcome::Closed);
                }
                left = left.checked_sub(need as usize)?;
                Some(Outcome::Served)
            });
            let Some(waker) = waker else { break };
            batch.push(waker);
        }
        let more = batch.is_full() && waiting.front(|&need| closed || need as usize <= left) == Some(true);
        let done = if waiting.is_empty() { before & WAITERS } else { 0 };
        let taken = ((given - left) << SHIFT) + done;
        if taken > 0 {
            // Ordering: Relaxed; S1, WAITERS was set, so nobody else changes the state now. It publishes
            // nothing, and as a read-modify-write it carries earlier releases on (S5).
            self.state.fetch_sub(taken, Relaxed);
        }
        if more { Rest::More } else { Rest::Nothing }
    }

    /// Wakes the first that was taken off the line, and goes on with it until nothing is left to do. No lock is held.
    ///
    /// Most often that one is all: a batch of one costs neither the setting up of a larger one nor a `catch_unwind`.
    #[inline]
    fn wake(&self, rest: Rest, batch: WakeBatch<1>) {
        if rest == Rest::Nothing {
            batch.wake_all();
        } else {
            self.wake_more(rest, batch);
        }
    }

    #[cold]
    fn wake_more(&self, mut rest: Rest, batch: WakeBatch<1>) {
        let mut first = FirstPanic::default();
        batch.wake_into(&mut first);
        while rest == Rest::More {
            let mut batch = WakeBatch::<BATCH>::new();
            rest = self.queue.with(|(), mut waiting| self.settle(0, &mut waiting, &mut batch));
            batch.wake_into(&mut first);
        }
        first.resume();
        if rest == Rest::TooMany {
            too_many();
        }
    }

    /// Polls for `n` permits. When it says that they are there they are the caller's.
    fn poll_acquire(
        &self,
        mut waiter: Pin<&mut Waiter<'_, (), u32>>,
        n: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), AcquireError>> {
        loop {
            let waits = waiter.phase() != Phase::Idle;
            if !waits {
                match self.take(n) {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(TryAcquireError::Closed) => return Poll::Ready(Err(AcquireError)),
                    Err(TryAcquireError::NoPermits) => {}
                }
            }
            match ready!(waiter.as_mut().poll(cx, |(), _, _| self.line_up(n))) {
                Outcome::Closed => return Poll::Ready(Err(AcquireError)),
                Outcome::Served if waits => return Poll::Ready(Ok(())),
                // The state has changed before it stood in line. Nothing was taken under the lock, so
                // that nothing is lost if the waker's clone, which is dropped after it, panics.
                Outcome::Served => {}
            }
        }
    }

    /// Whether one who wants `n` permits has to stand in line; if so, says that somebody does. Under the lock.
    fn line_up(&self, n: u32) -> Enter {
        let wait = |state| {
            let must = state & CLOSED == 0 && (state & WAITERS != 0 || free(state) < n as usize);
            must.then_some(state | WAITERS)
        };
        // Ordering: Relaxed; nothing was taken, and nothing is published. That a release either comes before this
        // and is seen, or sees WAITERS, is due to both being read-modify-writes of one word.
        match self.state.fetch_update(Relaxed, Relaxed, wait) {
            Ok(_) => Enter::AtBack,
            Err(_) => Enter::Pass,
        }
    }

    /// An acquire is dropped: what it got goes on (S4), and those behind it are looked at again.
    #[inline]
    fn give_up(&self, waiter: Pin<&mut Waiter<'_, (), u32>>) {
        if waiter.phase() != Phase::Idle {
            self.leave(waiter);
        }
    }

    #[cold]
    fn leave(&self, waiter: Pin<&mut Waiter<'_, (), u32>>) {
        let mut batch = WakeBatch::<1>::new();
        let left = waiter.leave(|(), mut waiting, need, was| {
            let back = if was == Phase::Settled(Outcome::Served) { *need as usize } else { 0 };
            self.settle(back, &mut waiting, &mut batch)
        });
        if let Some((rest, waker)) = left {
            self.wake(rest, batch);
            drop(waker);
        }
    }
}

impl<'a> Future for AcquireFuture<'a> {
    type Output = Result<SemaphorePermit<'a>, AcquireError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        assert!(!*this.done, "`AcquireFuture` polled after it has completed");
        if must_yield(cx) {
            return Poll::Pending;
        }
        let semaphore = *this.semaphore;
        let permits = *this.permits;
        let acquired = ready!(semaphore.poll_acquire(this.waiter, permits, cx));
        *this.done = true;
        Poll::Ready(acquired.map(|()| SemaphorePermit { semaphore, permits: permits as usize }))
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
        let acquired = ready!(semaphore.poll_acquire(waiter, permits, cx));
        this.waiter.set(None);
        let semaphore = this.semaphore.take().expect("it was there above");
        Poll::Ready(acquired.map(|()| OwnedSemaphorePermit { semaphore, permits: permits as usize }))
    }
}

impl<'a> SemaphorePermit<'a> {
    /// Drops the permit without giving it back: the semaphore has fewer from now on.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(5);
    /// semaphore.try_acquire_many(2).unwrap().forget();
    /// assert_eq!(semaphore.available_permits(), 3);
    /// ```
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Adds the permits of `other` to this one.
    ///
    /// It never blocks.
    ///
    /// # Panics
    ///
    /// If `other` is of another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(5);
    /// let mut permit = semaphore.try_acquire_many(2).unwrap();
    /// permit.merge(semaphore.try_acquire_many(1).unwrap());
    /// assert_eq!(permit.num_permits(), 3);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            std::ptr::eq(self.semaphore, other.semaphore),
            "permits of different semaphores cannot be merged"
        );
        self.permits += std::mem::take(&mut other.permits);
    }

    /// Splits `n` permits off; `None` if there are fewer.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(5);
    /// let mut permit = semaphore.try_acquire_many(5).unwrap();
    /// assert!(permit.split(6).is_none());
    /// drop(permit.split(2));
    /// assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 2));
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(Self { semaphore: self.semaphore, permits: n })
    }

    /// The number of permits that this one stands for.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(3);
    /// assert_eq!(semaphore.try_acquire_many(2).unwrap().num_permits(), 2);
    /// ```
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.permits
    }

    /// The semaphore that they are of.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(3);
    /// let permit = semaphore.try_acquire_many(2).unwrap();
    /// assert_eq!(permit.semaphore().available_permits(), 1);
    /// ```
    #[must_use]
    pub fn semaphore(&self) -> &'a Semaphore {
        self.semaphore
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.release(self.permits);
        }
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl OwnedSemaphorePermit {
    /// Drops the permit without giving it back: the semaphore has fewer from now on.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(5));
    /// semaphore.clone().try_acquire_many_owned(2).unwrap().forget();
    /// assert_eq!(semaphore.available_permits(), 3);
    /// ```
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Adds the permits of `other` to this one.
    ///
    /// It never blocks.
    ///
    /// # Panics
    ///
    /// If `other` is of another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(5));
    /// let mut permit = semaphore.clone().try_acquire_many_owned(2).unwrap();
    /// permit.merge(semaphore.clone().try_acquire_many_owned(1).unwrap());
    /// assert_eq!(permit.num_permits(), 3);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            Arc::ptr_eq(&self.semaphore, &other.semaphore),
            "permits of different semaphores cannot be merged"
        );
        self.permits += std::mem::take(&mut other.permits);
    }

    /// Splits `n` permits off; `None` if there are fewer.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(5));
    /// let mut permit = semaphore.clone().try_acquire_many_owned(5).unwrap();
    /// assert!(permit.split(6).is_none());
    /// drop(permit.split(2));
    /// assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 2));
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(Self { semaphore: Arc::clone(&self.semaphore), permits: n })
    }

    /// The number of permits that this one stands for.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(3));
    /// assert_eq!(semaphore.try_acquire_many_owned(2).unwrap().num_permits(), 2);
    /// ```
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.permits
    }

    /// The semaphore that they are of.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(3));
    /// let permit = semaphore.try_acquire_many_owned(2).unwrap();
    /// assert_eq!(permit.semaphore().available_permits(), 1);
    /// ```
    #[must_use]
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }
}

impl Drop for OwnedSemaphorePermit {
    #[inline]
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.release(self.permits);
        }
    }
}

impl fmt::Debug for OwnedSemaphorePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSemaphorePermit").field("permits", &self.permits).finish_non_exhaustive()
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

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the semaphore is closed",
            Self::NoPermits => "no permits are available",
        })
    }
}

impl Error for AcquireError {}

impl Error for TryAcquireError {}

#[cfg(all(test, gmprt_loom))]
#[path = "models/semaphore.rs"]
mod models;
