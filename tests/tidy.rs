//! Keeps the house: what the compiler does not check about how this code is laid out and explained.
//!
//! Each check is a function from a set of files to a list of complaints. It has one test that holds it against the real
//! tree, and one that feeds it a bad snippet and sees it complain: a check that cannot fail is no check.
//!
//! **A new file in `runtime/` needs two lines**: one in [`FLOORS`] here, one in `docs/READING.md`.
//!
//! There is no parser here, on purpose: comments and strings are blanked out, and what is left is read word by word.
//! Macros that expand to modules, and imports through a renamed crate, are not understood, and not used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The floors of the runtime, lowest first. A file may import from its own floor and from those below.
const FLOORS: &[(u8, &str)] = &[
    // 0: the system, and std or loom
    (0, "runtime/sys/affinity.rs"),
    (0, "runtime/sys/clock.rs"),
    (0, "runtime/sys/counter.rs"),
    (0, "runtime/sys/exit.rs"),
    (0, "runtime/sys/ticks.rs"),
    (0, "runtime/sys/membarrier.rs"),
    (0, "runtime/sys/mod.rs"),
    (0, "runtime/sys/parker.rs"),
    (0, "runtime/sys/primitive.rs"),
    (0, "runtime/sys/thread.rs"),
    // 1: pure: decisions, queues and tables
    (1, "runtime/names.rs"),
    (1, "runtime/policy/find.rs"),
    (1, "runtime/policy/mod.rs"),
    (1, "runtime/policy/pace.rs"),
    (1, "runtime/policy/retake.rs"),
    (1, "runtime/policy/tuning.rs"),
    (1, "runtime/queue/heap.rs"),
    (1, "runtime/queue/injector.rs"),
    (1, "runtime/queue/mod.rs"),
    (1, "runtime/queue/ring.rs"),
    (1, "runtime/queue/victims.rs"),
    (1, "runtime/trace/config.rs"),
    (1, "runtime/trace/record.rs"),
    (1, "runtime/trace/recorder.rs"),
    (1, "runtime/trace/recording.rs"),
    (1, "runtime/trace/ring.rs"),
    (1, "runtime/look.rs"),
    (1, "runtime/reason.rs"),
    // 2: the cell: one task, and what a handle on it can answer
    (2, "runtime/cell/join.rs"),
    (2, "runtime/cell/mod.rs"),
    (2, "runtime/cell/raw.rs"),
    (2, "runtime/cell/slab.rs"),
    (2, "runtime/cell/stage.rs"),
    (2, "runtime/cell/state.rs"),
    (2, "runtime/cell/waker.rs"),
    (2, "runtime/error.rs"),
    // 3: drivers: the outside world
    (3, "runtime/poller.rs"),
    (3, "runtime/timers.rs"),
    // 4: the scheduler
    (4, "runtime/sched/ask.rs"),
    (4, "runtime/sched/bedtime.rs"),
    (4, "runtime/sched/block_on.rs"),
    (4, "runtime/sched/blocking.rs"),
    (4, "runtime/sched/chain.rs"),
    (4, "runtime/sched/current.rs"),
    (4, "runtime/sched/idle.rs"),
    (4, "runtime/sched/ids.rs"),
    (4, "runtime/sched/join.rs"),
    (4, "runtime/sched/lease.rs"),
    (4, "runtime/sched/lists.rs"),
    (4, "runtime/sched/machine.rs"),
    (4, "runtime/sched/mod.rs"),
    (4, "runtime/sched/permits.rs"),
    (4, "runtime/sched/preempt.rs"),
    (4, "runtime/sched/processor.rs"),
    (4, "runtime/sched/ready.rs"),
    (4, "runtime/sched/retake.rs"),
    (4, "runtime/sched/revoker.rs"),
    (4, "runtime/sched/schedule.rs"),
    (4, "runtime/sched/seat.rs"),
    (4, "runtime/sched/shutdown.rs"),
    (4, "runtime/sched/sources.rs"),
    (4, "runtime/sched/sysmon.rs"),
    (4, "runtime/sched/looking.rs"),
    (4, "runtime/sched/tally.rs"),
    (4, "runtime/sched/threads.rs"),
    (4, "runtime/sched/timing.rs"),
    (4, "runtime/sched/tracing.rs"),
    (4, "runtime/sched/watch.rs"),
    (4, "runtime/sched/yield_now.rs"),
    // 5: what tasks use
    (5, "runtime/chan/error.rs"),
    (5, "runtime/chan/mod.rs"),
    (5, "runtime/chan/feed.rs"),
    (5, "runtime/chan/order.rs"),
    (5, "runtime/chan/queue.rs"),
    (5, "runtime/chan/receiver.rs"),
    (5, "runtime/chan/select.rs"),
    (5, "runtime/chan/sender.rs"),
    (5, "runtime/chan/shared.rs"),
    (5, "runtime/chan/snapshot.rs"),
    (5, "runtime/chan/waiting.rs"),
    (5, "runtime/context/after_func.rs"),
    (5, "runtime/context/cancel.rs"),
    (5, "runtime/context/deadline.rs"),
    (5, "runtime/context/done.rs"),
    (5, "runtime/context/mod.rs"),
    (5, "runtime/context/tree.rs"),
    (5, "runtime/group/joining.rs"),
    (5, "runtime/group/member.rs"),
    (5, "runtime/group/mod.rs"),
    (5, "runtime/group/outcome.rs"),
    (5, "runtime/group/wait.rs"),
    (5, "runtime/spawn_blocking.rs"),
    (5, "runtime/sync/barrier.rs"),
    (5, "runtime/sync/blocking.rs"),
    (5, "runtime/sync/cond.rs"),
    (5, "runtime/sync/mod.rs"),
    (5, "runtime/sync/mutex.rs"),
    (5, "runtime/sync/notify.rs"),
    (5, "runtime/sync/once.rs"),
    (5, "runtime/sync/pool.rs"),
    (5, "runtime/sync/pool/shard.rs"),
    (5, "runtime/sync/raw_mutex.rs"),
    (5, "runtime/sync/rwlock.rs"),
    (5, "runtime/sync/rwlock/raw.rs"),
    (5, "runtime/sync/semaphore.rs"),
    (5, "runtime/sync/semaphore/error.rs"),
    (5, "runtime/sync/semaphore/line.rs"),
    (5, "runtime/sync/semaphore/permit.rs"),
    (5, "runtime/sync/wait_group.rs"),
    (5, "runtime/sync/wait_list.rs"),
    (5, "runtime/sync/wait_queue.rs"),
    (5, "runtime/sync/wake_batch.rs"),
    (5, "runtime/time/after.rs"),
    (5, "runtime/time/after_func.rs"),
    (5, "runtime/time/mod.rs"),
    (5, "runtime/time/sleep.rs"),
    (5, "runtime/time/ticker.rs"),
    (5, "runtime/time/timeout.rs"),
    // 6: the face
    (6, "runtime/dump.rs"),
    (6, "runtime/lib.rs"),
    (6, "runtime/builder.rs"),
    (6, "runtime/metrics.rs"),
    (6, "runtime/runtime.rs"),
    (6, "runtime/schedtrace.rs"),
    (6, "runtime/schedtrace/line.rs"),
    (6, "runtime/sigquit.rs"),
    (6, "runtime/trace/chrome.rs"),
    (6, "runtime/trace/env.rs"),
    (6, "runtime/trace/merge.rs"),
    (6, "runtime/trace/mod.rs"),
    (6, "runtime/trace/report/error.rs"),
    (6, "runtime/trace/report/event.rs"),
    (6, "runtime/trace/report/feed.rs"),
    (6, "runtime/trace/report/figures.rs"),
    (6, "runtime/trace/report/mod.rs"),
    (6, "runtime/trace/report/print.rs"),
    (6, "runtime/trace/report/scan.rs"),
    (6, "runtime/trace/report/sum.rs"),
    (6, "runtime/trace/report/table.rs"),
    (6, "runtime/trace/report/tally.rs"),
    (6, "runtime/trace/sink.rs"),
    (6, "runtime/trace/sink/gz.rs"),
    (6, "runtime/trace/sink/target.rs"),
    (6, "runtime/trace/stream.rs"),
    (6, "runtime/trace/timeline.rs"),
    (6, "runtime/trace/timeline/opening.rs"),
    (6, "runtime/trace/timeline/apply.rs"),
    (6, "runtime/trace/timeline/clock.rs"),
    (6, "runtime/trace/timeline/counters.rs"),
    (6, "runtime/trace/timeline/processor.rs"),
    (6, "runtime/trace/timeline/tasks.rs"),
    (6, "runtime/trace/timeline/thread.rs"),
    (6, "runtime/trace/timeline/threads.rs"),
    (6, "runtime/trace/tracer.rs"),
    (6, "runtime/task_builder.rs"),
];

