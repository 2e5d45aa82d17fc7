//! One order for the records of all rings.
//!
//! Go counterpart: `internal/trace/order.go`, `batchcursor.go`.
//!
//! ```text
//!   ring 0:  ──▶ head ┐
//!   ring 1:  ──▶ head ┼─ the earliest stamp that is ready ─▶ Item, Item, …
//!   ring 2:  ──▶ head ┘         not ready: aside, until its predecessor was taken
//! ```
//!
//! G1. Each ring's order is kept.
//! G2. A task's transitions are taken in the order of their sequence numbers, a P's holdings in that of their turns, as
//!     far as all of them are there: clocks of two cores may disagree, the numbers do not.
//!     A thread that takes a P, or sleeps, has lost the one that it had: who took that is heard first, and has taken it by then,
//!     though it may say so later.
//! G3. Nothing waits for ever. What waits is taken out of order when everything else that is there is later than it by
//!     [`PATIENCE_NS`], or when nothing else is there.
//!
//! Absent: what a record means, and times in nanoseconds (`timeline.rs`).

use super::record::{Event, Record, STAMP_BITS};
use super::recording::RingBatch;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// How much later than a record that waits for its predecessor the others may be: more than clocks of cores disagree by.
const PATIENCE_NS: u64 = 5_000_000;

/// A record, with the one that belongs to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) ring: usize,
    /// All 64 bits of its stamp.
    pub(super) ticks: u64,
    pub(super) event: Event,
    /// The record without a stamp that followed.
    pub(super) more: Option<Event>,
    /// A transition that came after a later one of the same task.
    pub(super) stale: bool,
    /// Records were lost on this ring just before.
    pub(super) gap: bool,
}

#[derive(Default)]
struct Queue {
    /// The P that its thread holds.
    p: Option<u16>,
    records: VecDeque<Record>,
    gap: bool,
    queued: bool,
}

/// Whether a record may be taken.
enum Ready {
    Yes,
    /// It comes after a later one.
    Stale,
    /// It waits for its predecessor, this long.
    Wait(u64),
}

/// What is known of a P's holdings.
#[derive(Clone, Copy)]
struct Holding {
    turn: u16,
    held: bool,
}

/// The merge.
pub(super) struct Merge {
    rings: Vec<Queue>,
    /// The heads: stamp, ring.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    /// Heads that wait: stamp, ring, up to which stamp.
    aside: Vec<(u64, usize, u64)>,
    /// The last sequence number that was taken; `None`: the task is known, the number is not.
    tasks: FxHashMap<u64, Option<u8>>,
    holdings: Vec<Option<Holding>>,
    /// The ring of the thread that holds each P.
    of_p: Vec<Option<usize>>,
    /// What stamps are told apart by: a full stamp near them.
    near: u64,
    ticks_per_us: u64,
    pub(super) reordered: u64,
}

/// All 64 bits of a stamp that is less than 2^55 ticks from `near`.
pub(super) fn unwrap_stamp(stamp: u64, near: u64) -> u64 {
    let shift = 64 - STAMP_BITS;
    let away = (stamp.wrapping_sub(near) << shift).cast_signed() >> shift;
    near.wrapping_add_signed(away)
}

impl Merge {
    pub(super) fn new(procs: usize) -> Self {
        Self {
            rings: Vec::new(),
            heads: BinaryHeap::new(),
            aside: Vec::new(),
            tasks: FxHashMap::default(),
            holdings: vec![None; procs],
            of_p: vec![None; procs],
            near: 0,
            ticks_per_us: 1000,
            reordered: 0,
        }
    }

    /// A task that was alive before the first record.
    pub(super) fn knows(&mut self, g: u64) {
        self.tasks.entry(g).or_insert(None);
    }

    /// The stamps that follow are near `ticks`, and this many ticks make a microsecond.
    pub(super) fn calibrate(&mut self, ticks: u64, ticks_per_us: u64) {
        self.near = ticks;
        self.ticks_per_us = ticks_per_us.max(1);
    }

