//! Services whose factory sees the context of its actor, whichever kind that is.

use std::sync::Arc;

use actix::{Actor, AsyncContext};

use super::{
    factory::{InContext, StartContext},
    hosted::ServiceContext,
    spec::ServiceSpec,
};
use crate::policy::{IntoServiceError, ServiceError};

impl<A> ServiceSpec<A>
where
    A: Actor,
    A::Context: HostedContext<A>,
{
    /// A service made by a factory that sees the context of its actor, as in actix's [`Actor::create`]: for streams, a
    /// [`SinkWrite`](actix::io::SinkWrite), or the actor's own address.
    ///
    /// For actors in a [`ServiceContext`], and for [existing ones](Self::actor) in actix's own [`Context`](actix::Context). What the
    /// factory spawns and awaits runs once [`started`](Actor::started) was called, and what it sends to its own address arrives after
    /// that. Without an actor there is nothing to stop gently: a factory that stops or fails its context is a start that has failed
    /// ([`StoppedByFactory`](crate::StartError::StoppedByFactory), or the error), and the actor is dropped without a call of its hooks.
    /// One that panics likewise; what it had spawned is dropped. To decline, return an [`exit`](ServiceContext::exit) or an error with
    /// [`Verdict::DoNotRestart`](crate::Verdict::DoNotRestart).
    ///
    /// # Examples
    ///
    /// ```
    /// use actix::prelude::*;
    /// use resurgam::{ServiceContext, ServiceSpec, SupervisorActor};
    ///
    /// /// Adds up the numbers of a stream.
    /// struct Sum(u32);
    ///
    /// impl Actor for Sum {
    ///     type Context = ServiceContext<Self>;
    /// }
    ///
    /// impl StreamHandler<u32> for Sum {
    ///     fn handle(&mut self, number: u32, _: &mut Self::Context) {
    ///         self.0 += number;
    ///     }
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// root.add_and_wait(ServiceSpec::create("sum", |ctx: &mut ServiceContext<Sum>| {
    ///     Sum::add_stream(futures::stream::iter([1, 2, 3]), ctx);
    ///     Sum(0)
    /// }))
    /// .await?;
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn create<F>(name: impl Into<Arc<str>>, mut factory: F) -> Self
    where
        F: FnMut(&mut A::Context) -> A + Send + 'static,
    {
        let factory: ContextFactory<A, A::Context> = Box::new(move |_, ctx| Ok(factory(ctx)));
        A::Context::describe(name.into(), factory)
    }

    /// A service made by a factory that sees the [context of its actor](Self::create) and may fail; its error is a start that has failed.
    pub fn try_create<F, E, B>(name: impl Into<Arc<str>>, mut factory: F) -> Self
    where
        F: FnMut(&mut A::Context) -> Result<A, E> + Send + 'static,
        E: IntoServiceError<B>,
    {
        let factory: ContextFactory<A, A::Context> =
            Box::new(move |_, ctx| factory(ctx).map_err(E::into_service_error));
        A::Context::describe(name.into(), factory)
    }

    /// A service made by a factory that may fail, and sees the [context of its actor](Self::create) as well as which service it makes, what
    /// that requires, and its supervisor.
    ///
    /// For what plain actix does in one [`Actor::create`]: a listener with a stream of connections, which adds a service for each.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix::prelude::*;
    /// use resurgam::{
    ///     RestartType, ServiceContext, ServiceSpec, StartError, SupervisorActor, SupervisorRef,
    /// };
    ///
    /// struct Session;
    ///
    /// impl Actor for Session {
    ///     type Context = ServiceContext<Self>;
    /// }
    ///
    /// struct Listener(SupervisorRef);
    ///
    /// impl Actor for Listener {
    ///     type Context = Context<Self>;
    /// }
    ///
    /// /// A connection, as a number.
    /// impl StreamHandler<u32> for Listener {
    ///     fn handle(&mut self, _: u32, ctx: &mut Self::Context) {
    ///         let supervisor = self.0.clone();
    ///         let session = ServiceSpec::unnamed("session", || Session);
    ///         let session = session.restart(RestartType::Temporary);
    ///         ctx.spawn(async move { supervisor.add(session).await }.into_actor(self).map(|added, _, ctx| {
    ///             if added.is_err() {
    ///                 ctx.stop();
    ///             }
    ///         }));
    ///     }
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// root.add(ServiceSpec::try_create_with("listener", |cx, ctx| {
    ///     Listener::add_stream(futures::stream::iter([1, 2]), ctx);
    ///     Ok::<_, StartError>(Listener(cx.supervisor()))
    /// }))
    /// .await?;
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_create_with<F, E, B>(name: impl Into<Arc<str>>, mut factory: F) -> Self
    where
        F: FnMut(&StartContext, &mut A::Context) -> Result<A, E> + Send + 'static,
        E: IntoServiceError<B>,
    {
        let factory: ContextFactory<A, A::Context> =
            Box::new(move |cx, ctx| factory(cx, ctx).map_err(E::into_service_error));
        A::Context::describe(name.into(), factory)
    }
}

/// A context whose actor can be a service: [`ServiceContext`](crate::ServiceContext), and actix's own [`Context`](actix::Context).
///
/// There are no others: nobody else can implement it.
#[diagnostic::on_unimplemented(
    message = "an actor in a `{Self}` cannot be a service",
    note = "a service lives in a `ServiceContext` or in actix's `Context`"
)]
pub trait HostedContext<A: Actor<Context = Self>>: AsyncContext<A> + Sealed<A> {}

impl<A, C> HostedContext<A> for C
where
    A: Actor<Context = C>,
    C: AsyncContext<A> + Sealed<A>,
{
}

/// What only the crate can implement.
#[expect(
    unnameable_types,
    reason = "a trait that can be named can be implemented"
)]
pub trait Sealed<A: Actor<Context = Self>>: Sized {
    /// A service whose actor lives in this kind of context, made by a factory that sees it.
    fn describe(name: Arc<str>, factory: ContextFactory<A, Self>) -> ServiceSpec<A>;
}

/// Makes an actor that will live in the context that it is called with.
pub(super) type ContextFactory<A, C> =
    Box<dyn FnMut(&StartContext, &mut C) -> Result<A, ServiceError> + Send>;

impl<A: Actor<Context = Self>> Sealed<A> for ServiceContext<A> {
    fn describe(name: Arc<str>, factory: ContextFactory<A, Self>) -> ServiceSpec<A> {
        ServiceSpec::with_factory(name, Box::new(InContext(factory)))
    }
}

impl<A: Actor<Context = Self>> Sealed<A> for actix::Context<A> {
    fn describe(name: Arc<str>, factory: ContextFactory<A, Self>) -> ServiceSpec<A> {
        ServiceSpec::adopted(name, Box::new(InContext(factory)))
    }
}
