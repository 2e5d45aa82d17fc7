//! What fills a channel by itself, and wants to know when it is looked at and when it is closed.
//!
//! Go counterpart: `hchan.timer` (`chan.go: chanrecv`; `time.go: maybeRunChan, blockTimerChan`).
//!
//! E1. A feed is there from before the channel is shared, and as long as the channel. It may hold a sender, which it gives up
//!     in `closed` at the latest: else neither is ever freed.
//! E2. Neither method is called under a lock of ours. Either may send, and close the channel.
//!
//! ```text
//!   try_recv, poll of a receive ──▶ look ──▶ (it may send) ──▶ receive
//!   close, by whatever closes it ──▶ closed
//! ```
//!
//! Absent: other channels' cost: they test an `Option` that never changes.

#[cfg(not(gmprt_loom))]
use super::{Receiver, Sender, Shared, TrySendError, queue::Wakes};
use std::panic::{RefUnwindSafe, UnwindSafe};
#[cfg(not(gmprt_loom))]
use std::sync::Arc;

/// The source of a channel.
pub(crate) trait Feed: Send + Sync + UnwindSafe + RefUnwindSafe {
    /// Somebody is about to receive.
    fn look(&self);

    /// Nothing can be sent any more.
    fn closed(&self);
}

/// Makes a channel that `feed` fills.
#[cfg(not(gmprt_loom))]
pub(crate) fn fed<T>(capacity: usize, feed: Arc<impl Feed + 'static>) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared::fed(capacity, feed));
    (Sender::new(Arc::clone(&shared)), Receiver::new(shared))
}

#[cfg(not(gmprt_loom))]
impl<T> Sender<T> {
    /// As [`try_send`](Self::try_send), for a feed that has a lock of its own: who is to be woken after that, is left in
    /// `wakes`.
    pub(crate) fn try_send_into(&self, value: T, wakes: &mut Wakes) -> Result<(), TrySendError<T>> {
        self.shared().try_send_into(value, wakes)
    }
}
