//! Where one thread writes its records: chunks of 1024, used round and round.
//!
//! Go counterpart: `traceBuf`, `traceWriter` (`tracebuf.go`).
//!
//! ```text
//!              ┌ chunk 0 ┐┌ chunk 1 ┐┌ chunk 2 ┐┌ chunk 3 ┐
//!   flight:    │ written ││ written ││█████▒▒▒▒││ oldest  │    █ up to `head`   ▒ up to `claimed`: may change under a reader
//!   collect:   │ free    ││ to read ││█████    ││ free    │    up to `read` it has been read; the writer waits for nobody:
//!              └─────────┘└─────────┘└─────────┘└─────────┘    without room a record is lost, and counted
//! ```
//!
//! G1. One thread at a time writes; a ring that changes hands does so through a lock. Any thread may read.
//! G2. A slot is two relaxed words. What stands below `head` is whole: `head` is stored with Release after them.
//! G3. *Flight recorder.* Before the first store into a chunk that was written before, `claimed` says that the chunk is lost.
//!     FENCE-CLAIM: a Release fence between that and the stores, an Acquire fence between a reader's loads of slots and its
//!     look at `claimed`. A reader that read a slot's new words sees the claim, and drops them.
//! G4. *Collect.* The writer begins a chunk only when `read` says that what stood there has been read: Acquire, for the
//!     reader's loads come before its Release store. And only if the budget, which several rings share, has something left.
//! G5. The writer asks for room once in a chunk; in between a record costs two stores, and a third for `head`.
//! G6. Two records that belong together are both written, or neither, and are published by one store of `head`: no reader sees
//!     the first alone.
//!
//! Length: a third of it are the tests, which need what nobody else may see.
//!
//! Absent: a wait, and an order between the rings of two threads (`merge.rs`).

use crate::sys::primitive::{
    AtomicOrdering::{Acquire, Relaxed, Release},
    AtomicU64, fence, weaken,
};
use std::sync::{Arc, OnceLock};

/// Records in a chunk.
pub(crate) const CHUNK: u64 = if cfg!(gmprt_loom) { 2 } else { 1024 };

/// How many records may still be written, by all who share it.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    pub(crate) fn new(records: u64) -> Self {
        Self(AtomicU64::new(records))
    }

    /// Whether nothing is left.
    pub(crate) fn is_used_up(&self) -> bool {
        // Ordering: Relaxed; a number, nothing is published by it.
        self.0.load(Relaxed) == 0
    }

    /// Up to `n` of what is left, and less towards the end: what one ring has taken and does not use the others lack.
    fn take(&self, n: u64) -> u64 {
        let share = |left: u64| n.min(left.div_ceil(16));
        // Ordering: Relaxed; a number, nothing is published by it.
        let taken = self.0.fetch_update(Relaxed, Relaxed, |left| Some(left - share(left)));
        taken.map_or(0, share)
    }
}

/// What happens when the ring is full.
#[derive(Debug)]
pub(crate) enum Mode {
    /// The oldest are overwritten.
    Flight,
    /// Records are kept until they are read, and no more than the budget.
    Collect(Arc<Budget>),
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Pushed {
    Written,
    /// There was no room; it is counted.
    Lost,
    /// The budget is used up.
    Full,
}

/// A number that only the writer changes; others read it for people.
#[derive(Debug, Default)]
struct Own(std::sync::atomic::AtomicU64);

impl Own {
    #[inline(always)]
    fn get(&self) -> u64 {
        // Ordering: Relaxed; the writer's own.
        self.0.load(Relaxed)
    }

