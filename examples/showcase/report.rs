//! The table on stdout, the one line of a failure on stderr, and how figures are written.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// What a scenario found. Each column is as wide as its widest cell; all but the names are set to the right.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) notes: Vec<String>,
}

/// Why there is no table. One sentence for the user.
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(sentence: String) -> Failure {
        Failure(sentence)
    }
}

/// Prints the table. A reader who has gone away (`| head -1`) is no failure and gets no message.
pub(crate) fn print(table: &Table) -> ExitCode {
    let mut out = io::stdout().lock();
    match write!(out, "{table}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => fail(&Failure(format!("cannot write the table: {e}"))),
        _ => ExitCode::SUCCESS,
    }
}

/// Says why on stderr; exit code 1.
pub(crate) fn fail(failure: &Failure) -> ExitCode {
    // Not `eprintln!`, which panics where stderr is closed.
    let _ = writeln!(io::stderr(), "showcase: {}", failure.0);
    ExitCode::from(1)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.columns[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut line = |cells: &[&str]| -> fmt::Result {
            let padded = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}"));
            writeln!(f, "{}", padded.collect::<Vec<_>>().join("   ").trim_end())
        };
        line(&[&self.title])?;
        line(&[])?;
        line(self.columns)?;
        for row in &self.rows {
            line(&row.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        line(&[])?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(n: impl Into<u128>) -> String {
    let digits = n.into().to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 item`, `2,000 items`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(n))
}

/// Nanoseconds as `12.3 µs`; one unit throughout, so that a column can be compared at a glance.
pub(crate) fn micros(ns: f64) -> String {
    format!("{:.1} µs", ns / 1_000.0)
}

/// Bytes as `+12 KiB`.
pub(crate) fn kib(bytes: u64) -> String {
    format!("+{} KiB", grouped(bytes / 1024))
}
