//! A task with a name.
//!
//! Go counterpart: none; the nearest are the labels of `runtime/pprof`.
//!
//! ```text
//!   Builder ── no name ──▶ spawn, as any other
//!       └── a name ─▶ a fresh id ─▶ names: enter ─▶ spawn as that id: [ future, Named ]
//! ```
//!
//! B1. The id is drawn before the task is made, so that its name is known before it can run (names.rs, N1).
//! B2. The future is dropped before its name goes.
//!
//! Absent: names of blocking closures, of a group's tasks, and of those that `block_on` runs.

use crate::Handle;
use crate::cell::TaskId;
use crate::cell::join::JoinHandle;
use crate::names::{self, Named};
use crate::sched::processor::fresh_ids;
use crate::sched::{Shared, current};
use pin_project_lite::pin_project;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pin_project! {
    struct NamedFuture<F> {
        #[pin]
        future: F, // stands, and is dropped, before its name (B2)
        named: Named,
    }
}

impl<F: Future> Future for NamedFuture<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _name = this.named.kept_on_panic();
        this.future.poll(cx)
    }
}

/// Spawns tasks that have a name.
///
/// The name is the task's kind in a trace: tasks that do the same should have the same name. It need not be unique, and
/// may be any text. A task without a name is called by the place where it was spawned, and costs nothing more than with
/// [`spawn`](crate::spawn()); one with a name costs a lock and a place in a table, and 8 bytes.
///
/// It never blocks. A builder can spawn any number of tasks, which share its name.
///
/// # Examples
///
/// ```
/// use gmprt::task;
///
/// # fn main() -> std::io::Result<()> {
/// gmprt::run(async {
///     let workers = task::Builder::new().name("worker");
///     let squares: Vec<_> = (1..=3).map(|n| workers.spawn(async move { n * n })).collect();
///     let mut sum = 0;
///     for square in squares {
///         sum += square.await.unwrap();
///     }
///     assert_eq!(sum, 14);
/// })
/// # }
/// ```
///
/// # Differences from Go
///
/// Goroutines have no names: a trace calls them by the function with which they began.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<Arc<str>>,
}

