//! Each rule sees the bad trace that is made for it, and a good one passes all.
//!
//! ```text
//!   P0    │ stolen  G1 ─────┐ G3 ───────────┤retake│ hand-off │ … G3 ─┤preempt G3 ──▶ open
//!   P1    block_on ┐  spin steal G2 ── G1 ─ G1 ┐  timers G2 ┐   idle
//!         spawns G1┘                   (yield) └ exit       └ exit
//! ```

use crate::canary;
use crate::check::{Loss, check};
use crate::read::events;
use serde_json::{Value, json};

fn us(ns: i64) -> Value {
    json!(ns as f64 / 1000.0)
}

fn x(pid: u64, tid: u64, cat: &str, name: &str, from: i64, to: i64, args: Value) -> Value {
    let (ts, dur) = (us(from), us(to - from));
    json!({"ph": "X", "pid": pid, "tid": tid, "cat": cat, "name": name, "ts": ts, "dur": dur, "args": args})
}

fn i(pid: u64, tid: u64, cat: &str, name: &str, ts: i64, args: Value) -> Value {
    json!({"ph": "i", "s": "t", "pid": pid, "tid": tid, "cat": cat, "name": name, "ts": us(ts), "args": args})
}

fn c(name: &str, ts: i64, args: Value) -> Value {
    json!({"ph": "C", "pid": 1, "cat": "stats", "name": name, "ts": us(ts), "args": args})
}

/// An arrow: both ends.
fn arrow(id: u64, cat: &str, from: (u64, u64, i64), to: (u64, u64, i64)) -> [Value; 2] {
    let name = if cat == "handoff" { "hand-off" } else { cat };
    let end = |ph: &str, (pid, tid, ts): (u64, u64, i64)| json!({"ph": ph, "pid": pid, "tid": tid, "cat": cat, "name": name, "id": id, "ts": us(ts)});
    let mut f = end("f", to);
    f["bp"] = json!("e");
    [end("s", from), f]
}

struct Said<'a> {
    g: u64,
    m: u64,
    p: u64,
    seq: u64,
    woke: &'a str,
    by: &'a str,
    end: &'a str,
}

fn run(from: i64, to: i64, wait: i64, said: Said<'_>, more: Value) -> Value {
    let Said { g, m, p, seq, woke, by, end } = said;
    let mut args = json!({"g": g, "m": m, "wait_us": us(wait), "end": end, "seq": seq, "woke": woke});
    if !by.is_empty() {
        args["by"] = json!(by);
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key.as_str()] = value.clone();
    }
    let name = if g == 0 { "block_on".to_owned() } else { format!("work.rs:{g} G{g}") };
    x(2, 100 + p, "run", &name, from, to, args)
}

