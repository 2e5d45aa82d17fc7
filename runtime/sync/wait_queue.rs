//! A lock, what it guards, and the waiters for it: the wait list as safe code may use it.
//!
//! Go counterpart: `semaRoot` (`sema.go`), with one root for each object instead of a hashed table.
//!
//! Q1. A waiter's node is only ever queued in the list of the queue that the waiter refers to.
//! Q2. The list is reached only under `lock`, and only through [`Waiters`], so that it cannot be swapped
//!     for another.
//! Q3. A waiter is pinned before its node is queued, and its drop takes the node off the list.
//!
//! ```text
//!   Waiter { queue, node } ──poll──▶ lock ─ must it wait? ─ yes ─▶ node at the list's end ─ unlock ─▶ Pending
//!            │                                     └────── no ──▶ unlock ─▶ Ready(Served)
//!            └──drop──▶ lock ─ off the list, `on_cancel` ─ unlock ─ drop the waker
//! ```
//!
//! Absent: a policy of whom to wake, and when. That is the user's, by [`WaitQueue::with`].

use super::wait_list::{Node, Outcome, Phase, Refresh, WaitList};
use crate::sys::primitive::Mutex;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A value `S` under a lock, and the waiters for it, who each carry a `D`.
pub(crate) struct WaitQueue<S, D> {
    lock: Mutex<Locked<S, D>>,
}

struct Locked<S, D> {
    shared: S,
    waiters: WaitList<D>,
}

/// The list of a locked queue (Q2).
pub(crate) struct Waiters<'l, D>(&'l mut WaitList<D>);

/// One wait for a queue, to be pinned and polled. `on_cancel` is called, under the lock, if it is
/// dropped while it waits.
pub(crate) struct Waiter<'q, S, D, C: FnMut(&mut S, &mut D)> {
    queue: &'q WaitQueue<S, D>,
    on_cancel: C,
    node: Node<D>,
}

impl<S, D> WaitQueue<S, D> {
    pub(crate) fn new(shared: S) -> Self {
        Self { lock: Mutex::new(Locked { shared, waiters: WaitList::new() }) }
    }

    /// Runs `f` under the lock. It must run no user code: wakers are moved out, and woken later.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut S, Waiters<'_, D>) -> R) -> R {
        let mut locked =
            self.lock.lock().expect("no user code runs under this lock, so nothing panics there");
        let Locked { shared, waiters } = &mut *locked;
        f(shared, Waiters(waiters))
    }
}

impl<D> Waiters<'_, D> {
    /// See [`WaitList::pop_front_if`].
    pub(crate) fn pop_front_if(&mut self, f: impl FnOnce(&mut D) -> Option<Outcome>) -> Option<Waker> {
        self.0.pop_front_if(f)
    }
}

impl<'q, S, D, C: FnMut(&mut S, &mut D)> Waiter<'q, S, D, C> {
    pub(crate) fn new(queue: &'q WaitQueue<S, D>, data: D, on_cancel: C) -> Self {
        Self { queue, on_cancel, node: Node::new(data) }
    }

    /// Waits until it is settled. A waiter that does not wait yet asks `must_wait` first, under the
    /// lock; that may set the waiter's data. After `Ready` it can be used again.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        must_wait: impl FnOnce(&mut S, &mut D) -> bool,
    ) -> Poll<Outcome> {
        // SAFETY: Q3: nothing is moved out of `this`; its node is used only through the pin below.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: Q3: `node` is a field of a pinned waiter.
        let mut node = unsafe { Pin::new_unchecked(&mut this.node) };
        match node.phase() {
            Phase::Settled(outcome) => {
                node.reset(|_| ());
                Poll::Ready(outcome)
            }
            Phase::Idle => {
                let mut spare = Some(cx.waker().clone());
                let waits = this.queue.with(|shared, waiters| {
                    let waits = node.as_mut().reset(|data| must_wait(shared, data));
                    if waits && let Some(waker) = spare.take() {
                        // SAFETY: Q1, Q2 and Q3.
                        unsafe { waiters.0.push_back(node.as_ref(), waker) };
                    }
                    waits
                });
                if waits { Poll::Pending } else { Poll::Ready(Outcome::Served) }
            }
            Phase::Queued => {
                let mut spare = None;
                loop {
                    let found = this.queue.with(|_, waiters| {
                        // SAFETY: Q1.
                        unsafe { waiters.0.refresh(node.as_ref(), cx.waker(), &mut spare) }
                    });
                    match found {
                        Refresh::Waiting => return Poll::Pending,
                        Refresh::NeedsClone => spare = Some(cx.waker().clone()),
                        Refresh::Settled => break,
                    }
                }
                match node.phase() {
                    Phase::Settled(outcome) => {
                        node.reset(|_| ());
                        Poll::Ready(outcome)
                    }
                    other => unreachable!("a settled waiter is {other:?}"),
                }
            }
        }
    }
}

impl<S, D, C: FnMut(&mut S, &mut D)> Drop for Waiter<'_, S, D, C> {
    fn drop(&mut self) {
        if self.node.phase() != Phase::Queued {
            return;
        }
        // SAFETY: Q3: a queued node was pinned, and is in a waiter that is dropped where it stands.
        let mut node = unsafe { Pin::new_unchecked(&mut self.node) };
        let on_cancel = &mut self.on_cancel;
        let waker = self.queue.with(|shared, waiters| {
            // SAFETY: Q1.
            let waker = unsafe { waiters.0.remove(node.as_ref()) };
            if waker.is_some() {
                node.as_mut().reset(|data| on_cancel(shared, data));
            }
            waker
        });
        drop(waker); // with the lock released
    }
}
