//! Tests of what no public call can bring about: a system that has no more threads.
//!
//! Absent: everything that the tests in `tests/` can reach.

use super::*;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::channel;

fn config(procs: usize, max_threads: usize, refuse_threads: bool) -> Config {
    Config {
        procs,
        max_threads,
        affinity: Affinity::None,
        thread_name: "test".into(),
        unhandled_panic: UnhandledPanic::Report,
        refuse_threads,
    }
}

fn spawn<F>(shared: &Arc<Shared>, future: F) -> crate::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    shared.spawn(std::panic::Location::caller(), future)
}

/// Waits until `done` holds; the test runner's limit is the watchdog.
fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

#[test]
fn no_thread_at_build_is_an_error() {
    let error = Shared::start(config(2, 10, true)).err().expect("there is no thread to be had");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn without_threads_work_waits_for_the_m_there_is() {
    let shared = Shared::start(config(4, 10, false)).unwrap();
    shared.refuse_threads.store(true, SeqCst);
    let (entered, begun) = channel();
    let (gate, opened) = channel::<()>();
    let first = spawn(&shared, async move {
        entered.send(()).unwrap();
        opened.recv().unwrap(); // the one M is in this poll
    });
    begun.recv().unwrap();
    let rest: Vec<_> = (0..100u64).map(|n| spawn(&shared, async move { n })).collect();
    until(|| shared.failed_starts.get() > 0);
    assert!(rest.iter().all(|task| !task.is_finished()), "nobody is there to run them");
    gate.send(()).unwrap();
    let sum: u64 = rest.into_iter().map(|task| block_on::block_on(&shared, task).unwrap()).sum();
    assert_eq!(sum, 4950);
    block_on::block_on(&shared, first).unwrap();
    shared.refuse_threads.store(false, SeqCst);
    shared.shut_down(None).unwrap();
}

#[test]
fn once_threads_are_to_be_had_again_the_next_submit_starts_one_and_it_serves_all() {
    let shared = Shared::start(config(3, 10, false)).unwrap();
    shared.refuse_threads.store(true, SeqCst);
    let (entered, begun) = channel();
    let (gate, opened) = channel::<()>();
    let stuck = spawn(&shared, async move {
        entered.send(()).unwrap();
        opened.recv().unwrap();
    });
    begun.recv().unwrap();
    let waiting = spawn(&shared, async {});
    until(|| shared.failed_starts.get() > 0);
    shared.refuse_threads.store(false, SeqCst);
    let next = spawn(&shared, async {});
    until(|| waiting.is_finished() && next.is_finished());
    assert!(!stuck.is_finished(), "its M is still in the poll");
    gate.send(()).unwrap();
    block_on::block_on(&shared, stuck).unwrap();
    shared.shut_down(None).unwrap();
}

#[test]
fn a_shutdown_beside_refused_threads_ends() {
    for _ in 0..200 {
        let shared = Shared::start(config(3, 10, false)).unwrap();
        shared.refuse_threads.store(true, SeqCst);
        let tasks: Vec<_> = (0..8).map(|_| spawn(&shared, crate::yield_now())).collect();
        let other = Arc::clone(&shared);
        let spawner = std::thread::spawn(move || (0..8).map(|_| spawn(&other, async {})).collect::<Vec<_>>());
        shared.shut_down(None).unwrap();
        let late = spawner.join().unwrap();
        until(|| tasks.iter().all(crate::task::JoinHandle::is_finished));
        until(|| late.iter().all(crate::task::JoinHandle::is_finished));
    }
}
