//! What the scheduler tells the trace, and how: an M by its own ring, all others by the one they share.
//!
//! Go counterpart: `traceAcquire` and the calls of `traceLocker` (`traceruntime.go`).
//!
//! ```text
//!   execute: RunBegin ─ poll ─ RunEnd ─ (state word) ─ Requeue | Exit
//!   ready:   Spawn, Wake before the task is queued       hunt: Seek, Steal, TakeInjected, TimersBegin ─ TimersEnd
//!   hands:   TakeP … GiveP (by the M), Retake (by sysmon)  sleep: Park ─ Unpark      block: BlockBegin ─ BlockEnd
//! ```
//!
//! U1. With no recording on, each of these is one relaxed load and a branch. Besides, an M says which task it polls, and a poll
//!     what it waits for, whether anything is recorded or not: two stores.
//! U2. Nothing of a task is looked at after the state word has let go of it: what `Exit` needs is read before the poll.
//!
//! Absent: what any of it looks like (`trace/timeline.rs`).

use super::Shared;
use super::current::{self, Context};
use super::processor::Processor;
use crate::cell::{After, Ended, TaskId, TaskRef};
use crate::names::all_names;
use crate::sys::membarrier;
use crate::trace::record::{End, Event, Fate, Queue, address_of};
use crate::trace::recorder::{Plan, Session};
use crate::trace::recording::{LiveTask, Moment, Opening, Standing};
use std::ptr;
use std::sync::Arc;

/// A run that is being recorded: what is told of it when the task may be gone (U2).
#[derive(Clone, Copy, Default)]
pub(super) struct Run {
    /// The number of the recording.
    session: u32,
    /// The number of the transition that ends it.
    seq: u8,
    g: u64,
    site: usize,
}

impl Context {
    /// Whether anything is recorded.
    #[inline(always)]
    pub(crate) fn traces(&self) -> bool {
        self.shared.recorder.is_on()
    }

    /// Records `event`, if anything is recorded.
    #[inline(always)]
    pub(crate) fn note(&self, event: Event) {
        if self.traces() {
            self.record(event, None);
        }
    }

    /// Records `event`, and an event without a stamp that belongs to it.
    #[inline(always)]
    pub(crate) fn record(&self, event: Event, then: Option<Event>) {
        let who = (self.m.id.as_u32(), !self.is_m);
        self.tap.write(&self.shared.recorder, who, event.pack(), then.map(Event::pack));
    }

    /// A task that was created here is about to be queued.
    #[inline(always)]
    pub(super) fn note_spawn(&self, task: TaskRef, to: Queue) {
        if self.traces() {
            self.record_spawn(task, to);
        }
    }

    #[cold]
    #[inline(never)]
    fn record_spawn(&self, task: TaskRef, to: Queue) {
        let (event, then) = spawned(task, to);
        self.record(event, Some(then));
    }

    /// A task that waited is about to be queued.
    #[inline(always)]
    pub(super) fn note_wake(&self, task: TaskRef, to: Queue) {
        if self.traces() {
            self.record_wake(task, to);
        }
    }

    #[cold]
    #[inline(never)]
    fn record_wake(&self, task: TaskRef, to: Queue) {
        self.record(Event::Wake { g: task.id().0, seq: task.next_seq(), to }, None);
    }

    /// A poll begins.
    #[inline(always)]
    pub(super) fn begin_run(&self, task: TaskRef, p: &Processor) {
        if self.traces() {
            self.record_run(task, p);
        }
    }

    #[cold]
    #[inline(never)]
    fn record_run(&self, task: TaskRef, p: &Processor) {
        let (g, seq) = (task.id().0, task.next_seq());
        self.record(Event::RunBegin { g, seq, p: p.id.0 }, None);
        let seq = task.next_seq(); // the end's, while the task is ours
        self.run.set(Run {
            session: self.shared.recorder.number(),
            seq,
            g,
            site: address_of(task.spawned_at()),
        });
    }

