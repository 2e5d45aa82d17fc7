//! The calls that a workload makes, for each channel. Each is one inlined call of the channel's own: no side pays for
//! the trait.

use std::future::Future;

/// A sender of numbers. A send waits for room, or at capacity 0 for its receiver.
pub(crate) trait Tx: Clone + Send + Sync + 'static {
    /// Panics if nobody can receive any more.
    fn send(&self, value: u64) -> impl Future<Output = ()> + Send;
}

/// A receiver of numbers.
pub(crate) trait Rx: Send + 'static {
    /// `None` when all senders are gone, and all that they sent is received.
    fn recv(&mut self) -> impl Future<Output = Option<u64>> + Send;

    /// One more receiver of the same channel; asked for only where [`Channel::SHARED`].
    fn another(&self) -> Self;
}

/// A channel.
pub(crate) trait Channel: 'static {
    const NAME: &'static str;
    /// Whether it may have several receivers.
    const SHARED: bool;
    /// Whether it may have no buffer.
    const RENDEZVOUS: bool;
    type Tx: Tx;
    type Rx: Rx;
    fn bounded(capacity: usize) -> (Self::Tx, Self::Rx);
}

/// A channel whose two halves have `send(value)` and `recv()`, which `&self` is enough for, and are `Clone`.
macro_rules! mpmc {
    ($channel:ident: $name:literal, rendezvous: $rendezvous:literal, $bounded:path,
     $tx:ty => $send:ident, $rx:ty => $recv:ident) => {
        pub(crate) struct $channel;

        impl Tx for $tx {
            #[inline(always)]
            async fn send(&self, value: u64) {
                assert!(<$tx>::$send(self, value).await.is_ok(), "all receivers are gone");
            }
        }

        impl Rx for $rx {
            #[inline(always)]
            async fn recv(&mut self) -> Option<u64> {
                <$rx>::$recv(self).await.ok()
            }

            fn another(&self) -> Self {
                self.clone()
            }
        }

        impl Channel for $channel {
            const NAME: &'static str = $name;
            const SHARED: bool = true;
            const RENDEZVOUS: bool = $rendezvous;
            type Tx = $tx;
            type Rx = $rx;

            fn bounded(capacity: usize) -> ($tx, $rx) {
                $bounded(capacity)
            }
        }
    };
}

mpmc!(Gmprt: "gmprt", rendezvous: true, gmprt::chan::bounded,
    gmprt::chan::Sender<u64> => send, gmprt::chan::Receiver<u64> => recv);
mpmc!(AsyncChannel: "async-channel", rendezvous: false, async_channel::bounded,
    async_channel::Sender<u64> => send, async_channel::Receiver<u64> => recv);
mpmc!(Flume: "flume", rendezvous: true, flume::bounded,
    flume::Sender<u64> => send_async, flume::Receiver<u64> => recv_async);
mpmc!(Kanal: "kanal", rendezvous: true, kanal::bounded_async,
    kanal::AsyncSender<u64> => send, kanal::AsyncReceiver<u64> => recv);

/// Its receiver is one; its capacity is at least 1. Outside of tokio's own runtime it never makes a task yield.
pub(crate) struct Tokio;

impl Tx for tokio::sync::mpsc::Sender<u64> {
    #[inline(always)]
    async fn send(&self, value: u64) {
        assert!(Self::send(self, value).await.is_ok(), "the receiver is gone");
    }
}

impl Rx for tokio::sync::mpsc::Receiver<u64> {
    #[inline(always)]
    async fn recv(&mut self) -> Option<u64> {
        Self::recv(self).await
    }

    fn another(&self) -> Self {
        unreachable!("tokio's mpsc has one receiver")
    }
}

impl Channel for Tokio {
    const NAME: &'static str = "tokio mpsc";
    const SHARED: bool = false;
    const RENDEZVOUS: bool = false;
    type Tx = tokio::sync::mpsc::Sender<u64>;
    type Rx = tokio::sync::mpsc::Receiver<u64>;

    fn bounded(capacity: usize) -> (Self::Tx, Self::Rx) {
        tokio::sync::mpsc::channel(capacity)
    }
}
