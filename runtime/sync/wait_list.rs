//! A FIFO list of waiters whose nodes live inside the futures that wait: to wait allocates nothing.
//!
//! Go counterpart: `sudog` and `waitq` (`runtime2.go`, `chan.go: enqueue, dequeue, dequeueSudoG`).
//!
//! W1. A node is in at most one list, from `push_back` until `pop_front_if` or `remove`; its phase is
//!     QUEUED exactly then.
//! W2. While a node is QUEUED its `inner` belongs to whoever has `&mut` of its list, which stands behind
//!     a lock; at all other times to the node's owner, who has `Pin<&mut Node>`.
//! W3. A queued node stays where it is: its owner pinned it, and calls `remove` before its memory goes.
//! W4. `head` and `tail` are the ends of one chain of `len` queued nodes; `prev` and `next` name the
//!     neighbours in it, and are `None` at its ends and in every node that is not queued.
//! W5. To settle a node takes its waker and stores its phase, in this order: after that store the
//!     list does not touch the node again, for its owner may free it at once.
//!
//! ```text
//!   IDLE ──1──▶ QUEUED ──2──▶ SERVED ──┐      1 push_back        2 pop_front_if: got what it waits for
//!    ▲  ▲           │ └───3──▶ CLOSED ──┤      3 pop_front_if: there is nothing to wait for any more
//!    │  └─────4─────┘                   │      4 remove (cancelled)
//!    └────────────────5─────────────────┘      5 reset, by the owner
//!
//!   head ─▶ node ⇄ node ⇄ node ◀─ tail          owner of `inner`: the list while QUEUED, else the future
//! ```
//!
//! Absent: a lock (the list stands behind its user's), any call of a waker (they are moved out, or
//! compared, and nothing else), and an assertion that a dropped list is empty: a leaked pinned
//! future legally stays in it for ever.

use crate::sys::primitive::{AtomicOrdering, AtomicU32, cell::UnsafeCell, weaken};
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::Waker;

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In no list; nothing has happened to it.
    Idle,
    /// In a list.
    Queued,
    /// Taken off the list, as it says.
    Settled(Outcome),
}

/// What became of a waiter that was taken off its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It got what it waits for.
    Served,
    /// It will not get it: what it waits on was closed.
    Closed,
}

const IDLE: u32 = 0;
const QUEUED: u32 = 1;
const SERVED: u32 = 2;
const CLOSED: u32 = 3;

/// One waiter's place in a list, with the data that the two sides exchange.
pub(crate) struct Node<D> {
    phase: AtomicU32,
    inner: UnsafeCell<Inner<D>>,
    _pinned: PhantomPinned,
}

struct Inner<D> {
    prev: Link<D>,
    next: Link<D>,
    waker: Option<Waker>,
    data: D,
}

type Link<D> = Option<NonNull<Node<D>>>;

/// The waiters, oldest first.
pub(crate) struct WaitList<D> {
    head: Link<D>,
    tail: Link<D>,
    len: usize,
}

/// What [`WaitList::refresh`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// The node is settled; its phase says how.
    Settled,
    /// The node is queued and has the current waker.
    Waiting,
    /// The node is queued with another waker: clone the current one, with no lock held, and come back.
    NeedsClone,
}

// SAFETY: by W2 one side at a time has `inner`, and what moves between threads there is `D`, a waker
// (`Send`) and links that only the holder of the list's lock follows.
unsafe impl<D: Send> Send for Node<D> {}
// SAFETY: `&Node` gives only the phase, an atomic; all else takes `Pin<&mut Node>` or the list (W2).
unsafe impl<D: Send> Sync for Node<D> {}
// SAFETY: the list owns no node; what it reaches through its links is `D: Send` and wakers (W2).
unsafe impl<D: Send> Send for WaitList<D> {}

