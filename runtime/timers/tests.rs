//! Timers without a scheduler, at times that are made up.
//!
//! Absent: the clock, and anything that is waited for.

use super::*;
use crate::sys::clock::nanos;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::Wake;
use std::time::Duration;

const HOUR: Nanos = 3_600_000_000_000;

/// A waker that looks, when it is woken or dropped, whether the lock of its timers is free.
struct Looks {
    timers: Arc<Timers>,
    name: u64,
    log: Arc<Mutex<Vec<u64>>>,
    drops: Arc<AtomicUsize>,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        assert!(self.timers.lock.try_lock().is_ok(), "T4: {} is woken under the lock", self.name);
        self.log.lock().unwrap().push(self.name);
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        assert!(self.timers.lock.try_lock().is_ok(), "T4: {} is dropped under the lock", self.name);
        self.drops.fetch_add(1, SeqCst);
    }
}

struct Bench {
    timers: Arc<Timers>,
    log: Arc<Mutex<Vec<u64>>>,
    drops: Arc<AtomicUsize>,
}

impl Bench {
    fn new() -> Self {
        Self { timers: Arc::new(Timers::new()), log: Arc::default(), drops: Arc::default() }
    }

    fn waker(&self, name: u64) -> Waker {
        let (timers, log, drops) = (Arc::clone(&self.timers), Arc::clone(&self.log), Arc::clone(&self.drops));
        Waker::from(Arc::new(Looks { timers, name, log, drops }))
    }

    fn arm(&self, when: Nanos, name: u64) -> Key {
        self.timers.insert(when, self.waker(name)).unwrap()
    }

