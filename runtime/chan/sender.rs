//! The sending half.
//!
//! Go counterpart: `chan<- T` (`chan.go: chansend, selectnbsend, closechan`).
//!
//! N1. Each `Sender`, and each `Permit` through the `Sender` in it, is counted in `Shared::senders`.
//! N2. A `Permit` holds one slot (`State::permits`) until it is sent or dropped.
//!
//! ```text
//!   send ───────────────────────────────▶ value in the channel
//!   reserve ──▶ Permit ──send──▶ value in the channel
//!                  └────drop──▶ slot to whoever is next in line
//! ```
//!
//! Absent: a borrowed permit. One that owns its sender can be kept in a struct, and keeps the channel open.

use super::error::{SendError, TrySendError};
use super::shared::Shared;
use super::waiting::{ReserveFuture, SendFuture};
use crate::sys::primitive::Arc;
use std::fmt;
use std::mem;

/// The sending half of a channel; clones send into the same one. Made by [`bounded`](super::bounded).
///
/// When the last sender and the last [`Permit`] are dropped the channel closes, and what is in it can
/// still be received.
///
/// # Examples
///
/// ```
/// gmprt::run(async {
///     let (tx, rx) = gmprt::chan::bounded(0);
///     let other = tx.clone();
///     gmprt::spawn(async move { other.send(7).await });
///     assert_eq!(rx.recv().await, Ok(7));
///     drop(tx);
///     assert!(rx.recv().await.is_err()); // the last sender has gone
/// })
/// .unwrap();
/// ```
#[doc(alias = "chan<-")]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// A free slot of a channel, kept for one value. Made by [`Sender::reserve`].
///
/// Dropping it passes the slot on to whoever is next in line.
///
/// # Examples
///
/// ```
/// let (tx, rx) = gmprt::chan::bounded(1);
/// let permit = tx.try_reserve().unwrap();
/// assert!(tx.try_send(1).unwrap_err().is_full());
/// permit.send(2).unwrap();
/// assert_eq!(rx.try_recv(), Ok(2));
/// ```
#[must_use = "a permit that is dropped gives its slot up"]
pub struct Permit<T> {
    sender: Sender<T>,
    used: bool,
}

