//! Pictures of a tree.
//!
//! Whoever asks for one asks all supervisors at the same time ([`look`]), each for its own services, and puts together what comes back
//! ([`gather`]). For one that does not answer within a moment, since its thread is blocked, stands what the table of the tree says, and what it
//! said the last time ([`table`]). No file here is used by the supervisors themselves, but for the handlers.

mod display;
mod gather;
mod look;
mod picture;
#[cfg(feature = "serde")]
mod serialized;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub(super) use self::look::look_at;
pub use self::picture::{Report, ServiceReport};
