//! Storms on 8 Ps, traced in each way that there is.
//!
//! A storm is of *counted* tasks, whose futures count their polls, and of *mixed* ones, which are aborted, panic, and lose
//! their Ps. All that it spawned is over when it ends, and then the runtime is quiet: no P is held, no task runnable.

use crate::canary;
use crate::check::{Loss, check};
use crate::common::{
    Count, OnDrop, child, is_child, own_waker, pend_once, revoking, runtime, sized, until, watch,
};
use crate::facts::Facts;
use crate::read::Complaint;
use gmprt::task::JoinHandle;
use gmprt::trace::{Trace, TraceConfig, Tracer};
use gmprt::{Handle, Runtime, block_in_place, chan, select, spawn, spawn_blocking, sync, time, yield_now};
use serde_json::Value;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

const PROCS: usize = 8;

/// Waits for all of them. Those that the end of the runtime has cancelled are no accident.
async fn all<T>(tasks: impl IntoIterator<Item = JoinHandle<T>>) {
    for task in tasks {
        if let Err(error) = task.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

// ---- what is counted ----

/// Counts its polls.
struct Counted<F> {
    future: Pin<Box<F>>,
    polls: Count,
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.add();
        self.future.as_mut().poll(cx)
    }
}

/// Spawned and polled so far, of one kind.
#[derive(Clone, Default)]
struct Kind {
    spawned: Count,
    polls: Count,
}

/// What a storm's tasks share.
#[derive(Clone, Default)]
struct Storm {
    kinds: Arc<Mutex<BTreeMap<&'static str, Kind>>>,
    /// Wakers that foreign threads wake.
    mailbox: Arc<Mutex<Vec<Waker>>>,
    /// Spawned by a foreign thread that does not wait for them.
    alive: Count,
    over: Count,
}

impl Storm {
    fn kind(&self, name: &'static str) -> Kind {
        self.kinds.lock().unwrap().entry(name).or_default().clone()
    }

    /// A task with a name, whose polls are counted. It is never aborted.
    fn counted<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let kind = self.kind(name);
        kind.spawned.add();
        let future = Counted { future: Box::pin(future), polls: kind.polls };
        gmprt::task::Builder::new().name(name).spawn(future)
    }

    /// A tree of tasks.
    fn tree(&self, depth: usize) -> JoinHandle<usize> {
        let storm = self.clone();
        self.counted("tree", async move {
            let children: Vec<_> =
                (0..if depth == 0 { 0 } else { 3 }).map(|_| storm.tree(depth - 1)).collect();
            let mut nodes = 1;
            for child in children {
                nodes += child.await.unwrap();
            }
            nodes
        })
    }

    async fn ping_pong(self, capacity: usize, turns: usize) {
        let ((ping, pinged), (pong, ponged)) = (chan::bounded(capacity), chan::bounded(capacity));
        let one = self.counted("ping", async move {
            for n in 0..turns {
                ping.send(n).await.unwrap();
                assert_eq!(ponged.recv().await.unwrap(), n);
            }
        });
        let two = self.counted("pong", async move {
            while let Ok(n) = pinged.recv().await {
                pong.send(n).await.unwrap();
            }
        });
        one.await.unwrap();
        two.await.unwrap();
    }

    async fn yields(self, turns: usize) {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                self.counted("yields", async move {
                    for turn in 0..turns {
                        if turn % 3 == 0 {
                            own_waker().await.wake();
                            pend_once().await;
                        } else {
                            yield_now().await;
                        }
                    }
                })
            })
            .collect();
        all(tasks).await;
    }

    /// More than a ring holds, at once: they overflow, and are stolen.
    async fn crowd(self, n: usize) {
        let tasks: Vec<_> =
            (0..n).map(|_| self.counted("crowd", async { std::hint::black_box(7) })).collect();
        all(tasks).await;
    }

    async fn timers(self, turns: usize) {
        let tasks: Vec<_> = (0..8_u64)
            .map(|n| {
                self.counted("timers", async move {
                    for turn in 0..turns as u64 {
                        time::sleep(Duration::from_micros(20 * (n + turn) % 300)).await;
                    }
                    let never = std::future::pending::<()>();
                    assert!(time::timeout(Duration::from_micros(50), never).await.is_err());
                })
            })
            .collect();
        all(tasks).await;
    }

    async fn selects(self, turns: usize) {
        let ((one, odd), (two, even)) = (chan::bounded(1), chan::bounded(0));
        let sender = self.counted("sends", async move {
            for n in 0..turns {
                if n % 2 == 0 {
                    one.send(n).await.unwrap();
                } else {
                    two.send(n).await.unwrap();
                }
            }
        });
        let receiver = self.counted("selects", async move {
            for _ in 0..turns {
                select! {
                    Ok(n) = odd.recv() => assert_eq!(n % 2, 0),
                    Ok(n) = even.recv() => assert_eq!(n % 2, 1),
                    else => panic!("both are closed"),
                }
            }
        });
        sender.await.unwrap();
        receiver.await.unwrap();
    }

    async fn mutexes(self, turns: usize) {
        let sum = Arc::new(sync::Mutex::new(0));
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let sum = Arc::clone(&sum);
                self.counted("locks", async move {
                    for _ in 0..turns {
                        let mut sum = sum.lock().await;
                        yield_now().await;
                        *sum += 1;
                    }
                })
            })
            .collect();
        all(tasks).await;
        assert_eq!(*sum.lock().await, 6 * turns);
    }

    /// Woken by a thread that is none of the runtime's.
    async fn foreign(self, turns: usize) {
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let mailbox = Arc::clone(&self.mailbox);
                self.counted("foreign", async move {
                    for _ in 0..turns {
                        let own = own_waker().await;
                        mailbox.lock().unwrap().push(own);
                        pend_once().await;
                    }
                })
            })
            .collect();
        all(tasks).await;
    }

    /// Each in its own way: those behind them go on.
    async fn blocks(self, turns: usize) {
        for turn in 0..turns {
            let tasks: Vec<JoinHandle<()>> = vec![
                self.counted("in place", async {
                    // It waits for a task that it has spawned: its P must go to others.
                    let (tell, told) = mpsc::channel();
                    drop(spawn(async move { tell.send(()).unwrap() }));
                    let _ = block_in_place(|| told.recv());
                    yield_now().await;
                }),
                self.counted("undeclared", async {
                    let (tell, told) = mpsc::channel();
                    drop(spawn(async move { tell.send(()).unwrap() }));
                    let _ = told.recv();
                    yield_now().await;
                }),
                self.counted("sleeps", async move {
                    let nap = Duration::from_micros(100 + 200 * turn as u64);
                    thread::sleep(nap); // sleep: a poll that sleeps is what is traced
                }),
                self.counted("nested", async {
                    Handle::current().block_on(async {
                        let one = spawn(async {});
                        yield_now().await;
                        all([one, spawn(async {})]).await;
                    });
                    yield_now().await;
                }),
            ];
            let closure = spawn_blocking(|| {
                let (tell, told) = mpsc::channel();
                drop(spawn(async move { tell.send(()).unwrap() }));
                let _ = told.recv();
            });
            all(tasks).await;
            all([closure]).await;
        }
    }

    /// Tasks that end otherwise than by returning.
    async fn accidents(self, turns: usize) {
        for turn in 0..turns {
            let waits = spawn(std::future::pending::<()>());
            let yields = spawn(async {
                loop {
                    yield_now().await;
                }
            });
            let panics = spawn(async move {
                if turn % 2 == 0 {
                    yield_now().await;
                }
                std::panic::resume_unwind(Box::new("an accident")) // no message: it is meant
            });
            let fresh = spawn(std::future::pending::<()>());
            fresh.abort();
            yield_now().await;
            waits.abort();
            yields.abort();
            let panics: JoinHandle<()> = panics;
            assert!(panics.await.unwrap_err().is_panic());
            for task in [waits, fresh] {
                assert!(task.await.unwrap_err().is_cancelled());
            }
            let yields: JoinHandle<()> = yields;
            assert!(yields.await.unwrap_err().is_cancelled());
        }
    }

    /// Everything at once, on a runtime, to its end.
    fn rage(&self, handle: &Handle, size: usize) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    let some = std::mem::take(&mut *self.mailbox.lock().unwrap());
                    some.into_iter().for_each(Waker::wake);
                    thread::yield_now();
                }
            });
            scope.spawn(|| {
                for _ in 0..4 * size {
                    self.alive.add();
                    let over = self.over.clone();
                    drop(handle.spawn(async move {
                        yield_now().await;
                        over.add();
                    }));
                }
            });
            // Should it panic, the foreign thread ends all the same.
            let _over = OnDrop(|| over.store(true, SeqCst));
            let storm = self.clone();
            handle.block_on(async move {
                let kinds: Vec<JoinHandle<()>> = vec![
                    spawn(storm.clone().ping_pong(0, 5 * size)),
                    spawn(storm.clone().ping_pong(2, 5 * size)),
                    spawn(storm.clone().yields(4 * size)),
                    spawn(storm.clone().crowd(60 * size)),
                    spawn(storm.clone().timers(size)),
                    spawn(storm.clone().selects(5 * size)),
                    spawn(storm.clone().mutexes(2 * size)),
                    spawn(storm.clone().foreign(2 * size)),
                    spawn(storm.clone().blocks(1 + size / 4)),
                    spawn(storm.clone().accidents(size)),
                ];
                assert_eq!(storm.tree(4).await.unwrap(), 1 + 3 + 9 + 27 + 81);
                for kind in kinds {
                    kind.await.unwrap();
                }
            });
        });
        until(|| self.alive.get() == self.over.get());
    }
}

