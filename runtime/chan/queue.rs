//! The rules of a channel: who gets which value, and who gets which slot. All of it runs under the lock.
//!
//! Go counterpart: `hchan`, and the parts of `chan.go: send, recv, chansend, chanrecv, closechan`
//! between `lock(&c.lock)` and `unlock(&c.lock)`.
//!
//! A *slot* is room for one value in the buffer. `stored` = `returned` + `buffer`. A rendezvous channel
//! (capacity 0) has no slots: there a *room* is a receiver in line that no permit has claimed.
//!
//! C1. Values leave in the order `returned` (by hand-off number), `buffer`, `senders`.
//! C2. If a receiver is in line, nothing is stored, and no sender is in line whom it could serve.
//! C3. If a sender or a reserver is in line, there is no room: stored + permits ≥ capacity, or, at
//!     capacity 0, receivers in line ≤ permits.
//! C4. Room goes to whoever is longest in line, of senders and reservers together (`ticket`).
//! C5. Once `closed`, nothing enters and nobody joins a line; `release` empties the lines.
//! C6. What `push_now` and `take_now` say the snapshot is, it is: a debug build compares (shared.rs).
//! C7. No waker is cloned, woken or dropped here and no `T` is dropped: both are moved out.
//!
//! ```text
//!               push: no receiver in line            take
//!   send ──────▶ buffer [ v v v v ] ───────────────────────▶ recv
//!     │            ▲                  returned [ v ] ──┘       │
//!     │ full       │ admit: a slot fell free    ▲              │ empty
//!     ▼            │                            │ give_back    ▼
//!   senders ───────┘         push: hand over    │           receivers
//!   (value inside)   ─────────────────────────────────────▶ (slot for the value inside)
//!   reservers ──▶ permits
//! ```
//!
//! Absent: the lock, wakers' calls, and futures (see `waiting.rs`).
//! Length: the rules of one state, which hold only together.

use super::snapshot::Snapshot;
use crate::sync::wait_list::{Outcome, WaitList};
use crate::sync::wake_batch::WakeBatch;
use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

/// Wakers of one operation: at most the receiver that got a value and the sender or reserver that got room.
pub(crate) type Wakes = WakeBatch<2>;

/// This much of the buffer is allocated at once; a larger one grows as it fills, so a huge capacity costs nothing.
const UPFRONT_BYTES: usize = 4096;

/// A value that a receiver got, and its number: in the order of these, values leave (C1).
pub(super) struct Handed<T> {
    pub(super) order: u64,
    pub(super) value: T,
}

/// What a sender in line holds.
pub(super) struct Parcel<T> {
    pub(super) value: Option<T>,
    pub(super) ticket: u64,
}

/// The channel, but for its lock. Laid out as written: what a send or a receive that need not wait reads and writes
/// comes first, and shares one cache line with the lock (`shared.rs`).
#[repr(C)]
pub(super) struct State<T> {
    buffer: VecDeque<T>,
    capacity: usize,
    /// Slots that permits hold; at capacity 0, receivers that they have claimed.
    permits: usize,
    pub(super) closed: bool,
    /// Values whose receiver was dropped before it took them, by hand-off number.
    returned: VecDeque<Handed<T>>,
    pub(super) receivers: WaitList<Option<Handed<T>>>,
    pub(super) senders: WaitList<Parcel<T>>,
    /// Each with its ticket.
    pub(super) reservers: WaitList<u64>,
    handed: u64,
    tickets: u64,
}

