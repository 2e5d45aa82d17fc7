//! Ticks to nanoseconds.
//!
//! Go counterpart: `internal/trace/batch.go` (`frequency`, `timestamp.mul`).
//!
//! ```text
//!   origin ········ from ──────── upto ──── upto ──▶      one rate for each stretch between two moments
//!     0 ns                                                before `from` that of the first, after the last that of the last
//! ```
//!
//! K1. Times are counted from the origin, and none is negative: what is before it is at it.
//!
//! Absent: the clocks themselves (`sys::clock`), and an order among records (`merge.rs`).

use super::super::recording::Moment;
use crate::sys::ticks;

/// Bits after the point of a rate.
const POINT: u32 = 32;

/// One stretch of the line.
pub(super) struct Clock {
    origin: u64,
    start: Moment,
    /// Nanoseconds a tick, times 2^[`POINT`].
    rate: u128,
}

/// The rate between two moments, if they tell one.
fn rate(a: Moment, b: Moment) -> Option<u128> {
    let ticks = b.ticks.checked_sub(a.ticks).filter(|&ticks| ticks > 0)?;
    let nanos = b.nanos.checked_sub(a.nanos).filter(|&nanos| nanos > 0)?;
    Some((u128::from(nanos) << POINT) / u128::from(ticks))
}

impl Clock {
    pub(super) fn new(origin: Moment, from: Moment) -> Self {
        let rate = rate(origin, from).unwrap_or(1 << POINT);
        Self { origin: origin.nanos, start: from, rate }
    }

    /// The next stretch ends at `upto`.
    pub(super) fn stretch(&mut self, upto: Moment) {
        if let Some(rate) = rate(self.start, upto) {
            self.rate = rate;
        }
    }

    /// And after that, this one begins.
    pub(super) fn advance(&mut self, upto: Moment) {
        if upto.ticks > self.start.ticks && upto.nanos > self.start.nanos {
            self.start = upto;
        }
    }

    /// Nanoseconds since the origin (K1).
    pub(super) fn at(&self, ticks: u64) -> u64 {
        let start = i128::from(self.start.nanos) - i128::from(self.origin);
        let away = i128::from(ticks.wrapping_sub(self.start.ticks).cast_signed());
        let nanos = start + ((away * self.rate.cast_signed()) >> POINT);
        u64::try_from(nanos.clamp(0, i128::from(LAST))).unwrap_or(LAST)
    }

    pub(super) fn of_moment(&self, moment: Moment) -> u64 {
        moment.nanos.saturating_sub(self.origin).min(LAST)
    }

    /// The length of `ticks`.
    pub(super) fn length(&self, ticks: u32) -> u64 {
        u64::try_from((u128::from(ticks) * self.rate) >> POINT).unwrap_or(LAST).min(LAST)
    }

    pub(super) fn ticks_per_us(&self) -> u64 {
        u64::try_from((1000 << POINT) / self.rate.max(1)).unwrap_or(u64::MAX)
    }

    /// As people read it.
    pub(super) fn text(&self) -> String {
        let khz = (1_000_000 << POINT) / self.rate.max(1);
        format!("{}, {}.{:06} GHz", ticks::name(), khz / 1_000_000, khz % 1_000_000)
    }
}

/// The last time there is: sums of some of them do not overflow.
pub(super) const LAST: u64 = 1 << 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stretch_has_its_own_rate_and_the_line_has_no_steps() {
        let moment = |ticks, nanos| Moment { ticks, nanos };
        let mut clock = Clock::new(moment(1_000, 500), moment(3_000, 1_500));
        assert_eq!(clock.at(3_000), 1_000);
        clock.stretch(moment(5_000, 5_500));
        assert_eq!((clock.at(3_000), clock.at(4_000), clock.at(5_000)), (1_000, 3_000, 5_000));
        clock.advance(moment(5_000, 5_500));
        clock.stretch(moment(9_000, 6_500));
        assert_eq!((clock.at(5_000), clock.at(9_000), clock.at(13_000)), (5_000, 6_000, 7_000));
        assert_eq!(clock.length(400), 100);
    }

    #[test]
    fn no_time_is_negative_and_odd_moments_do_no_harm() {
        let moment = |ticks, nanos| Moment { ticks, nanos };
        let mut clock = Clock::new(moment(1_000, 500), moment(1_000, 500));
        assert_eq!(clock.at(0), 0);
        clock.stretch(moment(u64::MAX, 0));
        clock.advance(moment(u64::MAX, 0));
        clock.stretch(moment(1, u64::MAX));
        for ticks in [0, 1, 999, 1_000, u64::MAX / 2, u64::MAX] {
            assert!(clock.at(ticks) <= LAST);
        }
        assert!(clock.ticks_per_us() > 0 && !clock.text().is_empty());
    }
}
