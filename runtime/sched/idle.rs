//! How many Ps are idle, how many Ms look for work, whether sysmon sleeps for long: who must wake whom, and who may
//! sleep.
//!
//! Go counterpart: `sched.npidle`, `sched.nmspinning`, and the comment "Worker thread parking/unparking"
//! at the head of `proc.go`.
//!
//! ```text
//!   submitter                                    M that runs out of work
//!     publish work                                 list its P idle, stop spinning   (one word)
//!     FENCE-SUBMIT                                 FENCE-PARK
//!     read the word: idle > 0, spinning = 0 ?      read every source
//!        └─▶ claim the wake, start an M               └─▶ found: take a P again, else park
//! ```
//!
//! N1. `spinning` counts the Ms (and the wakes on their way) that will look at every source before they
//!     sleep. While it is not zero a submitter need not wake anybody.
//! N2. A [`Spinning`] is one of those counted. It is ended by `found_work` or `give_up`; both say whether
//!     it was the last. The last that finds work wakes another: what it leaves behind may be more.
//! N3. *No lost wakeup.* Take a submitter and the last M to give up. Both fences are SeqCst, so one is
//!     first. If FENCE-SUBMIT is first, the M's look at the sources finds the work. If FENCE-PARK is
//!     first, the submitter reads a word in which the P is idle and the M does not spin, and wakes.
//!
//! N4. *No work unseen.* A submit into an empty `runnext` wakes no M: the poll that did it will most likely end and its
//!     M run the task. A submit while no P is idle can wake none. Both leave it to sysmon to notice that the poll goes
//!     on, and rouse it if it sleeps for long: it sets [`LONG`], executes FENCE-LONG, and looks at everything once
//!     more; the submitter's FENCE-SUBMIT stands between its publication and its look at the same word. So one sees the
//!     other, as in N3.
//! N5. sysmon sleeps without end ([`DEEP`]) only while every P is idle. Who takes an idle P then rouses it; the P's
//!     leaving and the flag's coming change the same word, one after the other.
//!
//! Three simpler rules do not do (`proc.go` tells them at length): one central count of all work; an M
//! that hands its P over whenever it readies a task; a wake for each submitted task. Each makes threads
//! sleep and wake in the busiest of times.
//!
//! Absent: the lists of idle Ps and Ms (`lists.rs`); this file only counts.

use crate::sys::primitive::{
    AtomicOrdering::{AcqRel, Relaxed, SeqCst},
    AtomicU64, fence, weaken,
};

const SPINNING: u64 = 1 << 32;
const IDLE: u64 = 1;
/// sysmon sleeps so long that it must be roused for what should be seen soon (N4).
const LONG: u64 = 1 << 62;
/// sysmon sleeps until it is roused (N5).
const DEEP: u64 = 1 << 63;

fn spinning(word: u64) -> u64 {
    (word & (LONG - 1)) >> 32
}

fn idle(word: u64) -> u64 {
    word & (SPINNING - 1)
}

/// The count of idle Ps and of spinning Ms, in one word.
#[derive(Debug)]
pub(crate) struct Census(AtomicU64);

/// One M counted as spinning (N2).
#[derive(Debug)]
#[must_use = "an M that stops spinning must say how"]
pub(crate) struct Spinning(());

/// Whom a submitter wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Call {
    /// Nobody: an M looks for work, or the submitter's own will run it.
    Nobody,
    /// An M: a P is idle.
    Machine,
    /// sysmon, who sleeps for long (N4).
    Sysmon,
}

/// Whether the one that stopped spinning was the last.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct WasLast(pub(crate) bool);

impl Census {
    /// `idle_ps` Ps idle, nobody spinning.
    pub(crate) fn new(idle_ps: usize) -> Self {
        Self(AtomicU64::new(idle_ps as u64))
    }

    /// Submitter, after it has published work: whom to wake. `next`: the work is a lone task in the `runnext` of the
    /// submitter's own P (N4).
    #[inline]
    pub(crate) fn submitted(&self, next: bool) -> Call {
        if weaken::stands("FENCE-SUBMIT") {
            fence(SeqCst); // FENCE-SUBMIT, pairs with FENCE-PARK: N3, and with FENCE-LONG: N4
        }
        // Ordering: Relaxed; the fence has ordered it after the publication.
        let word = self.0.load(Relaxed);
        if word == 0 || spinning(word) != 0 {
            Call::Nobody // every P is at work and sysmon about, or somebody looks for work
        } else if idle(word) > 0 && !next {
            Call::Machine
        } else if word & LONG != 0 {
            Call::Sysmon
        } else {
            Call::Nobody
        }
    }

