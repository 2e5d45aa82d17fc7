//! The tasks: what each is at, what it is called, and its track.
//!
//! Go counterpart: `internal/trace/traceviewer`'s and `cmd/trace/gen.go`'s `gState`.
//!
//! T1. A task's times never go back, so its slices abut or lie apart.
//! T2. Which tasks get a track is known only at the end: slices are kept until then, [`KEPT`] at most. When there are
//!     more the choice is made at once, and stands.
//!
//! Length: a task's states, its name and its track are one table.
//!
//! Absent: the slices of a task's runs on its P's track (`processor.rs`).

use super::super::chrome::{By, Nothing, Place, Writer};
use super::SiteOf;
use crate::reason::Reason;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use std::cmp::Reverse;
use std::panic::Location;
use std::sync::Arc;

/// How many slices of tasks are kept (T2), 32 bytes each.
const KEPT: usize = 2_000_000;

/// Why a task is runnable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woke {
    Spawn,
    Wake,
    Yield,
    Preempt,
    Own,
    Start,
}

impl Woke {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Spawn => "spawn",
            Self::Wake => "wake",
            Self::Yield => "yield",
            Self::Preempt => "preempt",
            Self::Own => "self",
            Self::Start => "start",
        }
    }
}

/// Where an arrow begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) at: Place,
    pub(super) ts: u64,
    pub(super) what: &'static str,
}

/// What a task is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing is known of it.
    Unknown,
    Runnable {
        woke: Woke,
        by: Option<By>,
    },
    /// On this P, by this M; each if known.
    Running {
        p: Option<u16>,
        m: Option<u32>,
    },
    Waiting(Reason),
    Done,
}

impl State {
    /// Which of the three counts it is in.
    fn class(self) -> Option<usize> {
        match self {
            Self::Running { .. } => Some(0),
            Self::Runnable { .. } => Some(1),
            Self::Waiting(_) => Some(2),
            Self::Unknown | Self::Done => None,
        }
    }
}

/// A task.
pub(super) struct Task {
    pub(super) g: u64,
    pub(super) state: State,
    /// Since when.
    pub(super) since: u64,
    /// The time of its last transition (T1).
    pub(super) last: u64,
    /// Whether there was a record of it.
    pub(super) seen: bool,
    /// Who marked it last while it ran, when, and from which slice.
    pub(super) mark: Option<(u64, Option<By>, Option<Source>)>,
    pub(super) flow: Option<Source>,
    pub(super) kind: u32,
    site: Option<&'static Location<'static>>,
    name: Option<Arc<str>>,
    runs: u32,
    slices: bool,
    track: bool,
}

/// What tasks are called.
struct Kind {
    text: Box<str>,
    /// Where a task with a name was spawned.
    site: Option<Box<str>>,
}

/// One slice of a task's track.
struct Kept {
    start: u64,
    end: u64,
    task: u32,
    m: u32,
    p: u16,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Running,
    /// On no P that is known.
    Placeless,
    Runnable,
    Waiting(Reason),
}

#[derive(Serialize)]
struct RunningArgs {
    p: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    m: Option<u32>,
}

#[derive(Serialize)]
struct PlacelessArgs {
    #[serde(skip_serializing_if = "Option::is_none")]
    m: Option<u32>,
}

/// No M.
const NONE: u32 = u32::MAX;

/// All of them.
pub(super) struct Tasks {
    all: Vec<Task>,
    free: Vec<u32>,
    index: FxHashMap<u64, u32>,
    kinds: Vec<Kind>,
    kind_of: FxHashMap<(Option<Arc<str>>, usize), u32>,
    names: FxHashMap<u64, Arc<str>>,
    sites: FxHashMap<u64, &'static Location<'static>>,
    site_of: SiteOf,
    kept: Vec<Kept>,
    kept_at_most: usize,
    /// How many may have a track.
    tracks: usize,
    /// The choice is made (T2).
    frozen: bool,
    /// The tasks with a track.
    shown: FxHashSet<u64>,
    /// Running, runnable, waiting.
    pub(super) counts: [u64; 3],
    /// How many there were.
    pub(super) met: u64,
    /// Of those, how many have slices.
    sliced: u64,
}

