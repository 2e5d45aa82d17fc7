//! What the recorder hands to whoever exports: the records ring by ring, and what no record says.
//!
//! Go counterpart: a generation of `tracev2` (`tracestack.go`, `traceallocfree.go`).
//!
//! ```text
//!   Opening ─▶ Batch ─▶ Batch ─▶ … ─▶ Closing        a trace written at the end has one batch
//! ```
//!
//! Absent: any sense of what the records mean (`timeline.rs`).

use super::record::Record;
use crate::reason::Reason;
use crate::sys::clock::Nanos;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

/// The two clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The time stamp counter.
    pub(crate) ticks: u64,
    /// Monotonic time.
    pub(crate) nanos: Nanos,
}

/// What a task was at when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Queued,
    Running,
    Waiting(Reason),
}

/// A task that was alive when it was looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LiveTask {
    pub(crate) g: u64,
    pub(crate) site: &'static Location<'static>,
    pub(crate) standing: Standing,
}

/// Where the recording begins.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    /// How many Ps the runtime has.
    pub(crate) procs: usize,
    /// The origin of the trace's times.
    pub(crate) origin: Moment,
    /// From here on all is recorded; what is recorded before is incomplete, and tells only of the thread that recorded it.
    pub(crate) from: Moment,
    /// The tasks that were alive when they were looked at, which was a little later: who has no record was at that all along.
    pub(crate) tasks: Vec<LiveTask>,
}

/// What was recorded on one ring since the last batch, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct RingBatch {
    /// Which ring: small numbers from 0.
    pub(crate) ring: usize,
    pub(crate) records: Vec<Record>,
    /// Some records before these were lost: overwritten, or dropped for want of room.
    pub(crate) gap: bool,
    /// The M that the ring belongs to now, and whether that is a caller of `block_on`. `None`: nobody, or the ring of the
    /// threads that are no Ms.
    pub(crate) owner: Option<(u32, bool)>,
}

/// What was recorded since the last batch.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) rings: Vec<RingBatch>,
    /// Everything that was stamped before this moment is in this batch or an earlier one.
    pub(crate) upto: Moment,
    /// Names of tasks, where they have one.
    pub(crate) names: HashMap<u64, Arc<str>>,
}

/// How the recording ended.
#[derive(Debug, Clone)]
pub(crate) struct Closing {
    pub(crate) at: Moment,
    /// Records lost for want of room.
    pub(crate) dropped: u64,
    /// It stopped by itself: the limit of events was reached.
    pub(crate) full: bool,
}
