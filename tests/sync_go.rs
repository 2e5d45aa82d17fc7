//! What Go's own tests of package `sync` assert, asserted of gmprt; each test names Go's beside it.
//!
//! Go counterpart: `sync/mutex_test.go`, `sync/cond_test.go`, `sync/waitgroup_test.go` (Go 1.27). The programs are ours; what
//! they hold is Go's. Each runs with one P and with four.
//!
//! Not here:
//!
//! - `TestMutexMisuse`: nothing can be unlocked that is not locked, for the guard is the only way to unlock.
//! - `TestSemaphore`: the runtime's semaphore, which Go keeps to itself; here the waiters' nodes take its place
//!   (`runtime/sync/wait_queue.rs`).
//! - `TestCondCopy`: Rust does not copy a `Cond`, and `vet` is not needed.
//! - `TestWaitGroupAlign`: the compiler aligns an `AtomicU64`, also on a 32-bit machine.

mod common;

use std::collections::HashSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{runtime, sized, watch};
use gmprt::chan;
use gmprt::sync::{Cond, Mutex, WaitGroup};
use gmprt::{select, spawn, time, yield_now};

/// Runs it with one P, then with four.
#[track_caller]
fn with_one_and_four<F, Fut>(f: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let _watch = watch();
    for procs in [1, 4] {
        let rt = runtime(procs);
        // As a task, for the future of a block_on is none, and Go's main is.
        rt.block_on(rt.spawn(f())).unwrap();
    }
}

// ---- mutex_test.go ----

