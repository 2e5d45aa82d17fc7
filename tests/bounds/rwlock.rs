//! Readers on several threads share the value, and a writer may carry it off.

use gmprt::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::sync::Arc;

/// Neither `Send` nor `Sync`.
#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

/// `Send`, and not `Sync`.
#[cfg(not(bad))]
type Shared = std::sync::Mutex<u8>;
#[cfg(bad)]
type Shared = std::cell::Cell<u8>;

/// `Sync`, and not `Send`.
#[cfg(not(bad))]
type Here = std::sync::Mutex<u8>;
#[cfg(bad)]
type Here = std::sync::MutexGuard<'static, u8>;

fn send<T: Send>() {}
fn sync<T: Sync>() {}

pub fn what_must_stay_on_its_thread() {
    send::<RwLock<X>>(); //~ E0277
    sync::<RwLock<X>>(); //~ E0277
    send::<RwLockReadGuard<'static, X>>(); //~ E0277
    sync::<RwLockReadGuard<'static, X>>(); //~ E0277
    send::<RwLockWriteGuard<'static, X>>(); //~ E0277
    sync::<RwLockWriteGuard<'static, X>>(); //~ E0277
}

/// Two readers would have it at once.
pub fn what_must_not_be_shared() {
    send::<RwLock<Shared>>();
    sync::<RwLock<Shared>>(); //~ E0277
    send::<RwLockReadGuard<'static, Shared>>(); //~ E0277
    sync::<RwLockReadGuard<'static, Shared>>(); //~ E0277
    send::<RwLockWriteGuard<'static, Shared>>(); //~ E0277
    sync::<RwLockWriteGuard<'static, Shared>>(); //~ E0277
}

/// A writer could take it out.
pub fn what_must_not_be_sent() {
    send::<RwLock<Here>>(); //~ E0277
    sync::<RwLock<Here>>(); //~ E0277
    send::<RwLockReadGuard<'static, Here>>();
    sync::<RwLockReadGuard<'static, Here>>();
    send::<RwLockWriteGuard<'static, Here>>(); //~ E0277
}

pub fn a_lock_into_a_task(lock: RwLock<X>) {
    gmprt::spawn(async move { drop(lock) }); //~ uncoded
}

pub fn a_read_guard_held_across_an_await(lock: &'static RwLock<Shared>) {
    gmprt::spawn(async move { //~ uncoded
        let guard = lock.read().await;
        gmprt::yield_now().await;
        drop(guard);
    });
}

pub fn a_write_guard_held_across_an_await(lock: &'static RwLock<Here>) {
    gmprt::spawn(async move { //~ uncoded
        let guard = lock.write().await;
        gmprt::yield_now().await;
        drop(guard);
    });
}

pub fn a_wait_for_it(lock: &'static RwLock<X>) {
    gmprt::spawn(async move { //~ uncoded
        lock.read().await;
    });
}

pub fn by_several_tasks(lock: Arc<RwLock<Shared>>) {
    std::thread::spawn(move || drop(lock.try_read())); //~ E0277
}

/// On one thread any value goes.
pub async fn on_one_thread(x: RwLock<X>, shared: RwLock<Shared>, here: RwLock<Here>) {
    drop(x.read().await);
    drop(shared.write().await);
    drop(here.try_write().map(RwLockWriteGuard::downgrade));
}
