//! What a trace says of a program, as numbers that the program can count too.

use crate::check::{by_task, runs_of};
use crate::read::{Complaints, FIRST_P, PROCESSORS, World, number, read, text};
use gmprt::metrics::Metrics;
use serde_json::Value;
use std::collections::BTreeMap;

/// One runtime's numbers.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Polls of each kind of task.
    pub(crate) polls: BTreeMap<String, usize>,
    /// Tasks of each kind whose first run follows their spawn.
    pub(crate) spawned: BTreeMap<String, usize>,
    /// Tasks that ended in a run, by fate.
    pub(crate) fates: BTreeMap<String, usize>,
    /// By P.
    pub(crate) steals: BTreeMap<usize, u64>,
    pub(crate) stolen: BTreeMap<usize, u64>,
    pub(crate) overflows: BTreeMap<usize, u64>,
    pub(crate) injected: BTreeMap<usize, u64>,
    pub(crate) timers: BTreeMap<usize, u64>,
    /// By reason.
    pub(crate) retakes: BTreeMap<String, u64>,
}

impl Facts {
    /// Those of the first runtime in the file.
    pub(crate) fn of(root: &Value) -> Self {
        let mut out = Complaints::default();
        let worlds = read(root, &mut out);
        worlds.values().next().map(Self::of_world).unwrap_or_default()
    }

    fn of_world(world: &World<'_>) -> Self {
        let mut facts = Self::default();
        let runs = runs_of(world, &mut Complaints::default());
        for own in by_task(&runs).values() {
            let kind = own[0].slice.name.rsplit_once(' ').map_or("", |(kind, _)| kind);
            let again = own.windows(2).filter(|two| two[1].continues(two[0])).count();
            *facts.polls.entry(kind.to_owned()).or_default() += own.len() - again;
            if own[0].woke == "spawn" {
                *facts.spawned.entry(kind.to_owned()).or_default() += 1;
            }
            for run in own.iter().filter(|run| run.end == "exit") {
                *facts.fates.entry(text(run.slice.event, "exit").to_owned()).or_default() += 1;
            }
        }
        let p = |tid: u64| (tid - FIRST_P) as usize;
        let n = |event: &Value, key: &str| number(event, key).unwrap_or(0) as u64;
        for slice in world.of(PROCESSORS) {
            match slice.name {
                "steal" if slice.cat == "steal" => {
                    *facts.steals.entry(p(slice.track.1)).or_default() += 1;
                    *facts.stolen.entry(p(slice.track.1)).or_default() += n(slice.event, "n");
                }
                "timers" => *facts.timers.entry(p(slice.track.1)).or_default() += n(slice.event, "fired"),
                _ => {}
            }
        }
        for point in world.instants.iter().filter(|point| point.track.0 == PROCESSORS) {
            match point.name {
                "overflow" => *facts.overflows.entry(p(point.track.1)).or_default() += 1,
                "injector" => *facts.injected.entry(p(point.track.1)).or_default() += n(point.event, "n"),
                "retake" => *facts.retakes.entry(text(point.event, "why").to_owned()).or_default() += 1,
                _ => {}
            }
        }
        facts
    }

    /// Each number of the metrics that grew between two looks stands in the trace as well.
    #[track_caller]
    pub(crate) fn agree(&self, before: &Metrics, after: &Metrics) {
        for (p, (before, after)) in before.processors.iter().zip(&after.processors).enumerate() {
            let get = |of: &BTreeMap<usize, u64>| of.get(&p).copied().unwrap_or(0);
            let traced = [
                ("steals", get(&self.steals), after.steals - before.steals),
                ("stolen", get(&self.stolen), after.stolen - before.stolen),
                ("overflows", get(&self.overflows), after.overflows - before.overflows),
                ("injector_takes", get(&self.injected), after.injector_takes - before.injector_takes),
            ];
            for (what, traced, counted) in traced {
                assert_eq!(
                    traced, counted,
                    "{what} of P{p}: the trace, and the metrics; {before:?} {after:?}"
                );
            }
            // A P that was taken while its timers were fired has no slice that says how many.
            let (traced, counted) = (get(&self.timers), after.timers_fired - before.timers_fired);
            let right = traced == counted || (traced < counted && !self.retakes.is_empty());
            assert!(right, "timers fired on P{p}: {traced} in the trace, {counted} in the metrics");
        }
        let why = |why: &str| self.retakes.get(why).copied().unwrap_or(0);
        assert_eq!(why("blocked"), after.retakes - before.retakes, "retakes of polls that blocked");
        assert_eq!(why("declared"), after.retakes_declared - before.retakes_declared, "of declared blocks");
        assert_eq!(why("hog"), after.retakes_hogs - before.retakes_hogs, "of hogs");
    }
}
