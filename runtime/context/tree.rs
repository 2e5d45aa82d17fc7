//! The tree of what can be cancelled: who is cancelled with whom, who waits for it, and what is called then.
//!
//! Go counterpart: `cancelCtx`, `propagateCancel`, `removeChild` (`context.go`).
//!
//! K1. `ended` is set once, under the lock, with err and cause together; it is read without the lock.
//! K2. What hangs on a core hangs there until the core has ended and all below it too, or until it leaves by
//!     itself: cancelled, stopped, or dropped. Nothing is hung on a core that has ended.
//! K3. A core refers strongly to the one above, and weakly to those below: what nobody can see any more goes away. A
//!     call is referred to strongly: it has nobody else.
//! K4. Whoever ends a core walks down all that hangs below it and only then wakes, calls and unhooks; also if
//!     somebody else has ended it and is still on his way. So all below has ended when `end` returns, to each caller.
//! K5. One lock at a time is held, and no user code runs under it: no waker, no error's or value's drop.
//! K6. Walks and drops go in loops, not by recursion: a chain may be of any length.
//!
//! ```text
//!            up (strong)                        end:  1. set `ended`, go on to the children, …  for the whole tree
//!   core ◀────────────── core ◀── core                2. wake who waits, fire the calls, unhook the children,
//!     └─ children (weak) ─▶ ▲ └──────▶ ▲                  disarm the timer                     for the whole tree
//!     └─ calls (strong) ─▶ f()                        3. leave the core above
//! ```
//!
//! Absent: values, names and deadlines, which are no business of the tree (`mod.rs`); a lock that is held from parent
//! to child, as Go's, which would be a lock for each level of a deep tree.

use super::ContextError;
#[cfg(not(gmprt_loom))]
use super::deadline::Timer;
use crate::sync::wait_list::Outcome;
use crate::sync::wait_queue::WaitQueue;
use crate::sync::wake_batch::{FirstPanic, WakeBatch};
use crate::sys::primitive::{AtomicOrdering::Relaxed, AtomicU64, weaken};
use std::collections::BTreeMap;
use std::error::Error;
use std::mem;
use std::sync::{Arc, OnceLock, Weak};

/// How many waiters are woken for one hold of the lock: bounds the time that others wait for it.
const BATCH: usize = 32;

/// What a user gives as the reason.
pub(super) type Cause = Arc<dyn Error + Send + Sync>;

/// How a context ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) err: ContextError,
    /// `None`: the error itself.
    pub(super) cause: Option<Cause>,
}

/// One context that can be cancelled; those with values only share that of the context above.
pub(super) struct Core {
    ended: OnceLock<Ended>,
    queue: WaitQueue<State, ()>,
    up: Option<Up>,
    next: AtomicU64,
}

/// Where a core hangs, and as which child.
struct Up {
    parent: Arc<Core>,
    number: u64,
}

pub(super) struct State {
    /// In the order in which they were hung here.
    children: BTreeMap<u64, Child>,
    timer: Option<Timer>,
}

enum Child {
    Core(Weak<Core>),
    Call(Arc<dyn Call>),
}

/// Something to be called when a core ends. It keeps where it hangs, so that it can be stopped.
pub(super) trait Call: Send + Sync {
    /// The core has ended: calls it, unless it was stopped.
    fn fire(&self);

    /// It hangs there now. False: it was fired or stopped meanwhile.
    fn hangs_on(&self, core: Weak<Core>, number: u64) -> bool;
}

/// A model has no timers.
#[cfg(gmprt_loom)]
pub(super) enum Timer {}

#[cfg(gmprt_loom)]
impl Timer {
    fn disarm(self) {
        match self {}
    }
}

#[cfg_attr(gmprt_loom, allow(dead_code, reason = "the model has no timers and no calls"))]
impl Core {
    /// A new core below `parent`; one that has ended already, if `parent` has.
    pub(super) fn below(parent: Option<&Arc<Self>>) -> Arc<Self> {
        let up = parent.map(|parent| Up { parent: Arc::clone(parent), number: parent.number() });
        let state = State { children: BTreeMap::new(), timer: None };
        let core = Arc::new(Self {
            ended: OnceLock::new(),
            queue: WaitQueue::new(state),
            up,
            next: AtomicU64::new(0),
        });
        if let Some(Up { parent, number }) = &core.up
            && parent.hang(*number, Child::Core(Arc::downgrade(&core))).is_err()
        {
            // Nobody else knows of it yet, so nobody waits and it needs no lock.
            core.ended.set(parent.ended().expect("it was refused").clone()).expect("nobody else knows of it");
        }
        core
    }

