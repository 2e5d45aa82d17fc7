//! Waits, with a lock given up meanwhile, until somebody says that what it guards has changed.
//!
//! Go counterpart: `sync.Cond` (`cond.go`), over `notifyList` (`sema.go`).
//!
//! O1. A wait stands in line before its lock is given up, so a change made under the lock after that finds it.
//! O2. A signal that a wait got is its own until it has the lock again; if it is dropped before, the next in line gets it.
//! O3. A broadcast reaches those with a ticket below the one that was next when it began.
//!
//! ```text
//!   wait(guard): in line ─▶ unlock ─▶ Pending …  signal: the first; broadcast: all ─▶ lock again ─▶ guard
//!                               └─ dropped: out of line; with a signal in its hands: to the next
//! ```
//!
//! Absent: the condition itself. As in Go it is looked at again, in a loop, when the wait is over.

use super::mutex::{Mutex, MutexGuard};
use super::preempt::{must_yield, or_waits};
use super::wait_list::Outcome;
use super::wait_queue::{Enter, WaitQueue, Waiter};
use super::wake_batch::{FirstPanic, WakeBatch, wake_one};
use crate::reason::Reason;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, ready};

/// How many are woken under one hold of the lock: bounds the time others wait for it and the stack that the
/// wakers take (16 bytes each).
const BATCH: usize = 32;

/// Waits for a change of what a [`Mutex`] guards.
///
/// [`wait`](Self::wait) blocks the task (G). [`signal`](Self::signal) wakes the one that has waited longest,
/// [`broadcast`](Self::broadcast) all, in the order in which they began to wait.
///
/// # Examples
///
/// ```
/// use gmprt::sync::{Cond, Mutex};
/// use std::sync::Arc;
///
/// gmprt::run(async {
///     let shared = Arc::new((Mutex::new(false), Cond::new()));
///     let other = Arc::clone(&shared);
///     gmprt::spawn(async move {
///         *other.0.lock().await = true;
///         other.1.signal();
///     });
///     let mut ready = shared.0.lock().await;
///     while !*ready {
///         ready = shared.1.wait(ready).await;
///     }
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// The lock is not a part of it: `wait` takes the guard, and returns it. All waits at one time should be with the same mutex.
#[doc(alias = "sync.Cond")]
pub struct Cond {
    /// The next ticket; each waiter has its own, and how it was told.
    queue: WaitQueue<u64, Place>,
}

#[derive(Clone, Copy)]
struct Place {
    ticket: u64,
    signalled: bool,
}

pin_project! {
    /// One wait, until it has the lock again.
    struct Waiting<'c> {
        cond: &'c Cond,
        // It was signalled, and has not got the lock yet (O2).
        owes: bool,
        #[pin]
        waiter: Waiter<'c, u64, Place>,
    }

    impl PinnedDrop for Waiting<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let cond = *this.cond;
            let left = this.waiter.leave(|_, _, place, _| place.signalled);
            let (signalled, waker) = left.unwrap_or((*this.owes, None));
            if signalled {
                cond.signal();
            }
            drop(waker); // last: it may panic
        }
    }
}

