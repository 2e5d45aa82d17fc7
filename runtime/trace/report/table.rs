//! Columns for the terminal, and figures that fit them.
//!
//! Go counterpart: `text/tabwriter`.
//!
//! ```text
//!   P       polls     busy      a column is as wide as its widest cell; figures end at its right edge, words begin at its left one
//!   P0      1 204   93.1 %
//! ```
//!
//! L1. What comes from the file is printed without control characters, and not longer than [`WIDEST`].
//!
//! Absent: colours, and wrapping.

use std::fmt::{self, Write};
use std::time::Duration;

/// Characters of a cell; what is longer loses its beginning, for names of files end with what tells them apart.
const WIDEST: usize = 48;

/// A row of titles, and rows.
pub(super) struct Table {
    titles: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A title that begins with `>` is that of a column of figures.
    pub(super) fn new(titles: &[&str]) -> Self {
        Self::titled(titles.iter().map(|&title| title.to_owned()).collect())
    }

    pub(super) fn titled(titles: Vec<String>) -> Self {
        Self { titles, rows: Vec::new() }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.row_of(cells.into());
    }

    pub(super) fn row_of(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.titles.len(), "a cell for each column");
        self.rows.push(cells.iter().map(|cell| clean(cell)).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles: Vec<String> =
            self.titles.iter().map(|title| title.trim_start_matches('>').to_owned()).collect();
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&titles]).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..titles.len()).map(width).collect();
        for row in [&titles].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, &width), title) in row.iter().zip(&widths).zip(&self.titles) {
                match title.starts_with('>') {
                    true => write!(line, "  {cell:>width$}")?,
                    false => write!(line, "  {cell:<width$}")?,
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Without control characters, and of bounded length (L1).
pub(super) fn clean(text: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let n = text.chars().count();
    if n <= WIDEST {
        return text.chars().map(clean).collect();
    }
    let end = text.chars().skip(n - WIDEST + 1);
    ['…'].into_iter().chain(end.map(clean)).collect()
}

/// A duration in three figures.
pub(super) fn time(time: Duration) -> String {
    let ns = time.as_nanos();
    let (unit, scale) = match ns {
        0 => return "0".to_owned(),
        1..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => ("µs", 1e3),
        1_000_000..1_000_000_000 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    let figure = ns as f64 / scale;
    // The bounds are where the next lower number of decimals would show four figures.
    let decimals = match figure {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{figure:.decimals$} {unit}")
}

/// A moment: to the µs, for it is to be found in a viewer.
pub(super) fn moment(at: Duration) -> String {
    format!("{}.{:06} s", at.as_secs(), at.subsec_micros())
}

/// A count, its digits in threes.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole, in per cent.
pub(super) fn share(part: Duration, whole: Duration) -> String {
    if part.is_zero() || whole.is_zero() {
        return "0".to_owned();
    }
    let percent = part.as_secs_f64() / whole.as_secs_f64() * 100.0;
    if percent < 0.05 { "< 0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

/// `1 task`, `2 tasks`.
pub(super) fn several(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_printed_for_people() {
        let times = [0, 1, 999, 1_000, 9_994, 9_995, 12_345, 99_949, 123_456, 1_234_567, 61_000_000_000];
        let texts = times.map(|ns| time(Duration::from_nanos(ns)));
        let want = ["0", "1 ns", "999 ns", "1.00 µs", "9.99 µs", "10.0 µs", "12.3 µs", "99.9 µs", "123 µs"];
        assert_eq!(texts[..9], want);
        assert_eq!(texts[9..], ["1.23 ms", "61.0 s"]);
        assert_eq!([0, 7, 1_000, 123_456, 1_234_567].map(count), ["0", "7", "1 000", "123 456", "1 234 567"]);
        assert_eq!(moment(Duration::from_nanos(1_000_002_999)), "1.000002 s");
        let s = Duration::from_secs;
        assert_eq!(share(s(1), s(3)), "33.3 %");
        assert_eq!(share(s(1), s(3_000)), "< 0.1 %");
        assert_eq!(share(s(0), s(0)), "0");
        assert_eq!([several(1, "task"), several(2, "task")], ["1 task", "2 tasks"]);
    }

    #[test]
    fn columns_stand_below_each_other_and_nothing_from_the_file_breaks_them() {
        let mut table = Table::new(&["task", ">runs"]);
        table.row(["a\nb\u{1b}".to_owned(), "7".to_owned()]);
        table.row(["µ".to_owned(), "10 000".to_owned()]);
        assert_eq!(table.to_string(), "  task    runs\n  a\u{fffd}b\u{fffd}       7\n  µ     10 000\n");
        let long = clean(&"x".repeat(60));
        assert!(long.starts_with("…x") && long.chars().count() == WIDEST);
    }
}
