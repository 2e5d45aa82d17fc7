//! What Go's own tests say of `select`, in our words: `runtime/chan_test.go`, and the programs of `test/chan`. The name of
//! the Go test stands beside each. Those of single operations are in `chan_go.rs`.
//!
//! Not here, and why:
//! - `TestSelectStackAdjust`, `stackGrowth` of `select7.go`: a task has no stack that moves.
//! - `select2.go`: it looks for a leak of the collector's. To wait allocates nothing here.
//! - `select8.go`: `break` out of a `select` itself, and labels for it. A handler is an expression; what leaves it leaves
//!   the loop round it (`a_handler_may_leave_the_loop_round_the_select`).
//! - "self receive" of `TestSelfSelect`: Go never lets a `select` receive what it sends itself, for it takes part in both
//!   as one. Here the two futures are strangers, and may meet (`a_select_may_meet_itself_and_nothing_is_lost`).

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{runtime, sized, watch};
use gmprt::chan::{Receiver, Sender, TryRecvError, bounded};
use gmprt::select;
use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Runs on each number of Ps.
fn on_ps<F: Future<Output = ()>>(procs: &[usize], program: impl Fn() -> F) {
    let _watch = watch();
    for procs in procs {
        runtime(*procs).block_on(program());
    }
}

/// Lets others run for a while, where the Go test sleeps for a millisecond so that they do.
async fn breathe() {
    for _ in 0..10 {
        gmprt::yield_now().await;
    }
}

// ---- runtime/chan_test.go ----

/// TestNonblockSelectRace. From the spawn on, one of the two has a value at each moment; so `default` is wrong.
#[test]
fn a_select_with_default_sees_its_channels_at_one_moment() {
    on_ps(&[1, 2, 4], || async {
        for _ in 0..sized(10_000, 100_000) {
            let ((tx1, rx1), (tx2, rx2)) = (bounded(1), bounded(1));
            tx1.try_send(1).unwrap();
            let (first, second) = (rx1.clone(), rx2.clone());
            let task = gmprt::spawn(async move {
                select! {
                    v = first.recv() => v.is_ok(),
                    v = second.recv() => v.is_ok(),
                    default => false,
                }
            });
            tx2.try_send(1).unwrap();
            let _ = rx1.try_recv();
            assert!(task.await.unwrap(), "a channel is ready");
            drop((tx1, tx2, rx2));
        }
    });
}

/// TestNonblockSelectRace2: a close instead of the second value.
#[test]
fn a_select_with_default_sees_a_value_or_the_close_that_came_before_it_went() {
    on_ps(&[1, 2, 4], || async {
        for _ in 0..sized(10_000, 100_000) {
            let ((tx1, rx1), (tx2, rx2)) = (bounded(1), bounded::<u8>(0));
            tx1.try_send(1).unwrap();
            let first = rx1.clone();
            let task = gmprt::spawn(async move {
                select! {
                    v = first.recv() => v.is_ok(),
                    v = rx2.recv() => v.is_err(),
                    default => false,
                }
            });
            tx2.close();
            let _ = rx1.try_recv();
            assert!(task.await.unwrap(), "a channel is ready");
            drop(tx1);
        }
    });
}

/// TestSelfSelect: a send and a receive on one channel, in either order, in two tasks. A third gives and takes without
/// waiting, so that the two end although one of them ends first.
#[test]
fn a_select_may_meet_itself_and_nothing_is_lost() {
    on_ps(&[1, 2], || async {
        for capacity in [0, 10] {
            let (tx, rx) = bounded(capacity);
            let (sent, received) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let count = |counter: &AtomicUsize| _ = counter.fetch_add(1, SeqCst);
            let tasks: Vec<_> = (0..2)
                .map(|who| {
                    let (tx, rx) = (tx.clone(), rx.clone());
                    let (sent, received) = (Arc::clone(&sent), Arc::clone(&received));
                    gmprt::spawn(async move {
                        for n in 0..1000 {
                            // Who counts reserves: a send that loses may have been served.
                            let came = if who == 0 || n % 2 == 0 {
                                select! {
                                    permit = tx.reserve() => Err(permit),
                                    v = rx.recv() => Ok(v),
                                }
                            } else {
                                select! {
                                    v = rx.recv() => Ok(v),
                                    permit = tx.reserve() => Err(permit),
                                }
                            };
                            match came {
                                Ok(v) => {
                                    assert!(v.unwrap() < 3);
                                    count(&received);
                                }
                                Err(permit) => {
                                    permit.unwrap().send(who).unwrap();
                                    count(&sent);
                                }
                            }
                        }
                    })
                })
                .collect();
            let third = {
                let (tx, rx) = (tx.clone(), rx.clone());
                let (sent, received) = (Arc::clone(&sent), Arc::clone(&received));
                gmprt::spawn(async move {
                    while !tx.is_closed() {
                        if rx.try_recv().is_ok() {
                            count(&received);
                        }
                        if tx.try_send(2).is_ok() {
                            count(&sent);
                        }
                        gmprt::yield_now().await;
                    }
                })
            };
            for task in tasks {
                task.await.unwrap();
            }
            tx.close();
            third.await.unwrap();
            let left = std::iter::from_fn(|| rx.try_recv().ok()).count();
            assert_eq!(sent.load(SeqCst), received.load(SeqCst) + left);
        }
    });
}

