//! Hostile code of users, and operations at the worst moment, neither end a tree nor leave anyone waiting.
//!
//! Errors, factories and messages panic wherever code of theirs is called; supervisors are killed, stopped and shut down
//! while somebody waits for their answer.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

mod ending;
mod errors_and_drops;
mod nested;
mod own_process;
mod support;
mod wakers;
