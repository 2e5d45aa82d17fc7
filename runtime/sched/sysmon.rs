//! sysmon: the thread that watches the Ps, and holds none.
//!
//! Go counterpart: `sysmon`, `retake` (`proc.go`).
//!
//! ```text
//!   round: each P in a poll: judge it (policy/retake.rs) ─▶ retake it, or ask it to yield
//!          work beside an idle P that nobody looks for   ─▶ wake an M
//!          the injector's head has waited for too long   ─▶ each P takes its next task from there
//!          timers overdue on a P that does not move      ─▶ another fires them
//!   nap:   20 µs … 10 ms (policy/pace.rs), cut short by rouse; without end while every P is idle
//! ```
//!
//! S1. sysmon runs no user code, so nothing of a user's can stop it: a P that it has taken while the runtime closes
//!     has its tasks moved to the injector, where the sweep finds them (`shutdown.rs`, E4).
//! S2. A long sleep is announced (`idle.rs`, N4; `bedtime.rs`, B1), everything is looked at again, and then it sleeps.
//! S3. It is the one revoker of its runtime (`lease.rs`, X3); the tests' requests are served here too.
//!
//! Absent: garbage collection, the netpoller's turn, and Go's memory return.

use super::Shared;
use super::ask::Files;
use super::bedtime::{ALL_TIMERS, Bedtime, INJECTOR_FIRST};
use super::machine::{LEAVE, Machine, YIELD};
use super::retake::Retake;
use crate::policy::pace::{Budget, Nap, Pace, Round};
use crate::policy::retake::{Probe, Seen, Watch, Why};
use crate::policy::tuning::{
    HOG_AFTER, INJECTOR_PATIENCE, OUTSIDE_LOOKS, STALLED_LOOKS, SYSMON_CHAIN_LINKS, SYSMON_TIMER_FLOOR,
    SYSMON_TIMER_SLACK, TIMER_PATIENCE,
};
use crate::sys::affinity::{Tid, process_mask};
use crate::sys::clock::{self, NEVER, Nanos, nanos};
use crate::sys::counter::Counter;
use crate::sys::parker::Parker;
use crate::sys::thread::{CpuClock, State, sleep_exactly};
use crate::trace::record::Event;
use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What other threads know of sysmon.
#[derive(Debug)]
pub(crate) struct Sysmon {
    parker: Parker,
    bed: Bedtime,
    thread: Mutex<Option<JoinHandle<()>>>,
    rounds: Counter,
}

impl Sysmon {
    pub(crate) fn new() -> Self {
        Self {
            parker: Parker::default(),
            bed: Bedtime::new(),
            thread: Mutex::new(None),
            rounds: Counter::default(),
        }
    }

    /// Whether it sleeps for long, and past `when` by more than a timer would shorten its sleep. A fence stands before this.
    pub(super) fn sleeps_past(&self, when: Nanos) -> bool {
        self.bed.is_later_than(when.saturating_add(nanos(SYSMON_TIMER_FLOOR)))
    }

    /// Makes it look, however it sleeps.
    pub(super) fn poke(&self) {
        self.parker.unpark();
    }
}

impl Shared {
    /// How often sysmon has looked.
    pub(crate) fn sysmon_rounds(&self) -> u64 {
        self.sysmon.rounds.get()
    }

    /// Starts the thread.
    pub(super) fn start_sysmon(self: &Arc<Self>) -> io::Result<()> {
        let shared = Arc::clone(self);
        let name = format!("{}-sysmon", self.config.thread_name);
        let thread = thread::Builder::new().name(name).spawn(move || Monitor::new(&shared).run())?;
        *self.sysmon.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// The runtime closes: sysmon ends, and is waited for (S1: not for long).
    pub(super) fn end_sysmon(&self) {
        self.sysmon.poke();
        let thread = self.sysmon.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join(); // its panic has aborted the process
        }
    }

    /// Ends a long sleep of sysmon's.
    #[cold]
    pub(super) fn rouse_sysmon(&self) {
        self.set_coarse(clock::now()); // it has not looked for long
        if self.census.end_long_sleep() {
            self.sysmon.poke();
            self.watchman.rouse();
        }
    }

    /// An idle P was taken: a sysmon that sleeps without end is to watch it (`idle.rs`, N5).
    #[inline]
    pub(super) fn rouse_deep_sysmon(&self) {
        if self.census.sysmon_sleeps_deeply() {
            self.rouse_sysmon();
        }
    }
}

/// sysmon at work.
struct Monitor<'a> {
    shared: &'a Arc<Shared>,
    pace: Pace,
    budget: Budget,
    watched: Vec<Watched>,
    injector: InjectorWatch,
    /// Looks in a row that found work waiting beside an idle P.
    left_waiting: u32,
    /// When a hog last lost its P.
    hog_taken: Nanos,
    files: Files,
}

/// A P from look to look.
#[derive(Default)]
struct Watched {
    watch: Watch,
    same_poll: bool,
    own_work: bool,
    /// Polls that inherited their slice.
    inherited: u64,
}

