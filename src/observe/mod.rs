//! Consumers of events.
//!
//! Supervisors report what they do once, as [`Event`](crate::Event)s. Everything that shows it to people and machines is a
//! consumer of that stream and of nothing else: subscriptions, and `tracing`.

mod digest;
mod event;
mod events;
mod hub;
mod subscriber;
mod subscriptions;
mod tracing;

pub use self::{event::Event, events::Events};
pub(crate) use self::{
    hub::{EarlyEvents, EventHub},
    subscriber::Subtree,
};
