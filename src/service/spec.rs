//! How users describe a service.
//!
//! A [`ServiceSpec`] is a value: the supervisor that it is given to checks it, and opens its mailbox.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use actix::{Actor, Addr};
use actix_rt::ArbiterHandle;

use super::{
    contents::Grow,
    factory::{Async, Factory, Fallible, Plain, StartContext, UserFactory},
    host::Host,
    hosted::{Adopted, ServiceContext},
    link::ServiceKind,
    panic::guard,
    seed::{Seed, grow},
    shown::{ReportedKind, ReportedPlacement},
};
use crate::{
    policy::{
        Backoff, Directive, Failure, IntoServiceError, Readiness, RestartLimit, RestartType,
        Shutdown, SpecError, WhileDown,
    },
    state::{Announces, Decide, Naming, ServiceRules, Significance},
    user_value::UserValue,
};

/// How to make a service's actor, and how to treat it.
///
/// A factory makes a fresh actor for each incarnation. It must be `Send`, since it travels to the service's arbiter; the
/// actor itself need not be. A factory that panics is a start that has failed.
///
/// # Default
///
/// [`RestartType::Permanent`]; the supervisor's [`shutdown_timeout`](crate::SupervisorSpec::shutdown_timeout);
/// [`Readiness::OnStart`]; no start timeout; no [`Backoff`] and no limit of its own; a mailbox for 16 messages, as in actix;
/// [`Placement::Inherit`]. A supervisor may have other defaults for the times, the backoff, the limit and the placement of
/// [each of its services](crate::SupervisorSpec::each_service).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use actix::prelude::*;
/// use resurgam::{Backoff, RestartType, ServiceContext, ServiceSpec};
///
/// #[derive(Default)]
/// struct Poller;
///
/// impl Actor for Poller {
///     type Context = ServiceContext<Self>;
/// }
///
/// let spec = ServiceSpec::new("poller", Poller::default)
///     .restart(RestartType::Transient)
///     .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(30)))
///     .mailbox_capacity(1024);
/// assert_eq!(spec.name(), "poller");
/// ```
#[must_use = "a spec does nothing until it is added to a supervisor"]
pub struct ServiceSpec<A: Actor> {
    pub(crate) rules: ServiceRules,
    /// `None` if nothing was said: its supervisor's `each_service` holds.
    placement: Option<Placement>,
    capacity: usize,
    shown: ReportedKind,
    factory: UserFactory<A>,
    grow: Grow<A>,
}

impl<A: Actor<Context = ServiceContext<A>>> ServiceSpec<A> {
    /// A service made by a factory that cannot fail.
    ///
    /// The name is unique among the services of one supervisor, not empty, at most 255 bytes long, and contains neither a `/`, nor a
    /// control character, a line separator or a mark of the direction of text; a violation is refused by [`add`](crate::SupervisorRef::add).
    pub fn new(name: impl Into<Arc<str>>, factory: impl FnMut() -> A + Send + 'static) -> Self {
        Self::with_factory(name.into(), Box::new(Plain(factory)))
    }

    /// A service made by a factory that may fail; its error is a start that has failed.
    pub fn try_new<F, E, B>(name: impl Into<Arc<str>>, mut factory: F) -> Self
    where
        F: FnMut(&StartContext) -> Result<A, E> + Send + 'static,
        E: IntoServiceError<B>,
    {
        let factory = move |cx: &StartContext| factory(cx).map_err(E::into_service_error);
        Self::with_factory(name.into(), Box::new(Fallible(factory)))
    }

    /// A service made by an async factory, which runs on the service's arbiter and need not be `Send`.
    ///
    /// It holds up neither its supervisor nor its siblings. It is dropped when the service is stopped meanwhile; bound it with
    /// [`start_timeout`](Self::start_timeout).
    pub fn new_async<F, T, E, B>(name: impl Into<Arc<str>>, mut factory: F) -> Self
    where
        F: FnMut(StartContext) -> T + Send + 'static,
        T: Future<Output = Result<A, E>> + 'static,
        E: IntoServiceError<B>,
    {
        let factory = move |cx: StartContext| {
            let actor = factory(cx);
            async move { actor.await.map_err(E::into_service_error) }
        };
        Self::with_factory(name.into(), Box::new(Async(factory)))
    }

