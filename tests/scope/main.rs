//! Scopes: services and futures whose lives are bound together.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "members that panic, and helpers of tests"
)]

mod adding;
mod ending;
mod errors;
mod run;
mod support;
mod tree;
