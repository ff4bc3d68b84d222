//! Keyed supervisors: a service for each row of a table.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

mod first_steps;
mod following;
mod held;
mod hostile;
mod keys;
mod memory;
mod races;
mod restarts;
mod spacing;
mod support;
mod trees;
mod wrong_tables;
