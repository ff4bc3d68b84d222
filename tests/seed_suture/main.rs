//! What suture and suptree promise, and what they get wrong, held against this crate; `tests/PARITY.md` says which is which.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

mod adding;
mod decay;
mod events;
mod pause;
mod removal;
mod serving;
mod spec;
mod stopping;
#[path = "../seed_support/mod.rs"]
mod support;
mod unstopped;
mod verdict;
