//! What a channel promises, checked through its public face: by polling each future by hand, with wakers
//! that count, so that every interleaving here is chosen and none is waited for.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

use futures_core::Stream;
use gmprt::chan::{
    Permit, Receiver, RecvError, RecvFuture, ReserveFuture, SendError, SendFuture, Sender, TryRecvError,
    TrySendError, bounded,
};
use std::collections::HashSet;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll::{Pending, Ready};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

// ---- a future, a waker that writes its name into a log, and nothing else ----

type Log = Arc<Mutex<Vec<usize>>>;

struct Name(usize, Log);

impl Wake for Name {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

fn waker(name: usize, log: &Log) -> Waker {
    Waker::from(Arc::new(Name(name, Arc::clone(log))))
}

fn log() -> Log {
    Log::default()
}

fn woken(log: &Log) -> Vec<usize> {
    std::mem::take(&mut log.lock().unwrap())
}

fn poll_as<F: Future>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_as(future, Waker::noop())
}

/// A pinned future that was polled once, and waits.
fn parked<F: Future>(future: F) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(poll(&mut future).is_pending());
    future
}

fn parked_as<F: Future>(future: F, name: usize, log: &Log) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(poll_as(&mut future, &waker(name, log)).is_pending());
    future
}

/// The smallest executor that does its work: one future on one thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Ready(output) => return output,
            Pending => thread::park(),
        }
    }
}

fn poll_next<T>(rx: &mut Receiver<T>, waker: &Waker) -> Poll<Option<T>> {
    Pin::new(rx).poll_next(&mut Context::from_waker(waker))
}

/// Counts how many of its kind are alive, and takes the channel's lock when it is dropped: a value dropped
/// under that lock would hang the test.
struct Probe(Arc<AtomicUsize>, Option<Sender<Probe>>);

impl Probe {
    fn new(alive: &Arc<AtomicUsize>, tx: Option<&Sender<Probe>>) -> Self {
        alive.fetch_add(1, SeqCst);
        Self(Arc::clone(alive), tx.cloned())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
        if let Some(tx) = &self.1 {
            tx.close();
        }
    }
}

// ---- order and hand-off ----

#[test]
fn values_leave_in_the_order_in_which_they_entered() {
    let (tx, rx) = bounded(3);
    for n in 0..3 {
        tx.try_send(n).unwrap();
    }
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!((0..4).map(|_| rx.try_recv().ok()).collect::<Vec<_>>(), [Some(0), Some(1), Some(2), None]);
}

#[test]
fn a_value_goes_straight_to_the_receiver_longest_in_line() {
    for capacity in [0, 1, 8] {
        let (tx, rx) = bounded(capacity);
        let log = log();
        let mut receivers: Vec<_> = (0..3).map(|n| parked_as(rx.recv(), n, &log)).collect();
        for n in 0..3 {
            tx.try_send(n).unwrap();
            assert_eq!(rx.len(), 0, "it is with the receiver, not in the channel");
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "nobody overtakes");
        }
        assert_eq!(woken(&log), [0, 1, 2]);
        for n in (0..3).rev() {
            assert_eq!(poll(&mut receivers[n]), Ready(Ok(n)));
        }
    }
}

#[test]
fn a_receiver_on_a_full_buffer_takes_the_head_and_lets_the_first_sender_in() {
    let (tx, rx) = bounded(2);
    tx.try_send(0).unwrap();
    tx.try_send(1).unwrap();
    let log = log();
    let mut first = parked_as(tx.send(2), 2, &log);
    let mut second = parked_as(tx.send(3), 3, &log);
    assert_eq!(rx.try_recv(), Ok(0));
    assert_eq!((rx.len(), woken(&log)), (2, vec![2]));
    assert!(poll(&mut second).is_pending());
    assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)), "the slot was never free");
    assert_eq!(poll(&mut first), Ready(Ok(())));
    assert_eq!((0..4).map(|_| rx.try_recv().ok()).collect::<Vec<_>>(), [Some(1), Some(2), Some(3), None]);
    assert_eq!(poll(&mut second), Ready(Ok(())));
}

