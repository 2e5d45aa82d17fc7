//! What loom sees of an `RwLock`: readers or one writer, whoever comes, leaves or gives up in between.
//!
//! Length: a model for each transition of one word, and the canaries.

use super::*;
use crate::models::frame::{Polled, block_on, model};
use crate::sys::primitive::{Arc, cell::UnsafeCell as Seen, weaken};
use loom::thread;

/// A number of which loom sees each access.
struct Data(Seen<usize>);

// SAFETY: the lock under test guards it, and loom fails if it does not.
unsafe impl Sync for Data {}

impl Data {
    fn get(&self) -> usize {
        // SAFETY: as above.
        self.0.with(|number| unsafe { *number })
    }

    fn add(&mut self) {
        // SAFETY: as above.
        self.0.with_mut(|number| unsafe { *number += 1 });
    }
}

type Lock = Arc<RwLock<Data>>;

fn lock() -> Lock {
    Arc::new(RwLock::new(Data(Seen::new(0))))
}

fn two_writers() {
    model(|| {
        let lock = lock();
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || block_on(other.write()).add());
        block_on(lock.write()).add();
        thread.join().unwrap();
        assert_eq!(block_on(lock.read()).get(), 2);
        assert!(lock.raw.is_free());
    });
}

fn a_reader_and_a_writer() {
    model(|| {
        let lock = lock();
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || block_on(other.write()).add());
        assert!(block_on(lock.read()).get() < 2);
        thread.join().unwrap();
        assert_eq!(block_on(lock.read()).get(), 1);
        assert!(lock.raw.is_free());
    });
}

fn a_try_of_each() {
    model(|| {
        let lock = lock();
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || other.try_write().map(|mut data| data.add()).is_some());
        let seen = lock.try_read().map(|data| data.get());
        let wrote = thread.join().unwrap();
        assert!(wrote || seen == Some(0), "only a reader keeps a writer out");
        assert!(lock.raw.is_free());
    });
}

/// Two readers leave; the last of them hands the lock to the writer that waits.
fn two_readers_before_a_writer() {
    model(|| {
        let lock = lock();
        std::mem::forget((lock.try_read(), lock.try_read()));
        let writer = Polled::parked(lock.write());
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || {
            let reader = RwLockReadGuard { lock: &*other };
            assert_eq!(reader.get(), 0);
        });
        lock.raw.unlock_read();
        if writer.woken.get() > 0 {
            writer.ends().add();
            thread.join().unwrap();
        } else {
            thread.join().unwrap();
            writer.ends().add();
        }
        assert!(lock.raw.is_free());
    });
}

#[test]
fn the_last_of_two_readers_hands_the_lock_over() {
    two_readers_before_a_writer();
}

#[test]
fn writers_exclude_each_other() {
    two_writers();
}

#[test]
fn a_writer_excludes_a_reader() {
    a_reader_and_a_writer();
}

#[test]
fn who_only_tries_excludes_too() {
    a_try_of_each();
}

#[test]
fn two_readers_and_a_writer_in_line_all_end() {
    model(|| {
        let lock = lock();
        let threads: Vec<_> = (0..2)
            .map(|n| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || match n {
                    0 => block_on(lock.write()).add(),
                    _ => assert!(block_on(lock.read()).get() < 3),
                })
            })
            .collect();
        block_on(lock.write()).add();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(block_on(lock.read()).get(), 2);
        assert!(lock.raw.is_free());
    });
}

/// The last reader unlocks while the writer that waits is dropped: whoever is held back comes in.
#[test]
fn a_writer_that_gives_up_lets_in_whom_it_held_back() {
    model(|| {
        let lock = lock();
        std::mem::forget(lock.try_read());
        let writer = Polled::parked(lock.write());
        let reader = Polled::parked(lock.read());
        let second = Polled::parked(lock.write());
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || other.raw.unlock_read());
        drop(writer);
        thread.join().unwrap();
        // First come, first served; but if the first writer had the lock before it gave up, then readers before writers.
        if reader.woken.get() > 0 {
            assert_eq!(reader.ends().get(), 0);
            second.ends().add();
        } else {
            second.ends().add();
            assert_eq!(reader.ends().get(), 1);
        }
        assert!(lock.raw.is_free());
    });
}

