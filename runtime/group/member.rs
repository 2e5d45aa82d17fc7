//! One task of a group, and what the group knows of all of them.
//!
//! Go counterpart: the closure in `errgroup.Group.Go`, with its `errOnce` (`errgroup.go`).
//!
//! M1. A member is in `live` from its spawn until its result is in `ended`, or until it is detached.
//! M2. The member is the waker that its own task's handle has: it is woken once the task has ended, when its
//!     future has been dropped. It takes the result out then, and nobody polls a handle in order to look.
//! M3. Who uses a handle takes it out of its slot, for what it does may run foreign code. Who finds the slot empty
//!     leaves word there (`abort`), or need not (a wake): whoever puts the handle back looks at both.
//! M4. `failed` is set by the first failure, under the lock. Whoever does it cancels the context and aborts those who
//!     are in `live` then, and only then lets its own result be taken; who comes later sees `failed`.
//! M5. No user code runs under a lock: no waker, no output's drop, no `is_failure`.
//!
//! ```text
//!   spawn ─▶ live ──the task ends: wake──▶ ended ──join_next──▶ the caller
//!             └─ first failure ─▶ failed; the context is cancelled; abort all in `live`; then its result
//! ```
//!
//! Absent: a scan of the handles.

use super::outcome::Outcome;
use crate::cell::TaskId;
use crate::cell::join::JoinHandle;
use crate::cell::stage::forget_payload;
use crate::context::CancelFunc;
use crate::error::JoinError;
use crate::sched::permits::Permits;
use crate::sync::wake_batch::FirstPanic;
use crate::sys::primitive::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard, Weak};
use std::task::{Wake, Waker};

/// What the members of a group report to.
pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    /// Cancels the group's context, if it has one.
    cancel: Option<CancelFunc>,
}

pub(super) struct State<T> {
    /// By the order of their spawns.
    pub(super) live: BTreeMap<u64, Arc<Member<T>>>,
    /// In the order in which they ended, each with its place in the order of spawns.
    pub(super) ended: VecDeque<(u64, Result<T, JoinError>)>,
    pub(super) failed: Option<Failure>,
    pub(super) limit: Option<Arc<Permits>>,
    pub(super) joiner: Option<Joiner>,
    next: u64,
}

/// The first failure of a group.
pub(super) struct Failure {
    pub(super) number: u64,
    words: String,
}

/// Who waits in a join.
pub(super) struct Joiner {
    pub(super) waker: Waker,
    /// Until all have ended, and not only one.
    pub(super) for_all: bool,
}

/// A task of the group.
pub(super) struct Member<T> {
    group: Weak<Shared<T>>,
    number: u64,
    id: TaskId,
    slot: Mutex<Slot<T>>,
}

struct Slot<T> {
    /// `None`: it has ended, was detached, or somebody has the handle at the moment (M3).
    handle: Option<JoinHandle<T>>,
    abort: bool,
}

/// Aborts one task of a [`Group`](super::Group); its result remains the group's.
///
/// Dropping it does nothing. It is of no use any more once the task was
/// [detached](super::Group::detach_all) from the group.
///
/// # Examples
///
/// ```
/// use gmprt::task::Group;
///
/// gmprt::run(async {
///     let mut group = Group::<()>::new();
///     let task = group.spawn(std::future::pending());
///     task.abort();
///     let error = group.join_next().await.unwrap().unwrap_err();
///     assert!(error.is_cancelled() && error.id() == task.id());
/// })
/// .unwrap();
/// ```
#[derive(Clone)]
pub struct AbortHandle {
    member: Arc<dyn Abort>,
}

/// A member, whatever its task returns.
trait Abort: Send + Sync {
    fn abort(self: Arc<Self>);
    fn id(&self) -> TaskId;
}

impl<T> Shared<T> {
    pub(super) fn new(cancel: Option<CancelFunc>) -> Self {
        let (live, ended) = (BTreeMap::new(), VecDeque::new());
        let state = State { live, ended, failed: None, limit: None, joiner: None, next: 0 };
        Self { state: Mutex::new(state), cancel }
    }

    pub(super) fn locked(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no user code runs under this lock, so nothing panics there")
    }

    /// There was a failure, all is over, or the group is given up. Whoever comes first knows of the failure, if its
    /// result can be taken (M4), so that is the cause.
    pub(super) fn cancel_context(&self) {
        let Some(cancel) = &self.cancel else { return };
        let words = self.locked().failed.as_ref().map(|failure| failure.words.clone());
        match words {
            Some(words) => cancel.cancel_cause(words),
            None => cancel.cancel(),
        }
    }

    /// Lets the tasks run on without the group, and drops the results that nobody has taken.
    pub(super) fn let_go(&self) -> FirstPanic {
        let mut state = self.locked();
        let (live, ended) = (mem::take(&mut state.live), mem::take(&mut state.ended));
        drop(state);
        live.into_values().for_each(|member| member.detach());
        FirstPanic::default().drop_each(ended)
    }

    /// Who has not ended yet.
    pub(super) fn live(&self) -> Vec<Arc<Member<T>>> {
        self.locked().live.values().map(Arc::clone).collect()
    }
}

