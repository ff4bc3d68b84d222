//! The rules that a supervisor follows, and those of each of its services.

use std::{fmt, sync::Arc, time::Duration};

use crate::policy::{
    AutoShutdown, Backoff, Directive, Failure, LimitOf, Readiness, RestartLimit, RestartType,
    ServiceError, Shutdown, SpecError, StartOrder, Strategy, WhileDown, check_name, check_path,
};

/// Says whether an error ends the whole tree.
pub(crate) type Fatal = Arc<dyn Fn(&ServiceError) -> bool + Send + Sync>;
/// Says whether a new fatal error takes the place of the one that is kept.
pub(crate) type MoreImportant = Arc<dyn Fn(&ServiceError, &ServiceError) -> bool + Send + Sync>;

/// Says what is to follow a failure of a service.
#[derive(Clone)]
pub(crate) struct Decide(pub(crate) Arc<dyn Fn(&Failure) -> Directive + Send + Sync>);

impl fmt::Debug for Decide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decide").finish_non_exhaustive()
    }
}

/// The rules that a supervisor follows.
#[derive(Clone)]
pub(crate) struct SupervisorRules {
    /// Who is restarted with whom.
    pub(crate) strategy: Strategy,
    /// Whether services are started one after the other.
    pub(crate) start_order: StartOrder,
    /// How many restarts are too many, and what happens then.
    pub(crate) limit: RestartLimit,
    /// What holds for services that say nothing else: nothing.
    pub(crate) each_service: DefaultRules,
    /// How many services it may have: any number.
    pub(crate) max_services: Option<usize>,
    /// How long a service may take to stop that does not say so itself, nor is it said for each: 10 s.
    pub(crate) shutdown_timeout: Duration,
    /// How much time passes between two starts after a pause: none.
    pub(crate) resume_spacing: Duration,
    /// How long a service waits that bounces: 10 ms.
    pub(crate) bounce_delay: Duration,
    /// When the supervisor ends by itself.
    pub(crate) auto_shutdown: AutoShutdown,
    /// Which errors end the whole tree: none.
    pub(crate) fatal: Option<Fatal>,
    /// Which of two fatal errors counts: the first.
    pub(crate) more_important: Option<MoreImportant>,
    /// Whether the supervisor is a scope: it is not.
    pub(crate) binding: Binding,
}

impl SupervisorRules {
    /// Refuses what makes no sense.
    pub(crate) fn validate(&self) -> Result<(), SpecError> {
        if self.more_important.is_some() && self.fatal.is_none() && self.binding == Binding::Loose {
            return Err(SpecError::value(
                "more_important",
                &"a function",
                "`fatal` as well, without which no error is ranked",
            ));
        }
        if self.max_services == Some(0) {
            return Err(SpecError::value("max_services", &0, "a number above zero"));
        }
        self.each_service.validate()?;
        self.limit.validate(LimitOf::Supervisor)?;
        if !self.resume_spacing.is_zero() && !self.limit.pauses() {
            return Err(SpecError::value(
                "resume_spacing",
                &format_args!("{:?}", self.resume_spacing),
                "none, because only a limit that pauses needs it",
            ));
        }
        Ok(())
    }
}

impl Default for SupervisorRules {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            start_order: StartOrder::default(),
            limit: RestartLimit::default(),
            each_service: DefaultRules::default(),
            max_services: None,
            shutdown_timeout: Duration::from_secs(10),
            resume_spacing: Duration::ZERO,
            bounce_delay: Duration::from_millis(10),
            auto_shutdown: AutoShutdown::default(),
            fatal: None,
            more_important: None,
            binding: Binding::default(),
        }
    }
}

impl fmt::Debug for SupervisorRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorRules")
            .field("strategy", &self.strategy)
            .field("start_order", &self.start_order)
            .field("limit", &self.limit)
            .field("each_service", &self.each_service)
            .field("max_services", &self.max_services)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("resume_spacing", &self.resume_spacing)
            .field("bounce_delay", &self.bounce_delay)
            .field("auto_shutdown", &self.auto_shutdown)
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}

/// The rules for one service.
#[derive(Clone, Debug)]
pub(crate) struct ServiceRules {
    /// The name among its siblings, or what it begins with. Its path is put together when it is added.
    pub(crate) name: Arc<str>,
    /// Whether that is all of the name.
    pub(crate) naming: Naming,
    /// When it is started again.
    pub(crate) restart: RestartType,
    /// How it is stopped; its supervisor's `shutdown_timeout` if it does not say.
    pub(crate) shutdown: Option<Shutdown>,
    /// When it counts as ready.
    pub(crate) readiness: Readiness,
    /// Whether its end may end its supervisor.
    pub(crate) significance: Significance,
    /// Whether it can say when it is ready.
    pub(crate) announces: Announces,
    /// What becomes of it if it blocks its thread and is abandoned.
    pub(crate) on_blocked: OnBlocked,
    /// What it is.
    pub(crate) kind: ServiceKind,
    /// Apart, since rules are moved often until their service is there.
    pub(super) rare: Option<Box<RareRules>>,
}

