//! What went wrong while a supervisor stopped.

use std::{fmt, sync::Arc};

use crate::{
    policy::{ExitReason, KillCause},
    token::ServiceToken,
};

/// What went wrong while a supervisor stopped.
///
/// Empty if every service stopped in time and without an error. Prints one line per service.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ShutdownReport {
    unstopped: Vec<UnstoppedService>,
    failures: Vec<(Arc<str>, ExitReason)>,
    has_fatal: bool,
}

impl ShutdownReport {
    /// The services that would not stop and were abandoned, because they block their thread: those that did so during this stop, and those
    /// below the supervisor that were abandoned earlier and are still there, also if they, or the supervisor above them, were removed. With a
    /// supervisor whose thread is blocked, the service below that blocks it is among them.
    ///
    /// If the thread of the supervisor itself is blocked when the time of
    /// [`shutdown_within`](crate::SupervisorRef::shutdown_within) is over: whatever still runs, the service first that blocks it; the
    /// supervisor itself if nothing else is left.
    pub fn unstopped(&self) -> &[UnstoppedService] {
        &self.unstopped
    }

    /// The services that failed while they stopped or overran their time, by path, in the order of their ends.
    pub fn failures(&self) -> &[(Arc<str>, ExitReason)] {
        &self.failures
    }

    /// Reports whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.unstopped.is_empty() && self.failures.is_empty()
    }

    /// Reports whether everything that was running has stopped by itself in time, also what failed while it did: nothing had to be
    /// dropped because its time was over, and nobody would not stop.
    ///
    /// By this and [`has_fatal`](Self::has_fatal) [`run`](crate::SupervisorActor::run) chooses its exit code: that a device happens to fail
    /// while a program stops is no fault of the stop.
    pub fn is_in_time(&self) -> bool {
        let late = ExitReason::Killed(KillCause::StopTimeout);
        self.unstopped.is_empty() && self.failures.iter().all(|(_, reason)| *reason != late)
    }

    /// Reports whether something failed, once the stop had begun, with an error that its supervisor calls
    /// [fatal](crate::SupervisorSpec::fatal), as a writer that cannot save what it has left.
    ///
    /// The reason of the end stays what it was, and [`join`](crate::SupervisorRef::join) returns that; but the exit code of a
    /// [program](crate::SupervisorActor::run) is 1.
    pub fn has_fatal(&self) -> bool {
        self.has_fatal
    }

    /// Notes that something failed with a fatal error.
    pub(crate) fn note_fatal(&mut self) {
        self.has_fatal = true;
    }

    /// Adds a service that would not stop.
    pub(crate) fn push_unstopped(&mut self, path: Arc<str>, token: ServiceToken, generation: u64) {
        self.unstopped
            .push(UnstoppedService::new(path, token, generation));
    }

    /// Adds services that would not stop, each incarnation once.
    pub(crate) fn add_unstopped(&mut self, services: Vec<UnstoppedService>) {
        for service in services {
            let (token, generation) = (service.token, service.generation);
            let is_it =
                |known: &UnstoppedService| (known.token, known.generation) == (token, generation);
            if !self.unstopped.iter().any(is_it) {
                self.unstopped.push(service);
            }
        }
    }

    /// Adds a service that failed while it stopped.
    pub(crate) fn push_failure(&mut self, path: Arc<str>, reason: ExitReason) {
        self.failures.push((path, reason));
    }

    /// Adds what went wrong in a subtree.
    pub(crate) fn append(&mut self, mut subtree: Self) {
        self.unstopped.append(&mut subtree.unstopped);
        self.failures.append(&mut subtree.failures);
        self.has_fatal |= subtree.has_fatal;
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("all services stopped");
        }
        let mut separator = "";
        for service in &self.unstopped {
            write!(f, "{separator}{service} would not stop")?;
            separator = "\n";
        }
        for (path, reason) in &self.failures {
            write!(f, "{separator}{path}: {reason:#}")?;
            separator = "\n";
        }
        Ok(())
    }
}

/// A service that would not stop.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UnstoppedService {
    path: Arc<str>,
    token: ServiceToken,
    generation: u64,
}

impl UnstoppedService {
    pub(crate) const fn new(path: Arc<str>, token: ServiceToken, generation: u64) -> Self {
        Self {
            path,
            token,
            generation,
        }
    }

    /// The names from the root to the service, joined by `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The token that it was given when it was added.
    pub const fn token(&self) -> ServiceToken {
        self.token
    }

    /// Which incarnation is still there: 0 for the first.
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

impl fmt::Display for UnstoppedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}
