//! What a P has done, counted by its holder.
//!
//! Go counterpart: `p.schedtick`, `p.syscalltick` and friends (`runtime2.go`).
//!
//! Absent: locked adds (`sys/counter.rs` says why none is needed).

use crate::sys::counter::Counter;

/// What a P has done, for `metrics()`.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Polls begun on it; a revoker also tells by this whether a poll has moved on.
    pub(crate) polls: Counter,
    /// Polls that did not inherit their predecessor's time slice.
    pub(crate) schedtick: Counter,
    pub(crate) spawned: Counter,
    pub(crate) steals: Counter,
    pub(crate) stolen: Counter,
    pub(crate) overflows: Counter,
    pub(crate) injector_takes: Counter,
    /// Timers fired by whoever held it; and those among them that another P's task had set.
    pub(crate) timers: Counter,
    pub(crate) timers_stolen: Counter,
}
