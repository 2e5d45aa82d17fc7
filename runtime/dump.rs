//! A dump: every task that lives, what it is at, and where it came from.
//!
//! Go counterpart: `tracebackothers`, `goroutineheader` (`traceback.go`).
//!
//! ```text
//!   DUMP "gmprt" 1004ms: tasks=2 runnable=0 running=1 waiting=1 gomaxprocs=4 idleprocs=3 threads=5 idlethreads=3
//!
//!   G17 "reader" [chan receive, 3 minutes]:
//!           spawned at src/main.rs:42 by G5
//!
//!   G18 [running]:
//!           on P2, M5
//!           spawned at src/main.rs:50
//! ```
//!
//! D1. To take one takes the short locks of `sched/looking.rs`, and waits for no poll. To print one takes none.
//! D2. It can be read back: the head says how many tasks follow, each begins with `G` at the start of a line, and its other
//!     lines with a tab. Names are quoted and escaped, so that none begins a line.
//!
//! Absent: stacks. A task that waits has none; what it waits for is its reason.

use crate::cell::TaskId;
use crate::look::{self, TaskLook};
use crate::sched::{MachineId, ProcessorId, Shared};
use crate::{Handle, Runtime};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// The tasks of a runtime that were alive, and what each was at; from [`Runtime::dump`] or [`Handle::dump`].
///
/// It prints as Go's goroutines do in a traceback, without the stacks: a head line with the runtime's `thread_name`, its age and
/// its counts, in the words of Go's `schedtrace`; then the tasks by number, an empty line before each.
///
/// # Examples
///
/// ```
/// use gmprt::task;
///
/// # fn main() -> std::io::Result<()> {
/// let rt = gmprt::Runtime::builder().procs(2).build()?;
/// let (tx, rx) = gmprt::chan::bounded(1);
/// let reader = task::Builder::new().name("reader").spawn_on(&rt.handle(), async move { rx.recv().await });
///
/// let dump = rt.dump();
/// assert_eq!(dump.tasks().len(), 1);
/// assert!(dump.to_string().contains(&format!("\n{} \"reader\" [", reader.id())));
///
/// rt.block_on(async { tx.send(7).await.unwrap() });
/// assert_eq!(rt.block_on(reader).unwrap(), Ok(7));
/// assert!(rt.dump().tasks().is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # Differences from Go
///
/// Go stops the world to print its goroutines. Here nobody is stopped: each task is shown as it stood when it was looked at, and
/// no moment need have been at which all of it was so. Go says how long a goroutine has waited from one minute on; here it is
/// said from one second on. The futures of `block_on` are no tasks, and are not shown.
#[derive(Debug, Clone)]
pub struct Dump {
    name: String,
    age: Duration,
    procs: usize,
    idle_procs: usize,
    threads: usize,
    idle_threads: usize,
    tasks: Vec<TaskDump>,
}

/// A task in a [`Dump`]. It prints as it does there.
///
/// # Examples
///
/// ```
/// use gmprt::dump::TaskState;
///
/// # fn main() -> std::io::Result<()> {
/// gmprt::run(async {
///     gmprt::spawn(async {
///         let dump = gmprt::Handle::current().dump();
///         let own = &dump.tasks()[0];
///         assert_eq!(Some(own.id()), gmprt::task::id());
///         assert_eq!((own.state(), own.waiting_for()), (TaskState::Running, None));
///         assert_eq!(own.machine(), gmprt::task::machine());
///         assert!(own.to_string().starts_with(&format!("{} [running]:\n", own.id())));
///     })
///     .await
///     .unwrap();
/// })
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TaskDump(TaskLook);

/// What a task is at; it prints as `waiting`. Go: `_Grunnable`, `_Grunning`, `_Gwaiting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It can run, and stands in a queue.
    Runnable,
    /// It is in a poll; that poll may compute, block its thread, or be stuck.
    Running,
    /// It waits to be woken.
    Waiting,
}

impl Runtime {
    /// What every task that lives is at; see [`Handle::dump`].
    #[must_use]
    pub fn dump(&self) -> Dump {
        self.handle().dump()
    }
}

