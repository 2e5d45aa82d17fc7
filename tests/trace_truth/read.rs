//! Reads an exported trace into tracks of slices, and complains of what is no trace at all.
//!
//! The file may be the saved form (an object) or the streamed one (an array). Times become whole nanoseconds.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The processes of one runtime, less the file's 10 for each runtime before.
pub(crate) const STATS: u64 = 1;
pub(crate) const PROCESSORS: u64 = 2;
pub(crate) const MACHINES: u64 = 3;
pub(crate) const TASKS: u64 = 4;

/// The first track of each kind.
pub(crate) const FIRST_P: u64 = 100;
pub(crate) const FIRST_CALLER: u64 = 900;
pub(crate) const OTHERS: u64 = 999;
pub(crate) const FIRST_M: u64 = 1000;
pub(crate) const FIRST_G: u64 = 10_000;

/// What is wrong, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Complaint {
    pub(crate) rule: &'static str,
    pub(crate) text: String,
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Complaints(pub(crate) Vec<Complaint>);

impl Complaints {
    pub(crate) fn add(&mut self, rule: &'static str, text: String) {
        self.0.push(Complaint { rule, text });
    }

    /// Complains unless it holds.
    pub(crate) fn demand(&mut self, holds: bool, rule: &'static str, text: impl FnOnce() -> String) {
        if !holds {
            self.add(rule, text());
        }
    }
}

/// Process and thread.
pub(crate) type Track = (u64, u64);

/// From `from` on, and before `to`, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice<'v> {
    pub(crate) track: Track,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) cat: &'v str,
    pub(crate) name: &'v str,
    pub(crate) event: &'v Value,
    /// Its place in the file.
    pub(crate) at: usize,
}

impl Slice<'_> {
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    pub(crate) fn contains(&self, other: &Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    /// For a complaint.
    pub(crate) fn show(&self) -> String {
        let (pid, tid) = self.track;
        format!("{:?} on {pid}/{tid} from {} to {}", self.name, self.from, self.to)
    }
}

/// At `ts`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point<'v> {
    pub(crate) track: Track,
    pub(crate) ts: i64,
    pub(crate) cat: &'v str,
    pub(crate) name: &'v str,
    pub(crate) event: &'v Value,
}

/// One runtime's part of a trace.
#[derive(Debug, Default)]
pub(crate) struct World<'v> {
    /// In the order in which they begin; of two that begin at once the longer is first.
    pub(crate) tracks: BTreeMap<Track, Vec<Slice<'v>>>,
    pub(crate) instants: Vec<Point<'v>>,
    pub(crate) counters: Vec<Point<'v>>,
    /// Starts and ends of arrows, by id.
    pub(crate) starts: BTreeMap<String, Vec<Point<'v>>>,
    pub(crate) ends: BTreeMap<String, Vec<Point<'v>>>,
}

impl<'v> World<'v> {
    /// The slices of the process `pid`.
    pub(crate) fn of(&self, pid: u64) -> impl Iterator<Item = &Slice<'v>> {
        self.tracks.range((pid, 0)..(pid + 1, 0)).flat_map(|(_, slices)| slices)
    }

    /// The tracks of the process `pid`.
    pub(crate) fn tracks_of(&self, pid: u64) -> impl Iterator<Item = (u64, &[Slice<'v>])> {
        self.tracks.range((pid, 0)..(pid + 1, 0)).map(|(&(_, tid), slices)| (tid, slices.as_slice()))
    }

    /// The innermost slice of `track` at `ts`.
    pub(crate) fn at(&self, track: Track, ts: i64) -> Option<&Slice<'v>> {
        let slices = self.tracks.get(&track)?;
        let begun = slices.partition_point(|slice| slice.from <= ts);
        slices[..begun].iter().rev().find(|slice| ts < slice.to)
    }

    /// When its last slice ends.
    pub(crate) fn end(&self) -> i64 {
        self.tracks.values().flatten().map(|slice| slice.to).max().unwrap_or(0)
    }
}

/// A value of an event's `args`.
pub(crate) fn arg<'v>(event: &'v Value, key: &str) -> &'v Value {
    &event["args"][key]
}

/// A number, or the number in a name such as `P3`.
pub(crate) fn number(event: &Value, key: &str) -> Option<i64> {
    match arg(event, key) {
        Value::String(text) => text.get(1..)?.parse().ok(),
        value => value.as_i64(),
    }
}

/// A text among the `args`; empty if it is not there.
pub(crate) fn text<'v>(event: &'v Value, key: &str) -> &'v str {
    arg(event, key).as_str().unwrap_or("")
}

/// Microseconds with three decimals as nanoseconds.
pub(crate) fn nanos(value: &Value) -> Option<i64> {
    let exact = value.as_f64()? * 1000.0;
    let whole = exact.round();
    ((exact - whole).abs() < 0.05).then_some(whole as i64)
}

