//! Why a start fails.

use std::{fmt, io, sync::Arc};

use crate::{
    policy::{ExitReason, Verdict, because, printable},
    state::AddError,
};

/// Why a supervisor, or a service that was waited for, did not start.
///
/// Prints as one line that names the reason; the alternate form (`{:#}`) adds the whole chain of causes.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A service that the supervisor starts with has failed to start; everything that had been started is stopped again.
    ///
    /// `unwinding` lists what failed while it was being stopped, in the order in which that happened, also below a supervisor that has
    /// failed to start.
    #[error(fmt = start_failed)]
    #[non_exhaustive]
    Failed {
        /// The service that failed.
        path: Arc<str>,
        /// How its first incarnation ended.
        #[source]
        reason: ExitReason,
        /// What failed while the start was undone.
        unwinding: Vec<(Arc<str>, ExitReason)>,
    },
    /// The service has said instead of starting that it is not to run, as `ignore` does in OTP: it ended normally before it was ready, or with
    /// [`Verdict::DoNotRestart`]. Nothing is kept of it.
    #[error("service `{path}` declined to start")]
    #[non_exhaustive]
    Declined {
        /// The service.
        path: Arc<str>,
    },
    /// A required service is not declared, does not exist, or is gone. Add it first, or declare it with `requires`.
    ///
    /// Returned by a factory, this [parks](Verdict::Missing) the service until one of its requirements changes.
    #[error(
        "service `{path}` requires `{}`, which is not there",
        printable(requirement)
    )]
    #[non_exhaustive]
    MissingRequirement {
        /// The service that was to be started.
        path: Arc<str>,
        /// What is missing.
        requirement: Arc<str>,
        /// What the supervisor makes of it.
        #[source]
        verdict: Verdict,
    },
    /// The caller does not run inside an actix [`System`](actix::System), which every actor needs.
    #[error("no actix system is running on this thread")]
    NoSystem,
    /// The thread on which the service was to run could not be made, for lack of threads, files or memory. Tried again by policy.
    #[error("no thread for service `{path}`: {error}")]
    #[non_exhaustive]
    NoThread {
        /// The service that was to be started.
        path: Arc<str>,
        /// What the operating system says.
        #[source]
        error: Arc<io::Error>,
    },
    /// Its [factory](crate::ServiceSpec::create) has made an actor and stopped its context, so that it cannot run.
    #[error("the factory of service `{path}` has stopped its context")]
    #[non_exhaustive]
    StoppedByFactory {
        /// The service that was to be started.
        path: Arc<str>,
    },
    /// The service was removed, or its supervisor was stopped, before it was ready.
    #[error("service `{path}` was stopped before it was ready")]
    #[non_exhaustive]
    Stopped {
        /// The service that was to be started.
        path: Arc<str>,
    },
    /// The supervisor is gone. Nothing can be started with it any more.
    #[error("the supervisor is gone")]
    SupervisorGone,
    /// The service exists and is another actor than asked for. A bug in the caller.
    #[error("service `{path}` is a `{found}`, not a `{expected}`")]
    #[non_exhaustive]
    WrongType {
        /// The service.
        path: Arc<str>,
        /// The actor that was asked for.
        expected: &'static str,
        /// The actor that it is.
        found: &'static str,
    },
    /// The service was refused.
    #[error(transparent)]
    Refused(#[from] AddError),
}

/// Prints that a service has failed to start.
pub(crate) fn start_failed(
    path: &str,
    reason: &ExitReason,
    _: &[(Arc<str>, ExitReason)],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    because(f, format_args!("service `{path}` failed to start"), reason)
}
