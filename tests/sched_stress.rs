//! Storms that count: no task is lost, polled twice at once, polled after its end, or dropped twice.
//!
//! Nothing here is timed. `GMPRT_SEED` replays the choices of a run, though not its interleaving.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Rng, Signal, own_waker, pend_once, revoking, runtime, sized, until, watch};
use gmprt::task::JoinHandle;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

// ---- a task that is watched ----

/// What all watched tasks of a storm did.
#[derive(Default)]
struct Tally {
    spawned: AtomicUsize,
    dropped: AtomicUsize,
    polls: AtomicUsize,
    completed: AtomicUsize,
    faults: Mutex<Vec<&'static str>>,
}

impl Tally {
    fn fault(&self, what: &'static str) {
        self.faults.lock().unwrap().push(what);
    }

    /// Everything spawned was dropped once, and nothing was done twice.
    fn check(&self) {
        assert_eq!(*self.faults.lock().unwrap(), Vec::<&str>::new());
        assert_eq!(self.spawned.load(SeqCst), self.dropped.load(SeqCst), "spawned = dropped");
    }
}

/// A future that notes a fault if the rules of a task are broken.
struct Watched {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    tally: Arc<Tally>,
    polling: AtomicBool,
    complete: bool,
    polls: usize,
    /// How many polls it must have had when it completes, if that is known.
    expected: Option<usize>,
    /// Cleared by the first drop; the memory of a second one is no longer ours, so this is a hint.
    live: bool,
}

fn watched(
    tally: &Arc<Tally>,
    expected: Option<usize>,
    future: impl Future<Output = ()> + Send + 'static,
) -> Watched {
    tally.spawned.fetch_add(1, SeqCst);
    let tally = Arc::clone(tally);
    let polling = AtomicBool::new(false);
    Watched { future: Box::pin(future), tally, polling, complete: false, polls: 0, expected, live: true }
}

impl Future for Watched {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.polling.swap(true, SeqCst) {
            this.tally.fault("two polls at once");
        }
        if this.complete {
            this.tally.fault("a poll after completion");
        }
        this.polls += 1;
        this.tally.polls.fetch_add(1, SeqCst);
        let polled = this.future.as_mut().poll(cx);
        if polled.is_ready() {
            this.complete = true;
            this.tally.completed.fetch_add(1, SeqCst);
            if this.expected.is_some_and(|expected| expected != this.polls) {
                this.tally.fault("a poll too many, or too few");
            }
        }
        this.polling.store(false, SeqCst);
        polled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.polling.load(SeqCst) {
            self.tally.fault("a drop during a poll");
        }
        if !std::mem::take(&mut self.live) {
            self.tally.fault("a second drop");
        }
        self.tally.dropped.fetch_add(1, SeqCst);
    }
}

// ---- storms ----

/// What the tasks of a storm share.
#[derive(Clone, Default)]
struct Storm {
    tally: Arc<Tally>,
    /// Wakers that a foreign thread wakes.
    mailbox: Arc<Mutex<Vec<Waker>>>,
}

impl Storm {
    /// A task that does a little of everything, and spawns more of its kind.
    fn task(&self, mut rng: Rng, depth: u32) -> JoinHandle<()> {
        let storm = self.clone();
        gmprt::spawn(watched(&self.tally, None, async move {
            let mut children = Vec::new();
            for _ in 0..rng.below(8) {
                match rng.below(7) {
                    0 | 1 if depth > 0 => children.push(storm.task(rng.fork(), depth - 1)),
                    0 | 1 => gmprt::yield_now().await,
                    2 => {
                        own_waker().await.wake();
                        pend_once().await;
                    }
                    3 => {
                        let own = own_waker().await;
                        storm.mailbox.lock().unwrap().push(own);
                        pend_once().await;
                    }
                    4 => {
                        if let Some(child) = children.pop() {
                            child.abort();
                            let _ = child.await;
                        }
                    }
                    5 => children.iter().for_each(JoinHandle::abort),
                    _ => {
                        if let Some(child) = children.pop() {
                            let _ = child.await;
                        }
                    }
                }
            }
            if rng.below(2) == 0 {
                for child in children {
                    let _ = child.await;
                }
            }
        }))
    }
}

