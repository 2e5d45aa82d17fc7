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
//!
//! Absent: names of tasks that have ended. Who wants them later has noted them when they were told.

use crossbeam_utils::CachePadded;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

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
#[cfg(test)]
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
    }
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
