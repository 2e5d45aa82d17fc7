//! A task's state word: what may happen to it next, and who must then do what.
//!
//! Length: one word and all its transitions; a reader of the proof wants them side by side.
//!
//! Go counterpart: `g.atomicstatus` with `casgstatus` (`runtime2.go`, `proc.go`).
//!
//! ```text
//!   IDLE ──1──▶ QUEUED ──2──▶ RUNNING ──4──▶ COMPLETE        1 wake, abort      2 begin_poll
//!    ▲            ▲  ▲          │  │ ▲                       3 end_poll         4 complete
//!    │            │  └────6─────┘  │ 5 wake, abort while     5 (sets QUEUED beside RUNNING)
//!    └─────3──────┼────────────────┤   running               6 end_poll_yield, end_poll after 5
//!                 └───────6────────┘                         7 claim (shutdown): IDLE → RUNNING
//! ```
//!
//! Who owns the future: in IDLE and QUEUED nobody looks at it; in RUNNING the M (or the thread that
//! shuts the runtime down) that made the transition; in COMPLETE it has been dropped and the output
//! belongs to the `JoinHandle` if JOIN_INTEREST is set, else it has been dropped too.
//!
//! The word: `refs << 6 | JOIN_WAKER | JOIN_INTEREST | CANCELLED | COMPLETE | QUEUED | RUNNING`.
//!
//! S1. One reference belongs to the runtime from spawn until COMPLETE, whatever queue the task is in;
//!     the handle holds one while it lives, each `Waker` one. The slot is free again at zero.
//! S2. QUEUED without RUNNING: exactly one queue entry points at the task, and whoever takes it out of
//!     the queue calls `begin_poll`. QUEUED with RUNNING: no entry; `end_poll` makes one.
//! S3. The join waker cell belongs to the handle while JOIN_WAKER is clear and the task is not
//!     COMPLETE; to the thread that completes the task once JOIN_WAKER is set and it is COMPLETE.
//!     While JOIN_WAKER is set before COMPLETE nobody touches it.
//! S4. A wake always writes the word, even where it changes no bit: the poll that follows reads it, and
//!     so sees all that the waker's thread did before. A mere look at QUEUED could return while that
//!     thread's stores are still on their way, and the wakeup would be lost.
//! S5. *Unique*: one reference and no JOIN_INTEREST. The holder of that reference is then alone: nobody
//!     has a handle or a waker to change the word by, so it may store where others must exchange.
//!     Dumps only read; `claim`, which finds tasks without holding a reference, acts on IDLE tasks alone,
//!     and no M makes a unique store into an IDLE task's word.
//!
//! Absent: a "scheduled by shutdown" state (shutdown claims IDLE tasks and drains the queues).

use crate::sys::primitive::{
    AtomicOrdering::{AcqRel, Acquire, Relaxed, Release},
    AtomicU64, weaken,
};
use std::fmt;

const RUNNING: u64 = 1;
const QUEUED: u64 = 1 << 1;
const COMPLETE: u64 = 1 << 2;
const CANCELLED: u64 = 1 << 3;
const JOIN_INTEREST: u64 = 1 << 4;
const JOIN_WAKER: u64 = 1 << 5;
const REF: u64 = 1 << 6;

/// Above this many references the process aborts: they can only have been leaked.
const MAX_REFS: u64 = 1 << 40;

/// The state word.
pub(crate) struct State(AtomicU64);

/// What to do with a task that was taken out of a queue.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum BeginPoll {
    /// Poll its future.
    Poll,
    /// It was aborted meanwhile: drop its future and complete it.
    Cancel,
}

/// What to do with a task whose poll returned `Pending`.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum EndPoll {
    /// Nothing; a waker will queue it.
    Idle,
    /// It was woken during its poll: put it at the tail of a queue.
    Requeue,
    /// It was aborted during its poll: drop its future and complete it.
    Cancel,
}

/// What a task is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Queued,
    Running,
    Waiting,
}

/// What the caller of a wake or an abort must do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum WakeAction {
    /// Put the task into a queue.
    Enqueue,
    /// Nothing: it is queued already, or complete.
    Nothing,
    /// Nothing: it is running, and will be queued when its poll is over.
    Marked,
    /// Nothing but to free the slot: the reference given up was the last.
    Free,
}

/// What remains to be done for a task that has just become COMPLETE.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Completed {
    /// The runtime's reference is given up; others remain.
    Released,
    /// The runtime's reference was the last: free the slot.
    Free,
    /// Take and wake the join waker, then give up the runtime's reference.
    WakeJoin,
}

/// What a handle finds when it is dropped.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum HandleDropped {
    /// Its reference is given up; others remain.
    Released,
    /// Its reference was the last: free the slot.
    Free,
    /// Not complete, and the join waker is the handle's again: drop it, then give up the reference.
    DropWaker,
    /// Complete: the output is the handle's; drop it, then give up the reference.
    DropOutput,
}

