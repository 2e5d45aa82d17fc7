//! How many threads there are: at the limit work waits and all ends, and what was too many goes away again.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Gate, child, is_child, revoking, runtime, threads_named, until, watch};
use gmprt::task::JoinHandle;
use gmprt::{Runtime, block_in_place, yield_now};
use std::hint::spin_loop;
use std::process::Command;
use std::time::Duration;

fn limited(procs: usize, max_threads: usize) -> Runtime {
    Runtime::builder().procs(procs).max_threads(max_threads).build().unwrap()
}

fn keeping(procs: usize, keep_alive: Duration) -> Runtime {
    Runtime::builder().procs(procs).thread_keep_alive(keep_alive).build().unwrap()
}

/// How a task blocks its thread.
#[derive(Debug, Clone, Copy)]
enum Way {
    Undeclared,
    Declared,
    Closure,
}

/// A task that counts and waits at a gate.
fn blocking(rt: &Runtime, way: Way, begun: &Count, gate: &Gate) -> JoinHandle<()> {
    let (begun, gate) = (begun.clone(), gate.clone());
    let block = move || {
        begun.add();
        gate.wait();
    };
    match way {
        Way::Undeclared => rt.spawn(async move { block() }),
        Way::Declared => rt.spawn(async move { block_in_place(block) }),
        Way::Closure => rt.spawn_blocking(block),
    }
}

// ---- the limit ----

#[test]
fn at_the_limit_what_blocks_waits_its_turn_and_all_ends() {
    let _watch = watch();
    for way in [Way::Undeclared, Way::Declared, Way::Closure] {
        for procs in [1, 4] {
            let rt = limited(procs, procs + 1);
            let (begun, gate) = (Count::default(), Gate::default());
            let tasks: Vec<_> = (0..50).map(|_| blocking(&rt, way, &begun, &gate)).collect();
            if matches!(way, Way::Closure) {
                // One closure at a time, so that there are threads for the other tasks.
                until(|| begun.get() == 1);
                for n in 0..100 {
                    assert_eq!(rt.block_on(rt.spawn(async move { n })).unwrap(), n);
                }
                assert_eq!(begun.get(), 1);
            } else {
                // All threads are in use, and somebody asks for one more.
                until(|| begun.get() == procs + 1 && rt.metrics().failed_starts > 0);
                assert_eq!(begun.get(), procs + 1);
            }
            assert!(rt.metrics().threads <= procs + 1, "{way:?}");
            gate.open();
            tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
            assert_eq!(begun.get(), 50);
            assert!(rt.metrics().threads <= procs + 1, "{way:?}");
            assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7);
        }
    }
}

#[test]
fn waves_of_blocking_tasks_of_all_kinds_end_at_the_limit() {
    let _watch = watch();
    for procs in [1, 2] {
        let rt = limited(procs, procs + 1);
        for _ in 0..20 {
            let (begun, gate) = (Count::default(), Gate::default());
            let ways = [Way::Undeclared, Way::Declared, Way::Closure].into_iter().cycle();
            let tasks: Vec<_> = ways.take(30).map(|way| blocking(&rt, way, &begun, &gate)).collect();
            let short: Vec<_> = (0..30)
                .map(|_| {
                    rt.spawn(async {
                        yield_now().await;
                        block_in_place(|| ());
                        yield_now().await;
                    })
                })
                .collect();
            until(|| begun.get() > procs);
            gate.open();
            tasks.into_iter().chain(short).for_each(|task| rt.block_on(task).unwrap());
        }
        assert!(rt.metrics().threads <= procs + 1);
    }
}

