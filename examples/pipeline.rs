//! A pipeline that is stopped from its end: numbers, three workers that look for primes, and a reader that wants a few.
//!
//! Watch for: nothing says how many numbers are to be made. The channels have no buffers, so a stage goes no faster
//! than the next one takes; and each wait is a `select!` beside `ctx.done()`, so all stages end when the context does,
//! whatever they wait for. It ends for two reasons, that the reader has enough and that the time is over: the same
//! code serves both.

use gmprt::chan::{self, Receiver, Sender};
use gmprt::context::{self, Context};
use gmprt::{select, spawn};
use std::time::Duration;

const WORKERS: usize = 3;

fn main() -> std::io::Result<()> {
    gmprt::run(async {
        pipeline(20, Duration::from_secs(60)).await;
        pipeline(usize::MAX, Duration::from_millis(20)).await;
    })
}

async fn pipeline(wanted: usize, limit: Duration) {
    let (ctx, cancel) = context::with_timeout(&context::background(), limit);
    let (numbers, from_source) = chan::bounded(0);
    let (primes, from_workers) = chan::bounded(0);
    let source = spawn(count(ctx.clone(), numbers));
    let workers = [(); WORKERS].map(|()| spawn(sift(ctx.clone(), from_source.clone(), primes.clone())));

    let mut found = Vec::new();
    while found.len() < wanted {
        select! {
            _ = ctx.done() => break,
            Ok(prime) = from_workers.recv() => found.push(prime),
        }
    }
    cancel.cancel_cause("the reader has enough"); // the first cause counts: after the deadline this does nothing

    let made = source.await.expect("the source does not panic");
    let mut seen = Vec::new();
    for worker in workers {
        seen.push(worker.await.expect("a worker does not panic"));
    }
    found.sort_unstable(); // three workers: a prime may overtake another
    let first = &found[..found.len().min(20)];
    println!("{} primes, beginning with {first:?}", found.len());
    println!("  {made} numbers were made, and {seen:?} of them seen by the workers");
    println!("  it ended because: {}\n", ctx.cause().expect("it was cancelled"));
}

/// Makes numbers for as long as somebody takes them; returns how many were taken.
async fn count(ctx: Context, numbers: Sender<u64>) -> u64 {
    let mut n = 2;
    loop {
        select! {
            _ = ctx.done() => return n - 2,
            sent = numbers.send(n) => match sent {
                Ok(()) => n += 1,
                Err(_) => return n - 2, // there is no worker left
            }
        }
    }
}

/// Sends the primes on; returns how many numbers it has seen.
async fn sift(ctx: Context, numbers: Receiver<u64>, primes: Sender<u64>) -> u64 {
    let mut seen = 0;
    loop {
        // Not `Ok(n) = numbers.recv()`: what does not fit its pattern is out, and then only `done` is waited for.
        let n = select! {
            _ = ctx.done() => return seen,
            n = numbers.recv() => match n {
                Ok(n) => n,
                Err(_) => return seen, // the source has gone
            },
        };
        seen += 1;
        if (2..).take_while(|d| d * d <= n).all(|d| n % d != 0) {
            select! {
                _ = ctx.done() => return seen,
                _ = primes.send(n) => {}
            }
        }
    }
}
