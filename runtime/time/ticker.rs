//! Tick after tick.
//!
//! Go counterpart: `time.Ticker` (`tick.go`, `time.go: unlockAndRun, modify`).
//!
//! I1. `when` is the scheduled time of the oldest tick that nobody has taken. A tick is taken under the lock by
//!     whoever finds `when` over, and `when` becomes the next multiple of the period that is not over.
//! I2. Those who wait stand in line. Only the first takes a tick, and only the first needs an alarm.
//! I3. A place without a waker is its task's that was woken and has not been polled since. The first in line is
//!     such a one, or has set its alarm, in the poll that put its waker there, to `when` or to an earlier time.
//! I4. Whoever leaves the first place, served or dropped, wakes the next one.
//! I5. No waker is called, cloned or dropped under the lock.
//!
//! ```text
//!     when          now
//!   ───┼─────┼─────┼─▪───┼───▶      tick() gives `when`; the two after it are dropped;
//!      taken  dropped    next       `next` is when + period × (1 + (now − when) / period)
//! ```
//!
//! Absent: a timer while nobody waits, and a tick that is handed to somebody: it stays here until it is taken,
//! so that no tick is lost with a future that is dropped.

use super::Alarm;
use crate::reason::Reason;
use crate::sched::preempt::{self, must_yield};
use crate::sync::wake_batch::WakeBatch;
use crate::sys::clock::{self, NEVER, Nanos};
use crate::sys::primitive::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::MutexGuard;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Returns a ticker whose first tick comes after `d`, and then one after each further `d`.
///
/// Blocks nothing, and may be called anywhere; only [`tick`](Ticker::tick) needs a runtime.
///
/// # Panics
///
/// If `d` is zero: `non-positive interval for NewTicker`, as Go says it.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let period = Duration::from_millis(2);
/// let begun = Instant::now();
/// let ticker = gmprt::time::interval(period);
/// gmprt::run(async {
///     let first = ticker.tick().await;
///     assert!(first >= begun + period);
///     assert!(ticker.tick().await >= first + period);
/// })
/// .unwrap();
/// ```
#[doc(alias = "NewTicker")]
pub fn interval(d: Duration) -> Ticker {
    assert!(!d.is_zero(), "non-positive interval for NewTicker");
    let period = clock::nanos(d);
    let when = clock::now().saturating_add(period);
    Ticker { state: Mutex::new(State { when, period, next_id: 0, line: VecDeque::new() }) }
}

/// Gives a tick at each multiple of its period; made by [`interval`].
///
/// One tick at most is pending. Who comes late gets the oldest one that was missed at once, with the time for
/// which it was scheduled; the others that were missed are dropped, and the next one comes at the next multiple
/// of the period.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// gmprt::run(async {
///     let period = Duration::from_millis(1);
///     let ticker = gmprt::time::interval(period);
///     let first = ticker.tick().await;
///     assert!(ticker.tick().await >= first + period);
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// A tick carries the time for which it was scheduled, Go's the time at which it was sent. It is taken when its task
/// is polled, Go's is sent at its time: a task that waits, and runs more than a period late, misses ticks that Go would
/// have kept one of. A ticker that is dropped is gone, as in Go since 1.23.
#[doc(alias = "NewTicker")]
pub struct Ticker {
    state: Mutex<State>,
}

struct State {
    when: Nanos,
    period: Nanos,
    next_id: u64,
    line: VecDeque<Place>,
}

struct Place {
    id: u64,
    waker: Option<Waker>,
}

/// The future of [`Ticker::tick`].
#[must_use = "a future does nothing unless awaited"]
pub struct Tick<'t> {
    ticker: &'t Ticker,
    id: Option<u64>,
    alarm: Alarm,
}

