//! Finds an M for a P: one in line, an idle one, a new thread; and what is done when there is none to be had.
//!
//! Go counterpart: `startm`, `newm` (`proc.go`).
//!
//! ```text
//!   start_m: M in line whose turn it is? ── yes ─▶ P into its inbox, unpark
//!               └─ no: idle M? ── yes ─▶ the same
//!                         └─ no: below max_threads? ── yes ─▶ a new thread
//!                                    └─ no, or none to be had ─▶ P's tasks to the injector, P idle
//! ```
//!
//! W1. A thread is started only if no M is idle, and if the line has had its turn.
//! W2. A refusal, by the limit or by the system, is counted each time and said once. Nothing fails: the work stays
//!     queued, the next submit tries again, the next M that would stop looks, and so does sysmon in each of its rounds.
//!
//! Absent: the end of a thread (`lists.rs`, M4; `shutdown.rs`).

use super::Shared;
use super::idle::Spinning;
use super::lists::Lists;
use super::machine::{Assignment, Machine};
use super::processor::OwnedP;
use super::sysmon;
use crate::sys::parker::Parker;
use crate::sys::thread::stderr_takes_a_line;
use crate::trace::record::Event;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

/// Where a P went that was to be given an M.
enum Start {
    Wake(Arc<Machine>),
    Thread(Assignment),
    Nobody,
}

/// What a new thread begins with.
pub(super) enum First {
    /// It looks for something to do.
    Nothing,
    /// This.
    Run(Assignment),
    /// It sleeps, reserved, as if it had been taken off the list of idle Ms (`retake.rs`, R2).
    Reserved,
}

impl Lists {
    /// No thread could be started, and that is said once. Under the lock nothing is printed: returns what to print.
    fn refused(&mut self, shared: &Shared, error: Option<&io::Error>) -> Option<String> {
        shared.failed_starts.add_shared(1);
        if std::mem::replace(&mut self.warned, true) {
            return None;
        }
        Some(match error {
            Some(error) => format!("the system starts no more threads ({error}); work waits for one"),
            None => {
                let limit = shared.config.max_threads;
                format!("all {limit} threads are in use (Builder::max_threads); work waits for one")
            }
        })
    }
}

fn say(what: Option<String>) {
    // On sysmon, only if it can't block there (sysmon.rs, S1).
    if let Some(what) = what.filter(|_| !sysmon::is_here() || stderr_takes_a_line()) {
        let _ = writeln!(io::stderr(), "gmprt: {what}"); // a closed stderr is no reason to panic here
    }
}

impl Shared {
    /// Gives `p` an M: one in line, an idle one, or a new thread. Go: `startm`.
    #[doc(alias = "startm")]
    pub(crate) fn start_m(self: &Arc<Self>, p: OwnedP, spinning: Option<Spinning>) {
        let (start, refused) = {
            let mut lists = self.lists();
            if spinning.is_none() && lists.somebody_waits() && p.claim_line_turn() {
                let m = lists.release_p(self, p).expect("somebody is in line");
                drop(lists);
                return m.wake(self);
            }
            match lists.idle_ms.pop() {
                Some(m) => {
                    *m.lock_inbox() = Some(Assignment { p, spinning });
                    (Start::Wake(m), None)
                }
                None if lists.threads < self.config.max_threads && !lists.closing => {
                    lists.threads += 1;
                    (Start::Thread(Assignment { p, spinning }), None)
                }
                None => {
                    let refused = if lists.closing { None } else { lists.refused(self, None) };
                    (self.no_m_for(&mut lists, p, spinning), refused)
                }
            }
        };
        say(refused);
        match start {
            Start::Wake(m) => m.wake(self),
            Start::Thread(assignment) => self.start_thread_for(assignment),
            Start::Nobody => self.rouse_sysmon(), // it tries again, and must not sleep without end
        }
    }

