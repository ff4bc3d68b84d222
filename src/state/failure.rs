//! Decides what follows when an incarnation ends, in the order of the rules.
//!
//! 1. A notice that is not of the present incarnation is dropped.
//! 2. What is to be stopped is not restarted: the stopping goes on.
//! 3. A fatal error ends the supervisor.
//! 4. The service's own verdict.
//! 5. The restart type.
//! 6. The service's own limit.
//! 7. The supervisor's limit.
//! 8. The strategy, and
//! 9. the backoff, when the service is started again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Exit, Stage, SupervisorState,
    ending::Cause,
    service::{After, Phase, Stage as StopStage},
    waiters::{Outcome, Want},
};
use crate::{
    event::{EventKind, Restarting},
    policy::{ExitReason, KillCause, OnLimit, ServiceError, Tally, Verdict},
    token::ServiceToken,
};

/// The end of an incarnation.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) exit: Exit,
    /// How far stopping it had come.
    pub(super) stage: StopStage,
    /// For how long it was ready, or `None` if it never was.
    ready_for: Option<Duration>,
}

impl End {
    /// Reports whether it said instead of starting that it is not to run, as `ignore` does in OTP: no failed start.
    fn declines(&self) -> bool {
        self.ready_for.is_none()
            && matches!(
                self.exit.verdict(),
                Some(Verdict::DoNotRestart | Verdict::Uninstall)
            )
    }
}

/// What follows from an end that nobody asked for.
#[derive(Clone, Debug, PartialEq)]
enum Decision {
    /// The supervisor ends with this error.
    Fatal(ServiceError),
    /// The supervisor ends.
    Terminate { propagate: bool },
    /// It is forgotten, because it never was ready and somebody awaited that.
    Refuse,
    /// It stays as stopped as it was before somebody started it.
    StayStopped,
    /// It has ended for good.
    Finish,
    /// It is forgotten.
    Uninstall,
    /// It waits until one that it requires becomes ready.
    Park,
    /// It is started at once.
    Bounce,
    /// It is kept as failed.
    GiveUp,
    /// It waits, because of its own limit.
    Rest(Duration),
    /// The supervisor gives up.
    Escalate,
    /// All restarts wait from now on.
    Pause(Duration),
    /// It waits, because all restarts do.
    Queue,
    /// It is started after a delay.
    Restart(Duration),
}

impl SupervisorState {
    /// The incarnation has ended.
    pub(crate) fn exited(
        &mut self,
        token: ServiceToken,
        generation: u64,
        exit: Exit,
        now: Instant,
    ) {
        if let Some(slot) = self.current(token, generation) {
            self.ended(slot, exit, now);
            self.settle(now);
        }
    }

    /// The cell of a service is gone with its arbiter: it can never be started again.
    pub(crate) fn lost(&mut self, token: ServiceToken, now: Instant) {
        let Some(slot) = self.services.slot(token) else {
            return;
        };
        let service = &self.services[slot];
        if service.phase == Phase::Lost {
            return;
        }
        let live = service.phase.is_live();
        let (after, starting) = (service.after, service.phase == Phase::Starting);
        let reason = ExitReason::Killed(KillCause::ArbiterStopped);
        if live {
            self.clear_incarnation(slot, now);
        }
        self.cancel_waiting(slot);
        self.services[slot].remember_exit(&reason);
        self.report_lost(slot, &reason, after, now);
        self.bounce_dependents(slot);
        self.set_phase(slot, Phase::Lost);
        if live
            && self.is_bound()
            && let Some(error) = self.bound_error(&reason)
        {
            self.end_fatally(slot, error, now);
        }
        let awaited = self
            .waiters
            .has(self.services[slot].serial, Want::FirstReady);
        if after == After::Remove || awaited {
            self.release(slot, &reason, now);
            self.settle(now);
            return;
        }
        self.answer(slot, Outcome::Ended);
        self.answer(slot, Outcome::Failed(&reason));
        if self.stage == Stage::Starting && starting && self.is_static(slot) {
            self.start_failed(slot, reason, now);
        } else {
            self.block_dependents(slot, now);
        }
        self.settle(now);
    }

