//! This process's threads and what CPU time they have used, from `/proc/self/task`.
//!
//! The first figure of a thread's `schedstat` is its CPU time in nanoseconds, up to when it last left a core or met the
//! tick: exact for a thread that sleeps, some milliseconds old for one that runs. Threads that have ended are not in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many threads there are.
pub(crate) fn threads() -> usize {
    tasks().count()
}

/// What all of them have used.
pub(crate) fn cpu() -> Duration {
    tasks().map(|task| cpu_of(&task)).sum()
}

/// What the threads have used whose names end so; `None` if there is no such thread.
pub(crate) fn cpu_of_threads_named(end: &str) -> Option<Duration> {
    let named = |task: &PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim_end().ends_with(end))
    };
    tasks().filter(named).map(|task| cpu_of(&task)).reduce(|sum, more| sum + more)
}

/// The folders of the threads. Empty where `/proc` is missing.
fn tasks() -> impl Iterator<Item = PathBuf> {
    fs::read_dir("/proc/self/task").into_iter().flatten().flatten().map(|task| task.path())
}

/// Zero for a thread that has just ended.
fn cpu_of(task: &Path) -> Duration {
    let stat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    let ns = stat.split_ascii_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}
