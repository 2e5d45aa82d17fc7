//! What a `Semaphore` promises: its line, by polling each acquire by hand; its counts, in storms on several runtimes.
//!
//! Tests that assert what a test of tokio's or of Go's asserts name it: `sync_semaphore.rs`, `semaphore_batch.rs` are
//! tokio's, `semaphore_test.go` is that of `golang.org/x/sync`.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

#[path = "common/acting.rs"]
mod acting;
mod common;
#[path = "common/polled.rs"]
mod polled;

use acting::Act;
use common::{Count, Gate, Rng, watch};
use gmprt::sync::{
    AcquireError, AcquireFuture, AcquireOwnedFuture, OwnedSemaphorePermit, Semaphore, SemaphorePermit,
    TryAcquireError,
};
use polled::{Named, Panics, Polled, panic_of, poll_in_task};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
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

    async fn until(self, condition: impl Fn() -> bool) {
        while !condition() {
            self.yield_now().await;
        }
    }
}

/// The permit of an acquire that has it.
fn got<T>(poll: Poll<Result<T, AcquireError>>) -> T {
    match poll {
        Poll::Ready(Ok(permit)) => permit,
        Poll::Ready(Err(error)) => panic!("{error}"),
        Poll::Pending => panic!("it waits"),
    }
}

fn waiters(semaphore: &Semaphore) -> usize {
    let text = format!("{semaphore:?}");
    let (_, rest) = text.split_once("waiters: ").unwrap();
    rest.split_once(',').unwrap().0.parse().unwrap()
}

// ---- Without waiting ----

/// tokio: `sync_semaphore.rs: no_permits, try_acquire`, `semaphore_batch.rs: try_acquire_*`;
/// Go: `semaphore_test.go: TestWeightedTryAcquire`.
#[test]
fn what_is_free_is_taken_without_waiting_and_no_more() {
    let semaphore = Semaphore::new(5);
    let one = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.available_permits(), 4);
    assert_eq!(semaphore.try_acquire_many(5).unwrap_err(), TryAcquireError::NoPermits);
    let four = semaphore.try_acquire_many(4).unwrap();
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    drop(one);
    assert_eq!(semaphore.available_permits(), 1);
    drop(four);
    assert_eq!(semaphore.available_permits(), 5);
    assert_eq!(got(Polled::new(semaphore.acquire_many(5)).poll()).num_permits(), 5);
    assert_eq!(Semaphore::new(0).try_acquire().unwrap_err(), TryAcquireError::NoPermits);
}

/// tokio: `sync_semaphore.rs: forget, forget_open, forget_closed, add_permits_open, add_permits_closed`,
/// `semaphore_batch.rs: forget_permits_basic`.
#[test]
fn permits_are_added_and_forgotten_open_or_closed() {
    for (size, n) in (0..4).flat_map(|size| (0..4).map(move |n| (size, n))) {
        for closed in [false, true] {
            let semaphore = Semaphore::new(size);
            if closed {
                semaphore.close();
            }
            semaphore.add_permits(n);
            assert_eq!(semaphore.available_permits(), size + n);
            assert_eq!(semaphore.forget_permits(n + 1), (n + 1).min(size + n));
            assert_eq!(semaphore.available_permits(), size.saturating_sub(1));
            assert_eq!(semaphore.is_closed(), closed);
        }
    }
    let semaphore = Arc::new(Semaphore::new(2));
    semaphore.try_acquire().unwrap().forget();
    Arc::clone(&semaphore).try_acquire_owned().unwrap().forget();
    assert_eq!(semaphore.available_permits(), 0);
}

