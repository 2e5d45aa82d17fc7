//! With one P, tasks run in Go's order, one by one.
//!
//! `tests/golden/golden.go` holds the same cases under the same names; what Go logs is in `tests/golden/expected.txt`,
//! which is read here at compile time. To write it anew, and to see that Go itself repeats it 200 times out of 200:
//!
//! ```text
//! go run tests/golden/golden.go > tests/golden/expected.txt
//! go run tests/golden/golden.go -check 200
//! ```
//!
//! How the cases map, and why the comparison is fair:
//!
//! - The case's first task is spawned from outside and spawns the others; the thread of the test waits on a std channel
//!   and so takes no part in the scheduling. In Go that thread is the main goroutine, which waits likewise.
//! - `yield_now` is Go's internal `goyield` (to the tail of the P's own queue), but while others' work waits in the global
//!   queue it is `Gosched` (to the tail of that queue). For the cases in which the two give another order the Go program
//!   prints both lists, and `play_gosched` compares with the second.
//! - A `JoinHandle` is, in Go, a channel that the goroutine closes as its last act.
//! - Where a blocked send meets a close, Go panics in the sender and gmprt returns an error; the order is the same.
//! - gmprt ends a chain of inherited runs after 200 µs, Go after 10 ms. gmprt looks at the clock at each 16th run of a
//!   chain; no chain here has more than ten, so that a slow machine changes nothing.
//!
//! With `GMPRT_TEST_REVOKE` set, Ps are taken away in the middle of polls on purpose, so that more than one poll is
//! under way and there is no single order. The cases then only have to end, with as many entries as in Go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use gmprt::chan::{self, Receiver, Sender};
use gmprt::sync::WaitGroup;
use gmprt::task::JoinHandle;
use gmprt::{Runtime, yield_now};

const EXPECTED: &str = include_str!("golden/expected.txt");

/// How often each case is played, each time on a fresh runtime.
const PLAYS: usize = 3;

/// One run of one case.
#[derive(Clone)]
struct Scene(Arc<Inner>);

struct Inner {
    entries: Mutex<Vec<String>>,
    /// Tasks of the case that have not ended.
    live: AtomicUsize,
    /// Where the last of them reports.
    done: mpsc::Sender<()>,
}

impl Scene {
    fn log(&self, entry: impl Display) {
        self.0.entries.lock().unwrap().push(entry.to_string());
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
        s.0.live.fetch_add(1, SeqCst);
        async move {
            f.await;
            if s.0.live.fetch_sub(1, SeqCst) == 1 {
                let _ = s.0.done.send(());
            }
        }
    }

    fn spawn<F>(&self, f: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.handle(f));
    }

    /// As `spawn`, with the handle.
    fn handle<F>(&self, f: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        gmprt::spawn(self.counted(f))
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
}

/// Plays the case and compares its log with Go's.
fn play<F, Fut>(case: &str, f: F)
where
    F: Fn(Scene) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let want = expected(case);
    for _ in 0..PLAYS {
        let got = play_undisturbed(case, &f);
        if revoked() {
            assert_eq!(got.len(), want.len(), "{case}: entries; gmprt has {got:?}, Go has {want:?}");
        } else {
            compare(case, &got, &want);
        }
    }
}

/// Plays until sysmon has taken no P: a task that the kernel has put to sleep in its poll, on a lock of the allocator's
/// say, does not hold up the next one, and Go's order is promised only while none blocks.
fn play_undisturbed<F, Fut>(case: &str, f: &F) -> Vec<String>
where
    F: Fn(Scene) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    for _ in 0..20 {
        let (got, retakes) = play_once(case, f);
        if retakes == 0 || revoked() {
            return got;
        }
    }
    panic!("{case}: a P was taken in each of 20 plays, though no task blocks");
}

/// Whether Ps are taken away in the middle of polls.
fn revoked() -> bool {
    std::env::var("GMPRT_TEST_REVOKE").is_ok_and(|v| v != "0" && !v.is_empty())
}

