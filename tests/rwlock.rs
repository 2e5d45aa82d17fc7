//! What an `RwLock` promises: who gets it when, and that nobody who leaves takes it along.
//!
//! The order of tasks is compared with what `tests/golden/rwmutex.go` printed to `tests/golden/rwmutex.txt`. What Go's
//! `sync/rwmutex_test.go` and tokio's `tests/sync_rwlock.rs` assert is asserted here in our own words; the name of the
//! source's test stands beside each. Left out: `TestRLocker`'s interface, limits on the number of readers, guards that map.
//!
//! Length: order, each way to cancel, hostile wakers and values, and storms on three kinds of executor.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

#[path = "common/acting.rs"]
mod acting;
mod common;

use acting::Act;
use common::{Count, OnDrop, Rng, pend_once, revoking, runtime, sized, watch};
use gmprt::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, WaitGroup};
use gmprt::yield_now;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll::{self, Pending, Ready};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

// ---- A future that is polled by hand ----

type Boxed<'f, T> = Pin<Box<dyn Future<Output = T> + 'f>>;

/// A future and how often it was woken.
struct Polled<'f, T> {
    future: Boxed<'f, T>,
    woken: Count,
}

impl<'f, T> Polled<'f, T> {
    fn new(future: impl Future<Output = T> + 'f) -> Self {
        Self { future: Box::pin(future), woken: Count::default() }
    }

    #[track_caller]
    fn parked(future: impl Future<Output = T> + 'f) -> Self {
        let mut polled = Self::new(future);
        assert!(polled.poll().is_pending(), "it should wait");
        polled
    }

    fn poll(&mut self) -> Poll<T> {
        self.future.as_mut().poll(&mut Context::from_waker(&self.woken.waker()))
    }

    #[track_caller]
    fn woken_and_ready(mut self) -> T {
        assert!(self.woken.get() > 0, "it was not woken");
        match self.poll() {
            Ready(output) => output,
            Pending => panic!("it is not ready"),
        }
    }

