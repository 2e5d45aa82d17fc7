//! Parks the calling thread until another unparks it; one token at most is kept.
//!
//! Go counterpart: `notesleep`, `notewakeup` (`lock_futex.go`).
//!
//! K1. `unpark` before `park` is not lost: the token stays until a `park` takes it.
//! K2. `park` returns only with the token: the task that runs on this thread may itself use
//!     `std::thread::park`, whose stray wakeups are looped over here and cause none to be lost.
//! K3. What was written before `unpark` is visible after the `park` that took its token.
//!
//! Absent: a mutex and a condition variable (a waker pays one futex call, and none if nobody sleeps).

use super::clock::{self, NEVER, Nanos};
use super::primitive::{AtomicBool, AtomicOrdering::AcqRel};
use std::sync::OnceLock;
use std::thread::{self, Thread};
use std::time::Duration;

/// One thread's place to sleep. The first thread that parks here owns it.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    token: AtomicBool,
    sleeper: OnceLock<Thread>,
}

impl Parker {
    /// A parker that the calling thread will sleep in.
    pub(crate) fn for_this_thread() -> Self {
        Self { token: AtomicBool::new(false), sleeper: OnceLock::from(thread::current()) }
    }

    /// Names the calling thread as the one that sleeps here; the first call counts.
    pub(crate) fn adopt(&self) {
        self.sleeper.get_or_init(thread::current);
    }

    /// Sleeps until there is a token, and takes it.
    pub(crate) fn park(&self) {
        while !self.take_token() {
            thread::park();
        }
    }

    /// Sleeps until there is a token, and takes it, or until `until`; says which: true for the token.
    pub(crate) fn park_until(&self, until: Nanos) -> bool {
        if until == NEVER {
            self.park();
            return true;
        }
        while !self.take_token() {
            let now = clock::now();
            if now >= until {
                return false;
            }
            thread::park_timeout(Duration::from_nanos(until - now));
        }
        true
    }

    /// Takes the token, if there is one, without sleeping.
    pub(crate) fn take_token(&self) -> bool {
        // Ordering: Acquire half pairs with the Release half of the swap in `unpark` (K3).
        self.token.swap(false, AcqRel)
    }

    /// Leaves a token and wakes the sleeper.
    pub(crate) fn unpark(&self) {
        // Ordering: Release half pairs with the Acquire half of the swap in `take_token` (K3).
        if self.token.swap(true, AcqRel) {
            return; // whoever left that token wakes, or has woken, the sleeper
        }
        // No sleeper yet: the thread has not started, and will find the token (K1).
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_token_left_before_the_park_is_not_lost() {
        let parker = Parker::for_this_thread();
        parker.unpark();
        parker.unpark();
        parker.park();
        assert!(!parker.take_token(), "two unparks leave one token");
    }

    #[test]
    fn a_timed_park_ends_with_the_token_or_at_its_time_and_not_before() {
        let parker = Parker::for_this_thread();
        let until = clock::now() + 2_000_000;
        assert!(!parker.park_until(until));
        assert!(clock::now() >= until);
        parker.unpark();
        assert!(parker.park_until(clock::now() + 60_000_000_000));
        parker.unpark();
        assert!(parker.park_until(NEVER));
    }

    #[test]
    fn stray_wakeups_of_the_thread_do_not_end_a_park() {
        let parker = Arc::new(Parker::for_this_thread());
        let sleeper = thread::current();
        let other = Arc::clone(&parker);
        let written = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&written);
        let helper = thread::spawn(move || {
            for _ in 0..1000 {
                sleeper.unpark();
            }
            // Ordering: Relaxed; K3 makes it visible to the sleeper.
            flag.store(true, std::sync::atomic::Ordering::Relaxed);
            other.unpark();
        });
        parker.park();
        // Ordering: Relaxed; K3.
        assert!(written.load(std::sync::atomic::Ordering::Relaxed));
        helper.join().unwrap();
    }
}
