//! What was asked of a supervisor is done, whoever still waits for the answer; and whoever waits gets one.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

mod balance;
mod between;
mod drops;
mod late;
mod left;
mod storm;
mod support;
