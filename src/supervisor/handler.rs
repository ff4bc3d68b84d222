//! The messages of a supervisor, each one call of the state.

use actix::prelude::*;

use super::{Deferred, SupervisorActor, clock::now, core::Core, message};
use crate::{
    policy::{ExitReason, SpecError},
    registry::ServiceSummary,
    service::{ServiceRef, StartError, guard},
    state::{
        AddError, Answer, RemoveError, ResetError, RestartError, ShutdownReport, StopError, Waiter,
    },
    tree::ShutdownError,
};

impl<A> Handler<message::Add<A>> for SupervisorActor
where
    A: Actor,
{
    type Result = Result<ServiceRef<A>, AddError>;

    fn handle(&mut self, msg: message::Add<A>, ctx: &mut Self::Context) -> Self::Result {
        self.decide(ctx, |core| core.add(msg.0))
    }
}

impl<A> Handler<message::AddAndWait<A>> for SupervisorActor
where
    A: Actor,
{
    type Result = Deferred<Result<ServiceRef<A>, StartError>>;

    fn handle(&mut self, msg: message::AddAndWait<A>, ctx: &mut Self::Context) -> Self::Result {
        self.decide(ctx, |core| match core.add(msg.0) {
            Err(refused) => Deferred::now(Err(refused.into())),
            Ok(service) => {
                let token = service.token();
                core.ask(
                    |core, waiter| {
                        core.state.await_ready(token, waiter, now());
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
        self.decide(ctx, |core| {
            core.ask(
                |core, waiter| core.state.remove(msg.0, waiter, now()),
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
        self.decide(ctx, |core| {
            core.ask(
                |core, waiter| core.state.stop(msg.0, waiter, now()),
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
        self.decide(ctx, |core| {
            core.ask(
                |core, waiter| core.state.restart(msg.0, waiter, now()),
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
        self.decide(ctx, |core| {
            core.ask(
                |core, waiter| core.state.reset(msg.0, waiter, now()),
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
        self.decide(ctx, |core| {
            let (deferred, give) = Deferred::new();
            core.await_end(move |report| give(Ok(report)));
            core.state.shutdown(msg.within, now());
            if msg.within.is_some() {
                core.pass_on_limits();
            }
            deferred
        })
    }
}

impl Handler<message::Reconfigure> for SupervisorActor {
    type Result = Result<(), SpecError>;

    fn handle(&mut self, msg: message::Reconfigure, ctx: &mut Self::Context) -> Self::Result {
        let rules = msg.0.rules;
        let refused = rules.clone();
        let replaced = self.decide(ctx, |core| core.state.reconfigure(rules, now()));
        let (before, done) = match replaced {
            Ok(before) => (before, Ok(())),
            Err(error) => (refused, Err(error)),
        };
        // The user's closures are in it: what they hold may panic when it is dropped.
        let _nobody_to_tell = guard(move || drop(before));
        done
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
        MessageResult(self.core.report(now()))
    }
}

impl Core {
    /// Asks the state for something that it may answer later.
    fn ask<T, E>(
        &mut self,
        operation: impl FnOnce(&mut Self, Waiter) -> Result<(), E>,
        translate: impl FnOnce(Answer) -> Result<T, E> + Send + 'static,
    ) -> Deferred<Result<T, E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (deferred, give) = Deferred::new();
        let waiter = self.wait(move |answer| give(translate(answer)));
        match operation(self, waiter) {
            Ok(()) => deferred,
            Err(refused) => {
                self.forget_waiter(waiter);
                Deferred::now(Err(refused))
            }
        }
    }
}
