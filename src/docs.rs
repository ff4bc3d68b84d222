//! Longer texts.

#[doc = include_str!("docs/parity.md")]
pub mod parity {}
