//! How a tree has ended.
//!
//! The state's [`Ended`] is translated once, for the tree and for the supervisor above alike; what each of them does with it is theirs.

use std::sync::Arc;

use super::error::JoinError;
use crate::{
    policy::{ExitReason, Verdict},
    service::StartError,
    state::{Ended, Exit, ShutdownReport},
};

/// How a tree has ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) report: ShutdownReport,
    pub(crate) result: Result<(), JoinError>,
}

impl Outcome {
    /// How a supervisor has ended, and what it ends with as a service.
    pub(crate) fn of(path: &Arc<str>, ended: Ended) -> (Self, Exit) {
        let own = || Arc::clone(path);
        let exit = |reason| Exit {
            reason,
            verdict: None,
        };
        let (result, report, exit) = match ended {
            // An auto shutdown is an end that the spec asks for, so nobody is told of an error.
            Ended::Stopped { report } | Ended::AutoShutdown { report } => {
                (Ok(()), report, exit(ExitReason::Shutdown))
            }
            Ended::StartFailed {
                path,
                cause,
                unwinding,
                report,
            } => {
                // For the supervisor above this one has failed, with the service as the cause; whoever started a root is told of the
                // service itself.
                let reason = ExitReason::escalated(Arc::clone(&path), cause.clone());
                let error = JoinError::StartFailed {
                    path,
                    reason: cause,
                    unwinding,
                };
                (Err(error), report, exit(reason))
            }
            Ended::Escalated { reason, report } => {
                let error = JoinError::Escalated {
                    path: own(),
                    reason: reason.clone(),
                };
                (Err(error), report, exit(reason))
            }
            Ended::Fatal {
                path,
                error,
                report,
            } => {
                let reason = ExitReason::Failed(error.clone());
                (Err(JoinError::Fatal { path, error }), report, exit(reason))
            }
            Ended::Terminated {
                propagate,
                reason,
                report,
            } => {
                // Above, the verdict counts once more: for the whole tree, or for this supervisor alone, which is not to come back.
                let verdict = if propagate {
                    Verdict::TerminateTree { propagate }
                } else {
                    Verdict::DoNotRestart
                };
                let error = JoinError::Terminated {
                    path: own(),
                    reason: reason.clone(),
                };
                let exit = Exit {
                    reason,
                    verdict: Some(verdict),
                };
                (Err(error), report, exit)
            }
        };
        (Self { report, result }, exit)
    }

    /// The outcome of a tree whose root ended without a word: it panicked or was killed, or its cell is lost.
    pub(super) fn without_report(path: &Arc<str>, exit: &Exit) -> Self {
        let result = if exit.reason.is_abnormal() {
            Err(JoinError::Escalated {
                path: Arc::clone(path),
                reason: exit.reason.clone(),
            })
        } else {
            Ok(())
        };
        Self {
            report: ShutdownReport::default(),
            result,
        }
    }

    /// Why a start failed that ended like this.
    pub(super) fn start_error(&self, path: Arc<str>) -> StartError {
        match &self.result {
            // Somebody dropped the call of `start`, or stopped the root, before it was ready.
            Ok(()) => StartError::Stopped { path },
            Err(JoinError::StartFailed {
                path,
                reason,
                unwinding,
            }) => StartError::Failed {
                path: Arc::clone(path),
                reason: reason.clone(),
                unwinding: unwinding.clone(),
            },
            Err(error) => StartError::Failed {
                path,
                reason: error.reason(),
                unwinding: Vec::new(),
            },
        }
    }
}
