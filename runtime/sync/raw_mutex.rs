//! A lock without data: who has it, who waits for it, and who gets it next.
//!
//! Go counterpart: `internal/sync.Mutex` (`mutex.go`), with its normal and its starving mode.
//!
//! L1. Who sets LOCKED has the lock, until it clears it or hands it over. LOCKED stays set while it is handed over.
//! L2. The list of waiters changes under the queue's lock only. While that is free, WAITING is set if and only if
//!     somebody is in the list. It is set by a compare-and-swap that finds LOCKED set: so whoever unlocks sees it.
//! L3. WOKEN: one waiter was taken off the list to try for itself, and has not tried yet. Whoever unlocks then wakes no
//!     other. It is set with LOCKED clear, under the queue's lock, and cleared by that waiter: when it
//!     has the lock, when it goes back to the list's front, or when it is dropped, and then wakes the next.
//! L4. STARVING: the lock is handed to the first in the list, nobody else can take it. It implies LOCKED and not WOKEN.
//!     A waiter that was woken, has lost and has waited for 1 ms sets it; one that was handed the lock
//!     clears it if it has waited for less, or is the last.
//!
//! ```text
//!               lock                         unlock, nobody waits
//!   free ──────────────────────▶ LOCKED ───────────────────────────▶ free
//!                                 │  ▲
//!      unlock: clear LOCKED, wake │  │ the woken one is first          normal: who runs takes it, which is quick;
//!      the first ▼                │  │                                 a waiter may lose to them
//!     WOKEN ──── somebody was quicker: back to the front ──▶ waits ── 1 ms and lost ─▶ STARVING
//!                                                                      unlock: to the first waiter, LOCKED stays
//! ```
//!
//! A wake is not lost: unlock clears LOCKED and sees WAITING in one swap. If it finds LOCKED set again in `wake_one`, that
//! holder's unlock sees WAITING too; if WOKEN, the waiter that is on its way takes the lock, or finds a holder.
//!
//! Absent: the data (`mutex.rs`).

use super::preempt::{hand_off, must_yield, or_waits};
use super::wait_list::{Outcome, Phase};
use super::wait_queue::{Enter, WaitQueue, Waiter};
use super::wake_batch::wake_one;
use crate::reason::Reason;
use crate::sys::clock::{self, Nanos};
use crate::sys::primitive::{
    AtomicOrdering::{Acquire, Relaxed, Release},
    AtomicUsize, weaken,
};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

const LOCKED: usize = 1;
const WAITING: usize = 2;
const WOKEN: usize = 4;
const STARVING: usize = 8;

/// How long a waiter may lose before the lock is handed over. Go: `starvationThresholdNs`.
const STARVES_AFTER: Nanos = 1_000_000;

/// See the head of the file.
pub(crate) struct RawMutex {
    state: AtomicUsize,
    queue: WaitQueue<(), Wait>,
}

/// What a waiter carries.
#[derive(Clone, Copy)]
struct Wait {
    /// When it began to wait.
    since: Option<Nanos>,
    got: Got,
}

/// What a waiter got when it was taken off the list, or kept off it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Got {
    Nothing,
    /// A call to try for itself (L3).
    Call,
    /// The lock, by its own doing.
    Lock,
    /// The lock, from who had it (L4).
    HandedLock,
}

/// What is left to do for one that was dropped.
enum Left {
    Nothing,
    WakeNext,
    Unlock,
}

pin_project! {
    /// Waits for the lock; the caller has it once this is ready. Dropped before that, it passes on what it got.
    pub(crate) struct Locking<'l> {
        mutex: &'l RawMutex,
        // None until it has to wait.
        #[pin]
        waiter: Option<Waiter<'l, (), Wait>>,
    }

    impl PinnedDrop for Locking<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(waiter) = this.waiter.as_pin_mut() {
                this.mutex.give_up(waiter);
            }
        }
    }
}

impl RawMutex {
    #[cfg(not(gmprt_loom))]
    pub(crate) const fn new() -> Self {
        Self { state: AtomicUsize::new(0), queue: WaitQueue::new(()) }
    }

    #[cfg(gmprt_loom)]
    pub(crate) fn new() -> Self {
        Self { state: AtomicUsize::new(0), queue: WaitQueue::new(()) }
    }

