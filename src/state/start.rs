//! Adds services, starts them, and starts their supervisor.

use std::{sync::Arc, time::Instant};

use super::{
    AddError, BlockedError, Effect, ServiceRules, Stage, SupervisorState,
    ending::Cause,
    later,
    service::{After, Announced, Origin, Phase, Service, Stage as StopStage},
    waiters::Outcome,
};
use crate::{
    event::{Blocked, EventKind},
    policy::{ExitReason, KillCause, RestartType, ServiceError},
    token::ServiceToken,
};

/// What came of starting a service.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Begun {
    /// An incarnation was begun.
    Started,
    /// One that it requires will become ready, or it cannot be started.
    Waits,
    /// One that it requires will not become ready by itself.
    Blocked(ExitReason),
}

impl SupervisorState {
    /// Takes a service in, and starts it if the supervisor was started.
    pub(crate) fn add(
        &mut self,
        mut rules: ServiceRules,
        now: Instant,
    ) -> Result<ServiceToken, AddError> {
        if self.is_ending() {
            return Err(AddError::ShuttingDown);
        }
        self.bind(&mut rules);
        rules.validate(self.rules.auto_shutdown)?;
        if let Some(slot) = self.services.named(&rules.name) {
            return Err(AddError::DuplicateName {
                name: rules.name,
                token: self.services.token(slot),
            });
        }
        let path = self.path_of(&rules.name);
        let origin = match self.stage {
            Stage::Idle => Origin::Static,
            _ => Origin::Dynamic,
        };
        let inserted = self
            .services
            .insert(Service::new(path, rules, origin))
            .map_err(|cycle| AddError::Cycle {
                members: cycle.members,
            })?;
        for (slot, from) in inserted.moved {
            let to = self.services[slot].order;
            self.sequence.moved(slot, from, to);
            self.line.moved(slot, from, to);
        }
        self.report(inserted.slot, EventKind::ServiceAdded, now);
        let token = self.services.token(inserted.slot);
        if self.stage != Stage::Idle {
            self.begin(inserted.slot, now);
            self.settle(now);
        }
        Ok(token)
    }

    /// The path of a service of this name.
    fn path_of(&mut self, name: &str) -> Arc<str> {
        // In one piece of memory that is kept: a path costs the one allocation that it is.
        self.path_text.clear();
        self.path_text.push_str(&self.path);
        self.path_text.push('/');
        self.path_text.push_str(name);
        Arc::from(&*self.path_text)
    }

