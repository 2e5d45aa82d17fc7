//! Adds a trace's events up, one by one, in whatever order they come.
//!
//! Go counterpart: `internal/trace.Summarizer`.
//!
//! ```text
//!   events ─▶ Tally ─▶ RuntimeTally, by process id ─▶ feed.rs: by kind of event
//! ```
//!
//! T1. Kept for each slice of a P: 40 bytes; for each wait: 8. All else is bounded by the numbers of Ps, of kinds, of tracks,
//!     and of starved tasks.
//! T2. The tally of a runtime counts only if one of its four processes has the name that gmprt gives it, or if it has the
//!     instant `gmprt trace`: that is how other programs' traces are told apart, cut ones too.
//!
//! Absent: figures that need all of the events (`sum.rs`).

use super::event::Event;
use super::figures::{About, Block, Poll, Steals, Times, Wait};
use super::{LISTED, ReportError};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// What is known of the events so far.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) runtimes: BTreeMap<u64, RuntimeTally>,
    pub(super) events: u64,
    pub(super) unknown_events: u64,
    pub(super) unknown_args: u64,
    pub(super) starved_after: Duration,
}

/// What it says of one runtime.
#[derive(Debug, Default)]
pub(super) struct RuntimeTally {
    /// It is gmprt's (T2).
    pub(super) ours: bool,
    pub(super) events: u64,
    /// The earliest time, and the latest.
    pub(super) extent: Option<(u64, u64)>,
    pub(super) about: Option<About>,
    pub(super) slices: BTreeMap<u64, Vec<Slice>>,
    pub(super) threads: BTreeMap<u64, String>,
    pub(super) kinds: Kinds,
    pub(super) woken: Waits,
    pub(super) requeued: Waits,
    pub(super) from_start: u64,
    pub(super) polls: Top<Poll>,
    pub(super) steals: BTreeMap<(u64, u64), Steals>,
    pub(super) handoffs: BTreeMap<String, Times>,
    pub(super) retakes: BTreeMap<String, u64>,
    pub(super) blocks: BTreeMap<String, Times>,
    /// With their threads' tids.
    pub(super) longest_blocks: Top<(u64, Block)>,
    pub(super) preempts: u64,
    pub(super) overflows: (u64, u64),
    pub(super) injector_takes: (u64, u64),
    pub(super) plunders: (u64, u64),
    pub(super) timers_fired: u64,
    pub(super) foreign: u64,
    pub(super) starving: HashMap<u64, Starving>,
    pub(super) tracks: HashMap<u64, Track>,
}

/// A slice on a P's track.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    pub(super) at: u64,
    pub(super) dur: u64,
    pub(super) what: What,
}

// As T1 says.
const _: () = assert!(size_of::<Slice>() == 40);

/// What a P did meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// `resumed`: it is the rest of a poll whose P was taken, and that has found another; `unfinished`: the poll went on
    /// after it, without the P, or after the trace.
    Run {
        g: u64,
        m: Option<u32>,
        kind: u32,
        resumed: bool,
        unfinished: bool,
    },
    Idle,
    Spin,
    Steal,
    Timers,
    HandOff,
    Unknown,
}

/// The waits of one sort.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) all: Vec<u64>,
    pub(super) worst: Top<Wait>,
}

/// A task that waited for too long.
#[derive(Debug)]
pub(super) struct Starving {
    pub(super) kind: u32,
    pub(super) times: u64,
    pub(super) longest: u64,
    pub(super) since: u64,
}

/// The last slice on a task's track.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) kind: Arc<str>,
    pub(super) at: u64,
    pub(super) end: u64,
    pub(super) runnable: bool,
}

/// The figures of a kind.
#[derive(Debug)]
pub(super) struct KindTally {
    pub(super) kind: Arc<str>,
    pub(super) runs: u64,
    pub(super) exits: u64,
    pub(super) running: u64,
    pub(super) longest: u64,
    pub(super) waiting: u64,
}

/// All kinds.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    pub(super) all: Vec<KindTally>,
    index: HashMap<Arc<str>, u32>,
}

impl Kinds {
    /// The number of this kind, which is made if it is new.
    pub(super) fn number(&mut self, kind: &str) -> u32 {
        if let Some(&number) = self.index.get(kind) {
            return number;
        }
        let (kind, number) = (Arc::<str>::from(kind), self.all.len() as u32);
        self.index.insert(kind.clone(), number);
        self.all.push(KindTally { kind, runs: 0, exits: 0, running: 0, longest: 0, waiting: 0 });
        number
    }

    pub(super) fn name(&self, number: u32) -> Arc<str> {
        self.all[number as usize].kind.clone()
    }
}

/// The greatest few, the greatest first; of like ones the earlier is greater.
#[derive(Debug)]
pub(super) struct Top<T>(Vec<(u64, Reverse<u64>, T)>);

impl<T> Default for Top<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Top<T> {
    /// Puts one in, which is made only if it belongs there.
    pub(super) fn offer(&mut self, size: u64, at: u64, make: impl FnOnce() -> T) {
        let place = self.0.partition_point(|held| (held.0, held.1) >= (size, Reverse(at)));
        if place < LISTED {
            self.0.truncate(LISTED - 1);
            self.0.insert(place, (size, Reverse(at), make()));
        }
    }

    pub(super) fn into_vec(self) -> Vec<T> {
        self.0.into_iter().map(|(_, _, held)| held).collect()
    }
}

impl Tally {
    pub(super) fn new(starved_after: Duration) -> Self {
        Self { runtimes: BTreeMap::new(), events: 0, unknown_events: 0, unknown_args: 0, starved_after }
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// An event that is not in a form that gmprt writes.
    pub(super) fn add_strange(&mut self) {
        self.events += 1;
        self.unknown_events += 1;
    }

    pub(super) fn add(&mut self, event: &Event<'_>) {
        self.events += 1;
        let part = event.pid % 10;
        if !(1..=4).contains(&part) {
            self.unknown_events += 1;
            return;
        }
        let runtime = self.runtimes.entry(event.pid / 10).or_default();
        runtime.events += 1;
        let known = match (part, &*event.ph) {
            (_, "M") => {
                runtime.metadata(part, event);
                return;
            }
            (1, "C") => {
                runtime.extend(event); // its arguments are the counters' names
                return;
            }
            (1, "i") => runtime.about(event),
            (2, "X") => runtime.processor_slice(event, self.starved_after),
            (2, "i") => runtime.processor_instant(event),
            (3, "X") => runtime.thread_slice(event),
            (3, "i") => runtime.thread_instant(event),
            (4, "X") => runtime.task_slice(event),
            (2 | 3, "s" | "t" | "f") => true,
            _ => false,
        };
        if known {
            runtime.extend(event);
            self.unknown_args += event.args.unknown;
        } else {
            self.unknown_events += 1;
        }
    }

    /// Whether there is a runtime of ours in it; the others are dropped, and their events not known.
    pub(super) fn keep_ours(&mut self) -> Result<(), ReportError> {
        let strangers: u64 = self.runtimes.values().filter(|it| !it.ours).map(|it| it.events).sum();
        self.runtimes.retain(|_, runtime| runtime.ours);
        match (self.runtimes.is_empty(), self.events) {
            (false, _) => {
                self.unknown_events += strangers;
                Ok(())
            }
            (true, 0) => Err(ReportError::NoTrace),
            (true, events) => Err(ReportError::Foreign { events }),
        }
    }
}
