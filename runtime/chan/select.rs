//! Waits for several things at once, and goes on with the first that is ready.
//!
//! Go counterpart: the `select` statement (`select.go: selectgo`).
//!
//! ```text
//!   guards and futures, in the order they are written      a guard that is false: no future (Go's nil channel)
//!      └─▶ poll: each future there is, in random order ── ready ─▶ its future is dropped ─▶ pattern fits? ─ yes ──┐
//!               └─ none ready ─▶ `default`? ─ yes ─▶ that one ──┐         └─ no: as if its guard were false       │
//!                                   └─ no ─▶ Pending            ▼                                                 ▼
//!                                                all other futures are dropped ─▶ the handler runs, outside of the poll
//! ```
//!
//! X1. One handler runs, once, and after all futures are dropped: it may use what they had borrowed, and `?`,
//!     `break`, `return` and `.await` in it belong to the function that has the `select!`.
//! X2. The order is a new random one in each poll (`order.rs`).
//! X3. `default` is taken only if a whole poll has found nothing, and in it no future was made to yield because its
//!     time slice was over (`sched/preempt.rs`, L2): that one has not been refused yet.
//! X4. Whether a pattern fits is found out by a `match` whose guard says no: a pattern takes nothing out of the output
//!     before its guard has said yes. So it may be any pattern, and an output that does not fit stays whole.
//! X5. Before `default` is taken all futures are polled a second time. The first look has put each in its line, so if
//!     none is ready at the second, then none was at the moment between the two. After one look alone a value that came to a
//!     branch already passed, before that of the next one went, would be missed (Go: `TestNonblockSelectRace`).
//!
//! Absent: Go's lock of all channels at once. Each future does its part by itself; what a channel has handed to a
//! future that is then dropped goes back to the channel.

pub use super::order::Order;
pub use crate::sched::preempt::yields;

use crate::reason::Reason;

/// The poll in progress waits for several things: its branches have said for which, and this has the last word.
#[inline]
pub fn waits() {
    crate::sched::preempt::waits(Reason::Select);
}

/// It waits no more, whatever the branches have said that were not ready.
#[inline]
pub fn waits_no_more() {
    crate::sched::preempt::waits(Reason::Unsaid);
}

/// Waits for several futures at once, and runs the handler of the first that is ready.
///
/// ```text
/// select! {
///     biased;                                   optional: try them as they are written
///     pattern = future => handler,
///     pattern = future, if guard => handler,    not waited for if the guard is false
///     default => handler,                       optional: nothing is ready, and nothing is waited for
///     else => handler,                          optional: there is nothing left to wait for
/// }
/// ```
///
/// Any future will do, also `&mut future` for one that is to be kept. After a block no comma is needed. There may be 32
/// branches. The value is that of the handler.
///
/// Guards and futures are evaluated once, in the order in which they are written; the future of a guard that is false is not.
/// A future may not borrow a temporary of its own expression: give that a name before.
/// An output that its pattern does not fit is dropped, and its branch is out. If all branches are out, `else` is
/// taken; without it `default`; without both the task waits for ever.
///
/// So `Ok(value) = rx.recv()` beside `ctx.done()` waits for the context alone once the channel is closed: who wants to know
/// of that takes `received = rx.recv()` and matches it in the handler, or has an `else` and no branch that goes on waiting.
///
/// The task (G) blocks until one is ready, unless there is a `default`.
///
/// Of several that are ready each is as likely to be taken as the others, in every poll. With `biased;` it is the
/// first as they are written: then one that is always ready starves those below it.
///
/// Cancel safe if its futures are. All but the one that is taken are dropped, half done as they may be: before the
/// handler runs. All of gmprt's are cancel safe; but a [`send`](crate::chan::Sender::send) that waits may have given
/// its value to a receiver in the very moment in which another branch is taken, so who must know it uses
/// [`reserve`](crate::chan::Sender::reserve).
///
/// # Panics
///
/// As its futures do.
///
/// # Examples
///
/// ```
/// use gmprt::{chan, select, time};
/// use std::time::Duration;
///
/// gmprt::run(async {
///     let (tx, rx) = chan::bounded(1);
///     let (_quit, quits) = chan::bounded::<()>(0);
///     gmprt::spawn(async move { tx.send(7).await });
///
///     let mut limit = time::sleep(Duration::from_secs(60));
///     let mut got = Vec::new();
///     loop {
///         select! {
///             Ok(value) = rx.recv() => got.push(value),
///             _ = quits.recv(), if got.is_empty() => unreachable!(),
///             _ = &mut limit => panic!("too late"),
///             else => break, // rx is closed, and quits is not waited for
///         }
///         if got.len() == 1 {
///             break;
///         }
///     }
///     assert_eq!(got, [7]);
///
///     let seen = select! {
///         _ = quits.recv() => "quit",
///         default => "nothing to do",
///     };
///     assert_eq!(seen, "nothing to do");
/// })
/// .unwrap();
/// ```
///
/// # Differences from Go
///
/// A branch can be any future, and a pattern can refuse its output. Go decides under the locks of all channels, so that
/// of the cases one happens and the others do not; here each future has its own say, and is dropped. An empty `select!` waits
/// for ever, as in Go.
#[doc(alias = "selectgo")]
#[macro_export]
macro_rules! select {
    () => {
        match ::core::future::pending::<::core::convert::Infallible>().await {}
    };
    (biased; $($arms:tt)*) => { $crate::__select!(@start biased $($arms)*) };
    ($($arms:tt)*) => { $crate::__select!(@start fair $($arms)*) };
}

