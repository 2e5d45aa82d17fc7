//! The atomics, locks and cells that the lock-free parts are built from: std's, or loom's in a model.
//!
//! Go counterpart: `internal/runtime/atomic`.
//!
//! Absent on purpose: every wrapper that would hide an ordering. The one addition is
//! [`weaken`], by which a canary model takes a fence or an ordering away and must then fail.

#[cfg(gmprt_loom)]
pub(crate) use loom::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, fence},
};

#[cfg(not(gmprt_loom))]
pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, fence},
};

#[cfg(gmprt_loom)]
#[allow(unused_imports, reason = "which of them a model needs depends on the model")]
pub(crate) use loom::sync::{Arc, atomic::AtomicUsize};
#[cfg(not(gmprt_loom))]
#[allow(unused_imports, reason = "the same names in both worlds")]
pub(crate) use std::sync::{Arc, atomic::AtomicUsize};

/// A cell whose every access is a closure, so that loom can see where it begins and ends.
pub(crate) mod cell {
    #[cfg(gmprt_loom)]
    pub(crate) use loom::cell::UnsafeCell;

    /// std's `UnsafeCell` with loom's interface.
    #[cfg(not(gmprt_loom))]
    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T: ?Sized>(std::cell::UnsafeCell<T>);

    #[cfg(not(gmprt_loom))]
    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        pub(crate) fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }

    #[cfg(not(gmprt_loom))]
    impl<T: ?Sized> UnsafeCell<T> {
        #[allow(dead_code, reason = "loom's interface; some models only read")]
        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

/// One turn of a wait for a lock that is held for some 20 ns.
///
/// Two short turns are for a holder that is about to be done. Who is not lucky then stays away for longer, 200 to 455
/// pauses or 5 to 15 µs: meanwhile one thread has the lock, and what it guards, in its cache, and goes through it many times. With
/// turns that grow from 1 to 64 pauses four threads hold each other up: 64 tasks that send and 64 that receive took 65 ns a
/// message instead of 40, the showcase's pipeline with 8 and 16 workers 30 to 50 % more time. After three such turns the kernel may have stopped the
/// holder, so the thread sleeps for a moment, some 60 µs with the timer's slack. (Not `sched_yield`: on Linux 6.18 that
/// cost 2 ms for each rival on the core.)
#[cold]
pub(crate) fn spin(turn: u32) {
    #[cfg(gmprt_loom)]
    {
        let _ = turn;
        loom::thread::yield_now();
    }
    #[cfg(not(gmprt_loom))]
    match turn {
        0..2 => (0..=turn).for_each(|_| std::hint::spin_loop()),
        2..5 => (0..200 + (random() & 255)).for_each(|_| std::hint::spin_loop()),
        _ => std::thread::sleep(std::time::Duration::from_micros(1)),
    }
}

/// So that threads that were turned away together do not come back together.
#[cfg(not(gmprt_loom))]
fn random() -> u32 {
    thread_local! {
        static STATE: std::cell::Cell<u32> = const { std::cell::Cell::new(1) };
    }
    let state = STATE.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223); // Knuth's and Lewis's
    STATE.set(state);
    state >> 16
}

/// Canary support: a model names the one fence or ordering that it takes away, and must then fail.
pub(crate) mod weaken {
    use super::AtomicOrdering;

    #[cfg(all(test, gmprt_loom))]
    std::thread_local! {
        static WEAKENED: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
    }

    /// Runs `model` with the site called `name` weakened.
    #[cfg(all(test, gmprt_loom))]
    pub(crate) fn without(name: &'static str, model: impl FnOnce()) {
        WEAKENED.set(name);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(model));
        WEAKENED.set("");
        assert!(outcome.is_err(), "canary: the models pass without {name}, so they check nothing");
    }

    /// Whether the site called `name` stands as written. Always, outside a canary.
    #[inline(always)]
    pub(crate) fn stands(name: &'static str) -> bool {
        #[cfg(all(test, gmprt_loom))]
        return WEAKENED.get() != name;
        #[cfg(not(all(test, gmprt_loom)))]
        {
            let _ = name;
            true
        }
    }

    /// `strong`, or Relaxed when a canary took the site called `name` away.
    #[inline(always)]
    pub(crate) fn or_relaxed(strong: AtomicOrdering, name: &'static str) -> AtomicOrdering {
        if stands(name) {
            strong
        } else {
            // Ordering: Relaxed in a canary only; that it fails is what the canary shows.
            AtomicOrdering::Relaxed
        }
    }
}

pub(crate) use std::sync::atomic::Ordering as AtomicOrdering;
