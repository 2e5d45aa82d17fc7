//! Calls a function later, in a task of its own.
//!
//! Go counterpart: `time.AfterFunc` (`sleep.go: goFunc`), `Timer.Stop`, `Timer.Reset` (`time.go: stop, modify`).
//!
//! F1. The function is taken out once: by the fire that spawns it, by the end of the runtime, or with the last
//!     reference.
//! F2. A fire counts only if `due` is over: one that was on its way when the timer was stopped or reset finds
//!     `due` changed.
//! F3. The function stands in the heap as a waker. Neither refers to the runtime by more than a `Weak`, nor to the
//!     heap, so a runtime that ends drops the function.
//! F4. `version` grows with each stop, reset and fire. Who arms does it without the lock, and keeps the entry only
//!     if the version is still its own.
//! F5. The function is not dropped under the lock, and no waker either.
//!
//! ```text
//!   after_func ──▶ active ──fire──▶ its task        active ⇔ due is some time
//!                  │    ▲    └─ the runtime ends ─▶ dropped
//!                stop  reset
//!                  ▼    │
//!                 stopped
//! ```
//!
//! Absent: a second run. Go's `Reset` arms a timer again that has fired; here the function is an `FnOnce`.

use crate::sched::{
    Shared, current,
    timing::{Armed, arm_on},
};
use crate::sys::clock::{self, Nanos};
use crate::sys::primitive::Mutex;
use crate::timers::{Key, Timers};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, MutexGuard, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

/// Calls `f` after `d`, in a task of its own.
///
/// Blocks nothing. `f` runs as part of that task's poll: it must not block the thread for long.
///
/// Dropping the [`Timer`] does not stop it. If the runtime ends before, `f` is dropped. If `f` panics, that
/// is the panic of a task that nobody holds a handle of.
///
/// # Panics
///
/// Outside of a task and of a `block_on`, as [`spawn`](crate::spawn()).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// gmprt::run(async {
///     let (tx, rx) = gmprt::chan::bounded(1);
///     gmprt::time::after_func(Duration::from_millis(1), move || tx.try_send("now").unwrap());
///     assert_eq!(rx.recv().await, Ok("now"));
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// `f` runs once at most; see [`Timer::reset`].
#[doc(alias = "AfterFunc")]
#[track_caller]
pub fn after_func(d: Duration, f: impl FnOnce() + Send + 'static) -> Timer {
    let site = Location::caller();
    let shared = current::with(|cx| Arc::clone(&cx.shared))
        .expect("after_func: there is no gmprt runtime here: not in a task, and not in a block_on");
    let when = after(d);
    let state = State { f: Some(Box::new(f)), due: Some(when), version: 0, entry: None };
    let func = Arc::new(Func { runtime: Arc::downgrade(&shared), site, state: Mutex::new(state) });
    func.arm(&shared, when, 0);
    Timer { func }
}

/// A call of [`after_func`] that may be stopped or put off. Dropping it does neither.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// gmprt::run(async {
///     let (tx, rx) = gmprt::chan::bounded(1);
///     let timer = gmprt::time::after_func(Duration::from_secs(3600), move || tx.try_send("called").unwrap());
///     assert!(timer.reset(Duration::ZERO));
///     assert_eq!(rx.recv().await, Ok("called"));
/// })
/// .unwrap();
/// ```
#[derive(Clone)]
pub struct Timer {
    func: Arc<Func>,
}

/// The function and what is known of it, as the waker that stands in the heap.
struct Func {
    runtime: Weak<Shared>,
    site: &'static Location<'static>,
    state: Mutex<State>,
}

struct State {
    f: Option<Box<dyn FnOnce() + Send>>,
    due: Option<Nanos>,
    version: u64,
    entry: Option<Entry>,
}

/// A timer in some heap.
struct Entry(Weak<Timers>, Key);

fn after(d: Duration) -> Nanos {
    clock::now().saturating_add(clock::nanos(d))
}

