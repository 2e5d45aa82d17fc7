//! What Go's own tests say of channels, in our words: `runtime/chan_test.go`, and the programs of `test/chan`. The name of
//! the Go test stands beside each. Those of `select` are in `select_go.rs`.
//!
//! Not here, and why:
//! - `TestShrinkStackDuringBlockedSend`, `TestNoShrinkStackWhileParking`, `TestSelectStackAdjust`, `test/chan/select7`'s
//!   `stackGrowth`: a task has no stack that moves. What stays of them, that a wait may move between threads, is
//!   in `values_arrive_while_tasks_wait_and_grow` below.
//! - `test/chan/perm.go`: it says which programs the compiler refuses (a send into a receive-only channel). Here the halves
//!   are two types, and what they lack is no method.
//! - `test/chan/zerosize.go`, the part that compares addresses: a channel of `()` has none.
//! - nil channels (`nonblock.go`, `select3.go`): there are none; a `select!` branch has a guard.
//! - `TestNonblockRecvRace`'s `close` and receive are there; its `select` is `try_recv`.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, runtime, sized, until_in_task, watch};
use gmprt::chan::{Receiver, RecvError, Sender, TryRecvError, TrySendError, bounded};
use std::any::Any;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};

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

// ---- runtime/chan_test.go: TestChan, part by part, with capacities that it goes through one by one ----

const CAPACITIES: [usize; 8] = [0, 1, 2, 3, 10, 63, 64, 199];

/// TestChan: "receive from empty chan blocks", "non-blocking receive does not block".
#[test]
fn a_receive_from_an_empty_channel_waits_and_try_recv_does_not() {
    on_ps(&[1, 4], || async {
        for capacity in CAPACITIES {
            let (tx, rx) = bounded(capacity);
            let received = Count::default();
            let tasks: Vec<_> = (0..2)
                .map(|_| {
                    let (rx, received) = (rx.clone(), received.clone());
                    gmprt::spawn(async move {
                        rx.recv().await.unwrap();
                        received.add();
                    })
                })
                .collect();
            breathe().await;
            assert_eq!((received.get(), rx.try_recv()), (0, Err(TryRecvError::Empty)));
            tx.send(0).await.unwrap();
            tx.send(0).await.unwrap();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(received.get(), 2);
        }
    });
}

/// TestChan: "send to full chan blocks", "non-blocking send does not block".
#[test]
fn a_send_into_a_full_channel_waits_and_try_send_does_not() {
    on_ps(&[1, 4], || async {
        for capacity in CAPACITIES {
            let (tx, rx) = bounded(capacity);
            for n in 0..capacity {
                tx.send(n).await.unwrap();
            }
            let sent = Count::default();
            let (late, done) = (tx.clone(), sent.clone());
            let task = gmprt::spawn(async move {
                late.send(0).await.unwrap();
                done.add();
            });
            breathe().await;
            assert_eq!((sent.get(), tx.try_send(9)), (0, Err(TrySendError::Full(9))));
            rx.recv().await.unwrap();
            task.await.unwrap();
            assert_eq!(sent.get(), 1);
        }
    });
}

/// TestChan: "we receive 0 from closed chan", "close unblocks receive".
#[test]
fn what_is_buffered_outlives_the_close_and_a_receive_that_waits_ends_with_it() {
    on_ps(&[1, 4], || async {
        for capacity in CAPACITIES {
            let (tx, rx) = bounded(capacity);
            for n in 0..capacity {
                tx.send(n).await.unwrap();
            }
            tx.close();
            for n in 0..capacity {
                assert_eq!(rx.recv().await, Ok(n));
            }
            assert_eq!((rx.recv().await, rx.try_recv()), (Err(RecvError), Err(TryRecvError::Closed)));

            let (tx, rx) = bounded::<u8>(capacity);
            let waits = gmprt::spawn(async move { rx.recv().await });
            breathe().await;
            tx.close();
            assert_eq!(waits.await.unwrap(), Err(RecvError));
        }
    });
}