    fn waits(&mut self) -> bool {
        self.woken.get() == 0 && self.poll().is_pending()
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

fn is_free<T>(lock: &RwLock<T>) -> bool {
    lock.try_write().is_some()
}

// ---- Go's order ----

const EXPECTED: &str = include_str!("golden/rwmutex.txt");

#[derive(Clone, Default)]
struct Scene {
    rw: Arc<RwLock<()>>,
    log: Arc<Mutex<Vec<String>>>,
    wait: WaitGroup,
}

impl Scene {
    fn log(&self, entry: impl Into<String>) {
        self.log.lock().unwrap().push(entry.into());
    }

    async fn with(&self, name: &str, hold: bool) {
        self.log(name);
        if hold {
            yield_now().await;
            self.log(format!("{name}'"));
        }
    }

    async fn come(&self, names: &'static str, hold: bool) {
        for name in names.split_whitespace() {
            let scene = self.clone();
            drop(self.wait.spawn(async move {
                if name.starts_with('r') {
                    let _reader = scene.rw.read().await;
                    scene.with(name, hold).await;
                } else {
                    let _writer = scene.rw.write().await;
                    scene.with(name, hold).await;
                }
            }));
            yield_now().await;
        }
    }

    async fn held_by(&self, writer: bool, readers: usize, names: &'static str, hold: bool) {
        let writer = if writer { Some(self.rw.write().await) } else { None };
        let readers: Vec<_> = (0..readers).map(|_| self.rw.try_read().unwrap()).collect();
        self.come(names, hold).await;
        self.log("unlock");
        drop((writer, readers));
        self.log("unlocked");
    }

    async fn play(&self, case: &str) {
        let many = "r0 r1 r2 r3 r4 r5 r6 r7 r8 r9 w0 r10 r11 r12 r13 r14 r15 r16 r17 r18 r19";
        match case {
            "writer_then_readers" => self.held_by(true, 0, "r0 r1 r2 r3 r4", false).await,
            "writer_then_readers_that_hold" => self.held_by(true, 0, "r0 r1 r2 r3 r4", true).await,
            "writer_then_writers" => self.held_by(true, 0, "w0 w1 w2 w3", false).await,
            "writer_then_writers_that_hold" => self.held_by(true, 0, "w0 w1 w2 w3", true).await,
            "writer_then_both" => self.held_by(true, 0, "r0 w0 r1 w1 r2", false).await,
            "writer_then_both_that_hold" => self.held_by(true, 0, "r0 w0 r1 w1 r2", true).await,
            "writer_then_writers_first" => self.held_by(true, 0, "w0 w1 r0 r1", false).await,
            "writer_then_writers_first_that_hold" => self.held_by(true, 0, "w0 w1 r0 r1", true).await,
            "reader_then_writer" => self.held_by(false, 1, "w0", false).await,
            "reader_then_both" => self.held_by(false, 1, "w0 r0 r1 w1 r2", false).await,
            "reader_then_both_that_hold" => self.held_by(false, 1, "w0 r0 r1 w1 r2", true).await,
            "two_readers_then_both" => self.held_by(false, 2, "r0 w0 r1 w1 r2 w2", true).await,
            "two_readers_then_writers" => self.held_by(false, 2, "w0 w1 w2", false).await,
            "many_readers" => self.held_by(true, 0, many, false).await,
            "a_running_writer_gets_past" => {
                let mut writer = self.rw.write().await;
                self.come("w0 w1", false).await;
                for n in 0..3 {
                    self.log(format!("unlock {n}"));
                    drop(writer);
                    writer = self.rw.write().await;
                }
                self.log("yield");
                yield_now().await;
                self.log("unlock");
                drop(writer);
                yield_now().await;
                let _writer = self.rw.write().await;
                self.log("locked");
            }
            "a_running_writer_waits_for_readers" => {
                let writer = self.rw.write().await;
                self.come("r0 w0 r1", true).await;
                self.log("unlock");
                drop(writer);
                let _writer = self.rw.write().await;
                self.log("locked");
            }
            "a_late_reader_waits" => {
                let reader = self.rw.read().await;
                self.come("w0", true).await;
                self.log(format!("try {}", self.rw.try_read().is_some()));
                self.come("r0 r1", true).await;
                drop(reader);
                self.come("r2", true).await;
            }
            other => panic!("{other} is a case of the Go program only"),
        }
    }
}

/// Where gmprt differs on purpose: a writer that comes while the woken one does not run yet gets past it only if the lock is
/// free; in Go it may take its place to wait for readers.
const OURS: &[(&str, &str)] =
    &[("a_running_writer_waits_for_readers", "unlock, r0, r1, r0', r1', w0, w0', locked")];

#[test]
fn with_one_p_the_lock_goes_round_in_gos_order() {
    let _watch = watch();
    let mut expected: BTreeMap<_, _> = EXPECTED
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .collect();
    assert!(expected.remove("version").is_some() && expected.len() == 17);
    for (case, order) in OURS {
        assert!(expected.insert(case, order).is_some_and(|gos| gos != *order));
    }
    for (case, order) in expected {
        for _ in 0..10 {
            let rt = runtime(1);
            let scene = Scene::default();
            let task = scene.clone();
            let played = rt.spawn(async move {
                task.play(case).await;
                task.wait.wait().await;
            });
            rt.block_on(played).unwrap();
            let log = scene.log.lock().unwrap().join(", ");
            if revoking() {
                assert_eq!(log.split(", ").count(), order.split(", ").count(), "{case}");
            } else {
                assert_eq!(log, order, "{case}");
            }
            assert!(is_free(&scene.rw));
        }
    }
}

// ---- Who may have it ----

/// tokio: `into_inner`, `try_write`, `try_read_try_write`, `read_uncontested`, `write_uncontested`; Go: `TestRWMutex`.
#[test]
fn many_read_or_one_writes() {
    let mut lock = RwLock::from(15);
    {
        let (one, two) = (lock.try_read().unwrap(), ready(lock.read()));
        assert_eq!(*one + *two, 30);
        assert!(lock.try_write().is_none());
    }
    {
        let mut writer = lock.try_write().unwrap();
        *writer = 1515;
        assert!(lock.try_write().is_none() && lock.try_read().is_none());
    }
    *ready(lock.write()) += 1;
    assert_eq!(*lock.try_read().unwrap(), 1516);
    *lock.get_mut() += 1;
    assert_eq!(lock.into_inner(), 1517);
}

/// tokio: `read_shared`, `write_shared_pending`, `read_exclusive_pending`, `write_exclusive_pending`,
/// `write_shared_drop`.
#[test]
fn who_may_not_have_it_waits_until_it_may() {
    let lock = RwLock::new(0);
    let readers = [ready(lock.read()), ready(lock.read())];
    let mut writer = Polled::parked(lock.write());
    let [one, two] = readers;
    drop(one);
    assert!(writer.waits());
    drop(two);
    let held = writer.woken_and_ready();
    let mut second = Polled::parked(lock.write());
    let mut reader = Polled::parked(lock.read());
    assert!(second.waits() && reader.waits());
    drop(held);
    drop(reader.woken_and_ready());
    drop(second.woken_and_ready());
    assert!(is_free(&lock));
}

/// tokio: `write_read_shared_pending`, `write_read_shared_drop_pending`.
#[test]
fn a_writer_that_waits_keeps_new_readers_out_until_it_gives_up() {
    let lock = RwLock::new(0);
    let held = ready(lock.read());
    let writer = Polled::parked(lock.write());
    let mut readers: Vec<_> = (0..100).map(|_| Polled::parked(lock.read())).collect();
    assert!(lock.try_read().is_none());
    assert!(readers.iter_mut().all(Polled::waits));
    drop(writer);
    let guards: Vec<_> = readers.into_iter().map(Polled::woken_and_ready).collect();
    drop((guards, held));
    assert!(is_free(&lock));
}

/// tokio: `write_order`; the order is that of the first polls.
#[test]
fn writers_have_it_in_the_order_in_which_they_came() {
    let lock = RwLock::new(Vec::new());
    let held = ready(lock.read());
    let writers: Vec<_> = (0..50).map(|_| Polled::parked(lock.write())).collect();
    drop(held);
    for (n, mut writer) in writers.into_iter().enumerate() {
        assert!(n == 0 || writer.woken.get() == 1, "writer {n} is next");
        writer.poll().map(|mut list| list.push(n)).is_ready().then_some(()).unwrap();
    }
    assert_eq!(lock.into_inner(), (0..50).collect::<Vec<_>>());
}

/// Two rounds: all who wait when a writer unlocks come before the next writer, and whoever comes before that runs; who comes
/// once it has run comes after it.
#[test]
fn all_readers_that_wait_come_in_between_two_writers() {
    let lock = RwLock::new(());
    let first = ready(lock.write());
    let second = Polled::parked(lock.write());
    let early: Vec<_> = (0..40).map(|_| Polled::parked(lock.read())).collect();
    drop(first);
    let overtakes = ready(lock.read());
    let mut guards: Vec<_> = early.into_iter().map(Polled::woken_and_ready).collect();
    let mut second = second;
    assert!(second.poll().is_pending());
    let mut late = Polled::parked(lock.read());
    drop(overtakes);
    let last = guards.pop();
    drop(guards);
    assert!(late.waits() && second.poll().is_pending());
    drop(last);
    let writer = second.woken_and_ready();
    assert!(late.waits());
    drop(writer);
    drop(late.woken_and_ready());
}

#[test]
fn a_downgrade_lets_readers_in_and_writers_wait() {
    let lock = RwLock::new(1);
    let reader = RwLockWriteGuard::downgrade(lock.try_write().unwrap());
    assert_eq!(*reader + *lock.try_read().unwrap(), 2);
    drop(reader);
    let mut writer = ready(lock.write());
    *writer = 2;
    let (mut next, waiting) = (Polled::parked(lock.write()), Polled::parked(lock.read()));
    let reader = RwLockWriteGuard::downgrade(writer);
    assert_eq!((*reader, *waiting.woken_and_ready()), (2, 2));
    assert!(next.waits() && lock.try_read().is_none());
    drop(reader);
    drop(next.woken_and_ready());
    assert!(is_free(&lock));
}

#[test]
fn a_lock_shows_itself_without_waiting() {
    let lock = RwLock::<u8>::default();
    assert_eq!(format!("{lock:?}"), "RwLock { data: 0 }");
    let mut writer = ready(lock.write());
    *writer = 7;
    assert_eq!(format!("{lock:?} {writer:?} {writer}"), "RwLock { data: <locked> } 7 7");
    let reader = RwLockWriteGuard::downgrade(writer);
    assert_eq!(format!("{lock:?} {reader:?} {reader}"), "RwLock { data: 7 } 7 7");
    drop(reader);
    let slice: &RwLock<[u8]> = &RwLock::new([1, 2]);
    slice.try_write().unwrap()[0] = 3;
    assert_eq!(format!("{slice:?}"), "RwLock { data: [3, 2] }");
}

#[test]
fn what_crosses_threads_is_what_the_data_allows() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    fn crosses<T: Send>(_: T) {}
    send::<RwLock<std::cell::Cell<u8>>>();
    sync::<RwLock<u8>>();
    send::<RwLockReadGuard<'_, u8>>();
    send::<RwLockReadGuard<'_, std::sync::MutexGuard<'_, u8>>>(); // Sync, and not Send
    sync::<RwLockReadGuard<'_, u8>>();
    send::<RwLockWriteGuard<'_, u8>>();
    sync::<RwLockWriteGuard<'_, u8>>();
    let lock = RwLock::new(1);
    crosses(lock.read());
    crosses(lock.write());
}

// ---- Who gives up ----

/// At which point a wait is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    NeverPolled,
    Queued,
    /// After the unlock has woken it, and before it is polled.
    Woken,
    /// With the guard.
    Granted,
}

