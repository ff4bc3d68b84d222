//! What users hold of a supervisor.

use std::{fmt, sync::Arc};

use actix::{Actor, Addr, AsyncContext, Handler, Message, dev::channel::channel};

use super::{
    actor::SupervisorActor,
    clock::now,
    error::ReconfigureError,
    message::{self, Asker},
    report::{Report, look_at},
    spec::SupervisorSpec,
    upward::Upward,
};
use crate::{
    event::{EventKind, Occurrence},
    observe::{Events, Subtree},
    policy::{ExitReason, Readiness, names_below},
    registry::{Located, LookupError, RegistryActor, ServiceSummary, Siblings, Sought},
    service::{AnyLink, Link, LinkCore, Parent, ServiceKind, ServiceRef, ServiceSpec, StartError},
    state::{AddError, Counts, RemoveError, ResetError, RestartError, StopError},
    token::{ServiceKey, ServiceToken, SupervisorId},
    tree::{SupervisorGone, Tree, TreeHandle},
};

/// A handle of a running supervisor.
///
/// Cheap to clone; every method may be called from any thread, by any number of callers at once. A caller that goes away loses
/// its answer and nothing else: what it asked for is done all the same.
///
/// # Which service is meant
///
/// What is asked about one service takes a [`ServiceKey`]: a token, a reference, a name among the services of *this* supervisor, or a path
/// from the root. A request about a path is carried to the supervisor that has the service, which does as if it had been asked itself. A
/// token or a reference of a service of another supervisor is refused.
///
/// ```
/// # use actix::prelude::*;
/// # use resurgam::{ServiceContext, ServiceSpec, SupervisorActor};
/// # struct Poller;
/// # impl Actor for Poller {
/// #     type Context = ServiceContext<Self>;
/// # }
/// # #[actix::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let root = SupervisorActor::with_defaults("root").start().await?;
/// let site = root.add_supervisor(SupervisorActor::with_defaults("site")).await?;
/// let poller = site.add(ServiceSpec::new("poller", || Poller)).await?;
/// site.restart("poller").await?;
/// site.restart(&poller).await?;
/// root.restart("root/site/poller").await?;
/// root.remove("site").await?;
/// # root.shutdown().await?;
/// # Ok(())
/// # }
/// ```
///
/// # While it is down
///
/// Between two starts of a supervisor it is asked like one that was not started yet: it answers at once, and what waits for a service
/// to become ready waits for the next start. One that is down until somebody starts it again refuses with `SupervisorGone`, as one
/// that has ended does; also those who were waiting when it went down.
///
/// # Dropping
///
/// When the last reference to any supervisor of a tree is dropped, the tree is shut down as by [`shutdown`](Self::shutdown), since
/// nobody could reach it any more. A service that wants its tree to run on keeps [`ctx.supervisor()`](crate::ServiceContext::supervisor).
/// When the actix [`System`](actix::System) stops instead, services are dropped with their arbiters, without a call of their hooks, as all actix
/// actors are: shut down first. Nothing is left behind in either case.
#[derive(Clone)]
pub struct SupervisorRef {
    address: Addr<SupervisorActor>,
    link: Arc<Link<SupervisorActor>>,
    tree: Arc<Tree>,
    // `None` if the tree is not to be kept: the last of them had been dropped when this reference was made, and the tree is being stopped.
    // Or whoever waits for signals has it.
    handle: Option<Arc<TreeHandle>>,
    /// Who asks by this reference.
    by: Asker,
}

impl SupervisorRef {
    pub(super) fn new(
        address: Addr<SupervisorActor>,
        link: Arc<Link<SupervisorActor>>,
        tree: Arc<Tree>,
    ) -> Self {
        let handle = tree.handle();
        Self {
            address,
            link,
            tree,
            handle,
            by: None,
        }
    }

    /// What stands for a supervisor that is not part of a tree: it refuses everything as gone.
    pub(crate) fn nobody(name: Arc<str>) -> Self {
        let address: Addr<SupervisorActor> = closed();
        let (parent, _notices) = Parent::new();
        let token = ServiceToken::issue(SupervisorId::issue(), 0);
        let weak = address.downgrade();
        let kind = ServiceKind::Supervisor;
        let link = Link::new(
            token,
            name,
            Arc::new(parent),
            weak,
            Readiness::Explicit,
            kind,
        );
        Self::new(address, Arc::new(link), Arc::new(Tree::over(closed())))
    }

