//! A group of tasks: joined as they end, and cancelled together when one fails.
//!
//! Go counterpart: `golang.org/x/sync/errgroup` (`errgroup.go`); tokio's `JoinSet` is the other half.
//!
//! Length: half of this file is documentation.
//!
//! G1. Each task of the group is in `live` or its result is in `ended` (member.rs), until it is given to the
//!     caller or detached.
//! G2. One join waits at a time: joins take `&mut self`. A join that is dropped has taken nothing.
//! G3. At most `limit` of the futures have been polled and have not ended, if there is a limit.
//!
//! ```text
//!   spawn ──▶ [ waits for a permit ] ──▶ runs ──▶ ended ──▶ join_next, join_all, wait
//!                                         └─ fails ─▶ the context is cancelled, all others are aborted
//! ```
//!
//! Absent: `TryGo`, for a spawn never blocks; who must not queue asks [`len`](Group::len).

mod joining;
mod member;
mod outcome;
mod wait;

pub use member::AbortHandle;
pub use outcome::Outcome;
pub use wait::GroupError;

use crate::context::{Context, with_cancel};
use crate::error::JoinError;
use crate::reason::Reason;
use crate::sched::permits::{Permit, Permits, Ticket};
use crate::sched::spawn;
use crate::sync::wake_batch::FirstPanic;
use joining::Joining;
use member::Shared;
use std::fmt;
use std::future::pending;
use std::mem;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Tasks that are joined in the order in which they end, and cancelled together when one of them fails.
///
/// A task fails by a panic, or by an output that [says so](Outcome), such as an `Err`. On the first failure all other
/// tasks are aborted: their results are [`JoinError`]s for which [`JoinError::is_cancelled`] holds, unless they had
/// ended. They have been told before the result of the one that failed can be taken. A task that is spawned after it is
/// aborted before its first poll.
///
/// Dropping the group aborts what is left.
///
/// # Examples
///
/// ```
/// use gmprt::task::Group;
///
/// gmprt::run(async {
///     let mut group = Group::new();
///     for n in 1..=3 {
///         group.spawn(async move { if n < 9 { Ok(n * n) } else { Err("too large") } });
///     }
///     assert_eq!(group.wait().await.unwrap(), [1, 4, 9]);
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// Go's tasks have to look at the context; ours are also aborted, at their next `await`. Outputs are kept, not only the
/// first error. A panic is a failure, and is handed to who joins.
#[doc(alias = "errgroup")]
#[doc(alias = "JoinSet")]
#[doc(alias = "TaskTracker")]
pub struct Group<T: Outcome + Send + 'static> {
    shared: Arc<Shared<T>>,
}

