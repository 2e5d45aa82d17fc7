//! Takes a P from an M in the middle of its poll, and gives it to another.
//!
//! Go counterpart: `retake`, `handoffp` (`proc.go`).
//!
//! ```text
//!   reserve an M (idle, or a new thread) ─▶ revoke: REVOKING, membarrier, look again
//!        none to be had, nobody in line:        ├─ won ─▶ an M in line whose turn it is, else the reserved one
//!        nothing is done                        └─ lost ─▶ the reserved M goes back on the list
//! ```
//!
//! R1. A P with work is taken only once an M to run it is secured: taken without, it would be in nobody's hand, or
//!     its tasks would wait in the injector behind all others. At the limit of threads an M in line is that M; the poll
//!     that blocks may be waiting for what that M does next.
//! R2. A reserved M is on no list, asleep, its inbox empty. Who reserved it fills the inbox or puts it back.
//!
//! Absent: the question whose P is to be taken (`policy/retake.rs` asks it, sysmon and the tests' revoker act on it).

use super::Shared;
use super::lease::Lease;
use super::machine::{Assignment, Machine, YIELD};
use super::processor::OwnedP;
use crate::policy::retake::Why;
use crate::trace::record::{Event, Taken};
use std::sync::Arc;

/// What became of a retake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retake {
    /// The P was taken, and handed over.
    Done,
    /// The M was in the scheduler, or in another poll.
    Lost,
    /// No M is to be had for the P (R1), or the runtime closes.
    NoM,
}

/// Who will run the P that is about to be taken.
enum Secured {
    /// Nobody has work for it.
    Nobody,
    /// This one, reserved.
    Reserved(Arc<Machine>),
    /// Who waits in line: no other M is to be had.
    Line,
}

impl Shared {
    /// Takes the P of `m` if it still is in the poll numbered `polls`, and hands it over. `needed`: somebody has work
    /// for it.
    pub(super) fn retake(
        self: &Arc<Self>,
        m: &Arc<Machine>,
        polls: Option<u64>,
        why: Why,
        needed: bool,
    ) -> Retake {
        if self.is_closing() {
            return Retake::NoM;
        }
        let secured = if !needed {
            Secured::Nobody
        } else if let Some(reserved) = self.reserve_m() {
            Secured::Reserved(reserved)
        } else if self.line_waits() {
            Secured::Line
        } else {
            return Retake::NoM;
        };
        if why == Why::Hog {
            m.set_hog(true); // before: the end of its poll, which clears it, may come at once
        }
        let Some(p) = self.revoke(m, polls) else {
            if why == Why::Hog {
                m.set_hog(false);
            }
            if let Secured::Reserved(reserved) = secured {
                self.put_back_m(reserved);
            }
            return Retake::Lost;
        };
        let taken = match why {
            Why::Declared => Taken::Declared,
            Why::Blocked => Taken::Blocked,
            Why::Hog => Taken::Hog,
        };
        let from = Event::RetakeFrom { m: m.id.as_u32() };
        self.note_both(Event::Retake { p: p.id.0, turn: p.turn(), why: taken }, Some(from));
        if why != Why::Declared {
            m.ask(YIELD); // a poll without a P has no slice any more that sysmon could see end
        }
        match why {
            Why::Declared => self.retakes.declared.add_shared(1),
            Why::Blocked => self.retakes.revoked.add_shared(1),
            Why::Hog => self.retakes.hogs.add_shared(1),
        }
        match secured {
            Secured::Nobody => self.handoff_p(p),
            Secured::Reserved(reserved) => self.give_p(p, reserved),
            Secured::Line => self.give_p_to_line(p),
        }
        Retake::Done
    }

    /// The steps of "The lease": ask, look again, take. `polls`: the poll that was judged, or whichever it is in.
    fn revoke(&self, m: &Machine, polls: Option<u64>) -> Option<OwnedP> {
        let revoking = m.lease.begin_revoke()?;
        let p = &self.procs[Lease::p_of(&revoking).index()];
        let polls = polls.unwrap_or_else(|| p.tally.polls.get());
        let won = m.lease.finish_revoke(revoking, || {
            m.unpin_from_outside(); // while REVOKING: an M that withdraws finds itself un-pinned
            p.tally.polls.get() == polls && p.holder() == m.id.as_u32()
        })?;
        let p = p.mint_won(won);
        p.set_holder(0);
        p.end_hold();
        Some(p)
    }

    /// Gives a P that was taken to the M in line whose turn it is, or to the one that was reserved.
    fn give_p(self: &Arc<Self>, p: OwnedP, reserved: Arc<Machine>) {
        if self.is_closing() {
            self.put_back_m(reserved);
            return self.retire_p_quietly(p);
        }
        let mut lists = self.lists();
        if lists.somebody_waits() && p.claim_line_turn() {
            let first = lists.release_p(self, p).expect("somebody is in line");
            drop(lists);
            first.wake(self);
            return self.put_back_m(reserved);
        }
        *reserved.lock_inbox() = Some(Assignment { p, spinning: None });
        drop(lists);
        reserved.wake(self);
    }

    /// Gives a P that was taken to the first in line. If the line is empty by now, somebody else had a P for it.
    fn give_p_to_line(self: &Arc<Self>, p: OwnedP) {
        let mut lists = self.lists();
        if !lists.somebody_waits() {
            drop(lists);
            return self.handoff_p(p);
        }
        let first = lists.release_p(self, p).expect("somebody is in line");
        drop(lists);
        first.wake(self);
    }
}
