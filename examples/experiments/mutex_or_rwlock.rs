//! A lock for many readers and few writers: `RwLock`, or is a `Mutex` quicker?
//!
//! ```text
//!   cargo run --release --example mutex_or_rwlock
//! ```
//!
//! What to watch for:
//! - **the share of writes**: a writer that waits holds new readers back, so with each write the lock runs empty, the readers
//!   that come meanwhile go to sleep, and all of them are woken together. What readers gain by being let in together must
//!   pay for that.
//! - **what is done under the lock**: one number read, a table looked through, or something waited for, a request to another
//!   service, say. Under a Mutex readers wait for each other all that time.
//! - **how many tasks**: only as many as there are Ps are in a poll at once. The others matter when they sleep: each has to
//!   be woken.
//! - **how long a writer waits**: for the readers that are in, and the writers before it, and for its turn on a P.
//!
//! A task reads or writes again and again, and yields after every [`TURN`] times. The clock is read round each write, for
//! both locks alike, and is in the figures. Each reader checks that no half-done write is to be seen, and the writes are
//! counted at the end.

mod claim;
#[path = "../common/ending.rs"]
mod ending;
#[path = "../common/figures.rs"]
mod figures;
#[path = "mutex_or_rwlock/report.rs"]
mod report;
#[path = "../common/table.rs"]
mod table;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, value_parser};
use gmprt::sync::{Mutex, RwLock};
use gmprt::{Runtime, spawn, yield_now};
use hdrhistogram::Histogram;

use figures::median;

/// How many tasks there are, and how many percent of what they do are writes.
const TASKS: [u64; 3] = [8, 16, 64];
const WRITES: [u64; 5] = [1, 5, 10, 20, 30];

/// Entries of the table.
const KEYS: u64 = 1024;

/// Reads and writes of a task between two yields.
const TURN: u64 = 16;

/// `Mutex` beside `RwLock`: operations per second, how long writers wait, and where the Mutex overtakes.
#[derive(Parser)]
#[command(
    after_help = "Exit code: 0 all that was read and written was whole, 1 it was not, 2 bad flag or value."
)]
struct Args {
    /// A short run
    #[arg(long)]
    quick: bool,
    /// Ps of the runtime [default: the cores this process may use]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=256))]
    procs: Option<u16>,
    /// Rounds, in which the two locks take turns; medians are shown
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = value_parser!(u32).range(1..=1_000))]
    rounds: u32,
}

/// What is done under the lock.
#[derive(Clone, Copy, PartialEq)]
enum Section {
    /// One number is read.
    Number,
    /// A table is looked through, for some hundred nanoseconds.
    Table,
    /// The number is read, and then something is waited for, here for one turn of the scheduler.
    Wait,
}

impl Section {
    const ALL: [Section; 3] = [Section::Number, Section::Table, Section::Wait];

    fn name(self) -> &'static str {
        match self {
            Section::Number => "read a number",
            Section::Table => "look through a table",
            Section::Wait => "wait under the lock",
        }
    }

    /// Reads and writes of a run: some milliseconds.
    fn operations(self) -> u64 {
        match self {
            Section::Number => 200_000,
            Section::Table => 30_000,
            Section::Wait => 40_000,
        }
    }
}

/// What is locked.
struct Data {
    /// Two counts of the writes, which differ only while one is being done.
    writes: u64,
    copy: u64,
    /// Keys in no order, each with its square.
    table: Vec<(u64, u64)>,
}

impl Data {
    fn new() -> Data {
        // 389 has no factor in common with 1024: each key comes once.
        let keys = (0..KEYS).map(|i| i * 389 % KEYS);
        Data { writes: 0, copy: 0, table: keys.map(|key| (key, key * key)).collect() }
    }

    /// Reads; says whether what is there is whole.
    #[inline(never)] // so that both locks run the same code
    fn look(&self, section: Section, key: u64) -> bool {
        let key = key % KEYS;
        let square = || self.table.iter().find(|entry| entry.0 == key).map(|entry| entry.1);
        let found = section != Section::Table || square() == Some(key * key);
        found && self.writes == self.copy
    }

    fn change(&mut self, section: Section, key: u64) -> bool {
        let whole = self.look(section, key);
        self.writes += 1;
        self.copy += 1;
        whole
    }
}

/// The two locks, by what the tasks do with them.
trait Lock: Send + Sync + 'static {
    fn new(data: Data) -> Self;
    fn into_data(self) -> Data;
    /// Says whether what it read was whole.
    fn read(&self, section: Section, key: u64) -> impl Future<Output = bool> + Send;
    /// The same, and how long it waited for the lock.
    fn write(&self, section: Section, key: u64) -> impl Future<Output = (bool, Duration)> + Send;
}

macro_rules! lock {
    ($lock:ident, $read:ident, $write:ident) => {
        impl Lock for $lock<Data> {
            fn new(data: Data) -> Self {
                $lock::new(data)
            }

            fn into_data(self) -> Data {
                self.into_inner()
            }

            async fn read(&self, section: Section, key: u64) -> bool {
                let data = self.$read().await;
                let whole = data.look(section, key);
                if section == Section::Wait {
                    yield_now().await;
                }
                whole
            }

            async fn write(&self, section: Section, key: u64) -> (bool, Duration) {
                let asked = Instant::now();
                let mut data = self.$write().await;
                let waited = asked.elapsed();
                let whole = data.change(section, key);
                if section == Section::Wait {
                    yield_now().await;
                }
                (whole, waited)
            }
        }
    };
}

