//! Polls and closures that block their thread: those behind them run all the same, and they come back to a P.
//!
//! A poll that blocks without a word is found out by sysmon; `block_in_place`, a nested `block_on` and
//! `spawn_blocking` declare it. Nothing here is timed: what must go on opens the gate of what waits for it.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Gate, Rng, Signal, own_waker, pend_once, poll_once, revoking, runtime, until, watch};
use gmprt::task::JoinHandle;
use gmprt::{Handle, Runtime, block_in_place, spawn, spawn_blocking, yield_now};
use std::cell::RefCell;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

fn on_one_and_four(test: impl Fn(&Runtime)) {
    for procs in [1, 4] {
        test(&runtime(procs));
    }
}

/// Blocks the thread until a task that is spawned here has run. Where there is one P, that is when somebody else has it.
fn block_until_another_ran() {
    let gate = Gate::default();
    let open = gate.clone();
    drop(spawn(async move { open.open() }));
    gate.wait();
    let only_one = Handle::current().metrics().processors.len() == 1;
    assert!(!only_one || gmprt::task::processor().is_none(), "a poll got its P back");
}

/// Spawns `n` tasks, and blocks the thread until all have run.
fn block_until_all_ran(n: usize) {
    let (tell, told) = mpsc::channel();
    for number in 0..n {
        let tell = tell.clone();
        drop(spawn(async move { tell.send(number).unwrap() }));
    }
    let mut numbers: Vec<_> = (0..n).map(|_| told.recv().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..n), "each ran once");
}

/// What was logged, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<usize>>>);

impl Log {
    fn add(&self, number: usize) {
        self.0.lock().unwrap().push(number);
    }

    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

// ---- blocked without a word ----

#[test]
fn tasks_behind_a_blocked_poll_run() {
    let _watch = watch();
    for procs in [1, 4] {
        let rt = runtime(procs);
        // More than the ring holds; and each P has such a poll, so that none helps another.
        let tasks: Vec<_> = (0..2 * procs).map(|_| rt.spawn(async { block_until_all_ran(300) })).collect();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        assert!(rt.metrics().retakes >= 1 || procs > 1, "{:?}", rt.metrics());
    }
}

#[test]
fn tasks_behind_a_poll_that_sleeps_again_and_again_run() {
    let _watch = watch();
    // As long as sysmon's own longest sleeps, while work waits and while none does; and shorter.
    for sleep in [Duration::from_micros(700), Duration::from_millis(1), Duration::from_millis(10)] {
        on_one_and_four(|rt| {
            let tasks: Vec<_> = (0..rt.metrics().processors.len())
                .map(|_| {
                    rt.spawn(async move {
                        let ran = Count::default();
                        let inner = ran.clone();
                        drop(spawn(async move { inner.add() }));
                        while ran.get() == 0 {
                            thread::sleep(sleep); // sleep: a poll that sleeps is what is tested
                        }
                    })
                })
                .collect();
            tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        });
    }
}

#[test]
fn a_blocked_poll_is_waited_for_by_its_siblings_alone() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let (gate, others) = (Gate::default(), Count::default());
        let (wait, open, count) = (gate.clone(), gate, others.clone());
        // Two futures of one task: the second is polled when the first has ceased to block.
        let task = rt.spawn(async move {
            let (mut blocked, mut sibling) =
                (Box::pin(async move { wait.wait() }), Box::pin(async { count.get() }));
            let Poll::Ready(()) = poll_once(&mut blocked) else { panic!("it does not wait") };
            sibling.as_mut().await
        });
        let other = rt.spawn(async move {
            others.add();
            open.open();
        });
        assert_eq!(rt.block_on(task).unwrap(), 1, "the sibling came after the other task");
        rt.block_on(other).unwrap();
    });
}

