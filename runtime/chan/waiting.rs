//! The futures of a channel: how a send, a receive and a reservation wait, and how they are cancelled.
//!
//! Go counterpart: the blocking half of `chan.go: chansend, chanrecv` (`acquireSudog`, `gopark` and what
//! follows). Cancelling has no counterpart in Go.
//!
//! F1. A future's node is queued only in the list of its own kind, of its own channel, under the lock.
//! F2. A future is pinned before its node is queued (`poll` takes `Pin<&mut Self>`), nothing is moved out
//!     of its place, and its drop takes the node off the list.
//! F3. A settled node is its owner's alone: what was handed over is taken without the lock.
//! F4. What a dropped future got but did not take is passed on: a value by `give_back`, a permit by
//!     `cancel_permit`. A sender that was served has nothing: its value is in the channel.
//!
//! ```text
//!   poll ─▶ slice over? (sched/preempt.rs) ─ yes ─▶ Pending
//!           IDLE: lock ─ can it be done? ─ yes ─▶ unlock, wake the other side ─▶ Ready
//!             │                  └─ no ─▶ queue the node, unlock ─▶ Pending
//!           QUEUED: same waker? ─▶ Pending
//!           SERVED, CLOSED: take what is in the node ─▶ Ready              (no lock)
//!           (`push_now`, `take_now` and `join_now` do what is common, `attempt` all the rest)
//!   drop ─▶ QUEUED: lock ─ remove ─ unlock          SERVED: pass it on (F4)
//! ```
//!
//! Absent: a clone of the waker on the way that does not wait. It is made before the lock is taken, if the
//! snapshot says that there will be a wait; if the snapshot was wrong, the lock is taken twice.
//!
//! Length: three futures that share one protocol; apart they would repeat F1 to F4.

use super::error::{RecvError, SendError};
use super::queue::{Handed, Parcel, State, Wakes};
use super::sender::{Permit, Sender};
use super::shared::Shared;
use super::snapshot::Snapshot;
use crate::reason::Reason;
use crate::sync::preempt::{must_yield, waits};
use crate::sync::wait_list::{Node, Outcome, Phase, Refresh, WaitList};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// The node of one who waits to receive, with room for the value.
pub(super) type Receiving<T> = Node<Option<Handed<T>>>;

/// Waits until a value is sent. Made by [`Sender::send`], which says what becomes of it if dropped.
#[must_use = "futures do nothing unless polled or awaited"]
pub struct SendFuture<'a, T> {
    shared: &'a Shared<T>,
    node: Node<Parcel<T>>,
}

/// Waits until a value is received. Made by [`Receiver::recv`](super::Receiver::recv).
///
/// Cancel safety: see [`Receiver::recv`](super::Receiver::recv).
#[must_use = "futures do nothing unless polled or awaited"]
pub struct RecvFuture<'a, T> {
    shared: &'a Shared<T>,
    node: Receiving<T>,
}

/// Waits until there is a free slot. Made by [`Sender::reserve`], which says what becomes of it if dropped.
#[must_use = "futures do nothing unless polled or awaited"]
pub struct ReserveFuture<'a, T> {
    sender: &'a Sender<T>,
    node: Node<u64>,
}

/// What an attempt under the lock came to.
enum Attempt<R> {
    Done(R),
    Queued,
    NeedsWaker,
}

/// Drops a waker that was not needed, and returns `value`; if that panics, `undo` gets `value` before the panic goes on.
#[inline]
fn drop_or<V>(waker: Option<Waker>, value: V, undo: impl FnOnce(V)) -> V {
    if waker.is_some()
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(waker)))
    {
        undo(value);
        resume_unwind(payload);
    }
    value
}

impl<T> Shared<T> {
    /// Tries something under the lock until it is done, or its node is queued. `spare` is a waker, if one
    /// was made in advance; `undo` gets the result if a waker panics on the way; `reason` is why it waits, if it does.
    #[inline]
    fn attempt<R>(
        &self,
        cx: &Context<'_>,
        reason: Reason,
        mut spare: Option<Waker>,
        undo: impl Fn(R),
        mut f: impl FnMut(&mut State<T>, &mut Option<Waker>, &mut Wakes) -> Attempt<R>,
    ) -> Poll<R> {
        loop {
            let mut wakes = Wakes::new();
            let attempt = self.with(|state| f(state, &mut spare, &mut wakes));
            let undo = |attempt| {
                if let Attempt::Done(result) = attempt {
                    undo(result)
                }
            };
            let attempt = wakes.wake_all_or(attempt, undo);
            match drop_or(spare.take(), attempt, undo) {
                Attempt::Done(result) => return Poll::Ready(result),
                Attempt::Queued => {
                    waits(reason);
                    return Poll::Pending;
                }
                Attempt::NeedsWaker => spare = Some(cx.waker().clone()),
            }
        }
    }

