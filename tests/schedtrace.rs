//! `GMPRT_SCHEDTRACE`: our lines are Go's, they end with their runtime, and a program is not disturbed by them.
//!
//! The parser (`schedtrace/parse.rs`) is written from Go's sources. Where a Go 1.27 is at hand, it reads a real Go program's
//! lines too: what it takes from us is what it takes from Go.
//!
//! Each traced program is this binary again, with one test's name: the variables are read once in a process. It ends when
//! its stdin does, so that its test reads for as long as it likes, on a slow machine too.
//!
//! Length: one test for each promise, and the tests of the tests.

mod common;
#[path = "schedtrace/parse.rs"]
mod parse;

use common::{Gate, child, is_child, threads_named, until, watch};
use gmprt::Runtime;
use parse::{Counts, G, Line, M, P, parse};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

// ---- The traced program ----

/// What its own line begins with.
const SAYS: &str = "tasks ";

/// What the thread that prints is called: Linux keeps 15 bytes.
const THREAD: &str = "gmprt-schedtrac";

/// Waits until the test has seen enough.
fn until_stdin_ends() {
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn runtime(procs: usize) -> Runtime {
    Runtime::builder().procs(procs).build().unwrap()
}

/// A task that always has something to do, and lets others.
fn busy(rt: &Runtime) -> u64 {
    number(&rt.spawn(async {
        loop {
            gmprt::yield_now().await;
        }
    }))
}

/// The number in a task's id.
fn number<T>(handle: &gmprt::task::JoinHandle<T>) -> u64 {
    handle.id().to_string().strip_prefix('G').unwrap().parse().unwrap()
}

// ---- The test beside it ----

/// A traced program that runs, and its stderr.
struct Traced {
    child: Child,
    stdin: Option<ChildStdin>,
    /// The numbers that it said besides.
    said: Vec<u64>,
    lines: io::Lines<BufReader<ChildStderr>>,
}

impl Traced {
    fn start(mut program: Command) -> Self {
        program.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { stdin: child.stdin.take(), said: Vec::new(), child, lines }
    }

    /// The next line, which there must be.
    fn next(&mut self) -> String {
        self.lines.next().expect("the program goes on").unwrap()
    }

    fn next_parsed(&mut self) -> Line {
        let line = self.next();
        match line.strip_prefix(SAYS) {
            None => parse(&line).unwrap(),
            Some(numbers) => {
                self.said = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
                self.next_parsed()
            }
        }
    }

    /// Blocks, whole ones, until one is as it should be. A block is over when the next begins.
    fn until(&mut self, mut wanted: impl FnMut(&Block, &[u64]) -> bool) {
        let mut line = self.next_parsed();
        loop {
            let mut block = Block::begin(line);
            line = loop {
                match block.take(self.next_parsed()) {
                    None => {}
                    Some(next) => break next,
                }
            };
            block.check();
            if wanted(&block, &self.said) {
                return;
            }
        }
    }

    /// Lets the program end; what it says until then.
    fn end(mut self) -> Vec<String> {
        drop(self.stdin.take());
        let rest = self.lines.by_ref().map(|line| line.unwrap()).collect();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {rest:#?}");
        rest
    }
}

/// The calling test again, traced.
fn traced(test: &str, period: &str, detail: &str) -> Command {
    let mut command = child(test);
    command.env("GMPRT_SCHEDTRACE", period).env("GMPRT_SCHEDDETAIL", detail);
    command
}

fn short(line: &str) -> (Counts, Vec<u64>, Vec<u64>) {
    match parse(line) {
        Ok(Line::Short(counts, queues, ticks)) => (counts, queues, ticks),
        other => panic!("not the short form: {other:?}"),
    }
}

/// What must hold in Go's lines and in ours.
fn check_counts(counts: &Counts) {
    assert!(counts.procs > 0 && counts.idle_procs <= counts.procs, "{counts:?}");
    assert!(counts.idle_threads < counts.threads, "sysmon is a thread, and never idle: {counts:?}");
    assert!(counts.need_spinning <= 1, "{counts:?}");
}

fn check_short((counts, queues, ticks): &(Counts, Vec<u64>, Vec<u64>)) {
    check_counts(counts);
    assert_eq!(queues.len() as u64, counts.procs);
    assert_eq!(ticks.len() as u64, counts.procs);
}

/// A block of the detailed form.
struct Block {
    counts: Counts,
    ps: Vec<P>,
    ms: Vec<M>,
    gs: Vec<G>,
}

impl Block {
    fn begin(line: Line) -> Self {
        let Line::Head(counts) = line else { panic!("a block begins with {line:?}") };
        Self { counts, ps: Vec::new(), ms: Vec::new(), gs: Vec::new() }
    }

    /// One line more; back comes the next block's first.
    fn take(&mut self, line: Line) -> Option<Line> {
        match line {
            Line::P(p) => {
                assert!(self.ms.is_empty() && self.gs.is_empty(), "a P after an M or a G: {p:?}");
                self.ps.push(p);
            }
            Line::M(m) => {
                assert!(self.gs.is_empty(), "an M after a G: {m:?}");
                self.ms.push(m);
            }
            Line::G(g) => self.gs.push(g),
            head => return Some(head),
        }
        None
    }

    fn check(&self) {
        check_counts(&self.counts);
        let ids: Vec<_> = self.ps.iter().map(|p| p.id).collect();
        assert_eq!(ids, (0..self.counts.procs).collect::<Vec<_>>());
        let ms: BTreeSet<_> = self.ms.iter().map(|m| m.id).collect();
        assert_eq!(ms.len(), self.ms.len(), "each M once: {:?}", self.ms);
        let gs: BTreeSet<_> = self.gs.iter().map(|g| g.id).collect();
        assert_eq!(gs.len(), self.gs.len(), "each G once: {:?}", self.gs);
    }

    fn g(&self, id: u64) -> Option<&G> {
        self.gs.iter().find(|g| g.id == id)
    }
}

// ---- Our lines ----

#[test]
fn lines_come_as_gos_and_end_with_their_runtime() {
    const TEST: &str = "lines_come_as_gos_and_end_with_their_runtime";
    if is_child(TEST) {
        let rt = runtime(3);
        for _ in 0..5 {
            busy(&rt);
        }
        until(|| threads_named(THREAD).len() == 1);
        until_stdin_ends();
        drop(rt);
        eprintln!("the end, {} threads left", threads_named(THREAD).len());
        thread::sleep(Duration::from_millis(200)); // sleep: lines that came after the end would come now
        return;
    }
    let _watch = watch();
    let mut program = Traced::start(traced(TEST, "10", "0"));
    let mut before: Option<(Counts, Vec<u64>)> = None;
    let mut took_turns = false;
    let mut lines = 0;
    while lines < 10 || !took_turns {
        let line = short(&program.next());
        check_short(&line);
        let (counts, _, ticks) = line;
        assert_eq!(counts.procs, 3);
        if let Some((earlier, old)) = before {
            assert!(earlier.ms <= counts.ms, "{earlier:?} {counts:?}");
            assert!(old.iter().zip(&ticks).all(|(old, new)| old <= new), "{old:?} {ticks:?}");
            took_turns = old != ticks;
        }
        before = Some((counts, ticks));
        lines += 1;
    }
    let rest = program.end();
    let end =
        rest.iter().position(|line| line == "the end, 0 threads left").unwrap_or_else(|| panic!("{rest:#?}"));
    rest[..end].iter().for_each(|line| check_short(&short(line)));
    assert_eq!(rest[end + 1..], [""; 0]);
}

#[test]
fn the_first_line_comes_at_once() {
    const TEST: &str = "the_first_line_comes_at_once";
    if is_child(TEST) {
        until_stdin_ends();
        drop(runtime(2));
        return;
    }
    let _watch = watch();
    // The next would come in 24 days.
    let rest = Traced::start(traced(TEST, "2147483647", "0")).end();
    assert_eq!(rest.len(), 1, "{rest:#?}");
    check_short(&short(&rest[0]));
}

#[test]
fn a_block_shows_what_each_task_is_at() {
    const TEST: &str = "a_block_shows_what_each_task_is_at";
    if is_child(TEST) {
        let rt = runtime(2);
        let (_send, receive) = gmprt::chan::bounded::<u8>(1);
        let receiver = rt.spawn(async move { receive.recv().await.is_ok() });
        let sleeper = rt.spawn(gmprt::time::sleep(Duration::from_secs(3600)));
        let busy = [busy(&rt), busy(&rt)];
        let gate = Gate::default();
        let inner = gate.clone();
        let blocked = rt.spawn(async move { gmprt::block_in_place(|| inner.wait()) });
        let gs = [number(&receiver), number(&sleeper), number(&blocked), busy[0], busy[1]];
        eprintln!("{SAYS}{}", gs.map(|g| g.to_string()).join(" "));
        until_stdin_ends();
        gate.open();
        return;
    }
    let _watch = watch();
    let mut program = Traced::start(traced(TEST, "10", "1"));
    program.until(|block, said| {
        // Go reads the one after the other, and may print a P that has changed hands in between.
        assert!(block.ps.iter().all(|p| p.status == u64::from(p.m.is_some())), "{:?}", block.ps);
        let gs: Option<Vec<&G>> = said.iter().map(|id| block.g(*id)).collect();
        let Some(&[receiver, sleeper, blocked, one, other]) = gs.as_deref() else { return false };
        let waits = |g: &G, why: &str| g.status == 4 && g.m.is_none() && (g.why == why);
        for busy in [one, other] {
            assert!((1..=3).contains(&busy.status) && busy.why.is_empty(), "{busy:?}");
        }
        let bare = |m: &M| Some(m.id) == blocked.m && m.p.is_none() && m.g == Some(blocked.id);
        waits(receiver, "chan receive")
            && waits(sleeper, "sleep")
            && blocked.status == 3
            && block.ms.iter().any(bare)
    });
    program.end();
}

#[test]
fn an_idle_runtime_is_seen_idle() {
    const TEST: &str = "an_idle_runtime_is_seen_idle";
    if is_child(TEST) {
        let rt = runtime(2);
        let add = || async { (0..50).map(|n| gmprt::spawn(async move { n })).for_each(drop) };
        rt.block_on(async { rt.spawn(add()).await.unwrap() });
        until_stdin_ends();
        return;
    }
    let _watch = watch();
    let mut program = Traced::start(traced(TEST, "10", "1"));
    program.until(|block, _| {
        let Counts { idle_procs, need_spinning, runqueue, .. } = block.counts;
        let idle = idle_procs == 2 && block.gs.is_empty() && !block.ms.is_empty();
        assert!(!idle || (need_spinning == 0 && runqueue == 0), "{:?}", block.counts);
        idle && block.ps.iter().all(|p| p.status == 0)
            && block.ms.iter().all(|m| m.blocked && m.p.is_none() && m.g.is_none())
    });
    program.end();
}

#[test]
fn lines_of_several_runtimes_do_not_mix() {
    const TEST: &str = "lines_of_several_runtimes_do_not_mix";
    if is_child(TEST) {
        let runtimes: Vec<_> = (1..=4).map(runtime).collect();
        for rt in &runtimes {
            (0..200).for_each(|_| drop(rt.spawn(std::future::pending::<()>())));
        }
        until_stdin_ends();
        return;
    }
    let _watch = watch();
    // Blocks of some 10 000 bytes, one after the other.
    let mut program = Traced::start(traced(TEST, "1", "1"));
    let mut seen = [0; 4];
    program.until(|block, _| {
        let whole = block.gs.len() == 200;
        seen[block.counts.procs as usize - 1] += u32::from(whole);
        seen.iter().all(|&seen| seen >= 3)
    });
    program.end();
}

// ---- What a program is spared ----

/// Two runtimes, one after the other, and their ends.
fn two_runtimes() {
    for procs in [1, 2] {
        assert_eq!(runtime(procs).block_on(async { gmprt::spawn(async { 7 }).await.unwrap() }), 7);
    }
}

fn stderr_of(mut command: Command) -> Vec<String> {
    let Output { status, stderr, .. } = command.output().unwrap();
    let lines: Vec<_> = String::from_utf8(stderr).unwrap().lines().map(str::to_owned).collect();
    assert!(status.success(), "{status}: {lines:#?}");
    lines
}

#[test]
fn what_is_asked_for_badly_is_said_once_and_not_done() {
    const TEST: &str = "what_is_asked_for_badly_is_said_once_and_not_done";
    if is_child(TEST) {
        return two_runtimes();
    }
    let _watch = watch();
    for (period, detail, wrong) in [
        ("abc", "1", "GMPRT_SCHEDTRACE must be a number of milliseconds, not \"abc\""),
        ("", "1", "GMPRT_SCHEDTRACE must be a number of milliseconds, not \"\""),
        ("-5", "1", "GMPRT_SCHEDTRACE must be a number of milliseconds, not \"-5\""),
        ("2147483648", "0", "GMPRT_SCHEDTRACE must be a number of milliseconds, not \"2147483648\""),
        ("1", "yes", "GMPRT_SCHEDDETAIL must be 0 or 1, not \"yes\""),
    ] {
        let said = stderr_of(traced(TEST, period, detail));
        assert_eq!(said, [format!("gmprt: {wrong}; this process prints no scheduler trace")]);
    }
    assert_eq!(stderr_of(traced(TEST, "0", "1")), [""; 0]);
    let mut detail_alone = traced(TEST, "", "1");
    detail_alone.env_remove("GMPRT_SCHEDTRACE");
    assert_eq!(stderr_of(detail_alone), [""; 0]);
    // And what is asked for well is done.
    assert_eq!(stderr_of(traced(TEST, "1000000", "0")).len(), 2);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    const TEST: &str = "a_reader_that_goes_away_is_no_error";
    if is_child(TEST) {
        until_stdin_ends();
        return two_runtimes();
    }
    let _watch = watch();
    for detail in ["0", "1"] {
        let mut command = traced(TEST, "1", detail);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stderr.take());
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}

/// A socket in which nothing more fits, and which nobody reads; with its reader's end.
fn full() -> (OwnedFd, UnixStream) {
    let (mut writer, reader) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    while writer.write(&[b'x'; 1000]).is_ok() {}
    writer.set_nonblocking(false).unwrap();
    (writer.into(), reader)
}

#[test]
fn a_full_stderr_does_not_stop_the_end_of_a_runtime() {
    const TEST: &str = "a_full_stderr_does_not_stop_the_end_of_a_runtime";
    if is_child(TEST) {
        two_runtimes();
        std::process::exit(threads_named(THREAD).len() as i32); // a panic could not be said
    }
    let _watch = watch();
    for detail in ["0", "1"] {
        let (stderr, _reader) = full();
        let mut command = traced(TEST, "1", detail);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        assert!(command.status().unwrap().success());
    }
}

#[test]
fn a_program_that_keeps_stderr_to_itself_ends() {
    const TEST: &str = "a_program_that_keeps_stderr_to_itself_ends";
    if is_child(TEST) {
        let mut stderr = io::stderr().lock();
        drop(runtime(2)); // some seconds later: its thread might have been about to be done
        return writeln!(stderr, "mine").unwrap();
    }
    let _watch = watch();
    let said = stderr_of(traced(TEST, "1", "0"));
    assert_eq!(said[0], "mine");
    said[1..].iter().for_each(|line| check_short(&short(line)));
}

// ---- Go's lines ----

/// The program of `schedtrace/traced.go`; `None` where there is no Go 1.27 to build it with. Others print otherwise.
fn gos_program(folder: &Path) -> Option<PathBuf> {
    // It has no dependencies: nothing is to be fetched, no other toolchain either.
    let go = || {
        let mut go = Command::new("go");
        go.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env("GOFLAGS", "");
        go
    };
    let version = String::from_utf8(go().args(["env", "GOVERSION"]).output().ok()?.stdout).unwrap();
    if !version.starts_with("go1.27") {
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schedtrace/traced.go");
    let program = folder.join("traced");
    assert!(go().arg("build").arg("-o").arg(&program).arg(source).status().unwrap().success());
    Some(program)
}

/// A folder, gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("gmprt-schedtrace-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_parser_takes_gos_lines_as_it_takes_ours() {
    let folder = Folder::new();
    let Some(program) = gos_program(&folder.0) else {
        eprintln!("no Go 1.27 here: its lines are not looked at");
        return;
    };
    let _watch = watch();
    let traced = |debug: &str| {
        let mut command = Command::new(&program);
        command.env("GODEBUG", debug).env("GOMAXPROCS", "2");
        Traced::start(command)
    };
    let mut short_form = traced("schedtrace=10");
    for _ in 0..10 {
        check_short(&short(&short_form.next()));
    }
    short_form.end();
    let mut long_form = traced("schedtrace=10,scheddetail=1");
    long_form.until(|block, _| {
        let has = |why: &str| block.gs.iter().any(|g| g.status == 4 && g.why == why && g.m.is_none());
        has("chan receive") && has("sleep") && has("sync.Mutex.Lock")
    });
    long_form.end();
}

// ---- The parser itself ----

/// Lines of Go 1.27, as they were printed.
const GOS: [&str; 8] = [
    "SCHED 103ms: gomaxprocs=3 idleprocs=0 threads=4 spinningthreads=0 needspinning=1 idlethreads=0 runqueue=1 \
     [ 0 0 0 ] schedticks=[ 9 5 5 ]",
    "SCHED 107ms: gomaxprocs=3 idleprocs=0 threads=5 spinningthreads=0 needspinning=1 idlethreads=1 runqueue=1 \
     gcwaiting=false nmidlelocked=0 stopwait=0 sysmonwait=false",
    "  P2: status=1 schedtick=8 syscalltick=0 m=0 runqsize=0 gfreecnt=0 timerslen=0",
    "  P0: status=0 schedtick=14 syscalltick=0 m=nil runqsize=0 gfreecnt=2 timerslen=1",
    "  M0: p=nil curg=nil mallocing=0 throwing=0 preemptoff= locks=16 dying=0 spinning=false blocked=false lockedg=1",
    "  M4: p=0 curg=17 mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning=false blocked=false lockedg=nil",
    "  G2: status=4(force gc (idle)) m=nil lockedm=nil",
    "  G17: status=2() m=4 lockedm=0",
];

#[test]
fn the_parser_refuses_what_go_does_not_print() {
    for line in GOS {
        parse(line).unwrap();
        // A blank more or less, a digit that is none, an end too early or too late: at each place of the line.
        for (at, byte) in line.bytes().enumerate() {
            let (before, after) = (&line[..at], &line[at + 1..]);
            let between_numbers = before.ends_with(char::is_numeric) && after.starts_with(char::is_numeric);
            if byte == b' ' && !line[..at].contains('(') {
                assert!(parse(&format!("{before}  {after}")).is_err(), "a blank at {at} of {line}");
                assert!(
                    between_numbers || parse(&format!("{before}{after}")).is_err(),
                    "no blank at {at} of {line}"
                );
            }
            if byte.is_ascii_digit() {
                assert!(parse(&format!("{before}x{after}")).is_err(), "no digit at {at} of {line}");
            }
            if byte == b'=' {
                assert!(parse(&format!("{before}:{after}")).is_err(), "no = at {at} of {line}");
            }
        }
        assert!(parse(&format!("{line} ")).is_err());
        assert!(parse(&line[..line.len() - 4]).is_err(), "{line}");
    }
    for line in ["", "SCHED", "gmprt: something", "  X1: status=1"] {
        assert!(parse(line).is_err(), "{line:?}");
    }
    assert!(parse(&GOS[0].replace("[ 9 ", "[ 4294967296 ")).is_err(), "a tick of more than 32 bits");
}

#[test]
fn what_contradicts_itself_is_noticed() {
    let sound = |line: &str| catch_unwind(|| check_short(&short(line))).is_ok();
    assert!(sound(GOS[0]));
    for (true_, false_) in [
        ("idleprocs=0", "idleprocs=4"),
        ("idlethreads=0", "idlethreads=4"),
        ("needspinning=1", "needspinning=2"),
        ("[ 0 0 0 ]", "[ 0 0 ]"),
        ("[ 9 5 5 ]", "[ 9 5 5 5 ]"),
    ] {
        assert!(!sound(&GOS[0].replace(true_, false_)), "{false_}");
    }
    let block = |changed: usize, true_: &str, false_: &str| {
        // The Ps of the lines above, and another; the Ms; the Gs.
        let p1 = GOS[3].replace("P0", "P1");
        let mut lines = [GOS[1], GOS[3], &p1, GOS[2], GOS[5], GOS[4], GOS[6], GOS[7]].map(str::to_owned);
        assert!(lines[changed].contains(true_));
        lines[changed] = lines[changed].replace(true_, false_);
        catch_unwind(|| {
            let mut lines = lines.iter().map(|line| parse(line).unwrap());
            let mut block = Block::begin(lines.next().unwrap());
            lines.for_each(|line| assert_eq!(block.take(line), None));
            block.check();
        })
    };
    assert!(block(0, "", "").is_ok());
    assert!(block(0, "gomaxprocs=3", "gomaxprocs=4").is_err(), "a P too few");
    assert!(block(2, "P1", "P2").is_err(), "a P twice");
    assert!(block(4, "M4", "M0").is_err(), "an M twice");
    assert!(block(7, "G17", "G2").is_err(), "a G twice");
    assert!(block(5, "M0", "M4").is_err(), "an M twice");
    assert!(block(4, "M4", "M5").is_ok());
}
