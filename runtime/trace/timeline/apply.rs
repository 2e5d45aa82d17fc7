//! What each record does to the story.
//!
//! Go counterpart: `internal/trace/order.go: Advance`.
//!
//! Length: one function for each kind of record, and what they share; apart they would each need the whole state.
//!
//! Absent: the order of the records (`merge.rs`), and how things are written (`chrome.rs`).

use super::super::chrome::{By, Id, Nothing, Place, Us, Writer};
use super::super::merge::Item;
use super::super::record::{End, Event, Fate, Give, Queue, Record, Taken};
use super::opening::doing;
use super::processor::{Left, Run, RunArgs, What};
use super::tasks::{Source, State, Woke};
use super::thread::{Class, Doing};
use super::threads::Ended;
use super::{Now, Timeline};
use crate::reason::Reason;
use serde::Serialize;

/// A P that was given up with work to do is between two Ms for less than this, if nothing is known of its queue.
const HAND_OFF_NS: u64 = 1_000_000;

/// Records whose stamps are equal are set 1 ns apart; so many of them that this is reached are no tie.
const TIES_NS: u64 = 64;

/// What is moved for no more than a slice's least length is not clamped.
const SHORT_NS: u64 = 2;

#[derive(Serialize)]
struct StealArgs {
    victim: Id,
    n: u8,
    tries: u8,
}

#[derive(Serialize)]
struct StolenArgs {
    thief: Id,
    n: u8,
}

#[derive(Serialize)]
struct HandOffArgs {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Id>,
    why: &'static str,
}

#[derive(Serialize)]
struct RetakeArgs {
    #[serde(skip_serializing_if = "Option::is_none")]
    m: Option<u32>,
    why: &'static str,
}

#[derive(Serialize)]
struct MArgs {
    m: u32,
}

#[derive(Serialize)]
struct GArgs {
    g: u64,
}

#[derive(Serialize)]
struct CountArgs {
    n: u16,
}

#[derive(Serialize)]
struct FiredArgs {
    fired: u32,
}

impl Timeline {
    /// Notes the spawn sites that stand at the ends of tasks: their runs come before.
    pub(super) fn foresee(&mut self, records: &[Record]) {
        for pair in records.windows(2) {
            if let (Event::Exit { g, .. }, Event::Site { at }) = (pair[0].event, pair[1].event)
                && self.tasks.find(g).is_none()
            {
                self.tasks.site_at(g, at);
            }
        }
    }

    /// The thread ran this when the trace began.
    pub(super) fn ran_before(&mut self, now: Now, g: u64, seq: u8) {
        let m = self.threads.all[now.r].m;
        let kind = if g == 0 {
            0
        } else {
            let task = self.tasks.meet(g, self.from);
            if !self.tasks.get(task).seen {
                self.tasks.assume(task, State::Running { p: None, m: None });
            }
            self.tasks.get(task).kind
        };
        let woke = Woke::Start;
        let run = Run { g, kind, seq, m, wait: 0, woke, by: None, flow: None, steal: None, resumed: false };
        self.threads.all[now.r].run = Some(run);
    }

    /// What the record says, at its time.
    pub(super) fn apply(&mut self, item: Item, out: &mut Writer<'_>) {
        self.records += 1 + u64::from(item.more.is_some());
        let r = self.threads.of_ring(item.ring, None);
        let raw = self.clock.at(item.ticks);
        let thread = &self.threads.all[r];
        // What was taken from another thread is told in that one's time.
        let own = if matches!(item.event, Event::Retake { .. }) { raw } else { raw.max(thread.last + 1) };
        let t = own.max(self.floor(r, &item));
        let close = t <= raw + SHORT_NS;
        let tied = close || thread.tied && t == own && t - raw < TIES_NS;
        self.clamped += u64::from(!tied);
        self.threads.all[r].tied = tied;
        self.latest = self.latest.max(t);
        self.task_counter.pass(t, out);
        self.queue_counter.pass(t, out);
        self.thread_counter.pass(t, out);
        let now = Now { r, t, show: true };
        if item.gap && self.threads.all[r].last > self.from {
            self.lost(now, out);
        }
        self.threads.all[r].last = t.max(self.threads.all[r].last);
        if !matches!(item.event, Event::Requeue { .. } | Event::Exit { .. }) {
            self.write_ended(r, out);
            self.threads.all[r].yielded = None;
        }
        let counts = self.tasks.counts;
        self.record(now, item, out);
        if self.tasks.counts != counts {
            self.recount(t);
        }
        self.classify(now);
    }

