//! Models: a reader beside the writer of a trace's ring.
//!
//! Absent: two writers; G1 forbids them. And a canary for the Acquire and the Release of `read` (G4): loom knows no load
//! that reads what is stored after it.

use super::{Budget, CHUNK, Mode, Pushed, Ring};
use crate::models::frame::model;
use crate::sys::primitive::{Arc, weaken};

/// Reads twice while the writer goes over its ring; each record that is believed is whole, and they stand in order. `pairs`: all
/// but the first are pushed two at a time.
fn read_beside(mode: fn() -> Mode, pushes: u64, pairs: bool) {
    model(move || {
        let ring = Arc::new(Ring::new(2 * CHUNK, mode()));
        let writer = {
            let ring = Arc::clone(&ring);
            loom::thread::spawn(move || {
                let mut written = 0;
                let mut n = 1;
                while n <= pushes {
                    let both = pairs && n > 1;
                    let pushed = if both { ring.push_both((n, n), (n + 1, n + 1)) } else { ring.push(n, n) };
                    let pushes = 1 + u64::from(both);
                    written += if pushed == Pushed::Written { pushes } else { 0 };
                    n += pushes;
                }
                written
            })
        };
        let (mut from, mut words) = (0, Vec::new());
        let gap = ring.read_to(&mut from, &mut words, true);
        let early = words.len();
        let written = writer.join().unwrap();
        let gap = ring.read_to(&mut from, &mut words, true) || gap;
        let mut last = 0;
        for &(first, second) in &words {
            assert_eq!(first, second, "torn");
            assert!(first > last, "{first} after {last}");
            last = first;
        }
        assert!(early as u64 <= pushes);
        assert!(!pairs || gap || early == 0 || early % 2 == 1, "half a pair: {words:?}");
        match ring.mode {
            Mode::Flight => assert!(gap || words.len() as u64 == written),
            Mode::Collect(_) => {
                assert!(!gap);
                assert_eq!(words.len() as u64, written);
                assert_eq!(ring.lost() + written, pushes);
            }
        }
    });
}

fn collecting() -> Mode {
    Mode::Collect(std::sync::Arc::new(Budget::new(u64::MAX)))
}

#[test]
fn a_flight_recorders_reader_drops_what_is_overwritten() {
    read_beside(|| Mode::Flight, 3 * CHUNK, false);
}

#[test]
fn what_is_collected_comes_once_and_whole() {
    read_beside(collecting, 3 * CHUNK, false);
}

#[test]
fn of_two_records_that_belong_together_none_is_seen_alone() {
    read_beside(|| Mode::Flight, 2 * CHUNK + 1, true);
    read_beside(collecting, 2 * CHUNK + 1, true);
}

#[test]
fn canaries() {
    weaken::without("FENCE-CLAIM, writer", || read_beside(|| Mode::Flight, 3 * CHUNK, false));
    weaken::without("FENCE-CLAIM, reader", || read_beside(|| Mode::Flight, 3 * CHUNK, false));
    weaken::without("trace.head", || read_beside(collecting, CHUNK, false));
    weaken::without("trace.both", || read_beside(collecting, CHUNK + 1, true));
    weaken::without("trace.room", || read_beside(collecting, 3 * CHUNK, false));
}