/// Waits until nothing is left to do, and the trace of what was done is written.
fn quiet(rt: &Runtime) {
    until(|| {
        let metrics = rt.metrics();
        metrics.idle_processors == metrics.processors.len() && metrics.injector_len == 0
    });
}

// ---- what is demanded ----

/// The trace as JSON.
fn json(trace: &Trace) -> Value {
    let mut bytes = Vec::new();
    trace.write_chrome(&mut bytes).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The trace breaks no rule.
#[track_caller]
fn is_true(trace: &Trace, loss: Loss) -> Value {
    let root = json(trace);
    clean(&root, loss, trace);
    root
}

#[track_caller]
fn clean(root: &Value, loss: Loss, trace: &Trace) {
    let complaints = check(root, loss);
    if complaints.is_empty() {
        return;
    }
    // All of them may be millions; and the file is what one wants to look at.
    let mut by_rule = BTreeMap::<&str, Vec<&Complaint>>::new();
    for complaint in &complaints {
        by_rule.entry(complaint.rule).or_default().push(complaint);
    }
    for (rule, all) in by_rule {
        eprintln!("{rule}: {} times", all.len());
        all.iter().take(5).for_each(|complaint| eprintln!("    {}", complaint.text));
    }
    let path = std::env::temp_dir().join(format!("gmprt-untrue-{}.json", std::process::id()));
    trace.save(&path).unwrap();
    panic!("{} complaints; the trace is in {}", complaints.len(), path.display());
}

/// With a track for each task.
fn everything() -> TraceConfig {
    TraceConfig::stop_when_full().events(500_000).task_tracks(100_000)
}

/// What the program counted stands in the trace.
#[track_caller]
fn counted(facts: &Facts, storm: &Storm) {
    for (name, kind) in storm.kinds.lock().unwrap().iter() {
        let get = |of: &BTreeMap<String, usize>| of.get(*name).copied().unwrap_or(0);
        assert_eq!(get(&facts.spawned), kind.spawned.get(), "spawned: {name}");
        assert_eq!(get(&facts.polls), kind.polls.get(), "polls: {name}");
    }
}

// ---- the storms ----

/// A storm traced from before its first spawn to after its last join.
fn whole(procs: usize, size: usize) -> Value {
    let rt = runtime(procs);
    let storm = Storm::default();
    quiet(&rt);
    let before = rt.metrics();
    rt.trace().start_with(everything()).unwrap();
    assert!(rt.trace().is_on());
    storm.rage(&rt.handle(), size);
    quiet(&rt);
    let trace = rt.trace().stop().unwrap();
    let after = rt.metrics();
    assert!(!rt.trace().is_on());
    assert_eq!(trace.dropped(), 0);
    let root = is_true(&trace, Loss::None);
    let facts = Facts::of(&root);
    counted(&facts, &storm);
    facts.agree(&before, &after);
    // A poll that panics without its P has no slice there that says so.
    let panicked = facts.fates.get("panicked").copied().unwrap_or(0);
    assert!(panicked <= size && (panicked == size || !facts.retakes.is_empty()), "{:?}", facts.fates);
    root
}

#[test]
fn a_storm_that_is_traced_as_a_whole_is_told_as_it_was() {
    let _watch = watch();
    for procs in [1, 2, PROCS] {
        whole(procs, sized(20, 100));
    }
}

#[test]
fn a_recorded_trace_spoilt_at_random_is_found_out() {
    let _watch = watch();
    let root = whole(PROCS, 1);
    let times = sized(84, 420);
    let missed = canary::missed(&root, times);
    // A run, an M or a wait may be changed into one that might have been.
    assert!(missed.len() * 20 <= times, "{} of {times}: {missed:#?}", missed.len());
}

#[test]
fn a_runtime_that_is_built_to_trace_is_traced_from_its_start() {
    let _watch = watch();
    let rt = Runtime::builder().procs(PROCS).trace(everything()).build().unwrap();
    assert!(rt.trace().is_on());
    let storm = Storm::default();
    storm.rage(&rt.handle(), sized(2, 10));
    quiet(&rt);
    let trace = rt.handle().trace().stop().unwrap();
    counted(&Facts::of(&is_true(&trace, Loss::None)), &storm);
}

#[test]
fn a_trace_that_starts_and_stops_in_the_midst_of_a_storm_is_true() {
    let _watch = watch();
    for _ in 0..3 {
        let rt = runtime(PROCS);
        thread::scope(|scope| {
            let handle = rt.handle();
            let storm = scope.spawn(move || Storm::default().rage(&handle, sized(15, 75)));
            until(|| polls(&rt) > 50);
            rt.trace().start_with(everything()).unwrap();
            let begun = polls(&rt);
            until(|| polls(&rt) > begun + 500 || storm.is_finished());
            let trace = rt.trace().stop().unwrap();
            is_true(&trace, Loss::None);
        });
        // The records of the first are not in the second.
        rt.trace().start_with(everything()).unwrap();
        rt.block_on(rt.spawn(async {})).unwrap();
        let trace = rt.trace().stop().unwrap();
        is_true(&trace, Loss::None);
        assert!(trace.events() < 1000, "{}", trace.events());
    }
}

/// Polls begun so far.
fn polls(rt: &Runtime) -> u64 {
    rt.metrics().processors.iter().map(|p| p.polls).sum()
}

#[test]
fn the_flight_recorder_tells_the_last_of_a_storm_at_any_time() {
    let _watch = watch();
    let rt = runtime(PROCS);
    rt.trace().start_with(TraceConfig::flight_recorder().events(2048).task_tracks(100_000)).unwrap();
    thread::scope(|scope| {
        let handle = rt.handle();
        let storm = scope.spawn(move || Storm::default().rage(&handle, sized(60, 300)));
        for _ in 0..5 {
            let begun = polls(&rt);
            until(|| polls(&rt) > begun + 1000 || storm.is_finished());
            is_true(&rt.trace().snapshot().unwrap(), Loss::Early);
            assert!(rt.trace().is_on(), "a snapshot does not stop it");
        }
    });
    quiet(&rt);
    is_true(&rt.trace().stop().unwrap(), Loss::Early);
}

#[test]
fn a_trace_that_is_full_is_true_up_to_there() {
    let _watch = watch();
    for limit in [50, 3000] {
        let rt = runtime(PROCS);
        rt.trace().start_with(TraceConfig::stop_when_full().events(limit).task_tracks(100_000)).unwrap();
        Storm::default().rage(&rt.handle(), sized(10, 50));
        quiet(&rt);
        assert!(!rt.trace().is_on(), "it stops by itself");
        is_true(&rt.trace().stop().unwrap(), Loss::Late);
    }
}

#[test]
fn few_tracks_show_the_named_and_the_busy_and_say_what_is_left_out() {
    let _watch = watch();
    let rt = runtime(PROCS);
    rt.trace().start_with(TraceConfig::stop_when_full().events(500_000).task_tracks(10)).unwrap();
    Storm::default().rage(&rt.handle(), sized(2, 10));
    quiet(&rt);
    is_true(&rt.trace().stop().unwrap(), Loss::None);
}

#[test]
fn a_trace_is_started_and_stopped_again_and_again() {
    let _watch = watch();
    let rt = runtime(PROCS);
    let over = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let (handle, told) = (rt.handle(), Arc::clone(&over));
        scope.spawn(move || {
            while !told.load(SeqCst) {
                Storm::default().rage(&handle, 1);
            }
        });
        let _over = OnDrop(|| over.store(true, SeqCst));
        for n in 0..sized(20, 100) {
            let begun = polls(&rt);
            rt.trace().start_with(everything()).unwrap();
            until(|| polls(&rt) >= begun + n as u64 % 4 * 20);
            is_true(&rt.trace().stop().unwrap(), Loss::None);
        }
    });
}

