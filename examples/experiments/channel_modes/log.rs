//! What happened to a channel, in order: who called what, whether the call had to wait, and what it returned.

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::table::Table;

/// One line of what happened.
struct Line {
    at: Duration,
    who: &'static str,
    call: String,
    /// What came of it: "waits", or what it returned.
    came: String,
}

/// What happened to one channel, in order, whoever did it.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) start: Instant,
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Log {
    pub(crate) fn new() -> Log {
        Log { start: Instant::now(), lines: Arc::default() }
    }

    pub(crate) fn note(&self, who: &'static str, call: &str, came: String) {
        let line = Line { at: self.start.elapsed(), who, call: call.to_owned(), came };
        self.lines.lock().expect("no holder panics").push(line);
    }

    /// Polls `future` once, says what that gave, and awaits it if it gave nothing.
    pub(crate) async fn call<T: Debug>(
        &self,
        who: &'static str,
        call: &str,
        future: impl Future<Output = T>,
    ) -> T {
        let mut future = pin!(future);
        if let Poll::Ready(value) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            self.note(who, call, format!("{value:?} at once"));
            return value;
        }
        self.note(who, call, "waits".to_owned());
        let waits = Instant::now();
        let value = future.await;
        self.note(who, call, format!("{value:?} after {}", ms(waits.elapsed())));
        value
    }

    /// Which line it is that says of `call` what begins with `came`.
    pub(crate) fn find(&self, call: &str, came: &str) -> Option<usize> {
        let lines = self.lines.lock().expect("no holder panics");
        lines.iter().position(|line| line.call == call && line.came.starts_with(came))
    }

    /// What came of `call` in the end.
    pub(crate) fn came(&self, call: &str) -> String {
        let lines = self.lines.lock().expect("no holder panics");
        lines.iter().rfind(|line| line.call == call).map_or("nothing".to_owned(), |line| line.came.clone())
    }

    pub(crate) fn rows(&self, mode: &str, table: &mut Table) {
        for (i, line) in self.lines.lock().expect("no holder panics").iter().enumerate() {
            let mode = if i == 0 { mode } else { "" };
            table.row([mode, &ms(line.at), line.who, &line.call, &line.came]);
        }
    }
}

fn ms(d: Duration) -> String {
    format!("{:.1} ms", d.as_secs_f64() * 1_000.0)
}
