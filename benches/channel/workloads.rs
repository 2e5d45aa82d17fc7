//! The workloads, each written once for all channels. `pinball` and `funnel` follow the description of tachyonix's
//! benchmark (61 rigs of 13 nodes or senders); `workers` is a pool as Go programs have it.
//!
//! Every workload runs in tasks only, the one that starts the others too: no thread outside of the runtime takes part.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use gmprt::Runtime;
use gmprt::task::JoinHandle;

use crate::peers::{AsyncChannel, Channel, Flume, Gmprt, Kanal, Rx, Tokio, Tx};

/// What is measured: one row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    shape: Shape,
    capacity: usize,
}

#[derive(Clone, Copy)]
enum Shape {
    /// Two tasks, two channels; an operation is a round trip.
    PingPong,
    /// An operation is a message.
    Stream { senders: u64, receivers: u64 },
    /// An operation is a hop of a ball.
    Pinball { balls: u64 },
    /// An operation is a message.
    Funnel,
    /// An operation is a thousand items, with the channels and tasks made for them.
    Workers,
}
use Shape::{Funnel, Pinball, PingPong, Stream, Workers};

const fn cell(name: &'static str, shape: Shape, capacity: usize) -> Cell {
    Cell { name, shape, capacity }
}

const fn stream(name: &'static str, senders: u64, receivers: u64, capacity: usize) -> Cell {
    cell(name, Stream { senders, receivers }, capacity)
}

pub(crate) const ALL: &[Cell] = &[
    cell("ping-pong cap 0", PingPong, 0),
    cell("ping-pong cap 1", PingPong, 1),
    cell("ping-pong cap 100", PingPong, 100),
    stream("stream 1:1 cap 0", 1, 1, 0),
    stream("stream 1:1 cap 1", 1, 1, 1),
    stream("stream 1:1 cap 100", 1, 1, 100),
    stream("stream 4:1 cap 0", 4, 1, 0),
    stream("stream 4:1 cap 1", 4, 1, 1),
    stream("stream 4:1 cap 100", 4, 1, 100),
    stream("stream 64:1 cap 0", 64, 1, 0),
    stream("stream 64:1 cap 1", 64, 1, 1),
    stream("stream 64:1 cap 100", 64, 1, 100),
    stream("stream 4:4 cap 0", 4, 4, 0),
    stream("stream 4:4 cap 1", 4, 4, 1),
    stream("stream 4:4 cap 100", 4, 4, 100),
    stream("stream 64:64 cap 0", 64, 64, 0),
    stream("stream 64:64 cap 1", 64, 64, 1),
    stream("stream 64:64 cap 100", 64, 64, 100),
    cell("pinball 1 ball", Pinball { balls: 1 }, NODES as usize),
    cell("pinball 13 balls", Pinball { balls: NODES }, NODES as usize),
    cell("funnel cap 10", Funnel, 10),
    cell("funnel cap 100", Funnel, 100),
    cell("1000 items 4 workers", Workers, 100),
];

/// A channel that takes part: its name, which cells it can do, and how it does one.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// Whether it may have several receivers: only those compete.
    pub(crate) mpmc: bool,
    pub(crate) can: fn(&Cell) -> bool,
    /// How long so many operations take.
    pub(crate) run: fn(&Cell, &Runtime, u64) -> Duration,
}

const fn peer<C: Channel>() -> Peer {
    Peer { name: C::NAME, mpmc: C::SHARED, can: Cell::suits::<C>, run: Cell::run::<C> }
}

/// The first is ours.
pub(crate) const PEERS: [Peer; 5] =
    [peer::<Gmprt>(), peer::<AsyncChannel>(), peer::<Flume>(), peer::<Kanal>(), peer::<Tokio>()];

/// Nodes of a pinball rig and senders of a funnel, and how many rigs there are.
const NODES: u64 = 13;
const RIGS: u64 = 61;

/// Items of `workers`, and who works on them.
const ITEMS: u64 = 1000;
const WORKERS: u64 = 4;

/// After this long a run is lost: a channel has forgotten to wake somebody.
const PATIENCE: Duration = Duration::from_secs(20);

impl Cell {
    fn suits<C: Channel>(&self) -> bool {
        let shared = match self.shape {
            Stream { receivers, .. } => receivers > 1,
            Workers => true,
            PingPong | Pinball { .. } | Funnel => false,
        };
        (C::SHARED || !shared) && (C::RENDEZVOUS || self.capacity > 0)
    }

    fn run<C: Channel>(&self, rt: &Runtime, times: u64) -> Duration {
        let Cell { name, shape, capacity } = *self;
        let (over, took) = mpsc::sync_channel(1);
        drop(rt.spawn(async move {
            let begun = Instant::now();
            let done = match shape {
                PingPong => ping_pong::<C>(times, capacity).await,
                Stream { senders, receivers } => stream_of::<C>(times, senders, receivers, capacity).await,
                Pinball { balls } => pinball::<C>(times, balls, capacity).await,
                Funnel => funnel::<C>(times, capacity).await,
                Workers => workers::<C>(times, capacity).await,
            };
            // A workload does a little more than it was asked to where the shares would not be equal.
            let _ = over.send(begun.elapsed().mul_f64(times as f64 / done as f64));
        }));
        // A thread waits, with a time limit of its own: a timer in the runtime would make each P read the clock.
        let took = took.recv_timeout(PATIENCE);
        took.unwrap_or_else(|e| panic!("{name} on {}: {e}; the limit is {PATIENCE:?}", C::NAME))
    }
}

