//! What once went wrong, each thing as small as it could be made. What a promise of the runtime is in general, the
//! other files test; here stands what nobody would think of testing who had not seen it fail.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{
    Count, Gate, OnDrop, child, is_child, own_waker, poll_once, revoking, runtime, sized, threads_named,
    until, watch,
};
use gmprt::{Handle, Runtime};
use std::future::{pending, poll_fn, ready};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Waits until a spawn on the runtime of `handle` is refused: its shutdown has begun.
fn until_closing(handle: &Handle) {
    until(|| {
        let mut refused = handle.spawn(ready(()));
        until(|| refused.is_finished());
        matches!(poll_once(&mut refused), Poll::Ready(Err(error)) if error.is_cancelled())
    });
}

/// A task on `rt` that waits for ever, once it has been polled; its waker.
fn idle(rt: &Handle, drops: &Count) -> (gmprt::task::JoinHandle<()>, Waker) {
    let (guard, (send, receive)) = (drops.on_drop(), mpsc::channel());
    let task = rt.spawn(async move {
        let _guard = guard;
        send.send(own_waker().await).unwrap();
        pending::<()>().await;
    });
    (task, receive.recv().unwrap())
}

// ---- the slots of a runtime that is gone ----

/// Such a waker's slot went into the cache of the new P, if the new scheduler lay where the old one had. The next task
/// then lived in a slot that its own runtime did not know: at the end its future was not dropped, and its handle never
/// resolved.
#[test]
fn the_last_waker_of_a_dead_runtime_dropped_in_a_task_of_the_next_takes_its_slot_home() {
    let _watch = watch();
    for _ in 0..sized(50, 300) {
        let old = runtime(1);
        let wakers: Vec<_> = (0..8).map(|_| idle(&old.handle(), &Count::default()).1).collect();
        drop(old);
        let next = runtime(1); // most likely at the same address
        let drops = Count::default();
        let count = drops.clone();
        let spawning = next.spawn(async move {
            drop(wakers);
            let spawn = |_| {
                let guard = count.on_drop();
                gmprt::spawn(async move {
                    let _guard = guard;
                    pending::<()>().await;
                })
            };
            (0..8).map(spawn).collect::<Vec<_>>()
        });
        let tasks = next.block_on(spawning).unwrap();
        drop(next);
        assert_eq!(drops.get(), 8);
        for mut task in tasks {
            assert!(matches!(poll_once(&mut task), Poll::Ready(Err(error)) if error.is_cancelled()));
        }
    }
}

/// With the old slot in its cache the new slab counted one slot too many as given back, and was freed at its runtime's
/// end though a waker still pointed into it.
#[test]
fn a_waker_outlives_its_runtime_though_a_dead_runtimes_waker_was_dropped_there() {
    let _watch = watch();
    for _ in 0..sized(50, 300) {
        let old = runtime(1);
        let (_, dead) = idle(&old.handle(), &Count::default());
        drop(old);
        let next = runtime(1);
        let drops = Count::default();
        let (task, waker) = idle(&next.handle(), &drops);
        next.block_on(next.spawn(async move { drop(dead) })).unwrap();
        drop((task, next));
        assert_eq!(drops.get(), 1);
        // What took the slab's memory, if it was free, is now in the task's place.
        let junk: Vec<_> = (0..64).map(|_| vec![0xa5_u8; 4096]).collect();
        assert!(waker.will_wake(&waker.clone()));
        waker.wake();
        assert!(junk.iter().flatten().all(|byte| *byte == 0xa5), "it wrote into freed memory");
    }
}

// ---- yields and block_on ----

