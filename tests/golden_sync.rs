//! With one P, who waits for what goes on in Go's order: channels, `select!`, `WaitGroup`, `Cond`, the locks, contexts, timers.
//!
//! `tests/golden/sync.go` holds the same cases under the same names; what Go logs is in `tests/golden/sync_expected.txt`,
//! which is read here at compile time. To write it anew, and to see that Go itself repeats it 200 times out of 200:
//!
//! ```text
//! go run tests/golden/sync.go > tests/golden/sync_expected.txt
//! go run tests/golden/sync.go -check 200
//! ```
//!
//! How the cases map, beyond what `tests/golden_order.rs` says:
//!
//! - `yield` is `yield_now`; nothing is ever in the global queue here, so that both go to the tail of the P's own queue.
//! - A lock is unlocked where its guard is dropped.
//! - A channel's both halves are kept until the end of the play: in Go a channel closes only if somebody closes it.
//! - A lock looks at the clock: who has waited for over 1 ms starves, in gmprt as in Go. Time that has to pass for that is
//!   passed by [`Scene::pass`]. A play that took half a millisecond beside that says nothing, and is repeated; on a machine
//!   on which none goes undisturbed only the number of entries is compared.
//! - Where gmprt does not do as Go, [`differs`] holds what it does, and says why. It fails too if they agree.
//!
//! With `GMPRT_TEST_REVOKE` set, Ps are taken away in the middle of polls on purpose, and there is no single order. Cases that
//! end in any order then only have to end, with as many entries as in Go; those that need the order to end
//! (a signal must come after the wait) are [`in_order`], and left out.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use gmprt::chan::{self, Receiver, Sender, TryRecvError};
use gmprt::context::{self, Context, ContextError};
use gmprt::sync::{Cond, Mutex, MutexGuard, OnceCell, RwLock, WaitGroup};
use gmprt::time;
use gmprt::{Runtime, select, yield_now};

const EXPECTED: &str = include_str!("golden/sync_expected.txt");

/// How often each case is played, each time on a fresh runtime.
const PLAYS: usize = 3;

/// How often a play is repeated that the machine, or sysmon, has disturbed.
const TRIES: usize = 60;

/// What an undisturbed play may take beside what it passes on purpose. Half of that after which a waiter starves.
const SLACK: Duration = Duration::from_micros(500);

/// One run of one case.
#[derive(Clone)]
struct Scene(Arc<Inner>);

struct Inner {
    entries: StdMutex<Vec<String>>,
    /// Tasks of the case that have not ended.
    live: AtomicUsize,
    /// What the case let pass on purpose, in microseconds.
    passed: AtomicU64,
    /// When its first task began.
    begun: OnceLock<Instant>,
    /// What is not to be dropped before the end.
    kept: StdMutex<Vec<Box<dyn Any + Send>>>,
    /// Where the last task reports, with the time that the case took.
    done: mpsc::Sender<Duration>,
}

macro_rules! log {
    ($s:expr, $($entry:tt)*) => { $s.log(format!($($entry)*)) };
}

impl Scene {
    fn log(&self, entry: String) {
        self.0.entries.lock().unwrap().push(entry);
    }

    fn entries(&self) -> Vec<String> {
        self.0.entries.lock().unwrap().clone()
    }

    /// `f`, counted as a task of the case.
    fn counted<F>(&self, f: F) -> impl Future<Output = ()> + Send + 'static
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let s = self.clone();
        s.one_more();
        async move {
            s.0.begun.get_or_init(Instant::now);
            f.await;
            s.end();
        }
    }

    /// Counts something that is to end.
    fn one_more(&self) {
        self.0.live.fetch_add(1, SeqCst);
    }

    /// Ends what was counted.
    fn end(&self) {
        if self.0.live.fetch_sub(1, SeqCst) == 1 {
            let _ = self.0.done.send(self.0.begun.get().expect("it has begun").elapsed());
        }
    }

    fn spawn<F>(&self, f: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(gmprt::spawn(self.counted(f)));
    }

    /// Spawns `n` tasks, each with its number.
    fn children<F, Fut>(&self, n: usize, mut f: F)
    where
        F: FnMut(Scene, usize) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        for i in 0..n {
            self.spawn(f(self.clone(), i));
        }
    }

    fn keep(&self, it: impl Any + Send) {
        self.0.kept.lock().unwrap().push(Box::new(it));
    }

    /// A channel that nobody closes but by `close`.
    fn chan(&self, capacity: usize) -> (Tx, Rx) {
        let (tx, rx) = chan::bounded(capacity);
        self.keep((tx.clone(), rx.clone()));
        (tx, rx)
    }

    /// Lets time pass in which nobody runs.
    fn pass(&self, d: Duration) {
        let start = Instant::now();
        while start.elapsed() < d {
            std::hint::spin_loop();
        }
        self.0.passed.fetch_add(start.elapsed().as_micros() as u64, SeqCst);
    }
}

type Tx = Sender<usize>;
type Rx = Receiver<usize>;

/// Plays the case and compares its log with Go's.
#[track_caller]
fn play<F, Fut>(case: &str, f: F)
where
    F: Fn(Scene) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    compare_with(case, &expected(case), &f);
}

/// As `play`, for a case that may wait for ever if its order is another.
#[track_caller]
fn in_order<F, Fut>(case: &str, f: F)
where
    F: Fn(Scene) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    if !revoked() {
        play(case, f);
    }
}

/// As `in_order`, for a case in which gmprt does not do as Go, but this.
#[track_caller]
fn differs<F, Fut>(case: &str, ours: &str, f: F)
where
    F: Fn(Scene) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let ours = entries_of(ours);
    assert_ne!(ours, expected(case), "{case}: gmprt does as Go, so it is to be played as the others");
    if !revoked() {
        compare_with(case, &ours, &f);
    }
}

#[track_caller]
fn compare_with<F, Fut>(case: &str, want: &[String], f: &F)
where
    F: Fn(Scene) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    for _ in 0..PLAYS {
        let (got, disturbed) = play_undisturbed(case, f);
        if disturbed {
            assert_eq!(got.len(), want.len(), "{case}: entries; gmprt has {got:?}, wanted {want:?}");
        } else {
            compare(case, &got, want);
        }
    }
}

/// Plays until nothing has come between; the second result says that something always has.
fn play_undisturbed<F, Fut>(case: &str, f: &F) -> (Vec<String>, bool)
where
    F: Fn(Scene) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut last = None;
    for _ in 0..TRIES {
        match play_once(case, f) {
            Ok((got, false)) => return (got, false),
            Ok((got, true)) => last = Some(got),
            Err(Stuck) => {}
        }
        if revoked() && last.is_some() {
            break;
        }
    }
    let got =
        last.unwrap_or_else(|| panic!("{case}: a P was taken, and it did not end, in each of {TRIES} plays"));
    (got, true)
}

/// Whether Ps are taken away in the middle of polls.
fn revoked() -> bool {
    std::env::var("GMPRT_TEST_REVOKE").is_ok_and(|v| v != "0" && !v.is_empty())
}

/// A play that did not end, because a P was taken and with it the order.
struct Stuck;

/// What was logged, and whether a P was taken, or the machine had other things to do.
fn play_once<F, Fut>(case: &str, f: &F) -> Result<(Vec<String>, bool), Stuck>
where
    F: Fn(Scene) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let rt = Runtime::builder().procs(1).build().expect("a runtime with one P");
    let (done, ended) = mpsc::channel();
    let s = Scene(Arc::new(Inner {
        entries: StdMutex::default(),
        live: AtomicUsize::new(0),
        passed: AtomicU64::new(0),
        begun: OnceLock::new(),
        kept: StdMutex::default(),
        done,
    }));
    drop(rt.spawn(s.counted(f(s.clone()))));
    let took = ended.recv_timeout(Duration::from_secs(10));
    let metrics = rt.metrics();
    let retaken = metrics.retakes + metrics.retakes_declared + metrics.retakes_hogs > 0;
    let Ok(took) = took else {
        std::mem::forget(rt); // its drop might wait for ever, and hide the message
        let live = s.0.live.load(SeqCst);
        assert!(
            retaken && !revoked(),
            "{case}: not over after 10 s; {live} tasks live; log: {:?}",
            s.entries()
        );
        return Err(Stuck);
    };
    drop(rt);
    let slow = took > Duration::from_micros(s.0.passed.load(SeqCst)) + SLACK;
    Ok((s.entries(), retaken || slow || revoked()))
}

/// Panics at the first entry that differs.
#[track_caller]
fn compare(case: &str, got: &[String], want: &[String]) {
    if let Some(at) = (0..got.len().max(want.len())).find(|&i| got.get(i) != want.get(i)) {
        panic!("{case}: entry {at} differs\n  wanted: {}\n  gmprt:  {}", want.join(", "), got.join(", "));
    }
}

