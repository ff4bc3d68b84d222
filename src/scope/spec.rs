//! How users describe a scope.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, pending},
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use futures::future::{Either, select};

use super::handle::Scope;
use crate::{
    policy::{AutoShutdown, IntoServiceError, Readiness, ServiceError, TaskOutput},
    service::{ReportedKind, ServiceSpec, StartError},
    state::Binding,
    supervisor::{OnStart, ScopeError, ScopeRun, SupervisorActor, SupervisorSpec},
    task::{TaskActor, run_once},
    user_value::UserValue,
};

/// A scope that is not started yet, with its initial members and its rules.
///
/// # Default
///
/// No initial members; 10 s to stop for each member; the first error counts.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use actix::prelude::*;
/// use resurgam::{AddError, ServiceContext, ServiceSpec, scope::{Scope, ScopeSpec}};
///
/// struct Cache;
///
/// impl Actor for Cache {
///     type Context = ServiceContext<Self>;
/// }
///
/// # #[actix::main]
/// # async fn main() {
/// let import = ScopeSpec::new("import")
///     .shutdown_timeout(Duration::from_secs(2))
///     .on_start(|members| {
///         members.add(ServiceSpec::new("cache", || Cache))?;
///         Ok::<_, AddError>(())
///     });
/// let done = import.run(|scope: Scope| async move {
///     let cache = scope.supervisor().lookup::<Cache>("import/cache").await;
///     cache.map(|cache| cache.connected())
/// });
/// assert!(done.await.unwrap());
/// # }
/// ```
#[must_use = "a spec does nothing until it is run, or made a service"]
pub struct ScopeSpec {
    name: Arc<str>,
    supervisor: SupervisorSpec,
    on_start: Option<UserValue<AddMembers>>,
    work: Option<UserValue<ChangeWork>>,
}

