//! A table for the terminal: each column as wide as its widest cell.

use std::fmt;

/// Rows under a heading. The first column and those of names are set to the left, figures to the right.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    /// A line each, under the table.
    pub(crate) notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Table {
        Table { title: title.into(), columns: columns.to_vec(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    ///
    /// If it has not one cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl ToString>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.to_string()).collect();
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column of \"{}\"", self.title);
        self.rows.push(cells);
    }

    /// Adds a line under the table.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Whether a column holds figures: each of its cells is empty, or begins like a number.
    fn is_numeric(&self, column: usize) -> bool {
        let numeric = |cell: &String| {
            cell.is_empty()
                || cell
                    .trim_start_matches(['+', '-', '–', '~', '>', ' '])
                    .starts_with(|c: char| c.is_ascii_digit())
                || matches!(cell.as_str(), "-" | "–")
        };
        column > 0 && self.rows.iter().all(|row| numeric(&row[column]))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<(usize, bool)> = (0..self.columns.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| row[column].chars().count());
                let width = cells.chain([self.columns[column].chars().count()]).max().unwrap_or(0);
                (width, self.is_numeric(column))
            })
            .collect();
        let line = |f: &mut fmt::Formatter<'_>, cells: &mut dyn Iterator<Item = &str>| {
            let mut text = String::new();
            for (cell, &(width, numeric)) in cells.zip(&shape) {
                text += &if numeric { format!("{cell:>width$}   ") } else { format!("{cell:<width$}   ") };
            }
            writeln!(f, "{}", text.trim_end())
        };
        writeln!(f, "{}\n", self.title)?;
        line(f, &mut self.columns.iter().copied())?;
        for row in &self.rows {
            line(f, &mut row.iter().map(String::as_str))?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