/// As `play`, but the P is first brought to tick 1, modulo 61. The Go program does so in all cases; here only those need
/// it that leave tasks in the global queue.
fn play_aligned<F, Fut>(case: &str, f: F)
where
    F: Fn(Scene) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    play(case, move |s| {
        let f = f.clone();
        async move {
            align(&s).await;
            let case = f(s);
            case.await;
        }
    });
}

/// As `play_aligned`, compared with what Go logs when each yield is a `Gosched`.
fn play_gosched<F, Fut>(case: &str, f: F)
where
    F: Fn(Scene) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    play_aligned(&format!("gosched/{case}"), f);
}

/// What was logged, and how many Ps were taken from a poll.
fn play_once<F, Fut>(case: &str, f: &F) -> (Vec<String>, u64)
where
    F: Fn(Scene) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let rt = Runtime::builder().procs(1).build().expect("a runtime with one P");
    let (done, ended) = mpsc::channel();
    let s = Scene(Arc::new(Inner { entries: Mutex::new(Vec::new()), live: AtomicUsize::new(0), done }));
    drop(rt.spawn(s.counted(f(s.clone()))));
    if ended.recv_timeout(Duration::from_secs(60)).is_err() {
        std::mem::forget(rt); // its drop might wait for ever, and hide the message
        panic!("{case}: not over after 60 s; {} tasks live; log: {:?}", s.0.live.load(SeqCst), s.entries());
    }
    let metrics = rt.metrics();
    drop(rt);
    (s.entries(), metrics.retakes + metrics.retakes_declared + metrics.retakes_hogs)
}

/// Panics at the first entry that differs, showing a few on both sides of it.
fn compare(case: &str, got: &[String], want: &[String]) {
    let Some(at) = (0..got.len().max(want.len())).find(|&i| got.get(i) != want.get(i)) else {
        return;
    };
    let near = |list: &[String]| {
        list.iter().take(at + 12).skip(at.saturating_sub(8)).cloned().collect::<Vec<_>>().join(", ")
    };
    panic!(
        "{case}: entry {at} of {} differs\n  Go:    … {}\n  gmprt: … {}",
        want.len(),
        near(want),
        near(got)
    );
}

/// Case name → what Go logged.
fn all_expected() -> BTreeMap<&'static str, Vec<String>> {
    EXPECTED
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("version: "))
        .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("no case name in {line:?}")))
        .map(|(name, list)| (name, list.split(", ").map(str::to_owned).collect()))
        .collect()
}

fn expected(case: &str) -> Vec<String> {
    all_expected().remove(case).unwrap_or_else(|| panic!("{case} is not in expected.txt"))
}

// ---- The tick (see `probe` and `align` in golden.go) ----

const TICKS_PER_CHECK: usize = 61;

/// Tells the P's tick (modulo 61) at the time of the call and on return, from what can be seen: it overflows the ring,
/// so that child 0 heads the global queue, and counts the picks until child 0 runs.
async fn probe(s: &Scene) -> (usize, usize) {
    const N: usize = 258; // 256 in the ring, one in runnext, one too many
    let ran = Arc::new(AtomicUsize::new(0));
    let at = Arc::new(AtomicUsize::new(0));
    s.children(N, |_, i| {
        let (ran, at) = (ran.clone(), at.clone());
        async move {
            let before = ran.fetch_add(1, SeqCst);
            if i == 0 {
                at.store(before, SeqCst);
            }
        }
    });
    let mut picked = 0; // how often the caller itself came from a queue
    while ran.load(SeqCst) < N {
        yield_now().await;
        picked += 1;
    }
    // Child 257 is in runnext and runs first, without a tick, unless the tick was due at once. Then each child costs one.
    let at = at.load(SeqCst);
    // `at` goes to 61 at most; beyond it only with GMPRT_TEST_REVOKE set.
    let before = if at == 0 { 0 } else { (TICKS_PER_CHECK * 5 + 1 - at) % TICKS_PER_CHECK };
    (before, (before + N - 1 + picked) % TICKS_PER_CHECK)
}

