//! Contexts: what a tree of tasks is told to stop by, with deadlines and values.
//!
//! Go counterpart: package `context` (`context.go`).
//!
//! C1. A node never changes. It holds the one above strongly, so values are found upwards without a lock.
//! C2. A node that only adds a value shares the core of the node above; the background, and what is without cancel,
//!     has none and is never done.
//! C3. Chains of nodes are dropped in a loop, not by recursion, and no value is dropped under a lock.
//!
//! ```text
//!   background ◀── with_cancel ◀── with_value(v) ◀── with_timeout ◀── without_cancel     nodes: values, names, deadlines
//!                       │               │                 │
//!                       ▼               │                 ▼
//!                     core ◀────────────┘               core          cores (tree.rs): who is cancelled with whom
//!                       ▲─────────────────────────────────┘
//! ```
//!
//! Absent: contexts of other types than ours, which Go's interface allows, and so the tasks that Go needs to watch
//! them; `TODO`, which is [`background`] by another name.

#[cfg(not(gmprt_loom))]
mod after_func;
mod cancel;
#[cfg(not(gmprt_loom))]
mod deadline;
mod done;
mod tree;

#[cfg(not(gmprt_loom))]
pub use after_func::{StopFunc, after_func};
pub use cancel::{CancelFunc, DropGuard, with_cancel};
#[cfg(not(gmprt_loom))]
pub use deadline::{with_deadline, with_deadline_cause, with_timeout, with_timeout_cause};
pub use done::Done;

use crate::sync::wake_batch::FirstPanic;
use std::any::{Any, type_name};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use tree::Core;

/// What a piece of work is done under: it may be cancelled, have a deadline, and carry values.
///
/// A `Context` is a handle; its clones are the same context. Functions take it as `&Context`, by custom their first
/// argument. It works on any executor, except that deadlines and [`after_func`] need a gmprt runtime.
///
/// Only [`done`](Self::done) blocks, and it blocks the task (G).
///
/// # Examples
///
/// ```
/// use gmprt::context::{self, Context};
///
/// async fn count(ctx: &Context) -> u64 {
///     let mut n = 0;
///     while ctx.err().is_none() {
///         n += 1;
///         gmprt::yield_now().await;
///     }
///     n
/// }
///
/// gmprt::run(async {
///     let (ctx, cancel) = context::with_cancel(&context::background());
///     let counting = gmprt::spawn(async move { count(&ctx).await });
///     cancel.cancel();
///     counting.await.unwrap();
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// A type and not an interface. A value is found by its type, which is Go's advice for keys.
#[doc(alias = "CancellationToken")]
#[derive(Clone)]
pub struct Context {
    /// `None`: the background.
    node: Option<Arc<Node>>,
}

struct Node {
    above: Context,
    core: Option<Arc<Core>>,
    deadline: Option<Instant>,
    kind: Kind,
}

/// What a node adds to the one above.
enum Kind {
    Cancel,
    #[cfg(not(gmprt_loom))]
    Deadline(Instant),
    Value(Box<dyn Any + Send + Sync>, &'static str),
    WithoutCancel,
}

/// Why a context is done.
///
/// # Examples
///
/// ```
/// use gmprt::context::{self, ContextError};
/// use std::time::Instant;
///
/// let (ctx, _cancel) = context::with_deadline(&context::background(), Instant::now());
/// assert_eq!(ctx.err(), Some(ContextError::DeadlineExceeded));
/// assert_eq!(ctx.err().unwrap().to_string(), "context deadline exceeded");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextError {
    /// It was cancelled.
    Canceled,
    /// Its deadline is over.
    DeadlineExceeded,
}

/// The context that all others are derived from: never done, with no deadline and no value.
///
/// It never blocks.
///
/// # Examples
///
/// ```
/// let ctx = gmprt::context::background();
/// assert_eq!((ctx.err(), ctx.deadline()), (None, None));
/// assert_eq!(ctx.to_string(), "context.Background");
/// ```
#[doc(alias = "Background")]
#[doc(alias = "TODO")]
#[must_use]
pub fn background() -> Context {
    Context { node: None }
}

/// Returns a context that carries `v`, and else is as `ctx`.
///
/// It never blocks. For what belongs to a request and crosses interfaces, not for optional arguments.
///
/// # Examples
///
/// ```
/// use gmprt::context;
///
/// #[derive(Debug, PartialEq)]
/// struct User(&'static str);
///
/// let ctx = context::with_value(&context::background(), User("gopher"));
/// let below = context::with_cancel(&ctx).0;
/// assert_eq!(below.value::<User>(), Some(&User("gopher")));
/// assert_eq!(below.value::<String>(), None);
/// ```
///
/// # Differences from Go
///
/// The key is the type: a second value of a type hides the first.
#[doc(alias = "WithValue")]
#[must_use]
pub fn with_value<T: Any + Send + Sync>(ctx: &Context, v: T) -> Context {
    let core = ctx.core().map(Arc::clone);
    ctx.derive(core, ctx.deadline(), Kind::Value(Box::new(v), type_name::<T>()))
}