/// The yield was noted, not needed, and then taken for one of the task that the same M polled next.
#[test]
fn a_yield_polled_by_a_task_that_ends_in_that_poll_is_not_the_next_tasks() {
    let _watch = watch();
    let rt = runtime(1);
    let polls = Count::default();
    let polled = polls.clone();
    let first = rt.spawn(async move {
        drop(gmprt::spawn(poll_fn(move |_| {
            polled.add();
            Poll::<()>::Pending
        })));
        let mut yielding = pin!(gmprt::yield_now());
        poll_fn(|cx| {
            assert!(yielding.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    });
    rt.block_on(first).unwrap();
    until(|| polls.get() > 0);
    (0..5).for_each(|_| rt.block_on(rt.spawn(ready(()))).unwrap());
    assert_eq!(polls.get(), 1, "nobody woke it");
}

/// The revoker took the P between the M's declaration that it blocks and the moment its lease was gone: two held one P.
/// In a process of its own, in which each poll asks for a revocation. It took some hundred thousand rounds to be seen,
/// for which `GMPRT_LONG` is set.
#[test]
fn a_block_on_nested_in_a_loop_under_revocation_loses_no_p_and_doubles_none() {
    const NAME: &str = "a_block_on_nested_in_a_loop_under_revocation_loses_no_p_and_doubles_none";
    let _watch = watch();
    if !is_child(NAME) {
        let ended = child(NAME).env("GMPRT_TEST_REVOKE", "1000").output().unwrap();
        let passed = ended.status.success() && String::from_utf8_lossy(&ended.stdout).contains("1 passed");
        assert!(passed, "{ended:?}");
        return;
    }
    let rt = runtime(3);
    let long = std::env::var_os("GMPRT_LONG").is_some();
    let (rounds, done) = (if long { 30_000 } else { sized(1000, 5000) }, Count::default());
    let tasks: Vec<_> = (0..6)
        .map(|n| {
            let count = done.clone();
            rt.spawn(async move {
                for round in 0..rounds {
                    // The answer to the request may come anywhere.
                    (0..(round + n) % 200 * 20).for_each(|_| std::hint::spin_loop());
                    Handle::current().block_on(async { count.add() });
                    gmprt::yield_now().await;
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    assert_eq!(done.get(), 6 * rounds);
    let metrics = rt.metrics();
    assert!(metrics.retakes > 0 && metrics.handoffs > 0, "{metrics:?}");
    until(|| rt.metrics().idle_processors == 3); // and not 2, or 4
}

/// An M had waited in line; then the P was given up with work in its queue, no other M was to be had, and so it was
/// owed one, which only an M that stops would have taken.
#[test]
fn a_p_given_up_with_work_goes_to_the_m_that_waits_in_line() {
    let _watch = watch();
    for _ in 0..sized(20, 200) {
        let rt = Runtime::builder().procs(1).max_threads(2).build().unwrap();
        let (let_go, held) = gmprt::chan::bounded::<()>(1);
        let (answer, answered) = gmprt::chan::bounded::<()>(1);
        let (begun, over) = (Gate::default(), Gate::default());
        let (say_begun, say_over) = (begun.clone(), over.clone());
        let (say_thread, thread) = mpsc::channel();
        let in_line = rt.spawn(async move {
            say_thread.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
            say_begun.open();
            Handle::current().block_on(async {
                held.recv().await.unwrap();
                say_over.open();
            });
            answer.send(()).await.unwrap();
        });
        begun.wait();
        let gives_up = rt.spawn(async move {
            let_go.send(()).await.unwrap(); // we have the P: the other M can't go on
            over.wait();
            let status = std::path::Path::new("/proc").join(thread.recv().unwrap()).join("status");
            // In line it sleeps, and this thread is the only other.
            until(|| std::fs::read_to_string(&status).unwrap().contains("State:\tS"));
            drop(gmprt::spawn(ready(())));
            Handle::current().block_on(async { answered.recv().await.unwrap() });
        });
        rt.block_on(gives_up).unwrap();
        rt.block_on(in_line).unwrap();
        let metrics = rt.metrics();
        // Or sysmon was faster, and took the P from the poll that waits.
        assert!(metrics.handoffs + metrics.retakes >= 2, "{metrics:?}");
    }
}

/// Back from the nested one, the caller waited in line for a P, whose holder waited for what this caller does next.
#[test]
fn a_caller_of_block_on_that_comes_back_from_a_nested_one_waits_for_no_p() {
    let _watch = watch();
    let rt = runtime(1);
    let (entered, go_on) = (Gate::default(), Gate::default());
    let (begun, wait) = (entered.clone(), go_on.clone());
    let output = rt.block_on(async {
        let mut task = None;
        Handle::current().block_on(async {
            task = Some(gmprt::spawn(async move {
                begun.open();
                wait.wait();
                7
            }));
            gmprt::yield_now().await; // gives the P up
            entered.wait();
        });
        let task = task.unwrap();
        assert!(!task.is_finished());
        go_on.open();
        task.await
    });
    assert_eq!(output.unwrap(), 7);
}

// ---- the end ----

/// It sat in the queue of the P of the poll that had spawned it until that poll returned, neither run nor cancelled.
#[test]
fn a_task_spawned_in_a_poll_while_the_runtime_closes_is_cancelled_during_that_poll() {
    let _watch = watch();
    for procs in [1, 2] {
        let rt = runtime(procs);
        let (entered, closing) = (Gate::default(), Gate::default());
        let (begun, go_on, drops) = (entered.clone(), closing.clone(), Count::default());
        let count = drops.clone();
        let mut polling = rt.spawn(async move {
            begun.open();
            go_on.wait();
            let guard = count.on_drop();
            let mut late = gmprt::spawn(async move { drop(guard) });
            until(|| late.is_finished());
            let cancelled = matches!(poll_once(&mut late), Poll::Ready(Err(error)) if error.is_cancelled());
            (cancelled, count.get())
        });
        entered.wait();
        let handle = rt.handle();
        thread::scope(|scope| {
            scope.spawn(|| {
                until_closing(&handle);
                closing.open();
            });
            drop(rt);
        });
        let Poll::Ready(Ok(seen)) = poll_once(&mut polling) else { panic!("its poll was waited for") };
        assert_eq!(seen, (true, 1));
    }
}

/// How a poll ends that is in progress while its runtime closes; its future owns another runtime.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    Pending,
    Woken,
    Yielded,
    /// The other runtime goes to a task that is spawned only then.
    Spawned,
}

/// A task of `two` drops `one`, and waits for its Ms. One of those has a task that owns `two`: it goes on when `one` is
/// closing, or, unless `after`, at any moment.
fn circle(ends: Ends, after: bool, procs: usize) {
    let build = || Runtime::builder().procs(procs).thread_name("regress").build().unwrap();
    let (one, two) = (build(), build());
    let (of_one, of_two) = (one.handle(), two.handle());
    let (drops, entered, gate) = (Count::default(), Gate::default(), Gate::default());
    let (guard, begun, go_on) = (drops.on_drop(), entered.clone(), gate.clone());
    let mut owned = Some((Mutex::new(two), guard));
    drop(of_one.spawn(poll_fn(move |cx| {
        begun.open();
        go_on.wait();
        match ends {
            Ends::Pending => {}
            Ends::Woken => cx.waker().wake_by_ref(),
            Ends::Yielded => assert!(pin!(gmprt::yield_now()).poll(cx).is_pending()),
            Ends::Spawned => {
                let owned = owned.take();
                drop(gmprt::spawn(async move {
                    let _owned = owned;
                    pending::<()>().await;
                }));
            }
        }
        let _keeps = &owned;
        Poll::<()>::Pending
    })));
    entered.wait();
    let dropping = Gate::default();
    let say = dropping.clone();
    let dropper = of_two.spawn(async move {
        say.open();
        drop(one);
        7
    });
    dropping.wait();
    if after {
        until_closing(&of_one);
    }
    gate.open();
    // It began its poll, so it is waited for; and it completed in it.
    assert_eq!(runtime(1).block_on(dropper).unwrap(), 7, "{ends:?}");
    until(|| drops.get() == 1);
    drop((of_one, of_two));
    until(|| threads_named("regress-m").is_empty());
    assert_eq!(drops.get(), 1);
}

/// The circle was looked for only from inside a task's poll. The M that cancelled a task after its poll, as it left, or
/// as the last one that swept up, waited for the other runtime, which waited for this M.
#[test]
fn two_runtimes_end_though_one_is_dropped_by_an_m_of_the_other_outside_of_any_poll() {
    let _watch = watch();
    for round in 0..sized(20, 100) {
        for ends in [Ends::Pending, Ends::Woken, Ends::Yielded, Ends::Spawned] {
            circle(ends, true, 1 + round % 2);
            circle(ends, false, 1 + round % 2);
        }
    }
}

// ---- sysmon ----

/// A foreign waker ran on an M that counted as looking for work; no submit woke anybody until it returned.
#[test]
fn work_is_begun_while_a_timers_waker_blocks() {
    struct Blocks(Gate, Gate);
    impl Wake for Blocks {
        fn wake(self: Arc<Self>) {
            self.0.open();
            self.1.wait();
        }
    }
    if revoking() {
        return; // a poll whose P was taken is made to yield, and calls this waker itself
    }
    let _watch = watch();
    for procs in [1, 2] {
        let rt = runtime(procs);
        let (entered, go_on) = (Gate::default(), Gate::default());
        let waker = Waker::from(Arc::new(Blocks(entered.clone(), go_on.clone())));
        // On a busy machine one may be over before it is polled.
        let mut waits = None;
        rt.block_on(async {
            while waits.is_none() {
                let mut sleep = gmprt::time::sleep(Duration::from_millis(2));
                let polled = Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker));
                waits = polled.is_pending().then_some(sleep);
            }
        });
        entered.wait();
        for _ in 0..5 {
            let task = rt.spawn(ready(()));
            until(|| task.is_finished());
        }
        go_on.open();
    }
}

/// A poll that spawned, or set timers, all the time was found inside the runtime at each look, or withdrew each
/// revocation, and so was never known for a hog.
#[test]
fn a_hog_that_enters_the_runtime_all_the_time_loses_its_p_too() {
    let _watch = watch();
    for timers in [false, true] {
        let rt = runtime(1);
        let (begun, over) = (Gate::default(), Gate::default());
        let (say_begun, is_over) = (begun.clone(), over.clone());
        let hog = rt.spawn(async move {
            say_begun.open();
            while !is_over.is_open() {
                if timers {
                    let mut far = gmprt::time::sleep(Duration::from_secs(3600));
                    let _ = Pin::new(&mut far).poll(&mut Context::from_waker(Waker::noop()));
                } else {
                    drop(gmprt::spawn(ready(())));
                    (0..1000).for_each(|_| std::hint::spin_loop()); // or they would be millions
                }
            }
        });
        begun.wait();
        rt.block_on(rt.spawn(async move { over.open() })).unwrap();
        rt.block_on(hog).unwrap();
    }
}

/// The flag set for a poll that computed for more than its slice made the next poll yield.
#[test]
fn a_slice_that_is_over_with_its_poll_concerns_no_other() {
    let _watch = watch();
    for _ in 0..20 {
        let rt = runtime(1);
        let log = Arc::new(Mutex::new(Vec::new()));
        let entries = Arc::clone(&log);
        let tasks = rt.spawn(async move {
            let task = |n| {
                let entries = Arc::clone(&entries);
                gmprt::spawn(async move {
                    let (tx, rx) = gmprt::chan::bounded(1);
                    tx.try_send(n).unwrap();
                    let n = rx.recv().await.unwrap(); // it is there: no reason to wait
                    entries.lock().unwrap().push(n);
                })
            };
            let tasks: Vec<_> = (0..4).map(task).collect();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(25) {}
            tasks
        });
        for task in rt.block_on(tasks).unwrap() {
            rt.block_on(task).unwrap();
        }
        let metrics = rt.metrics();
        if metrics.retakes + metrics.retakes_hogs == 0 {
            assert_eq!(*log.lock().unwrap(), [3, 0, 1, 2]);
            return;
        }
        assert_eq!(log.lock().unwrap().len(), 4); // a P was taken: any order will do; once more
    }
    assert!(common::revoking(), "a P was taken in each of 20 rounds, though no task blocks");
}

// ---- a broken stderr ----

/// The line about a panic that nobody hears of was printed with `eprintln`, which panics if it can't: on an M, where a
/// panic is the end of the process.
#[test]
fn a_report_that_nobody_can_read_ends_nothing() {
    const NAME: &str = "a_report_that_nobody_can_read_ends_nothing";
    let _watch = watch();
    if !is_child(NAME) {
        let (nobody, broken) = std::io::pipe().unwrap();
        drop(nobody);
        let ended = child(NAME).stderr(broken).output().unwrap();
        let passed = ended.status.success() && String::from_utf8_lossy(&ended.stdout).contains("1 passed");
        assert!(passed, "{ended:?}");
        return;
    }
    let rt = runtime(1);
    let drops = Count::default();
    for n in 1..=3 {
        let (count, gate) = (drops.clone(), Gate::default());
        let (held, go_on) = (OnDrop(move || count.add()), gate.clone());
        drop(rt.spawn(async move {
            let _held = held;
            go_on.wait();
            resume_unwind(Box::new("unseen"));
        }));
        gate.open();
        until(|| drops.get() == n);
        assert_eq!(rt.block_on(rt.spawn(ready(7))).unwrap(), 7);
    }
}