impl Ticker {
    /// Waits for the next tick, and returns the time for which it was scheduled.
    ///
    /// The task (G) blocks, unless a tick was missed. Several tasks may wait: each tick goes to one, in the order in
    /// which they began to.
    ///
    /// Cancel safe: a dropped wait takes no tick with it.
    ///
    /// # Panics
    ///
    /// When it has to wait outside of a task and of a `block_on`, or the runtime in which it waits has shut down.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let ticker = gmprt::time::interval(Duration::from_millis(1));
    /// let (one, two) = gmprt::run(async { (ticker.tick().await, ticker.tick().await) }).unwrap();
    /// assert_eq!((two - one).as_nanos() % 1_000_000, 0);
    /// ```
    ///
    /// # Differences from Go
    ///
    /// As [`Ticker`]'s.
    pub fn tick(&self) -> Tick<'_> {
        Tick { ticker: self, id: None, alarm: Alarm::new() }
    }

    /// Changes the period to `d`, and starts it now, also if it was stopped: the next tick comes after `d`.
    ///
    /// Blocks nothing. It holds for those too who wait already. A tick that was missed before is dropped.
    ///
    /// # Panics
    ///
    /// If `d` is zero: `non-positive interval for Ticker.Reset`, as Go says it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let ticker = gmprt::time::interval(Duration::from_secs(3600));
    /// ticker.reset(Duration::from_millis(1));
    /// gmprt::run(async { ticker.tick().await }).unwrap();
    /// ```
    pub fn reset(&self, d: Duration) {
        assert!(!d.is_zero(), "non-positive interval for Ticker.Reset");
        let period = clock::nanos(d);
        let mut state = self.locked();
        state.period = period;
        state.when = clock::now().saturating_add(period);
        let first = state.call_first();
        drop(state);
        first.into_iter().for_each(Waker::wake);
    }

    /// Gives no more ticks, until it is [`reset`](Self::reset).
    ///
    /// Blocks nothing. Who waits, or begins to, waits until then. A tick that was missed before is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::time::{interval, timeout};
    /// use std::time::Duration;
    ///
    /// gmprt::run(async {
    ///     let ticker = interval(Duration::from_nanos(1));
    ///     ticker.stop();
    ///     assert!(timeout(Duration::from_millis(1), ticker.tick()).await.is_err());
    /// })
    /// .unwrap();
    /// ```
    pub fn stop(&self) {
        self.locked().when = NEVER;
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no user code runs under this lock, so nothing panics there")
    }

    /// Gives the place in line up, and wakes who stands first now, if that is another than before (I4); if that
    /// panics, `undo` gets `value`.
    fn leave<V>(&self, mut state: MutexGuard<'_, State>, id: u64, value: V, undo: impl FnOnce(V)) -> V {
        let at = state.line.iter().position(|place| place.id == id).expect("who waits stands in line");
        let own = state.line.remove(at);
        let next = if at == 0 { state.call_first() } else { None };
        drop(state);
        let mut batch = WakeBatch::<1>::new();
        next.into_iter().for_each(|waker| batch.push(waker));
        let value = batch.wake_all_or(value, undo);
        drop(own);
        value
    }
}

impl State {
    /// Takes the tick that is over, if there is one (I1).
    fn take(&mut self, now: Nanos) -> Option<Nanos> {
        let late = now.checked_sub(self.when)?;
        let scheduled = self.when;
        self.when = scheduled.saturating_add(self.period.saturating_mul(1 + late / self.period));
        Some(scheduled)
    }

    /// The waker of the first in line, which is to be woken (I3).
    fn call_first(&mut self) -> Option<Waker> {
        self.line.front_mut()?.waker.take()
    }

    fn is_first(&self, id: Option<u64>) -> bool {
        self.line.front().map(|place| place.id) == id
    }

    /// Leaves `waker`, or a clone that was made of it, at the place in line; the one that was there. Needs a
    /// clone: `Err`.
    fn wait(
        &mut self,
        id: &mut Option<u64>,
        waker: &Waker,
        clone: &mut Option<Waker>,
    ) -> Result<Option<Waker>, ()> {
        let place = id.and_then(|id| self.line.iter_mut().find(|place| place.id == id));
        if place.as_ref().and_then(|place| place.waker.as_ref()).is_some_and(|own| own.will_wake(waker)) {
            return Ok(None);
        }
        let clone = clone.take().ok_or(())?;
        match place {
            Some(place) => Ok(place.waker.replace(clone)),
            None => {
                let new = self.next_id;
                self.next_id += 1;
                self.line.push_back(Place { id: new, waker: Some(clone) });
                *id = Some(new);
                Ok(None)
            }
        }
    }
}

impl Future for Tick<'_> {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        if must_yield(cx) {
            return Poll::Pending;
        }
        let this = &mut *self;
        let mut clone = None;
        loop {
            let mut state = this.ticker.locked();
            // Who is not in line yet is first if nobody is.
            let first = state.is_first(this.id);
            if first && let Some(tick) = state.take(clock::now()) {
                let next = state.when;
                match this.id.take() {
                    None => drop(state),
                    Some(id) => this.ticker.leave(state, id, (), |()| {
                        let mut state = this.ticker.locked();
                        if state.when == next {
                            state.when = tick; // nobody got it
                        }
                    }),
                }
                this.alarm.clear();
                return Poll::Ready(clock::instant_of(tick));
            }
            let waits = state.wait(&mut this.id, cx.waker(), &mut clone);
            let when = state.when;
            drop(state);
            match waits {
                Err(()) => clone = Some(cx.waker().clone()),
                Ok(old) => {
                    drop(old);
                    if first {
                        this.alarm.set(when, cx.waker(), "tick");
                    }
                    preempt::waits(Reason::Ticker);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Drop for Tick<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.ticker.leave(self.ticker.locked(), id, (), |()| ());
        }
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.locked();
        let (period, stopped) = (Duration::from_nanos(state.period), state.when == NEVER);
        drop(state);
        f.debug_struct("Ticker").field("period", &period).field("stopped", &stopped).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tick<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tick").field("ticker", self.ticker).finish_non_exhaustive()
    }
}
