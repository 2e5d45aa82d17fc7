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

/// On one P, so many tasks yield until the first of them has had `most` turns; beside them, if `chain`, two tasks wake each
/// other all the time. The fewest turns that one had.
fn fewest_turns(tasks: usize, most: usize, chain: bool) -> usize {
    let rt = runtime(1);
    let turns: Arc<Vec<Count>> = Arc::new((0..tasks).map(|_| Count::default()).collect());
    let over = Arc::new(Count::default());
    let yields = {
        let (turns, over) = (turns.clone(), over.clone());
        move |i: usize| {
            let (turns, over) = (turns.clone(), over.clone());
            async move {
                while over.get() == 0 {
                    turns[i].add();
                    if turns[i].get() == most {
                        over.add();
                    }
                    gmprt::yield_now().await;
                }
            }
        }
    };
    rt.block_on(rt.spawn(async move {
        let (ping, pings) = gmprt::chan::bounded(0);
        let (pong, pongs) = gmprt::chan::bounded(0);
        gmprt::spawn(async move {
            while let Ok(()) = pings.recv().await {
                pong.send(()).await.unwrap();
            }
        });
        let chain = gmprt::spawn(async move {
            while chain && over.get() == 0 {
                ping.send(()).await.unwrap();
                pongs.recv().await.unwrap();
            }
        });
        let tasks: Vec<_> = (0..tasks).map(|i| gmprt::spawn(yields(i))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        chain.await.unwrap();
    }))
    .unwrap();
    turns.iter().map(Count::get).min().unwrap()
}

/// Of more tasks than the rings hold none waits while others have hundreds of turns.
#[test]
fn tasks_beyond_what_the_ring_holds_have_their_turns_too() {
    let _watch = watch();
    let fewest = fewest_turns(2000, 400, false);
    assert!(fewest >= 50, "one had 400 turns, another {fewest}");
}

/// A task that came out of the injector runs before its ring can spill it again. Some numbers of tasks are those at which it
/// did not: the same tasks were then taken and spilled again for ever.
#[test]
fn no_task_is_moved_between_ring_and_injector_without_a_turn() {
    let _watch = watch();
    for tasks in [300, 310, 379, 508, 568, 637] {
        let fewest = fewest_turns(tasks, 300, false);
        assert!(fewest >= 20, "of {tasks} tasks one had 300 turns, another {fewest}");
    }
}

/// The end of a chain brings a batch from the injector into the ring: no more than it has room for, or what waits longest in
/// the ring is spilled without a turn, at the end of each chain.
#[test]
fn beside_a_chain_every_yielder_has_its_turn() {
    let _watch = watch();
    let fewest = fewest_turns(2000, 100, true);
    assert!(fewest >= 5, "one had 100 turns, another {fewest}");
}

/// What a yield spills are not only tasks that have yielded: those that have not run yet have their first turn before others
/// have many.
#[test]
fn what_a_yield_spills_does_not_wait_for_its_first_turn() {
    let _watch = watch();
    let rt = runtime(1);
    let polls = Arc::new(Count::default());
    let latest = rt
        .block_on(rt.spawn({
            let polls = polls.clone();
            async move {
                let tasks: Vec<_> = (0..257) // a ring, and `runnext`
                    .map(|_| {
                        let polls = polls.clone();
                        gmprt::spawn(async move {
                            let first = polls.get();
                            while polls.get() < 20_000 {
                                polls.add();
                                gmprt::yield_now().await;
                            }
                            first
                        })
                    })
                    .collect();
                gmprt::yield_now().await;
                let mut latest = 0;
                for task in tasks {
                    latest = latest.max(task.await.unwrap());
                }
                latest
            }
        }))
        .unwrap();
    assert!(latest < 4 * 257, "the last of 257 tasks had its first turn after {latest} turns of others");
}
