//! Token bucket: a ticker puts 100 tokens a second in, a thousand clients take one each or are refused.
//!
//! In an open loop the clients ask on a schedule, together 5 000 times a second: 98 of 100 are refused. Timed is each
//! request, from its *scheduled* arrival to the decision: a client that comes late has waited, and that counts.
//!
//! In a closed loop each asks again once it is answered: the figure is what a turn of a thousand tasks costs. Timed is
//! every 61st request of a client, from before it lets the others run to the decision.

mod gmprt;
mod tokio;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::child::{Deadline, Over, Started};
use crate::spec::{Outcome, Spec};
use crate::tally::Shards;

/// The ticker puts one token in for each tick.
const TICK: Duration = Duration::from_millis(10);

/// Tokens that the bucket holds at most; it starts empty.
const CAPACITY: usize = 100;

/// In a closed loop each request of a client whose number this divides is timed, as in the fan.
const TIMED_EVERY: u64 = 61;

/// What the ticker puts in.
struct Refill {
    start: Instant,
    /// Ticks seen since then.
    ticks: u64,
    total: Arc<Total>,
}

impl Refill {
    /// How many tokens to put in at `tick`, where `there` are in the bucket. The ticks are counted from the start, so
    /// those that a late ticker missed give their token too.
    fn due(&mut self, tick: impl Into<Instant>, there: usize) -> usize {
        let ticks = (tick.into().duration_since(self.start).as_nanos() / TICK.as_nanos()) as u64;
        let tokens = (CAPACITY - there).min((ticks - self.ticks) as usize);
        self.ticks = ticks;
        // Ordering: Relaxed, both; read once the main task has ended, which is who calls this.
        self.total.put_in.fetch_add(tokens as u64, Ordering::Relaxed);
        self.total.in_bucket.store((there + tokens) as u64, Ordering::Relaxed);
        tokens
    }
}

/// When the requests of an open loop arrive: one after the other at equal distances, each at the next client.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    clients: u64,
    /// A second; 0 in a closed loop, which has no schedule.
    rate: u64,
    /// In all.
    requests: u64,
}

/// Who asks, and what it was told.
struct Client {
    number: u32,
    schedule: Schedule,
    over: Over,
    asked: u64,
    accepted: u64,
    refused: u64,
    /// When the present request was made, or ought to have been; `None` if it is not timed.
    since: Option<Instant>,
    latencies: Shards,
    total: Arc<Total>,
}

impl Client {
    /// Open loop: when to ask next, until the schedule is over.
    fn next_arrival(&mut self) -> Option<Instant> {
        let Schedule { start, clients, rate, requests } = self.schedule;
        let request = self.asked * clients + u64::from(self.number);
        if request >= requests {
            return None;
        }
        self.asked += 1;
        self.since = Some(start + Duration::from_nanos(request * 1_000_000_000 / rate));
        self.since
    }

    /// Closed loop: asks, unless the time is over.
    fn asks_again(&mut self) -> bool {
        if self.over.is_over() {
            return false;
        }
        self.asked += 1;
        self.since = self.asked.is_multiple_of(TIMED_EVERY).then(Instant::now);
        true
    }

    /// Notes the answer, and how long it took.
    fn decided(&mut self, accepted: bool) {
        if let Some(since) = self.since {
            self.latencies.record(self.number, since.elapsed());
        }
        if accepted {
            self.accepted += 1;
        } else {
            self.refused += 1;
        }
    }
}

/// What all clients counted, and the ticker.
#[derive(Default)]
struct Total {
    asked: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    put_in: AtomicU64,
    /// Tokens in the bucket after the last tick: since then they can only have become fewer.
    in_bucket: AtomicU64,
}

impl Drop for Client {
    fn drop(&mut self) {
        // Ordering: Relaxed, all three; read once the main task has ended, which is after the end of each client.
        self.total.asked.fetch_add(self.asked, Ordering::Relaxed);
        self.total.accepted.fetch_add(self.accepted, Ordering::Relaxed);
        self.total.refused.fetch_add(self.refused, Ordering::Relaxed);
    }
}

/// Allocates what the measurement needs; what is returned runs once on either runtime.
pub(crate) fn prepare(spec: &Spec, clients: u32, rate: u32) -> impl FnOnce(&Started) -> Outcome {
    let total = Arc::new(Total::default());
    let latencies = Shards::new();
    let deadline = Deadline::new(spec.seconds);
    let mut schedule = Schedule {
        start: Instant::now(), // until it is known
        clients: clients.into(),
        rate: rate.into(),
        requests: (f64::from(rate) * spec.seconds).round() as u64,
    };
    let mut asking: Vec<Client> = (0..clients)
        .map(|number| Client {
            number,
            schedule,
            over: deadline.over(),
            asked: 0,
            accepted: 0,
            refused: 0,
            since: None,
            latencies: latencies.clone(),
            total: total.clone(),
        })
        .collect();
    move |started| {
        deadline.begin();
        schedule.start = Instant::now();
        asking.iter_mut().for_each(|client| client.schedule = schedule);
        let refill = Refill { start: schedule.start, ticks: 0, total: total.clone() };
        let ((), seconds) = match started {
            Started::Gmprt(rt) if rate == 0 => rt.run(gmprt::closed(asking, refill)),
            Started::Gmprt(rt) => rt.run(gmprt::open(asking, refill)),
            Started::Tokio(rt) if rate == 0 => rt.run(tokio::closed(asking, refill)),
            Started::Tokio(rt) => rt.run(tokio::open(asking, refill)),
        };
        total.outcome(seconds, &latencies, (rate != 0).then_some(schedule.requests))
    }
}

impl Total {
    /// `scheduled` requests ought to have been made, in an open loop.
    fn outcome(&self, seconds: f64, latencies: &Shards, scheduled: Option<u64>) -> Outcome {
        // Ordering: Relaxed, as in `Client::drop` and `Refill::due`.
        let [asked, accepted, refused, put_in, in_bucket] =
            [&self.asked, &self.accepted, &self.refused, &self.put_in, &self.in_bucket]
                .map(|count| count.load(Ordering::Relaxed));
        let failure = if asked != scheduled.unwrap_or(asked) {
            Some(format!("{asked} requests were made, {} were scheduled", scheduled.unwrap_or(asked)))
        } else if accepted + refused != asked {
            Some(format!("{accepted} requests were accepted and {refused} refused, but {asked} were made"))
        } else if accepted > put_in {
            Some(format!("{accepted} requests were accepted, but only {put_in} tokens were put in"))
        } else if accepted + in_bucket < put_in {
            Some(format!(
                "{put_in} tokens were put in, but {accepted} taken and at most {in_bucket} left: some are lost"
            ))
        } else {
            None
        };
        Outcome {
            seconds,
            operations: asked,
            latencies: latencies.recorded(),
            counts: [("accepted".to_owned(), accepted), ("refused".to_owned(), refused)].into(),
            failure,
        }
    }
}
