//! What must hold in each trace, whatever was recorded.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// Nanoseconds of a printed time.
pub(super) fn ns(value: &Value) -> u64 {
    let us = value.as_f64().unwrap();
    assert!(us >= 0.0, "{value} is negative");
    (us * 1000.0).round() as u64
}

/// Panics if viewers would lose something of it.
pub(super) fn check(events: &[Value]) {
    let mut slices: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    let mut flows: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for event in events {
        assert!(event["cat"].as_str().is_some_and(|cat| !cat.is_empty()), "{event}");
        let (pid, tid) = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        assert!(tid != 0 && tid < 1 << 32, "{event}");
        let ts = ns(&event["ts"]);
        match event["ph"].as_str().unwrap() {
            "X" => {
                let dur = ns(&event["dur"]);
                assert!(dur >= 1, "{event}");
                slices.entry((pid, tid)).or_default().push((ts, ts + dur));
            }
            "s" | "f" => flows.entry(event["id"].as_u64().unwrap()).or_default().push(event),
            "C" => assert!(event["args"].as_object().unwrap().values().all(Value::is_number)),
            "i" | "M" => {}
            other => panic!("{other}"),
        }
    }
    for (track, slices) in &mut slices {
        slices.sort_by_key(|&(start, end)| (start, std::cmp::Reverse(end)));
        let mut open: Vec<(u64, u64)> = Vec::new();
        for &(start, end) in slices.iter() {
            while open.last().is_some_and(|top| top.1 <= start) {
                open.pop();
            }
            if let Some(top) = open.last() {
                assert!(end <= top.1, "{track:?}: {start}..{end} overlaps {top:?}");
                assert!(
                    (start, end) != *top || track.0 % 10 == 3,
                    "{track:?}: {start}..{end} is there twice"
                );
            }
            assert!(open.is_empty() || track.0 % 10 == 3, "{track:?}: {start}..{end} is nested");
            open.push((start, end));
        }
    }
    for (id, ends) in &flows {
        assert!(ends.len() == 2, "flow {id}: {ends:?}");
        let (s, f) = (ends[0], ends[1]);
        assert!(s["ph"] == "s" && f["ph"] == "f" && f["bp"] == "e", "{ends:?}");
        assert!(s["cat"] == f["cat"] && s["name"] == f["name"], "{ends:?}");
        assert!(ns(&s["ts"]) < ns(&f["ts"]), "{ends:?}");
        for end in [s, f] {
            let (ts, track) = (ns(&end["ts"]), (end["pid"].as_u64().unwrap(), end["tid"].as_u64().unwrap()));
            let inside = slices.get(&track).is_some_and(|all| all.iter().any(|&(a, b)| a <= ts && ts < b));
            assert!(inside, "{end} is in no slice");
        }
    }
    // Names stand once, and for each track that has something.
    let named: Vec<_> = events
        .iter()
        .filter(|e| e["name"] == "thread_name")
        .map(|e| (e["pid"].as_u64().unwrap(), e["tid"].as_u64().unwrap()))
        .collect();
    let unique: BTreeSet<_> = named.iter().copied().collect();
    assert_eq!(named.len(), unique.len(), "a track is named twice");
    assert!(slices.keys().all(|track| unique.contains(track)), "a track has no name");
}

fn slice(tid: u64, ts: f64, dur: f64) -> Value {
    serde_json::json!({"ph":"X","cat":"run","name":"x","pid":2,"tid":tid,"ts":ts,"dur":dur,"args":{}})
}

fn name(tid: u64) -> Value {
    serde_json::json!({"ph":"M","cat":"m","name":"thread_name","pid":2,"tid":tid,"ts":0,"args":{"name":"x"}})
}

#[test]
fn slices_that_abut_pass() {
    check(&[name(100), slice(100, 1.0, 0.5), slice(100, 1.5, 0.5)]);
}

