//! Models of the state word: no wakeup is lost, nothing is touched by two, everything is freed once.

use super::*;
use crate::sys::primitive::{Arc, AtomicU32, cell::UnsafeCell};
use loom::thread;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

/// A slot: the word, and cells in the place of what the word guards.
struct Slot {
    state: State,
    future: UnsafeCell<u32>,
    output: UnsafeCell<u32>,
    join_waker: UnsafeCell<u32>,
    /// Tasks enqueued and not yet run: S2 says 0 or 1.
    queue: AtomicU32,
    freed: AtomicU32,
    woken: AtomicU32,
}

impl Slot {
    fn new() -> Arc<Self> {
        let slot = Arc::new(Self {
            state: State::free(),
            future: UnsafeCell::new(0),
            output: UnsafeCell::new(0),
            join_waker: UnsafeCell::new(0),
            queue: AtomicU32::new(1),
            freed: AtomicU32::new(0),
            woken: AtomicU32::new(0),
        });
        slot.state.spawn();
        slot
    }

    fn touch(cell: &UnsafeCell<u32>) -> u32 {
        // SAFETY: W3 and W4 of raw.rs are what is checked here, by loom.
        cell.with_mut(|n| unsafe {
            *n += 1;
            *n
        })
    }

    fn read(cell: &UnsafeCell<u32>) -> u32 {
        // SAFETY: as above.
        cell.with(|n| unsafe { *n })
    }

    fn act(&self, action: WakeAction) {
        match action {
            WakeAction::Enqueue => assert_eq!(self.queue.fetch_add(1, Relaxed), 0, "queued twice"),
            WakeAction::Nothing | WakeAction::Marked => {}
            WakeAction::Free => self.free(),
        }
    }

    /// The last reference is gone: whoever comes here is alone.
    fn free(&self) {
        Self::touch(&self.future);
        Self::touch(&self.output);
        Self::touch(&self.join_waker);
        assert_eq!(self.freed.fetch_add(1, Relaxed), 0, "freed twice");
    }

    fn drop_ref(&self) {
        if self.state.drop_ref() {
            self.free();
        }
    }

    /// Completes the task as `TaskRef::finish` does.
    fn finish(&self) {
        Self::touch(&self.future); // dropped
        let mut stored = self.state.wants_output();
        if stored {
            Self::touch(&self.output);
        }
        let completed = loop {
            match self.state.complete(stored) {
                Ok(completed) => break completed,
                Err(()) => {
                    Self::touch(&self.output);
                    stored = false;
                }
            }
        };
        match completed {
            Completed::Released => {}
            Completed::Free => self.free(),
            Completed::WakeJoin => {
                assert_ne!(Self::touch(&self.join_waker), 1, "no waker was stored");
                self.woken.fetch_add(1, Relaxed);
                self.drop_ref();
            }
        }
    }

    /// Takes the queue entry, if there is one.
    fn dequeue(&self) -> bool {
        self.queue.load(Relaxed) == 1 && self.queue.compare_exchange(1, 0, Relaxed, Relaxed).is_ok()
    }

    /// Drops a handle without a waker.
    fn drop_handle(&self) {
        match self.state.drop_handle(false) {
            HandleDropped::Released => {}
            HandleDropped::Free => self.free(),
            HandleDropped::DropWaker => unreachable!("no waker was set"),
            HandleDropped::DropOutput => {
                Self::touch(&self.output);
                self.drop_ref();
            }
        }
    }

    fn freed(&self) -> bool {
        self.freed.load(Relaxed) == 1
    }
}

