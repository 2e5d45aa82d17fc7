//! What a `Group` promises: errgroup's tests and those of tokio's `JoinSet` in our words, and failures that race.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Gate, OnDrop, Rng, Signal, poll_once, revoking, runtime, sized, until_in_task, watch};
use gmprt::context::{self, ContextError};
use gmprt::task::{Group, GroupError, Outcome};
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};

/// Runs it on one P and on four.
fn on_ps<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let _watchdog = watch();
    for procs in [1, 4] {
        runtime(procs).block_on(test());
    }
}

/// Pending tasks that count when their future is dropped.
fn spawn_pending<T: Outcome + Send + 'static>(group: &Group<T>, n: usize) -> Count {
    let drops = Count::default();
    for _ in 0..n {
        let guard = drops.on_drop();
        group.spawn(async move {
            let _guard = guard;
            pending().await
        });
    }
    drops
}

/// tokio: `test_with_sleep`.
#[test]
fn all_results_come_and_the_group_can_be_used_again() {
    on_ps(|| async {
        let mut group = Group::new();
        for n in 0..10 {
            group.spawn(async move { n });
            assert_eq!(group.len(), n + 1);
        }
        group.detach_all();
        assert!(group.is_empty() && group.join_next().await.is_none());
        for round in 0..2 {
            for n in 0..10 {
                group.spawn(async move {
                    gmprt::time::sleep(std::time::Duration::from_micros(100 * (10 - n as u64))).await;
                    n
                });
            }
            let mut seen = [false; 10];
            while let Some(result) = group.join_next().await {
                seen[result.unwrap()] = true;
            }
            assert!(seen.iter().all(|&seen| seen), "round {round}");
        }
    });
}

/// tokio: `test_abort_on_drop`, `spawn_then_drop`.
#[test]
fn dropping_the_group_aborts_its_tasks() {
    on_ps(|| async {
        let group = Group::<()>::new();
        let drops = spawn_pending(&group, 16);
        drop(group);
        until_in_task(|| drops.get() == 16).await;
    });
}

/// tokio: `alternating`.
#[test]
fn spawns_and_joins_alternate() {
    on_ps(|| async {
        let mut group = Group::new();
        group.spawn(async {});
        group.spawn(async {});
        for _ in 0..16 {
            group.join_next().await.unwrap().unwrap();
            assert_eq!(group.len(), 1);
            group.spawn(async {});
            assert_eq!(group.len(), 2);
        }
    });
}

/// tokio: `abort_tasks`.
#[test]
fn a_task_that_is_aborted_by_hand_does_not_fail_the_group() {
    on_ps(|| async {
        let mut group = Group::new();
        let go = Signal::default();
        for n in 0..16 {
            let go = go.clone();
            let task = group.spawn(async move {
                go.wait().await;
                n
            });
            if n % 2 != 0 {
                task.abort();
                task.abort();
            }
        }
        go.set();
        let results = group.join_all().await;
        let (done, aborted): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert!(done.into_iter().all(|result| result.unwrap() % 2 == 0));
        assert_eq!(aborted.len(), 8);
        assert!(aborted.into_iter().all(|result| result.unwrap_err().is_cancelled()));
        group.spawn(async { 1 });
        assert_eq!(group.join_next().await.unwrap().unwrap(), 1);
    });
}

/// tokio: `runtime_gone`.
#[test]
fn tasks_of_a_runtime_that_has_ended_are_cancelled() {
    let _watchdog = watch();
    let mut group = Group::<()>::new();
    let rt = runtime(1);
    rt.block_on(async { drop(spawn_pending(&group, 3)) });
    drop(rt);
    let next = runtime(1).block_on(group.join_next());
    assert!(next.unwrap().unwrap_err().is_cancelled());
    drop(group);
}

/// tokio: `join_all`, `task_panics`. There the panic goes on; here it is one of the results, and fails the group.
#[test]
fn a_panic_is_a_failure_and_its_own_result_is_delivered() {
    on_ps(|| async {
        let mut group = Group::<()>::new();
        let drops = spawn_pending(&group, 5);
        group.spawn(async { panic!("on purpose") });
        let results = group.join_all().await;
        assert_eq!(drops.get(), 5, "a future is dropped before its result is given");
        let (panics, aborted): (Vec<_>, Vec<_>) =
            results.into_iter().map(Result::unwrap_err).partition(|error| error.is_panic());
        assert_eq!((panics.len(), aborted.len()), (1, 5));
        assert!(panics[0].to_string().ends_with("on purpose"));
    });
}

