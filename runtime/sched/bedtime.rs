//! Until when somebody sleeps, so that whoever sets an earlier timer knows whom to wake.
//!
//! Go counterpart: `sched.pollUntil`, `wakeNetPoller` (`proc.go`).
//!
//! ```text
//!   sleeper                               who sets a timer (or lists a P idle)
//!     announce: until                       the timer is the earliest of its heap (the P is idle)
//!     FENCE-BED                             FENCE-TIMER (FENCE-PARK)
//!     read every heap's earliest            read until
//!        └─▶ earlier: announce anew            └─▶ later than the timer: wake the sleeper
//! ```
//!
//! B1. *No timer is slept through.* Both fences are SeqCst, so one is first. If FENCE-BED is, the setter reads the
//!     `until` announced, and wakes; a wake before the sleep is not lost (`sys/parker.rs`, K1; `poller.rs`, O2). If
//!     FENCE-TIMER is, the sleeper's look at the heaps finds the timer.
//! B2. What is announced may be too late only before the look at the heaps; it then costs a wake for nothing.
//!
//! B3. A P's M looks at its heap only while the P's [`Notice`] says that there are timers. Who sets one raises the flag
//!     after FENCE-TIMER, unless it is up; the M that finds the heap empty takes it down, executes FENCE-EMPTY, looks at
//!     the heap once more, and raises it again if need be. So a heap with a timer has its flag up, or its setter is about
//!     to raise it.
//!
//! Absent: the sleep. Two sleep by this rule: the M in the poller (`seat.rs`) and sysmon.

use crate::sys::primitive::{
    AtomicOrdering::{Relaxed, SeqCst},
    AtomicU32, AtomicU64, fence, weaken,
};

/// Until when its owner sleeps, in nanoseconds; 0 while it is up.
#[derive(Debug)]
pub(crate) struct Bedtime(AtomicU64);

impl Bedtime {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Its owner will sleep until `until`; it looks at every heap after this, and before it sleeps.
    pub(crate) fn announce(&self, until: u64) {
        // Ordering: Relaxed; FENCE-BED follows.
        self.0.store(until.max(1), Relaxed);
        if weaken::stands("FENCE-BED") {
            fence(SeqCst); // FENCE-BED, pairs with FENCE-TIMER: B1
        }
    }

    /// Its owner is up.
    pub(crate) fn up(&self) {
        // Ordering: Relaxed; read too late, it costs a wake for nothing.
        self.0.store(0, Relaxed);
    }

    /// Whether its owner sleeps, and past `when`. A fence stands before this: [`timer_is_set`], or FENCE-PARK.
    pub(crate) fn is_later_than(&self, when: u64) -> bool {
        // Ordering: Relaxed; the fence has ordered it.
        when < self.0.load(Relaxed)
    }

    /// Whether its owner sleeps.
    pub(crate) fn is_announced(&self) -> bool {
        // Ordering: Relaxed; as above.
        self.0.load(Relaxed) != 0
    }
}

/// A timer has become the earliest of its heap; who may sleep past it is to be asked after this.
pub(crate) fn timer_is_set() {
    if weaken::stands("FENCE-TIMER") {
        fence(SeqCst); // FENCE-TIMER, pairs with FENCE-BED: B1
    }
}

/// What whoever holds a P is to see to before its next task: one word, so that one look tells that there is nothing.
#[derive(Debug)]
pub(crate) struct Notice(AtomicU32);

/// The P's heap has timers (B3).
pub(crate) const TIMERS: u32 = 1;

/// sysmon: the injector's head has waited for too long; the next task comes from there.
pub(crate) const INJECTOR_FIRST: u32 = 2;

/// sysmon: some P's timers are overdue, its M being busy or off its core; all heaps are to be looked at.
pub(crate) const ALL_TIMERS: u32 = 4;

/// Its M sat in the poller, and watched the timers of idle Ps, which nobody does now.
pub(crate) const LEFT_SEAT: u32 = 8;

