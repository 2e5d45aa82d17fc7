//! Raw pointers, and references to what is not `Sync`.

use std::hint::black_box;

#[cfg(not(bad))]
type Pointer = usize;
#[cfg(bad)]
type Pointer = *mut u8;

#[cfg(not(bad))]
type Shared = std::sync::Mutex<u8>;
#[cfg(bad)]
type Shared = std::cell::Cell<u8>;

pub fn raw(x: Pointer) {
    gmprt::spawn(async move { //~ uncoded
        gmprt::yield_now().await;
        black_box(x);
    });
}

pub fn raw_to_a_thread(x: Pointer) {
    gmprt::spawn_blocking(move || drop(black_box(x))); //~ E0277
}

pub fn by_reference(x: &'static Shared) {
    gmprt::spawn(async move { //~ uncoded
        gmprt::yield_now().await;
        black_box(x);
    });
}

pub fn by_reference_to_a_thread(x: &'static Shared) {
    gmprt::spawn_blocking(move || drop(black_box(x))); //~ E0277
}

pub fn held_by_reference() {
    gmprt::spawn(async { //~ uncoded
        let x = Shared::new(1);
        let y = &x;
        gmprt::yield_now().await;
        black_box(y);
    });
}

pub fn held_whole(x: Shared) {
    gmprt::spawn(async move {
        gmprt::yield_now().await;
        drop(x);
    });
}
