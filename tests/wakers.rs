//! What wakers promise: a task's own, which anyone may keep for ever, and those that its handle is polled with.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, OnDrop, Signal, own_waker, poll_once, runtime, sized, until, watch};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;

// ---- a task's own waker ----

#[test]
fn wakes_during_one_poll_make_one_more_poll() {
    let _watch = watch();
    let rt = runtime(1);
    let polls = Count::default();
    let inner = polls.clone();
    let done = rt.spawn(async move {
        poll_fn(|cx| {
            inner.add();
            if inner.get() == 4 {
                return Poll::Ready(());
            }
            for _ in 0..5 {
                cx.waker().wake_by_ref();
                let own = cx.waker().clone();
                own.wake(); // by value
            }
            Poll::Pending
        })
        .await;
        common::pend_once().await; // the wakes of the polls before are used up
    });
    until(|| polls.get() == 4);
    rt.block_on(rt.spawn(ready(()))).unwrap();
    assert!(!done.is_finished());
    assert_eq!(polls.get(), 4);
}

#[test]
fn a_wake_is_seen_whichever_way_and_wherever_it_comes_from() {
    let _watch = watch();
    let rt = runtime(2);
    for how in 0..4 {
        for _ in 0..sized(200, 2000) {
            let (send, receive) = mpsc::channel();
            let signal = Arc::new(Mutex::new(false));
            let open = Arc::clone(&signal);
            let handle = rt.spawn(poll_fn(move |cx| {
                if *open.lock().unwrap() {
                    return Poll::Ready(());
                }
                let _ = send.send(cx.waker().clone());
                Poll::Pending
            }));
            let waker = receive.recv().unwrap();
            assert!(waker.will_wake(&waker.clone()));
            *signal.lock().unwrap() = true;
            match how {
                0 => waker.wake(),
                1 => waker.wake_by_ref(),
                2 => thread::spawn(|| waker.wake()).join().unwrap(),
                _ => rt.block_on(rt.spawn(async move { waker.wake() })).unwrap(),
            }
            rt.block_on(handle).unwrap();
        }
    }
}

#[test]
fn a_wake_after_completion_does_nothing_and_the_future_is_gone_though_wakers_remain() {
    let _watch = watch();
    let rt = runtime(1);
    let (futures, outputs) = (Count::default(), Count::default());
    let (held, output) = (futures.on_drop(), outputs.on_drop());
    let (send, receive) = mpsc::channel();
    let handle = rt.spawn(async move {
        let _held = held;
        send.send(own_waker().await).unwrap();
        output
    });
    let waker = receive.recv().unwrap();
    until(|| handle.is_finished());
    assert_eq!((futures.get(), outputs.get()), (1, 0));
    drop(handle);
    assert_eq!(outputs.get(), 1);
    for _ in 0..3 {
        waker.wake_by_ref();
        let other = waker.clone();
        other.wake(); // by value
    }
    // Other tasks take other slots; the waker of the old one must not reach them.
    let polls = Count::default();
    for _ in 0..100 {
        let polled = polls.clone();
        drop(rt.spawn(poll_fn(move |_| {
            polled.add();
            Poll::<()>::Pending
        })));
    }
    until(|| polls.get() == 100);
    waker.wake();
    rt.block_on(rt.spawn(ready(()))).unwrap();
    assert_eq!(polls.get(), 100);
    assert_eq!((futures.get(), outputs.get()), (1, 1));
}

