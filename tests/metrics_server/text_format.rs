//! A strict reader of Prometheus' text format: it takes what the format demands, and refuses what it only tolerates.
//!
//! ```text
//! # HELP name text       each family once, its lines together: HELP, TYPE, then at least one sample
//! # TYPE name kind       counter, gauge or histogram
//! name{label="value"} 1  a histogram's are name_bucket, with `le` last, name_sum and name_count
//! ```
//!
//! Absent: time stamps, summaries and untyped samples, which the runtime does not have.

use std::collections::BTreeMap;

/// The families of a page, by name.
pub(crate) type Page = BTreeMap<String, Family>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

pub(crate) fn parse(text: &str) -> Result<Page, String> {
    let mut page = Page::new();
    let mut current = String::new();
    let mut helped = None;
    let Some(lines) = text.strip_suffix('\n') else { return Err("the last line does not end".into()) };
    for line in lines.split('\n') {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let Some((name, text)) = help.split_once(' ') else { return Err(format!("no help: {line}")) };
            if text.trim().is_empty() || !escapes_are_known(text, "\\n") {
                return Err(format!("bad help: {line}"));
            }
            if let Some(name) = helped.replace(name.to_owned()) {
                return Err(format!("no TYPE after the HELP of {name}"));
            }
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = kind.split_once(' ') else { return Err(format!("no type: {line}")) };
            if helped.take().as_deref() != Some(name) {
                return Err(format!("no HELP before the TYPE of {name}"));
            }
            if !is_name(name, true) || !["counter", "gauge", "histogram"].contains(&kind) {
                return Err(format!("bad type: {line}"));
            }
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            if page.insert(name.to_owned(), family).is_some() {
                return Err(format!("{name} comes twice"));
            }
            current = name.to_owned();
        } else {
            if let Some(name) = helped {
                return Err(format!("no TYPE after the HELP of {name}"));
            }
            let sample = sample(line).ok_or_else(|| format!("not a sample: {line:?}"))?;
            let Some(family) = page.get_mut(&current) else { return Err(format!("no TYPE before {line}")) };
            if !belongs(&sample, &current, &family.kind) {
                return Err(format!("not of the {} {current}: {line}", family.kind));
            }
            if family
                .samples
                .iter()
                .any(|other| (&other.name, &other.labels) == (&sample.name, &sample.labels))
            {
                return Err(format!("a series twice: {line}"));
            }
            family.samples.push(sample);
        }
    }
    for (name, family) in &page {
        family.check(name)?;
    }
    Ok(page)
}

/// `name 1` or `name{label="value",…} 1`.
fn sample(line: &str) -> Option<Sample> {
    let (name, labels, value) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, value) = rest.rsplit_once("} ")?;
            (name, labels_of(labels)?, value)
        }
        None => {
            let (name, value) = line.split_once(' ')?;
            (name, Vec::new(), value)
        }
    };
    is_name(name, true).then_some(())?;
    Some(Sample { name: name.to_owned(), labels, value: number(value)? })
}

fn labels_of(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut labels: Vec<(String, String)> = Vec::new();
    loop {
        let (name, rest) = text.split_once("=\"")?;
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let value = &rest[..end];
        let fits = is_name(name, false) && !name.starts_with("__") && escapes_are_known(value, "\\n\"");
        if !fits || labels.iter().any(|(other, _)| other == name) {
            return None;
        }
        labels.push((name.to_owned(), value.to_owned()));
        match &rest[end + 1..] {
            "" => return Some(labels),
            more => text = more.strip_prefix(',')?,
        }
    }
}

fn is_name(name: &str, colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(fits)
}

/// After each backslash stands one of these.
fn escapes_are_known(text: &str, known: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\r' || (c == '\\' && !chars.next().is_some_and(|c| known.contains(c))) {
            return false;
        }
    }
    true
}

/// As Go writes numbers. Rust would take `inf`, `infinity` and `nan` as well.
fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ if text.contains(|c: char| !"0123456789.eE+-".contains(c)) => None,
        _ => text.parse().ok(),
    }
}

fn belongs(sample: &Sample, family: &str, kind: &str) -> bool {
    let le = sample.labels.iter().any(|(name, _)| name == "le");
    match sample.name.strip_prefix(family) {
        Some("") => kind != "histogram" && !le,
        Some("_bucket") => kind == "histogram" && le,
        Some("_sum" | "_count") => kind == "histogram" && !le,
        _ => false,
    }
}

impl Family {
    /// What goes for all samples of a family together.
    fn check(&self, name: &str) -> Result<(), String> {
        if self.samples.is_empty() {
            return Err(format!("{name} has no samples"));
        }
        if (self.kind == "counter") != name.ends_with("_total") {
            return Err(format!("{name} is a {}, and its name says something else", self.kind));
        }
        let labels = |sample: &Sample| -> Vec<String> {
            sample.labels.iter().map(|(label, _)| label.clone()).filter(|label| label != "le").collect()
        };
        if self.samples.iter().any(|sample| labels(sample) != labels(&self.samples[0])) {
            return Err(format!("{name} has samples with different labels"));
        }
        if let Some(sample) = self.samples.iter().find(|s| !(s.value >= 0.0 && s.value.is_finite())) {
            return Err(format!("{name} counts {}", sample.value));
        }
        if self.kind == "histogram" { self.check_histogram(name) } else { Ok(()) }
    }

    /// A histogram without labels of its own.
    fn check_histogram(&self, name: &str) -> Result<(), String> {
        let one = |suffix: &str| {
            let mut found = self.samples.iter().filter(|sample| sample.name == format!("{name}{suffix}"));
            found.next().map(|sample| sample.value).ok_or(format!("{name} has no {suffix}"))
        };
        let (count, _) = (one("_count")?, one("_sum")?);
        let (mut bound, mut total) = (f64::NEG_INFINITY, 0.0);
        for bucket in self.samples.iter().filter(|sample| sample.name.ends_with("_bucket")) {
            let [(_, le)] = &bucket.labels[..] else { return Err(format!("{name} has labels besides le")) };
            let le = number(le).ok_or(format!("{name} has a bound {le:?}"))?;
            if le <= bound || le.is_nan() {
                return Err(format!("{name}: the bound {le} after {bound}"));
            }
            if bucket.value < total {
                return Err(format!("{name}: {} up to {le}, but {total} up to {bound}", bucket.value));
            }
            (bound, total) = (le, bucket.value);
        }
        if bound != f64::INFINITY {
            return Err(format!("{name} has no bucket up to +Inf"));
        }
        if total != count {
            return Err(format!("{name} has {total} up to +Inf, but counts {count}"));
        }
        Ok(())
    }
}

/// What went back, or went away, from one page to a later one.
pub(crate) fn gone_back(before: &Page, after: &Page) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, family) in before {
        for old in &family.samples {
            let same = |new: &&Sample| new.name == old.name && new.labels == old.labels;
            match after.get(name).and_then(|family| family.samples.iter().find(same)) {
                None => complaints.push(format!("{} {:?} has gone", old.name, old.labels)),
                Some(new) if family.kind != "gauge" && new.value < old.value => {
                    complaints
                        .push(format!("{} {:?}: {} after {}", old.name, old.labels, new.value, old.value));
                }
                Some(_) => {}
            }
        }
    }
    complaints
}
