//! What `time` promises: nothing is early, nothing is lost, and what is cancelled leaves nothing behind.
//!
//! A busy machine makes everything late, so no test here asks that something come soon: only that it come, and not
//! before its time.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Gate, child, is_child, runtime, sized, until, until_closing, until_in_task, watch};
use gmprt::time::{
    Elapsed, Sleep, Tick, Ticker, Timeout, Timer, after_func, interval, sleep, sleep_until, timeout,
    timeout_at,
};
use std::collections::{BTreeSet, VecDeque};
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Polls by hand, once.
fn poll_alone<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls by hand. Twice, if need be: on a busy machine the scheduler may want a poll to end, and wakes the waker.
fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    match poll_alone(future, waker) {
        Poll::Pending => poll_alone(future, waker),
        ready => ready,
    }
}

fn poll_now<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

/// Polls a future of the calling task, and leaves it.
async fn begin<F: Future + Unpin>(future: &mut F) {
    poll_fn(|cx| {
        let _ = poll_with(future, cx.waker());
        Poll::Ready(())
    })
    .await;
}

/// What `f` panics with.
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).err().expect("a panic");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().expect("a text").to_string(),
    }
}

// ---- sleep ----

#[test]
fn the_futures_are_what_a_program_may_count_on() {
    fn sent<T: Send + Sync + Unpin>() {}
    sent::<Sleep>();
    sent::<Ticker>();
    sent::<Tick<'_>>();
    sent::<Timer>();
    sent::<Timeout<Sleep>>();
    sent::<Elapsed>();
}

#[test]
fn a_sleep_is_never_over_early() {
    let _watch = watch();
    let rt = runtime(2);
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let d = Duration::from_micros(37 * n);
            rt.spawn(async move {
                let begun = Instant::now();
                sleep(d).await;
                assert!(begun.elapsed() >= d, "{d:?} took {:?}", begun.elapsed());
                let t = Instant::now() + d;
                sleep_until(t).await;
                assert!(Instant::now() >= t);
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
}

#[test]
fn a_time_that_is_over_is_ready_at_the_first_poll_anywhere() {
    let long_ago = Instant::now();
    let mut past = sleep_until(long_ago);
    assert!(past.is_elapsed());
    assert_eq!(past.deadline(), Some(long_ago));
    assert!(poll_now(&mut past).is_ready());
    assert!(poll_now(&mut past).is_ready(), "and remains so");
    assert!(poll_now(&mut sleep(Duration::ZERO)).is_ready());
}

#[test]
fn the_longest_duration_sleeps_beside_a_short_one() {
    let _watch = watch();
    let rt = runtime(1);
    let drops = Count::default();
    let guard = drops.on_drop();
    let forever = rt.spawn(async move {
        let _guard = guard;
        assert_eq!(sleep(Duration::MAX).deadline(), None);
        sleep(Duration::MAX).await;
    });
    let ages = rt.spawn(sleep(Duration::from_secs(u64::from(u32::MAX) * 60)));
    rt.block_on(async {
        for _ in 0..3 {
            sleep(MS).await;
        }
    });
    assert!(!forever.is_finished() && !ages.is_finished());
    assert!(!format!("{:?}", sleep(Duration::MAX)).is_empty());
    drop(rt);
    assert_eq!(drops.get(), 1, "a shutdown does not wait for it");
}

#[test]
fn equal_deadlines_are_over_in_the_order_of_their_first_polls() {
    struct Name(usize, Arc<Mutex<Vec<usize>>>);
    impl Wake for Name {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let _watch = watch();
    let rt = runtime(1);
    let log = Arc::new(Mutex::new(Vec::new()));
    rt.block_on(async {
        let t = Instant::now() + 20 * MS;
        let mut sleeps: Vec<_> = (0..50).map(|_| sleep_until(t)).collect();
        for (name, sleep) in sleeps.iter_mut().enumerate().rev() {
            let _ = poll_with(sleep, &Waker::from(Arc::new(Name(name, Arc::clone(&log)))));
        }
        log.lock().unwrap().clear(); // a poll that was to end has woken its waker
        let late = Instant::now() >= t; // on a busy machine, before all of them were polled
        sleep_until(t).await; // armed after all others
        if !late {
            assert!(log.lock().unwrap().iter().copied().eq((0..50).rev()), "{log:?}");
        }
    });
}

#[test]
fn a_dropped_sleep_drops_its_waker_at_once() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        let wakes = Arc::new(Count::default());
        let mut sleeps: Vec<_> = (0..3).map(|_| sleep(HOUR)).collect();
        for sleep in &mut sleeps {
            assert!(poll_with(sleep, &Waker::from(Arc::clone(&wakes))).is_pending());
        }
        assert_eq!(Arc::strong_count(&wakes), 4);
        drop(sleeps.remove(1));
        assert_eq!(Arc::strong_count(&wakes), 3);
        drop(sleeps);
        assert_eq!(Arc::strong_count(&wakes), 1);
    });
}

