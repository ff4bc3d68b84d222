//! Services that are functions: async ones, blocking ones, and the program that they make.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "services that panic, and helpers of tests"
)]

mod blocking;
mod life;
mod outputs;
#[cfg(unix)]
mod signal;
mod span;
mod spawn;
mod stop;
mod support;
