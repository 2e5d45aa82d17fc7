//! The threads, found by their ring or their M, and their tracks.
//!
//! Go counterpart: none; Go's records name the M.
//!
//! M1. A ring's events belong to the M that last started on it. Where that record is lost a later one tells, or the owner.
//! M2. At most [`TRACKS`] threads have a track; the others are counted.
//!
//! Absent: what threads do (`apply.rs`).

use super::processor::Run;
use super::tasks::TID_LIMIT;
use super::thread::{Class, Track};
use crate::trace::chrome::{Place, TID_CALLER, TID_FOREIGN, TID_M, Writer};
use rustc_hash::FxHashMap;

/// How many threads have a track: with thousands a viewer takes half a minute to load.
const TRACKS: usize = 1000;

/// A poll that is over, and what it may yet turn out to have ended with.
pub(super) struct Ended {
    pub(super) at: Place,
    pub(super) span: (u64, u64),
    pub(super) run: Run,
    pub(super) end: &'static str,
    pub(super) on: Option<&'static str>,
    pub(super) exit: Option<&'static str>,
}

/// A thread: whoever writes one ring.
pub(super) struct Thread {
    pub(super) m: Option<u32>,
    pub(super) caller: bool,
    /// Its index among the tracks.
    pub(super) track: usize,
    /// The callers' track of this ring.
    caller_track: Option<usize>,
    pub(super) p: Option<u16>,
    pub(super) run: Option<Run>,
    /// The time of its last record.
    pub(super) last: u64,
    /// Its last record is where its stamp says, but for ties.
    pub(super) tied: bool,
    pub(super) timers: bool,
    /// It was looking for work when it began to fire timers.
    pub(super) respin: bool,
    pub(super) blocked: bool,
    pub(super) ended: Option<Ended>,
    /// The task whose run ended last, and where it put itself: the P.
    pub(super) yielded: Option<(u64, Option<u16>)>,
    pub(super) class: Option<Class>,
    /// Its first records have been looked at.
    pub(super) looked: bool,
}

/// All of them.
pub(super) struct Threads {
    from: u64,
    pub(super) all: Vec<Thread>,
    of_ring: Vec<Option<usize>>,
    of_m: FxHashMap<u32, usize>,
    pub(super) tracks: Vec<Track>,
    track_of_m: FxHashMap<u32, usize>,
    callers: u64,
    pub(super) left_out: u64,
    foreign: bool,
    pub(super) counts: [u64; 4],
}

impl Threads {
    pub(super) fn new(from: u64) -> Self {
        Self {
            from,
            all: Vec::new(),
            of_ring: Vec::new(),
            of_m: FxHashMap::default(),
            tracks: vec![Track::new(None, from)], // of those that have none
            track_of_m: FxHashMap::default(),
            callers: 0,
            left_out: 0,
            foreign: false,
            counts: [0; 4],
        }
    }

    fn add(&mut self) -> usize {
        self.all.push(Thread {
            m: None,
            caller: false,
            track: 0,
            caller_track: None,
            p: None,
            run: None,
            last: self.from,
            tied: true,
            timers: false,
            respin: false,
            blocked: false,
            ended: None,
            yielded: None,
            class: None,
            looked: false,
        });
        self.all.len() - 1
    }

    /// The thread of a ring. `m`: which M it is, where that is known before its first record.
    pub(super) fn of_ring(&mut self, ring: usize, m: Option<u32>) -> usize {
        if self.of_ring.len() <= ring {
            self.of_ring.resize(ring + 1, None);
        }
        if let Some(thread) = self.of_ring[ring] {
            return thread;
        }
        // A statement may have named the M before its ring was seen.
        let known = m.and_then(|m| self.of_m.get(&m).copied()).filter(|&thread| !self.all[thread].looked);
        let thread = known.unwrap_or_else(|| self.add());
        self.of_ring[ring] = Some(thread);
        thread
    }

    /// The thread of a ring that was seen before.
    pub(super) fn of_ring_known(&self, ring: usize) -> Option<usize> {
        self.of_ring.get(ring).copied().flatten()
    }

    pub(super) fn of_m(&self, m: u32) -> Option<usize> {
        self.of_m.get(&m).copied().filter(|&thread| self.all[thread].m == Some(m))
    }

    /// The thread of an M that has made no record.
    pub(super) fn silent(&mut self, m: u32, out: &mut Writer<'_>) -> usize {
        let thread = self.add();
        self.become_m(thread, m, false, out);
        thread
    }

    /// From now on the thread is this M.
    pub(super) fn become_m(&mut self, thread: usize, m: u32, caller: bool, out: &mut Writer<'_>) {
        self.of_m.insert(m, thread);
        let known = if caller { self.all[thread].caller_track } else { self.track_of_m.get(&m).copied() };
        let track = known.unwrap_or_else(|| self.add_track(m, caller, out));
        let it = &mut self.all[thread];
        it.m = Some(m);
        it.caller = caller;
        it.track = track;
        if caller {
            it.caller_track = Some(track);
        } else {
            self.track_of_m.insert(m, track);
        }
    }

    fn add_track(&mut self, m: u32, caller: bool, out: &mut Writer<'_>) -> usize {
        let (tid, name) = if caller {
            self.callers += 1;
            (TID_CALLER + self.callers, format!("block_on {}", self.callers))
        } else {
            (TID_M + u64::from(m), format!("M{m}"))
        };
        let fits = tid < TID_LIMIT && (!caller || tid < TID_FOREIGN) && self.tracks.len() <= TRACKS;
        let at = fits.then(|| Place::m(tid));
        match at {
            Some(at) => out.thread(at, &name),
            None => self.left_out += 1,
        }
        self.tracks.push(Track::new(at, self.from));
        self.tracks.len() - 1
    }

    pub(super) fn track(&mut self, thread: usize) -> &mut Track {
        &mut self.tracks[self.all[thread].track]
    }

    /// The track of the threads that are no Ms.
    pub(super) fn foreign(&mut self, out: &mut Writer<'_>) -> Place {
        let at = Place::m(TID_FOREIGN);
        if !std::mem::replace(&mut self.foreign, true) {
            out.thread(at, "other threads");
        }
        at
    }

    /// Counts the thread among those of this class.
    pub(super) fn classify(&mut self, thread: usize, class: Option<Class>) -> bool {
        let old = std::mem::replace(&mut self.all[thread].class, class);
        if let Some(old) = old {
            self.counts[old as usize] -= 1;
        }
        if let Some(class) = class {
            self.counts[class as usize] += 1;
        }
        old != class
    }
}
