//! Where a trace's events go while the traced program runs: a file that is whole after each flush.
//!
//! Go counterpart: none; `runtime/trace.Start` writes to an `io.Writer`, and a trace that was cut is read up to the cut.
//!
//! ```text
//!   event ─▶ buffer ──flush──▶ head │ body ……………………………… │ tail
//!             ≤ 1 MiB                                     ▲ the next flush writes here, and a new tail behind
//!
//!   a plain file, flushed     [                                      event,       while it is written: cut, it still loads
//!                             event ]
//!                 finished    {"displayTimeUnit":"ns","traceEvents":[event,       viewers nest its slices by nanoseconds
//!                             event ]}
//! ```
//!
//! K1. After a flush the file is strictly valid JSON with all events written so far; with a name that ends in `.gz` it is
//!     one whole gz member that holds such JSON. It is the object form after [`Sink::finish`], and always in gz and in what
//!     cannot seek; otherwise an array, whose head has spaces where the object's has more.
//! K2. A plain file that a kill has cut in the middle of a write is an array that is cut between events, and viewers load
//!     it: no event crosses a page of the file, and the kernel stops a write for a signal only between pages.
//! K3. A gz file that a kill has cut holds what it held after the flush before, with rubbish behind it (`target.rs`).
//! K4. A write that fails is the last one. The file is put back to what the flush before had left, as far as that can be
//!     done, and all events since are counted as lost. The error is told once, by the next flush.
//! K5. What cannot seek (a FIFO, a terminal) gets its end from [`Sink::finish`], and no event after it.
//! K6. Between the forms there are two writes, each within a page: an array gets the object's tail, then its head; an
//!     object that goes on gets the array's head, then more of the body. A kill exactly between the two leaves an array
//!     with one brace too many at its end. That is not valid JSON: Perfetto loads it all the same, Chrome does not. An
//!     error between them puts back both.
//!
//! Absent: JSON. An event is a string of bytes; who calls makes it one whole value.

mod gz;
mod target;
#[cfg(test)]
mod tests;

use gz::Gz;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use target::Target;

/// Bytes at which the buffer is written out without being asked: enough that a system call costs nothing beside it, and
/// little beside the rings.
const LIMIT: usize = 1 << 20;

/// The piece of a file that the kernel writes whole or not at all when the writer is killed. Where its pages are larger,
/// their borders are borders of these too. It is also what a pipe takes whole (`PIPE_BUF`).
const PAGE: u64 = 4096;

/// How the object form begins. Without the unit Chrome's viewer nests slices by whole microseconds.
const HEAD: &[u8] = br#"{"displayTimeUnit":"ns","traceEvents":["#;

/// How the object form ends.
const END: &[u8] = b"\n]}\n";

/// How an array begins that is to become an object.
const ARRAY_HEAD: &[u8] = {
    const BYTES: [u8; HEAD.len()] = {
        let mut head = [b' '; HEAD.len()];
        head[0] = b'[';
        head
    };
    &BYTES
};

/// How such an array ends: a full disk has room for the object's end in its place.
const ARRAY_END: &[u8] = b"\n] \n";

/// A trace file that is being written.
#[derive(Debug)]
pub(crate) struct Sink {
    path: PathBuf,
    target: Target,
    /// `None`: plain.
    gz: Option<Gz>,
    /// What follows the body, not compressed yet.
    buffer: Vec<u8>,
    /// What is compressed, while it is written.
    packed: Vec<u8>,
    /// Events in the buffer.
    waiting: u64,
    events: u64,
    lost: u64,
    failed: bool,
    /// The end of the object form is written. A plain file goes back to an array with the next event (K6); what cannot
    /// seek is over (K5).
    ended: bool,
    /// What went wrong, until it is told.
    error: Option<io::Error>,
}

