//! Fan-out/fan-in on gmprt. Read it beside `tokio.rs`.

use gmprt::{chan, spawn};

use super::{CAPACITY, Item, Quota, Tally};

/// Producers → `workers` workers → this task. It ends by itself: the last producer's end closes `jobs`, the last worker's
/// end closes `results`.
#[rustfmt::skip] // a loop a line: the whole pipeline in one look
pub(super) async fn fan(quotas: Vec<Quota>, workers: u32, mut tally: Tally) -> Tally {
    let (feed, jobs) = chan::bounded(CAPACITY);
    let (done, results) = chan::bounded(CAPACITY);
    for quota in quotas {
        let feed = feed.clone();
        spawn(async move { for n in quota { feed.send(Item::new(n)).await.unwrap() } });
    }
    for _ in 0..workers {
        let (jobs, done) = (jobs.clone(), done.clone());
        spawn(async move { while let Ok(item) = jobs.recv().await { done.send(item.squared()).await.unwrap() } });
    }
    drop((feed, jobs, done)); // so that the ends held here keep nothing open
    loop { match results.recv().await { Ok(item) => tally.add(item), Err(_) => return tally } }
}
