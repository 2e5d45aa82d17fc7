//! The end of a runtime: what has begun is waited for, what has not is cancelled, nothing is leaked.
//!
//! Go counterpart: none; a Go program ends with its process.
//!
//! ```text
//!   closing = true ─▶ wake every M ─▶ sweep: cancel what is queued or idle ─▶ wait for the Ms' threads
//! ```
//!
//! E1. `closing` is set once and never cleared. An M that sees it begins no poll and ends.
//! E2. *No task escapes.* FENCE-CLOSE stands between `closing = true` and the sweep's look at the slots, and
//!     between a foreign spawn's `State::spawn` and its look at `closing`. If the sweep's end is first, the
//!     spawn sees `closing` and cancels its task itself. If the spawn's is first, the sweep finds the slot
//!     in use; a page carved later comes after the sweep's lock, and its spawn sees `closing`.
//! E3. Drops of futures run on the thread that sweeps: the one that shuts down, the last M, or the one whose thread
//!     start was refused at that very moment. The sweep ends only when it has seen no task QUEUED and none IDLE. One that is RUNNING is left to
//!     its M, which has to deal with it: `execute` cancels it if it goes IDLE, `turn` if it is queued. An M
//!     that does not see `closing` at that moment sees it at its next turn, and the last M sweeps again.
//! E4. Whoever gives a P up while the runtime closes has cancelled what was in its queues.
//! E5. An M that drops its own runtime, or one whose M drops this one's, in a task or while it cancels one, can't
//!     wait: it would wait for itself. [`Waiting`] finds the circle, and the drop goes on without waiting; the polls in
//!     progress end as they do after a `shutdown_timeout` that was too short.
//!
//! Absent: a limit on how long a poll may take to return; `shutdown_timeout` limits the wait.

use super::Shared;
use super::blocking;
use super::current::{self, Context};
use super::machine::Machine;
use super::processor::{Processor, take_from};
use super::sysmon;
use crate::cell::state::Claim;
use crate::cell::waker::wake_quietly;
use crate::cell::{Queued, TaskId, TaskRef};
use crate::error::ShutdownTimeout;
use crate::sys::primitive::{AtomicOrdering, fence};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Whose thread waits for the end of which runtime: (waiter, awaited), by address.
static WAITING: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Entries of [`WAITING`], until this is dropped (E5): one for each runtime whose M the thread is.
struct Waiting(Vec<(usize, usize)>);

impl Waiting {
    /// Notes that the calling thread will wait for `awaited`. `None`: it would wait for itself.
    fn begin(awaited: &Arc<Shared>) -> Option<Self> {
        let awaited = Arc::as_ptr(awaited).addr();
        let mut waiters = Vec::new();
        current::for_each(|cx| {
            if cx.is_m {
                waiters.push(Arc::as_ptr(&cx.shared).addr());
            }
        });
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reached = vec![awaited];
        let mut looked_at = 0;
        while let Some(&runtime) = reached.get(looked_at) {
            if waiters.contains(&runtime) {
                return None;
            }
            looked_at += 1;
            for &(from, to) in waiting.iter() {
                if from == runtime && !reached.contains(&to) {
                    reached.push(to);
                }
            }
        }
        let entries: Vec<_> = waiters.into_iter().map(|waiter| (waiter, awaited)).collect();
        waiting.extend_from_slice(&entries);
        Some(Self(entries))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in &self.0 {
            let at = waiting.iter().position(|other| other == entry).expect("entered by us");
            waiting.swap_remove(at);
        }
    }
}

impl Shared {
    /// For a foreign spawn, whose task is QUEUED in its slot: whether the runtime is closing (E2).
    pub(crate) fn closing_after_fence(&self) -> bool {
        fence(AtomicOrdering::SeqCst); // FENCE-CLOSE, the spawn's end: E2
        self.is_closing()
    }

