//! What can be seen of a supervisor and its services.

use std::{sync::Arc, time::Instant};

use super::{
    ServiceState, Stage, SupervisorState,
    service::{Phase, Service},
};
use crate::{
    policy::{ExitReason, RestartType},
    token::ServiceToken,
};

/// What can be seen of one service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServiceView {
    /// Its token.
    pub(crate) token: ServiceToken,
    /// Its names from the root.
    pub(crate) path: Arc<str>,
    /// Where it is in its life.
    pub(crate) state: ServiceState,
    /// Its present or latest incarnation, 0 for the first.
    pub(crate) generation: u64,
    /// How often it was started again, for whatever reason.
    pub(crate) restarts: u64,
    /// When it is started again.
    pub(crate) restart: RestartType,
    /// Why it ended the last time, if it has.
    pub(crate) last_exit: Option<ExitReason>,
    /// Since when it is starting or ready.
    pub(crate) since: Option<Instant>,
    /// When it is started again, if it waits for a time.
    pub(crate) next_start: Option<Instant>,
}

/// How many services there are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// In all.
    pub services: usize,
    /// Of those, how many are supervisors.
    pub supervisors: usize,
    /// With an incarnation.
    pub active: usize,
    /// Ready.
    pub ready: usize,
    /// Waiting for a delay, a pause or a requirement.
    pub waiting: usize,
    /// Stopped on request, or ended for good.
    pub stopped: usize,
    /// Failed.
    pub failed: usize,
}

impl SupervisorState {
    /// The token of the service of this name.
    pub(crate) fn named(&self, name: &str) -> Option<ServiceToken> {
        Some(self.services.token(self.services.named(name)?))
    }

    /// The names of a service from the root.
    pub(crate) fn service_path(&self, token: ServiceToken) -> Option<&Arc<str>> {
        let slot = self.services.slot(token)?;
        Some(&self.services[slot].path)
    }

    /// When a service that was asked to stop is dropped, if it has not ended until then.
    pub(crate) fn stop_deadline(&self, token: ServiceToken) -> Option<Instant> {
        let service = &self.services[self.services.slot(token)?];
        let own = service
            .deadline
            .filter(|_| service.phase == Phase::Stopping);
        own.into_iter().chain(self.shutdown_deadline()).min()
    }

    /// The tokens of all services, in start order.
    pub(crate) fn tokens(&self) -> impl DoubleEndedIterator<Item = ServiceToken> {
        self.services
            .in_order()
            .map(|slot| self.services.token(slot))
    }

    /// Reports whether the supervisor has ended, and all its services with it.
    pub(crate) fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// What can be seen of all services, in start order.
    pub(crate) fn services(&self) -> impl DoubleEndedIterator<Item = ServiceView> {
        self.services.in_order().map(|slot| self.view(slot))
    }

    /// How many services there are.
    pub(crate) fn counts(&self) -> Counts {
        let count = |state| self.services.in_state(state);
        Counts {
            services: self.services.len(),
            // What a service is, only the shell knows.
            supervisors: 0,
            active: self.services.live(),
            ready: count(ServiceState::Ready),
            waiting: count(ServiceState::Waiting)
                + count(ServiceState::BackingOff)
                + count(ServiceState::Paused),
            stopped: count(ServiceState::Stopped),
            failed: count(ServiceState::Failed),
        }
    }

    /// What is counted against the limit.
    pub(crate) fn failure_count(&self, now: Instant) -> f64 {
        self.counter.count(&self.rules.limit, now)
    }

    /// The supervisor's names from the root.
    pub(crate) const fn path(&self) -> &Arc<str> {
        &self.path
    }

    pub(super) fn view(&self, slot: u32) -> ServiceView {
        let service = &self.services[slot];
        ServiceView {
            token: self.services.token(slot),
            path: Arc::clone(&service.path),
            state: service.phase.public(),
            generation: service.generation(),
            restarts: service.generation(),
            restart: service.restart,
            last_exit: service.last_exit.get(),
            since: service.since,
            next_start: self.next_start(service),
        }
    }

    fn next_start(&self, service: &Service) -> Option<Instant> {
        match service.phase {
            Phase::BackingOff => service.deadline.or(self.line.not_before),
            Phase::Resting => service.deadline,
            Phase::Queued => self.pause.map_or(self.next_resume, |pause| pause.until),
            _ => None,
        }
    }
}