    /// Starts the services that were added, one after the other. All are ready at the end, or none runs.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.stage != Stage::Idle {
            return;
        }
        self.stage = Stage::Starting;
        self.starts += 1;
        let registered: Vec<u32> = self
            .services
            .in_order()
            .filter(|slot| self.services[*slot].phase == Phase::Registered)
            .collect();
        let missing = registered
            .iter()
            .find_map(|slot| Some((*slot, self.missing_requirement(*slot)?)));
        self.enqueue_all(&registered);
        if let Some((slot, on)) = missing {
            let why = Blocked::Missing;
            let reason = self.park(slot, on, why, now);
            self.start_failed(slot, reason, now);
        }
        self.settle(now);
    }

    /// Starts a supervisor again that has ended, with the services that it had, as if nothing had happened.
    #[cfg(test)]
    pub(crate) fn restart_fresh(&mut self, now: Instant) {
        self.reopen(now);
        self.start(now);
    }

    /// The services could not even be built: ends the start before it began.
    pub(crate) fn refuse_start(&mut self, cause: ExitReason, now: Instant) {
        self.stage = Stage::Starting;
        self.starts += 1;
        let path = Arc::clone(&self.path);
        self.begin_ending(Cause::StartFailed { path, cause }, now);
        self.settle(now);
    }

    /// Forgets a service that is not running.
    pub(crate) fn forget(&mut self, token: ServiceToken, now: Instant) {
        if let Some(slot) = self.services.slot(token)
            && !self.services[slot].phase.is_live()
        {
            let reason = self.services[slot].last_exit();
            self.release(slot, &reason, now);
        }
    }

    /// Puts a supervisor that has ended back to the time before its start, with the services that it had.
    ///
    /// Temporary services that were added after the first start are forgotten. An incarnation that is still there is
    /// dropped, and its late end ignored.
    pub(crate) fn reopen(&mut self, now: Instant) {
        self.counter.reset();
        self.pause = None;
        self.next_resume = None;
        self.queue.clear();
        self.deferred.clear();
        self.ending = None;
        self.line.clear();
        self.stage = Stage::Idle;
        let all: Vec<u32> = self.services.in_order().collect();
        for slot in all {
            self.freshen(slot, now);
        }
    }

    /// Puts one service back to the time before the start.
    fn freshen(&mut self, slot: u32, now: Instant) {
        let removed = self.services[slot].after == After::Remove;
        if self.services[slot].phase.is_live() {
            self.kill(slot, KillCause::Requested, now);
            self.clear_incarnation(slot, now);
        }
        self.cancel_waiting(slot);
        self.answer(slot, Outcome::Ended);
        self.answer(slot, Outcome::ShuttingDown);
        let service = &mut self.services[slot];
        service.failures = 0;
        if let Some(own) = service
            .extras
            .as_mut()
            .and_then(|extras| extras.limit.as_mut())
        {
            own.counter.reset();
        }
        let temporary = service.restart == RestartType::Temporary;
        let forgotten = removed || (temporary && service.origin == Origin::Dynamic);
        if service.phase == Phase::Lost {
            return;
        }
        self.set_phase(slot, Phase::Registered);
        if forgotten {
            let reason = self.services[slot].last_exit();
            self.release(slot, &reason, now);
        }
    }

    /// The incarnation has run its `started`, and will say itself when it is ready.
    pub(crate) fn started(&mut self, token: ServiceToken, generation: u64, now: Instant) {
        if let Some(slot) = self.current(token, generation) {
            self.announce(slot, now);
        }
    }

    /// The incarnation is ready.
    pub(crate) fn ready(&mut self, token: ServiceToken, generation: u64, now: Instant) {
        let Some(slot) = self.current(token, generation) else {
            return;
        };
        let service = &self.services[slot];
        if service.phase != Phase::Starting || service.stage == StopStage::Killed {
            return;
        }
        self.services.set_deadline(slot, None);
        self.services[slot].since = Some(now);
        self.set_phase(slot, Phase::Ready);
        self.announce(slot, now);
        self.report(slot, EventKind::ServiceReady, now);
        // One that is to be stopped next is not what anybody waits for.
        if self.services[slot].after == After::Unasked {
            self.answer(slot, Outcome::Ready);
        }
        if self.line.current == Some(slot) {
            self.line.current = None;
        }
        self.wake_dependents(slot, now);
        self.settle(now);
    }

    /// Starts a service if what it requires is ready.
    pub(super) fn begin(&mut self, slot: u32, now: Instant) -> Begun {
        if self.services[slot].phase == Phase::Lost {
            return Begun::Waits;
        }
        match self.blocker(slot) {
            None => {
                self.launch(slot, now);
                Begun::Started
            }
            Some((on, why)) => {
                let reason = self.park(slot, on, why, now);
                if why.resolves_itself() {
                    Begun::Waits
                } else {
                    Begun::Blocked(reason)
                }
            }
        }
    }

    /// All services that were there at the start are ready.
    pub(super) fn start_completed(&mut self, now: Instant) {
        self.stage = Stage::Running;
        self.report_self(EventKind::SupervisorStarted, now);
        self.effects.push_back(Effect::Started);
        for (token, end) in std::mem::take(&mut self.deferred) {
            if let Some(slot) = self.services.slot(token)
                && self.services[slot].phase == Phase::Deferred
            {
                self.decide(slot, end, now);
            }
        }
    }

    /// A service that was there at the start could not be started.
    pub(super) fn start_failed(&mut self, slot: u32, cause: ExitReason, now: Instant) {
        // Gone if somebody awaited its first start, who has the answer already.
        let path = self.services.get(slot).map_or_else(
            || Arc::clone(&self.path),
            |service| Arc::clone(&service.path),
        );
        self.begin_ending(Cause::StartFailed { path, cause }, now);
    }

    /// Begins an incarnation.
    fn launch(&mut self, slot: u32, now: Instant) {
        self.cancel_waiting(slot);
        let service = &mut self.services[slot];
        service.starts += 1;
        service.since = Some(now);
        service.after = After::Unasked;
        service.stage = StopStage::Running;
        service.announced = Announced::No;
        let timeout = service
            .extras
            .as_ref()
            .and_then(|extras| extras.start_timeout);
        let generation = service.generation();
        let deadline = timeout.and_then(|timeout| later(now, timeout));
        self.services.set_deadline(slot, deadline);
        self.set_phase(slot, Phase::Starting);
        let token = self.services.token(slot);
        self.effects.push_back(Effect::Start { token, generation });
    }

    /// Reports once per incarnation that it has started.
    fn announce(&mut self, slot: u32, now: Instant) {
        if self.services[slot].announced == Announced::No {
            self.services[slot].announced = Announced::Yes;
            self.report(slot, EventKind::ServiceStarted, now);
        }
    }
}

/// What a service ends with that requires one which will not become ready by itself.
pub(super) fn blocked(on: Arc<str>, why: Blocked) -> ExitReason {
    ExitReason::Failed(ServiceError::new(BlockedError { on, why }))
}
