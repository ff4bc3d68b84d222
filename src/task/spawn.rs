//! Services that are started by a service.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
};

use super::{
    actor::TaskActor,
    context::TaskContext,
    lineage::{Lineage, Owner, Tie},
    shared::Shared,
};
use crate::{
    policy::{RestartType, TaskOutput, Verdict},
    service::{ReportedKind, ServiceRef, ServiceSpec, StartContext},
    state::{AddError, Naming},
    supervisor::message::{Add, Remove},
    user_value::UserValue,
};

/// How long a service lives that was spawned by another one.
///
/// Either way it belongs to the same supervisor, is stopped with it, and counts for its rules as every service does.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Lifetime {
    /// It runs on when the service that spawned it ends or is restarted. As in ambassador.
    Independent,
    /// It is removed when the incarnation that spawned it ends, for whatever reason: asked to stop, and dropped at its stop timeout. The default, since
    /// what a restarted service spawns again would otherwise be there twice.
    ///
    /// That end does not wait for it, and neither does the next incarnation.
    #[default]
    Parent,
}

/// A service to be started by [`TaskContext::spawn`] or [`TaskContext::spawn_named`], once this is awaited.
///
/// The service is an ordinary one of the same supervisor, and its reference is what this resolves with, as soon as it is registered. Its
/// function runs once: it is [`Temporary`](RestartType::Temporary), so its failure is reported, is judged by [`SupervisorSpec::fatal`](crate::SupervisorSpec::fatal), and
/// restarts nothing. It is forgotten when it has ended, and when it would have to be started again. For services that are restarted use [`supervisor`](TaskContext::supervisor) and [`add`](crate::SupervisorRef::add).
///
/// # Errors
///
/// Those of [`add`](crate::SupervisorRef::add).
///
/// # Cancel safety
///
/// If the future is dropped before it is done the service may have been added.
///
/// # Examples
///
/// ```
/// use resurgam::{Lifetime, ServiceSpec, SupervisorActor, TaskContext};
/// use tokio::sync::mpsc;
///
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let root = SupervisorActor::with_defaults("root").start().await?;
/// let (paths, mut path) = mpsc::unbounded_channel();
/// root.add(ServiceSpec::task("poller", move |cx: TaskContext| {
///     let paths = paths.clone();
///     async move {
///         let helper = cx
///             .spawn_named("helper", |cx| async move {
///                 cx.shutdown().await;
///             })
///             .lifetime(Lifetime::Independent)
///             .await?;
///         paths.send(helper.path().to_owned())?;
///         cx.shutdown().await;
///         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
///     }
/// }))
/// .await?;
/// assert_eq!(path.recv().await.as_deref(), Some("root/poller.helper"));
/// # root.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is started before it is awaited"]
pub struct Spawn {
    owner: Arc<Shared>,
    name: Arc<str>,
    naming: Naming,
    lifetime: Lifetime,
    function: Once,
    change: Option<Change>,
}

/// Makes the actor of a spawned service; called at most once.
type Once = UserValue<Box<dyn FnOnce(Arc<Shared>) -> TaskActor + Send>>;

/// Changes the spec of a spawned service.
type Change = UserValue<Box<dyn FnOnce(ServiceSpec<TaskActor>) -> ServiceSpec<TaskActor> + Send>>;

