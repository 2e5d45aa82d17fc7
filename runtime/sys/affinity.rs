//! Which cores a thread may run on: reading a mask, giving it back, pinning to one core.
//!
//! Go counterpart: none; Go leaves placement to the kernel (`getproccount` only counts).
//!
//! A1. [`process_mask`] is read once, by the first `Builder::build`, before anything was pinned.
//! A2. Nothing here touches a thread that did not ask, but for [`Mask::give_to`] with a thread id,
//!     by which a revoker un-pins an M that lost its P.
//!
//! Absent: NUMA nodes, hyper-thread siblings, machines of over 1024 processors (never pinned).

use std::io;
use std::mem;
use std::sync::OnceLock;

/// The kernel's id of a thread (`gettid`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tid(libc::pid_t);

impl Tid {
    pub(crate) fn current() -> Self {
        // SAFETY: A2; the call has no arguments, no failure and no effect.
        Self(unsafe { libc::gettid() })
    }

    /// The number by which the kernel knows it.
    pub(crate) fn as_raw(self) -> libc::pid_t {
        self.0
    }
}

/// A set of processors.
#[derive(Clone)]
pub(crate) struct Mask(libc::cpu_set_t);

impl Mask {
    /// The mask of the calling thread.
    pub(crate) fn of_this_thread() -> io::Result<Self> {
        // SAFETY: A2; cpu_set_t is a plain array of integers, for which all zeros is the empty set.
        let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: A2; `set` is valid for writes of the size given, and 0 means this thread.
        let outcome = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &mut set) };
        if outcome == 0 { Ok(Self(set)) } else { Err(io::Error::last_os_error()) }
    }

    /// Lets the thread `tid` run on every processor of this mask.
    ///
    /// A failure is dropped: the thread is gone, or the administrator has shrunk the set meanwhile.
    pub(crate) fn give_to(&self, tid: Tid) {
        // SAFETY: A2; the mask is valid for reads of the size given, and an unknown tid is an error.
        let _ = unsafe { libc::sched_setaffinity(tid.0, mem::size_of_val(&self.0), &self.0) };
    }

    /// The processors of this mask, lowest first.
    pub(crate) fn cores(&self) -> Vec<usize> {
        let limit = libc::CPU_SETSIZE as usize;
        (0..limit)
            .filter(|&core| {
                // SAFETY: A2; `core` is below CPU_SETSIZE, the number of bits in the set.
                unsafe { libc::CPU_ISSET(core, &self.0) }
            })
            .collect()
    }
}

/// What the process was given, read once (A1).
pub(crate) struct Allotment {
    /// `None` where the kernel would not say: nothing is pinned then.
    pub(crate) mask: Option<Mask>,
    /// The mask's processors, lowest first; empty where `mask` is `None`.
    pub(crate) cores: Vec<usize>,
    /// Default number of Ps: processors in the mask, or the cgroup's quota rounded up if that is less.
    pub(crate) procs: usize,
}

/// The process's mask and quota (A1).
pub(crate) fn process_mask() -> &'static Allotment {
    static ALLOTMENT: OnceLock<Allotment> = OnceLock::new();
    ALLOTMENT.get_or_init(|| {
        let mask = Mask::of_this_thread().ok();
        let cores = mask.as_ref().map(Mask::cores).unwrap_or_default();
        Allotment { mask, cores, procs: num_cpus::get().max(1) }
    })
}

/// Pins the calling thread to one core. Says whether the kernel agreed.
pub(crate) fn pin_to(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_gets_its_mask_back() {
        std::thread::spawn(|| {
            let before = Mask::of_this_thread().unwrap();
            let core = before.cores()[0];
            assert!(pin_to(core));
            assert_eq!(Mask::of_this_thread().unwrap().cores(), [core]);
            before.give_to(Tid::current());
            assert_eq!(Mask::of_this_thread().unwrap().cores(), before.cores());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_default_number_of_procs_is_at_most_the_cores_of_the_mask() {
        let allotment = process_mask();
        assert!(allotment.procs >= 1);
        assert!(allotment.procs <= allotment.cores.len().max(1));
    }
}
