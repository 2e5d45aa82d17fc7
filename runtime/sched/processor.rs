//! A P: the right to run tasks, and what whoever has that right works with.
//!
//! Go counterpart: `type p` (`runtime2.go`), `runqput`, `runqget`, `runqgrab` (`proc.go`).
//!
//! ```text
//!   Processor ── any thread:  ring (as a thief), runnext (as a thief), counters (reading)
//!       └─ LocalP ── its owner: push, pop, free slots, ids, random numbers, the chain's slice
//!            └─ OwnedP ── the right itself: one value per P, moved from hand to hand, never copied
//! ```
//!
//! P1. There is one [`OwnedP`] for each P: on an M's stack, lent for a poll (`current.rs`), on the idle
//!     list, or on its way to an M. It is minted when the runtime is built, and anew only by a
//!     revoker's arrow 2 (`lease.rs`), after which the M forgets the one it had.
//! P2. A [`LocalP`] is reached only through the OwnedP, or while the lease says so; its cells have
//!     therefore one user at a time, and what one user did happens before the next one's use.
//! P3. A task in `runnext` runs next, before the ring; thieves take it only in their last round.
//!
//! Absent: the trace's ring, which is the M's: it survives a hand-off of the P.
//!
//! Length: the owner's side and the thief's share the cells that P2 is about; apart they would be open to others.

use super::bedtime::Notice;
use super::chain::Chain;
use super::ids::ProcessorId;
use super::lease::Won;
use super::tally::{Tally, sample_now};
use super::tracing::note_here;
use crate::cell::raw::Header;
use crate::cell::slab::{FreeSlots, Slab, Slot};
use crate::cell::{Queued, TaskId, TaskRef};
use crate::policy::tuning::SAMPLE_EVERY;
use crate::policy::tuning::{ID_BATCH, RING_TURNS, RUNNEXT_BACKOFF};
use crate::queue::injector::Injector;
use crate::queue::ring::{Full, Ring};
use crate::queue::victims::next_random;
use crate::sys::clock;
use crate::sys::primitive::AtomicOrdering::{AcqRel, Acquire, Relaxed};
use crate::timers::Timers;
use crate::trace::record::{Event, Queue};
use crossbeam_utils::CachePadded;
use std::cell::Cell;
use std::mem;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU16, AtomicU32, AtomicU64};
use std::time::Instant;

/// A P, as every thread sees it.
pub(crate) struct Processor {
    pub(crate) id: ProcessorId,
    /// The core that its Ms are pinned to, if they are.
    pub(crate) core: Option<usize>,
    pub(crate) tally: CachePadded<Tally>,
    /// The number of the M that holds it; 0: none.
    holder: AtomicU32,
    /// How often it was taken, modulo 2^16: for the trace (trace/record.rs, B4).
    turn: AtomicU16,
    runnext: AtomicPtr<Header>,
    ring: Ring<Header>,
    /// Timers set from here. They have a lock of their own: anybody may set, cancel and fire them.
    pub(crate) timers: Arc<Timers>,
    /// What whoever holds it is to see to before the next task.
    pub(crate) notice: Notice,
    local: CachePadded<Local>,
}

/// What only the owner touches (P2).
struct Local {
    random: Cell<u64>,
    free: FreeSlots,
    /// Tasks put into its queue so far, modulo 2^16: each so many of them are measured.
    samples: Cell<u16>,
    next_id: Cell<u64>,
    last_id: Cell<u64>,
    chain: Chain,
    /// The tick at which a task last came into the ring that may not have run yet.
    fresh: Cell<u64>,
    /// The tick at which the line of Ms was last served from here, and whether a chain has ended since.
    line_served: Cell<u64>,
    line_due: Cell<bool>,
}

// SAFETY: P2; `local` is reached only through a LocalP, by one thread at a time, and the rest is atomic.
unsafe impl Sync for Processor {}
// SAFETY: as above; raw pointers in the queues are Queued tasks, which are Send.
unsafe impl Send for Processor {}

/// A P, as its owner sees it (P2).
#[repr(transparent)]
pub(crate) struct LocalP(Processor);

impl Deref for LocalP {
    type Target = Processor;
    #[inline(always)]
    fn deref(&self) -> &Processor {
        &self.0
    }
}

/// The right to a P (P1). It does not keep the P's memory alive: who has one has the scheduler too.
#[must_use = "a P that is dropped is lost"]
pub(crate) struct OwnedP(NonNull<LocalP>);

// SAFETY: P1; the right moves from thread to thread, through a mutex or with a lease.
unsafe impl Send for OwnedP {}

