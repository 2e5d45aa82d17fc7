//! Foreign code that a channel runs: wakers that panic or come back into the channel when they are cloned, woken or
//! dropped, and values that do so when they are dropped. Nothing hangs, siblings wake, no value is lost or seen twice.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, child, is_child, poll_once, watch};
use futures_core::Stream;
use gmprt::chan::{Permit, Receiver, RecvError, Sender, TryRecvError, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll::Ready;
use std::task::{Context, Poll, Wake, Waker};

// ---- wakers that act ----

/// When a waker acts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Clone,
    Wake,
    Drop,
}

const WHENS: [When; 3] = [When::Clone, When::Wake, When::Drop];

#[expect(unsafe_code, reason = "only a `RawWaker` sees when it is cloned and dropped")]
mod acting {
    use super::When;
    use std::sync::Arc;
    use std::task::{RawWaker, RawWakerVTable, Waker};

    /// Runs `act` whenever the waker, or a clone of it, is cloned, woken or dropped; a wake that consumes is a wake.
    pub(crate) fn waker<F: Fn(When) + Send + Sync + 'static>(act: F) -> Waker {
        let raw = raw(Arc::new(act));
        // SAFETY: the vtable of `raw` keeps the contract of `RawWaker`: its data is a counted reference to an
        // `F`, which is `Send`, `Sync` and `'static`.
        unsafe { Waker::from_raw(raw) }
    }

    fn raw<F: Fn(When) + Send + Sync + 'static>(act: Arc<F>) -> RawWaker {
        let vtable = const { &RawWakerVTable::new(clone::<F>, wake::<F>, wake_by_ref::<F>, discard::<F>) };
        RawWaker::new(Arc::into_raw(act).cast(), vtable)
    }

    unsafe fn clone<F: Fn(When) + Send + Sync + 'static>(data: *const ()) -> RawWaker {
        // SAFETY: the data is a counted reference to an `F`; the clone owns a new one.
        unsafe { Arc::increment_strong_count(data.cast::<F>()) };
        // SAFETY: the reference just made.
        let act = unsafe { Arc::from_raw(data.cast::<F>()) };
        act(When::Clone);
        raw(act)
    }

    unsafe fn wake<F: Fn(When) + Send + Sync + 'static>(data: *const ()) {
        // SAFETY: wake owns the reference.
        let act = unsafe { Arc::from_raw(data.cast::<F>()) };
        act(When::Wake);
    }

    unsafe fn wake_by_ref<F: Fn(When) + Send + Sync + 'static>(data: *const ()) {
        // SAFETY: the waker, which is borrowed, has the reference.
        let act = unsafe { &*data.cast::<F>() };
        act(When::Wake);
    }

    unsafe fn discard<F: Fn(When) + Send + Sync + 'static>(data: *const ()) {
        // SAFETY: drop owns the reference.
        let act = unsafe { Arc::from_raw(data.cast::<F>()) };
        act(When::Drop);
    }
}

/// Acts once, at the first `when` after it was armed.
struct Once {
    waker: Waker,
    armed: Arc<AtomicUsize>,
}

impl Once {
    fn new(when: When, act: impl FnOnce() + Send + 'static) -> Self {
        let armed = Arc::new(AtomicUsize::new(0));
        let (act, trigger) = (Mutex::new(Some(act)), Arc::clone(&armed));
        let waker = acting::waker(move |now| {
            if now == when && trigger.compare_exchange(1, 2, SeqCst, SeqCst).is_ok() {
                let act = act.lock().unwrap().take();
                act.expect("it acts once")();
            }
        });
        Self { waker, armed }
    }

    fn panics(when: When) -> Self {
        Self::new(when, || panic!("a waker's panic"))
    }

    fn arm(&self) {
        self.armed.store(1, SeqCst);
    }

    fn has_acted(&self) -> bool {
        self.armed.load(SeqCst) == 2
    }
}

fn poll_as<F: Future + ?Sized>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

fn parked_as<F: Future>(future: F, waker: &Waker) -> Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!(poll_as(&mut future, waker).is_pending());
    future
}

fn parked<F: Future>(future: F) -> Pin<Box<F>> {
    parked_as(future, Waker::noop())
}

