//! Floor 5: what tasks wait for each other with.
//!
//! Go counterpart: package `sync`, and the waiter queues of `sema.go` and `chan.go`.
//!
//! ```text
//!   Mutex, RwLock, Semaphore, Notify, Cond, Barrier, OnceCell, WaitGroup, Pool      what programs use
//!       │      raw_mutex, rwlock/raw: Go's locks, without the data
//!   wait_queue         a lock, a list, and a waiter that leaves the list when dropped (safe to use)
//!       │                          chan/waiting
//!   wait_list  ◀───────────────────────┘   the intrusive list itself (unsafe to use)
//!       │
//!   wake_batch         wakers collected under a lock, woken after it
//! ```
//!
//! Everything here knows only [`std::task::Waker`], so it works on any executor.

#[expect(unsafe_code, reason = "an intrusive list: its nodes live inside pinned futures")]
pub(crate) mod wait_list;
#[expect(unsafe_code, reason = "binds a node of the intrusive list to its list, and projects a pin")]
pub(crate) mod wait_queue;
pub(crate) mod wake_batch;

#[cfg(gmprt_loom)]
pub(crate) use crate::models::preempt;
#[cfg(not(gmprt_loom))]
pub(crate) use crate::sched::preempt;

mod barrier;
#[cfg(not(gmprt_loom))]
pub(crate) mod blocking;
mod cond;
#[expect(unsafe_code, reason = "a value that who has the lock may reach")]
mod mutex;
mod notify;
#[expect(unsafe_code, reason = "a value that is written once, and read without a lock")]
mod once;
#[cfg(not(gmprt_loom))]
mod pool;
mod raw_mutex;
#[expect(unsafe_code, reason = "the value behind the guards")]
mod rwlock;
mod semaphore;
mod wait_group;

pub use barrier::{Barrier, BarrierWaitResult};
pub use cond::Cond;
pub use mutex::{LockFuture, Mutex, MutexGuard, OwnedMutexGuard};
pub use notify::{Notified, Notify, OwnedNotified};
pub use once::{OnceCell, SetError};
#[cfg(not(gmprt_loom))]
pub use pool::{Pool, PoolGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{
    AcquireError, AcquireFuture, AcquireOwnedFuture, OwnedSemaphorePermit, Semaphore, SemaphorePermit,
    TryAcquireError,
};
pub use wait_group::WaitGroup;
