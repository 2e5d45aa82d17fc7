//! What each event adds to the figures of its runtime.
//!
//! Go counterpart: `internal/trace.Summarizer.Event`.
//!
//! ```text
//!   pid 10 i + 1: what the trace says of itself        pid 10 i + 3: blocks, on tid 1000 + m
//!   pid 10 i + 2: runs, steals, …, on tid 100 + p      pid 10 i + 4: the last state of a task, on tid 10000 + g
//! ```
//!
//! E1. Each of these says whether it knows the event. What it does not know on a P's track takes up time of the P all the
//!     same.
//! E2. Sums saturate: the figures in a file can be anything.
//!
//! Absent: the arrows and counters; all that they say is in the slices too.

use super::event::{Event, Ns, Text, number_of};
use super::figures::{About, Block, Poll, Steals, TaskName, Times, Wait};
use super::tally::{RuntimeTally, Slice, Starving, What};
use std::cmp::Reverse;
use std::time::Duration;

impl Times {
    fn add(&mut self, took: u64) {
        let took = Duration::from_nanos(took);
        self.times += 1;
        self.total += took;
        self.longest = self.longest.max(took);
    }
}

/// The text, or `?`.
fn said(text: &Option<Text<'_>>) -> String {
    text.as_deref().unwrap_or("?").to_owned()
}

impl RuntimeTally {
    /// The span reaches from the earliest event to the latest one's end.
    pub(super) fn extend(&mut self, event: &Event<'_>) {
        let (from, to) = (event.ts.0, event.ts.0.saturating_add(event.dur.0));
        let extent = self.extent.get_or_insert((from, to));
        *extent = (extent.0.min(from), extent.1.max(to));
    }

    pub(super) fn metadata(&mut self, part: u64, event: &Event<'_>) {
        let Some(name) = event.args.name.as_deref() else { return };
        match (&*event.name, part) {
            ("process_name", _) => {
                let ours = ["Scheduler stats", "P: processors", "M: threads", "G: tasks"];
                self.ours |= name.starts_with(ours[part as usize - 1]);
            }
            ("thread_name", 2) if event.tid >= 100 => {
                self.slices.entry(event.tid - 100).or_default();
            }
            ("thread_name", 3) => {
                self.threads.insert(event.tid, name.to_owned());
            }
            ("thread_name", 4) if event.tid > 10_000 => {
                let g = event.tid - 10_000;
                let kind = name.strip_prefix(&format!("G{g}")).unwrap_or(name).trim_start();
                self.tracks.entry(g).or_default().kind = kind.into();
            }
            _ => {}
        }
    }

    pub(super) fn about(&mut self, event: &Event<'_>) -> bool {
        let args = &event.args;
        if &*event.name != "gmprt trace" {
            return false;
        }
        self.ours = true;
        self.about = Some(About {
            version: args.version.as_ref().map_or_else(String::new, |version| version.0.clone()),
            clock: args.clock.as_ref().map_or_else(String::new, |clock| clock.0.clone()),
            records: args.records.unwrap_or(0),
            dropped: args.dropped.unwrap_or(0),
            clamped: args.clamped.unwrap_or(0),
            reordered: args.reordered.unwrap_or(0),
            tasks: args.tasks.unwrap_or(0),
            task_tracks: args.task_tracks.unwrap_or(0),
            tasks_left_out: args.tasks_left_out.unwrap_or(0),
            thread_tracks_left_out: args.thread_tracks_left_out.unwrap_or(0),
            full: args.full.unwrap_or(false),
        });
        true
    }

    pub(super) fn processor_slice(&mut self, event: &Event<'_>, starved_after: Duration) -> bool {
        let Some(p) = event.tid.checked_sub(100) else { return false };
        let what = match (&*event.cat, &*event.name) {
            ("run", _) => match event.args.g {
                Some(g) => self.run(p, g, event, starved_after),
                None => What::Unknown,
            },
            ("steal", _) => {
                if let Some(victim) = event.args.victim.as_deref().and_then(|victim| number_of('P', victim)) {
                    let none = Steals { thief: p, victim, times: 0, tasks: 0 };
                    let steals = self.steals.entry((p, victim)).or_insert(none);
                    steals.times += 1;
                    steals.tasks = steals.tasks.saturating_add(event.args.n.unwrap_or(0));
                }
                What::Steal
            }
            ("sched", "spin") => What::Spin,
            ("sched", "idle") => What::Idle,
            ("sched", "timers") => {
                self.timers_fired = self.timers_fired.saturating_add(event.args.fired.unwrap_or(0));
                What::Timers
            }
            ("sched", "hand-off") => {
                self.handoffs.entry(said(&event.args.why)).or_default().add(event.dur.0);
                What::HandOff
            }
            _ => What::Unknown,
        };
        self.slices.entry(p).or_default().push(Slice { at: event.ts.0, dur: event.dur.0, what });
        what != What::Unknown
    }

