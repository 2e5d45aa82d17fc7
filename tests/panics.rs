//! What a panic in a task does: it goes to the handle, and to nobody else.

#![cfg(not(gmprt_loom))] // loom's types work only inside its models

mod common;

use common::{Count, OnDrop, child, is_child, poll_once, runtime, until, watch};
use gmprt::task::JoinError;
use gmprt::{Runtime, UnhandledPanic};
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Panics without a word on stderr.
fn quiet(text: &'static str) -> ! {
    resume_unwind(Box::new(text))
}

fn text(error: JoinError) -> &'static str {
    assert!(error.is_panic() && !error.is_cancelled());
    error.into_panic().downcast_ref::<&'static str>().copied().expect("a text")
}

/// The runtime still runs tasks.
fn works(rt: &Runtime) {
    assert_eq!(rt.block_on(rt.spawn(async { gmprt::spawn(ready(7)).await.unwrap() })).unwrap(), 7);
}

/// A value whose drop counts, and then panics.
fn bomb(drops: &Count, message: &'static str) -> OnDrop<impl FnMut() + Send + use<>> {
    let drops = drops.clone();
    OnDrop(move || {
        drops.add();
        quiet(message)
    })
}

/// A future that panics where it is told to.
struct Faulty<T> {
    ends: Option<T>,
    panics: bool,
    on_drop: Option<Count>,
}

impl<T: Unpin> Future for Faulty<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        if self.panics {
            quiet("in poll");
        }
        self.ends.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> Drop for Faulty<T> {
    fn drop(&mut self) {
        if let Some(count) = &self.on_drop {
            count.add();
            quiet("in drop");
        }
    }
}

#[test]
fn the_payload_of_a_panic_is_handed_over_as_it_is() {
    let _watch = watch();
    #[derive(Debug, PartialEq)]
    struct Custom(u8);
    let rt = runtime(1);
    let error =
        rt.block_on(rt.spawn(async { resume_unwind(Box::new(Custom(7))) })).map(|(): ()| ()).unwrap_err();
    assert!(error.is_panic());
    assert_eq!(*error.into_panic().downcast::<Custom>().unwrap(), Custom(7));
    let handle =
        rt.spawn(async { panic!("a panic that a test expects, with a number: {}", std::hint::black_box(7)) });
    let id = handle.id();
    let error = rt.block_on(handle).map(|(): ()| ()).unwrap_err();
    assert_eq!(error.id(), id);
    let shown = error.to_string();
    assert!(shown.contains(&id.to_string()) && shown.contains("with a number: 7"), "{shown}");
    assert!(error.into_panic().downcast_ref::<String>().is_some());
    works(&rt);
}

#[test]
fn into_panic_of_a_cancelled_task_says_that_it_did_not_panic() {
    let _watch = watch();
    let rt = runtime(1);
    let handle = rt.spawn(pending::<()>());
    handle.abort();
    let error = rt.block_on(handle).unwrap_err();
    let id = error.id();
    assert!(error.to_string().contains("cancelled"));
    let payload = catch_unwind(AssertUnwindSafe(|| error.into_panic())).unwrap_err();
    let said = payload.downcast_ref::<String>().unwrap();
    assert!(said.contains(&id.to_string()) && said.contains("cancelled"), "{said}");
}

#[test]
fn a_panic_in_the_first_and_in_a_later_poll_drops_what_the_future_held() {
    let _watch = watch();
    let rt = runtime(2);
    for yields in 0..3 {
        let drops = Count::default();
        let held = drops.on_drop();
        let handle = rt.spawn(async move {
            let _held = held;
            for _ in 0..yields {
                gmprt::yield_now().await;
            }
            quiet("later")
        });
        assert_eq!(text(rt.block_on(handle).map(|(): ()| ()).unwrap_err()), "later");
        assert_eq!(drops.get(), 1);
    }
    works(&rt);
}

