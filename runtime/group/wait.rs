//! The values of a whole group, or its first failure.
//!
//! Go counterpart: `errgroup.Group.Wait` (`errgroup.go`).
//!
//! Absent: a panic that goes on in who waits. It is one of the errors, as with a `JoinHandle`.

use super::Group;
use crate::error::JoinError;
use std::fmt;

/// Why a group has no list of outputs: [`Group::wait`].
///
/// # Examples
///
/// ```
/// use gmprt::task::{Group, GroupError};
///
/// gmprt::run(async {
///     let mut group = Group::<Result<(), &str>>::new();
///     group.spawn(async { panic!("no") });
///     assert!(matches!(group.wait().await, Err(GroupError::Panicked(_))));
///
///     let mut group = Group::<Result<(), &str>>::new();
///     group.spawn(std::future::pending()).abort();
///     assert!(matches!(group.wait().await, Err(GroupError::Cancelled(_))));
/// })
/// .unwrap();
/// ```
#[derive(Debug)]
pub enum GroupError<E> {
    /// A task returned this error, the first failure of the group.
    Failed(E),
    /// A task panicked, and that was the first failure.
    Panicked(JoinError),
    /// No task failed, but one was aborted, or the runtime shut down.
    Cancelled(JoinError),
}

impl<T: Send + 'static, E: Send + 'static> Group<Result<T, E>> {
    /// Waits until all tasks have ended and returns their values, in the order of the spawns.
    ///
    /// Blocks the task (G). Results that [`join_next`](Self::join_next) has taken are not looked at.
    ///
    /// Cancel safe: a dropped call has taken nothing.
    ///
    /// # Errors
    ///
    /// The first failure, an error or a panic. All tasks have ended by then, and their values are dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use gmprt::task::{Group, GroupError};
    ///
    /// gmprt::run(async {
    ///     let mut group = Group::new();
    ///     group.spawn(async { Err("no") });
    ///     group.spawn(std::future::pending::<Result<(), _>>());
    ///     assert!(matches!(group.wait().await, Err(GroupError::Failed("no"))));
    /// })
    /// .unwrap();
    /// ```
    ///
    /// # Differences from Go
    ///
    /// The group stays failed; the error itself is given out once.
    #[doc(alias = "Wait")]
    pub async fn wait(&mut self) -> Result<Vec<T>, GroupError<E>> {
        let (mut values, mut failure, mut cancelled) = (Vec::new(), None, None);
        let ended = self.take_all().await;
        let first = self.shared.locked().failed.as_ref().map(|failure| failure.number);
        for (number, result) in ended {
            let failed = match result {
                Ok(Ok(value)) => {
                    values.push((number, value));
                    continue;
                }
                Ok(Err(error)) => GroupError::Failed(error),
                Err(error) if error.is_panic() => GroupError::Panicked(error),
                Err(error) => {
                    cancelled = cancelled.or(Some(GroupError::Cancelled(error)));
                    continue;
                }
            };
            if Some(number) == first || failure.is_none() {
                failure = Some(failed);
            }
        }
        if let Some(error) = failure.or(cancelled) {
            return Err(error);
        }
        values.sort_unstable_by_key(|&(number, _)| number);
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Panicked(error) | Self::Cancelled(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error> std::error::Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::Panicked(_) | Self::Cancelled(_) => None,
        }
    }
}
