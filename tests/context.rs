//! What contexts promise: Go's tests of its package in our words, and what Go has no word for: wakers, drops, depth.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, OnDrop, Rng, poll_once, runtime, sized, until, watch};
use gmprt::context::{self, CancelFunc, Context, ContextError, background};
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use ContextError::{Canceled, DeadlineExceeded};

const LONG: Duration = Duration::from_secs(3_600_000);
const SHORT: Duration = Duration::from_millis(2);

type Wait<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

fn poll_with(wait: &mut Wait<'_>, waker: &Waker) -> Poll<()> {
    wait.as_mut().poll(&mut std::task::Context::from_waker(waker))
}

/// A wait that has begun, with this waker.
fn parked<'a>(ctx: &'a Context, waker: &Waker) -> Wait<'a> {
    let mut wait: Wait<'a> = Box::pin(ctx.done());
    assert!(poll_with(&mut wait, waker).is_pending());
    wait
}

fn is_done(ctx: &Context) -> bool {
    // Twice: one poll may be made to yield.
    let done = (0..2).any(|_| poll_once(&mut Box::pin(ctx.done())).is_ready());
    assert_eq!(done, ctx.err().is_some(), "{ctx}");
    assert_eq!(done, ctx.cause().is_some(), "{ctx}");
    done
}

fn cause(ctx: &Context) -> Option<String> {
    ctx.cause().map(|cause| cause.to_string())
}

/// Runs it on one P and on four.
fn on_ps<F: Future<Output = ()>>(test: impl Fn() -> F) {
    let _watchdog = watch();
    for procs in [1, 4] {
        runtime(procs).block_on(test());
    }
}

/// As `on_ps`, and on tokio: for what needs no timer and no task of ours.
fn anywhere<F: Future<Output = ()>>(test: impl Fn() -> F) {
    on_ps(&test);
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(test());
}

/// Calls a function when it is woken.
struct Calls<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn calls(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Calls(f)))
}

/// An error whose drop calls a function.
struct Bomb<F: FnMut()>(OnDrop<F>);

impl<F: FnMut()> fmt::Debug for Bomb<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bomb")
    }
}

impl<F: FnMut()> fmt::Display for Bomb<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bomb")
    }
}

impl<F: FnMut()> Error for Bomb<F> {}

/// Go: `TestBackground`.
#[test]
fn the_background_is_never_done() {
    let ctx = background();
    assert!(!is_done(&ctx));
    assert_eq!((ctx.err(), ctx.deadline(), ctx.value::<u8>()), (None, None, None));
    assert_eq!(ctx.to_string(), "context.Background");
    assert_eq!(format!("{:?}", ctx.done()), "Done { done: false, .. }");
}

/// Go: `TestWithCancel`.
#[test]
fn a_cancel_is_seen_by_the_context_and_by_all_that_share_it() {
    let (ctx, cancel) = context::with_cancel(&background());
    assert_eq!(ctx.to_string(), "context.Background.WithCancel");
    let same = [ctx.clone(), context::with_value(&ctx, 1), context::with_cancel(&ctx).0];
    assert!(same.iter().all(|ctx| !is_done(ctx)));
    cancel.cancel();
    for ctx in same.iter().chain([&ctx]) {
        assert!(is_done(ctx));
        assert_eq!(ctx.err(), Some(Canceled));
    }
    assert_eq!(Canceled.to_string(), "context canceled");
    assert_eq!(DeadlineExceeded.to_string(), "context deadline exceeded");
}

/// Go: `TestParentFinishesChild`, `TestChildFinishesFirst`.
#[test]
fn a_cancel_goes_down_and_not_up() {
    let (above, cancel_above) = context::with_cancel(&background());
    for parent in [background(), above.clone()] {
        let (below, cancel) = context::with_cancel(&parent);
        cancel.cancel();
        assert!(is_done(&below) && !is_done(&parent));
    }
    let below = context::with_value(&context::with_cancel(&above).0, "v");
    cancel_above.cancel();
    assert!(is_done(&below));
    assert!(is_done(&context::with_value(&above, 7)) && is_done(&context::with_cancel(&above).0));
}

