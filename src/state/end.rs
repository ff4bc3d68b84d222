//! What an end is: of an incarnation, and of the supervisor itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{report::ShutdownReport, service::Wanted};
use crate::{
    event::EventKind,
    policy::{ExitReason, ServiceError, Verdict},
    token::ServiceToken,
};

/// How an incarnation ended, as its cell tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exit {
    /// Why it ended.
    pub(crate) reason: ExitReason,
    /// What it decided about itself; a verdict among the sources of its error counts as well.
    pub(crate) verdict: Option<Verdict>,
}

impl Exit {
    /// What the service decided about itself, if anything.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        // Walks the sources of a user's error, on the supervisor's turn.
        let in_error = || Verdict::find_quietly(self.reason.error()?.as_error());
        self.verdict.or_else(in_error)
    }
}

impl From<ExitReason> for Exit {
    fn from(reason: ExitReason) -> Self {
        Self {
            reason,
            verdict: None,
        }
    }
}

/// The end of an incarnation: what its cell tells, and what only the supervisor knows.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) exit: Exit,
    /// For how long it was ready, or `None` if it never was, or was asked to stop.
    pub(super) ready_for: Option<Duration>,
    pub(super) asked: Asked,
}

/// Whether an incarnation ended before it was asked to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    /// It was asked to stop, or was being dropped.
    Already,
    /// It ended by itself, though it may have been about to be asked.
    NotYet,
}

impl End {
    /// Reports whether it said instead of starting that it is not to run, as `ignore` does in OTP: no failed start.
    pub(super) fn declines(&self) -> bool {
        self.ready_for.is_none()
            && matches!(
                self.exit.verdict(),
                Some(Verdict::DoNotRestart | Verdict::Uninstall)
            )
    }
}

/// What a service was about when its cell was lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) wanted: Wanted,
    /// Whether there was an incarnation that was not ready yet.
    pub(super) starting: bool,
}

/// What the state knows of the end of its supervisor while it lasts: why, and what has gone wrong since.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) cause: Cause,
    report: ShutdownReport,
    /// When everything that still runs is dropped, and how long it was given.
    deadline: Option<(Instant, Duration)>,
}

/// Why a supervisor ends.
#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// It was asked to.
    Stopped,
    /// A service could not be started.
    StartFailed { path: Arc<str>, cause: ExitReason },
    /// A limit was exceeded.
    Escalated { reason: ExitReason },
    /// A service ended with a fatal error.
    Fatal { path: Arc<str>, error: ServiceError },
    /// A service decided so.
    Terminated { propagate: bool, reason: ExitReason },
    /// Significant services have ended.
    AutoShutdown,
}

impl Ending {
    pub(super) fn new(cause: Cause) -> Self {
        Self {
            cause,
            report: ShutdownReport::default(),
            deadline: None,
        }
    }

    /// Records a service that failed while it stopped.
    pub(super) fn failed(&mut self, path: &Arc<str>, reason: &ExitReason) {
        self.report.push_failure(Arc::clone(path), reason.clone());
    }

    /// Records a service that would not stop.
    pub(super) fn unstopped(&mut self, path: &Arc<str>, token: ServiceToken, generation: u64) {
        self.report
            .push_unstopped(Arc::clone(path), token, generation);
    }

    /// When everything that still runs is dropped.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.map(|(at, _)| at)
    }

    /// Says when everything that still runs is dropped. Only an earlier time than the one before has an effect.
    pub(super) fn limit(&mut self, at: Instant, within: Duration) {
        if self.deadline().is_none_or(|before| at < before) {
            self.deadline = Some((at, within));
        }
    }

    /// The time is over: takes how long it was.
    pub(super) fn expire(&mut self) -> Option<Duration> {
        // Taken: it is done once, and a shorter time that comes later has nothing left to kill.
        self.deadline.take().map(|(_, within)| within)
    }

    /// All services have ended: what is reported of the supervisor, and how it has ended.
    pub(super) fn complete(self) -> (EventKind, Ended) {
        let report = self.report;
        let stopped = |reason| EventKind::SupervisorStopped { reason };
        match self.cause {
            Cause::Stopped => (stopped(ExitReason::Shutdown), Ended::Stopped { report }),
            Cause::AutoShutdown => (
                stopped(ExitReason::Shutdown),
                Ended::AutoShutdown { report },
            ),
            Cause::StartFailed { path, cause } => {
                let kind = EventKind::SupervisorStartFailed {
                    path: Arc::clone(&path),
                    cause: cause.clone(),
                };
                let unwinding = report.failures().to_vec();
                let ended = Ended::StartFailed {
                    path,
                    cause,
                    unwinding,
                    report,
                };
                (kind, ended)
            }
            Cause::Escalated { reason } => {
                let kind = EventKind::SupervisorEscalated {
                    reason: reason.clone(),
                };
                (kind, Ended::Escalated { reason, report })
            }
            Cause::Fatal { path, error } => {
                let kind = stopped(ExitReason::Failed(error.clone()));
                let ended = Ended::Fatal {
                    path,
                    error,
                    report,
                };
                (kind, ended)
            }
            Cause::Terminated { propagate, reason } => {
                let kind = stopped(reason.clone());
                let ended = Ended::Terminated {
                    propagate,
                    reason,
                    report,
                };
                (kind, ended)
            }
        }
    }
}

/// How a supervisor ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ended {
    /// It was asked to.
    Stopped {
        /// What went wrong while it stopped.
        report: ShutdownReport,
    },
    /// A service that was there at the start could not be started. Those that were ready have stopped again.
    StartFailed {
        /// Which service.
        path: Arc<str>,
        /// Why it ended.
        cause: ExitReason,
        /// What failed while the others stopped, in that order.
        unwinding: Vec<(Arc<str>, ExitReason)>,
        /// What went wrong while they stopped.
        report: ShutdownReport,
    },
    /// A limit was exceeded.
    Escalated {
        /// With what the supervisor ended: always an escalation.
        reason: ExitReason,
        /// What went wrong while it stopped.
        report: ShutdownReport,
    },
    /// A service ended with a fatal error.
    Fatal {
        /// Which service.
        path: Arc<str>,
        /// The most important fatal error; the first of those that nobody compares.
        error: ServiceError,
        /// What went wrong while the supervisor stopped.
        report: ShutdownReport,
    },
    /// A service ended with the verdict to terminate the tree.
    Terminated {
        /// Whether the supervisors above end likewise.
        propagate: bool,
        /// With what the service ended.
        reason: ExitReason,
        /// What went wrong while the supervisor stopped.
        report: ShutdownReport,
    },
    /// Significant services have ended by themselves.
    AutoShutdown {
        /// What went wrong while the supervisor stopped.
        report: ShutdownReport,
    },
}
