//! SIGQUIT prints what the runtimes that asked for it are at, and the process goes on.
//!
//! Go counterpart: `sighandler`, of whose `_SigThrow` only the tracebacks are left (`signal_unix.go`).
//!
//! ```text
//!   SIGQUIT ─▶ signal-hook's handler ─▶ its pipe ─▶ this thread ─▶ a Dump of each runtime ─▶ stderr
//! ```
//!
//! Q1. One thread in a process, and one handler. The first runtime that asks makes them, and they stay, asleep: a program whose
//!     runtimes come and go must not be ended by a SIGQUIT that falls in between.
//! Q2. It keeps no runtime alive: it holds one no longer than its dump takes, and the list's lock not even for that.
//! Q3. It writes past the lock of std's stderr, as Go does past that of `os.Stderr`: a task that is stuck while it prints has that
//!     lock, and is one of those that the dump is to show. Dumps do not mix, since one thread writes them.
//! Q4. That stderr is closed, or full, is its reader's affair.
//!
//! Absent: other signals, and Go's end of the process.

use crate::Builder;
use crate::dump::Dump;
use crate::sched::Shared;
use crate::sys::affinity::{Tid, process_mask};
use signal_hook::consts::SIGQUIT;
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread;

/// What the thread is called.
const THREAD: &str = "gmprt-sigquit";

/// Bytes that are written at once: most dumps are one write.
const BUFFER: usize = 64 << 10;

struct Watch {
    /// The thread is there, and the handler installed.
    begun: bool,
    runtimes: Vec<Weak<Shared>>,
}

fn watch() -> MutexGuard<'static, Watch> {
    static WATCH: Mutex<Watch> = Mutex::new(Watch { begun: false, runtimes: Vec::new() });
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Builder {
    /// Whether SIGQUIT prints a [`Dump`] of this runtime to stderr, after which the process goes on. Default: `false`.
    ///
    /// `kill -QUIT`, or Ctrl-\ in a terminal, sends it. All runtimes of the process that were built with `true` are printed, one
    /// after another, by a thread of its own. The first of them makes SIGQUIT end the process no more, and that stays so
    /// after the last of them has ended: then a line says that there is none. Handlers that were there before are
    /// called too, and a program may still install its own.
    ///
    /// It never blocks.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let rt = gmprt::Runtime::builder().dump_on_sigquit(true).build()?;
    /// signal_hook::low_level::raise(signal_hook::consts::SIGQUIT)?; // as `kill -QUIT` does
    /// assert_eq!(rt.block_on(async { 1 + 1 }), 2); // still here
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Differences from Go
    ///
    /// There SIGQUIT prints the goroutines and then ends the process, with exit status 2.
    pub fn dump_on_sigquit(mut self, yes: bool) -> Self {
        self.dump_on_sigquit = yes;
        self
    }
}

/// From now on SIGQUIT prints this runtime's dump, too.
pub(crate) fn enter(shared: &Arc<Shared>) -> io::Result<()> {
    let mut watch = watch();
    if !watch.begun {
        // The thread first: without it SIGQUIT keeps its meaning.
        let (give, take) = mpsc::channel::<Signals>();
        thread::Builder::new().name(THREAD.into()).spawn(move || {
            if let Some(mask) = &process_mask().mask {
                mask.give_to(Tid::current()); // whoever built the runtime may be pinned
            }
            if let Ok(mut signals) = take.recv() {
                signals.forever().for_each(|_| print_all());
            }
        })?;
        let _ = give.send(Signals::new([SIGQUIT])?); // the thread waits for it
        watch.begun = true;
    }
    watch.runtimes.retain(|runtime| runtime.strong_count() > 0);
    watch.runtimes.push(Arc::downgrade(shared));
    Ok(())
}

fn print_all() {
    let runtimes = watch().runtimes.clone();
    // Q3, Q4
    if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
        let _ = print(&runtimes, File::from(stderr));
    }
}

fn print(runtimes: &[Weak<Shared>], out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, out);
    let mut printed = 0;
    for shared in runtimes.iter().filter_map(Weak::upgrade) {
        let dump = Dump::of(&shared);
        drop(shared); // Q2
        if !dump.is_over() {
            write!(out, "{}{dump}", if printed > 0 { "\n" } else { "" })?;
            printed += 1;
        }
    }
    if printed == 0 {
        writeln!(out, "gmprt: SIGQUIT: there is no runtime to dump")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Runtime;

    /// Fails after so many bytes.
    struct Closed(usize);

    impl Write for Closed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn runtime(name: &str) -> (Runtime, Weak<Shared>) {
        let rt = Runtime::builder().procs(1).thread_name(name).build().unwrap();
        let weak = Arc::downgrade(&rt.handle().shared);
        (rt, weak)
    }

    fn printed(runtimes: &[Weak<Shared>]) -> String {
        let mut out = Vec::new();
        print(runtimes, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn runtimes_that_live_are_printed_and_others_are_not() {
        let ((one, weak_one), (two, weak_two)) = (runtime("one"), runtime("two"));
        let both = [weak_one, weak_two];
        let heads = |text: &str| {
            text.lines().filter_map(|line| Some(line.strip_prefix("DUMP ")?.get(..5)?.to_owned())).collect()
        };
        let lines: Vec<String> = heads(&printed(&both));
        assert_eq!(lines, ["\"one\"", "\"two\""]);
        let kept = one.handle();
        drop(one);
        let lines: Vec<String> = heads(&printed(&both));
        assert_eq!(lines, ["\"two\""]); // though `one` has a handle yet
        drop((kept, two));
        assert_eq!(both[0].strong_count() + both[1].strong_count(), 0);
        assert_eq!(printed(&both), "gmprt: SIGQUIT: there is no runtime to dump\n");
    }

    #[test]
    fn a_closed_stderr_is_an_error_and_no_panic() {
        let (rt, weak) = runtime("closed");
        let tasks: Vec<_> = (0..5_000).map(|_| rt.spawn(std::future::pending::<()>())).collect();
        let length = printed(std::slice::from_ref(&weak)).len();
        assert!(length > 2 * BUFFER);
        for room in [0, BUFFER + 1, length / 2] {
            let error = print(std::slice::from_ref(&weak), Closed(room)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
        print(&[weak], Closed(2 * length)).unwrap();
        drop(tasks);
    }
}
