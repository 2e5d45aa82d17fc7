//! Small stories, each with its end.
//!
//! Length: one story after the other.

use super::*;

const FROM: u64 = 1_000;
const END: u64 = 9_000;

/// M `m` starts and takes P `m`.
fn begin(m: u32, ns: u64) -> [(u64, Event); 2] {
    [(ns, Event::MachineStart { m, caller: false }), (ns + 10, Event::TakeP { p: m as u16, turn: 1 })]
}

fn with(start: [(u64, Event); 2], rest: &[(u64, Event)]) -> Vec<(u64, Event)> {
    start.into_iter().chain(rest.iter().copied()).collect()
}

fn block(g: u64, seq: u8, reason: Reason) -> Event {
    Event::RunEnd { g, seq, why: End::Block(reason) }
}

fn finish(g: u64, seq: u8) -> Event {
    Event::Exit { g, seq, fate: Fate::Finished }
}

#[test]
fn a_chain_of_wakes_is_told_with_who_woke_whom() {
    let one = with(
        begin(0, 1_100),
        &[
            (1_200, Event::Spawn { g: 1, to: own(0) }),
            (0, Event::Site { at: 1 }),
            (1_300, Event::RunBegin { g: 1, seq: 1, p: 0 }),
            (1_400, Event::Spawn { g: 2, to: own(0) }),
            (0, Event::Site { at: 1 }),
            (2_000, block(1, 2, Reason::ChanReceive)),
            (2_100, Event::RunBegin { g: 2, seq: 1, p: 0 }),
            (2_500, Event::Wake { g: 1, seq: 3, to: own(0) }),
            (3_000, finish(2, 2)),
            (0, Event::Site { at: 1 }),
            (3_100, Event::RunBegin { g: 1, seq: 4, p: 0 }),
            (3_500, finish(1, 5)),
            (0, Event::Site { at: 1 }),
        ],
    );
    let shown = Story::new(1, FROM, END).ring(Some(0), &one).export();
    let (kind, g1, g2) = (first_kind(), format!("{} G1", first_kind()), format!("{} G2", first_kind()));
    let p =
        [row("idle", 1_000, 1_110), row(&g1, 1_300, 2_000), row(&g2, 2_100, 3_000), row(&g1, 3_100, 3_500)];
    assert_eq!(shown.p(0), p);
    let g = [
        row("runnable", 1_200, 1_300),
        row("running", 1_300, 2_000),
        row("waiting: chan receive", 2_000, 2_500),
        row("runnable", 2_500, 3_100),
        row("running", 3_100, 3_500),
    ];
    assert_eq!(shown.g(1), g);
    assert_eq!(shown.flows("spawn"), [((100, 1_400), (100, 2_100))]);
    assert_eq!(shown.flows("wake"), [((100, 2_500), (100, 3_100))]);
    let runs: Vec<_> = shown.events.iter().filter(|e| e["cat"] == "run").map(|e| e["args"].clone()).collect();
    let args = serde_json::json!([
        {"g":1,"m":0,"wait_us":0.1,"end":"block","seq":1,"woke":"spawn","on":"chan receive"},
        {"g":2,"m":0,"wait_us":0.7,"end":"exit","seq":1,"woke":"spawn","by":"G1","exit":"finished"},
        {"g":1,"m":0,"wait_us":0.6,"end":"exit","seq":4,"woke":"wake","by":"G2","exit":"finished"},
    ]);
    assert_eq!(Value::Array(runs), args);
    let track = shown.events.iter().find(|e| e["name"] == "thread_name" && e["tid"] == 10_001).unwrap();
    assert_eq!(track["args"]["name"], format!("G1 {kind}"));
    let summary = &shown.summary;
    assert_eq!((summary.records, summary.clamped, summary.reordered, summary.tasks), (15 + 2 - 2, 0, 0, 2));
}

