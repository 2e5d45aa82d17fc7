//! Sums a trace up: what a person asks first.
//!
//! Go counterpart: `go tool trace`'s goroutine analysis and scheduler latency profile (`cmd/trace`).
//!
//! ```text
//!   file ─▶ scan.rs: values ─▶ event.rs: events ─▶ tally.rs, feed.rs: sums by runtime ─▶ sum.rs ─▶ Report ─▶ print.rs
//! ```
//!
//! R1. The report knows nothing but the file: it is made for files that other programs wrote, on other machines.
//! R2. A figure is exact, or it is not there: percentiles are taken from all values, and what is only a lower bound is counted
//!     apart ([`RuntimeReport::from_start`]).
//! R3. A cut file, unknown events and unknown arguments are no errors; they are stated.
//!
//! Absent: what needs the picture: who waited for whom over several steps. For that there are the viewers.

mod error;
mod event;
mod feed;
mod figures;
mod print;
mod scan;
mod sum;
mod table;
mod tally;

pub use error::ReportError;
pub use figures::{
    About, Block, Kind, Latency, Poll, ProcessorReport, RuntimeReport, Starved, Steals, TaskName, Times, Wait,
};

use event::Parsed;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;
use tally::Tally;

/// How many of the worst are listed.
const LISTED: usize = 10;

/// The first two bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a trace file says, summed up; `{}` prints it.
///
/// # Examples
///
/// ```
/// use gmprt::trace::Report;
///
/// let file = r#"[
/// {"ph":"M","name":"process_name","pid":2,"tid":0,"args":{"name":"P: processors"}},
/// {"ph":"X","cat":"run","name":"worker G7","pid":2,"tid":100,"ts":10.000,"dur":2.500,
///  "args":{"g":7,"m":1,"wait_us":10.000,"end":"block","seq":2,"woke":"spawn"}},
/// "#; // its program was killed: there is no `]`
/// let report = Report::read(file.as_bytes())?;
/// let runtime = &report.runtimes[0];
/// assert_eq!(runtime.processors[0].polls, 1);
/// assert_eq!(runtime.woken.max.as_micros(), 10);
/// # Ok::<(), gmprt::trace::ReportError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// The runtimes of the file, in the order of their process ids. There is at least one.
    pub runtimes: Vec<RuntimeReport>,
    /// How the file ends.
    pub ending: Ending,
    /// Events in the file, of whatever form.
    pub events: u64,
    /// Events among them that the report does not know.
    pub unknown_events: u64,
    /// Arguments, of events that it knows, that it does not know.
    pub unknown_args: u64,
    /// From how long a wait on a task counts as starved.
    pub starved_after: Duration,
}

/// How a trace file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// With the end of its list of events.
    Whole,
    /// After an event, with the list unfinished: the program was killed, or is still at it.
    BetweenEvents,
    /// In the middle of an event, which is left out.
    InsideEvent,
}

impl Report {
    /// Reads a trace: Chrome JSON as gmprt writes it, plain or in gzip, whole or cut.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is no trace of gmprt's; [`ReportError`] says which.
    pub fn read(from: impl Read) -> Result<Self, ReportError> {
        ReportOptions::new().read(from)
    }

    /// Reads the trace in this file.
    ///
    /// # Errors
    ///
    /// As [`Report::read`], and if the file is not there.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ReportError> {
        ReportOptions::new().load(path)
    }
}

/// How a report is to be made.
///
/// # Examples
///
/// ```
/// use gmprt::trace::ReportOptions;
/// use std::time::Duration;
///
/// let missing = ReportOptions::new().starved_after(Duration::from_millis(1)).load("no/such/file.json");
/// assert!(missing.unwrap_err().to_string().starts_with("the file cannot be opened"));
/// ```
#[derive(Debug, Clone)]
pub struct ReportOptions {
    starved_after: Duration,
}

impl Default for ReportOptions {
    fn default() -> Self {
        // 10 ms: sysmon asks a poll to yield after as much, so with a free P nobody waits longer (Go: `forcePreemptNS`).
        Self { starved_after: Duration::from_millis(10) }
    }
}

impl ReportOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From how long a wait on a task that could run counts as starved; 10 ms by default.
    #[must_use]
    pub fn starved_after(mut self, wait: Duration) -> Self {
        self.starved_after = wait;
        self
    }

    /// As [`Report::load`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Report, ReportError> {
        self.read(File::open(path).map_err(ReportError::Open)?)
    }

    /// As [`Report::read`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn read(&self, mut from: impl Read) -> Result<Report, ReportError> {
        let mut head = Vec::new();
        from.by_ref().take(GZIP.len() as u64).read_to_end(&mut head).map_err(ReportError::Read)?;
        let compressed = head == GZIP;
        let whole = BufReader::with_capacity(1 << 16, io::Cursor::new(head).chain(from));
        let mut tally = Tally::new(self.starved_after);
        if !compressed {
            let ending = tally.read(whole)?;
            return tally.finish(ending);
        }
        // A file that was written while the program ran has a gzip member for each piece.
        let read = tally.read(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(whole)));
        match read {
            Ok(ending) => tally.finish(ending),
            Err(ReportError::Read(why)) => Err(match why.kind() {
                io::ErrorKind::UnexpectedEof => ReportError::GzipCut { events: tally.events() },
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ReportError::GzipBroken(why),
                _ => ReportError::Read(why),
            }),
            Err(other) => Err(other),
        }
    }
}

impl Tally {
    /// Reads the events of a file.
    fn read(&mut self, from: impl BufRead) -> Result<Ending, ReportError> {
        scan::events(from, |text| {
            match event::parse(text)? {
                Parsed::Event(event) => self.add(&event),
                Parsed::Strange => self.add_strange(),
                Parsed::Other => {}
            }
            Ok(())
        })
    }
}
