//! An asymmetric fence pair: the frequent side pays a compiler fence, the rare side a system call.
//!
//! Go counterpart: none; Go stops a thread by a signal instead (`preemptM`).
//!
//! ```text
//!   frequent side (an M, at every entry into the runtime)    rare side (a revoker)
//!     inside = true                                            lease = REVOKING
//!     light()                                                  heavy()
//!     read lease                                               read inside
//! ```
//!
//! B1. At least one side sees the other's store: [`heavy`] makes every running thread of the process
//!     execute a full fence between two of its instructions, and [`light`] keeps the compiler from
//!     moving the load above the store, so the processor's fence falls before, between or after them.
//! B2. Where the kernel has no membarrier, both sides execute a SeqCst fence instead, and so they do
//!     under loom, which does not know the system call. The choice is made once, before the first M
//!     exists, and never changes.
//!
//! Absent: `MEMBARRIER_CMD_GLOBAL`, which takes milliseconds, and the `rseq` flavour.

use super::primitive::{AtomicOrdering::SeqCst, fence, weaken};
use std::sync::atomic::compiler_fence;

#[cfg(not(gmprt_loom))]
mod kernel {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;

    /// True until the kernel has promised membarrier to this process (B2).
    static FENCES_ONLY: AtomicBool = AtomicBool::new(true);
    static CHOSEN: OnceLock<()> = OnceLock::new();

    fn membarrier(command: libc::c_int) -> libc::c_long {
        // SAFETY: B1; the call takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
    }

    /// Registers the process for membarrier. Called by every `Builder::build`; the first decides.
    ///
    /// `GMPRT_TEST_NO_MEMBARRIER` in the environment simulates a kernel without it.
    pub(crate) fn choose() {
        CHOSEN.get_or_init(|| {
            let refused = std::env::var_os("GMPRT_TEST_NO_MEMBARRIER").is_some();
            if !refused && membarrier(REGISTER_PRIVATE_EXPEDITED) == 0 {
                // Ordering: Release; pairs with the Relaxed load in `fences_only` through the
                // creation of the first M (and of any block_on's lease), which comes after this.
                FENCES_ONLY.store(false, Ordering::Release);
            }
        });
    }

    #[inline(always)]
    pub(crate) fn fences_only() -> bool {
        // Ordering: Relaxed; written once, before the threads that read it exist or enter (B2).
        FENCES_ONLY.load(Ordering::Relaxed)
    }

    /// A canary takes the membarrier away, in a process of its own.
    #[cfg(test)]
    pub(crate) static SABOTAGED: AtomicBool = AtomicBool::new(false);

    /// Makes every running thread of the process execute a full fence.
    pub(crate) fn everywhere() {
        #[cfg(test)]
        // Ordering: Relaxed; set before the threads of the test begin.
        if SABOTAGED.load(Ordering::Relaxed) {
            return;
        }
        let outcome = membarrier(PRIVATE_EXPEDITED);
        assert_eq!(outcome, 0, "membarrier failed after it was registered");
    }
}

#[cfg(not(gmprt_loom))]
pub(crate) use kernel::choose;
#[cfg(all(test, not(gmprt_loom)))]
pub(crate) use kernel::{SABOTAGED, fences_only};

/// The frequent side of the pair (FENCE-LEASE).
#[inline(always)]
pub(crate) fn light() {
    #[cfg(not(gmprt_loom))]
    if !kernel::fences_only() {
        compiler_fence(SeqCst); // FENCE-LEASE, light end: B1
        return;
    }
    if weaken::stands("FENCE-LEASE") {
        fence(SeqCst); // FENCE-LEASE, light end without membarrier: B2
    }
    compiler_fence(SeqCst);
}

/// The rare side of the pair (FENCE-LEASE): about 13 µs beside a running thread.
pub(crate) fn heavy() {
    if weaken::stands("FENCE-LEASE") {
        fence(SeqCst); // FENCE-LEASE, heavy end: B1, and the whole of it under B2
    }
    #[cfg(not(gmprt_loom))]
    if !kernel::fences_only() {
        kernel::everywhere();
    }
}