#[test]
fn a_steal_is_told_on_both_sides_and_points_to_what_it_found() {
    let victim =
        with(begin(0, 1_100), &[(1_200, Event::Spawn { g: 1, to: own(0) }), (0, Event::Site { at: 1 })]);
    let thief = with(
        begin(1, 1_100),
        &[
            (1_200, Event::Seek),
            (2_000, Event::Steal { victim: 0, n: 1, tries: 2, took: 600 }),
            (2_100, Event::RunBegin { g: 1, seq: 1, p: 1 }),
            (2_200, block(1, 2, Reason::Unsaid)),
        ],
    );
    let shown = Story::new(2, FROM, END).ring(Some(0), &victim).ring(Some(1), &thief).export();
    let run = format!("{} G1", first_kind());
    let p = [
        row("idle", 1_000, 1_110),
        row("spin", 1_200, 1_700),
        row("steal", 1_700, 2_000),
        row(&run, 2_100, 2_200),
    ];
    assert_eq!(shown.p(1), p);
    assert!(shown.p(0).contains(&row("stolen", 2_000, 2_000)));
    assert_eq!(shown.named("steal")["args"], serde_json::json!({"victim": "P0", "n": 1, "tries": 2}));
    assert_eq!(shown.named("stolen")["args"], serde_json::json!({"thief": "P1", "n": 1}));
    assert_eq!(shown.flows("steal"), [((101, 1_999), (101, 2_100))]);
    assert_eq!(shown.g(1).last(), Some(&row("waiting", 2_200, END)));
}

#[test]
fn a_p_that_is_taken_goes_to_another_m_and_the_task_goes_on_without() {
    let blocked = with(
        begin(0, 1_100),
        &[
            (1_200, Event::Spawn { g: 1, to: own(0) }),
            (0, Event::Site { at: 1 }),
            (1_300, Event::RunBegin { g: 1, seq: 1, p: 0 }),
            (1_500, Event::BlockBegin),
            (5_000, Event::BlockEnd),
            (5_100, Event::Park(Bed::Line)),
            (6_000, Event::Unpark),
            (6_010, Event::TakeP { p: 0, turn: 3 }),
            (6_500, finish(1, 2)),
            (0, Event::Site { at: 1 }),
        ],
    );
    let sysmon =
        [(3_000, Event::Retake { p: 0, turn: 1, why: Taken::Declared }), (0, Event::RetakeFrom { m: 0 })];
    let other = [
        (3_200, Event::MachineStart { m: 1, caller: false }),
        (3_300, Event::TakeP { p: 0, turn: 2 }),
        (6_000, Event::GiveP { p: 0, turn: 2, why: Give::Line }),
        (6_100, Event::Park(Bed::Idle)),
    ];
    let shown =
        Story::new(1, FROM, END).ring(Some(0), &blocked).ring(None, &sysmon).ring(Some(1), &other).export();
    let run = format!("{} G1", first_kind());
    let p = [
        row("idle", 1_000, 1_110),
        row(&run, 1_300, 3_000),
        row("hand-off", 3_000, 3_300),
        row("retake", 3_000, 3_000),
        row("hand-off", 6_000, 6_010),
        row(&run, 6_010, 6_500),
    ];
    assert_eq!(shown.p(0), p);
    let m = [
        row("start", 1_100, 1_100),
        row("P0", 1_110, 3_000),
        row("blocked (declared)", 1_500, 3_000),
        row("blocked (retaken)", 3_000, 5_000),
        row("in line", 5_100, 6_000),
        row("P0", 6_010, END),
    ];
    assert_eq!(shown.track(3, 1_000), m);
    let g = [
        row("runnable", 1_200, 1_300),
        row("running", 1_300, 3_000),
        row("running (without a P)", 3_000, 6_010),
        row("running", 6_010, 6_500),
    ];
    assert_eq!(shown.g(1), g);
    assert_eq!(shown.flows("handoff"), [((1_000, 2_999), (1_001, 3_300)), ((1_001, 5_999), (1_000, 6_010))]);
    assert_eq!(shown.named("blocked (retaken)")["args"], serde_json::json!({"g": 1, "why": "declared"}));
    assert_eq!(shown.named("blocked (declared)")["args"], serde_json::json!({"g": 1}));
    let ends: Vec<_> = shown.events.iter().filter(|e| e["cat"] == "run").map(|e| &e["args"]["end"]).collect();
    assert_eq!(ends, ["retake", "exit"]);
}

