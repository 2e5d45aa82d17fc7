//! How long sysmon sleeps between two looks.
//!
//! Go counterpart: the `delay` in `sysmon` (`proc.go`): 20 µs, doubled after 50 quiet rounds, up to 10 ms.
//!
//! ```text
//!   not quiet ─▶ 20 µs, eight rounds ─▶ doubled each round ─▶ 40, then 100 µs while a P is idle and chains run, 32 rounds
//!   roused    ─▶ 40 µs ──────────────────────┘             ─▶ 1 ms while work waits, or chains run on and on
//!                                                          ─▶ 10 ms otherwise ─▶ deep, if every P is idle
//! ```
//!
//! A1. A round is quiet unless a P was retaken in it. Go's rule alone, in which being woken counts for as much, let
//!     polls that block for 10 ms go by unnoticed in a prototype.
//! A2. A poll that has gone on since the last look while work waits is looked at again after 20 µs, once: the second
//!     look tells whether its thread's clock stands still. This neither begins nor ends a quiet spell.
//! A3. Deep sleep has no end of its own. It is entered from the slowest pace only, so that a runtime that goes idle a
//!     thousand times a second does not wake sysmon as often.
//!
//! A4. Chains: one of their tasks may be left in the `runnext` of a poll that goes on, to be found within 100 µs. A nap is
//!     not free (24 µs of CPU on a virtual machine), so a program whose tasks ready each other for ever, and never leave
//!     one waiting, is looked at that often for 32 rounds only; and its pushes into `runnext` do not rouse, as they
//!     would all the time. The first task found waiting begins the count anew, and so does deep sleep.
//!
//! A5. Whatever happens, sysmon uses no more than a share of one core, but for bursts, and for rounds in which it took a P or did
//!     shortly before: those are what it is for. What a nap costs counts too: on a virtual machine it is more than the look.
//!
//! Absent: the clock, and the question what may wake sysmon, which is `sched/sysmon.rs`.

use super::tuning::{
    SYSMON_BURST, SYSMON_CHAIN_LIMIT, SYSMON_CHAIN_ROUNDS, SYSMON_FAST, SYSMON_QUIET, SYSMON_RESCUE,
    SYSMON_ROUSED, SYSMON_SHARE, SYSMON_SLOWEST, SYSMON_WORK_LIMIT,
};
use crate::sys::clock::{Nanos, nanos};
use std::time::Duration;

/// What a round of sysmon has seen, as far as its pace is concerned.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Round {
    /// A P was retaken (A1).
    pub(crate) retook: bool,
    /// A poll must be looked at again soon (A2).
    pub(crate) look_again: bool,
    /// A P is idle while on another a task waits, or tasks ready each other through `runnext`: one may be left waiting.
    pub(crate) chains: bool,
    /// A task was found waiting beside an idle P, and an M woken for it.
    pub(crate) found: bool,
    /// Work waits somewhere.
    pub(crate) work: bool,
    /// A P is idle.
    pub(crate) some_idle: bool,
    /// Every P is idle.
    pub(crate) all_idle: bool,
}

/// How long to sleep.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Nap {
    /// So long.
    For(Duration),
    /// So long, if nobody rouses it.
    Long(Duration),
    /// Until it is roused (A3).
    Deep,
}

/// sysmon's pace.
#[derive(Debug)]
pub(crate) struct Pace {
    period: Duration,
    quiet: u32,
    /// Rounds with chains and nothing found (A4).
    fruitless: u32,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { period: SYSMON_FAST, quiet: 0, fruitless: 0 }
    }

    /// Somebody cut a long sleep short: something may have to be seen soon. Not as soon out of `deep` sleep: a P was taken,
    /// and nothing else has happened so far.
    pub(crate) fn roused(&mut self, deep: bool) {
        self.quiet = SYSMON_QUIET;
        let first = if self.on_and_on() {
            SYSMON_WORK_LIMIT
        } else if deep {
            SYSMON_CHAIN_LIMIT
        } else {
            SYSMON_ROUSED
        };
        self.period = first / 2; // doubled by the next round
    }

    /// Whether chains have left nothing waiting for long (A4).
    fn on_and_on(&self) -> bool {
        self.fruitless > SYSMON_CHAIN_ROUNDS
    }

    /// The nap after a round.
    pub(crate) fn next(&mut self, round: Round) -> Nap {
        if round.retook {
            *self = Self::new();
            return Nap::For(self.period);
        }
        self.fruitless = match round {
            Round { found: true, .. } => 0,
            Round { chains: true, .. } => self.fruitless.saturating_add(1),
            _ => self.fruitless,
        };
        if round.all_idle && !round.work && self.period >= SYSMON_SLOWEST {
            self.fruitless = 0;
            return Nap::Deep;
        }
        if self.quiet < SYSMON_QUIET {
            self.quiet += 1;
        } else {
            self.period *= 2;
        }
        let on_and_on = self.on_and_on();
        let limit = match round {
            Round { chains: true, .. } if self.fruitless <= 1 => SYSMON_ROUSED,
            Round { chains: true, .. } if !on_and_on => SYSMON_CHAIN_LIMIT,
            Round { chains, work, .. } if chains || work => SYSMON_WORK_LIMIT,
            _ => SYSMON_SLOWEST,
        };
        self.period = self.period.min(limit);
        // While no P is idle a task in `runnext` can't be helped to another, and need not be found as soon.
        let rousable = if round.some_idle && !on_and_on { SYSMON_CHAIN_LIMIT } else { SYSMON_WORK_LIMIT };
        match self.period {
            _ if round.look_again => Nap::For(SYSMON_FAST),
            period if period <= rousable => Nap::For(period),
            period => Nap::Long(period),
        }
    }
}