/// A trace of two Ps, three Ms and three tasks in which everything happens once.
pub(crate) fn good() -> Value {
    let mut all = Vec::new();
    let mut named = |pid: u64, process: &str, tracks: &[u64]| {
        let meta = |name: &str, args: Value| json!({"ph": "M", "pid": pid, "cat": "__metadata", "name": name, "args": args});
        all.push(meta("process_name", json!({"name": process})));
        all.push(meta("process_sort_index", json!({"sort_index": pid})));
        for tid in tracks {
            for (name, args) in
                [("thread_name", json!({"name": "t"})), ("thread_sort_index", json!({"sort_index": tid}))]
            {
                let mut meta = meta(name, args);
                meta["tid"] = json!(tid);
                all.push(meta);
            }
        }
    };
    named(1, "Scheduler stats", &[1]);
    named(2, "P: processors", &[100, 101]);
    named(3, "M: threads", &[901, 999, 1001, 1002, 1003]);
    named(4, "G: tasks", &[10_001, 10_002, 10_003]);
    for (ts, running) in [(0, 0), (400, 1), (1300, 2)] {
        all.push(c("Tasks", ts, json!({"running": running, "runnable": 0, "waiting": 0})));
        all.push(c("Threads", ts, json!({"running": running, "blocked": 0, "spinning": 0, "parked": 1})));
        all.push(c("Run queues", ts, json!({"global": 0, "P0": 0, "P1": 1})));
    }
    let said = |g, m, p, seq, woke, by, end| Said { g, m, p, seq, woke, by, end };
    let none = || json!({});
    let exit = || json!({"exit": "finished"});
    all.extend([
        // P0
        run(400, 1400, 100, said(1, 1, 0, 1, "spawn", "block_on", "block"), json!({"on": "chan receive"})),
        i(2, 100, "steal", "stolen", 1200, json!({"thief": "P1", "n": 1})),
        run(1500, 6000, 800, said(3, 1, 0, 1, "spawn", "G1", "retake"), none()),
        i(2, 100, "retake", "retake", 6000, json!({"m": 1, "why": "blocked"})),
        x(2, 100, "sched", "hand-off", 6000, 6100, json!({"from": "M1", "why": "blocked"})),
        run(8000, 9000, 500, said(3, 3, 0, 4, "wake", "foreign", "preempt"), none()),
        i(2, 100, "preempt", "preempt", 8900, json!({"m": 3})),
        run(9100, 10_000, 100, said(3, 3, 0, 7, "preempt", "", "open"), none()),
        // P1
        x(2, 101, "sched", "idle", 0, 200, none()),
        run(200, 500, 0, said(0, 9, 1, 1, "wake", "", "block"), none()),
        x(2, 101, "sched", "idle", 500, 1000, none()),
        x(2, 101, "sched", "spin", 1000, 1100, none()),
        x(2, 101, "steal", "steal", 1100, 1200, json!({"victim": "P0", "n": 1, "tries": 0})),
        run(1300, 2300, 700, said(2, 2, 1, 1, "spawn", "G1", "block"), json!({"on": "sleep"})),
        run(2400, 3000, 900, said(1, 2, 1, 4, "wake", "G2", "yield"), none()),
        run(3100, 3500, 100, said(1, 2, 1, 6, "yield", "", "exit"), exit()),
        x(2, 101, "sched", "timers", 4000, 4200, json!({"fired": 1})),
        run(4300, 4800, 200, said(2, 2, 1, 4, "wake", "timer", "exit"), exit()),
        x(2, 101, "sched", "idle", 5000, 10_000, none()),
        // Ms
        x(3, 901, "m", "P1", 200, 500, json!({"turn": 1})),
        x(3, 1001, "m", "P0", 0, 6000, json!({"turn": 1})),
        x(3, 1001, "m", "blocked (declared)", 4000, 5000, none()),
        x(3, 1001, "m", "blocked (retaken)", 6000, 7000, json!({"why": "blocked"})),
        x(3, 1001, "m", "parked", 7000, 10_000, none()),
        x(3, 1002, "m", "parked", 0, 1000, none()),
        x(3, 1002, "m", "P1", 1000, 5000, json!({"turn": 2})),
        x(3, 1002, "m", "parked", 5000, 10_000, none()),
        i(3, 1003, "m", "start", 6050, none()),
        x(3, 1003, "m", "P0", 6100, 10_000, json!({"turn": 2})),
        i(3, 999, "foreign", "wake G3", 7500, json!({"g": 3})),
    ]);
    for (g, slices) in [
        (
            1,
            vec![
                ("runnable", 300, 400, none()),
                ("running", 400, 1400, json!({"p": 0, "m": 1})),
                ("waiting: chan receive", 1400, 1500, none()),
                ("runnable", 1500, 2400, none()),
                ("running", 2400, 3000, json!({"p": 1, "m": 2})),
                ("runnable", 3000, 3100, none()),
                ("running", 3100, 3500, json!({"p": 1, "m": 2})),
            ],
        ),
        (
            2,
            vec![
                ("runnable", 600, 1300, none()),
                ("running", 1300, 2300, json!({"p": 1, "m": 2})),
                ("waiting: sleep", 2300, 4100, none()),
                ("runnable", 4100, 4300, none()),
                ("running", 4300, 4800, json!({"p": 1, "m": 2})),
            ],
        ),
        (
            3,
            vec![
                ("runnable", 700, 1500, none()),
                ("running", 1500, 6000, json!({"p": 0, "m": 1})),
                ("running (without a P)", 6000, 7000, none()),
                ("waiting", 7000, 7500, none()),
                ("runnable", 7500, 8000, none()),
                ("running", 8000, 9000, json!({"p": 0, "m": 3})),
                ("runnable", 9000, 9100, none()),
                ("running", 9100, 10_000, json!({"p": 0, "m": 3})),
            ],
        ),
    ] {
        all.extend(
            slices.into_iter().map(|(name, from, to, args)| x(4, 10_000 + g, "g", name, from, to, args)),
        );
    }
    for (id, cat, from, to) in [
        (1, "spawn", (2, 101, 300), (2, 100, 400)),
        (2, "spawn", (2, 100, 600), (2, 101, 1300)),
        (3, "spawn", (2, 100, 700), (2, 100, 1500)),
        (4, "wake", (2, 101, 1500), (2, 101, 2400)),
        (5, "wake", (2, 101, 4100), (2, 101, 4300)),
        (6, "steal", (2, 101, 1199), (2, 101, 1300)),
        (7, "handoff", (3, 1001, 5999), (3, 1003, 6100)),
    ] {
        all.extend(arrow(id, cat, from, to));
    }
    let about = json!({"version": "0.1.0", "clock": "tsc", "records": 60, "dropped": 0, "clamped": 0, "reordered": 0,
        "tasks": 3, "task_tracks": 3, "tasks_left_out": 0, "thread_tracks_left_out": 0});
    all.push(i(1, 1, "stats", "gmprt trace", 10_000, about));
    json!({"displayTimeUnit": "ns", "otherData": {}, "traceEvents": all})
}

