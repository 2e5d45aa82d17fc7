//! A million events to Chrome JSON, and the report over it. Both in memory: no disk, no compression.

use std::io;
use std::time::Instant;

use gmprt::Runtime;
use gmprt::trace::{Report, Trace, TraceConfig};

use crate::Extent;
use crate::table::{Table, median, progress};
use crate::workloads::{SHOWCASES, Workload};

/// How many events, and how many when it must be quick.
const EVENTS: [u64; 2] = [1_000_000, 10_000];

pub(crate) fn measure(extent: &Extent) -> io::Result<()> {
    let events = EVENTS[usize::from(extent.quick)];
    let mut rows = Vec::new();
    for workload in &SHOWCASES {
        let trace = record(workload, extent.procs, events)?;
        let (mut writes, mut reads, mut size, mut lines) = (Vec::new(), Vec::new(), 0, 0);
        for round in 0..extent.rounds.min(5) {
            progress(&format!("export, {}: round {}", workload.name, round + 1));
            let mut json = Vec::new();
            let begun = Instant::now();
            trace.write_chrome(&mut json)?;
            writes.push(begun.elapsed().as_secs_f64());
            let begun = Instant::now();
            let report = Report::read(json.as_slice()).map_err(io::Error::other)?;
            reads.push(begun.elapsed().as_secs_f64());
            (size, lines) = (json.len(), report.events);
        }
        rows.push(vec![
            workload.name.to_owned(),
            trace.events().to_string(),
            lines.to_string(),
            format!("{:.1} MB", size as f64 / 1e6),
            format!("{:.2} s", median(writes)),
            format!("{:.2} s", median(reads)),
        ]);
    }
    Table {
        title: format!("export: {events} events, recorded with {} Ps", extent.procs),
        columns: vec!["of", "events", "in the file", "size", "written", "report"],
        rows,
        notes: vec!["asked: a million events are written within 1 s".into()],
    }
    .print()
}

/// Runs the workload until so many events are there.
fn record(workload: &Workload, procs: usize, events: u64) -> io::Result<Trace> {
    let rt = Runtime::builder().procs(procs).build()?;
    rt.trace().start_with(TraceConfig::stop_when_full().events(events))?;
    let mut times = 10 * workload.grain;
    while rt.trace().is_on() {
        (workload.run)(&rt, times);
        times *= 2;
    }
    rt.trace().stop()
}
