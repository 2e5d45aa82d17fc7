//! The showcase's report is whole whatever was measured: made-up results go in, and the page is read back by a strict
//! parser.

#[path = "../examples/common/figures.rs"]
mod figures;
#[path = "../examples/showcase/html/mod.rs"]
mod html;
#[path = "../examples/showcase/machine.rs"]
mod machine;
#[path = "../examples/showcase/results.rs"]
mod results;
#[allow(dead_code, reason = "the report does not start runs; `expect` would not see that it is dead code")]
#[path = "../examples/showcase/spec.rs"]
mod spec;
#[path = "../examples/showcase/units.rs"]
mod units;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use results::{Cell, Goal, Results, Row};
use roxmltree::{Document, Node, ParsingOptions};
use spec::{Job, Runtime};

const ALL: [Runtime; 3] = [Runtime::Gmprt, Runtime::Tokio, Runtime::Go];

// ---- Made-up results ----

/// What a good run might give.
fn plausible(runtimes: &[Runtime]) -> Results {
    let mut cells = vec![
        cell(Job::Token { clients: 1000, rate: 5000 }, runtimes, 5000.0, 9e3),
        cell(Job::Token { clients: 1000, rate: 0 }, runtimes, 3.1e6, 3e5),
    ];
    for producers in [1, 1000] {
        for (workers, rise) in [(1, 0.5), (2, 0.8), (4, 0.98), (8, 1.0), (16, 0.95), (32, 0.9), (64, 0.88)] {
            let job = Job::Fan { workers, producers, items: 0 };
            cells.push(cell(job, runtimes, rise * 4.6e6 / f64::from(producers).powf(0.1), 4e4));
        }
    }
    cells.push(cell(Job::Log { producers: 5000, file: "log".into(), fsync: false }, runtimes, 2.4e6, 2e6));
    Results {
        machine: machine::describe(Some("go1.26.1")),
        seconds: 5.0,
        rounds: 3,
        procs: 4,
        cells,
        goals: vec![
            goal("fan-out/fan-in: at least 1.5 times tokio at each W", 13, 14, "1.41 at W = 1, 1 producer"),
            goal("token bucket: p99 no higher than tokio's", 2, 2, "1.02 in the open loop"),
        ],
        left_out: vec![],
        failures: vec![],
    }
}

fn goal(what: &str, reached: usize, of: usize, worst: &str) -> Goal {
    Goal { what: what.to_owned(), reached, of, worst: worst.to_owned() }
}

fn cell(job: Job, runtimes: &[Runtime], throughput: f64, median_ns: f64) -> Cell {
    let rate = matches!(job, Job::Token { rate: 1.., .. });
    let row = |&runtime: &Runtime| {
        let (slower, tail) = match runtime {
            Runtime::Gmprt => (1.0, 0.9),
            Runtime::Tokio => (2.3, 1.3),
            Runtime::Go => (1.4, 1.1),
        };
        let throughput = if rate { throughput } else { throughput / slower };
        let p99_ns = median_ns * slower * 6f64.powf(tail);
        let mebibytes = match job {
            Job::Fan { .. } => 0.3 * slower,
            _ => 4.0 * slower,
        };
        Row {
            runtime,
            throughput,
            throughput_by_round: [0.93, 1.0, 1.05].map(|spread| spread * throughput).to_vec(),
            p50_ns: median_ns * slower,
            p99_ns,
            growth_bytes: mebibytes * 1024.0 * 1024.0,
            latencies: latencies(median_ns * slower, tail),
            memory: (0..=50).map(|i| (f64::from(i) / 10.0, growth(mebibytes, i))).collect(),
            counts: counts(&job),
            throughput_ratio: (runtime != Runtime::Gmprt).then_some(slower),
            p99_ratio: (runtime != Runtime::Gmprt).then_some(p99_ns / (median_ns * 6f64.powf(0.9))),
        }
    };
    Cell { rows: runtimes.iter().map(row).collect(), job }
}