/// Go: `TestDeadline`, `TestTimeout`, with their layers.
#[test]
fn a_deadline_ends_a_context_and_never_before_its_time() {
    on_ps(|| async {
        async fn check(ctx: Context, latest: Instant) {
            assert_eq!(ctx.deadline(), Some(latest));
            ctx.done().await;
            assert!(Instant::now() >= latest, "early");
            assert_eq!(ctx.err(), Some(DeadlineExceeded));
            assert_eq!(cause(&ctx).unwrap(), "context deadline exceeded");
        }
        let t = Instant::now() + SHORT;
        let (ctx, _keep) = context::with_deadline(&background(), t);
        assert!(ctx.to_string().starts_with("context.Background.WithDeadline(["), "{ctx}");
        check(context::with_value(&ctx, 1), t).await;
        // One that is earlier than the one above, and one that is later.
        let t = Instant::now() + SHORT;
        let (late, _keep) = context::with_deadline(&background(), t + LONG);
        let (early, _keep) = context::with_deadline(&late, t);
        let (later, _keep) = context::with_deadline(&context::with_cancel(&early).0, t + LONG);
        check(later.clone(), t).await;
        assert!(!is_done(&late));
        assert!(later.to_string().ends_with(".WithCancel.WithCancel"), "{later}");
        let before = Instant::now();
        let (ctx, _keep) = context::with_timeout(&background(), SHORT);
        assert!(ctx.deadline().unwrap() >= before + SHORT);
        check(ctx.clone(), ctx.deadline().unwrap()).await;
    });
}

/// Go: `TestDeadline`, "in the past" and "now".
#[test]
fn a_deadline_that_is_over_needs_no_runtime() {
    let past = Instant::now();
    for (ctx, _) in [
        context::with_deadline(&background(), past),
        context::with_timeout(&background(), Duration::ZERO),
        context::with_timeout_cause(&background(), Duration::ZERO, "slow"),
    ] {
        assert!(is_done(&ctx) && is_done(&context::with_timeout(&ctx, LONG).0));
        assert_eq!(ctx.err(), Some(DeadlineExceeded));
    }
    let (ctx, cancel) = context::with_cancel(&background());
    cancel.cancel();
    assert_eq!(context::with_deadline(&ctx, past).0.err(), Some(Canceled), "the one above was first");
    assert_eq!(context::with_timeout(&background(), Duration::MAX).0.deadline(), None);
}

#[test]
fn a_timer_and_a_call_need_a_runtime() {
    for f in [
        || drop(context::with_timeout(&background(), LONG)),
        || drop(context::after_func(&background(), || ())),
    ] {
        let payload = catch_unwind(f).unwrap_err();
        let text = payload
            .downcast_ref::<&str>()
            .map_or_else(|| payload.downcast_ref::<String>().unwrap().clone(), |text| (*text).to_owned());
        assert!(text.contains("there is no gmprt runtime here"), "{text}");
    }
}

/// Go: `TestCanceledTimeout`.
#[test]
fn a_timeout_that_is_cancelled_says_so() {
    on_ps(|| async {
        let (above, _keep) = context::with_timeout(&background(), LONG);
        let (ctx, cancel) = context::with_timeout(&above, LONG);
        assert!(!is_done(&ctx));
        cancel.cancel();
        assert!(is_done(&ctx) && !is_done(&above));
        assert_eq!(ctx.err(), Some(Canceled));
    });
}