async fn align(s: &Scene) {
    let (_, mut tick) = probe(s).await;
    while tick != 1 {
        yield_now().await; // alone on its P: one tick
        tick = (tick + 1) % TICKS_PER_CHECK;
    }
}

// ---- Spawning. The newest goes to runnext and kicks the one before it to the ring's tail. ----

#[test]
fn spawn_2() {
    play("spawn_2", |s| async move { s.children(2, log_number) });
}

#[test]
fn spawn_10() {
    play("spawn_10", |s| async move { s.children(10, log_number) });
}

#[test]
fn spawn_257_fills_ring_and_runnext() {
    play("spawn_257_fills_ring_and_runnext", |s| async move { s.children(257, log_number) });
}

async fn log_number(s: Scene, i: usize) {
    s.log(i);
}

#[test]
fn spawn_chain() {
    fn link(s: Scene, k: usize) -> Task {
        Box::pin(async move {
            s.log(k);
            if k < 9 {
                s.spawn(link(s.clone(), k + 1));
            }
            s.log(format!("{k}'"));
        })
    }
    play("spawn_chain", |s| link(s, 0));
}

/// A future that may contain itself.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

#[test]
fn spawn_two_chains() {
    fn link(s: Scene, chain: &'static str, k: usize) -> Task {
        Box::pin(async move {
            s.log(format!("{chain}{k}"));
            if k < 4 {
                s.spawn(link(s.clone(), chain, k + 1));
            }
        })
    }
    play("spawn_two_chains", |s| async move {
        s.spawn(link(s.clone(), "a", 0));
        s.spawn(link(s.clone(), "b", 0));
    });
}

#[test]
fn spawn_inside_spawned() {
    play("spawn_inside_spawned", |s| async move {
        s.children(3, |s, i| async move {
            s.log(i);
            s.children(2, |s, j| async move { s.log(format!("{i}.{j}")) });
        });
    });
}

#[test]
fn spawn_nested_3_deep() {
    fn node(s: Scene, name: String, depth: usize) -> Task {
        Box::pin(async move {
            s.log(&name);
            if depth < 3 {
                s.children(3, |s, i| node(s, format!("{name}{i}"), depth + 1));
            }
            s.log(format!("{name}'"));
        })
    }
    play("spawn_nested_3_deep", |s| async move {
        s.children(3, |s, i| node(s, i.to_string(), 1));
    });
}

// ---- Yielding: to the ring's tail, never to runnext. ----

#[test]
fn yield_3_by_3() {
    play("yield_3_by_3", |s| async move {
        s.children(3, |s, i| async move {
            for k in 0..3 {
                s.log(i * 10 + k);
                yield_now().await;
            }
        });
    });
}

#[test]
fn yield_alone() {
    play("yield_alone", |s| async move {
        for k in 0..5 {
            s.log(k);
            yield_now().await;
        }
    });
}

#[test]
fn yield_uneven() {
    play("yield_uneven", |s| async move {
        s.children(5, |s, i| async move {
            for k in 0..i {
                s.log(format!("{i}.{k}"));
                yield_now().await;
            }
            s.log(format!("{i} end"));
        });
    });
}

#[test]
fn yield_by_the_parent() {
    play("yield_by_the_parent", |s| async move {
        for round in 0..3 {
            s.log(format!("root {round}"));
            s.children(3, |s, i| async move { s.log(format!("{round}.{i}")) });
            yield_now().await;
        }
        s.log("root end");
    });
}

#[test]
fn yield_between_spawns() {
    play("yield_between_spawns", |s| async move {
        for i in 0..4 {
            let t = s.clone();
            s.spawn(async move {
                t.log(i);
                yield_now().await;
                t.log(format!("{i}'"));
            });
            yield_now().await;
            s.log(format!("root {i}"));
        }
    });
}

#[test]
fn spawn_then_yield() {
    play("spawn_then_yield", |s| async move {
        s.children(3, |s, i| async move {
            let t = s.clone();
            s.spawn(async move { t.log(format!("child of {i}")) });
            s.log(i);
            yield_now().await;
            s.log(format!("{i}'"));
        });
    });
}

