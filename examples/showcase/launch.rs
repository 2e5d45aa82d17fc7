//! Starts a process for one run, watches its memory, and hears how it went: this end of the talk that `spec.rs` draws.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::memory::private_bytes;
use crate::spec::{Job, Outcome, Runtime, Spec};

/// How often a run's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a run may take beyond its time: to start, to hand on what is under way, to list its figures.
const GRACE: Duration = Duration::from_secs(60);

/// Names the file that gmprt writes a trace to. Runs on gmprt inherit it, each with a file of its own.
pub(crate) const TRACE: &str = "GMPRT_TRACE";

/// What a run told, and what was seen of it.
pub(crate) struct Measured {
    pub(crate) outcome: Outcome,
    /// How much private memory grew from before the runtime's start, in bytes: seconds since then, growth.
    pub(crate) memory: Vec<(f64, u64)>,
}

impl Measured {
    /// The most that it grew.
    pub(crate) fn growth(&self) -> u64 {
        self.memory.iter().map(|&(_, bytes)| bytes).max().unwrap_or(0)
    }
}

/// Runs `spec` in a process of its own; Go's programs lie in the folder `go`. An error is one sentence.
pub(crate) fn launch(spec: &Spec, go: Option<&Path>) -> Result<Measured, String> {
    let limit = Duration::from_secs_f64(spec.seconds) + GRACE + by_items(&spec.job);
    let mut run = Run::start(spec, go)?;
    run.hear("ready", limit, |_| ())?;
    let pid = run.child.id();
    let before = private_bytes(pid);
    let start = Instant::now();
    let mut memory = vec![(0.0, 0)];
    let look = |at: Instant| {
        memory.push(((at - start).as_secs_f64(), private_bytes(pid).saturating_sub(before)));
    };
    run.go()?;
    run.hear("done", limit, look)?; // what it takes to list the figures is not the run's
    let told = run.line(limit, |_| ())?;
    let outcome = serde_json::from_str(&told)
        .map_err(|e| format!("a run on {} told something that cannot be read: {e}", spec.runtime.name()))?;
    run.end()?;
    Ok(Measured { outcome, memory })
}

/// How long a given number of items may take at most: a hundredth of what any runtime does here.
fn by_items(job: &Job) -> Duration {
    match job {
        Job::Fan { items, .. } => Duration::from_micros(items * 20),
        _ => Duration::ZERO,
    }
}

/// A run's process. Dropped before its end, it is killed: no run outlives the showcase's interest in it.
struct Run {
    child: Child,
    lines: Receiver<String>,
    name: &'static str,
}

impl Run {
    fn start(spec: &Spec, go: Option<&Path>) -> Result<Run, String> {
        let name = spec.runtime.name();
        let words = serde_json::to_string(spec).map_err(|e| format!("cannot describe a run: {e}"))?;
        let mut command = match spec.runtime {
            Runtime::Go => {
                let folder = go.ok_or("Go's programs have not been built")?;
                let mut go = Command::new(folder.join(spec.job.tag()));
                // As Go runs by itself, whatever it is told elsewhere.
                go.env_remove("GOGC").env_remove("GOMEMLIMIT").env_remove("GODEBUG");
                go
            }
            _ => {
                let mut this = Command::new(this_program()?);
                this.arg("--child");
                this
            }
        };
        if let Some(path) = env::var_os(TRACE) {
            match spec.runtime {
                Runtime::Gmprt => command.env(TRACE, trace_of(&spec.job, Path::new(&path))),
                Runtime::Tokio | Runtime::Go => command.env_remove(TRACE),
            };
        }
        command.arg(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("cannot start a run on {name}: {e}"))?;
        let lines = listen(child.stdout.take().expect("it is piped"));
        Ok(Run { child, lines, name })
    }

    /// Waits for the next line; calls `look` now and then meanwhile.
    fn line(&mut self, limit: Duration, mut look: impl FnMut(Instant)) -> Result<String, String> {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(LOOK_EVERY) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Timeout) if Instant::now() < end => look(Instant::now()),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("a run on {} did not end within {limit:.0?}", self.name));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().map_or_else(|e| e.to_string(), |s| s.to_string());
                    return Err(format!("a run on {} ended early: {status}", self.name));
                }
            }
        }
    }

    /// Waits for a certain line.
    fn hear(&mut self, word: &str, limit: Duration, look: impl FnMut(Instant)) -> Result<(), String> {
        let line = self.line(limit, look)?;
        if line == word {
            return Ok(());
        }
        Err(format!("a run on {} said \"{line}\", not \"{word}\"", self.name))
    }

    fn go(&mut self) -> Result<(), String> {
        let input = self.child.stdin.as_mut().expect("it is piped");
        writeln!(input, "go").map_err(|e| format!("cannot talk to a run on {}: {e}", self.name))
    }

    /// Lets it end, and waits for that.
    fn end(mut self) -> Result<(), String> {
        drop(self.child.stdin.take());
        self.child.wait().map(drop).map_err(|e| format!("cannot wait for a run on {}: {e}", self.name))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may have ended: then both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn this_program() -> Result<PathBuf, String> {
    env::current_exe().map_err(|e| format!("cannot find this program to start it again: {e}"))
}

/// Where a run of `job` writes its trace if they go to `path`: `trace.json.gz` becomes `trace.fan-w4-p1.json.gz`. A later
/// round writes over it.
fn trace_of(job: &Job, path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (stem, end) = match name.split_once('.') {
        Some((stem, end)) => (stem, format!(".{end}")),
        None => (&*name, String::new()),
    };
    path.with_file_name(format!("{stem}.{}{end}", job.slug()))
}

/// Reads lines on a thread of its own, so that waiting for one can have a limit.
fn listen(output: ChildStdout) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
