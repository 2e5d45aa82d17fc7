//! What both halves of a channel share: one word that is its lock and says how it stands, and the state.
//!
//! Go counterpart: the lock and the lock-free refusals of `chan.go` (`full`, `empty`).
//!
//! S1. `state` is only reached by who has set LOCK in `word`. To unlock stores the snapshot of the state: so while
//!     LOCK is clear the word is that snapshot, and who sets LOCK knows from the word what it will find.
//! S2. What runs under the lock calls no waker and no code of the user (see C7 in `queue.rs`); the wakers that
//!     it collects are woken after it. So it is held for some 20 ns, and who finds it locked spins.
//! S3. `senders` counts the `Sender`s and `Permit`s, `receivers` the `Receiver`s; who takes either to 0
//!     closes the channel.
//!
//! ```text
//!   word:  │ how it stands (snapshot.rs) │ LOCK │
//!
//!   with(f):                       set LOCK ── f(state) ── store the snapshot          then: wakes.wake_all()
//!   push_now, take_now, join_now:  set LOCK, if the word says that it is a common case ── do it ── store the next word
//!   try_*, len, is_closed: ◀── load: a refusal takes no lock
//! ```
//!
//! Absent: waiting (see `waiting.rs`), and a wait queue of threads for the lock: unlocking is a plain store. A thread
//! that spins in vain sleeps for a moment, so that a holder whom the kernel has stopped gets to run.

use super::error::{TryRecvError, TrySendError};
use super::feed::Feed;
use super::queue::{Handed, State, Wakes};
use super::snapshot::Snapshot;
use crate::sync::wake_batch::{FirstPanic, WakeBatch, wake_one};
use crate::sys::primitive::{
    AtomicOrdering::{AcqRel, Acquire, Relaxed, Release},
    AtomicUsize,
    cell::UnsafeCell,
    spin, weaken,
};

/// How many waiters are released under one hold of the lock when the channel closes: bounds the time for
/// which the lock is held and the stack that their wakers take (16 bytes each).
const CLOSE_BATCH: usize = 32;

/// A channel. Laid out as written: the word and the first fields of the state are one cache line, and all that a send or a
/// receive that need not wait touches here, but for `feed`, which is only read. (Spread over four lines, a pipeline over four cores took 3 to 6 % longer.)
#[repr(C, align(64))]
pub(super) struct Shared<T> {
    word: AtomicUsize,
    state: UnsafeCell<State<T>>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    pub(super) capacity: usize,
    /// What fills it by itself (feed.rs).
    feed: Option<std::sync::Arc<dyn Feed>>,
}

#[cfg(not(gmprt_loom))] // loom's types are larger
const _: () = assert!(std::mem::offset_of!(Shared<u8>, state) + std::mem::offset_of!(State<u8>, closed) < 64);

// SAFETY: S1: one thread at a time has the state. It moves values between threads, and drops them on any.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above; nobody gets a `&T`.
unsafe impl<T: Send> Sync for Shared<T> {}

// A panic leaves the state whole, for no user code runs under the lock.
impl<T> std::panic::UnwindSafe for Shared<T> {}
impl<T> std::panic::RefUnwindSafe for Shared<T> {}

/// Has the lock, and unlocks: with the snapshot that it is given, or the state's, also when a bug panics.
struct Locked<'a, T>(&'a Shared<T>);

impl<T> Locked<'_, T> {
    /// Reaches the state.
    #[inline]
    fn state<R>(&mut self, f: impl FnOnce(&mut State<T>) -> R) -> R {
        self.0.state.with_mut(|state| {
            // SAFETY: S1: we have the lock, and it is borrowed mutably.
            f(unsafe { &mut *state })
        })
    }

    /// Unlocks; the snapshot is the state's.
    #[inline]
    fn unlock(mut self, snapshot: Snapshot) {
        debug_assert!(self.state(|state| state.snapshot()) == snapshot, "C6");
        self.0.store(snapshot);
        std::mem::forget(self);
    }
}

