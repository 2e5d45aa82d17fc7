//! Looks at threads that a script makes up.
//!
//! Absent: real threads, which `tests/blocking.rs` and `tests/hogs.rs` have.

use super::*;

const MS: u64 = 1_000_000;
const US: u64 = 1_000;

/// A thread as the test wants it.
struct Thread(Option<Nanos>, State);

impl Probe for Thread {
    fn cpu(&mut self) -> Option<Nanos> {
        self.0
    }
    fn state(&mut self) -> State {
        self.1
    }
}

/// Nobody may be asked: the answer would cost a system call.
struct Unasked;

impl Probe for Unasked {
    fn cpu(&mut self) -> Option<Nanos> {
        panic!("asked for the CPU clock")
    }
    fn state(&mut self) -> State {
        panic!("asked for the state")
    }
}

fn at(now: Nanos) -> Seen {
    Seen { now, polls: 5, m: 1, declared: 0, own_work: true, work: true, help: false }
}

/// Three looks, 20 µs apart, at a thread that stands still in `state`.
fn standing_still(state: State) -> Option<Why> {
    let mut watch = Watch::default();
    assert_eq!(watch.judge(&at(MS), &mut Unasked), Verdict::default());
    let mut thread = Thread(Some(7), state);
    let second = watch.judge(&at(MS + 20 * US), &mut thread);
    assert_eq!(second, Verdict { look_again: true, ..Verdict::default() });
    watch.judge(&at(MS + 40 * US), &mut thread).retake
}

#[test]
fn a_sleeping_thread_whose_clock_stands_is_blocked() {
    assert_eq!(standing_still(State::Sleeping), Some(Why::Blocked));
    assert_eq!(standing_still(State::Disk), None, "not as soon: it may be a page fault");
}

#[test]
fn a_thread_that_could_run_or_was_stopped_is_left_alone() {
    assert_eq!(standing_still(State::Other), None);
}

#[test]
fn a_clock_that_moves_is_a_poll_that_computes() {
    let mut watch = Watch::default();
    let _ = watch.judge(&at(MS), &mut Unasked);
    for look in 1..900 {
        // Found asleep by chance each time: a moment later it is not.
        let mut thread = Thread(Some(look * 100 * US), State::Sleeping);
        assert_eq!(watch.judge(&at(MS + look * 110 * US), &mut thread).retake, None);
    }
}

#[test]
fn another_poll_is_looked_at_anew() {
    let mut watch = Watch::default();
    for poll in 0..20 {
        let seen = Seen { polls: poll, ..at(MS + poll * 5 * MS) };
        assert_eq!(watch.judge(&seen, &mut Unasked).retake, None);
    }
}

#[test]
fn another_m_is_looked_at_anew_though_the_count_of_polls_stands() {
    let mut watch = Watch::default();
    for m in 1..20 {
        let seen = Seen { m, ..at(MS + u64::from(m) * 5 * MS) };
        assert_eq!(watch.judge(&seen, &mut Unasked), Verdict::default());
    }
}

#[test]
fn a_poll_that_is_in_nobodys_way_keeps_its_p() {
    let mut watch = Watch::default();
    for look in 0..9 {
        let seen = Seen { own_work: false, help: true, ..at(MS + look * MS) };
        let verdict = watch.judge(&seen, &mut Thread(Some(7), State::Sleeping));
        assert_eq!(verdict, Verdict::default());
    }
}

#[test]
fn after_a_while_a_blocked_p_is_taken_even_if_nobody_needs_it() {
    let mut watch = Watch::default();
    let mut thread = Thread(Some(7), State::Sleeping);
    let looks: Vec<_> = (0..=12)
        .map(|look| {
            let seen = Seen { own_work: false, work: false, help: true, ..at(MS + look * MS) };
            watch.judge(&seen, &mut thread).retake
        })
        .collect();
    assert_eq!(looks[9], None);
    assert_eq!(looks[10], Some(Why::Blocked));
}