#[test]
fn the_output_of_a_poll_that_lost_its_p_arrives_and_all_is_dropped_once() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let drops = Count::default();
        let (held, output, alone) = (drops.on_drop(), drops.on_drop(), drops.on_drop());
        let joined = rt.spawn(async move {
            let _held = held;
            block_until_another_ran();
            output
        });
        drop(rt.spawn(async move {
            block_until_another_ran();
            alone
        }));
        let output = rt.block_on(rt.spawn(joined)).unwrap().unwrap();
        until(|| drops.get() == 2);
        drop(output);
        assert_eq!(drops.get(), 3);
    });
}

#[test]
fn a_panic_in_a_poll_that_lost_its_p_reaches_the_handle_and_the_m_goes_on() {
    let _watch = watch();
    on_one_and_four(|rt| {
        for _ in 0..20 {
            let drops = Count::default();
            let held = drops.on_drop();
            let task = rt.spawn(async move {
                let _held = held;
                block_until_another_ran();
                resume_unwind(Box::new("blocked"))
            });
            let error = rt.block_on(task).map(|(): ()| ()).unwrap_err();
            assert_eq!(error.into_panic().downcast_ref(), Some(&"blocked"));
            assert_eq!(drops.get(), 1);
        }
        assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7);
        let threads = rt.metrics().threads;
        assert!(threads <= rt.metrics().processors.len() + 2 || revoking(), "{threads} threads");
    });
}

#[test]
fn an_abort_of_a_blocked_task_takes_effect_when_its_poll_ends() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let (drops, entered, gate) = (Count::default(), Gate::default(), Gate::default());
        let (guard, begun, wait) = (drops.on_drop(), entered.clone(), gate.clone());
        let mut task = rt.spawn(async move {
            let _guard = guard;
            block_until_another_ran();
            begun.open();
            wait.wait();
            pending::<()>().await;
        });
        entered.wait();
        task.abort();
        rt.block_on(rt.spawn(ready(()))).unwrap();
        assert!(!task.is_finished() && drops.get() == 0, "a poll in progress is left alone");
        assert!(poll_once(&mut task).is_pending());
        gate.open();
        assert!(rt.block_on(task).unwrap_err().is_cancelled());
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn wakes_of_a_blocked_task_make_one_more_poll() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let (polls, waker) = (Count::default(), Arc::new(Mutex::new(None::<Waker>)));
        let (polled, own, entered, gate) = (polls.clone(), waker.clone(), Gate::default(), Gate::default());
        let (begun, wait) = (entered.clone(), gate.clone());
        let task = rt.spawn(std::future::poll_fn(move |cx| {
            polled.add();
            if polled.get() > 1 {
                return Poll::Ready(());
            }
            *own.lock().unwrap() = Some(cx.waker().clone());
            block_until_another_ran();
            begun.open();
            wait.wait();
            Poll::Pending
        }));
        entered.wait();
        let waker = waker.lock().unwrap().take().unwrap();
        // From outside, and from a task.
        waker.wake_by_ref();
        rt.block_on(rt.spawn(async move { waker.wake() })).unwrap();
        assert_eq!(polls.get(), 1);
        gate.open();
        rt.block_on(task).unwrap();
        assert_eq!(polls.get(), 2);
    });
}

#[test]
fn a_poll_that_lost_its_p_spawns_wakes_yields_and_joins() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let task = rt.spawn(async {
            let signal = Signal::default();
            let wait = signal.clone();
            let before = spawn(async { 1 });
            let woken = spawn(async move { wait.wait().await });
            block_until_another_ran();
            let after = spawn(async { 2 });
            signal.set();
            own_waker().await.wake();
            pend_once().await;
            block_until_another_ran();
            yield_now().await;
            block_until_another_ran();
            woken.await.unwrap();
            block_until_another_ran();
            before.await.unwrap() + after.await.unwrap() + spawn(async { 4 }).await.unwrap()
        });
        assert_eq!(rt.block_on(task).unwrap(), 7);
    });
}