/// Reads the arms of [`select!`](crate::select), and writes what they do.
///
/// `@arm order [free names] [arms read] [default] [else] what is left to read`
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    (@start $order:ident $($arms:tt)*) => {
        $crate::__select! {
            @arm $order
            [
                (__gmprt_0 0) (__gmprt_1 1) (__gmprt_2 2) (__gmprt_3 3) (__gmprt_4 4)
                (__gmprt_5 5) (__gmprt_6 6) (__gmprt_7 7) (__gmprt_8 8) (__gmprt_9 9)
                (__gmprt_10 10) (__gmprt_11 11) (__gmprt_12 12) (__gmprt_13 13) (__gmprt_14 14)
                (__gmprt_15 15) (__gmprt_16 16) (__gmprt_17 17) (__gmprt_18 18) (__gmprt_19 19)
                (__gmprt_20 20) (__gmprt_21 21) (__gmprt_22 22) (__gmprt_23 23) (__gmprt_24 24)
                (__gmprt_25 25) (__gmprt_26 26) (__gmprt_27 27) (__gmprt_28 28) (__gmprt_29 29)
                (__gmprt_30 30) (__gmprt_31 31)
            ]
            [] [] []
            $($arms)*
        }
    };

    // All arms are read.
    (@arm $order:ident $free:tt [$(($id:ident $index:tt ($pattern:pat) [$future:expr] [$($guard:expr)?] ($handler:expr)))*]
     [$($no_wait:tt ($default:expr))?] [$($none_left:tt ($else:expr))?]) => {{
        #[allow(dead_code, non_camel_case_types)]
        enum __GmprtSelected<$($id),*> {
            $($id($id),)*
            Default,
            Else,
        }
        #[allow(unused_mut)] // a pattern may have `ref mut`
        let mut __gmprt_selected = {
            $(let mut $id = ::core::pin::pin!($crate::__select_future!($future $(, $guard)?));)*
            ::core::future::poll_fn(|__gmprt_cx| {
                const __GMPRT_BRANCHES: ::core::primitive::usize =
                    <[::core::primitive::u8]>::len(&[$($index),*]);
                let _yields = $crate::chan::select::yields();
                let mut _waiting = false;
                // X5.
                const __GMPRT_LOOKS: ::core::primitive::usize =
                    1 $(+ { $no_wait; (__GMPRT_BRANCHES > 1) as ::core::primitive::usize })?;
                for __gmprt_look in 0..__GMPRT_LOOKS {
                    if __gmprt_look > 0 && $crate::chan::select::yields() != _yields {
                        break;
                    }
                    _waiting = false;
                    for __gmprt_branch in $crate::chan::select::Order::<__GMPRT_BRANCHES>::$order() {
                        match __gmprt_branch {
                            $($index => {
                                let ::core::option::Option::Some(__gmprt_future) = $id.as_mut().as_pin_mut() else {
                                    continue;
                                };
                                #[allow(unused_mut)] // a pattern may have `ref mut`
                                let ::core::task::Poll::Ready(mut __gmprt_output) =
                                    ::core::future::Future::poll(__gmprt_future, __gmprt_cx)
                                else {
                                    _waiting = true;
                                    continue;
                                };
                                $id.set(::core::option::Option::None);
                                let mut __gmprt_fits = false;
                                #[allow(unused, clippy::all, clippy::pedantic, clippy::nursery)]
                                match __gmprt_output {
                                    $pattern if { __gmprt_fits = true; false } => ::core::unreachable!(),
                                    _ => {}
                                }
                                if __gmprt_fits {
                                    return ::core::task::Poll::Ready(__GmprtSelected::$id(__gmprt_output));
                                }
                            })*
                            _ => {}
                        }
                    }
                }
                $(
                    $none_left;
                    if !_waiting {
                        return ::core::task::Poll::Ready(__GmprtSelected::Else);
                    }
                )?
                $(
                    $no_wait;
                    if $crate::chan::select::yields() == _yields {
                        return ::core::task::Poll::Ready(__GmprtSelected::Default);
                    }
                    __gmprt_cx.waker().wake_by_ref(); // X3: who yielded may have had another waker
                )?
                $crate::__select!(@waits [$($no_wait)?]);
                ::core::task::Poll::Pending
            })
            .await
        };
        $crate::chan::select::waits_no_more();
        #[allow(unreachable_patterns, unreachable_code)]
        match __gmprt_selected {
            $(__GmprtSelected::$id($pattern) => $handler,)*
            $(__GmprtSelected::Default => $default,)?
            $(__GmprtSelected::Else => $else,)?
            _ => ::core::unreachable!("the output fitted its pattern"),
        }
    }};

    // With a `default` it does not wait: it was made to yield.
    (@waits []) => { $crate::chan::select::waits() };
    (@waits [$no_wait:tt]) => {};

    // The arms that wait for nothing.
    (@arm $order:ident $free:tt $read:tt [] $else:tt default => {$($handler:tt)*}, $($rest:tt)*) => {
        $crate::__select! { @arm $order $free $read [() ({ $($handler)* })] $else $($rest)* }
    };
    (@arm $order:ident $free:tt $read:tt [] $else:tt default => {$($handler:tt)*} $($rest:tt)*) => {
        $crate::__select! { @arm $order $free $read [() ({ $($handler)* })] $else $($rest)* }
    };
    (@arm $order:ident $free:tt $read:tt [] $else:tt default => $handler:expr $(, $($rest:tt)*)?) => {
        $crate::__select! { @arm $order $free $read [() ($handler)] $else $($($rest)*)? }
    };
    (@arm $order:ident $free:tt $read:tt [$($twice:tt)+] $else:tt default => $($rest:tt)*) => {
        ::core::compile_error!("select!: there is a `default` already")
    };
    (@arm $order:ident $free:tt $read:tt $default:tt [] else => {$($handler:tt)*}, $($rest:tt)*) => {
        $crate::__select! { @arm $order $free $read $default [() ({ $($handler)* })] $($rest)* }
    };
    (@arm $order:ident $free:tt $read:tt $default:tt [] else => {$($handler:tt)*} $($rest:tt)*) => {
        $crate::__select! { @arm $order $free $read $default [() ({ $($handler)* })] $($rest)* }
    };
    (@arm $order:ident $free:tt $read:tt $default:tt [] else => $handler:expr $(, $($rest:tt)*)?) => {
        $crate::__select! { @arm $order $free $read $default [() ($handler)] $($($rest)*)? }
    };
    (@arm $order:ident $free:tt $read:tt $default:tt [$($twice:tt)+] else => $($rest:tt)*) => {
        ::core::compile_error!("select!: there is an `else` already")
    };

    // A branch's pattern ends at its `=`. The short ones are read in one step: steps are what a macro runs out of.
    (@arm $o:ident $f:tt $r:tt $d:tt $e:tt $a:tt = $($rest:tt)*) => {
        $crate::__select! { @branch $o $f $r $d $e [$a] $($rest)* }
    };
    (@arm $o:ident $f:tt $r:tt $d:tt $e:tt $a:tt $b:tt = $($rest:tt)*) => {
        $crate::__select! { @branch $o $f $r $d $e [$a $b] $($rest)* }
    };
    (@arm $o:ident $f:tt $r:tt $d:tt $e:tt $a:tt $b:tt $c:tt = $($rest:tt)*) => {
        $crate::__select! { @branch $o $f $r $d $e [$a $b $c] $($rest)* }
    };
    (@arm $o:ident $f:tt $r:tt $d:tt $e:tt $($rest:tt)+) => {
        $crate::__select! { @pattern $o $f $r $d $e [] $($rest)+ }
    };
    (@pattern $o:ident $f:tt $r:tt $d:tt $e:tt [$($pattern:tt)*] = $($rest:tt)*) => {
        $crate::__select! { @branch $o $f $r $d $e [$($pattern)*] $($rest)* }
    };
    (@pattern $o:ident $f:tt $r:tt $d:tt $e:tt [$($pattern:tt)*] $a:tt $($rest:tt)*) => {
        $crate::__select! { @pattern $o $f $r $d $e [$($pattern)* $a] $($rest)* }
    };
    (@pattern $o:ident $f:tt $r:tt $d:tt $e:tt [$($pattern:tt)*]) => {
        $crate::__select! { @no_arm }
    };

    // The rest of a branch: its future, its guard and its handler.
    (@branch $o:ident [] $($rest:tt)*) => {
        ::core::compile_error!("select!: there may be 32 branches")
    };
    (@branch $o:ident [($id:ident $index:tt) $($free:tt)*] [$($read:tt)*] $d:tt $e:tt [$($p:tt)*]
     $future:expr, if $guard:expr => {$($h:tt)*}, $($rest:tt)*) => {
        $crate::__select! {
            @arm $o [$($free)*] [$($read)* ($id $index ($($p)*) [$future] [$guard] ({ $($h)* }))] $d $e $($rest)*
        }
    };
    (@branch $o:ident [($id:ident $index:tt) $($free:tt)*] [$($read:tt)*] $d:tt $e:tt [$($p:tt)*]
     $future:expr, if $guard:expr => {$($h:tt)*} $($rest:tt)*) => {
        $crate::__select! {
            @arm $o [$($free)*] [$($read)* ($id $index ($($p)*) [$future] [$guard] ({ $($h)* }))] $d $e $($rest)*
        }
    };
    (@branch $o:ident [($id:ident $index:tt) $($free:tt)*] [$($read:tt)*] $d:tt $e:tt [$($p:tt)*]
     $future:expr, if $guard:expr => $h:expr $(, $($rest:tt)*)?) => {
        $crate::__select! {
            @arm $o [$($free)*] [$($read)* ($id $index ($($p)*) [$future] [$guard] ($h))] $d $e $($($rest)*)?
        }
    };
    (@branch $o:ident [($id:ident $index:tt) $($free:tt)*] [$($read:tt)*] $d:tt $e:tt [$($p:tt)*]
     $future:expr => {$($h:tt)*}, $($rest:tt)*) => {
        $crate::__select! {
            @arm $o [$($free)*] [$($read)* ($id $index ($($p)*) [$future] [] ({ $($h)* }))] $d $e $($rest)*
        }
    };
    (@branch $o:ident [($id:ident $index:tt) $($free:tt)*] [$($read:tt)*] $d:tt $e:tt [$($p:tt)*]
     $future:expr => {$($h:tt)*} $($rest:tt)*) => {
        $crate::__select! {
            @arm $o [$($free)*] [$($read)* ($id $index ($($p)*) [$future] [] ({ $($h)* }))] $d $e $($rest)*
        }
    };
    (@branch $o:ident [($id:ident $index:tt) $($free:tt)*] [$($read:tt)*] $d:tt $e:tt [$($p:tt)*]
     $future:expr => $h:expr $(, $($rest:tt)*)?) => {
        $crate::__select! {
            @arm $o [$($free)*] [$($read)* ($id $index ($($p)*) [$future] [] ($h))] $d $e $($($rest)*)?
        }
    };

    // What is read so far is no arm, or its pattern is none.
    (@no_arm) => {
        ::core::compile_error!(
            "select!: an arm is `pattern = future => handler`, with `, if guard` before the arrow if wanted, \
             or `default => handler`, or `else => handler`"
        )
    };
    (@$at:ident $($rest:tt)*) => { $crate::__select! { @no_arm } };
}

/// The future of a branch, if it is to be waited for.
#[doc(hidden)]
#[macro_export]
macro_rules! __select_future {
    ($future:expr) => {
        ::core::option::Option::Some(::core::future::IntoFuture::into_future($future))
    };
    ($future:expr, $guard:expr) => {
        if $guard { $crate::__select_future!($future) } else { ::core::option::Option::None }
    };
}
