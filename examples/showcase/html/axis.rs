//! Axes: where they begin and end, and which figures stand along them.
//!
//! A chart's coordinates are plain numbers. What is drawn on a logarithmic axis has its logarithm taken beforehand, so
//! that one kind of axis does for all.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::units;

/// One axis of a chart.
#[derive(Clone)]
pub(crate) struct Axis {
    pub(crate) title: String,
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Where figures stand, and which.
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to a round figure not below `highest`. `unit` is what steps are round in: 1, or 1024 for KiB.
    pub(crate) fn linear(title: &str, highest: f64, unit: f64, text: fn(f64) -> String) -> Axis {
        let highest = if highest > 0.0 { highest } else { unit };
        let step = round_step(highest / unit / 5.0) * unit;
        let steps = (highest / step).ceil() as u32;
        let ticks = (0..=steps).map(|i| f64::from(i) * step).map(|at| (at, units::short(text(at)))).collect();
        Axis { title: title.to_owned(), from: 0.0, to: f64::from(steps) * step, ticks }
    }

    /// Seconds since the start, up to exactly `highest`.
    pub(crate) fn seconds(title: &str, highest: f64) -> Axis {
        let mut axis = Axis::linear(title, highest, 1.0, units::count);
        axis.to = if highest > 0.0 { highest } else { axis.to };
        axis.ticks.retain(|&(at, _)| at <= axis.to);
        axis
    }

    /// Nanoseconds, both positive; coordinates are log10 of them.
    pub(crate) fn log_duration(title: &str, lowest: f64, highest: f64) -> Axis {
        let (from, to) = (round_below(lowest.log10()), round_above(highest.log10()));
        let decades = to - from;
        let marks: &[f64] = if decades <= 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let every = if decades > 6.0 { 2 } else { 1 };
        let ticks = (from.floor() as i32..=to.ceil() as i32)
            .filter(|decade| decade % every == 0)
            .flat_map(|decade| marks.iter().map(move |mark| mark * 10f64.powi(decade)))
            .map(|ns| (ns.log10(), units::short(units::duration(ns))))
            .filter(|&(at, _)| at > from - 1e-9 && at < to + 1e-9)
            .collect();
        Axis { title: title.to_owned(), from, to, ticks }
    }

    /// Powers of two, or what lies between; coordinates are log2 of them.
    pub(crate) fn log_counts(title: &str, counts: &[u32]) -> Axis {
        let ticks: Vec<_> = counts.iter().map(|&n| (f64::from(n).log2(), n.to_string())).collect();
        let ends = (ticks.first().map_or(0.0, |tick| tick.0), ticks.last().map_or(0.0, |tick| tick.0));
        Axis { title: title.to_owned(), from: ends.0 - 0.3, to: ends.1 + 0.3, ticks }
    }

    /// Percentiles, of which the rare ones matter; coordinates are −log10(1 − p), the number of nines.
    pub(crate) fn percentiles(title: &str) -> Axis {
        let texts = [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];
        let ticks = texts.map(|(p, text): (f64, &str)| (nines(p), text.to_owned())).to_vec();
        Axis { title: title.to_owned(), from: nines(0.5), to: nines(0.9999), ticks }
    }
}

/// What the drawing library asks of an axis.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, at: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (at - self.from) / (self.to - self.from);
        first + (f64::from(last - first) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let lines_between = hint.weight().allow_light_points();
        if lines_between { Vec::new() } else { self.ticks.iter().map(|tick| tick.0).collect() }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, at: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.0 == *at);
        tick.map_or_else(String::new, |tick| tick.1.clone())
    }
}

/// The coordinate of a share on [`Axis::percentiles`].
pub(crate) fn nines(p: f64) -> f64 {
    -(1.0 - p).log10()
}

/// The least of 1, 2, 5, 10, 20 … (and 0.1, 0.2 …) that is not below `step`.
fn round_step(step: f64) -> f64 {
    let decade = 10f64.powf(step.log10().floor());
    let round = [1.0, 2.0, 5.0].into_iter().find(|mark| mark * decade >= step * (1.0 - 1e-9));
    round.unwrap_or(10.0) * decade
}

/// The logarithm of the greatest of 1, 2, 5, 10, 20 … below what `log` is the logarithm of.
fn round_below(log: f64) -> f64 {
    let marks = [5f64, 2.0, 1.0].map(|mark| mark.log10() + log.floor());
    marks.into_iter().find(|&mark| mark < log).unwrap_or(log.floor() - 1.0 + 5f64.log10())
}

/// The logarithm of the least of 1, 2, 5, 10, 20 … above what `log` is the logarithm of.
fn round_above(log: f64) -> f64 {
    let marks = [2f64, 5.0, 10.0].map(|mark| mark.log10() + log.floor());
    marks.into_iter().find(|&mark| mark > log).unwrap_or(log.ceil() + 1.0)
}
