//! gmprt's locks and `select!` beside tokio's and async-lock's, all on one gmprt runtime.
//!
//! ```text
//! cargo bench --bench sync -- --table                         medians and ratios, in half a minute
//! cargo bench --bench sync -- --table --only mutex --procs 2   only cells with `mutex` in their names, on two Ps
//! cargo bench --bench sync                                    criterion: each cell of each crate, with intervals
//! cargo bench --bench sync -- --test                          runs everything once
//! ```
//!
//! A figure is nanoseconds for an operation of the cell: a lock taken and given back, or a round trip. Tokio's
//! primitives never make a task yield here, outside of tokio's own runtime. Every round's figure goes to
//! `target/bench/sync.csv`.
//!
//! Each file of `sync/` but `cell.rs` and `passes.rs`, which they share, is a kind of primitive: its programs, each written
//! once, and the few calls that they make. `channel/compare.rs` measures in alternation.

#[path = "sync/cell.rs"]
mod cell;
#[path = "channel/compare.rs"]
mod compare;
#[path = "sync/mutexes.rs"]
mod mutexes;
#[path = "sync/notifies.rs"]
mod notifies;
#[path = "sync/passes.rs"]
mod passes;
#[path = "sync/rwlocks.rs"]
mod rwlocks;
#[path = "sync/selects.rs"]
mod selects;
#[path = "sync/semaphores.rs"]
mod semaphores;

use std::io::{self, Write, stderr};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, error::ErrorKind, value_parser};
use criterion::Criterion;
use gmprt::Runtime;

use cell::{Cell, PEERS};
use compare::{Column, Row, Table};

/// All rows of the table.
const ALL: &[&[Cell]] = &[mutexes::CELLS, rwlocks::CELLS, semaphores::CELLS, notifies::CELLS, selects::CELLS];

/// Prints the table of ratios, gmprt's locks beside others.
#[derive(Parser)]
#[command(name = "sync", bin_name = "cargo bench --bench sync --")]
struct Args {
    /// Measure and print the table; without it, criterion runs
    #[arg(long, required = true)]
    table: bool,
    /// Rounds of each cell of each crate
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Only cells that have this in their names
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Ps of the runtime
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=256))]
    procs: u32,
    /// `cargo bench` adds this
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    if !std::env::args().any(|arg| arg == "--table") {
        criterion();
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    let named = |cell: &&'static Cell| {
        args.only.is_empty() || args.only.iter().any(|part| cell.name.contains(part.as_str()))
    };
    let cells: Vec<&'static Cell> = ALL.iter().copied().flatten().filter(named).collect();
    if cells.is_empty() {
        let names: Vec<&str> = ALL.iter().copied().flatten().map(|cell| cell.name).collect();
        let text = format!("no cell is named so; there are: {}", names.join(", "));
        Args::command().error(ErrorKind::InvalidValue, text).exit();
    }
    match table(&args, &cells) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(stderr(), "sync: {e}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS, // a reader who has gone away (`| head`) is no failure
    }
}

fn start(procs: u32) -> Runtime {
    Runtime::builder().procs(procs as usize).build().expect("gmprt starts")
}

fn table(args: &Args, cells: &[&'static Cell]) -> io::Result<()> {
    let rt = start(args.procs);
    let columns = PEERS.map(|name| Column { name, competes: true });
    let row = |cell: &&'static Cell| {
        let (cell, rt) = (*cell, &rt);
        let runs = cell.runs.map(|run| {
            let run = run?;
            Some(Box::new(move |times| Ok(run(cell, rt, times))) as compare::Run)
        });
        Row { name: cell.name, runs: Vec::from(runs) }
    };
    let title = format!("locks on gmprt with {} Ps, median of {} rounds", args.procs, args.rounds);
    let rows = cells.iter().map(row).collect();
    Table { title, columns: &columns, rounds: args.rounds, raw: "sync.csv" }.print(rows)
}

fn criterion() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let rt = start(4);
    for cell in ALL.iter().copied().flatten() {
        let mut group = criterion.benchmark_group(cell.name);
        for (name, run) in PEERS.iter().zip(cell.runs) {
            let Some(run) = run else { continue };
            group.bench_function(*name, |b| b.iter_custom(|times| run(cell, &rt, times)));
        }
        group.finish();
    }
    criterion.final_summary();
}
