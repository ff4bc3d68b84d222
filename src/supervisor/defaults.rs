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
    /// Gives each service a limit of its own, by which alone it is counted.
    pub fn limit(mut self, limit: RestartLimit) -> Self {
        self.rules.limit = Some(limit);
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

    /// Sets how long the start of each may take. Not for supervisors.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.rules.start_timeout = Some(timeout);
        self
    }

    /// Sets where each runs. Not for supervisors.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }
}
