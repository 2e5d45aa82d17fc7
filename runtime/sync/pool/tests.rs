//! The generations, with turns that need no 10 s; and which shard gives what.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

const NEVER: Duration = Duration::MAX;

/// Numbers its values from 0 on; logs the drops.
struct Logs(usize, Arc<Mutex<Vec<usize>>>);

impl Drop for Logs {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

fn counting(shards: usize, period: Duration) -> Pool<usize> {
    let made = AtomicUsize::new(0);
    // Ordering: Relaxed; a number.
    Pool::with_period(move || made.fetch_add(1, Relaxed), shards, period)
}

fn inner<T>(pool: &Pool<T>) -> &Inner<T> {
    &pool.owner.ways[0]
}

/// A turn, whatever the time is.
fn turn<T>(pool: &Pool<T>) {
    // Ordering: Relaxed; one thread.
    let last = inner(pool).turned.load(Relaxed);
    inner(pool).turn(last, clock::coarse());
}

/// Takes with the eyes of the shard `own`.
fn take_at<T>(pool: &Pool<T>, own: usize) -> Option<T> {
    inner(pool).take(own)
}

/// Puts into the shard `at`.
fn put_at<T>(pool: &Pool<T>, at: usize, value: T) {
    inner(pool).shards[at].put(value);
}

#[test]
fn the_own_shard_gives_its_newest_and_thieves_take_the_oldest_but_not_the_private_one() {
    let pool = counting(2, NEVER);
    (10..14).for_each(|value| put_at(&pool, 0, value)); // 10 is private
    assert_eq!(take_at(&pool, 0), Some(10));
    assert_eq!(take_at(&pool, 0), Some(13));
    put_at(&pool, 0, 20);
    assert_eq!([take_at(&pool, 1), take_at(&pool, 1), take_at(&pool, 1)], [Some(11), Some(12), None]);
    assert_eq!([take_at(&pool, 0), take_at(&pool, 0)], [Some(20), None]);
}

#[test]
fn the_second_value_of_a_shard_is_there_for_thieves_at_once() {
    let pool = counting(2, NEVER);
    put_at(&pool, 0, 10);
    assert_eq!(take_at(&pool, 1), None);
    put_at(&pool, 0, 11);
    assert_eq!(take_at(&pool, 1), Some(11));
}

#[test]
fn a_value_outlives_one_turn_and_not_two() {
    let pool = counting(2, NEVER);
    put_at(&pool, 0, 7);
    turn(&pool);
    assert_eq!(take_at(&pool, 0), Some(7), "old, and still there");
    put_at(&pool, 0, 7);
    turn(&pool);
    assert_eq!(take_at(&pool, 1), Some(7), "old, and there for others too");
    put_at(&pool, 0, 7);
    turn(&pool);
    turn(&pool);
    assert_eq!([take_at(&pool, 0), take_at(&pool, 1)], [None, None]);
}

#[test]
fn what_is_old_is_used_last_and_is_fresh_again_when_it_returns() {
    let pool = counting(1, NEVER);
    pool.put(1);
    turn(&pool);
    pool.put(2);
    let (new, old) = (pool.get(), pool.get());
    assert_eq!((*new, *old), (2, 1));
    drop((old, new)); // 1 is private now, 2 is shared
    turn(&pool);
    assert_eq!([take_at(&pool, 0), take_at(&pool, 0)], [Some(2), Some(1)]);
}

#[test]
fn a_turn_comes_when_its_time_is_over_and_not_before() {
    let pool = counting(1, NEVER);
    pool.put(7);
    (0..100).for_each(|_| assert_eq!(*pool.get(), 7));
    assert_eq!(inner(&pool).shards[0].locked().old.len(), 0);

    let pool = counting(1, Duration::ZERO); // each get and each put turns
    pool.put(7);
    assert_eq!(inner(&pool).shards[0].locked().old, [7], "the put has turned");
    assert_eq!(*pool.get(), 0, "and the get, before it looked");
}

#[test]
fn one_turns_at_a_time() {
    let pool = counting(1, Duration::ZERO);
    put_at(&pool, 0, 7);
    // Ordering: Relaxed; one thread.
    inner(&pool).turned.store(TURNING, Relaxed);
    inner(&pool).turn_if_due();
    inner(&pool).turn(0, 1); // who lost the race
    assert_eq!(inner(&pool).shards[0].locked().old.len(), 0);
    assert_eq!(take_at(&pool, 0), Some(7));
}

#[test]
fn the_drop_of_an_unused_value_may_use_the_pool_and_turn_it_again() {
    struct Reenters(Option<Pool<Reenters>>);
    impl Drop for Reenters {
        fn drop(&mut self) {
            if let Some(pool) = self.0.take() {
                pool.put(Reenters(None));
                turn(&pool);
                drop(pool.get());
            }
        }
    }
    let pool = Pool::with_period(|| Reenters(None), 2, NEVER);
    put_at(&pool, 0, Reenters(Some(pool.clone())));
    put_at(&pool, 1, Reenters(Some(pool.clone())));
    turn(&pool);
    turn(&pool);
    // Ordering: Relaxed; one thread.
    assert_ne!(inner(&pool).turned.load(Relaxed), TURNING);
}

#[test]
fn siblings_of_a_value_whose_drop_panics_are_dropped_and_the_first_panic_goes_on() {
    struct Panics(Logs);
    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(self.0.0.is_multiple_of(2), "{} panics", self.0.0);
        }
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let pool = Pool::<Panics>::with_period(|| unreachable!(), 2, NEVER);
    let fill = || (0..6).for_each(|n| put_at(&pool, n / 3, Panics(Logs(n, Arc::clone(&log)))));
    let text = |panic: Box<dyn std::any::Any + Send>| panic.downcast_ref::<String>().unwrap().clone();