/// tokio: `sync_semaphore.rs: merge, split, merge_many_permits, permit_semaphore, merge_unrelated_permits`, and the same
/// of `sync_semaphore_owned.rs`.
#[test]
fn permits_are_merged_and_split() {
    let semaphore = Arc::new(Semaphore::new(6_000_000_000));
    let mut a = semaphore.try_acquire_many(3_000_000_000).unwrap();
    a.merge(semaphore.try_acquire_many(3_000_000_000).unwrap());
    assert_eq!((a.num_permits(), semaphore.available_permits()), (6_000_000_000, 0));
    let b = a.split(5).unwrap();
    assert!(std::ptr::eq(b.semaphore(), &*semaphore));
    assert!(a.split(6_000_000_000).is_none());
    assert_eq!((a.num_permits(), b.num_permits()), (5_999_999_995, 5));
    drop(a.split(0).unwrap());
    assert_eq!(semaphore.available_permits(), 0);
    drop(a);
    assert_eq!(semaphore.available_permits(), 5_999_999_995);
    drop(b);

    let mut a = Arc::clone(&semaphore).try_acquire_many_owned(3).unwrap();
    let b = a.split(1).unwrap();
    assert!(a.split(3).is_none() && Arc::ptr_eq(b.semaphore(), &semaphore));
    a.merge(b);
    drop(a);
    assert_eq!(semaphore.available_permits(), 6_000_000_000);

    let other = Arc::new(Semaphore::new(1));
    let panic = panic_of(|| semaphore.try_acquire().unwrap().merge(other.try_acquire().unwrap()));
    assert_eq!(panic, "permits of different semaphores cannot be merged");
    let mut a = Arc::clone(&semaphore).try_acquire_owned().unwrap();
    panic_of(|| a.merge(Arc::clone(&other).try_acquire_owned().unwrap()));
    drop(a);
    assert_eq!((semaphore.available_permits(), other.available_permits()), (6_000_000_000, 1));
}

/// tokio: `sync_semaphore.rs: add_max_amount_permits, add_more_than_max_amount_permits1 and 2,
/// panic_when_exceeds_maxpermits, no_panic_at_maxpermits`. Go: `semaphore_test.go: TestWeightedPanic`, where already the
/// size is the limit.
#[test]
fn more_than_max_permits_is_a_panic_that_changes_nothing() {
    const MAX: usize = Semaphore::MAX_PERMITS;
    assert!(panic_of(|| Semaphore::new(MAX + 1)).contains("MAX_PERMITS"));
    let semaphore = Semaphore::new(MAX - 1);
    semaphore.add_permits(1);
    for n in [1, MAX, usize::MAX] {
        assert!(panic_of(|| semaphore.add_permits(n)).contains("MAX_PERMITS"));
        assert_eq!(semaphore.available_permits(), MAX);
    }
    let permit = semaphore.try_acquire().unwrap();
    semaphore.add_permits(1);
    assert!(panic_of(|| drop(permit)).contains("MAX_PERMITS"));
    let permit = semaphore.try_acquire().unwrap();
    semaphore.add_permits(1);
    let panic = panic_of(|| {
        let _permit = permit; // to panic twice would abort
        panic!("the first");
    });
    assert_eq!((panic.as_str(), semaphore.available_permits()), ("the first", MAX));

    let semaphore = Semaphore::new(0);
    let mut acquire = Polled::parked(semaphore.acquire());
    panic_of(|| semaphore.add_permits(MAX + 1));
    assert!(acquire.poll().is_pending() && !acquire.is_woken());
    semaphore.add_permits(MAX);
    drop(got(acquire.poll()));
    assert_eq!(semaphore.available_permits(), MAX);
}

#[test]
fn an_acquire_of_nothing_never_waits_and_fails_only_when_closed() {
    let semaphore = Arc::new(Semaphore::new(0));
    let waiting = Polled::parked(semaphore.acquire());
    assert_eq!(semaphore.try_acquire_many(0).unwrap().num_permits(), 0);
    drop(got(Polled::new(semaphore.acquire_many(0)).poll()));
    semaphore.close();
    assert!(
        Polled::new(Arc::clone(&semaphore).acquire_many_owned(0)).poll().map(|got| got.is_err())
            == Poll::Ready(true)
    );
    assert_eq!(semaphore.try_acquire_many(0).unwrap_err(), TryAcquireError::Closed);
    drop(waiting);
}

// ---- The line ----

/// tokio: `semaphore_batch.rs: poll_acquire_one_unavailable, poll_acquire_one_zero_permits`.
#[test]
fn who_waits_is_woken_with_its_permit() {
    let semaphore = Semaphore::new(1);
    let first = got(Polled::new(semaphore.acquire()).poll());
    let mut second = Polled::parked(semaphore.acquire());
    drop(first);
    assert!(second.is_woken());
    assert_eq!(semaphore.available_permits(), 0, "it has it already");
    let second = got(second.poll());
    assert_eq!(semaphore.available_permits(), 0);
    drop(second);
    assert_eq!(semaphore.available_permits(), 1);
}

