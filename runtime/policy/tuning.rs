//! Every constant of the scheduler, with its unit, reason and source.

use std::time::Duration;

/// Schedticks between looks at the injector before the local queues: prime, so that it does not beat
/// with the periods of user code. Go: `findRunnable`, "schedtick%61".
pub(crate) const INJECTOR_EVERY: u32 = 61;

/// Tasks in one batch from the injector at most: half a ring. Go: `globrunqgetbatch`, `len(pp.runq)/2`.
pub(crate) const INJECTOR_BATCH: usize = 128;

/// Walks over all other Ps before a thief gives up; timers and `runnext` only in the last.
/// Go: `stealWork`, `stealTries`.
pub(crate) const STEAL_ROUNDS: u32 = 4;

/// How long a thief waits before it takes the `runnext` of a P that runs something: the task was most
/// likely readied by that very poll, which is about to end. Go: `runqgrab`, "back off for ~3us".
pub(crate) const RUNNEXT_BACKOFF: Duration = Duration::from_micros(3);

/// How long a chain of tasks that wake each other through `runnext` may keep a P from its ring and the
/// injector. Go's slice is 10 ms, which made a remote spawn wait that long behind a chain of short polls.
pub(crate) const CHAIN_SLICE: Duration = Duration::from_micros(200);

/// Runs of a chain between two looks at the clock: a look costs as much as a short poll.
pub(crate) const CHAIN_CLOCK_EVERY: u32 = 16;

/// Inherited runs before a chain's slice begins to count: a chain of two or three pays for no clock.
pub(crate) const CHAIN_BEGINS: u32 = 4;

/// How long an M keeps a P before it is pinned to that P's core under `Affinity::Pinned`.
/// Go's time slice, `forcePreemptNS`.
pub(crate) const PIN_AFTER: Duration = Duration::from_millis(10);

/// Schedticks between looks at the clock for [`PIN_AFTER`]; a power of two.
pub(crate) const PIN_CLOCK_EVERY: u32 = 64;

/// Task ids that a P takes from the process-wide counter at a time. Go: `_GoidCacheBatch` is 16; a spawn
/// is cheaper here, and the counter would show.
pub(crate) const ID_BATCH: u64 = 64;

/// Ms at most, if the builder is not told otherwise. Go: `sched.maxmcount`.
pub(crate) const MAX_THREADS: usize = 10_000;

/// Ps at most: an id has 16 bits.
pub(crate) const MAX_PROCS: usize = 65_535;
