//! What a `Notify` promises: its line, by polling each wait by hand; its counts, in storms on several runtimes.
//!
//! Tests that assert what a test of tokio's asserts name it: `sync_notify.rs` stands also for `sync_notify_owned.rs`.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

#[path = "common/acting.rs"]
mod acting;
mod common;
#[path = "common/polled.rs"]
mod polled;

use acting::Act;
use common::{Rng, watch};
use gmprt::sync::{Notified, Notify, OwnedNotified};
use polled::{Named, Panics, Polled, panic_of, poll_in_task};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;

/// Who drives the tasks.
#[derive(Clone, Copy, Debug)]
enum Runner {
    Gmprt(usize),
    Tokio,
}

const RUNNERS: [Runner; 3] = [Runner::Gmprt(1), Runner::Gmprt(4), Runner::Tokio];

impl Runner {
    fn run<F: Future>(self, future: F) -> F::Output {
        match self {
            Self::Gmprt(procs) => common::runtime(procs).block_on(future),
            Self::Tokio => tokio::runtime::Builder::new_multi_thread()
                .worker_threads(4)
                .build()
                .unwrap()
                .block_on(future),
        }
    }

    /// The task is spawned at once; what comes back waits for it.
    fn spawn<F>(self, future: F) -> Pin<Box<dyn Future<Output = F::Output> + Send>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match self {
            Self::Gmprt(_) => {
                let task = gmprt::spawn(future);
                Box::pin(async { task.await.unwrap() })
            }
            Self::Tokio => {
                let task = tokio::spawn(future);
                Box::pin(async { task.await.unwrap() })
            }
        }
    }

    async fn yield_now(self) {
        match self {
            Self::Gmprt(_) => gmprt::yield_now().await,
            Self::Tokio => tokio::task::yield_now().await,
        }
    }
}

impl Polled<Notified<'_>> {
    fn enable(&mut self) -> bool {
        self.future.as_mut().enable()
    }
}

fn waiters(notify: &Notify) -> usize {
    let text = format!("{notify:?}");
    let (_, rest) = text.split_once("waiters: ").unwrap();
    rest.split_once(',').unwrap().0.parse().unwrap()
}

/// Whether one is stored; it is not any more.
fn take_stored(notify: &Notify) -> bool {
    Polled::new(notify.notified()).poll().is_ready()
}

/// `count` in line, each with a waker that logs its number.
fn line<'n>(notify: &'n Notify, count: usize, log: &Arc<Mutex<Vec<usize>>>) -> Vec<Polled<Notified<'n>>> {
    (0..count)
        .map(|n| {
            let mut notified = Polled::new(notify.notified());
            assert!(notified.poll_as(&Waker::from(Arc::new(Named(n, Arc::clone(log))))).is_pending());
            notified
        })
        .collect()
}

// ---- One ----

/// tokio: `sync_notify.rs: notify_notified_one, notify_notified_multi, test_notify_one_not_enabled`.
#[test]
fn a_notification_that_nobody_waits_for_is_kept_for_one() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_one();
    let mut second = Polled::new(notify.notified());
    assert!(Polled::new(notify.notified()).poll().is_ready());
    assert!(second.poll().is_pending(), "two count as one");
    notify.notify_one();
    assert!(second.is_woken() && second.poll().is_ready());
    assert!(!take_stored(&notify));
}

/// tokio: `sync_notify.rs: notified_one_notify, notified_multi_notify, notify_multi_notified_one`.
#[test]
fn notify_one_wakes_the_one_that_has_waited_longest() {
    let notify = Notify::new();
    let log = Arc::default();
    let mut waits = line(&notify, 5, &log);
    for n in 0..5 {
        notify.notify_one();
        assert_eq!(*log.lock().unwrap(), (0..=n).collect::<Vec<_>>());
    }
    assert!(waits.iter_mut().all(|wait| wait.poll().is_ready()));
    assert!(!take_stored(&notify));
}

