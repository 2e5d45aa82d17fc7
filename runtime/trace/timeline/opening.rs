//! How things stood when the trace began, concluded from what was recorded just before and after.
//!
//! Go counterpart: the `EvGoStatus` and `EvProcStatus` of a generation's start (`internal/trace/order.go`).
//!
//! ```text
//!   a ring:   … before ─────────┼ from ── after …        after:  its first record tells what it was at till then
//!                               │                        before: its last one tells, if nothing after does
//!   statements, standings ──────┘ made just after `from`: they tell of those that have no record
//! ```
//!
//! O1. After `Opening::from` all is recorded. Before it some threads recorded already and others did not: what a ring has
//!     from then is whole for its own thread, and is used for nothing else.
//! O2. Whoever first gives a P up, or loses it, has held it. What contradicts that is dropped: older than the truth.
//! O3. An M tells which task it polls until its poll has let go of the P, which is after the task has let go of the poll. It
//!     may be stopped in between: what is said of a task that waits, or that another runs, is dropped.
//!
//! Length: what a record tells of the time before it is one table, and all that is concluded here comes from it.
//!
//! Absent: what happens from then on (`apply.rs`).

use super::super::chrome::Writer;
use super::super::merge::unwrap_stamp;
use super::super::record::{Bed, Event, Give, Record};
use super::super::recording::{LiveTask, RingBatch, Standing};
use super::tasks::State;
use super::thread::Doing;
use super::{Now, Timeline, stand};
use crate::reason::Reason;
use rustc_hash::FxHashMap;

/// What a record says of something: nothing, or what it was at.
type Said<T> = Option<Option<T>>;

/// A thread when the trace began, or at the end of what it recorded before.
#[derive(Default, Clone, Copy)]
struct Stood {
    m: Said<(u32, bool)>,
    /// With its turn, if known.
    p: Said<(u16, Option<u16>)>,
    /// With the number of the run's beginning.
    run: Said<(u64, u8)>,
    doing: Said<Doing>,
}

impl Stood {
    /// At the end of these records.
    fn after(records: &[Record]) -> Self {
        let mut it = Self::default();
        for record in records {
            match record.event {
                Event::MachineStart { m, caller } => {
                    it = Self { m: Some(Some((m, caller))), ..Self::default() };
                }
                Event::MachineStop { .. } => {
                    it = Self { m: Some(None), p: Some(None), run: Some(None), doing: Some(None) };
                }
                Event::TakeP { p, turn } => it.p = Some(Some((p, Some(turn)))),
                Event::GiveP { .. } => it.p = Some(None),
                Event::RunBegin { g, seq, p } => {
                    it.run = Some(Some((g, seq)));
                    it.doing = Some(None);
                    if p == u16::MAX {
                        it.p = Some(None);
                    } else if it.p.flatten().is_none_or(|held| held.0 != p) {
                        it.p = Some(Some((p, None)));
                    }
                }
                Event::RunEnd { .. } | Event::Exit { .. } => {
                    it.run = Some(None);
                    it.doing = Some(None);
                }
                Event::Park(bed) => it.doing = Some(Some(doing(bed))),
                Event::BlockBegin => it.doing = Some(Some(Doing::Blocked)),
                Event::Unpark | Event::BlockEnd => it.doing = Some(None),
                _ => {}
            }
        }
        it
    }

    /// Before these records. `ran`: whether a task that exits here may have been running all along.
    fn before(records: &[Record], ran: impl Fn(u64) -> bool) -> Self {
        let mut it = Self::default();
        for record in records {
            match record.event {
                Event::MachineStart { .. } | Event::MachineStop { .. } => break,
                Event::Unpark if it.doing.is_none() => it.doing = Some(Some(Doing::Parked)),
                Event::BlockEnd if it.doing.is_none() => it.doing = Some(Some(Doing::Blocked)),
                Event::Park(_) => {
                    it.p = it.p.or(Some(None));
                    it.doing = it.doing.or(Some(None));
                }
                Event::BlockBegin => it.doing = it.doing.or(Some(None)),
                Event::TakeP { .. } => it.p = it.p.or(Some(None)),
                Event::GiveP { p, turn, .. } => it.p = it.p.or(Some(Some((p, Some(turn))))),
                Event::TakeInjected { p, .. } | Event::Overflow { p, .. } => {
                    it.p = it.p.or(Some(Some((p, None))));
                }
                Event::RunBegin { p, .. } => {
                    it.p = it.p.or(Some((p != u16::MAX).then_some((p, None))));
                    it.run = it.run.or(Some(None));
                    it.doing = it.doing.or(Some(None));
                }
                Event::RunEnd { g, seq, .. } => it.run = it.run.or(Some(Some((g, seq.wrapping_sub(1))))),
                Event::Exit { g, seq, .. } if ran(g) => {
                    it.run = it.run.or(Some(Some((g, seq.wrapping_sub(1)))));
                }
                _ => {}
            }
            if it.p.is_some() && it.run.is_some() {
                break;
            }
        }
        it
    }
}

