//! Derives a context that can be cancelled, and cancels it.
//!
//! Go counterpart: `WithCancel`, `WithCancelCause` (`context.go`).
//!
//! ```text
//!   with_cancel(&ctx) ──▶ Context       what tasks look at
//!                    └──▶ CancelFunc    the right to end it: cancel, cancel_cause; clones are the same right
//!                             └─drop_guard─▶ DropGuard: cancels when it is dropped
//! ```
//!
//! Absent: a cancel when a [`CancelFunc`] is dropped. A guard is asked for by name.

use super::tree::{Core, Ended};
use super::{Context, ContextError, Kind};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Returns a context that is done when it is cancelled by the function returned, or when `ctx` is done.
///
/// It never blocks. If `ctx` is done already, so is the new one, with the same error and cause.
///
/// # Examples
///
/// ```
/// use gmprt::context::{self, ContextError};
///
/// let (ctx, cancel) = context::with_cancel(&context::background());
/// let (below, _) = context::with_cancel(&ctx);
/// assert_eq!(below.err(), None);
/// cancel.cancel();
/// assert_eq!(below.err(), Some(ContextError::Canceled));
/// ```
///
/// # Differences from Go
///
/// `WithCancelCause` is the same function: see [`CancelFunc::cancel_cause`]. A context that is dropped without a
/// cancel leaks nothing, where Go's stays with its parent.
#[doc(alias = "WithCancel")]
#[doc(alias = "WithCancelCause")]
#[doc(alias = "child_token")]
pub fn with_cancel(ctx: &Context) -> (Context, CancelFunc) {
    let core = Core::below(ctx.core());
    (ctx.derive(Some(Arc::clone(&core)), ctx.deadline(), Kind::Cancel), CancelFunc { core })
}

/// The right to cancel a context. Its clones are the same right.
///
/// Dropping it does nothing.
///
/// # Examples
///
/// ```
/// use gmprt::context;
///
/// let (ctx, cancel) = context::with_cancel(&context::background());
/// drop(cancel.clone());
/// assert_eq!(ctx.err(), None);
/// cancel.cancel();
/// assert!(ctx.err().is_some());
/// ```
#[derive(Clone)]
pub struct CancelFunc {
    pub(super) core: Arc<Core>,
}

impl CancelFunc {
    /// Cancels the context and all that was derived from it. All of them are done when it returns.
    ///
    /// Blocks nothing. Does nothing if the context is done already: the first cancel wins.
    ///
    /// Those who wait are woken, a context's own before those of the contexts below it; in which order,
    /// [`Context::done`] says.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context::{self, ContextError};
    ///
    /// let (ctx, cancel) = context::with_cancel(&context::background());
    /// cancel.cancel();
    /// cancel.cancel();
    /// assert_eq!(ctx.err(), Some(ContextError::Canceled));
    /// ```
    #[doc(alias = "Cancel")]
    pub fn cancel(&self) {
        self.core.end(Ended { err: ContextError::Canceled, cause: None });
    }

    /// As [`cancel`](Self::cancel), and says why: [`Context::cause`] tells.
    ///
    /// Blocks nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context;
    ///
    /// let (ctx, cancel) = context::with_cancel(&context::background());
    /// cancel.cancel_cause("the user left");
    /// assert_eq!(ctx.cause().unwrap().to_string(), "the user left");
    /// assert_eq!(ctx.err().unwrap().to_string(), "context canceled");
    /// ```
    #[doc(alias = "CancelCauseFunc")]
    pub fn cancel_cause(&self, e: impl Into<Box<dyn Error + Send + Sync>>) {
        let cause = Arc::from(e.into());
        self.core.end(Ended { err: ContextError::Canceled, cause: Some(cause) });
    }

    /// Returns a guard that cancels the context when it is dropped: Go's `defer cancel()`.
    ///
    /// Blocks nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context::{self, ContextError};
    ///
    /// let (ctx, cancel) = context::with_cancel(&context::background());
    /// {
    ///     let _guard = cancel.drop_guard();
    ///     assert_eq!(ctx.err(), None);
    /// }
    /// assert_eq!(ctx.err(), Some(ContextError::Canceled));
    /// ```
    pub fn drop_guard(self) -> DropGuard {
        DropGuard { cancel: Some(self) }
    }
}

impl fmt::Debug for CancelFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelFunc").field("done", &self.core.ended().is_some()).finish()
    }
}

/// Cancels a context when it is dropped; made by [`CancelFunc::drop_guard`].
#[must_use = "it cancels the context when it is dropped"]
#[derive(Debug)]
pub struct DropGuard {
    cancel: Option<CancelFunc>,
}

impl DropGuard {
    /// Gives the [`CancelFunc`] back, and cancels nothing.
    ///
    /// Blocks nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::context;
    ///
    /// let (ctx, cancel) = context::with_cancel(&context::background());
    /// let guard = cancel.drop_guard();
    /// let _cancel = guard.disarm();
    /// assert_eq!(ctx.err(), None);
    /// ```
    pub fn disarm(mut self) -> CancelFunc {
        self.cancel.take().expect("only disarm and drop take it")
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            cancel.cancel();
        }
    }
}
