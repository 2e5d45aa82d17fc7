//! The order in which one poll of a `select!` goes through its branches.
//!
//! Go counterpart: `pollorder` (`select.go: selectgo`).
//!
//! E1. A fair order is a shuffle: of several branches that are ready each is as likely to be met first as the others,
//!     however many are not ready. A walk from a random place would favour those that stand behind idle ones.
//! E2. It is made only as far as it is asked for.
//!
//! Absent: a seed. Nothing may depend on the order.

use crate::queue::victims::next_random;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    /// Zero until it is first used.
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

#[inline]
fn random() -> u64 {
    RANDOM.with(|random| {
        if random.get() == 0 {
            seed(random);
        }
        next_random(random)
    })
}

#[cold]
fn seed(random: &Cell<u64>) {
    random.set(RandomState::new().hash_one(0) | 1);
}

/// The order of `N` branches, as an iterator of their numbers.
#[derive(Debug)]
pub struct Order<const N: usize> {
    branches: [u8; N],
    next: usize,
    /// None: as they are written.
    random: Option<u64>,
}

impl<const N: usize> Order<N> {
    const WRITTEN: [u8; N] = {
        let mut branches = [0; N];
        let mut n = 0;
        while n < N {
            branches[n] = n as u8;
            n += 1;
        }
        branches
    };

    /// As they are written.
    #[inline]
    #[must_use]
    pub fn biased() -> Self {
        Self { branches: Self::WRITTEN, next: 0, random: None }
    }

    /// At random (E1).
    #[inline]
    #[must_use]
    pub fn fair() -> Self {
        Self { branches: Self::WRITTEN, next: 0, random: Some(random()) }
    }
}

impl<const N: usize> Iterator for Order<N> {
    type Item = u8;

    /// One step of Fisher and Yates' shuffle: any of those that are left. The high bits of a product
    /// choose, its low bits are the random number for the next step.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let left = N - self.next;
        if left == 0 {
            return None;
        }
        if let Some(random) = &mut self.random {
            let product = u128::from(*random) * left as u128;
            *random = product as u64;
            self.branches.swap(self.next, self.next + (product >> 64) as usize);
        }
        self.next += 1;
        Some(self.branches[self.next - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fair_order_has_each_branch_once_and_any_first() {
        let mut firsts = [0; 5];
        for _ in 0..5000 {
            let order: Vec<_> = Order::<5>::fair().collect();
            firsts[usize::from(order[0])] += 1;
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4], "{order:?}");
        }
        assert!(firsts.iter().all(|&count| (850..1150).contains(&count)), "{firsts:?}");
    }

    /// A walk from a random place would meet 0 first in two of three orders of which 2 is left out.
    #[test]
    fn of_any_two_branches_each_is_as_likely_to_be_tried_before_the_other() {
        let before = (0..9000)
            .filter(|_| {
                let order: Vec<_> = Order::<3>::fair().collect();
                order.iter().position(|&b| b == 0) < order.iter().position(|&b| b == 1)
            })
            .count();
        assert!((4200..4800).contains(&before), "{before}");
    }

    #[test]
    fn a_biased_order_is_as_written() {
        assert_eq!(Order::<4>::biased().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(Order::<0>::fair().next(), None);
    }
}