/// Go: `TestValues`.
#[test]
fn the_nearest_value_of_a_type_is_found() {
    #[derive(Debug, PartialEq)]
    struct A(u8);
    #[derive(Debug, PartialEq)]
    struct B(&'static str);
    let c1 = context::with_value(&background(), A(1));
    let c2 = context::with_value(&context::with_cancel(&c1).0, B("two"));
    let c3 = context::with_value(&context::without_cancel(&c2), A(3));
    assert_eq!((c1.value::<A>(), c1.value::<B>()), (Some(&A(1)), None));
    assert_eq!((c2.value::<A>(), c2.value::<B>()), (Some(&A(1)), Some(&B("two"))));
    assert_eq!((c3.value::<A>(), c3.value::<B>(), c3.value::<u8>()), (Some(&A(3)), Some(&B("two")), None));
    let name = c3.to_string();
    assert!(name.starts_with("context.Background.WithValue("), "{name}");
    assert!(name.contains(".WithCancel.WithValue(") && name.contains(".WithoutCancel.WithValue("), "{name}");
}

/// Go: `TestSimultaneousCancels`.
#[test]
fn many_contexts_are_cancelled_from_many_threads() {
    let _watchdog = watch();
    let (root, cancel) = context::with_cancel(&background());
    let mut layer = vec![(root.clone(), cancel)];
    let mut all = Vec::new();
    for _ in 0..3 {
        let below = layer.iter().flat_map(|(ctx, _)| (0..4).map(|_| context::with_cancel(ctx)));
        let below: Vec<_> = below.collect();
        all.append(&mut layer);
        layer = below;
    }
    all.append(&mut layer);
    thread::scope(|scope| {
        for part in all.chunks(all.len() / 4 + 1) {
            scope.spawn(move || part.iter().for_each(|(_, cancel)| cancel.cancel()));
        }
    });
    assert!(all.iter().all(|(ctx, _)| is_done(ctx)));
}

/// Go: `TestInterlockedCancels`.
#[test]
fn a_waker_that_cancels_below_does_not_lock_up() {
    anywhere(|| async {
        let (above, cancel_above) = context::with_cancel(&background());
        let (below, cancel_below) = context::with_cancel(&above);
        let again = cancel_above.clone();
        let waker = calls(move || {
            cancel_below.cancel();
            again.cancel();
        });
        let mut wait = parked(&above, &waker);
        cancel_above.cancel();
        below.done().await;
        assert!(poll_with(&mut wait, &waker).is_ready());
    });
}

/// Go: `TestLayersCancel`, `TestLayersTimeout`.
#[test]
fn random_layers_pass_cancels_deadlines_and_values_down() {
    struct Value<const N: usize>(u64);
    let _watchdog = watch();
    let mut rng = Rng::new();
    for (procs, in_time) in [(1, true), (1, false), (4, true), (4, false)] {
        let mut rng = rng.fork();
        runtime(procs).block_on(async move {
            let mut ctx = background();
            let (mut cancels, mut timers, mut value) = (Vec::<CancelFunc>::new(), 0, None);
            for n in 0.. {
                if n >= 30 && timers > 0 && value.is_some() {
                    break;
                }
                match rng.below(3) {
                    0 => {
                        value = Some(n);
                        ctx = context::with_value(&ctx, Value::<0>(n));
                    }
                    1 => {
                        let (below, cancel) = context::with_cancel(&ctx);
                        (ctx, cancels) = (below, [cancels, vec![cancel]].concat());
                    }
                    _ => {
                        let d = if in_time { LONG } else { SHORT };
                        let (below, cancel) = context::with_timeout(&ctx, d);
                        timers += 1;
                        (ctx, cancels) = (below, [cancels, vec![cancel]].concat());
                    }
                }
            }
            assert!(ctx.to_string().starts_with("context.Background."));
            assert_eq!(ctx.value::<Value<0>>().map(|v| v.0), value);
            if in_time {
                assert!(!is_done(&ctx));
                cancels[rng.below(cancels.len() as u64) as usize].cancel();
                assert!(is_done(&ctx));
            }
            ctx.done().await;
            assert_eq!(ctx.value::<Value<0>>().map(|v| v.0), value);
        });
    }
}

/// Go: `TestWithCancelCanceledParent`.
#[test]
fn what_is_derived_from_a_cancelled_context_has_its_error_and_cause() {
    let (above, cancel) = context::with_cancel(&background());
    cancel.cancel_cause("because");
    let (below, _) = context::with_cancel(&above);
    assert!(is_done(&below));
    assert_eq!((below.err(), cause(&below).unwrap()), (Some(Canceled), "because".to_owned()));
}

/// Go: `TestWithCancelSimultaneouslyCanceledParent`, `TestCauseRace`, `TestContextErrDoneRace`.
#[test]
fn nobody_sees_an_error_without_its_cause() {
    let _watchdog = watch();
    for _ in 0..sized(300, 3000) {
        let (above, cancel) = context::with_cancel(&background());
        thread::scope(|scope| {
            scope.spawn(|| cancel.cancel_cause("because"));
            let (below, _) = context::with_cancel(&above);
            until(|| below.err().is_some());
            assert_eq!(cause(&below).unwrap(), "because");
            assert!(is_done(&below) && is_done(&above));
        });
    }
}

/// Go: `TestCause`, row by row.
#[test]
fn the_first_cause_is_kept() {
    let forever = LONG;
    on_ps(|| async move {
        let cancelled = |ctx: &Context| (ctx.err(), cause(ctx).unwrap_or_default());
        let is = |ctx: &Context, err, cause: &str| assert_eq!(cancelled(ctx), (Some(err), cause.to_owned()));
        let plain = "context canceled";

        let (ctx, cancel) = context::with_cancel(&background());
        cancel.cancel();
        cancel.cancel_cause("late");
        is(&ctx, Canceled, plain);
        assert_eq!(ctx.cause().unwrap().downcast_ref::<ContextError>(), Some(&Canceled));

        let two = || {
            let (above, cancel) = context::with_cancel(&background());
            let (below, cancel_below) = context::with_cancel(&above);
            (below, cancel, cancel_below)
        };
        let (ctx, above, below) = two();
        above.cancel_cause("above");
        below.cancel_cause("below");
        is(&ctx, Canceled, "above");
        let (ctx, above, below) = two();
        below.cancel_cause("below");
        above.cancel_cause("above");
        is(&ctx, Canceled, "below");
        let (ctx, above, below) = two();
        above.cancel_cause("above");
        below.cancel();
        is(&ctx, Canceled, "above");
        let (ctx, above, below) = two();
        below.cancel();
        above.cancel_cause("above");
        is(&ctx, Canceled, plain);
        let (ctx, above, below) = two();
        above.cancel();
        below.cancel_cause("below");
        is(&ctx, Canceled, plain);

        let (ctx, cancel) = context::with_timeout(&background(), Duration::ZERO);
        cancel.cancel();
        is(&ctx, DeadlineExceeded, "context deadline exceeded");
        let (ctx, cancel) = context::with_timeout(&background(), forever);
        cancel.cancel();
        is(&ctx, Canceled, plain);
        let (ctx, cancel) = context::with_timeout_cause(&background(), Duration::ZERO, "too slow");
        cancel.cancel();
        is(&ctx, DeadlineExceeded, "too slow");
        let (ctx, cancel) = context::with_timeout_cause(&background(), forever, "too slow");
        cancel.cancel();
        is(&ctx, Canceled, plain);
        let (above, cancel) = context::with_cancel(&background());
        let (ctx, _) = context::with_timeout_cause(&above, Duration::ZERO, "too slow");
        cancel.cancel_cause("finished early");
        is(&ctx, DeadlineExceeded, "too slow");
        let (above, cancel) = context::with_cancel(&background());
        let (ctx, _keep) = context::with_timeout_cause(&above, forever, "too slow");
        cancel.cancel_cause("finished early");
        is(&ctx, Canceled, "finished early");
        let (ctx, _keep) = context::with_timeout_cause(&background(), SHORT, "too slow");
        ctx.done().await;
        is(&ctx, DeadlineExceeded, "too slow");

        let (above, cancel) = context::with_cancel(&background());
        let ctx = context::without_cancel(&above);
        cancel.cancel_cause("finished early");
        assert!(!is_done(&ctx));
        let (above, _) = context::with_timeout_cause(&background(), Duration::ZERO, "too slow");
        assert!(!is_done(&context::without_cancel(&above)));
    });
}

/// Go: `TestWithoutCancel`.
#[test]
fn without_cancel_keeps_values_and_nothing_else() {
    on_ps(|| async {
        let (above, cancel) = context::with_timeout(&context::with_value(&background(), 7), LONG);
        let ctx = context::without_cancel(&above);
        cancel.cancel();
        assert!(!is_done(&ctx) && !is_done(&context::with_cancel(&ctx).0));
        assert_eq!((ctx.deadline(), ctx.value::<i32>()), (None, Some(&7)));
    });
}

/// Go: `TestAfterFuncCalledAfterCancel`, `TestAfterFuncCalledAfterTimeout`, `TestAfterFuncCalledImmediately`.
#[test]
fn a_function_is_called_once_when_the_context_is_done() {
    on_ps(|| async {
        let (tx, rx) = gmprt::chan::bounded(8);
        let say = |what: &'static str| {
            let tx = tx.clone();
            move || tx.try_send(what).unwrap()
        };
        let (ctx, cancel) = context::with_cancel(&background());
        let stop = context::after_func(&context::with_value(&ctx, 1), say("cancelled"));
        assert!(rx.try_recv().is_err());
        cancel.cancel();
        assert_eq!(rx.recv().await, Ok("cancelled"));
        assert!(!stop.stop());

        let stop = context::after_func(&ctx, say("at once"));
        assert_eq!(rx.recv().await, Ok("at once"));
        assert!(!stop.stop());

        // Nobody but the timer and the registration knows of this one.
        context::after_func(&context::with_timeout(&background(), SHORT).0, say("in time"));
        assert_eq!(rx.recv().await, Ok("in time"));
        assert!(rx.try_recv().is_err());
    });
}