/// A foreign thread writes, then wakes. The poll that follows, if not the one in progress, sees the write.
fn a_wake_is_never_lost() {
    check(|| {
        let slot = Slot::new();
        slot.state.add_ref(); // a waker
        let written = Arc::new(AtomicU32::new(0));
        let waker = {
            let (slot, written) = (Arc::clone(&slot), Arc::clone(&written));
            thread::spawn(move || {
                written.store(1, Relaxed);
                slot.act(slot.state.wake_by_val());
            })
        };
        let poll = |slot: &Slot| {
            assert!(slot.dequeue());
            assert_eq!(slot.state.begin_poll(), BeginPoll::Poll);
            Slot::touch(&slot.future);
            let seen = written.load(Relaxed) == 1;
            if !seen && slot.state.end_poll() == EndPoll::Requeue {
                slot.queue.fetch_add(1, Relaxed);
            }
            seen
        };
        let mut seen = poll(&slot);
        waker.join().unwrap();
        if !seen && slot.queue.load(Relaxed) == 1 {
            seen = poll(&slot);
        }
        assert!(seen, "the task sleeps, and its wakeup is gone");
    });
}

#[test]
fn loom_state_a_wake_is_never_lost() {
    a_wake_is_never_lost();
}

/// A task that yields in a loop never goes IDLE; a waker that finds it QUEUED must still publish (S4).
fn a_wake_that_finds_the_task_queued_is_seen() {
    check(|| {
        let slot = Slot::new();
        slot.state.add_ref();
        let written = Arc::new(AtomicU32::new(0));
        let waker = {
            let (slot, written) = (Arc::clone(&slot), Arc::clone(&written));
            thread::spawn(move || {
                written.store(1, Relaxed);
                let action = slot.state.wake_by_ref();
                let enqueue = action == WakeAction::Enqueue;
                slot.act(action);
                enqueue
            })
        };
        assert!(slot.dequeue());
        assert_eq!(slot.state.begin_poll(), BeginPoll::Poll);
        let seen = written.load(Relaxed) == 1;
        let again = slot.state.end_poll();
        let enqueued = waker.join().unwrap();
        assert!(seen || again == EndPoll::Requeue || enqueued, "nobody polls it again");
    });
}

#[test]
fn loom_state_a_wake_that_finds_the_task_queued_is_seen() {
    a_wake_that_finds_the_task_queued_is_seen();
}

/// The handle registers a waker, or takes the output, while the task completes.
fn handle_against_completion() {
    check(|| {
        let slot = Slot::new();
        let handle = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                if !slot.state.is_complete() {
                    Slot::touch(&slot.join_waker);
                    if slot.state.set_join_waker() {
                        return true; // waits to be woken
                    }
                }
                assert_eq!(Slot::read(&slot.output), 1);
                slot.drop_ref();
                false
            })
        };
        assert!(slot.dequeue());
        assert_eq!(slot.state.begin_poll(), BeginPoll::Poll);
        slot.finish();
        if handle.join().unwrap() {
            assert_eq!(slot.woken.load(Relaxed), 1, "the handle waits for ever");
            assert!(slot.state.is_complete());
            assert_eq!(Slot::read(&slot.output), 1);
            slot.drop_ref();
        }
        assert!(slot.freed());
    });
}

#[test]
fn loom_state_a_handle_is_woken_or_finds_the_output() {
    handle_against_completion();
}

/// The handle is dropped, a waker is dropped, and the task completes: freed once, by the last.
fn three_drop_at_once() {
    check(|| {
        let slot = Slot::new();
        slot.state.add_ref();
        let handle = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.drop_handle())
        };
        let waker = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.drop_ref())
        };
        assert!(slot.dequeue());
        assert_eq!(slot.state.begin_poll(), BeginPoll::Poll);
        slot.finish();
        handle.join().unwrap();
        waker.join().unwrap();
        assert!(slot.freed(), "leaked: {:?}", slot.state);
    });
}

#[test]
fn loom_state_the_last_of_three_frees() {
    three_drop_at_once();
}

