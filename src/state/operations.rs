//! Operations on one service: stop, restart, reset, remove, await.

use std::time::Instant;

use super::{
    Answer, RemoveError, ResetError, RestartError, StopError, SupervisorState, Waiter,
    error::Unaddressed,
    service::{After, Phase},
    waiters::{Outcome, Want},
};
use crate::{
    event::EventKind,
    policy::{ExitReason, KillCause, SpecError},
    token::ServiceToken,
};

impl SupervisorState {
    /// Stops a service and forgets it. Answered with why it ended, at once if it does not run.
    pub(crate) fn remove(
        &mut self,
        token: ServiceToken,
        waiter: Waiter,
        now: Instant,
    ) -> Result<(), RemoveError> {
        let slot = self.address(token)?;
        let serial = self.services[slot].serial;
        self.answer(slot, Outcome::Interrupted);
        self.waiters.push(serial, waiter, Want::Removed);
        let service = &self.services[slot];
        if !service.phase.is_live() {
            let reason = service.last_exit();
            self.release(slot, &reason, now);
        } else if service.after == After::Unasked {
            self.request_stop(slot, After::Remove, now);
        } else {
            self.set_after(slot, After::Remove);
        }
        self.settle(now);
        Ok(())
    }

    /// Stops a service and keeps it. Answered when it has ended, at once if it does not run.
    pub(crate) fn stop(
        &mut self,
        token: ServiceToken,
        waiter: Waiter,
        now: Instant,
    ) -> Result<(), StopError> {
        let slot = self.address(token)?;
        self.answer(slot, Outcome::Interrupted);
        let service = &self.services[slot];
        if service.phase.is_live() {
            let (serial, after) = (service.serial, service.after);
            self.waiters.push(serial, waiter, Want::Stopped);
            match after {
                After::Unasked => self.request_stop(slot, After::Keep, now),
                After::Remove | After::End => {}
                _ => self.set_after(slot, After::Keep),
            }
        } else {
            if !service.phase.is_over() {
                self.stop_waiting(slot, now);
            }
            self.answer_now(waiter, Answer::Stopped(Ok(())));
        }
        self.settle(now);
        Ok(())
    }

    /// Stops a service if it runs, and starts it. Not counted. Answered when it is ready, or with why it is not.
    pub(crate) fn restart(
        &mut self,
        token: ServiceToken,
        waiter: Waiter,
        now: Instant,
    ) -> Result<(), RestartError> {
        let slot = self.address(token)?;
        let service = &self.services[slot];
        let (serial, phase, after) = (service.serial, service.phase, service.after);
        if phase == Phase::Lost {
            return Err(RestartError::Failed { reason: lost() });
        }
        if after == After::Remove {
            return Err(RestartError::Interrupted);
        }
        let want = match phase {
            Phase::Stopped | Phase::Finished => Want::Revived,
            _ => Want::Restarted,
        };
        self.waiters.push(serial, waiter, want);
        if phase.is_live() {
            match after {
                After::Unasked => self.request_stop(slot, After::Restart, now),
                After::Keep => self.set_after(slot, After::Restart),
                _ => {}
            }
        } else {
            self.start_now(slot, now);
        }
        self.settle(now);
        Ok(())
    }

    /// Forgets the failures of a service, and starts it if it waits because of them or gave up.
    ///
    /// Answered when it is ready, or with why it is not; at once if there is nothing to start.
    pub(crate) fn reset(
        &mut self,
        token: ServiceToken,
        waiter: Waiter,
        now: Instant,
    ) -> Result<(), ResetError> {
        let slot = self.address(token)?;
        if self.services[slot].phase == Phase::Lost {
            return Err(ResetError::Failed { reason: lost() });
        }
        self.forget_failures(slot);
        self.report(slot, EventKind::ServiceReset, now);
        let service = &self.services[slot];
        let kept_down = matches!(service.after, After::Keep | After::Remove | After::End);
        match service.phase {
            Phase::Ready | Phase::Stopped | Phase::Finished => {
                self.answer_now(waiter, Answer::Reset(Ok(())));
            }
            Phase::Stopping if kept_down => self.answer_now(waiter, Answer::Reset(Ok(()))),
            phase => {
                self.waiters.push(service.serial, waiter, Want::Reset);
                if !phase.is_live() {
                    self.start_now(slot, now);
                }
            }
        }
        self.settle(now);
        Ok(())
    }

    /// Waits for the first start of a service. If that fails, the service is forgotten.
    pub(crate) fn await_ready(&mut self, token: ServiceToken, waiter: Waiter, now: Instant) {
        let Ok(slot) = self.address(token) else {
            self.answer_now(waiter, Answer::Ready(Err(ExitReason::Shutdown)));
            return;
        };
        let service = &self.services[slot];
        if service.phase == Phase::Ready {
            self.answer_now(waiter, Answer::Ready(Ok(())));
            return;
        }
        self.waiters.push(service.serial, waiter, Want::FirstReady);
        // One that waits in vain has reported that when it was added.
        if service.phase == Phase::Gated
            && let Some((on, why)) = self.blocker(slot)
            && !why.resolves_itself()
        {
            let reason = super::start::blocked(on, why);
            self.release(slot, &reason, now);
        }
        self.settle(now);
    }

    /// Follows other rules from now on, and returns the ones before. Services are left alone; refused rules change nothing.
    pub(crate) fn reconfigure(
        &mut self,
        mut rules: super::SupervisorRules,
        now: Instant,
    ) -> Result<super::SupervisorRules, SpecError> {
        rules.validate()?;
        // A scope stays one.
        rules.binding = self.rules.binding;
        if self.is_bound() {
            rules.auto_shutdown = self.rules.auto_shutdown;
        }
        let before = std::mem::replace(&mut self.rules, rules);
        self.report_self(EventKind::Reconfigured, now);
        self.settle(now);
        Ok(before)
    }

    /// The slot of a service that can be operated on.
    fn address(&self, token: ServiceToken) -> Result<u32, Unaddressed> {
        if token.supervisor() != self.id {
            return Err(Unaddressed::WrongSupervisor { token });
        }
        if self.is_ending() {
            return Err(Unaddressed::ShuttingDown);
        }
        let slot = self.services.slot(token);
        slot.ok_or(Unaddressed::UnknownToken { token })
    }

    /// Starts a service that has no incarnation, unless its turn will come with the start of its supervisor.
    fn start_now(&mut self, slot: u32, now: Instant) {
        match self.services[slot].phase {
            Phase::Registered => {}
            Phase::InLine if self.pause.is_none() => {}
            _ if self.stage == super::Stage::Idle => self.set_phase(slot, Phase::Registered),
            _ => {
                self.cancel_waiting(slot);
                self.begin(slot, now);
            }
        }
    }

    /// Stops a service from waiting for its start.
    fn stop_waiting(&mut self, slot: u32, now: Instant) {
        self.cancel_waiting(slot);
        self.set_phase(slot, Phase::Stopped);
        let reason = self.services[slot].last_exit();
        self.report(slot, EventKind::ServiceStopped { reason }, now);
        self.block_dependents(slot, now);
    }

    fn forget_failures(&mut self, slot: u32) {
        let service = &mut self.services[slot];
        service.failures = 0;
        if let Some(own) = service
            .extras
            .as_mut()
            .and_then(|extras| extras.limit.as_mut())
        {
            own.counter.reset();
        }
    }
}

/// Why a service is not started whose cell is gone.
const fn lost() -> ExitReason {
    ExitReason::Killed(KillCause::ArbiterStopped)
}