pub(super) fn doing(bed: Bed) -> Doing {
    match bed {
        Bed::Idle => Doing::Parked,
        Bed::Poller => Doing::Polling,
        Bed::Line => Doing::InLine,
    }
}

/// Whether the first event on a ring is one of an M that was there before: a new one holds no P, and sleeps nowhere.
fn is_older(first: Option<Event>) -> bool {
    !matches!(
        first,
        None | Some(
            Event::TakeP { .. }
                | Event::MachineStart { .. }
                | Event::MachineStop { .. }
                | Event::RunBegin { p: u16::MAX, .. }
        )
    )
}

/// Who held a P by the first that is recorded of its holdings.
#[derive(Clone, Copy)]
enum Holder {
    /// It was taken: nobody did.
    Nobody,
    /// The thread of the ring gave it up.
    Ring(usize, u16),
    /// It was taken from this M.
    Machine(Option<u32>, u16),
}

/// What the first batch tells of the Ps: for each the least turn, and who had it.
fn holders(procs: usize, rings: &[RingBatch]) -> Vec<Option<(u16, Holder)>> {
    let mut all: Vec<Option<(u16, Holder)>> = vec![None; procs];
    for ring in rings {
        for (at, record) in ring.records.iter().enumerate() {
            let (p, turn, holder) = match record.event {
                Event::TakeP { p, turn } => (p, turn, Holder::Nobody),
                Event::GiveP { p, turn, .. } => (p, turn, Holder::Ring(ring.ring, turn)),
                Event::Retake { p, turn, .. } => {
                    let m = match ring.records.get(at + 1).map(|next| next.event) {
                        Some(Event::RetakeFrom { m }) => Some(m),
                        _ => None,
                    };
                    (p, turn, Holder::Machine(m, turn))
                }
                _ => continue,
            };
            if let Some(least) = all.get_mut(usize::from(p)) {
                let earlier = least.is_none_or(|(known, of)| {
                    let later = turn.wrapping_sub(known);
                    later >= 0x8000 || later == 0 && !matches!(of, Holder::Nobody)
                });
                if earlier {
                    *least = Some((turn, holder));
                }
            }
        }
    }
    all
}

/// The first record of each task, with its stamp.
fn firsts(rings: &[RingBatch], near: u64) -> FxHashMap<u64, (u64, Event)> {
    let mut all = FxHashMap::<u64, (u64, Event)>::default();
    for record in rings.iter().flat_map(|ring| &ring.records) {
        let (Event::Spawn { g, .. }
        | Event::Wake { g, .. }
        | Event::RunBegin { g, .. }
        | Event::RunEnd { g, .. }
        | Event::Exit { g, .. }) = record.event
        else {
            continue;
        };
        if g != 0 {
            let ticks = unwrap_stamp(record.stamp, near);
            let first = all.entry(g).or_insert((ticks, record.event));
            if ticks < first.0 {
                *first = (ticks, record.event);
            }
        }
    }
    all
}

impl Timeline {
    /// What a task was at till its first record; `None`: there was no such task.
    fn standing_before(&self, event: Event) -> Option<Standing> {
        Some(match event {
            Event::Spawn { .. } => return None,
            Event::Wake { g, .. } => match self.standings.get(&g) {
                Some(&standing @ Standing::Waiting(_)) => standing,
                _ => Standing::Waiting(Reason::Unsaid),
            },
            Event::RunEnd { .. } => Standing::Running,
            Event::Exit { g, .. } => match self.standings.get(&g) {
                Some(&standing @ (Standing::Waiting(_) | Standing::Queued)) => standing,
                _ => Standing::Running,
            },
            _ => Standing::Queued,
        })
    }

    /// Takes from the rings what was recorded before the trace begins, ring by ring.
    fn cut(&mut self, rings: &mut [RingBatch], (from, near): (u64, u64)) -> Vec<Vec<Record>> {
        let mut all = Vec::with_capacity(rings.len());
        for ring in rings {
            let is_after =
                |record: &Record| record.event.is_stamped() && unwrap_stamp(record.stamp, near) >= from;
            let at = ring.records.iter().position(is_after).unwrap_or(ring.records.len());
            let after = ring.records.split_off(at);
            let before = std::mem::replace(&mut ring.records, after);
            self.records += before.len() as u64;
            for pair in before.windows(2) {
                if let (Event::Spawn { g, .. } | Event::Exit { g, .. }, Event::Site { at }) =
                    (pair[0].event, pair[1].event)
                {
                    self.tasks.site_at(g, at);
                }
            }
            all.push(before);
        }
        all
    }