impl Deref for OwnedP {
    type Target = LocalP;
    #[inline(always)]
    fn deref(&self) -> &LocalP {
        // SAFETY: P1 and P2: the P lives as long as its scheduler, and is ours.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for OwnedP {
    fn drop(&mut self) {
        debug_assert!(std::thread::panicking(), "{} was dropped instead of given up", self.id);
    }
}

/// Process-wide source of task ids; Go: `sched.goidgen`.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// The first of `n` fresh task ids.
pub(crate) fn fresh_ids(n: u64) -> u64 {
    // Ordering: Relaxed; ids need only differ.
    LAST_ID.fetch_add(n, Relaxed) + 1
}

/// The oldest task of the injector, for a thread without a P.
pub(super) fn take_from(injector: &Injector<Header>) -> Option<Queued> {
    injector.pop().map(queued)
}

fn queued(raw: NonNull<Header>) -> Queued {
    // SAFETY: cell/mod.rs, T1: every pointer in a queue of ours came from `into_raw`, and the queue
    // gave it out once.
    unsafe { Queued::from_raw(raw) }
}

impl Processor {
    pub(crate) fn new(id: ProcessorId, core: Option<usize>) -> Self {
        let seed = u64::from(id.0).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self {
            id,
            core,
            tally: CachePadded::new(Tally::default()),
            holder: AtomicU32::new(0),
            turn: AtomicU16::new(0),
            runnext: AtomicPtr::new(ptr::null_mut()),
            ring: Ring::new(),
            timers: Arc::new(Timers::new()),
            notice: Notice::new(),
            local: CachePadded::new(Local {
                random: Cell::new(seed),
                free: FreeSlots::new(),
                samples: Cell::new(0),
                next_id: Cell::new(1),
                last_id: Cell::new(0),
                chain: Chain::default(),
                fresh: Cell::new(0),
                line_served: Cell::new(u64::MAX),
                line_due: Cell::new(false),
            }),
        }
    }

    /// The right to this P.
    ///
    /// # Safety
    ///
    /// P1: there is no other.
    pub(super) unsafe fn mint(&self) -> OwnedP {
        OwnedP(NonNull::from(self).cast())
    }

    /// The right to this P, by a revocation that was won (`lease.rs`, X2).
    pub(crate) fn mint_won(&self, won: Won) -> OwnedP {
        assert_eq!(won.p(), self.id, "a P is minted by the lease that it was lent under");
        self.set_holder(0);
        // SAFETY: P1; a `Won` comes from arrow 2 alone, is not Clone, and is used up here.
        unsafe { self.mint() }
    }

    /// The number of the M that holds it; 0: none.
    pub(crate) fn holder(&self) -> u32 {
        // Ordering: Relaxed; a guess, which the lease's word confirms where it matters.
        self.holder.load(Relaxed)
    }

    pub(crate) fn set_holder(&self, m: u32) {
        // Ordering: Relaxed; as above.
        self.holder.store(m, Relaxed);
    }

    /// An M takes it: a new turn. The caller owns it (P1).
    pub(crate) fn begin_turn(&self) {
        // Ordering: Relaxed, both; the right to the P hands it from owner to owner.
        let next = self.turn.load(Relaxed).wrapping_add(1);
        self.turn.store(next, Relaxed); // Ordering: Relaxed; as above
    }

    /// Whose turn it is.
    pub(crate) fn turn(&self) -> u16 {
        // Ordering: Relaxed; as above.
        self.turn.load(Relaxed)
    }

    /// An M begins to hold it.
    pub(crate) fn begin_hold(&self) {
        self.tally.busy.begin(clock::now());
    }

    /// And does not any more.
    pub(crate) fn end_hold(&self) {
        self.tally.busy.end(clock::now());
    }

    /// Its queue, for the trace.
    #[inline(always)]
    pub(crate) fn queue(&self) -> Queue {
        Queue::of_p(self.id.0)
    }

    /// Whether a task waits here; the last look's question (`idle.rs`, N3).
    pub(crate) fn has_work(&self) -> bool {
        // Ordering: Acquire; after FENCE-PARK it sees what was put here before FENCE-SUBMIT.
        !self.runnext.load(Acquire).is_null() || self.ring.len() > 0
    }

    /// Tasks that wait in the ring and in `runnext`: for people.
    pub(crate) fn queue_len(&self) -> usize {
        // Ordering: Relaxed; for people.
        self.ring.len() + usize::from(!self.runnext.load(Relaxed).is_null())
    }