/// Case name → what Go logged.
fn all_expected() -> BTreeMap<&'static str, Vec<String>> {
    EXPECTED
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("version: "))
        .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("no case name in {line:?}")))
        .map(|(name, list)| (name, entries_of(list)))
        .collect()
}

fn entries_of(list: &str) -> Vec<String> {
    list.split(", ").map(str::to_owned).collect()
}

fn expected(case: &str) -> Vec<String> {
    all_expected().remove(case).unwrap_or_else(|| panic!("{case} is not in sync_expected.txt"))
}

// ---- What the cases share ----

async fn sender(s: Scene, tx: Tx, i: usize) {
    log!(s, "{i} sends");
    tx.send(i).await.unwrap();
    log!(s, "{i} sent");
}

async fn receiver(s: Scene, rx: Rx, i: usize) {
    log!(s, "{i} waits");
    let v = recv(&rx).await;
    log!(s, "{i} got {v}");
}

/// What comes, or "closed".
async fn recv(rx: &Rx) -> String {
    rx.recv().await.map_or("closed".to_owned(), |v| v.to_string())
}

fn try_send(tx: &Tx, v: usize) -> &'static str {
    if tx.try_send(v).is_ok() { "sent" } else { "full" }
}

fn try_recv(rx: &Rx) -> String {
    match rx.try_recv() {
        Ok(v) => v.to_string(),
        Err(TryRecvError::Empty) => "empty".to_owned(),
        Err(TryRecvError::Closed) => "closed".to_owned(),
    }
}

/// Waits for both channels, and tells which gave what.
async fn either(s: Scene, a: Rx, b: Rx, i: usize) {
    log!(s, "{i} waits");
    select! {
        biased; // in Go one is ready at most; see `differs` for when both are here
        v = a.recv() => match v {
            Ok(v) => log!(s, "{i} got a{v}"),
            Err(_) => log!(s, "{i} closed a"),
        },
        v = b.recv() => match v {
            Ok(v) => log!(s, "{i} got b{v}"),
            Err(_) => log!(s, "{i} closed b"),
        },
    }
}

async fn yields(n: usize) {
    for _ in 0..n {
        yield_now().await;
    }
}

// ---- A rendezvous: the side that comes second finds the other parked, serves it, and goes on; who was served is in runnext. ----

#[test]
fn pair_sender_first() {
    play("pair_sender_first", |s| async move {
        let (tx, rx) = s.chan(0);
        s.spawn(sender(s.clone(), tx, 1));
        yield_now().await;
        log!(s, "root got {}", recv(&rx).await);
        yield_now().await;
        log!(s, "root ends");
    });
}

#[test]
fn pair_receiver_first() {
    play("pair_receiver_first", |s| async move {
        let (tx, rx) = s.chan(0);
        s.spawn(receiver(s.clone(), rx, 1));
        yield_now().await;
        sender(s.clone(), tx, 2).await;
        yield_now().await;
        log!(s, "root ends");
    });
}

#[test]
fn pair_by_turns() {
    in_order("pair_by_turns", |s| async move {
        let (tx, rx) = s.chan(0);
        let (t, a_tx, a_rx) = (s.clone(), tx.clone(), rx.clone());
        s.spawn(async move {
            for k in 0..3 {
                sender(t.clone(), a_tx.clone(), k).await;
                log!(t, "a got {}", recv(&a_rx).await);
            }
        });
        let t = s.clone();
        s.spawn(async move {
            for k in 0..3 {
                log!(t, "b got {}", recv(&rx).await);
                sender(t.clone(), tx.clone(), 10 + k).await;
            }
        });
    });
}

#[test]
fn three_senders_then_three_receivers() {
    play("three_senders_then_three_receivers", |s| async move {
        let (tx, rx) = s.chan(0);
        s.children(3, |s, i| sender(s, tx.clone(), i));
        yield_now().await;
        s.children(3, |s, i| receiver(s, rx.clone(), i));
        log!(s, "root ends");
    });
}

#[test]
fn three_receivers_then_three_senders() {
    play("three_receivers_then_three_senders", |s| async move {
        let (tx, rx) = s.chan(0);
        s.children(3, |s, i| receiver(s, rx.clone(), i));
        yield_now().await;
        s.children(3, |s, i| sender(s, tx.clone(), i));
        log!(s, "root ends");
    });
}

#[test]
fn senders_and_receivers_mixed() {
    play("senders_and_receivers_mixed", |s| async move {
        let (tx, rx) = s.chan(0);
        for i in 0..3 {
            s.spawn(sender(s.clone(), tx.clone(), i));
            s.spawn(receiver(s.clone(), rx.clone(), i));
        }
        log!(s, "root ends");
    });
}

#[test]
fn pair_tries() {
    in_order("pair_tries", |s| async move {
        let (tx, rx) = s.chan(0);
        log!(s, "try send {}", try_send(&tx, 0));
        log!(s, "try recv {}", try_recv(&rx));
        s.children(2, |s, i| receiver(s, rx.clone(), i));
        log!(s, "try send {}", try_send(&tx, 1));
        yield_now().await;
        for k in 2..5 {
            log!(s, "try send {}", try_send(&tx, k));
        }
        yield_now().await;
        s.children(2, |s, i| sender(s, tx.clone(), i));
        log!(s, "try recv {}", try_recv(&rx));
        yield_now().await;
        for _ in 0..3 {
            log!(s, "try recv {}", try_recv(&rx));
        }
        yield_now().await;
        log!(s, "root ends");
    });
}

#[test]
fn daisy_chain() {
    play("daisy_chain", |s| async move {
        let (mut left, first) = s.chan(0);
        for i in 0..5 {
            let (tx, from) = s.chan(0);
            let (t, to) = (s.clone(), left);
            s.spawn(async move {
                let v = from.recv().await.unwrap();
                log!(t, "{i} passes {v} on");
                to.send(v + 1).await.unwrap();
                log!(t, "{i} ends");
            });
            left = tx;
        }
        s.spawn(async move { left.send(0).await.unwrap() });
        log!(s, "root got {}", recv(&first).await);
    });
}

// ---- A buffer: who finds room or a value goes on without a switch; who waits is served from the other side's hands. ----

#[test]
fn buffer_of_1_fill_then_drain() {
    in_order("buffer_of_1_fill_then_drain", |s| async move {
        let (tx, rx) = s.chan(1);
        log!(s, "{}", try_send(&tx, 0));
        log!(s, "{}", try_send(&tx, 1));
        log!(s, "{}", try_recv(&rx));
        log!(s, "{}", try_recv(&rx));
        s.children(3, |s, i| sender(s, tx.clone(), i));
        yield_now().await;
        for _ in 0..4 {
            log!(s, "root took {}", try_recv(&rx));
        }
    });
}

#[test]
fn buffer_of_2_fill_then_drain() {
    in_order("buffer_of_2_fill_then_drain", |s| async move {
        let (tx, rx) = s.chan(2);
        for k in 0..3 {
            log!(s, "{}", try_send(&tx, k));
        }
        for _ in 0..3 {
            log!(s, "{}", try_recv(&rx));
        }
        s.children(4, |s, i| sender(s, tx.clone(), i));
        yield_now().await;
        for _ in 0..5 {
            log!(s, "root took {}", try_recv(&rx));
        }
        yield_now().await;
        log!(s, "root ends");
    });
}

#[test]
fn buffer_of_2_blocked_receivers() {
    in_order("buffer_of_2_blocked_receivers", |s| async move {
        let (tx, rx) = s.chan(2);
        s.children(4, |s, i| receiver(s, rx.clone(), i));
        yield_now().await;
        for k in 0..7 {
            log!(s, "{}", try_send(&tx, k));
        }
        yield_now().await;
        log!(s, "root took {} then {}", try_recv(&rx), try_recv(&rx));
    });
}

#[test]
fn buffer_of_2_one_out_one_in() {
    play("buffer_of_2_one_out_one_in", |s| async move {
        let (tx, rx) = s.chan(2);
        s.children(5, |s, i| sender(s, tx.clone(), i));
        yield_now().await;
        for _ in 0..5 {
            log!(s, "root got {}", recv(&rx).await);
            yield_now().await;
        }
    });
}

/// Three times each: sends, with tens for the task.
async fn sends_3(s: Scene, tx: Tx, i: usize) {
    for k in 0..3 {
        sender(s.clone(), tx.clone(), i * 10 + k).await;
    }
}

async fn receives_3(s: Scene, rx: Rx, i: usize) {
    for _ in 0..3 {
        receiver(s.clone(), rx.clone(), i).await;
    }
}

