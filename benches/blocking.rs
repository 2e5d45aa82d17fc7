//! What polls that block cost the tasks beside them, and what it costs to find out: gmprt beside tokio, each with as many
//! workers as the other.
//!
//! ```text
//! cargo bench --bench blocking                               every section, in some two minutes
//! cargo bench --bench blocking -- undeclared empty           only the sections whose names begin so
//! cargo bench --bench blocking -- --raw samples.csv          every sample as CSV
//! cargo bench --bench blocking -- --help                     Ps, probes, rounds
//! cargo bench --bench blocking -- --test                     everything once, quickly, unmeasured
//! ```
//!
//! | section | what is measured |
//! |---|---|
//! | `undeclared` | how late a timer wakes a task while k × P other tasks block their threads and do not say so |
//! | `declared` | the same, each block in a `block_in_place` |
//! | `spawn_blocking` | the same, each block in a `spawn_blocking` |
//! | `empty` | what a `block_in_place` costs that is over at once; beside it Go's empty system call |
//! | `sysmon` | how much of a core the watching thread uses |
//! | `hogs` | how long a newcomer waits while a task on each P computes without end |
//! | `runnext` | how long a task waits behind the poll that spawned it and goes on, while other Ps are idle |
//!
//! The runtimes take turns and swap who goes first, and each measurement has a runtime of its own, so that nothing of the
//! one exists while the other is measured. `blocking/runtimes.rs` holds the calls that both have; each other file of
//! `blocking/` is a section, or what the sections share.

#[path = "blocking/empty.rs"]
mod empty;
#[path = "blocking/hogs.rs"]
mod hogs;
#[path = "blocking/lateness.rs"]
mod lateness;
#[path = "blocking/proc.rs"]
mod proc;
#[path = "blocking/report.rs"]
mod report;
#[path = "blocking/runnext.rs"]
mod runnext;
#[path = "blocking/runtimes.rs"]
mod runtimes;
#[path = "blocking/sysmon.rs"]
mod sysmon;

use std::io::{self, Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, error::ErrorKind, value_parser};

use crate::report::Report;

/// Measures what blocked polls cost, on gmprt and on tokio.
#[derive(Parser)]
#[command(name = "blocking", bin_name = "cargo bench --bench blocking --")]
struct Args {
    /// Ps of gmprt, and workers of tokio
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=256))]
    procs: u32,
    /// Wakes of the probe in each row about lateness
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    probes: u32,
    /// Rounds of `empty` and of `runnext`
    #[arg(long, value_name = "N", default_value_t = 31, value_parser = value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Write every sample to FILE as CSV
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    /// Run each thing once, quickly
    #[arg(long)]
    test: bool,
    /// Only sections whose names begin so
    #[arg(value_name = "SECTION")]
    only: Vec<String>,
    /// `cargo bench` adds this, `cargo test` does not
    #[arg(long, hide = true)]
    bench: bool,
}

/// How much to measure.
#[derive(Clone, Copy)]
struct Extent {
    procs: usize,
    probes: usize,
    rounds: usize,
    /// How long a row about lateness, and one about sysmon, may take.
    lateness: Duration,
    sysmon: Duration,
}

impl Extent {
    fn of(args: &Args) -> Extent {
        let procs = args.procs as usize;
        if args.test || !args.bench {
            let (lateness, sysmon) = (Duration::from_millis(30), Duration::from_millis(30));
            return Extent { procs, probes: 5, rounds: 1, lateness, sysmon };
        }
        let (probes, rounds) = (args.probes as usize, args.rounds as usize);
        // tokio's workers all sleep: it would need a block's time for each probe. A row ends after thrice the time that
        // its probes would take without a delay, and says how many there were.
        let lateness = Duration::from_millis(3 * u64::from(args.probes)).max(Duration::from_secs(1));
        Extent { procs, probes, rounds, lateness, sysmon: Duration::from_secs(2) }
    }
}

/// A part of the benchmark.
type Section = (&'static str, fn(&Extent, &mut Report) -> io::Result<()>);

const SECTIONS: &[Section] = &[
    ("undeclared", lateness::undeclared),
    ("declared", lateness::declared),
    ("spawn_blocking", lateness::spawn_blocking),
    ("empty", empty::measure),
    ("sysmon", sysmon::measure),
    ("runnext", runnext::measure),
    ("hogs", hogs::measure),
];

fn main() -> ExitCode {
    let args = Args::parse();
    let chosen: Vec<&Section> = SECTIONS
        .iter()
        .filter(|(name, _)| {
            args.only.is_empty() || args.only.iter().any(|start| name.starts_with(start.as_str()))
        })
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        let text = format!("no section's name begins so; there are: {}", names.join(", "));
        Args::command().error(ErrorKind::InvalidValue, text).exit();
    }
    match run(&args, &chosen) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(stderr(), "blocking: {e}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS, // a reader who has gone away (`| head`) is no failure
    }
}

fn run(args: &Args, chosen: &[&Section]) -> io::Result<()> {
    // Opened first: a path that cannot be written shows before the work, not after it.
    let mut report = Report::open(args.raw.as_deref())?;
    let extent = Extent::of(args);
    for (_, measure) in chosen {
        report.head(extent.procs)?;
        measure(&extent, &mut report)?;
    }
    report.close()
}
