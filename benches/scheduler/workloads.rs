//! The workloads. Seven follow tokio's `rt_multi_threaded` suite in what they do and in their constants; the eighth,
//! `spawn_from_task`, is ours.
//!
//! Where tokio's suite waits on a std channel, so do these, even inside `block_on`, where it blocks the thread: on
//! gmprt that thread holds a P meanwhile, and what it spawned must be stolen from it.
//!
//! Ordering: every atomic here is Relaxed. The counters carry nothing but their count, the flags nothing but their
//! value; what must be ordered goes through a channel.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot; // knows only wakers: the same on both runtimes

use crate::runtimes::{Gmprt, Runtime, Tokio, WORKERS};

/// A workload set up on a runtime of its own; each call is one iteration. Dropped, it stops its background tasks and
/// its runtime. The one indirect call stands for at least a thousand spawns or yields.
pub(crate) type Running = Box<dyn FnMut()>;

/// A runtime's name, and how to set a workload up on it.
pub(crate) type Start = (&'static str, fn() -> Running);

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Iterations in a round of the table: some tens of milliseconds.
    pub(crate) batch: u32,
    /// How to start it on gmprt and on tokio.
    pub(crate) on: [Start; 2],
}

macro_rules! workload {
    ($name:ident, $batch:literal) => {
        Workload {
            name: stringify!($name),
            batch: $batch,
            on: [("gmprt", $name::<Gmprt>), ("tokio", $name::<Tokio>)],
        }
    };
}

pub(crate) const ALL: &[Workload] = &[
    workload!(spawn_many_local, 5),
    workload!(spawn_many_remote_idle, 5),
    workload!(spawn_many_remote_busy1, 5),
    workload!(spawn_many_remote_busy2, 2),
    workload!(yield_many, 3),
    workload!(ping_pong, 20),
    workload!(chained_spawn, 50),
    workload!(spawn_from_task, 5),
];

const NUM_SPAWN: usize = 10_000;

/// `block_on` spawns tasks that count down; the last one ends the wait.
fn spawn_many_local<R: Runtime>() -> Running {
    let rt = R::start();
    let (last, ended) = mpsc::sync_channel(1);
    let left = Arc::new(AtomicUsize::new(0));
    Box::new(move || {
        left.store(NUM_SPAWN, Relaxed);
        rt.block_on(async {
            for _ in 0..NUM_SPAWN {
                let (left, last) = (left.clone(), last.clone());
                R::go(async move {
                    if left.fetch_sub(1, Relaxed) == 1 {
                        last.send(()).unwrap();
                    }
                });
            }
            ended.recv().unwrap();
        });
    })
}

/// A thread outside spawns empty tasks on a runtime with nothing else to do, and joins each.
fn spawn_many_remote_idle<R: Runtime>() -> Running {
    let rt = R::start();
    let mut handles = Vec::with_capacity(NUM_SPAWN);
    Box::new(move || spawn_and_join(&rt, &mut handles, NUM_SPAWN))
}

/// The same while eight tasks stall and yield in turn.
fn spawn_many_remote_busy1<R: Runtime>() -> Running {
    let rt = R::start();
    let background = Background::new();
    for _ in 0..2 * WORKERS {
        let on = background.on();
        drop(rt.spawn(async move {
            while on.load() {
                R::yield_now().await;
                stall();
            }
        }));
    }
    let mut handles = Vec::with_capacity(NUM_SPAWN);
    Box::new(move || {
        let _until_dropped = &background;
        spawn_and_join(&rt, &mut handles, NUM_SPAWN);
    })
}

/// The same, with fewer tasks, while in four chains each task stalls and then spawns the next.
fn spawn_many_remote_busy2<R: Runtime>() -> Running {
    const NUM_SPAWN: usize = 1_000;

    fn next<R: Runtime>(on: On) {
        R::go(async move {
            if on.load() {
                stall();
                next::<R>(on);
            }
        });
    }

    let rt = R::start();
    let background = Background::new();
    for _ in 0..WORKERS {
        let on = background.on();
        drop(rt.spawn(async move { next::<R>(on) }));
    }
    let mut handles = Vec::with_capacity(NUM_SPAWN);
    Box::new(move || {
        let _until_dropped = &background;
        spawn_and_join(&rt, &mut handles, NUM_SPAWN);
    })
}

