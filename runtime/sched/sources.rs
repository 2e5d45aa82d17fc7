//! Where an M looks for a task: its P's queues and timers, the injector, the other Ps.
//!
//! Go counterpart: `findRunnable`, `stealWork`, `timers.check` (`proc.go`, `time.go`).
//!
//! ```text
//!   policy/find.rs asks ─▶ own timers · injector · runnext · ring · injector · others' rings, timers, runnext ─▶ last look
//! ```
//!
//! C1. Nothing here runs a task. Timers' wakers run, with the P lent to them as to a poll: it may be taken meanwhile,
//!     and then the search is over.
//! C2. The last look follows FENCE-PARK, after the P was listed idle and the spinning given up (idle.rs, N3).
//! C3. An M that runs a foreign waker does not spin: it gives that up before, and looks once more, as one that parks.
//!
//! Absent: the order, which is `policy/find.rs`.

use super::bedtime::{ALL_TIMERS, INJECTOR_FIRST, LEFT_SEAT};
use super::ids::ProcessorId;
use super::machine::Assignment;
use super::processor::OwnedP;
use super::schedule::Hunt;
use crate::cell::Queued;
use crate::cell::waker::{task_of, wake_quietly};
use crate::policy::find::{Released, Sources};
use crate::policy::tuning::{INJECTOR_BATCH, TIMER_BATCH, YIELDER_BATCH};
use crate::queue::ring::RING_SLOTS;
use crate::sys::clock::{self, NEVER};
use crate::sys::ticks;
use crate::timers::Left;
use crate::trace::record::{Event, Give};

impl Sources for Hunt<'_> {
    type Task = Queued;

    #[inline(always)]
    fn run_due_timers(&mut self) -> Result<Option<Queued>, Released> {
        if self.p().notice.is_up() { self.attend() } else { Ok(None) }
    }

    #[inline(always)]
    fn schedtick(&self) -> u32 {
        self.p().tally.schedtick.get() as u32
    }

    fn injector_one(&mut self) -> Option<Queued> {
        let injector = &self.shared.injector;
        let waiting = injector.len();
        if waiting == 0 {
            return None;
        }
        if waiting * self.shared.procs.len() <= RING_SLOTS || injector.foreign_work_waits() {
            return self.taking(|p| p.take_injected(injector));
        }
        // Many, and yielders alone: the rings are full of such as well. One at a time would leave these here while those have
        // turn after turn. (With one P many is more than a ring holds: up to there the order is Go's.)
        let n = self.share(waiting).min(YIELDER_BATCH).min(self.room()).max(1);
        self.taking(|p| p.take_yielders(n, injector))
    }

    #[inline(always)]
    fn chain_is_over(&mut self) -> bool {
        self.p().chain_is_over()
    }

    #[cold]
    fn end_chain(&mut self) {
        let p = self.p();
        let injector = &self.shared.injector;
        p.end_chain(injector);
        // No more than there is room for: what a full ring spills are those that have waited longest in it.
        let n = self.share(injector.len()).min(self.room());
        if let Some(task) = self.taking(|p| p.take_injected_batch(n, injector)) {
            p.put_back(task, injector);
        }
    }

    #[inline(always)]
    fn runnext(&mut self) -> Option<Queued> {
        self.p().take_next()
    }

    #[inline(always)]
    fn ring(&mut self) -> Option<Queued> {
        self.p().take_oldest()
    }

    #[inline]
    fn injector_batch(&mut self) -> Option<Queued> {
        let waiting = self.shared.injector.len();
        if waiting == 0 {
            return None;
        }
        self.taking(|p| p.take_injected_batch(self.share(waiting), &self.shared.injector))
    }

    #[inline(always)]
    fn poller(&mut self) -> Option<Queued> {
        None // the parking poller has no I/O
    }

    fn try_spin(&mut self) -> bool {
        if self.spinning.is_none() {
            self.spinning = self.shared.census.try_spin(self.shared.procs.len() as u64);
            if self.spinning.is_some() {
                self.cx.note(Event::Seek);
                self.tries = 0;
            }
        }
        self.spinning.is_some()
    }

    #[doc(alias = "stealWork")]
    fn steal(&mut self, last_round: bool) -> Result<Option<Queued>, Released> {
        let walk = self.shared.victims.walk(self.p().random());
        for at in walk {
            let victim = &self.shared.procs[at];
            if victim.id == self.p().id {
                continue;
            }
            if last_round && victim.timers.earliest() != NEVER {
                self.fire_timers_of(at)?;
                if let task @ Some(_) = self.p().take_next().or_else(|| self.p().take_oldest()) {
                    return Ok(task); // one that a timer readied
                }
            }
            let begun = if self.cx.traces() { ticks::now() } else { 0 };
            if let Some((task, taken)) = self.p().steal_from(victim, last_round) {
                self.note_steal(victim.id, taken, begun);
                return Ok(Some(task));
            }
            self.tries = self.tries.saturating_add(1);
            self.p().tally.steal_tries.add(1);
        }
        Ok(None)
    }

    fn last_look(&mut self) -> Result<Option<Queued>, Released> {
        let closing = self.shared.is_closing();
        let p = self.p.take().expect("the hunt goes on only with a P");
        let in_line = {
            let mut lists = self.shared.lists();
            if self.shared.injector.len() > 0 && !closing {
                drop(lists);
                self.p = Some(p);
                return Ok(self.injector_batch());
            }
            let why = if closing { Give::Closing } else { Give::Idle };
            self.cx.note(Event::GiveP { p: p.id.0, turn: p.turn(), why });
            self.cx.m.unwire(&p);
            if closing {
                drop(lists);
                self.shared.retire_p(p);
                None
            } else {
                lists.release_p(self.shared, p)
            }
        };
        if let Some(m) = in_line {
            m.wake(self.shared);
        }
        if let Some(spinning) = self.spinning.take() {
            let _last = spinning.give_up(&self.shared.census); // the look below is taken in any case
        }
        let more = self.shared.last_look(true);
        if self.shared.is_closing() || !more {
            return Err(Released);
        }
        let Some(p) = self.shared.lists().take_idle_p(self.shared) else { return Err(Released) };
        let spinning = Some(self.shared.census.spin_again());
        self.take_up(Assignment { p, spinning });
        Ok(None)
    }
}