/// How long the injector's head has waited.
#[derive(Default)]
struct InjectorWatch {
    /// Tasks taken from it so far.
    taken: u64,
    since: Nanos,
    /// By P: who held it then, and the CPU time that M had used.
    cpu: Vec<(u32, Nanos)>,
}

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is a sysmon.
pub(super) fn is_here() -> bool {
    HERE.get()
}

/// The M numbered `m`, and the CPU time that it has used.
fn cpu_of_holder(shared: &Shared, m: u32) -> (u32, Nanos) {
    let tid = shared.machine(m).and_then(|m| m.tid());
    tid.and_then(|tid| CpuClock::of(tid).read()).map_or((0, 0), |cpu| (m, cpu))
}

impl<'a> Monitor<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        let n = shared.procs.len();
        Self {
            shared,
            pace: Pace::new(),
            budget: Budget::new(),
            watched: (0..n).map(|_| Watched::default()).collect(),
            injector: InjectorWatch::default(),
            left_waiting: 0,
            hog_taken: 0,
            files: Files::default(),
        }
    }

    #[doc(alias = "sysmon")]
    fn run(mut self) {
        let _abort = super::schedule::AbortOnUnwind;
        self.shared.sysmon.parker.adopt();
        sleep_exactly();
        if let Some(mask) = &process_mask().mask {
            mask.give_to(Tid::current()); // whoever built the runtime may be pinned
        }
        HERE.set(true);
        let own_clock = CpuClock::of(Tid::current());
        let mut own_time = own_clock.read().unwrap_or(0);
        while !self.shared.is_closing() {
            self.shared.serve_requests();
            let round = self.round();
            self.shared.sysmon.rounds.add(1);
            // With what the last nap has cost, which is often more than the look.
            let used = own_clock.read().unwrap_or(own_time).saturating_sub(own_time);
            own_time += used;
            let at_least = self.budget.spend(clock::now(), used, round.retook);
            self.nap(round, at_least);
        }
        self.shared.refuse_requests();
    }

    /// One look at everything.
    fn round(&mut self) -> Round {
        let shared = self.shared;
        let now = clock::now();
        shared.set_coarse(now);
        let (idle, spinning) = shared.census.counts();
        let help = idle > 0 || spinning > 0;
        let all_idle = shared.census.all_idle(shared.procs.len());
        let mut round = Round { some_idle: idle > 0, all_idle, ..Round::default() };
        round.work = shared.injector.len() > 0 || shared.line_waits();
        let mut left_waiting = shared.injector.len() > 0;
        let (mut overdue, mut on_the_move) = (false, None);
        for (p, watched) in shared.procs.iter().zip(&mut self.watched) {
            let (polls, ticks) = (p.tally.polls.get(), p.tally.schedtick.get());
            let inherited = polls.wrapping_sub(ticks);
            let earliest = p.timers.earliest();
            let timer = earliest <= now;
            overdue |= now.saturating_sub(earliest) >= nanos(TIMER_PATIENCE);
            watched.same_poll = watched.watch.note(polls, p.holder(), now);
            watched.own_work = timer || p.has_work();
            round.work |= watched.own_work;
            let before = std::mem::replace(&mut watched.inherited, inherited);
            let chain = inherited.wrapping_sub(before) > SYSMON_CHAIN_LINKS;
            round.chains |= idle > 0 && (chain || watched.own_work);
            if !watched.same_poll {
                on_the_move = Some(p);
            }
            let timer_left = now.saturating_sub(earliest) >= nanos(SYSMON_TIMER_SLACK); // nobody is on the way to it
            left_waiting |= timer_left || (watched.own_work && watched.same_poll);
        }
        for at in 0..shared.procs.len() {
            self.look_at(at, now, help, &mut round);
        }
        // Nobody looks for work, a P is idle, and something waits that the M beside it does not come to: a task in the
        // `runnext` of a poll that goes on, a timer, work for which no thread could be started.
        if left_waiting && shared.census.wants_help() {
            round.found = true;
            shared.wake_p();
        }
        // Or somebody was woken to look, and has not come: the kernel has it wait for the core of the very poll that goes
        // on. Then another is woken, from here.
        self.left_waiting = if left_waiting && idle > 0 { self.left_waiting + 1 } else { 0 };
        if self.left_waiting > STALLED_LOOKS
            && let Some(spinning) = shared.census.claim_another_wake()
        {
            self.left_waiting = 0;
            round.found = true;
            shared.wake_with(spinning);
        }
        // A P whose M computes for long, or which the kernel does not run, does not come to its timers: one that does
        // come by fires them. With an idle P that is done by the M just woken.
        if let Some(p) = on_the_move
            && overdue
            && idle == 0
        {
            p.notice.raise(ALL_TIMERS);
        }
        self.watch_injector(now);
        round
    }

    /// A closer look at one P. It costs a lock to ask for its M, so one whose polls go on is not asked about.
    fn look_at(&mut self, at: usize, now: Nanos, help: bool, round: &mut Round) {
        let (shared, p) = (self.shared, &self.shared.procs[at]);
        let Watched { watch, same_poll, own_work, .. } = &mut self.watched[at];
        if !*same_poll {
            return;
        }
        let Some(m) = shared.machine(p.holder()) else { return watch.rest() };
        let seen = Seen {
            now,
            polls: p.tally.polls.get(),
            m: m.id.as_u32(),
            declared: m.declared(),
            own_work: *own_work,
            work: round.work,
            help,
        };
        let verdict = watch.judge(&seen, &mut self.files.ask(&m));
        round.look_again |= verdict.look_again;
        if verdict.preempt {
            m.ask(YIELD);
            shared.note(Event::AskYield { m: m.id.as_u32() });
        }
        let Some(why) = verdict.retake else { return };
        if why == Why::Hog {
            let too_soon = now.saturating_sub(self.hog_taken) < nanos(HOG_AFTER);
            let files = &mut self.files;
            let asleep = |m: &Machine| files.ask(m).state() != State::Other;
            if too_soon || shared.hogs(asleep) >= shared.procs.len() {
                return;
            }
            // One that enters the runtime again and again is outside now and then.
            for _ in 0..OUTSIDE_LOOKS {
                if m.lease.is_outside() {
                    break;
                }
                std::hint::spin_loop();
            }
        }
        if why != Why::Hog && !m.lease.is_outside() {
            return; // it is in the scheduler
        }
        let outcome = shared.retake(&m, Some(seen.polls), why, seen.own_work || seen.work);
        if outcome == Retake::Done {
            watch.rest();
            round.retook = true;
        } else if outcome == Retake::Lost && why == Why::Hog {
            m.ask(LEAVE);
        }
        if why == Why::Hog && outcome != Retake::NoM {
            self.hog_taken = now;
        }
    }

    /// A bound on the wait in the injector: a P whose M has computed for that long meanwhile takes its next task from
    /// there. CPU time counts, and not the clock: an M that the kernel did not run would soon have come by.
    fn watch_injector(&mut self, now: Nanos) {
        let shared = self.shared;
        let taken = shared.procs.iter().map(|p| p.tally.injector_takes.get()).sum();
        let watch = &mut self.injector;
        if shared.injector.len() == 0 {
            watch.since = 0;
        } else if taken != watch.taken || watch.since == 0 {
            (watch.taken, watch.since) = (taken, now);
            watch.cpu.clear();
        } else if watch.cpu.is_empty() {
            watch.cpu = shared.procs.iter().map(|p| cpu_of_holder(shared, p.holder())).collect();
        } else if now.saturating_sub(watch.since) >= nanos(INJECTOR_PATIENCE) {
            watch.since = now;
            for (p, before) in shared.procs.iter().zip(&mut watch.cpu) {
                let after = cpu_of_holder(shared, p.holder());
                if after.0 == before.0 && after.1.saturating_sub(before.1) >= nanos(INJECTOR_PATIENCE) / 2 {
                    p.notice.raise(INJECTOR_FIRST);
                }
                *before = after;
            }
        }
    }

    /// Sleeps after `round`.
    fn nap(&mut self, round: Round, at_least: Duration) {
        let shared = self.shared;
        let sysmon = &shared.sysmon;
        let now = clock::now();
        let (mut until, deep) = match self.pace.next(round) {
            Nap::For(period) => {
                sysmon.parker.park_until(now + nanos(period.max(at_least)));
                return;
            }
            _ if at_least > Duration::ZERO => {
                sysmon.parker.park_until(now + nanos(at_least));
                return; // a long sleep may follow
            }
            Nap::Long(period) => (now + nanos(period), false),
            Nap::Deep => (NEVER, true),
        };
        if deep || self.files.are_many() {
            self.files.keep_only(|m| shared.machine(m).is_some());
        }
        sysmon.bed.announce(until);
        shared.census.sysmon_sleeps(deep);
        let changed = shared.is_closing()
            || (!round.work && shared.work_waits())
            || (deep && !shared.census.all_idle(shared.procs.len()));
        // While a P is idle the M in the poller watches the timers, if there is one (seat.rs, V1 and V2); but those of a
        // P in a poll may find no P idle when their time has come.
        let watched = shared.census.some_p_is_idle() && shared.seat.is_watched();
        let to_see_to = shared.procs.iter().filter(|p| !watched || p.holder() != 0);
        let earliest = to_see_to.map(|p| p.timers.earliest()).min().unwrap_or(NEVER);
        // A little later than the timer: by then whoever is to fire it has, as a rule, and sits again.
        let see_to = earliest.saturating_add(nanos(SYSMON_TIMER_SLACK));
        until = until.min(see_to.max(now + nanos(SYSMON_TIMER_FLOOR)));
        let roused = changed || sysmon.parker.park_until(until);
        sysmon.bed.up();
        let _nobody_else = shared.census.end_long_sleep();
        if roused {
            self.pace.roused(deep);
        }
    }
}
