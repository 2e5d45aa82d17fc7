//! Where the one idle M that waits for the outside world sleeps.
//!
//! Go counterpart: `netpoll`, `netpollBreak` (`netpoll_epoll.go`).
//!
//! O1. One M at a time waits; who that is, `Machine::sleep` decides.
//! O2. `break_wait` before `wait` is not lost: the next wait returns at once.
//!
//! Absent: sockets and timers, which will replace the body of [`ParkPoller`] and nothing else.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// Waits for the outside world.
pub(crate) trait Poller: Send + Sync {
    /// Blocks the calling thread until `until`, if given, or until `break_wait`; may return early.
    fn wait(&self, until: Option<Instant>);
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
    fn wait(&self, until: Option<Instant>) {
        let mut broken = self.lock();
        while !*broken {
            match until {
                None => broken = self.changed.wait(broken).expect("nothing panics under the poller's lock"),
                Some(until) => {
                    let now = Instant::now();
                    if now >= until {
                        return;
                    }
                    let waited = self.changed.wait_timeout(broken, until - now);
                    broken = waited.expect("nothing panics under the poller's lock").0;
                }
            }
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
    use std::time::Duration;

    #[test]
    fn a_break_before_the_wait_is_not_lost() {
        let poller = ParkPoller::default();
        poller.break_wait();
        poller.wait(None);
        poller.wait(Some(Instant::now()));
    }

    #[test]
    fn a_wait_ends_at_its_time_and_not_before() {
        let poller = ParkPoller::default();
        let until = Instant::now() + Duration::from_millis(2);
        poller.wait(Some(until));
        assert!(Instant::now() >= until);
    }
}
