//! `select!`: its syntax, its order, what it leaves behind, and that a yield is no refusal.

#![forbid(unsafe_code)]

mod common;

use common::{runtime, watch};
use gmprt::{chan, select, time};
use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn run<F: Future>(future: F) -> F::Output {
    gmprt::run(future).unwrap()
}

/// Polls a future once, with a waker that does nothing.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn every_form_of_arm_is_understood() {
    let _watch = watch();
    run(async {
        let (tx, rx) = chan::bounded(8);
        // Blocks with and without commas, expressions, guards, a last arm with and without a comma.
        let mut seen = Vec::new();
        for n in 0..4 {
            select! {
                r = tx.send(n), if n % 2 == 0 => { r.unwrap(); seen.push("sent") }
                _ = ready(()), if n == 1 => seen.push("ready"),
                _ = ready(()), if n == 3 => { seen.push("block") },
                _ = pending::<()>() => unreachable!()
            }
        }
        assert_eq!(seen, ["sent", "ready", "sent", "block"]);
        let both = select! {
            biased;
            Ok(a) = rx.recv() => a,
            else => 100,
            default => 200,
        };
        assert_eq!(both, 0);
        assert_eq!(select! { default => 1 }, 1);
        assert_eq!(select! { else => { 2 } }, 2);
        assert_eq!(select! { default => { 1 } else => { 2 } }, 2, "nothing is left to wait for");
    });
}

#[derive(Debug)]
enum Event {
    Data { id: u32, body: Option<String> },
    Pair(u32, (u32, [u32; 2])),
    Quit,
}

#[test]
fn patterns_bind_by_value_by_reference_and_mutably_however_deep() {
    run(async {
        let data = || ready(Event::Data { id: 7, body: Some("text".to_owned()) });
        let got = select! {
            Event::Data { id, body: Some(mut body) } = data() => { body.push('!'); format!("{id} {body}") }
        };
        assert_eq!(got, "7 text!");
        let got = select! { Event::Data { ref body, .. } = data() => body.clone() };
        assert_eq!(got.as_deref(), Some("text"));
        let got = select! {
            Event::Pair(a, (mut b, [c, ref d])) = ready(Event::Pair(1, (2, [3, 4]))) => { b += 10; a + b + c + *d }
        };
        assert_eq!(got, 20);
        let got = select! {
            Event::Quit | Event::Pair(0..=9, ..) = ready(Event::Quit) => "short",
        };
        assert_eq!(got, "short");
        let text = "x".to_owned();
        #[allow(clippy::needless_borrowed_reference, reason = "the pattern is what is tested")]
        let got = select! { Some(&ref inner) = ready(Some(&text)) => inner.len() };
        assert_eq!(got, 1);
        let got = select! { Some(&n) = ready(Some(&5)) => n };
        assert_eq!(got, 5);
        let got = select! { mut n = ready(5) => { n += 1; n } };
        assert_eq!(got, 6);
        let got = select! { n @ (Ok::<u32, i32>(_) | Err(-1)) = ready(Err(-1)) => n };
        assert_eq!(got, Err(-1));
        let got = select! { Ok::<_, ()>(value) = ready(Ok(Box::new(3))) => *value };
        assert_eq!(got, 3);
    });
}

