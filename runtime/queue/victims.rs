//! The order in which a thief visits the other Ps: each once, from a random place by a random stride.
//!
//! Go counterpart: `randomOrder`, `stealOrder` (`proc.go`).
//!
//! C1. A stride that has no common divisor with `n` visits all of `0..n` in `n` steps.
//!
//! Absent: any memory of who had work last; two thieves would then follow each other.

/// The strides of `n` Ps: the numbers below `n` that have no common divisor with it.
pub(crate) struct Victims {
    n: u32,
    strides: Box<[u32]>,
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Victims {
    pub(crate) fn new(n: u32) -> Self {
        let strides = (1..=n).filter(|&stride| gcd(stride, n) == 1).collect();
        Self { n, strides }
    }

    /// A walk over `0..n` that `random` chooses.
    pub(crate) fn walk(&self, random: u64) -> impl Iterator<Item = usize> + use<> {
        let n = self.n;
        let (low, high) = (random as u32, (random >> 32) as u32);
        let stride = self.strides[high as usize % self.strides.len()];
        let mut at = low % n;
        (0..n).map(move |_| {
            let victim = at;
            at = ((u64::from(at) + u64::from(stride)) % u64::from(n)) as u32;
            victim as usize
        })
    }
}

/// A small random number generator (Marsaglia's xorshift64*); Go: `cheaprand`.
pub(crate) fn next_random(state: &std::cell::Cell<u64>) -> u64 {
    let mut x = state.get();
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    state.set(x);
    x.wrapping_mul(0x2545_F491_4F6C_DD1D)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn every_walk_visits_every_p_once() {
        let random = Cell::new(7);
        for n in (1..70).chain([255, 256, 1000]) {
            let victims = Victims::new(n);
            for _ in 0..20 {
                let mut seen: Vec<_> = victims.walk(next_random(&random)).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..n as usize).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn walks_begin_everywhere() {
        let random = Cell::new(11);
        let victims = Victims::new(8);
        let mut begun = [0; 8];
        for _ in 0..8000 {
            begun[victims.walk(next_random(&random)).next().unwrap()] += 1;
        }
        assert!(begun.iter().all(|&count| (800..1200).contains(&count)), "{begun:?}");
    }
}
