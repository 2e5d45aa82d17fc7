//! The scheduler: Ms run Gs while they hold Ps.
//!
//! Go counterpart: `type schedt` (`runtime2.go`), `proc.go`.
//!
//! ```text
//!   ready.rs      spawn and wake put a task into a P's queue or the injector, and wake an M if need be
//!   schedule.rs   the M's loop: lend the P to a task, poll it  sources.rs where it looks for one (policy/find.rs)
//!   lists.rs      what is idle     threads.rs who starts it   idle.rs    who spins, who may sleep
//!   machine.rs    the M                                       seat.rs, bedtime.rs  who sleeps until when
//!   processor.rs  the P                                       lease.rs   who may touch a P during a poll
//!   sysmon.rs     watches the Ps                              retake.rs  takes one from an M in the middle of a poll
//!   blocking.rs   a P changes hands: handoff, the ladder      revoker.rs takes Ps away, for tests
//!   block_on.rs   a thread that is not an M runs a future     timing.rs, preempt.rs  timers, and the end of a slice
//!   permits.rs    how many may block at once                  shutdown.rs the end
//!   tracing.rs    what is told to the trace                   watch.rs    deadlocks and long polls, if asked for
//! ```
//!
//! Lock order: `lists` (lists.rs) before an M's inbox; the slab's `foreign` before its `depot`; all others (the
//! poller's, the timers', the revoker's, `machines`, an M's `tid`, sysmon's handle, the watch's, the permits', shutdown's
//! `WAITING`, the watch's `RUNTIMES`, the recorder's) are leaves, and the timers', `machines` and the recorder's are taken under
//! `lists` too. None is held while user code runs, a thread is started, or an M is woken.
//!
//! Absent: the netpoller.

mod ask;
mod bedtime;
pub(crate) mod block_on;
pub(crate) mod blocking;
mod chain;
#[expect(unsafe_code, reason = "the thread-local context and the lent P")]
pub(crate) mod current;
pub(crate) mod idle;
pub(crate) mod ids;
mod join;
pub(crate) mod lease;
pub(crate) mod lists;
mod looking;
pub(crate) mod machine;
pub(crate) mod permits;
pub(crate) mod preempt;
#[expect(unsafe_code, reason = "who owns a P may use its cells")]
pub(crate) mod processor;
#[expect(unsafe_code, reason = "the upcall from a waker names its scheduler by a raw pointer")]
pub(crate) mod ready;
#[cfg(test)]
mod reason_tests;
mod retake;
pub(crate) mod revoker;
pub(crate) mod schedule;
mod seat;
pub(crate) mod shutdown;
mod sources;
mod sysmon;
pub(crate) mod tally;
#[cfg(test)]
mod tests;
mod threads;
pub(crate) mod timing;
mod tracing;
mod watch;
pub(crate) mod yield_now;

pub use blocking::block_in_place;
pub use ids::{MachineId, ProcessorId};
pub use ready::spawn;

use crate::cell::raw::Header;
use crate::cell::slab::Slab;
use crate::error::UnhandledPanic;
use crate::poller::ParkPoller;
use crate::queue::injector::Injector;
use crate::queue::victims::Victims;
use crate::sys::clock::Nanos;
use crate::sys::counter::Counter;
use crate::trace::config::TraceConfig;
use crate::trace::recorder::Recorder;
use idle::Census;
use lists::Lists;
use machine::Machines;
use permits::Permits;
use processor::Processor;
use revoker::Revoker;
use seat::Seat;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use sysmon::Sysmon;
use tally::Tally;
use threads::First;
use watch::Watchman;

/// Where Ms run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Affinity {
    /// An M is pinned to its P's core once it has kept that P for 10 ms, and un-pinned before it sleeps; only
    /// where there are no more Ps than cores.
    #[default]
    Pinned,
    /// An M is pinned to its P's core whenever it takes a P. For those who study the scheduler: a woken M
    /// waits for its core even if others are free.
    Always,
    /// The kernel decides.
    None,
}

/// What the builder has settled.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) procs: usize,
    pub(crate) max_threads: usize,
    pub(crate) affinity: Affinity,
    pub(crate) thread_name: String,
    pub(crate) unhandled_panic: UnhandledPanic,
    /// How many blocking closures run at once.
    pub(crate) max_blocking: usize,
    /// How long an M beyond `procs` stays idle before it ends.
    pub(crate) keep_alive: Duration,
    /// What `Tracer::start` records.
    pub(crate) trace: Option<TraceConfig>,
    /// A deadlock is reported, and ends the process.
    pub(crate) deadlock_detection: bool,
    /// All tasks as text (`dump.rs`).
    pub(crate) print_dump: fn(&Shared) -> String,
    /// Polls that last longer are reported.
    pub(crate) long_polls: Option<Duration>,
    /// Tests: no thread can be started, as if the system had none.
    pub(crate) refuse_threads: bool,
}

