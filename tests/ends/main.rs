//! How supervisors end, and what reaches those above: why, with which paths, and what went wrong on the way.
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod bounds;
mod code;
mod killed;
mod support;
mod told;
