//! How users describe a supervisor.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    defaults::ServiceDefaults,
    on_start::{OnStart, StartFn},
};
use crate::{
    policy::{
        AutoShutdown, IntoServiceError, RestartLimit, ServiceError, SpecError, StartOrder, Strategy,
    },
    service::{Placement, guard},
    state::SupervisorRules,
    user_value::UserValue,
};

/// How a supervisor treats its services.
///
/// # Default
///
/// [`Strategy::OneForOne`]; [`RestartLimit::decay`] with 30 s, 5.0 and 15 s, as in suture; 10 s to stop; no
/// spacing after a pause; 10 ms before a bounce; any number of services, and nothing more for each; [`AutoShutdown::Never`]; no error is fatal.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use resurgam::{RestartLimit, Strategy, SupervisorSpec};
///
/// let spec = SupervisorSpec::default()
///     .strategy(Strategy::RestForOne)
///     .limit(RestartLimit::window(3, Duration::from_secs(5)).escalate())
///     .shutdown_timeout(Duration::from_secs(2));
/// ```
#[derive(Clone, Default)]
#[must_use = "a spec does nothing until it is given to a supervisor"]
pub struct SupervisorSpec {
    pub(crate) rules: SupervisorRules,
    /// Where services run that do not say so.
    pub(super) placement: Placement,
    pub(super) on_start: Option<StartFn>,
}

