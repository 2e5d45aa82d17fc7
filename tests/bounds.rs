//! What must not compile does not, for the reason that is given; and what must, does.
//!
//! Each file in `tests/bounds/` is compiled twice. With `--cfg bad` exactly the lines marked `//~ E0277` (or another code)
//! must be errors, with that code: a type that must not cross threads stands in the place of one that may. Without
//! it the file must compile, so that the failure is due to that type and to nothing else.
//!
//! One mark is no code: `uncoded`, for rustc gives none to "future cannot be sent between threads safely", nor to what a
//! macro says. Of several such in one function it tells one, so each has a function.
//!
//! Codes and lines are compared, not rustc's words: those change with each release. Where the words are ours, from a
//! `compile_error!` or an `on_unimplemented`, they stand after a bar, and rustc must say them: `//~ E0277 | our words`.
//! `trybuild` compares all words, and `ui_test` brings dozens of crates along, so the harness is our own; cargo tells it
//! where it has put the library.

#![cfg(not(any(gmprt_loom, miri)))]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::thread;

/// Line → code.
type Errors = BTreeSet<(usize, String)>;

/// Where `cargo check` has left the library's metadata: built once, apart from the tests' own target folder, which cargo
/// may have locked, and without the flags of this run, which rustc would not get below.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["check", "--lib", "--offline", "--message-format=json", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .args(["--target-dir", concat!(env!("CARGO_TARGET_TMPDIR"), "/bounds")])
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .output()
            .expect("cargo runs");
        let messages = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        let found = messages.split('"').find(|s| s.contains("/libgmprt-") && s.ends_with(".rmeta"));
        found.unwrap_or_else(|| panic!("no library: {}", String::from_utf8_lossy(&output.stderr))).into()
    })
}