    /// What was recorded of the poll in progress, or the one that just ended; `None`: the recording began during it.
    fn recorded_run(&self) -> Option<Run> {
        let run = self.run.get();
        (run.session == self.shared.recorder.number() && run.g == self.m.running()).then_some(run)
    }

    /// The poll in progress returned `Pending`; the task is still RUNNING.
    #[inline(always)]
    pub(super) fn end_run(&self, task: TaskRef) {
        if self.traces() {
            self.record_end(task);
        }
    }

    #[cold]
    #[inline(never)]
    fn record_end(&self, task: TaskRef) {
        let (g, seq) = match self.recorded_run() {
            Some(run) => {
                self.run.set(Run { seq: run.seq.wrapping_add(1), ..run }); // should it come to an end as well
                (run.g, run.seq)
            }
            None => (task.id().0, task.next_seq()),
        };
        self.record(Event::RunEnd { g, seq, why: self.why_pending() }, None);
    }

    /// The task of that run went IDLE, and was claimed by the shutdown: in between another M may have run it.
    #[cold]
    pub(super) fn claimed(&self, task: TaskRef) {
        self.run.set(Run { seq: task.next_seq(), ..self.run.get() });
    }

    /// Why the poll that is over returned `Pending`.
    fn why_pending(&self) -> End {
        match (self.has_yielded(), self.is_yielding()) {
            (true, true) => End::Preempt,
            (true, false) => End::Yield,
            _ => End::Block(self.reason()),
        }
    }

    /// A caller of `block_on` polls its future, on this P if it has one.
    pub(super) fn note_caller_begins(&self, p: Option<&Processor>) {
        let p = p.map_or(u16::MAX, |p| p.id.0);
        self.note(Event::RunBegin { g: 0, seq: 0, p });
    }

    /// That poll is over; `fate`: so is the future.
    pub(super) fn note_caller_ends(&self, fate: Option<Fate>) {
        self.note(match fate {
            None => Event::RunEnd { g: 0, seq: 0, why: End::Block(self.reason()) },
            Some(fate) => Event::Exit { g: 0, seq: 0, fate },
        });
    }

    /// The task is complete, and its slot not yet given back.
    #[inline(always)]
    pub(super) fn note_exit(&self, ended: Ended) {
        if self.traces() {
            self.record_exit(fate(ended));
        }
    }

    #[cold]
    #[inline(never)]
    fn record_exit(&self, fate: Fate) {
        match self.recorded_run() {
            Some(run) => {
                let exit = Event::Exit { g: run.g, seq: run.seq, fate };
                self.record(exit, Some(Event::Site { at: run.site }));
            }
            // No record of the task was made before, and its number is free (U2).
            None => self.record(Event::Exit { g: self.m.running(), seq: 0, fate }, None),
        }
    }

    /// What a run has left behind whose P is gone, before anything is done with it: a task that is to run again goes to the
    /// injector.
    #[cold]
    pub(super) fn note_left_without_p(&self, after: &After) {
        match after {
            After::Idle => {}
            After::Requeue(task) => self.note_requeue(task.task(), Queue::INJECTOR),
            After::Done(ended) | After::Free(ended, _) => self.note_exit(*ended),
        }
    }

    /// A task whose poll is over is about to be queued again.
    #[inline(always)]
    pub(super) fn note_requeue(&self, task: TaskRef, to: Queue) {
        if self.traces() {
            self.record_requeue(task, to);
        }
    }

    #[cold]
    #[inline(never)]
    fn record_requeue(&self, task: TaskRef, to: Queue) {
        // Where a yield leads is known.
        let known = match (self.has_yielded(), self.is_yielding()) {
            (true, true) => to == Queue::INJECTOR,
            (true, false) => to != Queue::INJECTOR,
            _ => false,
        };
        if !known {
            self.record(Event::Requeue { g: task.id().0, seq: task.next_seq(), to }, None);
        }
    }
}

fn fate(ended: Ended) -> Fate {
    match ended {
        Ended::Finished => Fate::Finished,
        Ended::Cancelled => Fate::Cancelled,
        Ended::Panicked | Ended::PanickedUnseen(..) => Fate::Panicked,
    }
}

