//! Who has an `RwLock`, and who is next: the word, the two lines, and no data.
//!
//! Go counterpart: `rwmutex.go`; `internal/sync/mutex.go` for writers among themselves.
//!
//! Length: one word's transitions, which have to be read together.
//!
//! K1. `state` is `READER` times the readers that have the lock, plus flags. HELD means that one writer has it; then no
//!     reader has.
//! K2. CLOSED is the gate. It is set exactly while a writer is in line and none is elected, or those in line starve; it
//!     changes under the writers' lock.
//!     READERS_WAIT is set exactly while a reader is in line; it changes under the readers' lock.
//! K3. READERS_WAIT implies HELD or CLOSED, in the same word: who takes away the last of these takes READERS_WAIT too,
//!     and lets in all who are in line.
//! K4. With CLOSED set nobody locks without the writers' lock, and HELD changes only under it.
//! K5. A writer in line either is handed the lock (`granted`), or is elected: off the line, to compete for it. There is at
//!     most one elected; it competes, or passes its election on. It opens the gate for the time until it runs, unless those
//!     in line starve: readers and writers that run need not wait for one that has yet to be scheduled. (Go: whom `Unlock`
//!     wakes has the writers' mutex, and so announces itself to readers, only once it runs.) If the lock is taken then, it
//!     closes the gate, and has the lock when the last of those who got in has left.
//! K6. The writers' lock is taken before the readers', never the other way round.
//!
//! ```text
//!    63 ....... 3     2          1       0
//!   ┌───────────┬─────────────┬────────┬──────┐   read:  no HELD, no CLOSED ──▶ += READER     else in line
//!   │  readers  │READERS_WAIT │ CLOSED │ HELD │   write: 0 ──▶ HELD                           else in line
//!   └───────────┴─────────────┴────────┴──────┘
//!   unlock_write ──▶ let_in all readers in line, then elect a writer      (starving, no reader in line: grant)
//!   unlock_read, the last ──▶ advance ──▶ grant the first writer
//!   a writer leaves ──▶ advance ──▶ no writer waits: let_in all readers
//! ```
//!
//! Absent: spinning (Go's writers spin for up to 120 turns before they wait; a task that gives way costs less than a
//! goroutine that does).

use crate::reason::Reason;
use crate::sync::preempt::{hand_off, or_waits};
use crate::sync::wait_list::{Outcome, Phase};
use crate::sync::wait_queue::{Enter, WaitQueue, Waiter, Waiters};
use crate::sync::wake_batch::{FirstPanic, WakeBatch};
use crate::sys::primitive::{
    AtomicOrdering::{AcqRel, Acquire, Relaxed, Release},
    AtomicUsize, weaken,
};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

/// A writer has the lock.
const HELD: usize = 1;
/// The gate (K2).
const CLOSED: usize = 2;
/// Readers wait for it.
const READERS_WAIT: usize = 4;
/// One reader that has the lock. There is room for 2^61 of them, more than can be leaked in a century.
const READER: usize = 8;

/// A writer that was elected, lost, and has waited for so long gets the lock next. Go: `starvationThresholdNs`.
const STARVES: Duration = Duration::from_millis(1);

/// How many wakers are kept without allocating: 16 bytes of stack each.
const BATCH: usize = 8;

/// A lock without the data that it protects.
pub(super) struct Raw {
    state: AtomicUsize,
    writers: WaitQueue<Line, Claim>,
    readers: WaitQueue<(), ()>,
}

/// What is known of the writers' line.
struct Line {
    /// A writer that was taken off the line is on its way (K5).
    elected: bool,
    /// Writers do not get past those in line. Go: `mutexStarving`.
    starving: bool,
}

/// What a writer in line carries.
struct Claim {
    since: Instant,
    /// It has the lock.
    granted: bool,
}

/// Wakers collected under the locks.
struct Wakers {
    batch: WakeBatch<BATCH>,
    rest: Vec<Waker>,
}

pin_project! {
    /// A wait to read.
    pub(super) struct Reading<'l> {
        raw: &'l Raw,
        // It has the lock, and its caller does not know: the waker's clone, which it did not need, may panic when dropped.
        got: bool,
        #[pin]
        waiter: Waiter<'l, (), ()>,
    }

    impl PinnedDrop for Reading<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let raw = *this.raw;
            let left = this.waiter.leave(|_, waiting, _, was| {
                if was == Phase::Queued && waiting.is_empty() {
                    // Ordering: Relaxed; K2: the lock orders the changes of this flag.
                    raw.state.fetch_and(!READERS_WAIT, Relaxed);
                }
                was
            });
            if *this.got || matches!(left, Some((Phase::Settled(_), _))) {
                raw.unlock_read();
            }
            drop(left);
        }
    }
}

