//! An M: an OS thread that runs tasks while it holds a P.
//!
//! Go counterpart: `type m` (`runtime2.go`), `mstart` (`proc.go`).
//!
//! ```text
//!   thread: main ─▶ schedule::run ⇄ sleep (parker, or the poller's seat) ─▶ m_ended
//!   inbox:  empty ──(who takes the M off a list fills it)──▶ a P ──(the M, awake)──▶ empty
//!   declared: 0 ─ block ─▶ 1 ─ back ─▶ 2 ─ block ─▶ 3 …          (sysmon reads it: odd is in a declared block)
//! ```
//!
//! K1. An M's inbox is filled by whoever took the M off a list, before it wakes the M (lists.rs, M3).
//! K2. One M at a time sleeps in the poller (poller.rs, O1); `wake` reaches it there and in its parker.
//! K3. Only the M itself pins its thread, to the core of a P in its hand; it un-pins itself before it sleeps
//!     or blocks, and a revoker does while it takes the P.
//! K4. `tid` is the thread's from its start to shortly before its end; a revoker that un-pins holds its lock, so that
//!     the number is nobody else's by then.
//! K5. A caller of `block_on` sleeps as long as `heard` equals `calls`: each wake is counted before it rouses the caller,
//!     and `heard` is what the last poll that is over could know of. So no moment shows a caller asleep that was woken.
//! K6. `polls` is written before the M goes outside, or a caller AWAKE: who sees the same number before and after it saw
//!     the M there, saw that poll.
//!
//! Length: each of those who look at an M from outside has its few lines here, beside what they look at.
//!
//! Absent: the lists of what is idle (`lists.rs`), the start of threads (`threads.rs`), the sleep in the poller
//! (`seat.rs`).

use super::bedtime::LEFT_SEAT;
use super::idle::Spinning;
use super::ids::MachineId;
use super::lease::Lease;
use super::processor::OwnedP;
use super::{Shared, schedule};
use crate::poller::Poller;
use crate::sys::affinity::{Tid, pin_to, process_mask};
use crate::sys::counter::Counter;
use crate::sys::parker::Parker;
use crate::sys::thread;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The poll's slice is over: its next leaf future is to yield (`preempt.rs`).
pub(super) const YIELD: u8 = 1;

/// The poll computes for so long that it is to give its P to others, and enters the runtime so often that the P can't be
/// taken from it: it gives it up itself when it next spawns, wakes or sets a timer.
pub(super) const LEAVE: u8 = 2;

/// The poll has handed something over to a task that is the next to run, and is to let it: its next leaf future
/// yields, as Go's `semrelease1` does when it hands a lock over.
pub(super) const HAND_OFF: u8 = 4;

/// A P for an M, and with it, perhaps, the duty to look for work.
pub(crate) struct Assignment {
    pub(crate) p: OwnedP,
    pub(crate) spinning: Option<Spinning>,
}

impl Assignment {
    /// The M that takes it up sat in the poller (`seat.rs`, V4).
    pub(super) fn after_sitting(self) -> Self {
        self.p.notice.raise(LEFT_SEAT);
        self
    }
}

/// An M.
pub(crate) struct Machine {
    pub(crate) id: MachineId,
    pub(crate) lease: Lease,
    pub(super) parker: Parker,
    inbox: Mutex<Option<Assignment>>,
    /// The thread, while it lives (K4).
    tid: Mutex<Option<Tid>>,
    pinned: AtomicBool,
    /// Declared blocks begun and ended; only the M writes it.
    declared: Counter,
    /// What is asked of the poll in progress: nothing, or by sysmon [`YIELD`], [`LEAVE`], by itself [`HAND_OFF`].
    asked: AtomicU8,
    /// Its keep-alive is over: it is no longer counted (`lists.rs`, M4).
    pub(super) expired: AtomicBool,
    /// It lost its P to others because its poll computed for too long, and that poll is not over.
    hog: AtomicBool,
    /// It sleeps in the poller, not in its parker.
    in_poller: AtomicBool,
    /// The id of the task that it polls, or has polled last; 0: a caller's future, or timers.
    running: AtomicU64,
    /// Polls begun, and batches of timers fired: another number is another poll. Only the M writes it (K6).
    polls: Counter,
    /// A caller of `block_on`: where that was called.
    site: Option<&'static Location<'static>>,
    /// A caller: how often it was woken (K5).
    calls: AtomicU64,
    /// A caller that sleeps: the calls of which its last poll could know; else [`AWAKE`].
    heard: AtomicU64,
}

/// The caller is in a poll, or comes to it.
const AWAKE: u64 = u64::MAX;

static LAST_M: AtomicU32 = AtomicU32::new(0);

