//! Looks at what there is, for people: nobody is stopped, and nobody waited for but the holder of a short lock.
//!
//! Go counterpart: `schedtrace`, `forEachG` (`proc.go`).
//!
//! Y1. A task is looked at without a reference (`cell/raw.rs`, `peek`), so one that is stuck in its poll hangs nobody.
//! Y2. Who polls what is told by the Ms. One may have let go of its task a moment ago: only a task that is RUNNING by its own
//!     word is said to be polled by it.
//!
//! Y3. Since when a task waits is told by a clock that sysmon sets, for a clock that each poll reads would cost more than
//!     the scheduler does. While every P is idle sysmon sleeps and the clock stands; who takes a P first sets it.
//!
//! Absent: what it looks like in print (`schedtrace.rs`, `dump.rs`).

use super::Shared;
use crate::cell::TaskRef;
use crate::cell::state::Standing;
use crate::look::{MachineLook, MachineState, ProcessorLook, SchedulerLook, TaskLook, TaskState};
use crate::names::all_names;
use crate::sys::clock::{self, Nanos};
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Hundredths of a second, modulo 2^32: 497 days.
pub(super) fn centiseconds(now: Nanos) -> u32 {
    (now / 10_000_000) as u32
}

impl Shared {
    /// The time, a little late (Y3).
    #[inline(always)]
    pub(super) fn coarse_now(&self) -> u32 {
        // Ordering: Relaxed; for people.
        self.coarse.load(Relaxed)
    }

    /// sysmon looks, or is roused.
    pub(super) fn set_coarse(&self, now: Nanos) {
        let now = centiseconds(now);
        // Ordering: Relaxed, both; for people.
        if self.coarse.load(Relaxed) != now {
            self.coarse.store(now, Relaxed); // Ordering: Relaxed; as above
        }
    }

    /// The scheduler's counts, and its Ps.
    pub(crate) fn look(&self) -> SchedulerLook {
        let (idle_procs, spinning) = self.census.counts();
        let (threads, idle_threads) = self.lists().counts();
        SchedulerLook {
            age: Duration::from_nanos(clock::now().saturating_sub(self.built)),
            idle_procs: idle_procs as usize,
            threads: threads + 1,
            spinning: spinning as usize,
            idle_threads,
            injector: self.injector.len(),
            sysmon_waits: self.census.sysmon_sleeps_deeply(),
            procs: self
                .procs
                .iter()
                .map(|p| ProcessorLook {
                    p: p.id.0,
                    m: Some(p.holder()).filter(|&m| m != 0),
                    schedtick: p.tally.schedtick.get(),
                    turns: u64::from(p.turn()),
                    queue: p.queue_len(),
                    timers: p.timers.len(),
                })
                .collect(),
        }
    }

    /// The Ms, by number.
    pub(crate) fn look_at_machines(&self) -> Vec<MachineLook> {
        let held: HashMap<u32, u16> = self.procs.iter().map(|p| (p.holder(), p.id.0)).collect();
        let mut all: Vec<_> = self
            .all_machines()
            .into_iter()
            .map(|m| {
                let (id, g) = (m.id.as_u32(), m.running());
                // It may have taken one since.
                let again = || self.procs.iter().find(|p| p.holder() == id).map(|p| p.id.0);
                let p = held.get(&id).copied().or_else(again);
                let declared = m.declared() % 2 == 1;
                let polls = m.lease.is_outside();
                let state = match p {
                    Some(_) => MachineState::Running,
                    None if polls || declared => MachineState::Bare { declared },
                    None => MachineState::Idle,
                };
                MachineLook { m: id, p, g: Some(g).filter(|&g| g != 0 && polls), state }
            })
            .collect();
        all.sort_unstable_by_key(|m| m.m);
        all
    }

    /// The tasks, by number.
    pub(crate) fn look_at_tasks(&self) -> Vec<TaskLook> {
        let (names, now) = (all_names(), centiseconds(clock::now()));
        let age = now.wrapping_sub(centiseconds(self.built));
        let mut all = Vec::new();
        self.slab.for_each_slot(|header| {
            if let Some(task) = TaskRef::from_header(header).peek() {
                let state = match task.standing {
                    Standing::Queued => TaskState::Runnable,
                    Standing::Running => TaskState::Running { m: None, p: None },
                    Standing::Waiting => TaskState::Waiting(task.reason),
                };
                // More than the runtime's age: it has come to wait since `now` was read.
                let since = task.since.map(|since| now.wrapping_sub(since)).filter(|&waited| waited <= age);
                let since = since.map(|waited| Duration::from_millis(10) * waited);
                let (g, site, parent) = (task.id.0, task.site, task.parent);
                all.push(TaskLook { g, name: names.get(&g).cloned(), site, parent, state, since });
            }
        });
        all.sort_unstable_by_key(|task| task.g);
        for m in self.look_at_machines() {
            let at = m.g.and_then(|g| all.binary_search_by_key(&g, |task| task.g).ok());
            if let Some(TaskState::Running { m: by, p }) = at.map(|at| &mut all[at].state) {
                (*by, *p) = (Some(m.m), m.p); // Y2
            }
        }
        all
    }
}
