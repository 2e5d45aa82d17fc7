//! A recording that is written out while it goes on, by a thread of its own.
//!
//! Go counterpart: `traceReader`, and the goroutine in `trace.Start` that writes what it reads.
//!
//! ```text
//!   every 100 ms: collect ─▶ Exporter ─▶ Sink ─▶ flush      at the end: what is left, and the closing
//! ```
//!
//! J1. What is exported in one round is what was stamped before the round before began: by then it is in its ring, but for what
//!     a thread that the kernel has stopped in between keeps; that comes late, and is clamped.
//! J2. An error of the file is said once, on stderr, and told to whoever stops a recording that goes there. It ends these
//!     recordings; the tasks notice nothing. That the limit is reached is said once, too.
//! J3. At the end of each recording the file is finished. Others that go on make it go on (`sink.rs`, K6).
//!
//! Absent: a second file when the first is full.

use super::chrome::EventSink;
use super::config::TraceConfig;
use super::record::site_of;
use super::recorder::{Keep, Plan, Session};
use super::recording::{Moment, Opening};
use super::ring::Budget;
use super::sink::Sink;
use super::timeline::Exporter;
use super::tracer::{already_on, closing};
use crate::sched::Shared;
use crate::sys::membarrier;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

/// How often what was recorded is written.
const EVERY: Duration = Duration::from_millis(100);

/// Most records of one M that wait to be written: 8 MiB.
const WAITING: u64 = 1 << 19;

impl EventSink for Sink {
    fn event(&mut self, json: &[u8]) {
        Sink::event(self, json);
    }
}

/// Where recordings are streamed to.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) sink: Arc<Mutex<Sink>>,
    pub(super) budget: Arc<Budget>,
    /// How many records it holds in all, and what sets that.
    pub(super) limit: (u64, &'static str),
    /// The environment's: from when on the times of all its recordings count. `None`: a program's own, from its start.
    pub(super) origin: Option<Moment>,
    pub(super) base_pid: u32,
    /// That the limit is reached.
    pub(super) said: Arc<Once>,
}

impl Stream {
    /// One recording, in a file of its own.
    pub(super) fn create(path: &Path, events: u64) -> io::Result<Self> {
        Ok(Self {
            sink: Arc::new(Mutex::new(Sink::create(path)?)),
            budget: Arc::new(Budget::new(events)),
            limit: (events, "TraceConfig::events"),
            origin: None,
            base_pid: 0,
            said: Arc::new(Once::new()),
        })
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a recording that is written there.
    pub(super) fn start(self, shared: &Arc<Shared>, config: &TraceConfig) -> io::Result<()> {
        let keep = Keep::All(Arc::clone(&self.budget), self.limit.0.min(WAITING));
        let by_environment = self.origin.is_some();
        let plan = Plan { keep, task_tracks: config.task_tracks, streamed: true, by_environment };
        let Some((session, opening)) = shared.start_recording(plan, self.origin) else {
            return already_on(&shared.recorder);
        };
        let (writer, own) = (Arc::clone(shared), Arc::clone(&session));
        let name = format!("{}-trace", shared.config.thread_name);
        let thread = thread::Builder::new().name(name).spawn(move || self.write(&writer, &own, opening));
        match thread {
            Ok(thread) => session.set_writer(thread),
            Err(error) => {
                drop(shared.recorder.stop());
                return Err(error);
            }
        }
        Ok(())
    }

    fn write(self, shared: &Shared, session: &Session, opening: Opening) -> io::Result<()> {
        let mut upto = opening.from;
        let mut exporter = Exporter::new(opening, self.base_pid, session.task_tracks(), site_of);
        let mut failed = None;
        loop {
            let ended = session.wait_for_end(EVERY);
            let now = Moment::now();
            if ended {
                break;
            }
            let batch = session.collect(upto, false);
            upto = now; // J1
            let mut sink = self.sink();
            exporter.feed(batch, &mut *sink);
            if let Err(error) = sink.flush() {
                failed = Some(error);
            }
            if sink.failed() {
                shared.recorder.abandon(session);
                break;
            }
        }
        membarrier::heavy(); // events of before are in their rings
        let at = session.ended_at().unwrap_or_else(Moment::now);
        let closing = closing(session, at);
        let dropped = closing.dropped;
        let batch = session.collect(at, false);
        let mut sink = self.sink();
        exporter.feed(batch, &mut *sink);
        let summary = exporter.finish(closing, &mut *sink);
        let error = sink.finish().err().or(failed);
        let path = sink.path().display();
        if let Some(error) = error {
            let lost = sink.lost();
            say(&format!("{error}; {lost} lines of it are lost, and the recording has ended"));
            return Err(error);
        }
        if sink.failed() {
            // Another runtime's thread has said so.
            return Err(io::Error::other(format!("the trace {path} could not be written")));
        }
        if summary.full {
            let (limit, what) = self.limit;
            self.said
                .call_once(|| say(&format!("{path} ends after {limit} events; {what} sets another limit")));
        } else if dropped > 0 {
            say(&format!("{dropped} events were lost: they came faster than {path} could be written"));
        }
        Ok(())
    }
}

/// On stderr, and past its lock: a thread that has that may be in `exit`, and wait there until the trace is written.
fn say(what: &str) {
    // A closed stderr is no reason to panic here.
    if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
        let _ = File::from(stderr).write_all(format!("gmprt: trace: {what}\n").as_bytes());
    }
}

/// Waits until what a session has is written.
pub(super) fn finish(session: &Session) -> io::Result<()> {
    let Some(writer) = session.take_writer() else { return Ok(()) };
    writer.join().unwrap_or_else(|_| Err(io::Error::other("the thread that wrote the trace panicked")))
}

/// The runtime has ended: so does its recording, if that is streamed. What went wrong has been said.
pub(crate) fn end(shared: &Shared) {
    let streamed = shared.recorder.session().is_some_and(|session| session.is_streamed());
    if streamed && let Some(session) = shared.recorder.stop() {
        let _ = finish(&session);
    }
}
