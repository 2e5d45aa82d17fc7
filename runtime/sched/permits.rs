//! How many blocking closures may run at once; the others wait as tasks, first come, first served.
//!
//! Go counterpart: none. Go lets every system call have a thread, up to 10 000 of them, and dies of the next.
//!
//! ```text
//!   acquire: one free? ─▶ Permit        none: a ticket, and the waker under it ─▶ Pending
//!   Permit dropped: the lowest ticket is granted and woken, else one more is free
//! ```
//!
//! F1. free + permits out + tickets granted and not yet taken = `max_blocking`.
//! F2. No waker is cloned, woken or dropped under the lock.
//! F3. A ticket that is dropped gives back what it was granted.
//!
//! Absent: a thread pool. A permit lets a task declare that it blocks; its M is like any other.

use super::preempt::or_waits;
use crate::reason::Reason;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The permits of one runtime.
#[derive(Debug)]
pub(crate) struct Permits(Mutex<Line>);

#[derive(Debug)]
struct Line {
    free: usize,
    next: u64,
    waiting: BTreeMap<u64, Waker>,
    granted: BTreeSet<u64>,
}

/// One permit, given back when it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit(Arc<Permits>);

/// Waits for a permit.
#[derive(Debug)]
pub(crate) struct Ticket {
    permits: Arc<Permits>,
    number: Option<u64>,
    /// What who awaits it waits for.
    reason: Reason,
}

impl Permits {
    pub(crate) fn new(free: usize) -> Self {
        Self(Mutex::new(Line { free, next: 0, waiting: BTreeMap::new(), granted: BTreeSet::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn acquire(self: &Arc<Self>, reason: Reason) -> Ticket {
        Ticket { permits: Arc::clone(self), number: None, reason }
    }

    fn give_back(&self) {
        let waker = {
            let mut line = self.lock();
            let Some((ticket, waker)) = line.waiting.pop_first() else {
                line.free += 1;
                return;
            };
            line.granted.insert(ticket);
            waker
        };
        waker.wake();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Ticket {
    /// The permit; if none is free it gets in line, if it is not there, and `waker` is told.
    pub(crate) fn line_up(&mut self, waker: &Waker) -> Poll<Permit> {
        let waker = waker.clone();
        let mut line = self.permits.lock();
        let granted = match self.number {
            Some(ticket) => line.granted.remove(&ticket),
            // Whoever waits comes first; then no permit is free.
            None if line.free > 0 => {
                line.free -= 1;
                true
            }
            None => false,
        };
        if granted {
            drop(line);
            self.number = None;
            return Poll::Ready(Permit(Arc::clone(&self.permits)));
        }
        let ticket = self.number.unwrap_or_else(|| {
            line.next += 1;
            line.next
        });
        let old = line.waiting.insert(ticket, waker);
        drop(line);
        drop(old);
        self.number = Some(ticket);
        Poll::Pending
    }
}

impl Future for Ticket {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        or_waits(self.line_up(cx.waker()), self.reason)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(ticket) = self.number else { return };
        let (waker, granted) = {
            let mut line = self.permits.lock();
            (line.waiting.remove(&ticket), line.granted.remove(&ticket))
        };
        drop(waker);
        if granted {
            self.permits.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(permits: &Arc<Permits>) -> Ticket {
        permits.acquire(Reason::BlockingPermit)
    }

    fn poll(acquire: &mut Ticket) -> Option<Permit> {
        match Pin::new(acquire).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_came_first_is_served_first() {
        let permits = Arc::new(Permits::new(1));
        let held = poll(&mut ticket(&permits)).unwrap();
        let (mut first, mut second) = (ticket(&permits), ticket(&permits));
        assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
        drop(held);
        assert!(poll(&mut second).is_none() && poll(&mut ticket(&permits)).is_none());
        let held = poll(&mut first).unwrap();
        assert!(poll(&mut second).is_none());
        drop(held);
        assert!(poll(&mut second).is_some());
        assert!(poll(&mut ticket(&permits)).is_some(), "all are back");
    }

    #[test]
    fn a_ticket_that_is_dropped_passes_its_permit_on() {
        let permits = Arc::new(Permits::new(1));
        let held = poll(&mut ticket(&permits)).unwrap();
        let (mut first, mut second, mut third) = (ticket(&permits), ticket(&permits), ticket(&permits));
        assert!(poll(&mut first).is_none() && poll(&mut second).is_none() && poll(&mut third).is_none());
        drop(first); // still waiting
        drop(held);
        drop(second); // granted, and not taken
        assert!(poll(&mut third).is_some());
        assert!(poll(&mut ticket(&permits)).is_some());
    }
}
