//! What a runtime counts: sums that hold in every look, and figures that are right when all is quiet.

mod common;

use common::{until, watch};
use gmprt::metrics::Metrics;
use gmprt::{Runtime, spawn, task, yield_now};
use std::future::pending;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

fn runtime(procs: usize) -> Runtime {
    Runtime::builder().procs(procs).build().unwrap()
}

/// What must hold in every look.
fn sums(metrics: &Metrics) {
    let tasks = metrics.tasks;
    assert_eq!(tasks.spawned, tasks.finished + tasks.panicked + tasks.aborted + tasks.alive, "{tasks:?}");
    assert_eq!(tasks.alive, tasks.running + tasks.runnable + tasks.waiting, "{tasks:?}");
    assert!(metrics.idle_threads <= metrics.threads, "{metrics:?}");
    assert!(metrics.idle_processors <= metrics.processors.len(), "{metrics:?}");
    assert_eq!(metrics.latencies.buckets().map(|bucket| bucket.1).sum::<u64>(), metrics.latencies.count());
}

#[test]
fn the_sums_hold_in_every_look_at_a_storm() {
    const ROUNDS: u64 = 300;
    let _watch = watch();
    let rt = runtime(4);
    let (over, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    thread::scope(|scope| {
        let (handle, told, counted) = (rt.handle(), Arc::clone(&over), Arc::clone(&looks));
        scope.spawn(move || {
            let mut last = handle.metrics();
            while !told.load(SeqCst) {
                let metrics = handle.metrics();
                sums(&metrics);
                let (was, is) = (last.tasks, metrics.tasks);
                assert!(was.spawned <= is.spawned && was.finished <= is.finished, "{was:?}, {is:?}");
                let busy = |metrics: &Metrics| metrics.processors.iter().map(|p| p.busy).collect::<Vec<_>>();
                let (then, now) = (busy(&last), busy(&metrics));
                assert!(then.iter().zip(&now).all(|(then, now)| then <= now), "{then:?}, {now:?}");
                assert!(was.panicked <= is.panicked && was.aborted <= is.aborted, "{was:?}, {is:?}");
                last = metrics;
                counted.fetch_add(1, SeqCst);
            }
        });
        for round in 0..ROUNDS {
            let ends = rt.spawn(async move {
                let finishes = spawn(yield_now());
                let panics = spawn(async { resume_unwind(Box::new("as it should")) });
                let aborted = spawn(pending::<()>());
                aborted.abort();
                let (finished, panicked, aborted) = (finishes.await, panics.await, aborted.await);
                finished.unwrap();
                assert!(panicked.is_err_and(|error| error.is_panic()));
                assert!(aborted.is_err_and(|error| error.is_cancelled()));
                round
            });
            assert_eq!(rt.block_on(ends).unwrap(), round);
        }
        until(|| looks.load(SeqCst) > 100);
        over.store(true, SeqCst);
    });
    let metrics = rt.metrics();
    sums(&metrics);
    let tasks = metrics.tasks;
    assert_eq!((tasks.spawned, tasks.alive), (4 * ROUNDS, 0), "{tasks:?}");
    assert_eq!((tasks.finished, tasks.panicked, tasks.aborted), (2 * ROUNDS, ROUNDS, ROUNDS));
}

#[test]
fn tasks_are_counted_by_what_they_are_at() {
    let _watch = watch();
    let rt = runtime(1);
    let waiting: Vec<_> = (0..100).map(|_| rt.spawn(pending::<()>())).collect();
    until(|| rt.metrics().tasks.waiting == 100);
    let seen = rt.spawn(async {
        drop((0..10).map(|_| spawn(pending::<()>())).collect::<Vec<_>>());
        gmprt::Handle::current().metrics()
    });
    let seen = rt.block_on(seen).unwrap();
    sums(&seen);
    assert_eq!(seen.tasks.alive, 111);
    assert!(seen.tasks.running >= 1, "{:?}", seen.tasks);
    if seen.retakes == 0 && std::env::var_os("GMPRT_TEST_REVOKE").is_none() {
        assert_eq!((seen.tasks.running, seen.tasks.runnable), (1, 10));
    }
    until(|| rt.metrics().tasks.waiting == 110);
    for task in &waiting {
        task.abort();
    }
    until(|| rt.metrics().tasks.aborted == 100);
    assert_eq!(rt.metrics().tasks.alive, 10);
    let handle = rt.handle();
    drop(rt);
    let tasks = handle.metrics().tasks;
    assert_eq!((tasks.alive, tasks.aborted, tasks.finished, tasks.spawned), (0, 110, 1, 111));
    drop(handle.spawn(async {})); // and cancelled at once
    assert_eq!((handle.metrics().tasks.aborted, handle.metrics().tasks.spawned), (111, 112));
}

#[test]
fn a_thread_that_blocks_is_counted() {
    let _watch = watch();
    let rt = runtime(2);
    let gate = Arc::new(std::sync::Barrier::new(2));
    for declared in [true, false] {
        let theirs = Arc::clone(&gate);
        let blocks = rt.spawn(async move {
            if declared {
                gmprt::block_in_place(|| theirs.wait());
            } else {
                theirs.wait();
            }
        });
        // An undeclared one is seen only when its P is wanted by others.
        let (asked, over) = (rt.handle(), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&over);
        let busy = rt.spawn(async move {
            while !told.load(SeqCst) {
                drop(spawn(async {}));
                yield_now().await;
            }
        });
        until(|| asked.metrics().blocked_threads == 1);
        over.store(true, SeqCst);
        gate.wait();
        rt.block_on(async { (blocks.await.unwrap(), busy.await.unwrap()) });
        until(|| asked.metrics().blocked_threads == 0);
    }
}

#[test]
fn a_p_is_busy_while_somebody_holds_it() {
    let _watch = watch();
    let rt = runtime(2);
    let begun = Instant::now();
    let computed = rt.spawn(async {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        begun.elapsed()
    });
    let computed = rt.block_on(computed).unwrap();
    let metrics = rt.metrics();
    let busy: Duration = metrics.processors.iter().map(|p| p.busy).sum();
    // The poll may have lost its P and computed without.
    assert!(busy >= computed / 2 || metrics.retakes + metrics.retakes_hogs > 0, "{busy:?} of {computed:?}");
    assert!(busy <= 2 * begun.elapsed(), "{busy:?}");
    until(|| {
        let looks = [(); 2].map(|()| rt.metrics());
        looks[0].idle_processors == 2
            && looks[0].processors.iter().zip(&looks[1].processors).all(|(was, is)| was.busy == is.busy)
    });
}

#[test]
fn waits_are_measured_now_and_then() {
    let _watch = watch();
    let rt = runtime(2);
    assert_eq!(rt.metrics().latencies.quantile(0.5), None);
    let task = rt.spawn(async {
        for _ in 0..1_000 {
            spawn(async {}).await.unwrap();
        }
        task::id()
    });
    rt.block_on(task).unwrap();
    let metrics = rt.metrics();
    let latencies = &metrics.latencies;
    // 1001 spawns, and up to as many wakes of the one that awaits them: one in 64 of each P's.
    assert!((10..=35).contains(&latencies.count()), "{}", latencies.count());
    let [least, half, most] = [0.0, 0.5, 1.0].map(|q| latencies.quantile(q).unwrap());
    assert!(least <= half && half <= most, "{least:?} {half:?} {most:?}");
    let used: Vec<_> = latencies.buckets().filter(|bucket| bucket.1 > 0).collect();
    assert_eq!((used[0].0, used[used.len() - 1].0), (least, most));
    assert_eq!((latencies.quantile(1.1), latencies.quantile(f64::NAN)), (None, None));
    let bounds: Vec<_> = latencies.buckets().map(|bucket| bucket.0).collect();
    assert!(bounds.is_sorted() && bounds[0] == Duration::from_nanos(64));
}
