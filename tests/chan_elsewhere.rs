//! The same channels under other roofs: what they promise holds on our executor with one P and with four, on both of
//! tokio's, and on threads that have nothing but a parker. And between them: tasks on one side, threads on the other.
//!
//! Each core test is a function of a [`Roof`], which runs a handful of tasks to their end.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{runtime, sized, until, watch};
use futures_core::Stream;
use gmprt::chan::{Receiver, RecvError, SendError, Sender, TryRecvError, bounded};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll::{Pending, Ready};
use std::task::{Context, Wake, Waker};
use std::thread;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs all of these tasks, and returns when the last one has ended.
type Roof = fn(Vec<Task>);

// ---- the roofs ----

fn gmprt_tasks(procs: usize, tasks: Vec<Task>) {
    let rt = runtime(procs);
    let handles: Vec<_> = tasks.into_iter().map(|task| rt.spawn(task)).collect();
    handles.into_iter().for_each(|handle| rt.block_on(handle).unwrap());
}

fn gmprt_one_p(tasks: Vec<Task>) {
    gmprt_tasks(1, tasks);
}

fn gmprt_four_ps(tasks: Vec<Task>) {
    gmprt_tasks(4, tasks);
}

fn tokio_tasks(rt: &tokio::runtime::Runtime, tasks: Vec<Task>) {
    let handles: Vec<_> = tasks.into_iter().map(|task| rt.spawn(task)).collect();
    handles.into_iter().for_each(|handle| rt.block_on(handle).unwrap());
}

fn tokio_current_thread(tasks: Vec<Task>) {
    tokio_tasks(&tokio::runtime::Builder::new_current_thread().build().unwrap(), tasks);
}

fn tokio_multi_thread(tasks: Vec<Task>) {
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    tokio_tasks(&rt, tasks);
}

/// The smallest executor that does its work: one future on one thread.
fn park<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            Ready(output) => return output,
            Pending => thread::park(),
        }
    }
}

fn bare_threads(tasks: Vec<Task>) {
    let threads: Vec<_> = tasks.into_iter().map(|task| thread::spawn(move || park(task))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

macro_rules! under_each_roof {
    ($($claim:ident)*) => {
        under_each_roof!(@ gmprt_one_p $($claim)*);
        under_each_roof!(@ gmprt_four_ps $($claim)*);
        under_each_roof!(@ tokio_current_thread $($claim)*);
        under_each_roof!(@ tokio_multi_thread $($claim)*);
        under_each_roof!(@ bare_threads $($claim)*);
    };
    (@ $roof:ident $($claim:ident)*) => {
        mod $roof {
            $(
                #[test]
                fn $claim() {
                    let _watch = super::watch();
                    super::$claim(super::$roof);
                }
            )*
        }
    };
}

under_each_roof! {
    two_tasks_play_ping_pong
    a_pipeline_keeps_the_order
    many_to_many_add_up
    every_wait_ends_when_the_channel_closes
    a_send_waits_for_its_receiver_if_there_is_no_buffer
    permits_and_sends_share_one_line
    a_stream_is_a_receiver_among_others
    what_is_given_up_is_not_lost
    a_task_waits_for_two_channels_at_once
    threads_and_tasks_meet
}

// ---- what tasks use here, of no executor ----

/// Lets others run once.
async fn step_aside() {
    let mut first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut first) {
            cx.waker().wake_by_ref();
            thread::yield_now(); // on a busy machine, those who only ask would use up their threads' time
            return Pending;
        }
        Ready(())
    })
    .await;
}

async fn next<T>(rx: &mut Receiver<T>) -> Option<T> {
    poll_fn(|cx| Pin::new(&mut *rx).poll_next(cx)).await
}

/// Boxes a task.
fn task(future: impl Future<Output = ()> + Send + 'static) -> Task {
    Box::pin(future)
}

// ---- what holds under each roof ----

fn two_tasks_play_ping_pong(run: Roof) {
    for capacity in [0, 1] {
        let ((ping, pinged), (pong, ponged)) = (bounded(capacity), bounded(capacity));
        let rounds = sized(300, 3000);
        run(vec![
            task(async move {
                for n in 0..rounds {
                    ping.send(n).await.unwrap();
                    assert_eq!(ponged.recv().await, Ok(n + 1));
                }
            }),
            task(async move {
                for n in 0..rounds {
                    assert_eq!(pinged.recv().await, Ok(n));
                    pong.send(n + 1).await.unwrap();
                }
                assert_eq!(pinged.recv().await, Err(RecvError));
            }),
        ]);
    }
}