fn panics<R>(f: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).err().expect("it panics");
    payload
        .downcast_ref::<&str>()
        .map_or_else(|| payload.downcast_ref::<String>().unwrap().clone(), ToString::to_string)
}

fn rest<T>(rx: &Receiver<T>) -> Vec<T> {
    std::iter::from_fn(|| rx.try_recv().ok()).collect()
}

// ---- values that count ----

/// What became of the values of a test: made, and dropped.
#[derive(Clone, Default)]
struct Tally {
    made: Count,
    dropped: Count,
}

struct Value(Tally, usize);

impl Tally {
    fn value(&self, number: usize) -> Value {
        self.made.add();
        Value(self.clone(), number)
    }

    /// Each value was dropped once.
    fn is_even(&self) -> bool {
        self.made.get() == self.dropped.get()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.0.dropped.add();
    }
}

// ---- code that comes back into the channel ----

/// What foreign code does to the channel that calls it.
const REENTRIES: usize = 11;

/// What it did must end; a hang is the failure. The futures it begins are polled and dropped at once.
fn reenter(which: usize, tx: Sender<Value>, rx: Receiver<Value>, tally: &Tally) {
    match which {
        0 => drop(tx.try_send(tally.value(100))),
        1 => drop(rx.try_recv()),
        2 => drop(tx.try_reserve()),
        3 => drop(tx.try_reserve().map(|permit| permit.send(tally.value(101)))),
        4 => drop(poll_once(&mut Box::pin(tx.send(tally.value(102))))),
        5 => drop(poll_once(&mut Box::pin(rx.recv()))),
        6 => drop(poll_once(&mut Box::pin(tx.reserve()))),
        7 => drop(tx.close()),
        8 => drop((tx, rx)),
        9 => {
            let mut rx = rx;
            let _ = Pin::new(&mut rx).poll_next(&mut Context::from_waker(Waker::noop()));
            drop((rx, tx));
        }
        _ => {
            let receive = parked_or_done(rx.recv());
            drop(tx.try_send(tally.value(103)));
            drop(receive);
        }
    }
}

fn parked_or_done<F: Future>(future: F) -> Option<Pin<Box<F>>> {
    let mut future = Box::pin(future);
    poll_once(&mut future).is_pending().then_some(future)
}

/// Runs each situation in which the channel clones, wakes or drops a waker, with that waker. The halves that are not
/// in the waker's hands belong to the situation, so the last of them may be dropped in there.
fn situation(
    which: usize,
    capacity: usize,
    tx: Sender<Value>,
    rx: Receiver<Value>,
    tally: &Tally,
    once: &Once,
) {
    let waker = &once.waker;
    let fill = |tx: &Sender<Value>| (0..capacity).for_each(|n| drop(tx.try_send(tally.value(n))));
    match which {
        // A send serves a receiver, who then has it or drops it.
        0 | 1 => {
            let mut receive = parked_as(rx.recv(), waker);
            once.arm();
            drop(tx.try_send(tally.value(10)));
            if which == 0 {
                drop(poll_once(&mut receive));
            }
        }
        // A receive serves a sender, in the buffer or out of its hands.
        2 | 3 => {
            fill(&tx);
            let mut send = parked_as(tx.send(tally.value(11)), waker);
            once.arm();
            if which == 2 {
                drop(rx.try_recv())
            } else {
                drop(poll_once(&mut Box::pin(rx.recv())))
            }
            drop(poll_once(&mut send));
        }
        // Room for one who reserves, through a receive and through a permit given up.
        4 => {
            fill(&tx);
            let mut reserve = parked_as(tx.reserve(), waker);
            once.arm();
            let receive = parked_or_done(rx.recv());
            drop(poll_once(&mut reserve));
            drop(receive);
        }
        5 => {
            let receive = parked_or_done(rx.recv());
            let permits: Vec<Permit<_>> = std::iter::from_fn(|| tx.try_reserve().ok()).collect();
            let mut reserve = parked_as(tx.reserve(), waker);
            once.arm();
            drop(permits);
            drop(poll_once(&mut reserve));
            drop(receive);
        }
        // A dropped receive passes its value to the next.
        6 => {
            let first = parked(rx.recv());
            let mut second = parked_as(rx.recv(), waker);
            drop(tx.try_send(tally.value(12)));
            once.arm();
            drop(first);
            drop(poll_once(&mut second));
        }
        // Close by hand, and through the last half.
        7 => {
            let mut receivers: Vec<_> =
                (0..40).map(|n| parked_as(rx.recv(), if n == 20 { waker } else { Waker::noop() })).collect();
            once.arm();
            tx.close();
            receivers.iter_mut().for_each(|receive| drop(poll_once(receive)));
        }
        8 => {
            let receive = parked_as(rx.recv(), waker);
            once.arm();
            drop(tx);
            drop(receive);
        }
        9 => {
            fill(&tx);
            let send = parked_as(tx.send(tally.value(13)), waker);
            once.arm();
            drop(rx);
            drop(send);
        }
        // The clone of the first poll, the clone and the drop of a later one, the drop of one that is given up.
        10 => {
            once.arm();
            let mut receive = Box::pin(rx.recv());
            drop(poll_as(&mut receive, waker));
            drop(poll_once(&mut receive));
        }
        11 => {
            once.arm();
            fill(&tx);
            let mut send = Box::pin(tx.send(tally.value(14)));
            if poll_as(&mut send, waker).is_pending() {
                drop(poll_once(&mut send));
            }
        }
        12 => {
            once.arm();
            fill(&tx);
            drop(poll_as(&mut Box::pin(tx.reserve()), waker));
        }
        13 => {
            let mut receive = parked(rx.recv());
            once.arm();
            drop(poll_as(&mut receive, waker));
        }
        // A stream that waits, and is dropped or passed by.
        _ => {
            let mut rx = rx;
            let poll = Pin::new(&mut rx).poll_next(&mut Context::from_waker(waker));
            assert!(poll.is_pending());
            once.arm();
            drop(tx.try_send(tally.value(15)));
            drop(rx.try_recv());
        }
    }
}

