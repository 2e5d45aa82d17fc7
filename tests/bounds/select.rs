//! A `select!` asks of its futures what a `match` and an `await` ask of theirs.

use gmprt::chan::Receiver;
use gmprt::select;
use std::future::{Ready, ready};
use std::pin::Pin;

#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

/// A future that may be moved, or one that may not.
#[cfg(not(bad))]
type Held<F> = Pin<Box<F>>;
#[cfg(not(bad))]
fn hold<F: Future>(future: F) -> Held<F> {
    Box::pin(future)
}
#[cfg(bad)]
type Held<F> = F;
#[cfg(bad)]
fn hold<F: Future>(future: F) -> Held<F> {
    future
}

pub struct Source(u8);

/// Lends itself to the future, or does not.
#[cfg(not(bad))]
type Lent<'s> = Ready<&'static u8>;
#[cfg(bad)]
type Lent<'s> = Ready<&'s u8>;

impl Source {
    #[cfg(not(bad))]
    fn next(&mut self) -> Lent<'_> {
        ready(&1)
    }
    #[cfg(bad)]
    fn next(&mut self) -> Lent<'_> {
        ready(&self.0)
    }
}

#[cfg(not(bad))]
type Guard = bool;
#[cfg(bad)]
type Guard = u8;

pub async fn a_future_that_must_stay_where_it_is(rx: Receiver<u8>) {
    let mut future = hold(async { 1 });
    select! { //~ E0277
        _ = &mut future => {} //~ E0277
        _ = rx.recv() => {}
    }
}

pub async fn a_wait_of_ours_that_must_stay_where_it_is(rx: &Receiver<u8>) {
    let mut wait = hold(rx.recv());
    select! { //~ E0277
        _ = &mut wait => {} //~ E0277
        default => {}
    }
}

pub async fn two_branches_borrow_the_same(mut source: Source) {
    select! {
        _ = source.next() => {}
        _ = source.next() => {} //~ E0499
    }
}

pub async fn one_branch_reads_what_another_writes(mut source: Source, rx: Receiver<u8>) {
    select! {
        _ = source.next() => {}
        _ = rx.recv(), if source.0 == 0 => {} //~ E0503
    }
}

pub async fn a_handler_uses_what_its_output_borrows(mut source: Source) -> u8 {
    select! {
        one = source.next() => {
            source.0 = 2; //~ E0506
            *one
        }
    }
}

pub fn in_a_task(rx: Receiver<X>) {
    gmprt::spawn(async move { //~ uncoded
        select! {
            x = rx.recv() => drop(x),
            default => {}
        }
    });
}

pub fn an_output_held_across_an_await() {
    gmprt::spawn(async move { //~ uncoded
        select! {
            x = async { X::new(1) } => {
                gmprt::yield_now().await;
                drop(x);
            }
        }
    });
}

pub async fn a_guard_is_a_bool(rx: Receiver<u8>, guard: Guard) {
    select! {
        _ = rx.recv(), if guard => {} //~ E0308
        default => {}
    }
}

/// What is awaited is a future, or becomes one.
#[cfg(not(bad))]
type Awaited = Ready<u8>;
#[cfg(bad)]
type Awaited = u8;

pub async fn what_is_no_future(x: Awaited) {
    select! { //~ E0277
        _ = x => {} //~ E0277
    }
}

/// All futures are dropped before the handler runs, so it may use what they had borrowed.
pub async fn a_handler_uses_what_all_had_borrowed(mut source: Source, mut text: String) {
    select! {
        _ = async { text.push('a') } => { text.push('b'); source.0 = 1 }
        _ = async { source.0 += 1 } => { text.push('c'); source.0 = 2 }
    }
}

/// On one thread any output goes.
pub async fn on_one_thread(rx: Receiver<X>) {
    select! {
        Ok(x) = rx.recv() => drop(x),
        else => {}
    }
}