/// What a service is, as far as a supervisor treats it differently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ServiceKind {
    /// Anything else: an actor, a function, a process.
    Actor,
    /// A supervisor, whoever has made it, or a root.
    Supervisor,
}

/// The rules that few services have.
#[derive(Clone, Debug, Default)]
pub(crate) struct RareRules {
    /// How long it may take to become ready: as long as it likes.
    pub(crate) start_timeout: Option<Duration>,
    /// Whether it is to have none of the following, also where that is said for each: it is not.
    pub(crate) without: Without,
    /// How long it waits before it is started again: not at all.
    pub(crate) backoff: Option<Backoff>,
    /// A limit of its own.
    pub(crate) limit: Option<RestartLimit>,
    /// What is asked about its failures.
    pub(crate) decide: Option<Decide>,
    /// The names that must be ready before it is started, and paths of services elsewhere.
    pub(crate) requires: Vec<Arc<str>>,
    /// The names that must have ended without an error before it is started.
    pub(crate) requires_completed: Vec<Arc<str>>,
    /// The names that it is restarted with; each is required as well.
    pub(crate) binds_to: Vec<Arc<str>>,
    /// What is wrong with what the service is made of, to be said when it is added.
    pub(crate) refused: Option<SpecError>,
    /// What becomes of messages while it is down.
    pub(crate) while_down: WhileDown,
    /// Whether the steward of the supervisor is asked before it is started again.
    pub(crate) consults: bool,
}

/// What a service has said that it is not to have, though its supervisor may say so for each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Without {
    pub(crate) limit: bool,
    pub(crate) start_timeout: bool,
}

impl ServiceRules {
    /// The defaults, for a service of this name.
    pub(crate) fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            naming: Naming::default(),
            restart: RestartType::default(),
            shutdown: None,
            readiness: Readiness::default(),
            significance: Significance::default(),
            announces: Announces::default(),
            on_blocked: OnBlocked::default(),
            kind: ServiceKind::Actor,
            rare: None,
        }
    }

    /// The rules that few services have, to be set.
    pub(crate) fn rare(&mut self) -> &mut RareRules {
        self.rare.get_or_insert_default()
    }

    /// Takes over what the service says nothing of.
    pub(super) fn fill_in(&mut self, defaults: &DefaultRules) {
        let DefaultRules {
            backoff,
            limit,
            shutdown,
            start_timeout,
        } = defaults;
        // All that is below a supervisor would be bounded by a time that is meant for one service.
        let times = match self.kind {
            ServiceKind::Actor => (*shutdown, *start_timeout),
            ServiceKind::Supervisor => (None, None),
        };
        self.shutdown = self.shutdown.or(times.0);
        if limit.is_none() && backoff.is_none() && times.1.is_none() {
            return;
        }
        let rare = self.rare();
        if !rare.without.limit {
            rare.limit = rare.limit.take().or_else(|| limit.clone());
        }
        rare.backoff = rare.backoff.take().or_else(|| backoff.clone());
        if !rare.without.start_timeout {
            rare.start_timeout = rare.start_timeout.or(times.1);
        }
    }

    /// Refuses what makes no sense under a supervisor that ends by itself as `auto_shutdown` says.
    pub(super) fn validate(&self, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
        check_name(&self.name)?;
        if let Some(rare) = &self.rare {
            rare.validate()?;
        }
        if self.readiness == Readiness::Explicit && self.announces == Announces::Never {
            return Err(SpecError::value(
                "readiness",
                &"Explicit",
                "OnStart, because only a ServiceContext can say when it is ready",
            ));
        }
        if let Some(name) = self
            .required()
            .find(|name| name.is_empty() || name.contains('/'))
        {
            return Err(SpecError::name(
                name,
                "only `requires` takes the path of a service elsewhere",
            ));
        }
        for path in self.rare.iter().flat_map(|rare| rare.paths()) {
            check_path(path)?;
        }
        // Printed when the service waits for it.
        for name in self.required() {
            check_name(name)?;
        }
        self.validate_significance(auto_shutdown)
    }

    fn validate_significance(&self, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
        if self.significance == Significance::Ordinary {
            return Ok(());
        }
        if self.restart == RestartType::Permanent {
            return Err(SpecError::value(
                "significant",
                &self.restart,
                "a transient or temporary service, because a permanent one does not end",
            ));
        }
        if auto_shutdown == AutoShutdown::Never {
            return Err(SpecError::value(
                "significant",
                &format_args!("{auto_shutdown:?}"),
                "a supervisor with an auto shutdown other than `Never`",
            ));
        }
        Ok(())
    }

    /// All names that must be ready before it is started; one may come twice.
    pub(crate) fn required(&self) -> impl Iterator<Item = &Arc<str>> {
        self.rare.iter().flat_map(|rare| rare.required())
    }
}