const SITUATIONS: usize = 15;

#[test]
fn a_waker_may_come_back_into_the_channel_whatever_is_done_to_it() {
    let _watch = watch();
    let mut acted = [0; SITUATIONS];
    for capacity in [0, 1, 3] {
        for when in WHENS {
            for (which, acted) in acted.iter_mut().enumerate() {
                for reentry in 0..REENTRIES {
                    let tally = Tally::default();
                    let (tx, rx) = bounded(capacity);
                    let (inner, inner_tx, inner_rx) = (tally.clone(), tx.clone(), rx.clone());
                    let once = Once::new(when, move || reenter(reentry, inner_tx, inner_rx, &inner));
                    situation(which, capacity, tx, rx, &tally, &once);
                    *acted += usize::from(once.has_acted());
                    drop(once);
                    assert!(tally.is_even(), "capacity {capacity}, {when:?}, situation {which}, {reentry}");
                }
            }
        }
    }
    // Each waker that waits is cloned, and woken or dropped; in no situation does it go by unnoticed.
    assert!(acted.iter().all(|acted| *acted > 0), "how often each situation met the waker: {acted:?}");
}

#[test]
fn a_waker_may_panic_whatever_is_done_to_it_and_no_value_is_lost_or_seen_twice() {
    let _watch = watch();
    let mut panicked = 0;
    for capacity in [0, 1, 3] {
        for when in WHENS {
            for which in 0..SITUATIONS {
                let tally = Tally::default();
                let (tx, rx) = bounded(capacity);
                let once = Once::panics(when);
                let (to, from) = (tx.clone(), rx.clone());
                let ended =
                    catch_unwind(AssertUnwindSafe(|| situation(which, capacity, to, from, &tally, &once)));
                assert_eq!(ended.is_err(), once.has_acted(), "the panic goes on to whoever called the waker");
                panicked += usize::from(ended.is_err());
                once.armed.store(0, SeqCst); // what it has not met by now it does not need
                // The channel works on.
                rest(&rx);
                if !tx.is_closed() {
                    let mut receive = parked(rx.recv());
                    assert!(tx.try_send(tally.value(20)).is_ok());
                    assert!(matches!(poll_once(&mut receive), Ready(Ok(Value(_, 20)))));
                }
                drop((tx, rx));
                assert!(tally.is_even(), "capacity {capacity}, {when:?}, situation {which}");
            }
        }
    }
    assert!(panicked > 2 * SITUATIONS, "only {panicked} wakers had a chance to panic");
}

