//! What actix promises its actors, kept to services.
//!
//! The behaviours that the tests of actix 0.13.5 check (and those that its documentation states) hold for an actor whose
//! `type Context` is [`resurgam::ServiceContext`]. Where a service differs on purpose,
//! `differences` and `restarts` say how.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

mod addresses;
mod arbiters;
mod combinators;
mod differences;
mod futures_spawned;
mod lifecycle;
mod mailbox;
mod own_context;
mod refusals;
mod responses;
mod responses_later;
mod restarts;
mod streams;
mod support;
mod timers;
mod waits;
mod waits_of_streams;
mod writers;

/// The kind of service that is tested. Another one is in `tests/existing_actors/`, which runs the same tests.
mod kind {
    use actix::Actor;
    use resurgam::{ServiceContext, ServiceSpec};

    pub(crate) type SubjectContext<A> = ServiceContext<A>;

    pub(crate) fn subject<A: Actor<Context = ServiceContext<A>>>(
        name: &str,
        factory: impl Fn() -> A + Send + 'static,
    ) -> ServiceSpec<A> {
        ServiceSpec::new(name, factory)
    }
}