#[test]
fn a_panic_in_the_drop_of_a_finished_future_takes_the_place_of_its_output() {
    let _watch = watch();
    let rt = runtime(1);
    let (futures, outputs) = (Count::default(), Count::default());
    let output = Box::new(outputs.on_drop());
    let future = Faulty { ends: Some(output), panics: false, on_drop: Some(futures.clone()) };
    let error = rt.block_on(rt.spawn(future)).map(drop).unwrap_err();
    assert_eq!(text(error), "in drop");
    assert_eq!((futures.get(), outputs.get()), (1, 1));
    works(&rt);
}

#[test]
fn a_panic_in_the_drop_of_an_aborted_future_reaches_the_handle() {
    let _watch = watch();
    let rt = runtime(1);
    let drops = Count::default();
    let handle = rt.spawn(Faulty::<()> { ends: None, panics: false, on_drop: Some(drops.clone()) });
    handle.abort();
    assert_eq!(text(rt.block_on(handle).unwrap_err()), "in drop");
    assert_eq!(drops.get(), 1);
    works(&rt);
}

#[test]
fn of_a_panic_in_poll_and_one_in_drop_the_later_is_told() {
    let _watch = watch();
    let rt = runtime(1);
    let drops = Count::default();
    let handle = rt.spawn(Faulty::<()> { ends: None, panics: true, on_drop: Some(drops.clone()) });
    assert_eq!(text(rt.block_on(handle).unwrap_err()), "in drop");
    assert_eq!(drops.get(), 1);
    works(&rt);
}

#[test]
fn a_panic_in_the_drop_of_a_future_at_shutdown_hurts_nobody_else() {
    let _watch = watch();
    let rt = runtime(2);
    let drops = Count::default();
    let idle =
        |panics: bool| Faulty::<()> { ends: None, panics: false, on_drop: panics.then(|| drops.clone()) };
    let mut handles: Vec<_> = (0..10).map(|n| rt.spawn(idle(n % 2 == 0))).collect();
    drop(rt.spawn(idle(true))); // and one that nobody holds
    drop(rt);
    assert_eq!(drops.get(), 6);
    for (n, handle) in handles.iter_mut().enumerate() {
        let Poll::Ready(Err(error)) = poll_once(handle) else { panic!("the runtime is gone") };
        assert_eq!(error.is_panic(), n % 2 == 0);
        assert_eq!(error.is_cancelled(), n % 2 == 1);
    }
}

#[test]
fn a_panic_in_the_drop_of_an_output_is_its_droppers() {
    let _watch = watch();
    let rt = runtime(1);
    let drops = Count::default();
    // Joined: the output is the caller's.
    let output = bomb(&drops, "output");
    let output = rt.block_on(rt.spawn(async move { output })).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(output))).is_err());
    // Detached before the end: an M drops it.
    let (output, gate) = (bomb(&drops, "output"), common::Gate::default());
    let inner = gate.clone();
    drop(rt.spawn(async move {
        inner.wait();
        output
    }));
    gate.open();
    until(|| drops.get() == 2);
    works(&rt);
    // The handle is dropped after the end: the drop of a handle does not panic.
    let output = bomb(&drops, "output");
    let handle = rt.spawn(async move { output });
    until(|| handle.is_finished());
    drop(handle);
    assert_eq!(drops.get(), 3);
    works(&rt);
    drop(rt);
    assert_eq!(drops.get(), 3);
}

#[test]
fn a_payload_whose_own_drop_panics_stays_in_its_task() {
    let _watch = watch();
    let rt = runtime(1);
    let drops = Count::default();
    let panics = |drops: &Count| {
        let payload = bomb(drops, "payload");
        async move { resume_unwind(Box::new(payload)) }
    };
    let error = rt.block_on(rt.spawn(panics(&drops))).map(|(): ()| ()).unwrap_err();
    assert_eq!(drops.get(), 0);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(error))).is_err(), "here it is ours");
    assert_eq!(drops.get(), 1);

    let handle = rt.spawn(panics(&drops));
    until(|| handle.is_finished());
    let _: &gmprt::task::JoinHandle<()> = &handle;
    drop(handle);
    assert_eq!(drops.get(), 2);

    let gate = common::Gate::default();
    let (inner, payload) = (gate.clone(), bomb(&drops, "payload"));
    let detached = rt.spawn(async move {
        inner.wait();
        resume_unwind(Box::new(payload));
    });
    drop(detached);
    gate.open();
    until(|| drops.get() == 3);
    works(&rt);
    drop(rt);
    assert_eq!(drops.get(), 3);
}