#[test]
fn only_the_waker_of_the_last_poll_is_woken() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        let (first, second) = (Arc::new(Count::default()), Count::default());
        let t = Instant::now() + 20 * MS;
        let mut sleep = sleep_until(t);
        let late = poll_with(&mut sleep, &Waker::from(Arc::clone(&first))).is_ready();
        let late = late || poll_with(&mut sleep, &second.waker()).is_ready();
        let before = (first.get(), second.get());
        if !late {
            assert_eq!(Arc::strong_count(&first), 1, "the old waker is gone");
            until_in_task(|| second.get() > before.1).await;
            assert_eq!(first.get(), before.0);
        }
        sleep.await;
        assert!(Instant::now() >= t);
    });
}

#[test]
fn a_sleep_goes_on_in_another_task_and_in_another_runtime() {
    let _watch = watch();
    let (one, two) = (runtime(2), runtime(1));
    let t = Instant::now() + 10 * MS;
    let mut asleep = sleep_until(t);
    one.block_on(begin(&mut asleep));
    let asleep = one.block_on(one.spawn(async move {
        begin(&mut asleep).await;
        (asleep,)
    }));
    two.block_on(two.spawn(asleep.unwrap().0)).unwrap();
    assert!(Instant::now() >= t);
}

#[test]
fn a_foreign_thread_sleeps_by_a_handle() {
    let _watch = watch();
    let rt = runtime(1);
    thread::scope(|scope| {
        for n in 1..=4 {
            let handle = rt.handle();
            scope.spawn(move || {
                let begun = Instant::now();
                handle.block_on(sleep(n * MS));
                assert!(begun.elapsed() >= n * MS);
            });
        }
    });
}

#[test]
fn reset_holds_for_whoever_awaits_the_sleep() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        // Later than it was.
        let mut asleep = sleep(MS);
        let _ = poll_now(&mut asleep);
        let t = Instant::now() + 5 * MS;
        asleep.reset(t);
        (&mut asleep).await;
        assert!(Instant::now() >= t);
        // After it was over.
        let t = Instant::now() + 2 * MS;
        asleep.reset(t);
        (&mut asleep).await;
        assert!(Instant::now() >= t);
        // Earlier than it was, while a task waits.
        asleep.reset(Instant::now() + HOUR);
        let shared = Arc::new(Mutex::new(asleep));
        let (inner, polled) = (Arc::clone(&shared), Gate::default());
        let begun = polled.clone();
        let waits = gmprt::spawn(poll_fn(move |cx| {
            let poll = Pin::new(&mut *inner.lock().unwrap()).poll(cx);
            begun.open();
            poll
        }));
        until_in_task(|| polled.is_open()).await;
        let t = Instant::now() + MS;
        shared.lock().unwrap().reset(t);
        waits.await.unwrap();
        assert!(Instant::now() >= t);
    });
}

#[test]
fn a_sleep_without_a_runtime_says_so() {
    let text = panic_of(|| poll_now(&mut sleep(HOUR)));
    assert_eq!(text, "sleep: there is no gmprt runtime here: not in a task, and not in a block_on");
    let text = panic_of(|| poll_now(&mut timeout(HOUR, pending::<()>())));
    assert!(text.starts_with("timeout: there is no gmprt runtime here"), "{text}");
    let text = panic_of(|| poll_now(&mut interval(HOUR).tick()));
    assert!(text.starts_with("tick: there is no gmprt runtime here"), "{text}");
    let text = panic_of(|| after_func(HOUR, || ()));
    assert!(text.starts_with("after_func: there is no gmprt runtime here"), "{text}");
}