    /// Shuts down, and waits for what has begun, for `limit` at most.
    pub(crate) fn shut_down(self: &Arc<Self>, limit: Option<Duration>) -> Result<(), ShutdownTimeout> {
        let sleepers = {
            let mut lists = self.lists();
            lists.closing = true;
            // Ordering: Relaxed; FENCE-CLOSE and the lock do the rest.
            self.closing.store(true, Relaxed);
            self.wake_all(&mut lists)
        };
        sleepers.iter().for_each(|m| m.wake(self));
        self.end_sysmon();
        self.end_watch();
        fence(AtomicOrdering::SeqCst); // FENCE-CLOSE, the sweep's end: E2
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        // A circle is looked for only where the wait has no end.
        let waiting = if deadline.is_none() { Waiting::begin(self) } else { Some(Waiting(Vec::new())) };
        let _blocked = blocking::declare();
        self.as_current(false, || self.sweep());
        if waiting.is_some_and(|_waiting| self.wait_for_threads(deadline)) {
            return Ok(());
        }
        // Out of time, or E5. Some polls may have returned since the first look; their threads are ending.
        let late = self.as_current(false, || self.sweep());
        if late.is_empty() { Ok(()) } else { Err(ShutdownTimeout { late }) }
    }

    /// Waits until every M's thread has ended, or until `deadline`; says which.
    fn wait_for_threads(&self, deadline: Option<Instant>) -> bool {
        let mut lists = self.lists();
        while !lists.ended {
            lists = match deadline {
                None => self.m_ended.wait(lists).expect("nothing panics under the lists' lock"),
                Some(deadline) => {
                    let now = Instant::now();
                    if now >= deadline {
                        return false;
                    }
                    let waited = self.m_ended.wait_timeout(lists, deadline - now);
                    waited.expect("nothing panics under the lists' lock").0
                }
            };
        }
        let handles = std::mem::take(&mut lists.handles);
        drop(lists);
        for handle in handles.into_values() {
            let _ = handle.join(); // an M's panic has aborted the process
        }
        true
    }

    /// An M's thread ends. The last one sweeps up what polls left IDLE while the first sweep looked (E3).
    pub(super) fn m_ended(self: &Arc<Self>) {
        let last = {
            let mut lists = self.lists();
            lists.threads -= 1;
            lists.threads == 0 && lists.closing
        };
        if last {
            // sysmon runs no user code (sysmon.rs, S1), and who shuts down sweeps after it has ended.
            if !sysmon::is_here() {
                self.as_current(true, || self.sweep());
            }
            self.lists().ended = true;
            self.m_ended.notify_all();
        }
    }

    /// Calls `f` in a context of this runtime, without a P: the drops of futures find a current runtime, as
    /// they would on an M. `is_m`: the runtime's end waits for this thread.
    pub(super) fn as_current<R>(self: &Arc<Self>, is_m: bool, f: impl FnOnce() -> R) -> R {
        let cx = Context::new(Arc::clone(self), Arc::new(Machine::for_caller()), is_m);
        let _entered = cx.enter();
        f()
    }

    /// Cancels every task that is not in a poll; the ids of those that are (E3).
    fn sweep(self: &Arc<Self>) -> Vec<TaskId> {
        loop {
            for p in &self.procs {
                // Whoever waits for a timer is to learn that it will not come.
                p.timers.close().into_iter().for_each(wake_quietly);
            }
            while let Some(task) = take_from(&self.injector) {
                self.cancel(task);
            }
            for p in &self.procs {
                self.cancel_all_of(p);
            }
            let (mut running, mut again) = (Vec::new(), false);
            self.slab.for_each_slot(|header| {
                let task = TaskRef::from_header(header);
                match task.state().claim() {
                    Claim::Gone => {}
                    Claim::Claimed => {
                        again = true; // its drop may have woken others
                        self.note_cancel(task);
                        self.settle(task.cancel_claimed());
                    }
                    Claim::Queued => again = true,
                    Claim::Running => running.push(task.id()),
                }
            });
            if !again {
                return running;
            }
            thread::yield_now(); // a waker is between its transition and its push
        }
    }

    fn cancel(self: &Arc<Self>, task: Queued) {
        self.note_cancel(task.task());
        self.settle(task.cancel());
    }

    /// Cancels what is in a P's queues (E4).
    pub(super) fn cancel_all_of(self: &Arc<Self>, p: &Processor) {
        p.plunder(|task| self.cancel(task));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Nobody has a handle, an M or a context any more: every P is idle, and every task over.
        self.lists.get_mut().expect("nothing panics under the lists' lock").forget_ps();
        for p in &mut self.procs {
            p.flush_slots(&self.slab);
        }
        Arc::clone(&self.slab).close();
    }
}
