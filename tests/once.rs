//! What a `OnceCell` promises: one value, made by one caller at a time, and nobody who hangs on another's failure.
//!
//! What Go's `sync/once_test.go` and `oncefunc_test.go` and tokio's `tests/sync_once_cell.rs` assert is asserted here in our
//! own words; the name of the source's test stands beside each. Left out: Go's counts of allocations, what its collector
//! frees, `Goexit`, stack traces.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, OnDrop, Rng, pend_once, runtime, sized, watch};
use gmprt::sync::{OnceCell, SetError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};
use std::task::Poll::{self, Pending, Ready};
use std::task::{Context, Wake, Waker};
use std::thread;

type Boxed<'f, T> = Pin<Box<dyn Future<Output = T> + 'f>>;

/// A future and how often it was woken.
struct Polled<'f, T> {
    future: Boxed<'f, T>,
    woken: Count,
}

impl<'f, T> Polled<'f, T> {
    #[track_caller]
    fn parked(future: impl Future<Output = T> + 'f) -> Self {
        let mut polled = Self { future: Box::pin(future), woken: Count::default() };
        assert!(polled.poll().is_pending(), "it should wait");
        polled
    }

    fn poll(&mut self) -> Poll<T> {
        self.future.as_mut().poll(&mut Context::from_waker(&self.woken.waker()))
    }
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Ready(output) => output,
        Pending => panic!("it waits"),
    }
}

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

/// Never ready, and wakes nobody.
async fn never<T>() -> T {
    std::future::pending().await
}

// ---- One at a time ----

/// tokio: `get_uninit`, `set_and_get`, `set_twice`, `from`.
#[test]
fn a_cell_is_set_once() {
    static CELL: OnceCell<u32> = OnceCell::new();
    assert_eq!((CELL.get(), CELL.initialized()), (None, false));
    assert_eq!(CELL.set(5), Ok(()));
    assert_eq!((CELL.get(), CELL.initialized()), (Some(&5), true));
    let error = CELL.set(6).unwrap_err();
    assert_eq!(error, SetError::AlreadyInitializedError(6));
    assert!(error.is_already_init_err() && !error.is_initializing_err());
    assert_eq!(error.to_string(), "the cell has a value already");
    let mut cell = OnceCell::from(2);
    *cell.get_mut().unwrap() += 1;
    assert_eq!((cell.get(), cell.clone()), (Some(&3), OnceCell::new_with(Some(3))));
    assert_eq!(cell.take(), Some(3));
    assert_eq!((cell.take(), format!("{cell:?}")), (None, "OnceCell { value: None }".into()));
    assert_eq!(ready(cell.get_or_init(|| async { 4 })), &4);
    assert_eq!((format!("{cell:?}"), cell.into_inner()), ("OnceCell { value: Some(4) }".into(), Some(4)));
    assert_eq!(OnceCell::<u8>::default().into_inner(), None);
}

/// tokio: `set_while_initializing`.
#[test]
fn a_set_while_another_initialises_gives_the_value_back() {
    let cell = OnceCell::new();
    let call = Polled::parked(cell.get_or_init(never));
    let error = cell.set(String::from("mine")).unwrap_err();
    assert_eq!(error.to_string(), "the cell is being initialised");
    assert!(error.is_initializing_err() && !error.is_already_init_err());
    let SetError::InitializingError(mine) = error else { unreachable!() };
    drop(call);
    assert_eq!((cell.set(mine), cell.get().map(String::as_str)), (Ok(()), Some("mine")));
}

/// tokio: `get_or_init`; Go: `TestOnce`, `TestOnceFunc`, `TestOnceValue`, `TestOnceValues`.
#[test]
fn those_who_wait_get_the_value_of_the_first_and_call_nothing() {
    let cell = OnceCell::new();
    let mut first = Polled::parked(cell.get_or_init(|| async {
        pend_once().await;
        (1, 2)
    }));
    let mut rest: Vec<_> =
        (0..100).map(|_| Polled::parked(cell.get_or_init(|| async { unreachable!() }))).collect();
    assert!(rest.iter().all(|one| one.woken.get() == 0));
    assert_eq!(first.poll(), Ready(&(1, 2)));
    for one in &mut rest {
        assert_eq!(one.woken.get(), 1);
        assert_eq!(one.poll(), Ready(&(1, 2)));
    }
    assert_eq!(ready(cell.get_or_init(|| async { unreachable!() })), &(1, 2));
}