    /// The same, for one who says who it is: each operation is told with that as [`EventKind::Requested`](crate::EventKind::Requested), before what follows from it.
    ///
    /// The text is for people, and is not checked. References that are got through this one do not have it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use actix::prelude::*;
    /// # use resurgam::{ServiceContext, ServiceSpec, SupervisorActor};
    /// # struct Store;
    /// # impl Actor for Store {
    /// #     type Context = ServiceContext<Self>;
    /// # }
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// root.add_and_wait(ServiceSpec::new("store", || Store)).await?;
    /// let mut events = root.events();
    /// root.by("ada").restart("store").await?;
    /// let first = events.next().await.expect("the tree has not ended");
    /// assert_eq!(first.to_string(), "root/store#0: restart requested by ada");
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn by(&self, who: impl Into<Arc<str>>) -> Self {
        Self {
            by: Some(who.into()),
            ..self.clone()
        }
    }

    /// The address of the supervisor, for the messages of [`message`].
    ///
    /// An address alone does not keep the tree running.
    pub fn addr(&self) -> &Addr<SupervisorActor> {
        &self.address
    }

    /// The registry of the whole tree, for look-ups by message: [`Lookup`](message::Lookup), [`WhenReady`](message::WhenReady),
    /// [`Services`](message::Services) and [`ServicesOf`](message::ServicesOf).
    ///
    /// Whoever has this supervisor asks [`lookup`](Self::lookup) and the like. An address of the registry is for those who are to find
    /// services and to change nothing; it does not keep the tree running. What is asked after the end of the tree fails with
    /// [`MailboxError::Closed`](actix::MailboxError::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// use actix::prelude::*;
    /// use resurgam::{RegistryActor, ServiceContext, ServiceSpec, SupervisorActor, message};
    ///
    /// struct Store;
    ///
    /// impl Actor for Store {
    ///     type Context = ServiceContext<Self>;
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// root.add(ServiceSpec::new("store", || Store)).await?;
    /// let registry: &Addr<RegistryActor> = root.registry();
    /// let store = registry.send(message::WhenReady::<Store>::new("root/store")).await??;
    /// assert_eq!(registry.send(message::Lookup::new(store.token())).await??, store);
    /// let services = registry.send(message::Services::new()).await?;
    /// assert_eq!(services[0].path(), "root/store");
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn registry(&self) -> &Addr<RegistryActor> {
        &self.tree.registry
    }

    /// The names from the root to this supervisor.
    pub fn path(&self) -> &str {
        self.link.core().path()
    }

    /// The token of the supervisor, as a service of its own supervisor.
    pub fn token(&self) -> ServiceToken {
        self.link.core().token()
    }

    /// Adds a service and starts it.
    ///
    /// Returns once the service is registered; messages sent from then on wait for it to start. A start that fails is retried by
    /// policy. While the supervisor is paused the service is started all the same.
    ///
    /// # Cancel safety
    ///
    /// The service is added all the same once this was polled.
    pub async fn add<A>(&self, service: ServiceSpec<A>) -> Result<ServiceRef<A>, AddError>
    where
        A: Actor,
    {
        self.ask(message::Add::new(service).asked_by(&self.by))
            .await
            .unwrap_or(Err(AddError::SupervisorGone))
    }

    /// Adds a supervisor and starts it, as [`add`](Self::add) with [`ServiceSpec::supervisor`] does, and returns what its services are added
    /// to.
    ///
    /// # Cancel safety
    ///
    /// As [`add`](Self::add).
    pub async fn add_supervisor(&self, supervisor: SupervisorActor) -> Result<Self, AddError> {
        let service = self.add(ServiceSpec::supervisor(supervisor)).await?;
        // What it was added to is part of a tree.
        Self::try_from(service).map_err(|SupervisorGone| AddError::SupervisorGone)
    }

