//! The messages of a supervisor, each one call of the state.

use std::sync::Arc;

use actix::prelude::*;

use super::{
    actor::{Core, SupervisorActor},
    answers::Deferred,
    clock::now,
    message,
    scope_run::AddMember,
};
use crate::{
    policy::SpecError,
    registry::ServiceSummary,
    service::{ServiceRef, StartError},
    state::{AddError, Answer, ShutdownReport, Unready},
    tree::ShutdownError,
};

impl<A> Handler<message::Add<A>> for SupervisorActor
where
    A: Actor,
{
    type Result = Result<ServiceRef<A>, AddError>;

    fn handle(&mut self, msg: message::Add<A>, ctx: &mut Self::Context) -> Self::Result {
        self.turn(ctx, |core| core.add(msg.0))
    }
}

impl<A> Handler<message::AddAndWait<A>> for SupervisorActor
where
    A: Actor,
{
    type Result = Deferred<Result<ServiceRef<A>, StartError>>;

    fn handle(&mut self, msg: message::AddAndWait<A>, ctx: &mut Self::Context) -> Self::Result {
        let awaited = ctx.answer_is_awaited();
        // One turn for both: no notice can come between, so that the first start is awaited whatever becomes of it.
        self.turn(ctx, |core| match core.add(msg.0) {
            Err(refused) => Deferred::now(Err(refused.into())),
            // Kept then, whatever becomes of its first start.
            Ok(service) if !awaited => Deferred::now(Ok(service)),
            Ok(service) => core.await_ready(service),
        })
    }
}

/// An operation of the state on one service.
macro_rules! operation {
    ($message:ident, $operation:ident, $answer:ident) => {
        impl Handler<message::$message> for SupervisorActor {
            type Result = Deferred<<message::$message as Message>::Result>;

            fn handle(&mut self, msg: message::$message, ctx: &mut Self::Context) -> Self::Result {
                self.turn(ctx, |core| {
                    core.answers.ask(
                        &mut core.state,
                        |state, waiter| state.$operation(msg.0, waiter, now()),
                        |answer| match answer {
                            Answer::$answer(result) => Some(result),
                            _ => None,
                        },
                    )
                })
            }
        }
    };
}

operation!(Remove, remove, Removed);
operation!(Reset, reset, Reset);
operation!(Restart, restart, Restarted);
operation!(Stop, stop, Stopped);

impl Handler<message::Shutdown> for SupervisorActor {
    type Result = Deferred<Result<ShutdownReport, ShutdownError>>;

    fn handle(&mut self, msg: message::Shutdown, ctx: &mut Self::Context) -> Self::Result {
        self.turn(ctx, |core| {
            // Also if the supervisor ends already: any number may ask, and all get the same report.
            let deferred = core.answers.await_end(&mut core.state);
            core.ending.shut_down();
            let now = now();
            let deadline = msg.within.and_then(|within| now.checked_add(within));
            core.shutdown(deadline, now);
            deferred
        })
    }
}

impl Handler<message::Reconfigure> for SupervisorActor {
    type Result = Result<(), SpecError>;

    fn handle(&mut self, msg: message::Reconfigure, ctx: &mut Self::Context) -> Self::Result {
        let replaced = self.turn(ctx, |core| core.state.reconfigure(msg.0.rules, now()));
        // The rules before are dropped after the turn: closures of users are in them, whose `Drop` may take its time.
        replaced.map(drop)
    }
}

impl Handler<message::Count> for SupervisorActor {
    type Result = MessageResult<message::Count>;

    fn handle(&mut self, _: message::Count, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.core.counts())
    }
}

impl Handler<message::Services> for SupervisorActor {
    type Result = Vec<ServiceSummary>;

    fn handle(&mut self, _: message::Services, _: &mut Self::Context) -> Self::Result {
        self.core.summaries()
    }
}

impl Handler<message::Report> for SupervisorActor {
    type Result = MessageResult<message::Report>;

    fn handle(&mut self, _: message::Report, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.core.report())
    }
}

impl<A> Handler<AddMember<A>> for SupervisorActor
where
    A: Actor,
{
    type Result = Result<ServiceRef<A>, AddError>;

    fn handle(&mut self, msg: AddMember<A>, ctx: &mut Self::Context) -> Self::Result {
        let AddMember { spec, run } = msg;
        self.turn(ctx, |core| {
            // Asked on the supervisor's turn, so that a scope takes no member after it was told to end. A run is over before the next one
            // begins, so this also refuses what was meant for an earlier start.
            if run.is_ending() {
                return Err(AddError::ShuttingDown);
            }
            core.add(spec)
        })
    }
}

impl Core {
    /// Waits for the first start of a service that was added just now.
    fn await_ready<A: Actor>(
        &mut self,
        service: ServiceRef<A>,
    ) -> Deferred<Result<ServiceRef<A>, StartError>> {
        let token = service.token();
        let deferred = self.answers.ask(
            &mut self.state,
            |state, waiter| {
                state.await_ready(token, waiter, now());
                Ok(())
            },
            move |answer| match answer {
                Answer::Ready(Ok(())) => Some(Ok(service)),
                Answer::Ready(Err(unready)) => {
                    let path = Arc::from(service.path());
                    Some(Err(match unready {
                        Unready::Declined => StartError::Declined { path },
                        Unready::Failed { reason, unwinding } => StartError::Failed {
                            path,
                            reason,
                            unwinding,
                        },
                    }))
                }
                _ => None,
            },
        );
        self.state.set_presence(token, deferred.presence());
        deferred
    }
}
