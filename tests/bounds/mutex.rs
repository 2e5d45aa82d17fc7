//! A mutex gives its value to one thread after another, and its guard to several if the value may be shared.

use gmprt::sync::{Cond, LockFuture, Mutex, MutexGuard, OwnedMutexGuard};
use std::sync::Arc;

#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

#[cfg(not(bad))]
type Shared = std::sync::Mutex<u8>;
#[cfg(bad)]
type Shared = std::cell::Cell<u8>;

fn send<T: Send>() {}
fn sync<T: Sync>() {}

pub fn what_must_stay_on_its_thread() {
    send::<Mutex<X>>(); //~ E0277
    sync::<Mutex<X>>(); //~ E0277
    send::<MutexGuard<'static, X>>(); //~ E0277
    sync::<MutexGuard<'static, X>>(); //~ E0277
    send::<OwnedMutexGuard<X>>(); //~ E0277
    sync::<OwnedMutexGuard<X>>(); //~ E0277
    send::<LockFuture<'static, X>>(); //~ E0277
}

pub fn what_must_not_be_shared() {
    sync::<Mutex<Shared>>();
    send::<MutexGuard<'static, Shared>>();
    send::<OwnedMutexGuard<Shared>>();
    sync::<MutexGuard<'static, Shared>>(); //~ E0277
    sync::<OwnedMutexGuard<Shared>>(); //~ E0277
}

pub fn a_guard_held_across_an_await(mutex: &'static Mutex<X>) {
    gmprt::spawn(async move { //~ uncoded
        let guard = mutex.lock().await;
        gmprt::yield_now().await;
        drop(guard);
    });
}

pub fn an_owned_guard_into_a_task(guard: OwnedMutexGuard<X>) {
    gmprt::spawn(async move { drop(guard) }); //~ uncoded
}

pub fn a_wait_of_a_condition(cond: &'static Cond, guard: MutexGuard<'static, X>) {
    gmprt::spawn(async move { drop(cond.wait(guard).await) }); //~ uncoded
}

pub async fn on_one_thread(mutex: Arc<Mutex<X>>) {
    drop(mutex.lock().await);
    drop(mutex.lock_owned().await);
}
