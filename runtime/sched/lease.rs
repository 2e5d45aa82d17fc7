//! The lease: an M's right to touch its P, which may be taken away while user code runs on the M.
//!
//! Go counterpart: `p.status` with `_Psyscall`, and `retake` (`proc.go`). Go takes a P back only from an
//! M in a system call, which has said so. Here a poll may block without a word.
//!
//! ```text
//!   HELD ──1──▶ REVOKING ──2──▶ REVOKED ──4──▶ HELD     1 begin_revoke   2 finish_revoke: the P is the revoker's
//!     ▲            │  │            ▲                    3 withdrawn: M is inside (finish_revoke), or awake (holds)
//!     └─────3──────┘  └─────5──────┤                    4 take           5 give_up
//!     └───────────────────5────────┘
//! ```
//!
//! The word holds the state and the P's id; `inside` says whether the M runs scheduler code (true) or
//! user code (false). Who may touch the P's owner-only parts:
//!
//! X1. The M, while it is inside *and* has since entering read HELD, or turned REVOKING into HELD itself.
//! X2. The revoker, after its own compare-and-swap REVOKING → REVOKED (arrow 2), which alone mints the P anew.
//! X3. There is one revoker at a time. Only it leaves HELD for REVOKING; REVOKING is left by
//!     compare-and-swap or swap, so exactly one side wins.
//! X4. Only the M itself stores HELD, from REVOKED (arrow 4), for a P that is in its hand.
//!
//! Proof that X1 and X2 exclude each other. FENCE-LEASE stands between the M's `inside = true` and its read
//! of the word, and between the revoker's REVOKING and its read of `inside`. If the M's end is first,
//! the revoker reads `inside` true and withdraws (or false from an *earlier* leaving, in which case the
//! word it must change is contended by the M's own resolution, X3). If the revoker's end is first, the M
//! reads REVOKING or later and resolves it by compare-and-swap: either it wins HELD and the revoker's
//! arrow 2 fails, or it finds REVOKED and keeps its hands off. What the M did to the P before it left
//! (`inside = false`, Release) happens before the revoker's Acquire read of false, and so before X2.
//!
//! Absent: the decision whom to revoke (`policy/retake.rs`, `revoker.rs`) and the P itself (`current.rs` lends it).

use super::ids::ProcessorId;
use crate::sys::membarrier;
use crate::sys::primitive::{
    AtomicBool,
    AtomicOrdering::{AcqRel, Acquire, Relaxed, Release},
    AtomicU64, weaken,
};

const REVOKED: u64 = 0;
const HELD: u64 = 1;
const REVOKING: u64 = 2;
const STATE: u64 = 3;

fn word(p: ProcessorId, state: u64) -> u64 {
    u64::from(p.0) << 2 | state
}

fn p_of(word: u64) -> ProcessorId {
    ProcessorId((word >> 2) as u16)
}

/// One M's lease.
#[derive(Debug)]
pub(crate) struct Lease {
    word: AtomicU64,
    inside: AtomicBool,
}

/// The M is inside until this is dropped; then it is where it was before.
#[must_use]
pub(crate) struct Inside<'a> {
    lease: &'a Lease,
    was: bool,
}

/// The proof that arrow 2 was won: the one right to mint the P anew (processor.rs, P1).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a P that is won and not minted is lost"]
pub(crate) struct Won(ProcessorId);

impl Won {
    pub(super) fn p(&self) -> ProcessorId {
        self.0
    }
}

/// A revocation that has begun (arrow 1).
#[must_use]
pub(crate) struct Revoking {
    held: u64,
}

impl Lease {
    /// The lease of an M that holds no P and runs scheduler code.
    pub(crate) fn new() -> Self {
        Self { word: AtomicU64::new(REVOKED), inside: AtomicBool::new(true) }
    }

