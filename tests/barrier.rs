//! What a `Barrier` promises: all go when the last has come, and who left has never come.
//!
//! What tokio's `tests/sync_barrier.rs` asserts is asserted here in our own words; the name of its test stands beside.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Rng, runtime, sized, watch};
use gmprt::sync::{Barrier, BarrierWaitResult};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll::{self, Pending, Ready};
use std::task::{Context, Wake, Waker};
use std::thread;

type Wait<'b> = Pin<Box<dyn Future<Output = BarrierWaitResult> + Send + 'b>>;

fn poll(wait: &mut Wait<'_>, waker: &Waker) -> Poll<bool> {
    wait.as_mut().poll(&mut Context::from_waker(waker)).map(|result| result.is_leader())
}

#[track_caller]
fn parked<'b>(barrier: &'b Barrier, waker: &Waker) -> Wait<'b> {
    let mut wait: Wait<'b> = Box::pin(barrier.wait());
    assert_eq!(poll(&mut wait, waker), Pending);
    wait
}

/// The one who comes last.
fn leads(barrier: &Barrier) -> bool {
    poll(&mut (Box::pin(barrier.wait()) as Wait<'_>), Waker::noop()) == Ready(true)
}

type Log = Arc<Mutex<Vec<usize>>>;

struct Name(usize, Log);

impl Wake for Name {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

/// tokio: `zero_does_not_block`, `single`.
#[test]
fn who_needs_no_other_goes_on_at_once() {
    for n in [0, 1] {
        let barrier = Barrier::new(n);
        assert!((0..3).all(|_| leads(&barrier)));
        assert_eq!(format!("{barrier:?}"), "Barrier { n: 1, arrived: 0 }");
    }
}

/// tokio: `tango`, `lots`.
#[test]
fn the_last_to_come_leads_and_the_others_are_woken_in_their_order() {
    for n in [2, 3, 32, 33, 34, 65, 100] {
        let barrier = Barrier::new(n);
        for _ in 0..10 {
            let log = Log::default();
            let mut waits: Vec<_> = (0..n - 1)
                .map(|name| parked(&barrier, &Waker::from(Arc::new(Name(name, Arc::clone(&log))))))
                .collect();
            assert_eq!(format!("{barrier:?}"), format!("Barrier {{ n: {n}, arrived: {} }}", n - 1));
            assert!(log.lock().unwrap().is_empty());
            assert!(leads(&barrier));
            assert_eq!(*log.lock().unwrap(), (0..n - 1).collect::<Vec<_>>());
            assert!(waits.iter_mut().all(|wait| poll(wait, Waker::noop()) == Ready(false)));
        }
    }
}

/// tokio: `barrier_future_is_send`.
#[test]
fn a_wait_crosses_threads() {
    fn crosses<T: Send>(_: T) {}
    let barrier = Barrier::new(0);
    crosses(barrier.wait());
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&barrier);
}

#[test]
fn a_wait_that_is_dropped_before_the_last_comes_has_never_come() {
    let barrier = Barrier::new(3);
    drop(barrier.wait());
    let first = parked(&barrier, Waker::noop());
    let mut second = parked(&barrier, Waker::noop());
    drop(first);
    let mut third = parked(&barrier, Waker::noop());
    assert_eq!(poll(&mut second, Waker::noop()), Pending);
    assert!(leads(&barrier));
    assert_eq!(
        (poll(&mut second, Waker::noop()), poll(&mut third, Waker::noop())),
        (Ready(false), Ready(false))
    );
}

#[test]
fn a_wait_that_is_dropped_after_the_last_has_come_is_not_missed() {
    let barrier = Barrier::new(2);
    let wait = parked(&barrier, Waker::noop());
    assert!(leads(&barrier));
    drop(wait);
    assert_eq!(format!("{barrier:?}"), "Barrier { n: 2, arrived: 0 }");
    let mut wait = parked(&barrier, Waker::noop());
    assert!(leads(&barrier));
    assert_eq!(poll(&mut wait, Waker::noop()), Ready(false));
}

/// The first waker that is woken comes again, and drops one that is still in line, and one that is not.
#[test]
fn generations_do_not_mix_although_one_begins_while_the_last_is_being_released() {
    struct Again(Mutex<Vec<Wait<'static>>>, &'static Barrier);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            let mut waits = std::mem::take(&mut *self.0.lock().unwrap());
            waits.clear(); // released or not, they have come
            let next = parked(self.1, Waker::noop());
            self.0.lock().unwrap().push(next);
        }
    }
    let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(100)));
    let again = Arc::new(Again(Mutex::default(), barrier));
    let first = parked(barrier, &Waker::from(Arc::clone(&again)));
    let mut waits: Vec<_> = (1..99).map(|_| parked(barrier, Waker::noop())).collect();
    again.0.lock().unwrap().extend([waits.pop().unwrap(), waits.remove(0)]);
    assert!(leads(barrier));
    waits.push(first);
    assert_eq!(waits.len(), 97);
    assert!(waits.iter_mut().all(|wait| poll(wait, Waker::noop()) == Ready(false)));
    assert_eq!(format!("{barrier:?}"), "Barrier { n: 100, arrived: 1 }");
    let mut rest: Vec<_> = (0..98).map(|_| parked(barrier, Waker::noop())).collect();
    assert!(leads(barrier));
    assert!(rest.iter_mut().all(|wait| poll(wait, Waker::noop()) == Ready(false)));
}