#[test]
fn a_runtime_that_ends_while_it_is_traced_leaves_a_true_trace() {
    let _watch = watch();
    for _ in 0..3 {
        let rt = runtime(PROCS);
        let tracer: Tracer = rt.trace();
        tracer.start_with(everything()).unwrap();
        let waiting: Vec<_> = (0..20).map(|_| rt.spawn(std::future::pending::<()>())).collect();
        let yielding: Vec<_> = (0..4)
            .map(|_| {
                rt.spawn(async {
                    loop {
                        yield_now().await;
                    }
                })
            })
            .collect();
        drop(rt.spawn(Storm::default().blocks(2)));
        drop(rt.spawn(Storm::default().timers(50)));
        until(|| polls(&rt) > 200);
        drop(rt);
        assert!(waiting.iter().chain(&yielding).all(JoinHandle::is_finished));
        is_true(&tracer.stop().unwrap(), Loss::None);
    }
}

#[test]
fn a_hog_loses_its_p_in_the_trace_as_well() {
    let _watch = watch();
    let rt = runtime(1);
    quiet(&rt);
    let before = rt.metrics();
    rt.trace().start_with(everything()).unwrap();
    let hog = rt.spawn(async {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        drop(spawn(async move { told.store(true, SeqCst) }));
        while !stop.load(SeqCst) {
            std::hint::spin_loop();
        }
        yield_now().await;
    });
    rt.block_on(hog).unwrap();
    quiet(&rt);
    let trace = rt.trace().stop().unwrap();
    let after = rt.metrics();
    let facts = Facts::of(&is_true(&trace, Loss::None));
    facts.agree(&before, &after);
    assert!(facts.retakes.contains_key("hog") || revoking(), "{facts:?}");
}

