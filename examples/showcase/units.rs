//! Figures as people read them: three digits and a unit. What is no figure is a dash.

/// What stands where there is no figure.
const NONE: &str = "–";

/// `4.51 M`, `940 k`, `12.3`.
pub(crate) fn count(n: f64) -> String {
    scaled(n, 1000.0, &["", " k", " M", " G", " T"])
}

/// `4.51 M/s`.
pub(crate) fn rate(per_second: f64) -> String {
    suffixed(count(per_second), "/s")
}

/// `850 ns`, `12.3 µs`, `1.24 ms`, `2.50 s`.
pub(crate) fn duration(ns: f64) -> String {
    scaled(ns, 1000.0, &[" ns", " µs", " ms", " s"])
}

/// `120 KiB`.
pub(crate) fn bytes(n: f64) -> String {
    scaled(n, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

/// `+120 KiB`.
pub(crate) fn growth(n: f64) -> String {
    if n > 0.0 && n.is_finite() { format!("+{}", bytes(n)) } else { bytes(n) }
}

/// `1.52×`.
pub(crate) fn ratio(r: f64) -> String {
    if r.is_finite() { format!("{r:.2}×") } else { NONE.to_owned() }
}

/// `97.9 %`. Not quite all is not `100 %`.
pub(crate) fn percent(share: f64) -> String {
    match share {
        share if share > 0.9995 && share < 1.0 => "> 99.9 %".to_owned(),
        share => suffixed(digits(share * 100.0), " %"),
    }
}

/// Without zeros that tell nothing, for round figures: `5 MiB` for `5.00 MiB`.
pub(crate) fn short(figure: String) -> String {
    let end = figure.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(figure.len());
    let (digits, unit) = figure.split_at(end);
    if !digits.contains('.') {
        return figure;
    }
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// Divides by `step` until the figure is small, or there is no larger unit.
fn scaled(n: f64, step: f64, units: &[&str]) -> String {
    let (mut n, mut unit) = (n, 0);
    // From 999.5 on, three digits would show as 1000.
    while n.abs() >= step.min(999.5) && unit + 1 < units.len() {
        n /= step;
        unit += 1;
    }
    suffixed(digits(n), units[unit])
}

/// Three digits: `850`, `12.3`, `1.24`, `0.05`; but `0`.
fn digits(n: f64) -> String {
    let decimals = match n.abs() {
        n if n >= 99.95 => 0,
        n if n >= 9.995 => 1,
        n if n > 0.0 => 2,
        _ => 0,
    };
    if n.is_finite() { format!("{n:.decimals$}") } else { NONE.to_owned() }
}

fn suffixed(text: String, suffix: &str) -> String {
    if text == NONE { text } else { text + suffix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        assert_eq!(
            [0.0, 850.0, 999.6, 12_345.0, 2.5e9].map(duration),
            ["0 ns", "850 ns", "1.00 µs", "12.3 µs", "2.50 s"]
        );
        assert_eq!([7.0, 99.96, 4.51e6, 9.99e15].map(rate), ["7.00/s", "100/s", "4.51 M/s", "9990 T/s"]);
        assert_eq!([122_880.0, 0.0, -2048.0].map(growth), ["+120 KiB", "0 B", "-2.00 KiB"]);
        assert_eq!([0.979, 0.99999, 1.0, 0.0].map(percent), ["97.9 %", "> 99.9 %", "100 %", "0 %"]);
        assert_eq!(ratio(1.516), "1.52×");
    }

    #[test]
    fn what_is_no_figure_has_no_unit() {
        for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!([rate, duration, growth, ratio, percent].map(|text| text(none)), [NONE; 5]);
        }
    }

    #[test]
    fn round_figures_are_short() {
        assert_eq!(
            ["5.00 MiB", "2.50 s", "100 µs", "0", "–"].map(|text| short(text.to_owned())),
            ["5 MiB", "2.5 s", "100 µs", "0", "–"]
        );
    }
}
