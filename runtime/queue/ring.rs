//! A P's run queue: a ring of 256 slots; one owner pushes and pops, any thief takes half.
//!
//! Go counterpart: `p.runq` with `runqput`, `runqget`, `runqgrab`, `runqsteal` (`proc.go`).
//!
//! ```text
//!                 head (owner and thieves, by compare-and-swap)
//!                  │
//!   slots:  . . . [G4][G5][G6][G7] . . .        in the queue: head .. tail, oldest at head
//!                                  │
//!                                 tail (owner only, by plain store)
//! ```
//!
//! R1. `tail - head <= N`, in wrapping arithmetic.
//! R2. Only the owner writes `tail` and the slots, and only slots outside `head .. tail`.
//! R3. `head` moves forward only, and only by a compare-and-swap that claims `head .. head + n`.
//!     Whoever wins it owns those n tasks; a pointer read from a slot before the claim is a guess
//!     and is forgotten if the claim fails.
//! R4. Both indexes are 64 bits wide and never return to an old value (at 10^9 pushes a second, in 584
//!     years), so a thief that slept between its read of `head` and its claim claims what it read.
//!     Go's are 32 bits wide and can, in principle, come round during one sleep.
//!
//! Why a thief's copy is sound: it reads the slots, then claims them. The owner overwrites slot
//! `i mod N` only as index `i + N`, which by R1 needs `head > i`; then the claim from the old head fails (R3).
//!
//! Absent: growth (a full ring spills to the injector), a LIFO end (that is `runnext`), a lock.

use crate::sys::primitive::{
    AtomicOrdering::{self, AcqRel, Acquire, Relaxed, Release},
    AtomicPtr, AtomicU64, weaken,
};
use crossbeam_utils::CachePadded;
use std::ptr::{self, NonNull};

/// Slots of a P's ring; Go's `len(p.runq)`.
pub(crate) const RING_SLOTS: usize = 256;

/// The ring. `T` is only ever pointed at: what is in the queue is owned by the queue.
///
/// `push_back`, `pop_front`, `spill_half` and the receiving end of `steal_into` belong to the owner;
/// a P lends them only to the M that holds it.
pub(crate) struct Ring<T, const N: usize = RING_SLOTS> {
    head: CachePadded<AtomicU64>,
    tail: CachePadded<AtomicU64>,
    slots: Box<[AtomicPtr<T>; N]>,
}

/// The ring has no slot left; the pointer comes back.
#[derive(Debug)]
#[must_use]
pub(crate) struct Full<T>(pub(crate) NonNull<T>);

impl<T, const N: usize> Ring<T, N> {
    pub(crate) fn new() -> Self {
        Self::starting_at(0)
    }