impl<T> State<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let upfront = UPFRONT_BYTES / mem::size_of::<T>().max(1);
        Self {
            buffer: VecDeque::with_capacity(capacity.min(upfront)),
            capacity,
            permits: 0,
            closed: false,
            returned: VecDeque::new(),
            receivers: WaitList::new(),
            senders: WaitList::new(),
            reservers: WaitList::new(),
            handed: 0,
            tickets: 0,
        }
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    #[inline]
    fn stored(&self) -> usize {
        self.returned.len() + self.buffer.len()
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.is_full_at(self.stored())
    }

    /// As [`is_full`](Self::is_full), were so many values stored.
    #[inline]
    fn is_full_at(&self, stored: usize) -> bool {
        stored + self.permits >= self.capacity
    }

    /// Whether a value or a permit could be let in now (C3).
    #[inline]
    fn has_room(&self) -> bool {
        if self.capacity == 0 { self.receivers.len() > self.permits } else { !self.is_full() }
    }

    /// Whether a value would find a receiver in line. At capacity 0 those in front are claimed by permits.
    #[inline]
    fn has_receiver(&self) -> bool {
        if self.capacity == 0 { self.has_room() } else { !self.receivers.is_empty() }
    }

    /// What others may know without the lock.
    #[inline]
    pub(super) fn snapshot(&self) -> Snapshot {
        let full = self.is_full();
        let send = !self.closed && (self.has_receiver() || !full);
        let stored = self.stored();
        let recv = stored > 0 || (!self.closed && !self.senders.is_empty());
        let claims = self.capacity == 0 && self.permits > 0;
        let odd = !self.returned.is_empty() || !self.reservers.is_empty() || claims;
        Snapshot::of(
            stored,
            &[
                (self.closed, Snapshot::CLOSED),
                (full, Snapshot::FULL),
                (!send, Snapshot::SEND_WAITS),
                (!recv, Snapshot::RECV_WAITS),
                (!self.receivers.is_empty(), Snapshot::RECEIVERS),
                (!self.senders.is_empty(), Snapshot::SENDERS),
                (odd, Snapshot::ODD),
            ],
        )
    }

    /// [`push`](Self::push) where [`Snapshot::takes_now`]: what the snapshot is then, and whom to wake.
    #[inline]
    pub(super) fn push_now(&mut self, value: T, seen: Snapshot) -> (Snapshot, Option<Waker>) {
        debug_assert!(seen == self.snapshot() && seen.takes_now());
        if seen.has(Snapshot::RECEIVERS) {
            let handed = Handed { order: self.next_order(), value };
            let waker = self.receivers.pop_front_if(|slot| {
                *slot = Some(handed);
                Some(Outcome::Served)
            });
            if !self.receivers.is_empty() {
                return (seen, waker);
            }
            let full = if self.is_full() { Snapshot::SEND_WAITS } else { 0 };
            return (seen.without(Snapshot::RECEIVERS).with(full), waker);
        }
        self.buffer.push_back(value);
        let then = seen.one_more().without(Snapshot::RECV_WAITS);
        let full = if self.is_full_at(then.len()) { Snapshot::FULL | Snapshot::SEND_WAITS } else { 0 };
        (then.with(full), None)
    }

    /// [`take`](Self::take) where [`Snapshot::gives_now`]: what the snapshot is then, and whom to wake. A value whose
    /// taker wakes nobody cannot come back, so only one that wakes gets a number (C1).
    #[inline]
    pub(super) fn take_now(&mut self, seen: Snapshot) -> (Option<T>, Snapshot, Option<(Waker, u64)>) {
        debug_assert!(seen == self.snapshot() && seen.gives_now());
        let value = self.buffer.pop_front();
        if seen.has(Snapshot::SENDERS) {
            let (waker, sent) = self.pop_sender().expect("a sender is in line");
            let value = match value {
                None => sent, // capacity 0
                Some(value) => {
                    self.buffer.push_back(sent);
                    value
                }
            };
            let mut then = seen;
            if self.senders.is_empty() {
                let empty = if seen.len() == 0 { Snapshot::RECV_WAITS } else { 0 };
                then = seen.without(Snapshot::SENDERS).with(empty);
            }
            return (Some(value), then, Some((waker, self.next_order())));
        }
        let then = seen.one_less();
        let full = if self.is_full_at(then.len()) { 0 } else { Snapshot::FULL | Snapshot::SEND_WAITS };
        let empty = if then.len() == 0 { Snapshot::RECV_WAITS } else { 0 };
        (value, then.without(full).with(empty), None)
    }

    /// Lets a value in, or gives it back. The channel must not be closed.
    #[inline]
    pub(super) fn push(&mut self, value: T, wakes: &mut Wakes) -> Result<(), T> {
        if self.has_receiver() {
            self.hand_over(value, wakes);
            Ok(())
        } else if !self.is_full() {
            self.buffer.push_back(value);
            Ok(())
        } else {
            Err(value)
        }
    }

    /// Takes the next value (C1). The slot that falls free goes to whoever is longest in line.
    #[inline]
    pub(super) fn take(&mut self, wakes: &mut Wakes) -> Option<Handed<T>> {
        let handed = match self.returned.pop_front() {
            Some(handed) => handed,
            None => match self.buffer.pop_front() {
                Some(value) => Handed { order: self.next_order(), value },
                None => return self.take_from_sender(wakes),
            },
        };
        self.admit(wakes);
        Some(handed)
    }

    /// As [`take`](Self::take), but at capacity 0 the caller first stands aside where it is not its turn:
    /// if a permit has claimed a receiver and that is gone, or a reserver is longer in line than any sender.
    #[inline]
    pub(super) fn take_in_turn(&mut self, wakes: &mut Wakes) -> Option<Handed<T>> {
        if self.capacity == 0 && self.returned.is_empty() && !self.closed {
            let claimed = self.receivers.len() < self.permits;
            if claimed || self.sender_is_next() != Some(true) {
                return None;
            }
        }
        self.take(wakes)
    }

    /// The buffer is empty: takes the value out of the hands of the first sender in line.
    fn take_from_sender(&mut self, wakes: &mut Wakes) -> Option<Handed<T>> {
        if self.closed {
            return None; // C5: they are about to get their values back
        }
        let (waker, value) = self.pop_sender()?;
        wakes.push(waker);
        Some(Handed { order: self.next_order(), value })
    }

    #[inline]
    fn pop_sender(&mut self) -> Option<(Waker, T)> {
        let mut value = None;
        let waker = self.senders.pop_front_if(|parcel| {
            value = parcel.value.take();
            Some(Outcome::Served)
        })?;
        Some((waker, value.expect("a sender in line holds its value")))
    }

    /// Gives a value to the first receiver in line; there must be one.
    fn hand_over(&mut self, value: T, wakes: &mut Wakes) {
        let handed = Handed { order: self.next_order(), value };
        if self.give(handed, wakes).is_err() {
            unreachable!("a receiver is in line");
        }
    }

    fn next_order(&mut self) -> u64 {
        self.handed += 1;
        self.handed
    }

    fn give(&mut self, handed: Handed<T>, wakes: &mut Wakes) -> Result<(), Handed<T>> {
        let mut handed = Some(handed);
        let waker = self.receivers.pop_front_if(|slot| {
            *slot = handed.take();
            Some(Outcome::Served)
        });
        match waker {
            Some(waker) => {
                wakes.push(waker);
                Ok(())
            }
            None => Err(handed.expect("nobody took it")),
        }
    }

    /// A receiver was dropped with a value in its hands: the next in line gets it, or it goes back to its
    /// old place, ahead of the buffer. It may then be stored above the capacity.
    pub(super) fn give_back(&mut self, handed: Handed<T>, wakes: &mut Wakes) {
        if let Err(handed) = self.give(handed, wakes) {
            let place = self.returned.partition_point(|other| other.order < handed.order);
            self.returned.insert(place, handed);
        }
    }

    /// Of those who wait for room: whether the one longest in line is a sender (C4).
    #[inline]
    fn sender_is_next(&mut self) -> Option<bool> {
        match (self.senders.front(|parcel| parcel.ticket), self.reservers.front(|ticket| *ticket)) {
            (None, None) => None,
            (sender, None) => Some(sender.is_some()),
            (None, Some(_)) => Some(false),
            (Some(sender), Some(reserver)) => Some(sender < reserver),
        }
    }

    /// One room may have fallen free: gives it to whoever is longest in line (C3, C4).
    #[inline]
    pub(super) fn admit(&mut self, wakes: &mut Wakes) {
        if self.senders.is_empty() && self.reservers.is_empty() {
            return;
        }
        self.admit_one(wakes);
    }

    fn admit_one(&mut self, wakes: &mut Wakes) {
        if self.closed || !self.has_room() {
            return;
        }
        if self.sender_is_next() == Some(true) {
            let (waker, value) = self.pop_sender().expect("a sender is in line");
            wakes.push(waker);
            if self.capacity == 0 {
                self.hand_over(value, wakes);
            } else {
                self.buffer.push_back(value);
            }
        } else if let Some(waker) = self.reservers.pop_front_if(|_| Some(Outcome::Served)) {
            self.permits += 1;
            wakes.push(waker);
        }
        debug_assert!(
            !self.has_room() || (self.senders.is_empty() && self.reservers.is_empty()),
            "C3: one operation frees one room"
        );
    }

    /// Takes a slot for a permit, if there is room.
    pub(super) fn try_reserve(&mut self) -> bool {
        let room = self.has_room();
        self.permits += usize::from(room);
        room
    }

    /// A permit is used: its value goes to the first receiver in line, or into the slot.
    pub(super) fn push_reserved(&mut self, value: T, wakes: &mut Wakes) -> Result<(), T> {
        self.permits -= 1;
        if self.closed {
            return Err(value);
        }
        if !self.receivers.is_empty() {
            self.hand_over(value, wakes);
            if self.capacity > 0 {
                self.admit(wakes);
            }
        } else if self.capacity > 0 {
            self.buffer.push_back(value);
        } else {
            // The receiver that it had claimed is gone: as if that had been dropped a moment later.
            let order = self.next_order();
            self.returned.push_back(Handed { order, value });
        }
        Ok(())
    }

    /// A permit is dropped unused: its slot passes on.
    pub(super) fn cancel_permit(&mut self, wakes: &mut Wakes) {
        self.permits -= 1;
        self.admit(wakes);
    }

    /// A number for one who joins the line of senders and reservers (C4).
    pub(super) fn next_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Closes the channel; says whether it was open.
    pub(super) fn close(&mut self) -> bool {
        !mem::replace(&mut self.closed, true)
    }

    /// The channel is closed: tells those in line, latest first and receivers last, until `wakes` is
    /// full. Says whether that was so, and more may be in line.
    ///
    /// Go's `closechan` gathers them on a stack and makes them ready from its top, so that the one longest in
    /// line is made ready last, and runs next.
    pub(super) fn release<const N: usize>(&mut self, wakes: &mut WakeBatch<N>) -> bool {
        while !wakes.is_full() {
            let sender = self.senders.back(|parcel| parcel.ticket);
            let reserver = self.reservers.back(|ticket| *ticket);
            let waker = if sender.is_none() && reserver.is_none() {
                self.receivers.pop_back(Outcome::Closed)
            } else if sender > reserver {
                self.senders.pop_back(Outcome::Closed)
            } else {
                self.reservers.pop_back(Outcome::Closed)
            };
            let Some(waker) = waker else { return false };
            wakes.push(waker);
        }
        true
    }

    /// Takes out all that is stored, for nobody is left to receive it.
    pub(super) fn drain(&mut self) -> (VecDeque<Handed<T>>, VecDeque<T>) {
        (mem::take(&mut self.returned), mem::take(&mut self.buffer))
    }
}
