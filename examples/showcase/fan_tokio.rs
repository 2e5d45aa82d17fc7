//! Fan-out/fan-in on tokio, at its best: its own `mpsc` wherever one task receives, async-channel where several do,
//! for tokio has no channel with many receivers. Read it beside `fan_gmprt.rs`.

use tokio::{spawn, sync::mpsc};

use crate::fan::{CAPACITY, Item};
use crate::stats::Tally;

/// One run: feeder → `workers` workers → this task. It ends by itself: the feeder's end closes `jobs`, the last
/// worker's end closes `results`.
#[rustfmt::skip] // a loop a line: the whole pipeline in one look
pub(crate) async fn fan(items: u64, workers: u32, mut tally: Tally) -> Tally {
    let (feed, jobs) = async_channel::bounded(CAPACITY);
    let (done, mut results) = mpsc::channel(CAPACITY);
    spawn(async move { for n in 1..=items { feed.send(Item::new(n)).await.unwrap() } });
    for _ in 0..workers {
        let (jobs, done) = (jobs.clone(), done.clone());
        spawn(async move {
            while let Ok(item) = jobs.recv().await { done.send(item.squared()).await.unwrap() }
        });
    }
    drop((jobs, done)); // so that the ends held here keep nothing open
    while let Some(item) = results.recv().await { tally.add(item.value, item.fed.elapsed()) }
    tally
}

/// The same with a single worker, where `mpsc` serves for the jobs too.
#[rustfmt::skip]
pub(crate) async fn fan_one(items: u64, mut tally: Tally) -> Tally {
    let (feed, mut jobs) = mpsc::channel(CAPACITY);
    let (done, mut results) = mpsc::channel(CAPACITY);
    spawn(async move { for n in 1..=items { feed.send(Item::new(n)).await.unwrap() } });
    spawn(async move {
        while let Some(item) = jobs.recv().await { done.send(item.squared()).await.unwrap() }
    });
    while let Some(item) = results.recv().await { tally.add(item.value, item.fed.elapsed()) }
    tally
}