impl Handle {
    /// What every task that lives is at.
    ///
    /// It may be called anywhere, in a task too, and stops nobody. It does not wait for polls: a task that is stuck in one
    /// is in the dump, as [`TaskState::Running`]. The time it takes grows with the number of tasks: some tenths of a second
    /// for a million. Once the runtime has ended there are none.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::dump::TaskState;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let rt = gmprt::Runtime::new()?;
    /// let (tx, rx) = std::sync::mpsc::channel::<()>();
    /// let stuck = rt.spawn(async move { rx.recv().is_err() }); // blocks its thread
    /// while rt.handle().dump().tasks()[0].state() != TaskState::Running {}
    /// drop(tx);
    /// assert!(rt.block_on(stuck).unwrap());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn dump(&self) -> Dump {
        Dump::of(&self.shared)
    }
}

impl Dump {
    pub(crate) fn of(shared: &Shared) -> Self {
        let tasks = shared.look_at_tasks().into_iter().map(TaskDump).collect();
        let look = shared.look();
        Self {
            name: shared.config.thread_name.clone(),
            age: look.age,
            procs: look.procs.len(),
            idle_procs: look.idle_procs,
            threads: if look.threads == 1 { 0 } else { look.threads }, // sysmon is not there without an M
            idle_threads: look.idle_threads,
            tasks,
        }
    }

    /// As text, for those below who print it and know no dumps.
    pub(crate) fn text(shared: &Shared) -> String {
        format!("{}\n", Self::of(shared))
    }

    /// The tasks, by number.
    ///
    /// It never blocks.
    #[must_use]
    pub fn tasks(&self) -> &[TaskDump] {
        &self.tasks
    }

    /// Whether there was nothing: no task, and no thread that could run one.
    pub(crate) fn is_over(&self) -> bool {
        self.tasks.is_empty() && self.threads == 0
    }
}

impl TaskDump {
    /// The task's id.
    ///
    /// It never blocks.
    #[must_use]
    pub fn id(&self) -> TaskId {
        TaskId(self.0.g)
    }

    /// The name that [`task::Builder`](crate::task::Builder) gave it, if it has one.
    ///
    /// It never blocks.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// What it was at.
    ///
    /// It never blocks.
    #[must_use]
    pub fn state(&self) -> TaskState {
        match self.0.state {
            look::TaskState::Runnable => TaskState::Runnable,
            look::TaskState::Running { .. } => TaskState::Running,
            look::TaskState::Waiting(_) => TaskState::Waiting,
        }
    }