#[test]
fn whoever_gives_up_and_when_the_others_are_served() {
    use Point::*;
    for holder_writes in [false, true] {
        for victim_writes in [false, true] {
            for point in [NeverPolled, Queued, Woken, Granted] {
                for others in 0_u8..16 {
                    let lock = RwLock::new(0);
                    let (mut read, mut write) = (None, None);
                    if holder_writes {
                        write = lock.try_write()
                    } else {
                        read = lock.try_read()
                    }
                    let wait = |writes: bool| {
                        let lock = &lock;
                        Polled::new(async move {
                            if writes {
                                (None, Some(lock.write().await))
                            } else {
                                (Some(lock.read().await), None)
                            }
                        })
                    };
                    let mut line: Vec<_> = (0..2).map(|n| wait(others >> n & 1 == 1)).collect();
                    line.push(wait(victim_writes));
                    line.extend((2..4).map(|n| wait(others >> n & 1 == 1)));
                    let mut had = [false; 5];
                    let mut guards = Vec::new();
                    for (n, one) in line.iter_mut().enumerate() {
                        if (n != 2 || point != NeverPolled)
                            && let Ready(guard) = one.poll()
                        {
                            had[n] = true;
                            guards.push(guard);
                        }
                    }
                    let mut line: Vec<_> = line.into_iter().map(Some).collect();
                    if matches!(point, NeverPolled | Queued) {
                        line[2] = None;
                    }
                    guards.clear();
                    drop((read.take(), write.take()));
                    if point == Woken {
                        line[2] = None;
                    }
                    // One step each in turn, as an executor takes them: who was woken is polled, and leaves at once.
                    for _ in 0..20 {
                        for (n, slot) in line.iter_mut().enumerate() {
                            let Some(one) = slot.as_mut().filter(|one| !had[n] && one.woken.get() > 0) else {
                                continue;
                            };
                            if let Ready(guard) = one.poll() {
                                had[n] = true;
                                drop(guard);
                            }
                        }
                    }
                    let served = (0..5).all(|n| had[n] || line[n].is_none());
                    let case = (holder_writes, victim_writes, point, others);
                    assert!(served, "{case:?}: {had:?}");
                    drop(line);
                    assert!(is_free(&lock), "{case:?}");
                }
            }
        }
    }
}

