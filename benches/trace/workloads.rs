//! The programs that are recorded. Each does so many operations on a runtime, and says how long they took.
//!
//! The last three are the showcases' cores: a fixed number of items in the place of a fixed time, no latencies, and no disk.

use std::hint::spin_loop;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gmprt::sync::{Notify, Semaphore};
use gmprt::{Runtime, chan, select, spawn, spawn_blocking, time::interval, yield_now};

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// The number of operations is a multiple of this.
    pub(crate) grain: u64,
    pub(crate) run: fn(&Runtime, u64) -> Duration,
}

pub(crate) const YIELD: Workload = Workload { name: "yield", grain: 1_000, run: yields };
pub(crate) const PING_PONG: Workload = Workload { name: "channel ping-pong", grain: 1_000, run: ping_pong };
pub(crate) const TASKS: Workload = Workload { name: "task of 10 µs, joined", grain: 100, run: tasks };
const SPAWN: Workload = Workload { name: "spawn, join", grain: 1_000, run: spawns };
const WAKE: Workload = Workload { name: "notify, yield", grain: 1_000, run: wakes };

/// What makes nothing but events, more or less.
pub(crate) const BARE: [Workload; 4] = [YIELD, SPAWN, WAKE, PING_PONG];

/// The showcases.
pub(crate) const SHOWCASES: [Workload; 3] = [
    Workload { name: "token, closed loop", grain: CLIENTS, run: token },
    Workload { name: "fan, 4 workers", grain: 1_000, run: fan },
    Workload { name: "log, 1000 producers", grain: CLIENTS, run: log },
];

/// Runs a task, and says how long it took: from its first poll to its last, without what came before.
fn timed(rt: &Runtime, task: impl Future<Output = ()> + Send + 'static) -> Duration {
    rt.block_on(async {
        let task = async {
            let begun = Instant::now();
            task.await;
            begun.elapsed()
        };
        spawn(task).await.expect("the task ends")
    })
}

fn yields(rt: &Runtime, times: u64) -> Duration {
    timed(rt, async move {
        for _ in 0..times {
            yield_now().await;
        }
    })
}

fn spawns(rt: &Runtime, times: u64) -> Duration {
    timed(rt, async move {
        for _ in 0..times {
            spawn(async {}).await.unwrap();
        }
    })
}

fn wakes(rt: &Runtime, times: u64) -> Duration {
    timed(rt, async move {
        let notify = Arc::new(Notify::new());
        let theirs = notify.clone();
        let waiter = spawn(async move {
            for _ in 0..times {
                theirs.notified().await;
            }
        });
        yield_now().await; // it waits
        for _ in 0..times {
            notify.notify_one();
            yield_now().await;
        }
        waiter.await.unwrap();
    })
}

fn ping_pong(rt: &Runtime, times: u64) -> Duration {
    timed(rt, async move {
        let (ping, pings) = chan::bounded(1);
        let (pong, pongs) = chan::bounded(1);
        let other = spawn(async move {
            while let Ok(n) = pings.recv().await {
                pong.send(n).await.unwrap();
            }
        });
        for n in 0..times {
            ping.send(n).await.unwrap();
            let back: u64 = pongs.recv().await.unwrap();
            assert!(back == n, "another value came back");
        }
        drop(ping);
        other.await.unwrap();
    })
}

fn tasks(rt: &Runtime, times: u64) -> Duration {
    timed(rt, async move {
        for _ in 0..times {
            let task = async {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_micros(10) {
                    spin_loop();
                }
            };
            spawn(task).await.unwrap();
        }
    })
}

/// Clients of the bucket, and producers of the log.
const CLIENTS: u64 = 1_000;

fn token(rt: &Runtime, times: u64) -> Duration {
    timed(rt, async move {
        let bucket = Arc::new(Semaphore::new(CLIENTS as usize));
        let client = |_| {
            let bucket = bucket.clone();
            spawn(async move {
                let mut accepted = 0;
                for _ in 0..times / CLIENTS {
                    yield_now().await;
                    accepted += u64::from(bucket.try_acquire().map(|token| token.forget()).is_ok());
                }
                accepted
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        let mut accepted = 0;
        for client in clients {
            accepted += client.await.unwrap();
        }
        assert!(accepted == CLIENTS.min(times), "{accepted} were accepted");
    })
}

fn fan(rt: &Runtime, times: u64) -> Duration {
    const CAPACITY: usize = 100;
    const PRODUCERS: u64 = 4;
    const WORKERS: u32 = 4;

    timed(rt, async move {
        let (feed, jobs) = chan::bounded(CAPACITY);
        let (done, results) = chan::bounded(CAPACITY);
        for _ in 0..PRODUCERS {
            let feed = feed.clone();
            spawn(async move {
                for n in 0..times / PRODUCERS {
                    feed.send(n).await.unwrap();
                }
            });
        }
        for _ in 0..WORKERS {
            let (jobs, done) = (jobs.clone(), done.clone());
            spawn(async move {
                while let Ok(n) = jobs.recv().await {
                    done.send(n.wrapping_mul(n)).await.unwrap();
                }
            });
        }
        drop((feed, jobs, done));
        let (mut count, mut sum) = (0, 0_u64);
        while let Ok(square) = results.recv().await {
            count += 1;
            sum = sum.wrapping_add(square);
        }
        assert!(count == times, "{count} of {times} items came, with the sum {sum}");
    })
}

fn log(rt: &Runtime, times: u64) -> Duration {
    const CAPACITY: usize = 1_000;
    const FULL: usize = 256 << 10;

    timed(rt, async move {
        let (tx, rx) = chan::bounded(CAPACITY);
        for id in 0..CLIENTS {
            let tx = tx.clone();
            spawn(async move {
                for n in 0..times / CLIENTS {
                    let line = format!("{id} {n} answered GET /v1/orders with 200 OK in 1.2 ms");
                    tx.send(line).await.unwrap();
                }
            });
        }
        drop(tx);
        let mut more = iter::from_fn(|| rx.try_recv().ok());
        let ticker = interval(Duration::from_millis(100));
        let (mut batch, mut taken, mut open) = (Vec::new(), 0, true);
        while open {
            let due = select! {
                first = rx.recv() => {
                    open = false;
                    for line in first.into_iter().chain(&mut more).take(CAPACITY) {
                        batch.extend_from_slice(line.as_bytes());
                        batch.push(b'\n');
                        taken += 1;
                        open = true;
                    }
                    batch.len() >= FULL || !open
                },
                _ = ticker.tick() => true
            };
            if due {
                let flush = move || {
                    batch.clear();
                    batch
                };
                batch = spawn_blocking(flush).await.unwrap();
            }
        }
        assert!(taken == times, "{taken} of {times} lines came");
    })
}
