//! What a runtime's scheduler looks like in print: Go's line, and Go's block of lines, to the letter.
//!
//! Go counterpart: `schedtrace` (`proc.go`), which this follows print by print.
//!
//! ```text
//!   SCHED 1004ms: gomaxprocs=2 … runqueue=0 [ 3 0 ] schedticks=[ 41 7 ]      short
//!
//!   SCHED 1004ms: gomaxprocs=2 … runqueue=0 gcwaiting=false … sysmonwait=true     detailed
//!     P0: …          each P, by number
//!     M4: …          each M, the youngest first
//!     G17: …         each task, by number
//! ```
//!
//! F1. Names, order and spacing are Go's. What has no meaning here is printed as Go prints it where nothing is going on.
//! F2. A schedtick is printed modulo 2^32, as Go counts it: who parses Go's may have no room for more.
//! F3. A queue's length counts `runnext` too, which Go leaves out.
//!
//! Absent: an M's `spinning` (who spins is counted, not named), its locks, a P's free tasks (only its owner can tell how
//! many), and a line for sysmon, which is counted in `threads`, but has no number here.

use crate::look::{MachineLook, MachineState, ProcessorLook, SchedulerLook, TaskLook, TaskState};
use std::fmt::{self, Display, Write};

/// Go: `_Pidle`, `_Prunning`.
const P_IDLE: u8 = 0;
const P_RUNNING: u8 = 1;

/// Go: `_Grunnable`, `_Grunning`, `_Gsyscall`, `_Gwaiting`.
const G_RUNNABLE: u8 = 1;
const G_RUNNING: u8 = 2;
const G_SYSCALL: u8 = 3;
const G_WAITING: u8 = 4;

/// The line, with its end.
pub(super) fn short(look: &SchedulerLook) -> String {
    written(|text| {
        counts(text, look)?;
        text.write_str(" [ ")?;
        each(text, &look.procs, |p| p.queue)?;
        text.write_str("] schedticks=[ ")?;
        each(text, &look.procs, tick)?;
        text.write_str("]\n")
    })
}

/// The block, with its end. The Ms come by number.
pub(super) fn detailed(look: &SchedulerLook, ms: &[MachineLook], gs: &[TaskLook]) -> String {
    written(|text| {
        counts(text, look)?;
        let sysmon = look.sysmon_waits;
        writeln!(text, " gcwaiting=false nmidlelocked=0 stopwait=0 sysmonwait={sysmon}")?;
        look.procs.iter().try_for_each(|p| processor(text, p))?;
        ms.iter().rev().try_for_each(|m| machine(text, m))?;
        gs.iter().try_for_each(|g| task(text, g))
    })
}

fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    write(&mut text).expect("a string takes what is written to it");
    text
}

/// What both begin with.
fn counts(text: &mut String, look: &SchedulerLook) -> fmt::Result {
    let SchedulerLook { age, idle_procs, threads, spinning, idle_threads, injector, ref procs, .. } = *look;
    let (ms, all) = (age.as_millis(), procs.len());
    // Go's is 1 from when somebody had work and found no idle P for it, until an M looks for work again. Nobody keeps such
    // a note here; it is read off the counts: work waits, no P is idle, nobody looks for it.
    let waits = injector > 0 || procs.iter().any(|p| p.queue > 0);
    let needspinning = u8::from(waits && idle_procs == 0 && spinning == 0);
    write!(
        text,
        "SCHED {ms}ms: gomaxprocs={all} idleprocs={idle_procs} threads={threads} spinningthreads={spinning} \
         needspinning={needspinning} idlethreads={idle_threads} runqueue={injector}"
    )
}

/// A number for each P, each followed by a blank.
fn each<T: Display>(
    text: &mut String,
    ps: &[ProcessorLook],
    number: impl Fn(&ProcessorLook) -> T,
) -> fmt::Result {
    ps.iter().try_for_each(|p| write!(text, "{} ", number(p)))
}

/// F2.
fn tick(p: &ProcessorLook) -> u32 {
    p.schedtick as u32
}

/// A number, or what Go prints in the place of one.
struct OrNil<T>(Option<T>);

impl<T: Display> Display for OrNil<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("nil"),
        }
    }
}

fn processor(text: &mut String, p: &ProcessorLook) -> fmt::Result {
    let ProcessorLook { p: id, m, turns, queue, timers, .. } = *p;
    let status = if m.is_some() { P_RUNNING } else { P_IDLE };
    writeln!(
        text,
        "  P{id}: status={status} schedtick={} syscalltick={turns} m={} runqsize={queue} gfreecnt=0 timerslen={timers}",
        tick(p),
        OrNil(m),
    )
}

/// Go's `blocked` is true of an M that sleeps until it is woken.
fn machine(text: &mut String, m: &MachineLook) -> fmt::Result {
    let MachineLook { m: id, p, g, state } = *m;
    let blocked = state == MachineState::Idle;
    writeln!(
        text,
        "  M{id}: p={} curg={} mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning=false blocked={blocked} \
         lockedg=nil",
        OrNil(p),
        OrNil(g),
    )
}

