//! What a `Cond` promises when waits are dropped: a signal goes on to the next, a broadcast does not; and that nothing
//! is lost in storms, nor by wakers that misbehave.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, OnDrop, Rng, poll_once, runtime, sized, until, watch};
use gmprt::sync::{Cond, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::Poll::{self, Ready};
use std::task::{Context, Wake, Waker};
use std::thread;

type Wait<'a> = Pin<Box<dyn Future<Output = MutexGuard<'a, u32>> + Send + 'a>>;

fn poll<'a>(wait: &mut Wait<'a>, waker: &Waker) -> Poll<MutexGuard<'a, u32>> {
    wait.as_mut().poll(&mut Context::from_waker(waker))
}

/// Waits, with a waker that counts; the lock must be free.
fn in_line<'a>(cond: &'a Cond, mutex: &'a Mutex<u32>) -> (Wait<'a>, Count) {
    let guard = mutex.try_lock().expect("the wait before has given it up");
    let (mut wait, woken): (Wait<'_>, _) = (Box::pin(cond.wait(guard)), Count::default());
    assert!(poll(&mut wait, &woken.waker()).is_pending());
    (wait, woken)
}

fn waiting(cond: &Cond) -> String {
    format!("{cond:?}")
}

fn is_free(mutex: &Mutex<u32>) -> bool {
    mutex.try_lock().is_some()
}

fn returns(wait: &mut Wait<'_>) -> bool {
    poll(wait, Waker::noop()).is_ready()
}

#[test]
fn the_lock_is_held_until_the_first_poll_and_given_up_if_there_is_none() {
    let (mutex, cond) = (Mutex::new(0), Cond::new());
    let wait = cond.wait(mutex.try_lock().unwrap());
    assert!(!is_free(&mutex));
    drop(wait);
    assert!(is_free(&mutex));
    let (wait, _) = in_line(&cond, &mutex);
    assert!(is_free(&mutex));
    assert_eq!(waiting(&cond), "Cond { waiting: 1 }");
    drop(wait);
    assert_eq!(waiting(&cond), "Cond { waiting: 0 }");
}

/// Writes its name into a log when it is woken.
struct Name(usize, Arc<StdMutex<Vec<usize>>>);

impl Wake for Name {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[test]
fn a_signal_wakes_the_first_and_a_broadcast_all_in_their_order() {
    let (mutex, cond) = (Mutex::new(0), Cond::new());
    let log = Arc::default();
    let mut line: Vec<_> = (0..100)
        .map(|n| {
            let mut wait: Wait<'_> = Box::pin(cond.wait(mutex.try_lock().unwrap()));
            assert!(poll(&mut wait, &Waker::from(Arc::new(Name(n, Arc::clone(&log))))).is_pending());
            wait
        })
        .collect();
    cond.signal();
    cond.signal();
    assert_eq!(*log.lock().unwrap(), [0, 1]);
    assert!(returns(&mut line[1]) && returns(&mut line[0]));
    cond.broadcast();
    assert!(log.lock().unwrap().iter().copied().eq(0..100));
    assert!(line[2..].iter_mut().all(returns));
    assert!(is_free(&mutex));
}

/// More than one batch, and one that waits again while the rest are being woken.
#[test]
fn a_broadcast_does_not_reach_who_begins_to_wait_during_it() {
    struct WaitsAgain(Arc<(Mutex<u32>, Cond)>, StdMutex<Vec<Later>>);
    type Later = Pin<Box<dyn Future<Output = ()> + Send>>;
    impl Wake for WaitsAgain {
        fn wake(self: Arc<Self>) {
            let shared = Arc::clone(&self.0);
            let mut later: Later = Box::pin(async move {
                let guard = shared.0.try_lock().unwrap();
                drop(shared.1.wait(guard).await);
            });
            assert!(poll_once(&mut later).is_pending());
            self.1.lock().unwrap().push(later);
        }
    }
    let _watch = watch();
    let shared = Arc::new((Mutex::new(0), Cond::new()));
    let again = Arc::new(WaitsAgain(Arc::clone(&shared), StdMutex::default()));
    let mut line = Vec::new();
    for _ in 0..70 {
        let mut wait: Wait<'_> = Box::pin(shared.1.wait(shared.0.try_lock().unwrap()));
        assert!(poll(&mut wait, &Waker::from(Arc::clone(&again))).is_pending());
        line.push(wait);
    }
    shared.1.broadcast();
    assert!(line.iter_mut().all(returns));
    assert_eq!(waiting(&shared.1), "Cond { waiting: 70 }");
    let mut later = std::mem::take(&mut *again.1.lock().unwrap());
    assert!(later.iter_mut().all(|wait| poll_once(wait).is_pending()));
    shared.1.broadcast();
    assert!(later.iter_mut().all(|wait| poll_once(wait).is_ready()));
}

/// How far the first wait is when it is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    Waits,
    Told,
    WaitsForTheLock,
    WasGivenTheLock,
    HasReturned,
}

#[test]
fn a_signal_goes_on_to_the_next_until_the_lock_is_had_and_a_broadcast_never() {
    let _watch = watch();
    use When::{HasReturned, Told, Waits, WaitsForTheLock, WasGivenTheLock};
    for when in [Waits, Told, WaitsForTheLock, WasGivenTheLock, HasReturned] {
        for broadcast in [false, true] {
            let (mutex, cond) = (Mutex::new(0), Cond::new());
            let (mut first, _) = in_line(&cond, &mutex);
            let tell = || if broadcast { cond.broadcast() } else { cond.signal() };
            let mut second = None;
            if !broadcast {
                second = Some(in_line(&cond, &mutex));
            }
            if when != Waits {
                tell();
            }
            // One that has begun after the broadcast.
            let (mut second, woken) = second.unwrap_or_else(|| in_line(&cond, &mutex));
            if matches!(when, WaitsForTheLock | WasGivenTheLock) {
                let holder = mutex.try_lock();
                assert!(!returns(&mut first));
                if when == WasGivenTheLock {
                    drop(holder);
                    assert!(is_free(&mutex), "it was called, no more");
                }
                drop(first);
            } else {
                if when == HasReturned {
                    assert!(returns(&mut first));
                }
                drop(first);
            }
            let passed_on = !broadcast && matches!(when, Told | WaitsForTheLock | WasGivenTheLock);
            assert_eq!(woken.get(), usize::from(passed_on), "{when:?}, broadcast: {broadcast}");
            assert_eq!(returns(&mut second), passed_on);
            if !passed_on {
                cond.signal();
                assert!(returns(&mut second));
            }
            assert_eq!(waiting(&cond), "Cond { waiting: 0 }");
            assert!(is_free(&mutex));
        }
    }
}

#[test]
fn a_signal_goes_down_the_line_of_all_who_are_dropped() {
    let (mutex, cond) = (Mutex::new(0), Cond::new());
    let mut line: VecDeque<_> = (0..5).map(|_| in_line(&cond, &mutex)).collect();
    cond.signal();
    while line.len() > 1 {
        drop(line.pop_front());
        assert_eq!(line[0].1.get(), 1);
    }
    assert!(returns(&mut line[0].0));
}

#[test]
fn a_lock_that_is_handed_to_a_dropped_wait_goes_on_and_its_signal_too() {
    let _watch = watch();
    let (mutex, cond) = (Mutex::new(0), Cond::new());
    let (mut first, woken) = in_line(&cond, &mutex);
    let (mut second, told) = in_line(&cond, &mutex);
    let guard = mutex.try_lock().unwrap();
    cond.signal();
    assert!(poll(&mut first, &woken.waker()).is_pending());
    let began = std::time::Instant::now();
    until(|| began.elapsed().as_millis() > 2);
    drop(guard);
    let thief = mutex.try_lock().unwrap();
    assert!(poll(&mut first, &woken.waker()).is_pending()); // it starves
    let mut locks = Box::pin(mutex.lock());
    assert!(poll_once(&mut locks).is_pending());
    drop(thief);
    assert!(!is_free(&mutex), "it was handed over");
    drop(first);
    assert_eq!(told.get(), 1);
    let Ready(guard) = poll_once(&mut locks) else { panic!("the lock went on") };
    assert!(!returns(&mut second));
    drop(guard);
    assert!(returns(&mut second));
    assert!(is_free(&mutex));
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("this waker panics");
    }
}