/// Runs a storm; the runtime is dropped at its end, or in its midst.
fn storm(procs: usize, roots: usize, rng: &mut Rng, to_the_end: bool) {
    let storm = Storm::default();
    let rt = runtime(procs);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (mailbox, over) = (&storm.mailbox, &over);
        scope.spawn(move || {
            while !over.load(SeqCst) {
                let some = std::mem::take(&mut *mailbox.lock().unwrap());
                some.into_iter().for_each(Waker::wake);
                thread::yield_now();
            }
        });
        let (inner, mut seeds) = (storm.clone(), rng.fork());
        let root =
            rt.spawn(async move { (0..roots).map(|_| inner.task(seeds.fork(), 4)).collect::<Vec<_>>() });
        let roots = rt.block_on(root).unwrap();
        if to_the_end {
            roots.into_iter().for_each(|root| rt.block_on(root).unwrap());
            // Those whose handles were dropped.
            until(|| storm.tally.spawned.load(SeqCst) == storm.tally.dropped.load(SeqCst));
            let polls: u64 = rt.metrics().processors.iter().map(|p| p.polls).sum();
            assert!(polls >= storm.tally.polls.load(SeqCst) as u64, "each poll is counted");
        }
        drop(rt);
        over.store(true, SeqCst);
    });
    storm.tally.check();
    assert!(storm.tally.spawned.load(SeqCst) >= if to_the_end { 2 * roots } else { roots });
    drop(std::mem::take(&mut *storm.mailbox.lock().unwrap()));
}

#[test]
fn storms_run_to_their_end_with_every_task_dropped_once() {
    let _watch = watch();
    let mut rng = Rng::new();
    for procs in [1, 2, 4, 64] {
        (0..12).for_each(|_| storm(procs, sized(1000, 5000), &mut rng, true));
    }
}

#[test]
fn storms_cut_off_by_the_end_of_their_runtime_leave_nothing() {
    let _watch = watch();
    let mut rng = Rng::new();
    for procs in [1, 2, 4, 64] {
        (0..40).for_each(|_| storm(procs, sized(100, 500), &mut rng, false));
    }
}

#[test]
fn a_task_that_only_yields_has_one_poll_more_than_yields() {
    let _watch = watch();
    for procs in [1, 2, 4, 64] {
        let (rt, tally) = (runtime(procs), Arc::new(Tally::default()));
        let tasks: Vec<_> = (0..sized(2000, 20_000))
            .map(|n| {
                let yields = n % 50;
                rt.spawn(watched(&tally, Some(yields + 1), async move {
                    for _ in 0..yields {
                        gmprt::yield_now().await;
                    }
                }))
            })
            .collect();
        let n = tasks.len();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        drop(rt);
        tally.check();
        assert_eq!(tally.completed.load(SeqCst), n);
    }
}

#[test]
fn a_ring_that_overflows_loses_nothing_and_others_help() {
    let _watch = watch();
    for procs in [1, 2, 4, 64] {
        let (rt, tally) = (runtime(procs), Arc::new(Tally::default()));
        for _ in 0..3 {
            let inner = Arc::clone(&tally);
            let many = rt.spawn(async move {
                let task = |n: usize| {
                    watched(&inner, Some(n % 3 + 1), async move {
                        for _ in 0..n % 3 {
                            gmprt::yield_now().await;
                        }
                    })
                };
                (0..sized(4000, 40_000)).map(|n| gmprt::spawn(task(n))).collect::<Vec<_>>()
            });
            let many = rt.block_on(many).unwrap();
            many.into_iter().for_each(|task| rt.block_on(task).unwrap());
        }
        let metrics = rt.metrics();
        let sum =
            |of: fn(&gmprt::metrics::ProcessorMetrics) -> u64| metrics.processors.iter().map(of).sum::<u64>();
        let spawned = 3 * sized(4000, 40_000) as u64;
        // A P taken in that one long poll, because its thread waited for memory say, gets no more of the spawns.
        let taken = revoking() || metrics.retakes + metrics.retakes_hogs > 0;
        assert!(sum(|p| p.overflows) > 0 || taken);
        assert!(sum(|p| p.injector_takes) > 0);
        assert!(sum(|p| p.spawned) == spawned || taken);
        assert!(sum(|p| p.polls) >= 2 * spawned - spawned / 100);
        assert!(sum(|p| p.schedticks) <= sum(|p| p.polls));
        assert!(sum(|p| p.stolen) >= sum(|p| p.steals));
        assert!(procs > 1 || sum(|p| p.steals) == 0, "there is nobody to steal from");
        drop(rt);
        tally.check();
        assert_eq!(tally.completed.load(SeqCst) as u64, spawned);
    }
}