#[test]
fn an_output_that_does_not_fit_is_dropped_and_its_branch_is_out() {
    run(async {
        struct Counts(Arc<AtomicUsize>);
        impl Drop for Counts {
            fn drop(&mut self) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let refused = || ready(Err::<(), _>(Counts(Arc::clone(&dropped))));
        let taken = select! {
            biased;
            Ok(()) = refused() => unreachable!(),
            Ok(()) = refused() => unreachable!(),
            else => dropped.load(SeqCst),
        };
        assert_eq!(taken, 2);
        // With another branch left it is waited for.
        let taken = select! {
            Ok(()) = refused() => unreachable!(),
            _ = gmprt::yield_now() => "the other",
            else => unreachable!(),
        };
        assert_eq!(taken, "the other");
        // Without an else, a default is what is left; without both, nothing is.
        assert_eq!(select! { Ok(()) = refused() => 1, default => 2 }, 2);
    });
    let forever = async {
        select! { Ok::<(), ()>(()) = ready(Err(())) => () }
    };
    assert!(poll_once(forever).is_pending());
    assert!(
        poll_once(async {
            select! { _ = ready(()), if false => () }
        })
        .is_pending()
    );
    assert!(
        poll_once(async {
            select! {}
        })
        .is_pending()
    );
}

#[test]
fn a_guard_that_is_false_keeps_its_future_from_being_made() {
    run(async {
        let mut nothing: Option<chan::Receiver<u8>> = None;
        let got = select! {
            _ = nothing.as_mut().unwrap().recv(), if nothing.is_some() => 1,
            default => 2,
        };
        assert_eq!(got, 2);
    });
}

#[test]
fn guards_and_futures_are_evaluated_once_and_as_written() {
    let order = Cell::new(0);
    let at = |n: u32, step: u32| {
        assert_eq!(order.replace(step), n);
        true
    };
    let got = poll_once(async {
        select! {
            _ = { at(1, 2); pending::<()>() }, if at(0, 1) => 0,
            _ = { at(2, 3); pending::<()>() } => 1,
            _ = { at(4, 5); ready(()) }, if at(3, 4) => 2,
        }
    });
    assert_eq!((got, order.get()), (Poll::Ready(2), 5));
}

#[test]
fn all_futures_are_dropped_before_the_handler_runs() {
    struct Holds<'a>(&'a Cell<u32>, bool);
    impl Future for Holds<'_> {
        type Output = ();
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if self.1 { Poll::Ready(()) } else { Poll::Pending }
        }
    }
    impl Drop for Holds<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    let held = Cell::new(3);
    let got = poll_once(async {
        select! {
            () = Holds(&held, false) => unreachable!(),
            () = Holds(&held, true) => held.get(),
            () = Holds(&held, false) => unreachable!(),
        }
    });
    assert_eq!(got, Poll::Ready(0));
    // So the handler may borrow mutably what the futures had borrowed.
    run(async {
        let mut list = vec![1];
        select! {
            n = async { list.len() } => list.push(n),
        }
        assert_eq!(list, [1, 1]);
    });
}

#[test]
fn break_continue_return_and_question_mark_in_a_handler_are_the_functions() {
    async fn numbers(rx: chan::Receiver<Result<u32, String>>) -> Result<Vec<u32>, String> {
        let mut got = Vec::new();
        'outer: loop {
            for _ in 0..2 {
                select! {
                    Ok(item) = rx.recv() => match item? {
                        0 => continue,
                        9 => break,
                        99 => break 'outer,
                        n => got.push(n),
                    },
                    else => return Ok(vec![]),
                }
            }
            got.push(1000);
        }
        Ok(got)
    }
    let play = |items: &[Result<u32, String>]| {
        let (tx, rx) = chan::bounded(items.len());
        items.iter().for_each(|item| tx.try_send(item.clone()).unwrap());
        drop(tx);
        run(numbers(rx))
    };
    assert_eq!(play(&[Ok(1), Ok(0), Ok(9), Ok(2), Ok(99)]), Ok(vec![1, 1000, 1000, 2]));
    assert_eq!(play(&[Ok(1), Err("bad".to_owned())]), Err("bad".to_owned()));
    assert_eq!(play(&[Ok(1)]), Ok(vec![]));
}

#[test]
fn a_future_that_is_lent_goes_on_where_it_was() {
    run(async {
        let (tx, rx) = chan::bounded(0);
        let mut whole = Box::pin(async {
            let mut sum = 0;
            for _ in 0..3 {
                sum += rx.recv().await.unwrap();
            }
            sum
        });
        let mut sent = 0;
        let sum = loop {
            select! {
                biased;
                sum = &mut whole => break sum,
                Ok(()) = tx.send(10) => sent += 1,
            }
        };
        assert_eq!((sum, sent), (30, 3));
    });
}

#[test]
fn of_those_that_are_ready_each_is_taken_as_often_though_others_are_not() {
    run(async {
        let mut taken = [0; 4];
        for _ in 0..8000 {
            select! {
                () = ready(()) => taken[0] += 1,
                () = pending() => unreachable!(),
                () = ready(()) => taken[1] += 1,
                () = ready(()), if false => unreachable!(),
                () = pending() => unreachable!(),
                () = ready(()) => taken[2] += 1,
                () = ready(()) => taken[3] += 1,
            }
        }
        assert!(taken.iter().all(|count| (1700..2300).contains(count)), "{taken:?}");
        for _ in 0..100 {
            select! {
                biased;
                () = pending() => unreachable!(),
                () = ready(()) => {}
                () = ready(()) => unreachable!(),
            }
        }
    });
}