pin_project! {
    /// A wait to write.
    pub(super) struct Writing<'l> {
        raw: &'l Raw,
        // It is the elected one, and knows it.
        elected: bool,
        #[pin]
        waiter: Waiter<'l, Line, Claim>,
    }

    impl PinnedDrop for Writing<'_> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let raw = *this.raw;
            let mut wakers = Wakers::new();
            let left = this.waiter.as_mut().leave(|line, waiting, claim, was| {
                if was == Phase::Queued {
                    raw.advance(line, waiting, &mut wakers);
                } else if !claim.granted {
                    line.elected = false;
                    raw.advance(line, waiting, &mut wakers);
                }
                was != Phase::Queued && claim.granted
            });
            if *this.elected {
                raw.writers.with(|line, waiting| {
                    line.elected = false;
                    raw.advance(line, waiting, &mut wakers);
                });
            }
            wakers.wake();
            let granted = match &left {
                Some((granted, _)) => *granted,
                // As `Reading::got`.
                None => this.waiter.reset(|claim| claim.granted),
            };
            if granted {
                raw.unlock_write();
            }
            drop(left);
        }
    }
}

impl Reading<'_> {
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let raw = *this.raw;
        let got = this.got;
        let enter = |(): &mut (), _: Waiters<'_, ()>, (): &mut ()| {
            let enter = raw.enter_read();
            *got = enter == Enter::Pass;
            enter
        };
        let polled = this.waiter.poll(cx, enter).map(|_| ());
        *got = false;
        or_waits(polled, Reason::RwLockRead)
    }
}

impl Writing<'_> {
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let raw = *this.raw;
        loop {
            let enter = |line: &mut Line, waiting: Waiters<'_, _>, claim: &mut _| {
                raw.enter_write(line, &waiting, claim, std::mem::take(this.elected))
            };
            ready!(or_waits(this.waiter.as_mut().poll(cx, enter), Reason::RwLockWrite));
            if this.waiter.as_mut().reset(|claim| std::mem::take(&mut claim.granted)) {
                return Poll::Ready(());
            }
            *this.elected = true;
        }
    }
}

impl Raw {
    #[cfg(not(gmprt_loom))]
    pub(super) const fn new() -> Self {
        let line = Line { elected: false, starving: false };
        Self { state: AtomicUsize::new(0), writers: WaitQueue::new(line), readers: WaitQueue::new(()) }
    }

    #[cfg(gmprt_loom)]
    pub(super) fn new() -> Self {
        let line = Line { elected: false, starving: false };
        Self { state: AtomicUsize::new(0), writers: WaitQueue::new(line), readers: WaitQueue::new(()) }
    }

