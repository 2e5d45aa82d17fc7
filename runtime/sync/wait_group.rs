//! Waits until a number of tasks have finished.
//!
//! Go counterpart: `sync.WaitGroup` (`waitgroup.go`).
//!
//! G1. `state` holds the counter (high half) and the number of waiters (low half).
//! G2. Anyone changes the counter at any time; the number of waiters changes only under the queue's lock.
//! G3. While the queue's lock is free, `waiters` is the number of nodes queued for the current `round`.
//! G4. Who takes the counter to 0 with waiters present (by `add`) releases them: takes the lock, sets the
//!     state to 0, turns the round, and settles the nodes of rounds before, oldest first. Only it does.
//!
//! ```text
//!    63 ........ 32 31 ........ 0
//!   ┌──────────────┬─────────────┐   add(n): counter += n     to 0 with waiters: ──▶ lock, state = 0,
//!   │ counter: i32 │ waiters: u32│   wait():  waiters += 1    under the lock         release the list
//!   └──────────────┴─────────────┘   cancelled: waiters -= 1, under the lock
//! ```
//!
//! Absent: a semaphore (the nodes are the waiters), and a lock in `add` and `done` unless they
//! release waiters.

use super::preempt::{must_yield, or_waits};
use super::wait_list::{Outcome, Phase};
use super::wait_queue::{Enter, WaitQueue, Waiter};
use super::wake_batch::{FirstPanic, WakeBatch};
use crate::reason::Reason;
use crate::sys::primitive::{
    Arc,
    AtomicOrdering::{AcqRel, Acquire, Relaxed},
    AtomicU64,
};
#[cfg(not(gmprt_loom))]
use crate::{cell::join::JoinHandle, sched::spawn};
use pin_project_lite::pin_project;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// How many waiters are released under one hold of the lock: bounds both the time others wait for
/// it and the stack that the wakers take (16 bytes each).
const BATCH: usize = 32;

/// Waits for a group of tasks to finish: [`add`](Self::add) counts them, each calls
/// [`done`](Self::done), and [`wait`](Self::wait) returns once the counter is zero.
///
/// A `WaitGroup` is a handle: its clones share one counter.
///
/// Only [`wait`](Self::wait) blocks, and it blocks the task (G).
///
/// All tasks that wait are released together, and woken in the order in which they began to wait.
///
/// Cancel safety: dropping a `wait()` loses nothing.
///
/// # Examples
///
/// ```
/// use gmprt::sync::WaitGroup;
///
/// let group = WaitGroup::new();
/// group.add(2);
/// for _ in 0..2 {
///     let group = group.clone();
///     std::thread::spawn(move || group.done());
/// }
/// let waited = gmprt::run(async move {
///     group.wait().await;
///     true
/// });
/// assert!(waited.unwrap());
/// ```
///
/// # Differences from Go
///
/// A clone shares the counter, where Go forbids the copy. `Go(f)` is called [`spawn`](Self::spawn),
/// and a task that panics or is aborted counts as done.
#[doc(alias = "sync.WaitGroup")]
#[derive(Clone)]
pub struct WaitGroup {
    inner: Arc<Inner>,
}

struct Inner {
    state: AtomicU64,
    /// The lock guards the round; each waiter carries the round in which it began to wait.
    queue: WaitQueue<u64, u64>,
}

/// One unit of the counter, taken back when dropped: also by a panic or an abort.
#[cfg(not(gmprt_loom))]
struct DoneOnDrop(WaitGroup);

pin_project! {
    /// A wait, which is counted while it is queued.
    struct Waiting<'g> {
        inner: &'g Inner,
        #[pin]
        waiter: Waiter<'g, u64, u64>,
    }

    impl PinnedDrop for Waiting<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let inner = *this.inner;
            drop(this.waiter.leave(|round, _, mine, was| {
                // A waiter of an earlier round is no longer counted: it is being released (G3).
                if was == Phase::Queued && round == mine {
                    // Ordering: Relaxed; G2, the lock orders the changes of this half.
                    inner.state.fetch_sub(1, Relaxed);
                }
            }));
        }
    }
}

