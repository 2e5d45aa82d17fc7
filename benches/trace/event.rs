//! What an event costs, found from outside: no program can record one itself.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use crate::Extent;
use crate::rounds::{Rounds, Sort};
use crate::table::{Table, median, progress};
use crate::workloads::BARE;

/// What it may cost on the kind of machine that it was built on.
const ASKED: f64 = 15.0;

pub(crate) fn measure(extent: &Extent) -> io::Result<()> {
    let mut rows = Vec::new();
    let mut worst = 0.0_f64;
    for workload in &BARE {
        let rounds = Rounds::of(workload, 1, extent)?;
        let (off, events) = (rounds.median(Sort::Off, |sample| sample.ns), rounds.events());
        let [flight, collect] =
            [Sort::Flight, Sort::Collect].map(|sort| rounds.added(sort, |sample| sample.ns) / events);
        worst = worst.max(flight);
        let cells =
            [format!("{off:.1}"), format!("{events:.2}"), format!("{flight:.1}"), format!("{collect:.1}")];
        rows.push([vec![workload.name.to_owned()], cells.to_vec()].concat());
    }
    progress("event: the time stamp");
    let stamp = stamp(extent);
    let columns = vec!["one P", "ns off", "events", "ns an event: flight recorder", "stop when full"];
    Table {
        title: "event: what recording one costs".into(),
        columns,
        rows,
        notes: vec![
            format!("one time stamp alone: {stamp:.1} ns; asked for an event: at most {ASKED} ns; worst: {worst:.1} ns"),
            "events: recorded for each operation; stop when full writes into memory that is touched for the first time".into(),
        ],
    }
    .print()
}

/// Nanoseconds that reading the time stamp counter takes, or the clock that stands in for it.
fn stamp(extent: &Extent) -> f64 {
    let reads = if extent.quick { 1_000 } else { 1_000_000 };
    let round = |_| {
        let begun = Instant::now();
        for _ in 0..reads {
            black_box(ticks());
        }
        begun.elapsed().as_nanos() as f64 / f64::from(reads)
    };
    median((0..extent.rounds).map(round))
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the instruction has no safe name")]
fn ticks() -> u64 {
    // SAFETY: any program may read the counter, and it touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> Instant {
    Instant::now()
}