/// tokio: `semaphore_batch.rs: poll_acquire_many_unavailable, update_permits_many_times`.
#[test]
fn one_who_waits_for_many_holds_back_those_behind_until_it_has_all() {
    let semaphore = Semaphore::new(5);
    got(Polled::new(semaphore.acquire()).poll()).forget();
    let mut many = Polled::parked(semaphore.acquire_many(5));
    assert_eq!(semaphore.available_permits(), 0, "they are set aside");
    assert_eq!(semaphore.forget_permits(1), 0);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    let mut behind = Polled::parked(semaphore.acquire_many(3));
    assert_eq!(semaphore.available_permits(), 0);
    semaphore.add_permits(1);
    assert!(many.is_woken() && !behind.is_woken());
    got(many.poll()).forget();
    for n in [1, 1] {
        semaphore.add_permits(n);
        assert!(!behind.is_woken());
    }
    semaphore.add_permits(2);
    assert!(behind.is_woken());
    assert_eq!(semaphore.available_permits(), 1);
    got(behind.poll()).forget();
}

/// More than are served under one hold of the lock.
#[test]
fn a_hundred_are_served_in_the_order_in_which_they_began() {
    let semaphore = Semaphore::new(0);
    let log = Arc::default();
    let mut line: Vec<_> = (0..100)
        .map(|n| {
            let mut acquire = Polled::new(semaphore.acquire());
            assert!(acquire.poll_as(&Waker::from(Arc::new(Named(n, Arc::clone(&log))))).is_pending());
            acquire
        })
        .collect();
    semaphore.add_permits(70);
    assert_eq!(*log.lock().unwrap(), (0..70).collect::<Vec<_>>());
    assert_eq!(waiters(&semaphore), 30);
    semaphore.add_permits(37);
    assert_eq!(*log.lock().unwrap(), (0..100).collect::<Vec<_>>());
    assert_eq!(semaphore.available_permits(), 7);
    line.iter_mut().for_each(|acquire| got(acquire.poll()).forget());
}