/// 200 steps; each further nine is `6^tail` times as slow.
fn latencies(median_ns: f64, tail: f64) -> Vec<(u64, u64)> {
    let step = |i: u32| {
        let nines = f64::from(i) / 40.0;
        let share = 10f64.powf(-nines) - 10f64.powf(-nines - 1.0 / 40.0);
        let ns = median_ns * 6f64.powf(tail * (nines - 0.3) / 1.7 * (1.0 + nines / 10.0));
        (ns as u64, (share * 2e6).ceil() as u64)
    };
    (0..200).map(step).collect()
}

fn growth(mebibytes: f64, tenths: u32) -> u64 {
    (mebibytes * 1024.0 * 1024.0 * (1.0 - (-f64::from(tenths) / 3.0).exp())) as u64
}

fn counts(job: &Job) -> BTreeMap<String, u64> {
    let counts: &[(&str, u64)] = match job {
        Job::Token { rate: 0, .. } => &[("accepted", 1504), ("refused", 46_498_496)],
        Job::Token { .. } => &[("accepted", 1504), ("refused", 73_496)],
        Job::Fan { .. } => &[],
        Job::Log { .. } => &[("sent", 36_001_234), ("written", 36_001_234), ("unwritten", 0)],
    };
    counts.iter().map(|&(name, n)| (name.to_owned(), n)).collect()
}

// ---- Reading the page back ----

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("showcase_report").join(name);
    let _ = fs::remove_dir_all(&folder); // of an earlier run, if there was one
    folder
}

/// Writes the report, holds it against what goes for every page, and gives its text.
#[track_caller]
fn whole_page(name: &str, results: &Results) -> String {
    let file = folder(name).join("report.html");
    html::write(results, &file).expect("the report is written");
    let page = fs::read_to_string(&file).expect("the report is text");
    let xml = close_metas(&page);
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(&xml, options).expect("the page is well-formed");

    let headings: Vec<&str> = elements(&document, "h2").filter_map(|node| node.text()).collect();
    for scenario in ["Token bucket", "Fan-out/fan-in", "Batched log"] {
        assert!(headings.contains(&scenario), "{scenario} in {headings:?}");
    }
    for sign in ["NaN", "inf", "∞"] {
        let shown = document
            .descendants()
            .filter_map(|node| node.text())
            .any(|text| text.split(|c: char| !c.is_alphanumeric() && c != '∞').any(|word| word == sign));
        assert!(!shown, "{sign} is shown");
    }
    let abroad = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for sign in ["http:", "https:", "//", "url(", "@import", "<script", "<link", "src="] {
        assert!(!abroad.contains(sign), "the page is not all in one file: {sign}");
    }
    elements(&document, "table").for_each(rectangular);
    elements(&document, "svg").for_each(unclipped);
    document.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect::<Vec<_>>().join(" ")
}

/// HTML's `<meta …>` has no end, XML's must have one.
fn close_metas(page: &str) -> String {
    let mut parts = page.split("<meta");
    let mut closed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        closed += "<meta";
        closed += &part.replacen('>', "/>", 1);
    }
    closed
}

fn elements<'d>(document: &'d Document<'_>, name: &'static str) -> impl Iterator<Item = Node<'d, 'd>> {
    document.descendants().filter(move |node| node.tag_name().name() == name)
}

/// Asserts that a table has a cell for each heading in each row.
fn rectangular(table: Node<'_, '_>) {
    let named = |node: &Node<'_, '_>, name: &str| node.tag_name().name() == name;
    let cells = |row: Node<'_, '_>| row.children().filter(Node::is_element).count();
    let rows = |part: &'static str| {
        let parts = table.children().filter(move |node| named(node, part));
        parts.map(move |part| part.children().filter(|node| named(node, "tr")).collect::<Vec<_>>())
    };
    let columns = cells(rows("thead").next().expect("a heading")[0]);
    for body in rows("tbody") {
        let spans_all = body[0].descendants().find_map(|cell| cell.attribute("rowspan"));
        for (i, &row) in body.iter().enumerate() {
            let spanned = usize::from(i > 0 && spans_all.is_some());
            assert_eq!(cells(row) + spanned, columns, "{:?}", row.text());
        }
        if let Some(rows) = spans_all {
            assert_eq!(rows, body.len().to_string());
        }
    }
}

