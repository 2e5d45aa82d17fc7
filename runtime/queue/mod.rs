//! Floor 1: queues that know nothing of tasks but a pointer.

pub(crate) mod heap;
pub(crate) mod injector;
pub(crate) mod ring;
pub(crate) mod victims;