#[test]
fn a_shutdown_wakes_who_sleeps_elsewhere_and_the_next_poll_says_why() {
    let _watch = watch();
    let rt = runtime(1);
    let wakes = Count::default();
    let (mut asleep, mut over) = (sleep(HOUR), sleep(MS));
    rt.block_on(async {
        assert!(poll_with(&mut asleep, &wakes.waker()).is_pending());
        let _ = poll_now(&mut over);
    });
    drop(rt);
    until(|| wakes.get() > 0);
    let text = panic_of(|| poll_now(&mut asleep));
    assert_eq!(text, "sleep: the runtime whose timer this is has shut down");
    until(|| over.is_elapsed());
    assert!(poll_now(&mut over).is_ready(), "what is over is over");
}

#[test]
fn a_poll_that_outlasts_the_shutdown_may_begin_to_sleep_and_is_cancelled() {
    let _watch = watch();
    let rt = runtime(2);
    let (entered, gate) = (Gate::default(), Gate::default());
    let (begun, inner) = (entered.clone(), gate.clone());
    let task = rt.spawn(async move {
        let (mut before, ticker) = (sleep(HOUR), interval(HOUR));
        let mut tick = ticker.tick();
        begin(&mut before).await;
        begin(&mut tick).await;
        begun.open();
        inner.wait();
        begin(&mut before).await;
        begin(&mut tick).await;
        drop(after_func(HOUR, || unreachable!("the runtime has ended")));
        timeout(HOUR, sleep(HOUR)).await
    });
    entered.wait();
    let handle = rt.handle();
    let ending = thread::spawn(|| drop(rt));
    until_closing(&handle);
    // What is set just before the timers are closed is woken then, and finds out.
    let text = panic_of(|| handle.block_on(sleep(HOUR)));
    assert!(text.ends_with("has shut down"), "{text}");
    gate.open();
    ending.join().unwrap();
    let mut task = task;
    let Poll::Ready(Err(error)) = poll_now(&mut task) else { panic!("the runtime has ended") };
    assert!(error.is_cancelled(), "{error}");
}

