//! Shows what a supervisor knows of itself and its services. Changes nothing.

use std::{sync::Arc, time::Instant};

use super::{
    address::{self, Route},
    dependencies,
    error::Unaddressed,
    machine::{Status, SupervisorState},
    obstacle::Obstacle,
    output::{Counts, ServiceView},
    paths,
    phase::{Gate, Phase},
    service::Service,
};
use crate::{
    event::ServiceState,
    policy::{RestartLimit, ScopeEnding},
    token::{ServiceKey, ServiceToken},
};

impl SupervisorState {
    /// The token of the service of this name.
    pub(crate) fn named(&self, name: &str) -> Option<ServiceToken> {
        Some(self.services.token(self.services.named(name)?))
    }

    /// Whose business a request is about the service that this names.
    pub(crate) fn route(&self, key: &ServiceKey) -> Result<Route, Unaddressed> {
        address::route(self, key)
    }

    /// The names of a service from the root.
    pub(crate) fn service_path(&self, token: ServiceToken) -> Option<&Arc<str>> {
        let slot = self.services.slot(token)?;
        Some(&self.services[slot].path)
    }

    /// The place of a service in start order.
    pub(crate) fn place(&self, token: ServiceToken) -> Option<u64> {
        let slot = self.services.slot(token)?;
        Some(self.services[slot].order)
    }

    /// The tokens of all services, in start order.
    pub(crate) fn tokens(&self) -> impl DoubleEndedIterator<Item = ServiceToken> {
        self.services
            .in_order()
            .map(|slot| self.services.token(slot))
    }

    /// Reports whether the supervisor has ended, and all its services with it.
    pub(crate) fn has_ended(&self) -> bool {
        self.status == Status::Ended
    }

    /// When everything that still runs is dropped, if the supervisor ends and was given a time.
    pub(crate) fn shutdown_deadline(&self) -> Option<Instant> {
        self.ending.as_ref().and_then(|ending| ending.deadline())
    }

    /// What is said of the next start of a scope when it ends.
    pub(crate) fn next_ending(&self) -> ScopeEnding {
        ScopeEnding::new(Arc::clone(&self.path), self.id, self.starts)
    }

    /// What can be seen of all services, in start order.
    #[cfg(test)]
    pub(crate) fn services(&self) -> impl Iterator<Item = ServiceView> {
        self.services_from(0).map(|(_, view)| view)
    }

    /// What can be seen of the services from this place in start order on, with their places.
    pub(crate) fn services_from(&self, place: u64) -> impl Iterator<Item = (u64, ServiceView)> {
        let slots = self.services.starting_at(place);
        slots.map(|slot| (self.services[slot].order, self.view(slot)))
    }

    /// The last place in start order that a service has.
    pub(crate) fn last_place(&self) -> u64 {
        let last = self.services.in_order().next_back();
        last.map_or(0, |slot| self.services[slot].order)
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

    /// How many restarts are too many.
    pub(crate) const fn limit(&self) -> &RestartLimit {
        &self.rules.limit
    }

    /// When the pause of all restarts is over, if there is one that ends.
    pub(crate) fn paused_until(&self) -> Option<Instant> {
        self.pause?.until
    }

    /// What is counted against the own limit of a service, and up to which count it is within that, if it has one.
    pub(crate) fn own_limit(
        &self,
        token: ServiceToken,
        now: Instant,
    ) -> Option<(f64, Option<f64>)> {
        let own = self.services[self.services.slot(token)?].own_limit()?;
        Some((own.counter.count(&own.limit, now), own.limit.threshold()))
    }

    /// The supervisor's names from the root.
    pub(crate) const fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// What can be seen of one service.
    pub(super) fn view(&self, slot: u32) -> ServiceView {
        let service = &self.services[slot];
        ServiceView {
            token: self.services.token(slot),
            path: Arc::clone(&service.path),
            state: service.phase().public(),
            generation: service.generation(),
            // Every incarnation but the first is a restart.
            restarts: service.generation(),
            restart: service.restart,
            last_exit: service.last_exit.get(),
            since: service.since,
            next_start: self.next_start(service),
            waits_for: self.waits_for(slot),
        }
    }

    /// For whom a service waits, and what is the matter with that one.
    fn waits_for(&self, slot: u32) -> Option<(Arc<str>, Obstacle)> {
        match self.services[slot].phase() {
            Phase::Gated(Gate::Elsewhere { .. }) => paths::obstacle(self, slot),
            Phase::Gated(Gate::Sibling) | Phase::Parked => dependencies::blocker(self, slot),
            Phase::Held => dependencies::holder(self, slot)
                .map(|holder| dependencies::as_obstacle(self, holder)),
            _ => None,
        }
    }

    fn next_start(&self, service: &Service) -> Option<Instant> {
        match service.phase() {
            Phase::BackingOff { until } | Phase::Delayed { until } | Phase::Resting { until } => {
                until
            }
            Phase::Queued => self.pause.map_or(self.next_resume, |pause| pause.until),
            _ => None,
        }
    }
}
