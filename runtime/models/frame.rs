//! What the models share: a run of loom, a future with a count of its wakes, and a thread that waits for one.
//!
//! Go counterpart: none.
//!
//! Absent: any part of the runtime.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

/// Runs the interleavings of `f` with up to three preemptions that loom tells apart; there must be more than one.
pub(crate) fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    builder.check(move || {
        // Ordering: Relaxed; a count.
        counted.fetch_add(1, Relaxed);
        f();
    });
    // Ordering: Relaxed; a count, and all threads of the models have ended.
    if runs.load(Relaxed) < 2 {
        // No panic: a canary would take that for the failure that it is there to see.
        eprintln!("loom saw only one interleaving");
        std::process::abort();
    }
}

/// How often its waker was called.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn get(&self) -> usize {
        // Ordering: Relaxed; a count. What the wake publishes is the model's business.
        self.0.load(Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        // Ordering: Relaxed; as above.
        self.0.fetch_add(1, Relaxed);
    }
}

/// A future and how often it was woken.
pub(crate) struct Polled<F> {
    pub(crate) future: Pin<Box<F>>,
    pub(crate) woken: Arc<Count>,
}

impl<F: Future> Polled<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), woken: Arc::default() }
    }

    /// One that has been polled, and is pending.
    pub(crate) fn parked(future: F) -> Self {
        let mut polled = Self::new(future);
        assert!(polled.poll().is_pending());
        polled
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Its output, for which it was woken as often as it has to be polled.
    pub(crate) fn ends(mut self) -> F::Output {
        for _ in 0..self.woken() {
            if let Poll::Ready(output) = self.poll() {
                return output;
            }
        }
        panic!("it was not woken")
    }

    pub(crate) fn woken(&self) -> usize {
        self.woken.get()
    }
}

struct Unparks(loom::thread::Thread);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The thread waits for `future`; if nobody wakes it loom says so.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unparks(loom::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => loom::thread::park(),
        }
    }
}