/// TestSelectStress.
#[test]
fn selects_and_single_operations_in_a_crowd_end() {
    on_ps(&[1, 4, 10], || async {
        let each = sized(1000, 10_000);
        let channels = Arc::new([bounded(0), bounded(0), bounded(2), bounded(3)]);
        let (mut tasks, received) = (Vec::new(), Arc::new(AtomicUsize::new(0)));
        for k in 0..4 {
            let (tx, rx) = channels[k].clone();
            tasks.push(gmprt::spawn(async move {
                for _ in 0..each {
                    tx.send(()).await.unwrap();
                }
            }));
            let received = Arc::clone(&received);
            tasks.push(gmprt::spawn(async move {
                for _ in 0..each {
                    rx.recv().await.unwrap();
                    received.fetch_add(1, SeqCst);
                }
            }));
        }
        // A send that loses may have been served: who counts reserves.
        let all = Arc::clone(&channels);
        tasks.push(gmprt::spawn(async move {
            let mut n = [0; 4];
            for _ in 0..4 * each {
                let (k, permit) = select! {
                    p = all[3].0.reserve(), if n[3] < each => (3, p),
                    p = all[2].0.reserve(), if n[2] < each => (2, p),
                    p = all[0].0.reserve(), if n[0] < each => (0, p),
                    p = all[1].0.reserve(), if n[1] < each => (1, p),
                };
                permit.unwrap().send(()).unwrap();
                n[k] += 1;
            }
        }));
        let (all, count) = (Arc::clone(&channels), Arc::clone(&received));
        tasks.push(gmprt::spawn(async move {
            let mut n = [0; 4];
            for _ in 0..4 * each {
                let k = select! {
                    Ok(()) = all[0].1.recv(), if n[0] < each => 0,
                    Ok(()) = all[1].1.recv(), if n[1] < each => 1,
                    Ok(()) = all[2].1.recv(), if n[2] < each => 2,
                    Ok(()) = all[3].1.recv(), if n[3] < each => 3,
                };
                n[k] += 1;
                count.fetch_add(1, SeqCst);
            }
        }));
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(received.load(SeqCst), 8 * each);
        assert!(channels.iter().all(|(_, rx)| rx.is_empty()));
    });
}

/// TestSelectFairness: two that are always ready beside two that never are, within ten standard deviations.
#[test]
fn of_two_that_are_ready_each_is_taken_as_often() {
    on_ps(&[1, 4], || async {
        let trials = sized(2000, 10_000);
        let ((tx1, rx1), (tx2, rx2)) = (bounded(trials + 1), bounded(trials + 1));
        for _ in 0..=trials {
            tx1.try_send(1).unwrap();
            tx2.try_send(2).unwrap();
        }
        let ((_tx3, rx3), (_tx4, rx4)) = (bounded(0), bounded(0));
        let ((out, results), (done, stop)) = (bounded(0), bounded::<()>(0));
        let task = gmprt::spawn(async move {
            loop {
                let b = select! {
                    b = rx3.recv() => b,
                    b = rx4.recv() => b,
                    b = rx1.recv() => b,
                    b = rx2.recv() => b,
                };
                select! {
                    r = out.send(b.unwrap()) => r.unwrap(),
                    _ = stop.recv() => break,
                }
            }
        });
        let mut counts = [0_usize; 2];
        for _ in 0..trials {
            match results.recv().await {
                Ok(n @ (1 | 2)) => counts[n - 1] += 1,
                other => panic!("{other:?}"),
            }
        }
        let deviation = (trials as f64 * 0.25).sqrt();
        assert!((counts[0] as f64 - trials as f64 / 2.0).abs() < 10.0 * deviation, "{counts:?}");
        drop(done);
        task.await.unwrap();
    });
}

