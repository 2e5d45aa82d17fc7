//! The fan-out/fan-in scenario: runs the programs of `fan_gmprt.rs` and `fan_tokio.rs` in turn, checks each sum, and
//! makes a table of the medians.
//!
//! The two take turns, and swap who goes first, so that a slow phase of the machine meets both. Each run has a fresh
//! runtime; no two runtimes live at once.

use std::time::Instant;

use crate::cli::Cli;
use crate::progress::Progress;
use crate::report::{Failure, Table, counted, grouped, kib, micros};
use crate::runtimes::{self, Runtime};
use crate::stats::{Tally, median};
use crate::{fan_gmprt, fan_tokio};

/// Items that each of the two channels holds.
pub(crate) const CAPACITY: usize = 100;

/// What travels: the number, later its square, and when the feeder made it.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) value: u64,
    pub(crate) fed: Instant,
}

impl Item {
    pub(crate) fn new(value: u64) -> Item {
        Item { value, fed: Instant::now() }
    }

    pub(crate) fn squared(self) -> Item {
        Item { value: self.value * self.value, ..self }
    }
}

/// The figures of one run.
struct Sample {
    items_per_s: f64,
    p50_ns: f64,
    p99_ns: f64,
    grown: u64,
}

/// Runs every worker count on every runtime asked for.
pub(crate) fn run(cli: &Cli, progress: &Progress) -> Result<Table, Failure> {
    let mut fan =
        Fan { items: cli.items, procs: cli.procs(), progress, tally: Tally::new(progress.counter()) };
    let sum = sum_of_squares(cli.items);
    let mut table = Table {
        title: format!(
            "fan-out/fan-in: {} a run, channels of {CAPACITY}, {}, median of {}",
            counted(cli.items, "item"),
            counted(fan.procs as u64, "thread"),
            counted(cli.rounds.into(), "round")
        ),
        columns: &["workers", "runtime", "items/s", "p50", "p99", "memory", "ratio"],
        rows: Vec::new(),
        notes: vec![
            "p50, p99: time of an item from feed to collect".into(),
            "memory:   how much the process grew in a run, at most".into(),
            "ratio:    items/s of gmprt over tokio; above 1, gmprt is faster".into(),
            format!("sums:     each was right, 1² + 2² + … + n² = {}", grouped(sum)),
        ],
    };
    fan.warm_up(cli)?;
    for (i, &workers) in cli.workers.iter().enumerate() {
        let (at, of) = (i + 1, cli.workers.len());
        let workers_in_words = counted(workers.into(), "worker");
        progress.stage(format!("{at}/{of}: {workers_in_words}"));
        let samples = fan.rounds(cli, workers)?;
        add_rows(&mut table, workers, cli.runtimes(), &samples);
    }
    Ok(table)
}

/// What stays the same from run to run.
struct Fan<'a> {
    items: u64,
    procs: usize,
    progress: &'a Progress,
    tally: Tally,
}

impl Fan<'_> {
    /// A short run of each runtime that does not count: the first to run would pay for the process's first pages.
    fn warm_up(&mut self, cli: &Cli) -> Result<(), Failure> {
        let items = std::mem::replace(&mut self.items, cli.items.min(10_000));
        self.progress.stage("warming up".into());
        for &runtime in cli.runtimes() {
            self.progress.step(runtime.name().into(), self.items);
            self.once(runtime, 4)?;
        }
        self.items = items;
        Ok(())
    }

    /// All rounds of one worker count; one list of samples for each runtime.
    fn rounds(&mut self, cli: &Cli, workers: u32) -> Result<Vec<Vec<Sample>>, Failure> {
        let (runtimes, rounds) = (cli.runtimes(), cli.rounds as usize);
        let mut samples: Vec<Vec<Sample>> = runtimes.iter().map(|_| Vec::new()).collect();
        for round in 1..=rounds {
            for turn in 0..runtimes.len() {
                let who = (round + turn) % runtimes.len();
                let name = runtimes[who].name();
                let step = format!("round {round} of {rounds} on {name}");
                self.progress.step(step, self.items);
                samples[who].push(self.once(runtimes[who], workers)?);
            }
        }
        Ok(samples)
    }

    /// One run, its sum checked.
    fn once(&mut self, runtime: Runtime, workers: u32) -> Result<Sample, Failure> {
        let (items, procs, tally) = (self.items, self.procs, self.tally.take());
        let run = match runtime {
            Runtime::Gmprt => runtimes::on_gmprt(procs, fan_gmprt::fan(items, workers, tally))?,
            Runtime::Tokio if workers == 1 => runtimes::on_tokio(procs, fan_tokio::fan_one(items, tally))?,
            Runtime::Tokio => runtimes::on_tokio(procs, fan_tokio::fan(items, workers, tally))?,
        };
        self.tally = run.value;
        let (got, want) = (self.tally.sum(), sum_of_squares(items));
        if got != want {
            return Err(Failure::new(format!(
                "wrong sum on {} with W = {workers}: {got} from {} of {items} items, it should be {want}",
                runtime.name(),
                self.tally.count()
            )));
        }
        Ok(Sample {
            items_per_s: self.items as f64 / run.took.as_secs_f64(),
            p50_ns: self.tally.quantile_ns(0.50),
            p99_ns: self.tally.quantile_ns(0.99),
            grown: run.grown,
        })
    }
}

/// 1² + 2² + … + n² in closed form.
fn sum_of_squares(n: u64) -> u128 {
    let n = u128::from(n);
    n * (n + 1) * (2 * n + 1) / 6
}

/// One row for each runtime; what both share stands in the first.
fn add_rows(table: &mut Table, workers: u32, runtimes: &[Runtime], samples: &[Vec<Sample>]) {
    let rate = |of: &[Sample]| median(of.iter().map(|s| s.items_per_s));
    let mut workers = workers.to_string();
    let mut ratio = match samples {
        [gmprt, tokio] => format!("{:.2}x", rate(gmprt) / rate(tokio)),
        _ => "-".into(),
    };
    for (runtime, of) in runtimes.iter().zip(samples) {
        table.rows.push(vec![
            std::mem::take(&mut workers),
            runtime.name().into(),
            grouped(rate(of).round() as u64),
            micros(median(of.iter().map(|s| s.p50_ns))),
            micros(median(of.iter().map(|s| s.p99_ns))),
            kib(of.iter().map(|s| s.grown).max().unwrap_or(0)),
            std::mem::take(&mut ratio),
        ]);
    }
}