#[test]
fn a_branch_that_is_made_to_yield_has_not_been_refused() {
    let _watch = watch();
    // One P and a rival that never sleeps: after 10 ms of CPU the polls of this task are made to yield. A channel
    // that always holds something must not look empty because of that.
    let rt = runtime(1);
    let (tx, rx) = chan::bounded(1);
    let stop = Arc::new(AtomicUsize::new(0));
    let stops = Arc::clone(&stop);
    let rival = rt.spawn(async move {
        while stops.load(SeqCst) == 0 {
            gmprt::yield_now().await;
        }
    });
    let looks = rt.spawn(async move {
        let (began, mut yields) = (std::time::Instant::now(), 0);
        while began.elapsed() < Duration::from_millis(200) {
            tx.try_send(()).unwrap();
            let mut polls = 0;
            let mut look = pin!(async {
                select! {
                    biased;
                    Ok(()) = rx.recv() => true,
                    default => false,
                }
            });
            let full = poll_fn(|cx| {
                polls += 1;
                look.as_mut().poll(cx)
            });
            assert!(full.await, "it holds a value");
            yields += polls - 1;
        }
        yields
    });
    let yields = rt.block_on(looks).unwrap();
    stop.store(1, SeqCst);
    rt.block_on(rival).unwrap();
    println!("made to yield {yields} times");
}