#[test]
fn the_place_in_line_is_that_of_the_first_poll() {
    let semaphore = Semaphore::new(0);
    let mut made_first = Polled::new(semaphore.acquire());
    let mut polled_first = Polled::parked(semaphore.acquire());
    assert!(made_first.poll().is_pending() && polled_first.poll().is_pending());
    semaphore.add_permits(1);
    assert!(polled_first.is_woken() && !made_first.is_woken());
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_woken() {
    let semaphore = Semaphore::new(0);
    let mut acquire = Polled::parked(semaphore.acquire());
    let last = Count::default();
    assert!(acquire.poll_as(&last.waker()).is_pending());
    semaphore.add_permits(1);
    assert_eq!((last.get(), acquire.is_woken()), (1, false));
}

/// Go: `semaphore_test.go: TestWeightedDoesntBlockIfTooBig`. There a request of more than the size blocks nobody; here it
/// may be served one day, so it does, until it is given up.
#[test]
fn one_who_waits_for_more_than_there_are_holds_the_others_back_until_it_gives_up() {
    let semaphore = Semaphore::new(2);
    let too_big = Polled::parked(semaphore.acquire_many(3));
    let mut small: Vec<_> = (0..3).map(|_| Polled::parked(semaphore.acquire())).collect();
    drop(too_big);
    assert_eq!(small.iter().map(|acquire| acquire.is_woken()).collect::<Vec<_>>(), [true, true, false]);
    drop(got(small[0].poll()));
    assert!(small[2].is_woken());
}

#[test]
fn the_futures_panic_when_polled_after_they_have_completed() {
    let semaphore = Arc::new(Semaphore::new(5));
    let mut acquire = Polled::new(semaphore.acquire());
    drop(got(acquire.poll()));
    assert_eq!(panic_of(|| acquire.poll()), "`AcquireFuture` polled after it has completed");
    let mut acquire = Polled::new(Arc::clone(&semaphore).acquire_owned());
    drop(got(acquire.poll()));
    assert_eq!(panic_of(|| acquire.poll()), "`AcquireOwnedFuture` polled after it has completed");
    assert_eq!(semaphore.available_permits(), 5);
}

#[test]
fn an_owned_acquire_waits_like_another_and_keeps_the_semaphore_alive() {
    let semaphore = Arc::new(Semaphore::new(1));
    let weak = Arc::downgrade(&semaphore);
    let held = Arc::clone(&semaphore).try_acquire_owned().unwrap();
    let mut first = Polled::parked(Arc::clone(&semaphore).acquire_owned());
    let mut second = Polled::parked(semaphore.acquire_many_owned(1));
    drop(held);
    assert!(first.is_woken() && !second.is_woken());
    drop(first.poll());
    drop(first);
    let permit = got(second.poll());
    drop(second);
    assert_eq!(weak.strong_count(), 1);
    drop(permit);
    assert_eq!(weak.strong_count(), 0);
}

// ---- Cancelled ----

#[test]
fn an_acquire_dropped_before_its_first_poll_leaves_no_trace() {
    let semaphore = Arc::new(Semaphore::new(1));
    drop(semaphore.acquire());
    drop(Arc::clone(&semaphore).acquire_owned());
    assert_eq!((semaphore.available_permits(), waiters(&semaphore)), (1, 0));
}

/// tokio: `semaphore_batch.rs: cancel_acquire_releases_permits`.
#[test]
fn an_acquire_dropped_in_line_frees_what_was_set_aside() {
    let semaphore = Semaphore::new(10);
    semaphore.try_acquire_many(4).unwrap().forget();
    let acquire = Polled::parked(semaphore.acquire_many(8));
    assert_eq!(semaphore.available_permits(), 0);
    drop(acquire);
    assert_eq!(semaphore.available_permits(), 6);
    assert!(semaphore.try_acquire_many(6).is_ok());
}

/// Go: `semaphore_test.go: TestAllocCancelDoesntStarve`.
#[test]
fn a_first_in_line_that_is_dropped_lets_as_many_behind_it_go_as_there_are_permits_for() {
    let semaphore = Semaphore::new(3);
    let first = Polled::parked(semaphore.acquire_many(4));
    let needs = [1, 2, 1, 1];
    let mut behind: Vec<_> = needs.map(|n| Polled::parked(semaphore.acquire_many(n))).into();
    drop(first);
    assert_eq!(
        behind.iter().map(|acquire| acquire.is_woken()).collect::<Vec<_>>(),
        [true, true, false, false]
    );
    drop(behind.pop());
    drop(behind.pop()); // first in line, and nothing is free
    assert_eq!(waiters(&semaphore), 0);
    drop(behind); // served, not polled
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn one_dropped_in_the_middle_or_at_the_end_of_the_line_changes_nothing_for_the_others() {
    let semaphore = Semaphore::new(0);
    let mut line: Vec<_> = (0..4).map(|_| Polled::parked(semaphore.acquire())).collect();
    drop(line.remove(3));
    drop(line.remove(1));
    semaphore.add_permits(1);
    assert!(line[0].is_woken() && !line[1].is_woken());
    semaphore.add_permits(2);
    assert!(line[1].is_woken());
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn what_one_got_that_is_dropped_before_its_poll_goes_to_those_behind() {
    let semaphore = Arc::new(Semaphore::new(0));
    let first = Polled::parked(semaphore.acquire_many(2));
    let mut second = Polled::parked(Arc::clone(&semaphore).acquire_owned());
    let mut third = Polled::parked(semaphore.acquire());
    semaphore.add_permits(2);
    assert!(first.is_woken() && !second.is_woken());
    drop(first);
    assert!(second.is_woken() && third.is_woken());
    drop((got(second.poll()), got(third.poll())));
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn an_acquire_dropped_after_it_has_completed_takes_nothing_back() {
    let semaphore = Semaphore::new(0);
    let mut acquire = Polled::parked(semaphore.acquire());
    semaphore.add_permits(1);
    let permit = got(acquire.poll());
    drop(acquire);
    assert_eq!(semaphore.available_permits(), 0);
    drop(permit);
    assert_eq!(semaphore.available_permits(), 1);
}

// ---- Closed ----

/// tokio: `semaphore_batch.rs: close_semaphore_prevents_acquire, close_semaphore_notifies_permit1 and 2`,
/// `sync_semaphore.rs: close_wakes_all_waiters`.
#[test]
fn close_wakes_all_who_wait_in_order_and_they_fail() {
    let semaphore = Arc::new(Semaphore::new(2));
    semaphore.try_acquire().unwrap().forget();
    let log = Arc::default();
    let mut line: Vec<_> = (0..100)
        .map(|n| {
            let mut acquire = Polled::new(Arc::clone(&semaphore).acquire_many_owned(2));
            assert!(acquire.poll_as(&Waker::from(Arc::new(Named(n, Arc::clone(&log))))).is_pending());
            acquire
        })
        .collect();
    semaphore.close();
    assert_eq!(*log.lock().unwrap(), (0..100).collect::<Vec<_>>());
    assert_eq!(semaphore.available_permits(), 1, "what was set aside is free");
    drop(line.pop());
    for acquire in &mut line {
        assert!(acquire.poll().map(|got| got.unwrap_err()) == Poll::Ready(AcquireError));
    }
    semaphore.close();
    assert!(Polled::new(semaphore.acquire()).poll().map(|got| got.is_err()) == Poll::Ready(true));
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    semaphore.add_permits(1);
    assert_eq!(semaphore.available_permits(), 2);
    assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: 2, waiters: 0, closed: true }");
}

#[test]
fn one_who_had_its_permit_before_the_close_has_it_after() {
    let semaphore = Semaphore::new(0);
    let mut polled = Polled::parked(semaphore.acquire());
    let dropped = Polled::parked(semaphore.acquire());
    semaphore.add_permits(2);
    semaphore.close();
    drop(got(polled.poll()));
    drop(dropped);
    assert_eq!(semaphore.available_permits(), 2);
}

// ---- Wakers that misbehave ----

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_served() {
    for close in [false, true] {
        let semaphore = Semaphore::new(0);
        let mut line: Vec<_> = (0..70)
            .map(|n| {
                let mut acquire = Polled::new(semaphore.acquire());
                let waker = if n % 33 == 0 { Waker::from(Arc::new(Panics)) } else { acquire.woken.waker() };
                assert!(acquire.poll_as(&waker).is_pending());
                acquire
            })
            .collect();
        let panic = panic_of(|| if close { semaphore.close() } else { semaphore.add_permits(70) });
        assert_eq!(panic, "the waker panics");
        assert!((0..70).all(|n| line[n].is_woken() == (n % 33 != 0)));
        let served = line.iter_mut().filter_map(|acquire| match acquire.poll() {
            Poll::Ready(got) => got.ok().map(SemaphorePermit::forget),
            Poll::Pending => panic!("not settled"),
        });
        assert_eq!(served.count(), if close { 0 } else { 70 });
        assert_eq!((semaphore.available_permits(), waiters(&semaphore)), (0, 0));
    }
}

#[test]
fn a_permit_dropped_by_a_panic_wakes_one_whose_waker_panics_without_an_abort() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire().unwrap();
    let mut acquire = Polled::new(semaphore.acquire());
    assert!(acquire.poll_as(&Waker::from(Arc::new(Panics))).is_pending());
    let panic = panic_of(|| {
        let _permit = permit;
        panic!("the first");
    });
    assert_eq!(panic, "the first");
    drop(got(acquire.poll()));
}

/// Each act of these wakers takes the lock of the very semaphore: if that held it, the test would hang.
/// tokio: `sync_semaphore.rs: close_drops_wakers_outside_lock, close_wakes_waiters_outside_lock`,
/// `semaphore_batch.rs: release_permits_at_drop`.
#[test]
fn wakers_that_add_permits_when_cloned_woken_or_dropped_find_no_lock_held() {
    let _watch = watch();
    for end in 0..4 {
        let semaphore = Arc::new(Semaphore::new(0));
        let acts = Arc::new(AtomicUsize::new(0));
        let waker = || {
            let (semaphore, acts) = (Arc::clone(&semaphore), Arc::clone(&acts));
            acting::waker(move |_| {
                acts.fetch_add(1, SeqCst);
                semaphore.add_permits(1);
            })
        };
        let mut acquire = Polled::new(semaphore.acquire_many(100));
        assert!(acquire.poll_as(&waker()).is_pending()); // cloned; the original is dropped
        assert!(acquire.poll_as(&waker()).is_pending()); // replaced by another
        assert_eq!(acts.load(SeqCst), 5);
        let mut held = 0;
        match end {
            0 => drop(acquire),
            1 => semaphore.close(),
            2 => {
                semaphore.add_permits(95);
                held = got(acquire.poll()).num_permits();
            }
            _ => {
                semaphore.add_permits(95);
                drop(acquire); // served
            }
        }
        assert_eq!(acts.load(SeqCst), 6);
        let added = if end < 2 { 6 } else { 101 };
        assert_eq!(semaphore.available_permits(), added, "end {end}, and {held} were held");
    }
}

#[test]
fn a_waker_whose_clone_panics_leaves_the_semaphore_as_it_was() {
    let semaphore = Semaphore::new(0);
    let panics = acting::waker(|act| assert!(act != Act::Clone, "no clones"));
    let mut acquire = Polled::new(semaphore.acquire());
    assert_eq!(panic_of(|| acquire.poll_as(&panics)), "no clones");
    assert_eq!(waiters(&semaphore), 0);
    assert!(acquire.poll().is_pending());
    assert_eq!(panic_of(|| acquire.poll_as(&panics)), "no clones");
    semaphore.add_permits(1);
    assert!(acquire.is_woken());
    drop(got(acquire.poll()));
}

/// The clone serves the acquire that is being polled, so it is not needed; its drop then panics.
#[test]
fn a_clone_whose_drop_panics_when_it_is_not_needed_loses_no_permits() {
    for queued in [false, true] {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut acquire = Polled::new(semaphore.acquire());
        if queued {
            assert!(acquire.poll().is_pending());
        }
        let (other, armed) = (Arc::clone(&semaphore), AtomicBool::new(false));
        let waker = acting::waker(move |act| match act {
            Act::Clone => {
                other.add_permits(1);
                armed.store(true, SeqCst);
            }
            Act::Drop => assert!(!armed.swap(false, SeqCst), "the drop panics"),
            Act::Wake => {}
        });
        assert_eq!(panic_of(|| acquire.poll_as(&waker)), "the drop panics");
        if queued {
            drop(acquire);
        } else {
            drop(got(acquire.poll()));
        }
        assert_eq!((semaphore.available_permits(), waiters(&semaphore)), (1, 0));
    }
}

// ---- On runtimes ----

/// tokio: `sync_semaphore.rs: acquire, add_permits, stress_test`, and those of `sync_semaphore_owned.rs`.
#[test]
fn tasks_wait_for_permits_and_get_them() {
    let _watch = watch();
    for runner in RUNNERS {
        let semaphore = Arc::new(Semaphore::new(0));
        let all = Arc::clone(&semaphore);
        runner.run(async move {
            let tasks: Vec<_> = (0..1000)
                .map(|n| {
                    let semaphore = Arc::clone(&all);
                    runner.spawn(async move {
                        if n % 2 == 0 {
                            drop(semaphore.acquire().await.unwrap());
                        } else {
                            drop(semaphore.acquire_many_owned(n % 5).await.unwrap());
                        }
                    })
                })
                .collect();
            all.add_permits(5);
            for task in tasks {
                task.await;
            }
        });
        assert_eq!(semaphore.available_permits(), 5, "{runner:?}");
    }
}

#[test]
fn tasks_are_served_in_the_order_in_which_they_began_to_wait() {
    let _watch = watch();
    for runner in RUNNERS {
        let log = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&log);
        runner.run(async move {
            let semaphore = Arc::new(Semaphore::new(1));
            let permit = semaphore.acquire().await.unwrap();
            let mut tasks = Vec::new();
            for n in 0..50 {
                let (other, log) = (Arc::clone(&semaphore), Arc::clone(&all));
                tasks.push(runner.spawn(async move {
                    let _permit = other.acquire().await.unwrap();
                    log.lock().unwrap().push(n);
                }));
                runner.until(|| waiters(&semaphore) == n + 1).await;
            }
            drop(permit);
            for task in tasks {
                task.await;
            }
        });
        assert_eq!(*log.lock().unwrap(), (0..50).collect::<Vec<_>>(), "{runner:?}");
    }
}

#[test]
fn close_ends_the_wait_of_every_task() {
    let _watch = watch();
    for runner in RUNNERS {
        runner.run(async move {
            let semaphore = Arc::new(Semaphore::new(0));
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let semaphore = Arc::clone(&semaphore);
                    runner.spawn(async move { semaphore.acquire().await.is_err() })
                })
                .collect();
            runner.until(|| waiters(&semaphore) > 50).await;
            semaphore.close();
            for task in tasks {
                assert!(task.await);
            }
        });
    }
}

