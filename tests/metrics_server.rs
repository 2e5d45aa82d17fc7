//! The metrics server as Prometheus meets it: each page is read by a strict parser, and held against the one before.

#[path = "../examples/metrics_server/collector.rs"]
mod collector;
#[path = "metrics_server/text_format.rs"]
mod text_format;

use collector::{RuntimeCollector, histogram};
use prometheus::{Registry, TextEncoder};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use text_format::{Page, gone_back, parse};

/// How long something may take that does not take long.
const PATIENCE: Duration = Duration::from_secs(60);

// ---- The server, and a client that takes nothing on trust ----

/// The example, which cargo builds if it is not. Cargo becomes the example then: it is the same process.
fn example(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--example", "metrics_server", "--"]).args(args);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

struct Serving {
    child: Child,
    /// `127.0.0.1:port`.
    address: String,
}

impl Serving {
    fn start(args: &[&str]) -> Serving {
        let mut command = example(&[&["--port", "0"], args].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cargo runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut serving = Serving { child, address: String::new() };
        let address = line.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/metrics\n"));
        serving.address = address.unwrap_or_else(|| panic!("an address: {line:?}")).to_owned();
        serving
    }

    /// Sends a request, and reads the answer to its end.
    fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream
            .write_all(
                format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
            )
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Answer::read(&answer)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn scrape(&self) -> Page {
        let answer = self.ask("GET /metrics");
        assert_eq!(answer.status, "200 OK");
        assert_eq!(answer.header("content-type"), ["text/plain; version=0.0.4"]);
        assert_eq!(answer.header("content-length"), [answer.body.len().to_string()]);
        parse(&answer.body).unwrap_or_else(|why| panic!("{why}, in\n{}", answer.body))
    }

    /// It is to end now, by itself.
    #[track_caller]
    fn ended(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(5)); // sleep: std waits for a child without a limit only
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill(); // after a failure; otherwise it has ended
        let _ = self.child.wait();
    }
}

struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn read(answer: &str) -> Answer {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
        let headers = lines.map(|line| line.split_once(": ").expect("a header"));
        Answer {
            status: status.to_owned(),
            headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|header| header.0 == name).map(|header| &*header.1).collect()
    }
}

/// All series of a family together; a histogram's are its latencies' number.
#[track_caller]
fn sum(page: &Page, family: &str) -> f64 {
    let found = page.get(family).unwrap_or_else(|| panic!("no {family}"));
    let counts = |name: &str| found.kind != "histogram" || name.ends_with("_count");
    found.samples.iter().filter(|sample| counts(&sample.name)).map(|sample| sample.value).sum()
}

/// The values of a family's only label, in the order of their letters, as the registry sorts them.
fn labels<'a>(page: &'a Page, family: &str, label: &str) -> Vec<&'a str> {
    let value = |labels: &'a [(String, String)]| match labels {
        [(name, value)] if name == label => value.as_str(),
        other => panic!("{family} has {other:?}"),
    };
    page[family].samples.iter().map(|sample| value(&sample.labels)).collect()
}

/// What goes for each page, whatever the runtime does.
#[track_caller]
fn check(page: &Page) {
    let mut ps: Vec<String> = (0..sum(page, "gmprt_processors") as usize).map(|p| p.to_string()).collect();
    ps.sort(); // 10 before 2
    for family in [
        "gmprt_busy_seconds_total",
        "gmprt_polls_total",
        "gmprt_schedticks_total",
        "gmprt_spawns_total",
        "gmprt_steal_attempts_total",
        "gmprt_steals_total",
        "gmprt_stolen_tasks_total",
        "gmprt_overflows_total",
        "gmprt_injector_takes_total",
        "gmprt_timers_fired_total",
        "gmprt_timers_stolen_total",
        "gmprt_run_queue_length",
    ] {
        assert_eq!(labels(page, family, "p"), ps, "{family}");
    }
    assert_eq!(labels(page, "gmprt_tasks", "state"), ["runnable", "running", "waiting"]);
    assert_eq!(labels(page, "gmprt_retakes_total", "reason"), ["blocked", "declared", "hog"]);
    let ended = ["finished", "panicked", "aborted"].map(|how| sum(page, &format!("gmprt_tasks_{how}_total")));
    let spawned = sum(page, "gmprt_tasks_spawned_total");
    assert_eq!(spawned, ended.iter().sum::<f64>() + sum(page, "gmprt_tasks_alive"), "each is somewhere");
    assert_eq!(sum(page, "gmprt_tasks"), sum(page, "gmprt_tasks_alive"), "each is at something");
    assert!(page.keys().all(|name| name.starts_with("gmprt_")));
}