/// The good trace, spoilt, breaks exactly these rules.
#[track_caller]
fn sees(rules: &[&str], spoil: impl FnOnce(&mut Vec<Value>)) {
    let mut root = good();
    spoil(root["traceEvents"].as_array_mut().unwrap());
    let found = check(&root, Loss::None);
    let mut names: Vec<_> = found.iter().map(|complaint| complaint.rule).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, rules, "{found:#?}");
}

/// The one event on a track with this name that begins then.
#[track_caller]
fn find<'a>(all: &'a mut [Value], tid: u64, name: &str, ts: i64) -> &'a mut Value {
    &mut all[place(all, tid, name, ts)]
}

#[track_caller]
fn place(all: &[Value], tid: u64, name: &str, ts: i64) -> usize {
    let is = |event: &Value| event["tid"] == tid && event["name"] == name && event["ts"] == us(ts);
    let mut found = (0..all.len()).filter(|&at| is(&all[at]));
    let (Some(at), None) = (found.next(), found.next()) else { panic!("not one {name} at {ts} on {tid}") };
    at
}

/// Moves the end of a slice.
#[track_caller]
fn ends(all: &mut [Value], tid: u64, name: &str, from: i64, to: i64) {
    find(all, tid, name, from)["dur"] = us(to - from);
}

/// Moves a slice, or a point.
#[track_caller]
fn begins(all: &mut [Value], tid: u64, name: &str, ts: i64, at: i64) {
    find(all, tid, name, ts)["ts"] = us(at);
}

/// Sets an argument.
#[track_caller]
fn says(all: &mut [Value], tid: u64, name: &str, ts: i64, key: &str, value: impl Into<Value>) {
    find(all, tid, name, ts)["args"][key] = value.into();
}