#[test]
fn a_waker_that_panics_does_not_keep_the_others_from_being_woken() {
    let (mutex, cond) = (Mutex::new(0), Cond::new());
    let mut line: Vec<_> = (0..70).map(|_| in_line(&cond, &mutex)).collect();
    for n in [0, 1, 40, 69] {
        assert!(poll(&mut line[n].0, &Waker::from(Arc::new(Panics))).is_pending());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| cond.signal())).is_err());
    assert!(returns(&mut line[0].0), "it has its signal all the same");
    assert!(catch_unwind(AssertUnwindSafe(|| cond.broadcast())).is_err());
    for (n, (wait, woken)) in line.iter_mut().enumerate().skip(1) {
        assert_eq!(woken.get(), usize::from(![1, 40, 69].contains(&n)));
        assert!(returns(wait));
    }
    // A signal whose waker panics is still somebody's: dropped, it goes on.
    let (mut first, _) = in_line(&cond, &mutex);
    let (mut second, woken) = in_line(&cond, &mutex);
    assert!(poll(&mut first, &Waker::from(Arc::new(Panics))).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| cond.signal())).is_err());
    drop(first);
    assert_eq!(woken.get(), 1);
    assert!(returns(&mut second));
}

#[test]
fn a_condition_that_panics_gives_the_lock_up() {
    let (mutex, cond) = (Mutex::new(0), Cond::new());
    let mut wait = Box::pin(cond.wait_while(mutex.try_lock().unwrap(), |n| {
        assert!(*n == 0, "the condition panics");
        true
    }));
    assert!(poll_once(&mut wait).is_pending());
    *mutex.try_lock().unwrap() = 1;
    cond.signal();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(poll_once(&mut wait)))).is_err());
    drop(wait);
    assert!(is_free(&mutex));
}

