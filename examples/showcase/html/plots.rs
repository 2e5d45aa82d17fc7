//! The three kinds of plot, from what was measured to points on a chart. None where there is nothing to draw.

use super::axis::{self, Axis};
use super::chart::{Chart, Line};
use crate::results::{Cell, Row, saturation as saturated};
use crate::spec::Runtime;
use crate::units;

/// With how many workers a runtime is saturated; none if it gained up to the last. One point alone tells nothing.
pub(crate) type Saturation = Vec<(Runtime, Option<u32>)>;

/// Throughput by workers. `cells` are those of one number of producers, by workers.
pub(crate) fn throughput(cells: &[(u32, &Cell)]) -> Option<(Chart, Saturation)> {
    let mut saturation = Saturation::new();
    let mut lines = Vec::new();
    for runtime in [Runtime::Gmprt, Runtime::Tokio, Runtime::Go] {
        let rows = cells.iter().filter_map(|&(w, cell)| {
            let row = cell.row(runtime)?;
            is_figure(row.throughput).then_some((w, row))
        });
        let rows: Vec<(u32, &Row)> = rows.collect();
        let ringed = saturated(rows.iter().map(|(_, row)| row.throughput));
        if rows.len() > 1 && rows.iter().any(|(_, row)| row.throughput > 0.0) {
            saturation.push((runtime, ringed.map(|at| rows[at].0)));
        }
        lines.push(Line {
            runtime,
            points: rows.iter().map(|(w, row)| (f64::from(*w).log2(), row.throughput)).collect(),
            spread: rows.iter().map(|(_, row)| spread(row)).collect(),
            ringed,
        });
    }
    let counts: Vec<u32> = cells.iter().map(|cell| cell.0).collect();
    let top = highest(lines.iter().flat_map(|line| &line.spread).map(|ends| ends.1));
    let x = Axis::log_counts("workers, W", &counts);
    Some((chart(x, Axis::linear("items a second", top, 1.0, units::count), lines)?, saturation))
}

/// How long the slowest took, by percentile.
pub(crate) fn latency(cell: &Cell) -> Option<Chart> {
    let lines: Vec<Line> = cell
        .rows
        .iter()
        .map(|row| Line {
            runtime: row.runtime,
            points: percentiles(&row.latencies),
            spread: vec![],
            ringed: None,
        })
        .collect();
    let y = |line: &Line| line.points.iter().map(|point| 10f64.powf(point.1)).collect::<Vec<f64>>();
    let all: Vec<f64> = lines.iter().flat_map(y).collect();
    let lowest = all.iter().copied().min_by(f64::total_cmp)?;
    let axis = Axis::log_duration("latency, log scale", lowest, highest(all));
    chart(Axis::percentiles("percentile, each step ten times rarer"), axis, lines)
}

/// Growth of memory over time, in one round.
pub(crate) fn memory(cell: &Cell) -> Option<Chart> {
    let points = |row: &Row| {
        let known = row.memory.iter().filter(|sample| is_figure(sample.0));
        known.map(|&(seconds, bytes)| (seconds, bytes as f64)).collect::<Vec<(f64, f64)>>()
    };
    let line = |row: &Row| Line { runtime: row.runtime, points: points(row), spread: vec![], ringed: None };
    let lines: Vec<Line> = cell.rows.iter().map(line).collect();
    let seconds = highest(lines.iter().flat_map(|line| &line.points).map(|point| point.0));
    let top = highest(lines.iter().flat_map(|line| &line.points).map(|point| point.1));
    let unit = [1024.0 * 1024.0, 1024.0].into_iter().find(|&unit| top >= unit).unwrap_or(1.0);
    let y = Axis::linear("private memory, growth", top, unit, units::bytes);
    chart(Axis::seconds("seconds since the start", seconds), y, lines)
}

/// Lines without points are not drawn; without lines there is no chart.
fn chart(x: Axis, y: Axis, mut lines: Vec<Line>) -> Option<Chart> {
    lines.retain(|line| !line.points.is_empty());
    (!lines.is_empty()).then_some(Chart { x, y, lines })
}

/// Lowest and highest of a row's rounds, and the median itself, which may be all there is.
fn spread(row: &Row) -> (f64, f64) {
    let rounds = || row.throughput_by_round.iter().copied().filter(|&round| is_figure(round));
    (rounds().fold(row.throughput, f64::min), rounds().fold(row.throughput, f64::max))
}

/// Coordinates of the percentiles from 50 % up, as far as there are enough samples to have one: that of 99.9 % takes a
/// thousand.
fn percentiles(latencies: &[(u64, u64)]) -> Vec<(f64, f64)> {
    let total: u64 = latencies.iter().map(|step| step.1).sum();
    let known = axis::nines(1.0 - 1.0 / total as f64);
    let mut points = Vec::new();
    let mut steps = latencies.iter();
    let (mut ns, mut so_far) = (0, 0);
    for step in 0u32.. {
        let at = axis::nines(0.5) + f64::from(step) * 0.02;
        if total == 0 || at > known.min(axis::nines(0.9999)) + 1e-9 {
            break;
        }
        let rank = (total as f64 * (1.0 - 10f64.powf(-at))).ceil() as u64;
        while so_far < rank {
            let Some(next) = steps.next() else { break };
            (ns, so_far) = (next.0, so_far + next.1);
        }
        points.push((at, (ns.max(1) as f64).log10())); // an axis of decades has no 0
    }
    points
}

/// The greatest, or 0.
fn highest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().filter(|&value| is_figure(value)).fold(0.0, f64::max)
}

/// Whether there is a place for it on an axis that begins at 0.
fn is_figure(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}