fn a_pipeline_keeps_the_order(run: Roof) {
    for capacity in [0, 1, 16] {
        let (first, mut last) = bounded(capacity);
        let mut tasks = vec![task(async move {
            for n in 0..200 {
                first.send(n).await.unwrap();
            }
        })];
        for _ in 0..6 {
            let (tx, rx) = bounded(capacity);
            let from = std::mem::replace(&mut last, rx);
            tasks.push(task(async move {
                while let Ok(n) = from.recv().await {
                    tx.send(n + 1).await.unwrap();
                }
            }));
        }
        tasks.push(task(async move {
            for n in 0..200 {
                assert_eq!(last.recv().await, Ok(n + 6));
            }
            assert_eq!(last.recv().await, Err(RecvError));
        }));
        run(tasks);
    }
}

fn many_to_many_add_up(run: Roof) {
    for capacity in [0, 1, 3, 100] {
        let (tx, rx) = bounded(capacity);
        let each = sized(100, 1000);
        let (sum, count) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Vec::new();
        for _ in 0..5 {
            let (tx, rx, sum, count) = (tx.clone(), rx.clone(), Arc::clone(&sum), Arc::clone(&count));
            tasks.push(task(async move {
                for n in 1..=each {
                    tx.send(n).await.unwrap();
                }
            }));
            tasks.push(task(async move {
                while let Ok(n) = rx.recv().await {
                    sum.fetch_add(n, SeqCst);
                    count.fetch_add(1, SeqCst);
                }
            }));
        }
        drop((tx, rx));
        run(tasks);
        assert_eq!((sum.load(SeqCst), count.load(SeqCst)), (5 * each * (each + 1) / 2, 5 * each));
    }
}

fn every_wait_ends_when_the_channel_closes(run: Roof) {
    for receivers_wait in [false, true] {
        let (tx, rx) = bounded::<usize>(0);
        let (ready, all_ready) = bounded(100);
        let mut tasks = Vec::new();
        for n in 0..40 {
            let (tx, rx, ready) = (tx.clone(), rx.clone(), ready.clone());
            tasks.push(task(async move {
                ready.send(()).await.unwrap();
                if receivers_wait {
                    assert_eq!(rx.recv().await, Err(RecvError));
                } else if n % 3 == 0 {
                    assert!(tx.reserve().await.is_err());
                } else {
                    assert_eq!(tx.send(n).await, Err(SendError(n)));
                }
            }));
        }
        tasks.push(task(async move {
            for _ in 0..40 {
                all_ready.recv().await.unwrap();
            }
            assert!(tx.close());
            assert_eq!((rx.try_recv(), tx.close()), (Err(TryRecvError::Closed), false));
        }));
        run(tasks);
    }
}

fn a_send_waits_for_its_receiver_if_there_is_no_buffer(run: Roof) {
    let (tx, rx) = bounded(0);
    let received = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&received);
    run(vec![
        task(async move {
            for n in 1..=100 {
                tx.send(n).await.unwrap();
                // The receiver took it before this send ended; it counts before it receives again.
                assert!(seen.load(SeqCst) >= n - 1);
            }
        }),
        task(async move {
            for n in 1..=100 {
                assert_eq!(rx.recv().await, Ok(n));
                received.store(n, SeqCst);
                step_aside().await;
            }
        }),
    ]);
}

fn permits_and_sends_share_one_line(run: Roof) {
    for capacity in [0, 1, 2] {
        let (tx, rx) = bounded(capacity);
        let mut tasks = Vec::new();
        for who in 0..4 {
            let tx = tx.clone();
            tasks.push(task(async move {
                for n in 0..100 {
                    match (who + n) % 4 {
                        0 => drop(tx.reserve().await.unwrap()),
                        1 => tx.reserve().await.unwrap().send((who, n)).unwrap(),
                        2 => {
                            let permit = tx.reserve().await.unwrap();
                            step_aside().await;
                            permit.send((who, n)).unwrap();
                        }
                        _ => tx.send((who, n)).await.unwrap(),
                    }
                }
            }));
        }
        drop(tx);
        tasks.push(task(async move {
            let mut last = [None; 4];
            let mut count = 0;
            while let Ok((who, n)) = rx.recv().await {
                assert!(last[who] < Some(n), "the values of one task come in their order");
                last[who] = Some(n);
                count += 1;
            }
            assert_eq!(count, 300, "a quarter was given up");
        }));
        run(tasks);
    }
}

