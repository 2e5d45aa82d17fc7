//! A waker that tells what is done to it. Apart from the rest: only it is unsafe.

#![expect(unsafe_code, reason = "only a `RawWaker` sees when it is cloned and dropped")]

use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// What is done to a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Clone,
    Wake,
    Drop,
}

/// Calls `act` whenever the waker, or a clone of it, is cloned, woken or dropped.
pub(crate) fn waker<F: Fn(Act) + Send + Sync + 'static>(act: F) -> Waker {
    let raw = raw(Arc::new(act));
    // SAFETY: the vtable of `raw` keeps the contract of `RawWaker`: its data is a counted reference to an
    // `F`, which is `Send`, `Sync` and `'static`.
    unsafe { Waker::from_raw(raw) }
}

fn raw<F: Fn(Act) + Send + Sync + 'static>(act: Arc<F>) -> RawWaker {
    let vtable = const { &RawWakerVTable::new(clone::<F>, wake::<F>, wake_by_ref::<F>, dropped::<F>) };
    RawWaker::new(Arc::into_raw(act).cast(), vtable)
}

unsafe fn clone<F: Fn(Act) + Send + Sync + 'static>(data: *const ()) -> RawWaker {
    // SAFETY: the data is a counted reference to an `F`; the clone owns a new one.
    unsafe { Arc::increment_strong_count(data.cast::<F>()) };
    // SAFETY: the reference just made.
    let act = unsafe { Arc::from_raw(data.cast::<F>()) };
    act(Act::Clone);
    raw(act)
}

unsafe fn wake<F: Fn(Act) + Send + Sync + 'static>(data: *const ()) {
    // SAFETY: wake owns the reference.
    let act = unsafe { Arc::from_raw(data.cast::<F>()) };
    act(Act::Wake);
}

unsafe fn wake_by_ref<F: Fn(Act) + Send + Sync + 'static>(data: *const ()) {
    // SAFETY: the waker, which is borrowed, has the reference.
    let act = unsafe { &*data.cast::<F>() };
    act(Act::Wake);
}

unsafe fn dropped<F: Fn(Act) + Send + Sync + 'static>(data: *const ()) {
    // SAFETY: drop owns the reference.
    let act = unsafe { Arc::from_raw(data.cast::<F>()) };
    act(Act::Drop);
}
