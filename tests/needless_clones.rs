//! A waker is cloned before a lock of ours is taken; what it was cloned for may be there by then. If the drop of the
//! clone, which nobody needs, panics, what was got goes back: nobody is left with it.

#[path = "common/acting.rs"]
mod acting;
mod common;

use acting::Act;
use common::Count;
use gmprt::sync::{Barrier, Mutex, Notify, OnceCell, Semaphore};
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread;

/// Polls `wait` once with a waker whose clone calls `free`, and whose clone's drop panics.
fn poll_with_needless_clone<F: Future>(wait: Pin<&mut F>, free: impl FnOnce() + Send + 'static) {
    let free = std::sync::Mutex::new(Some(free));
    let bad = acting::waker(move |what| match what {
        Act::Clone => {
            let free = free.lock().unwrap().take();
            free.into_iter().for_each(|free| free());
        }
        what => assert!(what != Act::Drop || thread::panicking(), "a drop panics"),
    });
    let poll = || wait.poll(&mut Context::from_waker(&bad)).is_ready();
    assert!(catch_unwind(AssertUnwindSafe(poll)).is_err(), "the clone was needed");
    std::mem::forget(bad);
}

fn poll<F: Future>(wait: Pin<&mut F>) -> Poll<F::Output> {
    wait.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_mutex_is_free() {
    let mutex: &'static Mutex<()> = Box::leak(Box::default());
    let held = mutex.try_lock().unwrap();
    let mut wait = Box::pin(mutex.lock());
    poll_with_needless_clone(wait.as_mut(), || drop(held));
    drop(wait);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_permit_is_back() {
    let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(1)));
    let held = semaphore.try_acquire().unwrap();
    let mut wait = Box::pin(semaphore.acquire());
    poll_with_needless_clone(wait.as_mut(), || drop(held));
    drop(wait);
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn a_notification_is_kept() {
    let notify: &'static Notify = Box::leak(Box::default());
    let mut wait = Box::pin(notify.notified());
    poll_with_needless_clone(wait.as_mut(), || notify.notify_one());
    drop(wait);
    assert!(poll(pin!(notify.notified())).is_ready());
}

#[test]
fn the_turn_to_fill_a_cell_passes_on() {
    let cell: &'static OnceCell<u32> = Box::leak(Box::default());
    let mut first = Box::pin(cell.get_or_init(pending::<u32>));
    assert!(poll(first.as_mut()).is_pending());
    let mut second = Box::pin(cell.get_or_init(|| ready(1)));
    poll_with_needless_clone(second.as_mut(), move || drop(first));
    drop(second);
    assert_eq!(poll(pin!(cell.get_or_init(|| ready(2)))), Poll::Ready(&2));
}

#[test]
fn those_at_a_barrier_are_released() {
    let barrier = Barrier::new(2);
    let woken = Count::default();
    let mut first = pin!(barrier.wait());
    assert!(first.as_mut().poll(&mut Context::from_waker(&woken.waker())).is_pending());
    let mut last = Box::pin(barrier.wait());
    poll_with_needless_clone(last.as_mut(), || ());
    drop(last);
    assert_eq!(woken.get(), 1);
    assert!(poll(first).is_ready());
}
