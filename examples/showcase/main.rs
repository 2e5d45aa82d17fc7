//! The main job: the same small program on gmprt and on tokio in turn, measured and checked.
//!
//! ```text
//!                       ┌─▶ worker ─┐
//!   feeder ─▶ 100 items ┼─▶ worker ─┼─▶ 100 items ─▶ collector
//!                       └─▶ worker ─┘
//!
//!   cargo run --release --example showcase
//!   cargo run --release --example showcase -- --help
//! ```
//!
//! What to watch for:
//! - **items/s** as workers are added. The work of an item (one multiplication) is nothing, so the figure is the
//!   cost of the channels and of the scheduler. More workers mean more wakeups, not more speed.
//! - **p99 beside p50**, from feed to collect. An item mostly waits in the two channels, so p50 is about the time in
//!   which up to 200 others pass; p99 far above it means that some worker sat on an item while the others went on.
//! - **memory** stays flat: channels of 100 push back on the feeder, whatever `--items` says.
//!
//! To read: `fan_gmprt.rs` beside `fan_tokio.rs`, the same twelve lines twice; then `fan.rs`, which runs and checks
//! them. A further scenario is one more module like `fan.rs`, which fills a `report::Table`.

mod cli;
mod fan;
mod fan_gmprt;
mod fan_tokio;
mod memory;
mod progress;
mod report;
mod runtimes;
mod stats;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let progress = progress::Progress::start();
    let outcome = fan::run(&cli, &progress);
    progress.finish();
    match outcome {
        Ok(table) => report::print(&table),
        Err(failure) => report::fail(&failure),
    }
}
