//! A scenario's table: a row for each runtime of each case.

use maud::{Markup, html};

use crate::figures::{counted, grouped};
use crate::results::{Cell, Row};
use crate::spec::Job;
use crate::units;

/// A column of figures.
struct Column {
    heading: &'static str,
    /// NaN where there is none.
    figure: fn(&Row) -> f64,
    text: fn(f64) -> String,
    best: Best,
}

/// Which figure of a case is the best.
#[derive(Clone, Copy, PartialEq)]
enum Best {
    Highest,
    Lowest,
    /// It is no contest.
    Neither,
}

/// How far, as a share, the best must be ahead of the second to be set off.
const AHEAD: f64 = 0.01;

/// The table of cells that are of one scenario.
pub(crate) fn table(cells: &[&Cell]) -> Markup {
    let columns = columns(cells.first().map(|cell| &cell.job));
    html! {
        div.wide tabindex="0" { table {
            thead { tr {
                th { "case" }
                th { "runtime" }
                @for column in &columns { th.figure { (column.heading) } }
            } }
            @for cell in cells { tbody {
                @for (i, row) in cell.rows.iter().enumerate() { tr {
                    @if i == 0 { th.case scope="rowgroup" rowspan=(cell.rows.len()) { (case(&cell.job)) } }
                    th scope="row" { (row.runtime.name()) }
                    @for column in &columns {
                        @let is_best = best(column, cell) == Some(i);
                        td.figure.best[is_best] { ((column.text)((column.figure)(row))) }
                    }
                } }
            } }
        } }
    }
}

/// A case in words: "W = 4, 1,000 producers".
pub(crate) fn case(job: &Job) -> String {
    match *job {
        Job::Token { clients, .. } => format!("{}, {}", job.case(), counted(clients, "client")),
        Job::Fan { .. } => job.case(),
        Job::Log { producers, .. } => format!("{}, {}", job.case(), counted(producers, "producer")),
    }
}

fn columns(job: Option<&Job>) -> Vec<Column> {
    let column = |heading, figure, text, best| Column { heading, figure, text, best };
    let operations = match job {
        Some(Job::Token { .. }) => "decisions",
        Some(Job::Fan { .. }) => "items",
        _ => "lines",
    };
    let mut columns = vec![
        column(operations, |row| row.throughput, units::rate, Best::Highest),
        column("lowest round", |row| round(row, f64::min), units::rate, Best::Neither),
        column("highest round", |row| round(row, f64::max), units::rate, Best::Neither),
        column("p50", |row| row.timed(row.p50_ns), units::duration, Best::Lowest),
        column("p99", |row| row.timed(row.p99_ns), units::duration, Best::Lowest),
        column("memory", |row| row.growth_bytes, units::growth, Best::Lowest),
        column(
            "gmprt's speed ÷ its",
            |row| row.throughput_ratio.unwrap_or(f64::NAN),
            units::ratio,
            Best::Neither,
        ),
        column("its p99 ÷ gmprt's", |row| row.p99_ratio.unwrap_or(f64::NAN), units::ratio, Best::Neither),
    ];
    match job {
        Some(Job::Token { .. }) => columns.extend([
            column("accepted", Row::accepted, units::rate, Best::Neither),
            column("refused", Row::refused, units::percent, Best::Neither),
        ]),
        Some(Job::Log { .. }) => columns.extend([
            column("sent", |row| row.count("sent"), lines, Best::Neither),
            column("written", |row| row.count("written"), lines, Best::Neither),
            column("unwritten", |row| row.count("unwritten"), lines, Best::Neither),
        ]),
        _ => {}
    }
    columns
}

/// The row with the best figure, if it is clearly that.
fn best(column: &Column, cell: &Cell) -> Option<usize> {
    let figures = cell.rows.iter().map(|row| (column.figure)(row)).enumerate();
    let mut order: Vec<(usize, f64)> = figures.filter(|figure| figure.1.is_finite()).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    match column.best {
        Best::Neither => return None,
        Best::Highest => order.reverse(),
        Best::Lowest => {}
    }
    let [(first, best), (_, second), ..] = *order else { return None };
    ((best - second).abs() > AHEAD * best.abs().max(second.abs())).then_some(first)
}

/// The lowest or highest of a row's rounds.
fn round(row: &Row, choose: fn(f64, f64) -> f64) -> f64 {
    row.throughput_by_round.iter().copied().reduce(choose).unwrap_or(f64::NAN)
}

/// Each line counts, so each digit does.
fn lines(n: f64) -> String {
    if n.is_finite() { grouped(n as u64) } else { units::count(n) }
}