/// Go: `semaphore_test.go: TestLargeAcquireDoesntStarve`.
#[test]
fn one_who_wants_all_is_not_starved_by_those_who_want_one() {
    let _watch = watch();
    for runner in RUNNERS {
        runner.run(async move {
            let semaphore = Arc::new(Semaphore::new(4));
            let running = Arc::new(AtomicBool::new(true));
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let (semaphore, running) = (Arc::clone(&semaphore), Arc::clone(&running));
                    runner.spawn(async move {
                        while running.load(SeqCst) {
                            let _permit = semaphore.acquire().await.unwrap();
                            runner.yield_now().await;
                        }
                    })
                })
                .collect();
            runner.until(|| semaphore.available_permits() == 0).await;
            let all = semaphore.acquire_many(4).await.unwrap();
            running.store(false, SeqCst);
            drop(all);
            for task in tasks {
                task.await;
            }
        });
    }
}

const PERMITS: usize = 6;

/// A semaphore, and how many of its permits are held.
#[derive(Clone)]
struct Storm(Arc<Semaphore>, Arc<AtomicUsize>);

impl Storm {
    fn hold(&self, n: usize) -> impl Drop + Send + use<> {
        let before = self.1.fetch_add(n, SeqCst);
        assert!(before + n <= PERMITS, "{} of {PERMITS} permits are held", before + n);
        let held = Arc::clone(&self.1);
        common::OnDrop(move || {
            held.fetch_sub(n, SeqCst);
        })
    }