/// Its wakers signal, broadcast, lock, and drop another wait: with the queue locked the test would hang.
#[test]
fn wakers_are_woken_and_dropped_with_nothing_locked() {
    type Slot = Arc<StdMutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>>;
    struct Acts(Arc<(Mutex<u32>, Cond)>, Slot, Count);
    impl Acts {
        fn act(&self) {
            self.2.add();
            drop(self.0.0.try_lock());
            self.0.1.signal();
            let victim = self.1.lock().unwrap().take();
            drop(victim);
            self.0.1.broadcast();
        }
    }
    impl Wake for Acts {
        fn wake(self: Arc<Self>) {
            self.act();
        }
    }
    impl Drop for Acts {
        fn drop(&mut self) {
            self.act();
        }
    }
    let _watch = watch();
    for tell in [|cond: &Cond| cond.signal(), |cond: &Cond| cond.broadcast(), |_: &Cond| {}] {
        let shared = Arc::new((Mutex::new(0), Cond::new()));
        let (slot, acts) = (Slot::default(), Count::default());
        let (mutex, cond) = (&shared.0, &shared.1);
        let mut first: Wait<'_> = Box::pin(cond.wait(mutex.try_lock().unwrap()));
        let waker = Waker::from(Arc::new(Acts(Arc::clone(&shared), Arc::clone(&slot), acts.clone())));
        assert!(poll(&mut first, &waker).is_pending());
        drop(waker);
        let theirs = Arc::clone(&shared);
        let mut victim: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { drop(theirs.1.wait(theirs.0.try_lock().unwrap()).await) });
        assert!(poll_once(&mut victim).is_pending());
        *slot.lock().unwrap() = Some(victim);
        let (mut last, woken) = in_line(cond, mutex);
        tell(cond);
        drop(first);
        assert!(acts.get() > 0 && woken.get() > 0);
        assert!(returns(&mut last));
        assert!(is_free(mutex));
    }
}