    /// A [`numbered`](Self::numbered) service made by a factory that cannot fail: `session[1]`, `session[2]` and so on.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix::prelude::*;
    /// use resurgam::{ServiceContext, ServiceSpec, SupervisorActor};
    ///
    /// struct Session;
    ///
    /// impl Actor for Session {
    ///     type Context = ServiceContext<Self>;
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let first = root.add(ServiceSpec::unnamed("session", || Session)).await?;
    /// root.remove(&first).await?;
    /// let second = root.add(ServiceSpec::unnamed("session", || Session)).await?;
    /// assert_eq!(second.path(), "root/session[2]");
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn unnamed(
        prefix: impl Into<Arc<str>>,
        factory: impl FnMut() -> A + Send + 'static,
    ) -> Self {
        Self::new(prefix, factory).numbered()
    }

    pub(crate) fn with_factory(name: Arc<str>, factory: Box<dyn Factory<A>>) -> Self {
        Self::hosted::<ServiceContext<A>>(name, factory)
    }
}

impl<A: Actor<Context = actix::Context<A>>> ServiceSpec<A> {
    /// An existing actix actor as a service, unchanged: one whose context is [`actix::Context`].
    ///
    /// `factory` makes a fresh actor for each incarnation; see [`try_actor`](Self::try_actor) for one that may fail, and
    /// [`create`](Self::create) for one that sees the context.
    ///
    /// The actor has the whole life of a service. Its addresses and its queued messages survive every restart, a panic included,
    /// also the addresses that it got from its own context; for that it need not be [`Supervised`](actix::Supervised). Unlike a
    /// plain actix actor it does not end because nobody holds its address any more, and does not starve its arbiter when flooded.
    /// Against an actor that is written for [`ServiceContext`] it lacks:
    ///
    /// - `fail`, `exit`: all it can say is [`ctx.stop()`](actix::ActorContext::stop) and
    ///   [`ctx.terminate()`](actix::ActorContext::terminate), which are an [`ExitReason::Normal`](crate::ExitReason::Normal), or a
    ///   [`Shutdown`](crate::ExitReason::Shutdown) if the supervisor asked for it; to fail it panics;
    /// - `ready`: it is ready as soon as `started` returns, and [`Readiness::Explicit`] is refused by
    ///   [`add`](crate::SupervisorRef::add);
    /// - its token, path, generation and supervisor: what it needs of them, `factory` can give it.
    ///
    /// Some things differ from a plain actix actor. [`Supervised::restarting`](actix::Supervised::restarting) is never called, since
    /// a new incarnation is a new value that has not lived before. None of the hooks is called after a panic, when it is killed, or
    /// when its arbiter ends. Its messages are handed over by a future, the first that its context has: that is the one which
    /// [`ctx.handle()`](actix::Context::handle) names in a message handler, and after a wait, or much work at once, other futures may be
    /// polled before it. Two limits come with actix's own context: waits that are each over at once, and await the next one, hold
    /// their thread for as long as they go on; and an actor, or futures of it, of which *two* panic in `Drop` at the same end abort
    /// the process, as two panics at once do everywhere in Rust.
    ///
    /// [`SyncContext`](actix::SyncContext) actors cannot be supervised as they are: actix lets nobody but its own
    /// [`SyncArbiter`](actix::SyncArbiter) make their context, feed their queue or see their thread end. Let a service own the
    /// `SyncArbiter` instead, made by the service's factory: it forwards, and fails when it gets a
    /// [`MailboxError::Closed`](actix::MailboxError) from there, which is what a panic of a sync actor's last thread comes to. Or use
    /// [`ServiceSpec::blocking`].
    ///
    /// # Examples
    ///
    /// ```
    /// use actix::prelude::*;
    /// use resurgam::{ServiceSpec, SupervisorActor};
    ///
    /// struct Plain;
    ///
    /// impl Actor for Plain {
    ///     type Context = Context<Self>;
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let root = SupervisorActor::with_defaults("root").start().await?;
    /// let plain = root.add_and_wait(ServiceSpec::actor("plain", || Plain)).await?;
    /// assert_eq!(plain.path(), "root/plain");
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn actor(name: impl Into<Arc<str>>, factory: impl FnMut() -> A + Send + 'static) -> Self {
        Self::adopted(name.into(), Box::new(Plain(factory)))
    }

