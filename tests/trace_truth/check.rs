//! The rules of scheduling, held against an exported trace: a function from JSON to complaints.
//!
//! ```text
//!   P tracks   one run at a time, each within the holding of the M that it names       runs, holdings
//!   M tracks   one P at a time, and none asleep; each P with one M                     holdings
//!   G tracks   states that follow each other without hole, the same runs as the P's   states, agreement
//!   arrows     from whom a run says it was woken by, to its beginning                  arrows
//!   stealing   both sides tell the same                                                steals
//! ```
//!
//! Each complaint bears the name of its rule. What is not checked: colours, sort indices, the spin and idle slices' lengths.

use super::read::{
    Complaint, Complaints, FIRST_CALLER, FIRST_G, FIRST_M, FIRST_P, MACHINES, OTHERS, PROCESSORS, Point,
    STATS, Slice, TASKS, World, arg, nanos, number, read, text,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a trace beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// No record was lost.
    None,
    /// Those after the limit were.
    Late,
    /// The oldest were overwritten, on one ring more than on another: what is shown is true, but there may be holes.
    Early,
}

/// Everything that is wrong with a trace.
pub(crate) fn check(root: &Value, loss: Loss) -> Vec<Complaint> {
    let mut out = Complaints::default();
    let worlds = read(root, &mut out);
    let mut ids = BTreeSet::new();
    for (base, world) in &worlds {
        for id in world.starts.keys().chain(world.ends.keys().filter(|id| !world.starts.contains_key(*id))) {
            out.demand(ids.insert(id), "arrow", || format!("the id {id} is used in another runtime as well"));
        }
        let runs = runs_of(world, &mut out);
        let holdings = holdings_of(world, &mut out);
        nesting(world, &mut out);
        let procs = counters(world, &mut out);
        processors(world, &runs, &holdings, procs, &mut out);
        one_p_a_task(&runs, &mut out);
        histories(world, &runs, loss, &mut out);
        states(world, &runs, loss, &mut out);
        arrows(world, &runs, &mut out);
        if loss != Loss::Early {
            missing_arrows(world, &runs, &mut out);
        }
        steals(world, procs, &mut out);
        retakes(world, &runs, &holdings, &mut out);
        about(*base, world, loss, &mut out);
    }
    out.0
}

/// A run slice of a P.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'v> {
    pub(crate) slice: Slice<'v>,
    pub(crate) p: i64,
    pub(crate) g: i64,
    pub(crate) m: i64,
    pub(crate) seq: i64,
    pub(crate) wait: i64,
    pub(crate) woke: &'v str,
    pub(crate) by: &'v str,
    pub(crate) end: &'v str,
}

impl Run<'_> {
    /// Whether this goes on with the poll of `before`, which lost its P and has one again.
    pub(crate) fn continues(&self, before: &Self) -> bool {
        before.end == "retake" && self.seq == before.seq
    }
}

/// The run slices, in the order in which they begin on their Ps.
pub(crate) fn runs_of<'v>(world: &World<'v>, out: &mut Complaints) -> Vec<Run<'v>> {
    let mut runs = Vec::new();
    for slice in world.of(PROCESSORS).filter(|slice| slice.cat == "run") {
        let event = slice.event;
        let fields =
            (number(event, "g"), number(event, "m"), number(event, "seq"), nanos(arg(event, "wait_us")));
        let (Some(g), Some(m), Some(seq), Some(wait)) = fields else {
            out.add("run", format!("{} lacks one of g, m, seq, wait_us", slice.show()));
            continue;
        };
        let p = slice.track.1 as i64 - FIRST_P as i64;
        let run = Run {
            slice: *slice,
            p,
            g,
            m,
            seq,
            wait,
            woke: text(event, "woke"),
            by: text(event, "by"),
            end: text(event, "end"),
        };
        let name = slice.name;
        let named = if g == 0 { name == "block_on" } else { name.ends_with(&format!(" G{g}")) };
        out.demand(named, "run", || format!("{} is named after another task than G{g}", slice.show()));
        out.demand(["yield", "block", "preempt", "retake", "exit", "open"].contains(&run.end), "run", || {
            format!("{} ends with {:?}", slice.show(), run.end)
        });
        let fate = ["finished", "cancelled", "panicked"].contains(&text(event, "exit"));
        out.demand(fate == (run.end == "exit"), "run", || format!("{} has an exit and none", slice.show()));
        out.demand(text(event, "on").is_empty() || run.end == "block", "run", || {
            format!("{} waits for something, and does not block", slice.show())
        });
        out.demand(wait >= 0, "wait", || format!("{} waited for {wait} ns", slice.show()));
        out.demand((0..256).contains(&seq), "seq", || format!("{} has the number {seq}", slice.show()));
        runs.push(run);
    }
    runs
}

