//! Waits until a number of tasks have come, and lets them go together.
//!
//! Go counterpart: none; programs build it from a `WaitGroup` and a channel. The shape is that of `std::sync::Barrier`.
//!
//! A1. `arrived` is the number of waiters that came in this generation, and less than `n` while the lock is free.
//! A2. A waiter in line carries the generation in which it came; those of an ended generation are counted no more.
//! A3. The last to come ends the generation and settles its waiters, oldest first.
//!
//! ```text
//!   wait ──▶ arrived + 1 < n ──▶ in line ──▶ settled ──▶ not the leader
//!        │                          └──drop──▶ arrived − 1
//!        └─▶ arrived + 1 = n ──▶ generation + 1, arrived = 0 ──▶ settle the line, wake ──▶ the leader
//! ```
//!
//! Absent: a lock-free count (who comes has to get in line anyway).

use super::preempt::{must_yield, or_waits};
use super::wait_list::{Outcome, Phase};
use super::wait_queue::{Enter, WaitQueue, Waiter, Waiters};
use super::wake_batch::{FirstPanic, WakeBatch};
use crate::reason::Reason;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// How many waiters are released under one hold of the lock: bounds both the time others wait for it and the stack that
/// the wakers take (16 bytes each).
const BATCH: usize = 32;

/// Lets tasks wait until a number of them have come.
///
/// Only [`wait`](Self::wait) blocks, and it blocks the task (G).
///
/// Those who wait are let go together, and woken in the order in which they came. Then the barrier can be used again.
///
/// Cancel safety: a wait that is dropped before the last has come is as if it had never come.
///
/// # Examples
///
/// ```
/// use gmprt::sync::Barrier;
/// use std::sync::Arc;
///
/// let barrier = Arc::new(Barrier::new(3));
/// let leaders = gmprt::run(async move {
///     let tasks: Vec<_> = (0..3)
///         .map(|_| {
///             let barrier = Arc::clone(&barrier);
///             gmprt::spawn(async move { barrier.wait().await.is_leader() })
///         })
///         .collect();
///     let mut leaders = 0;
///     for task in tasks {
///         leaders += usize::from(task.await.unwrap());
///     }
///     leaders
/// });
/// assert_eq!(leaders.unwrap(), 1);
/// ```
///
/// # Differences from Go
///
/// Go's library has none. In tokio's a wait that is dropped still counts as one that has come.
pub struct Barrier {
    queue: WaitQueue<Shared, u64>,
    n: usize,
}

struct Shared {
    arrived: usize,
    generation: u64,
}

/// What a [`Barrier::wait`] tells the one who waited.
///
/// # Examples
///
/// ```
/// # gmprt::run(async {
/// let alone = gmprt::sync::Barrier::new(1);
/// assert!(alone.wait().await.is_leader());
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult(bool);

/// The duty of the one who ended a generation: to release the others (A3).
struct Ending<'b> {
    barrier: &'b Barrier,
    ended: Option<u64>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(generation) = self.ended {
            self.barrier.release(generation);
        }
    }
}

pin_project! {
    /// A wait, which is counted while it is queued.
    struct Waiting<'b> {
        #[pin]
        waiter: Waiter<'b, Shared, u64>,
    }

    impl PinnedDrop for Waiting<'_> {
        fn drop(this: Pin<&mut Self>) {
            drop(this.project().waiter.leave(|shared, _, mine, was| {
                if was == Phase::Queued && *mine == shared.generation {
                    shared.arrived -= 1; // A2
                }
            }));
        }
    }
}

impl Barrier {
    /// Returns a barrier for `n` tasks; 0 acts as 1.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// static START: gmprt::sync::Barrier = gmprt::sync::Barrier::new(2);
    /// gmprt::run(async {
    ///     let other = gmprt::spawn(async { START.wait().await.is_leader() });
    ///     assert_ne!(START.wait().await.is_leader(), other.await.unwrap());
    /// })
    /// .unwrap();
    /// ```
    #[cfg(not(gmprt_loom))]
    pub const fn new(n: usize) -> Self {
        let n = if n == 0 { 1 } else { n };
        Self { queue: WaitQueue::new(Shared { arrived: 0, generation: 0 }), n }
    }

    /// Returns a barrier for `n` tasks; 0 acts as 1.
    #[cfg(gmprt_loom)]
    pub fn new(n: usize) -> Self {
        Self { queue: WaitQueue::new(Shared { arrived: 0, generation: 0 }), n: n.max(1) }
    }

    /// Waits until as many have come as the barrier is for. The last of them is the leader, and does not wait.
    ///
    /// Blocks the task (G). What each did before it came is visible to all afterwards.
    ///
    /// Those who wait are woken in the order in which they came.
    ///
    /// Cancel safe: a wait that is dropped before the last has come is as if it had never come; one that is dropped later has
    /// come, and is not missed.
    ///
    /// # Examples
    ///
    /// ```
    /// # gmprt::run(async {
    /// let barrier = std::sync::Arc::new(gmprt::sync::Barrier::new(2));
    /// let other = std::sync::Arc::clone(&barrier);
    /// let task = gmprt::spawn(async move { other.wait().await });
    /// let mine = barrier.wait().await;
    /// assert_ne!(mine.is_leader(), task.await.unwrap().is_leader());
    /// # }).unwrap();
    /// ```
    pub async fn wait(&self) -> BarrierWaitResult {
        poll_fn(|cx| if must_yield(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
        let mut waiting = pin!(Waiting { waiter: Waiter::new(&self.queue, 0) });
        // Released also if the waker's clone, which the last to come does not need, panics when dropped.
        let mut ending = Ending { barrier: self, ended: None };
        poll_fn(|cx| {
            let enter = |shared: &mut Shared, _: Waiters<'_, u64>, mine: &mut u64| {
                *mine = shared.generation;
                shared.arrived += 1;
                if shared.arrived < self.n {
                    return Enter::AtBack;
                }
                shared.arrived = 0;
                shared.generation += 1;
                ending.ended = Some(*mine);
                Enter::Pass
            };
            let polled = waiting.as_mut().project().waiter.poll(cx, enter);
            or_waits(polled.map(|_| ()), Reason::Barrier)
        })
        .await;
        BarrierWaitResult(ending.ended.is_some()) // and here it is released
    }

    /// Releases those in line who came in `generation` or before (A3).
    fn release(&self, generation: u64) {
        let mut first = FirstPanic::default();
        loop {
            let mut batch = WakeBatch::<BATCH>::new();
            let more = self.queue.with(|_, mut waiting| {
                while !batch.is_full() {
                    let settle = |mine: &mut u64| (*mine <= generation).then_some(Outcome::Served);
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

impl BarrierWaitResult {
    /// Whether this was the last to come: one in each generation is.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let alone = gmprt::sync::Barrier::new(1);
    /// assert!(gmprt::run(async { alone.wait().await.is_leader() }).unwrap());
    /// ```
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrived = self.queue.with(|shared, _| shared.arrived);
        f.debug_struct("Barrier").field("n", &self.n).field("arrived", &arrived).finish()
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "models/barrier.rs"]
mod models;