#[test]
fn a_declared_block_that_keeps_its_p_lies_within_it() {
    let one = with(
        begin(0, 1_100),
        &[
            (1_300, Event::RunBegin { g: 1, seq: 4, p: 0 }),
            (1_500, Event::BlockBegin),
            (2_000, Event::BlockEnd),
            (2_500, block(1, 5, Reason::Sleep)),
        ],
    );
    let shown = Story::new(1, FROM, END).live(1, Standing::Queued).ring(Some(0), &one).export();
    let m = [row("start", 1_100, 1_100), row("P0", 1_110, END), row("blocked (declared)", 1_500, 2_000)];
    assert_eq!(shown.track(3, 1_000), m);
    assert_eq!(shown.g(1).first(), Some(&row("runnable", 1_000, 1_300)));
}

#[test]
fn yields_preemptions_and_wakes_of_who_runs_are_told_apart() {
    let one = with(
        begin(0, 1_100),
        &[
            (1_200, Event::RunBegin { g: 1, seq: 1, p: 0 }),
            (1_300, Event::RunEnd { g: 1, seq: 2, why: End::Yield }),
            (1_400, Event::RunBegin { g: 1, seq: 3, p: 0 }),
            (1_500, Event::RunEnd { g: 1, seq: 4, why: End::Preempt }),
            (1_510, Event::Requeue { g: 1, seq: 5, to: Queue::INJECTOR }),
            (1_600, Event::RunBegin { g: 1, seq: 6, p: 0 }),
            (2_000, block(1, 7, Reason::Notify)),
            (2_010, Event::Requeue { g: 1, seq: 8, to: own(0) }),
            (2_100, Event::RunBegin { g: 1, seq: 9, p: 0 }),
            (2_200, block(1, 10, Reason::Notify)),
            (2_210, Event::Exit { g: 1, seq: 11, fate: Fate::Cancelled }),
            (0, Event::Site { at: 1 }),
        ],
    );
    let two = with(
        begin(1, 1_100),
        &[(1_200, Event::RunBegin { g: 2, seq: 1, p: 1 }), (1_900, Event::Mark { g: 1 })],
    );
    let shown = Story::new(2, FROM, END)
        .live(1, Standing::Queued)
        .live(2, Standing::Queued)
        .ring(Some(0), &one)
        .ring(Some(1), &two)
        .export();
    let args = |key: &str| -> Vec<Value> {
        let runs = shown.events.iter().filter(|e| e["cat"] == "run" && e["args"]["g"] == 1);
        runs.map(|e| e["args"].get(key).cloned().unwrap_or(Value::Null)).collect()
    };
    assert_eq!(args("end"), ["yield", "preempt", "block", "exit"]);
    assert_eq!(args("woke"), ["start", "yield", "preempt", "self"]);
    assert_eq!(args("by"), [Value::Null, Value::Null, Value::Null, Value::from("G2")]);
    assert_eq!(args("exit")[3], "cancelled");
    assert_eq!(shown.flows("wake"), [((101, 1_900), (100, 2_100))]);
    assert!(shown.g(1).iter().all(|(name, ..)| !name.starts_with("waiting")), "{:?}", shown.g(1));
}

