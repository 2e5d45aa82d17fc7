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
//!            └──leave─▶ lock ─ off the list, the user's part ─ unlock ─ wake others, drop the waker
//! ```
//!
//! Q4. No user code runs under the lock: no waker is cloned, woken or dropped there, and no `T` of a user's.
//!
//! Q5. The queue of an [`OwnedWaiter`] lives in what its `owner` refers to, which outlives the waiter.
//!
//! Absent: a policy of whom to wake, and when. That is the user's, by [`WaitQueue::with`], and by what it does when
//! [`Waiter::leave`] says that a waiter has been dropped: one that was served passes on what it got.

use super::wait_list::{Node, Outcome, Phase, Refresh, WaitList};
use crate::sys::primitive::Mutex;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::Arc;
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

/// One wait for a queue, to be pinned and polled. Whoever has to know that it is given up calls
/// [`leave`](Self::leave) when it is dropped; its own drop only takes it off the list.
pub(crate) struct Waiter<'q, S, D> {
    queue: &'q WaitQueue<S, D>,
    node: Node<D>,
}

pin_project! {
    /// A waiter that keeps what holds its queue alive, for futures that are `'static`.
    pub(crate) struct OwnedWaiter<T, S: 'static, D: 'static> {
        #[pin]
        waiter: Waiter<'static, S, D>, // stands, and is dropped, before its owner (Q5)
        owner: Arc<T>,
    }
}

/// What a waiter that does not wait yet is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each model uses what it checks")]
pub(crate) enum Enter {
    /// It need not wait.
    Pass,
    /// It waits behind all others.
    AtBack,
    /// It waits before all others.
    AtFront,
}

impl<S, D> WaitQueue<S, D> {
    #[cfg(not(gmprt_loom))]
    pub(crate) const fn new(shared: S) -> Self {
        Self { lock: Mutex::new(Locked { shared, waiters: WaitList::new() }) }
    }

    #[cfg(gmprt_loom)]
    pub(crate) fn new(shared: S) -> Self {
        Self { lock: Mutex::new(Locked { shared, waiters: WaitList::new() }) }
    }

    /// Runs `f` under the lock (Q4): wakers are moved out, and woken later.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut S, Waiters<'_, D>) -> R) -> R {
        let mut locked =
            self.lock.lock().expect("no user code runs under this lock, so nothing panics there");
        let Locked { shared, waiters } = &mut *locked;
        f(shared, Waiters(waiters))
    }
}

#[allow(dead_code, reason = "each model uses what it checks")]
impl<D> Waiters<'_, D> {
    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// See [`WaitList::front`].
    pub(crate) fn front<R>(&mut self, f: impl FnOnce(&D) -> R) -> Option<R> {
        self.0.front(f)
    }

    /// See [`WaitList::back`].
    pub(crate) fn back<R>(&mut self, f: impl FnOnce(&D) -> R) -> Option<R> {
        self.0.back(f)
    }

    /// See [`WaitList::pop_back`].
    pub(crate) fn pop_back(&mut self, outcome: Outcome) -> Option<Waker> {
        self.0.pop_back(outcome)
    }

    /// See [`WaitList::pop_front_if`].
    pub(crate) fn pop_front_if(&mut self, f: impl FnOnce(&mut D) -> Option<Outcome>) -> Option<Waker> {
        self.0.pop_front_if(f)
    }

    /// Takes the first waiter off the list and settles it; its waker is to be woken once the lock is released.
    pub(crate) fn pop_front(&mut self, outcome: Outcome) -> Option<Waker> {
        self.0.pop_front_if(|_| Some(outcome))
    }
}

impl<'q, S, D> Waiter<'q, S, D> {
    pub(crate) fn new(queue: &'q WaitQueue<S, D>, data: D) -> Self {
        Self { queue, node: Node::new(data) }
    }

