//! The track of a P: one slice at a time.
//!
//! Go counterpart: `cmd/trace/procgen.go`.
//!
//! ```text
//!   ─ run ─┐┌─ spin ─┐┌ steal ┐┌── run ──┐┌── hand-off ──┐┌─ run ─┐┌─ idle …
//! ```
//!
//! L1. A slice begins where the one before it has ended, or later, and is 1 ns long at least: none overlap.
//! L2. A slice that an arrow leaves ends later than that.
//!
//! Absent: who holds the P, by the records' word (`timeline.rs`).

use super::tasks::{Source, Woke};
use crate::trace::chrome::{By, Place, Us};
use serde::Serialize;

/// A poll, as its P's track shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) g: u64,
    pub(super) kind: u32,
    pub(super) seq: u8,
    pub(super) m: Option<u32>,
    pub(super) wait: u64,
    pub(super) woke: Woke,
    pub(super) by: Option<By>,
    pub(super) flow: Option<Source>,
    pub(super) steal: Option<u64>,
    /// It goes on after its P was lost and another was found.
    pub(super) resumed: bool,
}

#[derive(Serialize)]
pub(super) struct RunArgs<'a> {
    pub(super) g: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) m: Option<u32>,
    pub(super) wait_us: Us,
    pub(super) end: &'static str,
    pub(super) seq: u8,
    pub(super) woke: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<By>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) resumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) site: Option<&'a str>,
}

/// What is open on the track.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Run(Run),
    Spin,
    Timers,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) start: u64,
    /// The end is not before this (L2).
    pub(super) least: u64,
    pub(super) what: What,
}

/// Why the last holder let it go, and what is known of that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) m: Option<u32>,
    /// `None`: it went idle.
    pub(super) why: Option<&'static str>,
    /// Where its M's slice ended.
    pub(super) flow: Option<(Place, u64)>,
    /// It had tasks in its queue.
    pub(super) work: bool,
}

/// A P.
pub(super) struct Processor {
    pub(super) at: Place,
    /// The slot of the thread that holds it.
    pub(super) holder: Option<usize>,
    pub(super) turn: Option<u16>,
    /// Nothing is known of it: who holds it, if anybody.
    pub(super) unknown: bool,
    /// The end of the last slice (L1).
    pub(super) end: u64,
    pub(super) open: Option<Open>,
    pub(super) left: Option<Left>,
    /// Where the arrow of the last steal begins, until the next run.
    pub(super) steal: Option<u64>,
    /// How many tasks are in its queue.
    pub(super) queue: u64,
}

impl Processor {
    pub(super) fn new(p: u16, from: u64) -> Self {
        Self {
            at: Place::p(p),
            holder: None,
            turn: None,
            unknown: true,
            end: from,
            open: None,
            left: None,
            steal: None,
            queue: 0,
        }
    }

    pub(super) fn open(&mut self, t: u64, what: What) {
        let start = t.max(self.end);
        self.open = Some(Open { start, least: start + 1, what });
    }

    /// Closes what is open. Nothing is left of it if `show` is not given.
    pub(super) fn close(&mut self, t: u64, show: bool) -> Option<(u64, u64, What)> {
        let open = self.open.take()?;
        if !show && open.least == open.start + 1 {
            return None; // no arrow leaves it
        }
        self.end = t.max(open.least);
        Some((open.start, self.end, open.what))
    }

    /// A slice that is over already. None may be open.
    pub(super) fn whole(&mut self, start: u64, t: u64, least: u64) -> (u64, u64) {
        let start = start.max(self.end);
        self.end = t.max(start + least);
        (start, self.end)
    }

    /// An arrow leaves the open slice at about `t`.
    pub(super) fn source(&mut self, t: u64, what: &'static str) -> Option<Source> {
        let open = self.open.as_mut()?;
        if matches!(open.what, What::Spin) {
            return None;
        }
        let ts = t.max(open.start + 1);
        open.least = open.least.max(ts + 1);
        Some(Source { at: self.at, ts, what })
    }
}
