//! What waits borrows what it waits for, and stays where it is.

use gmprt::sync::{Barrier, Cond, Mutex, Notified, Notify, OwnedNotified, WaitGroup};
use std::sync::Arc;

#[cfg(not(bad))]
fn keep<T>(x: T) -> &'static T {
    Box::leak(Box::new(x))
}
#[cfg(bad)]
fn keep<T>(x: T) -> T {
    x
}

#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

pub fn a_notified() -> Notified<'static> {
    let notify = keep(Notify::new());
    notify.notified() //~ E0515
}

/// The twin keeps it alive.
pub fn an_owned_one() -> OwnedNotified {
    Arc::new(Notify::new()).notified_owned()
}

/// It is in a list, by its address.
#[cfg(not(bad))]
type Moved<T> = std::pin::Pin<Box<T>>;
#[cfg(bad)]
type Moved<T> = T;

fn unpin<T: Unpin>() {}

pub fn what_must_stay_where_it_is() {
    unpin::<Moved<Notified<'static>>>(); //~ E0277
    unpin::<Moved<OwnedNotified>>(); //~ E0277
    unpin::<Moved<gmprt::sync::AcquireFuture<'static>>>(); //~ E0277
    unpin::<Moved<gmprt::sync::AcquireOwnedFuture>>(); //~ E0277
    unpin::<Moved<gmprt::sync::LockFuture<'static, u8>>>(); //~ E0277
    unpin::<Moved<gmprt::context::Done<'static>>>(); //~ E0277
    unpin::<Moved<gmprt::chan::RecvFuture<'static, u8>>>(); //~ E0277
    unpin::<Moved<gmprt::chan::SendFuture<'static, u8>>>(); //~ E0277
    unpin::<Moved<gmprt::chan::ReserveFuture<'static, u8>>>(); //~ E0277
}

pub fn at_a_barrier() -> impl Future {
    let barrier = keep(Barrier::new(1));
    barrier.wait() //~ E0597
}

pub fn for_a_group() -> impl Future {
    let group = keep(WaitGroup::new());
    group.wait() //~ E0597
}

pub fn for_a_condition(mutex: &'static Mutex<u8>) -> impl Future {
    let cond = keep(Cond::new());
    cond.wait(mutex.try_lock().unwrap()) //~ E0597
}

pub fn a_task_of_a_wait_group(group: WaitGroup, x: X) {
    group.spawn(async move { drop(x) }); //~ uncoded
}

pub fn an_output_of_a_wait_group(group: WaitGroup) {
    group.spawn(async { X::new(1) }); //~ E0277
}
