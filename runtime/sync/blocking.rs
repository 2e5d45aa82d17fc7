//! Runs a future of a channel or a lock on a thread that has nothing else to do.
//!
//! Go counterpart: none: in Go every such operation blocks, and costs no thread.
//!
//! K1. The thread polls only after a wake, or the first time; a wake during a poll is not lost (`Parker`).
//! K2. In a task the M declares itself blocked before it parks, and gives its P up: whoever is to be received from may
//!     be waiting for that very P. It gets one back when it returns.
//!
//! ```text
//!   poll ── Ready ──▶ return
//!    ▲  └── Pending ─▶ declare, the first time ─▶ park ──┐      wake: unpark
//!    └──────────────────────────────────────────────────┘
//! ```
//!
//! Absent: a limit on how many may block so; the limit on threads is one.

use crate::reason::Reason;
use crate::sched::blocking::declare;
use crate::sched::preempt::waits;
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
pub(crate) fn block_thread<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let parker = Arc::new(Unparks(Parker::for_this_thread()));
    let waker = Waker::from(Arc::clone(&parker));
    let mut cx = Context::from_waker(&waker);
    let mut declared = None;
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => {
                waits(Reason::Unsaid); // what it waited for the poll that calls does not
                return output;
            }
            Poll::Pending => {
                declared.get_or_insert_with(declare);
                parker.0.park();
            }
        }
    }
}