impl Notice {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Whether there is anything.
    #[inline(always)]
    pub(crate) fn is_up(&self) -> bool {
        // Ordering: Relaxed; what it tells of is looked at with an ordering of its own.
        self.0.load(Relaxed) != 0
    }

    /// Raises a flag, unless it is up. For [`TIMERS`], after [`timer_is_set`].
    pub(crate) fn raise(&self, flag: u32) {
        // Ordering: Relaxed, both; FENCE-TIMER stands before them where it matters.
        if self.0.load(Relaxed) & flag == 0 {
            // Ordering: Relaxed; as above.
            self.0.fetch_or(flag, Relaxed);
        }
    }

    /// Takes down what sysmon has raised; says what was up.
    pub(crate) fn take(&self) -> u32 {
        // Ordering: Relaxed; a hint.
        self.0.fetch_and(TIMERS, Relaxed)
    }

    /// The heap was found empty; `has_timers` looks once more (B3).
    pub(crate) fn heap_is_empty(&self, has_timers: impl FnOnce() -> bool) {
        // Ordering: Relaxed; FENCE-EMPTY follows.
        self.0.fetch_and(!TIMERS, Relaxed);
        if weaken::stands("FENCE-EMPTY") {
            fence(SeqCst); // FENCE-EMPTY, pairs with FENCE-TIMER: B3
        }
        if has_timers() {
            self.raise(TIMERS);
        }
    }
}

#[cfg(all(test, gmprt_loom))]
mod loom_models {
    //! Models of B1.
    use super::*;
    use crate::sys::primitive::Arc;
    use loom::thread;

    const NEVER: u64 = u64::MAX;

    /// One heap, one sleeper, one who sets a timer: the sleeper knows of it, or is woken.
    fn a_timer_against_a_sleeper() {
        loom::model(|| {
            let bed = Arc::new(Bedtime::new());
            let earliest = Arc::new(AtomicU64::new(NEVER));
            let sleeper = {
                let (bed, earliest) = (Arc::clone(&bed), Arc::clone(&earliest));
                thread::spawn(move || {
                    let mut until = NEVER;
                    loop {
                        bed.announce(until);
                        let now = earliest.load(Relaxed);
                        if now >= until {
                            return until;
                        }
                        until = now;
                    }
                })
            };
            earliest.store(7, Relaxed);
            timer_is_set();
            let woken = bed.is_later_than(7);
            let until = sleeper.join().unwrap();
            assert!(woken || until <= 7 || !bed.is_announced(), "the timer is slept through");
        });
    }

    #[test]
    fn loom_bedtime_no_timer_is_slept_through() {
        a_timer_against_a_sleeper();
    }

    /// A timer is set while the P's M finds the heap empty: the flag is up in the end.
    fn a_timer_against_an_empty_heap() {
        loom::model(|| {
            let notice = Arc::new(Notice::new());
            notice.raise(TIMERS); // of a timer that has fired
            let earliest = Arc::new(AtomicU64::new(NEVER));
            let m = {
                let (notice, earliest) = (Arc::clone(&notice), Arc::clone(&earliest));
                thread::spawn(move || notice.heap_is_empty(|| earliest.load(Relaxed) != NEVER))
            };
            earliest.store(7, Relaxed);
            timer_is_set();
            notice.raise(TIMERS);
            m.join().unwrap();
            assert!(notice.is_up(), "nobody looks at a heap with a timer");
        });
    }

    #[test]
    fn loom_bedtime_a_heap_with_a_timer_has_its_flag_up() {
        a_timer_against_an_empty_heap();
    }

    #[test]
    fn loom_bedtime_canary_each_fence_is_needed() {
        weaken::without("FENCE-BED", a_timer_against_a_sleeper);
        weaken::without("FENCE-TIMER", a_timer_against_a_sleeper);
        weaken::without("FENCE-EMPTY", a_timer_against_an_empty_heap);
        weaken::without("FENCE-TIMER", a_timer_against_an_empty_heap);
    }
}