#[test]
fn the_last_writer_that_gives_up_lets_in_all_readers() {
    model(|| {
        let lock = lock();
        std::mem::forget(lock.try_read());
        let writer = Polled::parked(lock.write());
        let readers: Vec<_> = (0..2).map(|_| Polled::parked(lock.read())).collect();
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || other.raw.unlock_read());
        drop(writer);
        let guards: Vec<_> = readers.into_iter().map(Polled::ends).collect();
        thread.join().unwrap();
        drop(guards);
        assert!(lock.raw.is_free());
    });
}

/// A write unlock settles a waiter that is dropped at that moment: the next gets the lock.
#[test]
fn whoever_is_dropped_when_a_writer_unlocks_the_others_are_served() {
    for dropped in 0..3 {
        model(move || {
            let lock = lock();
            std::mem::forget(lock.try_write());
            let (mut first, mut second) =
                (Some(Polled::parked(lock.write())), Some(Polled::parked(lock.write())));
            let mut reader = Some(Polled::parked(lock.read()));
            let other = Arc::clone(&lock);
            let thread = thread::spawn(move || other.raw.unlock_write());
            match dropped {
                0 => drop(first.take()),
                1 => drop(second.take()),
                _ => drop(reader.take()),
            }
            thread.join().unwrap();
            if let Some(reader) = reader {
                drop(reader.ends());
            }
            if let Some(writer) = first {
                writer.ends().add();
            }
            if let Some(writer) = second {
                writer.ends().add();
            }
            assert!(lock.raw.is_free());
        });
    }
}

/// The elected writer comes back while another gets past it, and is handed the lock then.
#[test]
fn an_elected_writer_that_is_overtaken_comes_next() {
    model(|| {
        let lock = lock();
        std::mem::forget(lock.try_write());
        let mut elected = Polled::parked(lock.write());
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || {
            other.raw.unlock_write();
            block_on(other.write()).add();
        });
        let early = elected.poll();
        match early {
            Poll::Ready(mut guard) => guard.add(),
            Poll::Pending => block_on(elected.future.as_mut()).add(),
        }
        thread.join().unwrap();
        assert_eq!(block_on(lock.read()).get(), 2);
        assert!(lock.raw.is_free());
    });
}

#[test]
fn a_downgrade_lets_readers_in_and_no_writer() {
    model(|| {
        let lock = lock();
        let mut writer = lock.try_write().unwrap();
        writer.add();
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || {
            assert_eq!(block_on(other.read()).get(), 1);
            block_on(other.write()).add();
        });
        let reader = RwLockWriteGuard::downgrade(writer);
        assert_eq!(reader.get(), 1);
        drop(reader);
        thread.join().unwrap();
        assert!(lock.raw.is_free());
    });
}

/// The last reader is still on its way to the writers' line when the writer in it has left, and another has the lock.
#[test]
fn a_last_reader_that_comes_late_lets_nobody_in_beside_a_writer() {
    model(|| {
        let lock = lock();
        assert!(lock.raw.try_read());
        let writer = Polled::parked(lock.write());
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || other.raw.unlock_read());
        drop(writer);
        if let Some(mut held) = lock.try_write() {
            let mut reader = Polled::parked(lock.read());
            thread.join().unwrap();
            assert!(reader.poll().is_pending(), "a reader beside a writer");
            held.add();
            drop(held);
            assert_eq!(reader.ends().get(), 1);
        } else {
            thread.join().unwrap();
        }
        assert!(lock.raw.is_free());
    });
}

/// Two writers in line: the first was elected, and has yet to run. The lock is free, its gate open.
fn elected(lock: &RwLock<Data>) -> [Polled<impl Future<Output = RwLockWriteGuard<'_, Data>>>; 2] {
    std::mem::forget(lock.try_write());
    let line = [Polled::parked(lock.write()), Polled::parked(lock.write())];
    lock.raw.unlock_write();
    assert_eq!((line[0].woken(), line[1].woken()), (1, 0));
    line
}

