//! Watching one service: its states, its end, and OTP's monitor.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

mod anywhere;
mod ended;
mod hostile;
mod monitors;
mod plain_actors;
mod scale;
mod states;
mod support;
