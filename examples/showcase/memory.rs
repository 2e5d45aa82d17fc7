//! How much memory this process holds, from `/proc/self/status`.

/// Resident anonymous memory in bytes (`RssAnon`): heap and stacks, without the pages of code, which grow when a
/// function first runs. 0 where `/proc` is missing.
///
/// The allocator keeps freed memory, so a run that needs no more than an earlier one shows no growth. That is what
/// the figure is for: it tells whether memory follows the number of items.
pub(crate) fn private_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix("kB"));
    kib.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}
