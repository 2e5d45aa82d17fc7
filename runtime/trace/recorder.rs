//! Whether anything is recorded, and where each thread writes it.
//!
//! Go counterpart: `traceAcquire`, `traceLocker` (`traceruntime.go`), `trace.enabled` (`trace.go`).
//!
//! ```text
//!   Recorder ── on: number of the session, 0: none        asked at each event: one relaxed load and a branch
//!      └─ Session ── rings: one for each M that has recorded something, one for all other threads
//!            ▲
//!   Tap (in an M's context): the M's ring, of the session with that number
//! ```
//!
//! N1. An M's ring is its own from its first record to its end, when another M takes it over; both through the lock on
//!     `rings` (ring.rs, G1). The other threads share the first ring, behind a lock of its own.
//! N2. A tap that finds another number than its own lets go of its ring, and takes one of the new session. What it writes
//!     in the moment between is lost with the old one.
//! N3. A session whose budget is used up ends by itself: whoever finds that out puts `on` to 0.
//! N4. A session's end is a moment before which all that happened is recorded: the one at which it was stopped, taken before
//!     `on` is put to 0, or the stamp of the first record that was refused. What is stamped later is not to be shown.
//! N5. Nobody reads records under the lock on `rings`: an M waits for that lock with a P in its hand, and under `lists`.
//!
//! Length: the tests are as long as what they test.
//!
//! Absent: a lock on the way of an M's record, but for its first.

use super::record::{Event, Record, STAMP_BITS};
use super::recording::{Batch, Moment, Opening, RingBatch};
use super::ring::{Budget, Mode, Pushed, Ring};
use crate::sys::primitive::AtomicOrdering::Relaxed;
use crate::sys::{clock, ticks};
use crossbeam_utils::CachePadded;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Moment {
    /// The moment at `ticks`, between two others.
    pub(crate) fn between(from: Self, to: Self, ticks: u64) -> Self {
        let ticks = ticks.min(to.ticks).max(from.ticks);
        let span = to.ticks.saturating_sub(from.ticks).max(1);
        let nanos = u128::from(to.nanos.saturating_sub(from.nanos));
        let passed = nanos * u128::from(ticks - from.ticks) / u128::from(span);
        Self { ticks, nanos: from.nanos + u64::try_from(passed).unwrap_or(0) }
    }

    /// Both clocks, as close together as three tries allow.
    pub(crate) fn now() -> Self {
        let tries = [(); 3].map(|()| {
            let before = ticks::now();
            let nanos = clock::now();
            let took = ticks::now().saturating_sub(before);
            (took, Self { ticks: before + took / 2, nanos })
        });
        let [first, second, third] = tries;
        [second, third].into_iter().fold(first, |best, each| if each.0 < best.0 { each } else { best }).1
    }
}

/// Whether one runtime's events are recorded.
#[derive(Debug)]
pub(crate) struct Recorder {
    on: CachePadded<AtomicU32>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Arc<Session>>,
    last: u32,
}

/// What a session is to keep.
#[derive(Debug, Clone)]
pub(crate) enum Keep {
    /// The newest records: so many of each M.
    Newest(u64),
    /// All records, until the budget is used up; so many of each M may wait to be collected.
    All(Arc<Budget>, u64),
}

impl Keep {
    /// The first `records` records, which wait until the end.
    pub(crate) fn first(records: u64) -> Self {
        Self::All(Arc::new(Budget::new(records)), records) // one ring may have to hold them all
    }

    fn ring(&self) -> Ring {
        match self {
            Self::Newest(records) => Ring::new(*records, Mode::Flight),
            Self::All(budget, waiting) => Ring::new(*waiting, Mode::Collect(Arc::clone(budget))),
        }
    }
}

/// What a session is for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) keep: Keep,
    /// How many tasks get a track of their own.
    pub(crate) task_tracks: usize,
    /// It is written out while it is recorded.
    pub(crate) streamed: bool,
    /// The program did not start it, and does not stop it.
    pub(crate) by_environment: bool,
}