const G1: &str = "work.rs:1 G1";
const G2: &str = "work.rs:2 G2";
const G3: &str = "work.rs:3 G3";

#[test]
fn a_good_trace_breaks_no_rule() {
    sees(&[], |_| {});
    let streamed = Value::Array(events(&good()).to_vec());
    assert_eq!(check(&streamed, Loss::None), []);
}

#[test]
fn an_empty_file_is_no_trace() {
    assert!(check(&json!([]), Loss::None).iter().all(|complaint| complaint.rule == "shape"));
    assert!(!check(&json!({"hello": 1}), Loss::None).is_empty());
}

#[test]
fn shape() {
    sees(&["shape"], |all| {
        find(all, 101, "spin", 1000).as_object_mut().unwrap().remove("cat");
    });
    sees(&["shape"], |all| find(all, 100, "preempt", 8900)["s"] = json!("g"));
    sees(&["shape"], |all| find(all, 999, "wake G3", 7500)["tid"] = json!(0));
    sees(&["shape"], |all| all.retain(|event| event["tid"] != 999 || event["name"] != "thread_name"));
    sees(&["shape"], |all| all.retain(|event| event["name"] != "process_sort_index"));
    sees(&["shape"], |all| {
        find(all, 101, "wake", 2400).as_object_mut().unwrap().remove("bp");
    });
    sees(&["shape"], |all| {
        all.push(json!({"ph": "b", "pid": 2, "tid": 100, "cat": "x", "name": "x", "ts": 1.0}))
    });
}

#[test]
fn times() {
    sees(&["time"], |all| find(all, 100, "preempt", 8900)["ts"] = json!(-0.001));
    sees(&["time"], |all| find(all, 101, "spin", 1000)["dur"] = json!(0.0));
    sees(&["time"], |all| find(all, 101, "spin", 1000)["dur"] = json!(0.0995));
}

#[test]
fn order_in_the_file() {
    sees(&["order"], |all| {
        let (one, two) = (place(all, 101, "idle", 0), place(all, 101, "idle", 500));
        all.swap(one, two);
    });
}

#[test]
fn slices_nest() {
    sees(&["nest"], |all| ends(all, 101, "spin", 1000, 1150));
    sees(&["nest"], |all| ends(all, 1001, "blocked (declared)", 4000, 6500));
}

#[test]
fn one_g_a_p() {
    // A caller's run within another.
    sees(&["one G a P"], |all| {
        let said = Said { g: 0, m: 9, p: 1, seq: 2, woke: "wake", by: "", end: "block" };
        let at = place(all, 101, "idle", 500);
        all.insert(at, run(300, 400, 0, said, json!({})));
    });
}

#[test]
fn a_p_that_runs_a_task_does_nothing_else() {
    sees(&["held", "run"], |all| {
        let at = place(all, 100, G3, 1500);
        all.insert(at, x(2, 100, "sched", "idle", 500, 600, json!({})));
    });
    sees(&["run"], |all| {
        let at = place(all, 100, G3, 1500);
        all.insert(at, x(2, 100, "sched", "timers", 500, 600, json!({})));
    });
}

#[test]
fn runs_are_named_and_end() {
    sees(&["run"], |all| find(all, 101, G1, 2400)["name"] = json!("work.rs:1 G7"));
    sees(&["run"], |all| says(all, 101, G1, 3100, "exit", Value::Null));
    sees(&["run"], |all| says(all, 101, G1, 2400, "on", "sleep"));
    sees(&["agree", "run", "woke"], |all| says(all, 101, G1, 2400, "end", "tired"));
}

#[test]
fn one_m_a_p() {
    sees(&["one M a P"], |all| {
        ends(all, 1002, "parked", 5000, 9000);
        let at = place(all, 1002, "parked", 5000) + 1;
        all.insert(at, x(3, 1002, "m", "P0", 9000, 10_000, json!({"turn": 3})));
    });
}