/// TestChan: "Send 100 integers", "Send 1000 integers in 4 goroutines".
#[test]
fn integers_arrive_in_order_and_of_four_senders_all_arrive() {
    on_ps(&[1, 4], || async {
        for capacity in CAPACITIES {
            let (tx, rx) = bounded(capacity);
            let sender = tx.clone();
            gmprt::spawn(async move {
                for n in 0..100 {
                    sender.send(n).await.unwrap();
                }
            });
            for n in 0..100 {
                assert_eq!(rx.recv().await, Ok(n));
            }

            const P: usize = 4;
            let each = sized(250, 1000);
            for _ in 0..P {
                let tx = tx.clone();
                gmprt::spawn(async move {
                    for n in 0..each {
                        tx.send(n).await.unwrap();
                    }
                });
            }
            let (done, results) = bounded(0);
            for _ in 0..P {
                let (rx, done) = (rx.clone(), done.clone());
                gmprt::spawn(async move {
                    let mut seen = HashMap::new();
                    for _ in 0..each {
                        *seen.entry(rx.recv().await.unwrap()).or_insert(0) += 1;
                    }
                    done.send(seen).await.unwrap();
                });
            }
            let mut all = HashMap::new();
            for _ in 0..P {
                for (n, count) in results.recv().await.unwrap() {
                    *all.entry(n).or_insert(0) += count;
                }
            }
            assert_eq!(all.len(), each);
            assert!(all.values().all(|count| *count == P));
        }
    });
}

/// TestChan: "Test len/cap".
#[test]
fn len_and_capacity_are_what_was_put_in_and_what_was_asked_for() {
    for capacity in CAPACITIES {
        let (tx, rx) = bounded(capacity);
        assert_eq!((tx.len(), rx.len(), tx.capacity(), rx.capacity()), (0, 0, capacity, capacity));
        for n in 0..capacity {
            tx.try_send(n).unwrap();
        }
        assert_eq!(
            (tx.len(), rx.len(), tx.capacity(), rx.capacity()),
            (capacity, capacity, capacity, capacity)
        );
    }
}

/// TestNonblockRecvRace. Of two who want the one value the try may lose, but it is not told that the channel is merely
/// empty: there was a value until the channel was closed. (In Go the `<-c` after the close gets a zero value then.)
#[test]
fn a_try_beside_a_close_finds_the_value_or_the_close() {
    on_ps(&[1, 4], || async {
        for _ in 0..sized(2000, 10_000) {
            let (tx, rx) = bounded(1);
            tx.try_send(1).unwrap();
            let tries = rx.clone();
            let task = gmprt::spawn(async move { tries.try_recv() });
            tx.close();
            let got = rx.recv().await;
            let tried = task.await.unwrap();
            assert!(
                matches!((got, tried), (Ok(1), Err(TryRecvError::Closed)) | (Err(RecvError), Ok(1))),
                "{got:?}, {tried:?}"
            );
        }
    });
}

/// TestChanSendInterface: what is sent may be of any type behind an interface.
#[test]
fn a_channel_of_boxed_anything_takes_anything() {
    let (tx, rx) = bounded::<Box<dyn Any + Send>>(1);
    struct Mt;
    tx.try_send(Box::new(Mt)).unwrap();
    let back = tx.try_send(Box::new(7_u8)).unwrap_err().into_inner();
    assert_eq!(back.downcast_ref(), Some(&7_u8));
    assert!(rx.try_recv().unwrap().is::<Mt>());
}

/// TestMultiConsumer.
#[test]
fn what_many_consumers_pass_on_has_the_sum_of_what_was_fed() {
    const WORKERS: usize = 23;
    const PRIMES: [usize; 10] = [2, 3, 7, 11, 13, 17, 19, 23, 27, 31];
    on_ps(&[1, 4], || async {
        let rounds = sized(5000, 271_828);
        let (feed, work) = bounded(WORKERS * 3);
        let (pass, results) = bounded(WORKERS * 3);
        for who in 0..WORKERS {
            let (work, pass) = (work.clone(), pass.clone());
            gmprt::spawn(async move {
                while let Ok(v) = work.recv().await {
                    if PRIMES[who % PRIMES.len()] == v {
                        gmprt::yield_now().await;
                    }
                    pass.send(v).await.unwrap();
                }
            });
        }
        drop(pass);
        gmprt::spawn(async move {
            for n in 0..rounds {
                feed.send(PRIMES[n % PRIMES.len()]).await.unwrap();
            }
        });
        let (mut count, mut sum) = (0, 0);
        while let Ok(v) = results.recv().await {
            (count, sum) = (count + 1, sum + v);
        }
        assert_eq!((count, sum), (rounds, (0..rounds).map(|n| PRIMES[n % PRIMES.len()]).sum()));
    });
}

