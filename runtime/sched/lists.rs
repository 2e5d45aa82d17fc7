//! What is idle: Ps without work, Ms without a P, Ms in line for one.
//!
//! Go counterpart: `stopm`, `wakep`, `mget`, `mput`, `pidleget`, `pidleput` (`proc.go`).
//!
//! ```text
//!   stop_m:  work in the injector and a P idle? take it · else onto the idle list, sleep until given a P,
//!            or until a timer is due (seat.rs), or until the keep-alive is over and there are Ms enough
//! ```
//!
//! M1. `Lists` is guarded by one mutex (Go: `sched.lock`); user code never runs under it, and no other lock
//!     but an inbox is taken inside it.
//! M2. A P on `idle_ps` has empty queues: its last holder found them so, or its tasks were moved to the
//!     injector because no M could be had (`no_m_for`). There every M that runs looks at each 61st tick.
//! M3. An M on `idle_ms` sleeps or is about to, and its inbox is empty; whoever takes it off the list
//!     fills the inbox, or has set `closing`, and then wakes it; or puts it back (`retake.rs`, R2). Its own thread may
//!     take it off, under the lock, if a timer is due or its keep-alive is over.
//! M4. An M beyond `procs` that sleeps in its parker ends after the keep-alive. One that finds no more than `procs` of
//!     them sleeps without end, so that an idle runtime makes no wakeups.
//!
//! Absent: the start of threads (`threads.rs`).

use super::Shared;
use super::idle::Spinning;
use super::ids::ProcessorId;
use super::machine::{Assignment, Machine};
use super::processor::OwnedP;
use super::seat::Sat;
use super::tracing::note_here;
use crate::sys::clock::{self, NEVER, Nanos};
use crate::trace::record::{Bed, Event};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

/// What is idle, and what waits in line (M1).
pub(crate) struct Lists {
    idle_ps: Vec<OwnedP>,
    pub(super) idle_ms: Vec<Arc<Machine>>,
    /// Ms whose poll goes on only with a P: they return from declared blocking.
    pub(super) line: VecDeque<Arc<Machine>>,
    /// Threads of the runtime, idle or not.
    pub(super) threads: usize,
    /// Their handles, by the M's number, to be joined at the end. An M that ends before takes its own away.
    pub(super) handles: HashMap<u32, JoinHandle<()>>,
    /// It was said that there are no threads to be had.
    pub(super) warned: bool,
    pub(super) closing: bool,
    /// The last thread has ended and swept up.
    pub(super) ended: bool,
}

impl Lists {
    pub(crate) fn new(idle_ps: Vec<OwnedP>) -> Self {
        Self {
            idle_ps,
            idle_ms: Vec::new(),
            line: VecDeque::new(),
            threads: 0,
            handles: HashMap::new(),
            warned: false,
            closing: false,
            ended: false,
        }
    }

    /// An idle P, if there is one; Go: `pidleget`.
    pub(crate) fn take_idle_p(&mut self, shared: &Shared) -> Option<OwnedP> {
        let p = self.idle_ps.pop()?;
        shared.census.p_taken();
        Some(p)
    }

    /// The P `wanted` if it is idle, else any that is.
    pub(crate) fn take_idle_p_like(&mut self, shared: &Shared, wanted: ProcessorId) -> Option<OwnedP> {
        let at = self.idle_ps.iter().position(|p| p.id == wanted);
        let p = match at {
            Some(at) => self.idle_ps.swap_remove(at),
            None => self.idle_ps.pop()?,
        };
        shared.census.p_taken();
        Some(p)
    }

    /// A P without work: to the first M in line (the M is returned, to be woken), else onto the idle list.
    pub(crate) fn release_p(&mut self, shared: &Shared, p: OwnedP) -> Option<Arc<Machine>> {
        if let Some(m) = self.line.pop_front() {
            shared.line_len.store(self.line.len(), Relaxed); // Ordering: Relaxed; a hint, set under the lock
            *m.lock_inbox() = Some(Assignment { p, spinning: None });
            return Some(m);
        }
        self.idle_ps.push(p);
        shared.census.p_idle();
        None
    }

    /// Whether an M waits in line for a P.
    pub(super) fn somebody_waits(&self) -> bool {
        !self.line.is_empty()
    }

    /// Whether `m` is on the list of idle Ms.
    pub(super) fn is_idle(&self, m: &Arc<Machine>) -> bool {
        self.idle_ms.iter().any(|idle| Arc::ptr_eq(idle, m))
    }

    /// Takes `m` off the list of idle Ms, for itself; says whether it was there (M3).
    pub(super) fn forget_idle(&mut self, m: &Arc<Machine>) -> bool {
        let at = self.idle_ms.iter().position(|idle| Arc::ptr_eq(idle, m));
        at.map(|at| self.idle_ms.remove(at)).is_some()
    }