/// A slow unlock opens the gate: a reader that gets in then, with no lock taken but the word, sees what was written; also
/// if others are let in by that unlock.
fn a_reader_gets_past_whom_an_unlock_elects() {
    for others in [false, true] {
        model(move || {
            let lock = lock();
            std::mem::forget(lock.try_write());
            let writer = Polled::parked(lock.write());
            let reader = others.then(|| Polled::parked(lock.read()));
            let other = Arc::clone(&lock);
            let thread = thread::spawn(move || RwLockWriteGuard { lock: &*other }.add());
            let seen = lock.try_read().map_or(1, |reader| reader.get());
            thread.join().unwrap();
            if let Some(reader) = reader {
                assert_eq!(reader.ends().get(), 1);
            }
            writer.ends().add();
            assert_eq!((seen, block_on(lock.read()).get()), (1, 2));
            assert!(lock.raw.is_free());
        });
    }
}

#[test]
fn a_reader_that_gets_past_an_elected_writer_sees_what_was_written() {
    a_reader_gets_past_whom_an_unlock_elects();
}

/// The elected writer runs while a reader comes: whichever is first, the writer in line behind is served too, and last.
#[test]
fn an_elected_writer_closes_the_gate_behind_a_reader_that_got_in() {
    model(|| {
        let lock = lock();
        let [mut first, second] = elected(&lock);
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || assert!(block_on(other.read()).get() < 2));
        let mut open = false;
        match first.poll() {
            Poll::Ready(mut guard) => guard.add(),
            Poll::Pending => {
                open = lock.try_read().is_some();
                block_on(first.future.as_mut()).add();
            }
        }
        thread.join().unwrap();
        second.ends().add();
        assert!(!open, "one that has run keeps readers out");
        assert_eq!(block_on(lock.read()).get(), 2);
        assert!(lock.raw.is_free());
    });
}

/// The elected writer gives up before it runs, while a reader that got past it is inside, or comes.
#[test]
fn an_elected_writer_that_gives_up_leaves_the_next_to_the_last_reader() {
    for inside in [true, false] {
        model(move || {
            let lock = lock();
            let [first, second] = elected(&lock);
            assert!(!inside || lock.raw.try_read());
            let other = Arc::clone(&lock);
            let thread = thread::spawn(move || match inside {
                true => drop(RwLockReadGuard { lock: &*other }),
                false => assert!(block_on(other.read()).get() < 2),
            });
            drop(first);
            let open = lock.try_read().is_some();
            // If the next has the lock already, then a reader that comes waits for it.
            block_on(second.future).add();
            thread.join().unwrap();
            assert!(!open, "the next keeps readers out");
            assert!(lock.raw.is_free());
        });
    }
}

