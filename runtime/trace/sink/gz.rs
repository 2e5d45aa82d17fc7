//! The gz form: one member, cut into blocks that can be ended after each flush.
//!
//! Go counterpart: `compress/gzip`, whose `Writer.Flush` does not end the member.
//!
//! ```text
//!   header │ deflate … full flush │ deflate … full flush │ [a stored block of spaces] ║ stored block "\n]}\n", last │ CRC │ length
//!          └─ body ─────────────────────────────────────────────────────────────────╨─ tail ──────────────────────────────────┘
//! ```
//!
//! Z1. The body ends at a byte's border, and nothing in what follows refers to it: a full flush sees to both. So a last
//!     block may follow, and later, in its place, more of the body.
//! Z2. The tail has [`TAIL`] bytes more than the end it holds, and lies in one page (`target.rs`, T1).
//!
//! Absent: members. A file of several would need no trick, but Chrome reads the first and shows no more, without a word.

use super::{END, PAGE};
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// No name, no time, made on Unix.
const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 4, 3];

/// Bytes before the content of a stored block: whether it is the last, the length, and its complement.
const STORED: usize = 5;

/// Bytes of a tail beside the end itself: a stored block's head, a CRC-32 and the length modulo 2³².
const TAIL: usize = STORED + 8;

/// A gz member that is being written.
#[derive(Debug)]
pub(super) struct Gz {
    deflate: Compress,
    /// Of the body's content.
    crc: Crc,
    begun: bool,
}

impl Gz {
    pub(super) fn new() -> Self {
        Self { deflate: Compress::new(Compression::fast(), false), crc: Crc::new(), begun: false }
    }

    /// Appends `content`, compressed, to `out`; it must not be empty.
    pub(super) fn compress(&mut self, content: &[u8], out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(&HEADER);
        }
        self.crc.update(content);
        let before = self.deflate.total_in();
        loop {
            let taken = (self.deflate.total_in() - before) as usize;
            out.reserve(content.len() / 4 + 64);
            let status = self.deflate.compress_vec(&content[taken..], out, FlushCompress::Full);
            // It is done when it leaves room in the output. What it cannot do is to fail: it has input or owes output.
            if out.len() < out.capacity() || !matches!(status, Ok(Status::Ok)) {
                debug_assert_eq!(self.deflate.total_in() - before, content.len() as u64);
                return;
            }
        }
    }

    /// Appends spaces to `out`, which follows a body of `at` bytes, if the tail would cross a page's border.
    pub(super) fn pad(&mut self, out: &mut Vec<u8>, at: u64) {
        let room = (PAGE - (at + out.len() as u64) % PAGE) as usize;
        if room < TAIL + END.len() {
            let spaces = vec![b' '; room.saturating_sub(STORED)];
            self.crc.update(&spaces);
            stored(&spaces, false, out);
        }
    }

    /// What makes the body so far a whole member, with `end` as the last of its content.
    pub(super) fn tail(&self, end: &[u8]) -> Vec<u8> {
        let mut crc = Crc::new();
        crc.combine(&self.crc);
        crc.update(end);
        let mut out = Vec::with_capacity(TAIL + end.len());
        stored(end, true, &mut out);
        out.extend_from_slice(&crc.sum().to_le_bytes());
        out.extend_from_slice(&crc.amount().to_le_bytes());
        out
    }
}

/// A block that is not compressed (RFC 1951, 3.2.4), at a byte's border.
fn stored(content: &[u8], last: bool, out: &mut Vec<u8>) {
    let len = content.len() as u16;
    out.push(u8::from(last));
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&(!len).to_le_bytes());
    out.extend_from_slice(content);
}
