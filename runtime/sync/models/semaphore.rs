//! Loom models of the semaphore: takers against releases, cancels, a close.
//!
//! Go counterpart: none.
//!
//! M1. Each model runs the interleavings with up to three preemptions that loom tells apart, and more than one.
//! M2. Each ordering that a model is there for has a canary, which takes it away and must fail.
//!
//! ```text
//!   main:   park ── poll again ── drop ──┐ join ─▶ who holds what? who was woken? what is free?
//!   other:  release, acquire or close ───┘
//! ```
//!
//! Absent: more waiters than a batch holds; `tests/semaphore.rs` has them.

use super::*;
use crate::models::frame::{Polled, model};
use crate::sys::primitive::{AtomicUsize as LoomUsize, weaken};
use loom::thread;
use std::sync::atomic::AtomicUsize as StdUsize;

fn state(semaphore: &Semaphore) -> (usize, usize) {
    let state = semaphore.state.load(Acquire);
    (free(state), state & WAITERS)
}

/// What the permit guards: a count that is read and written in two steps, in no order but that of the permits.
struct Guarded {
    semaphore: Semaphore,
    count: LoomUsize,
    touches: StdUsize,
}

impl Guarded {
    fn new(permits: usize) -> Arc<Self> {
        let (count, touches) = (LoomUsize::new(0), StdUsize::new(0));
        Arc::new(Self { semaphore: Semaphore::new(permits), count, touches })
    }

    /// Fails in some interleaving if another touches it too, or if we do not see what another did before.
    fn touch(&self) {
        let before = self.touches.fetch_add(1, Relaxed);
        assert_eq!(self.count.load(Relaxed), before);
        self.count.store(before + 1, Relaxed);
    }
}

/// One permit, taken without waiting by whoever finds it.
fn takers() {
    model(|| {
        let shared = Guarded::new(1);
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            if let Ok(_permit) = other.semaphore.try_acquire() {
                other.touch();
            }
        });
        if let Ok(_permit) = shared.semaphore.try_acquire() {
            shared.touch();
        }
        thread.join().unwrap();
        assert_eq!(state(&shared.semaphore), (1, 0));
    });
}

#[test]
fn one_permit_has_one_holder_who_sees_what_the_last_one_did() {
    takers();
}

#[test]
fn canary_a_take_needs_its_acquire() {
    weaken::without("Semaphore::take", takers);
}

#[test]
fn canary_a_release_needs_its_release() {
    weaken::without("Semaphore::release", takers);
}

/// The permit goes to one who may be in line already, or not yet, or be gone before it comes.
fn hand_off(cancel: bool) {
    model(move || {
        let shared = Guarded::new(1);
        let permit = shared.semaphore.try_acquire().unwrap();
        permit.forget();
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            other.touch();
            other.semaphore.add_permits(1);
        });
        let mut acquire = Polled::new(shared.semaphore.acquire());
        let first = acquire.poll();
        let second = if first.is_pending() { acquire.poll() } else { Poll::Pending };
        let got = match (first, second) {
            (Poll::Ready(permit), _) | (_, Poll::Ready(permit)) => {
                shared.touch();
                drop(permit);
                true
            }
            _ => false,
        };
        if cancel || got {
            drop(acquire);
            thread.join().unwrap();
        } else {
            thread.join().unwrap();
            assert_eq!(acquire.woken(), 1);
            let Poll::Ready(Ok(permit)) = acquire.poll() else { panic!("it was served") };
            shared.touch();
            drop(permit);
        }
        assert_eq!(state(&shared.semaphore), (1, 0));
    });
}

#[test]
fn a_permit_finds_its_waiter_whether_it_waits_already_or_not() {
    hand_off(false);
}

#[test]
fn a_permit_given_to_an_acquire_that_is_dropped_is_free_again() {
    hand_off(true);
}

#[test]
fn canary_a_served_waiter_needs_the_acquire_of_its_phase() {
    weaken::without("Node::phase", || hand_off(false));
}