#[test]
fn a_poll_that_is_woken_after_it_blocked_has_a_p_again() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let task = rt.spawn(async {
            for _ in 0..20 {
                block_until_another_ran();
                yield_now().await;
                assert!(gmprt::task::processor().is_some() || revoking());
            }
        });
        rt.block_on(task).unwrap();
    });
}

thread_local! {
    static AT_THE_END: RefCell<Option<Waker>> = const { RefCell::new(None) };
    static WAKES_AT_THE_END: WakesAtTheEnd = const { WakesAtTheEnd };
}

/// Its destructor runs when its thread ends.
struct WakesAtTheEnd;

impl Drop for WakesAtTheEnd {
    fn drop(&mut self) {
        let _ = AT_THE_END.try_with(|waker| waker.take().map(Waker::wake));
    }
}

#[test]
fn an_m_that_ends_wakes_a_task_from_a_destructor_of_a_thread_local() {
    let _watch = watch();
    let rt = Runtime::builder().procs(1).thread_keep_alive(Duration::ZERO).build().unwrap();
    for _ in 0..10 {
        let (begun, gate) = (Count::default(), Gate::default());
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (begun, gate) = (begun.clone(), gate.clone());
                rt.spawn(async move {
                    let own = own_waker().await;
                    // The last declared is the first destroyed.
                    AT_THE_END.with(|_| {});
                    WAKES_AT_THE_END.with(|_| {});
                    let foreign = AT_THE_END.with(|waker| waker.replace(Some(own)));
                    foreign.into_iter().for_each(Waker::wake); // that M has run one of these before
                    begun.add();
                    gate.wait();
                    pend_once().await;
                })
            })
            .collect();
        until(|| begun.get() == 8);
        gate.open();
        // Each task is woken by the end of the M on which it blocked. One M, at most, does not end.
        until(|| tasks.iter().filter(|task| task.is_finished()).count() >= 7);
        tasks.iter().for_each(JoinHandle::abort);
    }
}

#[test]
fn a_future_of_block_on_that_blocks_does_not_keep_the_only_p() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let sum = rt.block_on(async {
            block_until_all_ran(300);
            block_until_another_ran();
            yield_now().await;
            block_until_another_ran();
            spawn(async { 3 }).await.unwrap() + spawn(async { 4 }).await.unwrap()
        });
        assert_eq!(sum, 7);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            rt.block_on(async {
                block_until_another_ran();
                resume_unwind(Box::new("blocked"))
            })
        }));
        let panicked: Result<(), _> = panicked;
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"blocked"));
        assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7);
    });
}

#[test]
fn two_hundred_polls_block_at_once_on_two_ps_and_each_has_one_thread() {
    let _watch = watch();
    let rt = runtime(2);
    let (begun, gate) = (Count::default(), Gate::default());
    let (inner, wait) = (begun.clone(), gate.clone());
    // Spawned in one poll, so that until the last has begun no P runs out of work.
    let root = rt.spawn(async move {
        let task = |_| {
            let (begun, gate) = (inner.clone(), wait.clone());
            spawn(async move {
                begun.add();
                gate.wait();
            })
        };
        (0..200).map(task).collect::<Vec<_>>()
    });
    until(|| begun.get() == 200);
    let metrics = rt.metrics();
    gate.open();
    let tasks = rt.block_on(root).unwrap();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    // The last two may block on the Ps that nobody else needs. Each retake needed a thread, but for the Ms that were there.
    assert!(metrics.retakes >= 198, "{metrics:?}");
    assert!(metrics.threads >= 200, "{metrics:?}");
    // A P taken from a poll that did not block costs a thread too.
    assert!(metrics.threads <= 200 + 2 || revoking(), "{metrics:?}");
    assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7);
}

// ---- declared: block_in_place ----

