//! What tasks are called: the names of those that live, by their ids.
//!
//! Go counterpart: none; its traces call a goroutine by the function with which it began.
//!
//! ```text
//!   task::Builder ─▶ enter: the table ─▶ the recorder ─▶ Named, in the task's future ─▶ drop: out of the table
//!                              ▲                                 dropped after what it is the name of
//!                      name_of, all_names
//! ```
//!
//! N1. A name is in the table before its task can run, and until the task's future has been dropped.
//! N2. A recorder that starts first says that it records, then asks for [`all_names`]; who enters a name looks after that
//!     whether anybody records. So of a name that is entered meanwhile it learns in one way at least: if `all_names` has
//!     missed it, then its shard's lock was taken before the name was entered.
//! N3. No user code runs under a lock.
//! N4. When the panic of a task is reported its future has been dropped, and its name is out of the table: so the thread keeps
//!     the name of the last that it saw panic. It is that one's, or another's and then not used.
//!
//! Absent: names of tasks that have ended. Who wants them later has noted them when they were told.

use crossbeam_utils::CachePadded;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// Locks that tasks on different Ps do not meet at: ids that follow each other lie in different shards.
const SHARDS: usize = 16;

type Shard = BTreeMap<u64, Arc<str>>;

static NAMES: [CachePadded<Mutex<Shard>>; SHARDS] =
    [const { CachePadded::new(Mutex::new(BTreeMap::new())) }; SHARDS];

/// A task has a name until this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Named(u64);

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    #[cfg(test)]
    tests::count();
    shard.lock().expect("no user code runs under this lock, so nothing panics there (N3)")
}

fn shard_of(id: u64) -> MutexGuard<'static, Shard> {
    lock(&NAMES[id as usize % SHARDS])
}

/// The task with this id, which nobody has spawned yet, is called `name`.
pub(crate) fn enter(id: u64, name: &Arc<str>) -> Named {
    shard_of(id).insert(id, Arc::clone(name));
    Named(id)
}

/// What the task with this id is called, if it lives and has a name.
pub(crate) fn name_of(id: u64) -> Option<Arc<str>> {
    shard_of(id).get(&id).map(Arc::clone)
}

/// What all tasks that live are called. No moment need have been at which they all did.
pub(crate) fn all_names() -> HashMap<u64, Arc<str>> {
    NAMES
        .iter()
        .flat_map(|shard| lock(shard).iter().map(|(&id, name)| (id, Arc::clone(name))).collect::<Vec<_>>())
        .collect()
}

impl Drop for Named {
    fn drop(&mut self) {
        let name = shard_of(self.0).remove(&self.0);
        debug_assert!(name.is_some(), "a task is named once");
        if let Some(name) = name
            && thread::panicking()
        {
            keep(self.0, name);
        }
    }
}

impl Named {
    /// If the thread unwinds while this is alive, the name is kept for the report of the panic (N4).
    pub(crate) fn kept_on_panic(&self) -> KeptOnPanic<'_> {
        KeptOnPanic(self)
    }
}

/// Notes a name as the thread unwinds.
pub(crate) struct KeptOnPanic<'a>(&'a Named);

impl Drop for KeptOnPanic<'_> {
    #[inline]
    fn drop(&mut self) {
        if thread::panicking() {
            let name = name_of(self.0.0);
            if let Some(name) = name {
                keep(self.0.0, name);
            }
        }
    }
}

thread_local! {
    static PANICKED: RefCell<Option<(u64, Arc<str>)>> = const { RefCell::new(None) };
}

#[cold]
fn keep(id: u64, name: Arc<str>) {
    // A thread at its very end has no such place any more, and reports without a name.
    let _ = PANICKED.try_with(|kept| kept.borrow_mut().replace((id, name)));
}

/// What the task was called that has just panicked on this thread.
pub(crate) fn name_of_panicked(id: u64) -> Option<Arc<str>> {
    let kept = PANICKED.try_with(|kept| kept.borrow_mut().take()).ok().flatten();
    kept.filter(|kept| kept.0 == id).map(|kept| kept.1)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::PoisonError;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::SeqCst;

    static LOCKED: AtomicU64 = AtomicU64::new(0);

    pub(super) fn count() {
        // Ordering: SeqCst; a test.
        LOCKED.fetch_add(1, SeqCst);
    }

    /// How often the table was locked. It means something to who holds [`alone`].
    pub(crate) fn locked() -> u64 {
        // Ordering: SeqCst; a test.
        LOCKED.load(SeqCst)
    }

    /// Tests that use the table run one after another.
    pub(crate) fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn names_are_found_by_their_ids_until_they_are_dropped() {
        let _alone = alone();
        let base = u64::MAX - 100; // no task's
        let named: Vec<_> = (0..40).map(|n| enter(base + n, &format!("task {n}").into())).collect();
        assert_eq!(name_of(base + 17).as_deref(), Some("task 17"));
        assert_eq!(name_of(base + 40), None);
        let all = all_names();
        assert!((0..40).all(|n| *all[&(base + n)] == *format!("task {n}")));
        drop(named);
        assert_eq!(name_of(base + 17), None);
        assert!(all_names().keys().all(|&id| id < base));
    }
}