    /// Fires what is due, a few at a time; the names, in order.
    fn fire(&self, now: Nanos) -> Vec<u64> {
        let mut batch = Vec::with_capacity(3);
        loop {
            let left = self.timers.take_due(now, 3, &mut batch);
            assert!(batch.len() <= 3);
            batch.drain(..).for_each(Waker::wake);
            if left == Left::Nothing {
                break;
            }
        }
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    fn drops(&self) -> usize {
        self.drops.load(SeqCst)
    }
}

#[test]
fn due_timers_fire_by_time_and_equal_ones_in_the_order_they_were_armed() {
    let bench = Bench::new();
    for (name, when) in [(0, 30), (1, 10), (2, 20), (3, 10), (4, 30), (5, 10), (6, NEVER)] {
        bench.arm(when, name);
    }
    assert_eq!((bench.timers.earliest(), bench.timers.len()), (10, 7));
    assert!(!bench.timers.is_due(9) && bench.timers.is_due(10));
    assert!(bench.fire(9).is_empty());
    assert_eq!(bench.fire(10), [1, 3, 5]);
    assert_eq!(bench.timers.earliest(), 20);
    assert_eq!(bench.fire(NEVER - 1), [2, 0, 4], "what is due NEVER is not due before");
    assert_eq!((bench.timers.earliest(), bench.timers.len(), bench.drops()), (NEVER, 1, 6));
}

#[test]
fn a_batch_holds_no_more_than_its_limit_and_says_whether_more_is_due() {
    let bench = Bench::new();
    for name in 0..5 {
        bench.arm(name, name);
    }
    let mut batch = Vec::new();
    assert_eq!(bench.timers.take_due(3, 2, &mut batch), Left::More);
    assert_eq!(batch.len(), 2);
    assert_eq!(bench.timers.take_due(3, 2, &mut batch), Left::More, "a full batch takes nothing");
    assert_eq!((batch.len(), bench.timers.earliest()), (2, 2));
    assert_eq!(bench.timers.take_due(3, 4, &mut batch), Left::Nothing, "full, but nothing is left");
    assert_eq!((batch.len(), bench.timers.earliest()), (4, 4));
    let held = bench.timers.locked();
    assert_eq!(bench.timers.try_take_due(9, 9, &mut batch), None);
    drop(held);
    assert_eq!(bench.timers.try_take_due(9, 9, &mut batch), Some(Left::Nothing));
    assert_eq!(batch.len(), 5);
}

#[test]
fn a_cancelled_timer_drops_its_waker_at_once_and_does_not_fire() {
    let bench = Bench::new();
    let keys: Vec<_> = (0..5).map(|name| bench.arm(10 * name, name)).collect();
    assert!(bench.timers.cancel(keys[2]));
    assert_eq!((bench.drops(), bench.timers.len()), (1, 4));
    assert!(!bench.timers.cancel(keys[2]), "only once");
    assert!(bench.timers.cancel(keys[4]));
    assert!(bench.timers.cancel(keys[0]));
    assert_eq!(bench.timers.earliest(), 10, "nobody wakes up for the first one, which is dead");
    assert_eq!(bench.timers.entries(), 3, "the last one in memory and the first one are gone, one is dead");
    assert_eq!(bench.fire(100), [1, 3]);
    assert!(!bench.timers.cancel(keys[1]), "it has fired");
    assert_eq!((bench.timers.entries(), bench.timers.earliest(), bench.drops()), (0, NEVER, 5));
}

#[test]
fn a_key_does_not_name_the_timer_that_has_its_slot_now() {
    let bench = Bench::new();
    let old = bench.arm(10, 0);
    assert!(bench.timers.cancel(old));
    let new = bench.arm(20, 1);
    assert_eq!((old.slot, new.slot), (0, 0));
    assert!(!bench.timers.cancel(old));
    assert_eq!(bench.timers.update(old, Waker::noop()), Updated::Fired);
    assert_eq!(bench.fire(20), [1]);
}

#[test]
fn an_update_replaces_the_waker_and_one_by_the_same_does_not() {
    let bench = Bench::new();
    let (first, second) = (bench.waker(1), bench.waker(2));
    let key = bench.timers.insert(10, first.clone()).unwrap();
    assert_eq!(bench.timers.update(key, &first), Updated::Armed);
    drop(first);
    assert_eq!(bench.drops(), 0);
    assert_eq!(bench.timers.update(key, &second), Updated::Armed);
    assert_eq!(bench.drops(), 1, "the first one is dropped by the update");
    assert_eq!(bench.fire(10), [2]);
    assert_eq!(bench.timers.update(key, &second), Updated::Fired);
    drop(second);
    assert_eq!(bench.drops(), 2);
}

#[test]
fn disarm_hands_the_waker_back() {
    let bench = Bench::new();
    let key = bench.arm(10, 1);
    bench.timers.disarm(key).unwrap().wake();
    assert!(bench.timers.disarm(key).is_none());
    assert_eq!(*bench.log.lock().unwrap(), [1]);
}

#[test]
fn closed_timers_hand_all_wakers_back_in_order_and_take_no_more() {
    let bench = Bench::new();
    let keys: Vec<_> = [30, 10, 20, 10].iter().zip(0..).map(|(&when, name)| bench.arm(when, name)).collect();
    assert!(bench.timers.cancel(keys[2]));
    bench.timers.close().into_iter().for_each(Waker::wake);
    assert_eq!(std::mem::take(&mut *bench.log.lock().unwrap()), [1, 3, 0]);
    assert_eq!((bench.timers.earliest(), bench.timers.len(), bench.timers.entries()), (NEVER, 0, 0));
    assert_eq!(bench.drops(), 4);
    assert!(bench.timers.insert(5, bench.waker(9)).is_none());
    assert_eq!(bench.drops(), 5);
    assert_eq!(bench.timers.update(keys[0], Waker::noop()), Updated::Closed);
    assert!(!bench.timers.cancel(keys[0]));
    assert!(bench.timers.close().is_empty());
    assert!(bench.fire(NEVER).is_empty());
}

#[test]
fn cancelled_timeouts_of_an_hour_need_no_memory() {
    let timers = Timers::new();
    // One that stays, at the far end of the slots and in the way of giving them back.
    let mut standing: Vec<_> =
        (0..1000).map(|_| timers.insert(HOUR, Waker::noop().clone()).unwrap()).collect();
    let mut window = std::collections::VecDeque::new();
    for n in 0..1_000_000 {
        window.push_back(timers.insert(HOUR + n, Waker::noop().clone()).unwrap());
        if window.len() > 100 {
            // In turn the oldest, the newest, and one from the middle.
            let key = match n % 3 {
                0 => window.pop_front(),
                1 => window.pop_back(),
                _ => window.remove(50),
            };
            assert!(timers.cancel(key.unwrap()));
        }
    }
    let locked = timers.locked();
    assert_eq!(locked.slots.armed, 1100);
    assert!(locked.heap.len() <= 1100 + 1100 / 3 + SWEEP_MIN, "{} entries", locked.heap.len());
    assert!(locked.heap.capacity() <= 8192, "{} entries", locked.heap.capacity());
    assert!(locked.slots.all.capacity() <= 4096, "{} slots", locked.slots.all.capacity());
    drop(locked);
    standing.drain(..).for_each(|key| assert!(timers.cancel(key)));
}

#[test]
fn dead_entries_are_swept_too_when_those_beside_them_have_fired() {
    let bench = Bench::new();
    for when in 0..1000 {
        bench.arm(when, when);
    }
    let far: Vec<_> = (0..200).map(|n| bench.arm(HOUR + n % 7, n)).collect();
    far.iter().skip(1).for_each(|&key| assert!(bench.timers.cancel(key)));
    assert_eq!(bench.fire(1000).len(), 1000);
    assert!(bench.timers.entries() <= 1 + SWEEP_MIN, "{} entries", bench.timers.entries());
}

#[test]
fn a_burst_gives_its_memory_back() {
    for fires in [false, true] {
        let timers = Timers::new();
        let keys: Vec<_> = (0..100_000).map(|n| timers.insert(n, Waker::noop().clone()).unwrap()).collect();
        if fires {
            let mut batch = Vec::new();
            assert_eq!(timers.take_due(HOUR, usize::MAX, &mut batch), Left::Nothing);
        } else {
            keys.iter().for_each(|&key| assert!(timers.cancel(key)));
        }
        let locked = timers.locked();
        assert_eq!((locked.slots.armed, locked.heap.len(), locked.dead), (0, 0, 0));
        assert!(locked.heap.capacity() <= 256, "{} entries", locked.heap.capacity());
        assert!(locked.slots.all.capacity() <= 256, "{} slots", locked.slots.all.capacity());
    }
}

#[test]
fn a_timer_fires_or_is_cancelled_or_is_handed_back_but_only_one_of_them() {
    let timers = Arc::new(Timers::new());
    let (fired, cancelled, over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let armed: usize = std::thread::scope(|scope| {
        let fires = || {
            let mut batch = Vec::new();
            while !over.load(SeqCst) {
                let _ = timers.try_take_due(nanos(Duration::from_secs(1)), 16, &mut batch);
                fired.fetch_add(batch.len(), SeqCst);
                batch.clear();
                std::thread::yield_now();
            }
        };
        scope.spawn(fires);
        let arms = |round: u64| {
            let mut armed = 0;
            for n in 0..5000 {
                let when = if n % 2 == round { n } else { HOUR + n };
                let Some(key) = timers.insert(when, Waker::noop().clone()) else { break };
                armed += 1;
                if n % 3 != 0 && timers.cancel(key) {
                    cancelled.fetch_add(1, SeqCst);
                }
            }
            armed
        };
        let threads: Vec<_> = (0..2).map(|round| scope.spawn(move || arms(round))).collect();
        let armed = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        over.store(true, SeqCst);
        armed
    });
    let closed = timers.close().len();
    assert_eq!(fired.load(SeqCst) + cancelled.load(SeqCst) + closed, armed);
}

#[derive(Debug, Clone)]
enum Step {
    Arm(Nanos),
    Cancel(usize),
    Fire(Nanos),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..50u64).prop_map(Step::Arm),
        4 => any::<usize>().prop_map(Step::Cancel),
        1 => (0..50u64).prop_map(Step::Fire),
    ]
}