    fn report_lost(&mut self, slot: u32, reason: &ExitReason, after: After, now: Instant) {
        if after != After::Unasked
            && let Some(ending) = &mut self.ending
        {
            ending.failed(&self.services[slot].path, reason);
        }
        let count = self.counter.count(&self.rules.limit, now);
        let kind = EventKind::ended(reason.clone(), count, Restarting::No);
        self.report(slot, kind, now);
    }

    /// Goes on after the end of an incarnation.
    pub(super) fn ended(&mut self, slot: u32, exit: Exit, now: Instant) {
        let service = &self.services[slot];
        let after = service.after;
        let ready = service.phase == Phase::Ready;
        let in_line = self.line.current == Some(slot);
        let end = End {
            stage: service.stage,
            ready_for: service
                .since
                .filter(|_| ready)
                .map(|since| now.saturating_duration_since(since)),
            exit,
        };
        self.clear_incarnation(slot, now);
        self.services[slot].remember_exit(&end.exit.reason);
        if after != After::Unasked {
            self.ended_as_asked(slot, after, &end, now);
        } else if self.stage != Stage::Starting || (in_line && end.declines()) {
            self.decide(slot, end, now);
        } else if in_line {
            self.report_end(slot, &end, Restarting::No, now);
            self.set_phase(slot, Phase::Stopped);
            self.start_failed(slot, end.exit.reason, now);
        } else {
            self.set_phase(slot, Phase::Deferred);
            self.deferred.push((self.services.token(slot), end));
        }
    }

    /// Notes that there is no incarnation any more.
    pub(super) fn clear_incarnation(&mut self, slot: u32, now: Instant) {
        self.services.set_deadline(slot, None);
        self.leave(slot, now);
        self.set_after(slot, After::Unasked);
        let service = &mut self.services[slot];
        service.stage = StopStage::Running;
        service.since = None;
        self.services.set_phase(slot, Phase::Ended);
        if self.line.current == Some(slot) {
            self.line.current = None;
        }
    }

    /// Decides what follows from an end that nobody asked for, reports it, and does it.
    pub(super) fn decide(&mut self, slot: u32, end: End, now: Instant) {
        let decision = self.judge(slot, &end, now);
        self.report_end(slot, &end, decision.restarting(), now);
        if end.ready_for.is_some() {
            self.bounce_dependents(slot);
        } else if decision != Decision::Refuse {
            self.answer(slot, Outcome::Failed(&end.exit.reason));
        }
        self.carry_out(slot, decision, end.exit.reason, now);
    }

    fn report_end(&mut self, slot: u32, end: &End, restarting: Restarting, now: Instant) {
        let count = self.counter.count(&self.rules.limit, now);
        let reason = end.exit.reason.clone();
        let kind = if end.ready_for.is_some() {
            EventKind::ended(reason, count, restarting)
        } else {
            EventKind::ServiceStartFailed {
                reason,
                count,
                restarting,
            }
        };
        self.report(slot, kind, now);
    }

    /// Rules 3 to 5.
    fn judge(&mut self, slot: u32, end: &End, now: Instant) -> Decision {
        let service = &self.services[slot];
        let (serial, restart) = (service.serial, service.restart);
        if let Some(error) = self.fatal_error(&end.exit.reason) {
            return Decision::Fatal(error);
        }
        let never_ready = end.ready_for.is_none();
        if never_ready && self.waiters.has(serial, Want::FirstReady) {
            return Decision::Refuse;
        }
        match end.exit.verdict() {
            Some(Verdict::DoNotRestart) => return Decision::Finish,
            Some(Verdict::TerminateTree { propagate }) => return Decision::Terminate { propagate },
            Some(Verdict::Bounce) if self.pause.is_some() => return Decision::Queue,
            Some(Verdict::Bounce) => return Decision::Bounce,
            Some(Verdict::Uninstall) => return Decision::Uninstall,
            // Nobody would ever wake one that requires nobody: it is restarted like any other.
            Some(Verdict::Missing) if !service.required().is_empty() => return Decision::Park,
            Some(Verdict::Missing) | None => {}
        }
        if !restart.restarts_after(&end.exit.reason) {
            return Decision::Finish;
        }
        if never_ready && self.waiters.has(serial, Want::Revived) {
            return Decision::StayStopped;
        }
        self.judge_limits(slot, end, now)
    }

