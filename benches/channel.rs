//! gmprt's channels beside async-channel, flume, kanal and tokio's mpsc, all on one gmprt runtime; and beside Go's.
//!
//! ```text
//! cargo bench --bench channel -- --table                       medians and ratios, in a minute
//! cargo bench --bench channel -- --table --only 4:4 --procs 2   only cells with `4:4` in their names, on two Ps
//! cargo bench --bench channel -- --go                          beside the same programs in Go, two Ps each
//! cargo bench --bench channel                                  criterion: each cell on each channel, with intervals
//! cargo bench --bench channel -- --test                        runs everything once
//! ```
//!
//! A figure is nanoseconds for a message, a round trip, a hop, or a thousand items with all that they need: whatever
//! `channel/workloads.rs` calls an operation of the cell. A channel is left out of a cell that it cannot do: capacity 0
//! without a rendezvous, several receivers. Every round's figure goes to `target/bench/channel.csv`.
//!
//! `channel/workloads.rs` holds the programs, each written once; `channel/peers.rs` the few calls that they make;
//! `channel/compare.rs` measures in alternation; `channel/go.rs` runs the programs of `go/channel`.

#[path = "channel/compare.rs"]
mod compare;
#[path = "channel/go.rs"]
mod go;
#[path = "channel/peers.rs"]
mod peers;
#[path = "channel/workloads.rs"]
mod workloads;

use std::io::{self, Write, stderr};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, error::ErrorKind, value_parser};
use criterion::Criterion;
use gmprt::Runtime;

use compare::{Column, Row, Run, Table};
use go::Go;
use workloads::{ALL, Cell, PEERS};

/// Prints the table of ratios, gmprt's channels beside others.
#[derive(Parser)]
#[command(name = "channel", bin_name = "cargo bench --bench channel --")]
struct Args {
    /// Measure and print the table; without it, or --go, criterion runs
    #[arg(long, required_unless_present = "go")]
    table: bool,
    /// Beside Go instead of other channels
    #[arg(long)]
    go: bool,
    /// Rounds of each cell on each channel
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Only cells that have this in their names
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Ps of the runtime; 4, and 2 beside Go
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=256))]
    procs: Option<u32>,
    /// `cargo bench` adds this
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    if !std::env::args().any(|arg| arg == "--table" || arg == "--go") {
        criterion();
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    let named =
        |cell: &&'static Cell| args.only.is_empty() || args.only.iter().any(|part| cell.name.contains(part));
    let cells: Vec<&'static Cell> = ALL.iter().filter(named).collect();
    if cells.is_empty() {
        let names: Vec<&str> = ALL.iter().map(|cell| cell.name).collect();
        let text = format!("no cell is named so; there are: {}", names.join(", "));
        Args::command().error(ErrorKind::InvalidValue, text).exit();
    }
    match if args.go { beside_go(&args, &cells) } else { beside_others(&args, &cells) } {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(stderr(), "channel: {e}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS, // a reader who has gone away (`| head`) is no failure
    }
}

fn start(procs: u32) -> Runtime {
    Runtime::builder().procs(procs as usize).build().expect("gmprt starts")
}

fn beside_others(args: &Args, cells: &[&'static Cell]) -> io::Result<()> {
    let procs = args.procs.unwrap_or(4);
    let rt = start(procs);
    let columns: Vec<Column> =
        PEERS.iter().map(|peer| Column { name: peer.name, competes: peer.mpmc }).collect();
    let row = |cell: &&'static Cell| {
        let cell = *cell;
        let run = |peer: &'static workloads::Peer| -> Option<Run<'_>> {
            let rt = &rt;
            (peer.can)(cell).then(|| Box::new(move |times| Ok((peer.run)(cell, rt, times))) as Run)
        };
        Row { name: cell.name, runs: PEERS.iter().map(run).collect() }
    };
    let title = format!("channels on gmprt with {procs} Ps, median of {} rounds", args.rounds);
    let rows = cells.iter().map(row).collect();
    Table { title, columns: &columns, rounds: args.rounds, raw: "channel.csv" }.print(rows)
}

fn beside_go(args: &Args, cells: &[&'static Cell]) -> io::Result<()> {
    let Some(go) = Go::build()? else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no `go` on the PATH"));
    };
    let procs = args.procs.unwrap_or(2);
    let rt = start(procs);
    let theirs = go.cells()?;
    let row = |cell: &&'static Cell| {
        let (cell, rt, ours) = (*cell, &rt, &PEERS[0]);
        let run: Run = Box::new(move |times| Ok((ours.run)(cell, rt, times)));
        Row { name: cell.name, runs: vec![Some(run), Some(go.run(cell.name, procs))] }
    };
    let rows = cells.iter().filter(|cell| theirs.iter().any(|name| name == cell.name)).map(row).collect();
    let columns = [("gmprt", true), ("go", true)].map(|(name, competes)| Column { name, competes });
    let title = format!("gmprt and Go with {procs} Ps each, median of {} rounds", args.rounds);
    Table { title, columns: &columns, rounds: args.rounds, raw: "channel-go.csv" }.print(rows)
}

fn criterion() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let rt = start(4);
    for cell in ALL {
        let mut group = criterion.benchmark_group(cell.name);
        for peer in PEERS.iter().filter(|peer| (peer.can)(cell)) {
            group.bench_function(peer.name, |b| b.iter_custom(|times| (peer.run)(cell, &rt, times)));
        }
        group.finish();
    }
    criterion.final_summary();
}