#[test]
fn a_rendezvous_takes_the_value_out_of_the_first_senders_hands() {
    let (tx, rx) = bounded(0);
    assert_eq!(tx.try_send(0), Err(TrySendError::Full(0)));
    let mut first = parked(tx.send(1));
    let mut second = parked(tx.send(2));
    assert!(rx.is_empty() && rx.is_full());
    let mut receive = Box::pin(rx.recv());
    assert_eq!(poll(&mut receive), Ready(Ok(1)));
    assert_eq!(poll(&mut first), Ready(Ok(())));
    assert_eq!(rx.try_recv(), Ok(2));
    assert_eq!(poll(&mut second), Ready(Ok(())));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_huge_capacity_costs_nothing() {
    let (tx, rx) = bounded::<[u64; 1024]>(usize::MAX);
    tx.try_send([7; 1024]).unwrap();
    assert_eq!(tx.capacity(), usize::MAX);
    assert_eq!(rx.try_recv().unwrap()[1023], 7);
    let (tx, rx) = bounded::<()>(usize::MAX);
    tx.try_send(()).unwrap();
    assert_eq!(rx.try_recv(), Ok(()));
}

// ---- closing ----

#[test]
fn close_says_whether_the_channel_was_open_and_leaves_what_is_buffered() {
    let (tx, rx) = bounded(2);
    tx.try_send(1).unwrap();
    assert!(rx.close());
    assert!(!tx.close() && !rx.close());
    assert!(tx.is_closed() && rx.is_closed());
    assert_eq!(tx.try_send(2), Err(TrySendError::Closed(2)));
    assert_eq!(poll(&mut Box::pin(tx.send(3))), Ready(Err(SendError(3))));
    assert_eq!(poll(&mut Box::pin(rx.recv())), Ready(Ok(1)));
    assert_eq!(poll(&mut Box::pin(rx.recv())), Ready(Err(RecvError)));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
}

/// Go's `closechan` makes them ready from the top of a stack, so that the first in line runs first.
#[test]
fn close_wakes_every_receiver_in_line_latest_first() {
    let (tx, rx) = bounded::<u8>(1);
    let log = log();
    let mut receivers: Vec<_> = (0..100).map(|n| parked_as(rx.recv(), n, &log)).collect();
    tx.close();
    assert_eq!(woken(&log), (0..100).rev().collect::<Vec<_>>());
    assert!(receivers.iter_mut().all(|receive| poll(receive) == Ready(Err(RecvError))));
}

#[test]
fn close_gives_senders_and_reservers_in_line_their_values_back_latest_first() {
    let (tx, rx) = bounded(0);
    let log = log();
    let mut senders: Vec<_> = (0..40).map(|n| parked_as(tx.send(n), 2 * n, &log)).collect();
    let mut reservers: Vec<_> = (0..40).map(|n| parked_as(tx.reserve(), 100 + n, &log)).collect();
    let mut late = parked_as(tx.send(200), 200, &log);
    drop(rx);
    let order = (0..40).map(|n| 2 * n).chain(100..140).chain([200]);
    let mut order: Vec<_> = order.collect();
    order.reverse();
    assert_eq!(woken(&log), order);
    for (n, send) in senders.iter_mut().enumerate() {
        assert_eq!(poll(send), Ready(Err(SendError(n))));
    }
    assert!(reservers.iter_mut().all(|reserve| matches!(poll(reserve), Ready(Err(SendError(()))))));
    assert_eq!(poll(&mut late), Ready(Err(SendError(200))));
}

#[test]
fn the_last_sender_closes_and_the_last_receiver_too() {
    let (tx, rx) = bounded::<u8>(1);
    let (other_tx, other_rx) = (tx.clone(), rx.clone());
    drop(tx);
    assert!(!rx.is_closed());
    drop(rx);
    assert!(!other_tx.is_closed());
    drop(other_rx);
    assert!(other_tx.is_closed());
    let (tx, rx) = bounded::<u8>(1);
    drop(tx);
    assert!(rx.is_closed());
}

#[test]
fn the_last_receiver_drops_what_is_buffered_with_the_lock_released() {
    let alive = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = bounded(4);
    for _ in 0..4 {
        tx.try_send(Probe::new(&alive, Some(&tx))).ok().unwrap();
    }
    drop(rx);
    assert_eq!(alive.load(SeqCst), 0);
}

// ---- cancelling ----

#[test]
fn a_value_handed_to_a_dropped_receive_goes_to_the_next_in_line() {
    for capacity in [0, 1] {
        let (tx, rx) = bounded(capacity);
        let log = log();
        let first = parked_as(rx.recv(), 1, &log);
        let mut second = parked_as(rx.recv(), 2, &log);
        tx.try_send('v').unwrap();
        drop(first);
        assert_eq!(woken(&log), [1, 2]);
        assert_eq!(poll(&mut second), Ready(Ok('v')));
    }
}

#[test]
fn values_come_back_in_their_old_order_ahead_of_the_buffer() {
    for drop_order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (tx, rx) = bounded(2);
        let mut receivers: Vec<_> = (0..3).map(|_| Some(parked(rx.recv()))).collect();
        for n in 0..5 {
            tx.try_send(n).unwrap();
        }
        let mut sender = parked(tx.send(5));
        for n in drop_order {
            receivers[n] = None;
        }
        assert_eq!(rx.len(), 5, "it counts, even above the capacity");
        assert!(tx.try_send(9).is_err());
        let rest: Vec<_> = std::iter::from_fn(|| rx.try_recv().ok()).collect();
        assert_eq!(rest, [0, 1, 2, 3, 4, 5], "dropped as {drop_order:?}");
        assert_eq!(poll(&mut sender), Ready(Ok(())));
    }
}

