//! `--go`: the same workloads as Go programs, run by turns with ours.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::compare::{self, Run};

/// The built program of `benches/go/channel`.
pub(crate) struct Go(PathBuf);

impl Go {
    /// Builds it; `None` if there is no `go` to do it with.
    pub(crate) fn build() -> io::Result<Option<Go>> {
        let program = compare::folder()?.join("go-channel");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/go/channel");
        let mut build = Command::new("go");
        build.arg("build").arg("-o").arg(&program).arg(".").current_dir(sources);
        // It has no dependencies: nothing is to be fetched, no other toolchain either.
        match build.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod").env("GOPROXY", "off").status() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
            Ok(ended) if ended.success() => Ok(Some(Go(program))),
            Ok(ended) => Err(io::Error::other(format!("`go build` failed: {ended}"))),
        }
    }

    /// The names of its workloads.
    pub(crate) fn cells(&self) -> io::Result<Vec<String>> {
        Ok(self.output(1, &["-list"])?.lines().map(str::to_owned).collect())
    }

    /// A workload in a process of its own, which warms itself up.
    pub(crate) fn run(&self, cell: &'static str, procs: u32) -> Run<'_> {
        Box::new(move |times| {
            let text = self.output(procs, &["-times", &times.to_string(), cell])?;
            let ns = text.trim().rsplit(' ').next().and_then(|ns| ns.parse::<f64>().ok());
            let ns = ns.ok_or_else(|| io::Error::other(format!("go-channel printed {text:?}")))?;
            Ok(Duration::from_secs_f64(ns * times as f64 / 1e9))
        })
    }

    fn output(&self, procs: u32, args: &[&str]) -> io::Result<String> {
        let output = Command::new(&self.0).args(args).env("GOMAXPROCS", procs.to_string()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("go-channel {args:?}: {}: {said}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