// ---- Scrapes ----

#[test]
fn from_scrape_to_scrape_counters_grow_and_never_go_back() {
    let serving = Serving::start(&[]);
    let first = serving.scrape();
    check(&first);
    let mut last = serving.scrape();
    assert_eq!(gone_back(&first, &last), [""; 0]);
    let begun = Instant::now();
    for family in [
        "gmprt_polls_total",
        "gmprt_tasks_spawned_total",
        "gmprt_tasks_finished_total",
        "gmprt_tasks_aborted_total",
        "gmprt_timers_fired_total",
        "gmprt_sysmon_rounds_total",
        "gmprt_scheduling_latency_seconds",
    ] {
        while sum(&last, family) <= sum(&first, family) {
            assert!(begun.elapsed() < PATIENCE, "{family} does not grow");
            let next = serving.scrape();
            check(&next);
            assert_eq!(gone_back(&last, &next), [""; 0]);
            last = next;
        }
    }
}

#[test]
fn a_page_shows_what_the_runtime_has() {
    let runtime = gmprt::Runtime::builder().procs(3).build().unwrap();
    let registry = Registry::new();
    registry.register(Box::new(RuntimeCollector::new(runtime.handle()).unwrap())).unwrap();
    let page = || parse(&TextEncoder.encode_to_string(&registry.gather()).unwrap()).unwrap();
    let before = page();
    check(&before);
    assert_eq!(sum(&before, "gmprt_processors"), 3.0);
    runtime.block_on(async {
        for _ in 0..100 {
            gmprt::spawn(gmprt::yield_now()).await.unwrap();
        }
    });
    let metrics = runtime.metrics();
    let after = page();
    check(&after);
    assert_eq!(gone_back(&before, &after), [""; 0]);
    let polls: u64 = metrics.processors.iter().map(|p| p.polls).sum();
    assert!(polls >= 200);
    assert_eq!(sum(&after, "gmprt_polls_total"), polls as f64);
    // The same runtime twice would make each series ambiguous.
    assert!(registry.register(Box::new(RuntimeCollector::new(runtime.handle()).unwrap())).is_err());
}

/// The bounds and running totals, the sum and the count that come of such buckets, in nanoseconds.
fn shown(buckets: &[(u64, u64)]) -> (Vec<(u64, u64)>, u64, u64) {
    let bound = |ns| if ns == u64::MAX { Duration::MAX } else { Duration::from_nanos(ns) };
    let sample = histogram(buckets.iter().map(|&(ns, count)| (bound(ns), count)));
    let shown = sample.get_histogram();
    let ns = |seconds: f64| (seconds * 1e9).round() as u64;
    let buckets = shown.get_bucket().iter().map(|b| (ns(b.upper_bound()), b.cumulative_count())).collect();
    (buckets, ns(shown.get_sample_sum()), shown.get_sample_count())
}