/// A writer that got past the elected one leaves, with nothing but the word, while that one runs or gives up.
fn a_writer_gets_past(leaves: fn(RwLockWriteGuard<'_, Data>)) {
    for runs in [true, false] {
        model(move || {
            let lock = lock();
            let [mut first, second] = elected(&lock);
            std::mem::forget(lock.try_write().unwrap());
            let other = Arc::clone(&lock);
            let thread = thread::spawn(move || {
                let mut writer = RwLockWriteGuard { lock: &*other };
                writer.add();
                leaves(writer);
            });
            match runs.then(|| first.poll()) {
                Some(Poll::Ready(mut guard)) => guard.add(),
                Some(Poll::Pending) => block_on(first.future.as_mut()).add(),
                None => drop(first),
            }
            thread.join().unwrap();
            second.ends().add();
            assert_eq!(block_on(lock.read()).get(), 2 + usize::from(runs));
            assert!(lock.raw.is_free());
        });
    }
}

#[test]
fn a_writer_that_got_past_and_unlocks_loses_nobody() {
    a_writer_gets_past(|writer| drop(writer));
}

#[test]
fn a_writer_that_got_past_and_becomes_a_reader_loses_nobody() {
    a_writer_gets_past(|writer| assert_eq!(RwLockWriteGuard::downgrade(writer).get(), 1));
}

/// A writer goes in line, with the gate open and a reader inside, while the elected one runs or gives up.
#[test]
fn a_writer_that_comes_while_the_gate_is_open_is_served() {
    for runs in [true, false] {
        model(move || {
            let lock = lock();
            std::mem::forget(lock.try_write());
            let mut first = Polled::parked(lock.write());
            lock.raw.unlock_write();
            assert!(lock.raw.try_read());
            let other = Arc::clone(&lock);
            let thread = thread::spawn(move || block_on(other.write()).add());
            if runs {
                assert!(first.poll().is_pending());
                drop(RwLockReadGuard { lock: &*lock });
                block_on(first.future).add();
            } else {
                drop(first);
                drop(RwLockReadGuard { lock: &*lock });
            }
            thread.join().unwrap();
            assert_eq!(block_on(lock.read()).get(), 1 + usize::from(runs));
            assert!(lock.raw.is_free());
        });
    }
}

/// A reader waits for a writer that got past, with the gate open: it is let in, whatever the elected writer does.
#[test]
fn a_reader_in_line_behind_an_open_gate_is_let_in() {
    for runs in [true, false] {
        model(move || {
            let lock = lock();
            std::mem::forget(lock.try_write());
            let first = Polled::parked(lock.write());
            lock.raw.unlock_write();
            assert!(lock.raw.try_write());
            let reader = Polled::parked(lock.read());
            let other = Arc::clone(&lock);
            let thread = thread::spawn(move || RwLockWriteGuard { lock: &*other }.add());
            let mut first = Some(first).filter(|_| runs);
            let early = first.as_mut().is_some_and(|first| first.poll().is_ready());
            thread.join().unwrap();
            assert_eq!(reader.ends().get(), 1);
            if let Some(first) = first {
                first.ends().add();
            }
            assert!(!early, "the reader came first");
            assert!(lock.raw.is_free());
        });
    }
}

/// In a model a writer that lost starves. The gate stays closed while it is on its way, and whoever comes waits.
#[test]
fn nobody_gets_past_a_writer_that_starves() {
    for writes in [true, false] {
        model(move || {
            let lock = lock();
            let [mut first, second] = elected(&lock);
            assert!(lock.raw.try_write());
            assert!(first.poll().is_pending());
            let reader = Polled::parked(lock.read());
            lock.raw.unlock_write();
            let other = Arc::clone(&lock);
            let thread = thread::spawn(move || match writes {
                true => block_on(other.write()).add(),
                false => assert!((1..3).contains(&block_on(other.read()).get())),
            });
            assert_eq!(reader.ends().get(), 0);
            let Poll::Ready(mut guard) = first.poll() else { panic!("somebody got past") };
            guard.add();
            drop(guard);
            block_on(second.future).add();
            thread.join().unwrap();
            assert_eq!(block_on(lock.read()).get(), 2 + usize::from(writes));
            assert!(lock.raw.is_free());
        });
    }
}

#[test]
fn canary_try_write_needs_its_acquire() {
    weaken::without("Raw::try_write", a_reader_and_a_writer);
}

#[test]
fn canary_try_read_needs_its_acquire() {
    weaken::without("Raw::try_read", a_reader_and_a_writer);
}

#[test]
fn canary_a_write_unlock_needs_its_release() {
    weaken::without("Raw::unlock_write", two_writers);
}

#[test]
fn canary_a_read_unlock_needs_its_release() {
    weaken::without("Raw::unlock_read", a_try_of_each);
}

#[test]
fn canary_a_writer_in_line_needs_its_acquire() {
    weaken::without("Raw::enter_write", || {
        two_writers();
        a_reader_and_a_writer();
    });
}

#[test]
fn canary_a_grant_needs_its_acquire() {
    weaken::without("Raw::advance", two_readers_before_a_writer);
}

#[test]
fn canary_a_slow_write_unlock_needs_its_release() {
    weaken::without("Raw::let_in", a_reader_gets_past_whom_an_unlock_elects);
}