impl ScopeSpec {
    /// A scope with this name and the defaults.
    ///
    /// The name is as that of a [`ServiceSpec`]: not empty, and without `/`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let mut supervisor = SupervisorSpec::default().auto_shutdown(AutoShutdown::AnySignificant);
        supervisor.rules.binding = Binding::Bound;
        Self {
            name: name.into(),
            supervisor,
            on_start: None,
            work: None,
        }
    }

    /// Sets how long a member may take to stop, unless it says otherwise. 10 s by default.
    ///
    /// One that takes longer is dropped, and has failed.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.supervisor = self.supervisor.shutdown_timeout(timeout);
        self
    }

    /// Ranks errors: reports whether the first argument outweighs the second, with which the scope ends so far.
    ///
    /// By default the first error counts. A panic, or a kill at a stop timeout, is given as the [`ExitReason`](crate::ExitReason)
    /// that it is. Runs on the scope's turn and should be quick; if it panics the new error does not outweigh.
    pub fn more_important(
        mut self,
        outweighs: impl Fn(&ServiceError, &ServiceError) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.supervisor = self.supervisor.more_important(outweighs);
        self
    }

    /// Has a function add the initial members, each time the scope is started.
    ///
    /// They are started in order, each when the one before is ready, and before the work. If one fails to start the work is never
    /// called, and those that were started are stopped again. As [`SupervisorSpec::on_start`](SupervisorSpec::on_start), with
    /// [`OnStart::on_cleanup`] for what is to be cleaned up when the scope is over. The last call counts.
    pub fn on_start<F, E, B>(mut self, mut function: F) -> Self
    where
        F: FnMut(&mut OnStart<'_>) -> Result<(), E> + Send + 'static,
        E: IntoServiceError<B>,
    {
        let function: AddMembers =
            Box::new(move |members| function(members).map_err(E::into_service_error));
        self.on_start = Some(UserValue::new(function));
        self
    }

    /// Changes the spec of the work: its placement, its stop timeout.
    ///
    /// Work that does not look at [`Scope::ending`] and holds nothing that needs an orderly end wants
    /// [`Shutdown::BrutalKill`](crate::Shutdown::BrutalKill): it is dropped then when it is its turn to stop, as in Trio and
    /// Kotlin, instead of at its stop timeout, and that is no error. The name and the readiness of the work cannot be changed.
    /// Called for each start; the last call counts.
    pub fn work_spec(
        mut self,
        change: impl FnMut(ServiceSpec<TaskActor>) -> ServiceSpec<TaskActor> + Send + 'static,
    ) -> Self {
        let change: ChangeWork = Box::new(change);
        self.work = Some(UserValue::new(change));
        self
    }

    /// Runs the scope, as [`Scope::run`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Scope::run`], and [`ScopeError::NotStarted`] for a name that is refused, or outside of an actix system.
    ///
    /// # Cancel safety
    ///
    /// As [`Scope::run`].
    pub async fn run<F, T, V, E, B>(self, work: F) -> Result<V, ScopeError>
    where
        F: FnOnce(Scope) -> T + Send + 'static,
        T: Future<Output = Result<V, E>> + 'static,
        V: Send + 'static,
        E: IntoServiceError<B>,
    {
        let path = Arc::clone(&self.name);
        let value = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&value);
        let work = |scope| async move {
            let result = work(scope).await.map_err(E::into_service_error)?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            Ok::<_, ServiceError>(())
        };
        let opened = Arc::new(OnceLock::new());
        let supervisor = self.supervisor_once(work, &opened);
        // Held from here on: if this call is dropped, also while it starts the supervisor, the scope is told to end.
        let _end = EndOnDrop(Arc::clone(&opened));
        let joined = match supervisor.start().await {
            // Waits for the end of the tree, so that the name and the addresses of the scope are free when this returns. The error of the
            // tree is passed over, since that of the scope says more.
            Ok(root) => {
                let _scope_says_it_better = root.join().await;
                None
            }
            Err(error) => Some(error),
        };
        let ended = opened.get().and_then(|run| run.result());
        match (ended, joined) {
            (Some(result), _) => result?,
            (None, Some(error)) => return Err(ScopeError::NotStarted { path, error }),
            (None, None) => return Err(ScopeError::Dropped { path }),
        }
        let value = value.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or(ScopeError::Stopped { path })
    }

    /// A service that is the scope, for [`ServiceSpec::scope`].
    pub fn service<F, T, B>(self, work: F) -> ServiceSpec<SupervisorActor>
    where
        F: FnMut(Scope) -> T + Send + 'static,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        // A mutex, since the work of each start calls the function, and travels to its arbiter. Locked for the call only, and by one start at
        // a time.
        let work = Arc::new(Mutex::new(UserValue::new(work)));
        let supervisor = self.supervisor(
            move |scope| {
                let work = Arc::clone(&work);
                let call = move |scope| {
                    let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
                    (*work)(scope)
                };
                Some(work_of(scope, call))
            },
            None,
        );
        ServiceSpec::supervisor(supervisor)
    }

    fn supervisor_once<F, T, B>(self, work: F, opened: &Opened) -> SupervisorActor
    where
        F: FnOnce(Scope) -> T + Send + 'static,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        let mut work = Some(UserValue::new(work));
        // Called once, for a root is never started again.
        let work = move |scope| {
            let work = work.take()?.into_inner();
            Some(work_of(scope, work))
        };
        self.supervisor(work, Some(Arc::clone(opened)))
    }

    fn supervisor<W>(self, mut work: W, opened: Option<Opened>) -> SupervisorActor
    where
        W: FnMut(Scope) -> Option<ServiceSpec<TaskActor>> + Send + 'static,
    {
        let (mut on_start, mut change) = (self.on_start, self.work);
        let spec = self.supervisor.on_start(move |members| {
            let gone = || ServiceError::new(StartError::SupervisorGone);
            let run = members.open_scope().ok_or_else(gone)?;
            if let Some(opened) = &opened {
                let _started_once = opened.set(Arc::clone(&run));
            }
            if let Some(function) = &mut on_start {
                (**function)(members)?;
            }
            let mut work = work(Scope::new(run)).ok_or_else(gone)?;
            if let Some(change) = &mut change {
                work = (**change)(work);
            }
            let work = work.significant().readiness(Readiness::OnStart);
            members.add(work).map_err(ServiceError::new)?;
            Ok::<_, ServiceError>(())
        });
        SupervisorActor::new(self.name, spec).shown_as(ReportedKind::Scope)
    }
}

