//! An idle runtime uses no CPU: its threads sleep, and nothing wakes them.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Gate, Signal, threads_named, watch};
use gmprt::Runtime;
use std::collections::BTreeMap;
use std::future::pending;
use std::thread;
use std::time::Duration;

const NAME: &str = "idlewatch";

/// How often each of our threads was switched out, of its own will or not; `None` if one of them is not asleep.
///
/// A thread that sleeps is not switched at all: the kernel counts a switch when it leaves a core.
fn switches() -> Option<BTreeMap<u32, u64>> {
    let of_thread = |id: u32| {
        let status = std::fs::read_to_string(format!("/proc/self/task/{id}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let asleep = field("State:")?.starts_with('S');
        let count = |name| field(name)?.parse::<u64>().ok();
        let sum = count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?;
        asleep.then_some((id, sum))
    };
    threads_named(NAME).into_iter().map(of_thread).collect()
}

fn is_idle(rt: &Runtime) -> bool {
    let metrics = rt.metrics();
    metrics.idle_threads == metrics.threads
        && metrics.idle_processors == metrics.processors.len()
        && metrics.spinning == 0
}

#[test]
fn the_threads_of_an_idle_runtime_are_never_woken() {
    let _watch = watch();
    let long = std::env::var_os("GMPRT_LONG").is_some();
    let runtimes: Vec<Runtime> = [1, 2, 4, 64]
        .map(|procs| {
            // A thread beyond `procs` wakes once more, to end; not while we look.
            let builder = Runtime::builder().procs(procs).thread_keep_alive(Duration::from_secs(3600));
            builder.thread_name(NAME).build().unwrap()
        })
        .into_iter()
        .collect();
    for rt in &runtimes {
        // Work enough that other Ms are started; and tasks that wait.
        let work: Vec<_> = (0..500)
            .map(|_| {
                rt.spawn(async {
                    for _ in 0..20 {
                        gmprt::spawn(gmprt::yield_now()).await.unwrap();
                    }
                })
            })
            .collect();
        work.into_iter().for_each(|task| rt.block_on(task).unwrap());
        (0..100).for_each(|_| drop(rt.spawn(pending::<()>())));
    }
    let (signal, polled) = (Signal::default(), Gate::default());
    thread::scope(|scope| {
        // A caller of block_on that waits sleeps too.
        let waiting = thread::Builder::new().name(format!("{NAME}-caller"));
        let future = async {
            polled.open();
            signal.wait().await;
        };
        waiting.spawn_scoped(scope, || runtimes[0].block_on(future)).unwrap();
        polled.wait();
        let before = loop {
            // Its P is idle again: what is left for the caller to do is to sleep. And sysmon looks less and less often,
            // until it sleeps without end: 10 ms are its longest sleep before.
            let rounds = || runtimes.iter().map(|rt| rt.metrics().sysmon_rounds).sum::<u64>();
            let looked = rounds();
            thread::sleep(Duration::from_millis(50)); // sleep: five times the longest that sysmon sleeps while it looks
            if runtimes.iter().all(is_idle)
                && looked == rounds()
                && let Some(switches) = switches()
            {
                break switches;
            }
        };
        let ms: usize = runtimes.iter().map(|rt| rt.metrics().threads).sum();
        let threads = before.len();
        thread::sleep(Duration::from_secs(if long { 10 } else { 2 })); // sleep: being idle is what is tested
        let after = switches();
        signal.set(); // before a failure could leave its thread waiting
        assert_eq!(threads, ms + runtimes.len() + 1, "each M was looked at, each sysmon, and the caller");
        assert_eq!(after, Some(before), "wakeups in an idle runtime");
    });
    for rt in &runtimes {
        assert_eq!(rt.block_on(rt.spawn(async { 7 })).unwrap(), 7, "and they can be woken");
    }
}
