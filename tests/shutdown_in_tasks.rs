//! A runtime dropped where it can't be waited for, or where waiting could close a circle: never a hang.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Gate, OnDrop, Signal, poll_once, runtime, sized, threads_named, until, watch};
use gmprt::task::JoinHandle;
use gmprt::{Handle, Runtime};
use std::future::{pending, ready};
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

fn named(name: &str, procs: usize) -> Runtime {
    Runtime::builder().procs(procs).thread_name(name).build().unwrap()
}

/// A task that waits for ever, so that there is something to cancel. Its first poll may not quite be over: then
/// it is cancelled when that is.
fn idle(rt: &Runtime, drops: &Count) {
    let (guard, polled) = (drops.on_drop(), Gate::default());
    let begun = polled.clone();
    drop(rt.spawn(async move {
        let _guard = guard;
        begun.open();
        pending::<()>().await;
    }));
    polled.wait();
}

/// A task on `rt`, in its poll already, that is given a runtime, and does with it what it likes.
fn given<T: Send + 'static>(
    rt: &Runtime,
    f: impl FnOnce(Runtime) -> T + Send + 'static,
) -> (JoinHandle<T>, mpsc::Sender<Runtime>) {
    let (give, take) = mpsc::channel();
    let (entered, begun) = mpsc::channel();
    let task = rt.spawn(async move {
        entered.send(()).unwrap();
        f(take.recv().unwrap())
    });
    begun.recv().unwrap(); // else it may be cancelled before it has begun
    (task, give)
}

#[test]
fn a_runtime_dropped_in_its_own_task_ends_and_the_task_completes() {
    let _watch = watch();
    for round in 0..sized(100, 1000) {
        let rt = named("own", 1 + round % 3);
        let drops = Count::default();
        idle(&rt, &drops);
        let (task, give) = given(&rt, |rt| {
            drop(rt);
            gmprt::spawn(ready(())) // on a runtime that is over
        });
        give.send(rt).unwrap();
        let other = runtime(1);
        let spawned = other.block_on(task).unwrap();
        assert!(other.block_on(spawned).unwrap_err().is_cancelled());
        until(|| drops.get() == 1);
        until(|| threads_named("own-m").is_empty());
    }
}

#[test]
fn a_task_that_pends_after_dropping_its_own_runtime_is_cancelled() {
    let _watch = watch();
    let drops = Count::default();
    for n in 1..=sized(50, 500) {
        let rt = named("pends", 2);
        let (give, take) = mpsc::channel::<Runtime>();
        let guard = drops.on_drop();
        let task = rt.spawn(async move {
            let _guard = guard;
            drop(take.recv().unwrap());
            gmprt::yield_now().await;
        });
        give.send(rt).unwrap();
        assert!(runtime(1).block_on(task).unwrap_err().is_cancelled());
        assert_eq!(drops.get(), n);
        until(|| threads_named("pends-m").is_empty());
    }
}

#[test]
fn shutdown_timeout_in_its_own_task_names_that_task() {
    let _watch = watch();
    let rt = runtime(2);
    let drops = Count::default();
    idle(&rt, &drops);
    let (task, give) = given(&rt, |rt| rt.shutdown_timeout(Duration::from_millis(1)).unwrap_err());
    let id = task.id();
    give.send(rt).unwrap();
    assert!(runtime(1).block_on(task).unwrap().late().contains(&id));
    until(|| drops.get() == 1);
}

#[test]
fn shutdown_timeout_without_end_in_its_own_task_does_not_hang() {
    let _watch = watch();
    let rt = runtime(2);
    let (task, give) = given(&rt, |rt| drop(rt.shutdown_timeout(Duration::MAX)));
    give.send(rt).unwrap();
    runtime(1).block_on(task).unwrap();
}

#[test]
fn a_runtime_dropped_in_a_task_of_another_is_waited_for_and_the_other_goes_on() {
    let _watch = watch();
    for _ in 0..sized(50, 500) {
        let (one, two) = (runtime(1), named("victim", 2));
        let drops = Count::default();
        idle(&two, &drops);
        let (gate, entered) = (Gate::default(), Gate::default());
        let (inner, begun) = (gate.clone(), entered.clone());
        drop(two.spawn(async move {
            begun.open();
            inner.wait();
        }));
        entered.wait();
        let count = drops.clone();
        let (task, give) = given(&one, move |two| {
            drop(two);
            count.get()
        });
        give.send(two).unwrap();
        // The only P of `one` is free again, though that task waits for the poll on `two`.
        one.block_on(one.spawn(async move { gate.open() })).unwrap();
        assert_eq!(one.block_on(task).unwrap(), 1);
        until(|| threads_named("victim-m").is_empty());
    }
}

