//! What is to be recorded, and how much of it is kept.
//!
//! Go counterpart: `runtime/trace.Start`, `trace.FlightRecorderConfig`.
//!
//! Absent: a choice of kinds of events. All of them are needed to tell what happened.

use std::path::PathBuf;

/// Events that each M keeps in a flight recorder, by default: 1 MiB.
const NEWEST: u64 = 1 << 16;
/// Events that are kept by default when the recording stops once it is full: viewers load them in some seconds.
pub(super) const FIRST: u64 = 500_000;
/// Tracks of tasks by default: viewers become slow with more.
const TASK_TRACKS: usize = 200;

/// What a recording keeps, and where it goes.
///
/// # Examples
///
/// ```
/// use gmprt::trace::TraceConfig;
///
/// # fn main() -> std::io::Result<()> {
/// let rt = gmprt::Runtime::builder().trace(TraceConfig::flight_recorder().events(10_000)).build()?;
/// rt.block_on(async { gmprt::spawn(async {}).await.unwrap() });
/// let newest = rt.trace().snapshot()?;
/// assert!(newest.events() > 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a configuration does nothing by itself"]
pub struct TraceConfig {
    pub(crate) flight: bool,
    pub(crate) events: u64,
    pub(crate) task_tracks: usize,
    pub(crate) stream: Option<PathBuf>,
}

impl TraceConfig {
    /// Keeps the newest events and overwrites the oldest, for as long as the runtime lives: for a look at what has just
    /// happened, by [`Tracer::snapshot`](super::Tracer::snapshot).
    ///
    /// Each M keeps 65 536 events, 1 MiB, if [`events`](Self::events) does not say otherwise.
    pub fn flight_recorder() -> Self {
        Self { flight: true, events: NEWEST, task_tracks: TASK_TRACKS, stream: None }
    }

    /// Keeps the first events, and ends by itself when it has 500 000, or as many as [`events`](Self::events) says.
    pub fn stop_when_full() -> Self {
        Self { flight: false, events: FIRST, task_tracks: TASK_TRACKS, stream: None }
    }

    /// How many events are kept, 16 bytes each: by each M in a flight recorder (rounded up to a power of two, at least 2048), in all
    /// otherwise. At least 1.
    pub fn events(mut self, n: u64) -> Self {
        self.events = n;
        self
    }

    /// How many tasks have a track of their own in the exported trace. Default: 200. Those that have names come first, then
    /// the busiest; how many were left out is stated in the trace. Their runs on the Ps are shown in any case.
    pub fn task_tracks(mut self, n: usize) -> Self {
        self.task_tracks = n;
        self
    }

    /// Writes the trace to `path` while it is recorded, ten times a second, instead of when it is asked for; `.gz` at the
    /// end: compressed. The file is whole after each write, so that a process that is killed leaves one that loads. Not for a
    /// flight recorder.
    pub fn stream_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.stream = Some(path.into());
        self
    }
}
