//! Statistics: a count that one thread at a time writes and any thread reads.
//!
//! Go counterpart: the plain `schedtick` and friends, which Go's readers read racily.
//!
//! The ordering of every access is Relaxed, and that is explained here once: a count is for people and
//! for guesses. Nothing is published by it, and a reader that sees it late decides as it would have a
//! moment earlier.
//!
//! Absent: a locked add. Who holds a P is the only writer of the P's counters; [`Counter::add_shared`] is
//! for the few that several threads write.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A count.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; the caller is the only writer at this time.
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        // Ordering: Relaxed, both; see the head of the file.
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Sets the count; the caller is the only writer.
    #[inline(always)]
    pub(crate) fn set(&self, n: u64) {
        // Ordering: Relaxed; see the head of the file.
        self.0.store(n, Relaxed);
    }

    /// Adds `n`; others may do so at the same time.
    pub(crate) fn add_shared(&self, n: u64) {
        // Ordering: Relaxed; see the head of the file.
        self.0.fetch_add(n, Relaxed);
    }

    /// The count, as of now or a moment ago.
    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        // Ordering: Relaxed; see the head of the file.
        self.0.load(Relaxed)
    }
}
