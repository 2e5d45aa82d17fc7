//! The showcase as its users meet it: what it prints, what it refuses, and that it notices what is lost.
//!
//! Its figures are not looked at: a busy machine changes them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the showcase, which cargo builds if it is not.
fn showcase(args: &[&str]) -> Output {
    Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", "showcase", "--"])
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn all_scenarios_add_up_on_both_runtimes() {
    let run = showcase(&[
        "--seconds",
        "0.4",
        "--rounds",
        "1",
        "--runtime",
        "gmprt,tokio",
        "--workers",
        "1,3",
        "--json",
    ]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let results: Value = serde_json::from_slice(&run.stdout).expect("one JSON document, and nothing else");
    let cells = results["cells"].as_array().unwrap();
    let scenarios: Vec<&str> = cells.iter().map(|cell| cell["scenario"].as_str().unwrap()).collect();
    assert_eq!(scenarios, ["token", "token", "fan", "fan", "fan", "fan", "log"]);
    for cell in cells {
        let rows = cell["rows"].as_array().unwrap();
        let runtimes: Vec<&str> = rows.iter().map(|row| row["runtime"].as_str().unwrap()).collect();
        assert_eq!(runtimes, ["gmprt", "tokio"]);
        assert!(rows.iter().all(|row| row["throughput"].as_f64().unwrap() > 0.0), "{cell}");
    }
    let log = &cells[6]["rows"][0]["counts"];
    assert_eq!((&log["sent"], &log["unwritten"]), (&log["written"], &Value::from(0)));
    assert_eq!(results["failures"], Value::Array(vec![]));
    let report = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/showcase/report.html");
    assert!(std::fs::read_to_string(&report).unwrap().contains("</html>"));
    assert!(text(&run.stderr).contains(&*report.to_string_lossy()), "its name is printed");
}

#[test]
fn progress_is_whole_lines_where_nobody_watches() {
    let run = showcase(&[
        "--scenario",
        "fan",
        "--items",
        "2000",
        "--workers",
        "1,2",
        "--rounds",
        "1",
        "--runtime",
        "gmprt",
    ]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let progress = text(&run.stderr);
    assert!(
        !progress.contains('\r') && !progress.contains('\x1b') && progress.ends_with('\n'),
        "{progress:?}"
    );
    assert!(progress.contains("round 1 of 1"), "{progress}");
    let table = text(&run.stdout);
    assert!(table.contains("throughput") && table.contains("saturates with 1 producer: gmprt "), "{table}");
}

#[test]
fn a_full_disk_is_an_error_that_counts_the_lines() {
    let log = ["--scenario", "log", "--log-file", "/dev/full", "--seconds", "0.3", "--rounds", "1"];
    let run = showcase(&[&log[..], &["--runtime", "gmprt,tokio", "--json"]].concat());
    assert_eq!(run.status.code(), Some(1), "{}", text(&run.stderr));
    let results: Value = serde_json::from_slice(&run.stdout).expect("the figures are told all the same");
    for row in results["cells"][0]["rows"].as_array().unwrap() {
        let (sent, unwritten) = (&row["counts"]["sent"], &row["counts"]["unwritten"]);
        assert!(sent.as_u64() > Some(0), "the producers are unharmed");
        assert_eq!(sent, unwritten);
    }
    let failures = results["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 2, "one for each runtime");
    for failure in failures {
        assert!(failure.as_str().unwrap().contains("No space left on device"), "{failure}");
        assert!(text(&run.stderr).contains(failure.as_str().unwrap()));
    }
}

#[test]
fn what_cannot_be_is_refused_with_exit_code_2() {
    let refused: [&[&str]; 9] = [
        &["--seconds", "0"],
        &["--seconds", "nan"],
        &["--scenario", "tea"],
        &["--runtime", "none"],
        &["--workers", "0"],
        &["--producers", ""],
        &["--items", "-1"],
        &["--rounds", "0"],
        &["extra"],
    ];
    for args in refused {
        let run = showcase(args);
        assert_eq!(run.status.code(), Some(2), "{args:?}");
        assert!(text(&run.stderr).starts_with("error: "), "{args:?}: {}", text(&run.stderr));
        assert!(run.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let log = ["--scenario", "log", "--seconds", "0.1", "--rounds", "1", "--runtime", "gmprt"];
    let run = showcase(&[&log[..], &["--log-file", "/nowhere/to/be/found.txt"]].concat());
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run.stderr).contains("/nowhere/to/be/found.txt"), "{}", text(&run.stderr));
    assert!(!text(&run.stderr).contains("panicked"), "{}", text(&run.stderr));
}

/// "Each core in twelve lines or fewer": from the line after `async fn` to the one before its closing brace.
#[test]
fn each_core_is_twelve_lines_or_fewer() {
    let mut cores = 0;
    for scenario in ["token", "fan", "log"] {
        for runtime in ["gmprt.rs", "tokio.rs"] {
            let path =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/showcase").join(scenario).join(runtime);
            let source = std::fs::read_to_string(&path).unwrap();
            let mut lines = source.lines();
            while lines.any(|line| line.starts_with("pub(super) async fn")) {
                let long =
                    lines.by_ref().take_while(|&line| line != "}").filter(|l| !l.trim().is_empty()).count();
                assert!((1..=12).contains(&long), "{}: a core of {long} lines", path.display());
                cores += 1;
            }
        }
    }
    assert!(cores >= 6, "{cores} cores found");
}