/// A handle that has set its waker is dropped while the task completes.
#[test]
fn loom_state_a_waiting_handle_is_dropped() {
    check(|| {
        let slot = Slot::new();
        Slot::touch(&slot.join_waker);
        assert!(slot.state.set_join_waker());
        let handle = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || match slot.state.drop_handle(true) {
                HandleDropped::DropWaker => {
                    Slot::touch(&slot.join_waker);
                    slot.drop_ref();
                }
                HandleDropped::DropOutput => {
                    Slot::touch(&slot.output);
                    slot.drop_ref();
                }
                other => unreachable!("{other:?}"),
            })
        };
        assert!(slot.dequeue());
        assert_eq!(slot.state.begin_poll(), BeginPoll::Poll);
        slot.finish();
        handle.join().unwrap();
        assert!(slot.freed());
    });
}

/// An abort beside a poll: the future is dropped exactly once, by the one who runs the task.
#[test]
fn loom_state_an_abort_is_seen_once() {
    check(|| {
        let slot = Slot::new();
        let aborter = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.act(slot.state.abort()))
        };
        let mut cancelled = 0;
        let mut turn = |slot: &Slot| match slot.state.begin_poll() {
            BeginPoll::Cancel => cancelled += 1,
            BeginPoll::Poll => {
                Slot::touch(&slot.future);
                cancelled += u32::from(slot.state.end_poll() == EndPoll::Cancel);
            }
        };
        assert!(slot.dequeue());
        turn(&slot);
        aborter.join().unwrap();
        if slot.dequeue() {
            turn(&slot);
        }
        assert_eq!(cancelled, 1);
        slot.finish();
        slot.drop_handle();
        assert!(slot.freed());
    });
}

/// Shutdown enumerates slots without a reference, while a detached task runs on the unique path, ends, and its
/// slot is used again for a task that another thread polls and leaves IDLE.
fn enumeration_against_reuse() {
    check(|| {
        let slot = Slot::new();
        slot.drop_handle(); // unique from here on
        let sweeper = {
            let slot = Arc::clone(&slot);
            thread::spawn(move || match slot.state.claim() {
                Claim::Claimed => {
                    Slot::touch(&slot.future);
                    true
                }
                Claim::Gone | Claim::Queued | Claim::Running => false,
            })
        };
        // The first task: polled once, yields, polled again, complete.
        assert_eq!(slot.state.begin_poll(), BeginPoll::Poll);
        Slot::touch(&slot.future);
        assert_eq!(slot.state.end_poll_yield(), EndPoll::Requeue);
        assert_eq!(slot.state.begin_poll(), BeginPoll::Poll);
        Slot::touch(&slot.future);
        assert_eq!(slot.state.complete(false), Ok(Completed::Free));
        Slot::touch(&slot.future);
        slot.state.retire();
        // The second, in the same slot: goes IDLE, so that the sweeper may claim it.
        Slot::touch(&slot.future);
        slot.state.spawn();
        assert_eq!(slot.state.drop_handle(false), HandleDropped::Released);
        assert_eq!(slot.state.begin_poll(), BeginPoll::Poll);
        Slot::touch(&slot.future);
        assert_eq!(slot.state.end_poll(), EndPoll::Idle);
        let claimed = sweeper.join().unwrap();
        if !claimed {
            assert_eq!(slot.state.claim(), Claim::Claimed, "an IDLE task is found by the next sweep");
        }
        assert_eq!(slot.state.complete(false), Ok(Completed::Free));
    });
}

#[test]
fn loom_state_enumeration_against_reuse() {
    enumeration_against_reuse();
}

#[test]
fn loom_state_canary_a_wake_must_publish() {
    weaken::without("state.wake", a_wake_is_never_lost);
    weaken::without("state.begin", a_wake_that_finds_the_task_queued_is_seen);
}

#[test]
fn loom_state_canary_completion_must_publish_the_output() {
    weaken::without("state.complete", handle_against_completion);
    weaken::without("state.join", handle_against_completion);
}

#[test]
fn loom_state_canary_the_last_reference_must_acquire() {
    weaken::without("state.drop_ref", three_drop_at_once);
}

#[test]
fn loom_state_canary_a_claim_must_acquire() {
    weaken::without("state.claim", enumeration_against_reuse);
}
