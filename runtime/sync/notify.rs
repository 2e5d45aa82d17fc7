//! Tells one task, or all that wait now, that something has happened.
//!
//! Go counterpart: none. `sync.Cond` (`cond.go`, `sema.go: notifyList`) is near, but forgets a signal that nobody waits
//! for; a channel of one slot that is sent to with `select … default` is what Go programs use for `notify_one`.
//!
//! Length: half of this file is documentation.
//!
//! N1. `state` holds the number of calls of `notify_waiters` (the round), and two bits, WAITING and STORED. While
//!     WAITING is unset anybody changes it; once it is set it changes only under the queue's lock.
//! N2. While the lock is free, WAITING is set exactly while somebody is in line. WAITING and STORED are never both set.
//! N3. A `Notified` bears the round in which it was made. If the round has turned since, it is notified, in line or not.
//! N4. Only a `Notified` of the present round gets in line. So those of past rounds stand at its front, and are settled
//!     before anything else is done with the line, by whoever comes first: each of them once, and none that came later.
//! N5. A waiter that was settled by `notify_one` or `notify_last` and not polled since passes that on when it is dropped.
//!     One that was settled because its round was over does not.
//!
//! ```text
//!    63 ... 2    1         0
//!   ┌────────┬────────┬─────────┐   notify_one:      STORED = 1, unless WAITING ──▶ settle the first in line
//!   │ round  │ STORED │ WAITING │   notify_waiters:  round += 1;      WAITING ──▶ settle all of rounds before
//!   └────────┴────────┴─────────┘   notified:        round has turned, or STORED = 0 if it was 1 ──▶ ready
//!
//!   line:   [round 6] [round 6] ┆ [round 7] [round 7]         round = 7: the first two are being woken,
//!            ◀── settle_past ──▶ ┆  ▲ notify_one  ▲ notify_last            32 under each hold of the lock
//! ```
//!
//! Absent: a count of stored notifications (there is one or none; a `Semaphore` counts), and a second list
//! for those whom `notify_waiters` has still to wake: their round tells them from others.

use super::preempt::{must_yield, or_waits};
use super::wait_list::{Outcome, Phase};
use super::wait_queue::{Enter, OwnedWaiter, WaitQueue, Waiter, Waiters};
use super::wake_batch::{FirstPanic, WakeBatch};
use crate::reason::Reason;
use crate::sys::primitive::{
    AtomicOrdering::{Acquire, Relaxed, Release},
    AtomicUsize,
    weaken::or_relaxed,
};
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

const WAITING: usize = 1;
const STORED: usize = 2;
const ROUND: usize = 4;

/// How many waiters are settled under one hold of the lock: bounds both the time others wait for it and the stack
/// that the wakers take (16 bytes each).
const BATCH: usize = 32;

/// Lets tasks wait until they are told that something has happened; what it is, they look up themselves.
///
/// [`notify_one`](Self::notify_one) wakes one that waits, or is kept for the next that will: one notification,
/// however often it is called. [`notify_waiters`](Self::notify_waiters) wakes all whose [`notified`](Self::notified)
/// was called before it, and keeps none.
///
/// Only the future of `notified` blocks, and it blocks the task (G).
///
/// Fair: notifications go to those who wait in the order in which they began to (at their first poll, or at
/// [`Notified::enable`]).
///
/// Cancel safety: a notification that was given to a future which is dropped before it was polled goes to the next in
/// line, or is kept if there is none.
///
/// # Examples
///
/// One notification for each value could be too few for two receivers, since two of them may come before
/// anyone waits, and count as one. So a receiver looks at the values before it waits, and tells the next if it left some.
///
/// ```
/// use gmprt::sync::Notify;
/// use std::collections::VecDeque;
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Mailbox {
///     values: Mutex<VecDeque<u32>>,
///     notify: Notify,
/// }
///
/// impl Mailbox {
///     fn send(&self, value: u32) {
///         self.values.lock().unwrap().push_back(value);
///         self.notify.notify_one();
///     }
///
///     async fn recv(&self) -> u32 {
///         loop {
///             if let Some(value) = self.take() {
///                 return value;
///             }
///             self.notify.notified().await;
///         }
///     }
///
///     fn take(&self) -> Option<u32> {
///         let mut values = self.values.lock().unwrap();
///         let value = values.pop_front();
///         if !values.is_empty() {
///             self.notify.notify_one();
///         }
///         value
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// gmprt::run(async {
///     let mailbox = Arc::new(Mailbox::default());
///     let sender = Arc::clone(&mailbox);
///     gmprt::spawn(async move { (1..=3).for_each(|n| sender.send(n)) });
///     assert_eq!(mailbox.recv().await + mailbox.recv().await + mailbox.recv().await, 6);
/// })
/// # }
/// ```
///
/// # Differences from Go
///
/// The names and the rules are tokio's. Go's `Cond` is bound to a lock, and its `Signal` is lost if nobody waits.
#[doc(alias = "sync.Cond")]
pub struct Notify {
    state: AtomicUsize,
    queue: WaitQueue<(), Place>,
}

/// What a waiter in line carries.
struct Place {
    round: usize,
    settled: Cell<By>, // a cell: the list shows its last waiter by a shared reference
}

/// What settled a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// `notify_one`, or its own drop from the line: nothing that concerns others.
    One,
    /// `notify_last`.
    Last,
    /// Its round is over.
    Round,
}