    fn start_thread_for(self: &Arc<Self>, assignment: Assignment) {
        let Err((error, First::Run(Assignment { p, spinning }))) = self.new_m(First::Run(assignment)) else {
            return;
        };
        let (start, refused) = {
            let mut lists = self.lists();
            let refused = lists.refused(self, Some(&error));
            (self.no_m_for(&mut lists, p, spinning), refused)
        };
        say(refused);
        match start {
            Start::Wake(m) => m.wake(self),
            _ => self.rouse_sysmon(),
        }
        self.m_ended(); // it was counted, and is not
    }

    /// No thread can be started for a P with work: it goes to an M that has become idle meanwhile, or to the
    /// first in line. Without either, its tasks go to the injector, where any M that runs finds them, and the
    /// P to the idle list, so that the next submit, or sysmon, tries again.
    fn no_m_for(&self, lists: &mut Lists, p: OwnedP, spinning: Option<Spinning>) -> Start {
        if let Some(m) = lists.idle_ms.pop() {
            *m.lock_inbox() = Some(Assignment { p, spinning });
            return Start::Wake(m);
        }
        // Whether it was the last spinner does not matter: there is no M to be woken in its stead.
        let _ = spinning.map(|spinning| spinning.give_up(&self.census));
        if lists.line.is_empty() {
            let mut n = 0;
            p.plunder(|task| {
                self.injector.push(task.into_raw());
                n += 1;
            });
            if n > 0 {
                self.note(Event::Plunder { p: p.id.0, n });
            }
        }
        match lists.release_p(self, p) {
            Some(m) => Start::Wake(m),
            None => Start::Nobody,
        }
    }

    /// Starts a thread, counted already, with `first` to do. Gives `first` back if there is none to be had.
    #[doc(alias = "newm")]
    pub(super) fn new_m(self: &Arc<Self>, first: First) -> Result<Arc<Machine>, (io::Error, First)> {
        let m = Arc::new(Machine::new(Parker::default()));
        let name = format!("{}-m{}", self.config.thread_name, m.id.as_u32());
        let reserved = matches!(first, First::Reserved);
        if let First::Run(assignment) = first {
            *m.lock_inbox() = Some(assignment);
        }
        let (shared, own) = (Arc::clone(self), Arc::clone(&m));
        let refused = self.refuses_threads().then(|| io::Error::from(io::ErrorKind::WouldBlock));
        let outcome = match refused {
            Some(error) => Err(error),
            None => thread::Builder::new().name(name).spawn(move || own.main(shared, reserved)),
        };
        match outcome {
            Ok(handle) => {
                let mut lists = self.lists();
                if !lists.ended {
                    lists.handles.insert(m.id.as_u32(), handle);
                }
                drop(lists);
                Ok(m)
            }
            Err(error) => {
                let first = match m.lock_inbox().take() {
                    Some(assignment) => First::Run(assignment),
                    None if reserved => First::Reserved,
                    None => First::Nothing,
                };
                Err((error, first))
            }
        }
    }

    /// Takes an M out of circulation: an idle one, or a new thread (`retake.rs`, R2). `None`: there is none to be had.
    pub(super) fn reserve_m(self: &Arc<Self>) -> Option<Arc<Machine>> {
        let refused = {
            let mut lists = self.lists();
            if lists.closing {
                return None;
            }
            if let Some(m) = lists.idle_ms.pop() {
                return Some(m);
            }
            if lists.threads < self.config.max_threads {
                lists.threads += 1;
                None
            } else {
                Some(lists.refused(self, None))
            }
        };
        if let Some(refused) = refused {
            say(refused);
            return None;
        }
        match self.new_m(First::Reserved) {
            Ok(m) => Some(m),
            Err((error, _)) => {
                let refused = self.lists().refused(self, Some(&error));
                say(refused);
                self.m_ended(); // it was counted, and is not
                None
            }
        }
    }

    /// Puts a reserved M back on the list.
    pub(super) fn put_back_m(&self, m: Arc<Machine>) {
        let mut lists = self.lists();
        if lists.closing {
            drop(lists);
            return m.wake(self); // its inbox is empty: it ends
        }
        lists.idle_ms.push(m);
    }
}