/// Go: `TestAfterFuncNotCalledAfterStop`.
#[test]
fn a_function_that_is_stopped_is_not_called_but_dropped() {
    on_ps(|| async {
        let (ctx, cancel) = context::with_cancel(&background());
        let drops = Count::default();
        let guard = drops.on_drop();
        let stop = context::after_func(&ctx, move || {
            let _guard = &guard;
            unreachable!("it was stopped");
        });
        assert!(stop.clone().stop());
        assert_eq!(drops.get(), 1);
        cancel.cancel();
        assert!(!stop.stop());
        gmprt::yield_now().await;
    });
}

/// Go: `TestAfterFuncCalledAsynchronously`.
#[test]
fn a_function_does_not_run_inside_the_cancel() {
    on_ps(|| async {
        let (ctx, cancel) = context::with_cancel(&background());
        let (tx, rx) = gmprt::chan::bounded(1);
        let this = Arc::new(Mutex::new(()));
        let held = Arc::clone(&this);
        let locked = this.lock().unwrap();
        context::after_func(&ctx, move || {
            tx.try_send(held.try_lock().is_ok()).unwrap();
        });
        cancel.cancel();
        drop(locked);
        assert!(rx.recv().await.is_ok());
    });
}

#[test]
fn stops_and_cancels_race_and_the_function_is_called_or_stopped() {
    let _watchdog = watch();
    let rt = runtime(2);
    for _ in 0..sized(300, 3000) {
        rt.block_on(async {
            let (ctx, cancel) = context::with_cancel(&background());
            let below = context::with_cancel(&ctx).0;
            let (tx, rx) = gmprt::chan::bounded(1);
            let stop = context::after_func(&below, move || tx.try_send(()).unwrap());
            let cancelling = gmprt::spawn(async move { cancel.cancel() });
            let moving = gmprt::spawn(async move { drop(below) });
            let stopped = stop.stop();
            cancelling.await.unwrap();
            moving.await.unwrap();
            assert_eq!(rx.recv().await.is_err(), stopped, "the sender is dropped with the function");
        });
    }
}

