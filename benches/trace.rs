//! What a trace costs: an event that is recorded, the showcases' workloads while they are recorded, the export.
//!
//! ```text
//! cargo bench --bench trace                          every section, in some two minutes
//! cargo bench --bench trace -- event export          only the sections whose names begin so
//! cargo bench --bench trace -- --procs 2 --rounds 31
//! cargo bench --bench trace -- --test                everything once, quickly, unmeasured
//! ```
//!
//! | section | what is measured |
//! |---|---|
//! | `event` | ns an event, on one P: what a loop takes while it is recorded, less what it takes while not, by the events that it made; and one time stamp alone |
//! | `showcase` | items of the three showcases: how many events each makes, and their cost beside the measured slow-down |
//! | `go` | channel ping-pong, yields, tasks of 10 µs: without and with a trace, here and by `runtime/trace` in Go |
//! | `export` | a million events to Chrome JSON in memory, and the report over it |
//!
//! A figure is the median of the rounds. In a round each workload is run without a trace, and then with one of each sort;
//! differences are taken within a round, so that a slow phase of the machine meets both.
//!
//! What the hooks cost while nothing is recorded cannot be measured in one binary. Build two commits apart, and let
//! their scheduler benchmarks take turns; where the machine is not quiet, count instructions:
//!
//! ```text
//! CARGO_TARGET_DIR=/tmp/before cargo bench --bench scheduler --no-run        in the one checkout, and in the other likewise
//! for i in 1 2 3 4 5; do for at in before after; do /tmp/$at/release/deps/scheduler-* --table --rounds 11; done; done
//! valgrind --tool=callgrind PROGRAM 100000; valgrind --tool=callgrind PROGRAM 200000        one that yields so often, one P
//! ```
//!
//! `trace/workloads.rs` holds the programs; each other file of `trace/` is a section, or what the sections share. Go's
//! side is `go/trace`.

#[path = "trace/event.rs"]
mod event;
#[path = "trace/export.rs"]
mod export;
#[path = "trace/go.rs"]
mod go;
#[path = "trace/rounds.rs"]
mod rounds;
#[path = "trace/showcase.rs"]
mod showcase;
#[path = "trace/table.rs"]
mod table;
#[path = "trace/workloads.rs"]
mod workloads;

use std::io::{self, Write, stderr};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, error::ErrorKind, value_parser};

/// Measures what a trace costs.
#[derive(Parser)]
#[command(name = "trace", bin_name = "cargo bench --bench trace --")]
struct Args {
    /// Ps of the runtime, where it has not one
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=256))]
    procs: u32,
    /// Rounds of each workload
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = value_parser!(u32).range(1..=10_000))]
    rounds: u32,
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
    rounds: usize,
    /// Everything once, with few operations.
    quick: bool,
}

/// A part of the benchmark.
type Section = (&'static str, fn(&Extent) -> io::Result<()>);

const SECTIONS: &[Section] = &[
    ("event", event::measure),
    ("showcase", showcase::measure),
    ("go", go::measure),
    ("export", export::measure),
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
            let _ = writeln!(stderr(), "trace: {e}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS, // a reader who has gone away (`| head`) is no failure
    }
}

fn run(args: &Args, chosen: &[&Section]) -> io::Result<()> {
    let quick = args.test || !args.bench;
    let extent =
        Extent { procs: args.procs as usize, rounds: if quick { 1 } else { args.rounds as usize }, quick };
    table::head()?;
    chosen.iter().try_for_each(|(_, measure)| measure(&extent))
}
