//! Channels in a storm with cancellation: what was sent is received once, or dropped once.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Rng, runtime, sized, watch};
use gmprt::chan::{TryRecvError, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

/// What became of each value: received, or left in the channel to the end, or dropped.
struct Ledger {
    received: Vec<AtomicU8>,
    dropped: Vec<AtomicU8>,
}

/// A numbered value.
struct Item {
    number: usize,
    ledger: Arc<Ledger>,
    received: bool,
}

impl Drop for Item {
    fn drop(&mut self) {
        let column = if self.received { &self.ledger.received } else { &self.ledger.dropped };
        column[self.number].fetch_add(1, SeqCst);
    }
}

/// `crowd` senders of `each` values, and as many receivers; of the senders a quarter is aborted on the way, and of
/// the receivers, if that is asked for. Only without it do a sender's values reach each receiver in their order:
/// one that was handed to a receive that is then dropped goes to another, who may have a later one already.
fn storm(procs: usize, capacity: usize, crowd: usize, each: usize, of_both: bool, rng: &mut Rng) {
    let rt = runtime(procs);
    let column = || (0..crowd * each).map(|_| AtomicU8::new(0)).collect();
    let ledger = Arc::new(Ledger { received: column(), dropped: column() });
    let (tx, rx) = bounded::<Item>(capacity);
    let receivers: Vec<_> = (0..crowd)
        .map(|_| {
            let rx = rx.clone();
            rt.spawn(async move {
                let mut last = vec![None; crowd];
                while let Ok(mut item) = rx.recv().await {
                    item.received = true;
                    let (sender, number) = (item.number / each, Some(item.number));
                    assert!(of_both || last[sender] < number, "the values of one sender stay in their order");
                    last[sender] = number;
                }
            })
        })
        .collect();
    let senders: Vec<_> = (0..crowd)
        .map(|sender| {
            let (tx, ledger, with_permit) = (tx.clone(), Arc::clone(&ledger), sender % 2 == 0);
            rt.spawn(async move {
                for number in sender * each..(sender + 1) * each {
                    let item = Item { number, ledger: Arc::clone(&ledger), received: false };
                    if with_permit {
                        tx.reserve()
                            .await
                            .unwrap()
                            .send(item)
                            .unwrap_or_else(|_| panic!("receivers are there"));
                    } else {
                        tx.send(item).await.unwrap();
                    }
                }
            })
        })
        .collect();
    drop(tx);
    let waits: Vec<_> = (0..crowd / 4).map(|_| rng.below(200)).collect();
    let (doomed, rest): (Vec<_>, Vec<_>) = senders.into_iter().enumerate().partition(|(n, _)| n % 4 == 0);
    let (doomed_receivers, other_receivers): (Vec<_>, Vec<_>) =
        receivers.into_iter().enumerate().partition(|(n, _)| n % 4 == 1);
    rt.block_on(async {
        for ((wait, (_, sender)), (_, receiver)) in waits.into_iter().zip(&doomed).zip(&doomed_receivers) {
            for _ in 0..wait {
                gmprt::yield_now().await;
            }
            sender.abort();
            if of_both {
                receiver.abort();
            }
        }
        for (_, task) in rest.into_iter().chain(other_receivers) {
            task.await.unwrap();
        }
    });
    let mut cancelled = Vec::new();
    for (n, sender) in doomed {
        if let Err(error) = rt.block_on(sender) {
            assert!(error.is_cancelled());
            cancelled.push(n);
        }
    }
    for (_, receiver) in doomed_receivers {
        assert!(rt.block_on(receiver).map_or_else(|error| error.is_cancelled(), |()| true));
    }
    // Left is what was in the hands of a receive when that was cancelled, and all others had seen the end.
    let mut left = 0;
    while let Ok(mut item) = rx.try_recv() {
        item.received = true;
        left += 1;
    }
    assert!(matches!(rx.try_recv(), Err(TryRecvError::Closed)));
    assert!(left <= if of_both { crowd / 4 } else { 0 }, "{left} values were left to nobody");
    drop((rt, rx));
    for sender in 0..crowd {
        let mut ended = false;
        let mut dropped = 0;
        for number in sender * each..(sender + 1) * each {
            let (received, lost) =
                (ledger.received[number].load(SeqCst), ledger.dropped[number].load(SeqCst));
            match (received, lost) {
                (1, 0) => assert!(!ended, "{number} follows one that was never sent"),
                // With its cancelled send, and nothing was sent after it.
                (0, 1) => (dropped, ended) = (dropped + 1, true),
                (0, 0) => ended = true,
                other => panic!("value {number} was received and dropped {other:?} times"),
            }
        }
        assert!(dropped <= 1, "a send that is cancelled drops its own value only");
        assert!(
            !ended || cancelled.contains(&sender),
            "sender {sender} was not cancelled, and its values are lost"
        );
    }
}

#[test]
fn values_are_conserved_when_a_quarter_of_senders_and_receivers_is_aborted() {
    let _watch = watch();
    let mut rng = Rng::new();
    for procs in [1, 2, 4, 64] {
        for capacity in [0, 1, 3, 100] {
            for of_both in [false, true, false, true] {
                storm(procs, capacity, 16, sized(200, 2000), of_both, &mut rng);
            }
        }
    }
}