impl Scope {
    /// Runs a scope on this thread's arbiter, until its work has returned and every member is over, and gives what the work has
    /// returned.
    ///
    /// Needs a running actix system, and nothing else. The work is called on this arbiter, so its future need not be `Send`. It has
    /// the path `name/work`. With initial members, or rules of its own, a scope is run by [`ScopeSpec::run`].
    ///
    /// # Errors
    ///
    /// The error of the scope, see [which one counts](crate::scope#which-error-counts); the value of the work is dropped then.
    /// [`ScopeError::Stopped`] if the scope was ended without an error, and the work had no value to give.
    ///
    /// # Cancel safety
    ///
    /// If the call is dropped before it returns the scope is told to end, as by [`stop`](Self::stop), and its result is lost.
    /// That takes its time: nobody waits for it, but nothing is left running after the stop timeouts of the members, as long as
    /// the arbiter runs. A scope that must be over first is not dropped: keep a [`Scope`], and [`join`](Self::join) it.
    pub async fn run<F, T, V, E, B>(name: impl Into<Arc<str>>, work: F) -> Result<V, ScopeError>
    where
        F: FnOnce(Self) -> T + Send + 'static,
        T: Future<Output = Result<V, E>> + 'static,
        V: Send + 'static,
        E: IntoServiceError<B>,
    {
        ScopeSpec::new(name).run(work).await
    }
}

impl fmt::Debug for ScopeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeSpec")
            .field("name", &self.name)
            .field("supervisor", &self.supervisor)
            .finish_non_exhaustive()
    }
}

impl ServiceSpec<SupervisorActor> {
    /// A [scope](crate::scope) as a service: its work is called for each start of the scope.
    ///
    /// It is ready when its initial members are and its work is running, ends when its work returns or the first of its members
    /// fails, and is treated then as its restart type says: with the default [`RestartType::Permanent`](crate::RestartType) work
    /// that returns is called again, in a scope without any member of the one before. The error that its supervisor sees is a
    /// [`ScopeError`]. Stopped by its supervisor, it stops its members and its work, and has as long as
    /// that takes ([`Shutdown::Infinity`](crate::Shutdown::Infinity)). With initial members, or rules of its own, a scope is made
    /// a service by [`ScopeSpec::service`].
    ///
    /// # Examples
    ///
    /// ```
    /// use resurgam::{RestartType, ServiceSpec, SupervisorActor, scope::Scope};
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let import = ServiceSpec::scope("import", |scope: Scope| async move {
    ///     scope
    ///         .spawn_named("reader", |cx| async move {
    ///             assert_eq!(cx.path(), "root/import/reader");
    ///             cx.shutdown().await;
    ///         })
    ///         .await?;
    ///     scope.ending().await;
    ///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    /// });
    /// root.add_and_wait(import.restart(RestartType::Transient)).await?;
    /// root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope<F, T, B>(name: impl Into<Arc<str>>, work: F) -> Self
    where
        F: FnMut(Scope) -> T + Send + 'static,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        ScopeSpec::new(name).service(work)
    }
}

/// Adds the initial members.
type AddMembers = Box<dyn FnMut(&mut OnStart<'_>) -> Result<(), ServiceError> + Send>;

/// Changes the spec of the work.
type ChangeWork = Box<dyn FnMut(ServiceSpec<TaskActor>) -> ServiceSpec<TaskActor> + Send>;

/// The run of a scope, once its supervisor has begun to start.
type Opened = Arc<OnceLock<Arc<ScopeRun>>>;

/// The work of a scope, as a service.
fn work_of<F, T, B>(scope: Scope, work: F) -> ServiceSpec<TaskActor>
where
    F: FnOnce(Scope) -> T + Send + 'static,
    T: Future<Output: TaskOutput<B>> + 'static,
{
    let mut end = EndUnlessDone(Some(scope.clone()));
    run_once(Arc::from(WORK), |cx| async move {
        let whole = scope.clone();
        // The work is told of a stop by the scope, and not by a context of its own. So whoever stops the work alone stops the scope.
        let stopped = async move {
            cx.shutdown().await;
            whole.stop();
            pending::<Infallible>().await
        };
        // `select` polls its first future first: work that returns at once is not stopped before.
        let result = match select(pin!(work(scope)), pin!(stopped)).await {
            Either::Left((result, _)) => result,
            Either::Right((never, _)) => match never {},
        };
        end.disarm();
        result
    })
}

/// What the work of a scope is called.
const WORK: &str = "work";

/// Ends a scope whose work is dropped before it has returned: somebody has removed it, and it is to be dropped then.
struct EndUnlessDone(Option<Scope>);

impl EndUnlessDone {
    fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for EndUnlessDone {
    fn drop(&mut self) {
        // A panic of the work is told by its cell, and ends the scope with that error. A stop from here would come first, without one.
        if let Some(scope) = self.0.take()
            && !std::thread::panicking()
        {
            scope.stop();
        }
    }
}

/// Ends a scope that is not waited for any more.
struct EndOnDrop(Opened);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(run) = self.0.get() {
            Scope::new(Arc::clone(run)).stop();
        }
    }
}
