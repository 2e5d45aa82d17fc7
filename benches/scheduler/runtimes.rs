//! The calls that a workload makes, for gmprt and for tokio. Each is one inlined call of the runtime's own function:
//! neither side pays for the trait.

use std::fmt::Debug;
use std::future::Future;

/// Threads that run tasks, as in tokio's suite.
pub(crate) const WORKERS: usize = 4;

pub(crate) trait Runtime: Sized + 'static {
    type JoinError: Debug;
    type JoinHandle: Future<Output = Result<(), Self::JoinError>>;

    /// A runtime with [`WORKERS`] workers.
    fn start() -> Self;
    fn block_on<F: Future>(&self, future: F) -> F::Output;
    /// Spawns from anywhere.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Self::JoinHandle;
    /// Spawns on the runtime that the caller runs on, and detaches, as Go's `go` does.
    fn go(future: impl Future<Output = ()> + Send + 'static);
    fn yield_now() -> impl Future<Output = ()> + Send;
}

pub(crate) struct Gmprt(gmprt::Runtime);

impl Runtime for Gmprt {
    type JoinError = gmprt::task::JoinError;
    type JoinHandle = gmprt::task::JoinHandle<()>;

    fn start() -> Gmprt {
        let rt = gmprt::Runtime::builder().procs(WORKERS).build();
        Gmprt(rt.expect("gmprt starts"))
    }

    #[inline(always)]
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    #[inline(always)]
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Self::JoinHandle {
        self.0.spawn(future)
    }

    #[inline(always)]
    fn go(future: impl Future<Output = ()> + Send + 'static) {
        drop(gmprt::spawn(future));
    }

    #[inline(always)]
    fn yield_now() -> impl Future<Output = ()> + Send {
        gmprt::yield_now()
    }
}

pub(crate) struct Tokio(tokio::runtime::Runtime);

impl Runtime for Tokio {
    type JoinError = tokio::task::JoinError;
    type JoinHandle = tokio::task::JoinHandle<()>;

    fn start() -> Tokio {
        // Without timers and I/O, which cost tokio a little at each park and which no workload uses.
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let rt = builder.worker_threads(WORKERS).build();
        Tokio(rt.expect("tokio starts"))
    }

    #[inline(always)]
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }

    #[inline(always)]
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Self::JoinHandle {
        self.0.spawn(future)
    }

    #[inline(always)]
    fn go(future: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(future));
    }

    #[inline(always)]
    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }
}
