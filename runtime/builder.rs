//! What a runtime is to be like, and whether it can be.
//!
//! Go counterpart: `schedinit` (`proc.go`), and the environment's `GOMAXPROCS`.
//!
//! Absent: the runtime itself (`runtime.rs`), and what SIGQUIT prints (`sigquit.rs`).

use crate::dump::Dump;
use crate::error::UnhandledPanic;
use crate::policy::tuning::{KEEP_ALIVE, MAX_BLOCKING, MAX_PROCS, MAX_THREADS};
use crate::runtime::Runtime;
use crate::sched::{Affinity, Config};
use crate::sys::{affinity::process_mask, membarrier};
use crate::trace::TraceConfig;
use std::io;
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
    deadlock_detection: bool,
    long_polls: Option<Duration>,
    pub(crate) dump_on_sigquit: bool,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            procs: None,
            max_threads: None,
            max_blocking: MAX_BLOCKING,
            keep_alive: KEEP_ALIVE,
            affinity: Affinity::default(),
            thread_name: "gmprt".into(),
            unhandled_panic: UnhandledPanic::default(),
            trace: None,
            deadlock_detection: false,
            long_polls: None,
            dump_on_sigquit: false,
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

    /// Whether a deadlock ends the process, as in Go, instead of a wait for ever. Default: `false`.
    ///
    /// A deadlock is: somebody waits in `block_on`; nothing runs, is queued or can be started; no timer is set; and
    /// it is so for 100 ms or more. Then stderr gets Go's `fatal error: all goroutines are asleep - deadlock!` and all tasks,
    /// and the process exits with status 2.
    ///
    /// Off by default, because the runtime can't see everybody who may call a waker. *A thread of yours may hold one*, or
    /// a sender of a channel, and be about to use it: that is no deadlock, and the report is wrong. So this is for
    /// programs, and tests, in which only tasks wake tasks. In particular:
    ///
    /// - A caller of `block_on` counts as waiting whatever its future is: one that waits for another runtime, gmprt's or
    ///   not, or for a thread, is as good as one that waits for a task.
    /// - With several runtimes in the process, none may have anything to do: a task may wait for a task of another.
    /// - A `block_on` inside a task counts as that task's poll: while there is one, no deadlock is seen.
    ///
    /// A thread, `name-watch`, looks five times a second. Go: `checkdead`.
    pub fn deadlock_detection(mut self, on: bool) -> Self {
        self.deadlock_detection = on;
        self
    }

    /// Reports on stderr, once for each place where tasks are spawned, a poll that lasts longer than `threshold`: whose it
    /// is, for how long it has lasted, and whether its thread was blocked or busy. Off by default; 10 ms is a good
    /// threshold. The future of a `block_on` counts too.
    ///
    /// A block that was declared ([`block_in_place`](crate::block_in_place), `spawn_blocking`, a nested `block_on`) is no long
    /// poll; what the poll does after it is timed anew. The time is by the clock: on a machine with too few cores, that of a
    /// poll that waited for one is long as well.
    ///
    /// While something runs a thread, `name-watch`, looks four times in each `threshold`, every 1 to 25 ms; in an idle runtime it
    /// wakes ten times a second. Go: none; its scheduler preempts.
    pub fn report_long_polls(mut self, threshold: Duration) -> Self {
        self.long_polls = Some(threshold);
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
        if self.long_polls.is_some_and(|threshold| threshold.is_zero()) {
            return invalid("the threshold of report_long_polls must be more than 0".into());
        }
        if self.thread_name.contains('\0') {
            return invalid("thread_name must not contain a NUL byte".into());
        }
        membarrier::choose();
        process_mask(); // read now, before anything is pinned
        let config = Config {
            procs,
            max_threads,
            max_blocking: self.max_blocking.min(max_threads - procs),
            keep_alive: self.keep_alive,
            affinity: self.affinity,
            thread_name: self.thread_name,
            unhandled_panic: self.unhandled_panic,
            trace: self.trace,
            deadlock_detection: self.deadlock_detection,
            print_dump: Dump::text,
            long_polls: self.long_polls,
            refuse_threads: false,
        };
        Runtime::start(config, self.dump_on_sigquit)
    }
}
