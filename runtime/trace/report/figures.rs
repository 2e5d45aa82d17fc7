//! The figures of a report.
//!
//! Go counterpart: `internal/trace.GoroutineSummary`, `cmd/trace`'s tables.
//!
//! ```text
//!   RuntimeReport ┬ processors   ┬ woken, requeued: Latency ─ worst: Wait    ┬ handoffs, retakes, blocks
//!                 ├ longest_polls├ steals                                    ├ longest_blocks
//!                 └ kinds        └ starved                                   └ about
//! ```
//!
//! F1. Times are counted from the trace's start.
//! F2. Lists of the worst have at most ten entries, the worst first; where two are alike, the earlier.
//!
//! Absent: how they are found (`tally.rs`, `sum.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What the trace says of one runtime.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RuntimeReport {
    /// Which of the file's runtimes it is: its process ids are ten times that, and 1 to 4.
    pub index: u64,
    /// When its first event is.
    pub start: Duration,
    /// From there to the end of its last.
    pub span: Duration,
    /// What it says of the recording; `None` if the file was cut before.
    pub about: Option<About>,
    /// Its Ps, in order.
    pub processors: Vec<ProcessorReport>,
    /// Threads that have a track.
    pub threads: u64,
    /// How long tasks waited for a P that had been spawned or woken: the scheduling latency.
    pub woken: Latency,
    /// The same of tasks that had given their P up: they yielded, were preempted, or were woken while they ran.
    pub requeued: Latency,
    /// Runs of tasks that could run when the trace started: how long they had waited is not known.
    pub from_start: u64,
    /// The longest polls.
    pub longest_polls: Vec<Poll>,
    /// Who stole from whom, by thief and then victim.
    pub steals: Vec<Steals>,
    /// Hand-offs by their reason: `declared`, `blocked`, `hog`, `line`. Their times are those that a P was between two Ms.
    pub handoffs: BTreeMap<String, Times>,
    /// How often a P was taken from its M, by the reason: `declared`, `blocked`, `hog`.
    pub retakes: BTreeMap<String, u64>,
    /// Times that threads blocked or computed in a poll, by what the trace calls them: `blocked (declared)`, ...
    pub blocks: BTreeMap<String, Times>,
    /// The longest of those.
    pub longest_blocks: Vec<Block>,
    /// Polls that were asked to yield.
    pub preempts: u64,
    /// Times that a P's ring was full, and the tasks that went to the injector.
    pub overflows: (u64, u64),
    /// Times that a P took tasks from the injector, and how many.
    pub injector_takes: (u64, u64),
    /// Times that a P without an M lost its tasks to the injector, and how many.
    pub plunders: (u64, u64),
    /// Timers that were fired.
    pub timers_fired: u64,
    /// Wakes and spawns by threads that are none of the runtime's.
    pub foreign: u64,
    /// Tasks that could run, and waited for longer than they should; the longest wait first. All of them.
    pub starved: Vec<Starved>,
    /// Kinds of tasks, by running time. All of them.
    pub kinds: Vec<Kind>,
}

/// What a trace says of its recording.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct About {
    /// The version of gmprt that wrote it.
    pub version: String,
    /// Its clock.
    pub clock: String,
    /// Records that were made.
    pub records: u64,
    /// Records that were lost for want of room.
    pub dropped: u64,
    /// Times that were moved, since the clocks of two cores disagreed.
    pub clamped: u64,
    /// Records that were put in another order than their times'.
    pub reordered: u64,
    /// Tasks that were seen.
    pub tasks: u64,
    /// Tasks that have a track.
    pub task_tracks: u64,
    /// Tasks that have none.
    pub tasks_left_out: u64,
    /// Threads that have none.
    pub thread_tracks_left_out: u64,
    /// The recording stopped by itself, for its limit was reached.
    pub full: bool,
}