impl<T> Sender<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }

    pub(super) fn shared(&self) -> &Shared<T> {
        &self.shared
    }

    /// Sends a value, and waits while the channel is full.
    ///
    /// A receiver that waits gets the value at once. Else it goes into a free slot; if there is none the
    /// task (G) blocks until a receiver takes the value, or makes room for it. On a rendezvous channel
    /// (capacity 0) it always waits for a receiver.
    ///
    /// Those who wait to send or reserve are served in the order in which they began to.
    ///
    /// Cancel safety: a send that is dropped takes its value with it, unless the channel had it already. It is
    /// never sent twice. Who must keep the value uses [`reserve`](Self::reserve).
    ///
    /// # Errors
    ///
    /// [`SendError`] with the value if the channel is closed, or is closed while this waits.
    ///
    /// # Panics
    ///
    /// The future panics if it is polled after it has completed.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = gmprt::chan::bounded(1);
    /// gmprt::run(async move {
    ///     tx.send("a value").await.unwrap();
    ///     assert_eq!(rx.recv().await, Ok("a value"));
    ///     drop(rx);
    ///     assert_eq!(tx.send("another").await.unwrap_err().into_inner(), "another");
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Differences from Go
    ///
    /// Go panics on a closed channel; here the value comes back. Go knows no dropped receivers.
    #[inline]
    pub fn send(&self, value: T) -> SendFuture<'_, T> {
        SendFuture::new(&self.shared, value)
    }

    /// Sends a value if that needs no waiting.
    ///
    /// It never blocks; a refusal does not even take the channel's lock.
    ///
    /// It does not overtake: while others wait for a slot, there is none.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if there is no free slot and no receiver waits, [`TrySendError::Closed`] if the
    /// channel is closed; both hold the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::chan::{TrySendError, bounded};
    ///
    /// let (tx, rx) = bounded(1);
    /// assert_eq!(tx.try_send(1), Ok(()));
    /// assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    /// drop(rx);
    /// assert_eq!(tx.try_send(3), Err(TrySendError::Closed(3)));
    /// ```
    ///
    /// # Differences from Go
    ///
    /// It is `select` with one `case` and a `default` (`chan.go: selectnbsend`).
    #[doc(alias = "selectnbsend")]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.shared.try_send(value)
    }

    /// Waits for a free slot, and keeps it for one value.
    ///
    /// The task (G) blocks while there is none. The [`Permit`] counts as a used slot until it is sent or
    /// dropped. On a rendezvous channel it stands for a receiver: `reserve` waits until one is in
    /// line that no other permit stands for, and other senders leave that one alone. If that receiver is
    /// then dropped, what the permit sends waits in the channel for the next one.
    ///
    /// Those who wait to send or reserve are served in the order in which they began to.
    ///
    /// Cancel safe: a slot that a dropped `reserve` got goes to the next in line.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the channel is closed, or is closed while this waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = gmprt::chan::bounded(1);
    /// gmprt::run(async move {
    ///     let permit = tx.reserve().await.unwrap();
    ///     assert!(tx.try_send(1).is_err()); // the one slot is taken
    ///     permit.send(2).unwrap();
    ///     assert_eq!(rx.recv().await, Ok(2));
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Differences from Go
    ///
    /// Go has no such thing, and needs none: there nothing is cancelled half way.
    pub fn reserve(&self) -> ReserveFuture<'_, T> {
        ReserveFuture::new(self)
    }

    /// Takes a free slot if there is one; see [`reserve`](Self::reserve).
    ///
    /// It never blocks.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if there is none, [`TrySendError::Closed`] if the channel is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = gmprt::chan::bounded(1);
    /// let permit = tx.try_reserve().unwrap();
    /// assert!(tx.try_reserve().is_err());
    /// permit.send('x').unwrap();
    /// assert_eq!(rx.try_recv(), Ok('x'));
    /// ```
    pub fn try_reserve(&self) -> Result<Permit<T>, TrySendError<()>> {
        self.shared.try_reserve()?;
        Ok(Permit::new(self.clone()))
    }

    /// Sends a value as [`send`](Self::send) does, from a thread that is no task.
    ///
    /// It blocks the thread (M).
    ///
    /// It waits in the same line as the tasks.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the value if the channel is closed, or is closed while this waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = gmprt::chan::bounded(0);
    /// let sender = std::thread::spawn(move || tx.send_blocking(7));
    /// assert_eq!(rx.recv_blocking(), Ok(7));
    /// assert_eq!(sender.join().unwrap(), Ok(()));
    /// ```
    #[cfg(not(gmprt_loom))]
    pub fn send_blocking(&self, value: T) -> Result<(), SendError<T>> {
        match self.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(value)) => Err(SendError(value)),
            Err(TrySendError::Full(value)) => crate::sync::blocking::block_thread(self.send(value)),
        }
    }

    /// Closes the channel, and says whether it was open.
    ///
    /// It never blocks. What is in the channel can still be received; those who wait to receive learn
    /// that it is closed, those who wait to send get their values back, and so does who holds a permit.
    ///
    /// They are woken latest first, so that on one P the one longest in line runs first (Go: `closechan`).
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = gmprt::chan::bounded(1);
    /// tx.try_send('a').unwrap();
    /// assert!(tx.close());
    /// assert!(!tx.close());
    /// assert_eq!(rx.recv_blocking(), Ok('a'));
    /// assert!(rx.recv_blocking().is_err());
    /// ```
    ///
    /// # Differences from Go
    ///
    /// Go panics if the channel is closed twice; here that returns `false`.
    #[doc(alias = "closechan")]
    pub fn close(&self) -> bool {
        self.shared.close()
    }
}

impl<T> Permit<T> {
    pub(super) fn new(sender: Sender<T>) -> Self {
        Self { sender, used: false }
    }

    /// Sends a value into the slot.
    ///
    /// It never blocks.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the value if the channel was closed since the permit was given.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = gmprt::chan::bounded(1);
    /// let (first, second) = (tx.try_reserve().unwrap(), tx.try_reserve());
    /// assert!(second.is_err());
    /// assert_eq!(first.send(1), Ok(()));
    /// let permit = { rx.try_recv().unwrap(); tx.try_reserve().unwrap() };
    /// tx.close();
    /// assert_eq!(permit.send(2).unwrap_err().into_inner(), 2);
    /// ```
    pub fn send(mut self, value: T) -> Result<(), SendError<T>> {
        self.used = true;
        self.sender.shared.send_reserved(value).map_err(SendError)
    }
}

impl<T> Drop for Permit<T> {
    fn drop(&mut self) {
        if !mem::replace(&mut self.used, true) {
            self.sender.shared.cancel_permit();
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.add_sender();
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.drop_sender();
    }
}

impl<T> fmt::Debug for Permit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("sender", &self.sender).finish()
    }
}
