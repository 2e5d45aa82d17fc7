//! Counting in many tasks at once: two locks, one atomic, and an atomic for each P.
//!
//! ```text
//!   cargo run --release --example counters
//! ```
//!
//! What to watch for:
//! - **a lock or an atomic**: how many times dearer the locks are, alone and with a task on each P.
//! - **one atomic or many**: with several Ps all of them write one cache line, which has to travel; a slot for each P
//!   stays where it is. But to ask which P one is on has its price too: alone, the one atomic is quicker.
//! - **1000 tasks beside as many as there are Ps**: it is Ps that write at the same time, not tasks.
//! - **which locks wait how**: std's blocks the thread, and four threads fight for one line; gmprt's sends the task away,
//!   and the one that has the lock goes on taking it until its turn is over.
//!
//! In a figure: the time on the wall from the first spawn to the last join, over all increments together; so what scales
//! perfectly shows 1/P of its cost alone. In it too are the loop, a `yield_now` after each [`CHUNK`] increments, so that
//! tasks interleave, and the spawning; "no counter" shows what these come to. Not in it: the start of the runtime, and
//! the sum at the end.

mod claim;
#[path = "../common/ending.rs"]
mod ending;
#[path = "../common/figures.rs"]
mod figures;
#[path = "../common/table.rs"]
mod table;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed},
};
use std::time::{Duration, Instant};

use clap::{Parser, value_parser};
use crossbeam_utils::CachePadded;
use gmprt::{Runtime, spawn, yield_now};

use claim::Claim;
use figures::{grouped, median};
use table::Table;

/// Increments between two yields: so many that a yield, some 30 ns, adds next to nothing to each.
const CHUNK: u64 = 500;

/// Nanoseconds per increment of two locks and one atomic; of Java's, for there the article leaves Go.
const ARTICLE: [f64; 3] = [82.0, 76.0, 9.0];

/// Counting in many tasks: locks, one atomic, an atomic for each P.
#[derive(Parser)]
#[command(after_help = "Exit code: 0 no increment was lost, 1 one was, 2 bad flag or value.")]
struct Args {
    /// A short run
    #[arg(long)]
    quick: bool,
    /// Ps of the runtime [default: the cores this process may use]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=256))]
    procs: Option<u16>,
    /// Rounds, in each of which all counters take turns; medians are shown
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = value_parser!(u32).range(1..=1_000))]
    rounds: u32,
}

/// Something that counts to what its tasks add.
trait Counter: Send + Sync + 'static {
    fn new(procs: usize) -> Self;
    fn add(&self) -> impl Future<Output = ()> + Send;
    /// The count, once all tasks are done; `None` if it does not count.
    fn sum(&self) -> Option<u64>;
}

/// What the loop costs by itself.
struct Nothing;

impl Counter for Nothing {
    fn new(_: usize) -> Self {
        Nothing
    }

    async fn add(&self) {
        black_box(()); // else the loop would go
    }

    fn sum(&self) -> Option<u64> {
        None
    }
}

/// Blocks the thread where it is taken, for some nanoseconds: there is no `.await` under it.
impl Counter for std::sync::Mutex<u64> {
    fn new(_: usize) -> Self {
        Self::new(0)
    }

    async fn add(&self) {
        *self.lock().expect("nobody panics under the lock") += 1;
    }

    fn sum(&self) -> Option<u64> {
        Some(*self.lock().expect("nobody panics under the lock"))
    }
}

/// Blocks the task where it is taken.
impl Counter for gmprt::sync::Mutex<u64> {
    fn new(_: usize) -> Self {
        Self::new(0)
    }

    async fn add(&self) {
        *self.lock().await += 1;
    }

    fn sum(&self) -> Option<u64> {
        self.try_lock().map(|count| *count)
    }
}

impl Counter for AtomicU64 {
    fn new(_: usize) -> Self {
        Self::new(0)
    }

    async fn add(&self) {
        // Ordering: Relaxed; a count that publishes nothing else. An increment is whole in any ordering.
        self.fetch_add(1, Relaxed);
    }

    fn sum(&self) -> Option<u64> {
        // Ordering: Relaxed; the tasks were joined, which pairs with their ends: all they did is visible.
        Some(self.load(Relaxed))
    }
}

/// A slot for each P, and a last one for polls whose P was taken away.
struct PerP(Box<[CachePadded<AtomicU64>]>);

impl Counter for PerP {
    fn new(procs: usize) -> Self {
        PerP((0..=procs).map(|_| CachePadded::default()).collect())
    }