// ---- what is kept when a waker panics ----

#[test]
fn a_receiver_whose_waker_panics_has_its_value_all_the_same() {
    let (tx, rx) = bounded(1);
    let once = Once::panics(When::Wake);
    let mut receive = parked_as(rx.recv(), &once.waker);
    once.arm();
    assert_eq!(panics(|| tx.try_send(7)), "a waker's panic");
    assert_eq!(poll_once(&mut receive), Ready(Ok(7)));
}

#[test]
fn one_who_reserves_and_whose_waker_panics_has_its_slot_all_the_same() {
    let (tx, rx) = bounded(1);
    let permit = tx.try_reserve().unwrap();
    let once = Once::panics(When::Wake);
    let mut reserve = parked_as(tx.reserve(), &once.waker);
    let mut behind = parked(tx.send(2));
    once.arm();
    assert_eq!(panics(|| drop(permit)), "a waker's panic");
    assert!(poll_once(&mut behind).is_pending());
    let Ready(Ok(permit)) = poll_once(&mut reserve) else { panic!("it was granted") };
    permit.send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(poll_once(&mut behind), Ready(Ok(())));
}

#[test]
fn both_sides_of_a_meeting_are_woken_though_the_first_waker_panics() {
    // On a rendezvous channel a permit given up lets a sender meet a receiver: two wakes in one act.
    let (tx, rx) = bounded(0);
    let woken = Count::default();
    let mut receive = parked_as(rx.recv(), &woken.waker());
    let permit = tx.try_reserve().unwrap();
    let once = Once::panics(When::Wake);
    let mut send = parked_as(tx.send(1), &once.waker);
    once.arm();
    assert_eq!(panics(|| drop(permit)), "a waker's panic");
    assert_eq!(woken.get(), 1, "the sibling");
    assert_eq!((poll_once(&mut send), poll_once(&mut receive)), (Ready(Ok(())), Ready(Ok(1))));
}

#[test]
fn the_last_halves_close_although_every_waker_panics() {
    struct Panics(Count);
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            self.0.add();
            panic!("a waker's panic");
        }
    }
    let woken = Count::default();
    let bad = Waker::from(Arc::new(Panics(woken.clone())));
    let (tx, rx) = bounded::<u8>(1);
    let mut receivers: Vec<_> = (0..70).map(|_| parked_as(rx.recv(), &bad)).collect();
    assert_eq!(panics(|| drop(tx)), "a waker's panic");
    assert_eq!(woken.get(), 70);
    assert!(receivers.iter_mut().all(|receive| poll_once(receive) == Ready(Err(RecvError))));

    let tally = Tally::default();
    let (tx, rx) = bounded(1);
    tx.try_send(tally.value(0)).ok().unwrap();
    let senders: Vec<_> = (0..70).map(|n| parked_as(tx.send(tally.value(n)), &bad)).collect();
    assert_eq!(panics(|| drop(rx)), "a waker's panic");
    assert_eq!(
        (woken.get(), tally.dropped.get()),
        (140, 1),
        "all are woken, and what was buffered is dropped"
    );
    drop(senders);
    assert!(tally.is_even());
}

/// A receive whose other side's waker panics has not got its value. That goes back to where it was, behind an older one
/// which came back meanwhile.
#[test]
fn a_value_that_is_put_back_after_a_panic_keeps_its_order() {
    for by_future in [false, true] {
        let (tx, rx) = bounded(1);
        let other = rx.clone();
        let mut first: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move { other.recv().await });
        assert!(poll_as(&mut first, Waker::noop()).is_pending());
        tx.try_send(1).unwrap(); // with `first`
        tx.try_send(2).unwrap();
        let once = Once::new(When::Wake, move || {
            drop(first); // 1 comes back
            panic!("a waker's panic");
        });
        let send = parked_as(tx.send(3), &once.waker);
        once.arm();
        let receive =
            || if by_future { poll_once(&mut Box::pin(rx.recv())).is_ready() } else { rx.try_recv().is_ok() };
        assert_eq!(panics(receive), "a waker's panic");
        drop(send);
        assert_eq!(rest(&rx), [1, 2, 3]);
    }
}

