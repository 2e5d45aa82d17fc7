//! Dumps: what every task is at, and where it came from; and SIGQUIT, which prints them.
//!
//! Programs that get a signal are this binary again, with one test's name and `GMPRT_TEST_CHILD` in their environment. They
//! say on stderr how far they are, and are told on stdin to go on.
//!
//! Length: one test for each thing that a dump says, and what reads it back.

mod common;

use common::{Gate, runtime, sized, watch};
use gmprt::dump::{Dump, TaskDump, TaskState};
use gmprt::task::{self, TaskId};
use gmprt::{Handle, Runtime, chan, sync, time};
use std::collections::HashSet;
use std::future::pending;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::Location;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

// ---- What is in a dump ----

/// A task as the text has it.
#[derive(Debug, PartialEq)]
struct Entry {
    g: u64,
    name: Option<String>,
    /// What stands in the brackets, up to the comma.
    at: String,
    on: Option<String>,
    site: String,
    parent: Option<u64>,
}

/// The number after `key=` in a dump's head.
fn count(text: &str, key: &str) -> usize {
    let head = text.lines().next().unwrap();
    let value = head.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {key} in {head}")).parse().unwrap()
}

/// Reads a dump's text back. It panics at whatever is not as it should be.
fn parse(text: &str) -> Vec<Entry> {
    assert!(text.starts_with("DUMP \""), "{text}");
    let number = |text: &str| text.strip_prefix('G').expect("a G").parse::<u64>().unwrap();
    let mut lines = text.lines().skip(1);
    let mut entries = Vec::new();
    while let Some(empty) = lines.next() {
        assert_eq!(empty, "");
        let line = lines.next().unwrap();
        let (g, rest) = line.split_once(' ').unwrap();
        let (name, rest) = rest.rsplit_once('[').unwrap();
        let at = rest.strip_suffix("]:").unwrap().split(", ").next().unwrap().to_owned();
        let name = name.trim_end();
        let name = (!name.is_empty()).then(|| name[1..name.len() - 1].to_owned());
        let mut line = lines.next().unwrap().strip_prefix('\t').unwrap();
        let on = line.strip_prefix("on ").map(str::to_owned);
        if on.is_some() {
            line = lines.next().unwrap().strip_prefix('\t').unwrap();
        }
        let site = line.strip_prefix("spawned at ").unwrap();
        let (site, parent) =
            site.split_once(" by ").map_or((site, None), |(site, by)| (site, Some(number(by))));
        entries.push(Entry { g: number(g), name, at, on, site: site.to_owned(), parent });
    }
    assert!(entries.is_sorted_by(|one, next| one.g < next.g), "{text}");
    let counted = |at: &[&str]| entries.iter().filter(|entry| at.contains(&&*entry.at)).count();
    assert_eq!(count(text, "tasks"), entries.len(), "{text}");
    assert_eq!(count(text, "runnable"), counted(&["runnable"]), "{text}");
    assert_eq!(count(text, "running"), counted(&["running"]), "{text}");
    assert_eq!(count(text, "waiting"), entries.len() - counted(&["runnable", "running"]), "{text}");
    entries
}

/// A dump whose text says the same as its tasks.
fn dump(handle: &Handle) -> Dump {
    let dump = handle.dump();
    let entries = parse(&dump.to_string());
    assert_eq!(entries.len(), dump.tasks().len());
    for (entry, task) in entries.iter().zip(dump.tasks()) {
        let at = task.waiting_for().map_or_else(|| task.state().to_string(), str::to_owned);
        assert!(task.waiting_for().is_none() || task.state() == TaskState::Waiting);
        let on = match (task.processor(), task.machine()) {
            (Some(p), Some(m)) => Some(format!("{p}, {m}")),
            (None, Some(m)) => Some(format!("{m}, without a P")),
            (None, None) => None,
            (Some(p), None) => panic!("{p} without an M: {task}"),
        };
        assert!(on.is_none() || task.state() == TaskState::Running);
        let site = format!("{}:{}", task.spawned_at().file(), task.spawned_at().line());
        let (name, parent) = (task.name().map(str::to_owned), task.parent().map(TaskId::as_u64));
        assert_eq!(*entry, Entry { g: task.id().as_u64(), name, at, on, site, parent });
    }
    dump
}

fn find(handle: &Handle, id: TaskId) -> Option<TaskDump> {
    dump(handle).tasks().iter().find(|task| task.id() == id).cloned()
}

