//! A simulated runtime: what it does is known, so is what the trace must show of it.

use super::*;
use std::collections::VecDeque;

/// One M a P, and a seed. Makes rings.
pub(super) struct Sim {
    seed: u64,
    pub(super) rings: Vec<Vec<Record>>,
    now: Vec<u64>,
    turns: Vec<u16>,
    queues: Vec<VecDeque<(u64, u8)>>,
    /// Since when they wait, and what for.
    waiting: VecDeque<(u64, u8, u64)>,
    next: u64,
    pub(super) steals: u64,
}

impl Sim {
    pub(super) fn new(procs: usize, from: u64) -> Self {
        Self {
            seed: 1,
            rings: vec![Vec::new(); procs + 2],
            now: vec![from; procs],
            turns: vec![0; procs],
            queues: vec![VecDeque::new(); procs],
            waiting: VecDeque::new(),
            next: 1,
            steals: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    /// What several Ps have to do with one ring is in the order of time.
    fn put(&mut self, ring: usize, p: usize, event: Event) {
        if event.is_stamped() {
            let last = self.rings[ring].iter().rev().find(|record| record.stamp > 0);
            let last = last.map_or(0, |record| (record.stamp - ZERO) / 2);
            self.now[p] = self.now[p].max(last + 10);
        }
        self.rings[ring].push(at(self.now[p], event));
        if event.is_stamped() {
            self.now[p] += 20;
        }
    }

    /// P `p` does one thing.
    fn step(&mut self, p: usize) {
        let (q, m) = (p as u16, p as u32);
        if self.turns[p] == 0 {
            self.turns[p] = 1;
            self.put(p, p, Event::MachineStart { m, caller: false });
            self.put(p, p, Event::TakeP { p: q, turn: 1 });
        }
        if self.queues[p].is_empty() {
            let victim = (p + 1 + self.random(self.queues.len() as u64 - 1) as usize) % self.queues.len();
            self.put(p, p, Event::Seek);
            self.now[p] += 300 + self.random(900);
            let n = self.queues[victim].len().div_ceil(2).min(200);
            // Not before the victim has put them there.
            self.now[p] = self.now[p].max(self.now[victim] + 100);
            if n > 0 {
                let stolen: Vec<_> = self.queues[victim].drain(..n).collect();
                self.queues[p].extend(stolen);
                let (victim, n) = (victim as u16, n as u8);
                self.steals += 1;
                self.put(p, p, Event::Steal { victim, n, tries: 1, took: 400 });
            } else {
                let turn = self.turns[p];
                self.put(p, p, Event::GiveP { p: q, turn, why: Give::Idle });
                let bed = if self.random(2) == 0 { Bed::Idle } else { Bed::Poller };
                self.put(p, p, Event::Park(bed));
                self.now[p] += 8_000 + self.random(20_000);
                self.put(p, p, Event::Unpark);
                self.turns[p] = turn.wrapping_add(1);
                self.put(p, p, Event::TakeP { p: q, turn: self.turns[p] });
                self.put(p, p, Event::TimersBegin);
                let n = self.random(3);
                for _ in 0..n {
                    self.wake(p);
                }
                self.put(p, p, Event::TimersEnd { n: n as u32 });
                if self.queues[p].is_empty() && self.waiting.is_empty() {
                    self.spawn(p);
                }
                return;
            }
        }
        let Some((g, seq)) = self.queues[p].pop_front() else { return };
        let mut seq = seq.wrapping_add(1);
        self.put(p, p, Event::RunBegin { g, seq, p: q });
        self.now[p] += 500 + self.random(5_000);
        match self.random(6) {
            0 | 1 => self.wake(p),
            2 => self.spawn(p),
            _ => {}
        }
        self.now[p] += 500 + self.random(5_000);
        seq = seq.wrapping_add(1);
        match self.random(16) {
            0..8 => {
                let why = [Reason::ChanReceive, Reason::Mutex, Reason::Unsaid][self.random(3) as usize];
                self.put(p, p, Event::RunEnd { g, seq, why: End::Block(why) });
                self.waiting.push_back((g, seq, self.now[p]));
            }
            8..12 => {
                self.put(p, p, Event::RunEnd { g, seq, why: End::Yield });
                self.queues[p].push_back((g, seq));
            }
            12 => {
                let sysmon = self.rings.len() - 1;
                self.put(sysmon, p, Event::AskYield { m });
                self.put(p, p, Event::RunEnd { g, seq, why: End::Preempt });
                seq = seq.wrapping_add(1);
                self.put(p, p, Event::Requeue { g, seq, to: Queue::INJECTOR });
                self.put(p, p, Event::TakeInjected { p: q, n: 1 });
                self.queues[p].push_back((g, seq));
            }
            13 => {
                // A declared block, in which sysmon takes the P, and another M goes on with it.
                let (sysmon, other) = (self.rings.len() - 1, self.rings.len() - 2);
                let turn = self.turns[p];
                self.put(p, p, Event::BlockBegin);
                self.now[p] += 20_000;
                self.put(sysmon, p, Event::Retake { p: q, turn, why: Taken::Declared });
                self.put(sysmon, p, Event::RetakeFrom { m });
                self.now[p] += 3_000;
                self.put(other, p, Event::Unpark);
                self.put(other, p, Event::TakeP { p: q, turn: turn.wrapping_add(1) });
                let own = self.queues[p].pop_front();
                if let Some((g, seq)) = own {
                    self.put(other, p, Event::RunBegin { g, seq: seq.wrapping_add(1), p: q });
                    self.now[p] += 4_000;
                    self.put(other, p, Event::RunEnd { g, seq: seq.wrapping_add(2), why: End::Yield });
                    self.queues[p].push_back((g, seq.wrapping_add(2)));
                }
                self.now[p] += 1_000;
                self.put(p, p, Event::BlockEnd);
                self.put(p, p, Event::Park(Bed::Line));
                self.now[p] += 1_000;
                self.put(other, p, Event::GiveP { p: q, turn: turn.wrapping_add(1), why: Give::Line });
                self.put(other, p, Event::Park(Bed::Idle));
                self.put(p, p, Event::Unpark);
                self.turns[p] = turn.wrapping_add(2);
                self.put(p, p, Event::TakeP { p: q, turn: self.turns[p] });
                self.now[p] += 2_000;
                self.put(p, p, Event::Exit { g, seq, fate: Fate::Panicked });
                self.put(p, p, Event::Site { at: 2 });
            }
            _ => {
                self.put(p, p, Event::Exit { g, seq, fate: Fate::Finished });
                self.put(p, p, Event::Site { at: 1 });
            }
        }
    }

    fn spawn(&mut self, p: usize) {
        let g = self.next;
        self.next += 1;
        self.put(p, p, Event::Spawn { g, to: own(p as u16) });
        self.put(p, p, Event::Site { at: 1 + (g % 2) as usize });
        self.queues[p].push_back((g, 0));
    }

    fn wake(&mut self, p: usize) {
        if let Some((g, seq, since)) = self.waiting.pop_front() {
            self.now[p] = self.now[p].max(since);
            let seq = seq.wrapping_add(1);
            self.put(p, p, Event::Wake { g, seq, to: own(p as u16) });
            self.queues[p].push_back((g, seq));
        }
    }

    /// Makes this many records, and a few more.
    pub(super) fn run(&mut self, records: usize) {
        let last = self.rings.len() - 2;
        self.rings[last].push(at(self.now[0] + 1, Event::MachineStart { m: 100, caller: false }));
        self.rings[last].push(at(self.now[0] + 2, Event::Park(Bed::Idle)));
        for _ in 0..20 * self.queues.len() {
            self.waiting.push_back((self.next, 10, 0));
            self.next += 1;
        }
        while self.rings.iter().map(Vec::len).sum::<usize>() < records {
            for _ in 0..100 {
                let p = (0..self.now.len()).min_by_key(|&p| self.now[p]).unwrap();
                self.step(p);
            }
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.now.iter().max().unwrap() + 100
    }

    pub(super) fn recorded(&self, procs: usize, from: u64) -> Recorded {
        let story = Story::new(procs, from, self.end());
        let rings = self.rings.iter().enumerate().map(|(ring, records)| RingBatch {
            ring,
            records: records.clone(),
            gap: false,
            owner: None,
        });
        let names = (1..10).map(|g| (g, Arc::from("http \"é\u{1}\" 名"))).collect();
        let batch = Batch { rings: rings.collect(), upto: story.closing.at, names };
        Recorded { opening: story.opening, batches: vec![batch], closing: story.closing, task_tracks: 30 }
    }
}

#[test]
fn a_simulation_is_told_without_a_word_of_clamping() {
    let mut sim = Sim::new(4, 1_000);
    sim.run(20_000);
    let mut file = Vec::new();
    let summaries = write_file(&mut file, vec![sim.recorded(4, 1_000)], site_of).unwrap();
    assert_eq!((summaries[0].dropped, summaries[0].clamped), (0, 0), "{summaries:?}");
    let file: Value = serde_json::from_slice(&file).unwrap();
    let events = file["traceEvents"].as_array().unwrap();
    rules::check(events);
    let steals = events.iter().filter(|e| e["name"] == "steal" && e["ph"] == "X").count();
    let stolen = events.iter().filter(|e| e["name"] == "stolen").count();
    assert_eq!((steals as u64, stolen as u64), (sim.steals, sim.steals));
}

#[test]
fn batches_tell_what_one_batch_tells() {
    let mut sim = Sim::new(3, 1_000);
    sim.run(5_000);
    let export = |cuts: &[u64]| {
        let story = Story::new(3, 1_000, sim.end());
        let mut exporter = Exporter::new(story.opening, 0, 30, site_of);
        let mut sink = Events::default();
        let mut begin = 0;
        for &cut in cuts {
            let within = |record: &&Record| (begin..cut).contains(&((record.stamp.max(ZERO) - ZERO) / 2));
            let rings = sim.rings.iter().enumerate().map(|(ring, records)| {
                let mut take = Vec::new();
                let mut with = false;
                for record in records {
                    if record.event.is_stamped() {
                        with = within(&record);
                    }
                    if with {
                        take.push(*record);
                    }
                }
                RingBatch { ring, records: take, gap: false, owner: None }
            });
            exporter
                .feed(Batch { rings: rings.collect(), upto: moment(cut), names: HashMap::new() }, &mut sink);
            begin = cut;
        }
        exporter.finish(story.closing, &mut sink);
        rules::check(&sink.0);
        let mut lines: Vec<_> = sink.0.iter().filter(|e| e["ph"] == "X").map(Value::to_string).collect();
        lines.sort();
        lines
    };
    let end = sim.end();
    let (one, many) = (export(&[end]), export(&[end / 5, end / 4, end / 2, end]));
    assert!(one.len() > 1_000);
    assert_eq!(one, many);
}