    /// Adds a service, starts it, and waits until it is ready.
    ///
    /// If its group is restarted meanwhile, it has its turn with that: see [`Strategy`](crate::Strategy).
    ///
    /// # Errors
    ///
    /// Why its first start failed. The service is then removed again, and its name is free.
    ///
    /// # Cancel safety
    ///
    /// The service is added all the same once this was polled. Nobody learns then whether its first start fails, so it is kept and treated as
    /// one that was [added](Self::add).
    pub async fn add_and_wait<A>(
        &self,
        service: ServiceSpec<A>,
    ) -> Result<ServiceRef<A>, StartError>
    where
        A: Actor,
    {
        self.ask(message::AddAndWait::new(service).asked_by(&self.by))
            .await
            .unwrap_or(Err(StartError::SupervisorGone))
    }

    /// Stops a service, forgets it, and returns how it ended.
    ///
    /// The service is asked to stop, and dropped when it overruns its timeout. Its name is taken and its address valid until it has
    /// ended; then queued and later messages fail with [`MailboxError::Closed`](actix::MailboxError::Closed). Any number of callers get the same answer. A service that
    /// is down returns its last reason at once, and its factory is not called again.
    ///
    /// A service that blocks its thread has ended with [`KillCause::Unresponsive`](crate::KillCause::Unresponsive). Of a supervisor this returns
    /// how that has ended; who below it would not stop is told by [`ServiceAbandoned`](crate::EventKind::ServiceAbandoned), and is in the
    /// [`ShutdownReport`](crate::ShutdownReport) of every supervisor above that stops while the thread is still blocked. What failed below it while it stopped is told by
    /// events; [`shutdown`](Self::shutdown) on a reference of its own removes it as well, and returns that.
    ///
    /// # Cancel safety
    ///
    /// The service is removed all the same once this was polled.
    pub async fn remove(&self, service: impl Into<ServiceKey>) -> Result<ExitReason, RemoveError> {
        self.ask(message::Remove::new(service).asked_by(&self.by))
            .await
            .unwrap_or(Err(RemoveError::SupervisorGone))
    }

    /// Stops a service and keeps it: its address stays valid and its mailbox goes on queueing, unless its
    /// [`while_down`](ServiceSpec::while_down) says otherwise.
    ///
    /// [`restart`](Self::restart) starts it again.
    ///
    /// # Cancel safety
    ///
    /// The service is stopped all the same once this was polled.
    pub async fn stop(&self, service: impl Into<ServiceKey>) -> Result<(), StopError> {
        self.ask(message::Stop::new(service).asked_by(&self.by))
            .await
            .unwrap_or(Err(StopError::SupervisorGone))
    }

    /// Starts a service that is down, or stops and starts one that runs, and waits until it is ready.
    ///
    /// Not counted as a failure. A pending backoff is cut short.
    ///
    /// # Cancel safety
    ///
    /// The service is restarted all the same once this was polled.
    pub async fn restart(&self, service: impl Into<ServiceKey>) -> Result<(), RestartError> {
        self.ask(message::Restart::new(service).asked_by(&self.by))
            .await
            .unwrap_or(Err(RestartError::SupervisorGone))
    }

    /// Clears the failures of a service, and starts it if it had given up or was waiting for a restart.
    ///
    /// # Cancel safety
    ///
    /// The service is reset all the same once this was polled.
    pub async fn reset(&self, service: impl Into<ServiceKey>) -> Result<(), ResetError> {
        self.ask(message::Reset::new(service).asked_by(&self.by))
            .await
            .unwrap_or(Err(ResetError::SupervisorGone))
    }

    /// The services of this supervisor in start order, also those that are down.
    ///
    /// Answered by the registry: never waits for a busy supervisor.
    ///
    /// # Errors
    ///
    /// [`SupervisorGone`] if the whole tree has ended.
    pub async fn services(&self) -> Result<Vec<ServiceSummary>, SupervisorGone> {
        Ok(self.tree.registry.send(Siblings(self.token())).await?)
    }

    /// Counts the services of this supervisor.
    pub async fn counts(&self) -> Result<Counts, SupervisorGone> {
        self.ask(message::Count).await
    }

    /// Finds a service of the tree by its token, a service of this supervisor by its name, or any by its path from the root.
    ///
    /// Answered by the registry: never waits for a busy supervisor, and finds services that are down.
    pub async fn lookup<A>(&self, key: impl Into<ServiceKey>) -> Result<ServiceRef<A>, LookupError>
    where
        A: Actor,
    {
        self.tree
            .registry
            .send(message::Lookup::of(self.sought(key)))
            .await
            .unwrap_or(Err(LookupError::SupervisorGone))
    }