/// tokio: `get_or_try_init`. The next is the one that has waited longest, with its own function.
#[test]
fn who_fails_hands_the_turn_to_the_next_in_line() {
    let cell = OnceCell::new();
    let fails = |n: usize| {
        cell.get_or_try_init(move || async move {
            pend_once().await;
            if n < 5 { Err(n) } else { Ok(n) }
        })
    };
    let mut line: Vec<_> = (0..8).map(|n| Polled::parked(fails(n))).collect();
    for n in 0..5 {
        assert_eq!(line[n].woken.get(), usize::from(n > 0));
        assert!(n == 0 || line[n].poll().is_pending(), "its own function begins");
        assert_eq!(line[n].poll(), Ready(Err(n)));
        assert!(line[n + 2..].iter().all(|one| one.woken.get() == 0), "one turn");
    }
    assert!(line[5].poll().is_pending());
    assert_eq!(line[5].poll(), Ready(Ok(&5)));
    assert_eq!((line[6].poll(), line[7].poll()), (Ready(Ok(&5)), Ready(Ok(&5))));
}

/// tokio: `get_or_init_panic`. Go counts a panic as done (`TestOncePanic`, `TestOnceFuncPanic`, `TestOnceValuePanic`); here
/// the next tries.
#[test]
fn a_panic_hands_the_turn_to_the_next_in_line() {
    for in_the_function in [false, true] {
        let cell = OnceCell::new();
        let mut first = Polled::parked(cell.get_or_init(never));
        let mut second = Polled::parked(cell.get_or_init(|| {
            assert!(!in_the_function, "the function panics");
            async { panic!("its future panics") }
        }));
        let mut third = Polled::parked(cell.get_or_init(|| async { 3 }));
        assert!(first.poll().is_pending());
        drop(first);
        assert!(catch_unwind(AssertUnwindSafe(|| second.poll())).is_err());
        assert_eq!(third.woken.get(), 1);
        assert_eq!(third.poll(), Ready(&3));
    }
    let cell = OnceCell::new();
    assert!(
        catch_unwind(AssertUnwindSafe(|| ready(cell.get_or_init(|| async { panic!("alone") })))).is_err()
    );
    assert_eq!(ready(cell.get_or_init(|| async { 1 })), &1);
}

// ---- Who gives up ----

#[test]
fn whoever_gives_up_and_when_the_others_go_on() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Point {
        NeverPolled,
        InLine,
        /// It has been woken with the turn, and does not know it yet.
        Woken,
        /// In its initialiser.
        InTurn,
    }
    use Point::*;
    for point in [NeverPolled, InLine, Woken, InTurn] {
        let cell = OnceCell::new();
        let first = Polled::parked(cell.get_or_init(never));
        if point == NeverPolled {
            drop(cell.get_or_init(never));
        }
        let mut second = Polled::parked(cell.get_or_init(never));
        let mut third = Polled::parked(cell.get_or_init(|| async { 3 }));
        if matches!(point, NeverPolled | InLine) {
            drop(second);
            drop(first);
        } else {
            drop(first);
            assert_eq!((second.woken.get(), third.woken.get()), (1, 0));
            if point == InTurn {
                assert!(second.poll().is_pending() && third.woken.get() == 0);
            }
            drop(second);
        }
        assert_eq!(third.woken.get(), 1, "{point:?}");
        assert_eq!(third.poll(), Ready(&3));
    }
    // With nobody behind it the turn is free again, also when it reached one that was dropped.
    let cell = OnceCell::new();
    let (first, second) = (Polled::parked(cell.get_or_init(never)), Polled::parked(cell.get_or_init(never)));
    drop(first);
    drop(second);
    assert_eq!(cell.set(1), Ok(()));
}

/// One that was told that the value is there, and is dropped, takes nothing along.
#[test]
fn who_gives_up_when_the_value_is_there_takes_nothing_along() {
    let cell = OnceCell::new();
    let mut first = Polled::parked(cell.get_or_init(|| async {
        pend_once().await;
        1
    }));
    let (second, mut third) =
        (Polled::parked(cell.get_or_init(never)), Polled::parked(cell.get_or_init(never)));
    assert_eq!(first.poll(), Ready(&1));
    drop(second);
    assert_eq!(third.poll(), Ready(&1));
}

/// The initialiser of a call that is dropped is dropped before the next one begins.
#[test]
fn two_initialisers_never_live_at_once() {
    let cell = OnceCell::new();
    let live = Count::default();
    let begin = || {
        let live = live.clone();
        async move {
            live.add();
            let _left = live.on_drop();
            never::<()>().await
        }
    };
    let first = Polled::parked(cell.get_or_init(begin));
    let mut second = Polled::parked(cell.get_or_init(begin));
    drop(first);
    assert_eq!(live.get(), 2, "begun and dropped");
    assert!(second.poll().is_pending());
    assert_eq!(live.get(), 3);
}