impl Builder {
    /// Returns a builder of tasks without a name.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let task = gmprt::task::Builder::new().spawn(async { 7 });
    ///     assert_eq!(task.await.unwrap(), 7);
    /// })
    /// .unwrap();
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Tasks that are spawned from now on have this name; with an empty one, none.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let shard = 3;
    ///     let builder = gmprt::task::Builder::new().name(format!("shard {shard}"));
    ///     assert_eq!(builder.spawn(async { "done" }).await.unwrap(), "done");
    /// })
    /// .unwrap();
    /// ```
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into()).filter(|name| !name.is_empty());
        self
    }

    /// Spawns a task on the current runtime; see [`Handle::spawn`].
    ///
    /// It never blocks.
    ///
    /// # Panics
    ///
    /// Outside of a task and of a `block_on`: there is no current runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let task = gmprt::task::Builder::new().name("answer").spawn(async { 6 * 7 });
    ///     assert_eq!(task.await.unwrap(), 42);
    /// })
    /// .unwrap();
    /// ```
    #[track_caller]
    #[inline]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let site = Location::caller();
        current::with(|cx| self.spawn_in(&cx.shared, site, future))
            .expect("spawn: there is no gmprt runtime here: not in a task, and not in a block_on")
    }

    /// Spawns a task on the runtime of `handle`, from any thread; see [`Handle::spawn`].
    ///
    /// It never blocks. On a runtime that is shutting down the future is dropped, and the handle resolves to an error
    /// for which `is_cancelled` holds.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let rt = gmprt::Runtime::new()?;
    /// let task = gmprt::task::Builder::new().name("from elsewhere").spawn_on(&rt.handle(), async { 7 });
    /// assert_eq!(rt.block_on(task).unwrap(), 7);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    #[inline]
    pub fn spawn_on<F>(&self, handle: &Handle, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_in(&handle.shared, Location::caller(), future)
    }

    #[inline]
    fn spawn_in<F>(
        &self,
        shared: &Arc<Shared>,
        site: &'static Location<'static>,
        future: F,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let Some(name) = &self.name else {
            return shared.spawn(site, future);
        };
        let id = fresh_ids(1); // B1
        let named = names::enter(id, name);
        shared.recorder.name(id, name); // names.rs, N2
        shared.spawn_as(Some(TaskId(id)), site, NamedFuture { future, named })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::tests::{alone, locked};
    use crate::names::{all_names, name_of};
    use crate::task;
    use std::future::pending;
    use std::panic::AssertUnwindSafe;
    use std::sync::mpsc::channel;

    fn my_name() -> Option<Arc<str>> {
        name_of(task::id().unwrap().as_u64())
    }

    fn is_named(id: TaskId) -> bool {
        name_of(id.as_u64()).is_some()
    }

    /// Looks for the name of the task in which it is dropped.
    struct Looks(std::sync::mpsc::Sender<Option<Arc<str>>>, TaskId);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.send(name_of(self.1.as_u64())).unwrap();
        }
    }

    #[test]
    fn a_task_has_its_name_in_every_run_and_no_longer() {
        let _alone = alone();
        crate::run(async {
            let builder = Builder::new().name("a \"kind\" \u{1F980}\n");
            let task = builder.spawn(async {
                let first = my_name();
                crate::yield_now().await;
                (first, my_name(), all_names().get(&task::id().unwrap().as_u64()).map(Arc::clone))
            });
            let id = task.id();
            let (first, second, among_all) = task.await.unwrap();
            for name in [first, second, among_all] {
                assert_eq!(name.as_deref(), Some("a \"kind\" \u{1F980}\n"));
            }
            assert!(!is_named(id));
        })
        .unwrap();
    }

    #[test]
    fn the_name_is_there_before_the_first_run_and_while_the_future_is_dropped() {
        let _alone = alone();
        let rt = crate::Runtime::builder().procs(2).build().unwrap();
        for elsewhere in [false, true] {
            let (sender, dropped) = channel();
            let (go, gate) = crate::chan::bounded::<TaskId>(1);
            let (made, is_made) = crate::chan::bounded(1);
            let builder = Builder::new().name("named");
            let future = async move {
                let id = gate.recv().await.unwrap();
                let _looks = Looks(sender, id);
                made.send(()).await.unwrap();
                pending::<()>().await;
            };
            let handle = rt.handle();
            let spawn = || {
                let task = if elsewhere { builder.spawn_on(&handle, future) } else { builder.spawn(future) };
                let id = task.id();
                (task, id)
            };
            let (task, id) = if elsewhere { spawn() } else { rt.block_on(async { spawn() }) };
            assert_eq!(name_of(id.as_u64()).as_deref(), Some("named"));
            go.try_send(id).unwrap();
            rt.block_on(async {
                is_made.recv().await.unwrap();
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
            });
            assert!(!is_named(id));
            assert_eq!(dropped.recv().unwrap().as_deref(), Some("named"));
        }
    }

    #[test]
    fn a_name_goes_with_a_task_that_panics_is_aborted_or_never_runs() {
        let _alone = alone();
        let rt = crate::Runtime::builder().procs(1).build().unwrap();
        let named = Builder::new().name("named");
        rt.block_on(async {
            let panics = named.spawn(async { panic!("on purpose") });
            let id = panics.id();
            assert!(panics.await.unwrap_err().is_panic());
            assert!(!is_named(id));

            let aborted = named.spawn(pending::<()>());
            aborted.abort();
            let id = aborted.id();
            assert!(aborted.await.unwrap_err().is_cancelled());
            assert!(!is_named(id));
        });
        let (waits, detached) = (named.spawn_on(&rt.handle(), pending::<()>()).id(), rt.handle());
        assert!(is_named(waits));
        drop(rt); // with a task that waits
        assert!(!is_named(waits));
        let late = named.spawn_on(&detached, async {});
        assert!(!is_named(late.id()), "on a runtime that has ended it is dropped at once");
    }

    #[test]
    fn without_a_runtime_there_is_a_panic_and_no_name() {
        let _alone = alone();
        let before = all_names().len();
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
            drop(Builder::new().name("nowhere").spawn(async {}));
        }));
        assert!(outcome.is_err());
        assert_eq!(all_names().len(), before);
    }

    #[test]
    fn a_task_without_a_name_does_not_touch_the_table() {
        let _alone = alone();
        let before = locked();
        crate::run(async {
            for builder in [Builder::new(), Builder::new().name(""), Builder::new().name("x").name("")] {
                builder.spawn(async {}).await.unwrap();
            }
            crate::spawn(async {}).await.unwrap();
        })
        .unwrap();
        assert_eq!(locked(), before);
        crate::run(async { Builder::new().name("x").spawn(async {}).await.unwrap() }).unwrap();
        assert_eq!(locked(), before + 2, "in and out");
    }

    #[test]
    fn the_site_is_the_callers() {
        let _alone = alone();
        let rt = crate::Runtime::builder().procs(1).build().unwrap();
        let site = || async { current::with(|cx| cx.task().unwrap().spawned_at()).unwrap() };
        let line = line!() + 1;
        let named = Builder::new().name("x").spawn_on(&rt.handle(), site());
        let site = rt.block_on(named).unwrap();
        assert_eq!((site.file(), site.line()), (file!(), line));
    }
}
