//! The behaviours of ambassador's supervisor, held against ours.
//!
//! Each test is named after what it shows; `tests/PARITY.md` says which of their behaviours that is.

mod adding;
mod ending;
mod order;
mod requires;
mod retry;
mod shutdown;
mod support;
mod waiting;
