//! Reads the log back, and holds it against what the run said: each line that was sent is in it, once, unchanged, in order.
//!
//! A line is `<producer> <its line's number, from 1> <text>`. The numbers show which line is missing, doubled or out of its
//! order; the checksums, added up whatever the order of the producers, show a changed byte. Where lines stayed unwritten
//! the numbers may skip, but still only grow, and the sum of what was sent says nothing.
//!
//! No `crate::` here: `tests/showcase_log.rs` includes this file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// What the run says.
#[derive(Clone, Copy)]
pub(crate) struct Claim {
    /// Lines in the file, and their bytes.
    pub(crate) written: u64,
    pub(crate) bytes: u64,
    /// Lines that could not be written.
    pub(crate) unwritten: u64,
    /// The checksums of all lines sent, added up.
    pub(crate) sent_sum: u64,
}

/// What is in the file.
#[derive(Default, PartialEq, Debug)]
pub(crate) struct Found {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    pub(crate) sum: u64,
}

/// The checksum of a line without its newline; those of several are added up modulo 2^64.
pub(crate) fn checksum(line: &[u8]) -> u64 {
    crc32fast::hash(line).into()
}

/// Reads the file line by line. An error is one sentence.
pub(crate) fn check(path: &Path, claim: &Claim) -> Result<Found, String> {
    let name = path.display();
    let unreadable = |e| format!("cannot read {name}: {e}");
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(unreadable)?);
    let mut found = Found::default();
    let mut numbers = Numbers { last: HashMap::new(), may_skip: claim.unwritten > 0 };
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line).map_err(unreadable)? > 0 {
        found.lines += 1;
        found.bytes += line.len() as u64;
        let at = |what| format!("{name}, line {}: {what}", found.lines);
        if line.pop() != Some(b'\n') {
            return Err(at("it is torn".into()));
        }
        numbers.follow(&line).map_err(at)?;
        found.sum = found.sum.wrapping_add(checksum(&line));
        line.clear();
    }
    let differ = |what, is, should| Err(format!("{name}: {what} {is}, it should be {should}"));
    if found.lines != claim.written {
        differ("the number of its lines is", found.lines, claim.written)
    } else if found.bytes != claim.bytes {
        differ("its length is", found.bytes, claim.bytes)
    } else if claim.unwritten == 0 && found.sum != claim.sent_sum {
        differ("the sum of its lines' checksums is", found.sum, claim.sent_sum)
    } else {
        Ok(found)
    }
}

/// The number of each producer's last line.
struct Numbers {
    last: HashMap<u32, u64>,
    may_skip: bool,
}

impl Numbers {
    /// Whether `line` may come next.
    fn follow(&mut self, line: &[u8]) -> Result<(), String> {
        let mut words = line.splitn(3, |&byte| byte == b' ');
        let (Some(producer), Some(number), Some(_)) =
            (words.next().and_then(parse), words.next().and_then(parse), words.next())
        else {
            return Err("it does not begin with a producer and a number".into());
        };
        let last = self.last.entry(producer).or_default();
        if number == *last + 1 || self.may_skip && number > *last {
            *last = number;
            return Ok(());
        }
        Err(format!("of producer {producer}, number {number} comes after {last}"))
    }
}

fn parse<N: std::str::FromStr>(word: &[u8]) -> Option<N> {
    str::from_utf8(word).ok()?.parse().ok()
}