#[test]
fn ten_thousand_sleepers_all_wake() {
    let _watch = watch();
    for procs in [1, 4] {
        let rt = runtime(procs);
        let woken = Count::default();
        let tasks: Vec<_> = (0..10_000u64)
            .map(|n| {
                let woken = woken.clone();
                rt.spawn(async move {
                    sleep(Duration::from_micros(n * 7919 % 20_000)).await;
                    woken.add();
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        assert_eq!(woken.get(), 10_000);
    }
}

#[test]
fn two_sleeps_under_one_poll_end_at_the_first() {
    let _watch = watch();
    let rt = runtime(2);
    let task = rt.spawn(async {
        for _ in 0..20 {
            let begun = Instant::now();
            let (mut short, mut long) = (sleep(MS), sleep(HOUR));
            let which = poll_fn(|cx| match (Pin::new(&mut long).poll(cx), Pin::new(&mut short).poll(cx)) {
                (Poll::Ready(()), _) => Poll::Ready("long"),
                (_, Poll::Ready(())) => Poll::Ready("short"),
                _ => Poll::Pending,
            });
            assert_eq!(which.await, "short");
            assert!(begun.elapsed() >= MS);
        }
    });
    rt.block_on(task).unwrap();
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn cancelled_timeouts_of_an_hour_run_in_bounded_memory() {
    const NAME: &str = "cancelled_timeouts_of_an_hour_run_in_bounded_memory";
    let _watch = watch();
    if !is_child(NAME) {
        assert!(child(NAME).status().unwrap().success()); // alone, so that the memory is this test's
        return;
    }
    let rounds =
        if std::env::var_os("GMPRT_LONG").is_some() { sized(1_000_000, 10_000_000) } else { 1_000_000 };
    let rt = runtime(2);
    let task = rt.spawn(async move {
        let mut standing = VecDeque::new();
        let mut before = 0;
        for round in 0..rounds {
            let mut timeout = timeout(HOUR, pending::<()>());
            begin(&mut timeout).await;
            standing.push_back(timeout);
            if standing.len() > 100 {
                standing.swap_remove_back(round % 100);
            }
            if round == 10_000 {
                before = resident();
            }
        }
        resident().saturating_sub(before)
    });
    let grown = rt.block_on(task).unwrap();
    assert!(grown < 8 << 20, "{grown} bytes more than after the first 10 000");
}

// ---- timeout ----

#[test]
fn a_timeout_polls_its_future_first_even_at_zero() {
    let rt = runtime(1);
    let now = Instant::now();
    rt.block_on(async {
        assert_eq!(timeout(Duration::ZERO, ready(7)).await, Ok(7));
        assert_eq!(timeout_at(now, ready("late but ready")).await, Ok("late but ready"));
        let late = timeout(Duration::ZERO, pending::<()>()).await.unwrap_err();
        assert_eq!(late.to_string(), "the deadline has elapsed");
        let source: Box<dyn std::error::Error + Send + Sync> = Box::new(late);
        assert_eq!(source.downcast_ref::<Elapsed>(), Some(&late));
    });
    assert_eq!(poll_now(&mut timeout(Duration::ZERO, ready(1))), Poll::Ready(Ok(1)), "anywhere");
}

#[test]
fn a_timeout_passes_the_output_on_or_drops_the_future_when_its_time_is_up() {
    let _watch = watch();
    let rt = runtime(2);
    let task = rt.spawn(async {
        let in_time = timeout(Duration::MAX, async {
            sleep(MS).await;
            String::from("in time")
        });
        assert_eq!(in_time.await.unwrap(), "in time");
        let drops = Count::default();
        let guard = drops.on_drop();
        let begun = Instant::now();
        let late = timeout(2 * MS, async move {
            let _guard = guard;
            pending::<()>().await;
        });
        assert!(late.await.is_err());
        assert!(begun.elapsed() >= 2 * MS);
        assert_eq!(drops.get(), 1, "with the await");
    });
    rt.block_on(task).unwrap();
}

#[test]
fn the_time_of_a_timeout_runs_from_the_call() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        let mut early = timeout(2 * MS, pending::<()>());
        sleep(3 * MS).await;
        assert!(poll_with(&mut early, Waker::noop()).is_ready());
    });
}

#[test]
fn a_timeout_that_is_dropped_or_in_time_leaves_no_waker_behind() {
    let rt = runtime(1);
    rt.block_on(async {
        let wakes = Arc::new(Count::default());
        let done = Gate::default();
        let inner = poll_fn(|_| if done.is_open() { Poll::Ready(()) } else { Poll::Pending });
        let mut in_time = timeout(HOUR, inner);
        assert!(poll_with(&mut in_time, &Waker::from(Arc::clone(&wakes))).is_pending());
        assert_eq!(Arc::strong_count(&wakes), 2);
        done.open();
        assert_eq!(poll_now(&mut in_time), Poll::Ready(Ok(())));
        drop(in_time);
        let mut dropped = timeout(HOUR, pending::<()>());
        assert!(poll_with(&mut dropped, &Waker::from(Arc::clone(&wakes))).is_pending());
        drop(dropped);
        assert_eq!(Arc::strong_count(&wakes), 1);
    });
}

#[test]
fn a_timeout_is_armed_though_a_sibling_was_made_to_yield() {
    async fn one_round() {
        let spins = Instant::now();
        while spins.elapsed() < 25 * MS {} // by now the slice is over
        let (mut sibling, wakes) = (sleep(HOUR), Count::default());
        let mut late = timeout(2 * MS, pending::<()>());
        // Each with a waker of its own, as combinators do.
        assert!(poll_alone(&mut sibling, Waker::noop()).is_pending());
        if poll_alone(&mut late, &wakes.waker()).is_pending() {
            until_in_task(|| wakes.get() > 0).await;
        }
        assert!(late.await.is_err());
    }
    let _watch = watch();
    let rt = runtime(1);
    let task = rt.spawn(async {
        for _ in 0..4 {
            one_round().await;
        }
    });
    rt.block_on(task).unwrap();
    rt.block_on(async {
        for _ in 0..4 {
            one_round().await;
        }
    });
}

#[test]
fn timeouts_nest_and_the_shorter_one_wins() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        let inner = timeout(HOUR, pending::<()>());
        assert!(timeout(MS, inner).await.is_err(), "the outer one");
        let inner = timeout(MS, pending::<()>());
        assert!(timeout(HOUR, inner).await.unwrap().is_err(), "the inner one");
    });
}

