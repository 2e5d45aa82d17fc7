//! On which P does a task run? Ten tasks on two Ps as in the article, then ten thousand, then the two rules behind it.
//!
//! Watch for: nothing deals tasks out. A task goes to the queue of the P that its spawner runs on, and gets away from
//! there in two ways only: the queue is full and gives half of it to the injector, of which all Ps take; or a P that has
//! nothing to do comes and steals half. So ten short tasks mostly stay together, and ten thousand spread.
//!
//! ```text
//!   cargo run --release --example where_tasks_run
//!   cargo run --release --example where_tasks_run -- --work 50 --procs 4
//! ```

mod claim;
#[path = "../common/ending.rs"]
mod ending;
#[path = "../common/figures.rs"]
mod figures;
#[path = "where_tasks_run/rules.rs"]
mod rules;
#[path = "../common/table.rs"]
mod table;
#[path = "where_tasks_run/watch.rs"]
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use claim::Claim;
use clap::{Parser, value_parser};
use figures::{grouped, median};
use gmprt::metrics::ProcessorMetrics;
use gmprt::task::ProcessorId;
use table::Table;
use watch::{Scene, Seen, What, watch, words};

const FEW: usize = 10;

/// On which P each of many tasks runs, beside what the article says about it.
#[derive(Parser)]
#[command(
    name = "where_tasks_run",
    after_help = "Exit code: 0 each task ran once, 1 it did not, 2 bad flag or value."
)]
struct Cli {
    /// Ps to run on; the article has 2
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u16).range(2..=64))]
    procs: u16,

    /// How long a task computes where it does, in µs
    #[arg(long, value_name = "US", default_value_t = 5, value_parser = value_parser!(u64).range(0..=1_000))]
    work: u64,

    /// Tasks in the large runs [default: 10000, 1000 with --quick]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    tasks: Option<u32>,

    /// A short run
    #[arg(long)]
    quick: bool,
}

fn report(cli: &Cli) -> Result<String, String> {
    let procs = usize::from(cli.procs);
    let rounds = if cli.quick { 3 } else { 11 };
    let many = cli.tasks.map_or(if cli.quick { 1_000 } else { 10_000 }, |n| n as usize);
    let work = Duration::from_micros(cli.work);
    let scenes = [Scene::Sleep, Scene::Compute(work), Scene::FromOutside(work)];
    let mut text = String::new();
    if let Ok(value) = std::env::var("GMPRT_TEST_REVOKE") {
        text += &format!(
            "GMPRT_TEST_REVOKE={value}: Ps are taken away at random, which no claim here reckons with.\n\n"
        );
    }

    let mut order = Table::new(
        format!("{FEW} tasks on {procs} Ps, the last of {rounds} rounds"),
        &["", "P", "began here, in this order", "ended here, in this order"],
    );
    let mut counts = Table::new(
        format!("{} tasks on {procs} Ps, the last of {rounds} rounds", grouped(many as u64)),
        &["", "P", "began", "ended", "spills", "from injector", "steals", "stolen", "timers fired"],
    );
    let mut even = Table::new(
        format!("How many tasks ended on the busiest P: median of {rounds} rounds (least to most)"),
        &["", "of 10", "of the many"],
    );
    let mut article_busiest = (0.0, 0.0);
    for scene in scenes {
        let few: Vec<Seen> = (0..rounds).map(|_| watch(procs, FEW, scene)).collect::<Result<_, _>>()?;
        let lots: Vec<Seen> = (0..rounds).map(|_| watch(procs, many, scene)).collect::<Result<_, _>>()?;
        list(&mut order, scene, few.last().expect("a round"));
        count(&mut counts, scene, lots.last().expect("a round"));
        even.row([scene.name().to_owned(), spread(&few), spread(&lots)]);
        if scene == Scene::Sleep {
            article_busiest = (middle(&few), middle(&lots));
        }
    }
    counts.note("spills: times a full queue gave its older half away. Each P's own queue holds 256, and one that runs next.");
    if counts.rows.iter().any(|row| row[1] == "none") {
        counts.note("none: in a poll whose P was taken away meanwhile.");
    }
    let share = FEW as f64 / procs as f64;
    let claim = Claim {
        article: "ten goroutines that sleep 1 ms are shared out about evenly among two Ps",
        measured: format!(
            "the busiest of {procs} Ps ended {} of {FEW} in the median (even: one more than its share at most), and {} of {}",
            article_busiest.0,
            grouped(article_busiest.1 as u64),
            grouped(many as u64)
        ),
        agrees: article_busiest.0 <= share + 1.0,
    };
    text += &format!("{order}\n{counts}\n{even}\n{claim}\n");
    text += "To see in it: the last one spawned begins first (it runs next). Ten tasks that begin and sleep have begun before a\n\
             second P is awake, and their timers are on one P's heap; whoever fires a timer runs its task. `--work 100` gives\n\
             a thief time to wake, unless the machine is busy. Of the many, most that change Ps go through the injector, for\n\
             the queue overflows; few are stolen. What comes from outside begins in the injector.\n\n";

    rules::overflow(rounds, &mut text)?;
    rules::steals(&mut text)?;
    Ok(text)
}

