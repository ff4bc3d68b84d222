//! Why a tree has ended, and why its end has no report.

use std::{fmt, sync::Arc};

use actix::MailboxError;

use crate::{
    policy::{ExitReason, ServiceError, because},
    service::{StartError, start_failed},
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
///
/// Prints as one line that names the reason; the alternate form (`{:#}`) adds the whole chain of causes.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The supervisor gave up: something below it failed too often.
    #[error(fmt = escalated)]
    #[non_exhaustive]
    Escalated {
        /// The supervisor.
        path: Arc<str>,
        /// What it ended with, with the chain of causes below it.
        #[source]
        reason: ExitReason,
    },
    /// A service ended with an error that the spec calls fatal. With several, the most important one.
    #[error(fmt = fatal)]
    #[non_exhaustive]
    Fatal {
        /// The service, also if it is one below a supervisor that has ended with its error.
        path: Arc<str>,
        /// Its error.
        #[source]
        error: ServiceError,
    },
    /// The supervisor could not be started at all.
    #[error(fmt = not_started)]
    #[non_exhaustive]
    NotStarted {
        /// The supervisor.
        path: Arc<str>,
        /// Why.
        #[source]
        error: StartError,
    },
    /// A service that the supervisor starts with did not start.
    #[error(fmt = start_failed)]
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
    #[error(fmt = terminated)]
    #[non_exhaustive]
    Terminated {
        /// The service, also if it is one below supervisors that have passed its request on.
        path: Arc<str>,
        /// How it ended.
        #[source]
        reason: ExitReason,
    },
}

fn escalated(path: &str, reason: &ExitReason, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    because(f, format_args!("supervisor `{path}` gave up"), reason)
}

fn fatal(path: &str, error: &ServiceError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    because(f, format_args!("service `{path}` ended the tree"), error)
}

fn not_started(path: &str, error: &StartError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    because(f, format_args!("supervisor `{path}` did not start"), error)
}

fn terminated(path: &str, reason: &ExitReason, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let what = format_args!("service `{path}` asked for the end of the tree");
    // One that has failed at nothing has no more to say.
    if reason.is_abnormal() {
        because(f, what, reason)
    } else {
        f.write_fmt(what)
    }
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

#[cfg(test)]
mod tests {
    use std::{error::Error, io};

    use super::*;
    use crate::{
        policy::with_causes,
        state::{ResetError, RestartError},
    };

    #[derive(Debug, thiserror::Error)]
    #[error("the store is gone")]
    struct Gone(#[source] io::Error);

    fn gone() -> ServiceError {
        ServiceError::new(Gone(io::Error::other("no such disk")))
    }

    /// What a plain print says, as an HTTP API gives it out, and what the alternate form adds.
    #[test]
    fn every_end_names_its_reason_and_in_the_alternate_form_all_causes() {
        let path = || Arc::<str>::from("root/a");
        let reason = || ExitReason::Failed(gone());
        let unwinding = Vec::new;
        let escalated = ExitReason::escalated(path(), reason());
        let not_started = StartError::Failed {
            path: path(),
            reason: reason(),
            unwinding: unwinding(),
        };
        let errors: [(Box<dyn Error>, &str, &str); 8] = [
            (
                Box::new(JoinError::Escalated {
                    path: Arc::from("root"),
                    reason: escalated,
                }),
                "supervisor `root` gave up: escalated by `root/a`",
                ": failed: the store is gone: no such disk",
            ),
            (
                Box::new(JoinError::Fatal {
                    path: path(),
                    error: gone(),
                }),
                "service `root/a` ended the tree: the store is gone",
                ": no such disk",
            ),
            (
                Box::new(JoinError::NotStarted {
                    path: Arc::from("root"),
                    error: not_started,
                }),
                "supervisor `root` did not start: service `root/a` failed to start: failed: the store is gone",
                ": no such disk",
            ),
            (
                Box::new(JoinError::StartFailed {
                    path: path(),
                    reason: reason(),
                    unwinding: unwinding(),
                }),
                "service `root/a` failed to start: failed: the store is gone",
                ": no such disk",
            ),
            (
                Box::new(JoinError::Terminated {
                    path: path(),
                    reason: reason(),
                }),
                "service `root/a` asked for the end of the tree: failed: the store is gone",
                ": no such disk",
            ),
            (
                Box::new(JoinError::Terminated {
                    path: path(),
                    reason: ExitReason::Normal,
                }),
                "service `root/a` asked for the end of the tree",
                "",
            ),
            (
                Box::new(RestartError::failed(reason())),
                "service failed to start: failed: the store is gone",
                ": no such disk",
            ),
            (
                Box::new(ResetError::failed(reason())),
                "service failed to start: failed: the store is gone",
                ": no such disk",
            ),
        ];
        for (error, plain, causes) in errors {
            assert_eq!(error.to_string(), plain);
            assert_eq!(format!("{error:#}"), format!("{plain}{causes}"));
            // Whoever prints the chain itself, as a log does, says nothing twice.
            if error
                .source()
                .is_some_and(|source| source.to_string() != "normal")
            {
                assert_eq!(with_causes(&*error), format!("{plain}{causes}"));
            }
        }
    }
}
