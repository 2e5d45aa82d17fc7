//! Runs a workload without a trace and with one of each sort, by turns.

use std::fs;
use std::io;
use std::time::Duration;

use gmprt::Runtime;
use gmprt::trace::TraceConfig;

use crate::workloads::Workload;
use crate::{Extent, table};

/// More than any round makes.
const ALL: u64 = 100_000_000;

/// The sorts of recording.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Off,
    /// A flight recorder, which has gone round before the clock starts: it writes into memory that it has.
    Flight,
    /// Stops when it is full, which it never is: it writes into memory that is new.
    Collect,
}

const SORTS: [Sort; 3] = [Sort::Off, Sort::Flight, Sort::Collect];

/// What one run took.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Nanoseconds an operation: of the clock, and of all cores.
    pub(crate) ns: f64,
    pub(crate) cpu: f64,
    /// Events an operation, where all are kept.
    pub(crate) events: f64,
}

/// The runs of a workload: of each sort, round by round.
pub(crate) struct Rounds([Vec<Sample>; 3]);

impl Rounds {
    /// Measures `workload` on a runtime with so many Ps.
    pub(crate) fn of(workload: &Workload, procs: usize, extent: &Extent) -> io::Result<Rounds> {
        let rt = Runtime::builder().procs(procs).build()?;
        let times = if extent.quick { workload.grain } else { fill(workload, &rt) };
        let mut samples = [const { Vec::new() }; 3];
        for round in 0..extent.rounds {
            table::progress(&format!("{}: round {} of {}", workload.name, round + 1, extent.rounds));
            for turn in 0..SORTS.len() {
                let which = (round + turn) % SORTS.len();
                samples[which].push(sample(workload, &rt, times, SORTS[which])?);
            }
        }
        Ok(Rounds(samples))
    }

    fn all(&self, sort: Sort) -> &[Sample] {
        &self.0[sort as usize]
    }

    /// The median of a figure.
    pub(crate) fn median(&self, sort: Sort, figure: fn(&Sample) -> f64) -> f64 {
        table::median(self.all(sort).iter().map(figure))
    }

    /// The median of what a figure is more than without a trace.
    pub(crate) fn added(&self, sort: Sort, figure: fn(&Sample) -> f64) -> f64 {
        let pairs = self.all(sort).iter().zip(self.all(Sort::Off));
        table::median(pairs.map(|(with, without)| figure(with) - figure(without)))
    }

    /// Events an operation.
    pub(crate) fn events(&self) -> f64 {
        self.median(Sort::Collect, |sample| sample.events)
    }
}

fn sample(workload: &Workload, rt: &Runtime, times: u64, sort: Sort) -> io::Result<Sample> {
    match sort {
        Sort::Off => {}
        Sort::Flight => rt.trace().start_with(TraceConfig::flight_recorder())?,
        Sort::Collect => rt.trace().start_with(TraceConfig::stop_when_full().events(ALL))?,
    }
    let warm = (workload.run)(rt, times); // the flight recorder goes round
    let before = cpu();
    let took = (workload.run)(rt, times);
    let cpu = cpu() - before;
    let per = |took: Duration| took.as_nanos() as f64 / times as f64;
    let mut sample = Sample { ns: per(took), cpu: per(cpu), events: 0.0 };
    if sort != Sort::Off {
        let trace = rt.trace().stop()?;
        if sort == Sort::Collect {
            if trace.dropped() > 0 {
                return Err(io::Error::other(format!("{} events were dropped", trace.dropped())));
            }
            sample.events = trace.events() as f64 / (2 * times) as f64;
        }
    }
    let _ = warm;
    Ok(sample)
}

/// How many operations take some 40 ms.
fn fill(workload: &Workload, rt: &Runtime) -> u64 {
    let mut times = workload.grain;
    loop {
        let took = (workload.run)(rt, times);
        if took > Duration::from_millis(8) {
            let wanted = (times as f64 * 0.04 / took.as_secs_f64()) as u64;
            return wanted.next_multiple_of(workload.grain);
        }
        times *= 4;
    }
}

/// What the threads that there are have used of all cores: the first figure of each one's `schedstat`. A thread that runs has
/// been counted up to its last tick. Nothing where `/proc` is missing.
fn cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of = |stat: String| stat.split_ascii_whitespace().next().and_then(|ns| ns.parse::<u64>().ok());
    let used = tasks.filter_map(|task| of(fs::read_to_string(task.path().join("schedstat")).ok()?));
    Duration::from_nanos(used.sum())
}