/// A row for each P, with its tasks by name.
fn list(table: &mut Table, scene: Scene, seen: &Seen) {
    let spawner = seen.events.iter().find(|event| event.what == What::Spawns).and_then(|event| event.on);
    for (on, name) in places(seen) {
        let first = if on == Some(seen.metrics.processors[0].id) { scene.name() } else { "" };
        let name = if on.is_some() && on == spawner { format!("{name}, who spawned") } else { name };
        let tasks = |what| words(seen.tasks(what, on).iter().map(|task| format!("G{task}")));
        table.row([first.to_owned(), name, tasks(What::Begins), tasks(What::Ends)]);
    }
}

/// A row for each P, with its counters.
fn count(table: &mut Table, scene: Scene, seen: &Seen) {
    for (on, name) in places(seen) {
        let p = seen.metrics.processors.iter().find(|p| Some(p.id) == on);
        let first = if on == Some(seen.metrics.processors[0].id) { scene.name() } else { "" };
        let tasks = |what| grouped(seen.tasks(what, on).len() as u64);
        let figure = |of: fn(&ProcessorMetrics) -> u64| p.map_or("–".to_owned(), |p| grouped(of(p)));
        table.row([
            first.to_owned(),
            name,
            tasks(What::Begins),
            tasks(What::Ends),
            figure(|p| p.overflows),
            figure(|p| p.injector_takes),
            figure(|p| p.steals),
            figure(|p| p.stolen),
            figure(|p| p.timers_fired),
        ]);
    }
}

/// The Ps, and "none" if something happened in a poll whose P had been taken.
fn places(seen: &Seen) -> Vec<(Option<ProcessorId>, String)> {
    let ps = seen.metrics.processors.iter().map(|p| (Some(p.id), p.id.to_string()));
    let none = seen.events.iter().any(|event| event.on.is_none() && event.what != What::Spawns);
    ps.chain(none.then(|| (None, "none".to_owned()))).collect()
}

fn middle(rounds: &[Seen]) -> f64 {
    median(rounds.iter().map(|seen| seen.busiest() as f64))
}

/// `9 (8 to 10)`.
fn spread(rounds: &[Seen]) -> String {
    let busiest = rounds.iter().map(|seen| seen.busiest() as u64);
    let (least, most) = (busiest.clone().min().unwrap_or(0), busiest.max().unwrap_or(0));
    format!("{} ({} to {})", grouped(middle(rounds) as u64), grouped(least), grouped(most))
}

fn main() -> ExitCode {
    ending::end("where_tasks_run", report(&Cli::parse()))
}
