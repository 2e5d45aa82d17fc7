//! The end of a runtime: what has begun is waited for, what has not is cancelled, each future is dropped once.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{
    Count, Gate, OnDrop, Signal, own_waker, poll_once, runtime, sized, stuck, threads_named, until,
    until_closing, watch,
};
use gmprt::Runtime;
use std::future::{pending, ready};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::thread;

// ---- what drop does to tasks ----

#[test]
fn drop_cancels_idle_tasks_and_drops_their_futures_once_before_it_returns() {
    let _watch = watch();
    for procs in [1, 4] {
        let rt = runtime(procs);
        let (drops, polled) = (Count::default(), Count::default());
        let mut handles: Vec<_> = (0..1000)
            .map(|_| {
                let (guard, polled) = (drops.on_drop(), polled.clone());
                rt.spawn(async move {
                    let _guard = guard;
                    polled.add();
                    pending::<()>().await;
                })
            })
            .collect();
        until(|| polled.get() == 1000);
        drop(handles.split_off(500)); // nobody holds these
        assert_eq!(drops.get(), 0);
        drop(rt);
        assert_eq!(drops.get(), 1000);
        for handle in &mut handles {
            let Poll::Ready(Err(error)) = poll_once(handle) else { panic!("it was cancelled") };
            assert!(error.is_cancelled());
        }
        drop(handles);
        assert_eq!(drops.get(), 1000);
    }
}

#[test]
fn drop_cancels_queued_tasks_unpolled_wherever_they_queue() {
    let _watch = watch();
    let rt = runtime(1);
    let (drops, polls) = (Count::default(), Count::default());
    let (gate, entered) = (Gate::default(), Gate::default());
    let task = |drops: &Count, polls: &Count| {
        let (guard, polls) = (drops.on_drop(), polls.clone());
        async move {
            let _guard = guard;
            polls.add();
        }
    };
    let (inner, begun, count, polled) = (gate.clone(), entered.clone(), drops.clone(), polls.clone());
    let blocker = rt.spawn(async move {
        // runnext, the ring, and its overflow into the injector; then others from a foreign thread.
        (0..700).for_each(|_| drop(gmprt::spawn(task(&count, &polled))));
        begun.open();
        until(|| inner.is_open()); // it does not sleep: its P would be taken
    });
    entered.wait();
    let late: Vec<_> = (0..300).map(|_| rt.spawn(task(&drops, &polls))).collect();
    let handle = rt.handle();
    thread::scope(|scope| {
        scope.spawn(|| {
            until_closing(&handle);
            gate.open();
        });
        drop(rt);
    });
    assert_eq!(drops.get(), 1000);
    assert!(polls.get() == 0 || common::revoking(), "the only P was busy until the end");
    assert!(late.iter().all(|task| task.is_finished()) && blocker.is_finished());
}

#[test]
fn drop_waits_for_a_poll_that_has_begun() {
    let _watch = watch();
    let rt = runtime(2);
    let drops = Count::default();
    let (mut handle, gate) = stuck(&rt, &drops);
    let runtime_handle = rt.handle();
    thread::scope(|scope| {
        scope.spawn(|| {
            until_closing(&runtime_handle);
            assert_eq!(drops.get(), 0);
            gate.open();
        });
        drop(rt);
        assert!(gate.is_open(), "drop returned before the poll was over");
        assert_eq!(drops.get(), 1);
    });
    assert!(matches!(poll_once(&mut handle), Poll::Ready(Ok(7))), "that poll completed it");
}

#[test]
fn a_future_dropped_at_the_end_may_spawn_wake_abort_and_drop_handles() {
    let _watch = watch();
    for procs in [1, 3] {
        let rt = runtime(procs);
        let (drops, wakers) = (Count::default(), Arc::new(Mutex::new(Vec::new())));
        let mut previous = None;
        for _ in 0..100 {
            let (count, guard, all) = (drops.clone(), drops.on_drop(), Arc::clone(&wakers));
            let other: Option<gmprt::task::JoinHandle<()>> = previous.take();
            let (polled, begun) = mpsc::channel();
            let at_end = OnDrop(move || {
                if let Some(other) = &other {
                    other.abort();
                }
                all.lock().unwrap().iter().for_each(std::task::Waker::wake_by_ref);
                let guard = count.on_drop();
                drop(gmprt::spawn(async move { drop(guard) }));
            });
            let all = Arc::clone(&wakers);
            previous = Some(rt.spawn(async move {
                let _both = (at_end, guard);
                let own = own_waker().await;
                all.lock().unwrap().push(own);
                polled.send(()).unwrap();
                pending::<()>().await;
            }));
            begun.recv().unwrap();
        }
        drop((rt, previous));
        assert_eq!(drops.get(), 200);
    }
}

// ---- spawn at and after the end ----

#[test]
fn a_spawn_after_the_end_drops_the_future_and_resolves_to_cancelled() {
    let _watch = watch();
    let rt = runtime(1);
    let handle = rt.handle();
    drop(rt);
    let drops = Count::default();
    for n in 1..=10 {
        let guard = drops.on_drop();
        let mut task = handle.spawn(async move { drop(guard) });
        assert_eq!(drops.get(), n);
        assert!(task.is_finished());
        task.abort();
        assert!(matches!(poll_once(&mut task), Poll::Ready(Err(error)) if error.is_cancelled()));
    }
}

