//! Monotonic time as a number: nanoseconds since this process first asked.
//!
//! Go counterpart: `nanotime` (`time_nofake.go`); Go's timers hold an int64 of it too.
//!
//! K1. The base is chosen once. A reading is never less than one that happened before it.
//! K2. Conversions are exact in between, 0 for what was before the base, and [`NEVER`] for what is beyond a u64.
//!     So a deadline that is reached here is reached by `Instant` too: no timer fires early.
//!
//! ```text
//!   Instant:  ──────────┬──────────────────────────┬───────────▶
//!                      base                    base + 2^64 ns, some 584 years
//!   Nanos:        0     0  1  2  …             NEVER       NEVER
//! ```
//!
//! Absent: wall time, and a way to set the time; a test that needs an hour arms a timer and passes
//! the time to look at as a number.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nanoseconds since the base (K2).
pub(crate) type Nanos = u64;

/// A time that does not come.
pub(crate) const NEVER: Nanos = u64::MAX;

fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(Instant::now)
}

/// The time.
#[doc(alias = "nanotime")]
#[inline]
pub(crate) fn now() -> Nanos {
    // The base first: at the very first call it must not be later than the reading.
    let base = base();
    nanos(Instant::now().saturating_duration_since(base))
}

/// The time as of the kernel's last tick, some milliseconds ago, since the machine started: another base than [`now`]'s.
/// It costs a fifth as much, 5 ns against 24, for whoever asks often and counts in seconds.
#[cfg(not(gmprt_loom))]
#[inline]
pub(crate) fn coarse() -> Nanos {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for the write. The clock is known to each kernel that Rust runs on.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The time `t`, as a number (K2).
#[inline]
pub(crate) fn nanos_of(t: Instant) -> Nanos {
    nanos(t.saturating_duration_since(base()))
}

/// The length of `d`; [`NEVER`] if it is beyond a u64.
#[inline]
pub(crate) fn nanos(d: Duration) -> Nanos {
    u64::try_from(d.as_nanos()).unwrap_or(NEVER)
}

/// The instant of a time that is not [`NEVER`].
pub(crate) fn instant_of(t: Nanos) -> Instant {
    base() + Duration::from_nanos(t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_are_exact_between_the_base_and_the_end() {
        let earlier = Instant::now();
        let base = base();
        assert_eq!(nanos_of(base), 0);
        assert_eq!(nanos_of(base.checked_sub(Duration::from_secs(1)).unwrap_or(earlier)), 0);
        for n in [0, 1, 999_999_999, 1_000_000_000, 1_000_000_001, u64::MAX - 1] {
            let t = base + Duration::from_nanos(n);
            assert_eq!(nanos_of(t), n);
            assert_eq!(instant_of(n), t);
        }
    }

    #[test]
    fn what_is_beyond_the_end_is_never() {
        assert_eq!(nanos(Duration::from_nanos(u64::MAX)), NEVER);
        assert_eq!(nanos(Duration::MAX), NEVER);
        assert_eq!(nanos_of(base() + Duration::from_secs(600 * 366 * 86_400)), NEVER);
    }

    #[cfg(not(gmprt_loom))]
    #[test]
    fn the_coarse_clock_goes_on_and_never_back() {
        let first = coarse();
        let mut last = first;
        while last == first {
            let next = coarse();
            assert!(next >= last);
            last = next;
        }
    }

    #[test]
    fn the_clock_does_not_run_ahead_of_instant_nor_backwards() {
        let mut last = now();
        for _ in 0..1000 {
            let (before, t, after) = (Instant::now(), now(), Instant::now());
            assert!(last <= t && nanos_of(before) <= t && t <= nanos_of(after));
            last = t;
        }
    }
}