    /// The earliest that the event may be shown at (W1).
    fn floor(&self, r: usize, item: &Item) -> u64 {
        let task = |g: u64| self.tasks.find(g).map(|task| self.tasks.get(task));
        let end = |p: Option<u16>| p.and_then(|p| self.ps.get(usize::from(p))).map_or(0, |p| p.end);
        let next = |g: u64| task(g).map_or(0, |task| task.last + 1); // a state lasts for 1 ns
        let thread = &self.threads.all[r];
        // What is open on the thread's P may not end before this.
        let open = |p: Option<u16>| {
            let p = p.and_then(|p| self.ps.get(usize::from(p)));
            p.and_then(|p| p.open).map_or(0, |open| open.least)
        };
        // The thread may not lose its P before this.
        let lose = |r: usize| {
            let thread = &self.threads.all[r];
            let run = thread.run.filter(|run| run.g != 0).map_or(0, |run| next(run.g));
            let track = self.threads.tracks[thread.track].least();
            thread.p.map_or(0, |p| track.max(run).max(open(Some(p))).max(end(Some(p))))
        };
        match item.event {
            Event::Wake { g, .. } => {
                // Its arrow leaves the slice after its beginning.
                let begun =
                    thread.p.and_then(|p| self.ps[usize::from(p)].open).map_or(0, |open| open.start + 1);
                next(g).max(begun)
            }
            Event::Spawn { .. } | Event::Mark { .. } => {
                thread.p.and_then(|p| self.ps[usize::from(p)].open).map_or(0, |open| open.start + 1)
            }
            Event::Exit { g, .. } if thread.run.is_some_and(|run| run.g != g) => next(g),
            Event::RunEnd { g, .. } | Event::Exit { g, .. } => next(g).max(open(thread.p)),
            Event::Requeue { g, .. } => task(g).map_or(0, |task| task.last),
            Event::RunBegin { g, p, .. } => {
                let ready = next(g).max(task(g).and_then(|task| task.flow).map_or(0, |flow| flow.ts + 1));
                ready.max(open(Some(p))).max(end(Some(p)))
            }
            Event::TakeP { p, .. } => {
                let it = self.ps.get(usize::from(p));
                let holder = it.and_then(|p| p.holder).map_or(0, lose);
                let run = thread.run.filter(|run| run.g != 0).map_or(0, |run| next(run.g));
                let track = self.threads.tracks[thread.track].least();
                let own = thread.p.map_or(0, |_| lose(r) + 1); // it has been without one
                end(Some(p)).max(holder).max(own).max(run).max(track)
            }
            Event::GiveP { .. } | Event::MachineStop { .. } | Event::MachineStart { .. } => lose(r),
            Event::Retake { p, .. } => self.ps.get(usize::from(p)).and_then(|p| p.holder).map_or(0, lose),
            Event::Steal { .. } => open(thread.p).max(end(thread.p)) + 2,
            Event::Park(_) => lose(r),
            Event::Seek | Event::TimersBegin | Event::TimersEnd { .. } => open(thread.p).max(end(thread.p)),
            _ => 0,
        }
    }