/// Where SeqCst may stand: the files in which a protocol of two fences lives, and those that provide fences.
const SEQCST: &[&str] = &[
    "runtime/sched/bedtime.rs",
    "runtime/sched/idle.rs",
    "runtime/sched/lease.rs",
    "runtime/sched/shutdown.rs",
    "runtime/sys/membarrier.rs",
    "runtime/sys/primitive.rs",
];

/// A file longer than this says why at its head, in a line that starts with `//! Length:`.
const MAX_LINES: usize = 400;

// ---- The real tree ----

#[test]
fn imports_run_downward() {
    clean(imports_upward(&tree(&["runtime"]), FLOORS));
}

#[test]
fn each_file_is_declared_as_a_module() {
    clean(orphans(&tree(&["runtime"])));
}

#[test]
fn each_file_stands_once_in_the_reading_order() {
    clean(reading_order(&tree(&["runtime"]), &read("docs/READING.md")));
}

#[test]
fn long_files_say_why() {
    clean(too_long(&tree(&["runtime"])));
}

#[test]
fn each_atomic_access_explains_its_ordering() {
    clean(unexplained_orderings(&tree(&["runtime"])));
}

#[test]
fn each_unsafe_block_has_a_safety_comment() {
    clean(unsafe_without_safety(&tree(&["runtime"])));
}

#[test]
fn unsafe_stands_only_where_the_module_is_declared_so() {
    clean(undeclared_unsafe(&tree(&["runtime"])));
}

#[test]
fn seqcst_stands_only_where_the_protocol_lives() {
    clean(stray_seqcst(&tree(&["runtime"]), SEQCST));
}

#[test]
fn nothing_is_left_unfinished() {
    clean(unfinished(&tree(&["runtime", "examples"])));
}

#[test]
fn no_test_sleeps_without_a_reason() {
    clean(sleeps(&tree(&["tests"])));
}

#[test]
fn each_dependency_says_why_it_is_there() {
    clean(bare_dependencies(&read("Cargo.toml")));
}

#[test]
fn paths_in_the_docs_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = files_under(root, "docs", "md");
    pages.insert("README.md".to_owned(), read("README.md"));
    clean(dead_paths(&pages, |path| root.join(path).exists()));
}

#[test]
fn the_readme_shows_the_first_example() {
    clean(other_program(&read("README.md"), &read("examples/hello.rs")));
}

/// Path from the root of the package → text.
type Files = BTreeMap<String, String>;

fn clean(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn read(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&full).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// All Rust files under these folders.
fn tree(folders: &[&str]) -> Files {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Files::new();
    for folder in folders {
        let found = files_under(root, folder, "rs");
        assert!(!found.is_empty(), "no Rust file under {folder}/: the check would check nothing");
        files.extend(found);
    }
    files
}

fn files_under(root: &Path, folder: &str, extension: &str) -> Files {
    let mut files = Files::new();
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        return files;
    };
    for entry in entries {
        let entry = entry.expect("a folder that can be listed");
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("a file name in UTF-8"));
        if entry.path().is_dir() {
            files.extend(files_under(root, &path, extension));
        } else if entry.path().extension().is_some_and(|e| e == extension) {
            files.insert(path.clone(), fs::read_to_string(entry.path()).expect("a text file"));
        }
    }
    files
}

// ---- The checks ----

