//! Loom models of the condition variable: a signal against a wait that begins, one that is dropped, and a broadcast.
//!
//! Go counterpart: none.
//!
//! M1. Each model runs the interleavings with up to three preemptions that loom tells apart, and more than one.
//! M2. A signal that is lost leaves a thread of a model parked for ever, which loom reports, or a wait pending.

use super::super::mutex::{Mutex, MutexGuard};
use super::Cond;
use crate::models::frame::{block_on, model};
use crate::sys::primitive::weaken;
use loom::thread::{self};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

#[derive(Clone)]
struct Shared(Arc<(Mutex<u32>, Cond)>);

impl Shared {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(0), Cond::new())))
    }

    /// Waits until the value is not zero.
    fn wait(&self) -> u32 {
        block_on(async {
            let guard = self.0.0.lock().await;
            *self.0.1.wait_while(guard, |value| *value == 0).await
        })
    }

    fn in_line(&self) -> Pin<Box<dyn Future<Output = MutexGuard<'_, u32>> + '_>> {
        let mut wait = Box::pin(self.0.1.wait(self.0.0.try_lock().unwrap()));
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        wait
    }

    fn assert_at_rest(&self) {
        assert!(self.0.0.is_at_rest());
        assert!(self.0.1.queue.with(|_, waiters| waiters.is_empty()));
    }
}

fn is_ready<F: Future + ?Sized>(mut wait: Pin<Box<F>>) -> bool {
    wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn a_change(tell: fn(&Cond), under_the_lock: bool) {
    model(move || {
        let shared = Shared::new();
        let waits = thread::spawn({
            let shared = shared.clone();
            move || shared.wait()
        });
        let mut guard = block_on(shared.0.0.lock());
        *guard = 7;
        if under_the_lock {
            tell(&shared.0.1);
            drop(guard);
        } else {
            drop(guard);
            tell(&shared.0.1);
        }
        assert_eq!(waits.join().unwrap(), 7);
        shared.assert_at_rest();
    });
}

#[test]
fn a_change_that_is_told_under_the_lock_or_after_it_is_not_missed() {
    a_change(Cond::signal, true);
    a_change(Cond::signal, false);
    a_change(Cond::broadcast, false);
}

#[test]
fn canary_what_is_changed_under_the_lock_needs_its_release() {
    weaken::without("RawMutex::unlock", || a_change(Cond::signal, false));
}

/// The first in line is dropped while it is signalled: the second gets the signal, or the first had not got it.
#[test]
fn a_signal_for_one_who_leaves_goes_to_the_next() {
    model(|| {
        let shared = Shared::new();
        let (first, second) = (shared.in_line(), shared.in_line());
        let signals = thread::spawn({
            let shared = shared.clone();
            move || shared.0.1.signal()
        });
        drop(first);
        signals.join().unwrap();
        assert!(is_ready(second));
        shared.assert_at_rest();
    });
}

/// The same for one who has been told, and waits for the lock, which is given up at that moment.
#[test]
fn a_signal_goes_on_from_one_who_leaves_while_it_waits_for_the_lock() {
    model(|| {
        let shared = Shared::new();
        let (mut first, second) = (shared.in_line(), shared.in_line());
        shared.0.1.signal();
        let holds = thread::spawn({
            let shared = shared.clone();
            move || *block_on(shared.0.0.lock()) += 1
        });
        let polled = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let had_it = polled.is_ready();
        drop(polled);
        drop(first);
        holds.join().unwrap();
        if had_it {
            shared.0.1.signal();
        }
        assert!(is_ready(second));
        shared.assert_at_rest();
    });
}

/// A signal, a broadcast and a drop at once: whoever stays is told, and nobody is left in line.
#[test]
fn all_who_stay_are_told_by_a_broadcast_whatever_else_is_told() {
    model(|| {
        let shared = Shared::new();
        let (first, second) = (shared.in_line(), shared.in_line());
        let broadcasts = thread::spawn({
            let shared = shared.clone();
            move || shared.0.1.broadcast()
        });
        let signals = thread::spawn({
            let shared = shared.clone();
            move || shared.0.1.signal()
        });
        drop(first);
        broadcasts.join().unwrap();
        signals.join().unwrap();
        assert!(is_ready(second));
        shared.assert_at_rest();
    });
}
