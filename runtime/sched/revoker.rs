//! Takes Ps away at random polls, so that a test suite sees what otherwise happens once in a blue moon.
//!
//! Go counterpart: the stress modes of `debug.gcstoptheworld`'s kind; what is done here is `retake`.
//!
//! `GMPRT_TEST_REVOKE=<per mille>` is read when a runtime is built. At that share of polls the M asks its
//! own revocation before it calls the future: in one half of them it waits until the revoker has answered,
//! so that the poll certainly runs without its P; in the other half it goes on at once, so that the
//! answer comes anywhere in the poll or after it.
//!
//! G1. One thread per runtime revokes (lease.rs, X3), and only where an M for the P is likely to be had. That
//!     is a look and no reservation: the P may end up idle, its tasks in the injector. sysmon will have to reserve.
//! G2. The P that it wins is minted anew and handed over; the M whose it was forgets it (processor.rs, P1).
//!
//! Absent: a judgment whether the M deserved it. That is sysmon's.

use super::Shared;
use super::lease::Lease;
use super::machine::Machine;
use crate::queue::victims::next_random;
use std::cell::Cell;
use std::io::{self, Write};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

/// One request: the M whose P is to be taken, and the number of the request.
type Request = (Arc<Machine>, u64);

/// The requests' end of the revoker's thread.
pub(crate) struct Revoker {
    per_mille: u64,
    requests: Mutex<Option<Sender<Request>>>,
    inbox: Mutex<Option<Receiver<Request>>>,
    asked: AtomicU64,
    answered: AtomicU64,
}

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

impl Revoker {
    /// A revoker, if the environment asks for one.
    pub(super) fn from_environment() -> Option<Self> {
        let text = std::env::var("GMPRT_TEST_REVOKE").ok()?;
        let per_mille = text.parse().unwrap_or(0);
        if !(1..=1000).contains(&per_mille) {
            let complaint = "is not a number from 1 to 1000; ignored";
            let _ = writeln!(io::stderr(), "gmprt: GMPRT_TEST_REVOKE={text:?} {complaint}");
            return None;
        }
        let (sender, receiver) = channel();
        Some(Self {
            per_mille,
            requests: Mutex::new(Some(sender)),
            inbox: Mutex::new(Some(receiver)),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        })
    }

    /// Starts the thread. Without it, requests are answered by nobody, and so none is made.
    pub(super) fn start(shared: &Arc<Shared>) {
        let Some(revoker) = &shared.revoker else { return };
        let inbox = revoker.inbox.lock().expect("nothing panics under this lock").take();
        let (Some(inbox), weak) = (inbox, Arc::downgrade(shared)) else { return };
        let name = format!("{}-revoke", shared.config.thread_name);
        if thread::Builder::new().name(name).spawn(move || serve(&inbox, &weak)).is_err() {
            revoker.close();
        }
    }

    fn close(&self) {
        self.requests.lock().expect("nothing panics under this lock").take();
    }

    /// In user code, at the beginning of a poll: asks for the revocation of the own P, now and then.
    pub(super) fn maybe_revoke_me(&self, m: &Arc<Machine>) {
        let random = RANDOM.with(|random| {
            if random.get() == 0 {
                random.set(u64::from(m.id.0).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            }
            next_random(random)
        });
        if (random >> 8) % 1000 >= self.per_mille {
            return;
        }
        let number = {
            let requests = self.requests.lock().expect("nothing panics under this lock");
            let Some(requests) = &*requests else { return };
            // Ordering: Relaxed; under the lock.
            let number = self.asked.fetch_add(1, Relaxed) + 1;
            if requests.send((Arc::clone(m), number)).is_err() {
                return;
            }
            number
        };
        if random & 1 == 0 {
            // Ordering: Acquire; pairs with the Release store in `serve`.
            while self.answered.load(Acquire) < number {
                thread::yield_now();
            }
        }
    }
}

/// The thread: answers requests in their order until the runtime closes.
fn serve(inbox: &Receiver<Request>, shared: &Weak<Shared>) {
    while let Ok((m, number)) = inbox.recv() {
        let Some(shared) = shared.upgrade() else { return };
        shared.retake(&m);
        let revoker = shared.revoker.as_ref().expect("we are its thread");
        // Ordering: Release; pairs with the Acquire load in `maybe_revoke_me`.
        revoker.answered.store(number, Release);
    }
}

impl Shared {
    /// No request is made any more, and the revoker's thread ends.
    pub(super) fn close_revoker(&self) {
        if let Some(revoker) = &self.revoker {
            revoker.close();
        }
    }

    /// Takes the P of `m` if it is in user code, and hands it over. Go: `retake`.
    fn retake(self: &Arc<Self>, m: &Arc<Machine>) -> bool {
        if self.is_closing() || !self.lists().could_start(self) {
            return false;
        }
        let Some(p) = self.revoke(m) else { return false };
        self.retakes.revoked.add_shared(1);
        self.handoff_p(p);
        true
    }

    /// The steps of section "The lease": note, ask, look again, take.
    fn revoke(&self, m: &Machine) -> Option<super::processor::OwnedP> {
        let revoking = m.lease.begin_revoke()?;
        let p = &self.procs[Lease::p_of(&revoking).index()];
        let polls = p.tally.polls.get();
        let won = m.lease.finish_revoke(revoking, || {
            m.unpin(); // while REVOKING: an M that withdraws finds itself un-pinned
            p.tally.polls.get() == polls && p.holder() == m.id.0
        })?;
        Some(p.mint_won(won))
    }
}
