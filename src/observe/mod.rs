//! Consumers of events.
//!
//! Supervisors report what they do once, as [`Event`](crate::Event)s. Everything that shows it to people and machines is a
//! consumer of that stream and of nothing else: subscriptions, and `tracing`.

mod hub;
mod tracing;

pub use self::hub::Events;
pub(crate) use self::hub::{EventHub, Subtree};