    fn record(&mut self, now: Now, item: Item, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        match item.event {
            Event::MachineStart { m, caller } => {
                self.stop(now, out);
                self.threads.become_m(r, m, caller, out);
                self.mark_thread(now, "start", out);
            }
            Event::MachineStop { .. } => {
                self.mark_thread(now, "stop", out);
                self.stop(now, out);
            }
            Event::TakeP { p, turn } => self.take_p(now, p, Some(turn), out),
            Event::GiveP { p, turn, why } => self.give_p(now, p, turn, why, out),
            Event::Park(bed) => {
                self.close_search(now, None, out);
                self.release(now, r, None, out); // who took its P says so after the end
                self.threads.track(r).turn_to(t, Some(doing(bed)), show, out);
            }
            Event::Unpark => self.threads.track(r).turn_to(t, None, show, out),
            Event::BlockBegin => {
                self.threads.all[r].blocked = true;
                self.of_task(r);
                self.threads.track(r).turn_to(t, Some(Doing::Blocked), show, out);
            }
            Event::BlockEnd => {
                self.threads.all[r].blocked = false;
                self.threads.track(r).turn_to(t, None, show, out);
            }
            Event::Seek => {
                self.close_search(now, None, out);
                self.open_on_p(now, What::Spin);
            }
            Event::Steal { victim, n, tries, took } => self.steal(now, victim, n, tries, took, out),
            Event::TakeInjected { p, n } => self.move_queued(now, None, Some(p), n, "injector", out),
            Event::Overflow { p, n } => self.move_queued(now, Some(p), None, n, "overflow", out),
            Event::Plunder { p, n } => self.move_queued(now, Some(p), None, n, "plunder", out),
            Event::TimersBegin => {
                let spun = self.close_search(now, None, out);
                self.threads.all[r].timers = true;
                self.threads.all[r].respin = spun;
                self.open_on_p(now, What::Timers);
            }
            Event::TimersEnd { n } => {
                self.close_search(now, Some(n), out);
                let thread = &mut self.threads.all[r];
                thread.timers = false;
                if std::mem::take(&mut thread.respin) {
                    self.open_on_p(now, What::Spin);
                }
            }
            Event::Spawn { g, to } => self.spawn(now, g, to, item.more, out),
            Event::Wake { g, to, .. } => {
                if !item.stale && g != 0 {
                    self.wake(now, g, to, out);
                }
            }
            Event::Mark { g } => {
                let (by, source) = self.waker(now, "wake");
                if let Some(task) = self.tasks.find(g) {
                    self.tasks.get_mut(task).mark = Some((t, by, source));
                }
            }
            Event::RunBegin { g, seq, p } => self.run_begin(now, g, seq, p, out),
            Event::RunEnd { g, seq, why } => self.run_end(now, g, seq, why, out),
            Event::Requeue { g, to, .. } => {
                if !item.stale && g != 0 {
                    self.requeue(now, g, to);
                }
                self.write_ended(r, out);
                self.threads.all[r].yielded = None;
            }
            Event::Exit { g, seq, fate } => {
                self.exit(now, g, seq, fate, item.more, out);
                if self.threads.all[r].yielded.is_none_or(|yielded| yielded.0 == g) {
                    self.write_ended(r, out);
                    self.threads.all[r].yielded = None;
                }
            }
            Event::Retake { p, turn, why } => {
                let m = match item.more {
                    Some(Event::RetakeFrom { m }) => Some(m),
                    _ => None,
                };
                self.retake(now, p, turn, why, m, out);
            }
            Event::AskYield { m } => {
                let p = self.threads.of_m(m).and_then(|thread| self.threads.all[thread].p);
                if let Some(p) = p.filter(|_| show) {
                    out.instant(Place::p(p), "preempt", "preempt", t, MArgs { m });
                }
            }
            // Statements are heard at the beginning, those without a stamp come with the record that they belong to.
            Event::Holds { .. } | Event::Site { .. } | Event::RetakeFrom { .. } | Event::Turn { .. } => {}
        }
    }

    // Who holds what.

    /// The thread holds the P since `now`; whoever held it has lost it.
    pub(super) fn hold(
        &mut self,
        now: Now,
        p: u16,
        turn: Option<u16>,
        flow: Option<(Place, u64)>,
        out: &mut Writer<'_>,
    ) {
        let Now { r, t, show } = now;
        let m = self.threads.all[r].m;
        let it = &mut self.ps[usize::from(p)];
        it.holder = Some(r);
        it.unknown = false;
        it.turn = turn;
        it.left = None;
        it.steal = None;
        self.threads.all[r].p = Some(p);
        self.threads.track(r).hold(t, p, turn, flow, show, out);
        // Its poll goes on.
        let mut run = self.threads.all[r].run;
        if let Some(run) = &mut run {
            self.ps[usize::from(p)].open(t, What::Run(*run));
            if let Some(task) = self.tasks.find(run.g).filter(|_| run.g != 0) {
                let since = t.max(self.tasks.get(task).last);
                self.tasks.become_(task, State::Running { p: Some(p), m }, since, show, out);
            }
        }
    }

    fn take_p(&mut self, now: Now, p: u16, turn: Option<u16>, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        if usize::from(p) >= self.ps.len() {
            return;
        }
        // Who took it has not said so yet, and the trace may end before: it was without one nevertheless.
        self.release(Now { t: t.saturating_sub(1), ..now }, r, None, out);
        if let Some(holder) = self.ps[usize::from(p)].holder {
            self.release(now, holder, None, out);
        }
        let thread = &self.threads.all[r];
        let (m, caller, blocked) = (thread.m, thread.caller, thread.blocked);
        let it = &mut self.ps[usize::from(p)];
        let left = it.left.take();
        let mut flow = None;
        if show {
            let gap = t.saturating_sub(it.end);
            let handed = left.filter(|left| {
                left.why.is_some()
                    && !caller
                    && (left.m.is_none() || left.m != m)
                    && (gap <= HAND_OFF_NS || left.work)
            });
            flow = handed.and_then(|left| left.flow).filter(|flow| flow.1 < t);
            if gap > 0 {
                let span = it.whole(it.end, t, 1);
                match handed {
                    Some(Left { m, why: Some(why), .. }) => {
                        let args = HandOffArgs { from: m.map(|m| Id('M', u64::from(m))), why };
                        out.slice(it.at, "sched", "hand-off", span, args);
                    }
                    _ => out.slice(it.at, "sched", "idle", span, Nothing {}),
                }
            }
        }
        if !blocked {
            self.threads.track(r).turn_to(t, None, show, out);
        }
        self.hold(now, p, turn, flow, out);
    }