fn task(text: &mut String, g: &TaskLook) -> fmt::Result {
    let (status, why, by) = match g.state {
        TaskState::Runnable => (G_RUNNABLE, "", None),
        // Its poll goes on and holds no P: in Go that is a system call.
        TaskState::Running { m: Some(m), p: None } => (G_SYSCALL, "", Some(m)),
        TaskState::Running { m, .. } => (G_RUNNING, "", m),
        TaskState::Waiting(reason) => (G_WAITING, reason.text(), None),
    };
    writeln!(text, "  G{}: status={status}({why}) m={} lockedm=nil", g.g, OrNil(by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;
    use std::panic::Location;
    use std::time::Duration;

    fn p(p: u16, m: Option<u32>, queue: usize, schedtick: u64) -> ProcessorLook {
        ProcessorLook { p, m, schedtick, turns: 7, queue, timers: usize::from(p) }
    }

    fn look(idle_procs: usize, procs: Vec<ProcessorLook>) -> SchedulerLook {
        SchedulerLook {
            age: Duration::from_micros(1_004_900),
            idle_procs,
            threads: 6,
            spinning: 0,
            idle_threads: 2,
            injector: 5,
            sysmon_waits: true,
            procs,
        }
    }

    fn g(g: u64, state: TaskState) -> TaskLook {
        TaskLook { g, name: None, site: Location::caller(), parent: 0, state, since: None }
    }

    /// Go's own, with other numbers: `SCHED 103ms: gomaxprocs=3 idleprocs=0 threads=4 spinningthreads=0 needspinning=1
    /// idlethreads=0 runqueue=1 [ 0 0 0 ] schedticks=[ 9 5 5 ]`.
    #[test]
    fn the_short_line_is_gos() {
        let look = look(1, vec![p(0, Some(3), 3, 41), p(1, None, 0, 7), p(2, Some(4), 256, 0)]);
        assert_eq!(
            short(&look),
            "SCHED 1004ms: gomaxprocs=3 idleprocs=1 threads=6 spinningthreads=0 needspinning=0 idlethreads=2 \
             runqueue=5 [ 3 0 256 ] schedticks=[ 41 7 0 ]\n"
        );
    }

    #[test]
    fn the_block_is_gos() {
        let look = look(1, vec![p(0, Some(3), 3, 41), p(1, None, 0, 7)]);
        let m = |m, p, g, state| MachineLook { m, p, g, state };
        let ms = [
            m(1, None, None, MachineState::Idle),
            m(2, None, Some(19), MachineState::Bare { declared: true }),
            m(3, Some(0), Some(17), MachineState::Running),
            m(4, None, None, MachineState::Bare { declared: false }),
        ];
        let gs = [
            g(17, TaskState::Running { m: Some(3), p: Some(0) }),
            g(18, TaskState::Runnable),
            g(19, TaskState::Running { m: Some(2), p: None }),
            g(20, TaskState::Running { m: None, p: None }),
            g(21, TaskState::Waiting(Reason::ChanReceive)),
            g(22, TaskState::Waiting(Reason::Unsaid)),
        ];
        let rest = "mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning=false";
        assert_eq!(
            detailed(&look, &ms, &gs),
            format!(
                "SCHED 1004ms: gomaxprocs=2 idleprocs=1 threads=6 spinningthreads=0 needspinning=0 idlethreads=2 \
                 runqueue=5 gcwaiting=false nmidlelocked=0 stopwait=0 sysmonwait=true
  P0: status=1 schedtick=41 syscalltick=7 m=3 runqsize=3 gfreecnt=0 timerslen=0
  P1: status=0 schedtick=7 syscalltick=7 m=nil runqsize=0 gfreecnt=0 timerslen=1
  M4: p=nil curg=nil {rest} blocked=false lockedg=nil
  M3: p=0 curg=17 {rest} blocked=false lockedg=nil
  M2: p=nil curg=19 {rest} blocked=false lockedg=nil
  M1: p=nil curg=nil {rest} blocked=true lockedg=nil
  G17: status=2() m=3 lockedm=nil
  G18: status=1() m=nil lockedm=nil
  G19: status=3() m=2 lockedm=nil
  G20: status=2() m=nil lockedm=nil
  G21: status=4(chan receive) m=nil lockedm=nil
  G22: status=4() m=nil lockedm=nil
"
            )
        );
    }

    #[test]
    fn spinning_is_needed_where_work_waits_no_p_is_idle_and_nobody_looks() {
        let needs = |look: &SchedulerLook| short(look).contains(" needspinning=1 ");
        let busy = || look(0, vec![p(0, Some(3), 0, 1)]);
        assert!(needs(&busy()), "in the injector");
        assert!(!needs(&SchedulerLook { injector: 0, ..busy() }), "nothing waits");
        assert!(!needs(&SchedulerLook { spinning: 1, ..busy() }), "somebody looks");
        assert!(!needs(&SchedulerLook { idle_procs: 1, ..busy() }), "a P is idle");
        assert!(needs(&SchedulerLook { injector: 0, ..look(0, vec![p(0, Some(3), 1, 1)]) }), "in a ring");
    }

    #[test]
    fn a_tick_goes_round_as_gos_does() {
        let text = short(&look(0, vec![p(0, Some(3), 0, (1 << 32) + 5)]));
        assert!(text.ends_with(" schedticks=[ 5 ]\n"), "{text}");
    }
}
