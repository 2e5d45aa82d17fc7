//! What a runtime promises while it lives: how it is built, `block_on` in all its nestings, and handles.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Gate, Signal, runtime, sized, until, until_in_task, watch};
use gmprt::{Builder, Handle, Runtime};
use std::cell::{Cell, RefCell};
use std::future::ready;
use std::io::ErrorKind::InvalidInput;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;

// ---- the builder ----

#[test]
fn bad_settings_are_refused_with_a_sentence_that_says_what_is_allowed() {
    let refused: [(Builder, &[&str]); 8] = [
        (Runtime::builder().procs(0), &["procs", "from 1 to 65535", "not 0"]),
        (Runtime::builder().procs(65_536), &["procs", "from 1 to 65535", "not 65536"]),
        (Runtime::builder().procs(usize::MAX), &["procs", "from 1 to 65535"]),
        (Runtime::builder().procs(2).max_threads(2), &["max_threads", "at least", "is 3, not 2"]),
        (Runtime::builder().max_threads(0), &["max_threads", "at least", "not 0"]),
        (Runtime::builder().max_threads(64).procs(64), &["max_threads", "at least", "is 65, not 64"]),
        (Runtime::builder().procs(65_535).max_threads(65_535), &["max_threads", "is 65536"]),
        (Runtime::builder().thread_name("a\0b"), &["thread_name", "NUL"]),
    ];
    for (builder, said) in refused {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), InvalidInput);
        let text = error.to_string();
        assert!(said.iter().all(|part| text.contains(part)), "{text:?} does not say {said:?}");
    }
}

#[test]
fn the_smallest_and_large_settings_work() {
    let _watch = watch();
    for (procs, max_threads) in [(1, 2), (64, 65), (1000, 1001), (3, usize::MAX)] {
        let rt = Runtime::builder().procs(procs).max_threads(max_threads).build().unwrap();
        assert_eq!(rt.block_on(rt.spawn(async { gmprt::spawn(ready(7)).await.unwrap() })).unwrap(), 7);
        assert_eq!(rt.metrics().processors.len(), procs);
        assert!(rt.metrics().threads <= max_threads);
    }
}

#[test]
fn threads_bear_the_name_they_are_given() {
    let _watch = watch();
    let rt = Runtime::builder().procs(1).thread_name("zebra").build().unwrap();
    let name = rt.spawn(async { thread::current().name().map(str::to_owned) });
    let name = rt.block_on(name).unwrap().unwrap();
    assert!(name.starts_with("zebra-m"), "{name}");
    assert!(!common::threads_named("zebra-m").is_empty());
}

// ---- block_on ----

#[test]
fn block_on_takes_a_future_that_is_neither_send_nor_static() {
    let _watch = watch();
    let rt = runtime(1);
    let (text, caller) = (String::from("borrowed"), thread::current().id());
    let shared = Rc::new(RefCell::new(Vec::new()));
    let other = Rc::clone(&shared);
    let length = rt.block_on(async {
        for n in 0..10 {
            other.borrow_mut().push(n);
            gmprt::spawn(gmprt::yield_now()).await.unwrap();
            assert_eq!(thread::current().id(), caller, "it never leaves its thread");
        }
        text.len()
    });
    assert_eq!((length, shared.borrow().len()), (8, 10));
}

#[test]
fn a_panic_in_block_on_passes_through_and_leaves_the_runtime_as_it_was() {
    let _watch = watch();
    let rt = runtime(1);
    for yields in 0..3 {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            rt.block_on(async {
                for _ in 0..yields {
                    gmprt::spawn(ready(())).await.unwrap();
                }
                resume_unwind(Box::new("mine"))
            })
        }))
        .map(|(): ()| ());
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"mine"));
        assert!(Handle::try_current().is_none(), "the context is left");
        assert_eq!(rt.block_on(rt.spawn(ready(7))).unwrap(), 7, "and its P is not lost");
    }
}