pin_project! {
    /// Waits for a notification. Made by [`Notify::notified`], which says what becomes of it if it is dropped.
    ///
    /// Once it is ready it stays so.
    #[must_use = "futures do nothing unless polled or awaited"]
    pub struct Notified<'a> {
        notify: &'a Notify,
        round: usize,
        done: bool,
        #[pin]
        waiter: Waiter<'a, (), Place>,
    }

    impl PinnedDrop for Notified<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.notify.give_up(this.waiter);
        }
    }
}

pin_project! {
    /// Waits for a notification, with a share in the [`Notify`]. Made by [`Notify::notified_owned`].
    ///
    /// Once it is ready it stays so.
    #[must_use = "futures do nothing unless polled or awaited"]
    pub struct OwnedNotified {
        round: usize,
        done: bool,
        #[pin]
        waiter: OwnedWaiter<Notify, (), Place>,
    }

    impl PinnedDrop for OwnedNotified {
        fn drop(this: Pin<&mut Self>) {
            let (notify, waiter) = this.project().waiter.parts();
            notify.give_up(waiter);
        }
    }
}

fn round(state: usize) -> usize {
    state / ROUND
}

impl Place {
    fn new(round: usize) -> Self {
        Self { round, settled: Cell::new(By::One) }
    }
}

impl Notify {
    /// Returns a `Notify` that keeps no notification.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// static READY: gmprt::sync::Notify = gmprt::sync::Notify::new();
    /// READY.notify_one();
    /// gmprt::run(READY.notified()).unwrap();
    /// ```
    #[cfg(not(gmprt_loom))]
    #[must_use]
    pub const fn new() -> Self {
        Self { state: AtomicUsize::new(0), queue: WaitQueue::new(()) }
    }

    /// As above; loom's types have no `const` constructors.
    #[cfg(gmprt_loom)]
    pub fn new() -> Self {
        Self { state: AtomicUsize::new(0), queue: WaitQueue::new(()) }
    }

