//! The watch: a thread that looks for deadlocks and for long polls, if the builder asks for either.
//!
//! Go counterpart: `checkdead` (`proc.go`), which an M that goes idle calls; for long polls none.
//!
//! ```text
//!   deadlock:   every live runtime asleep? ── yes, at two looks 100 ms apart, and no poll begun ─▶ dump, exit(2)
//!   long poll:  M outside, the same poll as before, for longer than the threshold ─▶ one line for its spawn site
//!   nap:        200 ms · threshold/4 while something runs, else 100 ms, cut short when a P is taken
//! ```
//!
//! D1. A runtime is asleep if, at one moment under `lists`, all its Ps and threads are idle, nothing is queued, and no timer
//!     is set; and if each caller of `block_on` sleeps uncalled (machine.rs, K5).
//! D2. *No look is torn.* Take two looks that find all asleep, with the same counts of polls before the first and after
//!     the second. So no poll began in between, and each that was under way had ended when the first look came to its M.
//!     What such a poll has left (a task queued, a timer, a call) stays until a poll is begun, and the second look would
//!     find it. What is left is a thread that is no poll of ours: a foreign one.
//! D3. A caller in `block_on`, inside a task or inside another `block_on`, keeps the outer poll from being over, and the
//!     outer runtime from being asleep.
//! L1. A poll is known by its M and that M's count (machine.rs, K6). It is timed from the look that first finds it, so that
//!     it has lasted for at least as long as is said.
//! L2. A declared block makes the time begin anew, and so does a place in line: both are no fault of the poll.
//! L3. The watch runs no user code, and writes no line that would block it; so it ends when its runtime does.
//!
//! Absent: a look at what waits for sockets; there is nothing yet that does. A deadlock of some tasks beside others that
//! run, as in Go. Wakers of timers that take long: they are no poll.

use super::Shared;
use super::machine::Machine;
use super::{Config, schedule::AbortOnUnwind};
use crate::cell::TaskRef;
use crate::names::all_names;
use crate::policy::tuning::{DEADLOCK_AFTER, DEADLOCK_LOOK, LONG_POLL_IDLE, LONG_POLL_LOOK};
use crate::sys::affinity::{Tid, process_mask};
use crate::sys::clock::{self, Nanos, nanos};
use crate::sys::counter::Counter;
use crate::sys::parker::Parker;
use crate::sys::thread::{CpuClock, State, sleep_as_usual, stderr_takes_a_line};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::panic::Location;
use std::sync::atomic::{Ordering::Acquire, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

type Site = &'static Location<'static>;

/// All runtimes of the process: the tasks of one may wait for those of another.
static RUNTIMES: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Whoever reports a deadlock keeps this to the end of the process.
static REPORT: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The runtimes that live. They are let go of without the lock: one may go with it.
fn runtimes() -> Vec<Arc<Shared>> {
    lock(&RUNTIMES).iter().filter_map(Weak::upgrade).collect()
}

/// What other threads know of the watch.
#[derive(Debug)]
pub(crate) struct Watchman {
    parker: Parker,
    thread: Mutex<Option<JoinHandle<()>>>,
    deadlocks: bool,
    long_polls: Option<Duration>,
    /// Polls of callers, with a P or without.
    callers_polls: Counter,
}

impl Watchman {
    pub(super) fn new(config: &Config) -> Self {
        let asked = std::env::var_os("GMPRT_TEST_DEADLOCK").is_some_and(|value| value == "1");
        Self {
            parker: Parker::default(),
            thread: Mutex::new(None),
            deadlocks: config.deadlock_detection || asked,
            long_polls: config.long_polls,
            callers_polls: Counter::default(),
        }
    }

    /// sysmon's deep sleep is over, because an idle P was taken: a poll begins, which may be a long one.
    pub(super) fn rouse(&self) {
        if self.long_polls.is_some() {
            self.parker.unpark();
        }
    }

    /// A caller of `block_on` begins a poll.
    pub(super) fn count_callers_poll(&self) {
        self.callers_polls.add_shared(1);
    }
}

impl Shared {
    /// Starts the thread, if there is something to watch for.
    pub(super) fn start_watch(self: &Arc<Self>) -> io::Result<()> {
        {
            let mut runtimes = lock(&RUNTIMES);
            runtimes.retain(|runtime| runtime.strong_count() > 0);
            runtimes.push(Arc::downgrade(self));
        }
        let watchman = &self.watchman;
        if !watchman.deadlocks && watchman.long_polls.is_none() {
            return Ok(());
        }
        let shared = Arc::clone(self);
        let name = format!("{}-watch", self.config.thread_name);
        let thread = thread::Builder::new().name(name).spawn(move || Guard::new(&shared).run())?;
        *lock(&watchman.thread) = Some(thread);
        Ok(())
    }

    /// The runtime closes: the watch ends, and is waited for (L3).
    pub(super) fn end_watch(&self) {
        self.watchman.parker.unpark();
        let thread = lock(&self.watchman.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join(); // its panic has aborted the process
        }
    }

    /// Whether nothing here can go on by itself (D1): where the callers of `block_on` that wait called it. `None`: something
    /// can.
    fn sleepers(&self) -> Option<Vec<Site>> {
        let lists = self.lists();
        if !lists.ended {
            let quiet = !lists.closing && lists.all_sleep(self.procs.len()) && self.census.counts().1 == 0;
            let timers = self.procs.iter().any(|p| p.timers.len() > 0); // the earliest may be a dead one
            if !quiet || timers || self.work_waits() {
                return None;
            }
        }
        let mut sites = Vec::new();
        for m in self.all_machines() {
            if let Some(site) = m.block_on_site() {
                if !m.sleeps_as_caller() {
                    return None;
                }
                sites.push(site);
            }
        }
        Some(sites)
    }

    /// Polls begun so far.
    fn polls_begun(&self) -> u64 {
        let of_ps: u64 = self.procs.iter().map(|p| p.tally.polls.get()).sum();
        of_ps.wrapping_add(self.watchman.callers_polls.get())
    }
}

/// Each runtime, by its address, with the polls that it has begun.
fn polls_of(all: &[Arc<Shared>]) -> Vec<(usize, u64)> {
    all.iter().map(|shared| (Arc::as_ptr(shared).addr(), shared.polls_begun())).collect()
}

/// The watch at work.
struct Guard<'a> {
    shared: &'a Arc<Shared>,
    /// When it is to look for a deadlock next.
    next_look: Nanos,
    /// All were asleep then, after so many polls.
    asleep: Option<(Nanos, Vec<(usize, u64)>)>,
    long: Option<LongPolls>,
}

