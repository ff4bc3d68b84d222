//! For the tests of those who use this crate: what happens as a list to expect, and services that do what they are told.
//!
//! [`docs::testing`](crate::docs::testing) shows how a policy is tested in a millisecond.

mod deadline;
mod kind;
mod recorder;
mod script;

pub use self::{
    kind::Kind,
    recorder::{Observed, Recorder},
    script::{Script, Scripted},
};
