//! What one run is told, and what it tells: the words between the showcase and the processes that do the work.
//!
//! Each run is a process of its own, for Go's cannot be otherwise, and so that no run inherits the memory of another.
//! This program started anew runs gmprt and tokio, the programs under `examples/go/` run Go; all speak alike:
//!
//! ```text
//!   showcase                                     process of the run
//!   ── argument: Spec as JSON ─────────────────▶
//!                              ◀── "ready\n" ──   all that the measurement needs is allocated, no runtime started
//!      reads its memory
//!   ── "go\n" ─────────────────────────────────▶  starts the runtime, runs
//!      reads its memory, now and then
//!                               ◀── "done\n" ──   the run is over
//!                        ◀── Outcome as JSON ──   the runtime still stands
//!   ── end of input ───────────────────────────▶  ends
//! ```
//!
//! A process whose input ends early ends as well: nothing is left running when the showcase is stopped.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::figures::{counted, grouped};

/// Who runs the tasks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Runtime {
    Gmprt,
    Tokio,
    Go,
}

impl Runtime {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::Gmprt => "gmprt",
            Runtime::Tokio => "tokio",
            Runtime::Go => "Go",
        }
    }
}

/// What is run. Go has one program for each, named as the tag.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "scenario", rename_all = "lowercase")]
pub(crate) enum Job {
    Token {
        clients: u32,
        /// Requests a second that all clients offer together, on a schedule; 0: each asks again once it is answered.
        rate: u32,
    },
    Fan {
        workers: u32,
        producers: u32,
        /// Items in all; 0: as many as the time allows.
        items: u64,
    },
    Log {
        producers: u32,
        file: PathBuf,
        fsync: bool,
    },
}

impl Job {
    /// The scenario, as in JSON.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Job::Token { .. } => "token",
            Job::Fan { .. } => "fan",
            Job::Log { .. } => "log",
        }
    }

    /// What sets it apart from the others of its scenario.
    pub(crate) fn case(&self) -> String {
        match self {
            Job::Token { rate: 0, .. } => "closed loop".into(),
            Job::Token { rate, .. } => format!("open loop, {} requests/s", grouped(*rate)),
            Job::Fan { workers, producers, .. } => {
                format!("W = {workers}, {}", counted(*producers, "producer"))
            }
            Job::Log { fsync: true, .. } => "flush each 100 ms or 256 KiB, fsync".into(),
            Job::Log { .. } => "flush each 100 ms or 256 KiB".into(),
        }
    }

    /// Scenario and parameters in few letters, for the name of a file.
    pub(crate) fn slug(&self) -> String {
        match self {
            Job::Token { clients, rate: 0 } => format!("token-c{clients}-closed"),
            Job::Token { clients, rate } => format!("token-c{clients}-r{rate}"),
            Job::Fan { workers, producers, .. } => format!("fan-w{workers}-p{producers}"),
            Job::Log { producers, fsync: true, .. } => format!("log-p{producers}-fsync"),
            Job::Log { producers, .. } => format!("log-p{producers}"),
        }
    }

    /// How many tasks ask, make or log at once.
    pub(crate) fn concurrency(&self) -> u32 {
        match self {
            Job::Token { clients, .. } => *clients,
            Job::Fan { producers, .. } | Job::Log { producers, .. } => *producers,
        }
    }
}

/// One run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) runtime: Runtime,
    /// Threads that run tasks.
    pub(crate) procs: usize,
    /// How long requests, items or lines are made.
    pub(crate) seconds: f64,
    #[serde(flatten)]
    pub(crate) job: Job,
}

/// How a run went.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// From the start of the main task to its end; runtime's start and end not included.
    pub(crate) seconds: f64,
    /// Decisions made, items collected, lines taken by the writer.
    pub(crate) operations: u64,
    /// How long each took that was timed: nanoseconds and how many took so long, ascending. Which stretch is timed, the
    /// scenario says.
    pub(crate) latencies: Vec<(u64, u64)>,
    /// What else the scenario counts, by name.
    #[serde(default)]
    pub(crate) counts: BTreeMap<String, u64>,
    /// What went wrong, in one sentence.
    pub(crate) failure: Option<String>,
}