impl<T> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if cfg!(gmprt_loom) && std::thread::panicking() {
            // A canary that has failed: loom's cell must not be reached any more, but others spin for the lock.
            return self.0.store(Snapshot::from_word(0));
        }
        let snapshot = self.state(|state| state.snapshot());
        self.0.store(snapshot);
    }
}

/// Holds a value that was received while its sender is woken; puts it back if that panics.
struct PutsBack<'a, T> {
    shared: &'a Shared<T>,
    value: Option<Handed<T>>,
}

impl<T> Drop for PutsBack<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.shared.untake::<()>(Ok(value));
        }
    }
}

impl<T> Shared<T> {
    /// A channel with one sender and one receiver.
    pub(super) fn new(capacity: usize) -> Self {
        let state = State::new(capacity);
        Self {
            word: AtomicUsize::new(state.snapshot().word()),
            state: UnsafeCell::new(state),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
            capacity,
            feed: None,
        }
    }

    /// The same, filled by `feed`.
    #[cfg(not(gmprt_loom))]
    pub(super) fn fed(capacity: usize, feed: std::sync::Arc<dyn Feed>) -> Self {
        Self { feed: Some(feed), ..Self::new(capacity) }
    }

    /// Lets the feed, if there is one, send what is due: somebody is about to receive.
    #[inline]
    pub(super) fn look(&self) {
        if let Some(feed) = &self.feed {
            feed.look();
        }
    }

    /// Unlocks (S1).
    #[inline]
    fn store(&self, snapshot: Snapshot) {
        // Ordering: Release; pairs with the Acquire of the next `lock`, for the state, and with that of the load in
        // `snapshot`: who sees the channel closed, or sees its length, sees also what was done before that.
        let release = weaken::or_relaxed(Release, "Shared::store");
        self.word.store(snapshot.word(), release);
    }

    /// Locks if `wanted` says so of the word as it is with the lock free; `None` if not.
    #[inline]
    fn lock_if(&self, wanted: impl Fn(Snapshot) -> bool) -> Option<(Locked<'_, T>, Snapshot)> {
        let mut turn = 0;
        loop {
            // Ordering: Relaxed; a guess, which the exchange checks.
            let word = self.word.load(Relaxed);
            if word & Snapshot::LOCK == 0 {
                let seen = Snapshot::from_word(word);
                if !wanted(seen) {
                    return None;
                }
                // Ordering: Acquire; pairs with the Release in `store`: the state is as the last holder left it.
                let acquire = weaken::or_relaxed(Acquire, "Shared::lock_if");
                // Ordering: as said; Relaxed where it fails, for nothing is read then.
                if self.word.compare_exchange_weak(word, word | Snapshot::LOCK, acquire, Relaxed).is_ok() {
                    return Some((Locked(self), seen));
                }
            }
            spin(turn);
            turn += 1;
        }
    }

