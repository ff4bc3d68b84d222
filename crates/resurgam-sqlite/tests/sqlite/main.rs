//! Tables in files of SQLite: rows, files, other users of the same file, and keyed services on them.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

mod files;
mod gone;
mod hostile;
mod keyed;
mod odd;
mod others;
mod rows;
mod support;
mod turns;
