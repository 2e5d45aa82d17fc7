//! A probe that sleeps 1 ms again and again, beside k × P tasks that block their threads again and again: how late it
//! wakes.
//!
//! The blocked polls use no CPU time, so what the probe waits for beyond what a lone thread waits for is the scheduler's
//! doing. gmprt needs a thread for each poll that blocks and one for each P.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Extent;
use crate::report::{Report, Sorted, Table, progress, time};
use crate::runtimes::{Gmprt, OnBoth, Runtime, Tokio};

const PERIOD: Duration = Duration::from_millis(1);

/// Blocking tasks for each P.
const CROWDS: [usize; 3] = [1, 4, 16];

const BLOCKS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(10)];

/// How the threads' number is sampled.
const LOOK_EVERY: Duration = Duration::from_millis(3);

#[derive(Clone, Copy)]
enum How {
    Undeclared,
    Declared,
    SpawnBlocking,
}

pub(crate) fn undeclared(extent: &Extent, report: &mut Report) -> io::Result<()> {
    section(How::Undeclared, extent, report)
}

pub(crate) fn declared(extent: &Extent, report: &mut Report) -> io::Result<()> {
    section(How::Declared, extent, report)
}

pub(crate) fn spawn_blocking(extent: &Extent, report: &mut Report) -> io::Result<()> {
    section(How::SpawnBlocking, extent, report)
}

fn section(how: How, extent: &Extent, report: &mut Report) -> io::Result<()> {
    let (name, in_words, taken) = match how {
        How::Undeclared => ("undeclared", "inside their polls, undeclared", "retakes"),
        How::Declared => ("declared", "inside their polls, in block_in_place", "retakes_declared"),
        How::SpawnBlocking => ("spawn_blocking", "in spawn_blocking", "handoffs"),
    };
    let on: OnBoth<fn(How, Cell, &Extent) -> Probed> = [("gmprt", probe::<Gmprt>), ("tokio", probe::<Tokio>)];
    progress(&format!("{name}: a thread alone"));
    let floor = thread_alone(extent);
    report.samples([name, "nothing", "a thread", "late_ns"], floor.late.iter().copied())?;
    let mut rows = vec![floor.row("nothing", "a thread", 0)];
    for (at, (block, crowd)) in BLOCKS.iter().flat_map(|&b| CROWDS.map(|k| (b, k))).enumerate() {
        let cell = Cell { blockers: crowd * extent.procs, block };
        let case = format!("{} tasks x {} ms", cell.blockers, block.as_millis());
        let mut pair = [const { Vec::new() }; 2];
        for turn in 0..2 {
            let who = (at + turn) % 2;
            let (runtime, probe) = on[who];
            progress(&format!("{name}: {case} on {runtime}"));
            let probed = probe(how, cell, extent);
            report.samples([name, &case, runtime, "late_ns"], probed.late.iter().copied())?;
            report.samples([name, &case, runtime, "first_ns"], probed.first)?;
            report.samples([name, &case, runtime, "threads"], [probed.threads as f64])?;
            report.samples([name, &case, runtime, taken], probed.taken.map(|n| n as f64))?;
            pair[who] = probed.row(&case, runtime, cell.blockers + extent.procs);
        }
        rows.extend(pair);
    }
    let columns =
        vec!["beside", "runtime", "probes", "first", "p50", "p99", "5th worst", "worst", "threads", taken];
    let limit = extent.lateness.as_secs_f64();
    let notes = vec![
        "first: from the probe's spawn, after that of the tasks beside it, to its first poll".into(),
        "p50 to worst: how long after it was due each wake came, of those counted under probes".into(),
        "a thread: what the machine itself takes, for a std thread that sleeps 1 ms beside nothing".into(),
        format!(
            "a row ends after {} probes or {limit} s; tokio's timers count whole milliseconds",
            extent.probes
        ),
        "threads: the most that were seen; of gmprt / what it needs, one for each task beside and each P; Ms on".into(),
        "their way from a poll that blocked to the list of idle Ms may come on top".into(),
    ];
    let title = format!("{name}: a task that sleeps 1 ms, beside tasks that block {in_words}");
    report.print(&Table { title, columns, rows, notes })
}

#[derive(Clone, Copy)]
struct Cell {
    blockers: usize,
    block: Duration,
}

/// What a probe met with; times in nanoseconds.
struct Probed {
    /// Until the first poll.
    first: Option<f64>,
    late: Vec<f64>,
    threads: usize,
    taken: Option<u64>,
}

impl Probed {
    fn row(self, case: &str, runtime: &str, most: usize) -> Vec<String> {
        let bound = if self.taken.is_some() { format!(" / {most}") } else { String::new() };
        let (probes, threads) = (self.late.len(), self.threads);
        let late = Sorted::new(self.late);
        vec![
            case.into(),
            runtime.into(),
            probes.to_string(),
            time(self.first),
            time(late.quantile(0.5)),
            time(late.quantile(0.99)),
            time(late.worst(5)),
            time(late.worst(1)),
            format!("{threads}{bound}"),
            self.taken.map_or("-".into(), |n| n.to_string()),
        ]
    }
}

fn probe<R: Runtime>(how: How, Cell { blockers, block }: Cell, extent: &Extent) -> Probed {
    let rt = R::start(extent.procs);
    // Ordering: Relaxed; the flag carries nothing but its value.
    let on = Arc::new(AtomicBool::new(true));
    for _ in 0..blockers {
        let on = on.clone();
        rt.spawn(async move {
            while on.load(Relaxed) {
                match how {
                    How::Undeclared => thread::sleep(block),
                    How::Declared => R::block_in_place(|| thread::sleep(block)),
                    How::SpawnBlocking => R::blocking(move || thread::sleep(block)).await,
                }
                R::yield_now().await;
            }
        });
    }
    let (end, ended) = mpsc::sync_channel(1);
    let (spawned, probes, goes_on) = (Instant::now(), extent.probes, on.clone());
    rt.spawn(async move {
        let first = spawned.elapsed();
        let mut late = Vec::with_capacity(probes);
        while late.len() < probes && goes_on.load(Relaxed) {
            let due = Instant::now() + PERIOD;
            R::sleep_until(due).await;
            late.push(due.elapsed().as_nanos() as f64);
        }
        let _ = end.send((Some(first.as_nanos() as f64), late)); // room for one: does not block
    });
    let mut threads = 0;
    let (first, late) = loop {
        threads = threads.max(rt.threads());
        match ended.recv_timeout(LOOK_EVERY) {
            Ok(probed) => break probed,
            Err(RecvTimeoutError::Timeout) => {
                if spawned.elapsed() > extent.lateness {
                    on.store(false, Relaxed);
                }
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the probe ends with its result"),
        }
    };
    on.store(false, Relaxed);
    let taken = rt.counts().map(|counts| match how {
        How::Undeclared => counts.retakes,
        How::Declared => counts.retakes_declared,
        How::SpawnBlocking => counts.handoffs,
    });
    Probed { first, late, threads, taken }
}

/// The floor: a thread of its own that sleeps as the probe does, and no runtime.
fn thread_alone(extent: &Extent) -> Probed {
    let late = (0..extent.probes).map(|_| {
        let due = Instant::now() + PERIOD;
        thread::sleep(PERIOD); // never less
        due.elapsed().as_nanos() as f64
    });
    Probed { first: None, late: late.collect(), threads: 1, taken: None }
}
