//! The batched log: thousands of producers send lines, one writer takes them into a batch, and appends it to a file.
//!
//! Timed is each producer's every 61st `send`: what logging costs the program. That is mostly the wait for a place in the
//! channel, for producers send as fast as they can. The file is written by `spawn_blocking`, which holds up no task but the
//! writer; meanwhile the channel fills.

mod appender;
mod check;
mod gmprt;
mod tokio;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::child::{Deadline, Over, Started};
use crate::figures::grouped;
use crate::spec::{Outcome, Spec};
use crate::tally::Shards;

use appender::Appender;
use check::{Claim, check, checksum};

/// Lines that the channel holds.
const CAPACITY: usize = 1_000;

/// Room for a line. `format!` would take 90 bytes for each of them, and thousands are under way.
const LINE: usize = 56;

/// How long a line stays in the batch at most, the disk permitting.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// A batch with so many bytes is not waited with, so that memory does not follow the throughput: of 3 million lines a second
/// 17 MB would gather in 100 ms. So many are appended in a fraction of a millisecond, which the channel bridges, and are still
/// thousands of lines for one hand-over to a thread and one system call.
const FULL: usize = 256 << 10;

/// Every such line of a producer is timed; not the same ones of all, which would come in bursts.
const TIMED_EVERY: u64 = 61;

/// Makes lines, and notes what became of them.
struct Producer {
    id: u32,
    over: Over,
    /// Lines made, each of which was sent before the next; the last one maybe not.
    made: u64,
    sent: u64,
    sent_sum: u64,
    /// The checksum of the line under way, and when it set out, if it is timed.
    checksum: u64,
    since: Option<Instant>,
    times: Shards,
    all: Arc<Sent>,
}

/// What all producers sent.
#[derive(Default)]
struct Sent {
    lines: AtomicU64,
    sum: AtomicU64,
}

impl Producer {
    /// The next line to send, while there is time.
    fn line(&mut self) -> Option<String> {
        if self.over.is_over() {
            // Ordering: Relaxed, both; read once the channel is closed, which this task's end helps to do, and which orders it.
            self.all.lines.fetch_add(self.sent, Ordering::Relaxed);
            self.all.sum.fetch_add(self.sent_sum, Ordering::Relaxed);
            return None;
        }
        self.made += 1;
        let mut line = String::with_capacity(LINE);
        write!(line, "{} {} answered GET /v1/orders with 200 OK in 1.2 ms", self.id, self.made).unwrap();
        self.checksum = checksum(line.as_bytes());
        self.since = (self.made + u64::from(self.id)).is_multiple_of(TIMED_EVERY).then(Instant::now);
        Some(line)
    }

    /// The channel has taken that line.
    fn sent(&mut self) {
        self.sent += 1;
        self.sent_sum = self.sent_sum.wrapping_add(self.checksum);
        if let Some(since) = self.since {
            self.times.record(self.id, since.elapsed());
        }
    }
}

/// The writer's half: the batch, and where it goes.
struct Log {
    batch: Vec<u8>,
    appender: Appender,
    taken: u64,
    /// Whether lines may still come.
    open: bool,
}

impl Log {
    /// Takes up to a channel's worth of lines; none means that the channel is closed, and empty. Whether to flush now.
    fn take(&mut self, lines: impl Iterator<Item = String>) -> bool {
        self.open = false;
        for line in lines.take(CAPACITY) {
            self.batch.extend_from_slice(line.as_bytes());
            self.batch.push(b'\n');
            self.taken += 1;
            self.open = true;
        }
        self.batch.len() >= FULL || !self.open
    }

    /// Blocks until the batch is appended.
    fn flush(mut self) -> Log {
        self.appender.append(&mut self.batch);
        self
    }

    /// Lines that are not in the file. For after the last flush: what that leaves in the batch is the rest of a torn line.
    fn unwritten(&self) -> u64 {
        self.appender.lost + u64::from(!self.batch.is_empty())
    }

    /// What went wrong, if anything did.
    fn failure(&self, path: &Path, sent: u64) -> Option<String> {
        if self.taken != sent {
            return Some(format!("{} lines were sent, but {} taken", grouped(sent), grouped(self.taken)));
        }
        let (doing, error) = self.appender.error.as_ref()?;
        let (unwritten, taken) = (grouped(self.unwritten()), grouped(self.taken));
        Some(format!("cannot {doing} {}: {error}: {unwritten} of {taken} lines unwritten", path.display()))
    }
}

/// Opens and empties the file, or ends the process; what is returned runs once on either runtime.
pub(crate) fn prepare(
    spec: &Spec,
    producers: u32,
    file: PathBuf,
    fsync: bool,
) -> impl FnOnce(&Started) -> Outcome {
    let appender = Appender::open(&file, fsync).unwrap_or_else(|e| {
        let _ = writeln!(io::stderr(), "showcase: cannot open {}: {e}", file.display());
        std::process::exit(1)
    });
    let batch = Vec::with_capacity(FULL + CAPACITY * (LINE + 1)); // a full one, and what `take` may add; not touched yet
    let log = Log { batch, appender, taken: 0, open: true };
    let (deadline, times, all) = (Deadline::new(spec.seconds), Shards::new(), Arc::new(Sent::default()));
    let producers: Vec<Producer> = (0..producers)
        .map(|id| Producer {
            id,
            over: deadline.over(),
            made: 0,
            sent: 0,
            sent_sum: 0,
            checksum: 0,
            since: None,
            times: times.clone(),
            all: all.clone(),
        })
        .collect();
    move |started| {
        deadline.begin();
        let (log, seconds) = match started {
            Started::Gmprt(rt) => rt.run(gmprt::log(producers, log)),
            Started::Tokio(rt) => rt.run(tokio::log(producers, log)),
        };
        // Ordering: Relaxed, both, as in `Producer::line`.
        let (sent, sent_sum) = (all.lines.load(Ordering::Relaxed), all.sum.load(Ordering::Relaxed));
        let counts = [
            ("sent", sent),
            ("sent_sum", sent_sum),
            ("written", log.taken - log.unwritten()),
            ("unwritten", log.unwritten()),
            ("bytes", log.appender.bytes),
            ("flushes", log.appender.flushes),
        ];
        Outcome {
            seconds,
            operations: log.taken,
            latencies: times.recorded(),
            counts: counts.map(|(name, count)| (name.to_string(), count)).into(),
            failure: log.failure(&file, sent),
        }
    }
}

/// Reads the file of a run back, on whichever runtime it was, and holds it against the run's counts. An error is one
/// sentence. What is no regular file, `/dev/full` say, cannot be read back.
pub(crate) fn account(file: &Path, counts: &BTreeMap<String, u64>) -> Result<(), String> {
    let count = |name| counts.get(name).copied().ok_or_else(|| format!("the run did not count \"{name}\""));
    let claim = Claim {
        written: count("written")?,
        bytes: count("bytes")?,
        unwritten: count("unwritten")?,
        sent_sum: count("sent_sum")?,
    };
    if file.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(());
    }
    check(file, &claim).map(drop)
}
