//! What can go wrong at a channel; what was to be sent comes back in the error.
//!
//! Go counterpart: none. Go panics with "send on closed channel", and receives a zero value with `ok == false`.
//!
//! R1. An error of a send holds the value that was not sent.
//! R2. `Debug` and `Display` never show that value, so they ask nothing of `T`.
//!
//! ```text
//!   SendError<T>(T) ◀── send, reserve, Permit::send         RecvError ◀── recv
//!   TrySendError::{Full(T), Closed(T)} ◀── try_send         TryRecvError::{Empty, Closed} ◀── try_recv
//! ```
//!
//! Absent: a cause. A channel that is closed by hand and one that has lost its other half fail alike.

use std::error::Error;
use std::fmt;

/// The channel is closed; the value was not sent, and is given back.
///
/// # Examples
///
/// ```
/// use gmprt::chan::{self, SendError};
///
/// let (tx, rx) = chan::bounded(1);
/// drop(rx);
/// assert_eq!(gmprt::run(async { tx.send(7).await }).unwrap(), Err(SendError(7)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// A value could not be sent without waiting, and is given back.
///
/// # Examples
///
/// ```
/// use gmprt::chan::{self, TrySendError};
///
/// let (tx, rx) = chan::bounded(1);
/// assert_eq!(tx.try_send(7), Ok(()));
/// assert_eq!(tx.try_send(8), Err(TrySendError::Full(8)));
/// drop(rx);
/// assert_eq!(tx.try_send(9), Err(TrySendError::Closed(9)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no free slot, and nobody waits to receive.
    Full(T),
    /// The channel is closed.
    Closed(T),
}

/// The channel is closed, and holds nothing any more.
///
/// # Examples
///
/// ```
/// use gmprt::chan::{self, RecvError};
///
/// let (tx, rx) = chan::bounded(1);
/// tx.try_send(7).unwrap();
/// drop(tx);
/// let received = gmprt::run(async { (rx.recv().await, rx.recv().await) }).unwrap();
/// assert_eq!(received, (Ok(7), Err(RecvError)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

/// Nothing could be received without waiting.
///
/// # Examples
///
/// ```
/// use gmprt::chan::{self, TryRecvError};
///
/// let (tx, rx) = chan::bounded::<u8>(1);
/// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
/// drop(tx);
/// assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// The channel holds nothing, but something may still come.
    Empty,
    /// The channel is closed, and holds nothing any more.
    Closed,
}

impl<T> SendError<T> {
    /// Returns the value that was not sent.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(gmprt::chan::SendError(7).into_inner(), 7);
    /// ```
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TrySendError<T> {
    /// Returns the value that was not sent.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(gmprt::chan::TrySendError::Full(7).into_inner(), 7);
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }

    /// Whether there was no room.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, _rx) = gmprt::chan::bounded(0);
    /// assert!(tx.try_send(7).unwrap_err().is_full()); // nobody waits to receive
    /// ```
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether the channel was closed.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, _) = gmprt::chan::bounded(1);
    /// assert!(tx.try_send(7).unwrap_err().is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl<T> From<SendError<T>> for TrySendError<T> {
    fn from(SendError(value): SendError<T>) -> Self {
        Self::Closed(value)
    }
}

impl From<RecvError> for TryRecvError {
    fn from(_: RecvError) -> Self {
        Self::Closed
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("send on closed channel")
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "send on full channel would wait",
            Self::Closed(_) => "send on closed channel",
        })
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("receive on closed and empty channel")
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "receive on empty channel would wait",
            Self::Closed => "receive on closed and empty channel",
        })
    }
}

impl<T> Error for SendError<T> {}
impl<T> Error for TrySendError<T> {}
impl Error for RecvError {}
impl Error for TryRecvError {}