/// A P in the hand of an M.
#[derive(Debug, Clone, Copy)]
struct Holding<'v> {
    slice: Slice<'v>,
    p: i64,
}

impl Holding<'_> {
    /// Whether the M called `m` has it: callers of `block_on` have tracks by ring, not by M.
    fn is_of(&self, m: i64) -> bool {
        let tid = self.slice.track.1;
        tid as i64 == FIRST_M as i64 + m || (FIRST_CALLER..OTHERS).contains(&tid)
    }
}

/// The number of the P that a slice of an M is called after.
fn held(slice: &Slice<'_>) -> Option<i64> {
    slice.name.strip_prefix('P')?.parse().ok()
}

/// Each P is held by one M at a time, and each M holds one.
fn holdings_of<'v>(world: &World<'v>, out: &mut Complaints) -> Vec<Holding<'v>> {
    let mut all: Vec<Holding<'v>> =
        world.of(MACHINES).filter_map(|slice| Some(Holding { slice: *slice, p: held(slice)? })).collect();
    for (tid, slices) in world.tracks_of(MACHINES) {
        let own: Vec<&Slice<'_>> = slices.iter().filter(|slice| held(slice).is_some()).collect();
        for two in own.windows(2).filter(|two| two[0].overlaps(two[1])) {
            out.add("one P an M", format!("M track {tid} holds {} and {}", two[0].show(), two[1].show()));
        }
        let asleep = |slice: &&Slice<'_>| {
            ["parked", "polling", "in line", "blocked (retaken)", "computing (retaken)"].contains(&slice.name)
        };
        let mut next = 0;
        for bed in slices.iter().filter(asleep) {
            while next < own.len() && own[next].to <= bed.from {
                next += 1;
            }
            if let Some(hold) = own.get(next).filter(|hold| hold.overlaps(bed)) {
                out.add("asleep", format!("{} and {}", bed.show(), hold.show()));
            }
        }
    }
    all.sort_by_key(|hold| (hold.p, hold.slice.from));
    for two in all.windows(2).filter(|two| two[0].p == two[1].p && two[0].slice.overlaps(&two[1].slice)) {
        out.add("one M a P", format!("{} and {}", two[0].slice.show(), two[1].slice.show()));
    }
    all
}

/// The slices of a track nest or abut.
fn nesting(world: &World<'_>, out: &mut Complaints) {
    for slices in world.tracks.values() {
        let mut open: Vec<&Slice<'_>> = Vec::new();
        for slice in slices {
            while open.last().is_some_and(|outer| outer.to <= slice.from) {
                open.pop();
            }
            if let Some(outer) = open.last().filter(|outer| !outer.contains(slice)) {
                out.add("nest", format!("{} overlaps {} in part", slice.show(), outer.show()));
            }
            open.push(slice);
        }
    }
}

