//! Where an M looks for its next task, and in which order.
//!
//! Go counterpart: `findRunnable` (`proc.go`), without its gotos, its garbage collector and its tracer.
//!
//! ```text
//!   timers ─▶ every 61st: injector ─▶ runnext ─▶ ring ─▶ injector ─▶ poller ─▶ steal ─▶ idle protocol
//!                                     (own P, no other M can see us)  │ (others are disturbed)
//! ```
//!
//! F1. Each source is asked in this order, and the first task found ends the search.
//! F2. A task from `runnext` inherits the time slice (Go: `inheritTime`): a pair of tasks that wake each
//!     other counts as one. When the chain's slice is up its task goes to the ring's tail, a batch comes
//!     from the injector behind it, and the ring is served.
//! F3. Before an M blocks, it gives its P up and its spinning, and then looks at every source once more
//!     (`last_look`): what was published before the submitter looked for a spinner is found here, or
//!     the submitter found us idle (FENCE-SUBMIT, FENCE-PARK in `sched/idle.rs`).
//!
//! Absent: atomics, clocks, threads. The real P and a scripted fake both implement [`Sources`].

use super::tuning::{INJECTOR_EVERY, STEAL_ROUNDS};

/// What an M can look at.
pub(crate) trait Sources {
    /// A task that was found.
    type Task;

    /// Fires this P's due timers, which ready tasks, and does what sysmon asks for, which may yield a task of the
    /// injector's. `Err`: the P was taken meanwhile.
    fn run_due_timers(&mut self) -> Result<Option<Self::Task>, Released>;
    /// Tasks run so far that did not inherit their slice.
    fn schedtick(&self) -> u32;
    /// One task from the injector.
    fn injector_one(&mut self) -> Option<Self::Task>;
    /// Whether a chain of inherited slices has used its time up.
    fn chain_is_over(&mut self) -> bool;
    /// Moves the task in `runnext`, if any, to the ring's tail, and a batch from the injector behind it.
    fn end_chain(&mut self);
    /// The task in `runnext`.
    fn runnext(&mut self) -> Option<Self::Task>;
    /// The oldest task of the ring.
    fn ring(&mut self) -> Option<Self::Task>;
    /// One task from the injector, and a batch behind it into the ring.
    fn injector_batch(&mut self) -> Option<Self::Task>;
    /// A task whose I/O is ready; does not wait.
    fn poller(&mut self) -> Option<Self::Task>;
    /// Becomes spinning, unless enough Ms spin already. True also if it was spinning before.
    fn try_spin(&mut self) -> bool;
    /// One walk over the other Ps; in the last, their timers and `runnext` too. `Err`: the P was taken meanwhile.
    fn steal(&mut self, last_round: bool) -> Result<Option<Self::Task>, Released>;
    /// Gives up P and spinning, and looks at every source once more. `Err`: the P is gone.
    fn last_look(&mut self) -> Result<Option<Self::Task>, Released>;
}

/// The P is gone: given up because nothing was to be done, or taken while a timer's waker ran. The M blocks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Released;

/// The outcome of a search.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Found<T> {
    /// Run this; `inherits` its predecessor's time slice (F2).
    Task { task: T, inherits: bool },
    /// Nothing anywhere. The P is given up.
    Nothing,
}

fn fresh<T>(task: T) -> Found<T> {
    Found::Task { task, inherits: false }
}