    /// What it waited for, in Go's words where Go has one: `chan receive`. `None` if it did not wait, or for a future that is
    /// not of this crate.
    ///
    /// It never blocks.
    #[must_use]
    pub fn waiting_for(&self) -> Option<&'static str> {
        match self.0.state {
            look::TaskState::Waiting(reason) => Some(reason.text()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// For how long it had waited, or stood in a queue, to some hundredths of a second. `None`: it was in a poll, or had
    /// just come to what it was at.
    ///
    /// It never blocks.
    #[must_use]
    pub fn since(&self) -> Option<Duration> {
        self.0.since
    }

    /// Where it was spawned.
    ///
    /// It never blocks.
    #[must_use]
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.0.site
    }

    /// The task that spawned it, if one did. That one may have ended long ago.
    ///
    /// It never blocks.
    #[must_use]
    pub fn parent(&self) -> Option<TaskId> {
        Some(TaskId(self.0.parent)).filter(|parent| parent.0 != 0)
    }

    /// The M that polled it, if it was in a poll and the M could be found out.
    ///
    /// It never blocks.
    #[must_use]
    pub fn machine(&self) -> Option<MachineId> {
        match self.0.state {
            look::TaskState::Running { m, .. } => m.map(MachineId),
            _ => None,
        }
    }

    /// The P on which it was polled. `None` also in a poll whose P was taken, or was given up.
    ///
    /// It never blocks.
    #[must_use]
    pub fn processor(&self) -> Option<ProcessorId> {
        match self.0.state {
            look::TaskState::Running { p, .. } => p.map(ProcessorId),
            _ => None,
        }
    }
}

impl TaskState {
    fn text(self) -> &'static str {
        match self {
            Self::Runnable => "runnable",
            Self::Running => "running",
            Self::Waiting => "waiting",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |state| self.tasks.iter().filter(|task| task.state() == state).count();
        writeln!(
            f,
            "DUMP {:?} {}ms: tasks={} runnable={} running={} waiting={} gomaxprocs={} idleprocs={} threads={} idlethreads={}",
            self.name,
            self.age.as_millis(),
            self.tasks.len(),
            count(TaskState::Runnable),
            count(TaskState::Running),
            count(TaskState::Waiting),
            self.procs,
            self.idle_procs,
            self.threads,
            self.idle_threads,
        )?;
        self.tasks.iter().try_for_each(|task| writeln!(f, "\n{task}"))
    }
}

impl fmt::Display for TaskDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.id())?;
        if let Some(name) = self.name() {
            write!(f, "{name:?} ")?;
        }
        write!(f, "[{}", self.waiting_for().unwrap_or_else(|| self.state().text()))?;
        match self.0.since.map_or(0, |since| since.as_secs()) {
            0 => f.write_str("]:\n\t")?,
            seconds @ 1..60 => write!(f, ", {seconds} s]:\n\t")?,
            seconds => write!(f, ", {} minutes]:\n\t", seconds / 60)?, // as Go: one is "1 minutes"
        }
        match (self.processor(), self.machine()) {
            (Some(p), Some(m)) => write!(f, "on {p}, {m}\n\t")?,
            (None, Some(m)) => write!(f, "on {m}, without a P\n\t")?,
            (_, None) => {}
        }
        write!(f, "spawned at {}:{}", self.0.site.file(), self.0.site.line())?;
        match self.parent() {
            Some(parent) => write!(f, " by {parent}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;

    fn task(state: look::TaskState) -> TaskLook {
        TaskLook { g: 17, name: None, site: Location::caller(), parent: 0, state, since: None }
    }

    #[track_caller]
    fn prints(look: TaskLook, expected: &str) {
        let at = format!("spawned at {}:{}", look.site.file(), look.site.line());
        assert_eq!(TaskDump(look).to_string(), expected.replace("spawned", &at));
    }

    #[test]
    fn a_task_that_waits_prints_as_in_go() {
        let waits = task(look::TaskState::Waiting(Reason::ChanReceive));
        prints(waits.clone(), "G17 [chan receive]:\n\tspawned");
        let named = TaskLook { name: Some("a \"name\"\nG18 [x]:".into()), parent: 5, ..waits };
        let head = r#"G17 "a \"name\"\nG18 [x]:" [chan receive"#;
        for (millis, since) in [
            (999, ""),
            (1_000, ", 1 s"),
            (59_999, ", 59 s"),
            (60_000, ", 1 minutes"),
            (60_000 * 200, ", 200 minutes"),
        ] {
            let look = TaskLook { since: Some(Duration::from_millis(millis)), ..named.clone() };
            prints(look, &format!("{head}{since}]:\n\tspawned by G5"));
        }
        prints(task(look::TaskState::Waiting(Reason::Unsaid)), "G17 [waiting]:\n\tspawned");
        prints(task(look::TaskState::Runnable), "G17 [runnable]:\n\tspawned");
    }

    #[test]
    fn a_task_that_runs_says_where() {
        for (m, p, on) in
            [(Some(5), Some(2), "on P2, M5\n\t"), (Some(5), None, "on M5, without a P\n\t"), (None, None, "")]
        {
            let look = task(look::TaskState::Running { m, p });
            prints(look, &format!("G17 [running]:\n\t{on}spawned"));
        }
    }

    #[test]
    fn the_head_counts() {
        let tasks = [
            look::TaskState::Runnable,
            look::TaskState::Waiting(Reason::Join),
            look::TaskState::Waiting(Reason::Unsaid),
            look::TaskState::Running { m: None, p: None },
        ];
        let dump = Dump {
            name: "two words".into(),
            age: Duration::from_millis(1004),
            procs: 4,
            idle_procs: 3,
            threads: 6,
            idle_threads: 2,
            tasks: tasks.into_iter().map(|state| TaskDump(task(state))).collect(),
        };
        let text = dump.to_string();
        let head = "DUMP \"two words\" 1004ms: tasks=4 runnable=1 running=1 waiting=2 gomaxprocs=4 idleprocs=3 threads=6 \
                    idlethreads=2\n\nG17 [runnable]:\n";
        assert!(text.starts_with(head), "{text}");
        assert_eq!(text.matches("\n\nG17 [").count(), 4);
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
    }
}
