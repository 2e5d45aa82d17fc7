//! What can go wrong, and what the caller is told.
//!
//! Go counterpart: none for [`JoinError`]; a panic in a goroutine ends the process (`panic.go: fatalpanic`).
//!
//! Absent: errors of channels, which stand with the channels.

use crate::cell::TaskId;
use std::any::Any;
use std::fmt;
use std::sync::Mutex;

/// Why a task gave no output.
///
/// # Examples
///
/// ```
/// gmprt::run(async {
///     let task = gmprt::spawn(std::future::pending::<()>());
///     task.abort();
///     let error = task.await.unwrap_err();
///     assert!(error.is_cancelled() && !error.is_panic());
///     assert_eq!(error.to_string(), format!("task {} was cancelled", error.id()));
/// })
/// .unwrap();
/// ```
pub struct JoinError {
    id: TaskId,
    why: Why,
}

enum Why {
    Cancelled,
    /// In a mutex so that the error is `Sync` though a payload need not be; nobody ever waits for it.
    Panicked(Mutex<Box<dyn Any + Send>>),
}

impl JoinError {
    pub(crate) fn cancelled(id: TaskId) -> Self {
        Self { id, why: Why::Cancelled }
    }

    pub(crate) fn panicked(id: TaskId, payload: Box<dyn Any + Send>) -> Self {
        Self { id, why: Why::Panicked(Mutex::new(payload)) }
    }

    /// Whether the task was aborted, or the runtime shut down before it ended.
    ///
    /// It never blocks.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.why, Why::Cancelled)
    }

    /// Whether the task's future panicked, in a poll or when it was dropped.
    ///
    /// It never blocks.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.why, Why::Panicked(_))
    }

    /// The panic's payload, for `std::panic::resume_unwind`.
    ///
    /// It never blocks.
    ///
    /// # Panics
    ///
    /// If the task did not panic; ask [`JoinError::is_panic`] first.
    ///
    /// # Examples
    ///
    /// ```
    /// gmprt::run(async {
    ///     let error = gmprt::spawn(async { panic!("no") }).await.unwrap_err();
    ///     assert!(error.is_panic());
    ///     assert_eq!(error.into_panic().downcast_ref(), Some(&"no"));
    /// })
    /// .unwrap();
    /// ```
    #[must_use]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self.why {
            Why::Panicked(payload) => payload.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner),
            Why::Cancelled => panic!("into_panic: task {} was cancelled and did not panic", self.id),
        }
    }

    /// The task's id.
    ///
    /// It never blocks.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }
}

/// The text of a panic's payload, if it is one.
fn text_of(payload: &(dyn Any + Send)) -> Option<&str> {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Cancelled => write!(f, "task {} was cancelled", self.id),
            Why::Panicked(payload) => {
                let payload = payload.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match text_of(&**payload) {
                    Some(text) => write!(f, "task {} panicked: {text}", self.id),
                    None => write!(f, "task {} panicked", self.id),
                }
            }
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}

/// [`Runtime::shutdown_timeout`](crate::Runtime::shutdown_timeout) could not wait for everything.
///
/// The late ones run on, on threads of their own, and are cancelled when their poll returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownTimeout {
    pub(crate) late: Vec<TaskId>,
}

impl ShutdownTimeout {
    /// The tasks whose polls had not returned in time.
    #[must_use]
    pub fn late(&self) -> &[TaskId] {
        &self.late
    }
}

impl fmt::Display for ShutdownTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} task(s) were still in a poll when the time was up:", self.late.len())?;
        self.late.iter().try_for_each(|id| write!(f, " {id}"))
    }
}

impl std::error::Error for ShutdownTimeout {}

/// What the runtime does about a panic in a task that nobody holds a handle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnhandledPanic {
    /// Prints one line with the task's id and where it was spawned, and goes on.
    #[default]
    Report,
    /// Prints the line and aborts the process, as Go does.
    Abort,
}
