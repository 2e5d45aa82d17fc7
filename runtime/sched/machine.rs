//! An M: an OS thread that runs tasks while it holds a P; and the lists of what is idle.
//!
//! Go counterpart: `type m` (`runtime2.go`), `startm`, `stopm`, `newm`, `mget`, `mput`, `pidleget`,
//! `pidleput` (`proc.go`).
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

use super::idle::Spinning;
use super::ids::{MachineId, ProcessorId};
use super::lease::Lease;
use super::processor::OwnedP;
use super::{Shared, schedule};
use crate::poller::Poller;
use crate::sys::affinity::{Tid, pin_to, process_mask};
use crate::sys::parker::Parker;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle};

/// A P for an M, and with it, perhaps, the duty to look for work.
pub(crate) struct Assignment {
    pub(crate) p: OwnedP,
    pub(crate) spinning: Option<Spinning>,
}

/// An M.
pub(crate) struct Machine {
    pub(crate) id: MachineId,
    pub(crate) lease: Lease,
    parker: Parker,
    inbox: Mutex<Option<Assignment>>,
    tid: OnceLock<Tid>,
    pinned: AtomicBool,
    /// It sleeps in the poller, not in its parker.
    in_poller: AtomicBool,
}

static LAST_M: AtomicU32 = AtomicU32::new(0);

impl Machine {
    fn new(parker: Parker) -> Self {
        Self {
            // Ordering: Relaxed; ids need only differ.
            id: MachineId(LAST_M.fetch_add(1, Relaxed).wrapping_add(1).max(1)), // 0 is nobody
            lease: Lease::new(),
            parker,
            inbox: Mutex::new(None),
            tid: OnceLock::new(),
            pinned: AtomicBool::new(false),
            in_poller: AtomicBool::new(false),
        }
    }

    /// An M that is the calling thread, for the time of a `block_on`.
    pub(crate) fn for_caller() -> Self {
        let m = Self::new(Parker::for_this_thread());
        m.tid.get_or_init(Tid::current);
        m
    }

    /// The M, inside, has `p` in its hand.
    #[inline]
    pub(crate) fn wire(&self, p: &OwnedP) {
        self.lease.take(p.id);
        p.set_holder(self.id.0);
    }

    /// The M, inside, gives the P in its hand up. Nothing was lent since it was last asked, so no revoker
    /// can have taken it.
    #[inline]
    pub(crate) fn unwire(&self, p: &OwnedP) {
        let mine = self.lease.give_up();
        assert!(mine, "{} was taken from {} inside the scheduler", p.id, self.id);
        p.set_holder(0);
    }

    /// Pins the calling thread, which is this M, to `core`.
    pub(crate) fn pin(&self, core: usize) {
        // Ordering: Release; pairs with the AcqRel swap in `unpin`.
        self.pinned.store(pin_to(core), Release);
    }

    /// Whether it is pinned.
    pub(crate) fn is_pinned(&self) -> bool {
        // Ordering: Relaxed; asked by the M itself.
        self.pinned.load(Relaxed)
    }

    /// Gives the M's thread the process's mask back; by itself, or by a revoker that has its P.
    pub(crate) fn unpin(&self) {
        // Ordering: AcqRel; of the M and a revoker one does it.
        if self.pinned.swap(false, AcqRel)
            && let (Some(mask), Some(tid)) = (&process_mask().mask, self.tid.get())
        {
            mask.give_to(*tid);
        }
    }

    fn lock_inbox(&self) -> MutexGuard<'_, Option<Assignment>> {
        self.inbox.lock().expect("nothing panics under an inbox lock")
    }

    /// Wakes the M, whose inbox is filled or whose runtime is closing.
    pub(crate) fn wake(&self, shared: &Shared) {
        self.parker.unpark();
        // Ordering: Acquire; the token is left first. If the sleeper took no token after it had set
        // `in_poller`, our exchange of the token came after its own, and so we read true here.
        if self.in_poller.load(Acquire) {
            shared.poller.break_wait();
        }
    }

    /// Sleeps until woken, in the poller if nobody else is there.
    fn sleep(&self, shared: &Shared) {
        // Ordering: AcqRel; one M at a time has the seat (poller.rs, O1).
        if !shared.poller_taken.swap(true, AcqRel) {
            // Ordering: Release; pairs with the Acquire load in `wake`, which see.
            self.in_poller.store(true, Release);
            while !self.parker.take_token() {
                shared.poller.wait(None);
            }
            // Ordering: Release; nobody else has the seat until the next line.
            self.in_poller.store(false, Release);
            // Ordering: Release; pairs with the next swap.
            shared.poller_taken.store(false, Release);
        } else {
            self.parker.park();
        }
    }
}

/// What is idle, waits in line or is owed (M1).
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

impl Machine {
    /// The thread of an M, from its start to its end. Go: `mstart`.
    fn main(self: Arc<Self>, shared: Arc<Shared>) {
        self.parker.adopt();
        self.tid.get_or_init(Tid::current);
        // The thread that started us may be pinned, and passed its mask on.
        if let Some(mask) = &process_mask().mask {
            mask.give_to(Tid::current());
        }
        let first = self.lock_inbox().take();
        schedule::run(&shared, &self, first);
        self.unpin();
        shared.m_ended();
    }
}
