//! How an example ends: with its text on stdout, or one line on stderr.

#![allow(dead_code, reason = "each example uses a part of this")]

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Prints all of it. A reader who has gone away (`| head -1`) is no failure; and no panic, as with `println!`.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// A line on stderr. That may be closed, which changes nothing.
pub(crate) fn say(example: &str, line: &str) {
    let _ = writeln!(io::stderr(), "{example}: {line}");
}

/// Prints what an example found, or says what went wrong: then the exit code is 1.
pub(crate) fn end(example: &str, outcome: Result<String, String>) -> ExitCode {
    match outcome.and_then(|text| print(&text).map_err(|e| format!("cannot write: {e}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            say(example, &what);
            ExitCode::FAILURE
        }
    }
}