    /// sysmon: is about to sleep for long; every source is to be looked at after this, and before the sleep.
    pub(crate) fn sysmon_sleeps(&self, deep: bool) {
        // Ordering: AcqRel; FENCE-LONG follows.
        self.0.fetch_or(if deep { LONG | DEEP } else { LONG }, AcqRel);
        if weaken::stands("FENCE-LONG") {
            fence(SeqCst); // FENCE-LONG, pairs with FENCE-SUBMIT: N4
        }
    }

    /// Ends sysmon's long sleep, or its intention: true for the one caller who is to wake it.
    #[cold]
    pub(crate) fn end_long_sleep(&self) -> bool {
        // Ordering: AcqRel; of several one wins. What it did before happens before sysmon's next look.
        self.0.fetch_and(!(LONG | DEEP), AcqRel) & LONG != 0
    }

    /// Whether sysmon sleeps without end; asked by whoever took an idle P (N5).
    #[inline]
    pub(crate) fn sysmon_sleeps_deeply(&self) -> bool {
        // Ordering: Relaxed; the P left the idle list in the same word before.
        self.0.load(Relaxed) & DEEP != 0
    }

    /// Whether a P is idle and nobody looks for work; without a fence, for those who only *moved* work.
    #[inline]
    pub(crate) fn wants_help(&self) -> bool {
        // Ordering: Relaxed; FENCE-SUBMIT has ordered it after the publication, where that counts.
        let word = self.0.load(Relaxed);
        idle(word) > 0 && spinning(word) == 0
    }

    /// Submitter: claims the right to wake one M, which then counts as spinning. Go: `wakep`.
    pub(crate) fn claim_wake(&self) -> Option<Spinning> {
        // Ordering: Relaxed; the exchange decides.
        let word = self.0.load(Relaxed);
        if idle(word) == 0 || spinning(word) != 0 {
            return None;
        }
        // Ordering: AcqRel; of several submitters one wins. If the word has changed, somebody else
        // woke, found work or went idle: one more look, then it is theirs to wake (N1).
        match self.0.compare_exchange(word, word + SPINNING, AcqRel, Relaxed) {
            Ok(_) => Some(Spinning(())),
            Err(_) => self.claim_wake_again(),
        }
    }

    #[cold]
    fn claim_wake_again(&self) -> Option<Spinning> {
        // Ordering: Relaxed; as in `claim_wake`.
        let mut word = self.0.load(Relaxed);
        while idle(word) > 0 && spinning(word) == 0 {
            // Ordering: AcqRel; as in `claim_wake`.
            match self.0.compare_exchange(word, word + SPINNING, AcqRel, Relaxed) {
                Ok(_) => return Some(Spinning(())),
                Err(now) => word = now,
            }
        }
        None
    }

    /// sysmon: claims a wake though somebody spins, or is on its way: it has not come to work that waits. `None`: no P
    /// is idle.
    pub(crate) fn claim_another_wake(&self) -> Option<Spinning> {
        if !self.some_p_is_idle() {
            return None;
        }
        Some(self.spin_again())
    }

    /// M: begins to spin, unless half of the busy Ps have a spinner already. Go: `findRunnable`,
    /// "2*sched.nmspinning < gomaxprocs - sched.npidle".
    pub(crate) fn try_spin(&self, procs: u64) -> Option<Spinning> {
        // Ordering: Relaxed; a limit on CPU time, not a matter of correctness.
        let word = self.0.load(Relaxed);
        if 2 * spinning(word) >= procs - idle(word) {
            return None;
        }
        // Ordering: AcqRel; so that whoever sees us spinning is not seen to have slept.
        self.0.fetch_add(SPINNING, AcqRel);
        Some(Spinning(()))
    }

    /// M, before it takes a P again after its last look: spins in any case.
    pub(crate) fn spin_again(&self) -> Spinning {
        // Ordering: AcqRel; as in `try_spin`.
        self.0.fetch_add(SPINNING, AcqRel);
        Spinning(())
    }

    /// A P goes on the idle list, under its lock.
    pub(crate) fn p_idle(&self) {
        // Ordering: AcqRel; FENCE-PARK follows before its M looks for the last time.
        self.0.fetch_add(IDLE, AcqRel);
    }

