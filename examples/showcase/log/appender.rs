//! Appends batches of lines to a file, whatever becomes of the disk, and counts the lines that are lost.
//!
//! - A failed write loses what was left of its batch, and no more: the next batch is tried again, for a full disk may get room.
//! - After each append the file ends with a whole line, for what was written of a torn one is cut off again. Where that is not
//!   possible (a pipe, say) the rest of that line stays in the batch, and the next append begins with it: nothing ever
//!   follows the half of a line but its other half.
//!
//! No `crate::` here: `tests/showcase_log.rs` includes this file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// What is appended to: a file, or in the tests something that fails.
pub(crate) trait Target: Write {
    /// Takes the last `bytes` off its end.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;

    /// Waits until what was written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Target for File {
    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        let len = self.metadata()?.len();
        self.set_len(len.saturating_sub(bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

pub(crate) struct Appender<T = File> {
    target: T,
    /// Whether each append waits for the disk.
    fsync: bool,
    /// How much of a torn line stands at the file's end.
    torn: u64,
    /// Lines that could not be written.
    pub(crate) lost: u64,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// Batches that were not empty.
    pub(crate) flushes: u64,
    /// The first thing that went wrong, and what was being done.
    pub(crate) error: Option<(&'static str, io::Error)>,
}

impl Appender {
    /// Opens a file, makes it if need be, and empties it, unless it is something like `/dev/full`.
    pub(crate) fn open(path: &Path, fsync: bool) -> io::Result<Appender> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        if file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        Ok(Appender::new(file, fsync))
    }
}

impl<T: Target> Appender<T> {
    /// `target` is empty.
    pub(crate) fn new(target: T, fsync: bool) -> Appender<T> {
        Appender { target, fsync, torn: 0, lost: 0, bytes: 0, flushes: 0, error: None }
    }

    /// Appends the batch, whole lines that each end with a newline, as far as it can be written, and empties it; the rest of a
    /// torn line that cannot be cut off stays in it.
    pub(crate) fn append(&mut self, batch: &mut Vec<u8>) {
        if batch.is_empty() {
            return;
        }
        self.flushes += 1;
        let (written, result) = write(&mut self.target, batch);
        self.note("write to", result);
        self.bytes += written as u64;
        self.torn = match batch[..written].iter().rposition(|&byte| byte == b'\n') {
            Some(end) => (written - end - 1) as u64,
            None => self.torn + written as u64,
        };
        let mut left = batch[written..].split_inclusive(|&byte| byte == b'\n');
        if self.torn > 0 && self.target.cut(self.torn).is_err() {
            let rest = left.next().unwrap_or_default().to_vec();
            self.lost += left.count() as u64;
            *batch = rest;
        } else {
            self.bytes -= self.torn;
            self.torn = 0;
            self.lost += left.count() as u64;
            batch.clear();
        }
        if self.fsync {
            let result = self.target.sync();
            self.note("sync", result);
        }
    }

    fn note(&mut self, doing: &'static str, result: io::Result<()>) {
        if let Err(e) = result {
            self.error.get_or_insert((doing, e));
        }
    }
}

/// Writes until nothing is left or it fails, and tells how far it came; `Write::write_all` does not tell.
fn write(target: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match target.write(&bytes[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return (written, Err(e)),
        }
    }
    (written, Ok(()))
}
