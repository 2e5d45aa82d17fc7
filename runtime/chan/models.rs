//! Loom models of the channel: a hand-off against a cancel, a close, a look without the lock.
//!
//! Go counterpart: none.
//!
//! M1. Each model runs the interleavings with up to three preemptions that loom tells apart, and more than one.
//! M2. Each ordering that a model is there for has a canary, which takes it away and must fail.
//!
//! ```text
//!   main:   park ── poll again ── drop ──┐ join ─▶ where is the value? who was woken?
//!   other:  send, receive or close ──────┘
//! ```
//!
//! Absent: `send_blocking` and `recv_blocking`, whose parker sleeps for real.

use super::shared::Shared;
use super::{Permit, RecvError, Sender, bounded};
use crate::models::frame::{Polled, model};
use crate::sys::primitive::{AtomicOrdering, AtomicUsize as LoomUsize, weaken};
use loom::thread;
use std::sync::Arc;
use std::task::Poll::{Pending, Ready};

fn hand_off_against_cancel(capacity: usize) {
    model(move || {
        let (tx, rx) = bounded(capacity);
        let mut receive = Polled::parked(rx.recv());
        let other = thread::spawn(move || tx.try_send(7));
        let got = receive.poll();
        let woken = Arc::clone(&receive.woken);
        drop(receive); // still in line, or with the value, or done
        let sent = other.join().unwrap().is_ok();
        match got {
            Ready(value) => assert_eq!((value, sent, woken.get()), (Ok(7), true, 1)),
            Pending if sent => assert_eq!(rx.try_recv(), Ok(7)),
            Pending => assert_eq!(capacity, 0, "a slot was free"),
        }
        assert!(rx.try_recv().is_err(), "it comes once");
    });
}

#[test]
fn a_value_handed_to_a_receive_that_is_dropped_is_in_the_channel() {
    hand_off_against_cancel(1);
}