fn a_stream_is_a_receiver_among_others(run: Roof) {
    for capacity in [0, 1, 8] {
        let (tx, rx) = bounded(capacity);
        let got = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = vec![task(async move {
            for n in 0..300 {
                tx.send(n).await.unwrap();
            }
        })];
        for who in 0..3 {
            let (mut rx, got) = (rx.clone(), Arc::clone(&got));
            tasks.push(task(async move {
                let mut mine = Vec::new();
                if who == 0 {
                    while let Ok(n) = rx.recv().await {
                        mine.push(n);
                    }
                } else {
                    while let Some(n) = next(&mut rx).await {
                        mine.push(n);
                        // What is received besides does not get lost between the stream's own.
                        mine.extend(rx.try_recv());
                    }
                    assert_eq!(next(&mut rx).await, None);
                }
                assert!(mine.is_sorted());
                got.lock().unwrap().extend(mine);
            }));
        }
        drop(rx);
        run(tasks);
        let mut all = std::mem::take(&mut *got.lock().unwrap());
        all.sort_unstable();
        assert_eq!(all, (0..300).collect::<Vec<_>>());
    }
}

/// Begins something, and gives it up after so many polls.
async fn give_up_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = poll_fn(|cx| Ready(future.as_mut().poll(cx))).await;
        if let Ready(output) = polled {
            return Some(output);
        }
        step_aside().await;
    }
    None
}

fn what_is_given_up_is_not_lost(run: Roof) {
    const EACH: usize = 40;
    for capacity in [0, 1, 4] {
        let (tx, rx) = bounded(capacity);
        let mut tasks = Vec::new();
        for who in 0..3 {
            let tx = tx.clone();
            tasks.push(task(async move {
                for n in 0..EACH {
                    // Each time more patient: three who always look once would give up what they got for ever.
                    let mut patience = (who + n) % 3;
                    let permit = loop {
                        patience += 1;
                        if let Some(permit) = give_up_after(patience, tx.reserve()).await {
                            break permit.unwrap();
                        }
                    };
                    permit.send((who, n)).unwrap();
                }
            }));
        }
        drop(tx);
        tasks.push(task(async move {
            let mut last = [0; 3];
            for turn in 0.. {
                match give_up_after(turn % 3 + 1, rx.recv()).await {
                    None => {}
                    Some(Ok((who, n))) => {
                        assert_eq!(last[who], n, "one receiver gets all, in their order");
                        last[who] += 1;
                    }
                    Some(Err(RecvError)) => break,
                }
            }
            assert_eq!(last, [EACH; 3]);
        }));
        run(tasks);
    }
}

/// A select by hand: the futures wait in two lines, and the one that loses is dropped, perhaps with a value.
fn a_task_waits_for_two_channels_at_once(run: Roof) {
    for capacity in [0, 2] {
        let ((tx1, rx1), (tx2, rx2)) = (bounded(capacity), bounded(capacity));
        let send = |tx: Sender<usize>, first: usize| {
            task(async move {
                for n in 0..200 {
                    tx.send(first + n).await.unwrap();
                }
            })
        };
        run(vec![
            send(tx1, 0),
            send(tx2, 1000),
            task(async move {
                let (mut last1, mut last2) = (0, 1000);
                while last1 < 200 || last2 < 1200 {
                    let (mut one, mut two) = (pin!(rx1.recv()), pin!(rx2.recv()));
                    let mut turn = last1 + last2;
                    let got = poll_fn(|cx| {
                        turn += 1;
                        for side in [turn % 2, (turn + 1) % 2] {
                            let polled =
                                if side == 0 { one.as_mut().poll(cx) } else { two.as_mut().poll(cx) };
                            if let Ready(Ok(n)) = polled {
                                return Ready(n);
                            }
                        }
                        Pending
                    });
                    // A side that has ended is ready at every poll, which wakes nobody: then wait for the other.
                    let n = match (last1 == 200, last2 == 1200) {
                        (false, false) => got.await,
                        (true, _) => rx2.recv().await.unwrap(),
                        (_, true) => rx1.recv().await.unwrap(),
                    };
                    let last = if n < 1000 { &mut last1 } else { &mut last2 };
                    assert_eq!(n, *last, "each channel keeps its order");
                    *last += 1;
                }
            }),
        ]);
    }
}

/// Threads that block, on one side or on both, against tasks.
fn threads_and_tasks_meet(run: Roof) {
    for capacity in [0, 1, 7] {
        let (tx, rx) = bounded(capacity);
        let (back, results) = bounded(capacity);
        let each = sized(100, 1000);
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let tx = tx.clone();
                thread::spawn(move || (1..=each).for_each(|n| tx.send_blocking(n).unwrap()))
            })
            .collect();
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let results = results.clone();
                thread::spawn(move || std::iter::from_fn(|| results.recv_blocking().ok()).sum::<usize>())
            })
            .collect();
        drop((tx, results));
        let tasks = (0..3).map(|_| {
            let (rx, back) = (rx.clone(), back.clone());
            task(async move {
                while let Ok(n) = rx.recv().await {
                    back.send(n).await.unwrap();
                }
            })
        });
        let tasks = tasks.collect();
        drop((rx, back));
        run(tasks);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        let sum: usize = receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum();
        assert_eq!(sum, 2 * each * (each + 1) / 2);
    }
}