fn spawned(task: TaskRef, to: Queue) -> (Event, Event) {
    task.reset_seq();
    let site = address_of(task.spawned_at());
    (Event::Spawn { g: task.id().0, to }, Event::Site { at: site })
}

/// A running task was woken; the trace hears of it if the waker's thread is one of a runtime's that is being recorded.
pub(super) fn note_mark(g: TaskId) {
    current::with(|cx| cx.note(Event::Mark { g: g.0 }));
}

/// Records `event`, if the calling thread is in a runtime that is being recorded.
pub(super) fn note_here(event: Event) {
    current::with(|cx| cx.note(event));
}

impl Shared {
    /// Records `event`, from any thread.
    pub(super) fn note(&self, event: Event) {
        self.note_both(event, None);
    }

    /// Records `event`, and one that belongs to it, from any thread.
    pub(super) fn note_both(&self, event: Event, then: Option<Event>) {
        if self.recorder.is_on() {
            let here = current::with(|cx| {
                let ours = ptr::eq(Arc::as_ptr(&cx.shared), self);
                if ours {
                    cx.record(event, then);
                }
                ours
            });
            if here != Some(true) {
                self.recorder.note(event, then);
            }
        }
    }

    /// A task was created on a thread without a P, and is about to go to the injector.
    pub(super) fn note_foreign_spawn(&self, task: TaskRef) {
        if self.recorder.is_on() {
            let (event, then) = spawned(task, Queue::INJECTOR);
            self.note_both(event, Some(then));
        }
    }

    /// A task is woken by a thread without a P, and is about to go to the injector.
    pub(super) fn note_foreign_wake(&self, task: TaskRef) {
        if self.recorder.is_on() {
            self.note(Event::Wake { g: task.id().0, seq: task.next_seq(), to: Queue::INJECTOR });
        }
    }

    /// A task that will not be run any more is about to be cancelled.
    pub(super) fn note_cancel(&self, task: TaskRef) {
        if self.recorder.is_on() {
            let site = address_of(task.spawned_at());
            let exit = Event::Exit { g: task.id().0, seq: task.next_seq(), fate: Fate::Cancelled };
            self.note_both(exit, Some(Event::Site { at: site }));
        }
    }

    /// Starts a recording, and says how things stand. `origin`: from when on its times count; from now on if there is none.
    /// `None`: there is a recording already.
    pub(crate) fn start_recording(
        &self,
        plan: Plan,
        origin: Option<Moment>,
    ) -> Option<(Arc<Session>, Opening)> {
        let begun = Moment::now();
        let session = self.recorder.start(plan)?;
        membarrier::heavy(); // from here on every M sees that it is to record
        // What is looked at now is told with all that happens from here on: what has no record has not changed.
        let from = Moment::now();
        for p in &self.procs {
            let turn = p.turn();
            let Some(m) = self.machine(p.holder()) else { continue };
            let g = if m.lease.is_outside() { m.running() } else { 0 };
            if p.turn() == turn && p.holder() == m.id.as_u32() {
                let m = m.id.as_u32();
                self.recorder.note(Event::Holds { p: p.id.0, m }, Some(Event::Turn { turn, g }));
            }
        }
        session.add_names(all_names());
        let opening = Opening {
            procs: self.procs.len(),
            origin: origin.unwrap_or(begun),
            from,
            tasks: self.live_tasks(),
        };
        session.set_opening(opening.clone());
        Some((session, opening))
    }

    /// The tasks that are alive.
    pub(crate) fn live_tasks(&self) -> Vec<LiveTask> {
        let mut tasks = Vec::new();
        self.slab.for_each_slot(|header| {
            if let Some(task) = TaskRef::from_header(header).peek() {
                let standing = match task.standing {
                    crate::cell::state::Standing::Queued => Standing::Queued,
                    crate::cell::state::Standing::Running => Standing::Running,
                    crate::cell::state::Standing::Waiting => Standing::Waiting(task.reason),
                };
                tasks.push(LiveTask { g: task.id.0, site: task.site, standing });
            }
        });
        tasks
    }
}
