//! Waiting for a group of tasks, and telling it to stop: what a `WaitGroup` and a context each see when the work finishes,
//! is cancelled, runs out of time, or panics.
//!
//! Watch for: the two know nothing of each other. The `WaitGroup` counts tasks that have ended, however they did; the
//! context tells tasks to stop, and says nothing of what became of them. So a panic in one child ends the wait like any
//! other end, and leaves the context as it was, unless somebody cancels it.
//!
//! ```text
//!   cargo run --release --example wait_group_and_context
//!   cargo run --release --example wait_group_and_context -- --children 100
//! ```

mod claim;
#[path = "../common/ending.rs"]
mod ending;
#[path = "../common/figures.rs"]
mod figures;
#[path = "../common/table.rs"]
mod table;

use std::panic::{self, panic_any};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use claim::Claim;
use clap::{Parser, value_parser};
use figures::{counted, grouped, median};
use gmprt::context::{self, CancelFunc, Context, ContextError};
use gmprt::sync::WaitGroup;
use gmprt::task::JoinHandle;
use gmprt::time::{sleep, timeout};
use gmprt::{Runtime, select};
use table::Table;

/// Work that nobody waits for the end of.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// What children panic with.
const MEANT: &str = "this panic is meant";
/// A wait that is meant to end, and has not by then, never does.
const LIMIT: Duration = Duration::from_secs(20);

/// What WaitGroup and Context see in four cases, beside what the article says about them.
#[derive(Parser)]
#[command(
    name = "wait_group_and_context",
    after_help = "Exit code: 0 each wait ended as it must, 1 one did not, 2 bad flag or value."
)]
struct Cli {
    /// Tasks in the group
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(2..=10_000))]
    children: u32,

    /// How long the work takes, and how long until it is cancelled or out of time, in ms
    #[arg(long, value_name = "MS", default_value_t = 20, value_parser = value_parser!(u64).range(1..=500))]
    work: u64,

    /// A short run
    #[arg(long)]
    quick: bool,
}

/// What happens to the children, and who sees to it that each is counted as done.
#[derive(Clone, Copy, PartialEq)]
enum Case {
    Finish,
    Cancel,
    Timeout,
    /// One child panics; `WaitGroup::spawn` counts it as done, as Go's `defer wg.Done()` would.
    Panic,
    /// As before, and each child holds a guard that cancels the context if it is left by a panic.
    PanicGuarded,
    /// One child panics above its `done()`.
    PanicByHand,
    /// One child returns above its `done()`.
    Forgotten,
}

const CASES: &[(Case, &str)] = &[
    (Case::Finish, "finish"),
    (Case::Cancel, "cancel"),
    (Case::Timeout, "timeout"),
    (Case::Panic, "panic in one child"),
    (Case::PanicGuarded, "panic, children cancel on it"),
    (Case::PanicByHand, "panic above a done() by hand"),
    (Case::Forgotten, "return above a done() by hand"),
];

/// How one child ended, where it did not panic.
enum End {
    Finished,
    Stopped,
}

/// What was seen of one case.
struct Seen {
    /// Whether `wait` returned; else it was given up.
    returned: bool,
    /// The group's own, as it shows it, after the wait.
    counter: String,
    finished: usize,
    stopped: usize,
    panicked: usize,
    err: Option<ContextError>,
    cause: String,
    took: Duration,
}

/// Works, unless the context is done first.
async fn work(ctx: &Context, takes: Duration) -> End {
    select! {
        _ = sleep(takes) => End::Finished,
        _ = ctx.done() => End::Stopped,
    }
}

/// Child number `n` of a case in which all are counted by `WaitGroup::spawn`.
async fn child(case: Case, n: u32, ctx: Context, cancel: CancelFunc, takes: Duration) -> End {
    match case {
        Case::Panic if n == 0 => panic_any(MEANT),
        Case::PanicGuarded => {
            let guard = cancel.drop_guard();
            if n == 0 {
                panic_any(MEANT); // the guard is dropped, and cancels the rest
            }
            let end = work(&ctx, FOR_EVER).await;
            drop(guard.disarm()); // left in good order: nobody is to be cancelled
            end
        }
        Case::Cancel | Case::Timeout => work(&ctx, FOR_EVER).await,
        _ => work(&ctx, takes).await,
    }
}

