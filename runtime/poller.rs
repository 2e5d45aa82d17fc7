//! Where the one idle M that waits for the outside world sleeps.
//!
//! Go counterpart: `netpoll`, `netpollBreak` (`netpoll_epoll.go`).
//!
//! O1. One M at a time waits; who that is, `sched/seat.rs` decides.
//! O2. `break_wait` before `wait` is not lost: the next wait returns at once.
//!
//! Absent: sockets, which will replace the body of [`ParkPoller`] and nothing else; and the timers, of which the caller
//! knows the earliest.

use crate::sys::clock::{self, NEVER, Nanos};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Waits for the outside world.
pub(crate) trait Poller: Send + Sync {
    /// Blocks the calling thread until `until`, or until `break_wait`; may return early.
    fn wait(&self, until: Nanos);
    /// Ends a wait in progress, or else the next one.
    fn break_wait(&self);
}

/// A poller without an outside world: it waits to be told.
#[derive(Debug, Default)]
pub(crate) struct ParkPoller {
    broken: Mutex<bool>,
    changed: Condvar,
}

impl ParkPoller {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.broken.lock().expect("nothing panics under the poller's lock")
    }
}

impl Poller for ParkPoller {
    fn wait(&self, until: Nanos) {
        let mut broken = self.lock();
        while !*broken {
            if until == NEVER {
                broken = self.changed.wait(broken).expect("nothing panics under the poller's lock");
                continue;
            }
            let now = clock::now();
            if now >= until {
                return;
            }
            let waited = self.changed.wait_timeout(broken, Duration::from_nanos(until - now));
            broken = waited.expect("nothing panics under the poller's lock").0;
        }
        *broken = false;
    }

    fn break_wait(&self) {
        *self.lock() = true;
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_before_the_wait_is_not_lost() {
        let poller = ParkPoller::default();
        poller.break_wait();
        poller.wait(NEVER);
        poller.wait(clock::now());
    }

    #[test]
    fn a_wait_ends_at_its_time_and_not_before() {
        let poller = ParkPoller::default();
        let until = clock::now() + 2_000_000;
        poller.wait(until);
        assert!(clock::now() >= until);
    }
}
