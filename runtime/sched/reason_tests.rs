//! What each future of ours says it waits for, read back at the end of its poll.
//!
//! Absent: the trace that shows it.

use super::current;
use super::preempt::{waits, yields};
use crate::cell::join::JoinHandle;
use crate::reason::Reason;
use crate::sync::{Barrier, Cond, Mutex, Notify, OnceCell, RwLock, Semaphore, WaitGroup};
use crate::time::{interval, sleep, timeout};
use crate::{chan, context, group, select};
use futures_core::Stream;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

fn reason() -> Reason {
    current::with(|cx| cx.reason()).expect("in a task")
}

/// What `future`, which is to wait, says that it waits for.
async fn said_by<F: Future>(future: F) -> Reason {
    let mut future = pin!(future);
    let mut first = None;
    poll_fn(|cx| {
        // The first poll gets in line, the second finds itself there, with its waker and then with another.
        for look in 0.. {
            let before = yields();
            waits(Reason::Unsaid);
            let mut other = Context::from_waker(Waker::noop());
            let polled = future.as_mut().poll(if look == 2 { &mut other } else { cx });
            assert!(polled.is_pending(), "it does not wait");
            if yields() != before {
                return Poll::Pending; // the slice was over
            }
            assert_eq!(*first.get_or_insert_with(reason), reason(), "look {look}");
            if look == 2 {
                break;
            }
        }
        Poll::Ready(reason())
    })
    .await
}

/// Runs `test` in a task of a runtime.
fn in_a_task<F>(test: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let rt = crate::Runtime::builder().procs(2).max_blocking(1).build().unwrap();
    rt.block_on(rt.spawn(test)).unwrap();
}

#[test]
fn channels_and_select() {
    in_a_task(async {
        let (tx, mut rx) = chan::bounded::<u8>(1);
        assert_eq!(said_by(rx.recv()).await, Reason::ChanReceive);
        let next = poll_fn(|cx| Pin::new(&mut rx).poll_next(cx));
        assert_eq!(said_by(next).await, Reason::ChanReceive);
        drop((tx, rx));
        let (tx, _rx) = chan::bounded::<u8>(1);
        tx.try_send(1).unwrap();
        assert_eq!(said_by(tx.send(2)).await, Reason::ChanSend);
        assert_eq!(said_by(tx.reserve()).await, Reason::ChanSend);
        let (meet, _meets) = chan::bounded::<u8>(0);
        assert_eq!(said_by(meet.send(2)).await, Reason::ChanSend);
        let (_other, empty) = chan::bounded::<u8>(1);
        let both = async {
            select! {
                v = empty.recv() => v,
                () = sleep(LONG) => Ok(0),
            }
        };
        assert_eq!(said_by(both).await, Reason::Select);
    });
}

#[test]
fn what_was_refused_in_passing_is_not_waited_for() {
    in_a_task(async {
        let (tx, rx) = chan::bounded::<u8>(1);
        let polls = async {
            select! {
                _ = rx.recv() => {}
                default => {}
            }
            pending::<()>().await
        };
        assert_eq!(said_by(polls).await, Reason::Unsaid);
        let goes_on = async {
            select! { biased;
                _ = rx.recv() => {}
                () = async {} => {}
            }
            pending::<()>().await
        };
        assert_eq!(said_by(goes_on).await, Reason::Unsaid);
        let late = async {
            timeout(Duration::ZERO, rx.recv()).await.unwrap_err();
            pending::<()>().await
        };
        assert_eq!(said_by(late).await, Reason::Unsaid);
        let sender = std::thread::spawn(move || tx.send_blocking(1).map(|()| tx));
        let blocks = async {
            rx.recv_blocking().unwrap();
            pending::<()>().await
        };
        assert_eq!(said_by(blocks).await, Reason::Unsaid);
        drop(sender.join());
        let nested = async {
            crate::Handle::current().block_on(async { sleep(Duration::from_millis(1)).await });
            pending::<()>().await
        };
        assert_eq!(said_by(nested).await, Reason::Unsaid);
        let notify = Notify::new();
        let enables = async {
            let mut notified = pin!(notify.notified());
            assert!(!notified.as_mut().enable());
            pending::<()>().await
        };
        assert_eq!(said_by(enables).await, Reason::Unsaid);
        let group = crate::task::Group::<()>::new();
        group.set_limit(0);
        let spawns = async {
            group.spawn(pending()); // looks at its permit, and at its handle
            pending::<()>().await
        };
        assert_eq!(said_by(spawns).await, Reason::Unsaid);
    });
}

