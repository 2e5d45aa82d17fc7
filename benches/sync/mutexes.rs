//! Mutexes: alone, and between tasks that hold it for a moment or through a yield.

use crate::cell::{Cell, Run, alone, among};
use crate::passes::{Lock, passes};

macro_rules! mutex {
    ($($type:ty;)*) => {$(
        impl Lock for $type {
            fn new(_: usize) -> Self {
                <$type>::new(0)
            }

            #[inline(always)]
            async fn pass(&self, yields: bool) {
                let mut count = self.lock().await;
                if yields {
                    gmprt::yield_now().await;
                }
                *count += 1;
            }
        }
    )*};
}

mutex! {
    gmprt::sync::Mutex<u64>;
    tokio::sync::Mutex<u64>;
    async_lock::Mutex<u64>;
}

const MUTEX: [Option<Run>; 3] = [
    Some(passes::<gmprt::sync::Mutex<u64>>),
    Some(passes::<tokio::sync::Mutex<u64>>),
    Some(passes::<async_lock::Mutex<u64>>),
];

pub(crate) const CELLS: &[Cell] = &[
    alone("mutex alone", MUTEX),
    among("mutex 2 tasks", 2, MUTEX),
    among("mutex 4 tasks", 4, MUTEX),
    among("mutex 16 tasks", 16, MUTEX),
    Cell { yields: true, ..among("mutex 2 tasks that yield in it", 2, MUTEX) },
    Cell { yields: true, ..among("mutex 4 tasks that yield in it", 4, MUTEX) },
    Cell { yields: true, ..among("mutex 16 tasks that yield in it", 16, MUTEX) },
];