impl Timer {
    /// Keeps the function from being called. True if this call did it; false if the function runs, has run, was
    /// dropped, or the timer was stopped before.
    ///
    /// Blocks nothing, and does not wait for a function that runs. The function is dropped with the last clone of
    /// the timer.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// gmprt::run(async {
    ///     let timer = gmprt::time::after_func(Duration::from_secs(3600), || unreachable!());
    ///     assert!(timer.stop());
    ///     assert!(!timer.stop());
    /// })
    /// .unwrap();
    /// ```
    #[doc(alias = "Stop")]
    pub fn stop(&self) -> bool {
        let mut state = self.func.locked();
        state.version += 1;
        let was_active = state.due.take().is_some();
        let entry = state.entry.take();
        drop(state);
        entry.into_iter().for_each(Entry::cancel);
        was_active
    }

    /// Calls the function after `d`, counted from now, instead; a timer that was stopped is active again. True if
    /// it was active.
    ///
    /// Blocks nothing, and may be called from any thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// gmprt::run(async {
    ///     let (tx, rx) = gmprt::chan::bounded(1);
    ///     let call = move || tx.try_send("now").unwrap();
    ///     let timer = gmprt::time::after_func(Duration::from_secs(3600), call);
    ///     assert!(timer.stop());
    ///     assert!(!timer.reset(Duration::from_millis(1)), "it was stopped");
    ///     assert_eq!(rx.recv().await, Ok("now"));
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Differences from Go
    ///
    /// A function that was called or dropped can't be called again: `false`, and nothing is armed. A function that has
    /// to run often awaits a [`Ticker`](super::Ticker), or calls `after_func` anew.
    #[doc(alias = "Reset")]
    pub fn reset(&self, d: Duration) -> bool {
        let when = after(d);
        let mut state = self.func.locked();
        if state.f.is_none() {
            return false;
        }
        state.version += 1;
        let version = state.version;
        let was_active = state.due.replace(when).is_some();
        let entry = state.entry.take();
        drop(state);
        entry.into_iter().for_each(Entry::cancel);
        match self.func.runtime.upgrade() {
            Some(shared) => self.func.arm(&shared, when, version),
            None => self.func.give_up(),
        }
        was_active
    }
}

impl Func {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no user code runs under this lock, so nothing panics there")
    }

    /// Puts it into a heap, for the state that has this version (F4).
    fn arm(self: &Arc<Self>, shared: &Arc<Shared>, when: Nanos, version: u64) {
        let Ok(Armed { home, key }) = arm_on(shared, when, Waker::from(Arc::clone(self))) else {
            return self.give_up();
        };
        let mut state = self.locked();
        if state.version == version {
            state.entry = Some(Entry(Arc::downgrade(&home), key));
        } else {
            drop(state);
            home.cancel(key);
        }
    }

    /// There is no runtime any more that could call it: drops it.
    fn give_up(&self) {
        drop(self.take(|_| true));
    }

    /// Takes the function out if `due` says so (F1).
    fn take(&self, is_due: impl FnOnce(Option<Nanos>) -> bool) -> Option<Box<dyn FnOnce() + Send>> {
        let mut state = self.locked();
        if !is_due(state.due) {
            return None;
        }
        state.version += 1;
        state.due = None;
        let (f, entry) = (state.f.take(), state.entry.take());
        drop(state);
        // Not the entry that fired, if that one was left over from before a reset.
        entry.into_iter().for_each(Entry::cancel);
        f
    }
}

impl Entry {
    fn cancel(self) {
        if let Some(home) = self.0.upgrade() {
            home.cancel(self.1);
        }
    }
}

impl Wake for Func {
    /// The timer fires, or its heap is closed. Go: `goFunc`.
    fn wake(self: Arc<Self>) {
        let Some(shared) = self.runtime.upgrade().filter(|shared| !shared.is_closing()) else {
            return self.give_up();
        };
        let now = clock::now();
        if let Some(f) = self.take(|due| due.is_some_and(|due| due <= now)) {
            drop(shared.spawn(self.site, async move { f() })); // detached
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active = self.func.locked().due.is_some();
        f.debug_struct("Timer").field("active", &active).finish_non_exhaustive()
    }
}