#[test]
fn unequal_work_reaches_the_other_ps() {
    let _watch = watch();
    let rt = runtime(4);
    // One P spawns all, and then blocks its thread until others have run it.
    let done = Count::default();
    let inner = done.clone();
    let one = rt.spawn(async move {
        let own = gmprt::task::machine();
        for _ in 0..200 {
            let done = inner.clone();
            drop(gmprt::spawn(async move {
                assert_ne!(gmprt::task::machine(), own);
                done.add();
            }));
        }
        until(|| inner.get() == 200);
    });
    rt.block_on(one).unwrap();
    let metrics = rt.metrics();
    let taken: u64 = metrics.processors.iter().map(|p| p.stolen + p.injector_takes).sum();
    assert!(taken >= 200 || revoking(), "{metrics:?}");
    assert!(metrics.processors.iter().filter(|p| p.polls > 0).count() > 1);
}

// ---- wakes ----

/// A task that waits until every slot holds the round's number, with no lock and no order of its own: the wake alone
/// makes the stores visible.
fn rounds(rt: &gmprt::Runtime, producers: usize, rounds: u64) {
    let slots: Arc<Vec<AtomicU64>> = Arc::new((0..producers).map(|_| AtomicU64::new(0)).collect());
    let (seen, waker) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(None)));
    let (read, said, own) = (Arc::clone(&slots), Arc::clone(&seen), Arc::clone(&waker));
    let task = rt.spawn(async move {
        *own.lock().unwrap() = Some(own_waker().await);
        for round in 1..=rounds {
            poll_fn(|_| {
                let all = read.iter().all(|slot| slot.load(Relaxed) == round);
                if all { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            said.store(round, SeqCst);
        }
    });
    until(|| waker.lock().unwrap().is_some());
    let waker: Waker = waker.lock().unwrap().take().unwrap();
    thread::scope(|scope| {
        for slot in slots.iter() {
            let (waker, seen) = (waker.clone(), &seen);
            scope.spawn(move || {
                for round in 1..=rounds {
                    slot.store(round, Relaxed);
                    waker.wake_by_ref(); // no other wake comes in this round
                    until(|| seen.load(SeqCst) >= round);
                }
            });
        }
    });
    rt.block_on(task).unwrap();
}

#[test]
fn a_wake_after_a_write_makes_the_write_seen() {
    let _watch = watch();
    for (procs, producers, count) in [(1, 1, 10_000), (2, 1, 10_000), (1, 4, 3000), (4, 4, 3000)] {
        rounds(&runtime(procs), producers, sized(count, count * 5) as u64);
    }
}

#[test]
fn pairs_of_tasks_on_two_runtimes_wake_each_other_to_the_end() {
    let _watch = watch();
    let turns = sized(1000, 10_000);
    let runtimes = [runtime(1), runtime(2)];
    let pairs: Vec<_> = (0..16)
        .map(|_| {
            let turn = Arc::new((AtomicUsize::new(0), [const { Mutex::new(None::<Waker>) }; 2]));
            [0, 1].map(|me| {
                let turn = Arc::clone(&turn);
                runtimes[me].spawn(async move {
                    for n in 0..turns {
                        poll_fn(|cx| {
                            *turn.1[me].lock().unwrap() = Some(cx.waker().clone());
                            let mine = turn.0.load(SeqCst) == 2 * n + me;
                            if mine { Poll::Ready(()) } else { Poll::Pending }
                        })
                        .await;
                        turn.0.store(2 * n + me + 1, SeqCst);
                        let other = turn.1[1 - me].lock().unwrap().take();
                        other.into_iter().for_each(Waker::wake);
                    }
                })
            })
        })
        .collect();
    for task in pairs.into_iter().flatten() {
        runtimes[0].block_on(task).unwrap();
    }
}

#[test]
fn a_crowd_at_one_signal_is_woken_to_the_last() {
    let _watch = watch();
    for procs in [1, 4] {
        let rt = runtime(procs);
        for _ in 0..sized(10, 50) {
            let signal = Signal::default();
            let tasks: Vec<_> = (0..300)
                .map(|_| {
                    let signal = signal.clone();
                    rt.spawn(async move { signal.wait().await })
                })
                .collect();
            thread::scope(|scope| {
                scope.spawn(|| signal.set());
                signal.set();
            });
            tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        }
    }
}