/// A ring that producers fill and consumers empty.
struct Ring {
    items: Mutex<VecDeque<u64>>,
    filled: Cond,
    emptied: Cond,
}

const ROOM: usize = 3;

impl Ring {
    fn new() -> Arc<Self> {
        Arc::new(Self { items: Mutex::default(), filled: Cond::new(), emptied: Cond::new() })
    }

    async fn push(&self, item: u64) {
        let items = self.items.lock().await;
        let mut items = self.emptied.wait_while(items, |items| items.len() == ROOM).await;
        assert!(items.len() < ROOM);
        items.push_back(item);
        drop(items);
        self.filled.signal();
    }

    async fn pop(&self) -> u64 {
        let items = self.items.lock().await;
        let mut items = self.filled.wait_while(items, |items| items.is_empty()).await;
        let item = items.pop_front().unwrap();
        self.emptied.signal();
        item
    }
}

#[test]
fn producers_and_consumers_of_a_ring_add_up() {
    let _watch = watch();
    for procs in [1, 4, 8] {
        let (rt, ring) = (runtime(procs), Ring::new());
        let each = sized(500, 5000) as u64;
        let producers: Vec<_> = (0..6)
            .map(|n| {
                let ring = Arc::clone(&ring);
                rt.spawn(async move {
                    for item in n * each..(n + 1) * each {
                        ring.push(item).await;
                    }
                })
            })
            .collect();
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let ring = Arc::clone(&ring);
                rt.spawn(async move {
                    let mut sum = 0;
                    for _ in 0..2 * each {
                        sum += ring.pop().await;
                    }
                    sum
                })
            })
            .collect();
        producers.into_iter().for_each(|task| rt.block_on(task).unwrap());
        let sum: u64 = consumers.into_iter().map(|task| rt.block_on(task).unwrap()).sum();
        assert_eq!(sum, (0..6 * each).sum());
        assert!(ring.items.try_lock().unwrap().is_empty());
    }
}