    /// Looks at the first batch. `at`: the stamp of the beginning, and one that is near.
    pub(super) fn open(
        &mut self,
        rings: &mut [RingBatch],
        tasks: &[LiveTask],
        at: (u64, u64),
        out: &mut Writer<'_>,
    ) {
        let before = self.cut(rings, at);
        let statements: Vec<(u16, u32, u16, u64)> = rings
            .iter()
            .map(|ring| &ring.records)
            .chain(&before)
            .flat_map(|records| records.windows(2))
            .filter_map(|pair| match (pair[0].event, pair[1].event) {
                (Event::Holds { p, m }, Event::Turn { turn, g }) => Some((p, m, turn, g)),
                _ => None,
            })
            .collect();
        self.standings = tasks.iter().map(|task| (task.g, task.standing)).collect();
        let firsts = firsts(rings, at.1);
        for task in tasks {
            let standing = match firsts.get(&task.g) {
                None => Some(task.standing),
                Some(&(_, event)) => self.standing_before(event),
            };
            if let Some(standing) = standing {
                stand(&mut self.tasks, &LiveTask { standing, ..*task }, self.from);
            }
        }
        let mut others: Vec<(u64, Event)> = firsts
            .into_iter()
            .filter(|(g, _)| !self.standings.contains_key(g))
            .map(|(g, (_, event))| (g, event))
            .collect();
        others.sort_unstable_by_key(|other| other.0);
        for (g, event) in others {
            if let Some(standing) = self.standing_before(event) {
                let task = self.tasks.meet(g, self.from);
                self.tasks.assume(task, super::state_of(standing));
            }
        }
        self.stated = statements.iter().map(|statement| statement.1).collect();
        let mut stood = FxHashMap::default();
        for (ring, before) in rings.iter_mut().zip(&before) {
            let it = self.meet_ring(ring, before, out);
            if let Some((r, it)) = it {
                stood.insert(r, it);
            }
        }
        // Who holds what: first by what comes after (O2), then by statements, then by what came before.
        let holders = holders(self.ps.len(), rings);
        for (p, holder) in holders.iter().enumerate() {
            let (r, turn) = match *holder {
                Some((_, Holder::Ring(ring, turn))) => (Some(self.threads.of_ring(ring, None)), turn),
                Some((_, Holder::Machine(m, turn))) => (m.map(|m| self.of_m(m, out)), turn),
                Some((_, Holder::Nobody)) => {
                    self.ps[p].unknown = false;
                    continue;
                }
                None => continue,
            };
            if let Some(r) = r {
                self.held_before(r, p as u16, Some(turn), out);
            }
        }
        let by_ring: Vec<usize> = (0..self.threads.all.len()).collect();
        for &r in &by_ring {
            if let Some(Some((p, turn))) = stood.get(&r).and_then(|it: &(Stood, Stood)| it.1.p) {
                self.held_before(r, p, turn, out);
            }
        }
        for (p, m, turn, g) in statements {
            let r = self.of_m(m, out);
            let bare = stood.get(&r).is_some_and(|it| it.1.p == Some(None));
            let unsaid = stood.get(&r).is_none_or(|it| it.0.run.is_none() && it.1.run.is_none());
            if self.ps.get(usize::from(p)).is_none_or(|p| !p.unknown)
                || bare
                || self.threads.all[r].p.is_some()
            {
                continue;
            }
            if g != 0 && unsaid && self.threads.all[r].run.is_none() && self.may_run(g) {
                self.ran_before(Now { r, t: self.from, show: false }, g, 0);
            }
            self.held_before(r, p, Some(turn), out);
        }
        for &r in &by_ring {
            if let Some((before, after)) = stood.get(&r)
                && after.p.is_none()
                && let Some(Some((p, turn))) = before.p
            {
                self.held_before(r, p, turn, out);
            }
        }
        for r in by_ring {
            if let Some((before, after)) = stood.get(&r) {
                self.did_before(r, *before, *after, out);
            }
        }
    }

    /// Whether a statement that the task ran may be true (O3).
    fn may_run(&self, g: u64) -> bool {
        self.standings.get(&g) == Some(&Standing::Running)
            && self.threads.all.iter().all(|thread| thread.run.as_ref().is_none_or(|run| run.g != g))
    }