/// The same where each child calls `done` itself, and the first never gets there. Go's mistake without `defer`.
async fn child_by_hand(case: Case, n: u32, ctx: Context, group: WaitGroup, takes: Duration) -> End {
    if n == 0 && case == Case::PanicByHand {
        panic_any(MEANT);
    }
    let end = work(&ctx, takes).await;
    if n > 0 {
        group.done();
    }
    end
}

async fn observe(case: Case, children: u32, takes: Duration) -> Result<Seen, String> {
    let by_hand = matches!(case, Case::PanicByHand | Case::Forgotten);
    let limit = if case == Case::Timeout { takes } else { FOR_EVER };
    let (ctx, cancel) = context::with_timeout(&context::background(), limit);
    let group = WaitGroup::new();
    let begun = Instant::now();
    let spawn = |n| -> JoinHandle<End> {
        if by_hand {
            group.add(1); // here and not in the child: else `wait` could be over before the child begins
            gmprt::spawn(child_by_hand(case, n, ctx.clone(), group.clone(), takes))
        } else {
            group.spawn(child(case, n, ctx.clone(), cancel.clone(), takes))
        }
    };
    let handles: Vec<JoinHandle<End>> = (0..children).map(spawn).collect();
    if case == Case::Cancel {
        sleep(takes).await;
        cancel.cancel_cause("the user left");
    }
    if by_hand {
        // All children shall have ended before the wait begins, so that it has nothing left to hope for.
        while !handles.iter().all(JoinHandle::is_finished) {
            sleep(Duration::from_millis(1)).await;
        }
    }
    let patience = if by_hand { takes } else { LIMIT };
    let returned = timeout(patience, group.wait()).await.is_ok();
    let took = begun.elapsed();
    let (err, cause) = (ctx.err(), ctx.cause());
    let counter = format!("{group:?}"); // `WaitGroup { counter: 0, waiters: 0 }`
    let counter = counter.split(&[':', ','][..]).nth(1).unwrap_or("?").trim().to_owned();
    if !returned && !by_hand {
        return Err(format!("after {LIMIT:?} the wait goes on: {group:?}"));
    }

    let (mut finished, mut stopped, mut panicked) = (0, 0, 0);
    for handle in handles {
        match handle.await {
            Ok(End::Finished) => finished += 1,
            Ok(End::Stopped) => stopped += 1,
            Err(e) if e.is_panic() => panicked += 1,
            Err(e) => return Err(e.to_string()),
        }
    }
    let cause = cause.map_or("–".to_owned(), |cause| cause.to_string());
    Ok(Seen { returned, counter, finished, stopped, panicked, err, cause, took })
}

impl Seen {
    /// What must hold in this case, however busy the machine is.
    fn check(&self, case: Case, children: u32) -> Result<(), String> {
        let all = children as usize;
        let ends = (self.finished, self.stopped, self.panicked);
        let (wanted, err) = match case {
            Case::Finish => ((all, 0, 0), None),
            Case::Cancel => ((0, all, 0), Some(ContextError::Canceled)),
            Case::Timeout => ((0, all, 0), Some(ContextError::DeadlineExceeded)),
            Case::Panic | Case::PanicByHand => ((all - 1, 0, 1), None),
            Case::PanicGuarded => ((0, all - 1, 1), Some(ContextError::Canceled)),
            Case::Forgotten => ((all, 0, 0), None),
        };
        if ends != wanted || self.err != err {
            return Err(format!(
                "finished, stopped, panicked are {ends:?}, err() {:?}; not {wanted:?}, {err:?}",
                self.err
            ));
        }
        let by_hand = matches!(case, Case::PanicByHand | Case::Forgotten);
        let left = if by_hand { "1" } else { "0" };
        if self.returned == by_hand || self.counter != left {
            return Err(format!("{}, the counter being {}", self.waiter(), self.counter));
        }
        Ok(())
    }

    fn err(&self) -> String {
        self.err.map_or("None".to_owned(), |err| format!("{err:?}"))
    }

    fn waiter(&self) -> String {
        if self.returned { "wait() returned".to_owned() } else { "still waits: given up".to_owned() }
    }
}