impl<T: Outcome + Send + 'static> Shared<T> {
    /// Takes a task into the group. `doomed`: it is to be aborted.
    pub(super) fn admit(self: &Arc<Self>, handle: JoinHandle<T>, doomed: bool) -> AbortHandle {
        let mut state = self.locked();
        let number = state.next;
        state.next += 1;
        let slot = Slot { handle: None, abort: doomed || state.failed.is_some() };
        let member =
            Arc::new(Member { group: Arc::downgrade(self), number, id: handle.id(), slot: Mutex::new(slot) });
        state.live.insert(number, Arc::clone(&member));
        drop(state);
        member.start(handle);
        AbortHandle { member }
    }

    /// A member has ended.
    fn note_end(&self, number: u64, result: Result<T, JoinError>) {
        let failed = match &result {
            Ok(output) => is_failure(output),
            Err(error) => error.is_panic(),
        };
        let words = failed.then(|| match &result {
            Err(error) => error.to_string(),
            Ok(_) => "a task of the group failed".to_owned(),
        });
        let mut first = FirstPanic::default();
        if let Some(words) = words {
            self.fail(number, words, &mut first);
        }
        let mut state = self.locked();
        if state.live.remove(&number).is_none() {
            drop(state);
            drop(result); // nobody wants it any more
            return;
        }
        state.ended.push_back((number, result));
        let all_ended = state.live.is_empty();
        let joiner = state.joiner.take_if(|joiner| all_ended || !joiner.for_all);
        drop(state);
        if let Some(joiner) = joiner {
            first.note(|| joiner.waker.wake());
        }
        first.resume();
    }

    /// A member has failed: if it is the first, cancels the context and aborts the others (M4).
    fn fail(&self, number: u64, words: String, first: &mut FirstPanic) {
        let mut state = self.locked();
        if state.failed.is_some() || !state.live.contains_key(&number) {
            return;
        }
        state.failed = Some(Failure { number, words });
        let rest: Vec<_> = state.live.values().map(Arc::clone).collect();
        drop(state);
        first.note(|| self.cancel_context());
        for member in rest {
            first.note(|| member.abort()); // the one that failed has no handle any more
        }
    }
}

fn is_failure(output: &impl Outcome) -> bool {
    catch_unwind(AssertUnwindSafe(|| output.is_failure())).unwrap_or_else(|payload| {
        forget_payload(payload);
        true
    })
}

impl<T> Member<T> {
    fn locked(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().expect("no user code runs under this lock, so nothing panics there")
    }

    /// Lets the task run on without the group, which has taken it off its list.
    pub(super) fn detach(&self) {
        let handle = self.locked().handle.take();
        drop(handle); // with the lock released: the output may be dropped with it
    }
}

impl<T: Outcome + Send + 'static> Member<T> {
    fn start(self: &Arc<Self>, mut handle: JoinHandle<T>) {
        let waker = Waker::from(Arc::clone(self));
        if handle.must_wait(&waker) {
            self.put_back(handle);
        } else {
            self.end(handle.take_end());
        }
    }

    /// Aborts the task, if it has not ended.
    pub(super) fn abort(self: &Arc<Self>) {
        let mut slot = self.locked();
        slot.abort = true;
        let handle = slot.handle.take();
        drop(slot);
        if let Some(handle) = handle {
            self.put_back(handle);
        }
    }

    /// Puts the handle into its slot, having done what there was to do (M3).
    fn put_back(&self, mut handle: JoinHandle<T>) {
        loop {
            let mut slot = self.locked();
            if handle.is_finished() {
                drop(slot);
                assert!(!handle.must_wait(Waker::noop()), "task {} has ended", self.id);
                return self.end(handle.take_end());
            }
            if !mem::take(&mut slot.abort) {
                slot.handle = Some(handle);
                return;
            }
            drop(slot);
            handle.abort(); // may end the task at once, here, if the runtime has ended
        }
    }

    fn end(&self, result: Result<T, JoinError>) {
        match self.group.upgrade() {
            Some(group) => group.note_end(self.number, result),
            None => drop(result),
        }
    }
}

/// The task has ended (M2).
impl<T: Outcome + Send + 'static> Wake for Member<T> {
    fn wake(self: Arc<Self>) {
        let handle = self.locked().handle.take();
        if let Some(handle) = handle {
            self.put_back(handle);
        }
    }
}

impl<T: Outcome + Send + 'static> Abort for Member<T> {
    fn abort(self: Arc<Self>) {
        Member::abort(&self);
    }

    fn id(&self) -> TaskId {
        self.id
    }
}

impl AbortHandle {
    /// Asks that the task's future be dropped instead of polled again; see
    /// [`JoinHandle::abort`](crate::task::JoinHandle::abort). An aborted task has not failed: the rest of the group
    /// goes on.
    ///
    /// Returns at once.
    pub fn abort(&self) {
        Arc::clone(&self.member).abort();
    }

    /// The task's id.
    ///
    /// It never blocks.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.member.id()
    }
}

impl std::fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AbortHandle").field("id", &self.id()).finish()
    }
}
