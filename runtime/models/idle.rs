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
                    census.submitted(false) == Call::Machine && census.claim_wake().is_some()
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
        let woken = census.submitted(false) == Call::Machine && census.claim_wake().is_some();
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
                census.submitted(false) == Call::Machine && census.claim_wake().is_some()
            })
        };
        work.fetch_sub(1, Relaxed); // the spinner takes one
        let passed_on = spinning.found_work(&census) == WasLast(true) && census.claim_wake().is_some();
        let woken = submitter.join().unwrap();
        assert!(passed_on || woken, "the second task waits beside an idle P");
        assert!(!(passed_on && woken) || census.counts().1 == 1, "one wake is on its way at a time");
    });
}

/// sysmon lies down for long while a task is put into an empty `runnext`, where nobody else will look (N4).
fn sysmon_against_a_submitter() {
    check(|| {
        let census = Arc::new(Census::new(1));
        let work = Arc::new(AtomicU32::new(0));
        let sysmon = {
            let (census, work) = (Arc::clone(&census), Arc::clone(&work));
            thread::spawn(move || {
                census.sysmon_sleeps(false);
                work.load(Relaxed) > 0
            })
        };
        work.fetch_add(1, Relaxed);
        let roused = census.submitted(true) == Call::Sysmon && census.end_long_sleep();
        let seen = sysmon.join().unwrap();
        assert!(seen || roused, "sysmon sleeps for long beside a task that nobody looks at");
    });
}

#[test]
fn loom_idle_sysmon_does_not_sleep_beside_work() {
    sysmon_against_a_submitter();
}

/// sysmon lies down without end while the last idle P is taken (N5).
#[test]
fn loom_idle_sysmon_is_roused_when_a_p_is_taken() {
    check(|| {
        let census = Arc::new(Census::new(1));
        let sysmon = {
            let census = Arc::clone(&census);
            thread::spawn(move || {
                census.sysmon_sleeps(true);
                census.counts().0 == 0 // not every P is idle: it gets up
            })
        };
        census.p_taken();
        let roused = census.sysmon_sleeps_deeply() && census.end_long_sleep();
        let seen = sysmon.join().unwrap();
        assert!(seen || roused, "sysmon sleeps without end beside a P at work");
    });
}

#[test]
fn loom_idle_canary_each_fence_is_needed() {
    weaken::without("FENCE-SUBMIT", || last_spinner_against_submitters(1));
    weaken::without("FENCE-PARK", || last_spinner_against_submitters(1));
    weaken::without("FENCE-SUBMIT", sysmon_against_a_submitter);
    weaken::without("FENCE-LONG", sysmon_against_a_submitter);
}