/// (a) Imports run downward through the floors, and every file has a floor.
fn imports_upward(files: &Files, floors: &[(u8, &str)]) -> Vec<String> {
    let floor_of: BTreeMap<&str, u8> = floors.iter().map(|&(floor, path)| (path, floor)).collect();
    let tests = test_files(files);
    let mut complaints = Vec::new();
    for (path, text) in files {
        if tests.contains(path) {
            continue;
        }
        let Some(&own) = floor_of.get(path.as_str()) else {
            complaints.push(format!("{path}: on no floor; add a line to FLOORS in tests/tidy.rs"));
            continue;
        };
        let code = production(&blank(text));
        for import in imports(&code, &module_path(path)) {
            let target = file_of(&import.path, files);
            match floor_of.get(target.as_str()) {
                Some(&floor) if floor > own => complaints.push(format!(
                    "{path}:{}: floor {own} imports `{}` from {target} on floor {floor}",
                    import.line,
                    import.path.join("::")
                )),
                _ => {} // a target without a floor is reported as a file
            }
        }
    }
    for path in floor_of.keys().filter(|path| !files.contains_key(**path)) {
        complaints.push(format!("FLOORS in tests/tidy.rs lists {path}, which does not exist"));
    }
    complaints
}

/// A file that no `mod` names is not compiled, and nobody notices.
fn orphans(files: &Files) -> Vec<String> {
    let declared: BTreeSet<String> =
        declarations(files).into_iter().map(|declaration| declaration.file).collect();
    files
        .keys()
        .filter(|path| *path != "runtime/lib.rs" && !declared.contains(*path))
        .map(|path| format!("{path}: no `mod` declares it, so it is not compiled"))
        .collect()
}

/// (b) The reading order names every file exactly once, and no file that does not exist.
fn reading_order(files: &Files, page: &str) -> Vec<String> {
    let named = backticked(page);
    let mut complaints = Vec::new();
    for path in files.keys() {
        match named.iter().filter(|(_, name)| name == path).count() {
            1 => {}
            0 => complaints.push(format!("{path} is missing from docs/READING.md")),
            n => complaints.push(format!("{path} stands {n} times in docs/READING.md")),
        }
    }
    for (line, name) in &named {
        if name.starts_with("runtime/") && name.ends_with(".rs") && !files.contains_key(name) {
            complaints.push(format!("docs/READING.md:{line}: {name} does not exist"));
        }
    }
    complaints
}

/// (c) A long file says why.
fn too_long(files: &Files) -> Vec<String> {
    let excused = |text: &str| text.lines().take(30).any(|line| line.starts_with("//! Length:"));
    files
        .iter()
        .filter(|(_, text)| text.lines().count() > MAX_LINES && !excused(text))
        .map(|(path, text)| {
            let n = text.lines().count();
            format!("{path}: {n} lines; split it, or say why in a line `//! Length: …` at its head")
        })
        .collect()
}

const ORDERINGS: &[&str] = &["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// (d) Each ordering has an `// Ordering:` comment on its line or in the 8 lines above. A fence may bear the name of its
/// pair (`FENCE-…`) instead: the proof stands where the name is explained.
fn unexplained_orderings(files: &Files) -> Vec<String> {
    let tests = test_files(files);
    let mut complaints = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| !tests.contains(*path)) {
        let code = without_uses(&production(&blank(text)));
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in code.lines().enumerate() {
            let Some(ordering) = words(line).find(|word| ORDERINGS.contains(word)) else {
                continue;
            };
            let a_fence = words(line).any(|word| word == "fence" || word == "compiler_fence");
            if a_fence && comment_near(&lines, at, 8, "FENCE-") {
                continue;
            }
            if !comment_near(&lines, at, 8, "Ordering: ") {
                complaints.push(format!("{path}:{}: {ordering} without an `// Ordering:` line", at + 1));
            }
        }
    }
    complaints
}

/// (e) Each `unsafe` block or impl has a `SAFETY` comment in the 6 lines above.
fn unsafe_without_safety(files: &Files) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in files {
        let code = blank(text);
        let lines: Vec<&str> = text.lines().collect();
        for (at, kind) in unsafe_uses(&code) {
            if matches!(kind, "{" | "impl") && !comment_near(&lines, at, 6, "SAFETY") {
                complaints.push(format!("{path}:{}: `unsafe {kind}` without `// SAFETY:`", at + 1));
            }
        }
    }
    complaints
}

/// (e) A file that holds `unsafe` is declared with `#[expect(unsafe_code, reason = "…")]`, so the list of such files
/// can be read off the module declarations.
fn undeclared_unsafe(files: &Files) -> Vec<String> {
    let tests = test_files(files);
    let allowed: BTreeSet<String> = declarations(files)
        .into_iter()
        .filter(|declaration| declaration.attributes.contains("expect(unsafe_code"))
        .map(|declaration| declaration.file)
        .collect();
    let mut complaints = Vec::new();
    for (path, text) in files {
        if allowed.contains(path) || tests.contains(path) {
            continue;
        }
        for (at, _) in unsafe_uses(&production(&blank(text))) {
            complaints.push(format!(
                "{path}:{}: `unsafe` in a file whose `mod` has no `#[expect(unsafe_code, …)]`",
                at + 1
            ));
        }
    }
    complaints
}

/// (f) SeqCst only in the files of the list.
fn stray_seqcst(files: &Files, allowed: &[&str]) -> Vec<String> {
    let tests = test_files(files);
    let mut complaints = Vec::new();
    for (path, text) in files {
        if tests.contains(path) || allowed.contains(&path.as_str()) {
            continue;
        }
        for (at, line) in production(&blank(text)).lines().enumerate() {
            if words(line).any(|word| word == "SeqCst") {
                complaints.push(format!("{path}:{}: SeqCst outside the files of SEQCST", at + 1));
            }
        }
    }
    complaints
}

/// (g) No unfinished code, no note to self, no test that is switched off.
fn unfinished(files: &Files) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in files {
        for (at, (line, code)) in text.lines().zip(blank(text).lines()).enumerate() {
            let code: String = code.split_whitespace().collect();
            for sign in ["todo!", "unimplemented!", "#[ignore"] {
                if code.contains(sign) {
                    complaints.push(format!("{path}:{}: `{sign}`", at + 1));
                }
            }
            for sign in ["FIXME", "XXX"] {
                if words(line).any(|word| word == sign) {
                    complaints.push(format!("{path}:{}: {sign}", at + 1));
                }
            }
        }
    }
    complaints
}

