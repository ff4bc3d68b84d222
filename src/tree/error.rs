//! Why a tree has ended, and why its end has no report.

use std::sync::Arc;

use actix::MailboxError;

use crate::{
    policy::{ExitReason, ServiceError},
    service::StartError,
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