/// Go: `TestMutex`, `HammerMutex`. That nobody is in it beside another Go leaves to the race detector; here what is counted
/// under the lock says so.
#[test]
fn a_hammered_mutex_is_held_by_one_at_a_time() {
    const LOOPS: usize = 1000;
    with_one_and_four(|| async {
        let mutex = Arc::new(Mutex::new(0_usize));
        let guard = mutex.lock().await;
        assert!(mutex.try_lock().is_none(), "try_lock of a locked mutex");
        drop(guard);
        assert!(mutex.try_lock().is_some(), "try_lock of an unlocked mutex");

        let (held, locked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let hammers: Vec<_> = (0..10)
            .map(|_| {
                let (mutex, held, locked) = (mutex.clone(), held.clone(), locked.clone());
                spawn(async move {
                    for n in 0..LOOPS {
                        let guard = if n % 3 == 0 { mutex.try_lock() } else { Some(mutex.lock().await) };
                        let Some(mut guard) = guard else { continue };
                        assert_eq!(held.fetch_add(1, SeqCst), 0, "two hold the mutex");
                        *guard += 1;
                        locked.fetch_add(1, SeqCst);
                        held.fetch_sub(1, SeqCst);
                    }
                })
            })
            .collect();
        for hammer in hammers {
            hammer.await.unwrap();
        }
        let times = *mutex.lock().await;
        assert_eq!(times, locked.load(SeqCst));
        assert!(times >= 10 * (LOOPS - LOOPS.div_ceil(3)), "each lock() that was waited for counts");
    });
}

/// Go: `TestMutexFairness`. One task has the lock nearly always; it sleeps while it holds, and locks again at once. The other
/// gets its turn nevertheless. Go gives it 10 s; here the watchdog does.
#[test]
fn who_locks_again_and_again_does_not_keep_others_out() {
    with_one_and_four(|| async {
        let mutex = Arc::new(Mutex::new(()));
        let (stop_tx, stop) = chan::bounded::<()>(0);
        let holds = mutex.clone();
        let greedy = spawn(async move {
            loop {
                let guard = holds.lock().await;
                time::sleep(Duration::from_micros(100)).await;
                drop(guard);
                select! {
                    _ = stop.recv() => return,
                    default => {}
                }
            }
        });
        let modest = spawn(async move {
            for _ in 0..10 {
                time::sleep(Duration::from_micros(100)).await;
                drop(mutex.lock().await);
            }
        });
        modest.await.unwrap();
        stop_tx.close();
        greedy.await.unwrap();
    });
}

// ---- cond_test.go ----

/// A mutex and its Cond, with what the mutex guards.
struct Shared<T>(Mutex<T>, Cond);

fn shared<T>(value: T) -> Arc<Shared<T>> {
    Arc::new(Shared(Mutex::new(value), Cond::new()))
}

/// Go: `TestCondSignal`.
#[test]
fn a_signal_wakes_one() {
    with_one_and_four(|| async {
        const N: usize = 2;
        let shared = shared(());
        let (running_tx, running) = chan::bounded(N);
        let (awake_tx, awake) = chan::bounded(N);
        for _ in 0..N {
            let (shared, running, awake) = (shared.clone(), running_tx.clone(), awake_tx.clone());
            drop(spawn(async move {
                let guard = shared.0.lock().await;
                running.send(()).await.unwrap();
                let guard = shared.1.wait(guard).await;
                awake.send(()).await.unwrap();
                drop(guard);
            }));
        }
        for _ in 0..N {
            running.recv().await.unwrap();
        }
        for _ in 0..N {
            assert!(awake.try_recv().is_err(), "awake without a signal");
            let guard = shared.0.lock().await; // has been given up by those who wait
            shared.1.signal();
            drop(guard);
            awake.recv().await.unwrap();
            assert!(awake.try_recv().is_err(), "a signal has woken two");
        }
        shared.1.signal();
    });
}

/// Go: `TestCondSignalGenerations`. A signal wakes who waits already, not who comes next.
#[test]
fn signals_wake_the_waiters_in_the_order_in_which_they_came() {
    with_one_and_four(|| async {
        const N: usize = 100;
        let shared = shared(());
        let (running_tx, running) = chan::bounded(N);
        let (awake_tx, awake) = chan::bounded(N);
        for i in 0..N {
            let (waits, running_tx, awake_tx) = (shared.clone(), running_tx.clone(), awake_tx.clone());
            drop(spawn(async move {
                let guard = waits.0.lock().await;
                running_tx.send(()).await.unwrap();
                let guard = waits.1.wait(guard).await;
                awake_tx.send(i).await.unwrap();
                drop(guard);
            }));
            if i > 0 {
                assert_eq!(awake.recv().await, Ok(i - 1), "who was woken");
            }
            running.recv().await.unwrap();
            let guard = shared.0.lock().await;
            shared.1.signal();
            drop(guard);
        }
        assert_eq!(awake.recv().await, Ok(N - 1));
    });
}

/// Go: `TestCondBroadcast`, with fewer rounds in a debug build.
#[test]
fn a_broadcast_wakes_each_waiter_once() {
    with_one_and_four(|| async {
        let n = sized(50, 200);
        let shared = shared(false); // whether they are to leave
        let (running_tx, running) = chan::bounded(n);
        let (awake_tx, awake) = chan::bounded(n);
        let tasks: Vec<_> = (0..n)
            .map(|i| {
                let (shared, running, awake) = (shared.clone(), running_tx.clone(), awake_tx.clone());
                spawn(async move {
                    let mut leave = shared.0.lock().await;
                    while !*leave {
                        running.send(()).await.unwrap();
                        leave = shared.1.wait(leave).await;
                        awake.send(i).await.unwrap();
                    }
                })
            })
            .collect();
        for round in 1..=n {
            for _ in 0..n {
                running.recv().await.unwrap();
            }
            if round == n {
                *shared.0.lock().await = true;
            }
            assert!(awake.try_recv().is_err(), "awake without a broadcast");
            let guard = shared.0.lock().await;
            shared.1.broadcast();
            drop(guard);
            let mut seen = HashSet::new();
            for _ in 0..n {
                let i = awake.recv().await.unwrap();
                assert!(seen.insert(i), "{i} was woken twice in round {round}");
            }
        }
        assert!(running.try_recv().is_err(), "a task waits again though it was to leave");
        shared.1.broadcast();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Go: `TestRace`. Three tasks pass a number on by signals, whoever comes first: 1, 2, 3.
#[test]
fn what_was_written_before_a_signal_is_seen_after_the_wait() {
    with_one_and_four(|| async {
        let shared = shared(0);
        let first = shared.clone();
        let first = spawn(async move {
            let mut x = first.0.lock().await;
            *x = 1;
            let mut x = first.1.wait(x).await;
            assert_eq!(*x, 2);
            *x = 3;
            first.1.signal();
        });
        let second = shared.clone();
        let second = spawn(async move {
            loop {
                let mut x = second.0.lock().await;
                if *x == 1 {
                    *x = 2;
                    second.1.signal();
                    return;
                }
                drop(x);
                yield_now().await;
            }
        });
        let third = spawn(async move {
            loop {
                let x = shared.0.lock().await;
                if *x == 2 {
                    assert_eq!(*shared.1.wait(x).await, 3);
                    return;
                }
                if *x == 3 {
                    return;
                }
                drop(x);
                yield_now().await;
            }
        });
        for task in [first, second, third] {
            task.await.unwrap();
        }
    });
}

/// Go: `TestCondSignalStealing`. A broadcast wakes who waited before it, though another begins to wait at the same time.
#[test]
fn a_newcomer_does_not_take_the_wake_of_who_waited_before() {
    with_one_and_four(|| async {
        for _ in 0..sized(200, 1000) {
            let shared = shared(false);
            let (tx, rx) = chan::bounded(0);
            let waits = shared.clone();
            drop(spawn(async move {
                let guard = waits.0.lock().await;
                tx.send("locked").await.unwrap();
                drop(waits.1.wait(guard).await);
                tx.send("woken").await.unwrap();
            }));
            assert_eq!(rx.recv().await, Ok("locked"));
            drop(shared.0.lock().await); // it waits now, for it has given the lock up

            let tells = shared.clone();
            drop(spawn(async move { tells.1.broadcast() }));
            let comes = shared.clone();
            let newcomer = spawn(async move {
                let done = comes.0.lock().await;
                drop(comes.1.wait_while(done, |done| !*done).await);
            });
            assert_eq!(rx.recv().await, Ok("woken"));
            *shared.0.lock().await = true;
            shared.1.broadcast();
            newcomer.await.unwrap();
        }
    });
}

// ---- waitgroup_test.go ----

/// Go: `TestWaitGroup`, `testWaitGroup`. Two groups are a barrier, eight times over.
#[test]
fn two_groups_make_a_barrier_again_and_again() {
    with_one_and_four(|| async {
        const N: usize = 16;
        let (first, second) = (WaitGroup::new(), WaitGroup::new());
        for _ in 0..8 {
            first.add(N as isize);
            second.add(N as isize);
            let (exited_tx, exited) = chan::bounded(N);
            for _ in 0..N {
                let (first, second, exited) = (first.clone(), second.clone(), exited_tx.clone());
                drop(spawn(async move {
                    first.done();
                    second.wait().await;
                    exited.send(()).await.unwrap();
                }));
            }
            first.wait().await;
            for _ in 0..N {
                assert!(exited.try_recv().is_err(), "released too soon");
                second.done();
            }
            for _ in 0..N {
                exited.recv().await.unwrap();
            }
        }
    });
}

/// Go: `TestWaitGroupMisuse`.
#[test]
fn a_counter_below_zero_panics() {
    let group = WaitGroup::new();
    group.add(1);
    group.done();
    let panic = catch_unwind(AssertUnwindSafe(|| group.done())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"sync: negative WaitGroup counter"));
}

/// Go: `TestWaitGroupRace`.
#[test]
fn a_wait_does_not_return_before_all_are_done() {
    with_one_and_four(|| async {
        for _ in 0..1000 {
            let (group, n) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
            for _ in 0..2 {
                group.add(1);
                let (group, n) = (group.clone(), n.clone());
                drop(spawn(async move {
                    n.fetch_add(1, SeqCst);
                    group.done();
                }));
            }
            group.wait().await;
            assert_eq!(n.load(SeqCst), 2);
        }
    });
}

/// Go: `TestWaitGroupGo`.
#[test]
fn a_task_of_the_group_is_waited_for() {
    with_one_and_four(|| async {
        let (group, n) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        let counts = n.clone();
        drop(group.spawn(async move { counts.fetch_add(1, SeqCst) }));
        group.wait().await;
        assert_eq!(n.load(SeqCst), 1);
    });
}

/// Go: `TestIssue76126`, the other way round: in Go a panic in `wg.Go` ends the process, and `Wait` must not return before. Here
/// it ends the task, which counts as done, so that nobody waits for ever; the handle has the panic.
#[test]
fn a_task_of_the_group_that_panics_is_done() {
    with_one_and_four(|| async {
        let group = WaitGroup::new();
        let task = group.spawn(async { panic!("on purpose") });
        group.wait().await;
        let error = task.await.unwrap_err();
        assert!(error.is_panic());
    });
}