    /// Learns from the rings of the first batch which Ps were held when it began: those that are released with a turn that
    /// nobody took.
    pub(super) fn foresee(&mut self, rings: &[RingBatch], first: bool) {
        if first {
            self.know_older(rings);
        }
        let mut first: Vec<Option<(u16, bool)>> = vec![None; self.holdings.len()];
        for record in rings.iter().flat_map(|ring| &ring.records) {
            let (p, turn, taken) = match record.event {
                Event::TakeP { p, turn } => (p, turn, true),
                Event::GiveP { p, turn, .. } | Event::Retake { p, turn, .. } => (p, turn, false),
                _ => continue,
            };
            if let Some(first) = first.get_mut(usize::from(p)) {
                *first = Some(match *first {
                    Some((least, taken_first)) if least == turn => (turn, taken || taken_first),
                    Some((least, taken_first)) if turn.wrapping_sub(least) < 0x8000 => (least, taken_first),
                    _ => (turn, taken),
                });
            }
        }
        for (holding, first) in self.holdings.iter_mut().zip(first) {
            if let (None, Some((turn, taken))) = (&holding, first) {
                let turn = if taken { turn.wrapping_sub(1) } else { turn };
                *holding = Some(Holding { turn, held: !taken });
            }
        }
    }

    /// Tasks that were spawned before the first batch need not be waited for, though their first run is in it.
    fn know_older(&mut self, rings: &[RingBatch]) {
        let all = || rings.iter().flat_map(|ring| &ring.records);
        let spawned: FxHashSet<u64> = all()
            .filter_map(|record| match record.event {
                Event::Spawn { g, .. } => Some(g),
                _ => None,
            })
            .collect();
        for record in all() {
            if let Event::RunBegin { g, seq: 1, .. } = record.event
                && !spawned.contains(&g)
            {
                self.knows(g);
            }
        }
    }

    pub(super) fn push(&mut self, batch: RingBatch) {
        if self.rings.len() <= batch.ring {
            self.rings.resize_with(batch.ring + 1, Queue::default);
        }
        let ring = &mut self.rings[batch.ring];
        if ring.records.is_empty() {
            ring.records = batch.records.into();
            ring.gap |= batch.gap;
        } else {
            ring.records.extend(batch.records);
        }
        self.queue(batch.ring);
    }

    /// Puts the ring's head among the heads.
    fn queue(&mut self, index: usize) {
        let ring = &mut self.rings[index];
        if ring.queued {
            return;
        }
        while let Some(head) = ring.records.front() {
            if head.event.is_stamped() {
                let ticks = unwrap_stamp(head.stamp, self.near);
                ring.queued = true;
                self.heads.push(Reverse((ticks, index)));
                return;
            }
            ring.records.pop_front(); // the record that it belonged to is lost
        }
    }

    /// The next record that is stamped before `upto`. `last`: no more will come.
    pub(super) fn next(&mut self, upto: u64, last: bool) -> Option<Item> {
        loop {
            let head = self.heads.peek().map(|head| head.0).filter(|head| last || head.0 < upto);
            // Whoever waits has waited enough if all the others are later than its patience.
            let horizon = match head {
                Some((ticks, _)) => ticks,
                None if last => u64::MAX,
                None => upto,
            };
            if let Some(at) = (0..self.aside.len())
                .filter(|&at| self.aside[at].2 <= horizon)
                .min_by_key(|&at| self.aside[at].0)
            {
                let (ticks, ring, _) = self.aside.swap_remove(at);
                return Some(self.take(ring, ticks, false));
            }
            let (ticks, ring) = head?;
            self.heads.pop();
            match self.ready(ring) {
                Ready::Yes => return Some(self.take(ring, ticks, false)),
                Ready::Stale => return Some(self.take(ring, ticks, true)),
                Ready::Wait(ns) => {
                    let patience = u128::from(ns) * u128::from(self.ticks_per_us) / 1000;
                    let until = ticks.saturating_add(u64::try_from(patience).unwrap_or(u64::MAX));
                    self.aside.push((ticks, ring, until));
                }
            }
        }
    }