// ---- ticker ----

#[test]
fn ticks_come_at_multiples_of_the_period_and_not_early() {
    let _watch = watch();
    let rt = runtime(2);
    let task = rt.spawn(async {
        let begun = Instant::now();
        let ticker = interval(2 * MS);
        let created = Instant::now();
        let first = ticker.tick().await;
        assert!(begun + 2 * MS <= first && first <= created + 2 * MS);
        let mut last = first;
        for _ in 0..10 {
            let tick = ticker.tick().await;
            assert!(tick > last && tick <= Instant::now());
            assert_eq!((tick - first).as_nanos() % (2 * MS).as_nanos(), 0);
            last = tick;
        }
    });
    rt.block_on(task).unwrap();
}

#[test]
fn who_comes_late_gets_the_oldest_missed_tick_and_then_one_that_is_to_come() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        let period = 2 * MS;
        let ticker = interval(period);
        let created = Instant::now();
        sleep_until(created + 5 * period).await;
        let Poll::Ready(first) = poll_now(&mut ticker.tick()) else { panic!("at once") };
        assert!(first <= created + period, "the oldest");
        let taken = Instant::now();
        let second = ticker.tick().await;
        assert!(second > created + 5 * period, "those between are dropped");
        assert_eq!((second - first).as_nanos() % period.as_nanos(), 0);
        assert!(second <= taken + period, "the next one that was to come");
    });
}

#[test]
fn a_ticker_must_have_a_period() {
    assert_eq!(panic_of(|| interval(Duration::ZERO)), "non-positive interval for NewTicker");
    let ticker = interval(Duration::MAX);
    assert_eq!(panic_of(|| ticker.reset(Duration::ZERO)), "non-positive interval for Ticker.Reset");
    let rt = runtime(1);
    rt.block_on(async { assert!(poll_now(&mut ticker.tick()).is_pending()) });
    assert!(!format!("{ticker:?} {:?}", ticker.tick()).is_empty());
}

#[test]
fn no_stale_tick_comes_after_a_stop_or_a_reset() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        let ticker = interval(MS);
        sleep_until(Instant::now() + 2 * MS).await;
        ticker.stop();
        assert!(poll_now(&mut ticker.tick()).is_pending(), "the missed one is dropped");
        let reset = Instant::now();
        ticker.reset(MS);
        assert!(ticker.tick().await >= reset + MS, "a stopped one goes on after a reset");
        sleep_until(Instant::now() + 2 * MS).await;
        ticker.reset(HOUR);
        assert!(poll_now(&mut ticker.tick()).is_pending());
    });
}

#[test]
fn a_reset_reaches_ticks_that_are_awaited() {
    let _watch = watch();
    for stopped in [false, true] {
        let rt = runtime(2);
        let ticker = Arc::new(interval(HOUR));
        if stopped {
            ticker.stop();
        }
        let waits = {
            let ticker = Arc::clone(&ticker);
            rt.spawn(async move {
                let mut tick = ticker.tick();
                begin(&mut tick).await;
                tick.await
            })
        };
        let reset = Instant::now();
        ticker.reset(2 * MS);
        assert!(rt.block_on(waits).unwrap() >= reset + 2 * MS);
    }
}

#[test]
fn a_stop_reaches_ticks_that_are_awaited() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        let (ticker, wakes) = (interval(20 * MS), Count::default());
        let mut tick = ticker.tick();
        if poll_with(&mut tick, &wakes.waker()).is_pending() {
            ticker.stop();
            sleep_until(Instant::now() + 40 * MS).await;
            assert!(poll_with(&mut tick, &wakes.waker()).is_pending());
        }
    });
}