#[test]
fn foreign_threads_may_keep_wake_and_drop_wakers_beyond_the_runtimes_life() {
    let _watch = watch();
    for _ in 0..sized(20, 200) {
        let rt = runtime(2);
        let drops = Count::default();
        let (send, receive) = mpsc::channel();
        for n in 0..40 {
            let (send, guard) = (send.clone(), drops.on_drop());
            drop(rt.spawn(async move {
                let _guard = guard;
                send.send(own_waker().await).unwrap();
                if n % 2 == 0 {
                    pending::<()>().await;
                }
            }));
        }
        let wakers: Vec<Waker> = (0..40).map(|_| receive.recv().unwrap()).collect();
        let keepers: Vec<_> = (0..4)
            .map(|_| {
                let wakers = wakers.clone();
                thread::spawn(move || {
                    for waker in &wakers {
                        (0..50).for_each(|_| waker.wake_by_ref()); // while the runtime ends, and after
                    }
                    wakers.into_iter().for_each(Waker::wake);
                })
            })
            .collect();
        drop(rt);
        assert_eq!(drops.get(), 40);
        keepers.into_iter().for_each(|keeper| keeper.join().unwrap());
        wakers.iter().for_each(Waker::wake_by_ref);
        drop(wakers);
        assert_eq!(drops.get(), 40);
    }
}

#[test]
fn a_task_that_keeps_its_own_waker_is_dropped_all_the_same() {
    let _watch = watch();
    let rt = runtime(1);
    let (drops, polled) = (Count::default(), Signal::default());
    let (guard, begun) = (drops.on_drop(), polled.clone());
    let handle = rt.spawn(async move {
        let _guard = guard;
        let _own = own_waker().await;
        begun.set();
        pending::<()>().await;
    });
    rt.block_on(polled.wait());
    drop((handle, rt));
    assert_eq!(drops.get(), 1);
}

// ---- wakers that a handle is polled with ----

#[test]
fn a_handle_wakes_the_last_waker_only_and_once() {
    let _watch = watch();
    let rt = runtime(1);
    let signal = Signal::default();
    let inner = signal.clone();
    let mut handle = rt.spawn(async move { inner.wait().await });
    let counts: Vec<Count> = (0..5).map(|_| Count::default()).collect();
    for count in &counts {
        let waker = count.waker();
        for _ in 0..3 {
            assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    signal.set();
    until(|| counts[4].get() > 0);
    assert!(poll_once(&mut handle).is_ready());
    drop((handle, rt));
    assert_eq!(counts.iter().map(Count::get).collect::<Vec<_>>(), [0, 0, 0, 0, 1]);
}

#[test]
fn a_handle_polled_again_and_again_drops_each_waker_that_it_cloned() {
    let _watch = watch();
    let rt = runtime(1);
    let mut handle = rt.spawn(pending::<()>());
    let arcs: Vec<Arc<Count>> = (0..10).map(|_| Arc::new(Count::default())).collect();
    for arc in arcs.iter().chain(&arcs) {
        let waker = Waker::from(Arc::clone(arc));
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let held = |arc: &Arc<Count>| Arc::strong_count(arc) - 1;
    assert_eq!(arcs.iter().map(held).sum::<usize>(), 1, "the last one only");
    drop(handle);
    assert_eq!(arcs.iter().map(held).sum::<usize>(), 0);
}

#[test]
fn a_handle_polled_with_changing_wakers_while_its_task_ends_is_always_woken() {
    let _watch = watch();
    let rt = runtime(2);
    for _ in 0..sized(500, 5000) {
        let mut handle = rt.spawn(gmprt::yield_now());
        let last = loop {
            let count = Count::default();
            let waker = count.waker();
            if Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_ready() {
                break None;
            }
            if handle.is_finished() {
                break Some(count); // it ended after this registration
            }
        };
        if let Some(count) = last {
            until(|| count.get() == 1);
            assert!(poll_once(&mut handle).is_ready());
        }
    }
}

#[test]
fn a_waker_whose_wake_panics_does_not_hurt_the_task_that_ends() {
    let _watch = watch();
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            resume_unwind(Box::new("wake"));
        }
    }
    let rt = runtime(1);
    let signal = Signal::default();
    let inner = signal.clone();
    let mut handle = rt.spawn(async move { inner.wait().await });
    let waker = Waker::from(Arc::new(Panics));
    assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
    signal.set();
    until(|| handle.is_finished());
    assert!(matches!(poll_once(&mut handle), Poll::Ready(Ok(()))));
    assert_eq!(rt.block_on(rt.spawn(ready(7))).unwrap(), 7);
}

/// A waker whose last owner gets a panic from its drop.
fn waker_whose_drop_panics(drops: &Count) -> Waker {
    struct Panics(#[expect(dead_code, reason = "dropped")] Box<dyn Send + Sync>);
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {}
    }
    let drops = drops.clone();
    Waker::from(Arc::new(Panics(Box::new(OnDrop(move || {
        drops.add();
        resume_unwind(Box::new("drop"));
    })))))
}

#[test]
fn a_waker_whose_drop_panics_leaves_the_handle_and_the_task_whole() {
    let _watch = watch();
    let rt = runtime(1);
    let (wakers, tasks) = (Count::default(), Count::default());
    for how in ["replaced", "dropped with the handle", "woken"] {
        let before = wakers.get();
        let (signal, guard) = (Signal::default(), tasks.on_drop());
        let inner = signal.clone();
        let mut handle = rt.spawn(async move {
            inner.wait().await;
            guard
        });
        let waker = waker_whose_drop_panics(&wakers);
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker); // the handle has the last one
        assert_eq!(wakers.get(), before);
        if how == "replaced" {
            assert!(catch_unwind(AssertUnwindSafe(|| poll_once(&mut handle))).is_err());
            assert_eq!(wakers.get(), before + 1);
        }
        if how == "dropped with the handle" {
            assert!(catch_unwind(AssertUnwindSafe(|| drop(handle))).is_err());
            signal.set();
        } else {
            signal.set();
            until(|| handle.is_finished()); // no other waker may take the place of this one
            assert!(matches!(poll_once(&mut handle), Poll::Ready(Ok(_))));
        }
        until(|| wakers.get() == before + 1);
    }
    until(|| tasks.get() == 3);
    drop(rt);
    assert_eq!((wakers.get(), tasks.get()), (3, 3));
}