impl<'a> Guard<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        let long = shared.watchman.long_polls.map(LongPolls::new);
        Self { shared, next_look: 0, asleep: None, long }
    }

    fn run(mut self) {
        let _abort = AbortOnUnwind;
        let shared = self.shared;
        shared.watchman.parker.adopt();
        sleep_as_usual();
        if let Some(mask) = &process_mask().mask {
            mask.give_to(Tid::current()); // whoever built the runtime may be pinned
        }
        while !shared.is_closing() {
            let mut nap = DEADLOCK_LOOK;
            if let Some(long) = &mut self.long {
                nap = nap.min(long.look(shared));
            }
            if shared.watchman.deadlocks && clock::now() >= self.next_look {
                self.look_for_deadlock();
                self.next_look = clock::now() + nanos(DEADLOCK_LOOK) / 2; // whichever nap ends after that
            }
            shared.watchman.parker.park_until(clock::now() + nanos(nap));
        }
    }

    fn look_for_deadlock(&mut self) {
        let before = self.asleep.take();
        if self.shared.sleepers().is_none_or(|callers| callers.is_empty()) {
            return; // as most looks find
        }
        let all = runtimes();
        let polls = polls_of(&all);
        if before.as_ref().is_some_and(|(_, then)| *then != polls) {
            return;
        }
        let Some(callers) = all.iter().map(|shared| shared.sleepers()).collect::<Option<Vec<_>>>() else {
            return;
        };
        if polls_of(&all) != polls {
            return;
        }
        let now = clock::now();
        match before {
            Some((since, _)) if now - since >= nanos(DEADLOCK_AFTER) => {
                report_deadlock(&all, &callers.concat())
            }
            Some(before) => self.asleep = Some(before),
            None => self.asleep = Some((now, polls)),
        }
    }
}

/// Says it as Go does, and ends the process as Go does.
fn report_deadlock(all: &[Arc<Shared>], callers: &[Site]) {
    let _report = lock(&REPORT);
    let mut text = String::from("fatal error: all goroutines are asleep - deadlock!\n\n");
    for site in callers {
        let _ = writeln!(text, "block_on at {site} [waits]");
    }
    for shared in all {
        text.push_str(&(shared.config.print_dump)(shared));
    }
    let _ = io::stderr().write_all(text.as_bytes()); // a closed stderr changes nothing
    std::process::exit(2);
}

/// What is remembered of an M from look to look.
struct Seen {
    /// The poll, and the declared blocks that began and ended in it (L1, L2).
    stretch: (u64, u64),
    since: Nanos,
    /// When it was seen again, and the CPU time that the thread had used then.
    cpu: Option<(Nanos, Nanos)>,
    told: bool,
}

/// A poll that has lasted for too long.
struct Long {
    m: Arc<Machine>,
    g: u64,
    stretch: (u64, u64),
    since: Nanos,
    cpu: Option<(Nanos, Nanos)>,
}

/// Looks for long polls.
struct LongPolls {
    threshold: Duration,
    seen: HashMap<u32, Seen>,
    told: HashSet<Site>,
}