/// What is left of TestShrinkStackDuringBlockedSend and TestNoShrinkStackWhileParking: a send waits while its task is moved
/// about, and the receiver finds what was sent.
#[test]
fn values_arrive_while_tasks_wait_and_grow() {
    fn grow(depth: usize) -> usize {
        let large = std::hint::black_box([depth; 128]);
        if depth == 0 { 0 } else { large[7] + grow(depth - 1) }
    }
    on_ps(&[1, 4], || async {
        for _ in 0..20 {
            let (tx, rx) = bounded(0);
            let sender = gmprt::spawn(async move {
                for n in 0..10 {
                    tx.send((n, [n; 100])).await.unwrap();
                    assert_eq!(grow(20), 20 * 21 / 2);
                }
            });
            for n in 0..10 {
                gmprt::yield_now().await;
                assert_eq!(rx.recv().await, Ok((n, [n; 100])));
            }
            sender.await.unwrap();
        }
    });
}

// ---- test/chan/fifo.go ----

/// fifo.go: AsynchFifo.
#[test]
fn a_buffer_is_first_in_first_out() {
    on_ps(&[1], || async {
        let (tx, rx) = bounded(10);
        for n in 0..10 {
            tx.send(n).await.unwrap();
        }
        for n in 0..10 {
            assert_eq!(rx.recv().await, Ok(n));
        }
    });
}

/// fifo.go: SynchFifo. Each task of a chain receives once it is told to, and then tells the next.
#[test]
fn a_rendezvous_is_first_in_first_out_along_a_chain() {
    on_ps(&[1, 4], || async {
        let (tx, rx) = bounded(0);
        let (start, mut first) = bounded::<()>(0);
        for n in 0..10 {
            let (out, next) = bounded(0);
            let (rx, into) = (rx.clone(), std::mem::replace(&mut first, next));
            gmprt::spawn(async move {
                into.recv().await.unwrap();
                assert_eq!(rx.recv().await, Ok(n));
                out.send(()).await.unwrap();
            });
        }
        start.send(()).await.unwrap();
        for n in 0..10 {
            tx.send(n).await.unwrap();
        }
        first.recv().await.unwrap();
    });
}

/// chan1.go: one counter behind a channel that many use, each number is given once.
#[test]
fn a_counter_behind_a_channel_gives_each_number_once() {
    on_ps(&[1, 4], || async {
        const N: usize = 1000; // sent messages
        const M: usize = 10; // receiving tasks
        const W: usize = 2; // channel buffering
        let seen: Arc<Vec<_>> = Arc::new((0..N).map(|_| AtomicUsize::new(0)).collect());
        let (tx, rx) = bounded(W);
        let tasks: Vec<_> = (0..M)
            .map(|_| {
                let (rx, seen) = (rx.clone(), Arc::clone(&seen));
                gmprt::spawn(async move {
                    while let Ok(n) = rx.recv().await {
                        let n: usize = n;
                        assert_eq!(seen[n].fetch_add(1, SeqCst), 0, "{n} was received twice");
                    }
                })
            })
            .collect();
        for n in 0..N {
            tx.send(n).await.unwrap();
        }
        drop(tx);
        for task in tasks {
            task.await.unwrap();
        }
        assert!(seen.iter().all(|count| count.load(SeqCst) == 1));
    });
}

/// goroutines.go: a chain of 10 000 tasks, each of which adds nothing but a step.
#[test]
fn a_value_goes_through_ten_thousand_tasks() {
    on_ps(&[1, 4], || async {
        let (leftmost, mut right) = bounded(0);
        for _ in 0..10_000 {
            let (tx, rx) = bounded(0);
            let from = std::mem::replace(&mut right, rx);
            gmprt::spawn(async move { tx.send(from.recv().await.unwrap() + 1).await.unwrap() });
        }
        leftmost.send(0).await.unwrap();
        assert_eq!(right.recv().await, Ok(10_000));
    });
}

