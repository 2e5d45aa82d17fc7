//! `GMPRT_TRACE`, and recordings that are started by the program: what a program gets, and what it is spared.
//!
//! Each traced program is this binary again, with one test's name and `GMPRT_TEST_CHILD` in its environment: the variables
//! are read once in a process.
//!
//! Length: one test for each promise, and one for each way in which the file fails.

mod common;

use common::watch;
use flate2::read::GzDecoder;
use gmprt::Runtime;
use gmprt::trace::TraceConfig;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A directory of a test's own, gone at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gmprt-trace-env-{test}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CHILD: &str = "GMPRT_TEST_CHILD";

/// Whether this process is the child, and as which.
fn role() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// This binary again, to run the calling test alone, as `role`, traced to `file`.
fn child(role: &str, file: impl AsRef<Path>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = thread::current().name().unwrap().to_owned();
    command.args(["--exact", &test, "--nocapture"]).env(CHILD, role).env("GMPRT_TRACE", file.as_ref());
    command
        .env_remove("GMPRT_TRACE_EVENTS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What the child said on stderr of the trace. It must have ended with `code`.
fn said(output: &Output, code: i32) -> Vec<String> {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    text.lines().filter(|line| line.starts_with("gmprt: ")).map(str::to_owned).collect()
}

/// A run in which nothing was to be said.
fn quiet(mut command: Command) {
    assert_eq!(said(&command.output().unwrap(), 0), [""; 0]);
}

/// A run in which one line was to be said, with these words.
fn one_line(mut command: Command, words: &[&str]) {
    let lines = said(&command.output().unwrap(), 0);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    for word in words {
        assert!(lines[0].contains(word), "no {word:?} in {}", lines[0]);
    }
}

/// Tasks that add up, and yield, and must come to the right result.
fn work(rt: &Runtime, tasks: u64) {
    let sum = rt.block_on(async {
        let add = |n: u64| async move {
            for _ in 0..5 {
                gmprt::yield_now().await;
            }
            n
        };
        let handles: Vec<_> = (0..tasks).map(|n| gmprt::spawn(add(n))).collect();
        let mut sum = 0;
        for handle in handles {
            sum += handle.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, tasks * (tasks - 1) / 2);
}

/// Many events, a few tasks at a time: a limit does not end them among the first spawns.
fn much(rt: &Runtime) {
    for _ in 0..100 {
        work(rt, 50);
    }
}

fn runtime() -> Runtime {
    Runtime::builder().procs(2).build().unwrap()
}

/// A program that does not know of traces.
fn program() {
    work(&runtime(), 100);
}

/// The events of a file that is an object, as it is after its end.
fn object(json: &[u8]) -> Vec<Value> {
    let file: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(file["displayTimeUnit"], "ns");
    file["traceEvents"].as_array().unwrap().clone()
}

fn read(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if path.extension().unwrap() != "gz" {
        return bytes;
    }
    let mut content = Vec::new();
    GzDecoder::new(&bytes[..]).read_to_end(&mut content).unwrap();
    content
}

fn slices(events: &[Value]) -> usize {
    events.iter().filter(|event| event["ph"] == "X").count()
}

fn runs(events: &[Value]) -> usize {
    events.iter().filter(|event| event["cat"] == "run").count()
}

/// The pids of the instants that close each runtime's part.
fn closings(events: &[Value]) -> Vec<u64> {
    let closing = events.iter().filter(|event| event["name"] == "gmprt trace" && event["ph"] == "i");
    closing.map(|event| event["pid"].as_u64().unwrap()).collect()
}

fn pids(events: &[Value]) -> BTreeSet<u64> {
    events.iter().map(|event| event["pid"].as_u64().unwrap()).collect()
}

/// The events of a whole file of one runtime.
fn whole(path: &Path) -> Vec<Value> {
    let events = object(&read(path));
    assert_eq!(closings(&events), [1]);
    assert!(slices(&events) > 100 && runs(&events) > 100);
    events
}

#[test]
fn a_program_is_traced_without_a_change_to_it() {
    if role().is_some() {
        return program();
    }
    let _watch = watch();
    let dir = Dir::new("plain");
    for name in ["t.json", "t.json.gz"] {
        quiet(child("program", dir.file(name)));
        let events = whole(&dir.file(name));
        assert!(pids(&events).is_subset(&BTreeSet::from([1, 2, 3, 4])));
        let about = events.iter().find(|event| event["name"] == "gmprt trace").unwrap();
        assert_eq!(about["args"]["dropped"], 0);
    }
}

#[test]
fn runtimes_share_the_file() {
    match role().as_deref() {
        Some("in turn") => return (0..3).for_each(|_| program()),
        Some(_) => {
            return thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(program);
                }
            });
        }
        None => {}
    }
    let _watch = watch();
    let dir = Dir::new("share");
    for (role, name) in
        [("in turn", "a.json"), ("in turn", "a.json.gz"), ("at once", "b.json"), ("at once", "b.json.gz")]
    {
        quiet(child(role, dir.file(name)));
        let events = object(&read(&dir.file(name)));
        let mut ends = closings(&events);
        ends.sort_unstable();
        assert_eq!(ends, [1, 11, 21], "{role}");
        let all: BTreeSet<_> = [0, 10, 20].into_iter().flat_map(|base| base + 1..=base + 4).collect();
        assert_eq!(pids(&events), all);
        for pid in [2, 12, 22] {
            assert!(events.iter().any(|event| event["cat"] == "run" && event["pid"] == pid), "{pid}");
        }
    }
}

#[test]
fn a_process_that_exits_while_a_runtime_lives_leaves_a_whole_file() {
    match role().as_deref() {
        Some("main") => {
            let rt = runtime();
            work(&rt, 100);
            std::process::exit(7);
        }
        Some("task") => {
            let rt = runtime();
            work(&rt, 100);
            rt.block_on(async { gmprt::spawn(async { std::process::exit(7) }).await.unwrap() })
        }
        Some("leaked") => {
            let rt = runtime();
            work(&rt, 100);
            std::mem::forget(rt);
            std::process::exit(7);
        }
        _ => {}
    }
    let _watch = watch();
    let dir = Dir::new("exit");
    for role in ["main", "task", "leaked"] {
        for name in ["t.json", "t.json.gz"] {
            let output = child(role, dir.file(name)).output().unwrap();
            assert_eq!(said(&output, 7), [""; 0]);
            whole(&dir.file(name));
        }
    }
}

/// What viewers do to an array that was cut, and what Perfetto makes of one that is about to become an object.
fn repaired(json: &[u8]) -> Vec<Value> {
    if json.starts_with(b"{") {
        return object(json);
    }
    let cut = json.trim_ascii_end();
    let cut = cut.strip_suffix(b"]}").map_or(cut, |events| events.trim_ascii_end());
    serde_json::from_slice(cut).unwrap_or_else(|_| {
        let cut = cut.strip_suffix(b",").unwrap_or(cut);
        serde_json::from_slice(&[cut, b"]"].concat()).unwrap()
    })
}

#[test]
fn a_killed_process_leaves_a_file_that_loads() {
    if role().is_some() {
        let rt = runtime();
        loop {
            work(&rt, 100);
        }
    }
    let _watch = watch();
    let dir = Dir::new("kill");
    let path = dir.file("t.json");
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    for _ in 0..10 {
        let mut child = child("loop", &path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        common::until(|| fs::metadata(&path).is_ok_and(|data| data.len() > 20_000));
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_micros((seed >> 33) % 150_000)); // sleep: the kill is to come at any moment
        child.kill().unwrap();
        child.wait().unwrap();
        let events = repaired(&fs::read(&path).unwrap());
        assert!(slices(&events) > 10 && runs(&events) > 10);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn the_limit_is_said_and_the_file_is_whole() {
    match role().as_deref() {
        Some("two") => {
            much(&runtime());
            return much(&runtime());
        }
        Some(_) => return much(&runtime()),
        None => {}
    }
    let _watch = watch();
    let dir = Dir::new("limit");
    for (role, name) in [("one", "t.json"), ("one", "t.json.gz"), ("two", "t.json")] {
        let mut command = child(role, dir.file(name));
        command.env("GMPRT_TRACE_EVENTS", "5000");
        one_line(command, &[name, "ends after 5000 events", "GMPRT_TRACE_EVENTS"]);
        let events = object(&read(&dir.file(name)));
        assert_eq!(closings(&events).first(), Some(&1));
        assert!(runs(&events) > 10 && runs(&events) < 5000);
        let about = events.iter().find(|event| event["name"] == "gmprt trace").unwrap();
        assert!(about["args"]["records"].as_u64().unwrap() <= 5000, "{about}");
    }
}

#[test]
fn what_cannot_be_done_is_said_in_one_line_and_the_program_goes_on() {
    if role().is_some() {
        program();
        return program();
    }
    let _watch = watch();
    let dir = Dir::new("wrong");
    let file = dir.file("t.json");
    for limit in ["0", "-1", "many", "", "1e6", "99999999999999999999999"] {
        let mut command = child("program", &file);
        command.env("GMPRT_TRACE_EVENTS", limit);
        one_line(command, &["GMPRT_TRACE_EVENTS must be a number from 1, not ", limit, "not traced"]);
        assert!(!file.exists());
    }
    one_line(child("program", ""), &["the name of a file is expected", "not traced"]);
    one_line(child("program", dir.file("no/t.json")), &["cannot write the trace", "no/t.json", "not traced"]);
    one_line(child("program", &dir.0), &["cannot write the trace", "not traced"]);
    one_line(child("program", "/dev/full"), &["cannot write the trace /dev/full", "No space left"]);
    let lines = said(&child("program", dir.file("no/t.json")).output().unwrap(), 0);
    assert_eq!(lines[0].matches("no/t.json").count(), 1, "{lines:?}");
}

#[test]
fn a_full_device_or_a_reader_that_goes_leaves_the_exit_code_alone() {
    if role().is_some() {
        let rt = runtime();
        work(&rt, 3000);
        std::process::exit(7);
    }
    let _watch = watch();
    let dir = Dir::new("fifo");
    let output = child("program", "/dev/full").output().unwrap();
    assert_eq!(said(&output, 7).len(), 1, "{output:?}");
    for name in ["t.json", "t.json.gz"] {
        let fifo = dir.file(name);
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let reader = thread::spawn({
            let fifo = fifo.clone();
            move || drop(File::open(fifo).unwrap())
        });
        let lines = said(&child("program", &fifo).output().unwrap(), 7);
        reader.join().unwrap();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(lines[0].contains(name) && lines[0].contains("Broken pipe"), "{lines:?}");
        // With a reader that stays, all arrives.
        let reader = thread::spawn({
            let fifo = fifo.clone();
            move || fs::read(fifo).unwrap()
        });
        assert_eq!(said(&child("program", &fifo).output().unwrap(), 7), [""; 0]);
        let mut bytes = reader.join().unwrap();
        if name.ends_with("gz") {
            let mut content = Vec::new();
            GzDecoder::new(&bytes[..]).read_to_end(&mut content).unwrap();
            bytes = content;
        }
        assert_eq!(closings(&object(&bytes)), [1]);
    }
}

#[test]
fn each_process_has_its_file_or_is_told() {
    match role().as_deref() {
        Some("parent") => {
            let rt = runtime();
            work(&rt, 100);
            let output = child("program", std::env::var_os("GMPRT_TRACE").unwrap()).output().unwrap();
            for line in said(&output, 0) {
                eprintln!("{line}");
            }
            return;
        }
        Some(_) => {
            program();
            return program();
        }
        None => {}
    }
    let _watch = watch();
    let dir = Dir::new("family");
    let file = dir.file("t.json");
    one_line(
        child("parent", &file),
        &["t.json", "another trace is being written to it", "`%p` in the name", "not traced"],
    );
    whole(&file);
    fs::remove_file(&file).unwrap();
    quiet(child("parent", dir.file("t%p.json")));
    let files: Vec<_> = fs::read_dir(&dir.0).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(name[1..].parse::<u32>().is_ok(), "{name}");
        assert!(!closings(&object(&read(file))).is_empty());
    }
}

#[test]
fn what_the_program_asks_for_comes_before_the_environment() {
    if role().is_some() {
        let rt = Runtime::builder().procs(2).trace(TraceConfig::stop_when_full()).build().unwrap();
        work(&rt, 100);
        let trace = rt.trace().stop().unwrap();
        assert!(trace.events() > 100);
        drop(rt);
        return program(); // has no wish of its own
    }
    let _watch = watch();
    let dir = Dir::new("builder");
    let file = dir.file("t.json");
    quiet(child("program", &file));
    whole(&file); // of one runtime
}

fn kind<T>(outcome: io::Result<T>) -> ErrorKind {
    match outcome {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.kind(),
    }
}

#[test]
fn a_recording_is_started_once_and_stopped_once() {
    let _watch = watch();
    let rt = runtime();
    let tracer = rt.trace();
    assert!(!tracer.is_on());
    assert_eq!(kind(tracer.stop()), ErrorKind::NotFound);
    assert_eq!(kind(tracer.snapshot()), ErrorKind::NotFound);
    for _ in 0..3 {
        tracer.start().unwrap();
        assert!(tracer.is_on());
        assert_eq!(kind(tracer.start()), ErrorKind::AlreadyExists);
        assert_eq!(kind(rt.handle().trace().start()), ErrorKind::AlreadyExists);
        work(&rt, 100);
        let (first, trace) = (tracer.snapshot().unwrap(), tracer.stop().unwrap());
        assert!(first.events() > 100 && trace.events() >= first.events());
        assert!(!tracer.is_on());
        assert_eq!(kind(tracer.stop()), ErrorKind::NotFound);
    }
}

#[test]
fn a_wish_that_makes_no_sense_is_refused() {
    let _watch = watch();
    let dir = Dir::new("refused");
    let rt = runtime();
    let (first, newest) = (TraceConfig::stop_when_full, TraceConfig::flight_recorder);
    for config in [first().events(0), newest().events(0), newest().stream_to(dir.file("t.json"))] {
        assert_eq!(kind(rt.trace().start_with(config.clone())), ErrorKind::InvalidInput, "{config:?}");
        assert_eq!(kind(Runtime::builder().procs(1).trace(config).build()), ErrorKind::InvalidInput);
    }
    let nowhere = rt.trace().start_with(first().stream_to(dir.file("no/t.json")));
    assert_eq!(kind(nowhere), ErrorKind::NotFound);
    assert!(!rt.trace().is_on() && fs::read_dir(&dir.0).unwrap().next().is_none());
    rt.trace().start().unwrap(); // none of them has left anything
    rt.trace().stop().unwrap();
}

#[test]
fn a_streamed_trace_is_in_its_file() {
    let _watch = watch();
    let dir = Dir::new("stream");
    let rt = runtime();
    for name in ["t.json", "t.json.gz", "t.json"] {
        let path = dir.file(name);
        let config = TraceConfig::stop_when_full().stream_to(&path);
        rt.trace().start_with(config.clone()).unwrap();
        assert_eq!(kind(rt.trace().start_with(config)), ErrorKind::AlreadyExists);
        assert_eq!(kind(rt.trace().snapshot()), ErrorKind::Unsupported);
        work(&rt, 100);
        let trace = rt.trace().stop().unwrap();
        assert!(trace.events() > 100 && trace.dropped() == 0);
        assert_eq!(kind(trace.write_chrome(Vec::new())), ErrorKind::Unsupported);
        assert_eq!(kind(trace.save(dir.file("other.json"))), ErrorKind::Unsupported);
        assert!(!dir.file("other.json").exists());
        whole(&path);
    }
    // Its runtime's end is its own.
    let path = dir.file("u.json");
    let config = TraceConfig::stop_when_full().stream_to(&path);
    let rt = Runtime::builder().procs(2).trace(config).build().unwrap();
    work(&rt, 100);
    drop(rt);
    whole(&path);
}

#[test]
fn a_saved_trace_is_whole_in_both_forms() {
    let _watch = watch();
    let dir = Dir::new("save");
    let rt = Runtime::builder().procs(2).trace(TraceConfig::stop_when_full()).build().unwrap();
    work(&rt, 100);
    let trace = rt.trace().stop().unwrap();
    let mut json = Vec::new();
    trace.write_chrome(&mut json).unwrap();
    for name in ["t.json", "t.json.gz"] {
        trace.save(dir.file(name)).unwrap();
        whole(&dir.file(name));
        assert_eq!(read(&dir.file(name)), json);
    }
    assert!(fs::metadata(dir.file("t.json.gz")).unwrap().len() < json.len() as u64 / 2);
    assert_eq!(kind(trace.save(dir.file("no/t.json"))), ErrorKind::NotFound);
    assert_eq!(kind(trace.save("/dev/full")), ErrorKind::StorageFull);
}

#[test]
fn a_full_recording_waits_to_be_taken() {
    let _watch = watch();
    let rt = runtime();
    for _ in 0..2 {
        rt.trace().start_with(TraceConfig::stop_when_full().events(10_000)).unwrap();
        much(&rt);
        assert!(!rt.trace().is_on());
        assert_eq!(kind(rt.trace().start()), ErrorKind::AlreadyExists);
        let snapshot = rt.trace().snapshot().unwrap();
        let trace = rt.trace().stop().unwrap();
        // Each M takes room for a chunk of events ahead: what it has not used is nobody's.
        assert!((1000..=10_000).contains(&trace.events()), "{}", trace.events());
        assert_eq!(snapshot.events(), trace.events());
        let mut json = Vec::new();
        trace.write_chrome(&mut json).unwrap();
        assert!(runs(&object(&json)) > 10);
    }
}
