//! Somebody who looks after the services of a supervisor from within: adds, renews and removes them on the supervisor's own turn.
//!
//! What is to be added comes from elsewhere; nothing of supervision is decided there.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    task::Context,
    time::Instant,
};

use actix::Actor;
use tokio::sync::oneshot;

use super::{
    actor::SupervisorActor,
    answers::Deferred,
    clock::now,
    steward::{Awaited, InOffice, News},
};
use crate::{
    event::EventKind,
    policy::{ExitReason, SpecError},
    service::{ServiceContext, ServiceRef, ServiceSpec, StartError},
    state::{AddError, Answer, Goes, RemoveError, ServiceState, Standing, SupervisorState, Waiter},
    token::ServiceToken,
};

/// Looks after the services of a supervisor.
pub(crate) trait Steward: Send + 'static {
    /// The supervisor has begun an incarnation.
    fn begin(&mut self, now: Instant);

    /// Called after each turn of the supervisor, and when `cx` is woken.
    fn poll(&mut self, hands: &mut Hands<'_>, cx: &mut Context<'_>);

    /// The incarnation of the supervisor is over.
    fn end(&mut self);
}

/// A steward, as the core keeps it.
struct Seat(Box<dyn Steward>);

impl InOffice for Seat {
    fn begin(&mut self, now: Instant) {
        self.0.begin(now);
    }

    fn end(&mut self) {
        self.0.end();
    }
}

impl SupervisorActor {
    /// Has the steward do what it has to, if there is one.
    pub(super) fn poll_steward(&mut self, ctx: &mut ServiceContext<Self>, cx: &mut Context<'_>) {
        let Some(mut steward) = self.core.stewarded.steward.take() else {
            return;
        };
        let seat: &mut dyn Any = &mut *steward;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if let Some(Seat(steward)) = seat.downcast_mut() {
                steward.poll(&mut Hands { actor: self, ctx }, cx);
            }
        }));
        // Also if it has panicked: the next incarnation of the supervisor needs it.
        self.core.stewarded.steward = Some(steward);
        if let Err(panic) = polled {
            resume_unwind(panic);
        }
    }

    /// Gives the supervisor somebody who looks after its services.
    pub(crate) fn set_steward(&mut self, steward: impl Steward) {
        self.core.stewarded.set(Box::new(Seat(Box::new(steward))));
    }
}

/// What a steward may do on the supervisor's turn.
pub(crate) struct Hands<'a> {
    actor: &'a mut SupervisorActor,
    ctx: &'a mut ServiceContext<SupervisorActor>,
}

