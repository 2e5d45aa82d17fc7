//! A P's timers: who is to be woken, and when.
//!
//! Go counterpart: `type timers` (`time.go: addHeap, stop, cleanHead, adjust, runtimer`), one for each P there too.
//!
//! T1. A key's slot has the key's `seq` exactly while the timer is armed. No `seq` is given out twice, so a slot
//!     may be used again at once.
//! T2. Each armed timer has one entry in the heap. An entry whose slot has another `seq`, or none, is *dead*:
//!     its timer was cancelled. `dead` counts those; they stay below a quarter of the heap, or below
//!     [`SWEEP_MIN`].
//! T3. While the lock is free, `earliest` is the time of the heap's first entry, [`NEVER`] if there is none.
//!     No armed timer is before it.
//! T4. No waker is called, cloned or dropped under the lock.
//! T5. Once closed, nothing is armed any more.
//!
//! ```text
//!   Key { seq, slot } ──▶ slots:  │ 5: waker │ free │ 9: waker │ …      freed by: fired, cancelled, closed
//!                                    ▲         ▲      ▲
//!   heap of { when, seq, slot }:  (100, 5)  (120, 7)  (130, 9)          (120, 7) is dead
//! ```
//!
//! Absent: who looks at the time, and who sleeps until then: the scheduler. It asks `earliest` without the lock.

use crate::queue::heap::{Entry, Heap};
use crate::sys::clock::{NEVER, Nanos};
use crate::sys::primitive::{
    AtomicOrdering::{Acquire, Relaxed, Release},
    AtomicU64, Mutex,
};
use std::sync::{MutexGuard, TryLockError};
use std::task::Waker;

/// Dead entries that are not worth a sweep.
const SWEEP_MIN: usize = 64;

/// Slots that are not worth giving back.
const MIN_SLOTS: usize = 64;

/// The timers of one P, reached from any thread.
pub(crate) struct Timers {
    earliest: AtomicU64,
    lock: Mutex<Locked>,
}

struct Locked {
    heap: Heap,
    slots: Slots,
    dead: usize,
    next_seq: u64,
    closed: bool,
}

/// The armed timers' wakers, each in a place that stays.
#[derive(Default)]
struct Slots {
    all: Vec<Slot>,
    /// The free slots are a list; its first one.
    free: Option<u32>,
    armed: usize,
    /// Slots freed since the last look at whether some can be given back.
    freed: usize,
}

enum Slot {
    Armed { seq: u64, waker: Waker },
    Free { next: Option<u32> },
}

/// Names a timer that was armed, for as long as anybody likes (T1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    seq: u64,
    slot: u32,
}

/// What [`Timers::update`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Updated {
    /// The timer is armed, and will wake this waker.
    Armed,
    /// The waker was taken: it is woken, or about to be.
    Fired,
    /// As `Fired`, but because the runtime ends.
    Closed,
}

/// What [`Timers::take_due`] left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Left {
    /// More is due; the batch is full.
    More,
    /// Nothing that is due.
    Nothing,
}

impl Timers {
    pub(crate) fn new() -> Self {
        let locked =
            Locked { heap: Heap::new(), slots: Slots::default(), dead: 0, next_seq: 0, closed: false };
        Self { earliest: AtomicU64::new(NEVER), lock: Mutex::new(locked) }
    }

    /// When the first timer is due, which may be dead by now; [`NEVER`] if there is none.
    #[inline]
    pub(crate) fn earliest(&self) -> Nanos {
        // Ordering: Acquire; pairs with the Release store in `publish`. Who arms a timer and then wakes
        // whoever sleeps past it has a fence between the two, and so has the sleeper (idle.rs); this load
        // stands behind the sleeper's.
        self.earliest.load(Acquire)
    }

    /// Whether there is something to take.
    #[inline]
    pub(crate) fn is_due(&self, now: Nanos) -> bool {
        self.earliest() <= now
    }