impl<D> Node<D> {
    pub(crate) fn new(data: D) -> Self {
        Self {
            phase: AtomicU32::new(IDLE),
            inner: UnsafeCell::new(Inner { prev: None, next: None, waker: None, data }),
            _pinned: PhantomPinned,
        }
    }

    /// Where the node stands. Anything but QUEUED is final until its owner acts.
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        // Ordering: Acquire; pairs with the Release store in `settle`. Without it the owner could read
        // `data` before the value that was handed over has arrived there.
        let acquire = weaken::or_relaxed(AtomicOrdering::Acquire, "Node::phase");
        match self.phase.load(acquire) {
            IDLE => Phase::Idle,
            QUEUED => Phase::Queued,
            SERVED => Phase::Settled(Outcome::Served),
            CLOSED => Phase::Settled(Outcome::Closed),
            other => unreachable!("node with phase {other}"),
        }
    }

    /// Whether nothing has happened to it, as its owner sees it.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        // Ordering: Relaxed; an idle node is only queued by its owner, who asks.
        self.phase.load(AtomicOrdering::Relaxed) == IDLE
    }

    /// Lends the data of an idle node to the owner.
    #[inline]
    pub(crate) fn idle_data(self: Pin<&mut Self>) -> Option<&mut D> {
        // SAFETY: nothing is moved out of the node here; `data` is not pinned with it.
        let this = unsafe { self.get_unchecked_mut() };
        if !this.is_idle() {
            return None;
        }
        // SAFETY: W2: the node is not queued, and `&mut self` is its owner's.
        Some(this.inner.with_mut(|inner| unsafe { &mut (*inner).data }))
    }

    /// Lends the data to the owner, and makes a settled node idle.
    ///
    /// # Panics
    ///
    /// If the node is queued: its data is the list's then (W2).
    #[inline]
    pub(crate) fn reset<R>(self: Pin<&mut Self>, f: impl FnOnce(&mut D) -> R) -> R {
        // SAFETY: `Pin<&mut Self>` says that we are the owner, and nobody acts for us.
        unsafe { self.into_ref().reset_for_owner(f) }
    }

    /// As [`reset`](Self::reset), for one who acts for the owner.
    ///
    /// # Safety
    ///
    /// The caller excludes the owner, and all others who would act for it, until this returns.
    #[inline]
    pub(crate) unsafe fn reset_for_owner<R>(self: Pin<&Self>, f: impl FnOnce(&mut D) -> R) -> R {
        assert!(self.phase() != Phase::Queued, "the data of a queued node belongs to its list");
        // Ordering: Relaxed; only the owner writes the phase of a node that is not queued, and the
        // lock under which it is pushed next orders this store for everyone else.
        self.phase.store(IDLE, AtomicOrdering::Relaxed);
        self.inner.with_mut(|inner| {
            // SAFETY: W2: the node is not queued, and the caller is, or excludes, its owner.
            let inner = unsafe { &mut *inner };
            f(&mut inner.data)
        })
    }

    /// Ends the wait: after this the owner may free the node.
    fn settle(&self, outcome: Outcome) {
        let phase = match outcome {
            Outcome::Served => SERVED,
            Outcome::Closed => CLOSED,
        };
        // Ordering: Release; pairs with the Acquire load in `phase`, and publishes what the list's side
        // wrote to `data`. It is the last access to the node (W5).
        let release = weaken::or_relaxed(AtomicOrdering::Release, "Node::settle");
        self.phase.store(phase, release);
    }
}

impl<D> Drop for Node<D> {
    fn drop(&mut self) {
        debug_assert!(self.phase() != Phase::Queued, "W3: a queued node was dropped");
    }
}