#[test]
fn two_runtimes_that_wake_each_other_have_a_true_trace_each() {
    let _watch = watch();
    let (one, two) = (runtime(2), runtime(2));
    one.trace().start_with(everything()).unwrap();
    two.trace().start_with(everything()).unwrap();
    let ((ping, pinged), (pong, ponged)) = (chan::bounded(0), chan::bounded(0));
    let first = one.spawn(async move {
        for n in 0..200 {
            ping.send(n).await.unwrap();
            assert_eq!(ponged.recv().await.unwrap(), n);
        }
    });
    let second = two.spawn(async move {
        while let Ok(n) = pinged.recv().await {
            pong.send(n).await.unwrap();
        }
    });
    one.block_on(first).unwrap();
    one.block_on(second).unwrap();
    for rt in [&one, &two] {
        is_true(&rt.trace().stop().unwrap(), Loss::None);
    }
}

#[test]
fn storms_in_which_ps_are_taken_at_random_are_told_as_they_were() {
    let _watch = watch();
    let name = "storms::storms_in_which_ps_are_taken_at_random_are_told_as_they_were";
    if is_child(name) {
        for procs in [1, PROCS] {
            whole(procs, sized(4, 20));
        }
        return;
    }
    for per_mille in ["200", "1000"] {
        let ended = child(name).env("GMPRT_TEST_REVOKE", per_mille).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        let passed = ended.status.success() && out.contains("1 passed");
        assert!(passed, "{per_mille} per mille: {}\n{out}{err}", ended.status);
    }
}
