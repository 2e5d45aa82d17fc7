//! The receiving half.
//!
//! Go counterpart: `<-chan T` (`chan.go: chanrecv, selectnbrecv`), and `for v := range ch`.
//!
//! V1. Each `Receiver` is counted in `Shared::receivers`.
//! V2. `stream` is the node of a wait that `poll_next` began. It is in this channel's line of receivers, if in
//!     any, never moves in its box, and is taken off the line before it is freed.
//! V3. `poll_next` has the receiver to itself; all other methods share it, and touch the node only by `recall`.
//!
//! ```text
//!   recv, recv_blocking, try_recv ──▶ recall ──▶ (a wait of the stream ends, its value goes back) ──▶ receive
//!   poll_next ──▶ node in a box, made when it first waits ──▶ poll_recv
//! ```
//!
//! Absent: a stream that borrows. A `Stream` has to keep its place in line between two polls, so it
//! needs a node that outlives them; `recv` has it on the stack.

use super::error::TryRecvError;
use super::shared::Shared;
use super::waiting::{Receiving, RecvFuture};
use crate::sync::preempt::must_yield;
use crate::sync::wait_list::Node;
use crate::sys::primitive::Arc;
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The receiving half of a channel; clones receive from the same one, each value going to one of them.
/// Made by [`bounded`](super::bounded).
///
/// When the last receiver is dropped the channel closes, and what is in it is dropped.
///
/// It is also a [`Stream`], which ends when the channel is closed and holds nothing any more. A stream
/// that was polled keeps its place in line: a value may be handed to it, and waits there until it is
/// polled again; until anything else is received through the same handle; or until that is dropped.
///
/// # Examples
///
/// ```
/// gmprt::run(async {
///     let (tx, rx) = gmprt::chan::bounded(2);
///     tx.send(1).await.unwrap();
///     tx.send(2).await.unwrap();
///     assert_eq!((rx.clone().recv().await, rx.recv().await), (Ok(1), Ok(2)));
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// A channel that nobody can receive from any more fails its senders, where in Go they wait for ever.
#[doc(alias = "<-chan")]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    stream: Option<Pin<Box<Receiving<T>>>>,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared, stream: None }
    }

    pub(super) fn shared(&self) -> &Shared<T> {
        &self.shared
    }

    /// The shared half, once no value is with our stream.
    #[inline]
    fn settled(&self) -> &Shared<T> {
        if let Some(node) = &self.stream {
            // SAFETY: V2 and V3.
            unsafe { self.shared.recall(node.as_ref()) };
        }
        &self.shared
    }

    /// Receives a value, and waits while the channel is empty.
    ///
    /// The task (G) blocks while there is none.
    ///
    /// Those who wait are served in the order in which they began to.
    ///
    /// Cancel safe: a value that was handed to a receive which is then dropped goes to the next
    /// receiver, in its old order; it counts in [`len`](Self::len), and the channel is not reported
    /// closed before it was received.
    ///
    /// # Errors
    ///
    /// [`RecvError`](super::RecvError) if the channel is closed and holds nothing any more.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = gmprt::chan::bounded(2);
    /// gmprt::run(async move {
    ///     tx.send(1).await.unwrap();
    ///     drop(tx);
    ///     assert_eq!(rx.recv().await, Ok(1));
    ///     assert!(rx.recv().await.is_err());
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Differences from Go
    ///
    /// `v, ok := <-ch` is a `Result`. In Go no receive can be given up.
    #[inline]
    pub fn recv(&self) -> RecvFuture<'_, T> {
        RecvFuture::new(self.settled())
    }

    /// Receives a value if there is one.
    ///
    /// It never blocks; a refusal does not even take the channel's lock.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if the channel holds nothing and no sender waits,
    /// [`TryRecvError::Closed`] if nothing will come any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::chan::{TryRecvError, bounded};
    ///
    /// let (tx, rx) = bounded(1);
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    /// tx.try_send(1).unwrap();
    /// drop(tx);
    /// assert_eq!(rx.try_recv(), Ok(1));
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    /// ```
    ///
    /// # Differences from Go
    ///
    /// It is `select` with one `case` and a `default` (`chan.go: selectnbrecv`).
    #[doc(alias = "selectnbrecv")]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.settled().try_recv()
    }

    /// Receives a value as [`recv`](Self::recv) does, from a thread that is no task.
    ///
    /// It blocks the thread (M).
    ///
    /// It waits in the same line as the tasks.
    ///
    /// # Errors
    ///
    /// [`RecvError`](super::RecvError) if the channel is closed and holds nothing any more.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = gmprt::chan::bounded(1);
    /// std::thread::spawn(move || tx.send_blocking(7));
    /// assert_eq!(rx.recv_blocking(), Ok(7));
    /// assert!(rx.recv_blocking().is_err());
    /// ```
    #[cfg(not(gmprt_loom))]
    pub fn recv_blocking(&self) -> Result<T, super::RecvError> {
        match self.settled().try_recv_in_turn() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Closed) => Err(super::RecvError),
            Err(TryRecvError::Empty) => crate::sync::blocking::block_thread(self.recv()),
        }
    }

    /// Closes the channel, and says whether it was open: as [`Sender::close`](super::Sender::close).
    ///
    /// It never blocks. What is in the channel can still be received.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = gmprt::chan::bounded(1);
    /// tx.try_send(1).unwrap();
    /// assert!(rx.close());
    /// assert!(tx.try_send(2).is_err());
    /// assert_eq!(rx.try_recv(), Ok(1));
    /// ```
    ///
    /// # Differences from Go
    ///
    /// In Go the type of a receive-only channel forbids it.
    pub fn close(&self) -> bool {
        self.shared.close()
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        let Self { shared, stream } = self.get_mut();
        if stream.is_none() {
            match shared.try_recv_in_turn() {
                Ok(value) => return Poll::Ready(Some(value)),
                Err(TryRecvError::Closed) => return Poll::Ready(None),
                Err(TryRecvError::Empty) => {}
            }
        }
        let node = stream.get_or_insert_with(|| Box::pin(Node::new(None)));
        // SAFETY: V2 and V3; our drop cancels.
        unsafe { shared.poll_recv(node.as_mut(), cx) }.map(Result::ok)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.add_receiver();
        Self { shared: Arc::clone(&self.shared), stream: None }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        /// Counts the receiver off even if the waker of the next in line panics.
        struct CountsOff<'a, T>(&'a Shared<T>);
        impl<T> Drop for CountsOff<'_, T> {
            fn drop(&mut self) {
                self.0.drop_receiver();
            }
        }
        let _counts_off = CountsOff(&self.shared);
        if let Some(node) = &mut self.stream {
            // SAFETY: V2 and V3.
            unsafe { self.shared.cancel_recv(node.as_mut()) };
        }
    }
}
