//! Chrome's JSON: how an event is written, and a whole file.
//!
//! Go counterpart: `internal/trace/traceviewer/emitter.go`, `format/format.go`.
//!
//! ```text
//!   pid base+1  Scheduler stats     counters, and what the trace says of itself
//!       base+2  P: processors       tid 100+p
//!       base+3  M: threads          tid 1000+m, 900+n (callers of block_on), 999 (threads that are no Ms)
//!       base+4  G: tasks            tid 10000+g
//! ```
//!
//! C1. An event is one line, and is handed over whole: a file that is cut between two events still loads.
//! C2. Times are integer nanoseconds until they are printed, as microseconds with three decimals.
//! C3. A flow's two ends are written together, after the slice that its end binds to; ids are unique in the file.
//!
//! Length: the shapes of all events, which are declarations, and the few lines that write each.
//!
//! Absent: what the events mean, and that slices do not overlap (`timeline`); files and their compression (`sink.rs`).

use super::recording::{Batch, Closing, Opening};
use super::timeline::{Exporter, SiteOf, Summary};
use serde::{Serialize, Serializer};
use serde_json_core::ser::{Error, to_slice};
use std::fmt::Write as _;
use std::io;

/// Where events go.
pub(crate) trait EventSink {
    /// One whole event, without separators.
    fn event(&mut self, json: &[u8]);
}

/// The process of the counters.
pub(super) const STATS: u32 = 1;
/// The process of the Ps.
pub(super) const PS: u32 = 2;
/// The process of the Ms.
pub(super) const MS: u32 = 3;
/// The process of the tasks.
pub(super) const GS: u32 = 4;

/// The track of what the trace says of itself.
pub(super) const TID_ABOUT: u64 = 1;
pub(super) const TID_P: u64 = 100;
pub(super) const TID_CALLER: u64 = 900;
pub(super) const TID_FOREIGN: u64 = 999;
pub(super) const TID_M: u64 = 1000;
pub(super) const TID_G: u64 = 10_000;

/// Nanoseconds that are printed as microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Us(pub(super) u64);

impl Serialize for Us {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Exact to 2^53 ns, 104 days: the shortest decimal that is this double has no more than three decimals.
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

/// Serializes `value` into `json`, which grows until it fits. Nothing if it does not serialize; each of our types does.
fn to_json<'a>(value: &impl Serialize, json: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        json.resize(json.len().max(SPACE), 0);
        match to_slice(value, json) {
            Ok(n) => return Some(&json[..n]),
            Err(Error::BufferFull) => json.resize(json.len() * 2, 0),
            Err(_) => return None,
        }
    }
}

/// Bytes that most events fit in.
const SPACE: usize = 1024;

/// Who made a task runnable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Task(u64),
    Caller,
    Timer,
    Foreign,
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Task(g) => serializer.collect_str(&format_args!("G{g}")),
            Self::Caller => serializer.serialize_str("block_on"),
            Self::Timer => serializer.serialize_str("timer"),
            Self::Foreign => serializer.serialize_str("foreign"),
        }
    }
}

/// A letter and a number: "P3".
#[derive(Debug, Clone, Copy)]
pub(super) struct Id(pub(super) char, pub(super) u64);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}{}", self.0, self.1))
    }
}

/// Chrome's colour for what is not a task: it chooses one by the name otherwise, and idleness would be the brightest thing
/// there is. Perfetto chooses by the name in any case.
fn colour(name: &str) -> Option<&'static str> {
    match name {
        "idle" | "parked" | "polling" => Some("grey"),
        "spin" | "steal" => Some("thread_state_unknown"),
        "hand-off" | "in line" => Some("bad"),
        "blocked (declared)" => Some("yellow"),
        "blocked (retaken)" | "computing (retaken)" => Some("terrible"),
        _ => None,
    }
}

/// An event without arguments has empty ones.
#[derive(Serialize)]
pub(super) struct Nothing {}

#[derive(Serialize)]
struct Slice<'a, A> {
    ph: &'static str,
    cat: &'static str,
    name: &'a str,
    pid: u32,
    tid: u64,
    ts: Us,
    dur: Us,
    #[serde(skip_serializing_if = "Option::is_none")]
    cname: Option<&'static str>,
    args: A,
}

