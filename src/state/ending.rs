//! Ends a supervisor: stops all its services in order, and says how it ended.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Effect, Ended, ShutdownReport, Stage, SupervisorState, later,
    service::{After, Phase, Stage as StopStage},
    waiters::Outcome,
};
use crate::{
    event::EventKind,
    policy::{ExitReason, ServiceError},
    token::ServiceToken,
};

/// A supervisor that ends.
#[derive(Debug)]
pub(super) struct Ending {
    cause: Cause,
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
}

impl SupervisorState {
    /// Stops all services in order, and ends. What still runs after `within` is dropped; without it each service has
    /// its own time. Asked again, only a shorter time has an effect.
    pub(crate) fn shutdown(&mut self, within: Option<Duration>, now: Instant) {
        if self.stage == Stage::Ended {
            return;
        }
        self.begin_ending(Cause::Stopped, now);
        if let Some(within) = within
            && let Some(at) = later(now, within)
            && let Some(ending) = &mut self.ending
            && ending.deadline().is_none_or(|before| at < before)
        {
            ending.deadline = Some((at, within));
        }
        self.settle(now);
    }

    /// When everything that still runs is dropped, if the supervisor ends and was given a time.
    pub(crate) fn shutdown_deadline(&self) -> Option<Instant> {
        self.ending.as_ref().and_then(|ending| ending.deadline())
    }

    /// Begins to stop all services, unless the supervisor ends already.
    pub(super) fn begin_ending(&mut self, cause: Cause, now: Instant) {
        if self.is_ending() {
            return;
        }
        self.stage = Stage::Ending;
        self.ending = Some(Box::new(Ending {
            cause,
            report: ShutdownReport::default(),
            deadline: None,
        }));
        self.pause = None;
        self.next_resume = None;
        self.queue.clear();
        self.deferred.clear();
        let all: Vec<u32> = self.services.in_order().collect();
        for slot in all {
            self.end_service(slot);
        }
        self.line.clear();
        self.advance_sequence(now);
    }

    /// Lets one service stop because its supervisor ends.
    fn end_service(&mut self, slot: u32) {
        self.answer(slot, Outcome::ShuttingDown);
        let service = &self.services[slot];
        if service.phase.is_live() {
            if service.after != After::Remove {
                self.set_after(slot, After::End);
            }
            self.join(slot);
        } else if service.phase != Phase::Ended && !service.phase.is_over() {
            self.cancel_waiting(slot);
            self.set_phase(slot, Phase::Stopped);
        }
    }

    /// The error of an exit, if it ends the whole tree.
    pub(super) fn fatal_error(&self, reason: &ExitReason) -> Option<ServiceError> {
        if self.is_bound() {
            return self.bound_error(reason);
        }
        let fatal = self.rules.fatal.as_ref()?;
        // A panic or a kill is asked about as well, as the error that an exit reason is.
        let error = match reason {
            ExitReason::Normal | ExitReason::Shutdown => return None,
            ExitReason::Failed(error) => error.clone(),
            other => ServiceError::new(other.clone()),
        };
        fatal(&error).then_some(error)
    }

    /// Ends with a fatal error, or compares it with the one with which the supervisor ends already.
    pub(super) fn end_fatally(&mut self, slot: u32, error: ServiceError, now: Instant) {
        self.end_with_error(Arc::clone(&self.services[slot].path), error, now);
    }

    /// As [`end_fatally`](Self::end_fatally), whoever the error is from.
    pub(super) fn end_with_error(&mut self, path: Arc<str>, error: ServiceError, now: Instant) {
        let bound = self.is_bound();
        if let Some(ending) = &mut self.ending {
            let outweighs = match &ending.cause {
                Cause::Fatal { error: kept, .. } => {
                    let compare = self.rules.more_important.as_ref();
                    compare.is_some_and(|more_important| more_important(&error, kept))
                }
                Cause::Stopped | Cause::AutoShutdown => bound,
                _ => false,
            };
            if outweighs {
                ending.cause = Cause::Fatal { path, error };
            }
            return;
        }
        self.begin_ending(Cause::Fatal { path, error }, now);
    }

    /// Drops everything that still runs.
    pub(super) fn expire_shutdown(&mut self, now: Instant) {
        let Some((_, within)) = self
            .ending
            .as_mut()
            .and_then(|ending| ending.deadline.take())
        else {
            return;
        };
        let running: Vec<u32> = self
            .services
            .in_order()
            .rev()
            .filter(|slot| {
                let service = &self.services[*slot];
                service.phase.is_live() && service.stage != StopStage::Killed
            })
            .collect();
        for slot in running {
            self.stop_timed_out(slot, within, now);
            self.set_phase(slot, Phase::Stopping);
        }
    }

    /// Ends if nothing runs any more.
    pub(super) fn finish_ending(&mut self, now: Instant) {
        if self.stage != Stage::Ending || self.services.live() > 0 {
            return;
        }
        self.stage = Stage::Ended;
        let Some(ending) = self.ending.take() else {
            return;
        };
        self.release_bound(now);
        let (kind, ended) = ending.conclude();
        self.report_self(kind, now);
        self.effects.push_back(Effect::End(ended));
    }
}

impl Ending {
    /// What is reported, and how the supervisor ended.
    fn conclude(self) -> (EventKind, Ended) {
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