#[test]
fn one_p_an_m() {
    sees(&["one P an M"], |all| {
        let at = place(all, 1002, "parked", 5000);
        all.insert(at, x(3, 1002, "m", "P7", 4900, 5000, json!({"turn": 3})));
    });
}

#[test]
fn who_sleeps_holds_nothing() {
    sees(&["asleep"], |all| {
        let at = place(all, 1002, "parked", 5000);
        all.insert(at, x(3, 1002, "m", "in line", 4900, 5000, json!({})));
    });
}

#[test]
fn a_run_is_within_a_holding() {
    sees(&["held"], |all| {
        says(all, 101, G2, 1300, "m", 3);
        says(all, 10_002, "running", 1300, "m", 3);
    });
    sees(&["held"], |all| ends(all, 901, "P1", 200, 400));
    sees(&["held"], |all| {
        let at = place(all, 101, "idle", 500);
        all[at]["ts"] = us(800);
        all[at]["dur"] = us(200);
        all.insert(at, x(2, 101, "sched", "timers", 600, 700, json!({"fired": 0})));
    });
    sees(&["held"], |all| ends(all, 100, "hand-off", 6000, 6200));
    sees(&["held"], |all| begins(all, 101, "idle", 5000, 4900));
}

#[test]
fn one_p_a_task() {
    sees(&["agree", "one P a G", "seq", "woke"], |all| {
        let said = Said { g: 2, m: 1, p: 0, seq: 1, woke: "spawn", by: "", end: "block" };
        let at = place(all, 100, G3, 1500);
        all.insert(at, run(1410, 1490, 0, said, json!({})));
    });
}

#[test]
fn each_run_was_made_runnable() {
    sees(&["woke"], |all| says(all, 101, G1, 3100, "woke", "wake"));
    sees(&["woke"], |all| says(all, 101, G1, 3100, "woke", "start"));
    sees(&["woke"], |all| says(all, 101, G1, 3100, "woke", ""));
    sees(&["woke"], |all| says(all, 100, G3, 9100, "by", "somebody"));
    sees(&["arrow", "woke"], |all| says(all, 101, G1, 2400, "woke", "spawn"));
    sees(&["woke"], |all| {
        ends(all, 100, G3, 9100, 9900);
        ends(all, 10_003, "running", 9100, 9900);
    });
}

#[test]
fn numbers_go_up() {
    sees(&["seq"], |all| says(all, 101, G1, 3100, "seq", 4));
    sees(&["seq"], |all| says(all, 101, G1, 3100, "seq", 9));
    sees(&["seq"], |all| says(all, 100, G3, 9100, "seq", 300));
    // It goes round.
    sees(&[], |all| {
        for (from, seq) in [(1500, 252), (8000, 255), (9100, 2)] {
            says(all, 100, G3, from, "seq", seq);
        }
    });
}

#[test]
fn waits_are_as_long_as_the_task_was_runnable() {
    sees(&["wait"], |all| says(all, 100, G3, 8000, "wait_us", 0.4));
    sees(&["wait"], |all| says(all, 101, G2, 4300, "wait_us", 0.3));
    sees(&["wait"], |all| says(all, 101, "block_on", 200, "wait_us", -0.1));
}

#[test]
fn states_follow_each_other() {
    // A hole, an overlap, and what can't follow.
    sees(&["state"], |all| ends(all, 10_003, "waiting", 7000, 7400));
    sees(&["nest", "state"], |all| ends(all, 10_003, "waiting", 7000, 7600));
    sees(&["state"], |all| find(all, 10_003, "waiting", 7000)["name"] = json!("runnable"));
    sees(&["state"], |all| find(all, 10_003, "waiting", 7000)["name"] = json!("dreaming"));
    // It is over by then.
    sees(&["agree", "state"], |all| {
        let at = place(all, 10_002, "running", 4300) + 1;
        all.insert(at, x(4, 10_002, "g", "runnable", 4800, 4900, json!({})));
    });
}

