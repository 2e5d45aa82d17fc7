//! What mutexes and semaphores are measured by: tasks that take one again and again.

use std::sync::Arc;
use std::time::Duration;

use gmprt::Runtime;

use crate::cell::{Cell, in_tasks, timed};

/// A lock on a number, or a semaphore beside it.
pub(crate) trait Lock: Send + Sync + 'static {
    /// `permits` is for semaphores only.
    fn new(permits: usize) -> Self;

    /// Takes it, counts, lets the others run if so asked, and gives it back.
    fn pass(&self, yields: bool) -> impl Future<Output = ()> + Send;
}

/// Each task takes the lock again and again; an operation is to take it once.
pub(crate) fn passes<L: Lock>(cell: &Cell, rt: &Runtime, times: u64) -> Duration {
    let Cell { tasks, permits, yields, .. } = *cell;
    let share = times.div_ceil(tasks);
    timed(cell, rt, times, async move {
        let lock = Arc::new(L::new(permits));
        let one = || {
            let lock = lock.clone();
            async move {
                for _ in 0..share {
                    lock.pass(yields).await;
                }
            }
        };
        in_tasks(tasks, one).await;
        share * tasks
    })
}
