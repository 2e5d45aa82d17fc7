//! Spoils a trace in one place, and looks whether the checker sees it.
//!
//! What must be seen, each time: a run, a state of a shown task (but its first or last), one end of an arrow, a side of a
//! steal or an `about` that is gone; two runs of one P that changed their times; a run moved to another P or M; a run's number,
//! origin or wait changed; a slice that ends later than the next begins; a holding with a run in it that is gone.
//! What can't be seen, and is not tried: a whole arrow, an instant that stands alone (`preempt`, `overflow`), an `idle` or `spin`
//! that is gone, a task's first or last state where no run bounds it.

use crate::check::{Loss, check};
use crate::common::Rng;
use crate::read::{FIRST_G, events, nanos};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is spoilt.
const KINDS: &[&str] = &[
    "run dropped",
    "state dropped",
    "arrow's start dropped",
    "arrow's end dropped",
    "side of a steal dropped",
    "about dropped",
    "times of two runs swapped",
    "run moved to another P",
    "run moved to another M",
    "number changed",
    "origin changed",
    "wait changed",
    "end moved",
    "holding dropped",
];

/// Spoils the trace `times` times, and tells which of the changes the checker did not see. A kind of which the trace has
/// nothing is left out.
pub(crate) fn missed(good: &Value, times: usize) -> Vec<String> {
    let mut rng = Rng::new();
    let mut unseen = Vec::new();
    let mut tried = BTreeSet::new();
    for n in 0..times {
        let kind = KINDS[n % KINDS.len()];
        let mut all = events(good).to_vec();
        let Some(what) = spoil(kind, &mut all, &mut rng) else { continue };
        tried.insert(kind);
        if check(&Value::Array(all), Loss::Late).is_empty() {
            unseen.push(format!("{kind}: {what}"));
        }
    }
    assert!(tried.len() > KINDS.len() / 2, "only {tried:?} could be tried");
    unseen
}

fn is_run(event: &Value) -> bool {
    event["ph"] == "X" && event["cat"] == "run" && event["args"]["g"] != 0
}

/// Whether the run's task has a track.
fn shown(all: &[Value]) -> BTreeSet<u64> {
    let tracks = all.iter().filter(|event| event["ph"] == "X" && event["cat"] == "g");
    tracks.filter_map(|event| Some(event["tid"].as_u64()? - FIRST_G)).collect()
}

fn from(event: &Value) -> i64 {
    nanos(&event["ts"]).unwrap_or(0)
}

fn to(event: &Value) -> i64 {
    from(event) + nanos(&event["dur"]).unwrap_or(0)
}