/// Runs overlap nothing on their P, and lie within the holding of their M; so does all work but idling.
fn processors(
    world: &World<'_>,
    runs: &[Run<'_>],
    holdings: &[Holding<'_>],
    procs: Option<i64>,
    out: &mut Complaints,
) {
    for (tid, slices) in world.tracks_of(PROCESSORS) {
        let p = tid as i64 - FIRST_P as i64;
        out.demand(p >= 0 && procs.is_none_or(|procs| p < procs), "run", || format!("there is no P{p}"));
        let mut before: Option<&Slice<'_>> = None;
        for slice in slices {
            if let Some(before) = before.filter(|before| before.overlaps(slice)) {
                let both = before.cat == "run" && slice.cat == "run";
                if both || before.cat == "run" || slice.cat == "run" {
                    let rule = if both { "one G a P" } else { "run" };
                    out.add(rule, format!("{} and {}", before.show(), slice.show()));
                }
            }
            // The one that lasts longest may reach over the next two.
            before = before.filter(|before| before.to > slice.to).or(Some(slice));
        }
    }
    let of = |p: i64| {
        let (from, to) = (holdings.partition_point(|h| h.p < p), holdings.partition_point(|h| h.p <= p));
        &holdings[from..to]
    };
    for run in runs {
        let all = of(run.p);
        let begun = all.partition_point(|hold| hold.slice.from <= run.slice.from);
        let within = all[..begun]
            .iter()
            .rev()
            .take(2)
            .any(|hold| hold.is_of(run.m) && hold.slice.contains(&run.slice));
        out.demand(within, "held", || format!("M{} does not hold the P of {}", run.m, run.slice.show()));
    }
    for slice in world.of(PROCESSORS).filter(|slice| slice.cat != "run") {
        let all = of(slice.track.1 as i64 - FIRST_P as i64);
        let begun = all.partition_point(|hold| hold.slice.from < slice.to);
        let last = all[..begun].last();
        match slice.name {
            "steal" | "spin" | "timers" => {
                out.demand(last.is_some_and(|hold| hold.slice.contains(slice)), "held", || {
                    format!("nobody holds the P of {}", slice.show())
                })
            }
            "idle" | "hand-off" => {
                out.demand(last.is_none_or(|hold| hold.slice.to <= slice.from), "held", || {
                    format!("somebody holds the P of {}", slice.show())
                })
            }
            _ => {}
        }
    }
}

/// The runs of each task, in order.
pub(crate) fn by_task<'a, 'v>(runs: &'a [Run<'v>]) -> BTreeMap<i64, Vec<&'a Run<'v>>> {
    let mut tasks = BTreeMap::<i64, Vec<&Run<'v>>>::new();
    for run in runs.iter().filter(|run| run.g != 0) {
        tasks.entry(run.g).or_default().push(run);
    }
    for own in tasks.values_mut() {
        own.sort_by_key(|run| run.slice.from);
    }
    tasks
}

fn one_p_a_task(runs: &[Run<'_>], out: &mut Complaints) {
    for own in by_task(runs).values() {
        for two in own.windows(2).filter(|two| two[0].slice.overlaps(&two[1].slice)) {
            out.add("one P a G", format!("{} and {}", two[0].slice.show(), two[1].slice.show()));
        }
    }
}

/// Each run was spawned, woken, requeued, or runnable at the start, as the run before it allows; its number goes up.
fn histories(world: &World<'_>, runs: &[Run<'_>], loss: Loss, out: &mut Complaints) {
    let end = world.end();
    for run in runs {
        out.demand(run.end != "open" || run.slice.to == end, "woke", || {
            format!("{} is open, and ends before the trace", run.slice.show())
        });
        if run.g == 0 {
            continue;
        }
        let known = ["spawn", "wake", "yield", "preempt", "self", "start"].contains(&run.woke);
        out.demand(known, "woke", || format!("{}: made runnable by {:?}", run.slice.show(), run.woke));
        let who = ["", "block_on", "timer", "foreign"].contains(&run.by) || task(run.by).is_some();
        out.demand(who, "woke", || format!("{}: made runnable by {:?}", run.slice.show(), run.by));
    }
    for own in by_task(runs).values() {
        for two in own.windows(2) {
            let (before, run) = (two[0], two[1]);
            if run.continues(before) {
                continue;
            }
            // One for the end of the run, one for the wake, one for the run; a yield needs no wake.
            let steps = (run.seq - before.seq).rem_euclid(256);
            let right = if before.end == "block" { steps == 3 } else { (2..=3).contains(&steps) };
            if loss == Loss::Early && !right {
                continue; // there were others in between
            }
            let allowed: &[&str] = match before.end {
                "yield" => &["yield", "self"],
                "preempt" => &["preempt", "self"],
                "block" => &["wake", "self"],
                "retake" => &["wake", "self", "yield", "preempt"],
                _ => &[],
            };
            out.demand(allowed.contains(&run.woke), "woke", || {
                format!("{} ({}) follows one that ended with {}", run.slice.show(), run.woke, before.end)
            });
            out.demand(right, "seq", || {
                format!("{} is number {} after {}", run.slice.show(), run.seq, before.seq)
            });
        }
    }
}

/// The number of a task's name.
fn task(name: &str) -> Option<i64> {
    name.strip_prefix('G')?.parse().ok()
}

/// What a task is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Bare,
    Runnable,
    Waiting,
}

fn state(slice: &Slice<'_>) -> Option<State> {
    match slice.name {
        "running" => Some(State::Running),
        "running (without a P)" => Some(State::Bare),
        "runnable" => Some(State::Runnable),
        name if name == "waiting" || name.starts_with("waiting: ") => Some(State::Waiting),
        _ => None,
    }
}

