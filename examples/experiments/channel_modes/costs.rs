//! What a message costs in each mode.

use std::time::{Duration, Instant};

use gmprt::chan::{self, Sender};
use gmprt::time::timeout;
use gmprt::{Runtime, select, spawn};

use crate::figures::{grouped, median};
use crate::table::Table;

/// What takes longer than this never ends.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A way to pass messages, and how many slots its channel has.
#[derive(Clone, Copy)]
enum Mode {
    Tasks { slots: usize },
    TryCalls,
    SelectDefault,
    DefaultTaken,
    Timeout,
}

const MODES: &[(&str, Mode)] = &[
    ("send and recv, two tasks, no slot", Mode::Tasks { slots: 0 }),
    ("send and recv, two tasks, 1 slot", Mode::Tasks { slots: 1 }),
    ("send and recv, two tasks, 100 slots", Mode::Tasks { slots: 100 }),
    ("try_send and try_recv in one task, 1 slot", Mode::TryCalls),
    ("try_send and select! with default, 1 slot, value there", Mode::SelectDefault),
    ("select! with default alone, 1 slot, nothing there", Mode::DefaultTaken),
    ("timeout(send) and recv, two tasks, no slot", Mode::Timeout),
];

impl Mode {
    /// Passes `n` messages; gives back their sum.
    async fn pass(self, n: u64) -> u64 {
        let slots = match self {
            Mode::Tasks { slots } => slots,
            Mode::TryCalls | Mode::SelectDefault | Mode::DefaultTaken => 1,
            Mode::Timeout => 0,
        };
        let (tx, rx) = chan::bounded::<u64>(slots);
        let mut sum = 0;
        match self {
            Mode::Tasks { .. } | Mode::Timeout => {
                drop(spawn(send_all(tx, n, matches!(self, Mode::Timeout))));
                while let Ok(value) = rx.recv().await {
                    sum += value;
                }
            }
            Mode::TryCalls => {
                for value in 1..=n {
                    sum += tx.try_send(value).map_or(0, |()| rx.try_recv().unwrap_or(0));
                }
            }
            Mode::SelectDefault | Mode::DefaultTaken => {
                for value in 1..=n {
                    if matches!(self, Mode::SelectDefault) {
                        let _ = tx.try_send(value); // if it were full the sum would be short
                    }
                    sum += select! {
                        Ok(got) = rx.recv() => got,
                        default => if matches!(self, Mode::DefaultTaken) { value } else { 0 },
                    };
                }
            }
        }
        sum
    }
}

/// Stops where the receiver is gone or a message takes too long: then the sum is short.
async fn send_all(tx: Sender<u64>, n: u64, limited: bool) {
    for value in 1..=n {
        let sent = match limited {
            true => timeout(LIMIT, tx.send(value)).await.is_ok_and(|sent| sent.is_ok()),
            false => tx.send(value).await.is_ok(),
        };
        if !sent {
            return;
        }
    }
}

pub(crate) fn costs(n: u64, rounds: usize) -> Result<Table, String> {
    let title = format!("ns per message, {} messages, medians of {rounds} rounds", grouped(n));
    let mut table = Table::new(title, &["", "1 P", "least", "most", "2 Ps", "least", "most"]);
    let runtimes = [start(1)?, start(2)?];
    for &(name, mode) in MODES {
        let mut row = vec![name.to_owned()];
        for rt in &runtimes {
            let mut took = Vec::new();
            for _ in 0..rounds {
                let begun = Instant::now();
                let sum = rt.block_on(rt.spawn(mode.pass(n))).map_err(|e| e.to_string())?;
                took.push(begun.elapsed().as_nanos() as f64 / n as f64);
                if sum != n * (n + 1) / 2 {
                    return Err(format!("{name}: of 1 to {n} the sum is {sum}"));
                }
            }
            took.sort_by(f64::total_cmp);
            row.extend(
                [median(took.iter().copied()), took[0], took[rounds - 1]].map(|ns| format!("{ns:.0}")),
            );
        }
        table.row(row);
    }
    table.note("Two figures nearer to each other than their least and most are one figure.");
    Ok(table)
}

pub(crate) fn start(procs: usize) -> Result<Runtime, String> {
    Runtime::builder().procs(procs).build().map_err(|e| format!("cannot start a runtime: {e}"))
}