#[test]
fn the_tracks_of_tasks_and_ps_agree() {
    sees(&["agree"], |all| {
        all.remove(place(all, 10_003, "running", 9100));
    });
    sees(&["agree"], |all| says(all, 10_003, "running", 9100, "p", 1));
    sees(&["agree"], |all| says(all, 10_003, "running", 9100, "m", 1));
    sees(&["agree"], |all| ends(all, 10_003, "running", 9100, 9900));
    sees(&["agree"], |all| find(all, 10_002, "waiting: sleep", 2300)["name"] = json!("waiting"));
}

#[test]
fn arrows_have_two_ends_that_fit() {
    let arrow_end = |all: &mut Vec<Value>, ph: &str, id: u64| {
        all.iter().position(|event| event["ph"] == ph && event["id"] == id).unwrap()
    };
    sees(&["arrow"], |all| {
        let at = arrow_end(all, "s", 4);
        all.remove(at);
    });
    sees(&["arrow"], |all| {
        let at = arrow_end(all, "f", 7);
        all.remove(at);
    });
    sees(&["arrow"], |all| {
        let at = arrow_end(all, "s", 7);
        all.push(all[at].clone());
    });
    // An id used twice, an arrow backwards, one that begins where nothing is, and one that ends in the midst of a run.
    sees(&["arrow"], |all| {
        for ph in ["s", "f"] {
            let at = arrow_end(all, ph, 5);
            all[at]["id"] = json!(4);
        }
    });
    sees(&["arrow"], |all| {
        let at = arrow_end(all, "s", 5);
        all[at]["ts"] = us(4350);
    });
    sees(&["arrow"], |all| {
        let at = arrow_end(all, "s", 5);
        all[at]["ts"] = us(4250);
    });
    sees(&["arrow"], |all| {
        let at = arrow_end(all, "f", 5);
        all[at]["ts"] = us(4400);
    });
    sees(&["arrow"], |all| {
        let at = arrow_end(all, "s", 6);
        all[at]["ts"] = us(1150);
    });
    sees(&["arrow"], |all| {
        let at = arrow_end(all, "f", 7);
        all[at]["ts"] = us(6200);
    });
    // From another's run than it says, and none where there must be one.
    sees(&["arrow"], |all| says(all, 101, G1, 2400, "by", "G3"));
    sees(&["arrow"], |all| all.retain(|event| event["id"] != 2));
}

#[test]
fn steals_add_up() {
    sees(&["steal"], |all| {
        all.remove(place(all, 100, "stolen", 1200));
    });
    sees(&["steal"], |all| says(all, 100, "stolen", 1200, "n", 2));
    sees(&["steal"], |all| says(all, 100, "stolen", 1200, "thief", "P0"));
    sees(&["steal"], |all| begins(all, 100, "stolen", 1200, 1201));
    sees(&["steal"], |all| {
        let at = place(all, 101, "steal", 1100);
        all[at]["args"]["victim"] = json!("P1");
    });
    // Both say it, and it can't be.
    sees(&["steal"], |all| {
        says(all, 100, "stolen", 1200, "n", 0);
        let at = place(all, 101, "steal", 1100);
        all[at]["args"]["n"] = json!(0);
    });
}

#[test]
fn who_lost_a_p_had_it() {
    sees(&["retake"], |all| says(all, 100, "retake", 6000, "m", 2));
    sees(&["retake"], |all| begins(all, 100, "retake", 6000, 5900));
    sees(&["retake"], |all| says(all, 100, "retake", 6000, "why", "envy"));
    sees(&["retake"], |all| says(all, 100, G3, 8000, "end", "retake"));
}

