//! Services that are functions: async ones, and ones that block a thread of their own.
//!
//! Each is an actix actor, [`TaskActor`], that runs one function for each incarnation and ends with it. This module decides nothing:
//! what follows when a function returns, fails, panics or overruns its time is decided as for every service.
//!
//! # Invariants
//!
//! 1. An incarnation of a task is over when its [`Shared`] says so; that is said before its supervisor hears of the end.
//! 2. A panic of blocking work ends the incarnation that began it, or is logged if that one is over; it is never lost.
//! 3. A service that is to end with the incarnation that spawned it is asked to stop when that one ends, also if it was being added
//!    at that moment.

mod actor;
mod blocking;
mod context;
mod lineage;
mod shared;
mod spawn;

use std::{future::Future, sync::Arc};

pub(crate) use self::spawn::run_once;
pub use self::{
    actor::TaskActor,
    blocking::{BlockingContext, BlockingError, BlockingWork},
    context::TaskContext,
    spawn::{Lifetime, Spawn},
};
use self::{lineage::Lineage, shared::Shared};
use crate::{
    policy::IntoServiceError,
    service::{ServiceSpec, StartContext},
};

impl ServiceSpec<TaskActor> {
    /// An async function as a service.
    ///
    /// The function is called once for each incarnation, on the service's arbiter, and the future that it returns is polled there; the
    /// future need not be `Send`. The service is ready as soon as it is started, or with [`Readiness::Explicit`](crate::Readiness) when
    /// the function calls [`ready`](TaskContext::ready). It ends like this:
    ///
    /// | the function | the incarnation ends with |
    /// |-|-|
    /// | returns `Ok` | [`Normal`](crate::ExitReason::Normal), or [`Shutdown`](crate::ExitReason::Shutdown) if it was asked to stop |
    /// | returns `Err` | [`Failed`](crate::ExitReason::Failed); an error with a [`Verdict`](crate::Verdict) among its sources carries that |
    /// | panics, or its blocking work does | [`Panicked`](crate::ExitReason::Panicked) |
    /// | runs on after its stop timeout | [`Killed`](crate::ExitReason::Killed): it is dropped at its present `await` |
    ///
    /// One that returns before it is ready has failed to start. With the default [`RestartType::Permanent`](crate::RestartType) a function that
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
    ///     Ok::<_, std::io::Error>(()) // after work that must not be cut off
    /// });
    /// let poller = root.add_and_wait(poller).await?;
    /// assert_eq!(root.remove(poller.token()).await?, ExitReason::Shutdown);
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn task<F, T, E, B>(name: impl Into<Arc<str>>, mut function: F) -> Self
    where
        F: FnMut(TaskContext) -> T + Send + 'static,
        T: Future<Output = Result<(), E>> + 'static,
        E: IntoServiceError<B>,
    {
        let lineage = Arc::<Lineage>::default();
        Self::try_new(name, move |start: &StartContext| {
            let shared = Arc::new(Shared::new(start, &lineage));
            Ok::<_, std::convert::Infallible>(TaskActor::new(shared, &mut function))
        })
    }
}