/// The task, once it is so. It must not end before.
fn once(handle: &Handle, id: TaskId, so: impl Fn(&TaskDump) -> bool) -> TaskDump {
    loop {
        let task = find(handle, id).unwrap_or_else(|| panic!("{id} is not in the dump"));
        if so(&task) {
            return task;
        }
        thread::yield_now();
    }
}

fn waits(task: &TaskDump) -> bool {
    task.state() == TaskState::Waiting
}

/// A task, what it waits for, and the line on which it was spawned.
struct Waiter {
    id: TaskId,
    what: &'static str,
    line: u32,
}

/// Tasks that wait for as long as the runtime lives, each for something else; its name says for what.
fn waiters(handle: &Handle) -> Vec<Waiter> {
    let mut all = Vec::new();
    #[track_caller]
    fn add<F>(handle: &Handle, all: &mut Vec<Waiter>, what: &'static str, waits: F) -> task::JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = task::Builder::new().name(what).spawn_on(handle, waits);
        all.push(Waiter { id: task.id(), what, line: Location::caller().line() });
        task
    }
    let (tx, rx) = chan::bounded::<u8>(1);
    tx.try_send(1).unwrap();
    let (full, empty) = (tx.clone(), chan::bounded::<u8>(1));
    add(handle, &mut all, "chan send", async move {
        let _rx = rx;
        full.send(2).await.unwrap();
    });
    add(handle, &mut all, "chan receive", async move {
        let (_tx, rx) = empty;
        rx.recv().await.unwrap();
    });
    let sleep = add(handle, &mut all, "sleep", time::sleep(LONG));
    add(handle, &mut all, "join", async move { sleep.await.unwrap() });
    let mutex = Arc::new(sync::Mutex::new(()));
    let locked = handle.block_on(Arc::clone(&mutex).lock_owned());
    add(handle, &mut all, "sync.Mutex.Lock", async move { drop(mutex.lock().await) });
    add(handle, &mut all, "waiting", async move {
        let _locked = locked;
        pending().await
    });
    add(handle, &mut all, "select", async move {
        gmprt::select! {
            sent = tx.send(3) => sent.unwrap(),
            () = time::sleep(LONG) => {},
        }
    });
    all
}

#[test]
fn a_task_that_waits_is_shown_with_its_name_its_reason_and_its_place() {
    let _watch = watch();
    let rt = runtime(2);
    let handle = rt.handle();
    let waiters = waiters(&handle);
    for waiter in &waiters {
        let task = once(&handle, waiter.id, waits);
        assert_eq!(task.name(), Some(waiter.what));
        assert_eq!((task.spawned_at().file(), task.spawned_at().line()), (file!(), waiter.line));
        assert_eq!((task.machine(), task.processor()), (None, None));
        assert_eq!(task.waiting_for().unwrap_or("waiting"), waiter.what);
        let id = waiter.id;
        assert!(task.to_string().starts_with(&format!("{id} \"{0}\" [{0}", waiter.what)), "{task}");
    }
    assert_eq!(dump(&handle).tasks().len(), waiters.len());
}

#[test]
fn a_task_is_shown_with_the_one_that_spawned_it() {
    let _watch = watch();
    let rt = runtime(2);
    let handle = rt.handle();
    let spawner = rt.spawn(async {
        let one = gmprt::spawn(pending::<()>()).id();
        let other = task::Builder::new().name("other").spawn(async { gmprt::spawn(pending::<()>()).id() });
        (one, other.id(), other.await.unwrap())
    });
    let by = spawner.id();
    let (one, other, grandchild) = rt.block_on(spawner).unwrap();
    let parent = |id| find(&handle, id).expect("it lives").parent();
    assert_eq!(parent(one), Some(by), "though that one has ended");
    assert_eq!(parent(grandchild), Some(other));
    let root = rt.spawn(pending::<()>()).id();
    let under_block_on = rt.block_on(async { gmprt::spawn(pending::<()>()).id() });
    assert_eq!((parent(root), parent(under_block_on)), (None, None));
}

