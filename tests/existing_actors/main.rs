//! Actors that were written for actix's own context, as services, unchanged.
//!
//! First what they keep: the tests in `tests/actix_compat`, for an actor whose `type Context` is [`actix::Context`]. What is left out
//! is in `own_context` there. Then their life as services.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

#[path = "../actix_compat/addresses.rs"]
mod addresses;
#[path = "../actix_compat/arbiters.rs"]
mod arbiters;
#[path = "../actix_compat/combinators.rs"]
mod combinators;
#[path = "../actix_compat/differences.rs"]
mod differences;
#[path = "../actix_compat/futures_spawned.rs"]
mod futures_spawned;
#[path = "../actix_compat/lifecycle.rs"]
mod lifecycle;
#[path = "../actix_compat/mailbox.rs"]
mod mailbox;
#[path = "../actix_compat/refusals.rs"]
mod refusals;
#[path = "../actix_compat/responses.rs"]
mod responses;
#[path = "../actix_compat/responses_later.rs"]
mod responses_later;
#[path = "../actix_compat/restarts.rs"]
mod restarts;
#[path = "../actix_compat/streams.rs"]
mod streams;
#[path = "../actix_compat/support.rs"]
mod support;
#[path = "../actix_compat/timers.rs"]
mod timers;
#[path = "../actix_compat/waits.rs"]
mod waits;
#[path = "../actix_compat/waits_of_streams.rs"]
mod waits_of_streams;
#[path = "../actix_compat/writers.rs"]
mod writers;

mod life;
mod sync_actors;

/// The kind of service that is tested.
mod kind {
    use actix::{Actor, Context};
    use resurgam::ServiceSpec;

    pub(crate) type SubjectContext<A> = Context<A>;

    pub(crate) fn subject<A: Actor<Context = Context<A>>>(
        name: &str,
        factory: impl Fn() -> A + Send + 'static,
    ) -> ServiceSpec<A> {
        ServiceSpec::actor(name, factory)
    }
}