#[test]
fn a_recording_that_starts_in_the_midst_shows_what_was_going_on() {
    // M 3's first record is the end of a run; M 4 makes none, but a statement names it.
    let three = [
        (3_000, block(1, 9, Reason::Mutex)),
        (3_100, Event::GiveP { p: 0, turn: 7, why: Give::Idle }),
        (0, Event::Site { at: 1 }),
    ];
    let starter = [(FROM + 5, Event::Holds { p: 1, m: 4 }), (0, Event::Turn { turn: 2, g: 2 })];
    let shown = Story::new(2, FROM, END)
        .live(1, Standing::Running)
        .live(2, Standing::Running)
        .live(5, Standing::Waiting(Reason::Ticker))
        .ring(Some(3), &three)
        .ring(None, &starter)
        .export();
    let (one, two) = (format!("{} G1", first_kind()), format!("{} G2", first_kind()));
    assert_eq!(shown.p(0), [row(&one, FROM, 3_000), row("idle", 3_100, END)]);
    assert_eq!(shown.p(1), [row(&two, FROM, END)]);
    assert_eq!(shown.track(3, 1_003), [row("P0", FROM, 3_100)]);
    assert_eq!(shown.track(3, 1_004), [row("P1", FROM, END)]);
    assert_eq!(shown.g(1), [row("running", FROM, 3_000), row("waiting: sync.Mutex.Lock", 3_000, END)]);
    assert_eq!(shown.g(2), [row("running", FROM, END)]);
    assert_eq!(shown.g(5), [row("waiting: ticker", FROM, END)]);
    let ends: Vec<_> = shown.events.iter().filter(|e| e["cat"] == "run").map(|e| &e["args"]["end"]).collect();
    assert_eq!(ends, ["block", "open"]);
}

#[test]
fn a_statement_that_a_threads_own_records_deny_does_not_hold() {
    let four = [(2_000, Event::TakeP { p: 0, turn: 8 }), (2_100, Event::RunBegin { g: 2, seq: 4, p: 0 })];
    let starter = [(FROM + 5, Event::Holds { p: 1, m: 4 }), (0, Event::Turn { turn: 2, g: 2 })];
    let story = Story::new(2, FROM, END).live(2, Standing::Queued).ring(Some(4), &four).ring(None, &starter);
    let shown = story.export();
    assert_eq!(shown.p(1), [row("idle", FROM, END)]);
    assert_eq!(shown.p(0)[0], row("idle", FROM, 2_000));
}

#[test]
fn a_thread_that_has_not_let_go_of_its_p_runs_no_task_that_waits_or_runs_elsewhere() {
    // M 4 was stopped by the kernel after its poll; M 3 has run that task since.
    let three =
        [(3_000, block(2, 9, Reason::Mutex)), (3_100, Event::GiveP { p: 0, turn: 7, why: Give::Idle })];
    let starter = [(FROM + 5, Event::Holds { p: 1, m: 4 }), (0, Event::Turn { turn: 2, g: 2 })];
    for (standing, runs) in [(Standing::Waiting(Reason::Unsaid), 0), (Standing::Running, 1)] {
        let mut story = Story::new(2, FROM, END).live(2, standing).ring(None, &starter);
        if runs > 0 {
            story = story.ring(Some(3), &three);
        }
        let shown = story.export();
        assert_eq!(shown.track(3, 1_004), [row("P1", FROM, END)]);
        assert_eq!(shown.p(1), []);
        assert_eq!(shown.events.iter().filter(|e| e["cat"] == "run").count(), runs);
    }
}

#[test]
fn clocks_that_disagree_are_overruled_by_the_numbers() {
    // The second core's clock is 1 µs behind: it runs the task before that was spawned, by its stamps.
    let one =
        with(begin(0, 1_100), &[(3_000, Event::Spawn { g: 1, to: own(0) }), (0, Event::Site { at: 1 })]);
    let two = with(
        begin(1, 1_100),
        &[
            (2_200, Event::RunBegin { g: 1, seq: 1, p: 1 }),
            (2_600, block(1, 2, Reason::Sleep)),
            (4_000, Event::Seek),
        ],
    );
    let shown = Story::new(2, FROM, END).ring(Some(0), &one).ring(Some(1), &two).export();
    let p = shown.p(1);
    assert_eq!(p[1].0, format!("{} G1", first_kind()));
    assert!(p[1].1 >= 3_000, "{p:?}");
    assert_eq!(p[2], row("spin", 4_000, END));
    assert!(shown.summary.clamped >= 2 && shown.summary.reordered >= 1, "{:?}", shown.summary);
    assert_eq!(shown.g(1).len(), 3, "{:?}", shown.g(1));
}