#[test]
fn a_task_is_shown_with_how_long_it_has_waited() {
    let _watch = watch();
    let rt = runtime(1);
    let id = rt.spawn(pending::<()>()).id();
    let at_least =
        |least| move |task: &TaskDump| waits(task) && task.since().is_some_and(|since| since >= least);
    let first = once(&rt.handle(), id, at_least(Duration::from_millis(20))).since().unwrap();
    let task = once(&rt.handle(), id, at_least(Duration::from_secs(1)));
    assert!(task.since().unwrap() > first);
    assert!(task.to_string().starts_with(&format!("{id} [waiting, {} s]:", task.since().unwrap().as_secs())));
}

#[test]
fn a_task_that_is_stuck_in_its_poll_is_named_and_nobody_waits_for_it() {
    let _watch = watch();
    let rt = runtime(1);
    let handle = rt.handle();
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().unwrap();
    let stuck = Arc::clone(&lock);
    let stuck = task::Builder::new().name("stuck").spawn_on(&handle, async move { drop(stuck.lock()) });
    let line = line!() - 1;
    // Others are waiting for its P, so it loses that.
    let task = loop {
        handle.spawn(async {});
        let task = once(&handle, stuck.id(), |task| task.state() == TaskState::Running);
        if task.machine().is_some() && task.processor().is_none() {
            break task;
        }
        thread::yield_now();
    };
    assert_eq!((task.name(), task.waiting_for()), (Some("stuck"), None));
    assert_eq!((task.spawned_at().file(), task.spawned_at().line()), (file!(), line));
    let (id, m) = (stuck.id(), task.machine().unwrap());
    assert_eq!(
        task.to_string(),
        format!("{id} \"stuck\" [running]:\n\ton {m}, without a P\n\tspawned at {}:{line}", file!())
    );
    drop(held);
    rt.block_on(stuck).unwrap();
    assert!(find(&handle, id).is_none());
}

#[test]
fn a_task_behind_polls_that_block_is_runnable() {
    let _watch = watch();
    let rt = Runtime::builder().procs(1).max_threads(2).build().unwrap();
    let (handle, gate) = (rt.handle(), Gate::default());
    // There is one P, and as many threads as there may be stand in their polls.
    let blocked = [0, 1].map(|_| {
        let gate = gate.clone();
        rt.spawn(async move { gate.wait() }).id()
    });
    for id in blocked {
        once(&handle, id, |task| task.state() == TaskState::Running && task.machine().is_some());
    }
    let behind = rt.spawn(async {});
    let task = find(&handle, behind.id()).unwrap();
    assert_eq!((task.state(), task.machine(), task.processor()), (TaskState::Runnable, None, None));
    assert!(task.to_string().starts_with(&format!("{} [runnable", behind.id())), "{task}");
    gate.open();
    rt.block_on(behind).unwrap();
}

// ---- When it is taken ----

#[test]
fn a_task_finds_itself_in_a_dump() {
    let _watch = watch();
    let rt = runtime(2);
    let task = rt.spawn(async {
        let handle = Handle::current();
        gmprt::yield_now().await;
        for _ in 0..100 {
            let own = find(&handle, task::id().unwrap()).expect("it lives");
            assert_eq!((own.state(), own.machine()), (TaskState::Running, task::machine()));
            gmprt::yield_now().await;
        }
    });
    rt.block_on(task).unwrap();
}

#[test]
fn a_storm_is_dumped_without_a_gap_or_a_double() {
    let _watch = watch();
    let rt = runtime(4);
    let handle = rt.handle();
    let mut settled: Vec<_> = (0..100).map(|_| rt.spawn(pending::<()>()).id()).collect();
    settled.sort_unstable();
    let over = Arc::new(AtomicBool::new(false));
    let storms: Vec<_> = (0..4)
        .map(|n| {
            let over = Arc::clone(&over);
            rt.spawn(async move {
                while !over.load(SeqCst) {
                    let named = task::Builder::new().name(format!("storm {n}"));
                    let tasks = [0, 1, 2].map(|_| named.spawn(gmprt::yield_now()));
                    for task in tasks {
                        task.await.unwrap();
                    }
                }
            })
        })
        .collect();
    let all = |handle: &Handle| {
        for _ in 0..sized(50, 500) {
            let dump = dump(handle); // which sees to it that no number comes twice
            let ids: HashSet<_> = dump.tasks().iter().map(TaskDump::id).collect();
            assert!(settled.iter().all(|id| ids.contains(id)));
        }
    };
    thread::scope(|scope| {
        let within = rt.spawn({
            let handle = handle.clone();
            async move {
                for _ in 0..50 {
                    parse(&handle.dump().to_string());
                    gmprt::yield_now().await;
                }
            }
        });
        scope.spawn(|| all(&handle)).join().unwrap();
        rt.block_on(within).unwrap();
    });
    over.store(true, SeqCst);
    rt.block_on(async {
        for storm in storms {
            storm.await.unwrap();
        }
    });
    assert_eq!(dump(&handle).tasks().len(), settled.len());
}