#[test]
fn at_the_limit_polls_in_progress_go_on_and_what_they_ready_runs() {
    let _watch = watch();
    for procs in [1, 4] {
        let rt = limited(procs, procs + 1);
        let (begun, gate) = (Count::default(), Gate::default());
        // All threads but one.
        let blocked: Vec<_> = (0..procs).map(|_| blocking(&rt, Way::Undeclared, &begun, &gate)).collect();
        until(|| begun.get() == procs);
        let root = rt.spawn(async {
            let mut sum = 0;
            for _ in 0..100 {
                yield_now().await;
                sum += gmprt::spawn(async { 1 }).await.unwrap();
            }
            sum
        });
        assert_eq!(rt.block_on(root).unwrap(), 100);
        gate.open();
        blocked.into_iter().for_each(|task| rt.block_on(task).unwrap());
    }
}

/// At the limit a task comes back from a declared block while the only P is with a poll that waits for that task.
fn the_one_in_line_gets_the_p_of(hinders: impl FnOnce(Gate) + Send + 'static) {
    let rt = limited(1, 2);
    let (blocked, begun, gate, back) = (Gate::default(), Gate::default(), Gate::default(), Gate::default());
    let (in_block, wait, open) = (blocked.clone(), gate.clone(), back.clone());
    let returns = rt.spawn(async move {
        block_in_place(|| {
            in_block.open();
            wait.wait();
        });
        open.open();
    });
    blocked.wait();
    let entered = begun.clone();
    let hindering = rt.spawn(async move {
        entered.open();
        hinders(back);
    });
    begun.wait();
    gate.open();
    rt.block_on(returns).unwrap();
    rt.block_on(hindering).unwrap();
}

#[test]
fn at_the_limit_the_one_in_line_gets_the_p_of_a_blocked_poll() {
    let _watch = watch();
    the_one_in_line_gets_the_p_of(|back| back.wait());
}

#[test]
fn at_the_limit_the_one_in_line_gets_the_p_of_a_declared_block() {
    let _watch = watch();
    the_one_in_line_gets_the_p_of(|back| block_in_place(|| back.wait()));
}

#[test]
fn at_the_limit_the_one_in_line_gets_the_p_of_a_hog() {
    let _watch = watch();
    the_one_in_line_gets_the_p_of(|back| {
        while !back.is_open() {
            spin_loop();
        }
    });
}

#[test]
fn the_limit_is_said_once_however_often_it_is_met() {
    let _watch = watch();
    const SELF: &str = "the_limit_is_said_once_however_often_it_is_met";
    if is_child(SELF) {
        let rt = limited(1, 2);
        for _ in 0..3 {
            let before = rt.metrics().failed_starts;
            let (begun, gate) = (Count::default(), Gate::default());
            let tasks: Vec<_> = (0..10).map(|_| blocking(&rt, Way::Undeclared, &begun, &gate)).collect();
            until(|| rt.metrics().failed_starts > before);
            gate.open();
            tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        }
        assert!(rt.metrics().failed_starts >= 3);
        return;
    }
    let ended = child(SELF).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("gmprt: ")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("all 2 threads") && lines[0].contains("max_threads"), "{said}");
}

#[test]
fn below_the_limit_nothing_is_refused() {
    let _watch = watch();
    let rt = limited(2, 100);
    let (begun, gate) = (Count::default(), Gate::default());
    let tasks: Vec<_> = (0..40).map(|_| blocking(&rt, Way::Undeclared, &begun, &gate)).collect();
    until(|| begun.get() == 40);
    gate.open();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    assert_eq!(rt.metrics().failed_starts, 0);
}