impl Sink {
    /// Makes the file empty, or makes it, and writes a trace without events to it if it can seek. A name that ends in
    /// `.gz` asks for compression; `%p` in the path stands for the process id. Blocks, on a FIFO, until there is a reader.
    ///
    /// # Errors
    ///
    /// Those of opening and of writing. `ResourceBusy`: another sink writes to this file; it is left alone. So a traced
    /// program can start another with the same environment.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let path = expand(path);
        let target = Target::open(&path).map_err(|error| told(&path, &error))?;
        let gz = path.as_os_str().as_bytes().ends_with(b".gz").then(Gz::new);
        let head = if gz.is_none() && target.seeks() { ARRAY_HEAD } else { HEAD };
        let mut sink = Self {
            gz,
            path,
            target,
            buffer: head.to_vec(),
            packed: Vec::new(),
            waiting: 0,
            events: 0,
            lost: 0,
            failed: false,
            ended: false,
            error: None,
        };
        if sink.target.seeks() {
            sink.flush()?;
        }
        Ok(sink)
    }

    /// Takes one event, a whole JSON value without line breaks around it. Writes the buffer out if it is full; an error
    /// waits for the next flush.
    pub(crate) fn event(&mut self, json: &[u8]) {
        if self.ended && !self.target.seeks() && !self.failed {
            self.fail(&io::Error::other(
                "the trace's end is written, and what was written cannot be taken back",
            ));
        }
        if self.failed {
            self.lost += 1;
            return;
        }
        self.buffer.extend_from_slice(if self.events + self.waiting == 0 { b"\n" } else { b",\n" });
        if self.gz.is_none() {
            self.pad(json.len());
        }
        self.buffer.extend_from_slice(json);
        self.waiting += 1;
        if self.buffer.len() >= LIMIT {
            self.write_out();
        }
    }

    /// Writes what is buffered. After that the file is whole, if it can seek.
    ///
    /// # Errors
    ///
    /// What went wrong since the last flush, once.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.write_out();
        self.error.take().map_or(Ok(()), Err)
    }

    /// Writes what is buffered, makes a plain file an object, and writes the end to what cannot seek. A file that can
    /// seek goes on with the next event.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.write_out();
        if !self.ended && !self.failed {
            self.ended = true;
            if let Err(error) = self.end() {
                self.fail(&error);
            }
        }
        self.flush()
    }

    /// Where the events go, with the process id filled in.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Events written.
    #[cfg(test)]
    fn events(&self) -> u64 {
        self.events
    }

    /// Events that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether a write has failed; nothing more is written then.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// K2: spaces, if what comes next would cross a page's border. What is longer than a page cannot be helped.
    fn pad(&mut self, len: usize) {
        let at = self.target.end() + self.buffer.len() as u64;
        let room = PAGE - at % PAGE;
        if room < len as u64 && len as u64 <= PAGE {
            self.buffer.resize(self.buffer.len() + room as usize, b' ');
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match (&self.gz, self.target.seeks()) {
            (Some(_), true) => Ok(()), // each flush has written it
            (Some(gz), false) => self.target.append(&gz.tail(END)),
            (None, false) => self.target.append(END),
            (None, true) => {
                self.target.replace_tail(&mut Vec::new(), END)?; // K6
                let done = self.target.replace_head(HEAD);
                if done.is_err() {
                    let _ = self.target.replace_tail(&mut Vec::new(), ARRAY_END);
                }
                done
            }
        }
    }

    /// To a plain file that can seek.
    fn write_array(&mut self) -> io::Result<()> {
        let was_object = std::mem::take(&mut self.ended);
        if was_object {
            self.target.replace_head(ARRAY_HEAD)?; // K6
        }
        let done = self.target.replace_tail(&mut self.buffer, ARRAY_END);
        if done.is_err() && was_object {
            let _ = self.target.replace_head(HEAD);
        }
        done
    }

    fn write_out(&mut self) {
        if self.failed || self.buffer.is_empty() {
            return;
        }
        let done = if let Some(gz) = &mut self.gz {
            self.packed.clear();
            gz.compress(&self.buffer, &mut self.packed);
            gz.pad(&mut self.packed, self.target.end());
            if self.target.seeks() {
                self.target.replace_tail_backwards(&self.packed, &gz.tail(END))
            } else {
                self.target.append(&self.packed)
            }
        } else if self.target.seeks() {
            self.pad(END.len());
            self.write_array()
        } else {
            self.target.append(&self.buffer)
        };
        match done {
            Ok(()) => {
                self.events += std::mem::take(&mut self.waiting);
                self.buffer.clear();
                self.buffer.shrink_to(2 * LIMIT); // one event may have been huge
                self.packed.shrink_to(2 * LIMIT);
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.failed = true;
        self.lost += std::mem::take(&mut self.waiting);
        (self.buffer, self.packed) = (Vec::new(), Vec::new());
        self.error = Some(told(&self.path, error));
    }
}

/// Writes what is left; an error is told to nobody. Who wants it calls [`Sink::finish`] first.
impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// The error, with the file's name.
fn told(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write the trace {}: {error}", path.display()))
}

/// The path with the process id for each `%p`.
fn expand(path: &Path) -> PathBuf {
    let mut rest = path.as_os_str().as_bytes();
    let mut whole = Vec::with_capacity(rest.len());
    while let Some(at) = rest.windows(2).position(|two| two == b"%p") {
        whole.extend_from_slice(&rest[..at]);
        whole.extend_from_slice(std::process::id().to_string().as_bytes());
        rest = &rest[at + 2..];
    }
    whole.extend_from_slice(rest);
    PathBuf::from(OsString::from_vec(whole))
}
