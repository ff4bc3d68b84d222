//! Stops services: asks, waits, drops, abandons.

use std::time::{Duration, Instant};

use super::{
    ABANDON_AFTER, Effect, Exit, SupervisorState,
    failure::End,
    later,
    service::{After, Phase, Stage},
    waiters::Outcome,
};
use crate::{
    event::{EventKind, Restarting},
    policy::{ExitReason, KillCause, RestartType, Shutdown, Verdict},
    token::ServiceToken,
};

impl SupervisorState {
    /// The incarnation was asked to stop, and said that it has work to finish.
    pub(crate) fn stop_acknowledged(&mut self, token: ServiceToken, generation: u64, now: Instant) {
        let Some(slot) = self.current(token, generation) else {
            return;
        };
        if self.services[slot].stage == Stage::Asked {
            self.services[slot].stage = Stage::Acknowledged;
            self.yield_to_others(slot);
            self.settle(now);
        }
    }

    /// Stops a service that runs, after those that are bound to it, and says what becomes of it.
    pub(super) fn request_stop(&mut self, slot: u32, after: After, now: Instant) {
        self.set_after(slot, after);
        if self.bounce_dependents(slot) > 0 {
            self.join(slot);
        } else {
            self.ask(slot, now);
        }
    }

    /// Says what becomes of a service when its incarnation has ended.
    pub(super) fn set_after(&mut self, slot: u32, after: After) {
        let before = std::mem::replace(&mut self.services[slot].after, after);
        self.line.leave_group(before);
        self.line.enter_group(after);
    }

    /// Asks an incarnation to stop.
    pub(super) fn ask(&mut self, slot: u32, now: Instant) {
        self.hold(slot);
        let killed = self.services[slot].stage == Stage::Killed;
        self.set_phase(slot, Phase::Stopping);
        if killed {
            return;
        }
        let token = self.services.token(slot);
        match self.shutdown_of(slot) {
            Shutdown::BrutalKill => self.kill(slot, KillCause::Requested, now),
            Shutdown::Timeout(timeout) => {
                self.services[slot].stage = Stage::Asked;
                self.services.set_deadline(slot, later(now, timeout));
                self.effects.push_back(Effect::Stop { token });
            }
            Shutdown::Infinity => {
                self.services[slot].stage = Stage::Asked;
                self.services.set_deadline(slot, None);
                self.effects.push_back(Effect::Stop { token });
            }
        }
    }

    /// Drops an incarnation.
    pub(super) fn kill(&mut self, slot: u32, cause: KillCause, now: Instant) {
        self.hold(slot);
        self.services[slot].stage = Stage::Killed;
        self.services.set_deadline(slot, later(now, ABANDON_AFTER));
        let token = self.services.token(slot);
        self.effects.push_back(Effect::Kill { token, cause });
    }

    /// Drops an incarnation that did not stop in time.
    pub(super) fn stop_timed_out(&mut self, slot: u32, after: Duration, now: Instant) {
        self.report(slot, EventKind::StopTimedOut { after }, now);
        self.kill(slot, KillCause::StopTimeout, now);
    }

    /// Gives up on an incarnation that could not be dropped.
    pub(super) fn abandon(&mut self, slot: u32, now: Instant) {
        self.report(slot, EventKind::ServiceAbandoned, now);
        let service = &self.services[slot];
        if let Some(ending) = &mut self.ending {
            let token = self.services.token(slot);
            ending.unstopped(&service.path, token, service.generation());
        }
        let exit = Exit::from(ExitReason::Killed(KillCause::Unresponsive));
        self.ended(slot, exit, now);
    }

    /// How a service is stopped.
    pub(super) fn shutdown_of(&self, slot: u32) -> Shutdown {
        let own = self.services[slot].shutdown;
        own.unwrap_or(Shutdown::Timeout(self.rules.shutdown_timeout))
    }

    /// Goes on after the end of an incarnation that was to be stopped.
    pub(super) fn ended_as_asked(&mut self, slot: u32, after: After, end: &End, now: Instant) {
        self.report_stop(slot, end, now);
        if let Some(error) = self.fatal_error(&end.exit.reason) {
            self.end_fatally(slot, error, now);
        }
        self.answer(slot, Outcome::Ended);
        let done = end.stage == Stage::Running && self.is_done(slot, &end.exit);
        let temporary = self.services[slot].restart == RestartType::Temporary;
        // A fatal error has made all that were to be started again end as well.
        let after = if self.is_ending() && after != After::Remove {
            After::End
        } else {
            after
        };
        match after {
            After::Remove => self.release(slot, &end.exit.reason, now),
            After::Group | After::Bounce if done || temporary => {
                self.retire(slot, &end.exit.reason, now);
            }
            After::Group => self.enqueue(slot, Phase::InLine),
            After::Bounce | After::Restart => {
                self.begin(slot, now);
            }
            After::Keep | After::End | After::Unasked => {
                self.set_phase(slot, Phase::Stopped);
                self.block_dependents(slot, now);
            }
        }
    }

    /// Reports the end of an incarnation that was to be stopped, and records it if its supervisor ends.
    fn report_stop(&mut self, slot: u32, end: &End, now: Instant) {
        let reason = end.exit.reason.clone();
        let failed = reason.is_abnormal();
        let asked_for = matches!(
            reason,
            ExitReason::Killed(KillCause::Requested | KillCause::Unresponsive)
        );
        if failed
            && !asked_for
            && let Some(ending) = &mut self.ending
        {
            ending.failed(&self.services[slot].path, &reason);
        }
        let kind = if failed && !matches!(reason, ExitReason::Killed(_)) {
            let count = self.counter.count(&self.rules.limit, now);
            EventKind::ended(reason, count, Restarting::No)
        } else {
            EventKind::ServiceStopped { reason }
        };
        self.report(slot, kind, now);
    }

    /// Reports whether a service that ended before it was asked would not have been started again.
    fn is_done(&self, slot: u32, exit: &Exit) -> bool {
        let left = matches!(
            exit.verdict(),
            Some(Verdict::DoNotRestart | Verdict::Uninstall)
        );
        left || !self.services[slot].restart.restarts_after(&exit.reason)
    }
}
