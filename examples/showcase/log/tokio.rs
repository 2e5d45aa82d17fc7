//! The batched log on tokio: `recv_many` takes what the channel holds under one lock. Read it beside
//! `gmprt.rs`.

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio::{select, spawn, sync::mpsc, task::spawn_blocking};

use super::{CAPACITY, FLUSH_EVERY, Log, Producer};

/// Producers → this task → file. It ends by itself: the last producer's end closes `rx`, and then the last batch is
/// flushed.
#[rustfmt::skip] // a loop a line: the whole log in one look
pub(super) async fn log(producers: Vec<Producer>, mut log: Log) -> Log {
    let (tx, mut rx) = mpsc::channel(CAPACITY);
    for mut producer in producers {
        let tx = tx.clone();
        spawn(async move { while let Some(line) = producer.line() { tx.send(line).await.unwrap(); producer.sent() } });
    }
    drop(tx); // so that the end held here keeps nothing open
    let (mut lines, mut ticker) = (Vec::new(), interval());
    while log.open {
        let due = select! { _ = rx.recv_many(&mut lines, CAPACITY) => log.take(lines.drain(..)), _ = ticker.tick() => true };
        if due { log = spawn_blocking(|| log.flush()).await.unwrap() }
    }
    log
}

/// As gmprt's: the first tick after the period, and none made up for after a slow flush.
fn interval() -> Interval {
    let mut interval = interval_at(Instant::now() + FLUSH_EVERY, FLUSH_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}
