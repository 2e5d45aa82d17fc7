//! A task spawns another and goes on computing for 5 ms without a yield, while the other Ps are idle: how long the second
//! waits for its first poll, and what CPU time it costs to find it.
//!
//! The second task lies in the `runnext` of the first one's P (tokio: in its worker's LIFO slot), which is for what
//! runs as soon as the poll ends. Here the poll does not end.

use std::hint::spin_loop;
use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::report::{Report, Sorted, Table, progress, time};
use crate::runtimes::{Gmprt, Runtime, Tokio};
use crate::{Extent, proc};

const COMPUTES: Duration = Duration::from_millis(5);

/// For how long the runtime is idle before each spawn, and how many spawns there are in a round.
const PAUSES: [(Duration, usize); 2] = [(Duration::from_millis(2), 16), (Duration::from_millis(40), 4)];

pub(crate) fn measure(extent: &Extent, report: &mut Report) -> io::Result<()> {
    let on: [(&str, Measure); 3] =
        [("gmprt", round::<Gmprt>), ("tokio", round::<Tokio>), ("a thread", round_of_threads)];
    let mut rows = Vec::new();
    for (pause, spawns) in PAUSES {
        let case = format!("{} ms idle before", pause.as_millis());
        let mut found = [const { (Vec::new(), Vec::new()) }; 3];
        for at in 0..extent.rounds {
            progress(&format!("runnext: {case}: round {} of {}", at + 1, extent.rounds));
            for turn in 0..3 {
                let who = (at + turn) % 3;
                let (late, cpu) = on[who].1(extent.procs, pause, spawns);
                found[who].0.extend(late);
                found[who].1.push(cpu);
            }
        }
        for ((runtime, _), (late, cpu)) in on.into_iter().zip(found) {
            report.samples(["runnext", &case, runtime, "late_ns"], late.iter().copied())?;
            report.samples(["runnext", &case, runtime, "cpu_ns_per_spawn"], cpu.iter().copied())?;
            let (count, late, cpu) = (late.len(), Sorted::new(late), Sorted::new(cpu));
            let late = [late.quantile(0.5), late.quantile(0.99), late.worst(1)].map(time);
            let cells = [
                vec![case.clone(), runtime.into(), count.to_string()],
                late.into(),
                vec![time(cpu.median())],
            ];
            rows.push(cells.concat());
        }
    }
    let columns = vec!["case", "runtime", "spawns", "p50", "p99", "worst", "CPU a spawn"];
    let notes = vec![
        "p50 to worst: from the spawn to the first poll of the task that was spawned".into(),
        "a thread: what the machine itself takes, for a std thread that is woken by one that goes on".into(),
        "CPU a spawn: of the whole process, 5 ms of it the first task's own; median of the rounds".into(),
    ];
    let title = "runnext: a task spawned by a poll that goes on for 5 ms, other Ps idle".into();
    report.print(&Table { title, columns, rows, notes })
}

/// Ps, pause, and spawns.
type Measure = fn(usize, Duration, usize) -> Round;

/// How late each spawned task began, and the CPU time for each, in nanoseconds.
type Round = (Vec<f64>, f64);

fn round<R: Runtime>(procs: usize, pause: Duration, spawns: usize) -> Round {
    let rt = R::start(procs);
    rounds(pause, spawns, || once(&rt))
}

/// The floor: a thread that waits in a channel, and no runtime.
fn round_of_threads(_procs: usize, pause: Duration, spawns: usize) -> Round {
    let (begin, begins) = mpsc::channel::<Instant>();
    let (late, lates) = mpsc::channel();
    let waiter = thread::spawn(move || begins.iter().all(|begun| late.send(begun.elapsed()).is_ok()));
    let round = rounds(pause, spawns, || {
        let begun = Instant::now();
        begin.send(begun).expect("the thread waits");
        compute_since(begun);
        lates.recv().expect("the thread has answered")
    });
    drop(begin);
    waiter.join().expect("the thread ends");
    round
}

fn rounds(pause: Duration, spawns: usize, once: impl Fn() -> Duration) -> Round {
    once();
    let mut late = Vec::with_capacity(spawns);
    let before = proc::cpu();
    for _ in 0..spawns {
        thread::sleep(pause);
        late.push(once().as_nanos() as f64);
    }
    thread::sleep(pause); // what looks for work in vain has ended too
    let used = proc::cpu() - before;
    (late, used.as_nanos() as f64 / spawns as f64)
}

/// How late the second task began; both have ended.
fn once<R: Runtime>(rt: &R) -> Duration {
    let (end, ended) = mpsc::channel();
    rt.spawn(async move {
        let spawned = Instant::now();
        let late = end.clone();
        R::go(async move {
            let _ = late.send(spawned.elapsed());
        });
        compute_since(spawned);
        drop(end);
    });
    let late = ended.recv().expect("the second task says when it began");
    assert!(ended.recv().is_err(), "it says so once, and the first task ends");
    late
}

fn compute_since(begin: Instant) {
    while begin.elapsed() < COMPUTES {
        spin_loop();
    }
}
