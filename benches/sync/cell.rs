//! What a row of the table is, and how a workload is run: in tasks only, the one that starts the others too.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use gmprt::Runtime;
use gmprt::task::JoinHandle;

/// The columns of the table, ours first.
pub(crate) const PEERS: [&str; 3] = ["gmprt", "tokio", "async-lock"];

/// How long so many operations take.
pub(crate) type Run = fn(&Cell, &Runtime, u64) -> Duration;

/// What is measured: one row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) tasks: u64,
    pub(crate) permits: usize,
    pub(crate) yields: bool,
    /// By the order of [`PEERS`]; `None` if a peer has no such thing.
    pub(crate) runs: [Option<Run>; 3],
}

pub(crate) const fn alone(name: &'static str, runs: [Option<Run>; 3]) -> Cell {
    Cell { name, tasks: 1, permits: 1, yields: false, runs }
}

pub(crate) const fn among(name: &'static str, tasks: u64, runs: [Option<Run>; 3]) -> Cell {
    Cell { tasks, ..alone(name, runs) }
}

/// After this long a run is lost: a lock has forgotten to wake somebody.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a workload in a task, and times it. What the workload gives back is how many operations it did, which are a few
/// more than it was asked for where the shares would not be equal.
pub(crate) fn timed(
    cell: &Cell,
    rt: &Runtime,
    times: u64,
    workload: impl Future<Output = u64> + Send + 'static,
) -> Duration {
    let (over, took) = mpsc::sync_channel(1);
    drop(rt.spawn(async move {
        let begun = Instant::now();
        let done = workload.await;
        let _ = over.send(begun.elapsed().mul_f64(times as f64 / done as f64));
    }));
    // A thread waits, with a time limit of its own: a timer in the runtime would make each P read the clock.
    let took = took.recv_timeout(PATIENCE);
    took.unwrap_or_else(|e| panic!("{}: {e}; the limit is {PATIENCE:?}", cell.name))
}

/// Spawns `tasks` tasks and waits for all.
pub(crate) async fn in_tasks<F: Future<Output = ()> + Send + 'static>(
    tasks: u64,
    mut make: impl FnMut() -> F,
) {
    let handles: Vec<JoinHandle<()>> = (0..tasks).map(|_| gmprt::spawn(make())).collect();
    for handle in handles {
        handle.await.expect("no task of a workload panics");
    }
}
