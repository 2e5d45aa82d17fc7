//! One thing that the scheduler did, in 16 bytes.
//!
//! Go counterpart: `tracev2`'s events (`internal/trace/tracev2/events.go`).
//!
//! ```text
//!   word 0:  kind 8 │ time stamp 56          word 1, of a task:   id 40 │ seq 8 │ aux 16
//!                                                    of a P:      as `Event::pack` says
//! ```
//!
//! B1. Each ring is written by one thread at a time, in the order in which that thread did things. An event of an M
//!     belongs to the M that last started on that ring, and to the task whose run began there last.
//! B2. Each transition of a task carries its sequence number, one more than that of the one before, modulo 256. Who makes
//!     the transition owns the number then, by the task's state word. So the order of one task's events is known even where the
//!     clocks of two cores disagree.
//! B3. A transition that lets others go on with a task or a P is recorded before it is made: a task's wake before it
//!     is queued, its run's end before it may be woken again, a P's release before another can take it. One that another
//!     has made possible is recorded after it: the beginning of a run, the taking of a P.
//! B5. `Event::Site` is recorded with what `address_of` gave, and read back from rings alone, which give what was written.
//! B4. Each holding of a P carries its turn, one more than that of the one before, modulo 2^16.
//!
//! Absent: names and times; who exports looks the first up and computes the second.

use crate::reason::Reason;
use std::panic::Location;

/// The `Location` whose address a [`Event::Site`] has.
pub(crate) fn site_of(at: usize) -> Option<&'static Location<'static>> {
    let site = std::ptr::with_exposed_provenance::<Location<'static>>(at);
    // SAFETY: B5; `at` is 0 or the address of a `Location` that lives for ever.
    unsafe { site.as_ref() }
}

/// The address of `site`, for [`Event::Site`].
pub(crate) fn address_of(site: &'static Location<'static>) -> usize {
    std::ptr::from_ref(site).expose_provenance()
}

/// Where a task was put: the P with that number, or the injector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queue(u16);

impl Queue {
    pub(crate) const INJECTOR: Self = Self(u16::MAX);

    pub(crate) fn of_p(p: u16) -> Self {
        Self(p)
    }

    /// The P; `None`: the injector.
    pub(crate) fn p(self) -> Option<u16> {
        (self != Self::INJECTOR).then_some(self.0)
    }
}

/// Why a poll ended with the task still to be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It waits, for this; somebody will wake it, or has while it ran ([`Event::Requeue`] follows then).
    Block(Reason),
    /// It yielded by itself, to the queue of its P if no [`Event::Requeue`] follows.
    Yield,
    /// It was made to yield, for its slice was over; to the injector.
    Preempt,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Finished,
    Cancelled,
    Panicked,
}

/// Why an M gave its P up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Give {
    /// There is nothing to do: the P is idle.
    Idle,
    /// The M declared that it blocks, for long.
    Declared,
    /// It was asked to: its poll computes for too long.
    Hog,
    /// To an M in line.
    Line,
    /// A caller of `block_on` has ended its poll.
    Caller,
    /// The runtime closes.
    Closing,
}

/// Why sysmon took a P.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The M was in a declared block.
    Declared,
    /// The M's poll blocked without a word.
    Blocked,
    /// The M's poll computed for too long.
    Hog,
}

/// Where an M sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bed {
    /// In its parker, on the list of idle Ms.
    Idle,
    /// In the poller, until a timer is due.
    Poller,
    /// In line, until there is a P for its poll.
    Line,
}

