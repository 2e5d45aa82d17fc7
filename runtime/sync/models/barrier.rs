//! What loom sees of a `Barrier`: those who come against one who leaves.

use super::*;
use crate::models::frame::{Count, model};
use crate::sys::primitive::{Arc, AtomicUsize as LoomUsize, weaken};
use loom::thread;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Waker};

fn poll(wait: &mut Pin<Box<impl Future<Output = BarrierWaitResult>>>, waker: &Waker) -> Poll<bool> {
    wait.as_mut().poll(&mut Context::from_waker(waker)).map(|result| result.is_leader())
}

/// One waits and gives up, while another comes: either both have come, or one waits alone.
#[test]
fn who_gives_up_has_come_or_has_not() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let mut first = Box::pin(barrier.wait());
        assert!(poll(&mut first, Waker::noop()).is_pending());
        let other = Arc::clone(&barrier);
        let thread = thread::spawn(move || {
            let mut wait = Box::pin(other.wait());
            poll(&mut wait, Waker::noop())
        });
        drop(first);
        let second = thread.join().unwrap();
        assert!(second.is_pending() || second == Poll::Ready(true));
        // Whichever it was, the barrier is as new: the one who had to wait has left by now.
        assert_eq!(barrier.queue.with(|shared, waiting| (shared.arrived, waiting.len())), (0, 0));
    });
}

/// A number is written before its writer comes, and read after: loom would show the old one if it could.
fn work_is_seen() {
    model(|| {
        let both = Arc::new((Barrier::new(2), LoomUsize::new(0)));
        let other = Arc::clone(&both);
        let woken = std::sync::Arc::new(Count::default());
        let waker = Waker::from(std::sync::Arc::clone(&woken));
        let mut wait = Box::pin(both.0.wait());
        assert!(poll(&mut wait, &waker).is_pending());
        let thread = thread::spawn(move || {
            other.1.store(7, Relaxed);
            let mut wait = Box::pin(other.0.wait());
            assert_eq!(poll(&mut wait, Waker::noop()), Poll::Ready(true));
        });
        let early = poll(&mut wait, &waker);
        if early.is_pending() {
            thread.join().unwrap();
            assert_eq!(woken.get(), 1);
            assert_eq!(poll(&mut wait, &waker), Poll::Ready(false));
        }
        assert_eq!(both.1.load(Relaxed), 7);
    });
}

#[test]
fn what_was_done_before_is_seen_after() {
    work_is_seen();
}

#[test]
fn canary_a_release_needs_its_release() {
    weaken::without("Node::settle", work_is_seen);
}

#[test]
fn canary_a_released_wait_needs_its_acquire() {
    weaken::without("Node::phase", work_is_seen);
}