/// All events, in the order of the file.
pub(crate) fn events(root: &Value) -> &[Value] {
    let list = if root.is_array() { root } else { &root["traceEvents"] };
    list.as_array().map_or(&[], Vec::as_slice)
}

/// The runtimes in the file, by their first pid less one.
pub(crate) fn read<'v>(root: &'v Value, out: &mut Complaints) -> BTreeMap<u64, World<'v>> {
    let mut worlds = BTreeMap::<u64, World<'v>>::new();
    let mut named = BTreeSet::new();
    let mut used = BTreeSet::new();
    for (at, event) in events(root).iter().enumerate() {
        let Some(pid) = event["pid"].as_u64().filter(|pid| (1..=4).contains(&(pid % 10))) else {
            out.add("shape", format!("no pid of ours: {event}"));
            continue;
        };
        let (base, pid) = (pid / 10 * 10, pid % 10);
        let ph = event["ph"].as_str().unwrap_or("");
        let tid = event["tid"].as_u64();
        let (Some(name), Some(cat)) = (event["name"].as_str(), event["cat"].as_str()) else {
            out.add("shape", format!("no name, or no cat: {event}"));
            continue;
        };
        out.demand(tid.is_none_or(|tid| (1..1 << 32).contains(&tid)), "shape", || {
            format!("a tid that viewers refuse: {event}")
        });
        if ph == "M" {
            if name.starts_with("process_") {
                named.insert((base, pid, None, name));
            } else {
                named.insert((base, pid, tid, name));
            }
            continue;
        }
        let Some(ts) = nanos(&event["ts"]) else {
            out.add("time", format!("no time in whole nanoseconds: {event}"));
            continue;
        };
        out.demand(ts >= 0, "time", || format!("before the trace's start: {event}"));
        let world = worlds.entry(base).or_default();
        used.insert((base, pid, None));
        if ph == "C" {
            world.counters.push(Point { track: (pid, 0), ts, cat, name, event });
            continue;
        }
        let Some(tid) = tid else {
            out.add("shape", format!("no tid: {event}"));
            continue;
        };
        used.insert((base, pid, Some(tid)));
        let track = (pid, tid);
        let point = Point { track, ts, cat, name, event };
        match ph {
            "X" => match nanos(&event["dur"]) {
                Some(dur) if dur >= 1 => {
                    let slice = Slice { track, from: ts, to: ts + dur, cat, name, event, at };
                    world.tracks.entry(track).or_default().push(slice);
                }
                _ => out.add("time", format!("a slice shorter than a nanosecond: {event}")),
            },
            "i" => {
                out.demand(event["s"] == "t", "shape", || format!("an instant of no thread: {event}"));
                world.instants.push(point);
            }
            "s" | "f" => {
                let id = match &event["id"] {
                    Value::String(id) => id.clone(),
                    id => id.to_string(),
                };
                out.demand(!event["id"].is_null(), "shape", || format!("an arrow without an id: {event}"));
                if ph == "s" {
                    world.starts.entry(id).or_default().push(point);
                } else {
                    out.demand(event["bp"] == "e", "shape", || format!("no `bp: e`: {event}"));
                    world.ends.entry(id).or_default().push(point);
                }
            }
            _ => out.add("shape", format!("a phase that is not ours: {event}")),
        }
    }
    let counted = |pid| pid == STATS; // the stats have counters without a track as well
    for (base, pid, tid) in used {
        let wanted: &[&str] = match tid {
            None => &["process_name", "process_sort_index"],
            Some(_) if counted(pid) => &["thread_name"],
            Some(_) => &["thread_name", "thread_sort_index"],
        };
        for name in wanted {
            out.demand(named.contains(&(base, pid, tid, *name)), "shape", || {
                format!("process {}, track {tid:?} has no {name}", base + pid)
            });
        }
    }
    for world in worlds.values_mut() {
        for slices in world.tracks.values_mut() {
            in_order(slices, out);
            slices.sort_by_key(|slice| (slice.from, -slice.to, slice.at));
        }
    }
    out.demand(!worlds.is_empty(), "shape", || "there is no event at all".into());
    worlds
}

/// A track is written in its own order: by beginning or by end, but no slice after one that it is wholly before. Only runs
/// wait until it is known how they ended.
fn in_order(slices: &[Slice<'_>], out: &mut Complaints) {
    let mut known = slices.iter().filter(|slice| slice.cat != "run");
    let Some(mut before) = known.next() else { return };
    for slice in known {
        out.demand(before.from < slice.to, "order", || {
            format!("{} is written after {}", slice.show(), before.show())
        });
        before = slice;
    }
}
