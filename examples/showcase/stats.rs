//! What a collector adds up, and medians over rounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

/// What the collector knows: how many items came, their sum, how long each took. One tally serves all runs, so that
/// its 200 KiB of buckets never show up as a run's memory.
pub(crate) struct Tally {
    sum: u128,
    count: u64,
    times_ns: Histogram<u64>,
    shown: Arc<AtomicU64>,
}

impl Tally {
    /// An empty tally, which tells `shown` now and then how far it is.
    pub(crate) fn new(shown: Arc<AtomicU64>) -> Tally {
        // 1 ns to 60 s, each bucket at most 0.1 % wide: fixed, so that recording never allocates.
        let times_ns = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are valid");
        Tally { sum: 0, count: 0, times_ns, shown }
    }

    /// The tally, emptied, to be moved into a run; what stays behind is a placeholder that the run's result replaces.
    pub(crate) fn take(&mut self) -> Tally {
        let placeholder = Histogram::new(0).expect("no digits is valid");
        let mut times_ns = std::mem::replace(&mut self.times_ns, placeholder);
        times_ns.reset();
        // Ordering: Relaxed; a figure for the eye, nothing hangs on it.
        self.shown.store(0, Ordering::Relaxed);
        Tally { sum: 0, count: 0, times_ns, shown: self.shown.clone() }
    }

    pub(crate) fn add(&mut self, value: u64, took: Duration) {
        self.sum += u128::from(value);
        self.count += 1;
        self.times_ns.saturating_record(took.as_nanos() as u64);
        if self.count.is_multiple_of(4096) {
            // Ordering: Relaxed, as in `take`.
            self.shown.store(self.count, Ordering::Relaxed);
        }
    }

    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn quantile_ns(&self, q: f64) -> f64 {
        self.times_ns.value_at_quantile(q) as f64
    }
}

/// The middle value, or the mean of the middle two; 0 for none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => 0.0,
        (mid, 0) => f64::midpoint(sorted[mid - 1], sorted[mid]),
        (mid, _) => sorted[mid],
    }
}