#[test]
fn block_in_place_returns_the_value_wherever_it_is_called() {
    let _watch = watch();
    assert_eq!(block_in_place(|| 7), 7, "outside of a runtime");
    on_one_and_four(|rt| {
        assert_eq!(rt.block_on(async { block_in_place(|| 7) }), 7, "in block_on");
        let task = rt.spawn(async {
            let value = String::from("borrowed");
            let nested = block_in_place(|| block_in_place(|| value.len()));
            // In a block_on in a task, whose M has declared itself already.
            nested + Handle::current().block_on(async { block_in_place(|| value.len()) })
        });
        assert_eq!(rt.block_on(task).unwrap(), 16);
    });
}

#[test]
fn tasks_behind_a_declared_block_run_and_the_task_goes_on_with_a_p() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                rt.spawn(async {
                    for _ in 0..5 {
                        let had_one = gmprt::task::processor().is_some();
                        block_in_place(|| block_until_all_ran(3));
                        // Whoever had none on entering declares nothing, and has none afterwards.
                        assert!(gmprt::task::processor().is_some() || !had_one || revoking());
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        let metrics = rt.metrics();
        assert!(metrics.retakes_declared >= 1 || metrics.processors.len() > 1 || revoking(), "{metrics:?}");
    });
}

#[test]
fn after_a_declared_block_tasks_run_in_gos_order() {
    let _watch = watch();
    let rt = runtime(1);
    let log = Log::default();
    let inner = log.clone();
    let root = rt.spawn(async move {
        block_in_place(block_until_another_ran);
        for number in 0..3 {
            let log = inner.clone();
            drop(spawn(async move { log.add(number) }));
        }
    });
    rt.block_on(root).unwrap();
    until(|| log.0.lock().unwrap().len() == 3);
    assert!(log.take() == [2, 0, 1] || revoking());
}

#[test]
fn a_nested_declared_block_gives_the_p_back_to_its_own_poll_only() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let task = rt.spawn(async {
            for _ in 0..5 {
                block_in_place(|| {
                    block_until_another_ran();
                    block_in_place(block_until_another_ran);
                    let sum = Handle::current().block_on(async {
                        block_until_another_ran();
                        block_in_place(block_until_another_ran);
                        spawn(async { 1 }).await.unwrap() + spawn(async { 2 }).await.unwrap()
                    });
                    assert_eq!(sum, 3);
                    block_until_another_ran();
                });
                assert!(gmprt::task::processor().is_some() || revoking());
                // Blocking without a word is found out as before.
                block_until_another_ran();
                yield_now().await;
            }
        });
        rt.block_on(task).unwrap();
    });
}

#[test]
fn a_panic_in_a_declared_block_passes_through_and_the_p_comes_back() {
    let _watch = watch();
    on_one_and_four(|rt| {
        for blocks in [false, true] {
            let task = rt.spawn(async move {
                let panicked = catch_unwind(|| {
                    block_in_place(|| {
                        if blocks {
                            block_until_another_ran();
                        }
                        resume_unwind(Box::new("declared"))
                    })
                });
                let panicked: Result<(), _> = panicked;
                assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"declared"));
                assert!(gmprt::task::processor().is_some() || revoking());
                block_until_another_ran();
                block_in_place(|| resume_unwind(Box::new("uncaught")))
            });
            let error = rt.block_on(task).map(|(): ()| ()).unwrap_err();
            assert_eq!(error.into_panic().downcast_ref(), Some(&"uncaught"));
        }
    });
}

#[test]
fn short_declared_blocks_give_no_p_away() {
    let _watch = watch();
    const BLOCKS: u64 = 20_000;
    on_one_and_four(|rt| {
        let task = rt.spawn(async {
            for _ in 0..BLOCKS {
                block_in_place(|| ());
            }
        });
        rt.block_on(task).unwrap();
        let metrics = rt.metrics();
        assert_eq!(metrics.handoffs, 0);
        // A thread that the kernel stops in the midst of one is in a long block.
        assert!(metrics.retakes_declared <= BLOCKS / 1000, "{metrics:?}");
    });
}

