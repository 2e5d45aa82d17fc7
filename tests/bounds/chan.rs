//! A channel takes its values to other threads: each half goes there if the values may.

use gmprt::chan::{Permit, Receiver, RecvFuture, ReserveFuture, SendFuture, Sender, bounded};

#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

fn send<T: Send>() {}
fn sync<T: Sync>() {}

pub fn halves() {
    send::<Sender<X>>(); //~ E0277
    send::<Receiver<X>>(); //~ E0277
    send::<Permit<X>>(); //~ E0277
    sync::<Sender<X>>(); //~ E0277
    sync::<Receiver<X>>(); //~ E0277
}

pub fn futures() {
    send::<SendFuture<'static, X>>(); //~ E0277
    send::<RecvFuture<'static, X>>(); //~ E0277
    send::<ReserveFuture<'static, X>>(); //~ E0277
}

pub fn a_sender_into_a_task(tx: Sender<X>) {
    gmprt::spawn(async move { drop(tx.send(X::new(1)).await) }); //~ uncoded
}

pub fn a_receiver_into_a_task(rx: Receiver<X>) {
    gmprt::spawn(async move { rx.recv().await.is_ok() }); //~ uncoded
}

pub fn in_the_buffer() {
    let (tx, rx) = bounded::<X>(1);
    tx.try_send(X::new(1)).unwrap();
    std::thread::spawn(move || rx.try_recv()); //~ E0277
}

/// On one thread any value goes.
pub fn on_one_thread(rt: gmprt::Runtime) {
    let (tx, rx) = bounded::<X>(1);
    rt.block_on(async {
        tx.send(X::new(1)).await.unwrap();
        rx.recv().await.unwrap()
    });
}
