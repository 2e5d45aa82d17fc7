//! Threads that share a cell share its value, and one may set what another takes out.

use gmprt::sync::OnceCell;

/// Neither `Send` nor `Sync`.
#[cfg(not(bad))]
type X = std::sync::Arc<u8>;
#[cfg(bad)]
type X = std::rc::Rc<u8>;

/// `Send`, and not `Sync`.
#[cfg(not(bad))]
type Shared = std::sync::Mutex<u8>;
#[cfg(bad)]
type Shared = std::cell::Cell<u8>;

/// `Sync`, and not `Send`.
#[cfg(not(bad))]
type Here = std::sync::Mutex<u8>;
#[cfg(bad)]
type Here = std::sync::MutexGuard<'static, u8>;

#[cfg(not(bad))]
fn keep<T>(x: T) -> &'static mut T {
    Box::leak(Box::new(x))
}
#[cfg(bad)]
fn keep<T>(x: T) -> T {
    x
}

fn send<T: Send>() {}
fn sync<T: Sync>() {}

pub fn whose_value_must_stay() {
    send::<OnceCell<X>>(); //~ E0277
    sync::<OnceCell<X>>(); //~ E0277
    send::<OnceCell<Here>>(); //~ E0277
    sync::<OnceCell<Here>>(); //~ E0277
}

pub fn whose_value_must_not_be_shared() {
    send::<OnceCell<Shared>>();
    sync::<OnceCell<Shared>>(); //~ E0277
}

pub static FOR_ALL: OnceCell<Shared> = OnceCell::new(); //~ E0277

pub fn an_initialiser_in_a_task(cell: &'static OnceCell<u8>, x: X) {
    gmprt::spawn(async move { //~ uncoded
        let init = async move || {
            gmprt::yield_now().await;
            *x
        };
        cell.get_or_init(init).await;
    });
}

pub fn a_value() -> &'static u8 {
    let cell = keep(OnceCell::from(1));
    cell.get().unwrap() //~ E0515
}

pub fn a_wait_for_it() -> impl Future<Output = &'static u8> {
    let cell = keep(OnceCell::new());
    cell.get_or_init(async || 1) //~ E0515
}

/// On one thread any value goes, and an initialiser borrows what it likes.
pub async fn on_one_thread(x: OnceCell<X>, shared: OnceCell<Shared>, here: OnceCell<Here>) {
    let seven = 7;
    x.get_or_init(async || X::new(*&seven)).await;
    drop((shared.into_inner(), here.into_inner()));
}