#[derive(Serialize)]
struct Instant<'a, A> {
    ph: &'static str,
    s: &'static str,
    cat: &'static str,
    name: &'a str,
    pid: u32,
    tid: u64,
    ts: Us,
    args: A,
}

#[derive(Serialize)]
struct Flow {
    ph: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'static str>,
    cat: &'static str,
    name: &'static str,
    id: u64,
    pid: u32,
    tid: u64,
    ts: Us,
}

#[derive(Serialize)]
struct Meta<'a, A> {
    ph: &'static str,
    cat: &'static str,
    name: &'a str,
    pid: u32,
    tid: u64,
    ts: u32,
    args: A,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct SortIndex {
    sort_index: u64,
}

#[derive(Serialize)]
struct Counter<'a, A> {
    ph: &'static str,
    cat: &'static str,
    name: &'a str,
    pid: u32,
    tid: u64,
    ts: Us,
    args: A,
}

/// Writes events of one runtime.
pub(super) struct Writer<'a> {
    pub(super) sink: &'a mut dyn EventSink,
    pub(super) scratch: &'a mut Scratch,
}

/// What a writer keeps between two of its lives.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) base: u32,
    flows: u64,
    json: Vec<u8>,
    name: String,
}

impl Scratch {
    pub(super) fn new(base: u32) -> Self {
        Self { base, ..Self::default() }
    }
}

impl Writer<'_> {
    fn put(&mut self, event: &impl Serialize) {
        if let Some(json) = to_json(event, &mut self.scratch.json) {
            self.sink.event(json);
        }
    }

    fn pid(&self, process: u32) -> u32 {
        self.scratch.base + process
    }

    pub(super) fn slice(
        &mut self,
        at: Place,
        cat: &'static str,
        name: &str,
        span: (u64, u64),
        args: impl Serialize,
    ) {
        self.coloured(at, cat, name, span, colour(name), args);
    }

    pub(super) fn coloured(
        &mut self,
        at: Place,
        cat: &'static str,
        name: &str,
        (start, end): (u64, u64),
        cname: Option<&'static str>,
        args: impl Serialize,
    ) {
        let (pid, ts, dur) = (self.pid(at.process), Us(start), Us(end.saturating_sub(start).max(1)));
        self.put(&Slice { ph: "X", cat, name, pid, tid: at.tid, ts, dur, cname, args });
    }

    /// A slice that is called after its task: the kind comes first, for colours are chosen by the name without its digits.
    pub(super) fn run(&mut self, at: Place, kind: &str, g: u64, span: (u64, u64), args: impl Serialize) {
        let mut name = std::mem::take(&mut self.scratch.name);
        name.clear();
        if g == 0 {
            name.push_str("block_on");
        } else {
            let _ = write!(name, "{kind} G{g}");
        }
        self.slice(at, "run", &name, span, args);
        self.scratch.name = name;
    }

    pub(super) fn instant(
        &mut self,
        at: Place,
        cat: &'static str,
        name: &str,
        ts: u64,
        args: impl Serialize,
    ) {
        let pid = self.pid(at.process);
        self.put(&Instant { ph: "i", s: "t", cat, name, pid, tid: at.tid, ts: Us(ts), args });
    }

    /// An arrow; whoever calls has seen to it that both ends lie in slices (C3).
    pub(super) fn flow(
        &mut self,
        what: &'static str,
        name: &'static str,
        from: (Place, u64),
        to: (Place, u64),
    ) {
        self.scratch.flows += 1;
        // Below 2^53, so that each reader has it as it is.
        let id = u64::from(self.scratch.base / 10) << 40 | self.scratch.flows;
        let (start, end) = (self.pid(from.0.process), self.pid(to.0.process));
        let at = |ph, bp, pid, (place, ts): (Place, u64)| Flow {
            ph,
            bp,
            cat: what,
            name,
            id,
            pid,
            tid: place.tid,
            ts: Us(ts),
        };
        self.put(&at("s", None, start, from));
        self.put(&at("f", Some("e"), end, to));
    }

    pub(super) fn counter(&mut self, name: &str, ts: u64, args: impl Serialize) {
        let pid = self.pid(STATS);
        self.put(&Counter { ph: "C", cat: "stats", name, pid, tid: TID_ABOUT, ts: Us(ts), args });
    }

    pub(super) fn process(&mut self, process: u32, name: &str) {
        let pid = self.pid(process);
        let nth = self.scratch.base / 10 + 1;
        let name = if nth == 1 { name.to_owned() } else { format!("{name} (runtime {nth})") };
        let name = Name { name: &name };
        self.put(&Meta {
            ph: "M",
            cat: "__metadata",
            name: "process_name",
            pid,
            tid: TID_ABOUT,
            ts: 0,
            args: name,
        });
        let args = SortIndex { sort_index: u64::from(pid) };
        self.put(&Meta {
            ph: "M",
            cat: "__metadata",
            name: "process_sort_index",
            pid,
            tid: TID_ABOUT,
            ts: 0,
            args,
        });
    }

    pub(super) fn thread(&mut self, at: Place, name: &str) {
        let (pid, tid) = (self.pid(at.process), at.tid);
        self.put(&Meta {
            ph: "M",
            cat: "__metadata",
            name: "thread_name",
            pid,
            tid,
            ts: 0,
            args: Name { name },
        });
        let args = SortIndex { sort_index: tid };
        self.put(&Meta { ph: "M", cat: "__metadata", name: "thread_sort_index", pid, tid, ts: 0, args });
    }
}