#[test]
fn samples_are_whole() {
    let sample = |all: &mut Vec<Value>, name: &str| {
        all.iter().rposition(|event| event["ph"] == "C" && event["name"] == name).unwrap()
    };
    sees(&["counter"], |all| {
        let at = sample(all, "Tasks");
        all[at]["args"]["running"] = json!(3);
    });
    sees(&["counter"], |all| {
        let at = sample(all, "Threads");
        all[at]["args"]["parked"] = json!(-1);
    });
    sees(&["counter"], |all| {
        let at = sample(all, "Run queues");
        all[at]["args"].as_object_mut().unwrap().remove("P1");
    });
    sees(&["counter"], |all| {
        let at = sample(all, "Tasks");
        all[at]["ts"] = us(300);
    });
    sees(&["counter"], |all| all.retain(|event| event["name"] != "Threads"));
    // One more than there are Ps runs while G3 has lost its own.
    let three = |ts| {
        move |all: &mut Vec<Value>| {
            let at = sample(all, "Tasks");
            all[at]["args"]["running"] = json!(3);
            all[at]["ts"] = us(ts);
        }
    };
    sees(&[], three(6500));
    sees(&["counter"], three(7500));
}

#[test]
fn it_says_what_it_is() {
    sees(&["about"], |all| {
        all.remove(place(all, 1, "gmprt trace", 10_000));
    });
    sees(&["about"], |all| says(all, 1, "gmprt trace", 10_000, "dropped", 1));
    sees(&["about"], |all| says(all, 1, "gmprt trace", 10_000, "clamped", 14));
    sees(&["about"], |all| says(all, 1, "gmprt trace", 10_000, "task_tracks", 2));
    sees(&["about"], |all| says(all, 1, "gmprt trace", 10_000, "tasks", 4));
    sees(&["about"], |all| says(all, 1, "gmprt trace", 10_000, "version", Value::Null));
    let mut lossy = good();
    says(lossy["traceEvents"].as_array_mut().unwrap(), 1, "gmprt trace", 10_000, "dropped", 1);
    assert_eq!(check(&lossy, Loss::Late), []);
}

#[test]
fn what_was_overwritten_may_leave_holes_but_nothing_false() {
    let mut holes = good();
    let all = holes["traceEvents"].as_array_mut().unwrap();
    all.remove(place(all, 10_003, "waiting", 7000));
    all.remove(place(all, 101, G1, 2400));
    all.remove(place(all, 10_001, "running", 2400));
    all.retain(|event| event["id"] != 4);
    assert!(!check(&holes, Loss::None).is_empty());
    assert_eq!(check(&holes, Loss::Early), []);
    says(holes["traceEvents"].as_array_mut().unwrap(), 100, G3, 8000, "m", 1);
    assert!(!check(&holes, Loss::Early).is_empty());
}

#[test]
fn two_runtimes_share_a_file() {
    let shift = |by: u64| {
        let mut root = good();
        for event in root["traceEvents"].as_array_mut().unwrap() {
            event["pid"] = json!(event["pid"].as_u64().unwrap() + by);
            if let Some(id) = event["id"].as_u64() {
                event["id"] = json!(id + 100 * by);
            }
        }
        root
    };
    let both = |by: u64, same_ids: bool| {
        let mut second = shift(by);
        if same_ids {
            for event in second["traceEvents"].as_array_mut().unwrap() {
                if let Some(id) = event["id"].as_u64() {
                    event["id"] = json!(id - 100 * by);
                }
            }
        }
        Value::Array([events(&good()), events(&second)].concat())
    };
    assert_eq!(check(&both(10, false), Loss::None), []);
    assert!(check(&both(10, true), Loss::None).iter().all(|complaint| complaint.rule == "arrow"));
    assert_eq!(check(&both(10, true), Loss::None).len(), 7);
}

#[test]
fn a_good_trace_spoilt_at_random_is_found_out() {
    let missed = canary::missed(&good(), 600);
    assert!(missed.is_empty(), "{missed:#?}");
}