#[test]
fn times() {
    in_a_task(async {
        assert_eq!(said_by(sleep(LONG)).await, Reason::Sleep);
        assert_eq!(said_by(interval(LONG).tick()).await, Reason::Ticker);
        let (_tx, rx) = chan::bounded::<u8>(1);
        assert_eq!(said_by(timeout(LONG, rx.recv())).await, Reason::ChanReceive);
        assert_eq!(said_by(timeout(LONG, pending::<()>())).await, Reason::Unsaid);
    });
}

#[test]
fn locks() {
    in_a_task(async {
        let mutex = Mutex::new(());
        let guard = mutex.lock().await;
        assert_eq!(said_by(mutex.lock()).await, Reason::Mutex);
        let cond = Cond::new();
        assert_eq!(said_by(cond.wait(guard)).await, Reason::Cond);
        let lock = RwLock::new(());
        let guard = lock.write().await;
        assert_eq!(said_by(lock.read()).await, Reason::RwLockRead);
        assert_eq!(said_by(lock.write()).await, Reason::RwLockWrite);
        drop(guard);
        let semaphore = Arc::new(Semaphore::new(0));
        assert_eq!(said_by(semaphore.acquire()).await, Reason::Semaphore);
        assert_eq!(said_by(Arc::clone(&semaphore).acquire_owned()).await, Reason::Semaphore);
    });
}

#[test]
fn other_meetings() {
    in_a_task(async {
        let notify = Arc::new(Notify::new());
        assert_eq!(said_by(notify.notified()).await, Reason::Notify);
        assert_eq!(said_by(Arc::clone(&notify).notified_owned()).await, Reason::Notify);
        assert_eq!(said_by(Barrier::new(2).wait()).await, Reason::Barrier);
        let group = WaitGroup::new();
        group.add(1);
        assert_eq!(said_by(group.wait()).await, Reason::WaitGroup);
        group.done();
        let cell = OnceCell::<u8>::new();
        let mut first = pin!(cell.get_or_init(pending));
        poll_fn(|cx| {
            let before = yields();
            assert!(first.as_mut().poll(cx).is_pending());
            if yields() == before { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!(said_by(cell.get_or_init(pending)).await, Reason::Once);
        assert_eq!(said_by(context::background().done()).await, Reason::ContextDone);
        let (ctx, _cancel) = context::with_cancel(&context::background());
        assert_eq!(said_by(ctx.done()).await, Reason::ContextDone);
    });
}

#[test]
fn tasks() {
    in_a_task(async {
        let mut task: JoinHandle<()> = crate::spawn(pending());
        assert_eq!(said_by(&mut task).await, Reason::Join);
        task.abort();
        let mut group = crate::task::Group::<()>::new();
        group.spawn(pending());
        assert_eq!(said_by(group.join_next()).await, Reason::Group);
        assert_eq!(said_by(group.join_all()).await, Reason::Group);
        let none = Arc::new(super::permits::Permits::new(0));
        let turn = group::take_turn(&none).expect_err("there is none");
        assert_eq!(said_by(turn).await, Reason::GroupTurn);
        let shared = current::with(|cx| Arc::clone(&cx.shared)).unwrap();
        let _only = shared.permits.acquire(Reason::BlockingPermit).await;
        let blocks = crate::spawn_blocking::blocking_task(&shared, || ());
        assert_eq!(said_by(blocks).await, Reason::BlockingPermit);
    });
}

#[test]
fn a_poll_begins_with_nothing_said() {
    in_a_task(async {
        waits(Reason::Cond);
        crate::yield_now().await;
        assert_eq!(reason(), Reason::Unsaid);
    });
    let rt = crate::Runtime::builder().procs(1).build().unwrap();
    rt.block_on(async {
        waits(Reason::Cond);
        crate::yield_now().await;
        assert_eq!(reason(), Reason::Unsaid);
    });
}

#[test]
fn nobody_is_told_outside_of_a_runtime() {
    waits(Reason::Cond);
    assert!(current::with(|cx| cx.reason()).is_none());
}
