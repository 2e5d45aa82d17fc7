//! Floor 1: decisions without atomics, clocks or threads, so that a test can script them.

pub(crate) mod find;
pub(crate) mod pace;
pub(crate) mod retake;
pub(crate) mod tuning;
