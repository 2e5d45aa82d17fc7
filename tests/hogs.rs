//! Polls that compute for long: nobody waits behind them for ever, and short ones are left alone.
//!
//! What sysmon takes is a matter of CPU time; what these tests wait for is not.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, OnDrop, child_on_one_core, is_child, revoking, runtime, until, watch};
use gmprt::task::JoinHandle;
use gmprt::{Runtime, chan, sync, time, yield_now};
use std::future::poll_fn;
use std::hint::{black_box, spin_loop};
use std::io::{BufRead, BufReader, ErrorKind};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

// ---- endless ones ----

/// What hogs are told to stop by.
#[derive(Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn tell(&self) {
        self.0.store(true, SeqCst);
    }

    /// Computes until told to stop.
    fn hog(&self) {
        while !self.0.load(SeqCst) {
            spin_loop();
        }
    }

    /// Tells when it is dropped: a test that fails ends its hogs before it waits for them.
    fn at_the_end(&self) -> OnDrop<impl FnMut() + use<>> {
        let stop = self.clone();
        OnDrop(move || stop.tell())
    }
}

/// Tasks whose one poll computes until it is told to stop.
fn hogs(rt: &Runtime, n: usize, begun: &Count, stop: &Stop) -> Vec<JoinHandle<()>> {
    let hog = |_| {
        let (begun, stop) = (begun.clone(), stop.clone());
        rt.spawn(async move {
            begun.add();
            stop.hog();
        })
    };
    (0..n).map(hog).collect()
}

#[test]
fn a_newcomer_runs_though_every_p_has_a_hog() {
    let _watch = watch();
    for procs in [1, 2] {
        let rt = runtime(procs);
        let (begun, stop) = (Count::default(), Stop::default());
        let _end = stop.at_the_end();
        let hogs = hogs(&rt, procs, &begun, &stop);
        until(|| begun.get() == procs);
        for n in 0..3 {
            assert_eq!(rt.block_on(rt.spawn(async move { n })).unwrap(), n);
        }
        assert!(hogs.iter().all(|hog| !hog.is_finished()));
        let metrics = rt.metrics();
        assert!(metrics.retakes_hogs > 0 || revoking(), "{metrics:?}");
        stop.tell();
        hogs.into_iter().for_each(|hog| rt.block_on(hog).unwrap());
        assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7);
    }
}

#[test]
fn what_a_hog_itself_spawned_runs_before_it_ends() {
    let _watch = watch();
    let rt = runtime(1);
    let hog = rt.spawn(async {
        let stop = Stop::default();
        let told = stop.clone();
        drop(gmprt::spawn(async move { told.tell() }));
        stop.hog();
        gmprt::spawn(async { 7 }).await.unwrap()
    });
    assert_eq!(rt.block_on(hog).unwrap(), 7);
    assert!(rt.metrics().retakes_hogs > 0 || revoking());
}

#[test]
fn no_more_hogs_lose_their_p_at_a_time_than_there_are_ps() {
    let _watch = watch();
    let rt = runtime(1);
    let (begun, stop) = (Count::default(), Stop::default());
    let second_stop = Stop::default();
    let _end = (stop.at_the_end(), second_stop.at_the_end());
    let first = hogs(&rt, 2, &begun, &stop);
    // The first loses its P to the second, which keeps it: one P, one hog without.
    until(|| begun.get() == 2);
    let late = hogs(&rt, 1, &begun, &second_stop);
    let waited = Instant::now();
    while waited.elapsed() < Duration::from_millis(250) {
        spin_loop(); // twice what a hog may compute
    }
    if !revoking() {
        assert_eq!((begun.get(), rt.metrics().retakes_hogs), (2, 1));
    }
    stop.tell();
    first.into_iter().for_each(|hog| rt.block_on(hog).unwrap());
    until(|| begun.get() == 3);
    // Those that came back count no more: the next hog loses its P as the first did. (So may the second, shortly
    // before it comes back.)
    assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7);
    assert!(rt.metrics().retakes_hogs >= 2 || revoking(), "{:?}", rt.metrics());
    second_stop.tell();
    late.into_iter().for_each(|hog| rt.block_on(hog).unwrap());
}

#[test]
fn a_hog_in_block_on_itself_does_not_keep_the_only_p() {
    let _watch = watch();
    let rt = runtime(1);
    for _ in 0..2 {
        let sum = rt.block_on(async {
            let stop = Stop::default();
            let told = stop.clone();
            let task = gmprt::spawn(async move {
                told.tell();
                3
            });
            stop.hog();
            yield_now().await;
            task.await.unwrap() + gmprt::spawn(async { 4 }).await.unwrap()
        });
        assert_eq!(sum, 7);
    }
}