/// tokio: `sync_notify.rs: notify_multi_notified_last`.
#[test]
fn notify_last_wakes_the_one_that_has_waited_shortest() {
    let notify = Notify::new();
    let log = Arc::default();
    let mut waits = line(&notify, 3, &log);
    notify.notify_last();
    notify.notify_last();
    assert_eq!(*log.lock().unwrap(), [2, 1]);
    assert!(waits[0].poll().is_pending() && waits[1].poll().is_ready() && waits[2].poll().is_ready());
    notify.notify_last();
    notify.notify_last();
    assert!(waits[0].poll().is_ready() && take_stored(&notify));
}

#[test]
fn the_place_in_line_is_that_of_the_first_poll() {
    let notify = Notify::new();
    let mut made_first = Polled::new(notify.notified());
    let polled_first = Polled::parked(notify.notified());
    assert!(made_first.poll().is_pending());
    notify.notify_one();
    assert!(polled_first.is_woken() && !made_first.is_woken());
}

/// tokio: `sync_notify.rs: test_waker_update`.
#[test]
fn the_waker_of_the_last_poll_is_the_one_woken() {
    let notify = Notify::new();
    let mut notified = Polled::new(notify.notified());
    assert!(notified.poll_as(Waker::noop()).is_pending());
    assert!(notified.poll().is_pending());
    notify.notify_one();
    assert!(notified.is_woken());
}

#[test]
fn once_notified_it_stays_so_and_takes_nothing_more() {
    let notify = Notify::new();
    let mut notified = Polled::new(notify.notified());
    notify.notify_one();
    assert!(notified.poll().is_ready() && notified.poll().is_ready());
    notify.notify_one();
    assert!(notified.poll().is_ready() && notified.enable());
    drop(notified);
    assert!(take_stored(&notify));
}

// ---- Enabled ----

/// tokio: `sync_notify.rs: test_notify_one_after_enable, test_poll_after_enable, test_enable_after_poll`.
#[test]
fn enable_stands_in_line_and_says_whether_it_is_notified() {
    let notify = Notify::new();
    let (mut first, mut second) = (Polled::new(notify.notified()), Polled::new(notify.notified()));
    assert!(!first.enable() && !first.enable());
    assert!(second.poll().is_pending() && !second.enable());
    assert_eq!(waiters(&notify), 2);
    notify.notify_one();
    assert!(first.enable() && first.poll().is_ready());
    notify.notify_one();
    assert!(second.is_woken(), "enable leaves the waker of its poll");
    assert!(second.enable() && second.poll().is_ready());
}

#[test]
fn one_that_was_enabled_is_woken_by_the_waker_of_its_poll() {
    let notify = Notify::new();
    let mut notified = Polled::new(notify.notified());
    assert!(!notified.enable());
    assert!(notified.poll().is_pending());
    notify.notify_waiters();
    assert!(notified.is_woken() && notified.enable() && notified.poll().is_ready());
}

/// tokio: `sync_notify.rs: test_enable_consumes_permit`.
#[test]
fn enable_takes_what_is_stored_and_its_drop_does_not_pass_it_on() {
    let notify = Notify::new();
    notify.notify_one();
    let mut first = Polled::new(notify.notified());
    assert!(first.enable());
    let mut second = Polled::new(notify.notified());
    assert!(!second.enable());
    drop(first);
    assert!(second.poll().is_pending() && !take_stored(&notify));
}

// ---- Cancelled ----

/// tokio: `sync_notify.rs: notified_drop_notified_notify`.
#[test]
fn one_dropped_unpolled_or_in_line_leaves_no_trace() {
    let notify = Arc::new(Notify::new());
    drop(notify.notified());
    drop(Arc::clone(&notify).notified_owned());
    let log = Arc::default();
    let mut waits = line(&notify, 4, &log);
    drop(waits.remove(3));
    drop(waits.remove(1));
    drop(waits.remove(0));
    notify.notify_one();
    assert_eq!(*log.lock().unwrap(), [2]);
    assert!(waits.remove(0).poll().is_ready());
    assert_eq!(format!("{notify:?}"), "Notify { waiters: 0, stored: false }");
    notify.notify_one();
    assert_eq!(format!("{notify:?}"), "Notify { waiters: 0, stored: true }");
}