#[test]
fn waiters_are_woken_latest_first_and_a_parents_before_a_childs() {
    let (above, cancel) = context::with_cancel(&background());
    let (below, _keep) = context::with_cancel(&above);
    let log = Arc::new(Mutex::new(Vec::new()));
    let named = |n: usize| {
        let log = Arc::clone(&log);
        calls(move || log.lock().unwrap().push(n))
    };
    let mut waits: Vec<_> = (100..200).map(|n| parked(&below, &named(n))).collect();
    waits.extend((0..100).map(|n| parked(&above, &named(n))));
    drop(waits.remove(150)); // the 50th of `above`
    cancel.cancel();
    let expected: Vec<_> = (0..100).rev().chain((100..200).rev()).filter(|&n| n != 50).collect();
    assert_eq!(*log.lock().unwrap(), expected);
    assert!(waits.iter_mut().all(|wait| poll_with(wait, Waker::noop()).is_ready()));
    assert!(waits.iter_mut().all(|wait| poll_with(wait, Waker::noop()).is_ready()), "it stays so");
}

#[test]
fn a_wait_may_be_dropped_after_any_number_of_polls() {
    for polls in 0..4 {
        for cancelled_at in 0..4 {
            let (ctx, cancel) = context::with_cancel(&background());
            let wakes = [Count::default(), Count::default(), Count::default()];
            let mut wait: Wait<'_> = Box::pin(ctx.done());
            for n in 0..polls {
                if n == cancelled_at {
                    cancel.cancel();
                }
                let polled = poll_with(&mut wait, &wakes[n % 3].waker());
                assert_eq!(polled.is_ready(), n >= cancelled_at);
            }
            drop(wait);
            let before = wakes.iter().map(Count::get).sum::<usize>();
            cancel.cancel();
            assert_eq!(before, wakes.iter().map(Count::get).sum(), "a dropped wait is not woken");
            assert!(before <= 1);
        }
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_cancelled_woken_or_called() {
    on_ps(|| async {
        let (above, cancel) = context::with_cancel(&background());
        let (below, _keep) = context::with_cancel(&above);
        let (tx, rx) = gmprt::chan::bounded(1);
        context::after_func(&below, move || tx.try_send(()).unwrap());
        let woken = Count::default();
        let bad = calls(|| panic!("bad waker"));
        let waits = || {
            let of = |ctx| [parked(ctx, &bad), parked(ctx, &woken.waker())];
            [&above, &below, &above, &below].into_iter().flat_map(of).collect::<Vec<_>>()
        };
        // On another thread: a poll that is made to yield would wake its waker, here.
        let _waits = thread::scope(|scope| scope.spawn(waits).join().unwrap());
        let payload = catch_unwind(AssertUnwindSafe(|| cancel.cancel())).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"bad waker"));
        assert_eq!(woken.get(), 4);
        assert_eq!(rx.recv().await, Ok(()));
        cancel.cancel();
        assert!(is_done(&above) && is_done(&below));
    });
}

#[test]
fn wakers_may_cancel_derive_and_wait_when_they_are_woken_or_dropped() {
    struct Reenters(CancelFunc, Context, Count);
    impl Reenters {
        fn again(&self) {
            self.0.cancel_cause("again");
            drop(context::with_cancel(&self.1));
            let _ = poll_once(&mut Box::pin(self.1.done()));
            self.2.add();
        }
    }
    impl Wake for Reenters {
        fn wake(self: Arc<Self>) {
            self.again();
        }
    }
    impl Drop for Reenters {
        fn drop(&mut self) {
            self.again();
        }
    }
    let _watchdog = watch();
    for drops_first in [false, true] {
        let (ctx, cancel) = context::with_cancel(&background());
        let (below, _keep) = context::with_cancel(&ctx);
        let count = Count::default();
        let waker = || Waker::from(Arc::new(Reenters(cancel.clone(), ctx.clone(), count.clone())));
        let mut wait = parked(&below, &waker());
        if drops_first {
            // The waker in the queue is replaced, and dropped: that cancels.
            assert!(poll_with(&mut wait, Waker::noop()).is_pending() || is_done(&below));
        } else {
            cancel.cancel_cause("first");
        }
        assert!(is_done(&ctx) && is_done(&below));
        assert_eq!(cause(&below).unwrap(), if drops_first { "again" } else { "first" });
        assert!(poll_with(&mut wait, Waker::noop()).is_ready());
        assert!(count.get() >= 1);
    }
}

