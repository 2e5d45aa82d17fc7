//! What the kernel knows of another thread of this process: its CPU time, and whether it runs, waits or stands.
//!
//! Go counterpart: none. Go's M says itself when it enters a system call (`entersyscall`); here a poll may block
//! without a word, and must be seen from outside.
//!
//! U1. A thread id is good while its thread lives. Who asks about another thread makes sure, after the answer, that
//!     the answer was about that thread (an M that still holds its P is alive), or does nothing on account of it.
//! U2. [`State::of`] reads `/proc`; where that can't be read the answer is `Other`, by which nothing is taken from
//!     anybody.
//!
//! Absent: signals, and anything else that would disturb the thread that is asked about.

use super::affinity::Tid;
use super::clock::Nanos;
use std::fs::File;
use std::mem;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// What a thread is doing, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Asleep until something happens (`S`).
    Sleeping,
    /// Asleep in the kernel, most likely for a disk (`D`).
    Disk,
    /// Running, or kept from it by the kernel (`R`), stopped, gone, or not to be known.
    Other,
}

/// The clock that counts the CPU time of one thread, from the kernel's number for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuClock(libc::clockid_t);

impl CpuClock {
    pub(crate) fn of(tid: Tid) -> Self {
        // `MAKE_THREAD_CPUCLOCK(tid, CPUCLOCK_SCHED)` of linux/posix-timers.h; `pthread_getcpuclockid` yields the
        // same, but only for a pthread_t.
        const PER_THREAD: libc::clockid_t = 4;
        const SCHED: libc::clockid_t = 2;
        Self((!tid.as_raw() << 3) | PER_THREAD | SCHED)
    }

    /// CPU time that the thread has used, in nanoseconds; `None` if there is no such thread (any more).
    pub(crate) fn read(self) -> Option<Nanos> {
        // SAFETY: timespec is a pair of integers, for which all zeros is a value.
        let mut time: libc::timespec = unsafe { mem::zeroed() };
        // SAFETY: U1; `time` is valid for the write, and an unknown clock is an error.
        let outcome = unsafe { libc::clock_gettime(self.0, &mut time) };
        (outcome == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }
}

/// A thread's line in `/proc`, kept open: a read costs about 3 µs, an open as much again.
#[derive(Debug)]
pub(crate) struct StatFile(File);

impl StatFile {
    pub(crate) fn open(tid: Tid) -> Option<Self> {
        File::open(format!("/proc/self/task/{}/stat", tid.as_raw())).ok().map(Self)
    }

    /// The thread's state now (U2).
    pub(crate) fn state(&self) -> State {
        // "17 (name) S …": the name has at most 15 bytes, which may be brackets and blanks too.
        let mut line = [0; 64];
        match self.0.read_at(&mut line, 0) {
            Ok(len) => parse(&line[..len]),
            Err(_) => State::Other,
        }
    }
}

impl State {
    /// The state of the thread `tid` now, by a file that is opened for this look alone.
    pub(crate) fn of(tid: Tid) -> Self {
        StatFile::open(tid).map_or(Self::Other, |file| file.state())
    }
}

fn parse(line: &[u8]) -> State {
    let after_name = line.iter().rposition(|&byte| byte == b')');
    match after_name.and_then(|at| line.get(at + 2)) {
        Some(b'S') => State::Sleeping,
        Some(b'D') => State::Disk,
        _ => State::Other,
    }
}

/// How many nanoseconds the kernel may add to a timed sleep of the process's threads; 50 µs, where nobody has set it.
fn usual_slack() -> libc::c_ulong {
    static USUAL: OnceLock<libc::c_ulong> = OnceLock::new();
    *USUAL.get_or_init(|| {
        // SAFETY: U1 does not apply: the call is about the calling thread, takes integers, and touches no memory.
        let slack = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK, 0, 0, 0, 0) };
        libc::c_ulong::try_from(slack).ok().filter(|slack| *slack > 0).unwrap_or(50_000)
    })
}

fn set_slack(nanos: libc::c_ulong) {
    // SAFETY: as above. A refusal only leaves the sleeps less exact.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanos, 0, 0, 0) };
}

/// Lets the calling thread's timed sleeps end as exactly as the kernel can.
pub(crate) fn sleep_exactly() {
    usual_slack();
    set_slack(1);
}

/// Undoes [`sleep_exactly`] for a thread that was started by one that sleeps so.
pub(crate) fn sleep_as_usual() {
    set_slack(usual_slack());
}

/// What would become of a line written to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stderr {
    /// It is taken.
    Ready,
    /// It blocks: a pipe is full, and nobody reads it.
    Full,
    /// It is an error: it is closed, or its reader has gone.
    Gone,
}

/// How it is with stderr now.
pub(crate) fn stderr_now() -> Stderr {
    let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: U1 does not apply; the call is about a file, and `stderr` is valid for the write of one pollfd.
    unsafe { libc::poll(&mut stderr, 1, 0) };
    if stderr.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 {
        Stderr::Gone
    } else if stderr.revents & libc::POLLOUT != 0 {
        Stderr::Ready
    } else {
        Stderr::Full
    }
}

/// Whether a line written to stderr would not block: a full pipe that nobody reads would.
pub(crate) fn stderr_takes_a_line() -> bool {
    stderr_now() == Stderr::Ready
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Instant;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        assert_eq!(parse(b"17 (a) R) S 1 17"), State::Sleeping);
        assert_eq!(parse(b"17 (S S) D 1 17"), State::Disk);
        assert_eq!(parse(b"17 (sleeper) R 1"), State::Other);
        assert_eq!(parse(b"17 (sleeper) T 1"), State::Other);
        assert_eq!(parse(b"17 (cut of"), State::Other);
        assert_eq!(parse(b""), State::Other);
    }

    #[test]
    fn a_thread_that_waits_is_asleep_and_its_clock_stands_still() {
        let (tell, told) = channel();
        let (end, wait) = channel::<()>();
        let sleeper = std::thread::spawn(move || {
            tell.send(Tid::current()).unwrap();
            let _ = wait.recv();
        });
        let tid = told.recv().unwrap();
        let file = StatFile::open(tid).unwrap();
        while file.state() != State::Sleeping {
            std::thread::yield_now();
        }
        assert_eq!(State::of(tid), State::Sleeping);
        let clock = CpuClock::of(tid);
        let before = clock.read().unwrap();
        let begun = Instant::now();
        while begun.elapsed().as_millis() < 2 {}
        assert_eq!(clock.read(), Some(before));
        drop(end);
        sleeper.join().unwrap();
    }

    #[test]
    fn a_thread_that_runs_is_not_asleep_and_its_clock_moves() {
        let tid = Tid::current();
        let clock = CpuClock::of(tid);
        let before = clock.read().unwrap();
        while clock.read().unwrap() == before {}
        assert_eq!(State::of(tid), State::Other);
    }

    #[test]
    fn a_thread_that_is_gone_is_no_news() {
        let tid = std::thread::spawn(Tid::current).join().unwrap();
        // Its number may be another thread's by now; there is nothing more to say than that it does not fail.
        let _ = (CpuClock::of(tid).read(), State::of(tid));
    }
}
