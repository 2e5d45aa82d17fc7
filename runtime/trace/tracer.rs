//! Starts and ends recordings, and keeps what they gave.
//!
//! Go counterpart: `trace.Start`, `trace.Stop`, `trace.FlightRecorder` (`runtime/trace`).
//!
//! ```text
//!   start ─▶ recording ─ stop ────▶ Trace ─▶ write_chrome, save
//!              │   └──── snapshot ─▶ Trace
//!              └─ full, or the runtime ends: what was recorded waits for `stop`
//! ```
//!
//! Absent: the file that a recording is streamed to (`stream.rs`).

use super::chrome::{self, Recorded};
use super::config::TraceConfig;
use super::merge::unwrap_stamp;
use super::record::site_of;
use super::recorder::{Keep, Plan, Recorder, Session};
use super::recording::{Batch, Closing, LiveTask, Moment, Opening};
use super::stream::{self, Stream};
use crate::names::all_names;
use crate::sched::Shared;
use crate::sys::{membarrier, ticks};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Records what a runtime does; from [`Runtime::trace`](crate::Runtime::trace) or [`Handle::trace`](crate::Handle::trace).
///
/// One recording at a time. It does not hold the tasks up: an event is two stores into a ring of the M's own.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let rt = gmprt::Runtime::builder().procs(2).build()?;
/// rt.trace().start()?;
/// rt.block_on(async { gmprt::spawn(async { gmprt::yield_now().await }).await.unwrap() });
/// let trace = rt.trace().stop()?;
/// let mut json = Vec::new();
/// trace.write_chrome(&mut json)?; // or trace.save("trace.json.gz")
/// assert!(String::from_utf8(json).unwrap().contains("P: processors"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tracer {
    shared: Arc<Shared>,
}

/// Most events in memory: 4 GiB. For more, the tables of the rings alone would be larger than some machines.
const MOST: u64 = 1 << 28;

fn refuse<T>(kind: io::ErrorKind, text: &str) -> io::Result<T> {
    Err(io::Error::new(kind, text))
}

impl Tracer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Starts a recording, as the builder was told, or else one that keeps the first 500 000 events.
    ///
    /// # Errors
    ///
    /// As [`start_with`](Self::start_with).
    pub fn start(&self) -> io::Result<()> {
        self.start_with(self.shared.config.trace.clone().unwrap_or_else(TraceConfig::stop_when_full))
    }

    /// Starts a recording.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`]: a recording is on, `GMPRT_TRACE` started one, or one that ended by itself has not been
    /// taken with [`stop`](Self::stop). [`io::ErrorKind::InvalidInput`]: `config` asks for no events, for more than 2^28 that are not
    /// streamed, or for a flight recorder that is streamed. Otherwise what the system says of the file that it is to be
    /// streamed to, or of the thread that writes it.
    pub fn start_with(&self, config: TraceConfig) -> io::Result<()> {
        if config.events == 0 {
            return refuse(io::ErrorKind::InvalidInput, "a trace must keep at least 1 event, not 0");
        }
        if config.stream.is_none() && config.events > MOST {
            return refuse(
                io::ErrorKind::InvalidInput,
                "a trace in memory keeps at most 2^28 events: stream it",
            );
        }
        if config.flight && config.stream.is_some() {
            return refuse(io::ErrorKind::InvalidInput, "a flight recorder is not streamed: take a snapshot");
        }
        let recorder = &self.shared.recorder;
        match &config.stream {
            Some(_) if recorder.session().is_some() => already_on(recorder), // before a file is made
            Some(path) => Stream::create(path, config.events)?.start(&self.shared, &config),
            None => {
                let keep =
                    if config.flight { Keep::Newest(config.events) } else { Keep::first(config.events) };
                let task_tracks = config.task_tracks;
                let plan = Plan { keep, task_tracks, streamed: false, by_environment: false };
                self.shared.start_recording(plan, None).map_or_else(|| already_on(recorder), |_| Ok(()))
            }
        }
    }

    /// Whether events are being recorded. Not any more, when a recording is full.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared.recorder.is_on()
    }

    /// Ends the recording and returns what it has; one that is streamed has been written to its file when this returns.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`]: there is no recording, or it is that of `GMPRT_TRACE`, which ends with the runtime. If it
    /// is streamed: why it could not be written.
    pub fn stop(&self) -> io::Result<Trace> {
        let newest = self.recording()?.keeps_newest();
        let looked = newest.then(|| self.look()); // before its end
        let Some(session) = self.shared.recorder.stop() else { return none_is_on() };
        if session.is_streamed() {
            return stream::finish(&session).map(|()| Trace::of_stream(&session));
        }
        membarrier::heavy(); // events of before are in their rings
        self.take(&session, looked)
    }

    /// What the recording has now, while it goes on.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`]: there is no recording, or it is that of `GMPRT_TRACE`. [`io::ErrorKind::Unsupported`]: it
    /// is being streamed.
    pub fn snapshot(&self) -> io::Result<Trace> {
        let session = self.recording()?;
        if session.is_streamed() {
            return refuse(
                io::ErrorKind::Unsupported,
                "the trace is being streamed: its file has what there is",
            );
        }
        self.take(&session, None)
    }

    /// The program's own recording.
    fn recording(&self) -> io::Result<Arc<Session>> {
        match self.shared.recorder.session() {
            None => none_is_on(),
            Some(session) if session.is_by_environment() => refuse(
                io::ErrorKind::NotFound,
                "the trace that is being recorded is that of GMPRT_TRACE, and ends with the runtime",
            ),
            Some(session) => Ok(session),
        }
    }

    fn look(&self) -> Looked {
        let at = ticks::now();
        Looked { at, tasks: self.shared.live_tasks() }
    }

    /// `looked`: at the tasks, before the end of a flight recorder that was stopped.
    fn take(&self, session: &Session, looked: Option<Looked>) -> io::Result<Trace> {
        let Some(mut opening) = session.opening().cloned() else {
            return refuse(io::ErrorKind::NotFound, "the trace is just being started");
        };
        let looked = if session.keeps_newest() { Some(looked.unwrap_or_else(|| self.look())) } else { None };
        let mut batch = session.collect(session.ended_at().unwrap_or_else(Moment::now), true);
        if let Some(mut looked) = looked {
            // What was overwritten makes it begin later, and then the tasks must have been looked at later still.
            for _ in 0..RETRIES {
                let early = begin_of(&batch, &opening).is_some_and(|from| looked.at < from.ticks);
                if !early || session.ended_at().is_some() {
                    break;
                }
                looked = self.look();
                batch = session.collect(Moment::now(), true);
            }
            if let Some(from) = begin_of(&batch, &opening) {
                opening.from = from;
                opening.tasks = looked.tasks;
                batch.rings.iter_mut().for_each(|ring| ring.gap = false);
            }
            batch.names.extend(all_names()); // the session has forgotten some
        }
        let closing = closing(session, batch.upto);
        Ok(Trace {
            events: batch.rings.iter().map(|ring| ring.records.len() as u64).sum(),
            dropped: closing.dropped,
            task_tracks: session.task_tracks(),
            kept: Some((opening, batch, closing)),
        })
    }
}

