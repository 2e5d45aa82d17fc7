//! Every constant of the scheduler, with its unit, reason and source.

use std::time::Duration;

/// Schedticks between looks at the injector before the local queues: prime, so that it does not beat
/// with the periods of user code. Go: `findRunnable`, "schedtick%61".
pub(crate) const INJECTOR_EVERY: u32 = 61;

/// Tasks in one batch from the injector at most: half a ring. Go: `globrunqgetbatch`, `len(pp.runq)/2`.
pub(crate) const INJECTOR_BATCH: usize = 128;

/// Yielders in one batch from the injector, at each look, while nothing else waits there. With one, tasks beyond what the
/// rings hold wait 60 times as long as those within; with 128, rings fill and overflow at each look, and 5,000 tasks on four
/// Ps yielded at a fifth of the rate (11 million a second; 49 with 8, where the slowest in a hundred waited least).
pub(crate) const YIELDER_BATCH: usize = 8;

/// Schedticks in which each task of a ring has its turn: as many as it has slots, and as many again for ticks that go
/// elsewhere, to the injector say.
pub(crate) const RING_TURNS: u64 = 512;

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

/// sysmon's shortest sleep. Go: `sysmon`, "start with 20us sleep".
pub(crate) const SYSMON_FAST: Duration = Duration::from_micros(20);

/// Quiet rounds of sysmon before its sleep is doubled. Go waits for 50; at 50 a program that does nothing pays for
/// ten times as many looks, and eight suffice to see a poll that blocks (three looks).
pub(crate) const SYSMON_QUIET: u32 = 8;

/// sysmon's sleep after it was roused from a long one.
pub(crate) const SYSMON_ROUSED: Duration = Duration::from_micros(40);

/// sysmon's longest sleep while a P is idle and tasks on others ready each other: a task left in `runnext` by a poll
/// that goes on is to be found within about this time.
pub(crate) const SYSMON_CHAIN_LIMIT: Duration = Duration::from_micros(100);

/// Rounds of sysmon's at that pace in which no task was found so; after them it takes its time.
pub(crate) const SYSMON_CHAIN_ROUNDS: u32 = 32;

/// Runs that inherited their slice between two looks of sysmon's that make a chain: what a timer readied runs from
/// `runnext` too, once.
pub(crate) const SYSMON_CHAIN_LINKS: u64 = 4;

/// sysmon's longest sleep while work waits: half of it is what a blocked poll costs the first that it holds up.
pub(crate) const SYSMON_WORK_LIMIT: Duration = Duration::from_millis(1);

/// sysmon's longest sleep that ends by itself. Go: `sysmon`, "up to 10ms".
pub(crate) const SYSMON_SLOWEST: Duration = Duration::from_millis(10);

/// sysmon may use one part in so many of a core when it rescues nobody: 4 %.
pub(crate) const SYSMON_SHARE: u64 = 25;

/// CPU time by which sysmon may exceed its share for a while: some 150 looks.
pub(crate) const SYSMON_BURST: Duration = Duration::from_millis(4);

/// For so long after it took a P sysmon's budget does not count: where one poll blocks, others do.
pub(crate) const SYSMON_RESCUE: Duration = Duration::from_millis(5);

/// How often sysmon looks whether a hog is outside of the runtime before it puts the retake off to the next round.
pub(crate) const OUTSIDE_LOOKS: u32 = 2_000;

/// Looks of sysmon's that find work beside an idle P before it wakes another M though one is said to be on its way. On a
/// virtual machine with idle cores a woken thread was seen to wait for its waker's core for 5 ms.
pub(crate) const STALLED_LOOKS: u32 = 2;

/// A timer does not shorten a long sleep of sysmon's below this: where there are many, one is always near. By so much a
/// timer may be late that nobody else can see to, and then as long as it takes to find a poll that blocks.
pub(crate) const SYSMON_TIMER_FLOOR: Duration = Duration::from_micros(500);

/// How long after a timer sysmon wakes for it: it is the last to see to it.
pub(crate) const SYSMON_TIMER_SLACK: Duration = Duration::from_micros(250);

/// CPU time that one poll may use before it is asked to yield. Go: `forcePreemptNS`, which is wall time.
pub(crate) const SLICE: Duration = Duration::from_millis(10);

/// How long a declared block keeps a P that others need. Go: `retake`, "more than 1 sysmon tick (at least 20us)".
pub(crate) const DECLARED_GRACE: Duration = Duration::from_micros(20);

/// How long a blocked M keeps a P that nobody needs: not for ever, or sysmon could not sleep deeply.
/// Go: `retake`, "10*1000*1000".
pub(crate) const BLOCKED_GRACE: Duration = Duration::from_millis(10);

/// A poll that used the CPU for less than half of this time or more, and is then found waiting for a disk, counts as
/// blocked: by a long read, or by many short ones.
pub(crate) const SHORT_IO_WINDOW: Duration = Duration::from_micros(200);

/// CPU time that one poll may use while work waits and no P is idle, and the least time between two P's being taken
/// from such polls. Ten slices: what computes for long is asked to yield nine times before.
pub(crate) const HOG_AFTER: Duration = Duration::from_millis(100);

/// How long the injector's head may wait before Ps whose Ms have computed for half of this time take their next task from
/// there: with polls of a millisecond the 61st tick is too far away.
pub(crate) const INJECTOR_PATIENCE: Duration = Duration::from_millis(2);

/// How often the watch looks for a deadlock.
pub(crate) const DEADLOCK_LOOK: Duration = Duration::from_millis(200);

/// For how long everything must have been asleep: a thread that is about to wake something is late by less, as a rule.
pub(crate) const DEADLOCK_AFTER: Duration = Duration::from_millis(100);

/// How often the watch looks for long polls while every P is idle; and while some are not: the shortest and longest nap.
pub(crate) const LONG_POLL_IDLE: Duration = Duration::from_millis(100);
pub(crate) const LONG_POLL_LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(25));

/// Files of `/proc` that sysmon keeps open at most.
pub(crate) const STAT_FILES: usize = 64;

/// How long an M beyond `procs` stays idle before its thread ends. tokio: `thread_keep_alive`, 10 s.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Blocking closures that run at once, if the builder is not told otherwise. tokio: `max_blocking_threads`.
pub(crate) const MAX_BLOCKING: usize = 512;

/// One in so many spawns and wakes is measured for the histogram of latencies: two looks at the clock, 25 ns each, for
/// tasks that may be over in 50. Go: `gTrackingPeriod`, 8.
pub(crate) const SAMPLE_EVERY: u16 = 64;

/// Timers taken out of a heap under one hold of its lock.
pub(crate) const TIMER_BATCH: usize = 32;

/// How long a timer may be overdue on a P that has no time for it before another P, if none is idle, is asked to fire it.
pub(crate) const TIMER_PATIENCE: Duration = Duration::from_millis(1);
