//! What `shutdown_timeout` promises to those who can't wait for ever.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Gate, runtime, stuck, threads_named, until, until_closing, watch};
use gmprt::Runtime;
use std::future::pending;
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(1);

#[test]
fn shutdown_timeout_is_ok_when_all_polls_return() {
    let _watch = watch();
    let rt = runtime(2);
    let drops = Count::default();
    let guard = drops.on_drop();
    drop(rt.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    rt.shutdown_timeout(Duration::MAX).unwrap();
    assert_eq!(drops.get(), 1);
}

#[test]
fn shutdown_timeout_does_not_name_a_task_whose_poll_returned_in_time() {
    let _watch = watch();
    let mut limit = Duration::from_millis(50);
    loop {
        let rt = runtime(3);
        let drops = Count::default();
        let ((early, let_go), (late, gate)) = (stuck(&rt, &drops), stuck(&rt, &drops));
        let handle = rt.handle();
        let (ended, begun, error) = thread::scope(|scope| {
            let in_time = scope.spawn(|| {
                until_closing(&handle);
                let_go.open();
                until(|| early.is_finished());
                Instant::now()
            });
            let begun = Instant::now();
            let error = rt.shutdown_timeout(limit).unwrap_err();
            gate.open();
            (in_time.join().unwrap(), begun, error)
        });
        assert!(error.late().contains(&late.id()));
        if ended < begun + limit / 2 {
            assert_eq!(error.late(), [late.id()], "{} was over in good time", early.id());
            return;
        }
        limit *= 2; // the machine is busy
    }
}

#[test]
fn shutdown_timeout_names_the_late_task_which_ends_when_its_poll_does() {
    let _watch = watch();
    for completes in [true, false] {
        let rt = Runtime::builder().procs(2).thread_name("late").build().unwrap();
        let (drops, idle) = (Count::default(), Count::default());
        let guard = idle.on_drop();
        drop(rt.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        }));
        until(|| rt.metrics().idle_processors == 2);
        let (gate, entered, guard) = (Gate::default(), Gate::default(), drops.on_drop());
        let (inner, begun) = (gate.clone(), entered.clone());
        let late = rt.spawn(async move {
            let _guard = guard;
            begun.open();
            inner.wait();
            if !completes {
                pending::<()>().await;
            }
        });
        entered.wait();
        let error = rt.shutdown_timeout(SOON).unwrap_err();
        assert_eq!(error.late(), [late.id()]);
        assert!(error.to_string().contains(&late.id().to_string()), "{error}");
        assert_eq!((drops.get(), idle.get()), (0, 1), "the others are cancelled");
        assert!(!late.is_finished());
        gate.open();
        until(|| late.is_finished());
        assert_eq!(drops.get(), 1);
        assert_eq!(runtime(1).block_on(late).is_ok(), completes);
        until(|| threads_named("late").is_empty());
    }
}