    /// Says where a node stands; one that is queued is first given the current waker.
    ///
    /// # Safety
    ///
    /// If the node is queued, then in the list that `list` selects.
    #[inline]
    unsafe fn refresh<D>(
        &self,
        node: Pin<&Node<D>>,
        cx: &Context<'_>,
        list: impl Fn(&mut State<T>) -> &mut WaitList<D>,
    ) -> Phase {
        let mut spare = None;
        while node.phase() == Phase::Queued {
            let found = self.with_same(|state| {
                // SAFETY: the caller says that it is this list.
                unsafe { list(state).refresh(node, cx.waker(), &mut spare) }
            });
            match found {
                Refresh::Waiting => return Phase::Queued,
                Refresh::Settled => break,
                Refresh::NeedsClone => spare = Some(cx.waker().clone()),
            }
        }
        node.phase()
    }

    /// Takes a node off its list because its owner is dropped, or wants to know.
    ///
    /// # Safety
    ///
    /// As for [`refresh`](Self::refresh).
    unsafe fn leave<D>(
        &self,
        node: Pin<&Node<D>>,
        list: impl Fn(&mut State<T>) -> &mut WaitList<D>,
    ) -> Phase {
        if node.phase() == Phase::Queued {
            let waker = self.with(|state| {
                // SAFETY: the caller says that it is this list.
                unsafe { list(state).remove(node) }
            });
            drop(waker); // with the lock released
        }
        node.phase()
    }

    /// Polls a receive.
    ///
    /// # Safety
    ///
    /// F1 and F2 hold for the node, which is only ever used with this channel; whoever owns it calls
    /// [`cancel_recv`](Self::cancel_recv) before it is dropped.
    #[inline]
    pub(super) unsafe fn poll_recv(
        &self,
        node: Pin<&mut Receiving<T>>,
        cx: &Context<'_>,
    ) -> Poll<Result<T, RecvError>> {
        if node.phase() == Phase::Settled(Outcome::Served) {
            let handed = node.reset(Option::take).expect("a served receiver has a value");
            return Poll::Ready(Ok(handed.value));
        }
        self.look();
        if node.is_idle()
            && let Some(value) = self.take_now()
        {
            return Poll::Ready(Ok(value));
        }
        if node.is_idle() && self.snapshot().receiver_joins() {
            let waker = cx.waker().clone();
            let joined = self.join_now(Snapshot::receiver_joins, Snapshot::with_receiver, |state| {
                // SAFETY: F1 and F2.
                unsafe { state.receivers.push_back(node.as_ref(), waker) };
            });
            if joined {
                waits(Reason::ChanReceive);
                return Poll::Pending;
            }
        }
        // SAFETY: as the caller says.
        unsafe { self.poll_recv_slow(node, cx) }
    }

    /// Polls a receive that is neither done at once nor simply begins to wait.
    ///
    /// # Safety
    ///
    /// As for [`poll_recv`](Self::poll_recv).
    #[cold]
    unsafe fn poll_recv_slow(
        &self,
        node: Pin<&mut Receiving<T>>,
        cx: &Context<'_>,
    ) -> Poll<Result<T, RecvError>> {
        // SAFETY: F1.
        let phase = unsafe { self.refresh(node.as_ref(), cx, |state| &mut state.receivers) };
        match phase {
            Phase::Queued => {
                waits(Reason::ChanReceive);
                Poll::Pending
            }
            Phase::Settled(Outcome::Served) => {
                let handed = node.reset(Option::take).expect("a served receiver has a value");
                Poll::Ready(Ok(handed.value))
            }
            Phase::Settled(Outcome::Closed) => {
                node.reset(|_| ());
                // A value may have come back since, from a receiver that was dropped.
                Poll::Ready(self.try_recv().map_err(|_| RecvError))
            }
            Phase::Idle => {
                let seen = self.snapshot();
                let spare = (seen.recv_waits() && !seen.is_closed()).then(|| cx.waker().clone());
                self.attempt(
                    cx,
                    Reason::ChanReceive,
                    spare,
                    |taken| self.untake(taken),
                    |state, spare, wakes| {
                        if let Some(handed) = state.take_in_turn(wakes) {
                            return Attempt::Done(Ok(handed));
                        }
                        if state.is_closed() {
                            return Attempt::Done(Err(RecvError));
                        }
                        let Some(waker) = spare.take() else { return Attempt::NeedsWaker };
                        // SAFETY: F1 and F2.
                        unsafe { state.receivers.push_back(node.as_ref(), waker) };
                        state.admit(wakes); // at capacity 0 a reserver may have waited for this
                        Attempt::Queued
                    },
                )
                .map_ok(|handed| handed.value)
            }
        }
    }

