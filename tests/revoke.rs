//! Polls whose P is taken from them: everything that a task may do still works, in a process of its own where
//! that happens all the time (`GMPRT_TEST_REVOKE`), with membarrier and without, on all cores and on one.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{
    Count, Gate, Signal, child, child_on_one_core, is_child, own_waker, pend_once, runtime, until, watch,
};
use gmprt::{Handle, Runtime};
use std::future::{pending, poll_fn, ready};
use std::io::ErrorKind;
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::mpsc;
use std::task::Poll;

/// Runs `body` in processes in which Ps are taken away, of the test `name`, which is the caller.
fn in_children(name: &str, body: fn()) {
    let _watch = watch();
    if is_child(name) {
        return body();
    }
    let run = |mut command: Command, per_mille: &str, membarrier: bool| {
        command.env("GMPRT_TEST_REVOKE", per_mille).env_remove("GMPRT_TEST_NO_MEMBARRIER");
        if !membarrier {
            command.env("GMPRT_TEST_NO_MEMBARRIER", "1");
        }
        let ended = match command.output() {
            Err(error) if error.kind() == ErrorKind::NotFound => return, // no taskset
            ended => ended.unwrap(),
        };
        let said =
            format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        let passed = ended.status.success() && said.contains("1 passed");
        assert!(passed, "{per_mille} per mille, membarrier: {membarrier}: {}\n{said}", ended.status);
    };
    for membarrier in [true, false] {
        run(child(name), "500", membarrier);
    }
    run(child(name), "1000", true);
    run(child_on_one_core(name), "500", true);
}

/// Goes on in a poll whose P was taken.
async fn revoked() {
    while gmprt::task::processor().is_some() {
        gmprt::yield_now().await;
    }
}

/// Runs `test` on runtimes of several sizes, many times on each.
fn on_runtimes(test: impl Fn(&Runtime)) {
    for procs in [1, 2, 4] {
        let rt = runtime(procs);
        (0..20).for_each(|_| test(&rt));
        // Each of them ran in a poll whose P was taken, if it did as it should.
        assert!(rt.metrics().retakes >= 20, "{:?}", rt.metrics());
    }
}

macro_rules! revoked {
    ($(#[doc = $doc:literal] fn $name:ident() $body:block)*) => {$(
        #[doc = $doc]
        #[test]
        fn $name() {
            in_children(stringify!($name), || $body);
        }
    )*};
}