    /// Thread `r` has no P from now on. `why`: the P was given up, or taken, with work to do.
    fn release(&mut self, now: Now, r: usize, why: Option<&'static str>, out: &mut Writer<'_>) {
        let Now { t, show, .. } = now;
        let Some(p) = self.threads.all[r].p.take() else { return };
        let thread = &self.threads.all[r];
        let (m, run) = (thread.m, thread.run);
        let turn = self.ps[usize::from(p)].turn;
        self.close_on_p(p, t, show, "retake", out);
        if let Some(run) = run {
            if let Some(task) = self.tasks.find(run.g).filter(|_| run.g != 0) {
                let since = t.max(self.tasks.get(task).last);
                self.tasks.become_(task, State::Running { p: None, m }, since, show, out);
            }
            let run =
                Run { wait: 0, woke: Woke::Own, by: None, flow: None, steal: None, resumed: true, ..run };
            self.threads.all[r].run = Some(run);
        }
        let flow = self.threads.track(r).lose(t, turn, show, out);
        let over = self.threads.track(r).end();
        let it = &mut self.ps[usize::from(p)];
        it.holder = None;
        it.steal = None;
        it.left = Some(Left { m, why, flow, work: it.queue > 0 });
        if show {
            it.end = it.end.max(t).max(over);
        }
        self.reclassify(r, t);
    }

    fn give_p(&mut self, now: Now, p: u16, turn: u16, why: Give, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        let Some(it) = self.ps.get_mut(usize::from(p)) else { return };
        if self.threads.all[r].p != Some(p) {
            return;
        }
        it.turn = it.turn.or(Some(turn));
        let handed = match why {
            Give::Idle | Give::Caller | Give::Closing => None,
            Give::Declared => Some("declared"),
            Give::Hog => Some("hog"),
            Give::Line => Some("line"),
        };
        self.release(now, r, handed, out);
        let thread = &self.threads.all[r];
        if why == Give::Hog && thread.run.is_some() && !thread.blocked {
            self.of_task(r);
            self.threads.track(r).turn_to(t, Some(Doing::ComputingRetaken), show, out);
        }
    }

    /// What the thread is about to do it does for the task that it runs.
    pub(super) fn of_task(&mut self, r: usize) {
        let g = self.threads.all[r].run.map(|run| run.g).filter(|&g| g != 0);
        self.threads.track(r).g = g;
    }

    fn retake(&mut self, now: Now, p: u16, turn: u16, why: Taken, m: Option<u32>, out: &mut Writer<'_>) {
        let Now { t, show, .. } = now;
        let Some(it) = self.ps.get(usize::from(p)) else { return };
        let why_text = match why {
            Taken::Declared => "declared",
            Taken::Blocked => "blocked",
            Taken::Hog => "hog",
        };
        if show {
            out.instant(it.at, "retake", "retake", t, RetakeArgs { m, why: why_text });
        }
        if it.unknown
            && let Some(r) = m.and_then(|m| self.threads.of_m(m))
            && self.threads.all[r].p.is_none()
        {
            self.hold(Now { r, t: self.from, show: false }, p, Some(turn), None, out);
        }
        let it = &mut self.ps[usize::from(p)];
        let Some(r) = it.holder else { return };
        it.turn = it.turn.or(Some(turn));
        self.release(now, r, Some(why_text), out);
        let thread = &self.threads.all[r];
        if thread.run.is_some() || thread.blocked {
            let doing = match why {
                Taken::Declared | Taken::Blocked => Doing::BlockedRetaken(why_text),
                Taken::Hog => Doing::ComputingRetaken,
            };
            self.of_task(r);
            self.threads.track(r).turn_to(t, Some(doing), show, out);
            self.reclassify(r, t);
        }
    }

    /// The M has ended, or its ring goes on with another.
    fn stop(&mut self, now: Now, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        self.abandon(now, out);
        self.release(now, r, None, out);
        self.threads.track(r).turn_to(t, None, show, out);
        let thread = &mut self.threads.all[r];
        thread.m = None;
        thread.track = 0;
        thread.timers = false;
        thread.blocked = false;
    }