    /// Returns a future that waits for a notification.
    ///
    /// Blocks the task (G) until it is notified. If a notification is kept, it takes it and returns at once.
    ///
    /// Fair: it stands in line from its first poll or [`enable`](Notified::enable). A later
    /// [`notify_waiters`](Self::notify_waiters) reaches it even before that: it counts from this call on.
    ///
    /// Cancel safe: if dropped it loses its place in line, and a notification of [`notify_one`](Self::notify_one)
    /// that it had been given goes to the next, or is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// gmprt::run(async {
    ///     let notify = std::sync::Arc::new(gmprt::sync::Notify::new());
    ///     let other = notify.clone();
    ///     let task = gmprt::spawn(async move { other.notified().await });
    ///     notify.notify_one(); // before the task waits, or after
    ///     task.await.unwrap();
    /// })
    /// # }
    /// ```
    #[doc(alias = "Wait")]
    #[inline]
    pub fn notified(&self) -> Notified<'_> {
        let round = self.round();
        Notified { notify: self, round, done: false, waiter: Waiter::new(&self.queue, Place::new(round)) }
    }

    /// As [`notified`](Self::notified), for a future that keeps the `Notify` alive: for `'static` tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// gmprt::run(async {
    ///     let notify = std::sync::Arc::new(gmprt::sync::Notify::new());
    ///     let task = gmprt::spawn(notify.clone().notified_owned());
    ///     notify.notify_waiters(); // it was made before
    ///     task.await.unwrap();
    /// })
    /// # }
    /// ```
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        let round = self.round();
        let waiter = OwnedWaiter::new(self, |notify| &notify.queue, Place::new(round));
        OwnedNotified { round, done: false, waiter }
    }

    /// Wakes the task that has waited longest; if none waits, keeps one notification for the next that will.
    ///
    /// It never blocks. What happened before it is visible to the one notified.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// gmprt::run(async {
    ///     let notify = gmprt::sync::Notify::new();
    ///     notify.notify_one();
    ///     notify.notify_one(); // one is kept already
    ///     notify.notified().await;
    ///     let second = gmprt::time::timeout(std::time::Duration::ZERO, notify.notified()).await;
    ///     assert!(second.is_err());
    /// })
    /// # }
    /// ```
    #[doc(alias = "Signal")]
    #[inline]
    pub fn notify_one(&self) {
        self.notify(By::One);
    }

    /// As [`notify_one`](Self::notify_one), but wakes the task that has waited shortest: last in, first out.
    ///
    /// It never blocks. If the task is cancelled before it runs, the notification goes to the last in line again.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::Notify;
    /// use std::pin::pin;
    ///
    /// let notify = Notify::new();
    /// let (mut first, mut last) = (pin!(notify.notified()), pin!(notify.notified()));
    /// assert!(!first.as_mut().enable() && !last.as_mut().enable());
    /// notify.notify_last();
    /// assert!(!first.as_mut().enable() && last.as_mut().enable());
    /// ```
    #[inline]
    pub fn notify_last(&self) {
        self.notify(By::Last);
    }

    /// Wakes all whose [`notified`](Self::notified) was called before this, polled or not, and keeps nothing.
    ///
    /// It never blocks, and wakes in the order in which they began to wait. A notification that is kept stays so.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// gmprt::run(async {
    ///     let notify = gmprt::sync::Notify::new();
    ///     let (one, two) = (notify.notified(), notify.notified());
    ///     notify.notify_waiters();
    ///     one.await;
    ///     two.await;
    /// })
    /// # }
    /// ```
    #[doc(alias = "Broadcast")]
    pub fn notify_waiters(&self) {
        let turn = |state: usize| (state & WAITING == 0).then(|| state.wrapping_add(ROUND));
        // Ordering: Release; pairs with the Acquire load in `take`: those notified see what came before. Relaxed on
        // failure: the lock is taken then.
        let release = or_relaxed(Release, "Notify::notify_waiters");
        if self.state.fetch_update(release, Relaxed, turn).is_ok() {
            return; // nobody is in line
        }
        let mut batch = WakeBatch::<BATCH>::new();
        let done = self.queue.with(|(), mut waiting| {
            // Ordering: Release; as above, for one that is not in line. N1: under the lock.
            self.state.fetch_add(ROUND, Release);
            self.settle(None, &mut waiting, &mut batch)
        });
        self.wake(None, done, batch);
    }

    /// The present round.
    fn round(&self) -> usize {
        // Ordering: Acquire; pairs with the Release in `notify_waiters`: one that is made in the new round is not told by that
        // call, so its maker must see what came before it. One in line, which finds here that its round is over, takes
        // the lock under which that was ended (N1) before it says so.
        round(self.state.load(or_relaxed(Acquire, "Notify::round")))
    }

    fn notify(&self, by: By) {
        let store = |state| (state & WAITING == 0).then_some(state | STORED);
        // Ordering: Release, also if one is stored already; pairs with the Acquire in `take`: who takes it sees what came
        // before each of those it stands for. Relaxed on failure: the lock is taken then.
        let release = or_relaxed(Release, "Notify::notify");
        if self.state.fetch_update(release, Relaxed, store).is_err() {
            self.notify_slow(by);
        }
    }

    #[cold]
    fn notify_slow(&self, by: By) {
        let mut batch = WakeBatch::<1>::new(); // most often nobody of a past round is left
        let done = self.queue.with(|(), mut waiting| self.settle(Some(by), &mut waiting, &mut batch));
        self.wake(Some(by), done, batch);
    }

    /// Settles the waiters of past rounds (N4), then one as `by` says, or stores it. Under the lock. Returns whether all
    /// of this is done: if not, the batch is full.
    fn settle<const N: usize>(
        &self,
        by: Option<By>,
        waiting: &mut Waiters<'_, Place>,
        batch: &mut WakeBatch<N>,
    ) -> bool {
        // Ordering: Relaxed; if anybody is in line, the round was turned under the lock, which is ours now (N1).
        let now = round(self.state.load(Relaxed));
        while !batch.is_full() {
            let past = waiting.pop_front_if(|place| {
                let past = place.round != now;
                past.then(|| place.settled.set(By::Round)).map(|()| Outcome::Served)
            });
            let Some(waker) = past else { break };
            batch.push(waker);
        }
        let full = batch.is_full();
        let mut store = false;
        if let Some(by) = by.filter(|_| !full) {
            let waker = if by == By::Last {
                waiting.back(|place| place.settled.set(by));
                waiting.pop_back(Outcome::Served)
            } else {
                waiting.pop_front_if(|place| {
                    place.settled.set(by);
                    Some(Outcome::Served)
                })
            };
            match waker {
                Some(waker) => batch.push(waker),
                None => store = true,
            }
        }
        self.tidy(waiting, store);
        !full
    }

    /// Stores a notification if asked, and says that nobody is in line if so (N2). Under the lock.
    fn tidy(&self, waiting: &Waiters<'_, Place>, store: bool) {
        if waiting.is_empty() {
            let stored = if store { STORED } else { 0 };
            let tidy = |state| Some((state & !WAITING) | stored);
            // Ordering: Release; as in `notify`, for one that is stored. As a read-modify-write it carries earlier
            // releases on.
            let _ = self.state.fetch_update(Release, Relaxed, tidy);
        }
    }

    /// Wakes those who were settled, and goes on until all is done. No lock is held.
    #[inline]
    fn wake<const N: usize>(&self, by: Option<By>, done: bool, batch: WakeBatch<N>) {
        if done {
            batch.wake_all();
        } else {
            self.wake_more(by, batch);
        }
    }

    #[cold]
    fn wake_more<const N: usize>(&self, by: Option<By>, batch: WakeBatch<N>) {
        let mut first = FirstPanic::default();
        batch.wake_into(&mut first);
        loop {
            let mut batch = WakeBatch::<BATCH>::new();
            let done = self.queue.with(|(), mut waiting| self.settle(by, &mut waiting, &mut batch));
            batch.wake_into(&mut first);
            if done {
                break;
            }
        }
        first.resume();
    }

    /// Whether one made in `mine`, and not in line, is notified. Takes the notification that is kept, unless the round has
    /// turned: then it needs none.
    #[inline]
    fn take(&self, mine: usize) -> bool {
        // Ordering: Acquire; pairs with the Release in `notify_waiters`: who finds that the round has turned is notified,
        // and sees what came before.
        let mut state = self.state.load(or_relaxed(Acquire, "Notify::take, the round"));
        loop {
            if round(state) != mine {
                return true;
            }
            if state & STORED == 0 {
                return false;
            }
            // Ordering: Acquire; pairs with the Release in `notify`. On failure as the load above.
            let acquire = or_relaxed(Acquire, "Notify::take");
            match self.state.compare_exchange_weak(state, state & !STORED, acquire, Acquire) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }

    /// Waits for a notification.
    fn poll_notified(
        &self,
        mine: usize,
        mut waiter: Pin<&mut Waiter<'_, (), Place>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let waits = waiter.phase() != Phase::Idle;
            if !waits && self.take(mine) {
                return Poll::Ready(());
            }
            // Who was made in a past round is notified, although its turn to be taken off the line is still to come.
            // Otherwise of two that one call notifies the second could be seen without.
            if waits && self.is_past(mine, waiter.as_mut()) {
                return Poll::Ready(());
            }
            ready!(waiter.as_mut().poll(cx, |(), _, _| self.line_up(mine)));
            if waits {
                return Poll::Ready(());
            }
            // The state has changed before it stood in line. Nothing was taken under the lock, so that nothing
            // is lost if the waker's clone, which is dropped after it, panics.
        }
    }

    /// Takes one in line off it if its round is over, and says whether it is notified.
    fn is_past(&self, mine: usize, waiter: Pin<&mut Waiter<'_, (), Place>>) -> bool {
        if self.round() == mine || waiter.phase() != Phase::Queued {
            return false;
        }
        // It may have been settled meanwhile, even by `notify_one` just before its round ended: then it has got that.
        let left = waiter.leave(|(), waiting, _, _| self.tidy(&waiting, false));
        drop(left);
        true
    }

    /// Whether one made in `mine` has to stand in line; if so, says that somebody does. Under the lock.
    fn line_up(&self, mine: usize) -> Enter {
        let wait = |state| (round(state) == mine && state & STORED == 0).then_some(state | WAITING);
        // Ordering: Relaxed; nothing was taken, and nothing is published. That a notification either comes before this
        // and is seen, or sees WAITING, is due to both being read-modify-writes of one word.
        match self.state.fetch_update(Relaxed, Relaxed, wait) {
            Ok(_) => Enter::AtBack,
            Err(_) => Enter::Pass,
        }
    }

    /// See [`Notified::enable`].
    fn enable(&self, mine: usize, mut waiter: Pin<&mut Waiter<'_, (), Place>>) -> bool {
        if waiter.phase() == Phase::Queued {
            // The waker of its last poll stays.
            return self.is_past(mine, waiter.as_mut());
        }
        self.poll_notified(mine, waiter, &mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// A future is dropped: a notification that it got goes on (N5).
    #[inline]
    fn give_up(&self, waiter: Pin<&mut Waiter<'_, (), Place>>) {
        if waiter.phase() != Phase::Idle {
            self.leave(waiter);
        }
    }

    #[cold]
    fn leave(&self, waiter: Pin<&mut Waiter<'_, (), Place>>) {
        let left = waiter.leave(|(), waiting, place, was| {
            self.tidy(&waiting, false);
            (was != Phase::Queued).then(|| place.settled.get()).filter(|by| *by != By::Round)
        });
        if let Some((pass_on, waker)) = left {
            if let Some(by) = pass_on {
                self.notify(by);
            }
            drop(waker);
        }
    }
}

impl Notified<'_> {
    /// Gets in line without being polled, and says whether it is notified.
    ///
    /// It never blocks. Between this and the first poll, look whether there is anything to wait for: what is notified
    /// after this call is not missed, also by [`notify_one`](Notify::notify_one) with several that wait.
    ///
    /// If it returns `true` the notification is received: the future is ready, and dropping it passes nothing on.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::sync::Notify;
    /// use std::pin::pin;
    ///
    /// let notify = Notify::new();
    /// let mut notified = pin!(notify.notified());
    /// assert!(!notified.as_mut().enable());
    /// notify.notify_one();
    /// assert!(notified.as_mut().enable());
    /// ```
    pub fn enable(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        *this.done = *this.done || this.notify.enable(*this.round, this.waiter);
        *this.done
    }
}

