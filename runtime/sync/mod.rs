//! Floor 5: what tasks wait for each other with.
//!
//! Go counterpart: package `sync`, and the waiter queues of `sema.go` and `chan.go`.
//!
//! ```text
//!   Mutex, Cond, WaitGroup …     what programs use
//!       │      raw_mutex: Go's lock, without the data
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

#[cfg(not(gmprt_loom))]
pub(crate) mod blocking;
mod cond;
#[expect(unsafe_code, reason = "a value that who has the lock may reach")]
mod mutex;
mod raw_mutex;
mod wait_group;

pub use cond::Cond;
pub use mutex::{LockFuture, Mutex, MutexGuard, OwnedMutexGuard};
pub use wait_group::WaitGroup;