    /// Records of this thread were lost: what was open ends here, nothing is known of what follows.
    fn lost(&mut self, now: Now, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        self.gapped = true;
        self.write_ended(r, out);
        self.abandon(now, out);
        self.release(now, r, None, out);
        self.threads.track(r).turn_to(t, None, show, out);
        self.threads.all[r].timers = false;
        self.threads.all[r].blocked = false;
    }

    /// The thread's run ended unseen.
    fn abandon(&mut self, now: Now, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        let Some(run) = self.threads.all[r].run.take() else { return };
        if let Some(p) = self.threads.all[r].p {
            self.close_on_p(p, t, show, "open", out);
        }
        if let Some(task) = self.tasks.find(run.g).filter(|_| run.g != 0)
            && matches!(self.tasks.get(task).state, State::Running { .. })
        {
            let since = t.max(self.tasks.get(task).last);
            self.tasks.become_(task, State::Unknown, since, show, out);
        }
    }

    // The slices of a P.

    /// Closes what is open on the P.
    fn close_on_p(&mut self, p: u16, t: u64, show: bool, end: &'static str, out: &mut Writer<'_>) {
        let it = &mut self.ps[usize::from(p)];
        let at = it.at;
        match it.close(t, show) {
            Some((start, over, What::Run(run))) => {
                self.write_run(&Ended { at, span: (start, over), run, end, on: None, exit: None }, out);
            }
            Some((start, over, What::Spin)) => out.slice(at, "sched", "spin", (start, over), Nothing {}),
            Some((start, over, What::Timers)) => {
                out.slice(at, "sched", "timers", (start, over), FiredArgs { fired: 0 })
            }
            None => {}
        }
    }

    /// The thread ceases to look for work, or to fire timers (`fired` of them). Whether it looked for work.
    fn close_search(&mut self, now: Now, fired: Option<u32>, out: &mut Writer<'_>) -> bool {
        let Some(p) = self.threads.all[now.r].p else { return false };
        let it = &mut self.ps[usize::from(p)];
        let at = it.at;
        match it.open.map(|open| open.what) {
            Some(What::Spin) => {
                self.close_on_p(p, now.t, now.show, "", out);
                true
            }
            Some(What::Timers) => {
                if let Some((start, over, _)) = it.close(now.t, now.show) {
                    out.slice(at, "sched", "timers", (start, over), FiredArgs { fired: fired.unwrap_or(0) });
                }
                false
            }
            _ => false,
        }
    }

    fn open_on_p(&mut self, now: Now, what: What) {
        if let Some(p) = self.threads.all[now.r].p
            && self.ps[usize::from(p)].open.is_none()
        {
            self.ps[usize::from(p)].open(now.t, what);
        }
    }

    fn steal(&mut self, now: Now, victim: u16, n: u8, tries: u8, took: u32, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        let thief = self.threads.all[r].p;
        if let Some(p) = thief {
            let begin = t.saturating_sub(self.clock.length(took)).max(self.from);
            self.close_search(Now { t: begin, ..now }, None, out);
            let it = &mut self.ps[usize::from(p)];
            it.queue += u64::from(n);
            if show && it.open.is_none() {
                let span = it.whole(begin, t, 2);
                it.steal = Some(span.1 - 1);
                let args = StealArgs { victim: Id('P', u64::from(victim)), n, tries };
                out.slice(it.at, "steal", "steal", span, args);
            }
        }
        if let Some(it) = self.ps.get_mut(usize::from(victim)) {
            it.queue = it.queue.saturating_sub(u64::from(n));
            if let Some(p) = thief.filter(|_| show) {
                out.instant(it.at, "steal", "stolen", t, StolenArgs { thief: Id('P', u64::from(p)), n });
            }
            self.show_queue(Some(victim), t);
        }
        self.show_queue(thief, t);
    }

    // The queues.

    fn show_queue(&mut self, p: Option<u16>, t: u64) {
        let (at, length) = match p {
            None => (0, self.injector),
            Some(p) => match self.ps.get(usize::from(p)) {
                Some(it) => (usize::from(p) + 1, it.queue),
                None => return,
            },
        };
        self.queue_counter.set(t, |counts| {
            if let Some(count) = counts.0.get_mut(at) {
                *count = length;
            }
        });
    }

    fn length(&mut self, p: Option<u16>) -> Option<&mut u64> {
        match p {
            None => Some(&mut self.injector),
            Some(p) => self.ps.get_mut(usize::from(p)).map(|p| &mut p.queue),
        }
    }

    fn enqueue(&mut self, p: Option<u16>, n: u64, t: u64) {
        if let Some(length) = self.length(p) {
            *length += n;
        }
        self.show_queue(p, t);
    }

