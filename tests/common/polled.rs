//! Futures polled by hand: how often they were woken, and wakers that log, panic, or act when they are touched.

#![allow(dead_code, reason = "each test file uses a part of this")]

use crate::common::Count;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// A future and how often it was woken.
pub(crate) struct Polled<F> {
    pub(crate) future: Pin<Box<F>>,
    pub(crate) woken: Count,
}

impl<F: Future> Polled<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), woken: Count::default() }
    }

    pub(crate) fn parked(future: F) -> Self {
        let mut polled = Self::new(future);
        assert!(polled.poll().is_pending());
        polled
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = self.woken.waker();
        self.poll_as(&waker)
    }

    pub(crate) fn poll_as(&mut self, waker: &Waker) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    /// Whether it was woken; once.
    pub(crate) fn is_woken(&self) -> bool {
        assert!(self.woken.get() < 2, "woken twice");
        self.woken.get() == 1
    }
}

/// Logs its number when it is woken.
pub(crate) struct Named(pub(crate) usize, pub(crate) Arc<Mutex<Vec<usize>>>);

impl Wake for Named {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

/// Panics when it is woken.
pub(crate) struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("the waker panics");
    }
}

pub(crate) fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it did not panic") };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a panic with words")).to_owned(),
    }
}

/// Polls once, as the task that awaits this.
pub(crate) async fn poll_in_task<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}
