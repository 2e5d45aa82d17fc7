//! Notifications between two tasks. async-lock has none.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gmprt::Runtime;

use crate::cell::{Cell, Run, alone, timed};

/// Something that one task waits for and another reports; a report that nobody waits for is kept.
trait Notify: Send + Sync + 'static {
    fn new() -> Self;
    fn report(&self);
    fn wait(&self) -> impl Future<Output = ()> + Send;
}

macro_rules! notify {
    ($($type:ty;)*) => {$(
        impl Notify for $type {
            fn new() -> Self {
                <$type>::new()
            }

            #[inline(always)]
            fn report(&self) {
                self.notify_one();
            }

            #[inline(always)]
            async fn wait(&self) {
                self.notified().await;
            }
        }
    )*};
}

notify! {
    gmprt::sync::Notify;
    tokio::sync::Notify;
}

const NOTIFY: [Option<Run>; 3] =
    [Some(ping_pong::<gmprt::sync::Notify>), Some(ping_pong::<tokio::sync::Notify>), None];

pub(crate) const CELLS: &[Cell] = &[alone("notify ping-pong", NOTIFY)];

/// An operation is a round trip.
fn ping_pong<N: Notify>(cell: &Cell, rt: &Runtime, times: u64) -> Duration {
    timed(cell, rt, times, async move {
        let (ping, pong) = (Arc::new(N::new()), Arc::new(N::new()));
        let (pinged, ponged) = (ping.clone(), pong.clone());
        let server = gmprt::spawn(async move {
            for _ in 0..times {
                pinged.wait().await;
                pong.report();
            }
        });
        let client = gmprt::spawn(async move {
            for _ in 0..times {
                ping.report();
                ponged.wait().await;
            }
        });
        for task in [server, client] {
            task.await.expect("no task of a workload panics");
        }
        times
    })
}
