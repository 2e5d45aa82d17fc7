//! A work-stealing scheduler runtime for Rust futures that models Go's G-M-P.
//!
//! A **G** is a task: a spawned future. An **M** is an OS thread. A **P** is the right to run tasks, with a
//! queue of 256 of them; there are as many as tasks may run at once. An M that runs out of tasks takes half
//! of another P's; a P whose queue overflows sends half to the injector, which all share.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! let sum: u64 = gmprt::run(async {
//!     let squares: Vec<_> = (1..=10u64).map(|n| gmprt::spawn(async move { n * n })).collect();
//!     let mut sum = 0;
//!     for square in squares {
//!         sum += square.await.unwrap();
//!     }
//!     sum
//! })?;
//! assert_eq!(sum, 385);
//! # Ok(())
//! # }
//! ```
//!
//! The sources are meant to be read; `docs/READING.md` gives an order.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("gmprt runs on 64-bit Linux only");

#[cfg(not(gmprt_loom))]
mod builder;
pub mod chan;
pub mod context;
#[cfg_attr(gmprt_loom, allow(dead_code, reason = "the models say reasons, and nobody reads them"))]
pub(crate) mod reason;
pub mod sync;
pub(crate) mod sys;

// A model checks single parts, with loom's atomics in the place of std's: `models` lists them, and the rest is
// not compiled then.
#[cfg(gmprt_loom)]
pub(crate) mod models;

#[cfg(not(gmprt_loom))]
pub(crate) mod cell;
#[cfg(not(gmprt_loom))]
pub mod dump;
#[cfg(not(gmprt_loom))]
mod error;
#[cfg(not(gmprt_loom))]
mod group;
#[cfg(not(gmprt_loom))]
pub(crate) mod look;
#[cfg(not(gmprt_loom))]
pub mod metrics;
#[cfg(not(gmprt_loom))]
pub(crate) mod names;
#[cfg(not(gmprt_loom))]
pub(crate) mod policy;
#[cfg(not(gmprt_loom))]
pub(crate) mod poller;
#[cfg(not(gmprt_loom))]
pub(crate) mod queue;
#[cfg(not(gmprt_loom))]
mod runtime;
#[cfg(not(gmprt_loom))]
pub(crate) mod sched;
#[cfg(not(gmprt_loom))]
mod schedtrace;
#[cfg(not(gmprt_loom))]
mod sigquit;
#[cfg(not(gmprt_loom))]
mod spawn_blocking;
#[cfg(not(gmprt_loom))]
mod task_builder;
#[cfg(not(gmprt_loom))]
pub mod time;
#[cfg(not(gmprt_loom))]
pub(crate) mod timers;
#[cfg(not(gmprt_loom))]
pub mod trace;

#[cfg(not(gmprt_loom))]
pub use builder::Builder;
#[cfg(not(gmprt_loom))]
pub use error::{ShutdownTimeout, UnhandledPanic};
#[cfg(not(gmprt_loom))]
pub use runtime::{Handle, Runtime, run};
#[cfg(not(gmprt_loom))]
pub use sched::{Affinity, block_in_place, spawn, yield_now::yield_now};
#[cfg(not(gmprt_loom))]
pub use spawn_blocking::spawn_blocking;

/// Tasks: their handles, their ids, and who runs them.
#[cfg(not(gmprt_loom))]
pub mod task {
    pub use crate::cell::TaskId;
    pub use crate::cell::join::JoinHandle;
    pub use crate::error::JoinError;
    pub use crate::group::{AbortHandle, Group, GroupError, Outcome};
    pub use crate::sched::yield_now::{YieldNow, yield_now};
    pub use crate::sched::{MachineId, ProcessorId};
    pub use crate::task_builder::Builder;

    use crate::sched::current;

    /// The id of the task that calls, if it is one.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// gmprt::run(async {
    ///     let handle = gmprt::spawn(async { gmprt::task::id() });
    ///     let id = handle.id();
    ///     assert_eq!(handle.await.unwrap(), Some(id));
    ///     assert_eq!(gmprt::task::id(), None); // block_on's future is not a task
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn id() -> Option<TaskId> {
        current::with(|cx| cx.task().map(|task| task.id())).flatten()
    }

    /// The P that the caller's thread holds; `None` outside of a runtime, and in a poll whose P was taken.
    #[must_use]
    pub fn processor() -> Option<ProcessorId> {
        current::with(|cx| cx.with_p(|p| p.id)).flatten()
    }

    /// The M that the caller's thread is; `None` outside of a runtime.
    #[must_use]
    pub fn machine() -> Option<MachineId> {
        current::with(|cx| cx.m.id)
    }
}