impl Tasks {
    pub(super) fn new(tracks: usize, site_of: SiteOf) -> Self {
        Self {
            all: Vec::new(),
            free: Vec::new(),
            index: FxHashMap::default(),
            kinds: vec![Kind { text: "task".into(), site: None }],
            kind_of: FxHashMap::default(),
            names: FxHashMap::default(),
            sites: FxHashMap::default(),
            site_of,
            kept: Vec::new(),
            kept_at_most: KEPT,
            tracks,
            frozen: false,
            shown: FxHashSet::default(),
            counts: [0; 3],
            met: 0,
            sliced: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn keep_at_most(&mut self, slices: usize) {
        self.kept_at_most = slices;
    }

    pub(super) fn get(&self, task: u32) -> &Task {
        &self.all[task as usize]
    }

    pub(super) fn get_mut(&mut self, task: u32) -> &mut Task {
        &mut self.all[task as usize]
    }

    pub(super) fn find(&self, g: u64) -> Option<u32> {
        self.index.get(&g).copied()
    }

    /// The task, which is added if there was none.
    pub(super) fn meet(&mut self, g: u64, since: u64) -> u32 {
        if let Some(&task) = self.index.get(&g) {
            return task;
        }
        self.met += 1;
        let task = Task {
            g,
            state: State::Unknown,
            since,
            last: since,
            seen: false,
            mark: None,
            flow: None,
            kind: 0,
            site: self.sites.get(&g).copied(),
            name: self.names.get(&g).cloned(),
            runs: 0,
            slices: false,
            track: false,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.all[at as usize] = task;
                at
            }
            None => {
                self.all.push(task);
                u32::try_from(self.all.len() - 1).expect("ids of tasks that are alive are few")
            }
        };
        self.index.insert(g, at);
        self.call(at);
        at
    }

    /// Finds out what the task is called.
    fn call(&mut self, task: u32) {
        let task = &mut self.all[task as usize];
        let address = task.site.map_or(0, |site| std::ptr::from_ref(site).addr());
        if task.name.is_none() && address == 0 {
            return;
        }
        let kinds = &mut self.kinds;
        task.kind = *self.kind_of.entry((task.name.clone(), address)).or_insert_with(|| {
            let file = |site: &Location<'_>| site.file().rsplit('/').next().unwrap_or_default().to_owned();
            let short = task.site.map(|site| format!("{}:{}", file(site), site.line()));
            let long = task.site.map(|site| format!("{}:{}", site.file(), site.line()).into_boxed_str());
            kinds.push(match (&task.name, short) {
                (Some(name), _) => Kind { text: (&**name).into(), site: long },
                (None, short) => Kind { text: short.unwrap_or_default().into(), site: None },
            });
            u32::try_from(kinds.len() - 1).unwrap_or(0)
        });
    }

    pub(super) fn name(&mut self, g: u64, name: Arc<str>) {
        if let Some(task) = self.find(g) {
            self.get_mut(task).name = Some(name.clone());
            self.call(task);
        }
        self.names.insert(g, name);
    }

    pub(super) fn site_at(&mut self, g: u64, at: usize) {
        if let Some(site) = (self.site_of)(at) {
            self.site(g, site);
        }
    }

    pub(super) fn site(&mut self, g: u64, site: &'static Location<'static>) {
        match self.find(g) {
            Some(task) if self.get(task).site.is_none_or(|known| !std::ptr::eq(known, site)) => {
                self.get_mut(task).site = Some(site);
                self.call(task);
            }
            Some(_) => {}
            None => {
                self.sites.insert(g, site);
            }
        }
    }

    /// What tasks of this kind are called, and where they are spawned if that is not the same.
    pub(super) fn kind(&self, kind: u32) -> (&str, Option<&str>) {
        let kind = &self.kinds[kind as usize];
        (&kind.text, kind.site.as_deref())
    }

    pub(super) fn begins_run(&mut self, task: u32) {
        let task = self.get_mut(task);
        task.runs = task.runs.saturating_add(1);
    }

    /// Corrects what was assumed of a task.
    pub(super) fn assume(&mut self, task: u32, state: State) {
        let task = &mut self.all[task as usize];
        if let Some(class) = task.state.class() {
            self.counts[class] -= 1;
        }
        if let Some(class) = state.class() {
            self.counts[class] += 1;
        }
        task.state = state;
    }

    /// The task is at something else from `t` on. `show`: what it was at is shown.
    pub(super) fn become_(&mut self, task: u32, state: State, t: u64, show: bool, out: &mut Writer<'_>) {
        if show {
            self.show(task, t, out);
        }
        self.assume(task, state);
        let it = self.get_mut(task);
        it.since = t.max(it.since);
        it.last = t.max(it.last);
    }

    /// Shows what it is at, up to `t`.
    fn show(&mut self, task: u32, t: u64, out: &mut Writer<'_>) {
        let it = &mut self.all[task as usize];
        let (what, p, m) = match it.state {
            State::Unknown | State::Done => return,
            State::Runnable { .. } => (What::Runnable, 0, None),
            State::Waiting(reason) => (What::Waiting(reason), 0, None),
            State::Running { p: Some(p), m } => (What::Running, p, m),
            State::Running { p: None, m } => (What::Placeless, 0, m),
        };
        if t <= it.since || (self.frozen && !it.track) {
            return;
        }
        if !std::mem::replace(&mut it.slices, true) {
            self.sliced += 1;
        }
        let kept = Kept { start: it.since, end: t, task, m: m.unwrap_or(NONE), p, what };
        if self.frozen {
            let g = it.g;
            emit(g, &kept, out);
            return;
        }
        self.kept.push(kept);
        if self.kept.len() >= self.kept_at_most {
            self.choose(out);
        }
    }

    /// A task that is done is forgotten once the choice is made.
    pub(super) fn done(&mut self, task: u32) {
        if self.frozen && !self.get(task).track {
            let g = self.get(task).g;
            self.index.remove(&g);
            self.names.remove(&g);
            self.sites.remove(&g);
            self.free.push(task);
        }
    }

    /// Chooses the tasks that get a track: those with a name first, then those with most runs. Writes what was kept.
    fn choose(&mut self, out: &mut Writer<'_>) {
        self.frozen = true;
        let mut order: Vec<u32> = (0..self.all.len() as u32).filter(|&task| self.get(task).slices).collect();
        order.sort_unstable_by_key(|&task| {
            let task = self.get(task);
            (task.name.is_none(), Reverse(task.runs), task.g)
        });
        order.retain(|&task| TID_LIMIT > Place::g(self.get(task).g).tid);
        order.truncate(self.tracks);
        for task in order {
            let it = &mut self.all[task as usize];
            it.track = true;
            self.shown.insert(it.g);
            let it = self.get(task);
            let (kind, _) = self.kind(it.kind);
            out.thread(Place::g(it.g), &format!("G{} {kind}", it.g));
        }
        for kept in std::mem::take(&mut self.kept) {
            let it = self.get(kept.task);
            if it.track {
                emit(it.g, &kept, out);
            }
        }
    }

    /// Closes what is open at `t`. Returns how many tasks have a track, and how many are left out.
    pub(super) fn finish(&mut self, t: u64, out: &mut Writer<'_>) -> (u64, u64) {
        for task in 0..self.all.len() as u32 {
            if self.get(task).state != State::Done {
                self.show(task, t, out);
            }
        }
        if !self.frozen {
            self.choose(out);
        }
        let shown = self.shown.len() as u64;
        (shown, self.met.saturating_sub(shown))
    }
}

/// Ids of threads have 32 bits in some viewers.
pub(super) const TID_LIMIT: u64 = 1 << 32;

fn emit(g: u64, kept: &Kept, out: &mut Writer<'_>) {
    let (at, span) = (Place::g(g), (kept.start, kept.end));
    let m = (kept.m != NONE).then_some(kept.m);
    match kept.what {
        What::Running => {
            let args = RunningArgs { p: kept.p, m };
            out.coloured(at, "g", "running", span, Some("thread_state_running"), args);
        }
        What::Placeless => {
            let args = PlacelessArgs { m };
            out.coloured(at, "g", "running (without a P)", span, Some("thread_state_running"), args);
        }
        What::Runnable => out.coloured(at, "g", "runnable", span, Some("thread_state_runnable"), Nothing {}),
        What::Waiting(Reason::Unsaid) => {
            out.coloured(at, "g", "waiting", span, Some("thread_state_sleeping"), Nothing {});
        }
        What::Waiting(reason) => {
            let name = format!("waiting: {}", reason.text());
            out.coloured(at, "g", &name, span, Some("thread_state_sleeping"), Nothing {});
        }
    }
}
