//! The main job: three small programs on gmprt, on tokio, and on Go where there is one, in turn, measured and checked.
//!
//! ```text
//!   token   1,000 clients ─▶ 100 tokens a second ─▶ accepted, or refused
//!                        ┌─▶ worker ─┐
//!   fan     producers ─▶ ┼─▶ worker ─┼─▶ collector
//!                        └─▶ worker ─┘
//!   log     5,000 producers ─▶ 1,000 lines ─▶ batch ─▶ file, every 100 ms
//!
//!   cargo run --release --example showcase
//!   cargo run --release --example showcase -- --scenario fan --seconds 20
//!   cargo run --release --example showcase -- --help
//! ```
//!
//! What to watch for:
//! - **token**: the bucket is the same two calls on each runtime. In the open loop a request has a time at which it is due,
//!   so that a late timer, or a late turn, is seen; in the closed loop it is the switch from task to task that counts.
//! - **fan**: throughput as workers are added. The work of an item is one multiplication, so more workers mean more wakeups,
//!   not more speed. p99 far above p50 means that some worker sat on an item while the others went on.
//! - **log**: what a line costs those who log, while a file is written; and that no line is missing.
//! - **memory** stays flat: every channel is bounded.
//!
//! To read: `token/gmprt.rs` beside `token/tokio.rs`, then those of `fan/` and `log/`: the same twelve lines twice. Go's are
//! in `examples/go/`. `spec.rs` says how a run is started, `child.rs` and `launch.rs` are its two ends, `measure.rs` is the
//! order of all, `tables.rs` and `html/` show it.

mod child;
mod cli;
#[path = "../common/ending.rs"]
mod ending;
mod fan;
#[path = "../common/figures.rs"]
mod figures;
mod go;
mod goals;
mod html;
mod launch;
mod log;
mod machine;
mod measure;
#[path = "../common/memory.rs"]
mod memory;
mod progress;
mod results;
mod spec;
#[path = "../common/table.rs"]
mod table;
mod tables;
mod tally;
mod token;
mod units;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(spec) = &cli.child {
        return child::main(spec);
    }
    match whole(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            ending::say("showcase", &why);
            ExitCode::from(1)
        }
    }
}

/// Measures, prints, and writes the report. Whether each run's figures added up; an error is one sentence.
fn whole(cli: &Cli) -> Result<bool, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/showcase");
    if std::env::var_os(launch::TRACE).is_some() {
        let what = "the runs on gmprt are traced: their figures are not to be compared with the others";
        ending::say("showcase", &format!("{} is set, and {what}", launch::TRACE));
    }
    let results = measure::all(cli, &folder)?;
    for failure in &results.failures {
        ending::say("showcase", failure);
    }
    // The figures first: they are there even if the report cannot be written.
    let text = if cli.json { json(&results)? } else { tables::text(&results) };
    ending::print(&text).map_err(|e| format!("cannot write the figures: {e}"))?;
    let report = folder.join("report.html");
    html::write(&results, &report).map_err(|e| format!("cannot write {}: {e}", report.display()))?;
    ending::say("showcase", &format!("the report is {}", report.display()));
    Ok(results.failures.is_empty())
}

fn json(results: &results::Results) -> Result<String, String> {
    let document = serde_json::to_string_pretty(results).map_err(|e| format!("cannot write JSON: {e}"))?;
    Ok(document + "\n")
}
