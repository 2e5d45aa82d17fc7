//! Starts one runtime or the other, equally equipped, and times one future on it. All scenarios go through here.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use crate::memory::private_bytes;
use crate::report::Failure;

#[derive(Clone, Copy)]
pub(crate) enum Runtime {
    Gmprt,
    Tokio,
}

impl Runtime {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::Gmprt => "gmprt",
            Runtime::Tokio => "tokio",
        }
    }
}

/// A future's result, and what it took.
pub(crate) struct Run<T> {
    pub(crate) value: T,
    pub(crate) took: Duration,
    /// Memory at the end, the runtime still alive, over memory before the runtime was built, in bytes.
    pub(crate) grown: u64,
}

/// Runs `main` as a task on a fresh gmprt runtime. As a task, not in `block_on` itself: `block_on` polls on the
/// calling thread, which on both runtimes costs a thread switch for each wakeup.
pub(crate) fn on_gmprt<T: Send + 'static>(
    procs: usize,
    main: impl Future<Output = T> + Send + 'static,
) -> Result<Run<T>, Failure> {
    let before = private_bytes();
    let rt = gmprt::Runtime::builder().procs(procs).build().map_err(|e| cannot_start("gmprt", &e))?;
    let start = Instant::now();
    let value = rt.block_on(rt.spawn(main)).map_err(|e| did_not_end("gmprt", &e))?;
    Ok(Run { value, took: start.elapsed(), grown: private_bytes().saturating_sub(before) })
}

/// Runs `main` as a task on a fresh tokio runtime.
pub(crate) fn on_tokio<T: Send + 'static>(
    procs: usize,
    main: impl Future<Output = T> + Send + 'static,
) -> Result<Run<T>, Failure> {
    let before = private_bytes();
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(procs)
        .build()
        .map_err(|e| cannot_start("tokio", &e))?;
    let start = Instant::now();
    let value = rt.block_on(rt.spawn(main)).map_err(|e| did_not_end("tokio", &e))?;
    Ok(Run { value, took: start.elapsed(), grown: private_bytes().saturating_sub(before) })
}

fn cannot_start(runtime: &str, error: &io::Error) -> Failure {
    Failure::new(format!("cannot start {runtime}: {error}"))
}

fn did_not_end(runtime: &str, error: &dyn std::fmt::Debug) -> Failure {
    Failure::new(format!("the main task on {runtime} did not end well: {error:?}"))
}