#[test]
fn a_dropped_wait_takes_no_tick_with_it_and_passes_its_place_on() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        let ticker = interval(20 * MS);
        let due = Instant::now() + 20 * MS;
        let wakes: Vec<_> = (0..3).map(|_| Arc::new(Count::default())).collect();
        let mut ticks: Vec<_> = (0..3).map(|_| ticker.tick()).collect();
        for (tick, wakes) in ticks.iter_mut().zip(&wakes) {
            if poll_with(tick, &Waker::from(Arc::clone(wakes))).is_ready() {
                return; // a very busy machine
            }
        }
        sleep_until(due).await;
        until_in_task(|| wakes[0].get() > 0).await; // the first one's tick is there; it is dropped instead
        let before = (wakes[1].get(), wakes[2].get());
        drop(ticks.remove(0));
        assert_eq!(Arc::strong_count(&wakes[0]), 1);
        let after = (wakes[1].get(), wakes[2].get());
        assert_eq!(after, (before.0 + 1, before.1), "the next one is woken");
        assert!(poll_now(&mut ticks[1]).is_pending(), "the last one waits for its turn");
        assert!(poll_now(&mut ticker.tick()).is_pending(), "and so does who comes now");
        let Poll::Ready(tick) = poll_now(&mut ticks[0]) else { panic!("its tick is there") };
        assert!(tick <= due);
        drop(ticks);
        assert!(wakes.iter().all(|wakes| Arc::strong_count(wakes) == 1), "no waker is left");
    });
}

