//! `--table`: measures each workload on the two runtimes in alternation, and prints medians and their ratios.
//!
//! A round is a fresh runtime, some iterations to warm it up, then a fixed batch under the clock; its figure is the
//! mean of the batch. The runtimes take turns and swap who goes first, so that a slow phase of the machine meets both, and
//! nothing of the one (no busy task, no thread) exists while the other is measured.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, Parser, error::ErrorKind, value_parser};

use crate::runtimes::WORKERS;
use crate::workloads::{ALL, Running, Workload};

/// Prints the table of ratios, gmprt beside tokio.
#[derive(Parser)]
#[command(name = "scheduler", bin_name = "cargo bench --bench scheduler --")]
struct Args {
    /// Measure and print the table; without it, criterion runs
    #[arg(long, required = true)]
    table: bool,
    /// Rounds of each workload on each runtime
    #[arg(long, value_name = "N", default_value_t = 31, value_parser = value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Write every round's figure to FILE as CSV
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
    /// Only workloads that have one of these in their names
    #[arg(value_name = "WORKLOAD")]
    only: Vec<String>,
    /// `cargo bench` adds this
    #[arg(long, hide = true)]
    bench: bool,
}

pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    let named = |w: &&Workload| args.only.iter().any(|part| w.name.contains(part));
    let chosen: Vec<&Workload> = match args.only[..] {
        [] => ALL.iter().collect(),
        _ => ALL.iter().filter(named).collect(),
    };
    if chosen.is_empty() {
        let names: Vec<&str> = ALL.iter().map(|w| w.name).collect();
        let text = format!("no workload is named so; there are: {}", names.join(", "));
        let mut command = Args::command();
        command.error(ErrorKind::InvalidValue, text).exit();
    }
    match run(&args, &chosen) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(stderr(), "scheduler: {e}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS, // a reader who has gone away (`| head`) is no failure
    }
}

/// Nanoseconds an iteration, one figure for each round, on gmprt and on tokio.
type Samples = [Vec<f64>; 2];

type Measured<'a> = (&'a Workload, Samples);

fn run(args: &Args, chosen: &[&Workload]) -> io::Result<()> {
    // Opened first: a path that cannot be written shows before the work, not after it.
    let mut raw = match &args.raw {
        Some(path) => Some(create(path)?),
        None => None,
    };
    let mut results = Vec::new();
    for workload in chosen {
        results.push((*workload, measure(workload, args.rounds)));
    }
    clear_progress();
    if let Some(raw) = &mut raw {
        write_raw(raw, &results)?;
    }
    write_table(&mut io::stdout().lock(), args.rounds, &results)
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    File::create(path).map(BufWriter::new).map_err(named)
}

fn measure(workload: &Workload, rounds: u32) -> Samples {
    let mut samples = [Vec::new(), Vec::new()];
    for round in 0..rounds as usize {
        progress(workload.name, round, rounds);
        for turn in 0..2 {
            let who = (round + turn) % 2;
            let (_, start) = workload.on[who];
            samples[who].push(one_round(start, workload.batch));
        }
    }
    samples
}

fn one_round(start: fn() -> Running, batch: u32) -> f64 {
    let mut iteration = start();
    for _ in 0..batch.div_ceil(4) {
        iteration();
    }
    let begin = Instant::now();
    for _ in 0..batch {
        iteration();
    }
    begin.elapsed().as_nanos() as f64 / f64::from(batch)
}

fn write_table(out: &mut impl Write, rounds: u32, results: &[Measured]) -> io::Result<()> {
    let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
    write!(out, "µs an iteration, {WORKERS} workers on {cores} cores: ")?;
    writeln!(out, "median (min..max), rounds: {rounds}\n")?;
    let [name, gmprt, tokio, ratio] = ["workload", "gmprt", "tokio", "ratio"];
    writeln!(out, "{name:23} {gmprt:>9} {tokio:>29} {ratio:>27}")?;
    let mut ratios = Vec::new();
    for (workload, samples) in results {
        let [gmprt, tokio] = samples.each_ref().map(|of| Spread::of(of));
        let ratio = tokio.median / gmprt.median;
        ratios.push((ratio, workload.name));
        writeln!(out, "{:23} {gmprt} {tokio} {ratio:>6.2}x", workload.name)?;
    }
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (worst, name) = ratios[0];
    let logs: f64 = ratios.iter().map(|(ratio, _)| ratio.ln()).sum();
    let mean = (logs / ratios.len() as f64).exp();
    writeln!(out, "\nratio: tokio's time over gmprt's; above 1, gmprt is faster")?;
    writeln!(out, "geometric mean {mean:.2}x, worst {worst:.2}x ({name})")?;
    out.flush()
}

/// Where the rounds of a workload on one runtime lie, in nanoseconds.
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    /// At least one sample is there: `--rounds` starts at 1.
    fn of(samples: &[f64]) -> Spread {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len() - 1;
        let median = f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)]);
        Spread { min: sorted[0], median, max: sorted[last] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, median, max] = [self.min, self.median, self.max].map(|ns| ns / 1e3);
        write!(f, "{median:>9.1} {:>19}", format!("({min:.1}..{max:.1})"))
    }
}

fn write_raw(out: &mut impl Write, results: &[Measured]) -> io::Result<()> {
    writeln!(out, "workload,runtime,round,iterations,ns_per_iteration")?;
    for (workload, samples) in results {
        let Workload { name, batch, .. } = workload;
        for (of, (runtime, _)) in samples.iter().zip(workload.on) {
            for (round, ns) in of.iter().enumerate() {
                writeln!(out, "{name},{runtime},{round},{batch},{ns:.0}")?;
            }
        }
    }
    out.flush()
}

/// One line that is written over on a terminal, elsewhere one line for each workload.
fn progress(workload: &str, round: usize, rounds: u32) {
    if stderr().is_terminal() {
        let now = round + 1;
        let _ = write!(stderr(), "\r\x1b[K{workload}: round {now} of {rounds}");
    } else if round == 0 {
        let _ = writeln!(stderr(), "{workload}, rounds: {rounds}");
    }
}

fn clear_progress() {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K");
    }
}