    /// Rules 6, 7 and 9.
    fn judge_limits(&mut self, slot: u32, end: &End, now: Instant) -> Decision {
        let delay = self.backoff_delay(slot, end.ready_for);
        let extras = self.services[slot].extras.as_deref_mut();
        if let Some(own) = extras.and_then(|extras| extras.limit.as_mut())
            && own.counter.record(&own.limit, now) == Tally::Exceeded
        {
            return match own.on_limit {
                OnLimit::GiveUp => Decision::GiveUp,
                OnLimit::Escalate => Decision::Escalate,
                OnLimit::Pause => {
                    let pause = own.counter.pause(&own.limit, (self.random)(), now);
                    Decision::Rest(pause.max(delay))
                }
            };
        }
        match (
            self.counter.record(&self.rules.limit, now),
            self.rules.on_limit,
        ) {
            (Tally::Exceeded, OnLimit::Escalate) => Decision::Escalate,
            (Tally::Exceeded, _) => {
                let random = (self.random)();
                Decision::Pause(self.counter.pause(&self.rules.limit, random, now))
            }
            (Tally::Within, _) if self.pause.is_some() => Decision::Queue,
            (Tally::Within, _) => Decision::Restart(delay),
        }
    }

    /// How long a service waits after its failures in a row, this one included.
    fn backoff_delay(&mut self, slot: u32, ready_for: Option<Duration>) -> Duration {
        let service = &mut self.services[slot];
        let backoff = service.extras.as_ref().map(|extras| &extras.backoff);
        let Some(backoff) = backoff.filter(|backoff| !backoff.is_none()) else {
            return Duration::ZERO;
        };
        let healthy = ready_for.is_some_and(|ready| ready >= backoff.healthy_after());
        let before = if healthy { 0 } else { service.failures };
        let failures = before.saturating_add(1);
        let delay = backoff.delay(failures, (self.random)());
        service.failures = failures;
        delay
    }

    fn carry_out(&mut self, slot: u32, decision: Decision, reason: ExitReason, now: Instant) {
        match decision {
            Decision::Refuse | Decision::Uninstall => self.release(slot, &reason, now),
            Decision::Finish => self.finish(slot, &reason, now),
            Decision::Bounce => {
                self.begin(slot, now);
            }
            Decision::Park => self.set_phase(slot, Phase::Parked),
            Decision::GiveUp => {
                self.set_phase(slot, Phase::Failed);
                self.report(slot, EventKind::ServiceGaveUp { reason }, now);
                self.block_dependents(slot, now);
            }
            Decision::Rest(pause) => self.rest(slot, pause, now),
            Decision::Pause(lasting) => {
                self.start_pause(lasting, now);
                self.wait_for_resume(slot);
            }
            Decision::Queue => self.wait_for_resume(slot),
            Decision::Restart(delay) => self.revive(slot, delay, now),
            Decision::StayStopped => {
                self.set_phase(slot, Phase::Stopped);
                self.block_dependents(slot, now);
            }
            Decision::Fatal(_) | Decision::Terminate { .. } | Decision::Escalate => {
                self.end_because(slot, decision, reason, now);
            }
        }
    }

    fn end_because(&mut self, slot: u32, decision: Decision, reason: ExitReason, now: Instant) {
        self.set_phase(slot, Phase::Stopped);
        match decision {
            Decision::Fatal(error) => self.end_fatally(slot, error, now),
            Decision::Terminate { propagate } => {
                self.begin_ending(Cause::Terminated { propagate, reason }, now);
            }
            _ => {
                let count = self.counter.count(&self.rules.limit, now);
                self.report_self(EventKind::LimitExceeded { count }, now);
                let path = Arc::clone(&self.services[slot].path);
                let reason = ExitReason::escalated(path, reason);
                self.begin_ending(Cause::Escalated { reason }, now);
            }
        }
    }
}

impl Decision {
    /// What is reported of it.
    const fn restarting(&self) -> Restarting {
        match self {
            Self::Bounce => Restarting::Now,
            Self::Restart(delay) if delay.is_zero() => Restarting::Now,
            Self::Restart(delay) | Self::Rest(delay) => Restarting::After(*delay),
            Self::Pause(_) | Self::Queue => Restarting::AfterPause,
            Self::Park => Restarting::WhenUnblocked,
            _ => Restarting::No,
        }
    }
}