/// nonblock.go: a try fails on an empty or full channel, and succeeds as soon as the other side waits or has room.
#[test]
fn a_try_succeeds_as_soon_as_the_other_side_is_there() {
    on_ps(&[1, 4], || async {
        for capacity in [0, 1] {
            let (tx, rx) = bounded(capacity);
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
            let sender = tx.clone();
            gmprt::spawn(async move { sender.send(123).await });
            let mut got = None;
            while got.is_none() {
                got = rx.try_recv().ok();
                gmprt::yield_now().await;
            }
            assert_eq!(got, Some(123));

            for _ in 0..capacity {
                tx.try_send(0).unwrap();
            }
            assert_eq!(tx.try_send(234), Err(TrySendError::Full(234)));
            let receiver = rx.clone();
            let receives = gmprt::spawn(async move {
                for _ in 0..capacity {
                    receiver.recv().await.unwrap();
                }
                receiver.recv().await
            });
            until_in_task(|| tx.try_send(234).is_ok()).await;
            assert_eq!(receives.await.unwrap(), Ok(234));
        }
    });
}

/// sendstmt.go: a value is made before the send begins, and once.
#[test]
fn what_is_sent_is_computed_before_the_send() {
    on_ps(&[1], || async {
        let (tx, rx) = bounded(1);
        let asked = AtomicUsize::new(0);
        let send = tx.send(asked.fetch_add(1, SeqCst) == 0);
        assert_eq!((asked.load(SeqCst), tx.len()), (1, 0), "computed, and not sent");
        send.await.unwrap();
        assert_eq!((rx.recv().await, asked.load(SeqCst)), (Ok(true), 1));
    });
}

/// zerosize.go: channels of nothing work as others do.
#[test]
fn values_without_a_size_are_counted_and_handed_over() {
    on_ps(&[1], || async {
        for capacity in [0, 2, usize::MAX] {
            let (tx, rx) = bounded(capacity);
            let sender = gmprt::spawn(async move {
                for _ in 0..100 {
                    tx.send(()).await.unwrap();
                }
            });
            let mut count = 0;
            while rx.recv().await.is_ok() {
                count += 1;
            }
            sender.await.unwrap();
            assert_eq!(count, 100);
        }
    });
}

// ---- test/closedchan.go and test/chan/select3.go: which operations wait ----

/// closedchan.go, with errors where Go panics.
#[test]
fn a_closed_channel_refuses_each_send_and_gives_what_it_holds() {
    on_ps(&[1], || async {
        for capacity in [0, 1, 5] {
            let (tx, rx) = bounded(capacity);
            for n in 0..capacity {
                tx.try_send(n).unwrap();
            }
            assert!(tx.close());
            assert!(!tx.close(), "Go panics: close of closed channel");
            assert_eq!(tx.send(9).await.unwrap_err().into_inner(), 9, "Go panics: send on closed channel");
            assert_eq!(tx.try_send(9), Err(TrySendError::Closed(9)));
            assert!(tx.reserve().await.is_err() && tx.try_reserve().is_err());
            for n in 0..capacity {
                assert_eq!(if n % 2 == 0 { rx.recv().await.ok() } else { rx.try_recv().ok() }, Some(n));
            }
            for _ in 0..3 {
                assert_eq!((rx.recv().await, rx.try_recv()), (Err(RecvError), Err(TryRecvError::Closed)));
            }
        }
    });
}

/// select3.go: its list of what blocks, for single operations.
#[test]
fn what_waits_and_what_does_not() {
    fn waits<F: Future>(future: F) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }
    let (tx, rx) = bounded(0);
    assert!(waits(tx.send(1)) && waits(rx.recv()), "a rendezvous with nobody there");
    let (tx, rx) = bounded(10);
    assert!(waits(rx.recv()), "empty");
    assert!(!waits(tx.send(1)), "room");
    assert!(!waits(rx.recv()), "a value");
    (0..10).for_each(|n| tx.try_send(n).unwrap());
    assert!(waits(tx.send(1)), "full");
    tx.close();
    assert!(!waits(tx.send(1)) && !waits(rx.recv()), "closed");
}

// ---- test/chan/sieve1.go, sieve2.go, powser1.go ----