#[test]
fn buffer_of_1_two_and_two() {
    play("buffer_of_1_two_and_two", |s| async move {
        let (tx, rx) = s.chan(1);
        s.children(2, |s, i| sends_3(s, tx.clone(), i));
        s.children(2, |s, i| receives_3(s, rx.clone(), i));
    });
}

#[test]
fn buffer_of_2_two_and_two() {
    play("buffer_of_2_two_and_two", |s| async move {
        let (tx, rx) = s.chan(2);
        s.children(2, |s, i| receives_3(s, rx.clone(), i));
        s.children(2, |s, i| sends_3(s, tx.clone(), i));
    });
}

#[test]
fn buffer_as_semaphore() {
    play("buffer_as_semaphore", |s| async move {
        let (tx, rx) = s.chan(2);
        s.children(5, |s, i| {
            let (tx, rx) = (tx.clone(), rx.clone());
            async move {
                tx.send(i).await.unwrap();
                log!(s, "{i} in");
                yield_now().await;
                log!(s, "{i} out");
                rx.recv().await.unwrap();
            }
        });
    });
}

// ---- Close ----

#[test]
fn close_one_receiver() {
    play("close_one_receiver", |s| async move {
        let (tx, rx) = s.chan(0);
        s.spawn(receiver(s.clone(), rx.clone(), 0));
        yield_now().await;
        tx.close();
        log!(s, "closed");
        yield_now().await;
        log!(s, "root got {}", recv(&rx).await);
    });
}

#[test]
fn close_with_buffered_values() {
    play("close_with_buffered_values", |s| async move {
        let (tx, rx) = s.chan(3);
        for k in 0..3 {
            tx.send(k).await.unwrap();
        }
        tx.close();
        log!(s, "closed");
        s.children(5, |s, i| receiver(s, rx.clone(), i));
    });
}

#[test]
fn close_ends_the_ranges() {
    play("close_ends_the_ranges", |s| async move {
        let (tx, rx) = s.chan(0);
        s.children(3, |s, i| {
            let rx = rx.clone();
            async move {
                while let Ok(v) = rx.recv().await {
                    log!(s, "{i} got {v}");
                }
                log!(s, "{i} ends");
            }
        });
        for k in 0..5 {
            tx.send(k).await.unwrap();
            log!(s, "sent {k}");
        }
        tx.close();
        log!(s, "closed");
    });
}

#[test]
fn close_ends_the_ranges_over_a_buffer() {
    play("close_ends_the_ranges_over_a_buffer", |s| async move {
        let (tx, rx) = s.chan(2);
        s.children(3, |s, i| {
            let rx = rx.clone();
            async move {
                while let Ok(v) = rx.recv().await {
                    log!(s, "{i} got {v}");
                    yield_now().await;
                }
                log!(s, "{i} ends");
            }
        });
        for k in 0..6 {
            tx.send(k).await.unwrap();
            log!(s, "sent {k}");
        }
        tx.close();
        log!(s, "closed");
    });
}

#[test]
fn close_between_spawns() {
    play("close_between_spawns", |s| async move {
        let (tx, rx) = s.chan(0);
        s.children(3, |s, i| receiver(s, rx.clone(), i));
        yield_now().await;
        let t = s.clone();
        s.spawn(async move { log!(t, "before") });
        tx.close();
        let t = s.clone();
        s.spawn(async move { log!(t, "after") });
        log!(s, "root ends");
    });
}

#[test]
fn close_in_a_row() {
    play("close_in_a_row", |s| async move {
        let chans = [s.chan(0), s.chan(0), s.chan(0), s.chan(0)];
        for i in 0..3 {
            s.children(2, |s, j| {
                let (rx, next) = (chans[i].1.clone(), chans[i + 1].0.clone());
                async move {
                    log!(s, "{i}.{j} got {}", recv(&rx).await);
                    if j == 0 {
                        next.close();
                    }
                }
            });
        }
        yield_now().await;
        chans[0].0.close();
        log!(s, "root got {}", recv(&chans[3].1).await);
    });
}

// ---- Select. It parks on all its channels, and is woken by one. ----

#[test]
fn select_one_ready() {
    play("select_one_ready", |s| async move {
        let (a_tx, a) = s.chan(1);
        let (b_tx, b) = s.chan(1);
        a_tx.send(1).await.unwrap();
        either(s.clone(), a.clone(), b.clone(), 0).await;
        b_tx.send(2).await.unwrap();
        either(s.clone(), a.clone(), b.clone(), 0).await;
        a_tx.close();
        either(s, a, b, 0).await;
    });
}

#[test]
fn select_default() {
    in_order("select_default", |s| async move {
        async fn try_both(s: &Scene, a: &Rx, b: &Rx) {
            select! {
                Ok(v) = a.recv() => log!(s, "a{v}"),
                Ok(v) = b.recv() => log!(s, "b{v}"),
                default => log!(s, "default"),
            }
        }
        let (a_tx, a) = s.chan(0);
        let (b_tx, b) = s.chan(1);
        try_both(&s, &a, &b).await;
        b_tx.send(1).await.unwrap();
        try_both(&s, &a, &b).await;
        try_both(&s, &a, &b).await;
        s.spawn(sender(s.clone(), a_tx, 2));
        try_both(&s, &a, &b).await; // it has not run yet
        yield_now().await;
        try_both(&s, &a, &b).await;
        try_both(&s, &a, &b).await;
        yield_now().await;
        log!(s, "root ends");
    });
}

/// Go's nil channel is a guard that is false.
#[test]
fn select_nil_channels() {
    play("select_nil_channels", |s| async move {
        let (a_tx, a) = s.chan(4);
        let (b_tx, b) = s.chan(4);
        for k in 0..4 {
            a_tx.send(k).await.unwrap();
            b_tx.send(10 + k).await.unwrap();
        }
        for k in 0..4 {
            log!(s, "{k} waits");
            select! {
                Ok(v) = a.recv(), if k % 2 == 1 => log!(s, "{k} got a{v}"),
                Ok(v) = b.recv(), if k % 2 == 0 => log!(s, "{k} got b{v}"),
            }
        }
        let nil = false;
        select! {
            Ok(v) = a.recv(), if nil => log!(s, "{v}"),
            default => log!(s, "default"),
        }
    });
}

#[test]
fn select_parked_woken_by_the_first() {
    in_order("select_parked_woken_by_the_first", |s| async move {
        let (a_tx, a) = s.chan(0);
        let (b_tx, b) = s.chan(0);
        s.spawn(either(s.clone(), a, b, 0));
        yield_now().await;
        sender(s.clone(), a_tx, 1).await;
        yield_now().await;
        log!(s, "try b {}", try_send(&b_tx, 2)); // it waits there no more
    });
}

/// In Go a select that was woken by one channel is taken out of the others' lines in the same moment. In gmprt it stands in
/// them until it runs: what a second channel gives it meanwhile goes back to that channel when the select drops that future,
/// and is there for the next receiver. This is so in each of the cases that differ from here on.
#[test]
fn select_parked_woken_by_the_second() {
    let ours = "0 waits, 1 sends, 1 sent, try a sent, 0 got a2, try a full";
    differs("select_parked_woken_by_the_second", ours, |s| async move {
        let (a_tx, a) = s.chan(0);
        let (b_tx, b) = s.chan(0);
        s.spawn(either(s.clone(), a, b, 0));
        yield_now().await;
        sender(s.clone(), b_tx, 1).await;
        log!(s, "try a {}", try_send(&a_tx, 2)); // already decided
        yield_now().await;
        log!(s, "try a {}", try_send(&a_tx, 3));
    });
}

/// Both channels serve 3 first, and then 0; what they did not take from both goes on to 1 and 2.
#[test]
fn select_several_parked() {
    let ours = "3 waits, 0 waits, 1 waits, 2 waits, sent 0, sent 1, sent 2, sent 3, 0 got a3, 1 got b2, 3 got a1, 2 got b0";
    differs("select_several_parked", ours, |s| async move {
        let (a_tx, a) = s.chan(0);
        let (b_tx, b) = s.chan(0);
        s.children(4, |s, i| either(s, a.clone(), b.clone(), i));
        yield_now().await;
        for k in 0..4 {
            let tx = if k % 2 == 0 { &b_tx } else { &a_tx };
            tx.send(k).await.unwrap();
            log!(s, "sent {k}");
        }
    });
}

