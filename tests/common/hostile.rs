//! A waker that tells what is done to it. Apart from the rest: only it is unsafe.

use std::task::{RawWaker, RawWakerVTable, Waker};

/// A waker of which each operation calls `f` with its name.
#[expect(unsafe_code, reason = "only a `RawWaker` sees when it is cloned and dropped")]
pub(crate) fn hostile(f: impl Fn(&'static str) + Send + Sync + 'static) -> Waker {
    type F = Box<dyn Fn(&'static str) + Send + Sync>;
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            // SAFETY: `data` is the leaked box below.
            unsafe { (*data.cast::<F>())("clone") };
            RawWaker::new(data, &VTABLE)
        },
        // SAFETY: as above.
        |data| unsafe { (*data.cast::<F>())("wake") },
        // SAFETY: as above.
        |data| unsafe { (*data.cast::<F>())("wake") },
        // SAFETY: as above.
        |data| unsafe { (*data.cast::<F>())("drop") },
    );
    let f: &'static F = Box::leak(Box::new(Box::new(f) as F));
    // SAFETY: the functions read a box that is never freed.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::from_ref(f).cast(), &VTABLE)) }
}