#[test]
fn yield_then_spawn() {
    play("yield_then_spawn", |s| async move {
        s.children(3, |s, i| async move {
            s.log(i);
            yield_now().await;
            s.children(2, |s, j| async move { s.log(format!("{i}.{j}")) });
            s.log(format!("{i}'"));
            yield_now().await;
            s.log(format!("{i}''"));
        });
    });
}

#[test]
fn yield_in_a_chain() {
    fn link(s: Scene, k: usize) -> Task {
        Box::pin(async move {
            s.log(k);
            if k < 5 {
                s.spawn(link(s.clone(), k + 1));
            }
            yield_now().await;
            s.log(format!("{k}'"));
            yield_now().await;
            s.log(format!("{k}''"));
        })
    }
    play("yield_in_a_chain", |s| link(s, 0));
}

// ---- The ring overflows: its head half and the incoming one go to the global queue, which is looked at every 61st tick
// and when the ring is empty. ----

#[test]
fn overflow_258() {
    play_aligned("overflow_258", |s| async move { s.children(258, log_number) });
}

#[test]
fn overflow_300() {
    play_aligned("overflow_300", |s| async move { s.children(300, log_number) });
}

#[test]
fn overflow_600() {
    play_aligned("overflow_600", |s| async move { s.children(600, log_number) });
}

#[test]
fn overflow_1000() {
    play_aligned("overflow_1000", |s| async move { s.children(1000, log_number) });
}

#[test]
fn overflow_by_a_child() {
    play_aligned("overflow_by_a_child", |s| async move {
        s.children(100, |s, i| async move {
            s.log(i);
            if i % 50 == 49 {
                s.children(200, |s, j| async move { s.log(format!("{i}.{j}")) });
            }
        });
    });
}

#[test]
fn overflow_and_half_yield() {
    play_gosched("overflow_and_half_yield", |s| async move {
        s.children(300, |s, i| async move {
            s.log(i);
            if (128..256).contains(&i) {
                yield_now().await;
                s.log(format!("{i}'"));
            }
        });
    });
}

/// The one case in which gmprt does as neither: at first others' work waits in the global queue, and yields go there as
/// with `Gosched`; once only those that yielded are left in it, they go to the ring as with `goyield`. So the list is Go's
/// as long as that work waits, and from then on each task runs once more, in whatever order.
#[test]
fn overflow_and_yield() {
    let case = "gosched/overflow_and_yield";
    let want = expected(case);
    // All have run once when the last that had waited in the global queue has.
    let last = want.iter().rposition(|entry| !entry.ends_with('\''));
    let once = last.expect("each entry without a stroke is a first run") + 1;
    let scene = |s: Scene| async move {
        align(&s).await;
        s.children(300, |s, i| async move {
            s.log(i);
            yield_now().await;
            s.log(format!("{i}'"));
        });
    };
    for _ in 0..PLAYS {
        let got = play_undisturbed(case, &scene);
        let sorted = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(sorted(&got), sorted(&want));
        if !revoked() {
            compare(case, &got[..once], &want[..once]);
        }
    }
}

#[test]
fn overflow_then_parent_yields() {
    play_gosched("overflow_then_parent_yields", |s| async move {
        s.children(300, log_number);
        for k in 0..4 {
            s.log(format!("root {k}"));
            yield_now().await;
        }
    });
}

#[test]
fn every_61st_tick() {
    play_gosched("every_61st_tick", |s| async move {
        for k in [0, 1, 2, 30, 59, 60, 61] {
            align(&s).await;
            for _ in 0..k {
                yield_now().await;
            }
            let (before, after) = probe(&s).await;
            s.log(format!("{k}:{before}:{after}"));
        }
    });
}

// ---- Channels: who waits is served in order, by direct hand-off; who is woken goes to runnext. ----

