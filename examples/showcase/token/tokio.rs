//! The token bucket on tokio, at its best: as the docs of its own `Semaphore` build one. Read it beside `gmprt.rs`.

use std::sync::Arc;

use tokio::time::{interval, sleep_until};
use tokio::{select, spawn, sync::Semaphore, task::yield_now};

use super::{Client, Refill, TICK};

/// Open loop: each client sleeps until its next arrival, then asks. This task is the ticker meanwhile.
#[rustfmt::skip] // a loop a line, and a client's two steps
pub(super) async fn open(clients: Vec<Client>, mut refill: Refill) {
    let bucket = Arc::new(Semaphore::new(0));
    let mut ticker = interval(TICK);
    let clients: Vec<_> = clients.into_iter().map(|mut client| {
        let bucket = bucket.clone();
        spawn(async move { while let Some(arrival) = client.next_arrival() {
            sleep_until(arrival.into()).await;
            client.decided(bucket.try_acquire().map(|token| token.forget()).is_ok());
        } })
    }).collect();
    let end = async { for client in clients { client.await.unwrap() } };
    let fill = async { loop { bucket.add_permits(refill.due(ticker.tick().await, bucket.available_permits())) } };
    select! { () = end => (), () = fill => () }
}

/// Closed loop: each client asks again once it is answered and the others have had their turn.
#[rustfmt::skip]
pub(super) async fn closed(clients: Vec<Client>, mut refill: Refill) {
    let bucket = Arc::new(Semaphore::new(0));
    let mut ticker = interval(TICK);
    let clients: Vec<_> = clients.into_iter().map(|mut client| {
        let bucket = bucket.clone();
        spawn(async move { while client.asks_again() {
            yield_now().await;
            client.decided(bucket.try_acquire().map(|token| token.forget()).is_ok());
        } })
    }).collect();
    let end = async { for client in clients { client.await.unwrap() } };
    let fill = async { loop { bucket.add_permits(refill.due(ticker.tick().await, bucket.available_permits())) } };
    select! { () = end => (), () = fill => () }
}