#[test]
fn many_tasks_are_dumped() {
    let _watch = watch();
    let rt = runtime(2);
    let n = sized(10_000, 200_000);
    let tasks: Vec<_> = (0..n).map(|_| rt.spawn(pending::<()>()).id()).collect();
    let dump = rt.dump();
    assert!(dump.tasks().iter().map(TaskDump::id).eq(tasks));
    assert_eq!(parse(&dump.to_string()).len(), n);
}

#[test]
fn a_runtime_that_has_ended_has_no_tasks() {
    let _watch = watch();
    let rt = runtime(2);
    let handle = rt.handle();
    let id = rt.spawn(pending::<()>()).id();
    let before = dump(&handle);
    assert_eq!(before.tasks()[0].id(), id);
    drop(rt);
    let after = dump(&handle);
    assert!(after.tasks().is_empty());
    assert_eq!(count(&after.to_string(), "threads"), 0);
    assert_eq!(parse(&before.to_string()).len(), 1, "it stays as it was");
}

#[test]
fn a_dump_shows_the_tasks_of_its_runtime() {
    let _watch = watch();
    let [one, two] =
        ["one", "two words"].map(|name| Runtime::builder().procs(1).thread_name(name).build().unwrap());
    let (in_one, in_two) = (one.spawn(pending::<()>()).id(), two.spawn(pending::<()>()).id());
    for (rt, head, id) in [(one, "DUMP \"one\" ", in_one), (two, "DUMP \"two words\" ", in_two)] {
        let dump = dump(&rt.handle());
        assert_eq!(dump.tasks().iter().map(TaskDump::id).collect::<Vec<_>>(), [id]);
        assert!(dump.to_string().starts_with(head));
    }
}

// ---- SIGQUIT ----

const CHILD: &str = "GMPRT_TEST_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// In the child: it is as far as this, and waits until it is told to go on.
fn tell(how_far: &str) {
    io::stderr().write_all(format!("{how_far}\n").as_bytes()).unwrap();
    wait_for_parent();
}

fn wait_for_parent() {
    let mut line = String::new();
    assert_ne!(io::stdin().read_line(&mut line).unwrap(), 0, "the parent has ended");
}

