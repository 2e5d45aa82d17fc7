//! Whether a P should be taken from its M: is the poll in progress blocked, or does it compute?
//!
//! Go counterpart: `retake` (`proc.go`), which need not ask: there an M says that it enters a system call.
//!
//! ```text
//!   look 1              look 2                   look 3 and later
//!   another poll ─▶     the same: read its  ─▶   clock still, thread asleep ──▶ Blocked
//!   note it             thread's CPU clock       little CPU in 200 µs, and D ─▶ Blocked (a disk, or many short reads)
//!                                                100 ms of CPU, no P idle ────▶ Hog
//!   declared block: seen twice, 20 µs apart ─────────────────────────────────▶ Declared
//!   nobody needs the P: the same, but only after 10 ms
//!   10 ms of CPU: asked to yield
//! ```
//!
//! J1. *A still clock proves nothing.* The kernel may be running somebody else: beside one rival on its core a
//!     thread that computes was seen without progress for over 1 ms, 200 times a second. So the thread's state is
//!     asked too, and a thread that could run (`R`) or was stopped (`T`) is left alone.
//! J2. *Nothing here is certain.* Between the last look and the retake the poll may have returned. The lease notices
//!     (`sched/lease.rs`, arrow 3), and the retake is off.
//! J3. Slices and hogs are measured in CPU time, counted from the second look on, so that a poll has used at least as
//!     much as it is charged with. Wall time would be charged to a thread for which the kernel had no core; Go's
//!     `forcePreemptNS` is wall time.
//! J4. A thread is in state `D` not only for a disk: a page fault that waits for the process's memory map, while another
//!     thread maps or unmaps, looks the same and is soon over. So `D` counts only after 200 µs, of which the thread has
//!     computed for less than half; it may then be many short reads as well as a long one.
//! J5. A poll that sleeps again and again for less than the time between two looks moves its clock each time. It counts as
//!     blocked once it has computed for less than half of the last 200 µs or more, and two looks in a row find it asleep.
//! J6. A hog that enters the runtime every few microseconds withdraws each revocation. It is asked to leave its P
//!     instead, and does so when it next spawns, wakes or sets a timer.
//!
//! Absent: the P, the M and the clocks themselves; [`Probe`] answers for them, a script in the tests.

use super::tuning::{BLOCKED_GRACE, DECLARED_GRACE, HOG_AFTER, SHORT_IO_WINDOW, SLICE};
use crate::sys::clock::{Nanos, nanos};
use crate::sys::thread::State;
use std::time::Duration;

/// A P and its M as found in one look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) now: Nanos,
    /// Polls begun on the P; another number is another poll.
    pub(crate) polls: u64,
    /// The M's number: a caller of `block_on` does not count its polls.
    pub(crate) m: u32,
    /// The M's count of declared blocks begun and ended: odd while it is in one.
    pub(crate) declared: u64,
    /// Something waits in the P's own queues or heap.
    pub(crate) own_work: bool,
    /// Something waits anywhere.
    pub(crate) work: bool,
    /// Another P is idle, or an M looks for work.
    pub(crate) help: bool,
}

/// What costs a system call to know.
pub(crate) trait Probe {
    /// CPU time of the M's thread.
    fn cpu(&mut self) -> Option<Nanos>;
    /// What that thread is doing.
    fn state(&mut self) -> State;
}

/// Why a P is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its M said that it would block, and has not come back.
    Declared,
    /// Its M waits in the kernel.
    Blocked,
    /// Its poll computes for so long that others must have their turn.
    Hog,
}

/// What is to be done about a P.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    /// Take the P.
    pub(crate) retake: Option<Why>,
    /// The slice is over: ask the poll to yield.
    pub(crate) preempt: bool,
    /// Look again soon.
    pub(crate) look_again: bool,
}

/// What is remembered of a P from look to look.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    polls: u64,
    m: u32,
    /// The poll was first seen then.
    since: Nanos,
    /// The declared block that was seen, and when first.
    declared: (u64, Nanos),
    cpu: Option<Cpu>,
}

