//! Runs a closure that blocks, as a task that declares it.
//!
//! Go counterpart: `go func() { … }()` with a system call in it.
//!
//! ```text
//!   task: wait for a permit (sched/permits.rs) ─▶ declare: the P goes on with others ─▶ f ─▶ done, without a P
//! ```
//!
//! Absent: a second pool of threads. The closure runs on the M that began the task's poll.

use crate::cell::join::JoinHandle;
use crate::reason::Reason;
use crate::sched::{Shared, blocking, current};
use std::panic::Location;
use std::sync::Arc;

/// Runs `f`, which may block its thread for long, as a task of its own.
///
/// Blocks nobody: the caller goes on, and awaits the handle if it wants the result. The task's M gives its P to another M
/// before it calls `f`. At most [`Builder::max_blocking`](crate::Builder::max_blocking) closures run at once; the
/// others wait in line, first come, first served, and cost no thread.
///
/// # Cancel safety
///
/// [`JoinHandle::abort`] and the end of the runtime cancel a closure that has not begun: it is dropped uncalled. One that
/// has begun runs to its end, and the runtime's drop waits for it.
///
/// # Panics
///
/// Outside of a task and of a `block_on`: there is no current runtime. A panic of `f` is the task's: the handle tells.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// gmprt::run(async {
///     let handle = gmprt::spawn_blocking(|| std::fs::read_to_string("/proc/self/comm"));
///     assert!(handle.await.unwrap().is_ok());
/// })
/// # }
/// ```
///
/// # Differences from Go
///
/// A goroutine that enters a system call does the same without a word, and there is no limit but that of threads.
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let site = Location::caller();
    current::with(|cx| cx.shared.spawn(site, blocking_task(&cx.shared, f)))
        .expect("spawn_blocking: there is no gmprt runtime here: not in a task, and not in a block_on")
}

/// The task that runs `f`.
pub(crate) fn blocking_task<F, R>(shared: &Shared, f: F) -> impl Future<Output = R> + Send + use<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let permit = Arc::clone(&shared.permits).acquire(Reason::BlockingPermit);
    async move {
        let _permit = permit.await;
        blocking::declare().without_return(); // what remains after `f` needs no P
        f()
    }
}