#[test]
fn an_m_in_line_is_served_though_the_ps_never_run_out_of_work() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let (blocked, back, gate) = (Count::default(), Count::default(), Gate::default());
        let n = 20;
        let tasks: Vec<_> = (0..n)
            .map(|_| {
                let (blocked, back, gate) = (blocked.clone(), back.clone(), gate.clone());
                rt.spawn(async move {
                    block_in_place(|| {
                        blocked.add();
                        gate.wait();
                    });
                    back.add();
                })
            })
            .collect();
        until(|| blocked.get() == n);
        let busy: Vec<_> = (0..2 * rt.metrics().processors.len())
            .map(|_| {
                let back = back.clone();
                rt.spawn(async move {
                    while back.get() < n {
                        yield_now().await;
                    }
                })
            })
            .collect();
        gate.open();
        tasks.into_iter().chain(busy).for_each(|task| rt.block_on(task).unwrap());
    });
}

#[test]
fn a_runtime_dropped_waits_for_declared_blocks_and_for_those_in_line() {
    let _watch = watch();
    for procs in [1, 4] {
        for _ in 0..10 {
            let rt = runtime(procs);
            let (blocked, ended, drops, gate) =
                (Count::default(), Count::default(), Count::default(), Gate::default());
            for _ in 0..8 {
                let (blocked, ended, gate) = (blocked.clone(), ended.clone(), gate.clone());
                let guard = drops.on_drop();
                drop(rt.spawn(async move {
                    let _guard = guard;
                    block_in_place(|| {
                        blocked.add();
                        gate.wait();
                    });
                    ended.add();
                    pending::<()>().await;
                }));
            }
            until(|| blocked.get() == 8);
            gate.open();
            drop(rt);
            assert_eq!((ended.get(), drops.get()), (8, 8));
        }
    }
}

#[test]
fn a_runtime_dropped_lets_those_in_line_go_on_without_a_p() {
    let _watch = watch();
    let rounds = if revoking() { 3 } else { 10 };
    for _ in 0..rounds {
        let rt = runtime(1);
        let (blocked, gate, ended) = (Count::default(), Gate::default(), Count::default());
        for _ in 0..4 {
            let (blocked, gate, ended) = (blocked.clone(), gate.clone(), ended.clone());
            drop(rt.spawn(async move {
                block_in_place(|| {
                    blocked.add();
                    gate.wait();
                });
                ended.add();
            }));
        }
        until(|| blocked.get() == 4);
        let (computing, count) = (Gate::default(), ended.clone());
        let begun = computing.clone();
        drop(rt.spawn(async move {
            begun.open();
            until(|| count.get() == 4);
        }));
        computing.wait();
        gate.open(); // no P is free for them
        drop(rt);
        assert_eq!(ended.get(), 4);
    }
}

#[test]
fn a_declared_block_in_block_on_itself_does_not_keep_the_only_p() {
    let _watch = watch();
    on_one_and_four(|rt| {
        for _ in 0..10 {
            let sum = rt.block_on(async {
                block_in_place(block_until_another_ran);
                yield_now().await;
                block_in_place(|| block_in_place(|| block_until_all_ran(5)));
                spawn(async { 3 }).await.unwrap() + spawn(async { 4 }).await.unwrap()
            });
            assert_eq!(sum, 7);
        }
    });
}

#[test]
fn a_block_on_of_another_runtime_leaves_the_p_to_others() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let (other, gate) = (runtime(1), Gate::default());
        let (inner, wait, open) = (other.handle(), gate.clone(), gate);
        let task = rt.spawn(async move {
            // The only P of each runtime has somebody waiting behind it.
            let sum = inner.block_on(async {
                block_until_another_ran();
                wait.wait();
                yield_now().await;
                spawn(async { 3 }).await.unwrap()
            });
            assert!(gmprt::task::processor().is_some() || revoking());
            sum + spawn(async { 4 }).await.unwrap()
        });
        let opener = rt.spawn(async move { open.open() });
        assert_eq!(rt.block_on(task).unwrap(), 7);
        rt.block_on(opener).unwrap();
    });
}

