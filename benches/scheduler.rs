//! gmprt beside tokio: the seven workloads of tokio's own multi-thread benchmark, written anew, and one more, each on
//! both runtimes with four workers.
//!
//! ```text
//! cargo bench --bench scheduler -- --table               the table of ratios, in half a minute
//! cargo bench --bench scheduler -- --table busy yield    only the workloads with `busy` or `yield` in their names
//! cargo bench --bench scheduler -- --table --help        rounds, raw samples as CSV
//! cargo bench --bench scheduler                          criterion: each workload on each runtime, with intervals
//! cargo bench --bench scheduler -- --test                runs everything once
//! ```
//!
//! `scheduler/workloads.rs` holds the programs, each written once; `scheduler/runtimes.rs` the few calls that they
//! make, for either runtime by static dispatch; `scheduler/table.rs` measures the two in alternation.

#[path = "scheduler/runtimes.rs"]
mod runtimes;
#[path = "scheduler/table.rs"]
mod table;
#[path = "scheduler/workloads.rs"]
mod workloads;

use std::process::ExitCode;
use std::time::Duration;

use criterion::Criterion;

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--table") {
        return table::main();
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    for workload in workloads::ALL {
        let mut group = criterion.benchmark_group(workload.name);
        for (runtime, start) in workload.on {
            // Started once, at the first call; never, where a filter leaves it out.
            let mut running = None;
            group.bench_function(runtime, |b| b.iter(running.get_or_insert_with(start)));
        }
        group.finish();
    }
    criterion.final_summary();
    ExitCode::SUCCESS
}