/// Two hundred tasks yield a thousand times each.
fn yield_many<R: Runtime>() -> Running {
    const TASKS: usize = 200;
    const YIELDS: usize = 1_000;

    let rt = R::start();
    let (end, ends) = mpsc::sync_channel(TASKS);
    Box::new(move || {
        for _ in 0..TASKS {
            let end = end.clone();
            drop(rt.spawn(async move {
                for _ in 0..YIELDS {
                    R::yield_now().await;
                }
                end.send(()).unwrap();
            }));
        }
        for _ in 0..TASKS {
            ends.recv().unwrap();
        }
    })
}

/// A thousand pairs of tasks, each a ping and a pong over two oneshots.
fn ping_pong<R: Runtime>() -> Running {
    const PINGS: usize = 1_000;

    let rt = R::start();
    let (last, ended) = mpsc::sync_channel(1);
    let left = Arc::new(AtomicUsize::new(0));
    Box::new(move || {
        left.store(PINGS, Relaxed);
        let (left, last) = (left.clone(), last.clone());
        rt.block_on(async {
            R::go(async move {
                for _ in 0..PINGS {
                    let (left, last) = (left.clone(), last.clone());
                    R::go(async move {
                        let (ping, pinged) = oneshot::channel();
                        let (pong, ponged) = oneshot::channel();
                        R::go(async move {
                            pinged.await.unwrap();
                            pong.send(()).unwrap();
                        });
                        ping.send(()).unwrap();
                        ponged.await.unwrap();
                        if left.fetch_sub(1, Relaxed) == 1 {
                            last.send(()).unwrap();
                        }
                    });
                }
            });
            ended.recv().unwrap();
        });
    })
}

/// A chain of a thousand tasks, each spawned by the one before.
fn chained_spawn<R: Runtime>() -> Running {
    const LENGTH: usize = 1_000;

    fn next<R: Runtime>(end: mpsc::SyncSender<()>, left: usize) {
        if left == 0 {
            end.send(()).unwrap();
        } else {
            R::go(async move { next::<R>(end, left - 1) });
        }
    }

    let rt = R::start();
    let (end, ended) = mpsc::sync_channel(1);
    Box::new(move || {
        let end = end.clone();
        rt.block_on(async {
            R::go(async move { next::<R>(end, LENGTH) });
            ended.recv().unwrap();
        });
    })
}

/// As `spawn_many_local`, but a task on the runtime spawns, and waits as a task does, without blocking a thread.
fn spawn_from_task<R: Runtime>() -> Running {
    struct Countdown {
        left: AtomicUsize,
        last: std::sync::Mutex<Option<oneshot::Sender<()>>>,
    }

    let rt = R::start();
    Box::new(move || {
        let main = rt.spawn(async {
            let (last, ended) = oneshot::channel();
            let countdown = Countdown { left: AtomicUsize::new(NUM_SPAWN), last: Some(last).into() };
            let countdown = Arc::new(countdown);
            for _ in 0..NUM_SPAWN {
                let countdown = countdown.clone();
                R::go(async move {
                    if countdown.left.fetch_sub(1, Relaxed) == 1 {
                        let last = countdown.last.lock().unwrap().take();
                        last.unwrap().send(()).unwrap();
                    }
                });
            }
            ended.await.unwrap();
        });
        rt.block_on(main).unwrap();
    })
}

/// Spawns empty tasks from the calling thread, then joins them in order.
fn spawn_and_join<R: Runtime>(rt: &R, handles: &mut Vec<R::JoinHandle>, tasks: usize) {
    for _ in 0..tasks {
        handles.push(rt.spawn(async {}));
    }
    rt.block_on(async {
        for handle in handles.drain(..) {
            handle.await.unwrap();
        }
    });
}

/// Burns about 10 µs in one poll, giving the core to other threads that want it.
fn stall() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(10) {
        std::thread::yield_now();
    }
}

/// Tasks that run beside a workload. Dropped, it tells them to end and waits until they have.
struct Background {
    on: Option<On>,
    gone: mpsc::Receiver<()>,
}

/// A background task's share; the last one gone disconnects `gone`.
#[derive(Clone)]
struct On(Arc<(AtomicBool, mpsc::Sender<()>)>);

impl On {
    fn load(&self) -> bool {
        self.0.0.load(Relaxed)
    }
}

impl Background {
    fn new() -> Background {
        let (held_by_all, gone) = mpsc::channel();
        Background { on: Some(On(Arc::new((AtomicBool::new(true), held_by_all)))), gone }
    }

    fn on(&self) -> On {
        self.on.clone().expect("taken only by drop")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(on) = self.on.take() {
            on.0.0.store(false, Relaxed);
        }
        let end = self.gone.recv_timeout(Duration::from_secs(10));
        assert_eq!(end, Err(mpsc::RecvTimeoutError::Disconnected), "background tasks do not end");
    }
}
