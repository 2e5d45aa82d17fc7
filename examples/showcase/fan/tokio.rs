//! Fan-out/fan-in on tokio: its own `mpsc` wherever one task receives, async-channel where several do, for tokio has no
//! channel with many receivers. Read it beside `gmprt.rs`. (kanal in place of both is faster: README says by how much.)

use tokio::{spawn, sync::mpsc};

use super::{CAPACITY, Item, Quota, Tally};

/// Producers → `workers` workers → this task. It ends by itself: the last producer's end closes `jobs`, the last worker's
/// end closes `results`.
#[rustfmt::skip] // a loop a line: the whole pipeline in one look
pub(super) async fn fan(quotas: Vec<Quota>, workers: u32, mut tally: Tally) -> Tally {
    let (feed, jobs) = async_channel::bounded(CAPACITY);
    let (done, mut results) = mpsc::channel(CAPACITY);
    for quota in quotas {
        let feed = feed.clone();
        spawn(async move { for n in quota { feed.send(Item::new(n)).await.unwrap() } });
    }
    for _ in 0..workers {
        let (jobs, done) = (jobs.clone(), done.clone());
        spawn(async move { while let Ok(item) = jobs.recv().await { done.send(item.squared()).await.unwrap() } });
    }
    drop((feed, jobs, done)); // so that the ends held here keep nothing open
    loop { match results.recv().await { Some(item) => tally.add(item), None => return tally } }
}

/// The same with a single worker, where `mpsc` serves for the jobs too.
#[rustfmt::skip]
pub(super) async fn fan_one(quotas: Vec<Quota>, mut tally: Tally) -> Tally {
    let (feed, mut jobs) = mpsc::channel(CAPACITY);
    let (done, mut results) = mpsc::channel(CAPACITY);
    for quota in quotas {
        let feed = feed.clone();
        spawn(async move { for n in quota { feed.send(Item::new(n)).await.unwrap() } });
    }
    spawn(async move { while let Some(item) = jobs.recv().await { done.send(item.squared()).await.unwrap() } });
    drop(feed);
    loop { match results.recv().await { Some(item) => tally.add(item), None => return tally } }
}
