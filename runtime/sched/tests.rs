//! Tests of what no public call can bring about: a system that has no more threads.
//!
//! Absent: everything that the tests in `tests/` can reach.

use super::*;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Sender, channel};

fn config(procs: usize, max_threads: usize, refuse_threads: bool) -> Config {
    Config {
        procs,
        max_threads,
        affinity: Affinity::None,
        thread_name: "test".into(),
        unhandled_panic: UnhandledPanic::Report,
        max_blocking: 16,
        keep_alive: Duration::from_secs(10),
        trace: None,
        deadlock_detection: false,
        print_dump: |_| String::new(),
        long_polls: None,
        refuse_threads,
    }
}

fn spawn<F>(shared: &Arc<Shared>, future: F) -> crate::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    shared.spawn(std::panic::Location::caller(), future)
}

/// A task whose poll keeps its M until the gate is opened by a message; it has begun.
fn stuck(shared: &Arc<Shared>) -> (crate::task::JoinHandle<()>, Sender<()>) {
    let (entered, begun) = channel();
    let (gate, opened) = channel();
    let task = spawn(shared, async move {
        entered.send(()).unwrap();
        opened.recv().unwrap();
    });
    begun.recv().unwrap();
    (task, gate)
}

/// Waits until `done` holds; the test runner's limit is the watchdog.
fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