#[test]
fn a_waker_whose_clone_panics_leaves_the_handle_whole() {
    let _watch = watch();
    static VTABLE: RawWakerVTable =
        RawWakerVTable::new(|_| resume_unwind(Box::new("clone")), |_| {}, |_| {}, |_| {});
    // SAFETY: the functions use no data; one panics, and a clone that never was is nobody's.
    #[expect(unsafe_code, reason = "no safe waker panics in clone")]
    let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) };
    let rt = runtime(1);
    for registered in [false, true] {
        let signal = Signal::default();
        let inner = signal.clone();
        let mut handle = rt.spawn(async move { inner.wait().await });
        if registered {
            assert!(poll_once(&mut handle).is_pending());
        }
        let poll = || Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
        signal.set();
        rt.block_on(handle).unwrap();
    }
}

/// Wakes when the thread that it lives on ends, and asks who and where it is.
struct LastWord(Waker, mpsc::Sender<Option<gmprt::task::TaskId>>);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.0.wake_by_ref();
        let _ = self.1.send(gmprt::task::id());
    }
}

thread_local! {
    static LAST_WORD: std::cell::RefCell<Option<LastWord>> = const { std::cell::RefCell::new(None) };
}

#[test]
fn a_destructor_of_a_thread_local_of_an_m_wakes_a_task_of_another_runtime() {
    let _watch = watch();
    let other = runtime(1);
    let said_so = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (give, waker) = mpsc::channel();
    let look = Arc::clone(&said_so);
    let woken = other.spawn(async move {
        give.send(own_waker().await).unwrap();
        let heard = |_: &mut Context<'_>| match look.load(std::sync::atomic::Ordering::SeqCst) {
            true => Poll::Ready(()),
            false => Poll::Pending, // nobody else wakes it
        };
        poll_fn(heard).await;
    });
    let waker = waker.recv().unwrap();
    let (say, said) = mpsc::channel();
    let rt = runtime(1);
    let task = rt.spawn(async move {
        LAST_WORD.with(|last| *last.borrow_mut() = Some(LastWord(waker, say)));
    });
    rt.block_on(task).unwrap();
    said_so.store(true, std::sync::atomic::Ordering::SeqCst);
    drop(rt); // its M ends, and its thread-locals with it
    assert_eq!(said.recv().unwrap(), None, "an M that has left its loop is nobody");
    other.block_on(woken).unwrap();
}
