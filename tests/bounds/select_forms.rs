//! What is no `select!` is told so in the macro's own words.

use gmprt::chan::Receiver;
use gmprt::select;

pub async fn an_arm_without_its_pattern(rx: Receiver<u8>) {
    #[cfg(not(bad))]
    select! { _ = rx.recv() => {} }
    #[cfg(bad)]
    select! { rx.recv() => {} } //~ uncoded | select!: an arm is `pattern =
}

pub async fn an_arm_without_its_handler(rx: Receiver<u8>) {
    #[cfg(not(bad))]
    select! { _ = rx.recv() => () }
    #[cfg(bad)]
    select! { _ = rx.recv() } //~ uncoded | select!: an arm is `pattern =
}

pub async fn a_guard_without_its_comma(rx: Receiver<u8>) {
    #[cfg(not(bad))]
    select! { _ = rx.recv(), if true => () }
    #[cfg(bad)]
    select! { _ = rx.recv() if true => () } //~ uncoded | select!: an arm is `pattern =
}

pub async fn a_guard_before_its_future(rx: Receiver<u8>) {
    #[cfg(not(bad))]
    select! { Ok(x) = rx.recv(), if true => drop(x), else => {} }
    #[cfg(bad)]
    select! { Ok(x) if true = rx.recv() => drop(x), else => {} } //~ uncoded | select!: an arm is `pattern =
}

pub async fn no_comma_between_two_arms(rx: Receiver<u8>) {
    #[cfg(not(bad))]
    select! { _ = rx.recv() => (), default => () }
    #[cfg(bad)]
    select! { _ = rx.recv() => () default => () } //~ uncoded | select!: an arm is `pattern =
}

pub async fn a_word_that_is_neither_default_nor_else(rx: Receiver<u8>) {
    #[cfg(not(bad))]
    select! { _ = rx.recv() => {} default => {} }
    #[cfg(bad)]
    select! { _ = rx.recv() => {} complete => {} } //~ uncoded | select!: an arm is `pattern =
}

pub async fn two_defaults(rx: Receiver<u8>) {
    #[cfg(not(bad))]
    select! { _ = rx.recv() => {} default => {} else => {} }
    #[cfg(bad)]
    select! { _ = rx.recv() => {} default => {} default => {} } //~ uncoded | select!: there is a `default` already
}

pub async fn two_elses(rx: Receiver<u8>) {
    #[cfg(not(bad))]
    select! { _ = rx.recv() => {} else => {} default => {} }
    #[cfg(bad)]
    select! { _ = rx.recv() => {} else => {} else => {} } //~ uncoded | select!: there is an `else` already
}

pub async fn biased_twice(rx: Receiver<u8>) {
    #[cfg(not(bad))]
    select! { biased; _ = rx.recv() => {} }
    #[cfg(bad)]
    select! { biased; biased; _ = rx.recv() => {} } //~ uncoded | select!: an arm is `pattern =
}

pub async fn thirty_three_branches(r: Receiver<u8>) {
    #[cfg(not(bad))]
    select! {
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        default => {}
    }
    #[cfg(bad)]
    select! { //~ uncoded | select!: there may be 32 branches
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {} _ = r.recv() => {}
        _ = r.recv() => {}
        default => {}
    }
}
