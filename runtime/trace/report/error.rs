//! Why a file could not be read as a trace.
//!
//! Go counterpart: the errors of `internal/trace.NewReader`, "not a Go execution trace".
//!
//! ```text
//!   a file ─▶ Open, Read ─▶ gzip: GzipCut, GzipBroken ─▶ Empty ─▶ NotJson ─▶ NoTrace ─▶ Foreign ─▶ a trace
//! ```
//!
//! Each is a clause about the file, so that "trace.json: " may stand before it.
//!
//! Absent: errors for events that are not understood; they are counted ([`super::Report::unknown_events`]).

use std::error::Error;
use std::fmt;
use std::io;

/// Why a file could not be read as a trace of gmprt.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReportError {
    /// The file is not there, or may not be opened.
    Open(io::Error),
    /// It cannot be read, or not to its end.
    Read(io::Error),
    /// There is not one byte in it but white space.
    Empty,
    /// It is not JSON.
    NotJson {
        /// The offset of the value that is at fault, in bytes (of what was compressed, if it was).
        at: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It is JSON, but there is no list of trace events in it, or an empty one.
    NoTrace,
    /// It is a trace in Chrome's format, and gmprt did not write it.
    Foreign {
        /// How many events there are in it.
        events: u64,
    },
    /// It is compressed, and its last part is missing.
    GzipCut {
        /// How many events stand before the cut.
        events: u64,
    },
    /// It begins like a gzip file, and is none or is damaged.
    GzipBroken(io::Error),
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(why) => write!(f, "the file cannot be opened: {why}"),
            Self::Read(why) => write!(f, "the file cannot be read: {why}"),
            Self::Empty => write!(f, "the file is empty"),
            Self::NotJson { at, why } => write!(f, "this is not JSON: {why} (at byte {at})"),
            Self::NoTrace => write!(f, "this is JSON but no trace: there is no trace event in it"),
            Self::Foreign { events } => {
                write!(
                    f,
                    "this is a Chrome trace ({events} events), but not one of gmprt's: none of its processes is"
                )
            }
            Self::GzipCut { events } => {
                write!(f, "the compressed file is cut: its end is missing, after {events} whole events")
            }
            Self::GzipBroken(why) => write!(f, "the compressed file is damaged: {why}"),
        }
    }
}

impl Error for ReportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Open(why) | Self::Read(why) | Self::GzipBroken(why) => Some(why),
            _ => None,
        }
    }
}
