//! From records to the story that they tell: who ran what, where, when, and who woke whom.
//!
//! Go counterpart: `internal/trace/order.go`, `cmd/trace/gen.go`.
//!
//! ```text
//!   Batch ─▶ Merge ─▶ Timeline ─▶ Writer ─▶ EventSink
//!            (order)  (states)    (JSON)
//! ```
//!
//! W1. Times on one ring increase, a task's transitions do not go back, a P's holdings do not overlap. What must be moved
//!     by more than 1 ns for that is counted as clamped.
//! W2. What happened before `Opening::from` is not shown, nor what came after `Closing::at`. What was going on then is shown from
//!     there on, and what goes on at the end is closed there.
//! W3. No sequence of records, however odd, makes it panic or write slices that overlap: records may be lost.
//!
//! Absent: an order among the rings (`merge.rs`), and the file (`chrome.rs`).

mod apply;
mod clock;
mod counters;
mod opening;
mod processor;
mod tasks;
#[cfg(test)]
mod tests;
mod thread;
mod threads;

use super::chrome::{self, GS, MS, PS, Place, STATS, Scratch, TID_ABOUT, TID_P, Writer};
use super::merge::Merge;
use super::recording::{Batch, Closing, LiveTask, Opening, Standing};
use counters::{Counter, QueueCounts, TaskCounts, ThreadCounts};
use processor::Processor;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use std::panic::Location;
use tasks::{State, Tasks, Woke};
use threads::Threads;

pub(crate) use chrome::EventSink;

/// Finds the `Location` at an address that the runtime has recorded; `None` if it has recorded no such address.
pub(crate) type SiteOf = fn(usize) -> Option<&'static Location<'static>>;

/// What a trace says of itself at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) version: &'static str,
    /// How ticks were made into times.
    pub(crate) clock: String,
    /// How many records there were.
    pub(crate) records: u64,
    /// How many more there would have been.
    pub(crate) dropped: u64,
    /// How many were moved, for the clocks disagreed (W1).
    pub(crate) clamped: u64,
    /// How many were taken later than their stamps say.
    pub(crate) reordered: u64,
    pub(crate) tasks: u64,
    pub(crate) task_tracks: u64,
    pub(crate) tasks_left_out: u64,
    pub(crate) thread_tracks_left_out: u64,
    /// The recording stopped by itself.
    pub(crate) full: bool,
}

/// Writes the events of one runtime.
pub(crate) struct Exporter {
    merge: Merge,
    timeline: Timeline,
    scratch: Scratch,
    begun: bool,
    /// How things stood, until the first batch.
    opening: Option<(Vec<LiveTask>, u64)>,
}

/// A record's place and time.
#[derive(Clone, Copy)]
struct Now {
    /// The thread that made it.
    r: usize,
    t: u64,
    show: bool,
}

/// What is known at one time of the story.
struct Timeline {
    clock: clock::Clock,
    from: u64,
    /// The last time that was shown.
    latest: u64,
    ps: Vec<Processor>,
    threads: Threads,
    tasks: Tasks,
    injector: u64,
    task_counter: Counter<TaskCounts>,
    queue_counter: Counter<QueueCounts>,
    thread_counter: Counter<ThreadCounts>,
    records: u64,
    clamped: u64,
    /// Records were lost in the middle: a task that is new may be older.
    gapped: bool,
    /// What tasks were at when they were looked at.
    standings: FxHashMap<u64, Standing>,
    /// The Ms that held a P then, as somebody else says.
    stated: FxHashSet<u32>,
}

impl Exporter {
    /// `base_pid`: ten times the runtime's place in the file. `task_tracks`: how many tasks get a track.
    pub(crate) fn new(opening: Opening, base_pid: u32, task_tracks: usize, site_of: SiteOf) -> Self {
        let clock = clock::Clock::new(opening.origin, opening.from);
        let from = clock.of_moment(opening.from);
        let procs = opening.procs.min(usize::from(u16::MAX));
        let mut merge = Merge::new(procs);
        merge.calibrate(opening.from.ticks, clock.ticks_per_us());
        let tasks = Tasks::new(task_tracks, site_of);
        for task in &opening.tasks {
            merge.knows(task.g);
        }
        let opening = Some((opening.tasks, opening.from.ticks));
        let timeline = Timeline {
            clock,
            from,
            latest: from,
            ps: (0..procs).map(|p| Processor::new(p as u16, from)).collect(),
            threads: Threads::new(from),
            tasks,
            injector: 0,
            task_counter: Counter::new("Tasks", procs),
            queue_counter: Counter::new("Run queues", procs),
            thread_counter: Counter::new("Threads", procs),
            records: 0,
            clamped: 0,
            gapped: false,
            standings: FxHashMap::default(),
            stated: FxHashSet::default(),
        };
        Self { merge, timeline, scratch: Scratch::new(base_pid), begun: false, opening }
    }

