//! The loop of an M: find a task, lend it the P, poll it, deal with what is left.
//!
//! Go counterpart: `schedule`, `execute`, `findRunnable`, `resetspinning`, `stealWork` (`proc.go`).
//!
//! ```text
//!   run:  ┌─▶ P? ── no ──▶ stop_m ──(closing)──▶ end
//!         │    └─ yes ─▶ find_runnable ── nothing ─▶ (P given up) ─┐
//!         │                  └─ task ─▶ execute ──▶ P kept, or ────┤ lost: the ladder of exitsyscall
//!         └───────────────────────────────────────────────◀────────┘
//! ```
//!
//! Q1. The M holds at most one P: it is in `Hunt::p`, or lent to the poll in progress.
//! Q2. A task is polled only while its M holds a P; its P may be taken during the poll, and then what
//!     the poll left behind is dealt with as by a foreign thread.
//! Q3. While the runtime closes, whoever gives a P up has emptied its queues (shutdown.rs, E4).
//!
//! Absent: where the M looks for a task (`sources.rs`), and a panic that gets out of here. Tasks' panics are caught in
//! the cell; one of our own aborts.

use super::current::Context;
use super::idle::{Spinning, WasLast};
use super::ids::ProcessorId;
use super::machine::{Assignment, Machine};
use super::processor::OwnedP;
use super::{Affinity, Shared};
use crate::cell::state::Claim;
use crate::cell::{After, Ended, Queued};
use crate::error::UnhandledPanic;
use crate::names::name_of_panicked;
use crate::policy::find::{Found, Sources, find_runnable};
use crate::policy::tuning::{INJECTOR_EVERY, PIN_AFTER, PIN_CLOCK_EVERY};
use crate::trace::record::{Event, Give, Queue};
use std::io::{self, Write};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

/// An M at work: what it holds, and what it looks at.
pub(super) struct Hunt<'a> {
    pub(super) cx: &'a Context,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) p: Option<OwnedP>,
    pub(super) spinning: Option<Spinning>,
    /// When the M was first seen with this P, for `PIN_AFTER`.
    since: Option<Instant>,
    /// Other Ps that it has found without work since it began to look there: for the trace.
    pub(super) tries: u8,
    /// Wakers of due timers, between the heap's lock and their wake.
    pub(super) due: Vec<Waker>,
}

/// Ends the process if a panic of ours unwinds through the loop: a P and its tasks would be lost.
pub(super) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(io::stderr(), "gmprt: the scheduler itself panicked; aborting");
            std::process::abort();
        }
    }
}

/// Runs tasks until the runtime closes.
pub(super) fn run(shared: &Arc<Shared>, m: &Arc<Machine>, first: Option<Assignment>) {
    let _abort = AbortOnUnwind;
    let cx = Context::new(Arc::clone(shared), Arc::clone(m), true);
    let _entered = cx.enter();
    let mut hunt = Hunt { cx: &cx, shared, p: None, spinning: None, since: None, tries: 0, due: Vec::new() };
    match first.or_else(|| shared.stop_m(m)) {
        Some(assignment) => hunt.take_up(assignment),
        None => return,
    }
    while hunt.turn() {}
}