    #[inline(always)]
    fn set(&self, n: u64) {
        // Ordering: Relaxed; the writer's own.
        self.0.store(n, Relaxed);
    }
}

#[derive(Debug, Default)]
struct Slot {
    first: AtomicU64,
    second: AtomicU64,
}

type Chunk = Box<[Slot]>;

fn chunk() -> Chunk {
    (0..CHUNK).map(|_| Slot::default()).collect()
}

/// A ring of records.
#[derive(Debug)]
pub(crate) struct Ring {
    /// A power of two of them; each is made when it is first needed.
    chunks: Box<[OnceLock<Chunk>]>,
    mode: Mode,
    /// Records written, up to where the writer may write without asking (G5), and records that there was no room for: the
    /// writer's own. (No atomics of a model: a writer's look at what it alone writes would hide a reader's from loom.)
    at: Own,
    room: Own,
    lost: Own,
    /// `at`, for readers.
    head: AtomicU64,
    /// Up to where slots may be overwritten (G3).
    claimed: AtomicU64,
    /// Records read, in `Collect` (G4). Only the reader changes it.
    read: AtomicU64,
}

impl Ring {
    /// A ring for at least `records` records.
    pub(crate) fn new(records: u64, mode: Mode) -> Self {
        let chunks = records.div_ceil(CHUNK).max(2).next_power_of_two();
        let ring = Self {
            chunks: (0..chunks).map(|_| OnceLock::new()).collect(),
            mode,
            at: Own::default(),
            room: Own::default(),
            lost: Own::default(),
            head: AtomicU64::new(0),
            claimed: AtomicU64::new(0),
            read: AtomicU64::new(0),
        };
        if cfg!(gmprt_loom) {
            ring.chunks.iter().for_each(|each| drop(each.set(chunk())));
        }
        ring
    }

    fn capacity(&self) -> u64 {
        self.chunks.len() as u64 * CHUNK
    }

    #[inline(always)]
    fn slot(&self, at: u64) -> Option<&Slot> {
        let which = (at / CHUNK) as usize & (self.chunks.len() - 1);
        self.chunks[which].get().map(|chunk| &chunk[(at % CHUNK) as usize])
    }

    /// Writes a record (G1).
    #[inline(always)]
    pub(crate) fn push(&self, first: u64, second: u64) -> Pushed {
        let at = self.at.get();
        if at == self.room.get() {
            let pushed = self.make_room(at);
            if pushed != Pushed::Written {
                return pushed;
            }
        }
        self.write(at, (first, second));
        self.publish(at + 1);
        Pushed::Written
    }

    /// Writes two records that belong together (G1, G6).
    #[inline(always)]
    pub(crate) fn push_both(&self, one: (u64, u64), other: (u64, u64)) -> Pushed {
        let at = self.at.get();
        if self.room.get() - at < 2 {
            let pushed = self.make_room_for_both(at);
            if pushed != Pushed::Written {
                return pushed;
            }
        }
        self.write(at, one);
        if !weaken::stands("trace.both") {
            self.publish(at + 1);
        }
        self.write(at + 1, other);
        self.publish(at + 2);
        Pushed::Written
    }

    #[inline(always)]
    fn write(&self, at: u64, (first, second): (u64, u64)) {
        let Some(slot) = self.slot(at) else { return }; // `make_room` has made it
        // Ordering: Relaxed, both; G2 publishes them, G3 takes them back.
        slot.first.store(first, Relaxed);
        slot.second.store(second, Relaxed); // Ordering: Relaxed; as above
    }

    #[inline(always)]
    fn publish(&self, head: u64) {
        // Ordering: Release; pairs with the Acquire load in `read_to`: G2.
        self.head.store(head, weaken::or_relaxed(Release, "trace.head"));
        self.at.set(head);
    }

    #[cold]
    fn make_room_for_both(&self, at: u64) -> Pushed {
        let mut pushed = Pushed::Written;
        if at == self.room.get() {
            pushed = self.make_room(at);
        }
        if pushed == Pushed::Written && self.room.get() - at < 2 {
            pushed = self.make_room(at + 1); // the other one stands in the next chunk
        }
        if pushed != Pushed::Written {
            let _ = self.lose(pushed); // one has been counted
        }
        pushed
    }

