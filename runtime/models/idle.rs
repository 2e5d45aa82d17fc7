//! Models of parking: nobody sleeps while work waits (N3).

use super::*;
use crate::sys::primitive::{Arc, AtomicU32};
use loom::thread;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

/// One P, its M about to give up; `submitters` publish one task each.
///
/// Somebody must deal with every task: the M in its last look, or an M that a submitter wakes.
fn last_spinner_against_submitters(submitters: usize) {
    check(move || {
        let census = Arc::new(Census::new(0));
        let spinning = census.try_spin(2).expect("nobody spins yet");
        let work = Arc::new(AtomicU32::new(0));
        let threads: Vec<_> = (0..submitters)
            .map(|_| {
                let (census, work) = (Arc::clone(&census), Arc::clone(&work));
                thread::spawn(move || {
                    work.fetch_add(1, Relaxed);
                    census.submitted() && census.claim_wake().is_some()
                })
            })
            .collect();
        census.p_idle();
        let _last = spinning.give_up(&census);
        census.before_last_look();
        let seen = work.load(Relaxed) > 0;
        let woken = threads
            .into_iter()
            .filter(|_| true)
            .map(|thread| thread.join().unwrap())
            .fold(false, |a, b| a | b);
        assert!(seen || woken, "work was published, and nobody comes for it");
    });
}

#[test]
fn loom_idle_no_wakeup_is_lost() {
    last_spinner_against_submitters(1);
}

#[test]
fn loom_idle_no_wakeup_is_lost_with_two_submitters() {
    last_spinner_against_submitters(2);
}

/// Two Ms give up at the same time as a task is published.
#[test]
fn loom_idle_two_that_give_up() {
    check(|| {
        let census = Arc::new(Census::new(0));
        let work = Arc::new(AtomicU32::new(0));
        let spinners: Vec<_> = (0..2)
            .map(|_| {
                let (census, work) = (Arc::clone(&census), Arc::clone(&work));
                let spinning = census.try_spin(8).expect("there is room for two");
                thread::spawn(move || {
                    census.p_idle();
                    let _last = spinning.give_up(&census);
                    census.before_last_look();
                    work.load(Relaxed) > 0
                })
            })
            .collect();
        work.fetch_add(1, Relaxed);
        let woken = census.submitted() && census.claim_wake().is_some();
        let seen = spinners.into_iter().map(|spinner| spinner.join().unwrap()).fold(false, |a, b| a | b);
        assert!(seen || woken);
    });
}

/// A spinner finds the first of two tasks; the second's submitter relied on it. It was the last, so it wakes
/// another (N2).
#[test]
fn loom_idle_the_last_spinner_that_finds_work_wakes_another() {
    check(|| {
        let census = Arc::new(Census::new(1));
        let spinning = census.try_spin(4).expect("nobody spins yet");
        let work = Arc::new(AtomicU32::new(1));
        let submitter = {
            let (census, work) = (Arc::clone(&census), Arc::clone(&work));
            thread::spawn(move || {
                work.fetch_add(1, Relaxed);
                census.submitted() && census.claim_wake().is_some()
            })
        };
        work.fetch_sub(1, Relaxed); // the spinner takes one
        let passed_on = spinning.found_work(&census) == WasLast(true) && census.claim_wake().is_some();
        let woken = submitter.join().unwrap();
        assert!(passed_on || woken, "the second task waits beside an idle P");
        assert!(!(passed_on && woken) || census.counts().1 == 1, "one wake is on its way at a time");
    });
}

#[test]
fn loom_idle_canary_each_fence_is_needed() {
    weaken::without("FENCE-SUBMIT", || last_spinner_against_submitters(1));
    weaken::without("FENCE-PARK", || last_spinner_against_submitters(1));
}
