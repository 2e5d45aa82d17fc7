//! What a `Mutex` promises: one holder at a time, nobody forgotten, Go's two modes, and no harm from wakers that misbehave.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

#[path = "common/acting.rs"]
mod acting;
mod common;

use acting::Act;
use common::{Count, Rng, poll_once, runtime, sized, until, watch};
use gmprt::sync::{LockFuture, Mutex, MutexGuard, OwnedMutexGuard};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex, mpsc};
use std::task::Poll::{self, Pending, Ready};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

type Wait<'a> = Pin<Box<LockFuture<'a, u32>>>;

fn poll<'a>(wait: &mut Wait<'a>, waker: &Waker) -> Poll<MutexGuard<'a, u32>> {
    wait.as_mut().poll(&mut Context::from_waker(waker))
}

/// Stands in line with a waker that counts.
fn in_line(mutex: &Mutex<u32>) -> (Wait<'_>, Count) {
    let (mut wait, woken): (Wait<'_>, _) = (Box::pin(mutex.lock()), Count::default());
    assert!(poll(&mut wait, &woken.waker()).is_pending());
    (wait, woken)
}

fn served<'a>(wait: &mut Wait<'a>) -> MutexGuard<'a, u32> {
    match poll(wait, Waker::noop()) {
        Ready(guard) => guard,
        Pending => panic!("it is its turn"),
    }
}

/// More than the millisecond that a waiter may lose.
fn compute() {
    let began = Instant::now();
    until(|| began.elapsed() > Duration::from_millis(3));
}

fn is_free(mutex: &Mutex<u32>) -> bool {
    mutex.try_lock().is_some()
}

/// A waker that panics when it is treated so.
fn panics_on(bad: Act) -> Waker {
    acting::waker(move |act| assert!(act != bad, "this waker panics on {bad:?}"))
}

fn panics(f: impl FnOnce()) {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("the waker panics");
    assert!(payload.downcast_ref::<String>().unwrap().starts_with("this waker panics on"));
}

/// Makes the lock starve: `first` is in line, called, and has lost. The guard is the one it lost to.
fn starving(mutex: &Mutex<u32>) -> (Wait<'_>, MutexGuard<'_, u32>) {
    let guard = mutex.try_lock().unwrap();
    let (mut first, woken) = in_line(mutex);
    compute();
    drop(guard);
    assert_eq!(woken.get(), 1);
    let thief = mutex.try_lock().expect("a lock that does not starve is taken by who comes first");
    assert!(poll(&mut first, Waker::noop()).is_pending());
    (first, thief)
}

#[test]
fn who_is_called_and_loses_is_the_first_again() {
    let _watch = watch();
    let mutex = Mutex::new(0);
    let guard = mutex.try_lock().unwrap();
    let (mut first, first_woken) = in_line(&mutex);
    let (mut second, second_woken) = in_line(&mutex);
    drop(guard);
    assert_eq!((first_woken.get(), second_woken.get()), (1, 0));
    // Others come and go while it is on its way: nobody else is called.
    for _ in 0..3 {
        assert!(is_free(&mutex));
    }
    assert_eq!((first_woken.get(), second_woken.get()), (1, 0));
    let thief = mutex.try_lock().unwrap();
    assert!(poll(&mut second, &second_woken.waker()).is_pending());
    assert!(poll(&mut first, &first_woken.waker()).is_pending());
    drop(thief);
    assert_eq!((first_woken.get(), second_woken.get()), (2, 0));
    drop(served(&mut first));
    assert_eq!((first_woken.get(), second_woken.get()), (2, 1));
    drop(served(&mut second));
    assert!(is_free(&mutex));
}

