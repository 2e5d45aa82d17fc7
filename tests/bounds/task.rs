//! Handles of tasks and of the runtime, and what threads make of them.

use gmprt::sync::{LockFuture, Mutex};
use gmprt::task::JoinHandle;
use gmprt::{Handle, Runtime};
use std::thread;

#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

#[cfg(not(bad))]
fn keep<T>(x: T) -> &'static T {
    Box::leak(Box::new(x))
}
#[cfg(bad)]
fn keep<T>(x: T) -> T {
    x
}

pub fn blocking_by_a_handle(handle: &Handle, x: X) {
    handle.spawn_blocking(move || drop(x)); //~ E0277
}

pub fn blocking_by_the_runtime(rt: &Runtime, x: X) {
    rt.spawn_blocking(move || drop(x)); //~ E0277
}

pub fn blocking_output_by_a_handle(handle: &Handle) {
    handle.spawn_blocking(|| X::new(1)); //~ E0277
}

pub fn output_by_a_handle(handle: &Handle) {
    handle.spawn(async { X::new(1) }); //~ E0277
}

pub fn a_lock_that_is_waited_for(mutex: &'static Mutex<X>) {
    let wait: LockFuture<'static, X> = mutex.lock();
    thread::spawn(move || drop(wait)); //~ E0277
}

/// The guard that comes of it would be another thread's.
pub fn a_wait_for_a_lock_in_a_task(mutex: &'static Mutex<X>) {
    let wait = mutex.lock();
    gmprt::spawn(async move { drop(wait.await) }); //~ uncoded
}

/// `block_on` ends before it returns, so it may use the runtime, but not give it away.
pub fn the_runtime_inside_of_it() {
    let rt = keep(Runtime::new().unwrap());
    rt.block_on(async move { drop(rt) }); //~ E0505
}

/// A handle is one for all, and outlives the runtime's borrow.
pub fn a_handle(rt: Runtime) -> JoinHandle<u8> {
    let handle = rt.handle();
    let other = handle.clone();
    thread::spawn(move || other.block_on(async { std::rc::Rc::new(1) }).count());
    drop(rt.shutdown_timeout(std::time::Duration::ZERO));
    handle.spawn(async { 1 })
}

trait Count {
    fn count(self) -> usize;
}

impl Count for std::rc::Rc<u8> {
    fn count(self) -> usize {
        Self::strong_count(&self)
    }
}