/// The states of each shown task follow each other, without a hole, and its runs are those of the P tracks.
fn states(world: &World<'_>, runs: &[Run<'_>], loss: Loss, out: &mut Complaints) {
    let tasks = by_task(runs);
    for (tid, slices) in world.tracks_of(TASKS) {
        let g = tid as i64 - FIRST_G as i64;
        let mut all: Vec<(State, &Slice<'_>)> = Vec::new();
        for slice in slices {
            match state(slice) {
                Some(state) => all.push((state, slice)),
                None => out.add("state", format!("{} is no state", slice.show())),
            }
        }
        for two in all.windows(2) {
            let ((from, before), (to, after)) = (two[0], two[1]);
            if loss == Loss::Early && before.to < after.from {
                continue;
            }
            out.demand(before.to == after.from, "state", || {
                format!("a hole or an overlap between {} and {}", before.show(), after.show())
            });
            use State::{Bare, Runnable, Running, Waiting};
            let legal = matches!(
                (from, to),
                (Runnable, Running)
                    | (Running | Bare, Waiting | Runnable)
                    | (Running, Bare)
                    | (Bare, Running)
                    | (Waiting, Runnable)
            );
            out.demand(legal, "state", || format!("{} after {}", after.show(), before.show()));
        }
        let none = Vec::new();
        let own = tasks.get(&g).unwrap_or(&none);
        agreement(g, &all, own, out);
        let over = own.iter().find(|run| run.end == "exit");
        if let (Some(run), Some((_, last))) = (over, all.last()) {
            out.demand(last.to == run.slice.to, "state", || {
                format!("{} is over, and then comes {}", run.slice.show(), last.show())
            });
        }
    }
}

/// The `running` slices of a task are its runs on the Ps; what it was before them is what they say.
fn agreement(g: i64, all: &[(State, &Slice<'_>)], own: &[&Run<'_>], out: &mut Complaints) {
    let running: Vec<usize> = (0..all.len()).filter(|&at| all[at].0 == State::Running).collect();
    out.demand(running.len() == own.len(), "agree", || {
        format!("G{g} has {} runs on its own track, and {} on those of the Ps", running.len(), own.len())
    });
    let mut others = own.iter();
    for &at in &running {
        let slice = all[at].1;
        let Some(run) = others.find(|run| run.slice.from >= slice.from) else {
            out.add("agree", format!("no P knows of {}", slice.show()));
            continue;
        };
        let same = run.slice.from == slice.from && (run.slice.to == slice.to || run.end == "retake");
        out.demand(same, "agree", || format!("{} on a P is {}", run.slice.show(), slice.show()));
        let names = (number(slice.event, "p"), number(slice.event, "m"));
        out.demand(names == (Some(run.p), Some(run.m)), "agree", || {
            format!("{} is on P{} and M{}", slice.show(), run.p, run.m)
        });
        let before = at.checked_sub(1).map(|at| all[at]);
        match before {
            Some((State::Runnable, waited)) => {
                out.demand(waited.to - waited.from == run.wait, "wait", || {
                    format!(
                        "{} waited for {} ns, and says {}",
                        run.slice.show(),
                        waited.to - waited.from,
                        run.wait
                    )
                });
            }
            Some((State::Bare, _)) => {}
            _ => out.demand(run.wait == 0, "wait", || {
                format!("{} was never runnable, and waited for {} ns", run.slice.show(), run.wait)
            }),
        }
        let after = all.get(at + 1).map(|(state, slice)| (*state, slice.name));
        let on = text(run.slice.event, "on");
        let right = match (run.end, after) {
            (_, None) | ("retake", _) => true,
            ("block", Some((State::Waiting, name))) => name.strip_prefix("waiting: ").unwrap_or("") == on,
            ("block" | "yield" | "preempt", Some((State::Runnable, _))) => true,
            _ => false,
        };
        out.demand(right, "agree", || format!("{} ends with {}, then {after:?}", run.slice.show(), run.end));
    }
}

/// Each arrow has two ends, each in a slice, and says what the slices say.
fn arrows(world: &World<'_>, runs: &[Run<'_>], out: &mut Complaints) {
    let begin: BTreeMap<(u64, i64), &Run<'_>> =
        runs.iter().map(|run| ((run.slice.track.1, run.slice.from), run)).collect();
    for (id, ends) in &world.ends {
        out.demand(world.starts.contains_key(id), "arrow", || {
            format!("{} {id} begins nowhere", ends[0].name)
        });
    }
    for (id, starts) in &world.starts {
        let ends = world.ends.get(id).map_or(&[][..], Vec::as_slice);
        let ([s], [f]) = (starts.as_slice(), ends) else {
            let text = format!("{} {id} has {} starts and {} ends", starts[0].name, starts.len(), ends.len());
            out.add("arrow", text);
            continue;
        };
        let show = || format!("{} {id} from {} on {:?} to {} on {:?}", s.name, s.ts, s.track, f.ts, f.track);
        out.demand(
            (s.name, s.cat) == (f.name, f.cat) && (s.cat == s.name || s.cat == "handoff"),
            "arrow",
            || format!("{}: names or categories differ", show()),
        );
        out.demand(s.ts <= f.ts, "arrow", || format!("{}: it ends before it begins", show()));
        let (Some(from), Some(to)) = (world.at(s.track, s.ts), world.at(f.track, f.ts)) else {
            out.add("arrow", format!("{}: one end is in no slice", show()));
            continue;
        };
        let run = begin.get(&(f.track.1, f.ts)).filter(|_| f.track.0 == PROCESSORS);
        let right = match s.name {
            "spawn" | "wake" => {
                let woken =
                    run.is_some_and(|run| run.woke == s.name || (s.name == "wake" && run.woke == "self"));
                woken && run.is_some_and(|run| is_waker(from, run))
            }
            "steal" => {
                let same = s.track == f.track && from.name == "steal" && s.ts == from.to - 1;
                same && run.is_some_and(|run| {
                    let track = &world.tracks[&s.track];
                    let next = track.iter().find(|slice| slice.cat == "run" && slice.from >= from.to);
                    next.is_some_and(|next| next.from == run.slice.from)
                })
            }
            "hand-off" => {
                let machines = s.track.0 == MACHINES && f.track.0 == MACHINES && s.track != f.track;
                // A block may be nested in the holding, up to its end.
                let holding = |point: &Point<'_>| {
                    let slices = &world.tracks[&point.track];
                    let begun = slices.partition_point(|slice| slice.from <= point.ts);
                    slices[..begun].iter().rev().find(|slice| point.ts < slice.to && held(slice).is_some())
                };
                machines
                    && holding(s).zip(holding(f)).is_some_and(|(old, new)| {
                        held(old) == held(new) && s.ts == old.to - 1 && f.ts == new.from && old.to <= new.from
                    })
            }
            _ => false,
        };
        out.demand(right, "arrow", || format!("{}: not between {} and {}", show(), from.show(), to.show()));
    }
}

