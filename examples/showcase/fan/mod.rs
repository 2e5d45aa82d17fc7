//! Fan-out/fan-in: producers number items, workers square them, a collector adds the squares up.
//!
//! The work of an item (one multiplication) is nothing, so the figure is what channels and scheduler cost. Timed is every
//! 61st item, from its making to its collection: reading the clock for each would cost as much as the channels.

mod gmprt;
mod tokio;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::child::{Deadline, Over, Started};
use crate::spec::{Outcome, Spec};
use crate::tally::{Latencies, Stamp};

/// Items that each of the two channels holds.
const CAPACITY: usize = 100;

/// Each item whose number this divides is timed. A prime, so that it does not beat with the channels' 100.
const TIMED_EVERY: u64 = 61;

/// What travels: the number, later its square, and when it was made, if it is timed: 16 bytes, as in Go.
#[derive(Debug)]
struct Item {
    value: u64,
    made: Option<Stamp>,
}

impl Item {
    fn new(value: u64) -> Item {
        Item { value, made: value.is_multiple_of(TIMED_EVERY).then(Stamp::now) }
    }

    /// Modulo 2^64, as all sums here.
    fn squared(self) -> Item {
        Item { value: self.value.wrapping_mul(self.value), ..self }
    }
}

/// What the collector adds up.
struct Tally {
    sum: u64,
    count: u64,
    times: Latencies,
}

impl Tally {
    fn add(&mut self, item: Item) {
        self.sum = self.sum.wrapping_add(item.value);
        self.count += 1;
        if let Some(made) = item.made {
            self.times.record(made.elapsed());
        }
    }
}

/// The numbers of one producer: 1, 2, 3 … up to a limit, or while there is time.
struct Quota {
    made: u64,
    limit: u64,
    over: Option<Over>,
    expected: Arc<Expected>,
}

/// Where all producers leave how many items they made, and the sum that the squares should have.
#[derive(Default)]
struct Expected {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Iterator for Quota {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.made == self.limit || self.over.as_ref().is_some_and(Over::is_over) {
            return None;
        }
        self.made += 1;
        Some(self.made)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // Ordering: Relaxed, both; read once the main task has ended, which is after the last item of this producer.
        self.expected.count.fetch_add(self.made, Ordering::Relaxed);
        self.expected.sum.fetch_add(sum_of_squares(self.made), Ordering::Relaxed);
    }
}

/// Allocates what the measurement needs; what is returned runs once on either runtime.
pub(crate) fn prepare(
    spec: &Spec,
    workers: u32,
    producers: u32,
    items: u64,
) -> impl FnOnce(&Started) -> Outcome {
    let tally = Tally { sum: 0, count: 0, times: Latencies::new() };
    let deadline = Deadline::new(spec.seconds);
    let expected = Arc::new(Expected::default());
    let quotas: Vec<Quota> = (0..u64::from(producers))
        .map(|i| Quota {
            made: 0,
            limit: if items == 0 { u64::MAX } else { share(items, producers.into(), i) },
            over: (items == 0).then(|| deadline.over()),
            expected: expected.clone(),
        })
        .collect();
    move |started| {
        deadline.begin();
        let (tally, seconds) = match started {
            Started::Gmprt(rt) => rt.run(gmprt::fan(quotas, workers, tally)),
            Started::Tokio(rt) if workers == 1 => rt.run(tokio::fan_one(quotas, tally)),
            Started::Tokio(rt) => rt.run(tokio::fan(quotas, workers, tally)),
        };
        // Ordering: Relaxed, both, as in `Quota::drop`.
        let (made, sum) = (expected.count.load(Ordering::Relaxed), expected.sum.load(Ordering::Relaxed));
        let asked = if items == 0 { made } else { items };
        let failure = if made != asked {
            Some(format!("{made} items were made, {asked} were asked for"))
        } else if (tally.count, tally.sum) != (made, sum) {
            Some(format!(
                "{} items with the sum {} came, it should be {made} with {sum}",
                tally.count, tally.sum
            ))
        } else {
            None
        };
        Outcome {
            seconds,
            operations: tally.count,
            latencies: tally.times.recorded(),
            failure,
            ..Outcome::default()
        }
    }
}

/// The part of the `i`th of so many, which differ by one at most.
fn share(items: u64, among: u64, i: u64) -> u64 {
    items / among + u64::from(i < items % among)
}

/// 1² + 2² + … + n², modulo 2^64.
fn sum_of_squares(n: u64) -> u64 {
    let n = u128::from(n);
    (n * (n + 1) * (2 * n + 1) / 6) as u64
}