#[test]
fn a_value_keeps_its_number_when_it_comes_back_twice() {
    let (tx, rx) = bounded(1);
    let a = parked(rx.recv());
    let b = parked(rx.recv());
    let c = parked(rx.recv());
    tx.try_send(1).unwrap(); // to a
    tx.try_send(2).unwrap(); // to b
    drop(a); // 1 goes on to c
    drop(b); // 2 comes back
    drop(c); // 1 comes back, ahead of it
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(1), Ok(2)));
}

#[test]
fn a_value_that_comes_back_holds_closed_back() {
    for capacity in [0, 1] {
        let (tx, rx) = bounded(capacity);
        let first = parked(rx.recv());
        let mut second = parked(rx.recv());
        tx.try_send(1).unwrap();
        drop(tx);
        drop(first);
        assert_eq!(rx.len(), 1);
        assert_eq!(
            poll(&mut second),
            Ready(Ok(1)),
            "it was told that the channel is closed, but looks again"
        );
        assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    }
}

#[test]
fn a_parked_send_that_is_dropped_takes_its_value_along() {
    for capacity in [0, 1] {
        let (tx, rx) = bounded(capacity);
        let alive = Arc::new(AtomicUsize::new(0));
        for _ in 0..capacity {
            tx.try_send(Probe::new(&alive, None)).ok().unwrap();
        }
        let before = alive.load(SeqCst);
        let send = parked(tx.send(Probe::new(&alive, None)));
        drop(send);
        assert_eq!(alive.load(SeqCst), before);
        assert_eq!(std::iter::from_fn(|| rx.try_recv().ok()).count(), capacity);
    }
}

#[test]
fn a_parked_send_that_was_taken_and_then_dropped_is_delivered_once() {
    let (tx, rx) = bounded(0);
    let send = parked(tx.send(1));
    assert_eq!(rx.try_recv(), Ok(1));
    drop(send);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let (tx, rx) = bounded(1);
    tx.try_send(1).unwrap();
    let send = parked(tx.send(2));
    assert_eq!(rx.try_recv(), Ok(1));
    drop(send);
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(2), Err(TryRecvError::Empty)));
}

#[test]
fn those_dropped_from_the_middle_of_a_line_leave_the_others_in_order() {
    let (tx, rx) = bounded(0);
    let mut senders: Vec<_> = (0..5).map(|n| Some(parked(tx.send(n)))).collect();
    for n in [2, 0, 4] {
        senders[n] = None;
    }
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(1), Ok(3)));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_leaked_wait_stays_in_line_for_ever_and_harms_nobody() {
    /// Where the leaked futures are, so that a leak checker sees that they are meant to be.
    static LEAKED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    fn leak<F: Future>(future: Pin<Box<F>>) {
        LEAKED.lock().unwrap().push(std::ptr::from_ref(&*future).addr());
        std::mem::forget(future);
    }
    let (tx, rx) = bounded(0);
    leak(parked(rx.recv()));
    tx.try_send(1).unwrap();
    leak(parked(tx.send(2)));
    assert_eq!(rx.try_recv(), Ok(2));
    leak(parked(rx.recv()));
    drop((tx, rx));
}

// ---- wakers ----

#[test]
fn the_last_waker_counts_and_one_that_wakes_the_same_task_is_kept() {
    let (tx, rx) = bounded(1);
    let log = log();
    let (one, two) = (waker(1, &log), waker(2, &log));
    let mut receive = Box::pin(rx.recv());
    for waker in [&one, &two, &two.clone(), &one, &two] {
        assert!(poll_as(&mut receive, waker).is_pending());
    }
    tx.try_send(0).unwrap();
    assert_eq!(woken(&log), [2]);
    assert_eq!(poll_as(&mut receive, &one), Ready(Ok(0)));
}

#[expect(unsafe_code, reason = "only a `RawWaker` sees when it is cloned")]
mod acting {
    use std::sync::Arc;
    use std::task::{RawWaker, RawWakerVTable, Waker};

