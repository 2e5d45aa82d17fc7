//! A pool of values beside plain allocation: a small struct, and buffers of 4 and of 64 KiB.
//!
//! ```text
//!   cargo run --release --example pool
//! ```
//!
//! What to watch for:
//! - **the small struct**: malloc has a list of free blocks for each thread, which is a pool too, and a simple one. Does
//!   ours save anything?
//! - **zeroed or not**: `vec![0; n]` writes all n bytes each time, as Go's `make` does; a pooled buffer comes back as it was
//!   left, and nobody writes it. What a pool saves is that work, not the call of malloc.
//! - **values made**: how often the pool had to call its constructor in all those gets.
//! - **page faults**: where the time of plain allocation goes when many buffers are freed together.
//!
//! In a figure: the time on the wall over all gets together, that of a loop which gets a value (or makes one), writes to
//! it, and returns it (or frees it), in `--tasks` tasks; and a yield after each [`HELD`] of them. With "64 at once" a task
//! has that many in hand at the yield, so that they come back on another P now and then.
//!
//! No counting allocator stands behind the bytes: one with counters that all threads share took 72 ns for what takes 12 ns
//! without it in four threads, so the times would be its own. Bytes are values made times the bytes of each, and beside
//! them stands by how much the process has grown.

mod claim;
#[path = "../common/ending.rs"]
mod ending;
#[path = "../common/figures.rs"]
mod figures;
#[path = "../common/memory.rs"]
mod memory;
#[path = "../common/table.rs"]
mod table;
#[path = "pool/values.rs"]
mod values;

use std::hint::black_box;
use std::ops::{DerefMut, Range};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::{Parser, value_parser};
use gmprt::sync::Pool;
use gmprt::{Runtime, spawn, yield_now};

use claim::Claim;
use figures::{grouped, median};
use memory::private_bytes;
use table::Table;
use values::{Buffer, Fresh, User, Value};

/// Gets between two yields, and how many a task has in hand at most.
const HELD: usize = 64;

/// A pool beside plain allocation: time, values made, growth of the process.
#[derive(Parser)]
#[command(after_help = "Exit code: 0 all values were whole, 1 one was not, 2 bad flag or value.")]
struct Args {
    /// A short run
    #[arg(long)]
    quick: bool,
    /// Ps of the runtime [default: the cores this process may use]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=256))]
    procs: Option<u16>,
    /// Tasks that get values [default: one for each P]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=10_000))]
    tasks: Option<u64>,
    /// Rounds, in which pool and plain allocation take turns; medians are shown
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = value_parser!(u32).range(1..=1_000))]
    rounds: u32,
}

/// A row of the tables.
struct Kind {
    name: &'static str,
    gets: u64,
    /// Whether a task has [`HELD`] values in hand at the yield, or each for a moment only.
    held: bool,
    plain: Run,
    pooled: Run,
}

/// Runs a kind: how long, how many values were made, of how many bytes each.
type Run = fn(&Runtime, &Kind, u64) -> Result<Outcome, String>;

struct Outcome {
    took: Duration,
    made: u64,
    bytes: u64,
    /// Memory of the process at the end, over that at the beginning, in bytes.
    grown: u64,
    /// Pages that the kernel had to give meanwhile.
    faults: u64,
}

/// Page faults of this process so far that needed no disk: `minflt` of `/proc/self/stat`. 0 where `/proc` is missing.
fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default(); // a program's name may hold spaces
    after_name.split_whitespace().nth(7).and_then(|n| n.parse().ok()).unwrap_or(0)
}

const fn kind<V: Value>(name: &'static str, gets: u64, held: bool) -> Kind {
    Kind { name, gets, held, plain: plain::<V>, pooled: pooled::<V> }
}

const KINDS: [Kind; 10] = [
    kind::<Box<User>>("User", 1_000_000, false),
    kind::<Box<User>>("User, 64 at once", 1_000_000, true),
    kind::<Buffer<4096, false>>("4 KiB", 200_000, false),
    kind::<Buffer<4096, false>>("4 KiB, 64 at once", 200_000, true),
    kind::<Buffer<4096, true>>("4 KiB zeroed", 200_000, false),
    kind::<Buffer<4096, true>>("4 KiB zeroed, 64 at once", 200_000, true),
    kind::<Buffer<65536, false>>("64 KiB", 100_000, false),
    kind::<Buffer<65536, false>>("64 KiB, 64 at once", 10_000, true),
    kind::<Buffer<65536, true>>("64 KiB zeroed", 100_000, false),
    kind::<Buffer<65536, true>>("64 KiB zeroed, 64 at once", 10_000, true),
];