impl<D> WaitList<D> {
    pub(crate) const fn new() -> Self {
        Self { head: None, tail: None, len: 0 }
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Shows the data of the first waiter.
    #[inline]
    pub(crate) fn front<R>(&mut self, f: impl FnOnce(&D) -> R) -> Option<R> {
        // SAFETY: W4: `head` is queued in this list.
        self.head.map(|node| unsafe { Self::with_inner(node, |inner| f(&inner.data)) })
    }

    /// Appends a waiter, to be woken by `waker`. The node must be idle.
    ///
    /// # Safety
    ///
    /// Until the node is settled or removed its owner keeps it pinned, and calls [`remove`](Self::remove)
    /// of this very list before it is dropped (W3). The list stands behind a lock, under which all of its
    /// methods are called (W2).
    pub(crate) unsafe fn push_back(&mut self, node: Pin<&Node<D>>, waker: Waker) {
        let last = self.tail;
        // SAFETY: the caller's promises; `last` is the end of this list.
        let this = unsafe { Self::enter(node, waker, last, None) };
        match last {
            // SAFETY: W4: `tail` is queued in this list.
            Some(last) => unsafe { Self::with_inner(last, |inner| inner.next = Some(this)) },
            None => self.head = Some(this),
        }
        self.tail = Some(this);
        self.len += 1;
    }

    /// As [`push_back`](Self::push_back), at the other end: the waiter is the next to be taken off.
    ///
    /// # Safety
    ///
    /// As for [`push_back`](Self::push_back).
    #[allow(dead_code, reason = "each model uses what it checks")]
    pub(crate) unsafe fn push_front(&mut self, node: Pin<&Node<D>>, waker: Waker) {
        let first = self.head;
        // SAFETY: the caller's promises; `first` is the beginning of this list.
        let this = unsafe { Self::enter(node, waker, None, first) };
        match first {
            // SAFETY: W4: `head` is queued in this list.
            Some(first) => unsafe { Self::with_inner(first, |inner| inner.prev = Some(this)) },
            None => self.tail = Some(this),
        }
        self.head = Some(this);
        self.len += 1;
    }

    /// Makes an idle node a queued one with these neighbours, who do not know of it yet.
    ///
    /// # Safety
    ///
    /// As for [`push_back`](Self::push_back).
    unsafe fn enter(node: Pin<&Node<D>>, waker: Waker, prev: Link<D>, next: Link<D>) -> NonNull<Node<D>> {
        // Ordering: Relaxed; only the owner, who calls this, changes the phase of a node in no list.
        let phase = node.phase.load(AtomicOrdering::Relaxed);
        assert_eq!(phase, IDLE, "W1: only an idle node can be queued");
        // Ordering: Relaxed; the owner reads its own store, and everyone else reaches the node only
        // through the list, under the lock.
        node.phase.store(QUEUED, AtomicOrdering::Relaxed);
        let this = NonNull::from(node.get_ref());
        // SAFETY: W2: the node is queued from here on, and the caller has `&mut` of its list.
        unsafe {
            Self::with_inner(this, |inner| {
                inner.prev = prev;
                inner.next = next;
                inner.waker = Some(waker);
            });
        }
        this
    }

    /// Shows the first waiter's data to `f`; if that says what becomes of it, takes the waiter off the
    /// list, settles it, and returns the waker to be woken once the lock is released.
    #[inline]
    pub(crate) fn pop_front_if(&mut self, f: impl FnOnce(&mut D) -> Option<Outcome>) -> Option<Waker> {
        let first = self.head?;
        // SAFETY: W4: `head` is queued in this list.
        let outcome = unsafe { Self::with_inner(first, |inner| f(&mut inner.data)) }?;
        // SAFETY: W4: `head` is queued in this list.
        let waker = unsafe { self.unlink(first) };
        // SAFETY: W3: the node is still QUEUED, so it is still there.
        unsafe { first.as_ref() }.settle(outcome);
        Some(waker)
    }

    /// Shows the data of the last waiter.
    pub(crate) fn back<R>(&mut self, f: impl FnOnce(&D) -> R) -> Option<R> {
        // SAFETY: W4: `tail` is queued in this list.
        self.tail.map(|node| unsafe { Self::with_inner(node, |inner| f(&inner.data)) })
    }

    /// Takes the last waiter off the list, settles it, and returns the waker to be woken once the lock is
    /// released.
    pub(crate) fn pop_back(&mut self, outcome: Outcome) -> Option<Waker> {
        let last = self.tail?;
        // SAFETY: W4: `tail` is queued in this list.
        let waker = unsafe { self.unlink(last) };
        // SAFETY: W3: the node is still QUEUED, so it is still there.
        unsafe { last.as_ref() }.settle(outcome);
        Some(waker)
    }

    /// Takes a waiter off the list because its future is dropped; `None` if it was settled before.
    /// The waker is to be dropped once the lock is released.
    ///
    /// # Safety
    ///
    /// If the node is queued, it is queued in this list.
    pub(crate) unsafe fn remove(&mut self, node: Pin<&Node<D>>) -> Option<Waker> {
        if node.phase() != Phase::Queued {
            return None;
        }
        // SAFETY: the caller says that a queued node is in this list.
        let waker = unsafe { self.unlink(NonNull::from(node.get_ref())) };
        // Ordering: Relaxed; it is the owner who calls this.
        node.phase.store(IDLE, AtomicOrdering::Relaxed);
        Some(waker)
    }

    /// Makes sure that a queued waiter has `waker`, or one that wakes the same task. A clone of it, made
    /// with no lock held, comes in through `spare`, and the waker that it replaces goes out there.
    ///
    /// # Safety
    ///
    /// If the node is queued, it is queued in this list.
    pub(crate) unsafe fn refresh(
        &mut self,
        node: Pin<&Node<D>>,
        waker: &Waker,
        spare: &mut Option<Waker>,
    ) -> Refresh {
        if node.phase() != Phase::Queued {
            return Refresh::Settled;
        }
        let update = |inner: &mut Inner<D>| {
            // `will_wake` compares two pairs of pointers: no user code runs.
            if inner.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
                return Refresh::Waiting;
            }
            match spare.take() {
                None => Refresh::NeedsClone,
                Some(clone) => {
                    *spare = inner.waker.replace(clone);
                    Refresh::Waiting
                }
            }
        };
        // SAFETY: W2: the node is queued, in this list as the caller says.
        unsafe { Self::with_inner(NonNull::from(node.get_ref()), update) }
    }

