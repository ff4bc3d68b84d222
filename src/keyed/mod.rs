//! Keyed services: the rows of a [table](crate::table), running.
//!
//! A [`KeyedSpec`] describes a supervisor that has a service for each row, and follows the table from then on; a [`KeyedRef`] is what one holds
//! of it.

mod by_key;
mod compare;
mod error;
mod fence;
mod first;
mod follower;
mod life;
mod name;
mod plan;
mod read;
mod reference;
mod serve;
mod settings;
mod shared;
mod spec;
#[cfg(test)]
mod tests;
mod turns;

pub use self::{
    error::{GetError, RescanError, StartKeyError, StopKeyError},
    fence::Fence,
    reference::KeyedRef,
    settings::{OnChanged, OnVanished, Revival},
    spec::KeyedSpec,
};
