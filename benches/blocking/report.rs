//! Tables on stdout, samples as CSV, progress on stderr, and how figures are written.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write, stderr, stdout};
use std::path::Path;

/// Where the results go.
pub(crate) struct Report {
    raw: Option<BufWriter<File>>,
    headed: bool,
}

/// What a section found. Each column is as wide as its widest cell; the first two are set to the left,
/// the others to the right.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) notes: Vec<String>,
}

impl Report {
    pub(crate) fn open(raw: Option<&Path>) -> io::Result<Report> {
        let create = |path: &Path| -> io::Result<BufWriter<File>> {
            let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
            let mut file = BufWriter::new(File::create(path).map_err(named)?);
            writeln!(file, "section,case,runtime,figure,sample,value")?;
            Ok(file)
        };
        Ok(Report { raw: raw.map(create).transpose()?, headed: false })
    }

    /// The machine and the command, before the first table.
    pub(crate) fn head(&mut self, procs: usize) -> io::Result<()> {
        if std::mem::replace(&mut self.headed, true) {
            return Ok(());
        }
        let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
        let linux = first_word("/proc/sys/kernel/osrelease");
        let load = first_word("/proc/loadavg");
        let ours = env!("CARGO_PKG_VERSION");
        let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
        let mut out = stdout().lock();
        write!(
            out,
            "{cores} cores, Linux {linux}, load {load} at the start; gmprt {ours} with {procs} Ps, "
        )?;
        writeln!(out, "tokio {} with {procs} workers", tokio_version())?;
        writeln!(out, "$ cargo bench --bench blocking -- {}", args.join(" "))
    }

    pub(crate) fn print(&mut self, table: &Table) -> io::Result<()> {
        clear_progress();
        let mut out = stdout().lock();
        let width = |column: usize| {
            let cells = table.rows.iter().map(|row| row[column].chars().count());
            cells.chain([table.columns[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
        let line = |cells: &[&str]| {
            let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0 | 1 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        writeln!(out, "\n{}\n\n{}", table.title, line(&table.columns))?;
        for row in &table.rows {
            writeln!(out, "{}", line(&row.iter().map(String::as_str).collect::<Vec<_>>()))?;
        }
        if !table.notes.is_empty() {
            writeln!(out)?;
        }
        table.notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
        out.flush()
    }

    /// Samples for `--raw`. No name may hold a comma.
    pub(crate) fn samples(
        &mut self,
        [section, case, runtime, figure]: [&str; 4],
        values: impl IntoIterator<Item = f64>,
    ) -> io::Result<()> {
        let Some(raw) = &mut self.raw else { return Ok(()) };
        for (sample, value) in values.into_iter().enumerate() {
            writeln!(raw, "{section},{case},{runtime},{figure},{sample},{value:.1}")?;
        }
        Ok(())
    }

    pub(crate) fn close(self) -> io::Result<()> {
        self.raw.map_or(Ok(()), |mut raw| raw.flush())
    }
}

/// The first word of a file of `/proc`; nothing where that is missing.
fn first_word(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace().next().unwrap_or_default().to_owned()
}

/// tokio does not say it itself.
fn tokio_version() -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let package = lock.split("[[package]]").find(|package| package.contains("\nname = \"tokio\"\n"));
    let line = package.and_then(|package| package.lines().find_map(|line| line.strip_prefix("version = ")));
    line.map_or("?", |version| version.trim_matches('"'))
}

/// One line that is written over on a terminal, elsewhere nothing.
pub(crate) fn progress(what: &str) {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K{what}");
    }
}

fn clear_progress() {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K");
    }
}

/// Sorted samples.
pub(crate) struct Sorted(Vec<f64>);

impl Sorted {
    pub(crate) fn new(mut samples: Vec<f64>) -> Sorted {
        samples.sort_by(f64::total_cmp);
        Sorted(samples)
    }

    /// The least sample that this share of all of them does not exceed; `None` of none.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied()
    }

    /// The `nth` largest, counted from 1.
    pub(crate) fn worst(&self, nth: usize) -> Option<f64> {
        self.0.len().checked_sub(nth).map(|at| self.0[at])
    }

    pub(crate) fn median(&self) -> f64 {
        let last = self.0.len() - 1;
        f64::midpoint(self.0[last / 2], self.0[last.div_ceil(2)])
    }
}

/// Nanoseconds as a figure of four digits or fewer, with its unit; `-` if there is none.
pub(crate) fn time(ns: impl Into<Option<f64>>) -> String {
    match ns.into() {
        None => "-".into(),
        Some(ns) if ns < 1e3 => format!("{ns:.1} ns"),
        Some(ns) if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        Some(ns) if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        Some(ns) => format!("{:.2} s", ns / 1e9),
    }
}