    async fn add(&self) {
        let slot = gmprt::task::processor().map_or(self.0.len() - 1, |p| p.index());
        // Not a load and a store: the P may be taken away between them, and its next holder counts here too.
        // Ordering: Relaxed; as the one atomic's.
        self.0[slot].fetch_add(1, Relaxed);
    }

    fn sum(&self) -> Option<u64> {
        // Ordering: Relaxed; as the one atomic's.
        Some(self.0.iter().map(|slot| slot.load(Relaxed)).sum())
    }
}

/// Nanoseconds per increment, or how many were lost.
type Run = fn(&Runtime, usize, u64, u64) -> Result<f64, String>;

const COUNTERS: [(&str, Run); 5] = [
    ("no counter", count::<Nothing>),
    ("std::sync::Mutex", count::<std::sync::Mutex<u64>>),
    ("gmprt::sync::Mutex", count::<gmprt::sync::Mutex<u64>>),
    ("one atomic", count::<AtomicU64>),
    ("an atomic for each P", count::<PerP>),
];

/// Counts to about `increments` in so many tasks.
fn count<C: Counter>(rt: &Runtime, procs: usize, tasks: u64, increments: u64) -> Result<f64, String> {
    let share = increments.div_ceil(tasks);
    let counter = Arc::new(C::new(procs));
    let all = {
        let counter = counter.clone();
        async move {
            let start = Instant::now();
            let handles: Vec<_> = (0..tasks).map(|_| spawn(add_many(counter.clone(), share))).collect();
            for handle in handles {
                handle.await.expect("no counter panics");
            }
            start.elapsed()
        }
    };
    let took = rt.block_on(rt.spawn(all)).expect("no counter panics");
    match counter.sum() {
        Some(sum) if sum != share * tasks => Err(format!("{sum} counted of {} increments", share * tasks)),
        _ => Ok(took.as_nanos() as f64 / (share * tasks) as f64),
    }
}

async fn add_many<C: Counter>(counter: Arc<C>, times: u64) {
    for n in 1..=times {
        counter.add().await;
        if n.is_multiple_of(CHUNK) {
            yield_now().await;
        }
    }
}

/// What a reader reads, each field on a cache line of its own.
#[derive(Default)]
struct Watched {
    count: CachePadded<AtomicU64>,
    over: CachePadded<AtomicBool>,
}

/// Nanoseconds per read of an atomic, in one task, beside so many others that add to it. Only the reads are timed.
fn read(rt: &Runtime, writers: usize, reads: u64, load: impl Fn(&AtomicU64) -> u64 + Send + 'static) -> f64 {
    const BURST: u64 = 1000;
    let watched = Arc::new(Watched::default());
    let main = async move {
        let handles: Vec<_> = (0..writers).map(|_| spawn(add_until_over(watched.clone()))).collect();
        let mut took = Duration::ZERO;
        for _ in 0..reads / BURST {
            yield_now().await;
            let start = Instant::now();
            for _ in 0..BURST {
                black_box(load(&watched.count));
            }
            took += start.elapsed();
        }
        // Ordering: Relaxed; pairs with nothing, and need not: it ends the writers' loops a little later.
        watched.over.store(true, Relaxed);
        for handle in handles {
            handle.await.expect("no writer panics");
        }
        took.as_nanos() as f64 / (reads / BURST * BURST) as f64
    };
    rt.block_on(rt.spawn(main)).expect("no reader panics")
}

async fn add_until_over(watched: Arc<Watched>) {
    // Ordering: Relaxed; as the store in `read`.
    while !watched.over.load(Relaxed) {
        for _ in 0..CHUNK {
            watched.count.add().await;
        }
        yield_now().await;
    }
}

fn main() -> ExitCode {
    ending::end("counters", measure(&Args::parse()).map(|text| text + "\n"))
}