#[test]
fn a_lock_that_starves_is_handed_on_in_the_order_of_the_line_and_nobody_overtakes() {
    let _watch = watch();
    let mutex = Mutex::new(0);
    let (first, thief) = starving(&mutex);
    let mut line: Vec<_> = (0..4).map(|_| in_line(&mutex)).collect();
    compute();
    line.insert(0, (first, Count::default()));
    assert!(!is_free(&mutex));
    drop(thief);
    while !line.is_empty() {
        assert!(!is_free(&mutex), "it is the first one's, who has not even looked");
        for (later, woken) in &mut line[1..] {
            assert_eq!(woken.get(), 0);
            assert!(poll(later, &woken.waker()).is_pending());
        }
        let (mut next, _) = line.remove(0);
        let guard = served(&mut next);
        assert!(!is_free(&mutex));
        if let Some((_, woken)) = line.first() {
            drop(guard);
            assert_eq!(woken.get(), 1);
        }
    }
    assert!(is_free(&mutex), "the last one ends the starvation");
}

#[test]
fn starvation_ends_with_one_that_has_waited_for_less_than_a_millisecond() {
    let _watch = watch();
    loop {
        let mutex = Mutex::new(0);
        let (mut first, thief) = starving(&mutex);
        let began = Instant::now();
        let (mut second, _) = in_line(&mutex);
        let (mut third, third_woken) = in_line(&mutex);
        drop(thief);
        drop(served(&mut first));
        assert!(!is_free(&mutex), "the first has waited for long");
        let guard = served(&mut second);
        if began.elapsed() >= Duration::from_millis(1) {
            continue; // the machine was busy: once more
        }
        drop(guard);
        assert_eq!(third_woken.get(), 1);
        assert!(is_free(&mutex), "the third was called, no more");
        drop(served(&mut third));
        assert!(is_free(&mutex));
        break;
    }
}

/// Where a wait may be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    Waiting,
    Called,
    LostAgain,
    Starving,
    HandedOver,
}

#[test]
fn a_wait_that_is_dropped_anywhere_leaves_the_lock_to_the_others() {
    let _watch = watch();
    for when in [When::Waiting, When::Called, When::LostAgain, When::Starving, When::HandedOver] {
        for victim in 0..4 {
            for alone in [false, true] {
                cancelled(when, victim, alone);
            }
        }
    }
}

fn cancelled(when: When, victim: usize, alone: bool) {
    let mutex = Mutex::new(0);
    let mut guard = mutex.try_lock();
    let mut line: Vec<_> = (0..if alone { 1 } else { 4 }).map(|_| Some(in_line(&mutex))).collect();
    let victim = victim % line.len();
    if when != When::Waiting {
        if when != When::Called {
            compute();
        }
        drop(guard.take());
    }
    if matches!(when, When::LostAgain | When::Starving | When::HandedOver) {
        guard = mutex.try_lock();
        let (first, woken) = line[0].as_mut().unwrap();
        assert!(poll(first, &woken.waker()).is_pending());
    }
    if when == When::HandedOver {
        drop(guard.take());
        assert!(!is_free(&mutex));
    }
    drop(line[victim].take());
    if when == When::Starving && !alone {
        let next = usize::from(victim == 0);
        drop(guard.take());
        assert!(!is_free(&mutex), "{next} has it");
        assert!(line[next].as_ref().unwrap().1.get() > 0);
    }
    drop(guard);
    for (wait, woken) in line.iter_mut().flatten() {
        assert!(woken.get() > 0, "{when:?}, {victim} was dropped: the next one sleeps on");
        let mut guard = served(wait);
        *guard += 1;
    }
    let after = mutex.try_lock().unwrap_or_else(|| panic!("{when:?}, {victim} was dropped: it is locked"));
    assert_eq!(*after as usize, line.len() - 1);
}

#[test]
fn a_wait_that_was_never_polled_leaves_no_trace() {
    let mutex = Mutex::new(0);
    drop(mutex.lock());
    let guard = mutex.try_lock().unwrap();
    drop(Box::pin(mutex.lock()));
    drop(guard);
    assert!(is_free(&mutex));
}