fn plain<V: Value>(rt: &Runtime, kind: &Kind, tasks: u64) -> Result<Outcome, String> {
    run(rt, kind, tasks, || Fresh(V::new()))
}

fn pooled<V: Value>(rt: &Runtime, kind: &Kind, tasks: u64) -> Result<Outcome, String> {
    let made = Arc::new(AtomicU64::new(0));
    let counter = made.clone();
    let pool = Pool::new(move || {
        // Ordering: Relaxed; a count, which the join of the tasks publishes.
        counter.fetch_add(1, Relaxed);
        V::new()
    });
    let outcome = run(rt, kind, tasks, move || pool.get())?;
    // Ordering: Relaxed; as above.
    Ok(Outcome { made: made.load(Relaxed), ..outcome })
}

/// Gets and returns values in so many tasks, and times it. It fails if somebody else wrote to a value that was in hand.
///
/// A value made for each get is what the outcome says. It is not counted, for a counter that all tasks share would be
/// dearer than malloc.
fn run<V: Value, G: DerefMut<Target = V> + Send + 'static>(
    rt: &Runtime,
    kind: &Kind,
    tasks: u64,
    get: impl Fn() -> G + Clone + Send + 'static,
) -> Result<Outcome, String> {
    let shares = (0..tasks).map(|i| kind.gets * i / tasks..kind.gets * (i + 1) / tasks);
    let users: Vec<_> = shares.map(|marks| get_many(get.clone(), marks, kind.held)).collect();
    let (before, faults) = (private_bytes(std::process::id()), page_faults());
    let (took, spoilt) = rt
        .block_on(rt.spawn(async move {
            let start = Instant::now();
            let handles: Vec<_> = users.into_iter().map(spawn).collect();
            let mut spoilt = 0;
            for handle in handles {
                spoilt += handle.await.expect("no user of a value panics");
            }
            (start.elapsed(), spoilt)
        }))
        .expect("no user of a value panics");
    let (grown, faults) = (private_bytes(std::process::id()).saturating_sub(before), page_faults() - faults);
    if spoilt > 0 {
        return Err(format!("{}: somebody else wrote to {spoilt} values in hand", kind.name));
    }
    let mut sample = V::new();
    sample.fill(0);
    Ok(Outcome { took, made: kind.gets, bytes: sample.bytes() as u64, grown, faults })
}

/// One task: gets a value for each mark; returns how many did not have their marks any more when they were returned.
async fn get_many<V: Value, G: DerefMut<Target = V>>(
    get: impl Fn() -> G,
    marks: Range<u64>,
    held: bool,
) -> usize {
    let mut hand: Vec<(u64, G)> = Vec::with_capacity(HELD);
    let changed = |(mark, value): &(u64, G)| value.mark() != *mark;
    let mut spoilt = 0;
    for mark in marks {
        let mut value = get();
        black_box(&mut *value).fill(mark);
        if held {
            hand.push((mark, value));
        } else {
            spoilt += usize::from(black_box(&*value).mark() != mark);
        }
        if mark.is_multiple_of(HELD as u64) {
            yield_now().await;
            spoilt += hand.drain(..).filter(changed).count();
        }
    }
    spoilt + hand.into_iter().filter(changed).count()
}

/// A row's medians over the rounds; the growth is the greatest of all rounds, since what malloc has once it keeps.
struct Row {
    kind: Kind,
    plain: Figures,
    pool: Figures,
}

struct Figures {
    ns: f64,
    made: u64,
    bytes: u64,
    grown: u64,
    /// Per 1000 gets.
    faults: f64,
}

impl Figures {
    fn of(gets: u64, rounds: &[Outcome]) -> Figures {
        Figures {
            ns: median(rounds.iter().map(|o| o.took.as_nanos() as f64 / gets as f64)),
            made: median(rounds.iter().map(|o| o.made as f64)) as u64,
            bytes: median(rounds.iter().map(|o| (o.made * o.bytes) as f64)) as u64,
            grown: rounds.iter().map(|o| o.grown).max().unwrap_or(0),
            faults: median(rounds.iter().map(|o| 1000.0 * o.faults as f64 / gets as f64)),
        }
    }
}

fn main() -> ExitCode {
    ending::end("pool", measure(&Args::parse()).map(|text| text + "\n"))
}

