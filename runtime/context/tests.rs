//! What hangs where: the tree as only the inside sees it.

use super::*;
use crate::sys::clock;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3_600_000);

fn children(ctx: &Context) -> usize {
    ctx.core().unwrap().children()
}

/// Go: `TestCancelRemoves`, `TestChildFinishesFirst`.
#[test]
fn who_is_cancelled_or_stopped_leaves_the_one_above() {
    crate::run(async {
        let (above, _cancel) = with_cancel(&background());
        let (_, first) = with_cancel(&above);
        let (timed, second) = with_timeout(&above, LONG);
        let stop = after_func(&above, || unreachable!());
        assert_eq!(children(&above), 3);
        first.cancel();
        assert_eq!(children(&above), 2);
        assert!(timed.core().unwrap().has_timer());
        second.cancel();
        assert!(!timed.core().unwrap().has_timer());
        assert_eq!(children(&above), 1);
        assert!(stop.stop());
        assert_eq!(children(&above), 0);
        assert_eq!(above.err(), None);
    })
    .unwrap();
}

/// Go: `TestParentFinishesChild`.
#[test]
fn a_cancel_unhooks_all_below() {
    crate::run(async {
        let (above, cancel) = with_cancel(&background());
        let (below, _stop) = with_cancel(&above);
        let (timed, _stop) = with_timeout(&with_value(&above, 1), LONG);
        let (deep, _stop) = with_cancel(&timed);
        after_func(&above, || ());
        assert_eq!((children(&above), children(&timed)), (3, 1));
        cancel.cancel();
        assert_eq!((children(&above), children(&timed)), (0, 0));
        assert!(!timed.core().unwrap().has_timer());
        for ctx in [&above, &below, &timed, &deep, &with_value(&above, 2), &with_cancel(&above).0] {
            assert_eq!(ctx.err(), Some(ContextError::Canceled));
        }
        assert_eq!(children(&above), 0, "nothing hangs on what has ended");
    })
    .unwrap();
}

#[test]
fn who_is_dropped_without_a_cancel_leaves_the_one_above() {
    crate::run(async {
        let (above, _cancel) = with_cancel(&background());
        let (below, cancel) = with_cancel(&above);
        let (timed, _) = with_timeout(&below, LONG);
        drop(cancel);
        drop(below);
        assert_eq!(children(&above), 1, "the lowest holds those above");
        drop(timed);
        assert_eq!(children(&above), 0);
        for _ in 0..10_000 {
            drop(with_timeout(&above, LONG));
            with_timeout(&above, LONG).1.cancel();
        }
        assert_eq!(children(&above), 0);
    })
    .unwrap();
}

#[test]
fn a_call_moves_up_when_nobody_can_cancel_its_context_any_more() {
    crate::run(async {
        let (above, cancel) = with_cancel(&background());
        let (tx, rx) = crate::chan::bounded(1);
        let stopped = {
            let below = with_cancel(&with_cancel(&above).0).0;
            after_func(&below, move || tx.try_send(()).unwrap());
            after_func(&below, || unreachable!("stopped"))
        };
        assert_eq!(children(&above), 2);
        assert!(stopped.stop());
        assert_eq!(children(&above), 1);
        cancel.cancel();
        assert_eq!(rx.recv().await, Ok(()));
    })
    .unwrap();
}

#[test]
fn a_call_keeps_a_context_that_has_a_deadline_until_it_is_stopped() {
    crate::run(async {
        let (above, _cancel) = with_cancel(&background());
        let stop = after_func(&with_timeout(&above, LONG).0, || unreachable!());
        assert_eq!(children(&above), 1);
        assert!(stop.stop());
        assert_eq!(children(&above), 0);
    })
    .unwrap();
}

#[test]
fn a_call_that_nobody_can_cause_is_dropped() {
    let counted = Arc::new(());
    let held = Arc::clone(&counted);
    crate::run(async move {
        let stop = after_func(&with_cancel(&background()).0, move || drop(held));
        drop(stop);
        assert_eq!(Arc::strong_count(&counted), 1);
    })
    .unwrap();
}

#[test]
fn a_deadline_beyond_all_time_needs_no_timer() {
    let (ctx, _cancel) = with_timeout(&background(), Duration::MAX);
    assert_eq!((ctx.err(), ctx.deadline()), (None, None));
    let late = clock::instant_of(0) + Duration::from_nanos(u64::MAX) + Duration::from_secs(1);
    let (ctx, _cancel) = with_deadline(&background(), late);
    assert_eq!((ctx.err(), ctx.deadline()), (None, Some(late)));
}
