//! Finds Go and builds the programs under `examples/go/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Go, ready to run.
pub(crate) struct Go {
    /// Where the programs lie, each named as its scenario.
    pub(crate) programs: PathBuf,
    /// "go1.27.3".
    pub(crate) version: String,
}

/// Builds the programs into `folder`. Nothing is fetched: they need only Go's own library, and Go is told to take itself
/// as it is. An error is one sentence.
pub(crate) fn build(folder: &Path) -> Result<Go, String> {
    let version = command(&["env", "GOVERSION"])?;
    let programs = folder.join("go");
    std::fs::create_dir_all(&programs).map_err(|e| format!("cannot make {}: {e}", programs.display()))?;
    let into = format!("{}/", programs.display());
    // Not with the commit's number: where git refuses to tell it (a clone that belongs to another user), so does the build.
    command(&["build", "-buildvcs=false", "-o", &into, "./token", "./fan", "./log"])?;
    Ok(Go { programs, version })
}

fn command(args: &[&str]) -> Result<String, String> {
    let output = Command::new("go")
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/go"))
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .env("GOWORK", "off") // no workspace in a folder above
        .env("GOFLAGS", "") // no -race: what is measured is built as Go builds by itself
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => "go is not on the PATH".to_owned(),
            _ => format!("cannot run go: {e}"),
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.lines().find(|line| !line.starts_with('#')).unwrap_or("no reason given");
    Err(format!("go {} failed: {reason}", args[0]))
}
