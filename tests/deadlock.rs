//! `deadlock_detection`: a deadlock is reported and ends the process, and what is none is left alone.
//!
//! A report ends the process, so each program is this binary again, with one test's name and a role in its environment.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{child, is_child, runtime, watch};
use gmprt::chan::bounded;
use gmprt::{Runtime, task};
use std::future::pending;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const ROLE: &str = "GMPRT_TEST_ROLE";

/// Go's words.
const REPORT: &str = "fatal error: all goroutines are asleep - deadlock!\n\n";

/// Some looks of the watch.
const LOOKS: Duration = Duration::from_millis(900);

/// The role in which this process is to play `test`, if it is the child.
fn role(test: &str) -> Option<String> {
    is_child(test).then(|| std::env::var(ROLE).unwrap())
}

fn play(test: &str, role: &str) -> Command {
    let mut command = child(test);
    command.env(ROLE, role).env_remove("GMPRT_TEST_DEADLOCK");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The end of the child; one that has none within the test's time is the watchdog's.
fn end(test: &str, role: &str) -> Output {
    play(test, role).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The child was ended by a report, which names these.
fn reported(output: &Output, names: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(text.matches(REPORT).count(), 1, "{text}");
    let report = &text[text.find(REPORT).unwrap()..];
    for name in names {
        assert!(report.contains(&format!("{name:?}")), "no {name} in {report}");
    }
    assert!(report.contains("tests/deadlock.rs:"), "{report}");
}

fn detecting(procs: usize) -> Runtime {
    Runtime::builder().procs(procs).deadlock_detection(true).build().unwrap()
}

/// A task on each runtime, each of which waits for the other.
fn embrace(first: &Runtime, second: &Runtime) {
    let (to_ping, ping) = bounded::<()>(1);
    let (to_pong, pong) = bounded::<()>(1);
    let one = task::Builder::new().name("ping").spawn_on(&first.handle(), async move {
        ping.recv().await.unwrap();
        to_pong.send(()).await.unwrap();
    });
    let _other = task::Builder::new().name("pong").spawn_on(&second.handle(), async move {
        pong.recv().await.unwrap();
        to_ping.send(()).await.unwrap();
    });
    first.block_on(one).unwrap();
}

/// Spawns that come before, so that every P and several Ms have been at work.
fn work(rt: &Runtime) {
    rt.block_on(async {
        let tasks: Vec<_> = (0..200).map(|_| gmprt::spawn(gmprt::yield_now())).collect();
        for task in tasks {
            task.await.unwrap();
        }
        gmprt::spawn_blocking(|| ()).await.unwrap();
    });
}

#[test]
fn two_tasks_that_wait_for_each_other_are_reported() {
    const TEST: &str = "two_tasks_that_wait_for_each_other_are_reported";
    match role(TEST).as_deref() {
        Some("one runtime") => {
            let rt = detecting(2);
            work(&rt);
            embrace(&rt, &rt);
        }
        Some("with long polls") => {
            let builder = Runtime::builder().procs(1).deadlock_detection(true);
            let rt = builder.report_long_polls(Duration::from_millis(10)).build().unwrap();
            work(&rt);
            embrace(&rt, &rt);
        }
        Some("two runtimes") => {
            let (first, second, _third) = (detecting(2), runtime(2), detecting(1));
            embrace(&first, &second);
        }
        Some("cancelled timers") => {
            let rt = detecting(1);
            rt.block_on(async {
                let hours = |n: u64| Box::pin(gmprt::time::sleep(Duration::from_secs(3600 * n)));
                let (mut one, mut two) = (hours(1), hours(2));
                let mut soon = Box::pin(gmprt::time::sleep(Duration::from_millis(50)));
                for sleep in [&mut one, &mut two, &mut soon] {
                    assert!(common::poll_once(sleep).is_pending());
                }
                drop((one, two)); // the first is in the middle of the heap, and stays there
                soon.await;
            });
            embrace(&rt, &rt);
        }
        Some(_) => embrace(&detecting(1), &detecting(1)), // two watches find it, one reports
        None => {}
    }
    let _watch = watch();
    for role in ["one runtime", "with long polls", "two runtimes", "cancelled timers", "both detect"] {
        reported(&end(TEST, role), &["ping", "pong"]);
    }
}

#[test]
fn a_future_that_nobody_wakes_is_reported() {
    const TEST: &str = "a_future_that_nobody_wakes_is_reported";
    if role(TEST).is_some() {
        let rt = detecting(2);
        work(&rt);
        thread::scope(|scope| {
            scope.spawn(|| rt.block_on(pending::<()>()));
            rt.block_on(pending::<()>());
        });
    }
    let _watch = watch();
    let output = end(TEST, "");
    reported(&output, &[]);
    assert_eq!(stderr(&output).matches("block_on at tests/deadlock.rs:").count(), 2, "{}", stderr(&output));
}

/// Waits on a runtime that detects for what ends by itself; each takes some looks of the watch.
fn live(rt: &Runtime, what: &str) {
    let nap = || thread::sleep(LOOKS); // sleep: the thread is to be blocked for some looks
    let spin = || {
        let begun = Instant::now();
        while begun.elapsed() < LOOKS {}
    };
    match what {
        "a timer" => rt.block_on(gmprt::time::sleep(LOOKS)),
        "a task's timer" => rt.block_on(rt.spawn(gmprt::time::sleep(LOOKS))).unwrap(),
        "a poll that computes" => rt.block_on(rt.spawn(async move { spin() })).unwrap(),
        "a poll that blocks" => rt.block_on(rt.spawn(async move { nap() })).unwrap(),
        "a declared block" => rt.block_on(rt.spawn(async move { gmprt::block_in_place(nap) })).unwrap(),
        "a blocking closure" => rt.block_on(rt.spawn_blocking(nap)).unwrap(),
        "a nested block_on" => {
            let inner = async move { gmprt::Handle::current().block_on(gmprt::time::sleep(LOOKS)) };
            rt.block_on(rt.spawn(inner)).unwrap();
        }
        "a caller that blocks" => thread::scope(|scope| {
            let (tx, rx) = bounded(1);
            scope.spawn(move || {
                rt.block_on(async move {
                    nap();
                    tx.send(()).await.unwrap();
                });
            });
            rt.block_on(rx.recv()).unwrap();
        }),
        "a runtime that blocks" => {
            let other = runtime(1);
            rt.block_on(other.spawn(async move { nap() })).unwrap();
        }
        "a runtime with a timer" => {
            let other = runtime(1);
            rt.block_on(other.spawn(gmprt::time::sleep(LOOKS))).unwrap();
        }
        "a runtime that ends" => {
            let other = runtime(1);
            let (tx, rx) = bounded::<()>(1);
            let (entered, begun) = bounded(1);
            let _task = other.spawn(async move {
                entered.send(()).await.unwrap();
                nap();
                drop(tx);
            });
            rt.block_on(begun.recv()).unwrap();
            let ends = thread::spawn(move || drop(other));
            assert!(rt.block_on(rx.recv()).is_err());
            ends.join().unwrap();
        }
        "nobody who waits" => {
            let _never = rt.spawn(pending::<()>());
            nap();
        }
        _ => panic!("{what}"),
    }
}

#[test]
fn what_goes_on_by_itself_is_no_deadlock() {
    const TEST: &str = "what_goes_on_by_itself_is_no_deadlock";
    let all = [
        "a timer",
        "a task's timer",
        "a poll that computes",
        "a poll that blocks",
        "a declared block",
        "a blocking closure",
        "a nested block_on",
        "a caller that blocks",
        "a runtime that blocks",
        "a runtime with a timer",
        "a runtime that ends",
        "nobody who waits",
    ];
    if let Some(what) = role(TEST) {
        let rt = detecting(2);
        work(&rt);
        return live(&rt, &what);
    }
    let _watch = watch();
    let children = all.map(|what| (what, play(TEST, what).spawn().unwrap()));
    for (what, child) in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && !stderr(&output).contains(REPORT), "{what}: {output:?}");
    }
}

