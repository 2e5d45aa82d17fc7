//! Every P has a task that computes and never yields: how long a newcomer from outside waits for its first poll.
//!
//! tokio's newcomer would wait for as long as the hogs compute, so its hogs end after [`LIMIT`], and its row says that.

use std::hint::spin_loop;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::Extent;
use crate::report::{Report, Sorted, Table, progress, time};
use crate::runtimes::{Gmprt, OnBoth, Runtime, Tokio};

/// After this long the hogs give up: nobody has come to end them.
const LIMIT: Duration = Duration::from_secs(1);

/// Rounds at most: a round on tokio takes [`LIMIT`].
const ROUNDS: usize = 9;

pub(crate) fn measure(extent: &Extent, report: &mut Report) -> io::Result<()> {
    let on: OnBoth<fn(usize) -> Duration> = [("gmprt", round::<Gmprt>), ("tokio", round::<Tokio>)];
    let mut found = [const { Vec::new() }; 2];
    let rounds = extent.rounds.min(ROUNDS);
    for at in 0..rounds {
        progress(&format!("hogs: round {} of {rounds}", at + 1));
        for turn in 0..2 {
            let who = (at + turn) % 2;
            found[who].push(on[who].1(extent.procs).as_nanos() as f64);
        }
    }
    let mut rows = Vec::new();
    for ((runtime, _), waits) in on.into_iter().zip(found) {
        report.samples(["hogs", "newcomer", runtime, "wait_ns"], waits.iter().copied())?;
        let waits = Sorted::new(waits);
        rows.push(vec![runtime.into(), rounds.to_string(), time(waits.median()), time(waits.worst(1))]);
    }
    let columns = vec!["runtime", "rounds", "median", "worst"];
    let notes = vec![format!("the hogs compute until the newcomer has begun, or for {LIMIT:?}")];
    let title = "hogs: a task from outside, while a task on each P computes without end".into();
    report.print(&Table { title, columns, rows, notes })
}

/// How long the newcomer waited.
fn round<R: Runtime>(procs: usize) -> Duration {
    let rt = R::start(procs);
    let (over, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..procs {
        let (over, begun) = (over.clone(), begun.clone());
        rt.spawn(async move {
            begun.fetch_add(1, SeqCst);
            let limit = Instant::now() + LIMIT;
            while !over.load(SeqCst) && Instant::now() < limit {
                spin_loop();
            }
        });
    }
    while begun.load(SeqCst) < procs {
        thread::yield_now();
    }
    let (come, came) = mpsc::channel();
    let spawned = Instant::now();
    rt.spawn(async move {
        let _ = come.send(spawned.elapsed());
    });
    let waited = came.recv().expect("the newcomer comes in the end");
    over.store(true, SeqCst);
    waited
}