/// Whether `from` is the slice of whom `run` says that it made its task runnable.
fn is_waker(from: &Slice<'_>, run: &Run<'_>) -> bool {
    match run.by {
        "timer" => from.name == "timers",
        "block_on" => from.cat == "run" && number(from.event, "g") == Some(0),
        by => from.cat == "run" && task(by).is_some() && number(from.event, "g") == task(by),
    }
}

/// Where the waker ran on a P when it woke, there is an arrow.
fn missing_arrows(world: &World<'_>, runs: &[Run<'_>], out: &mut Complaints) {
    let tasks = by_task(runs);
    let ends: BTreeSet<(u64, i64, &str)> = world
        .ends
        .values()
        .flatten()
        .filter(|f| f.track.0 == PROCESSORS)
        .map(|f| (f.track.1, f.ts, f.name))
        .collect();
    for run in runs.iter().filter(|run| run.g != 0 && ["spawn", "wake"].contains(&run.woke)) {
        let woken = run.slice.from - run.wait;
        let Some(waker) = task(run.by).and_then(|g| tasks.get(&g)) else { continue };
        let begun = waker.partition_point(|other| other.slice.from < woken);
        let ran = waker[..begun].last().is_some_and(|other| woken < other.slice.to - 1);
        let there = ends.contains(&(run.slice.track.1, run.slice.from, run.woke));
        out.demand(!ran || there, "arrow", || {
            format!("{} has no {} arrow from {}, which ran", run.slice.show(), run.woke, run.by)
        });
    }
}

