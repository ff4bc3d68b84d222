//! The messages of a supervisor, each one call of the state.

use actix::prelude::*;

use super::{actor::SupervisorActor, answers::Deferred, clock::now, message, scope_run::AddMember};
use crate::{
    policy::{ExitReason, SpecError},
    registry::ServiceSummary,
    service::{ServiceRef, StartError},
    state::{AddError, Answer, RemoveError, ResetError, RestartError, ShutdownReport, StopError},
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
        // One turn for both: no notice can come between, so that the first start is awaited whatever becomes of it.
        self.turn(ctx, |core| match core.add(msg.0) {
            Err(refused) => Deferred::now(Err(refused.into())),
            Ok(service) => {
                let token = service.token();
                core.answers.ask(
                    &mut core.state,
                    |state, waiter| {
                        state.await_ready(token, waiter, now());
                        Ok(())
                    },
                    move |answer| match answer {
                        Answer::Ready(Ok(())) => Ok(service),
                        Answer::Ready(Err(reason)) => {
                            Err(StartError::failed(service.path(), reason))
                        }
                        _ => Err(StartError::SupervisorGone),
                    },
                )
            }
        })
    }
}

impl Handler<message::Remove> for SupervisorActor {
    type Result = Deferred<Result<ExitReason, RemoveError>>;

    fn handle(&mut self, msg: message::Remove, ctx: &mut Self::Context) -> Self::Result {
        self.turn(ctx, |core| {
            core.answers.ask(
                &mut core.state,
                |state, waiter| state.remove(msg.0, waiter, now()),
                |answer| match answer {
                    Answer::Removed(result) => result,
                    _ => Err(RemoveError::SupervisorGone),
                },
            )
        })
    }
}

impl Handler<message::Stop> for SupervisorActor {
    type Result = Deferred<Result<(), StopError>>;

    fn handle(&mut self, msg: message::Stop, ctx: &mut Self::Context) -> Self::Result {
        self.turn(ctx, |core| {
            core.answers.ask(
                &mut core.state,
                |state, waiter| state.stop(msg.0, waiter, now()),
                |answer| match answer {
                    Answer::Stopped(result) => result,
                    _ => Err(StopError::SupervisorGone),
                },
            )
        })
    }
}

impl Handler<message::Restart> for SupervisorActor {
    type Result = Deferred<Result<(), RestartError>>;

    fn handle(&mut self, msg: message::Restart, ctx: &mut Self::Context) -> Self::Result {
        self.turn(ctx, |core| {
            core.answers.ask(
                &mut core.state,
                |state, waiter| state.restart(msg.0, waiter, now()),
                |answer| match answer {
                    Answer::Restarted(result) => result,
                    _ => Err(RestartError::SupervisorGone),
                },
            )
        })
    }
}

impl Handler<message::Reset> for SupervisorActor {
    type Result = Deferred<Result<(), ResetError>>;

    fn handle(&mut self, msg: message::Reset, ctx: &mut Self::Context) -> Self::Result {
        self.turn(ctx, |core| {
            core.answers.ask(
                &mut core.state,
                |state, waiter| state.reset(msg.0, waiter, now()),
                |answer| match answer {
                    Answer::Reset(result) => result,
                    _ => Err(ResetError::SupervisorGone),
                },
            )
        })
    }
}

impl Handler<message::Shutdown> for SupervisorActor {
    type Result = Deferred<Result<ShutdownReport, ShutdownError>>;

    fn handle(&mut self, msg: message::Shutdown, ctx: &mut Self::Context) -> Self::Result {
        self.turn(ctx, |core| {
            // Also if the supervisor ends already: any number may ask, and all get the same report.
            let deferred = core.answers.await_end();
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