    /// Acquires in all ways, and gives up at every point of the way.
    async fn task(self, runner: Runner, mut rng: Rng, rounds: usize) {
        for _ in 0..rounds {
            let n = rng.below(PERMITS as u64 + 1) as u32;
            match rng.below(6) {
                0 => drop(self.0.acquire_many(n)),
                1 => {
                    let mut acquire = Box::pin(self.0.acquire_many(n));
                    let polled = poll_in_task(&mut acquire).await;
                    let _held = polled.is_ready().then(|| self.hold(n as usize));
                    drop(_held);
                }
                2 => {
                    let mut acquire = Box::pin(Arc::clone(&self.0).acquire_many_owned(n));
                    if poll_in_task(&mut acquire).await.is_pending() {
                        (0..rng.below(4)).for_each(drop);
                        runner.yield_now().await; // it may be served meanwhile
                    }
                }
                3 => {
                    if let Ok(permit) = self.0.try_acquire_many(n) {
                        let held = self.hold(n as usize);
                        runner.yield_now().await;
                        drop((held, permit));
                    }
                }
                4 => {
                    let mut permit = Arc::clone(&self.0).acquire_many_owned(n).await.unwrap();
                    let held = self.hold(n as usize);
                    let half = permit.split(n as usize / 2).unwrap();
                    runner.yield_now().await;
                    drop((held, half, permit));
                }
                _ => {
                    let permit = self.0.acquire_many(n).await.unwrap();
                    drop((self.hold(n as usize), permit));
                }
            }
        }
    }
}

