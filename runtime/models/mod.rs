//! What loom sees: the lock-free parts, each compiled by itself with loom's atomics.
//!
//! `RUSTFLAGS="--cfg gmprt_loom" cargo test --release --lib` runs the models. Each part's models are
//! its child module, so that they reach its insides; each has canaries, which take a fence or an ordering
//! away (`sys::primitive::weaken`), or put a wrong rule in the place of a right one, and must then fail.
//!
//! Absent: the scheduler as a whole, whose threads and system calls loom does not know.

#![allow(unreachable_pub, reason = "the parts are public where the whole crate is compiled")]
#![allow(dead_code, reason = "each model uses what it checks, and not the rest of the file")]

/// In the place of the scheduler's: no slice ever ends, and nobody asks what is waited for.
pub(crate) mod preempt {
    pub(crate) fn must_yield(_polling: &std::task::Context<'_>) -> bool {
        false
    }

    pub(crate) fn yields() -> u32 {
        0
    }

    pub(crate) fn hand_off() {}

    pub(crate) fn waits(_reason: crate::reason::Reason) {}

    pub(crate) fn or_waits<T>(
        polled: std::task::Poll<T>,
        _reason: crate::reason::Reason,
    ) -> std::task::Poll<T> {
        polled
    }
}

#[cfg(test)]
pub(crate) mod frame;

#[path = "../sched/bedtime.rs"]
mod bedtime;
#[path = "../sched/idle.rs"]
mod idle;
#[path = "../sched/ids.rs"]
mod ids;
#[path = "../sched/lease.rs"]
mod lease;
#[path = "../queue/ring.rs"]
mod ring;
#[path = "../cell/state.rs"]
mod state;
#[path = "../trace/ring.rs"]
mod trace_ring;
