//! Forgets services, and those that have ended for good.

use std::{sync::Arc, time::Instant};

use super::{
    Effect, SupervisorState,
    ending::Cause,
    rules::Significance,
    service::{Origin, Phase},
    waiters::Outcome,
};
use crate::{
    event::EventKind,
    policy::{AutoShutdown, ExitReason},
};

impl SupervisorState {
    /// A service has ended for good by itself. May end the supervisor.
    pub(super) fn finish(&mut self, slot: u32, reason: &ExitReason, now: Instant) {
        let significance = self.services[slot].significance;
        self.retire(slot, reason, now);
        let ends = match self.rules.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => self.services.significant() == 0,
        };
        if ends && significance == Significance::Significant {
            self.begin_ending(Cause::AutoShutdown, now);
        }
    }

    /// A service has ended for good: one that was there at the start is kept as stopped, any other is forgotten.
    pub(super) fn retire(&mut self, slot: u32, reason: &ExitReason, now: Instant) {
        if self.is_static(slot) && !self.is_bound() {
            self.set_phase(slot, Phase::Finished);
            self.answer(slot, Outcome::Failed(reason));
            self.block_dependents(slot, now);
        } else {
            self.release(slot, reason, now);
        }
    }

    /// Forgets a service that has no incarnation, and tells everybody who waits for it.
    pub(super) fn release(&mut self, slot: u32, reason: &ExitReason, now: Instant) {
        let kind = EventKind::ServiceRemoved {
            reason: reason.clone(),
        };
        self.report(slot, kind, now);
        self.cancel_waiting(slot);
        let token = self.services.token(slot);
        let Some(service) = self.services.remove(slot) else {
            return;
        };
        self.effects.push_back(Effect::Release { token });
        self.answer_serial(service.serial, Outcome::Removed(reason));
        self.block_dependents_of(Arc::from(service.name()), now);
    }

    /// Reports whether a service was there before its supervisor was started.
    pub(super) fn is_static(&self, slot: u32) -> bool {
        self.services[slot].origin == Origin::Static
    }
}
