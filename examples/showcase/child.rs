//! A process that does one run: the other end of the talk that `spec.rs` draws.

use std::future::Future;
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::spec::{Job, Outcome, Runtime, Spec};
use crate::{fan, log, token};

/// Does the run that `spec` describes. Exit code 1 if it could not be talked about; how it went, the outcome says.
pub(crate) fn main(spec: &str) -> ExitCode {
    match serde_json::from_str::<Spec>(spec).map_err(io::Error::from).and_then(|spec| talk(&spec)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "showcase: a run failed: {e}");
            ExitCode::from(1)
        }
    }
}

fn talk(spec: &Spec) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let run: Box<dyn FnOnce(&Started) -> Outcome> = match spec.job.clone() {
        Job::Token { clients, rate } => Box::new(token::prepare(spec, clients, rate)),
        Job::Fan { workers, producers, items } => Box::new(fan::prepare(spec, workers, producers, items)),
        Job::Log { producers, file, fsync } => Box::new(log::prepare(spec, producers, file, fsync)),
    };
    writeln!(output, "ready")?;
    output.flush()?;
    if io::stdin().lock().read_line(&mut String::new())? == 0 {
        return Ok(()); // the showcase has gone away
    }
    end_with_input();
    let started = Started::new(spec)?;
    let outcome = run(&started);
    writeln!(output, "done")?;
    output.flush()?;
    serde_json::to_writer(&mut output, &outcome)?;
    writeln!(output)?;
    output.flush()?;
    loop {
        thread::park(); // until the input ends; the runtime still stands
    }
}

/// Ends this process once its input ends, be it before the run is over.
fn end_with_input() {
    thread::spawn(|| {
        let _ = io::stdin().lock().read(&mut [0]);
        std::process::exit(0);
    });
}

/// A runtime with as many threads for tasks as the run asks for.
pub(crate) enum Started {
    Gmprt(Gmprt),
    Tokio(Tokio),
}

pub(crate) struct Gmprt(gmprt::Runtime);
pub(crate) struct Tokio(tokio::runtime::Runtime);

impl Started {
    fn new(spec: &Spec) -> io::Result<Started> {
        match spec.runtime {
            Runtime::Gmprt => Ok(Started::Gmprt(Gmprt(gmprt::Runtime::builder().procs(spec.procs).build()?))),
            Runtime::Tokio => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                Ok(Started::Tokio(Tokio(builder.worker_threads(spec.procs).enable_time().build()?)))
            }
            Runtime::Go => Err(io::Error::other("Go runs in the programs under examples/go/")),
        }
    }
}

impl Gmprt {
    /// Runs `main` as a task, and tells how many seconds it took. As a task, not in `block_on` itself: that polls on the
    /// calling thread, which on both runtimes costs a thread switch for each wakeup.
    pub(crate) fn run<T: Send + 'static>(&self, main: impl Future<Output = T> + Send + 'static) -> (T, f64) {
        let start = Instant::now();
        let value = self.0.block_on(self.0.spawn(main)).expect("the main task ends well");
        (value, start.elapsed().as_secs_f64())
    }
}

impl Tokio {
    /// As [`Gmprt::run`].
    pub(crate) fn run<T: Send + 'static>(&self, main: impl Future<Output = T> + Send + 'static) -> (T, f64) {
        let start = Instant::now();
        let value = self.0.block_on(self.0.spawn(main)).expect("the main task ends well");
        (value, start.elapsed().as_secs_f64())
    }
}

/// Tells all who make requests, items or lines when to end. A thread of its own watches the time, started beforehand,
/// so that neither runtime's timers do.
pub(crate) struct Deadline {
    over: Over,
    begin: Sender<()>,
}

/// Whether the time is over.
#[derive(Clone)]
pub(crate) struct Over(Arc<AtomicBool>);

impl Deadline {
    pub(crate) fn new(seconds: f64) -> Deadline {
        let over = Over(Arc::default());
        let (begin, begun) = mpsc::channel();
        let flag = over.0.clone();
        thread::spawn(move || {
            if begun.recv().is_ok() {
                thread::sleep(Duration::from_secs_f64(seconds));
                // Ordering: Relaxed; whoever looks may as well see it an item later.
                flag.store(true, Ordering::Relaxed);
            }
        });
        Deadline { over, begin }
    }

    pub(crate) fn over(&self) -> Over {
        self.over.clone()
    }

    /// The time runs from now.
    pub(crate) fn begin(&self) {
        let _ = self.begin.send(()); // the thread waits for it
    }
}

impl Over {
    pub(crate) fn is_over(&self) -> bool {
        // Ordering: Relaxed, as the store.
        self.0.load(Ordering::Relaxed)
    }
}