/// What happened. Where no M or task is named it is the ring's (B1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// An M starts on this ring; or, `caller`, a thread that is none begins a `block_on`.
    MachineStart { m: u32, caller: bool },
    /// It ends.
    MachineStop { m: u32 },
    /// The M has taken a P, its `turn`th holding.
    TakeP { p: u16, turn: u16 },
    /// The M gives it up.
    GiveP { p: u16, turn: u16, why: Give },
    /// The M goes to sleep.
    Park(Bed),
    /// It is awake.
    Unpark,
    /// The M's poll declares that it blocks.
    BlockBegin,
    /// It has ceased to.
    BlockEnd,
    /// The M, which found nothing in its own queues, begins to look elsewhere.
    Seek,
    /// It has taken `n` tasks from P `victim`, after `tries` others had nothing; the last took `took` ticks.
    Steal { victim: u16, n: u8, tries: u8, took: u32 },
    /// It has taken `n` tasks from the injector into its P's queue.
    TakeInjected { p: u16, n: u16 },
    /// Its P's ring was full: `n` tasks went to the injector.
    Overflow { p: u16, n: u16 },
    /// It begins to fire timers, ...
    TimersBegin,
    /// ... `n` of them.
    TimersEnd { n: u32 },
    /// A task is spawned. [`Event::Site`] follows on the same ring.
    Spawn { g: u64, to: Queue },
    /// Where the task of the event before was spawned: the address of its `Location`. No stamp.
    Site { at: usize },
    /// A task that waited is put into a queue.
    Wake { g: u64, seq: u8, to: Queue },
    /// A task is woken while it runs, or is about to wait.
    Mark { g: u64 },
    /// The M polls a task, or, `g` being 0, a caller its future.
    RunBegin { g: u64, seq: u8, p: u16 },
    /// The poll ends, and the task is not complete.
    RunEnd { g: u64, seq: u8, why: End },
    /// The task whose run has just ended is put back: woken meanwhile, or to the injector.
    Requeue { g: u64, seq: u8, to: Queue },
    /// The task whose run began last on this ring is complete. [`Event::Site`] follows.
    Exit { g: u64, seq: u8, fate: Fate },
    /// sysmon has taken P `p`, held for the `turn`th time, ...
    Retake { p: u16, turn: u16, why: Taken },
    /// ... from M `m`. No stamp.
    RetakeFrom { m: u32 },
    /// sysmon asks the poll of M `m` to yield.
    AskYield { m: u32 },
    /// A task that waits in an M's P or the injector is moved from P `p` to the injector, for want of an M.
    Plunder { p: u16, n: u16 },
    /// A statement, made when the recording starts: M `m` holds a P. [`Event::Turn`] follows.
    Holds { p: u16, m: u32 },
    /// The P's turn at that, and the task that it runs (0: none, or a caller's future). No stamp.
    Turn { turn: u16, g: u64 },
}

/// An event as it lies in a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Ticks of the time stamp counter; 0 in those that have none.
    pub(crate) stamp: u64,
    pub(crate) event: Event,
}

/// Bits of a stamp that are kept.
pub(crate) const STAMP_BITS: u32 = 56;
const STAMP: u64 = (1 << STAMP_BITS) - 1;
const ID: u64 = (1 << 40) - 1;

#[inline(always)]
fn task(g: u64, seq: u8, aux: u16) -> u64 {
    (g & ID) << 24 | u64::from(seq) << 16 | u64::from(aux)
}

#[inline(always)]
fn p_turn(p: u16, turn: u16, why: u8) -> u64 {
    u64::from(p) << 32 | u64::from(turn) << 16 | u64::from(why)
}

#[inline(always)]
fn pair(p: u16, low: u32) -> u64 {
    u64::from(p) << 32 | u64::from(low)
}

impl Event {
    /// Whether it has a time stamp.
    #[inline(always)]
    pub(crate) fn is_stamped(&self) -> bool {
        !matches!(self, Self::Site { .. } | Self::RetakeFrom { .. } | Self::Turn { .. })
    }

