//! A thread, and its track: which P it holds, and what it does besides.
//!
//! Go counterpart: `cmd/trace/threadgen.go`.
//!
//! ```text
//!   ┌────── P2 ──────────┐ ┌ parked ┐ ┌──── P0 ────┐
//!   │ blocked (declared) │─ blocked (retaken) ┐
//! ```
//!
//! L1. A slice begins where the one before it has ended, or later; one within a P's slice is within it whole.
//!
//! Absent: the P's own track (`processor.rs`).

use crate::trace::chrome::{Nothing, Place, Writer};
use serde::Serialize;

/// What a thread does that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Blocked,
    BlockedRetaken(&'static str),
    ComputingRetaken,
    Parked,
    Polling,
    InLine,
}

/// What the count of threads tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Running = 0,
    Blocked = 1,
    Spinning = 2,
    Parked = 3,
}

#[derive(Serialize)]
struct TaskArgs {
    #[serde(skip_serializing_if = "Option::is_none")]
    g: Option<u64>,
}

#[derive(Serialize)]
struct TurnArgs {
    #[serde(skip_serializing_if = "Option::is_none")]
    turn: Option<u16>,
}

#[derive(Serialize)]
struct WhyArgs {
    #[serde(skip_serializing_if = "Option::is_none")]
    g: Option<u64>,
    why: &'static str,
}

/// The slice of a P.
struct Outer {
    start: u64,
    p: u16,
    turn: Option<u16>,
    /// The arrow of the hand-off that it begins with.
    flow: Option<(Place, u64)>,
}

/// The track of an M, or of the callers that have used one ring.
pub(super) struct Track {
    /// `None`: it is left out.
    pub(super) at: Option<Place>,
    outer: Option<Outer>,
    inner: Option<(u64, Doing)>,
    /// The task that the thread runs, or ran when it began what it does.
    pub(super) g: Option<u64>,
    /// Up to here all is written (L1).
    end: u64,
}

impl Track {
    pub(super) fn new(at: Option<Place>, from: u64) -> Self {
        Self { at, outer: None, inner: None, g: None, end: from }
    }

    pub(super) fn doing(&self) -> Option<Doing> {
        self.inner.map(|inner| inner.1)
    }

    /// From `t` on the thread does this.
    pub(super) fn turn_to(&mut self, t: u64, doing: Option<Doing>, show: bool, out: &mut Writer<'_>) {
        if self.doing() == doing {
            return;
        }
        if let Some((start, what)) = self.inner.take()
            && show
            && t > start
        {
            self.end = t;
            if let Some(at) = self.at {
                write(at, what, self.g, (start, self.end), out);
            }
        }
        if let Some(doing) = doing {
            let least = self.outer.as_ref().map_or(0, |outer| outer.start + 1);
            self.inner = Some((t.max(self.end).max(least), doing));
        }
    }

    /// The thread holds a P from `t` on.
    pub(super) fn hold(
        &mut self,
        t: u64,
        p: u16,
        turn: Option<u16>,
        flow: Option<(Place, u64)>,
        show: bool,
        out: &mut Writer<'_>,
    ) {
        let doing = self.doing();
        self.turn_to(t, None, show, out);
        let start = t.max(self.end);
        self.end = start;
        self.outer = Some(Outer { start, p, turn, flow });
        self.turn_to(t, doing, show, out);
    }

    /// It has lost it. Returns where the arrow to the next holder may begin.
    pub(super) fn lose(
        &mut self,
        t: u64,
        turn: Option<u16>,
        show: bool,
        out: &mut Writer<'_>,
    ) -> Option<(Place, u64)> {
        let doing = self.doing();
        self.turn_to(t, None, show, out);
        let outer = self.outer.take();
        let mut source = None;
        if let Some(outer) = outer
            && show
        {
            // Not 1: an arrow may leave 1 ns before the end.
            self.end = t.max(self.end).max(outer.start + 2);
            if let Some(at) = self.at {
                let args = TurnArgs { turn: outer.turn.or(turn) };
                out.slice(at, "m", &format!("P{}", outer.p), (outer.start, self.end), args);
                if let Some(from) = outer.flow {
                    out.flow("handoff", "hand-off", from, (at, outer.start));
                }
                source = Some((at, self.end - 1));
            }
        }
        self.turn_to(t, doing, show, out);
        source
    }

    /// Up to where it is written.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The earliest time at which it may end.
    pub(super) fn least(&self) -> u64 {
        let inner = self.inner.map_or(0, |inner| inner.0);
        self.outer.as_ref().map_or(0, |outer| outer.start + 2).max(inner).max(self.end)
    }
}

fn write(at: Place, what: Doing, g: Option<u64>, span: (u64, u64), out: &mut Writer<'_>) {
    match what {
        Doing::Blocked => out.slice(at, "m", "blocked (declared)", span, TaskArgs { g }),
        Doing::BlockedRetaken(why) => out.slice(at, "m", "blocked (retaken)", span, WhyArgs { g, why }),
        Doing::ComputingRetaken => out.slice(at, "m", "computing (retaken)", span, WhyArgs { g, why: "hog" }),
        Doing::Parked => out.slice(at, "m", "parked", span, Nothing {}),
        Doing::Polling => out.slice(at, "m", "polling", span, Nothing {}),
        Doing::InLine => out.slice(at, "m", "in line", span, Nothing {}),
    }
}