/// tokio: `sync_notify.rs: notified_multi_notify_drop_one, notified_multi_notify_one_drop,
/// notified_multi_notify_last_drop`.
#[test]
fn one_dropped_with_its_notification_passes_it_on_from_the_same_end_of_the_line() {
    for last in [false, true] {
        let notify = Notify::new();
        let log = Arc::default();
        let mut waits = line(&notify, 3, &log);
        if last {
            notify.notify_last()
        } else {
            notify.notify_one()
        }
        drop(waits.remove(if last { 2 } else { 0 }));
        assert_eq!(*log.lock().unwrap(), if last { [2, 1] } else { [0, 1] });
        drop(waits.remove(if last { 1 } else { 0 }));
        drop(waits.remove(0)); // the only one left
        assert_eq!(log.lock().unwrap().len(), 3);
        assert!(take_stored(&notify) && !take_stored(&notify));
    }
}

#[test]
fn one_dropped_after_it_has_completed_passes_nothing_on() {
    let notify = Notify::new();
    let mut notified = Polled::parked(notify.notified());
    notify.notify_one();
    assert!(notified.poll().is_ready());
    drop(notified);
    assert!(!take_stored(&notify));
}

// ---- All ----

/// tokio: `notify.rs: notify_simple`. More than are woken under one hold of the lock.
#[test]
fn notify_waiters_wakes_all_in_order_and_keeps_nothing() {
    let notify = Notify::new();
    let log = Arc::default();
    let mut waits = line(&notify, 100, &log);
    notify.notify_waiters();
    assert_eq!(*log.lock().unwrap(), (0..100).collect::<Vec<_>>());
    assert!(waits.iter_mut().all(|wait| wait.poll().is_ready()));
    assert!(!take_stored(&notify));
}

#[test]
fn notify_waiters_reaches_those_made_before_it_and_none_made_after() {
    let notify = Arc::new(Notify::new());
    let mut before = Polled::new(notify.notified());
    let mut owned = Polled::new(Arc::clone(&notify).notified_owned());
    let mut enabled = Polled::new(notify.notified());
    notify.notify_waiters();
    let mut after = Polled::new(notify.notified());
    assert!(before.poll().is_ready() && owned.poll().is_ready() && enabled.enable());
    assert!(after.poll().is_pending());
    notify.notify_waiters();
    assert!(after.is_woken() && after.poll().is_ready());
}

/// tokio: `sync_notify.rs: notify_one_after_dropped_all,
/// unpolled_future_completed_by_notify_waiters_preserves_notify_one_permit`.
#[test]
fn one_that_all_were_notified_with_neither_passes_it_on_nor_takes_what_is_stored() {
    let notify = Notify::new();
    let dropped = Polled::parked(notify.notified());
    let mut unpolled = Polled::new(notify.notified());
    notify.notify_waiters();
    drop(dropped);
    assert!(!take_stored(&notify));
    notify.notify_one();
    assert!(unpolled.poll().is_ready());
    drop(unpolled);
    assert!(take_stored(&notify));
}

#[test]
fn what_is_stored_outlives_a_call_to_all() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_waiters();
    assert!(take_stored(&notify));
}

