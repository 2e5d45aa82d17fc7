//! The global run queue: what no P has yet, oldest first; any thread pushes, any M takes.
//!
//! Go counterpart: `sched.runq` with `globrunqput`, `globrunqputbatch`, `globrunqgetbatch` (`proc.go`).
//!
//! ```text
//!   foreign threads, overflowing Ps, yielders ──▶ [ … ] ──▶ Ps, in fair shares: min(128, n, n/procs + 1)
//! ```
//!
//! I1. `len` is counted after the push and after the take: it may lag behind the queue, in both
//!     directions, for as long as such a call lasts. Who pushes counts before FENCE-SUBMIT, so that after
//!     FENCE-PARK an M sees the count or is seen idle.
//! I2. An entry's lowest bit tells a *yielder*: a task that came here by `yield_now`, not to be served
//!     first but to let others pass, or with half of a ring that was full. `yielders` counts them as `len` counts all.
//!
//! Absent: a lock (Go's `sched.lock`), and crossbeam's `steal_batch`, which fills only crossbeam's own
//! deques and stops at the end of a block.

use crate::sys::primitive::AtomicOrdering::{Acquire, Relaxed, Release};
use crossbeam_deque::Steal;
use crossbeam_utils::CachePadded;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicIsize, AtomicPtr};

/// A pointer to what is queued, its lowest bit the yielder mark (I2). Atomic only so that it is Send: an entry
/// has one owner, the queue or whoever took it out.
struct Entry<T>(AtomicPtr<T>);

impl<T> Entry<T> {
    fn new(task: NonNull<T>, yielder: bool) -> Self {
        const { assert!(align_of::<T>() >= 2) };
        Self(AtomicPtr::new(task.as_ptr().map_addr(|address| address | usize::from(yielder))))
    }

    fn open(self) -> (NonNull<T>, bool) {
        let marked = self.0.into_inner();
        let task = marked.map_addr(|address| address & !1);
        (NonNull::new(task).expect("an address of a task has higher bits"), marked.addr() & 1 == 1)
    }
}

/// The global run queue. `T` is only ever pointed at: what is in the queue is owned by the queue.
pub(crate) struct Injector<T> {
    queue: crossbeam_deque::Injector<Entry<T>>,
    len: CachePadded<AtomicIsize>,
    yielders: AtomicIsize,
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        Self {
            queue: crossbeam_deque::Injector::new(),
            len: CachePadded::new(AtomicIsize::new(0)),
            yielders: AtomicIsize::new(0),
        }
    }

    /// Appends one task; Go: `globrunqput`.
    pub(crate) fn push(&self, task: NonNull<T>) {
        self.queue.push(Entry::new(task, false));
        // Ordering: Release; pairs with the Acquire load in `len`: who counts it can take it.
        self.len.fetch_add(1, Release);
    }

    /// Appends a task that yields to foreign work (I2); Go: `goschedImpl`.
    pub(crate) fn push_yielder(&self, task: NonNull<T>) {
        self.queue.push(Entry::new(task, true));
        // Ordering: Relaxed; a guess for `foreign_work_waits`, published by the next line if at all.
        self.yielders.fetch_add(1, Relaxed);
        // Ordering: Release; as in `push`.
        self.len.fetch_add(1, Release);
    }

    /// Appends one task without counting it; [`Injector::counted`] follows, and says the same of yielders.
    pub(crate) fn push_uncounted(&self, task: NonNull<T>, yielder: bool) {
        self.queue.push(Entry::new(task, yielder));
    }

    /// Counts `n` tasks that [`Injector::push_uncounted`] has appended.
    pub(crate) fn counted(&self, n: usize, yielders: bool) {
        if yielders {
            // Ordering: Relaxed; as in `push_yielder`.
            self.yielders.fetch_add(n as isize, Relaxed);
        }
        // Ordering: Release; as in `push`.
        self.len.fetch_add(n as isize, Release);
    }

    /// How many tasks wait; see I1.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // Ordering: Acquire; pairs with the Release add of a push.
        self.len.load(Acquire).max(0) as usize
    }

    /// Whether anything waits that is not a yielder: a yielder comes here only to let such work pass.
    #[inline]
    pub(crate) fn foreign_work_waits(&self) -> bool {
        // Ordering: Relaxed on both; a guess, asked again at the next yield.
        let len = self.len.load(Relaxed);
        // Ordering: Relaxed; as above.
        len > 0 && len > self.yielders.load(Relaxed)
    }

    /// Takes the oldest task.
    pub(crate) fn pop(&self) -> Option<NonNull<T>> {
        self.pop_some(1, |_| {})
    }

    /// Takes up to `n`: returns the oldest, and calls `more` with each of the others in their order.
    pub(crate) fn pop_some(&self, n: usize, mut more: impl FnMut(NonNull<T>)) -> Option<NonNull<T>> {
        let (mut first, mut taken, mut yielders) = (None, 0, 0);
        while taken < n {
            let entry = match self.queue.steal() {
                Steal::Success(entry) => entry,
                Steal::Retry => continue,
                Steal::Empty => break,
            };
            let (task, yielder) = entry.open();
            taken += 1;
            yielders += isize::from(yielder);
            if first.is_none() { first = Some(task) } else { more(task) }
        }
        if taken > 0 {
            // Ordering: Relaxed; taking away publishes nothing.
            self.len.fetch_sub(taken as isize, Relaxed);
        }
        if yielders > 0 {
            // Ordering: Relaxed; as above.
            self.yielders.fetch_sub(yielders, Relaxed);
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(n: usize) -> NonNull<u64> {
        NonNull::new(std::ptr::without_provenance_mut(n * 8 + 8)).unwrap()
    }

    #[test]
    fn tasks_come_out_in_the_order_they_went_in() {
        let injector = Injector::new();
        (0..300).for_each(|n| injector.push(numbered(n)));
        assert_eq!(injector.len(), 300);
        let mut batch = Vec::new();
        assert_eq!(injector.pop_some(129, |task| batch.push(task)), Some(numbered(0)));
        assert_eq!(batch, (1..129).map(numbered).collect::<Vec<_>>());
        assert_eq!(injector.len(), 171);
        for n in 129..300 {
            assert_eq!(injector.pop(), Some(numbered(n)));
        }
        assert_eq!((injector.pop(), injector.len()), (None, 0));
    }

    #[test]
    fn yielders_alone_are_no_foreign_work() {
        let injector = Injector::new();
        injector.push_yielder(numbered(1));
        injector.push_yielder(numbered(2));
        assert!(!injector.foreign_work_waits());
        injector.push(numbered(3));
        assert!(injector.foreign_work_waits());
        assert_eq!(injector.pop_some(3, |_| {}), Some(numbered(1)));
        assert!(!injector.foreign_work_waits());
        injector.push(numbered(4));
        assert!(injector.foreign_work_waits(), "the yielders taken out are forgotten");
        assert_eq!(injector.pop(), Some(numbered(4)));
    }
}