/// tokio: `abort_all`.
#[test]
fn abort_all_leaves_results_that_are_there() {
    on_ps(|| async {
        let mut group = Group::<()>::new();
        for _ in 0..5 {
            group.spawn(async {});
        }
        until_in_task(|| format!("{group:?}") == "Group { running: 0, ended: 5, failed: false }").await;
        spawn_pending(&group, 5);
        group.abort_all();
        assert_eq!(group.len(), 10);
        let results = group.join_all().await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 5);
        assert_eq!((results.len(), group.len()), (10, 0));
    });
}

/// tokio: `try_join_next`.
#[test]
fn try_join_next_takes_what_is_there() {
    on_ps(|| async {
        let mut group = Group::new();
        let go = Signal::default();
        for _ in 0..100 {
            let go = go.clone();
            group.spawn(async move { go.wait().await });
        }
        assert!(group.try_join_next().is_none());
        go.set();
        let mut count = 0;
        while count < 100 {
            match group.try_join_next() {
                Some(result) => {
                    result.unwrap();
                    count += 1;
                }
                None => gmprt::yield_now().await,
            }
        }
        assert!(group.try_join_next().is_none() && group.is_empty());
    });
}

/// tokio: `spawn_then_shutdown`.
#[test]
fn shutdown_waits_until_all_futures_are_dropped() {
    on_ps(|| async {
        let (mut group, ctx) = Group::<()>::with_context(&context::background());
        let drops = spawn_pending(&group, 8);
        group.shutdown().await;
        assert_eq!((drops.get(), group.len()), (8, 0));
        assert_eq!(ctx.err(), Some(ContextError::Canceled));
    });
}

/// errgroup: `TestZeroGroup`. There a group goes on after a failure; here later tasks are cancelled.
#[test]
fn the_first_failure_is_the_result_of_wait() {
    on_ps(|| async {
        for errors in [vec![], vec![None], vec![Some(1)], vec![Some(1), None], vec![Some(1), None, Some(2)]] {
            let mut group = Group::<Result<(), i32>>::new();
            let mut failed = false;
            for error in errors {
                group.spawn(ready(error.map_or(Ok(()), Err)));
                match group.wait().await {
                    Ok(values) => assert!(!failed && error.is_none() && values == [()]),
                    Err(GroupError::Failed(1)) => assert!(!failed && error == Some(1)),
                    Err(GroupError::Cancelled(_)) => assert!(failed),
                    other => panic!("{other:?}"),
                }
                failed |= error.is_some();
            }
            if !failed {
                assert!(group.wait().await.unwrap().is_empty());
            }
        }
    });
}

/// errgroup: `TestWithContext`, `TestCancelCause`.
#[test]
fn the_context_is_cancelled_by_a_failure_or_when_all_is_over() {
    on_ps(|| async {
        for (errors, cause) in [
            (vec![], "context canceled"),
            (vec![None], "context canceled"),
            (vec![Some("doomed")], "a task of the group failed"),
            (vec![Some("doomed"), None], "a task of the group failed"),
        ] {
            let (above, _keep) = context::with_cancel(&context::background());
            let (mut group, ctx) = Group::<Result<(), &str>>::with_context(&above);
            let fails = errors.iter().any(Option::is_some);
            for error in errors {
                group.spawn(ready(error.map_or(Ok(()), Err)));
            }
            let failed = match group.wait().await {
                Ok(_) => false,
                Err(GroupError::Failed("doomed")) => true,
                Err(other) => panic!("{other}"),
            };
            assert_eq!(failed, fails);
            assert_eq!(ctx.err(), Some(ContextError::Canceled));
            assert_eq!(ctx.cause().unwrap().to_string(), cause);
            assert_eq!(above.err(), None);
        }
        let (mut group, ctx) = Group::<()>::with_context(&context::background());
        group.spawn(async { panic!("on purpose") });
        ctx.done().await;
        assert!(ctx.cause().unwrap().to_string().ends_with("panicked: on purpose"));
        assert!(group.join_next().await.unwrap().unwrap_err().is_panic());
        let (group, ctx) = Group::<()>::with_context(&context::background());
        drop(group);
        assert_eq!(ctx.err(), Some(ContextError::Canceled));
    });
}