#[test]
fn a_histogram_adds_up_and_keeps_to_bounds_that_double() {
    let last = u64::MAX;
    assert_eq!(shown(&[(last, 0)]), (vec![], 0, 0));
    assert_eq!(shown(&[(10, 3), (20, 0), (40, 2), (last, 1)]), (vec![(10, 3), (20, 3), (40, 5)], 80, 6));
    // 10 to 15 and 15 to 20 are put together, and what lies in a bucket counts from its own lower bound.
    assert_eq!(shown(&[(10, 1), (15, 1), (20, 1), (30, 1), (last, 0)]), (vec![(10, 1), (20, 3)], 45, 4));
    // Those past the last bound shown are in +Inf alone. A bound of zero is one, too.
    assert_eq!(shown(&[(0, 7), (1, 0), (last, 5)]), (vec![(0, 7), (1, 7)], 5, 12));
}

// ---- Other requests ----

#[test]
fn other_paths_and_methods_are_refused() {
    let serving = Serving::start(&[]);
    for path in ["/", "/nowhere", "/metrics/", "/metricsx", "/?/metrics"] {
        let answer = serving.ask(&format!("GET {path}"));
        assert_eq!(answer.status, "404 Not Found", "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = serving.ask(&format!("{method} /metrics"));
        assert_eq!(answer.status, "405 Method Not Allowed", "{method}");
        assert_eq!(answer.header("allow"), ["GET, HEAD"]);
    }
    let head = serving.ask("HEAD /metrics");
    assert_eq!((&*head.status, &*head.body), ("200 OK", ""));
    assert_eq!(head.header("content-type"), ["text/plain; version=0.0.4"]);
    let with_query = serving.ask("GET /metrics?job=gmprt");
    assert_eq!(with_query.status, "200 OK");
}

#[test]
fn a_client_that_stalls_holds_up_nobody() {
    let mut serving = Serving::start(&[]);
    let mut stalled = Vec::new();
    for said in
        ["", "GET /met", "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"]
    {
        let mut stream = serving.connect();
        stream.write_all(said.as_bytes()).unwrap();
        stalled.push(stream);
    }
    let mut refused = [0; 12];
    stalled[2].read_exact(&mut refused).unwrap(); // so the server has got that far with it, and waits for the rest
    assert_eq!(&refused, b"HTTP/1.1 405");
    check(&serving.scrape());
    drop(serving.child.stdin.take());
    assert_eq!(serving.ended().code(), Some(0), "it ends while they are there");
}

// ---- Its beginning and its end ----

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let run = example(&["--port", &address.port().to_string(), "--for", "1ms"]).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{said}");
    let error = format!("metrics_server: cannot listen on {address}: Address already in use");
    assert!(said.contains(&error) && !said.contains("panicked"), "{said}");
    assert!(run.stdout.is_empty(), "no address is printed");
}