    /// Takes the task in `runnext`, if it still is `task`.
    fn claim_next(&self, task: *mut Header) -> Option<Queued> {
        // Ordering: Acquire; pairs with the Release half of the swap in `put_next`. Relaxed on failure:
        // nothing was taken.
        let claimed = self.runnext.compare_exchange(task, ptr::null_mut(), AcqRel, Relaxed);
        claimed.ok().and_then(NonNull::new).map(queued)
    }

    /// Thief, last round: takes the task in `runnext` (P3).
    fn steal_next(&self) -> Option<Queued> {
        // Ordering: Relaxed; the claim decides.
        let task = self.runnext.load(Relaxed);
        if task.is_null() {
            return None;
        }
        if self.holder() != 0 {
            let begun = Instant::now();
            while begun.elapsed() < RUNNEXT_BACKOFF {
                std::hint::spin_loop();
            }
        }
        self.claim_next(task)
    }

    /// Takes everything away, as a thief does, and calls `each` with it: at shutdown, or for want of an M.
    pub(crate) fn plunder(&self, mut each: impl FnMut(Queued)) {
        // Ordering: Relaxed; the claim decides.
        if let Some(task) = self.claim_next(self.runnext.load(Relaxed)) {
            each(task);
        }
        // One by one: a task in our hand is one that another sweep waits for.
        while let Some(task) = self.ring.steal_one() {
            each(queued(task));
        }
    }

    /// Gives the cached slots to the depot; the P is going away, and so nobody else can be its owner.
    pub(crate) fn flush_slots(&mut self, slab: &Slab) {
        self.local.free.flush(slab);
    }
}

impl LocalP {
    /// Puts a task into `runnext`; the one that was there goes to the ring's tail. Go: `runqput(next)`.
    ///
    /// True if none was there: nobody need be woken for a task that this M runs next (idle.rs, N4).
    #[inline]
    pub(crate) fn put_next(&self, task: Queued, injector: &Injector<Header>) -> bool {
        // Ordering: Release half pairs with the Acquire half of a thief's claim: the task is written.
        // Acquire half: for the one kicked out, as our own earlier swap published it.
        let kicked = self.runnext.swap(task.into_raw().as_ptr(), AcqRel);
        match NonNull::new(kicked) {
            None => true,
            Some(kicked) => {
                self.ring_is_fresh();
                self.push_back(kicked, injector);
                false
            }
        }
    }

    /// Puts a task at the ring's tail. Go: `runqput`.
    #[inline]
    pub(crate) fn put_back(&self, task: Queued, injector: &Injector<Header>) {
        self.ring_is_fresh();
        self.push_back(task.into_raw(), injector);
    }

    /// Puts a task that yielded at the ring's tail. If all in a full ring have had their turns, what it spills are yielders:
    /// were it foreign work, every P's yields would make way for it through the injector, and a thousand tasks that yield
    /// keep each other there.
    #[inline]
    pub(crate) fn put_back_yielder(&self, task: Queued, injector: &Injector<Header>) {
        if let Err(full) = self.ring.push_back(task.into_raw()) {
            let ticks = self.tally.schedtick.get() - self.local.fresh.get();
            self.overflow(full, injector, ticks > RING_TURNS);
        }
    }

    /// A task comes into the ring that may not have run yet.
    #[inline]
    fn ring_is_fresh(&self) {
        self.local.fresh.set(self.tally.schedtick.get());
    }

    #[inline]
    fn push_back(&self, task: NonNull<Header>, injector: &Injector<Header>) {
        if let Err(full) = self.ring.push_back(task) {
            self.overflow(full, injector, false);
        }
    }

    /// The ring is full: its older half, then the incoming task, go to the injector. Go: `runqputslow`.
    #[cold]
    fn overflow(&self, full: Full<Header>, injector: &Injector<Header>, yielders: bool) {
        let Full(mut task) = full;
        loop {
            if let Some(spilled) = self.ring.spill_half(|oldest| injector.push_uncounted(oldest, yielders)) {
                injector.push_uncounted(task, yielders);
                injector.counted(spilled + 1, yielders);
                self.tally.overflows.add(1);
                note_here(Event::Overflow { p: self.id.0, n: spilled as u16 + 1 });
                return;
            }
            // A thief has made room meanwhile.
            match self.ring.push_back(task) {
                Ok(()) => return,
                Err(Full(back)) => task = back,
            }
        }
    }

    /// The task that runs next, if there is one (P3).
    #[inline]
    pub(crate) fn take_next(&self) -> Option<Queued> {
        // Ordering: Relaxed; only the owner fills it, and an empty one is left alone.
        if self.runnext.load(Relaxed).is_null() {
            return None;
        }
        // Ordering: Acquire; pairs with whoever published the task, ourselves or the last owner.
        let task = self.runnext.swap(ptr::null_mut(), AcqRel);
        NonNull::new(task).map(queued)
    }

