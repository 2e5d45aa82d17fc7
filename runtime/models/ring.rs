//! Models of the ring: what goes in comes out once, and is published to whoever takes it (R1 to R3).

use super::*;
use crate::sys::primitive::{Arc, cell::UnsafeCell};

/// A value behind an UnsafeCell: loom reports a reader that its writer did not publish to.
#[derive(Debug)]
struct Item(UnsafeCell<usize>);

fn item(n: usize) -> NonNull<Item> {
    NonNull::from(Box::leak(Box::new(Item(UnsafeCell::new(n)))))
}

fn open(item: NonNull<Item>) -> usize {
    // SAFETY: R3; each item was leaked once, and the ring hands each out once.
    let item = unsafe { Box::from_raw(item.as_ptr()) };
    // SAFETY: R3; ours alone now. loom checks exactly this.
    item.0.with(|n| unsafe { *n })
}

fn drain(ring: &Ring<Item, 4>, got: &mut Vec<usize>) {
    while let Some(task) = ring.pop_front() {
        got.push(open(task));
    }
}

/// Pushes, or spills half and the incoming one, as a P does.
fn put(ring: &Ring<Item, 4>, mut task: NonNull<Item>, got: &mut Vec<usize>) {
    while let Err(Full(back)) = ring.push_back(task) {
        if ring.spill_half(|spilled| got.push(open(spilled))).is_some() {
            got.push(open(back));
            return;
        }
        task = back;
    }
}

/// The owner pushes, overflows and pops while thieves steal: everything comes out once.
fn owner_and_thieves(thieves: usize, preload: usize, pushes: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let ring: Arc<Ring<Item, 4>> = Arc::new(Ring::starting_at(u64::from(u32::MAX) - 1));
        for n in 0..preload {
            ring.push_back(item(n)).unwrap();
        }
        let handles: Vec<_> = (0..thieves)
            .map(|_| {
                let ring = Arc::clone(&ring);
                loom::thread::spawn(move || {
                    let own: Ring<Item, 4> = Ring::new();
                    let mut got = Vec::new();
                    if let Some((last, _)) = ring.steal_into(&own) {
                        drain(&own, &mut got);
                        got.push(open(last));
                    }
                    got
                })
            })
            .collect();
        let mut got = Vec::new();
        for n in preload..preload + pushes {
            put(&ring, item(n), &mut got);
        }
        if let Some(task) = ring.pop_front() {
            got.push(open(task));
        }
        for handle in handles {
            got.extend(handle.join().unwrap());
        }
        drain(&ring, &mut got);
        got.sort_unstable();
        assert_eq!(got, (0..preload + pushes).collect::<Vec<_>>());
    });
}

#[test]
fn loom_ring_a_thief_and_the_owner_share_what_is_pushed() {
    owner_and_thieves(1, 1, 3);
}

#[test]
fn loom_ring_a_thief_beside_an_overflow() {
    owner_and_thieves(1, 4, 2);
}

#[test]
fn loom_ring_two_thieves() {
    owner_and_thieves(2, 3, 1);
}

#[test]
fn loom_ring_canary_unpublished_slots_are_caught() {
    weaken::without("ring.publish", || owner_and_thieves(1, 0, 2));
    weaken::without("ring.observe", || owner_and_thieves(1, 0, 2));
}