/// The elected writer is dropped before it runs: the next keeps new readers out, and has the lock after those who got in.
#[test]
fn an_elected_writer_that_gives_up_passes_on() {
    let lock = RwLock::new(());
    let held = ready(lock.write());
    let (first, second) = (Polled::parked(lock.write()), Polled::parked(lock.write()));
    drop(held);
    assert_eq!((first.woken.get(), second.woken.get()), (1, 0));
    let got_in = ready(lock.read());
    drop(first);
    let reader = Polled::parked(lock.read());
    assert_eq!(second.woken.get(), 0);
    drop(got_in);
    let writer = second.woken_and_ready();
    drop(writer);
    drop(reader.woken_and_ready());
    let held = ready(lock.write());
    let only = Polled::parked(lock.write());
    drop(held);
    let got_in = ready(lock.read());
    drop(only);
    drop((ready(lock.read()), got_in));
    assert!(is_free(&lock));
}

/// The elected writer is dropped before it runs, with nobody inside: the next has the lock.
#[test]
fn an_elected_writer_that_gives_up_a_free_lock_hands_it_on() {
    let lock = RwLock::new(());
    let held = ready(lock.write());
    let (first, second) = (Polled::parked(lock.write()), Polled::parked(lock.write()));
    drop(held);
    drop(first);
    let reader = Polled::parked(lock.read());
    drop(second.woken_and_ready());
    drop(reader.woken_and_ready());
    assert!(is_free(&lock));
}