fn measure(args: &Args) -> Result<String, String> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let procs = args.procs.map_or(cores, usize::from);
    let tasks = args.tasks.unwrap_or(procs as u64);
    let rounds = if args.quick { 1 } else { args.rounds };
    let rt = Runtime::builder().procs(procs).build().map_err(|e| format!("cannot start the runtime: {e}"))?;

    let mut rows = Vec::new();
    for mut kind in KINDS {
        if args.quick {
            kind.gets /= 25;
        }
        let (mut plain, mut pool) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            plain.push((kind.plain)(&rt, &kind, tasks)?);
            pool.push((kind.pooled)(&rt, &kind, tasks)?);
        }
        let [plain, pool] = [plain, pool].map(|rounds| Figures::of(kind.gets, &rounds));
        rows.push(Row { kind, plain, pool });
    }
    Ok(report(procs, tasks, rounds, &rows))
}

/// Bytes in MB, the article's unit.
fn mb(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

fn report(procs: usize, tasks: u64, rounds: u32, rows: &[Row]) -> String {
    let title = format!(
        "ns to get a value, use it and return it; {procs} Ps, {tasks} tasks, median of {rounds} rounds"
    );
    let mut times = Table::new(title, &["value", "gets", "plain", "pool", "plain/pool"]);
    let mut memory = Table::new(
        "Values the pool made; MB asked of malloc; MB that the process grew by; page faults per 1000 gets",
        &[
            "value",
            "made",
            "MB, plain",
            "MB, pool",
            "grown, plain",
            "grown, pool",
            "faults, plain",
            "faults, pool",
        ],
    );
    for Row { kind, plain, pool } in rows {
        times.row([
            kind.name.to_owned(),
            grouped(kind.gets),
            format!("{:.1}", plain.ns),
            format!("{:.1}", pool.ns),
            format!("{:.2}", plain.ns / pool.ns),
        ]);
        memory.row([
            kind.name.to_owned(),
            grouped(pool.made),
            mb(plain.bytes),
            mb(pool.bytes),
            mb(plain.grown),
            mb(pool.grown),
            format!("{:.0}", plain.faults),
            format!("{:.0}", pool.faults),
        ]);
    }
    memory
        .note("MB asked for come to nothing in the process: a block that was freed is the next one's block.");
    memory.note("Plain allocation makes a value for each get. There is no garbage collection here: the article's third");
    memory.note("figure, 3 runs of it against 0, has no counterpart.");

    let user = &rows[0];
    let ms = |ns: f64| ns * user.kind.gets as f64 / 1e6;
    let gain = user.plain.ns / user.pool.ns;
    let claims = [
        Claim {
            article: "a pool gets a million small structs in 19 ms, plain allocation in 82 ms: 4.3 times as fast",
            measured: format!(
                "{} Users in {:.1} ms from the pool, {:.1} ms plain: {gain:.2} times as fast",
                grouped(user.kind.gets),
                ms(user.pool.ns),
                ms(user.plain.ns)
            ),
            agrees: (4.3 / 2.0..4.3 * 2.0).contains(&gain),
        },
        Claim {
            article: "it allocates 0.4 MB instead of 16 MB: a fortieth",
            measured: format!(
                "{} MB in {} values instead of {} MB in {}; the process grew by {} and by {} MB",
                mb(user.pool.bytes),
                grouped(user.pool.made),
                mb(user.plain.bytes),
                grouped(user.plain.made),
                mb(user.pool.grown),
                mb(user.plain.grown)
            ),
            agrees: user.pool.bytes * 40 <= user.plain.bytes,
        },
    ];
    let malloc_does = match gain {
        ..0.9 => "beats the pool",
        0.9..1.1 => "is as quick as the pool",
        _ => "is slower than the pool",
    };
    let [held, zeroed] = [&rows[3], &rows[8]];
    let seen = format!(
        "What to see in it: for a small struct malloc {malloc_does} ({:.0} ns against {:.0}), and each takes tens of ns.\n\
         A pool saves what is done to the memory: the zeroing ({:.0} ns against {:.0} for 64 KiB), and, where many are\n\
         freed together, page faults ({:.0} per 1000 gets of 4 KiB): glibc gives the top of its heap back to the kernel.\n\
         With MALLOC_TRIM_THRESHOLD_=1000000000 MALLOC_TOP_PAD_=67108864 in the environment it does not: look again.",
        user.plain.ns, user.pool.ns, zeroed.plain.ns, zeroed.pool.ns, held.plain.faults,
    );
    format!("{times}\n{memory}\n{}\n{}\n{seen}", claims[0], claims[1])
}