#[expect(unsafe_code, reason = "only a `RawWaker` sees when it is cloned")]
mod acting {
    use std::sync::Arc;
    use std::task::{RawWaker, RawWakerVTable, Waker};

    /// Runs `act` whenever the waker, or a clone of it, is cloned, woken or dropped.
    pub(crate) fn waker<F: Fn() + Send + Sync + 'static>(act: F) -> Waker {
        let raw = raw(Arc::new(act));
        // SAFETY: the vtable of `raw` keeps the contract of `RawWaker`: its data is a counted reference to an
        // `F`, which is `Send`, `Sync` and `'static`.
        unsafe { Waker::from_raw(raw) }
    }

    fn raw<F: Fn() + Send + Sync + 'static>(act: Arc<F>) -> RawWaker {
        let vtable = const { &RawWakerVTable::new(clone::<F>, wake::<F>, wake_by_ref::<F>, wake::<F>) };
        RawWaker::new(Arc::into_raw(act).cast(), vtable)
    }

    unsafe fn clone<F: Fn() + Send + Sync + 'static>(data: *const ()) -> RawWaker {
        // SAFETY: the data is a counted reference to an `F`; the clone owns a new one.
        unsafe { Arc::increment_strong_count(data.cast::<F>()) };
        // SAFETY: the reference just made.
        let act = unsafe { Arc::from_raw(data.cast::<F>()) };
        act();
        raw(act)
    }

    unsafe fn wake<F: Fn() + Send + Sync + 'static>(data: *const ()) {
        // SAFETY: wake and drop own the reference.
        let act = unsafe { Arc::from_raw(data.cast::<F>()) };
        act();
    }

    unsafe fn wake_by_ref<F: Fn() + Send + Sync + 'static>(data: *const ()) {
        // SAFETY: the waker, which is borrowed, has the reference.
        let act = unsafe { &*data.cast::<F>() };
        act();
    }
}

/// Each act of these wakers takes the locks of the tree: if a lock were held, the test would hang.
#[test]
fn wakers_are_cloned_woken_and_dropped_with_the_locks_released() {
    let _watchdog = watch();
    for acts_at in 1..8 {
        let (ctx, cancel) = context::with_cancel(&background());
        let (below, cancel_below) = context::with_cancel(&ctx);
        let acts = Arc::new(AtomicUsize::new(0));
        let waker = || {
            let (ctx, cancel, acts) = (below.clone(), cancel.clone(), Arc::clone(&acts));
            acting::waker(move || {
                drop(context::with_cancel(&ctx));
                let _ = poll_once(&mut Box::pin(ctx.done()));
                if acts.fetch_add(1, Relaxed) + 1 == acts_at {
                    cancel.cancel();
                }
            })
        };
        let mut waits: Vec<Wait<'_>> = (0..3).map(|_| Box::pin(below.done()) as Wait<'_>).collect();
        for _ in 0..2 {
            for wait in &mut waits {
                let _ = poll_with(wait, &waker());
            }
        }
        drop(waits.pop());
        cancel_below.cancel();
        assert!(waits.iter_mut().all(|wait| poll_with(wait, &waker()).is_ready()));
        drop(waits);
        assert!(acts.load(Relaxed) >= 8 && is_done(&ctx) && is_done(&below));
    }
}

#[test]
fn a_cause_may_do_anything_when_it_is_dropped() {
    let _watchdog = watch();
    let (ctx, cancel) = context::with_cancel(&background());
    let (below, _keep) = context::with_cancel(&ctx);
    let (again, seen) = (cancel.clone(), below.clone());
    // It loses, so it is dropped in the cancel, when all is over.
    cancel.cancel_cause("first");
    cancel.cancel_cause(Bomb(OnDrop(move || {
        again.cancel_cause("third");
        assert!(is_done(&seen));
    })));
    let lost = Bomb(OnDrop(|| panic!("bomb")));
    assert!(catch_unwind(AssertUnwindSafe(|| cancel.cancel_cause(lost))).is_err());
    assert_eq!(cause(&below).unwrap(), "first");
    // It wins, and goes with the last context.
    let (ctx, cancel) = context::with_cancel(&background());
    let below: Vec<_> = (0..3).map(|_| context::with_cancel(&ctx).0).collect();
    let drops = Count::default();
    let guard = drops.clone();
    cancel.cancel_cause(Bomb(OnDrop(move || {
        guard.add();
        panic!("bomb");
    })));
    assert!(below.iter().all(is_done));
    drop((ctx, cancel));
    assert_eq!(drops.get(), 0);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(below))).is_err());
    assert_eq!(drops.get(), 1);
}