    /// Ends a receive without its result; a value that it got is passed on (F4).
    ///
    /// # Safety
    ///
    /// As for [`poll_recv`](Self::poll_recv).
    pub(super) unsafe fn cancel_recv(&self, mut node: Pin<&mut Receiving<T>>) {
        // SAFETY: F1.
        let phase = unsafe { self.leave(node.as_ref(), |state| &mut state.receivers) };
        if phase == Phase::Idle {
            return;
        }
        if let Some(handed) = node.as_mut().reset(Option::take) {
            let mut wakes = Wakes::new();
            self.with(|state| state.give_back(handed, &mut wakes));
            wakes.wake_all();
        }
    }

    /// As [`cancel_recv`](Self::cancel_recv), by one who only shares the node with its owner.
    ///
    /// # Safety
    ///
    /// As for [`poll_recv`](Self::poll_recv); and no owner uses the node until this returns, though others
    /// may be here too: the lock keeps them apart.
    pub(super) unsafe fn recall(&self, node: Pin<&Receiving<T>>) {
        if node.phase() == Phase::Idle {
            return;
        }
        let mut wakes = Wakes::new();
        let waker = self.with(|state| {
            // SAFETY: F1.
            let waker = unsafe { state.receivers.remove(node) };
            if node.phase() != Phase::Idle {
                // SAFETY: the caller excludes the owner, the lock the others.
                let handed = unsafe { node.reset_for_owner(Option::take) };
                if let Some(handed) = handed {
                    state.give_back(handed, &mut wakes);
                }
            }
            waker
        });
        wakes.wake_all();
        drop(waker); // with the lock released
    }
}

impl<'a, T> SendFuture<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>, value: T) -> Self {
        Self { shared, node: Node::new(Parcel { value: Some(value), ticket: 0 }) }
    }
}

impl<T> SendFuture<'_, T> {
    /// Polls a send that is neither done at once nor simply begins to wait. `self` is pinned: it comes from `poll`.
    #[cold]
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let this = self;
        // SAFETY: F2: a field of a pinned future.
        let mut node = unsafe { Pin::new_unchecked(&mut this.node) };
        // SAFETY: F1.
        let phase = unsafe { this.shared.refresh(node.as_ref(), cx, |state| &mut state.senders) };
        match phase {
            Phase::Queued => {
                waits(Reason::ChanSend);
                Poll::Pending
            }
            Phase::Settled(Outcome::Served) => {
                node.reset(|_| ());
                Poll::Ready(Ok(()))
            }
            Phase::Settled(Outcome::Closed) => {
                let value = node.reset(|parcel| parcel.value.take());
                Poll::Ready(Err(SendError(value.expect("a sender that was not served has its value"))))
            }
            Phase::Idle => {
                let mut value = node.as_mut().reset(|parcel| parcel.value.take());
                assert!(value.is_some(), "`SendFuture` polled after it has completed");
                let seen = this.shared.snapshot();
                let spare = (seen.send_waits() && !seen.is_closed()).then(|| cx.waker().clone());
                this.shared.attempt(cx, Reason::ChanSend, spare, drop, |state, spare, wakes| {
                    let unsent = value.take().expect("it comes back from each attempt");
                    if state.is_closed() {
                        return Attempt::Done(Err(SendError(unsent)));
                    }
                    let Err(unsent) = state.push(unsent, wakes) else { return Attempt::Done(Ok(())) };
                    let Some(waker) = spare.take() else {
                        value = Some(unsent);
                        return Attempt::NeedsWaker;
                    };
                    let ticket = state.next_ticket();
                    node.as_mut().reset(|parcel| *parcel = Parcel { value: Some(unsent), ticket });
                    // SAFETY: F1 and F2.
                    unsafe { state.senders.push_back(node.as_ref(), waker) };
                    Attempt::Queued
                })
            }
        }
    }
}

impl<'a, T> RecvFuture<'a, T> {
    pub(super) fn new(shared: &'a Shared<T>) -> Self {
        Self { shared, node: Node::new(None) }
    }
}