impl Hands<'_> {
    /// What has become of services since the last call, in that order.
    pub(crate) fn take_news(&mut self) -> Vec<(ServiceToken, News)> {
        let news = self.actor.core.stewarded.news.as_mut();
        news.map(std::mem::take).unwrap_or_default()
    }

    /// Reports whether there is news.
    pub(crate) fn has_news(&self) -> bool {
        let news = self.actor.core.stewarded.news.as_ref();
        news.is_some_and(|news| !news.is_empty())
    }

    /// Reports whether all services that were there at the start of the supervisor are ready.
    pub(crate) fn has_started(&self) -> bool {
        self.actor.core.stewarded.started
    }

    /// Reports whether the supervisor takes no more services.
    pub(crate) fn is_ending(&self) -> bool {
        self.actor.core.state.is_ending()
    }

    /// Says that the supervisor is ready. Again changes nothing.
    pub(crate) fn ready(&mut self) {
        self.ctx.ready();
    }

    /// The service of this name.
    pub(crate) fn named(&self, name: &str) -> Option<ServiceToken> {
        self.actor.core.state.named(name)
    }

    /// How a service stands.
    pub(crate) fn standing(&self, token: ServiceToken) -> Option<Standing> {
        self.actor.core.state.standing(token)
    }

    /// In which state a service is.
    pub(crate) fn state_of(&self, token: ServiceToken) -> Option<ServiceState> {
        let link = self.actor.core.cells.link(token)?;
        Some(link.core().state())
    }

    /// The supervisor itself, as a service: what is needed to refer to it.
    pub(crate) fn owner(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        let owner = self.actor.core.cells.owner()?;
        Some(Arc::clone(owner).into_any())
    }

    pub(crate) fn add<A: Actor>(
        &mut self,
        spec: ServiceSpec<A>,
    ) -> Result<ServiceRef<A>, AddError> {
        self.actor.turn(self.ctx, |core| core.add(spec))
    }

    /// Adds a service, and tells somebody how its first start goes; if that fails, it is forgotten.
    pub(crate) fn add_and_tell<A: Actor>(
        &mut self,
        spec: ServiceSpec<A>,
    ) -> Result<Awaiting<A>, AddError> {
        self.actor.turn(self.ctx, |core| {
            let service = core.add(spec)?;
            let (tx, rx) = oneshot::channel();
            core.await_ready(service.clone()).reply_to(Some(tx));
            Ok(Awaiting { service, ready: rx })
        })
    }

    /// Gives a service another factory and other rules, from its next start on. If they are refused, it keeps those it has.
    pub(crate) fn renew<A: Actor>(
        &mut self,
        service: &ServiceRef<A>,
        spec: ServiceSpec<A>,
    ) -> Result<(), SpecError> {
        let token = service.token();
        let (rules, factory) = spec.into_parts();
        self.actor
            .turn(self.ctx, |core| core.state.renew(token, rules))?;
        service.core().set_factory(Box::new(factory));
        Ok(())
    }

    /// Removes a service. Whoever wants to is told why it ended.
    pub(crate) fn remove(&mut self, token: ServiceToken) -> Receiver<ExitReason, RemoveError> {
        let (tx, rx) = oneshot::channel();
        let answer = self.ask(
            |state, waiter| state.remove(token, waiter, now()),
            |answer| match answer {
                Answer::Removed(result) => Some(result),
                _ => None,
            },
        );
        answer.reply_to(Some(tx));
        rx
    }

    /// Restarts a service, and waits for nothing.
    pub(crate) fn restart(&mut self, token: ServiceToken) {
        let _nobody_waits = self.ask(
            |state, waiter| state.restart(token, waiter, now()),
            |_| None::<Result<(), _>>,
        );
    }

    /// Gives a service another chance that was given up, and waits for nothing.
    pub(crate) fn reset(&mut self, token: ServiceToken) {
        let _nobody_waits = self.ask(
            |state, waiter| state.reset(token, waiter, now()),
            |_| None::<Result<(), _>>,
        );
    }

    /// Says whether a service is to go on whose incarnation has ended.
    pub(crate) fn answer_end(&mut self, token: ServiceToken, ticket: u64, goes: Goes) {
        self.actor.turn(self.ctx, |core| {
            core.state.answered(token, ticket, goes, now());
        });
    }

    /// A service that is about to be started is to go on, once what it requires elsewhere is ready.
    pub(crate) fn let_start(&mut self, token: ServiceToken, ticket: u64, sought: Awaited) {
        self.actor.turn(self.ctx, |core| {
            if sought.paths.is_empty() {
                core.state.found(token, ticket, now());
            } else {
                core.cells.find(token, ticket, sought);
            }
        });
    }

    /// Says since when what says which services are to run cannot be read.
    pub(crate) fn set_unreachable(&mut self, since: Option<Instant>) {
        self.actor.core.stewarded.unreachable = since;
    }

    /// Tells something of the supervisor.
    pub(crate) fn tell(&mut self, kind: EventKind) {
        self.actor
            .turn(self.ctx, |core| core.state.report_self(kind, now()));
    }

    fn ask<T, E>(
        &mut self,
        operation: impl FnOnce(&mut SupervisorState, Waiter) -> Result<(), E>,
        translate: impl FnOnce(Answer) -> Option<Result<T, E>> + Send + 'static,
    ) -> Deferred<Result<T, E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.actor.turn(self.ctx, |core| {
            core.answers.ask(&mut core.state, operation, translate)
        })
    }
}

/// A service that was added, and how its first start goes.
pub(crate) struct Awaiting<A: Actor> {
    pub(crate) service: ServiceRef<A>,
    pub(crate) ready: Receiver<ServiceRef<A>, StartError>,
}

/// Gets the answer to something that was asked for.
pub(crate) type Receiver<T, E> = oneshot::Receiver<Result<T, E>>;