    /// Runs `act` whenever the waker, or a clone of it, is cloned, woken or dropped.
    pub(crate) fn waker<F: Fn() + Send + Sync + 'static>(act: F) -> Waker {
        let raw = raw(Arc::new(act));
        // SAFETY: the vtable of `raw` keeps the contract of `RawWaker`: its data is a counted reference to an
        // `F`, which is `Send`, `Sync` and `'static`.
        unsafe { Waker::from_raw(raw) }
    }

    fn raw<F: Fn() + Send + Sync + 'static>(act: Arc<F>) -> RawWaker {
        let vtable = const { &RawWakerVTable::new(clone::<F>, wake::<F>, wake_by_ref::<F>, wake::<F>) };
        RawWaker::new(Arc::into_raw(act).cast(), vtable)
    }

    unsafe fn clone<F: Fn() + Send + Sync + 'static>(data: *const ()) -> RawWaker {
        // SAFETY: the data is a counted reference to an `F`; the clone owns a new one.
        unsafe { Arc::increment_strong_count(data.cast::<F>()) };
        // SAFETY: the reference just made.
        let act = unsafe { Arc::from_raw(data.cast::<F>()) };
        act();
        raw(act)
    }

    unsafe fn wake<F: Fn() + Send + Sync + 'static>(data: *const ()) {
        // SAFETY: wake and drop own the reference.
        let act = unsafe { Arc::from_raw(data.cast::<F>()) };
        act();
    }

    unsafe fn wake_by_ref<F: Fn() + Send + Sync + 'static>(data: *const ()) {
        // SAFETY: the waker, which is borrowed, has the reference.
        let act = unsafe { &*data.cast::<F>() };
        act();
    }
}

/// Each act of these wakers takes the lock of the very channel: if the channel held it, the test would hang.
#[test]
fn wakers_are_cloned_woken_and_dropped_with_the_lock_released() {
    for end in 0..4 {
        let (tx, rx) = bounded::<u8>(8);
        let acts = Arc::new(AtomicUsize::new(0));
        let waker = || {
            let (tx, acts) = (tx.clone(), Arc::clone(&acts));
            acting::waker(move || {
                acts.fetch_add(1, SeqCst);
                drop(tx.try_reserve());
            })
        };
        let mut receive = Box::pin(rx.recv());
        assert!(poll_as(&mut receive, &waker()).is_pending()); // cloned; the original is dropped
        assert!(poll_as(&mut receive, &waker()).is_pending()); // replaced by another
        assert_eq!(acts.load(SeqCst), 5);
        match end {
            0 => drop(receive),
            1 => tx.try_send(1).unwrap(),
            2 => assert!(tx.close()),
            _ => tx.try_reserve().unwrap().send(1).unwrap(),
        }
        assert_eq!(acts.load(SeqCst), 6);
    }
}

#[test]
fn siblings_of_a_waker_that_panics_are_woken_all_the_same() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker's panic");
        }
    }
    let (tx, rx) = bounded::<u8>(1);
    let log = log();
    let bad = Waker::from(Arc::new(Panics));
    let mut receivers = Vec::new();
    for n in 0..80 {
        let mut receive = Box::pin(rx.recv());
        let good = waker(n, &log);
        assert!(poll_as(&mut receive, if n % 3 == 0 { &bad } else { &good }).is_pending());
        receivers.push(receive);
    }
    let panic = catch_unwind(AssertUnwindSafe(|| tx.close())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"a waker's panic"));
    assert_eq!(woken(&log), (0..80).rev().filter(|n| n % 3 != 0).collect::<Vec<_>>());
    assert!(receivers.iter_mut().all(|receive| poll(receive) == Ready(Err(RecvError))));
}

#[test]
fn a_value_whose_receiver_panics_in_a_foreign_waker_stays_in_the_channel() {
    for capacity in [0, 1] {
        let (tx, rx) = bounded(capacity);
        (0..capacity).for_each(|n| tx.try_send(n).unwrap());
        for by_future in [false, true] {
            let woken = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&woken);
            // It is cloned and the original dropped; the third act is the wake.
            let panics = acting::waker(move || assert!(count.fetch_add(1, SeqCst) != 2, "a waker's panic"));
            let mut send = Box::pin(tx.send(7));
            assert!(poll_as(&mut send, &panics).is_pending());
            drop(panics);
            let panic = catch_unwind(AssertUnwindSafe(|| {
                if by_future { poll(&mut Box::pin(rx.recv())).is_ready() } else { rx.try_recv().is_ok() }
            }));
            assert!(panic.is_err());
            assert_eq!(poll(&mut send), Ready(Ok(())));
            let left: Vec<_> = std::iter::from_fn(|| rx.try_recv().ok()).collect();
            assert_eq!(left, if capacity == 0 { vec![7] } else { vec![0, 7] });
            (0..capacity).for_each(|n| tx.try_send(n).unwrap());
        }
    }
}

// ---- permits ----

