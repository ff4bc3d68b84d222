//! What an end is: of an incarnation, and of the supervisor itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    bounds::StopBy,
    phase::{Finish, FinishedBy, Ran},
    report::ShutdownReport,
    service::Wanted,
};
use crate::{
    event::EventKind,
    policy::{Directive, ExitReason, KillCause, ServiceError, Verdict},
    token::ServiceToken,
};

/// How an incarnation ended, as its cell tells it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exit {
    /// Why it ended.
    pub(crate) reason: ExitReason,
    /// What it decided about itself; a verdict among the sources of its error counts as well.
    pub(crate) verdict: Option<Verdict>,
    /// If it is a supervisor: how that has ended, which says more than the two above. Boxed, since few are.
    pub(crate) ended: Option<Box<Ended>>,
}

impl Exit {
    /// What the service decided about itself, if anything.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        // Walks the sources of a user's error, on the supervisor's turn.
        let in_error = || Verdict::find_quietly(self.reason.error()?.as_error());
        self.verdict.or_else(in_error)
    }

    /// The service that did it, if that is one below the service that has ended, at any depth.
    ///
    /// Of what a supervisor passes on as it is. An escalation and the error of a scope are its own, and have the paths below among their
    /// sources.
    pub(super) fn origin(&self) -> Option<&Arc<str>> {
        match &self.ended.as_ref()?.cause {
            Cause::Fatal { path, error } if self.reason.error() == Some(error) => Some(path),
            Cause::Terminated { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Takes what went wrong below, while a supervisor stopped.
    pub(super) fn take_report(&mut self) -> ShutdownReport {
        let ended = self.ended.as_mut();
        ended.map_or_else(ShutdownReport::default, |ended| {
            std::mem::take(&mut ended.report)
        })
    }
}

impl From<ExitReason> for Exit {
    fn from(reason: ExitReason) -> Self {
        Self {
            reason,
            verdict: None,
            ended: None,
        }
    }
}

/// What a supervisor ends with, as a service of the one above.
impl From<Ended> for Exit {
    fn from(ended: Ended) -> Self {
        let (reason, verdict) = match &ended.cause {
            // An auto shutdown is an end that the spec asks for.
            Cause::Stopped | Cause::AutoShutdown => (ExitReason::Shutdown, None),
            // Not told: whoever has dropped it says with what cause.
            Cause::Dropped => (DROPPED, None),
            // For the supervisor above this one has failed, with the service as the cause.
            Cause::StartFailed { path, reason } => {
                let reason = ExitReason::escalated(Arc::clone(path), reason.clone());
                (reason, None)
            }
            Cause::Escalated { reason, .. } => (reason.clone(), None),
            Cause::Fatal { error, .. } => (ExitReason::Failed(error.clone()), None),
            // Above, the verdict counts once more: for the whole tree, or for this supervisor alone, which is not to come back.
            Cause::Terminated {
                propagate, reason, ..
            } => {
                let verdict = if *propagate {
                    Verdict::TerminateTree { propagate: true }
                } else {
                    Verdict::DoNotRestart
                };
                (reason.clone(), Some(verdict))
            }
        };
        Self {
            reason,
            verdict,
            ended: Some(Box::new(ended)),
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
    /// What is decided about it on the supervisor's side, if that was asked.
    pub(super) directive: Option<Directive>,
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
    /// How its service has ended for good, if it has.
    pub(super) fn finish(&self) -> Finish {
        Finish {
            by: match self.exit.verdict() {
                Some(Verdict::DoNotRestart) => FinishedBy::Service,
                _ => FinishedBy::Rule,
            },
            ran: match self.ready_for {
                Some(_) => Ran::Yes,
                None => Ran::No,
            },
        }
    }

    /// Reports whether it said instead of starting that it is not to run, as `ignore` does in OTP: no failed start.
    pub(super) fn declines(&self) -> bool {
        let declined = match self.exit.verdict() {
            Some(verdict) => matches!(verdict, Verdict::DoNotRestart | Verdict::Uninstall),
            None => self.exit.reason == ExitReason::Normal,
        };
        declined && self.ready_for.is_none() && self.asked == Asked::NotYet
    }
}

/// What was lost of a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lost {
    /// Its cell, with its arbiter.
    Arbiter,
    /// Its factory, which did not return from a call.
    Factory,
    /// Its thread, which is blocked.
    Thread,
}

/// What a service was about when its cell was lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) wanted: Wanted,
    /// Whether there was an incarnation that was not ready yet.
    pub(super) starting: bool,
    /// Whether it had ended for good before, or was stopped on request.
    pub(super) over: bool,
}

/// How a supervisor has ended: the one value of that, from the state that decides it up to whoever is told at the root.
///
/// [`Exit`], and the errors that users see, are made of it at the edges.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ended {
    /// Why.
    pub(crate) cause: Cause,
    /// What went wrong while it stopped, also in the subtrees below.
    pub(crate) report: ShutdownReport,
}

/// Why a supervisor ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cause {
    /// It was asked to.
    Stopped,
    /// A service that was there at the start could not be started. Those that were ready have stopped again.
    StartFailed {
        /// Which service.
        path: Arc<str>,
        /// Why it ended.
        reason: ExitReason,
    },
    /// A limit was exceeded.
    Escalated {
        /// The supervisor that gave up.
        path: Arc<str>,
        /// With what it ended, with the causes below: always an escalation, but of a root that did not come to say how it ended.
        reason: ExitReason,
    },
    /// A service ended with a fatal error.
    Fatal {
        /// Which service, at whatever depth.
        path: Arc<str>,
        /// The most important fatal error; the first of those that nobody compares.
        error: ServiceError,
    },
    /// A service ended with the verdict to terminate the tree.
    Terminated {
        /// Which service, at whatever depth.
        path: Arc<str>,
        /// Whether the supervisors above end likewise.
        propagate: bool,
        /// With what the service ended.
        reason: ExitReason,
    },
    /// Significant services have ended by themselves.
    AutoShutdown,
    /// The incarnation of the supervisor was dropped, and its services with it.
    Dropped,
}