/// What a thief took its victim lost, at the same time.
fn steals(world: &World<'_>, procs: Option<i64>, out: &mut Complaints) {
    // (thief, victim, when, how many), and how often.
    let mut sides = BTreeMap::<(i64, i64, i64, i64), i64>::new();
    let mut sums = BTreeMap::<(i64, i64), i64>::new();
    let mut note =
        |key: Option<(i64, i64, i64, i64)>, sign: i64, what: &dyn Fn() -> String, out: &mut Complaints| {
            let Some((thief, victim, when, n)) = key else {
                return out.add("steal", format!("{} does not say of whom, or how many", what()));
            };
            let real = thief != victim && n >= 1 && procs.is_none_or(|procs| thief.max(victim) < procs);
            out.demand(real, "steal", || format!("{}: P{thief} of P{victim}, {n} tasks", what()));
            *sides.entry((thief, victim, when, n)).or_default() += sign;
            *sums.entry((thief, victim)).or_default() += sign * n;
        };
    for slice in world.of(PROCESSORS).filter(|slice| slice.name == "steal" && slice.cat == "steal") {
        let thief = slice.track.1 as i64 - FIRST_P as i64;
        let key = number(slice.event, "victim").zip(number(slice.event, "n"));
        note(key.map(|(victim, n)| (thief, victim, slice.to, n)), 1, &|| slice.show(), out);
    }
    for point in world.instants.iter().filter(|point| point.name == "stolen") {
        let victim = point.track.1 as i64 - FIRST_P as i64;
        let key = number(point.event, "thief").zip(number(point.event, "n"));
        note(
            key.map(|(thief, n)| (thief, victim, point.ts, n)),
            -1,
            &|| format!("stolen at {}", point.ts),
            out,
        );
    }
    for ((thief, victim, when, n), left) in sides.into_iter().filter(|&(_, left)| left != 0) {
        let who = if left > 0 { "the thief" } else { "the victim" };
        out.add("steal", format!("P{thief} took {n} of P{victim} at {when}: only {who} says so"));
    }
    for ((thief, victim), left) in sums.into_iter().filter(|&(_, left)| left != 0) {
        out.add("steal", format!("P{thief} of P{victim}: {left} more taken than lost"));
    }
}

/// A P that was taken was held until then, by the M that lost it; and a run whose P was taken ends with the holding.
fn retakes(world: &World<'_>, runs: &[Run<'_>], holdings: &[Holding<'_>], out: &mut Complaints) {
    let ends: BTreeSet<(i64, i64, u64)> =
        holdings.iter().map(|hold| (hold.p, hold.slice.to, hold.slice.track.1)).collect();
    let ended = |p: i64, at: i64, m: i64| {
        ends.range((p, at, 0)..=(p, at, u64::MAX))
            .any(|&(_, _, tid)| tid as i64 == FIRST_M as i64 + m || (FIRST_CALLER..OTHERS).contains(&tid))
    };
    for point in world.instants.iter().filter(|point| point.cat == "retake") {
        let p = point.track.1 as i64 - FIRST_P as i64;
        let m = number(point.event, "m").unwrap_or(-1);
        out.demand(ended(p, point.ts, m), "retake", || {
            format!("P{p} was taken at {} of M{m}, which did not hold it until then", point.ts)
        });
        let why = text(point.event, "why");
        out.demand(["declared", "blocked", "hog"].contains(&why), "retake", || format!("taken: {why:?}"));
    }
    for run in runs.iter().filter(|run| run.end == "retake") {
        out.demand(ended(run.p, run.slice.to, run.m), "retake", || {
            format!("{} lost its P, and M{} went on with it", run.slice.show(), run.m)
        });
    }
}

/// Where slices begin, and where they end.
fn bounds<'a, 'v: 'a>(slices: impl Iterator<Item = &'a Slice<'v>>) -> (Vec<i64>, Vec<i64>) {
    let (mut from, mut to): (Vec<_>, Vec<_>) = slices.map(|slice| (slice.from, slice.to)).unzip();
    from.sort_unstable();
    to.sort_unstable();
    (from, to)
}

/// How many of them there are at `ts`, ends included.
fn covering((from, to): &(Vec<i64>, Vec<i64>), ts: i64) -> i64 {
    from.partition_point(|&from| from <= ts) as i64 - to.partition_point(|&to| to < ts) as i64
}

