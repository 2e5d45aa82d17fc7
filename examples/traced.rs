//! A few milliseconds of scheduling, recorded to be looked at: `cargo run --release --example traced [FILE]`.
//!
//! Four scenes, each of which shows one thing in Chrome tracing or Perfetto (`docs/TRACING.md` says where to look):
//! a burst of tasks that the other Ps steal, a ring of tasks that wake each other, tasks that block in their poll and lose
//! their P to another M, and tasks that sleep.

use gmprt::chan::bounded;
use gmprt::trace::{Report, TraceConfig};
use gmprt::{Handle, task, time};
use std::io;
use std::time::{Duration, Instant};

/// Computes for so long.
fn compute(micros: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

#[track_caller]
fn named<F>(name: &'static str, future: F) -> task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    task::Builder::new().name(name).spawn(future)
}

/// One task spawns many: they stand in the queue of its P until others come and take half.
async fn burst() {
    let spawner = named("spawner", async {
        let crunchers: Vec<_> = (0..48).map(|_| named("cruncher", async { compute(40) })).collect();
        for cruncher in crunchers {
            cruncher.await.unwrap();
        }
    });
    spawner.await.unwrap();
}

/// A token goes round: each task wakes the next.
async fn ring() {
    let (first, mut from) = bounded(1);
    let mut members = Vec::new();
    for _ in 0..5 {
        let (to, next) = bounded(1);
        members.push(named("member", async move {
            while let Ok(round) = from.recv().await {
                compute(8);
                if to.send(round + 1).await.is_err() {
                    break;
                }
            }
        }));
        from = next;
    }
    first.send(0).await.unwrap();
    let home = named("home", async move {
        for _ in 0..4 {
            let round = from.recv().await.unwrap();
            first.send(round).await.unwrap();
        }
    });
    home.await.unwrap();
    for member in members {
        member.abort();
    }
}

/// Two tasks block, one without a word; behind them others wait.
async fn blocked() {
    let rude = named("sleeps in its poll", async { std::thread::sleep(Duration::from_millis(3)) });
    let polite = named("says that it blocks", async {
        gmprt::block_in_place(|| std::thread::sleep(Duration::from_millis(3)));
    });
    let workers: Vec<_> = (0..24).map(|_| named("waits behind", async { compute(150) })).collect();
    rude.await.unwrap();
    polite.await.unwrap();
    for worker in workers {
        worker.await.unwrap();
    }
}

/// Timers wake tasks while nothing else goes on.
async fn sleepers() {
    let sleepers: Vec<_> = (1..=6)
        .map(|n| named("sleeper", async move { time::sleep(Duration::from_micros(n * 300)).await }))
        .collect();
    for sleeper in sleepers {
        sleeper.await.unwrap();
    }
}

fn main() -> io::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "trace.json".into());
    let rt = gmprt::Runtime::builder().procs(4).build()?;
    rt.block_on(sleepers()); // the threads are there
    rt.trace().start_with(TraceConfig::stop_when_full())?;
    rt.block_on(async {
        for scene in [Handle::current().spawn(burst()), Handle::current().spawn(ring())] {
            scene.await.unwrap();
        }
        gmprt::spawn(blocked()).await.unwrap();
        gmprt::spawn(sleepers()).await.unwrap();
    });
    let trace = rt.trace().stop()?;
    trace.save(&file)?;
    match Report::load(&file) {
        Ok(report) => print!("{report}"),
        Err(error) => return Err(io::Error::other(error)),
    }
    println!(
        "\n{} events in {file}: open it in chrome://tracing or in https://ui.perfetto.dev",
        trace.events()
    );
    Ok(())
}