/// The poll clones its waker because the channel is empty, then finds a value, and drops the clone.
#[test]
fn a_value_stays_in_the_channel_if_the_waker_that_was_not_needed_panics_when_dropped() {
    let (tx, rx) = bounded(1);
    let late = tx.clone();
    let armed = Arc::new(AtomicUsize::new(0));
    let drops = Arc::clone(&armed);
    let waker = acting::waker(move |when| match when {
        When::Clone => late.try_send(7).unwrap(),
        When::Drop if drops.swap(0, SeqCst) == 1 => panic!("a waker's panic"),
        _ => {}
    });
    armed.store(1, SeqCst);
    let mut receive = Box::pin(rx.recv());
    assert_eq!(panics(|| poll_as(&mut receive, &waker).is_ready()), "a waker's panic");
    assert_eq!(rx.try_recv(), Ok(7));
}

/// The same for a slot: the poll clones its waker because the channel is full, then finds room, and drops the clone.
#[test]
fn a_slot_stays_free_if_the_waker_that_was_not_needed_panics_when_dropped() {
    let (tx, rx) = bounded(1);
    tx.try_send(7).unwrap();
    let armed = Arc::new(AtomicUsize::new(1));
    let drops = Arc::clone(&armed);
    let waker = acting::waker(move |when| match when {
        When::Clone => assert_eq!(rx.try_recv(), Ok(7)),
        When::Drop if drops.swap(0, SeqCst) == 1 => panic!("a waker's panic"),
        _ => {}
    });
    let mut reserve = Box::pin(tx.reserve());
    assert_eq!(panics(|| poll_as(&mut reserve, &waker).is_ready()), "a waker's panic");
    drop(reserve);
    assert_eq!(tx.try_send(8), Ok(()), "nobody has a permit");
}

