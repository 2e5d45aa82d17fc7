//! What a P has done, counted by its holder.
//!
//! Go counterpart: `p.schedtick`, `p.syscalltick` and friends (`runtime2.go`), `sched.timeToRun`, `timeHistogram`
//! (`histogram.go`).
//!
//! Absent: locked adds (`sys/counter.rs` says why none is needed), but for what threads without a P do.

use super::Shared;
use crate::cell::{Ended, TaskRef};
use crate::policy::tuning::SAMPLE_EVERY;
use crate::sys::clock::{self, Nanos};
use crate::sys::counter::Counter;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a P has done, for `metrics()`.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Polls begun on it; a revoker also tells by this whether a poll has moved on.
    pub(crate) polls: Counter,
    /// Polls that did not inherit their predecessor's time slice.
    pub(crate) schedtick: Counter,
    pub(crate) spawned: Counter,
    /// Tasks whose last poll it was, by how they ended.
    pub(crate) finished: Counter,
    pub(crate) panicked: Counter,
    pub(crate) aborted: Counter,
    pub(crate) steals: Counter,
    pub(crate) stolen: Counter,
    /// Other Ps looked at without finding anything.
    pub(crate) steal_tries: Counter,
    pub(crate) overflows: Counter,
    pub(crate) injector_takes: Counter,
    /// Timers fired by whoever held it; and those among them that another P's task had set.
    pub(crate) timers: Counter,
    pub(crate) timers_stolen: Counter,
    pub(crate) busy: Busy,
    /// How long tasks were on their way to a poll here.
    pub(crate) latencies: Latencies,
}

/// How long a P was held, in one word, so that no look is torn: not held, the nanoseconds so far; held, [`HELD`] and the time at
/// which it would have been taken had it been held without a break.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    word: Counter,
    /// The most that anybody was told: who gives the P up has looked at the clock a moment before that is seen.
    told: AtomicU64,
}

const HELD: u64 = 1 << 63;

impl Busy {
    /// An M takes the P.
    pub(super) fn begin(&self, now: Nanos) {
        let so_far = self.word.get();
        if so_far & HELD == 0 {
            self.word.set(HELD | now.saturating_sub(so_far));
        }
    }

    /// It does not hold it any more.
    pub(super) fn end(&self, now: Nanos) {
        self.word.set(self.at(now));
    }

    fn at(&self, now: Nanos) -> Nanos {
        let word = self.word.get();
        if word & HELD == 0 { word } else { now.saturating_sub(word & !HELD) }
    }

    /// How long it was held so far; never less than was told before.
    pub(crate) fn so_far(&self) -> Duration {
        let now = clock::now(); // first: what is held then was held until now
        let so_far = self.at(now);
        // Ordering: Relaxed; a number, and the maximum is of one place.
        Duration::from_nanos(self.told.fetch_max(so_far, Relaxed).max(so_far))
    }
}

/// Four buckets for each power of two, of [`UNIT`]s.
#[derive(Debug)]
pub(crate) struct Latencies([Counter; BUCKETS]);

/// How many there are.
pub(crate) const BUCKETS: usize = 124;

/// Nanoseconds, as a power of two, in which a wait is measured: it has room for 274 s.
const UNIT: u32 = 6;

impl Default for Latencies {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

fn units() -> u32 {
    (clock::now() >> UNIT) as u32
}

fn bucket(units: u32) -> usize {
    let octave = units.max(1).ilog2();
    if octave < 2 { units as usize } else { (octave as usize - 1) * 4 + (units >> (octave - 2) & 3) as usize }
}

/// Below this are the waits that a bucket counts.
pub(crate) fn upper_bound(bucket: usize) -> Duration {
    let units = match (bucket / 4, bucket as u64 % 4) {
        (0, n) => n + 1,
        (octave, n) => (n + 5) << (octave - 1),
    };
    Duration::from_nanos(units << UNIT)
}

/// The task is about to be queued, and is measured from here on.
#[cold]
pub(super) fn sample_now(task: TaskRef) {
    task.sample(units());
}

/// It is about to be queued by a thread that counts nothing: its number decides.
pub(super) fn sample_foreign(task: TaskRef) {
    if task.id().0.is_multiple_of(u64::from(SAMPLE_EVERY)) {
        sample_now(task);
    }
}

impl Latencies {
    /// How many there were in a bucket.
    pub(crate) fn get(&self, bucket: usize) -> u64 {
        self.0[bucket].get()
    }
}

impl Tally {
    /// A task that was queued at `since` is about to be polled.
    #[cold]
    pub(super) fn count_latency(&self, since: u32) {
        self.latencies.0[bucket(units().wrapping_sub(since))].add(1);
    }

    /// A task ended here.
    #[inline]
    pub(super) fn count_end(&self, ended: Ended) {
        self.ended(ended).add(1);
    }

    fn ended(&self, ended: Ended) -> &Counter {
        match ended {
            Ended::Finished => &self.finished,
            Ended::Cancelled => &self.aborted,
            Ended::Panicked | Ended::PanickedUnseen(..) => &self.panicked,
        }
    }
}

impl Shared {
    /// A task ended on a thread without a P.
    pub(super) fn count_foreign_end(&self, ended: Ended) {
        self.foreign.ended(ended).add_shared(1);
        self.report(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_lies_in_the_bucket_below_whose_bound_it_is() {
        let mut last = Duration::ZERO;
        for at in 0..BUCKETS {
            let bound = upper_bound(at);
            assert!(bound > last, "{at}: {bound:?} after {last:?}");
            last = bound;
        }
        let edges = (0..32).flat_map(|power| [(1_u64 << power) - 1, 1 << power, (1 << power) + 1]);
        for units in edges.chain([u64::from(u32::MAX)]).filter_map(|units| u32::try_from(units).ok()) {
            let (at, wait) = (bucket(units), Duration::from_nanos(u64::from(units) << UNIT));
            assert!(wait < upper_bound(at), "{units} in {at}");
            assert!(at == 0 || wait >= upper_bound(at - 1), "{units} in {at}");
            assert!(at < BUCKETS);
        }
    }
}
