//! Loom models of the lock: holders against each other, a cancel against an unlock, a hand-over against a thief.
//!
//! Go counterpart: none.
//!
//! M1. Each model runs the interleavings with up to three preemptions that loom tells apart, and more than one.
//! M2. The value is loom's cell: two holders at a time, or one that does not see the last one's work, fail a model.
//! M3. In a model a waiter that was called and has lost starves at once (`RawMutex::enter`).

use super::super::mutex::{Mutex, OwnedMutexGuard};
use crate::models::frame::{block_on, model};
use crate::sys::primitive::weaken;
use loom::thread::{self};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

fn two_holders(rounds: usize) {
    model(move || {
        let mutex = loom::sync::Arc::new(Mutex::new(0));
        let other = loom::sync::Arc::clone(&mutex);
        let adds = thread::spawn(move || (0..rounds).for_each(|_| *block_on(other.lock()) += 1));
        (0..rounds).for_each(|_| *block_on(mutex.lock()) += 1);
        adds.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), 2 * rounds);
        assert!(mutex.is_at_rest());
    });
}

#[test]
fn two_holders_exclude_each_other_and_both_get_their_turn() {
    two_holders(2);
}

#[test]
fn canary_a_lock_needs_its_acquire() {
    weaken::without("RawMutex::try_lock", || two_holders(1));
}

#[test]
fn canary_a_lock_needs_its_release() {
    weaken::without("RawMutex::unlock", || two_holders(1));
}

/// One is in line, another is called and dropped half way while the lock is given up: the one in line is served.
#[test]
fn a_call_that_is_dropped_is_passed_on() {
    model(|| {
        let mutex = loom::sync::Arc::new(Mutex::new(0));
        let guard = mutex.try_lock().unwrap();
        let mut first = Box::pin(mutex.lock());
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let other = loom::sync::Arc::clone(&mutex);
        let second = thread::spawn(move || *block_on(other.lock()) += 1);
        drop(guard);
        drop(first);
        second.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), 1);
        assert!(mutex.is_at_rest());
    });
}

/// A thread takes the lock whenever it is free; who waits is served all the same, or has its turn handed over.
#[test]
fn who_waits_is_served_though_another_is_quicker() {
    model(|| {
        let mutex = loom::sync::Arc::new(Mutex::new(0));
        let guard = mutex.try_lock().unwrap();
        let other = loom::sync::Arc::clone(&mutex);
        let waits = thread::spawn(move || *block_on(other.lock()) += 1);
        drop(guard);
        for _ in 0..2 {
            if let Some(mut guard) = mutex.try_lock() {
                *guard += 10;
            }
        }
        waits.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap() % 10, 1);
        assert!(mutex.is_at_rest());
    });
}

/// The same with a wait that is dropped at any moment of a hand-over.
#[test]
fn a_lock_that_is_handed_to_one_who_is_gone_is_free() {
    model(|| {
        let mutex = loom::sync::Arc::new(Mutex::new(0));
        let guard = mutex.try_lock().unwrap();
        let mut first = Box::pin(mutex.lock());
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(guard); // calls it
        let thief = mutex.try_lock().unwrap();
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()); // starves
        let other = loom::sync::Arc::clone(&mutex);
        let waits = thread::spawn(move || *block_on(other.lock()) += 1);
        drop(thief); // hands over
        drop(first);
        waits.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), 1);
        assert!(mutex.is_at_rest());
    });
}

/// What the models below begin with: a guard that may go to another thread, and two in line, of which the first leaves.
fn line_of_two(
    leaves: impl Fn(Arc<Mutex<u32>>, OwnedMutexGuard<u32>, Locks, &mut Locks) + Send + Sync + 'static,
) {
    model(move || {
        let mutex = Arc::new(Mutex::new(0));
        let guard = Arc::clone(&mutex).try_lock_owned().unwrap();
        let [first, mut second] = [(); 2].map(|()| {
            let mut wait: Locks = Box::pin(Arc::clone(&mutex).lock_owned());
            assert!(poll(&mut wait).is_pending());
            wait
        });
        leaves(Arc::clone(&mutex), guard, first, &mut second);
        drop(second);
        assert!(mutex.is_at_rest());
    });
}

type Locks = Pin<Box<dyn Future<Output = OwnedMutexGuard<u32>>>>;

fn poll(wait: &mut Locks) -> Poll<OwnedMutexGuard<u32>> {
    wait.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// It is called, or leaves the line before: in both cases the second is called.
#[test]
fn who_leaves_the_line_while_it_is_called_lets_the_next_be_called() {
    line_of_two(|_, guard, first, second| {
        let unlocks = thread::spawn(move || drop(guard));
        drop(first);
        unlocks.join().unwrap();
        assert!(poll(second).is_ready());
    });
}

/// It was called, and leaves while another takes the lock and gives it up: one of the two wakes the second.
#[test]
fn who_was_called_and_leaves_beside_a_thief_lets_the_next_be_called() {
    line_of_two(|mutex, guard, first, second| {
        drop(guard);
        let steals = thread::spawn(move || drop(mutex.try_lock()));
        drop(first);
        steals.join().unwrap();
        assert!(poll(second).is_ready());
    });
}

/// It was called, and tries while another takes the lock and gives it up.
#[test]
fn who_was_called_and_tries_beside_a_thief_has_its_turn_and_then_the_next() {
    line_of_two(|mutex, guard, mut first, second| {
        drop(guard);
        let steals = thread::spawn(move || drop(mutex.try_lock()));
        let won = poll(&mut first);
        steals.join().unwrap();
        drop(if won.is_ready() { won } else { poll(&mut first) });
        drop(first);
        assert!(poll(second).is_ready());
    });
}

/// The lock starves, and is handed over, while the first leaves and a third comes.
#[test]
fn who_leaves_while_it_is_handed_the_lock_lets_the_next_have_it() {
    line_of_two(|mutex, guard, mut first, second| {
        drop(guard);
        let thief = Arc::clone(&mutex).try_lock_owned().unwrap();
        assert!(poll(&mut first).is_pending()); // starves
        let hands_over = thread::spawn(move || drop(thief));
        let mut third: Locks = Box::pin(Arc::clone(&mutex).lock_owned());
        let third_waits = poll(&mut third).is_pending();
        drop(first);
        hands_over.join().unwrap();
        assert!(third_waits, "nobody overtakes");
        let had = poll(second);
        assert!(had.is_ready());
        drop(had);
        assert!(poll(&mut third).is_ready());
    });
}