#[test]
fn whoever_is_called_and_panics_on_its_way_passes_the_call_on() {
    let _watch = watch();
    for again in [false, true] {
        let mutex = Mutex::new(0);
        let guard = mutex.try_lock().unwrap();
        let (mut first, _) = in_line(&mutex);
        let (mut second, woken) = in_line(&mutex);
        drop(guard);
        panics(|| drop(poll(&mut first, &panics_on(Act::Clone))));
        assert_eq!(woken.get(), 0);
        if again {
            drop(served(&mut first));
        }
        drop(first);
        assert_eq!(woken.get(), 1, "polled again: {again}");
        drop(served(&mut second));
        assert!(is_free(&mutex));
    }
}

#[test]
fn a_waker_that_panics_when_woken_harms_only_its_own_wait() {
    let _watch = watch();
    for starves in [false, true] {
        for polled in [false, true] {
            let mutex = Mutex::new(0);
            let (mut first, guard) = if starves {
                starving(&mutex)
            } else {
                let guard = mutex.try_lock().unwrap();
                (in_line(&mutex).0, guard)
            };
            let (mut second, woken) = in_line(&mutex);
            assert!(poll(&mut first, &panics_on(Act::Wake)).is_pending());
            panics(|| drop(guard));
            if polled {
                drop(served(&mut first));
            }
            drop(first);
            assert_eq!(woken.get(), 1);
            drop(served(&mut second));
            assert!(is_free(&mutex));
        }
    }
}

#[test]
fn a_waker_that_panics_when_dropped_harms_nobody() {
    let _watch = watch();
    let mutex = Mutex::new(0);
    let guard = mutex.try_lock().unwrap();
    let mut first: Wait<'_> = Box::pin(mutex.lock());
    let waker = panics_on(Act::Drop);
    assert!(poll(&mut first, &waker).is_pending());
    std::mem::forget(waker);
    let (mut second, woken) = in_line(&mutex);
    panics(|| drop(first));
    drop(guard);
    assert_eq!(woken.get(), 1);
    drop(served(&mut second));
    assert!(is_free(&mutex));
}

type Owned = Pin<Box<dyn Future<Output = OwnedMutexGuard<u32>> + Send>>;

/// Each act of these wakers locks, unlocks, waits and drops another's wait: with the queue locked it would hang.
#[test]
fn wakers_are_cloned_woken_and_dropped_with_nothing_locked() {
    let _watch = watch();
    for starves in [false, true] {
        for bad in [Act::Clone, Act::Wake, Act::Drop] {
            let (mutex, acts) = (Arc::new(Mutex::new(0)), Count::default());
            let victim: Arc<StdMutex<Option<Owned>>> = Arc::default();
            let waker = {
                let (mutex, victim, acts) = (Arc::clone(&mutex), Arc::clone(&victim), acts.clone());
                acting::waker(move |act| {
                    if act == bad {
                        acts.add();
                        drop(mutex.try_lock());
                        let mut wait = Box::pin(mutex.lock());
                        drop(poll_once(&mut wait));
                        drop(wait);
                        let victim = victim.lock().unwrap().take();
                        drop(victim);
                    }
                })
            };
            let (mut first, guard) = if starves {
                starving(&mutex)
            } else {
                let guard = mutex.try_lock().unwrap();
                (in_line(&mutex).0, guard)
            };
            let mut dropped: Owned = Box::pin(Arc::clone(&mutex).lock_owned());
            assert!(poll_once(&mut dropped).is_pending());
            *victim.lock().unwrap() = Some(dropped);
            assert!(poll(&mut first, &waker).is_pending());
            drop(waker);
            let (mut last, woken) = in_line(&mutex);
            if bad == Act::Drop {
                drop(first);
                drop(guard);
            } else {
                drop(guard);
                drop(served(&mut first));
            }
            assert!(acts.get() > 0);
            drop(victim.lock().unwrap().take());
            assert!(woken.get() > 0, "starves: {starves}, on {bad:?}");
            drop(served(&mut last));
            assert!(is_free(&mutex));
        }
    }
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let mutex = Mutex::new(0);
    let guard = mutex.try_lock().unwrap();
    let (mut wait, old) = in_line(&mutex);
    let new = Count::default();
    assert!(poll(&mut wait, &new.waker()).is_pending());
    drop(guard);
    assert_eq!((old.get(), new.get()), (0, 1));
}

