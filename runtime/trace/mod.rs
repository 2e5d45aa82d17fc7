//! Traces: what each P, M and task did, for Chrome tracing and Perfetto.
//!
//! Go counterpart: `runtime/trace`, `internal/trace`.
//!
//! ```text
//!   sched/tracing.rs ─▶ record.rs ─▶ ring.rs ─▶ recorder.rs ─▶ merge.rs ─▶ timeline.rs ─▶ chrome.rs ─▶ a file, sink.rs
//!     what happens        16 bytes    one an M    a session      one order    a story         JSON
//! ```
//!
//! Three ways to a trace:
//!
//! - `GMPRT_TRACE=out.json.gz` in the environment records any program that is built on gmprt, from the start of its
//!   first runtime to the end of the last, up to 500 000 events (`GMPRT_TRACE_EVENTS` sets another limit). Several runtimes
//!   share the file. `%p` in the name stands for the process's id.
//! - [`Builder::trace`](crate::Builder::trace) records from the runtime's start.
//! - [`Runtime::trace`](crate::Runtime::trace) starts and stops a recording at any time.
//!
//! An event costs some 10 ns while it is recorded, and a load and a branch while not. `docs/TRACING.md` shows how to read
//! what comes out.

pub(crate) mod chrome;
pub(crate) mod config;
pub(crate) mod env;
pub(crate) mod merge;
#[expect(unsafe_code, reason = "a spawn site comes back from its address")]
pub(crate) mod record;
pub(crate) mod recorder;
pub(crate) mod recording;
mod report;
pub(crate) mod ring;
mod sink;
pub(crate) mod stream;
pub(crate) mod timeline;
mod tracer;

pub use config::TraceConfig;
pub use report::*;
pub use tracer::{Trace, Tracer};
