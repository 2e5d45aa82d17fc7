//! The command line. A bad flag or value ends in clap's usage error: stderr, exit code 2.

use clap::{Parser, ValueEnum, value_parser};

use crate::runtimes::Runtime;

/// Fan-out/fan-in on gmprt and on tokio in turn: a feeder, W workers that square, a collector that adds up.
#[derive(Parser)]
#[command(
    name = "showcase",
    after_help = "Exit code: 0 all sums right, 1 a sum was wrong or a runtime could not start, 2 bad flag or value."
)]
pub(crate) struct Cli {
    // Above 10^9 a run takes many minutes and shows nothing new; squares stay far inside u64.
    /// Items in each run
    #[arg(long, value_name = "N", default_value_t = 500_000,
          value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) items: u64,

    /// Worker counts to try, comma separated
    #[arg(long, value_name = "LIST", default_value = "1,2,4,8,16", value_delimiter = ',',
          value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) workers: Vec<u32>,

    /// Which runtime to run
    #[arg(long, value_name = "WHICH", default_value = "both")]
    pub(crate) runtime: Which,

    /// Runs of each runtime for each worker count, of which medians are shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,

    /// Threads that run tasks, the same for both runtimes [default: the cores this process may use]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_024))]
    pub(crate) procs: Option<u32>,
}

/// The values of `--runtime`.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Which {
    Gmprt,
    Tokio,
    Both,
}

impl Cli {
    /// The runtimes to run, in the order of their rows.
    pub(crate) fn runtimes(&self) -> &'static [Runtime] {
        match self.runtime {
            Which::Gmprt => &[Runtime::Gmprt],
            Which::Tokio => &[Runtime::Tokio],
            Which::Both => &[Runtime::Gmprt, Runtime::Tokio],
        }
    }

    /// Threads that run tasks: as asked, or one for each core this process may use.
    pub(crate) fn procs(&self) -> usize {
        self.procs.map_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()), |n| n as usize)
    }
}