    fn ready(&self, ring: usize) -> Ready {
        let queue = &self.rings[ring];
        let Some(head) = queue.records.front() else { return Ready::Yes };
        match head.event {
            Event::Wake { g, seq, .. }
            | Event::RunBegin { g, seq, .. }
            | Event::RunEnd { g, seq, .. }
            | Event::Requeue { g, seq, .. }
            | Event::Exit { g, seq, .. }
                if g != 0 =>
            {
                let begins = matches!(head.event, Event::RunBegin { .. });
                match self.tasks.get(&g) {
                    Some(&Some(before)) => match seq.wrapping_sub(before.wrapping_add(1)) {
                        0 => Ready::Yes,
                        1..128 if !queue.gap => Ready::Wait(PATIENCE_NS),
                        1..128 => Ready::Yes,
                        _ => Ready::Stale,
                    },
                    // Its spawn is still to come.
                    None if seq == 1 && begins && !queue.gap => Ready::Wait(PATIENCE_NS),
                    None | Some(None) => Ready::Yes,
                }
            }
            // It has lost its P: whoever took that says so a little later.
            Event::TakeP { .. } | Event::Park(_) if queue.p.is_some() => Ready::Wait(PATIENCE_NS),
            Event::TakeP { p, turn } => match self.holdings.get(usize::from(p)) {
                Some(&Some(Holding { turn: before, held })) => match turn.wrapping_sub(before) {
                    1 if !held => Ready::Yes,
                    1..0x8000 => Ready::Wait(PATIENCE_NS),
                    _ => Ready::Yes,
                },
                _ => Ready::Yes,
            },
            Event::Retake { p, turn, .. } => match self.holdings.get(usize::from(p)) {
                Some(&Some(Holding { turn: before, held })) => match turn.wrapping_sub(before) {
                    0 if held => Ready::Yes,
                    1..0x8000 => Ready::Wait(PATIENCE_NS),
                    _ => Ready::Yes,
                },
                _ => Ready::Yes,
            },
            _ => Ready::Yes,
        }
    }

    fn take(&mut self, index: usize, mut ticks: u64, stale: bool) -> Item {
        if let Some(Event::Retake { p, .. }) = self.rings[index].records.front().map(|head| head.event)
            && let Some(&Some(loser)) = self.of_p.get(usize::from(p))
            && let Some(waits) = self.aside.iter().find(|waits| waits.1 == loser)
        {
            ticks = ticks.min(waits.0);
        }
        let ring = &mut self.rings[index];
        ring.queued = false;
        let gap = std::mem::take(&mut ring.gap);
        // A ring that stands among the heads or aside has a record.
        let event = ring.records.pop_front().map_or(Event::Unpark, |record| record.event);
        let more = match ring.records.front() {
            Some(next) if !next.event.is_stamped() => {
                let next = next.event;
                ring.records.pop_front();
                Some(next)
            }
            _ => None,
        };
        self.queue(index);
        if !stale {
            match event {
                Event::TakeP { p, .. } => self.holds(index, p),
                Event::MachineStart { .. } | Event::MachineStop { .. } => self.rings[index].p = None,
                _ => {}
            }
            self.taken(event);
        }
        Item { ring: index, ticks, event, more, stale, gap }
    }

    /// Notes what was taken, and lets go on who waited for it.
    fn taken(&mut self, event: Event) {
        match event {
            Event::Spawn { g, .. } => {
                self.tasks.insert(g, Some(0));
            }
            Event::Wake { g, seq, .. }
            | Event::RunBegin { g, seq, .. }
            | Event::RunEnd { g, seq, .. }
            | Event::Requeue { g, seq, .. }
                if g != 0 =>
            {
                self.tasks.insert(g, Some(seq));
            }
            Event::Exit { g, .. } => {
                self.tasks.remove(&g);
            }
            Event::TakeP { p, turn } => self.held(p, turn, true),
            Event::GiveP { p, turn, .. } | Event::Retake { p, turn, .. } => self.held(p, turn, false),
            _ => return,
        }
        let mut at = 0;
        while at < self.aside.len() {
            let (ticks, ring, _) = self.aside[at];
            if matches!(self.ready(ring), Ready::Wait(_)) {
                at += 1;
            } else {
                self.aside.swap_remove(at);
                self.reordered += 1;
                self.heads.push(Reverse((ticks, ring)));
            }
        }
    }

    /// The ring's thread holds this P from now on.
    pub(super) fn holds(&mut self, ring: usize, p: u16) {
        if self.rings.len() <= ring {
            self.rings.resize_with(ring + 1, Queue::default);
        }
        if let Some(holder) = self.of_p.get_mut(usize::from(p)) {
            if let Some(before) = holder.replace(ring) {
                self.rings[before].p = None;
            }
            self.rings[ring].p = Some(p);
        }
    }

    fn held(&mut self, p: u16, turn: u16, held: bool) {
        if !held && let Some(ring) = self.of_p.get_mut(usize::from(p)).and_then(Option::take) {
            self.rings[ring].p = None;
        }
        if let Some(holding) = self.holdings.get_mut(usize::from(p)) {
            *holding = Some(Holding { turn, held });
        }
    }
}
