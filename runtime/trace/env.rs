//! `GMPRT_TRACE`: records a program that does not know of it.
//!
//! Go counterpart: none; `GODEBUG` has no such switch, and `go test -trace` is the test binary's.
//!
//! ```text
//!   first runtime: the file is made, its times begin    each runtime: a recording, pids + 10    all: one limit of events
//!   the process ends by itself: the recordings of those that have not ended are finished
//! ```
//!
//! A process whose environment another handed down may not write that one's file: it is told so, and is not traced. `%p` in
//! the name gives each process a file of its own.
//!
//! Absent: a last runtime. Which it was is known only when the process has ended; the file is whole before.

use super::config::{FIRST, TraceConfig};
use super::recording::Moment;
use super::ring::Budget;
use super::sink::Sink;
use super::stream::{self, Stream};
use crate::sched::Shared;
use crate::sys::exit::when_the_process_ends;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError, Weak};

const FILE: &str = "GMPRT_TRACE";
const LIMIT: &str = "GMPRT_TRACE_EVENTS";

/// Starts a recording of the runtime, if the environment asks for one. What is wrong with that is said on stderr, and the
/// program goes on untraced.
pub(crate) fn start(shared: &Arc<Shared>) {
    static STREAM: OnceLock<Option<Stream>> = OnceLock::new();
    static RUNTIMES: AtomicU32 = AtomicU32::new(0);
    let stream = STREAM.get_or_init(|| complain(open(env::var_os(FILE)?, env::var_os(LIMIT)), "process"));
    let Some(stream) = stream.as_ref().filter(|stream| !stream.budget.is_used_up()) else { return };
    // Ordering: Relaxed; the numbers need only differ.
    let runtime = RUNTIMES.fetch_add(1, Relaxed);
    let stream = Stream { base_pid: runtime.saturating_mul(10), ..stream.clone() };
    // Each has half as many tracks of tasks as the one before: a viewer's patience is for the whole file.
    let config = TraceConfig::stop_when_full();
    let tracks = config.task_tracks.checked_shr(runtime).unwrap_or(0);
    let started = stream.start(shared, &config.task_tracks(tracks));
    if complain(started.map_err(|error| error.to_string()), "runtime").is_some() {
        let mut recorded = recorded();
        recorded.retain(|runtime| runtime.strong_count() > 0);
        recorded.push(Arc::downgrade(shared));
        drop(recorded);
        when_the_process_ends(finish_all);
    }
}

/// The runtimes that are recorded because the environment asks for it.
fn recorded() -> MutexGuard<'static, Vec<Weak<Shared>>> {
    static RECORDED: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());
    RECORDED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finishes the recordings of runtimes that go on while the process ends: that of a static, of a thread that is not
/// joined, or of a program that calls `exit`.
fn finish_all() {
    let recorded = std::mem::take(&mut *recorded());
    recorded.iter().filter_map(Weak::upgrade).for_each(|shared| stream::end(&shared));
}

fn complain<T>(outcome: Result<T, String>, who: &str) -> Option<T> {
    outcome
        .map_err(|what| {
            // A closed stderr is no reason to panic here.
            let _ = writeln!(io::stderr(), "gmprt: {FILE}: {what}; this {who} is not traced");
        })
        .ok()
}

fn open(path: OsString, limit: Option<OsString>) -> Result<Stream, String> {
    if path.is_empty() {
        return Err("the name of a file is expected".into());
    }
    let limit = match limit {
        None => FIRST,
        Some(limit) => parse(&limit)
            .ok_or_else(|| format!("{LIMIT} must be a number from 1, not {}", limit.to_string_lossy()))?,
    };
    let sink = Sink::create(&PathBuf::from(path)).map_err(|error| error.to_string())?;
    Ok(Stream {
        sink: Arc::new(Mutex::new(sink)),
        budget: Arc::new(Budget::new(limit)),
        limit: (limit, LIMIT),
        origin: Some(Moment::now()),
        base_pid: 0,
        said: Arc::new(Once::new()),
    })
}

fn parse(limit: &OsString) -> Option<u64> {
    limit.to_str()?.parse().ok().filter(|&limit| limit > 0)
}