#[test]
fn a_permit_counts_as_a_used_slot_until_it_is_sent_or_dropped() {
    let (tx, rx) = bounded(2);
    let first = tx.try_reserve().unwrap();
    let second = block_on(tx.reserve()).unwrap();
    assert!(tx.is_full() && tx.is_empty());
    assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)));
    assert!(tx.try_reserve().unwrap_err().is_full());
    drop(first);
    tx.try_send(1).unwrap();
    assert!(tx.is_full());
    second.send(2).unwrap();
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(1), Ok(2)));
    assert!(!tx.is_full());
}

#[test]
fn a_slot_goes_to_senders_and_reservers_in_one_line() {
    let (tx, rx) = bounded(1);
    let permit = tx.try_reserve().unwrap();
    let log = log();
    let mut line: (_, Pin<Box<ReserveFuture<'_, u8>>>, _) =
        (parked_as(tx.send(1), 1, &log), parked_as(tx.reserve(), 2, &log), parked_as(tx.send(3), 3, &log));
    drop(permit);
    assert_eq!(woken(&log), [1]);
    assert_eq!(poll(&mut line.0), Ready(Ok(())));
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(woken(&log), [2]);
    let Ready(Ok(permit)) = poll(&mut line.1) else { panic!("it was granted") };
    assert_eq!(woken(&log), []);
    permit.send(2).unwrap();
    assert_eq!(rx.try_recv(), Ok(2));
    assert_eq!(woken(&log), [3]);
    assert_eq!(poll(&mut line.2), Ready(Ok(())));
    assert_eq!(rx.try_recv(), Ok(3));
}

#[test]
fn a_granted_reserve_that_is_dropped_passes_its_slot_on() {
    let (tx, rx) = bounded(1);
    tx.try_send(0).unwrap();
    let log = log();
    let first = parked_as(tx.reserve(), 1, &log);
    let mut second = parked_as(tx.reserve(), 2, &log);
    let mut third = parked_as(tx.send(3), 3, &log);
    assert_eq!(rx.try_recv(), Ok(0));
    assert_eq!(woken(&log), [1]);
    drop(first);
    assert_eq!(woken(&log), [2]);
    let Ready(Ok(permit)) = poll(&mut second) else { panic!("it was granted") };
    drop(permit);
    assert_eq!(woken(&log), [3]);
    assert_eq!(poll(&mut third), Ready(Ok(())));
    assert_eq!(rx.try_recv(), Ok(3));
}

#[test]
fn values_pass_between_senders_and_receivers_although_permits_hold_every_slot() {
    let (tx, rx) = bounded(1);
    let permit = tx.try_reserve().unwrap();
    let mut sender = parked(tx.send(1));
    assert_eq!(rx.try_recv(), Ok(1), "straight out of its hands");
    assert_eq!(poll(&mut sender), Ready(Ok(())));
    let mut receive = parked(rx.recv());
    tx.try_send(2).unwrap();
    assert_eq!(poll(&mut receive), Ready(Ok(2)), "straight into its hands");
    permit.send(3).unwrap();
    assert_eq!(rx.try_recv(), Ok(3));
}

#[test]
fn a_permit_sent_to_a_waiting_receiver_frees_its_slot_for_the_next() {
    let (tx, rx) = bounded(1);
    let permit = tx.try_reserve().unwrap();
    let mut reserve = parked(tx.reserve());
    let mut receive = parked(rx.recv());
    permit.send(1).unwrap();
    assert_eq!(poll(&mut receive), Ready(Ok(1)));
    assert!(matches!(poll(&mut reserve), Ready(Ok(_))));
}

#[test]
fn a_permit_keeps_the_channel_open_and_fails_once_it_is_closed() {
    let (tx, rx) = bounded(1);
    let permit = tx.try_reserve().unwrap();
    drop(tx);
    assert!(!rx.is_closed());
    permit.send(1).unwrap();
    assert!(rx.is_closed());
    assert_eq!(rx.try_recv(), Ok(1));

    let (tx, rx) = bounded(1);
    let permit = tx.try_reserve().unwrap();
    let mut receive = parked(rx.recv());
    tx.close();
    assert_eq!(poll(&mut receive), Ready(Err(RecvError)), "it does not wait for the permit");
    assert_eq!(permit.send(1), Err(SendError(1)));
    assert!(matches!(tx.try_reserve(), Err(TrySendError::Closed(()))));
    assert!(matches!(block_on(tx.reserve()), Err(SendError(()))));
}

#[test]
fn a_rendezvous_permit_claims_a_receiver() {
    let (tx, rx) = bounded(0);
    let mut reserve = parked(tx.reserve());
    let mut first = parked(rx.recv());
    let Ready(Ok(permit)) = poll(&mut reserve) else { panic!("a receiver is in line") };
    assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)), "that receiver is claimed");
    let mut sender = parked(tx.send(2));
    let mut second = Box::pin(rx.recv());
    assert_eq!(poll(&mut second), Ready(Ok(2)), "the next receiver is free");
    assert_eq!(poll(&mut sender), Ready(Ok(())));
    permit.send(1).unwrap();
    assert_eq!(poll(&mut first), Ready(Ok(1)));
}

