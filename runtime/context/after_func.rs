//! Calls a function when a context is done, in a task of its own.
//!
//! Go counterpart: `AfterFunc`, `afterFuncCtx` (`context.go`).
//!
//! A1. The function is taken out once: by the end of the context, by `stop`, or with the last reference.
//! A2. The registration hangs on a core of the tree. If nobody is left who could cancel or see that core, it moves to
//!     the one above; with none above, it is dropped.
//! A3. A context that has a deadline is kept until then, by the registration itself: nobody else may be left who
//!     knows of it. It lets go when the function is taken out.
//! A4. `home` is where it hangs. Who moves it and who stops it change it under one lock, so one of them sees the
//!     other, and unhooks it.
//!
//! ```text
//!   after_func ──▶ hangs ──the context ends──▶ its task
//!                   │  └──nobody can end it, or the runtime has ended──▶ dropped
//!                   └──stop──▶ dropped
//! ```
//!
//! Absent: a wait for a function that runs.

use super::Context;
use super::deadline::is_bounded;
use super::tree::{Call, Core};
use crate::sched::{Shared, current};
use crate::sys::primitive::Mutex;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, MutexGuard, Weak};

/// Calls `f` in a task of its own once `ctx` is done; at once, if it is. That is a task of the runtime in which this
/// was called.
///
/// Blocks nothing. `f` runs as part of that task's poll: it must not block the thread for long. Several functions
/// are called in no order that a program could rely on.
///
/// Dropping the [`StopFunc`] does not stop it. If the runtime ends before, or if nobody is left who could cancel
/// `ctx`, `f` is dropped; so an `f` that has a clone of `ctx`, or of its cancel function, keeps both of them and itself
/// until it is called or stopped. If `f` panics, that is the panic of a task that nobody holds a handle of.
///
/// # Panics
///
/// Outside of a task and of a `block_on`, as [`spawn`](crate::spawn()).
///
/// # Examples
///
/// ```
/// use gmprt::context;
///
/// gmprt::run(async {
///     let (ctx, cancel) = context::with_cancel(&context::background());
///     let (tx, rx) = gmprt::chan::bounded(1);
///     context::after_func(&ctx, move || tx.try_send("over").unwrap());
///     cancel.cancel();
///     assert_eq!(rx.recv().await, Ok("over"));
/// })
/// .unwrap();
/// ```
#[doc(alias = "AfterFunc")]
#[track_caller]
pub fn after_func(ctx: &Context, f: impl FnOnce() + Send + 'static) -> StopFunc {
    let site = Location::caller();
    let runtime = current::with(|cx| Arc::downgrade(&cx.shared))
        .expect("after_func: there is no gmprt runtime here: not in a task, and not in a block_on");
    let keeps = ctx.core().filter(|_| is_bounded(ctx.deadline())).map(Arc::clone);
    let state = State { f: Some(Box::new(f)), keeps, home: None };
    let func = Arc::new(Func { runtime, site, state: Mutex::new(state) });
    if let Some(core) = ctx.core() {
        core.adopt(Arc::clone(&func) as Arc<dyn Call>);
    }
    StopFunc { func }
}

/// Keeps the function of [`after_func`] from being called. Dropping it does not.
///
/// # Examples
///
/// ```
/// use gmprt::context;
///
/// gmprt::run(async {
///     let stop = context::after_func(&context::background(), || unreachable!());
///     let clone = stop.clone();
///     assert!(stop.stop() && !clone.stop());
/// })
/// .unwrap();
/// ```
#[derive(Clone)]
pub struct StopFunc {
    func: Arc<Func>,
}

/// The function, as what hangs on a core.
struct Func {
    runtime: Weak<Shared>,
    site: &'static Location<'static>,
    state: Mutex<State>,
}

struct State {
    f: Option<Box<dyn FnOnce() + Send>>,
    keeps: Option<Arc<Core>>,
    home: Option<(Weak<Core>, u64)>,
}

impl StopFunc {
    /// True if this call keeps the function from being called; false if the context is done and the function has been
    /// given a task, or it was stopped before.
    ///
    /// Blocks nothing, and does not wait for a function that runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context;
    ///
    /// gmprt::run(async {
    ///     let (ctx, cancel) = context::with_cancel(&context::background());
    ///     let stop = context::after_func(&ctx, || unreachable!());
    ///     assert!(stop.stop());
    ///     assert!(!stop.stop());
    ///     cancel.cancel();
    /// })
    /// .unwrap();
    /// ```
    pub fn stop(&self) -> bool {
        let mut state = self.func.locked();
        let (f, keeps, home) = (state.f.take(), state.keeps.take(), state.home.take());
        drop(state);
        if let Some((core, number)) = home
            && let Some(core) = core.upgrade()
        {
            core.unhook(number);
        }
        let stopped = f.is_some();
        drop(keeps);
        drop(f);
        stopped
    }
}

impl Func {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no user code runs under this lock, so nothing panics there")
    }
}

impl Call for Func {
    fn fire(&self) {
        let mut state = self.locked();
        let (f, keeps) = (state.f.take(), state.keeps.take());
        drop(state);
        drop(keeps);
        let Some(f) = f else { return };
        if let Some(shared) = self.runtime.upgrade().filter(|shared| !shared.is_closing()) {
            drop(shared.spawn(self.site, async move { f() })); // detached
        }
    }

    fn hangs_on(&self, core: Weak<Core>, number: u64) -> bool {
        let mut state = self.locked();
        if state.f.is_none() {
            return false;
        }
        state.home = Some((core, number));
        true
    }
}

impl fmt::Debug for StopFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active = self.func.locked().f.is_some();
        f.debug_struct("StopFunc").field("active", &active).finish_non_exhaustive()
    }
}
