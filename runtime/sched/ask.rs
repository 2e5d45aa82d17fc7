//! What sysmon asks the kernel about an M's thread.
//!
//! Go counterpart: none; see `sys/thread.rs`.
//!
//! H1. A file of `/proc` is kept open for each M that was asked about, for `STAT_FILES` at most: the state of any other is
//!     read from a file opened for that one look.
//! H2. An M without a thread (not yet, or no longer) is not known to be asleep, so that nothing is taken from it.
//!
//! Absent: what follows from the answers, which is `policy/retake.rs`.

use super::machine::Machine;
use crate::policy::retake::Probe;
use crate::policy::tuning::STAT_FILES;
use crate::sys::clock::Nanos;
use crate::sys::thread::{CpuClock, StatFile, State};
use std::collections::HashMap;

/// The files that are kept open (H1), by the M's number.
#[derive(Default)]
pub(super) struct Files(HashMap<u32, StatFile>);

/// Questions about one M.
pub(super) struct Ask<'a> {
    m: &'a Machine,
    files: &'a mut Files,
}

impl Files {
    pub(super) fn ask<'a>(&'a mut self, m: &'a Machine) -> Ask<'a> {
        Ask { m, files: self }
    }

    /// Whether no more are kept.
    pub(super) fn are_many(&self) -> bool {
        self.0.len() >= STAT_FILES
    }

    /// Closes those of all Ms but of which `lives` says so.
    pub(super) fn keep_only(&mut self, lives: impl Fn(u32) -> bool) {
        self.0.retain(|&m, _| lives(m));
    }
}

impl Probe for Ask<'_> {
    fn cpu(&mut self) -> Option<Nanos> {
        CpuClock::of(self.m.tid()?).read()
    }

    fn state(&mut self) -> State {
        let Some(tid) = self.m.tid() else { return State::Other };
        let m = self.m.id.as_u32();
        if let Some(file) = self.files.0.get(&m) {
            return file.state();
        }
        if self.files.are_many() {
            return State::of(tid);
        }
        let Some(file) = StatFile::open(tid) else { return State::Other };
        let state = file.state();
        self.files.0.insert(m, file);
        state
    }
}