impl Hunt<'_> {
    /// One task, or one sleep. False: the runtime closes, and nothing is held any more.
    #[inline]
    fn turn(&mut self) -> bool {
        if self.shared.is_closing() {
            self.leave();
            return false;
        }
        if self.line_is_due() {
            return self.serve_line();
        }
        let Found::Task { task, inherits } = find_runnable(self) else {
            return self.sleep();
        };
        if let Some(spinning) = self.spinning.take()
            && spinning.found_work(&self.shared.census) == WasLast(true)
            && self.shared.census.wants_help()
        {
            self.shared.wake_p();
        }
        let p = self.p.take().expect("a task is found only with a P");
        if p.notice.is_up() {
            self.shared.poll_beside_timers(p.timers.earliest());
        }
        let id = p.id;
        self.p = self.execute(p, task, inherits);
        self.p.is_some() || self.climb(id)
    }

    #[inline(always)]
    pub(super) fn p(&self) -> &OwnedP {
        self.p.as_ref().expect("the hunt goes on only with a P")
    }

    /// Rule 6: whether an M waits in line, and this is one of the ticks at which it is served.
    #[inline(always)]
    fn line_is_due(&self) -> bool {
        self.shared.line_waits() && self.line_has_its_turn()
    }

    #[cold]
    fn line_has_its_turn(&self) -> bool {
        let p = self.p();
        p.take_line_due() || (self.schedtick().is_multiple_of(INJECTOR_EVERY) && p.claim_line_turn())
    }

    /// Gives the P to the first M in line, whose poll waits for it. False: the runtime closes.
    #[cold]
    fn serve_line(&mut self) -> bool {
        let p = self.p.take().expect("the hunt goes on only with a P");
        let mut lists = self.shared.lists();
        if lists.line.is_empty() {
            drop(lists);
            self.p = Some(p);
            return true;
        }
        self.cx.note(Event::GiveP { p: p.id.0, turn: p.turn(), why: Give::Line });
        self.cx.m.unwire(&p);
        let first = lists.release_p(self.shared, p);
        if let Some(spinning) = self.spinning.take() {
            // Under the lock, as in `wake_p`: while somebody is in line, no P is idle.
            let _last = spinning.give_up(&self.shared.census);
        }
        drop(lists);
        if let Some(m) = first {
            m.wake(self.shared);
        }
        self.sleep()
    }

    /// The M has a P again.
    pub(super) fn take_up(&mut self, assignment: Assignment) {
        let Assignment { p, spinning } = assignment;
        self.cx.m.wire(&p);
        self.cx.note(Event::TakeP { p: p.id.0, turn: p.turn() });
        if spinning.is_some() {
            self.cx.note(Event::Seek);
        }
        self.tries = 0;
        self.shared.rouse_deep_sysmon();
        self.shared.pin_always(&self.cx.m, &p);
        self.since = None;
        self.p = Some(p);
        self.spinning = spinning;
    }

    /// The M has none, and sleeps until it is given one. False: the runtime closes.
    fn sleep(&mut self) -> bool {
        match self.shared.stop_m(&self.cx.m) {
            Some(assignment) => {
                self.take_up(assignment);
                true
            }
            None => false,
        }
    }

    /// The P was taken during a poll: the old one if it is idle, else any that is, else none for now.
    /// Go: `exitsyscall`.
    #[cold]
    #[doc(alias = "exitsyscall")]
    fn climb(&mut self, lost: ProcessorId) -> bool {
        self.cx.m.poll_is_over();
        self.cx.m.block_is_over();
        let p = self.shared.lists().take_idle_p_like(self.shared, lost);
        match p {
            Some(p) => {
                self.take_up(Assignment { p, spinning: None });
                true
            }
            None => self.sleep(),
        }
    }

    /// The runtime closes: gives everything up (Q3).
    #[cold]
    fn leave(&mut self) {
        if let Some(spinning) = self.spinning.take() {
            let _last = spinning.give_up(&self.shared.census); // nobody is woken any more
        }
        if let Some(p) = self.p.take() {
            self.cx.note(Event::GiveP { p: p.id.0, turn: p.turn(), why: Give::Closing });
            self.cx.m.unwire(&p);
            self.shared.retire_p(p);
        }
    }

    /// Polls `task` on `p`; the P comes back unless it was taken meanwhile. Go: `execute`.
    #[inline]
    fn execute(&mut self, p: OwnedP, task: Queued, inherits: bool) -> Option<OwnedP> {
        p.count_poll(inherits);
        let cx = self.cx;
        cx.m.forget_asked(); // that poll is over
        let g = task.task();
        cx.begin_task(g);
        cx.m.set_running(g.id().0);
        cx.begin_run(g, &p);
        if let Some(since) = g.sampled() {
            p.tally.count_latency(since);
        }
        let mut after = After::Idle;
        let ((), p) = cx.lend(p, || {
            self.shared.maybe_revoke_me(&cx.m);
            after = task.run(|| {
                cx.end_run(g);
                let yields = cx.has_yielded();
                if !yields {
                    g.waits(cx.reason(), self.shared.coarse_now());
                }
                yields
            });
            if matches!(after, After::Idle) && self.shared.is_closing() && g.state().claim() == Claim::Claimed
            {
                cx.claimed(g);
                after = g.cancel_claimed(); // shutdown.rs, E3: nobody else will
            }
        });
        cx.end_task();
        let Some(p) = p else {
            cx.note_left_without_p(&after);
            self.shared.settle(after);
            return None;
        };
        match after {
            After::Idle => {}
            After::Requeue(task) => self.requeue(&p, task, cx.is_yielding()),
            After::Done(ended) => {
                cx.note_exit(ended);
                p.tally.count_end(ended);
                self.shared.report(ended);
            }
            After::Free(ended, slot) => {
                cx.note_exit(ended);
                p.tally.count_end(ended);
                p.put_slot(slot, &self.shared.slab);
                self.shared.report(ended);
            }
        }
        self.pin_if_settled(&p);
        Some(p)
    }

    /// A task that yielded, or was woken, during its poll goes to the end of a queue: the local one, or the
    /// injector if foreign work waits there, or if its slice was over. Go: `goschedImpl`, which always takes the injector.
    ///
    /// Nobody need be woken for it as for a new task, and no fence is needed: it was runnable before, and
    /// this M goes on. But if help is wanted anyway, this is a moment to call for it.
    #[inline]
    fn requeue(&self, p: &OwnedP, task: Queued, slice_over: bool) {
        if slice_over || self.shared.injector.foreign_work_waits() {
            self.cx.note_requeue(task.task(), Queue::INJECTOR);
            self.shared.injector.push_yielder(task.into_raw());
        } else {
            if !self.cx.has_yielded() {
                self.cx.note_requeue(task.task(), p.queue()); // which says no more of a yield
            }
            p.put_back_yielder(task, &self.shared.injector);
        }
        if self.shared.census.wants_help() && p.queue_len() > 1 {
            self.shared.wake_p();
        }
    }

    /// Rule 10, `Affinity::Pinned`: an M that has kept its P for a whole slice is pinned.
    #[inline]
    fn pin_if_settled(&mut self, p: &OwnedP) {
        if (p.tally.schedtick.get() as u32).is_multiple_of(PIN_CLOCK_EVERY) {
            self.pin_slowly(p);
        }
    }

    #[cold]
    fn pin_slowly(&mut self, p: &OwnedP) {
        let config = &self.shared.config;
        if config.affinity != Affinity::Pinned || self.cx.m.is_pinned() {
            return;
        }
        let cores = crate::sys::affinity::process_mask().cores.len();
        let Some(core) = p.core.filter(|_| config.procs <= cores) else { return };
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PIN_AFTER {
            self.cx.m.pin(core);
        }
    }
}

impl Shared {
    /// Rule 10, `Affinity::Always`: the calling thread, which is the M `m`, has taken `p`.
    pub(super) fn pin_always(&self, m: &Machine, p: &OwnedP) {
        if self.config.affinity == Affinity::Always
            && let Some(core) = p.core
        {
            m.pin(core);
        }
    }

    /// Says what the builder wants said of a panic that no handle will tell.
    #[inline]
    pub(crate) fn report(&self, ended: Ended) {
        if let Ended::PanickedUnseen(..) = ended {
            self.report_panic(ended);
        }
    }

    #[cold]
    fn report_panic(&self, ended: Ended) {
        let Ended::PanickedUnseen(id, site) = ended else { return };
        // A closed stderr is no reason to panic here.
        let mut err = io::stderr().lock();
        let name = name_of_panicked(id.0).map_or(String::new(), |name| format!(" \"{name}\""));
        let _ =
            writeln!(err, "gmprt: {id}{name}, spawned at {site}, panicked, and nobody holds its JoinHandle");
        drop(err);
        if self.config.unhandled_panic == UnhandledPanic::Abort {
            std::process::abort();
        }
    }
}