impl SupervisorSpec {
    /// Sets who is stopped and started with a service that is restarted. [`Strategy::OneForOne`] by default.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.rules.strategy = strategy;
        self
    }

    /// Sets whether services are started one after the other. [`Sequential`](StartOrder::Sequential) by default.
    pub fn start_order(mut self, order: StartOrder) -> Self {
        self.rules.start_order = order;
        self
    }

    /// Sets how many restarts are too many, and what happens then. [`RestartLimit::decay`] with 30 s, 5.0 and 15 s by default, as in suture.
    ///
    /// [`give_up`](RestartLimit::give_up) is refused: only a service can.
    pub fn limit(mut self, limit: RestartLimit) -> Self {
        self.rules.limit = limit;
        self
    }

    /// Sets backoff, limit, times and placement for all services that say nothing else. Nothing by default.
    ///
    /// This is what keeps services of one kind from harming each other: by default all restarts of a supervisor are counted together, and one
    /// that fails again and again has all of them pause. With a limit for each, every service is counted by its own alone. Recommended wherever
    /// there is a service for each device, connection or user.
    ///
    /// A service that is to have no limit or no start timeout all the same says so, as in `start_timeout(None)`.
    /// A supervisor among the services takes over limit and backoff, and nothing of this holds for what is below it. Services that are there
    /// when a supervisor is [reconfigured](crate::SupervisorRef::reconfigure) are left alone. Called again, it goes on from what was said before.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use resurgam::{Backoff, RestartLimit, SupervisorSpec};
    ///
    /// let minute = Duration::from_secs(60);
    /// let devices = SupervisorSpec::default().each_service(|defaults| {
    ///     defaults
    ///         .limit(RestartLimit::window(5, minute).pause(minute))
    ///         .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10)))
    /// });
    /// ```
    pub fn each_service(mut self, change: impl FnOnce(ServiceDefaults) -> ServiceDefaults) -> Self {
        let defaults = change(ServiceDefaults {
            rules: self.rules.each_service,
            placement: self.placement,
        });
        self.rules.each_service = defaults.rules;
        self.placement = defaults.placement;
        self
    }

    /// Reports whether each service is given a limit of its own.
    pub(crate) fn limits_each_service(&self) -> bool {
        self.rules.each_service.limit.is_some()
    }

    /// Sets how many services the supervisor may have, at least one. By default any number.
    ///
    /// All that it keeps are counted, also those that are stopped, have failed, wait, or are being removed, and what services spawn; but not
    /// what is below a supervisor among them. One more is refused, with [`AddError::Full`](crate::AddError::Full).
    pub fn max_services(mut self, max: usize) -> Self {
        self.rules.max_services = Some(max);
        self
    }

    /// Sets how long a service may take to stop, unless it or [`each_service`](Self::each_service) says otherwise. 10 s by default.
    ///
    /// Zero asks the service to stop and drops it at once if it has not.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.rules.shutdown_timeout = timeout;
        self
    }

    /// Sets how long to wait between two starts when a pause of all restarts ends. Zero by default: all start at once. Refused with a
    /// [limit](Self::limit) that does not pause.
    pub fn resume_spacing(mut self, spacing: Duration) -> Self {
        self.rules.resume_spacing = spacing;
        self
    }

    /// Sets how long a service waits at the least that is restarted by [`Verdict::Bounce`](crate::Verdict::Bounce). 10 ms by default, juju's
    /// `BounceDelay`.
    ///
    /// Nothing counts a bounce, so this is what keeps a service that always bounces from taking its thread for itself. Zero restarts it at
    /// once. Services that [bind](crate::ServiceSpec::binds_to) to another one do not wait for this: they are started when that is ready.
    pub fn bounce_delay(mut self, delay: Duration) -> Self {
        self.rules.bounce_delay = delay;
        self
    }

    /// Sets whether the end of [significant](crate::ServiceSpec::significant) services ends the supervisor.
    /// [`AutoShutdown::Never`] by default.
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.rules.auto_shutdown = auto_shutdown;
        self
    }

    /// Says which errors end the whole tree. None by default.
    ///
    /// Asked once for every failure, before a verdict in it: an error, a panic, a kill, a failed start, a service that is lost with its arbiter,
    /// and whatever goes wrong while a service is being stopped; but not for one that is dropped on request. Once the supervisor stops anyway,
    /// for another reason, that reason stays, and a fatal error is [noted](crate::ShutdownReport::has_fatal). Runs on the supervisor's turn
    /// and should be quick; if it panics the error is not fatal.
    pub fn fatal(
        mut self,
        is_fatal: impl Fn(&ServiceError) -> bool + Send + Sync + 'static,
    ) -> Self {
        // Guarded where it is called, and where it is dropped: a supervisor is not to end because of either.
        let is_fatal = UserValue::new(is_fatal);
        self.rules.fatal = Some(Arc::new(move |error| {
            guard(|| (*is_fatal)(error)).unwrap_or(false)
        }));
        self
    }

    /// Ranks fatal errors: reports whether the first argument outweighs the second, which is kept so far.
    ///
    /// By default the first fatal error is the one that [`join`](crate::SupervisorRef::join) returns. Refused without [`fatal`](Self::fatal), which may be `|_| false`
    /// where only [`Directive::Fatal`](crate::Directive::Fatal) says which failures are.
    pub fn more_important(
        mut self,
        outweighs: impl Fn(&ServiceError, &ServiceError) -> bool + Send + Sync + 'static,
    ) -> Self {
        let outweighs = UserValue::new(outweighs);
        self.rules.more_important = Some(Arc::new(move |new, kept| {
            guard(|| (*outweighs)(new, kept)).unwrap_or(false)
        }));
        self
    }

    /// Has a function add services each time the supervisor is started, before all of them are started.
    ///
    /// For services that share a resource which must be made anew when the supervisor is restarted. The function runs on the
    /// supervisor's arbiter, also when it is restarted by its own supervisor; if it fails or panics the start has failed. What it gives to
    /// [`OnStart::on_cleanup`](crate::OnStart::on_cleanup) runs on every way out.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// use actix::prelude::*;
    /// use resurgam::{AddError, ServiceContext, ServiceSpec, SupervisorActor, SupervisorSpec};
    ///
    /// struct Reader(Arc<Mutex<Vec<u8>>>);
    ///
    /// impl Actor for Reader {
    ///     type Context = ServiceContext<Self>;
    /// }
    ///
    /// # #[actix::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let spec = SupervisorSpec::default().on_start(|services| {
    ///     let buffer = Arc::new(Mutex::new(Vec::new()));
    ///     let shared = Arc::clone(&buffer);
    ///     services.on_cleanup(move || drop(buffer));
    ///     services.add(ServiceSpec::new("reader", move || Reader(Arc::clone(&shared))))?;
    ///     Ok::<_, AddError>(())
    /// });
    /// let root = SupervisorActor::new("root", spec).start().await?;
    /// assert!(root.lookup::<Reader>("root/reader").await.is_ok());
    /// # root.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_start<F, E, B>(mut self, function: F) -> Self
    where
        F: FnMut(&mut OnStart<'_>) -> Result<(), E> + Send + 'static,
        E: IntoServiceError<B>,
    {
        // A mutex, since a spec can be cloned and the function cannot: clones share it.
        let mut function = UserValue::new(function);
        self.on_start = Some(Arc::new(Mutex::new(move |services: &mut OnStart<'_>| {
            (*function)(services).map_err(E::into_service_error)
        })));
        self
    }
}

impl SupervisorSpec {
    /// Refuses what a supervisor that was made already cannot take over.
    pub(super) fn check_running(&self) -> Result<(), SpecError> {
        if self.on_start.is_some() {
            return Err(SpecError::value(
                "on_start",
                &"a function",
                "none, because the services of a running supervisor stay",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for SupervisorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorSpec")
            .field("rules", &self.rules)
            .field("placement", &self.placement)
            .finish_non_exhaustive()
    }
}
