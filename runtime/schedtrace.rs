//! `GMPRT_SCHEDTRACE`: a line now and then about each runtime's scheduler, as Go prints it.
//!
//! Go counterpart: `GODEBUG=schedtrace=1000,scheddetail=1`, and the end of `sysmon`'s round (`proc.go`), where Go prints it.
//!
//! ```text
//!   build ─▶ thread: ┌─▶ my turn to print, stderr takes it? ─▶ look ─▶ print ─▶ sleep until the next tick ─┐
//!                    └────────────────────────────────◀────────────────────────────────────────────────────┘
//!   drop of the Runtime: told to end, out of any of these waits, and joined
//! ```
//!
//! H1. The first line comes at once, as Go's, and then one each period, counted from the first. A tick that is missed is
//!     left out.
//! H2. *Whole lines.* One runtime prints at a time, in pieces that end with a line. A piece goes out in one write; up to
//!     4096 bytes a pipe takes that as one, so that lines of several processes do not mix either.
//! H3. *Nobody waits for a reader.* A write is begun only when stderr takes it: while a pipe is full, the thread waits
//!     beside it, and can be ended. The look at the scheduler comes after that wait.
//! H4. *The end of a runtime waits for no writer.* A write that blocks all the same (others filled the pipe in between, a
//!     terminal is stopped, the program keeps std's lock of stderr) is waited for as long as [`PATIENCE`]. Then the
//!     thread is left to itself, and ends after that write.
//! H5. The thread is no M, runs no user code, and does not keep the scheduler alive: it holds a `Weak` but during a look.
//!
//! Absent: which runtime a line is of. Go's format has no room for it. What tells them apart is `gomaxprocs`, the time, which
//! is each runtime's own, and in the detailed form the numbers of Ms and Gs, which differ in the whole process.

mod line;

use crate::sched::Shared;
use crate::sys::affinity::{Tid, process_mask};
use crate::sys::clock::{self, Nanos, nanos};
use crate::sys::parker::Parker;
use crate::sys::thread::{Stderr, stderr_now};
use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, OnceLock, TryLockError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const PERIOD: &str = "GMPRT_SCHEDTRACE";
const DETAIL: &str = "GMPRT_SCHEDDETAIL";

/// How much a pipe takes whole: `PIPE_BUF` of Linux.
const PIECE: usize = 4096;

/// How long it waits before it asks again whether it may print. A reader is rarely that slow.
const AGAIN: Duration = Duration::from_millis(5);

/// How long a runtime's end waits for a write (H4). All else that the thread does takes microseconds, or milliseconds for many
/// tasks.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the environment asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    period: Duration,
    detailed: bool,
}

/// A runtime's thread that prints; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct SchedTrace {
    end: Arc<End>,
    thread: Option<JoinHandle<()>>,
}

/// How the thread is told to end, and how it tells that it has.
#[derive(Debug, Default)]
struct End {
    asked: Parker,
    done: Parker,
}

/// Tells it when this is dropped, in a panic too.
struct Done(Arc<End>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.done.unpark();
    }
}

impl SchedTrace {
    /// Starts the thread, if the environment asks for it. What is wrong with that is said on stderr, and nothing is printed.
    pub(crate) fn start(shared: &Arc<Shared>) -> Option<Self> {
        static ASKED: OnceLock<Option<Asked>> = OnceLock::new();
        let asked = ASKED.get_or_init(|| {
            let (period, detail) = (env::var_os(PERIOD)?, env::var_os(DETAIL));
            complain(read(&period, detail.as_deref()), "process").flatten()
        });
        let asked = (*asked)?;
        let end = Arc::new(End::default());
        let printer = Printer { shared: Arc::downgrade(shared), end: Arc::clone(&end), asked };
        let name = format!("{}-schedtrace", shared.config.thread_name);
        let thread = thread::Builder::new().name(name).spawn(move || printer.run());
        let thread = complain(thread.map_err(|error| format!("{PERIOD}: {error}")), "runtime")?;
        Some(Self { end, thread: Some(thread) })
    }
}

impl Drop for SchedTrace {
    fn drop(&mut self) {
        self.end.asked.unpark();
        self.end.done.adopt();
        if self.end.done.park_until(clock::now() + nanos(PATIENCE))
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join(); // its panic has been printed; nothing depends on it
        }
    }
}

fn complain<T>(outcome: Result<T, String>, who: &str) -> Option<T> {
    outcome
        .map_err(|what| {
            // A closed stderr is no reason to panic here.
            let _ = writeln!(io::stderr(), "gmprt: {what}; this {who} prints no scheduler trace");
        })
        .ok()
}

/// What these values ask for; `None`: nothing. Go takes 0 as not asked for, too, and has room for 31 bits.
fn read(period: &OsStr, detail: Option<&OsStr>) -> Result<Option<Asked>, String> {
    let number = |name, value: &OsStr| {
        let number = value.to_str().and_then(|text| text.parse::<u32>().ok());
        number.filter(|&number| number <= i32::MAX as u32).ok_or_else(|| {
            let what = if name == PERIOD { "a number of milliseconds" } else { "0 or 1" };
            format!("{name} must be {what}, not {value:?}")
        })
    };
    let period = number(PERIOD, period)?;
    let detailed = detail.map_or(Ok(0), |detail| number(DETAIL, detail))? > 0;
    Ok((period > 0).then(|| Asked { period: Duration::from_millis(period.into()), detailed }))
}