/// What `m` is at, if it is in a poll, and in no declared block.
fn in_a_poll(m: &Machine) -> Option<(u64, u64)> {
    let stretch = (m.polls(), m.declared());
    let there = m.lease.is_outside() || m.polls_as_caller();
    fence(Acquire); // Ordering: Acquire; pairs with the Release store in `leave` (machine.rs, K6)
    (there && stretch.1.is_multiple_of(2) && stretch == (m.polls(), m.declared())).then_some(stretch)
}

impl LongPolls {
    fn new(threshold: Duration) -> Self {
        Self { threshold, seen: HashMap::new(), told: HashSet::new() }
    }

    /// One look at all Ms; how long to sleep until the next.
    fn look(&mut self, shared: &Shared) -> Duration {
        // Before the Ms: a P that is taken after this rouses us.
        let idle = shared.census.sysmon_sleeps_deeply();
        let now = clock::now();
        let machines = shared.all_machines();
        let in_line: Vec<u32> = match shared.line_waits() {
            true => shared.lists().line.iter().map(|m| m.id.as_u32()).collect(),
            false => Vec::new(),
        };
        let (mut polls, mut long) = (false, Vec::new());
        for m in &machines {
            let Some(stretch) = in_a_poll(m) else { continue };
            polls = true;
            let id = m.id.as_u32();
            let seen = self.seen.entry(id).or_insert(Seen { stretch, since: now, cpu: None, told: false });
            if seen.stretch != stretch || in_line.contains(&id) {
                *seen = Seen { stretch, since: now, cpu: None, told: seen.told && seen.stretch == stretch };
            } else if now - seen.since >= nanos(self.threshold) && !seen.told {
                seen.told = true;
                let (since, cpu) = (seen.since, seen.cpu);
                long.push(Long { m: Arc::clone(m), g: m.running(), stretch, since, cpu });
            } else if seen.cpu.is_none() {
                seen.cpu = cpu_of(m).map(|cpu| (now, cpu));
            }
        }
        if self.seen.len() > 2 * machines.len() + 16 {
            let alive: HashSet<_> = machines.iter().map(|m| m.id.as_u32()).collect();
            self.seen.retain(|id, _| alive.contains(id));
        }
        if !long.is_empty() {
            self.tell(shared, &long);
        }
        let (shortest, longest) = LONG_POLL_LOOK;
        if idle && !polls { LONG_POLL_IDLE } else { (self.threshold / 4).clamp(shortest, longest) }
    }

    /// Says each of them for whose site nothing was said before.
    fn tell(&mut self, shared: &Shared, long: &[Long]) {
        let mut sites: HashMap<u64, Site> = HashMap::new();
        let wanted: HashSet<u64> = long.iter().map(|long| long.g).collect();
        shared.slab.for_each_slot(|header| {
            if let Some(task) = TaskRef::from_header(header).peek()
                && wanted.contains(&task.id.0)
            {
                sites.insert(task.id.0, task.site);
            }
        });
        for Long { m, g, stretch, since, cpu } in long {
            let by_caller = m.block_on_site();
            let Some(site) = by_caller.or_else(|| sites.get(g).copied()) else { continue };
            if self.told.contains(site) {
                continue;
            }
            let blocked = is_blocked(m, *cpu);
            let so_far = Duration::from_nanos(clock::now() - since).as_secs_f64() * 1e3;
            if in_a_poll(m) != Some(*stretch) || !stderr_takes_a_line() {
                // Over by now, or deep in the runtime at this moment, or nobody reads: another time.
                if let Some(seen) = self.seen.get_mut(&m.id.as_u32()) {
                    seen.told = false;
                }
                continue;
            }
            self.told.insert(site);
            let whose = match by_caller {
                Some(_) => format!("the future of block_on at {site}"),
                None => {
                    let name = all_names().get(g).map_or_else(String::new, |name| format!(" {name:?}"));
                    format!("G{g}{name}, spawned at {site},")
                }
            };
            let how = if blocked { "blocked" } else { "busy" };
            let line =
                format!("gmprt: long poll: {whose} has been in one poll for {so_far:.1} ms so far, {how}\n");
            let _ = io::stderr().write_all(line.as_bytes()); // a closed stderr changes nothing
        }
    }
}

fn cpu_of(m: &Machine) -> Option<Nanos> {
    CpuClock::of(m.tid()?).read()
}

/// Whether the thread sleeps in the kernel, and has computed for less than half of the time since it was looked at before.
fn is_blocked(m: &Machine, before: Option<(Nanos, Nanos)>) -> bool {
    let asleep = m.tid().is_some_and(|tid| State::of(tid) != State::Other);
    let (Some((then, used)), Some(cpu)) = (before, cpu_of(m)) else { return asleep };
    asleep && cpu.saturating_sub(used) < (clock::now() - then) / 2
}