/// Waits for all.
async fn join(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        task.await.expect("no task of a workload panics");
    }
}

async fn ping_pong<C: Channel>(times: u64, capacity: usize) -> u64 {
    let (ping, mut pinged) = C::bounded(capacity);
    let (pong, mut ponged) = C::bounded(capacity);
    let server = gmprt::spawn(async move {
        while let Some(value) = pinged.recv().await {
            pong.send(value).await;
        }
    });
    let client = gmprt::spawn(async move {
        for n in 0..times {
            ping.send(n).await;
            assert_eq!(ponged.recv().await, Some(n));
        }
    });
    join([server, client]).await;
    times
}

async fn stream_of<C: Channel>(times: u64, senders: u64, receivers: u64, capacity: usize) -> u64 {
    let (tx, rx) = C::bounded(capacity);
    let share = times.div_ceil(senders);
    let mut counts = Vec::new();
    let count = |mut rx: C::Rx| async move {
        let mut count = 0;
        while rx.recv().await.is_some() {
            count += 1;
        }
        count
    };
    for _ in 1..receivers {
        counts.push(gmprt::spawn(count(rx.another())));
    }
    counts.push(gmprt::spawn(count(rx)));
    let mut sending = Vec::new();
    for _ in 0..senders {
        let tx = tx.clone();
        sending.push(gmprt::spawn(async move {
            for n in 0..share {
                tx.send(n).await;
            }
        }));
    }
    drop(tx);
    join(sending).await;
    let mut received = 0;
    for count in counts {
        received += count.await.expect("no task of a workload panics");
    }
    assert_eq!(received, share * senders, "every message is received once");
    received
}

/// Balls walk at random between the nodes of a complete graph, until each has made its hops. A channel has room for
/// all balls of its rig: receivers wait often, senders never.
async fn pinball<C: Channel>(times: u64, balls: u64, capacity: usize) -> u64 {
    /// Ends a node; no ball has that many hops before it.
    const STOP: u64 = u64::MAX;
    let hops = times.div_ceil(RIGS * balls);
    let mut nodes = Vec::new();
    for rig in 0..RIGS {
        let (to, at): (Vec<C::Tx>, Vec<C::Rx>) = (0..NODES).map(|_| C::bounded(capacity)).unzip();
        for tx in to.iter().take(balls as usize) {
            tx.send(hops).await;
        }
        let flying = Arc::new(AtomicUsize::new(balls as usize));
        for (me, mut rx) in at.into_iter().enumerate() {
            let mut others = to.clone();
            others.remove(me);
            let flying = flying.clone();
            let mut random = (rig * NODES + me as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            nodes.push(gmprt::spawn(async move {
                while let Some(left) = rx.recv().await
                    && left != STOP
                {
                    if left > 0 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let next = ((random >> 32) * others.len() as u64) >> 32;
                        others[next as usize].send(left - 1).await;
                        continue;
                    }
                    // Ordering: Relaxed; the count says all.
                    if flying.fetch_sub(1, Relaxed) == 1 {
                        for other in &others {
                            other.send(STOP).await;
                        }
                        return;
                    }
                }
            }));
        }
    }
    join(nodes).await;
    hops * balls * RIGS
}

/// Many senders and one receiver, which all do nothing else.
async fn funnel<C: Channel>(times: u64, capacity: usize) -> u64 {
    let share = times.div_ceil(RIGS * NODES);
    let mut tasks = Vec::new();
    for _ in 0..RIGS {
        let (tx, mut rx) = C::bounded(capacity);
        for _ in 0..NODES {
            let tx = tx.clone();
            tasks.push(gmprt::spawn(async move {
                for n in 0..share {
                    tx.send(n).await;
                }
            }));
        }
        drop(tx);
        tasks.push(gmprt::spawn(async move {
            let mut received = 0;
            while rx.recv().await.is_some() {
                received += 1;
            }
            assert_eq!(received, share * NODES, "every message is received once");
        }));
    }
    join(tasks).await;
    share * NODES * RIGS
}

/// One task sends the items, some work on them, and the one that began it all gathers what they made.
async fn workers<C: Channel>(times: u64, capacity: usize) -> u64 {
    for _ in 0..times {
        let (job, jobs) = C::bounded(capacity);
        let (result, mut results) = C::bounded(capacity);
        for _ in 0..WORKERS {
            let (mut jobs, result) = (jobs.another(), result.clone());
            drop(gmprt::spawn(async move {
                while let Some(item) = jobs.recv().await {
                    result.send(item * 2).await;
                }
            }));
        }
        drop((jobs, result));
        drop(gmprt::spawn(async move {
            for item in 0..ITEMS {
                job.send(item).await;
            }
        }));
        let mut sum = 0;
        for _ in 0..ITEMS {
            sum += results.recv().await.expect("a result for each item");
        }
        assert_eq!(sum, ITEMS * (ITEMS - 1));
    }
    times
}
