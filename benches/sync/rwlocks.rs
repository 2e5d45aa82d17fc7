//! Read-write locks: each side alone, and tasks that mostly read.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gmprt::Runtime;

use crate::cell::{Cell, Run, alone, among, in_tasks, timed};

/// A read-write lock on a number.
trait ReadWrite: Send + Sync + 'static {
    fn new() -> Self;
    /// Looks at the number.
    fn look(&self) -> impl Future<Output = u64> + Send;
    /// Counts.
    fn count(&self) -> impl Future<Output = ()> + Send;
}

macro_rules! read_write {
    ($($type:ty;)*) => {$(
        impl ReadWrite for $type {
            fn new() -> Self {
                <$type>::new(0)
            }

            #[inline(always)]
            async fn look(&self) -> u64 {
                *self.read().await
            }

            #[inline(always)]
            async fn count(&self) {
                *self.write().await += 1;
            }
        }
    )*};
}

read_write! {
    gmprt::sync::RwLock<u64>;
    tokio::sync::RwLock<u64>;
    async_lock::RwLock<u64>;
}

const READS: [Option<Run>; 3] = [
    Some(reads::<gmprt::sync::RwLock<u64>>),
    Some(reads::<tokio::sync::RwLock<u64>>),
    Some(reads::<async_lock::RwLock<u64>>),
];
const WRITES: [Option<Run>; 3] = [
    Some(writes::<gmprt::sync::RwLock<u64>>),
    Some(writes::<tokio::sync::RwLock<u64>>),
    Some(writes::<async_lock::RwLock<u64>>),
];
const READ_MOSTLY: [Option<Run>; 3] = [
    Some(read_mostly::<gmprt::sync::RwLock<u64>>),
    Some(read_mostly::<tokio::sync::RwLock<u64>>),
    Some(read_mostly::<async_lock::RwLock<u64>>),
];

pub(crate) const CELLS: &[Cell] = &[
    alone("rwlock read alone", READS),
    alone("rwlock write alone", WRITES),
    among("rwlock 4 tasks read 9 of 10", 4, READ_MOSTLY),
    among("rwlock 16 tasks read 9 of 10", 16, READ_MOSTLY),
];

fn reads<L: ReadWrite>(cell: &Cell, rt: &Runtime, times: u64) -> Duration {
    timed(cell, rt, times, async move {
        let lock = L::new();
        for _ in 0..times {
            assert_eq!(lock.look().await, 0);
        }
        times
    })
}

fn writes<L: ReadWrite>(cell: &Cell, rt: &Runtime, times: u64) -> Duration {
    timed(cell, rt, times, async move {
        let lock = L::new();
        for _ in 0..times {
            lock.count().await;
        }
        times
    })
}

/// Nine times of ten each task reads, then it writes.
fn read_mostly<L: ReadWrite>(cell: &Cell, rt: &Runtime, times: u64) -> Duration {
    let tasks = cell.tasks;
    let share = times.div_ceil(tasks);
    timed(cell, rt, times, async move {
        let lock = Arc::new(L::new());
        let one = || {
            let lock = lock.clone();
            async move {
                let mut seen = 0;
                for n in 0..share {
                    if n % 10 == 9 {
                        lock.count().await;
                    } else {
                        let now = lock.look().await;
                        assert!(now >= seen, "the count only grows");
                        seen = now;
                    }
                }
            }
        };
        in_tasks(tasks, one).await;
        assert_eq!(lock.look().await, share / 10 * tasks, "no write is lost");
        share * tasks
    })
}