    #[cold]
    fn make_room(&self, at: u64) -> Pushed {
        let mut n = CHUNK - at % CHUNK;
        match &self.mode {
            Mode::Flight => {
                // Ordering: Relaxed; FENCE-CLAIM follows.
                self.claimed.store(at + n, Relaxed);
                if weaken::stands("FENCE-CLAIM, writer") {
                    fence(Release); // FENCE-CLAIM, writer's end: G3
                }
            }
            Mode::Collect(budget) => {
                // Ordering: Acquire; pairs with the Release store in `read_to`: G4.
                let read = self.read.load(Acquire);
                if at + n > read + self.capacity() && weaken::stands("trace.room") {
                    return self.lose(Pushed::Lost);
                }
                n = budget.take(n);
                if n == 0 {
                    return self.lose(Pushed::Full);
                }
            }
        }
        self.chunks[(at / CHUNK) as usize & (self.chunks.len() - 1)].get_or_init(chunk);
        self.room.set(at + n);
        Pushed::Written
    }

    fn lose(&self, how: Pushed) -> Pushed {
        self.lost.set(self.lost.get() + 1);
        how
    }

    /// Records that there was no room for.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.get()
    }

    /// Records written so far.
    pub(crate) fn written(&self) -> u64 {
        self.at.get()
    }

    /// Reads what was written since `from`, which then is where the next read begins. True: some of it was overwritten
    /// before it could be read. `release`: in `Collect`, what was read may be written over; one reader at a time.
    pub(crate) fn read_to(&self, from: &mut u64, words: &mut Vec<(u64, u64)>, release: bool) -> bool {
        // Ordering: Acquire; pairs with the Release store in `push`: G2.
        let head = self.head.load(Acquire);
        let oldest = match self.mode {
            Mode::Flight => head.saturating_sub(self.capacity()).max(*from),
            Mode::Collect(_) => *from,
        };
        let begin = words.len();
        for at in oldest..head {
            let Some(slot) = self.slot(at) else { break };
            // Ordering: Relaxed, both; FENCE-CLAIM tells whether they are to be believed.
            words.push((slot.first.load(Relaxed), slot.second.load(Relaxed)));
        }
        let mut first = oldest;
        match self.mode {
            Mode::Flight => {
                if weaken::stands("FENCE-CLAIM, reader") {
                    fence(Acquire); // FENCE-CLAIM, reader's end: G3
                }
                // Ordering: Relaxed; the fence has ordered it.
                first = self.claimed.load(Relaxed).saturating_sub(self.capacity()).clamp(oldest, head);
                words.drain(begin..begin + (first - oldest) as usize);
            }
            // Ordering: Release; pairs with the Acquire load in `make_room`: G4.
            Mode::Collect(_) if release => self.read.store(head, Release),
            Mode::Collect(_) => {}
        }
        let gap = first > *from;
        *from = head;
        gap
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "../models/trace.rs"]
mod loom_models;

#[cfg(all(test, not(gmprt_loom)))]
mod tests {
    use super::*;

    fn collect(records: u64, budget: u64) -> Ring {
        Ring::new(records, Mode::Collect(Arc::new(Budget::new(budget))))
    }

    fn read(ring: &Ring, from: &mut u64) -> (Vec<u64>, bool) {
        let mut words = Vec::new();
        let gap = ring.read_to(from, &mut words, true);
        assert!(words.iter().all(|&(a, b)| b == a + 1), "torn");
        (words.into_iter().map(|(a, _)| a).collect(), gap)
    }

    fn push(ring: &Ring, n: u64) -> Pushed {
        ring.push(n, n + 1)
    }