/// A recording in progress, or one that has ended and is not yet exported.
#[derive(Debug)]
pub(crate) struct Session {
    number: u32,
    plan: Plan,
    opening: OnceLock<Opening>,
    /// The thread that writes it out.
    writer: Mutex<Option<JoinHandle<io::Result<()>>>>,
    rings: Mutex<Rings>,
    /// Up to where each ring has been read; held while they are read.
    read: Mutex<Vec<u64>>,
    /// The first ring, that of the threads that are no Ms, which is written under this lock.
    others: Mutex<Arc<Ring>>,
    names: Mutex<HashMap<u64, Arc<str>>>,
    /// When somebody found that its budget was used up, and the stamp of the first record that was refused (N4).
    filled: OnceLock<Moment>,
    refused: AtomicU64,
    /// When it was stopped.
    stopped: OnceLock<Moment>,
    /// Set, and rung, when it ends; whoever writes it out waits for that.
    ended: Mutex<bool>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Rings {
    all: Vec<Place>,
    /// Those whose M has ended.
    free: Vec<usize>,
}

/// A ring in a session.
#[derive(Debug, Clone)]
struct Place {
    ring: Arc<Ring>,
    owner: Option<(u32, bool)>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { on: CachePadded::new(AtomicU32::new(0)), state: Mutex::default() }
    }

    /// Whether anything is recorded.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        // Ordering: Relaxed; seen late, a few events are missing or too many at either end.
        self.on.load(Relaxed) != 0
    }

    /// The number of the session that is being recorded; 0: none is.
    pub(crate) fn number(&self) -> u32 {
        // Ordering: Relaxed; as in `is_on`.
        self.on.load(Relaxed)
    }

    /// The session, recording or ended and not yet taken away.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        lock(&self.state).session.clone()
    }

    /// Starts a session, from which on events are recorded. `None`: there is one.
    pub(crate) fn start(&self, plan: Plan) -> Option<Arc<Session>> {
        let mut state = lock(&self.state);
        if state.session.is_some() {
            return None;
        }
        state.last = state.last.wrapping_add(1).max(1);
        let others = Arc::new(plan.keep.ring());
        let session = Arc::new(Session {
            number: state.last,
            rings: Mutex::new(Rings {
                all: vec![Place { ring: Arc::clone(&others), owner: None }],
                free: Vec::new(),
            }),
            read: Mutex::default(),
            plan,
            opening: OnceLock::new(),
            writer: Mutex::new(None),
            others: Mutex::new(others),
            names: Mutex::default(),
            filled: OnceLock::new(),
            refused: AtomicU64::new(u64::MAX),
            stopped: OnceLock::new(),
            ended: Mutex::new(false),
            bell: Condvar::new(),
        });
        state.session = Some(Arc::clone(&session));
        // Ordering: Relaxed; whoever sees it takes the session from under the lock.
        self.on.store(session.number, Relaxed);
        Some(session)
    }

    /// Ends the session, and takes it away. `None`: there is none.
    pub(crate) fn stop(&self) -> Option<Arc<Session>> {
        let mut state = lock(&self.state);
        let session = state.session.take()?;
        session.stopped.get_or_init(Moment::now); // N4
        // Ordering: Relaxed; seen late, a few events are recorded that nobody reads. Under the lock: the next session may
        // begin as soon as it is free.
        self.on.store(0, Relaxed);
        drop(state);
        session.end();
        Some(session)
    }

    #[cold]
    fn fill(&self, session: &Session, stamp: u64) {
        // Ordering: Relaxed; read when nobody writes it any more, or a little too late.
        session.refused.fetch_min(stamp, Relaxed);
        session.filled.get_or_init(Moment::now);
        self.abandon(session);
    }

    /// Records nothing more in `session`, which still is to be taken away.
    pub(crate) fn abandon(&self, session: &Session) {
        let state = lock(&self.state);
        if state.session.as_ref().is_some_and(|current| current.number == session.number) {
            // Ordering: Relaxed; as in `stop`.
            self.on.store(0, Relaxed);
        }
        drop(state);
        session.end();
    }

    /// Records an event of a thread that has no tap. `then`: one without a stamp that belongs to it.
    #[cold]
    pub(crate) fn note(&self, event: Event, then: Option<Event>) {
        let Some(session) = self.session() else { return };
        let full = {
            let ring = lock(&session.others);
            let stamp = ticks::now(); // under the lock: the stamps stand in order
            push(&ring, stamp, event.pack(), then.map(Event::pack)).then_some(stamp)
        };
        if let Some(stamp) = full {
            self.fill(&session, stamp);
        }
    }

    /// A task has a name.
    pub(crate) fn name(&self, g: u64, name: &Arc<str>) {
        if self.is_on()
            && let Some(session) = self.session()
        {
            session.add_names([(g, Arc::clone(name))]);
        }
    }
}