    /// Waits until a service of the tree is ready, which is named as in [`lookup`](Self::lookup).
    ///
    /// Waits while it is starting, while it waits to be started again, and while it is stopped on request.
    ///
    /// # Errors
    ///
    /// [`LookupError::Ended`] once it or a supervisor above it has ended for good; [`LookupError::Removed`] once it is removed; otherwise
    /// as [`lookup`](Self::lookup).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn when_ready<A>(
        &self,
        key: impl Into<ServiceKey>,
    ) -> Result<ServiceRef<A>, LookupError>
    where
        A: Actor,
    {
        let ready = self.tree.when_ready(self.sought(key)).await;
        ready.and_then(Located::typed)
    }

    /// A picture of the supervisor and everything below it, which prints as a tree.
    ///
    /// All supervisors below are asked at the same time. For those that do not answer within 100 ms, as their thread is blocked, it has what is
    /// known all the same, and how old that is: see [`Report`]. So it does if the thread of the supervisor itself is blocked. May be asked from any
    /// thread, also without a runtime.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn report(&self) -> Result<Report, SupervisorGone> {
        if self.link.core().state().is_down() {
            return Err(SupervisorGone);
        }
        let link = Arc::clone(&self.link) as Arc<dyn AnyLink>;
        look_at(Arc::clone(&self.tree), link).await
    }

    /// How many threads of the tree are blocked at present by services that were abandoned.
    ///
    /// A service that does not give its thread back, though its stop timeout is over, is written off with that thread. The thread counts
    /// from then on, until what blocks it returns. Waits for nobody, and may be asked from any thread.
    pub fn tree_abandoned_threads(&self) -> usize {
        self.tree.abandoned.count()
    }

    /// Subscribes to the events of this supervisor and everything below it; up to 1024 are kept for a reader that is behind.
    ///
    /// The events of a root are all of its tree. Those of a supervisor below it include what its own supervisor tells of it as a service;
    /// they end when it is removed.
    pub fn events(&self) -> Events {
        self.events_with_capacity(Events::DEFAULT_CAPACITY)
    }

    /// As [`events`](Self::events), and up to `capacity` are kept for a reader that is behind, at least one.
    pub fn events_with_capacity(&self, capacity: usize) -> Events {
        let hub = &self.tree.events;
        if self.is_root() {
            return hub.subscribe(capacity, None);
        }
        let of = Subtree {
            supervisor: self.token(),
            path: Arc::clone(self.link.core().path()),
        };
        let events = hub.subscribe(capacity, Some(of));
        // After the subscription, see there.
        if self.link.core().is_released() {
            hub.close_of(self.token());
        }
        events
    }

    /// As [`events`](Self::events), and tells first how this supervisor and all services below it are at present, each as one
    /// [`EventKind::PresentState`](crate::EventKind::PresentState), supervisors before their services.
    ///
    /// So a late subscriber knows what the later events change. What happens while the subscription begins may be told as well as be in what is told first; what comes
    /// last is true. Asks nobody: it is read from what any thread can read, in time for each service of the tree, and takes no room of what is kept
    /// for a reader that is behind. Filters hold for it, too; [`failures`](Events::failures) keeps those that have failed.
    pub fn events_with_present(&self) -> Events {
        // In this order, so that nothing is missed.
        let mut events = self.events();
        let now = now();
        let present = |core: &LinkCore| {
            let state = core.state();
            let kind = EventKind::PresentState { state };
            let path = Arc::clone(core.path());
            Occurrence::new(path, Some(core.token()), core.generation(), now, kind)
        };
        let own = self.link.core();
        let mut all = vec![present(own)];
        self.tree.links.visit(|link| {
            let core = link.core();
            if names_below(core.path(), own.path()).is_some() {
                all.push(present(core));
            }
        });
        all.sort_unstable_by(|one, other| one.path().cmp(other.path()));
        events.set_present(all);
        events
    }

    /// Changes the spec of the running supervisor. Its services are not touched.
    ///
    /// # Errors
    ///
    /// The value that was refused, and its field, as an [`on_start`](SupervisorSpec::on_start) function, which belongs to the start; everything is then as it was.
    ///
    /// # Cancel safety
    ///
    /// The spec is changed all the same once this was polled.
    pub async fn reconfigure(&self, spec: SupervisorSpec) -> Result<(), ReconfigureError> {
        match self
            .ask(message::Reconfigure::new(spec).asked_by(&self.by))
            .await
        {
            Ok(done) => Ok(done?),
            Err(_) => Err(ReconfigureError::SupervisorGone),
        }
    }

    /// What is looked up by somebody who asks this supervisor.
    fn sought(&self, key: impl Into<ServiceKey>) -> Sought {
        Sought {
            key: key.into(),
            of: Some(Arc::clone(self.link.core().path())),
        }
    }

    /// Sends a message, unless the supervisor is down until somebody starts it again. One that goes down refuses what it has not answered.
    async fn ask<M>(&self, message: M) -> Result<M::Result, SupervisorGone>
    where
        SupervisorActor: Handler<M>,
        M: Message<Result: Send> + Send + 'static,
    {
        if self.link.core().state().is_down() {
            return Err(SupervisorGone);
        }
        Ok(self.address.send(message).await?)
    }

    pub(super) fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    pub(super) fn link(&self) -> &Link<SupervisorActor> {
        &self.link
    }

    /// The same, but does not keep the tree running.
    pub(crate) fn without_handle(&self) -> Self {
        Self {
            handle: None,
            ..self.clone()
        }
    }

    pub(super) fn handle(&self) -> Option<&TreeHandle> {
        self.handle.as_deref()
    }

    pub(super) fn asker(&self) -> &Asker {
        &self.by
    }

    pub(super) fn upward(&self) -> Option<&Upward> {
        Upward::of(self.link.core().parent())
    }

    pub(super) fn is_root(&self) -> bool {
        // Not by comparing with the root of the handle, which is `None` once the tree is being stopped.
        matches!(self.upward(), Some(Upward::Root { .. }))
    }
}

