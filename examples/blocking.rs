//! A task that blocks its thread holds up no other: the same program on gmprt and on tokio, on the same number of threads
//! that run tasks.
//!
//! Watch for: the gaps in tokio's line. One task wants to tick every 5 ms; two others for each worker call
//! `std::thread::sleep` in their polls, and tell nobody. On gmprt a blocked M loses its P to another M within a
//! millisecond or so, and the ticks go on; tokio's workers sleep, and the tick sleeps with them until one returns.

use std::thread;
use std::time::{Duration, Instant};

const WORKERS: usize = 4;
const TICK: Duration = Duration::from_millis(5);
const BLOCK: Duration = Duration::from_millis(100);

/// What a column of the picture stands for, and how many there are.
const COLUMN: Duration = Duration::from_millis(10);
const COLUMNS: usize = 80;

/// The program, in the words of either runtime: when it ticked, counted from its start.
macro_rules! program {
    ($spawn:path, $sleep:path, $yield_now:path) => {
        async {
            let start = Instant::now();
            let over = move || start.elapsed() >= COLUMN * COLUMNS as u32;
            let ticker = $spawn(async move {
                let mut ticks = vec![Duration::ZERO];
                while !over() {
                    $sleep(TICK).await;
                    ticks.push(start.elapsed());
                }
                ticks
            });
            for _ in 0..2 * WORKERS {
                drop($spawn(async move {
                    while !over() {
                        thread::sleep(BLOCK); // a call that a library makes, say
                        $yield_now().await;
                    }
                }));
            }
            ticker.await.expect("the ticker ends")
        }
    };
}

fn main() -> std::io::Result<()> {
    println!("{WORKERS} workers, {} tasks that block their threads for {BLOCK:?} at a time,", 2 * WORKERS);
    println!("and one that wants to tick every {TICK:?}. A column is {COLUMN:?}: a dot where it ticked.\n");

    let rt = gmprt::Runtime::builder().procs(WORKERS).build()?;
    let gmprt = rt.block_on(program!(gmprt::spawn, gmprt::time::sleep, gmprt::yield_now));
    drop(rt);
    println!("gmprt |{}|", drawn(&gmprt));

    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_time().build()?;
    let tokio = rt.block_on(program!(tokio::spawn, tokio::time::sleep, tokio::task::yield_now));
    drop(rt);
    println!("tokio |{}|", drawn(&tokio));

    let [gmprt, tokio] = [gmprt, tokio].map(|ticks| longest_gap(&ticks).as_millis());
    println!("\nThe longest wait for a tick was {gmprt} ms on gmprt and {tokio} ms on tokio.");
    Ok(())
}

fn drawn(ticks: &[Duration]) -> String {
    let ticked = |column: usize| {
        let from = COLUMN * column as u32;
        ticks.iter().any(|tick| (from..from + COLUMN).contains(tick))
    };
    (0..COLUMNS).map(|column| if ticked(column) { '.' } else { ' ' }).collect()
}

fn longest_gap(ticks: &[Duration]) -> Duration {
    ticks.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}
