//! What loom sees of a `WaitGroup`: releases against cancels.

use super::*;
use crate::models::frame::Count;
use loom::thread;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Waker};

/// Of two waits one is dropped half way, while the last two `done` race with it and with each other.
#[test]
fn a_wait_is_released_once_whoever_is_last_and_whoever_is_cancelled() {
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&runs);
    loom::model(move || {
        counted.fetch_add(1, Relaxed);
        let group = WaitGroup::new();
        group.add(2);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let group = group.clone();
                thread::spawn(move || group.done())
            })
            .collect();
        let woken = std::sync::Arc::new(Count::default());
        let waker = Waker::from(std::sync::Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let dropped = Box::pin(group.wait()).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut wait: Pin<Box<_>> = Box::pin(group.wait());
        let first = wait.as_mut().poll(&mut cx);
        assert!(first.is_ready() || dropped.is_pending(), "zero is final");
        others.into_iter().for_each(|other| other.join().unwrap());
        if first.is_pending() {
            assert_eq!(woken.get(), 1);
            assert!(wait.as_mut().poll(&mut cx).is_ready());
        }
        assert_eq!(group.inner.state.load(Acquire), 0);
    });
    assert!(runs.load(Relaxed) > 1, "loom saw only one interleaving");
}
