//! Where threads may run: the callers' masks stay as they are, and an M's is its P's core where that was asked for.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Signal, revoking, until, watch};
use gmprt::task::ProcessorId;
use gmprt::{Affinity, Handle, Runtime};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

type Mask = BTreeSet<usize>;

/// The processors that the calling thread may run on, as the kernel has them.
fn mask() -> Mask {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let ranges = list.trim().split(',').map(|range| range.split_once('-').unwrap_or((range, range)));
    ranges.flat_map(|(from, to)| from.parse::<usize>().unwrap()..=to.parse().unwrap()).collect()
}

fn built(procs: usize, affinity: Affinity) -> Runtime {
    Runtime::builder().procs(procs).affinity(affinity).build().unwrap()
}

/// The calling task's P and its thread's mask.
fn seen() -> (Option<ProcessorId>, Mask) {
    (gmprt::task::processor(), mask())
}

/// Work long enough for an M to keep its P over many slices.
async fn busy() {
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(40) {
        gmprt::yield_now().await;
    }
}

#[test]
fn the_mask_of_those_who_build_and_block_on_is_unchanged() {
    let _watch = watch();
    let own = mask();
    for affinity in [Affinity::Always, Affinity::Pinned, Affinity::None] {
        let rt = built(1, affinity);
        assert_eq!(mask(), own);
        rt.block_on(async {
            assert_eq!(mask(), own, "in the poll, which holds a P");
            gmprt::spawn(busy()).await.unwrap();
            busy().await;
            assert_eq!(mask(), own);
        });
        assert_eq!(mask(), own);
        let handle = rt.handle();
        let of_thread = thread::spawn(move || handle.block_on(async { mask() })).join().unwrap();
        assert_eq!(of_thread, own);
        drop(rt);
        assert_eq!(mask(), own);
    }
}

/// The masks in which `n` tasks end that are busy for long enough to be pinned, if anything is.
fn busy_masks(rt: &Runtime, n: usize) -> Vec<Mask> {
    let tasks: Vec<_> = (0..n)
        .map(|_| {
            rt.spawn(async {
                busy().await;
                mask()
            })
        })
        .collect();
    tasks.into_iter().map(|task| rt.block_on(task).unwrap()).collect()
}

#[test]
fn without_affinity_every_poll_has_the_whole_mask() {
    let _watch = watch();
    let own = mask();
    let rt = built(own.len(), Affinity::None);
    assert!(busy_masks(&rt, 20).iter().all(|mask| *mask == own));
}

