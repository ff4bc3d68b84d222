//! Why a scope has ended, and why a supervisor keeps its spec.

use std::{error::Error, fmt, sync::Arc};

use crate::{
    policy::{ExitReason, ServiceError, SpecError, because, sources},
    service::StartError,
};

/// Why a scope ended, where it did not end as planned.
///
/// Prints as one line that names the scope, the reason and, where there is one, the member that ended it; the alternate form (`{:#}`) adds the
/// whole chain of causes. Of a [`ServiceSpec::scope`](crate::ServiceSpec::scope) it is the
/// error that its supervisor sees, and a [`Verdict`](crate::Verdict) among its sources counts for the whole scope.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// The supervisor of the scope was dropped before the scope was over: it was killed, or the actix system was stopped.
    #[error("scope `{path}` was dropped before it was over")]
    #[non_exhaustive]
    Dropped {
        /// The scope.
        path: Arc<str>,
    },
    /// Somebody ended the scope with an error, see [`Scope::fail`](crate::scope::Scope::fail), or its
    /// [start function](crate::scope::ScopeSpec::on_start) failed.
    #[error(fmt = failed)]
    #[non_exhaustive]
    Failed {
        /// The scope.
        path: Arc<str>,
        /// That error.
        #[source]
        error: ServiceError,
    },
    /// A member, or the work, failed, panicked, failed to start or did not stop in time. The first one, or the most important one.
    #[error(fmt = ended_by)]
    #[non_exhaustive]
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
    #[error(fmt = not_started)]
    #[non_exhaustive]
    NotStarted {
        /// The scope.
        path: Arc<str>,
        /// Why.
        #[source]
        error: StartError,
    },
    /// Somebody ended the scope, or removed its work, before the work had a result.
    #[error("scope `{path}` was stopped before its work was done")]
    #[non_exhaustive]
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

fn failed(path: &str, error: &ServiceError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    because(f, format_args!("scope `{path}` failed"), error)
}

fn ended_by(
    path: &str,
    member: &str,
    reason: &ExitReason,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let what = format_args!("service `{member}` ended scope `{path}`");
    because(f, what, reason)
}

fn not_started(path: &str, error: &StartError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    because(f, format_args!("scope `{path}` did not start"), error)
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
