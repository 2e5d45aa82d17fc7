//! What is still to be done when the process ends by itself.
//!
//! Go counterpart: none; `os.Exit` ends at once.
//!
//! O1. The C library calls what it was given, once, on the thread that ends the process: after `main` has returned, or in
//!     `std::process::exit`. Other threads go on meanwhile.
//! O2. A process that was forked off has that list too, and none of the other threads: there nothing is done.
//!
//! Absent: an end by a signal or by `abort`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// What is to be done, and by which process (O2).
static WHAT: OnceLock<(fn(), u32)> = OnceLock::new();

extern "C" fn at_exit() {
    if let Some(&(what, process)) = WHAT.get()
        && process == std::process::id()
    {
        // Its panic has told the panic hook, and must not reach the C library.
        let _ = catch_unwind(AssertUnwindSafe(what));
    }
}

/// Calls `what` when the process ends (O1). Only the first caller's is called.
pub(crate) fn when_the_process_ends(what: fn()) {
    WHAT.get_or_init(|| {
        // SAFETY: O1; a function that lives for ever and does not unwind. Without memory for it nothing is called.
        unsafe { libc::atexit(at_exit) };
        (what, std::process::id())
    });
}
