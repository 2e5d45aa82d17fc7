//! One P's part of a pool: a lock, and what lies behind it.
//!
//! Go counterpart: `poolLocal`, and the `poolChain` in it (`pool.go`, `poolqueue.go`).
//!
//! D1. Only those whose shard it is take the `private` value. Of `shared` they take the newest, thieves the oldest.
//! D2. While the lock is free, `fresh` and `stale` are the lengths of `shared` and `old`. Whoever looks for something to
//!     steal reads them first, so that an empty shard costs no lock.
//!
//! ```text
//!   put ──▶ private ──▶ take            turn: old ──▶ the caller, who drops it
//!     └───▶ shared ─back─▶ take               ▲
//!             └────front─▶ steal        shared, private
//! ```
//!
//! Absent: Go's lock-free chain. An uncontended lock costs 5 ns, and thieves who find it taken go on.

use crate::sys::primitive::{AtomicOrdering::Relaxed, AtomicUsize, Mutex};
use std::collections::VecDeque;
use std::mem;
use std::sync::MutexGuard;

pub(super) struct Shard<T> {
    lists: Mutex<Lists<T>>,
    fresh: AtomicUsize,
    stale: AtomicUsize,
}

pub(super) struct Lists<T> {
    private: Option<T>,
    shared: VecDeque<T>,
    pub(super) old: VecDeque<T>,
}

impl<T> Shard<T> {
    pub(super) fn new() -> Self {
        let lists = Lists { private: None, shared: VecDeque::new(), old: VecDeque::new() };
        Self { lists: Mutex::new(lists), fresh: AtomicUsize::new(0), stale: AtomicUsize::new(0) }
    }

    #[inline]
    pub(super) fn locked(&self) -> MutexGuard<'_, Lists<T>> {
        self.lists.lock().expect("no user code runs under this lock, so nothing panics there")
    }

    /// Under the lock, after each change of the lists that others take from (D2).
    #[inline]
    fn publish(&self, lists: &Lists<T>) {
        // Ordering: Relaxed; hints. A value that is not seen yet counts as one that comes later, and one that was put
        // before a `get`, in the order of causes, is seen by it.
        self.fresh.store(lists.shared.len(), Relaxed);
        // Ordering: Relaxed; as above.
        self.stale.store(lists.old.len(), Relaxed);
    }

    /// Takes the value that was put last, for one whose shard it is.
    #[inline]
    pub(super) fn take(&self) -> Option<T> {
        let mut lists = self.locked();
        if let Some(value) = lists.private.take() {
            return Some(value);
        }
        let value = lists.shared.pop_back()?;
        self.publish(&lists);
        Some(value)
    }

    #[inline]
    pub(super) fn put(&self, value: T) {
        let mut lists = self.locked();
        if lists.private.is_none() {
            lists.private = Some(value);
        } else {
            lists.shared.push_back(value);
            self.publish(&lists);
        }
    }

    /// Takes the value that has been shared for longest.
    #[doc(alias = "popTail")]
    pub(super) fn steal(&self) -> Option<T> {
        self.steal_from(&self.fresh, |lists| &mut lists.shared)
    }

    /// Takes the oldest value, from before the last turn.
    pub(super) fn steal_old(&self) -> Option<T> {
        self.steal_from(&self.stale, |lists| &mut lists.old)
    }

    /// Nothing, if somebody else is at the shard.
    fn steal_from(
        &self,
        len: &AtomicUsize,
        list: impl FnOnce(&mut Lists<T>) -> &mut VecDeque<T>,
    ) -> Option<T> {
        // Ordering: Relaxed; a hint, see `publish`.
        if len.load(Relaxed) == 0 {
            return None;
        }
        let mut lists = self.lists.try_lock().ok()?;
        let value = list(&mut lists).pop_front();
        self.publish(&lists);
        value
    }

    /// Makes all of it old. Returns what was old before.
    pub(super) fn turn(&self) -> VecDeque<T> {
        let mut lists = self.locked();
        let fresh = mem::take(&mut lists.shared);
        let unused = mem::replace(&mut lists.old, fresh);
        let private = lists.private.take();
        lists.old.extend(private);
        self.publish(&lists);
        unused
    }
}
