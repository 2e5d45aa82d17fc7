//! The counters: how many tasks, queued tasks, threads.
//!
//! Go counterpart: `cmd/trace`'s `gen.go: emitStats`.
//!
//! D1. A counter is written when it has changed, and at most once an interval. What it then shows is true at that time.
//!
//! Absent: the counting.

use super::super::chrome::Writer;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The shortest time between two samples, for one P.
const INTERVAL_NS: u64 = 100_000;

#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TaskCounts {
    pub(super) running: u64,
    pub(super) runnable: u64,
    pub(super) waiting: u64,
}

#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ThreadCounts {
    pub(super) running: u64,
    pub(super) blocked: u64,
    pub(super) spinning: u64,
    pub(super) parked: u64,
}

/// The injector, and then each P.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct QueueCounts(pub(super) Vec<u64>);

impl Serialize for QueueCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (n, length) in self.0.iter().enumerate() {
            match n.checked_sub(1) {
                None => map.serialize_entry("global", length)?,
                Some(p) => map.serialize_entry(&format_args!("P{p}"), length)?,
            }
        }
        map.end()
    }
}

/// One counter.
pub(super) struct Counter<C> {
    name: &'static str,
    interval: u64,
    /// When the last sample was written, and what it showed.
    shown: Option<(u64, C)>,
    /// When it changed last.
    changed: u64,
    now: C,
}

impl<C: Clone + PartialEq + Default + Serialize> Counter<C> {
    pub(super) fn new(name: &'static str, procs: usize) -> Self {
        // More Ps change more often, and each sample of the queues is longer.
        let interval = INTERVAL_NS + INTERVAL_NS * procs as u64 / 8;
        Self { name, interval, shown: None, changed: 0, now: C::default() }
    }

    /// What it is from `t` on.
    #[inline]
    pub(super) fn set(&mut self, t: u64, change: impl FnOnce(&mut C)) {
        change(&mut self.now);
        self.changed = self.changed.max(t);
    }

    /// The time is `t`: writes what was to be written before.
    pub(super) fn pass(&mut self, t: u64, out: &mut Writer<'_>) {
        let due = match &self.shown {
            None => self.changed,
            Some((at, shown)) => {
                if t < at + self.interval || *shown == self.now {
                    return;
                }
                self.changed.max(at + self.interval)
            }
        };
        if due < t {
            self.write(due, out);
        }
    }

    fn write(&mut self, t: u64, out: &mut Writer<'_>) {
        out.counter(self.name, t, &self.now);
        self.shown = Some((t, self.now.clone()));
    }

    /// The last sample, at the end of the trace.
    pub(super) fn finish(&mut self, t: u64, out: &mut Writer<'_>) {
        self.pass(t, out);
        let due = self.shown.as_ref().map_or(0, |(at, _)| at + self.interval);
        if t >= due {
            self.write(t, out);
        }
    }
}
