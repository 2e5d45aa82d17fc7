//! Tests of trace files while they are written: whole after each flush, loadable after a kill, and never in the way.
//!
//! A kill in the middle of a write is brought about in two ways: by real ones, in child processes, and by putting together
//! what each would leave.
//!
//! Length: one test for each promise of `sink.rs`, and the children that are killed.

use super::*;
use flate2::bufread::GzDecoder;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// A directory of a test's own, gone at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gmprt-sink-{test}-{}", std::process::id()));
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

#[derive(serde::Deserialize)]
struct Row {
    n: u64,
}

/// SplitMix64, below `limit`.
fn random(state: &mut u64, limit: u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) % limit
}

/// The event with the number `n`, of exactly `len` bytes.
fn event(n: u64, len: usize) -> Vec<u8> {
    let (begin, end) = (format!("{{\"n\":{n},\"x\":\""), "\"}");
    let filler = (0..len - begin.len() - end.len()).map(|i| b'a' + ((n as usize * 31 + i * i) % 23) as u8);
    [begin.as_bytes(), &filler.collect::<Vec<_>>(), end.as_bytes()].concat()
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Object {
    display_time_unit: String,
    trace_events: Vec<Row>,
}

fn is_object(json: &[u8]) -> bool {
    json.starts_with(b"{")
}

/// How many events there are, in either form, which are numbered from 0; or what is wrong with it.
fn strict(json: &[u8]) -> Result<u64, String> {
    let rows = if is_object(json) {
        serde_json::from_slice(json).and_then(|object: Object| match &*object.display_time_unit {
            "ns" => Ok(object.trace_events),
            other => Err(serde::de::Error::custom(other)),
        })
    } else {
        serde_json::from_slice::<Vec<Row>>(json)
    };
    let rows = rows.map_err(|error| error.to_string())?;
    match (0..).zip(&rows).find(|(i, row)| *i != row.n) {
        Some((i, row)) => Err(format!("event {} in the place of {i}", row.n)),
        None => Ok(rows.len() as u64),
    }
}

/// The same, after what viewers do to an array that was cut: a comma at the end goes, a bracket comes.
fn repaired(json: &[u8]) -> Result<u64, String> {
    let cut = json.trim_ascii_end();
    strict(json).or_else(|_| strict(&[cut.strip_suffix(b",").unwrap_or(cut), b"]"].concat()))
}

/// The first member's content, and the bytes behind that member.
fn unpacked(gz: &[u8]) -> Result<(Vec<u8>, usize), String> {
    let (mut decoder, mut content) = (GzDecoder::new(gz), Vec::new());
    decoder.read_to_end(&mut content).map_err(|error| error.to_string())?;
    Ok((content, decoder.into_inner().len()))
}

/// How many events a file holds that must be whole, by its name plain or gz.
fn whole(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    if path.extension().unwrap() != "gz" {
        return strict(&bytes).unwrap();
    }
    let (content, rest) = unpacked(&bytes).unwrap();
    assert_eq!(rest, 0, "bytes behind the member");
    assert!(is_object(&content));
    strict(&content).unwrap()
}

/// The files after each of many flushes of events of random sizes, many of them just around a page.
fn states(path: &Path, seed: u64) -> Vec<Vec<u8>> {
    let (mut seed, mut n) = (seed, 0);
    let mut sink = Sink::create(path).unwrap();
    let mut states = vec![fs::read(path).unwrap()];
    while states.len() < 40 {
        for _ in 0..random(&mut seed, 20) {
            let len = if random(&mut seed, 4) == 0 {
                4090 + random(&mut seed, 7)
            } else {
                20 + random(&mut seed, 300)
            };
            sink.event(&event(n, len as usize));
            n += 1;
        }
        sink.flush().unwrap();
        assert_eq!((whole(path), sink.events(), sink.lost()), (n, n, 0));
        states.push(fs::read(path).unwrap());
    }
    states
}

#[test]
fn the_repair_does_not_mend_a_cut_event() {
    assert_eq!(repaired(b"[\n{\"n\":0},\n{\"n\":1},\n   "), Ok(2));
    assert_eq!(repaired(b"[\n{\"n\":0},\n{\"n\":1}"), Ok(2));
    assert_eq!(repaired(b"[\n{\"n\":0}\n]\n"), Ok(1));
    assert_eq!(repaired(b"["), Ok(0));
    assert_eq!(repaired(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[{\"n\":0}]}"), Ok(1));
    for bad in [
        &b"[\n{\"n\":0},\n{\"n\":"[..],
        b"[{\"n\":0},]\n",
        b"[{\"n\":0}]\n\0\0",
        b"[{\"n\":1}]",
        b"",
        b"[{\"n\":0}]}",
        b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[{\"n\":0}",
        b"{\"displayTimeUnit\":\"us\",\"traceEvents\":[{\"n\":0}]}",
        b"{\"traceEvents\":[{\"n\":0}]}",
    ] {
        assert!(repaired(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn a_file_is_whole_after_each_flush_and_goes_on_after_its_end() {
    let dir = Dir::new("whole");
    for name in ["t.json", "t.json.gz"] {
        let path = dir.file(name);
        fs::write(&path, [b'x'; 100_000]).unwrap(); // an older file, longer
        let mut sink = Sink::create(&path).unwrap();
        assert_eq!(whole(&path), 0);
        for n in 0..200 {
            sink.event(&event(n, 30 + 20 * n as usize));
            if n % 3 == 0 { sink.finish() } else { sink.flush() }.unwrap();
            sink.flush().unwrap(); // nothing to do
            assert_eq!(whole(&path), n + 1);
        }
        sink.event(&event(200, 3 * 4096)); // longer than a page
        assert_eq!(sink.path(), path);
        drop(sink);
        assert_eq!(whole(&path), 201);
    }
    let plain = fs::read_to_string(dir.file("t.json")).unwrap();
    let head = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{\"n\":0";
    assert!(plain.starts_with(head) && plain.ends_with("}\n]}\n"));
    let read = Command::new("gzip").arg("-dc").arg(dir.file("t.json.gz")).output().unwrap();
    assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");
    assert_eq!(strict(&read.stdout), Ok(201));
}

#[test]
fn a_plain_file_is_an_object_once_finished_and_an_array_while_it_goes_on() {
    let dir = Dir::new("forms");
    let path = dir.file("t.json");
    let read = || fs::read(&path).unwrap();
    let mut sink = Sink::create(&path).unwrap();
    assert_eq!(read(), [ARRAY_HEAD, ARRAY_END].concat());
    let (mut seed, mut n) = (1, 0);
    for round in 0..60 {
        // Flushed, and then finished; or finished with events that wait.
        let array = read();
        assert!(!is_object(&array) && array.ends_with(ARRAY_END), "round {round}");
        sink.finish().unwrap();
        let object = read();
        assert_eq!(object, [HEAD, &array[HEAD.len()..array.len() - END.len()], END].concat());
        assert_eq!(strict(&object), Ok(n));
        sink.finish().unwrap();
        sink.flush().unwrap();
        assert_eq!(read(), object, "nothing to do");
        for _ in 0..=random(&mut seed, 20) {
            sink.event(&event(n, 20 + random(&mut seed, 900) as usize));
            n += 1;
        }
        assert_eq!(read(), object, "it goes on with the write");
        if round % 3 == 0 {
            sink.finish().unwrap();
            assert!(is_object(&read()) && strict(&read()) == Ok(n));
            sink.event(&event(n, 100));
            n += 1;
        }
        sink.flush().unwrap();
        let next = read();
        assert_eq!(strict(&next), Ok(n));
        assert_eq!(next[..HEAD.len()], *ARRAY_HEAD);
        // A kill after the head was put back, in the write that goes on.
        let border = ((object.len() - END.len()) / 4096 + 1) * 4096;
        for cut in (border..next.len()).step_by(4096) {
            repaired(&next[..cut]).unwrap();
        }
    }
    drop(sink);
    assert!(is_object(&read()) && strict(&read()) == Ok(n));
    Sink::create(&path).unwrap();
    assert_eq!(read(), [HEAD, END].concat());
}

#[test]
fn the_buffer_writes_itself_out() {
    let dir = Dir::new("itself");
    for name in ["t.json", "t.json.gz"] {
        let path = dir.file(name);
        let mut sink = Sink::create(&path).unwrap();
        for n in 0..4000 {
            sink.event(&event(n, 1000));
            assert!(sink.buffer.len() < LIMIT && sink.buffer.capacity() <= 3 * LIMIT);
        }
        assert!(sink.events() > 2000 && whole(&path) == sink.events());
    }
}

#[test]
fn no_event_crosses_a_page_and_a_cut_at_any_page_can_be_repaired() {
    let dir = Dir::new("pages");
    for seed in 0..3 {
        let states = states(&dir.file("t.json"), seed);
        for two in states.windows(2) {
            let (old, new) = (&two[0], &two[1]);
            let events = strict(old).unwrap();
            // The write begins in the old tail's page, and stops at a border.
            for cut in (old.len().next_multiple_of(4096)..new.len()).step_by(4096) {
                assert!(repaired(&new[..cut]).unwrap() >= events, "cut at {cut}");
            }
            assert_eq!(old.len().div_ceil(4096), (old.len() - END.len()) / 4096 + 1, "a tail in two pages");
        }
        let last = states.last().unwrap();
        for cut in (4096..last.len()).step_by(4096) {
            repaired(&last[..cut]).unwrap();
        }
        assert!(
            last.len() > 20 * 4096 && last.windows(3).any(|three| three == b"\n  "),
            "nothing was padded"
        );
    }
}

#[test]
fn a_gz_file_that_is_cut_holds_what_it_held_before() {
    let dir = Dir::new("cut");
    for seed in 0..6 {
        for two in states(&dir.file("t.json.gz"), seed).windows(2) {
            let (old, new) = (&two[0], &two[1]);
            let events = strict(&unpacked(old).unwrap().0).unwrap();
            let border = ((old.len() - TAIL) / 4096 + 1) * 4096; // of the page where the old tail begins
            assert!(old.len() <= border, "a tail in two pages");
            // What lies beyond the old tail's page comes first: with a hole before it, if the file ended earlier.
            for cut in (border..new.len()).step_by(4096).chain([new.len()]).filter(|_| new.len() > border) {
                let torn = [old, &vec![0; border - old.len()][..], &new[border..cut]].concat();
                assert_eq!(strict(&unpacked(&torn).unwrap().0).unwrap(), events);
            }
        }
    }
}

/// Bytes of a gz file's tail.
const TAIL: usize = 17;

#[test]
fn a_gz_tail_lies_in_one_page() {
    for room in 1..40 {
        let (mut gz, mut out) = (Gz::new(), Vec::new());
        gz.compress(HEAD, &mut out);
        let (len, at) = (out.len(), 2 * PAGE - (out.len() + room) as u64);
        gz.pad(&mut out, at);
        assert_eq!(out.len() > len, room < TAIL, "{room}");
        let (begin, tail) = (at + out.len() as u64, gz.tail(END));
        assert_eq!(begin / PAGE, (begin + tail.len() as u64 - 1) / PAGE, "{room}");
        assert_eq!(tail.len(), TAIL);
        assert_eq!(unpacked(&[out, tail].concat()).map(|(json, rest)| (strict(&json), rest)), Ok((Ok(0), 0)));
    }
}

#[test]
fn the_process_id_stands_for_percent_p() {
    let dir = Dir::new("pid");
    let sink = Sink::create(&dir.file("a%p-%p%q%.json.gz")).unwrap();
    let pid = std::process::id();
    assert_eq!(sink.path(), dir.file(&format!("a{pid}-{pid}%q%.json.gz")));
    assert_eq!(whole(sink.path()), 0);
}

#[test]
fn a_file_has_one_writer() {
    let dir = Dir::new("one");
    let path = dir.file("t.json");
    let mut sink = Sink::create(&path).unwrap();
    sink.event(&event(0, 50));
    sink.flush().unwrap();
    let error = Sink::create(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    assert!(error.to_string().contains("t.json: another trace"), "{error}");
    assert_eq!(whole(&path), 1); // it was left alone
    drop(sink);
    assert_eq!(whole(Sink::create(&path).unwrap().path()), 0);
}

#[test]
fn a_path_that_cannot_be_opened_is_named() {
    let dir = Dir::new("nowhere");
    let error = Sink::create(&dir.file("no/t.json")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("no/t.json"), "{error}");
}

/// Checks that the first error is told once, and that all that follows is counted and not kept.
fn fails(sink: &mut Sink, kind: ErrorKind) {
    let before = sink.events();
    for n in 0..10_000 {
        sink.event(&event(before + n, 300)); // more than the buffer holds
    }
    let error = sink.flush().unwrap_err();
    assert_eq!(error.kind(), kind);
    assert!(error.to_string().contains(sink.path().to_str().unwrap()), "{error}");
    assert!(sink.failed());
    assert_eq!(sink.lost() + sink.events() - before, 10_000);
    sink.event(b"{}");
    sink.flush().unwrap();
    sink.finish().unwrap();
    assert_eq!(sink.lost() + sink.events() - before, 10_001);
    assert_eq!(sink.buffer.capacity() + sink.packed.capacity(), 0);
}

#[test]
fn a_full_device_is_told_once_and_its_events_counted() {
    let dir = Dir::new("full");
    for name in ["t.json", "t.json.gz"] {
        std::os::unix::fs::symlink("/dev/full", dir.file(name)).unwrap();
        let mut sink = Sink::create(&dir.file(name)).unwrap();
        fails(&mut sink, ErrorKind::StorageFull);
        assert_eq!((sink.events(), sink.lost()), (0, 10_001));
    }
}

#[test]
fn a_closed_pipe_is_told_once_and_its_events_counted() {
    let (reader, writer) = io::pipe().unwrap();
    let mut sink = Sink::create(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd()))).unwrap();
    sink.event(b"{}");
    sink.flush().unwrap();
    assert_eq!(sink.events(), 1);
    drop(reader);
    sink.event(b"{}");
    assert_eq!(sink.flush().unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert!(sink.failed());
    assert_eq!((sink.events(), sink.lost()), (1, 1));
}

#[test]
fn a_fifo_gets_a_whole_array_and_nothing_behind_it() {
    let dir = Dir::new("fifo");
    for name in ["t.json", "t.json.gz"] {
        let path = dir.file(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let reader = thread::spawn({
            let path = path.clone();
            move || fs::read(path).unwrap()
        });
        let mut sink = Sink::create(&path).unwrap();
        for n in 0..3000 {
            sink.event(&event(n, 600));
            if n % 1000 == 7 {
                sink.flush().unwrap();
            }
        }
        sink.finish().unwrap();
        sink.finish().unwrap();
        assert_eq!((sink.events(), sink.lost()), (3000, 0));
        sink.event(b"{}"); // K5
        assert!(sink.failed() && sink.flush().unwrap_err().to_string().contains("end is written"));
        assert_eq!((sink.events(), sink.lost()), (3000, 1));
        drop(sink);
        let bytes = reader.join().unwrap();
        let content = if name.ends_with("gz") { unpacked(&bytes).unwrap().0 } else { bytes };
        assert_eq!(strict(&content), Ok(3000));
    }
}

/// This binary again, to run `test` alone, with `path`; the words come before it.
fn child(words: &[&str], test: &str, path: &Path) -> Command {
    let binary = std::env::current_exe().unwrap();
    let mut all = words.iter().map(|word| word.as_ref()).chain([binary.as_os_str()]);
    let mut command = Command::new(all.next().unwrap());
    command.args(all).args(["--exact", &format!("trace::sink::tests::{test}"), "--nocapture"]);
    command.env("GMPRT_TEST_SINK", path).stdout(std::process::Stdio::null());
    command
}

/// In a child that may write files of up to 128 blocks: what exceeds them fails, after a part of it is written.
#[test]
fn a_short_write_leaves_what_the_flush_before_had_written() {
    const NAME: &str = "a_short_write_leaves_what_the_flush_before_had_written";
    if let Some(path) = std::env::var_os("GMPRT_TEST_SINK") {
        let path = PathBuf::from(path);
        let mut sink = Sink::create(&path).unwrap();
        sink.event(&event(0, 2000));
        sink.flush().unwrap();
        if path.ends_with("o.json") {
            sink.finish().unwrap();
        }
        let before = fs::read(&path).unwrap();
        fails(&mut sink, ErrorKind::FileTooLarge);
        assert_eq!(whole(&path), sink.events()); // a packed MiB may have found room
        assert!(sink.events() > 1 || fs::read(&path).unwrap() == before);
        return;
    }
    let dir = Dir::new("short");
    for name in ["t.json", "o.json", "t.json.gz"] {
        let path = dir.file(name);
        let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\""];
        assert!(child(&limited, NAME, &path).status().unwrap().success());
        assert_eq!(is_object(&fs::read(&path).unwrap()), name == "o.json");
        assert!(whole(&path) >= 1 && fs::metadata(&path).unwrap().len() < 1 << 16);
    }
}

/// Kills a child twenty times that writes as fast as it can, and says after each flush how much it has written.
fn killed(name: &str, test: &str, load: fn(&[u8]) -> (u64, bool)) {
    if let Some(path) = std::env::var_os("GMPRT_TEST_SINK") {
        let (path, mut seed, mut n) = (PathBuf::from(path), u64::from(std::process::id()), 0_u64);
        let said = File::create(path.with_file_name("said")).unwrap();
        let events: Vec<_> = (0..64).map(|_| event(1 << 40, 40 + random(&mut seed, 1500) as usize)).collect();
        let mut sink = Sink::create(&path).unwrap();
        loop {
            for _ in 0..random(&mut seed, 1500) {
                let mut event = events[random(&mut seed, 64) as usize].clone();
                event[5..18].copy_from_slice(format!("{n:13}").as_bytes());
                sink.event(&event);
                n += 1;
            }
            if random(&mut seed, 4) == 0 { sink.finish() } else { sink.flush() }.unwrap();
            said.write_all_at(&n.to_le_bytes(), 0).unwrap();
        }
    }
    let dir = Dir::new(test);
    let mut seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut cuts = 0;
    for _ in 0..20 {
        let path = dir.file(name);
        let mut child = child(&[], test, &path).spawn().unwrap();
        let limit = Instant::now() + Duration::from_secs(60);
        while fs::metadata(&path).map_or(0, |data| data.len()) < 100 {
            assert!(
                Instant::now() < limit && child.try_wait().unwrap().is_none(),
                "the child does not write"
            );
            thread::yield_now();
        }
        // sleep: the moment of the kill is to be any.
        thread::sleep(Duration::from_micros(random(&mut seed, 15_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut said = [0; 8];
        let _ = File::open(dir.file("said")).unwrap().read(&mut said).unwrap();
        let (events, cut) = load(&fs::read(&path).unwrap());
        assert!(events >= u64::from_le_bytes(said), "{events} of at least {}", u64::from_le_bytes(said));
        cuts += u64::from(cut);
        fs::remove_file(&path).unwrap();
        fs::remove_file(dir.file("said")).unwrap();
    }
    println!("{cuts} of 20 files were cut in a write");
}

#[test]
fn a_plain_file_loads_after_a_kill() {
    killed("t.json", "a_plain_file_loads_after_a_kill", |bytes| {
        // K6: between the two writes.
        let cut = bytes.strip_suffix(END).filter(|_| !is_object(bytes));
        (repaired(cut.unwrap_or(bytes)).unwrap(), strict(bytes).is_err())
    });
}

#[test]
fn a_gz_file_loads_after_a_kill() {
    killed("t.json.gz", "a_gz_file_loads_after_a_kill", |bytes| {
        let (content, rest) = unpacked(bytes).unwrap();
        (strict(&content).unwrap(), rest > 0)
    });
}