/// The first waker to be called makes new waits, polls and drops old ones, and notifies, while most of the round are
/// still in line. tokio: `loom_notify.rs: notify_waiters_is_atomic, notify_waiters_sequential_notified_await,
/// notify_waiters_poll_consistency_many`.
#[test]
fn while_a_round_is_being_woken_its_members_are_notified_and_newcomers_are_not() {
    let _watch = watch();
    let notify = Arc::new(Notify::new());
    let log = Arc::default();
    let others = Arc::new(Mutex::new(Vec::new()));
    let newcomers = Arc::new(Mutex::new(Vec::new()));
    let mut first = Polled::new(notify.notified());
    let act = {
        let (notify, others, newcomers) = (Arc::clone(&notify), Arc::clone(&others), Arc::clone(&newcomers));
        move |act| {
            if act == Act::Wake {
                let mut others = others.lock().unwrap();
                let mut last: Polled<OwnedNotified> = others.pop().unwrap();
                assert!(last.poll().is_ready(), "it is of the round");
                drop(others.pop()); // passes nothing on
                let mut new = [(); 3].map(|()| Polled::new(Arc::clone(&notify).notified_owned()));
                assert!(new.iter_mut().all(|new| new.poll().is_pending()));
                notify.notify_one();
                assert!(new[0].is_woken() && !new[1].is_woken());
                notify.notify_last();
                assert!(new[2].is_woken() && !new[1].is_woken());
                newcomers.lock().unwrap().extend(new);
            }
        }
    };
    assert!(first.poll_as(&acting::waker(act)).is_pending());
    for n in 0..200 {
        let mut wait = Polled::new(Arc::clone(&notify).notified_owned());
        assert!(wait.poll_as(&Waker::from(Arc::new(Named(n, Arc::clone(&log))))).is_pending());
        others.lock().unwrap().push(wait);
    }
    notify.notify_waiters();
    // Those left in line were woken before the notifications in between found their own.
    let mut woken = log.lock().unwrap().clone();
    woken.sort_unstable();
    assert_eq!(woken, (0..198).collect::<Vec<_>>(), "each once");
    assert!(others.lock().unwrap().iter_mut().all(|wait| wait.poll().is_ready()));
    assert_eq!(waiters(&notify), 1);
    let mut newcomers = newcomers.lock().unwrap();
    assert!(newcomers[1].poll().is_pending() && newcomers[0].poll().is_ready());
    newcomers.clear(); // the third was notified and not polled; the second, to which that goes, is dropped before
    assert!(take_stored(&notify));
}

#[test]
fn a_call_to_all_within_a_call_to_all_wakes_each_once() {
    let notify = Arc::new(Notify::new());
    let log = Arc::default();
    let mut first = Polled::new(notify.notified());
    let (other, made) = (Arc::clone(&notify), Arc::new(Mutex::new(None)));
    let late = Arc::clone(&made);
    let waker = acting::waker(move |act| {
        if act == Act::Wake {
            *late.lock().unwrap() = Some(Polled::parked(Arc::clone(&other).notified_owned()));
            other.notify_waiters();
        }
    });
    assert!(first.poll_as(&waker).is_pending());
    let mut waits = line(&notify, 100, &log);
    notify.notify_waiters();
    // The inner call wakes those who were left to the outer, so those of the outer's first batch come last.
    let mut woken = log.lock().unwrap().clone();
    woken.sort_unstable();
    assert_eq!(woken, (0..100).collect::<Vec<_>>());
    assert!(waits.iter_mut().all(|wait| wait.poll().is_ready()));
    let mut late = made.lock().unwrap().take().unwrap();
    assert!(late.is_woken() && late.poll().is_ready());
    assert_eq!(format!("{notify:?}"), "Notify { waiters: 0, stored: false }");
}

// ---- Wakers that misbehave ----

/// tokio: `notify.rs: notify_waiters_handles_panicking_waker`.
#[test]
fn a_waker_that_panics_keeps_nobody_from_being_notified() {
    let notify = Notify::new();
    let mut waits: Vec<_> = (0..70)
        .map(|n| {
            let mut wait = Polled::new(notify.notified());
            let waker = if n % 33 == 0 { Waker::from(Arc::new(Panics)) } else { wait.woken.waker() };
            assert!(wait.poll_as(&waker).is_pending());
            wait
        })
        .collect();
    assert_eq!(panic_of(|| notify.notify_one()), "the waker panics");
    assert_eq!(panic_of(|| notify.notify_waiters()), "the waker panics");
    assert!((0..70).all(|n| waits[n].is_woken() == (n % 33 != 0)));
    drop(waits.remove(0)); // it was notified alone, and passes it on
    assert!(waits.iter_mut().all(|wait| wait.poll().is_ready()));
    assert!(take_stored(&notify));
}

