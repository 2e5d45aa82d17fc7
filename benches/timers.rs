//! Timers on gmprt and on tokio: how late under full load, what one costs, and what cancelled ones leave behind.
//!
//! ```text
//! cargo bench --bench timers                  all sections
//! cargo bench --bench timers -- --timers N    sleepers in the first section (100 000)
//! cargo bench --bench timers -- --test        everything once, small
//! ```
//!
//! *Late* is the time from a sleep's deadline to the poll in which its task goes on, beside four tasks on each worker
//! that compute for 20 µs and yield, without end. The runtimes take turns; each cell is the median of its rounds.

use hdrhistogram::Histogram;
use std::fs;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Workers of each runtime.
const WORKERS: usize = 4;

/// Sleeps are spread over this time.
const SPREAD: Duration = Duration::from_millis(1000);

/// The calls that differ.
trait Runtime {
    const NAME: &'static str;
    fn start() -> Self;
    fn block_on<F: Future>(&self, future: F) -> F::Output;
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static);
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send;
    fn yield_now() -> impl Future<Output = ()> + Send;
    /// Timers fired, and those among them that another P had set.
    fn fired(&self) -> Option<(u64, u64)>;
}

struct Gmprt(gmprt::Runtime);

impl Runtime for Gmprt {
    const NAME: &'static str = "gmprt";
    fn start() -> Self {
        Self(gmprt::Runtime::builder().procs(WORKERS).build().expect("gmprt starts"))
    }
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(future));
    }
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        gmprt::time::sleep(time)
    }
    fn yield_now() -> impl Future<Output = ()> + Send {
        gmprt::yield_now()
    }
    fn fired(&self) -> Option<(u64, u64)> {
        let metrics = self.0.metrics();
        let sum =
            |count: fn(&gmprt::metrics::ProcessorMetrics) -> u64| metrics.processors.iter().map(count).sum();
        Some((sum(|p| p.timers_fired), sum(|p| p.timers_stolen)))
    }
}

struct Tokio(tokio::runtime::Runtime);

impl Runtime for Tokio {
    const NAME: &'static str = "tokio";
    fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Self(builder.worker_threads(WORKERS).enable_time().build().expect("tokio starts"))
    }
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.block_on(future)
    }
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(future));
    }
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }
    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }
    fn fired(&self) -> Option<(u64, u64)> {
        None
    }
}

/// What the sleepers and the hogs share.
struct Load {
    over: AtomicBool,
    left: AtomicUsize,
    /// Nanoseconds, by sleeper; `EARLY` for one that was over too soon.
    late: Vec<AtomicU64>,
}

const EARLY: u64 = u64::MAX;

/// How late `timers` sleeps end while every worker computes: µs at 50 %, 99 %, 99.9 % and 100 %.
fn lateness<R: Runtime>(timers: usize) -> ([f64; 4], Option<(u64, u64)>) {
    let rt = R::start();
    let load = Arc::new(Load {
        over: AtomicBool::new(false),
        left: AtomicUsize::new(timers),
        late: (0..timers).map(|_| AtomicU64::new(0)).collect(),
    });
    for _ in 0..4 * WORKERS {
        let load = load.clone();
        rt.spawn(async move {
            while !load.over.load(Relaxed) {
                compute(Duration::from_micros(20));
                R::yield_now().await;
            }
        });
    }
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for sleeper in 0..timers {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let time = Duration::from_nanos(((random >> 32) * SPREAD.as_nanos() as u64) >> 32);
        let load = load.clone();
        rt.spawn(async move {
            let deadline = Instant::now() + time;
            R::sleep(time).await;
            let late = Instant::now().checked_duration_since(deadline);
            load.late[sleeper].store(late.map_or(EARLY, |late| late.as_nanos() as u64), Relaxed);
            load.left.fetch_sub(1, Relaxed);
        });
    }
    while load.left.load(Relaxed) > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    load.over.store(true, Relaxed);
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).expect("up to a minute");
    for late in &load.late {
        let late = late.load(Relaxed);
        assert_ne!(late, EARLY, "{}: a sleep was over early", R::NAME);
        histogram.saturating_record(late);
    }
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    ([at(0.5), at(0.99), at(0.999), at(1.0)], rt.fired())
}

