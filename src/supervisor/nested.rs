//! A supervisor as a service of another one.

use std::{sync::Arc, task::Context};

use super::actor::{Core, SupervisorActor};
use crate::{
    policy::{Readiness, ServiceError, Shutdown},
    service::{Factory, Idle, Making, ServiceContext, ServiceSpec, StartContext, StartError},
};

impl ServiceSpec<SupervisorActor> {
    /// A supervisor as a service of another one.
    ///
    /// It is ready when all services are that it was given before its first start, stops all when it is stopped ([`Shutdown::Infinity`] by
    /// default), and keeps them, with their addresses, when it is restarted itself. Such a restart is never stricter than the life before: one
    /// that was added later, or was down, does not fail the start. Those of the first start begin anew, also if they had given up or were
    /// stopped; what was added later goes on waiting for what it requires or for its own delay, or stays given up. Those that were
    /// added after its first start and are [`Temporary`](crate::RestartType::Temporary) end with the life that they were added to.
    ///
    /// If its [`SupervisorSpec`](crate::SupervisorSpec) makes no sense, [`add`](crate::SupervisorRef::add) refuses it.
    pub fn supervisor(supervisor: SupervisorActor) -> Self {
        let name = Arc::clone(supervisor.core.name());
        // Said by whoever it is added to, since this cannot fail.
        let refused = supervisor.core.refused().cloned();
        let shown = supervisor.core.shown;
        let factory = SupervisorFactory {
            core: Some(supervisor.core),
        };
        // No limit by default: each of its services has one, and the supervisor ends when they have.
        let mut spec = Self::with_factory(name, Box::new(factory))
            .readiness(Readiness::Explicit)
            .shutdown(Shutdown::Infinity)
            .shown_as(shown);
        if let Some(refused) = refused {
            spec.refuse(refused);
        }
        spec
    }
}

/// The factory of a supervisor below another one: keeps the core between two incarnations.
struct SupervisorFactory {
    /// `None` while an incarnation has it, and after a panic of [`Core::end_incarnation`].
    core: Option<Box<Core>>,
}

impl Factory<SupervisorActor> for SupervisorFactory {
    fn make(
        &mut self,
        _: StartContext,
        _: &mut ServiceContext<SupervisorActor>,
    ) -> Making<SupervisorActor> {
        let core = self.core.take().ok_or(StartError::SupervisorGone);
        let actor = core.map(|core| SupervisorActor { core });
        Making::Done(actor.map_err(ServiceError::new))
    }

    fn take_back(
        &mut self,
        SupervisorActor { mut core }: SupervisorActor,
    ) -> Option<SupervisorActor> {
        // Before the cell tells the end: the supervisor above may start the next incarnation as soon as it hears of it.
        core.end_incarnation();
        self.core = Some(core);
        None
    }

    fn idle(&mut self, ctx: &mut ServiceContext<SupervisorActor>, cx: &mut Context<'_>) -> Idle {
        let Some(core) = self.core.take() else {
            return Idle::Nothing;
        };
        let mut actor = SupervisorActor { core };
        actor.idle(ctx, cx);
        self.core = Some(actor.core);
        Idle::Messages
    }

    fn released(&mut self) {
        if let Some(core) = &mut self.core {
            core.released();
        }
    }
}

impl Drop for SupervisorFactory {
    /// A cell that is released may be dropped with its thread before it obeys.
    fn drop(&mut self) {
        if let Some(core) = &mut self.core {
            core.tell_noted_end();
        }
    }
}