// ---- Hostile wakers and values ----

#[test]
fn wakers_may_use_the_cell_when_they_are_woken_and_dropped() {
    struct Calls(&'static OnceCell<u32>);
    impl Wake for Calls {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Calls {
        fn drop(&mut self) {
            let _ = self.0.set(9);
            let mut call = Box::pin(self.0.get_or_init(never));
            let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
    }
    let cell: &'static OnceCell<u32> = Box::leak(Box::new(OnceCell::new()));
    let mut line: Vec<Boxed<'_, &u32>> = Vec::new();
    for n in 0..5 {
        let mut call: Boxed<'_, &u32> = Box::pin(cell.get_or_init(move || async move {
            pend_once().await;
            n
        }));
        let waker = Waker::from(Arc::new(Calls(cell)));
        assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        line.push(call);
    }
    drop(line.remove(2)); // in line
    drop(line.remove(0)); // in its initialiser: the turn goes on
    let mut cx = Context::from_waker(Waker::noop());
    assert!(line[0].as_mut().poll(&mut cx).is_pending());
    assert_eq!(line[0].as_mut().poll(&mut cx), Ready(&1));
    assert!(line[1..].iter_mut().all(|call| call.as_mut().poll(&mut cx) == Ready(&1)));
}

#[test]
fn a_waker_that_panics_keeps_no_sibling_from_being_woken() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics");
        }
    }
    let bad = Waker::from(Arc::new(Bad));
    let cell = OnceCell::new();
    let mut first = Polled::parked(cell.get_or_init(|| async {
        pend_once().await;
        1
    }));
    let mut spoilt = Box::pin(cell.get_or_init(never));
    assert!(spoilt.as_mut().poll(&mut Context::from_waker(&bad)).is_pending());
    let mut rest: Vec<_> = (0..70).map(|_| Polled::parked(cell.get_or_init(never))).collect();
    assert!(catch_unwind(AssertUnwindSafe(|| first.poll())).is_err());
    assert!(rest.iter_mut().all(|one| one.woken.get() == 1 && one.poll() == Ready(&1)));
    assert_eq!(ready(spoilt), &1, "the value is there all the same");
    // Also where the turn is passed on by a panic: two at once would end the process.
    let cell = OnceCell::<u8>::new();
    let mut first = Polled::parked(cell.get_or_init(|| async {
        pend_once().await;
        panic!("the first")
    }));
    let mut next = Box::pin(cell.get_or_init(|| async { 2 }));
    assert!(next.as_mut().poll(&mut Context::from_waker(&bad)).is_pending());
    let panic = catch_unwind(AssertUnwindSafe(|| first.poll())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the first"));
    assert_eq!(ready(next), &2);
}

/// tokio: `drop_cell`, `drop_cell_new_with`, `drop_into_inner`, `drop_into_inner_new_with`.
#[test]
fn a_value_is_dropped_once() {
    let drops = Count::default();
    let cell = OnceCell::new();
    assert!(cell.set(drops.on_drop()).is_ok());
    drop(cell);
    assert_eq!(drops.get(), 1);
    drop(OnceCell::new_with(Some(drops.on_drop())));
    assert_eq!(drops.get(), 2);
    let value = OnceCell::new_with(Some(drops.on_drop())).into_inner();
    assert_eq!(drops.get(), 2);
    drop(value);
    assert_eq!(drops.get(), 3);
    let cell = OnceCell::from(drops.on_drop());
    assert!(matches!(cell.set(drops.on_drop()), Err(SetError::AlreadyInitializedError(_))));
    assert_eq!(drops.get(), 4);
    drop(cell);
    assert_eq!(drops.get(), 5);
    let bomb = OnDrop(|| {
        drops.add();
        panic!("a drop panics");
    });
    let mut cell = OnceCell::from(bomb);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(cell.take()))).is_err());
    drop(cell);
    assert_eq!(drops.get(), 6);
}

#[test]
fn what_crosses_threads_is_what_the_value_allows() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    fn crosses<T: Send>(_: T) {}
    send::<OnceCell<std::cell::Cell<u8>>>();
    sync::<OnceCell<u8>>();
    let cell = OnceCell::new();
    crosses(cell.get_or_init(|| async { 1 }));
    crosses(cell.get_or_try_init(|| async { Ok::<_, ()>(1) }));
}

// ---- Storms ----

/// A cell, who is in its initialiser, and how many values were made.
#[derive(Default)]
struct Storm {
    cell: OnceCell<Vec<usize>>,
    inside: AtomicIsize,
    made: AtomicUsize,
}