    /// Takes a node out of the chain; its phase is still QUEUED.
    ///
    /// # Safety
    ///
    /// The node is queued in this list.
    #[inline]
    unsafe fn unlink(&mut self, node: NonNull<Node<D>>) -> Waker {
        let take = |inner: &mut Inner<D>| (inner.prev.take(), inner.next.take(), inner.waker.take());
        // SAFETY: W2: the node is queued in this list, as the caller says.
        let (prev, next, waker) = unsafe { Self::with_inner(node, take) };
        match prev {
            // SAFETY: W4: the neighbour of a queued node is queued in the same list.
            Some(prev) => unsafe { Self::with_inner(prev, |inner| inner.next = next) },
            None => self.head = next,
        }
        match next {
            // SAFETY: W4: as above.
            Some(next) => unsafe { Self::with_inner(next, |inner| inner.prev = prev) },
            None => self.tail = prev,
        }
        self.len -= 1;
        waker.expect("W1: a queued node has a waker")
    }

    /// # Safety
    ///
    /// The node is queued in a list that the caller has exclusively, and `f` reaches no other access to it.
    #[inline]
    unsafe fn with_inner<R>(node: NonNull<Node<D>>, f: impl FnOnce(&mut Inner<D>) -> R) -> R {
        // SAFETY: W3: a queued node stays where it is.
        let node = unsafe { node.as_ref() };
        node.inner.with_mut(|inner| {
            // SAFETY: W2: the node is queued, and its list is the caller's.
            f(unsafe { &mut *inner })
        })
    }
}
