//! The batched log on gmprt. Read it beside `tokio.rs`.

use std::iter;

use gmprt::{chan, select, spawn, spawn_blocking, time::interval};

use super::{CAPACITY, FLUSH_EVERY, Log, Producer};

/// Producers → this task → file. It ends by itself: the last producer's end closes `rx`, and then the last batch is
/// flushed.
#[rustfmt::skip] // a loop a line: the whole log in one look
pub(super) async fn log(producers: Vec<Producer>, mut log: Log) -> Log {
    let (tx, rx) = chan::bounded(CAPACITY);
    for mut producer in producers {
        let tx = tx.clone();
        spawn(async move { while let Some(line) = producer.line() { tx.send(line).await.unwrap(); producer.sent() } });
    }
    drop(tx); // so that the end held here keeps nothing open
    let (mut more, ticker) = (iter::from_fn(|| rx.try_recv().ok()), interval(FLUSH_EVERY));
    while log.open {
        let due = select! { first = rx.recv() => log.take(first.into_iter().chain(&mut more)), _ = ticker.tick() => true };
        if due { log = spawn_blocking(|| log.flush()).await.unwrap() }
    }
    log
}