impl TryFrom<&ServiceRef<SupervisorActor>> for SupervisorRef {
    type Error = SupervisorGone;

    /// The handle of a supervisor that is a service.
    ///
    /// # Errors
    ///
    /// [`SupervisorGone`] if it is not part of a tree, because its own supervisor was never started.
    fn try_from(service: &ServiceRef<SupervisorActor>) -> Result<Self, SupervisorGone> {
        let upward = Upward::of(service.core().parent()).ok_or(SupervisorGone)?;
        let (address, link) = (service.addr().clone(), Arc::clone(service.link()));
        // The tree of what is above: a supervisor is attached to it when it begins, which may be later.
        Ok(Self::new(address, link, Arc::clone(upward.tree())))
    }
}

impl TryFrom<ServiceRef<SupervisorActor>> for SupervisorRef {
    type Error = SupervisorGone;

    /// As from a reference.
    fn try_from(service: ServiceRef<SupervisorActor>) -> Result<Self, SupervisorGone> {
        Self::try_from(&service)
    }
}

impl From<&SupervisorRef> for ServiceKey {
    fn from(supervisor: &SupervisorRef) -> Self {
        Self::from(supervisor.token())
    }
}

impl From<SupervisorRef> for ServiceKey {
    fn from(supervisor: SupervisorRef) -> Self {
        Self::from(supervisor.token())
    }
}

impl fmt::Display for SupervisorRef {
    /// The path of the supervisor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

impl PartialEq for SupervisorRef {
    fn eq(&self, other: &Self) -> bool {
        self.token() == other.token()
    }
}

impl Eq for SupervisorRef {}

impl fmt::Debug for SupervisorRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorRef")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

impl Upward {
    /// A reference to the supervisor, which may have ended meanwhile. `None` for a root.
    pub(crate) fn supervisor(&self) -> Option<SupervisorRef> {
        let Self::Supervisor { link, tree } = self else {
            return None;
        };
        // A supervisor that was released has no address any more, and a service of it that has not ended yet may ask for one.
        let address = link.address().unwrap_or_else(closed);
        Some(SupervisorRef::new(
            address,
            Arc::clone(link),
            Arc::clone(tree),
        ))
    }
}

/// An address whose every message fails with `Closed`.
fn closed<A: Actor>() -> Addr<A>
where
    A::Context: AsyncContext<A>,
{
    // The receiver is dropped at the end of this function, and a sender without one is refused.
    let (sender, _receiver) = channel(0);
    Addr::new(sender)
}
