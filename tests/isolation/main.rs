//! What a service does is of no matter to its siblings, to its supervisor, or to whoever wants to stop it.
//!
//! Nothing here looks at a clock: what must not be late is seen in the order of things, and in how many of them happen in between.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

mod control;
mod ending;
mod errors;
mod fairness;
mod scale;
mod support;
