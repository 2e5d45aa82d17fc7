//! What a task and its handle promise: spawned and joined, of any size, and dropped exactly once.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Gate, OnDrop, Signal, Threads, poll_once, runtime, sized, until, watch};
use gmprt::task::TaskId;
use std::collections::HashSet;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;

// ---- spawn, join, ids ----

#[test]
fn a_handle_yields_what_the_future_returned_by_move() {
    let _watch = watch();
    let rt = runtime(2);
    let drops = Count::default();
    let output = drops.on_drop();
    let output = rt.block_on(rt.spawn(async move { (output, vec![1, 2, 3]) })).unwrap();
    drop(rt);
    assert_eq!((drops.get(), output.1.as_slice()), (0, &[1, 2, 3][..]), "it is ours, and lives on");
    drop(output);
    assert_eq!(drops.get(), 1);
}

#[test]
fn ids_are_unique_across_runtimes_threads_and_tasks() {
    let _watch = watch();
    let (one, two) = (runtime(1), runtime(3));
    let ids = Arc::new(Mutex::new(HashSet::<TaskId>::new()));
    let enter = |ids: &Arc<Mutex<HashSet<TaskId>>>, id: TaskId| {
        assert!(ids.lock().unwrap().insert(id), "{id} was given twice");
    };
    thread::scope(|scope| {
        for rt in [&one, &two, &two] {
            let ids = Arc::clone(&ids);
            scope.spawn(move || {
                for _ in 0..100 {
                    let shared = Arc::clone(&ids);
                    let task = rt.spawn(async move {
                        let children: Vec<_> = (0..10).map(|_| gmprt::spawn(ready(()))).collect();
                        children.iter().for_each(|child| enter(&shared, child.id()));
                        gmprt::task::id()
                    });
                    let id = task.id();
                    enter(&ids, id);
                    assert_eq!(rt.block_on(task).unwrap(), Some(id), "a task knows its own id");
                }
            });
        }
    });
    let ids = ids.lock().unwrap();
    assert_eq!(ids.len(), 300 * 11);
    assert!(ids.iter().all(|id| id.to_string() == format!("G{}", id.as_u64())));
}

#[test]
fn a_task_knows_its_machine_and_processor_and_others_have_none() {
    let _watch = watch();
    assert_eq!(gmprt::task::id(), None);
    assert_eq!(gmprt::task::processor(), None);
    assert_eq!(gmprt::task::machine(), None);
    let rt = runtime(2);
    let seen = rt.spawn(async {
        let nested = gmprt::Handle::current().block_on(async { (gmprt::task::id(), gmprt::task::machine()) });
        (gmprt::task::processor(), gmprt::task::machine(), nested)
    });
    let (processor, machine, (nested_id, nested_machine)) = rt.block_on(seen).unwrap();
    assert!(processor.is_some() || rt.metrics().retakes > 0, "a poll holds a P, unless it was taken");
    assert!(processor.is_none_or(|p| ["P0", "P1"].contains(&p.to_string().as_str())));
    assert!(machine.unwrap().to_string().starts_with('M'));
    assert_eq!(nested_id, None, "block_on's future is not a task");
    assert_ne!(nested_machine, machine, "a block_on is an M of its own");
    assert_eq!(rt.block_on(async { gmprt::task::id() }), None);
    assert!(rt.block_on(async { gmprt::task::machine() }).is_some());
    assert_eq!(gmprt::task::machine(), None, "the block_on is over");
}