/// Writers that starve are not got past: the gate stays closed while one of them is on its way, and opens after the last.
#[test]
fn nobody_gets_past_writers_that_starve() {
    for others in [true, false] {
        let lock = RwLock::new(());
        let held = ready(lock.write());
        let mut first = Polled::parked(lock.write());
        let second = others.then(|| Polled::parked(lock.write()));
        drop(held);
        let thief = ready(lock.write());
        thread::sleep(Duration::from_millis(2)); // sleep: a writer starves once it has waited for a millisecond
        assert!(first.poll().is_pending());
        let reader = Polled::parked(lock.read());
        drop(thief); // lets the reader in, and elects the first
        drop(reader.woken_and_ready());
        let third = others.then(|| Polled::parked(lock.write()));
        assert!(lock.try_read().is_none() && lock.try_write().is_none());
        drop(first.woken_and_ready());
        drop(second.map(Polled::woken_and_ready));
        drop(third.map(Polled::woken_and_ready));
        assert!(is_free(&lock));
    }
}

/// While the elected writer has yet to run, one that goes in line behind it does not close the gate: readers would wait for
/// a writer that is not first. The elected one closes it, and leaves it closed for the next.
#[test]
fn the_gate_is_the_elected_writers_to_close() {
    let lock = RwLock::new(());
    let held = ready(lock.write());
    let mut first = Polled::parked(lock.write());
    drop(held);
    let got_in = ready(lock.read());
    let mut second = Polled::parked(lock.write());
    let got_in = [got_in, ready(lock.read())];
    assert!(first.poll().is_pending() && lock.try_read().is_none());
    drop(got_in);
    let held = first.woken_and_ready();
    let mut late = Polled::parked(lock.read());
    assert!(late.waits() && second.waits());
    drop(held);
    drop(late.woken_and_ready());
    drop(second.woken_and_ready());
    assert!(is_free(&lock));
}

/// One that was elected, and found the lock taken by another, is first in line again, and has it next.
#[test]
fn a_writer_that_is_overtaken_keeps_its_place() {
    let lock = RwLock::new(());
    let held = ready(lock.write());
    let (mut first, mut second) = (Polled::parked(lock.write()), Polled::parked(lock.write()));
    drop(held);
    let third = ready(lock.write()); // gets past
    assert!(first.poll().is_pending() && second.waits());
    drop(third);
    assert_eq!(first.woken.get(), 2);
    let held = first.woken_and_ready();
    assert!(second.waits());
    drop(held);
    drop(second.woken_and_ready());
}

