//! The cheapest clock there is: the processor's own counter.
//!
//! Go counterpart: `cputicks`, `traceClockNow` (`asm_amd64.s`, `tracetime.go`).
//!
//! I1. The counter of all cores runs at one constant rate, also while they sleep, and they agree to less than it takes to hand
//!     something from one to another. The kernel has found that out if it keeps its own time by it; elsewhere the
//!     monotonic clock stands in, in nanoseconds.
//! I2. `rdtsc` and `cntvct_el0` may be read by any program, and touch no memory.
//!
//! ```text
//!   now(): rdtsc, 10 ns on a virtual machine        clock::now(): 25 ns
//! ```
//!
//! Absent: a fence. The processor may read the counter some instructions early; whoever compares stamps of two cores
//! expects that.

use super::clock;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

const UNKNOWN: u8 = 0;
const COUNTER: u8 = 1;
const CLOCK: u8 = 2;

static SOURCE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// The counter.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // Ordering: Relaxed; whoever finds it unknown finds out the same.
    if SOURCE.load(Relaxed) == COUNTER { counter() } else { otherwise() }
}

#[cold]
fn otherwise() -> u64 {
    if source() == COUNTER { counter() } else { clock::now() }
}

fn source() -> u8 {
    // Ordering: Relaxed, both; as in `now`.
    let known = SOURCE.load(Relaxed);
    if known != UNKNOWN {
        return known;
    }
    let found = if is_usable() { COUNTER } else { CLOCK };
    SOURCE.store(found, Relaxed); // Ordering: Relaxed; as in `now`
    found
}

/// What [`now`] reads: for people.
pub(crate) fn name() -> &'static str {
    match (source(), cfg!(target_arch = "x86_64")) {
        (COUNTER, true) => "time stamp counter",
        (COUNTER, false) => "virtual counter",
        _ => "monotonic clock",
    }
}

#[cfg(target_arch = "x86_64")]
fn is_usable() -> bool {
    let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    std::fs::read_to_string(clock).is_ok_and(|name| name.trim() == "tsc")
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn counter() -> u64 {
    // SAFETY: I2.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(target_arch = "aarch64")]
fn is_usable() -> bool {
    true // the architecture says so (I1)
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn counter() -> u64 {
    let ticks: u64;
    // SAFETY: I2.
    unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn is_usable() -> bool {
    false
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn counter() -> u64 {
    clock::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on() {
        let first = now();
        let begun = clock::now();
        while clock::now() - begun < 1_000_000 {}
        let second = now();
        assert!(second > first, "{first}, and a millisecond later {second}, by {}", name());
    }
}
