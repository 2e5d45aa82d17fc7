//! Latencies while they are measured. Made, and its memory touched, before a run is timed, so that none of its 30 KiB of
//! buckets count as the runtime's.

use std::num::NonZeroU64;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// A histogram of 1 ns to 60 s, each bucket at most 1 % wide.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Latencies {
        let mut buckets = Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("the bounds are valid");
        buckets.reset(); // writes to each page
        Latencies(buckets)
    }

    /// Never allocates. What took over a minute counts as a minute.
    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(took.as_nanos() as u64);
    }

    /// What was recorded: nanoseconds and how many took so long, ascending.
    pub(crate) fn recorded(&self) -> Vec<(u64, u64)> {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }
}

/// A moment in 8 bytes, also if there may be none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp(NonZeroU64);

/// What stamps count from: the first one's moment.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Stamp {
    pub(crate) fn now() -> Stamp {
        Stamp(NonZeroU64::MIN.saturating_add(EPOCH.elapsed().as_nanos() as u64))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_nanos(Stamp::now().0.get() - self.0.get())
    }
}

/// Latencies that thousands of tasks record at once, in whichever shard is free, from the task's own on. So nobody waits for a
/// thread that the kernel has stopped while it had a shard: on gmprt that would be a poll that blocks, and cost an M.
#[derive(Clone)]
pub(crate) struct Shards(Arc<[Mutex<Latencies>; 16]>);

impl Shards {
    pub(crate) fn new() -> Shards {
        Shards(Arc::new(std::array::from_fn(|_| Mutex::new(Latencies::new()))))
    }

    pub(crate) fn record(&self, task: u32, took: Duration) {
        // Sixteen shards, and a thread has one at a time: with up to 15 threads one is free, with more it may take a few walks.
        let shards = self.0.iter().cycle().skip(task as usize % 16);
        let mut free = shards.filter_map(|shard| shard.try_lock().ok());
        free.next().expect("the walk has no end").record(took);
    }

    /// All of them together.
    pub(crate) fn recorded(&self) -> Vec<(u64, u64)> {
        let mut all = Latencies::new();
        for shard in &*self.0 {
            all.0 += &shard.lock().unwrap_or_else(PoisonError::into_inner).0;
        }
        all.recorded()
    }
}
