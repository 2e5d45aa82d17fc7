//! What all runs together gave: the document that `--json` prints, and what the tables and the report are made of.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::spec::{Job, Runtime};

/// Everything.
#[derive(Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// Seconds that each scenario took on each runtime.
    pub(crate) seconds: f64,
    /// Runs of each cell on each runtime; figures are medians over them.
    pub(crate) rounds: u32,
    /// Threads that ran tasks, the same for all.
    pub(crate) procs: usize,
    pub(crate) cells: Vec<Cell>,
    /// What was to be reached, and whether it was.
    pub(crate) goals: Vec<Goal>,
    /// What could not be run, and why.
    pub(crate) left_out: Vec<String>,
    /// What went wrong; none in a good run.
    pub(crate) failures: Vec<String>,
}

/// Where it was measured.
#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// Name and version of what ran: gmprt, tokio, async-channel, rustc, Go.
    pub(crate) versions: Vec<(String, String)>,
    /// UTC, RFC 3339.
    pub(crate) when: String,
}

/// One job, on each runtime that could run it.
#[derive(Serialize)]
pub(crate) struct Cell {
    #[serde(flatten)]
    pub(crate) job: Job,
    /// In the order gmprt, tokio, Go; those not asked for are missing.
    pub(crate) rows: Vec<Row>,
}

impl Cell {
    /// The row of a runtime, if that ran.
    pub(crate) fn row(&self, of: Runtime) -> Option<&Row> {
        self.rows.iter().find(|row| row.runtime == of)
    }
}

/// One job on one runtime: medians over the rounds, unless said otherwise.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) runtime: Runtime,
    /// Operations a second.
    pub(crate) throughput: f64,
    /// The same, round by round.
    pub(crate) throughput_by_round: Vec<f64>,
    pub(crate) p50_ns: f64,
    pub(crate) p99_ns: f64,
    /// How much private memory grew from before the runtime's start to its highest, in bytes.
    pub(crate) growth_bytes: f64,
    /// All rounds together: nanoseconds and how many took so long, ascending.
    pub(crate) latencies: Vec<(u64, u64)>,
    /// One round's growth over time: seconds since its start, bytes.
    pub(crate) memory: Vec<(f64, u64)>,
    /// All rounds together.
    pub(crate) counts: BTreeMap<String, u64>,
    /// gmprt's throughput over this one's; none for gmprt itself, or where gmprt did not run.
    pub(crate) throughput_ratio: Option<f64>,
    /// This one's p99 over gmprt's: above 1, gmprt is better, as above.
    pub(crate) p99_ratio: Option<f64>,
}

impl Row {
    /// How often something was counted, in all rounds together; NaN if it was not.
    pub(crate) fn count(&self, name: &str) -> f64 {
        self.counts.get(name).map_or(f64::NAN, |&n| n as f64)
    }

    /// A latency, if there was one; else NaN.
    pub(crate) fn timed(&self, ns: f64) -> f64 {
        if self.latencies.is_empty() { f64::NAN } else { ns }
    }

    /// Requests refused, as a share of all.
    pub(crate) fn refused(&self) -> f64 {
        let refused = self.count("refused");
        refused / (refused + self.count("accepted"))
    }

    /// Requests accepted, a second. Counts are of all rounds, so the throughput must be: rounds last equally long, and so
    /// it is their mean.
    pub(crate) fn accepted(&self) -> f64 {
        let mean = self.throughput_by_round.iter().sum::<f64>() / self.throughput_by_round.len() as f64;
        mean * (1.0 - self.refused())
    }
}

/// Where more workers no longer help: the first that is within 5 % of the highest; none if that is the last, so that
/// throughput may still grow.
pub(crate) fn saturation(by_workers: impl Iterator<Item = f64>) -> Option<usize> {
    let throughput: Vec<f64> = by_workers.collect();
    let highest = throughput.iter().copied().filter(|t| *t > 0.0).reduce(f64::max)?;
    let first = throughput.iter().position(|t| *t >= 0.95 * highest)?;
    (first + 1 < throughput.len()).then_some(first)
}

/// Something to be reached.
#[derive(Serialize)]
pub(crate) struct Goal {
    /// "fan-out/fan-in: at least 1.5 times tokio at each W"
    pub(crate) what: String,
    /// In how many cells it was.
    pub(crate) reached: usize,
    pub(crate) of: usize,
    /// The worst cell, in words: "0.93 at W = 4, 1 producer".
    pub(crate) worst: String,
}
