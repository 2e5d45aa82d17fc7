//! A permit borrows its semaphore; an owned one keeps it alive, and goes into a task.

use gmprt::sync::{AcquireFuture, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use std::sync::Arc;

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
fn lend(_: &Semaphore) -> &'static Semaphore {
    Box::leak(Box::new(Semaphore::new(1)))
}
#[cfg(bad)]
fn lend(x: &Semaphore) -> &Semaphore {
    x
}

pub fn a_permit() -> SemaphorePermit<'static> {
    let semaphore = keep(Semaphore::new(1));
    semaphore.try_acquire().unwrap() //~ E0515
}

pub fn a_part_of_a_permit() -> Option<SemaphorePermit<'static>> {
    let semaphore = keep(Semaphore::new(2));
    semaphore.try_acquire_many(2).unwrap().split(1) //~ E0515
}

pub fn a_future() -> AcquireFuture<'static> {
    let semaphore = keep(Semaphore::new(1));
    semaphore.acquire() //~ E0515
}

pub fn a_permit_in_a_task() {
    let semaphore = Semaphore::new(1);
    let permit = lend(&semaphore).try_acquire(); //~ E0597
    gmprt::spawn(async move { drop(permit) });
}

/// What a permit tells of its semaphore outlives the permit.
pub fn the_semaphore_of_a_permit(permit: SemaphorePermit<'static>) -> &'static Semaphore {
    permit.semaphore()
}

pub async fn an_owned_permit() -> OwnedSemaphorePermit {
    let semaphore = Arc::new(Semaphore::new(1));
    let permit = semaphore.acquire_owned().await.unwrap();
    gmprt::spawn(async move { permit }).await.unwrap()
}
