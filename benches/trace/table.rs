//! Tables on stdout, progress on stderr, and how figures are written.

use std::fs;
use std::io::{self, IsTerminal, Write, stderr, stdout};

/// What a section found. Each column is as wide as its widest cell; the first is set to the left.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) notes: Vec<String>,
}

/// The machine, before the first table.
pub(crate) fn head() -> io::Result<()> {
    let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    writeln!(stdout(), "{cores} cores, load {load} at the start")
}

impl Table {
    pub(crate) fn print(&self) -> io::Result<()> {
        progress("");
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.columns[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &[&str]| {
            let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut out = stdout().lock();
        writeln!(out, "\n{}\n\n{}", self.title, line(&self.columns))?;
        for row in &self.rows {
            writeln!(out, "{}", line(&row.iter().map(String::as_str).collect::<Vec<_>>()))?;
        }
        if !self.notes.is_empty() {
            writeln!(out)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
        out.flush()
    }
}

/// One line that is written over on a terminal, elsewhere nothing.
pub(crate) fn progress(what: &str) {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K{what}");
    }
}

/// The middle of at least one sample.
pub(crate) fn median(samples: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = samples.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    f64::midpoint(sorted[last / 2], sorted[last.div_ceil(2)])
}

/// By how much `on` is more than `off`.
pub(crate) fn percent(off: f64, on: f64) -> String {
    format!("{:+.1} %", (on / off - 1.0) * 100.0)
}