#[test]
fn a_panic_under_the_lock_unlocks_it() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("loud");
        }
    }
    let mutex = Mutex::new(Some(Loud));
    let caught = catch_unwind(AssertUnwindSafe(|| *mutex.try_lock().unwrap() = None));
    assert!(caught.is_err());
    assert!(mutex.try_lock().expect("unlocked").is_none());
    // The last share goes with the guard: the value is dropped once, after the unlock.
    let owned = Arc::new(Mutex::new(Some(Loud))).try_lock_owned().unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(owned))).is_err());
}

#[test]
fn an_owned_wait_that_is_dropped_half_way_gives_its_share_back() {
    let mutex = Arc::new(Mutex::new(1));
    let guard = mutex.try_lock().unwrap();
    for polls in 0..3 {
        let mut wait = Box::pin(Arc::clone(&mutex).lock_owned());
        (0..polls).for_each(|_| assert!(poll_once(&mut wait).is_pending()));
        assert_eq!(Arc::strong_count(&mutex), 2);
        drop(wait);
        assert_eq!(Arc::strong_count(&mutex), 1);
    }
    drop(guard);
    let Ready(owned) = poll_once(&mut Box::pin(Arc::clone(&mutex).lock_owned())) else { panic!("free") };
    assert_eq!((Arc::strong_count(&mutex), *owned), (2, 1));
    assert!(Arc::ptr_eq(OwnedMutexGuard::mutex(&owned), &mutex));
    assert!(!is_free(&mutex));
    drop(owned);
    assert!(is_free(&mutex));
    assert_eq!(Arc::strong_count(&mutex), 1);
}

#[test]
fn an_unsized_value_can_be_locked() {
    let mutex: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2, 3]));
    mutex.try_lock().unwrap()[1] = 7;
    let shown: Box<Mutex<dyn std::fmt::Debug + Send>> = Box::new(Mutex::new(5));
    assert_eq!(format!("{shown:?}"), "Mutex { value: 5 }");
    runtime(2).block_on(async move {
        let guard = Arc::clone(&mutex).lock_owned().await;
        gmprt::spawn(async move { assert_eq!(*guard, [1, 7, 3]) }).await.unwrap();
        assert_eq!(mutex.lock().await.len(), 3);
    });
}

#[test]
fn to_show_it_blocks_nobody() {
    let _watch = watch();
    let mutex = Mutex::new(1);
    let wait = mutex.lock();
    assert_eq!(format!("{mutex:?}"), "Mutex { value: 1 }");
    assert_eq!(format!("{wait:?}"), "LockFuture { locked: false, .. }");
    let guard = mutex.try_lock().unwrap();
    assert_eq!(format!("{guard:?} {guard}"), "1 1");
    assert_eq!(format!("{mutex:?}"), "Mutex { value: <locked> }");
    assert_eq!(format!("{wait:?}"), "LockFuture { locked: true, .. }");
}

#[test]
fn what_may_cross_threads_is_what_the_value_allows() {
    // The method of the type itself, if the bound holds, goes before the trait's.
    macro_rules! is {
        ($trait:ident, $type:ty) => {{
            struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
            #[allow(dead_code)]
            impl<T: ?Sized + $trait> Probe<T> {
                fn answer(&self) -> bool {
                    true
                }
            }
            #[allow(dead_code)]
            trait No {
                fn answer(&self) -> bool {
                    false
                }
            }
            impl<T: ?Sized> No for Probe<T> {}
            Probe::<$type>(std::marker::PhantomData).answer()
        }};
    }
    use std::cell::Cell;
    use std::rc::Rc;
    assert!(is!(Send, Mutex<Cell<u8>>) && is!(Sync, Mutex<Cell<u8>>));
    assert!(!is!(Send, Mutex<Rc<u8>>) && !is!(Sync, Mutex<Rc<u8>>));
    assert!(is!(Send, MutexGuard<'static, Cell<u8>>) && !is!(Sync, MutexGuard<'static, Cell<u8>>));
    assert!(!is!(Send, MutexGuard<'static, Rc<u8>>) && is!(Sync, MutexGuard<'static, u8>));
    assert!(is!(Send, OwnedMutexGuard<Cell<u8>>) && !is!(Sync, OwnedMutexGuard<Cell<u8>>));
    assert!(!is!(Send, OwnedMutexGuard<Rc<u8>>) && is!(Sync, OwnedMutexGuard<u8>));
    assert!(is!(Send, LockFuture<'static, Cell<u8>>) && !is!(Send, LockFuture<'static, Rc<u8>>));
    assert!(is!(Send, Mutex<dyn std::fmt::Debug + Send>) && !is!(Send, Mutex<dyn std::fmt::Debug>));
}

