//! The report as text.
//!
//! Go counterpart: the pages of `go tool trace`.
//!
//! ```text
//!   the trace ─▶ in short ─▶ per P ─▶ latency, worst waits ─▶ longest polls ─▶ steals ─▶ hand-offs, blocks ─▶ starved ─▶ kinds
//! ```
//!
//! X1. A part with nothing in it says so in one line, so that nobody has to wonder whether it was looked for.
//!
//! Absent: advice.

use super::figures::{Latency, ProcessorReport, RuntimeReport, Steals};
use super::table::{Table, clean, count, moment, several, share, time};
use super::{Ending, LISTED, Report};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// More Ps than these do not fit as a matrix; their steals are a list.
const MATRIX: usize = 16;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runtimes = self.runtimes.len();
        if runtimes > 1 {
            writeln!(f, "{runtimes} runtimes in one trace\n")?;
        }
        for runtime in &self.runtimes {
            if runtimes > 1 {
                let first = 10 * runtime.index + 1;
                writeln!(f, "==== Runtime {}: processes {first} to {} ====\n", runtime.index + 1, first + 3)?;
            }
            runtime.print(f, self.starved_after)?;
        }
        let ending = match self.ending {
            Ending::Whole => "whole",
            Ending::BetweenEvents => "cut between events: what was running or waiting at its end is missing",
            Ending::InsideEvent => "cut inside an event: what was running or waiting at its end is missing",
        };
        writeln!(f, "The file: {}, {ending}", several(self.events, "event"))?;
        if self.unknown_events + self.unknown_args > 0 {
            let (events, args) = (count(self.unknown_events), count(self.unknown_args));
            writeln!(
                f,
                "  not known to this version, and passed over: {events} of them, and {args} arguments"
            )?;
        }
        Ok(())
    }
}

impl RuntimeReport {
    fn print(&self, f: &mut fmt::Formatter<'_>, starved_after: Duration) -> fmt::Result {
        self.head(f)?;
        if self.about.as_ref().is_some_and(|about| about.records == 0) && self.polls_in_all() == 0 {
            return writeln!(
                f,
                "Nothing of this runtime was recorded: the limit had been reached, or it did nothing\n"
            );
        }
        self.in_short(f, starved_after)?;
        self.shares(f)?;
        self.latencies(f)?;
        self.polls(f)?;
        self.steals(f)?;
        self.blocking(f)?;
        self.starving(f, starved_after)?;
        self.by_kind(f)
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ps = several(self.processors.len() as u64, "P");
        let span = time(self.span);
        writeln!(f, "{span} from {}, {ps}, {}", moment(self.start), several(self.threads, "thread"))?;
        let Some(about) = &self.about else {
            return writeln!(f, "  the trace does not say what was dropped: its end is missing\n");
        };
        let [records, dropped, clamped] = [about.records, about.dropped, about.clamped].map(count);
        let reordered = count(about.reordered);
        writeln!(f, "  {records} records; {dropped} dropped, {clamped} clamped, {reordered} reordered")?;
        if about.full {
            writeln!(f, "  the recording stopped by itself: its limit was reached")?;
        }
        let (tasks, shown) = (several(about.tasks, "task"), count(about.task_tracks));
        writeln!(f, "  {tasks}, {shown} of them with a track of their own")?;
        let said = |text: &str| if text.is_empty() { "?".to_owned() } else { clean(text) };
        writeln!(f, "  gmprt {}, clock: {}\n", said(&about.version), said(&about.clock))
    }

    fn polls_in_all(&self) -> u64 {
        self.processors.iter().map(|p| p.polls).sum()
    }

    /// What is asked first, each with where to look on.
    fn in_short(&self, f: &mut fmt::Formatter<'_>, starved_after: Duration) -> fmt::Result {
        let busy = self.processors.iter().map(|p| p.busy).sum();
        let polls = several(self.polls_in_all(), "poll");
        writeln!(f, "In short")?;
        writeln!(
            f,
            "  busy       {} of the Ps' time, {polls}",
            share(busy, self.span * self.processors.len() as u32)
        )?;
        let Latency { p50, p99, max, .. } = self.woken;
        let [p50, p99, max] = [p50, p99, max].map(time);
        writeln!(f, "  to a P     half within {p50} of spawn or wake, 99 % within {p99}, all within {max}")?;
        if let Some(poll) = self.longest_polls.first() {
            let task = clean(&poll.task.to_string());
            writeln!(f, "  polls      the longest took {}: {task}, at {}", time(poll.took), moment(poll.at))?;
        }
        let starved = several(self.starved.len() as u64, "task");
        writeln!(f, "  starved    {starved} (waited {} or more)", time(starved_after))?;
        let handoffs = self.handoffs.values().map(|times| times.times).sum();
        let steals = self.steals.iter().map(|steals| steals.times).sum();
        writeln!(f, "  moved      {}, {}\n", several(steals, "steal"), several(handoffs, "hand-off"))
    }