/// As above; all three selects take from a, so that 21, who waits for a only, is left, and one value in b.
#[test]
fn select_several_parked_among_receivers() {
    let ours = "22 waits, 0 waits, 1 waits, 2 waits, 10 waits, 11 waits, 12 waits, 20 waits, 21 waits, sent 0, sent 1, sent 2, sent 3, root ends, 20 got a9, 0 got a0, 12 got 1, 22 got 0, 1 got 1, 10 got a2, 2 got 2, 11 got 3, b has 3, 21 got 3";
    differs("select_several_parked_among_receivers", ours, |s| async move {
        let (a_tx, a) = s.chan(0);
        let (b_tx, b) = s.chan(0);
        for i in 0..3 {
            s.spawn(either(s.clone(), a.clone(), b.clone(), i * 10));
            s.spawn(receiver(s.clone(), a.clone(), i * 10 + 1));
            s.spawn(receiver(s.clone(), b.clone(), i * 10 + 2));
        }
        yield_now().await;
        for k in 0..4 {
            a_tx.send(k).await.unwrap();
            b_tx.send(k).await.unwrap();
            log!(s, "sent {k}");
        }
        a_tx.send(9).await.unwrap();
        log!(s, "root ends");
        yields(3).await;
        let left = b.recv().await.unwrap(); // in Go nothing is left
        log!(s, "b has {left}");
        a_tx.send(left).await.unwrap();
    });
}

/// As above: the close has woken 0, which still stands in the line of a.
#[test]
fn select_several_parked_then_close() {
    let ours =
        "3 waits, 0 waits, 1 waits, 2 waits, closed, try a sent, 0 got a8, 3 got a7, 2 closed b, 1 closed b";
    differs("select_several_parked_then_close", ours, |s| async move {
        let (a_tx, a) = s.chan(0);
        let (b_tx, b) = s.chan(0);
        s.children(4, |s, i| either(s, a.clone(), b.clone(), i));
        yield_now().await;
        a_tx.send(7).await.unwrap();
        b_tx.close();
        log!(s, "closed");
        log!(s, "try a {}", try_send(&a_tx, 8));
    });
}

/// As above, and here it shows most: both channels have taken the value before the select runs, so it was sent twice. Who
/// must send it once waits for a permit, see the next test.
#[test]
fn select_senders_parked() {
    let ours = "root got 3, root got 3, root got 0, root got 0, root took 1 and 1, root got 2, 2 sent a, 3 sent a, 0 sent a, 1 sent a";
    differs("select_senders_parked", ours, |s| async move {
        let (a_tx, a) = s.chan(0);
        let (b_tx, b) = s.chan(0);
        s.children(4, |s, i| {
            let (a, b) = (a_tx.clone(), b_tx.clone());
            async move {
                select! {
                    biased;
                    Ok(()) = a.send(i) => log!(s, "{i} sent a"),
                    Ok(()) = b.send(i) => log!(s, "{i} sent b"),
                }
            }
        });
        yield_now().await;
        log!(s, "root got {}", recv(&b).await);
        log!(s, "root got {}", recv(&a).await);
        log!(s, "root got {}", recv(&a).await);
        log!(s, "root got {}", recv(&b).await);
        log!(s, "root took {} and {}", try_recv(&a), try_recv(&b));
        let left = recv(&a).await; // in Go nobody is left
        log!(s, "root got {left}");
    });
}

/// The case above with `reserve` in place of `send`: a permit that the select drops goes to the next sender, and each value
/// is sent once. Go needs no such thing.
#[test]
fn select_over_permits_sends_each_value_once() {
    let rt = Runtime::builder().procs(1).build().unwrap();
    let mut got = rt.block_on(async {
        let ((a_tx, a), (b_tx, b)) = (chan::bounded::<usize>(0), chan::bounded::<usize>(0));
        for i in 0..4 {
            let (a, b) = (a_tx.clone(), b_tx.clone());
            drop(gmprt::spawn(async move {
                select! {
                    Ok(permit) = a.reserve() => permit.send(i),
                    Ok(permit) = b.reserve() => permit.send(i),
                }
            }));
        }
        yields(2).await;
        let mut got = Vec::new();
        for _ in 0..4 {
            select! {
                Ok(v) = a.recv() => got.push(v),
                Ok(v) = b.recv() => got.push(v),
            }
        }
        got
    });
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2, 3]);
}

#[test]
fn select_meets_select() {
    play("select_meets_select", |s| async move {
        let (_, a) = s.chan(0);
        let (b_tx, b) = s.chan(0);
        let (_, other) = s.chan(0);
        let t = s.clone();
        s.spawn(async move {
            select! {
                Ok(v) = a.recv() => log!(t, "x got a{v}"),
                Ok(()) = b_tx.send(1) => log!(t, "x sent b"),
            }
        });
        let t = s.clone();
        s.spawn(async move {
            select! {
                Ok(v) = b.recv() => log!(t, "y got b{v}"),
                Ok(v) = other.recv() => log!(t, "y got {v}"),
            }
        });
        log!(s, "root ends");
    });
}

/// In any other order the last value and `quit` may both come before the select runs, and the value is lost: see
/// `select_parked_woken_by_the_second`.
#[test]
fn select_loop_until_quit() {
    in_order("select_loop_until_quit", |s| async move {
        let (tx, work) = s.chan(0);
        let (quit_tx, quit) = s.chan(0);
        let t = s.clone();
        s.spawn(async move {
            loop {
                select! {
                    Ok(v) = work.recv() => log!(t, "worked on {v}"),
                    Ok(_) = quit.recv() => {
                        log!(t, "quit");
                        return;
                    }
                }
            }
        });
        for k in 0..3 {
            tx.send(k).await.unwrap();
            log!(s, "gave {k}");
        }
        quit_tx.send(0).await.unwrap();
        log!(s, "root ends");
    });
}

/// As the one before.
#[test]
fn select_loops_share_the_work() {
    in_order("select_loops_share_the_work", |s| async move {
        let (tx, work) = s.chan(0);
        let (quit_tx, quit) = s.chan(0);
        s.children(3, |s, i| {
            let (work, quit) = (work.clone(), quit.clone());
            async move {
                loop {
                    select! {
                        Ok(v) = work.recv() => log!(s, "{i} worked on {v}"),
                        Err(_) = quit.recv() => {
                            log!(s, "{i} quits");
                            return;
                        }
                    }
                }
            }
        });
        yield_now().await;
        for k in 0..7 {
            tx.send(k).await.unwrap();
            log!(s, "gave {k}");
        }
        yield_now().await;
        quit_tx.close();
        log!(s, "root ends");
    });
}

// ---- WaitGroup: its waiters wake all together, oldest first. ----

#[test]
fn wait_group_go() {
    play("wait_group_go", |s| async move {
        let wg = WaitGroup::new();
        for i in 0..3 {
            let t = s.clone();
            drop(wg.spawn(s.counted(async move {
                log!(t, "{i}");
                yield_now().await;
                log!(t, "{i}'");
            })));
        }
        wg.wait().await;
        log!(s, "root ends");
    });
}

#[test]
fn wait_group_at_zero() {
    play("wait_group_at_zero", |s| async move {
        let wg = WaitGroup::new();
        let t = s.clone();
        s.spawn(async move { log!(t, "child") });
        wg.wait().await;
        log!(s, "root");
        wg.add(2);
        wg.add(-2);
        wg.wait().await;
        log!(s, "root ends");
    });
}

/// Waits, then logs.
async fn waiter(s: Scene, wg: WaitGroup, name: String) {
    wg.wait().await;
    log!(s, "{name}");
}

#[test]
fn wait_group_add_in_parts() {
    play("wait_group_add_in_parts", |s| async move {
        let wg = WaitGroup::new();
        wg.add(5);
        s.children(3, |s, i| waiter(s, wg.clone(), format!("waiter {i}")));
        yield_now().await;
        for delta in [-2, 1, -3, -1] {
            wg.add(delta);
            log!(s, "add {delta}");
            yield_now().await;
        }
        log!(s, "root ends");
    });
}

#[test]
fn wait_group_waiters_come_one_by_one() {
    play("wait_group_waiters_come_one_by_one", |s| async move {
        let wg = WaitGroup::new();
        wg.add(3);
        for i in 0..3 {
            let (t, waits) = (s.clone(), wg.clone());
            s.spawn(async move {
                log!(t, "{i} waits");
                waits.wait().await;
                log!(t, "{i}'");
            });
            yield_now().await;
            wg.done();
            log!(s, "done {i}");
        }
    });
}

#[test]
fn wait_group_reused() {
    in_order("wait_group_reused", |s| async move {
        let wg = WaitGroup::new();
        for round in 0..3 {
            wg.add(2);
            s.children(2, |s, i| waiter(s, wg.clone(), format!("{round} waiter {i}")));
            yield_now().await;
            s.children(2, |s, i| {
                let wg = wg.clone();
                async move {
                    log!(s, "{round} worker {i}");
                    wg.done();
                }
            });
            wg.wait().await;
            log!(s, "{round} root");
            yield_now().await;
        }
    });
}