/// What shutdown finds in a slot.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Claim {
    /// No task, or a completed one.
    Gone,
    /// An IDLE task, now RUNNING and the caller's to cancel.
    Claimed,
    /// It is in a queue, or a waker is about to put it there.
    Queued,
    /// An M is polling it, and will see the shutdown when the poll returns.
    Running,
}

impl State {
    /// An empty slot.
    pub(crate) fn free() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A task about to be put into its first queue, with a handle.
    #[inline]
    pub(crate) fn spawn(&self) {
        // Ordering: Release; pairs with the Acquire load in `claim` and in dumps, which find the slot
        // without a queue. Whoever finds it through a queue synchronizes by the queue.
        self.0.store(QUEUED | JOIN_INTEREST | (2 * REF), Release);
    }

    /// Marks the slot empty; the caller gave up the last reference.
    #[inline]
    pub(crate) fn retire(&self) {
        // Ordering: Release; pairs with the Acquire load in `claim`: who sees the slot used again
        // sees the new task.
        self.0.store(0, Release);
    }

    #[inline(always)]
    fn unique(word: u64) -> bool {
        word & !(REF - 1) == REF && word & JOIN_INTEREST == 0
    }

    /// QUEUED → RUNNING, by whoever took the task out of its queue.
    #[inline]
    pub(crate) fn begin_poll(&self) -> BeginPoll {
        // Ordering: Acquire; if unique, the last other reference was given up with Release, and what
        // its holder did happens before this poll.
        let word = self.0.load(Acquire);
        debug_assert_eq!(word & (QUEUED | RUNNING | COMPLETE), QUEUED, "{self:?}");
        if word == QUEUED | REF {
            // Ordering: Release; S5, nobody else can read it but a dump (raw.rs, `peek`): who sees it sees the task's id.
            self.0.store(RUNNING | REF, Release);
            return BeginPoll::Poll;
        }
        // One subtraction moves QUEUED (2) to RUNNING (1); both bits are as asserted above.
        // Ordering: Acquire half reads the last wake's write (S4). Release half: the previous poll's
        // effects, for an aborter.
        let word = self.0.fetch_sub(QUEUED - RUNNING, weaken::or_relaxed(AcqRel, "state.begin"));
        if word & CANCELLED == 0 { BeginPoll::Poll } else { BeginPoll::Cancel }
    }

    /// After `Pending`: RUNNING → IDLE, or → QUEUED if it was woken meanwhile.
    #[inline]
    pub(crate) fn end_poll(&self) -> EndPoll {
        // Ordering: Acquire; as in `begin_poll`.
        let mut word = self.0.load(Acquire);
        loop {
            if word & CANCELLED != 0 {
                return EndPoll::Cancel; // stays RUNNING: the future is still ours
            }
            // Ordering: Release half: the future as this poll left it, for the M that polls it next,
            // which may be told by a waker's write and no queue of ours. Acquire half: S4. Relaxed on
            // failure would do but for the next round, which must see the waker's effects: Acquire.
            match self.0.compare_exchange_weak(
                word,
                word & !RUNNING,
                weaken::or_relaxed(AcqRel, "state.end"),
                Acquire,
            ) {
                Ok(_) if word & QUEUED != 0 => return EndPoll::Requeue,
                Ok(_) => return EndPoll::Idle,
                Err(now) => word = now,
            }
        }
    }

    /// After a poll that asked to yield: RUNNING → QUEUED.
    #[inline]
    pub(crate) fn end_poll_yield(&self) -> EndPoll {
        // Ordering: Acquire; as in `begin_poll`.
        let mut word = self.0.load(Acquire);
        if word == RUNNING | REF {
            // Ordering: Release; S5: the M that takes it next learns of it by a queue, dumps by this.
            self.0.store(QUEUED | REF, Release);
            return EndPoll::Requeue;
        }
        loop {
            if word & CANCELLED != 0 {
                return EndPoll::Cancel;
            }
            // Ordering: as in `end_poll`.
            match self.0.compare_exchange_weak(word, (word & !RUNNING) | QUEUED, AcqRel, Acquire) {
                Ok(_) => return EndPoll::Requeue,
                Err(now) => word = now,
            }
        }
    }

    /// Whether anybody wants the output; asked by the M that runs the task, before `complete`.
    #[inline]
    pub(crate) fn wants_output(&self) -> bool {
        // Ordering: Relaxed; only a hint for where to drop the output: `complete` decides.
        self.0.load(Relaxed) & JOIN_INTEREST != 0
    }

