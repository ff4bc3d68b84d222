//! Services that are OS processes: real ones, in real time. What is left of them is looked for in `/proc`.
#![cfg(target_os = "linux")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

mod capture;
mod ending;
mod orphans;
mod output;
mod program;
mod readiness;
mod stopping;
mod support;