    /// Takes the lock if nobody has it.
    #[inline]
    pub(crate) fn try_lock(&self) -> bool {
        // Ordering: Acquire; pairs with the Release half in `unlock`: what was done under the lock is visible.
        let acquire = weaken::or_relaxed(Acquire, "RawMutex::try_lock");
        let taken = |state| (state & LOCKED == 0).then_some(state | LOCKED);
        // Ordering: as said; Relaxed for the first guess of the state, which takes nothing.
        self.state.compare_exchange(0, LOCKED, acquire, Relaxed).is_ok()
            // Ordering: as said.
            || self.state.fetch_update(acquire, Relaxed, taken).is_ok()
    }

    /// Whether somebody has it.
    pub(crate) fn is_locked(&self) -> bool {
        // Ordering: Relaxed; the answer may be out of date before it is given.
        self.state.load(Relaxed) & LOCKED != 0
    }

    /// Nobody has it, waits for it, or has left a trace of that.
    #[cfg(all(test, gmprt_loom))]
    pub(super) fn is_at_rest(&self) -> bool {
        // Ordering: Relaxed; all threads of the model are joined.
        self.state.load(Relaxed) == 0 && self.queue.with(|(), waiters| waiters.is_empty())
    }

    /// Waits for the lock.
    #[inline]
    pub(crate) fn acquire(&self) -> Locking<'_> {
        Locking { mutex: self, waiter: None }
    }

    /// Gives the lock up; the caller has it.
    #[inline]
    pub(crate) fn unlock(&self) {
        // Ordering: Release; pairs with the Acquire in `try_lock` and `enter`. Relaxed if it fails: nothing is read.
        let release = weaken::or_relaxed(Release, "RawMutex::unlock");
        // Ordering: as said.
        if self.state.compare_exchange(LOCKED, 0, release, Relaxed).is_err() {
            self.unlock_slow();
        }
    }

    /// A wait is dropped: what it got is passed on.
    #[cold]
    fn give_up(&self, mut waiter: Pin<&mut Waiter<'_, (), Wait>>) {
        let Some((left, waker)) = waiter.as_mut().leave(|(), waiters, wait, was| match (was, wait.got) {
            (Phase::Queued, _) => {
                if waiters.is_empty() {
                    // Ordering: Relaxed; L2, the queue's lock orders the changes of this bit.
                    self.state.fetch_and(!WAITING, Relaxed);
                }
                Left::Nothing
            }
            (_, Got::HandedLock) => Left::Unlock,
            _ => {
                // Ordering: Relaxed; L3, only we clear it, and `wake_one` looks again under the queue's lock.
                self.state.fetch_and(!WOKEN, Relaxed);
                Left::WakeNext
            }
        }) else {
            // If it got something it panicked on its way.
            match waiter.reset(|wait| wait.got) {
                // Its waker's clone did.
                Got::Call => {
                    // Ordering: Relaxed; as above.
                    self.state.fetch_and(!WOKEN, Relaxed);
                    self.wake_one();
                }
                // The drop of that clone did, which was not needed.
                Got::Lock => self.unlock(),
                Got::Nothing | Got::HandedLock => {}
            }
            return;
        };
        match left {
            Left::Nothing => {}
            Left::WakeNext => self.wake_one(),
            Left::Unlock => self.unlock(),
        }
        drop(waker); // last: it may panic
    }

    /// Somebody waits, or has just given up waiting. Go: `unlockSlow`.
    #[cold]
    fn unlock_slow(&self) {
        let free = |state| (state & STARVING == 0).then_some(state & !LOCKED);
        // Ordering: Release, Relaxed; as in `unlock`.
        match self.state.fetch_update(Release, Relaxed, free) {
            Err(_starving) => self.hand_over(),
            Ok(before) => {
                if before & (WAITING | WOKEN) == WAITING {
                    self.wake_one();
                }
            }
        }
    }

    /// Wakes the first waiter to try for itself, unless one is on its way, or will be woken by who has the lock (L3).
    #[cold]
    fn wake_one(&self) {
        let waker = self.queue.with(|(), mut waiters| {
            let call = |state| {
                let last = if waiters.len() == 1 { WAITING } else { 0 };
                (state & (LOCKED | WOKEN) == 0 && !waiters.is_empty()).then_some((state | WOKEN) & !last)
            };
            // Ordering: Relaxed; nothing is published here: the waiter takes the lock by an Acquire of its own.
            self.state.fetch_update(Relaxed, Relaxed, call).ok()?;
            waiters.pop_front_if(|wait| {
                wait.got = Got::Call;
                Some(Outcome::Served)
            })
        });
        if let Some(waker) = waker {
            wake_one(waker);
        }
    }

    /// Hands the lock, which the caller has, to the first waiter (L4).
    ///
    /// That one is the next to run here, and our task lets it: what stands behind the unlock would else go on first, and
    /// lock again behind it.
    #[cold]
    fn hand_over(&self) {
        let waker = self.queue.with(|(), mut waiters| {
            let waker = waiters.pop_front_if(|wait| {
                wait.got = Got::HandedLock;
                Some(Outcome::Served)
            });
            if waker.is_none() {
                // Ordering: Release; as in `unlock`. All who waited have given up; by L2 and L4 nobody else
                // changes the state of a lock that is taken while we have its queue.
                self.state.store(0, Release);
            } else if waiters.is_empty() {
                // Ordering: Relaxed; L2, the queue's lock orders the changes of this bit. What was done under the
                // lock is published by the node's Release.
                self.state.fetch_and(!WAITING, Relaxed);
            }
            waker
        });
        if let Some(waker) = waker {
            hand_off();
            wake_one(waker);
        }
    }

    /// One who cannot have the lock at once joins the list, or has it. Under the queue's lock. Go: `lockSlow`.
    fn enter(&self, wait: &mut Wait) -> Enter {
        let called = wait.got == Got::Call;
        let since = *wait.since.get_or_insert_with(clock::now);
        // Not in a model: there one that was called and has lost starves at once.
        let starves = called && (cfg!(gmprt_loom) || clock::now().saturating_sub(since) > STARVES_AFTER);
        let next = |state| {
            let call = if called { WOKEN } else { 0 };
            let starving = if starves { STARVING } else { 0 };
            Some(if state & LOCKED == 0 {
                (state | LOCKED) & !call
            } else {
                (state | WAITING | starving) & !call
            })
        };
        // Ordering: Acquire; as in `try_lock`. Nothing is published: the node goes by way of the queue's lock.
        let before = match self.state.fetch_update(Acquire, Relaxed, next) {
            Ok(before) | Err(before) => before,
        };
        if before & LOCKED == 0 {
            wait.got = Got::Lock;
            return Enter::Pass;
        }
        wait.got = Got::Nothing;
        if called { Enter::AtFront } else { Enter::AtBack }
    }

    /// A waiter that was handed the lock decides whether the next is too (L4).
    fn end_of_starvation(&self, since: Option<Nanos>) {
        let waited = clock::now().saturating_sub(since.unwrap_or(0));
        // Ordering: Relaxed; who has the lock may read WAITING late: then the next one decides.
        let last = self.state.load(Relaxed) & WAITING == 0;
        if last || waited <= STARVES_AFTER {
            // Ordering: Relaxed; we have the lock, and our unlock publishes this with the rest.
            self.state.fetch_and(!STARVING, Relaxed);
        }
    }
}

impl Future for Locking<'_> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        if self.waiter.is_none() && self.mutex.try_lock() {
            return Poll::Ready(());
        }
        self.poll_slow(cx)
    }
}

impl Locking<'_> {
    #[cold]
    fn poll_slow(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let mutex = *this.mutex;
        if this.waiter.is_none() {
            this.waiter.set(Some(Waiter::new(&mutex.queue, Wait { since: None, got: Got::Nothing })));
        }
        let mut waiter = this.waiter.as_mut().as_pin_mut().expect("just made");
        loop {
            let polled = waiter.as_mut().poll(cx, |(), _, wait| mutex.enter(wait));
            ready!(or_waits(polled, Reason::Mutex));
            let Wait { since, got } = waiter.as_mut().reset(|wait| *wait);
            match got {
                Got::Lock => break,
                Got::HandedLock => {
                    mutex.end_of_starvation(since);
                    break;
                }
                Got::Call => {} // the next turn takes the lock, or goes back to the front
                Got::Nothing => unreachable!("a waiter leaves the list with a call or the lock"),
            }
        }
        waiter.reset(|wait| wait.got = Got::Nothing);
        this.waiter.set(None);
        Poll::Ready(())
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "models/mutex.rs"]
mod models;
