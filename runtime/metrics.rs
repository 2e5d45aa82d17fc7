//! What the scheduler has done: counts, cheap to read and a moment old.
//!
//! Go counterpart: `runtime/metrics`, `/sched/…`.
//!
//! Absent: histograms, and counts of tasks by state.

use crate::sched::{ProcessorId, Shared};

/// A look at a runtime's counters. They are read one after another while the runtime goes on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Metrics {
    /// One entry for each P.
    pub processors: Vec<ProcessorMetrics>,
    /// Threads of the runtime, callers of `block_on` not included.
    pub threads: usize,
    /// Threads among them that sleep without a P.
    pub idle_threads: usize,
    /// Ps that nobody holds and that have nothing to do.
    pub idle_processors: usize,
    /// Ms that look for work.
    pub spinning: usize,
    /// Tasks in the injector.
    pub injector_len: usize,
    /// Ps given up because their M declared that it would block.
    pub handoffs: u64,
    /// Ps taken from an M whose poll blocked without declaring it.
    pub retakes: u64,
    /// Ps taken from an M that was in a declared block for longer than others could wait.
    pub retakes_declared: u64,
    /// Ps taken from an M whose poll computed for so long that others had to have their turn.
    pub retakes_hogs: u64,
    /// How often sysmon has looked at the Ps.
    pub sysmon_rounds: u64,
    /// Times that no M could be had for a P: the limit, or the system, allowed no thread.
    pub failed_starts: u64,
}

/// One P's counters.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessorMetrics {
    /// The P.
    pub id: ProcessorId,
    /// Polls begun.
    pub polls: u64,
    /// Polls that did not inherit their predecessor's time slice; Go: `schedtick`.
    pub schedticks: u64,
    /// Tasks spawned by tasks on this P.
    pub spawned: u64,
    /// Times it took tasks from another P.
    pub steals: u64,
    /// Tasks that it took so.
    pub stolen: u64,
    /// Times its full ring spilled half into the injector.
    pub overflows: u64,
    /// Tasks that it took from the injector.
    pub injector_takes: u64,
    /// Timers that it fired, whosever they were.
    pub timers_fired: u64,
    /// Timers among them that had been set on another P, which was busy or had nobody.
    pub timers_stolen: u64,
    /// Tasks in its ring and `runnext`.
    pub queue_len: usize,
}

impl Metrics {
    pub(crate) fn of(shared: &Shared) -> Self {
        let (idle_processors, spinning) = shared.census.counts();
        let (threads, idle_threads) = shared.lists().counts();
        Self {
            processors: shared
                .procs
                .iter()
                .map(|p| ProcessorMetrics {
                    id: p.id,
                    polls: p.tally.polls.get(),
                    schedticks: p.tally.schedtick.get(),
                    spawned: p.tally.spawned.get(),
                    steals: p.tally.steals.get(),
                    stolen: p.tally.stolen.get(),
                    overflows: p.tally.overflows.get(),
                    injector_takes: p.tally.injector_takes.get(),
                    timers_fired: p.tally.timers.get(),
                    timers_stolen: p.tally.timers_stolen.get(),
                    queue_len: p.queue_len(),
                })
                .collect(),
            threads,
            idle_threads,
            idle_processors: idle_processors as usize,
            spinning: spinning as usize,
            injector_len: shared.injector.len(),
            handoffs: shared.retakes.handed_off.get(),
            retakes: shared.retakes.revoked.get(),
            retakes_declared: shared.retakes.declared.get(),
            retakes_hogs: shared.retakes.hogs.get(),
            sysmon_rounds: shared.sysmon_rounds(),
            failed_starts: shared.failed_starts.get(),
        }
    }
}
