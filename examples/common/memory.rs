//! How much memory a process holds, from `/proc/<pid>/status`.

/// Resident anonymous memory in bytes (`RssAnon`): heap and stacks, without the pages of code, which grow when a
/// function first runs. 0 where `/proc` is missing, or the process has gone.
pub(crate) fn private_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix("kB"));
    kib.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
