//! A recorded trace tells the truth: it keeps the rules of scheduling, and agrees with what the program itself counted.
//!
//! ```text
//!   storms.rs ─▶ a trace ─▶ check.rs: complaints ─▶ none            rules.rs: each rule sees what breaks it
//!             └▶ counts ──▶ facts.rs: the same in the trace         canary.rs: a trace spoilt at random is found out
//! ```
//!
//! Nothing here is timed. `GMPRT_SEED` replays the choices of a run, though not its interleaving.

#![cfg(not(any(gmprt_loom, miri)))] // loom's types work only inside its models; miri would take hours

mod common;

#[path = "trace_truth/canary.rs"]
mod canary;
#[path = "trace_truth/check.rs"]
mod check;
#[path = "trace_truth/facts.rs"]
mod facts;
#[path = "trace_truth/read.rs"]
mod read;
#[path = "trace_truth/rules.rs"]
mod rules;
#[path = "trace_truth/storms.rs"]
mod storms;
