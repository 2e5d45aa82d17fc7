//! Channels as Go's: bounded, first in first out, for many senders and many receivers.
//!
//! Go counterpart: `chan.go`.
//!
//! H1. A value that was sent is received by one receiver, or dropped with the last receiver, or given back.
//! H2. Values leave in the order in which they entered; those who wait are served in the order in which they
//!     began to.
//! H3. A value is handed straight to a receiver that waits (`chan.go: send`), and a receiver that makes room
//!     takes the next waiting sender's value in (`chan.go: recv`): nobody who runs meanwhile can overtake.
//!
//! ```text
//!   Sender ─┐                       ┌─ Receiver      mod, sender, receiver   what programs use
//!   Permit ─┼─▶ Arc<Shared { lock }>┤                shared                  the lock, and what needs none
//!   Sender ─┘         │             └─ Receiver      waiting                 the futures
//!                   State { buffer, lines }          queue, snapshot         the rules, under the lock
//! ```
//!
//! Absent: an unbounded channel (an unbounded queue only hides that its reader is too slow), and anything
//! of the scheduler but its question whether the poll's time slice is over, and that a thread will block: channels
//! know only [`std::task::Waker`], and work on any executor.

mod error;
mod feed;
#[cfg(all(test, gmprt_loom))]
mod models;
#[cfg(not(gmprt_loom))]
mod order;
mod queue;
#[expect(unsafe_code, reason = "the stream's wait node lives in the receiver, and is shared by its methods")]
mod receiver;
#[cfg(not(gmprt_loom))]
#[doc(hidden)]
pub mod select;
mod sender;
#[expect(unsafe_code, reason = "the state is reached by who has locked the word beside it")]
mod shared;
mod snapshot;
#[expect(unsafe_code, reason = "queues nodes that live inside the pinned futures")]
mod waiting;

#[cfg(not(gmprt_loom))]
pub(crate) use feed::{Feed, fed};

pub use error::{RecvError, SendError, TryRecvError, TrySendError};
pub use receiver::Receiver;
pub use sender::{Permit, Sender};
pub use waiting::{RecvFuture, ReserveFuture, SendFuture};

use crate::sys::primitive::Arc;
use shared::Shared;
use std::fmt;

/// Makes a channel that holds up to `capacity` values; at 0 each send waits for its receiver.
///
/// It never blocks. Memory for a small buffer is taken at once, that of a large one grows as it fills, so
/// a huge capacity costs nothing until it is used.
///
/// # Examples
///
/// ```
/// let (tx, rx) = gmprt::chan::bounded(2);
/// tx.try_send('a').unwrap();
/// tx.try_send('b').unwrap();
/// assert!(tx.is_full());
/// assert_eq!((rx.try_recv(), rx.try_recv()), (Ok('a'), Ok('b')));
/// ```
///
/// # Differences from Go
///
/// Go takes the whole buffer at once, and panics with "makechan: size out of range" if it is too large.
#[doc(alias = "makechan")]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared::new(capacity));
    (Sender::new(Arc::clone(&shared)), Receiver::new(shared))
}

/// What both halves tell of their channel, in the same words.
macro_rules! observers {
    ($($half:ident)*) => {$(
        impl<T> $half<T> {
            /// Returns how many values the channel holds.
            ///
            /// It never blocks, and takes no lock. Values that waiting senders hold do not count, nor do
            /// those already handed to a receiver; one that came back from a dropped receive does, so
            /// this may exceed the capacity.
            ///
            /// # Examples
            ///
            /// ```
            /// let (tx, rx) = gmprt::chan::bounded(2);
            /// tx.try_send(1).unwrap();
            /// assert_eq!((tx.len(), rx.len()), (1, 1));
            /// ```
            #[doc(alias = "chanlen")]
            pub fn len(&self) -> usize {
                self.shared().snapshot().len()
            }

            /// Returns how many values the channel can hold; 0 for a rendezvous channel.
            ///
            /// It never blocks, and takes no lock.
            ///
            /// # Examples
            ///
            /// ```
            /// let (tx, rx) = gmprt::chan::bounded::<u8>(2);
            /// assert_eq!((tx.capacity(), rx.capacity()), (2, 2));
            /// ```
            #[doc(alias = "chancap")]
            pub fn capacity(&self) -> usize {
                self.shared().capacity
            }

            /// Whether the channel holds no value.
            ///
            /// It never blocks, and takes no lock.
            ///
            /// # Examples
            ///
            /// ```
            /// let (tx, rx) = gmprt::chan::bounded::<u8>(2);
            /// assert!(tx.is_empty() && rx.is_empty());
            /// ```
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether no slot is free, counting those that permits keep. A rendezvous channel has none, and
            /// is always full.
            ///
            /// It never blocks, and takes no lock.
            ///
            /// # Examples
            ///
            /// ```
            /// let (tx, rx) = gmprt::chan::bounded::<u8>(1);
            /// let permit = tx.try_reserve().unwrap();
            /// assert!(rx.is_full() && rx.is_empty());
            /// drop(permit);
            /// assert!(!rx.is_full());
            /// ```
            pub fn is_full(&self) -> bool {
                self.shared().snapshot().is_full()
            }

            /// Whether the channel is closed. What it holds can still be received.
            ///
            /// It never blocks, and takes no lock.
            ///
            /// # Examples
            ///
            /// ```
            /// let (tx, rx) = gmprt::chan::bounded::<u8>(1);
            /// drop(tx);
            /// assert!(rx.is_closed());
            /// ```
            pub fn is_closed(&self) -> bool {
                self.shared().snapshot().is_closed()
            }
        }

        impl<T> fmt::Debug for $half<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($half))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .field("closed", &self.is_closed())
                    .finish()
            }
        }
    )*};
}

observers!(Sender Receiver);