#[test]
fn rendezvous_ping_pong() {
    play("rendezvous_ping_pong", |s| async move {
        let (ping_tx, ping_rx) = chan::bounded::<usize>(0);
        let (pong_tx, pong_rx) = chan::bounded::<usize>(0);
        let t = s.clone();
        s.spawn(async move {
            for k in 0..5 {
                t.log(format!("ping {k}"));
                ping_tx.send(k).await.unwrap();
                let v = pong_rx.recv().await.unwrap();
                t.log(format!("got {v}"));
            }
        });
        let t = s.clone();
        s.spawn(async move {
            for _ in 0..5 {
                let k = ping_rx.recv().await.unwrap();
                t.log(format!("pong {k}"));
                pong_tx.send(k).await.unwrap();
            }
        });
    });
}

/// Receives `n` values, logging each.
async fn receive_all(s: Scene, rx: Receiver<usize>, n: usize) {
    for _ in 0..n {
        let v = rx.recv().await.unwrap();
        s.log(format!("recv {v}"));
    }
}

/// Sends 0..n, logging each.
async fn send_all(s: Scene, tx: Sender<usize>, n: usize) {
    for k in 0..n {
        tx.send(k).await.unwrap();
        s.log(format!("sent {k}"));
    }
}

#[test]
fn rendezvous_sender_first() {
    play("rendezvous_sender_first", |s| async move {
        let (tx, rx) = chan::bounded(0);
        s.spawn(receive_all(s.clone(), rx, 6));
        s.spawn(send_all(s.clone(), tx, 6));
    });
}

#[test]
fn rendezvous_receiver_first() {
    play("rendezvous_receiver_first", |s| async move {
        let (tx, rx) = chan::bounded(0);
        s.spawn(send_all(s.clone(), tx, 6));
        s.spawn(receive_all(s.clone(), rx, 6));
    });
}

#[test]
fn buffer_of_1() {
    play("buffer_of_1", |s| async move {
        let (tx, rx) = chan::bounded(1);
        s.spawn(receive_all(s.clone(), rx, 6));
        s.spawn(send_all(s.clone(), tx, 6));
    });
}

#[test]
fn buffer_of_2() {
    play("buffer_of_2", |s| async move {
        let (tx, rx) = chan::bounded(2);
        s.spawn(receive_all(s.clone(), rx, 8));
        s.spawn(send_all(s.clone(), tx, 8));
    });
}

#[test]
fn buffer_of_2_and_yields() {
    play("buffer_of_2_and_yields", |s| async move {
        let (tx, rx) = chan::bounded::<usize>(2);
        let t = s.clone();
        s.spawn(async move {
            for _ in 0..6 {
                let v = rx.recv().await.unwrap();
                t.log(format!("recv {v}"));
                yield_now().await;
            }
        });
        let t = s.clone();
        s.spawn(async move {
            for k in 0..6 {
                tx.send(k).await.unwrap();
                t.log(format!("sent {k}"));
                yield_now().await;
            }
        });
    });
}

#[test]
fn buffer_closed_then_drained() {
    play("buffer_closed_then_drained", |s| async move {
        let (tx, rx) = chan::bounded::<usize>(4);
        let t = s.clone();
        s.spawn(async move {
            while let Ok(v) = rx.recv().await {
                t.log(format!("recv {v}"));
            }
            t.log("closed");
        });
        let t = s.clone();
        s.spawn(async move {
            for k in 0..4 {
                tx.send(k).await.unwrap();
                t.log(format!("sent {k}"));
            }
            tx.close();
            t.log("close");
        });
    });
}

#[test]
fn blocked_receivers_then_close() {
    play("blocked_receivers_then_close", |s| async move {
        let (tx, rx) = chan::bounded::<usize>(0);
        s.children(6, |s, i| {
            let rx = rx.clone();
            async move {
                s.log(i);
                assert!(rx.recv().await.is_err());
                s.log(format!("{i}'"));
            }
        });
        yield_now().await;
        tx.close();
    });
}

#[test]
fn blocked_receivers_then_sends() {
    play("blocked_receivers_then_sends", |s| async move {
        let (tx, rx) = chan::bounded::<usize>(0);
        s.children(6, |s, i| {
            let rx = rx.clone();
            async move {
                s.log(i);
                let v = rx.recv().await.unwrap();
                s.log(format!("{i} got {v}"));
            }
        });
        yield_now().await;
        send_all(s, tx, 6).await;
    });
}