    /// Learns what tasks are called from batches that are yet to be fed, if they are there already.
    pub(crate) fn foresee(&mut self, batches: &[Batch]) {
        for batch in batches {
            for (&g, name) in &batch.names {
                self.timeline.tasks.name(g, name.clone());
            }
            for ring in &batch.rings {
                self.timeline.foresee(&ring.records);
            }
        }
    }

    /// Writes what a batch tells. What may yet be preceded by records of the next batch waits for that.
    pub(crate) fn feed(&mut self, batch: Batch, out: &mut impl EventSink) {
        let mut out = Writer { sink: out, scratch: &mut self.scratch };
        let Self { merge, timeline, begun, opening, .. } = self;
        timeline.begin(begun, &mut out);
        for (g, name) in batch.names {
            timeline.tasks.name(g, name);
        }
        timeline.clock.stretch(batch.upto);
        merge.calibrate(batch.upto.ticks, timeline.clock.ticks_per_us());
        let mut rings = batch.rings;
        let first = opening.take();
        if let Some((tasks, from)) = &first {
            rings.retain(|ring| ring.ring < RINGS);
            timeline.open(&mut rings, tasks, (*from, batch.upto.ticks), &mut out);
            for ring in &rings {
                if let Some(p) = timeline.p_of_ring(ring.ring) {
                    merge.holds(ring.ring, p);
                }
            }
        }
        merge.foresee(&rings, first.is_some());
        for mut ring in rings {
            // More rings than a machine has threads are a mistake.
            if ring.ring < RINGS {
                if first.is_none() {
                    timeline.introduce(&mut ring, &mut out);
                }
                merge.push(ring);
            }
        }
        while let Some(item) = merge.next(batch.upto.ticks, false) {
            timeline.apply(item, &mut out);
        }
        timeline.clock.advance(batch.upto);
    }

    /// Closes what is open, and says what the trace is.
    pub(crate) fn finish(self, closing: Closing, out: &mut impl EventSink) -> Summary {
        let Self { mut merge, mut timeline, mut scratch, mut begun, opening } = self;
        let mut out = Writer { sink: out, scratch: &mut scratch };
        timeline.begin(&mut begun, &mut out);
        if let Some((tasks, from)) = opening {
            timeline.open(&mut [], &tasks, (from, from), &mut out);
        }
        timeline.clock.stretch(closing.at);
        while let Some(item) = merge.next(u64::MAX, true) {
            // Of what came later, or then, some threads told, and others did not any more: not even all of one event.
            if item.ticks < closing.at.ticks {
                timeline.apply(item, &mut out);
            }
        }
        timeline.end(closing, merge.reordered, &mut out)
    }
}

/// The most rings there are.
const RINGS: usize = 1 << 20;

/// A task that stood like this when the trace began.
fn stand(tasks: &mut Tasks, live: &LiveTask, from: u64) {
    if live.g == 0 {
        return;
    }
    let task = tasks.meet(live.g, from);
    tasks.site(live.g, live.site);
    tasks.assume(task, state_of(live.standing));
}

fn state_of(standing: Standing) -> State {
    match standing {
        Standing::Queued => State::Runnable { woke: Woke::Start, by: None },
        Standing::Running => State::Running { p: None, m: None },
        Standing::Waiting(reason) => State::Waiting(reason),
    }
}

impl Timeline {
    /// Names the tracks that are there from the start.
    fn begin(&mut self, begun: &mut bool, out: &mut Writer<'_>) {
        if std::mem::replace(begun, true) {
            return;
        }
        out.process(STATS, "Scheduler stats");
        out.process(PS, "P: processors");
        out.process(MS, "M: threads");
        out.process(GS, "G: tasks");
        out.thread(Place { process: STATS, tid: TID_ABOUT }, "about");
        for p in 0..self.ps.len() {
            out.thread(Place { process: PS, tid: TID_P + p as u64 }, &format!("P{p}"));
        }
        self.recount(self.from);
        let queues = self.ps.len() + 1;
        self.queue_counter.set(self.from, |counts| counts.0 = vec![0; queues]);
    }

    fn end(mut self, closing: Closing, reordered: u64, out: &mut Writer<'_>) -> Summary {
        let t = self.clock.of_moment(closing.at).max(self.last_end());
        self.recount(t);
        self.task_counter.finish(t, out);
        self.queue_counter.finish(t, out);
        self.thread_counter.finish(t, out);
        self.close_all(t, out);
        let (task_tracks, tasks_left_out) = self.tasks.finish(t, out);
        let summary = Summary {
            version: env!("CARGO_PKG_VERSION"),
            clock: self.clock.text(),
            records: self.records,
            dropped: closing.dropped,
            clamped: self.clamped,
            reordered,
            tasks: self.tasks.met,
            task_tracks,
            tasks_left_out,
            thread_tracks_left_out: self.threads.left_out,
            full: closing.full,
        };
        out.instant(Place { process: STATS, tid: TID_ABOUT }, "stats", "gmprt trace", t, &summary);
        summary
    }
}