/// Returns a context with the values of `ctx` that is not done when `ctx` is, and has no deadline.
///
/// It never blocks.
///
/// # Examples
///
/// ```
/// use gmprt::context;
///
/// let (ctx, cancel) = context::with_cancel(&context::with_value(&context::background(), 7_u8));
/// let on = context::without_cancel(&ctx);
/// cancel.cancel();
/// assert_eq!((on.err(), on.value::<u8>()), (None, Some(&7)));
/// ```
#[doc(alias = "WithoutCancel")]
#[must_use]
pub fn without_cancel(ctx: &Context) -> Context {
    ctx.derive(None, None, Kind::WithoutCancel)
}

impl Context {
    fn derive(&self, core: Option<Arc<Core>>, deadline: Option<Instant>, kind: Kind) -> Self {
        Self { node: Some(Arc::new(Node { above: self.clone(), core, deadline, kind })) }
    }

    fn core(&self) -> Option<&Arc<Core>> {
        self.node.as_ref()?.core.as_ref()
    }

    /// The nodes, from this one upwards.
    fn nodes(&self) -> impl Iterator<Item = &Node> {
        std::iter::successors(self.node.as_deref(), |node| node.above.node.as_deref())
    }

    /// Why the context is done; `None` if it is not.
    ///
    /// It never blocks and takes no lock.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context::{self, ContextError};
    ///
    /// let (ctx, cancel) = context::with_cancel(&context::background());
    /// assert_eq!(ctx.err(), None);
    /// cancel.cancel();
    /// assert_eq!(ctx.err(), Some(ContextError::Canceled));
    /// ```
    #[doc(alias = "is_cancelled")]
    #[doc(alias = "Err")]
    #[must_use]
    pub fn err(&self) -> Option<ContextError> {
        self.core()?.ended().map(|ended| ended.err)
    }

    /// What was given as the reason why the context is done; if nothing was, its [`err`](Self::err).
    ///
    /// It never blocks. A context that was cancelled because one above it was has the cause of that.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context::{self, ContextError};
    ///
    /// let (ctx, cancel) = context::with_cancel(&context::background());
    /// assert!(ctx.cause().is_none());
    /// cancel.cancel();
    /// let cause = ctx.cause().unwrap();
    /// assert_eq!(cause.downcast_ref(), Some(&ContextError::Canceled));
    /// ```
    #[doc(alias = "Cause")]
    #[must_use]
    pub fn cause(&self) -> Option<Arc<dyn Error + Send + Sync>> {
        let ended = self.core()?.ended()?;
        Some(match &ended.cause {
            Some(cause) => Arc::clone(cause),
            None => Arc::new(ended.err),
        })
    }

    /// When the context will be done at the latest, if it has a deadline.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(gmprt::context::background().deadline(), None);
    /// ```
    #[doc(alias = "Deadline")]
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.node.as_ref()?.deadline
    }

    /// The value of type `T`: the nearest, seen from this context upwards.
    ///
    /// It never blocks. It takes as long as the chain of contexts is.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context;
    ///
    /// let outer = context::with_value(&context::background(), 1_u32);
    /// let inner = context::with_value(&outer, 2_u32);
    /// assert_eq!((outer.value::<u32>(), inner.value::<u32>()), (Some(&1), Some(&2)));
    /// ```
    #[doc(alias = "Value")]
    #[must_use]
    pub fn value<T: Any>(&self) -> Option<&T> {
        self.nodes().find_map(|node| match &node.kind {
            Kind::Value(value, _) => value.downcast_ref(),
            _ => None,
        })
    }
}

impl Node {
    /// Drops what is the node's own, and returns what is above it. `lowest` keeps the lowest core of the chain, and with
    /// it those above it, until all their nodes are gone: so they go together, and what is to be called moves once.
    fn strip(&mut self, lowest: &mut Option<Arc<Core>>, first: &mut FirstPanic) -> Context {
        let (kind, core) = (std::mem::replace(&mut self.kind, Kind::Cancel), self.core.take());
        first.note(|| drop(kind));
        if lowest.is_none() || core.is_none() {
            let chain = std::mem::replace(lowest, core);
            first.note(|| drop(chain));
        }
        std::mem::replace(&mut self.above, background())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let (mut first, mut lowest) = (FirstPanic::default(), None);
        let mut above = self.strip(&mut lowest, &mut first);
        // C3: those of which this was the last below, one by one.
        while let Some(mut node) = above.node.take().and_then(Arc::into_inner) {
            above = node.strip(&mut lowest, &mut first);
        }
        first.note(|| drop(lowest));
        first.resume();
    }
}

/// The chain of derivations: `context.Background.WithCancel`.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("context.Background")?;
        let nodes: Vec<_> = self.nodes().collect();
        nodes.into_iter().rev().try_for_each(|node| match &node.kind {
            Kind::Cancel => f.write_str(".WithCancel"),
            #[cfg(not(gmprt_loom))]
            Kind::Deadline(t) => match t.checked_duration_since(Instant::now()) {
                Some(left) => write!(f, ".WithDeadline([{left:?}])"),
                None => write!(f, ".WithDeadline([-{:?}])", t.elapsed()),
            },
            Kind::Value(_, name) => write!(f, ".WithValue({name})"),
            Kind::WithoutCancel => f.write_str(".WithoutCancel"),
        })
    }
}

/// As [`Display`](fmt::Display).
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Go's words.
impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Canceled => "context canceled",
            Self::DeadlineExceeded => "context deadline exceeded",
        })
    }
}

impl Error for ContextError {}

#[cfg(all(test, not(gmprt_loom)))]
mod tests;