#[test]
fn wait_group_waiters_spawn() {
    play("wait_group_waiters_spawn", |s| async move {
        let wg = WaitGroup::new();
        wg.add(1);
        s.children(3, |s, i| {
            let wg = wg.clone();
            async move {
                wg.wait().await;
                let t = s.clone();
                s.spawn(async move { log!(t, "child of {i}") });
                log!(s, "{i}");
                yield_now().await;
                log!(s, "{i}'");
            }
        });
        yield_now().await;
        wg.done();
        log!(s, "root ends");
    });
}

#[test]
fn wait_group_in_a_row() {
    play("wait_group_in_a_row", |s| async move {
        let groups: [WaitGroup; 4] = std::array::from_fn(|_| WaitGroup::new());
        for group in &groups {
            group.add(1);
        }
        for i in 0..3 {
            let (t, this, next) = (s.clone(), groups[i].clone(), groups[i + 1].clone());
            s.spawn(async move {
                this.wait().await;
                log!(t, "{i}");
                next.done();
                log!(t, "{i}'");
            });
        }
        s.children(2, |s, i| waiter(s, groups[2].clone(), format!("other {i}")));
        yield_now().await;
        groups[0].done();
        groups[3].wait().await;
        log!(s, "root ends");
    });
}

// ---- Cond: a line of its own; who is woken then queues for the lock. ----

type Pair = Arc<(Mutex<usize>, Cond)>;

fn pair() -> Pair {
    Arc::new((Mutex::new(0), Cond::new()))
}

/// Spawns `n` tasks that wait for the Cond once.
fn cond_waiters(s: &Scene, pair: &Pair, n: usize) {
    s.children(n, |s, i| cond_waiter(s, pair.clone(), i));
}

async fn cond_waiter(s: Scene, pair: Pair, i: usize) {
    let (m, c) = &*pair;
    let guard = m.lock().await;
    log!(s, "{i} waits");
    let guard = c.wait(guard).await;
    log!(s, "{i}'");
    drop(guard);
}

#[test]
fn cond_signal_each_with_the_lock() {
    in_order("cond_signal_each_with_the_lock", |s| async move {
        let pair = pair();
        cond_waiters(&s, &pair, 4);
        yield_now().await;
        let guard = pair.0.lock().await;
        for k in 0..5 {
            pair.1.signal();
            log!(s, "signal {k}");
        }
        drop(guard);
        log!(s, "root ends");
    });
}

#[test]
fn cond_signal_each_without_the_lock() {
    in_order("cond_signal_each_without_the_lock", |s| async move {
        let pair = pair();
        cond_waiters(&s, &pair, 4);
        yield_now().await;
        for k in 0..4 {
            pair.1.signal();
            log!(s, "signal {k}");
        }
        log!(s, "root ends");
    });
}

#[test]
fn cond_signal_and_yield() {
    in_order("cond_signal_and_yield", |s| async move {
        let pair = pair();
        cond_waiters(&s, &pair, 3);
        yield_now().await;
        for k in 0..3 {
            let guard = pair.0.lock().await;
            pair.1.signal();
            log!(s, "signal {k}");
            drop(guard);
            yield_now().await;
            log!(s, "root {k}");
        }
    });
}

#[test]
fn cond_signal_then_hold_the_lock() {
    in_order("cond_signal_then_hold_the_lock", |s| async move {
        let pair = pair();
        cond_waiters(&s, &pair, 3);
        yield_now().await;
        let guard = pair.0.lock().await;
        pair.1.signal();
        pair.1.signal();
        log!(s, "signals");
        yield_now().await;
        log!(s, "root unlocks");
        drop(guard);
        yield_now().await;
        pair.1.signal();
        log!(s, "root ends");
    });
}

#[test]
fn cond_broadcast_with_the_lock() {
    in_order("cond_broadcast_with_the_lock", |s| async move {
        let pair = pair();
        cond_waiters(&s, &pair, 5);
        yield_now().await;
        let guard = pair.0.lock().await;
        pair.1.broadcast();
        log!(s, "broadcast");
        drop(guard);
        log!(s, "root ends");
    });
}

#[test]
fn cond_broadcast_without_the_lock() {
    in_order("cond_broadcast_without_the_lock", |s| async move {
        let pair = pair();
        cond_waiters(&s, &pair, 5);
        yield_now().await;
        pair.1.broadcast();
        log!(s, "broadcast");
    });
}

#[test]
fn cond_broadcast_then_hold_the_lock() {
    in_order("cond_broadcast_then_hold_the_lock", |s| async move {
        let pair = pair();
        cond_waiters(&s, &pair, 4);
        yield_now().await;
        let guard = pair.0.lock().await;
        pair.1.broadcast();
        log!(s, "broadcast");
        yield_now().await;
        log!(s, "root unlocks");
        drop(guard);
        log!(s, "root ends");
    });
}

#[test]
fn cond_broadcast_waiters_yield() {
    in_order("cond_broadcast_waiters_yield", |s| async move {
        let pair = pair();
        s.children(4, |s, i| {
            let pair = pair.clone();
            async move {
                let guard = pair.0.lock().await;
                let guard = pair.1.wait(guard).await;
                log!(s, "{i}");
                yield_now().await;
                log!(s, "{i}'");
                drop(guard);
            }
        });
        yield_now().await;
        pair.1.broadcast();
        log!(s, "broadcast");
    });
}

#[test]
fn cond_late_waiter() {
    in_order("cond_late_waiter", |s| async move {
        let pair = pair();
        pair.1.signal();
        pair.1.broadcast();
        s.spawn(cond_waiter(s.clone(), pair.clone(), 0));
        yield_now().await;
        pair.1.signal();
        s.spawn(cond_waiter(s.clone(), pair.clone(), 1));
        yields(2).await;
        log!(s, "root");
        pair.1.signal();
    });
}

/// `n` times each: waits for the Cond under one lock.
async fn waits_again(s: Scene, pair: Pair, i: usize, n: usize) {
    let mut guard = pair.0.lock().await;
    for k in 0..n {
        guard = pair.1.wait(guard).await;
        log!(s, "{i}.{k}");
    }
}

#[test]
fn cond_wait_again() {
    in_order("cond_wait_again", |s| async move {
        let pair = pair();
        s.children(3, |s, i| waits_again(s, pair.clone(), i, 3));
        yield_now().await;
        for k in 0..9 {
            let guard = pair.0.lock().await;
            pair.1.signal();
            drop(guard);
            if k % 3 == 2 {
                log!(s, "root {k}");
                yield_now().await;
            }
        }
    });
}

#[test]
fn cond_broadcast_again() {
    in_order("cond_broadcast_again", |s| async move {
        let pair = pair();
        s.children(3, |s, i| waits_again(s, pair.clone(), i, 2));
        yield_now().await;
        for k in 0..2 {
            pair.1.broadcast();
            log!(s, "broadcast {k}");
            yield_now().await;
        }
    });
}

#[test]
fn cond_bounded_queue() {
    play("cond_bounded_queue", |s| async move {
        let shared = Arc::new((Mutex::new(Vec::new()), Cond::new(), Cond::new()));
        s.children(2, |s, i| {
            let shared = shared.clone();
            async move {
                let (queue, not_empty, not_full) = &*shared;
                for _ in 0..3 {
                    let mut queue = queue.lock().await;
                    while queue.is_empty() {
                        queue = not_empty.wait(queue).await;
                    }
                    let v: usize = queue.remove(0);
                    log!(s, "{i} took {v}");
                    not_full.signal();
                }
            }
        });
        s.children(2, |s, i| {
            let shared = shared.clone();
            async move {
                let (queue, not_empty, not_full) = &*shared;
                for k in 0..3 {
                    let mut queue = queue.lock().await;
                    while queue.len() == 2 {
                        queue = not_full.wait(queue).await;
                    }
                    queue.push(i * 10 + k);
                    log!(s, "{i} put {}", i * 10 + k);
                    not_empty.signal();
                }
            }
        });
    });
}

#[test]
fn cond_signal_stolen() {
    in_order("cond_signal_stolen", |s| async move {
        let pair = pair();
        s.children(3, |s, i| {
            let pair = pair.clone();
            async move {
                let mut items = pair.0.lock().await;
                while *items == 0 {
                    log!(s, "{i} waits");
                    items = pair.1.wait(items).await;
                }
                *items -= 1;
                log!(s, "{i} took");
            }
        });
        yield_now().await;
        let mut items = pair.0.lock().await;
        *items += 1;
        pair.1.signal();
        drop(items);
        let mut items = pair.0.lock().await;
        *items -= 1;
        log!(s, "root took");
        drop(items);
        yield_now().await;
        for _ in 0..3 {
            let mut items = pair.0.lock().await;
            *items += 1;
            pair.1.signal();
            drop(items);
            log!(s, "root gave");
            yield_now().await;
        }
    });
}

// ---- Mutex, when nobody starves: who runs gets it; who is woken competes, and if it loses is first in line again. ----

