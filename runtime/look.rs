//! What a look at a runtime finds: its Ps, its Ms, its tasks, each as it stood when it was looked at.
//!
//! Go counterpart: what `schedtrace`, `tracebackothers` and `goroutineheader` print (`proc.go`, `traceback.go`).
//!
//! Absent: one moment at which all of it was so. Nobody is stopped for a look.

use crate::reason::Reason;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// What a task is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// It can run, and stands in a queue.
    Runnable,
    /// It is polled: by this M, on this P, as far as they could be found out. Without a P: that was taken.
    Running { m: Option<u32>, p: Option<u16> },
    /// It waits for this.
    Waiting(Reason),
}

/// A task that is alive.
#[derive(Debug, Clone)]
pub(crate) struct TaskLook {
    pub(crate) g: u64,
    pub(crate) name: Option<Arc<str>>,
    /// Where it was spawned.
    pub(crate) site: &'static Location<'static>,
    /// The task that spawned it; 0: none did.
    pub(crate) parent: u64,
    pub(crate) state: TaskState,
    /// For how long it has been at that, to some hundredths of a second; `None`: it is running, or just came to it.
    pub(crate) since: Option<Duration>,
}

/// What an M is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MachineState {
    /// It has a P, and polls or looks for work.
    Running,
    /// It sleeps for want of work.
    Idle,
    /// Its poll lost its P, or gave it up, and goes on without; `declared`: in a block that it declared.
    Bare { declared: bool },
}

/// A thread that runs tasks, or is inside `block_on`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MachineLook {
    pub(crate) m: u32,
    pub(crate) p: Option<u16>,
    /// The task that it polls.
    pub(crate) g: Option<u64>,
    pub(crate) state: MachineState,
}

/// A P.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessorLook {
    pub(crate) p: u16,
    /// Who holds it; `None`: it is idle.
    pub(crate) m: Option<u32>,
    pub(crate) schedtick: u64,
    /// How often it was taken by an M.
    pub(crate) turns: u64,
    /// Tasks in its ring and `runnext`.
    pub(crate) queue: usize,
    pub(crate) timers: usize,
}

/// The scheduler's counts.
#[derive(Debug, Clone)]
pub(crate) struct SchedulerLook {
    /// Since the runtime was built.
    pub(crate) age: Duration,
    pub(crate) idle_procs: usize,
    /// Threads of the runtime, sysmon included, callers of `block_on` not.
    pub(crate) threads: usize,
    pub(crate) spinning: usize,
    pub(crate) idle_threads: usize,
    /// Tasks in the injector.
    pub(crate) injector: usize,
    /// sysmon sleeps until somebody rouses it.
    pub(crate) sysmon_waits: bool,
    /// By number, all of them.
    pub(crate) procs: Vec<ProcessorLook>,
}
