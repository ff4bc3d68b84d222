//! What Erlang's and Elixir's own suites test of their supervisors, tested of ours.
//!
//! Time is paused wherever nothing runs on another thread, so that waiting costs nothing and an idle tree is seen to be idle.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

mod limits;
mod names;
mod operations;
mod reconfigure;
mod restart_types;
mod scale;
mod significant;
mod starting;
mod stopping;
mod strategies;
mod support;