    /// A wait for one whom [`try_read`](Self::try_read) refused.
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading { raw: self, got: false, waiter: Waiter::new(&self.readers, ()) }
    }

    /// A wait for one whom [`try_write`](Self::try_write) refused.
    pub(super) fn writing(&self) -> Writing<'_> {
        let claim = Claim { since: Instant::now(), granted: false };
        Writing { raw: self, elected: false, waiter: Waiter::new(&self.writers, claim) }
    }

    /// Locks for reading, unless a writer has the lock or waits for it.
    #[inline]
    pub(super) fn try_read(&self) -> bool {
        // Ordering: Relaxed; a guess, which the compare-and-swap below checks.
        let mut state = self.state.load(Relaxed);
        while state & (HELD | CLOSED) == 0 {
            // Ordering: Acquire; pairs with the Release of `unlock_write`. Without it this reader might not see what the
            // last writer wrote. On failure Relaxed: a guess again.
            let acquire = weaken::or_relaxed(Acquire, "Raw::try_read");
            match self.state.compare_exchange_weak(state, state + READER, acquire, Relaxed) {
                Ok(_) => return true,
                Err(found) => state = found,
            }
        }
        false
    }

    /// Locks for writing, if nobody has the lock or waits for it.
    #[inline]
    pub(super) fn try_write(&self) -> bool {
        // Ordering: Acquire; pairs with the Release of `unlock_write` and `unlock_read`: what others did while they had the
        // lock is over. On failure Relaxed: nothing follows from it.
        let acquire = weaken::or_relaxed(Acquire, "Raw::try_write");
        self.state.compare_exchange(0, HELD, acquire, Relaxed).is_ok()
    }

    #[inline]
    pub(super) fn unlock_read(&self) {
        // Ordering: Release; pairs with the Acquire of whoever locks for writing next: this reader has read before the
        // writer writes.
        let release = weaken::or_relaxed(Release, "Raw::unlock_read");
        let state = self.state.fetch_sub(READER, release);
        if state & !READERS_WAIT == READER | CLOSED {
            self.last_reader();
        }
    }

    /// Go: `rUnlockSlow`, the last reader unblocks the writer.
    #[cold]
    fn last_reader(&self) {
        let mut wakers = Wakers::new();
        self.writers.with(|line, waiting| self.advance(line, waiting, &mut wakers));
        wakers.wake();
    }

    #[inline]
    pub(super) fn unlock_write(&self) {
        // Ordering: Release; pairs with the Acquire of whoever locks next, and publishes what was written. On failure
        // Relaxed: `release_write` looks for itself.
        let release = weaken::or_relaxed(Release, "Raw::unlock_write");
        if self.state.compare_exchange(HELD, 0, release, Relaxed).is_err() {
            self.release_write();
        }
    }

    /// Lets in all readers in line, and elects the next writer; or hands it the lock.
    #[cold]
    fn release_write(&self) {
        let mut wakers = Wakers::new();
        let handed = self.writers.with(|line, mut waiting| {
            let next = !line.elected && !waiting.is_empty();
            // Ordering: Relaxed; a reader that goes in line from now on waits for the writer that is handed the lock.
            if next && line.starving && self.state.load(Relaxed) & READERS_WAIT == 0 {
                self.grant(line, waiting, &mut wakers);
                return true;
            }
            let opens = if next && !line.starving { CLOSED } else { 0 };
            self.let_in(HELD | opens, 0, &mut wakers);
            if next {
                // After the readers, as Go's `Unlock`, which unlocks its mutex of writers last.
                wakers.extend(waiting.pop_front(Outcome::Served));
                line.elected = true;
            }
            false
        });
        wakers.wake();
        if handed {
            hand_off(); // Go: the `goyield` of `semrelease1`
        }
    }

    /// From a writer to a reader; readers in line come in too.
    pub(super) fn downgrade(&self) {
        // Ordering: Release; as in `unlock_write`.
        if self.state.compare_exchange(HELD, READER, Release, Relaxed).is_err() {
            let mut wakers = Wakers::new();
            self.writers.with(|_, _| self.let_in(HELD, READER, &mut wakers));
            wakers.wake();
        }
    }

    fn enter_read(&self) -> Enter {
        let mut passes = false;
        let step = |state| {
            passes = state & (HELD | CLOSED) == 0;
            Some(if passes { state + READER } else { state | READERS_WAIT })
        };
        // Ordering: Acquire on both sides; as in `try_read`. To go in line publishes nothing: the lock does that.
        let _ = self.state.fetch_update(Acquire, Acquire, step);
        if passes { Enter::Pass } else { Enter::AtBack }
    }

    /// Under the writers' lock: takes the lock if that is free, or sees to it that the writer waits. `returns`: it was
    /// elected. While another one is elected a writer may get past the line, unless those in it starve.
    fn enter_write(
        &self,
        line: &mut Line,
        waiting: &Waiters<'_, Claim>,
        claim: &mut Claim,
        returns: bool,
    ) -> Enter {
        line.elected &= !returns;
        let others = line.elected || !waiting.is_empty();
        let may = returns || !others || (line.elected && !line.starving);
        // While one is elected the gate is as it was; else it is closed, unless this writer leaves nobody in line (K2).
        let step = |state: usize| {
            claim.granted = may && state & HELD == 0 && state < READER;
            let gate = match (line.elected, claim.granted && !others) {
                (true, _) => state & CLOSED,
                (false, true) => 0,
                (false, false) => CLOSED,
            };
            let held = if claim.granted { HELD } else { 0 };
            Some(state & !CLOSED | gate | held)
        };
        // Ordering: Acquire on both sides; as in `try_write`. To go in line publishes nothing: the lock does that.
        let acquire = weaken::or_relaxed(Acquire, "Raw::enter_write");
        let _ = self.state.fetch_update(acquire, acquire, step);
        if claim.granted {
            line.starving &= others && (!returns || claim.starves());
            Enter::Pass
        } else if returns {
            line.starving |= claim.starves();
            Enter::AtFront
        } else {
            Enter::AtBack
        }
    }

    /// Under the writers' lock: does what is to be done if nobody has the lock, or no writer waits any more.
    fn advance(&self, line: &mut Line, waiting: Waiters<'_, Claim>, wakers: &mut Wakers) {
        if line.elected {
            return; // it is on its way, and does what is to be done (K5)
        }
        if waiting.is_empty() {
            line.starving = false;
            // Ordering: Acquire; for the readers that are let in, who see what the last writer wrote through us.
            let state = self.state.load(Acquire);
            if state & CLOSED == 0 {
                // Who took the flag away has done it all. Without it a writer may lock at any time (K4): readers that are let
                // in here would be beside it. Who is in line by now waits for it, and is let in by its unlock (K3).
                return;
            }
            if state & HELD != 0 {
                // Ordering: Relaxed; K2: the lock orders the changes of this flag. HELD stays (K4), and so K3 holds.
                self.state.fetch_and(!CLOSED, Relaxed);
            } else {
                self.let_in(CLOSED, 0, wakers);
            }
            return;
        }
        let mut free = false;
        let take = |state: usize| {
            free = state & HELD == 0 && state < READER;
            Some(state | CLOSED | if free { HELD } else { 0 })
        };
        // Ordering: Acquire on both sides; the last unlock, of a reader or a writer, is over for the writer that is granted
        // the lock, which sees that by the Release store of its node's phase.
        let acquire = weaken::or_relaxed(Acquire, "Raw::advance");
        let _ = self.state.fetch_update(acquire, acquire, take);
        if free {
            self.grant(line, waiting, wakers);
        }
    }

    /// Gives the lock, which is held for it, to the first writer in line.
    fn grant(&self, line: &mut Line, mut waiting: Waiters<'_, Claim>, wakers: &mut Wakers) {
        let starving = &mut line.starving;
        wakers.extend(waiting.pop_front_if(|claim| {
            claim.granted = true;
            *starving &= claim.starves();
            Some(Outcome::Served)
        }));
        if waiting.is_empty() {
            line.starving = false;
            // Ordering: Relaxed; K2: the lock orders the changes of this flag.
            self.state.fetch_and(!CLOSED, Relaxed);
        }
    }

    /// Under the writers' lock: takes the flag `off` the word, and lets in all readers in line (K3), and `more`.
    fn let_in(&self, off: usize, more: usize, wakers: &mut Wakers) {
        let nobody = |state| (state & READERS_WAIT == 0).then_some((state & !off) + more);
        // Ordering: AcqRel, Acquire; Release as in `unlock_write`: whoever gets in while the gate is open sees by nothing else
        // what was written. Acquire as below.
        let both = weaken::or_relaxed(AcqRel, "Raw::let_in");
        if self.state.fetch_update(both, Acquire, nobody).is_ok() {
            return;
        }
        self.readers.with(|(), mut waiting| {
            let all = waiting.len() * READER + more;
            let step = |state| Some((state & !(off | READERS_WAIT)) + all);
            // Ordering: AcqRel, Acquire; Release as in `unlock_write`. Acquire so that readers which are let in by one who
            // is not the last writer see what that wrote, by the Release store of their nodes' phase.
            let _ = self.state.fetch_update(both, Acquire, step);
            wakers.rest.reserve(waiting.len().saturating_sub(BATCH));
            while let Some(waker) = waiting.pop_front(Outcome::Served) {
                wakers.push(waker);
            }
        });
    }

    /// Whether nobody has the lock or waits for it.
    #[cfg(all(test, gmprt_loom))]
    pub(super) fn is_free(&self) -> bool {
        // Ordering: Relaxed; for whoever asserts, when all is over.
        self.state.load(Relaxed) == 0
    }
}

impl Claim {
    /// Whether it has waited for too long. In a model a writer that loses starves at once: time is not modelled.
    fn starves(&self) -> bool {
        cfg!(gmprt_loom) || self.since.elapsed() >= STARVES
    }
}

impl Wakers {
    const fn new() -> Self {
        Self { batch: WakeBatch::new(), rest: Vec::new() }
    }

    fn push(&mut self, waker: Waker) {
        if self.batch.is_full() {
            self.rest.push(waker);
        } else {
            self.batch.push(waker);
        }
    }

    fn extend(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.push(waker);
        }
    }

    /// Wakes all of them, in order, with no lock held. A panic goes on once all are woken, unless another one is on its
    /// way: a guard may be dropped by that.
    fn wake(self) {
        let mut first = FirstPanic::default();
        self.batch.wake_into(&mut first);
        let mut rest = self.rest.into_iter().peekable();
        while rest.peek().is_some() {
            let mut batch = WakeBatch::<BATCH>::new();
            rest.by_ref().take(BATCH).for_each(|waker| batch.push(waker));
            batch.wake_into(&mut first);
        }
        first.resume();
    }
}
