//! Fan-out/fan-in on gmprt. Read it beside `fan_tokio.rs`.

use gmprt::{chan, spawn};

use crate::fan::{CAPACITY, Item};
use crate::stats::Tally;

/// One run: feeder → `workers` workers → this task. It ends by itself: the feeder's end closes `jobs`, the last
/// worker's end closes `results`.
#[rustfmt::skip] // a loop a line: the whole pipeline in one look
pub(crate) async fn fan(items: u64, workers: u32, mut tally: Tally) -> Tally {
    let (feed, jobs) = chan::bounded(CAPACITY);
    let (done, results) = chan::bounded(CAPACITY);
    spawn(async move { for n in 1..=items { feed.send(Item::new(n)).await.unwrap() } });
    for _ in 0..workers {
        let (jobs, done) = (jobs.clone(), done.clone());
        spawn(async move {
            while let Ok(item) = jobs.recv().await { done.send(item.squared()).await.unwrap() }
        });
    }
    drop((jobs, done)); // so that the ends held here keep nothing open
    while let Ok(item) = results.recv().await { tally.add(item.value, item.fed.elapsed()) }
    tally
}