    /// Whether all of `procs` Ps are idle, and all threads of the runtime.
    pub(super) fn all_sleep(&self, procs: usize) -> bool {
        self.idle_ps.len() == procs && self.idle_ms.len() == self.threads && self.line.is_empty()
    }

    /// The last of the scheduler is going away: the rights to its Ps end with it.
    pub(super) fn forget_ps(&mut self) {
        self.idle_ps.drain(..).for_each(OwnedP::forget);
    }

    /// Threads, and those asleep: for people.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.threads, self.idle_ms.len())
    }
}

impl Shared {
    pub(crate) fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().expect("nothing panics under the lists' lock")
    }

    /// The M has no P: sleeps until it gets one. `None`: the runtime closes. Go: `stopm`.
    #[doc(alias = "stopm")]
    pub(crate) fn stop_m(&self, m: &Arc<Machine>) -> Option<Assignment> {
        m.unpin();
        {
            let mut lists = self.lists();
            if lists.closing {
                return None;
            }
            // Under the lock: what `no_m_for` puts into the injector after this, it puts there with us idle.
            if self.injector.len() > 0
                && let Some(p) = lists.take_idle_p(self)
            {
                return Some(Assignment { p, spinning: None });
            }
            lists.idle_ms.push(Arc::clone(m));
        }
        self.sleep_m(m)
    }

    /// The M is on the list of idle Ms, or reserved: sleeps until it has something to do. `None`: it ends.
    pub(super) fn sleep_m(&self, m: &Arc<Machine>) -> Option<Assignment> {
        match self.sit(m) {
            Sat::Due(assignment) => return Some(assignment.after_sitting()),
            Sat::Woken => return m.lock_inbox().take().map(Assignment::after_sitting),
            Sat::Taken => {}
            Sat::Off => self.tell(false),
        }
        note_here(Event::Park(Bed::Idle));
        while !m.parker.park_until(self.keep_alive()) {
            if self.expire(m) {
                return None;
            }
        }
        note_here(Event::Unpark);
        m.lock_inbox().take() // empty: woken by `wake_all`
    }

    /// Until when an M that goes to sleep now waits for work (M4).
    fn keep_alive(&self) -> Nanos {
        if self.lists().threads <= self.config.procs {
            return NEVER;
        }
        Instant::now().checked_add(self.config.keep_alive).map_or(NEVER, clock::nanos_of)
    }

    /// The keep-alive of `m` is over: true if it is to end. False: there are no longer too many Ms, or it has been
    /// taken off the list, and will be woken, or put back.
    fn expire(&self, m: &Arc<Machine>) -> bool {
        let mut lists = self.lists();
        let id = m.id.as_u32();
        let ends =
            lists.threads > self.config.procs && lists.handles.contains_key(&id) && lists.forget_idle(m);
        if ends {
            // Its handle goes with it: nobody joins a thread that ends before the runtime does.
            drop(lists.handles.remove(&id));
            // From here on it does not count: several whose time is over together must not all go.
            lists.threads -= 1;
            // Ordering: Relaxed; only the M itself reads it.
            m.expired.store(true, Relaxed);
        }
        ends
    }

    /// A P is idle and nobody looks for work: wakes an M to look. Go: `wakep`.
    #[doc(alias = "wakep")]
    #[cold]
    pub(crate) fn wake_p(self: &Arc<Self>) {
        if let Some(spinning) = self.census.claim_wake() {
            self.wake_with(spinning);
        }
    }

    /// Wakes an M, if a P is idle, that counts as `spinning`.
    pub(super) fn wake_with(self: &Arc<Self>, spinning: Spinning) {
        let mut lists = self.lists();
        let Some(p) = lists.take_idle_p(self) else {
            // All Ps are busy. Under the lock, so that one which goes idle after this does so with nobody
            // spinning: a submitter then wakes it, and one before that is seen by its last look.
            let _last = spinning.give_up(&self.census);
            return;
        };
        drop(lists);
        self.start_m(p, Some(spinning));
    }

    /// Shutdown: every sleeping M and every M in line goes on without a P.
    pub(super) fn wake_all(&self, lists: &mut Lists) -> Vec<Arc<Machine>> {
        let mut ms = std::mem::take(&mut lists.idle_ms);
        ms.extend(lists.line.drain(..));
        self.line_len.store(0, Relaxed); // Ordering: Relaxed; a hint, set under the lock
        ms
    }

    /// Waits in line for a P (rule 6). `None`: the runtime closes.
    pub(super) fn wait_in_line(&self, m: &Arc<Machine>) -> Option<OwnedP> {
        {
            let mut lists = self.lists();
            if let Some(p) = lists.take_idle_p(self) {
                return Some(p);
            }
            if lists.closing {
                return None;
            }
            lists.line.push_back(Arc::clone(m));
            self.line_len.store(lists.line.len(), Relaxed); // Ordering: Relaxed; as above
        }
        note_here(Event::Park(Bed::Line));
        m.parker.park();
        note_here(Event::Unpark);
        m.lock_inbox().take().map(|assignment| assignment.p)
    }
}