impl<T: Outcome + Send + 'static> Group<T> {
    /// Returns a group without tasks.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let group = gmprt::task::Group::<()>::new();
    /// assert!(group.is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared::new(None)) }
    }

    /// Returns a group, and a context derived from `ctx` that is cancelled on the first failure, or once a join has
    /// found that all is over, or when the group is dropped.
    ///
    /// It never blocks. The cause is the words of the panic, or says that a task failed. If `ctx` is cancelled, no
    /// task is aborted: they look at their context.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context;
    /// use gmprt::task::Group;
    ///
    /// gmprt::run(async {
    ///     let (mut group, ctx) = Group::with_context(&context::background());
    ///     group.spawn(async { Err::<(), _>("no") });
    ///     assert!(group.wait().await.is_err());
    ///     assert_eq!(ctx.cause().unwrap().to_string(), "a task of the group failed");
    /// })
    /// .unwrap();
    /// ```
    #[doc(alias = "WithContext")]
    #[must_use]
    pub fn with_context(ctx: &Context) -> (Self, Context) {
        let (ctx, cancel) = with_cancel(ctx);
        (Self { shared: Arc::new(Shared::new(Some(cancel))) }, ctx)
    }

    /// Spawns `future` as a task of the group.
    ///
    /// It never blocks: with a [limit](Self::set_limit) the task waits for its turn before its first poll.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, as `gmprt::spawn`.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let mut group = gmprt::task::Group::new();
    ///     group.spawn(async { 7 });
    ///     assert_eq!(group.join_next().await.unwrap().unwrap(), 7);
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Differences from Go
    ///
    /// errgroup's `Go` blocks while the limit is reached, and runs what it is given after a failure too.
    #[doc(alias = "Go")]
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
    {
        let state = self.shared.locked();
        let (failed, limit) = (state.failed.is_some(), state.limit.as_ref().map(Arc::clone));
        drop(state);
        let handle = match limit {
            _ if failed => spawn(async move {
                let _never_polled = future;
                pending().await
            }),
            Some(limit) => {
                let turn = take_turn(&limit);
                spawn(async move {
                    let _permit = match turn {
                        Ok(permit) => permit,
                        Err(ticket) => ticket.await,
                    };
                    future.await
                })
            }
            None => spawn(future),
        };
        self.shared.admit(handle, failed)
    }

    /// From now on at most `n` tasks of the group run at once: the others wait before their first poll, and
    /// get their turns in the order of the spawns. With 0 none runs.
    ///
    /// It never blocks.
    ///
    /// # Panics
    ///
    /// If a task of the group has not ended, with errgroup's words.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let mut group = gmprt::task::Group::new();
    ///     group.set_limit(2);
    ///     for n in 0..10 {
    ///         group.spawn(async move { n });
    ///     }
    ///     assert_eq!(group.join_all().await.len(), 10);
    /// })
    /// .unwrap();
    /// ```
    #[doc(alias = "SetLimit")]
    pub fn set_limit(&self, n: usize) {
        let limit = Some(Arc::new(Permits::new(n)));
        let mut state = self.shared.locked();
        let active = state.live.len();
        if active == 0 {
            state.limit = limit;
        }
        drop(state);
        assert!(
            active == 0,
            "errgroup: modify limit while {active} goroutines in the group are still active"
        );
    }

    /// Waits for the next task to end and returns its result; `None` if there is none left.
    ///
    /// Blocks the task (G). Results come in the order in which the tasks ended; a task's future has been dropped by
    /// then.
    ///
    /// Cancel safe: a dropped call has taken nothing.
    ///
    /// # Errors
    ///
    /// [`JoinError`], if the task panicked, was aborted, or the runtime shut down.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let mut group = gmprt::task::Group::new();
    ///     group.spawn(async { 7 });
    ///     assert_eq!(group.join_next().await.unwrap().unwrap(), 7);
    ///     assert!(group.join_next().await.is_none());
    /// })
    /// .unwrap();
    /// ```
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        Joining { shared: &self.shared, for_all: false }.await;
        let next = self.try_join_next();
        if next.is_none() {
            self.shared.cancel_context();
        }
        next
    }

    /// The result of the next task that has ended; `None` if there is none, ended or left.
    ///
    /// It never blocks.
    ///
    /// # Errors
    ///
    /// As [`join_next`](Self::join_next).
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let mut group = gmprt::task::Group::<()>::new();
    ///     group.spawn(std::future::pending());
    ///     assert!(group.try_join_next().is_none());
    /// })
    /// .unwrap();
    /// ```
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.shared.locked().ended.pop_front().map(|(_, result)| result)
    }

    /// Waits until all tasks have ended and returns their results, in the order in which they ended.
    ///
    /// Blocks the task (G).
    ///
    /// Cancel safe: a dropped call has taken nothing.
    ///
    /// # Errors
    ///
    /// Each result is one by itself, as [`join_next`](Self::join_next) gives it.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let mut group = gmprt::task::Group::new();
    ///     group.spawn(async { 1 });
    ///     group.spawn(async { 2 });
    ///     let sum: i32 = group.join_all().await.into_iter().map(Result::unwrap).sum();
    ///     assert_eq!(sum, 3);
    /// })
    /// .unwrap();
    /// ```
    pub async fn join_all(&mut self) -> Vec<Result<T, JoinError>> {
        self.take_all().await.into_iter().map(|(_, result)| result).collect()
    }

    async fn take_all(&mut self) -> impl IntoIterator<Item = (u64, Result<T, JoinError>)> + use<T> {
        Joining { shared: &self.shared, for_all: true }.await;
        self.shared.cancel_context(); // first: it wakes foreign wakers, and if one panics the results remain
        mem::take(&mut self.shared.locked().ended)
    }

    /// How many tasks the group has: that run, or whose result nobody has taken.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let mut group = gmprt::task::Group::new();
    ///     group.spawn(async { 7 });
    ///     assert_eq!(group.len(), 1);
    ///     group.join_next().await;
    ///     assert_eq!(group.len(), 0);
    /// })
    /// .unwrap();
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        let state = self.shared.locked();
        state.live.len() + state.ended.len()
    }

    /// Whether [`len`](Self::len) is 0.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let group = gmprt::task::Group::new();
    ///     assert!(group.is_empty());
    ///     group.spawn(async {});
    ///     assert!(!group.is_empty()); // nobody has taken its result
    /// })
    /// .unwrap();
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Aborts all tasks of the group; what is spawned later runs.
    ///
    /// Returns at once. Their results are still to be taken.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let mut group = gmprt::task::Group::<()>::new();
    ///     group.spawn(std::future::pending());
    ///     group.abort_all();
    ///     assert!(group.join_next().await.unwrap().unwrap_err().is_cancelled());
    /// })
    /// .unwrap();
    /// ```
    pub fn abort_all(&self) {
        self.shared.live().iter().for_each(member::Member::abort);
    }

    /// Aborts all tasks and waits until they have ended. Their results are dropped.
    ///
    /// Blocks the task (G).
    ///
    /// Cancel safe: the tasks of a dropped call are aborted, and their results are still to be taken.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let mut group = gmprt::task::Group::<()>::new();
    ///     group.spawn(std::future::pending());
    ///     group.shutdown().await;
    ///     assert!(group.is_empty());
    /// })
    /// .unwrap();
    /// ```
    pub async fn shutdown(&mut self) {
        self.abort_all();
        FirstPanic::default().drop_each(self.take_all().await).resume();
    }

    /// Lets all tasks run on without the group, which is empty afterwards. Results that nobody has taken are dropped.
    ///
    /// It never blocks. A failure of such a task is none of the group's.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let mut group = gmprt::task::Group::new();
    ///     group.spawn(async {});
    ///     group.detach_all();
    ///     assert!(group.is_empty());
    /// })
    /// .unwrap();
    /// ```
    pub fn detach_all(&mut self) {
        self.shared.let_go().resume();
    }
}

/// Gets in line now, for turns come in the order of the spawns. No wake: a task that was not polled yet is queued.
pub(crate) fn take_turn(limit: &Arc<Permits>) -> Result<Permit, Ticket> {
    let mut ticket = limit.acquire(Reason::GroupTurn);
    match ticket.line_up(Waker::noop()) {
        Poll::Ready(permit) => Ok(permit),
        Poll::Pending => Err(ticket),
    }
}

/// Aborts what is left.
impl<T: Outcome + Send + 'static> Drop for Group<T> {
    fn drop(&mut self) {
        let mut first = FirstPanic::default();
        first.note(|| self.abort_all());
        first.note(|| self.detach_all());
        first.note(|| self.shared.cancel_context());
        first.resume();
    }
}

impl<T: Outcome + Send + 'static> Default for Group<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Outcome + Send + 'static> fmt::Debug for Group<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.locked();
        let (running, ended, failed) = (state.live.len(), state.ended.len(), state.failed.is_some());
        drop(state);
        f.debug_struct("Group")
            .field("running", &running)
            .field("ended", &ended)
            .field("failed", &failed)
            .finish()
    }
}
