//! The permits themselves: counted, split, merged, forgotten, and given back when dropped.
//!
//! Go counterpart: none; `Weighted.Release` is told a number.
//!
//! Length: two kinds of permit with the same methods, most of it documentation.
//!
//! Absent: a permit that knows its number in line.

use super::Semaphore;
use std::fmt;
use std::sync::Arc;

/// Permits of a [`Semaphore`], given back when dropped. Made by [`Semaphore::acquire`] and its like.
///
/// # Examples
///
/// ```
/// let semaphore = gmprt::sync::Semaphore::new(1);
/// let permit = semaphore.try_acquire().unwrap();
/// assert_eq!(semaphore.available_permits(), 0);
/// drop(permit);
/// assert_eq!(semaphore.available_permits(), 1);
/// ```
#[must_use = "a permit that is dropped is given back"]
pub struct SemaphorePermit<'a> {
    pub(super) semaphore: &'a Semaphore,
    pub(super) permits: usize,
}

/// As [`SemaphorePermit`], with a share in the semaphore: it may outlive all others. Made by
/// [`Semaphore::acquire_owned`] and its like.
#[must_use = "a permit that is dropped is given back"]
pub struct OwnedSemaphorePermit {
    pub(super) semaphore: Arc<Semaphore>,
    pub(super) permits: usize,
}

impl<'a> SemaphorePermit<'a> {
    /// Drops the permit without giving it back: the semaphore has fewer from now on.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(5);
    /// semaphore.try_acquire_many(2).unwrap().forget();
    /// assert_eq!(semaphore.available_permits(), 3);
    /// ```
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Adds the permits of `other` to this one.
    ///
    /// It never blocks.
    ///
    /// # Panics
    ///
    /// If `other` is of another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(5);
    /// let mut permit = semaphore.try_acquire_many(2).unwrap();
    /// permit.merge(semaphore.try_acquire_many(1).unwrap());
    /// assert_eq!(permit.num_permits(), 3);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            std::ptr::eq(self.semaphore, other.semaphore),
            "permits of different semaphores cannot be merged"
        );
        self.permits += std::mem::take(&mut other.permits);
    }

    /// Splits `n` permits off; `None` if there are fewer.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(5);
    /// let mut permit = semaphore.try_acquire_many(5).unwrap();
    /// assert!(permit.split(6).is_none());
    /// drop(permit.split(2));
    /// assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 2));
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(Self { semaphore: self.semaphore, permits: n })
    }

    /// The number of permits that this one stands for.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(3);
    /// assert_eq!(semaphore.try_acquire_many(2).unwrap().num_permits(), 2);
    /// ```
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.permits
    }

    /// The semaphore that they are of.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = gmprt::sync::Semaphore::new(3);
    /// let permit = semaphore.try_acquire_many(2).unwrap();
    /// assert_eq!(permit.semaphore().available_permits(), 1);
    /// ```
    #[must_use]
    pub fn semaphore(&self) -> &'a Semaphore {
        self.semaphore
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.release(self.permits);
        }
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl OwnedSemaphorePermit {
    /// Drops the permit without giving it back: the semaphore has fewer from now on.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(5));
    /// semaphore.clone().try_acquire_many_owned(2).unwrap().forget();
    /// assert_eq!(semaphore.available_permits(), 3);
    /// ```
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Adds the permits of `other` to this one.
    ///
    /// It never blocks.
    ///
    /// # Panics
    ///
    /// If `other` is of another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(5));
    /// let mut permit = semaphore.clone().try_acquire_many_owned(2).unwrap();
    /// permit.merge(semaphore.clone().try_acquire_many_owned(1).unwrap());
    /// assert_eq!(permit.num_permits(), 3);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            Arc::ptr_eq(&self.semaphore, &other.semaphore),
            "permits of different semaphores cannot be merged"
        );
        self.permits += std::mem::take(&mut other.permits);
    }

    /// Splits `n` permits off; `None` if there are fewer.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(5));
    /// let mut permit = semaphore.clone().try_acquire_many_owned(5).unwrap();
    /// assert!(permit.split(6).is_none());
    /// drop(permit.split(2));
    /// assert_eq!((permit.num_permits(), semaphore.available_permits()), (3, 2));
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(Self { semaphore: Arc::clone(&self.semaphore), permits: n })
    }

    /// The number of permits that this one stands for.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(3));
    /// assert_eq!(semaphore.try_acquire_many_owned(2).unwrap().num_permits(), 2);
    /// ```
    #[must_use]
    pub fn num_permits(&self) -> usize {
        self.permits
    }

    /// The semaphore that they are of.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(gmprt::sync::Semaphore::new(3));
    /// let permit = semaphore.try_acquire_many_owned(2).unwrap();
    /// assert_eq!(permit.semaphore().available_permits(), 1);
    /// ```
    #[must_use]
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }
}

impl Drop for OwnedSemaphorePermit {
    #[inline]
    fn drop(&mut self) {
        if self.permits > 0 {
            self.semaphore.release(self.permits);
        }
    }
}

impl fmt::Debug for OwnedSemaphorePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSemaphorePermit").field("permits", &self.permits).finish_non_exhaustive()
    }
}