/// (g) A test waits for what it waits for; where it must sleep, the line says why.
fn sleeps(files: &Files) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in files {
        for (at, (line, code)) in text.lines().zip(blank(text).lines()).enumerate() {
            if code.contains("thread::sleep") && !line.contains("// sleep: ") {
                complaints.push(format!("{path}:{}: sleeps without a `// sleep: <reason>`", at + 1));
            }
        }
    }
    complaints
}

/// (h) Each dependency has a comment above it.
fn bare_dependencies(manifest: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut inside = false;
    let mut above = "";
    for (at, line) in manifest.lines().enumerate() {
        let complain = || format!("Cargo.toml:{}: no comment above `{line}`", at + 1);
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end().trim_end_matches(']');
            inside = section.ends_with("dependencies");
            if section.contains("dependencies.") && !above.starts_with('#') {
                complaints.push(complain()); // [dependencies.name]
            }
        } else if inside
            && line.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '"')
            && !above.starts_with('#')
        {
            complaints.push(complain());
        }
        above = line;
    }
    complaints
}

/// (i) What a page names in backticks and what looks like a path of ours exists.
fn dead_paths(pages: &Files, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folders = ["runtime/", "tests/", "examples/", "benches/", "docs/", ".ci/"];
    let mut complaints = Vec::new();
    for (page, text) in pages {
        for (line, name) in backticked(text) {
            let ours = folders.iter().any(|folder| name.starts_with(folder));
            let one_path = !name.contains(|c: char| c.is_whitespace() || "*{}<>…".contains(c));
            if ours && one_path && !exists(&name) {
                complaints.push(format!("{page}:{line}: `{name}` does not exist"));
            }
        }
    }
    complaints
}

/// The first program of the README is `examples/hello.rs`, which is compiled.
fn other_program(readme: &str, example: &str) -> Vec<String> {
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("//!")).map(str::to_owned).collect()
    };
    let shown =
        readme.split_once("```rust\n").and_then(|(_, rest)| rest.split_once("```")).map(|(block, _)| block);
    match shown {
        None => vec!["README.md shows no program".to_owned()],
        Some(shown) if shown.trim() != lines(example).join("\n").trim() => {
            vec!["the first program in README.md is not that of examples/hello.rs".to_owned()]
        }
        Some(_) => Vec::new(),
    }
}

// ---- Reading Rust ----

/// The text with comments, strings and character literals replaced by spaces. Lines stay lines, and every byte that
/// remains keeps its place.
fn blank(text: &str) -> String {
    let c: Vec<char> = text.chars().collect();
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < c.len() {
        let word_before = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
        let end = match at(i) {
            '/' if at(i + 1) == '/' => (i..c.len()).find(|&j| c[j] == '\n').unwrap_or(c.len()),
            '/' if at(i + 1) == '*' => end_of_block_comment(&c, i),
            '"' => end_of_string(&c, i),
            'r' | 'b' | 'c' if !word_before => match raw_string(&c, i) {
                Some(end) => end,
                None => i,
            },
            '\'' if at(i + 1) == '\\' => (i + 3..c.len()).find(|&j| c[j] == '\'').map_or(c.len(), |j| j + 1),
            '\'' if at(i + 2) == '\'' => i + 3,
            _ => i,
        };
        if end == i {
            out.push(c[i]);
            i += 1;
        } else {
            for &ch in &c[i..end] {
                match ch {
                    '\n' => out.push('\n'),
                    _ => out.extend(std::iter::repeat_n(' ', ch.len_utf8())),
                }
            }
            i = end;
        }
    }
    out
}