/// How often a P left its M otherwise than for want of work.
#[derive(Debug, Default)]
pub(crate) struct Retakes {
    /// Ps taken from an M whose poll blocked without a word.
    pub(crate) revoked: Counter,
    /// Ps taken from an M in a declared block.
    pub(crate) declared: Counter,
    /// Ps taken from an M whose poll computed for too long.
    pub(crate) hogs: Counter,
    /// Ps given up because their M declared that it would block.
    pub(crate) handed_off: Counter,
}

/// One runtime's scheduler. Go: `sched`, `allp`, `allm`.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) procs: Vec<Processor>,
    pub(crate) injector: Injector<Header>,
    pub(crate) census: Census,
    pub(crate) victims: Victims,
    pub(crate) slab: Arc<Slab>,
    pub(crate) poller: ParkPoller,
    seat: Seat,
    sysmon: Sysmon,
    watchman: Watchman,
    machines: Machines,
    pub(crate) permits: Arc<Permits>,
    lists: Mutex<Lists>,
    /// Length of the line in `lists`: a hint, so that the loop need not lock to see that nobody waits.
    line_len: AtomicUsize,
    /// Set once, before the first task is cancelled by the shutdown.
    closing: AtomicBool,
    /// Notified, under `lists`, when an M's thread ends.
    m_ended: Condvar,
    revoker: Option<Revoker>,
    pub(crate) retakes: Retakes,
    pub(crate) failed_starts: Counter,
    pub(crate) recorder: Recorder,
    /// What was done by threads without a P.
    pub(crate) foreign: Tally,
    /// When it was built.
    built: Nanos,
    /// The time, in hundredths of a second, as sysmon last saw it (looking.rs, Y3).
    coarse: AtomicU32,
    /// Tests: as `Config::refuse_threads`, and can be changed.
    refuse_threads: AtomicBool,
}

impl Shared {
    /// A scheduler with one M, idle. Fails if that thread can't be started.
    pub(crate) fn start(config: Config) -> io::Result<Arc<Self>> {
        let cores = &crate::sys::affinity::process_mask().cores;
        let procs: Vec<_> = (0..config.procs)
            .map(|p| {
                let core = (!cores.is_empty()).then(|| cores[p % cores.len()]);
                Processor::new(ProcessorId(p as u16), core)
            })
            .collect();
        let shared = ready::assemble(config, procs);
        shared.start_sysmon()?;
        shared.lists().threads = 1;
        let watch = shared.start_watch();
        if let Err(error) = watch.and_then(|()| shared.new_m(First::Nothing).map_err(|(error, _)| error)) {
            let mut lists = shared.lists();
            (lists.threads, lists.closing) = (0, true);
            drop(lists);
            // Ordering: Relaxed; sysmon and the watch see it when they have been poked.
            shared.closing.store(true, Relaxed);
            shared.end_sysmon();
            shared.end_watch();
            return Err(error);
        }
        Ok(shared)
    }

    /// Whether the runtime is shutting down.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        // Ordering: Relaxed; seen late, one more task is run. Where it decides about a task's life,
        // a fence stands before it (shutdown.rs, E2).
        self.closing.load(Relaxed)
    }

    /// Tests: whether threads are refused, as by a kernel that has no more.
    fn refuses_threads(&self) -> bool {
        // Ordering: Relaxed; a switch for tests.
        self.refuse_threads.load(Relaxed)
    }

    /// Whether anything waits for an M: the last look (`idle.rs`, N3).
    pub(crate) fn work_anywhere(&self) -> bool {
        self.injector.len() > 0 || self.procs.iter().any(Processor::has_work) || self.timer_is_due()
    }

    /// Whether an M waits in line for a P.
    #[inline(always)]
    fn line_waits(&self) -> bool {
        // Ordering: Relaxed; a hint, which the lock confirms.
        self.line_len.load(Relaxed) > 0
    }

    /// Whether anything waits for a P: a task, a due timer, an M in line. sysmon's question.
    fn work_waits(&self) -> bool {
        self.work_anywhere() || self.line_waits()
    }
}
