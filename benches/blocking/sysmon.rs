//! How much of a core sysmon uses, in four ways to load a runtime; beside it the CPU time of the whole process on gmprt
//! and on tokio, which has no such thread.
//!
//! Most of it is what the kernel takes for a short sleep: over 20 µs on the virtual machine where this was first run.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::channel; // knows only wakers: the same on both runtimes

use crate::report::{Report, Table, progress};
use crate::runtimes::{Gmprt, OnBoth, Runtime, Tokio};
use crate::{Extent, proc};

/// Before it is measured.
const WARM_UP: Duration = Duration::from_millis(300);

type Load = (&'static str, OnBoth<fn(usize, Duration) -> Used>);

const LOADS: [Load; 4] = [
    ("4 x P tasks of 20 µs", [("gmprt", saturated::<Gmprt>), ("tokio", saturated::<Tokio>)]),
    ("a ping-pong pair", [("gmprt", ping_pong::<Gmprt>), ("tokio", ping_pong::<Tokio>)]),
    ("nothing to do", [("gmprt", idle::<Gmprt>), ("tokio", idle::<Tokio>)]),
    ("a task that sleeps 1 ms", [("gmprt", sleeper::<Gmprt>), ("tokio", sleeper::<Tokio>)]),
];

pub(crate) fn measure(extent: &Extent, report: &mut Report) -> io::Result<()> {
    let mut rows = Vec::new();
    for (at, (load, on)) in LOADS.iter().enumerate() {
        let mut pair = [const { Vec::new() }; 2];
        for turn in 0..2 {
            let who = (at + turn) % 2;
            let (runtime, start) = on[who];
            progress(&format!("sysmon: {load} on {runtime}"));
            let used = start(extent.procs, extent.sysmon);
            report
                .samples(["sysmon", load, runtime, "sysmon_share"], used.sysmon.map(|share| share * 1e6))?;
            report.samples(["sysmon", load, runtime, "process_share"], [used.process * 1e6])?;
            let per_second = |n: Option<f64>| n.map_or("-".into(), |n| format!("{n:.0}"));
            let percent = |share: f64| format!("{:.2} %", share * 100.0);
            let sysmon = used.sysmon.map_or("-".into(), percent);
            let (looks, taken) = (per_second(used.looks), per_second(used.taken));
            pair[who] = vec![(*load).into(), runtime.into(), sysmon, looks, taken, percent(used.process)];
        }
        rows.extend(pair);
    }
    let columns = vec!["load", "runtime", "sysmon", "looks/s", "Ps taken/s", "whole process"];
    let seconds = extent.sysmon.as_secs_f64();
    let notes = vec![format!(
        "shares of one core over {seconds} s, by the kernel's clocks of the threads; raw: parts per million"
    )];
    report.print(&Table { title: "sysmon: CPU time of the watching thread".into(), columns, rows, notes })
}

/// Shares of one core, and counts a second.
struct Used {
    process: f64,
    sysmon: Option<f64>,
    looks: Option<f64>,
    taken: Option<f64>,
}

/// Looks at the runtime for a while.
fn watch<R: Runtime>(rt: &R, period: Duration) -> Used {
    let look = || {
        let counts = rt.counts();
        let taken = counts.as_ref().map(|c| c.retakes + c.retakes_declared + c.retakes_hogs);
        let sysmon = proc::cpu_of_threads_named("-sysmon");
        (Instant::now(), proc::cpu(), sysmon, counts.map(|c| c.sysmon_rounds), taken)
    };
    thread::sleep(WARM_UP.min(period));
    let (began, process, sysmon, looks, taken) = look();
    thread::sleep(period);
    let after = look();
    let seconds = (after.0 - began).as_secs_f64();
    let share = |before: Duration, after: Duration| (after - before).as_secs_f64() / seconds;
    let rate = |before: Option<u64>, after: Option<u64>| Some((after? - before?) as f64 / seconds);
    Used {
        process: share(process, after.1),
        sysmon: sysmon.zip(after.2).map(|(before, after)| share(before, after)),
        looks: rate(looks, after.3),
        taken: rate(taken, after.4),
    }
}

/// Ends its tasks when the measurement is over: they ask at each step.
struct On(Arc<AtomicBool>);

impl On {
    fn new() -> On {
        On(Arc::new(AtomicBool::new(true)))
    }

    fn tasks<R: Runtime, F>(&self, rt: &R, n: usize, task: impl Fn(Arc<AtomicBool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        for _ in 0..n {
            rt.spawn(task(self.0.clone()));
        }
    }
}

impl Drop for On {
    fn drop(&mut self) {
        self.0.store(false, Relaxed); // Ordering: Relaxed; nothing but the value.
    }
}

fn saturated<R: Runtime>(procs: usize, period: Duration) -> Used {
    let rt = R::start(procs);
    let on = On::new();
    on.tasks(&rt, 4 * procs, |on| async move {
        while on.load(Relaxed) {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_micros(20) {
                std::hint::spin_loop();
            }
            R::yield_now().await;
        }
    });
    watch(&rt, period)
}

fn ping_pong<R: Runtime>(procs: usize, period: Duration) -> Used {
    let rt = R::start(procs);
    let (ping, mut pinged) = channel(1);
    let (pong, mut ponged) = channel(1);
    rt.spawn(async move { while pinged.recv().await.is_some() && pong.send(()).await.is_ok() {} });
    let on = On::new();
    let goes_on = on.0.clone();
    rt.spawn(async move {
        while goes_on.load(Relaxed) && ping.send(()).await.is_ok() && ponged.recv().await.is_some() {}
    });
    watch(&rt, period)
}

fn idle<R: Runtime>(procs: usize, period: Duration) -> Used {
    let rt = R::start(procs);
    rt.run(async {});
    watch(&rt, period)
}

fn sleeper<R: Runtime>(procs: usize, period: Duration) -> Used {
    let rt = R::start(procs);
    let on = On::new();
    on.tasks(&rt, 1, |on| async move {
        while on.load(Relaxed) {
            R::sleep_until(Instant::now() + Duration::from_millis(1)).await;
        }
    });
    watch(&rt, period)
}