fn end_of_block_comment(c: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut i = start;
    while i + 1 < c.len() {
        match (c[i], c[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    c.len()
}

fn end_of_string(c: &[char], quote: usize) -> usize {
    let mut i = quote + 1;
    while i < c.len() {
        match c[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    c.len()
}

/// The end of a raw string that starts at `start` (`r"…"`, `br#"…"#`); `None` if there is none.
fn raw_string(c: &[char], start: usize) -> Option<usize> {
    let r = if c[start] == 'r' { start } else { start + 1 };
    if c.get(r) != Some(&'r') {
        return None;
    }
    let hashes = c[r + 1..].iter().take_while(|&&ch| ch == '#').count();
    if c.get(r + 1 + hashes) != Some(&'"') {
        return None;
    }
    let mut i = r + 2 + hashes;
    while i < c.len() {
        if c[i] == '"' && c[i + 1..].iter().take(hashes).filter(|&&ch| ch == '#').count() == hashes {
            return Some(i + 1 + hashes);
        }
        i += 1;
    }
    Some(c.len())
}

fn is_word(ch: char) -> bool {
    ch.is_alphanumeric() || ch == '_'
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|ch| !is_word(ch)).filter(|word| !word.is_empty())
}

/// A word of the code and where it starts.
fn words_at(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + code[from..].find(is_word)?;
        let end = code[start..].find(|ch| !is_word(ch)).map_or(code.len(), |n| start + n);
        from = end;
        Some((start, &code[start..end]))
    })
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Whether a `#[cfg(…)]` switches the item off outside of tests: it names `test`, and not within `not(…)`.
fn is_test_cfg(attribute: &str) -> bool {
    let attribute: String = attribute.split_whitespace().collect();
    attribute.contains("cfg(")
        && words(&attribute).any(|word| word == "test")
        && !attribute.contains("not(test")
}

/// Blanked code, without the items that are compiled for tests only.
fn production(code: &str) -> String {
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find("#[") {
        let start = from + found;
        let end = matching(&out, start + 1);
        if is_test_cfg(&out[start..end]) {
            let end = end_of_item(&out, end);
            let spaces: String =
                out[start..end].chars().map(|ch| if ch == '\n' { '\n' } else { ' ' }).collect();
            out.replace_range(start..end, &spaces);
            from = start + spaces.len();
        } else {
            from = end;
        }
    }
    out
}

/// The end of the bracket that opens at `open`, just behind its partner.
fn matching(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (i, ch) in code[open..].char_indices() {
        match ch {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return open + i + ch.len_utf8();
        }
    }
    code.len()
}

/// The end of the item, statement, field or match arm that starts behind an attribute.
fn end_of_item(code: &str, from: usize) -> usize {
    let mut i = from;
    loop {
        let rest = code[i..].trim_start();
        i = code.len() - rest.len();
        if !rest.starts_with("#[") {
            break;
        }
        i = matching(code, i + 1);
    }
    let items =
        ["use", "pub", "fn", "impl", "struct", "enum", "mod", "trait", "unsafe", "async", "const", "static"];
    let first = words(&code[i..]).next().unwrap_or("");
    let is_use = words(&code[i..]).take(4).any(|word| word == "use");
    let is_item = items.contains(&first);
    while i < code.len() {
        let ch = code[i..].chars().next().expect("in range");
        match ch {
            ';' => return i + 1,
            ',' if !is_item => return i + 1,
            ')' | ']' | '}' => return i, // the last of its list
            '{' if !is_use => return matching(code, i),
            '(' | '[' | '{' => i = matching(code, i),
            _ => i += ch.len_utf8(),
        }
    }
    code.len()
}

/// Blanked code without its `use` items, keeping the lines.
fn without_uses(code: &str) -> String {
    let mut out = code.to_owned();
    let uses: Vec<usize> = words_at(code).filter(|&(_, word)| word == "use").map(|(at, _)| at).collect();
    for at in uses {
        let end = out[at..].find(';').map_or(out.len(), |n| at + n);
        let spaces: String = out[at..end].chars().map(|ch| if ch == '\n' { '\n' } else { ' ' }).collect();
        if spaces.len() == end - at {
            out.replace_range(at..end, &spaces);
        }
    }
    out
}

/// Whether one of the `n` lines above line `at` (counted from 0), or that line, has a comment with `sign`.
fn comment_near(lines: &[&str], at: usize, n: usize, sign: &str) -> bool {
    lines[at.saturating_sub(n)..=at]
        .iter()
        .any(|line| line.find("//").is_some_and(|comment| format!("{} ", &line[comment..]).contains(sign)))
}

/// Where `unsafe` is used: the line (from 0) and what follows: `{`, `impl`, `fn`, `trait` or `extern`.
fn unsafe_uses(code: &str) -> Vec<(usize, &'static str)> {
    let mut uses = Vec::new();
    for (at, _) in words_at(code).filter(|&(_, word)| word == "unsafe") {
        let rest = code[at + "unsafe".len()..].trim_start();
        let kind = ["{", "impl", "fn", "trait", "extern"].into_iter().find(|kind| rest.starts_with(kind));
        let a_type = rest.strip_prefix("fn").is_some_and(|r| r.trim_start().starts_with('(')); // unsafe fn(…)
        if let Some(kind) = kind.filter(|_| !a_type) {
            uses.push((line_of(code, at) - 1, kind));
        }
    }
    uses
}

/// `mod name;`: the file it stands for, and its attributes.
struct Declaration {
    file: String,
    attributes: String,
    by: String,
}

impl Declaration {
    /// Whether the module is compiled only for tests, or only for loom's models.
    fn for_tests(&self) -> bool {
        let loom = self.attributes.contains("gmprt_loom") && !self.attributes.contains("not(gmprt_loom");
        is_test_cfg(&self.attributes) || loom
    }
}

fn declarations(files: &Files) -> Vec<Declaration> {
    let mut found = Vec::new();
    for (path, text) in files {
        let code = blank(text);
        for (at, _) in words_at(&code).filter(|&(_, word)| word == "mod") {
            let rest = &code[at + "mod".len()..];
            let Some((name, _)) = rest.split_once(';') else { continue };
            let name = name.trim();
            if name.is_empty() || name.contains(|ch| !is_word(ch)) {
                continue; // mod name { … }
            }
            let start = code[..at].rfind([';', '{', '}']).map_or(0, |n| n + 1);
            found.push(Declaration {
                file: declared_file(path, name, &text[start..at], files),
                attributes: code[start..at].split_whitespace().collect(),
                by: path.clone(),
            });
        }
    }
    found
}

/// The file of `mod name;` in the file `by`.
fn declared_file(by: &str, name: &str, attributes: &str, files: &Files) -> String {
    let here = by.rsplit_once('/').map_or("", |(folder, _)| folder);
    let named = attributes.split_once("#[path = \"").and_then(|(_, rest)| rest.split_once('"'));
    if let Some((path, _)) = named {
        let mut folder: Vec<&str> = here.split('/').collect();
        for part in path.split('/') {
            match part {
                ".." => drop(folder.pop()),
                "." => {}
                part => folder.push(part),
            }
        }
        return folder.join("/");
    }
    let inside = match by.rsplit('/').next() {
        Some("mod.rs" | "lib.rs") => here,
        _ => by.trim_end_matches(".rs"),
    };
    let flat = format!("{inside}/{name}.rs");
    if files.contains_key(&flat) { flat } else { format!("{inside}/{name}/mod.rs") }
}

/// The files that are compiled for tests or models only: all that declare them are such files, or say so.
fn test_files(files: &Files) -> BTreeSet<String> {
    let declarations = declarations(files);
    let declared: BTreeSet<&String> = declarations.iter().map(|declaration| &declaration.file).collect();
    let mut used: BTreeSet<&String> = files.keys().filter(|path| !declared.contains(path)).collect();
    loop {
        let before = used.len();
        for declaration in &declarations {
            if used.contains(&declaration.by) && !declaration.for_tests() {
                used.insert(&declaration.file);
            }
        }
        if used.len() == before {
            return files.keys().filter(|path| !used.contains(path)).cloned().collect();
        }
    }
}

/// `runtime/sched/idle.rs` → `["sched", "idle"]`.
fn module_path(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("runtime/").trim_end_matches(".rs");
    let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|name| name == "mod" || name == "lib") {
        names.pop();
    }
    names
}

/// The file in which the longest prefix of the path is a module.
fn file_of(path: &[String], files: &Files) -> String {
    for n in (1..=path.len()).rev() {
        let module = format!("runtime/{}", path[..n].join("/"));
        for file in [format!("{module}.rs"), format!("{module}/mod.rs")] {
            if files.contains_key(&file) {
                return file;
            }
        }
    }
    "runtime/lib.rs".to_owned()
}

/// A path into the crate, from its root, and its line.
struct Import {
    path: Vec<String>,
    line: usize,
}

/// All paths of the code that start with `crate`, `super` or `self`, or stand in a `use` and name a child module.
fn imports(code: &str, module: &[String]) -> Vec<Import> {
    let children: BTreeSet<&str> = words_at(code)
        .filter(|&(_, word)| word == "mod")
        .filter_map(|(at, _)| words(&code[at..]).nth(1))
        .collect();
    let mut found = Vec::new();
    let mut after_use = false;
    for (at, word) in words_at(code) {
        let starts_path = matches!(word, "crate" | "super" | "self") || after_use;
        after_use = word == "use";
        if !starts_path || code[..at].trim_end().ends_with("::") {
            continue;
        }
        let mut paths = Vec::new();
        use_tree(&code[at..], &[], &mut paths);
        for path in paths {
            let mut full = module_at(code, at, module);
            let mut rest = path.as_slice();
            match rest.first().map(String::as_str) {
                Some("crate") => {
                    full.clear();
                    rest = &rest[1..];
                    if rest.len() == 1 && rest[0].ends_with('!') {
                        continue; // a macro; where macros stand says nothing about floors
                    }
                }
                Some("self") => rest = &rest[1..],
                Some("super") => {}
                Some(first) if children.contains(first) => {}
                _ => continue, // another crate
            }
            while rest.first().is_some_and(|name| name == "super") {
                full.pop();
                rest = &rest[1..];
            }
            full.extend(rest.iter().cloned());
            if path.len() > 1 {
                found.push(Import { path: full, line: line_of(code, at) });
            }
        }
    }
    found
}

/// The module that the position is in: the file's, and the inline ones round it.
fn module_at(code: &str, at: usize, module: &[String]) -> Vec<String> {
    let mut full = module.to_vec();
    for (start, _) in words_at(&code[..at]).filter(|&(_, word)| word == "mod") {
        let rest = &code[start..];
        let Some(open) = rest.find('{').filter(|&open| !rest[..open].contains(';')) else {
            continue;
        };
        if matching(code, start + open) > at {
            full.extend(words(&rest[..open]).nth(1).map(str::to_owned));
        }
    }
    full
}

/// Collects the paths of a use tree (`a::{b, c::d}` → `a::b`, `a::c::d`) and gives what follows it.
fn use_tree<'c>(code: &'c str, prefix: &[String], paths: &mut Vec<Vec<String>>) -> &'c str {
    let mut path = prefix.to_vec();
    let mut rest = code.trim_start();
    loop {
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            loop {
                rest = use_tree(rest, &path, paths).trim_start();
                rest = match rest.strip_prefix(',') {
                    Some(next) => next,
                    None => return rest.strip_prefix('}').unwrap_or(rest),
                };
            }
        }
        let end = rest.find(|ch| !is_word(ch)).unwrap_or(rest.len());
        if end == 0 {
            rest = rest.strip_prefix('*').unwrap_or(rest);
            break;
        }
        path.push(rest[..end].to_owned());
        rest = &rest[end..];
        let Some(next) = rest.trim_start().strip_prefix("::") else {
            break;
        };
        rest = next.trim_start();
    }
    if rest.starts_with('!') {
        path.last_mut().expect("a name before `!`").push('!');
    }
    if let Some(renamed) = rest.trim_start().strip_prefix("as ") {
        rest = renamed.trim_start().trim_start_matches(is_word);
    }
    if path.len() > prefix.len() || !prefix.is_empty() {
        paths.push(path);
    }
    rest
}