fn compute(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Nanoseconds for one sleep of an hour that is made, polled once and dropped, one at a time.
fn insert_and_cancel<R: Runtime>(times: u32) -> f64 {
    let rt = R::start();
    rt.block_on(async {
        let begun = Instant::now();
        for _ in 0..times {
            let mut sleep = std::pin::pin!(R::sleep(Duration::from_secs(3600)));
            poll_once(sleep.as_mut());
        }
        begun.elapsed().as_nanos() as f64 / f64::from(times)
    })
}

/// As [`insert_and_cancel`], but with `alive` of them set at any time, the oldest being dropped.
fn insert_and_cancel_among<R: Runtime>(times: usize, alive: usize) -> f64 {
    let rt = R::start();
    rt.block_on(async {
        let mut ring: Vec<Option<Pin<Box<_>>>> = (0..alive).map(|_| None).collect();
        let begun = Instant::now();
        for n in 0..times {
            let mut sleep = Box::pin(R::sleep(Duration::from_secs(3600)));
            poll_once(sleep.as_mut());
            ring[n % alive] = Some(sleep);
        }
        begun.elapsed().as_nanos() as f64 / times as f64
    })
}

fn poll_once<F: Future>(future: Pin<&mut F>) {
    assert!(matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
}

/// Resident memory, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS stands there");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn number_after(flag: &str) -> Option<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != flag).skip(1);
    arguments
        .next()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{flag} takes a number, not {value:?}")))
}

fn main() {
    let test = std::env::args().any(|argument| argument == "--test");
    let timers = number_after("--timers").unwrap_or(if test { 1000 } else { 100_000 });
    let (rounds, cancelled) = if test { (1, 10_000) } else { (5, 10_000_000) };

    println!("{timers} sleeps of up to {SPREAD:?} beside {} tasks that compute; late, in µs", 4 * WORKERS);
    println!("{:8} {:>10} {:>10} {:>10} {:>10}", "", "p50", "p99", "p99.9", "max");
    let (mut ours, mut theirs, mut fired) = (Vec::new(), Vec::new(), None);
    for _ in 0..rounds {
        let (late, count) = lateness::<Gmprt>(timers);
        ours.push(late);
        fired = count;
        theirs.push(lateness::<Tokio>(timers).0);
    }
    for (name, cells) in [("gmprt", &ours), ("tokio", &theirs)] {
        let cell = |at: usize| median(cells.iter().map(|cell: &[f64; 4]| cell[at]).collect());
        println!("{name:8} {:>10.0} {:>10.0} {:>10.0} {:>10.0}", cell(0), cell(1), cell(2), cell(3));
    }
    if let Some((fired, stolen)) = fired {
        println!("of {fired} timers on gmprt {stolen} were fired by another P than the one they were set on");
    }

    let times = if test { 1000 } else { 1_000_000 };
    println!("\none sleep set and cancelled, ns");
    let each = |f: fn(u32) -> f64| median((0..rounds).map(|_| f(times)).collect());
    println!(
        "  alone           gmprt {:6.1}   tokio {:6.1}",
        each(insert_and_cancel::<Gmprt>),
        each(insert_and_cancel::<Tokio>)
    );
    let among = |f: fn(usize, usize) -> f64| median((0..rounds).map(|_| f(times as usize, 10_000)).collect());
    println!(
        "  among 10 000    gmprt {:6.1}   tokio {:6.1}",
        among(insert_and_cancel_among::<Gmprt>),
        among(insert_and_cancel_among::<Tokio>)
    );

    let before = resident();
    insert_and_cancel_among::<Gmprt>(cancelled, 1000);
    println!(
        "\n{cancelled} sleeps of an hour, 1000 at a time, cancelled: {} KiB more resident",
        resident().saturating_sub(before)
    );
}
