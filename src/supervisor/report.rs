//! A picture of a supervisor and its services.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    event::Blocked,
    policy::{ExitReason, printable},
    state::{ServiceState, ServiceView, SupervisorState},
    token::ServiceToken,
};

/// What a supervisor and its services are doing, at one moment.
///
/// Prints as an indented tree.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    path: Arc<str>,
    failure_count: f64,
    table_unreachable: Option<Duration>,
    services: Vec<ServiceReport>,
}

impl Report {
    /// What the state knows at this moment.
    ///
    /// `unreachable` says since when the table of a keyed supervisor cannot be read.
    pub(super) fn of(state: &SupervisorState, unreachable: Option<Instant>, now: Instant) -> Self {
        let services = state.services().map(|view| {
            let own = state.own_count(view.token, now);
            ServiceReport::new(view, own, now)
        });
        Self {
            path: Arc::clone(state.path()),
            failure_count: state.failure_count(now),
            table_unreachable: unreachable.map(|since| now.saturating_duration_since(since)),
            services: services.collect(),
        }
    }

    /// The names from the root to the supervisor.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is counted against the limit of the supervisor at this moment.
    pub fn failure_count(&self) -> f64 {
        self.failure_count
    }

    /// For how long the table of a [keyed](crate::keyed) supervisor cannot be read. `None` if it can, and for any other supervisor.
    pub fn table_unreachable(&self) -> Option<Duration> {
        self.table_unreachable
    }

    /// The services in start order.
    pub fn services(&self) -> &[ServiceReport] {
        &self.services
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (count {:.2})", self.path, self.failure_count)?;
        if let Some(unreachable) = self.table_unreachable {
            write!(f, ", table unreachable for {unreachable:.1?}")?;
        }
        for service in &self.services {
            write!(f, "\n  {service}")?;
        }
        Ok(())
    }
}

/// What one service is doing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServiceReport {
    path: Arc<str>,
    token: ServiceToken,
    state: ServiceState,
    generation: u64,
    failure_count: Option<f64>,
    uptime: Option<Duration>,
    next_start: Option<Duration>,
    waits_for: Option<(Arc<str>, Blocked)>,
    last_exit: Option<ExitReason>,
}

impl ServiceReport {
    fn new(view: ServiceView, failure_count: Option<f64>, now: Instant) -> Self {
        let runs = matches!(
            view.state,
            ServiceState::Ready | ServiceState::Starting | ServiceState::Stopping
        );
        Self {
            path: view.path,
            token: view.token,
            state: view.state,
            generation: view.generation,
            failure_count,
            uptime: view
                .since
                .filter(|_| runs)
                .map(|since| now.saturating_duration_since(since)),
            next_start: view
                .next_start
                .map(|next| next.saturating_duration_since(now)),
            waits_for: view.waits_for.map(|(on, why)| (on, why.told(now))),
            last_exit: view.last_exit,
        }
    }

    /// The token of the service.
    pub fn token(&self) -> ServiceToken {
        self.token
    }

    /// The names from the root to the service.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the service is doing.
    pub fn state(&self) -> ServiceState {
        self.state
    }

    /// The number of its present or latest incarnation, from 0.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What is counted against the own limit of the service at this moment, or `None` if it has none and is counted by its supervisor's.
    pub fn failure_count(&self) -> Option<f64> {
        self.failure_count
    }

    /// How long the present incarnation has been there, if one is.
    pub fn uptime(&self) -> Option<Duration> {
        self.uptime
    }

    /// How long it is until the next start, if one is due at a known time.
    pub fn next_start(&self) -> Option<Duration> {
        self.next_start
    }

    /// For which service it waits, and what is the matter with that one, if it waits for one.
    ///
    /// That is one that it requires, directly or not, or under [`Strategy::RestForOne`](crate::Strategy::RestForOne) one before it.
    pub fn waits_for(&self) -> Option<(&str, Blocked)> {
        self.waits_for.as_ref().map(|(on, why)| (&**on, *why))
    }

    /// How the incarnation before this one ended, if there was one.
    pub fn last_exit(&self) -> Option<&ExitReason> {
        self.last_exit.as_ref()
    }
}

impl fmt::Display for ServiceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path of its supervisor stands above it.
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        write!(
            f,
            "{name} [{}] {}, generation {}",
            self.token, self.state, self.generation
        )?;
        if let Some(count) = self.failure_count {
            write!(f, ", own count {count:.2}")?;
        }
        if let Some(uptime) = self.uptime {
            write!(f, ", up {uptime:.1?}")?;
        }
        if let Some(next) = self.next_start {
            write!(f, ", starts in {next:.1?}")?;
        }
        if let Some((on, why)) = &self.waits_for {
            write!(f, ", waits for `{on}`, which {why}")?;
        }
        if let Some(reason) = &self.last_exit {
            // In one line, whatever the error of a user's says: the next one is another service.
            write!(f, ", last exit: {}", printable(&format!("{reason:#}")))?;
        }
        Ok(())
    }
}