    /// Takes from a queue. What was in it before the trace began is not known: it may seem to be empty.
    fn dequeue(&mut self, p: Option<u16>, n: u64, t: u64) {
        if let Some(length) = self.length(p) {
            *length = length.saturating_sub(n);
        }
        self.show_queue(p, t);
    }

    fn move_queued(
        &mut self,
        now: Now,
        from: Option<u16>,
        to: Option<u16>,
        n: u16,
        what: &'static str,
        out: &mut Writer<'_>,
    ) {
        self.dequeue(from, u64::from(n), now.t);
        self.enqueue(to, u64::from(n), now.t);
        if let Some(p) = from.or(to).filter(|&p| now.show && usize::from(p) < self.ps.len()) {
            out.instant(Place::p(p), "sched", what, now.t, CountArgs { n });
        }
    }

    // Tasks.

    /// Who makes a task runnable by the record that is looked at, and where the arrow begins.
    fn waker(&mut self, now: Now, what: &'static str) -> (Option<By>, Option<Source>) {
        let thread = &self.threads.all[now.r];
        let by = match &thread.run {
            Some(run) if run.g == 0 => Some(By::Caller),
            Some(run) => Some(By::Task(run.g)),
            None if thread.timers => Some(By::Timer),
            None if thread.m.is_none() => Some(By::Foreign),
            None => None,
        };
        let source = thread.p.filter(|_| now.show && (thread.run.is_some() || thread.timers));
        (by, source.and_then(|p| self.ps[usize::from(p)].source(now.t, what)))
    }

    fn mark_foreign(&mut self, now: Now, by: Option<By>, what: &str, g: u64, out: &mut Writer<'_>) {
        if by == Some(By::Foreign) && now.show {
            let at = self.threads.foreign(out);
            out.instant(at, "foreign", &format!("{what} G{g}"), now.t, GArgs { g });
        }
    }

    fn spawn(&mut self, now: Now, g: u64, to: Queue, more: Option<Event>, out: &mut Writer<'_>) {
        let Now { t, show, .. } = now;
        if g == 0 {
            return;
        }
        let (by, source) = self.waker(now, "spawn");
        let task = self.tasks.meet(g, t);
        if let Some(Event::Site { at }) = more {
            self.tasks.site_at(g, at);
        }
        let known = self.tasks.get(task).seen;
        let since = t.max(self.tasks.get(task).last);
        self.tasks.become_(task, State::Runnable { woke: Woke::Spawn, by }, since, known && show, out);
        let it = self.tasks.get_mut(task);
        it.seen = true;
        it.flow = source;
        self.enqueue(to.p(), 1, t);
        self.mark_foreign(now, by, "spawn", g, out);
    }

    /// The task; if this is its first record, it was at `before` since the trace began.
    fn meet(&mut self, now: Now, g: u64, before: State) -> u32 {
        let known = self.tasks.find(g).is_some();
        let since = if self.gapped { now.t } else { self.from };
        let task = self.tasks.meet(g, since);
        let it = self.tasks.get_mut(task);
        if !std::mem::replace(&mut it.seen, true) {
            let same = matches!(
                (it.state, before),
                (State::Waiting(_), State::Waiting(_))
                    | (State::Runnable { .. }, State::Runnable { .. })
                    | (State::Running { .. }, State::Running { .. })
            );
            if !(known && same) {
                self.tasks.assume(task, before);
            }
        }
        task
    }

    fn wake(&mut self, now: Now, g: u64, to: Queue, out: &mut Writer<'_>) {
        let (by, source) = self.waker(now, "wake");
        let task = self.meet(now, g, State::Waiting(Reason::Unsaid));
        self.tasks.become_(task, State::Runnable { woke: Woke::Wake, by }, now.t, now.show, out);
        let it = self.tasks.get_mut(task);
        it.flow = source;
        it.mark = None;
        self.enqueue(to.p(), 1, now.t);
        self.mark_foreign(now, by, "wake", g, out);
    }

