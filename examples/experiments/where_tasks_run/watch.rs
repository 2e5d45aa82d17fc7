//! Runs many tasks on a fresh runtime, and writes down on which P each began and ended.
//!
//! Fresh, so that the counters begin at nothing; and as cold as the article's program, whose other threads are still to be
//! started when the tasks are spawned.

use std::hint::spin_loop;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gmprt::metrics::{Metrics, ProcessorMetrics};
use gmprt::task::{ProcessorId, processor};
use gmprt::{Runtime, time};

/// What takes longer than this never ends.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Who spawns, and what a task does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Scene {
    /// The article's: one task spawns all, each sleeps.
    Sleep,
    /// One task spawns all, each computes.
    Compute(Duration),
    /// A thread that is no task of the runtime spawns all, each computes.
    FromOutside(Duration),
}

impl Scene {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scene::Sleep => "spawned by a task, each sleeps 1 ms",
            Scene::Compute(_) => "spawned by a task, each computes",
            Scene::FromOutside(_) => "spawned from outside, each computes",
        }
    }

    async fn play(self) {
        match self {
            Scene::Sleep => time::sleep(Duration::from_millis(1)).await,
            Scene::Compute(work) | Scene::FromOutside(work) => {
                let start = Instant::now();
                while start.elapsed() < work {
                    spin_loop();
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    Spawns,
    Begins,
    Ends,
}

/// What a task did, and on which P: `None` in a poll whose P was taken away.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) what: What,
    pub(crate) task: usize,
    pub(crate) on: Option<ProcessorId>,
}

/// All events in the order in which they happened. The lock is held for one push, so it hardly ever makes anyone wait.
struct Log {
    events: Mutex<Vec<Event>>,
    expected: usize,
    complete: Condvar,
}

impl Log {
    fn new(expected: usize) -> Arc<Log> {
        Arc::new(Log { events: Mutex::new(Vec::with_capacity(expected)), expected, complete: Condvar::new() })
    }

    fn note(&self, what: What, task: usize) {
        let on = processor();
        let mut events = locked(&self.events);
        events.push(Event { what, task, on });
        if events.len() == self.expected {
            self.complete.notify_one();
        }
    }

    /// Waits on the calling thread, not in `block_on`, which would take part in the scheduling that is watched.
    fn wait(&self) {
        let events = locked(&self.events);
        drop(self.complete.wait_timeout_while(events, LIMIT, |events| events.len() < self.expected));
    }
}

/// What was seen in one round.
pub(crate) struct Seen {
    pub(crate) events: Vec<Event>,
    pub(crate) metrics: Metrics,
}

impl Seen {
    pub(crate) fn tasks(&self, what: What, on: Option<ProcessorId>) -> Vec<usize> {
        let wanted = self.events.iter().filter(|event| event.what == what && event.on == on);
        wanted.map(|event| event.task).collect()
    }

    pub(crate) fn order(&self, what: What) -> Vec<usize> {
        self.events.iter().filter(|event| event.what == what).map(|event| event.task).collect()
    }

    /// How many tasks ended on the P on which most did.
    pub(crate) fn busiest(&self) -> usize {
        let counts = self.metrics.processors.iter().map(|p| self.tasks(What::Ends, Some(p.id)).len());
        counts.max().unwrap_or(0)
    }

    pub(crate) fn total(&self, figure: impl Fn(&ProcessorMetrics) -> u64) -> u64 {
        self.metrics.processors.iter().map(figure).sum()
    }
}

/// Runs so many tasks on a fresh runtime, and checks that each began once and ended once.
pub(crate) fn watch(procs: usize, tasks: usize, scene: Scene) -> Result<Seen, String> {
    let rt = start(procs)?;
    let log = Log::new(1 + 2 * tasks);
    let spawn_all = {
        let (log, handle) = (log.clone(), rt.handle());
        move || {
            log.note(What::Spawns, 0);
            for task in 0..tasks {
                let log = log.clone();
                drop(handle.spawn(async move {
                    log.note(What::Begins, task);
                    scene.play().await;
                    log.note(What::Ends, task);
                }));
            }
        }
    };
    match scene {
        Scene::FromOutside(_) => spawn_all(),
        _ => drop(rt.spawn(async move { spawn_all() })),
    }
    log.wait();
    let metrics = rt.metrics();
    drop(rt); // what has not ended by now is cancelled: no more events
    let seen = Seen { events: std::mem::take(&mut *locked(&log.events)), metrics };
    for what in [What::Begins, What::Ends] {
        let mut ids = seen.order(what);
        ids.sort_unstable();
        if !ids.iter().copied().eq(0..tasks) {
            return Err(format!("{}: {what:?} was seen {} times for {tasks} tasks", scene.name(), ids.len()));
        }
    }
    let taken = seen.total(|p| p.injector_takes);
    if matches!(scene, Scene::FromOutside(_)) && taken < tasks as u64 {
        return Err(format!("{tasks} tasks went into the injector, and {taken} came out"));
    }
    Ok(seen)
}

pub(crate) fn start(procs: usize) -> Result<Runtime, String> {
    Runtime::builder().procs(procs).build().map_err(|e| format!("cannot start a runtime: {e}"))
}

/// No holder panics, so poison tells nothing.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(crate) fn words(list: impl Iterator<Item = impl ToString>) -> String {
    list.map(|n| n.to_string()).collect::<Vec<_>>().join(" ")
}
