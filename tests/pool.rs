//! What `sync::Pool` promises: what was returned is used again, nothing is given to two, and nothing is lost.
//!
//! The generations, which need time, are tested inside (`runtime/sync/pool/tests.rs`).

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, OnDrop, runtime, sized, watch};
use gmprt::chan::bounded;
use gmprt::sync::{Pool, PoolGuard};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

#[test]
fn a_pool_and_its_guards_go_where_their_values_may() {
    fn sent<T: Send>() {}
    fn shared<T: Sync>() {}
    fn forever<T: 'static>() {}
    sent::<Pool<std::cell::Cell<u8>>>();
    shared::<Pool<std::cell::Cell<u8>>>();
    sent::<PoolGuard<std::cell::Cell<u8>>>();
    shared::<PoolGuard<Vec<u8>>>();
    forever::<PoolGuard<Vec<u8>>>();
}

#[test]
fn the_last_value_returned_on_a_thread_is_the_next_one_given_there() {
    let pool = Pool::new(|| 0);
    let (mut one, mut two) = (pool.get(), pool.get());
    (*one, *two) = (1, 2);
    drop(one);
    assert_eq!(*pool.get(), 1);
    drop(two); // behind 1, which is private again
    let (first, second, third) = (pool.get(), pool.get(), pool.get());
    assert_eq!((*first, *second, *third), (1, 2, 0));
}

#[test]
fn a_value_that_was_taken_or_put_needs_no_guard() {
    let pool = Pool::new(|| String::from("new"));
    pool.put(String::from("mine"));
    let guard = pool.get();
    assert_eq!(*guard, "mine");
    assert_eq!(guard.take(), "mine");
    assert_eq!(*pool.get(), "new", "what was taken is not there any more");
}

#[test]
fn a_guard_goes_into_a_task_and_the_pool_may_go_first() {
    let _watch = watch();
    let drops = Count::default();
    let made = drops.clone();
    let pool = Pool::new(move || made.on_drop());
    let guard = pool.get();
    drop(pool);
    assert_eq!(drops.get(), 0);
    let rt = runtime(2);
    rt.block_on(rt.spawn(async move {
        gmprt::yield_now().await;
        drop(guard);
    }))
    .unwrap();
    assert_eq!(drops.get(), 1, "the pool has ended with its last guard");
}

#[test]
fn what_is_pooled_is_dropped_with_the_last_handle() {
    let drops = Count::default();
    let made = drops.clone();
    let pool = Pool::new(move || made.on_drop());
    let other = pool.clone();
    let guards: Vec<_> = (0..10).map(|_| pool.get()).collect();
    drop(guards);
    drop(pool);
    assert_eq!(drops.get(), 0);
    drop(other);
    assert_eq!(drops.get(), 10);
}

#[test]
fn a_constructor_that_panics_loses_nothing() {
    let panics = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&panics);
    let pool = Pool::new(move || assert!(!switch.load(SeqCst), "no value today"));
    assert!(catch_unwind(AssertUnwindSafe(|| pool.get())).is_err());
    panics.store(false, SeqCst);
    let guards = (pool.get(), pool.get());
    drop(guards);
    panics.store(true, SeqCst);
    let _both = (pool.get(), pool.get());
    assert!(catch_unwind(AssertUnwindSafe(|| pool.get())).is_err());
}

#[test]
fn a_constructor_may_use_the_pool() {
    static POOL: OnceLock<Pool<Vec<u8>>> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        Pool::new(|| {
            let pool = POOL.get().unwrap();
            pool.put(vec![1]);
            let mut value = pool.get();
            value.push(2);
            value.take()
        })
    });
    assert_eq!(*pool.get(), [1, 2]);
}

#[test]
fn a_value_whose_user_panics_does_not_come_back() {
    let pool = Pool::new(|| 0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = pool.get();
        *guard = 1;
        panic!("halfway");
    }));
    assert!(result.is_err());
    assert_eq!(*pool.get(), 0);
}

#[test]
fn the_drop_of_a_guard_that_a_value_holds_is_no_deadlock() {
    // A value that returns another value to the same pool when it is dropped.
    struct Nested(Option<Box<PoolGuard<Nested>>>);
    let pool = Pool::new(|| Nested(None));
    let (mut outer, inner) = (pool.get(), pool.get());
    outer.0 = Some(Box::new(inner));
    drop(outer.take());
    assert!(pool.get().0.is_none());
}

#[test]
fn what_one_task_returns_another_gets_with_all_that_was_done_to_it() {
    let _watch = watch();
    let rt = runtime(4);
    rt.block_on(async {
        let pool = Pool::new(|| Vec::with_capacity(64));
        let tasks: Vec<_> = (0..8u64)
            .map(|n| {
                let pool = pool.clone();
                gmprt::spawn(async move {
                    for round in 0..sized(1_000, 20_000) as u64 {
                        let mut buffer = pool.get();
                        // Whoever had it left it consistent.
                        assert!(buffer.len() <= 3 && buffer.iter().all(|&x| x == buffer[0]), "{buffer:?}");
                        buffer.clear();
                        buffer.extend([n << 32 | round; 3]);
                        if round % 100 == n {
                            gmprt::yield_now().await;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn values_cross_from_task_to_task_and_are_all_dropped_once() {
    let _watch = watch();
    let (made, drops) = (Count::default(), Count::default());
    let rt = runtime(4);
    rt.block_on(async {
        let (makes, counts) = (made.clone(), drops.clone());
        let pool = Pool::new(move || {
            makes.add();
            counts.on_drop()
        });
        let (tx, rx) = bounded(4);
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let (pool, tx, rx) = (pool.clone(), tx.clone(), rx.clone());
            tasks.push(gmprt::spawn(async move {
                for _ in 0..sized(500, 10_000) {
                    tx.send(pool.get()).await.unwrap();
                }
            }));
            tasks.push(gmprt::spawn(async move {
                for n in 0..sized(500, 10_000) {
                    let guard = rx.recv().await.unwrap();
                    if n % 7 == 0 {
                        drop(guard.take());
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    drop(rt);
    assert_eq!(drops.get(), made.get());
    assert!(made.get() < 8 * sized(500, 10_000), "some were used again");
}

#[test]
fn threads_that_end_leave_their_values_to_others() {
    let pool = Pool::new(Vec::<u8>::new);
    for _ in 0..sized(100, 1000) {
        let pool = pool.clone();
        thread::spawn(move || drop((pool.get(), pool.get()))).join().unwrap();
    }
    // One of two may be private to a shard that this thread does not have; the other can be stolen.
    pool.put(vec![7]);
    pool.put(vec![7]);
    let other = pool.clone();
    let stolen = thread::spawn(move || (0..1000).any(|_| other.get().take() == [7])).join().unwrap();
    assert!(stolen);
}

#[test]
fn a_thread_local_destructor_may_return_a_value() {
    thread_local! {
        static KEPT: Mutex<Option<PoolGuard<u8>>> = const { Mutex::new(None) };
    }
    let pool = Pool::new(|| 0);
    let other = pool.clone();
    thread::spawn(move || KEPT.with(|kept| *kept.lock().unwrap() = Some(other.get()))).join().unwrap();
    let _done = OnDrop(|| ());
    assert_eq!(*pool.get(), 0);
}