impl Spawn {
    fn new<F, T, B>(owner: &Arc<Shared>, name: Arc<str>, naming: Naming, function: F) -> Self
    where
        F: FnOnce(TaskContext) -> T + Send + 'static,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        Self {
            owner: Arc::clone(owner),
            name,
            naming,
            lifetime: Lifetime::default(),
            function: once_made(function),
            change: None,
        }
    }

    /// Sets whether the service ends with the incarnation that spawns it. [`Lifetime::Parent`] by default.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Changes the spec of the service: its placement, stop timeout, readiness and whatever else a spec says.
    ///
    /// The last call counts. The name cannot be changed, and the restart type stays [`Temporary`](RestartType::Temporary).
    pub fn spec(
        mut self,
        change: impl FnOnce(ServiceSpec<TaskActor>) -> ServiceSpec<TaskActor> + Send + 'static,
    ) -> Self {
        self.change = Some(UserValue::new(Box::new(change)));
        self
    }

    async fn add(self) -> Result<ServiceRef<TaskActor>, AddError> {
        let owner = self.owner;
        let supervisor = owner.supervisor().ok_or(AddError::SupervisorGone)?;
        if self.naming == Naming::Given
            && let Some(before) = owner.lineage.being_removed(&self.name)
        {
            // The answer does not matter: if the name is still taken, `Add` says so.
            let _ended = supervisor.send(Remove::new(before)).await;
        }
        let tie = (self.lifetime == Lifetime::Parent).then(|| {
            let tie = owner.lineage.bind(&self.name, owner.generation);
            Arc::new(tie)
        });
        let known = tie.as_ref().map(Arc::downgrade);
        let spec = once(self.name, self.function, tie);
        let spec = match self.change {
            Some(change) => change.into_inner()(spec),
            None => spec,
        };
        let mut spec = spec.restart(RestartType::Temporary);
        spec.rules.naming = self.naming;
        let added = supervisor.send(Add::new(spec)).await;
        let service = added.unwrap_or(Err(AddError::SupervisorGone))?;
        // The incarnation may have ended while the service was added, and could not ask it to stop without its token. A service that was
        // forgotten meanwhile has dropped its tie.
        if let Some(tie) = known.and_then(|known| known.upgrade())
            && tie.name(service.token()) == Owner::Over
        {
            supervisor.do_send(Remove::new(&service));
        }
        Ok(service)
    }
}

impl TaskContext {
    /// Starts a service that runs `function` once, beside this one: `poller[1]`, `poller[2]` and so on.
    ///
    /// It is [numbered](ServiceSpec::numbered) by the supervisor: the numbers begin with 1, and none is given twice, not after a restart either.
    /// Nothing happens before the returned [`Spawn`] is awaited. By default the new service ends with this incarnation, see [`Lifetime`].
    ///
    /// The function travels to the new service's arbiter, so it must be `Send`; its future need not be.
    pub fn spawn<F, T, B>(&self, function: F) -> Spawn
    where
        F: FnOnce(Self) -> T + Send + 'static,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        Spawn::new(&self.shared, self.name().into(), Naming::Numbered, function)
    }

    /// Starts a service that runs `function` once, beside this one, under the name `poller.name`.
    ///
    /// Otherwise as [`spawn`](Self::spawn). The name is free again when that service has ended. If it is still taken by a service that ends with
    /// an earlier incarnation of this one, that end is waited for.
    pub fn spawn_named<F, T, B>(&self, name: &str, function: F) -> Spawn
    where
        F: FnOnce(Self) -> T + Send + 'static,
        T: Future<Output: TaskOutput<B>> + 'static,
    {
        let name = format!("{}.{name}", self.name());
        Spawn::new(&self.shared, name.into(), Naming::Given, function)
    }
}

/// A service whose function runs once, and that no other service has spawned.
pub(crate) fn run_once<F, T, B>(name: Arc<str>, function: F) -> ServiceSpec<TaskActor>
where
    F: FnOnce(TaskContext) -> T + Send + 'static,
    T: Future<Output: TaskOutput<B>> + 'static,
{
    once(name, once_made(function), None)
}

fn once_made<F, T, B>(function: F) -> Once
where
    F: FnOnce(TaskContext) -> T + Send + 'static,
    T: Future<Output: TaskOutput<B>> + 'static,
{
    UserValue::new(Box::new(|shared| TaskActor::new(shared, function)))
}

/// A service whose function runs once.
fn once(name: Arc<str>, function: Once, tie: Option<Arc<Tie>>) -> ServiceSpec<TaskActor> {
    let lineage = Arc::<Lineage>::default();
    let mut function = Some(function);
    ServiceSpec::try_new(name, move |start: &StartContext| {
        let tie = tie.as_ref();
        let unwanted = tie.is_some_and(|tie| tie.name(start.token()) == Owner::Over);
        // There is no function for a second start, as after a restart of the supervisor: the service is forgotten.
        match function.take() {
            Some(function) if !unwanted => {
                let shared = Arc::new(Shared::new(start, &lineage));
                Ok(function.into_inner()(shared))
            }
            _ => Err(Verdict::Uninstall),
        }
    })
    .shown_as(ReportedKind::Task)
}

impl IntoFuture for Spawn {
    type Output = Result<ServiceRef<TaskActor>, AddError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.add())
    }
}

impl fmt::Debug for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawn")
            .field("name", &self.name)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
