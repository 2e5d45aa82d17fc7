//! Models of the lease: M and revoker never touch a P at the same time (X1, X2).

use super::*;
use crate::sys::primitive::{Arc, Mutex, cell::UnsafeCell};
use loom::thread;
use std::mem;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

/// A P's owner-only part: loom reports two who are in it at the same time.
struct P(UnsafeCell<u32>);

impl P {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn touch(&self) {
        // SAFETY: X1 and X2 are what is checked here, by loom.
        self.0.with_mut(|n| unsafe { *n += 1 });
    }
}

const P0: ProcessorId = ProcessorId(0);
const P1: ProcessorId = ProcessorId(1);

/// An M in a poll that enters the runtime `entries` times, each time with a nested entry.
fn poll(lease: &Lease, p: &P, entries: usize) {
    lease.leave();
    for _ in 0..entries {
        let _inside = lease.enter();
        if lease.holds() {
            p.touch();
            {
                let _nested = lease.enter();
                if lease.holds() {
                    p.touch();
                }
            }
            p.touch(); // a nested entry has left us inside
        }
    }
    mem::forget(lease.enter()); // the poll is over
}

fn revoke(lease: &Lease) -> Option<Won> {
    let revoking = lease.begin_revoke()?;
    lease.finish_revoke(revoking, || true)
}

/// An M in a poll against a revoker.
fn poll_against_revoker(entries: usize, attempts: usize) {
    check(move || {
        let shared = Arc::new((Lease::new(), P::new()));
        shared.0.take(P0);
        let other = Arc::clone(&shared);
        let revoker = thread::spawn(move || {
            let (lease, p) = &*other;
            (0..attempts).any(|_| {
                revoke(lease).is_some_and(|_won| {
                    p.touch();
                    true
                })
            })
        });
        let (lease, p) = &*shared;
        poll(lease, p, entries);
        let kept = lease.holds();
        if kept {
            p.touch();
        }
        let won = revoker.join().unwrap();
        assert!(kept != won, "both or neither has the P: kept {kept}, won {won}");
    });
}

#[test]
fn loom_lease_m_and_revoker_exclude_each_other() {
    poll_against_revoker(1, 1);
}

#[test]
fn loom_lease_a_second_attempt_after_a_withdrawal() {
    poll_against_revoker(1, 2);
}

/// The M gives its P up inside the poll (a declared block), takes a spare one, and ends the poll with that.
#[test]
fn loom_lease_giving_up_inside_a_poll_with_a_spare_p() {
    check(|| {
        let shared = Arc::new((Lease::new(), [P::new(), P::new()], Mutex::new(Vec::<ProcessorId>::new())));
        shared.0.take(P0);
        let other = Arc::clone(&shared);
        let revoker = thread::spawn(move || {
            let (lease, ps, handed) = &*other;
            for _ in 0..2 {
                if let Some(won) = revoke(lease) {
                    ps[won.p().index()].touch();
                    handed.lock().unwrap().push(won.p());
                }
            }
        });
        let (lease, ps, handed) = &*shared;
        lease.leave();
        {
            let _inside = lease.enter();
            if lease.holds() {
                ps[0].touch();
                if lease.give_up() {
                    ps[0].touch();
                    handed.lock().unwrap().push(P0);
                }
            }
            // Back from the block: P0 may have been given to anybody; P1 is spare.
            if lease.word.load(Relaxed) & STATE == REVOKED {
                lease.take(P1);
            }
        }
        {
            let _inside = lease.enter();
            if lease.holds() {
                ps[p_of(lease.word.load(Relaxed)).index()].touch();
            }
        }
        mem::forget(lease.enter());
        if lease.holds() {
            let p = p_of(lease.word.load(Relaxed));
            ps[p.index()].touch();
            assert!(lease.give_up());
            handed.lock().unwrap().push(p);
        }
        revoker.join().unwrap();
        let mut handed = handed.lock().unwrap().clone();
        handed.sort_unstable();
        assert_eq!(handed, [P0, P1], "each P is given up exactly once");
    });
}

#[test]
fn loom_lease_canary_the_fence_pair_is_needed() {
    weaken::without("FENCE-LEASE", || poll_against_revoker(1, 1));
}

#[test]
fn loom_lease_canary_leaving_must_release() {
    weaken::without("lease.leave", || poll_against_revoker(1, 1));
}

/// Runs a model that breaks a rule of the protocol, and must fail.
fn must_fail(rule: &str, model: impl Fn() + Sync + Send + 'static) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(model)));
    assert!(outcome.is_err(), "canary: the model passes although {rule}");
}

/// `m`, which begins inside with P0 in its hand, against `revokers`, must fail.
fn must_fail_against(revokers: usize, rule: &str, m: fn(&Lease, &P)) {
    must_fail(rule, move || {
        let shared = Arc::new((Lease::new(), P::new()));
        shared.0.take(P0);
        let revokers: Vec<_> = (0..revokers)
            .map(|_| {
                let other = Arc::clone(&shared);
                thread::spawn(move || revoke(&other.0).map(|_won| other.1.touch()))
            })
            .collect();
        m(&shared.0, &shared.1);
        for revoker in revokers {
            revoker.join().unwrap();
        }
    });
}

#[test]
fn loom_lease_canary_a_nested_entry_that_clears_inside() {
    must_fail_against(1, "a nested entry clears `inside`", |lease, p| {
        lease.leave();
        let _inside = lease.enter();
        if lease.holds() {
            p.touch();
            mem::forget(lease.enter());
            lease.leave(); // the fault
            p.touch();
        }
    });
}

#[test]
fn loom_lease_canary_resolving_by_a_plain_store() {
    must_fail_against(1, "REVOKING is resolved by a store", |lease, p| {
        lease.leave();
        mem::forget(lease.enter());
        match lease.word.load(Acquire) & STATE {
            HELD => p.touch(),
            REVOKING => {
                lease.word.store(word(P0, HELD), Release); // the fault
                p.touch();
            }
            _ => {}
        }
    });
}

#[test]
fn loom_lease_canary_two_revokers() {
    must_fail_against(2, "there are two revokers", |lease, p| {
        poll(lease, p, 1);
        if lease.holds() {
            p.touch();
        }
    });
}

/// The lease in the P instead of the M: a P that went round through another M looks lent again.
#[test]
fn loom_lease_canary_a_lease_that_lives_in_the_p() {
    must_fail("the lease is the P's", || {
        let shared = Arc::new((Lease::new(), P::new()));
        shared.0.take(P0);
        shared.0.leave();
        let other = Arc::clone(&shared);
        let revoker_and_second_m = thread::spawn(move || {
            let (lease, p) = &*other;
            if let Some(won) = revoke(lease) {
                lease.take(won.p()); // the second M, on the same lease
                p.touch();
            }
        });
        let (lease, p) = &*shared;
        {
            let _inside = lease.enter();
            if lease.holds() {
                p.touch();
            }
        }
        revoker_and_second_m.join().unwrap();
    });
}
