//! What a task, its output and a closure hold goes to other threads.

#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

pub fn captured(x: X) {
    gmprt::spawn(async move { drop(x) }); //~ uncoded
}

pub fn held_across_an_await() {
    gmprt::spawn(async { //~ uncoded
        let x = X::new(1);
        gmprt::yield_now().await;
        drop(x);
    });
}

pub fn not_held_across_an_await() {
    gmprt::spawn(async {
        drop(X::new(1));
        gmprt::yield_now().await;
    });
}

pub fn a_future_with_a_name(x: X) {
    gmprt::spawn(std::future::ready(x)); //~ E0277
}

pub fn output() {
    gmprt::spawn(async { X::new(1) }); //~ E0277
}

pub fn by_a_handle(handle: gmprt::Handle, x: X) {
    handle.spawn(async move { drop(x) }); //~ uncoded
}

pub fn by_the_runtime(rt: gmprt::Runtime, x: X) {
    rt.spawn(async move { drop(x) }); //~ uncoded
}

pub fn blocking(x: X) {
    gmprt::spawn_blocking(move || drop(x)); //~ E0277
}

pub fn blocking_output() {
    gmprt::spawn_blocking(|| X::new(1)); //~ E0277
}

pub fn in_a_wait_group(group: gmprt::sync::WaitGroup, x: X) {
    group.spawn(async move { drop(x) }); //~ uncoded
}

pub fn later(x: X) {
    gmprt::time::after_func(std::time::Duration::ZERO, move || drop(x)); //~ E0277
}

/// These run on the caller's thread, and ask for neither.
pub fn on_the_callers_thread(rt: gmprt::Runtime, x: X) {
    rt.block_on(async move { drop(x) });
    gmprt::block_in_place(|| drop(X::new(1)));
}
