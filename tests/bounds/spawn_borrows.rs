//! A task may outlive its spawner, so it borrows nothing of it.

/// What is leaked lives for ever.
#[cfg(not(bad))]
fn lend(x: &String) -> &'static String {
    Box::leak(Box::new(x.clone()))
}
#[cfg(bad)]
fn lend(x: &String) -> &String {
    x
}

pub fn task() {
    let x = String::new();
    let y = lend(&x); //~ E0597
    gmprt::spawn(async move { drop(y) });
}

pub fn blocking() {
    let x = String::new();
    let y = lend(&x); //~ E0597
    gmprt::spawn_blocking(move || drop(y));
}

pub fn later() {
    let x = String::new();
    let y = lend(&x); //~ E0597
    gmprt::time::after_func(std::time::Duration::ZERO, move || drop(y));
}

/// `block_on` and `block_in_place` end before they return.
pub fn on_the_callers_thread(rt: gmprt::Runtime) {
    let x = String::new();
    rt.block_on(async { drop(&x) });
    gmprt::block_in_place(|| drop(&x));
}