    fn run_begin(&mut self, now: Now, g: u64, seq: u8, p: u16, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        self.abandon(now, out);
        let p = Some(p).filter(|&p| usize::from(p) < self.ps.len());
        if let Some(p) = p {
            if self.threads.all[r].p != Some(p) {
                self.take_p(now, p, None, out);
            }
            self.close_on_p(p, t, show, "open", out);
        }
        self.threads.track(r).turn_to(t, None, show, out);
        self.threads.all[r].blocked = false;
        let m = self.threads.all[r].m;
        let mut run = Run {
            g,
            kind: 0,
            seq,
            m,
            wait: 0,
            woke: Woke::Wake,
            by: None,
            flow: None,
            steal: None,
            resumed: false,
        };
        if g != 0 {
            let task = self.meet(now, g, State::Runnable { woke: Woke::Start, by: None });
            let it = self.tasks.get_mut(task);
            run.kind = it.kind;
            run.flow = it.flow.take().filter(|_| show);
            if it.mark.is_some_and(|mark| mark.0 < t) {
                it.mark = None;
            }
            (run.woke, run.by) = match it.state {
                State::Runnable { woke, by } => (woke, by),
                _ => (Woke::Start, None),
            };
            run.wait = if matches!(it.state, State::Runnable { .. }) { t - it.since.min(t) } else { 0 };
            self.tasks.begins_run(task);
            self.tasks.become_(task, State::Running { p, m }, t, show, out);
        }
        self.threads.all[r].run = Some(run);
        if let Some(p) = p {
            let it = &mut self.ps[usize::from(p)];
            run.steal = it.steal.take().filter(|&from| show && from < t);
            it.open(t, What::Run(run));
            if g != 0 {
                self.dequeue(Some(p), 1, t);
            }
        }
    }