#[test]
#[should_panic(expected = "overlaps")]
fn slices_that_overlap_are_found() {
    check(&[name(100), slice(100, 1.0, 0.501), slice(100, 1.5, 0.5)]);
}

#[test]
#[should_panic(expected = "flow 7")]
fn a_flow_without_an_end_is_found() {
    let start = serde_json::json!({"ph":"s","cat":"wake","name":"wake","id":7,"pid":2,"tid":100,"ts":1.1});
    check(&[name(100), slice(100, 1.0, 0.5), start]);
}

fn any_event() -> impl Strategy<Value = Event> {
    let p = 0..6u16;
    let g = prop_oneof![9 => 0..8u64, 1 => any::<u64>().prop_map(|g| g & ((1 << 40) - 1))];
    let m = prop_oneof![9 => 0..5u32, 1 => any::<u32>()];
    let seq = prop_oneof![0..4u8, any::<u8>()];
    (1..=28u8, any::<u64>(), p, g, m, seq, 0..4u16, any::<u8>()).prop_filter_map(
        "an event",
        |(kind, word, p, g, m, seq, turn, low)| {
            let task = g << 24 | u64::from(seq) << 16;
            let word = match kind {
                1 => u64::from(m) | u64::from(low & 1) << 32,
                2 | 24 | 25 => u64::from(m),
                3 | 4 | 23 => u64::from(p) << 32 | u64::from(turn) << 16 | u64::from(low % 6),
                5 | 22 => u64::from(low % 3) | if kind == 22 { task } else { 0 },
                10 => u64::from(p) << 48 | word & 0xff_ffff_0fff,
                11 | 12 | 26 => u64::from(p) << 32 | u64::from(low),
                15 | 17 | 19 | 21 => task | u64::from(if p == 5 { u16::MAX } else { p }),
                16 => u64::from(low % 4),
                20 => task | u64::from(low % 3) << 8 | u64::from(low % 19),
                27 => u64::from(p) << 32 | u64::from(m),
                28 => task | u64::from(turn),
                _ => word,
            };
            Event::unpack(kind, word)
        },
    )
}

/// Records and their times, whether there is a gap before them, and the ring's owner.
type AnyRing = (Vec<(u64, Event)>, bool, Option<(u32, bool)>);

fn any_ring() -> impl Strategy<Value = AnyRing> {
    let time = prop_oneof![9 => 0..5_000u64, 1 => any::<u64>()];
    let records = prop::collection::vec((time, any_event()), 0..60).prop_map(|mut all| {
        if all.len() % 3 != 0 {
            all.sort_by_key(|record| record.0);
        }
        all
    });
    (records, any::<bool>(), prop::option::of((0..5u32, any::<bool>())))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_makes_no_trace_that_viewers_would_lose_something_of(
        batches in prop::collection::vec((prop::collection::vec(any_ring(), 1..5), 0..6_000u64), 1..4),
        from in 0..3_000u64,
        end in 0..8_000u64,
        kept in prop_oneof![Just(usize::MAX), 0..40usize],
        tracks in 0..6usize,
    ) {
        let mut story = Story::new(4, from, end).live(1, Standing::Queued).live(2, Standing::Running);
        story = story.live(3, Standing::Waiting(Reason::Sleep));
        let mut exporter = Exporter::new(story.opening, 0, tracks, site_of);
        exporter.timeline.tasks.keep_at_most(kept.max(1));
        let mut sink = Events::default();
        for (rings, upto) in batches {
            let rings = rings.into_iter().enumerate().map(|(ring, (events, gap, owner))| RingBatch {
                ring,
                records: events.into_iter().map(|(ns, event)| at(ns & (u64::MAX >> 15), event)).collect(),
                gap,
                owner,
            });
            exporter.feed(Batch { rings: rings.collect(), upto: moment(upto), names: HashMap::new() }, &mut sink);
        }
        exporter.finish(story.closing, &mut sink);
        check(&sink.0);
    }
}