/// errgroup: `TestGoLimit`.
#[test]
fn no_more_than_the_limit_run_at_once() {
    on_ps(|| async {
        const LIMIT: usize = 10;
        let mut group = Group::new();
        group.set_limit(LIMIT);
        let active = Arc::new(AtomicUsize::new(0));
        for _ in 0..1024 {
            let active = Arc::clone(&active);
            group.spawn(async move {
                let n = active.fetch_add(1, Relaxed) + 1;
                gmprt::yield_now().await;
                active.fetch_sub(1, Relaxed);
                if n <= LIMIT { Ok(n) } else { Err(n) }
            });
        }
        let most = group.wait().await.unwrap().into_iter().max().unwrap();
        assert!(most > 1, "they do run at once");
    });
}

/// errgroup: `TestTryGo`, the limits 1 and 0, and `SetLimit` while tasks are active.
#[test]
fn a_limit_can_be_changed_between_tasks_only() {
    on_ps(|| async {
        let mut group = Group::<()>::new();
        group.set_limit(1);
        let stuck = group.spawn(pending());
        let polled = Count::default();
        let count = polled.clone();
        group.spawn(async move { count.add() });
        let payload = catch_unwind(AssertUnwindSafe(|| group.set_limit(2))).unwrap_err();
        assert_eq!(
            payload.downcast_ref::<String>().unwrap(),
            "errgroup: modify limit while 2 goroutines in the group are still active"
        );
        stuck.abort();
        assert_eq!(group.join_all().await.len(), 2);
        assert_eq!(polled.get(), 1);
        group.set_limit(0);
        let count = polled.clone();
        group.spawn(async move { count.add() });
        for _ in 0..10 {
            gmprt::yield_now().await;
        }
        group.abort_all();
        assert!(group.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert_eq!(polled.get(), 1);
    });
}

#[test]
fn tasks_get_their_turns_in_the_order_of_the_spawns() {
    on_ps(|| async {
        let mut group = Group::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        group.set_limit(1);
        for n in 0..100 {
            let order = Arc::clone(&order);
            group.spawn(async move {
                order.lock().unwrap().push(n);
                gmprt::yield_now().await;
            });
        }
        assert_eq!(group.join_all().await.len(), 100);
        assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn a_failure_aborts_the_rest_and_those_that_wait_for_their_turn() {
    on_ps(|| async {
        let mut group = Group::<Result<(), u8>>::new();
        group.set_limit(2);
        let go = Signal::default();
        let waits = go.clone();
        group.spawn(async move {
            waits.wait().await;
            Err(7)
        });
        let drops = spawn_pending(&group, 20);
        until_in_task(|| group.len() == 21).await;
        go.set();
        let first = group.join_next().await.unwrap();
        assert!(matches!(first, Ok(Err(7))) || first.unwrap_err().is_cancelled());
        let rest = group.join_all().await;
        assert_eq!((drops.get(), rest.len()), (20, 20));
        assert!(rest.into_iter().all(|result| match result {
            Ok(output) => output == Err(7),
            Err(error) => error.is_cancelled(),
        }));
    });
}

#[test]
fn a_task_that_is_spawned_after_a_failure_is_never_polled() {
    on_ps(|| async {
        let mut group = Group::new();
        group.spawn(async { Err(1) });
        assert_eq!(group.join_next().await.unwrap().unwrap(), Err(1));
        let (polled, drops) = (Count::default(), Count::default());
        for _ in 0..100 {
            let (polled, guard) = (polled.clone(), drops.on_drop());
            group.spawn(async move {
                let _guard = guard;
                polled.add();
                Ok::<(), _>(())
            });
        }
        let results = group.join_all().await;
        assert!(results.into_iter().all(|result| result.unwrap_err().is_cancelled()));
        assert_eq!((polled.get(), drops.get()), (0, 100));
    });
}

#[test]
fn wait_gives_the_values_in_the_order_of_the_spawns() {
    on_ps(|| async {
        let mut group = Group::<Result<usize, ()>>::new();
        let gates: Vec<_> = (0..10).map(|_| Signal::default()).collect();
        for (n, gate) in gates.iter().cloned().enumerate() {
            group.spawn(async move {
                gate.wait().await;
                Ok(n)
            });
        }
        for (n, gate) in gates.iter().rev().enumerate() {
            gate.set();
            until_in_task(|| format!("{group:?}").contains(&format!("ended: {}", n + 1))).await;
        }
        assert_eq!(group.wait().await.unwrap(), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn join_next_gives_results_in_the_order_in_which_the_tasks_ended() {
    on_ps(|| async {
        let mut group = Group::new();
        let gates: Vec<_> = (0..10).map(|_| Signal::default()).collect();
        for (n, gate) in gates.iter().cloned().enumerate() {
            group.spawn(async move {
                gate.wait().await;
                n
            });
        }
        for n in [3, 1, 4, 0, 5, 9, 2, 6, 8, 7] {
            gates[n].set();
            assert_eq!(group.join_next().await.unwrap().unwrap(), n);
        }
    });
}

#[test]
fn a_join_may_be_dropped_after_any_number_of_polls_and_loses_nothing() {
    on_ps(|| async {
        for polls in 0..4 {
            for ended_at in 0..4 {
                let mut group = Group::new();
                let (go, woken) = (Signal::default(), Count::default());
                let waits = go.clone();
                group.spawn(async move {
                    waits.wait().await;
                    7
                });
                let mut given = None;
                let mut join = Box::pin(group.join_next());
                for n in 0..polls {
                    if n == ended_at {
                        go.set();
                        // Woken, if it has been polled; else there is nothing to see but the result.
                        until_in_task(|| n == 0 || woken.get() == 1).await;
                    }
                    let waker = woken.waker();
                    let polled = join.as_mut().poll(&mut std::task::Context::from_waker(&waker));
                    if let Poll::Ready(result) = polled {
                        assert!(n >= ended_at);
                        given = result;
                        break;
                    }
                }
                drop(join);
                go.set();
                let result = match given {
                    Some(result) => result,
                    None => group.join_next().await.unwrap(),
                };
                assert_eq!(result.unwrap(), 7);
                assert!(group.is_empty());
            }
        }
    });
}

#[test]
fn a_dropped_join_all_has_taken_nothing() {
    on_ps(|| async {
        let mut group = Group::new();
        let stuck = group.spawn(pending());
        group.spawn(async { 1 });
        until_in_task(|| format!("{group:?}").contains("ended: 1")).await;
        assert!(poll_once(&mut Box::pin(group.join_all())).is_pending());
        assert_eq!(group.len(), 2);
        assert_eq!(group.join_next().await.unwrap().unwrap(), 1);
        stuck.abort();
        assert!(group.join_next().await.unwrap().is_err());
    });
}

#[test]
fn a_joiner_that_waits_for_all_is_woken_once() {
    on_ps(|| async {
        let mut group = Group::new();
        let go = Signal::default();
        for _ in 0..50 {
            let go = go.clone();
            group.spawn(async move { go.wait().await });
        }
        let woken = Count::default();
        let waker = woken.waker();
        let mut cx = std::task::Context::from_waker(&waker);
        let mut all = Box::pin(group.join_all());
        assert!(all.as_mut().poll(&mut cx).is_pending());
        go.set();
        // A poll whose P was taken is made to yield once, and woken for that.
        let mut yields = 0;
        let results = loop {
            until_in_task(|| woken.get() > yields).await;
            match all.as_mut().poll(&mut cx) {
                Poll::Ready(results) => break results,
                Poll::Pending => yields += 1,
            }
        };
        assert!(yields == 0 || revoking(), "it was woken");
        assert_eq!((results.len(), woken.get()), (50, 1 + yields));
    });
}

#[test]
fn detached_tasks_run_on_and_fail_alone() {
    on_ps(|| async {
        let mut group = Group::<Result<(), ()>>::new();
        let go = Signal::default();
        let (waits, ended) = (go.clone(), Count::default());
        let count = ended.clone();
        group.spawn(async move {
            waits.wait().await;
            count.add();
            Err(())
        });
        group.detach_all();
        group.spawn(async { Ok(()) });
        go.set();
        until_in_task(|| ended.get() == 1).await;
        assert!(group.wait().await.is_ok());
        drop(group);
    });
}

/// The abort meets a task in the middle of its poll.
#[test]
fn a_poll_in_progress_ends_before_the_task_is_aborted() {
    let _watchdog = watch();
    runtime(2).block_on(async {
        let mut group = Group::<Result<(), ()>>::new();
        let (entered, leave) = (Gate::default(), Gate::default());
        let (inside, left) = (entered.clone(), leave.clone());
        group.spawn(async move {
            inside.open();
            left.wait();
            gmprt::yield_now().await;
            Ok(())
        });
        entered.wait();
        let failing = group.spawn(async { Err(()) });
        let first = group.join_next().await.unwrap();
        assert_eq!(first.unwrap(), Err(()));
        leave.open();
        let second = group.join_next().await.unwrap().unwrap_err();
        assert!(second.is_cancelled() && second.id() != failing.id());
    });
}

#[test]
fn an_outcome_may_be_the_users_own_and_may_panic() {
    struct Exit(i32);
    impl Outcome for Exit {
        fn is_failure(&self) -> bool {
            assert!(self.0 >= 0, "on purpose");
            self.0 > 0
        }
    }
    on_ps(|| async {
        for code in [1, -1] {
            let mut group = Group::new();
            group.spawn(async { Exit(0) });
            assert_eq!(group.join_next().await.unwrap().unwrap().0, 0);
            let drops = spawn_pending(&group, 3);
            group.spawn(async move { Exit(code) });
            let given: Vec<_> = group.join_all().await.into_iter().filter_map(Result::ok).collect();
            assert_eq!((given.len(), given[0].0, drops.get()), (1, code, 3));
        }
    });
}

#[test]
fn outputs_and_futures_whose_drop_panics_or_reenters_harm_nobody() {
    struct Bomb(#[expect(dead_code, reason = "for its drop")] OnDrop<Box<dyn FnMut() + Send>>);
    impl Outcome for Bomb {}
    fn bomb(f: impl FnMut() + Send + 'static) -> Bomb {
        Bomb(OnDrop(Box::new(f)))
    }
    on_ps(|| async {
        // A future whose drop panics: that is the task's result, and a failure.
        let mut group = Group::<Bomb>::new();
        group.spawn(async {
            let _bad = OnDrop(|| panic!("on purpose"));
            pending().await
        });
        let drops = spawn_pending(&group, 3);
        gmprt::yield_now().await;
        group.abort_all();
        assert_eq!(group.join_all().await.len(), 4);
        assert_eq!(drops.get(), 3);
        // Outputs that spawn into the group, or panic, when the group drops them.
        let mut group = Group::<Bomb>::new();
        let (inner, count) = (Arc::new(Mutex::new(Group::<()>::new())), Count::default());
        let (used, counts) = (Arc::clone(&inner), count.clone());
        group.spawn(async move {
            bomb(move || {
                used.lock().unwrap().spawn(async {});
                counts.add();
            })
        });
        until_in_task(|| format!("{group:?}").contains("ended: 1")).await;
        group.detach_all();
        assert_eq!((count.get(), inner.lock().unwrap().len()), (1, 1));
        group.spawn(async { bomb(|| panic!("on purpose")) });
        until_in_task(|| format!("{group:?}").contains("ended: 1")).await;
        assert!(catch_unwind(AssertUnwindSafe(|| group.detach_all())).is_err());
        group.spawn(async { bomb(|| ()) });
        assert!(group.join_next().await.unwrap().is_ok());
    });
}

/// Polls until it is ready, in the poll in progress: it may have to yield once.
fn until_ready<F: Future + Unpin>(future: &mut F) {
    while poll_once(future).is_pending() {}
}

/// An output that counts its drop, and panics.
struct Bad(Count);

impl Outcome for Bad {}

impl Drop for Bad {
    fn drop(&mut self) {
        self.0.add();
        panic!("on purpose");
    }
}

#[test]
fn a_group_that_drops_bad_outputs_drops_each_and_cancels_its_context() {
    on_ps(|| async {
        for way in 0..3 {
            let (mut group, ctx) = Group::<Bad>::with_context(&context::background());
            let drops = Count::default();
            for _ in 0..3 {
                let drops = drops.clone();
                group.spawn(async { Bad(drops) });
            }
            until_in_task(|| format!("{group:?}").contains("ended: 3")).await;
            let panicked = catch_unwind(AssertUnwindSafe(|| match way {
                0 => drop(group),
                1 => group.detach_all(),
                _ => until_ready(&mut Box::pin(group.shutdown())),
            }));
            assert!(panicked.is_err());
            assert_eq!(drops.get(), 3);
            assert_eq!(ctx.err(), Some(ContextError::Canceled));
        }
    });
}

#[test]
fn a_join_that_panics_in_a_waker_of_the_context_has_taken_nothing() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("bad waker");
        }
    }
    let _watchdog = watch();
    let rt = runtime(1);
    let (mut group, ctx) = Group::with_context(&context::background());
    rt.block_on(async {
        group.spawn(async { 7 });
        until_in_task(|| format!("{group:?}").contains("ended: 1")).await;
    });
    // Outside of the runtime, so that nothing has to yield.
    let mut done = Box::pin(ctx.done());
    let waker = Waker::from(Arc::new(Panics));
    assert!(done.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(&mut Box::pin(group.join_all())))).is_err());
    assert_eq!(rt.block_on(group.join_next()).unwrap().unwrap(), 7);
}

#[test]
fn a_joiner_whose_waker_panics_does_not_stop_the_failure() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("bad waker");
        }
    }
    if revoking() {
        return; // a poll that is made to yield wakes its waker itself
    }
    on_ps(|| async {
        let (mut group, ctx) = Group::<Result<(), ()>>::with_context(&context::background());
        let drops = spawn_pending(&group, 3);
        let mut join = Box::pin(group.join_next());
        let waker = Waker::from(Arc::new(Panics));
        let polled = join.as_mut().poll(&mut std::task::Context::from_waker(&waker));
        assert!(polled.is_pending());
        drop(join);
        let mut all = Box::pin(group.join_all());
        assert!(all.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
        drop(all);
        group.spawn(async { Err(()) });
        ctx.done().await;
        assert!(matches!(group.wait().await, Err(GroupError::Failed(()))));
        assert_eq!(drops.get(), 3);
    });
}

/// Tasks of many groups end, fail, panic, spawn and are aborted at random; each task has one result.
#[test]
fn a_storm_of_groups_adds_up() {
    let _watchdog = watch();
    let mut rng = Rng::new();
    for procs in [1, 4] {
        let rt = runtime(procs);
        let rounds = if revoking() { 100 } else { sized(200, 2000) };
        let groups: Vec<_> = (0..4)
            .map(|_| {
                let mut rng = rng.fork();
                rt.spawn(async move {
                    for _ in 0..rounds {
                        let (mut group, ctx) =
                            Group::<Result<u64, u64>>::with_context(&context::background());
                        if rng.below(3) == 0 {
                            group.set_limit(1 + rng.below(4) as usize);
                        }
                        let drops = Count::default();
                        let fails = rng.below(3) == 0;
                        for n in 0..20 {
                            let (guard, ctx) = (drops.on_drop(), ctx.clone());
                            let (yields, errs, waits) =
                                (rng.below(4), fails && rng.below(10) == 0, rng.below(8) == 0);
                            let task = group.spawn(async move {
                                let _guard = guard;
                                for _ in 0..yields {
                                    gmprt::yield_now().await;
                                }
                                if errs {
                                    return Err(n);
                                }
                                if waits {
                                    let short = std::time::Duration::from_micros(50);
                                    context::with_timeout(&ctx, short).0.done().await;
                                }
                                Ok(n)
                            });
                            if rng.below(20) == 0 {
                                task.abort();
                            }
                        }
                        let (mut results, mut failed) = (0, false);
                        while let Some(result) = group.join_next().await {
                            results += 1;
                            failed |= matches!(result, Ok(Err(_)));
                        }
                        assert_eq!((results, drops.get()), (20, 20));
                        let cause = ctx.cause().unwrap().to_string();
                        assert_eq!(cause == "a task of the group failed", failed, "{cause}");
                    }
                })
            })
            .collect();
        rt.block_on(async {
            for group in groups {
                group.await.unwrap();
            }
        });
    }
}

#[test]
fn groups_cross_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    fn sent<T: Send>(_: &T) {}
    let mut group = Group::<Result<Vec<u8>, std::io::Error>>::new();
    shared(&group);
    sent(&group.join_next());
    sent(&group.wait());
    shared(&GroupError::Failed(()));
}
