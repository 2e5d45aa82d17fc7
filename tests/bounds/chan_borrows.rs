//! What borrows a half does not outlive it; a permit owns its sender.

use gmprt::chan::{Permit, RecvFuture, SendFuture, Sender, bounded};

#[cfg(not(bad))]
fn keep<T>(_: T) -> &'static T {
    unreachable!()
}
#[cfg(bad)]
fn keep<T>(x: T) -> T {
    x
}

pub fn receive() -> RecvFuture<'static, u8> {
    let (_, rx) = bounded::<u8>(1);
    let rx = keep(rx);
    rx.recv() //~ E0515
}

pub fn send() -> SendFuture<'static, u8> {
    let (tx, _) = bounded::<u8>(1);
    let tx = keep(tx);
    tx.send(1) //~ E0515
}

pub fn permit() -> Permit<u8> {
    let (tx, _) = bounded::<u8>(1);
    let tx: Sender<u8> = tx;
    tx.try_reserve().unwrap()
}

pub fn values_outlive_the_channel() {
    let (tx, _rx) = bounded::<&u8>(1);
    let x = 1;
    #[cfg(not(bad))]
    let tx = { drop(tx); bounded::<&u8>(1).0 };
    tx.try_send(&x).unwrap(); //~ E0597
}