lock!(Mutex, lock, lock);
lock!(RwLock, read, write);

/// What one task did.
#[derive(Default)]
struct Done {
    waits: Vec<Duration>,
    torn: u64,
}

async fn work<L: Lock>(lock: Arc<L>, task: u64, times: u64, section: Section, percent: u64) -> Done {
    let mut done = Done { waits: Vec::with_capacity((times * percent / 100 + 1) as usize), torn: 0 };
    for n in 0..times {
        let key = task * 7919 + n; // so that the tasks do not write all at once, nor look for the same key
        let whole = if key * percent % 100 < percent {
            let (whole, waited) = lock.write(section, key).await;
            done.waits.push(waited);
            whole
        } else {
            lock.read(section, key).await
        };
        done.torn += u64::from(!whole);
        if n % TURN == TURN - 1 {
            yield_now().await;
        }
    }
    done
}

/// One run: operations per second; the writers' waits go to `waits`.
fn run<L: Lock>(
    rt: &Runtime,
    setting: &Setting,
    operations: u64,
    waits: &mut Histogram<u64>,
) -> Result<f64, String> {
    let Setting { section, tasks, percent } = *setting;
    let times = operations.div_ceil(tasks);
    let lock = Arc::new(L::new(Data::new()));
    let shared = lock.clone();
    let all = async move {
        let start = Instant::now();
        let handles: Vec<_> =
            (0..tasks).map(|i| spawn(work(shared.clone(), i, times, section, percent))).collect();
        let mut done = Vec::new();
        for handle in handles {
            done.push(handle.await.expect("no reader or writer panics"));
        }
        (start.elapsed(), done)
    };
    let (took, done) = rt.block_on(rt.spawn(all)).expect("no reader or writer panics");

    let data = Arc::into_inner(lock).expect("the tasks are done, and have dropped their shares").into_data();
    let torn: u64 = done.iter().map(|done| done.torn).sum();
    let writes: u64 = done.iter().map(|done| done.waits.len() as u64).sum();
    if torn > 0 || data.writes != writes || data.copy != writes {
        return Err(format!("{torn} reads were torn, and {} of {writes} writes are there", data.writes));
    }
    for waited in done.iter().flat_map(|done| &done.waits) {
        waits.saturating_record(waited.as_nanos() as u64);
    }
    Ok((times * tasks) as f64 / took.as_secs_f64())
}

/// A row: what is done under the lock, by how many, and how many percent of it are writes.
#[derive(Clone, Copy)]
struct Setting {
    section: Section,
    tasks: u64,
    percent: u64,
}

/// What a row came to: medians, and the writers' waits of all rounds together.
struct Row {
    setting: Setting,
    mutex: Figures,
    rwlock: Figures,
    /// Operations of the RwLock for one of the Mutex, by rounds.
    ratio: f64,
}

struct Figures {
    per_second: f64,
    /// Between the best and the worst round, over the median.
    spread: f64,
    /// 99 of 100 writers waited less, in µs.
    wait_p99: f64,
}

impl Figures {
    fn of(rounds: &[f64], waits: &Histogram<u64>) -> Figures {
        let per_second = median(rounds.iter().copied());
        let (least, most) = rounds.iter().fold((f64::MAX, 0.0_f64), |(a, b), x| (a.min(*x), b.max(*x)));
        let spread = (most - least) / per_second;
        Figures { per_second, spread, wait_p99: waits.value_at_quantile(0.99) as f64 / 1000.0 }
    }
}

fn main() -> ExitCode {
    ending::end("mutex_or_rwlock", measure(&Args::parse()).map(|text| text + "\n"))
}

fn measure(args: &Args) -> Result<String, String> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let procs = args.procs.map_or(cores, usize::from);
    let rounds = if args.quick { 3 } else { args.rounds };
    let rt = Runtime::builder().procs(procs).build().map_err(|e| format!("cannot start the runtime: {e}"))?;

    let mut rows = Vec::new();
    for section in Section::ALL {
        for tasks in TASKS {
            for percent in WRITES {
                let setting = Setting { section, tasks, percent };
                rows.push(compare(&rt, setting, rounds, args.quick)?);
            }
        }
    }
    Ok(report::report(procs, rounds, &rows))
}

/// Both locks in turn, the one first and then the other.
fn compare(rt: &Runtime, setting: Setting, rounds: u32, quick: bool) -> Result<Row, String> {
    let operations = setting.section.operations() / if quick { 10 } else { 1 };
    // 1 ns to 60 s, each bucket at most 1 % wide.
    let [mut mutex_waits, mut rwlock_waits] =
        [(); 2].map(|()| Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("the bounds are valid"));
    let (mut mutex, mut rwlock) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                mutex.push(run::<Mutex<Data>>(rt, &setting, operations, &mut mutex_waits)?);
            } else {
                rwlock.push(run::<RwLock<Data>>(rt, &setting, operations, &mut rwlock_waits)?);
            }
        }
    }
    Ok(Row {
        setting,
        ratio: median(mutex.iter().zip(&rwlock).map(|(mutex, rwlock)| rwlock / mutex)),
        mutex: Figures::of(&mutex, &mutex_waits),
        rwlock: Figures::of(&rwlock, &rwlock_waits),
    })
}