/// TestChanSendInterface: a select that could send either, or neither.
#[test]
fn a_select_sends_one_of_two_boxes_or_takes_default() {
    on_ps(&[1], || async {
        let (tx, rx) = bounded::<Box<dyn Any + Send>>(1);
        for round in 0..2 {
            let sent = select! {
                r = tx.send(Box::new(1_u8)) => { r.unwrap(); true }
                r = tx.send(Box::new("two")) => { r.unwrap(); true }
                default => false,
            };
            assert_eq!(sent, round == 0);
        }
        assert_eq!(rx.len(), 1);
    });
}

/// TestPseudoRandomSend. On a rendezvous channel both sends are in line when the receiver comes, and the first of them is
/// served: that it is either is due to the random order in which they are polled. The send that loses may have been
/// served, so there is more than one value a round: what counts is that both kinds come.
#[test]
fn a_select_between_two_sends_into_one_channel_sends_either() {
    on_ps(&[1, 4], || async {
        const N: usize = 100;
        for capacity in [0, N] {
            let (tx, rx) = bounded(capacity);
            let receiver = gmprt::spawn(async move {
                let mut counts = [0; 2];
                for _ in 0..N {
                    gmprt::yield_now().await;
                    let n: usize = rx.recv().await.unwrap();
                    counts[n] += 1;
                }
                counts
            });
            for _ in 0..N {
                select! {
                    _ = tx.send(1) => {}
                    _ = tx.send(0) => {}
                }
            }
            let counts = receiver.await.unwrap();
            assert!(counts.iter().all(|count| *count > N / 10), "{counts:?}, capacity {capacity}");
        }
    });
}

/// TestSelectDuplicateChannel: one task waits twice in one line, leaves it because of another channel, and the next in
/// that line is served.
#[test]
fn a_channel_may_stand_twice_in_one_select() {
    on_ps(&[1, 4], || async {
        let ((c, on_c), (d, on_d), (e, on_e)) = (bounded(0), bounded(0), bounded(0));
        let twice = on_c.clone();
        let a = gmprt::spawn(async move {
            select! {
                _ = twice.recv() => panic!("nothing was sent there yet"),
                _ = twice.recv() => panic!("nothing was sent there yet"),
                _ = on_d.recv() => {}
            }
            e.send(9).await.unwrap();
        });
        breathe().await;
        let b = gmprt::spawn(async move { on_c.recv().await });
        breathe().await;
        d.send(7).await.unwrap();
        assert_eq!(on_e.recv().await, Ok(9));
        c.send(8).await.unwrap();
        assert_eq!(b.await.unwrap(), Ok(8));
        a.await.unwrap();
    });
}

// ---- test/chan ----

/// doubleselect.go: a select that could send one number into any of several channels sends it into one. Here that is
/// done with permits: of sends that lose, one may have been served too (see the docs of `select!`).
#[test]
fn a_number_goes_into_one_of_several_channels() {
    on_ps(&[2], || async {
        let rounds = sized(2000, 100_000);
        let channels: Vec<(Sender<usize>, Receiver<usize>)> = (0..4).map(|_| bounded(0)).collect();
        let senders: Vec<_> = channels.iter().map(|(tx, _)| tx.clone()).collect();
        let (done, mux) = bounded(0);
        for (_, rx) in channels {
            let done = done.clone();
            gmprt::spawn(async move {
                while let Ok(n) = rx.recv().await {
                    done.send(n).await.unwrap();
                }
            });
        }
        drop(done);
        gmprt::spawn(async move {
            for n in 0..rounds {
                let permit = select! {
                    p = senders[0].reserve() => p,
                    p = senders[1].reserve() => p,
                    p = senders[2].reserve() => p,
                    p = senders[3].reserve() => p,
                };
                permit.unwrap().send(n).unwrap();
            }
        });
        let mut seen = vec![false; rounds];
        while let Ok(n) = mux.recv().await {
            assert!(!std::mem::replace(&mut seen[n], true), "{n} came twice");
        }
        assert!(seen.iter().all(|seen| *seen));
    });
}