/// Go: `semaphore_test.go: TestWeighted`. Beside the tasks a thread that no runtime knows polls with a waker that does
/// nothing, again and again.
#[test]
fn in_a_storm_of_cancels_never_more_are_held_than_there_are_and_all_come_back() {
    let _watch = watch();
    let mut rng = Rng::new();
    for runner in RUNNERS {
        let storm = Storm(Arc::new(Semaphore::new(PERMITS)), Arc::default());
        let over = Arc::new(AtomicBool::new(false));
        let (other, until) = (storm.clone(), Arc::clone(&over));
        let at_work = Gate::default();
        let begun = at_work.clone();
        let foreign = thread::spawn(move || {
            while !until.load(SeqCst) {
                let mut acquire = Box::pin(other.0.acquire());
                let permit = loop {
                    match common::poll_once(&mut acquire) {
                        Poll::Ready(permit) => break permit.unwrap(),
                        Poll::Pending => thread::yield_now(),
                    }
                };
                drop((other.hold(1), permit));
                begun.open();
                thread::yield_now();
            }
        });
        at_work.wait();
        let tasks: Vec<_> = (0..8).map(|_| (storm.clone(), rng.fork())).collect();
        runner.run(async move {
            let rounds = common::sized(300, 3000);
            let tasks: Vec<_> =
                tasks.into_iter().map(|(storm, rng)| runner.spawn(storm.task(runner, rng, rounds))).collect();
            for task in tasks {
                task.await;
            }
        });
        over.store(true, SeqCst);
        foreign.join().unwrap();
        assert_eq!(storm.1.load(SeqCst), 0);
        assert_eq!(
            format!("{:?}", storm.0),
            "Semaphore { permits: 6, waiters: 0, closed: false }",
            "{runner:?}"
        );
    }
}

