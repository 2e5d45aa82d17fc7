//! Semaphores: alone, and between sixteen tasks with 1 and with 10 permits.

use crate::cell::{Cell, Run, alone, among};
use crate::passes::{Lock, passes};

macro_rules! semaphore {
    ($($type:ty;)*) => {$(
        impl Lock for $type {
            fn new(permits: usize) -> Self {
                <$type>::new(permits)
            }

            #[inline(always)]
            async fn pass(&self, yields: bool) {
                let _permit = self.acquire().await;
                if yields {
                    gmprt::yield_now().await;
                }
            }
        }
    )*};
}

semaphore! {
    gmprt::sync::Semaphore;
    tokio::sync::Semaphore;
    async_lock::Semaphore;
}

const SEMAPHORE: [Option<Run>; 3] = [
    Some(passes::<gmprt::sync::Semaphore>),
    Some(passes::<tokio::sync::Semaphore>),
    Some(passes::<async_lock::Semaphore>),
];

pub(crate) const CELLS: &[Cell] = &[
    alone("semaphore alone", SEMAPHORE),
    among("semaphore 1 permit 16 tasks", 16, SEMAPHORE),
    Cell { permits: 10, ..among("semaphore 10 permits 16 tasks", 16, SEMAPHORE) },
    Cell { yields: true, ..among("semaphore 1 permit 16 tasks that yield", 16, SEMAPHORE) },
    Cell { permits: 10, yields: true, ..among("semaphore 10 permits 16 tasks that yield", 16, SEMAPHORE) },
];
