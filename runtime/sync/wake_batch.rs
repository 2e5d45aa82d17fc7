//! Wakers that were collected under a lock, to be woken in order once it is released.
//!
//! Go counterpart: the `glist` of `chan.go: closechan`, which is made ready after `unlock(&c.lock)`.
//!
//! B1. Every waker pushed is woken exactly once, in the order of the pushes.
//! B2. One that panics does not keep the others from being woken; the first panic goes on afterwards.
//!
//! ```text
//!   lock ── push, push … ── unlock ── wake_all: wake, wake … ── resume the first panic, if any
//! ```
//!
//! Absent: growth (who has more waiters than fit unlocks, wakes, and locks again), and a way to
//! wake while the lock is held.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// Up to `N` wakers, on the stack.
#[derive(Debug)]
pub(crate) struct WakeBatch<const N: usize> {
    wakers: [Option<Waker>; N],
    len: usize,
}

/// The first panic of several wakers, kept until all of them have been woken (B2).
#[derive(Default)]
pub(crate) struct FirstPanic(Option<Box<dyn Any + Send>>);

/// Wakes one that has no siblings. Its panic goes straight on, unless there is one on its way already.
#[inline]
pub(crate) fn wake_one(waker: Waker) {
    if std::thread::panicking() {
        let mut first = FirstPanic::default();
        first.note(|| waker.wake());
        first.resume();
    } else {
        waker.wake();
    }
}

impl<const N: usize> WakeBatch<N> {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { wakers: [const { None }; N], len: 0 }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.len == N
    }

    /// Adds a waker; the batch must not be full.
    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        self.wakers[self.len] = Some(waker);
        self.len += 1;
    }

    /// Wakes all of them. Call it with no lock held.
    #[inline]
    pub(crate) fn wake_all(mut self) {
        match self.len {
            0 => {}
            1 => wake_one(self.wakers[0].take().expect("len counts the wakers")),
            _ => {
                let mut first = FirstPanic::default();
                self.wake_into(&mut first);
                first.resume();
            }
        }
    }

    /// Wakes all of them, and returns `value`; if one panics, `undo` gets `value` before the panic goes on.
    #[inline]
    pub(crate) fn wake_all_or<V>(self, value: V, undo: impl FnOnce(V)) -> V {
        if self.len > 0
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.wake_all()))
        {
            undo(value);
            resume_unwind(payload);
        }
        value
    }

    /// Wakes all of them, and leaves the first panic in `first`, for one who has more to wake.
    pub(crate) fn wake_into(mut self, first: &mut FirstPanic) {
        for waker in self.wakers.iter_mut().filter_map(Option::take) {
            first.note(|| waker.wake());
        }
    }
}

impl FirstPanic {
    /// Runs `f`, and keeps its panic if it is the first.
    pub(crate) fn note(&mut self, f: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
            match self.0 {
                None => self.0 = Some(payload),
                Some(_) => discard(payload),
            }
        }
    }

    /// Drops all of them, and keeps the first panic.
    #[cfg(not(gmprt_loom))]
    pub(crate) fn drop_each<T>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        values.into_iter().for_each(|value| self.note(|| drop(value)));
        self
    }

    /// Goes on with the panic, if there was one. In a destructor that runs because of another
    /// panic it says nothing: to panic twice would abort the process.
    pub(crate) fn resume(self) {
        if let Some(payload) = self.0 {
            if std::thread::panicking() {
                discard(payload);
            } else {
                resume_unwind(payload);
            }
        }
    }
}

/// Drops a payload. That runs foreign code, which may panic once more; the payload of that is leaked.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

#[cfg(all(test, not(gmprt_loom)))]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    struct Logs(u32, Arc<Mutex<Vec<u32>>>);

    impl Wake for Logs {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
            assert!(!self.0.is_multiple_of(2), "waker {} panics", self.0);
        }
    }

    #[test]
    fn siblings_of_wakers_that_panic_are_woken_in_order_and_the_first_panic_goes_on() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut batch = WakeBatch::<5>::new();
        for n in 1..=5 {
            batch.push(Waker::from(Arc::new(Logs(n, Arc::clone(&log)))));
        }
        assert!(batch.is_full());
        let panic = catch_unwind(AssertUnwindSafe(|| batch.wake_all())).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "waker 2 panics");
        assert_eq!(*log.lock().unwrap(), [1, 2, 3, 4, 5]);
    }
}