impl Machine {
    pub(super) fn new(parker: Parker) -> Self {
        Self {
            // Ordering: Relaxed; ids need only differ.
            id: MachineId(LAST_M.fetch_add(1, Relaxed).wrapping_add(1).max(1)), // 0 is nobody
            lease: Lease::new(),
            parker,
            inbox: Mutex::new(None),
            tid: Mutex::new(None),
            pinned: AtomicBool::new(false),
            declared: Counter::default(),
            asked: AtomicU8::new(0),
            hog: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            in_poller: AtomicBool::new(false),
            running: AtomicU64::new(0),
            polls: Counter::default(),
            site: None,
            calls: AtomicU64::new(0),
            heard: AtomicU64::new(AWAKE),
        }
    }

    /// An M that is the calling thread, which has no part in the runtime's work.
    pub(crate) fn for_caller() -> Self {
        let m = Self::new(Parker::for_this_thread());
        m.set_tid(Some(Tid::current()));
        m
    }

    /// An M that is the calling thread, for the time of a `block_on` at `site`.
    pub(super) fn of_block_on(site: &'static Location<'static>) -> Self {
        Self { site: Some(site), ..Self::for_caller() }
    }

    /// Where `block_on` was called, if this is its caller.
    pub(super) fn block_on_site(&self) -> Option<&'static Location<'static>> {
        self.site
    }

    /// A waker's: rouses the caller from its sleep.
    pub(super) fn call(&self) {
        // Ordering: AcqRel; counted before the caller is roused, and in the order of the calls (K5).
        self.calls.fetch_add(1, AcqRel);
        self.parker.unpark();
    }

    /// The caller begins a poll; what it is to say when it sleeps after that.
    pub(super) fn awake(&self) -> u64 {
        // Ordering: Acquire; pairs with the AcqRel in `call`: the poll sees what the callers did.
        let calls = self.calls.load(Acquire);
        self.set_running(0);
        // Ordering: Release; pairs with the Acquire load in `polls_as_caller` (K6).
        self.heard.store(AWAKE, Release);
        calls
    }

    /// The caller's poll is over, and it sleeps until it is called.
    pub(super) fn asleep(&self, heard: u64) {
        // Ordering: Release; pairs with the Acquire load in `sleeps_as_caller`: who sees this sees what the poll did.
        self.heard.store(heard, Release);
    }

    /// Whether the caller sleeps, and nobody has called it.
    pub(super) fn sleeps_as_caller(&self) -> bool {
        // Ordering: Acquire; pairs with the Release store in `asleep`.
        let heard = self.heard.load(Acquire);
        // Ordering: Acquire; pairs with the AcqRel in `call`.
        heard == self.calls.load(Acquire)
    }

    /// Whether it is a caller, in a poll; with or without a P.
    pub(super) fn polls_as_caller(&self) -> bool {
        // Ordering: Acquire; pairs with the Release store in `awake` (K6).
        self.site.is_some() && self.heard.load(Acquire) == AWAKE
    }

    fn lock_tid(&self) -> MutexGuard<'_, Option<Tid>> {
        self.tid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_tid(&self, tid: Option<Tid>) {
        *self.lock_tid() = tid;
    }

    /// Its thread, if that has begun and not ended.
    pub(super) fn tid(&self) -> Option<Tid> {
        *self.lock_tid()
    }

