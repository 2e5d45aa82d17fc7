//! The progress line on stderr. On a terminal one line that is written over; elsewhere a whole line for each
//! stage and one every five seconds, so that a log stays readable.
//!
//! A thread of this process writes it; the runs have processes of their own.

use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) struct Progress {
    news: Sender<News>,
    writer: JoinHandle<()>,
}

enum News {
    Stage(String),
    /// What runs now, and how long it should take.
    Step(String, Duration),
}

impl Progress {
    /// `planned` is what all steps together should take.
    pub(crate) fn start(planned: Duration) -> Progress {
        let (news, inbox) = mpsc::channel();
        let writer = thread::spawn(move || write_until_finished(&inbox, planned));
        Progress { news, writer }
    }

    /// Says what the next steps belong to.
    pub(crate) fn stage(&self, what: String) {
        // The writer lives as long as `self`: the send cannot fail.
        let _ = self.news.send(News::Stage(what));
    }

    /// Says which run begins now, and how long it should take.
    pub(crate) fn step(&self, what: String, planned: Duration) {
        let _ = self.news.send(News::Step(what, planned));
    }

    /// Wipes the line; to be called before anything else is printed.
    pub(crate) fn finish(self) {
        drop(self.news);
        let _ = self.writer.join();
    }
}

/// How far all steps are.
struct Way {
    planned: Duration,
    done: Duration,
    step: Duration,
    began: Instant,
}

impl Way {
    fn percent(&self) -> f64 {
        let now = self.done + self.began.elapsed().min(self.step);
        (100.0 * now.as_secs_f64() / self.planned.as_secs_f64().max(1e-9)).min(100.0)
    }
}

fn write_until_finished(inbox: &Receiver<News>, planned: Duration) {
    let terminal = stderr().is_terminal();
    let every = if terminal { Duration::from_millis(100) } else { Duration::from_secs(5) };
    let (mut stage, mut step) = (String::new(), String::new());
    let mut way = Way { planned, done: Duration::ZERO, step: Duration::ZERO, began: Instant::now() };
    let mut due = Instant::now() + every;
    loop {
        // A closed stderr must not end the run: the results of the writes are dropped.
        match inbox.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(News::Stage(what)) => {
                (stage, step) = (what, String::new());
                if !terminal {
                    let _ = writeln!(stderr(), "{stage}");
                }
            }
            Ok(News::Step(what, takes)) => {
                let done = way.done + way.step;
                (step, way) = (what, Way { planned, done, step: takes, began: Instant::now() });
            }
            Err(RecvTimeoutError::Timeout) => {
                // Without wrapping: what is too long for the terminal is cut off, for `\r` goes back one row only.
                let (before, after) = if terminal { ("\r\x1b[K\x1b[?7l", "\x1b[?7h") } else { ("", "\n") };
                let comma = if step.is_empty() { "" } else { ", " };
                let _ = write!(stderr(), "{before}{:3.0} %  {stage}{comma}{step}{after}", way.percent());
                due = Instant::now() + every;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if terminal {
        let _ = write!(stderr(), "\r\x1b[K");
    }
}