impl Hunt<'_> {
    /// Takes tasks from the injector, and tells the trace how many.
    #[inline]
    fn taking(&self, take: impl FnOnce(&OwnedP) -> Option<Queued>) -> Option<Queued> {
        let p = self.p();
        let before = p.tally.injector_takes.get();
        let task = take(p);
        if task.is_some() {
            let n = p.tally.injector_takes.get().wrapping_sub(before);
            self.cx.note(Event::TakeInjected { p: p.id.0, n: n as u16 });
        }
        task
    }

    fn note_steal(&self, victim: ProcessorId, taken: u64, begun: u64) {
        if self.cx.traces() {
            let took = ticks::now().saturating_sub(begun).try_into().unwrap_or(u32::MAX);
            let (n, tries) = (taken as u8, self.tries);
            self.cx.record(Event::Steal { victim: victim.0, n, tries, took }, None);
        }
    }

    /// A fair share of what waits in the injector. Go: `globrunqgetbatch`.
    fn share(&self, waiting: usize) -> usize {
        (waiting / self.shared.procs.len() + 1).min(waiting).min(INJECTOR_BATCH)
    }

    /// How many tasks the ring takes from the injector. The last slots are left for those that run at once and yield: a batch
    /// at the tail of a ring that fills up before the batch comes to its head would be spilled again without a turn, and for
    /// some numbers of tasks again and again.
    fn room(&self) -> usize {
        (RING_SLOTS - YIELDER_BATCH).saturating_sub(self.p().queue_len())
    }

    /// Fires the due timers of the P numbered `whose`, the own or another, on the own. Go: `timers.check`.
    ///
    /// The wakers may be anybody's: the P is lent to them as to a poll. `Err`: it was taken meanwhile.
    fn fire_timers_of(&mut self, whose: usize) -> Result<(), Released> {
        let timers = &self.shared.procs[whose].timers;
        let now = clock::now();
        if !timers.is_due(now) {
            return Ok(());
        }
        let own = whose == self.p().id.index();
        loop {
            let left = if own {
                timers.take_due(now, TIMER_BATCH, &mut self.due)
            } else {
                // Whoever has the lock fires them.
                let Some(left) = timers.try_take_due(now, TIMER_BATCH, &mut self.due) else { return Ok(()) };
                left
            };
            self.wake_due(own)?;
            if left == Left::Nothing {
                return Ok(());
            }
        }
    }

    /// Fires the own timers, and does what sysmon asks for.
    #[inline(never)]
    fn attend(&mut self) -> Result<Option<Queued>, Released> {
        let notice = self.p().notice.take();
        if notice & ALL_TIMERS != 0 {
            for at in 0..self.shared.procs.len() {
                self.fire_timers_of(at)?;
            }
        } else {
            self.fire_timers_of(self.p().id.index())?;
        }
        if notice & LEFT_SEAT != 0 {
            self.shared.tell(false);
        }
        let p = self.p();
        let earliest = p.timers.earliest();
        if earliest == NEVER {
            p.notice.heap_is_empty(|| p.timers.earliest() != NEVER);
        }
        let first = notice & INJECTOR_FIRST != 0;
        Ok(if first { self.injector_one() } else { None })
    }

    fn wake_due(&mut self, own: bool) -> Result<(), Released> {
        let fired = self.due.len() as u64;
        if fired == 0 {
            return Ok(());
        }
        let p = self.p.take().expect("the hunt goes on only with a P");
        p.tally.timers.add(fired);
        if !own {
            p.tally.timers_stolen.add(fired);
        }
        // A task's waker is ours and soon over. A foreign one may take its time, and then this M must not count as
        // one that looks for work, on which submitters rely (C3).
        let foreign = self.due.iter().any(|waker| task_of(waker).is_none());
        if foreign && self.spinning.is_some() {
            self.leave_the_search();
        }
        self.cx.m.forget_asked(); // what was asked of the last poll
        self.cx.set_brief(!foreign);
        self.cx.m.set_running(0); // lent, and not to a task
        self.cx.note(Event::TimersBegin);
        let due = &mut self.due;
        let ((), p) = self.cx.lend(p, || due.drain(..).for_each(wake_quietly));
        self.cx.set_brief(false);
        self.cx.note(Event::TimersEnd { n: fired as u32 });
        self.p = p;
        if self.p.is_some() {
            return Ok(());
        }
        self.cx.m.poll_is_over();
        self.leave_the_search(); // whoever has the P now looks in its stead
        Err(Released)
    }

    /// Gives the spinning up, if any, and sees to it that somebody else looks for what there is (C2).
    fn leave_the_search(&mut self) {
        if let Some(spinning) = self.spinning.take() {
            let _last = spinning.give_up(&self.shared.census); // the look below is taken in any case
        }
        if self.shared.last_look(false) {
            self.shared.wake_p();
        }
    }
}