/// Asserts that nothing of a drawing lies outside of it.
fn unclipped(svg: Node<'_, '_>) {
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let size = ["width", "height"].map(|name| number(svg.attribute(name).expect("a size")));
    let check = |x: f64, y: f64| {
        assert!((0.0..=size[0]).contains(&x) && (0.0..=size[1]).contains(&y), "{x}, {y} outside of {size:?}");
    };
    for shape in svg.descendants() {
        let pairs = [("x", "y"), ("x1", "y1"), ("x2", "y2"), ("cx", "cy")];
        for (x, y) in pairs.into_iter().filter_map(|(x, y)| Some((shape.attribute(x)?, shape.attribute(y)?)))
        {
            check(number(x), number(y));
        }
        for point in shape.attribute("points").unwrap_or_default().split_whitespace() {
            let (x, y) = point.split_once(',').expect("a point");
            check(number(x), number(y));
        }
    }
}

// ---- Claims ----

#[test]
fn a_good_run_gives_a_whole_page() {
    let text = whole_page("good", &plausible(&ALL));
    assert!(text.contains("gmprt, tokio and Go"), "{text}");
    assert!(text.contains("✓ reached") && text.contains("✗ not reached"), "{text}");
    assert!(!text.contains("Failures") && !text.contains("Nothing was measured"), "{text}");
}

#[test]
fn runtimes_may_be_missing() {
    for runtime in ALL {
        let text = whole_page(runtime.name(), &plausible(&[runtime]));
        assert!(text.contains(&format!("{}, measured", runtime.name())), "{text}");
    }
    let text = whole_page("without-go", &plausible(&ALL[..2]));
    assert!(text.contains("gmprt and tokio"), "{text}");
    let mut uneven = plausible(&ALL);
    uneven.cells.iter_mut().step_by(2).for_each(|cell| drop(cell.rows.pop()));
    whole_page("uneven", &uneven);
}

#[test]
fn one_cell_is_enough_and_so_is_none() {
    for keep in 0..plausible(&ALL).cells.len() {
        let mut one = plausible(&ALL);
        one.cells = vec![one.cells.swap_remove(keep)];
        assert!(whole_page("one-cell", &one).contains("Not run."));
    }
    let mut none = plausible(&ALL);
    none.cells.clear();
    none.goals.clear();
    assert!(whole_page("no-cell", &none).contains("Nothing was run"));
    let mut empty = plausible(&ALL);
    empty.cells.iter_mut().for_each(|cell| cell.rows.clear());
    whole_page("no-row", &empty);
}

#[test]
fn what_is_no_figure_is_a_dash() {
    for odd in [0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, f64::MIN_POSITIVE, f64::MAX] {
        let mut results = plausible(&ALL);
        results.seconds = odd;
        results.rounds = 0;
        for row in results.cells.iter_mut().flat_map(|cell| &mut cell.rows) {
            row.throughput = odd;
            row.throughput_by_round = vec![odd; 3];
            row.growth_bytes = odd;
            row.throughput_ratio = Some(odd);
            row.p99_ratio = Some(odd);
            row.memory = vec![(odd, 0), (odd, u64::MAX)];
        }
        let text = whole_page("odd", &results);
        assert!(odd.is_finite() || text.contains('–'), "{text}");
    }
}

#[test]
fn nothing_done_is_told() {
    let mut results = plausible(&ALL);
    for row in results.cells.iter_mut().flat_map(|cell| &mut cell.rows) {
        row.throughput = 0.0;
        row.throughput_by_round.clear();
        row.latencies.clear();
        row.memory.clear();
        row.counts.clear();
    }
    results.failures.push("tokio: the run was killed".to_owned());
    results.left_out.push("Go: no go on the PATH".to_owned());
    let text = whole_page("nothing-done", &results);
    for sign in ["Nothing was measured.", "tokio: the run was killed", "Go: no go on the PATH"] {
        assert!(text.contains(sign), "{sign} in {text}");
    }
    assert!(!text.contains("0 ns"), "a latency of which there is none: {text}");
}