#[test]
fn blocked_receivers_then_sends_and_close() {
    play("blocked_receivers_then_sends_and_close", |s| async move {
        let (tx, rx) = chan::bounded::<usize>(0);
        s.children(6, |s, i| {
            let rx = rx.clone();
            async move {
                s.log(i);
                match rx.recv().await {
                    Ok(v) => s.log(format!("{i} got {v}")),
                    Err(_) => s.log(format!("{i} closed")),
                }
            }
        });
        yield_now().await;
        for k in 0..3 {
            tx.send(k).await.unwrap();
        }
        tx.close();
        s.log("close");
    });
}

/// Spawns `n` tasks that log their number, send it, and log it again.
fn senders(s: &Scene, tx: &Sender<usize>, n: usize) {
    s.children(n, |s, i| {
        let tx = tx.clone();
        async move {
            s.log(i);
            match tx.send(i).await {
                Ok(()) => s.log(format!("{i}'")),
                Err(_) => s.log(format!("{i} closed")),
            }
        }
    });
}

#[test]
fn blocked_senders_then_drained() {
    play("blocked_senders_then_drained", |s| async move {
        let (tx, rx) = chan::bounded(0);
        senders(&s, &tx, 6);
        yield_now().await;
        receive_all(s, rx, 6).await;
    });
}

#[test]
fn blocked_senders_on_a_full_buffer() {
    play("blocked_senders_on_a_full_buffer", |s| async move {
        let (tx, rx) = chan::bounded(2);
        senders(&s, &tx, 6);
        yield_now().await;
        receive_all(s, rx, 6).await;
    });
}

#[test]
fn blocked_senders_then_close() {
    play("blocked_senders_then_close", |s| async move {
        let (tx, rx) = chan::bounded(1);
        senders(&s, &tx, 5);
        yield_now().await;
        tx.close();
        s.log("close");
        drop(rx); // kept until here: without a receiver a send fails at once
    });
}

#[test]
fn spawn_wake_spawn() {
    play("spawn_wake_spawn", |s| async move {
        let (tx, rx) = chan::bounded::<usize>(0);
        let t = s.clone();
        s.spawn(async move {
            let v = rx.recv().await.unwrap();
            t.log(format!("r {v}"));
        });
        yield_now().await;
        let t = s.clone();
        s.spawn(async move { t.log("a") });
        tx.send(7).await.unwrap();
        let t = s.clone();
        s.spawn(async move { t.log("b") });
        s.log("root");
    });
}

#[test]
fn child_answers_by_channel() {
    play("child_answers_by_channel", |s| async move {
        for k in 0..4 {
            let (tx, rx) = chan::bounded(0);
            let t = s.clone();
            s.spawn(async move {
                t.log(format!("child {k}"));
                tx.send(k * k).await.unwrap();
                t.log(format!("child {k}'"));
            });
            let v = rx.recv().await.unwrap();
            s.log(format!("root got {v}"));
        }
    });
}

#[test]
fn children_answer_by_channel() {
    play("children_answer_by_channel", |s| async move {
        let (tx, rx) = chan::bounded(0);
        senders(&s, &tx, 4);
        for _ in 0..4 {
            let v = rx.recv().await.unwrap();
            s.log(format!("root got {v}"));
        }
    });
}

#[test]
fn fan_in_of_3() {
    play("fan_in_of_3", |s| async move {
        let (tx, rx) = chan::bounded::<String>(0);
        s.children(3, |s, i| {
            let tx = tx.clone();
            async move {
                for k in 0..3 {
                    tx.send(format!("{i}.{k}")).await.unwrap();
                    s.log(format!("sent {i}.{k}"));
                }
            }
        });
        let t = s.clone();
        s.spawn(async move {
            for _ in 0..9 {
                let v = rx.recv().await.unwrap();
                t.log(format!("recv {v}"));
            }
        });
    });
}

