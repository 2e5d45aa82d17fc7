//! A channel in one word: what may be known of it without its lock.
//!
//! Go counterpart: the lock-free looks of `chan.go: full, empty`, and `len`.
//!
//! P1. While nobody has the lock the word says how the state is (`shared.rs`, S1). So whoever gets the lock knows from
//!     it what there is to do, and the common steps look at no more of the state than they change.
//!
//! ```text
//!    63 ………………… 8   7    6        5          4           3           2      1       0
//!   ┌─────────────┬─────┬────────┬───────────┬───────────┬───────────┬──────┬────────┬──────┐
//!   │ values held │ odd │ senders│ receivers │ recv waits│ send waits│ full │ closed │ LOCK │
//!   └─────────────┴─────┴────────┴───────────┴───────────┴───────────┴──────┴────────┴──────┘
//! ```
//!
//! Absent: the lock itself.

/// How a channel was when its lock was last given up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot(usize);

impl Snapshot {
    /// The lowest bit is the lock's (`shared.rs`).
    pub(super) const LOCK: usize = 1;
    pub(super) const CLOSED: usize = 2;
    /// No slot is free.
    pub(super) const FULL: usize = 4;
    /// A send would wait, or fail.
    pub(super) const SEND_WAITS: usize = 8;
    /// A receive would wait, or fail.
    pub(super) const RECV_WAITS: usize = 16;
    /// Receivers are in line: a value is handed over.
    pub(super) const RECEIVERS: usize = 32;
    /// Senders are in line: a value that leaves makes room for the first of theirs.
    pub(super) const SENDERS: usize = 64;
    /// Something is about that is rare: a value that came back, a reserver in line, or a permit for a rendezvous.
    pub(super) const ODD: usize = 128;
    pub(super) const LEN_SHIFT: u32 = 8;

    pub(super) fn from_word(word: usize) -> Self {
        Self(word & !Self::LOCK)
    }

    pub(super) fn word(self) -> usize {
        self.0
    }

    /// So many values stored, and the bits whose condition holds.
    #[inline]
    pub(super) fn of(len: usize, bits: &[(bool, usize)]) -> Self {
        let word =
            bits.iter().fold(len << Self::LEN_SHIFT, |word, &(set, bit)| if set { word | bit } else { word });
        Self(word)
    }

    #[inline]
    pub(super) fn with(self, bits: usize) -> Self {
        Self(self.0 | bits)
    }

    #[inline]
    pub(super) fn without(self, bits: usize) -> Self {
        Self(self.0 & !bits)
    }

    /// With a value more stored.
    #[inline]
    pub(super) fn one_more(self) -> Self {
        Self(self.0 + (1 << Self::LEN_SHIFT))
    }

    /// With one less.
    #[inline]
    pub(super) fn one_less(self) -> Self {
        Self(self.0 - (1 << Self::LEN_SHIFT))
    }

    #[inline]
    pub(super) fn has(self, bits: usize) -> bool {
        self.0 & bits != 0
    }

    #[inline]
    pub(super) fn is_closed(self) -> bool {
        self.has(Self::CLOSED)
    }

    pub(super) fn is_full(self) -> bool {
        self.has(Self::FULL)
    }

    #[inline]
    pub(super) fn send_waits(self) -> bool {
        self.has(Self::SEND_WAITS)
    }

    #[inline]
    pub(super) fn recv_waits(self) -> bool {
        self.has(Self::RECV_WAITS)
    }

    /// Whether `push_now` knows what to do: a value goes into the buffer or to the first receiver.
    #[inline]
    pub(super) fn takes_now(self) -> bool {
        !self.has(Self::CLOSED | Self::SEND_WAITS | Self::ODD)
    }

    /// Whether `take_now` knows what to do: a value comes out of the buffer, or from the first sender.
    #[inline]
    pub(super) fn gives_now(self) -> bool {
        !self.has(Self::CLOSED | Self::RECV_WAITS | Self::ODD)
    }

    /// Whether a sender simply joins the line.
    #[inline]
    pub(super) fn sender_joins(self) -> bool {
        self.0 & (Self::CLOSED | Self::SEND_WAITS | Self::ODD) == Self::SEND_WAITS
    }

    /// Whether a receiver simply joins the line.
    #[inline]
    pub(super) fn receiver_joins(self) -> bool {
        self.0 & (Self::CLOSED | Self::RECV_WAITS | Self::ODD) == Self::RECV_WAITS
    }

    /// As it is once a sender has joined the line: there is something to receive.
    #[inline]
    pub(super) fn with_sender(self) -> Self {
        Self(self.0 & !Self::RECV_WAITS | Self::SENDERS)
    }

    /// As it is once a receiver has joined the line: a send need not wait.
    #[inline]
    pub(super) fn with_receiver(self) -> Self {
        Self(self.0 & !Self::SEND_WAITS | Self::RECEIVERS)
    }

    pub(super) fn len(self) -> usize {
        self.0 >> Self::LEN_SHIFT
    }
}