// ---- Reading Markdown ----

/// What stands in single backticks outside of fenced blocks, with its line.
fn backticked(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (at, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(|name| (at + 1, name.to_owned())));
        }
    }
    found
}

// ---- Each check can fail ----

fn files(list: &[(&str, &str)]) -> Files {
    list.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect()
}

/// Asserts that there are as many complaints as signs, and that each sign stands in the complaint at its place.
#[track_caller]
fn complains(complaints: Vec<String>, signs: &[&str]) {
    assert_eq!(complaints.len(), signs.len(), "{complaints:#?}");
    for (complaint, sign) in complaints.iter().zip(signs) {
        assert!(complaint.contains(sign), "{complaint:?} does not mention {sign:?}");
    }
}

const HOUSE: &[(u8, &str)] = &[
    (0, "runtime/sys/clock.rs"),
    (0, "runtime/sys/mod.rs"),
    (4, "runtime/sched/idle.rs"),
    (4, "runtime/sched/mod.rs"),
    (6, "runtime/lib.rs"),
];

/// The files of `HOUSE`; `clock` is the text of `runtime/sys/clock.rs`.
fn house(clock: &str) -> Files {
    files(&[
        ("runtime/lib.rs", "mod sched;\n#[expect(unsafe_code, reason = \"why\")]\nmod sys;"),
        ("runtime/sched/mod.rs", "mod idle;\nuse crate::sys::clock::now;"),
        ("runtime/sched/idle.rs", "use super::Shared;\nuse crate::{sys::{self, clock}, sched::Shared as S};"),
        ("runtime/sys/mod.rs", "pub(crate) mod clock;\nuse clock::now;"),
        ("runtime/sys/clock.rs", clock),
    ])
}

#[test]
fn downward_and_level_imports_are_fine() {
    clean(imports_upward(&house("use super::Thing; use std::sync::Arc;"), HOUSE));
    clean(imports_upward(&house("//! See [`crate::sched::idle`].\nfn f() { log(\"crate::sched\") }"), HOUSE));
    clean(imports_upward(&house("#[cfg(test)]\nmod tests {\n    use crate::sched::idle;\n}"), HOUSE));
    clean(imports_upward(
        &house("#[cfg(all(test, gmprt_loom))]\nuse crate::sched::{idle};\nfn f() {}"),
        HOUSE,
    ));
    clean(imports_upward(&house("mod inner { use super::super::Thing; }"), HOUSE));
    clean(imports_upward(&house("fn f() { crate::assert_it!(true) }"), HOUSE));
}