    #[test]
    fn a_flight_recorder_keeps_the_newest() {
        let ring = Ring::new(4 * CHUNK, Mode::Flight);
        let mut from = 0;
        assert_eq!(read(&ring, &mut from), (vec![], false));
        for n in 0..10 * CHUNK + 7 {
            assert_eq!(push(&ring, n), Pushed::Written);
        }
        let (words, gap) = read(&ring, &mut from);
        assert!(gap);
        // The chunk that is being written has cost the oldest one.
        assert!(words.iter().copied().eq(7 * CHUNK..10 * CHUNK + 7));
        assert_eq!(ring.lost(), 0);
        let _ = push(&ring, 1);
        assert_eq!(read(&ring, &mut from), (vec![1], false));
    }

    #[test]
    fn what_is_collected_is_kept_until_it_is_read() {
        let ring = collect(2 * CHUNK, u64::MAX);
        let mut from = 0;
        for n in 0..2 * CHUNK {
            assert_eq!(push(&ring, n), Pushed::Written);
        }
        assert_eq!(push(&ring, 0), Pushed::Lost);
        assert_eq!(ring.lost(), 1);
        let (words, gap) = read(&ring, &mut from);
        assert!(words.into_iter().eq(0..2 * CHUNK) && !gap);
        for n in 0..CHUNK {
            assert_eq!(push(&ring, n), Pushed::Written);
        }
        assert_eq!(read(&ring, &mut from).0.len() as u64, CHUNK);
    }

    #[test]
    fn the_budget_is_shared_and_ends() {
        let budget = Arc::new(Budget::new(160));
        let rings = [(); 2].map(|()| Ring::new(8 * CHUNK, Mode::Collect(Arc::clone(&budget))));
        assert_eq!(push(&rings[0], 0), Pushed::Written);
        let mut written = 1;
        while push(&rings[1], 0) == Pushed::Written {
            written += 1;
        }
        assert_eq!(written, 1 + 160 - 10, "the other has taken a sixteenth");
        for _ in 1..10 {
            assert_eq!(push(&rings[0], 0), Pushed::Written);
        }
        assert_eq!(push(&rings[0], 0), Pushed::Full);
        assert_eq!(push(&rings[1], 0), Pushed::Full);
        assert_eq!((rings[0].lost(), rings[1].lost()), (1, 2));
    }

    #[test]
    fn two_records_are_both_written_or_neither() {
        let ring = collect(2 * CHUNK, 2 * CHUNK - 1);
        let both = |n: u64| ring.push_both((n, n + 1), (n + 1, n + 2));
        assert_eq!(push(&ring, 0), Pushed::Written);
        let mut n = 1;
        while both(n) == Pushed::Written {
            n += 2;
        }
        assert_eq!((n, ring.lost()), (2 * CHUNK - 1, 2));
        let ring = collect(2 * CHUNK, 4 * CHUNK);
        for n in 0..2 * CHUNK - 1 {
            assert_eq!(push(&ring, n), Pushed::Written);
        }
        assert_eq!(ring.push_both((0, 0), (0, 0)), Pushed::Lost);
        assert_eq!(ring.written(), 2 * CHUNK - 1);
        assert_eq!(push(&ring, 2 * CHUNK - 1), Pushed::Written, "one has room");
        let mut from = 0;
        assert!(read(&ring, &mut from).0.into_iter().eq(0..2 * CHUNK));
    }

    #[test]
    fn a_reader_beside_a_writer_sees_whole_records_in_order() {
        let n = 200 * CHUNK;
        let flight = Ring::new(4 * CHUNK, Mode::Flight);
        let kept = collect(4 * CHUNK, u64::MAX);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for at in 0..n {
                    let _ = push(&flight, at);
                    while push(&kept, at) == Pushed::Lost {
                        std::thread::yield_now();
                    }
                }
            });
            let (mut from, mut last) = ([0, 0], None);
            let mut all = Vec::new();
            while all.len() < n as usize {
                let (words, _) = read(&flight, &mut from[0]);
                for word in words {
                    assert!(last.is_none_or(|last| last < word));
                    last = Some(word);
                }
                all.extend(read(&kept, &mut from[1]).0);
            }
            assert!(all.into_iter().eq(0..n));
        });
    }
}