proptest! {
    #[test]
    fn timers_do_what_a_sorted_map_does(steps in proptest::collection::vec(step(), 1..600)) {
        let bench = Bench::new();
        let mut model = BTreeMap::new();
        let mut keys = Vec::new();
        for (name, step) in steps.into_iter().enumerate() {
            let name = name as u64;
            match step {
                Step::Arm(when) => {
                    keys.push((bench.arm(when, name), (when, name)));
                    model.insert((when, name), ());
                }
                Step::Cancel(which) => if !keys.is_empty() {
                    let (key, place) = keys[which % keys.len()];
                    prop_assert_eq!(bench.timers.cancel(key), model.remove(&place).is_some());
                },
                Step::Fire(now) => {
                    let due: Vec<_> = model.range(..=(now, u64::MAX)).map(|(&place, ())| place).collect();
                    due.iter().for_each(|place| { model.remove(place); });
                    let names: Vec<_> = due.iter().map(|&(_, name)| name).collect();
                    prop_assert_eq!(bench.fire(now), names);
                }
            }
            let locked = bench.timers.locked();
            let entries = locked.heap.len();
            prop_assert_eq!(locked.slots.armed, model.len());
            prop_assert_eq!(locked.dead, entries - model.len(), "T2");
            prop_assert!(locked.dead < SWEEP_MIN || locked.dead <= entries / 4, "T2");
            drop(locked);
            let earliest = model.first_key_value().map_or(NEVER, |(&(when, _), ())| when);
            prop_assert!(bench.timers.earliest() <= earliest, "T3");
        }
    }
}