    /// The oldest task of the ring.
    #[inline]
    pub(crate) fn take_oldest(&self) -> Option<Queued> {
        self.ring.pop_front().map(queued)
    }

    /// One task from the injector.
    pub(crate) fn take_injected(&self, injector: &Injector<Header>) -> Option<Queued> {
        let task = injector.pop()?;
        self.tally.injector_takes.add(1);
        Some(queued(task))
    }

    /// One task from the injector, and up to `n - 1` more behind it into the ring. Go: `globrunqgetbatch`.
    pub(crate) fn take_injected_batch(&self, n: usize, injector: &Injector<Header>) -> Option<Queued> {
        self.ring_is_fresh();
        self.take_yielders(n, injector)
    }

    /// The same where only yielders wait: they have all run.
    pub(crate) fn take_yielders(&self, n: usize, injector: &Injector<Header>) -> Option<Queued> {
        let mut taken = 1;
        let first = injector.pop_some(n, |task| {
            taken += 1;
            self.push_back(task, injector);
        })?;
        self.tally.injector_takes.add(taken);
        Some(queued(first))
    }

    /// Half of `victim`'s ring into the own, which is empty; in the last round its `runnext`, if that is
    /// all there is; one of them, and how many they are. Go: `runqsteal`.
    pub(crate) fn steal_from(&self, victim: &Processor, last_round: bool) -> Option<(Queued, u64)> {
        let (task, taken) = match victim.ring.steal_into(&self.ring) {
            Some((task, taken)) => (queued(task), taken as u64),
            None if last_round => (victim.steal_next()?, 1),
            None => return None,
        };
        self.ring_is_fresh();
        self.tally.steals.add(1);
        self.tally.stolen.add(taken);
        Some((task, taken))
    }

    /// A task is about to be put into the queue: one of many is measured from here to its poll.
    #[inline(always)]
    pub(crate) fn sample(&self, task: TaskRef) {
        let n = self.local.samples.get().wrapping_add(1);
        self.local.samples.set(n);
        if n.is_multiple_of(SAMPLE_EVERY) {
            sample_now(task);
        }
    }

    /// A random number.
    pub(crate) fn random(&self) -> u64 {
        next_random(&self.local.random)
    }

    /// An empty slot.
    #[inline]
    pub(crate) fn get_slot(&self, class: usize, slab: &Slab) -> Slot {
        self.local.free.get(class, slab)
    }

    /// Takes an empty slot back.
    #[inline]
    pub(crate) fn put_slot(&self, slot: Slot, slab: &Slab) {
        self.local.free.put(slot, slab);
    }

    /// A fresh task id, from the P's batch.
    #[inline]
    pub(crate) fn next_id(&self) -> TaskId {
        let mut id = self.local.next_id.get();
        if id > self.local.last_id.get() {
            id = fresh_ids(ID_BATCH);
            self.local.last_id.set(id + ID_BATCH - 1);
        }
        self.local.next_id.set(id + 1);
        TaskId(id)
    }

    /// Claims the line's turn at this tick: once, however often the P comes by without running a task, or an
    /// M that waits in line again and again would keep the P from everybody else.
    pub(crate) fn claim_line_turn(&self) -> bool {
        let tick = self.tally.schedtick.get();
        self.local.line_served.replace(tick) != tick
    }

    /// Whether a chain has ended since this was last asked: during a chain the ticks stand still, and the line
    /// would wait for 61 chains.
    pub(crate) fn take_line_due(&self) -> bool {
        self.local.line_due.take()
    }

    /// A poll begins. Go: `execute`.
    #[inline]
    pub(crate) fn count_poll(&self, inherits: bool) {
        self.tally.polls.add(1);
        if inherits {
            self.local.chain.grow();
        } else {
            self.tally.schedtick.add(1);
            self.local.chain.end();
        }
    }

    /// Whether the chain of inherited slices has used its time up (`policy/find.rs`, F2).
    #[inline]
    pub(crate) fn chain_is_over(&self) -> bool {
        self.local.chain.is_over()
    }

    /// Forgets the chain: its task goes to the ring's tail.
    pub(crate) fn end_chain(&self, injector: &Injector<Header>) {
        self.local.line_due.set(true);
        self.local.chain.end();
        if let Some(task) = self.take_next() {
            self.put_back(task, injector);
        }
    }
}

impl OwnedP {
    /// Gives up a right that has become another's (P1): the revoker has minted it anew.
    pub(crate) fn forget(self) {
        mem::forget(self);
    }
}