impl OwnedNotified {
    /// As [`Notified::enable`].
    ///
    /// # Examples
    ///
    /// ```
    /// let notify = std::sync::Arc::new(gmprt::sync::Notify::new());
    /// let mut notified = std::pin::pin!(notify.clone().notified_owned());
    /// assert!(!notified.as_mut().enable());
    /// notify.notify_waiters();
    /// assert!(notified.as_mut().enable());
    /// ```
    pub fn enable(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        let (notify, waiter) = this.waiter.parts();
        *this.done = *this.done || notify.enable(*this.round, waiter);
        *this.done
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        let this = self.project();
        if !*this.done {
            ready!(or_waits(this.notify.poll_notified(*this.round, this.waiter, cx), Reason::Notify));
            *this.done = true;
        }
        Poll::Ready(())
    }
}

impl Future for OwnedNotified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        let this = self.project();
        if !*this.done {
            let (notify, waiter) = this.waiter.parts();
            ready!(or_waits(notify.poll_notified(*this.round, waiter, cx), Reason::Notify));
            *this.done = true;
        }
        Poll::Ready(())
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ordering: Relaxed; a figure for the reader.
        let state = self.state.load(Relaxed);
        f.debug_struct("Notify")
            .field("waiters", &self.queue.with(|(), waiting| waiting.len()))
            .field("stored", &(state & STORED != 0))
            .finish()
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified").field("notified", &self.done).finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedNotified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedNotified").field("notified", &self.done).finish_non_exhaustive()
    }
}

#[cfg(all(test, gmprt_loom))]
#[path = "models/notify.rs"]
mod models;