    /// M: enters the scheduler. Ask [`Lease::holds`] before touching the P.
    #[inline(always)]
    pub(crate) fn enter(&self) -> Inside<'_> {
        // Ordering: Relaxed; only this M writes `inside`.
        let was = self.inside.load(Relaxed);
        // Ordering: Relaxed; FENCE-LEASE orders it before the read of the word in `holds`.
        self.inside.store(true, Relaxed);
        membarrier::light(); // FENCE-LEASE, light end
        Inside { lease: self, was }
    }

    /// M: leaves for user code, for good or until the next `enter`.
    #[inline(always)]
    pub(crate) fn leave(&self) {
        // Ordering: Release; pairs with the revoker's Acquire read in `finish_revoke`: what we did to
        // the P happens before it is the revoker's.
        self.inside.store(false, weaken::or_relaxed(Release, "lease.leave"));
    }

    /// M, inside: whether the P is still its own (X1). Resolves a revocation in progress.
    #[inline(always)]
    pub(crate) fn holds(&self) -> bool {
        // Ordering: Acquire; pairs with the Release half of arrow 2, so that what follows a REVOKED
        // is not done before the revoker had the P. FENCE-LEASE has ordered it after `inside`.
        let seen = self.word.load(Acquire);
        match seen & STATE {
            HELD => true,
            REVOKED => false,
            _ => self.resolve(seen),
        }
    }

    /// M, inside, having seen REVOKING: arrow 3, if the revoker has not been faster.
    #[cold]
    fn resolve(&self, seen: u64) -> bool {
        let held = word(p_of(seen), HELD);
        // Ordering: AcqRel on success and Acquire on failure; pairs with the revoker's exchanges, one
        // of which came first. A failure means REVOKED (arrow 2) or HELD (arrow 3 by the revoker).
        match self.word.compare_exchange(seen, held, AcqRel, Acquire) {
            Ok(_) => true,
            Err(now) => now & STATE == HELD,
        }
    }

    /// M, inside: it has a P in its hand (arrow 4).
    #[inline]
    pub(crate) fn take(&self, p: ProcessorId) {
        // Ordering: Relaxed; only this M leaves REVOKED (X4).
        debug_assert_eq!(self.word.load(Relaxed) & STATE, REVOKED, "an M took a second P");
        // Ordering: Release; pairs with the Acquire load in `begin_revoke`: the revoker sees the P as
        // this M has it.
        self.word.store(word(p, HELD), Release);
    }

    /// M, inside: gives its P up (arrow 5). True: the P was still its own and is in its hand now.
    #[inline]
    pub(crate) fn give_up(&self) -> bool {
        // Ordering: AcqRel; a revocation in progress loses, for its compare-and-swap finds REVOKED.
        let was = self.word.swap(REVOKED, AcqRel);
        was & STATE != REVOKED
    }

    /// Revoker: whether the M seems to be in user code. Saves the asking if it is not.
    pub(crate) fn is_outside(&self) -> bool {
        // Ordering: Relaxed; a guess, which `finish_revoke` confirms.
        !self.inside.load(Relaxed)
    }

    /// Revoker: asks (arrow 1). `None`: the M holds no P.
    pub(crate) fn begin_revoke(&self) -> Option<Revoking> {
        // Ordering: Acquire; pairs with the Release store in `take`.
        let held = self.word.load(Acquire);
        if held & STATE != HELD {
            return None;
        }
        let revoking = word(p_of(held), REVOKING);
        // Ordering: AcqRel; FENCE-LEASE follows. Relaxed on failure: nothing was begun.
        self.word.compare_exchange(held, revoking, AcqRel, Relaxed).ok()?;
        membarrier::heavy(); // FENCE-LEASE, heavy end
        Some(Revoking { held })
    }

    /// The P that a revocation is about.
    pub(crate) fn p_of(revoking: &Revoking) -> ProcessorId {
        p_of(revoking.held)
    }

    /// Revoker: takes the P (arrow 2) if the M is outside and `same_poll` says so, else withdraws (arrow 3).
    pub(crate) fn finish_revoke(&self, revoking: Revoking, same_poll: impl FnOnce() -> bool) -> Option<Won> {
        let p = p_of(revoking.held);
        let asked = word(p, REVOKING);
        // Ordering: Acquire; pairs with the Release store in `leave`. FENCE-LEASE has ordered it after
        // arrow 1.
        let outside = !self.inside.load(Acquire);
        let to = if outside && same_poll() { word(p, REVOKED) } else { revoking.held };
        // Ordering: AcqRel; the M's resolution or giving up came first if this fails. Relaxed then: the
        // P is not ours.
        let won = self.word.compare_exchange(asked, to, AcqRel, Relaxed).is_ok();
        (won && to & STATE == REVOKED).then_some(Won(p))
    }
}

impl Drop for Inside<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.was {
            self.lease.leave();
        }
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "../models/lease.rs"]
#[expect(unsafe_code, reason = "the model's P is a cell, to see who touches it")]
mod loom_models;

#[cfg(all(test, not(gmprt_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_m_in_user_code_loses_its_p() {
        let lease = Lease::new();
        lease.take(ProcessorId(3));
        lease.leave();
        let revoking = lease.begin_revoke().unwrap();
        assert_eq!(lease.finish_revoke(revoking, || true), Some(Won(ProcessorId(3))));
        let _inside = lease.enter();
        assert!(!lease.holds());
        assert!(!lease.give_up(), "there is nothing left to give");
        lease.take(ProcessorId(4));
        assert!(lease.holds());
    }

    #[test]
    fn an_m_in_the_scheduler_keeps_its_p() {
        let lease = Lease::new();
        lease.take(ProcessorId(0));
        let revoking = lease.begin_revoke().unwrap();
        assert_eq!(lease.finish_revoke(revoking, || true), None);
        assert!(lease.holds());
    }

    #[test]
    fn an_m_that_wakes_up_in_between_withdraws_the_revocation() {
        let lease = Lease::new();
        lease.take(ProcessorId(0));
        lease.leave();
        let revoking = lease.begin_revoke().unwrap();
        {
            let _inside = lease.enter();
            assert!(lease.holds());
        }
        assert_eq!(lease.finish_revoke(revoking, || true), None);
        let _inside = lease.enter();
        assert!(lease.holds());
    }

    #[test]
    fn another_poll_on_the_same_lease_is_spared() {
        let lease = Lease::new();
        lease.take(ProcessorId(0));
        lease.leave();
        let revoking = lease.begin_revoke().unwrap();
        assert_eq!(lease.finish_revoke(revoking, || false), None);
        let _inside = lease.enter();
        assert!(lease.holds());
    }

    #[test]
    fn a_nested_entry_leaves_the_m_inside() {
        let lease = Lease::new();
        lease.take(ProcessorId(0));
        lease.leave();
        {
            let _outer = lease.enter();
            drop(lease.enter());
            let revoking = lease.begin_revoke().unwrap();
            assert_eq!(lease.finish_revoke(revoking, || true), None);
        }
        let revoking = lease.begin_revoke().unwrap();
        assert!(lease.finish_revoke(revoking, || true).is_some());
    }

    #[test]
    fn a_p_given_up_is_not_revoked() {
        let lease = Lease::new();
        lease.take(ProcessorId(9));
        lease.leave();
        let revoking = lease.begin_revoke().unwrap();
        let _inside = lease.enter();
        assert!(lease.give_up());
        assert_eq!(lease.finish_revoke(revoking, || true), None);
    }
}
