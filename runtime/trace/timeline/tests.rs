//! The exporter against stories whose ends are known, and against noise.

use super::super::chrome::{Recorded, write_file};
use super::super::record::{Bed, End, Event, Fate, Give, Queue, Record, STAMP_BITS, Taken};
use super::super::recording::{Batch, Closing, LiveTask, Moment, Opening, RingBatch, Standing};
use super::{EventSink, Exporter, Summary};
use crate::reason::Reason;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

mod rules;
mod simulation;
mod stories;

/// A spawn site that stands at the address `n`.
fn site_of(n: usize) -> Option<&'static Location<'static>> {
    let sites = sites();
    sites.get(n.checked_sub(1)?).copied()
}

fn sites() -> [&'static Location<'static>; 2] {
    #[track_caller]
    fn here() -> &'static Location<'static> {
        Location::caller()
    }
    [here(), here()]
}

/// The name of tasks from the first site.
fn first_kind() -> String {
    format!("tests.rs:{}", sites()[0].line())
}

/// Ticks are nanoseconds and two more; the trace begins at 1000 ns.
const ZERO: u64 = 5_000_000;

fn moment(ns: u64) -> Moment {
    Moment { ticks: ZERO + 2 * ns, nanos: 70_000 + ns }
}

/// An event at this time.
fn at(ns: u64, event: Event) -> Record {
    let stamp = if event.is_stamped() { (ZERO + 2 * ns) & ((1 << STAMP_BITS) - 1) } else { 0 };
    Record { stamp, event }
}

struct Story {
    opening: Opening,
    rings: Vec<RingBatch>,
    names: HashMap<u64, Arc<str>>,
    tracks: usize,
    closing: Closing,
}

impl Story {
    fn new(procs: usize, from: u64, end: u64) -> Self {
        let opening = Opening { procs, origin: moment(0), from: moment(from), tasks: Vec::new() };
        let closing = Closing { at: moment(end), dropped: 0, full: false };
        Self { opening, rings: Vec::new(), names: HashMap::new(), tracks: 200, closing }
    }

    fn live(mut self, g: u64, standing: Standing) -> Self {
        self.opening.tasks.push(LiveTask { g, site: sites()[0], standing });
        self
    }

    fn ring(self, owner: Option<u32>, events: &[(u64, Event)]) -> Self {
        self.ring_of(owner.map(|m| (m, false)), events)
    }

    fn ring_of(mut self, owner: Option<(u32, bool)>, events: &[(u64, Event)]) -> Self {
        let records = events.iter().map(|&(ns, event)| at(ns, event)).collect();
        self.rings.push(RingBatch { ring: self.rings.len(), records, gap: false, owner });
        self
    }

    fn batch(&self) -> Batch {
        Batch { rings: self.rings.clone(), upto: self.closing.at, names: self.names.clone() }
    }

    fn export(self) -> Shown {
        let mut sink = Events::default();
        let mut exporter = Exporter::new(self.opening.clone(), 0, self.tracks, site_of);
        exporter.feed(self.batch(), &mut sink);
        let summary = exporter.finish(self.closing, &mut sink);
        let shown = Shown { events: sink.0, summary };
        rules::check(&shown.events);
        shown
    }
}

/// Keeps events.
#[derive(Default)]
struct Events(Vec<Value>);

impl EventSink for Events {
    fn event(&mut self, json: &[u8]) {
        assert!(!json.contains(&b'\n'));
        self.0.push(serde_json::from_slice(json).unwrap());
    }
}

struct Shown {
    events: Vec<Value>,
    summary: Summary,
}

impl Shown {
    /// The slices and instants of a track in the order of their times: name, start, end in ns.
    fn track(&self, process: u64, tid: u64) -> Vec<(String, u64, u64)> {
        let mut all: Vec<_> = self
            .events
            .iter()
            .filter(|e| (e["ph"] == "X" || e["ph"] == "i") && e["pid"] == process && e["tid"] == tid)
            .map(|e| {
                let start = rules::ns(&e["ts"]);
                (e["name"].as_str().unwrap().to_owned(), start, start + e.get("dur").map_or(0, rules::ns))
            })
            .collect();
        all.sort_by_key(|(_, start, end)| (*start, std::cmp::Reverse(*end)));
        all
    }

    fn p(&self, p: u64) -> Vec<(String, u64, u64)> {
        self.track(2, 100 + p)
    }

    fn g(&self, g: u64) -> Vec<(String, u64, u64)> {
        self.track(4, 10_000 + g)
    }

    /// The only event with this name that is not a flow's end.
    fn named(&self, name: &str) -> &Value {
        let all: Vec<_> =
            self.events.iter().filter(|e| e["name"] == name && e["ph"] != "f" && e["ph"] != "s").collect();
        assert_eq!(all.len(), 1, "{name}: {all:?}");
        all[0]
    }

    /// Arrows: category, from, to.
    fn flows(&self, cat: &str) -> Vec<((u64, u64), (u64, u64))> {
        let ends =
            |ph: &str| self.events.iter().filter(|e| e["ph"] == ph && e["cat"] == cat).collect::<Vec<_>>();
        let place = |e: &Value| (e["tid"].as_u64().unwrap(), rules::ns(&e["ts"]));
        let finishes = ends("f");
        ends("s")
            .iter()
            .map(|s| (place(s), place(finishes.iter().find(|f| f["id"] == s["id"]).unwrap())))
            .collect()
    }
}

fn own(p: u16) -> Queue {
    Queue::of_p(p)
}

fn row(name: &str, start: u64, end: u64) -> (String, u64, u64) {
    (name.to_owned(), start, end)
}