/// Finds the next task to run (F1), or gives the P up.
#[inline]
pub(crate) fn find_runnable<S: Sources>(p: &mut S) -> Found<S::Task> {
    loop {
        // 1. Timers that are due wake their tasks before anything else is looked at.
        match p.run_due_timers() {
            Ok(None) => {}
            Ok(Some(task)) => return fresh(task), // sysmon found that the injector's head has waited for too long
            Err(Released) => return Found::Nothing,
        }

        // 2. Now and then the injector comes first, or two busy local tasks could starve it.
        if p.schedtick().is_multiple_of(INJECTOR_EVERY)
            && let Some(task) = p.injector_one()
        {
            return fresh(task);
        }

        // 3. What the last task readied: its data is in this core's cache.
        if p.chain_is_over() {
            p.end_chain();
        } else if let Some(task) = p.runnext() {
            return Found::Task { task, inherits: true };
        }

        // 4. The local queue, oldest first.
        if let Some(task) = p.ring() {
            return fresh(task);
        }

        // 5. A fair share of the injector.
        if let Some(task) = p.injector_batch() {
            return fresh(task);
        }

        // 6. I/O that is ready.
        if let Some(task) = p.poller() {
            return fresh(task);
        }

        // 7. Other Ps' work, if not too many Ms look for it already.
        if p.try_spin() {
            for round in 1..=STEAL_ROUNDS {
                match p.steal(round == STEAL_ROUNDS) {
                    Ok(Some(task)) => return fresh(task),
                    Ok(None) => {}
                    Err(Released) => return Found::Nothing,
                }
            }
        }

        // 8. Give the P up, then look once more (F3).
        match p.last_look() {
            Ok(Some(task)) => return fresh(task),
            Ok(None) => {} // work was seen and a P taken again: search anew
            Err(Released) => return Found::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Answers from a script, and writes down what it was asked.
    #[derive(Default)]
    struct Script {
        asked: Vec<&'static str>,
        tick: u32,
        answers: Vec<(&'static str, u32)>,
        chain_over: bool,
        may_spin: bool,
        last: VecDeque<Result<Option<u32>, Released>>,
    }

    impl Script {
        fn ask(&mut self, what: &'static str) -> Option<u32> {
            self.asked.push(what);
            self.answers.iter().find(|(source, _)| *source == what).map(|&(_, task)| task)
        }
    }

    impl Sources for Script {
        type Task = u32;
        fn run_due_timers(&mut self) -> Result<Option<u32>, Released> {
            match self.ask("timers") {
                Some(0) => Err(Released),
                task => Ok(task),
            }
        }
        fn schedtick(&self) -> u32 {
            self.tick
        }
        fn injector_one(&mut self) -> Option<u32> {
            self.ask("injector one")
        }
        fn chain_is_over(&mut self) -> bool {
            self.chain_over
        }
        fn end_chain(&mut self) {
            self.ask("end chain");
        }
        fn runnext(&mut self) -> Option<u32> {
            self.ask("runnext")
        }
        fn ring(&mut self) -> Option<u32> {
            self.ask("ring")
        }
        fn injector_batch(&mut self) -> Option<u32> {
            self.ask("injector batch")
        }
        fn poller(&mut self) -> Option<u32> {
            self.ask("poller")
        }
        fn try_spin(&mut self) -> bool {
            self.may_spin
        }
        fn steal(&mut self, last_round: bool) -> Result<Option<u32>, Released> {
            Ok(self.ask(if last_round { "steal last" } else { "steal" }))
        }
        fn last_look(&mut self) -> Result<Option<u32>, Released> {
            self.asked.push("last look");
            self.last.pop_front().unwrap_or(Err(Released))
        }
    }

    #[test]
    fn an_idle_search_asks_everything_in_gos_order() {
        let mut script = Script { tick: 61, may_spin: true, ..Script::default() };
        assert_eq!(find_runnable(&mut script), Found::Nothing);
        let order = [
            "timers",
            "injector one",
            "runnext",
            "ring",
            "injector batch",
            "poller",
            "steal",
            "steal",
            "steal",
            "steal last",
            "last look",
        ];
        assert_eq!(script.asked, order);
    }

    #[test]
    fn the_injector_comes_first_only_at_each_61st_tick() {
        for tick in 1..200 {
            let mut script =
                Script { tick, answers: vec![("injector one", 1), ("ring", 2)], ..Script::default() };
            let expected = if tick % 61 == 0 { 1 } else { 2 };
            assert_eq!(find_runnable(&mut script), Found::Task { task: expected, inherits: false });
        }
    }

    #[test]
    fn an_injector_that_has_waited_comes_first_at_any_tick() {
        let answers = vec![("timers", 1), ("runnext", 2)];
        let mut script = Script { tick: 5, answers, ..Script::default() };
        assert_eq!(find_runnable(&mut script), Found::Task { task: 1, inherits: false });
    }

    #[test]
    fn a_p_lost_to_a_timers_waker_ends_the_search() {
        let answers = vec![("timers", 0), ("ring", 1)];
        let mut script = Script { tick: 5, answers, ..Script::default() };
        assert_eq!(find_runnable(&mut script), Found::Nothing);
        assert_eq!(script.asked, ["timers"]);
    }

    #[test]
    fn only_runnext_inherits_the_slice() {
        let mut script = Script { tick: 1, answers: vec![("runnext", 7), ("ring", 8)], ..Script::default() };
        assert_eq!(find_runnable(&mut script), Found::Task { task: 7, inherits: true });
    }

    #[test]
    fn a_chain_that_is_over_lets_the_ring_go_first() {
        let mut script = Script {
            tick: 1,
            chain_over: true,
            answers: vec![("runnext", 7), ("ring", 8)],
            ..Script::default()
        };
        assert_eq!(find_runnable(&mut script), Found::Task { task: 8, inherits: false });
        assert_eq!(script.asked, ["timers", "end chain", "ring"]);
    }

    #[test]
    fn without_a_place_among_the_spinners_nothing_is_stolen() {
        let mut script = Script { tick: 1, answers: vec![("steal", 9)], ..Script::default() };
        assert_eq!(find_runnable(&mut script), Found::Nothing);
        assert!(!script.asked.contains(&"steal"));
    }

    #[test]
    fn work_seen_in_the_last_look_starts_a_new_search() {
        let mut script =
            Script { tick: 1, last: VecDeque::from([Ok(None), Ok(Some(3))]), ..Script::default() };
        assert_eq!(find_runnable(&mut script), Found::Task { task: 3, inherits: false });
        assert_eq!(script.asked.iter().filter(|asked| **asked == "last look").count(), 2);
    }
}