    fill();
    turn(&pool);
    let panic = catch_unwind(AssertUnwindSafe(|| turn(&pool))).unwrap_err();
    assert_eq!(text(panic), "1 panics");
    log.lock().unwrap().sort_unstable();
    assert_eq!(std::mem::take(&mut *log.lock().unwrap()), [0, 1, 2, 3, 4, 5]);

    fill(); // the pool is as good as before, and its end is like a turn
    let panic = catch_unwind(AssertUnwindSafe(|| drop(pool))).unwrap_err();
    assert_eq!(text(panic), "1 panics");
    log.lock().unwrap().sort_unstable();
    assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn threads_get_put_and_turn_and_every_value_is_in_one_place() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let made = Arc::new(AtomicUsize::new(0));
    let (in_log, number) = (Arc::clone(&log), Arc::clone(&made));
    // Ordering: Relaxed; a number.
    let new = move || Logs(number.fetch_add(1, Relaxed), Arc::clone(&in_log));
    let pool = Pool::with_period(new, 4, NEVER);
    let held = Mutex::new(std::collections::HashSet::new());
    thread::scope(|threads| {
        for n in 0..4 {
            let (pool, held) = (&pool, &held);
            threads.spawn(move || {
                for round in 0..2000 {
                    let (one, two) = (pool.get(), pool.get());
                    {
                        let mut held = held.lock().unwrap();
                        assert!(held.insert(one.0) && held.insert(two.0), "nobody else holds these");
                        held.remove(&one.0);
                        held.remove(&two.0);
                    }
                    if round % 50 == n {
                        turn(pool);
                    }
                }
            });
        }
    });
    drop(pool);
    let mut dropped = std::mem::take(&mut *log.lock().unwrap());
    dropped.sort_unstable();
    // Ordering: Relaxed; the threads have ended.
    assert!(dropped.into_iter().eq(0..made.load(Relaxed)), "each was dropped once");
}