/// Go: the starvation mode of `Mutex`.
#[test]
fn a_writer_that_was_overtaken_and_has_waited_for_a_millisecond_is_not_overtaken_again() {
    let lock = RwLock::new(());
    let held = ready(lock.write());
    let mut first = Polled::parked(lock.write());
    thread::sleep(std::time::Duration::from_millis(2)); // sleep: the wait itself is what counts
    drop(held);
    let held = ready(lock.write());
    assert!(first.poll().is_pending());
    drop(held);
    let mut late = Polled::parked(lock.write()); // the lock was handed over
    let held = first.woken_and_ready();
    assert!(late.waits());
    drop(held);
    drop(late.woken_and_ready());
    assert!(is_free(&lock));
}

// ---- Hostile wakers and values ----

#[test]
fn wakers_may_use_the_lock_when_they_are_cloned_woken_and_dropped() {
    let _watch = watch();
    let lock: &'static RwLock<u32> = Box::leak(Box::new(RwLock::new(0)));
    let waker = acting::waker(move |_| {
        drop(lock.try_write());
        drop(lock.try_read());
        let _ = Polled::new(lock.read()).poll();
        let _ = Polled::new(lock.write()).poll();
    });
    let mut cx = Context::from_waker(&waker);
    for _ in 0..3 {
        let held = ready(lock.write());
        let mut line: Vec<Boxed<'_, ()>> = Vec::new();
        for n in 0..6 {
            line.push(match n % 3 {
                0 => Box::pin(async { drop(lock.read().await) }),
                _ => Box::pin(async { drop(lock.write().await) }),
            });
            assert!(line[n].as_mut().poll(&mut cx).is_pending());
        }
        drop(line.pop());
        drop(held);
        for _ in 0..10 {
            line.retain_mut(|one| one.as_mut().poll(&mut cx).is_pending());
        }
        assert!(line.is_empty());
        assert!(is_free(lock));
    }
}

#[test]
fn a_waker_that_panics_keeps_no_sibling_from_being_woken() {
    let lock = RwLock::new(());
    let held = ready(lock.write());
    let bad = acting::waker(|what| assert!(what != Act::Wake, "a waker panics"));
    let mut line: Vec<_> = (0..20).map(|_| Polled::new(lock.read())).collect();
    for (n, one) in line.iter_mut().enumerate() {
        if n % 5 == 0 {
            assert!(one.future.as_mut().poll(&mut Context::from_waker(&bad)).is_pending());
        } else {
            assert!(one.poll().is_pending());
        }
    }
    let writer = Polled::parked(lock.write());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(held))).is_err());
    for (n, mut one) in line.into_iter().enumerate() {
        assert_eq!(one.woken.get(), usize::from(n % 5 != 0));
        assert!(one.poll().is_ready());
    }
    drop(writer.woken_and_ready());
    assert!(is_free(&lock));
}

/// A guard that is dropped by a panic, and wakes a waker that panics too, does not end the process.
#[test]
fn a_panic_unlocks_although_a_waker_panics_then() {
    let lock = RwLock::new(0);
    let bad = acting::waker(|what| assert!(what != Act::Wake, "a waker panics"));
    let mut next = Polled::new(lock.write());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let mut held = ready(lock.write());
        *held = 1;
        assert!(next.future.as_mut().poll(&mut Context::from_waker(&bad)).is_pending());
        panic!("the first");
    }));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"the first"));
    let Ready(guard) = next.poll() else { panic!("it was elected") };
    assert_eq!(*guard, 1, "there is no poison");
}

/// A waker whose clone panics: the wait is as if it had not been polled, also on an elected writer's way back.
#[test]
fn a_waker_whose_clone_panics_loses_no_turn() {
    let lock = RwLock::new(());
    let held = ready(lock.write());
    let bad = acting::waker(|what| assert!(what != Act::Clone, "a clone panics"));
    let mut cx = Context::from_waker(&bad);
    let mut fresh = Polled::new(lock.write());
    assert!(catch_unwind(AssertUnwindSafe(|| fresh.future.as_mut().poll(&mut cx))).is_err());
    drop(fresh);
    let (mut elected, next) = (Polled::parked(lock.write()), Polled::parked(lock.write()));
    drop(held);
    assert!(catch_unwind(AssertUnwindSafe(|| elected.future.as_mut().poll(&mut cx))).is_err());
    drop(elected);
    drop(next.woken_and_ready());
    assert!(is_free(&lock));
}