    /// A P leaves the idle list, under its lock.
    pub(crate) fn p_taken(&self) {
        // Ordering: AcqRel; as above.
        let word = self.0.fetch_sub(IDLE, AcqRel);
        debug_assert!(idle(word) > 0);
    }

    /// M, after it gave up P and spinning, before its last look at the sources.
    pub(crate) fn before_last_look(&self) {
        if weaken::stands("FENCE-PARK") {
            fence(SeqCst); // FENCE-PARK, pairs with FENCE-SUBMIT: N3
        }
    }

    /// Whether a P is idle; a fence stands before this where it matters.
    #[inline]
    pub(crate) fn some_p_is_idle(&self) -> bool {
        // Ordering: Relaxed; the caller's fence has ordered it.
        idle(self.0.load(Relaxed)) > 0
    }

    /// Whether every one of `procs` Ps is idle.
    pub(crate) fn all_idle(&self, procs: usize) -> bool {
        // Ordering: Relaxed; as above.
        idle(self.0.load(Relaxed)) == procs as u64
    }

    /// How many Ps are idle, and how many Ms spin: for people.
    pub(crate) fn counts(&self) -> (u64, u64) {
        // Ordering: Relaxed; for people.
        let word = self.0.load(Relaxed);
        (idle(word), spinning(word))
    }
}

impl Spinning {
    /// The M has work. If it was the last spinner, it wakes another (N2).
    pub(crate) fn found_work(self, census: &Census) -> WasLast {
        self.end(census)
    }

    /// The M gives up. FENCE-PARK and a last look follow, whether it was the last or not.
    pub(crate) fn give_up(self, census: &Census) -> WasLast {
        self.end(census)
    }

    fn end(self, census: &Census) -> WasLast {
        // Ordering: AcqRel; a submitter that reads the count without us reads what we did before.
        let word = census.0.fetch_sub(SPINNING, AcqRel);
        debug_assert!(spinning(word) > 0);
        WasLast(spinning(word) == 1)
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "../models/idle.rs"]
mod loom_models;

#[cfg(all(test, not(gmprt_loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_one_submitter_wakes() {
        let census = Census::new(2);
        assert_eq!(census.submitted(false), Call::Machine);
        let first = census.claim_wake().unwrap();
        assert_eq!(census.submitted(false), Call::Nobody);
        assert!(census.claim_wake().is_none());
        assert_eq!(first.found_work(&census), WasLast(true));
        assert_eq!(census.submitted(false), Call::Machine);
    }

    #[test]
    fn at_most_half_of_the_busy_spin() {
        let census = Census::new(0);
        let spinners: Vec<_> = std::iter::from_fn(|| census.try_spin(8)).collect();
        assert_eq!(spinners.len(), 4);
        for (left, spinner) in spinners.into_iter().enumerate() {
            assert_eq!(spinner.give_up(&census), WasLast(left == 3));
        }
    }

    #[test]
    fn without_an_idle_p_nobody_is_woken() {
        let census = Census::new(1);
        census.p_taken();
        assert_eq!(census.submitted(false), Call::Nobody);
        assert!(census.claim_wake().is_none());
        census.p_idle();
        assert_eq!(census.submitted(false), Call::Machine);
    }

    #[test]
    fn what_wakes_no_m_rouses_a_sysmon_that_sleeps_for_long() {
        let census = Census::new(1);
        assert_eq!(census.submitted(true), Call::Nobody);
        census.sysmon_sleeps(false);
        assert_eq!(census.submitted(true), Call::Sysmon, "a lone task in runnext");
        assert_eq!(census.submitted(false), Call::Machine);
        census.p_taken();
        assert_eq!(census.submitted(false), Call::Sysmon, "no P is idle");
        assert!(!census.sysmon_sleeps_deeply());
        assert!(census.end_long_sleep());
        assert!(!census.end_long_sleep(), "one wakes it");
        assert_eq!(census.submitted(false), Call::Nobody);
        census.sysmon_sleeps(true);
        assert!(census.sysmon_sleeps_deeply());
        assert_eq!(census.counts(), (0, 0), "the flags are no counts");
        census.p_idle();
        let spinning = census.claim_wake().unwrap();
        assert_eq!(census.submitted(true), Call::Nobody, "the spinner sees it");
        assert_eq!(spinning.give_up(&census), WasLast(true));
    }
}