#[test]
fn a_handle_polled_after_it_was_ready_panics_and_says_why() {
    let _watch = watch();
    let rt = runtime(1);
    let mut handle = rt.spawn(ready(()));
    until(|| handle.is_finished());
    assert!(poll_once(&mut handle).is_ready());
    let payload = catch_unwind(AssertUnwindSafe(|| poll_once(&mut handle))).map(drop).unwrap_err();
    let said = payload.downcast_ref::<&str>().map(|said| (*said).to_owned());
    let said = said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap();
    assert!(said.contains("JoinHandle") && said.contains("polled after"), "{said}");
    drop(handle);
    works(&rt);
}

// ---- nobody holds the handle: processes of their own, whose stderr and end we look at ----

/// A task that panics unseen; the process then exits with 0 unless the panic ends it.
fn unseen(what: UnhandledPanic) {
    let rt = Runtime::builder().procs(1).unhandled_panic(what).build().unwrap();
    let gate = common::Gate::default();
    let inner = gate.clone();
    drop(rt.spawn(async move {
        inner.wait();
        quiet("unseen")
    }));
    gate.open();
    rt.block_on(rt.spawn(ready(()))).unwrap();
    drop(rt);
}

fn reports(stderr: &[u8]) -> bool {
    let stderr = String::from_utf8_lossy(stderr);
    stderr
        .lines()
        .any(|line| line.contains("gmprt: G") && line.contains("panics.rs:") && line.contains("panicked"))
}

#[test]
fn report_prints_where_the_task_was_spawned_and_goes_on() {
    const NAME: &str = "report_prints_where_the_task_was_spawned_and_goes_on";
    let _watch = watch();
    if is_child(NAME) {
        return unseen(UnhandledPanic::Report);
    }
    let ended = child(NAME).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert!(reports(&ended.stderr), "{ended:?}");
}

#[test]
fn abort_prints_where_the_task_was_spawned_and_ends_the_process() {
    const NAME: &str = "abort_prints_where_the_task_was_spawned_and_ends_the_process";
    let _watch = watch();
    if is_child(NAME) {
        return unseen(UnhandledPanic::Abort);
    }
    let ended = child(NAME).output().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(6), "SIGABRT: {ended:?}");
    assert!(reports(&ended.stderr), "{ended:?}");
}

#[test]
fn the_report_has_the_tasks_name_however_it_panicked() {
    const NAME: &str = "the_report_has_the_tasks_name_however_it_panicked";
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            quiet("dropped")
        }
    }
    let _watch = watch();
    if is_child(NAME) {
        let rt = Runtime::builder().procs(1).build().unwrap();
        let handle = rt.handle();
        rt.block_on(rt.spawn(async move {
            let named = |name| gmprt::task::Builder::new().name(name);
            drop(named("in its poll").spawn(async { quiet("polled") }));
            let bomb = PanicsInDrop;
            drop(named("in its drop").spawn(async move {
                let _bomb = bomb;
                std::future::ready(()).await;
            }));
            drop(handle.spawn(async { quiet("without a name") }));
        }))
        .unwrap();
        common::until(|| rt.metrics().tasks.panicked == 3);
        drop(rt);
        return;
    }
    let ended = child(NAME).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    let lines: Vec<_> = stderr.lines().filter(|line| line.starts_with("gmprt: G")).collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    let count = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    assert_eq!(
        (count(" \"in its poll\", spawned at tests/panics.rs:"), count(" \"in its drop\", spawned")),
        (1, 1)
    );
    assert_eq!(count("\""), 2, "{lines:?}");
}