    fn run(&mut self, p: u64, g: u64, event: &Event<'_>, starved_after: Duration) -> What {
        let (args, at, dur) = (&event.args, event.ts.0, event.dur.0);
        let Ns(wait) = args.wait_us.unwrap_or_default();
        let name = &*event.name;
        let kind = self.kinds.number(name.strip_suffix(&format!(" G{g}")).unwrap_or(name));
        let exits = args.end.as_deref() == Some("exit");
        let resumed = args.resumed == Some(true);

        let sums = &mut self.kinds.all[kind as usize];
        sums.runs += u64::from(!resumed);
        sums.exits += u64::from(exits);
        sums.running = sums.running.saturating_add(dur);
        sums.longest = sums.longest.max(dur);
        sums.waiting = sums.waiting.saturating_add(wait);
        let task = TaskName { g, kind: sums.kind.clone() };

        let woke = args.woke.as_deref().unwrap_or_default();
        let waits = match woke {
            _ if resumed => None, // nobody woke it: it had never ceased to run
            "spawn" | "wake" => Some(&mut self.woken),
            "yield" | "preempt" | "self" => Some(&mut self.requeued),
            "start" => {
                self.from_start += 1;
                None
            }
            _ => None,
        };
        if let Some(waits) = waits {
            waits.all.push(wait);
            waits.worst.offer(wait, at, || Wait {
                wait: Duration::from_nanos(wait),
                at: Duration::from_nanos(at),
                task: task.clone(),
                p,
                woke: woke.to_owned(),
                by: args.by.as_deref().map(str::to_owned),
            });
        }
        self.polls.offer(dur, at, || Poll {
            took: Duration::from_nanos(dur),
            at: Duration::from_nanos(at),
            task,
            site: args.site.as_deref().map(str::to_owned),
            p,
            m: args.m.map(|m| m.0),
            end: match (said(&args.end), args.on.as_deref().or(args.exit.as_deref())) {
                (end, Some(more)) => format!("{end}: {more}"),
                (end, None) => end,
            },
        });
        if Duration::from_nanos(wait) >= starved_after {
            self.starve(g, kind, wait, at.saturating_sub(wait));
        }
        let unfinished = matches!(args.end.as_deref(), Some("retake" | "open"));
        What::Run { g, m: args.m.and_then(|m| m.0.try_into().ok()), kind, resumed, unfinished }
    }

    fn starve(&mut self, g: u64, kind: u32, wait: u64, since: u64) {
        let none = Starving { kind, times: 0, longest: 0, since };
        let starving = self.starving.entry(g).or_insert(none);
        starving.times += 1;
        if (wait, Reverse(since)) > (starving.longest, Reverse(starving.since)) {
            (starving.longest, starving.since) = (wait, since);
        }
    }

    pub(super) fn processor_instant(&mut self, event: &Event<'_>) -> bool {
        let count = |(times, tasks): &mut (u64, u64)| {
            *times += 1;
            *tasks = tasks.saturating_add(event.args.n.unwrap_or(0));
        };
        match &*event.name {
            "preempt" => self.preempts += 1,
            "retake" => *self.retakes.entry(said(&event.args.why)).or_default() += 1,
            "overflow" => count(&mut self.overflows),
            "injector" => count(&mut self.injector_takes),
            "plunder" => count(&mut self.plunders),
            "stolen" => {} // counted at the thief
            _ => return false,
        }
        true
    }

    pub(super) fn thread_slice(&mut self, event: &Event<'_>) -> bool {
        let name = &*event.name;
        if name.starts_with("blocked (") || name.starts_with("computing (") {
            let (took, at) = (event.dur.0, event.ts.0);
            self.blocks.entry(name.to_owned()).or_default().add(took);
            self.longest_blocks.offer(took, at, || {
                let block = Block {
                    took: Duration::from_nanos(took),
                    at: Duration::from_nanos(at),
                    what: name.to_owned(),
                    thread: String::new(),
                    task: event.args.g.map(|g| TaskName { g, kind: "".into() }),
                };
                (event.tid, block)
            });
            return true;
        }
        matches!(name, "parked" | "polling" | "in line") || number_of('P', name).is_some()
    }

    pub(super) fn thread_instant(&mut self, event: &Event<'_>) -> bool {
        let foreign = &*event.cat == "foreign";
        self.foreign += u64::from(foreign);
        foreign || matches!(&*event.name, "start" | "stop")
    }

    pub(super) fn task_slice(&mut self, event: &Event<'_>) -> bool {
        let Some(g) = event.tid.checked_sub(10_000) else { return false };
        let (at, end) = (event.ts.0, event.ts.0.saturating_add(event.dur.0));
        let track = self.tracks.entry(g).or_default();
        if end >= track.end {
            (track.at, track.end, track.runnable) = (at, end, &*event.name == "runnable");
        }
        event.name.starts_with("running") || event.name.starts_with("waiting") || &*event.name == "runnable"
    }
}