type Lock = Arc<Mutex<()>>;

fn lock() -> Lock {
    Arc::new(Mutex::new(()))
}

/// Locks, logs, yields while it holds, and unlocks.
async fn holder(s: Scene, m: Lock, name: String) {
    let guard = m.lock().await;
    log!(s, "{name} has");
    yield_now().await;
    log!(s, "{name} lets go");
    drop(guard);
}

/// Waits for the lock and lets go at once.
async fn locker(s: Scene, m: Lock, i: usize) {
    log!(s, "{i} waits");
    let guard = m.lock().await;
    log!(s, "{i} has");
    drop(guard);
    log!(s, "{i} ends");
}

#[test]
fn mutex_nobody_waits() {
    play("mutex_nobody_waits", |s| async move {
        let m = lock();
        s.children(4, |s, i| {
            let m = m.clone();
            async move {
                let guard = m.lock().await;
                log!(s, "{i} has");
                drop(guard);
                log!(s, "{i}");
            }
        });
    });
}

#[test]
fn mutex_holders_yield() {
    play("mutex_holders_yield", |s| async move {
        let m = lock();
        s.children(4, |s, i| {
            let m = m.clone();
            async move {
                holder(s.clone(), m, i.to_string()).await;
                log!(s, "{i} ends");
            }
        });
    });
}

#[test]
fn mutex_holders_yield_twice() {
    play("mutex_holders_yield_twice", |s| async move {
        let m = lock();
        s.children(3, |s, i| {
            let m = m.clone();
            async move {
                for k in 0..2 {
                    holder(s.clone(), m.clone(), format!("{i}.{k}")).await;
                }
            }
        });
    });
}

#[test]
fn mutex_barging() {
    play("mutex_barging", |s| async move {
        let m = lock();
        let mut guard = m.lock().await;
        s.children(2, |s, i| locker(s, m.clone(), i));
        yield_now().await;
        for k in 0..3 {
            drop(guard);
            guard = m.lock().await;
            log!(s, "root has again {k}");
        }
        drop(guard);
        log!(s, "root ends");
    });
}

#[test]
fn mutex_barging_then_yield() {
    play("mutex_barging_then_yield", |s| async move {
        let m = lock();
        let mut guard = m.lock().await;
        s.children(3, |s, i| locker(s, m.clone(), i));
        yield_now().await;
        for k in 0..3 {
            drop(guard);
            guard = m.lock().await;
            log!(s, "root has again {k}");
            yield_now().await;
        }
        drop(guard);
        log!(s, "root ends");
    });
}

#[test]
fn mutex_unlock_then_yield() {
    play("mutex_unlock_then_yield", |s| async move {
        let m = lock();
        let guard = m.lock().await;
        s.children(3, |s, i| locker(s, m.clone(), i));
        yield_now().await;
        drop(guard);
        log!(s, "unlocked");
        yield_now().await;
        holder(s.clone(), m.clone(), "root".to_owned()).await;
    });
}

/// Go's unlock adds a token to the lock's semaphore and wakes 1; before 1 runs, `before` queues, and finds the token
/// (`sema.go: semacquire1`, the easy case): it has been woken in place of 1, loses, and is first in line; 1 finds no token
/// and goes to the end of it. In gmprt the wake is 1's own: it loses, and is first in line again.
#[test]
fn mutex_unlock_between_spawns() {
    let ours = "1 waits, 0 waits, root ends, after has, after lets go, 1 has, 1 ends, 0 has, 0 ends, before has, before lets go";
    differs("mutex_unlock_between_spawns", ours, |s| async move {
        let m = lock();
        let guard = m.lock().await;
        s.children(2, |s, i| locker(s, m.clone(), i));
        yield_now().await;
        s.spawn(holder(s.clone(), m.clone(), "before".to_owned()));
        drop(guard);
        s.spawn(holder(s.clone(), m.clone(), "after".to_owned()));
        log!(s, "root ends");
    });
}

#[test]
fn mutex_two_unlocks_wake_one() {
    play("mutex_two_unlocks_wake_one", |s| async move {
        let m = lock();
        let guard = m.lock().await;
        s.children(3, |s, i| {
            let m = m.clone();
            async move {
                let guard = m.lock().await;
                log!(s, "{i} has");
                yields(2).await;
                log!(s, "{i} lets go");
                drop(guard);
            }
        });
        yield_now().await;
        drop(guard);
        drop(m.lock().await);
        log!(s, "root unlocked twice");
        yield_now().await;
        log!(s, "root ends");
    });
}

#[test]
fn mutex_try_lock() {
    in_order("mutex_try_lock", |s| async move {
        fn try_it<'m>(s: &Scene, m: &'m Lock, who: &str) -> Option<MutexGuard<'m, ()>> {
            let guard = m.try_lock();
            log!(s, "{who} {}", guard.is_some());
            guard
        }
        let m = lock();
        let guard = try_it(&s, &m, "free");
        try_it(&s, &m, "held");
        s.children(2, |s, i| locker(s, m.clone(), i));
        yield_now().await;
        try_it(&s, &m, "waited for");
        drop(guard);
        let guard = try_it(&s, &m, "one is woken"); // barges
        yield_now().await;
        log!(s, "root unlocks");
        drop(guard);
        let (t, n) = (s.clone(), m.clone());
        s.spawn(async move { drop(try_it(&t, &n, "child")) });
        yield_now().await;
        log!(s, "root ends");
    });
}

#[test]
fn mutex_two_of_them() {
    play("mutex_two_of_them", |s| async move {
        let (a, b) = (lock(), lock());
        s.children(3, |s, i| {
            let (a, b) = (a.clone(), b.clone());
            async move {
                let has_a = a.lock().await;
                log!(s, "{i} has a");
                yield_now().await;
                let has_b = b.lock().await;
                log!(s, "{i} has both");
                drop(has_a);
                yield_now().await;
                log!(s, "{i} lets go");
                drop(has_b);
            }
        });
    });
}

#[test]
fn mutex_holder_waits_for_a_value() {
    play("mutex_holder_waits_for_a_value", |s| async move {
        let m = lock();
        let (tx, rx) = s.chan(0);
        s.children(3, |s, i| {
            let (m, rx) = (m.clone(), rx.clone());
            async move {
                let guard = m.lock().await;
                log!(s, "{i} has");
                log!(s, "{i} got {}", recv(&rx).await);
                drop(guard);
            }
        });
        s.spawn(sends_3(s.clone(), tx, 0));
    });
}

// ---- Mutex, when somebody starves: the unlocker gives it to the first in line and makes way. ----

impl Scene {
    /// Lets so much time pass that who waits for a lock starves.
    fn starve(&self) {
        self.pass(Duration::from_micros(1600));
    }
}

/// The end of those cases: unlocks in favour of whom has waited for long; locks again, but is late: the one that was woken
/// and lost makes the lock starve, so that the next unlock gives it away.
async fn lose_and_give<'m>(s: &Scene, m: &'m Lock, guard: MutexGuard<'m, ()>) -> MutexGuard<'m, ()> {
    drop(guard);
    let guard = m.lock().await;
    log!(s, "root has again");
    yield_now().await;
    guard
}

#[test]
fn starving_alone() {
    play("starving_alone", |s| async move {
        let m = lock();
        let guard = m.lock().await;
        s.spawn(locker(s.clone(), m.clone(), 0));
        yield_now().await;
        s.starve();
        let guard = lose_and_give(&s, &m, guard).await;
        log!(s, "root gives");
        drop(guard);
        let guard = m.lock().await;
        log!(s, "root has the last");
        drop(guard);
    });
}

#[test]
fn starving_from_hand_to_hand() {
    play("starving_from_hand_to_hand", |s| async move {
        let m = lock();
        let guard = m.lock().await;
        s.children(4, |s, i| {
            let m = m.clone();
            async move {
                log!(s, "{i} waits");
                let guard = m.lock().await;
                log!(s, "{i} has");
                drop(guard);
            }
        });
        yield_now().await;
        s.starve();
        let guard = lose_and_give(&s, &m, guard).await;
        log!(s, "root gives");
        drop(guard);
        let guard = m.lock().await;
        log!(s, "root has the last");
        drop(guard);
    });
}

#[test]
fn starving_newcomers_queue() {
    play("starving_newcomers_queue", |s| async move {
        let m = lock();
        let guard = m.lock().await;
        s.children(3, |s, i| holder(s, m.clone(), i.to_string()));
        yield_now().await;
        s.starve();
        let guard = lose_and_give(&s, &m, guard).await;
        s.children(2, |s, i| holder(s, m.clone(), format!("new {i}")));
        log!(s, "root gives");
        drop(guard);
        let guard = m.lock().await;
        log!(s, "root has the last");
        drop(guard);
    });
}

