//! A program that is stuck says where: `cargo run --example dump`.
//!
//! Two tasks take two locks in opposite order, so each has what the other waits for. A third waits for what they would
//! send, a fourth blocks its thread in its poll. What to watch for: the two that wait for locks, and the lines they were
//! spawned on; and that the dump comes although a poll does not return.
//!
//! A program that is stuck while nobody expects it prints the same on SIGQUIT, if it was built with `dump_on_sigquit`.

use gmprt::dump::TaskState;
use gmprt::sync::{Barrier, Mutex};
use gmprt::{Runtime, chan, task};
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;

fn main() -> io::Result<()> {
    let rt = Runtime::builder().procs(2).dump_on_sigquit(true).build()?;
    let handle = rt.handle();
    let named = |name| task::Builder::new().name(name);
    let (left, right) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let (both, (sums, results)) = (Arc::new(Barrier::new(2)), chan::bounded(1));

    for (name, first, second) in [("left first", &left, &right), ("right first", &right, &left)] {
        let (first, second, both, sums) = (first.clone(), second.clone(), both.clone(), sums.clone());
        named(name).spawn_on(&handle, async move {
            let first = first.lock().await;
            both.wait().await; // now each has one
            let sum = *first + *second.lock().await;
            sums.send(sum).await
        });
    }
    named("reader").spawn_on(&handle, async move { results.recv().await });
    let (release, released) = mpsc::channel::<()>();
    let blocked = named("blocked").spawn_on(&handle, async move { released.recv() });

    // Three wait and one is in its poll: nothing will happen any more.
    let stuck = loop {
        let dump = rt.dump();
        let waiting = dump.tasks().iter().filter(|task| task.state() == TaskState::Waiting).count();
        if waiting == 3 && dump.tasks().iter().any(|task| task.machine().is_some()) {
            break dump;
        }
        thread::yield_now();
    };
    print!("{stuck}");

    drop(release);
    let _ = rt.block_on(blocked);
    Ok(())
}
