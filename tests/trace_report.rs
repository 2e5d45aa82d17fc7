//! The report on a trace: every figure of small traces made by hand, and what is said of files that are none.

use flate2::Compression;
use flate2::write::GzEncoder;
use gmprt::trace::{Ending, Latency, ProcessorReport, Report, ReportError, ReportOptions, RuntimeReport};
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// In ns.
type Ns = u64;

/// The events of a trace, each a line.
#[derive(Default)]
struct Trace(Vec<String>);

/// As it stands in a file.
fn micros(ns: Ns) -> String {
    format!("{}.{:03}", ns / 1000, ns % 1000)
}

impl Trace {
    /// With the names of its processes.
    fn of_runtime(index: u64) -> Trace {
        let mut trace = Trace::default();
        for (i, name) in (1..).zip(["Scheduler stats", "P: processors", "M: threads", "G: tasks"]) {
            trace.track(10 * index + i, 0, "process_name", name);
        }
        trace
    }

    fn track(&mut self, pid: u64, tid: u64, what: &str, name: &str) {
        let args = format!(r#"{{"name":"{name}"}}"#);
        self.0.push(format!(
            r#"{{"ph":"M","cat":"__metadata","name":"{what}","pid":{pid},"tid":{tid},"ts":0,"args":{args}}}"#
        ));
    }

    /// A slice from `from` to `to`; `args` without braces.
    fn slice(&mut self, (pid, tid): (u64, u64), cat: &str, name: &str, (from, to): (Ns, Ns), args: &str) {
        let (ts, dur) = (micros(from), micros(to - from));
        self.0.push(format!(
            r#"{{"ph":"X","cat":"{cat}","name":"{name}","pid":{pid},"tid":{tid},"ts":{ts},"dur":{dur},"args":{{{args}}}}}"#
        ));
    }

    fn instant(&mut self, (pid, tid): (u64, u64), cat: &str, name: &str, at: Ns, args: &str) {
        let ts = micros(at);
        self.0.push(format!(
            r#"{{"ph":"i","s":"t","cat":"{cat}","name":"{name}","pid":{pid},"tid":{tid},"ts":{ts},"args":{{{args}}}}}"#
        ));
    }

    fn array(&self) -> String {
        format!("[\n{}\n]\n", self.0.join(",\n"))
    }

    fn object(&self) -> String {
        let events = self.0.join(",\n");
        format!(
            "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"v\":[1]}},\"traceEvents\":[\n{events}\n],\"z\":0}}"
        )
    }
}

const P0: (u64, u64) = (2, 100);
const P1: (u64, u64) = (2, 101);

/// Of 100 µs, on three Ps.
fn example() -> Trace {
    let mut t = Trace::of_runtime(0);
    for p in 0..3 {
        t.track(2, 100 + p, "thread_name", &format!("P{p}"));
    }
    t.track(3, 1000, "thread_name", "M0");
    t.track(3, 1001, "thread_name", "M1");
    t.track(3, 999, "thread_name", "other threads");
    t.track(4, 10_001, "thread_name", "G1 producer");
    t.track(4, 10_003, "thread_name", "G3 late one");
    t.0.push(
        r#"{"ph":"C","cat":"stats","name":"Tasks","pid":1,"tid":0,"ts":0.000,"args":{"running":1}}"#.into(),
    );

    t.slice(P0, "sched", "idle", (0, 1_000), "");
    t.slice(
        P0,
        "run",
        "producer G1",
        (1_000, 5_000),
        r#""g":1,"m":0,"wait_us":0.500,"end":"block","on":"chan send","seq":1,"woke":"spawn","by":"block_on","site":"src/a.rs:7""#,
    );
    t.slice(P0, "steal", "steal", (6_000, 7_000), r#""victim":"P1","n":3,"tries":1"#); // in the one that follows
    t.slice(P0, "sched", "spin", (5_000, 8_000), "");
    t.slice(
        P0,
        "run",
        "b.rs:9 G2",
        (8_000, 20_000),
        r#""g":2,"m":0,"wait_us":4,"end":"yield","seq":2,"woke":"wake","by":"G1","colour":"red""#,
    );
    t.slice(
        P0,
        "run",
        "b.rs:9 G2",
        (20_000, 21_500),
        r#""g":2,"m":0,"wait_us":0.250,"end":"exit","exit":"finished","seq":4,"woke":"yield""#,
    );
    t.slice(P0, "sched", "timers", (21_500, 22_000), r#""fired":2"#);
    t.slice(P0, "nap", "nap", (25_000, 26_000), ""); // not known
    t.slice(P0, "sched", "hand-off", (30_000, 31_000), r#""from":"M0","why":"declared""#);

    t.slice(P1, "run", "block_on", (0, 10_000), r#""g":0,"wait_us":0.000,"end":"block","woke":"start""#);
    t.slice(P1, "steal", "steal", (10_000, 10_200), r#""victim":"P0","n":1,"tries":0"#);
    t.slice(
        P1,
        "run",
        "producer G1",
        (10_200, 60_000),
        r#""g":1,"m":1,"wait_us":9.000,"end":"retake","seq":3,"woke":"wake","by":"timer""#,
    );
    t.slice(P1, "sched", "hand-off", (60_000, 60_500), r#""from":"M1","why":"blocked""#);
    t.slice(P1, "steal", "steal", (61_000, 61_300), r#""victim":"P0","n":2,"tries":0"#);
    t.slice(P1, "sched", "idle", (62_000, 100_000), "");

    t.instant(P0, "preempt", "preempt", 19_000, r#""m":0"#);
    t.instant(P1, "retake", "retake", 60_000, r#""m":1,"why":"blocked""#);
    t.instant(P0, "sched", "overflow", 2_000, r#""n":128"#);
    t.instant(P0, "sched", "injector", 3_000, r#""n":7"#);
    t.instant(P1, "sched", "injector", 4_000, r#""n":5"#);
    t.instant(P1, "sched", "plunder", 4_500, r#""n":4"#);
    t.instant(P1, "steal", "stolen", 6_999, r#""thief":"P0","n":3"#);
    t.instant((3, 999), "foreign", "wake G7", 9_000, r#""g":7"#);
    t.0.push(r#"{"ph":"s","cat":"wake","name":"wake","id":1,"pid":2,"tid":100,"ts":4.000,"args":{}}"#.into());
    t.0.push(r#"{"ph":"f","bp":"e","cat":"wake","name":"wake","id":1,"pid":2,"tid":100,"ts":8.000}"#.into());

    t.slice((3, 1000), "m", "P0", (0, 30_000), r#""turn":1"#);
    t.slice((3, 1000), "m", "blocked (declared)", (9_000, 19_000), "");
    t.slice((3, 1001), "m", "blocked (retaken)", (60_000, 90_000), r#""why":"blocked""#);
    t.slice((3, 1009), "m", "computing (retaken)", (70_000, 70_500), "");
    t.slice((3, 1000), "m", "parked", (31_000, 40_000), "");
    t.instant((3, 1000), "m", "start", 0, "");

    t.slice((4, 10_001), "g", "runnable", (500, 1_000), "");
    t.slice((4, 10_001), "g", "running", (1_000, 5_000), r#""p":0,"m":0"#);
    t.slice((4, 10_001), "g", "waiting: chan send", (5_000, 100_000), "");
    t.slice((4, 10_003), "g", "waiting", (0, 50_000), "");
    t.slice((4, 10_003), "g", "runnable", (50_000, 100_000), "");
    t.instant(
        (1, 1),
        "stats",
        "gmprt trace",
        100_000,
        r#""version":"0.1.0","clock":"tsc","records":61,"dropped":5,"clamped":2,"reordered":1,"tasks":9,"task_tracks":2,"tasks_left_out":7,"thread_tracks_left_out":0,"full":true"#,
    );
    t
}

fn read(text: impl AsRef<[u8]>) -> Result<Report, ReportError> {
    ReportOptions::new().starved_after(Duration::from_nanos(4_000)).read(text.as_ref())
}

fn gzip(text: &str) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), Compression::fast());
    to.write_all(text.as_bytes()).unwrap();
    to.finish().unwrap()
}

fn only(report: &Report) -> &RuntimeReport {
    assert_eq!(report.runtimes.len(), 1);
    &report.runtimes[0]
}

fn ns(time: Duration) -> Ns {
    time.as_nanos() as Ns
}

/// busy, idle, spin, steal, timers, hand-off, other
fn parts(p: &ProcessorReport) -> [Ns; 7] {
    p.parts().map(|(_, time)| ns(time))
}

fn percentiles(latency: &Latency) -> [Ns; 5] {
    [latency.count, ns(latency.p50), ns(latency.p90), ns(latency.p99), ns(latency.max)]
}

#[test]
fn the_trace_itself() {
    let trace = example();
    let report = read(trace.object()).unwrap();
    assert_eq!(report.ending, Ending::Whole);
    assert_eq!(report.events, trace.0.len() as u64);
    assert_eq!((report.unknown_events, report.unknown_args), (1, 1), "`nap`, and `colour`");
    assert_eq!(report.starved_after, Duration::from_micros(4));
    let runtime = only(&report);
    assert_eq!((runtime.index, ns(runtime.start), ns(runtime.span), runtime.threads), (0, 0, 100_000, 2));
    let about = runtime.about.as_ref().unwrap();
    assert_eq!((&*about.version, &*about.clock), ("0.1.0", "tsc"));
    assert_eq!([about.records, about.dropped, about.clamped, about.reordered], [61, 5, 2, 1]);
    let tracks = [about.tasks, about.task_tracks, about.tasks_left_out, about.thread_tracks_left_out];
    assert_eq!(tracks, [9, 2, 7, 0]);
    assert!(about.full);
}

#[test]
fn what_each_p_did() {
    let report = read(example().array()).unwrap();
    let [p0, p1, p2] = &only(&report).processors[..] else { panic!("three Ps") };
    assert_eq!([p0.p, p1.p, p2.p], [0, 1, 2]);
    assert_eq!([p0.polls, p1.polls, p2.polls], [3, 2, 0]);
    assert_eq!(parts(p0), [17_500, 1_000, 2_000, 1_000, 500, 1_000, 77_000], "the steal is in the spin");
    assert_eq!(parts(p1), [59_800, 38_000, 0, 500, 0, 500, 1_200]);
    assert_eq!(parts(p2), [0, 0, 0, 0, 0, 0, 100_000]);
}

#[test]
fn how_long_who_waited_for_a_p() {
    let report = read(example().array()).unwrap();
    let runtime = only(&report);
    assert_eq!(percentiles(&runtime.woken), [3, 4_000, 9_000, 9_000, 9_000]);
    assert_eq!(percentiles(&runtime.requeued), [1, 250, 250, 250, 250]);
    assert_eq!(runtime.from_start, 1);
    let worst: Vec<_> = runtime
        .woken
        .worst
        .iter()
        .map(|it| (ns(it.wait), ns(it.at), it.task.to_string(), it.p, &*it.woke, it.by.as_deref()))
        .collect();
    let want = [
        (9_000, 10_200, "producer G1".to_owned(), 1, "wake", Some("timer")),
        (4_000, 8_000, "b.rs:9 G2".to_owned(), 0, "wake", Some("producer G1")),
        (500, 1_000, "producer G1".to_owned(), 0, "spawn", Some("block_on")),
    ];
    assert_eq!(worst, want);
    assert_eq!((&*runtime.requeued.worst[0].woke, &runtime.requeued.worst[0].by), ("yield", &None));
}

#[test]
fn percentiles_are_waits_that_were_seen() {
    let mut trace = Trace::of_runtime(0);
    for n in (1..=200).rev() {
        let args = format!(r#""g":{n},"wait_us":{},"woke":"wake","by":"foreign""#, micros(n));
        trace.slice(P0, "run", &format!("k G{n}"), (n * 1_000, n * 1_000 + 1), &args);
    }
    let report = read(trace.array()).unwrap();
    let runtime = only(&report);
    assert_eq!(percentiles(&runtime.woken), [200, 100, 180, 198, 200]);
    assert_eq!(percentiles(&runtime.requeued), [0; 5]);
    let worst: Vec<_> = runtime.woken.worst.iter().map(|wait| ns(wait.wait)).collect();
    assert_eq!(worst, [200, 199, 198, 197, 196, 195, 194, 193, 192, 191]);
    let polls: Vec<_> = runtime.longest_polls.iter().map(|poll| poll.task.g).collect();
    assert_eq!(polls, (1..=10).collect::<Vec<_>>(), "all are alike: the earliest");
}

#[test]
fn the_longest_polls() {
    let report = read(example().array()).unwrap();
    let polls: Vec<_> = only(&report)
        .longest_polls
        .iter()
        .map(|it| {
            (ns(it.took), ns(it.at), it.task.to_string(), it.site.as_deref(), it.p, it.m, it.end.as_str())
        })
        .collect();
    let (g1, g2) = ("producer G1".to_owned(), "b.rs:9 G2".to_owned());
    let want = [
        (49_800, 10_200, g1.clone(), None, 1, Some(1), "retake"),
        (12_000, 8_000, g2.clone(), None, 0, Some(0), "yield"),
        (10_000, 0, "block_on".to_owned(), None, 1, None, "block"),
        (4_000, 1_000, g1, Some("src/a.rs:7"), 0, Some(0), "block: chan send"),
        (1_500, 20_000, g2, None, 0, Some(0), "exit: finished"),
    ];
    assert_eq!(polls, want);
}

#[test]
fn who_took_from_whom() {
    let report = read(example().array()).unwrap();
    let runtime = only(&report);
    let steals: Vec<_> = runtime.steals.iter().map(|it| (it.thief, it.victim, it.times, it.tasks)).collect();
    assert_eq!(steals, [(0, 1, 1, 3), (1, 0, 2, 3)]);
    assert_eq!([runtime.overflows, runtime.injector_takes, runtime.plunders], [(1, 128), (2, 12), (1, 4)]);
    assert_eq!((runtime.timers_fired, runtime.foreign), (2, 1));
}

#[test]
fn who_lost_its_p_and_who_blocked() {
    let report = read(example().array()).unwrap();
    let runtime = only(&report);
    let handoffs: Vec<_> =
        runtime.handoffs.iter().map(|(why, it)| (&**why, it.times, ns(it.total), ns(it.longest))).collect();
    assert_eq!(handoffs, [("blocked", 1, 500, 500), ("declared", 1, 1_000, 1_000)]);
    assert!(runtime.retakes.iter().eq([(&"blocked".to_owned(), &1)]));
    assert_eq!(runtime.preempts, 1);
    let blocks: Vec<_> = runtime.blocks.iter().map(|(what, it)| (&**what, it.times, ns(it.total))).collect();
    let want = [
        ("blocked (declared)", 1, 10_000),
        ("blocked (retaken)", 1, 30_000),
        ("computing (retaken)", 1, 500),
    ];
    assert_eq!(blocks, want);
    let longest: Vec<_> = runtime
        .longest_blocks
        .iter()
        .map(|it| (ns(it.took), ns(it.at), &*it.what, &*it.thread, it.task.as_ref().map(|task| task.g)))
        .collect();
    let want = [
        (30_000, 60_000, "blocked (retaken)", "M1", Some(1)),
        (10_000, 9_000, "blocked (declared)", "M0", Some(2)),
        (500, 70_000, "computing (retaken)", "M9", None),
    ];
    assert_eq!(longest, want);
}

#[test]
fn a_block_belongs_to_the_poll_that_its_thread_was_in() {
    let mut trace = Trace::of_runtime(0);
    let run = |end: &str| format!(r#""g":7,"m":1,"wait_us":0,"end":"{end}","woke":"wake""#);
    let blocked = "blocked (retaken)";
    trace.slice(P0, "run", "k G7", (1_000, 2_000), &run("retake"));
    trace.slice((3, 1001), "m", blocked, (2_100, 5_000), ""); // sysmon wrote it down a moment later
    trace.slice(P0, "run", "k G7", (6_000, 7_000), &run("block"));
    trace.slice((3, 1001), "m", blocked, (7_100, 9_000), ""); // not in that poll: it had ended
    trace.slice((3, 1002), "m", blocked, (1_500, 3_000), ""); // another thread
    trace.slice((3, 1003), "m", blocked, (500, 1_000), r#""g":7"#); // the trace says so itself
    let report = read(trace.array()).unwrap();
    let tasks: Vec<_> =
        only(&report).longest_blocks.iter().map(|it| it.task.as_ref().map(ToString::to_string)).collect();
    assert_eq!(tasks, [Some("k G7".to_owned()), None, None, Some("G7".to_owned())]);
}

#[test]
fn who_starved() {
    let report = read(example().array()).unwrap();
    let starved = |report: &Report| -> Vec<_> {
        let all = only(report).starved.iter();
        all.map(|it| (it.task.to_string(), ns(it.longest), ns(it.since), it.times, it.still)).collect()
    };
    let late = ("late one G3".to_owned(), 50_000, 50_000, 1, true);
    let producer = ("producer G1".to_owned(), 9_000, 1_200, 1, false);
    let other = ("b.rs:9 G2".to_owned(), 4_000, 4_000, 1, false);
    assert_eq!(starved(&report), [late, producer, other]);
    let report = Report::read(example().array().as_bytes()).unwrap();
    assert_eq!(starved(&report), [], "not one waited for 10 ms");
    assert_eq!(report.starved_after, Duration::from_millis(10));
}

#[test]
fn a_task_that_starved_twice_is_listed_once() {
    let mut trace = Trace::of_runtime(0);
    trace.track(4, 10_007, "thread_name", "G7 k");
    trace.slice(P0, "run", "k G7", (30_000, 31_000), r#""g":7,"wait_us":20.000,"woke":"wake""#);
    trace.slice(P0, "run", "k G7", (60_000, 61_000), r#""g":7,"wait_us":25.000,"woke":"self""#);
    trace.slice((4, 10_007), "g", "runnable", (70_000, 90_000), "");
    // Ran after this, but the file was cut before that was written.
    trace.slice((4, 10_008), "g", "runnable", (10_000, 89_000), "");
    let report = read(trace.array()).unwrap();
    let [starved] = &only(&report).starved[..] else { panic!("one") };
    assert_eq!((ns(starved.longest), ns(starved.since)), (25_000, 35_000));
    assert_eq!((starved.times, starved.still), (3, true));
}

#[test]
fn a_poll_that_goes_on_after_its_p_was_taken_is_one_poll() {
    let mut trace = Trace::of_runtime(0);
    let first = r#""g":7,"m":1,"wait_us":2.000,"end":"retake","woke":"wake""#;
    let rest = r#""g":7,"m":1,"wait_us":0.000,"end":"block","woke":"self","resumed":true"#;
    trace.slice(P0, "run", "k G7", (2_000, 5_000), first);
    trace.slice(P1, "run", "k G7", (8_000, 9_000), rest);
    let report = read(trace.array()).unwrap();
    let runtime = only(&report);
    assert_eq!((runtime.woken.count, runtime.requeued.count), (1, 0), "the rest has not waited");
    assert_eq!(
        runtime.processors.iter().map(|p| (p.polls, ns(p.busy))).collect::<Vec<_>>(),
        [(1, 3_000), (0, 1_000)]
    );
    let [kind] = &runtime.kinds[..] else { panic!("one") };
    assert_eq!((kind.runs, ns(kind.running), ns(kind.longest)), (1, 4_000, 3_000));
    assert_eq!(report.unknown_args, 0);
}

#[test]
fn the_kinds_of_tasks() {
    let report = read(example().array()).unwrap();
    let kinds: Vec<_> = only(&report)
        .kinds
        .iter()
        .map(|it| {
            (&*it.kind, it.runs, it.exits, ns(it.running), ns(it.mean()), ns(it.longest), ns(it.waiting))
        })
        .collect();
    let want = [
        ("producer", 2, 0, 53_800, 26_900, 49_800, 9_500),
        ("b.rs:9", 2, 1, 13_500, 6_750, 12_000, 4_250),
        ("block_on", 1, 0, 10_000, 10_000, 10_000, 0),
    ];
    assert_eq!(kinds, want);
}

#[test]
fn neither_the_form_nor_the_order_of_the_file_matters() {
    let trace = example();
    let figures = |text: &[u8]| format!("{:?}", read(text).unwrap().runtimes);
    let want = figures(trace.object().as_bytes());
    assert_eq!(figures(trace.array().as_bytes()), want);
    assert_eq!(figures(&gzip(&trace.object())), want);

    let value: serde_json::Value = serde_json::from_str(&trace.object()).unwrap();
    assert_eq!(figures(serde_json::to_string_pretty(&value).unwrap().as_bytes()), want, "set anew");
    assert_eq!(figures(value.to_string().as_bytes()), want, "on one line");

    // As it is written while the program runs: a gzip member for each piece.
    let whole = trace.array();
    let (first, second) = whole.split_at(whole.len() / 2);
    assert_eq!(figures(&[gzip(first), gzip(second)].concat()), want);

    let mut backwards = trace;
    backwards.0.reverse();
    assert_eq!(figures(backwards.array().as_bytes()), want);
}

#[test]
fn a_cut_file_is_read_up_to_the_cut() {
    let trace = example();
    let events = trace.0.len() as u64;
    for (text, ending, read_events) in [
        (format!("[\n{}", trace.0.join(",\n")), Ending::BetweenEvents, events),
        (format!("[\n{},\n", trace.0.join(",\n")), Ending::BetweenEvents, events),
        (format!("[\n{},\n{{\"ph\":\"X", trace.0.join(",\n")), Ending::InsideEvent, events),
        (format!("{{\"traceEvents\":[\n{},\n", trace.0.join(",\n")), Ending::BetweenEvents, events),
        (format!("[\n{},\n", trace.0[..events as usize - 1].join(",\n")), Ending::BetweenEvents, events - 1),
    ] {
        for bytes in [gzip(&text), text.into_bytes()] {
            let report = read(bytes).unwrap();
            assert_eq!((report.ending, report.events), (ending, read_events));
            assert_eq!(only(&report).about.is_some(), read_events == events);
            assert_eq!(only(&report).processors[0].polls, 3);
        }
    }
    // Wherever it is cut, it is read or refused; once the first process has its name, it is read.
    let whole = trace.array();
    let named = whole.find("},\n").unwrap() + 1;
    for cut in 0..whole.len() {
        match read(&whole[..cut]) {
            Ok(report) => assert!(cut >= named && report.ending != Ending::Whole || cut + 1 >= whole.len()),
            Err(ReportError::Empty) => assert_eq!(cut, 0),
            Err(ReportError::NoTrace) => assert!(cut < named),
            Err(why) => panic!("cut at {cut}: {why}"),
        }
    }
}

#[test]
fn each_runtime_of_a_file_has_its_own_figures() {
    let mut trace = example();
    let mut other = Trace::of_runtime(3);
    other.slice((32, 100), "run", "x G1", (150_000, 150_250), r#""g":1,"wait_us":1.000,"woke":"spawn""#);
    other.instant((31, 1), "stats", "gmprt trace", 151_000, r#""records":2"#);
    trace.0.append(&mut other.0);
    let report = read(trace.object()).unwrap();
    let [first, second] = &report.runtimes[..] else { panic!("two") };
    assert_eq!((first.index, ns(first.span), first.woken.count), (0, 100_000, 3));
    assert_eq!((second.index, ns(second.start), ns(second.span), second.woken.count), (3, 150_000, 1_000, 1));
    assert_eq!(parts(&second.processors[0]), [250, 0, 0, 0, 0, 0, 750]);
    let text = report.to_string();
    for want in
        ["2 runtimes", "==== Runtime 1: processes 1 to 4 ====", "==== Runtime 4: processes 31 to 34 ===="]
    {
        assert!(text.contains(want), "no \"{want}\" in\n{text}");
    }
}

#[test]
fn processes_that_are_not_ours_are_passed_over() {
    let mut trace = example();
    let want = format!("{:?}", read(trace.array()).unwrap().runtimes);
    trace.track(42, 1, "process_name", "renderer");
    trace.slice((42, 100), "run", "x G1", (0, 900_000), r#""g":1"#);
    trace.0.push(r#"{"ph":"b","cat":"net","name":"x","pid":"seven","id":{},"ts":-1}"#.into());
    let report = read(trace.array()).unwrap();
    assert_eq!(format!("{:?}", report.runtimes), want);
    assert_eq!((report.events, report.unknown_events), (trace.0.len() as u64, 4), "`nap` and these");
}

#[test]
fn the_text_says_what_was_found_and_what_was_not() {
    let text = read(example().array()).unwrap().to_string();
    let lines: Vec<_> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for want in [
        "100 µs from 0.000000 s, 3 Ps, 2 threads",
        "61 records; 5 dropped, 2 clamped, 1 reordered",
        "the recording stopped by itself: its limit was reached",
        "busy 25.8 % of the Ps' time, 5 polls",
        "to a P half within 4.00 µs of spawn or wake, 99 % within 9.00 µs, all within 9.00 µs",
        "polls the longest took 49.8 µs: producer G1, at 0.000010 s",
        "starved 3 tasks (waited 4.00 µs or more)",
        "moved 3 steals, 2 hand-offs",
        "P0 3 17.5 % 1.0 % 2.0 % 1.0 % 0.5 % 1.0 % 77.0 %",
        "P1 2 59.8 % 38.0 % 0 0.5 % 0 0.5 % 1.2 %",
        "all 5 25.8 % 13.0 % 0.7 % 0.5 % 0.2 % 0.5 % 59.4 %",
        "by spawn or wake 3 4.00 µs 9.00 µs 9.00 µs 9.00 µs",
        "1 run not counted: runnable since before the trace",
        "4.00 µs 0.000008 s b.rs:9 G2 P0 wake by producer G1",
        "4.00 µs 0.000001 s producer G1 P0, M0 block: chan send src/a.rs:7",
        "Steals: 3 times, 6 tasks. In a cell: times/tasks",
        "thief from P0 from P1",
        "P1 2/3 -",
        "hand-off (declared) 1 1.00 µs 1.00 µs",
        "retake (blocked) 1",
        "30.0 µs 0.000060 s blocked (retaken) M1 producer G1",
        "500 ns 0.000070 s computing (retaken) M9 ?",
        "Starved tasks, that could run and waited for 4.00 µs or more: 3",
        "50.0 µs 0.000050 s late one G3 1 still waited at the end",
        "7 tasks without a track: those that never ran again are not seen here",
        "b.rs:9 2 1 13.5 µs 6.75 µs 12.0 µs 2.12 µs 4.25 µs",
        "not known to this version, and passed over: 1 of them, and 1 arguments",
    ] {
        assert!(lines.iter().any(|line| line == want), "no line \"{want}\" in\n{text}");
    }
    let mut bare = Trace::of_runtime(0).array();
    bare.truncate(bare.len() - 2);
    let text = read(bare).unwrap().to_string();
    for want in
        ["its end is missing", "there was no poll", "Steals: none", "blocked threads: none", "or more: none"]
    {
        assert!(text.contains(want), "no \"{want}\" in\n{text}");
    }
    assert!(text.contains("cut between events"), "{text}");
    // Of a runtime that came when the limit had been reached.
    let mut late = Trace::of_runtime(0);
    late.track(2, 100, "thread_name", "P0");
    late.instant((1, 1), "stats", "gmprt trace", 5_000, r#""records":0,"dropped":1"#);
    let text = read(late.array()).unwrap().to_string();
    assert!(text.contains("Nothing of this runtime was recorded") && !text.contains("Steals"), "{text}");
}

/// What other files are taken for; each sentence is one line.
#[test]
fn other_files_are_refused_and_told_apart() {
    let says = |bytes: &[u8]| {
        let text = read(bytes).unwrap_err().to_string();
        assert!(!text.contains('\n') && !text.ends_with('.'), "one clause: {text}");
        text
    };
    assert_eq!(says(b""), "the file is empty");
    assert_eq!(says(b" \n"), "the file is empty");
    for (text, at) in [("hello, world", 0), ("\u{1}\u{2}", 0), ("  <html>", 2), ("[{\"ph\":\"X\"},\n{]", 13)]
    {
        let said = says(text.as_bytes());
        assert!(
            said.starts_with("this is not JSON: ") && said.ends_with(&format!("(at byte {at})")),
            "{said}"
        );
    }
    let no_trace = "this is JSON but no trace: there is no trace event in it";
    for text in ["7", "\"text\"", "{\"a\":[1,2]}", "[]", "[1,{\"a\":2}]", "{\"traceEvents\":[]}", "[\n"] {
        assert_eq!(says(text.as_bytes()), no_trace, "{text}");
    }
    let mut foreign = Trace::default();
    foreign.track(1, 1, "process_name", "Browser");
    foreign.slice((2, 100), "run", "task G7", (0, 10), r#""g":7,"woke":"wake","wait_us":1"#);
    for text in [foreign.array(), foreign.object()] {
        assert_eq!(
            says(text.as_bytes()),
            "this is a Chrome trace (2 events), but not one of gmprt's: none of its processes is"
        );
    }
    // gzip: cut anywhere, damaged, and what is in it is none.
    let whole = gzip(&example().array());
    for cut in [3, 12, whole.len() / 2, whole.len() - 1] {
        let said = says(&whole[..cut]);
        assert!(said.starts_with("the compressed file is cut: its end is missing, after "), "{cut}: {said}");
    }
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 20].fill(0xff);
    let said = says(&damaged);
    assert!(said.starts_with("the compressed file is damaged: "), "{said}");
    assert_eq!(says(&gzip("[]")), no_trace);
    assert_eq!(says(&gzip("")), "the file is empty");
}

#[test]
fn a_file_that_cannot_be_read_has_the_reason_as_its_source() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is on fire"))
        }
    }
    let why = Report::read(Broken).unwrap_err();
    assert_eq!(why.to_string(), "the file cannot be read: the disk is on fire");
    assert_eq!(std::error::Error::source(&why).unwrap().to_string(), "the disk is on fire");
    assert!(matches!(Report::load("no/such/file"), Err(ReportError::Open(_))));
    assert!(matches!(Report::load(std::env::temp_dir()), Err(ReportError::Read(_))), "a directory");
}

/// A file that is removed in the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, bytes: &[u8]) -> Temporary {
        let path = std::env::temp_dir().join(format!("gmprt-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs the example, which cargo builds if it is not.
fn trace_report(path: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", "trace_report", "--"])
        .arg(path)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs")
}

#[test]
fn the_example_prints_the_report_and_fails_with_one_sentence() {
    let good = Temporary::new("good.json.gz", &gzip(&example().object()));
    let out = trace_report(&good.0, &["--starved", "4us"]);
    assert!(out.status.success(), "{out:?}");
    assert_eq!(String::from_utf8(out.stdout).unwrap(), read(example().object()).unwrap().to_string());

    let out = trace_report(&good.0, &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(json["events"], example().0.len());
    let runtime = &json["runtimes"][0];
    assert_eq!(runtime["processors"][1]["time"]["busy"], 59_800);
    assert_eq!(runtime["woken"]["worst"][1]["by"], "producer G1");
    assert_eq!(runtime["handoffs"]["declared"]["total"], 1_000);
    assert_eq!(runtime["starved"].as_array().map(Vec::len), Some(0), "at the default of 10 ms");

    let bad = Temporary::new("bad.json", b"not a trace");
    let missing = Path::new("no/such/trace.json");
    for (path, clause) in [(&*bad.0, "this is not JSON"), (missing, "the file cannot be opened")] {
        let out = trace_report(path, &[]);
        let said = String::from_utf8(out.stderr).unwrap();
        let said = &said[said.find("trace_report: ").unwrap_or(0)..]; // cargo may have warnings of its own before
        assert_eq!((out.status.code(), &*out.stdout), (Some(1), &b""[..]));
        let mut want = String::new();
        write!(want, "trace_report: {}: {clause}", path.display()).unwrap();
        assert!(said.starts_with(&want) && said.ends_with(".\n") && said.lines().count() == 1, "{said}");
    }
}