/// Two panics at once abort a process, so this one has its own.
#[test]
fn what_is_cancelled_by_a_panic_is_passed_on_although_the_next_waker_panics_too() {
    const NAME: &str = "what_is_cancelled_by_a_panic_is_passed_on_although_the_next_waker_panics_too";
    if !is_child(NAME) {
        let output = child(NAME).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    for permit in [false, true] {
        let (tx, rx) = bounded(1);
        let once = Once::panics(When::Wake);
        let cause = panics(|| {
            if permit {
                let _permit = tx.try_reserve().unwrap();
                let next = parked_as(tx.reserve(), &once.waker);
                std::mem::forget(next);
                once.arm();
                panic!("the first panic");
            } else {
                let _first = parked(rx.recv());
                let next = parked_as(rx.recv(), &once.waker);
                tx.try_send(1).unwrap(); // with `_first`
                std::mem::forget(next);
                once.arm();
                panic!("the first panic");
            }
        });
        assert_eq!(cause, "the first panic");
        assert!(once.has_acted());
    }
}

// ---- values with destructors ----

/// A value whose drop panics, if it is `bad`.
struct Grenade(Count, bool);

impl Drop for Grenade {
    fn drop(&mut self) {
        self.0.add();
        assert!(!self.1, "a value's panic");
    }
}

#[test]
fn a_value_that_panics_when_it_is_drained_keeps_no_other_from_being_dropped() {
    for came_back in [0, 1, 3] {
        let dropped = Count::default();
        let (tx, rx) = bounded(3);
        let receivers: Vec<_> = (0..came_back).map(|_| parked(rx.recv())).collect();
        for n in 0..3 {
            tx.try_send(Grenade(dropped.clone(), n == 1)).ok().unwrap();
        }
        let send = parked_or_done(tx.send(Grenade(dropped.clone(), false)));
        let waits = send.is_some();
        drop(receivers); // those values are ahead of the buffer
        assert_eq!(panics(|| drop(rx)), "a value's panic");
        assert!(tx.is_closed() && tx.is_empty());
        drop(send);
        assert_eq!((dropped.get(), waits), (4, came_back == 0));
    }
}

#[test]
fn a_value_that_panics_in_a_dropped_send_has_left_the_line() {
    for capacity in [0, 1] {
        let dropped = Count::default();
        let (tx, rx) = bounded(capacity);
        (0..capacity).for_each(|_| drop(tx.try_send(Grenade(dropped.clone(), false))));
        assert_eq!(panics(|| drop(tx.send(Grenade(dropped.clone(), true)))), "a value's panic");
        let before = parked(tx.send(Grenade(dropped.clone(), false)));
        let bad = parked(tx.send(Grenade(dropped.clone(), true)));
        let behind = parked(tx.send(Grenade(dropped.clone(), false)));
        assert_eq!(panics(|| drop(bad)), "a value's panic");
        assert_eq!(rest(&rx).len(), capacity + 2, "those in front and behind are in line");
        drop((before, behind));
        assert_eq!(dropped.get(), capacity + 4);
    }
}

#[test]
fn a_value_that_comes_back_is_dropped_by_whoever_gets_it() {
    let dropped = Count::default();
    let (tx, rx) = bounded(1);
    let permit = tx.try_reserve().unwrap();
    rx.close();
    assert_eq!(panics(|| drop(permit.send(Grenade(dropped.clone(), true)))), "a value's panic");
    assert_eq!(panics(|| drop(tx.try_send(Grenade(dropped.clone(), true)))), "a value's panic");
    assert_eq!(
        panics(|| drop(poll_once(&mut pin!(tx.send(Grenade(dropped.clone(), true)))))),
        "a value's panic"
    );
    assert_eq!((dropped.get(), rx.try_recv().map(drop)), (3, Err(TryRecvError::Closed)));
}

/// A receive that is dropped with a value puts it back: only with the last receiver is it dropped.
#[test]
fn a_handed_value_that_panics_is_dropped_with_the_last_receiver() {
    let dropped = Count::default();
    let (tx, rx) = bounded(1);
    let receive = parked(rx.recv());
    tx.try_send(Grenade(dropped.clone(), true)).ok().unwrap();
    drop(receive);
    assert_eq!((dropped.get(), rx.len()), (0, 1));
    assert_eq!(panics(|| drop(rx)), "a value's panic");
    assert_eq!((dropped.get(), tx.len()), (1, 0));

    // The same in the hands of a stream.
    let (tx, mut rx) = bounded(1);
    assert!(Pin::new(&mut rx).poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
    tx.try_send(Grenade(dropped.clone(), true)).ok().unwrap();
    assert_eq!(panics(|| drop(rx)), "a value's panic");
    assert_eq!((dropped.get(), tx.is_closed()), (2, true));
}

/// A value that owns a sender of its channel, and uses it when it is dropped.
struct Boomerang {
    tx: Option<Sender<Boomerang>>,
    which: usize,
    value: Value,
}

impl Drop for Boomerang {
    fn drop(&mut self) {
        let Some(tx) = self.tx.take() else { return };
        let last = || Boomerang { tx: None, which: 0, value: self.value.0.value(1) };
        match self.which {
            0 => drop(tx.try_send(last())),
            1 => drop(tx.close()),
            2 => drop(poll_once(&mut Box::pin(tx.send(last())))),
            3 => drop(tx.try_reserve().map(|permit| permit.send(last()))),
            4 => drop(poll_once(&mut Box::pin(tx.reserve()))),
            _ => drop(tx),
        }
    }
}

#[test]
fn a_value_may_come_back_into_its_channel_when_it_is_dropped() {
    let _watch = watch();
    for which in 0..6 {
        for capacity in [0, 1, 3] {
            let tally = Tally::default();
            let (tx, rx) = bounded(capacity);
            let value = || Boomerang { tx: Some(tx.clone()), which, value: tally.value(0) };
            // In the buffer, with a receive that is dropped, with a send that is dropped, never polled or parked.
            let receive = parked(rx.recv());
            assert!(tx.try_send(value()).is_ok());
            (0..capacity).for_each(|_| assert!(tx.try_send(value()).is_ok()));
            let send = parked(tx.send(value()));
            drop(tx.send(value()));
            drop(send);
            drop(receive);
            let late = parked_or_done(tx.send(value()));
            drop(rx);
            drop(late);
            assert!(tx.is_closed() && tx.is_empty());
            assert!(tally.is_even(), "capacity {capacity}, {which}");
        }
    }
}
