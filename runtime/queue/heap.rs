//! A 4-ary min-heap of times: which timer is the next one.
//!
//! Go counterpart: `timers.heap` (`time.go: siftUp, siftDown, initHeap, deleteMin`), `timerHeapN` is 4.
//!
//! A1. No entry is before its parent, by (when, seq).
//! A2. `seq` differs in all entries, so the order is total: equal times come out in the order in which they
//!     were armed.
//!
//! ```text
//!                    0                      parent of i: (i − 1) / 4
//!          ┌──────┬──┴───┬──────┐           children of i: 4i + 1 ‥ 4i + 4
//!          1      2      3      4           half as deep as a binary heap, and four children
//!      ┌─┬─┴─┬─┐ ┌─┬─ …                     lie side by side in memory
//!      5 6   7 8 9
//! ```
//!
//! Absent: where in the heap a given entry is. To keep that up to date costs a write into the timer at each
//! move; a timer that is cancelled leaves a dead entry instead, which `timers.rs` sweeps.

use crate::sys::clock::Nanos;

/// Children of an entry. Go: `timerHeapN`.
const ARITY: usize = 4;

/// A shrink leaves room for this many at least.
const MIN_CAPACITY: usize = 64;

/// When something is due, in which turn among equals, and where the rest of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) when: Nanos,
    pub(crate) seq: u64,
    pub(crate) slot: u32,
}

/// The heap.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    entries: Vec<Entry>,
}

impl Entry {
    #[inline]
    fn before(&self, other: &Self) -> bool {
        (self.when, self.seq) < (other.when, other.seq)
    }
}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The first one.
    #[inline]
    pub(crate) fn peek(&self) -> Option<&Entry> {
        self.entries.first()
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        self.sift_up(self.entries.len() - 1);
    }

    /// Takes the first one.
    #[doc(alias = "deleteMin")]
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let last = self.entries.pop()?;
        let Some(root) = self.entries.first_mut() else {
            return Some(last);
        };
        let first = std::mem::replace(root, last);
        self.sift_down(0);
        Some(first)
    }

    /// Takes the entry that stands last in memory, if `take` says so: no other one moves.
    pub(crate) fn pop_last_if(&mut self, take: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        self.entries.pop_if(|last| take(last))
    }

    /// Drops all that `keep` does not want, in O(n).
    #[doc(alias = "initHeap")]
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.entries.retain(keep);
        let inner = self.entries.len().saturating_sub(2) / ARITY + 1; // those with children
        for at in (0..inner).rev() {
            self.sift_down(at);
        }
    }

    /// Gives memory back if three quarters of it are unused.
    pub(crate) fn shrink(&mut self) {
        let (len, capacity) = (self.entries.len(), self.entries.capacity());
        if capacity > MIN_CAPACITY && len < capacity / 4 {
            self.entries.shrink_to(MIN_CAPACITY.max(len * 2));
        }
    }

    /// All entries, in order; the heap is used up.
    pub(crate) fn into_sorted(self) -> Vec<Entry> {
        let mut entries = self.entries;
        entries.sort_unstable_by_key(|entry| (entry.when, entry.seq));
        entries
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    #[doc(alias = "siftUp")]
    fn sift_up(&mut self, mut at: usize) {
        let Some(&entry) = self.entries.get(at) else {
            return;
        };
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !entry.before(&self.entries[parent]) {
                break;
            }
            self.entries[at] = self.entries[parent];
            at = parent;
        }
        self.entries[at] = entry;
    }

    #[doc(alias = "siftDown")]
    fn sift_down(&mut self, mut at: usize) {
        let Some(&entry) = self.entries.get(at) else {
            return;
        };
        loop {
            let first = at * ARITY + 1;
            let children = first..(first + ARITY).min(self.entries.len());
            let Some(least) = children.min_by_key(|&i| (self.entries[i].when, self.entries[i].seq)) else {
                break;
            };
            if !self.entries[least].before(&entry) {
                break;
            }
            self.entries[at] = self.entries[least];
            at = least;
        }
        self.entries[at] = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    fn key(entry: &Entry) -> (Nanos, u64) {
        (entry.when, entry.seq)
    }

    fn holds_its_order(heap: &Heap) -> bool {
        let entries = &heap.entries;
        (1..entries.len()).all(|i| key(&entries[(i - 1) / ARITY]) < key(&entries[i]))
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Nanos),
        Pop,
        PopLast,
        KeepEvenTimes,
        Shrink,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..20u64).prop_map(Step::Push),
            2 => any::<u64>().prop_map(Step::Push),
            5 => Just(Step::Pop),
            1 => Just(Step::PopLast),
            1 => Just(Step::KeepEvenTimes),
            1 => Just(Step::Shrink),
        ]
    }

    proptest! {
        #[test]
        fn the_heap_does_what_a_binary_heap_does(steps in proptest::collection::vec(step(), 1..300)) {
            let mut heap = Heap::new();
            let mut model = BinaryHeap::new();
            for (seq, step) in steps.into_iter().enumerate() {
                let seq = seq as u64;
                match step {
                    Step::Push(when) => {
                        heap.push(Entry { when, seq, slot: !(seq as u32) });
                        model.push(Reverse((when, seq)));
                    }
                    Step::Pop => {
                        let got = heap.pop();
                        prop_assert!(got.is_none_or(|entry| entry.slot == !(entry.seq as u32)));
                        prop_assert_eq!(got.map(|entry| key(&entry)), model.pop().map(|Reverse(key)| key));
                    }
                    Step::PopLast => {
                        prop_assert!(heap.pop_last_if(|_| false).is_none());
                        if let Some(last) = heap.pop_last_if(|_| true) {
                            model.retain(|&Reverse(other)| other != key(&last));
                        }
                    }
                    Step::KeepEvenTimes => {
                        heap.retain(|entry| entry.when.is_multiple_of(2));
                        model.retain(|Reverse((when, _))| when.is_multiple_of(2));
                    }
                    Step::Shrink => heap.shrink(),
                }
                prop_assert!(holds_its_order(&heap), "A1");
                prop_assert_eq!(heap.len(), model.len());
                prop_assert_eq!(heap.peek().map(key), model.peek().map(|&Reverse(key)| key));
            }
            let rest: Vec<_> = heap.into_sorted().iter().map(key).collect();
            let expected: Vec<_> = model.into_sorted_vec().into_iter().rev().map(|Reverse(key)| key).collect();
            prop_assert_eq!(rest, expected);
        }
    }

    #[test]
    fn equal_times_come_out_in_the_order_they_went_in() {
        let mut heap = Heap::new();
        for seq in 0..100 {
            heap.push(Entry { when: 7, seq, slot: 0 });
        }
        let out: Vec<_> = std::iter::from_fn(|| heap.pop()).map(|entry| entry.seq).collect();
        assert!(out.iter().copied().eq(0..100));
    }

    #[test]
    fn a_shrink_keeps_what_is_there_and_gives_the_rest_back() {
        let mut heap = Heap::new();
        for seq in 0..10_000 {
            heap.push(Entry { when: seq, seq, slot: 0 });
        }
        heap.shrink();
        assert!(heap.capacity() >= 10_000, "a full one is left as it is");
        heap.retain(|entry| entry.when < 10);
        heap.shrink();
        assert!(heap.capacity() <= 2 * MIN_CAPACITY, "{}", heap.capacity());
        assert_eq!(heap.len(), 10);
        heap.retain(|_| false);
        assert!(heap.pop().is_none());
    }
}
