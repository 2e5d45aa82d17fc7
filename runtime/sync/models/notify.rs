//! Loom models of `Notify`: notifications against waits that begin, are polled again, are dropped.
//!
//! Go counterpart: none.
//!
//! M1. Each model runs the interleavings with up to three preemptions that loom tells apart, and more than one.
//! M2. Each ordering that a model is there for has a canary, which takes it away and must fail.
//!
//! ```text
//!   main:   (park) ── poll ── drop ───────────┐ join ─▶ sent = received + stored? who was woken?
//!   other:  notify_one, notify_waiters, wait ─┘
//! ```
//!
//! Absent: more waiters than a batch holds; `tests/notify.rs` has them.

use super::*;
use crate::models::frame::{Polled, model};
use crate::sys::primitive::{AtomicUsize as LoomUsize, weaken};
use loom::thread;

/// Whether a notification is stored, and whether somebody is said to wait.
fn bits(notify: &Notify) -> (bool, bool) {
    let state = notify.state.load(Acquire);
    (state & STORED != 0, state & WAITING != 0)
}

/// Written before the notification, read after it, in no order but that of the notification.
struct Told {
    notify: Notify,
    news: LoomUsize,
}

impl Told {
    fn new() -> Arc<Self> {
        Arc::new(Self { notify: Notify::new(), news: LoomUsize::new(0) })
    }

    fn write(&self) {
        self.news.store(7, Relaxed);
    }

    fn read(&self) {
        assert_eq!(self.news.load(Relaxed), 7);
    }
}

/// One waits, the other notifies, in any order.
fn told(all: bool) {
    model(move || {
        let told = Told::new();
        let mut notified = Polled::new(told.notify.notified());
        let other = Arc::clone(&told);
        let thread = thread::spawn(move || {
            other.write();
            if all { other.notify.notify_waiters() } else { other.notify.notify_one() }
        });
        let mut ready = notified.poll().is_ready();
        if !ready {
            ready = notified.poll().is_ready();
        }
        if ready {
            told.read();
        }
        thread.join().unwrap();
        if !ready {
            assert_eq!(notified.woken(), 1);
            assert!(notified.poll().is_ready());
        }
        assert_eq!(bits(&told.notify), (false, false));
    });
}

#[test]
fn one_notification_is_received_whether_it_comes_before_the_wait_or_after() {
    told(false);
}

#[test]
fn a_call_to_all_reaches_one_that_was_made_before_polled_or_not() {
    told(true);
}

/// One is made, and waits unless it sees the news: either it sees them, or the call to all came after it was made.
fn told_or_called() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let news = Arc::new(LoomUsize::new(0));
        let (other, seen) = (Arc::clone(&notify), Arc::clone(&news));
        let thread = thread::spawn(move || {
            let mut notified = Polled::new(other.notified_owned());
            (seen.load(Relaxed) == 0).then(|| {
                let _ = notified.poll();
                notified
            })
        });
        news.store(7, Relaxed);
        notify.notify_waiters();
        if let Some(mut notified) = thread.join().unwrap() {
            assert!(notified.poll().is_ready(), "it saw no news, and is not told");
        }
    });
}

#[test]
fn who_is_made_in_the_new_round_sees_what_came_before_it() {
    told_or_called();
}

/// As `told`, with nobody in line: only the word can bring the news.
fn told_by_the_word(all: bool) {
    model(move || {
        let told = Told::new();
        let other = Arc::clone(&told);
        // The one that only looks is the thread that runs second in loom's first interleaving: loom goes back to
        // the last access of a word alone, and a writer's own look before it writes would hide an earlier one.
        let thread = thread::spawn(move || {
            if other.notify.take(0) {
                other.read();
            }
        });
        told.write();
        if all {
            told.notify.notify_waiters()
        } else {
            told.notify.notify_one()
        }
        thread.join().unwrap();
    });
}

#[test]
fn who_takes_a_stored_notification_or_finds_the_round_over_sees_what_came_before() {
    told_by_the_word(false);
    told_by_the_word(true);
}

/// Two notifications that count as one: the second may come between the look of one who takes it and the taking.
fn told_twice() {
    model(|| {
        let told = Told::new();
        told.notify.notify_one();
        let other = Arc::clone(&told);
        let thread = thread::spawn(move || other.notify.take(0).then(|| other.news.load(Relaxed)));
        told.write();
        told.notify.notify_one();
        let seen = thread.join().unwrap();
        if bits(&told.notify) == (false, false) {
            assert_eq!(seen, Some(7), "it took the place of both");
        }
    });
}