#[test]
fn a_dropped_rendezvous_permit_gives_its_receiver_to_the_next_in_line() {
    let (tx, rx) = bounded(0);
    let mut receive = parked(rx.recv());
    let permit = tx.try_reserve().unwrap();
    let mut sender = parked(tx.send(1));
    let mut reserve = parked(tx.reserve());
    drop(permit);
    assert_eq!(poll(&mut sender), Ready(Ok(())));
    assert_eq!(poll(&mut receive), Ready(Ok(1)));
    assert!(poll(&mut reserve).is_pending());
    let mut receive = parked(rx.recv());
    let Ready(Ok(permit)) = poll(&mut reserve) else { panic!("a receiver is in line") };
    permit.send(2).unwrap();
    assert_eq!(poll(&mut receive), Ready(Ok(2)));
}

#[test]
fn what_a_rendezvous_permit_sends_waits_in_the_channel_if_its_receiver_is_gone() {
    let (tx, rx) = bounded(0);
    let receive = parked(rx.recv());
    let permit = tx.try_reserve().unwrap();
    drop(receive);
    permit.send(1).unwrap();
    assert_eq!(rx.len(), 1);
    assert_eq!(rx.try_recv(), Ok(1));

    // Or the next receiver takes the place of the one that is gone.
    let receive = parked(rx.recv());
    let permit = tx.try_reserve().unwrap();
    drop(receive);
    let mut sender = parked(tx.send(2));
    let mut next = parked(rx.recv());
    permit.send(3).unwrap();
    assert_eq!(poll(&mut next), Ready(Ok(3)));
    assert_eq!(rx.try_recv(), Ok(2));
    assert_eq!(poll(&mut sender), Ready(Ok(())));
}

// ---- streams ----

#[test]
fn a_stream_yields_every_value_and_ends_with_the_channel() {
    let (tx, mut rx) = bounded(1);
    let log = log();
    let waker = waker(1, &log);
    for round in 0..3 {
        assert!(poll_next(&mut rx, &waker).is_pending());
        tx.try_send(round).unwrap();
        assert_eq!(woken(&log), [1]);
        assert_eq!(poll_next(&mut rx, &waker), Ready(Some(round)));
    }
    tx.try_send(9).unwrap();
    assert_eq!(poll_next(&mut rx, &waker), Ready(Some(9)));
    assert!(poll_next(&mut rx, &waker).is_pending());
    drop(tx);
    assert_eq!(woken(&log), [1]);
    assert_eq!(poll_next(&mut rx, &waker), Ready(None));
    assert_eq!(poll_next(&mut rx, &waker), Ready(None));
}

#[test]
fn a_value_with_an_abandoned_stream_is_found_by_the_same_receiver_in_its_order() {
    let (tx, mut rx) = bounded(2);
    assert!(poll_next(&mut rx, Waker::noop()).is_pending());
    tx.try_send(1).unwrap(); // with the stream
    tx.try_send(2).unwrap();
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(1), Ok(2)));
    assert!(poll_next(&mut rx, Waker::noop()).is_pending());
    let mut receive = parked(rx.recv());
    tx.try_send(3).unwrap();
    assert_eq!(poll(&mut receive), Ready(Ok(3)), "the stream had left the line");
}

#[test]
fn a_value_with_a_dropped_stream_goes_to_the_next_receiver() {
    let (tx, mut rx) = bounded(1);
    let other = rx.clone();
    assert!(poll_next(&mut rx, Waker::noop()).is_pending());
    tx.try_send(1).unwrap();
    let mut receive = parked(other.recv());
    drop(rx);
    assert_eq!(poll(&mut receive), Ready(Ok(1)));
}

// ---- threads ----

#[test]
fn blocking_halves_meet_at_every_capacity() {
    for capacity in [0, 1, 3] {
        let (tx, rx) = bounded(capacity);
        let sender = thread::spawn(move || (0..1000).for_each(|n| tx.send_blocking(n).unwrap()));
        for n in 0..1000 {
            assert_eq!(rx.recv_blocking(), Ok(n));
        }
        assert_eq!(rx.recv_blocking(), Err(RecvError));
        sender.join().unwrap();
    }
    let (tx, rx) = bounded(1);
    drop(rx);
    assert_eq!(tx.send_blocking(1), Err(SendError(1)));
}

