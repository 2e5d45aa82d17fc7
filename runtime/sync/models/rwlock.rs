//! What loom sees of an `RwLock`: readers or one writer, whoever comes, leaves or gives up in between.

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