// ---- those that are left alone ----

/// Iterations of [`compute`] that take 10 ms of CPU, or less: on a busy machine it has taken them for slower than they are.
fn ten_milliseconds() -> u64 {
    const PROBE: u64 = 20_000;
    let fastest = (0..50).map(|_| {
        let begun = Instant::now();
        compute(PROBE);
        begun.elapsed()
    });
    let fastest = fastest.min().unwrap().as_nanos().max(1) as u64;
    PROBE * 10_000_000 / fastest
}

/// Computes; touches no memory, and calls nobody.
fn compute(iterations: u64) {
    let mut sum = 1_u64;
    for n in 0..iterations {
        sum = black_box(sum.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ n);
    }
    black_box(sum);
}

/// In a child on one core: 64 polls at once, each of a tenth of what a hog may compute, and others that wait for a P.
fn sixty_four_compute_on_one_core() {
    let iterations = ten_milliseconds();
    let rt = runtime(64);
    let begun = Count::default();
    let tasks: Vec<_> = (0..96)
        .map(|_| {
            let begun = begun.clone();
            rt.spawn(async move {
                begun.add();
                compute(iterations);
            })
        })
        .collect();
    until(|| begun.get() > 0);
    println!("computing"); // the parent may disturb from here on
    let waited = tasks.into_iter().map(|task| rt.block_on(task).unwrap()).count();
    assert_eq!(waited, 96);
    let metrics = rt.metrics();
    assert_eq!((metrics.retakes, metrics.retakes_hogs), (0, 0), "{metrics:?}");
}

/// Runs a child of the test `name`, and `disturb` with its process id while it computes. False: there is no taskset.
fn in_child(name: &str, disturb: impl FnOnce(u32)) -> bool {
    let mut command = child_on_one_core(name);
    command.env_remove("GMPRT_TEST_REVOKE").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: no taskset");
            return false;
        }
        running => running.unwrap(),
    };
    let mut out = BufReader::new(running.stdout.take().unwrap()).lines();
    let computes = out.by_ref().any(|line| line.unwrap().contains("computing"));
    if computes {
        disturb(running.id());
    }
    let passed = out.map(Result::unwrap).any(|line| line.contains("1 passed"));
    let ended = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(computes && passed && ended.status.success(), "{}: {said}", ended.status);
    true
}

#[test]
fn polls_that_share_one_core_are_not_taken_for_blocked_nor_for_hogs() {
    let _watch = watch();
    const SELF: &str = "polls_that_share_one_core_are_not_taken_for_blocked_nor_for_hogs";
    if is_child(SELF) {
        return sixty_four_compute_on_one_core();
    }
    in_child(SELF, |_| ());
}

#[test]
fn a_process_that_is_stopped_and_goes_on_loses_no_p() {
    let _watch = watch();
    const SELF: &str = "a_process_that_is_stopped_and_goes_on_loses_no_p";
    if is_child(SELF) {
        return sixty_four_compute_on_one_core();
    }
    in_child(SELF, |pid| {
        let signal = |name: &str| {
            let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).output().unwrap();
            sent.status.success() // false: it has ended
        };
        for _ in 0..8 {
            let stopped = signal("STOP");
            std::thread::sleep(Duration::from_millis(30)); // sleep: how long it is stopped
            if !(stopped && signal("CONT")) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20)); // sleep: how long it runs between
        }
    });
}

// ---- the end of a slice ----

/// Counts the polls of a future, which sees a waker that is not its task's.
struct Polled<F>(Pin<Box<F>>, Count);

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        struct Forward(Waker);
        impl Wake for Forward {
            fn wake(self: Arc<Self>) {
                self.0.wake_by_ref();
            }
        }
        self.1.add();
        let forward = Waker::from(Arc::new(Forward(cx.waker().clone())));
        self.0.as_mut().poll(&mut Context::from_waker(&forward))
    }
}

/// Whether another task has run. The first call spawns it, in the poll that goes on, so that nobody else can run it.
#[derive(Clone, Default)]
struct Other(Option<Count>);

impl Other {
    fn has_run(&mut self) -> bool {
        let ran = self.0.get_or_insert_with(|| {
            let ran = Count::default();
            let inner = ran.clone();
            drop(gmprt::spawn(async move { inner.add() }));
            ran
        });
        ran.get() > 0
    }
}