/// A task that blocks now and then, in every way there is, and spawns more of its kind.
fn stormy(mut rng: Rng, depth: u32, ended: Count) -> JoinHandle<()> {
    spawn(async move {
        let mut children = Vec::new();
        for _ in 0..rng.below(8) {
            let nap = Duration::from_micros(rng.below(200));
            let sleep = move || thread::sleep(nap); // sleep: blocking is what is tested
            match rng.below(8) {
                0 if depth > 0 => children.push(stormy(rng.fork(), depth - 1, ended.clone())),
                1 => sleep(),
                2 => block_in_place(sleep),
                3 => block_in_place(|| block_in_place(|| ())),
                4 => spawn_blocking(sleep).await.unwrap(),
                5 => spawn_blocking(sleep).abort(),
                6 => Handle::current().block_on(async {
                    sleep();
                    yield_now().await;
                    block_in_place(sleep);
                }),
                _ => yield_now().await,
            }
        }
        for child in children {
            child.await.unwrap();
        }
        ended.add();
    })
}

#[test]
fn a_storm_of_blocks_of_all_kinds_ends_however_few_threads_there_are() {
    let _watch = watch();
    let mut rng = Rng::new();
    for (procs, more, keep_alive) in [(1, 1, 10_000), (1, 3, 0), (4, 1, 1), (4, 100, 0), (64, 200, 10)] {
        let rt = Runtime::builder()
            .procs(procs)
            .max_threads(procs + more)
            .max_blocking(3)
            .thread_keep_alive(Duration::from_millis(keep_alive))
            .build()
            .unwrap();
        let (ended, inner, mut seeds) = (Count::default(), Count::default(), rng.fork());
        let count = ended.clone();
        let roots = rt
            .block_on(async { (0..100).map(|_| stormy(seeds.fork(), 2, count.clone())).collect::<Vec<_>>() });
        let n = roots.len();
        roots.into_iter().for_each(|root| {
            rt.block_on(root).unwrap();
            inner.add();
        });
        assert!(inner.get() == n && ended.get() >= n);
        assert!(rt.metrics().threads <= procs + more);
        // Aborted closures are over too, or will be by the end of the drop.
        let late = rt.handle();
        drop(rt);
        assert!(poll_once(&mut late.spawn(ready(()))).is_ready());
    }
}

// ---- declared: spawn_blocking ----

#[test]
fn spawn_blocking_yields_the_result_from_everywhere_and_holds_no_p() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let closure =
            || (gmprt::task::processor(), gmprt::task::id().is_some(), Handle::try_current().is_some());
        let expected = (None, true, true);
        assert_eq!(rt.block_on(rt.spawn_blocking(closure)).unwrap(), expected, "by the runtime");
        assert_eq!(
            rt.block_on(async move { spawn_blocking(closure).await.unwrap() }),
            expected,
            "in block_on"
        );
        let task = rt.spawn(async move { spawn_blocking(closure).await.unwrap() });
        assert_eq!(rt.block_on(task).unwrap(), expected, "in a task");
        let handle = rt.handle();
        let foreign = thread::spawn(move || handle.block_on(handle.spawn_blocking(closure)).unwrap());
        assert_eq!(foreign.join().unwrap(), expected, "by a foreign thread");
    });
    assert!(catch_unwind(|| drop(spawn_blocking(|| ()))).is_err(), "there is no runtime here");
}

#[test]
fn a_closure_may_spawn_and_block_on_what_it_spawned() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let closures: Vec<_> = (0..20)
            .map(|_| {
                rt.spawn_blocking(|| {
                    block_until_all_ran(5);
                    block_in_place(|| block_until_all_ran(5));
                    let two = spawn(async { 2 });
                    Handle::current().block_on(async {
                        block_until_all_ran(5);
                        two.await.unwrap() + spawn_blocking(|| 3).await.unwrap()
                    })
                })
            })
            .collect();
        closures.into_iter().for_each(|closure| assert_eq!(rt.block_on(closure).unwrap(), 5));
    });
}