    /// Its kind and its second word.
    #[inline(always)]
    pub(crate) fn pack(self) -> (u8, u64) {
        match self {
            Self::MachineStart { m, caller } => (1, u64::from(m) | u64::from(caller) << 32),
            Self::MachineStop { m } => (2, u64::from(m)),
            Self::TakeP { p, turn } => (3, p_turn(p, turn, 0)),
            Self::GiveP { p, turn, why } => (4, p_turn(p, turn, why as u8)),
            Self::Park(bed) => (5, bed as u64),
            Self::Unpark => (6, 0),
            Self::BlockBegin => (7, 0),
            Self::BlockEnd => (8, 0),
            Self::Seek => (9, 0),
            Self::Steal { victim, n, tries, took } => {
                (10, u64::from(victim) << 48 | u64::from(n) << 40 | u64::from(tries) << 32 | u64::from(took))
            }
            Self::TakeInjected { p, n } => (11, pair(p, u32::from(n))),
            Self::Overflow { p, n } => (12, pair(p, u32::from(n))),
            Self::TimersBegin => (13, 0),
            Self::TimersEnd { n } => (14, u64::from(n)),
            Self::Spawn { g, to } => (15, task(g, 0, to.0)),
            Self::Site { at } => (16, at as u64),
            Self::Wake { g, seq, to } => (17, task(g, seq, to.0)),
            Self::Mark { g } => (18, task(g, 0, 0)),
            Self::RunBegin { g, seq, p } => (19, task(g, seq, p)),
            Self::RunEnd { g, seq, why } => {
                let aux = match why {
                    End::Block(reason) => u16::from(reason as u8),
                    End::Yield => 1 << 8,
                    End::Preempt => 2 << 8,
                };
                (20, task(g, seq, aux))
            }
            Self::Requeue { g, seq, to } => (21, task(g, seq, to.0)),
            Self::Exit { g, seq, fate } => (22, task(g, seq, fate as u16)),
            Self::Retake { p, turn, why } => (23, p_turn(p, turn, why as u8)),
            Self::RetakeFrom { m } => (24, u64::from(m)),
            Self::AskYield { m } => (25, u64::from(m)),
            Self::Plunder { p, n } => (26, pair(p, u32::from(n))),
            Self::Holds { p, m } => (27, pair(p, m)),
            Self::Turn { turn, g } => (28, task(g, 0, turn)),
        }
    }

    /// The event with this kind and this second word; `None` if there is none.
    pub(crate) fn unpack(kind: u8, word: u64) -> Option<Self> {
        let (g, seq, aux) = (word >> 24, (word >> 16) as u8, word as u16);
        let (p, turn, why, low) = ((word >> 32) as u16, (word >> 16) as u16, word as u8, word as u32);
        Some(match kind {
            1 => Self::MachineStart { m: low, caller: word >> 32 != 0 },
            2 => Self::MachineStop { m: low },
            3 => Self::TakeP { p, turn },
            4 => {
                let all = [Give::Idle, Give::Declared, Give::Hog, Give::Line, Give::Caller, Give::Closing];
                Self::GiveP { p, turn, why: *all.get(usize::from(why))? }
            }
            5 => Self::Park(*[Bed::Idle, Bed::Poller, Bed::Line].get(usize::from(why))?),
            6 => Self::Unpark,
            7 => Self::BlockBegin,
            8 => Self::BlockEnd,
            9 => Self::Seek,
            10 => Self::Steal {
                victim: (word >> 48) as u16,
                n: (word >> 40) as u8,
                tries: (word >> 32) as u8,
                took: low,
            },
            11 => Self::TakeInjected { p, n: aux },
            12 => Self::Overflow { p, n: aux },
            13 => Self::TimersBegin,
            14 => Self::TimersEnd { n: low },
            15 => Self::Spawn { g, to: Queue(aux) },
            16 => Self::Site { at: word as usize },
            17 => Self::Wake { g, seq, to: Queue(aux) },
            18 => Self::Mark { g },
            19 => Self::RunBegin { g, seq, p: aux },
            20 => {
                let why = match aux >> 8 {
                    0 => End::Block(Reason::from_number(aux as u8)),
                    1 => End::Yield,
                    2 => End::Preempt,
                    _ => return None,
                };
                Self::RunEnd { g, seq, why }
            }
            21 => Self::Requeue { g, seq, to: Queue(aux) },
            22 => {
                let all = [Fate::Finished, Fate::Cancelled, Fate::Panicked];
                Self::Exit { g, seq, fate: *all.get(usize::from(aux))? }
            }
            23 => {
                let all = [Taken::Declared, Taken::Blocked, Taken::Hog];
                Self::Retake { p, turn, why: *all.get(usize::from(why))? }
            }
            24 => Self::RetakeFrom { m: low },
            25 => Self::AskYield { m: low },
            26 => Self::Plunder { p, n: aux },
            27 => Self::Holds { p, m: low },
            28 => Self::Turn { turn: aux, g },
            _ => return None,
        })
    }
}

