//! The messages of a supervisor, each one call of the state.

use std::sync::Arc;

use actix::prelude::*;

use super::{
    actor::{Core, Requests, SupervisorActor},
    answers::Deferred,
    carried::{Way, carried},
    clock::now,
    message::{self, Asker},
    report::{Report, look_at},
    scope_run::AddMember,
};
use crate::{
    event::Operation,
    service::{Reply, ServiceContext, ServiceRef, ServiceSpec, StartError},
    state::{AddError, Answer, ShutdownReport, StopBy, Unready},
    token::ServiceToken,
    tree::ShutdownError,
};

impl SupervisorActor {
    /// Hands the state a request, unless the supervisor is down until somebody starts it.
    fn ask<T: Send + 'static>(
        &mut self,
        ctx: &mut ServiceContext<Self>,
        request: impl FnOnce(&mut Core) -> Deferred<T>,
    ) -> Deferred<T> {
        match self.core.requests {
            Requests::Refused | Requests::Unread => Deferred::refused(),
            Requests::Served => self.turn(ctx, request),
        }
    }

    /// As [`ask`](Self::ask), where the answer is known at once.
    fn ask_now<T: Send + 'static>(
        &mut self,
        ctx: &mut ServiceContext<Self>,
        request: impl FnOnce(&mut Core) -> T,
    ) -> Deferred<T> {
        self.ask(ctx, |core| Deferred::now(request(core)))
    }
}

/// A message whose handler is one call of the core, which gets the message and may answer later.
macro_rules! request {
    ($message:ty, $ask:ident, $request:expr) => {
        impl Handler<$message> for SupervisorActor {
            type Result = Deferred<<$message as Message>::Result>;

            fn handle(&mut self, msg: $message, ctx: &mut Self::Context) -> Self::Result {
                let request: fn(&mut Core, $message) -> _ = $request;
                self.$ask(ctx, |core| request(core, msg))
            }
        }
    };
}

/// A message that is an operation of the state on one service, which may be one of another supervisor.
macro_rules! operation {
    ($message:ident, $operation:ident, $answer:ident) => {
        impl Handler<message::$message> for SupervisorActor {
            type Result = Deferred<<message::$message as Message>::Result>;

            fn handle(&mut self, msg: message::$message, ctx: &mut Self::Context) -> Self::Result {
                let token = match self.core.way(&msg.service) {
                    Ok(Way::Here(token)) => token,
                    // Also if this supervisor is down itself: it may be what is to be restarted.
                    Ok(Way::Through(next)) => return carried(msg, next),
                    Err(unaddressed) => return self.ask_now(ctx, |_| Err(unaddressed.into())),
                };
                self.ask(ctx, |core| {
                    core.note_asker(Some(token), Operation::$message, msg.by);
                    core.answers.ask(
                        &mut core.state,
                        |state, waiter| state.$operation(token, waiter, now()),
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

request!(message::Count, ask_now, |core, _| core.counts());
request!(message::Report, ask, |core, _| core.report());
request!(message::Services, ask_now, |core, _| core.summaries());
request!(message::Reconfigure, ask_now, |core, msg| {
    core.note_asker(None, Operation::Reconfigure, msg.by);
    core.reconfigure(msg.spec)
});

impl<A: Actor> Handler<message::Add<A>> for SupervisorActor {
    type Result = Deferred<Result<ServiceRef<A>, AddError>>;

    fn handle(&mut self, msg: message::Add<A>, ctx: &mut Self::Context) -> Self::Result {
        self.ask_now(ctx, |core| core.add_for(msg.service, msg.by))
    }
}

impl<A: Actor> Handler<message::AddAndWait<A>> for SupervisorActor {
    type Result = Deferred<Result<ServiceRef<A>, StartError>>;

    fn handle(&mut self, msg: message::AddAndWait<A>, ctx: &mut Self::Context) -> Self::Result {
        let awaited = ctx.answer_is_awaited();
        // One turn for both: no notice can come between, so that the first start is awaited whatever becomes of it.
        self.ask(ctx, |core| match core.add_for(msg.service, msg.by) {
            Err(refused) => Deferred::now(Err(refused.into())),
            // Kept then, whatever becomes of its first start.
            Ok(service) if !awaited => Deferred::now(Ok(service)),
            Ok(service) => core.await_ready(service),
        })
    }
}

impl Handler<message::Shutdown> for SupervisorActor {
    type Result = Deferred<Result<ShutdownReport, ShutdownError>>;

    fn handle(&mut self, msg: message::Shutdown, ctx: &mut Self::Context) -> Self::Result {
        // Never refused: a supervisor that is down is removed.
        self.turn(ctx, |core| {
            // Also if the supervisor ends already: any number may ask, and all get the same report.
            let deferred = core.answers.await_end(&mut core.state);
            let within = || StopBy::within(msg.within?, now());
            core.be_shut_down(msg.by.or_else(within));
            deferred
        })
    }
}

impl<A: Actor> Handler<AddMember<A>> for SupervisorActor {
    type Result = Deferred<Result<ServiceRef<A>, AddError>>;

    fn handle(&mut self, msg: AddMember<A>, ctx: &mut Self::Context) -> Self::Result {
        self.ask_now(ctx, |core| {
            // Asked on the supervisor's turn, so that a scope takes no member after it was told to end. A run is over before the next one
            // begins, so this also refuses what was meant for an earlier start.
            if msg.run.is_ending() {
                return Err(AddError::ShuttingDown);
            }
            core.add(msg.spec)
        })
    }
}

impl Core {
    /// Adds a service, and says who has asked for that.
    fn add_for<A: Actor>(
        &mut self,
        service: ServiceSpec<A>,
        by: Asker,
    ) -> Result<ServiceRef<A>, AddError> {
        let service = self.add(service)?;
        self.note_asker(Some(service.token()), Operation::Add, by);
        Ok(service)
    }

    /// Says who asks for an operation on a service, or on the supervisor itself, before it is carried out.
    fn note_asker(&mut self, token: Option<ServiceToken>, operation: Operation, by: Asker) {
        if let Some(by) = by {
            self.state.requested(token, operation, by, now());
        }
    }

    /// A picture of the supervisor and what is below it. Others are asked for it as well, so that it takes its time.
    fn report(&self) -> Deferred<Report> {
        let (Some(tree), Some(owner)) = (self.cells.tree(), self.cells.owner()) else {
            return Deferred::refused();
        };
        let looking = look_at(Arc::clone(tree), Arc::clone(owner));
        Deferred::elsewhere(move |asked| {
            let Some(asked) = asked.map(Reply::new) else {
                return;
            };
            actix_rt::spawn(async move {
                if let Ok(report) = looking.await {
                    asked.give(report);
                }
            });
        })
    }

    /// Waits for the first start of a service that was added just now.
    pub(super) fn await_ready<A: Actor>(
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
