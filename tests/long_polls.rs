//! `report_long_polls`: which polls are reported, how often, and as what.
//!
//! The reports go to stderr, so each program is this binary again, with one test's name in its environment.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{child, is_child, threads_named, watch};
use gmprt::{Runtime, task};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

const THRESHOLD: Duration = Duration::from_millis(100);

/// Far beyond the threshold.
const LONG: Duration = Duration::from_millis(500);

fn reporting(procs: usize) -> Runtime {
    Runtime::builder().procs(procs).report_long_polls(THRESHOLD).build().unwrap()
}

fn block() {
    thread::sleep(LONG); // sleep: the poll is to be blocked
}

fn compute() {
    let begun = Instant::now();
    while begun.elapsed() < LONG {}
}

/// What the child, which runs the test `test`, said of long polls.
fn lines(test: &str) -> Vec<String> {
    let output = child(test).stdin(Stdio::null()).stdout(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().filter(|line| line.starts_with("gmprt: long poll: ")).map(str::to_owned).collect()
}

/// The one line that has `name` in it; it tells of a time beyond the threshold.
#[track_caller]
fn one<'a>(lines: &'a [String], name: &str) -> &'a str {
    let found: Vec<_> = lines.iter().filter(|line| line.contains(name)).collect();
    assert_eq!(found.len(), 1, "{name}: {lines:#?}");
    let (_, time) = found[0].split_once("has been in one poll for ").unwrap();
    let (millis, _) = time.split_once(" ms so far, ").unwrap();
    assert!(millis.parse::<f64>().unwrap() >= THRESHOLD.as_secs_f64() * 1e3, "{}", found[0]);
    assert!(found[0].contains(" tests/long_polls.rs:"), "{}", found[0]);
    found[0]
}

#[test]
fn a_long_poll_is_reported_once_for_its_spawn_site() {
    const TEST: &str = "a_long_poll_is_reported_once_for_its_spawn_site";
    if is_child(TEST) {
        let rt = reporting(2);
        let spawn =
            |name: &str, f: fn()| task::Builder::new().name(name).spawn_on(&rt.handle(), async move { f() });
        let sleepers: Vec<_> = (0..6)
            .map(|_| task::Builder::new().name("sleeper").spawn_on(&rt.handle(), async { block() }))
            .collect();
        for sleeper in sleepers {
            rt.block_on(sleeper).unwrap();
        }
        rt.block_on(spawn("hog", compute)).unwrap();
        rt.block_on(spawn("another hog", compute)).unwrap(); // from the same site
        let yielding = async {
            block();
            gmprt::yield_now().await;
            block();
        };
        rt.block_on(task::Builder::new().name("two polls").spawn_on(&rt.handle(), yielding)).unwrap();
        for _ in 0..2 {
            rt.block_on(async { block() });
        }
        return;
    }
    let _watch = watch();
    let lines = lines(TEST);
    let sleeper = one(&lines, "\"sleeper\", spawned at ");
    assert!(sleeper.starts_with("gmprt: long poll: G") && sleeper.ends_with(", blocked"), "{sleeper}");
    assert!(one(&lines, "hog\", spawned at ").ends_with(", busy"), "{lines:#?}");
    assert!(one(&lines, "\"two polls\", spawned at ").ends_with(", blocked"));
    assert!(one(&lines, "poll: the future of block_on at ").ends_with(", blocked"));
    assert_eq!(lines.len(), 4, "{lines:#?}");
}

#[test]
fn short_polls_and_declared_blocks_are_not_reported() {
    const TEST: &str = "short_polls_and_declared_blocks_are_not_reported";
    if is_child(TEST) {
        let rt = reporting(2);
        let tasks: Vec<_> = vec![
            rt.spawn(async { gmprt::block_in_place(block) }),
            rt.spawn_blocking(block),
            rt.spawn(async { gmprt::Handle::current().block_on(gmprt::time::sleep(LONG)) }),
            rt.spawn(gmprt::time::sleep(LONG)),
            rt.spawn(async {
                thread::sleep(THRESHOLD / 5); // sleep: the poll is to lose its P before it declares a block
                gmprt::block_in_place(block);
            }),
            rt.spawn(async {
                let begun = Instant::now();
                while begun.elapsed() < LONG {
                    gmprt::yield_now().await;
                }
            }),
        ];
        rt.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
            gmprt::block_in_place(block);
        });
        return;
    }
    let _watch = watch();
    // On a busy machine a short poll may be long. A watch that is wrong is wrong each time.
    let runs = (0..4).map(|_| lines(TEST));
    let wrong: Vec<_> = runs.take_while(|lines| !lines.is_empty()).collect();
    assert!(wrong.len() < 4, "{wrong:#?}");
}

#[test]
fn without_it_nothing_is_said() {
    const TEST: &str = "without_it_nothing_is_said";
    if is_child(TEST) {
        let rt = common::runtime(2);
        return rt.block_on(rt.spawn(async { block() })).unwrap();
    }
    let _watch = watch();
    assert_eq!(lines(TEST), [""; 0]);
}

#[test]
fn a_threshold_of_nothing_is_refused() {
    let error = Runtime::builder().report_long_polls(Duration::ZERO).build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("report_long_polls"), "{error}");
}

/// How often the one thread with this name has gone to sleep.
fn sleeps(name: &str) -> u64 {
    let ids = threads_named(name);
    assert_eq!(ids.len(), 1, "{name}");
    let status = std::fs::read_to_string(format!("/proc/self/task/{}/status", ids[0])).unwrap();
    let field = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    field.trim().parse().unwrap()
}

#[test]
fn an_idle_runtime_is_looked_at_rarely() {
    let _watch = watch();
    let builder = |name: &str| Runtime::builder().procs(2).thread_name(name);
    let both =
        builder("b").deadlock_detection(true).report_long_polls(Duration::from_millis(10)).build().unwrap();
    let deadlock = builder("d").deadlock_detection(true).build().unwrap();
    for rt in [&both, &deadlock] {
        rt.block_on(rt.spawn(async {})).unwrap();
    }
    thread::sleep(Duration::from_millis(300)); // sleep: sysmon is to come to rest
    let before = (sleeps("b-watch"), sleeps("d-watch"));
    let begun = Instant::now();
    thread::sleep(Duration::from_secs(2)); // sleep: they are to be left alone for a while
    let after = (sleeps("b-watch"), sleeps("d-watch"));
    let seconds = begun.elapsed().as_secs_f64();
    println!("{} and {} in {seconds} s", after.0 - before.0, after.1 - before.1);
    assert!((after.0 - before.0) as f64 <= 10.0 * seconds + 8.0);
    assert!((after.1 - before.1) as f64 <= 5.0 * seconds + 4.0);
    assert!(threads_named("b-w").len() == 1);
    drop((both, deadlock));
    assert_eq!(threads_named("b-watch").len() + threads_named("d-watch").len(), 0);
}
