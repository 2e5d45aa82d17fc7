//! What the scheduler has done: counts, cheap to read and a moment old.
//!
//! Go counterpart: `runtime/metrics`, `/sched/…`.
//!
//! H1. What ended is read before what was spawned, so that no more have ended than were spawned; and `alive` is the difference,
//!     of which `waiting` is what neither runs nor stands in a queue. So the sums hold in every look, however torn.
//!
//! Absent: names for programs that read all there is by name, as Go's `metrics.All`.

use crate::look::MachineState;
use crate::sched::tally::{self, Tally};
use crate::sched::{ProcessorId, Shared};
use crate::sys::counter::Counter;
use std::sync::atomic::{Ordering::Acquire, fence};
use std::time::Duration;

/// A look at a runtime's counters. They are read one after another while the runtime goes on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Metrics {
    /// One entry for each P.
    pub processors: Vec<ProcessorMetrics>,
    /// Tasks, by what has become of them.
    pub tasks: TaskMetrics,
    /// How long tasks that could run were on their way to a P.
    pub latencies: Latencies,
    /// Threads of the runtime, callers of `block_on` not included.
    pub threads: usize,
    /// Threads among them that sleep without a P.
    pub idle_threads: usize,
    /// Threads whose poll goes on without a P: it blocks, or its P was taken because it computed for too long. Callers of
    /// `block_on` whose future is polled without a P are among them.
    pub blocked_threads: usize,
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
    /// Times it looked at another P and found nothing to take.
    pub steal_tries: u64,
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
    /// How long threads have held it, since the runtime was built: running tasks, or looking for some.
    pub busy: Duration,
}

/// Tasks by what has become of them: `spawned` = `finished` + `panicked` + `aborted` + `alive`, and `alive` = `running` +
/// `runnable` + `waiting`, in every look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskMetrics {
    /// All so far.
    pub spawned: u64,
    /// Those whose future returned.
    pub finished: u64,
    /// Those that panicked.
    pub panicked: u64,
    /// Those that were aborted, or cancelled by the runtime's end.
    pub aborted: u64,
    /// Those that have not ended yet.
    pub alive: u64,
    /// Of these, those in a poll.
    pub running: u64,
    /// Of these, those in a queue.
    pub runnable: u64,
    /// The rest.
    pub waiting: u64,
}

/// How long tasks that could run were on their way to a P: a histogram of one in 64 spawns and wakes. Go:
/// `/sched/latencies:seconds`.
///
/// A wake from outside the runtime is measured if its task is one in 64. Four buckets for each power of two, from 64 ns on. A
/// task that yields, or whose slice is over, is not measured: it has run just before. Waits of more than 274 s come out
/// shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies(Vec<u64>);

impl Latencies {
    fn of(tallies: &[&Tally]) -> Self {
        let count = |bucket| tallies.iter().map(|tally| tally.latencies.get(bucket)).sum();
        Self((0..tally::BUCKETS).map(count).collect())
    }

    /// For each bucket the least wait that is too long for it, and how many waits it has counted; the longest last.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.0.iter().enumerate().map(|(bucket, &count)| (tally::upper_bound(bucket), count))
    }

    /// How many waits were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// A wait that a share `q` of all waits was shorter than: 0.5 gives the median, 0.99 what one in a hundred exceeds. It is
    /// the bound of a bucket, so up to a quarter too long. `None`: none was measured, or `q` is not from 0 to 1.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        let mut below = 0;
        self.buckets().find_map(|(bound, n)| {
            below += n;
            (below >= rank).then_some(bound)
        })
    }
}

impl Metrics {
    pub(crate) fn of(shared: &Shared) -> Self {
        let (idle_processors, spinning) = shared.census.counts();
        let (threads, idle_threads) = shared.lists().counts();
        let machines = shared.look_at_machines();
        let tallies: Vec<_> = shared.procs.iter().map(|p| &*p.tally).collect();
        let tasks = TaskMetrics::of(shared, machines.iter().filter(|m| m.g.is_some()).count());
        Self {
            processors: shared
                .procs
                .iter()
                .map(|p| ProcessorMetrics {
                    id: p.id,
                    polls: p.tally.polls.get(),
                    schedticks: p.tally.schedtick.get(),
                    spawned: p.tally.spawned.get(),
                    steal_tries: p.tally.steal_tries.get(),
                    steals: p.tally.steals.get(),
                    stolen: p.tally.stolen.get(),
                    overflows: p.tally.overflows.get(),
                    injector_takes: p.tally.injector_takes.get(),
                    timers_fired: p.tally.timers.get(),
                    timers_stolen: p.tally.timers_stolen.get(),
                    queue_len: p.queue_len(),
                    busy: p.tally.busy.so_far(),
                })
                .collect(),
            tasks,
            latencies: Latencies::of(&tallies),
            threads,
            blocked_threads: machines.iter().filter(|m| matches!(m.state, MachineState::Bare { .. })).count(),
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

impl TaskMetrics {
    fn of(shared: &Shared, polls: usize) -> Self {
        let sum = |of: fn(&Tally) -> &Counter| {
            shared.procs.iter().map(|p| of(&p.tally).get()).sum::<u64>() + of(&shared.foreign).get()
        };
        let (finished, panicked, aborted) = (sum(|t| &t.finished), sum(|t| &t.panicked), sum(|t| &t.aborted));
        // Ordering: Acquire; H1, as far as counters may be believed (sys/counter.rs).
        fence(Acquire);
        let queued: usize = shared.procs.iter().map(|p| p.queue_len()).sum();
        let queued = (queued + shared.injector.len()) as u64;
        let ended = finished + panicked + aborted;
        let spawned = sum(|t| &t.spawned).max(ended);
        let alive = spawned - ended;
        let running = alive.min(polls as u64);
        let runnable = (alive - running).min(queued);
        let waiting = alive - running - runnable;
        Self { spawned, finished, panicked, aborted, alive, running, runnable, waiting }
    }
}