    /// A ring whose indexes begin at `index`: tests begin just below where they wrap.
    pub(crate) fn starting_at(index: u64) -> Self {
        const { assert!(N.is_power_of_two() && N >= 2) };
        Self {
            head: CachePadded::new(AtomicU64::new(index)),
            tail: CachePadded::new(AtomicU64::new(index)),
            slots: Box::new(std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut()))),
        }
    }

    #[inline(always)]
    fn slot(&self, index: u64) -> &AtomicPtr<T> {
        &self.slots[index as usize & (N - 1)]
    }

    /// How many tasks are in the ring: exact for the owner of an undisturbed ring, else a guess.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Ordering: Acquire on both; with FENCE-PARK before it, an idle M that reads here sees every
        // push made before FENCE-SUBMIT. Head first: a head read later than tail could exceed it.
        let head = self.head.load(Acquire);
        // Ordering: Acquire; as above.
        let tail = self.tail.load(Acquire);
        (tail.wrapping_sub(head) as usize).min(N)
    }

    /// Owner: appends at the tail.
    #[inline]
    pub(crate) fn push_back(&self, task: NonNull<T>) -> Result<(), Full<T>> {
        // Ordering: Acquire; pairs with the Release half of a thief's claim. Without it the store
        // into the slot could become visible before the thief's read of the slot's old content.
        let head = self.head.load(Acquire);
        // Ordering: Relaxed; only the owner writes tail (R2), and we are the owner.
        let tail = self.tail.load(Relaxed);
        if tail.wrapping_sub(head) >= N as u64 {
            return Err(Full(task));
        }
        // Ordering: Relaxed; published by the store of tail.
        self.slot(tail).store(task.as_ptr(), Relaxed);
        // Ordering: Release; pairs with the Acquire load of tail in `claim_half`. Without it a thief
        // could read a slot that is not written yet.
        self.tail.store(tail.wrapping_add(1), weaken::or_relaxed(Release, "ring.publish"));
        Ok(())
    }

    /// Owner: takes the oldest task.
    #[inline]
    pub(crate) fn pop_front(&self) -> Option<NonNull<T>> {
        // Ordering: Relaxed; the claim below decides. Head is only a guess here.
        let mut head = self.head.load(Relaxed);
        // Ordering: Relaxed; only the owner writes tail (R2).
        let tail = self.tail.load(Relaxed);
        loop {
            if tail == head {
                return None;
            }
            // Ordering: Relaxed; the owner itself wrote this slot (R2).
            let task = self.slot(head).load(Relaxed);
            match self.claim(head, 1) {
                Ok(()) => return NonNull::new(task),
                Err(now) => head = now,
            }
        }
    }

    /// Owner: takes the oldest half out of a full ring, oldest first, for the injector.
    ///
    /// Calls `take` for each; `None` if a thief has made room meanwhile. Go: `runqputslow`.
    pub(crate) fn spill_half(&self, mut take: impl FnMut(NonNull<T>)) -> Option<usize> {
        // Ordering: Acquire; as in `push_back`.
        let head = self.head.load(Acquire);
        // Ordering: Relaxed; only the owner writes tail (R2).
        let tail = self.tail.load(Relaxed);
        if tail.wrapping_sub(head) < N as u64 {
            return None;
        }
        let half = (N / 2) as u64;
        self.claim(head, half).ok()?;
        // The owner alone refills these slots (R2), and it is here: reading after the claim is sound.
        for i in 0..half {
            // Ordering: Relaxed; the owner itself wrote this slot (R2).
            let task = self.slot(head.wrapping_add(i)).load(Relaxed);
            take(NonNull::new(task).expect("a claimed slot holds a task"));
        }
        Some(half as usize)
    }

    /// Thief: takes the oldest task alone, for one who has no ring to put more into.
    pub(crate) fn steal_one(&self) -> Option<NonNull<T>> {
        loop {
            // Ordering: Acquire; as in `claim_half`.
            let head = self.head.load(Acquire);
            // Ordering: Acquire; pairs with the Release store of tail in `push_back`.
            if self.tail.load(Acquire) == head {
                return None;
            }
            // Ordering: Relaxed; as in `claim_half`.
            let task = self.slot(head).load(Relaxed);
            if self.claim(head, 1).is_ok() {
                return NonNull::new(task);
            }
        }
    }

    /// Thief: takes the older half, rounded up, of this ring into `own`; the newest of them is returned.
    ///
    /// `own` must be empty and belong to the caller. Says how many it took in all, the returned one included.
    pub(crate) fn steal_into(&self, own: &Self) -> Option<(NonNull<T>, usize)> {
        // Ordering: Relaxed; only the owner writes tail (R2), and the caller owns `own`.
        let own_tail = own.tail.load(Relaxed);
        // Ordering: Acquire; as in `push_back`: thieves of `own` have read the slots that we overwrite.
        let own_head = own.head.load(Acquire);
        debug_assert_eq!(own_head, own_tail, "a thief's own ring is empty");
        let taken = self.claim_half(own, own_tail)?;
        let last = own_tail.wrapping_add(taken - 1);
        // Ordering: Relaxed; written by this thread in `claim_half`.
        let task = own.slot(last).load(Relaxed);
        // Ordering: Release; pairs with the Acquire load of tail by thieves of `own`.
        own.tail.store(last, Release);
        NonNull::new(task).map(|task| (task, taken as usize))
    }

    /// Thief: copies half of this ring to `own` from `at` on, and claims it; how many, if any.
    fn claim_half(&self, own: &Self, at: u64) -> Option<u64> {
        loop {
            // Ordering: Acquire; pairs with the Release half of other claims, so that the tail read
            // next is not older than the claim that moved head here.
            let head = self.head.load(Acquire);
            // Ordering: Acquire; pairs with the Release store of tail in `push_back`.
            let tail = self.tail.load(weaken::or_relaxed(Acquire, "ring.observe"));
            let len = tail.wrapping_sub(head);
            let half = len - len / 2;
            if half == 0 {
                return None;
            }
            if half > (N / 2) as u64 {
                continue; // head and tail are from different moments
            }
            for i in 0..half {
                // Ordering: Relaxed; made visible by the Acquire load of tail, validated by the claim.
                let task = self.slot(head.wrapping_add(i)).load(Relaxed);
                // Ordering: Relaxed; published by the caller's store of its own tail.
                own.slot(at.wrapping_add(i)).store(task, Relaxed);
            }
            if self.claim(head, half).is_ok() {
                return Some(half);
            }
        }
    }

    /// Moves head from `head` to `head + n` (R3), or says where it is now.
    #[inline(always)]
    fn claim(&self, head: u64, n: u64) -> Result<(), u64> {
        // Ordering: Release half pairs with the owner's Acquire load of head in `push_back`: our reads
        // of the slots happen before it refills them. Acquire half: the tasks' contents, for a thief
        // that claims after another.
        let success = weaken::or_relaxed(AcqRel, "ring.claim");
        // Ordering: Relaxed on failure; nothing was claimed, and the caller starts over.
        self.head.compare_exchange(head, head.wrapping_add(n), success, AtomicOrdering::Relaxed).map(drop)
    }
}