/// Two permits, of two holders; the second to give back serves the one who waits for both.
fn collected() {
    model(|| {
        let shared = Guarded::new(2);
        shared.semaphore.try_acquire_many(2).unwrap().forget();
        let mut acquire = Polled::parked(shared.semaphore.acquire_many(2));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            other.touch();
            other.semaphore.add_permits(1);
        });
        shared.semaphore.add_permits(1);
        let got = acquire.poll();
        if got.is_ready() {
            shared.touch();
        }
        thread.join().unwrap();
        if got.is_pending() {
            assert!(acquire.poll().is_ready());
        }
        assert_eq!(acquire.woken(), 1);
    });
}

#[test]
fn who_waits_for_many_sees_what_each_holder_did() {
    collected();
}

/// A release that came before the line began is collected, by way of the state, by the one who serves the line.
fn early_release() {
    model(|| {
        let shared = Guarded::new(0);
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            other.touch();
            other.semaphore.add_permits(1);
        });
        let mut acquire = Polled::new(shared.semaphore.acquire_many(2));
        assert!(acquire.poll().is_pending());
        // Of the lock this thread knows only what it did itself, unless the other found the line.
        shared.semaphore.add_permits(1);
        if let Poll::Ready(permit) = acquire.poll() {
            shared.touch();
            permit.unwrap().forget();
        }
        thread.join().unwrap();
        drop(acquire);
    });
}

#[test]
fn a_release_before_there_was_a_line_is_seen_by_the_one_served_from_it() {
    early_release();
}

#[test]
fn canary_a_settle_needs_its_acquire() {
    weaken::without("Semaphore::settle", early_release);
}

#[test]
fn a_cancelled_first_in_line_lets_the_next_be_served() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let first = Polled::parked(semaphore.acquire_many(2));
        let mut second = Polled::parked(semaphore.acquire());
        let other = Arc::clone(&semaphore);
        let thread = thread::spawn(move || other.add_permits(1));
        drop(first);
        thread.join().unwrap();
        assert_eq!(second.woken(), 1);
        let Poll::Ready(Ok(permit)) = second.poll() else { panic!("it is first, and one is free") };
        drop(permit);
        assert_eq!(state(&semaphore), (1, 0));
    });
}

#[test]
fn a_served_acquire_that_is_dropped_serves_the_next() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let first = Polled::parked(Arc::clone(&semaphore).acquire_owned());
        let mut second = Polled::parked(semaphore.acquire());
        let other = Arc::clone(&semaphore);
        let thread = thread::spawn(move || other.add_permits(1));
        drop(first);
        thread.join().unwrap();
        assert_eq!(second.woken(), 1);
        assert!(second.poll().is_ready());
        assert_eq!(state(&semaphore), (1, 0));
    });
}

#[test]
fn nobody_overtakes_one_in_line() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut first = Polled::parked(semaphore.acquire_many(2));
        let other = Arc::clone(&semaphore);
        let thread = thread::spawn(move || (0..2).for_each(|_| other.add_permits(1)));
        let mut late = Polled::new(semaphore.acquire());
        assert!(semaphore.try_acquire().is_err() && late.poll().is_pending());
        thread.join().unwrap();
        assert!(first.poll().is_ready());
        assert!(late.poll().is_ready(), "the permit that came back with the result just dropped is its own");
    });
}

#[test]
fn a_close_and_a_release_settle_the_line_once() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut acquire = Polled::parked(semaphore.acquire());
        let other = Arc::clone(&semaphore);
        let thread = thread::spawn(move || other.add_permits(1));
        semaphore.close();
        thread.join().unwrap();
        assert_eq!(acquire.woken(), 1);
        let Poll::Ready(got) = acquire.poll() else { panic!("it is settled either way") };
        drop(got);
        assert_eq!((state(&semaphore), semaphore.is_closed()), ((1, 0), true));
    });
}

#[test]
fn permits_are_forgotten_or_taken_not_both() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let other = Arc::clone(&semaphore);
        let thread = thread::spawn(move || other.try_acquire().map(SemaphorePermit::forget).is_ok());
        let forgotten = semaphore.forget_permits(1);
        let taken = thread.join().unwrap();
        assert_eq!(forgotten + usize::from(taken), 1);
        assert_eq!(state(&semaphore), (0, 0));
    });
}
