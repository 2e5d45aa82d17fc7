//! Measures several things in alternation, and prints medians and a ratio. `benches/sync.rs` uses it too.
//!
//! Each entrant is warmed up, which also shows how many operations fill a round. Then they take turns, and whoever
//! begins a round ends the next, so that a slow phase of the machine meets all.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::time::Duration;

/// How long one entrant's part of a round takes, about.
const ROUND: Duration = Duration::from_millis(20);

/// A warm-up that takes this long says how many operations fill a round.
const WARM: Duration = Duration::from_millis(4);

/// A column of the table. The first is ours.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Whether ours is compared with it; else it is only shown.
    pub(crate) competes: bool,
}

/// How long so many operations take.
pub(crate) type Run<'a> = Box<dyn FnMut(u64) -> io::Result<Duration> + 'a>;

/// A row of the table: what each column has to do, where it can.
pub(crate) struct Row<'a> {
    pub(crate) name: &'static str,
    pub(crate) runs: Vec<Option<Run<'a>>>,
}

/// What is said above the table and where the figures go.
pub(crate) struct Table<'a> {
    pub(crate) title: String,
    pub(crate) columns: &'a [Column],
    pub(crate) rounds: u32,
    /// Name of the file in `target/bench/` for every round's figure.
    pub(crate) raw: &'static str,
}

impl Table<'_> {
    /// Measures all rows and prints each as soon as it is known.
    pub(crate) fn print(&self, rows: Vec<Row>) -> io::Result<()> {
        let mut raw = create(self.raw)?;
        writeln!(raw, "cell,peer,round,operations,ns")?;
        let mut out = stdout();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("?");
        let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
        writeln!(out, "{}; {cores} cores, load {load} at the start\n", self.title)?;
        let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        write!(out, "| {:width$} |", "ns")?;
        self.columns.iter().try_for_each(|column| write!(out, " {:>13} |", column.name))?;
        write!(out, "  ratio |\n|{:-<1$}|", "", width + 2)?;
        self.columns.iter().try_for_each(|_| write!(out, "{:->15}|", ":"))?;
        writeln!(out, "{:->8}|", ":")?;
        let mut ratios = Vec::new();
        for Row { name, mut runs } in rows {
            let medians = self.row(name, &mut runs, &mut raw)?;
            write!(out, "| {name:width$} |")?;
            for median in &medians {
                match median {
                    Some(ns) if *ns < 1000.0 => write!(out, " {ns:>13.1} |")?,
                    Some(ns) => write!(out, " {ns:>13.0} |")?,
                    None => write!(out, " {:>13} |", "–")?,
                }
            }
            let competing = medians.iter().zip(self.columns).skip(1).filter(|(_, column)| column.competes);
            let best = competing.filter_map(|(median, _)| *median).min_by(f64::total_cmp);
            match (medians[0], best) {
                (Some(ours), Some(best)) => {
                    ratios.push((best / ours, name));
                    writeln!(out, " {:>6.2} |", best / ours)?;
                }
                _ => writeln!(out, " {:>6} |", "–")?,
            }
            out.flush()?;
        }
        raw.flush()?;
        let fastest = ratios.iter().filter(|(ratio, _)| *ratio >= 1.0).count();
        let of = ratios.len();
        let Some((worst, at)) = ratios.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)) else { return Ok(()) };
        let ours = self.columns[0].name;
        writeln!(out, "\nratio: the fastest competitor's time over {ours}'s; above 1, {ours} is faster")?;
        writeln!(out, "{ours} is the fastest in {fastest} of {of} cells; worst ratio {worst:.2} ({at})")
    }

    /// The medians of a row's rounds.
    fn row(
        &self,
        name: &str,
        runs: &mut [Option<Run>],
        raw: &mut impl Write,
    ) -> io::Result<Vec<Option<f64>>> {
        let mut times = Vec::new();
        for run in runs.iter_mut() {
            progress(&format!("{name}: warming up"));
            times.push(match run {
                Some(run) => fill(run)?,
                None => 0,
            });
        }
        let mut samples = vec![Vec::new(); runs.len()];
        for round in 0..self.rounds as usize {
            progress(&format!("{name}: round {} of {}", round + 1, self.rounds));
            for turn in 0..runs.len() {
                let who = (round + turn) % runs.len();
                let Some(run) = &mut runs[who] else { continue };
                let ns = run(times[who])?.as_nanos() as f64 / times[who] as f64;
                writeln!(raw, "{name},{},{round},{},{ns:.2}", self.columns[who].name, times[who])?;
                samples[who].push(ns);
            }
        }
        progress("");
        Ok(samples.into_iter().map(median).collect())
    }
}

/// How many operations take a round's time, found by doing ever more.
fn fill(run: &mut Run) -> io::Result<u64> {
    let mut times = 64;
    loop {
        let took = run(times)?;
        if took >= WARM {
            let share = ROUND.as_secs_f64() / took.as_secs_f64();
            times = ((times as f64 * share) as u64).max(1);
            // Once more: the machine may have stopped us in the middle of what was a few microseconds' work.
            if run(times)? * 2 >= ROUND {
                return Ok(times);
            }
        }
        times *= 4;
    }
}

fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().checked_sub(1)?;
    Some(f64::midpoint(samples[last / 2], samples[last.div_ceil(2)]))
}

/// Where the raw figures go, and what a benchmark builds.
pub(crate) fn folder() -> io::Result<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench"));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn create(name: &str) -> io::Result<BufWriter<File>> {
    let path = folder()?.join(name);
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    File::create(&path).map(BufWriter::new).map_err(named)
}

/// One line that is written over on a terminal, elsewhere nothing.
fn progress(what: &str) {
    if stderr().is_terminal() {
        let _ = write!(stderr(), "\r\x1b[K{what}");
    }
}
