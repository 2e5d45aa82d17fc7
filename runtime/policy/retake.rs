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
    /// When and at what the first was taken.
    since: Nanos,
    first: Nanos,
    last: Nanos,
    /// What the clock shows when the slice is over.
    slice_ends: Nanos,
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
        let Some(cpu) = probe.cpu() else { return verdict };
        let Some(before) = &mut self.cpu else {
            let slice_ends = cpu + nanos(SLICE);
            self.cpu = Some(Cpu { since: seen.now, first: cpu, last: cpu, slice_ends });
            verdict.look_again = needed && seen.work;
            return verdict;
        };
        let still = before.last == cpu;
        before.last = cpu;
        if cpu >= before.slice_ends {
            before.slice_ends = cpu + nanos(SLICE);
            verdict.preempt = true;
        }
        if !needed {
            return verdict;
        }
        let used = cpu.saturating_sub(before.first);
        let wall = seen.now.saturating_sub(before.since);
        let little = passed(before.since, seen.now, SHORT_IO_WINDOW) && used < wall / 2;
        if still || little {
            verdict.retake = match probe.state() {
                State::Sleeping if still => Some(Why::Blocked), // J1
                State::Disk if little => Some(Why::Blocked),    // J4
                _ => None,
            };
        }
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
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const US: u64 = 1_000;

    /// A thread as the test wants it.
    struct Thread(Option<Nanos>, State);

    impl Probe for Thread {
        fn cpu(&mut self) -> Option<Nanos> {
            self.0
        }
        fn state(&mut self) -> State {
            self.1
        }
    }

    /// Nobody may be asked: the answer would cost a system call.
    struct Unasked;

    impl Probe for Unasked {
        fn cpu(&mut self) -> Option<Nanos> {
            panic!("asked for the CPU clock")
        }
        fn state(&mut self) -> State {
            panic!("asked for the state")
        }
    }

    fn at(now: Nanos) -> Seen {
        Seen { now, polls: 5, m: 1, declared: 0, own_work: true, work: true, help: false }
    }

    /// Three looks, 20 µs apart, at a thread that stands still in `state`.
    fn standing_still(state: State) -> Option<Why> {
        let mut watch = Watch::default();
        assert_eq!(watch.judge(&at(MS), &mut Unasked), Verdict::default());
        let mut thread = Thread(Some(7), state);
        let second = watch.judge(&at(MS + 20 * US), &mut thread);
        assert_eq!(second, Verdict { look_again: true, ..Verdict::default() });
        watch.judge(&at(MS + 40 * US), &mut thread).retake
    }

    #[test]
    fn a_sleeping_thread_whose_clock_stands_is_blocked() {
        assert_eq!(standing_still(State::Sleeping), Some(Why::Blocked));
        assert_eq!(standing_still(State::Disk), None, "not as soon: it may be a page fault");
    }

    #[test]
    fn a_thread_that_could_run_or_was_stopped_is_left_alone() {
        assert_eq!(standing_still(State::Other), None);
    }

    #[test]
    fn a_clock_that_moves_is_a_poll_that_computes() {
        let mut watch = Watch::default();
        let _ = watch.judge(&at(MS), &mut Unasked);
        for look in 1..900 {
            // Found asleep by chance each time: a moment later it is not.
            let mut thread = Thread(Some(look * 100 * US), State::Sleeping);
            assert_eq!(watch.judge(&at(MS + look * 110 * US), &mut thread).retake, None);
        }
    }

    #[test]
    fn another_poll_is_looked_at_anew() {
        let mut watch = Watch::default();
        for poll in 0..20 {
            let seen = Seen { polls: poll, ..at(MS + poll * 5 * MS) };
            assert_eq!(watch.judge(&seen, &mut Unasked).retake, None);
        }
    }

    #[test]
    fn another_m_is_looked_at_anew_though_the_count_of_polls_stands() {
        let mut watch = Watch::default();
        for m in 1..20 {
            let seen = Seen { m, ..at(MS + u64::from(m) * 5 * MS) };
            assert_eq!(watch.judge(&seen, &mut Unasked), Verdict::default());
        }
    }

    #[test]
    fn a_poll_that_is_in_nobodys_way_keeps_its_p() {
        let mut watch = Watch::default();
        for look in 0..9 {
            let seen = Seen { own_work: false, help: true, ..at(MS + look * MS) };
            let verdict = watch.judge(&seen, &mut Thread(Some(7), State::Sleeping));
            assert_eq!(verdict, Verdict::default());
        }
    }

    #[test]
    fn after_a_while_a_blocked_p_is_taken_even_if_nobody_needs_it() {
        let mut watch = Watch::default();
        let mut thread = Thread(Some(7), State::Sleeping);
        let looks: Vec<_> = (0..=12)
            .map(|look| {
                let seen = Seen { own_work: false, work: false, help: true, ..at(MS + look * MS) };
                watch.judge(&seen, &mut thread).retake
            })
            .collect();
        assert_eq!(looks[9], None);
        assert_eq!(looks[10], Some(Why::Blocked));
    }

    #[test]
    fn many_short_reads_count_as_blocked() {
        let mut watch = Watch::default();
        let _ = watch.judge(&at(MS), &mut Unasked);
        let mut thread = Thread(Some(0), State::Disk);
        let _ = watch.judge(&at(MS + 20 * US), &mut thread);
        let retake = |watch: &mut Watch, after: u64, cpu: u64, state| {
            watch.judge(&at(MS + 20 * US + after * US), &mut Thread(Some(cpu * US), state)).retake
        };
        assert_eq!(retake(&mut watch, 100, 10, State::Disk), None, "too soon to say");
        assert_eq!(
            retake(&mut watch, 250, 130, State::Disk),
            None,
            "it computes for more than half of the time"
        );
        assert_eq!(retake(&mut watch, 300, 140, State::Sleeping), None, "asleep for a moment");
        assert_eq!(retake(&mut watch, 400, 150, State::Disk), Some(Why::Blocked));
    }

    #[test]
    fn a_declared_block_is_taken_after_20_us_and_no_system_call() {
        let mut watch = Watch::default();
        let declared = |now| Seen { declared: 3, ..at(now) };
        assert_eq!(watch.judge(&declared(MS), &mut Unasked), Verdict::default());
        let second = watch.judge(&declared(MS + 20 * US), &mut Unasked);
        assert_eq!(second, Verdict { look_again: true, ..Verdict::default() });
        assert_eq!(watch.judge(&declared(MS + 39 * US), &mut Unasked).retake, None);
        assert_eq!(watch.judge(&declared(MS + 40 * US), &mut Unasked).retake, Some(Why::Declared));
    }

    #[test]
    fn short_declared_blocks_one_after_the_other_are_left_alone() {
        let mut watch = Watch::default();
        for look in 0..50 {
            let seen = Seen { declared: 2 * look + 1, ..at(MS + look * 20 * US) };
            assert_eq!(watch.judge(&seen, &mut Unasked).retake, None);
        }
    }

    #[test]
    fn a_hog_is_taken_after_100_ms_of_cpu_if_no_p_is_idle() {
        let mut watch = Watch::default();
        let _ = watch.judge(&at(MS), &mut Unasked);
        // It gets a fourth of a core: the wall clock does not count.
        let mut retake = |cpu: u64, help| {
            let seen = Seen { help, own_work: true, ..at(2 * MS + 4 * cpu * MS) };
            watch.judge(&seen, &mut Thread(Some(cpu * MS), State::Other)).retake
        };
        assert_eq!(retake(0, false), None);
        assert_eq!(retake(99, false), None);
        assert_eq!(retake(120, true), None, "somebody else has time for what waits");
        assert_eq!(retake(130, false), Some(Why::Hog));
    }

    #[test]
    fn a_poll_is_asked_to_yield_once_in_each_slice_of_cpu_time() {
        let mut watch = Watch::default();
        let asked: Vec<_> = (0..=25)
            .filter(|&ms| {
                // Half of the time the kernel runs somebody else.
                let mut thread = Thread(Some(ms * MS), State::Other);
                watch.judge(&at(MS + 2 * ms * MS), &mut thread).preempt
            })
            .collect();
        assert_eq!(asked, [11, 21], "the first look reads no clock");
    }

    #[test]
    fn a_p_at_rest_is_forgotten() {
        let mut watch = Watch::default();
        let _ = watch.judge(&at(MS), &mut Unasked);
        watch.rest();
        assert_eq!(watch.judge(&at(90 * MS), &mut Unasked), Verdict::default());
    }
}
