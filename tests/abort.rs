//! What `abort` promises: the future is dropped once, by an M, whatever the task is doing meanwhile.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Gate, OnDrop, Threads, poll_once, revoking, runtime, sized, until, watch};
use gmprt::task::JoinHandle;
use std::future::{poll_fn, ready};
use std::sync::mpsc;
use std::task::Poll;
use std::thread;

/// A task that counts its polls and drops, notes where it is dropped, and never ends by itself.
fn endless(rt: &gmprt::Runtime) -> (JoinHandle<()>, Count, Count, Threads) {
    let (polls, drops, on) = (Count::default(), Count::default(), Threads::default());
    let (count, threads, polled) = (drops.clone(), on.clone(), polls.clone());
    let guard = OnDrop(move || {
        count.add();
        threads.note();
    });
    let handle = rt.spawn(async move {
        let _guard = guard;
        poll_fn(|_| {
            polled.add();
            Poll::<()>::Pending
        })
        .await;
    });
    (handle, polls, drops, on)
}

#[test]
fn abort_of_a_queued_task_drops_it_unpolled_on_an_m() {
    let _watch = watch();
    let rt = runtime(1);
    let (gate, entered) = (Gate::default(), Gate::default());
    let (inner, begun) = (gate.clone(), entered.clone());
    let blocker = rt.spawn(async move {
        begun.open();
        until(|| inner.is_open()); // it does not sleep: its P would be taken
    });
    entered.wait();
    let (handle, polls, drops, on) = endless(&rt);
    handle.abort();
    gate.open();
    assert!(rt.block_on(handle).unwrap_err().is_cancelled());
    assert_eq!(drops.get(), 1);
    assert!(polls.get() == 0 || revoking(), "its P was busy until the abort");
    assert!(!on.contains_this());
    rt.block_on(blocker).unwrap();
}

#[test]
fn abort_of_an_idle_task_drops_it_on_an_m_and_not_here() {
    let _watch = watch();
    let rt = runtime(1);
    for _ in 0..sized(200, 2000) {
        let (handle, polls, drops, on) = endless(&rt);
        until(|| polls.get() == 1);
        rt.block_on(rt.spawn(ready(()))).unwrap(); // one P: the poll before it is over
        handle.abort();
        assert!(!on.contains_this());
        let error = rt.block_on(handle).unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        assert_eq!((polls.get(), drops.get(), on.len()), (1, 1, 1));
        assert!(!on.contains_this());
    }
}

#[test]
fn abort_during_a_poll_waits_for_it_and_leaves_a_finished_one_its_output() {
    let _watch = watch();
    let rt = runtime(1);
    for finishes in [true, false] {
        let (gate, entered, drops) = (Gate::default(), Gate::default(), Count::default());
        let (inner, begun, guard) = (gate.clone(), entered.clone(), drops.on_drop());
        let mut handle = rt.spawn(async move {
            let _guard = guard;
            begun.open();
            inner.wait();
            if !finishes {
                common::pend_once().await;
            }
            7
        });
        entered.wait();
        handle.abort();
        assert!(poll_once(&mut handle).is_pending());
        assert_eq!(drops.get(), 0, "the poll goes on");
        gate.open();
        match rt.block_on(handle) {
            Ok(output) => assert!(finishes && output == 7),
            Err(error) => assert!(!finishes && error.is_cancelled()),
        }
        assert_eq!(drops.get(), 1);
    }
}

#[test]
fn abort_of_a_complete_task_does_nothing() {
    let _watch = watch();
    let rt = runtime(1);
    let handle = rt.spawn(ready(7));
    until(|| handle.is_finished());
    handle.abort();
    handle.abort();
    assert_eq!(rt.block_on(handle).unwrap(), 7);
}

#[test]
fn aborts_from_many_threads_cancel_a_task_once() {
    let _watch = watch();
    let rt = runtime(2);
    for _ in 0..sized(50, 500) {
        let (handle, polls, drops, on) = endless(&rt);
        let aborters = Threads::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    aborters.note();
                    (0..20).for_each(|_| handle.abort());
                    assert!(!on.contains_this());
                });
            }
        });
        assert!(rt.block_on(handle).unwrap_err().is_cancelled());
        assert_eq!(drops.get(), 1);
        assert!(polls.get() <= 1);
    }
}

#[test]
fn a_task_may_abort_itself_and_own_its_own_handle() {
    let _watch = watch();
    let rt = runtime(1);
    for ends in [false, true] {
        let drops = Count::default();
        let guard = drops.on_drop();
        let (give, take) = mpsc::channel::<JoinHandle<()>>();
        let handle = rt.spawn(async move {
            let _guard = guard;
            let own = take.recv().unwrap();
            own.abort();
            if !ends {
                own.await.unwrap();
            }
        });
        give.send(handle).unwrap();
        until(|| drops.get() == 1);
    }
    drop(rt);
}
