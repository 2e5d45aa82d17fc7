//! What `yield_now` promises wherever it is awaited. (In which order tasks then run: golden_order.rs.)

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, runtime, until, watch};
use std::future::{poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// Polls its future with a waker of its own, as `select!` and `join!` of other crates do.
struct WithOwnWaker<F>(F, Arc<Forward>);

#[derive(Default)]
struct Forward {
    to: Mutex<Option<Waker>>,
    wakes: Count,
    woken: Mutex<bool>,
}

impl Wake for Forward {
    fn wake(self: Arc<Self>) {
        self.wakes.add();
        *self.woken.lock().unwrap() = true;
        let to = self.to.lock().unwrap().clone();
        to.unwrap().wake();
    }
}

impl<F: Future + Unpin> Future for WithOwnWaker<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let forward = Arc::clone(&self.1);
        let first = forward.to.lock().unwrap().replace(cx.waker().clone()).is_none();
        let woken = std::mem::take(&mut *forward.woken.lock().unwrap());
        if !first && !woken {
            return Poll::Pending; // it polls its child only if that was woken
        }
        Pin::new(&mut self.0).poll(&mut Context::from_waker(&Waker::from(forward)))
    }
}

#[test]
fn yield_now_under_a_combinator_wakes_the_combinators_waker() {
    let _watch = watch();
    let rt = runtime(1);
    for spawned in [true, false] {
        let forward = Arc::new(Forward::default());
        let yields = Box::pin(async {
            for _ in 0..10 {
                gmprt::yield_now().await;
            }
        });
        let combined = WithOwnWaker(yields, Arc::clone(&forward));
        if spawned {
            rt.block_on(rt.spawn(combined)).unwrap();
        } else {
            rt.block_on(combined);
        }
        assert_eq!(forward.wakes.get(), 10);
    }
}

#[test]
fn yield_now_works_on_any_executor_and_pends_once() {
    let wakes = Count::default();
    let waker = wakes.waker();
    let mut cx = Context::from_waker(&waker);
    let mut yielding = pin!(gmprt::yield_now());
    assert!(yielding.as_mut().poll(&mut cx).is_pending());
    assert_eq!(wakes.get(), 1);
    assert!(yielding.as_mut().poll(&mut cx).is_ready());
    assert_eq!(wakes.get(), 1);
}

#[test]
fn two_yields_in_one_poll_and_a_yield_that_is_dropped_leave_nothing_behind() {
    let _watch = watch();
    let rt = runtime(1);
    let polls = Count::default();
    let inner = polls.clone();
    let handle = rt.spawn(async move {
        let (mut one, mut two) = (gmprt::yield_now(), gmprt::yield_now());
        poll_fn(|cx| {
            let (one, two) = (Pin::new(&mut one).poll(cx), Pin::new(&mut two).poll(cx));
            if one.is_ready() && two.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let mut dropped = gmprt::yield_now();
        poll_fn(|cx| {
            assert!(Pin::new(&mut dropped).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        inner.add(); // still in that poll, which asked to yield, and now pends for ever
        poll_fn(|_| {
            inner.add();
            Poll::<()>::Pending
        })
        .await;
    });
    until(|| polls.get() >= 2);
    (0..3).for_each(|_| rt.block_on(rt.spawn(ready(()))).unwrap());
    assert!(polls.get() <= 3, "one yield, one more poll");
    assert!(!handle.is_finished());
}

/// Of more tasks than the rings hold none waits while others have hundreds of turns.
#[test]
fn tasks_beyond_what_the_ring_holds_have_their_turns_too() {
    let _watch = watch();
    let rt = runtime(1);
    let turns: Arc<Vec<Count>> = Arc::new((0..2000).map(|_| Count::default()).collect());
    let over = Arc::new(Count::default());
    rt.block_on(rt.spawn({
        let (turns, over) = (turns.clone(), over.clone());
        async move {
            let tasks: Vec<_> = (0..turns.len())
                .map(|i| {
                    let (turns, over) = (turns.clone(), over.clone());
                    gmprt::spawn(async move {
                        while over.get() == 0 {
                            turns[i].add();
                            if turns[i].get() == 400 {
                                over.add(); // the first to have so many turns ends it
                            }
                            gmprt::yield_now().await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
    }))
    .unwrap();
    let fewest = turns.iter().map(Count::get).min().unwrap();

    assert!(fewest >= 50, "one had 400 turns, another {fewest}");
}