fn counter(state: u64) -> i32 {
    (state >> 32) as u32 as i32
}

fn waiters(state: u64) -> u32 {
    state as u32
}

impl WaitGroup {
    /// Returns a group whose counter is zero.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let group = gmprt::sync::WaitGroup::new();
    /// gmprt::run(async move { group.wait().await }).unwrap(); // nothing to wait for
    /// ```
    pub fn new() -> Self {
        Self { inner: Arc::new(Inner { state: AtomicU64::new(0), queue: WaitQueue::new(0) }) }
    }

    /// Adds `delta`, which may be negative, to the counter; at zero all waiters are released.
    ///
    /// It never blocks. Call it before the task that is to be waited for is spawned, not in it, as in Go:
    /// else the wait may be over before the task has begun.
    ///
    /// # Panics
    ///
    /// With Go's words: `sync: negative WaitGroup counter`, if the counter falls below zero or leaves the
    /// range of an `i32`; `sync: WaitGroup misuse: Add called concurrently with Wait`, if the counter
    /// leaves zero while waiters are being released.
    ///
    /// # Examples
    ///
    /// ```
    /// let group = gmprt::sync::WaitGroup::new();
    /// group.add(3);
    /// group.add(-3);
    /// gmprt::run(async move { group.wait().await }).unwrap();
    /// ```
    #[doc(alias = "Add")]
    pub fn add(&self, delta: isize) {
        let Ok(delta) = i32::try_from(delta) else { panic!("sync: negative WaitGroup counter") };
        let add = u64::from(delta as u32) << 32;
        // Ordering: AcqRel; the Release half publishes what this task did before it was done, and the
        // Acquire half of the last `done` collects it from all others for those who wait.
        let state = self.inner.state.fetch_add(add, AcqRel).wrapping_add(add);
        let (counter, waiters) = (counter(state), waiters(state));
        assert!(counter >= 0, "sync: negative WaitGroup counter");
        assert!(
            waiters == 0 || delta <= 0 || counter != delta,
            "sync: WaitGroup misuse: Add called concurrently with Wait"
        );
        if counter == 0 && waiters > 0 {
            self.release();
        }
    }

    /// Takes one off the counter: `add(-1)`.
    ///
    /// It never blocks.
    ///
    /// # Panics
    ///
    /// `sync: negative WaitGroup counter`, if it was zero.
    ///
    /// # Examples
    ///
    /// ```
    /// let group = gmprt::sync::WaitGroup::new();
    /// group.add(1);
    /// group.done();
    /// gmprt::run(async move { group.wait().await }).unwrap();
    /// ```
    #[doc(alias = "Done")]
    pub fn done(&self) {
        self.add(-1);
    }

