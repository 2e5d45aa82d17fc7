//! A guard does not outlive its lock, what it gives does not outlive the guard, and a reader writes nothing.

use gmprt::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

#[cfg(not(bad))]
fn keep<T>(x: T) -> &'static T {
    Box::leak(Box::new(x))
}
#[cfg(bad)]
fn keep<T>(x: T) -> T {
    x
}

#[cfg(not(bad))]
type Guard = RwLockWriteGuard<'static, u8>;
#[cfg(bad)]
type Guard = RwLockReadGuard<'static, u8>;

pub fn a_read_guard() -> RwLockReadGuard<'static, u8> {
    let lock = keep(RwLock::new(1));
    lock.try_read().unwrap() //~ E0515
}

pub fn a_write_guard() -> RwLockWriteGuard<'static, u8> {
    let lock = keep(RwLock::new(1));
    lock.try_write().unwrap() //~ E0515
}

pub fn a_downgraded_guard() -> RwLockReadGuard<'static, u8> {
    let lock = keep(RwLock::new(1));
    RwLockWriteGuard::downgrade(lock.try_write().unwrap()) //~ E0515
}

pub fn a_wait() -> impl Future<Output = RwLockReadGuard<'static, u8>> {
    let lock = keep(RwLock::new(1));
    lock.read() //~ E0515
}

pub fn a_value(lock: &'static RwLock<u8>) -> &'static u8 {
    let guard = keep(lock.try_read().unwrap());
    &**guard.by_ref() //~ E0515
}

pub fn a_write(mut guard: Guard) {
    *guard = 1; //~ E0594
}

trait ByRef<T> {
    fn by_ref(&self) -> &T;
}

impl<T> ByRef<T> for T {
    fn by_ref(&self) -> &T {
        self
    }
}