#[test]
fn starving_ends_with_a_short_wait() {
    play("starving_ends_with_a_short_wait", |s| async move {
        let m = lock();
        let guard = m.lock().await;
        s.spawn(holder(s.clone(), m.clone(), "long".to_owned()));
        yield_now().await;
        s.starve();
        s.children(2, |s, i| {
            let m = m.clone();
            async move {
                let guard = m.lock().await;
                log!(s, "short {i} has");
                drop(guard);
                let guard = m.lock().await;
                log!(s, "short {i} has again");
                drop(guard);
            }
        });
        yield_now().await;
        let guard = lose_and_give(&s, &m, guard).await;
        log!(s, "root gives");
        drop(guard);
    });
}

#[test]
fn starving_try_lock() {
    play("starving_try_lock", |s| async move {
        let m = lock();
        let guard = m.lock().await;
        s.children(2, |s, i| holder(s, m.clone(), i.to_string()));
        yield_now().await;
        s.starve();
        drop(guard);
        let guard = m.lock().await;
        yield_now().await;
        let (t, n) = (s.clone(), m.clone());
        s.spawn(async move { log!(t, "try {}", n.try_lock().is_some()) });
        log!(s, "root gives");
        drop(guard);
        let guard = m.lock().await;
        log!(s, "root has the last");
        drop(guard);
    });
}

#[test]
fn long_waits_without_a_loss() {
    play("long_waits_without_a_loss", |s| async move {
        let m = lock();
        let guard = m.lock().await;
        s.children(3, |s, i| locker(s, m.clone(), i));
        yield_now().await;
        s.starve();
        drop(guard);
        log!(s, "root ends");
    });
}

// ---- RwLock: readers share; a writer that waits keeps new readers out; a writer lets those in when it leaves. ----

type Rw = Arc<RwLock<()>>;

fn rw() -> Rw {
    Arc::new(RwLock::new(()))
}

async fn reader(s: Scene, rw: Rw, i: usize) {
    let guard = rw.read().await;
    log!(s, "r{i} in");
    yield_now().await;
    log!(s, "r{i} out");
    drop(guard);
}

async fn writer(s: Scene, rw: Rw, i: usize) {
    let guard = rw.write().await;
    log!(s, "w{i} in");
    yield_now().await;
    log!(s, "w{i} out");
    drop(guard);
}

#[test]
fn rw_readers_share() {
    play("rw_readers_share", |s| async move {
        let rw = rw();
        s.children(4, |s, i| reader(s, rw.clone(), i));
    });
}

#[test]
fn rw_writers_only() {
    play("rw_writers_only", |s| async move {
        let rw = rw();
        s.children(4, |s, i| writer(s, rw.clone(), i));
    });
}

#[test]
fn rw_writer_waits_for_readers() {
    play("rw_writer_waits_for_readers", |s| async move {
        let rw = rw();
        s.spawn(writer(s.clone(), rw.clone(), 0));
        s.children(3, |s, i| {
            let rw = rw.clone();
            async move {
                let guard = rw.read().await;
                log!(s, "r{i} in");
                yields(i + 2).await;
                log!(s, "r{i} out");
                drop(guard);
                log!(s, "r{i} ends");
            }
        });
        yield_now().await;
        log!(s, "root ends");
    });
}

#[test]
fn rw_waiting_writer_keeps_readers_out() {
    play("rw_waiting_writer_keeps_readers_out", |s| async move {
        let rw = rw();
        let guard = rw.read().await;
        s.spawn(writer(s.clone(), rw.clone(), 0));
        yield_now().await;
        s.children(3, |s, i| reader(s, rw.clone(), i));
        yield_now().await;
        log!(s, "root out");
        drop(guard);
        log!(s, "root ends");
    });
}

#[test]
fn rw_writer_leaves_to_readers() {
    play("rw_writer_leaves_to_readers", |s| async move {
        let rw = rw();
        let guard = rw.write().await;
        s.children(4, |s, i| reader(s, rw.clone(), i));
        yield_now().await;
        log!(s, "root out");
        drop(guard);
        log!(s, "root ends");
    });
}

#[test]
fn rw_writer_leaves_to_both() {
    play("rw_writer_leaves_to_both", |s| async move {
        let rw = rw();
        let guard = rw.write().await;
        for i in 0..3 {
            s.spawn(writer(s.clone(), rw.clone(), i));
            s.spawn(reader(s.clone(), rw.clone(), i));
        }
        yield_now().await;
        log!(s, "root out");
        drop(guard);
        log!(s, "root ends");
    });
}

#[test]
fn rw_reader_leaves_to_both() {
    play("rw_reader_leaves_to_both", |s| async move {
        let rw = rw();
        let guard = rw.read().await;
        for i in 0..3 {
            s.spawn(reader(s.clone(), rw.clone(), i));
            s.spawn(writer(s.clone(), rw.clone(), i));
        }
        yield_now().await;
        log!(s, "root out");
        drop(guard);
        log!(s, "root ends");
    });
}

/// A writer keeps readers out once it has the writers' mutex. The one that `Unlock` wakes has it only when it runs
/// (`rwmutex.go: Unlock`, `Lock`), so that 1, which comes back to read at once, gets in before writer 0.
#[test]
fn rw_readers_then_writers_by_turns() {
    play("rw_readers_then_writers_by_turns", |s| async move {
        let rw = rw();
        s.children(2, |s, i| {
            let rw = rw.clone();
            async move {
                for _ in 0..2 {
                    reader(s.clone(), rw.clone(), i).await;
                    writer(s.clone(), rw.clone(), i).await;
                }
            }
        });
    });
}

#[test]
fn rw_writer_comes_back() {
    play("rw_writer_comes_back", |s| async move {
        let rw = rw();
        let guard = rw.write().await;
        s.children(2, |s, i| reader(s, rw.clone(), i));
        yield_now().await;
        drop(guard);
        log!(s, "root out");
        let guard = rw.write().await;
        log!(s, "root in again");
        drop(guard);
    });
}

#[test]
fn rw_writer_barges() {
    play("rw_writer_barges", |s| async move {
        let rw = rw();
        let guard = rw.write().await;
        s.children(2, |s, i| writer(s, rw.clone(), i));
        yield_now().await;
        drop(guard);
        log!(s, "root out");
        let guard = rw.write().await;
        log!(s, "root in again");
        yield_now().await;
        drop(guard);
        log!(s, "root ends");
    });
}

#[test]
fn rw_tries() {
    play("rw_tries", |s| async move {
        fn try_both(s: &Scene, rw: &Rw, state: &str) {
            let r = rw.try_read().is_some();
            let w = rw.try_write().is_some();
            log!(s, "{state} {r} {w}");
        }
        let rw = rw();
        try_both(&s, &rw, "free");
        let guard = rw.read().await;
        try_both(&s, &rw, "read");
        s.spawn(writer(s.clone(), rw.clone(), 0));
        yield_now().await;
        try_both(&s, &rw, "a writer waits");
        drop(guard);
        try_both(&s, &rw, "a writer is woken");
        yield_now().await;
        try_both(&s, &rw, "written");
        yield_now().await;
        try_both(&s, &rw, "free again");
    });
}

// ---- Once: a OnceCell. In Go those who wait do so for a mutex, and pass it from one to the next (`once.go: doSlow`), so
// that they go on one by one in line. A OnceCell that is set lets all go at once; each is made ready in line, and the last
// of them is in runnext. ----

/// As said above; so in the next two.
#[test]
fn once_waiters() {
    let ours = "3 asks, 3 does it, 0 asks, 1 asks, 2 asks, 3 did it, 3 ends, 2 ends, 0 ends, 1 ends";
    differs("once_waiters", ours, |s| async move {
        let once = Arc::new(OnceCell::new());
        s.children(4, |s, i| {
            let once = once.clone();
            async move {
                log!(s, "{i} asks");
                once.get_or_init(|| async {
                    log!(s, "{i} does it");
                    yield_now().await;
                    log!(s, "{i} did it");
                })
                .await;
                log!(s, "{i} ends");
            }
        });
    });
}

/// As above; the latecomer is the last in line.
#[test]
fn once_waiters_and_latecomer() {
    let ours = "2 does it, root ends, 2 ends, 3 ends, 0 ends, 1 ends";
    differs("once_waiters_and_latecomer", ours, |s| async move {
        async fn ask(s: Scene, once: Arc<OnceCell<()>>, i: usize) {
            once.get_or_init(|| async {
                log!(s, "{i} does it");
                yield_now().await;
            })
            .await;
            log!(s, "{i} ends");
        }
        let once = Arc::new(OnceCell::new());
        s.children(3, |s, i| ask(s, once.clone(), i));
        yield_now().await;
        s.spawn(ask(s.clone(), once.clone(), 3));
        log!(s, "root ends");
    });
}

