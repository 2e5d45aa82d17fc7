//! What both halves of a channel share: the lock round its state, and a snapshot to look at without it.
//!
//! Go counterpart: the lock and the lock-free refusals of `chan.go` (`full`, `empty`).
//!
//! S1. `state` is only reached by `with`, which stores the snapshot before it unlocks.
//! S2. What runs in `with` calls no waker and no code of the user (see C6 in `queue.rs`); the wakers that
//!     it collects are woken after it.
//! S3. `senders` counts the `Sender`s and `Permit`s, `receivers` the `Receiver`s; who takes either to 0
//!     closes the channel.
//!
//! ```text
//!   with(f):    lock ── f(state) ── snapshot ── unlock          then: wakes.wake_all()
//!                                       │
//!   try_*, len, is_closed: ◀── load ────┘  a refusal takes no lock
//! ```
//!
//! Absent: waiting (see `waiting.rs`).

use super::error::{TryRecvError, TrySendError};
use super::queue::{Snapshot, State, Wakes};
use crate::sync::wake_batch::{FirstPanic, WakeBatch};
use crate::sys::primitive::{
    AtomicOrdering::{AcqRel, Acquire, Relaxed, Release},
    AtomicUsize, Mutex, weaken,
};

/// How many waiters are released under one hold of the lock when the channel closes: bounds the time for
/// which the lock is held and the stack that their wakers take (16 bytes each).
const CLOSE_BATCH: usize = 32;

/// How often the lock is tried before its thread sleeps. Other holders are gone in some 20 ns, and a sleep costs
/// two system calls: with 10 rounds, some 5 µs in all, a pipeline of 4 to 16 workers on 2 to 4 threads took 11
/// to 39 % less time per value than with std's own 100 turns alone. In a model one try is enough.
const SPIN_ROUNDS: u32 = if cfg!(gmprt_loom) { 1 } else { 10 };

/// Waits 2^round turns, and 64 at most.
#[cold]
fn spin(round: u32) {
    for _ in 0..1 << round.min(6) {
        std::hint::spin_loop();
    }
}

/// A channel.
pub(super) struct Shared<T> {
    snapshot: AtomicUsize,
    state: Mutex<State<T>>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    pub(super) capacity: usize,
}

impl<T> Shared<T> {
    /// A channel with one sender and one receiver.
    pub(super) fn new(capacity: usize) -> Self {
        let state = State::new(capacity);
        Self {
            snapshot: AtomicUsize::new(state.snapshot().word()),
            state: Mutex::new(state),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
            capacity,
        }
    }

