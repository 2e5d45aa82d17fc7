//! The calls that a section makes, for gmprt and for tokio. Each is one inlined call of the runtime's own function.

use std::future::Future;
use std::sync::mpsc;
use std::time::Instant;

use crate::proc;

/// A measurement for gmprt and for tokio, by name.
pub(crate) type OnBoth<F> = [(&'static str, F); 2];

pub(crate) trait Runtime: Sized + 'static {
    /// A runtime with `procs` workers and timers.
    fn start(procs: usize) -> Self;
    /// Spawns from a thread outside, and detaches.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static);
    /// Spawns on the runtime that the caller runs on, and detaches, as Go's `go` does.
    fn go(future: impl Future<Output = ()> + Send + 'static);
    fn yield_now() -> impl Future<Output = ()> + Send;
    fn sleep_until(when: Instant) -> impl Future<Output = ()> + Send;
    fn block_in_place<T>(f: impl FnOnce() -> T) -> T;
    /// Runs `f` as the runtime's `spawn_blocking` does, and waits for it.
    fn blocking(f: impl FnOnce() + Send + 'static) -> impl Future<Output = ()> + Send;
    /// Threads of the runtime now. gmprt's sysmon, which runs no tasks, is not counted.
    fn threads(&self) -> usize;
    /// What the scheduler has done, if it says.
    fn counts(&self) -> Option<gmprt::metrics::Metrics>;

    /// Spawns a task and blocks the calling thread until it has ended.
    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let (end, ended) = mpsc::sync_channel(1);
        self.spawn(async move {
            let _ = end.send(future.await); // room for one: does not block
        });
        ended.recv().expect("the task ends with its result")
    }
}

pub(crate) struct Gmprt(gmprt::Runtime);

impl Runtime for Gmprt {
    fn start(procs: usize) -> Gmprt {
        Gmprt(gmprt::Runtime::builder().procs(procs).build().expect("gmprt starts"))
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(future));
    }

    #[inline(always)]
    fn go(future: impl Future<Output = ()> + Send + 'static) {
        drop(gmprt::spawn(future));
    }

    #[inline(always)]
    fn yield_now() -> impl Future<Output = ()> + Send {
        gmprt::yield_now()
    }

    #[inline(always)]
    fn sleep_until(when: Instant) -> impl Future<Output = ()> + Send {
        gmprt::time::sleep_until(when)
    }

    #[inline(always)]
    fn block_in_place<T>(f: impl FnOnce() -> T) -> T {
        gmprt::block_in_place(f)
    }

    async fn blocking(f: impl FnOnce() + Send + 'static) {
        gmprt::spawn_blocking(f).await.expect("the closure returns");
    }

    fn threads(&self) -> usize {
        self.0.metrics().threads
    }

    fn counts(&self) -> Option<gmprt::metrics::Metrics> {
        Some(self.0.metrics())
    }
}

pub(crate) struct Tokio(tokio::runtime::Runtime);

impl Runtime for Tokio {
    fn start(procs: usize) -> Tokio {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Tokio(builder.worker_threads(procs).enable_time().build().expect("tokio starts"))
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(future));
    }

    #[inline(always)]
    fn go(future: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(future));
    }

    #[inline(always)]
    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    #[inline(always)]
    fn sleep_until(when: Instant) -> impl Future<Output = ()> + Send {
        tokio::time::sleep_until(when.into())
    }

    #[inline(always)]
    fn block_in_place<T>(f: impl FnOnce() -> T) -> T {
        tokio::task::block_in_place(f)
    }

    async fn blocking(f: impl FnOnce() + Send + 'static) {
        tokio::task::spawn_blocking(f).await.expect("the closure returns");
    }

    fn threads(&self) -> usize {
        proc::threads() - 1 // all but the one that asks: no other runtime is there
    }

    fn counts(&self) -> Option<gmprt::metrics::Metrics> {
        None
    }
}