/// Values that go through the buffer, and concern nobody else. Without the two halves: when a canary fails nothing must
/// reach the state again, not even a drop.
fn plain_values() {
    model(|| {
        let shared = loom::sync::Arc::new(Shared::new(2));
        shared.try_send(1).unwrap();
        let other = loom::sync::Arc::clone(&shared);
        let sends = thread::spawn(move || other.try_send(2).unwrap());
        let mut got: Vec<_> = std::iter::from_fn(|| shared.try_recv().ok()).collect();
        sends.join().unwrap();
        got.extend(std::iter::from_fn(|| shared.try_recv().ok()));
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn values_that_only_pass_the_buffer_keep_their_order() {
    plain_values();
}

#[test]
fn canary_the_lock_needs_its_acquire() {
    weaken::without("Shared::lock_if", plain_values);
}

#[test]
fn canary_the_lock_needs_its_release() {
    weaken::without("Shared::store", plain_values);
}

#[test]
fn a_rendezvous_with_a_receive_that_is_dropped_loses_nothing() {
    hand_off_against_cancel(0);
}

#[test]
fn canary_a_hand_off_needs_its_acquire() {
    weaken::without("Node::phase", || hand_off_against_cancel(1));
}

#[test]
fn canary_a_hand_off_needs_its_release() {
    weaken::without("Node::settle", || hand_off_against_cancel(1));
}

#[test]
fn a_dropped_receive_passes_its_value_to_the_next_in_line() {
    model(|| {
        let (tx, rx) = bounded(1);
        let first = Polled::parked(rx.recv());
        let mut second = Polled::parked(rx.recv());
        let other = thread::spawn(move || tx.try_send(7).unwrap());
        drop(first);
        other.join().unwrap();
        assert_eq!(second.woken(), 1);
        assert_eq!(second.poll(), Ready(Ok(7)));
    });
}

#[test]
fn a_send_that_is_dropped_is_delivered_once_or_not_at_all() {
    for capacity in [0, 1] {
        model(move || {
            let (tx, rx) = bounded(capacity);
            (0..capacity).for_each(|_| tx.try_send(0).unwrap());
            let mut send = Polled::parked(tx.send(7));
            let other = thread::spawn(move || {
                let first = rx.try_recv();
                (first, rx)
            });
            let sent = send.poll();
            drop(send);
            let (first, rx) = other.join().unwrap();
            let got =
                std::iter::from_fn(|| rx.try_recv().ok()).chain(first).filter(|value| *value == 7).count();
            assert!(got <= 1, "twice");
            assert!(sent.is_pending() || got == 1, "it said that it was sent");
        });
    }
}

#[test]
fn a_reserve_that_was_granted_and_is_dropped_passes_its_slot_on() {
    model(|| {
        let (tx, rx) = bounded(1);
        tx.try_send(0).unwrap();
        let first = Polled::parked(tx.reserve());
        let mut second = Polled::parked(tx.send(1));
        let other = thread::spawn(move || {
            assert_eq!(rx.try_recv(), Ok(0));
            rx
        });
        drop(first);
        let rx = other.join().unwrap();
        assert_eq!(second.woken(), 1);
        assert_eq!(second.poll(), Ready(Ok(())));
        assert_eq!(rx.try_recv(), Ok(1));
    });
}

#[test]
fn a_close_wakes_whoever_waits_and_whoever_comes_sees_it() {
    model(|| {
        let (tx, rx) = bounded::<u8>(1);
        let mut early = Polled::parked(rx.recv());
        let mut late = Polled::new(rx.recv());
        let other = thread::spawn(move || drop(tx));
        let before = late.poll();
        let dropped = Polled::new(rx.recv()).poll();
        other.join().unwrap();
        assert!(dropped.is_pending() || dropped == Ready(Err(RecvError)));
        assert_eq!((early.woken(), early.poll()), (1, Ready(Err(RecvError))));
        if before.is_pending() {
            assert_eq!((late.woken(), late.poll()), (1, Ready(Err(RecvError))));
        }
    });
}

/// A sender and a receiver come to a rendezvous at once, and the sender may leave.
#[test]
fn nobody_is_left_waiting_while_the_other_side_waits_too() {
    model(|| {
        let (tx, rx) = bounded(0);
        let other = thread::spawn(move || {
            let mut send = Polled::new(tx.send(7));
            let sent = send.poll();
            (sent.is_ready(), Arc::clone(&send.woken)) // dropped here, if it still waits
        });
        let mut receive = Polled::new(rx.recv());
        let got = receive.poll();
        let (sent, woken) = other.join().unwrap();
        match got {
            Ready(value) => assert!(sent || woken.get() == 1 || value.is_err()),
            // The sender came first, and left; or it came second, and found us in line.
            Pending if sent => assert_eq!((receive.woken(), receive.poll()), (1, Ready(Ok(7)))),
            Pending => assert_eq!(receive.poll(), Ready(Err(RecvError))),
        }
    });
}

/// Both sides first change `turn`, which orders nothing but makes loom try either first: it does not look for a race with
/// a load that lies before a later access of the same thread, and a publication begins with a load of the word.
fn publishes(publish: fn(Sender<u8>, Permit<u8>), look: fn(&Sender<u8>) -> bool) {
    model(move || {
        let (tx, rx) = bounded(1);
        let permit = tx.try_reserve().unwrap();
        let data = loom::sync::Arc::new(LoomUsize::new(0));
        let turn = loom::sync::Arc::new(LoomUsize::new(0));
        let (other_tx, other_data, other_turn) = (tx.clone(), data.clone(), turn.clone());
        let other = thread::spawn(move || {
            // Ordering: Relaxed; what the model asks is whether the channel publishes it.
            other_data.store(1, AtomicOrdering::Relaxed);
            // Ordering: Relaxed; see above.
            other_turn.fetch_add(1, AtomicOrdering::Relaxed);
            publish(other_tx, permit);
        });
        // Ordering: Relaxed; see above.
        turn.fetch_add(1, AtomicOrdering::Relaxed);
        if look(&tx) {
            // Ordering: Relaxed; as above.
            assert_eq!(data.load(AtomicOrdering::Relaxed), 1);
        }
        other.join().unwrap();
        drop(rx);
    });
}

fn closed_publishes() {
    publishes(|tx, _| assert!(tx.close()), Sender::is_closed);
}

#[test]
fn who_sees_the_channel_closed_or_filled_without_the_lock_sees_what_came_before() {
    closed_publishes();
    publishes(|_, permit| permit.send(1).unwrap(), |tx| tx.len() == 1);
}

#[test]
fn canary_a_look_without_the_lock_needs_its_release() {
    weaken::without("Shared::store", closed_publishes);
}
