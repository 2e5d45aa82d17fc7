//! `select!` of 2 and of 8 receives, over gmprt's channels in both cases: only the macro differs.

use std::time::Duration;

use gmprt::Runtime;
use gmprt::chan::{Receiver, Sender, bounded};

use crate::cell::{Cell, Run, alone, timed};

/// Waits for whichever of its channels has a value.
trait Select: 'static {
    fn of_2(from: &[Receiver<u64>; 2]) -> impl Future<Output = u64> + Send;
    fn of_8(from: &[Receiver<u64>; 8]) -> impl Future<Output = u64> + Send;
}

macro_rules! select {
    ($name:ident, $($select:ident)::+) => {
        struct $name;

        impl Select for $name {
            async fn of_2([a, b]: &[Receiver<u64>; 2]) -> u64 {
                let value = $($select)::+! {
                    value = a.recv() => value,
                    value = b.recv() => value,
                };
                value.expect("the sender is there")
            }

            async fn of_8([a, b, c, d, e, f, g, h]: &[Receiver<u64>; 8]) -> u64 {
                let value = $($select)::+! {
                    value = a.recv() => value,
                    value = b.recv() => value,
                    value = c.recv() => value,
                    value = d.recv() => value,
                    value = e.recv() => value,
                    value = f.recv() => value,
                    value = g.recv() => value,
                    value = h.recv() => value,
                };
                value.expect("the sender is there")
            }
        }
    };
}

select!(Gmprt, gmprt::select);
select!(Tokio, tokio::select);

fn channels<const N: usize>() -> ([Sender<u64>; N], [Receiver<u64>; N]) {
    let (tx, rx): (Vec<_>, Vec<_>) = (0..N).map(|_| bounded(1)).unzip();
    let exact = "as many as were made";
    (tx.try_into().expect(exact), rx.try_into().expect(exact))
}

const READY_2: [Option<Run>; 3] = [Some(ready_2::<Gmprt>), Some(ready_2::<Tokio>), None];
const READY_8: [Option<Run>; 3] = [Some(ready_8::<Gmprt>), Some(ready_8::<Tokio>), None];
const WOKEN_2: [Option<Run>; 3] = [Some(woken_2::<Gmprt>), Some(woken_2::<Tokio>), None];
const WOKEN_8: [Option<Run>; 3] = [Some(woken_8::<Gmprt>), Some(woken_8::<Tokio>), None];

pub(crate) const CELLS: &[Cell] = &[
    alone("select of 2 one ready", READY_2),
    alone("select of 8 one ready", READY_8),
    alone("select of 2 woken", WOKEN_2),
    alone("select of 8 woken", WOKEN_8),
];

macro_rules! selects {
    ($ready:ident, $woken:ident, $of:ident) => {
        /// One channel has a value, another each time; an operation is to put it there, which takes no waiting, and
        /// to receive it.
        fn $ready<S: Select>(cell: &Cell, rt: &Runtime, times: u64) -> Duration {
            timed(cell, rt, times, async move {
                let (to, from) = channels();
                for n in 0..times {
                    to[n as usize % to.len()].try_send(n).expect("there is room");
                    assert_eq!(S::$of(&from).await, n);
                }
                times
            })
        }

        /// All channels are empty when the select begins; an operation is a round trip, the way back being a plain
        /// receive.
        fn $woken<S: Select>(cell: &Cell, rt: &Runtime, times: u64) -> Duration {
            timed(cell, rt, times, async move {
                let (to, from) = channels();
                let (back, answers) = gmprt::chan::bounded(1);
                let server = gmprt::spawn(async move {
                    for n in 0..times {
                        assert_eq!(S::$of(&from).await, n);
                        back.send(n).await.expect("the client is there");
                    }
                });
                let client = gmprt::spawn(async move {
                    for n in 0..times {
                        to[n as usize % to.len()].send(n).await.expect("the server is there");
                        assert_eq!(answers.recv().await, Ok(n));
                    }
                });
                for task in [server, client] {
                    task.await.expect("no task of a workload panics");
                }
                times
            })
        }
    };
}

selects!(ready_2, woken_2, of_2);
selects!(ready_8, woken_8, of_8);
