//! What is idle: Ps without work, Ms without a P, Ms in line for one; and how they are brought together.
//!
//! Go counterpart: `startm`, `stopm`, `newm`, `wakep`, `mget`, `mput`, `pidleget`, `pidleput` (`proc.go`).
//!
//! ```text
//!   start_m: M in line whose turn it is? ── yes ─▶ P into its inbox, unpark
//!               └─ no: idle M? ── yes ─▶ the same
//!                         └─ no: below max_threads? ── yes ─▶ a new thread
//!                                    └─ no, or none to be had ─▶ P's tasks to the injector, P idle
//!   stop_m:  work in the injector and a P idle? take it · else onto the idle list, sleep until given a P
//! ```
//!
//! M1. `Lists` is guarded by one mutex (Go: `sched.lock`); user code never runs under it, and no other lock
//!     but an inbox is taken inside it.
//! M2. A P on `idle_ps` has empty queues: its last holder found them so, or its tasks were moved to the
//!     injector because no M could be had (`no_m_for`). There every M that runs looks at each 61st tick.
//! M3. An M on `idle_ms` sleeps or is about to, and its inbox is empty; whoever takes it off the list
//!     fills the inbox, or has set `closing`, and then wakes it. Its thread takes nothing off a list.
//! M4. `start_m` starts a thread only if no M is idle, and if the line has had its turn.
//!
//! Absent: the end of an M that has been idle for long, and the retry of a failed start by the clock: the next
//! submit tries again, and the next M that would stop looks.

use super::Shared;
use super::idle::Spinning;
use super::ids::ProcessorId;
use super::machine::{Assignment, Machine};
use super::processor::OwnedP;
use crate::sys::parker::Parker;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};
use std::thread::{self, JoinHandle};

/// What is idle, and what waits in line (M1).
pub(crate) struct Lists {
    idle_ps: Vec<OwnedP>,
    idle_ms: Vec<Arc<Machine>>,
    /// Ms whose poll goes on only with a P: they return from declared blocking.
    pub(super) line: VecDeque<Arc<Machine>>,
    /// Threads of the runtime, idle or not.
    pub(super) threads: usize,
    /// Their handles, to be joined at the end.
    pub(super) handles: Vec<JoinHandle<()>>,
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
            handles: Vec::new(),
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

    /// Whether a P given to `start_m` now would get an M, if a thread can be started.
    pub(super) fn could_start(&self, shared: &Shared) -> bool {
        !self.idle_ms.is_empty() || self.threads < shared.config.max_threads
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

/// Where a P went that was to be given an M.
enum Start {
    Wake(Arc<Machine>),
    Thread(Assignment),
    Nobody,
}

impl Shared {
    pub(crate) fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().expect("nothing panics under the lists' lock")
    }

    /// Gives `p` an M: one in line, an idle one, or a new thread. Go: `startm`.
    #[doc(alias = "startm")]
    pub(crate) fn start_m(self: &Arc<Self>, p: OwnedP, spinning: Option<Spinning>) {
        let start = {
            let mut lists = self.lists();
            if spinning.is_none() && !lists.line.is_empty() && p.claim_line_turn() {
                let m = lists.release_p(self, p).expect("somebody is in line");
                drop(lists);
                return m.wake(self);
            }
            match lists.idle_ms.pop() {
                Some(m) => {
                    *m.lock_inbox() = Some(Assignment { p, spinning });
                    Start::Wake(m)
                }
                None if lists.threads < self.config.max_threads && !lists.closing => {
                    lists.threads += 1;
                    Start::Thread(Assignment { p, spinning })
                }
                None => self.no_m_for(&mut lists, p, spinning),
            }
        };
        match start {
            Start::Wake(m) => m.wake(self),
            Start::Thread(assignment) => {
                if let Err((_, Some(Assignment { p, spinning }))) = self.new_m(Some(assignment)) {
                    let start = self.no_m_for(&mut self.lists(), p, spinning);
                    if let Start::Wake(m) = start {
                        m.wake(self);
                    }
                    self.m_ended(); // it was counted, and is not
                }
            }
            Start::Nobody => {}
        }
    }

    /// No thread can be started for a P with work: it goes to an M that has become idle meanwhile, or to the
    /// first in line. Without either, its tasks go to the injector, where any M that runs finds them, and the
    /// P to the idle list, so that the next submit tries again.
    fn no_m_for(&self, lists: &mut Lists, p: OwnedP, spinning: Option<Spinning>) -> Start {
        if !lists.closing {
            self.failed_starts.add_shared(1);
        }
        if let Some(m) = lists.idle_ms.pop() {
            *m.lock_inbox() = Some(Assignment { p, spinning });
            return Start::Wake(m);
        }
        // Whether it was the last spinner does not matter: there is no M to be woken in its stead.
        let _ = spinning.map(|spinning| spinning.give_up(&self.census));
        if lists.line.is_empty() {
            p.plunder(|task| self.injector.push(task.into_raw()));
        }
        match lists.release_p(self, p) {
            Some(m) => Start::Wake(m),
            None => Start::Nobody,
        }
    }

    /// Starts a thread, counted already, with `first` to do. Gives `first` back if there is none to be had.
    #[doc(alias = "newm")]
    pub(crate) fn new_m(
        self: &Arc<Self>,
        first: Option<Assignment>,
    ) -> Result<(), (io::Error, Option<Assignment>)> {
        let m = Arc::new(Machine::new(Parker::default()));
        *m.lock_inbox() = first;
        let (shared, own) = (Arc::clone(self), Arc::clone(&m));
        let spawn = thread::Builder::new().name(format!("{}-m{}", self.config.thread_name, m.id.0));
        let refused = self.refuses_threads().then(|| io::Error::from(io::ErrorKind::WouldBlock));
        let outcome = match refused {
            Some(error) => Err(error),
            None => spawn.spawn(move || own.main(shared)),
        };
        match outcome {
            Ok(handle) => {
                let mut lists = self.lists();
                if !lists.ended {
                    lists.handles.push(handle);
                }
                Ok(())
            }
            Err(error) => Err((error, m.lock_inbox().take())),
        }
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
        m.sleep(self);
        m.lock_inbox().take() // empty: woken by `wake_all`
    }

    /// A P is idle and nobody looks for work: wakes an M to look. Go: `wakep`.
    #[doc(alias = "wakep")]
    #[cold]
    pub(crate) fn wake_p(self: &Arc<Self>) {
        let Some(spinning) = self.census.claim_wake() else { return };
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
        m.parker.park();
        m.lock_inbox().take().map(|assignment| assignment.p)
    }
}