#[test]
fn one_dropped_by_a_panic_passes_on_to_one_whose_waker_panics_without_an_abort() {
    let notify = Notify::new();
    let first = Polled::parked(notify.notified());
    let mut second = Polled::new(notify.notified());
    assert!(second.poll_as(&Waker::from(Arc::new(Panics))).is_pending());
    notify.notify_one();
    let panic = panic_of(|| {
        let _first = first;
        panic!("the first");
    });
    assert_eq!(panic, "the first");
    assert!(second.poll().is_ready());
}

/// Each act of these wakers takes the lock of the very `Notify`, or the way past it: if that held it, the test would hang.
/// tokio: `notify.rs: notify_clones_waker_before_lock`, `sync_notify.rs: notify_in_drop_after_wake`.
#[test]
fn wakers_that_notify_when_cloned_woken_or_dropped_find_no_lock_held() {
    let _watch = watch();
    for end in 0..6 {
        let notify = Arc::new(Notify::new());
        let (on, acts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let waker = {
            let (notify, on, acts) = (Arc::clone(&notify), Arc::clone(&on), Arc::clone(&acts));
            acting::waker(move |_| {
                if on.load(SeqCst) {
                    acts.fetch_add(1, SeqCst);
                    notify.notify_one();
                    notify.notify_waiters();
                    notify.notify_last();
                }
            })
        };
        let mut wait = Polled::new(notify.notified());
        assert!(wait.poll_as(if end < 5 { &waker } else { Waker::noop() }).is_pending());
        on.store(true, SeqCst);
        match end {
            0 => drop(wait), // drops the clone
            1 => notify.notify_waiters(),
            2 => notify.notify_one(),
            3 => notify.notify_last(),
            4 => drop(wait.poll_as(Waker::noop()).map(|()| panic!("it waits"))), // drops the one that is replaced
            _ => assert!(wait.poll_as(&waker).is_ready()), // clones it, and drops the clone
        }
        on.store(false, SeqCst);
        assert_eq!(acts.load(SeqCst), if end < 5 { 1 } else { 2 });
        assert_eq!(format!("{notify:?}"), "Notify { waiters: 0, stored: true }", "end {end}");
    }
}

#[test]
fn a_waker_whose_clone_panics_leaves_the_notify_as_it_was() {
    let notify = Notify::new();
    let panics = acting::waker(|act| assert!(act != Act::Clone, "no clones"));
    let mut wait = Polled::new(notify.notified());
    assert_eq!(panic_of(|| wait.poll_as(&panics)), "no clones");
    assert_eq!(waiters(&notify), 0);
    assert!(wait.poll().is_pending());
    assert_eq!(panic_of(|| wait.poll_as(&panics)), "no clones");
    notify.notify_one();
    assert!(wait.is_woken() && wait.poll().is_ready());
}

/// The clone notifies the one that is being polled, so it is not needed; its drop then panics.
#[test]
fn a_clone_whose_drop_panics_when_it_is_not_needed_loses_no_notification() {
    for (queued, dropped) in [(false, false), (false, true), (true, false), (true, true)] {
        let notify = Arc::new(Notify::new());
        let mut wait = Polled::new(notify.notified());
        if queued {
            assert!(wait.poll().is_pending());
        }
        let (other, armed) = (Arc::clone(&notify), AtomicBool::new(false));
        let waker = acting::waker(move |act| match act {
            Act::Clone => {
                other.notify_one();
                armed.store(true, SeqCst);
            }
            Act::Drop => assert!(!armed.swap(false, SeqCst), "the drop panics"),
            Act::Wake => {}
        });
        assert_eq!(panic_of(|| wait.poll_as(&waker)), "the drop panics");
        assert!(dropped || wait.poll().is_ready());
        drop(wait);
        assert_eq!(take_stored(&notify), dropped);
    }
}

// ---- On runtimes ----

#[test]
fn a_notification_wakes_a_task_and_brings_what_came_before() {
    let _watch = watch();
    for runner in RUNNERS {
        runner.run(async move {
            let shared = Arc::new((Notify::new(), AtomicUsize::new(0), Notify::new()));
            let other = Arc::clone(&shared);
            let relaxed = std::sync::atomic::Ordering::Relaxed;
            let echo = runner.spawn(async move {
                for n in 1..=500 {
                    other.0.notified().await;
                    assert_eq!(other.1.load(relaxed), n);
                    other.2.notify_one();
                }
            });
            for n in 1..=500 {
                shared.1.store(n, relaxed);
                shared.0.notify_one();
                shared.2.notified().await;
            }
            echo.await;
        });
    }
}

#[test]
fn all_tasks_whose_wait_was_made_before_the_call_are_woken_by_it() {
    let _watch = watch();
    for runner in RUNNERS {
        runner.run(async move {
            let notify = Arc::new(Notify::new());
            let tasks: Vec<_> =
                (0..100).map(|_| runner.spawn(Arc::clone(&notify).notified_owned())).collect();
            notify.notify_waiters();
            for task in tasks {
                task.await;
            }
            assert!(!take_stored(&notify));
        });
    }
}

/// Each token is a notification that is passed round; who is notified sends it on. With as many in line as
/// there are tokens at most, none is stored twice, so none may be lost, however many waits are given up.
#[test]
fn a_notification_that_goes_round_survives_all_who_give_up() {
    let _watch = watch();
    let mut rng = Rng::new();
    for runner in RUNNERS {
        let notify = Arc::new(Notify::new());
        let received = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        // A thread that no runtime knows, which polls with a waker that does nothing.
        let (other, until) = (Arc::clone(&notify), Arc::clone(&over));
        let foreign = thread::spawn(move || {
            while !until.load(SeqCst) {
                let mut wait = Box::pin(other.notified());
                for _ in 0..3 {
                    if common::poll_once(&mut wait).is_ready() {
                        other.notify_one();
                        break;
                    }
                    thread::yield_now();
                }
            }
        });
        notify.notify_one();
        let (all, count) = (Arc::clone(&notify), Arc::clone(&received));
        let rngs: Vec<_> = (0..8).map(|_| rng.fork()).collect();
        runner.run(async move {
            let tasks: Vec<_> = rngs
                .into_iter()
                .map(|mut rng| {
                    let (notify, received) = (Arc::clone(&all), Arc::clone(&count));
                    runner.spawn(async move {
                        for _ in 0..common::sized(300, 3000) {
                            match rng.below(5) {
                                0 => drop(notify.notified()),
                                1 => {
                                    let mut wait = Box::pin(notify.notified());
                                    if poll_in_task(&mut wait).await.is_ready() {
                                        notify.notify_one();
                                    }
                                }
                                2 => {
                                    let mut wait = Box::pin(Arc::clone(&notify).notified_owned());
                                    if poll_in_task(&mut wait).await.is_ready() {
                                        notify.notify_one();
                                    } else {
                                        runner.yield_now().await; // it may be notified meanwhile
                                    }
                                }
                                3 => {
                                    let mut wait = Box::pin(notify.notified());
                                    if wait.as_mut().enable() {
                                        notify.notify_one();
                                    }
                                }
                                _ => {
                                    notify.notified().await;
                                    received.fetch_add(1, SeqCst);
                                    notify.notify_one();
                                }
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
        });
        over.store(true, SeqCst);
        foreign.join().unwrap();
        assert!(received.load(SeqCst) > 0, "{runner:?}");
        assert!(take_stored(&notify) && !take_stored(&notify), "{runner:?}");
        assert_eq!(waiters(&notify), 0);
    }
}

/// No two notifications are ever stored at once here, since one is sent only when the line is as long as needed: so
/// those sent are those received, and those in line at the end.
#[test]
fn what_was_sent_is_what_was_received_and_what_is_stored() {
    let _watch = watch();
    let mut rng = Rng::new();
    for _ in 0..common::sized(30, 200) {
        let notify = Notify::new();
        let received = AtomicUsize::new(0);
        let mut waits: Vec<_> = (0..60).map(|_| Polled::parked(notify.notified())).collect();
        let parts: Vec<Vec<_>> = (0..3).map(|_| waits.drain(..20).collect()).collect();
        let kept: Vec<_> = (0..40).map(|_| Polled::parked(notify.notified())).collect();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    (0..20).for_each(|n| if n % 2 == 0 { notify.notify_one() } else { notify.notify_last() })
                });
            }
            for mut part in parts {
                let (received, mut rng) = (&received, rng.fork());
                scope.spawn(move || {
                    while !part.is_empty() {
                        let mut wait = part.swap_remove(rng.below(part.len() as u64) as usize);
                        if rng.below(2) == 0 && wait.poll().is_ready() {
                            received.fetch_add(1, SeqCst);
                        }
                    }
                });
            }
        });
        let left = kept.into_iter().map(|mut wait| usize::from(wait.poll().is_ready())).sum::<usize>();
        assert_eq!(received.load(SeqCst) + left, 40);
        assert!(!take_stored(&notify));
    }
}

/// Calls to all against calls to one, waits made, polled and given up: each wait of a round is notified with it.
#[test]
fn rounds_and_single_notifications_do_not_disturb_each_other() {
    let _watch = watch();
    for runner in RUNNERS {
        runner.run(async move {
            let notify = Arc::new(Notify::new());
            let over = Arc::new(AtomicBool::new(false));
            let waits: Vec<_> = (0..6)
                .map(|n| {
                    let (notify, over) = (Arc::clone(&notify), Arc::clone(&over));
                    runner.spawn(async move {
                        let mut count = 0;
                        while !over.load(SeqCst) {
                            let given_up: Vec<_> = (0..n * 7)
                                .map(|_| {
                                    let mut wait = Box::pin(notify.notified());
                                    wait.as_mut().enable();
                                    wait
                                })
                                .collect();
                            let mut last = Box::pin(notify.notified());
                            if !last.as_mut().enable() && !over.load(SeqCst) {
                                last.await;
                            }
                            drop(given_up);
                            count += 1;
                        }
                        count
                    })
                })
                .collect();
            for n in 0..common::sized(500, 5000) {
                if n % 3 == 0 {
                    notify.notify_waiters()
                } else {
                    notify.notify_one()
                }
                if n % 16 == 0 {
                    runner.yield_now().await;
                }
            }
            over.store(true, SeqCst);
            notify.notify_waiters(); // whoever has not seen `over` is in line already
            for wait in waits {
                let _: usize = wait.await;
            }
            assert_eq!(waiters(&notify), 0);
        });
    }
}

#[test]
fn all_cross_threads_and_say_what_they_are() {
    fn crosses<T: Send + Sync + std::fmt::Debug>(value: &T) -> String {
        format!("{value:?}")
    }
    fn is_static<T: 'static>(_: &T) {}
    static NOTIFY: Notify = Notify::new();
    assert_eq!(crosses(&NOTIFY), "Notify { waiters: 0, stored: false }");
    assert_eq!(crosses::<Notified<'_>>(&NOTIFY.notified()), "Notified { notified: false, .. }");
    let notify = Arc::new(Notify::default());
    let weak = Arc::downgrade(&notify);
    let mut owned = Polled::parked(notify.notified_owned());
    is_static(&owned);
    weak.upgrade().unwrap().notify_waiters();
    assert!(owned.poll().is_ready());
    assert_eq!(crosses::<OwnedNotified>(&owned.future), "OwnedNotified { notified: true, .. }");
    drop(owned);
    assert_eq!(weak.strong_count(), 0);
}