#[test]
fn a_foreign_thread_that_comes_again_and_again_is_in_time() {
    const TEST: &str = "a_foreign_thread_that_comes_again_and_again_is_in_time";
    if role(TEST).is_some() {
        let rt = detecting(2);
        let (tx, rx) = bounded(0);
        let foreign = thread::spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < 2 * LOOKS {
                thread::sleep(Duration::from_millis(10)); // sleep: all are to be asleep, for less than the 100 ms
                tx.send_blocking(()).unwrap();
            }
        });
        let task = rt.spawn(async move { while rx.recv().await.is_ok() {} });
        rt.block_on(task).unwrap();
        return foreign.join().unwrap();
    }
    let _watch = watch();
    // On a busy machine the thread may really be late. A watch that is wrong is wrong each time.
    let outputs = (0..5).map(|_| end(TEST, ""));
    let mut wrong: Vec<_> = outputs.take_while(|output| !output.status.success()).collect();
    assert!(wrong.len() < 5, "{:?}", wrong.pop());
}

/// Whether the child, which has said that it is about to wait, still waits after some looks. It is ended.
fn still_waits(mut child: Child) -> bool {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().contains("about to wait")), "{:?}", child.wait());
    thread::sleep(LOOKS); // sleep: there is nothing to be seen for which to wait
    let waits = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    assert!(!text.contains(REPORT), "{text}");
    waits
}

#[test]
fn without_it_a_deadlock_waits_and_so_does_one_inside_a_poll() {
    const TEST: &str = "without_it_a_deadlock_waits_and_so_does_one_inside_a_poll";
    match role(TEST).as_deref() {
        Some("off") => {
            let rt = runtime(2);
            println!("about to wait");
            embrace(&rt, &rt);
        }
        Some(_) => {
            let rt = detecting(2);
            println!("about to wait");
            let nested = async { gmprt::Handle::current().block_on(pending::<()>()) };
            rt.block_on(rt.spawn(nested)).unwrap();
        }
        None => {}
    }
    let _watch = watch();
    for role in ["off", "nested"] {
        assert!(still_waits(play(TEST, role).spawn().unwrap()), "{role}");
    }
}
