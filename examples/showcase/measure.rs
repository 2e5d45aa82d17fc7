//! Runs every job on every runtime, round by round, and makes medians of it.
//!
//! A round is every job on every runtime, so that a slow phase of the machine costs a job one of its rounds, which a median
//! leaves out. The runtimes take turns at each job, and who goes first changes from round to round.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::{Cli, Scenario};
use crate::figures::median;
use crate::go;
use crate::goals;
use crate::launch::{Measured, launch};
use crate::log;
use crate::machine;
use crate::progress::Progress;
use crate::results::{Cell, Results, Row};
use crate::spec::{Job, Runtime, Spec};

/// Clients of the token bucket, and what they ask together in the open loop, a second.
const CLIENTS: u32 = 1_000;
const RATE: u32 = 5_000;

/// Tasks that write to the log.
const LOGGERS: u32 = 5_000;

/// All runs. `folder` is where Go's programs are built and the log is written. An error, in one sentence, means that
/// there are no results; a run that went wrong is among the results' failures.
pub(crate) fn all(cli: &Cli, folder: &Path) -> Result<Results, String> {
    let cells = cells(cli, folder);
    let planned = Duration::from_secs_f64(cells.iter().map(|(_, seconds)| seconds).sum::<f64>());
    let progress = Progress::start(planned * cli.runtimes().len() as u32);
    let mut runs = Runs::prepare(cli, folder, &progress)?;
    let mut measured: Vec<Vec<Vec<Measured>>> =
        cells.iter().map(|_| runs.runtimes.iter().map(|_| Vec::new()).collect()).collect();
    for round in 0..cli.rounds as usize {
        progress.stage(format!("round {} of {}", round + 1, cli.rounds));
        for ((job, seconds), measured) in cells.iter().zip(&mut measured) {
            runs.in_turn(round, job, seconds / f64::from(cli.rounds), measured, &progress)?;
        }
    }
    let results: Vec<Cell> = cells
        .into_iter()
        .zip(measured)
        .map(|((job, _), measured)| {
            let mut rows: Vec<Row> =
                runs.runtimes.iter().zip(measured).map(|(&on, rounds)| row(on, rounds)).collect();
            compare(&mut rows);
            Cell { job, rows }
        })
        .collect();
    progress.finish();
    Ok(Results {
        machine: machine::describe(runs.go.as_ref().map(|go| go.version.as_str())),
        seconds: cli.seconds,
        rounds: cli.rounds,
        procs: cli.procs(),
        goals: goals::of(&results),
        cells: results,
        left_out: runs.left_out,
        failures: runs.failures,
    })
}

/// Every job, and for how long it runs on each runtime, all rounds together.
fn cells(cli: &Cli, folder: &Path) -> Vec<(Job, f64)> {
    let mut cells = Vec::new();
    for scenario in cli.scenarios() {
        match scenario {
            Scenario::Token => {
                cells.push((Job::Token { clients: CLIENTS, rate: RATE }, 0.6 * cli.seconds));
                cells.push((Job::Token { clients: CLIENTS, rate: 0 }, 0.4 * cli.seconds));
            }
            Scenario::Fan => {
                let seconds = cli.seconds / (cli.producers.len() * cli.workers.len()) as f64;
                for &producers in &cli.producers {
                    for &workers in &cli.workers {
                        cells.push((Job::Fan { workers, producers, items: cli.items.unwrap_or(0) }, seconds));
                    }
                }
            }
            Scenario::Log => {
                let file = cli.log_file.clone().unwrap_or_else(|| folder.join(own_log_name()));
                cells.push((Job::Log { producers: LOGGERS, file, fsync: cli.fsync }, cli.seconds));
            }
        }
    }
    cells
}

/// Of this process only: two showcases at once must not write to one file.
fn own_log_name() -> String {
    format!("log.{}.txt", std::process::id())
}

/// Removes the logs of showcases that were killed: hundreds of megabytes each.
fn remove_stale_logs(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix("log.")?.strip_suffix(".txt")?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_file(entry.path()); // another showcase may have been faster
        }
    }
}

/// What stays the same from run to run, and what is noted of all.
struct Runs {
    runtimes: Vec<Runtime>,
    procs: usize,
    go: Option<go::Go>,
    /// Whether the log's file is ours, to be removed.
    own_log: bool,
    left_out: Vec<String>,
    failures: Vec<String>,
}

