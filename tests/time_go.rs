//! What Go's own tests of package `time` assert (`tick_test.go`, `sleep_test.go` of Go 1.27), in our words. Go's name stands
//! above each test.
//!
//! Go's bounds on how late something comes are left out: a busy machine breaks them. What comes never comes early, and
//! what must come is waited for.
//!
//! Without a counterpart: `TestTick`, `TestTickerStopWithDirectInitialization`, `TestManualTicker`, `TestZeroTimer*Panics`,
//! `TestIssue5745` (what they do does not compile here), and in `TestChan` the timers' channel, whose part `after` plays.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, Rng, child, is_child, runtime, sized, until_in_task, watch};
use gmprt::chan::{TryRecvError, bounded};
use gmprt::time::{Ticker, after, after_func, interval, sleep, timeout};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);

/// The tick that is pending, if there is one.
async fn pending_tick(ticker: &Ticker) -> Option<Instant> {
    match poll_once_here(&mut pin!(ticker.tick())).await {
        Poll::Ready(at) => Some(at),
        Poll::Pending => None,
    }
}

/// Polls with the waker of the task: twice, if need be, for on a busy machine the scheduler may want a poll to end.
async fn poll_once_here<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| match Pin::new(&mut *future).poll(cx) {
        Poll::Pending => Poll::Ready(Pin::new(&mut *future).poll(cx)),
        ready => Poll::Ready(ready),
    })
    .await
}

/// Keeps the thread busy until `t` is over: no timer of its P is fired by it meanwhile.
fn spin_past(t: Instant) {
    while Instant::now() <= t {
        std::hint::spin_loop();
    }
}

// ---- tick_test.go ----

/// Go: `TestTicker`.
#[test]
fn ticks_take_as_much_time_as_their_periods() {
    let _watch = watch();
    runtime(2).block_on(async {
        let (count, delta) = (5, 4 * MS);
        let begun = Instant::now();
        let ticker = interval(delta);
        for n in 1..=count {
            assert!(ticker.tick().await >= begun + n * delta);
        }
        let reset = Instant::now();
        ticker.reset(2 * delta);
        for n in 1..=count {
            assert!(ticker.tick().await >= reset + n * 2 * delta);
        }
        assert!(begun.elapsed() >= 3 * count * delta);
        ticker.stop();
        sleep(2 * delta).await;
        assert_eq!(pending_tick(&ticker).await, None, "it did not shut down");
    });
}

/// Go: `TestTeardown`.
#[test]
fn a_ticker_is_stopped_and_dropped_without_deadlock() {
    let _watch = watch();
    runtime(2).block_on(async {
        for _ in 0..3 {
            let ticker = interval(5 * MS);
            ticker.tick().await;
            ticker.stop();
        }
    });
}

/// Go: `TestNewTickerLtZeroDuration`, `TestTickerResetLtZeroDuration`. A `Duration` is never negative.
#[test]
fn a_period_of_zero_panics() {
    assert!(thread::spawn(|| interval(Duration::ZERO)).join().is_err());
    let ticker = Arc::new(interval(HOUR));
    let other = Arc::clone(&ticker);
    assert!(thread::spawn(move || other.reset(Duration::ZERO)).join().is_err());
    ticker.reset(HOUR); // its lock is not lost with the panic
}

/// Go: `TestLongAdjustTimers`.
#[test]
fn a_heap_full_of_short_sleeps_does_not_hold_up_who_waits_with_a_deadline() {
    let _watch = watch();
    runtime(2).block_on(async {
        let sleepers: Vec<_> =
            (0..sized(500, 5000)).map(|_| gmprt::spawn(sleep(Duration::from_micros(10)))).collect();
        let (to, inbox) = bounded(1);
        let (outbox, from) = bounded(1);
        let echo = gmprt::spawn(async move {
            while let Ok(n) = inbox.recv().await {
                outbox.send(n).await.unwrap();
            }
        });
        for n in 0..sized(500, 5000) {
            to.send(n).await.unwrap();
            assert_eq!(timeout(HOUR, from.recv()).await, Ok(Ok(n)));
        }
        drop(to);
        echo.await.unwrap();
        for sleeper in sleepers {
            sleeper.await.unwrap();
        }
    });
}

/// Resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Go: `TestTimerGC`.
#[test]
fn what_waits_an_hour_and_is_dropped_leaves_no_memory() {
    const NAME: &str = "what_waits_an_hour_and_is_dropped_leaves_no_memory";
    let _watch = watch();
    if !is_child(NAME) {
        assert!(child(NAME).status().unwrap().success()); // alone, so that the memory is this test's
        return;
    }
    runtime(2).block_on(async {
        let n = sized(100_000, 1_000_000);
        let grown = |before: usize| resident().saturating_sub(before);
        let limit = 8 << 20; // what is leaked would be 40 MB at least
        let before = resident();
        for _ in 0..n {
            drop(after(HOUR));
        }
        assert!(grown(before) < limit, "after: {} bytes more", grown(before));
        // Waited for, too, and closed by hand.
        let before = resident();
        for _ in 0..n / 4 {
            let rx = after(HOUR);
            assert!(poll_once_here(&mut pin!(rx.recv())).await.is_pending());
        }
        assert!(grown(before) < limit, "recv: {} bytes more", grown(before));
        let mut closed = Vec::new();
        for _ in 0..100 {
            let rx = after(HOUR);
            assert!(rx.close());
            assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
            closed.push(rx);
        }
        let before = resident();
        for _ in 0..n {
            let timer = after_func(HOUR, || unreachable!("it was stopped"));
            assert!(timer.stop());
        }
        assert!(grown(before) < limit, "after_func: {} bytes more", grown(before));
        let before = resident();
        for _ in 0..n {
            let ticker = interval(HOUR);
            assert!(poll_once_here(&mut ticker.tick()).await.is_pending());
        }
        assert!(grown(before) < limit, "interval: {} bytes more", grown(before));
    });
}

/// Go: `TestChan`, its half for tickers.
#[test]
fn no_stale_tick_comes_after_a_stop_or_a_reset_and_one_at_most_is_pending() {
    let _watch = watch();
    runtime(2).block_on(async {
        let ticker = Arc::new(interval(10_000 * HOUR));
        let no_tick = async || assert_eq!(pending_tick(&ticker).await, None, "extra tick");

        // Stop and reset, with no timer in a heap.
        ticker.stop();
        no_tick().await;
        ticker.reset(10_000 * HOUR);
        no_tick().await;

        // Ticks that nobody took are gone with a reset, and with a stop.
        ticker.reset(NS);
        ticker.tick().await;
        spin_past(Instant::now());
        ticker.reset(10_000 * HOUR);
        no_tick().await;
        ticker.reset(NS);
        spin_past(Instant::now());
        ticker.stop();
        no_tick().await;
        ticker.reset(HOUR);
        no_tick().await;

        // Many were missed: one is pending, and the next is of now.
        ticker.reset(MS);
        let reset = Instant::now();
        spin_past(reset + 20 * MS);
        assert!(ticker.tick().await <= reset + MS, "the oldest one that was missed");
        assert!(ticker.tick().await > reset + 20 * MS, "the others are dropped");

        // A task waits while it is stopped, put off, and brought forward.
        ticker.stop();
        let done = Count::default();
        let (waits, tells) = (Arc::clone(&ticker), done.clone());
        let waiter = gmprt::spawn(async move {
            waits.tick().await;
            tells.add();
        });
        sleep(MS).await;
        ticker.reset(20_000 * HOUR);
        sleep(MS).await;
        assert_eq!(done.get(), 0, "early");
        ticker.reset(NS);
        waiter.await.unwrap();
        ticker.tick().await; // another one has come in already

        // Two tasks wait; one of them gives up.
        ticker.reset(10_000 * HOUR);
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let ticker = Arc::clone(&ticker);
                gmprt::spawn(async move { ticker.tick().await })
            })
            .collect();
        sleep(MS).await;
        assert!(tasks.iter().all(|task| !task.is_finished()));
        tasks[0].abort();
        ticker.reset(MS);
        let [first, second] = tasks.try_into().unwrap();
        assert!(first.await.is_err(), "it was aborted before the tick");
        assert!(second.await.is_ok());

        // Nothing comes of a stopped one.
        ticker.stop();
        assert!(timeout(5 * MS, ticker.tick()).await.is_err());
    });
}