    /// Runs `f` under the lock, and stores the snapshot (S1).
    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut state = 'locked: {
            for round in 0..SPIN_ROUNDS {
                if let Ok(state) = self.state.try_lock() {
                    break 'locked state;
                }
                spin(round);
            }
            self.state.lock().expect("no user code runs under this lock, so nothing panics there")
        };
        let result = f(&mut state);
        // Ordering: Release; pairs with the Acquire load in `snapshot`: who sees the channel closed, or
        // sees its length, sees also what was done before that.
        let release = weaken::or_relaxed(Release, "Shared::with");
        self.snapshot.store(state.snapshot().word(), release);
        result
    }

    /// The channel as the last holder of the lock left it: true at some moment of the call, in the
    /// sense that everything that happened before the call is in it.
    #[inline]
    pub(super) fn snapshot(&self) -> Snapshot {
        // Ordering: Acquire; pairs with the Release store in `with`. One word holds all, so closed, length
        // and "would wait" are of one moment, and a refusal is never put together from two. It is not
        // SeqCst: two threads that each send to one channel and then try the other may both be refused.
        Snapshot::from_word(self.snapshot.load(Acquire))
    }

    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let seen = self.snapshot();
        if seen.is_closed() {
            return Err(TrySendError::Closed(value));
        }
        if seen.send_waits() {
            return Err(TrySendError::Full(value));
        }
        let mut wakes = Wakes::new();
        let sent = self.with(|state| {
            if state.is_closed() {
                return Err(TrySendError::Closed(value));
            }
            state.push(value, &mut wakes).map_err(TrySendError::Full)
        });
        wakes.wake_all();
        sent
    }

    pub(super) fn try_reserve(&self) -> Result<(), TrySendError<()>> {
        let seen = self.snapshot();
        if seen.is_closed() {
            return Err(TrySendError::Closed(()));
        }
        if seen.send_waits() {
            return Err(TrySendError::Full(()));
        }
        self.with(|state| {
            if state.is_closed() {
                return Err(TrySendError::Closed(()));
            }
            if state.try_reserve() { Ok(()) } else { Err(TrySendError::Full(())) }
        })
    }

    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let refusal = |closed| if closed { TryRecvError::Closed } else { TryRecvError::Empty };
        let seen = self.snapshot();
        if seen.recv_waits() {
            return Err(refusal(seen.is_closed()));
        }
        let mut wakes = Wakes::new();
        let taken = self.with(|state| state.take(&mut wakes).ok_or_else(|| refusal(state.is_closed())));
        wakes.wake_all_or(taken, |taken| self.untake(taken))
    }

    /// Puts a value back whose receiver panics before it has it.
    #[cold]
    pub(super) fn untake<E>(&self, taken: Result<T, E>) {
        let Ok(value) = taken else { return };
        let mut wakes = Wakes::new();
        self.with(|state| state.untake(value, &mut wakes));
        wakes.wake_all();
    }

    /// Uses up a permit.
    pub(super) fn send_reserved(&self, value: T) -> Result<(), T> {
        let mut wakes = Wakes::new();
        let sent = self.with(|state| state.push_reserved(value, &mut wakes));
        wakes.wake_all();
        sent
    }

    /// Gives a permit up.
    pub(super) fn cancel_permit(&self) {
        let mut wakes = Wakes::new();
        self.with(|state| state.cancel_permit(&mut wakes));
        wakes.wake_all();
    }

    /// Closes the channel and wakes all who wait; says whether it was open.
    pub(super) fn close(&self) -> bool {
        let mut first = FirstPanic::default();
        let mut opened = true;
        let mut began = false;
        loop {
            let mut wakes = WakeBatch::<CLOSE_BATCH>::new();
            let more = self.with(|state| {
                if !began {
                    began = true;
                    opened = state.close();
                }
                opened && state.release(&mut wakes)
            });
            wakes.wake_into(&mut first);
            if !more {
                break;
            }
        }
        first.resume();
        opened
    }

    pub(super) fn add_sender(&self) {
        // Ordering: Relaxed; who has a sender knows that the count is not 0, as with `Arc`.
        self.senders.fetch_add(1, Relaxed);
    }

    pub(super) fn add_receiver(&self) {
        // Ordering: Relaxed; as in `add_sender`.
        self.receivers.fetch_add(1, Relaxed);
    }

    /// A sender is gone; the last one closes the channel.
    pub(super) fn drop_sender(&self) {
        // Ordering: AcqRel; the last one sees all that the others did before they went.
        if self.senders.fetch_sub(1, AcqRel) == 1 {
            self.close();
        }
    }

    /// A receiver is gone; the last one closes the channel and drops what it holds.
    pub(super) fn drop_receiver(&self) {
        // Ordering: AcqRel; as in `drop_sender`.
        if self.receivers.fetch_sub(1, AcqRel) == 1 {
            /// Drops what is left even if a waker panics in `close`.
            struct Drain<'a, T>(&'a Shared<T>);
            impl<T> Drop for Drain<'_, T> {
                fn drop(&mut self) {
                    let left = self.0.with(|state| state.drain());
                    drop(left); // with the lock released: these drops are user code
                }
            }
            let _drain = Drain(self);
            self.close();
        }
    }
}