#[test]
fn who_takes_two_notifications_in_one_sees_what_came_before_each() {
    told_twice();
}

#[test]
fn canary_one_that_is_made_needs_the_acquire_of_its_round() {
    weaken::without("Notify::round", told_or_called);
}

#[test]
fn canary_a_stored_notification_needs_its_acquire() {
    weaken::without("Notify::take", told_twice);
}

#[test]
fn canary_a_notification_needs_its_release() {
    weaken::without("Notify::notify", || told_by_the_word(false));
}

#[test]
fn canary_the_round_needs_its_acquire() {
    weaken::without("Notify::take, the round", || told_by_the_word(true));
}

#[test]
fn canary_the_round_needs_its_release() {
    weaken::without("Notify::notify_waiters", || told_by_the_word(true));
}

#[test]
fn canary_a_settled_waiter_needs_the_acquire_of_its_phase() {
    weaken::without("Node::phase", || told(false));
}

#[test]
fn who_finds_in_line_that_its_round_is_over_sees_what_came_before() {
    model(|| {
        let told = Told::new();
        let mut waits = Polled::parked(told.notify.notified());
        let other = Arc::clone(&told);
        let thread = thread::spawn(move || {
            other.write();
            other.notify.notify_waiters();
        });
        if waits.poll().is_ready() {
            told.read();
        }
        thread.join().unwrap();
    });
}

/// tokio: `loom_notify.rs: notify_waiters_poll_consistency`.
#[test]
fn of_two_whom_one_call_notifies_the_second_is_not_seen_without_if_the_first_is_seen_with_it() {
    for parked in [[false, false], [true, false], [false, true], [true, true]] {
        model(move || {
            let notify = Arc::new(Notify::new());
            let mut notified = [(); 2].map(|()| Polled::new(Arc::clone(&notify).notified_owned()));
            for at in 0..2 {
                assert!(!parked[at] || notified[at].poll().is_pending());
            }
            let other = Arc::clone(&notify);
            let thread = thread::spawn(move || other.notify_waiters());
            let [first, second] = &mut notified;
            let first = first.poll();
            let second = second.poll();
            assert!(first.is_pending() || second.is_ready());
            thread.join().unwrap();
            assert!(notified.iter_mut().all(|notified| notified.poll().is_ready()));
            assert_eq!(bits(&notify), (false, false));
        });
    }
}

#[test]
fn a_notification_to_one_that_is_dropped_goes_to_the_next_in_line() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let first = Polled::parked(notify.notified());
        let mut second = Polled::parked(notify.notified());
        let other = Arc::clone(&notify);
        let thread = thread::spawn(move || other.notify_one());
        drop(first);
        thread.join().unwrap();
        assert_eq!(second.woken(), 1);
        assert!(second.poll().is_ready());
        assert_eq!(bits(&notify), (false, false));
    });
}

#[test]
fn a_notification_to_one_that_is_dropped_is_stored_if_nobody_waits() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let notified = Polled::parked(notify.notified());
        let other = Arc::clone(&notify);
        let thread = thread::spawn(move || other.notify_one());
        drop(notified); // still in line, or served
        thread.join().unwrap();
        assert_eq!(bits(&notify), (true, false));
    });
}

/// tokio: `loom_notify.rs: notify_multi`.
#[test]
fn a_notification_that_is_passed_from_one_to_the_other_is_there_in_the_end() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let other = Arc::clone(&notify);
        let thread = thread::spawn(move || {
            let mut notified = Polled::new(other.notified());
            if notified.poll().is_ready() {
                other.notify_one();
            }
        });
        notify.notify_one();
        let mut notified = Polled::new(notify.notified());
        if notified.poll().is_ready() {
            notify.notify_one();
        }
        drop(notified);
        thread.join().unwrap();
        assert_eq!(bits(&notify), (true, false));
    });
}

/// tokio: `loom_notify.rs: notify_waiters_and_one`.
#[test]
fn one_who_is_told_by_two_is_woken_once_and_nothing_is_lost() {
    model(|| {
        let notify = Arc::new(Notify::new());
        let notified = Polled::parked(notify.notified());
        let others = [true, false].map(|all| {
            let notify = Arc::clone(&notify);
            thread::spawn(move || if all { notify.notify_waiters() } else { notify.notify_one() })
        });
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(notified.woken(), 1);
        // Told by all: then the other one is stored. Told by one: then it is passed on.
        drop(notified);
        assert_eq!(bits(&notify), (true, false));
    });
}