/// Readings of one thread's CPU clock during one poll.
#[derive(Debug, Clone, Copy)]
struct Cpu {
    first: Nanos,
    last: Nanos,
    last_at: Nanos,
    /// What the clock shows when the slice is over.
    slice_ends: Nanos,
    /// The window for which the share of computing is found: since when, and what the clock showed then.
    window: (Nanos, Nanos),
    /// Looks in a row that found the thread asleep after it had computed for little of the window.
    asleep: u32,
}

impl Cpu {
    fn begin(now: Nanos, cpu: Nanos) -> Self {
        Self {
            first: cpu,
            last: cpu,
            last_at: now,
            slice_ends: cpu + nanos(SLICE),
            window: (now, cpu),
            asleep: 0,
        }
    }

    /// Whether the thread has computed for less than half of the window; one in which it did more begins anew.
    fn little(&mut self, now: Nanos) -> bool {
        let (since, cpu) = self.window;
        if !passed(since, now, SHORT_IO_WINDOW) {
            return false;
        }
        let little = self.last.saturating_sub(cpu) < now.saturating_sub(since) / 2;
        if !little {
            self.window = (now, self.last);
        }
        little
    }
}

fn passed(since: Nanos, now: Nanos, at_least: Duration) -> bool {
    now.saturating_sub(since) >= nanos(at_least)
}

impl Watch {
    /// The P is in no poll.
    pub(crate) fn rest(&mut self) {
        *self = Self::default();
    }

    /// The P is in the poll numbered `polls`, on the M numbered `m`. True: as at the last look.
    pub(crate) fn note(&mut self, polls: u64, m: u32, now: Nanos) -> bool {
        let same = (polls, m) == (self.polls, self.m) && self.since != 0;
        if !same {
            *self = Self { polls, m, since: now, declared: (0, 0), cpu: None };
        }
        same
    }

    /// Judges one look.
    pub(crate) fn judge(&mut self, seen: &Seen, probe: &mut impl Probe) -> Verdict {
        let mut verdict = Verdict::default();
        if !self.note(seen.polls, seen.m, seen.now) {
            return verdict;
        }
        let needed = seen.own_work || !seen.help || passed(self.since, seen.now, BLOCKED_GRACE);
        if seen.declared % 2 == 1 {
            if needed {
                (verdict.retake, verdict.look_again) = self.judge_declared(seen);
            }
            return verdict;
        }
        // Without need the clock is read for the slice alone, and that is long.
        if let Some(before) = &self.cpu
            && !needed
            && !passed(before.last_at, seen.now, SLICE / 2)
        {
            return verdict;
        }
        let Some(cpu) = probe.cpu() else { return verdict };
        let Some(before) = &mut self.cpu else {
            self.cpu = Some(Cpu::begin(seen.now, cpu));
            verdict.look_again = needed && seen.work;
            return verdict;
        };
        let still = before.last == cpu;
        (before.last, before.last_at) = (cpu, seen.now);
        if cpu >= before.slice_ends {
            before.slice_ends = cpu + nanos(SLICE);
            verdict.preempt = true;
        }
        if !needed {
            return verdict;
        }
        let little = before.little(seen.now);
        if still || little {
            let state = probe.state();
            before.asleep = if little && state == State::Sleeping { before.asleep + 1 } else { 0 };
            verdict.retake = match state {
                State::Sleeping if still || before.asleep > 1 => Some(Why::Blocked), // J1, J5
                State::Disk if little => Some(Why::Blocked),                         // J4
                _ => None,
            };
            verdict.look_again = before.asleep == 1 && verdict.retake.is_none() && seen.work;
        }
        let used = cpu.saturating_sub(before.first);
        if verdict.retake.is_none() && used >= nanos(HOG_AFTER) && seen.work && !seen.help {
            verdict.retake = Some(Why::Hog);
        }
        verdict
    }

    fn judge_declared(&mut self, seen: &Seen) -> (Option<Why>, bool) {
        let (block, since) = self.declared;
        if block != seen.declared {
            self.declared = (seen.declared, seen.now);
            return (None, seen.work);
        }
        (passed(since, seen.now, DECLARED_GRACE).then_some(Why::Declared), false)
    }
}

#[cfg(test)]
mod tests;