/// The showcase in small: a feeder, three workers that square, a collector.
async fn workers(s: Scene, capacity: usize, items: usize) {
    let (in_tx, in_rx) = chan::bounded::<usize>(capacity);
    let (out_tx, out_rx) = chan::bounded::<usize>(capacity);
    let wg = WaitGroup::new();
    wg.add(3);
    let t = s.clone();
    s.spawn(async move {
        for k in 0..items {
            in_tx.send(k).await.unwrap();
            t.log(format!("fed {k}"));
        }
        in_tx.close();
    });
    s.children(3, |s, i| {
        let (in_rx, out_tx, wg) = (in_rx.clone(), out_tx.clone(), wg.clone());
        async move {
            while let Ok(k) = in_rx.recv().await {
                s.log(format!("w{i} takes {k}"));
                out_tx.send(k * k).await.unwrap();
            }
            s.log(format!("w{i} ends"));
            wg.done();
        }
    });
    let t = s.clone();
    s.spawn(async move {
        while let Ok(v) = out_rx.recv().await {
            t.log(format!("got {v}"));
        }
        t.log("all");
    });
    wg.wait().await;
    out_tx.close();
}

#[test]
fn three_workers_rendezvous() {
    play("three_workers_rendezvous", |s| workers(s, 0, 9));
}

#[test]
fn three_workers_buffer_of_1() {
    play("three_workers_buffer_of_1", |s| workers(s, 1, 9));
}

#[test]
fn three_workers_buffer_of_4() {
    play("three_workers_buffer_of_4", |s| workers(s, 4, 12));
}

#[test]
fn three_workers_buffer_of_100() {
    play("three_workers_buffer_of_100", |s| workers(s, 100, 12));
}

#[test]
fn prime_sieve() {
    fn stage(s: Scene, input: Receiver<usize>) -> Task {
        Box::pin(async move {
            let Ok(prime) = input.recv().await else {
                return;
            };
            s.log(format!("prime {prime}"));
            let (tx, rx) = chan::bounded(0);
            s.spawn(stage(s.clone(), rx));
            while let Ok(k) = input.recv().await {
                s.log(format!("{k}?{prime}"));
                if k % prime != 0 {
                    tx.send(k).await.unwrap();
                }
            }
            s.log(format!("end {prime}"));
            tx.close();
        })
    }
    play("prime_sieve", |s| async move {
        let (tx, rx) = chan::bounded(0);
        s.spawn(async move {
            for k in 2..12 {
                tx.send(k).await.unwrap();
            }
            tx.close();
        });
        s.spawn(stage(s.clone(), rx));
    });
}

// ---- WaitGroup: all waiters wake when the count reaches nought. ----

#[test]
fn wait_group_4_waiters() {
    play("wait_group_4_waiters", |s| async move {
        let wg = WaitGroup::new();
        wg.add(1);
        s.children(4, |s, i| {
            let wg = wg.clone();
            async move {
                s.log(i);
                wg.wait().await;
                s.log(format!("{i}'"));
            }
        });
        yield_now().await;
        wg.done();
        s.log("root");
    });
}

#[test]
fn wait_group_5_workers() {
    play("wait_group_5_workers", |s| async move {
        let wg = WaitGroup::new();
        for i in 0..5 {
            wg.add(1);
            let (t, wg) = (s.clone(), wg.clone());
            s.spawn(async move {
                t.log(i);
                wg.done();
                t.log(format!("{i}'"));
            });
        }
        wg.wait().await;
        s.log("root");
    });
}

#[test]
fn wait_group_workers_yield() {
    play("wait_group_workers_yield", |s| async move {
        let wg = WaitGroup::new();
        wg.add(4);
        s.children(4, |s, i| {
            let wg = wg.clone();
            async move {
                for k in 0..i {
                    s.log(format!("{i}.{k}"));
                    yield_now().await;
                }
                wg.done();
                s.log(format!("{i} done"));
            }
        });
        s.children(2, |s, i| {
            let wg = wg.clone();
            async move {
                wg.wait().await;
                s.log(format!("waiter {i}"));
            }
        });
        wg.wait().await;
        s.log("root");
    });
}

