//! Draws the figures from the tally, once all events are in.
//!
//! Go counterpart: `internal/trace.Summarizer.Finalize`.
//!
//! ```text
//!   a P's track:   ├────── spin ───────┤├── run ──┤      spin counts without the steal that is in it (S1)
//!                       ├ steal ┤
//! ```
//!
//! S1. A slice counts for as long as no other is nested in it, so that a P's parts add up to the span.
//! S2. A percentile is a value that was seen: the smallest one that is not exceeded by so many of a hundred (nearest rank).
//! S3. A task that was left waiting when the trace ended is found on its own track only: its last slice there is `runnable`
//!     and reaches the end.
//!
//! Absent: text (`print.rs`).

use super::event::number_of;
use super::figures::{Block, Kind, Latency, ProcessorReport, RuntimeReport, Starved, TaskName};
use super::tally::{RuntimeTally, Slice, Tally, Waits, What};
use super::{Ending, Report, ReportError};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

impl Tally {
    /// The report on what was read.
    pub(super) fn finish(mut self, ending: Ending) -> Result<Report, ReportError> {
        self.keep_ours()?;
        let after = self.starved_after;
        Ok(Report {
            runtimes: self
                .runtimes
                .into_iter()
                .map(|(index, runtime)| runtime.finish(index, after))
                .collect(),
            ending,
            events: self.events,
            unknown_events: self.unknown_events,
            unknown_args: self.unknown_args,
            starved_after: after,
        })
    }
}

impl RuntimeTally {
    fn finish(mut self, index: u64, starved_after: Duration) -> RuntimeReport {
        let (start, end) = self.extent.unwrap_or((0, 0));
        let span = Duration::from_nanos(end - start);
        let starved = self.starved(end, starved_after);
        let longest_blocks = self.longest_blocks();

        let mut woken = latency(self.woken);
        let mut requeued = latency(self.requeued);
        let wakers: Vec<_> = [&mut woken, &mut requeued]
            .into_iter()
            .flat_map(|latency| &mut latency.worst)
            .filter_map(|wait| {
                let g = number_of('G', wait.by.as_deref()?)?;
                Some((g, wait))
            })
            .collect();
        let mut names: HashMap<u64, Option<Arc<str>>> = wakers.iter().map(|&(g, _)| (g, None)).collect();
        for slice in self.slices.values().flatten() {
            if let What::Run { g, kind, .. } = slice.what
                && let Some(name @ None) = names.get_mut(&g)
            {
                *name = Some(self.kinds.name(kind));
            }
        }
        for (g, wait) in wakers {
            let kind = names[&g].clone().unwrap_or_else(|| "".into());
            wait.by = Some(TaskName { g, kind }.to_string());
        }

        let processors = self.slices.into_iter().map(|(p, slices)| processor(p, slices, span)).collect();
        let mut kinds: Vec<Kind> = self
            .kinds
            .all
            .into_iter()
            .map(|tally| Kind {
                kind: tally.kind,
                runs: tally.runs,
                exits: tally.exits,
                running: Duration::from_nanos(tally.running),
                longest: Duration::from_nanos(tally.longest),
                waiting: Duration::from_nanos(tally.waiting),
            })
            .collect();
        kinds.sort_by(|a, b| (Reverse(a.running), &a.kind).cmp(&(Reverse(b.running), &b.kind)));
        RuntimeReport {
            index,
            start: Duration::from_nanos(start),
            span,
            about: self.about,
            processors,
            threads: self.threads.range(1000..).count() as u64,
            woken,
            requeued,
            from_start: self.from_start,
            longest_polls: self.polls.into_vec(),
            steals: self.steals.into_values().collect(),
            handoffs: self.handoffs,
            retakes: self.retakes,
            blocks: self.blocks,
            longest_blocks,
            preempts: self.preempts,
            overflows: self.overflows,
            injector_takes: self.injector_takes,
            plunders: self.plunders,
            timers_fired: self.timers_fired,
            foreign: self.foreign,
            starved,
            kinds,
        }
    }