#[test]
fn always_runs_every_poll_of_a_p_on_the_one_core_of_that_p() {
    let _watch = watch();
    let own = mask();
    let rt = built(own.len(), Affinity::Always);
    let cores = Arc::new(Mutex::new(BTreeMap::<ProcessorId, Mask>::new()));
    let free = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let (cores, free) = (Arc::clone(&cores), Arc::clone(&free));
            rt.spawn(async move {
                for _ in 0..50 {
                    let (p, mask) = seen();
                    // Anything but one core: the kernel prints a mask bit by bit, and a revoker may give the
                    // whole mask back while it does. sysmon is one too: this poll may wait in the kernel, or for the
                    // lock below.
                    if mask.len() != 1 {
                        free.fetch_add(1, Relaxed);
                        gmprt::yield_now().await; // its P was taken, and its mask with it given back
                        continue;
                    }
                    if let Some(p) = p {
                        let mut cores = cores.lock().unwrap();
                        assert_eq!(*cores.entry(p).or_insert_with(|| mask.clone()), mask, "{p} has moved");
                    }
                    gmprt::yield_now().await;
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    let free = free.load(Relaxed);
    assert!(revoking() || free < 200 * 50 / 10, "{free} of 10 000 polls had no core of their own");
    let cores = cores.lock().unwrap();
    let distinct: BTreeSet<_> = cores.values().collect();
    assert_eq!(distinct.len(), cores.len(), "no two Ps share a core: {cores:?}");
    assert!(cores.values().all(|core| core.is_subset(&own)));
}

/// Has a task give its P to another M by a nested `block_on`, during which a task of that other M runs, and
/// returns what was seen: before, by the other, meanwhile by the first, and after.
fn p_that_moves(rt: &Runtime) -> [(Option<ProcessorId>, Mask); 4] {
    let (moved, done) = (Signal::default(), Signal::default());
    let (wait, set) = (done.clone(), moved.clone());
    let first = rt.spawn(async move {
        let before = seen();
        let meanwhile = Handle::current().block_on(async {
            set.set();
            wait.wait().await;
            mask()
        });
        (before, (None, meanwhile), seen())
    });
    let other = rt.spawn(async move {
        moved.wait().await;
        let seen = seen();
        done.set();
        seen
    });
    let other = rt.block_on(other).unwrap();
    let (before, meanwhile, after) = rt.block_on(first).unwrap();
    [before, other, meanwhile, after]
}

#[test]
fn a_p_that_moves_to_another_m_keeps_its_core_and_its_old_m_gets_the_mask_back() {
    let _watch = watch();
    let own = mask();
    let rt = built(1, Affinity::Always);
    let lost = |mask: &Mask| revoking() && mask.len() != 1;
    for _ in 0..20 {
        let [(_, before), (_, other), (_, meanwhile), (_, after)] = p_that_moves(&rt);
        assert!(before.len() == 1 || lost(&before));
        assert!(other == before || lost(&other) || lost(&before), "the M that has the P now");
        assert_eq!(meanwhile, own, "the M that has none");
        assert!(after == before || lost(&after) || lost(&before), "Always pins whenever a P is taken");
    }
    // And so it is in the polls that follow.
    let later = rt.block_on(rt.spawn(async { mask() })).unwrap();
    assert!(later.len() == 1 || lost(&later));
}

#[test]
fn an_m_that_kept_its_p_for_a_slice_is_pinned_and_unpinned_when_it_sleeps() {
    let _watch = watch();
    if revoking() {
        return; // no M keeps its P for a slice
    }
    let own = mask();
    let rt = built(1, Affinity::Pinned);
    let fresh = rt.block_on(rt.spawn(async { mask() })).unwrap();
    assert_eq!(fresh, own, "lazy: nothing is pinned at the first poll");
    let pinned = rt.spawn(async {
        // As long as it takes: a busy machine may put it off.
        loop {
            let mask = mask();
            if mask.len() == 1 {
                return mask;
            }
            gmprt::yield_now().await;
        }
    });
    let pinned = rt.block_on(pinned).unwrap();
    assert!(pinned.is_subset(&own));
    until(|| rt.metrics().idle_threads == rt.metrics().threads);
    let again = rt.block_on(rt.spawn(async { mask() })).unwrap();
    assert_eq!(again, own, "it slept between");
}

#[test]
fn more_ps_than_cores_are_not_pinned_by_default() {
    let _watch = watch();
    let own = mask();
    let rt = built(own.len() + 1, Affinity::Pinned);
    assert!(busy_masks(&rt, own.len() + 1).iter().all(|mask| *mask == own));
}

#[test]
fn threads_that_a_pinned_m_starts_for_the_runtime_have_the_process_mask() {
    let _watch = watch();
    let own = mask();
    let rt = built(1, Affinity::Always);
    // Each nested block_on hands the P to one more M, which the one before, pinned, has started.
    let depth = 5;
    let (all, release) = (Arc::new(Mutex::new(Vec::new())), Signal::default());
    let tasks: Vec<_> = (0..depth)
        .map(|_| {
            let (all, release) = (Arc::clone(&all), release.clone());
            rt.spawn(async move {
                Handle::current().block_on(async {
                    let mask = mask(); // given up: whatever the thread was born with
                    all.lock().unwrap().push(mask);
                    release.wait().await;
                });
            })
        })
        .collect();
    until(|| all.lock().unwrap().len() == depth);
    release.set();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    assert!(all.lock().unwrap().iter().all(|mask| *mask == own));
}
