//! Takes Ps away at random polls, so that a test suite sees what otherwise happens once in a blue moon.
//!
//! Go counterpart: the stress modes of `debug.gcstoptheworld`'s kind; what is done here is `retake`.
//!
//! `GMPRT_TEST_REVOKE=<per mille>` is read when a runtime is built. At that share of polls the M asks its
//! own revocation before it calls the future: in one half of them it waits until the revoker has answered,
//! so that the poll certainly runs without its P; in the other half it goes on at once, so that the
//! answer comes anywhere in the poll or after it.
//!
//! G1. Requests are served by sysmon, the one revoker of a runtime (lease.rs, X3).
//! G2. Once the runtime closes no request is made any more, and those made are answered without a deed.
//!
//! Absent: a judgment whether the M deserved it. That is `policy/retake.rs`.

use super::Shared;
use super::machine::Machine;
use crate::policy::retake::Why;
use crate::queue::victims::next_random;
use std::cell::Cell;
use std::io::{self, Write};
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What the tests ask of sysmon.
pub(crate) struct Revoker {
    per_mille: u64,
    requests: Mutex<Requests>,
    answered: AtomicU64,
}

#[derive(Default)]
struct Requests {
    waiting: Vec<Arc<Machine>>,
    asked: u64,
    closed: bool,
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
        Some(Self { per_mille, requests: Mutex::default(), answered: AtomicU64::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().expect("nothing panics under this lock")
    }

    fn wants_one(&self, m: &Machine) -> Option<bool> {
        let random = RANDOM.with(|random| {
            if random.get() == 0 {
                random.set(u64::from(m.id.as_u32()).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            }
            next_random(random)
        });
        ((random >> 8) % 1000 < self.per_mille).then_some(random & 1 == 0)
    }
}

impl Shared {
    /// In user code, at the beginning of a poll: asks for the revocation of the own P, now and then.
    #[inline]
    pub(super) fn maybe_revoke_me(&self, m: &Arc<Machine>) {
        if let Some(revoker) = &self.revoker {
            self.ask(revoker, m);
        }
    }

    #[cold]
    fn ask(&self, revoker: &Revoker, m: &Arc<Machine>) {
        let Some(waits) = revoker.wants_one(m) else { return };
        let number = {
            let mut requests = revoker.lock();
            if requests.closed {
                return;
            }
            requests.waiting.push(Arc::clone(m));
            requests.asked += 1;
            requests.asked
        };
        self.sysmon.poke();
        // Ordering: Acquire; pairs with the Release store in `serve_requests`.
        while waits && revoker.answered.load(Acquire) < number {
            // No yield: on Linux 6.18 it gives up a whole slice for each rival on the core, and on one core this
            // thread was not seen again for half a minute.
            thread::sleep(Duration::from_micros(5));
        }
    }

    /// sysmon: takes the Ps that it was asked to take.
    pub(super) fn serve_requests(self: &Arc<Self>) {
        let Some(revoker) = &self.revoker else { return };
        let (waiting, asked) = {
            let mut requests = revoker.lock();
            (std::mem::take(&mut requests.waiting), requests.asked)
        };
        for m in &waiting {
            let _taken = self.retake(m, None, Why::Blocked, true);
        }
        // Ordering: Release; pairs with the Acquire load in `ask`.
        revoker.answered.store(asked, Release);
    }

    /// sysmon ends: no request is made any more (G2).
    pub(super) fn refuse_requests(self: &Arc<Self>) {
        if let Some(revoker) = &self.revoker {
            revoker.lock().closed = true;
            self.serve_requests(); // while closing, `retake` takes nothing
        }
    }
}
