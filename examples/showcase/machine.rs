//! Where it is measured: the machine and the versions, from `/proc`, `Cargo.lock` and the programs themselves.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::SystemTime;

use crate::results::Machine;

/// The versions that this program was built with.
const LOCK: &str = include_str!("../../Cargo.lock");

/// What could not be found out.
const UNKNOWN: &str = "unknown";

/// This machine, now. `go` is Go's version, if there is Go.
pub(crate) fn describe(go: Option<&str>) -> Machine {
    let version = |name: &str, version: String| (name.to_owned(), version);
    let mut versions = vec![
        version("gmprt", env!("CARGO_PKG_VERSION").to_owned()),
        version("tokio", locked("tokio", LOCK)),
        version("async-channel", locked("async-channel", LOCK)),
    ];
    // Which compiler built this program, it does not know. The one found now is the one, if Cargo started the program.
    versions.extend(rustc().map(|found| version("rustc on PATH", found)));
    versions.extend(go.map(|found| version("Go", found.to_owned())));
    Machine {
        cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| UNKNOWN.to_owned()),
        cores: thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory_bytes(),
        kernel: kernel(),
        versions,
        when: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
    }
}

/// The version that a lock file gives for a package.
fn locked(package: &str, lock: &str) -> String {
    let name = format!("name = \"{package}\"");
    let version = lock.lines().skip_while(|&line| line != name).nth(1);
    let version = version.and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.unwrap_or(UNKNOWN).to_owned()
}

/// "1.90.0 (1159e78c4 2025-09-14)".
fn rustc() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().strip_prefix("rustc ")?.to_owned())
}

/// 0 if unknown.
fn memory_bytes() -> u64 {
    let total = field("/proc/meminfo", "MemTotal");
    let kib = total.and_then(|text| text.strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn kernel() -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok();
    match (read("ostype"), read("osrelease")) {
        (Some(kind), Some(release)) => format!("{} {}", kind.trim(), release.trim()),
        _ => UNKNOWN.to_owned(),
    }
}

/// What follows `name:` in the first line of a file that begins so.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}