/// A waker whose clone is dropped because the lock was free after all, and panics: the lock is free again.
#[test]
fn a_waker_whose_needless_clone_panics_when_dropped_locks_nothing() {
    let lock: &'static RwLock<()> = Box::leak(Box::new(RwLock::new(())));
    for writes in [false, true] {
        let held = Mutex::new(Some(ready(lock.write())));
        let bad = acting::waker(move |what| match what {
            Act::Clone => drop(held.lock().unwrap().take()),
            what => assert!(what != Act::Drop || thread::panicking(), "a drop panics"),
        });
        let mut wait: Boxed<'_, ()> = match writes {
            false => Box::pin(async { drop(lock.read().await) }),
            true => Box::pin(async { drop(lock.write().await) }),
        };
        assert!(
            catch_unwind(AssertUnwindSafe(|| wait.as_mut().poll(&mut Context::from_waker(&bad)))).is_err()
        );
        std::mem::forget(bad);
        drop(wait);
        assert!(is_free(lock));
    }
}

#[test]
fn a_value_whose_drop_panics_is_dropped_once() {
    let drops = Count::default();
    let bomb = |drops: &Count| {
        let drops = drops.clone();
        OnDrop(move || {
            drops.add();
            assert!(thread::panicking(), "a drop panics");
        })
    };
    let lock = RwLock::new(Some(bomb(&drops)));
    let mut held = ready(lock.write());
    let next = Polled::parked(lock.write());
    assert!(catch_unwind(AssertUnwindSafe(|| *held = None)).is_err());
    assert_eq!(drops.get(), 1);
    drop(held);
    *next.woken_and_ready() = Some(bomb(&drops));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(lock))).is_err());
    assert_eq!(drops.get(), 2);
}

// ---- Storms ----

/// Readers add one, a writer ten thousand: as in Go's `HammerRWMutex`. The counter in the lock is a plain number.
struct Storm {
    lock: RwLock<(u64, u64)>,
    activity: AtomicIsize,
    writes: AtomicUsize,
}

const WRITER: isize = 10_000;

impl Storm {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lock: RwLock::new((0, 0)),
            activity: AtomicIsize::new(0),
            writes: AtomicUsize::new(0),
        })
    }

    async fn read(&self, pause: bool) {
        let both = self.lock.read().await;
        let active = self.activity.fetch_add(1, SeqCst) + 1;
        let _left = OnDrop(|| _ = self.activity.fetch_sub(1, SeqCst));
        assert!((1..WRITER).contains(&active), "a reader beside a writer: {active}");
        if pause {
            tick().await;
        }
        assert_eq!(both.0, both.1);
    }

    async fn write(&self, pause: bool, downgrade: bool) {
        let mut both = self.lock.write().await;
        let active = self.activity.fetch_add(WRITER, SeqCst) + WRITER;
        let left = OnDrop(|| _ = self.activity.fetch_sub(WRITER, SeqCst));
        assert_eq!(active, WRITER, "a writer is not alone");
        both.0 += 1;
        let whole = OnDrop(|| _ = self.writes.fetch_add(1, SeqCst));
        both.1 += 1;
        if pause {
            tick().await;
        }
        drop((whole, left));
        if downgrade {
            let both = RwLockWriteGuard::downgrade(both);
            assert_eq!(both.0, both.1);
        }
    }

    /// One task of the storm. Of its locks some are given up after a few polls.
    async fn run(self: Arc<Self>, mut rng: Rng, rounds: usize) {
        for _ in 0..rounds {
            let (what, pause) = (rng.below(8), rng.below(4) == 0);
            let storm = &*self;
            let lock = async move {
                match what {
                    0 | 1 => storm.write(pause, what == 0).await,
                    _ => storm.read(pause).await,
                }
            };
            if rng.below(3) == 0 {
                polls(lock, rng.below(4)).await;
            } else {
                lock.await;
            }
        }
    }

    fn is_over(&self) {
        let both = self.lock.try_write().expect("all have gone");
        assert_eq!((both.0, both.1), (self.writes.load(SeqCst) as u64, both.0));
    }
}