#[test]
fn each_tick_goes_to_one_of_those_who_wait_and_nobody_starves() {
    let _watch = watch();
    for procs in [1, 4] {
        let rt = runtime(procs);
        let (ticker, seen) =
            (Arc::new(interval(Duration::from_micros(300))), Arc::new(Mutex::new(BTreeSet::new())));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (ticker, seen) = (Arc::clone(&ticker), Arc::clone(&seen));
                rt.spawn(async move {
                    for _ in 0..20 {
                        let tick = ticker.tick().await;
                        assert!(tick <= Instant::now());
                        assert!(seen.lock().unwrap().insert(tick), "a tick was given twice");
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
        assert_eq!(seen.lock().unwrap().len(), 60);
    }
}

#[test]
fn ticks_are_cancelled_reset_and_stopped_from_all_sides_and_still_come() {
    let _watch = watch();
    let rt = runtime(4);
    let ticker = Arc::new(interval(Duration::from_micros(50)));
    let tasks: Vec<_> = (0..4u32)
        .map(|n| {
            let ticker = Arc::clone(&ticker);
            rt.spawn(async move {
                for round in 0..300u64 {
                    let _ = timeout(Duration::from_micros(round % 7 * 20), ticker.tick()).await;
                    match round % 10 {
                        3 => ticker.reset(Duration::from_micros(20 + u64::from(n))),
                        7 => ticker.stop(),
                        _ => {}
                    }
                }
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
    ticker.reset(MS);
    rt.block_on(ticker.tick());
}

// ---- after_func ----

#[test]
fn a_function_is_called_once_in_a_task_of_its_own_and_not_early() {
    let _watch = watch();
    let rt = runtime(2);
    let task = rt.spawn(async {
        let (tx, rx) = gmprt::chan::bounded(8);
        let begun = Instant::now();
        let timer = after_func(2 * MS, move || {
            tx.try_send((gmprt::task::id(), Instant::now())).unwrap();
        });
        let (id, called) = rx.recv().await.unwrap();
        assert!(called >= begun + 2 * MS);
        assert!(id.is_some() && id != gmprt::task::id());
        rx.recv().await.unwrap_err(); // the function is gone, and with it the sender
        assert!(!timer.stop(), "it was called");
        assert!(!timer.reset(MS), "and is not called again");
        assert!(!format!("{timer:?}").is_empty());
    });
    rt.block_on(task).unwrap();
}

#[test]
fn a_stopped_function_is_not_called_and_is_dropped_with_its_timer() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        let (calls, drops) = (Count::default(), Count::default());
        let (inner, guard) = (calls.clone(), drops.on_drop());
        let timer = after_func(20 * MS, move || {
            let _guard = guard;
            inner.add();
        });
        let stopped = timer.stop();
        assert!(!timer.stop(), "only once");
        sleep(40 * MS).await;
        if stopped {
            assert_eq!((calls.get(), drops.get()), (0, 0), "a reset could still call it");
        }
        drop(timer);
        until_in_task(|| drops.get() == 1).await;
    });
}

#[test]
fn a_dropped_timer_does_not_stop_its_function() {
    let _watch = watch();
    let rt = runtime(1);
    let calls = Count::default();
    let inner = calls.clone();
    rt.block_on(async { drop(after_func(MS, move || inner.add())) });
    rt.block_on(until_in_task(|| calls.get() == 1));
}

#[test]
fn reset_puts_a_function_off_brings_it_forward_and_revives_a_stopped_one() {
    let _watch = watch();
    let rt = runtime(2);
    let armed = |d| {
        let (tx, rx) = gmprt::chan::bounded(1);
        let timer = rt.block_on(async { after_func(d, move || tx.try_send(Instant::now()).unwrap()) });
        (timer, rx)
    };
    let (put_off, called) = armed(20 * MS);
    let begun = Instant::now();
    if put_off.reset(40 * MS) {
        assert!(rt.block_on(called.recv()).unwrap() >= begun + 40 * MS);
    }
    // From a thread that is in no runtime.
    let (forward, called) = armed(HOUR);
    let begun = Instant::now();
    assert!(forward.reset(MS));
    assert!(rt.block_on(called.recv()).unwrap() >= begun + MS);

    let (revived, called) = armed(HOUR);
    assert!(revived.stop());
    let begun = Instant::now();
    assert!(!revived.reset(MS), "it was not active");
    assert!(rt.block_on(called.recv()).unwrap() >= begun + MS);
    assert!(!revived.stop());
}

#[test]
fn a_runtime_that_ends_drops_the_functions_that_it_has_not_called() {
    let _watch = watch();
    let rt = runtime(2);
    let (calls, drops) = (Count::default(), Count::default());
    let timers: Vec<_> = (0..10)
        .map(|_| {
            let (inner, guard, handle) = (calls.clone(), drops.on_drop(), rt.handle());
            let f = move || {
                let _held = (guard, handle); // a handle in it makes no circle that lives on
                inner.add();
            };
            rt.block_on(async { after_func(HOUR, f) })
        })
        .collect();
    drop(rt);
    assert_eq!((calls.get(), drops.get()), (0, 10), "though their timers are here");
    for timer in timers {
        assert!(!timer.stop());
        assert!(!timer.reset(Duration::ZERO));
    }
    assert_eq!((calls.get(), drops.get()), (0, 10));
}

#[test]
fn a_function_that_panics_ends_its_task_and_nothing_else() {
    let _watch = watch();
    let rt = runtime(1);
    let drops = Count::default();
    let guard = drops.on_drop();
    rt.block_on(async move {
        after_func(Duration::ZERO, move || {
            let _guard = guard;
            panic!("as it should: a function of after_func panics");
        });
    });
    until(|| drops.get() == 1);
    rt.block_on(sleep(MS));
}

#[test]
fn stops_resets_and_fires_at_the_same_time_call_each_function_once_at_most() {
    let _watch = watch();
    let rt = runtime(2);
    let (calls, drops) = (Count::default(), Count::default());
    let rounds = sized(300, 2000);
    let mut stopped = 0;
    for round in 0..rounds {
        let (inner, guard) = (calls.clone(), drops.on_drop());
        let f = move || {
            let _guard = guard;
            inner.add();
        };
        let timer = rt.block_on(async { after_func(Duration::from_micros(round as u64 % 50), f) });
        thread::scope(|scope| {
            scope.spawn(|| timer.reset(Duration::from_micros(30)));
            scope.spawn(|| timer.reset(Duration::from_micros(60)));
            scope.spawn(|| timer.stop());
        });
        // It was called, or can still be armed, and then stopped.
        timer.reset(HOUR);
        stopped += usize::from(timer.stop());
    }
    rt.block_on(until_in_task(|| drops.get() == rounds));
    assert_eq!(calls.get() + stopped, rounds);
}

#[test]
fn a_pinned_future_of_any_kind_goes_into_a_timeout() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        let mut inner = pin!(async {
            sleep(2 * MS).await;
            3
        });
        while timeout(MS / 2, inner.as_mut()).await.is_err() {}
        let ticker = interval(MS);
        timeout(HOUR, ticker.tick()).await.unwrap();
    });
}

/// A poll that goes on: it set timers before, in tasks of the same P, and does not come to them.
#[test]
fn timers_of_a_p_in_a_long_poll_are_fired_by_another() {
    let _watch = watch();
    let rt = runtime(2);
    let over = Count::default();
    let (slept, begun) = (over.clone(), Count::default());
    let busy = rt.spawn(async move {
        let sleepers: Vec<_> = (0..50)
            .map(|_| {
                let (slept, begun) = (slept.clone(), begun.clone());
                gmprt::spawn(async move {
                    let mut sleep = sleep(20 * MS);
                    self::begin(&mut sleep).await;
                    begun.add();
                    sleep.await;
                    slept.add();
                })
            })
            .collect();
        until_in_task(|| begun.get() == 50).await;
        until(|| slept.get() == 50); // the thread: the poll goes on
        for sleeper in sleepers {
            sleeper.await.unwrap();
        }
    });
    rt.block_on(busy).unwrap();
    let fired: u64 = rt.metrics().processors.iter().map(|p| p.timers_fired).sum();
    assert!(fired >= 50, "{fired} timers fired");
    assert_eq!(over.get(), 50);
}

/// One P, and no M but the one that sits in the poll: its timers are fired because the P is taken from it.
#[test]
fn timers_behind_a_poll_that_blocks_are_fired() {
    let _watch = watch();
    let rt = runtime(1);
    let (gate, slept) = (Gate::default(), Count::default());
    let (opened, counted) = (gate.clone(), slept.clone());
    let sleeper = rt.spawn(async move {
        sleep(5 * MS).await;
        counted.add();
        opened.open();
    });
    let blocks = rt.spawn(async move { gate.wait() });
    rt.block_on(blocks).unwrap();
    rt.block_on(sleeper).unwrap();
    assert_eq!(slept.get(), 1);
}

/// What is set while nobody looks: every thread of the runtime sleeps, and the timer is a foreign thread's.
#[test]
fn a_timer_set_on_an_idle_runtime_wakes_it() {
    let _watch = watch();
    let rt = runtime(4);
    for round in 0..sized(20, 100) {
        until(|| rt.metrics().idle_processors == 4);
        if round % 4 == 0 {
            thread::sleep(30 * MS); // sleep: until sysmon sleeps without end
        }
        rt.block_on(sleep(MS / 4));
    }
}

/// Timers beside timers that are far away, cancelled or not, on all Ps, while Ms come and go.
#[test]
fn timers_of_all_kinds_on_all_ps_are_over_and_never_early() {
    let _watch = watch();
    let rt = runtime(4);
    let tasks: Vec<_> = (0..sized(200, 1000) as u32)
        .map(|n| {
            rt.spawn(async move {
                let far = sleep(HOUR);
                for round in 0..5 {
                    let time = Duration::from_micros(u64::from((n * 37 + round * 101) % 3000));
                    let begun = Instant::now();
                    match (n + round) % 3 {
                        0 => sleep(time).await,
                        1 => assert!(timeout(time, pending::<()>()).await.is_err()),
                        _ => drop(timeout(HOUR, sleep(time)).await),
                    }
                    assert!(begun.elapsed() >= time);
                }
                drop(far);
            })
        })
        .collect();
    tasks.into_iter().for_each(|task| rt.block_on(task).unwrap());
}

/// A leaf within was made to yield, its slice being over, and the wake went to its own waker, which is nobody's: the
/// timeout forgot to see to one.
#[test]
fn a_timeout_is_over_though_its_slice_ended_in_a_leaf_with_another_waker() {
    let _watch = watch();
    let rt = runtime(1);
    for blocking in [false, true] {
        let task = rt.spawn(async move {
            let (tx, rx) = gmprt::chan::bounded(1);
            tx.try_send(1).unwrap();
            let inner = async {
                let begun = Instant::now();
                while begun.elapsed() < 60 * MS {} // several slices, and sysmon says so
                if blocking {
                    assert_eq!(rx.recv_blocking(), Ok(1));
                } else {
                    let _ = pin!(rx.recv()).poll(&mut Context::from_waker(Waker::noop()));
                }
                pending::<()>().await;
            };
            timeout(100 * MS, inner).await
        });
        assert!(rt.block_on(task).unwrap().is_err());
    }
}
