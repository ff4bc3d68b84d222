//! The behaviours of juju's runner and dependency engine, and of pact's processes, held against ours.
//!
//! Each test is named after what it shows; `tests/PARITY.md` says which of their behaviours that is.

mod bounce;
mod composition;
mod delay;
mod engine;
mod fatal;
mod lookup;
mod removal;
mod report;
mod runner;
#[path = "../seed_ambassador/support.rs"]
mod support;
