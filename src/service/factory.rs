//! Makes the actor of each incarnation.

use std::{fmt, future::Future, pin::Pin, sync::Arc, task::Context};

use actix::Actor;

use super::{
    error::StartError,
    link::{AnyLink, downcast},
    reference::ServiceRef,
    span::ServiceSpan,
};
use crate::{
    policy::{ServiceError, Verdict},
    token::ServiceToken,
    user_value::UserValue,
};

/// Makes the actor of a service, once for each incarnation, on the service's arbiter.
pub(crate) trait Factory<A: Actor>: Send {
    /// Makes an actor, or the future of one. May panic, as all user code.
    ///
    /// `ctx` is the context that the actor will live in. Only a factory whose actor is there when it returns may look at it.
    fn make(&mut self, context: StartContext, ctx: &mut A::Context) -> Making<A>;

    /// Called with the actor of an incarnation that is over, however it ended. Returns it to be dropped, unless the factory keeps it.
    /// For supervisors alone: others are dropped without asking.
    ///
    /// Futures and timers of the incarnation are dropped by then, and its end is not told yet. Not called for an actor in actix's own
    /// context, which keeps its actor.
    fn take_back(&mut self, actor: A) -> Option<A> {
        Some(actor)
    }

    /// Called by the cell of a supervisor whenever it is polled and has no incarnation at the end.
    ///
    /// A factory that keeps what its actor works on may answer messages meanwhile. Without one they wait for the next incarnation.
    fn idle(&mut self, _ctx: &mut A::Context, _cx: &mut Context<'_>) -> Idle {
        Idle::Nothing
    }

    /// Called when the service is forgotten, before the factory is dropped.
    fn released(&mut self) {}
}

/// What a factory looks after while there is no incarnation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Idle {
    /// The mailbox.
    Messages,
    Nothing,
}

/// A factory while its service may need it.
pub(crate) type UserFactory<A> = UserValue<Box<dyn Factory<A>>>;

/// An actor, or the future of one.
pub(crate) enum Making<A> {
    Done(Result<A, ServiceError>),
    Later(Building<A>),
}

/// The future of an actor that is still being made.
pub(super) type Building<A> = Pin<Box<dyn Future<Output = Result<A, ServiceError>>>>;

/// A factory that cannot fail.
pub(super) struct Plain<F>(pub(super) F);

/// A factory that may fail.
pub(super) struct Fallible<F>(pub(super) F);

/// A factory whose actor comes later, from a future.
pub(super) struct Async<F>(pub(super) F);

/// A factory that sees the context of its actor.
pub(super) struct InContext<F>(pub(super) F);

impl<A, F> Factory<A> for Plain<F>
where
    A: Actor,
    F: FnMut() -> A + Send,
{
    fn make(&mut self, _: StartContext, _: &mut A::Context) -> Making<A> {
        Making::Done(Ok((self.0)()))
    }
}

impl<A, F> Factory<A> for Fallible<F>
where
    A: Actor,
    F: FnMut(&StartContext) -> Result<A, ServiceError> + Send,
{
    fn make(&mut self, context: StartContext, _: &mut A::Context) -> Making<A> {
        Making::Done((self.0)(&context))
    }
}

impl<A, F, T> Factory<A> for Async<F>
where
    A: Actor,
    F: FnMut(StartContext) -> T + Send,
    T: Future<Output = Result<A, ServiceError>> + 'static,
{
    fn make(&mut self, context: StartContext, _: &mut A::Context) -> Making<A> {
        Making::Later(Box::pin((self.0)(context)))
    }
}

impl<A, F> Factory<A> for InContext<F>
where
    A: Actor,
    F: FnMut(&StartContext, &mut A::Context) -> Result<A, ServiceError> + Send,
{
    fn make(&mut self, context: StartContext, ctx: &mut A::Context) -> Making<A> {
        Making::Done((self.0)(&context, ctx))
    }
}

/// What a factory is told: which service it makes an actor for, and what that service requires.
#[derive(Clone)]
pub struct StartContext {
    link: Arc<dyn AnyLink>,
    epoch: u32,
    span: Option<Arc<ServiceSpan>>,
}

impl StartContext {
    pub(super) fn new(link: Arc<dyn AnyLink>, epoch: u32, span: Option<Arc<ServiceSpan>>) -> Self {
        Self { link, epoch, span }
    }

    /// The span of the incarnation that is being made, if anybody listens.
    pub(crate) fn span(&self) -> Option<Arc<ServiceSpan>> {
        self.span.clone()
    }

    /// The epoch of the cell that makes the actor.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn link(&self) -> &Arc<dyn AnyLink> {
        &self.link
    }

    /// The token of the service that is being started.
    pub fn token(&self) -> ServiceToken {
        self.link.core().token()
    }

    /// The names from the root to the service that is being started, as in `root/db/pool`.
    pub fn path(&self) -> &str {
        self.link.core().path()
    }

    /// The number of the incarnation that is being made: 0 for the first.
    pub fn generation(&self) -> u64 {
        self.link.core().generation()
    }

    /// The reference of a service that this one [requires](crate::ServiceSpec::requires), by the name or path that was given there.
    ///
    /// # Errors
    ///
    /// [`StartError::MissingRequirement`] if `name` is not declared with [`requires`](crate::ServiceSpec::requires) or
    /// [`binds_to`](crate::ServiceSpec::binds_to), or is gone; [`StartError::WrongType`] if it is another actor than asked for.
    pub fn get<A>(&self, name: &str) -> Result<ServiceRef<A>, StartError>
    where
        A: Actor,
    {
        let core = self.link.core();
        let missing = || StartError::MissingRequirement {
            path: Arc::clone(core.path()),
            requirement: Arc::from(name),
            verdict: Verdict::Missing,
        };
        let link = core.requirement(name).ok_or_else(missing)?;
        match downcast(link) {
            Ok(link) => ServiceRef::from_link(link).ok_or_else(missing),
            Err(found) => Err(StartError::WrongType {
                path: Arc::clone(found.core().path()),
                expected: std::any::type_name::<A>(),
                found: found.type_name(),
            }),
        }
    }
}

impl fmt::Debug for StartContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartContext")
            .field("path", &self.path())
            .field("generation", &self.generation())
            .finish()
    }
}
