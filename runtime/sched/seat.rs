//! The seat in the poller: the one idle M that sits there wakes when a timer is due.
//!
//! Go counterpart: the end of `findRunnable`, "Poll network until next timer" (`proc.go`).
//!
//! ```text
//!   sit: ┌─▶ woken? ── yes ─▶ up, with what is in the inbox
//!        │   announce the earliest timer of all (bedtime.rs), look again
//!        │   due? ── yes ─▶ an idle P, and up with it, spinning: whose heap it was is found like other work
//!        └── wait ◀─ no
//! ```
//!
//! V1. One M at a time has the seat. Nobody need have it: while a P is idle and the seat is empty, sysmon sleeps no
//!     longer than until the earliest timer (`sysmon.rs`).
//! V2. The sitter watches timers only while a P is idle; while none is, each P's own M looks at its timers before each
//!     task, and sysmon after those that can't. Whoever lists a P idle tells the sitter ([`Shared::tell`]).
//! V3. The sitter stands on the list of idle Ms like any other, and may be taken off it while it looks. It then leaves
//!     the seat and waits for what its taker has for it.
//!
//! V4. Who has sat and takes a P up raises its notice: when what is due has been fired, sysmon is told of what is left,
//!     for it may have gone to sleep for long in the belief that the timers are watched. Who parks instead tells at once.
//!
//! Absent: sockets, which will be waited for here too.

use super::Shared;
use super::bedtime::{self, Bedtime};
use super::machine::{Assignment, Machine};
use super::processor::OwnedP;
use super::tracing::note_here;
use crate::poller::Poller;
use crate::sys::clock::{self, NEVER, Nanos};
use crate::trace::record::{Bed, Event};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{AcqRel, Acquire, Release},
};

/// The seat.
#[derive(Debug)]
pub(crate) struct Seat {
    taken: AtomicBool,
    bed: Bedtime,
}

/// Why the sitter left.
pub(super) enum Sat {
    /// Somebody was there before.
    Taken,
    /// Somebody has taken the M off the list (V3).
    Off,
    /// It was woken.
    Woken,
    /// A timer is due, and here is a P to fire it on.
    Due(Assignment),
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self { taken: AtomicBool::new(false), bed: Bedtime::new() }
    }

    fn take(&self) -> bool {
        // Ordering: AcqRel; one M at a time has the seat (V1).
        !self.taken.load(Acquire) && !self.taken.swap(true, AcqRel)
    }

    fn leave(&self) {
        self.bed.up();
        // Ordering: Release; pairs with the next swap.
        self.taken.store(false, Release);
    }

    /// Whether somebody sits there and watches the timers.
    pub(super) fn is_watched(&self) -> bool {
        self.bed.is_announced()
    }
}

impl Shared {
    /// The earliest timer of all Ps (it may be a dead one), and whose it is.
    pub(super) fn earliest_timer(&self) -> (Nanos, usize) {
        let each = self.procs.iter().enumerate().map(|(p, processor)| (processor.timers.earliest(), p));
        each.min().unwrap_or((NEVER, 0))
    }

    /// Whether some P's timer is due.
    pub(super) fn timer_is_due(&self) -> bool {
        let (when, _) = self.earliest_timer();
        when != NEVER && when <= clock::now()
    }

    /// Wakes whoever may sleep past the earliest timer; a P has been listed idle, and FENCE-PARK stands before this.
    /// `will_sit`: the caller is about to sit down, if nobody does, and then sysmon need not know.
    pub(super) fn tell(&self, will_sit: bool) {
        let (when, _) = self.earliest_timer();
        if when != NEVER {
            self.tell_of_timer(when, will_sit);
        }
    }

    /// Wakes whoever may sleep past a timer at `when`. A fence stands before this (bedtime.rs, B1). `served`: but not
    /// sysmon; an M sees to it, by [`Shared::poll_beside_timers`] or by sitting down.
    pub(super) fn tell_of_timer(&self, when: Nanos, served: bool) {
        if self.census.some_p_is_idle() && self.seat.is_watched() {
            if self.seat.bed.is_later_than(when) {
                self.poller.break_wait();
            }
        } else if !served && self.sysmon.sleeps_past(when) {
            self.rouse_sysmon();
        }
    }

    /// An idle P was taken, for a poll that goes on or begins at once: neither may sysmon sleep without end, nor past the
    /// timers of that P, which nobody looks at before the poll is over.
    pub(super) fn rouse_for(&self, p: &OwnedP) {
        self.rouse_deep_sysmon();
        self.poll_beside_timers(p.timers.earliest());
    }

    /// A poll is about to begin on a P with timers: should it not end, sysmon is not to sleep past the first of them. The
    /// fence at each timer's setting (bedtime.rs, B1) stands before this.
    pub(super) fn poll_beside_timers(&self, when: Nanos) {
        if when != NEVER && self.sysmon.sleeps_past(when) {
            self.rouse_sysmon();
        }
    }

    /// The M `m`, on the list of idle Ms, sits down if the seat is free.
    pub(super) fn sit(&self, m: &Arc<Machine>) -> Sat {
        if !self.seat.take() {
            return Sat::Taken;
        }
        m.set_in_poller(true);
        note_here(Event::Park(Bed::Poller));
        let sat = self.watch_timers(m);
        note_here(Event::Unpark);
        m.set_in_poller(false);
        self.seat.leave();
        bedtime::timer_is_set(); // sysmon has left the timers to us: V4
        sat
    }

    fn watch_timers(&self, m: &Arc<Machine>) -> Sat {
        loop {
            if m.parker.take_token() {
                return Sat::Woken;
            }
            let until = self.timer_to_watch().0;
            self.seat.bed.announce(until);
            let (when, p) = self.timer_to_watch();
            if when < until {
                continue;
            }
            if when <= clock::now() {
                // The list tells whether we still are idle (V3), and whether a P still is.
                let mut lists = self.lists();
                if !lists.is_idle(m) {
                    return Sat::Off;
                }
                if let Some(p) = lists.take_idle_p_like(self, self.procs[p].id) {
                    lists.forget_idle(m);
                    drop(lists);
                    return Sat::Due(Assignment { p, spinning: Some(self.census.spin_again()) });
                }
                continue;
            }
            self.poller.wait(until);
        }
    }

    /// The earliest timer, as long as a P is idle (V2).
    fn timer_to_watch(&self) -> (Nanos, usize) {
        if self.census.some_p_is_idle() { self.earliest_timer() } else { (NEVER, 0) }
    }
}