#[test]
fn where_the_system_starts_no_more_threads_work_waits_and_all_ends() {
    let _watch = watch();
    const SELF: &str = "where_the_system_starts_no_more_threads_work_waits_and_all_ends";
    if is_child(SELF) {
        let rt = runtime(2);
        let (begun, gate) = (Count::default(), Gate::default());
        let ways = [Way::Undeclared, Way::Declared, Way::Closure].into_iter().cycle();
        let tasks: Vec<_> = ways.take(60).map(|way| blocking(&rt, way, &begun, &gate)).collect();
        // A stack is a quarter of a GiB.
        until(|| rt.metrics().failed_starts > 0);
        let threads = rt.metrics().threads;
        assert!((2..20).contains(&threads), "{threads} threads");
        gate.open();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        assert_eq!(begun.get(), 60);
        assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7);
        return;
    }
    // 4 GiB of addresses.
    let own = child(SELF);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 4194304 || exit 77; exec \"$@\"", "sh"]).arg(own.get_program());
    limited.args(own.get_args()).env("RUST_MIN_STACK", (256 << 20).to_string());
    limited.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = limited.output().unwrap();
    if ended.status.code() == Some(77) {
        eprintln!("skipped: this shell sets no limit of addresses");
        return;
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{}: {said}", ended.status);
    assert_eq!(said.matches("gmprt: the system starts no more threads").count(), 1, "{said}");
}

// ---- the keep-alive ----

/// `n` tasks that block at once; returns when all have ended.
fn wave(rt: &Runtime, way: Way, n: usize) {
    let (begun, gate) = (Count::default(), Gate::default());
    let tasks: Vec<_> = (0..n).map(|_| blocking(rt, way, &begun, &gate)).collect();
    until(|| begun.get() == n);
    assert!(rt.metrics().threads >= n);
    gate.open();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
}

#[test]
fn threads_beyond_procs_end_after_the_keep_alive_and_no_others() {
    let _watch = watch();
    // The longest keep-alive first: it makes the most threads end at one time.
    for keep_alive in [20, 5, 1, 0].map(Duration::from_millis) {
        for procs in [1, 2, 4] {
            let rt = keeping(procs, keep_alive);
            for _ in 0..4 {
                wave(&rt, Way::Undeclared, 20);
                // As many as there are Ps stay: fewer would have to be started again. It is asked all the while.
                until(|| {
                    let threads = rt.metrics().threads;
                    assert!(threads >= procs, "{threads} threads for {procs} Ps");
                    threads == procs
                });
            }
            let sum = (0..100).map(|n| rt.block_on(rt.spawn(async move { n })).unwrap()).sum::<usize>();
            assert_eq!(sum, 99 * 100 / 2);
        }
    }
}

#[test]
fn what_a_thread_that_ended_leaves_is_nothing() {
    let _watch = watch();
    const NAME: &str = "shortlived";
    let rt = Runtime::builder().procs(2).thread_name(NAME).thread_keep_alive(Duration::ZERO).build().unwrap();
    for way in [Way::Undeclared, Way::Declared, Way::Closure] {
        wave(&rt, way, 30);
        until(|| rt.metrics().threads <= 2);
        assert_eq!(rt.metrics().threads, 2);
        // The kernel's threads, not our count: two Ms, and sysmon.
        until(|| threads_named(NAME).len() == 3);
    }
    drop(rt);
    until(|| threads_named(NAME).is_empty()); // the kernel lists a thread a little longer than a join waits for it
}

#[test]
fn a_keep_alive_without_end_keeps_all_threads() {
    let _watch = watch();
    let rt = keeping(2, Duration::MAX);
    wave(&rt, Way::Undeclared, 20);
    let threads = rt.metrics().threads;
    for _ in 0..3 {
        wave(&rt, Way::Undeclared, 10);
        until(|| rt.metrics().idle_threads == rt.metrics().threads);
    }
    assert!(rt.metrics().threads >= threads);
    assert!(rt.metrics().threads == threads || revoking(), "threads that sleep are used again");
}

#[test]
fn a_runtime_is_dropped_while_its_threads_end() {
    let _watch = watch();
    for round in 0..40_u64 {
        let rt = keeping(2, Duration::from_micros(50 * round));
        wave(&rt, [Way::Undeclared, Way::Declared][round as usize % 2], 10);
        if round % 3 == 0 {
            until(|| rt.metrics().threads < 8);
        }
        drop(rt);
    }
}