fn report(cli: &Cli) -> Result<String, String> {
    let takes = Duration::from_millis(if cli.quick { cli.work.min(5) } else { cli.work });
    let rounds = if cli.quick { 1 } else { 5 };
    keep_quiet();
    let rt = Runtime::builder().procs(2).build().map_err(|e| format!("cannot start a runtime: {e}"))?;
    let mut table = Table::new(
        format!(
            "{} children whose work takes {takes:?}; times are medians of {}",
            grouped(cli.children),
            counted(rounds as u64, "round")
        ),
        &[
            "case",
            "what the waiter saw",
            "counter",
            "finished",
            "stopped",
            "panicked",
            "err()",
            "cause()",
            "ms",
        ],
    );
    let mut seen = Vec::new();
    for &(case, name) in CASES {
        let round = || {
            let one =
                rt.block_on(rt.spawn(observe(case, cli.children, takes))).map_err(|e| e.to_string())??;
            one.check(case, cli.children).map(|()| one)
        };
        let all: Result<Vec<Seen>, String> = (0..rounds).map(|_| round()).collect();
        let all = all.map_err(|wrong| format!("{name}: {wrong}"))?;
        let ms = median(all.iter().map(|one| one.took.as_secs_f64() * 1_000.0));
        let one = all.into_iter().last().expect("a round");
        let [finished, stopped, panicked] =
            [one.finished, one.stopped, one.panicked].map(|n| grouped(n as u64));
        let (waiter, counter, err, cause) = (one.waiter(), one.counter.clone(), one.err(), one.cause.clone());
        table.row([
            name.to_owned(),
            waiter,
            counter,
            finished,
            stopped,
            panicked,
            err,
            cause,
            format!("{ms:.1}"),
        ]);
        seen.push((case, one));
    }
    table.note("counter: the group's own, after the wait. stopped: the child saw that the context was done, and returned.");

    let mut text = format!("{table}\n");
    claims(&seen, takes).iter().for_each(|claim| text += &format!("{claim}\n"));
    text += "To see in it: where nothing cancels, the others work on beside a child that has panicked, and only the child's\n\
             handle tells of it (in Go the whole process would end). A guard turns the panic into a cancel; so does a\n\
             `task::Group`. A done() that is not reached leaves the counter at 1: no deadline of a context helps a wait that\n\
             has none itself.\n";
    Ok(text)
}

/// Keeps the panics that are meant from printing their messages among the tables. All others print theirs.
fn keep_quiet() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref() != Some(&MEANT) {
            hook(info);
        }
    }));
}

/// What the article says in its section on WaitGroup and Context.
fn claims(seen: &[(Case, Seen)], takes: Duration) -> Vec<Claim> {
    let of = |case: Case| &seen.iter().find(|(one, _)| *one == case).expect("each case was seen").1;
    let done = |case: Case| {
        let one = of(case);
        format!("{}, counter {}, err() {}", one.waiter(), one.counter, one.err())
    };
    let ended = |case: Case| of(case).returned && of(case).counter == "0";
    vec![
        Claim {
            article: "normal end: the counter goes to zero and Wait returns; the context's Done does not fire",
            measured: done(Case::Finish),
            agrees: ended(Case::Finish) && of(Case::Finish).err.is_none(),
        },
        Claim {
            article: "cancelled: wg.Done is called all the same; the context's Done is closed",
            measured: done(Case::Cancel),
            agrees: ended(Case::Cancel) && of(Case::Cancel).err.is_some(),
        },
        Claim {
            article: "after a timeout ctx.Err() is DeadlineExceeded, after a cancel Canceled",
            measured: format!("{} and {}", of(Case::Timeout).err(), of(Case::Cancel).err()),
            agrees: of(Case::Timeout).err == Some(ContextError::DeadlineExceeded)
                && of(Case::Cancel).err == Some(ContextError::Canceled),
        },
        Claim {
            article: "a goroutine panics: defer sees to it that Done is called",
            measured: done(Case::Panic),
            agrees: ended(Case::Panic) && of(Case::Panic).panicked == 1,
        },
        Claim {
            article: "a goroutine panics: the context becomes invalid by itself",
            measured: format!(
                "err() {} with nobody to cancel it, {} with a guard in each child",
                of(Case::Panic).err(),
                of(Case::PanicGuarded).err()
            ),
            agrees: of(Case::Panic).err.is_some(),
        },
        Claim {
            article: "without defer wg.Done() the Wait blocks for ever",
            measured: format!(
                "{takes:?} after all children have ended: {}, counter {}",
                of(Case::PanicByHand).waiter(),
                of(Case::PanicByHand).counter
            ),
            agrees: !of(Case::PanicByHand).returned,
        },
    ]
}

fn main() -> ExitCode {
    ending::end("wait_group_and_context", report(&Cli::parse()))
}