/// How a P spent its time. The parts add up to the runtime's span.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ProcessorReport {
    /// Which one.
    pub p: u64,
    /// Polls that began on it.
    pub polls: u64,
    /// Time in runs.
    pub busy: Duration,
    /// Without an M, for there was nothing to do.
    pub idle: Duration,
    /// Looking for work.
    pub spin: Duration,
    /// Taking tasks from another P.
    pub steal: Duration,
    /// Firing timers.
    pub timers: Duration,
    /// Between two Ms, with work.
    pub hand_off: Duration,
    /// The rest: the scheduler itself, what the report does not know, and times of which nothing was recorded.
    pub other: Duration,
}

/// A task, as the trace names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskName {
    /// Its id; 0: the future of a `block_on`.
    pub g: u64,
    /// Its name, or where it was spawned; empty if unknown.
    pub kind: Arc<str>,
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.g, &*self.kind) {
            (0, kind) => write!(f, "{kind}"),
            (g, "") => write!(f, "G{g}"),
            (g, kind) => write!(f, "{kind} G{g}"),
        }
    }
}

/// How long tasks that could run waited.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Latency {
    /// How many waits.
    pub count: u64,
    /// Half of them were no longer than this.
    pub p50: Duration,
    /// 90 % of them.
    pub p90: Duration,
    /// 99 % of them.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
    /// The longest ones.
    pub worst: Vec<Wait>,
}

/// A wait that ended with a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// How long.
    pub wait: Duration,
    /// When it ended: the run's beginning.
    pub at: Duration,
    /// Who waited.
    pub task: TaskName,
    /// The P on which it ran then.
    pub p: u64,
    /// How it became runnable: `spawn`, `wake`, `yield`, `preempt`, `self`.
    pub woke: String,
    /// Who made it so: a task (with its kind, if the trace shows a run of it), `block_on`, `timer`, `foreign`.
    pub by: Option<String>,
}

/// A poll, or what of it was on one P.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poll {
    /// How long; of one whose P was taken, until then, and from when it had one again.
    pub took: Duration,
    /// When it began.
    pub at: Duration,
    /// Whose.
    pub task: TaskName,
    /// Where the task was spawned, if its kind does not say.
    pub site: Option<String>,
    /// The P.
    pub p: u64,
    /// The M.
    pub m: Option<u64>,
    /// How it ended: `yield`, `block`, `preempt`, `retake`, `exit`, `open`; with what it waits for, or how it exited.
    pub end: String,
}

/// What one P took from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Steals {
    /// The P that took.
    pub thief: u64,
    /// The P that had them.
    pub victim: u64,
    /// How often.
    pub times: u64,
    /// How many tasks in all.
    pub tasks: u64,
}

/// How often something was, and how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// How often.
    pub times: u64,
    /// How long in all.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
}

/// A time that a thread blocked, or computed, in a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// How long.
    pub took: Duration,
    /// When it began.
    pub at: Duration,
    /// What the trace calls it: `blocked (declared)`, `blocked (retaken)`, `computing (retaken)`.
    pub what: String,
    /// The thread's name: `M3`.
    pub thread: String,
    /// The task that it polled, if that is known.
    pub task: Option<TaskName>,
}

/// A task that could run, and waited for longer than it should.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Starved {
    /// The task.
    pub task: TaskName,
    /// Its longest wait.
    pub longest: Duration,
    /// When that began.
    pub since: Duration,
    /// How many of its waits were too long.
    pub times: u64,
    /// Whether it still waited when the trace ended. Only of tasks that have a track.
    pub still: bool,
}

/// The tasks of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kind {
    /// Their name, or where they were spawned.
    pub kind: Arc<str>,
    /// Polls.
    pub runs: u64,
    /// How many of the runs were the task's last.
    pub exits: u64,
    /// How long they ran, in all.
    pub running: Duration,
    /// The longest run.
    pub longest: Duration,
    /// How long they waited for a P, in all.
    pub waiting: Duration,
}

impl Kind {
    /// The mean run.
    #[must_use]
    pub fn mean(&self) -> Duration {
        mean(self.running, self.runs)
    }
}

/// A part of a whole.
pub(super) fn mean(total: Duration, n: u64) -> Duration {
    Duration::from_nanos((total.as_nanos() / u128::from(n.max(1))) as u64)
}
