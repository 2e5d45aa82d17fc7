//! The showcase's log, where its parts meet what no run can count on to happen: a disk that fails in the midst of a line, and a
//! file that is not what it should be.

#[path = "../examples/showcase/log/appender.rs"]
mod appender;
#[path = "../examples/showcase/log/check.rs"]
mod check;

use std::cell::RefCell;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use appender::{Appender, Target};
use check::{Claim, Found, check, checksum};

// ---- The appender ----

/// A file that has room for so many bytes more.
#[derive(Clone, Default)]
struct Disk(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    content: Vec<u8>,
    room: usize,
    /// What one call writes at most.
    at_once: usize,
    /// Each other call is interrupted.
    interrupts: Option<bool>,
    no_cut: bool,
    no_sync: bool,
    syncs: u32,
}

impl Disk {
    fn with_room(room: usize) -> Disk {
        Disk(Rc::new(RefCell::new(State { room, at_once: usize::MAX, ..State::default() })))
    }

    fn set(&self, set: impl FnOnce(&mut State)) {
        set(&mut self.0.borrow_mut());
    }

    fn content(&self) -> String {
        String::from_utf8(self.0.borrow().content.clone()).unwrap()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.borrow_mut();
        if let Some(now) = &mut disk.interrupts {
            *now = !*now;
            if *now {
                return Err(ErrorKind::Interrupted.into());
            }
        }
        if disk.room == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        let n = bytes.len().min(disk.room).min(disk.at_once);
        disk.content.extend_from_slice(&bytes[..n]);
        disk.room -= n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Disk {
    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        if disk.no_cut {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let len = disk.content.len() - bytes as usize;
        disk.content.truncate(len);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.syncs += 1;
        if disk.no_sync { Err(ErrorKind::Other.into()) } else { Ok(()) }
    }
}

const FIRST: &str = "0 1 one\n1 1 uno\n2 1 eins\n";
const SECOND: &str = "0 2 two\n1 2 due\n";

fn append(appender: &mut Appender<Disk>, lines: &str) -> Vec<u8> {
    let mut batch = lines.as_bytes().to_vec();
    appender.append(&mut batch);
    batch
}

/// So many bytes of whole lines fit into so much room.
fn whole(lines: &str, room: usize) -> &str {
    &lines[..lines[..room].rfind('\n').map_or(0, |end| end + 1)]
}

fn count(lines: &str) -> u64 {
    lines.matches('\n').count() as u64
}

#[test]
fn a_batch_is_written_whole_though_each_call_writes_little_and_each_other_is_interrupted() {
    let disk = Disk::with_room(usize::MAX);
    disk.set(|disk| (disk.at_once, disk.interrupts) = (3, Some(false)));
    let mut appender = Appender::new(disk.clone(), false);
    assert!(append(&mut appender, FIRST).is_empty());
    assert!(append(&mut appender, "").is_empty());
    assert!(append(&mut appender, SECOND).is_empty());
    assert_eq!(disk.content(), [FIRST, SECOND].concat());
    assert_eq!((appender.lost, appender.bytes, appender.flushes), (0, 41, 2));
    assert!(appender.error.is_none());
}

#[test]
fn a_torn_line_is_cut_off_wherever_it_tears_and_the_next_batch_is_tried() {
    for room in 0..FIRST.len() {
        let disk = Disk::with_room(room);
        let mut appender = Appender::new(disk.clone(), false);
        assert!(append(&mut appender, FIRST).is_empty());
        let kept = whole(FIRST, room);
        assert_eq!(disk.content(), kept);
        assert_eq!((appender.lost, appender.bytes), (3 - count(kept), kept.len() as u64));
        let (doing, error) = appender.error.as_ref().unwrap();
        assert_eq!((*doing, error.kind()), ("write to", ErrorKind::StorageFull));

        disk.set(|disk| disk.room = usize::MAX);
        assert!(append(&mut appender, SECOND).is_empty());
        assert_eq!(disk.content(), [kept, SECOND].concat());
        assert_eq!((appender.lost, appender.bytes), (3 - count(kept), disk.content().len() as u64));
    }
}

#[test]
fn a_torn_line_that_cannot_be_cut_off_is_completed_by_the_next_appends() {
    for room in 0..FIRST.len() {
        for more in 0..FIRST.len() {
            let disk = Disk::with_room(room);
            disk.set(|disk| disk.no_cut = true);
            let mut appender = Appender::new(disk.clone(), false);
            let mut batch = append(&mut appender, FIRST);
            assert_eq!(disk.content(), FIRST[..room]);

            disk.set(|disk| disk.room = more); // maybe not enough even for the rest of that line
            appender.append(&mut batch);
            assert_eq!(appender.lost + u64::from(!batch.is_empty()), 3 - count(&disk.content()));

            disk.set(|disk| disk.room = usize::MAX);
            batch.extend_from_slice(SECOND.as_bytes());
            appender.append(&mut batch);
            assert!(batch.is_empty());
            let torn = if whole(FIRST, room).len() == room { 0 } else { 1 };
            let kept: String =
                FIRST.split_inclusive('\n').take(count(&FIRST[..room]) as usize + torn).collect();
            assert_eq!(disk.content(), [&kept, SECOND].concat(), "{room} bytes, then {more}");
            assert_eq!((appender.lost, appender.bytes), (3 - count(&kept), disk.content().len() as u64));
        }
    }
}

#[test]
fn a_torn_line_that_can_be_cut_off_only_later_is_cut_off_whole() {
    let disk = Disk::with_room(10);
    disk.set(|disk| disk.no_cut = true);
    let mut appender = Appender::new(disk.clone(), false);
    let mut batch = append(&mut appender, FIRST);
    assert_eq!((disk.content().as_str(), batch.as_slice()), ("0 1 one\n1 ", b"1 uno\n".as_slice()));
    disk.set(|disk| (disk.room, disk.no_cut) = (2, false));
    appender.append(&mut batch);
    assert_eq!((disk.content().as_str(), batch.as_slice()), ("0 1 one\n", b"".as_slice()));
    assert_eq!((appender.lost, appender.bytes), (2, 8));
}

#[test]
fn each_append_waits_for_the_disk_if_asked_to_and_tells_when_that_fails() {
    for fsync in [false, true] {
        let disk = Disk::with_room(usize::MAX);
        let mut appender = Appender::new(disk.clone(), fsync);
        append(&mut appender, FIRST);
        disk.set(|disk| disk.no_sync = true);
        append(&mut appender, SECOND);
        assert_eq!(disk.0.borrow().syncs, if fsync { 2 } else { 0 });
        assert_eq!(appender.error.map(|(doing, _)| doing), fsync.then_some("sync"));
        assert_eq!(appender.lost, 0);
    }
}

#[test]
fn a_file_is_emptied_when_it_is_opened_and_then_only_grows() {
    let path = scratch("grows");
    fs::write(&path, "from an earlier run\n").unwrap();
    let mut appender = Appender::open(&path, true).unwrap();
    for lines in [FIRST, SECOND] {
        appender.append(&mut lines.as_bytes().to_vec());
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), [FIRST, SECOND].concat());
    let lost = Appender::open(&path.join("no directory"), false).map(|_| ());
    assert!(lost.is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn dev_full_can_be_opened_and_takes_nothing() {
    let mut appender = Appender::open(Path::new("/dev/full"), false).unwrap();
    let mut batch = FIRST.as_bytes().to_vec();
    appender.append(&mut batch);
    assert_eq!((appender.lost, appender.bytes, appender.flushes, batch.len()), (3, 0, 1, 0));
    assert_eq!(appender.error.unwrap().1.kind(), ErrorKind::StorageFull);
}

// ---- The check ----

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("showcase_log_{name}"))
}

/// What three producers sent.
fn sent() -> Vec<String> {
    (1..=4).flat_map(|number| (0..3).map(move |producer| format!("{producer} {number} some text"))).collect()
}

/// What a run says that sent `sent`, and believes that `written` is in its file.
fn claim(written: &[String]) -> Claim {
    Claim {
        written: written.len() as u64,
        bytes: written.iter().map(|line| line.len() as u64 + 1).sum(),
        unwritten: 0,
        sent_sum: sent().iter().map(|line| checksum(line.as_bytes())).sum(),
    }
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn checked(name: &str, content: impl AsRef<[u8]>, claim: &Claim) -> Result<Found, String> {
    let path = scratch(name);
    fs::write(&path, content).unwrap();
    let found = check(&path, claim);
    fs::remove_file(&path).unwrap();
    found.map_err(|why| why.replace(path.to_str().unwrap(), "LOG"))
}

#[test]
fn a_log_with_each_line_passes_in_whatever_order_the_producers_wrote() {
    let mut lines = sent();
    let claim = claim(&lines);
    let whole = Found { lines: 12, bytes: claim.bytes, sum: claim.sent_sum };
    assert_eq!(checked("whole", text(&lines), &claim), Ok(whole));
    lines.sort(); // by producer
    assert!(checked("whole", text(&lines), &claim).is_ok());
    let longer = Claim { bytes: claim.bytes + 1, ..claim };
    let why = checked("whole", text(&lines), &longer).unwrap_err();
    assert_eq!(why, format!("LOG: its length is {}, it should be {}", claim.bytes, longer.bytes));
    assert!(check(Path::new("/no/such/log"), &claim).unwrap_err().starts_with("cannot read /no/such/log: "));
}

#[test]
fn a_missing_line_is_found_though_the_run_did_not_count_it() {
    for missing in 0..sent().len() {
        let mut lines = sent();
        lines.remove(missing);
        assert!(checked("missing", text(&lines), &claim(&sent())).is_err());
        assert!(checked("missing", text(&lines), &claim(&lines)).is_err());
    }
    let without_first = &sent()[1..];
    let why = checked("missing", text(without_first), &claim(without_first)).unwrap_err();
    assert_eq!(why, "LOG, line 3: of producer 0, number 2 comes after 0");
    let without_last = &sent()[..11];
    let why = checked("missing", text(without_last), &claim(&sent())).unwrap_err();
    assert_eq!(why, "LOG: the number of its lines is 11, it should be 12");
}

#[test]
fn a_doubled_line_and_an_overtaken_one_are_found() {
    for at in 0..sent().len() {
        let mut lines = sent();
        lines.insert(at, lines[at].clone());
        assert!(checked("doubled", text(&lines), &claim(&lines)).unwrap_err().contains(" comes after "));
    }
    let mut lines = sent();
    lines.swap(0, 3);
    let why = checked("doubled", text(&lines), &claim(&lines)).unwrap_err();
    assert_eq!(why, "LOG, line 1: of producer 0, number 2 comes after 0");
}

#[test]
fn each_byte_that_is_changed_is_found() {
    let right = text(&sent()).into_bytes();
    for at in 0..right.len() {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        assert!(checked("changed", &wrong, &claim(&sent())).is_err(), "byte {at}");
        assert!(checked("changed", &right[..at], &claim(&sent())).is_err(), "cut at {at}");
    }
}

/// The article's sketch: `os.WriteFile("log.txt", []byte(strings.Join(batch, "\n")), 0644)` at each tick.
#[test]
fn a_log_that_each_flush_overwrites_is_found() {
    let path = scratch("overwritten");
    let lines = sent();
    for batch in lines.chunks(4) {
        fs::write(&path, batch.join("\n")).unwrap();
    }
    let why = check(&path, &claim(&lines)).unwrap_err();
    assert!(why.ends_with("line 1: of producer 2, number 3 comes after 0"), "{why}");
    // Nor does it help to end each line, or to count only what is left.
    let left = &lines[8..];
    let why = checked("overwritten", text(left), &claim(left)).unwrap_err();
    assert_eq!(why, "LOG, line 1: of producer 2, number 3 comes after 0");
}

#[test]
fn where_lines_stayed_unwritten_numbers_may_skip_but_only_grow() {
    let mut lines = sent();
    lines.drain(2..7);
    let short = Claim { unwritten: 5, ..claim(&lines) };
    assert_eq!(checked("unwritten", text(&lines), &short).unwrap().lines, 7);
    assert!(checked("unwritten", text(&lines), &Claim { unwritten: 0, ..short }).is_err());
    assert!(checked("unwritten", text(&sent()), &short).is_err(), "more than were written");
    lines.push(lines[0].clone());
    let why = checked("unwritten", text(&lines), &Claim { unwritten: 5, ..claim(&lines) }).unwrap_err();
    assert_eq!(why, "LOG, line 8: of producer 0, number 1 comes after 4");
}
