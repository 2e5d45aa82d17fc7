//! The life of a task (a G): one slab slot holds its header, its future and later its output.
//!
//! Go counterpart: `type g` (`runtime2.go`), `newproc1`, `goexit0` (`proc.go`).
//!
//! ```text
//!   spawn ─▶ Queued ─▶ run ─▶ After::Idle ─▶ (a waker) ─▶ Queued …
//!                       │
//!                       ├──▶ After::Requeue(Queued)       woken, or yielded, during its poll
//!                       └──▶ After::Done / After::Free    complete; Free: the slot is empty
//! ```
//!
//! T1. A [`Queued`] is the one right to run a task: it comes from a transition to QUEUED and is used up
//!     by [`Queued::run`]. Queues store it as a pointer; what they lose is lost, what they copy runs twice.
//! T2. While user code runs here (poll, drop of a future, an output or a panic payload, a foreign waker)
//!     no lock of ours is held and the P is lent (`sched/lease.rs`).
//! T3. The future is dropped before the task is COMPLETE, so a handle that resolves finds it gone.
//!
//! Absent: queues, Ps and Ms. The one way up is [`slab::Upcalls`], two functions by which a waker
//! reaches `ready` and an empty slot reaches its P.

pub(crate) mod join;
#[expect(unsafe_code, reason = "who may touch which part of a slot, by the task's state")]
pub(crate) mod raw;
#[expect(unsafe_code, reason = "allocation and reuse of slots")]
pub(crate) mod slab;
#[expect(unsafe_code, reason = "type-erased access to a task's future and output")]
pub(crate) mod stage;
pub(crate) mod state;
#[expect(unsafe_code, reason = "the RawWaker of a task")]
pub(crate) mod waker;

pub(crate) use raw::{Queued, TaskRef};

use std::fmt;
use std::panic::Location;

/// Identifies a task; unique in the process, never reused. Prints as `G17`.
///
/// # Differences from Go
///
/// Go hides its goroutine ids; here they appear in panics, traces and dumps alike, and `task::id()` tells
/// a task its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(crate) u64);

impl TaskId {
    /// The number behind the `G`.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "G{}", self.0)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What became of a task that was run.
#[must_use]
pub(crate) enum After {
    /// It waits; a waker will queue it.
    Idle,
    /// It is to be queued again: it was woken, or asked to yield, during its poll.
    Requeue(Queued),
    /// It is complete, and somebody else still refers to it.
    Done(Ended),
    /// It is complete, and its slot is empty: give it back.
    Free(Ended, slab::Slot),
}

/// How a complete task ended, for the counters and for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its future returned.
    Finished,
    /// It was aborted, or the runtime shut down.
    Cancelled,
    /// It panicked, and its handle will say so.
    Panicked,
    /// It panicked, and there is no handle left to say so.
    PanickedUnseen(TaskId, &'static Location<'static>),
}
