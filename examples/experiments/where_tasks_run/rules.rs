//! The two rules by which a task gets away from the P where it was spawned: a full queue spills, and a thief takes half.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use gmprt::Handle;

use crate::claim::Claim;
use crate::figures::{counted, grouped};
use crate::table::Table;
use crate::watch::{LIMIT, Scene, What, locked, start, watch, words};

/// More than a P's queue holds, which is 256 and the one to run next; few enough to overflow it once.
const OVERFULL: usize = 300;
/// Half a queue: what a full one gives away, beside the task that did not fit.
const SPILL: usize = 128;
/// Fits into a P's queue.
const STOLEN_FROM: usize = 200;

/// The rule of the full queue, seen from the order in which one P runs what one task has spawned.
pub(crate) fn overflow(rounds: usize, text: &mut String) -> Result<(), String> {
    let mut orders: Vec<(Vec<usize>, usize)> = Vec::new();
    let (mut counts, mut oldest_first) = (None, 0);
    for _ in 0..rounds {
        let seen = watch(1, OVERFULL, Scene::Compute(Duration::ZERO))?;
        let order = seen.order(What::Begins);
        let spilled = order.iter().filter(|&&task| task < SPILL || task == 2 * SPILL);
        oldest_first += usize::from(spilled.is_sorted());
        match orders.iter_mut().find(|(known, _)| *known == order) {
            Some((_, times)) => *times += 1,
            None => orders.push((order, 1)),
        }
        counts = Some((seen.total(|p| p.overflows), seen.total(|p| p.injector_takes)));
    }
    orders.sort_by_key(|&(_, times)| Reverse(times));
    let (spills, from_injector) = counts.expect("a round");
    let spilled = from_injector.saturating_sub(1); // the spawner came that way, too

    let title = format!("{OVERFULL} tasks on one P, spawned by one task: the order in which they began");
    let mut table = Table::new(title, &["rounds", "order"]);
    for (order, times) in orders.iter().take(3) {
        table.row([times.to_string(), runs(order)]);
    }
    let half = Claim {
        article: "a new goroutine goes to its P's local queue, at most 256; when that is full a half goes to the global queue",
        measured: format!(
            "{}; of {OVERFULL} tasks {spilled} came out of the injector",
            counted(spills, "spill")
        ),
        agrees: spills == 1 && spilled == SPILL as u64 + 1, // half a queue, and the one that did not fit
    };
    let random = Claim {
        article: "what the local queue cannot hold is put at random on the global queue",
        measured: format!(
            "in {oldest_first} of {rounds} rounds it came back oldest first; {} took the same order throughout",
            orders[0].1
        ),
        agrees: oldest_first < rounds && orders[0].1 < rounds,
    };
    *text += &format!("{table}\n{half}\n{random}\n");
    *text += "To see in it: G0 to G127, the older half of the full queue, and G256, which found it full, wait in the injector.\n\
              The P looks there at every 61st task, and takes the rest when its own queue is empty.\n\n";
    Ok(())
}

/// One P is kept busy until the other has filled its queue; then it steals, and the other only watches. Returns how many
/// it took each time.
fn watch_steals() -> Result<Vec<u64>, String> {
    let rt = start(2)?;
    let phase = Arc::new(AtomicU8::new(0)); // 1: the thief's P is occupied; 2: the victim's queue is filled
    // Ordering: Acquire here, and Release where it is set: what was done before a phase is seen in it. The queues have
    // an order of their own; without this one the figures read at a phase could be older than it.
    let is = |wanted: u8, phase: &AtomicU8| phase.load(Ordering::Acquire) == wanted;
    let totals = |handle: &Handle| {
        let now = handle.metrics().processors;
        (now.iter().map(|p| p.steals).sum::<u64>(), now.iter().map(|p| p.stolen).sum::<u64>())
    };
    let seen = Arc::new(Mutex::new(Vec::with_capacity(STOLEN_FROM + 1)));

    let victim = {
        let (phase, seen, handle) = (phase.clone(), seen.clone(), rt.handle());
        rt.spawn(async move {
            spin_until(|| is(1, &phase));
            locked(&seen).push(totals(&handle));
            for _ in 0..STOLEN_FROM {
                let (seen, handle) = (seen.clone(), handle.clone());
                drop(gmprt::spawn(async move { locked(&seen).push(totals(&handle)) }));
            }
            // Ordering: Release; pairs with the load above.
            phase.store(2, Ordering::Release);
            spin_until(|| locked(&seen).len() == 1 + STOLEN_FROM)
        })
    };
    drop(rt.spawn(async move {
        // Ordering: Release; pairs with the load above.
        phase.store(1, Ordering::Release);
        spin_until(|| is(2, &phase));
    }));
    let all = rt.block_on(victim).map_err(|e| format!("the task that is stolen from: {e}"))?;
    drop(rt);
    if !all {
        return Err(format!("of {STOLEN_FROM} tasks to be stolen {} ran", locked(&seen).len() - 1));
    }
    let mut seen = std::mem::take(&mut *locked(&seen));
    seen.sort_unstable();
    seen.dedup_by_key(|(steals, _)| *steals);
    Ok(seen.windows(2).map(|pair| pair[1].1 - pair[0].1).collect())
}

/// The rule of the thief, seen from the sizes of its hauls.
pub(crate) fn steals(text: &mut String) -> Result<(), String> {
    let taken = watch_steals()?;
    let mut waiting = STOLEN_FROM as u64 - 1; // the last one spawned waits beside the queue, as the one to run next
    let mut table = Table::new(
        format!("A P with {STOLEN_FROM} tasks whose M is busy, and a P that has nothing to do"),
        &["steal", "in the queue", "taken"],
    );
    let mut halves = true;
    for (i, &n) in taken.iter().enumerate() {
        table.row([i as u64 + 1, waiting, n].map(grouped));
        halves &= n == waiting.div_ceil(2) || waiting == 0;
        waiting = waiting.saturating_sub(n);
    }
    let claim = Claim {
        article: "an M without work steals a half of what another P has",
        measured: format!("it took, one time after the other, {} of {STOLEN_FROM}", words(taken.iter())),
        agrees: halves,
    };
    *text += &format!("{table}\n{claim}\n");
    *text += "To see in it: half, rounded up, each time; then, from the empty queue, the one that was to run next. So a queue of\n\
              n tasks is shared out in about log2(n) steals, and a thief that comes back so often has a victim that is busy.\n";
    Ok(())
}

/// Keeps the P: a thread that slept in its poll would lose it. Lets other threads have the core, should there be one only.
fn spin_until(is_so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > LIMIT {
            return false;
        }
        thread::yield_now();
    }
    true
}

/// `9 0 1 2 3` as `G9, G0…3`; the beginning of it, where it is in shreds.
fn runs(tasks: &[usize]) -> String {
    let one = |run: &[usize]| match run {
        [only] => format!("G{only}"),
        _ => format!("G{}…{}", run[0], run[run.len() - 1]),
    };
    let runs: Vec<String> = tasks.chunk_by(|a, b| a + 1 == *b).map(one).collect();
    if runs.len() <= 12 { runs.join(", ") } else { format!("{}, and so on", runs[..12].join(", ")) }
}