#[test]
fn a_waker_that_panics_keeps_no_sibling_from_being_woken() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics");
        }
    }
    let barrier = Barrier::new(81);
    let woken = Count::default();
    let (bad, good) = (Waker::from(Arc::new(Bad)), woken.waker());
    let mut waits: Vec<_> =
        (0..80).map(|n| parked(&barrier, if n % 8 == 0 { &bad } else { &good })).collect();
    assert!(catch_unwind(AssertUnwindSafe(|| leads(&barrier))).is_err());
    assert_eq!(woken.get(), 70);
    assert!(waits.iter_mut().all(|wait| poll(wait, Waker::noop()) == Ready(false)));
    assert_eq!(format!("{barrier:?}"), "Barrier { n: 81, arrived: 0 }");
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Ready(output) => return output,
            Pending => thread::park(),
        }
    }
}

// ---- Crowds ----

/// A barrier, the round in which each of the crowd is, and how often one led.
struct March {
    barrier: Barrier,
    rounds: Vec<AtomicUsize>,
    leaders: AtomicUsize,
}

impl March {
    fn new(crowd: usize) -> Arc<Self> {
        let rounds = (0..crowd).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self { barrier: Barrier::new(crowd), rounds, leaders: AtomicUsize::new(0) })
    }

    async fn run(self: Arc<Self>, me: usize, rounds: usize) {
        for round in 1..=rounds {
            // Ordering: Relaxed; that the barrier makes it visible is what is tested.
            self.rounds[me].store(round, Relaxed);
            let led = self.barrier.wait().await.is_leader();
            self.leaders.fetch_add(usize::from(led), Relaxed);
            for other in &self.rounds {
                let other = other.load(Relaxed);
                assert!((round..=round + 1).contains(&other), "one is in round {other}, another in {round}");
            }
        }
    }

    fn is_over(&self, rounds: usize) {
        assert_eq!(self.leaders.load(Relaxed), rounds);
        assert!(format!("{:?}", self.barrier).ends_with("arrived: 0 }"));
    }
}

#[test]
fn nobody_is_a_round_ahead_on_gmprt() {
    let _watch = watch();
    for (procs, crowd) in [(1, 2), (1, 50), (4, 2), (4, 5), (4, 50)] {
        let (rt, march, rounds) = (runtime(procs), March::new(crowd), sized(100, 1000));
        let tasks: Vec<_> = (0..crowd).map(|me| rt.spawn(Arc::clone(&march).run(me, rounds))).collect();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        march.is_over(rounds);
    }
}

#[test]
fn nobody_is_a_round_ahead_on_tokio() {
    let _watch = watch();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let (march, rounds) = (March::new(20), sized(100, 1000));
    let tasks: Vec<_> = (0..20).map(|me| rt.spawn(Arc::clone(&march).run(me, rounds))).collect();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    march.is_over(rounds);
}

#[test]
fn nobody_is_a_round_ahead_on_threads_beside_a_runtime() {
    let _watch = watch();
    let (rt, march, rounds) = (runtime(2), March::new(8), sized(100, 1000));
    let tasks: Vec<_> = (0..4).map(|me| rt.spawn(Arc::clone(&march).run(me, rounds))).collect();
    let threads: Vec<_> = (4..8)
        .map(|me| {
            let march = Arc::clone(&march);
            thread::spawn(move || block_on(march.run(me, rounds)))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    march.is_over(rounds);
}

/// Tasks come and leave as they like; when all have left nobody is counted.
#[test]
fn a_storm_of_waits_that_are_dropped_leaves_the_barrier_as_new() {
    let _watch = watch();
    let mut rng = Rng::new();
    for procs in [1, 4] {
        let (rt, barrier) = (runtime(procs), Arc::new(Barrier::new(5)));
        let leaders = Count::default();
        let tasks: Vec<_> = (0..12)
            .map(|_| {
                let (barrier, mut rng, leaders) = (Arc::clone(&barrier), rng.fork(), leaders.clone());
                rt.spawn(async move {
                    for _ in 0..sized(500, 5000) {
                        let mut wait = pin!(barrier.wait());
                        for _ in 0..1 + rng.below(4) {
                            let polled = std::future::poll_fn(|cx| Ready(wait.as_mut().poll(cx))).await;
                            gmprt::yield_now().await;
                            if let Ready(result) = polled {
                                if result.is_leader() {
                                    leaders.add();
                                }
                                break;
                            }
                        }
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        assert_eq!(format!("{barrier:?}"), "Barrier { n: 5, arrived: 0 }");
        assert!(leaders.get() > 0, "never five at once");
    }
}
