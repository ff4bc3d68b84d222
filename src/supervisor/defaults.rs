//! What holds for the services of a supervisor that say nothing else.

use std::time::Duration;

use crate::{
    policy::{Backoff, RestartLimit, Shutdown},
    service::Placement,
    state::DefaultRules,
};

/// What holds for the services of a supervisor that say nothing else, see [`SupervisorSpec::each_service`](crate::SupervisorSpec::each_service).
///
/// Each setter means what that of the same name of [`ServiceSpec`](crate::ServiceSpec) does, and is for services that do not call theirs. What
/// is not said here is as it is without it.
#[derive(Clone, Debug)]
#[must_use = "this is to be returned to `each_service`"]
pub struct ServiceDefaults {
    pub(super) rules: DefaultRules,
    pub(super) placement: Placement,
}

impl ServiceDefaults {
    /// Gives each service a limit of its own, by which alone it is counted; `None` takes back what was said before.
    pub fn limit(mut self, limit: impl Into<Option<RestartLimit>>) -> Self {
        self.rules.limit = limit.into();
        self
    }

    /// Sets how long each waits before a restart.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.rules.backoff = Some(backoff);
        self
    }

    /// Sets how each is stopped, in place of [`shutdown_timeout`](crate::SupervisorSpec::shutdown_timeout). Not for supervisors.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.rules.shutdown = Some(shutdown);
        self
    }

    /// Sets how long the start of each may take; `None` takes back what was said before. Not for supervisors.
    pub fn start_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.rules.start_timeout = timeout.into();
        self
    }

    /// Sets where each runs. Not for supervisors.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }
}
