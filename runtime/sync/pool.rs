//! Keeps values that are expensive to make, for whoever needs one next.
//!
//! Go counterpart: `sync.Pool` (`pool.go: Get, getSlow, Put, pin, poolCleanup`).
//!
//! L1. There is a shard for each P, by its id. A thread that holds no P has a shard of its own choice, and two
//!     runtimes' `P0` share one: which shard a value is in is a matter of speed only, each has its lock.
//! L2. A turn makes all that lies in the pool old, and takes out what was old before. One turns at a time: who takes
//!     `turned` to [`TURNING`].
//! L3. No value is made or dropped under a lock.
//! L4. Guards refer to the pool through the `ways`, one for each shard, so that Ps do not share the count of one `Arc`.
//!
//! ```text
//!          own shard                   others' shards       any shard
//!   get:   private ──▶ shared (back) ──▶ shared (front) ──▶ old (front) ──▶ new()
//!   put:   private, if it is free, or ──▶ shared (back)
//!   turn:  (private, shared) ──▶ old ──▶ dropped             at a get or a put, 10 s after the last
//! ```
//!
//! Absent: a bound on what is kept (the turns shrink it), and waiting: a shard whose lock is taken is not stolen from.

mod shard;
#[cfg(test)]
mod tests;

use super::wake_batch::FirstPanic;
use crate::sched::current;
use crate::sys::clock::{self, Nanos};
use crate::sys::primitive::{AtomicOrdering::Relaxed, AtomicU64, AtomicUsize};
use crossbeam_utils::CachePadded;
use shard::Shard;
use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// How long a value lies unused in each of the two generations. Go turns them at each garbage collection, of which
/// `sysmon` forces one after 120 s; a program that works has one every few seconds.
const PERIOD: Duration = Duration::from_secs(10);

/// In `turned`: somebody turns.
const TURNING: Nanos = Nanos::MAX;

/// Shards at most. Beyond that many Ps, some share.
const MAX_SHARDS: usize = 256;

/// A set of values that are kept for whoever needs one next: [`get`](Self::get) gives one, or makes it, and the guard
/// returns it.
///
/// It saves allocations where many tasks need a buffer for a moment. What lies in it unused for two periods of
/// some 10 s is dropped; a pool that nobody uses keeps what it has. So it is no place for what must be closed in time, and
/// which value comes next is not said.
///
/// A `Pool` is a handle: its clones share the values, and a guard needs none of them to live on. What is pooled is dropped
/// with the last handle and guard.
///
/// Nothing here blocks the task (G). Each P has a part of its own, whose lock is held for some nanoseconds.
///
/// # Examples
///
/// ```
/// use gmprt::sync::Pool;
///
/// let buffers = Pool::new(|| Vec::<u8>::with_capacity(4096));
/// gmprt::run(async move {
///     let mut buffer = buffers.get();
///     buffer.clear(); // it comes back as it was left
///     buffer.extend_from_slice(b"hello");
///     // A guard is 'static: it may move into a task, which returns it.
///     let len = gmprt::spawn(async move { buffer.len() }).await.unwrap();
///     assert_eq!(len, 5);
/// })
/// .unwrap();
/// ```
///
/// A pool for a whole program is a `static POOL: LazyLock<Pool<T>>`.
///
/// # Differences from Go
///
/// `Get` and `Put` are a guard. `New` must be given. The generations are turned by time, for there is no garbage
/// collection; and by those who use the pool.
#[doc(alias = "sync.Pool")]
pub struct Pool<T> {
    owner: Arc<Owner<T>>,
}

/// A value of a [`Pool`], which is returned to it when this is dropped.
///
/// A guard that is dropped by a panic drops its value too: nobody can say in what state that was left.
///
/// It is `Send` if the value is, and does not borrow the pool.
#[must_use = "a guard that is dropped returns its value"]
pub struct PoolGuard<T> {
    value: Option<T>,
    home: Way<T>,
}

/// What the handles share, and the guards do not need.
struct Owner<T> {
    new: Box<dyn Fn() -> T + Send + Sync>,
    ways: Box<[Way<T>]>,
}

/// A guard's way back to the pool (L4).
type Way<T> = Arc<CachePadded<Arc<Inner<T>>>>;

struct Inner<T> {
    shards: Box<[CachePadded<Shard<T>>]>,
    period: Nanos,
    /// When the generations were turned last.
    turned: AtomicU64,
}

/// The index of the shard that suits the caller best: its P's, or its thread's (L1).
#[inline]
fn here() -> usize {
    current::with(|cx| cx.with_p(|p| p.id.index())).flatten().unwrap_or_else(of_this_thread)
}

/// Numbers the threads that use a pool without a P.
fn of_this_thread() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    const NONE: usize = usize::MAX;
    thread_local! {
        static INDEX: Cell<usize> = const { Cell::new(NONE) };
    }
    if INDEX.get() == NONE {
        // Ordering: Relaxed; the numbers need only be spread.
        INDEX.set(THREADS.fetch_add(1, Relaxed));
    }
    INDEX.get()
}

/// Shards for a pool made here: one for each P, of the caller's runtime or of one with the usual number. A power of two.
fn shards() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    let cores = *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from));
    let procs = current::with(|cx| cx.shared.procs.len()).unwrap_or(0);
    cores.max(procs).clamp(1, MAX_SHARDS).next_power_of_two()
}

