//! The permits and the line for them: who takes how many, and who is next.
//!
//! Go counterpart: `golang.org/x/sync/semaphore` (`Weighted.notifyWaiters`); the direct hand-off is `sema.go: semrelease1`.
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

use super::{AcquireError, Semaphore, TryAcquireError};
use crate::sync::wait_list::{Outcome, Phase};
use crate::sync::wait_queue::{Enter, Waiter, Waiters};
use crate::sync::wake_batch::{FirstPanic, WakeBatch};
use crate::sys::primitive::{
    AtomicOrdering::{AcqRel, Acquire, Relaxed, Release},
    weaken::or_relaxed,
};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pub(super) const CLOSED: usize = 1;
pub(super) const WAITERS: usize = 2;
pub(super) const SHIFT: u32 = 2;

/// How many waiters are served under one hold of the lock: bounds both the time others wait for it and the stack that
/// the wakers take (16 bytes each).
const BATCH: usize = 32;

/// What is left to do for the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing.
    Nothing,
    /// The batch is full, and there may be more to serve.
    More,
    /// Nothing was done: the permits would be too many.
    TooMany,
}

pub(super) fn free(state: usize) -> usize {
    state >> SHIFT
}

/// The state with `n` permits more, unless they are too many.
pub(super) fn plus(state: usize, n: usize) -> Option<usize> {
    (n <= Semaphore::MAX_PERMITS - free(state)).then(|| state + (n << SHIFT))
}

#[cold]
pub(super) fn too_many() {
    // A permit may be dropped because of another panic, and to panic twice would abort the process.
    if !std::thread::panicking() {
        panic!("a semaphore may not have more than MAX_PERMITS permits ({})", Semaphore::MAX_PERMITS);
    }
}

impl Semaphore {
    /// Takes `n` permits, if they are free and nobody waits for them.
    #[inline]
    pub(super) fn take(&self, n: u32) -> Result<(), TryAcquireError> {
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
    pub(super) fn release(&self, n: usize) {
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
    pub(super) fn release_slow(&self, n: usize) {
        let mut batch = WakeBatch::<1>::new();
        let rest = self.queue.with(|(), mut waiting| self.settle(n, &mut waiting, &mut batch));
        self.wake(rest, batch);
    }

    /// Adds `n` permits and looks at the line from its head: takes off those who can be served, or all if the
    /// semaphore is closed, until the batch is full. Under the lock.
    pub(super) fn settle<const N: usize>(
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
    pub(super) fn wake(&self, rest: Rest, batch: WakeBatch<1>) {
        if rest == Rest::Nothing {
            batch.wake_all();
        } else {
            self.wake_more(rest, batch);
        }
    }

    #[cold]
    pub(super) fn wake_more(&self, mut rest: Rest, batch: WakeBatch<1>) {
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
    pub(super) fn poll_acquire(
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
    pub(super) fn line_up(&self, n: u32) -> Enter {
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
    pub(super) fn give_up(&self, waiter: Pin<&mut Waiter<'_, (), u32>>) {
        if waiter.phase() != Phase::Idle {
            self.leave(waiter);
        }
    }

    #[cold]
    pub(super) fn leave(&self, waiter: Pin<&mut Waiter<'_, (), u32>>) {
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