/// A loop over futures that never pend lets another task run before it ends, on the only P: in a task, in `block_on`, and
/// where a combinator's waker stands between.
fn lets_others_run<F: Future<Output = ()> + Send + 'static>(looping: fn(Other) -> F) {
    // Where the P was taken in the midst of a poll (the allocator made it wait, say) the other ran without the loop's doing.
    let undisturbed = (0..20).any(|_| {
        let (polls, taken) = polls_of(looping);
        let undisturbed = taken == 0 && !revoking();
        if undisturbed {
            let [plain, combined, blocking] = polls;
            assert!(plain > 1, "it never let go in a task");
            assert!(combined > 1, "it never let go under a combinator");
            assert!(blocking > 1, "it never let go in block_on");
        }
        undisturbed || revoking()
    });
    assert!(undisturbed, "a P was taken in each of 20 rounds, though no task blocks");
}

/// How often the loop was polled, in a task, under a combinator and in block_on; and how often a P was taken meanwhile.
fn polls_of<F: Future<Output = ()> + Send + 'static>(looping: fn(Other) -> F) -> ([usize; 3], u64) {
    let rt = runtime(1);
    let spawned = |polls: &Count| {
        let polls = polls.clone();
        let mut looping = Box::pin(looping(Other::default()));
        rt.spawn(poll_fn(move |cx| {
            polls.add();
            looping.as_mut().poll(cx)
        }))
    };
    let [plain, combined, blocking] = [(); 3].map(|()| Count::default());
    rt.block_on(spawned(&plain)).unwrap();
    rt.block_on(rt.spawn(Polled(Box::pin(looping(Other::default())), combined.clone()))).unwrap();
    let other = runtime(1); // its P is idle, and the caller's as soon as it asks
    other.block_on(Polled(Box::pin(looping(Other::default())), blocking.clone()));
    let taken = [rt, other].map(|rt| rt.metrics()).map(|metrics| metrics.retakes + metrics.retakes_hogs);
    ([plain.get(), combined.get(), blocking.get()], taken.iter().sum())
}

#[test]
fn a_loop_of_sends_and_receives_that_never_wait_lets_others_run() {
    let _watch = watch();
    lets_others_run(|mut other| async move {
        let (tx, rx) = chan::bounded(1);
        while !other.has_run() {
            tx.send(7).await.unwrap();
            assert_eq!(rx.recv().await, Ok(7));
        }
    });
}

#[test]
fn a_loop_of_receives_alone_lets_others_run() {
    let _watch = watch();
    lets_others_run(|mut other| async move {
        let (tx, rx) = chan::bounded(1);
        while !other.has_run() {
            tx.try_send(7).unwrap();
            assert_eq!(rx.recv().await, Ok(7));
        }
    });
}

#[test]
fn a_loop_of_sends_alone_lets_others_run() {
    let _watch = watch();
    lets_others_run(|mut other| async move {
        let (tx, rx) = chan::bounded(1);
        while !other.has_run() {
            tx.send(7).await.unwrap();
            assert_eq!(rx.try_recv(), Ok(7));
        }
    });
}

#[test]
fn a_loop_of_reserves_lets_others_run() {
    let _watch = watch();
    lets_others_run(|mut other| async move {
        let (tx, _rx) = chan::bounded::<u8>(1);
        while !other.has_run() {
            drop(tx.reserve().await.unwrap());
        }
    });
}

#[test]
fn a_loop_of_receives_from_a_closed_channel_lets_others_run() {
    let _watch = watch();
    lets_others_run(|mut other| async move {
        let (tx, rx) = chan::bounded::<u8>(1);
        drop(tx);
        while !other.has_run() {
            assert!(rx.recv().await.is_err());
        }
    });
}

#[test]
fn a_loop_of_sleeps_that_are_over_lets_others_run() {
    let _watch = watch();
    lets_others_run(|mut other| async move {
        let past = Instant::now();
        while !other.has_run() {
            time::sleep_until(past).await;
        }
    });
}

#[test]
fn a_loop_of_waits_for_nobody_lets_others_run() {
    let _watch = watch();
    lets_others_run(|mut other| async move {
        let group = sync::WaitGroup::new();
        while !other.has_run() {
            group.wait().await;
        }
    });
}

#[test]
fn a_timeout_that_is_over_does_not_win_because_the_slice_is_over() {
    let _watch = watch();
    lets_others_run(|mut other| async move {
        let (tx, rx) = chan::bounded(1);
        while !other.has_run() {
            let sent = time::timeout(Duration::ZERO, tx.send(7)).await;
            assert_eq!(sent.expect("there was room"), Ok(()));
            let received = time::timeout(Duration::ZERO, rx.recv()).await;
            assert_eq!(received.expect("there was a value"), Ok(7));
        }
    });
}