    /// Arms a timer. `None` once closed; the waker is dropped then.
    pub(crate) fn insert(&self, when: Nanos, waker: Waker) -> Option<Key> {
        let mut locked = self.locked();
        if locked.closed {
            drop(locked); // before the waker: T4
            return None;
        }
        let seq = locked.next_seq;
        locked.next_seq += 1;
        let slot = locked.slots.fill(seq, waker);
        locked.heap.push(Entry { when, seq, slot });
        self.publish(&locked);
        Some(Key { seq, slot })
    }

    /// Makes the timer wake `waker` in the place of the one that it has.
    pub(crate) fn update(&self, key: Key, waker: &Waker) -> Updated {
        let mut spare = None;
        loop {
            let mut locked = self.locked();
            if locked.closed {
                return Updated::Closed;
            }
            let Some(armed) = locked.slots.get_mut(key) else {
                return Updated::Fired;
            };
            if armed.will_wake(waker) {
                return Updated::Armed;
            }
            if let Some(clone) = spare.take() {
                let old = std::mem::replace(armed, clone);
                drop(locked);
                drop(old);
                return Updated::Armed;
            }
            drop(locked);
            spare = Some(waker.clone());
        }
    }

    /// Disarms the timer, and drops its waker. False if it was not armed any more.
    pub(crate) fn cancel(&self, key: Key) -> bool {
        self.disarm(key).is_some()
    }

    /// Disarms the timer; its waker, if it was still armed. Go: `stop`.
    pub(crate) fn disarm(&self, key: Key) -> Option<Waker> {
        let mut locked = self.locked();
        let waker = locked.slots.take(key)?;
        locked.dead += 1;
        locked.bury(key);
        self.publish(&locked);
        Some(waker)
    }

    /// Moves the wakers of timers that are due to the end of `batch`, the earliest first, until it holds `limit`.
    ///
    /// For one lock's hold to be short and to allocate nothing, `batch` has room for `limit`. The caller wakes
    /// them, and comes again if there is [`Left::More`].
    pub(crate) fn take_due(&self, now: Nanos, limit: usize, batch: &mut Vec<Waker>) -> Left {
        self.take_from(self.locked(), now, limit, batch)
    }

    /// As [`Timers::take_due`]; `None` if somebody else has the lock, for those who need not wait for it.
    pub(crate) fn try_take_due(&self, now: Nanos, limit: usize, batch: &mut Vec<Waker>) -> Option<Left> {
        match self.lock.try_lock() {
            Ok(locked) => Some(self.take_from(locked, now, limit, batch)),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Poisoned(_)) => panic!("{POISONED}"),
        }
    }

    #[doc(alias = "runtimer")]
    fn take_from(
        &self,
        mut locked: MutexGuard<'_, Locked>,
        now: Nanos,
        limit: usize,
        batch: &mut Vec<Waker>,
    ) -> Left {
        let left = loop {
            match locked.heap.peek() {
                Some(&entry) if entry.when <= now => {
                    let key = Key::of(entry);
                    if locked.slots.holds(key) && batch.len() >= limit {
                        break Left::More;
                    }
                    locked.heap.pop();
                    match locked.slots.take(key) {
                        Some(waker) => batch.push(waker),
                        None => locked.dead -= 1,
                    }
                }
                _ => break Left::Nothing,
            }
        };
        locked.sweep();
        self.publish(&locked);
        left
    }

    /// Ends it (T5). Returns the wakers of all that was armed, in order: they are to be woken, so that whoever
    /// waits learns of it.
    pub(crate) fn close(&self) -> Vec<Waker> {
        let mut locked = self.locked();
        locked.closed = true;
        locked.dead = 0;
        let heap = std::mem::take(&mut locked.heap);
        let mut slots = std::mem::take(&mut locked.slots);
        self.publish(&locked);
        drop(locked);
        heap.into_sorted().into_iter().filter_map(|entry| slots.take(Key::of(entry))).collect()
    }

    /// How many timers are armed.
    pub(crate) fn len(&self) -> usize {
        self.locked().slots.armed
    }

    /// How many entries the heap has, dead ones included.
    #[allow(dead_code, reason = "for the tests, and for whoever counts")]
    pub(crate) fn entries(&self) -> usize {
        self.locked().heap.len()
    }

    fn locked(&self) -> MutexGuard<'_, Locked> {
        self.lock.lock().expect(POISONED)
    }

    /// Under the lock, after each change of the heap: T3.
    #[inline]
    fn publish(&self, locked: &Locked) {
        let earliest = locked.heap.peek().map_or(NEVER, |entry| entry.when);
        // Ordering: Relaxed; only whoever has the lock writes it.
        if self.earliest.load(Relaxed) != earliest {
            // Ordering: Release; pairs with the Acquire load in `earliest`. All else is under the lock.
            self.earliest.store(earliest, Release);
        }
    }
}