/// Senders send numbered values, some by permit; receivers drop every so-manieth receive half way. Every value
/// must arrive exactly once, and those of one sender in order at each receiver that never cancels.
#[test]
fn every_value_arrives_exactly_once_while_others_cancel() {
    const EACH: usize = 4000;
    for (capacity, cancel) in [(0, false), (0, true), (1, true), (7, false), (7, true)] {
        let (tx, rx) = bounded::<(usize, usize)>(capacity);
        let senders: Vec<_> = (0..3)
            .map(|who| {
                let tx = tx.clone();
                thread::spawn(move || {
                    for n in 0..EACH {
                        if n % 5 == 4 {
                            let permit = block_on(tx.reserve()).unwrap();
                            permit.send((who, n)).unwrap();
                        } else {
                            if cancel && n % 7 == 3 {
                                // Begin to reserve, and give up.
                                let _ = poll(&mut Box::pin(tx.reserve()));
                            }
                            block_on(tx.send((who, n))).unwrap();
                        }
                    }
                })
            })
            .collect();
        drop(tx);
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let rx = rx.clone();
                thread::spawn(move || {
                    let mut got = Vec::new();
                    for n in 0.. {
                        if cancel && n % 3 == 0 {
                            // Begin to receive, and give up, perhaps with a value in hand.
                            let mut receive = Box::pin(rx.recv());
                            if let Ready(Ok(value)) = poll(&mut receive) {
                                got.push(value);
                                continue;
                            }
                            thread::yield_now();
                        }
                        match block_on(rx.recv()) {
                            Ok(value) => got.push(value),
                            Err(RecvError) => break,
                        }
                    }
                    got
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let mut all: Vec<_> = receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect();
        if !cancel {
            for got in &all {
                for who in 0..3 {
                    assert!(got.iter().filter(|value| value.0 == who).is_sorted());
                }
            }
        }
        all.push(std::iter::from_fn(|| rx.try_recv().ok()).collect());
        let count: usize = all.iter().map(Vec::len).sum();
        let distinct: HashSet<_> = all.into_iter().flatten().collect();
        assert_eq!((count, distinct.len()), (3 * EACH, 3 * EACH), "capacity {capacity}, cancel {cancel}");
    }
}

/// Random acts on one thread, with a check after each: nobody sleeps who could go on, and in the end every value
/// that went in has come out once. A failure names its seed; `GMPRT_SEED` replays it.
#[test]
fn nobody_sleeps_who_could_go_on_and_nothing_is_lost_whatever_is_cancelled() {
    let replay = std::env::var("GMPRT_SEED").ok().map(|seed| seed.parse::<u64>().expect("a number"));
    let seeds = replay.map_or(1..=600, |seed| seed..=seed);
    for seed in seeds {
        for capacity in [0, 1, 2, 5] {
            random_acts(seed, capacity);
        }
    }
}

/// A future in the game, and whether it was woken since it was last polled.
struct Player<F> {
    future: Pin<Box<F>>,
    woken: Arc<AtomicUsize>,
}

impl<F: Future> Player<F> {
    /// Polls a new future; one that waits joins the others.
    fn enter(future: F, others: &mut Vec<Self>) -> Option<F::Output> {
        let mut player = Self { future: Box::pin(future), woken: Arc::default() };
        match player.poll() {
            Ready(output) => Some(output),
            Pending => {
                others.push(player);
                None
            }
        }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        struct Sets(Arc<AtomicUsize>);
        impl Wake for Sets {
            fn wake(self: Arc<Self>) {
                self.0.store(1, SeqCst);
            }
        }
        self.woken.store(0, SeqCst);
        poll_as(&mut self.future, &Waker::from(Arc::new(Sets(Arc::clone(&self.woken)))))
    }

    fn sleeps(&self) -> bool {
        self.woken.load(SeqCst) == 0
    }
}

fn random_acts(seed: u64, capacity: usize) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below.max(1)
    };
    let about = format!("seed {seed}, capacity {capacity}");
    let (tx, rx) = bounded::<usize>(capacity);
    let (mut senders, mut receivers, mut reservers) = (Vec::new(), Vec::new(), Vec::new());
    let mut permits: Vec<Permit<usize>> = Vec::new();
    let mut got = HashSet::new();
    let mut took = |value: usize| assert!(got.insert(value), "{about}: {value} came twice");
    let (mut next, mut sent) = (0, HashSet::new());
    let mut unsure = HashSet::new(); // their sends were dropped
    for _ in 0..200 {
        match random(11) {
            0 | 1 => {
                next += 1;
                match Player::enter(tx.send(next), &mut senders) {
                    Some(result) => assert!(result.is_ok() && sent.insert(next)),
                    None => assert!(unsure.insert(next)),
                }
            }
            2 | 3 => {
                if let Some(value) = Player::enter(rx.recv(), &mut receivers) {
                    took(value.unwrap());
                }
            }
            4 => permits.extend(Player::enter(tx.reserve(), &mut reservers).map(Result::unwrap)),
            5 if !senders.is_empty() => {
                let at = random(senders.len());
                if senders[at].poll().is_ready() {
                    drop(senders.remove(at));
                }
            }
            6 if !receivers.is_empty() => {
                let at = random(receivers.len());
                if let Ready(value) = receivers[at].poll() {
                    took(value.unwrap());
                    drop(receivers.remove(at));
                }
            }
            7 if !reservers.is_empty() => {
                let at = random(reservers.len());
                if let Ready(permit) = reservers[at].poll() {
                    permits.push(permit.unwrap());
                    drop(reservers.remove(at));
                }
            }
            8 if !permits.is_empty() => {
                let permit = permits.remove(random(permits.len()));
                if random(2) == 0 {
                    next += 1;
                    permit.send(next).unwrap();
                    assert!(sent.insert(next));
                }
            }
            9 => match random(3) {
                0 if !senders.is_empty() => drop(senders.remove(random(senders.len()))),
                1 if !receivers.is_empty() => drop(receivers.remove(random(receivers.len()))),
                2 if !reservers.is_empty() => drop(reservers.remove(random(reservers.len()))),
                _ => {}
            },
            10 => {
                if let Ok(value) = rx.try_recv() {
                    took(value);
                }
            }
            _ => {}
        }
        let waiting = receivers.iter().filter(|receiver| receiver.sleeps()).count();
        let sending = senders.iter().filter(|sender| sender.sleeps()).count();
        let reserving = reservers.iter().filter(|reserver| reserver.sleeps()).count();
        let granted = reservers.len() - reserving + permits.len();
        if waiting > 0 {
            assert_eq!(rx.len(), 0, "{about}: a receiver sleeps beside a value");
        }
        if sending + reserving > 0 {
            assert!(rx.is_full(), "{about}: somebody sleeps beside a free slot");
        }
        let free = if capacity == 0 { waiting.saturating_sub(granted) } else { waiting };
        assert!(free == 0 || sending == 0, "{about}: a sender and a receiver sleep side by side");
        assert!(capacity > 0 || free == 0 || reserving == 0, "{about}: a reserver sleeps beside a receiver");
    }
    drop((permits, reservers));
    for mut receiver in receivers {
        if let Ready(value) = receiver.poll() {
            took(value.unwrap());
        }
    }
    while let Ok(value) = rx.try_recv() {
        took(value);
    }
    for mut sender in senders {
        assert!(sender.poll().is_ready(), "{about}: all was taken");
    }
    assert!(sent.is_subset(&got), "{about}: lost");
    assert!(got.iter().all(|value| sent.contains(value) || unsure.contains(value)), "{about}: from nowhere");
}

