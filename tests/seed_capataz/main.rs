//! What `go-capataz` promises, and what it gets wrong, held against this crate; `tests/PARITY.md` says which is which.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

mod abandoned;
mod backoff;
mod dynamic;
mod events;
mod failure;
mod group;
mod spec;
mod start;
mod stop;
#[path = "../seed_support/mod.rs"]
mod support;
mod tolerance;
mod tree;