#[test]
fn tracks_go_to_named_tasks_first_and_then_to_the_busiest() {
    let mut records = begin(0, 1_100).to_vec();
    let mut t = 1_200;
    for (g, runs) in [(1, 1), (2, 3), (3, 2), (4, 1)] {
        for n in 0..runs {
            records.push((t, Event::RunBegin { g, seq: 1 + 2 * n, p: 0 }));
            records.push((t + 50, Event::RunEnd { g, seq: 2 + 2 * n, why: End::Yield }));
            t += 100;
        }
    }
    let mut story = Story::new(1, FROM, END).ring(Some(0), &records);
    story.names.insert(4, "odd \"name\" \u{7}\n 日本".into());
    story.tracks = 2;
    let shown = story.export();
    assert!(shown.g(1).is_empty() && shown.g(3).is_empty());
    assert!(!shown.g(2).is_empty() && !shown.g(4).is_empty());
    assert!(shown.p(0).iter().any(|row| row.0 == "odd \"name\" \u{7}\n 日本 G4"));
    let summary = &shown.summary;
    assert_eq!((summary.tasks, summary.task_tracks, summary.tasks_left_out), (4, 2, 2));
    let about = &shown.named("gmprt trace")["args"];
    assert_eq!((&about["tasks"], &about["tasks_left_out"]), (&Value::from(4), &Value::from(2)));
}

#[test]
fn a_named_task_says_where_it_was_spawned() {
    let one = with(
        begin(0, 1_100),
        &[
            (1_200, Event::Spawn { g: 1, to: own(0) }),
            (0, Event::Site { at: 2 }),
            (1_300, Event::RunBegin { g: 1, seq: 1, p: 0 }),
        ],
    );
    let mut story = Story::new(1, FROM, END).ring(Some(0), &one);
    story.names.insert(1, "http".into());
    let shown = story.export();
    let site = sites()[1];
    assert_eq!(shown.named("http G1")["args"]["site"], format!("{}:{}", site.file(), site.line()));
}

#[test]
fn a_caller_of_block_on_and_a_foreign_thread_have_tracks_of_their_own() {
    let caller = [
        (1_100, Event::MachineStart { m: 7, caller: true }),
        (1_200, Event::TakeP { p: 0, turn: 1 }),
        (1_300, Event::RunBegin { g: 0, seq: 0, p: 0 }),
        (1_400, Event::Spawn { g: 1, to: own(0) }),
        (0, Event::Site { at: 1 }),
        (1_500, block(0, 0, Reason::Join)),
        (1_600, Event::GiveP { p: 0, turn: 1, why: Give::Caller }),
        (1_700, Event::Park(Bed::Idle)),
        (2_000, Event::Unpark),
        (2_100, Event::MachineStop { m: 7 }),
        (2_200, Event::MachineStart { m: 8, caller: true }),
        (2_300, Event::MachineStop { m: 8 }),
    ];
    let foreign = [(3_000, Event::Spawn { g: 2, to: Queue::INJECTOR }), (0, Event::Site { at: 1 })];
    let worker = with(
        [(3_100, Event::MachineStart { m: 1, caller: false }), (3_200, Event::TakeP { p: 0, turn: 2 })],
        &[(3_300, Event::RunBegin { g: 1, seq: 1, p: 0 }), (3_400, finish(1, 2)), (0, Event::Site { at: 1 })],
    );
    let worker = [&worker[..], &[(3_500, Event::RunBegin { g: 2, seq: 1, p: 0 })]].concat();
    let shown =
        Story::new(1, FROM, END).ring_of(None, &caller).ring(None, &foreign).ring(Some(1), &worker).export();
    let m = [
        row("start", 1_100, 1_100),
        row("P0", 1_200, 1_600),
        row("parked", 1_700, 2_000),
        row("stop", 2_100, 2_100),
        row("start", 2_200, 2_200),
        row("stop", 2_300, 2_300),
    ];
    assert_eq!(shown.track(3, 901), m);
    assert_eq!(shown.named("block_on")["args"]["g"], 0);
    assert_eq!(shown.named("block_on")["args"]["on"], "join");
    assert_eq!(shown.track(3, 999), [row("spawn G2", 3_000, 3_000)]);
    let by: Vec<_> =
        shown.events.iter().filter(|e| e["cat"] == "run").map(|e| e["args"]["by"].clone()).collect();
    assert_eq!(by, [Value::Null, Value::from("block_on"), Value::from("foreign")]);
    assert_eq!(shown.p(0)[2], row("idle", 1_600, 3_200));
}

