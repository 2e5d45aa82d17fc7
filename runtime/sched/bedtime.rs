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
//! Absent: the sleep. Two sleep by this rule: the M in the poller (`seat.rs`) and sysmon.

use crate::sys::primitive::{
    AtomicOrdering::{Relaxed, SeqCst},
    AtomicU64, fence, weaken,
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

    #[test]
    fn loom_bedtime_canary_each_fence_is_needed() {
        weaken::without("FENCE-BED", a_timer_against_a_sleeper);
        weaken::without("FENCE-TIMER", a_timer_against_a_sleeper);
    }
}