    /// RUNNING → COMPLETE, the future dropped, the output in its place if `output_stored`.
    ///
    /// `Err`: the handle is gone meanwhile; the caller takes the output back out and calls again.
    #[inline]
    pub(crate) fn complete(&self, output_stored: bool) -> Result<Completed, ()> {
        // Ordering: Acquire; as in `begin_poll`.
        let mut word = self.0.load(Acquire);
        loop {
            debug_assert_eq!(word & (RUNNING | COMPLETE), RUNNING, "{self:?}");
            if output_stored && word & JOIN_INTEREST == 0 {
                return Err(());
            }
            if Self::unique(word) {
                return Ok(Completed::Free); // S5: the slot is retired next; no store is needed
            }
            let wake = word & JOIN_WAKER != 0;
            let complete = word - RUNNING + COMPLETE;
            let new = if wake { complete } else { complete - REF };
            // Ordering: Release half publishes the output to the handle's Acquire load. Acquire half:
            // with JOIN_WAKER set, the waker that the handle stored (S3). Acquire on failure: as above.
            match self.0.compare_exchange_weak(
                word,
                new,
                weaken::or_relaxed(AcqRel, "state.complete"),
                Acquire,
            ) {
                Ok(_) if wake => return Ok(Completed::WakeJoin),
                Ok(_) if new & !(REF - 1) == 0 => return Ok(Completed::Free),
                Ok(_) => return Ok(Completed::Released),
                Err(now) => word = now,
            }
        }
    }

    /// A wake by a waker that lives on: IDLE → QUEUED, or a mark for the poll in progress.
    #[inline]
    pub(crate) fn wake_by_ref(&self) -> WakeAction {
        self.wake(0)
    }

    /// A wake that uses its waker up: the reference goes with it, in the same exchange.
    #[inline]
    pub(crate) fn wake_by_val(&self) -> WakeAction {
        self.wake(REF)
    }

    #[inline(always)]
    fn wake(&self, given_up: u64) -> WakeAction {
        // Ordering: Relaxed; the exchange below decides.
        let mut word = self.0.load(Relaxed);
        loop {
            let marked = if word & COMPLETE != 0 { word } else { word | QUEUED };
            let new = marked - given_up;
            // Ordering: Release half publishes what the waking thread did before to the next poll
            // (S4), also where no bit changes. Acquire half: if the task is to be queued, the future as
            // its last poll left it; if it is to be freed, everything. Relaxed on failure: tried again.
            match self.0.compare_exchange_weak(word, new, weaken::or_relaxed(AcqRel, "state.wake"), Relaxed) {
                Ok(_) if new & !(REF - 1) == 0 => return WakeAction::Free,
                Ok(_) if word & (RUNNING | QUEUED | COMPLETE) == 0 => return WakeAction::Enqueue,
                Ok(_) if word & (RUNNING | QUEUED) == RUNNING => return WakeAction::Marked,
                Ok(_) => return WakeAction::Nothing,
                Err(now) => word = now,
            }
        }
    }

    /// What the task is at: for people. `None`: the slot is empty, or the task complete.
    pub(crate) fn standing(&self) -> Option<Standing> {
        // Ordering: Acquire; pairs with the Release store in `spawn`: the header is written.
        let word = self.0.load(Acquire);
        match word {
            _ if word & !(REF - 1) == 0 || word & COMPLETE != 0 => None,
            _ if word & RUNNING != 0 => Some(Standing::Running),
            _ if word & QUEUED != 0 => Some(Standing::Queued),
            _ => Some(Standing::Waiting),
        }
    }

    /// Asks that the future be dropped at its next turn instead of polled.
    pub(crate) fn abort(&self) -> WakeAction {
        // Ordering: Relaxed; the exchange below decides.
        let mut word = self.0.load(Relaxed);
        loop {
            if word & (COMPLETE | CANCELLED) != 0 {
                return WakeAction::Nothing;
            }
            let idle = word & (RUNNING | QUEUED) == 0;
            let new = word | CANCELLED | if idle { QUEUED } else { 0 };
            // Ordering: AcqRel; as in `wake`.
            match self.0.compare_exchange_weak(word, new, AcqRel, Relaxed) {
                Ok(_) if idle => return WakeAction::Enqueue,
                Ok(_) => return WakeAction::Nothing,
                Err(now) => word = now,
            }
        }
    }

    /// Shutdown, which holds no reference: IDLE → RUNNING, so that the future can be dropped.
    ///
    /// This takes over the runtime's own reference (S1), so none is added: an empty slot has no
    /// references and is told by that, which is "increment unless zero" with nothing to increment.
    pub(crate) fn claim(&self) -> Claim {
        // Ordering: Acquire; pairs with the Release store in `spawn`: the header is written.
        let acquire = weaken::or_relaxed(Acquire, "state.claim");
        let mut word = self.0.load(acquire);
        loop {
            if word & !(REF - 1) == 0 || word & COMPLETE != 0 {
                return Claim::Gone;
            }
            if word & RUNNING != 0 {
                return Claim::Running;
            }
            if word & QUEUED != 0 {
                return Claim::Queued;
            }
            // Ordering: Acquire half: the future as its last poll left it. Release half: for a waker
            // that comes after. Acquire on failure: as the load above.
            match self.0.compare_exchange_weak(
                word,
                word | RUNNING | CANCELLED,
                weaken::or_relaxed(AcqRel, "state.claim"),
                acquire,
            ) {
                Ok(_) => return Claim::Claimed,
                Err(now) => word = now,
            }
        }
    }

