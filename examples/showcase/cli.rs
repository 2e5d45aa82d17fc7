//! The command line. A bad flag or value ends in clap's usage error: stderr, exit code 2.

use std::path::PathBuf;

use clap::{Parser, ValueEnum, value_parser};

use crate::spec::Runtime;

/// Three programs on gmprt, on tokio, and on Go where `go` is on the PATH, in turn: a token bucket, fan-out/fan-in, a
/// batched log. Prints a table for each and writes target/showcase/report.html.
#[derive(Parser)]
#[command(
    name = "showcase",
    after_help = "Exit code: 0 each run's figures add up, 1 something was lost or a runtime could not start, \
                  2 bad flag or value."
)]
pub(crate) struct Cli {
    /// What to run, comma separated [default: all three]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    scenario: Vec<Scenario>,

    /// Which runtimes to run, comma separated [default: all three; Go if it is there]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    runtime: Vec<Runtime>,

    /// Seconds for each scenario and runtime
    #[arg(long, value_name = "N", default_value_t = 4.0, value_parser = seconds)]
    pub(crate) seconds: f64,

    /// Parts that these seconds are cut into; the runtimes take turns, and medians are shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,

    /// Threads that run tasks, the same for all [default: the cores that this process may use]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_024))]
    procs: Option<u32>,

    /// fan: worker counts to try, comma separated
    #[arg(long, value_name = "LIST", default_value = "1,2,4,8,16", value_delimiter = ',',
          value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) workers: Vec<u32>,

    /// fan: producer counts to try, comma separated
    #[arg(long, value_name = "LIST", default_value = "1,1000", value_delimiter = ',',
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) producers: Vec<u32>,

    // Above 10^9 a run takes many minutes and shows nothing new.
    /// fan: so many items in each run, however long it takes
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) items: Option<u64>,

    /// log: where to write; it is emptied first, and kept [default: a file that is removed once checked]
    #[arg(long, value_name = "PATH")]
    pub(crate) log_file: Option<PathBuf>,

    /// log: after each flush wait until the disk has it
    #[arg(long)]
    pub(crate) fsync: bool,

    /// Prints all figures as one JSON document instead of the tables
    #[arg(long)]
    pub(crate) json: bool,

    /// Does one run, described in JSON: so the showcase starts itself
    #[arg(long, hide = true, value_name = "SPEC")]
    pub(crate) child: Option<String>,
}

/// The values of `--scenario`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// A token bucket: open loop and closed loop
    Token,
    /// Fan-out and fan-in
    Fan,
    /// A log written in batches
    Log,
}

impl Cli {
    /// What to run, in the order of the tables.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        in_order(&self.scenario, &[Scenario::Token, Scenario::Fan, Scenario::Log])
    }

    /// The runtimes to run, in the order of their rows.
    pub(crate) fn runtimes(&self) -> Vec<Runtime> {
        in_order(&self.runtime, &[Runtime::Gmprt, Runtime::Tokio, Runtime::Go])
    }

    /// Whether Go was asked for by name, so that its absence is an error.
    pub(crate) fn insists_on_go(&self) -> bool {
        self.runtime.contains(&Runtime::Go)
    }

    /// Threads that run tasks: as asked, or one for each core this process may use.
    pub(crate) fn procs(&self) -> usize {
        self.procs.map_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()), |n| n as usize)
    }
}

/// Those of `all` that were asked for; all if none was.
fn in_order<T: Copy + PartialEq>(asked: &[T], all: &[T]) -> Vec<T> {
    all.iter().copied().filter(|one| asked.is_empty() || asked.contains(one)).collect()
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(n) if (0.1..=3600.0).contains(&n) => Ok(n),
        Ok(n) => Err(format!("{n} is not in 0.1..=3600")),
        Err(e) => Err(e.to_string()),
    }
}