/// A track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) process: u32,
    pub(super) tid: u64,
}

impl Place {
    pub(super) fn p(p: u16) -> Self {
        Self { process: PS, tid: TID_P + u64::from(p) }
    }

    pub(super) fn m(tid: u64) -> Self {
        Self { process: MS, tid }
    }

    pub(super) fn g(g: u64) -> Self {
        Self { process: GS, tid: TID_G + g }
    }
}

/// One runtime's recording, whole.
pub(crate) struct Recorded {
    pub(crate) opening: Opening,
    pub(crate) batches: Vec<Batch>,
    pub(crate) closing: Closing,
    /// How many tasks get a track.
    pub(crate) task_tracks: usize,
}

/// Joins events by commas and new lines, and keeps the first error.
struct Joined<'a, W> {
    out: &'a mut W,
    any: bool,
    result: io::Result<()>,
}

impl<W: io::Write> EventSink for Joined<'_, W> {
    fn event(&mut self, json: &[u8]) {
        if self.result.is_ok() {
            let comma: &[u8] = if self.any { b",\n" } else { b"\n" };
            self.result = self.out.write_all(comma).and_then(|()| self.out.write_all(json));
            self.any = true;
        }
    }
}

/// What a file says of itself beside its events.
#[derive(Serialize)]
struct OtherData<'a> {
    generator: &'static str,
    version: &'static str,
    runtimes: &'a [Summary],
}

/// Writes a whole file. What it says of itself comes after the events: it is known only then.
pub(crate) fn write_file(
    out: &mut impl io::Write,
    runtimes: Vec<Recorded>,
    site_of: SiteOf,
) -> io::Result<Vec<Summary>> {
    out.write_all(br#"{"displayTimeUnit":"ns","traceEvents":["#)?;
    let mut joined = Joined { out, any: false, result: Ok(()) };
    let mut summaries = Vec::with_capacity(runtimes.len());
    for (base, runtime) in (0..).step_by(10).zip(runtimes) {
        let mut exporter = Exporter::new(runtime.opening, base, runtime.task_tracks, site_of);
        exporter.foresee(&runtime.batches);
        for batch in runtime.batches {
            exporter.feed(batch, &mut joined);
        }
        summaries.push(exporter.finish(runtime.closing, &mut joined));
    }
    joined.result?;
    out.write_all(b"\n],\"otherData\":")?;
    let about = OtherData { generator: "gmprt", version: env!("CARGO_PKG_VERSION"), runtimes: &summaries };
    let mut json = Vec::new();
    out.write_all(to_json(&about, &mut json).unwrap_or(b"{}"))?;
    out.write_all(b"}\n")?;
    Ok(summaries)
}