    /// One more reference, for a cloned waker.
    #[inline]
    pub(crate) fn add_ref(&self) {
        // Ordering: Relaxed; the caller has a reference already, and passes the new one on by itself.
        let word = self.0.fetch_add(REF, Relaxed);
        if word >= MAX_REFS * REF {
            std::process::abort(); // leaked wakers by the billion; an overflow would free a live task
        }
    }

    /// One reference less. True: it was the last, free the slot.
    #[inline]
    #[must_use]
    pub(crate) fn drop_ref(&self) -> bool {
        // Ordering: Release half: our use of the task happens before it is freed. Acquire half: so
        // does everybody else's, if ours is the last.
        let word = self.0.fetch_sub(REF, weaken::or_relaxed(AcqRel, "state.drop_ref"));
        debug_assert!(word >= REF, "a reference was given up twice");
        word & !(REF - 1) == REF
    }

    /// Whether the task is COMPLETE; if so, its output is visible to the caller.
    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        // Ordering: Acquire; pairs with the Release half of `complete`.
        self.0.load(Acquire) & COMPLETE != 0
    }

    /// Whether JOIN_WAKER is set; asked by the handle, which alone sets it.
    pub(crate) fn has_join_waker(&self) -> bool {
        // Ordering: Relaxed; the handle's own doing, or cleared by nobody.
        self.0.load(Relaxed) & JOIN_WAKER != 0
    }

    /// The handle has stored its waker: JOIN_WAKER is set. False: COMPLETE came first.
    #[must_use]
    pub(crate) fn set_join_waker(&self) -> bool {
        self.change_join_waker(|word| word | JOIN_WAKER)
    }

    /// The handle wants the waker cell back: JOIN_WAKER is cleared. False: COMPLETE came first.
    #[must_use]
    pub(crate) fn unset_join_waker(&self) -> bool {
        self.change_join_waker(|word| word & !JOIN_WAKER)
    }

    fn change_join_waker(&self, change: impl Fn(u64) -> u64) -> bool {
        // Ordering: Acquire; if COMPLETE, the output.
        let mut word = self.0.load(Acquire);
        loop {
            if word & COMPLETE != 0 {
                return false;
            }
            // Ordering: Release half publishes the waker to `complete`. Acquire on failure: the output.
            match self.0.compare_exchange_weak(
                word,
                change(word),
                weaken::or_relaxed(AcqRel, "state.join"),
                Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// The handle is dropped. `waker_set`: whether it has set JOIN_WAKER.
    #[inline]
    pub(crate) fn drop_handle(&self, waker_set: bool) -> HandleDropped {
        // Ordering: Acquire; if COMPLETE, the output.
        let mut word = self.0.load(Acquire);
        loop {
            debug_assert_ne!(word & JOIN_INTEREST, 0, "{self:?}");
            if word & COMPLETE != 0 {
                return HandleDropped::DropOutput;
            }
            let new =
                if waker_set { word & !(JOIN_INTEREST | JOIN_WAKER) } else { (word & !JOIN_INTEREST) - REF };
            // Ordering: Release half: our use of the task happens before it is freed, or becomes unique
            // (S5). Acquire: as above.
            match self.0.compare_exchange_weak(
                word,
                new,
                weaken::or_relaxed(AcqRel, "state.drop_handle"),
                Acquire,
            ) {
                Ok(_) if waker_set => return HandleDropped::DropWaker,
                Ok(_) if new & !(REF - 1) == 0 => return HandleDropped::Free,
                Ok(_) => return HandleDropped::Released,
                Err(now) => word = now,
            }
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ordering: Relaxed; for people.
        let word = self.0.load(Relaxed);
        let names = [
            (RUNNING, "running"),
            (QUEUED, "queued"),
            (COMPLETE, "complete"),
            (CANCELLED, "cancelled"),
            (JOIN_INTEREST, "join interest"),
            (JOIN_WAKER, "join waker"),
        ];
        for (bit, name) in names {
            if word & bit != 0 {
                write!(f, "{name}, ")?;
            }
        }
        write!(f, "{} refs", word / REF)
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "../models/state.rs"]
#[expect(unsafe_code, reason = "the model's future and output are cells, to see who touches them")]
mod loom_models;