#[test]
fn upward_imports_are_found() {
    for upward in [
        "use crate::sched::idle::Idle;",
        "use crate::{sys, sched::idle};",
        "use crate::{\n    sys::{self},\n    sched::{idle::Idle as I, Shared},\n};",
        "fn f() { crate::sched::wake() }",
        "fn f() { super::super::sched::idle::wake() }",
        "use super::{super::sched};",
        "mod inner { use super::super::super::sched; }",
        "use crate::spawn;", // a re-export of the face
        "#[cfg(not(test))]\nuse crate::sched;",
    ] {
        let complaints = imports_upward(&house(upward), HOUSE);
        assert!(!complaints.is_empty(), "not found: {upward}");
        assert!(complaints[0].starts_with("runtime/sys/clock.rs:"), "{complaints:?}");
    }
    let complaints = imports_upward(&house("\n\nuse crate::sched::idle::Idle;"), HOUSE);
    complains(
        complaints,
        &["runtime/sys/clock.rs:3: floor 0 imports `sched::idle::Idle` from runtime/sched/idle.rs"],
    );
}

#[test]
fn a_file_without_a_floor_and_a_floor_without_a_file_are_found() {
    complains(imports_upward(&house(""), &HOUSE[1..]), &["runtime/sys/clock.rs: on no floor"]);
    let mut more = HOUSE.to_vec();
    more.push((5, "runtime/time.rs"));
    complains(imports_upward(&house(""), &more), &["lists runtime/time.rs, which does not exist"]);
}

#[test]
fn an_orphan_is_found() {
    clean(orphans(&house("")));
    let mut more = house("");
    more.insert("runtime/sys/lost.rs".to_owned(), String::new());
    complains(orphans(&more), &["runtime/sys/lost.rs: no `mod`"]);
}

#[test]
fn a_file_that_models_borrow_is_no_test_file() {
    let tree = files(&[
        ("runtime/lib.rs", "#[cfg(gmprt_loom)]\nmod models;\nmod sched;"),
        ("runtime/models/mod.rs", "// é\n#[path = \"../sched/idle.rs\"]\nmod idle;"),
        ("runtime/models/idle.rs", ""),
        ("runtime/sched/mod.rs", "mod idle;"),
        (
            "runtime/sched/idle.rs",
            "#[cfg(all(test, gmprt_loom))]\n#[path = \"../models/idle.rs\"]\nmod models;",
        ),
    ]);
    clean(orphans(&tree));
    let models = test_files(&tree);
    assert_eq!(models.iter().collect::<Vec<_>>(), ["runtime/models/idle.rs", "runtime/models/mod.rs"]);
}

#[test]
fn a_gap_a_double_and_a_ghost_in_the_reading_order_are_found() {
    let two = files(&[("runtime/a.rs", ""), ("runtime/b.rs", "")]);
    clean(reading_order(&two, "1. `runtime/a.rs`\n2. `runtime/b.rs` after `a.rs`"));
    complains(reading_order(&two, "`runtime/a.rs`"), &["runtime/b.rs is missing"]);
    complains(
        reading_order(&two, "`runtime/a.rs` `runtime/b.rs` `runtime/a.rs`"),
        &["runtime/a.rs stands 2 times"],
    );
    complains(
        reading_order(&two, "`runtime/a.rs`\n`runtime/b.rs`\n`runtime/c.rs`"),
        &["docs/READING.md:3: runtime/c.rs does not exist"],
    );
}

#[test]
fn a_long_file_is_found() {
    let long = "fn f() {}\n".repeat(MAX_LINES + 1);
    clean(too_long(&files(&[("a.rs", &"x\n".repeat(MAX_LINES))])));
    clean(too_long(&files(&[("a.rs", &format!("//! A file.\n//! Length: a table.\n{long}"))])));
    complains(too_long(&files(&[("a.rs", &long)])), &["a.rs: 401 lines"]);
    complains(too_long(&files(&[("a.rs", &format!("{long}//! Length: too late"))])), &["a.rs: 402 lines"]);
}

#[test]
fn an_unexplained_ordering_is_found() {
    let good = "use Ordering::{Acquire, Release};\n\
                // Ordering: Acquire; pairs with the store in g.\n\
                let x = a.load(Acquire);\n\
                a.store(1, Ordering::Release); // Ordering: Release; pairs with the load above.\n\
                let s = \"Relaxed\"; // Relaxed in prose\n\
                #[cfg(test)]\nmod tests { fn f() { a.load(Relaxed); } }";
    clean(unexplained_orderings(&files(&[("runtime/a.rs", good)])));
    let bad = "use std::sync::atomic::Ordering::{self, Relaxed};\nfn f() {\n    a.load(Relaxed);\n}";
    complains(unexplained_orderings(&files(&[("runtime/a.rs", bad)])), &["runtime/a.rs:3: Relaxed"]);
    let far = format!("// Ordering: Relaxed; alone.\n{}a.load(Ordering::Relaxed);", "\n".repeat(8));
    complains(unexplained_orderings(&files(&[("runtime/a.rs", &far)])), &["runtime/a.rs:10: Relaxed"]);
    let fences =
        "fence(SeqCst); // FENCE-PARK, the parking end\n\n\n\n\n\n\n\n\n\na.load(Acquire); // FENCE-PARK";
    complains(unexplained_orderings(&files(&[("runtime/a.rs", fences)])), &["runtime/a.rs:11: Acquire"]);
    let path = "a.load(Ordering::Relaxed); // of Ordering::Relaxed we say nothing";
    complains(unexplained_orderings(&files(&[("runtime/a.rs", path)])), &["runtime/a.rs:1"]);
}

#[test]
fn an_unsafe_block_without_a_safety_comment_is_found() {
    let good = "// SAFETY: I1.\nunsafe { f() }\n#[deny(unsafe_code)]\nstruct S { f: unsafe fn() }";
    clean(unsafe_without_safety(&files(&[("a.rs", good)])));
    complains(unsafe_without_safety(&files(&[("a.rs", "\nunsafe { f() }")])), &["a.rs:2: `unsafe {`"]);
    complains(unsafe_without_safety(&files(&[("a.rs", "unsafe\n{ f() }")])), &["a.rs:1"]);
    complains(unsafe_without_safety(&files(&[("a.rs", "unsafe impl Send for S {}")])), &["`unsafe impl`"]);
    let far = format!("// SAFETY: I1.\n{}unsafe {{ f() }}", "\n".repeat(6));
    complains(unsafe_without_safety(&files(&[("a.rs", &far)])), &["a.rs:8"]);
}