#[test]
fn once_value() {
    let ours = "computes, 2 has 7, 1 has 7, 0 has 7";
    differs("once_value", ours, |s| async move {
        let once = Arc::new(OnceCell::new());
        s.children(3, |s, i| {
            let once = once.clone();
            async move {
                let value = once
                    .get_or_init(|| async {
                        log!(s, "computes");
                        yield_now().await;
                        7
                    })
                    .await;
                log!(s, "{i} has {value}");
            }
        });
    });
}

// ---- Context ----

/// Waits until it is cancelled; logs why, in Go's words.
async fn cancelled(s: Scene, ctx: Context, name: String) {
    ctx.done().await;
    log!(s, "{name} {}", go_words(&ctx));
}

fn go_words(ctx: &Context) -> &'static str {
    match ctx.err() {
        Some(ContextError::Canceled) => "context canceled",
        Some(ContextError::DeadlineExceeded) => "context deadline exceeded",
        _ => "<nil>",
    }
}

#[test]
fn context_cancel() {
    play("context_cancel", |s| async move {
        let (ctx, cancel) = context::with_cancel(&context::background());
        s.children(4, |s, i| cancelled(s, ctx.clone(), i.to_string()));
        yield_now().await;
        cancel.cancel();
        log!(s, "cancelled");
        cancel.cancel();
        yield_now().await;
        cancelled(s, ctx, "root".to_owned()).await;
    });
}

#[test]
fn context_cancel_the_parent() {
    play("context_cancel_the_parent", |s| async move {
        let (a, cancel) = context::with_cancel(&context::background());
        let (b, _cancel_b) = context::with_cancel(&a);
        let (c, _cancel_c) = context::with_cancel(&b);
        s.children(2, |s, i| {
            let (a, b, c) = (a.clone(), b.clone(), c.clone());
            async move {
                s.spawn(cancelled(s.clone(), c, format!("c{i}")));
                s.spawn(cancelled(s.clone(), b, format!("b{i}")));
                s.spawn(cancelled(s.clone(), a, format!("a{i}")));
            }
        });
        yields(2).await;
        cancel.cancel();
        log!(s, "cancelled");
    });
}

#[test]
fn context_cancel_the_child() {
    play("context_cancel_the_child", |s| async move {
        let (a, cancel_a) = context::with_cancel(&context::background());
        let (b, cancel_b) = context::with_cancel(&a);
        s.children(2, |s, i| {
            let (a, b) = (a.clone(), b.clone());
            async move {
                s.spawn(cancelled(s.clone(), a, format!("a{i}")));
                s.spawn(cancelled(s.clone(), b, format!("b{i}")));
            }
        });
        yields(2).await;
        cancel_b.cancel();
        log!(s, "cancelled b");
        yield_now().await;
        cancel_a.cancel();
        log!(s, "cancelled a");
    });
}

#[test]
fn context_child_of_a_cancelled_one() {
    play("context_child_of_a_cancelled_one", |s| async move {
        let (a, cancel_a) = context::with_cancel(&context::background());
        cancel_a.cancel();
        let (b, _cancel_b) = context::with_cancel(&a);
        let t = s.clone();
        s.spawn(async move { log!(t, "child") });
        cancelled(s, b, "root".to_owned()).await;
    });
}

#[test]
fn context_cause() {
    play("context_cause", |s| async move {
        let (a, cancel) = context::with_cancel(&context::background());
        let (b, _cancel_b) = context::with_cancel(&a);
        let t = s.clone();
        s.spawn(async move {
            b.done().await;
            log!(t, "{} because of {}", go_words(&b), b.cause().unwrap());
        });
        yield_now().await;
        cancel.cancel_cause(std::io::Error::other("rain"));
        log!(s, "cancelled");
    });
}

#[test]
fn context_after_func() {
    play("context_after_func", |s| async move {
        let (ctx, cancel) = context::with_cancel(&context::background());
        s.one_more();
        let t = s.clone();
        context::after_func(&ctx, move || {
            log!(t, "function");
            t.end();
        });
        s.children(2, |s, i| cancelled(s, ctx.clone(), i.to_string()));
        yield_now().await;
        cancel.cancel();
        log!(s, "cancelled");
    });
}

#[test]
fn context_after_func_stopped() {
    play("context_after_func_stopped", |s| async move {
        let (ctx, cancel) = context::with_cancel(&context::background());
        let t = s.clone();
        let function = context::after_func(&ctx, move || log!(t, "function"));
        s.spawn(cancelled(s.clone(), ctx.clone(), "0".to_owned()));
        yield_now().await;
        log!(s, "stop {}", function.stop());
        log!(s, "stop {}", function.stop());
        cancel.cancel();
        log!(s, "cancelled");
        yield_now().await;
        log!(s, "root ends");
    });
}

#[test]
fn context_or_a_value() {
    in_order("context_or_a_value", |s| async move {
        let (ctx, cancel) = context::with_cancel(&context::background());
        let (tx, rx) = s.chan(0);
        s.children(3, |s, i| {
            let (ctx, rx) = (ctx.clone(), rx.clone());
            async move {
                loop {
                    select! {
                        Ok(v) = rx.recv() => log!(s, "{i} got {v}"),
                        _ = ctx.done() => {
                            log!(s, "{i} {}", go_words(&ctx));
                            return;
                        }
                    }
                }
            }
        });
        yield_now().await;
        for k in 0..4 {
            tx.send(k).await.unwrap();
            log!(s, "sent {k}");
        }
        yield_now().await;
        cancel.cancel();
        log!(s, "cancelled");
    });
}

#[test]
fn context_deadline() {
    play("context_deadline", |s| async move {
        let (ctx, _cancel) = context::with_timeout(&context::background(), Duration::from_micros(1500));
        s.children(3, |s, i| cancelled(s, ctx.clone(), i.to_string()));
        yield_now().await;
        s.pass(Duration::from_millis(2));
        log!(s, "root");
        cancelled(s, ctx, "root".to_owned()).await;
    });
}

// ---- Timers that are due together, when the P looks again. They fire by deadline, and who was woken last runs first. ----

/// Five children, each with a time to wait; the times are far enough apart for a machine that has other things to do.
fn apart<F, Fut>(s: &Scene, f: F)
where
    F: Fn(Scene, usize, Duration) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let times = [2800, 1000, 3400, 1600, 2200].map(Duration::from_micros);
    s.children(times.len(), |s, i| f(s, i, times[i]));
}

#[test]
fn sleepers_due_together() {
    play("sleepers_due_together", |s| async move {
        apart(&s, |s, i, d| async move {
            time::sleep(d).await;
            log!(s, "{i}");
        });
        yield_now().await;
        s.pass(Duration::from_millis(4));
        log!(s, "root ends");
    });
}

/// Go's `After` gives a channel; a sleep, which is woken as its receiver would be, stands for it here and in
/// `sleep_or_a_value`.
#[test]
fn after_due_together() {
    play("after_due_together", |s| async move {
        apart(&s, |s, i, d| async move {
            time::sleep(d).await;
            log!(s, "{i}");
        });
        yield_now().await;
        s.pass(Duration::from_millis(4));
        log!(s, "root yields");
        yield_now().await;
        log!(s, "root ends");
    });
}

#[test]
fn after_func_due_together() {
    play("after_func_due_together", |s| async move {
        apart(&s, |s, i, d| async move {
            s.one_more();
            let t = s.clone();
            time::after_func(d, move || {
                log!(t, "function {i}");
                t.end();
            });
            log!(s, "{i}");
        });
        yield_now().await;
        s.pass(Duration::from_millis(4));
        log!(s, "root ends");
    });
}

#[test]
fn sleep_or_a_value() {
    in_order("sleep_or_a_value", |s| async move {
        let (tx, rx) = s.chan(0);
        s.children(2, |s, i| {
            let rx = rx.clone();
            async move {
                let after = time::sleep(Duration::from_micros(1500));
                select! {
                    Ok(v) = rx.recv() => log!(s, "{i} got {v}"),
                    _ = after => log!(s, "{i} timed out"),
                }
            }
        });
        yield_now().await;
        tx.send(1).await.unwrap();
        log!(s, "sent");
        yield_now().await;
        s.pass(Duration::from_millis(2));
        log!(s, "root yields");
        yield_now().await;
        log!(s, "root ends");
    });
}

// ---- The lists themselves ----

#[test]
fn each_case_of_the_go_program_is_played_here() {
    let source: String = include_str!("golden_sync.rs").split_whitespace().collect();
    for case in all_expected().into_keys() {
        assert!(
            source.contains(&format!("fn{case}(){{")) && source.contains(&format!("(\"{case}\",")),
            "{case} is in sync_expected.txt, but no test of that name plays it"
        );
    }
}
