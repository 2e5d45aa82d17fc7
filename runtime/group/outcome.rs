//! What a task of a group returned: did it succeed?
//!
//! Go counterpart: the `error` that a function given to `errgroup.Group.Go` returns, nil or not.
//!
//! Absent: a rule for all types at once. A type that can say "failed" must not be taken for one that can't; so each
//! says, as for std's `Termination`.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{CString, OsString};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Whether a task of a [`Group`](super::Group) that returned this has failed.
///
/// [`Result`] fails if it is `Err`. For the ordinary types of std nothing is a failure, nor for a type of yours that
/// says no more than `impl gmprt::task::Outcome for MyType {}`.
///
/// # Examples
///
/// ```
/// use gmprt::task::Outcome;
///
/// struct Exit(i32);
///
/// impl Outcome for Exit {
///     fn is_failure(&self) -> bool {
///         self.0 != 0
///     }
/// }
///
/// assert!(Exit(1).is_failure() && Err::<(), _>("no").is_failure());
/// assert!(!Exit(0).is_failure() && !false.is_failure());
/// ```
///
/// # Differences from Go
///
/// A function in a Go group returns an `error` and nothing else.
#[diagnostic::on_unimplemented(
    message = "a `Group` does not know whether a task that returns `{Self}` has failed",
    label = "this is not known to be a success or a failure",
    note = "if it never is a failure, write: impl gmprt::task::Outcome for {Self} {{}}"
)]
pub trait Outcome {
    /// Whether it is a failure: the rest of the group is cancelled then.
    ///
    /// It is called once, on the thread that ends the task, and must not block. If it panics that is a failure too.
    fn is_failure(&self) -> bool {
        false
    }
}

impl<T, E> Outcome for Result<T, E> {
    fn is_failure(&self) -> bool {
        self.is_err()
    }
}

macro_rules! never_fail {
    ($($kind:ty),* $(,)?) => { $(impl Outcome for $kind {})* };
}

never_fail!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64,
    String,
    CString,
    OsString,
    PathBuf,
    Duration,
    Instant,
    SystemTime,
    IpAddr,
    Ipv4Addr,
    Ipv6Addr,
    SocketAddr,
    std::cmp::Ordering,
    std::convert::Infallible,
    std::thread::ThreadId,
    crate::cell::TaskId,
    crate::sched::MachineId,
    crate::sched::ProcessorId,
);

macro_rules! never_fail_of {
    ($($($of:ident)* => $kind:ty),* $(,)?) => { $(impl<$($of),*> Outcome for $kind {})* };
}

never_fail_of!(
    T => Option<T>, T => Vec<T>, T => VecDeque<T>, T => LinkedList<T>, T => BinaryHeap<T>,
    T => BTreeSet<T>, T S => HashSet<T, S>, K V => BTreeMap<K, V>, K V S => HashMap<K, V, S>,
    A => (A,), A B => (A, B), A B C => (A, B, C), A B C D => (A, B, C, D),
    A B C D E => (A, B, C, D, E), A B C D E F => (A, B, C, D, E, F),
);

impl<T: ?Sized> Outcome for &'static T {}
impl<T: ?Sized> Outcome for Box<T> {}
impl<T: ?Sized> Outcome for Arc<T> {}
impl<T: ?Sized> Outcome for PhantomData<T> {}
impl<T, const N: usize> Outcome for [T; N] {}