const POISONED: &str = "no user code runs under the timers' lock, so nothing panics there";

impl Key {
    fn of(entry: Entry) -> Self {
        Self { seq: entry.seq, slot: entry.slot }
    }
}

impl Locked {
    /// The timer of `dead` was cancelled: takes its entry out if that is cheap. Go: `cleanHead`.
    fn bury(&mut self, dead: Key) {
        if self.heap.pop_last_if(|&entry| Key::of(entry) == dead).is_some() {
            self.dead -= 1;
        }
        // Nobody need wake up for a dead one.
        while let Some(&first) = self.heap.peek()
            && !self.slots.holds(Key::of(first))
        {
            self.heap.pop();
            self.dead -= 1;
        }
        self.sweep();
    }

    /// After a change of the heap: takes all out that is dead, if it has become too much (T2), and gives memory
    /// back. Go: `adjust`.
    fn sweep(&mut self) {
        if self.dead >= SWEEP_MIN && self.dead > self.heap.len() / 4 {
            let slots = &self.slots;
            self.heap.retain(|&entry| slots.holds(Key::of(entry)));
            self.dead = 0;
        }
        self.heap.shrink();
        self.slots.shrink();
    }
}

impl Slots {
    fn fill(&mut self, seq: u64, waker: Waker) -> u32 {
        self.armed += 1;
        let armed = Slot::Armed { seq, waker };
        let Some(slot) = self.free else {
            self.all.push(armed);
            return u32::try_from(self.all.len() - 1).expect("there are fewer than 2^32 timers");
        };
        match std::mem::replace(&mut self.all[slot as usize], armed) {
            Slot::Free { next } => self.free = next,
            Slot::Armed { seq, .. } => unreachable!("slot {slot} is free, and has timer {seq}"),
        }
        slot
    }

    fn holds(&self, key: Key) -> bool {
        matches!(self.all.get(key.slot as usize), Some(Slot::Armed { seq, .. }) if *seq == key.seq)
    }

    fn get_mut(&mut self, key: Key) -> Option<&mut Waker> {
        match self.all.get_mut(key.slot as usize) {
            Some(Slot::Armed { seq, waker }) if *seq == key.seq => Some(waker),
            _ => None,
        }
    }

    fn take(&mut self, key: Key) -> Option<Waker> {
        if !self.holds(key) {
            return None;
        }
        let free = Slot::Free { next: self.free };
        match std::mem::replace(&mut self.all[key.slot as usize], free) {
            Slot::Armed { waker, .. } => {
                self.free = Some(key.slot);
                self.armed -= 1;
                self.freed += 1;
                Some(waker)
            }
            Slot::Free { .. } => None,
        }
    }

    /// Gives memory back if most slots are free, as far as the armed ones do not stand in the way. A look costs as
    /// much as there are slots, so as many must have been freed since the last.
    fn shrink(&mut self) {
        if self.freed < self.all.len().max(MIN_SLOTS) {
            return;
        }
        self.freed = 0;
        if self.armed >= self.all.len() / 4 {
            return;
        }
        let used =
            self.all.iter().rposition(|slot| matches!(slot, Slot::Armed { .. })).map_or(0, |at| at + 1);
        self.all.truncate(used);
        self.all.shrink_to(MIN_SLOTS.max(used * 2));
        self.free = None;
        // From the end, so that the lowest free slot is the next to be used, and the end becomes free.
        for at in (0..used).rev() {
            if let Slot::Free { next } = &mut self.all[at] {
                *next = self.free;
                self.free = Some(at as u32);
            }
        }
    }
}

#[cfg(test)]
mod tests;
