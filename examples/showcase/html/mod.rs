//! The report: one page in one file, which needs no network, no script and no font of its own.
//!
//! ```text
//!   Results ─▶ sections ─▶ page ─▶ file        style.css and ink: how it looks, light and dark
//!                 ├─▶ tables
//!                 └─▶ plots ──▶ axis, chart ─▶ ink
//! ```
//!
//! `plots` says what is drawn, `chart` draws it. Nothing here measures or judges: where there is no figure, it says so.

mod axis;
mod chart;
mod ink;
mod page;
mod plots;
mod sections;
mod tables;

use std::fs;
use std::io;
use std::path::Path;

use crate::results::Results;

/// Writes the report, and the folders it is to lie in. It is whole or not there: it gets its name only when written.
pub(crate) fn write(results: &Results, path: &Path) -> io::Result<()> {
    let name =
        path.file_name().ok_or_else(|| io::Error::other(format!("{} names no file", path.display())))?;
    let page = page::page(results)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut unfinished = name.to_owned();
    unfinished.push(format!(".{}.unfinished", std::process::id()));
    let unfinished = path.with_file_name(unfinished);
    let written = fs::write(&unfinished, page.into_string()).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished); // the first error is the one to tell
    }
    written
}