#[test]
fn no_thread_at_build_is_an_error() {
    let error = Shared::start(config(2, 10, true)).err().expect("there is no thread to be had");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn without_threads_work_waits_for_the_m_there_is() {
    let shared = Shared::start(config(4, 10, false)).unwrap();
    shared.refuse_threads.store(true, SeqCst);
    let (first, gate) = stuck(&shared);
    let rest: Vec<_> = (0..100u64).map(|n| spawn(&shared, async move { n })).collect();
    until(|| shared.failed_starts.get() > 0);
    assert!(rest.iter().all(|task| !task.is_finished()), "nobody is there to run them");
    gate.send(()).unwrap();
    let sum: u64 = rest.into_iter().map(|task| block_on::block_on(&shared, task).unwrap()).sum();
    assert_eq!(sum, 4950);
    block_on::block_on(&shared, first).unwrap();
    shared.refuse_threads.store(false, SeqCst);
    shared.shut_down(None).unwrap();
}

#[test]
fn once_threads_are_to_be_had_again_the_next_submit_starts_one_and_it_serves_all() {
    let shared = Shared::start(config(3, 10, false)).unwrap();
    shared.refuse_threads.store(true, SeqCst);
    let (stuck, gate) = stuck(&shared);
    let waiting = spawn(&shared, async {});
    until(|| shared.failed_starts.get() > 0);
    shared.refuse_threads.store(false, SeqCst);
    let next = spawn(&shared, async {});
    until(|| waiting.is_finished() && next.is_finished());
    assert!(!stuck.is_finished(), "its M is still in the poll");
    gate.send(()).unwrap();
    block_on::block_on(&shared, stuck).unwrap();
    shared.shut_down(None).unwrap();
}

/// Each refusal used to take an idle P out of the count, until no submit tried again.
#[test]
fn refusals_do_not_use_up_the_idle_ps() {
    let shared = Shared::start(config(2, 10, false)).unwrap();
    shared.refuse_threads.store(true, SeqCst);
    let (stuck, gate) = stuck(&shared);
    let waiting: Vec<_> = (0..10).map(|_| spawn(&shared, async {})).collect();
    until(|| shared.failed_starts.get() > 0);
    shared.refuse_threads.store(false, SeqCst);
    let next = spawn(&shared, async {});
    until(|| next.is_finished() && waiting.iter().all(crate::task::JoinHandle::is_finished));
    gate.send(()).unwrap();
    block_on::block_on(&shared, stuck).unwrap();
    shared.shut_down(None).unwrap();
}

/// At the limit of threads, a P's tasks used to wait for an M that stops; one that yields for ever does not.
#[test]
fn at_the_limit_of_threads_the_ms_that_run_serve_everybody() {
    let shared = Shared::start(config(2, 3, false)).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let (entered, begun) = channel();
    let (gate, opened) = channel::<()>();
    let blocked = spawn(&shared, {
        let shared = Arc::clone(&shared);
        async move {
            block_on::block_on(&shared, async move {
                entered.send(()).unwrap();
                opened.recv().unwrap();
            });
        }
    });
    begun.recv().unwrap();
    let yielders: Vec<_> = (0..2)
        .map(|_| {
            let over = Arc::clone(&over);
            spawn(&shared, async move {
                while !over.load(SeqCst) {
                    crate::yield_now().await;
                }
            })
        })
        .collect();
    let parent = spawn(&shared, {
        let shared = Arc::clone(&shared);
        async move {
            let children: Vec<_> = (0..20).map(|_| spawn(&shared, async {})).collect();
            block_on::block_on(&shared, async move {
                for child in children {
                    child.await.unwrap();
                }
            });
        }
    });
    block_on::block_on(&shared, parent).unwrap();
    over.store(true, SeqCst);
    gate.send(()).unwrap();
    for task in yielders.into_iter().chain([blocked]) {
        block_on::block_on(&shared, task).unwrap();
    }
    shared.shut_down(None).unwrap();
}

/// Ms that come back to the line again and again share the P with a task in the ring.
#[test]
fn the_line_does_not_starve_the_ring() {
    let shared = Shared::start(config(1, 10_000, false)).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let yields = Arc::new(Counter::default());
    let yielder = spawn(&shared, {
        let (over, yields) = (Arc::clone(&over), Arc::clone(&yields));
        async move {
            while !over.load(SeqCst) {
                yields.add(1);
                crate::yield_now().await;
            }
        }
    });
    let nesters: Vec<_> = (0..20)
        .map(|_| {
            let (shared, over) = (Arc::clone(&shared), Arc::clone(&over));
            spawn(&shared.clone(), async move {
                while !over.load(SeqCst) {
                    block_on::block_on(&shared, async {});
                }
            })
        })
        .collect();
    until(|| yields.get() > 1_000);
    over.store(true, SeqCst);
    for task in nesters.into_iter().chain([yielder]) {
        block_on::block_on(&shared, task).unwrap();
    }
    shared.shut_down(None).unwrap();
}

/// A refusal while every P was idle left the task to a sysmon that slept without end.
#[test]
fn a_task_that_no_thread_was_to_be_had_for_is_run_once_there_is_one() {
    let shared = Shared::start(config(1, 10, false)).unwrap();
    let mut blocked = Vec::new();
    // Every M there is, and the reserved one too, blocks.
    while shared.lists().counts().1 > 0 || blocked.is_empty() {
        let (entered, begun) = channel();
        let (gate, opened) = channel::<()>();
        let task = spawn(&shared, async move {
            entered.send(()).unwrap();
            blocking::block_in_place(|| opened.recv().unwrap());
        });
        begun.recv().unwrap();
        blocked.push((gate, task));
        until(|| shared.census.sysmon_sleeps_deeply());
    }
    shared.refuse_threads.store(true, SeqCst);
    let task = spawn(&shared, async {});
    until(|| shared.failed_starts.get() > 0);
    shared.refuse_threads.store(false, SeqCst);
    until(|| task.is_finished());
    for (gate, task) in blocked {
        gate.send(()).unwrap();
        block_on::block_on(&shared, task).unwrap();
    }
    shared.shut_down(None).unwrap();
}

#[test]
fn a_shutdown_beside_refused_threads_ends() {
    for _ in 0..200 {
        let shared = Shared::start(config(3, 10, false)).unwrap();
        shared.refuse_threads.store(true, SeqCst);
        let tasks: Vec<_> = (0..8).map(|_| spawn(&shared, crate::yield_now())).collect();
        let other = Arc::clone(&shared);
        let spawner = std::thread::spawn(move || (0..8).map(|_| spawn(&other, async {})).collect::<Vec<_>>());
        shared.shut_down(None).unwrap();
        let late = spawner.join().unwrap();
        until(|| tasks.iter().all(crate::task::JoinHandle::is_finished));
        until(|| late.iter().all(crate::task::JoinHandle::is_finished));
    }
}

/// A P to be fought over: an owner word, and a counter that is not safe against two.
#[derive(Default)]
struct Prize {
    owner: std::sync::atomic::AtomicU32,
    count: std::sync::atomic::AtomicU64,
    /// Two have owned it; whoever sees this stops, so that the test fails and does not hang.
    broken: AtomicBool,
}

impl Prize {
    fn touch(&self, who: u32) {
        let before = self.owner.swap(who, SeqCst);
        self.count.store(self.count.load(Relaxed) + 1, Relaxed); // a second owner would lose one
        let after = self.owner.swap(0, SeqCst);
        if (before, after) != (0, who) {
            self.broken.store(true, SeqCst);
        }
    }
}

/// What a fight over one P came to.
struct Fight {
    broken: bool,
    /// Whether each time that somebody touched the P was counted, and none twice.
    all_counted: bool,
    retakes: u64,
}

/// The lease with real threads and the real membarrier, each thread on a core of its own if there are two: an M polls and
/// enters the runtime in each poll, and a revoker takes its P whenever it finds it outside. Ends after `enough` retakes,
/// when two have owned the P together, or at `deadline`.
fn fight(enough: u64, deadline: Option<std::time::Instant>) -> Fight {
    crate::sys::membarrier::choose();
    let cores = &crate::sys::affinity::process_mask().cores;
    let pin = |which: usize| {
        if cores.len() > 1 {
            crate::sys::affinity::pin_to(cores[which]);
        }
    };
    let lease = lease::Lease::new();
    let prize = Prize::default();
    let (at_home, taken, over) = (AtomicBool::new(true), Counter::default(), AtomicBool::new(false));
    let late = || deadline.is_some_and(|deadline| std::time::Instant::now() >= deadline);
    let touches = std::thread::scope(|scope| {
        let revoker = scope.spawn(|| {
            pin(0);
            let mut touches = 0;
            while !over.load(SeqCst) && !prize.broken.load(SeqCst) {
                let won = lease.begin_revoke().and_then(|revoking| lease.finish_revoke(revoking, || true));
                if won.is_some() {
                    prize.touch(2);
                    touches += 1;
                    taken.add(1);
                    at_home.store(true, SeqCst);
                }
            }
            touches
        });
        let m = scope.spawn(|| {
            pin(1);
            let (mut touches, mut polls) = (0, 0_u64);
            while taken.get() < enough && !late() {
                until(|| at_home.swap(false, SeqCst) || prize.broken.load(SeqCst)); // the M has the P back
                if prize.broken.load(SeqCst) {
                    break;
                }
                lease.take(ids::ProcessorId(0));
                loop {
                    lease.leave(); // a poll
                    polls += 1;
                    // Most polls are over at once, so that the two meet often; some last, so that the revoker wins.
                    if polls.is_multiple_of(32) {
                        (0..100).for_each(|_| std::hint::spin_loop());
                        std::thread::yield_now();
                    }
                    {
                        let _inside = lease.enter();
                        if lease.holds() {
                            prize.touch(1);
                            touches += 1;
                        }
                    }
                    std::mem::forget(lease.enter()); // the end of the poll
                    if !lease.holds() || prize.broken.load(SeqCst) {
                        break;
                    }
                    prize.touch(1);
                    touches += 1;
                }
            }
            over.store(true, SeqCst);
            touches
        });
        m.join().unwrap() + revoker.join().unwrap()
    });
    Fight {
        broken: prize.broken.load(SeqCst),
        all_counted: prize.count.load(SeqCst) == touches,
        retakes: taken.get(),
    }
}

#[test]
fn an_m_and_a_revoker_never_own_the_p_together() {
    let enough = match crate::sys::affinity::process_mask().cores.len() {
        0 | 1 => 500, // each costs a change of threads
        _ if std::env::var_os("GMPRT_LONG").is_some() => 1_000_000,
        _ => 10_000,
    };
    let Fight { broken, all_counted, retakes } = fight(enough, None);
    assert!(!broken, "two owned the P at the same time");
    assert!(all_counted);
    assert!(retakes >= enough);
}

/// The canary of the test above: without the membarrier two own the P at the same time, and the test sees it. In a process
/// of its own, since the membarrier is missing for all of it.
#[test]
fn without_the_membarrier_the_m_and_the_revoker_own_the_p_together() {
    const NAME: &str = "sched::tests::without_the_membarrier_the_m_and_the_revoker_own_the_p_together";
    if crate::sys::affinity::process_mask().cores.len() < 2 {
        return println!("one core: its two threads see each other's stores in order, whatever is missing");
    }
    if std::env::var_os("GMPRT_TEST_SABOTAGE").is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", NAME, "--nocapture"]).env("GMPRT_TEST_SABOTAGE", "1");
        let out = child.env_remove("GMPRT_TEST_NO_MEMBARRIER").output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(said.contains("tripped") || said.contains("no membarrier here"), "{out:?}");
        return;
    }
    crate::sys::membarrier::choose();
    if crate::sys::membarrier::fences_only() {
        return println!("no membarrier here");
    }
    crate::sys::membarrier::SABOTAGED.store(true, SeqCst);
    let limit = std::time::Instant::now() + Duration::from_secs(30);
    let mut retakes = 0;
    while std::time::Instant::now() < limit {
        let outcome = fight(u64::MAX, Some(limit));
        retakes += outcome.retakes;
        if outcome.broken || !outcome.all_counted {
            return println!("tripped after {retakes} retakes");
        }
    }
    panic!("two owners were not seen in {retakes} retakes without a membarrier: the test sees nothing");
}

/// What no run would miss if it were lost: on x86 the processor keeps both orders by itself, and the compiler
/// has so far had no reason to break them.
#[test]
fn the_compiler_fence_and_the_release_of_the_lease_stand_in_the_source() {
    let code = |source: &'static str, begin: &str| {
        let from = source.find(begin).unwrap_or_else(|| panic!("{begin} is gone"));
        let body = &source[from..];
        body[..body.find("\n    }\n").or_else(|| body.find("\n}\n")).unwrap()].to_owned()
    };
    let light = code(include_str!("../sys/membarrier.rs"), "pub(crate) fn light()");
    assert!(light.contains("compiler_fence(SeqCst)"));
    let enter = code(include_str!("lease.rs"), "pub(crate) fn enter(&self)");
    let (store, fence) =
        (enter.find("inside.store(true").unwrap(), enter.find("membarrier::light()").unwrap());
    assert!(store < fence, "the fence stands after the store");
    let leave = code(include_str!("lease.rs"), "pub(crate) fn leave(&self)");
    assert!(leave.contains("or_relaxed(Release, \"lease.leave\")"));
    let holds = code(include_str!("lease.rs"), "pub(crate) fn holds(&self)");
    assert!(holds.contains("self.word.load(Acquire)"));
}