    /// The M, inside, has `p` in its hand.
    #[inline]
    pub(crate) fn wire(&self, p: &OwnedP) {
        p.begin_turn();
        p.begin_hold();
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
        p.end_hold();
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

    /// The M's own thread gives itself the process's mask back.
    pub(crate) fn unpin(&self) {
        // Ordering: AcqRel; of the M and a revoker one does it.
        if self.pinned.swap(false, AcqRel)
            && let Some(mask) = &process_mask().mask
        {
            mask.give_to(Tid::current());
        }
    }

    /// A revoker gives the M's thread the process's mask back (K4).
    pub(super) fn unpin_from_outside(&self) {
        let tid = self.lock_tid();
        // Ordering: AcqRel; of the M and a revoker one does it.
        if self.pinned.swap(false, AcqRel)
            && let (Some(mask), Some(tid)) = (&process_mask().mask, *tid)
        {
            mask.give_to(tid);
        }
    }

    /// Declared blocks begun and ended: odd while it is in one.
    pub(super) fn declared(&self) -> u64 {
        self.declared.get()
    }

    /// The M itself begins or ends a declared block.
    #[inline]
    pub(super) fn set_declared(&self, count: u64) {
        self.declared.set(count);
    }

    /// The M itself ends a declared block that began at the count `before`, unless that was nested in another.
    #[inline]
    pub(super) fn end_declared(&self, before: u64) {
        if before.is_multiple_of(2) {
            self.set_declared(before + 2);
        }
    }

    /// Asks the poll in progress for it. Asked of one that is over by then, it is forgotten with the next.
    pub(super) fn ask(&self, what: u8) {
        // Ordering: Relaxed; asked for again, if need be.
        self.asked.fetch_or(what, Relaxed);
    }

    /// Whether the poll in progress is asked for it.
    #[inline]
    pub(super) fn is_asked_to(&self, what: u8) -> bool {
        // Ordering: Relaxed; as above.
        self.asked.load(Relaxed) & what != 0
    }

    /// A poll begins, or has heeded what it was asked.
    #[inline]
    pub(super) fn forget_asked(&self) {
        // Ordering: Relaxed, both; as above.
        if self.asked.load(Relaxed) != 0 {
            // Ordering: Relaxed; as above.
            self.asked.store(0, Relaxed);
        }
    }

    /// It begins to poll this task.
    #[inline(always)]
    pub(super) fn set_running(&self, g: u64) {
        self.polls.add(1);
        // Ordering: Relaxed; for people.
        self.running.store(g, Relaxed);
    }

    /// Polls begun, and batches of timers fired (K6).
    pub(super) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// The task that it polls, or has polled last.
    pub(super) fn running(&self) -> u64 {
        // Ordering: Relaxed; for people.
        self.running.load(Relaxed)
    }

    /// It has lost its P as a hog, and that poll is not over.
    pub(super) fn is_hog(&self) -> bool {
        // Ordering: Relaxed; a limit, not a matter of correctness.
        self.hog.load(Relaxed)
    }

    /// sysmon takes its P from a hog; before the revocation, so that the poll's end comes after.
    pub(super) fn set_hog(&self, hog: bool) {
        // Ordering: Relaxed; as above.
        self.hog.store(hog, Relaxed);
    }

    /// The M, having lost its P: the poll in which it did is over.
    pub(super) fn poll_is_over(&self) {
        self.set_hog(false);
    }

    /// The M's poll has ended without a P, and perhaps in a block that lasted to its end.
    pub(super) fn block_is_over(&self) {
        let declared = self.declared();
        self.set_declared(declared + declared % 2);
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

    /// The M is about to sit in the poller, or has left it (`seat.rs`).
    pub(super) fn set_in_poller(&self, there: bool) {
        // Ordering: Release; pairs with the Acquire load in `wake`, which see.
        self.in_poller.store(there, Release);
    }
}

impl Machine {
    /// The thread of an M, from its start to its end. Go: `mstart`.
    #[doc(alias = "mstart")]
    pub(super) fn main(self: Arc<Self>, shared: Arc<Shared>, reserved: bool) {
        self.parker.adopt();
        self.set_tid(Some(Tid::current()));
        // The thread that started us may be pinned, and passed its mask on.
        if let Some(mask) = &process_mask().mask {
            mask.give_to(Tid::current());
        }
        thread::sleep_as_usual(); // it may have been sysmon
        shared.register(&self);
        let first = if reserved { shared.sleep_m(&self) } else { self.lock_inbox().take() };
        if !reserved || first.is_some() {
            schedule::run(&shared, &self, first);
        }
        self.unpin();
        shared.unregister(&self);
        // Ordering: Relaxed; only the M itself writes it.
        if !self.expired.load(Relaxed) {
            shared.m_ended();
        }
    }
}

/// Every M with a thread, by its number, so that sysmon finds the one that holds a P. Go: `allm`.
#[derive(Default)]
pub(crate) struct Machines(Mutex<HashMap<u32, Arc<Machine>>>);

impl Machines {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Machine>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// From here on sysmon knows the M, whose thread is the calling one.
    pub(super) fn register(&self, m: &Arc<Machine>) {
        self.machines.lock().insert(m.id.as_u32(), Arc::clone(m));
    }

    /// The M's thread ends, or goes its own ways.
    pub(super) fn unregister(&self, m: &Machine) {
        m.set_tid(None);
        self.machines.lock().remove(&m.id.as_u32());
    }

    /// How many Ms have lost their P because their poll computes for too long, and go on computing; one that sleeps by
    /// now, as `asleep` tells, is in nobody's way.
    pub(super) fn hogs(&self, mut asleep: impl FnMut(&Machine) -> bool) -> usize {
        let machines: Vec<_> = self.machines.lock().values().filter(|m| m.is_hog()).cloned().collect();
        machines.iter().filter(|m| !asleep(m)).count()
    }

    /// All Ms whose thread lives.
    pub(super) fn all_machines(&self) -> Vec<Arc<Machine>> {
        self.machines.lock().values().cloned().collect()
    }

    /// The M with this number, if its thread lives.
    pub(super) fn machine(&self, id: u32) -> Option<Arc<Machine>> {
        if id == 0 { None } else { self.machines.lock().get(&id).cloned() }
    }
}
