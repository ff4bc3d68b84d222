//! Why a tree has ended, and why its end has no report.

use std::sync::Arc;

use actix::MailboxError;

use crate::{
    policy::{ExitReason, ServiceError},
    service::StartError,
    state::{Cause, Ended},
};

/// The supervisor has ended, or is down until somebody starts it again. Nothing can be asked of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the supervisor is gone")]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to say")]
pub struct SupervisorGone;

impl From<MailboxError> for SupervisorGone {
    fn from(_: MailboxError) -> Self {
        Self
    }
}

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

impl From<MailboxError> for ShutdownError {
    fn from(_: MailboxError) -> Self {
        Self::SupervisorGone(SupervisorGone)
    }
}

/// Why a tree ended, where it was not shut down.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The supervisor gave up: something below it failed too often.
    #[error("supervisor `{path}` gave up")]
    #[non_exhaustive]
    Escalated {
        /// The supervisor.
        path: Arc<str>,
        /// What it ended with, with the chain of causes below it.
        #[source]
        reason: ExitReason,
    },
    /// A service ended with an error that the spec calls fatal. With several, the most important one.
    #[error("service `{path}` ended the tree")]
    #[non_exhaustive]
    Fatal {
        /// The service, also if it is one below a supervisor that has ended with its error.
        path: Arc<str>,
        /// Its error.
        #[source]
        error: ServiceError,
    },
    /// The supervisor could not be started at all.
    #[error("supervisor `{path}` did not start")]
    #[non_exhaustive]
    NotStarted {
        /// The supervisor.
        path: Arc<str>,
        /// Why.
        #[source]
        error: StartError,
    },
    /// A service that the supervisor starts with did not start.
    #[error("service `{path}` failed to start")]
    #[non_exhaustive]
    StartFailed {
        /// The service.
        path: Arc<str>,
        /// Why.
        #[source]
        reason: ExitReason,
        /// What failed while the start was undone, in that order, also below a supervisor that has failed to start.
        unwinding: Vec<(Arc<str>, ExitReason)>,
    },
    /// The actix system was stopped under the tree.
    #[error("the actix system stopped before the supervisor had")]
    SystemStopped,
    /// A service asked for the end of the tree.
    #[error("service `{path}` asked for the end of the tree")]
    #[non_exhaustive]
    Terminated {
        /// The service, also if it is one below supervisors that have passed its request on.
        path: Arc<str>,
        /// How it ended.
        #[source]
        reason: ExitReason,
    },
}

/// What `join` returns of a tree that has ended like this.
pub(crate) fn result(ended: &Ended) -> Result<(), JoinError> {
    Err(match ended.cause.clone() {
        // An auto shutdown is an end that the spec asks for, so nobody is told of an error.
        Cause::Stopped | Cause::AutoShutdown | Cause::Dropped => return Ok(()),
        Cause::StartFailed { path, reason } => JoinError::StartFailed {
            path,
            reason,
            unwinding: ended.report.failures().to_vec(),
        },
        Cause::Escalated { path, reason } => JoinError::Escalated { path, reason },
        Cause::Fatal { path, error } => JoinError::Fatal { path, error },
        Cause::Terminated { path, reason, .. } => JoinError::Terminated { path, reason },
    })
}

/// What `start` returns of a tree with this root that has ended like this before it was ready.
pub(super) fn start_error(root: Arc<str>, ended: &Ended) -> StartError {
    let (path, reason) = match ended.cause.clone() {
        // Somebody dropped the call of `start`, or stopped the root, before it was ready.
        Cause::Stopped | Cause::AutoShutdown | Cause::Dropped => {
            return StartError::Stopped { path: root };
        }
        Cause::StartFailed { path, reason }
        | Cause::Escalated { path, reason }
        | Cause::Terminated { path, reason, .. } => (path, reason),
        Cause::Fatal { path, error } => (path, ExitReason::Failed(error)),
    };
    StartError::Failed {
        path,
        reason,
        unwinding: ended.report.failures().to_vec(),
    }
}
