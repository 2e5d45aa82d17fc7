//! What loom sees of a `OnceCell`: one value, whoever makes it, fails, or gives up.

use super::*;
use crate::models::frame::{block_on, model};
use crate::sys::primitive::{Arc, cell::UnsafeCell as Seen};
use loom::thread;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Context;

/// A number of which loom sees each access.
struct Value(Seen<usize>);

// SAFETY: the cell under test guards it, and loom fails if it does not.
unsafe impl Sync for Value {}

impl Value {
    fn new(number: usize) -> Self {
        let value = Self(Seen::new(0));
        // SAFETY: nobody else has it.
        value.0.with_mut(|cell| unsafe { *cell = number });
        value
    }

    fn get(&self) -> usize {
        // SAFETY: it is only read now.
        self.0.with(|number| unsafe { *number })
    }
}

/// Gives way once; the one who is to go on is woken.
async fn tick() {
    let mut first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

fn set_against_get() {
    model(|| {
        let cell = Arc::new(OnceCell::new());
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || other.get().map(Value::get));
        assert!(cell.set(Value::new(7)).is_ok());
        assert!(thread.join().unwrap().is_none_or(|seen| seen == 7));
    });
}

#[test]
fn who_sees_a_value_sees_all_of_it() {
    set_against_get();
}

#[test]
fn canary_a_get_needs_its_acquire() {
    weaken::without("OnceCell::initialized", set_against_get);
}

#[test]
fn canary_a_set_needs_its_release() {
    weaken::without("Turn::fill", set_against_get);
}

#[test]
fn three_callers_get_one_value() {
    model(|| {
        let cell = Arc::new(OnceCell::new());
        let made = std::sync::Arc::new(AtomicUsize::new(0));
        let call = |cell: Arc<OnceCell<Value>>, made: std::sync::Arc<AtomicUsize>| {
            let make = || async move {
                made.fetch_add(1, Relaxed);
                Value::new(7)
            };
            assert_eq!(block_on(cell.get_or_init(make)).get(), 7);
        };
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (cell, made) = (Arc::clone(&cell), std::sync::Arc::clone(&made));
                thread::spawn(move || call(cell, made))
            })
            .collect();
        call(Arc::clone(&cell), std::sync::Arc::clone(&made));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(made.load(Relaxed), 1);
    });
}

/// The first initialiser fails or is dropped while a second caller comes: that one makes the value.
#[test]
fn a_turn_that_is_given_up_goes_on() {
    for fails in [false, true] {
        model(move || {
            let cell = Arc::new(OnceCell::new());
            let other = Arc::clone(&cell);
            let mut first = Box::pin(cell.get_or_try_init(|| async {
                tick().await;
                Err(())
            }));
            assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let thread = thread::spawn(move || {
                assert_eq!(block_on(other.get_or_init(|| async { Value::new(7) })).get(), 7);
            });
            if fails {
                let failed = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(failed, Poll::Ready(Err(()))));
            }
            drop(first);
            thread.join().unwrap();
            assert_eq!(cell.get().map(Value::get), Some(7));
        });
    }
}

/// Whoever is in line gives up at the moment in which it gets the turn: the one behind it has it.
#[test]
fn a_turn_that_reaches_one_who_gives_up_goes_on() {
    model(|| {
        let cell = Arc::new(OnceCell::<Value>::new());
        let mut cx = Context::from_waker(Waker::noop());
        let turn = {
            let mut turn = Box::pin(cell.turn());
            let Poll::Ready(Some(turn)) = turn.as_mut().poll(&mut cx) else { panic!("it is free") };
            turn
        };
        std::mem::forget(turn);
        let mut second = Box::pin(cell.get_or_init(|| async { Value::new(2) }));
        assert!(second.as_mut().poll(&mut cx).is_pending());
        let mut third = Box::pin(cell.get_or_init(|| async { Value::new(3) }));
        assert!(third.as_mut().poll(&mut cx).is_pending());
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || drop(Turn(&*other)));
        drop(second);
        thread.join().unwrap();
        let Poll::Ready(value) = third.as_mut().poll(&mut cx) else { panic!("it has the turn") };
        assert_eq!(value.get(), 3);
    });
}
