//! Why an operation of a supervisor as a whole fails.

use std::{error::Error, sync::Arc};

use crate::{
    policy::{ExitReason, ServiceError, SpecError, sources},
    service::StartError,
};

/// The supervisor has ended, or is down until somebody starts it again. Nothing can be asked of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the supervisor is gone")]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to say")]
pub struct SupervisorGone;

/// Why a shutdown has no report.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The supervisor had ended before it was asked.
    #[error(transparent)]
    SupervisorGone(#[from] SupervisorGone),
    /// The actix system, or the arbiter of the root, was stopped before the tree had stopped. Shut the tree down first.
    #[error("the actix system stopped before the supervisor had")]
    SystemStopped,
}

impl From<actix::MailboxError> for ShutdownError {
    fn from(_: actix::MailboxError) -> Self {
        Self::SupervisorGone(SupervisorGone)
    }
}

/// Why a tree ended, where it was not shut down.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The supervisor gave up: something below it failed too often.
    #[error("supervisor `{path}` gave up")]
    Escalated {
        /// The supervisor.
        path: Arc<str>,
        /// What it ended with, with the chain of causes below it.
        #[source]
        reason: ExitReason,
    },
    /// A service ended with an error that the spec calls fatal. With several, the most important one.
    #[error("service `{path}` ended the tree")]
    Fatal {
        /// The service.
        path: Arc<str>,
        /// Its error.
        #[source]
        error: ServiceError,
    },
    /// The supervisor could not be started at all.
    #[error("supervisor `{path}` did not start")]
    NotStarted {
        /// The supervisor.
        path: Arc<str>,
        /// Why.
        #[source]
        error: StartError,
    },
    /// A service that the supervisor starts with did not start.
    #[error("service `{path}` failed to start")]
    StartFailed {
        /// The service.
        path: Arc<str>,
        /// Why.
        #[source]
        reason: ExitReason,
        /// What failed while the start was undone, in that order.
        unwinding: Vec<(Arc<str>, ExitReason)>,
    },
    /// The actix system was stopped under the tree.
    #[error("the actix system stopped before the supervisor had")]
    SystemStopped,
    /// A service asked for the end of the tree.
    #[error("service `{path}` asked for the end of the tree")]
    Terminated {
        /// The service.
        path: Arc<str>,
        /// How it ended.
        #[source]
        reason: ExitReason,
    },
}

impl JoinError {
    /// The reason in the terms of a service's end.
    pub(super) fn reason(&self) -> ExitReason {
        match self {
            Self::Escalated { reason, .. }
            | Self::StartFailed { reason, .. }
            | Self::Terminated { reason, .. } => reason.clone(),
            Self::Fatal { error, .. } => ExitReason::Failed(error.clone()),
            Self::NotStarted { .. } | Self::SystemStopped => ExitReason::Shutdown,
        }
    }
}

/// Why a scope ended, where it did not end as planned.
///
/// Names the scope and, where there is one, the member that ended it. Of a [`ServiceSpec::scope`](crate::ServiceSpec::scope) it is the
/// error that its supervisor sees, and a [`Verdict`](crate::Verdict) among its sources counts for the whole scope.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// The supervisor of the scope was dropped before the scope was over: it was killed, or the actix system was stopped.
    #[error("scope `{path}` was dropped before it was over")]
    Dropped {
        /// The scope.
        path: Arc<str>,
    },
    /// Somebody ended the scope with an error, see [`Scope::fail`](crate::scope::Scope::fail), or its
    /// [build function](crate::scope::ScopeSpec::build) failed.
    #[error("scope `{path}` failed")]
    Failed {
        /// The scope.
        path: Arc<str>,
        /// That error.
        #[source]
        error: ServiceError,
    },
    /// A member, or the work, failed, panicked, failed to start or did not stop in time. The first one, or the most important one.
    #[error("service `{member}` ended scope `{path}`")]
    Member {
        /// The scope.
        path: Arc<str>,
        /// The names from the root to the member.
        member: Arc<str>,
        /// How it ended.
        #[source]
        reason: ExitReason,
    },
    /// The scope could not be started at all.
    #[error("scope `{path}` did not start")]
    NotStarted {
        /// The scope.
        path: Arc<str>,
        /// Why.
        #[source]
        error: StartError,
    },
    /// Somebody ended the scope, or removed its work, before the work had a result.
    #[error("scope `{path}` was stopped before its work was done")]
    Stopped {
        /// The scope.
        path: Arc<str>,
    },
}

impl ScopeError {
    /// The names from the root to the scope.
    pub fn path(&self) -> &str {
        match self {
            Self::Dropped { path }
            | Self::Failed { path, .. }
            | Self::Member { path, .. }
            | Self::NotStarted { path, .. }
            | Self::Stopped { path } => path,
        }
    }

    /// The member that ended the scope, by the names from the root.
    pub fn member(&self) -> Option<&str> {
        match self {
            Self::Member { member, .. } => Some(member),
            _ => None,
        }
    }

    /// The first error of type `E` among the sources: what the work or the member has returned, also one of a scope below.
    pub fn find<E: Error + 'static>(&self) -> Option<&E> {
        sources(self).find_map(|error| error.downcast_ref())
    }
}

/// Why a supervisor keeps its spec.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// The new spec is refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The supervisor has ended, or is down until somebody starts it again.
    #[error("the supervisor is gone")]
    SupervisorGone,
}