impl Runs {
    fn prepare(cli: &Cli, folder: &Path, progress: &Progress) -> Result<Runs, String> {
        std::fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
        remove_stale_logs(folder);
        let mut runs = Runs {
            runtimes: cli.runtimes(),
            procs: cli.procs(),
            go: None,
            own_log: cli.log_file.is_none(),
            left_out: Vec::new(),
            failures: Vec::new(),
        };
        if runs.runtimes.contains(&Runtime::Go) {
            progress.stage("building the programs for Go".into());
            match go::build(folder) {
                Ok(go) => runs.go = Some(go),
                Err(why) if cli.insists_on_go() => return Err(why),
                Err(why) => {
                    runs.runtimes.retain(|&runtime| runtime != Runtime::Go);
                    runs.left_out.push(format!("Go: {why}"));
                }
            }
        }
        Ok(runs)
    }

    /// One job on all runtimes, for so many seconds on each.
    fn in_turn(
        &mut self,
        round: usize,
        job: &Job,
        seconds: f64,
        measured: &mut [Vec<Measured>],
        progress: &Progress,
    ) -> Result<(), String> {
        for turn in 0..self.runtimes.len() {
            let who = (round + turn) % self.runtimes.len();
            let runtime = self.runtimes[who];
            let step = format!("{}: {}, on {}", job.tag(), job.case(), runtime.name());
            progress.step(step, Duration::from_secs_f64(seconds));
            let spec = Spec { runtime, procs: self.procs, seconds, job: job.clone() };
            measured[who].push(self.once(&spec)?);
        }
        Ok(())
    }

    /// One run; what is wrong with it is noted.
    fn once(&mut self, spec: &Spec) -> Result<Measured, String> {
        let launched = launch(spec, self.go.as_ref().map(|go| go.programs.as_path()))
            .map_err(|why| format!("{}, {}: {why}", spec.job.tag(), spec.job.case()));
        let mut wrong = Vec::new();
        if let Job::Log { file, .. } = &spec.job {
            if let Ok(measured) = &launched {
                wrong.extend(log::account(file, &measured.outcome.counts).err());
            }
            self.tidy_up(file);
        }
        let measured = launched?;
        wrong.splice(0..0, measured.outcome.failure.clone());
        for what in wrong {
            self.failures.push(format!(
                "{}, {}, on {}: {what}",
                spec.job.tag(),
                spec.job.case(),
                spec.runtime.name()
            ));
        }
        Ok(measured)
    }

    fn tidy_up(&mut self, log: &PathBuf) {
        if self.own_log
            && let Err(e) = std::fs::remove_file(log)
            && e.kind() != ErrorKind::NotFound
        {
            self.failures.push(format!("cannot remove {}: {e}", log.display()));
        }
    }
}

/// The rounds of one job on one runtime, as one row.
fn row(runtime: Runtime, rounds: Vec<Measured>) -> Row {
    let of = |figure: fn(&Measured) -> f64| median(rounds.iter().map(figure));
    let (mut latencies, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for round in &rounds {
        for &(ns, count) in &round.outcome.latencies {
            *latencies.entry(ns).or_default() += count;
        }
        for (name, count) in &round.outcome.counts {
            let sum: &mut u64 = counts.entry(name.clone()).or_default();
            *sum = sum.wrapping_add(*count);
        }
    }
    Row {
        runtime,
        throughput: of(throughput),
        throughput_by_round: rounds.iter().map(throughput).collect(),
        p50_ns: latency(&rounds, 0.50),
        p99_ns: latency(&rounds, 0.99),
        growth_bytes: of(|m| m.growth() as f64),
        latencies: latencies.into_iter().collect(),
        memory: rounds.into_iter().next_back().map(|last| last.memory).unwrap_or_default(),
        counts,
        throughput_ratio: None,
        p99_ratio: None,
    }
}

fn throughput(of: &Measured) -> f64 {
    of.outcome.operations as f64 / of.outcome.seconds.max(1e-9)
}

/// The median of the rounds in which something was timed; 0 if there is none.
fn latency(rounds: &[Measured], q: f64) -> f64 {
    let timed = rounds.iter().map(|round| &round.outcome.latencies).filter(|latencies| !latencies.is_empty());
    median(timed.map(|latencies| quantile(latencies, q)))
}

/// The least latency that so large a part of all does not exceed.
fn quantile(latencies: &[(u64, u64)], q: f64) -> f64 {
    let all: u64 = latencies.iter().map(|&(_, count)| count).sum();
    let rank = ((q * all as f64).ceil() as u64).max(1);
    let mut seen = 0;
    let found = latencies.iter().find(|&&(_, count)| {
        seen += count;
        seen >= rank
    });
    found.map_or(0.0, |&(ns, _)| ns as f64)
}

/// Sets gmprt against each other one.
fn compare(rows: &mut [Row]) {
    let Some((gmprt, others)) = rows.split_first_mut().filter(|(first, _)| first.runtime == Runtime::Gmprt)
    else {
        return;
    };
    for other in others {
        other.throughput_ratio = Some(gmprt.throughput / other.throughput);
        other.p99_ratio = Some(other.p99_ns / gmprt.p99_ns);
    }
}
