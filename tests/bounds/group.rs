//! What a group's tasks hold and return goes to other threads, and the group knows which outputs are failures.

use gmprt::task::{Group, JoinError};

#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

/// An output of which, in the bad twin, nobody has said whether it is a failure.
pub struct Plain;

#[cfg(not(bad))]
impl gmprt::task::Outcome for Plain {}

/// What is leaked lives for ever.
#[cfg(not(bad))]
fn lend(x: &String) -> &'static String {
    Box::leak(Box::new(x.clone()))
}
#[cfg(bad)]
fn lend(x: &String) -> &String {
    x
}

pub fn a_future(group: Group<()>, x: X) {
    group.spawn(async move { drop(x) }); //~ uncoded
}

pub fn a_type_of_output(_: Group<X>) {} //~ E0277

pub fn an_output() {
    let group = Group::new(); //~ E0277
    group.spawn(async { X::new(1) }); //~ E0277
}

pub fn an_output_that_may_be_a_failure(_: Group<Plain>) {} //~ E0277 | a `Group` does not know whether

pub fn what_is_borrowed(group: Group<()>) {
    let x = String::new();
    let y = lend(&x); //~ E0597
    group.spawn(async move { drop(y) });
}

/// Only a `Result` has a first failure.
#[cfg(not(bad))]
type Output = Result<u8, String>;
#[cfg(bad)]
type Output = u8;

pub async fn the_first_failure(mut group: Group<Output>) {
    drop(group.wait().await); //~ E0599
}

/// One join waits at a time.
#[cfg(not(bad))]
type Joined<'g> = JoinNext<'static>;
#[cfg(bad)]
type Joined<'g> = JoinNext<'g>;
type JoinNext<'g> = std::pin::Pin<Box<dyn Future<Output = Option<Result<u8, JoinError>>> + 'g>>;

#[cfg(not(bad))]
fn join(_: &mut Group<u8>) -> Joined<'_> {
    Box::pin(async { Group::new().join_next().await })
}
#[cfg(bad)]
fn join(group: &mut Group<u8>) -> Joined<'_> {
    Box::pin(group.join_next())
}

pub async fn two_joins(mut group: Group<u8>) {
    let first = join(&mut group);
    let second = join(&mut group); //~ E0499
    drop((first.await, second.await));
}

/// A spawn does not need the group for itself, and outputs of many types are known.
pub async fn what_a_group_takes(group: &Group<Option<Vec<String>>>) {
    group.spawn(async { None });
    group.spawn(std::future::ready(Some(Vec::new()))).abort();
}
