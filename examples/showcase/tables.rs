//! The results as text: a table for each scenario, as in the article, then the goals.

use crate::figures::{counted, grouped};
use crate::results::{self, Cell, Results, Row};
use crate::spec::{Job, Runtime};
use crate::table::Table;
use crate::units;

/// All of it.
pub(crate) fn text(results: &Results) -> String {
    let mut out = String::new();
    for scenario in ["token", "fan", "log"] {
        let cells: Vec<&Cell> = results.cells.iter().filter(|cell| cell.job.tag() == scenario).collect();
        if !cells.is_empty() {
            out += &format!("{}\n", table(scenario, &cells, results));
        }
    }
    for goal in &results.goals {
        let verdict = if goal.reached == goal.of { "reached" } else { "NOT reached" };
        out += &format!("{}: {verdict}, {} of {}, worst {}\n", goal.what, goal.reached, goal.of, goal.worst);
    }
    for what in &results.left_out {
        out += &format!("left out: {what}\n");
    }
    out
}

fn table(scenario: &str, cells: &[&Cell], results: &Results) -> Table {
    let (title, extra): (_, &[&'static str]) = match scenario {
        "token" => ("token bucket, 100 tokens a second", &["accepted/s", "refused"]),
        "fan" => ("fan-out/fan-in, two channels of 100", &[]),
        _ => ("batched log, a channel of 1,000", &["lines", "unwritten"]),
    };
    let columns = ["case", "concurrency", "runtime", "throughput", "p50", "p99", "memory"];
    let mut table = Table::new(
        format!(
            "{title}; {}, median of {}",
            counted(results.procs as u64, "thread"),
            counted(results.rounds, "round")
        ),
        &[&columns[..], extra, &["gmprt ×", "p99 ×"]].concat(),
    );
    for cell in cells {
        for (i, row) in cell.rows.iter().enumerate() {
            let first = |text: String| if i == 0 { text } else { String::new() };
            let mut line = vec![
                first(cell.job.case()),
                first(grouped(cell.job.concurrency())),
                row.runtime.name().into(),
                format!("{}/s", grouped(row.throughput.round() as u64)),
                units::duration(row.timed(row.p50_ns)),
                units::duration(row.timed(row.p99_ns)),
                units::growth(row.growth_bytes),
            ];
            line.extend(extra_cells(&cell.job, row));
            line.extend([row.throughput_ratio, row.p99_ratio].map(|r| r.map_or(String::new(), units::ratio)));
            table.row(line);
        }
    }
    notes(scenario, cells, &mut table);
    table
}

/// The cells of the columns that only this scenario has.
fn extra_cells(job: &Job, row: &Row) -> Vec<String> {
    match job {
        Job::Token { .. } => vec![units::count(row.accepted()), units::percent(row.refused())],
        Job::Fan { .. } => vec![],
        Job::Log { .. } => ["sent", "unwritten"].map(|name| grouped(row.count(name) as u64)).to_vec(),
    }
}

fn notes(scenario: &str, cells: &[&Cell], table: &mut Table) {
    table.note(match scenario {
        "token" => "p50, p99: from when a request was due (open loop), or the client's last answer (closed), to the decision",
        "fan" => "p50, p99: from an item's making to its collection; every 61st is timed",
        _ => "p50, p99: how long sending a line takes; every 61st is timed. Each line was found in the file, unless the end says no",
    });
    table.note("memory:   how much the process grew from before the runtime's start to its highest");
    table.note("gmprt ×:  throughput of gmprt over this one's; p99 ×: p99 of this one over gmprt's. Above 1, gmprt is better");
    if scenario == "fan" {
        saturation(cells, table);
    }
    table.note(match scenario {
        "token" => "article:  Go, 1,000 clients: 9,870/s, p99 0.78 ms, +2.1 MB, 98 % refused",
        "fan" => "article:  Go, W = 4: 126,000/s; W = 8, where it saturates: 141,000/s, p99 1.2 ms, +4.3 MB",
        _ => "article:  Go, 5,000 producers: 48,200/s, p99 3.5 ms, +1.8 MB; its log overwrites itself, this one does not",
    });
}

/// Where more workers no longer help.
fn saturation(cells: &[&Cell], table: &mut Table) {
    let mut producers: Vec<u32> = cells.iter().map(|cell| cell.job.concurrency()).collect();
    producers.dedup();
    for producers in producers {
        let each = [Runtime::Gmprt, Runtime::Tokio, Runtime::Go].into_iter().filter_map(|runtime| {
            let mut points: Vec<(u32, f64)> =
                cells.iter().filter_map(|cell| point(cell, producers, runtime)).collect();
            points.sort_by_key(|point| point.0);
            let name = runtime.name();
            match results::saturation(points.iter().map(|point| point.1)) {
                _ if points.is_empty() => None,
                None => Some(format!("{name} not yet")),
                Some(at) => Some(format!("{name} at W = {} ({})", points[at].0, units::rate(points[at].1))),
            }
        });
        let each: Vec<String> = each.collect();
        table.note(format!("saturates with {}: {}", counted(producers, "producer"), each.join(", ")));
    }
}

fn point(cell: &Cell, among: u32, runtime: Runtime) -> Option<(u32, f64)> {
    let Job::Fan { workers, producers, .. } = cell.job else { return None };
    let row = cell.row(runtime)?;
    (producers == among).then_some((workers, row.throughput))
}