    /// The P that the thread of a ring holds.
    pub(super) fn p_of_ring(&self, ring: usize) -> Option<u16> {
        self.threads.of_ring_known(ring).and_then(|r| self.threads.all[r].p)
    }

    /// The slot of an M, which is made if it has no ring yet.
    fn of_m(&mut self, m: u32, out: &mut Writer<'_>) -> usize {
        match self.threads.of_m(m) {
            Some(r) => r,
            None => self.threads.silent(m, out),
        }
    }

    /// The thread held the P when the trace began, if nobody else did.
    fn held_before(&mut self, r: usize, p: u16, turn: Option<u16>, out: &mut Writer<'_>) {
        if self.threads.all[r].p.is_none() && self.ps.get(usize::from(p)).is_some_and(|p| p.unknown) {
            let now = Now { r, t: self.from, show: false };
            self.hold(now, p, turn, None, out);
            self.classify(now);
        }
    }

    fn did_before(&mut self, r: usize, before: Stood, after: Stood, out: &mut Writer<'_>) {
        let mut doing = after.doing.or(before.doing).flatten();
        if let (Some(Doing::Parked), Some(Some(bed))) = (doing, before.doing) {
            doing = Some(bed);
        }
        let held = self.threads.all[r].p.is_some();
        let Some(doing) = doing.filter(|&doing| !held || doing == Doing::Blocked) else { return };
        self.threads.all[r].blocked = doing == Doing::Blocked;
        self.of_task(r);
        self.threads.track(r).turn_to(self.from, Some(doing), false, out);
        self.classify(Now { r, t: self.from, show: false });
    }

    /// Looks at the first records of a ring that comes later.
    pub(super) fn introduce(&mut self, ring: &mut RingBatch, out: &mut Writer<'_>) {
        if let Some((r, (before, after))) = self.meet_ring(ring, &[], out) {
            if let Some(Some((p, turn))) = after.p {
                self.held_before(r, p, turn, out);
            }
            self.did_before(r, before, after, out);
        }
    }

    /// Finds out whose a ring is, and what that thread was at, by its records `before` the trace began and by those after.
    fn meet_ring(
        &mut self,
        ring: &mut RingBatch,
        before: &[Record],
        out: &mut Writer<'_>,
    ) -> Option<(usize, (Stood, Stood))> {
        let mut stood = Stood::after(before);
        let mut stamped = ring.records.iter().filter(|record| record.event.is_stamped());
        if let Some(&Record { event: Event::MachineStart { m, caller }, .. }) = stamped.next()
            && stood.m.flatten().is_none()
        {
            let first = stamped.next().map(|record| record.event);
            let known = self.threads.of_ring_known(ring.ring).is_some_and(|r| self.threads.all[r].looked);
            if !known && (is_older(first) || self.stated.contains(&m)) {
                ring.records.remove(0); // it did not start then
                stood.m = Some(Some((m, caller)));
            } else if !known {
                stood.m = Some(None);
            }
        }
        let m = match stood.m {
            Some(m) => m,
            None => named(ring),
        };
        let r = self.threads.of_ring(ring.ring, m.map(|m| m.0));
        if ring.records.is_empty() && before.is_empty() && ring.owner.is_none() || self.threads.all[r].looked
        {
            return None;
        }
        self.threads.all[r].looked = !ring.records.is_empty();
        if let Some((m, caller)) = m
            && self.threads.all[r].m != Some(m)
        {
            self.threads.become_m(r, m, caller, out);
        }
        // Others than its own thread cancel a task as well, and may do nothing else.
        let ran = |g: u64| {
            let task = self.tasks.find(g).map(|task| self.tasks.get(task));
            task.is_some_and(|task| matches!(task.state, State::Running { .. }))
        };
        let after = Stood::before(&ring.records, ran);
        if let Some((g, seq)) = after.run.or(stood.run).flatten()
            && self.threads.all[r].run.is_none()
        {
            self.ran_before(Now { r, t: self.from, show: false }, g, seq);
        }
        self.classify(Now { r, t: self.from, show: false });
        Some((r, (stood, after)))
    }
}

/// The M that the ring's first records are of, and whether that is a caller.
fn named(ring: &RingBatch) -> Option<(u32, bool)> {
    let mut caller = false;
    let named = ring.records.iter().find_map(|record| match record.event {
        Event::MachineStart { .. } => Some(None),
        Event::MachineStop { m } => Some(Some((m, caller || ring.owner == Some((m, true))))),
        Event::GiveP { why: Give::Caller, .. }
        | Event::RunBegin { g: 0, .. }
        | Event::RunEnd { g: 0, .. } => {
            caller = true;
            None
        }
        _ => None,
    });
    named.unwrap_or(ring.owner)
}