#[test]
fn unsafe_in_a_file_that_is_not_declared_so_is_found() {
    let inside = |declaration: &str, text: &str| {
        undeclared_unsafe(&files(&[("runtime/lib.rs", declaration), ("runtime/raw.rs", text)]))
    };
    let block = "// SAFETY: I1.\nunsafe { f() }";
    clean(inside("#[expect(unsafe_code, reason = \"slots\")]\npub(crate) mod raw;", block));
    clean(inside("mod raw;", "struct S { f: unsafe fn() } // unsafe { prose }"));
    clean(inside("#[cfg(all(test, gmprt_loom))]\nmod raw;", block));
    clean(inside("#[cfg(gmprt_loom)]\nmod raw;", block));
    complains(inside("#[cfg(not(gmprt_loom))]\nmod raw;", block), &["runtime/raw.rs:2"]);
    complains(inside("mod raw;", block), &["runtime/raw.rs:2"]);
    complains(inside("#[expect(unsafe_code)]\nmod other;\nmod raw;", block), &["runtime/raw.rs:2"]);
    complains(inside("mod raw;", "unsafe fn f() {}"), &["runtime/raw.rs:1"]);
    complains(inside("mod raw;", "unsafe impl Send for S {}"), &["runtime/raw.rs:1"]);
}

#[test]
fn a_stray_seqcst_is_found() {
    let fence = files(&[("runtime/a.rs", "fence(SeqCst);\n// SeqCst in prose\n")]);
    clean(stray_seqcst(&fence, &["runtime/a.rs"]));
    complains(stray_seqcst(&fence, &["runtime/b.rs"]), &["runtime/a.rs:1"]);
    let use_only = files(&[("runtime/a.rs", "use std::sync::atomic::Ordering::SeqCst;")]);
    complains(stray_seqcst(&use_only, &[]), &["runtime/a.rs:1"]);
}

#[test]
fn unfinished_code_is_found() {
    clean(unfinished(&files(&[("a.rs", "let s = \"todo!()\"; // todo! in prose is fine\nfn todo() {}")])));
    for sign in
        ["todo!()", "unimplemented!()", "// FIXME: later", "// XXX", "#[ignore]", "#[ignore = \"slow\"]"]
    {
        complains(unfinished(&files(&[("a.rs", &format!("\n{sign}\n"))])), &["a.rs:2"]);
    }
}

#[test]
fn a_sleep_without_a_reason_is_found() {
    clean(sleeps(&files(&[("a.rs", "std::thread::sleep(d); // sleep: the clock itself is under test")])));
    clean(sleeps(&files(&[("a.rs", "// thread::sleep in prose")])));
    complains(sleeps(&files(&[("a.rs", "\nthread::sleep(d);")])), &["a.rs:2"]);
}

#[test]
fn a_bare_dependency_is_found() {
    clean(bare_dependencies(
        "[dependencies]\n# Why.\nlibc = \"1\"\n\n[lints.rust]\nunsafe_code = \"deny\"\n",
    ));
    complains(bare_dependencies("[dependencies]\nlibc = \"1\"\n"), &["Cargo.toml:2"]);
    complains(bare_dependencies("[dev-dependencies]\n# Why.\na = \"1\"\nb = \"1\"\n"), &["Cargo.toml:4"]);
    complains(bare_dependencies("[target.'cfg(x)'.dependencies]\nloom = \"1\"\n"), &["Cargo.toml:2"]);
    complains(bare_dependencies("[dependencies.libc]\nversion = \"1\"\n"), &["Cargo.toml:1"]);
}

#[test]
fn a_dead_path_is_found() {
    let page = |text: &str| dead_paths(&files(&[("docs/X.md", text)]), |path| path == "runtime/lib.rs");
    clean(page("`runtime/lib.rs`, `std::thread`, `runtime/**/*.rs`\n```text\n`runtime/no.rs`\n```"));
    complains(page("see\n`runtime/no.rs`"), &["docs/X.md:2: `runtime/no.rs`"]);
    complains(page("`examples/no.rs`"), &["docs/X.md:1"]);
}

#[test]
fn another_program_in_the_readme_is_found() {
    let readme = "Text.\n```rust\nfn main() {}\n```\n```rust\nfn other() {}\n```\n";
    clean(other_program(readme, "//! Hello.\n\nfn main() {}\n"));
    complains(other_program(readme, "fn main() { }\n"), &["is not that of"]);
    complains(other_program("Text.", "fn main() {}\n"), &["shows no program"]);
}

#[test]
fn strings_comments_and_characters_are_blanked() {
    let same = |text: &str| assert_eq!(blank(text), text);
    same("let a: &'static str = b; loop { break 'outer }");
    same("r#fn(x)");
    assert_eq!(blank("a(\"x\\\"y\")b").replace(' ', ""), "a()b");
    assert_eq!(blank("a(r#\"x\"y\"#)b").replace(' ', ""), "a()b");
    assert_eq!(blank("a /* x /* y */ z */ b").replace(' ', ""), "ab");
    assert_eq!(blank("a('{')b('\\'')c('\\u{7b}')").replace(' ', ""), "a()b()c()");
    assert_eq!(
        blank("a // x\nb \"y\nz\" c"),
        format!("a {}\nb {}\n{} c", " ".repeat(4), " ".repeat(2), " ".repeat(2))
    );
}

#[test]
fn items_for_tests_are_cut_out() {
    let cut = |text: &str| production(text).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(cut("a; #[cfg(test)] mod t { fn f() { {} } } b;"), "a; b;");
    assert_eq!(cut("a; #[cfg(test)] use x::{y, z}; b;"), "a; b;");
    assert_eq!(cut("a; #[cfg(test)] pub(crate) use x::{y, z}; b;"), "a; b;");
    assert_eq!(cut("#[cfg(test)] #[inline] fn f<A, B>(a: A) -> [u8; 2] { } b;"), "b;");
    assert_eq!(cut("struct S { #[cfg(test)] a: u8, b: u8 }"), "struct S { b: u8 }");
    assert_eq!(cut("struct S { b: u8, #[cfg(test)] a: u8 }"), "struct S { b: u8, }");
    assert_eq!(cut("#[cfg(gmprt_loom)] fn f() {} b;"), "#[cfg(gmprt_loom)] fn f() {} b;");
    assert_eq!(cut("#[cfg(not(test))] fn f() {}"), "#[cfg(not(test))] fn f() {}");
}