impl RareRules {
    /// All names that must be ready before it is started; one may come twice.
    pub(super) fn required(&self) -> impl Iterator<Item = &Arc<str>> {
        let siblings = self.requires.iter().filter(|name| !name.contains('/'));
        let siblings = siblings.chain(&self.requires_completed);
        siblings.chain(&self.binds_to)
    }

    /// All paths of services elsewhere that must be ready before it is started.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Arc<str>> {
        self.requires.iter().filter(|name| name.contains('/'))
    }

    fn validate(&self) -> Result<(), SpecError> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        validate_settings(
            self.limit.as_ref(),
            self.backoff.as_ref(),
            self.start_timeout,
        )
    }
}

/// What holds for the services of a supervisor that say nothing else.
#[derive(Clone, Debug, Default)]
pub(crate) struct DefaultRules {
    pub(crate) backoff: Option<Backoff>,
    pub(crate) limit: Option<RestartLimit>,
    pub(crate) shutdown: Option<Shutdown>,
    pub(crate) start_timeout: Option<Duration>,
}

impl DefaultRules {
    fn validate(&self) -> Result<(), SpecError> {
        let checked = validate_settings(
            self.limit.as_ref(),
            self.backoff.as_ref(),
            self.start_timeout,
        );
        checked.map_err(|error| error.within("each_service"))
    }
}

fn validate_settings(
    limit: Option<&RestartLimit>,
    backoff: Option<&Backoff>,
    start_timeout: Option<Duration>,
) -> Result<(), SpecError> {
    if let Some(limit) = limit {
        limit.validate(LimitOf::Service)?;
    }
    if let Some(backoff) = backoff {
        backoff.validate()?;
    }
    if start_timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(SpecError::value(
            "start_timeout",
            &"0ns",
            "a duration above zero",
        ));
    }
    Ok(())
}

/// How a service gets its name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Naming {
    /// It has been given one.
    #[default]
    Given,
    /// Its supervisor puts a number behind what it has been given.
    Numbered,
}

/// Whether the services of a supervisor live and end together, as those of a scope do.
///
/// What is different for a scope:
///
/// 1. Every service is temporary, and forgotten as soon as it has ended, also one that was there at the start; but not one that was
///    stopped on request, which is kept until the end.
/// 2. Every failure ends the supervisor, before any verdict in it; a service that was dropped on request has not failed, nor has one
///    whose error is a bare [`Verdict`](crate::policy::Verdict) or says that this scope ends.
/// 3. The first error is how the supervisor ends, unless a later one outweighs it. A clean end is replaced by any error until
///    all services have ended.
/// 4. At the end all services are forgotten, in reverse start order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Binding {
    /// As in a scope: the first failure ends all.
    Bound,
    /// Each has a life of its own.
    #[default]
    Loose,
}

/// Whether the end of a service may end its supervisor.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Significance {
    /// Its end leaves the supervisor running.
    #[default]
    Ordinary,
    /// Its end may end the supervisor, as the auto shutdown of that says.
    Significant,
}

/// Whether a service can say when it is ready.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Announces {
    /// Its context has no call for that: it is ready when it has started.
    Never,
    /// When it likes.
    #[default]
    OnDemand,
}

/// The last name of a path.
pub(super) fn name_of(path: &str) -> &str {
    // Bytes and not characters, since this is done for every hash of a name; a `/` is a character of one byte.
    let slash = path.as_bytes().iter().rposition(|byte| *byte == b'/');
    slash.map_or(path, |slash| &path[slash + 1..])
}

/// What becomes of a service that blocks its thread, and is abandoned.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum OnBlocked {
    /// It is on the supervisor's own thread, which is not blocked: it is judged like any that was killed.
    #[default]
    Judge,
    /// Likewise judged: the next incarnation has another thread.
    NewThread,
    /// It has failed until its thread is back, which others use as well, and is judged then.
    AwaitThread,
    /// Likewise, and is kept as stopped then, which was wanted of it when it was abandoned.
    AwaitThreadAndStop,
    /// It has failed for good: what makes it was lost with its thread.
    Fail,
}