#[test]
fn block_on_serves_many_threads_at_once() {
    let _watch = watch();
    let rt = runtime(2);
    let sum = AtomicUsize::new(0);
    thread::scope(|scope| {
        for n in 0..8 {
            let (rt, sum) = (&rt, &sum);
            scope.spawn(move || {
                for _ in 0..sized(200, 2000) {
                    let got = rt.block_on(async move {
                        gmprt::yield_now().await;
                        gmprt::spawn(async move { n }).await.unwrap()
                    });
                    sum.fetch_add(got, SeqCst);
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), 28 * sized(200, 2000));
}

#[test]
fn block_on_is_woken_by_a_foreign_thread() {
    let _watch = watch();
    let rt = runtime(1);
    for _ in 0..sized(200, 2000) {
        let signal = Signal::default();
        let other = signal.clone();
        let thread = thread::spawn(move || other.set());
        rt.block_on(signal.wait());
        thread.join().unwrap();
    }
}

#[test]
fn run_builds_a_runtime_and_ends_it() {
    let _watch = watch();
    let (drops, mut task) = (Count::default(), None);
    let guard = drops.on_drop();
    gmprt::run(async {
        task = Some(gmprt::spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }));
    })
    .unwrap();
    assert_eq!(drops.get(), 1);
    assert!(task.unwrap().is_finished());
}

// ---- block_on in a task ----

#[test]
fn a_nested_block_on_lets_its_only_p_go_on_with_others() {
    let _watch = watch();
    let rt = runtime(1);
    for _ in 0..sized(50, 500) {
        let (signal, other) = (Signal::default(), Signal::default());
        let (wait, set) = (signal.clone(), other.clone());
        let blocked = rt.spawn(async move {
            Handle::current().block_on(async {
                set.set();
                wait.wait().await;
            });
            (gmprt::task::id(), gmprt::task::processor())
        });
        let id = blocked.id();
        // It runs on the only P while `blocked` still is in its poll.
        let helper = rt.spawn(async move {
            other.wait().await;
            gmprt::yield_now().await;
            signal.set();
        });
        rt.block_on(helper).unwrap();
        let (own_id, processor) = rt.block_on(blocked).unwrap();
        assert_eq!(own_id, Some(id), "the task is itself again");
        assert!(processor.is_some() || rt.metrics().retakes > 0, "and has a P again");
    }
    assert!(rt.metrics().handoffs >= 1);
}

#[test]
fn what_a_nested_block_on_spawns_runs() {
    let _watch = watch();
    for (outer, inner) in [(1, 1), (1, 2), (2, 1)] {
        let (rt, other) = (runtime(outer), runtime(inner));
        let (own, foreign) = (rt.handle(), other.handle());
        let sum = rt.spawn(async move {
            let mut sum = 0;
            for handle in [own, foreign] {
                for _ in 0..20 {
                    sum += handle.block_on(async {
                        let tasks: Vec<_> = (0..10).map(|n| gmprt::spawn(async move { n })).collect();
                        let mut sum = 0;
                        for task in tasks {
                            sum += task.await.unwrap();
                        }
                        sum
                    });
                }
            }
            sum
        });
        assert_eq!(rt.block_on(sum).unwrap(), 2 * 20 * 45);
    }
}

#[test]
fn block_on_nests_three_deep_over_two_runtimes_and_back() {
    let _watch = watch();
    let (one, two) = (runtime(1), runtime(1));
    let (a, b) = (one.handle(), two.handle());
    let depth = one.spawn(async move {
        b.block_on(async {
            gmprt::yield_now().await;
            let of_two = gmprt::spawn(async { 1 });
            a.block_on(async {
                let of_one = gmprt::spawn(async { 10 });
                b.block_on(async {
                    let innermost = gmprt::spawn(async { 100 });
                    of_two.await.unwrap() + of_one.await.unwrap() + innermost.await.unwrap()
                })
            })
        })
    });
    assert_eq!(one.block_on(depth).unwrap(), 111);
    assert_eq!(two.block_on(two.spawn(ready(7))).unwrap(), 7);
}

#[test]
fn a_panic_in_a_nested_block_on_is_the_tasks_and_no_p_is_lost() {
    let _watch = watch();
    let rt = runtime(1);
    for _ in 0..20 {
        let task = rt.spawn(async {
            Handle::current().block_on(async {
                gmprt::yield_now().await;
                resume_unwind(Box::new("nested"))
            })
        });
        let error = rt.block_on(task).map(|(): ()| ()).unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&"nested"));
    }
    assert_eq!(rt.block_on(rt.spawn(ready(7))).unwrap(), 7);
}

#[test]
fn at_the_limit_of_threads_work_waits_and_nothing_fails() {
    let _watch = watch();
    let rt = Runtime::builder().procs(1).max_threads(2).build().unwrap();
    let (signal, entered, done) = (Signal::default(), Count::default(), Count::default());
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let (signal, entered, done) = (signal.clone(), entered.clone(), done.clone());
            rt.spawn(async move {
                Handle::current().block_on(async {
                    entered.add();
                    signal.wait().await;
                });
                done.add();
            })
        })
        .collect();
    until(|| entered.get() == 2); // both threads are blocked: nobody is left
    until(|| rt.metrics().failed_starts > 0);
    assert_eq!((entered.get(), done.get()), (2, 0));
    assert_eq!(rt.metrics().threads, 2);
    signal.set();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    assert_eq!((entered.get(), done.get()), (6, 6));
}