/// True: the budget is used up.
#[inline(always)]
fn push(ring: &Ring, stamp: u64, event: (u8, u64), then: Option<(u8, u64)>) -> bool {
    let stamp = stamp & ((1 << STAMP_BITS) - 1);
    let first = (u64::from(event.0) << STAMP_BITS | stamp, event.1);
    let pushed = match then {
        None => ring.push(first.0, first.1),
        Some((kind, word)) => ring.push_both(first, (u64::from(kind) << STAMP_BITS, word)),
    };
    pushed == Pushed::Full
}

impl Session {
    fn end(&self) {
        *lock(&self.ended) = true;
        self.bell.notify_all();
    }

    /// Waits until the session ends, or for `limit`. True: it has ended.
    pub(crate) fn wait_for_end(&self, limit: Duration) -> bool {
        let ended = lock(&self.ended);
        let waited = self.bell.wait_timeout_while(ended, limit, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// How things stood at its start, which is told once.
    pub(crate) fn set_opening(&self, opening: Opening) {
        self.opening.get_or_init(|| opening);
    }

    /// How things stood at its start; `None`: it is just being started.
    pub(crate) fn opening(&self) -> Option<&Opening> {
        self.opening.get()
    }

    pub(crate) fn task_tracks(&self) -> usize {
        self.plan.task_tracks
    }

    /// It keeps the newest records, and writes over the others.
    pub(crate) fn keeps_newest(&self) -> bool {
        matches!(self.plan.keep, Keep::Newest(_))
    }

    pub(crate) fn is_streamed(&self) -> bool {
        self.plan.streamed
    }

    /// The program did not start it, and does not stop it.
    pub(crate) fn is_by_environment(&self) -> bool {
        self.plan.by_environment
    }

    pub(crate) fn set_writer(&self, thread: JoinHandle<io::Result<()>>) {
        *lock(&self.writer) = Some(thread);
    }

    /// The thread that writes it out, for the one who waits for it.
    pub(crate) fn take_writer(&self) -> Option<JoinHandle<io::Result<()>>> {
        lock(&self.writer).take()
    }

    /// Its budget was used up.
    pub(crate) fn is_full(&self) -> bool {
        self.filled.get().is_some()
    }

    /// Up to when all is recorded, if it has ended (N4).
    pub(crate) fn ended_at(&self) -> Option<Moment> {
        let stopped = self.stopped.get().copied();
        let end = self.filled.get().copied().or(stopped)?;
        let from = self.opening.get().map_or(end, |opening| opening.from);
        // Ordering: Relaxed; as in `fill`.
        let refused = self.refused.load(Relaxed);
        Some(if refused < end.ticks { Moment::between(from, end, refused) } else { end })
    }

    /// A flight recorder forgets the oldest again: it has no end, and its rings have room for the records of so many tasks
    /// only. Those that live all have their names in the table (names.rs), from which a snapshot takes them.
    pub(crate) fn add_names(&self, names: impl IntoIterator<Item = (u64, Arc<str>)>) {
        let rings = lock(&self.rings).all.len();
        let mut all = lock(&self.names);
        all.extend(names);
        if let Keep::Newest(records) = self.plan.keep {
            // A task has four records at least: its spawn and the site, its end and the site.
            let most = usize::try_from(records / 4).unwrap_or(usize::MAX).max(512).saturating_mul(rings);
            if all.len() / 2 > most {
                let mut ids: Vec<_> = all.keys().copied().collect();
                let oldest = ids.len() - most;
                let oldest = *ids.select_nth_unstable(oldest).1;
                all.retain(|&id, _| id >= oldest);
            }
        }
    }

    /// Records written, and records lost for want of room.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let rings = lock(&self.rings);
        rings
            .all
            .iter()
            .fold((0, 0), |(written, lost), place| (written + place.ring.written(), lost + place.ring.lost()))
    }

    /// What was recorded since this was last asked; `anew`: since the beginning, as far as it is still there. `upto`: a moment
    /// before which all has been recorded.
    pub(crate) fn collect(&self, upto: Moment, anew: bool) -> Batch {
        let mut read = lock(&self.read);
        let places = lock(&self.rings).all.clone(); // N5
        let mut batch = Batch { rings: Vec::new(), upto, names: HashMap::new() };
        let mut words = Vec::new();
        read.resize(places.len(), 0);
        for (ring, (place, read)) in places.into_iter().zip(read.iter_mut()).enumerate() {
            words.clear();
            let mut from = if anew { 0 } else { *read };
            let gap = place.ring.read_to(&mut from, &mut words, !anew);
            *read = from;
            let records = words.iter().filter_map(|&(first, second)| Record::of_words(first, second));
            batch.rings.push(RingBatch { ring, records: records.collect(), gap, owner: place.owner });
        }
        drop(read);
        batch.names = if anew { lock(&self.names).clone() } else { std::mem::take(&mut lock(&self.names)) };
        batch
    }

    /// `new`: the M held no P before this.
    fn attach(&self, m: u32, caller: bool, new: bool) -> (usize, Arc<Ring>) {
        let mut rings = lock(&self.rings);
        let free = if new { rings.free.pop() } else { None };
        let at = free.unwrap_or_else(|| {
            rings.all.push(Place { ring: Arc::new(self.plan.keep.ring()), owner: None });
            rings.all.len() - 1
        });
        let place = &mut rings.all[at];
        place.owner = Some((m, caller));
        (at, Arc::clone(&place.ring))
    }

    fn detach(&self, at: usize) {
        let mut rings = lock(&self.rings);
        rings.all[at].owner = None;
        rings.free.push(at);
    }
}

/// An M's way to its ring (N1).
#[derive(Debug, Default)]
pub(crate) struct Tap {
    /// The session's number; 0: none.
    number: Cell<u32>,
    held: RefCell<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    /// An M that has nothing to record for long does not keep the rings of others.
    session: Weak<Session>,
    at: usize,
    ring: Arc<Ring>,
    m: u32,
}

impl Tap {
    /// Records an event of the M numbered `m`, or, `caller`, of one that is a caller of `block_on`. `then`: one without a
    /// stamp that belongs to it.
    #[inline(never)]
    pub(crate) fn write(
        &self,
        recorder: &Recorder,
        (m, caller): (u32, bool),
        event: (u8, u64),
        then: Option<(u8, u64)>,
    ) {
        // Ordering: Relaxed; as in `is_on`.
        if self.number.get() != recorder.on.load(Relaxed) {
            self.attach(recorder, (m, caller), event.0);
        }
        let stamp = ticks::now(); // after what the ring's last owner has written
        let held = self.held.borrow();
        let Some(held) = &*held else { return };
        if push(&held.ring, stamp, event, then)
            && let Some(session) = held.session.upgrade()
        {
            recorder.fill(&session, stamp);
        }
    }

