//! What an async function that is a service knows and can do.

use std::{fmt, future::Future, pin::pin, sync::Arc};

use actix::Actor;
use futures::future::{Either, select};
use tracing::Span;

use super::{
    shared::{Shared, TaskState},
    work::BlockingWork,
};
use crate::{
    service::{ServiceRef, StartError, side_by_side},
    supervisor::{SupervisorRef, Upward},
    token::ServiceToken,
};

/// The context of an async function that is a service: one for each incarnation.
///
/// Given to the function of [`ServiceSpec::task`](crate::ServiceSpec::task). Cheap to clone, and may be used from any thread. A clone that outlives
/// its incarnation keeps nothing alive: what it tells the supervisor is ignored, and what it spawns
/// is removed at once unless it is [`Independent`](super::Lifetime::Independent).
#[derive(Clone)]
pub struct TaskContext {
    pub(super) shared: Arc<Shared>,
}

impl TaskContext {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Tells the supervisor that the service is ready.
    ///
    /// For a service with [`Readiness::Explicit`](crate::Readiness), and harmless for any other. The first call in an incarnation counts.
    pub fn ready(&self) {
        self.shared.announce();
    }

    /// Resolves when the service is asked to stop, at once if it was already.
    ///
    /// The function runs on meanwhile and after that, until it returns or its stop timeout is over. The future borrows nothing.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(TaskState::Stopping)
    }

    /// Resolves when the incarnation is over, for whatever reason.
    ///
    /// For work that runs outside of the function, as a task of tokio or in a thread: the function itself is dropped then. A service that is
    /// killed may never have been asked to stop. The future borrows nothing.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn killed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(TaskState::Ended)
    }

    /// Resolves when the incarnation has come to `state`, or to one after it.
    fn reached(&self, state: TaskState) -> impl Future<Output = ()> + Send + use<> {
        let mut states = self.shared.states();
        async move {
            // An error means that the actor and all contexts are dropped: the incarnation is over, which is the last state.
            let _over = side_by_side(states.wait_for(|present| *present >= state)).await;
        }
    }

    /// Reports whether the service was asked to stop, or is over.
    pub fn is_stopping(&self) -> bool {
        self.shared.state() >= TaskState::Stopping
    }

    /// Reports whether the incarnation is over.
    pub fn is_killed(&self) -> bool {
        self.shared.state() == TaskState::Ended
    }

    /// The name of the service, unique among its siblings.
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// The names from the root to the service, as in `root/db/pool`.
    pub fn path(&self) -> &str {
        self.shared.start.path()
    }

    /// The token that names the service.
    pub fn token(&self) -> ServiceToken {
        self.shared.start.token()
    }

    /// The number of this incarnation: 0 for the first, one more after each start.
    pub fn generation(&self) -> u64 {
        self.shared.generation
    }

    /// The supervisor of the service.
    ///
    /// Holding what this returns keeps the tree running, see [`SupervisorRef`].
    ///
    /// # Panics
    ///
    /// Never: a task is started by a supervisor that is part of a tree.
    pub fn supervisor(&self) -> SupervisorRef {
        self.shared
            .upward()
            .and_then(Upward::supervisor)
            .expect("a task is started by a supervisor that is part of a tree")
    }

    /// The span of the incarnation, which is entered whenever the function is called, polled or dropped, and around its blocking work, see
    /// [`docs::observing`](crate::docs::observing). Disabled if nobody listened when the incarnation was begun.
    pub fn span(&self) -> &Span {
        self.shared.span.get()
    }

    /// The reference of a sibling that this service [requires](crate::ServiceSpec::requires).
    ///
    /// # Errors
    ///
    /// As [`StartContext::get`](crate::StartContext::get).
    pub fn get<A>(&self, name: &str) -> Result<ServiceRef<A>, StartError>
    where
        A: Actor,
    {
        self.shared.start.get(name)
    }

    /// Runs a function that blocks, on tokio's pool for such functions, and gives its result.
    ///
    /// It begins at once, whether what this returns is awaited or not, and inside the [span](Self::span). A panic in it is a panic of the service: the
    /// incarnation ends with [`ExitReason::Panicked`](crate::ExitReason), with the place of the panic, even if nobody awaits the result. Once the
    /// incarnation is over, such a panic is logged.
    ///
    /// Nothing can stop a thread: after a stop or a kill the function runs on to its end, and its result is dropped. A long one should look at
    /// [`is_stopping`](Self::is_stopping) of a clone of the context. A runtime waits for it when it is shut down, so that one that never returns keeps the
    /// program from ending; [`ServiceSpec::blocking`](crate::ServiceSpec::blocking) does not.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the result and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use resurgam::{ServiceSpec, SupervisorActor, TaskContext};
    /// use tokio::sync::mpsc;
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let (answers, mut answer) = mpsc::unbounded_channel();
    /// root.add(ServiceSpec::task("sums", move |cx: TaskContext| {
    ///     let answers = answers.clone();
    ///     async move {
    ///         let sum: u64 = cx.run_blocking(|| (1..=100).sum()).await?;
    ///         answers.send(sum)?;
    ///         cx.shutdown().await;
    ///         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    ///     }
    /// }))
    /// .await?;
    /// assert_eq!(answer.recv().await, Some(5050));
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_blocking<F, T>(&self, function: F) -> BlockingWork<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        BlockingWork::begin(&self.shared, function)
    }

    /// Runs `work` until it is done, or until the service is asked to stop: then `work` is dropped, and this gives `None`.
    ///
    /// If both happen at the same time the result is given: what is done is never lost. Blocking work that is dropped runs on, see
    /// [`run_blocking`](Self::run_blocking); await a `&mut` of it to get its result later.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `work`.
    pub async fn run_until_shutdown<F: Future>(&self, work: F) -> Option<F::Output> {
        // `select` asks its first future first.
        match select(pin!(work), pin!(self.shutdown())).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(((), _)) => None,
        }
    }

    /// Runs `work` until it is done, or until the service is asked to stop: then `work` is dropped, and this gives what `clean_up` gives.
    ///
    /// `clean_up` is called only then, after the drop, and has until the stop timeout. If both happen at the same time the result
    /// of `work` is given.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as `work` and `clean_up` are.
    pub async fn run_until_shutdown_or<F, C, T>(&self, work: F, clean_up: C) -> F::Output
    where
        F: Future,
        C: FnOnce() -> T,
        T: Future<Output = F::Output>,
    {
        match self.run_until_shutdown(work).await {
            Some(done) => done,
            None => clean_up().await,
        }
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext")
            .field("path", &self.path())
            .field("generation", &self.generation())
            .field("state", &self.shared.state())
            .finish_non_exhaustive()
    }
}