#[test]
fn a_few_odd_latencies_are_drawn() {
    for few in [
        vec![(0, 1)],
        vec![(0, 2)],
        vec![(1, 1), (1, 1)],
        vec![(1, 1), (u64::MAX, 9)],
        vec![(100, 1_000_000)],
    ] {
        let mut results = plausible(&ALL);
        for row in results.cells.iter_mut().flat_map(|cell| &mut cell.rows) {
            row.latencies.clone_from(&few);
        }
        whole_page("few", &results);
    }
}

#[test]
fn names_are_escaped() {
    let name = "<b>&\"'</b>";
    let mut results = plausible(&ALL);
    results.machine.cpu = name.to_owned();
    results.machine.kernel = name.to_owned();
    results.machine.when = name.to_owned();
    results.machine.versions = vec![(name.to_owned(), name.to_owned())];
    results.goals = vec![goal(name, 0, 0, name)];
    results.failures = vec![name.to_owned()];
    results.left_out = vec![name.to_owned()];
    assert_eq!(whole_page("escaped", &results).matches(name).count(), 9);
}

#[test]
fn saturation_is_the_fewest_workers_within_five_percent() {
    let mut results = plausible(&ALL[..1]);
    results.cells.retain(|cell| matches!(cell.job, Job::Fan { producers: 1, .. }));
    for (cell, throughput) in results.cells.iter_mut().zip([1.0, 2.0, 3.81, 4.0, 3.9, 4.0, 3.0]) {
        cell.rows[0].throughput = throughput;
    }
    results.cells.reverse(); // the order is not what counts
    assert!(whole_page("saturated", &results).contains("Saturated: gmprt at W = 4."));
    let widest = results.cells.iter_mut().find(|cell| matches!(cell.job, Job::Fan { workers: 64, .. }));
    widest.expect("a cell").rows[0].throughput = 4.3;
    assert!(whole_page("gaining", &results).contains("Saturated: gmprt not yet."));
}

#[test]
fn acceptance_is_of_all_rounds_whichever_is_the_median() {
    let mut results = plausible(&ALL[..1]);
    results.cells.truncate(1);
    let row = &mut results.cells[0].rows[0];
    (row.throughput, row.throughput_by_round) = (20.0, vec![10.0, 20.0, 96.0]);
    row.counts = [("accepted".to_owned(), 1), ("refused".to_owned(), 3)].into();
    let text = whole_page("accepted", &results);
    assert!(text.contains("10.5/s") && text.contains("75.0 %"), "{text}");
}

#[test]
fn a_report_replaces_the_last_and_leaves_nothing_else() {
    let folder = folder("replaced").join("below");
    let file = folder.join("report.html");
    for runtimes in [&ALL[..1], &ALL] {
        html::write(&plausible(runtimes), &file).expect("the report is written");
    }
    assert!(fs::read_to_string(&file).expect("the report is text").contains("gmprt, tokio and Go"));
    assert_eq!(fs::read_dir(&folder).expect("the folder is there").count(), 1);

    fs::create_dir(folder.join("taken")).expect("a folder can be made");
    html::write(&plausible(&ALL), &folder.join("taken")).expect_err("a folder is no file");
    html::write(&plausible(&ALL), &folder.join("..")).expect_err("no name");
    assert_eq!(fs::read_dir(&folder).expect("the folder is there").count(), 2);
}

#[test]
fn the_machine_is_described_with_the_versions_that_were_built() {
    let machine = machine::describe(Some("go1.26.1"));
    let version =
        |name: &str| machine.versions.iter().find(|version| version.0 == name).map(|version| &*version.1);
    assert_eq!(version("gmprt"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(version("Go"), Some("go1.26.1"));
    for name in ["tokio", "async-channel"] {
        assert!(
            version(name).is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())),
            "{name}"
        );
    }
    assert!(machine.when.ends_with('Z') && machine.cores > 0);
}
