//! A runtime: how it is built, entered, and ended.
//!
//! Go counterpart: `schedinit`, `rt0_go` (`proc.go`); Go has one runtime in a process, here there may be many.
//!
//! Absent: everything that happens in between, which is `sched`.

use crate::cell::join::JoinHandle;
use crate::error::{ShutdownTimeout, UnhandledPanic};
use crate::metrics::Metrics;
use crate::policy::tuning::{KEEP_ALIVE, MAX_BLOCKING, MAX_PROCS, MAX_THREADS};
use crate::sched::{Affinity, Config, Shared, block_on::block_on, current};
use crate::schedtrace::SchedTrace;
use crate::spawn_blocking::blocking_task;
use crate::sys::{affinity::process_mask, membarrier};
use crate::trace::{self, TraceConfig, Tracer};
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a [`Runtime`] to be.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let rt = gmprt::Runtime::builder().procs(2).thread_name("worker").build()?;
/// assert_eq!(rt.block_on(async { 1 + 1 }), 2);
///
/// let error = gmprt::Runtime::builder().procs(0).build().unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    procs: Option<usize>,
    max_threads: Option<usize>,
    max_blocking: usize,
    keep_alive: Duration,
    affinity: Affinity,
    thread_name: String,
    unhandled_panic: UnhandledPanic,
    trace: Option<TraceConfig>,
}

impl Builder {
    fn new() -> Self {
        Self {
            procs: None,
            max_threads: None,
            max_blocking: MAX_BLOCKING,
            keep_alive: KEEP_ALIVE,
            affinity: Affinity::default(),
            thread_name: "gmprt".into(),
            unhandled_panic: UnhandledPanic::default(),
            trace: None,
        }
    }

    /// How many Ps there are, and so how many tasks run at the same time; from 1 to 65 535.
    ///
    /// Default: the processors in the process's affinity mask, or the cgroup's CPU quota rounded up if that
    /// is less. Go: `GOMAXPROCS`.
    pub fn procs(mut self, n: usize) -> Self {
        self.procs = Some(n);
        self
    }

    /// How many threads the runtime may have at most; at least `procs` + 1.
    ///
    /// Default: 10 000, or `procs` + 1 if that is more. At the limit, or where the system gives no thread, work
    /// waits; nothing fails, a line on stderr says so once, and `Metrics::failed_starts` counts. One thread more,
    /// sysmon, only watches. Go: `debug.SetMaxThreads`, which ends the process instead.
    pub fn max_threads(mut self, n: usize) -> Self {
        self.max_threads = Some(n);
        self
    }

    /// How many closures of [`spawn_blocking`](crate::spawn_blocking) may run at once; at least 1. The others wait in line,
    /// as tasks and not as threads.
    ///
    /// Default: 512. Never more than `max_threads - procs`, so that there are threads for the other tasks.
    pub fn max_blocking(mut self, n: usize) -> Self {
        self.max_blocking = n;
        self
    }

    /// How long a thread beyond `procs` stays without work before it ends. Default: 10 s.
    ///
    /// Threads come and go with the polls that block: each of them has one while it does. Up to `procs` threads stay
    /// for as long as the runtime does.
    pub fn thread_keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Whether Ms are pinned to cores; see [`Affinity`]. The callers of `build` and `block_on` never are.
    ///
    /// A thread that is started inside a poll inherits the core of an M that is pinned.
    pub fn affinity(mut self, affinity: Affinity) -> Self {
        self.affinity = affinity;
        self
    }

    /// What the runtime's threads are called: `name-m3`. Default: `gmprt`. Linux shows the first 15 bytes.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// What is done about a panic in a task that nobody holds a handle of.
    pub fn unhandled_panic(mut self, what: UnhandledPanic) -> Self {
        self.unhandled_panic = what;
        self
    }

    /// Records what the runtime does, from its start on; see [`trace`](crate::trace).
    ///
    /// Without this the environment may ask for it, by `GMPRT_TRACE`.
    pub fn trace(mut self, config: TraceConfig) -> Self {
        self.trace = Some(config);
        self
    }

    /// Builds the runtime, with one thread for tasks and one that watches (sysmon); more are started as they are needed.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if a setting is outside of what its method allows; the text says what is
    /// allowed. Otherwise the system's error, if it gives no thread, or if the file that a trace is to be streamed to can't be
    /// made.
    pub fn build(self) -> io::Result<Runtime> {
        let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        let procs = self.procs.unwrap_or_else(|| process_mask().procs.min(MAX_PROCS));
        if !(1..=MAX_PROCS).contains(&procs) {
            return invalid(format!("procs must be from 1 to {MAX_PROCS}, not {procs}"));
        }
        let max_threads = self.max_threads.unwrap_or(MAX_THREADS.max(procs + 1));
        if max_threads <= procs {
            return invalid(format!(
                "max_threads must be at least procs + 1, which is {}, not {max_threads}",
                procs + 1
            ));
        }
        if self.max_blocking == 0 {
            return invalid("max_blocking must be at least 1, not 0".into());
        }
        if self.thread_name.contains('\0') {
            return invalid("thread_name must not contain a NUL byte".into());
        }
        membarrier::choose();
        process_mask(); // read now, before anything is pinned
        let shared = Shared::start(Config {
            procs,
            max_threads,
            max_blocking: self.max_blocking.min(max_threads - procs),
            keep_alive: self.keep_alive,
            affinity: self.affinity,
            thread_name: self.thread_name,
            unhandled_panic: self.unhandled_panic,
            trace: self.trace,
            refuse_threads: false,
        })?;
        let _sched_trace = SchedTrace::start(&shared);
        let runtime = Runtime { _sched_trace, handle: Handle { shared }, ended: false };
        if runtime.handle.shared.config.trace.is_some() {
            runtime.trace().start()?;
        } else {
            trace::env::start(&runtime.handle.shared);
        }
        Ok(runtime)
    }
}

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
pub fn run<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(Runtime::new()?.block_on(future))
}