impl Record {
    /// The two words.
    #[cfg(test)]
    pub(crate) fn words(self) -> (u64, u64) {
        let (kind, word) = self.event.pack();
        (u64::from(kind) << STAMP_BITS | (self.stamp & STAMP), word)
    }

    /// From the two words; `None` if they are no record.
    pub(crate) fn of_words(first: u64, second: u64) -> Option<Self> {
        let event = Event::unpack((first >> STAMP_BITS) as u8, second)?;
        Some(Self { stamp: first & STAMP, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let g = ID;
        let (p, turn, m) = (u16::MAX - 1, u16::MAX, u32::MAX);
        let mut all = vec![
            Event::MachineStart { m, caller: true },
            Event::MachineStart { m, caller: false },
            Event::MachineStop { m },
            Event::TakeP { p, turn },
            Event::Unpark,
            Event::BlockBegin,
            Event::BlockEnd,
            Event::Seek,
            Event::Steal { victim: p, n: u8::MAX, tries: u8::MAX, took: u32::MAX },
            Event::TakeInjected { p, n: u16::MAX },
            Event::Overflow { p, n: u16::MAX },
            Event::TimersBegin,
            Event::TimersEnd { n: u32::MAX },
            Event::Spawn { g, to: Queue::INJECTOR },
            Event::Site { at: usize::MAX },
            Event::Wake { g, seq: 255, to: Queue::of_p(p) },
            Event::Mark { g },
            Event::RunBegin { g, seq: 255, p },
            Event::RunEnd { g, seq: 255, why: End::Yield },
            Event::RunEnd { g, seq: 255, why: End::Preempt },
            Event::RunEnd { g, seq: 255, why: End::Block(Reason::BlockingPermit) },
            Event::RunEnd { g, seq: 255, why: End::Block(Reason::Unsaid) },
            Event::Requeue { g, seq: 255, to: Queue::INJECTOR },
            Event::RetakeFrom { m },
            Event::AskYield { m },
            Event::Plunder { p, n: u16::MAX },
            Event::Holds { p, m },
            Event::Turn { turn, g },
        ];
        for why in [Give::Idle, Give::Declared, Give::Hog, Give::Line, Give::Caller, Give::Closing] {
            all.push(Event::GiveP { p, turn, why });
        }
        all.extend([Bed::Idle, Bed::Poller, Bed::Line].map(Event::Park));
        for fate in [Fate::Finished, Fate::Cancelled, Fate::Panicked] {
            all.push(Event::Exit { g, seq: 255, fate });
        }
        for why in [Taken::Declared, Taken::Blocked, Taken::Hog] {
            all.push(Event::Retake { p, turn, why });
        }
        let mut kinds = std::collections::BTreeSet::new();
        for event in all {
            let stamp = if event.is_stamped() { STAMP } else { 0 };
            let (first, second) = Record { stamp, event }.words();
            assert_eq!(Record::of_words(first, second), Some(Record { stamp, event }));
            kinds.insert(first >> STAMP_BITS);
        }
        assert!(kinds.into_iter().eq(1..=28), "each kind is here");
        assert_eq!(Record::of_words(0, 0), None);
        assert_eq!(Record::of_words(29 << STAMP_BITS, 0), None);
    }
}