/// Adding, forgetting, closing: what went in and did not come out is there in the end.
#[test]
fn what_was_added_is_what_was_taken_and_what_is_left() {
    let _watch = watch();
    let mut rng = Rng::new();
    for round in 0..common::sized(20, 100) {
        let semaphore = Arc::new(Semaphore::new(0));
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (semaphore, mut rng) = (Arc::clone(&semaphore), rng.fork());
                thread::spawn(move || {
                    let mut sum = 0_isize;
                    let mut acquires = Vec::new();
                    for step in 0..200 {
                        let n = rng.below(4) as usize;
                        match rng.below(5) {
                            0 | 1 => {
                                semaphore.add_permits(n);
                                sum += n as isize;
                            }
                            2 => sum -= semaphore.forget_permits(n) as isize,
                            3 => acquires.push(Polled::new(semaphore.acquire_many(n as u32))),
                            _ if acquires.is_empty() => {}
                            _ => drop(acquires.remove(rng.below(acquires.len() as u64) as usize)),
                        }
                        acquires.retain_mut(|acquire| match acquire.poll() {
                            Poll::Ready(Ok(permit)) => {
                                sum -= permit.num_permits() as isize;
                                permit.forget();
                                false
                            }
                            Poll::Ready(Err(_)) => false,
                            Poll::Pending => true,
                        });
                        if round % 2 == 0 && thread == 0 && step == 150 {
                            semaphore.close();
                        }
                    }
                    sum
                })
            })
            .collect();
        let sum: isize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!((semaphore.available_permits() as isize, waiters(&semaphore)), (sum, 0));
    }
}

#[test]
fn what_the_last_holder_did_is_seen_by_the_next() {
    let _watch = watch();
    for runner in RUNNERS {
        runner.run(async move {
            let shared = Arc::new((Semaphore::new(1), AtomicUsize::new(0)));
            let tasks: Vec<_> = (0..8)
                .map(|_| {
                    let shared = Arc::clone(&shared);
                    runner.spawn(async move {
                        for _ in 0..200 {
                            let _permit = shared.0.acquire().await.unwrap();
                            let relaxed = std::sync::atomic::Ordering::Relaxed;
                            let count = shared.1.load(relaxed);
                            shared.1.store(count + 1, relaxed);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
            assert_eq!(shared.1.load(SeqCst), 1600);
        });
    }
}

#[test]
fn all_cross_threads_and_say_what_they_are() {
    fn crosses<T: Send + Sync + std::fmt::Debug>(value: &T) -> String {
        format!("{value:?}")
    }
    fn is_static<T: 'static>(_: &T) {}
    let semaphore = Arc::new(Semaphore::new(5));
    assert_eq!(crosses::<Semaphore>(&semaphore), "Semaphore { permits: 5, waiters: 0, closed: false }");
    assert_eq!(crosses::<AcquireFuture<'_>>(&semaphore.acquire()), "AcquireFuture { permits: 1, .. }");
    let owned: AcquireOwnedFuture = Arc::clone(&semaphore).acquire_many_owned(2);
    is_static(&owned);
    assert_eq!(crosses(&owned), "AcquireOwnedFuture { permits: 2, .. }");
    let permit = semaphore.try_acquire().unwrap();
    assert_eq!(crosses::<SemaphorePermit<'_>>(&permit), "SemaphorePermit { permits: 1, .. }");
    let permit = Arc::clone(&semaphore).try_acquire_owned().unwrap();
    assert_eq!(crosses::<OwnedSemaphorePermit>(&permit), "OwnedSemaphorePermit { permits: 1, .. }");
    assert_eq!(AcquireError.to_string(), "the semaphore is closed");
    assert_eq!(TryAcquireError::Closed.to_string(), "the semaphore is closed");
    assert_eq!(TryAcquireError::NoPermits.to_string(), "no permits are available");
}