#[test]
fn many_short_reads_count_as_blocked() {
    let mut watch = Watch::default();
    let _ = watch.judge(&at(MS), &mut Unasked);
    let mut thread = Thread(Some(0), State::Disk);
    let _ = watch.judge(&at(MS + 20 * US), &mut thread);
    let retake = |watch: &mut Watch, after: u64, cpu: u64, state| {
        watch.judge(&at(MS + 20 * US + after * US), &mut Thread(Some(cpu * US), state)).retake
    };
    assert_eq!(retake(&mut watch, 100, 10, State::Disk), None, "too soon to say");
    assert_eq!(retake(&mut watch, 250, 130, State::Disk), None, "it computes for more than half of the time");
    assert_eq!(retake(&mut watch, 300, 140, State::Sleeping), None, "asleep for a moment");
    assert_eq!(
        retake(&mut watch, 500, 150, State::Disk),
        Some(Why::Blocked),
        "a new window, and little in it"
    );
}

#[test]
fn many_short_sleeps_count_as_blocked_once_two_looks_find_one() {
    let mut watch = Watch::default();
    let _ = watch.judge(&at(MS), &mut Unasked);
    let look = |watch: &mut Watch, after: u64, cpu: u64, state| {
        watch.judge(&at(MS + 20 * US + after * US), &mut Thread(Some(cpu * US), state))
    };
    let _ = look(&mut watch, 0, 0, State::Sleeping);
    let _ = look(&mut watch, 30_000, 30_000, State::Other); // it computes, and then begins to sleep
    assert_eq!(look(&mut watch, 31_000, 30_010, State::Sleeping), look_again());
    assert_eq!(look(&mut watch, 31_020, 30_015, State::Other).retake, None, "awake for a moment");
    assert_eq!(look(&mut watch, 32_000, 30_030, State::Sleeping), look_again());
    assert_eq!(look(&mut watch, 32_020, 30_035, State::Sleeping).retake, Some(Why::Blocked));
}

fn look_again() -> Verdict {
    Verdict { look_again: true, ..Verdict::default() }
}

#[test]
fn a_declared_block_is_taken_after_20_us_and_no_system_call() {
    let mut watch = Watch::default();
    let declared = |now| Seen { declared: 3, ..at(now) };
    assert_eq!(watch.judge(&declared(MS), &mut Unasked), Verdict::default());
    let second = watch.judge(&declared(MS + 20 * US), &mut Unasked);
    assert_eq!(second, Verdict { look_again: true, ..Verdict::default() });
    assert_eq!(watch.judge(&declared(MS + 39 * US), &mut Unasked).retake, None);
    assert_eq!(watch.judge(&declared(MS + 40 * US), &mut Unasked).retake, Some(Why::Declared));
}

#[test]
fn short_declared_blocks_one_after_the_other_are_left_alone() {
    let mut watch = Watch::default();
    for look in 0..50 {
        let seen = Seen { declared: 2 * look + 1, ..at(MS + look * 20 * US) };
        assert_eq!(watch.judge(&seen, &mut Unasked).retake, None);
    }
}

#[test]
fn a_hog_is_taken_after_100_ms_of_cpu_if_no_p_is_idle() {
    let mut watch = Watch::default();
    let _ = watch.judge(&at(MS), &mut Unasked);
    // It gets a fourth of a core: the wall clock does not count.
    let mut retake = |cpu: u64, help| {
        let seen = Seen { help, own_work: true, ..at(2 * MS + 4 * cpu * MS) };
        watch.judge(&seen, &mut Thread(Some(cpu * MS), State::Other)).retake
    };
    assert_eq!(retake(0, false), None);
    assert_eq!(retake(99, false), None);
    assert_eq!(retake(120, true), None, "somebody else has time for what waits");
    assert_eq!(retake(130, false), Some(Why::Hog));
}

#[test]
fn a_poll_is_asked_to_yield_once_in_each_slice_of_cpu_time() {
    let mut watch = Watch::default();
    let asked: Vec<_> = (0..=25)
        .filter(|&ms| {
            // Half of the time the kernel runs somebody else.
            let mut thread = Thread(Some(ms * MS), State::Other);
            watch.judge(&at(MS + 2 * ms * MS), &mut thread).preempt
        })
        .collect();
    assert_eq!(asked, [11, 21], "the first look reads no clock");
}

#[test]
fn a_p_at_rest_is_forgotten() {
    let mut watch = Watch::default();
    let _ = watch.judge(&at(MS), &mut Unasked);
    watch.rest();
    assert_eq!(watch.judge(&at(90 * MS), &mut Unasked), Verdict::default());
}