    /// How it ended, if it has.
    #[inline]
    pub(super) fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }

    /// The lock and those who wait.
    pub(super) fn queue(&self) -> &WaitQueue<State, ()> {
        &self.queue
    }

    fn number(&self) -> u64 {
        // Ordering: Relaxed; only that no number is given out twice matters.
        self.next.fetch_add(1, Relaxed)
    }

    /// Hangs a child on this core; gives it back if the core has ended (K2).
    fn hang(&self, number: u64, child: Child) -> Result<(), Child> {
        self.queue.with(|state, _| {
            if self.ended.get().is_some() && weaken::stands("Core::hang") {
                return Err(child);
            }
            state.children.insert(number, child);
            Ok(())
        })
    }

    /// Takes a child off, if it is still there.
    pub(super) fn unhook(&self, number: u64) {
        let child = self.queue.with(|state, _| state.children.remove(&number));
        drop(child); // with the lock released: it may be the last reference to a call
    }

    /// Calls `call` when this core ends: at once, if it has.
    pub(super) fn adopt(self: &Arc<Self>, call: Arc<dyn Call>) {
        let number = self.number();
        match self.hang(number, Child::Call(Arc::clone(&call))) {
            Ok(()) => {
                if !call.hangs_on(Arc::downgrade(self), number) {
                    self.unhook(number);
                }
            }
            Err(_) => call.fire(),
        }
    }

    /// Keeps the timer that will end this core; disarms it if it is too late for that.
    pub(super) fn keep_timer(&self, timer: Timer) {
        let too_late = self.queue.with(|state, _| {
            if self.ended.get().is_some() {
                return Some(timer);
            }
            state.timer = Some(timer);
            None
        });
        if let Some(timer) = too_late {
            timer.disarm();
        }
    }

    /// Ends this core and all below it, as `ended` says where nobody was before (K4).
    pub(super) fn end(self: &Arc<Self>, ended: Ended) {
        // What is left of it if this call is not the first: dropped at the very end, for that is user code.
        let mut offered = Some(ended);
        let mut reached = vec![Arc::clone(self)];
        let mut below = self.mark(&mut offered);
        while let Some((core, ended)) = below.pop() {
            // A copy of what the core above keeps, which `reached` keeps: to drop it runs nothing.
            below.append(&mut core.mark(&mut Some(ended)));
            reached.push(core);
        }
        let mut first = FirstPanic::default();
        for core in &reached {
            core.release(&mut first);
        }
        if let Some(Up { parent, number }) = &self.up {
            parent.unhook(*number);
        }
        first.note(|| drop(reached));
        first.note(|| drop(offered));
        first.resume();
    }

    /// Marks it as ended, unless it is; what hangs on it is to follow, the last first.
    fn mark(&self, offered: &mut Option<Ended>) -> Vec<(Arc<Self>, Ended)> {
        let children: Vec<_> = self.queue.with(|state, _| {
            if self.ended.get().is_none() {
                let ended = offered.take().expect("offered once");
                self.ended.set(ended).expect("K1: set under the lock only");
            } else if !weaken::stands("Core::mark") {
                return Vec::new();
            }
            let cores = state.children.values().rev().filter_map(|child| match child {
                Child::Core(core) => Some(Weak::clone(core)),
                Child::Call(_) => None,
            });
            cores.collect()
        });
        let ended = self.ended.get().expect("set above");
        // One that can't be upgraded is being dropped: nobody can see it.
        let alive = children.into_iter().filter_map(|child| child.upgrade());
        alive.map(|child| (child, ended.clone())).collect()
    }

    /// Wakes who waits, the latest first as Go's `closechan` does, and calls what is to be called.
    fn release(&self, first: &mut FirstPanic) {
        loop {
            let mut batch = WakeBatch::<BATCH>::new();
            let more = self.queue.with(|_, mut waiting| {
                while !batch.is_full() {
                    let Some(waker) = waiting.pop_back(Outcome::Served) else { return false };
                    batch.push(waker);
                }
                true
            });
            batch.wake_into(first);
            if !more {
                break;
            }
        }
        let (children, timer) = self.clear();
        for child in children.into_values() {
            if let Child::Call(call) = child {
                first.note(|| call.fire());
                first.note(|| drop(call));
            }
        }
        if let Some(timer) = timer {
            first.note(|| timer.disarm());
        }
    }

    fn clear(&self) -> (BTreeMap<u64, Child>, Option<Timer>) {
        self.queue.with(|state, _| (mem::take(&mut state.children), state.timer.take()))
    }

    /// Nobody can cancel it any more, nor see it: leaves the core above. What was to be called is left in `calls`; if
    /// it has ended, they are called.
    fn retire(&mut self, calls: &mut Vec<Arc<dyn Call>>, first: &mut FirstPanic) -> Option<Arc<Self>> {
        let (children, timer) = self.clear();
        if let Some(timer) = timer {
            first.note(|| timer.disarm());
        }
        let up = self.up.take();
        if let Some(Up { parent, number }) = &up {
            parent.unhook(*number);
        }
        calls.extend(children.into_values().map(|child| match child {
            Child::Call(call) => call,
            Child::Core(_) => unreachable!("K3: a core below holds this one"),
        }));
        if let Some(ended) = self.ended.take() {
            for call in calls.drain(..) {
                first.note(|| call.fire());
                first.note(|| drop(call));
            }
            first.note(|| drop(ended)); // here, for its drop may panic too
        }
        up.map(|up| up.parent)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let (mut first, mut calls) = (FirstPanic::default(), Vec::new());
        let mut above = self.retire(&mut calls, &mut first);
        // K6: those of which this was the last child, one by one. The first that stays takes over what was to be called.
        while let Some(parent) = above.take() {
            let last = Arc::try_unwrap(parent).or_else(|parent| {
                for call in calls.drain(..) {
                    first.note(|| parent.adopt(call));
                }
                Arc::into_inner(parent).ok_or(())
            });
            if let Ok(mut core) = last {
                above = core.retire(&mut calls, &mut first);
            }
        }
        for call in calls {
            first.note(|| drop(call));
        }
        first.resume();
    }
}

#[cfg(all(test, not(gmprt_loom)))]
impl Core {
    /// How many hang on it.
    pub(super) fn children(&self) -> usize {
        self.queue.with(|state, _| state.children.len())
    }

    /// Whether it keeps a timer.
    pub(super) fn has_timer(&self) -> bool {
        self.queue.with(|state, _| state.timer.is_some())
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "models.rs"]
mod models;