#[test]
fn a_panic_in_a_closure_reaches_the_handle_and_frees_its_place() {
    let _watch = watch();
    for procs in [1, 4] {
        let rt = Runtime::builder().procs(procs).max_blocking(1).build().unwrap();
        for _ in 0..10 {
            let panics = rt.spawn_blocking(|| resume_unwind(Box::new("closure")));
            let error = rt.block_on(panics).map(|(): ()| ()).unwrap_err();
            assert_eq!(error.into_panic().downcast_ref(), Some(&"closure"));
            assert_eq!(rt.block_on(rt.spawn_blocking(|| 7)).unwrap(), 7);
        }
    }
}

/// Polls begun so far.
fn polls(rt: &Runtime) -> u64 {
    rt.metrics().processors.iter().map(|p| p.polls).sum()
}

/// A runtime on which one closure runs at once, and one does, until the gate opens.
fn occupied(procs: usize) -> (Runtime, JoinHandle<u8>, Gate) {
    let rt = Runtime::builder().procs(procs).max_blocking(1).build().unwrap();
    let (entered, gate) = (Gate::default(), Gate::default());
    let (begun, wait) = (entered.clone(), gate.clone());
    let first = rt.spawn_blocking(move || {
        begun.open();
        wait.wait();
        7
    });
    entered.wait();
    (rt, first, gate)
}

#[test]
fn an_abort_before_its_begin_drops_a_closure_uncalled() {
    let _watch = watch();
    for procs in [1, 4] {
        let (rt, first, gate) = occupied(procs);
        let (calls, drops) = (Count::default(), Count::default());
        let in_line: Vec<_> = (0..10)
            .map(|_| {
                let (calls, guard) = (calls.clone(), drops.on_drop());
                rt.spawn_blocking(move || {
                    let _guard = guard;
                    calls.add();
                })
            })
            .collect();
        for (n, closure) in in_line.into_iter().enumerate() {
            if n % 2 == 0 {
                closure.abort();
                assert!(rt.block_on(closure).unwrap_err().is_cancelled());
                assert_eq!(drops.get(), n / 2 + 1);
            }
        }
        assert_eq!(calls.get(), 0);
        gate.open();
        assert_eq!(rt.block_on(first).unwrap(), 7);
        until(|| drops.get() == 10);
        assert_eq!(calls.get(), 5, "those that were not aborted");
    }
}

#[test]
fn an_abort_after_its_begin_lets_a_closure_finish() {
    let _watch = watch();
    for procs in [1, 4] {
        let (rt, mut first, gate) = occupied(procs);
        first.abort();
        assert!(poll_once(&mut first).is_pending());
        gate.open();
        assert_eq!(rt.block_on(first).unwrap(), 7);
    }
}

#[test]
fn max_blocking_closures_run_at_once_and_not_one_more() {
    let _watch = watch();
    for (procs, max) in [(1, 1), (1, 3), (4, 3), (2, 16)] {
        let rt = Runtime::builder().procs(procs).max_blocking(max).build().unwrap();
        let (inside, most, gate) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Gate::default());
        let closures: Vec<_> = (0..4 * max)
            .map(|_| {
                let (inside, most, gate) = (Arc::clone(&inside), Arc::clone(&most), gate.clone());
                rt.spawn_blocking(move || {
                    most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                    gate.wait();
                    inside.fetch_sub(1, SeqCst);
                })
            })
            .collect();
        until(|| inside.load(SeqCst) == max && polls(&rt) >= 4 * max as u64);
        // Each of them has been polled, and tasks behind them too.
        (0..50).for_each(|_| rt.block_on(rt.spawn(ready(()))).unwrap());
        assert_eq!(inside.load(SeqCst), max);
        gate.open();
        closures.into_iter().for_each(|closure| rt.block_on(closure).unwrap());
        assert_eq!(most.load(SeqCst), max);
    }
}