/// Gives way once, on any executor.
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

/// Polls so often, and drops.
async fn polls(future: impl Future<Output = ()>, times: u64) {
    let mut future = pin!(future);
    for _ in 0..times {
        if std::future::poll_fn(|cx| Ready(future.as_mut().poll(cx))).await.is_ready() {
            return;
        }
        tick().await;
    }
}

fn crowd(rng: &mut Rng, storm: &Arc<Storm>, tasks: usize) -> Vec<impl Future<Output = ()> + Send + use<>> {
    (0..tasks).map(|_| Arc::clone(storm).run(rng.fork(), sized(300, 3000))).collect()
}

/// Go: `HammerRWMutex`; tokio: `multithreaded`.
#[test]
fn readers_and_writers_never_meet_on_gmprt() {
    let _watch = watch();
    let mut rng = Rng::new();
    for (procs, tasks) in [(1, 3), (1, 10), (4, 1), (4, 10), (4, 40)] {
        let (rt, storm) = (runtime(procs), Storm::new());
        let tasks: Vec<_> = crowd(&mut rng, &storm, tasks).into_iter().map(|task| rt.spawn(task)).collect();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        storm.is_over();
    }
}

#[test]
fn readers_and_writers_never_meet_on_tokio() {
    let _watch = watch();
    let mut rng = Rng::new();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let storm = Storm::new();
    let tasks: Vec<_> = crowd(&mut rng, &storm, 20).into_iter().map(|task| rt.spawn(task)).collect();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    storm.is_over();
}

#[test]
fn readers_and_writers_never_meet_on_threads_beside_a_runtime() {
    let _watch = watch();
    let mut rng = Rng::new();
    let (rt, storm) = (runtime(2), Storm::new());
    let mut all = crowd(&mut rng, &storm, 8);
    let tasks: Vec<_> = all.split_off(4).into_iter().map(|task| rt.spawn(task)).collect();
    let threads: Vec<_> = all.into_iter().map(|task| thread::spawn(move || block_on(task))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    storm.is_over();
}

/// Tasks are aborted wherever they stand, some with the lock.
#[test]
fn aborted_tasks_leave_the_lock_free() {
    let _watch = watch();
    let mut rng = Rng::new();
    for procs in [1, 4] {
        let (rt, storm) = (runtime(procs), Storm::new());
        let tasks: Vec<_> = crowd(&mut rng, &storm, 24).into_iter().map(|task| rt.spawn(task)).collect();
        let stuck = {
            let storm = Arc::clone(&storm);
            rt.spawn(async move {
                let _held = storm.lock.write().await;
                pend_once().await;
            })
        };
        rt.block_on(async {
            for task in tasks.iter().step_by(2) {
                for _ in 0..rng.below(50) {
                    yield_now().await;
                }
                task.abort();
            }
            stuck.abort();
            for (n, task) in tasks.into_iter().enumerate() {
                let ended = task.await;
                assert!(ended.is_ok() || (n % 2 == 0 && ended.unwrap_err().is_cancelled()));
            }
            let _ = stuck.await;
        });
        storm.is_over();
    }
}

/// Go: `doTestParallelReaders`.
#[test]
fn readers_have_it_at_the_same_time() {
    let _watch = watch();
    for (readers, procs) in [(1, 4), (3, 4), (4, 2)] {
        let rt = runtime(procs);
        let lock = Arc::new(RwLock::new(()));
        let here = Count::default();
        let tasks: Vec<_> = (0..readers)
            .map(|_| {
                let (lock, here) = (Arc::clone(&lock), here.clone());
                rt.spawn(async move {
                    let _reader = lock.read().await;
                    here.add();
                    common::until_in_task(|| here.get() == readers).await;
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        assert!(is_free(&lock));
    }
}
