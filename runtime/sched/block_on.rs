//! A thread that is not an M runs one future to its end.
//!
//! Go counterpart: the main goroutine, which is one like any other; a future on the caller's stack is not.
//!
//! ```text
//!   ┌─▶ an idle P, if there is one ─▶ poll ─▶ Ready: done
//!   │                                  └─ Pending: handoff_p, sleep until woken ─┐
//!   └────────────────────────────────────────────────────────────────◀───────────┘
//! ```
//!
//! Y1. The future stays on the caller's stack: it need be neither Send nor 'static.
//! Y2. The caller holds a P only during a poll, and runs no other task, so that it never waits for one.
//! Y3. Nested in a task, the M of that task declares itself blocked first (`blocking.rs`), whichever runtime
//!     the inner future runs on.
//! Y4. Whether the caller sleeps, or was woken, can be seen from outside at each moment (`machine.rs`, K5).
//!
//! Absent: pinning. A pinned caller would pass its mask on to the threads it starts.

use super::Shared;
use super::blocking;
use super::current::Context;
use super::machine::Machine;
use crate::trace::record::{Event, Fate, Give};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll, Wake, Waker};
use std::thread;

/// Wakes the thread in `block_on`.
struct Caller(Arc<Machine>);

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.0.call();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.call();
    }
}

/// sysmon knows the caller's M until this is dropped: a future that blocks the thread does not keep the P either.
struct Known<'a>(&'a Shared, &'a Arc<Machine>);

impl<'a> Known<'a> {
    fn new(shared: &'a Shared, m: &'a Arc<Machine>) -> Self {
        shared.register(m);
        Self(shared, m)
    }
}

impl Drop for Known<'_> {
    fn drop(&mut self) {
        self.0.unregister(self.1);
    }
}

/// How it ended, if it has.
fn fate<T>(outcome: &thread::Result<Poll<T>>) -> Option<Fate> {
    match outcome {
        Ok(Poll::Pending) => None,
        Ok(Poll::Ready(_)) => Some(Fate::Finished),
        Err(_) => Some(Fate::Panicked),
    }
}

/// Runs `future` on the calling thread until it is ready.
#[track_caller]
pub(crate) fn block_on<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    let _declared = blocking::declare();
    let m = Arc::new(Machine::of_block_on(Location::caller()));
    let waker = Waker::from(Arc::new(Caller(Arc::clone(&m))));
    let mut polling = task::Context::from_waker(&waker);
    let cx = Context::new(Arc::clone(shared), m, false);
    let _entered = cx.enter();
    let _known = Known::new(shared, &cx.m);
    let mut future = pin!(future);
    loop {
        let mut poll = || catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut polling)));
        cx.begin_caller();
        let heard = cx.m.awake();
        shared.watchman.count_callers_poll();
        let idle = if shared.is_closing() { None } else { shared.lists().take_idle_p(shared) };
        let outcome = match idle {
            None => {
                cx.note_caller_begins(None);
                cx.m.lease.leave(); // for people: there is no P to lose
                let outcome = poll();
                std::mem::forget(cx.m.lease.enter());
                cx.note_caller_ends(fate(&outcome));
                outcome
            }
            Some(p) => {
                cx.m.wire(&p);
                cx.note(Event::TakeP { p: p.id.0, turn: p.turn() });
                cx.note_caller_begins(Some(&p));
                p.count_poll(false);
                cx.m.forget_asked();
                shared.rouse_for(&p);
                let (outcome, p) = cx.lend(p, || {
                    shared.maybe_revoke_me(&cx.m);
                    poll()
                });
                cx.note_caller_ends(fate(&outcome));
                match p {
                    Some(p) => {
                        cx.note(Event::GiveP { p: p.id.0, turn: p.turn(), why: Give::Caller });
                        cx.m.unwire(&p);
                        shared.handoff_p(p);
                    }
                    None => {
                        cx.m.poll_is_over();
                        cx.m.block_is_over();
                    }
                }
                outcome
            }
        };
        match outcome {
            Ok(Poll::Ready(output)) => return output,
            Ok(Poll::Pending) => {
                cx.m.asleep(heard);
                cx.m.parker.park();
            }
            Err(payload) => resume_unwind(payload),
        }
    }
}