#[test]
fn timers_that_fire_are_who_wakes() {
    let one = with(
        begin(0, 1_100),
        &[
            (1_200, Event::Seek),
            (1_300, Event::TimersBegin),
            (1_400, Event::Wake { g: 1, seq: 5, to: own(0) }),
            (1_500, Event::TimersEnd { n: 1 }),
            (1_600, Event::RunBegin { g: 1, seq: 6, p: 0 }),
            (1_700, block(1, 7, Reason::Sleep)),
        ],
    );
    let story = Story::new(1, FROM, END).live(1, Standing::Waiting(Reason::Sleep)).ring(Some(0), &one);
    let shown = story.export();
    let names: Vec<_> = shown.p(0).into_iter().map(|row| row.0).collect();
    assert_eq!(names, ["idle", "spin", "timers", "spin", &format!("{} G1", first_kind())]);
    assert_eq!(shown.named("timers")["args"]["fired"], 1);
    assert_eq!(shown.flows("wake"), [((100, 1_400), (100, 1_600))]);
    assert_eq!(shown.g(1)[0], row("waiting: sleep", FROM, 1_400));
}

#[test]
fn what_is_stamped_after_the_end_is_not_shown() {
    let one = with(
        begin(0, 1_100),
        &[
            (1_200, Event::Spawn { g: 1, to: own(0) }),
            (0, Event::Site { at: 1 }),
            (1_300, Event::RunBegin { g: 1, seq: 1, p: 0 }),
            (END + 10, block(1, 2, Reason::Sleep)),
        ],
    );
    let shown = Story::new(1, FROM, END).ring(Some(0), &one).export();
    assert_eq!(shown.g(1).last(), Some(&row("running", 1_300, END)));
}

#[test]
fn what_was_recorded_before_the_beginning_tells_of_its_own_thread_alone() {
    // M 1 had its P taken, which nobody recorded yet; M 2 has it now. Task 1 was woken, ran and waited unseen.
    let one = [(200, Event::TakeP { p: 0, turn: 4 }), (300, Event::Wake { g: 1, seq: 9, to: own(0) })];
    let two = [
        (2_000, Event::Wake { g: 1, seq: 12, to: own(0) }),
        (2_100, Event::GiveP { p: 0, turn: 6, why: Give::Idle }),
    ];
    let story = Story::new(1, FROM, END).live(1, Standing::Queued);
    let shown = story.ring(Some(1), &one).ring(Some(2), &two).export();
    assert_eq!(shown.track(3, 1_001), []);
    assert_eq!(shown.track(3, 1_002), [row("P0", FROM, 2_100)]);
    assert_eq!(shown.g(1), [row("waiting", FROM, 2_000), row("runnable", 2_000, END)]);
}

#[test]
fn an_m_that_was_there_before_does_not_start_with_its_first_record() {
    let old = [
        (2_000, Event::MachineStart { m: 3, caller: false }),
        (2_000, Event::Unpark),
        (2_100, Event::TakeP { p: 0, turn: 4 }),
    ];
    let shown = Story::new(1, FROM, END).ring(None, &old).export();
    assert_eq!(shown.track(3, 1_003), [row("parked", FROM, 2_000), row("P0", 2_100, END)]);
}