    /// Runs `f` under the lock.
    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut State<T>) -> R) -> R {
        let (mut locked, _) = self.lock_if(|_| true).expect("it is always wanted");
        locked.state(f)
    }

    /// As [`with`](Self::with), for what does not change what the snapshot tells.
    #[inline]
    pub(super) fn with_same<R>(&self, f: impl FnOnce(&mut State<T>) -> R) -> R {
        let (mut locked, seen) = self.lock_if(|_| true).expect("it is always wanted");
        let result = locked.state(f);
        locked.unlock(seen);
        result
    }

    /// Sends the value if it need not wait, and nothing rare is about.
    #[inline]
    pub(super) fn push_now(&self, value: &mut Option<T>) -> bool {
        let Some((mut locked, seen)) = self.lock_if(Snapshot::takes_now) else { return false };
        let Some(value) = value.take() else { return false };
        let (snapshot, waker) = locked.state(|state| state.push_now(value, seen));
        locked.unlock(snapshot);
        if let Some(waker) = waker {
            wake_one(waker);
        }
        true
    }

    /// Receives a value if there is one, and nothing rare is about.
    #[inline]
    pub(super) fn take_now(&self) -> Option<T> {
        let (mut locked, seen) = self.lock_if(Snapshot::gives_now)?;
        let (value, snapshot, waker) = locked.state(|state| state.take_now(seen));
        locked.unlock(snapshot);
        match waker {
            None => value,
            Some((waker, order)) => {
                let mut kept = PutsBack { shared: self, value: value.map(|value| Handed { order, value }) };
                wake_one(waker);
                kept.value.take().map(|handed| handed.value)
            }
        }
    }

    /// Does `join` to the state, by which somebody joins a line, if `joins` says of the snapshot that nothing else is to
    /// be done; `then` is what the snapshot is after that.
    #[inline]
    pub(super) fn join_now(
        &self,
        joins: impl Fn(Snapshot) -> bool,
        then: impl Fn(Snapshot) -> Snapshot,
        join: impl FnOnce(&mut State<T>),
    ) -> bool {
        let Some((mut locked, seen)) = self.lock_if(joins) else { return false };
        locked.state(join);
        locked.unlock(then(seen));
        true
    }

    /// The channel as the last holder of the lock left it: true at some moment of the call, in the
    /// sense that everything that happened before the call is in it.
    #[inline]
    pub(super) fn snapshot(&self) -> Snapshot {
        // Ordering: Acquire; pairs with the Release in `store`. One word holds all, so closed, length
        // and "would wait" are of one moment, and a refusal is never put together from two. It is not
        // SeqCst: two threads that each send to one channel and then try the other may both be refused.
        Snapshot::from_word(self.word.load(Acquire))
    }

    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut unsent = Some(value);
        if self.push_now(&mut unsent) {
            return Ok(());
        }
        let mut wakes = Wakes::new();
        let sent = self.try_send_into(unsent.expect("it was not sent"), &mut wakes);
        wakes.wake_all();
        sent
    }

    /// As `try_send`, but leaves who is to be woken to the caller.
    pub(super) fn try_send_into(&self, value: T, wakes: &mut Wakes) -> Result<(), TrySendError<T>> {
        let seen = self.snapshot();
        if seen.is_closed() {
            return Err(TrySendError::Closed(value));
        }
        if seen.send_waits() {
            return Err(TrySendError::Full(value));
        }
        self.with(|state| {
            if state.is_closed() {
                return Err(TrySendError::Closed(value));
            }
            state.push(value, wakes).map_err(TrySendError::Full)
        })
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
        self.try_take(State::take)
    }

    /// As [`try_recv`](Self::try_recv), for one who waits if he is refused: it stands aside as a receive does that waits.
    pub(super) fn try_recv_in_turn(&self) -> Result<T, TryRecvError> {
        self.try_take(State::take_in_turn)
    }

    #[inline]
    fn try_take(
        &self,
        take: impl FnOnce(&mut State<T>, &mut Wakes) -> Option<Handed<T>>,
    ) -> Result<T, TryRecvError> {
        self.look();
        if let Some(value) = self.take_now() {
            return Ok(value);
        }
        let refusal = |closed| if closed { TryRecvError::Closed } else { TryRecvError::Empty };
        let seen = self.snapshot();
        if seen.recv_waits() {
            return Err(refusal(seen.is_closed()));
        }
        let mut wakes = Wakes::new();
        let taken = self.with(|state| take(state, &mut wakes).ok_or_else(|| refusal(state.is_closed())));
        wakes.wake_all_or(taken, |taken| self.untake(taken)).map(|handed| handed.value)
    }

    /// Puts a value back whose receiver panics before it has it.
    #[cold]
    pub(super) fn untake<E>(&self, taken: Result<Handed<T>, E>) {
        let Ok(handed) = taken else { return };
        let mut wakes = Wakes::new();
        self.with(|state| state.give_back(handed, &mut wakes));
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
        if opened && let Some(feed) = &self.feed {
            feed.closed();
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