    /// Waits until the counter is zero.
    ///
    /// Blocks the task (G); if the counter is zero already, it returns at once. All that the
    /// counted tasks did before their `done` is visible afterwards.
    ///
    /// Those who wait are woken in the order in which they began to.
    ///
    /// Cancel safe: a dropped wait leaves the group as if it had never begun.
    ///
    /// # Panics
    ///
    /// `sync: WaitGroup is reused before previous Wait has returned`, if it was released and finds the
    /// counter at work again.
    ///
    /// # Examples
    ///
    /// ```
    /// let group = gmprt::sync::WaitGroup::new();
    /// group.add(1);
    /// let other = group.clone();
    /// gmprt::run(async move {
    ///     gmprt::spawn(async move { other.done() });
    ///     group.wait().await;
    /// })
    /// .unwrap();
    /// ```
    #[doc(alias = "Wait")]
    pub async fn wait(&self) {
        let inner = &*self.inner;
        poll_fn(|cx| if must_yield(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
        // Ordering: Acquire; pairs with the Release half in `add`, so that the work of those who are
        // done is visible.
        if counter(inner.state.load(Acquire)) == 0 {
            return;
        }
        let mut waiting = pin!(Waiting { inner, waiter: Waiter::new(&inner.queue, 0) });
        let mut waited = false;
        poll_fn(|cx| {
            let outcome = waiting.as_mut().project().waiter.poll(cx, |round, _, mine| {
                *mine = *round;
                waited = inner.enter();
                if waited { Enter::AtBack } else { Enter::Pass }
            });
            or_waits(outcome.map(|_| ()), Reason::WaitGroup)
        })
        .await;
        // Ordering: Acquire; as above. Who was released sees the state that `release` left, or a later one.
        let state = inner.state.load(Acquire);
        assert!(!waited || state == 0, "sync: WaitGroup is reused before previous Wait has returned");
    }

    /// Spawns `future` as a task that counts: adds one now, and takes it off once the task has ended.
    ///
    /// It never blocks. It counts as done also if it panics or is aborted, and only after the future was
    /// dropped. Dropping the handle detaches the task; the group still waits for it.
    ///
    /// # Panics
    ///
    /// As [`add`](Self::add), and outside of a runtime, as `gmprt::spawn`.
    ///
    /// # Examples
    ///
    /// ```
    /// let group = gmprt::sync::WaitGroup::new();
    /// let (tx, rx) = gmprt::chan::bounded(2);
    /// gmprt::run(async move {
    ///     for n in 0..2 {
    ///         let tx = tx.clone();
    ///         group.spawn(async move { tx.send(n).await.unwrap() });
    ///     }
    ///     group.wait().await;
    ///     assert_eq!(rx.len(), 2);
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Differences from Go
    ///
    /// Go's `WaitGroup.Go` returns nothing, and its function must not panic.
    #[doc(alias = "Go")]
    #[cfg(not(gmprt_loom))]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.add(1);
        // The pair is captured whole, so that a task aborted before its first poll also drops the future
        // before it counts as done.
        let counted = (future, DoneOnDrop(self.clone()));
        spawn(async move {
            let counted = counted;
            let (future, _done) = counted;
            future.await
        })
    }

    /// Releases all who wait (G4).
    ///
    /// If the counter has left 0 again, nobody is released: either an `add` broke the rule, and has
    /// panicked, or all who waited were cancelled before it. Both ways somebody else takes it to 0 again.
    #[cold]
    fn release(&self) {
        let inner = &*self.inner;
        let mut first = FirstPanic::default();
        let mut ended = None;
        loop {
            let mut batch = WakeBatch::<BATCH>::new();
            let more = inner.queue.with(|round, mut waiting| {
                if ended.is_none() {
                    let zero = |state| (counter(state) == 0 && waiters(state) > 0).then_some(0);
                    // Ordering: AcqRel, Acquire; the Acquire half collects the work of those who are
                    // done, the Release half hands it to whoever sees the 0.
                    if inner.state.fetch_update(AcqRel, Acquire, zero).is_err() {
                        return false;
                    }
                    ended = Some(*round);
                    *round += 1;
                }
                while !batch.is_full() {
                    let settle = |mine: &mut u64| (Some(*mine) <= ended).then_some(Outcome::Served);
                    let Some(waker) = waiting.pop_front_if(settle) else { return false };
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

impl Inner {
    /// Counts one waiter more, unless there is nothing to wait for. Under the queue's lock.
    fn enter(&self) -> bool {
        let more = |state| (counter(state) != 0).then_some(state + 1);
        // Ordering: Acquire on both sides; if the counter is 0 the work of those who are done must be
        // visible. Nothing is published here: the lock does that (G2).
        self.state.fetch_update(Acquire, Acquire, more).is_ok()
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Ordering: Relaxed; a figure for the reader.
        let state = self.inner.state.load(Relaxed);
        f.debug_struct("WaitGroup")
            .field("counter", &counter(state))
            .field("waiters", &waiters(state))
            .finish()
    }
}

#[cfg(not(gmprt_loom))]
impl Drop for DoneOnDrop {
    fn drop(&mut self) {
        self.0.done();
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "models/wait_group.rs"]
mod models;