    #[cold]
    fn attach(&self, recorder: &Recorder, (m, caller): (u32, bool), kind: u8) {
        self.detach();
        // Ordering: Relaxed; as in `is_on`.
        let on = recorder.on.load(Relaxed);
        let session = recorder.session().filter(|session| session.number == on);
        let Some(session) = session else { return };
        // One that was there before is to be told from its first records (`timeline/opening.rs`): on a ring of its own.
        let is = |event: Event| event.pack().0 == kind;
        let new = is(Event::TakeP { p: 0, turn: 0 }) || caller && is(Event::RunBegin { g: 0, seq: 0, p: 0 });
        let (at, ring) = session.attach(m, caller, new);
        let _ = push(&ring, ticks::now(), Event::MachineStart { m, caller }.pack(), None);
        self.number.set(session.number);
        let session = Arc::downgrade(&session);
        *self.held.borrow_mut() = Some(Held { session, at, ring, m });
    }

    fn detach(&self) {
        self.number.set(0);
        let held = self.held.borrow_mut().take();
        if let Some(Held { session, at, ring, m }) = held
            && let Some(session) = session.upgrade()
        {
            let _ = push(&ring, ticks::now(), Event::MachineStop { m }.pack(), None);
            session.detach(at);
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.detach();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::record::Queue;

    fn plan(keep: Keep) -> Plan {
        Plan { keep, task_tracks: 0, streamed: false, by_environment: false }
    }

    fn spawn(g: u64) -> (u8, u64) {
        Event::Spawn { g, to: Queue::INJECTOR }.pack()
    }

    fn events(session: &Session) -> Vec<Vec<Event>> {
        let batch = session.collect(Moment::now(), true);
        batch
            .rings
            .into_iter()
            .map(|ring| ring.records.into_iter().map(|record| record.event).collect())
            .collect()
    }

    #[test]
    fn an_m_has_a_ring_and_leaves_it_to_the_next() {
        let recorder = Recorder::new();
        assert!(!recorder.is_on());
        let session = recorder.start(plan(Keep::first(1000))).unwrap();
        assert!(recorder.is_on() && recorder.start(plan(Keep::first(1000))).is_none());
        for m in [7, 8] {
            let tap = Tap::default();
            tap.write(&recorder, (m, false), Event::TakeP { p: 1, turn: m as u16 }.pack(), None);
            tap.write(&recorder, (m, false), spawn(u64::from(m)), Some(Event::Site { at: 5 }.pack()));
        }
        recorder.note(Event::AskYield { m: 1 }, None);
        let to = Queue::INJECTOR;
        let [others, ms] = events(&session).try_into().unwrap();
        assert_eq!(others, [Event::AskYield { m: 1 }]);
        let one = |m: u32| {
            let spawn = Event::Spawn { g: u64::from(m), to };
            let start = Event::MachineStart { m, caller: false };
            let take = Event::TakeP { p: 1, turn: m as u16 };
            [start, take, spawn, Event::Site { at: 5 }, Event::MachineStop { m }]
        };
        assert_eq!(ms, [one(7), one(8)].concat());
    }

    #[test]
    fn a_tap_goes_over_to_the_next_session() {
        let recorder = Recorder::new();
        let tap = Tap::default();
        for g in 1..=3 {
            let session = recorder.start(plan(Keep::Newest(1000))).unwrap();
            tap.write(&recorder, (1, false), spawn(g), None);
            assert!(Arc::ptr_eq(&recorder.stop().unwrap(), &session));
            assert!(recorder.stop().is_none());
            tap.write(&recorder, (1, false), spawn(100), None); // as one that saw the end late
            let rings = events(&session);
            let seen: Vec<_> = rings.concat();
            assert!(seen.contains(&Event::Spawn { g, to: Queue::INJECTOR }), "{seen:?}");
            assert_eq!(rings.concat().len(), 3, "{seen:?}");
        }
    }

    #[test]
    fn a_session_without_budget_ends_by_itself() {
        let recorder = Recorder::new();
        let session = recorder.start(plan(Keep::first(10))).unwrap();
        let tap = Tap::default();
        assert!(!session.wait_for_end(Duration::ZERO) && !session.is_full());
        for g in 0..20 {
            tap.write(&recorder, (1, false), spawn(g), None);
        }
        assert!(!recorder.is_on() && session.wait_for_end(Duration::ZERO) && session.is_full());
        assert!(recorder.start(plan(Keep::first(10))).is_none(), "it waits to be taken away");
        assert_eq!(events(&session).concat().len(), 10);
        let (written, lost) = session.counts();
        assert!(written == 10 && lost >= 1, "{written}, {lost}");
        assert!(recorder.stop().is_some());
    }

    #[test]
    fn the_end_of_one_session_does_not_put_out_the_next() {
        let recorder = Recorder::new();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let session = loop {
                            if let Some(session) = recorder.start(plan(Keep::Newest(1))) {
                                break session;
                            }
                        };
                        let on = (0..200).all(|_| recorder.is_on());
                        assert!(Arc::ptr_eq(&recorder.stop().unwrap(), &session));
                        assert!(on, "another's end has put it out");
                    }
                });
            }
        });
    }

    #[test]
    fn a_flight_recorder_does_not_keep_each_name() {
        let recorder = Recorder::new();
        let session = recorder.start(plan(Keep::Newest(4096))).unwrap();
        for g in 0..100_000 {
            recorder.name(g, &"task".into());
        }
        let names = session.collect(Moment::now(), true).names;
        assert!(names.len() <= 2 * 1024 + 1, "{}", names.len());
        assert!((99_000..100_000).all(|g| names.contains_key(&g)));
    }

    #[test]
    fn a_tap_does_not_keep_a_session_that_is_over() {
        let recorder = Recorder::new();
        let session = Arc::downgrade(&recorder.start(plan(Keep::first(1000))).unwrap());
        let tap = Tap::default();
        tap.write(&recorder, (1, false), spawn(1), None);
        drop(recorder.stop());
        assert!(session.upgrade().is_none());
        assert!(recorder.start(plan(Keep::first(1000))).is_some());
        tap.write(&recorder, (1, false), spawn(2), None);
        assert_eq!(events(&recorder.stop().unwrap()).concat().len(), 2);
    }

    #[test]
    fn what_was_collected_is_not_collected_again() {
        let recorder = Recorder::new();
        let session = recorder.start(plan(Keep::first(100))).unwrap();
        recorder.note(Event::AskYield { m: 1 }, None);
        recorder.name(3, &"three".into());
        let batch = session.collect(Moment::now(), false);
        assert_eq!((batch.rings[0].records.len(), batch.names.len()), (1, 1));
        let batch = session.collect(Moment::now(), false);
        assert_eq!((batch.rings[0].records.len(), batch.names.len()), (0, 0));
    }
}