/// What sysmon may cost: a share of one core (A5).
#[derive(Debug)]
pub(crate) struct Budget {
    /// CPU time that it may use at once; below zero it must wait.
    credit: i64,
    at: Nanos,
    /// Until then nothing is charged: a P was taken shortly before.
    free_until: Nanos,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { credit: nanos(SYSMON_BURST) as i64, at: 0, free_until: 0 }
    }

    /// It is `now`, and `used` has been used since this was last asked. It is charged unless it `retook` a P, now or shortly
    /// before. Returns how long the next nap must be.
    pub(crate) fn spend(&mut self, now: Nanos, used: Nanos, retook: bool) -> Duration {
        let earned = now.saturating_sub(self.at) / SYSMON_SHARE;
        self.at = now;
        if retook {
            self.free_until = now + nanos(SYSMON_RESCUE);
        }
        let spent = if now < self.free_until { 0 } else { used };
        let credit = self.credit.saturating_add_unsigned(earned).min(nanos(SYSMON_BURST) as i64);
        // What the longest nap does not make up for is forgiven.
        let most_owed = (nanos(SYSMON_SLOWEST) / SYSMON_SHARE) as i64;
        self.credit = credit.saturating_sub_unsigned(spent).max(-most_owed);
        Duration::from_nanos(self.credit.min(0).unsigned_abs()) * SYSMON_SHARE as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until_steady(pace: &mut Pace, round: Round) -> (Nap, u32) {
        let mut last = pace.next(round);
        for rounds in 1.. {
            let nap = pace.next(round);
            if nap == last && rounds > SYSMON_QUIET {
                return (nap, rounds);
            }
            last = nap;
        }
        unreachable!()
    }

    #[test]
    fn eight_quiet_rounds_are_fast_and_then_each_is_twice_as_long() {
        let mut pace = Pace::new();
        let work = Round { work: true, ..Round::default() };
        for _ in 0..SYSMON_QUIET {
            assert_eq!(pace.next(work), Nap::For(SYSMON_FAST));
        }
        assert_eq!(pace.next(work), Nap::For(SYSMON_FAST * 2));
        assert_eq!(pace.next(work), Nap::For(SYSMON_FAST * 4));
        assert_eq!(until_steady(&mut pace, work).0, Nap::For(SYSMON_WORK_LIMIT));
    }

    #[test]
    fn the_limit_depends_on_what_waits() {
        let limit = |round| until_steady(&mut Pace::new(), round).0;
        assert_eq!(limit(Round::default()), Nap::Long(SYSMON_SLOWEST));
        assert_eq!(limit(Round { work: true, ..Round::default() }), Nap::For(SYSMON_WORK_LIMIT));
        let chains = Round { chains: true, work: true, some_idle: true, ..Round::default() };
        assert_eq!(limit(chains), Nap::For(SYSMON_CHAIN_LIMIT));
    }

    #[test]
    fn work_that_comes_up_shortens_a_long_sleep_at_once() {
        let mut pace = Pace::new();
        until_steady(&mut pace, Round::default());
        assert_eq!(pace.next(Round { work: true, ..Round::default() }), Nap::For(SYSMON_WORK_LIMIT));
    }

    #[test]
    fn a_retake_makes_it_fast_again() {
        let mut pace = Pace::new();
        until_steady(&mut pace, Round::default());
        assert_eq!(pace.next(Round { retook: true, ..Round::default() }), Nap::For(SYSMON_FAST));
    }

    #[test]
    fn a_second_look_comes_soon_and_changes_nothing_else() {
        let mut pace = Pace::new();
        let work = Round { work: true, ..Round::default() };
        until_steady(&mut pace, work);
        assert_eq!(pace.next(Round { look_again: true, ..work }), Nap::For(SYSMON_FAST));
        assert_eq!(pace.next(work), Nap::For(SYSMON_WORK_LIMIT));
    }

    #[test]
    fn only_the_slowest_pace_goes_over_into_deep_sleep() {
        let mut pace = Pace::new();
        let idle = Round { all_idle: true, ..Round::default() };
        let naps: Vec<Nap> =
            std::iter::repeat_with(|| pace.next(idle)).take_while(|nap| *nap != Nap::Deep).collect();
        assert_eq!(naps.last(), Some(&Nap::Long(SYSMON_SLOWEST)));
        assert!(naps.len() < 20, "{} rounds", naps.len());
        let mut pace = Pace::new();
        until_steady(&mut pace, Round::default());
        assert_ne!(pace.next(Round { work: true, ..idle }), Nap::Deep, "not while work waits");
    }

    #[test]
    fn chains_that_go_on_and_leave_nothing_waiting_are_looked_at_less() {
        let mut pace = Pace::new();
        let chains = Round { chains: true, work: true, some_idle: true, ..Round::default() };
        let fast = std::iter::repeat_with(|| pace.next(chains))
            .take_while(|nap| matches!(nap, Nap::For(period) if *period <= SYSMON_CHAIN_LIMIT))
            .count();
        assert_eq!(fast as u32, SYSMON_CHAIN_ROUNDS);
        assert_eq!(until_steady(&mut pace, chains).0, Nap::For(SYSMON_WORK_LIMIT), "and no push rouses");
        let found = Round { found: true, ..chains };
        assert_eq!(pace.next(found), Nap::For(SYSMON_ROUSED));
        assert_eq!(pace.next(chains), Nap::For(SYSMON_ROUSED));
    }

    #[test]
    fn a_nap_that_must_be_cut_short_says_so() {
        let mut pace = Pace::new();
        let idle = Round { some_idle: true, ..Round::default() };
        let naps: Vec<Nap> = (0..30).map(|_| pace.next(idle)).collect();
        for nap in naps {
            match nap {
                Nap::For(period) => assert!(period <= SYSMON_CHAIN_LIMIT),
                Nap::Long(period) => assert!(period > SYSMON_CHAIN_LIMIT),
                Nap::Deep => panic!("a P is at work"),
            }
        }
    }

    #[test]
    fn roused_it_looks_soon_and_then_less_and_less() {
        let mut pace = Pace::new();
        until_steady(&mut pace, Round::default());
        pace.roused(false);
        assert_eq!(pace.next(Round::default()), Nap::For(SYSMON_ROUSED));
        assert_eq!(pace.next(Round::default()), Nap::For(SYSMON_ROUSED * 2));
    }

    #[test]
    fn a_runtime_that_is_idle_but_for_a_moment_now_and_then_is_not_looked_at_all_the_time() {
        let mut pace = Pace::new();
        let idle = Round { all_idle: true, some_idle: true, ..Round::default() };
        while pace.next(idle) != Nap::Deep {}
        pace.roused(true);
        let looks = std::iter::repeat_with(|| pace.next(idle)).take_while(|nap| *nap != Nap::Deep).count();
        assert!(looks <= 8, "{looks} looks");
        pace.roused(true);
        let waits = Round { work: true, chains: true, some_idle: true, ..Round::default() };
        assert_eq!(pace.next(waits), Nap::For(SYSMON_ROUSED), "but soon, if something waits");
    }

    #[test]
    fn what_it_uses_for_nothing_is_bounded_and_what_it_rescues_is_free() {
        const US: u64 = 1_000;
        let mut budget = Budget::new();
        let (mut now, mut used) = (0, 0);
        for _ in 0..10_000 {
            used += 30 * US;
            now += 30 * US + nanos(budget.spend(now, 30 * US, false).max(SYSMON_FAST));
        }
        assert!(used <= now / SYSMON_SHARE + 2 * nanos(SYSMON_BURST), "{used} ns of {now}");
        assert!(used >= now / SYSMON_SHARE / 2, "nor is it much less: {used} ns of {now}");
        let mut budget = Budget::new();
        for at in 0..1000 {
            assert_eq!(budget.spend(at * US, 30 * US, true), Duration::ZERO);
        }
        assert_eq!(budget.spend(1001 * US, 1_000_000 * US, false), Duration::ZERO, "shortly after a rescue");
        let then = 1001 * US + nanos(SYSMON_RESCUE);
        assert_eq!(budget.spend(then, 1_000_000 * US, false), SYSMON_SLOWEST);
        let later = then + nanos(SYSMON_SLOWEST);
        assert_eq!(budget.spend(later, 0, false), Duration::ZERO, "no debt outlasts the longest nap");
    }
}