/// Go: `TestChan`, its half for timers, which are channels here as there.
#[test]
fn a_receive_finds_the_value_as_soon_as_its_time_is_over_though_no_timer_has_fired() {
    let _watch = watch();
    let rt = runtime(1);
    rt.block_on(async {
        gmprt::spawn(async {
            for _ in 0..20 {
                assert_eq!(after(HOUR).try_recv(), Err(TryRecvError::Empty));
                let (one, two, three) = (after(MS), after(MS), after(MS));
                spin_past(Instant::now() + MS);
                assert!(one.try_recv().is_ok(), "a look without waiting");
                assert!(one.try_recv().is_err(), "one value, and no more");
                assert!(poll_once_here(&mut pin!(two.recv())).await.is_ready(), "a receive that would wait");
                let foreign = thread::spawn(move || three.try_recv().is_ok());
                assert!(foreign.join().unwrap(), "from any thread");
            }
        })
        .await
        .unwrap();
    });
}

/// Go: `TestAfterTimes`, `TestTickTimes`.
#[test]
fn a_value_tells_the_time_for_which_it_was_scheduled_not_that_of_its_receive() {
    let _watch = watch();
    runtime(2).block_on(async {
        let begun = Instant::now();
        let (rx, ticker) = (after(10 * MS), interval(10 * MS));
        let set = Instant::now();
        sleep(50 * MS).await;
        let scheduled = begun + 10 * MS..=set + 10 * MS;
        assert!(scheduled.contains(&rx.recv().await.unwrap()));
        assert!(scheduled.contains(&ticker.tick().await));
    });
}

// ---- sleep_test.go ----

/// Go: `TestSleep`.
#[test]
fn a_sleep_lasts_its_time() {
    let _watch = watch();
    runtime(2).block_on(async {
        let other = gmprt::spawn(sleep(10 * MS));
        let begun = Instant::now();
        sleep(20 * MS).await;
        assert!(begun.elapsed() >= 20 * MS);
        other.await.unwrap();
    });
}

/// Go: `TestAfterFunc`.
#[test]
fn a_function_that_is_called_later_calls_the_next_one_later() {
    fn call(left: u32, done: gmprt::chan::Sender<()>) {
        if left == 0 {
            done.try_send(()).unwrap();
        } else {
            after_func(Duration::ZERO, move || call(left - 1, done));
        }
    }
    let _watch = watch();
    runtime(2).block_on(async {
        let (tx, rx) = bounded(1);
        after_func(Duration::ZERO, move || call(10, tx));
        assert_eq!(rx.recv().await, Ok(()));
    });
}