/// select.go: a select that sends a counter into two channels, one of which is nil now and then.
#[test]
fn a_branch_with_a_false_guard_is_a_nil_channel() {
    on_ps(&[1, 4], || async {
        let ((a, from_a), (b, from_b)) = (bounded(0), bounded(0));
        let sender = gmprt::spawn(async move {
            let (mut n, mut open) = (0_usize, [true, true]);
            loop {
                let sent = select! {
                    p = a.reserve(), if open[0] => p.map(|p| { p.send(n).unwrap(); open[0] = false }),
                    p = b.reserve(), if open[1] => p.map(|p| { p.send(n).unwrap(); open[1] = false }),
                    else => { open = [true, true]; continue }
                };
                if sent.is_err() {
                    return n;
                }
                n += 1;
            }
        });
        let mut last = [None, None];
        for _ in 0..100 {
            for (place, rx) in [&from_a, &from_b].into_iter().enumerate() {
                let n = rx.recv().await.unwrap();
                assert!(last[place] < Some(n));
                last[place] = Some(n);
            }
            assert!(last[0].unwrap().abs_diff(last[1].unwrap()) <= 3, "they take turns");
        }
        drop((from_a, from_b));
        assert!(sender.await.unwrap() >= 200);
    });
}

/// select3.go: which selects wait. One that does takes `default`, if it has one.
#[test]
fn what_waits_takes_default_and_what_does_not_does_not() {
    async fn waits(tx: Option<&Sender<u8>>, rx: Option<&Receiver<u8>>) -> bool {
        let nobody = bounded(0);
        let (to, from) = (tx.unwrap_or(&nobody.0), rx.unwrap_or(&nobody.1));
        select! {
            _ = to.send(1), if tx.is_some() => false,
            _ = from.recv(), if rx.is_some() => false,
            default => true,
        }
    }
    on_ps(&[1], || async {
        let (nil_tx, nil_rx) = (None, None);
        assert!(waits(nil_tx, nil_rx).await, "nothing to wait for");
        let (tx, rx) = bounded(0);
        assert!(waits(Some(&tx), nil_rx).await && waits(nil_tx, Some(&rx)).await, "nobody is there");
        let (tx, rx) = bounded(10);
        assert!(waits(nil_tx, Some(&rx)).await, "empty");
        assert!(!waits(Some(&tx), nil_rx).await, "room");
        assert!(!waits(nil_tx, Some(&rx)).await, "a value");
        (0..10).for_each(|n| tx.try_send(n).unwrap());
        assert!(waits(Some(&tx), nil_rx).await, "full");
        let (other, open) = bounded(1);
        assert!(!waits(Some(&other), nil_rx).await, "one of two");
        assert!(!waits(Some(&tx), Some(&open)).await, "one of two");
        tx.close();
        assert!(!waits(Some(&tx), nil_rx).await, "closed");
        while rx.try_recv() != Err(TryRecvError::Closed) {}
        assert!(!waits(nil_tx, Some(&rx)).await, "closed and empty");
    });
}

/// select4.go: where the received value goes is found out only if that branch is taken.
#[test]
fn the_handler_of_a_branch_that_is_not_taken_does_nothing() {
    on_ps(&[1], || async {
        let ((tx, rx), (_idle, idle_rx)) = (bounded(1), bounded::<u8>(0));
        tx.try_send(42).unwrap();
        let calls = RefCell::new(Vec::new());
        let place = |name| calls.borrow_mut().push(name);
        select! {
            v = rx.recv() => { place("taken"); assert_eq!(v, Ok(42)) }
            _ = idle_rx.recv() => place("not taken"),
        }
        assert_eq!(*calls.borrow(), ["taken"]);
    });
}

/// select5.go: channels and values are evaluated once, top to bottom, whichever branch is taken.
#[test]
fn operands_are_evaluated_once_and_from_top_to_bottom() {
    on_ps(&[1], || async {
        for _ in 0..50 {
            let ((tx, rx), (full, _full_rx)) = (bounded(3), bounded(0));
            let trace = RefCell::new(Vec::new());
            fn note<'a, T>(trace: &RefCell<Vec<&'static str>>, name: &'static str, what: &'a T) -> &'a T {
                trace.borrow_mut().push(name);
                what
            }
            let n = |name, n: i32| *note(&trace, name, &n);
            tx.try_send(7).unwrap();
            select! {
                r = note(&trace, "full", &full).send(n("a", 1)) => panic!("{r:?}"),
                v = note(&trace, "rx", &rx).recv() => { v.unwrap(); n("received", 0); }
                r = note(&trace, "tx", &tx).send(n("b", 2)) => { r.unwrap(); n("sent", 0); }
                _ = note(&trace, "nil", &rx).recv(), if n("guard", 0) == 1 => panic!("it is not waited for"),
            }
            let trace = trace.into_inner();
            // A guard comes first: the future of a false one is not made at all.
            assert_eq!(trace[..trace.len() - 1], ["full", "a", "rx", "tx", "b", "guard"]);
            assert!(matches!(trace[6..], ["received"] | ["sent"]));
        }
    });
}