#[test]
fn a_storm_of_spawned_tasks_is_joined_to_the_last() {
    let _watch = watch();
    let n = sized(50_000, 1_000_000) as u64;
    let rt = runtime(4);
    let sum = rt.block_on(async move {
        let feeder =
            gmprt::spawn(async move { (0..n).map(|i| gmprt::spawn(async move { i })).collect::<Vec<_>>() });
        let mut sum = 0;
        for handle in feeder.await.unwrap() {
            sum += handle.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, n * (n - 1) / 2);
}

#[test]
fn a_task_may_be_spawned_from_any_drop() {
    let _watch = watch();
    let rt = runtime(1);
    let ran = Count::default();
    let spawner = |ran: &Count| {
        let ran = ran.clone();
        OnDrop(move || {
            let ran = ran.clone();
            drop(gmprt::spawn(async move { ran.add() }));
        })
    };
    let in_future = spawner(&ran);
    drop(rt.spawn(async move { drop(in_future) }));
    let (in_output, gate) = (spawner(&ran), Gate::default());
    let inner = gate.clone();
    drop(rt.spawn(async move {
        inner.wait(); // until the handle is gone: else the output may be dropped here, in no runtime
        in_output
    }));
    gate.open();
    let aborted = spawner(&ran);
    let handle = rt.spawn(async move {
        let _aborted = aborted;
        pending::<()>().await;
    });
    handle.abort();
    assert!(rt.block_on(handle).unwrap_err().is_cancelled());
    until(|| ran.get() == 3);
}

// ---- the handle is dropped, and the output exactly once ----

#[test]
fn a_handle_dropped_before_the_task_ran_lets_it_run() {
    let _watch = watch();
    let rt = runtime(1);
    let (ran, dropped, gate) = (Count::default(), Count::default(), Gate::default());
    let holder = gate.clone();
    let first = rt.spawn(async move { holder.wait() });
    let (inner, output) = (ran.clone(), dropped.on_drop());
    drop(rt.spawn(async move {
        inner.add();
        output
    }));
    gate.open();
    rt.block_on(first).unwrap();
    until(|| dropped.get() == 1);
    drop(rt);
    assert_eq!((ran.get(), dropped.get()), (1, 1));
}

#[test]
fn a_handle_dropped_during_the_last_poll_leaves_the_output_to_the_runtime() {
    let _watch = watch();
    for _ in 0..sized(100, 1000) {
        let rt = runtime(1);
        let (dropped, gate, entered) = (Count::default(), Gate::default(), Gate::default());
        let (output, inner, begun) = (dropped.on_drop(), gate.clone(), entered.clone());
        let handle = rt.spawn(async move {
            begun.open();
            inner.wait();
            output
        });
        entered.wait();
        gate.open(); // from here on the drop below races with the completion
        drop(handle);
        drop(rt);
        assert_eq!(dropped.get(), 1);
    }
}

#[test]
fn a_handle_dropped_after_completion_drops_the_output_at_once() {
    let _watch = watch();
    let rt = runtime(1);
    let (dropped, on) = (Count::default(), Threads::default());
    let (count, threads) = (dropped.clone(), on.clone());
    let output = OnDrop(move || {
        count.add();
        threads.note();
    });
    let handle = rt.spawn(async move { output });
    until(|| handle.is_finished());
    assert_eq!(dropped.get(), 0);
    drop(handle);
    assert_eq!(dropped.get(), 1);
    assert!(on.contains_this());
    drop(rt);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn an_output_outlives_its_runtime_in_the_handle() {
    let _watch = watch();
    let rt = runtime(1);
    let dropped = Count::default();
    let output = dropped.on_drop();
    let mut handle = rt.spawn(async move { output });
    until(|| handle.is_finished());
    drop(rt);
    assert_eq!(dropped.get(), 0);
    let Poll::Ready(Ok(output)) = poll_once(&mut handle) else { panic!("the output is there") };
    drop(handle);
    assert_eq!(dropped.get(), 0);
    drop(output);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn a_handle_resolves_only_after_the_future_was_dropped() {
    let _watch = watch();
    let rt = runtime(3);
    for how in ["finished", "aborted", "panicked"].repeat(sized(30, 300)) {
        let dropped = Count::default();
        let count = dropped.clone();
        let slow = OnDrop(move || {
            (0..100).for_each(|_| thread::yield_now()); // gives a handle that resolves early its chance
            count.add();
        });
        let handle = rt.spawn(async move {
            let _slow = slow;
            match how {
                "finished" => gmprt::yield_now().await,
                "aborted" => pending().await,
                _ => std::panic::resume_unwind(Box::new("quiet")),
            }
        });
        if how == "aborted" {
            handle.abort();
        }
        until(|| handle.is_finished());
        assert_eq!(dropped.get(), 1, "{how}, seen by is_finished");
        assert_eq!(rt.block_on(handle).is_ok(), how == "finished");
    }
}

#[test]
fn is_finished_says_that_the_next_poll_of_the_handle_is_ready() {
    let _watch = watch();
    let rt = runtime(1);
    let signal = Signal::default();
    let inner = signal.clone();
    let mut handle = rt.spawn(async move { inner.wait().await });
    assert!(!handle.is_finished());
    assert!(poll_once(&mut handle).is_pending());
    signal.set();
    until(|| handle.is_finished());
    assert!(matches!(poll_once(&mut handle), Poll::Ready(Ok(()))));
    assert!(handle.is_finished());
}

// ---- sizes ----

#[repr(align(4096))]
struct Page([u8; 4096]);

/// Whether the value stays where it is over a yield, as it was written.
async fn stays(page: Page, n: u8) -> bool {
    let before = (&raw const page).addr();
    gmprt::yield_now().await;
    before == (&raw const page).addr() && before.is_multiple_of(4096) && page.0 == [n; 4096]
}

#[test]
fn over_aligned_futures_and_outputs_come_through() {
    let _watch = watch();
    let rt = runtime(2);
    for n in 0..50_u8 {
        let held = rt.spawn(stays(Page([n; 4096]), n));
        let returned = rt.spawn(async move { Page([n; 4096]) });
        assert!(rt.block_on(held).unwrap());
        let page = rt.block_on(returned).unwrap();
        assert!((&raw const page).addr().is_multiple_of(4096) && page.0 == [n; 4096]);
    }
}

#[test]
fn large_futures_and_outputs_and_empty_ones_come_through() {
    let _watch = watch();
    let rt = runtime(2);
    rt.block_on(rt.spawn(ready(()))).unwrap();
    for n in 0..50_u8 {
        let large = [n; 60_000];
        let held = rt.spawn(async move {
            gmprt::yield_now().await;
            large.iter().all(|&byte| byte == n)
        });
        let returned = rt.spawn(async move { [n; 60_000] });
        assert!(rt.block_on(held).unwrap());
        assert_eq!(rt.block_on(returned).unwrap(), [n; 60_000]);
    }
}

#[test]
fn every_small_size_of_future_keeps_its_bytes() {
    let _watch = watch();
    fn check<const N: usize>(rt: &gmprt::Runtime) {
        let tasks: Vec<_> = (0..20_u8)
            .map(|n| {
                let bytes = [n; N];
                rt.spawn(async move {
                    gmprt::yield_now().await;
                    bytes
                })
            })
            .collect();
        for (n, task) in (0..).zip(tasks) {
            assert_eq!(rt.block_on(task).unwrap(), [n; N]);
        }
    }
    macro_rules! sizes { ($($n:literal)*) => { let rt = runtime(2); $( check::<$n>(&rt); )* } }
    sizes!(0 1 7 8 15 16 31 33 63 65 100 127 128 129 200 255 257 400 511 513 800 1023 1025 1500 2047 2049 4095 4097);
}