/// sieve1.go: a chain of filters, one for each prime.
#[test]
fn a_chain_of_filters_finds_the_primes() {
    const PRIMES: [usize; 25] =
        [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97];
    async fn filter(from: Receiver<usize>, into: Sender<usize>, prime: usize) {
        while let Ok(n) = from.recv().await {
            if n % prime != 0 && into.send(n).await.is_err() {
                return;
            }
        }
    }
    on_ps(&[1, 4], || async {
        let (tx, mut numbers) = bounded(0);
        let generator = gmprt::spawn(async move {
            for n in 2.. {
                if tx.send(n).await.is_err() {
                    break;
                }
            }
        });
        for prime in PRIMES {
            assert_eq!(numbers.recv().await, Ok(prime));
            let (tx, rx) = bounded(0);
            gmprt::spawn(filter(std::mem::replace(&mut numbers, rx), tx, prime));
        }
        // In Go they wait for ever; here the loss of the last receiver ends them, one after the other.
        drop(numbers);
        generator.await.unwrap();
    });
}

/// sieve2.go: the multiples of each prime come from channels that are merged, with buffers.
#[test]
fn merged_channels_of_multiples_leave_the_primes() {
    on_ps(&[1, 4], || async {
        let (tx, primes) = bounded(10);
        gmprt::spawn(async move {
            let mut heads: Vec<(usize, Receiver<usize>)> = Vec::new();
            for n in 2.. {
                let mut composite = false;
                for (head, rest) in &mut heads {
                    while *head < n {
                        let Ok(next) = rest.recv().await else { return }; // the runtime ends
                        *head = next;
                    }
                    composite |= *head == n;
                }
                if composite {
                    continue;
                }
                let (multiples, rest) = bounded(10);
                gmprt::spawn(async move {
                    for k in n.. {
                        if multiples.send(k * n).await.is_err() {
                            break;
                        }
                    }
                });
                let Ok(head) = rest.recv().await else { return };
                heads.push((head, rest));
                if tx.send(n).await.is_err() {
                    break;
                }
            }
        });
        for prime in [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71] {
            assert_eq!(primes.recv().await, Ok(prime));
        }
    });
}

/// powser1.go: power series as channels of coefficients, on demand: `exp` solves `y' = y`, and its product with itself
/// doubles the exponent.
#[test]
fn power_series_are_streams_of_coefficients() {
    type Series = Receiver<f64>;

    /// A series whose terms a task makes.
    fn series<F: Future<Output = ()> + Send + 'static>(make: impl FnOnce(Sender<f64>) -> F) -> Series {
        let (tx, rx) = bounded(0);
        gmprt::spawn(make(tx));
        rx
    }

    /// The terms go to both; each at its own pace.
    fn split(from: Series) -> (Series, Series) {
        let ((tx1, rx1), (tx2, rx2)) = (bounded(100), bounded(100));
        gmprt::spawn(async move {
            while let Ok(term) = from.recv().await {
                if tx1.send(term).await.is_err() | tx2.send(term).await.is_err() {
                    break;
                }
            }
        });
        (rx1, rx2)
    }

    fn product(a: Series, b: Series) -> Series {
        series(|tx| async move {
            let (mut left, mut right) = (Vec::new(), Vec::new());
            while let (Ok(x), Ok(y)) = (a.recv().await, b.recv().await) {
                left.push(x);
                right.push(y);
                let term = left.iter().zip(right.iter().rev()).map(|(x, y)| x * y).sum();
                if tx.send(term).await.is_err() {
                    break;
                }
            }
        })
    }

    /// c + the integral.
    fn integral(a: Series, c: f64) -> Series {
        series(move |tx| async move {
            let mut next = c;
            for n in 1.. {
                if tx.send(next).await.is_err() {
                    break;
                }
                let Ok(term) = a.recv().await else { break };
                next = term / f64::from(n);
            }
        })
    }

    on_ps(&[1, 4], || async {
        // y = 1 + ∫ y: the series is fed with itself.
        let (back, fed) = bounded(100);
        let (mine, again) = split(integral(fed, 1.0));
        gmprt::spawn(async move {
            while let Ok(term) = again.recv().await {
                if back.send(term).await.is_err() {
                    break;
                }
            }
        });
        let (a, b) = split(mine);
        let squared = product(a, b);
        let mut expected = 1.0;
        for n in 0..10 {
            let term = squared.recv().await.unwrap();
            assert!((term - expected).abs() < 1e-9, "term {n} of exp(2x): {term}, not {expected}");
            expected *= 2.0 / f64::from(n + 1);
        }
    });
}
