//! Sums up a trace that gmprt wrote: what the Ps did, who waited and for how long, who stole, who blocked, who starved.
//!
//! Make one of any program on gmprt with `GMPRT_TRACE=out.json.gz`, and give it to this:
//! `cargo run --release --example trace_report out.json.gz`.
//!
//! Watch for: the share of `other`, which is the scheduler itself; a p99 far above the p50, and who woke the worst; polls
//! that take longer than the time slice of 10 ms.

use clap::Parser;
use gmprt::trace::{Latency, Report, ReportOptions, RuntimeReport, TaskName, Times};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Sums up a trace that gmprt wrote.
#[derive(Parser)]
struct Cli {
    /// The trace: Chrome JSON, plain or in gzip.
    file: PathBuf,
    /// From how long a wait on a task that could run counts as starved.
    #[arg(long, default_value = "10ms", value_parser = humantime::parse_duration)]
    starved: Duration,
    /// The figures as JSON, times in nanoseconds.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let report = match ReportOptions::new().starved_after(cli.starved).load(&cli.file) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("trace_report: {}: {why}.", cli.file.display());
            return ExitCode::FAILURE;
        }
    };
    let text = if cli.json { format!("{:#}\n", json_of(&report)) } else { report.to_string() };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS, // `| head` has seen enough
        Err(why) => {
            eprintln!("trace_report: the report cannot be written: {why}.");
            ExitCode::FAILURE
        }
    }
}

fn json_of(report: &Report) -> Value {
    json!({
        "ending": format!("{:?}", report.ending),
        "events": report.events,
        "unknown_events": report.unknown_events,
        "unknown_args": report.unknown_args,
        "starved_after": ns(report.starved_after),
        "runtimes": all(&report.runtimes, runtime),
    })
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn all<T>(items: &[T], json: impl Fn(&T) -> Value) -> Vec<Value> {
    items.iter().map(json).collect()
}

fn task(task: &TaskName) -> Value {
    json!({ "g": task.g, "kind": *task.kind })
}

fn times(times: &Times) -> Value {
    json!({ "times": times.times, "total": ns(times.total), "longest": ns(times.longest) })
}

fn latency(latency: &Latency) -> Value {
    json!({
        "count": latency.count,
        "p50": ns(latency.p50),
        "p90": ns(latency.p90),
        "p99": ns(latency.p99),
        "max": ns(latency.max),
        "worst": all(&latency.worst, |wait| json!({
            "wait": ns(wait.wait), "at": ns(wait.at), "task": task(&wait.task), "p": wait.p,
            "woke": wait.woke, "by": wait.by,
        })),
    })
}

fn runtime(runtime: &RuntimeReport) -> Value {
    let counted = |(times, tasks): (u64, u64)| json!({ "times": times, "tasks": tasks });
    json!({
        "index": runtime.index,
        "start": ns(runtime.start),
        "span": ns(runtime.span),
        "about": runtime.about.as_ref().map(|about| json!({
            "version": about.version, "clock": about.clock, "records": about.records, "dropped": about.dropped,
            "clamped": about.clamped, "reordered": about.reordered, "tasks": about.tasks,
            "task_tracks": about.task_tracks, "tasks_left_out": about.tasks_left_out,
            "thread_tracks_left_out": about.thread_tracks_left_out, "full": about.full,
        })),
        "threads": runtime.threads,
        "processors": all(&runtime.processors, |p| {
            let parts = p.parts().map(|(name, time)| (name.to_owned(), json!(ns(time))));
            json!({ "p": p.p, "polls": p.polls, "time": Value::Object(parts.into_iter().collect()) })
        }),
        "woken": latency(&runtime.woken),
        "requeued": latency(&runtime.requeued),
        "from_start": runtime.from_start,
        "longest_polls": all(&runtime.longest_polls, |poll| json!({
            "took": ns(poll.took), "at": ns(poll.at), "task": task(&poll.task), "site": poll.site, "p": poll.p,
            "m": poll.m, "end": poll.end,
        })),
        "steals": all(&runtime.steals, |steal| json!({
            "thief": steal.thief, "victim": steal.victim, "times": steal.times, "tasks": steal.tasks,
        })),
        "handoffs": runtime.handoffs.iter().map(|(why, it)| (why.clone(), times(it))).collect::<Value>(),
        "retakes": runtime.retakes,
        "blocks": runtime.blocks.iter().map(|(what, it)| (what.clone(), times(it))).collect::<Value>(),
        "longest_blocks": all(&runtime.longest_blocks, |block| json!({
            "took": ns(block.took), "at": ns(block.at), "what": block.what, "thread": block.thread,
            "task": block.task.as_ref().map(task),
        })),
        "preempts": runtime.preempts,
        "overflows": counted(runtime.overflows),
        "injector_takes": counted(runtime.injector_takes),
        "plunders": counted(runtime.plunders),
        "timers_fired": runtime.timers_fired,
        "foreign": runtime.foreign,
        "starved": all(&runtime.starved, |starved| json!({
            "task": task(&starved.task), "longest": ns(starved.longest), "since": ns(starved.since),
            "times": starved.times, "still": starved.still,
        })),
        "kinds": all(&runtime.kinds, |kind| json!({
            "kind": *kind.kind, "runs": kind.runs, "exits": kind.exits, "running": ns(kind.running),
            "mean": ns(kind.mean()), "longest": ns(kind.longest), "waiting": ns(kind.waiting),
        })),
    })
}