/// Go: `TestTickerStress`, `TestTickerConcurrentStress`.
#[test]
fn the_shortest_ticks_reach_all_who_wait_beside_the_shortest_sleeps() {
    let _watch = watch();
    runtime(2).block_on(async {
        let busy = gmprt::spawn(async {
            loop {
                sleep(NS).await;
            }
        });
        let ticker = Arc::new(interval(NS));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let ticker = Arc::clone(&ticker);
                gmprt::spawn(async move {
                    for _ in 0..100 {
                        ticker.tick().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        ticker.stop();
        busy.abort();
        assert!(busy.await.is_err());
    });
}

/// Go: `TestAfterFuncStarvation`.
#[test]
fn two_tasks_that_wake_each_other_do_not_starve_a_function_that_is_due() {
    let _watch = watch();
    runtime(1).block_on(async {
        let (tx, rx) = bounded(1);
        let stop = Count::default();
        let (stops, stopped) = (stop.clone(), stop);
        let sends = gmprt::spawn(async move {
            while stopped.get() == 0 {
                tx.send(()).await.unwrap();
            }
        });
        let receives = gmprt::spawn(async move { while rx.recv().await.is_ok() {} });
        after_func(Duration::from_micros(1), move || stops.add());
        sends.await.unwrap();
        receives.await.unwrap();
    });
}

/// Go: `TestAfter`, `TestAfterTick`.
#[test]
fn after_is_never_early_once_or_ten_times() {
    let _watch = watch();
    runtime(2).block_on(async {
        let begun = Instant::now();
        for n in 1..=10 {
            let called = Instant::now();
            let scheduled = after(2 * MS).recv().await.unwrap();
            assert!(called + 2 * MS <= scheduled && scheduled <= Instant::now());
            assert!(begun.elapsed() >= n * 2 * MS);
        }
    });
}

/// Go: `TestAfterStop`.
#[test]
fn a_timer_that_was_stopped_in_time_is_not_called_when_a_later_one_is() {
    let _watch = watch();
    runtime(2).block_on(async {
        let called = Count::default();
        let (one, two) = (called.clone(), called.clone());
        let first = after_func(HOUR, move || one.add());
        let second = after_func(10 * MS, move || two.add());
        let later = after(20 * MS);
        assert!(first.stop());
        let in_time = second.stop();
        later.recv().await.unwrap();
        until_in_task(|| called.get() >= usize::from(!in_time)).await;
        assert_eq!(called.get(), usize::from(!in_time));
        assert!(!first.stop() && !second.stop(), "stop says true once");
    });
}

/// Go: `TestAfterQueuing`.
#[test]
fn each_of_many_waits_ends_at_its_own_time() {
    let _watch = watch();
    runtime(2).block_on(async {
        let (tx, rx) = bounded(13);
        let delta = 3 * MS;
        let begun = Instant::now();
        for slot in [5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0] {
            let (tx, time) = (tx.clone(), after(slot * delta));
            gmprt::spawn(async move { tx.send((slot, time.recv().await.unwrap(), Instant::now())).await });
        }
        let set = Instant::now();
        drop(tx);
        let mut slots = Vec::new();
        while let Ok((slot, scheduled, received)) = rx.recv().await {
            assert!(begun + slot * delta <= scheduled && scheduled <= set + slot * delta);
            assert!(scheduled <= received);
            slots.push(slot);
        }
        slots.sort_unstable();
        assert_eq!(slots, [0, 1, 1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 9]);
    });
}

/// Go: `TestTimerStopStress`.
#[test]
fn timers_that_many_tasks_set_and_stop_are_called_unless_the_stop_said_so() {
    let _watch = watch();
    runtime(2).block_on(async {
        let called = Count::default();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let called = called.clone();
                gmprt::spawn(async move {
                    let timer = after_func(20 * MS, move || called.add());
                    sleep(10 * MS).await;
                    timer.stop()
                })
            })
            .collect();
        let mut late = 0;
        for task in tasks {
            late += usize::from(!task.await.unwrap());
        }
        sleep(30 * MS).await;
        until_in_task(|| called.get() >= late).await;
        assert_eq!(called.get(), late);
    });
}

/// Go: `TestSleepZeroDeadlock`.
#[test]
fn a_sleep_of_no_time_does_not_confuse_the_next_wait() {
    let _watch = watch();
    runtime(4).block_on(async {
        for _ in 0..100 {
            sleep(Duration::ZERO).await;
            let (tx, rx) = bounded(1);
            tx.send(true).await.unwrap();
            assert_eq!(rx.recv().await, Ok(true));
        }
    });
}

/// Go: `TestReset`.
#[test]
fn reset_says_whether_the_timer_was_active_and_puts_it_off() {
    let _watch = watch();
    runtime(2).block_on(async {
        let (tx, rx) = bounded(1);
        let timer = after_func(HOUR, move || tx.try_send(Instant::now()).unwrap());
        let reset = Instant::now();
        assert!(timer.reset(20 * MS), "it had not fired");
        sleep(10 * MS).await;
        assert!(rx.recv().await.unwrap() >= reset + 20 * MS);
        assert!(!timer.reset(50 * MS), "it has fired");

        let mut wait = sleep(HOUR);
        assert!(poll_once_here(&mut wait).await.is_pending());
        assert!(!wait.is_elapsed());
        let until = Instant::now() + 10 * MS;
        wait.reset(until);
        (&mut wait).await;
        assert!(wait.is_elapsed() && Instant::now() >= until);
    });
}

/// Go: `TestOverflowSleep`, `TestOverflowPeriodRuntimeTimer`.
#[test]
fn the_longest_times_do_not_overflow_and_hold_up_nobody() {
    let _watch = watch();
    runtime(2).block_on(async {
        let longest = [Duration::MAX, Duration::from_nanos(u64::MAX), Duration::from_nanos(i64::MAX as u64)];
        for big in longest {
            let asleep = gmprt::spawn(sleep(big));
            let (never, ticker) = (after(big), interval(big));
            let called = Count::default();
            let calls = called.clone();
            let timer = after_func(big, move || calls.add());
            assert!(timeout(2 * MS, never.recv()).await.is_err(), "{big:?} is over");
            assert!(timeout(2 * MS, ticker.tick()).await.is_err(), "{big:?} is over");
            assert!(after(2 * MS).recv().await.is_ok());
            assert!(!asleep.is_finished() && called.get() == 0);
            assert!(timer.stop());
            asleep.abort();
        }
        assert!(after(Duration::ZERO).recv().await.is_ok());
    });
}

/// Go: `TestZeroTimer`.
#[test]
fn timers_of_no_time_are_not_missed() {
    let _watch = watch();
    runtime(2).block_on(async {
        let mut kept = sleep(HOUR);
        for _ in 0..sized(2_000, 50_000) {
            after(Duration::ZERO).recv().await.unwrap();
            let (tx, rx) = bounded(1);
            after_func(Duration::ZERO, move || tx.try_send(()).unwrap());
            rx.recv().await.unwrap();
            kept.reset(Instant::now());
            (&mut kept).await;
        }
    });
}

/// Go: `TestTimerModifiedEarlier`.
#[test]
fn a_timer_that_is_brought_forward_again_and_again_is_not_lost() {
    let _watch = watch();
    runtime(2).block_on(async {
        for _ in 0..sized(200, 1000) {
            let (tx, rx) = bounded(1);
            let timer = after_func(HOUR, move || tx.try_send(()).unwrap());
            for _ in 0..10 {
                if timer.stop() {
                    timer.reset(Duration::ZERO);
                }
            }
            assert_eq!(rx.recv().await, Ok(()));
        }
    });
}

/// Go: `TestAdjustTimers`.
#[test]
fn timers_that_are_moved_to_and_fro_are_all_called_in_the_end() {
    let _watch = watch();
    runtime(2).block_on(async {
        let mut rng = Rng::new();
        let called = Count::default();
        let mut timers: Vec<_> = (0..100)
            .map(|_| {
                let called = called.clone();
                (0u8, after_func(HOUR, move || called.add()))
            })
            .collect();
        while !timers.is_empty() {
            let at = rng.below(timers.len() as u64) as usize;
            let (state, timer) = &mut timers[at];
            *state += 1;
            match *state - 1 {
                0 | 2 | 4 => assert!(timer.stop(), "it was active"),
                1 => assert!(!timer.reset(180 * MS * 1000), "it was stopped"),
                3 => assert!(!timer.reset(60 * MS * 1000), "it was stopped"),
                5 => assert!(!timer.reset(Duration::ZERO), "it was stopped"),
                _ => drop(timers.swap_remove(at)),
            }
        }
        until_in_task(|| called.get() >= 100).await;
        sleep(MS).await;
        assert_eq!(called.get(), 100);
    });
}

/// Go: `TestStopResult`, `TestResetResult`.
#[test]
fn stop_says_truly_whether_a_value_will_come() {
    let _watch = watch();
    runtime(4).block_on(async {
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                gmprt::spawn(async {
                    for _ in 0..sized(5, 20) {
                        let (tx, rx) = bounded(2);
                        let timers = [0, 1].map(|n| {
                            let tx = tx.clone();
                            after_func(MS, move || tx.try_send(n).unwrap())
                        });
                        let first: usize = rx.recv().await.unwrap();
                        let other = 1 - first;
                        if timers[other].stop() {
                            assert!(rx.try_recv().is_err());
                        } else {
                            assert_eq!(rx.recv().await, Ok(other));
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Go: `TestMultiWakeupTicker`, `TestMultiWakeupTimer`.
#[test]
fn many_tasks_wait_for_one_ticker_with_deadlines_and_reset_it_too() {
    let _watch = watch();
    runtime(4).block_on(async {
        let ticker = Arc::new(interval(Duration::from_micros(1)));
        let tasks: Vec<_> = (0..4)
            .map(|n| {
                let ticker = Arc::clone(&ticker);
                gmprt::spawn(async move {
                    for _ in 0..sized(500, 10_000) {
                        let _ = timeout(MS, ticker.tick()).await;
                        pending_tick(&ticker).await;
                        if n == 0 {
                            ticker.reset(NS);
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        ticker.tick().await;
    });
}

// ---- What Go has no test for, for it has no counterpart ----

#[test]
fn the_end_of_the_runtime_closes_the_channel_of_after() {
    let _watch = watch();
    let rt = runtime(2);
    let rx = rt.block_on(async { after(HOUR) });
    drop(rt);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    assert!(rx.recv_blocking().is_err());
}

#[test]
fn after_without_a_runtime_says_so() {
    let panic = thread::spawn(|| after(MS)).join().unwrap_err();
    let text = panic.downcast_ref::<&str>().unwrap();
    assert!(text.starts_with("after: there is no gmprt runtime here"), "{text}");
}

#[test]
fn of_several_receivers_of_after_one_gets_the_value_and_all_learn_of_the_end() {
    let _watch = watch();
    runtime(2).block_on(async {
        let rx = after(5 * MS);
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let rx = rx.clone();
                gmprt::spawn(async move { rx.recv().await.is_ok() })
            })
            .collect();
        let mut got = 0;
        for task in tasks {
            got += usize::from(task.await.unwrap());
        }
        assert_eq!(got, 1);
        assert!(rx.is_closed());
    });
}

#[test]
fn drops_looks_and_fires_of_after_at_the_same_time_deliver_one_value_at_most() {
    let _watch = watch();
    runtime(4).block_on(async {
        for _ in 0..sized(300, 5_000) {
            let rx = after(Duration::from_micros(20));
            let looks = rx.clone();
            let looker = gmprt::spawn(async move {
                loop {
                    match looks.try_recv() {
                        Ok(_) => return 1,
                        Err(TryRecvError::Closed) => return 0,
                        Err(TryRecvError::Empty) => gmprt::yield_now().await,
                    }
                }
            });
            let got = usize::from(rx.recv().await.is_ok());
            assert_eq!(got + looker.await.unwrap(), 1);
            drop(after(Duration::from_micros(1))); // fires while it is dropped
        }
    });
}