impl<T> Pool<T> {
    /// Returns an empty pool, which calls `new` when a value is asked for and it has none.
    ///
    /// It never blocks. `new` is called with no lock held, by the task that needs the value: it may use the pool, and
    /// if it panics nothing is lost. A pool that `new` owns a handle of is never dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = gmprt::sync::Pool::new(String::new);
    /// assert_eq!(*pool.get(), "");
    /// ```
    pub fn new(new: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::with_period(new, shards(), PERIOD)
    }

    fn with_period(new: impl Fn() -> T + Send + Sync + 'static, shards: usize, period: Duration) -> Self {
        debug_assert!(shards.is_power_of_two());
        let inner = Arc::new(Inner {
            shards: (0..shards).map(|_| CachePadded::new(Shard::new())).collect(),
            period: clock::nanos(period),
            turned: AtomicU64::new(clock::coarse()),
        });
        let ways = (0..shards).map(|_| Arc::new(CachePadded::new(Arc::clone(&inner)))).collect();
        Self { owner: Arc::new(Owner { new: Box::new(new), ways }) }
    }

    /// Gives a value: one that was returned, or a new one.
    ///
    /// It never blocks, and may be called from any thread, in a runtime or not. The P's own values come first, the last one
    /// returned before all others; then those of other Ps; then those that have not been used for some time. What was
    /// done with a value before it was returned is visible to whoever gets it.
    ///
    /// # Panics
    ///
    /// If the constructor panics, or the drop of a value that has been unused for too long.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = gmprt::sync::Pool::new(Vec::<u8>::new);
    /// pool.get().push(7);
    /// assert_eq!(*pool.get(), [7], "the same one, on one thread");
    /// ```
    #[doc(alias = "Get")]
    pub fn get(&self) -> PoolGuard<T> {
        let owner = &*self.owner;
        let own = here() & (owner.ways.len() - 1);
        let home = Arc::clone(&owner.ways[own]);
        home.turn_if_due();
        let value = home.take(own).unwrap_or_else(|| (owner.new)());
        PoolGuard { value: Some(value), home }
    }

    /// Puts a value in, which need not come from this pool.
    ///
    /// It never blocks, and may be called from any thread.
    ///
    /// # Panics
    ///
    /// If the drop of a value that has been unused for too long panics.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = gmprt::sync::Pool::new(|| 0);
    /// pool.put(7);
    /// assert_eq!(*pool.get(), 7);
    /// ```
    #[doc(alias = "Put")]
    pub fn put(&self, value: T) {
        self.owner.ways[0].put(value);
    }
}

impl<T> PoolGuard<T> {
    /// Keeps the value out of the pool.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = gmprt::sync::Pool::new(|| String::from("new"));
    /// let mut mine = pool.get().take();
    /// mine.push('!');
    /// assert_eq!(*pool.get(), "new");
    /// ```
    #[doc(alias = "detach")]
    pub fn take(mut self) -> T {
        self.value.take().expect("a guard has its value until it ends")
    }
}

impl<T> Inner<T> {
    /// Takes a value, if there is one; `own` is the caller's shard.
    #[inline]
    fn take(&self, own: usize) -> Option<T> {
        self.shards[own].take().or_else(|| self.take_slow(own))
    }

    #[cold]
    #[doc(alias = "getSlow")]
    fn take_slow(&self, own: usize) -> Option<T> {
        let n = self.shards.len();
        let from = |first: usize| (first..n).map(move |i| &*self.shards[(own + i) & (n - 1)]);
        from(1).find_map(Shard::steal).or_else(|| from(0).find_map(Shard::steal_old))
    }

    #[inline]
    fn put(&self, value: T) {
        self.shards[here() & (self.shards.len() - 1)].put(value);
        self.turn_if_due();
    }

    /// Turns the generations if it is time.
    #[inline]
    fn turn_if_due(&self) {
        // Ordering: Relaxed; a number, and L2 is seen to by the exchange.
        let last = self.turned.load(Relaxed);
        let now = clock::coarse();
        if last != TURNING && now.saturating_sub(last) >= self.period {
            self.turn(last, now);
        }
    }

    #[cold]
    #[doc(alias = "poolCleanup")]
    fn turn(&self, last: Nanos, now: Nanos) {
        // Ordering: Relaxed; it only elects (L2). The lists are under their locks.
        if self.turned.compare_exchange(last, TURNING, Relaxed, Relaxed).is_err() {
            return;
        }
        let unused: Vec<_> = self.shards.iter().map(|shard| shard.turn()).collect();
        // Ordering: Relaxed; the next turner needs the number, and finds the lists by their locks.
        self.turned.store(now, Relaxed);
        drop_each(unused.into_iter().flatten()); // L3; they may use the pool, which may turn again
    }
}

/// Drops all of them, though some panic.
fn drop_each<T>(values: impl Iterator<Item = T>) {
    let mut first = FirstPanic::default();
    values.for_each(|value| first.note(|| drop(value)));
    first.resume();
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        let all = self.shards.iter().flat_map(|shard| shard.turn().into_iter().chain(shard.turn()));
        drop_each(all);
    }
}

impl<T> Drop for PoolGuard<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take()
            && !thread::panicking()
        {
            self.home.put(value);
        }
    }
}

impl<T> Deref for PoolGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("a guard has its value until it ends")
    }
}

impl<T> DerefMut for PoolGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a guard has its value until it ends")
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner) }
    }
}

// A value whose user panicked does not come back, so nobody sees one that is half done.
impl<T> UnwindSafe for Pool<T> {}
impl<T> RefUnwindSafe for Pool<T> {}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for PoolGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
