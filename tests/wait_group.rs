//! What a `WaitGroup` promises, checked by polling each wait by hand with wakers that log, and with threads.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

use gmprt::sync::WaitGroup;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll::{self, Pending, Ready};
use std::task::{Context, Wake, Waker};
use std::thread;

type Log = Arc<Mutex<Vec<usize>>>;

struct Name(usize, Log);

impl Wake for Name {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

fn woken(log: &Log) -> Vec<usize> {
    std::mem::take(&mut log.lock().unwrap())
}

type Wait<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

fn poll(wait: &mut Wait<'_>) -> Poll<()> {
    wait.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn parked<'a>(group: &'a WaitGroup, name: usize, log: &Log) -> Wait<'a> {
    let mut wait: Wait<'a> = Box::pin(group.wait());
    let waker = Waker::from(Arc::new(Name(name, Arc::clone(log))));
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    wait
}

fn panic_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it is misuse");
    payload.downcast_ref::<&str>().map(|text| (*text).to_owned()).expect("Go's words are fixed")
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

#[test]
fn a_wait_on_zero_returns_at_once() {
    let group = WaitGroup::default();
    assert!(poll(&mut (Box::pin(group.wait()) as Wait<'_>)).is_ready());
    group.add(5);
    group.add(-5);
    assert!(poll(&mut (Box::pin(group.wait()) as Wait<'_>)).is_ready());
}

#[test]
fn all_waiters_are_released_in_the_order_in_which_they_began() {
    let group = WaitGroup::new();
    let log = Log::default();
    group.add(2);
    let mut waits: Vec<_> = (0..100).map(|n| parked(&group, n, &log)).collect();
    group.done();
    assert_eq!(woken(&log), []);
    group.clone().done();
    assert_eq!(woken(&log), (0..100).collect::<Vec<_>>());
    assert!(waits.iter_mut().all(|wait| poll(wait).is_ready()));
}

#[test]
fn a_dropped_wait_leaves_no_trace() {
    let group = WaitGroup::new();
    let log = Log::default();
    group.add(1);
    let first = parked(&group, 1, &log);
    let mut second = parked(&group, 2, &log);
    drop(first);
    group.done();
    assert_eq!(woken(&log), [2]);
    assert!(poll(&mut second).is_ready());
    // Not even the misuse check sees it: with no waiter left, an `add` from zero is legal.
    group.add(1);
    drop(parked(&group, 3, &log));
    group.done();
    group.add(1);
    group.done();
    assert_eq!(woken(&log), []);
}

#[test]
fn a_group_can_be_used_again_once_all_waits_have_returned() {
    let group = WaitGroup::new();
    let log = Log::default();
    for round in 0..3 {
        group.add(1);
        let mut wait = parked(&group, round, &log);
        group.done();
        assert_eq!(woken(&log), [round]);
        assert!(poll(&mut wait).is_ready());
    }
}

#[test]
fn misuse_panics_in_gos_words() {
    let group = WaitGroup::new();
    assert_eq!(panic_of(|| group.done()), "sync: negative WaitGroup counter");
    let group = WaitGroup::new();
    group.add(i32::MAX as isize);
    assert_eq!(panic_of(|| group.add(1)), "sync: negative WaitGroup counter");
    assert_eq!(panic_of(|| group.add(isize::MAX)), "sync: negative WaitGroup counter");

    let group = WaitGroup::new();
    let log = Log::default();
    group.add(1);
    let mut wait = parked(&group, 1, &log);
    group.done();
    group.add(1);
    let text = panic_of(|| assert!(poll(&mut wait).is_pending()));
    assert_eq!(text, "sync: WaitGroup is reused before previous Wait has returned");
}

/// The waker of the first waiter begins the next round, and drops a waiter of the last, while others are
/// still being released.
#[test]
fn rounds_do_not_mix_although_one_begins_while_the_last_is_being_released() {
    struct Calls(mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>);
    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.send(()).unwrap();
            self.1.lock().unwrap().recv().unwrap();
        }
    }
    let group = WaitGroup::new();
    let log = Log::default();
    group.add(1);
    let (called, calls) = mpsc::channel();
    let (resume, resumed) = mpsc::channel();
    let waker = Waker::from(Arc::new(Calls(called, Mutex::new(resumed))));
    let mut first: Wait<'_> = Box::pin(group.wait());
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let mut rest: Vec<_> = (0..99).map(|n| parked(&group, n, &log)).collect();
    let other = group.clone();
    let done = thread::spawn(move || other.done());
    calls.recv().unwrap(); // the first is being woken, and the last are still in line
    group.add(1);
    let mut late = parked(&group, 1000, &log);
    drop(rest.pop()); // it was counted off already
    resume.send(()).unwrap();
    done.join().unwrap();
    assert_eq!(woken(&log), (0..98).collect::<Vec<_>>());
    assert!(poll(&mut late).is_pending());
    group.done();
    assert!(poll(&mut late).is_ready());
    assert!(poll(&mut first).is_ready() && rest.iter_mut().all(|wait| poll(wait).is_ready()));
    assert_eq!(format!("{group:?}"), "WaitGroup { counter: 0, waiters: 0 }");
}

#[test]
fn the_work_of_those_who_are_done_is_visible_to_those_who_wait() {
    for _ in 0..200 {
        let group = WaitGroup::new();
        let work = Arc::new([const { AtomicUsize::new(0) }; 4]);
        group.add(4);
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (group, work) = (group.clone(), Arc::clone(&work));
                thread::spawn(move || {
                    work[n].store(1, Relaxed);
                    group.done();
                })
            })
            .collect();
        block_on(group.wait());
        assert!(work.iter().all(|cell| cell.load(Relaxed) == 1));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn waits_and_cancels_race_with_the_last_done() {
    for round in 0..500 {
        let group = WaitGroup::new();
        group.add(2);
        let waiters: Vec<_> = (0..2)
            .map(|n| {
                let group = group.clone();
                thread::spawn(move || {
                    if n == round % 2 {
                        let mut wait: Wait<'_> = Box::pin(group.wait());
                        let _ = poll(&mut wait);
                    }
                    block_on(group.wait());
                })
            })
            .collect();
        let other = group.clone();
        let done = thread::spawn(move || other.done());
        group.done();
        done.join().unwrap();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(format!("{group:?}"), "WaitGroup { counter: 0, waiters: 0 }");
    }
}

#[test]
fn waits_cross_threads() {
    fn crosses<T: Send>(_: &T) {}
    let group = WaitGroup::new();
    crosses(&group.wait());
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    shared(&group);
}
