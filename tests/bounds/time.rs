//! A timeout is as its future is.

use gmprt::time::{Tick, Ticker, Timeout, timeout};
use std::time::Duration;

#[cfg(not(bad))]
type X = std::future::Ready<std::sync::Arc<u8>>;
#[cfg(bad)]
type X = std::future::Ready<std::rc::Rc<u8>>;

fn send<T: Send>() {}

pub fn of_a_future() {
    send::<Timeout<X>>(); //~ E0277
}

pub fn in_a_task(x: X) {
    gmprt::spawn(async move { drop(timeout(Duration::ZERO, x).await) }); //~ uncoded
}

/// The rest is of no type of the user's.
pub fn always_sent() {
    send::<Ticker>();
    send::<Tick<'static>>();
    send::<gmprt::time::Sleep>();
    send::<gmprt::time::Timer>();
}