/// The calling test again, in a process of its own.
struct Program {
    process: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Program {
    fn start() -> Self {
        let mut command = Command::new("sh");
        // No core file, should the signal end it.
        command.args(["-c", "ulimit -c 0; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", thread::current().name().unwrap(), "--nocapture"]).env(CHILD, "1");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it has ended").unwrap()
    }

    /// Waits until it is so far.
    #[track_caller]
    fn until(&mut self, how_far: &str) {
        assert_eq!(self.line(), how_far);
    }

    fn quit(&self) {
        let kill = format!("kill -QUIT {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Tells it to go on.
    fn go_on(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// The next dump.
    fn dump(&mut self) -> String {
        let mut text = self.line() + "\n";
        for _ in 0..count(&text, "tasks") {
            loop {
                let line = self.line();
                text += &format!("{line}\n");
                if line.starts_with("\tspawned at ") {
                    break;
                }
            }
        }
        text
    }

    /// Waits for its end, before which it says nothing more than libtest does.
    fn end(mut self) {
        self.go_on();
        let rest: Vec<_> = self.lines.by_ref().map(Result::unwrap).filter(|line| !line.is_empty()).collect();
        assert_eq!(rest, [""; 0]);
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn quittable(name: &str) -> Runtime {
    Runtime::builder().procs(2).thread_name(name).dump_on_sigquit(true).build().unwrap()
}

#[test]
fn sigquit_prints_a_dump_as_often_as_it_comes_and_the_program_goes_on() {
    let _watch = watch();
    if is_child() {
        let rt = quittable("quit");
        let gate = Gate::default();
        let (tx, rx) = chan::bounded::<u32>(1);
        let reader = task::Builder::new()
            .name("reader")
            .spawn_on(&rt.handle(), async move { rx.recv().await.unwrap() });
        let stuck = task::Builder::new().name("stuck").spawn_on(&rt.handle(), {
            let gate = gate.clone();
            async move { gate.wait() }
        });
        once(&rt.handle(), reader.id(), waits);
        once(&rt.handle(), stuck.id(), |task| task.machine().is_some());
        tell("ready");
        gate.open();
        rt.block_on(stuck).unwrap();
        rt.block_on(tx.send(7)).unwrap();
        return assert_eq!(rt.block_on(reader).unwrap(), 7);
    }
    let mut program = Program::start();
    program.until("ready");
    for _ in 0..2 {
        program.quit();
        let text = program.dump();
        assert!(text.starts_with("DUMP \"quit\" "), "{text}");
        let entries = parse(&text);
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["reader", "stuck"]);
        assert_eq!(entries[1].at, "running");
        assert!(entries[0].on.is_none() && entries[1].on.is_some());
    }
    program.end();
}

#[test]
fn sigquit_prints_the_runtimes_that_asked_for_it_and_live() {
    let _watch = watch();
    if is_child() {
        let (one, two) = (quittable("one"), quittable("two"));
        let _unasked = Runtime::builder().procs(1).thread_name("unasked").build().unwrap();
        let [_one, _two] = [&one, &two].map(|rt| rt.spawn(pending::<()>()));
        tell("both");
        let kept = one.handle();
        drop(one);
        tell("two");
        drop(two);
        tell("none");
        let three = quittable("three");
        tell("three");
        assert_eq!(common::threads_named("gmprt-sigquit").len(), 1);
        return drop((three, kept));
    }
    let mut program = Program::start();
    for (how_far, living) in
        [("both", &["one", "two"][..]), ("two", &["two"]), ("none", &[]), ("three", &["three"])]
    {
        program.until(how_far);
        program.quit();
        for (n, name) in living.iter().enumerate() {
            if n > 0 {
                assert_eq!(program.line(), "");
            }
            let text = program.dump();
            assert!(text.starts_with(&format!("DUMP \"{name}\" ")), "{text}");
            assert_eq!(parse(&text).len(), usize::from(*name != "three"));
        }
        if living.is_empty() {
            assert_eq!(program.line(), "gmprt: SIGQUIT: there is no runtime to dump");
        }
        if how_far != "three" {
            program.go_on();
        }
    }
    program.end();
}

#[test]
fn a_task_that_is_stuck_while_it_prints_is_printed() {
    let _watch = watch();
    if is_child() {
        let rt = quittable("printer");
        let gate = Gate::default();
        let printer = task::Builder::new().name("printer").spawn_on(&rt.handle(), {
            let gate = gate.clone();
            async move {
                let mut stderr = io::stderr().lock();
                writeln!(stderr, "locked").unwrap();
                gate.wait();
            }
        });
        wait_for_parent();
        gate.open();
        return rt.block_on(printer).unwrap();
    }
    let mut program = Program::start();
    program.until("locked");
    program.quit();
    assert_eq!(parse(&program.dump())[0].name.as_deref(), Some("printer"));
    program.end();
}

#[test]
fn a_program_whose_stderr_nobody_reads_any_more_goes_on() {
    let _watch = watch();
    if is_child() {
        let rt = quittable("closed");
        tell("ready");
        // Raised here: a thread that had panicked at the first would not be there for the second.
        let tasks: Vec<_> = (0..3).map(|_| rt.spawn(pending::<()>())).collect();
        for _ in 0..20 {
            signal_hook::low_level::raise(signal_hook::consts::SIGQUIT).unwrap();
            rt.block_on(rt.spawn(time::sleep(Duration::from_millis(1)))).unwrap();
        }
        assert_eq!(common::threads_named("gmprt-sigquit").len(), 1);
        return drop(tasks);
    }
    let mut program = Program::start();
    program.until("ready");
    let process = &mut program.process;
    program.lines =
        BufReader::new(Command::new("true").stderr(Stdio::piped()).spawn().unwrap().stderr.take().unwrap())
            .lines();
    process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn sigquit_ends_a_program_that_did_not_ask() {
    let _watch = watch();
    if is_child() {
        let _rt = runtime(1);
        return tell("ready");
    }
    let mut program = Program::start();
    program.until("ready");
    program.quit();
    assert_eq!(program.process.wait().unwrap().signal(), Some(signal_hook::consts::SIGQUIT));
}