#[test]
fn spawns_and_wakes_that_race_with_the_end_lose_nothing() {
    let _watch = watch();
    let (spawned, dropped) = (Count::default(), Count::default());
    for round in 0..sized(500, 2000) {
        let rt = runtime(1 + round % 3);
        let started = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                let (handle, spawned, dropped, started) = (rt.handle(), &spawned, &dropped, &started);
                scope.spawn(move || {
                    let wakers = Arc::new(Mutex::new(Vec::new()));
                    loop {
                        spawned.add();
                        let (guard, all) = (dropped.on_drop(), Arc::clone(&wakers));
                        let task = handle.spawn(async move {
                            let _guard = guard;
                            let own = own_waker().await;
                            all.lock().unwrap().push(own);
                            gmprt::yield_now().await;
                            drop(gmprt::spawn(gmprt::yield_now()));
                            common::pend_once().await;
                        });
                        started.fetch_add(1, SeqCst);
                        let some: Vec<_> = std::mem::take(&mut *wakers.lock().unwrap());
                        some.into_iter().for_each(std::task::Waker::wake);
                        let refused = spawned.get() % 8 == 0 && {
                            let mut probe = handle.spawn(ready(()));
                            until(|| probe.is_finished());
                            matches!(poll_once(&mut probe), Poll::Ready(Err(_)))
                        };
                        drop(task);
                        if refused {
                            return;
                        }
                    }
                });
            }
            until(|| started.load(SeqCst) >= round % 20);
            drop(rt);
        });
        assert_eq!(spawned.get(), dropped.get(), "round {round}");
    }
}

#[test]
fn a_handle_is_awaited_on_another_runtime_when_its_own_is_gone() {
    let _watch = watch();
    let (one, two) = (runtime(1), runtime(1));
    let handle = one.spawn(pending::<()>());
    let waiting = two.spawn(async move { handle.await.unwrap_err().is_cancelled() });
    let (after, done) = (one.spawn(ready(7)), one.spawn(pending::<()>()));
    until(|| after.is_finished());
    drop(one);
    assert!(two.block_on(waiting).unwrap());
    assert_eq!(two.block_on(after).unwrap(), 7);
    assert!(two.block_on(two.spawn(done)).unwrap().unwrap_err().is_cancelled());
}

#[test]
fn what_a_dead_runtime_left_behind_never_enters_the_next_one() {
    let _watch = watch();
    let mut kept = Vec::new();
    for _ in 0..sized(50, 500) {
        let rt = runtime(1);
        let (done, waker) = (rt.spawn(ready(7)), rt.spawn(own_waker()));
        until(|| done.is_finished() && waker.is_finished());
        drop(rt);
        let next = runtime(1); // most likely at the same address
        let waker = next.block_on(async {
            let (output, waker) = (done.await.unwrap(), waker.await.unwrap());
            assert_eq!(output, 7);
            waker
        });
        // The empty slots of the dead one are given back while the next one runs tasks.
        next.block_on(next.spawn(async move { drop(waker) })).unwrap();
        kept.extend((0..200).map(|_| next.spawn(ready(7)))); // takes slots, and outlives it in turn
    }
    assert!(kept.iter().all(|handle| handle.is_finished()));
}

#[test]
fn a_block_on_elsewhere_goes_on_when_the_runtime_is_dropped() {
    let _watch = watch();
    for _ in 0..sized(50, 500) {
        let rt = runtime(1);
        let (handle, polled, signal) = (rt.handle(), Gate::default(), Signal::default());
        thread::scope(|scope| {
            let (begun, wait) = (polled.clone(), signal.clone());
            let elsewhere = scope.spawn(move || {
                handle.block_on(async {
                    let task = gmprt::spawn(pending::<()>());
                    begun.open();
                    let cancelled = task.await.unwrap_err().is_cancelled();
                    wait.wait().await;
                    (cancelled, gmprt::spawn(ready(())).await.is_err())
                })
            });
            polled.wait();
            drop(rt);
            signal.set();
            assert_eq!(elsewhere.join().unwrap(), (true, true));
        });
    }
}

// ---- threads ----

#[test]
fn no_thread_is_left_when_drop_returns() {
    let _watch = watch();
    for round in 0..sized(50, 300) {
        let rt = Runtime::builder().procs(4).thread_name("leftover").build().unwrap();
        let tasks: Vec<_> = (0..round * 4).map(|_| rt.spawn(gmprt::yield_now())).collect();
        if round % 2 == 0 {
            tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        }
        until(|| !threads_named("leftover").is_empty()); // a new thread names itself
        drop(rt);
        // The kernel takes a joined thread out of /proc a little later.
        until(|| threads_named("leftover").is_empty());
    }
}

#[test]
fn a_runtime_may_be_dropped_in_its_own_block_on() {
    let _watch = watch();
    for _ in 0..sized(50, 500) {
        let rt = runtime(1);
        let (drops, done) = (Count::default(), AtomicBool::new(false));
        let (handle, guard) = (rt.handle(), drops.on_drop());
        handle.block_on(async {
            drop(gmprt::spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            }));
            drop(rt);
            assert_eq!(drops.get(), 1);
            gmprt::yield_now().await;
            done.store(gmprt::spawn(ready(())).await.unwrap_err().is_cancelled(), SeqCst);
        });
        assert!(done.load(SeqCst));
    }
}