    /// The thread's poll of `g` ends: closes its slice, which is written once it is sure what it ended with.
    fn close_run(&mut self, now: Now, g: u64, seq: u8, end: &'static str, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        if self.threads.all[r].run.is_none() && !show {
            self.ran_before(now, g, seq.wrapping_sub(1));
        }
        if self.threads.all[r].run.is_some_and(|run| run.g != g) {
            self.abandon(now, out);
        }
        let thread = &mut self.threads.all[r];
        thread.blocked = false;
        let run = thread.run.take();
        if let Some(p) = thread.p.filter(|_| run.is_some()) {
            let it = &mut self.ps[usize::from(p)];
            if let Some((start, over, What::Run(run))) = it.close(t, show) {
                let ended = Ended { at: it.at, span: (start, over), run, end, on: None, exit: None };
                self.threads.all[r].ended = Some(ended);
            }
        }
        self.threads.track(r).turn_to(t, None, show, out);
    }

    fn run_end(&mut self, now: Now, g: u64, seq: u8, why: End, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        let (end, state) = match why {
            End::Block(reason) => ("block", State::Waiting(reason)),
            End::Yield => ("yield", State::Runnable { woke: Woke::Yield, by: None }),
            End::Preempt => ("preempt", State::Runnable { woke: Woke::Preempt, by: None }),
        };
        self.close_run(now, g, seq, end, out);
        if let End::Block(reason) = why
            && let Some(ended) = &mut self.threads.all[r].ended
        {
            ended.on = Some(reason.text()).filter(|text| !text.is_empty());
        }
        let p = self.threads.all[r].p;
        self.threads.all[r].yielded = Some((g, p.filter(|_| why == End::Yield)));
        if g == 0 {
            return;
        }
        let task = self.meet(now, g, State::Running { p: None, m: None });
        self.tasks.become_(task, state, t, show, out);
        self.tasks.get_mut(task).flow = None;
        if why == End::Yield && p.is_some() {
            self.enqueue(p, 1, t);
        }
    }

    fn requeue(&mut self, now: Now, g: u64, to: Queue) {
        let yielded = self.threads.all[now.r].yielded.filter(|yielded| yielded.0 == g);
        if let Some((_, Some(p))) = yielded {
            self.dequeue(Some(p), 1, now.t);
        }
        self.enqueue(to.p(), 1, now.t);
        let task = self.meet(now, g, State::Waiting(Reason::Unsaid));
        let it = self.tasks.get_mut(task);
        it.last = it.last.max(now.t);
        if matches!(it.state, State::Runnable { .. }) {
            return;
        }
        // It was woken while it ran: it did not wait.
        let mark = it.mark.take();
        let (by, source) = mark.map_or((None, None), |(_, by, source)| (by, source));
        let by = by.filter(|&by| by != By::Task(g));
        it.flow = source.filter(|_| by.is_some());
        self.tasks.assume(task, State::Runnable { woke: Woke::Own, by });
    }

    fn exit(&mut self, now: Now, g: u64, seq: u8, fate: Fate, more: Option<Event>, out: &mut Writer<'_>) {
        let Now { r, t, show } = now;
        if let Some(Event::Site { at }) = more
            && g != 0
        {
            self.tasks.site_at(g, at);
        }
        let over = self.threads.all[r].yielded.is_some_and(|yielded| yielded.0 == g);
        let ran = over || self.threads.all[r].run.is_some_and(|run| run.g == g);
        if !ran {
            // It was cancelled, by whoever runs here.
            if g != 0 {
                let task = self.meet(now, g, State::Runnable { woke: Woke::Start, by: None });
                self.tasks.become_(task, State::Done, t, show, out);
                self.tasks.get_mut(task).flow = None;
                self.tasks.done(task);
            }
            return;
        }
        if !over {
            self.write_ended(r, out);
            self.close_run(now, g, seq, "exit", out);
        }
        if let Some(ended) = &mut self.threads.all[r].ended {
            ended.end = "exit";
            ended.on = None;
            ended.exit = Some(match fate {
                Fate::Finished => "finished",
                Fate::Cancelled => "cancelled",
                Fate::Panicked => "panicked",
            });
        }
        if let (true, Some((_, Some(p)))) = (over, self.threads.all[r].yielded) {
            self.dequeue(Some(p), 1, t);
        }
        if g == 0 {
            return;
        }
        let task = self.meet(now, g, State::Running { p: None, m: None });
        self.tasks.become_(task, State::Done, t, show && !over, out);
        self.tasks.get_mut(task).flow = None;
        self.tasks.done(task);
    }

    // What is written, and counted.

    fn write_ended(&mut self, r: usize, out: &mut Writer<'_>) {
        if let Some(ended) = self.threads.all[r].ended.take() {
            self.write_run(&ended, out);
        }
    }

    fn write_run(&mut self, ended: &Ended, out: &mut Writer<'_>) {
        let run = &ended.run;
        let (kind, site) = self.tasks.kind(run.kind);
        let args = RunArgs {
            g: run.g,
            m: run.m,
            wait_us: Us(run.wait),
            end: ended.end,
            seq: run.seq,
            woke: run.woke.text(),
            by: run.by,
            on: ended.on,
            exit: ended.exit,
            resumed: run.resumed,
            site,
        };
        out.run(ended.at, kind, run.g, ended.span, args);
        if let Some(flow) = run.flow {
            out.flow(flow.what, flow.what, (flow.at, flow.ts), (ended.at, ended.span.0));
        }
        if let Some(from) = run.steal {
            out.flow("steal", "steal", (ended.at, from), (ended.at, ended.span.0));
        }
    }

    fn mark_thread(&mut self, now: Now, what: &str, out: &mut Writer<'_>) {
        if let Some(at) = self.threads.track(now.r).at.filter(|_| now.show) {
            out.instant(at, "m", what, now.t, Nothing {});
        }
    }

    pub(super) fn classify(&mut self, now: Now) {
        self.reclassify(now.r, now.t);
    }

    fn reclassify(&mut self, r: usize, t: u64) {
        let doing = self.threads.track(r).doing();
        let thread = &self.threads.all[r];
        let spins = || {
            let p = thread.p.map(|p| &self.ps[usize::from(p)]);
            p.and_then(|p| p.open).is_some_and(|open| matches!(open.what, What::Spin))
        };
        let class = thread.m.map(|_| match doing {
            Some(Doing::Blocked | Doing::BlockedRetaken(_)) => Class::Blocked,
            Some(Doing::Parked | Doing::Polling | Doing::InLine) => Class::Parked,
            _ if spins() => Class::Spinning,
            _ => Class::Running,
        });
        if thread.class == class {
            return;
        }
        self.threads.classify(r, class);
        let [running, blocked, spinning, parked] = self.threads.counts;
        self.thread_counter.set(t, |counts| {
            *counts = super::ThreadCounts { running, blocked, spinning, parked };
        });
    }

    pub(super) fn recount(&mut self, t: u64) {
        let [running, runnable, waiting] = self.tasks.counts;
        self.task_counter.set(t, |counts| *counts = super::TaskCounts { running, runnable, waiting });
    }

    /// The earliest time at which all that is open may be closed.
    pub(super) fn last_end(&self) -> u64 {
        let ps = self.ps.iter().map(|p| p.open.map_or(p.end, |open| open.least));
        let tracks = self.threads.tracks.iter().map(super::thread::Track::least);
        ps.chain(tracks).fold(self.latest, u64::max)
    }

    /// The trace ends.
    pub(super) fn close_all(&mut self, t: u64, out: &mut Writer<'_>) {
        for r in 0..self.threads.all.len() {
            self.write_ended(r, out);
        }
        let show = t > self.from;
        for p in 0..self.ps.len() as u16 {
            match self.ps[usize::from(p)].holder {
                Some(_) => self.close_on_p(p, t, show, "open", out),
                None => {
                    let it = &mut self.ps[usize::from(p)];
                    if t > it.end {
                        let span = it.whole(it.end, t, 1);
                        out.slice(it.at, "sched", "idle", span, Nothing {});
                    }
                }
            }
        }
        for track in &mut self.threads.tracks {
            track.turn_to(t, None, show, out);
            track.lose(t, None, show, out);
        }
    }
}