#[test]
fn values_may_panic_or_reenter_when_they_are_dropped() {
    let drops = Count::default();
    let (above, cancel) = context::with_cancel(&background());
    let mut ctx = above.clone();
    for n in 0..10 {
        let (drops, cancel, above) = (drops.clone(), cancel.clone(), above.clone());
        let bomb = Mutex::new(Some(Bomb(OnDrop(move || {
            drops.add();
            cancel.cancel();
            assert!(is_done(&above));
            assert!(n % 3 != 0, "value {n}");
        }))));
        ctx = context::with_cancel(&context::with_value(&ctx, Arc::new(bomb))).0;
    }
    let payload = catch_unwind(AssertUnwindSafe(|| drop(ctx))).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "value 9", "the first one goes on");
    assert_eq!(drops.get(), 10);
}

/// A drop that panics while another one's panic is on its way would abort the process.
#[test]
fn of_causes_whose_drops_panic_each_is_dropped() {
    let drops = Count::default();
    let bomb = |text: &'static str| {
        let drops = drops.clone();
        Bomb(OnDrop(move || {
            drops.add();
            panic!("{text}");
        }))
    };
    let (above, cancel_above) = context::with_cancel(&background());
    let (below, cancel) = context::with_cancel(&above);
    cancel.cancel_cause(bomb("below"));
    cancel_above.cancel_cause(bomb("above"));
    drop((below, above, cancel_above));
    let payload = catch_unwind(AssertUnwindSafe(|| drop(cancel))).unwrap_err();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "below", "the first one goes on");
    assert_eq!(drops.get(), 2);
}

fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(2 << 20).spawn(f).unwrap();
    thread.join().unwrap();
}

#[test]
fn chains_of_any_depth_are_cancelled_and_dropped() {
    const DEPTH: usize = 100_000;
    let _watchdog = watch();
    on_a_small_stack(|| {
        for cancels in [true, false] {
            let (root, cancel) = context::with_cancel(&background());
            let mut ctx = root.clone();
            for n in 0..DEPTH {
                ctx = context::with_cancel(&context::with_value(&ctx, n)).0;
            }
            assert_eq!(ctx.value::<usize>(), Some(&(DEPTH - 1)));
            assert!(ctx.value::<u8>().is_none());
            assert!(ctx.to_string().len() > DEPTH);
            if cancels {
                cancel.cancel();
                assert!(is_done(&ctx));
            }
            drop(ctx);
            assert_eq!(is_done(&root), cancels);
        }
        // The cores alone, held from below; and a broad tree.
        let (mut ctx, mut last) = context::with_cancel(&background());
        for _ in 0..DEPTH {
            (ctx, last) = context::with_cancel(&ctx);
        }
        drop(ctx);
        drop(last);
        let (root, cancel) = context::with_cancel(&background());
        let broad: Vec<_> = (0..DEPTH).map(|_| context::with_cancel(&root).0).collect();
        cancel.cancel();
        assert!(broad.iter().all(is_done));
    });
}

#[test]
fn a_chain_of_calls_of_any_depth_moves_up() {
    const DEPTH: usize = 100_000;
    let _watchdog = watch();
    for below_values in [false, true] {
        runtime(1).block_on(async {
            let (root, cancel) = context::with_cancel(&background());
            let calls = Count::default();
            let (mut ctx, mut last) = (root.clone(), cancel.clone());
            for n in 0..DEPTH {
                (ctx, last) = context::with_cancel(&ctx);
                if below_values {
                    ctx = context::with_value(&ctx, n);
                }
                let calls = calls.clone();
                context::after_func(&ctx, move || calls.add());
            }
            // The cores go with the last context, or alone.
            if below_values {
                drop(last);
                drop(ctx);
            } else {
                drop(ctx);
                drop(last);
            }
            cancel.cancel();
            common::until_in_task(|| calls.get() == DEPTH).await;
        });
    }
}

#[test]
fn a_drop_guard_cancels_unless_it_is_disarmed() {
    let (ctx, cancel) = context::with_cancel(&background());
    drop(cancel.clone()); // a CancelFunc does nothing when it is dropped
    let cancel = cancel.drop_guard().disarm();
    assert!(!is_done(&ctx));
    assert_eq!(format!("{cancel:?}"), "CancelFunc { done: false }");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = cancel.drop_guard();
        panic!("on purpose");
    }));
    assert!(panicked.is_err() && is_done(&ctx));
}

