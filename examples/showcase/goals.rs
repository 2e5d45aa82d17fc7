//! What the showcase should show, and whether it did. Nothing here changes the exit code: a busy machine is no fault.

use crate::results::{Cell, Goal, Row};
use crate::spec::{Job, Runtime};

/// Each goal for which there are figures.
pub(crate) fn of(cells: &[Cell]) -> Vec<Goal> {
    let fan = |cell: &Cell| matches!(cell.job, Job::Fan { .. });
    let all = |_: &Cell| true;
    [
        goal(
            cells,
            "fan-out/fan-in: throughput at least 1.5 times tokio's",
            fan,
            Runtime::Tokio,
            1.5,
            throughput,
        ),
        goal(cells, "fan-out/fan-in: throughput no lower than Go's", fan, Runtime::Go, 1.0, throughput),
        goal(cells, "p99 no higher than tokio's", all, Runtime::Tokio, 1.0, p99),
        goal(cells, "memory growth no larger than tokio's", all, Runtime::Tokio, 1.0, memory),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How much better gmprt is, as a ratio: above 1 is better.
type Better = fn(gmprt: &Row, other: &Row) -> f64;

fn throughput(gmprt: &Row, other: &Row) -> f64 {
    gmprt.throughput / other.throughput
}

fn p99(gmprt: &Row, other: &Row) -> f64 {
    other.p99_ns / gmprt.p99_ns
}

/// 1 where neither grew.
fn memory(gmprt: &Row, other: &Row) -> f64 {
    (other.growth_bytes + 1.0) / (gmprt.growth_bytes + 1.0)
}

/// In how many of the cells that count gmprt is better than `other` by the factor `least`; none if there are no figures.
fn goal(
    cells: &[Cell],
    what: &str,
    counts: impl Fn(&Cell) -> bool,
    other: Runtime,
    least: f64,
    better: Better,
) -> Option<Goal> {
    let ratios: Vec<(f64, &Cell)> = cells
        .iter()
        .filter(|cell| counts(cell))
        .filter_map(|cell| {
            let ratio = better(cell.row(Runtime::Gmprt)?, cell.row(other)?);
            ratio.is_finite().then_some((ratio, cell)) // nothing was timed, say
        })
        .collect();
    let (worst, at) = ratios.iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(Goal {
        what: what.into(),
        reached: ratios.iter().filter(|(ratio, _)| *ratio >= least).count(),
        of: ratios.len(),
        worst: format!("{worst:.2} at {}, {}", at.job.tag(), at.job.case()),
    })
}