impl Ended {
    /// The end of a supervisor at `path` that did not come to say how it ended: it panicked or was killed, or its cell is lost.
    pub(crate) fn without_a_word(path: &Arc<str>, reason: &ExitReason) -> Self {
        Self::from(if reason.is_abnormal() {
            Cause::Escalated {
                path: Arc::clone(path),
                reason: reason.clone(),
            }
        } else {
            Cause::Stopped
        })
    }

    /// What is reported of the supervisor.
    pub(super) fn event(&self) -> EventKind {
        let stopped = |reason| EventKind::SupervisorStopped { reason };
        match &self.cause {
            Cause::Stopped | Cause::AutoShutdown => stopped(ExitReason::Shutdown),
            Cause::Dropped => stopped(DROPPED),
            Cause::StartFailed { path, reason } => EventKind::SupervisorStartFailed {
                path: Arc::clone(path),
                cause: reason.clone(),
            },
            Cause::Escalated { reason, .. } => EventKind::SupervisorEscalated {
                reason: reason.clone(),
            },
            Cause::Fatal { error, .. } => stopped(ExitReason::Failed(error.clone())),
            Cause::Terminated { reason, .. } => stopped(reason.clone()),
        }
    }
}

impl From<Cause> for Ended {
    /// An end during which nothing has gone wrong yet.
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            report: ShutdownReport::default(),
        }
    }
}

/// The end of a supervisor while it lasts.
#[derive(Debug)]
pub(super) struct Ending {
    /// What is known of it so far.
    pub(super) ended: Ended,
    /// By when the supervisor is to have stopped, if that was said.
    limit: Option<StopBy>,
    /// How long services were given until everything that still runs is dropped; `None` once that was done.
    given: Option<Duration>,
}

impl Ending {
    pub(super) const fn new(ended: Ended) -> Self {
        Self {
            ended,
            limit: None,
            given: None,
        }
    }

    /// Records a service that failed while it stopped.
    pub(super) fn failed(&mut self, path: &Arc<str>, reason: &ExitReason) {
        let report = &mut self.ended.report;
        report.push_failure(Arc::clone(path), reason.clone());
    }

    /// Records a service that would not stop.
    pub(super) fn unstopped(&mut self, path: &Arc<str>, token: ServiceToken, generation: u64) {
        let report = &mut self.ended.report;
        report.push_unstopped(Arc::clone(path), token, generation);
    }

    /// By when the supervisor is to have stopped.
    pub(super) const fn limit(&self) -> Option<StopBy> {
        self.limit
    }

    /// When everything that still runs is dropped, if that is still to be done.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let limit = self.limit.filter(|_| self.given.is_some());
        limit.map(|limit| limit.drop)
    }

    /// Says by when the supervisor is to have stopped. Only an earlier time than the one before has an effect.
    pub(super) fn set_limit(&mut self, limit: StopBy, now: Instant) -> Limited {
        let both = self.limit.map_or(limit, |before| before.and(limit));
        if self.limit == Some(both) {
            return Limited::AsBefore;
        }
        // Done once: a shorter time that comes after that has nothing left to drop.
        let dropped = self.limit.is_some() && self.given.is_none();
        if !dropped {
            self.given = Some(both.drop.saturating_duration_since(now));
        }
        self.limit = Some(both);
        Limited::Sooner
    }

    /// The time is over: takes how long it was.
    pub(super) fn expire(&mut self) -> Option<Duration> {
        self.given.take()
    }
}

/// Whether a supervisor that ends has less time than before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Limited {
    AsBefore,
    Sooner,
}

/// With what everything ends that is dropped with its supervisor.
pub(crate) const DROPPED: ExitReason = ExitReason::Killed(KillCause::Requested);

/// An end that is judged when it is known whether the service is to go on.
#[derive(Debug)]
pub(super) struct Consulted {
    pub(super) ticket: u64,
    pub(super) end: End,
}