    /// An [existing actix actor](Self::actor) whose factory may fail, and sees which service it makes; its error is a start that has
    /// failed.
    pub fn try_actor<F, E, B>(name: impl Into<Arc<str>>, mut factory: F) -> Self
    where
        F: FnMut(&StartContext) -> Result<A, E> + Send + 'static,
        E: IntoServiceError<B>,
    {
        let factory = move |cx: &StartContext| factory(cx).map_err(E::into_service_error);
        Self::adopted(name.into(), Box::new(Fallible(factory)))
    }

    pub(super) fn adopted(name: Arc<str>, factory: Box<dyn Factory<A>>) -> Self {
        let mut spec = Self::hosted::<Adopted<A>>(name, factory);
        spec.rules.announces = Announces::Never;
        spec
    }
}

impl<A: Actor> ServiceSpec<A> {
    fn hosted<H: Host<A>>(name: Arc<str>, factory: Box<dyn Factory<A>>) -> Self {
        Self {
            rules: ServiceRules::new(name),
            placement: None,
            capacity: DEFAULT_CAPACITY,
            shown: ReportedKind::Actor,
            factory: UserValue::new(factory),
            grow: grow::<A, H>,
        }
    }

    /// The name of the service; of a [`numbered`](Self::numbered) one, what its name begins with.
    pub fn name(&self) -> &str {
        &self.rules.name
    }

    /// Has the supervisor put a number behind the name: `session` is `session[1]`, the next one `session[2]`, and so on.
    ///
    /// The supervisor counts for each name. It never uses a number again, not after a restart of its own either, and passes over one whose
    /// name is taken. Which one it is, [`ServiceRef::path`](crate::ServiceRef::path) says.
    pub fn numbered(mut self) -> Self {
        self.rules.naming = Naming::Numbered;
        self
    }

    /// Sets when the service is restarted. [`RestartType::Permanent`] by default.
    pub fn restart(mut self, restart: RestartType) -> Self {
        self.rules.restart = restart;
        self
    }