/// select6.go (issue 2075): a select that leaves the line must not leave a hole behind those in front of it.
#[test]
fn a_select_that_leaves_the_line_leaves_the_others_in_it() {
    on_ps(&[1, 4], || async {
        let ((c1, on_c1), (_c2, on_c2)) = (bounded(0), bounded::<u8>(0));
        let (c3, on_c3) = bounded(0);
        let first = on_c1.clone();
        let a = gmprt::spawn(async move { first.recv().await });
        breathe().await;
        let second = on_c1.clone();
        let b = gmprt::spawn(async move {
            select! {
                _ = second.recv() => panic!("dequeued too soon"),
                _ = on_c2.recv() => panic!("nothing is sent there"),
                v = on_c3.recv() => v.unwrap(),
            }
        });
        breathe().await;
        c3.send(3).await.unwrap();
        assert_eq!(b.await.unwrap(), 3);
        let last = gmprt::spawn(async move { on_c1.recv().await });
        breathe().await;
        c1.send(1).await.unwrap();
        c1.send(2).await.unwrap();
        // Who came first is not certain where a P may be taken away in between.
        let mut got = [a.await.unwrap().unwrap(), last.await.unwrap().unwrap()];
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

/// select7.go: each way to receive meets each way to send.
#[test]
fn each_way_to_receive_meets_each_way_to_send() {
    async fn receive(way: usize, rx: Receiver<u32>) -> u32 {
        let (_idle, idle_rx) = bounded::<u32>(0);
        match way {
            0 => rx.recv().await.unwrap(),
            1 => loop {
                select! {
                    v = rx.recv() => break v.unwrap(),
                    default => gmprt::yield_now().await,
                }
            },
            2 => select! { v = rx.recv() => v.unwrap() },
            3 => select! { v = rx.recv() => v.unwrap(), v = idle_rx.recv() => v.unwrap() },
            _ => loop {
                match rx.try_recv() {
                    Ok(v) => break v,
                    Err(_) => gmprt::yield_now().await,
                }
            },
        }
    }
    async fn send(way: usize, tx: Sender<u32>) {
        let (idle, _idle_rx) = bounded::<u32>(0);
        match way {
            0 => tx.send(1).await.unwrap(),
            1 => loop {
                // With `default` a send that waits for a moment is dropped: it must not be tried again if it was served.
                select! {
                    p = tx.reserve() => break p.unwrap().send(1).unwrap(),
                    default => gmprt::yield_now().await,
                }
            },
            2 => select! { r = tx.send(1) => r.unwrap() },
            3 => select! { r = tx.send(1) => r.unwrap(), r = idle.send(2) => r.unwrap() },
            _ => {
                while tx.try_send(1).is_err() {
                    gmprt::yield_now().await;
                }
            }
        }
    }
    on_ps(&[1, 4], || async {
        for receiving in 0..5 {
            for sending in 0..5 {
                // Two that only try at a rendezvous never meet, in Go neither.
                let tries = |way| way == 1 || way == 4;
                for capacity in usize::from(tries(receiving) && tries(sending))..3 {
                    let (tx, rx) = bounded(capacity);
                    let receiver = gmprt::spawn(receive(receiving, rx));
                    let sender = gmprt::spawn(send(sending, tx));
                    assert_eq!(receiver.await.unwrap(), 1);
                    sender.await.unwrap();
                }
            }
        }
    });
}

/// select8.go.
#[test]
fn a_handler_may_leave_the_loop_round_the_select() {
    on_ps(&[1], || async {
        let (tx, rx) = bounded(2);
        tx.try_send(1).unwrap();
        let (mut rounds, mut turns) = (0, 0);
        'outer: loop {
            rounds += 1;
            loop {
                turns += 1;
                select! {
                    v = rx.recv() => match v {
                        Ok(1) => continue,
                        _ => break 'outer,
                    },
                    default => break,
                }
            }
            tx.try_send(2).unwrap();
        }
        assert_eq!((rounds, turns), (2, 3));
    });
}
