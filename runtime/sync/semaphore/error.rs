//! Why no permit was acquired.
//!
//! Go counterpart: `ctx.Err()` of `Weighted.Acquire`; the false of `TryAcquire`.

use std::error::Error;
use std::fmt;

/// The semaphore was closed, so no permit was acquired.
///
/// # Examples
///
/// ```
/// use gmprt::sync::{AcquireError, Semaphore};
///
/// let semaphore = Semaphore::new(1);
/// semaphore.close();
/// assert_eq!(gmprt::run(async { semaphore.acquire().await.err() }).unwrap(), Some(AcquireError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireError;

/// No permit could be acquired without waiting.
///
/// # Examples
///
/// ```
/// use gmprt::sync::{Semaphore, TryAcquireError};
///
/// let semaphore = Semaphore::new(0);
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
/// semaphore.close();
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore was closed.
    Closed,
    /// Fewer permits than that are free, or others wait for them.
    NoPermits,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the semaphore is closed",
            Self::NoPermits => "no permits are available",
        })
    }
}

impl Error for AcquireError {}

impl Error for TryAcquireError {}
