//! A runtime: how it is started, entered, and ended.
//!
//! Go counterpart: `rt0_go` (`proc.go`); Go has one runtime in a process, here there may be many.
//!
//! Absent: its settings (`builder.rs`), and everything that happens in between, which is `sched`.

use crate::builder::Builder;
use crate::cell::join::JoinHandle;
use crate::error::ShutdownTimeout;
use crate::metrics::Metrics;
use crate::sched::{Config, Shared, block_on::block_on, current};
use crate::schedtrace::SchedTrace;
use crate::sigquit;
use crate::spawn_blocking::blocking_task;
use crate::trace::{self, Tracer};
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// A scheduler with its Ps and Ms.
///
/// Dropping it waits for polls that have begun, and cancels all other tasks: their futures are dropped,
/// their handles resolve to an error for which `is_cancelled` holds. A runtime dropped inside one of its own
/// tasks can't wait for that task's poll, and does not: the rest ends as it would after
/// [`Runtime::shutdown_timeout`] with no time at all. Inside a task of another runtime the drop declares that
/// it blocks, so that the task's P goes on with others. A future whose drop waits for another task of the same
/// runtime, or a task that awaits one which drops the runtime that it runs on, waits for itself, and for ever.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let rt = gmprt::Runtime::new()?;
/// let handle = rt.spawn(async { "done" });
/// assert_eq!(rt.block_on(handle).unwrap(), "done");
/// # Ok(())
/// # }
/// ```
pub struct Runtime {
    /// Prints the scheduler's trace, if that was asked for. Dropped before `handle`.
    _sched_trace: Option<SchedTrace>,
    handle: Handle,
    /// `shutdown_timeout` has done what dropping does.
    ended: bool,
}

impl Runtime {
    /// One of that kind, and what is to be said of it from its start on.
    pub(crate) fn start(config: Config, dump_on_sigquit: bool) -> io::Result<Self> {
        let shared = Shared::start(config)?;
        let _sched_trace = SchedTrace::start(&shared);
        let runtime = Self { _sched_trace, handle: Handle { shared }, ended: false };
        if dump_on_sigquit {
            sigquit::enter(&runtime.handle.shared)?;
        }
        if runtime.handle.shared.config.trace.is_some() {
            runtime.trace().start()?;
        } else {
            trace::env::start(&runtime.handle.shared);
        }
        Ok(runtime)
    }

    /// A runtime with the default settings.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Settings for a runtime.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A handle, by which other threads and tasks reach this runtime.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs a future on the calling thread until it is ready; see [`Handle::block_on`].
    ///
    /// # Panics
    ///
    /// If the future panics: the panic passes through.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Spawns a task; see [`Handle::spawn`].
    #[track_caller]
    #[inline]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a closure that blocks, as a task; see [`spawn_blocking`](crate::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.handle.spawn_blocking(f)
    }

    /// Records what the runtime does; see [`Tracer`].
    #[must_use]
    pub fn trace(&self) -> Tracer {
        self.handle.trace()
    }

    /// What the scheduler has done so far; see [`Handle::metrics`].
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.handle.metrics()
    }

    /// Shuts down as dropping does, but waits for `limit` at most.
    ///
    /// The limit is for the waiting. The futures of tasks that are not in a poll are dropped first, most of them on the
    /// calling thread, and how long their drops take is theirs to say.
    ///
    /// # Errors
    ///
    /// [`ShutdownTimeout`] names the tasks that were still in a poll. Their threads go on until those polls
    /// return, and then end; the tasks are cancelled then, unless that poll completed them.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Result<(), ShutdownTimeout> {
        self.ended = true;
        let outcome = self.handle.shared.shut_down(Some(limit));
        trace::stream::end(&self.handle.shared);
        outcome
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Without a limit there is nothing to report: it waits, or can't (a runtime dropped in its own task).
        if !self.ended {
            let _ = self.handle.shared.shut_down(None);
            trace::stream::end(&self.handle.shared);
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("procs", &self.handle.shared.config.procs).finish_non_exhaustive()
    }
}

/// Reaches a runtime from any thread. Does not keep it running.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// The runtime in whose task, or in whose `block_on`, the caller is.
    ///
    /// # Panics
    ///
    /// If there is none; [`Handle::try_current`] asks.
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        Self::try_current().expect("there is no gmprt runtime here: not in a task, and not in a block_on")
    }

    /// The runtime in whose task, or in whose `block_on`, the caller is, if it is in one.
    #[must_use]
    pub fn try_current() -> Option<Self> {
        current::with(|cx| Self { shared: Arc::clone(&cx.shared) })
    }

    /// Runs a future on the calling thread until it is ready.
    ///
    /// Blocks the calling thread (its M, if it is one). The future need be neither `Send` nor `'static`: it
    /// never leaves the caller's stack. While it is polled the thread holds an idle P, if there is one (and keeps it
    /// from others, should the future block the thread); while it waits, none. In a task, the task's M declares itself blocked, and its P goes on with other tasks.
    ///
    /// # Panics
    ///
    /// If the future panics: the panic passes through.
    ///
    /// # Differences from Go
    ///
    /// The main goroutine is scheduled like any other. This future is not: only its caller's thread runs it.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on(&self.shared, future)
    }

    /// Spawns a task, from any thread.
    ///
    /// From a task of this runtime the new task runs next on the same P, unless it is stolen; from elsewhere it
    /// goes to the injector's tail. On a runtime that is shutting down the future is dropped, and the
    /// handle resolves to an error for which `is_cancelled` holds.
    ///
    /// Go: `newproc`, `runqput`.
    #[track_caller]
    #[inline]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.shared.spawn(Location::caller(), future)
    }

    /// Runs a closure that blocks, as a task; see [`spawn_blocking`](crate::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.shared.spawn(Location::caller(), blocking_task(&self.shared, f))
    }

    /// Records what the runtime does; see [`Tracer`].
    #[must_use]
    pub fn trace(&self) -> Tracer {
        Tracer::new(Arc::clone(&self.shared))
    }

    /// What the scheduler has done so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::of(&self.shared)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("procs", &self.shared.config.procs).finish_non_exhaustive()
    }
}

/// Builds a runtime with the default settings, runs `future` on it, and shuts it down.
///
/// # Errors
///
/// As [`Builder::build`].
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// assert_eq!(gmprt::run(async { gmprt::spawn(async { 7 }).await.unwrap() })?, 7);
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn run<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(Runtime::new()?.block_on(future))
}