#[test]
fn the_line_of_closures_is_served_in_order() {
    let _watch = watch();
    let (rt, first, gate) = occupied(1);
    let log = Log::default();
    let closures: Vec<_> = (0..100)
        .map(|number| {
            let (log, before) = (log.clone(), polls(&rt));
            let closure = rt.spawn_blocking(move || log.add(number));
            // It is coming into line, and the next is polled after it.
            until(|| polls(&rt) > before);
            closure
        })
        .collect();
    gate.open();
    rt.block_on(first).unwrap();
    closures.into_iter().for_each(|closure| rt.block_on(closure).unwrap());
    let mut order = log.take();
    if revoking() {
        order.sort_unstable(); // one whose P was taken before it came into line is overtaken
    }
    assert!(order.iter().copied().eq(0..100), "{order:?}");
}

#[test]
fn a_thousand_closures_share_one_place_and_one_spare_thread() {
    let _watch = watch();
    for procs in [1, 4] {
        let threads = procs + 1;
        let rt = Runtime::builder().procs(procs).max_blocking(1).max_threads(threads).build().unwrap();
        let sum = Arc::new(AtomicUsize::new(0));
        let closures: Vec<_> = (0..1000)
            .map(|n| {
                let sum = Arc::clone(&sum);
                rt.spawn_blocking(move || {
                    sum.fetch_add(n, SeqCst);
                })
            })
            .collect();
        closures.into_iter().for_each(|closure| rt.block_on(closure).unwrap());
        assert_eq!(sum.load(SeqCst), 999 * 1000 / 2);
        assert!(rt.metrics().threads <= threads);
    }
}

#[test]
fn closures_that_block_leave_the_ps_to_others() {
    let _watch = watch();
    on_one_and_four(|rt| {
        let (begun, gate) = (Count::default(), Gate::default());
        let closures: Vec<_> = (0..50)
            .map(|_| {
                let (begun, gate) = (begun.clone(), gate.clone());
                rt.spawn_blocking(move || {
                    begun.add();
                    gate.wait();
                })
            })
            .collect();
        until(|| begun.get() == 50);
        let others: Vec<_> = (0..500).map(|n| rt.spawn(async move { n })).collect();
        for (n, other) in others.into_iter().enumerate() {
            assert_eq!(rt.block_on(other).unwrap(), n);
        }
        gate.open();
        closures.into_iter().for_each(|closure| rt.block_on(closure).unwrap());
    });
}

#[test]
fn a_runtime_dropped_waits_for_closures_that_have_begun_and_cancels_the_others() {
    let _watch = watch();
    for procs in [1, 4] {
        let (rt, mut first, gate) = occupied(procs);
        let (calls, drops) = (Count::default(), Count::default());
        let mut others: Vec<_> = (0..10)
            .map(|_| {
                let (calls, guard) = (calls.clone(), drops.on_drop());
                rt.spawn_blocking(move || {
                    let _guard = guard;
                    calls.add();
                })
            })
            .collect();
        let handle = rt.handle();
        thread::scope(|scope| {
            let dropping = scope.spawn(move || drop(rt));
            until(|| drops.get() == 10);
            assert!(!dropping.is_finished() && !first.is_finished(), "one has begun");
            gate.open();
            dropping.join().unwrap();
        });
        assert!(matches!(poll_once(&mut first), Poll::Ready(Ok(7))));
        for other in &mut others {
            assert!(matches!(poll_once(other), Poll::Ready(Err(error)) if error.is_cancelled()));
        }
        assert_eq!(calls.get(), 0);
        let mut late = handle.spawn_blocking(|| ());
        assert!(matches!(poll_once(&mut late), Poll::Ready(Err(error)) if error.is_cancelled()));
    }
}
