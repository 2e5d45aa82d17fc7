//! The time slice of a chain: tasks that ready each other through `runnext`, each inheriting from the last.
//!
//! Go counterpart: `inheritTime` (`proc.go: schedule`), whose slice is 10 ms and ended by sysmon.
//!
//! A chain counts its links, and looks at the clock only now and then: its slice begins at the fourth link,
//! and is looked at at every sixteenth (`tuning.rs` says why).
//!
//! Absent: what is done when the slice is up, which is `policy/find.rs`, F2.

use crate::policy::tuning::{CHAIN_BEGINS, CHAIN_CLOCK_EVERY, CHAIN_SLICE};
use std::cell::Cell;
use std::time::Instant;

/// The chain that a P is running.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Runs since the last that did not inherit its slice.
    links: Cell<u32>,
    /// When the slice began; unset while the chain is short.
    since: Cell<Option<Instant>>,
}

impl Chain {
    /// A task runs that inherits its predecessor's slice.
    #[inline(always)]
    pub(super) fn grow(&self) {
        self.links.set(self.links.get() + 1);
    }

    /// A task runs that does not: a new slice.
    #[inline(always)]
    pub(super) fn end(&self) {
        if self.links.get() != 0 {
            self.links.set(0);
            self.since.set(None);
        }
    }

    /// Whether the slice is up.
    #[inline(always)]
    pub(super) fn is_over(&self) -> bool {
        let links = self.links.get();
        links >= CHAIN_BEGINS && self.look(links)
    }

    fn look(&self, links: u32) -> bool {
        match self.since.get() {
            None => {
                self.since.set(Some(Instant::now()));
                false
            }
            Some(since) => links.is_multiple_of(CHAIN_CLOCK_EVERY) && since.elapsed() >= CHAIN_SLICE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_chain_is_never_over() {
        let chain = Chain::default();
        for _ in 0..CHAIN_BEGINS - 1 {
            chain.grow();
            assert!(!chain.is_over());
        }
    }

    #[test]
    fn a_chain_is_over_once_its_slice_is_up_and_not_before() {
        let chain = Chain::default();
        let begun = Instant::now();
        while !chain.is_over() {
            chain.grow();
        }
        assert!(begun.elapsed() >= CHAIN_SLICE);
        chain.end();
        assert!(!chain.is_over(), "a new slice");
    }
}
