//! The same programs in Go, under its own tracer: what is read of it goes to `io.Discard`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Extent;
use crate::rounds::{Rounds, Sort};
use crate::table::{Table, median, percent, progress};
use crate::workloads::{PING_PONG, TASKS, YIELD};

pub(crate) fn measure(extent: &Extent) -> io::Result<()> {
    let go = Go::build()?;
    let mut rows = Vec::new();
    for (workload, theirs) in [(&PING_PONG, "ping-pong"), (&YIELD, "gosched"), (&TASKS, "tasks")] {
        let rounds = Rounds::of(workload, 1, extent)?;
        let off = rounds.median(Sort::Off, |sample| sample.ns);
        for (who, sort) in
            [("gmprt, flight recorder", Sort::Flight), ("gmprt, stop when full", Sort::Collect)]
        {
            let on = rounds.median(sort, |sample| sample.ns);
            rows.push(row(workload.name, who, off, on));
        }
        if let Some(go) = &go {
            let mut samples = [Vec::new(), Vec::new()];
            for round in 0..extent.rounds {
                progress(&format!("{theirs} in Go: round {} of {}", round + 1, extent.rounds));
                for turn in 0..2 {
                    let on = (round + turn) % 2;
                    samples[on].push(go.run(theirs, on == 1, extent.quick)?);
                }
            }
            let [off, on] = samples.map(median);
            rows.push(row(workload.name, &go.version, off, on));
        }
    }
    let mut notes = vec!["an operation of the ping-pong is there and back".to_owned()];
    if go.is_none() {
        notes.push("there is no `go` on the PATH".to_owned());
    }
    let columns = vec!["one P", "runtime", "ns off", "ns on", "more", ""];
    Table { title: "go: an operation, without and with a trace".into(), columns, rows, notes }.print()
}

fn row(name: &str, who: &str, off: f64, on: f64) -> Vec<String> {
    let (more, share) = (format!("{:+.1}", on - off), percent(off, on));
    vec![name.to_owned(), who.to_owned(), format!("{off:.1}"), format!("{on:.1}"), more, share]
}

/// The built program of `benches/go/trace`.
struct Go {
    program: PathBuf,
    version: String,
}

impl Go {
    /// Builds it; `None` if there is no `go` to do it with.
    fn build() -> io::Result<Option<Go>> {
        progress("go build");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        std::fs::create_dir_all(&folder)?;
        let program = folder.join("go-trace");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/go/trace");
        let mut build = Command::new("go");
        build.arg("build").arg("-o").arg(&program).arg(".").current_dir(sources);
        // It has no dependencies: nothing is to be fetched, no other toolchain either.
        match build.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod").env("GOPROXY", "off").status() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
            Ok(ended) if !ended.success() => {
                return Err(io::Error::other(format!("`go build` failed: {ended}")));
            }
            Ok(_) => {}
        }
        let mut go = Go { program, version: String::new() };
        go.version = go.output(&["-version"])?.trim().to_owned();
        Ok(Some(go))
    }

    /// Nanoseconds an operation, in a process of its own, which warms itself up.
    fn run(&self, name: &str, traced: bool, quick: bool) -> io::Result<f64> {
        let traced = format!("-trace={traced}");
        let times = if quick { "-times=100" } else { "-times=0" };
        let text = self.output(&[&traced, times, name])?;
        text.trim().parse().map_err(|_| io::Error::other(format!("go-trace printed {text:?}")))
    }

    fn output(&self, args: &[&str]) -> io::Result<String> {
        let output = Command::new(&self.program).args(args).env("GOMAXPROCS", "1").output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("go-trace {args:?}: {}: {said}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