#[test]
fn what_was_done_before_a_cancel_is_seen_by_those_who_wait() {
    anywhere(|| async {
        for _ in 0..100 {
            let (ctx, cancel) = context::with_cancel(&background());
            let work = Arc::new(AtomicUsize::new(0));
            let seen = Arc::clone(&work);
            let thread = thread::spawn(move || {
                work.store(1, Relaxed);
                cancel.cancel();
            });
            ctx.done().await;
            assert_eq!(seen.load(Relaxed), 1);
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_context_whose_runtime_ends_is_cancelled_and_not_early() {
    let _watchdog = watch();
    let rt = runtime(1);
    let (ctx, _keep) = rt.block_on(async { context::with_timeout(&background(), LONG) });
    let woken = Count::default();
    let _wait = parked(&ctx, &woken.waker());
    drop(rt);
    assert_eq!((ctx.err(), woken.get()), (Some(Canceled), 1));
    assert_eq!(cause(&ctx).unwrap(), "the runtime that kept the context's deadline has ended");
}

#[test]
fn a_call_whose_runtime_has_ended_is_dropped() {
    let _watchdog = watch();
    let (ctx, cancel) = context::with_cancel(&background());
    let drops = Count::default();
    let guard = drops.on_drop();
    let rt = runtime(1);
    let below = ctx.clone();
    rt.block_on(async move {
        context::after_func(&below, move || {
            let _guard = &guard;
            unreachable!("there is no runtime");
        });
    });
    drop(rt);
    cancel.cancel();
    assert_eq!(drops.get(), 1);
}

/// Several threads derive, wait, cancel and drop at random; each wait that began is woken or dropped.
#[test]
fn a_storm_of_contexts_adds_up() {
    let _watchdog = watch();
    let mut rng = Rng::new();
    for procs in [1, 4] {
        let rt = runtime(procs);
        let (root, cancel) = context::with_cancel(&background());
        let (made, ended, called) = (Count::default(), Count::default(), Count::default());
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (root, mut rng) = (root.clone(), rng.fork());
                let (made, ended, called) = (made.clone(), ended.clone(), called.clone());
                rt.spawn(async move {
                    let mut all = vec![(root.clone(), None::<CancelFunc>)];
                    let (mut expected, mut waits) = (0, Vec::new());
                    for n in 0..sized(5_000, 25_000) {
                        let at = rng.below(all.len() as u64) as usize;
                        let above = &all[at].0;
                        let (ctx, cancel) = match rng.below(4) {
                            0 => context::with_timeout(above, Duration::from_micros(rng.below(2_000))),
                            1 => context::with_timeout(above, LONG),
                            _ => context::with_cancel(above),
                        };
                        made.add();
                        match rng.below(8) {
                            0 => cancel.cancel(),
                            1 => {
                                let (ctx, ended) = (ctx.clone(), ended.clone());
                                waits.push(gmprt::spawn(async move {
                                    ctx.done().await;
                                    assert!(ctx.err().is_some() && ctx.cause().is_some());
                                    ended.add();
                                }));
                            }
                            2 => {
                                let called = called.clone();
                                let stop = context::after_func(&ctx, move || called.add());
                                if rng.below(2) == 0 || !stop.stop() {
                                    expected += 1;
                                }
                            }
                            _ => {}
                        }
                        if all.len() < 100 {
                            all.push((ctx, Some(cancel)));
                        } else {
                            let at = 1 + rng.below(99) as usize;
                            let (_, old) = std::mem::replace(&mut all[at], (ctx, Some(cancel)));
                            if rng.below(2) == 0 {
                                old.unwrap().cancel();
                            }
                        }
                        if n % 64 == 0 {
                            gmprt::yield_now().await;
                        }
                    }
                    (expected, waits)
                })
            })
            .collect();
        rt.block_on(async {
            let mut results = Vec::new();
            for task in tasks {
                results.push(task.await.unwrap());
            }
            cancel.cancel();
            let (mut expected, mut waited) = (0, 0);
            for (calls, waits) in results {
                expected += calls;
                for wait in waits {
                    wait.await.unwrap();
                    waited += 1;
                }
            }
            assert_eq!(ended.get(), waited);
            common::until_in_task(|| called.get() >= expected).await;
            assert_eq!(called.get(), expected);
        });
        assert_eq!(made.get(), 4 * sized(5_000, 25_000));
    }
}

#[test]
fn contexts_cross_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send>(_: &T) {}
    shared::<Context>();
    shared::<CancelFunc>();
    shared::<context::StopFunc>();
    sent(&background().done());
    assert!(ContextError::Canceled.source().is_none());
}