fn measure(args: &Args) -> Result<String, String> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let procs = args.procs.map_or(cores, usize::from);
    let (increments, reads) = if args.quick { (200_000, 100_000) } else { (2_000_000, 1_000_000) };
    let rounds = if args.quick { 3 } else { args.rounds };
    let rt = Runtime::builder().procs(procs).build().map_err(|e| format!("cannot start the runtime: {e}"))?;

    let tasks = [1, procs as u64, 1000];
    let mut figures = vec![[const { Vec::new() }; 3]; COUNTERS.len()];
    let mut reading = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        for (at, &tasks) in tasks.iter().enumerate() {
            for ((name, run), figures) in COUNTERS.iter().zip(&mut figures) {
                let ns =
                    run(&rt, procs, tasks, increments).map_err(|e| format!("{name}, {tasks} tasks: {e}"))?;
                figures[at].push(ns);
            }
        }
        let writers = (procs - 1).max(1);
        reading[0].push(read(&rt, 0, reads, relaxed));
        reading[1].push(read(&rt, 0, reads, acquire));
        reading[2].push(read(&rt, writers, reads, relaxed));
        reading[3].push(read(&rt, writers, reads, acquire));
    }
    let figures: Vec<[f64; 3]> = figures.into_iter().map(|row| row.map(median)).collect();
    Ok(report(procs, rounds, increments, &figures, reading.map(median)))
}

fn relaxed(atomic: &AtomicU64) -> u64 {
    // Ordering: Relaxed; for its price. It pairs with nothing here.
    atomic.load(Relaxed)
}

fn acquire(atomic: &AtomicU64) -> u64 {
    // Ordering: Acquire; for its price, a barrier's where the machine needs one. It pairs with nothing here.
    atomic.load(Acquire)
}

/// `figures`: a row for each counter, a column for each number of tasks. `reads`: relaxed and acquire, quiet and beside
/// writers.
fn report(procs: usize, rounds: u32, increments: u64, figures: &[[f64; 3]], reads: [f64; 4]) -> String {
    let title = format!(
        "ns per increment, {procs} Ps, {} increments, median of {rounds} rounds",
        grouped(increments)
    );
    let mut counters = Table::new(title, &["counter", "1 task", "a task per P", "1000 tasks"]);
    for ((name, _), row) in COUNTERS.iter().zip(figures) {
        counters.row([name.to_string()].into_iter().chain(row.map(|ns| format!("{ns:.2}"))));
    }
    counters.note("Each count was checked: no increment was lost.");

    let mut loads =
        Table::new("ns per read of an atomic", &["load", "nobody writes", "the other Ps add to it"]);
    loads.row(["Relaxed".into(), format!("{:.2}", reads[0]), format!("{:.2}", reads[2])]);
    loads.row(["Acquire".into(), format!("{:.2}", reads[1]), format!("{:.2}", reads[3])]);

    let [std, ours, atomic, slots] = [figures[1], figures[2], figures[3], figures[4]];
    let near = |a: f64, b: f64| a < 2.0 * b && b < 2.0 * a;
    let claims = [
        Claim {
            article: "a lock costs 8 to 9 times an atomic: 82 ns and 76 ns an increment against 9 ns",
            measured: format!(
                "{:.1} (std) and {:.1} (gmprt) times alone, {:.1} and {:.1} times with a task on each P",
                std[0] / atomic[0],
                ours[0] / atomic[0],
                std[1] / atomic[1],
                ours[1] / atomic[1]
            ),
            agrees: near(std[1] / atomic[1], ARTICLE[0] / ARTICLE[2])
                && near(ours[1] / atomic[1], ARTICLE[1] / ARTICLE[2]),
        },
        Claim {
            article: "an increment of one atomic costs 9 ns, for there is no lock to wait for",
            measured: format!("{:.1} ns alone, {:.1} ns with a task on each P", atomic[0], atomic[1]),
            agrees: near(atomic[0], ARTICLE[2]) && near(atomic[1], ARTICLE[2]),
        },
        Claim {
            article: "reading an atomic has no cost of barriers",
            measured: format!("an Acquire load takes {:.2} times a Relaxed one", reads[1] / reads[0]),
            agrees: reads[1] < 1.2 * reads[0],
        },
    ];
    let line = if atomic[1] > 1.2 * atomic[0] && slots[1] < atomic[1] {
        "one line that all write travels from core to core; a slot stays on its own."
    } else {
        "no line travels, for that takes several cores."
    };
    let seen = format!(
        "What to see in it: the atomic waits for nobody, and comes to {:.1} ns alone and {:.1} ns with a task on each P;\n\
         a slot for each P to {:.1} and {:.1} ns. Here {line}\n\
         A read takes {:.1} ns, and {:.1} ns while others write, whatever the ordering: it is the line that costs.",
        atomic[0], atomic[1], slots[0], slots[1], reads[1], reads[3],
    );
    let claims: Vec<String> = claims.iter().map(ToString::to_string).collect();
    let rule = "Two figures agree here if they are within a factor of two. The article's are Java's: there it leaves Go.";
    format!("{counters}\n{loads}\n{rule}\n\n{}\n{seen}", claims.join("\n"))
}
