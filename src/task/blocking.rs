//! Services that are functions which block a thread of their own.

use std::{fmt, sync::Arc};

use tracing::Span;

use super::{
    actor::TaskActor,
    lineage::Lineage,
    shared::{Shared, TaskState},
};
use crate::{
    policy::TaskOutput,
    service::{Placement, ReportedKind, ServiceSpec, StartContext},
    supervisor::{SupervisorRef, Upward},
    token::ServiceToken,
    user_value::UserValue,
};

/// The context of a function that blocks a thread of its own: one for each incarnation.
///
/// Given to the function of [`ServiceSpec::blocking`](crate::ServiceSpec::blocking). Cheap to clone, and may be used from any thread.
#[derive(Clone)]
pub struct BlockingContext {
    shared: Arc<Shared>,
}

impl BlockingContext {
    /// Tells the supervisor that the service is ready.
    ///
    /// For a service with [`Readiness::Explicit`](crate::Readiness), and harmless for any other. The first call in an incarnation counts.
    pub fn ready(&self) {
        self.shared.announce();
    }

    /// Reports whether the function is to return: the service was asked to stop, or was killed.
    ///
    /// The first `true` also tells the supervisor that the stop was noticed, so that it goes on with other services. Costs about as much as
    /// reading a few variables: a function that computes should ask often, one that waits should wait in short pieces.
    pub fn is_stopping(&self) -> bool {
        if self.shared.state() >= TaskState::Stopping {
            return true;
        }
        // The cell cannot take the command as long as the function blocks the thread that it runs on.
        let told = self.shared.is_told_to_end();
        if told {
            self.shared.acknowledge();
        }
        told
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
    /// Never: the function is called by a supervisor that is part of a tree.
    pub fn supervisor(&self) -> SupervisorRef {
        self.shared
            .upward()
            .and_then(Upward::supervisor)
            .expect("a task is started by a supervisor that is part of a tree")
    }

    /// The span that the function runs in, as [`TaskContext::span`](super::TaskContext::span).
    pub fn span(&self) -> &Span {
        self.shared.span.get()
    }
}

impl fmt::Debug for BlockingContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingContext")
            .field("path", &self.path())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

impl ServiceSpec<TaskActor> {
    /// A function that blocks, as a service on a thread of its own.
    ///
    /// The function is called once for each incarnation, on the service's [`Dedicated`](Placement::Dedicated) thread; leave the placement as it is, since on a
    /// shared arbiter the function would block everybody else. Ready, end, what it returns and errors are as for a [`task`](Self::task).
    ///
    /// It is told to stop through its context, see [`is_stopping`](BlockingContext::is_stopping). Nothing can stop a thread: one that does not return within
    /// its stop timeout is abandoned, as [`Killed`](crate::ExitReason::Killed) for being unresponsive, and listed in the
    /// [`ShutdownReport`](crate::ShutdownReport). The end of the program does not wait for it.
    ///
    /// A service that is started again after it was abandoned has a new thread, and the function is called there while the abandoned call may
    /// still run: it is an `Fn` that two threads may be in at once. `is_stopping` stays `true` for the abandoned call.
    ///
    /// It has no mailbox. What blocks and is sent messages is an actor on a thread of its own, whose handlers block as long as they like:
    /// `ServiceSpec::new("writer", Writer::open).placement(Placement::Dedicated)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use resurgam::{ExitReason, ServiceSpec, SupervisorActor};
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let crunch = ServiceSpec::blocking("crunch", |cx| {
    ///     while !cx.is_stopping() {
    ///         std::thread::park_timeout(Duration::from_millis(1));
    ///     }
    /// });
    /// let crunch = root.add_and_wait(crunch).await?;
    /// assert_eq!(root.remove(crunch.token()).await?, ExitReason::Shutdown);
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn blocking<F, T, B>(name: impl Into<Arc<str>>, function: F) -> Self
    where
        F: Fn(BlockingContext) -> T + Send + Sync + 'static,
        T: TaskOutput<B> + 'static,
    {
        let lineage = Arc::<Lineage>::default();
        // Shared by the futures of all incarnations, of which one that was abandoned may run beside the present one.
        let function = Arc::new(UserValue::new(function));
        let factory = move |start: &StartContext| {
            let shared = Arc::new(Shared::new(start, &lineage));
            let function = Arc::clone(&function);
            let cx = BlockingContext {
                shared: Arc::clone(&shared),
            };
            // The function is called when the future is polled and not here: the service is started by then, and may say that it is ready.
            let work = async move { (**function)(cx) };
            Ok::<_, std::convert::Infallible>(TaskActor::new(shared, |_| work))
        };
        Self::try_new(name, factory)
            .placement(Placement::Dedicated)
            .shown_as(ReportedKind::Blocking)
    }
}
