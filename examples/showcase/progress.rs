//! The progress line on stderr. On a terminal one line that is written over; elsewhere a whole line for each
//! stage and one every five seconds, so that a log stays readable.
//!
//! A thread of its own writes it, a few times a second, from a counter that the collector stores to every 4096 items:
//! nothing of it lies on the measured path.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) struct Progress {
    news: Sender<News>,
    /// Items collected so far in this run.
    counter: Arc<AtomicU64>,
    writer: JoinHandle<()>,
}

enum News {
    Stage(String),
    /// What runs now, and how many items it has.
    Step(String, u64),
}

impl Progress {
    pub(crate) fn start() -> Progress {
        let (news, inbox) = mpsc::channel();
        let counter = Arc::new(AtomicU64::new(0));
        let seen = counter.clone();
        let writer = thread::spawn(move || write_until_finished(&inbox, &seen));
        Progress { news, counter, writer }
    }

    /// Says what the next steps belong to.
    pub(crate) fn stage(&self, what: String) {
        // The writer lives as long as `self`: the send cannot fail.
        let _ = self.news.send(News::Stage(what));
    }

    /// Says which run begins now, and of how many items.
    pub(crate) fn step(&self, what: String, items: u64) {
        let _ = self.news.send(News::Step(what, items));
    }

    /// Where the collector says how far it is.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        self.counter.clone()
    }

    /// Wipes the line; to be called before anything else is printed.
    pub(crate) fn finish(self) {
        drop(self.news);
        let _ = self.writer.join();
    }
}

fn write_until_finished(inbox: &Receiver<News>, seen: &AtomicU64) {
    let terminal = stderr().is_terminal();
    let every = if terminal { Duration::from_millis(100) } else { Duration::from_secs(5) };
    let (mut stage, mut step, mut items) = (String::new(), String::new(), 0);
    let mut due = Instant::now() + every;
    loop {
        // A closed stderr must not end the run: the results of the writes are dropped.
        match inbox.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(News::Stage(what)) => {
                stage = what;
                if !terminal {
                    let _ = writeln!(stderr(), "{stage}");
                }
            }
            Ok(News::Step(what, of)) => (step, items) = (what, of),
            Err(RecvTimeoutError::Timeout) => {
                // Ordering: Relaxed; a figure for the eye.
                let percent = seen.load(Ordering::Relaxed).min(items) * 100 / items.max(1);
                let (before, after) = if terminal { ("\r\x1b[K", "") } else { ("", "\n") };
                let _ = write!(stderr(), "{before}{stage}, {step}: {percent} %{after}");
                due = Instant::now() + every;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if terminal {
        let _ = write!(stderr(), "\r\x1b[K");
    }
}