impl<'a, T> ReserveFuture<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>) -> Self {
        Self { sender, node: Node::new(0) }
    }
}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    /// # Panics
    ///
    /// If it is polled after it has completed.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        // SAFETY: F2.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: F2: a field of a pinned future.
        let mut node = unsafe { Pin::new_unchecked(&mut this.node) };
        if node.phase() == Phase::Settled(Outcome::Served) {
            node.reset(|_| ());
            return Poll::Ready(Ok(()));
        }
        if let Some(parcel) = node.as_mut().idle_data()
            && this.shared.push_now(&mut parcel.value)
        {
            return Poll::Ready(Ok(()));
        }
        if node.as_mut().idle_data().is_some_and(|parcel| parcel.value.is_some())
            && this.shared.snapshot().sender_joins()
        {
            let waker = cx.waker().clone();
            let joined = this.shared.join_now(Snapshot::sender_joins, Snapshot::with_sender, |state| {
                let ticket = state.next_ticket();
                node.as_mut().reset(|parcel| parcel.ticket = ticket);
                // SAFETY: F1 and F2.
                unsafe { state.senders.push_back(node.as_ref(), waker) };
            });
            if joined {
                waits(Reason::ChanSend);
                return Poll::Pending;
            }
        }
        this.poll_slow(cx)
    }
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        // SAFETY: F2.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: F2: a field of a pinned future.
        let node = unsafe { Pin::new_unchecked(&mut this.node) };
        // SAFETY: F1 and F2; our drop cancels.
        unsafe { this.shared.poll_recv(node, cx) }
    }
}

impl<T> Future for ReserveFuture<'_, T> {
    type Output = Result<Permit<T>, SendError<()>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        // SAFETY: F2.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: F2: a field of a pinned future.
        let mut node = unsafe { Pin::new_unchecked(&mut this.node) };
        let shared = this.sender.shared();
        // SAFETY: F1.
        let phase = unsafe { shared.refresh(node.as_ref(), cx, |state| &mut state.reservers) };
        let granted = match phase {
            Phase::Queued => {
                waits(Reason::ChanSend);
                return Poll::Pending;
            }
            Phase::Settled(outcome) => {
                node.reset(|_| ());
                outcome == Outcome::Served
            }
            Phase::Idle => {
                let seen = shared.snapshot();
                let spare = (seen.send_waits() && !seen.is_closed()).then(|| cx.waker().clone());
                let undo = |granted| {
                    if granted {
                        shared.cancel_permit();
                    }
                };
                let attempt = shared.attempt(cx, Reason::ChanSend, spare, undo, |state, spare, _| {
                    if state.is_closed() {
                        return Attempt::Done(false);
                    }
                    if state.try_reserve() {
                        return Attempt::Done(true);
                    }
                    let Some(waker) = spare.take() else { return Attempt::NeedsWaker };
                    let ticket = state.next_ticket();
                    node.as_mut().reset(|mine| *mine = ticket);
                    // SAFETY: F1 and F2.
                    unsafe { state.reservers.push_back(node.as_ref(), waker) };
                    Attempt::Queued
                });
                let Poll::Ready(granted) = attempt else { return Poll::Pending };
                granted
            }
        };
        Poll::Ready(if granted { Ok(Permit::new(this.sender.clone())) } else { Err(SendError(())) })
    }
}

impl<T> Drop for SendFuture<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.node.phase() == Phase::Queued {
            // SAFETY: F2: a queued node was pinned, and its future is dropped where it stands.
            let node = unsafe { Pin::new_unchecked(&self.node) };
            // SAFETY: F1.
            unsafe { self.shared.leave(node, |state| &mut state.senders) };
        }
    }
}

impl<T> Drop for RecvFuture<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.node.phase() != Phase::Idle {
            // SAFETY: F2: a queued node was pinned, and its future is dropped where it stands.
            let node = unsafe { Pin::new_unchecked(&mut self.node) };
            // SAFETY: F1 and F2.
            unsafe { self.shared.cancel_recv(node) };
        }
    }
}

impl<T> Drop for ReserveFuture<'_, T> {
    fn drop(&mut self) {
        if self.node.phase() == Phase::Idle {
            return;
        }
        // SAFETY: F2: a queued node was pinned, and its future is dropped where it stands.
        let node = unsafe { Pin::new_unchecked(&self.node) };
        // SAFETY: F1.
        let phase = unsafe { self.sender.shared().leave(node, |state| &mut state.reservers) };
        if phase == Phase::Settled(Outcome::Served) {
            self.sender.shared().cancel_permit();
        }
    }
}

macro_rules! opaque_debug {
    ($($name:ident)*) => {$(
        impl<T> fmt::Debug for $name<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("phase", &self.node.phase()).finish()
            }
        }
    )*};
}

opaque_debug!(SendFuture RecvFuture ReserveFuture);