#[test]
fn it_wakes_for_any_of_its_branches_and_leaves_none_behind() {
    let _watch = watch();
    for procs in [1, 4] {
        runtime(procs).block_on(async {
            let (tx1, rx1) = chan::bounded(0);
            let (tx2, rx2) = chan::bounded(0);
            let (done_tx, done_rx) = chan::bounded(0);
            gmprt::spawn(async move {
                let mut got = Vec::new();
                loop {
                    select! {
                        Ok(v) = rx1.recv() => got.push(v),
                        Ok(v) = rx2.recv() => got.push(v),
                        else => break,
                    }
                }
                done_tx.send(got).await.unwrap();
            });
            for n in 0..1000 {
                let tx = if n % 3 == 0 { &tx1 } else { &tx2 };
                tx.send(n).await.unwrap();
            }
            drop((tx1, tx2));
            // Each channel's in its order; of two that hold one either comes first.
            let (first, second): (Vec<_>, Vec<_>) =
                done_rx.recv().await.unwrap().into_iter().partition(|n| n % 3 == 0);
            assert_eq!(first, (0..1000).filter(|n| n % 3 == 0).collect::<Vec<_>>());
            assert_eq!(second, (0..1000).filter(|n| n % 3 != 0).collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_value_handed_to_a_branch_that_loses_goes_back() {
    let _watch = watch();
    run(async {
        let (tx1, rx1) = chan::bounded(1);
        let (tx2, rx2) = chan::bounded(1);
        let mut got = Vec::new();
        {
            let mut both = pin!(async {
                select! {
                    biased;
                    v = rx1.recv() => v.unwrap(),
                    v = rx2.recv() => v.unwrap(),
                }
            });
            assert!(poll_fn(|cx| Poll::Ready(both.as_mut().poll(cx))).await.is_pending());
            tx2.try_send(2).unwrap(); // handed straight to the receive that waits
            tx1.try_send(1).unwrap();
            got.push(both.await);
        }
        got.push(rx2.try_recv().unwrap());
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn it_has_room_for_32_branches() {
    let got = poll_once(async {
        select! {
            _ = pending::<()>() => 0, _ = pending::<()>() => 1, _ = pending::<()>() => 2, _ = pending::<()>() => 3,
            _ = pending::<()>() => 4, _ = pending::<()>() => 5, _ = pending::<()>() => 6, _ = pending::<()>() => 7,
            _ = pending::<()>() => 8, _ = pending::<()>() => 9, _ = pending::<()>() => 10, _ = pending::<()>() => 11,
            _ = pending::<()>() => 12, _ = pending::<()>() => 13, _ = pending::<()>() => 14, _ = pending::<()>() => 15,
            _ = pending::<()>() => 16, _ = pending::<()>() => 17, _ = pending::<()>() => 18, _ = pending::<()>() => 19,
            _ = pending::<()>() => 20, _ = pending::<()>() => 21, _ = pending::<()>() => 22, _ = pending::<()>() => 23,
            _ = pending::<()>() => 24, _ = pending::<()>() => 25, _ = pending::<()>() => 26, _ = pending::<()>() => 27,
            _ = pending::<()>() => 28, _ = pending::<()>() => 29, Some((a, [b, Some(ref _c)])) = ready(Some((1, [None, Some(2)]))) => a + b.unwrap_or(0),
            Ok(Event::Data { id, body: Some(mut body) }) | Err((id, mut body)) = ready(Err((31, "text".to_owned()))) => { body.clear(); id },
            default => 100,
        }
    });
    let Poll::Ready(got) = got else { panic!("two are ready") };
    assert!(got == 1 || got == 31, "{got}");
}

#[test]
fn it_works_on_another_executor_and_is_send() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio.block_on(is_send(async {
        let (tx, rx) = chan::bounded(1);
        let sent = select! { r = tx.send(5) => r.is_ok(), v = rx.recv() => v.is_err() };
        assert!(sent);
        assert_eq!(select! { Ok(v) = rx.recv() => v, default => 0 }, 5);
        assert_eq!(select! { Ok(v) = rx.recv() => v, default => 0 }, 0);
    }));
}

#[test]
fn a_timer_beside_a_channel_ends_the_wait() {
    let _watch = watch();
    run(async {
        let (_tx, rx) = chan::bounded::<()>(1);
        let late = select! {
            _ = rx.recv() => false,
            _ = time::sleep(Duration::from_millis(2)) => true,
        };
        assert!(late);
    });
}

const FIVE: u8 = 5;
const BRANCHES: usize = 7;

macro_rules! some {
    ($pattern:pat) => {
        Some($pattern)
    };
}

#[test]
fn any_pattern_will_do_and_no_name_of_the_macro_stands_in_its_way() {
    #![allow(non_upper_case_globals, dead_code)]
    static selected: u8 = 0;
    static output: u8 = 0;
    static branch: u8 = 0;
    run(async {
        select! { "a" = ready("a") => {}, else => unreachable!() }
        select! { b"ab" = ready(b"ab") => {}, else => unreachable!() }
        select! { FIVE = ready(5) => {}, else => unreachable!() }
        select! { u8::MAX = ready(255) => {}, else => unreachable!() }
        select! { Some(&FIVE) = ready(Some(&5)) => {}, else => unreachable!() }
        select! { Some(BRANCHES) = ready(Some(7)) => {}, else => unreachable!() }
        select! { Some(BRANCHES) = ready(Some(1)) => unreachable!(), else => {} }
        select! { some!(&x) = ready(Some(&3)) => assert_eq!(x, 3), else => unreachable!() }
        select! { -3..=-1 | 1.. = ready(-2) => {}, else => unreachable!() }
        select! { x @ (1 | 2) = ready(2) => assert_eq!(x, 2), else => unreachable!() }
        select! { Some(Some(ref mut x)) = ready(Some(Some(1))) => *x += 1, else => unreachable!() }
        let mut lent = 5;
        select! { Some(&mut ref mut x) = ready(Some(&mut lent)) => *x += 1, else => unreachable!() }
        assert_eq!(lent, 6);
    });
}

#[test]
fn a_macro_of_the_users_may_give_the_handler_as_an_expression() {
    macro_rules! first {
        ($pattern:pat = $future:expr => $handler:expr) => {
            select! { $pattern = $future => $handler, _ = pending::<()>() => unreachable!() }
        };
    }
    assert_eq!(run(async { first!(Some(x) = ready(Some(1)) => x + 1) }), 2);
}

/// `default` has to be asked again, though the leaf had a waker that wakes nobody.
#[test]
fn a_branch_that_yields_with_a_waker_of_its_own_is_polled_again() {
    let _watch = watch();
    let rt = runtime(1);
    let over = Arc::new(AtomicUsize::new(0));
    let stops = Arc::clone(&over);
    let rival = rt.spawn(async move {
        while stops.load(SeqCst) == 0 {
            gmprt::yield_now().await;
        }
    });
    let looks = rt.spawn(async move {
        let (_tx, rx) = chan::bounded::<()>(1);
        let began = std::time::Instant::now();
        let mut yields = 0;
        while yields == 0 && began.elapsed() < Duration::from_secs(2) {
            let mut polls = 0;
            let mut recv = pin!(rx.recv());
            select! {
                _ = poll_fn(|_| { polls += 1; recv.as_mut().poll(&mut Context::from_waker(Waker::noop())) }) => {}
                default => {}
            }
            yields += polls - 1;
        }
        yields
    });
    println!("made to yield {} times", rt.block_on(looks).unwrap());
    over.store(1, SeqCst);
    rt.block_on(rival).unwrap();
}