#[test]
fn wait_group_nested() {
    play("wait_group_nested", |s| async move {
        let outer = WaitGroup::new();
        outer.add(3);
        s.children(3, |s, i| {
            let outer = outer.clone();
            async move {
                let inner = WaitGroup::new();
                inner.add(2);
                s.children(2, |s, j| {
                    let inner = inner.clone();
                    async move {
                        s.log(format!("{i}.{j}"));
                        inner.done();
                    }
                });
                inner.wait().await;
                s.log(i);
                outer.done();
            }
        });
        outer.wait().await;
        s.log("root");
    });
}

#[test]
fn wait_group_used_twice() {
    play("wait_group_used_twice", |s| async move {
        let wg = WaitGroup::new();
        for round in 0..2 {
            wg.add(3);
            s.children(3, |s, i| {
                let wg = wg.clone();
                async move {
                    s.log(format!("{round}.{i}"));
                    yield_now().await;
                    wg.done();
                }
            });
            wg.wait().await;
            s.log(format!("root {round}"));
        }
    });
}

#[test]
fn wait_group_then_spawns() {
    play("wait_group_then_spawns", |s| async move {
        let wg = WaitGroup::new();
        wg.add(1);
        s.children(3, |s, i| {
            let wg = wg.clone();
            async move {
                wg.wait().await;
                s.log(format!("waiter {i}"));
            }
        });
        yield_now().await;
        let t = s.clone();
        s.spawn(async move { t.log("before") });
        wg.done();
        let t = s.clone();
        s.spawn(async move { t.log("after") });
        s.log("root");
    });
}

// ---- Joining ----

#[test]
fn join_in_order() {
    play("join_in_order", |s| async move {
        let mut handles = Vec::new();
        for i in 0..4 {
            let t = s.clone();
            handles.push(s.handle(async move {
                t.log(i);
                yield_now().await;
                t.log(format!("{i}'"));
            }));
        }
        for (i, handle) in handles.into_iter().enumerate() {
            handle.await.unwrap();
            s.log(format!("joined {i}"));
        }
    });
}

#[test]
fn join_each_at_once() {
    play("join_each_at_once", |s| async move {
        for i in 0..4 {
            let t = s.clone();
            s.spawn(async move { t.log(format!("bystander {i}")) });
            let t = s.clone();
            s.handle(async move { t.log(i) }).await.unwrap();
            s.log(format!("joined {i}"));
        }
    });
}

#[test]
fn join_nested() {
    fn node(s: Scene, name: String, depth: usize) -> Task {
        Box::pin(async move {
            s.log(&name);
            if depth < 3 {
                let left = s.handle(node(s.clone(), format!("{name}l"), depth + 1));
                let right = s.handle(node(s.clone(), format!("{name}r"), depth + 1));
                left.await.unwrap();
                right.await.unwrap();
            }
            s.log(format!("{name}'"));
        })
    }
    play("join_nested", |s| node(s, "t".to_owned(), 0));
}

// ---- The lists themselves ----

#[test]
fn each_case_of_the_go_program_is_played_here() {
    let source: String = include_str!("golden_order.rs").split_whitespace().collect();
    for case in all_expected().into_keys().filter(|name| !name.starts_with("gosched/")) {
        let test = format!("fn{case}(){{");
        let named = [format!("\"{case}\""), format!("\"gosched/{case}\"")];
        assert!(
            source.contains(&test) && named.iter().any(|name| source.contains(name)),
            "{case} is in expected.txt, but no test of that name plays it"
        );
    }
}

/// docs/DIFFERENCES-FROM-GO.md says when `yield_now` and `Gosched` part ways: when the yielder spawns, or the global
/// queue holds something. These are those cases, as Go itself shows.
#[test]
fn gosched_differs_from_goyield_only_where_the_docs_say() {
    let differ: Vec<_> =
        all_expected().into_keys().filter_map(|name| name.strip_prefix("gosched/")).collect();
    assert_eq!(
        differ,
        [
            "every_61st_tick",
            "overflow_and_half_yield",
            "overflow_and_yield",
            "overflow_then_parent_yields",
            "yield_then_spawn"
        ]
    );
}
