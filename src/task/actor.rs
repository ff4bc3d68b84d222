//! The actor that runs a function.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Running};

use super::{
    context::TaskContext,
    lineage::Lineage,
    shared::{Shared, TaskState},
};
use crate::{
    policy::{ExitReason, ServiceError, TaskOutput},
    service::{ReportedKind, ServiceContext, ServiceSpec, StartContext},
    state::Exit,
};

/// The actor of a service that is a function, see [`ServiceSpec::task`](crate::ServiceSpec::task) and
/// [`ServiceSpec::blocking`](crate::ServiceSpec::blocking).
///
/// It handles no messages; its [`ServiceRef`](crate::ServiceRef) names the service.
pub struct TaskActor {
    shared: Arc<Shared>,
    /// `None` when the function has returned.
    work: Option<Work>,
    /// Whether the supervisor has asked for a stop, and is to be told that the function needs time.
    owes_answer: bool,
}

impl TaskActor {
    /// Calls the function, and keeps its future.
    pub(super) fn new<F, T, B>(shared: Arc<Shared>, function: F) -> Self
    where
        F: FnOnce(TaskContext) -> T,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        let cx = TaskContext::new(Arc::clone(&shared));
        // The actor comes first: if the call panics, its `Drop` tells the contexts that the incarnation is over.
        let mut actor = Self {
            shared,
            work: None,
            owes_answer: false,
        };
        let future = function(cx);
        let work = async move { future.await.into_result() };
        actor.work = Some(Box::pin(work));
        actor
    }

    /// Runs the function as far as it goes.
    fn advance(&mut self, ctx: &mut ServiceContext<Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.wake_on_panic(cx.waker());
        let Some(work) = &mut self.work else {
            return Poll::Ready(());
        };
        // Looked for before and after the poll: a panic of blocking work comes before whatever the function makes of the error.
        let polled = if let Some(panic) = self.shared.take_panic() {
            Err(panic)
        } else {
            let polled = work.as_mut().poll(cx);
            self.shared.take_panic().map_or(Ok(polled), Err)
        };
        match polled {
            Ok(Poll::Pending) => {
                // The function has seen the request and runs on: only now is it known that it needs time.
                if mem::take(&mut self.owes_answer) {
                    self.shared.acknowledge();
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(result)) => {
                self.work = None;
                match result {
                    // It was killed while it was polled. Whoever gave the command has woken the cell, which obeys in its next poll.
                    Ok(()) if self.shared.is_overruled() => return Poll::Pending,
                    // A function that blocks its thread sees the request before the cell can, which would call this a normal end.
                    Ok(()) if self.shared.is_told_to_end() => {
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
        self.shared.advance(TaskState::Stopping);
        // Answered after the next poll. To a function that returns in that poll the answer is its end, and the supervisor keeps the order.
        self.owes_answer = true;
        ctx.stop_later();
        Running::Continue
    }
}

impl Drop for TaskActor {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl ServiceSpec<TaskActor> {
    /// An async function as a service.
    ///
    /// The function is called once for each incarnation, on the service's arbiter, and the future that it returns is polled there; the
    /// future need not be `Send`. The service is ready as soon as it is started, or with [`Readiness::Explicit`](crate::Readiness) when
    /// the function calls [`ready`](TaskContext::ready). It ends like this:
    ///
    /// | the function | the incarnation ends with |
    /// |-|-|
    /// | returns `()` or `Ok` | [`Normal`](crate::ExitReason::Normal), or [`Shutdown`](crate::ExitReason::Shutdown) if it was asked to stop |
    /// | returns `Err` | [`Failed`](crate::ExitReason::Failed); an error with a [`Verdict`](crate::Verdict) among its sources carries that |
    /// | panics, or its blocking work does | [`Panicked`](crate::ExitReason::Panicked) |
    /// | runs on after its stop timeout | [`Killed`](crate::ExitReason::Killed): it is dropped at its present `await` |
    ///
    /// What it may return is a [`TaskOutput`](crate::TaskOutput). One that returns before it is ready has failed to start. With the default [`RestartType::Permanent`](crate::RestartType) a function that
    /// returns is called again; one that has work to finish wants `Transient`.
    ///
    /// When it is asked to stop, [`shutdown`](TaskContext::shutdown) resolves and the function runs on, with all its I/O, until it returns.
    /// One that never looks is dropped at its stop timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// use resurgam::{ExitReason, ServiceSpec, SupervisorActor, TaskContext};
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let poller = ServiceSpec::task("poller", |cx: TaskContext| async move {
    ///     while let Some(()) = cx.run_until_shutdown(tokio::task::yield_now()).await {
    ///         // one round of polling
    ///     }
    ///     // and what must not be cut off
    /// });
    /// let poller = root.add_and_wait(poller).await?;
    /// assert_eq!(root.remove(poller.token()).await?, ExitReason::Shutdown);
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn task<F, T, B>(name: impl Into<Arc<str>>, mut function: F) -> Self
    where
        F: FnMut(TaskContext) -> T + Send + 'static,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        let lineage = Arc::<Lineage>::default();
        Self::try_new(name, move |start: &StartContext| {
            let shared = Arc::new(Shared::new(start, &lineage));
            Ok::<_, std::convert::Infallible>(TaskActor::new(shared, &mut function))
        })
        .shown_as(ReportedKind::Task)
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

/// The future of the actor that polls the function.
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

/// The future of a function.
type Work = Pin<Box<dyn Future<Output = Result<(), ServiceError>>>>;
