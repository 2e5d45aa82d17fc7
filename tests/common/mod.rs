//! What the behaviour tests share: a watchdog, conditions to wait on, guards that count drops, and a seed.
//!
//! Nothing here knows the inside of the runtime.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::collections::HashSet;
use std::future::poll_fn;
use std::io::Write;
use std::panic::Location;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a test may take. A test that hangs is a failure with a name, not a run that never ends.
const LIMIT: Duration = Duration::from_secs(60);

/// Ends the process with the test's name unless it is dropped in time.
#[must_use]
pub(crate) struct Watchdog {
    _alive: mpsc::Sender<()>,
}

/// Watches over the calling test until the end of its scope.
#[track_caller]
pub(crate) fn watch() -> Watchdog {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let place = Location::caller();
    let (alive, dead) = mpsc::channel();
    thread::spawn(move || {
        if dead.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Not eprintln: what libtest has captured is lost with the process.
            let _ = writeln!(
                std::io::stderr(),
                "watchdog: {name} ({place}) is not over after {LIMIT:?}; aborting"
            );
            std::process::abort();
        }
    });
    Watchdog { _alive: alive }
}

/// Whether the runtimes built here lose Ps at random (`GMPRT_TEST_REVOKE`).
pub(crate) fn revoking() -> bool {
    std::env::var_os("GMPRT_TEST_REVOKE").is_some()
}

/// The first number in a debug build, the second in a release build.
pub(crate) fn sized(debug: usize, release: usize) -> usize {
    if cfg!(debug_assertions) { debug } else { release }
}

/// A runtime with `procs` Ps.
pub(crate) fn runtime(procs: usize) -> gmprt::Runtime {
    gmprt::Runtime::builder().procs(procs).build().unwrap()
}

/// Waits on the calling thread until `condition` holds.
pub(crate) fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Waits in a task until `condition` holds.
pub(crate) async fn until_in_task(condition: impl Fn() -> bool) {
    while !condition() {
        gmprt::yield_now().await;
    }
}

/// The waker of the future that awaits this.
pub(crate) async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// Returns `Pending` once, and wakes nobody.
pub(crate) async fn pend_once() {
    let mut first = true;
    poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Threads of this process whose name begins with `prefix` (15 bytes at most).
pub(crate) fn threads_named(prefix: &str) -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let ids = tasks.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // A thread may end while we look.
    ids.filter(|id| {
        std::fs::read_to_string(format!("/proc/self/task/{id}/comm"))
            .is_ok_and(|name| name.starts_with(prefix))
    })
    .collect()
}

/// A door that threads wait at. Blocks the thread: in a poll, that is what it is for.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn wait(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open).unwrap());
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.0.0.lock().unwrap()
    }
}

/// A door that tasks wait at.
#[derive(Clone, Default)]
pub(crate) struct Signal(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Signal {
    pub(crate) fn set(&self) {
        let wakers = {
            let mut state = self.0.lock().unwrap();
            state.0 = true;
            std::mem::take(&mut state.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) async fn wait(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap();
            if state.0 {
                return Poll::Ready(());
            }
            state.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Counts something.
#[derive(Clone, Default, Debug)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// Counts when it is dropped.
    pub(crate) fn on_drop(&self) -> OnDrop<impl FnMut() + Send + use<>> {
        let count = self.clone();
        OnDrop(move || count.add())
    }

    /// A waker that counts its wakes.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::new(self.clone()))
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.add();
    }
}

/// Calls a function when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The threads on which something happened.
#[derive(Clone, Default)]
pub(crate) struct Threads(Arc<Mutex<HashSet<ThreadId>>>);

impl Threads {
    pub(crate) fn note(&self) {
        self.0.lock().unwrap().insert(thread::current().id());
    }

    pub(crate) fn contains_this(&self) -> bool {
        self.0.lock().unwrap().contains(&thread::current().id())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Random numbers of a seed, which is printed; `GMPRT_SEED` replays it.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new() -> Self {
        let given =
            std::env::var("GMPRT_SEED").ok().map(|seed| seed.parse().expect("GMPRT_SEED is a number"));
        let seed =
            given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
        eprintln!("replay with GMPRT_SEED={seed}");
        Self(seed)
    }

    /// Another sequence, for another thread or task.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// This binary again, to run the test `test` alone, with `GMPRT_TEST_CHILD`, by which that test knows. The environment
/// of this process stays as it is: other tests run in it.
pub(crate) fn child(test: &str) -> Command {
    with_arguments(Command::new(std::env::current_exe().unwrap()), test)
}

/// As [`child`], on the first core that this process may use; needs `taskset`.
pub(crate) fn child_on_one_core(test: &str) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let core = list.trim().split(['-', ',']).next().unwrap();
    let mut taskset = Command::new("taskset");
    taskset.args(["-c", core]).arg(std::env::current_exe().unwrap());
    with_arguments(taskset, test)
}

fn with_arguments(mut command: Command, test: &str) -> Command {
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("GMPRT_TEST_CHILD", test);
    command
}

/// Whether this is the process that [`child`] started for `test`.
pub(crate) fn is_child(test: &str) -> bool {
    std::env::var("GMPRT_TEST_CHILD").is_ok_and(|child| child == test)
}

/// Waits until a spawn on the runtime of `handle` is refused: its shutdown has begun.
pub(crate) fn until_closing(handle: &gmprt::Handle) {
    until(|| {
        let mut refused = handle.spawn(std::future::ready(()));
        until(|| refused.is_finished());
        matches!(poll_once(&mut refused), Poll::Ready(Err(error)) if error.is_cancelled())
    });
}

/// A task whose poll lasts until the gate opens; it says when it has begun.
pub(crate) fn stuck(rt: &gmprt::Runtime, drops: &Count) -> (gmprt::task::JoinHandle<u8>, Gate) {
    let (gate, entered, guard) = (Gate::default(), Gate::default(), drops.on_drop());
    let (inner, begun) = (gate.clone(), entered.clone());
    let handle = rt.spawn(async move {
        let _guard = guard;
        begun.open();
        inner.wait();
        7
    });
    entered.wait();
    (handle, gate)
}
