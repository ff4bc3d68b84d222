//! Does what is due.

use std::time::Instant;

use super::{
    SupervisorState,
    service::{Phase, Stage},
};
use crate::{
    event::EventKind,
    policy::{KillCause, Shutdown},
};

/// What is due at some time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Due {
    /// Something of one service; what, says its phase.
    Service(u32),
    /// The patience with services that say nothing is used up.
    Gate,
    /// Everything that still runs is dropped.
    Shutdown,
    /// The pause of restarts is over.
    Pause,
    /// The next service is started after a pause.
    Resume,
    /// The delay of a group restart is over.
    Line,
}

impl SupervisorState {
    /// When [`timeout`](Self::timeout) must be called next, if nothing happens before.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.next_due().map(|(at, _)| at)
    }

    /// Does everything that is due at `now`, in the order in which it was due. Harmless if nothing is.
    pub(crate) fn timeout(&mut self, now: Instant) {
        while let Some((at, due)) = self.next_due()
            && at <= now
        {
            match due {
                Due::Service(slot) => self.service_due(slot, now),
                Due::Gate => self.drop_gate(now),
                Due::Shutdown => self.expire_shutdown(now),
                Due::Pause => self.end_pause(now),
                Due::Resume => self.drain_queue(now),
                Due::Line => self.line.not_before = None,
            }
            self.settle(now);
        }
    }

    fn next_due(&self) -> Option<(Instant, Due)> {
        let service = self.services.next_deadline();
        [
            service.map(|(at, slot)| (at, Due::Service(slot))),
            self.gate_deadline().map(|at| (at, Due::Gate)),
            self.shutdown_deadline().map(|at| (at, Due::Shutdown)),
            self.pause
                .and_then(|pause| pause.until)
                .map(|at| (at, Due::Pause)),
            self.next_resume.map(|at| (at, Due::Resume)),
            self.line.deadline().map(|at| (at, Due::Line)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A service's deadline has come.
    fn service_due(&mut self, slot: u32, now: Instant) {
        let service = &self.services[slot];
        match (service.phase, service.stage) {
            (Phase::Starting | Phase::Stopping, Stage::Killed) => self.abandon(slot, now),
            (Phase::Starting, _) => self.start_timed_out(slot, now),
            (Phase::Stopping, _) => {
                let after = match self.shutdown_of(slot) {
                    Shutdown::Timeout(timeout) => timeout,
                    _ => std::time::Duration::ZERO,
                };
                self.stop_timed_out(slot, after, now);
            }
            (Phase::BackingOff, _) => self.backed_off(slot, now),
            (Phase::Resting, _) => self.rested(slot, now),
            _ => self.services.set_deadline(slot, None),
        }
    }

    /// A service was not ready in time.
    fn start_timed_out(&mut self, slot: u32, now: Instant) {
        let extras = self.services[slot].extras.as_ref();
        let after = extras.and_then(|extras| extras.start_timeout);
        let after = after.unwrap_or_default();
        self.report(slot, EventKind::StartTimedOut { after }, now);
        self.kill(slot, KillCause::StartTimeout, now);
    }
}
