//! A pool is shared by threads, and each may get what another has returned.

use gmprt::sync::{Pool, PoolGuard};

#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

#[cfg(not(bad))]
type Shared = std::sync::Mutex<u8>;
#[cfg(bad)]
type Shared = std::cell::Cell<u8>;

fn send<T: Send>() {}
fn sync<T: Sync>() {}

pub fn values_go_to_other_threads() {
    send::<Pool<X>>(); //~ E0277
    sync::<Pool<X>>(); //~ E0277
    send::<PoolGuard<X>>(); //~ E0277
    sync::<PoolGuard<X>>(); //~ E0277
}

pub fn a_guard_is_shared_if_its_value_may_be() {
    send::<Pool<Shared>>();
    sync::<Pool<Shared>>();
    send::<PoolGuard<Shared>>();
    sync::<PoolGuard<Shared>>(); //~ E0277
}

pub fn a_pool_into_a_task(pool: Pool<X>) {
    gmprt::spawn(async move { drop(pool) }); //~ uncoded
}

pub fn a_guard_into_a_task(guard: PoolGuard<X>) {
    gmprt::spawn(async move { drop(guard) }); //~ uncoded
}

/// The constructor is called by whoever needs a value.
pub fn the_constructor_is_shared(x: X, y: Shared) {
    Pool::new(move || *x); //~ E0277
    Pool::new(move || { //~ E0277
        let _y = &y;
        0
    });
}

/// On one thread any value goes.
pub fn on_one_thread() {
    let pool = Pool::new(|| X::new(1));
    drop(pool.get());
}
