//! A context is shared by threads, so its values and its cause are; who waits for it borrows it.

use gmprt::context::{self, Context, Done};
use std::fmt;

/// `Send` and `Sync`, or neither.
#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

/// `Send`, and perhaps not `Sync`.
#[cfg(not(bad))]
type Shared = std::sync::Mutex<u8>;
#[cfg(bad)]
type Shared = std::cell::Cell<u8>;

/// `Sync`, and perhaps not `Send`.
#[cfg(not(bad))]
type Here = std::sync::Mutex<u8>;
#[cfg(bad)]
type Here = std::sync::MutexGuard<'static, u8>;

#[cfg(not(bad))]
fn keep<T>(x: T) -> &'static T {
    Box::leak(Box::new(x))
}
#[cfg(bad)]
fn keep<T>(x: T) -> T {
    x
}

/// What is leaked lives for ever.
#[cfg(not(bad))]
fn lend(x: &String) -> &'static String {
    Box::leak(Box::new(x.clone()))
}
#[cfg(bad)]
fn lend(x: &String) -> &String {
    x
}

pub fn values(ctx: &Context, x: X, shared: Shared, here: Here) {
    context::with_value(ctx, x); //~ E0277 E0277
    context::with_value(ctx, shared); //~ E0277
    context::with_value(ctx, here); //~ E0277
}

pub fn a_value_that_is_borrowed(ctx: &Context) {
    let x = String::new();
    let y = lend(&x); //~ E0597
    context::with_value(ctx, y);
}

pub fn a_value_outlives_no_context() -> &'static u8 {
    let ctx = keep(context::with_value(&context::background(), 1_u8));
    ctx.value::<u8>().unwrap() //~ E0515
}

pub fn a_wait() -> Done<'static> {
    let ctx = keep(context::background());
    ctx.done() //~ E0515
}

#[derive(Debug)]
pub struct Why(X);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Why {}

pub fn a_cause(cancel: context::CancelFunc, why: Why) {
    cancel.cancel_cause(why); //~ E0277
}

pub fn what_is_called_afterwards(ctx: &Context, x: X) {
    context::after_func(ctx, move || drop(x)); //~ E0277
}

pub fn what_is_called_afterwards_is_borrowed(ctx: &Context) {
    let x = String::new();
    let y = lend(&x); //~ E0597
    context::after_func(ctx, move || drop(y));
}

/// A context owns its parent, so a parent may go first; and a wait goes with its context into a task.
pub fn what_goes(parent: Context) -> Context {
    let (ctx, cancel) = context::with_cancel(&parent);
    drop(parent);
    let child = ctx.clone();
    gmprt::spawn(async move {
        child.done().await;
        drop(cancel);
    });
    ctx
}