/// Samples are complete, never negative, in order, and no more run than there are Ps, but for those that lost theirs. Tells how many those are.
fn counters(world: &World<'_>, out: &mut Complaints) -> Option<i64> {
    let keys = |point: &Point<'_>| -> BTreeSet<String> {
        point.event["args"].as_object().map(|args| args.keys().cloned().collect()).unwrap_or_default()
    };
    let mut procs = None;
    let mut last = BTreeMap::<&str, i64>::new();
    if let Some(queues) = world.counters.iter().find(|point| point.name == "Run queues") {
        procs = Some(keys(queues).iter().filter(|key| key.starts_with('P')).count() as i64);
    }
    // Who lost its P, and goes on. Tasks without a track can't be counted.
    let bare = bounds(world.of(TASKS).filter(|slice| state(slice) == Some(State::Bare)));
    let said = world.instants.iter().find(|point| point.name == "gmprt trace");
    let all_shown = said.is_some_and(|point| number(point.event, "tasks_left_out") == Some(0));
    for point in &world.counters {
        let wanted: BTreeSet<String> = match point.name {
            "Tasks" => ["running", "runnable", "waiting"].map(str::to_owned).into(),
            "Threads" => ["running", "blocked", "spinning", "parked"].map(str::to_owned).into(),
            "Run queues" => {
                let each = (0..procs.unwrap_or(0)).map(|p| format!("P{p}"));
                each.chain(["global".to_owned()]).collect()
            }
            other => {
                out.add("counter", format!("a counter {other:?}"));
                continue;
            }
        };
        let show = || format!("{} at {}: {}", point.name, point.ts, point.event["args"]);
        out.demand(point.track.0 == STATS && keys(point) == wanted, "counter", || {
            format!("{} lacks a series", show())
        });
        let args = point.event["args"].as_object().into_iter().flatten();
        for (key, value) in args {
            out.demand(value.as_i64().is_some_and(|n| n >= 0), "counter", || format!("{}: {key}", show()));
        }
        let running = number(point.event, "running").unwrap_or(0);
        let most = match point.name {
            "Tasks" => all_shown.then(|| covering(&bare, point.ts)),
            _ => None, // threads run without a P as well: callers, and those on their way to one
        };
        let few = procs.zip(most).is_none_or(|(procs, most)| running <= procs + most);
        out.demand(few, "counter", || {
            format!("{}: more than the {procs:?} Ps, and {most:?} that lost theirs", show())
        });
        let before = last.insert(point.name, point.ts).unwrap_or(0);
        out.demand(before <= point.ts, "counter", || format!("{} comes after {before}", show()));
    }
    for name in ["Tasks", "Threads", "Run queues"] {
        out.demand(last.contains_key(name), "counter", || format!("no sample of {name}"));
    }
    procs
}

/// The trace says of itself what it is, and is not empty.
fn about(base: u64, world: &World<'_>, loss: Loss, out: &mut Complaints) {
    out.demand(world.tracks.values().any(|slices| !slices.is_empty()), "about", || {
        format!("the runtime at pid {base} has no slice")
    });
    let said: Vec<_> = world.instants.iter().filter(|point| point.name == "gmprt trace").collect();
    let [point] = said.as_slice() else {
        return out.add("about", format!("{} instants `gmprt trace`", said.len()));
    };
    out.demand(point.track == (STATS, 1), "about", || format!("it is on {:?}", point.track));
    let get = |key| arg(point.event, key).as_i64();
    let keys = ["records", "dropped", "clamped", "reordered", "tasks", "task_tracks", "tasks_left_out"];
    for key in keys {
        out.demand(get(key).is_some_and(|n| n >= 0), "about", || format!("no number {key}"));
    }
    for key in ["version", "clock", "thread_tracks_left_out"] {
        out.demand(!arg(point.event, key).is_null(), "about", || format!("no {key}"));
    }
    let get = |key| get(key).unwrap_or(0);
    out.demand(loss != Loss::None || get("dropped") == 0, "about", || format!("{} dropped", get("dropped")));
    // Clocks of two cores disagree now and then; one in twenty is no clock.
    out.demand(get("clamped") <= 10 + get("records") / 20, "about", || {
        format!("{} of {} clamped", get("clamped"), get("records"))
    });
    let shown = world.tracks_of(TASKS).count() as i64;
    out.demand(shown == get("task_tracks"), "about", || {
        format!("{shown} tracks of tasks, and it says {}", get("task_tracks"))
    });
    out.demand(get("task_tracks") + get("tasks_left_out") == get("tasks"), "about", || {
        "the tasks that are shown and those left out are not all".into()
    });
}