impl<T, const N: usize> Drop for Ring<T, N> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.len(), 0, "a ring was dropped with tasks in it");
        }
    }
}

#[cfg(all(test, not(gmprt_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn numbered(n: usize) -> NonNull<u8> {
        NonNull::new(ptr::without_provenance_mut(n + 1)).unwrap()
    }

    fn number(task: NonNull<u8>) -> usize {
        task.addr().get() - 1
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push,
        Pop,
        Spill,
        Steal,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Push),
            3 => Just(Step::Pop),
            1 => Just(Step::Spill),
            1 => Just(Step::Steal)
        ]
    }

    proptest! {
        #[test]
        fn the_ring_does_what_a_deque_does(
            steps in proptest::collection::vec(step(), 1..400),
            start in prop_oneof![
                Just(0), Just(u64::from(u32::MAX) - 3), Just(u64::MAX - 5), any::<u64>()
            ],
        ) {
            const SLOTS: usize = 8;
            let ring: Ring<u8, SLOTS> = Ring::starting_at(start);
            let mut model = VecDeque::new();
            let mut next = 0;
            for step in steps {
                match step {
                    Step::Push => {
                        let outcome = ring.push_back(numbered(next));
                        prop_assert_eq!(outcome.is_ok(), model.len() < SLOTS);
                        if outcome.is_ok() {
                            model.push_back(next);
                        }
                        next += 1;
                    }
                    Step::Pop => prop_assert_eq!(ring.pop_front().map(number), model.pop_front()),
                    Step::Spill => {
                        let mut spilled = Vec::new();
                        let count = ring.spill_half(|task| spilled.push(number(task)));
                        if model.len() == SLOTS {
                            prop_assert_eq!(count, Some(SLOTS / 2));
                            let expected: Vec<_> = model.drain(..SLOTS / 2).collect();
                            prop_assert_eq!(spilled, expected);
                        } else {
                            prop_assert_eq!(count, None);
                        }
                    }
                    Step::Steal => {
                        let own: Ring<u8, SLOTS> = Ring::starting_at(start.wrapping_sub(3));
                        let half = model.len() - model.len() / 2;
                        let expected: Vec<_> = model.drain(..half).collect();
                        match ring.steal_into(&own) {
                            None => prop_assert!(expected.is_empty()),
                            Some((last, taken)) => {
                                prop_assert_eq!(taken, half);
                                let mut got = Vec::new();
                                while let Some(task) = own.pop_front() {
                                    got.push(number(task));
                                }
                                got.push(number(last));
                                prop_assert_eq!(got, expected);
                            }
                        }
                    }
                }
                prop_assert_eq!(ring.len(), model.len());
            }
            while ring.pop_front().is_some() {}
        }
    }

    #[test]
    fn indexes_pass_u32_max_and_u64_max() {
        for start in [u64::from(u32::MAX) - 1, u64::MAX - 1] {
            let ring: Ring<u8, 4> = Ring::starting_at(start);
            for round in 0..8 {
                for i in 0..4 {
                    ring.push_back(numbered(round * 4 + i)).unwrap();
                }
                assert!(ring.push_back(numbered(0)).is_err());
                for i in 0..4 {
                    assert_eq!(ring.pop_front().map(number), Some(round * 4 + i));
                }
                assert!(ring.pop_front().is_none());
            }
        }
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "../models/ring.rs"]
#[expect(unsafe_code, reason = "the models turn the ring's pointers back into boxes")]
mod loom_models;