// ---- handles, several runtimes ----

#[test]
fn current_is_the_innermost_runtime() {
    let _watch = watch();
    assert!(Handle::try_current().is_none());
    let payload = catch_unwind(Handle::current).map(drop).unwrap_err();
    let said = payload.downcast_ref::<&str>().map(ToString::to_string);
    let said = said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap();
    assert!(said.contains("no gmprt runtime here"), "{said}");
    assert!(catch_unwind(|| gmprt::spawn(ready(()))).is_err());
    let (one, two) = (runtime(1), runtime(2));
    let procs = || Handle::current().metrics().processors.len();
    let other = two.handle();
    assert_eq!(one.block_on(async { (procs(), other.block_on(async { procs() }), procs()) }), (1, 2, 1));
    let in_task = one.spawn(async move { (procs(), other.block_on(async { procs() }), procs()) });
    assert_eq!(one.block_on(in_task).unwrap(), (1, 2, 1));
    assert!(Handle::try_current().is_none());
    thread::spawn(|| assert!(Handle::try_current().is_none())).join().unwrap();
}

#[test]
fn a_spawned_task_belongs_to_the_runtime_of_the_handle() {
    let _watch = watch();
    let (one, two) = (runtime(1), runtime(2));
    let other = two.handle();
    let procs = one.spawn(async move {
        other.spawn(async { Handle::current().metrics().processors.len() }).await.unwrap()
    });
    assert_eq!(one.block_on(procs).unwrap(), 2);
}

#[test]
fn tasks_of_many_runtimes_pass_a_token_round() {
    let _watch = watch();
    let rounds = sized(500, 5000);
    let runtimes: Vec<Runtime> = (1..=5).map(runtime).collect();
    let (mut senders, mut receivers): (Vec<_>, Vec<_>) =
        runtimes.iter().map(|_| gmprt::chan::bounded::<usize>(1)).unzip();
    senders.rotate_left(1);
    let first = senders.last().unwrap().clone();
    let tasks: Vec<_> = runtimes
        .iter()
        .map(|rt| {
            let (tx, rx) = (senders.remove(0), receivers.remove(0));
            rt.spawn(async move {
                let mut seen = 0;
                while let Ok(token) = rx.recv().await {
                    seen += 1;
                    if tx.send(token + 1).await.is_err() || token >= rounds * 5 {
                        break;
                    }
                }
                seen
            })
        })
        .collect();
    drop(senders);
    first.send_blocking(0).unwrap();
    drop(first);
    let seen: Vec<usize> = tasks.into_iter().map(|task| runtimes[0].block_on(task).unwrap()).collect();
    assert!(seen.iter().all(|&seen| seen >= rounds), "{seen:?}");
}

#[test]
fn a_task_that_blocks_its_thread_does_not_keep_the_other_p_from_work() {
    let _watch = watch();
    let rt = runtime(2);
    let (gate, done) = (Gate::default(), Count::default());
    let (inner, count) = (gate.clone(), done.clone());
    let blocker = rt.spawn(async move {
        // Into this P's own queues, of which the other P must take them.
        (0..500).for_each(|_| {
            let count = count.clone();
            drop(gmprt::spawn(async move { count.add() }));
        });
        inner.wait();
    });
    until(|| done.get() == 500);
    gate.open();
    rt.block_on(blocker).unwrap();
}

#[test]
fn a_handle_outlives_its_runtime_and_still_runs_what_needs_no_task() {
    let _watch = watch();
    let rt = runtime(1);
    let handle = rt.handle();
    drop(rt);
    let local = Cell::new(0);
    assert_eq!(
        handle.block_on(async {
            gmprt::yield_now().await;
            local.set(7);
            local.get()
        }),
        7
    );
    assert!(handle.block_on(handle.spawn(ready(()))).unwrap_err().is_cancelled());
    assert_eq!(handle.metrics().threads, 0);
}

#[test]
fn a_block_on_that_waits_holds_no_p() {
    let _watch = watch();
    let rt = runtime(1);
    let (signal, polled) = (Signal::default(), Gate::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            rt.block_on(async {
                polled.open();
                signal.wait().await;
            });
        });
        polled.wait();
        let (give, take) = mpsc::channel();
        drop(rt.spawn(async move { give.send(7).unwrap() }));
        assert_eq!(take.recv(), Ok(7));
        until(|| rt.metrics().idle_processors == 1);
        signal.set();
    });
    let turns = Arc::new(AtomicUsize::new(0));
    rt.block_on(until_in_task(|| turns.fetch_add(1, SeqCst) == 10));
}