/// How often a flight recorder is read anew that is written over while it is read.
const RETRIES: usize = 5;

/// The tasks, and when they had not yet been looked at.
struct Looked {
    at: u64,
    tasks: Vec<LiveTask>,
}

/// The moment from which on nothing was overwritten; `None`: nothing was.
fn begin_of(batch: &Batch, opening: &Opening) -> Option<Moment> {
    let near = batch.upto.ticks;
    let firsts = batch.rings.iter().filter(|ring| ring.gap).filter_map(|ring| {
        let first = ring.records.iter().find(|record| record.event.is_stamped())?;
        Some(unwrap_stamp(first.stamp, near))
    });
    firsts.max().map(|ticks| Moment::between(opening.from, batch.upto, ticks))
}

/// The end of a recording, at `at`.
pub(super) fn closing(session: &Session, at: Moment) -> Closing {
    let (_, dropped) = session.counts();
    Closing { at, dropped, full: session.is_full() }
}

fn none_is_on<T>() -> io::Result<T> {
    refuse(io::ErrorKind::NotFound, "no trace is being recorded: start it first")
}

pub(super) fn already_on(recorder: &Recorder) -> io::Result<()> {
    let by_environment = recorder.session().is_some_and(|session| session.is_by_environment());
    let text = if by_environment {
        "GMPRT_TRACE has this runtime recorded already: one recording at a time"
    } else {
        "a trace is being recorded: stop it first"
    };
    refuse(io::ErrorKind::AlreadyExists, text)
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}

/// What was recorded.
#[derive(Clone)]
pub struct Trace {
    events: u64,
    dropped: u64,
    task_tracks: usize,
    /// Unless it was streamed.
    kept: Option<(Opening, Batch, Closing)>,
}

impl Trace {
    fn of_stream(session: &Session) -> Self {
        let (events, dropped) = session.counts();
        Self { events, dropped, task_tracks: session.task_tracks(), kept: None }
    }

    /// How many events there are: records of the scheduler, not lines of the exported file.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many events were lost because there was no room for them. What a flight recorder has overwritten does not count.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Writes it as Chrome JSON, which Chrome tracing and Perfetto load.
    ///
    /// # Errors
    ///
    /// Those of the writer; and [`io::ErrorKind::Unsupported`] if the trace was streamed to a file, which then has it.
    pub fn write_chrome(&self, mut out: impl Write) -> io::Result<()> {
        let Some((opening, batch, closing)) = &self.kept else {
            return refuse(io::ErrorKind::Unsupported, "the trace was streamed: its file has it");
        };
        let recorded = Recorded {
            opening: opening.clone(),
            batches: vec![batch.clone()],
            closing: closing.clone(),
            task_tracks: self.task_tracks,
        };
        chrome::write_file(&mut out, vec![recorded], site_of).map(|_summary| ())
    }

    /// Writes it to a file, as [`write_chrome`](Self::write_chrome) does; `.gz` at the end of the name: compressed.
    ///
    /// # Errors
    ///
    /// As `write_chrome`, and those of the file.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        if self.kept.is_none() {
            return self.write_chrome(io::sink()); // before a file is made
        }
        let mut file = BufWriter::new(File::create(path)?);
        if path.extension().is_some_and(|extension| extension == "gz") {
            let mut gz = GzEncoder::new(&mut file, Compression::fast());
            self.write_chrome(&mut gz)?;
            gz.finish()?;
        } else {
            self.write_chrome(&mut file)?;
        }
        file.flush()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, dropped, .. } = self;
        f.debug_struct("Trace").field("events", events).field("dropped", dropped).finish_non_exhaustive()
    }
}