    /// The starved tasks, those included that still wait (S3).
    fn starved(&self, end: u64, after: Duration) -> Vec<Starved> {
        let mut all: BTreeMap<u64, Starved> = BTreeMap::new();
        for (&g, starving) in &self.starving {
            let starved = Starved {
                task: TaskName { g, kind: self.kinds.name(starving.kind) },
                longest: Duration::from_nanos(starving.longest),
                since: Duration::from_nanos(starving.since),
                times: starving.times,
                still: false,
            };
            all.insert(g, starved);
        }
        for (&g, track) in &self.tracks {
            let (wait, since) = (Duration::from_nanos(track.end - track.at), Duration::from_nanos(track.at));
            if !track.runnable || track.end < end || wait < after {
                continue;
            }
            let task = TaskName { g, kind: track.kind.clone() };
            let none = Starved { task, longest: wait, since, times: 0, still: true };
            let starved = all.entry(g).or_insert(none);
            starved.times += 1;
            starved.still = true;
            if wait > starved.longest {
                (starved.longest, starved.since) = (wait, since);
            }
        }
        let mut all: Vec<Starved> = all.into_values().collect();
        all.sort_by_key(|starved| (Reverse(starved.longest), starved.since, starved.task.g));
        all
    }

    /// The longest blocks, with their tasks: that of the M's last run before, if its poll cannot have ended before the block.
    fn longest_blocks(&mut self) -> Vec<Block> {
        let top = std::mem::take(&mut self.longest_blocks).into_vec();
        let name = |(tid, mut block): (u64, Block)| {
            let at = block.at.as_nanos() as u64;
            let m = tid.checked_sub(1000).and_then(|m| u32::try_from(m).ok());
            let of_task = block.task.as_ref().map(|task| task.g);
            let run = self
                .slices
                .values()
                .flatten()
                .filter(|slice| match slice.what {
                    What::Run { g, m: of, .. } => {
                        of_task.is_none_or(|task| task == g) && m.is_some() && of == m && slice.at <= at
                    }
                    _ => false,
                })
                .max_by_key(|slice| (slice.at, slice.dur));
            if let Some(&Slice { at: begun, dur, what: What::Run { g, kind, unfinished, .. } }) = run
                && (of_task.is_some() || unfinished || begun + dur >= at)
            {
                block.task = Some(TaskName { g, kind: self.kinds.name(kind) });
            }
            let fallback = || m.map_or_else(|| format!("tid {tid}"), |m| format!("M{m}"));
            block.thread = self.threads.get(&tid).cloned().unwrap_or_else(fallback);
            block
        };
        top.into_iter().map(name).collect()
    }
}

/// The figures of waits.
fn latency(waits: Waits) -> Latency {
    let mut all = waits.all;
    all.sort_unstable();
    let percentile = |percent: usize| {
        let rank = (all.len() * percent).div_ceil(100); // S2
        Duration::from_nanos(all.get(rank.saturating_sub(1)).copied().unwrap_or(0))
    };
    Latency {
        count: all.len() as u64,
        p50: percentile(50),
        p90: percentile(90),
        p99: percentile(99),
        max: percentile(100),
        worst: waits.worst.into_vec(),
    }
}

/// How a P spent its time (S1).
fn processor(p: u64, mut slices: Vec<Slice>, span: Duration) -> ProcessorReport {
    slices.sort_unstable_by_key(|slice| (slice.at, Reverse(slice.dur)));
    let mut report = ProcessorReport { p, ..ProcessorReport::default() };
    let mut open: Vec<(u64, What)> = Vec::new();
    for slice in slices {
        while open.pop_if(|(end, _)| *end <= slice.at).is_some() {}
        let mut end = slice.at.saturating_add(slice.dur);
        if let Some(&(outer, what)) = open.last() {
            end = end.min(outer);
            *part(&mut report, what) -= Duration::from_nanos(end - slice.at);
        }
        *part(&mut report, slice.what) += Duration::from_nanos(end - slice.at);
        report.polls += u64::from(matches!(slice.what, What::Run { resumed: false, .. }));
        open.push((end, slice.what));
    }
    report.other = Duration::ZERO; // what is not known is a part of the rest
    report.other = span.saturating_sub(report.parts().into_iter().map(|(_, time)| time).sum());
    report
}

/// Where the time of such a slice is added.
fn part(report: &mut ProcessorReport, what: What) -> &mut Duration {
    match what {
        What::Run { .. } => &mut report.busy,
        What::Idle => &mut report.idle,
        What::Spin => &mut report.spin,
        What::Steal => &mut report.steal,
        What::Timers => &mut report.timers,
        What::HandOff => &mut report.hand_off,
        What::Unknown => &mut report.other,
    }
}

impl ProcessorReport {
    /// Its parts, with their names.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, Duration); 7] {
        [
            ("busy", self.busy),
            ("idle", self.idle),
            ("spin", self.spin),
            ("steal", self.steal),
            ("timers", self.timers),
            ("hand-off", self.hand_off),
            ("other", self.other),
        ]
    }
}
