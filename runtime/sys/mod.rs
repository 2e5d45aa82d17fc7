//! Floor 0: what the operating system and the memory model give us.
//!
//! Everything above reaches threads, atomics and system calls through this floor, so that a
//! model checker can stand in for the first two and a reader finds the third in one place.

#[cfg(not(gmprt_loom))]
#[expect(unsafe_code, reason = "sched_setaffinity and sched_getaffinity of a whole mask")]
pub(crate) mod affinity;
#[cfg_attr(gmprt_loom, allow(dead_code, reason = "models ask for the time, and for nothing else"))]
#[cfg_attr(not(gmprt_loom), expect(unsafe_code, reason = "reads the coarse clock, which std does not offer"))]
pub(crate) mod clock;
#[cfg(not(gmprt_loom))]
pub(crate) mod counter;
#[cfg(not(gmprt_loom))]
#[expect(unsafe_code, reason = "the C library's atexit")]
pub(crate) mod exit;
#[cfg_attr(not(gmprt_loom), expect(unsafe_code, reason = "the membarrier system call"))]
pub(crate) mod membarrier;
#[cfg(not(gmprt_loom))]
pub(crate) mod parker;
pub(crate) mod primitive;
#[cfg(not(gmprt_loom))]
#[expect(unsafe_code, reason = "a thread's CPU clock, and the slack of the own thread's timers")]
pub(crate) mod thread;
#[cfg(not(gmprt_loom))]
#[expect(unsafe_code, reason = "reads the processor's counter")]
pub(crate) mod ticks;