// ---- threads that block, in tasks and out of them ----

/// With one P, who blocks in a task must give it up: the other side needs it.
#[test]
fn tasks_that_block_their_thread_give_their_p_up() {
    let _watch = watch();
    for capacity in [0, 1] {
        let rt = runtime(1);
        let (tx, rx) = bounded(capacity);
        let (done, finished) = bounded(capacity);
        let receiver = rt.spawn(async move {
            let sum = std::iter::from_fn(|| rx.recv_blocking().ok()).sum::<usize>();
            done.send_blocking(sum).unwrap();
        });
        let senders: Vec<_> = (0..3)
            .map(|who| {
                let tx = tx.clone();
                rt.spawn(async move {
                    for n in 1..=50 {
                        if (who + n) % 2 == 0 { tx.send_blocking(n) } else { tx.send(n).await }.unwrap();
                    }
                })
            })
            .collect();
        drop(tx);
        rt.block_on(async {
            assert_eq!(finished.recv().await, Ok(3 * 50 * 51 / 2));
            for task in senders.into_iter().chain([receiver]) {
                task.await.unwrap();
            }
        });
    }
}

#[test]
fn a_task_may_block_within_block_on() {
    let _watch = watch();
    let rt = runtime(1);
    let (tx, rx) = bounded(0);
    let sender = rt.spawn(async move { tx.send(7).await });
    rt.block_on(async {
        assert_eq!(rx.recv_blocking(), Ok(7));
        assert_eq!(rx.recv_blocking(), Err(RecvError));
        sender.await.unwrap().unwrap();
    });
}

#[test]
fn threads_of_tokio_block_beside_its_tasks() {
    let _watch = watch();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (tx, rx) = bounded(0);
    let sender = rt.spawn_blocking(move || (0..100).for_each(|n| tx.send_blocking(n).unwrap()));
    let sum = rt.block_on(async {
        let mut sum = 0;
        while let Ok(n) = rx.recv().await {
            sum += n;
        }
        sender.await.unwrap();
        sum
    });
    assert_eq!(sum, 99 * 100 / 2);
}

#[test]
fn a_thread_that_blocks_is_let_go_when_the_last_half_on_the_other_side_is_dropped() {
    let _watch = watch();
    let (tx, rx) = bounded::<u8>(0);
    let receiver = thread::spawn(move || rx.recv_blocking());
    drop(tx);
    assert_eq!(receiver.join().unwrap(), Err(RecvError));
    let (tx, rx) = bounded::<u8>(0);
    let sender = thread::spawn(move || tx.send_blocking(3));
    drop(rx);
    assert_eq!(sender.join().unwrap(), Err(SendError(3)));
}

struct Logs(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Wake for Logs {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

/// On a rendezvous channel one who reserves and one who sends wait in this order. Whoever receives, and can wait, serves
/// the first of them, however it receives.
#[test]
fn no_way_to_receive_passes_by_one_who_reserves_and_is_longer_in_line() {
    let _watch = watch();
    for way in ["a thread", "a stream", "a future"] {
        let (tx, rx) = bounded(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let waker = |name| Waker::from(Arc::new(Logs(name, Arc::clone(&woken))));
        let (mut reserve, mut send) = (pin!(tx.reserve()), pin!(tx.send("sent")));
        let (reserver, sender) = (waker("reserver"), waker("sender"));
        assert!(reserve.as_mut().poll(&mut Context::from_waker(&reserver)).is_pending());
        assert!(send.as_mut().poll(&mut Context::from_waker(&sender)).is_pending());
        let receive = thread::spawn(move || {
            let mut rx = rx;
            match way {
                "a thread" => rx.recv_blocking().ok(),
                "a stream" => park(next(&mut rx)),
                _ => park(rx.recv()).ok(),
            }
        });
        until(|| !woken.lock().unwrap().is_empty());
        assert_eq!(*woken.lock().unwrap(), ["reserver"], "{way}");
        let Ready(Ok(permit)) = reserve.as_mut().poll(&mut Context::from_waker(&reserver)) else {
            panic!("it was granted")
        };
        permit.send("reserved").unwrap();
        assert_eq!(receive.join().unwrap(), Some("reserved"));
    }
}