    /// Where it stands; anything but queued is final until its owner acts.
    #[allow(dead_code, reason = "each model uses what it checks")]
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        self.node.phase()
    }

    /// Lends its data to the owner; a settled waiter may wait again after this.
    ///
    /// # Panics
    ///
    /// If it waits: its data is the queue's then.
    #[allow(dead_code, reason = "each model uses what it checks")]
    #[inline]
    pub(crate) fn reset<R>(self: Pin<&mut Self>, f: impl FnOnce(&mut D) -> R) -> R {
        self.node().1.reset(f)
    }

    fn node(self: Pin<&mut Self>) -> (&'q WaitQueue<S, D>, Pin<&mut Node<D>>) {
        // SAFETY: Q3: nothing is moved out of `this`; its node is used only through the pin below.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: Q3: `node` is a field of a pinned waiter.
        (this.queue, unsafe { Pin::new_unchecked(&mut this.node) })
    }

    /// Waits until it is settled. A waiter that does not wait yet asks `enter` first, once and under the
    /// lock; that may set the waiter's data. After `Ready` it can be used again.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        enter: impl FnOnce(&mut S, Waiters<'_, D>, &mut D) -> Enter,
    ) -> Poll<Outcome> {
        let (queue, mut node) = self.node();
        match node.phase() {
            Phase::Settled(outcome) => {
                node.reset(|_| ());
                Poll::Ready(outcome)
            }
            Phase::Idle => {
                let mut spare = Some(cx.waker().clone());
                let entered = queue.with(|shared, waiters| {
                    let list = waiters.0;
                    let entered = node.as_mut().reset(|data| enter(shared, Waiters(list), data));
                    match (entered, spare.take_if(|_| entered != Enter::Pass)) {
                        // SAFETY: Q1, Q2 and Q3.
                        (Enter::AtBack, Some(waker)) => unsafe { list.push_back(node.as_ref(), waker) },
                        // SAFETY: Q1, Q2 and Q3.
                        (Enter::AtFront, Some(waker)) => unsafe { list.push_front(node.as_ref(), waker) },
                        _ => {}
                    }
                    entered
                });
                if entered == Enter::Pass { Poll::Ready(Outcome::Served) } else { Poll::Pending }
            }
            Phase::Queued => {
                let mut spare = None;
                loop {
                    let found = queue.with(|_, waiters| {
                        // SAFETY: Q1.
                        unsafe { waiters.0.refresh(node.as_ref(), cx.waker(), &mut spare) }
                    });
                    match found {
                        Refresh::Waiting => return Poll::Pending,
                        Refresh::NeedsClone => spare = Some(cx.waker().clone()),
                        Refresh::Settled => break,
                    }
                }
                drop(spare); // user code, which may panic: before the node forgets what it got
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

    /// Gives the wait up. If it waits, or was settled and has not been polled since, `f` is called under the lock,
    /// once it is off the list, with what it was: queued, or settled. Returns what `f` does, and a waker
    /// that the caller drops when all else is done: that is user code, and may panic.
    pub(crate) fn leave<R>(
        self: Pin<&mut Self>,
        f: impl FnOnce(&mut S, Waiters<'_, D>, &mut D, Phase) -> R,
    ) -> Option<(R, Option<Waker>)> {
        let (queue, mut node) = self.node();
        if node.phase() == Phase::Idle {
            return None;
        }
        Some(queue.with(|shared, waiters| {
            let list = waiters.0;
            // SAFETY: Q1.
            let waker = unsafe { list.remove(node.as_ref()) };
            let was = if waker.is_some() { Phase::Queued } else { node.phase() };
            (node.as_mut().reset(|data| f(shared, Waiters(list), data, was)), waker)
        }))
    }
}

#[allow(dead_code, reason = "each model uses what it checks")]
impl<T, S: 'static, D: 'static> OwnedWaiter<T, S, D> {
    /// A waiter for the queue that `queue` finds in `owner`.
    pub(crate) fn new(owner: Arc<T>, queue: for<'o> fn(&'o T) -> &'o WaitQueue<S, D>, data: D) -> Self {
        let queue = std::ptr::from_ref(queue(&owner));
        // SAFETY: Q5: `queue` borrows from what `owner` refers to, which stays where it is and is shared until the
        // last `Arc` is dropped; ours is dropped after the waiter. No method of a waiter gives its queue away.
        let queue = unsafe { &*queue };
        Self { waiter: Waiter::new(queue, data), owner }
    }

    /// What keeps the queue alive.
    pub(crate) fn owner(&self) -> &Arc<T> {
        &self.owner
    }

    /// Both parts.
    pub(crate) fn parts(self: Pin<&mut Self>) -> (&Arc<T>, Pin<&mut Waiter<'static, S, D>>) {
        let this = self.project();
        (&*this.owner, this.waiter)
    }
}

impl<S, D> Drop for Waiter<'_, S, D> {
    fn drop(&mut self) {
        if self.node.phase() == Phase::Queued {
            // SAFETY: Q3: a queued node was pinned, and is in a waiter that is dropped where it stands.
            let left = unsafe { Pin::new_unchecked(self) }.leave(|_, _, _, _| ());
            drop(left); // with the lock released
        }
    }
}
