//! The file itself: a body that grows, and a tail behind it that each write replaces.
//!
//! Go counterpart: none.
//!
//! ```text
//!   replace_tail             body │ old tail          ─▶  body  new │ tail         one write, forwards: cut by a kill it is
//!                                                                                  the body and a part of the new
//!   replace_tail_backwards   body │ old tail  0 0 0   ─▶  body  new │ tail         first what lies beyond the page of the
//!                              page ──────────────┘ │ rest                         old tail, then that page, in one step
//!   replace_head             in place, in one step
//! ```
//!
//! T1. A tail lies in one page, so that no write leaves half of one.
//! T2. A kill cuts `replace_tail` at a page's border. It leaves `replace_tail_backwards` either at the old tail with
//!     rubbish behind it, or done. The second is for gz: there a part of the new is of no use, and a reader of gz may
//!     overlook what stands behind the end. Chrome and `gzip -d` do, Perfetto refuses the file.
//! T3. One sink a file: it is locked, and unlocked by the kernel when its process dies.
//!
//! Absent: `fsync`. A trace outlives its process, not its machine.

use super::PAGE;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file that is open for writing.
#[derive(Debug)]
pub(super) struct Target {
    file: File,
    seeks: bool,
    /// Bytes of the body; the tail begins here.
    end: u64,
    /// What stands behind the body.
    tail: Vec<u8>,
}

impl Target {
    /// Opens the file, makes it if it does not exist, and empties it if it is a file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // It is emptied later: first it must be ours (T3).
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let seeks = file.metadata()?.is_file();
        if seeks {
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                let busy =
                    "another trace is being written to it; `%p` in the name gives each process its own";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, busy));
            } // a file system without locks: go on without
            file.set_len(0)?;
        }
        Ok(Self { file, seeks, end: 0, tail: Vec::new() })
    }

    /// Whether what was written can be replaced.
    pub(super) fn seeks(&self) -> bool {
        self.seeks
    }

    /// How long the body is.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Writes `head`, which has less than a page and is as long as the old one, over that.
    pub(super) fn replace_head(&mut self, head: &[u8]) -> io::Result<()> {
        self.file.write_all_at(head, 0)
    }

    /// Writes `new` and `tail` over the old tail, at once. `new` holds `tail` too afterwards.
    pub(super) fn replace_tail(&mut self, new: &mut Vec<u8>, tail: &[u8]) -> io::Result<()> {
        let len = new.len();
        new.extend_from_slice(tail);
        let done = self.file.write_all_at(new, self.end);
        self.replaced(done, len, tail)
    }

    /// Writes `new` and `tail` over the old tail so that the old stands until the new is complete.
    pub(super) fn replace_tail_backwards(&mut self, new: &[u8], tail: &[u8]) -> io::Result<()> {
        let whole = [new, tail].concat();
        let room = (PAGE - self.end % PAGE) as usize;
        let (first, rest) = whole.split_at(room.min(whole.len()));
        let mut done = Ok(());
        if !rest.is_empty() {
            done = self.file.write_all_at(rest, self.end + first.len() as u64);
        }
        if done.is_ok() {
            done = self.file.write_all_at(first, self.end);
        }
        self.replaced(done, new.len(), tail)
    }

    /// Notes what was written, or puts back what was there.
    fn replaced(&mut self, done: io::Result<()>, len: usize, tail: &[u8]) -> io::Result<()> {
        match done {
            Ok(()) => {
                self.end += len as u64;
                tail.clone_into(&mut self.tail);
            }
            // An error here would tell nothing new.
            Err(_) => {
                let _ = self.file.set_len(self.end + self.tail.len() as u64);
                let _ = self.file.write_all_at(&self.tail, self.end);
            }
        }
        done
    }

    /// Writes to what cannot seek, page by page: a pipe takes each whole or not at all, so that a kill cuts between events
    /// there too. It leaves an object without an end, though.
    pub(super) fn append(&mut self, mut new: &[u8]) -> io::Result<()> {
        while !new.is_empty() {
            let room = (PAGE - self.end % PAGE) as usize;
            let (piece, rest) = new.split_at(room.min(new.len()));
            (&self.file).write_all(piece)?;
            self.end += piece.len() as u64;
            new = rest;
        }
        Ok(())
    }
}

/// A child of this process that has not reached its `exec` yet would keep the lock for as long.
impl Drop for Target {
    fn drop(&mut self) {
        if self.seeks {
            let _ = self.file.unlock();
        }
    }
}