#[test]
fn wrong_arguments_are_refused_with_exit_code_2() {
    for args in [&["--port", "65536"][..], &["--port", "http"], &["--for", "soon"], &["extra"]] {
        let run = example(args).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn it_ends_at_the_end_of_stdin() {
    let mut serving = Serving::start(&[]);
    serving.child.stdin.as_mut().unwrap().write_all(b"not yet\n").unwrap();
    check(&serving.scrape());
    drop(serving.child.stdin.take());
    assert_eq!(serving.ended().code(), Some(0));
}

#[test]
fn it_ends_when_the_time_is_over_whatever_stdin_does() {
    assert_eq!(Serving::start(&["--for", "50ms"]).ended().code(), Some(0));
    let mut serving = Serving::start(&["--for", "1h"]);
    drop(serving.child.stdin.take());
    check(&serving.scrape());
}

#[test]
fn it_ends_in_good_order_when_interrupted() {
    for signal in ["INT", "TERM"] {
        let serving = Serving::start(&[]);
        let kill = format!("kill -{signal} {}", serving.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert_eq!(serving.ended().code(), Some(0), "{signal}");
    }
}

// ---- The parser and the checks complain ----

const GOOD: &str = "# HELP a_total Help.\n# TYPE a_total counter\na_total{p=\"0\"} 1\na_total{p=\"1\"} 2.5e3\n\
    # HELP h A \\\\ histogram.\n# TYPE h histogram\n\
    h_bucket{le=\"0.1\"} 1\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 4\nh_sum 5.5\nh_count 4\n";

#[test]
fn the_parser_takes_a_good_page_and_refuses_bad_ones() {
    let page = parse(GOOD).unwrap();
    assert_eq!((sum(&page, "a_total"), sum(&page, "h")), (2501.0, 4.0));
    for (good, bad, complaint) in [
        ("h_count 4\n", "h_count 4", "does not end"),
        ("# HELP a_total Help.\n", "", "no HELP before"),
        ("# HELP a_total Help.", "# HELP a_total ", "bad help"),
        ("# HELP h A \\\\", "# HELP h A \\t", "bad help"),
        ("# TYPE h histogram\n", "", "no TYPE after the HELP of h"),
        ("# TYPE h histogram", "# TYPE h untyped", "bad type"),
        ("# HELP h A", "\n# HELP h A", "not a sample"),
        ("# HELP h A", "# EOF\n# HELP h A", "not a sample"),
        ("h_count 4\n", "h_count 4\na_total{p=\"2\"} 1\n", "not of the histogram h"),
        ("h_count 4\n", "h_count 4\n# HELP a_total x\n# TYPE a_total counter\na_total 1\n", "comes twice"),
        ("h_count 4\n", "h_count 4\n# HELP b x\n# TYPE b gauge\n", "b has no samples"),
        (
            "h_count 4\n",
            "h_count 4\n# HELP b_total x\n# TYPE b_total gauge\nb_total 1\n",
            "says something else",
        ),
        ("p=\"1\"", "p=\"0\"", "a series twice"),
        ("p=\"1\"", "q=\"1\"", "different labels"),
        ("{p=\"1\"}", "", "different labels"),
        ("p=\"1\"", "p=\"1\",p=\"2\"", "not a sample"),
        ("p=\"1\"", "p=\"1\",", "not a sample"),
        ("p=\"1\"", "p=1", "not a sample"),
        ("p=\"1\"", "1p=\"1\"", "not a sample"),
        ("p=\"1\"", "__p=\"1\"", "not a sample"),
        ("p=\"1\"", "p=\"\\1\"", "not a sample"),
        ("p=\"1\"", "le=\"1\"", "not of the counter"),
        (" 2.5e3", " inf", "not a sample"),
        (" 2.5e3", " 1 2", "not a sample"),
        (" 2.5e3", "", "not a sample"),
        (" 2.5e3", " NaN", "a_total counts NaN"),
        (" 2.5e3", " -1", "a_total counts -1"),
        ("h_sum 5.5\n", "", "no _sum"),
        ("h_count 4\n", "", "no _count"),
        ("h_count 4\n", "h_count 5\n", "counts 5"),
        ("h_bucket{le=\"+Inf\"} 4\n", "", "no bucket up to +Inf"),
        ("le=\"2\"} 1", "le=\"2\"} 0", "0 up to 2, but 1 up to 0.1"),
        ("le=\"2\"", "le=\"0.01\"", "the bound 0.01 after 0.1"),
        ("le=\"2\"", "le=\"inf\"", "a bound \"inf\""),
    ] {
        assert!(GOOD.contains(good));
        let why = parse(&GOOD.replacen(good, bad, 1)).expect_err(bad);
        assert!(why.contains(complaint), "{bad:?}: {why}");
    }
}

#[test]
fn what_goes_back_is_found() {
    let page = |text: &str| parse(text).unwrap();
    let good = page(GOOD);
    assert_eq!(gone_back(&good, &good), [""; 0]);
    assert_eq!(gone_back(&good, &page(&GOOD.replace("2.5e3", "2501"))), [""; 0]);
    for (from, to) in [("2.5e3", "2499"), ("_sum 5.5", "_sum 5"), ("le=\"2\"} 1", "le=\"3\"} 1")] {
        assert_eq!(gone_back(&good, &page(&GOOD.replace(from, to))).len(), 1, "{from} to {to}");
    }
}