    fn shares(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "What each P did, in shares of {}", time(self.span))?;
        let names = ProcessorReport::default().parts().map(|(name, _)| name);
        let titles = ["P", ">polls", ">busy", ">idle", ">spin", ">steal", ">timers", ">hand-off", ">other"];
        debug_assert!(names.iter().zip(&titles[2..]).all(|(name, title)| title[1..] == **name));
        let mut table = Table::new(&titles);
        let mut row = |name: String, polls: u64, parts: [Duration; 7], whole: Duration| {
            let shares = parts.into_iter().map(|part| share(part, whole));
            table.row_of([name, count(polls)].into_iter().chain(shares).collect());
        };
        let mut all = ([Duration::ZERO; 7], 0);
        for p in &self.processors {
            let parts = p.parts().map(|(_, part)| part);
            row(format!("P{}", p.p), p.polls, parts, self.span);
            all.0.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
            all.1 += p.polls;
        }
        if self.processors.len() > 1 {
            row("all".to_owned(), all.1, all.0, self.span * self.processors.len() as u32);
        }
        writeln!(f, "{table}  other: the scheduler itself, and times of which nothing was recorded\n")
    }

    fn latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Scheduling latency: how long a task that could run waited for a P")?;
        let mut table = Table::new(&["made runnable", ">waits", ">p50", ">p90", ">p99", ">max"]);
        let all = [("by spawn or wake", &self.woken), ("by itself: yield, preempt", &self.requeued)];
        for (name, latency) in all {
            let Latency { p50, p90, p99, max, .. } = *latency;
            let [p50, p90, p99, max] = [p50, p90, p99, max].map(time);
            table.row([name.to_owned(), count(latency.count), p50, p90, p99, max]);
        }
        write!(f, "{table}")?;
        if self.from_start > 0 {
            let runs = several(self.from_start, "run");
            writeln!(f, "  {runs} not counted: runnable since before the trace")?;
        }
        for (name, latency) in all.into_iter().filter(|(_, latency)| !latency.worst.is_empty()) {
            writeln!(f, "\nThe longest waits of tasks made runnable {name}")?;
            let mut table = Table::new(&[">waited", ">until", "task", "on", "made runnable by"]);
            for wait in &latency.worst {
                let by = wait.by.as_deref().map_or_else(String::new, |by| format!(" by {by}"));
                let (p, how) = (format!("P{}", wait.p), format!("{}{by}", wait.woke));
                table.row([time(wait.wait), moment(wait.at), wait.task.to_string(), p, how]);
            }
            write!(f, "{table}")?;
        }
        writeln!(f)
    }

    fn polls(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.longest_polls.is_empty() {
            return writeln!(f, "Longest polls: there was no poll\n");
        }
        writeln!(f, "Longest polls")?;
        let mut table = Table::new(&[">took", ">from", "task", "on", "ended by", "spawned at"]);
        for poll in &self.longest_polls {
            let m = poll.m.map_or_else(String::new, |m| format!(", M{m}"));
            let site = poll.site.clone().unwrap_or_default();
            let (task, on) = (poll.task.to_string(), format!("P{}{m}", poll.p));
            table.row([time(poll.took), moment(poll.at), task, on, poll.end.clone(), site]);
        }
        writeln!(f, "{table}")
    }

    fn steals(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steals.is_empty() {
            writeln!(f, "Steals: none")?;
        } else {
            let add = |sum: (u64, u64), it: &Steals| (sum.0 + it.times, sum.1.saturating_add(it.tasks));
            let (times, tasks) = self.steals.iter().fold((0, 0), add);
            let (times, tasks) = (several(times, "time"), several(tasks, "task"));
            writeln!(f, "Steals: {times}, {tasks}. In a cell: times/tasks")?;
            write!(f, "{}", self.matrix())?;
        }
        let said = |(times, tasks): (u64, u64)| format!("{} ({})", count(times), several(tasks, "task"));
        let [overflows, takes] = [self.overflows, self.injector_takes].map(said);
        writeln!(f, "  full queues that overflowed: {overflows}, takes from the injector: {takes}")?;
        if self.plunders.0 > 0 {
            writeln!(f, "  queues emptied for want of a thread: {}", said(self.plunders))?;
        }
        writeln!(f)
    }

    /// Thieves in rows, victims in columns; of many Ps a list.
    fn matrix(&self) -> Table {
        let ps: BTreeSet<u64> = self.steals.iter().flat_map(|steal| [steal.thief, steal.victim]).collect();
        if ps.len() > MATRIX {
            let mut table = Table::new(&["thief", "victim", ">times/tasks"]);
            let mut all = self.steals.clone();
            all.sort_by_key(|steal| std::cmp::Reverse((steal.tasks, steal.times)));
            for steal in all.iter().take(MATRIX * 2) {
                let (thief, victim) = (format!("P{}", steal.thief), format!("P{}", steal.victim));
                table.row([thief, victim, format!("{}/{}", steal.times, steal.tasks)]);
            }
            return table;
        }
        let victims = ps.iter().map(|p| format!(">from P{p}"));
        let mut table = Table::titled(["thief".to_owned()].into_iter().chain(victims).collect());
        for &thief in &ps {
            let mut row = vec![format!("P{thief}")];
            for &victim in &ps {
                let found = self.steals.iter().find(|steal| (steal.thief, steal.victim) == (thief, victim));
                row.push(found.map_or_else(|| "-".to_owned(), |it| format!("{}/{}", it.times, it.tasks)));
            }
            table.row_of(row);
        }
        table
    }

    fn blocking(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.handoffs.is_empty() && self.retakes.is_empty() && self.blocks.is_empty() {
            writeln!(f, "Hand-offs, retakes, blocked threads: none")?;
            return writeln!(f, "  {} asked to yield\n", several(self.preempts, "poll"));
        }
        writeln!(f, "Hand-offs, retakes, blocked threads")?;
        let mut table = Table::new(&["what", ">times", ">in all", ">longest"]);
        for (why, times) in &self.handoffs {
            let name = format!("hand-off ({why})");
            table.row([name, count(times.times), time(times.total), time(times.longest)]);
        }
        for (why, &times) in &self.retakes {
            table.row([format!("retake ({why})"), count(times), String::new(), String::new()]);
        }
        for (what, times) in &self.blocks {
            table.row([what.clone(), count(times.times), time(times.total), time(times.longest)]);
        }
        write!(f, "{table}")?;
        writeln!(f, "  {} asked to yield", several(self.preempts, "poll"))?;
        if !self.longest_blocks.is_empty() {
            writeln!(f, "\nLongest times that a thread was blocked, or computed without a P")?;
            let mut table = Table::new(&[">took", ">from", "what", "thread", "task"]);
            for block in &self.longest_blocks {
                let task = block.task.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string);
                let (what, thread) = (block.what.clone(), block.thread.clone());
                table.row([time(block.took), moment(block.at), what, thread, task]);
            }
            write!(f, "{table}")?;
        }
        writeln!(f)
    }

    fn starving(&self, f: &mut fmt::Formatter<'_>, after: Duration) -> fmt::Result {
        let after = time(after);
        if self.starved.is_empty() {
            writeln!(f, "Starved tasks, that could run and waited for {after} or more: none")?;
        } else {
            let tasks = self.starved.len() as u64;
            writeln!(f, "Starved tasks, that could run and waited for {after} or more: {}", count(tasks))?;
            let mut table = Table::new(&[">waited", ">from", "task", ">such waits", "and then"]);
            for starved in self.starved.iter().take(LISTED) {
                let then = if starved.still { "still waited at the end" } else { "ran" };
                let (longest, since) = (time(starved.longest), moment(starved.since));
                table.row([longest, since, starved.task.to_string(), count(starved.times), then.to_owned()]);
            }
            write!(f, "{table}")?;
        }
        match &self.about {
            Some(about) if about.tasks_left_out > 0 => {
                let tasks = several(about.tasks_left_out, "task");
                writeln!(f, "  {tasks} without a track: those that never ran again are not seen here\n")
            }
            Some(_) => writeln!(f),
            None => writeln!(f, "  the trace is cut: those that never ran again are not seen here\n"),
        }
    }

    fn by_kind(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds.len();
        let listed = if kinds > LISTED { format!(", {LISTED} of {kinds}") } else { String::new() };
        writeln!(f, "Kinds of tasks, by running time{listed}")?;
        let mut table = Table::new(&[
            "kind",
            ">runs",
            ">exits",
            ">running",
            ">mean run",
            ">longest",
            ">mean wait",
            ">waiting",
        ]);
        for kind in self.kinds.iter().take(LISTED) {
            let [running, mean, longest, waiting] =
                [kind.running, kind.mean(), kind.longest, kind.waiting].map(time);
            let wait = time(super::figures::mean(kind.waiting, kind.runs));
            let (runs, exits) = (count(kind.runs), count(kind.exits));
            table.row([kind.kind.to_string(), runs, exits, running, mean, longest, wait, waiting]);
        }
        writeln!(f, "{table}")
    }
}