async fn tick() {
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

impl Storm {
    async fn make(&self, fate: u64) -> Result<Vec<usize>, ()> {
        assert_eq!(self.inside.fetch_add(1, SeqCst), 0, "two initialise at once");
        let _left = OnDrop(|| _ = self.inside.fetch_sub(1, SeqCst));
        tick().await;
        tick().await;
        if fate > 0 {
            return Err(());
        }
        self.made.fetch_add(1, SeqCst);
        Ok(vec![7; 100])
    }

    /// One in eight initialisers makes the value; calls are given up after some polls.
    async fn run(self: Arc<Self>, mut rng: Rng) {
        while !self.cell.initialized() {
            let fate = rng.below(8);
            let mut call = pin!(self.cell.get_or_try_init(|| self.make(fate)));
            for _ in 0..1 + rng.below(6) {
                match std::future::poll_fn(|cx| Ready(call.as_mut().poll(cx))).await {
                    Ready(Ok(value)) => assert_eq!(value, &[7; 100]),
                    Ready(Err(())) => {}
                    Pending => {
                        tick().await;
                        continue;
                    }
                }
                break;
            }
        }
        assert_eq!(self.cell.get().unwrap(), &[7; 100]);
    }

    fn is_over(&self) {
        assert_eq!(self.made.load(SeqCst), 1, "one value");
        assert_eq!(self.inside.load(SeqCst), 0);
    }
}

#[test]
fn one_value_is_made_whoever_fails_or_gives_up_on_gmprt() {
    let _watch = watch();
    let mut rng = Rng::new();
    for procs in [1, 4] {
        let rt = runtime(procs);
        for _ in 0..sized(50, 500) {
            let storm = Arc::new(Storm::default());
            let tasks: Vec<_> = (0..8).map(|_| rt.spawn(Arc::clone(&storm).run(rng.fork()))).collect();
            tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
            storm.is_over();
        }
    }
}

#[test]
fn one_value_is_made_whoever_fails_or_gives_up_on_tokio() {
    let _watch = watch();
    let mut rng = Rng::new();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    for _ in 0..sized(50, 500) {
        let storm = Arc::new(Storm::default());
        let tasks: Vec<_> = (0..8).map(|_| rt.spawn(Arc::clone(&storm).run(rng.fork()))).collect();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        storm.is_over();
    }
}

#[test]
fn one_value_is_made_whoever_fails_or_gives_up_on_threads_beside_a_runtime() {
    let _watch = watch();
    let mut rng = Rng::new();
    let rt = runtime(2);
    for _ in 0..sized(20, 200) {
        let storm = Arc::new(Storm::default());
        let tasks: Vec<_> = (0..3).map(|_| rt.spawn(Arc::clone(&storm).run(rng.fork()))).collect();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let run = Arc::clone(&storm).run(rng.fork());
                thread::spawn(move || block_on(run))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        storm.is_over();
    }
}

/// Nobody is dropped here, so each failure must wake the next: a lost turn is a hang.
#[test]
fn a_line_of_failures_reaches_its_end() {
    let _watch = watch();
    for procs in [1, 4] {
        let rt = runtime(procs);
        for _ in 0..sized(20, 200) {
            let storm = Arc::new(Storm::default());
            let tasks: Vec<_> = (0..30)
                .map(|n| {
                    let storm = Arc::clone(&storm);
                    rt.spawn(async move { storm.cell.get_or_try_init(|| storm.make(1 + n)).await.is_err() })
                })
                .collect();
            assert!(tasks.into_iter().all(|task| rt.block_on(task).unwrap()));
            assert!(!storm.cell.initialized());
        }
    }
}

/// Tasks that are aborted, or panic, wherever they stand.
#[test]
fn tasks_that_end_in_their_initialiser_hang_nobody() {
    let _watch = watch();
    let mut rng = Rng::new();
    let rt = runtime(4);
    for _ in 0..sized(10, 100) {
        let storm = Arc::new(Storm::default());
        let tasks: Vec<_> = (0..10)
            .map(|n| {
                let (storm, fate) = (Arc::clone(&storm), rng.below(3));
                rt.spawn(async move {
                    let made = storm.cell.get_or_init(|| async {
                        tick().await;
                        match (n, fate) {
                            (9, _) => storm.make(0).await.unwrap(),
                            (_, 0) => std::panic::resume_unwind(Box::new("on purpose")), // prints no backtrace
                            _ => never().await,
                        }
                    });
                    made.await.len()
                })
            })
            .collect();
        tasks[..9].iter().for_each(gmprt::task::JoinHandle::abort);
        let mut ended: Vec<_> = tasks.into_iter().map(|task| rt.block_on(task)).collect();
        assert_eq!(ended.pop().unwrap().unwrap(), 100);
        storm.is_over();
    }
}