// ---- types ----

#[test]
fn halves_and_futures_cross_threads_if_their_values_do() {
    fn crosses<T: Send + Sync + Unpin>() {}
    fn future<T: Send + Sync>() {}
    // `Cell` is `Send` but not `Sync`: the value moves through the channel, and is never shared.
    type Value = std::cell::Cell<u8>;
    crosses::<Sender<Value>>();
    crosses::<Receiver<Value>>();
    crosses::<Permit<Value>>();
    future::<SendFuture<'_, Value>>();
    future::<RecvFuture<'_, Value>>();
    future::<ReserveFuture<'_, Value>>();
}

#[test]
fn errors_are_errors_and_ask_nothing_of_the_value() {
    struct Opaque;
    fn shown(error: &dyn Error) -> (String, String) {
        (error.to_string(), format!("{error:?}"))
    }
    fn pair(display: &str, debug: &str) -> (String, String) {
        (display.to_owned(), debug.to_owned())
    }
    assert_eq!(shown(&SendError(Opaque)), pair("send on closed channel", "SendError(..)"));
    assert_eq!(shown(&TrySendError::Full(Opaque)), pair("send on full channel would wait", "Full(..)"));
    assert_eq!(shown(&TrySendError::Closed(Opaque)), pair("send on closed channel", "Closed(..)"));
    assert_eq!(shown(&RecvError), pair("receive on closed and empty channel", "RecvError"));
    assert_eq!(shown(&TryRecvError::Empty), pair("receive on empty channel would wait", "Empty"));
    assert_eq!(shown(&TryRecvError::Closed), pair("receive on closed and empty channel", "Closed"));
}

#[test]
fn a_finished_send_panics_if_it_is_polled_again() {
    let (tx, _rx) = bounded(1);
    let mut send = Box::pin(tx.send(1));
    assert_eq!(poll(&mut send), Ready(Ok(())));
    let panic = catch_unwind(AssertUnwindSafe(|| poll(&mut send))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"`SendFuture` polled after it has completed"));
    assert_eq!(tx.len(), 1);
}
