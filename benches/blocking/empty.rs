//! A `block_in_place` that is over at once, in a task with nothing else to do: what the declaration costs.
//!
//! On gmprt the P stays with its M, and a count becomes odd and even again. tokio hands the worker's core to another
//! thread at the first in a poll, and takes one back when the poll ends; another in the same poll finds nothing to hand
//! over. So there are two figures: a loop in one poll, and a loop that yields after each call, less one that only yields.
//! Go's `entersyscall` and `exitsyscall` do what gmprt does; `syscall.go` measures them.

use std::hint::black_box;
use std::io;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Extent;
use crate::report::{Report, Sorted, Table, progress, time};
use crate::runtimes::{Gmprt, OnBoth, Runtime, Tokio};

/// Calls in a round.
const IN_ONE_POLL: u32 = 100_000;
const ONE_A_POLL: u32 = 5_000;

const GO_PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/blocking/syscall.go");

pub(crate) fn measure(extent: &Extent, report: &mut Report) -> io::Result<()> {
    let on: OnBoth<fn(usize) -> [f64; 2]> = [("gmprt", round::<Gmprt>), ("tokio", round::<Tokio>)];
    let mut samples = [Vec::new(), Vec::new()];
    for at in 0..extent.rounds {
        progress(&format!("empty: round {} of {}", at + 1, extent.rounds));
        for turn in 0..2 {
            let who = (at + turn) % 2;
            samples[who].push(on[who].1(extent.procs));
        }
    }
    let mut rows = Vec::new();
    for (at, what) in ["in one poll", "one in each poll"].into_iter().enumerate() {
        for ((runtime, _), rounds) in on.into_iter().zip(&samples) {
            let ns: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
            report.samples(["empty", what, runtime, "ns_per_call"], ns.iter().copied())?;
            rows.push(row(what, runtime, ns));
        }
    }
    progress("empty: go run syscall.go");
    let calls = "in one poll: each of many block_in_place(|| ()); in each poll: with a yield after it, less the yield";
    let mut notes = vec![calls.to_owned()];

    match go(extent.rounds) {
        Ok((version, ns)) => {
            report.samples(["empty", "syscall", &version, "ns_per_call"], ns.iter().copied())?;
            notes.push("Go: a getpid by syscall.Syscall, less one by syscall.RawSyscall".into());
            rows.push(row("entersyscall, exitsyscall", &version, ns));
        }
        Err(why) => notes.push(why),
    }
    let columns = vec!["what", "runtime", "median", "least", "worst", "rounds"];
    report.print(&Table {
        title: "empty: a declared block that is over at once".into(),
        columns,
        rows,
        notes,
    })
}

fn row(what: &str, runtime: &str, ns: Vec<f64>) -> Vec<String> {
    let rounds = ns.len().to_string();
    let ns = Sorted::new(ns);
    let (median, least, worst) = (ns.median(), ns.quantile(0.0), ns.worst(1));
    vec![what.into(), runtime.into(), time(median), time(least), time(worst), rounds]
}

/// Nanoseconds for each call: in one poll, and one in each poll.
fn round<R: Runtime>(procs: usize) -> [f64; 2] {
    fn in_one_poll<R: Runtime>(calls: u32) {
        for _ in 0..calls {
            R::block_in_place(|| black_box(()));
        }
    }
    async fn one_a_poll<R: Runtime>(declared: bool) -> f64 {
        let begin = Instant::now();
        for _ in 0..ONE_A_POLL {
            if declared {
                R::block_in_place(|| black_box(()));
            }
            R::yield_now().await;
        }
        begin.elapsed().as_nanos() as f64 / f64::from(ONE_A_POLL)
    }
    let rt = R::start(procs);
    let many = rt.run(async {
        in_one_poll::<R>(IN_ONE_POLL / 4);
        let begin = Instant::now();
        in_one_poll::<R>(IN_ONE_POLL);
        begin.elapsed().as_nanos() as f64 / f64::from(IN_ONE_POLL)
    });
    let one = rt.run(async {
        one_a_poll::<R>(true).await;
        one_a_poll::<R>(true).await - one_a_poll::<R>(false).await
    });
    [many, one]
}

/// What Go's empty system call costs, round by round, and by which Go; or why that is not known.
fn go(rounds: usize) -> Result<(String, Vec<f64>), String> {
    let run = |args: &[&str]| Command::new("go").args(args).stdin(Stdio::null()).output();
    let output = match run(&["run", GO_PROGRAM, &rounds.to_string()]) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err("go is not on the PATH".into()),
        Err(e) => return Err(format!("go: {e}")),
        Ok(output) => output,
    };
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("go run: {}", why.lines().next().unwrap_or("no word of why")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let version = lines.next().unwrap_or("go").to_owned();
    let ns: Vec<f64> = lines.filter_map(|line| line.parse().ok()).collect();
    if ns.is_empty() { Err("go run: no figures".into()) } else { Ok((version, ns)) }
}