/// The errors of one file, and all that rustc said.
fn compile(file: &Path, bad: bool) -> (Errors, String) {
    let library = library();
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--cap-lints=allow"]);
    rustc.args([
        "--error-format=short",
        "--check-cfg=cfg(bad)",
        "--out-dir",
        concat!(env!("CARGO_TARGET_TMPDIR"), "/bounds"),
        "-L",
    ]);
    rustc.arg(format!("dependency={}", library.parent().expect("a folder").display()));
    rustc.arg("--extern").arg(format!("gmprt={}", library.display())).arg(file);
    let output = rustc.args(bad.then_some("--cfg=bad")).output().expect("rustc runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // path:line:column: error[code]: text
    let error = |line: &str| {
        let (place, text) = line.split_once(": error")?;
        let code = text.strip_prefix('[').map_or("uncoded", |text| &text[..5]);
        Some((place.rsplit(':').nth(1)?.parse().ok()?, code.to_owned()))
    };
    let errors: Errors = said.lines().filter_map(error).collect();
    assert_eq!(errors.is_empty(), output.status.success(), "{}: {said}", file.display());
    (errors, said)
}

/// The marked lines of a file, and for some of them the words in which rustc must say it.
fn marks(text: &str) -> (Errors, Vec<(usize, String)>) {
    let (mut errors, mut words) = (Errors::new(), Vec::new());
    for (at, line) in text.lines().enumerate() {
        let Some((_, mark)) = line.split_once("//~ ") else { continue };
        let (codes, ours) = mark.split_once(" | ").map_or((mark, None), |(codes, ours)| (codes, Some(ours)));
        errors.extend(codes.split(' ').map(|code| (at + 1, code.to_owned())));
        words.extend(ours.map(|ours| (at + 1, ours.to_owned())));
    }
    (errors, words)
}

/// What is wrong with one file.
fn complaints(file: &Path) -> Vec<String> {
    let name = file.file_name().expect("a file").to_string_lossy();
    let (marked, words) = marks(&fs::read_to_string(file).expect("a text file"));
    let (found, said) = compile(file, true);
    let mut complaints = Vec::new();
    for (line, code) in marked.difference(&found) {
        complaints.push(format!("{name}:{line}: should be {code}, and is not"));
    }
    for (line, code) in found.difference(&marked) {
        complaints.push(format!("{name}:{line}: an unexpected {code}\n{said}"));
    }
    for (line, words) in words {
        let place = format!("{name}:{line}:");
        if !said.lines().any(|line| line.contains(&place) && line.contains(&words)) {
            complaints.push(format!("{place} rustc does not say \"{words}\"\n{said}"));
        }
    }
    if marked.is_empty() {
        complaints.push(format!("{name}: marks nothing"));
    }
    for (line, code) in compile(file, false).0 {
        complaints.push(format!("{name}:{line}: {code} without --cfg bad: it fails for another reason"));
    }
    complaints
}

#[test]
fn what_must_not_compile_does_not_and_its_twin_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bounds");
    let entries = fs::read_dir(folder).expect("tests/bounds");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let (queue, all) = (Mutex::new(files), Mutex::new(Vec::new()));
    thread::scope(|threads| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                while let Some(file) = { queue.lock().unwrap().pop() } {
                    let found = complaints(&file);
                    all.lock().unwrap().extend(found);
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    assert!(all.is_empty(), "\n{}\n", all.join("\n"));
}

/// What must be `Send` and `Sync`: the other side, for which a line that compiles is the test.
#[test]
fn what_may_cross_threads_does() {
    use gmprt::chan::{Permit, Receiver, RecvFuture, ReserveFuture, SendFuture, Sender};
    use gmprt::context::{CancelFunc, Context, ContextError, Done, DropGuard, StopFunc};
    use gmprt::sync::{
        AcquireError, AcquireFuture, AcquireOwnedFuture, OwnedSemaphorePermit, Semaphore, SemaphorePermit,
    };
    use gmprt::sync::{
        Barrier, BarrierWaitResult, Cond, Notified, Notify, OnceCell, OwnedNotified, WaitGroup,
    };
    use gmprt::sync::{LockFuture, Mutex, MutexGuard, OwnedMutexGuard, Pool, PoolGuard};
    use gmprt::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, SetError, TryAcquireError};
    use gmprt::task::{AbortHandle, Group, GroupError, JoinError, JoinHandle, YieldNow};
    use gmprt::time::{Elapsed, Sleep, Tick, Ticker, Timeout, Timer};
    use std::cell::Cell;
    use std::error::Error;
    use std::future::Ready;

    fn both<T: ?Sized + Send + Sync>() {}
    fn send<T: Send>() {}
    fn clone<T: Clone + Send + Sync + 'static>() {}
    fn unpin<T: Unpin>() {}
    fn unwind_safe<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    fn error<T: Error + Send + Sync + 'static>() {}

    both::<(gmprt::Handle, gmprt::Runtime, gmprt::Builder)>();
    clone::<(gmprt::Handle, WaitGroup, Context, AbortHandle)>();

    both::<(JoinHandle<u8>, JoinHandle<Cell<u8>>)>();
    both::<(Group<Option<Cell<u8>>>, YieldNow)>();
    send::<(GroupError<Cell<u8>>, JoinError)>();
    unpin::<(JoinHandle<u8>, Group<u8>)>();

    both::<(Sender<Cell<u8>>, Receiver<Cell<u8>>)>();
    clone::<(Sender<Cell<u8>>, Receiver<Cell<u8>>)>();
    send::<Permit<Cell<u8>>>();
    send::<(SendFuture<'_, Cell<u8>>, RecvFuture<'_, Cell<u8>>, ReserveFuture<'_, Cell<u8>>)>();
    unwind_safe::<(Sender<Cell<u8>>, Pool<Cell<u8>>)>();
    unpin::<(Sender<u8>, Receiver<u8>, Permit<u8>)>();

    both::<(Mutex<Cell<i32>>, Pool<Cell<i32>>)>();
    send::<(MutexGuard<'_, Cell<i32>>, OwnedMutexGuard<Cell<i32>>, PoolGuard<Cell<i32>>)>();
    send::<LockFuture<'_, Cell<i32>>>();
    both::<(MutexGuard<'_, i32>, OwnedMutexGuard<i32>, PoolGuard<i32>)>();
    both::<(RwLock<i32>, RwLockReadGuard<'_, i32>, RwLockWriteGuard<'_, i32>)>();
    both::<RwLock<dyn Error + Send + Sync>>();
    send::<(RwLock<Cell<i32>>, OnceCell<Cell<i32>>, SetError<Cell<i32>>)>();
    send::<RwLockReadGuard<'_, std::sync::MutexGuard<'_, i32>>>(); // it gives `&T`, and never the `T`
    both::<OnceCell<i32>>();

    both::<(WaitGroup, Cond, Barrier, BarrierWaitResult, Notify, Semaphore)>();
    both::<(SemaphorePermit<'_>, OwnedSemaphorePermit)>();
    send::<(AcquireFuture<'_>, AcquireOwnedFuture, Notified<'_>, OwnedNotified)>();
    unpin::<(Mutex<i32>, RwLock<i32>, OnceCell<i32>, Notify, Semaphore, Barrier, Cond)>();
    unpin::<(MutexGuard<'_, i32>, RwLockReadGuard<'_, i32>, RwLockWriteGuard<'_, i32>, OwnedSemaphorePermit)>(
    );

    both::<(CancelFunc, DropGuard, StopFunc, ContextError)>();
    send::<Done<'_>>();

    both::<(Ticker, Timer, Sleep)>();
    send::<(Tick<'_>, Timeout<Ready<Cell<u8>>>)>();

    error::<gmprt::chan::SendError<u8>>();
    error::<gmprt::chan::TrySendError<u8>>();
    error::<gmprt::chan::RecvError>();
    error::<gmprt::chan::TryRecvError>();
    error::<AcquireError>();
    error::<TryAcquireError>();
    error::<SetError<u8>>();
    error::<ContextError>();
    error::<Elapsed>();
    error::<JoinError>();
    error::<GroupError<std::fmt::Error>>();
    error::<gmprt::ShutdownTimeout>();
}

/// Canary: each way in which a file can be wrong is noticed.
#[test]
fn the_harness_notices_a_file_that_compiles_and_one_that_fails_for_another_reason() {
    let judge = |name: &str, text: &str| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, text).unwrap();
        complaints(&file).join("\n")
    };
    let good = "pub fn send<T: Send>(_: T) {}\n#[cfg(bad)]\ntype X = std::rc::Rc<u8>;\n#[cfg(not(bad))]\ntype X = u8;\n";
    let with = |line: &str| format!("{good}pub fn f(x: X) {{\n    {line}\n}}\n");
    assert_eq!(judge("right.rs", &with("send(x) //~ E0277")), "");
    let compiles = judge("compiles.rs", &with("drop(x) //~ E0277"));
    assert_eq!(compiles, "compiles.rs:7: should be E0277, and is not");
    let other = judge("other.rs", &with("send(x) //~ E0308"));
    assert!(other.contains("should be E0308") && other.contains("an unexpected E0277"), "{other}");
    let unmarked = judge("unmarked.rs", &with("send(x)"));
    assert!(unmarked.contains("an unexpected E0277") && unmarked.contains("marks nothing"), "{unmarked}");
    let always = judge("always.rs", "pub fn f() -> u8 {\n    \"\" //~ E0308\n}\n");
    assert_eq!(always, "always.rs:2: E0308 without --cfg bad: it fails for another reason");
    let words = judge("words.rs", &with("send(x) //~ E0277 | cannot be sent between threads"));
    assert_eq!(words, "");
    let words = judge("no_words.rs", &with("send(x) //~ E0277 | will be sent by post"));
    assert!(words.starts_with("no_words.rs:7: rustc does not say \"will be sent by post\""), "{words}");
    let syntax = judge("syntax.rs", &with("send(x //~ E0277"));
    assert!(syntax.contains("an unexpected uncoded"), "{syntax}");
}
