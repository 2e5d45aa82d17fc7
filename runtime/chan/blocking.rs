//! Runs one of the channel's futures on a thread that has nothing else to do.
//!
//! Go counterpart: none: in Go every channel operation blocks, and costs no thread.
//!
//! K1. The thread polls only after a wake, or the first time; a wake during a poll is not lost (`Parker`).
//!
//! ```text
//!   poll ── Ready ──▶ return
//!    ▲  └── Pending ─▶ park ──┐      wake: unpark
//!    └──────────────────────┘
//! ```
//!
//! Absent: a declaration to the scheduler. `park` below is the one place where a task's thread would
//! stand still, so it is where a task declares itself blocked.

use crate::sys::parker::Parker;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

struct Unparks(Parker);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks the thread until `future` is ready.
pub(super) fn block_thread<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let parker = Arc::new(Unparks(Parker::for_this_thread()));
    let waker = Waker::from(Arc::clone(&parker));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => parker.0.park(),
        }
    }
}