    /// Sets how the service is stopped. By default it gets its supervisor's
    /// [`shutdown_timeout`](crate::SupervisorSpec::shutdown_timeout); a supervisor gets [`Shutdown::Infinity`].
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.rules.shutdown = Some(shutdown);
        self
    }

    /// Sets when the service counts as started. [`Readiness::OnStart`] by default.
    pub fn readiness(mut self, readiness: Readiness) -> Self {
        self.rules.readiness = readiness;
        self
    }

    /// Sets how long a start may take, from the call of the factory until the service is ready. Unbounded by default.
    ///
    /// Over it, the incarnation is dropped and the start has failed. `None` is unbounded, also where
    /// [`each_service`](crate::SupervisorSpec::each_service) says otherwise.
    pub fn start_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        let rare = self.rules.rare();
        rare.start_timeout = timeout.into();
        rare.without.start_timeout = rare.start_timeout.is_none();
        self
    }

    /// Sets how long to wait before a restart. [`Backoff::none`] by default.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.rules.rare().backoff = Some(backoff);
        self
    }

    /// Gives the service a limit of its own: how many restarts are too many, and what happens then. By default its supervisor's holds.
    ///
    /// A service with a limit of its own is counted by that alone, so that one which fails often does not use up what all others share; its
    /// supervisor counts it only when it [escalates](RestartLimit::escalate). It waits for a pause of its supervisor all the same. `None` is
    /// none of its own, also where [`each_service`](crate::SupervisorSpec::each_service) says otherwise.
    ///
    /// ```
    /// use resurgam::{RestartLimit, ServiceSpec, TaskContext};
    ///
    /// let forever = ServiceSpec::task("a", |_: TaskContext| async {}).limit(RestartLimit::unlimited());
    /// // Counted together with its siblings, by the supervisor.
    /// let as_others = ServiceSpec::task("b", |_: TaskContext| async {}).limit(None);
    /// ```
    pub fn limit(mut self, limit: impl Into<Option<RestartLimit>>) -> Self {
        let rare = self.rules.rare();
        rare.limit = limit.into();
        rare.without.limit = rare.limit.is_none();
        self
    }

    /// Has a function decide what is to follow a failure, on the supervisor's side. By default [`restart`](Self::restart) says that.
    ///
    /// For services that cannot speak for themselves with a [`Verdict`](crate::Verdict): existing actors, processes, and whatever panics. The
    /// function is asked once for each failure, be it an error, a panic, a kill or a failed start: after
    /// [`fatal`](crate::SupervisorSpec::fatal) and a verdict of the service's own, and in place of its restart type. Limits come after
    /// it. It is not asked about a service that is being stopped, about the first start that
    /// [`add_and_wait`](crate::SupervisorRef::add_and_wait) waits for, whose caller gets the error, nor in a [scope](crate::scope::Scope). A
    /// service that is lost with its arbiter can only be [`Escalate`](Directive::Escalate)d or [`Fatal`](Directive::Fatal).
    ///
    /// It runs on the supervisor's turn and should be quick; if it panics it has said [`Restart`](Directive::Restart). The last call counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{io, time::Duration};
    ///
    /// use actix::prelude::*;
    /// use resurgam::{Directive, ExitReason, Failure, ServiceSpec};
    ///
    /// struct Plain;
    ///
    /// impl Actor for Plain {
    ///     type Context = Context<Self>;
    /// }
    ///
    /// let spec = ServiceSpec::actor("plain", || Plain).decide(|failure: &Failure| {
    ///     if let Some(error) = failure.find::<io::Error>() {
    ///         return match error.kind() {
    ///             io::ErrorKind::PermissionDenied => Directive::Stop,
    ///             _ => Directive::RestartAfter(Duration::from_secs(1)),
    ///         };
    ///     }
    ///     match failure.reason() {
    ///         ExitReason::Panicked { message, .. } if message.contains("corrupt") => Directive::Fatal,
    ///         _ => Directive::Restart,
    ///     }
    /// });
    /// ```
    pub fn decide(
        mut self,
        decide: impl Fn(&Failure) -> Directive + Send + Sync + 'static,
    ) -> Self {
        // Guarded where it is called, and where it is dropped: a supervisor is not to end because of either.
        let decide = UserValue::new(decide);
        self.rules.rare().decide = Some(Decide(Arc::new(move |failure| {
            guard(|| (*decide)(failure)).unwrap_or_default()
        })));
        self
    }

    /// Declares that the service needs another one: it is started when that one is ready. Named without a `/` that is a sibling, before which
    /// it is stopped; or it is named by its path from the root, as `root/store`, and is anywhere in the tree.
    ///
    /// May be called several times. A later restart of the sibling leaves this service alone;
    /// see [`binds_to`](Self::binds_to). A supervisor that starts with this service and without the sibling fails to start; a service that
    /// is added later waits until the sibling is there, which its [`ServiceBlocked`](crate::EventKind::ServiceBlocked) event says. So
    /// does one that has run before and is started again with its supervisor after the sibling was removed.
    ///
    /// # Paths
    ///
    /// A service that waits for another one elsewhere holds up nobody but those that require it: those behind it are started, and if it is, with
    /// those, all that the start of its supervisor still waits for, so are those behind that, with which may come what it waits for. In the first start of its supervisor it
    /// waits as long as its [`start_timeout`](Self::start_timeout), 30 s without one, and then that start fails; at once if the path does not
    /// begin with the name of the root, and if what it
    /// requires waits itself for this service, or for a supervisor above it, be it through others or their siblings, which the error names. So does a first
    /// start that [`add_and_wait`](crate::SupervisorRef::add_and_wait) waits for. Later it waits without a limit. Each start
    /// waits anew for the service that has the path then; [`StartContext::get`](crate::StartContext::get) takes the path.
    ///
    /// In which order supervisors stop is not changed by that: each stops its services in its own reverse start order. Place what others
    /// require before them, so that it stops after them.
    pub fn requires(mut self, name: impl Into<Arc<str>>) -> Self {
        self.rules.rare().requires.push(name.into());
        self
    }

    /// Declares that the service [requires](Self::requires) that a sibling, named without a path, has ended, and without an error, before it is started: a migration,
    /// a warm-up.
    ///
    /// The sibling ends for good by its restart type, as a [`Transient`](RestartType::Transient) one does that ends normally; one that fails is
    /// restarted as ever, and waited for. A [`Permanent`](RestartType::Permanent) one, which is the default, never completes: once it has been
    /// started again after a normal end, whoever requires its end waits in vain, which is an error like any other of a requirement. While others require it, it is kept as stopped, also if it was added later; and whoever only
    /// `requires` it has it as well. A supervisor that starts with both waits for that end; if the sibling gives up, or has ended with an
    /// error for good, the start fails.
    pub fn requires_completed(mut self, name: impl Into<Arc<str>>) -> Self {
        self.rules.rare().requires_completed.push(name.into());
        self
    }

    /// Declares that the service [requires](Self::requires) a sibling, by its name and not by a path, and is restarted whenever that one restarts.
    ///
    /// Such a restart is a bounce: it is not counted as a failure. It has no delay, but that the sibling must be ready. A service that has ended
    /// normally by then runs again, unless it is [temporary](RestartType::Temporary) or has said
    /// [`DoNotRestart`](crate::Verdict::DoNotRestart).
    pub fn binds_to(mut self, name: impl Into<Arc<str>>) -> Self {
        self.rules.rare().binds_to.push(name.into());
        self
    }

    /// Makes the end of the service count for the supervisor's [`AutoShutdown`](crate::AutoShutdown).
    ///
    /// Refused by [`add`](crate::SupervisorRef::add) for a [`Permanent`](RestartType::Permanent) service, which never ends for
    /// good, and where that is [`Never`](crate::AutoShutdown::Never).
    pub fn significant(mut self) -> Self {
        self.rules.significance = Significance::Significant;
        self
    }

    /// Sets how many messages [`Addr::send`] and [`Addr::try_send`] may queue, 16 by default, as in actix; 0 is unbounded. Refused from a
    /// quarter of what a `usize` holds on, which actix cannot count.
    ///
    /// [`Addr::do_send`] ignores the capacity. While the service is down the queue fills and is kept, as
    /// [`while_down`](Self::while_down) says. The mailbox of a supervisor is
    /// unbounded whatever is said here: a request is in it, and will be done, once it was sent.
    pub fn mailbox_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets what becomes of messages while the service is down. [`WhileDown::RefuseWhenEnded`] by default.
    pub fn while_down(mut self, while_down: WhileDown) -> Self {
        self.rules.rare().while_down = while_down;
        self
    }

    /// Sets where the service runs. [`Placement::Inherit`] by default.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = Some(placement);
        self
    }

    /// Has it refused when it is added, because of what the service is made of.
    pub(crate) fn refuse(&mut self, error: SpecError) {
        self.rules.rare().refused.get_or_insert(error);
    }

    /// Calls the service differently: it is named by whoever adds it.
    pub(crate) fn rename(&mut self, name: Arc<str>) {
        self.rules.name = name;
        self.rules.naming = Naming::default();
    }

    /// Says what the service is, for reports: an actor, if nothing is said.
    pub(crate) fn shown_as(mut self, kind: ReportedKind) -> Self {
        self.shown = kind;
        self
    }

    /// Has the steward of the supervisor be asked before the service is started again.
    pub(crate) fn consult(&mut self) {
        self.rules.rare().consults = true;
    }

    /// What says how to treat the service, and what makes it.
    pub(crate) fn into_parts(self) -> (ServiceRules, UserFactory<A>) {
        (self.rules, self.factory)
    }

    pub(crate) fn into_factory(self) -> UserFactory<A> {
        self.factory
    }

    /// Opens the mailbox.
    pub(crate) fn open(self, kind: ServiceKind) -> Opened<A> {
        let mut rules = self.rules;
        rules.kind = kind;
        let capacity = match kind {
            ServiceKind::Actor if self.capacity > LARGEST_CAPACITY => {
                let expected = "less than a quarter of what a `usize` holds, or 0 for no bound";
                let error = SpecError::value("mailbox_capacity", &self.capacity, expected);
                rules.rare().refused.get_or_insert(error);
                UNBOUNDED
            }
            ServiceKind::Actor => self.capacity,
            // What does not fit in waits in the hands of the caller, and goes away with it.
            ServiceKind::Supervisor => UNBOUNDED,
        };
        let (address, seed) = Seed::new(capacity, self.factory, self.grow);
        Opened {
            rules,
            placement: self.placement,
            shown: match (kind, self.shown) {
                // By the type of the actor: users may make supervisors in factories of their own.
                (ServiceKind::Supervisor, ReportedKind::Actor) => ReportedKind::Supervisor,
                (_, shown) => shown,
            },
            address,
            seed,
        }
    }
}

