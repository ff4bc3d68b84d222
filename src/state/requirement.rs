//! What services owe to each other: those that wait, those that are restarted together.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use super::{
    SupervisorState,
    service::{After, Phase},
    start::blocked,
    waiters::{Outcome, Want},
};
use crate::{
    event::{Blocked, EventKind},
    policy::ExitReason,
};

impl SupervisorState {
    /// What keeps a service from being started, if anything does.
    ///
    /// What will not resolve itself comes first, also if it keeps one from starting that this one requires.
    pub(super) fn blocker(&self, slot: u32) -> Option<(Arc<str>, Blocked)> {
        // The usual case, and on the way of every start: nothing is allocated.
        if self.services[slot].required().is_empty() {
            return None;
        }
        let mut found = None;
        let mut seen = BTreeSet::from([slot]);
        let mut work = vec![slot];
        while let Some(slot) = work.pop() {
            for name in self.services[slot].required() {
                let Some(required) = self.services.named(name) else {
                    return Some((Arc::clone(name), Blocked::Missing));
                };
                match self.obstacle(required) {
                    None => continue,
                    Some(Blocked::NotReady) => {}
                    Some(why) => return Some((Arc::clone(name), why)),
                }
                if found.is_none() {
                    found = Some((Arc::clone(name), Blocked::NotReady));
                }
                let gated = self.services[required].phase == Phase::Gated;
                if gated && seen.insert(required) {
                    work.push(required);
                }
            }
        }
        found
    }

    /// The first name that a service requires and nobody has.
    pub(super) fn missing_requirement(&self, slot: u32) -> Option<Arc<str>> {
        let required = self.services[slot].required().iter();
        required
            .into_iter()
            .find(|name| self.services.named(name).is_none())
            .cloned()
    }

    /// Lets a service wait for what it requires. Returns with what it ends if it does not wait.
    pub(super) fn park(
        &mut self,
        slot: u32,
        on: Arc<str>,
        why: Blocked,
        now: Instant,
    ) -> ExitReason {
        self.cancel_waiting(slot);
        // One that ran already waits for one that restarts, which is no news.
        let news = !why.resolves_itself() || self.services[slot].starts == 0;
        self.set_phase(slot, Phase::Gated);
        if news {
            let kind = EventKind::ServiceBlocked {
                on: Arc::clone(&on),
                why,
            };
            self.report(slot, kind, now);
        }
        let reason = blocked(on, why);
        if !why.resolves_itself() {
            self.refuse_waiting(slot, &reason, now);
        }
        reason
    }

    /// Starts those that waited for this service.
    pub(super) fn wake_dependents(&mut self, slot: u32, now: Instant) {
        if self.is_ending() || !self.services.has_requirements() {
            return;
        }
        for dependent in self.services.dependents(self.services[slot].name()) {
            let waits = matches!(self.services[dependent].phase, Phase::Gated | Phase::Parked);
            if waits && self.blocker(dependent).is_none() {
                self.begin(dependent, now);
            }
        }
    }

    /// Tells those that wait for this service, directly or not, that waiting is in vain.
    pub(super) fn block_dependents(&mut self, slot: u32, now: Instant) {
        let name = Arc::from(self.services[slot].name());
        self.block_dependents_of(name, now);
    }

    /// Tells those that wait for the service of this name, directly or not, that waiting is in vain.
    pub(super) fn block_dependents_of(&mut self, name: Arc<str>, now: Instant) {
        if self.is_ending() {
            return;
        }
        let mut seen = BTreeSet::new();
        let mut work = vec![name];
        while let Some(name) = work.pop() {
            for dependent in self.services.dependents(&name) {
                let Some(service) = self.services.get(dependent) else {
                    continue;
                };
                if service.phase != Phase::Gated || !seen.insert(service.serial) {
                    continue;
                }
                let name = Arc::from(service.name());
                if let Some((on, why)) = self.blocker(dependent)
                    && !why.resolves_itself()
                {
                    self.park(dependent, on, why, now);
                    work.push(name);
                }
            }
        }
    }

    /// Stops those that are bound to this service, directly or not, to start them when it is ready again.
    ///
    /// Returns how many there are. Those that are being stopped already are left to that.
    pub(super) fn bounce_dependents(&mut self, slot: u32) -> usize {
        if self.is_ending() {
            return 0;
        }
        let mut bounced = 0;
        let mut work = vec![slot];
        while let Some(slot) = work.pop() {
            let name = self.services[slot].name();
            for dependent in self.services.dependents(name) {
                let service = &self.services[dependent];
                let bound = service.is_bound_to(self.services[slot].name());
                if bound && service.phase.is_live() && service.after == After::Unasked {
                    self.set_after(dependent, After::Bounce);
                    self.join(dependent);
                    work.push(dependent);
                    bounced += 1;
                }
            }
        }
        bounced
    }

    /// With what a service ends that requires one which has ended while its supervisor was starting.
    pub(super) fn ended_requirement(&self, slot: u32) -> Option<ExitReason> {
        for name in self.services[slot].required() {
            let Some(required) = self.services.named(name) else {
                continue;
            };
            let required = &self.services[required];
            if required.phase == Phase::Deferred {
                let why = if required.last_exit().is_abnormal() {
                    Blocked::Failed
                } else {
                    Blocked::Stopped
                };
                return Some(blocked(Arc::clone(name), why));
            }
        }
        None
    }

    /// Why a service is not ready to be required.
    fn obstacle(&self, slot: u32) -> Option<Blocked> {
        let service = &self.services[slot];
        match service.phase {
            Phase::Ready if service.after == After::Unasked => None,
            Phase::Stopped | Phase::Finished => Some(Blocked::Stopped),
            Phase::Failed | Phase::Lost => Some(Blocked::Failed),
            _ => Some(Blocked::NotReady),
        }
    }

    /// Answers those that wait until a service is ready, which it will not be; forgets it if it was never.
    fn refuse_waiting(&mut self, slot: u32, reason: &ExitReason, now: Instant) {
        let serial = self.services[slot].serial;
        if self.waiters.has(serial, Want::FirstReady) {
            self.release(slot, reason, now);
        } else {
            self.answer(slot, Outcome::Failed(reason));
        }
    }
}
