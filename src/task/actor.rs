//! The actor that runs a function.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Running};
use tracing::Instrument;

use super::{
    TaskContext,
    shared::{Shared, Stage},
};
use crate::{
    policy::{ExitReason, IntoServiceError, ServiceError},
    service::ServiceContext,
    state::Exit,
};

/// What is left to run of a function.
type Work = Pin<Box<dyn Future<Output = Result<(), ServiceError>>>>;

/// The actor of a service that is a function, see [`ServiceSpec::task`](crate::ServiceSpec::task) and
/// [`ServiceSpec::blocking`](crate::ServiceSpec::blocking).
///
/// It handles no messages; its [`ServiceRef`](crate::ServiceRef) names the service.
pub struct TaskActor {
    shared: Arc<Shared>,
    /// `None` when the function has returned.
    work: Option<Work>,
    stop: Stop,
}

/// Whether the supervisor is to be told that the function needs time to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    /// If it is still there after it was polled.
    Asked,
    Unasked,
}

impl TaskActor {
    /// Calls the function, and keeps its future.
    pub(super) fn new<F, T, E, B>(shared: Arc<Shared>, function: F) -> Self
    where
        F: FnOnce(TaskContext) -> T,
        T: Future<Output = Result<(), E>> + 'static,
        E: IntoServiceError<B>,
    {
        let cx = TaskContext::new(Arc::clone(&shared));
        let span = shared.span.clone();
        // First the actor: a call that panics drops it, and the incarnation is over.
        let mut actor = Self {
            shared,
            work: None,
            stop: Stop::Unasked,
        };
        let future = span.in_scope(|| function(cx));
        let work = async move { future.await.map_err(E::into_service_error) };
        actor.work = Some(Box::pin(work.instrument(span)));
        actor
    }

    /// Runs the function as far as it goes.
    fn advance(&mut self, ctx: &mut ServiceContext<Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.drive(cx.waker());
        let Some(work) = &mut self.work else {
            return Poll::Ready(());
        };
        // Asked before and after: the work's own panic comes before whatever the function makes of it.
        let polled = if let Some(panic) = self.shared.take_panic() {
            Err(panic)
        } else {
            let polled = work.as_mut().poll(cx);
            self.shared.take_panic().map_or(Ok(polled), Err)
        };
        match polled {
            Ok(Poll::Pending) => {
                if self.stop == Stop::Asked {
                    self.stop = Stop::Unasked;
                    self.shared.acknowledge();
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(result)) => {
                self.work = None;
                let core = self.shared.start.link().core();
                match result {
                    // Killed: whoever gave the command has woken the cell, which obeys in its next poll.
                    Ok(()) if core.is_overruled() => return Poll::Pending,
                    // A function that blocked its thread has seen the request before its cell could.
                    Ok(()) if core.is_told_to_end() => {
                        ctx.end_with(Exit::from(ExitReason::Shutdown));
                    }
                    Ok(()) => ctx.stop(),
                    Err(error) => ctx.fail(error),
                }
            }
            Err(panic) => ctx.end_with(Exit::from(panic)),
        }
        Poll::Ready(())
    }
}

impl Actor for TaskActor {
    type Context = ServiceContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Drive);
    }

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        if self.work.is_none() {
            return Running::Stop;
        }
        self.shared.advance(Stage::Stopping);
        // A function that returns at once ends in its place in the order: time is asked for only if it is needed.
        self.stop = Stop::Asked;
        ctx.stop_later();
        Running::Continue
    }
}

impl Drop for TaskActor {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl fmt::Debug for TaskActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskActor")
            .field("path", &self.shared.start.path())
            .field("generation", &self.shared.generation)
            .finish_non_exhaustive()
    }
}

/// Polls the function in its turn.
struct Drive;

impl ActorFuture<TaskActor> for Drive {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut TaskActor,
        ctx: &mut ServiceContext<TaskActor>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        actor.advance(ctx, cx)
    }
}