/// A service whose mailbox is open.
pub(crate) struct Opened<A: Actor> {
    pub(crate) rules: ServiceRules,
    /// Where it runs, if it says so.
    pub(crate) placement: Option<Placement>,
    /// What it is, for reports.
    pub(crate) shown: ReportedKind,
    pub(crate) address: Addr<A>,
    pub(crate) seed: Seed<A>,
}

impl<A: Actor> fmt::Debug for ServiceSpec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceSpec")
            .field("name", &self.rules.name)
            .field("placement", &self.placement)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// The thread on which a service runs.
///
/// Nothing can stop a thread. A service that does not give its thread back, though its stop timeout is over, is abandoned, as
/// [`Killed`](crate::ExitReason::Killed) for being unresponsive: nobody waits for it any longer, and whatever it does later is heard by
/// nobody. What becomes of the service depends on its thread:
///
/// | placement | an abandoned service |
/// |-|-|
/// | `Dedicated` | gets a new thread, with its mailbox and its factory, and is restarted by policy |
/// | `Pool`, `Arbiter` | has failed until the thread is back, and is then restarted by policy; until then a request to start it is refused |
/// | `Inherit` | holds up its supervisor as well, which can do nothing until the thread is back |
///
/// A service that hangs in its *factory* has lost that, and has failed for good; so has a supervisor whose thread is blocked, with
/// everything below it. Place what may block: on a thread of its own, or as a [`blocking`](crate::ServiceSpec::blocking) function.
///
/// A thread that cannot be made, because there are no more threads or files, is a start that has failed
/// ([`NoThread`](crate::StartError::NoThread)), and is tried again by policy.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Placement {
    /// On this arbiter. If it stops, the service is lost for good, and reported.
    Arbiter(ArbiterHandle),
    /// On a thread of its own, which ends with the service. For an actor whose handlers block.
    Dedicated,
    /// On the arbiter of its supervisor. The default.
    #[default]
    Inherit,
    /// On a pool that the tree shares: one arbiter per core, started with the first service that uses it.
    Pool,
}

impl From<&Placement> for ReportedPlacement {
    fn from(placement: &Placement) -> Self {
        match placement {
            Placement::Arbiter(_) => Self::Arbiter,
            Placement::Dedicated => Self::Dedicated,
            Placement::Inherit => Self::Inherit,
            Placement::Pool => Self::Pool,
        }
    }
}

/// How many messages a mailbox takes unless told otherwise: actix's own number.
const DEFAULT_CAPACITY: usize = 16;

/// Over that actix panics, as its channel counts messages and senders in one number.
const LARGEST_CAPACITY: usize = (usize::MAX >> 2) - 1;

/// The capacity of a mailbox that takes any number of messages, as actix says it.
const UNBOUNDED: usize = 0;