/// Two numbers that are equal whenever the lock is free.
#[derive(Default)]
struct Pair(u64, u64);

impl Pair {
    fn add(&mut self) {
        assert_eq!(self.0, self.1, "two hold it");
        self.0 += 1;
        std::hint::black_box(&mut *self);
        self.1 += 1;
    }
}

fn totals(mutex: &Mutex<Pair>, expected: u64) {
    let pair = mutex.try_lock().expect("nobody has it, nobody waits");
    assert_eq!((pair.0, pair.1), (expected, expected));
}

/// Polls a future `left` times at most, and drops it then.
struct Impatient<F> {
    future: Option<Pin<Box<F>>>,
    left: u64,
}

impl<F: Future> Future for Impatient<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if self.left == 0 {
            self.future = None;
            return Ready(None);
        }
        self.left -= 1;
        if let Some(future) = &mut self.future
            && let Ready(output) = future.as_mut().poll(cx)
        {
            return Ready(Some(output));
        }
        // Sometimes at the next wake, sometimes at once: then it may be anywhere.
        if self.left.is_multiple_of(2) {
            cx.waker().wake_by_ref();
        }
        Pending
    }
}

/// What a task of a storm does: waits to the end, gives up, or only tries; some hold it over a wait, or for long.
async fn storm(mutex: Arc<Mutex<Pair>>, rounds: usize, mut rng: Rng) -> u64 {
    let mut adds = 0;
    for _ in 0..rounds {
        let guard = match rng.below(8) {
            0 => mutex.try_lock(),
            1..4 => Impatient { future: Some(Box::pin(mutex.lock())), left: rng.below(4) }.await,
            4 => {
                let mut guard = Arc::clone(&mutex).lock_owned().await;
                guard.add();
                adds += 1;
                None
            }
            _ => Some(mutex.lock().await),
        };
        if let Some(mut guard) = guard {
            guard.add();
            adds += 1;
            match rng.below(64) {
                0 => compute(),
                1..8 => yields().await,
                _ => {}
            }
        }
    }
    adds
}

/// On any executor.
async fn yields() {
    let mut first = true;
    std::future::poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            return Pending;
        }
        Ready(())
    })
    .await;
}

#[test]
fn storms_of_tasks_that_wait_try_and_give_up_add_up() {
    let _watch = watch();
    let mut rng = Rng::new();
    for procs in [1, 4, 8] {
        let rt = runtime(procs);
        let mutex = Arc::new(Mutex::new(Pair::default()));
        let tasks: Vec<_> =
            (0..16).map(|_| rt.spawn(storm(Arc::clone(&mutex), sized(300, 2000), rng.fork()))).collect();
        let adds = tasks.into_iter().map(|task| rt.block_on(task).unwrap()).sum();
        totals(&mutex, adds);
    }
}

#[test]
fn it_works_on_another_executor() {
    let _watch = watch();
    let mut rng = Rng::new();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let mutex = Arc::new(Mutex::new(Pair::default()));
    let tasks: Vec<_> =
        (0..16).map(|_| rt.spawn(storm(Arc::clone(&mutex), sized(300, 2000), rng.fork()))).collect();
    let adds = tasks.into_iter().map(|task| rt.block_on(task).unwrap()).sum();
    totals(&mutex, adds);
}

