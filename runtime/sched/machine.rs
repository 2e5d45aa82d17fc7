//! An M: an OS thread that runs tasks while it holds a P.
//!
//! Go counterpart: `type m` (`runtime2.go`), `mstart` (`proc.go`).
//!
//! ```text
//!   thread: main ─▶ schedule::run ⇄ sleep (parker, or the poller's seat) ─▶ m_ended
//!   inbox:  empty ──(who takes the M off a list fills it)──▶ a P ──(the M, awake)──▶ empty
//! ```
//!
//! K1. An M's inbox is filled by whoever took the M off a list, before it wakes the M (lists.rs, M3).
//! K2. One M at a time sleeps in the poller (poller.rs, O1); `wake` reaches it there and in its parker.
//! K3. Only the M itself pins its thread, to the core of a P in its hand; it un-pins itself before it sleeps
//!     or blocks, and a revoker does while it takes the P.
//!
//! Absent: the lists of what is idle, and the start of threads (`lists.rs`).

use super::idle::Spinning;
use super::ids::MachineId;
use super::lease::Lease;
use super::processor::OwnedP;
use super::{Shared, schedule};
use crate::poller::Poller;
use crate::sys::affinity::{Tid, pin_to, process_mask};
use crate::sys::parker::Parker;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// A P for an M, and with it, perhaps, the duty to look for work.
pub(crate) struct Assignment {
    pub(crate) p: OwnedP,
    pub(crate) spinning: Option<Spinning>,
}

/// An M.
pub(crate) struct Machine {
    pub(crate) id: MachineId,
    pub(crate) lease: Lease,
    pub(super) parker: Parker,
    inbox: Mutex<Option<Assignment>>,
    tid: OnceLock<Tid>,
    pinned: AtomicBool,
    /// It sleeps in the poller, not in its parker.
    in_poller: AtomicBool,
}

static LAST_M: AtomicU32 = AtomicU32::new(0);

impl Machine {
    pub(super) fn new(parker: Parker) -> Self {
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

    pub(super) fn lock_inbox(&self) -> MutexGuard<'_, Option<Assignment>> {
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
    pub(super) fn sleep(&self, shared: &Shared) {
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

impl Machine {
    /// The thread of an M, from its start to its end. Go: `mstart`.
    pub(super) fn main(self: Arc<Self>, shared: Arc<Shared>) {
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