/// Changes one event. `None`: there is none of the kind.
fn spoil(kind: &str, all: &mut Vec<Value>, rng: &mut Rng) -> Option<String> {
    let shown = shown(all);
    let of_shown =
        |event: &Value| is_run(event) && event["args"]["g"].as_u64().is_some_and(|g| shown.contains(&g));
    let candidates: Vec<usize> = {
        let is = |event: &Value| match kind {
            "run dropped"
            | "run moved to another P"
            | "run moved to another M"
            | "wait changed"
            | "times of two runs swapped" => of_shown(event),
            "number changed" | "origin changed" => is_run(event),
            "state dropped" => event["ph"] == "X" && event["cat"] == "g",
            "arrow's start dropped" => event["ph"] == "s",
            "arrow's end dropped" => event["ph"] == "f",
            "side of a steal dropped" => {
                event["name"] == "stolen" || (event["name"] == "steal" && event["ph"] == "X")
            }
            "about dropped" => event["name"] == "gmprt trace",
            "end moved" => event["ph"] == "X" && (event["cat"] == "g" || of_shown(event)),
            "holding dropped" => event["ph"] == "X" && event["cat"] == "m",
            _ => false,
        };
        let mut all: Vec<usize> = (0..all.len()).filter(|&at| is(&all[at])).collect();
        let n = all.len();
        (1..n).for_each(|at| all.swap(at, rng.below(at as u64 + 1) as usize));
        all
    };
    // States of each task in order, so as to leave the first and the last out.
    let mut states = BTreeMap::<u64, Vec<(i64, usize)>>::new();
    for at in (0..all.len()).filter(|&at| all[at]["ph"] == "X" && all[at]["cat"] == "g") {
        states.entry(all[at]["tid"].as_u64()?).or_default().push((from(&all[at]), at));
    }
    let mut runs = BTreeMap::<u64, Vec<(i64, usize)>>::new();
    for at in (0..all.len()).filter(|&at| is_run(&all[at])) {
        runs.entry(all[at]["args"]["g"].as_u64()?).or_default().push((from(&all[at]), at));
    }
    for list in states.values_mut().chain(runs.values_mut()) {
        list.sort_unstable();
    }
    for at in candidates {
        let event = all[at].clone();
        let what = event.to_string();
        let inner = |lists: &BTreeMap<u64, Vec<(i64, usize)>>, key: &Value| {
            let list = &lists[&key.as_u64().unwrap_or(0)];
            let place = list.iter().position(|&(_, other)| other == at).unwrap_or(0);
            (place > 0).then(|| list[place - 1].1).zip(list.get(place + 1).map(|next| next.1))
        };
        match kind {
            "state dropped" => {
                if inner(&states, &event["tid"]).is_none() {
                    continue;
                }
                all.remove(at);
            }
            "times of two runs swapped" => {
                let other = (0..all.len()).find(|&other| {
                    other != at
                        && is_run(&all[other])
                        && all[other]["tid"] == event["tid"]
                        && from(&all[other]) != from(&event)
                });
                let Some(other) = other else { continue };
                let ts = std::mem::replace(&mut all[other]["ts"], event["ts"].clone());
                all[at]["ts"] = ts;
            }
            "run moved to another P" => {
                let tid = event["tid"].as_u64()?;
                all[at]["tid"] = json!(if tid == 100 { 101 } else { tid - 1 });
            }
            "run moved to another M" => all[at]["args"]["m"] = json!(event["args"]["m"].as_i64()? + 1),
            "number changed" | "origin changed" => {
                let Some((before, _)) = inner(&runs, &event["args"]["g"]) else { continue };
                if all[before]["args"]["end"] == "retake" {
                    continue; // what follows may be the same poll, or anything
                }
                if kind == "number changed" {
                    all[at]["args"]["seq"] = json!((event["args"]["seq"].as_i64()? + 100) % 256);
                } else {
                    all[at]["args"]["woke"] = json!("start");
                }
            }
            "wait changed" => {
                if states[&(event["args"]["g"].as_u64()? + FIRST_G)]
                    .first()
                    .is_some_and(|first| first.0 == from(&event))
                {
                    continue;
                }
                all[at]["args"]["wait_us"] = json!(event["args"]["wait_us"].as_f64()? + 1.0);
            }
            "end moved" => {
                if event["cat"] == "g" {
                    let Some((_, next)) = inner(&states, &event["tid"]) else { continue };
                    all[at]["dur"] = json!((to(&all[next]) - from(&event)) as f64 / 1000.0);
                } else if event["args"]["end"] == "retake" {
                    continue; // its task goes on, elsewhere
                } else {
                    all[at]["dur"] = json!((to(&event) - from(&event) + 1000) as f64 / 1000.0);
                }
            }
            "holding dropped" => {
                let name = event["name"].as_str()?;
                let Some(p) = name.strip_prefix('P').and_then(|p| p.parse::<u64>().ok()) else { continue };
                let busy = all.iter().any(|run| {
                    is_run(run) && run["tid"] == p + 100 && from(&event) <= from(run) && to(run) <= to(&event)
                });
                if !busy {
                    continue;
                }
                all.remove(at);
            }
            _ => {
                all.remove(at);
            }
        }
        return Some(what);
    }
    None
}