#[test]
fn threads_and_tasks_stand_in_one_line() {
    let _watch = watch();
    let mut rng = Rng::new();
    let rt = runtime(4);
    let mutex = Arc::new(Mutex::new(Pair::default()));
    let rounds = sized(300, 2000);
    let tasks: Vec<_> = (0..8).map(|_| rt.spawn(storm(Arc::clone(&mutex), rounds, rng.fork()))).collect();
    let blocking = rt.spawn_blocking({
        let mutex = Arc::clone(&mutex);
        move || {
            (0..rounds).for_each(|_| mutex.lock_blocking().add());
            rounds as u64
        }
    });
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let mutex = Arc::clone(&mutex);
            thread::spawn(move || {
                let mut adds = 0;
                for round in 0..rounds {
                    if (n + round) % 3 == 0 {
                        mutex.try_lock().into_iter().for_each(|mut pair| (pair.add(), adds += 1).1);
                    } else {
                        mutex.lock_blocking().add();
                        adds += 1;
                    }
                }
                adds
            })
        })
        .collect();
    let mut adds: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    adds += tasks.into_iter().map(|task| rt.block_on(task).unwrap()).sum::<u64>();
    adds += rt.block_on(blocking).unwrap();
    totals(&mutex, adds);
}

#[test]
fn aborted_tasks_leave_the_lock_free() {
    let _watch = watch();
    let mut rng = Rng::new();
    for procs in [1, 4] {
        let rt = runtime(procs);
        let mutex = Arc::new(Mutex::new(Pair::default()));
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let mutex = Arc::clone(&mutex);
                rt.spawn(async move {
                    loop {
                        mutex.lock().await.add();
                        yields().await;
                    }
                })
            })
            .collect();
        for task in &tasks {
            (0..rng.below(4)).for_each(|_| thread::yield_now());
            task.abort();
        }
        for task in tasks {
            assert!(rt.block_on(task).unwrap_err().is_cancelled());
        }
        let pair = rt.block_on(mutex.lock());
        assert_eq!(pair.0, pair.1);
        drop(pair);
        assert!(mutex.try_lock().is_some());
    }
}

/// The one P goes to the holder, which must run to unlock.
#[test]
fn lock_blocking_in_a_task_gives_its_p_up() {
    let _watch = watch();
    let rt = runtime(1);
    let mutex = Arc::new(Mutex::new(0));
    let held = Arc::clone(&mutex).try_lock_owned().unwrap();
    let (entered, enters) = mpsc::channel();
    let locks = Arc::clone(&mutex);
    let blocked = rt.spawn(async move {
        entered.send(()).unwrap();
        *locks.lock_blocking() += 1;
    });
    enters.recv().unwrap();
    rt.block_on(rt.spawn(async move { drop(held) })).unwrap();
    rt.block_on(blocked).unwrap();
    assert_eq!(*mutex.try_lock().unwrap(), 1);
}

/// Each holder computes for longer than a waiter may lose: without starvation one thread could keep it for ever.
#[test]
fn a_waiter_is_served_though_another_thread_locks_again_at_once() {
    let _watch = watch();
    let (mutex, over) = (Arc::new(Mutex::new(0)), Arc::new(AtomicBool::new(false)));
    let turns = Arc::new(AtomicUsize::new(0));
    let greedy = {
        let (mutex, over, turns) = (Arc::clone(&mutex), Arc::clone(&over), Arc::clone(&turns));
        thread::spawn(move || {
            while !over.load(SeqCst) {
                let mut guard = mutex.lock_blocking();
                *guard += 1;
                turns.fetch_add(1, SeqCst);
                compute();
            }
        })
    };
    until(|| turns.load(SeqCst) > 0);
    for _ in 0..5 {
        drop(mutex.lock_blocking());
    }
    over.store(true, SeqCst);
    greedy.join().unwrap();
    assert!(is_free(&mutex));
}