#[test]
fn two_runtimes_dropped_by_each_others_tasks_both_end() {
    let _watch = watch();
    for round in 0..sized(100, 1000) {
        let (one, two) = (named("circle", 1 + round % 2), named("circle", 1 + round % 3));
        let drops = Count::default();
        idle(&one, &drops);
        idle(&two, &drops);
        let (in_one, give_one) = given(&one, drop);
        let (in_two, give_two) = given(&two, drop);
        thread::scope(|scope| {
            scope.spawn(move || give_one.send(two).unwrap());
            give_two.send(one).unwrap();
        });
        let judge = runtime(1);
        judge.block_on(in_one).unwrap();
        judge.block_on(in_two).unwrap();
        until(|| drops.get() == 2);
        until(|| threads_named("circle-m").is_empty());
        assert_eq!(drops.get(), 2);
    }
}

#[test]
fn three_runtimes_dropped_round_a_circle_all_end() {
    let _watch = watch();
    for _ in 0..sized(50, 500) {
        let mut runtimes: Vec<_> = (0..3).map(|_| named("ring", 1)).collect();
        let (tasks, givers): (Vec<_>, Vec<_>) = runtimes.iter().map(|rt| given(rt, drop)).unzip();
        runtimes.rotate_left(1);
        thread::scope(|scope| {
            for (give, rt) in givers.into_iter().zip(runtimes) {
                scope.spawn(move || give.send(rt).unwrap());
            }
        });
        let judge = runtime(1);
        tasks.into_iter().for_each(|task| judge.block_on(task).unwrap());
        until(|| threads_named("ring-m").is_empty());
    }
}

#[test]
fn a_runtime_dropped_in_a_nested_block_on_of_its_own_task_ends() {
    let _watch = watch();
    for other_inside in [false, true] {
        let (rt, other) = (named("nested", 1), runtime(1));
        let handle = if other_inside { other.handle() } else { rt.handle() };
        let (task, give) = given(&rt, move |rt| {
            handle.block_on(async {
                gmprt::yield_now().await;
                drop(rt);
                gmprt::yield_now().await;
            });
        });
        give.send(rt).unwrap();
        other.block_on(task).unwrap();
        until(|| threads_named("nested-m").is_empty());
    }
}

#[test]
fn a_runtime_that_a_future_or_an_output_owns_ends_with_it() {
    let _watch = watch();
    let rt = runtime(1);
    for how in ["finished", "output", "aborted", "own", "at shutdown"] {
        let drops = Count::default();
        let owned = named("owned", 1);
        idle(&owned, &drops);
        let spawner = if how == "own" { owned.handle() } else { rt.handle() };
        let (give, take) = mpsc::channel();
        let future = async move {
            let owned: Runtime = take.recv().unwrap();
            if how == "finished" {
                drop(owned);
                return None;
            }
            if how == "output" {
                return Some(owned);
            }
            pending().await
        };
        if how == "at shutdown" {
            let outer = runtime(2);
            give.send(owned).unwrap();
            drop(outer.spawn(future));
            drop(outer);
        } else {
            let task = spawner.spawn(future);
            give.send(owned).unwrap();
            if how == "aborted" || how == "own" {
                task.abort();
            }
            drop(task);
        }
        until(|| drops.get() == 1);
        until(|| threads_named("owned-m").is_empty());
    }
}

#[test]
fn a_handle_of_a_task_on_a_dropped_runtime_wakes_a_nested_block_on() {
    let _watch = watch();
    let (one, two) = (runtime(1), runtime(1));
    let polled = Signal::default();
    let begun = polled.clone();
    let victim = two.spawn(pending::<()>());
    let task = one.spawn(async move {
        Handle::current().block_on(async {
            begun.set();
            victim.await.unwrap_err().is_cancelled()
        })
    });
    one.block_on(polled.wait());
    drop(two);
    assert!(one.block_on(task).unwrap());
}

#[test]
fn the_drops_at_the_end_find_their_runtime_current_and_closing() {
    let _watch = watch();
    let rt = runtime(3);
    let (say, said) = mpsc::channel();
    let at_end = OnDrop(move || {
        let handle = Handle::current();
        say.send((handle.metrics().processors.len(), handle.spawn(ready(())))).unwrap();
    });
    let polled = Signal::default();
    let begun = polled.clone();
    drop(rt.spawn(async move {
        let _at_end = at_end;
        begun.set();
        pending::<()>().await;
    }));
    rt.block_on(polled.wait());
    drop(rt);
    let (procs, mut refused) = said.recv().unwrap();
    assert_eq!(procs, 3);
    assert!(matches!(poll_once(&mut refused), Poll::Ready(Err(error)) if error.is_cancelled()));
}