revoked! {
    /// A storm of spawns, yields, wakes and joins, in which polls are counted exactly.
    fn a_storm_runs_to_its_end_with_each_poll_counted() {
        for procs in [1, 2, 4, 64] {
            let rt = runtime(procs);
            let (polls, drops) = (Count::default(), Count::default());
            let (polled, dropped) = (polls.clone(), drops.clone());
            let root = rt.spawn(async move {
                let children: Vec<_> = (0..300_usize)
                    .map(|n| {
                        let (polled, guard) = (polled.clone(), dropped.on_drop());
                        gmprt::spawn(async move {
                            let _guard = guard;
                            for turn in 0..n % 10 {
                                polled.add();
                                if turn % 2 == 0 {
                                    gmprt::yield_now().await;
                                } else {
                                    own_waker().await.wake();
                                    pend_once().await;
                                }
                            }
                            polled.add();
                        })
                    })
                    .collect();
                for child in children {
                    child.await.unwrap();
                }
            });
            rt.block_on(root).unwrap();
            let exactly = 30 * (1..=10).sum::<usize>();
            assert_eq!((polls.get(), drops.get()), (exactly, 300));
            let metrics = rt.metrics();
            let all: u64 = metrics.processors.iter().map(|p| p.polls).sum();
            assert!(all >= exactly as u64);
            // At 500 per mille a quarter of the polls waits until its P is gone, if there is an M for it.
            assert!(metrics.retakes >= exactly as u64 / 10, "{} of {all}", metrics.retakes);
        }
    }

    /// A task spawned there runs, though it can't go into the P's queue.
    fn a_spawn_in_a_revoked_poll_runs() {
        on_runtimes(|rt| {
            let task = rt.spawn(async {
                revoked().await;
                assert!(gmprt::task::machine().is_some() && gmprt::task::id().is_some());
                let (one, two) = (gmprt::spawn(ready(3)), gmprt::spawn(async { 4 }));
                drop(gmprt::spawn(pending::<()>()));
                one.await.unwrap() * two.await.unwrap()
            });
            assert_eq!(rt.block_on(task).unwrap(), 12);
        });
    }

    /// Another task, and itself.
    fn a_wake_in_a_revoked_poll_reaches_its_task() {
        on_runtimes(|rt| {
            let signal = Signal::default();
            let (set, wait) = (signal.clone(), signal);
            let waiting = rt.spawn(async move { wait.wait().await });
            let waking = rt.spawn(async move {
                revoked().await;
                set.set();
                own_waker().await.wake_by_ref();
                pend_once().await;
            });
            rt.block_on(waiting).unwrap();
            rt.block_on(waking).unwrap();
        });
    }

    /// One poll more for each yield, and none is lost.
    fn a_yield_in_a_revoked_poll_comes_back_once() {
        on_runtimes(|rt| {
            let polls = Count::default();
            let polled = polls.clone();
            let task = rt.spawn(async move {
                revoked().await;
                let mut yielding = gmprt::yield_now();
                poll_fn(|cx| {
                    polled.add();
                    std::pin::Pin::new(&mut yielding).poll(cx)
                })
                .await;
            });
            rt.block_on(task).unwrap();
            assert_eq!(polls.get(), 2);
        });
    }

    /// Detached and joined, outputs and futures are dropped once.
    fn a_completion_in_a_revoked_poll_is_as_any() {
        on_runtimes(|rt| {
            let drops = Count::default();
            let (held, output, alone) = (drops.on_drop(), drops.on_drop(), drops.on_drop());
            let task = rt.spawn(async move {
                let _held = held;
                revoked().await;
                output
            });
            drop(rt.spawn(async move {
                revoked().await;
                alone
            }));
            drop(rt.block_on(task).unwrap());
            until(|| drops.get() == 3);
        });
    }

    /// The payload goes to the handle.
    fn a_panic_in_a_revoked_poll_reaches_the_handle() {
        on_runtimes(|rt| {
            let drops = Count::default();
            let held = drops.on_drop();
            let task = rt.spawn(async move {
                let _held = held;
                revoked().await;
                resume_unwind(Box::new("revoked"))
            });
            let error = rt.block_on(task).map(|(): ()| ()).unwrap_err();
            assert_eq!(error.into_panic().downcast_ref(), Some(&"revoked"));
            assert_eq!(drops.get(), 1);
        });
    }

    /// By a foreign thread, by itself, and of another task.
    fn an_abort_in_a_revoked_poll_cancels() {
        on_runtimes(|rt| {
            let (drops, entered, gate) = (Count::default(), Gate::default(), Gate::default());
            let (guard, begun, go_on) = (drops.on_drop(), entered.clone(), gate.clone());
            let task = rt.spawn(async move {
                let _guard = guard;
                revoked().await;
                begun.open();
                go_on.wait();
                pending::<()>().await;
            });
            entered.wait();
            task.abort();
            gate.open();
            assert!(rt.block_on(task).unwrap_err().is_cancelled());
            let (give, take) = mpsc::channel::<gmprt::task::JoinHandle<()>>();
            let guard = drops.on_drop();
            give.send(rt.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            }))
            .unwrap();
            let aborter = rt.spawn(async move {
                let other = take.recv().unwrap();
                revoked().await;
                other.abort();
                other.await.unwrap_err().is_cancelled()
            });
            assert!(rt.block_on(aborter).unwrap());
            assert_eq!(drops.get(), 2);
        });
    }

    /// There is no P to hand off, and the M is to come back without one.
    fn a_block_on_in_a_revoked_poll_ends() {
        on_runtimes(|rt| {
            let task = rt.spawn(async {
                revoked().await;
                let sum = Handle::current().block_on(async {
                    let one = gmprt::spawn(async { 1 });
                    gmprt::yield_now().await;
                    one.await.unwrap() + gmprt::spawn(async { 2 }).await.unwrap()
                });
                sum + gmprt::spawn(async { 4 }).await.unwrap()
            });
            assert_eq!(rt.block_on(task).unwrap(), 7);
        });
    }

    /// The only P goes on with others while the poll that lost it blocks its thread.
    fn a_p_that_was_taken_runs_others_meanwhile() {
        on_runtimes(|rt| {
            let (entered, gate) = (Gate::default(), Gate::default());
            let (begun, wait, open) = (entered.clone(), gate.clone(), gate);
            let blocked = rt.spawn(async move {
                revoked().await;
                begun.open();
                wait.wait();
            });
            entered.wait();
            rt.block_on(rt.spawn(async move { open.open() })).unwrap();
            rt.block_on(blocked).unwrap();
        });
    }

    /// The runtime ends while such a poll is in progress.
    fn a_runtime_dropped_during_revoked_polls_waits_for_them() {
        for _ in 0..50 {
            let rt = runtime(2);
            let (drops, entered, gate) = (Count::default(), Count::default(), Gate::default());
            for n in 0..4 {
                let (guard, begun, wait) = (drops.on_drop(), entered.clone(), gate.clone());
                drop(rt.spawn(async move {
                    let _guard = guard;
                    revoked().await;
                    begun.add();
                    wait.wait();
                    drop(gmprt::spawn(pending::<()>()));
                    match n {
                        0 => pending().await,
                        1 => gmprt::yield_now().await,
                        2 => poll_fn(|cx| {
                            cx.waker().wake_by_ref();
                            Poll::<()>::Pending
                        })
                        .await,
                        _ => {}
                    }
                }));
            }
            until(|| entered.get() == 4);
            gate.open();
            drop(rt);
            assert_eq!(drops.get(), 4);
        }
    }
}
