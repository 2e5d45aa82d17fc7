//! A guard does not outlive its mutex, and what it gives does not outlive the guard.

use gmprt::sync::{Mutex, MutexGuard};

#[cfg(not(bad))]
fn keep<T>(x: T) -> &'static T {
    Box::leak(Box::new(x))
}
#[cfg(bad)]
fn keep<T>(x: T) -> T {
    x
}

pub fn a_guard() -> MutexGuard<'static, u8> {
    let mutex = keep(Mutex::new(1));
    mutex.try_lock().unwrap() //~ E0515
}

pub fn a_future() -> gmprt::sync::LockFuture<'static, u8> {
    let mutex = keep(Mutex::new(1));
    mutex.lock() //~ E0515
}

pub fn a_value(mutex: &'static Mutex<u8>) -> &'static u8 {
    let guard = keep(mutex.try_lock().unwrap());
    &**guard.by_ref() //~ E0515
}

trait ByRef<T> {
    fn by_ref(&self) -> &T;
}

impl<T> ByRef<T> for T {
    fn by_ref(&self) -> &T {
        self
    }
}