impl Cond {
    /// Returns one that nobody waits for.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// static CHANGED: gmprt::sync::Cond = gmprt::sync::Cond::new();
    /// CHANGED.signal(); // nobody waits: nothing happens
    /// ```
    #[cfg(not(gmprt_loom))]
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: WaitQueue::new(0) }
    }

    /// As above: loom's cells are not made at compile time.
    #[cfg(gmprt_loom)]
    pub fn new() -> Self {
        Self { queue: WaitQueue::new(0) }
    }

    /// Unlocks, waits until it is told, and locks again.
    ///
    /// The task (G) blocks until it is told and has the lock. The lock is given up at the first poll, once the wait stands in
    /// line: a change that is made and told afterwards is not missed.
    ///
    /// Nothing says that the condition holds when it returns: somebody else may have had the lock in between. So it is
    /// looked at in a loop.
    ///
    /// Cancel safe, but without the lock: a wait that is dropped has given it up (or gives it up then), and a signal that it
    /// got goes to the next in line.
    ///
    /// # Examples
    ///
    /// See [`Cond`].
    #[doc(alias = "Wait")]
    pub async fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex: &'a Mutex<T> = MutexGuard::mutex(&guard);
        let mut guard = Some(guard);
        let place = Place { ticket: 0, signalled: false };
        let mut waiting = pin!(Waiting { cond: self, owes: false, waiter: Waiter::new(&self.queue, place) });
        poll_fn(|cx| {
            if must_yield(cx) {
                return Poll::Pending;
            }
            let mut this = waiting.as_mut().project();
            let told = this.waiter.as_mut().poll(cx, |next, _, place| {
                *place = Place { ticket: *next, signalled: false };
                *next += 1;
                Enter::AtBack
            });
            drop(guard.take()); // O1
            ready!(or_waits(told, Reason::Cond));
            *this.owes = this.waiter.reset(|place| place.signalled);
            Poll::Ready(())
        })
        .await;
        let guard = mutex.lock().await;
        *waiting.as_mut().project().owes = false;
        guard
    }

    /// As [`wait`](Self::wait), again and again while `condition` holds.
    ///
    /// Blocks the task (G). Each wait is at the end of the line. `condition` is called with the mutex locked.
    ///
    /// Cancel safe as [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::{Cond, Mutex};
    ///
    /// let (list, filled) = (Mutex::new(vec![1]), Cond::new());
    /// gmprt::run(async {
    ///     let guard = list.lock().await;
    ///     let mut guard = filled.wait_while(guard, |list| list.is_empty()).await;
    ///     assert_eq!(guard.pop(), Some(1));
    /// })
    /// .unwrap();
    /// ```
    pub async fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard).await;
        }
        guard
    }

    /// Wakes the task that has waited longest, if one waits.
    ///
    /// It never blocks. The caller may have the mutex locked, and need not.
    ///
    /// # Examples
    ///
    /// See [`Cond`].
    #[doc(alias = "Signal")]
    #[doc(alias = "notify_one")]
    pub fn signal(&self) {
        let told = self.queue.with(|_, mut waiters| {
            waiters.pop_front_if(|place| {
                place.signalled = true;
                Some(Outcome::Served)
            })
        });
        told.into_iter().for_each(wake_one);
    }

    /// Wakes all tasks that wait, in the order in which they began to.
    ///
    /// It never blocks. The caller may have the mutex locked, and need not. Who begins to wait while they are being woken is
    /// not woken.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::{Cond, Mutex, WaitGroup};
    /// use std::sync::Arc;
    ///
    /// gmprt::run(async {
    ///     let shared = Arc::new((Mutex::new(0), Cond::new()));
    ///     let group = WaitGroup::new();
    ///     for _ in 0..3 {
    ///         let shared = Arc::clone(&shared);
    ///         group.spawn(async move {
    ///             let guard = shared.0.lock().await;
    ///             drop(shared.1.wait_while(guard, |open| *open == 0).await);
    ///         });
    ///     }
    ///     *shared.0.lock().await = 1;
    ///     shared.1.broadcast();
    ///     group.wait().await;
    /// })
    /// .unwrap();
    /// ```
    #[doc(alias = "Broadcast")]
    #[doc(alias = "notify_all")]
    pub fn broadcast(&self) {
        let mut first = FirstPanic::default();
        let mut end = None;
        loop {
            let mut batch = WakeBatch::<BATCH>::new();
            let more = self.queue.with(|next, mut waiters| {
                let end = *end.get_or_insert(*next);
                while !batch.is_full() {
                    let told = |place: &mut Place| (place.ticket < end).then_some(Outcome::Served); // O3
                    let Some(waker) = waiters.pop_front_if(told) else { return false };
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
    }
}

impl Default for Cond {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.with(|_, waiters| waiters.len());
        f.debug_struct("Cond").field("waiting", &waiting).finish()
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "models/cond.rs"]
mod models;