#[test]
fn a_thread_that_takes_a_p_has_lost_the_one_it_had_though_that_is_told_later() {
    let one = with(begin(0, 1_100), &[(3_000, Event::TakeP { p: 1, turn: 1 })]);
    let sysmon =
        [(3_500, Event::Retake { p: 0, turn: 1, why: Taken::Blocked }), (0, Event::RetakeFrom { m: 0 })];
    let shown = Story::new(2, FROM, END).ring(Some(0), &one).ring(None, &sysmon).export();
    let m = shown.track(3, 1_000);
    // It knew by then, whenever that is told: nothing of its own is moved.
    assert_eq!(m[1], row("P0", 1_110, 3_000));
    assert_eq!(m[2], row("P1", 3_000, END));
}

#[test]
fn a_p_that_was_taken_by_one_who_does_not_say_so_before_the_end_was_lost_nevertheless() {
    let one = with(
        begin(0, 1_100),
        &[
            (1_200, Event::Spawn { g: 1, to: own(0) }),
            (0, Event::Site { at: 1 }),
            (1_300, Event::RunBegin { g: 1, seq: 1, p: 0 }),
            (1_500, Event::BlockBegin),
            (2_900, Event::BlockEnd),
            (3_000, Event::TakeP { p: 1, turn: 1 }),
        ],
    );
    let shown = Story::new(2, FROM, END).ring(Some(0), &one).export();
    assert_eq!(shown.track(3, 1_000).last(), Some(&row("P1", 3_000, END)));
    let g = [
        row("runnable", 1_200, 1_300),
        row("running", 1_300, 2_999),
        row("running (without a P)", 2_999, 3_000),
        row("running", 3_000, END),
    ];
    assert_eq!(shown.g(1), g);
}

#[test]
fn who_does_nothing_but_cancel_a_task_has_not_run_it() {
    let late = 400_000; // counters have a sample in 100 µs
    let one = with(
        begin(0, 1_100),
        &[
            (1_200, Event::Spawn { g: 2, to: own(0) }),
            (0, Event::Site { at: 1 }),
            (late - 10, Event::Spawn { g: 1, to: own(0) }),
            (0, Event::Site { at: 1 }),
        ],
    );
    let two = [
        (late, Event::MachineStart { m: 1, caller: true }),
        (late, Event::Exit { g: 1, seq: 1, fate: Fate::Cancelled }),
        (0, Event::Site { at: 1 }),
    ];
    let shown = Story::new(1, FROM, 2 * late).ring(Some(0), &one).ring(Some(1), &two).export();
    assert_eq!(shown.g(1), [row("runnable", late - 10, late)]);
    let tasks: Vec<_> = shown.events.iter().filter(|e| e["name"] == "Tasks").map(|e| &e["args"]).collect();
    assert!(tasks.len() > 1 && tasks.iter().all(|tasks| tasks["running"] == 0), "{tasks:?}");
}

#[test]
fn a_task_that_is_cancelled_by_another_does_not_end_its_run() {
    let one = with(
        begin(0, 1_100),
        &[
            (1_200, Event::Spawn { g: 1, to: own(0) }),
            (0, Event::Site { at: 1 }),
            (1_300, Event::RunBegin { g: 1, seq: 1, p: 0 }),
            (1_400, Event::Spawn { g: 2, to: own(0) }),
            (0, Event::Site { at: 1 }),
            (1_500, Event::Exit { g: 2, seq: 1, fate: Fate::Cancelled }),
            (0, Event::Site { at: 1 }),
            (2_000, finish(1, 2)),
        ],
    );
    let shown = Story::new(1, FROM, END).ring(Some(0), &one).export();
    assert_eq!(shown.g(1).last(), Some(&row("running", 1_300, 2_000)));
    assert_eq!(shown.g(2), [row("runnable", 1_400, 1_500)]);
}