/// The thread at work. What may be ended while it waits gives `None` then.
struct Printer {
    shared: Weak<Shared>,
    end: Arc<End>,
    asked: Asked,
}

impl Printer {
    fn run(self) {
        self.end.asked.adopt();
        let _done = Done(Arc::clone(&self.end));
        if let Some(mask) = &process_mask().mask {
            mask.give_to(Tid::current()); // whoever built the runtime may be pinned
        }
        let (begun, period) = (clock::now(), nanos(self.asked.period));
        while self.print().is_some() {
            if self.end.asked.park_until(next_tick(begun, period, clock::now())) {
                return;
            }
        }
    }

    /// One line, or one block.
    fn print(&self) -> Option<()> {
        static PRINTING: Mutex<()> = Mutex::new(());
        let _turn = self.wait_for(|| match PRINTING.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        })?;
        if self.stderr()? == Stderr::Gone {
            return Some(());
        }
        let text = self.look()?;
        for piece in pieces(&text) {
            // Nobody reads, or an error: the rest of a block is no use without its beginning.
            if self.stderr()? == Stderr::Gone || io::stderr().write_all(piece.as_bytes()).is_err() {
                break;
            }
        }
        Some(())
    }

    /// What is to be printed now; `None`: the scheduler is gone.
    fn look(&self) -> Option<String> {
        let shared = self.shared.upgrade()?;
        Some(if self.asked.detailed {
            line::detailed(&shared.look(), &shared.look_at_machines(), &shared.look_at_tasks())
        } else {
            line::short(&shared.look())
        })
    }

    /// Waits until stderr takes a piece, or is gone (H3).
    fn stderr(&self) -> Option<Stderr> {
        self.wait_for(|| Some(stderr_now()).filter(|&state| state != Stderr::Full))
    }

    /// Asks until there is an answer; `None`: it is to end, and there is none yet.
    fn wait_for<T>(&self, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            if let Some(answer) = ask() {
                return Some(answer);
            }
            if self.end.asked.park_until(clock::now() + nanos(AGAIN)) {
                return None;
            }
        }
    }
}

/// The first tick after `now` (H1).
fn next_tick(begun: Nanos, period: Nanos, now: Nanos) -> Nanos {
    begun + ((now - begun) / period + 1) * period
}

/// The text cut at ends of lines, into pieces that a pipe takes whole. A line longer than that is a piece by itself (H2).
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut end = 0;
        for line in rest.split_inclusive('\n') {
            if end > 0 && end + line.len() > PIECE {
                break;
            }
            end += line.len();
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_asks_in_numbers() {
        let asked = |period: &str, detail: Option<&str>| read(period.as_ref(), detail.map(OsStr::new));
        let every = |ms, detailed| Ok(Some(Asked { period: Duration::from_millis(ms), detailed }));
        assert_eq!(asked("1000", None), every(1000, false));
        assert_eq!(asked("1", Some("0")), every(1, false));
        assert_eq!(asked("2147483647", Some("1")), every(2_147_483_647, true));
        assert_eq!(asked("7", Some("2")), every(7, true));
        assert_eq!(asked("0", Some("1")), Ok(None));
        for bad in ["", "-5", "1x", " 1", "1.5", "2147483648", "99999999999"] {
            let error = asked(bad, Some("1")).unwrap_err();
            assert_eq!(error, format!("GMPRT_SCHEDTRACE must be a number of milliseconds, not {bad:?}"));
        }
        for bad in ["", "yes", "-1"] {
            let error = asked("1000", Some(bad)).unwrap_err();
            assert_eq!(error, format!("GMPRT_SCHEDDETAIL must be 0 or 1, not {bad:?}"));
        }
    }

    #[test]
    fn ticks_are_counted_from_the_first_and_missed_ones_left_out() {
        assert_eq!(next_tick(5, 10, 5), 15);
        assert_eq!(next_tick(5, 10, 14), 15);
        assert_eq!(next_tick(5, 10, 15), 25);
        assert_eq!(next_tick(5, 10, 57), 65);
    }

    #[test]
    fn pieces_are_whole_lines_that_fit() {
        let cut = |text: &str| pieces(text).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cut(""), [""; 0]);
        assert_eq!(cut("one\ntwo\n"), ["one\ntwo\n"]);
        let line = format!("{}\n", "x".repeat(PIECE / 2 - 1));
        assert_eq!(cut(&line.repeat(5)), [line.repeat(2), line.repeat(2), line.clone()]);
        let long = format!("{}\n", "y".repeat(PIECE));
        assert_eq!(cut(&format!("{line}{long}{long}{line}")), [line.clone(), long.clone(), long, line]);
    }
}