/// Takes a poll or two of a wait, and drops it: the others must get all items nonetheless, one signal for each.
#[test]
fn consumers_that_give_up_take_no_signal_with_them() {
    let _watch = watch();
    let mut rng = Rng::new();
    for procs in [1, 4, 8] {
        let (rt, ring) = (runtime(procs), Ring::new());
        let (items, got) = (sized(1000, 10_000) as u64, Arc::new(AtomicUsize::new(0)));
        let fickle: Vec<_> = (0..6)
            .map(|_| {
                let (ring, got, mut rng) = (Arc::clone(&ring), Arc::clone(&got), rng.fork());
                rt.spawn(async move {
                    loop {
                        // Gives up after some polls; `yield_now` is the other poll's wake.
                        let left = rng.below(4);
                        let item = {
                            let mut pop = Box::pin(ring.pop());
                            let mut polls = 0;
                            std::future::poll_fn(|cx| {
                                if polls == left {
                                    return Ready(None);
                                }
                                polls += 1;
                                let item = pop.as_mut().poll(cx).map(Some);
                                if item.is_pending() {
                                    cx.waker().wake_by_ref();
                                }
                                item
                            })
                            .await
                        };
                        got.fetch_add(usize::from(item.is_some()), SeqCst);
                        gmprt::yield_now().await;
                    }
                })
            })
            .collect();
        let steady: Vec<_> = (0..2)
            .map(|_| {
                let (ring, got) = (Arc::clone(&ring), Arc::clone(&got));
                rt.spawn(async move {
                    loop {
                        ring.pop().await;
                        got.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        let producer = {
            let ring = Arc::clone(&ring);
            rt.spawn(async move {
                for item in 0..items {
                    ring.push(item).await;
                }
            })
        };
        rt.block_on(producer).unwrap();
        fickle.iter().for_each(gmprt::task::JoinHandle::abort);
        fickle.into_iter().for_each(|task| assert!(rt.block_on(task).unwrap_err().is_cancelled()));
        // Only the two that never give up are left: if a signal was lost with one that did, they sleep on items.
        until(|| ring.items.try_lock().is_some_and(|items| items.is_empty()));
        until(|| got.load(SeqCst) as u64 == items);
        steady.iter().for_each(gmprt::task::JoinHandle::abort);
        steady.into_iter().for_each(|task| drop(rt.block_on(task)));
        assert_eq!(waiting(&ring.filled), "Cond { waiting: 0 }");
    }
}

/// Each signal is given while enough wait, so each makes one wait return; dropped waits pass theirs on.
#[test]
fn as_many_waits_return_as_signals_were_sent() {
    let _watch = watch();
    let mut rng = Rng::new();
    for _ in 0..sized(20, 200) {
        let (mutex, cond) = (Arc::new(Mutex::new(0)), Arc::new(Cond::new()));
        let (doomed, stay, signals) = (rng.below(8) as usize, 8, rng.below(8) as usize);
        let mut line: Vec<_> = (0..doomed + stay).map(|_| in_line(&cond, &mutex)).collect();
        let mut left = Vec::new();
        let mut drops = Vec::new();
        while let Some(wait) = line.pop() {
            // Which of them are dropped is random, how many is not.
            let rest = line.len() as u64 + 1;
            if rng.below(rest) < (doomed - drops.len()) as u64 { drops.push(wait) } else { left.push(wait) }
        }
        thread::scope(|scope| {
            let (cond, half) = (&cond, drops.len() / 2);
            let others = drops.split_off(half);
            scope.spawn(move || (0..signals).for_each(|_| cond.signal()));
            scope.spawn(move || drop(drops));
            scope.spawn(move || drop(others));
        });
        let returned = left.iter_mut().filter_map(|(wait, _)| returns(wait).then_some(())).count();
        assert_eq!(returned, signals);
        assert_eq!(waiting(&cond), format!("Cond {{ waiting: {} }}", stay - signals));
        cond.broadcast();
        drop(left);
        assert!(is_free(&mutex));
    }
}

#[test]
fn it_works_on_another_executor() {
    let _watch = watch();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let (ring, items) = (Ring::new(), sized(1000, 10_000) as u64);
    let pushes = Arc::clone(&ring);
    let producer = rt.spawn(async move {
        for item in 0..items {
            pushes.push(item).await;
        }
    });
    let consumers: Vec<_> = (0..2)
        .map(|_| {
            let ring = Arc::clone(&ring);
            rt.spawn(async move {
                let mut sum = 0;
                for _ in 0..items / 2 {
                    sum += ring.pop().await;
                }
                sum
            })
        })
        .collect();
    rt.block_on(producer).unwrap();
    let sum: u64 = consumers.into_iter().map(|task| rt.block_on(task).unwrap()).sum();
    assert_eq!(sum, (0..items).sum());
}

/// The wait is dropped with the task, which holds nothing then.
#[test]
fn an_aborted_wait_leaves_line_and_lock() {
    let _watch = watch();
    let rt = runtime(2);
    let shared = Arc::new((Mutex::new(0), Cond::new()));
    let (theirs, gone) = (Arc::clone(&shared), Count::default());
    let went = gone.clone();
    let task = rt.spawn(async move {
        let _gone = OnDrop(move || went.add());
        let guard = theirs.0.lock().await;
        drop(theirs.1.wait_while(guard, |_| true).await);
    });
    until(|| waiting(&shared.1) == "Cond { waiting: 1 }");
    task.abort();
    assert!(rt.block_on(task).unwrap_err().is_cancelled());
    assert_eq!((gone.get(), waiting(&shared.1).as_str()), (1, "Cond { waiting: 0 }"));
    assert!(is_free(&shared.0));
    assert!(poll_once(&mut Box::pin(shared.0.lock())).is_ready());
    let (mut wait, _) = in_line(&shared.1, &shared.0);
    assert!(poll(&mut wait, Waker::noop()).is_pending());
}
